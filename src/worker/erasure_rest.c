/*-------------------------------------------------------------------------
 *
 * erasure_rest.c
 *	  Completes erasures.
 *
 * When the transactions that were open as a person was erased have ended
 * (tables/erasure.c), the rows that were written since are looked through: one
 * table a cycle, whose older rows are read but not compared, and of the audit log
 * a portion, found by number.  It leaves the worker nine tenths of its time.
 * Where somebody has locked rows, it is tried again, after others.
 *
 * In the cycle's transaction and its memory.
 *
 * IDENTIFICATION
 *	  src/worker/erasure_rest.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/subtransaction.h"
#include "tables/audit.h"
#include "tables/erasure.h"
#include "utils/elog.h"
#include "worker/completion.h"
#include "worker/erasure_rest.h"
#include "worker/savepoint.h"

#include "compat.h"

/* Transactions that are waited for are looked at so often. */
#define ERASURE_RETRY_MS 1000
#define ERASURE_SHARE 9

static int64 next_ms = CLOCK_NEVER; /* monotonic; CLOCK_NEVER: when there are news */
static int64 began_ms;			/* the last time that something was done */
static int64 last_tried;		/* the contact whose erasure was under way then */
static int64 behind;			/* the one that failed last: others go first */

/* Return when there is something to do without news. */
int64
erasure_rest_next_ms(void)
{
	return next_ms;
}

/* Wait in proportion to what the last time took, at least that long. */
static void
erasure_rest_wait(int64 least_ms)
{
	int64		now = clock_monotonic_ms();

	next_ms = now + Max(least_ms, ERASURE_SHARE * (now - began_ms));
}

/* Wait after an error, and let other erasures go first. */
void
erasure_rest_put_off(void)
{
	behind = last_tried;
	erasure_rest_wait(ERASURE_RETRY_MS);
}

/* Erase from one table what was written since, for subtransaction_try(); no record is written in it. */
static bool
erasure_run_rest(void *subject)
{
	OpenErasure *erasure = subject;
	IntentRequester worker = {0};

	if (erasure->rest.tables == 0)
		person_cancel_intents(&erasure->person, &worker);
	erasure->is_complete = person_erase_rest(&erasure->person, &erasure->rest);
	if (erasure->is_complete)
		erasure_close(erasure);
	else
		erasure_go_on(erasure);
	return true;
}

/* Do so; false if a row is locked.  Records that the cycle has gathered may name the person, and outlive a failure. */
static bool
erasure_try_rest(OpenErasure *erasure)
{
	ErrorData  *error;

	last_tried = *(int64 *) linitial(erasure->person.contacts);
	audit_flush();
	audit_seal();
	error = subtransaction_try(erasure_run_rest, erasure);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	audit_forget_numbers();
	if (!savepoint_is_on())
		audit_gather();
	return false;
}

/* Go on with an erasure whose writers have ended; true if it is complete. */
bool
erasure_rest_complete(void)
{
	int64		now = clock_monotonic_ms();
	OpenErasure erasure;

	if (next_ms != CLOCK_NEVER && now < next_ms)
		return false;
	next_ms = CLOCK_NEVER;
	began_ms = now;
	if (!erasure_note_writers())
		return false;
	if (!erasure_next(&erasure, behind))
		erasure_rest_wait(ERASURE_RETRY_MS);
	else if (!erasure_try_rest(&erasure))
		erasure_rest_put_off();
	else
	{
		completion_note_failures();
		erasure_rest_wait(0);
		return erasure.is_complete;
	}
	return false;
}
