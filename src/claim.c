/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Who may be added or removed now: from a lane to a request.
 *
 * A due lane that is not held, whose instance has room and whose pace allows it
 * has its head claimed, screened (screen.c), and launched as a flight; or it is
 * scheduled for when it is worth another look.  Lanes without any pace have
 * their heads claimed together, ahead of their turns.
 *
 * Everything is in the cycle's transaction and its memory.  What the pace
 * granted and no flight took is given back here.
 *
 * IDENTIFICATION
 *	  src/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "admission.h"
#include "budget.h"
#include "claim.h"
#include "clock.h"
#include "flight.h"
#include "intent.h"
#include "isolation.h"
#include "lanehold.h"
#include "lanes.h"
#include "resolve.h"
#include "roster.h"
#include "screen.h"
#include "settings.h"
#include "utils/memutils.h"

#include "compat.h"

/* Who is before the last one claimed, and could not go then, waits that long. */
#define HEAD_IS_KNOWN_MS 1000

/* A due lane and what its turn needs to know. */
typedef struct Turn
{
	Lane	   *lane;
	WawpInstance *described;	/* NULL: not looked at yet */
	GroupSettings settings;
	bool		has_settings;
	bool		is_looked_into; /* its head was claimed, if it has one */
	IntentClaim head;
} Turn;

/* One that leaves; who is put back, with all before them, comes first again. */
static void
note_head(Lane *lane, const Intent *claimed)
{
	if (lane->head_until == 0)
		lane->head_until = clock_monotonic_ms() + HEAD_IS_KNOWN_MS;
	lane->head_priority = claimed->priority;
	lane->head_id = claimed->id;
}

/* Claims of those that have none yet: behind the last claimed, where that is known, or the lanes' first. */
static void
claim_heads(Turn *const *turns, int n, bool behind)
{
	IntentClaim *claims[INTENT_CLAIMS_AT_ONCE];
	int64		now = clock_monotonic_ms();
	int			nclaims = 0;

	for (int i = 0; i < n; i++)
	{
		Lane	   *lane = turns[i]->lane;
		IntentClaim *head = &turns[i]->head;

		if (head->is_claimed || (behind && now >= lane->head_until))
			continue;
		if (!behind)
			lane->head_until = 0;
		head->lane = &lane->key;
		head->priority = lane->head_priority;
		head->behind = lane->head_id;
		claims[nclaims++] = head;
	}
	intent_claim_each(claims, nclaims, behind);
}

/* The first of each of these lanes. */
static void
claim_firsts(Turn *const *turns, int n)
{
	claim_heads(turns, n, true);
	claim_heads(turns, n, false);
	for (int i = 0; i < n; i++)
		turns[i]->is_looked_into = true;
}

/* As many as the permit is for, or what needs none; returns how many. */
static int
claim_some(Turn *turn, const BudgetPermit *permit, Intent *claimed)
{
	Lane	   *lane = turn->lane;

	if (permit->granted > 1)
		return intent_claim(&lane->key, permit->granted, claimed);
	if (permit->granted == 0)
		return intent_claim_other(&lane->key, claimed);
	if (!turn->is_looked_into)
		claim_firsts(&turn, 1);
	if (!turn->head.is_claimed)
		return 0;
	*claimed = turn->head.intent;
	turn->head.is_claimed = false;
	return 1;
}

/*
 * Claims what the lane's head is, resolves it as its requester and records it
 * as sent.  *used: how many of the granted permits it takes.
 */
static Served
claim_flight(Turn *turn, List *holds, const BudgetPermit *permit, int *used)
{
	Lane	   *lane = turn->lane;
	Flight	   *flight = flight_make(lane, Max(permit->granted, 1));
	Served		served;

	flight->n = claim_some(turn, permit, flight->intents);
	if (flight->n == 0)
	{
		MemoryContextDelete(flight->memory);
		return SERVED_NOTHING;
	}
	flight_keep_intents(flight);
	served = screen_claimed(flight, turn->described, holds, &turn->settings);
	if (served != SERVED_NOTHING)
	{
		MemoryContextDelete(flight->memory);
		return served;
	}
	flight_name_people(flight);
	flight->operation = intent_operation(flight->intents[0].action);
	flight->is_paced = (flight->operation == WAWP_OP_ADD);
	flight->permit = *permit;
	*used = flight->is_paced ? flight->n : 0;
	if (flight->is_paced)
		roster_of(&lane->key)->added += flight->n;
	else
		roster_forget_list(&lane->key);
	if (permit->granted == 1)
		note_head(lane, &flight->intents[0]);
	flight_launch(flight);
	return SERVED_SOME;
}

/* Nothing of the lane can go now: when is it worth another look? */
static void
postpone_lane(Lane *lane)
{
	TimestampTz due = intent_next_due(&lane->key);
	int64		now = clock_monotonic_ms();

	if (due == 0 && lane->in_flight == 0)
		lanes_forget(lane);
	else if (due == 0)
		lanes_schedule(lane, LANES_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_schedule(lane, now + LANES_LOCKED_RETRY_MS);
	else
		lanes_schedule(lane, clock_monotonic_of(due));
}

/* Permits for additions that may leave now. */
static BudgetPermit
take_adds(const WawpInstance *instance, const Hold *on_instance, const LaneKey *lane, const GroupSettings *settings)
{
	TimestampTz quiet = instance_quiet_until(instance, GetCurrentTimestamp());
	BudgetGroup group = {lane->group, settings->adds_per_minute};
	BudgetPermit none = {0};

	if (quiet == 0)
		return budget_take_adds(instance, on_instance, &group, true, instance->batch_size);
	none.next_at = clock_monotonic_of(quiet) * 1000;
	return none;
}

/* Is the lane served at all now?  If not, it is scheduled. */
static bool
admit(Turn *turn, List *holds)
{
	Lane	   *lane = turn->lane;
	int64		held = lanehold_until(holds, &lane->key);
	ErrorData  *error;

	if (held > 0)
	{
		lanes_schedule(lane, held);
		return false;
	}
	error = resolve_instance(&lane->key, INSTANCE_OF_NOBODY, &turn->described);
	if (!error)
		return true;
	hold_set(NameStr(lane->key.instance), lane->key.group, error->message,
			 GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000), 1);
	lanes_schedule(lane, clock_monotonic_ms() + RESOLVE_RETRY_MS);
	return false;
}

static const GroupSettings *
settings_of(Turn *turn)
{
	if (!turn->has_settings)
		turn->settings = settings_get(&turn->lane->key);
	turn->has_settings = true;
	return &turn->settings;
}

/* Serves one due lane: at most one request. */
static void
serve_lane(void *subject, List *holds)
{
	Turn	   *turn = subject;
	Lane	   *lane = turn->lane;
	BudgetPermit permit;
	int			used = 0;
	Served		served;

	if (turn->described == NULL && !admit(turn, holds))
		return;
	if (!admission_has_room(lane, turn->described))
	{
		lanes_park(lane);
		return;
	}
	/* an empty lane does not ask: the next token would be kept from sessions, and from a lane that has use for it */
	if (lane->is_fresh && turn->described->adds_per_minute > 0 && intent_next_due(&lane->key) == 0)
	{
		postpone_lane(lane);
		return;
	}
	permit = take_adds(turn->described, lanehold_find(holds, &lane->key, true), &lane->key, settings_of(turn));
	if (permit.granted == 0 && !lane->is_fresh)
	{
		lanes_schedule(lane, (permit.next_at + 999) / 1000);
		return;
	}
	served = claim_flight(turn, holds, &permit, &used);
	if (served == SERVED_ASKING)
		budget_put_off(&permit);
	else
		budget_give_back(&permit, permit.granted - used);
	if (served == SERVED_ASKING || served == SERVED_LATER)
		return;
	if (served == SERVED_SOME)
		lanes_schedule(lane, clock_monotonic_ms());
	else if (permit.granted == 0)
	{
		lane->is_fresh = false;
		lanes_schedule(lane, (permit.next_at + 999) / 1000);
	}
	else
		postpone_lane(lane);
}

/*
 * ---- claiming ahead
 */

/* Is nothing but room needed for one addition of this lane to leave? */
static bool
is_unpaced(Turn *turn)
{
	const WawpInstance *instance = turn->described;

	return instance->adds_per_minute <= 0 && instance->adds_per_day <= 0 && instance->batch_size == 1 &&
		instance_quiet_until(instance, GetCurrentTimestamp()) == 0 && settings_of(turn)->adds_per_minute <= 0;
}

/* Has its instance room for one more beside those that are claimed ahead? */
static bool
has_room_beside(const Turn *turn, Turn *const *ahead, int n)
{
	int			taken = turn->lane->instance->in_flight;

	for (int i = 0; i < n; i++)
		taken += ahead[i]->lane->instance == turn->lane->instance;
	return taken < turn->described->concurrency;
}

/* One statement for many lanes costs much less than one for each; nothing is lost when a turn does not use it. */
static void
claim_ahead(Turn *turns, int n, List *holds)
{
	Turn	   *ahead[INTENT_CLAIMS_AT_ONCE];
	int			nahead = 0;

	for (int i = 0; i < n; i++)
	{
		if (!admit(&turns[i], holds))
			turns[i].lane = NULL;
		else if (has_room_beside(&turns[i], ahead, nahead) && is_unpaced(&turns[i]))
			ahead[nahead++] = &turns[i];
	}
	if (nahead > 0)
		claim_firsts(ahead, nahead);
}

/*
 * ---- turns
 */

/* As many of the lanes that are due as there are slots; returns how many. */
static int
begin_turns(Turn *turns)
{
	int			most = Min(admission_slots(), INTENT_CLAIMS_AT_ONCE);
	int			n = 0;
	Lane	   *lane;

	while (n < most && (lane = lanes_take_due(clock_monotonic_ms())) != NULL)
	{
		memset(&turns[n], 0, sizeof(Turn));
		turns[n++].lane = lane;
	}
	return n;
}

static void
take_turn(Turn *turn, List *holds)
{
	if (turn->lane == NULL)
		return;
	if (!admission_may_claim())
		lanes_schedule(turn->lane, clock_monotonic_ms());
	else if (!isolation_run(serve_lane, turn, holds))
		lanes_schedule(turn->lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
	if (!turn->head.is_claimed)
		return;
	screen_put_back(&turn->head.intent);
	/* its lane saw nothing of it in this turn */
	lanes_note(&turn->head.intent.lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
}

/* Serves the lanes that are due, as far as there are slots. */
void
claim_due(List *holds)
{
	Turn	   *turns = palloc(sizeof(Turn) * INTENT_CLAIMS_AT_ONCE);
	int			n;

	while ((n = begin_turns(turns)) > 0)
	{
		if (n > 1 && !isolation_is_on())
			claim_ahead(turns, n, holds);
		for (int i = 0; i < n; i++)
			take_turn(&turns[i], holds);
	}
	pfree(turns);
}
