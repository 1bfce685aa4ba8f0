/*-------------------------------------------------------------------------
 *
 * notice.c
 *	  Tells listeners what has been settled.
 *
 * Off unless wawp.notify is on: NOTIFY takes a lock of the whole database at
 * commit.  Listeners get what committed, on the channel "wawp".
 *
 * IDENTIFICATION
 *	  src/tables/notice.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "commands/async.h"
#include "tables/notice.h"

#include "compat.h"

/* Payload: a JSON object of the intent's id, state and outcome; no number. */
void
notice_settled(int64 id, const char *state, const char *outcome)
{
	if (wawp_notify)
		Async_Notify("wawp", psprintf("{\"id\": " INT64_FORMAT ", \"state\": \"%s\", \"outcome\": \"%s\"}",
									  id, state, outcome));
}
