/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The SQL functions for the opt-out list and for people who wrote to us.
 *
 * For roles that the extension's owner grants them to; they write the owner's
 * tables as the owner, in the caller's transaction.  A change of the opt-out
 * list leaves a note, which the worker moves to the audit log (kind "policy").
 *
 * IDENTIFICATION
 *	  src/queue/control.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/commit_wake.h"
#include "base/encoding.h"
#include "base/requester.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "fmgr.h"
#include "protocol/jid.h"
#include "queue/enqueue.h"
#include "tables/contact.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/suppression.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_suppress);
PG_FUNCTION_INFO_V1(wawp_unsuppress);
PG_FUNCTION_INFO_V1(wawp_note_contact);

/* A person in normal form. */
static const char *
arg_person(FunctionCallInfo fcinfo, int n)
{
	const char *input = text_limit_arg(fcinfo, n, TEXT_JID);
	const char *utf8 = text_from_server(input ? input : "");
	Jid			jid = jid_parse(utf8, strlen(utf8));

	if (jid.kind != JID_PERSON && jid.kind != JID_LID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid person \"%s\"", input ? input : "null"),
				 errhint("A person is \"<digits>@c.us\", or a phone number with its country code.")));
	return pstrdup(jid.text);
}

/* A group in normal form; "" for NULL, which means all. */
static const char *
arg_group_or_all(FunctionCallInfo fcinfo, int n)
{
	const char *input = text_limit_arg(fcinfo, n, TEXT_GROUP_JID);
	Jid			jid;

	if (input == NULL)
		return "";
	jid = jid_parse(input, strlen(input));
	if (jid.kind != JID_GROUP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid group JID \"%s\"", input),
				 errhint("A group JID is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"; NULL means all groups.")));
	return pstrdup(jid.text);
}

/* Ends a change of the opt-out list, and records it if there was one. */
static void
control_end_change(const SqlOwner *before, bool changed, const char *person, const char *group,
				   const char *what, const IntentAsker *asker)
{
	if (changed)
		intent_note_person("policy", person, group, what, asker);
	sqlrun_end_as_owner(before);
	if (changed)
		commit_wake_worker(NULL);
}

/* (jid text, group_jid text, reason text, until timestamptz): true if something changed. */
Datum
wawp_suppress(PG_FUNCTION_ARGS)
{
	const char *person = arg_person(fcinfo, 0);
	const char *group = arg_group_or_all(fcinfo, 1);
	const char *given = text_limit_arg(fcinfo, 2, TEXT_REASON);
	const char *reason = given ? given : "asked for";
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	bool		changed = suppression_set(person, group, reason,
										  PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3));

	control_end_change(&before, changed, person, group, psprintf("suppressed: %s", reason), &asker);
	PG_RETURN_BOOL(changed);
}

/* (jid text, group_jid text): true if there was a suppression. */
Datum
wawp_unsuppress(PG_FUNCTION_ARGS)
{
	const char *person = arg_person(fcinfo, 0);
	const char *group = arg_group_or_all(fcinfo, 1);
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	bool		lifted = suppression_lift(person, group);

	if (lifted)
		membership_forgive(person, group);
	control_end_change(&before, lifted, person, group, "unsuppressed", &asker);
	PG_RETURN_BOOL(lifted);
}

/* (jid text, at timestamptz): true if something changed. */
Datum
wawp_note_contact(PG_FUNCTION_ARGS)
{
	const char *person = arg_person(fcinfo, 0);
	TimestampTz at = PG_ARGISNULL(1) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(1);
	SqlOwner	before;
	bool		changed;

	asker_require_read_write(fcinfo);
	before = sqlrun_begin_as_owner();
	changed = contact_note_inbound(person, at);
	sqlrun_end_as_owner(&before);
	PG_RETURN_BOOL(changed);
}
