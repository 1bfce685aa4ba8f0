/*-------------------------------------------------------------------------
 *
 * subject.c
 *	  The SQL functions about all that is held on one person.
 *
 * wawp_subject_export() shows it and wawp_erase() removes it, for the extension's
 * owner and the roles that it grants them to, in the caller's transaction.  Both
 * leave a note for the audit log that names the person by contact_id only.  The
 * worker, which is woken at commit, forgets what it has read of people; a request
 * that is on the wire ends without follow-up.  The worker also erases what others
 * were writing meanwhile (tables/erasure.c).
 *
 * Locks: the person's contact, then the rows that change.
 *
 * IDENTIFICATION
 *	  src/queue/subject.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/commit_wake.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "fmgr.h"
#include "queue/enqueue.h"
#include "tables/erasure.h"
#include "tables/erasure_key.h"
#include "tables/intent.h"
#include "tables/person_data.h"
#include "tables/suppression.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_subject_export);
PG_FUNCTION_INFO_V1(wawp_erase);

/* (jid text): all that is held on a person, by table. */
Datum
wawp_subject_export(PG_FUNCTION_ARGS)
{
	const char *jid = enqueue_arg_person(fcinfo, 0);
	IntentRequester by = enqueue_current_requester(fcinfo);
	MemoryContext caller = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_owner();
	Person		person = person_find(jid);
	char	   *found = MemoryContextStrdup(caller, person_export(&person));

	intent_note("exported", NULL, "", person_pseudonym(&person), NULL, &by);
	spi_end_as_owner(&before);
	commit_wake_worker(NULL);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(found));
}

/* Raises unless each statement sees what others have committed meanwhile. */
static void
erase_check_isolation(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("nobody can be erased in a transaction with isolation level \"%s\"",
						GetConfigOption("transaction_isolation", false, false)),
				 errdetail("What the worker commits meanwhile would be missed."),
				 errhint("Use READ COMMITTED.")));
}

/* (jid text, reason text): how many rows changed. */
Datum
wawp_erase(PG_FUNCTION_ARGS)
{
	const char *jid = enqueue_arg_person(fcinfo, 0);
	const char *reason = text_limit_arg(fcinfo, 1, TEXT_REASON);
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before;
	Person		person;
	bool		was_known;
	int64		changed;

	erase_check_isolation();
	before = spi_begin_as_owner();
	person = person_find(jid);
	was_known = person.contacts != NIL;
	erasure_key_require();
	person_keep(&person);
	suppression_set_erased(person.jids);
	erasure_open(&person);
	person_cancel_intents(&person, &by);
	changed = person_erase(&person) - (was_known ? 0 : 1);
	intent_note("erased", NULL, "", person_pseudonym(&person), reason, &by);
	person_erase_notes(&person);
	spi_end_as_owner(&before);
	commit_wake_worker(NULL);
	PG_RETURN_INT64(changed);
}
