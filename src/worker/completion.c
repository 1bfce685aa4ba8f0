/*-------------------------------------------------------------------------
 *
 * completion.c
 *	  The end of an intent, and what it means to others.
 *
 * Whoever settles an intent reports its end to completion_note_end(), which
 * stores what the end tells about the person.  Intents that depend on it go on if
 * it is done and fail otherwise.  Here intents expire, end because the opposite
 * was requested, and memberships end that were requested until some time.
 *
 * In the cycle's transaction; statements run as intent.c's do.  The notes kept
 * here outlive an abort: they only cause a search, and the rows tell what is to
 * be done.
 *
 * IDENTIFICATION
 *	  src/worker/completion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/identity.h"
#include "tables/membership.h"
#include "tables/suppression.h"
#include "utils/timestamp.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"

#include "compat.h"

#define ENDS_AT_ONCE 500
/* A membership ends so much later while a transaction that is still open has queued something for the person, or they are being added ... */
#define PENDING_END_US (5 * USECS_PER_SEC)
/* ... and so much while somebody has queued that the person is added again. */
#define QUEUED_END_US (5 * USECS_PER_MINUTE)

static bool has_failures;		/* an intent has failed since dependents were last checked */
static bool has_superseded;		/* more than fitted into the last cycle */
static bool has_dependents_is_known;	/* in the cycle under way: */
static bool has_dependents;		/* true if any intent depends on another */
static bool welcomes_is_known;	/* in the cycle under way: */
static bool welcomes;			/* true if any group does */
static bool has_joined;			/* somebody, in a group that welcomes, since that was last forgotten */
static int64 next_end = 0;		/* of a membership; monotonic ms */
static int64 next_expiry = CLOCK_NEVER; /* likewise */
static int64 next_arrival = CLOCK_NEVER;	/* of a plan; likewise */

void
completion_begin_cycle(void)
{
	has_dependents_is_known = welcomes_is_known = false;
}

/*
 * ---- reports
 */

/* Note that intents have failed: their dependents are checked. */
void
completion_note_failures(void)
{
	has_failures = true;
}

/*
 * Wake the lanes of intents that depend on one that is done.  Usually no intent
 * depends on any, which is asked once a cycle; one that is inserted after that
 * wakes the worker itself.
 */
static void
completion_wake_dependents(int64 id)
{
	ListCell   *lc;

	if (!has_dependents_is_known)
		has_dependents = intent_has_dependents();
	has_dependents_is_known = true;
	if (!has_dependents)
		return;
	foreach(lc, intent_dependent_lanes(id))
		lanes_note(lfirst(lc), clock_monotonic_ms());
}

/* True if the person may have joined, and been welcomed, before a promotion or a take-over, which is not known here. */
static bool
completion_may_be_welcomed(const Intent *intent)
{
	TimestampTz before = identity_doubtful_before();
	bool		is_in_doubt = intent->has_outcome && intent->outcome == WAWP_UNKNOWN_RESULT;

	if (intent->is_as_taken_over || (is_in_doubt && intent->was_taken_over))
		return true;
	return before != 0 &&
		(intent->since < before || (is_in_doubt && intent_was_asked_before(intent->id, before)));
}

/* Store that an intent's person is in the group. */
static void
completion_store_member(const Intent *intent, int64 contact, WawpOutcome outcome)
{
	MembershipAddition addition = {
		.by_us = outcome != WAWP_ALREADY_MEMBER,
		.seen_at = outcome == WAWP_ACCEPTED ? 0 : intent->seen_at != 0 ? intent->seen_at : GetCurrentTimestamp(),
		.may_be_welcomed = completion_may_be_welcomed(intent)
	};

	membership_note_added(intent, contact, &addition);
}

/* Put a person on the opt-out list, if an intent failed because of them; who was put on it meanwhile, for good, stays for that reason. */
static void
completion_suppress(const Intent *intent, WawpOutcome outcome)
{
	if (outcome == WAWP_RECENTLY_LEFT || outcome == WAWP_REMOVED_BY_ADMIN)
		suppression_set_since(intent->jid.text, intent->lane.group, outcome_info(outcome)->text, GetCurrentTimestamp(), 0);
	else if (outcome == WAWP_BLOCKED_BY_USER)
		suppression_set_since(intent->jid.text, "", outcome_info(outcome)->text, GetCurrentTimestamp(), 0);
}

/* Store what the end of an intent tells about the person, and notify listeners. */
static void
completion_store(const Intent *intent, IntentState state, WawpOutcome outcome, bool is_suppressed)
{
	int64		contact = contact_id(intent->jid.text);
	bool		is_done = state == STATE_DONE;

	if (is_done && intent->action == ACTION_REMOVE)
		membership_note_removed(&intent->lane, contact);
	else if (is_done && (intent->action == ACTION_ADD || intent->action == ACTION_INVITE))
		completion_store_member(intent, contact, outcome);
	else if (!is_suppressed)
		completion_suppress(intent, outcome);
	membership_notify_settled(intent->id, intent_state_name(state), outcome_info(outcome)->name);
}

/* True if the group of an intent welcomes people; that none does is asked once a cycle. */
static bool
completion_is_to_welcome(const Intent *intent)
{
	if (!welcomes_is_known)
		welcomes = settings_welcomes(NULL);
	welcomes_is_known = true;
	return welcomes && settings_welcomes(&intent->lane);
}

/* Take a report; is_suppressed: the person was put on the opt-out list for it before, and may have been taken off since. */
static void
completion_note(const Intent *intent, IntentState state, WawpOutcome outcome, bool is_suppressed)
{
	if (state == STATE_DONE || state == STATE_FAILED)
		completion_store(intent, state, outcome, is_suppressed);
	/* done without a look, as if it had failed: perhaps because the opposite was asked for */
	if (state == STATE_FAILED || state == STATE_CANCELLED ||
		(state == STATE_DONE && intent->verify && outcome == WAWP_ACCEPTED))
		has_failures = true;
	/* while its request was under way, the search for what expires next has not seen it */
	if (intent->expires_at != 0 && (state == STATE_QUEUED || state == STATE_INVITING || state == STATE_PENDING_APPROVAL))
		next_expiry = Min(next_expiry, clock_monotonic_of(intent->expires_at) + 1);
	if (intent->until != 0 && state != STATE_FAILED)
		next_end = Min(next_end, clock_monotonic_of(intent->until) + 1);
	if (state != STATE_DONE)
		return;
	if (intent->action == ACTION_ADD || intent->action == ACTION_INVITE)
		has_joined = has_joined || completion_is_to_welcome(intent);
	completion_wake_dependents(intent->id);
}

/* Take the report of an intent's new state; one that is not final means nothing to others. */
void
completion_note_end(const Intent *intent, IntentState state, WawpOutcome outcome)
{
	completion_note(intent, state, outcome, false);
}

/* Note that an intent under way was cancelled, where it would have had to be queued again, because of another one for the person. */
void
completion_note_replaced(const Intent *intent)
{
	audit_write_cancelled(intent, "another request for the person has replaced it");
	has_failures = true;
}

/* Note that somebody was removed from a group: if it is held because it was full, there is room now. */
void
completion_note_room(const LaneKey *lane, Holds *holds)
{
	if (!hold_try_again(lane, holds, WAWP_GROUP_FULL))
		return;
	group_cache_forget_list(lane);
	lanes_note(lane, clock_monotonic_ms());
}

/* Take the report that an intent has ended because of what put the person on the opt-out list before. */
void
completion_note_late_end(const Intent *intent, IntentState state, WawpOutcome outcome)
{
	completion_note(intent, state, outcome, true);
}

/* True if somebody has joined a group that welcomes people. */
bool
completion_has_joined(void)
{
	return has_joined;
}

/* Forget who has joined: welcomes are being taken care of. */
void
completion_forget_joined(void)
{
	has_joined = false;
}

/*
 * ---- ends
 */

/* Note that intents were superseded: they are ended in the next cycle. */
void
completion_note_superseded(void)
{
	has_superseded = true;
}

/* End intents whose opposite was requested, as far as they have come. */
void
completion_end_superseded(void)
{
	List	   *ended;
	ListCell   *lc;

	ended = intent_end_superseded(ENDS_AT_ONCE);
	has_superseded = list_length(ended) == ENDS_AT_ONCE;
	foreach(lc, ended)
	{
		const Intent *intent = lfirst(lc);

		if (intent->state == STATE_CANCELLED)
			audit_write_cancelled(intent, intent->detail);
		completion_note_end(intent, intent->state, intent->outcome);
		lanes_note(&intent->lane, clock_monotonic_ms());
	}
}

/* Leave superseded intents until there is news, after an error. */
void
completion_put_off_superseded(void)
{
	has_superseded = false;
}

/*
 * Return when what is due next ends, in monotonic ms; next: as the table has it.
 * If that is past and nothing ended, somebody has locked it.
 */
static int64
completion_time_of(TimestampTz next, bool has_ended)
{
	if (next == 0)
		return CLOCK_NEVER;
	if (next <= GetCurrentTimestamp() && !has_ended)
		return clock_monotonic_ms() + LANES_LOCKED_RETRY_MS;
	return clock_monotonic_of(next) + 1;
}

/* Cancel intents that have expired.  Return true if there were any: there are notes of that. */
bool
completion_expire(void)
{
	bool		has_expired = intent_expire(ENDS_AT_ONCE) > 0;

	has_failures |= has_expired;
	next_expiry = completion_time_of(intent_next_expiry(), has_expired);
	return has_expired;
}

/* Put the end of intents that have expired off for a while, after an error. */
void
completion_put_off_expiry(void)
{
	next_expiry = clock_monotonic_ms() + INSTANCE_RETRY_MS;
}

/* Wake the lanes of plans whose time has come. */
void
completion_arrive(void)
{
	TimestampTz next = intent_next_arrival();
	List	   *arrived = NIL;
	ListCell   *lc;

	if (next != 0 && next <= GetCurrentTimestamp())
	{
		arrived = intent_arrive(ENDS_AT_ONCE);
		next = intent_next_arrival();
	}
	foreach(lc, arrived)
		lanes_forget_head(lanes_note(lfirst(lc), clock_monotonic_ms()));
	next_arrival = completion_time_of(next, arrived != NIL);
}

/* Put plans whose time has come off for a while, after an error. */
void
completion_put_off_arrival(void)
{
	next_arrival = clock_monotonic_ms() + INSTANCE_RETRY_MS;
}

/* Return when the time of the next plan comes, in monotonic ms. */
int64
completion_next_arrival(void)
{
	return next_arrival;
}

/* Fail intents that depend on one that failed. */
void
completion_fail_dependents(void)
{
	List	   *failed = intent_fail_dependents(ENDS_AT_ONCE);
	ListCell   *lc;

	foreach(lc, failed)
	{
		const Intent *intent = lfirst(lc);

		audit_write_failed(intent, intent->detail);
	}
	has_failures = failed != NIL;
}

/* Leave dependents until there is news, after an error. */
void
completion_put_off_dependents(void)
{
	has_failures = false;
}

/* Queue the removals of memberships whose time is over. */
void
completion_end_memberships(void)
{
	List	   *ended = membership_take_ended(ENDS_AT_ONCE);
	ListCell   *lc;

	foreach(lc, ended)
	{
		const MembershipEnd *end = lfirst(lc);

		/* of another account than the instance has now, the removal is queued and held */
		const char *account = end->instance_id ? end->instance_id : instance_id_of(NameStr(end->lane.instance));

		if (intent_is_pending(&end->lane, end->jid, end->requester) || intent_has_addition_under_way(&end->lane, end->jid))
			membership_put_off_end(end, GetCurrentTimestamp() + PENDING_END_US);
		/* which decides until when they stay, unless it is cancelled or fails */
		else if (intent_has_addition_queued(&end->lane, end->jid))
			membership_put_off_end(end, GetCurrentTimestamp() + QUEUED_END_US);
		else if (account == NULL)
			membership_put_off_end(end, GetCurrentTimestamp() + INSTANCE_RETRY_MS * INT64CONST(1000));
		else if (intent_enqueue_removal(&end->lane, account, end->jid,
										end->requester, end->requested_by, end->reason) != 0)
			lanes_note(&end->lane, clock_monotonic_ms());
		/* what the requester has queued for the person, and waits for its turn, may come to nothing */
		else
			membership_put_off_end(end, GetCurrentTimestamp() + QUEUED_END_US);
	}
	next_end = completion_time_of(membership_next_end(), ended != NIL);
}

/* True if an intent has failed since dependents were last checked. */
bool
completion_has_failures(void)
{
	return has_failures;
}

/* True if more intents were superseded than fitted into the last cycle. */
bool
completion_has_superseded(void)
{
	return has_superseded;
}

/* Put the end of memberships off for a while, after an error. */
void
completion_put_off_memberships(void)
{
	next_end = clock_monotonic_ms() + INSTANCE_RETRY_MS;
}

/* Return when the next intent expires, in monotonic ms. */
int64
completion_next_expiry(void)
{
	return next_expiry;
}

/* Return when the next membership ends, likewise. */
int64
completion_next_membership(void)
{
	return next_end;
}
