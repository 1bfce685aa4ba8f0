/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Who may be added or removed now: from a lane to a request.
 *
 * A due lane that is not held, whose instance has room and whose pace allows it
 * has its head claimed, screened by what follow.c knows of the group and the
 * people, and launched as a flight.  Who cannot go goes back as they were, to
 * the invitations, to another group, or ends; the lane is scheduled for when it
 * is worth another look.
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
#include "audit.h"
#include "budget.h"
#include "claim.h"
#include "clock.h"
#include "ending.h"
#include "errand.h"
#include "flight.h"
#include "follow.h"
#include "intent.h"
#include "isolation.h"
#include "lanehold.h"
#include "lanes.h"
#include "resolve.h"
#include "roster.h"
#include "settings.h"
#include "trail.h"
#include "utils/memutils.h"

#include "compat.h"

/* A check of a number that the pace does not allow now. */
#define CHECK_RETRY_MS 1000
/* Who is before the last one claimed, and could not go then, waits that long. */
#define HEAD_IS_KNOWN_MS 1000

/* What came of an attempt to serve a lane. */
typedef enum Served
{
	SERVED_NOTHING,				/* nothing there can go now */
	SERVED_SOME,				/* it may have more */
	SERVED_LATER,				/* it is scheduled */
	SERVED_ASKING				/* the same, for when something is known */
} Served;

/*
 * Claimed, but it cannot be sent as its requester: says so in the rows.  A
 * permission that is gone ends them; what may be mended (no token, no server)
 * is tried again later and meanwhile in nobody's way.
 */
static void
refuse_claim(Flight *flight, const ErrorData *error)
{
	bool		is_permission = error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE;
	const IntentChange refusal = {
		.state = is_permission ? STATE_FAILED : STATE_QUEUED,
		.detail = error->message,
		.next_attempt_at = is_permission ? 0 : GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000),
		.give_attempt_back = true
	};

	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = flight_record(flight, i, "refused");
		IntentChange change = refusal;

		if (is_permission)
			audit_write(&record);
		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	if (is_permission)
		ending_note_failures();
}

/* What keeps a row that no trigger has looked at (a restored one) from going. */
static const char *
intent_problem(const Intent *intent)
{
	if (!jid_is_group_text(intent->lane.group, strlen(intent->lane.group)))
		return "the group is none";
	if (intent->jid.kind != JID_PERSON && intent->jid.kind != JID_LID)
		return "the person is none";
	return NULL;
}

/* Fails the rows that make no sense; false when there are any: claim again. */
static bool
is_sendable(Flight *flight)
{
	bool		all = true;

	for (int i = 0; i < flight->n; i++)
		all &= intent_problem(&flight->intents[i]) == NULL;
	for (int i = 0; i < flight->n && !all; i++)
	{
		const char *problem = intent_problem(&flight->intents[i]);
		IntentChange change = {
			.state = problem ? STATE_FAILED : STATE_QUEUED,
			.has_outcome = problem != NULL,
			.outcome = WAWP_BAD_IDENTIFIER,
			.detail = problem,
			.give_attempt_back = true
		};

		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	if (!all)
		ending_note_failures();
	return all;
}

/* They are queued again as they were. */
static void
put_back(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		const Intent *intent = &flight->intents[i];
		IntentChange change = {
			.state = STATE_QUEUED,
			.has_outcome = intent->has_outcome,
			.outcome = intent->outcome,
			.code = intent->code,
			.detail = intent->detail,
			.give_attempt_back = true
		};

		(void) intent_settle(intent->id, STATE_SENDING, &change);
	}
}

/* What has to be known first is asked; the lane goes on with the answer. */
static Served
ask_first(Lane *lane, const Flight *flight, const WawpInstance *described, const FollowNeed *need)
{
	put_back(flight);
	if (roster_of(&lane->key)->asking & need->question)
		lanes_schedule(lane, LANES_NEVER);
	else if (!admission_has_room(lane, described))
		lanes_park(lane);
	else if (need->question == ASK_EXISTS && budget_take_check(described).granted == 0)
		lanes_schedule(lane, clock_monotonic_ms() + CHECK_RETRY_MS);
	else if (errand_ask(&lane->key, flight->intents[0].requested_by, need))
		lanes_schedule(lane, LANES_NEVER);
	else
		return SERVED_SOME;
	return SERVED_ASKING;
}

/* The group takes nobody: they go to the next group, or wait. */
static Served
turn_away(Lane *lane, const Flight *flight, List *holds, FollowGroup why, const GroupSettings *settings)
{
	WawpOutcome outcome = why == GROUP_FULL ? WAWP_GROUP_FULL : WAWP_NOT_ADMIN;
	LaneKey		next = lane->key;

	if (why != GROUP_FULL || settings->overflow_group == NULL)
	{
		put_back(flight);
		lanehold_set(&lane->key, holds, outcome, false, -1, NULL);
		lanes_schedule(lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
		return SERVED_LATER;
	}
	memset(next.group, 0, sizeof(next.group));
	strlcpy(next.group, settings->overflow_group, sizeof(next.group));
	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change = {
			.state = STATE_CANCELLED,
			.has_outcome = true,
			.outcome = WAWP_GROUP_FULL,
			.detail = "the person is queued for the overflow group already",
			.give_attempt_back = true
		};

		trail_write(&flight->intents[i], "policy", WAWP_GROUP_FULL, "goes to the overflow group");
		if (!intent_move(&flight->intents[i], next.group))
			(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	lanes_note(&next, clock_monotonic_ms());
	return SERVED_SOME;
}

/* Settles who need not be asked for; false: nobody is left, or something is to be asked. */
static bool
screen_people(Flight *flight, const WawpInstance *described, const GroupSettings *settings, FollowNeed *need,
			  bool *changed)
{
	const Roster *roster = roster_of(&flight->lane->key);
	int			kept = 0;

	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change;

		if (!follow_refuses(&flight->intents[i], roster, described, settings, need, &change))
		{
			flight->intents[kept++] = flight->intents[i];
			continue;
		}
		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
		follow_remember(&flight->intents[i], change.outcome, change.state);
		ending_note(&flight->intents[i], change.state);
		*changed = true;
	}
	flight->n = kept;
	return kept > 0 && need->question == 0;
}

/* Looks at the claimed additions before they leave; SERVED_NOTHING: they may. */
static Served
screen_adds(Lane *lane, Flight *flight, const WawpInstance *described, List *holds, const GroupSettings *settings)
{
	FollowNeed	need = {0, NULL};
	FollowGroup group = follow_check_group(roster_of(&lane->key), settings, &need);
	bool		changed = false;

	if (group == GROUP_UNKNOWN)
		return ask_first(lane, flight, described, &need);
	need.question = 0;
	if (screen_people(flight, described, settings, &need, &changed))
	{
		if (group == GROUP_OPEN)
			return SERVED_NOTHING;
		return turn_away(lane, flight, holds, group, settings);
	}
	if (flight->n > 0)
		return ask_first(lane, flight, described, &need);
	return SERVED_SOME;
}

/* Invitations have a pace and a way of their own. */
static Served
pass_to_invitations(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change = {
			.state = STATE_INVITING,
			.next_attempt_at = GetCurrentTimestamp(),
			.give_attempt_back = true
		};

		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	lanes_look(&flight->lane->key, clock_monotonic_ms());
	return SERVED_SOME;
}

/* What has to be settled before claimed intents may leave; SERVED_NOTHING: they may. */
static Served
screen(Lane *lane, Flight *flight, const WawpInstance *described, List *holds, const GroupSettings *settings)
{
	ErrorData  *error;

	if (!is_sendable(flight))
		return SERVED_SOME;
	if (flight->intents[0].action == ACTION_INVITE)
		return pass_to_invitations(flight);
	error = flight_prepare(flight);
	if (error)
	{
		refuse_claim(flight, error);
		return SERVED_SOME;
	}
	return flight->intents[0].action == ACTION_ADD
		? screen_adds(lane, flight, described, holds, settings) : SERVED_NOTHING;
}

/* The next of a lane, from behind the last or from the lane's head. */
static int
claim_one(Lane *lane, Intent *claimed)
{
	int64		now = clock_monotonic_ms();
	int			n = 0;

	if (now < lane->head_until)
		n = intent_claim_behind(&lane->key, lane->head_priority, lane->head_id, claimed);
	if (n == 0)
	{
		lane->head_until = 0;
		n = intent_claim(&lane->key, 1, claimed);
	}
	return n;
}

/* One that leaves; who is put back, with all before them, comes first again. */
static void
note_head(Lane *lane, const Intent *claimed)
{
	if (lane->head_until == 0)
		lane->head_until = clock_monotonic_ms() + HEAD_IS_KNOWN_MS;
	lane->head_priority = claimed->priority;
	lane->head_id = claimed->id;
}

/*
 * Claims what the lane's head is, resolves it as its requester and records it
 * as sent.  *claimed: how many of the granted permits it takes.
 */
static Served
claim_flight(Lane *lane, const WawpInstance *described, List *holds, const GroupSettings *settings,
			 const BudgetPermit *permit, int *claimed)
{
	int			limit = Max(permit->granted, 1);
	Flight	   *flight = flight_make(lane, limit);
	Served		served;

	flight->n = permit->granted > 1 ? intent_claim(&lane->key, limit, flight->intents)
		: permit->granted > 0 ? claim_one(lane, flight->intents)
		: intent_claim_other(&lane->key, flight->intents);
	if (flight->n == 0)
	{
		MemoryContextDelete(flight->memory);
		return SERVED_NOTHING;
	}
	flight_keep_intents(flight);
	served = screen(lane, flight, described, holds, settings);
	if (served != SERVED_NOTHING)
	{
		MemoryContextDelete(flight->memory);
		return served;
	}
	flight_name_people(flight);
	flight->operation = intent_operation(flight->intents[0].action);
	flight->is_paced = (flight->operation == WAWP_OP_ADD);
	flight->permit = *permit;
	*claimed = flight->is_paced ? flight->n : 0;
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

/* Serves one due lane: at most one request. */
static void
serve_lane(void *subject, List *holds)
{
	Lane	   *lane = subject;
	int64		held = lanehold_until(holds, &lane->key);
	WawpInstance *described;
	ErrorData  *error;
	GroupSettings settings;
	BudgetPermit permit;
	int			used = 0;
	Served		served;

	if (held > 0)
	{
		lanes_schedule(lane, held);
		return;
	}
	error = resolve_instance(&lane->key, NULL, &described);
	if (error)
	{
		hold_set(NameStr(lane->key.instance), lane->key.group, error->message,
				 GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000), 1);
		lanes_schedule(lane, clock_monotonic_ms() + RESOLVE_RETRY_MS);
		return;
	}
	if (!admission_has_room(lane, described))
	{
		lanes_park(lane);
		return;
	}
	/* an empty lane does not ask: the next token would be kept from sessions, and from a lane that has use for it */
	if (lane->is_fresh && described->adds_per_minute > 0 && intent_next_due(&lane->key) == 0)
	{
		postpone_lane(lane);
		return;
	}
	settings = settings_get(&lane->key);
	permit = take_adds(described, lanehold_find(holds, &lane->key, true), &lane->key, &settings);
	if (permit.granted == 0 && !lane->is_fresh)
	{
		lanes_schedule(lane, (permit.next_at + 999) / 1000);
		return;
	}
	served = claim_flight(lane, described, holds, &settings, &permit, &used);
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

/* Serves the lanes that are due, as far as there are slots. */
void
claim_due(List *holds)
{
	Lane	   *lane;

	while (admission_may_claim() && (lane = lanes_take_due(clock_monotonic_ms())) != NULL)
		if (!isolation_run(serve_lane, lane, holds))
			lanes_schedule(lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
}
