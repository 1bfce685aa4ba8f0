/*-------------------------------------------------------------------------
 *
 * precheck.c
 *	  Who of the claimed may really leave.
 *
 * What follow.c knows of the group and the people is held against claimed
 * intents before they are sent.  Who cannot go goes back as they were, to the
 * invitations, to another group, or ends; what has to be known first is asked.
 *
 * Everything is in the cycle's transaction and its memory.
 *
 * IDENTIFICATION
 *	  src/worker/precheck.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/audit.h"
#include "tables/group_settings.h"
#include "tables/intent.h"
#include "tables/lanehold.h"
#include "tables/trail.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/follow.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/precheck.h"

#include "compat.h"

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
		completion_note_failures();
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
		completion_note_failures();
	return all;
}

/* It is queued again as it was, unless the same person is asked for again meanwhile. */
void
screen_put_back(const Intent *intent)
{
	IntentChange change = {
		.state = STATE_QUEUED,
		.has_outcome = intent->has_outcome,
		.outcome = intent->outcome,
		.code = intent->code,
		.detail = intent->detail,
		.give_attempt_back = true
	};

	(void) intent_settle(intent->id, STATE_SENDING, &change);
	if (change.state == STATE_CANCELLED)
		completion_note_failures();
}

static void
put_back(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
		screen_put_back(&flight->intents[i]);
}

/* What has to be known first is asked; the lane goes on with the answer. */
static Served
ask_first(Lane *lane, const Flight *flight, const WawpInstance *described, const InfoNeed *need)
{
	int64		later;

	put_back(flight);
	lanes_prepare(lane);
	if (group_cache_get(&lane->key)->asking & need->question)
		return SERVED_ASKING;
	if (!admission_has_room(lane, described))
		lanes_park(lane);
	else if (!group_cache_ask(&lane->key, flight->intents[0].requester, need, described, &later))
	{
		if (later == 0)
			return SERVED_SOME;
		if (need->question == ASK_EXISTS)
			lanes_schedule(lane, later);
		else
			lanes_wait(lane, QUEUE_READ, later);
	}
	return SERVED_ASKING;
}

/* The group takes nobody: they go to the next group, or wait. */
static Served
turn_away(Lane *lane, const Flight *flight, Holds *holds, FollowGroup why, const GroupSettings *settings)
{
	WawpOutcome outcome = why == GROUP_FULL ? WAWP_GROUP_FULL : WAWP_NOT_ADMIN;
	LaneKey		next = lane->key;

	if (why != GROUP_FULL || settings->overflow_group == NULL)
	{
		put_back(flight);
		lanehold_set(&lane->key, holds, outcome, false, -1, NULL);
		lanes_retry(lane);
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
screen_people(Flight *flight, const WawpInstance *described, const GroupSettings *settings, InfoNeed *need,
			  bool *changed)
{
	const CachedGroup *cached = group_cache_get(&flight->lane->key);
	int			kept = 0;

	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change;

		if (!follow_refuses(&flight->intents[i], cached, described, settings, need, &change))
		{
			flight->intents[kept++] = flight->intents[i];
			continue;
		}
		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
		completion_remember(&flight->intents[i], change.outcome, change.state);
		completion_note_end(&flight->intents[i], change.state);
		*changed = true;
	}
	flight->n = kept;
	return kept > 0 && need->question == 0;
}

/* Looks at the claimed additions before they leave; SERVED_NOTHING: they may. */
static Served
screen_adds(Flight *flight, const WawpInstance *described, Holds *holds, const GroupSettings *settings)
{
	Lane	   *lane = flight->lane;
	InfoNeed	need = {0, NULL};
	FollowGroup group = follow_check_group(group_cache_get(&lane->key), settings, &need);
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
Served
screen_claimed(Flight *flight, const WawpInstance *described, Holds *holds, const GroupSettings *settings)
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
		? screen_adds(flight, described, holds, settings) : SERVED_NOTHING;
}
