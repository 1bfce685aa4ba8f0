/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  A piece of work whose error does not end the transaction.
 *
 * The work runs in the caller's memory context.  The subtransaction is over when
 * subtransaction_try() returns, also after an error: whoever raises that again
 * raises it in the caller's own transaction, which a handler may then end.
 * worker/savepoint.c has a way of its own, since it reports the error while the
 * subtransaction is still open.
 *
 * IDENTIFICATION
 *	  src/base/subtransaction.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/subtransaction.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "compat.h"

/*
 * Run work in a subtransaction, which is kept if it returns true.  Return the
 * error that rolled it back, in the current memory context, or NULL.
 */
ErrorData *
subtransaction_try(SubtransactionWork work, void *subject)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		if (work(subject))
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

/* Likewise, but raise the error again, when the subtransaction is over. */
void
subtransaction_run(SubtransactionWork work, void *subject)
{
	ErrorData  *error = subtransaction_try(work, subject);

	if (error)
		ReThrowError(error);
}
