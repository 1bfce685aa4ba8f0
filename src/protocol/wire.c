/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  The wire format: URLs and JSON bodies of requests, and the forms of answers.
 *
 * Pure.  Puts requests into their form, and reads answers about groups, sessions,
 * invitations and single people.  wire_verdict.c reads what became of a request,
 * wire_list.c member lists, wire_value.c the parts of which all of them consist;
 * outcome.c says what it means.
 *
 * Everything returned lives in the current memory context and is UTF-8.  No
 * answer, however broken, raises an error.
 *
 * IDENTIFICATION
 *	  src/protocol/wire.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <limits.h>

#include "protocol/json.h"
#include "protocol/outcome.h"
#include "protocol/wire.h"
#include "protocol/wire_list.h"
#include "protocol/wire_time.h"
#include "protocol/wire_value.h"
#include "protocol/wire_verdict.h"

#ifndef FRONTEND
#include "utils/json.h"
#else
extern void escape_json(StringInfo buf, const char *str);
#endif

/* lengths of an invite code: usually 22 characters */
#define INVITE_MIN 10
#define INVITE_USUAL 22
#define INVITE_MAX 64
#define INVITE_PREFIX "https://chat.whatsapp.com/"

static const char *const subject_keys[] = {"subject", "name", "Name", "title", NULL};

/*
 * ---- out
 */

/* Append a text percent-encoded, except RFC 3986's unreserved characters. */
void
wire_put_percent(StringInfo out, const char *text)
{
	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c) != NULL)
			appendStringInfoChar(out, (char) c);
		else
			appendStringInfo(out, "%%%02X", c);
	}
}

/* Append "?a=b&c=d"; fields without a value are left out. */
void
wire_put_query(StringInfo out, const WireField *fields, int nfields)
{
	char		separator = '?';

	for (int i = 0; i < nfields; i++)
	{
		if (fields[i].value == NULL)
			continue;
		appendStringInfoChar(out, separator);
		appendStringInfoString(out, fields[i].name);
		appendStringInfoChar(out, '=');
		wire_put_percent(out, fields[i].value);
		separator = '&';
	}
}

/*
 * Append a JSON object of the fields and, unless people is NULL,
 * "participants": [{"id": ...}].  The engines read participant.id, so a plain
 * string would be undefined to them.
 */
void
wire_put_body(StringInfo out, const WireField *fields, int nfields,
			  const char *const *people, int npeople)
{
	const char *separator = "{";

	for (int i = 0; i < nfields; i++)
	{
		if (fields[i].value == NULL)
			continue;
		appendStringInfoString(out, separator);
		escape_json(out, fields[i].name);
		appendStringInfoChar(out, ':');
		escape_json(out, fields[i].value);
		separator = ",";
	}
	if (people != NULL)
	{
		appendStringInfo(out, "%s\"participants\":[", separator);
		for (int i = 0; i < npeople; i++)
		{
			appendStringInfoString(out, i ? ",{\"id\":" : "{\"id\":");
			escape_json(out, people[i]);
			appendStringInfoChar(out, '}');
		}
		appendStringInfoChar(out, ']');
		separator = ",";
	}
	appendStringInfoString(out, *separator == '{' ? "{}" : "}");
}

/*
 * ---- in
 */

static const JsonNode *
participants_of(const JsonNode *group)
{
	static const char *const keys[] = {"participants", "Participants", NULL};
	const JsonNode *list = json_node_any(group, keys);

	if (!json_node_is_list(list))
		list = json_node_any(json_node_get(group, "groupMetadata"), keys);
	return json_node_is_list(list) ? list : NULL;
}

/* The rules of a group for whoever is added. */
typedef enum GroupRule
{
	RULE_NONE,
	RULE_ADDING,				/* who may add people */
	RULE_APPROVAL				/* an admin approves them */
} GroupRule;

/*
 * Return the rule that a member of a description states.  Whoever may add is told
 * by whatsmeow's word, Baileys' and WAHA's flags; approval by joinApprovalMode,
 * IsJoinApprovalRequired, newMembersApprovalRequired, membership_approval_mode and
 * others, but not by lists and numbers of those who wait for it, nor by the rule
 * that a community has for new groups (DefaultMembershipApprovalMode).
 */
static GroupRule
rule_of_name(const char *key)
{
	static const char *const adding[] = {"memberaddmode", "memberscanaddnewmember", "memberscanaddnewmembers", "memberscanaddmembers", NULL};
	char		name[WIRE_LONGEST_NAME + 1];

	wire_plain_name(key, name);
	if (wire_word_is(name, adding))
		return RULE_ADDING;
	return strstr(name, "approval") && strncmp(name, "default", strlen("default")) != 0 && !strstr(name, "request") && !strstr(name, "count") && !strstr(name, "pending")
		? RULE_APPROVAL : RULE_NONE;
}

/* Take the rules that an object of a description states. */
static void
read_group_rules(const JsonNode *node, WireGroup *group)
{
	static const char *const approval_words[] = {"on", "request_required", "required", "enabled", NULL};

	if (!json_node_is(node, JSON_KIND_OBJECT))
		return;
	for (const JsonNode *child = node->first; child; child = child->next)
	{
		GroupRule	rule = rule_of_name(child->key);
		const char *word = json_node_text(child);
		bool		is_set = wire_read_number_flag(child) == 1;

		group->asks_approval |= rule == RULE_APPROVAL && (is_set || wire_word_is(word, approval_words));
		group->members_add |= rule == RULE_ADDING && (is_set || (word && pg_strcasecmp(word, "all_member_add") == 0));
		group->only_admins_add |= rule == RULE_ADDING && word && pg_strcasecmp(word, "admin_add") == 0;
	}
}

/* Read a group's description; *members is set to its list, palloc'd, or zeros. */
static WireGroup
read_group_object(const JsonNode *node, const char *key, WireMembers *members)
{
	WireGroup	group = {.size = -1};
	const JsonNode *metadata = json_node_get(node, "groupMetadata");
	const JsonNode *rules[] = {node, metadata, json_node_get(node, "settings"), json_node_get(node, "GroupMembershipApprovalMode")};
	const JsonNode *list = participants_of(node);
	Jid			jid = wire_jid_of_text(wire_id_in(node));

	if (jid.kind != JID_GROUP)
		jid = wire_jid_of_text(key);
	if (jid.kind == JID_GROUP)
		group.jid = pstrdup(jid.text);
	group.subject = json_node_text(json_node_any(node, subject_keys));
	if (!group.subject)
		group.subject = json_node_text(json_node_any(metadata, subject_keys));
	for (size_t i = 0; i < lengthof(rules); i++)
		read_group_rules(rules[i], &group);
	memset(members, 0, sizeof(*members));
	if (list)
		wire_read_member_list(list, false, members);
	members->stated = Max(wire_stated_size(node), wire_stated_size(metadata));
	if (members->stated >= 0)
		group.size = members->stated;
	else if (list && list->count > 0)
		group.size = wire_count_members(members) + members->unread;
	return group;
}

/*
 * Read one group's description into *group and *members, palloc'd; false if the
 * body is not one.  *members is empty if the description does not list them.
 */
bool
wire_read_group(const char *body, size_t len, WireGroup *group, WireMembers *members)
{
	const JsonNode *root = json_node_parse(body, len);

	if (!json_node_is_list(root) || wire_is_error_body(root))
		return false;
	root = wire_unwrap_object(root);
	if (root == NULL)
		return false;
	*group = read_group_object(root, NULL, members);
	return group->jid || group->subject || group->size >= 0;
}

/* Read the answer of GET groups, an array or NOWEB's object by group, into *out, palloc'd. */
bool
wire_read_groups(const char *body, size_t len, WireGroups *out)
{
	const JsonNode *root = json_node_parse(body, len);
	WireMembers members;

	for (int depth = 0; depth < WIRE_MAX_WRAPPING && json_node_is(root, JSON_KIND_OBJECT) && root->count > 0 && !wire_is_keyed_list(root); depth++)
	{
		if (wire_is_error_body(root))
			return false;
		root = wire_list_in(root);
	}
	if (!json_node_is_list(root) || wire_is_error_body(root))
		return false;
	out->groups = palloc(sizeof(WireGroup) * Max(root->count, 1));
	out->count = 0;
	for (const JsonNode *child = root->first; child; child = child->next)
	{
		WireGroup	group = read_group_object(child, child->key, &members);

		if (group.jid)
			out->groups[out->count++] = group;
	}
	return out->count > 0 || root->count == 0;
}

/* Return the new group's JID from a create answer, palloc'd, or NULL. */
char *
wire_read_created(const char *body, size_t len)
{
	const JsonNode *root = json_node_parse(body, len);
	Jid			group;

	if (wire_is_error_body(root))
		return NULL;
	group = wire_read_group_id(root);
	if (group.kind != JID_GROUP && json_node_is_list(root))
		group = wire_read_group_id(wire_unwrap_object(root));
	return group.kind == JID_GROUP ? pstrdup(group.text) : NULL;
}

/*
 * Return the link for a code at the end of a link or by itself, palloc'd; NULL
 * if the text is neither.  A code by itself must have the usual length or a
 * digit: words such as "Unauthorized" or "wawp_upstream_error" have the same
 * letters.
 */
static char *
invite_of_text(const char *text)
{
	static const char *const prefixes[] = {"https://", "http://", "www.", "chat.whatsapp.com/", "invite/"};
	const char *whole = text;
	const char *end;
	size_t		n = 0;

	for (size_t i = 0; text && i < lengthof(prefixes); i++)
		if (pg_strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			text += strlen(prefixes[i]);
	while (text && (isalnum((unsigned char) text[n]) || (text[n] && strchr("-_", text[n]))))
		n++;
	if (n < INVITE_MIN || n > INVITE_MAX)
		return NULL;
	end = text + n + (text != whole && text[n] == '/');
	if (*end != '?' && *end != '\n' && end[strspn(end, " \t\r\n")] != '\0')
		return NULL;
	if (text == whole && n != INVITE_USUAL && strcspn(text, "0123456789") >= n)
		return NULL;
	return psprintf(INVITE_PREFIX "%.*s", (int) n, text);
}

/* True if the body is an error, for answers in which "code" alone is not one. */
static bool
is_error_beside_code(const JsonNode *root)
{
	WireAnswer	answer = {.kind = WIRE_OTHER};

	if (!json_node_is(root, JSON_KIND_OBJECT))
		return false;
	wire_read_envelope(root, &answer);
	answer.code = NULL;
	if (wire_is_refusal(root, &answer))
		return true;
	return json_node_text(json_node_get(root, "message")) && !wire_is_bare_success(root);
}

/* Return the link for the first code or link in a value or its envelopes, palloc'd, or NULL. */
static char *
find_invite(const JsonNode *node, int depth)
{
	static const char *const keys[] = {"code", "inviteCode", "invite_code", "link", "inviteLink", "invite_link", "InviteLink", "inviteUrl", "invite_url", "url", "value",
	"data", "result", "results", "response", "invite", "payload", "body", NULL};

	if (json_node_is(node, JSON_KIND_STRING))
		return invite_of_text(json_node_text(node));
	if (depth == 0 || !json_node_is(node, JSON_KIND_OBJECT) || is_error_beside_code(node))
		return NULL;
	for (const char *const *key = keys; *key; key++)
	{
		char	   *link = find_invite(json_node_get(node, *key), depth - 1);

		if (link)
			return link;
	}
	return NULL;
}

/*
 * Read an invite code in any of its forms (bare text, a JSON string or an
 * object; a code or a link) and return the full link, palloc'd, or NULL.
 */
char *
wire_read_invite(const char *body, size_t len)
{
	const JsonNode *node = json_node_parse(body, len);

	return node ? find_invite(node, WIRE_MAX_WRAPPING) : invite_of_text(wire_body_beginning(body, len));
}

/* Return the object that describes a session, in whatever envelopes, whose own status is that of the call. */
static const JsonNode *
unwrap_session(const JsonNode *root)
{
	static const char *const keys[] = {"data", "session", "result", "results", "response", "payload", "body", NULL};

	for (int depth = 0; depth < WIRE_MAX_WRAPPING && root; depth++)
	{
		const JsonNode *inner = json_node_is(root, JSON_KIND_ARRAY) && root->count == 1 ? root->first : wire_first_list(root, keys);
		const char *status = json_node_text(json_node_get(root, "status"));

		if (!inner || (json_node_is(json_node_get(root, "status"), JSON_KIND_STRING) && !wire_means_success(status)))
			break;
		root = inner;
	}
	return root;
}

/* Read session info into *out; false if the body has no status. */
bool
wire_read_session(const char *body, size_t len, WireSession *out)
{
	const JsonNode *root = unwrap_session(json_node_parse(body, len));
	const JsonNode *me;
	Jid			listed;

	memset(out, 0, sizeof(*out));
	if (!json_node_is(json_node_get(root, "status"), JSON_KIND_STRING))
		return false;
	me = json_node_get(root, "me");
	if (!me && !json_node_get(root, "name") && json_node_get(root, "message"))
		return false;
	out->status = json_node_text(json_node_get(root, "status"));
	out->push_name = json_node_text(json_node_get(me, "pushName"));
	(void) wire_read_account(me, &out->me, &out->me_lid);
	listed = wire_jid_of_id(wire_id_text(json_node_get(me, "id")));
	if (out->me.kind == JID_INVALID && listed.kind == JID_LID)
		out->me = listed;
	out->limits = account_limits_read(root);
	return out->status != NULL;
}

/* True for a text beside a no that doubts nothing: it tells of a success, or says the no in words. */
static bool
is_text_of_no(const char *text)
{
	static const char *const words[] = {"not_exists", "not-exists", "not_found", "not found", "unregistered", "invalid", "invalid_number",
		"working", "connected", "open", "ready", "online", "authenticated", NULL};
	static const char *const parts[] = {"not exist", "not_exist", "not a whatsapp", "not have whatsapp", "no whatsapp", "not on whatsapp",
	"not registered", "number checked", "check completed"};

	for (size_t i = 0; i < lengthof(parts); i++)
		if (wire_name_contains(text, parts[i]))
			return true;
	if (wire_name_contains(text, "successfully") && !wire_name_contains(text, "not ") && !wire_name_contains(text, "unsuccess"))
		return true;
	return pg_strncasecmp(text, "success", strlen("success")) == 0 || wire_means_success(text) || wire_word_is(text, words) ||
		outcome_of_person(WAWP_OP_READ, 0, 0, text, false).outcome == WAWP_NOT_ON_WHATSAPP;
}

/* True if a remark says nothing, or nothing against a no. */
static bool
is_harmless(const JsonNode *remark)
{
	const char *text = wire_message_text(remark);
	int			number;

	if (json_node_int(remark, &number) && number >= 200 && number < 300)
		return true;
	return !wire_is_set(remark) || json_node_is(remark, JSON_KIND_TRUE) || (text && is_text_of_no(text));
}

/*
 * True if an answer to check-exists, or the envelope of one, has an error or a
 * remark, of which it is not known that it goes with a no: "rate-overlimit".
 */
static bool
has_remark(const JsonNode *node)
{
	static const char *const names[] = {"message", "msg", "reason", "detail", "details", "note", "notice", "remark", "comment", "description",
		"error", "errors", "errormessage", "errorcode", "errortext", "warning", "warnings", "warn", "retry", "retryafter", "hint", "info", "cause",
	"status", "state", NULL};
	char		name[WIRE_LONGEST_NAME + 1];

	for (const JsonNode *field = json_node_is(node, JSON_KIND_OBJECT) ? node->first : NULL; field; field = field->next)
	{
		wire_plain_name(field->key, name);
		if (wire_word_is(name, names) && !is_harmless(field))
			return true;
	}
	return wire_is_error_body(node);
}

/* The keys of check-exists' verdict. */
static const char *const exists_flags[] = {"numberExists", "exists", "isInWhatsapp", "IsInWhatsapp", "IsIn", "is_on_whatsapp", "isOnWhatsApp", NULL};

/* Return the entry of a list of verdicts on one number that counts: the first yes, else the first that is no plain no, else the first. */
static const JsonNode *
deciding_entry(const JsonNode *list)
{
	for (const JsonNode *child = list->first; child; child = child->next)
		if (json_node_is(json_node_any(child, exists_flags), JSON_KIND_TRUE))
			return child;
	for (const JsonNode *child = list->first; child; child = child->next)
		if (!json_node_is(json_node_any(child, exists_flags), JSON_KIND_FALSE) || has_remark(child))
			return child;
	return list->first;
}

/*
 * Read the answer of check-exists.  Anything unclear is WIRE_UNKNOWN, never
 * "no", and so is a no beside an error or a remark, in whatever envelope.  *chat is set to the person's JID as WhatsApp has it, by number if the
 * answer has one (GOWS 2026.8 has it beside the LID, as "pn"), else to the LID;
 * *lid to the LID.  Both are invalid if the answer has none.
 */
WireTruth
wire_read_exists(const char *body, size_t len, Jid *chat, Jid *lid)
{
	static const char *const ids[] = {"chatId", "chat_id", "jid", "id", NULL};
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *flag = json_node_any(root, exists_flags);
	bool		is_doubtful = has_remark(root);
	const char *status = json_node_text(json_node_get(root, "status"));
	WireIds		known = {0};
	Jid			id;

	for (int depth = 0; !flag && depth < WIRE_MAX_WRAPPING && json_node_is_list(root); depth++)
	{
		root = json_node_is(root, JSON_KIND_ARRAY) ? deciding_entry(root) : wire_list_in(root);
		flag = json_node_any(root, exists_flags);
		is_doubtful |= has_remark(root);
	}
	id = wire_jid_of_id(wire_id_text(json_node_any(root, ids)));
	if (id.kind == JID_LID)
		known.lid = id;
	wire_add_ids(root, WIRE_MAX_INNER_PERSON, &known);
	*chat = id.kind == JID_PERSON ? id : known.phone;
	*lid = known.lid;
	if (chat->kind == JID_INVALID)
		*chat = *lid;
	if (json_node_is(flag, JSON_KIND_TRUE) || (status && strcmp(status, "exists") == 0))
		return WIRE_YES;
	return json_node_is(flag, JSON_KIND_FALSE) && !is_doubtful ? WIRE_NO : WIRE_UNKNOWN;
}

/* Return the LID from lids/pn/{number}, in whatever envelopes; invalid means unknown, not "no account". */
Jid
wire_read_lid(const char *body, size_t len)
{
	static const char *const keys[] = {"data", "result", "results", "response", "payload", "body", NULL};
	const JsonNode *root = json_node_parse(body, len);
	Jid			lid = wire_lid_in(root);

	for (int depth = 0; depth < WIRE_MAX_WRAPPING && root && lid.kind != JID_LID; depth++)
	{
		/* of several one cannot tell whose it is */
		root = json_node_is(root, JSON_KIND_ARRAY) && root->count == 1 ? root->first : wire_first_list(root, keys);
		lid = wire_lid_in(root);
	}
	return lid;
}

/* Return the id of a message that was just sent, or NULL. */
const char *
wire_read_message_id(const char *body, size_t len)
{
	static const char *const keys[] = {"id", "message_id", "messageId", "messageID", "idMessage", "msgId", NULL};
	static const char *const wrappers[] = {"key", "data", "result", "results", "response", "messages", "message", NULL};
	const JsonNode *root = json_node_parse(body, len);

	for (int i = 0; root && i < WIRE_MAX_WRAPPING; i++)
	{
		const JsonNode *node = json_node_is(root, JSON_KIND_ARRAY) ? root->first : root;
		const char *id = wire_id_text(json_node_any(node, keys));

		if (id)
			return id;
		root = json_node_any(node, wrappers);
	}
	return NULL;
}

/*
 * True if the session can be used.  Every other status, those that are not
 * known included (2026.8 added two that wait for a passkey), is one that cannot.
 */
bool
wire_session_is_usable(const WireSession *session)
{
	return strcmp(session->status, "WORKING") == 0;
}

/* True if the session is connecting, as the account that it is paired with. */
bool
wire_session_is_starting(const WireSession *session)
{
	return strcmp(session->status, "STARTING") == 0;
}

/* Return the way in which somebody asked to join, as WAHA spells it; an unknown one as it is. */
static const char *
join_method(const char *text)
{
	static const struct
	{
		const char *bare;		/* WEBJS writes InviteLink */
		const char *method;
	}			methods[] =
	{
		{"invitelink", "invite_link"},
		{"linkedgroupjoin", "linked_group_join"},
		{"nonadminadd", WIRE_NON_ADMIN_ADD}
	};

	for (size_t i = 0; text && i < lengthof(methods); i++)
		if (pg_strcasecmp(text, methods[i].bare) == 0)
			return methods[i].method;
	return text;
}

/* Read one request to join, of WAHA's form, Baileys', whatsmeow's or WEBJS'. */
static WireJoinRequest
read_join_request(const JsonNode *node)
{
	static const char *const ids[] = {"requesterId", "requester", NULL};
	static const char *const methods[] = {"requestMethod", "request_method", NULL};
	static const char *const times[] = {"timestamp", "requestedAt", "requested_at", "RequestedAt", "request_time", "t", NULL};
	const char *id = json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : wire_id_text(json_node_any(node, ids));
	WireIds		known = wire_ids_of(node);
	WireJoinRequest request = {.jid = wire_jid_of_text(wire_id_text(json_node_get(node, "requesterPn")))};

	if (request.jid.kind != JID_PERSON)
		request.jid = known.phone;
	if (request.jid.kind != JID_PERSON)
		request.jid = wire_jid_of_id(id ? id : wire_id_in(node));
	if (request.jid.kind != JID_PERSON && request.jid.kind != JID_LID)
		request.jid = known.lid;
	request.lid = known.lid.kind == JID_LID ? known.lid : wire_jid_of_id(id ? id : wire_id_in(node));
	if (request.lid.kind != JID_LID)
		request.lid = (Jid) {.kind = JID_INVALID};
	request.at_ms = wire_time_ms(json_node_any(node, times));
	request.method = join_method(json_node_text(json_node_any(node, methods)));
	return request;
}

/*
 * Read the answer of join-requests into *out, palloc'd; false if the body is not
 * a list.  An entry that names nobody readable is kept, with an invalid jid.
 */
bool
wire_read_join_requests(const char *body, size_t len, WireJoinRequests *out)
{
	static const char *const keys[] = {"joinRequests", "requests", "membershipRequests", "data", "result", "results", "response", NULL};
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *list = root;
	WireEnvelope envelope = {.stated = -1, .page_size = -1};

	for (int depth = 0; depth < WIRE_MAX_WRAPPING && json_node_is(list, JSON_KIND_OBJECT) && !wire_is_keyed_list(list); depth++)
	{
		wire_read_list_envelope(list, WIRE_MAX_PAGING, &envelope);
		list = json_node_any(list, keys);
	}
	if (!(json_node_is(list, JSON_KIND_ARRAY) || wire_is_keyed_list(list)) || wire_is_error_body(root))
		return false;
	out->has_more = envelope.stated > list->count || wire_envelope_has_more(&envelope, list->count);
	out->requests = palloc(sizeof(WireJoinRequest) * Max(list->count, 1));
	out->count = 0;
	for (const JsonNode *child = list->first; child; child = child->next)
		out->requests[out->count++] = read_join_request(child);
	return true;
}
