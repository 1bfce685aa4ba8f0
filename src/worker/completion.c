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
#include "tables/membership.h"
#include "worker/completion.h"
#include "worker/follow.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/welcome.h"

#include "compat.h"

#define ENDS_AT_ONCE 500

static bool look_at_dependents; /* something ended otherwise than well */
static bool superseded_left;	/* for a later cycle */
static bool has_dependents_is_known;	/* in the cycle under way: */
static bool has_dependents;		/* does any intent wait for another? */
static int64 next_end = 0;		/* of a membership; monotonic ms */
static int64 next_expiry = CLOCK_NEVER; /* likewise */

void
ending_begin_cycle(void)
{
	has_dependents_is_known = false;
}

/* Some ended otherwise than well: what waits for them is looked at. */
void
ending_note_failures(void)
{
	look_at_dependents = true;
}

/*
 * What waits for an intent that is done may go on.  Mostly nothing waits for
 * any; what is asked for later than that was looked at wakes the worker itself.
 */
void
ending_note_done(int64 id)
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

/* A membership ends then; 0: it does not. */
void
ending_note_until(TimestampTz until)
{
	if (until != 0)
		next_end = Min(next_end, clock_monotonic_of(until) + 1);
}

/* What waits for an intent that ended may go on, or ends with it. */
void
ending_note(const Intent *intent, IntentState state)
{
	if (state == STATE_FAILED || state == STATE_CANCELLED)
		look_at_dependents = true;
	if (state != STATE_DONE)
		return;
	if (intent->action == ACTION_ADD || intent->action == ACTION_INVITE)
		welcome_note_joined(&intent->lane);
	ending_note_done(intent->id);
	ending_note_until(intent->until);
}

/* What the opposite of was asked for ends as far as it has come. */
void
ending_end_superseded(bool anything_new)
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
			follow_remember(intent, intent->outcome, intent->state);
		ending_note(intent, intent->state);
		lanes_note(&intent->lane, clock_monotonic_ms());
	}
}

/* What expired (true: there are notes of that), and what waits for something that did not succeed. */
bool
ending_end_hopeless(bool anything_new)
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
ending_end_memberships(bool rescan)
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
ending_has_more(void)
{
	return look_at_dependents || superseded_left;
}

/* Ending memberships failed: not at once again. */
void
ending_put_off_memberships(void)
{
	next_end = clock_monotonic_ms() + RESOLVE_RETRY_MS;
}

/* When the next intent expires, in monotonic ms. */
int64
ending_next_expiry(void)
{
	return next_expiry;
}

/* When the next membership ends, likewise. */
int64
ending_next_membership(void)
{
	return next_end;
}
