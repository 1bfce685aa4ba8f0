/*-------------------------------------------------------------------------
 *
 * error_log.c
 *	  The worker's errors in the server's log.
 *
 * An error about values quotes them: "Failing row contains ..." has the number of
 * a person whom no statement of a user names.  Tokens are masked in all errors;
 * numbers long enough to be a telephone's are masked in errors about values and in
 * those that functions raise, not in the server's own (a transaction that cannot
 * be looked up, a file), which are of no use without theirs.
 *
 * Memory: the current context.  Raises nothing.
 *
 * IDENTIFICATION
 *	  src/worker/error_log.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "protocol/redact.h"
#include "worker/error_log.h"
#include "worker/instance_cache.h"

#include "compat.h"

/* True if an error is about values or is a function's own, so that it may quote a row. */
static bool
error_may_quote_a_row(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INTERNAL_ERROR:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return false;
		default:
			return true;
	}
}

/* Mask what a text of an error must not show; NULL stays NULL. */
static void
error_mask(char **text, bool has_numbers)
{
	if (*text == NULL)
		return;
	*text = instance_cache_redact(*text);
	if (has_numbers)
		redact_long_numbers(*text);
}

/* Report the current error, and end it; in a PG_CATCH block. */
void
error_log_report(void)
{
	ErrorData  *error = CopyErrorData();
	bool		has_numbers = error_may_quote_a_row(error);
	char	  **texts[] = {
		&error->message, &error->detail, &error->detail_log, &error->hint, &error->context, &error->internalquery
	};

	for (size_t i = 0; i < lengthof(texts); i++)
		error_mask(texts[i], has_numbers);
	FlushErrorState();
	PG_TRY();
	{
		ReThrowError(error);
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
}
