/*-------------------------------------------------------------------------
 *
 * participants.c
 *	  The SQL functions that call the API in the session, and the pure ones.
 *
 * Thin: arguments are checked here, call.c does the work, wire.c reads the
 * answer.  Each function that calls the API works in a memory context of its
 * own below the caller's, dropped when it returns and, with all that libcurl
 * holds, on any error.
 *
 * What raises and what is a row: the four membership functions raise only for
 * what is known before the network and for cancel; the others raise.
 *
 * IDENTIFICATION
 *	  src/session/participants.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "access/xlog.h"
#include "base/encoding.h"
#include "base/requester.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "client/call.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "protocol/json.h"
#include "protocol/redact.h"
#include "session/participants.h"
#include "session/send.h"
#include "session/session_verify.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"

#define SESSION_USABLE "WORKING"
#define GROUPS_PER_PAGE 100

PG_FUNCTION_INFO_V1(wawp_jid);
PG_FUNCTION_INFO_V1(wawp_is_group_jid);
PG_FUNCTION_INFO_V1(wawp_is_person_jid);
PG_FUNCTION_INFO_V1(wawp_classify);
PG_FUNCTION_INFO_V1(wawp_outcome_info);
PG_FUNCTION_INFO_V1(wawp_add_participants);
PG_FUNCTION_INFO_V1(wawp_remove_participants);
PG_FUNCTION_INFO_V1(wawp_promote_participants);
PG_FUNCTION_INFO_V1(wawp_demote_participants);
PG_FUNCTION_INFO_V1(wawp_participants);
PG_FUNCTION_INFO_V1(wawp_group_info);
PG_FUNCTION_INFO_V1(wawp_groups);
PG_FUNCTION_INFO_V1(wawp_create_group);
PG_FUNCTION_INFO_V1(wawp_invite_link);
PG_FUNCTION_INFO_V1(wawp_revoke_invite_link);
PG_FUNCTION_INFO_V1(wawp_send_text);
PG_FUNCTION_INFO_V1(wawp_check_exists);
PG_FUNCTION_INFO_V1(wawp_session);

static bool is_preloaded = false;

/* What one SQL call needs from its start to its end. */
typedef struct ApiCall
{
	FunctionCallInfo fcinfo;
	MemoryContext work;			/* everything of this call */
	MemoryContext caller;
} ApiCall;

void
api_init(bool preloaded)
{
	is_preloaded = preloaded;
}

/*
 * ---- begin, end, rows
 */

static void
check_situation(const char *function)
{
	if (!is_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s() needs wawp to be preloaded", function),
				 errhint("Add wawp to shared_preload_libraries and restart the server.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s() cannot be called during recovery", function),
				 errhint("Call it on the primary server.")));
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("%s() cannot be called in a parallel worker", function)));
}

static ApiCall
api_begin(FunctionCallInfo fcinfo, bool returns_set)
{
	ApiCall		api = {.fcinfo = fcinfo};

	check_situation(get_func_name(fcinfo->flinfo->fn_oid));
	if (returns_set)
		InitMaterializedSRF(fcinfo, 0);
	api.work = AllocSetContextCreate(CurrentMemoryContext, "wawp call", ALLOCSET_DEFAULT_SIZES);
	api.caller = MemoryContextSwitchTo(api.work);
	return api;
}

/* The same for a function with an effect outside. */
static ApiCall
api_begin_acting(FunctionCallInfo fcinfo, bool returns_set)
{
	ApiCall		api = api_begin(fcinfo, returns_set);

	asker_require_read_write(fcinfo);
	return api;
}

static void
api_end(ApiCall *api)
{
	MemoryContextSwitchTo(api->caller);
	MemoryContextDelete(api->work);
}

/* Ends a call that returns one text of the API, or NULL. */
static Datum
api_return_text(ApiCall *api, const char *utf8)
{
	text	   *result = NULL;

	if (utf8)
	{
		const char *converted = text_to_server(utf8);

		MemoryContextSwitchTo(api->caller);
		result = cstring_to_text(converted);
	}
	api_end(api);
	if (result == NULL)
	{
		api->fcinfo->isnull = true;
		return (Datum) 0;
	}
	return PointerGetDatum(result);
}

static void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
text_datum(const char *utf8, bool *isnull)
{
	*isnull = (utf8 == NULL);
	return utf8 ? CStringGetTextDatum(text_to_server(utf8)) : (Datum) 0;
}

static Datum
jid_datum(const Jid *jid, bool *isnull)
{
	return text_datum(jid->kind == JID_INVALID ? NULL : jid->text, isnull);
}

static Datum
int_datum(int value, bool is_known, bool *isnull)
{
	*isnull = !is_known;
	return Int32GetDatum(value);
}

/* The label of wawp.outcome, in the type of the result's column. */
static Datum
outcome_datum(FunctionCallInfo fcinfo, int column, WawpOutcome outcome)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			type = TupleDescAttr(rsinfo->setDesc, column)->atttypid;

	return DirectFunctionCall2(enum_in, CStringGetDatum(outcome_info(outcome)->name),
							   ObjectIdGetDatum(type));
}

/*
 * ---- arguments
 */

static const char *
arg_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_from_server(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

/* A text within its limit, or NULL. */
static const char *
arg_limited(FunctionCallInfo fcinfo, int n, TextLimit limit)
{
	return text_from_server(text_limit_arg(fcinfo, n, limit));
}

static const char *
arg_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	int			limit = text_limit_named(name);
	const char *value = limit >= 0 ? arg_limited(fcinfo, n, (TextLimit) limit) : arg_text(fcinfo, n);

	if (value && pg_encoding_verifymbstr(PG_UTF8, value, strlen(value)) != (int) strlen(value))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("argument \"%s\" must be UTF-8", name)));

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", name)));
	return value;
}

static Jid
parse_text(const char *utf8)
{
	return jid_parse(utf8, strlen(utf8));
}

static const char *
arg_group(FunctionCallInfo fcinfo, int n)
{
	const char *value = arg_required(fcinfo, n, "group_jid");
	Jid			jid = parse_text(value);

	if (jid.kind != JID_GROUP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid group JID \"%s\"", text_to_server(value)),
				 errhint("A group JID is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"; wawp_groups() lists those of an instance.")));
	return pstrdup(jid.text);
}

static WawpInstance *
arg_instance(FunctionCallInfo fcinfo, int n)
{
	return instance_resolve(PG_ARGISNULL(n) ? NULL : NameStr(*PG_GETARG_NAME(n)), GetUserId());
}

/* Elements of a text array as UTF-8, NULL for NULL. */
static const char **
arg_texts(FunctionCallInfo fcinfo, int n, const char *name, int *count)
{
	const char **texts;
	Datum	   *elements;
	bool	   *nulls;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", name),
				 errhint("An empty array asks for nothing.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, count);
	texts = palloc0(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		if (!nulls[i])
			texts[i] = text_from_server(TextDatumGetCString(elements[i]));
	return texts;
}

/*
 * ---- membership
 */

/* Can this JID be sent as a participant?  Only a phone number can be added. */
static const char *
participant_problem(WawpOperation operation, const CallPerson *person)
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

static HTAB *
make_jid_table(int size)
{
	HASHCTL		info = {.keysize = JID_SIZE,.entrysize = sizeof(CallPerson *) + JID_SIZE,
	.hcxt = CurrentMemoryContext};

	return hash_create("wawp people", Max(size, 16), &info, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

typedef struct JidEntry
{
	char		jid[JID_SIZE];
	CallPerson *person;
} JidEntry;

/*
 * Makes a person of each input.  elements[i] is the one that answers for the
 * i-th input: duplicates share the first.  Returns how many are to be sent,
 * the first of `sendable`.
 */
static int
collect_people(WawpOperation operation, const char **inputs, int n,
			   CallPerson **elements, CallPerson **sendable)
{
	HTAB	   *seen = make_jid_table(n);
	int			nsendable = 0;

	for (int i = 0; i < n; i++)
	{
		CallPerson *person = palloc0(sizeof(CallPerson));
		const char *problem;
		JidEntry   *entry;
		bool		found;

		person->input = inputs[i];
		if (inputs[i])
			person->jid = parse_text(inputs[i]);
		elements[i] = person;
		problem = participant_problem(operation, person);
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
put_person(FunctionCallInfo fcinfo, const CallPerson *person)
{
	Datum		values[6];
	bool		nulls[6] = {false};
	bool		is_bad = person->outcome == WAWP_BAD_IDENTIFIER && !person->sent;

	values[0] = text_datum(is_bad ? person->input : person->jid.text, &nulls[0]);
	values[1] = outcome_datum(fcinfo, 1, person->outcome);
	values[2] = int_datum(person->code, person->code != 0, &nulls[2]);
	values[3] = text_datum(person->detail, &nulls[3]);
	values[4] = BoolGetDatum(person->verified);
	values[5] = TimestampTzGetDatum(person->retry_at);
	nulls[5] = (person->retry_at == 0);
	put_row(fcinfo, values, nulls);
}

/*
 * (group_jid text, jids text[], instance name, reason text [, verify bool]).
 * The reason is for the audit record.
 */
static Datum
change_membership(FunctionCallInfo fcinfo, WawpOperation operation, bool verify)
{
	ApiCall		api = api_begin_acting(fcinfo, true);
	const char *group = arg_group(fcinfo, 0);
	int			n;
	const char **inputs = arg_texts(fcinfo, 1, "jids", &n);
	WawpInstance *instance = arg_instance(fcinfo, 2);
	CallPerson **elements = palloc(sizeof(CallPerson *) * Max(n, 1));
	CallPerson **sendable = palloc(sizeof(CallPerson *) * Max(n, 1));
	int			nsendable = collect_people(operation, inputs, n, elements, sendable);
	const char *reason = arg_limited(fcinfo, 3, TEXT_REASON);
	int			capacity = verify && nsendable > 0 ? session_group_capacity(instance, group) : 0;

	session_membership(instance, operation, group, reason, sendable, nsendable);
	if (verify && verify_added(instance, group, capacity, sendable, nsendable))
		session_note_verified(instance, group, reason, sendable, nsendable);
	for (int i = 0; i < n; i++)
		put_person(fcinfo, elements[i]);
	api_end(&api);
	return (Datum) 0;
}

Datum
wawp_add_participants(PG_FUNCTION_ARGS)
{
	return change_membership(fcinfo, WAWP_OP_ADD, !PG_ARGISNULL(4) && PG_GETARG_BOOL(4));
}

Datum
wawp_remove_participants(PG_FUNCTION_ARGS)
{
	return change_membership(fcinfo, WAWP_OP_REMOVE, false);
}

Datum
wawp_promote_participants(PG_FUNCTION_ARGS)
{
	return change_membership(fcinfo, WAWP_OP_PROMOTE, false);
}

Datum
wawp_demote_participants(PG_FUNCTION_ARGS)
{
	return change_membership(fcinfo, WAWP_OP_DEMOTE, false);
}

/*
 * ---- groups
 */

static const char *
role_name(WireRole role)
{
	static const char *const names[] = {
		[WIRE_ROLE_MEMBER] = "member",
		[WIRE_ROLE_ADMIN] = "admin",
		[WIRE_ROLE_OWNER] = "owner"
	};

	return names[role];
}

/* Somebody of whom the list says nothing that is understood. */
static void
put_unread_member(FunctionCallInfo fcinfo)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, true, true};

	put_row(fcinfo, values, nulls);
}

/* (group_jid text, instance name): who is in the group now; a row of NULLs for each entry that is not understood. */
Datum
wawp_participants(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	CallRequest request = {.endpoint = ENDPOINT_PARTICIPANTS,.group = arg_group(fcinfo, 0)};
	WawpInstance *instance = arg_instance(fcinfo, 1);
	const HttpResult *result;
	WireMembers list;

	session_note_read(instance);
	result = call_read(instance, &request);
	if (!wire_read_members(result->body, result->body_len, &list))
		call_refuse(instance, &request, result);
	for (int i = 0; i < list.count; i++)
	{
		const WireMember *member = &list.members[i];
		Datum		values[4];
		bool		nulls[4] = {false};

		if (member->role == WIRE_ROLE_LEFT)
			continue;
		values[0] = jid_datum(&member->jid, &nulls[0]);
		values[1] = jid_datum(&member->phone, &nulls[1]);
		values[2] = jid_datum(&member->lid, &nulls[2]);
		values[3] = CStringGetTextDatum(role_name(member->role));
		put_row(fcinfo, values, nulls);
	}
	for (int i = 0; i < list.unread; i++)
		put_unread_member(fcinfo);
	api_end(&api);
	return (Datum) 0;
}

static bool
read_session(const WawpInstance *instance, WireSession *session)
{
	CallRequest request = {.endpoint = ENDPOINT_SESSION_INFO};
	const HttpResult *result = call_send(instance, &request);

	return http_is_success(result) && wire_read_session(result->body, result->body_len, session);
}

/*
 * Are we an admin?  NULL when our own entry is not in the list under any id
 * that we know of ourselves: then only a call can tell.
 */
static Datum
own_admin_datum(const WawpInstance *instance, const WireMembers *list, bool *isnull)
{
	WireSession session;

	*isnull = false;
	if (list->count > 0 && read_session(instance, &session))
		for (int i = 0; i < list->count; i++)
		{
			const WireMember *member = &list->members[i];

			if (jid_same(&member->phone, &session.me) || jid_same(&member->lid, &session.me_lid))
				return BoolGetDatum(member->role == WIRE_ROLE_ADMIN || member->role == WIRE_ROLE_OWNER);
		}
	*isnull = true;
	return (Datum) 0;
}

/* The body itself; NULL when it is nothing for jsonb, with the token masked. */
static Datum
raw_datum(const WawpInstance *instance, const HttpResult *result, bool *isnull)
{
	size_t		len = result->body_len;
	const char *body = redact_secret(json_text_clean(result->body, &len), instance->access_token);
	const JsonNode *root = json_node_parse(body, strlen(body));

	*isnull = (root == NULL || !json_node_is_storable(root));
	return *isnull ? (Datum) 0 : DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_server(body)));
}

/* (group_jid text, instance name): one row. */
Datum
wawp_group_info(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	const char *group_jid = arg_group(fcinfo, 0);
	CallRequest request = {.endpoint = ENDPOINT_GROUP_INFO,.group = group_jid};
	WawpInstance *instance = arg_instance(fcinfo, 1);
	const HttpResult *result;
	WireGroup	group;
	WireMembers members;
	Datum		values[5];
	bool		nulls[5] = {false};

	session_note_read(instance);
	result = call_read(instance, &request);
	if (!wire_read_group(result->body, result->body_len, &group, &members))
		call_refuse(instance, &request, result);
	values[0] = text_datum(group_jid, &nulls[0]);
	values[1] = text_datum(group.subject, &nulls[1]);
	values[2] = int_datum(group.size, group.size >= 0, &nulls[2]);
	values[3] = own_admin_datum(instance, &members, &nulls[3]);
	values[4] = raw_datum(instance, result, &nulls[4]);
	put_row(fcinfo, values, nulls);
	api_end(&api);
	return (Datum) 0;
}

static WireGroups
read_group_page(const WawpInstance *instance, int offset)
{
	CallRequest request = {.endpoint = ENDPOINT_GROUPS};
	const HttpResult *result;
	WireGroups	page;

	request.fields[0] = (WireField) {"limit", psprintf("%d", GROUPS_PER_PAGE)};
	request.fields[1] = (WireField) {"offset", psprintf("%d", offset)};
	result = call_read(instance, &request);
	if (!wire_read_groups(result->body, result->body_len, &page))
		call_refuse(instance, &request, result);
	return page;
}

static void
put_group(FunctionCallInfo fcinfo, const WireGroup *group)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = text_datum(group->jid, &nulls[0]);
	values[1] = text_datum(group->subject, &nulls[1]);
	values[2] = int_datum(group->size, group->size >= 0, &nulls[2]);
	put_row(fcinfo, values, nulls);
}

/*
 * (instance name): the groups the account is in.  Read page by page; a group
 * that was seen before, as from an API that knows no pages, ends the list.
 */
Datum
wawp_groups(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	WawpInstance *instance = arg_instance(fcinfo, 0);
	HTAB	   *seen = make_jid_table(GROUPS_PER_PAGE);
	WireGroups	page;
	int			offset = 0;
	bool		found = false;

	do
	{
		page = read_group_page(instance, offset);
		for (int i = 0; i < page.count; i++)
		{
			hash_search(seen, page.groups[i].jid, HASH_ENTER, &found);
			if (found)
				break;
			put_group(fcinfo, &page.groups[i]);
		}
		offset += page.count;
	} while (page.count == GROUPS_PER_PAGE && !found);
	api_end(&api);
	return (Datum) 0;
}

/* First members of a new group: all valid, or an error before anything is sent. */
static const char **
arg_first_members(FunctionCallInfo fcinfo, int n, int *count)
{
	int			ninputs;
	const char **inputs = arg_texts(fcinfo, n, "jids", &ninputs);
	CallPerson **elements = palloc(sizeof(CallPerson *) * Max(ninputs, 1));
	CallPerson **sendable = palloc(sizeof(CallPerson *) * Max(ninputs, 1));
	const char **jids = palloc(sizeof(char *) * Max(ninputs, 1));

	*count = collect_people(WAWP_OP_ADD, inputs, ninputs, elements, sendable);
	for (int i = 0; i < ninputs; i++)
		if (elements[i]->outcome == WAWP_BAD_IDENTIFIER)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid participant \"%s\"", inputs[i] ? text_to_server(inputs[i]) : "null"),
					 errdetail("Element %d: %s.", i + 1, elements[i]->detail)));
	if (*count > CALL_MAX_PEOPLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a group cannot be created with more than %d participants", CALL_MAX_PEOPLE),
				 errhint("Create it with some and add the others with wawp_add_participants().")));
	for (int i = 0; i < *count; i++)
		jids[i] = sendable[i]->jid.text;
	return jids;
}

/* For the record: a group that was created has the people it was asked for. */
static WawpOutcome
judge_created(const HttpResult *result, const char **group)
{
	if (http_is_success(result))
		*group = wire_read_created(result->body, result->body_len);
	return *group ? WAWP_ACCEPTED : call_classify_result(WAWP_OP_ADD, result).whole.outcome;
}

/* (subject text, jids text[], instance name): JID of the new group. */
Datum
wawp_create_group(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin_acting(fcinfo, false);
	SessionRequest request = {
		.call = {.endpoint = ENDPOINT_CREATE_GROUP},
		.action = "add",
		.spends_pace = true,
		.judge = judge_created
	};
	const char *subject = arg_required(fcinfo, 0, "subject");
	WawpInstance *instance;
	const HttpResult *result;
	const char *group;

	if (subject[strspn(subject, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", "subject")));
	request.call.fields[0] = (WireField) {"name", subject};
	request.people = request.call.people = arg_first_members(fcinfo, 1, &request.npeople);
	request.call.npeople = request.npeople;
	instance = arg_instance(fcinfo, 2);
	result = session_send(instance, &request);
	group = http_is_success(result) ? wire_read_created(result->body, result->body_len) : NULL;
	if (group == NULL)
		call_refuse(instance, &request.call, result);
	return api_return_text(&api, group);
}

/*
 * ---- invite links
 */

/* For the record: what the answer to a message says of it. */
static WawpOutcome
judge_sent(const HttpResult *result, const char **group pg_attribute_unused())
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);

	for (int i = 0; i < reading.npeople; i++)
		if (reading.people[i].outcome != WAWP_ACCEPTED)
			return reading.people[i].outcome;
	return reading.npeople > 0 ? WAWP_ACCEPTED : reading.whole.outcome;
}

/* A revocation is answered with the new code, or with nothing at all. */
static bool
is_revoked(const HttpResult *result)
{
	return http_is_success(result) &&
		(wire_read_answer(result->body, result->body_len).kind != WIRE_REFUSED ||
		 wire_read_invite(result->body, result->body_len) != NULL);
}

static WawpOutcome
judge_revoked(const HttpResult *result, const char **group)
{
	return is_revoked(result) ? WAWP_ACCEPTED : judge_sent(result, group);
}

static const char *
read_invite(const WawpInstance *instance, const char *group)
{
	CallRequest request = {.endpoint = ENDPOINT_INVITE_CODE,.group = group};
	const HttpResult *result = call_read(instance, &request);
	const char *link = wire_read_invite(result->body, result->body_len);

	/* WEBJS leaves the body empty when we may not see the code */
	if (link == NULL && result->body_len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("could not read the invite link: the API gave none"),
				 errdetail("The answer is empty, which is how it says that the account may not see the link."),
				 errhint("%s", outcome_info(WAWP_NOT_ADMIN)->hint)));
	if (link == NULL)
		call_refuse(instance, &request, result);
	return link;
}

/* (group_jid text, instance name): the full link. */
Datum
wawp_invite_link(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, false);
	const char *group = arg_group(fcinfo, 0);

	return api_return_text(&api, read_invite(arg_instance(fcinfo, 1), group));
}

/*
 * (group_jid text, instance name): the new link.  One engine answers a revoke
 * with success and changes nothing (wawp-api.md, section 2.9), so the old and
 * the new one are compared: who believes a leaked link dead must be right.
 */
Datum
wawp_revoke_invite_link(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin_acting(fcinfo, false);
	const char *group = arg_group(fcinfo, 0);
	SessionRequest request = {
		.call = {.endpoint = ENDPOINT_REVOKE_INVITE,.group = group},
		.group = group,
		.judge = judge_revoked
	};
	WawpInstance *instance = arg_instance(fcinfo, 1);
	const char *old_link = read_invite(instance, group);
	const HttpResult *result = session_send(instance, &request);
	const char *new_link;

	if (!is_revoked(result))
		call_refuse(instance, &request.call, result);
	new_link = read_invite(instance, group);
	if (strcmp(old_link, new_link) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not revoke the invite link: it is still the same"),
				 errdetail("The API reported success, but the group's link did not change."),
				 errhint("Revoke it in WhatsApp.")));
	return api_return_text(&api, new_link);
}

/*
 * ---- messages, numbers, the session
 */

static const char *
arg_message(FunctionCallInfo fcinfo, int n)
{
	const char *message = arg_required(fcinfo, n, "message");
	int			length = pg_encoding_mbcliplen(PG_UTF8, message, strlen(message), INT_MAX);
	int			chars = 0;

	for (int i = 0; i < length; i += pg_encoding_mblen(PG_UTF8, message + i))
		chars++;
	if (chars == 0 || chars > CALL_MAX_MESSAGE_CHARS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message must have 1 to %d characters", CALL_MAX_MESSAGE_CHARS),
				 errdetail("This one has %d.", chars)));
	return message;
}

static const char *
arg_chat(FunctionCallInfo fcinfo, int n)
{
	const char *value = arg_required(fcinfo, n, "chat_jid");
	Jid			jid = parse_text(value);

	if (jid.kind == JID_INVALID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid chat JID \"%s\"", text_to_server(value)),
				 errdetail("It is refused because %s.", jid.problem),
				 errhint("A chat is a person (\"<digits>@c.us\") or a group (\"<digits>@g.us\").")));
	return pstrdup(jid.text);
}

/* (chat_jid text, message text, instance name): the message's id, or NULL. */
Datum
wawp_send_text(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin_acting(fcinfo, false);
	const char *chat = arg_chat(fcinfo, 0);
	bool		is_group = jid_is_group_text(chat, strlen(chat));
	SessionRequest request = {
		.call = {.endpoint = ENDPOINT_SEND_TEXT},
		.group = is_group ? chat : NULL,
		.people = &chat,
		.npeople = is_group ? 0 : 1,
		.judge = judge_sent
	};
	WawpInstance *instance;
	const HttpResult *result;

	request.call.fields[0] = (WireField) {"chatId", chat};
	request.call.fields[1] = (WireField) {"message", arg_message(fcinfo, 1)};
	instance = arg_instance(fcinfo, 2);
	result = session_send(instance, &request);
	if (!http_is_success(result) || judge_sent(result, NULL) != WAWP_ACCEPTED)
		call_refuse(instance, &request.call, result);
	return api_return_text(&api, wire_read_message_id(result->body, result->body_len));
}

static void
put_exists(FunctionCallInfo fcinfo, const WawpInstance *instance, const char *input)
{
	Jid			jid = input ? parse_text(input) : jid_parse("", 0);
	Jid			chat = {.kind = JID_INVALID};
	Jid			lid;
	WireTruth	registered = WIRE_UNKNOWN;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (jid.kind == JID_PERSON)
	{
		CallRequest request = {.endpoint = ENDPOINT_CHECK_EXISTS};
		const HttpResult *result;
		WireKind	kind;

		request.fields[0] = (WireField) {"phone", pnstrdup(jid.text, strcspn(jid.text, "@"))};
		session_wait_for_check(instance);
		result = call_read(instance, &request);
		registered = wire_read_exists(result->body, result->body_len, &chat, &lid);
		kind = wire_read_answer(result->body, result->body_len).kind;
		if (registered == WIRE_UNKNOWN && (kind == WIRE_REFUSED || kind == WIRE_UNREADABLE))
			call_refuse(instance, &request, result);
	}
	if (registered == WIRE_YES && chat.kind == JID_INVALID)
		chat = jid;
	values[0] = text_datum(input, &nulls[0]);
	values[1] = BoolGetDatum(registered == WIRE_YES);
	nulls[1] = (registered == WIRE_UNKNOWN);
	values[2] = jid_datum(&chat, &nulls[2]);
	nulls[2] = nulls[2] || registered != WIRE_YES;
	put_row(fcinfo, values, nulls);
}

/* (phones text[], instance name): one row per element, in input order. */
Datum
wawp_check_exists(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	int			n;
	const char **phones = arg_texts(fcinfo, 0, "phones", &n);
	WawpInstance *instance = arg_instance(fcinfo, 1);
	MemoryContext element;

	element = AllocSetContextCreate(api.work, "wawp element", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(element);
	for (int i = 0; i < n; i++)
	{
		put_exists(fcinfo, instance, phones[i]);
		MemoryContextReset(element);
	}
	api_end(&api);
	return (Datum) 0;
}

/* (instance name): one row. */
Datum
wawp_session(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	CallRequest request = {.endpoint = ENDPOINT_SESSION_INFO};
	WawpInstance *instance = arg_instance(fcinfo, 0);
	const HttpResult *result = call_read(instance, &request);
	WireSession session;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (!wire_read_session(result->body, result->body_len, &session))
		call_refuse(instance, &request, result);
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(instance->name));
	values[1] = text_datum(session.status, &nulls[1]);
	values[2] = BoolGetDatum(strcmp(session.status, SESSION_USABLE) == 0);
	values[3] = jid_datum(&session.me, &nulls[3]);
	values[4] = text_datum(session.push_name, &nulls[4]);
	put_row(fcinfo, values, nulls);
	api_end(&api);
	return (Datum) 0;
}

/*
 * ---- without I/O
 */

Datum
wawp_jid(PG_FUNCTION_ARGS)
{
	Jid			jid = parse_text(arg_text(fcinfo, 0));

	if (jid.kind == JID_INVALID)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(jid.text));
}

Datum
wawp_is_group_jid(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(jid_is_group_text(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

Datum
wawp_is_person_jid(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(jid_is_person_text(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

static void
put_verdict(FunctionCallInfo fcinfo, const CallVerdict *verdict)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = text_datum(verdict->jid.kind != JID_INVALID ? verdict->jid.text : verdict->id, &nulls[0]);
	values[1] = outcome_datum(fcinfo, 1, verdict->outcome);
	values[2] = int_datum(verdict->code, verdict->code != 0, &nulls[2]);
	values[3] = text_datum(verdict->detail, &nulls[3]);
	put_row(fcinfo, values, nulls);
}

/* (operation text, http_status int, body text): how an answer would be read. */
Datum
wawp_classify(PG_FUNCTION_ARGS)
{
	const char *name = arg_required(fcinfo, 0, "operation");
	const char *body = arg_text(fcinfo, 2);
	WawpOperation operation;
	CallReading reading;

	if (!outcome_operation(name, &operation))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown operation \"%s\"", text_to_server(name)),
				 errhint("Operations are \"add\", \"remove\", \"promote\", \"demote\" and \"send\".")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "http_status")));
	InitMaterializedSRF(fcinfo, 0);
	reading = call_classify(operation, PG_GETARG_INT32(1), body ? body : "", body ? strlen(body) : 0);
	if (reading.npeople == 0)
		put_verdict(fcinfo, &reading.whole);
	for (int i = 0; i < reading.npeople; i++)
		put_verdict(fcinfo, &reading.people[i]);
	return (Datum) 0;
}

/* Rows of wawp.outcome_info: outcome, about, final, next_step, text, hint. */
Datum
wawp_outcome_info(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < WAWP_OUTCOMES; i++)
	{
		const OutcomeInfo *info = outcome_info((WawpOutcome) i);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = outcome_datum(fcinfo, 0, info->outcome);
		values[1] = CStringGetTextDatum(outcome_about(info));
		values[2] = BoolGetDatum(outcome_is_final(info));
		values[3] = CStringGetTextDatum(outcome_next_step(info));
		values[4] = CStringGetTextDatum(info->text);
		values[5] = text_datum(info->hint, &nulls[5]);
		put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
