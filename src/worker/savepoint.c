/*-------------------------------------------------------------------------
 *
 * savepoint.c
 *	  What fails in a cycle of the drain holds up nothing else.
 *
 * A row that makes a statement fail must not keep the rest of the queue from
 * being served.  Subtransactions are dear, so there are none until a cycle has
 * failed, and none again after one in which nothing did.  The cycle's
 * transaction is the caller's; the subtransactions are here.
 *
 * IDENTIFICATION
 *	  src/worker/savepoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "tables/audit.h"
#include "tables/worker_status.h"
#include "utils/resowner.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/instance_cache.h"
#include "worker/savepoint.h"

#include "compat.h"

static bool is_isolating;			/* one row or lane at a time may fail */
static int	failures;			/* in the cycle under way */

bool
savepoint_is_on(void)
{
	return is_isolating;
}

/* Shows sessions the error under way. */
static void
savepoint_note_failure(void)
{
	ErrorData  *error = CopyErrorData();

	status_note_error(PART_CYCLE, failures == 0, error->sqlerrcode, instance_cache_redact(error->message));
}

/*
 * Does one piece of a cycle.  Once a cycle has failed, each piece is in a
 * subtransaction of its own, so that what fails is left for later and holds up
 * nothing else; without a failure there is none of that cost.  False: it
 * failed and was undone.
 */
bool
savepoint_run(SavepointWork work, void *subject, struct Holds *holds)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	AttemptMark volatile mark;
	volatile bool succeeded = false;

	if (!is_isolating)
	{
		work(subject, holds);
		return true;
	}
	mark = attempt_mark();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(subject, holds);
		ReleaseCurrentSubTransaction();
		succeeded = true;
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_INSUFFICIENT_RESOURCES)
			admission_note_shortage();
		MemoryContextSwitchTo(caller);
		savepoint_note_failure();
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		audit_forget_numbers();
		attempt_drop_prepared_after(mark);
		failures++;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return succeeded;
}

void
savepoint_begin_cycle(void)
{
	failures = 0;
}

/* The cycle's transaction has committed. */
void
savepoint_committed(void)
{
	is_isolating = failures > 0;
}

/* The cycle's transaction has not. */
void
savepoint_aborted(void)
{
	is_isolating = true;
}
