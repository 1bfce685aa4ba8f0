/*-------------------------------------------------------------------------
 *
 * completion.c
 *	  What ends, and what that means for others.
 *
 * Who waits for an intent goes on when it is done and ends with it otherwise;
 * what expires and what the opposite of was asked for ends; a membership that
 * was asked for until some time ends then.  Whoever settles an intent notes it
 * here.  Notes outlive an abort: they make something be looked at, the rows say
 * whether there is anything.  Statements run as intent.c's do, in the cycle's
 * transaction.
 *
 * IDENTIFICATION
 *	  src/worker/completion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/membership.h"
#include "tables/notice.h"
#include "tables/suppression.h"
#include "worker/completion.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"

#include "compat.h"

#define ENDS_AT_ONCE 500

static bool look_at_dependents; /* something ended otherwise than well */
static bool superseded_left;	/* for a later cycle */
static bool has_dependents_is_known;	/* in the cycle under way: */
static bool has_dependents;		/* does any intent wait for another? */
static bool has_joined;			/* somebody, in a group that welcomes, since that was last forgotten */
static int64 next_end = 0;		/* of a membership; monotonic ms */
static int64 next_expiry = CLOCK_NEVER; /* likewise */

void
completion_begin_cycle(void)
{
	has_dependents_is_known = false;
}

/* Some ended otherwise than well: what waits for them is looked at. */
void
completion_note_failures(void)
{
	look_at_dependents = true;
}

/*
 * What waits for an intent that is done may go on.  Mostly nothing waits for
 * any; what is asked for later than that was looked at wakes the worker itself.
 */
void
completion_note_done(int64 id)
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

/* Notes that somebody has joined a group. */
void
completion_note_joined(const LaneKey *lane)
{
	has_joined = has_joined || settings_welcomes(lane);
}

/* True if somebody has joined a group that welcomes people. */
bool
completion_has_joined(void)
{
	return has_joined;
}

/* Forgets who has joined: welcomes are being taken care of. */
void
completion_forget_joined(void)
{
	has_joined = false;
}

/* A membership ends then; 0: it does not. */
void
completion_note_until(TimestampTz until)
{
	if (until != 0)
		next_end = Min(next_end, clock_monotonic_of(until) + 1);
}

/* What waits for an intent that ended may go on, or ends with it. */
void
completion_note_end(const Intent *intent, IntentState state)
{
	if (state == STATE_FAILED || state == STATE_CANCELLED)
		look_at_dependents = true;
	if (state != STATE_DONE)
		return;
	if (intent->action == ACTION_ADD || intent->action == ACTION_INVITE)
		completion_note_joined(&intent->lane);
	completion_note_done(intent->id);
	completion_note_until(intent->until);
}

/* Stores what the end of an intent tells about the person, and notifies listeners. */
void
completion_remember(const Intent *intent, WawpOutcome outcome, IntentState state)
{
	int64		contact = contact_id(intent->jid.text);
	bool		is_done = state == STATE_DONE;

	if (state == STATE_QUEUED)
		return;
	if (is_done && intent->action == ACTION_REMOVE)
		membership_note_removed(&intent->lane, contact);
	else if (is_done && (intent->action == ACTION_ADD || intent->action == ACTION_INVITE))
		membership_note_added(&intent->lane, contact, outcome != WAWP_ALREADY_MEMBER, outcome != WAWP_ACCEPTED,
							  intent->until, intent->requester, intent->requested_by, intent->reason);
	else if (outcome == WAWP_RECENTLY_LEFT || outcome == WAWP_REMOVED_BY_ADMIN)
		suppression_set(intent->jid.text, intent->lane.group, outcome_info(outcome)->text, 0);
	else if (outcome == WAWP_BLOCKED_BY_USER)
		suppression_set(intent->jid.text, "", outcome_info(outcome)->text, 0);
	notice_settled(intent->id, intent_state_name(state), outcome_info(outcome)->name);
}

/* What the opposite of was asked for ends as far as it has come. */
void
completion_end_superseded(bool anything_new)
{
	ListCell   *lc;

	List	   *ended;

	if (!anything_new && !superseded_left)
		return;
	ended = intent_end_superseded(ENDS_AT_ONCE);
	superseded_left = list_length(ended) == ENDS_AT_ONCE;
	foreach(lc, ended)
	{
		const Intent *intent = lfirst(lc);

		if (intent->state == STATE_DONE)
			completion_remember(intent, intent->outcome, intent->state);
		completion_note_end(intent, intent->state);
		lanes_note(&intent->lane, clock_monotonic_ms());
	}
}

/* What expired (true: there are notes of that), and what waits for something that did not succeed. */
bool
completion_end_hopeless(bool anything_new)
{
	bool		expired = false;
	TimestampTz expiry;

	if (anything_new || next_expiry <= clock_monotonic_ms())
	{
		expired = intent_expire(ENDS_AT_ONCE) > 0;
		look_at_dependents |= expired;
		expiry = intent_next_expiry();
		next_expiry = expiry == 0 ? CLOCK_NEVER : clock_monotonic_of(expiry) + 1;
	}
	if (anything_new || look_at_dependents)
		look_at_dependents = intent_fail_dependents(ENDS_AT_ONCE) > 0;
	return expired;
}

/* Memberships whose time is over: their removal is queued. */
void
completion_end_memberships(bool rescan)
{
	ListCell   *lc;
	TimestampTz next;

	if (next_end > clock_monotonic_ms() && !rescan)
		return;
	foreach(lc, membership_take_ended(ENDS_AT_ONCE))
	{
		const MembershipEnd *end = lfirst(lc);
		WawpInstance *described;

		if (resolve_instance(&end->lane, INSTANCE_OF_NOBODY, &described) != NULL)
			membership_put_off_end(end, GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000));
		else if (intent_enqueue_removal(&end->lane, described->instance_id, end->jid,
										end->requester, end->requested_by, end->reason) != 0)
			lanes_note(&end->lane, clock_monotonic_ms());
	}
	next = membership_next_end();
	next_end = next == 0 ? CLOCK_NEVER : clock_monotonic_of(next) + 1;
}

/* Did something end since it was last looked for whom that ends, too, or were there too many? */
bool
completion_has_more(void)
{
	return look_at_dependents || superseded_left;
}

/* Ending memberships failed: not at once again. */
void
completion_put_off_memberships(void)
{
	next_end = clock_monotonic_ms() + RESOLVE_RETRY_MS;
}

/* When the next intent expires, in monotonic ms. */
int64
completion_next_expiry(void)
{
	return next_expiry;
}

/* When the next membership ends, likewise. */
int64
completion_next_membership(void)
{
	return next_end;
}
