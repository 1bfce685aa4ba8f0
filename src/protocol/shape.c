/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  The form of a JSON text without its contents.
 *
 * Pure.  An answer of an unknown form is recorded by its shape, so that it can be
 * reported: names of fields and kinds of values, such as
 * [{id:@other,admin:null} x3].  Nothing of people is in it.  Of a text only its
 * kind is shown: empty, digits, text, or the server of a JID, "@other" for one
 * that WhatsApp is not known to have.  A field is shown by its name if engines or
 * gateways use it, else as digits, as a JID's server or as "name", since it may be
 * somebody's.  What repeats is counted.
 *
 * Results are palloc'd, ASCII, and shorter than SHAPE_SIZE.
 *
 * IDENTIFICATION
 *	  src/protocol/shape.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"
#include "protocol/shape.h"

/* deeper values are left out */
#define SHAPE_MAX_DEPTH 6
/* the values of an array or object that are looked at, and the different ones that are shown */
#define SHAPE_MAX_VALUES 1000
#define SHAPE_MAX_DIFFERENT 30

#define DIGITS "0123456789"

/* what may follow the @ of a JID */
static const char *const known_servers[] = {"c.us", "s.whatsapp.net", "lid", "g.us", "hosted", "hosted.lid", "broadcast", "newsletter", NULL};

/* fields of engines and gateways, those that wire.c reads among them */
static const char *const known_names[] = {
	"_serialized", "added", "AddRequest", "addRequest", "addressable", "addressingMode", "admin", "admins", "alt", "announce", "attrs",
	"author", "body", "cappingStatus", "chat", "chat_id", "chatId", "chats", "Code", "code", "codes", "community", "complete", "contact",
	"content", "count", "created_at", "createdAt", "creation", "creator", "cursor", "cycleEnd", "data", "date", "desc", "description",
	"detail", "details", "device", "devices", "digits", "DisplayName", "displayName", "engine", "entries", "entry", "ephemeralDuration",
	"Error", "error", "error_code", "error_message", "errorCode", "errorMessage", "errors", "event", "exception", "exists", "Expiration",
	"expiration", "fail", "failed", "failed_participants", "failure", "flag", "flags", "form", "from", "gid", "group", "group_info",
	"group_size", "groupInfo", "groupMetadata", "groups", "groupSize", "has_more", "has_next", "hash", "hasMore", "hasNext", "hasNextPage",
	"hosted", "http", "http_status", "httpStatus", "id", "ids", "info", "invite", "invite_code", "invite_link", "inviteCode", "inviteLink",
	"inviteV4", "is_admin", "is_complete", "is_on_whatsapp", "is_super_admin", "is_truncated", "isActive", "IsAdmin", "isAdmin", "isBusiness",
	"isCommunity", "isCommunityAnnounce", "isComplete", "isGroup", "isGroupAdmin", "IsIn", "isInviteV4Sent", "IsInWhatsapp", "isInWhatsapp",
	"IsJoinApprovalRequired", "isJoinApprovalRequired", "isLid", "isMe", "isOnWhatsApp", "isPartial", "IsSuperAdmin", "isSuperAdmin",
	"isTruncated", "item", "items", "JID", "jid", "jidAlt", "jids", "join_approval_mode", "joinApprovalMode", "joinRequests", "key", "keys",
	"kind", "labels", "last_page", "lastPage", "left", "length", "LID", "lid", "lid_jid", "lidJid", "lids", "limit", "link", "linkedParent",
	"links", "list", "me", "member", "member_add_mode", "member_count", "MemberAddMode", "memberAddMode", "memberCount", "Members", "members",
	"members_count", "membersCanAddNewMember", "membersCount", "membership_approval_mode", "membershipApprovalMode", "membershipRequests",
	"message", "message_id", "messageCapping", "messageId", "meta", "metadata", "method", "more", "msg", "Name", "name",
	"newMembersApprovalRequired", "next", "next_cursor", "next_page", "next_page_token", "nextCursor", "nextPage", "nextPageToken",
	"not_added", "not_invited", "notAdded", "note", "notify", "notInvited", "number", "numberExists", "numbers", "offset", "ok", "owner",
	"ownerPn", "page", "page_count", "page_info", "pageCount", "pageInfo", "pages", "pagination", "paging", "partial", "participant",
	"participant_count", "participant_id", "participant_lid", "participant_pn", "participantAlt", "ParticipantCount", "participantCount",
	"participantId", "participantLid", "participantPn", "Participants", "participants", "participants_count", "participantsCount", "path",
	"payload", "pending", "people", "phone", "phone_jid", "phone_number", "phoneJid", "PhoneNumber", "phoneNumber", "phones", "picture", "pn",
	"pn_jid", "pnJid", "presence", "profile", "push_name", "pushName", "pushname", "query", "rank", "reachoutTimelock", "reason",
	"reasonCode", "reject", "rejected", "removed", "request", "request_method", "request_time", "requested_at", "RequestedAt", "requestedAt",
	"requester", "requesterId", "requesterPn", "requestMethod", "requests", "response", "restrict", "result", "results", "role", "SenderAlt",
	"senderAlt", "sent", "Server", "server", "session", "sessions", "size", "state", "status", "status_code", "statusCode", "statusMessage",
	"statusText", "subject", "subjectOwner", "subjectTime", "success", "superAdmin", "t", "tag", "text", "time", "timeEnforcementEnds",
	"timestamp", "title", "to", "token", "total", "total_count", "total_items", "total_members", "total_pages", "total_participants",
	"totalCount", "totalItems", "totalMembers", "totalPages", "totalParticipants", "totalQuota", "truncated", "type", "unsuccess", "until",
	"updatedAt", "updateParticipants", "url", "User", "user", "user_jid", "userJid", "users", "value", "values", "verified", "verifiedName",
	"version", "warning", "warnings", "wawp_upstream_error", "wid", "wide", NULL
};

/* One of the different values of an array or object. */
typedef struct ShapePart
{
	const char *text;
	int			count;
} ShapePart;

static bool
is_one_of(const char *text, const char *const *known)
{
	while (*known && strcmp(text, *known) != 0)
		known++;
	return *known != NULL;
}

/* Append the kind of a text: of a JID its server, which is nobody's name; `other` is for a text of no kind. */
static void
shape_put_text(StringInfo out, const char *text, const char *other)
{
	size_t		head = strspn(text, DIGITS ".:_-");
	bool		has_digits = strcspn(text, DIGITS) < head;

	if (*text == '\0')
		appendStringInfoString(out, "empty");
	else if (has_digits && text[head] == '\0')
		appendStringInfoString(out, "digits");
	else if (has_digits && text[head] == '@')
		appendStringInfo(out, "@%s", is_one_of(text + head + 1, known_servers) ? text + head + 1 : "other");
	else
		appendStringInfoString(out, other);
}

/* Append the name of a field, unless it may be somebody's. */
static void
shape_put_name(StringInfo out, const char *name)
{
	if (is_one_of(name, known_names))
		appendStringInfoString(out, name);
	else
		shape_put_text(out, name, "name");
}

/* Count a value among the different ones; false if there are too many of them. */
static bool
shape_count_part(ShapePart *parts, int *n, const char *text)
{
	for (int i = 0; i < *n; i++)
		if (strcmp(parts[i].text, text) == 0)
		{
			parts[i].count++;
			return true;
		}
	if (*n == SHAPE_MAX_DIFFERENT)
		return false;
	parts[(*n)++] = (ShapePart) {pstrdup(text), 1};
	return true;
}

/* Append different values, each once, and an ellipsis if there are more. */
static void
shape_put_parts(StringInfo out, const ShapePart *parts, int n, bool has_more)
{
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(out, "%s%s", i ? "," : "", parts[i].text);
		if (parts[i].count > 1)
			appendStringInfo(out, " x%d", parts[i].count);
	}
	if (has_more)
		appendStringInfoString(out, n ? ",..." : "...");
}

static char *shape_of_node(const JsonNode *node, int depth);

/* Append the shape of a value. */
static void
shape_put_node(StringInfo out, const JsonNode *node, int depth)
{
	char	   *shape = shape_of_node(node, depth);

	appendStringInfoString(out, shape);
	pfree(shape);
}

/* Append the values of an array or object. */
static void
shape_put_children(StringInfo out, const JsonNode *node, int depth)
{
	ShapePart	parts[SHAPE_MAX_DIFFERENT] = {0};
	StringInfoData part;
	bool		has_more = depth == 0 && node->count > 0;
	int			n = 0;
	int			seen = 0;

	initStringInfo(&part);
	for (const JsonNode *child = node->first; child && !has_more; child = child->next)
	{
		resetStringInfo(&part);
		if (child->key)
		{
			shape_put_name(&part, child->key);
			appendStringInfoChar(&part, ':');
		}
		shape_put_node(&part, child, depth - 1);
		has_more = ++seen > SHAPE_MAX_VALUES || !shape_count_part(parts, &n, part.data);
	}
	shape_put_parts(out, parts, n, has_more);
	for (int i = 0; i < n; i++)
		pfree((char *) parts[i].text);
	pfree(part.data);
}

/* Cut a shape that is too long, in place. */
static char *
shape_cut(char *shape)
{
	static const char mark[] = "...";

	if (strlen(shape) >= SHAPE_SIZE)
		strcpy(shape + SHAPE_SIZE - sizeof(mark), mark);
	return shape;
}

/* Return the shape of a value. */
static char *
shape_of_node(const JsonNode *node, int depth)
{
	StringInfoData out;

	initStringInfo(&out);
	switch (node->kind)
	{
		case JSON_KIND_NULL:
			appendStringInfoString(&out, "null");
			break;
		case JSON_KIND_FALSE:
			appendStringInfoString(&out, "false");
			break;
		case JSON_KIND_TRUE:
			appendStringInfoString(&out, "true");
			break;
		case JSON_KIND_NUMBER:
			appendStringInfoString(&out, "number");
			break;
		case JSON_KIND_STRING:
			shape_put_text(&out, node->text, "text");
			break;
		case JSON_KIND_ARRAY:
			appendStringInfoChar(&out, '[');
			shape_put_children(&out, node, depth);
			appendStringInfoChar(&out, ']');
			break;
		case JSON_KIND_OBJECT:
			appendStringInfoChar(&out, '{');
			shape_put_children(&out, node, depth);
			appendStringInfoChar(&out, '}');
			break;
	}
	return shape_cut(out.data);
}

/* Return the shapes of values, such as entries of a list, as if they were all of an array. */
char *
shape_of_nodes(const JsonNode *const *nodes, int n)
{
	ShapePart	parts[SHAPE_MAX_DIFFERENT] = {0};
	StringInfoData out;
	bool		has_more = false;
	int			nparts = 0;

	initStringInfo(&out);
	for (int i = 0; i < n && !has_more; i++)
	{
		char	   *shape = shape_of_node(nodes[i], SHAPE_MAX_DEPTH);

		has_more = !shape_count_part(parts, &nparts, shape);
		pfree(shape);
	}
	appendStringInfoChar(&out, '[');
	shape_put_parts(&out, parts, nparts, has_more);
	for (int i = 0; i < nparts; i++)
		pfree((char *) parts[i].text);
	appendStringInfoChar(&out, ']');
	return shape_cut(out.data);
}

/* Return the shape of an answer's body. */
char *
shape_of_body(const char *body, size_t len)
{
	const JsonNode *root = json_node_parse(body, len);

	if (root == NULL)
		return psprintf("no JSON, %zu bytes", len);
	return shape_of_node(root, SHAPE_MAX_DEPTH);
}
