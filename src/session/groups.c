/*-------------------------------------------------------------------------
 *
 * groups.c
 *	  The SQL functions about groups: who is in them, creating one, invite links.
 *
 * They raise an error for every refusal.  Memory: that of the call (api.c).
 * No locks.
 *
 * IDENTIFICATION
 *	  src/session/groups.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "fmgr.h"
#include "protocol/json.h"
#include "protocol/member_list.h"
#include "protocol/redact.h"
#include "session/api.h"
#include "session/groups.h"
#include "session/participants.h"
#include "session/send.h"
#include "throttle/budget.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"

#include "compat.h"

#define GROUPS_PER_PAGE 100

PG_FUNCTION_INFO_V1(wawp_participants);
PG_FUNCTION_INFO_V1(wawp_group_info);
PG_FUNCTION_INFO_V1(wawp_groups);
PG_FUNCTION_INFO_V1(wawp_create_group);
PG_FUNCTION_INFO_V1(wawp_invite_link);
PG_FUNCTION_INFO_V1(wawp_revoke_invite_link);

/* Return the word for the role of a member of a list; NULL if it is not told. */
const char *
groups_role_name(const WireMembers *list, const WireMember *member)
{
	static const char *const names[] = {
		[WIRE_ROLE_MEMBER] = "member",
		[WIRE_ROLE_ADMIN] = "admin",
		[WIRE_ROLE_OWNER] = "owner",
		[WIRE_ROLE_UNKNOWN] = NULL
	};

	return names[members_role(list, member)];
}

/* Put a row for a member of whom the list says nothing that is understood. */
static void
groups_put_unread_member(FunctionCallInfo fcinfo)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, true, true};

	api_put_row(fcinfo, values, nulls);
}

/* Read the member list of a group; raises an error if none comes. */
void
groups_read_members(const WawpInstance *instance, const char *group, WireMembers *list)
{
	CallRequest request = {.endpoint = ENDPOINT_PARTICIPANTS, .group = group};
	const HttpResult *result = call_read(instance, &request);

	if (!wire_read_members(result->body, result->body_len, list))
		call_refuse(instance, &request, result);
}

/* (group_jid text, instance name): who is in the group now; a row of NULLs for each entry that is not understood. */
Datum
wawp_participants(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	const char *group = api_arg_group(fcinfo, 0);
	WawpInstance *instance = api_arg_instance(fcinfo, 1);
	WireMembers list;

	(void) budget_take_read(instance, false);
	groups_read_members(instance, group, &list);
	for (int i = 0; i < list.count; i++)
	{
		const WireMember *member = &list.members[i];
		Datum		values[4] = {0};
		bool		nulls[4] = {false};
		const char *role;

		if (member->role == WIRE_ROLE_LEFT)
			continue;
		role = groups_role_name(&list, member);
		values[0] = api_jid_datum(&member->jid, &nulls[0]);
		values[1] = api_jid_datum(&member->phone, &nulls[1]);
		values[2] = api_jid_datum(&member->lid, &nulls[2]);
		nulls[3] = role == NULL;
		if (role)
			values[3] = CStringGetTextDatum(role);
		api_put_row(fcinfo, values, nulls);
	}
	for (int i = 0; i < list.unread; i++)
		groups_put_unread_member(fcinfo);
	api_end(&api);
	return (Datum) 0;
}

/* Ask the API who we are; false, and *session is not to be used, unless it says so. */
static bool
groups_read_session(const WawpInstance *instance, WireSession *session)
{
	CallRequest request = {.endpoint = ENDPOINT_SESSION_INFO};
	const HttpResult *result = call_send(instance, &request);

	return http_is_success(result) && wire_read_session(result->body, result->body_len, session);
}

/*
 * Return whether we are an admin.  *isnull: our own entry is not in the list
 * under any id that we know of ourselves, or tells no role, so that only a call
 * can tell.
 */
static Datum
groups_own_admin_datum(const WawpInstance *instance, const WireMembers *list, bool *isnull)
{
	WireSession session;

	*isnull = false;
	if (list->count > 0 && groups_read_session(instance, &session))
		for (int i = 0; i < list->count; i++)
		{
			const WireMember *member = &list->members[i];
			WireRole	role = members_role(list, member);

			if (role != WIRE_ROLE_UNKNOWN && (jid_same(&member->phone, &session.me) || jid_same(&member->lid, &session.me_lid)))
				return BoolGetDatum(role == WIRE_ROLE_ADMIN || role == WIRE_ROLE_OWNER);
		}
	*isnull = true;
	return (Datum) 0;
}

/* Make jsonb of the body, with the token masked; *isnull: the body cannot be stored as such. */
static Datum
groups_raw_datum(const WawpInstance *instance, const HttpResult *result, bool *isnull)
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
	const char *group_jid = api_arg_group(fcinfo, 0);
	CallRequest request = {.endpoint = ENDPOINT_GROUP_INFO, .group = group_jid};
	WawpInstance *instance = api_arg_instance(fcinfo, 1);
	const HttpResult *result;
	WireGroup	group;
	WireMembers members;
	Datum		values[5];
	bool		nulls[5] = {false};

	(void) budget_take_read(instance, false);
	result = call_read(instance, &request);
	if (!wire_read_group(result->body, result->body_len, &group, &members))
		call_refuse(instance, &request, result);
	values[0] = api_text_datum(group_jid, &nulls[0]);
	values[1] = api_text_datum(group.subject, &nulls[1]);
	values[2] = api_int_datum(group.size, group.size >= 0, &nulls[2]);
	values[3] = groups_own_admin_datum(instance, &members, &nulls[3]);
	values[4] = groups_raw_datum(instance, result, &nulls[4]);
	api_put_row(fcinfo, values, nulls);
	api_end(&api);
	return (Datum) 0;
}

/* Read a page of the account's groups. */
static WireGroups
groups_read_page(const WawpInstance *instance, int offset)
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
groups_put_row(FunctionCallInfo fcinfo, const WireGroup *group)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = api_text_datum(group->jid, &nulls[0]);
	values[1] = api_text_datum(group->subject, &nulls[1]);
	values[2] = api_int_datum(group->size, group->size >= 0, &nulls[2]);
	api_put_row(fcinfo, values, nulls);
}

/*
 * Return the groups the account is in, as WireGroup pointers.  Read page by page;
 * a group that was seen before, as from an API that knows no pages, ends the list.
 */
List *
groups_read_all(const WawpInstance *instance)
{
	HTAB	   *seen = api_make_jid_table(GROUPS_PER_PAGE, JID_SIZE);
	List	   *groups = NIL;
	WireGroups	page;
	int			offset = 0;
	bool		found = false;

	do
	{
		page = groups_read_page(instance, offset);
		for (int i = 0; i < page.count; i++)
		{
			hash_search(seen, page.groups[i].jid, HASH_ENTER, &found);
			if (found)
				break;
			groups = lappend(groups, &page.groups[i]);
		}
		offset += page.count;
	} while (page.count == GROUPS_PER_PAGE && !found);
	return groups;
}

/* (instance name): the groups the account is in. */
Datum
wawp_groups(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	ListCell   *lc;

	foreach(lc, groups_read_all(api_arg_instance(fcinfo, 0)))
		groups_put_row(fcinfo, lfirst(lc));
	api_end(&api);
	return (Datum) 0;
}

/*
 * Return the JIDs of the first members of a new group, each once, and write
 * their number to *count.  One that is not valid is an error.
 */
static const char **
groups_arg_first_members(FunctionCallInfo fcinfo, int n, int *count)
{
	int			ninputs;
	const char **inputs = api_arg_texts(fcinfo, n, "jids", &ninputs);
	CallPerson **elements = palloc(sizeof(CallPerson *) * Max(ninputs, 1));
	CallPerson **sendable = palloc(sizeof(CallPerson *) * Max(ninputs, 1));
	const char **jids = palloc(sizeof(char *) * Max(ninputs, 1));

	*count = participants_collect(WAWP_OP_ADD, inputs, ninputs, elements, sendable);
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

/* Judge an answer for the record: a group that was created has the people it was asked for.  *group: the new one. */
static WawpOutcome
groups_judge_created(const HttpResult *result, const char **group)
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
		.judge = groups_judge_created
	};
	const char *subject = api_arg_required(fcinfo, 0, "subject");
	WawpInstance *instance;
	const HttpResult *result;
	const char *group;

	if (subject[strspn(subject, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", "subject")));
	request.call.fields[0] = (WireField) {"name", subject};
	request.people = request.call.people = groups_arg_first_members(fcinfo, 1, &request.npeople);
	request.call.npeople = request.npeople;
	instance = api_arg_instance(fcinfo, 2);
	result = session_send(instance, &request);
	group = http_is_success(result) ? wire_read_created(result->body, result->body_len) : NULL;
	if (group == NULL)
		call_refuse(instance, &request.call, result);
	return api_return_text(&api, group);
}

/*
 * ---- invite links
 */

/* True if a link was revoked: the answer is the new code, or nothing at all.  A number in it is never a person's. */
static bool
groups_is_revoked(const HttpResult *result)
{
	return http_is_success(result) &&
		(wire_read_answer(result->body, result->body_len).envelope != WIRE_REFUSED ||
		 wire_read_invite(result->body, result->body_len) != NULL);
}

/* Judge the answer to a revocation, for the record. */
static WawpOutcome
groups_judge_revoked(const HttpResult *result, const char **group)
{
	return groups_is_revoked(result) ? WAWP_ACCEPTED : session_judge_sent(result, group);
}

static const char *
groups_read_invite_link(const WawpInstance *instance, const char *group)
{
	CallRequest request = {.endpoint = ENDPOINT_INVITE_CODE, .group = group};
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
	const char *group = api_arg_group(fcinfo, 0);

	return api_return_text(&api, groups_read_invite_link(api_arg_instance(fcinfo, 1), group));
}

/*
 * (group_jid text, instance name): the new link.  One engine answers a revoke
 * with success and changes nothing, so the old and the new link are compared:
 * nobody may believe that a leaked link is dead while it works.
 */
Datum
wawp_revoke_invite_link(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin_acting(fcinfo, false);
	const char *group = api_arg_group(fcinfo, 0);
	SessionRequest request = {
		.call = {.endpoint = ENDPOINT_REVOKE_INVITE, .group = group},
		.group = group,
		.judge = groups_judge_revoked
	};
	WawpInstance *instance = api_arg_instance(fcinfo, 1);
	const char *old_link = groups_read_invite_link(instance, group);
	const HttpResult *result = session_send(instance, &request);
	const char *new_link;

	if (!groups_is_revoked(result))
		call_refuse(instance, &request.call, result);
	new_link = groups_read_invite_link(instance, group);
	if (strcmp(old_link, new_link) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not revoke the invite link: it is still the same"),
				 errdetail("The API reported success, but the group's link did not change."),
				 errhint("Revoke it in WhatsApp.")));
	return api_return_text(&api, new_link);
}
