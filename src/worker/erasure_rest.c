/*-------------------------------------------------------------------------
 *
 * erasure_rest.c
 *	  Completes erasures.
 *
 * When the transactions that were open as a person was erased have ended
 * (tables/erasure.c), the rows that were written since are looked through.  That
 * reads each table once, without comparing what is older, for one person a
 * cycle, and leaves the worker nine tenths of its time.  Rows that somebody has
 * locked are tried again.
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

#include "compat.h"

/* Transactions that are waited for are looked at so often. */
#define ERASURE_RETRY_MS 1000
#define ERASURE_SHARE 9

static int64 next_ms = CLOCK_NEVER; /* monotonic */

/* Return when there is something to do without news. */
int64
erasure_rest_next_ms(void)
{
	return next_ms;
}

/* Wait after an error. */
void
erasure_rest_put_off(void)
{
	next_ms = clock_monotonic_ms() + ERASURE_RETRY_MS;
}

/* Erase what was written since, for subtransaction_try(). */
static bool
erasure_run_rest(void *subject)
{
	const OpenErasure *erasure = subject;
	IntentRequester worker = {0};

	/* notes that were taken in this cycle may name the person */
	audit_flush();
	person_cancel_intents(&erasure->person, &worker);
	(void) person_erase(&erasure->person, erasure->since);
	erasure_close(erasure);
	return true;
}

/* Complete an erasure; false if a row is locked. */
static bool
erasure_try_rest(OpenErasure *erasure)
{
	ErrorData  *error = subtransaction_try(erasure_run_rest, erasure);

	if (error && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	return error == NULL;
}

/* Complete one erasure, if its writers have ended; true if that was done. */
bool
erasure_rest_complete(void)
{
	int64		began = clock_monotonic_ms();
	OpenErasure erasure;
	bool		is_done;

	next_ms = CLOCK_NEVER;
	if (!erasure_is_open())
		return false;
	erasure_note_writers();
	is_done = erasure_next(&erasure) && erasure_try_rest(&erasure);
	if (is_done)
		completion_note_failures();
	next_ms = clock_monotonic_ms() + (is_done ? ERASURE_SHARE * (clock_monotonic_ms() - began) : ERASURE_RETRY_MS);
	return is_done;
}
