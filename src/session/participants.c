/*-------------------------------------------------------------------------
 *
 * participants.c
 *	  The SQL functions that add, remove, promote and demote people, and say what an addition would meet.
 *
 * They raise an error only for what is known before the network, and for
 * cancel; everything else is a row's outcome.  send.c sends, session_verify.c
 * reads who joined.  Memory: that of the call (api.c).  No locks.
 *
 * IDENTIFICATION
 *	  src/session/participants.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "session/api.h"
#include "session/check.h"
#include "session/participants.h"
#include "session/send.h"
#include "session/session_verify.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_add_participants);
PG_FUNCTION_INFO_V1(wawp_remove_participants);
PG_FUNCTION_INFO_V1(wawp_promote_participants);
PG_FUNCTION_INFO_V1(wawp_demote_participants);
PG_FUNCTION_INFO_V1(wawp_check_participants);

/* Return why a JID cannot be sent as a participant; NULL: it can.  Only a phone number can be added. */
static const char *
participants_problem(WawpOperation operation, const CallPerson *person)
{
	if (person->input == NULL)
		return "the element is null";
	if (person->jid.kind == JID_INVALID)
		return person->jid.problem;
	if (person->jid.kind == JID_GROUP)
		return "a group is not a person";
	if (person->jid.kind == JID_LID && operation == WAWP_OP_ADD)
		return "a privacy id cannot be added; use the phone number";
	return NULL;
}

/* The first person of each JID. */
typedef struct JidEntry
{
	char		jid[JID_SIZE];	/* hash key, must be first */
	CallPerson *person;
} JidEntry;

/*
 * Make a person of each input, in the current context.  Write to elements[i]
 * the one that answers for the i-th input, so that duplicates share the first,
 * and to `sendable` those that are to be sent.  Return how many the latter are.
 */
int
participants_collect(WawpOperation operation, const char **inputs, int n,
					 CallPerson **elements, CallPerson **sendable)
{
	HTAB	   *seen = api_make_jid_table(n, sizeof(JidEntry));
	int			nsendable = 0;

	for (int i = 0; i < n; i++)
	{
		CallPerson *person = palloc0(sizeof(CallPerson));
		const char *problem;
		JidEntry   *entry;
		bool		found;

		person->input = inputs[i];
		if (inputs[i])
			person->jid = api_parse_jid(inputs[i]);
		elements[i] = person;
		problem = participants_problem(operation, person);
		if (problem)
		{
			person->outcome = WAWP_BAD_IDENTIFIER;
			person->detail = problem;
			continue;
		}
		entry = hash_search(seen, person->jid.text, HASH_ENTER, &found);
		if (!found)
		{
			entry->person = person;
			sendable[nsendable++] = person;
		}
		elements[i] = entry->person;
	}
	return nsendable;
}

static void
participants_put_row(FunctionCallInfo fcinfo, const CallPerson *person)
{
	Datum		values[6];
	bool		nulls[6] = {false};
	bool		is_bad = person->outcome == WAWP_BAD_IDENTIFIER && !person->sent;

	values[0] = api_text_datum(is_bad ? person->input : person->jid.text, &nulls[0]);
	values[1] = api_outcome_datum(fcinfo, 1, person->outcome);
	values[2] = api_int_datum(person->code, person->code != 0, &nulls[2]);
	values[3] = api_text_datum(person->detail, &nulls[3]);
	values[4] = BoolGetDatum(person->verified);
	values[5] = TimestampTzGetDatum(person->retry_at);
	nulls[5] = (person->retry_at == 0);
	api_put_row(fcinfo, values, nulls);
}

/* Note that a person is not sent, for a reason that the check found. */
static void
participants_note_unsent(CallPerson *person)
{
	const char *reason = person->detail ? person->detail : outcome_info(person->outcome)->text;

	if (strncmp(reason, SESSION_NOT_SENT, strlen(SESSION_NOT_SENT)) != 0)
		person->detail = psprintf(SESSION_NOT_SENT "%s", reason);
}

/* Check people before they are added, and move those who can be to the front.  Return how many these are. */
static int
participants_precheck(const WawpInstance *instance, const char *group, CallPerson **people, int npeople)
{
	int			kept = 0;

	check_people(instance, group, true, people, npeople);
	for (int i = 0; i < npeople; i++)
	{
		CallPerson *person = people[i];

		if (!check_is_addable(person))
		{
			participants_note_unsent(person);
			continue;
		}
		person->detail = NULL;
		people[i] = people[kept];
		people[kept++] = person;
	}
	return kept;
}

/* The arguments of a call about participants, and the people among them. */
typedef struct ParticipantsCall
{
	const char *group;
	WawpInstance *instance;
	int			n;
	CallPerson **elements;		/* one for each input, in input order */
	int			nsendable;
	CallPerson **sendable;		/* those that can be sent, each person once */
} ParticipantsCall;

/* Read (group_jid text, jids text[], instance name). */
static ParticipantsCall
participants_arguments(FunctionCallInfo fcinfo, WawpOperation operation)
{
	ParticipantsCall call = {.group = api_arg_group(fcinfo, 0)};
	const char **inputs = api_arg_texts(fcinfo, 1, "jids", &call.n);

	call.instance = api_arg_instance(fcinfo, 2);
	call.elements = palloc(sizeof(CallPerson *) * Max(call.n, 1));
	call.sendable = palloc(sizeof(CallPerson *) * Max(call.n, 1));
	call.nsendable = participants_collect(operation, inputs, call.n, call.elements, call.sendable);
	return call;
}

/*
 * Serve all four: (group_jid text, jids text[], instance name, reason text
 * [, verify bool, precheck bool]).  The reason is for the audit record.
 */
static Datum
participants_change(FunctionCallInfo fcinfo, WawpOperation operation, bool verify, bool precheck)
{
	ApiCall		api = api_begin_acting(fcinfo, true);
	ParticipantsCall call = participants_arguments(fcinfo, operation);
	const char *reason = api_arg_limited(fcinfo, 3, TEXT_REASON);
	int			capacity;

	if (precheck)
		call.nsendable = participants_precheck(call.instance, call.group, call.sendable, call.nsendable);
	capacity = session_membership(call.instance, operation, call.group, reason, call.sendable, call.nsendable);
	if (verify && session_verify_added(call.instance, call.group, capacity, call.sendable, call.nsendable))
		session_note_verified(call.instance, call.group, reason, call.sendable, call.nsendable);
	for (int i = 0; i < call.n; i++)
		participants_put_row(fcinfo, call.elements[i]);
	api_end(&api);
	return (Datum) 0;
}

Datum
wawp_add_participants(PG_FUNCTION_ARGS)
{
	/* 0.1's has no precheck */
	bool		precheck = PG_NARGS() > 5 && !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);

	return participants_change(fcinfo, WAWP_OP_ADD, !PG_ARGISNULL(4) && PG_GETARG_BOOL(4), precheck);
}

Datum
wawp_remove_participants(PG_FUNCTION_ARGS)
{
	return participants_change(fcinfo, WAWP_OP_REMOVE, false, false);
}

Datum
wawp_promote_participants(PG_FUNCTION_ARGS)
{
	return participants_change(fcinfo, WAWP_OP_PROMOTE, false, false);
}

Datum
wawp_demote_participants(PG_FUNCTION_ARGS)
{
	return participants_change(fcinfo, WAWP_OP_DEMOTE, false, false);
}

/* Put a row of what an addition would meet; no outcome: nothing is known that would keep the person out. */
static void
participants_put_checked(FunctionCallInfo fcinfo, const CallPerson *person)
{
	Datum		values[3];
	bool		nulls[3] = {false};
	const char *detail = person->detail;

	if (detail && strncmp(detail, SESSION_NOT_SENT, strlen(SESSION_NOT_SENT)) == 0)
		detail += strlen(SESSION_NOT_SENT);
	values[0] = api_text_datum(person->outcome == WAWP_BAD_IDENTIFIER ? person->input : person->jid.text, &nulls[0]);
	values[1] = api_outcome_datum(fcinfo, 1, person->outcome);
	nulls[1] = person->outcome == WAWP_ACCEPTED;
	values[2] = api_text_datum(detail, &nulls[2]);
	api_put_row(fcinfo, values, nulls);
}

/* (group_jid text, jids text[], instance name): one row per element, in input order. */
Datum
wawp_check_participants(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	ParticipantsCall call = participants_arguments(fcinfo, WAWP_OP_ADD);

	check_people(call.instance, call.group, false, call.sendable, call.nsendable);
	for (int i = 0; i < call.n; i++)
		participants_put_checked(fcinfo, call.elements[i]);
	api_end(&api);
	return (Datum) 0;
}
