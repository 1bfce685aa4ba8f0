/*-------------------------------------------------------------------------
 *
 * precedence.c
 *	  Decides which of a requester's intents for one person goes.
 *
 * Plans for different times stay side by side in the queue.  When a row is
 * claimed whose requester has others for the same person whose time has come,
 * the one with the latest time goes and the others are cancelled, each with the
 * id of that one.  Intents of other requesters are not looked at, nor is the end of
 * a membership: it goes unless somebody wants the person (precheck.c).
 *
 * Everything is in the cycle's transaction and its memory.  Rows that somebody
 * else has locked are not waited for: the claimed row is put off.  At most
 * OUTDONE_AT_ONCE rows are cancelled for each that is claimed.
 *
 * IDENTIFICATION
 *	  src/worker/precedence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tables/audit.h"
#include "tables/intent.h"
#include "utils/timestamp.h"
#include "worker/completion.h"
#include "worker/precedence.h"

#include "compat.h"

#define OUTDONE_AT_ONCE 200
/* An intent is tried again when rows that it decides in place of were locked. */
#define OUTDONE_RETRY_US USECS_PER_SEC

/* Return the detail of an intent that another one decides in place of. */
static const char *
outdone_detail(int64 decider)
{
	return psprintf("intent " INT64_FORMAT " of the same requester is for a later time and decides", decider);
}

/* Cancel a claimed intent that another one decides in place of. */
static void
precedence_yield(const Intent *intent, int64 decider)
{
	IntentChange change = {
		.state = STATE_CANCELLED,
		.has_outcome = intent->has_outcome,
		.outcome = intent->outcome,
		.detail = outdone_detail(decider),
		.give_attempt_back = true
	};

	(void) intent_settle(intent->id, STATE_SENDING, &change);
	audit_write_cancelled(intent, change.detail);
	completion_note_end(intent, STATE_CANCELLED, intent->outcome);
}

/* Cancel what a claimed intent decides in place of; false if that is not complete. */
static bool
precedence_prevail(const Intent *intent)
{
	const char *detail = outdone_detail(intent->id);
	bool		left;
	ListCell   *lc;

	foreach(lc, intent_cancel_outdone(intent, detail, OUTDONE_AT_ONCE, &left))
	{
		const Intent *outdone = lfirst(lc);

		audit_write_cancelled(outdone, detail);
		completion_note_end(outdone, STATE_CANCELLED, outdone->outcome);
	}
	if (!left && intent_supersede_waiting(intent))
		completion_note_superseded();
	return !left;
}

/* True if the attempt has that person already, before the n-th row: a plan for another time was claimed together with it. */
static bool
precedence_is_repeated(const Attempt *attempt, int n)
{
	for (int i = 0; i < n; i++)
		if (jid_same(&attempt->intents[i].jid, &attempt->intents[n].jid))
			return true;
	return false;
}

/* Put back rows for people whom the attempt has already, so that they are seen as queued. */
static void
precedence_put_repeated_back(Attempt *attempt)
{
	int			kept = 0;

	for (int i = 0; i < attempt->n; i++)
	{
		attempt->intents[kept] = attempt->intents[i];
		if (attempt->intents[kept].has_rivals && precedence_is_repeated(attempt, kept))
			precheck_put_back(&attempt->intents[kept]);
		else
			kept++;
	}
	attempt->n = kept;
}

/*
 * Keep in the attempt the claimed rows that go; cancel those in place of which
 * others decide, and put off those that decide in place of rows that could not
 * all be cancelled.  SERVED_NOTHING if some go.
 */
Served
precedence_settle(Attempt *attempt)
{
	int			kept = 0;

	precedence_put_repeated_back(attempt);
	for (int i = 0; i < attempt->n; i++)
	{
		Intent	   *intent = &attempt->intents[i];
		bool		has_rivals = intent->has_rivals && !intent_ends_membership(intent);
		int64		decider = has_rivals ? intent_decider(intent) : 0;

		if (decider != 0)
			precedence_yield(intent, decider);
		else if (!has_rivals || precedence_prevail(intent))
			attempt->intents[kept++] = *intent;
		else
			precheck_put_off(intent, OUTDONE_RETRY_US, "earlier requests of the same requester for this person are being cancelled");
	}
	attempt->n = kept;
	return kept > 0 ? SERVED_NOTHING : SERVED_SOME;
}
