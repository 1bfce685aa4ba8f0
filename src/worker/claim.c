/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Who may be added or removed now: from a lane to a request.
 *
 * A due lane that is not held, whose instance has room and whose pace allows it
 * has its head claimed, screened (precheck.c), and launched as a flight; or it
 * is scheduled for when it is worth another look.  Where additions have a
 * pace, a lane asks what it has to know about its group shortly before the
 * token it is to have, and no lane asks more than there are tokens to come.
 * Lanes without any pace have their heads claimed together, ahead of their turns.
 *
 * Everything is in the cycle's transaction and its memory.  What the pace
 * granted and no flight took is given back here.
 *
 * IDENTIFICATION
 *	  src/worker/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/group_settings.h"
#include "tables/intent.h"
#include "tables/lanehold.h"
#include "throttle/budget.h"
#include "throttle/gcra.h"
#include "utils/memutils.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/claim.h"
#include "worker/errand.h"
#include "worker/follow.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/precheck.h"
#include "worker/roster.h"
#include "worker/savepoint.h"

#include "compat.h"

/* Who is before the last one claimed, and could not go then, waits that long. */
#define HEAD_IS_KNOWN_MS 1000

/* A due lane and what its turn needs to know. */
typedef struct Turn
{
	Lane	   *lane;
	LaneInstance *instance;		/* the lane's, also when the lane is gone */
	WawpInstance *described;	/* NULL: not looked at yet */
	GroupSettings settings;
	bool		has_settings;
	int64		now;			/* when the cycle began */
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
claim_flight(Turn *turn, Holds *holds, const BudgetPermit *permit, int *used)
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

	if (due == 0 && lane->in_flight == 0)
		lanes_forget(lane);
	else if (due == 0)
		lanes_schedule(lane, CLOCK_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_retry(lane);
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
		return budget_take_adds(instance, hold_halvings(on_instance), &group, true, instance->batch_size);
	none.next_at = clock_monotonic_of(quiet) * 1000;
	return none;
}

/* The same instance with one person and one request under way, in the current context. */
static WawpInstance *
one_at_a_time(const WawpInstance *described)
{
	WawpInstance *one = palloc(sizeof(WawpInstance));

	*one = *described;
	one->concurrency = one->batch_size = 1;
	return one;
}

/* Is the lane served at all now?  If not, it is scheduled. */
static bool
admit(Turn *turn, Holds *holds)
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
	{
		if (lanehold_is_on_trial(holds, &lane->key))
			turn->described = one_at_a_time(turn->described);
		return true;
	}
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

/*
 * ---- a lane and the pace
 */

static int64
ms_of(int64 us)
{
	return (us + 999) / 1000;
}

/*
 * True if so many others and this lane are not more than there are tokens to
 * come.  If not, *at is when they are not, in monotonic ms.
 */
static bool
may_prepare(const Turn *turn, const Hold *on_instance, const BudgetPermit *permit, int others, int64 *at)
{
	PaceRate	rate = budget_add_rate(turn->described, hold_halvings(on_instance));
	int64		wait = permit->granted > 0 ? 0 : Max(permit->next_at - clock_monotonic_us(), 0);
	int64		lead = lanes_lead_ms(turn->instance) * 1000;

	if (pace_tokens_ahead(rate, wait, lead) > others)
		return true;
	*at = ms_of(clock_monotonic_us() + Max(wait - lead + rate.interval * others, 1000));
	return false;
}

/* The pace allows the lane no addition now. */
static void
wait_for_token(const Turn *turn, const Hold *on_instance, const BudgetPermit *permit)
{
	int64		at;

	if (permit->has_group)
		lanes_schedule(turn->lane, ms_of(permit->next_at));
	else if (may_prepare(turn, on_instance, permit, lanes_prepared_beside(turn->lane), &at))
		lanes_wait(turn->lane, QUEUE_READY, ms_of(permit->next_at));
	else
		lanes_wait(turn->lane, QUEUE_NEXT, at);
}

/* True if nothing about the group has to be asked before an addition; else *need is what. */
static bool
knows_group(Turn *turn, FollowNeed *need)
{
	const Roster *roster = roster_find(&turn->lane->key);

	*need = (FollowNeed) {ASK_LIST, NULL};
	return roster && follow_check_group(roster, settings_of(turn), need) != GROUP_UNKNOWN;
}

/* Nothing of the lane can go without a token now: when is that worth another look? */
static void
note_others(Lane *lane)
{
	TimestampTz due = intent_next_other(&lane->key);

	lane->is_fresh = false;
	if (due == 0)
		lanes_wake(lane, CLOCK_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_wake(lane, lanes_retry_at());
	else
		lanes_wake(lane, clock_monotonic_of(due));
}

/* The lane's additions wait, in that queue; what needs no token goes. */
static void
serve_others(Turn *turn, Holds *holds, LaneQueue queue, int64 not_before)
{
	const BudgetPermit none = {0};
	Lane	   *lane = turn->lane;
	int			used = 0;
	Served		served = lane->is_fresh ? claim_flight(turn, holds, &none, &used) : SERVED_NOTHING;

	if (served == SERVED_SOME)
		lanes_served(lane, turn->now);
	if (served != SERVED_NOTHING)
		return;
	if (lane->is_fresh)
		note_others(lane);
	lanes_wait(lane, queue, not_before);
}

/* Claims and launches what the permit is for, and says when the lane is worth another look. */
static void
use_turn(Turn *turn, Holds *holds, const BudgetPermit *permit)
{
	Lane	   *lane = turn->lane;
	int			used = 0;
	Served		served = claim_flight(turn, holds, permit, &used);

	/* who needed no request has not had the worker's turn either */
	if (served == SERVED_ASKING || (served == SERVED_SOME && used == 0))
		budget_put_off(permit);
	else
		budget_give_back(permit, permit->granted - used);
	if (served == SERVED_ASKING || served == SERVED_LATER)
		return;
	if (served == SERVED_SOME)
		lanes_served(lane, turn->now);
	else if (permit->granted == 0)
	{
		note_others(lane);
		if (turn->described->adds_per_minute > 0 && !permit->has_group)
			lanes_wait(lane, QUEUE_NEXT, turn->instance->not_before[QUEUE_NEXT]);
		else
			wait_for_token(turn, lanehold_find(holds, &lane->key, true), permit);
	}
	else
		postpone_lane(lane);
}

/*
 * The group has to be asked about before an addition: asks, if a token is near.
 * True: there is nothing to ask, go on as you are.
 */
static bool
prepare_lane(Turn *turn, Holds *holds, const BudgetPermit *permit, const FollowNeed *need)
{
	Lane	   *lane = turn->lane;
	const Roster *roster = roster_find(&lane->key);
	Intent		head;
	int64		at;

	if (!may_prepare(turn, lanehold_find(holds, &lane->key, true), permit, lanes_asking_beside(lane), &at))
		serve_others(turn, holds, QUEUE_NEXT, at);
	else if (roster && (roster->asking & need->question))
		lanes_prepare(lane);
	else if (!intent_peek(&lane->key, &head))
	{
		budget_give_back(permit, permit->granted);
		postpone_lane(lane);
		return false;
	}
	else
	{
		lanes_prepare(lane);
		if (head.action != ACTION_ADD)
			return true;
		if (!errand_ask(&lane->key, head.requester, need, turn->described, &at))
		{
			if (at == 0)
				return true;
			serve_others(turn, holds, QUEUE_READ, at);
		}
	}
	budget_put_off(permit);
	return false;
}

/* Serves a lane whose additions have a pace. */
static void
serve_paced(Turn *turn, Holds *holds)
{
	Lane	   *lane = turn->lane;
	FollowNeed	need;
	BudgetPermit permit;

	/* an empty lane does not ask: the next token would be kept from sessions, and from a lane that has use for it */
	if (lane->is_fresh && intent_next_due(&lane->key) == 0)
	{
		postpone_lane(lane);
		return;
	}
	if (lane->queue == QUEUE_FRESH && lanes_has_elder(lane))
	{
		serve_others(turn, holds, QUEUE_NEXT, turn->instance->not_before[QUEUE_NEXT]);
		return;
	}
	permit = take_adds(turn->described, lanehold_find(holds, &lane->key, true), &lane->key, settings_of(turn));
	if (permit.granted == 0 && lane->is_fresh)
		use_turn(turn, holds, &permit);
	else if (permit.granted == 0 && permit.has_group)
		lanes_schedule(lane, ms_of(permit.next_at));
	else if (!knows_group(turn, &need) && !prepare_lane(turn, holds, &permit, &need))
		return;
	else if (permit.granted == 0)
		wait_for_token(turn, lanehold_find(holds, &lane->key, true), &permit);
	else
		use_turn(turn, holds, &permit);
}

/* Serves a lane whose additions have no pace, but for a cap of the day, quiet hours or the group's own. */
static void
serve_unpaced(Turn *turn, Holds *holds)
{
	BudgetPermit permit = take_adds(turn->described, lanehold_find(holds, &turn->lane->key, true), &turn->lane->key,
									settings_of(turn));

	if (permit.granted == 0 && !turn->lane->is_fresh)
		wait_for_token(turn, lanehold_find(holds, &turn->lane->key, true), &permit);
	else
		use_turn(turn, holds, &permit);
}

/* Serves one due lane: at most one request. */
static void
serve_lane(void *subject, Holds *holds)
{
	Turn	   *turn = subject;

	if (turn->described == NULL && !admit(turn, holds))
		return;
	lanes_set_limit(turn->instance, turn->described->concurrency);
	if (!admission_has_room(turn->lane, turn->described))
		lanes_park(turn->lane);
	else if (turn->described->adds_per_minute > 0)
		serve_paced(turn, holds);
	else
		serve_unpaced(turn, holds);
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
claim_ahead(Turn *turns, int n, Holds *holds)
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

/* As many of the lanes that are due as there are slots and turns left; returns how many. */
static int
begin_turns(Turn *turns, int64 now, int most)
{
	int			n = 0;
	Lane	   *lane;

	most = Min(Min(admission_slots(), INTENT_CLAIMS_AT_ONCE), most);
	while (n < most && (lane = lanes_take_due(now)) != NULL)
	{
		memset(&turns[n], 0, sizeof(Turn));
		turns[n].now = now;
		turns[n].instance = lane->instance;
		turns[n++].lane = lane;
	}
	return n;
}

static void
take_turn(Turn *turn, Holds *holds)
{
	if (turn->lane == NULL)
		return;
	if (!admission_may_claim())
		lanes_park(turn->lane);
	else if (!isolation_run(serve_lane, turn, holds))
		lanes_retry(turn->lane);
	if (!turn->head.is_claimed)
		return;
	screen_put_back(&turn->head.intent);
	/* its lane saw nothing of it in this turn */
	lanes_note(&turn->head.intent.lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
}

/*
 * Serves the lanes that were due when the cycle began, as far as there are
 * slots and the cycle's portion goes; the next cycle goes on with the rest.
 */
void
claim_due(Holds *holds, CyclePortion *portion)
{
	Turn	   *turns = palloc(sizeof(Turn) * INTENT_CLAIMS_AT_ONCE);
	int			n;

	while ((n = begin_turns(turns, portion->due_by, portion_left(portion))) > 0)
	{
		portion->turns += n;
		if (n > 1 && !isolation_is_on())
			claim_ahead(turns, n, holds);
		for (int i = 0; i < n; i++)
		{
			take_turn(&turns[i], holds);
			lanes_end_turn(turns[i].instance);
		}
	}
	pfree(turns);
}
