/*-------------------------------------------------------------------------
 *
 * savepoint.c
 *	  Savepoints around the pieces of a cycle, after one has failed.
 *
 * A row that makes a statement fail must not keep the rest of the queue from being
 * served.  Subtransactions are expensive, so there are none until a cycle has
 * failed, and none again after a cycle without failure.  The transaction is owned
 * by worker.c, the subtransactions by this file.
 *
 * IDENTIFICATION
 *	  src/worker/savepoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "tables/audit.h"
#include "tables/intent.h"
#include "tables/worker_status.h"
#include "utils/resowner.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/error_log.h"
#include "worker/instance_cache.h"
#include "worker/savepoint.h"

#include "compat.h"

static bool is_isolating;			/* pieces run in subtransactions */
static int	failures;			/* in the cycle under way */
static bool is_conflict;			/* the last piece that failed could not have a lock, or lost a race for rows */

/* True if pieces run in subtransactions. */
bool
savepoint_is_on(void)
{
	return is_isolating;
}

/* True if the piece that failed last did so because of somebody's lock, which does not last. */
bool
savepoint_lost_to_a_lock(void)
{
	return is_conflict;
}

/* Show the current error in the worker status, and note whether it passes by itself. */
static void
savepoint_note_failure(void)
{
	ErrorData  *error = CopyErrorData();

	is_conflict = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
	status_note_error(PART_CYCLE, failures == 0, error->sqlerrcode, instance_cache_redact(error->message));
}

/*
 * Run one piece of a cycle, in a subtransaction of its own if a cycle has failed.
 * Return false if it failed and was undone; the error is in the log then.
 */
bool
savepoint_run(SavepointWork work, void *subject, struct Holds *holds)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	AttemptMark volatile mark;
	volatile bool has_succeeded = false;

	if (!is_isolating)
	{
		work(subject, holds);
		return true;
	}
	mark = attempt_mark();
	/* a block that the piece seals must not have records from before it, which outlive its failure */
	audit_seal();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(subject, holds);
		ReleaseCurrentSubTransaction();
		has_succeeded = true;
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_INSUFFICIENT_RESOURCES)
			admission_note_shortage(clock_monotonic_ms());
		MemoryContextSwitchTo(caller);
		savepoint_note_failure();
		error_log_report();
		RollbackAndReleaseCurrentSubTransaction();
		audit_forget_numbers();
		intent_note_requeued();
		attempt_drop_prepared_after(mark);
		failures++;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return has_succeeded;
}

void
savepoint_begin_cycle(void)
{
	failures = 0;
}

/* Do without savepoints if nothing has failed, nor is expected to fail again: the cycle's transaction has committed. */
void
savepoint_committed(bool has_retries)
{
	is_isolating = failures > 0 || has_retries;
}

/* Use savepoints from now on: the cycle's transaction has been aborted. */
void
savepoint_aborted(void)
{
	is_isolating = true;
}
