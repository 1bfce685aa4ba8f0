/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  The wire format: URLs and JSON bodies of requests, and the forms of answers.
 *
 * Pure.  This file reads forms, outcome.c says what they mean: it finds the
 * people that an answer names and the numbers and texts beside them, in every
 * form that Wawp or an engine behind it is known to answer.
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

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "protocol/json.h"
#include "protocol/outcome.h"
#include "protocol/shape.h"
#include "protocol/wire.h"
#include "protocol/wire_time.h"

#ifndef FRONTEND
#include "utils/json.h"
#else
extern void escape_json(StringInfo buf, const char *str);
#endif

/* of a body that is read as a message; a caller that shows it redacts it, then shortens it */
#define MAX_TEXT_BYTES (16 * 1024)

/* the key of an engine's error that Wawp passes on */
#define UPSTREAM_ERROR "wawp_upstream_error"

/* lengths of an invite code: usually 22 characters */
#define INVITE_MIN 10
#define INVITE_USUAL 22
#define INVITE_MAX 64
#define INVITE_PREFIX "https://chat.whatsapp.com/"

static const char *const id_keys[] = {"JID", "jid", "id", "wid", "participant", "gid", "contact", "number", NULL};
static const char *const text_keys[] = {"message", "reason", "detail", "error", "errorMessage", "error_message", "msg", NULL};
static const char *const envelope_text_keys[] = {"reason", "detail", "errorMessage", "error_message", "msg", "description", "title", NULL};
static const char *const list_keys[] = {"updateParticipants", "results", "result", "participants", "Participants", "members", "Members", "groups", "response", "data", NULL};
static const char *const group_keys[] = {"group", "groupMetadata", "groupInfo", "group_info", "payload", "body", NULL};
static const char *const ok_keys[] = {"ok", "success", "result", "sent", "value", NULL};
static const char *const number_flags[] = {"ok", "success", NULL};	/* of ok_keys, those that are 0 or 1 in PHP */
static const char *const subject_keys[] = {"subject", "name", "Name", "title", NULL};

/* names are compared by their letters and digits alone; a longer one is none of those that are known */
#define LONGEST_NAME 40

/* The meanings of names in a list's envelope. */
typedef enum EnvelopeUse
{
	SAYS_NOTHING,
	SAYS_MORE,					/* true, a number of entries, or where the next page begins */
	SAYS_PAGES,					/* the number of pages */
	SAYS_WHOLE,					/* false if it is not the whole list */
	SAYS_OFFSET,				/* the entries before the first one that is shown */
	SAYS_PAGE,					/* the number of the page, or of its first entry */
	SAYS_PAGE_SIZE,				/* the most entries of a page */
	SAYS_LIMIT,					/* likewise, beside an offset or a page */
	SAYS_STATUS,				/* a word */
	SAYS_MORE_OF_IT				/* an object that says all this, beside the list */
} EnvelopeUse;

static const struct
{
	const char *name;
	EnvelopeUse use;
}			envelope_names[] =
{
	{"hasmore", SAYS_MORE},
	{"hasmorepages", SAYS_MORE},
	{"hasmoreresults", SAYS_MORE},
	{"hasnext", SAYS_MORE},
	{"hasnextpage", SAYS_MORE},
	{"more", SAYS_MORE},
	{"moreavailable", SAYS_MORE},
	{"cursor", SAYS_MORE},
	{"continuation", SAYS_MORE},
	{"continuationtoken", SAYS_MORE},
	{"odatanextlink", SAYS_MORE},
	{"truncated", SAYS_MORE},
	{"istruncated", SAYS_MORE},
	{"partial", SAYS_MORE},
	{"ispartial", SAYS_MORE},
	{"incomplete", SAYS_MORE},
	{"isincomplete", SAYS_MORE},
	{"incompleteresults", SAYS_MORE},
	{"remaining", SAYS_MORE},
	{"omitted", SAYS_MORE},
	{"pages", SAYS_PAGES},
	{"totalpages", SAYS_PAGES},
	{"pagecount", SAYS_PAGES},
	{"numberofpages", SAYS_PAGES},
	{"numpages", SAYS_PAGES},
	{"lastpage", SAYS_PAGES},
	{"complete", SAYS_WHOLE},
	{"iscomplete", SAYS_WHOLE},
	{"islastpage", SAYS_WHOLE},
	{"islast", SAYS_WHOLE},
	{"last", SAYS_WHOLE},
	{"offset", SAYS_OFFSET},
	{"skip", SAYS_OFFSET},
	{"start", SAYS_OFFSET},
	{"page", SAYS_PAGE},
	{"currentpage", SAYS_PAGE},
	{"pagenumber", SAYS_PAGE},
	{"pageindex", SAYS_PAGE},
	{"startindex", SAYS_PAGE},
	{"from", SAYS_PAGE},
	{"perpage", SAYS_PAGE_SIZE},
	{"pagesize", SAYS_PAGE_SIZE},
	{"itemsperpage", SAYS_PAGE_SIZE},
	{"limit", SAYS_LIMIT},
	{"size", SAYS_LIMIT},
	{"status", SAYS_STATUS},
	{"state", SAYS_STATUS},
	{"pagination", SAYS_MORE_OF_IT},
	{"paging", SAYS_MORE_OF_IT},
	{"paginator", SAYS_MORE_OF_IT},
	{"pageinfo", SAYS_MORE_OF_IT},
	{"meta", SAYS_MORE_OF_IT},
	{"metadata", SAYS_MORE_OF_IT},
	{"links", SAYS_MORE_OF_IT},
	{"group", SAYS_MORE_OF_IT},
	{"groupmetadata", SAYS_MORE_OF_IT},
	{"groupinfo", SAYS_MORE_OF_IT},
	{"chat", SAYS_MORE_OF_IT},
	{"info", SAYS_MORE_OF_IT},
};

/* The parts of a name that says how many there are: "totalMemberCount", "number_of_participants". */
typedef enum SizePart
{
	PART_COUNT = 1 << 0,		/* says so by itself */
	PART_NUMBER = 1 << 1,		/* says so with what is counted */
	PART_PEOPLE = 1 << 2,
	PART_ENTRIES = 1 << 3,
	PART_SIZE = 1 << 4			/* PART_COUNT, of a group as well */
} SizePart;

static const struct
{
	const char *word;
	SizePart	part;
}			size_words[] =
{
	{"total", PART_COUNT},
	{"count", PART_COUNT},
	{"length", PART_COUNT},
	{"groupsize", PART_SIZE},
	{"size", PART_SIZE},
	{"numberof", PART_NUMBER},
	{"num", PART_NUMBER},
	{"groupparticipants", PART_PEOPLE},
	{"groupparticipant", PART_PEOPLE},
	{"groupmembers", PART_PEOPLE},
	{"groupmember", PART_PEOPLE},
	{"participants", PART_PEOPLE},
	{"participant", PART_PEOPLE},
	{"members", PART_PEOPLE},
	{"member", PART_PEOPLE},
	{"users", PART_PEOPLE},
	{"user", PART_PEOPLE},
	{"people", PART_PEOPLE},
	{"items", PART_ENTRIES},
	{"item", PART_ENTRIES},
	{"elements", PART_ENTRIES},
	{"element", PART_ENTRIES},
	{"entries", PART_ENTRIES},
	{"entry", PART_ENTRIES},
	{"records", PART_ENTRIES},
	{"record", PART_ENTRIES},
	{"results", PART_ENTRIES},
	{"result", PART_ENTRIES},
	{"rows", PART_ENTRIES},
	{"row", PART_ENTRIES},
};

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
 * ---- in: parts that several answers share
 */

/* True if two names of a field are the same but for case, '_' and '-': engines in Go write "ErrorCode", others "error_code". */
static bool
key_is(const char *key, const char *name)
{
	for (;; key++, name++)
	{
		while (*key == '_' || *key == '-')
			key++;
		while (*name == '_' || *name == '-')
			name++;
		if (pg_ascii_tolower((unsigned char) *key) != pg_ascii_tolower((unsigned char) *name))
			return false;
		if (*key == '\0')
			return true;
	}
}

/* True if the name of a field contains a word, in any case. */
static bool
contains_name(const char *key, const char *word)
{
	for (; *key; key++)
		if (pg_strncasecmp(key, word, strlen(word)) == 0)
			return true;
	return false;
}

/* Return the member of an object under a name, in whatever spelling, the given one first; NULL if there is none. */
static const JsonNode *
get_by_name(const JsonNode *object, const char *name)
{
	const JsonNode *child = json_node_get(object, name);

	if (child || !json_node_is(object, JSON_KIND_OBJECT))
		return child;
	for (child = object->first; child && !key_is(child->key, name);)
		child = child->next;
	return child;
}

/* Return the JID in a text; invalid for NULL. */
static Jid
jid_of_text(const char *text)
{
	static const Jid none = {.kind = JID_INVALID};

	return text ? jid_parse(text, strlen(text)) : none;
}

/*
 * Return an id that is a text, or WEBJS's {"server","user","_serialized"}, in
 * which the server decides the kind of the digits; NULL if there is none.
 */
static const char *
id_text(const JsonNode *node)
{
	static const char *const user_keys[] = {"user", "User", NULL};
	static const char *const server_keys[] = {"server", "Server", NULL};
	const char *whole;
	const char *user;
	const char *server;

	if (!json_node_is(node, JSON_KIND_OBJECT))
		return json_node_text(node);
	whole = json_node_text(json_node_get(node, "_serialized"));
	if (whole == NULL && (whole = json_node_text(json_node_get(node, "id"))) == NULL)
	{
		user = json_node_text(json_node_any(node, user_keys));
		server = json_node_text(json_node_any(node, server_keys));
		return user && server ? psprintf("%s@%s", user, server) : user;
	}
	return whole;
}

/* Return the id of an object, from the first of the keys that has one; NULL if there is none. */
static const char *
first_id(const JsonNode *object, const char *const *keys)
{
	const char *text = NULL;

	for (; *keys && text == NULL; keys++)
		text = id_text(json_node_get(object, *keys));
	return text;
}

static const char *
id_in(const JsonNode *object)
{
	return first_id(object, id_keys);
}

/* Return the JID of an id; invalid without a server, since both numbers and LIDs are digits. */
static Jid
jid_of_id(const char *text)
{
	return jid_of_text(text && strchr(text, '@') ? text : NULL);
}

/* The two JIDs of one person; invalid where the entry has none. */
typedef struct WireIds
{
	Jid			phone;
	Jid			lid;
	Jid			listed;			/* the one that the entry goes by */
} WireIds;

/* Add a JID to a person's, unless one of its kind is known already. */
static void
add_jid(Jid jid, WireIds *ids)
{
	if (jid.kind == JID_PERSON && ids->phone.kind == JID_INVALID)
		ids->phone = jid;
	if (jid.kind == JID_LID && ids->lid.kind == JID_INVALID)
		ids->lid = jid;
}

/* The same for one that an entry goes by, unless an earlier one is that. */
static void
add_listed(Jid jid, WireIds *ids)
{
	add_jid(jid, ids);
	if (ids->listed.kind == JID_INVALID && jid.kind != JID_GROUP)
		ids->listed = jid;
}

/* True if a number has the digits of a LID: some engines repeat them in a field for a number (wwebjs' contact.number). */
static bool
repeats_lid(const Jid *phone, const Jid *lid)
{
	size_t		n = strcspn(phone->text, "@");

	return phone->kind == JID_PERSON && lid->kind == JID_LID &&
		n == strcspn(lid->text, "@") && strncmp(phone->text, lid->text, n) == 0;
}

/* The contents of a field of a person's entry; bits. */
typedef enum IdUse
{
	USE_JID = 1 << 0,			/* a JID of either kind */
	USE_PHONE = 1 << 1,			/* a number, perhaps without a server */
	USE_NUMBER = 1 << 2,		/* the same, or the digits of a LID */
	USE_INNER = 1 << 3,			/* an object that names the same person */
	USE_LID = 1 << 4			/* a LID, perhaps its digits alone */
} IdUse;

static const struct
{
	const char *key;
	int			uses;
}			id_fields[] =
{
	{"id", USE_JID | USE_INNER},
	{"jid", USE_JID | USE_INNER},
	{"JID", USE_JID},
	{"wid", USE_JID},
	{"participant", USE_JID | USE_INNER},
	{"contact", USE_JID | USE_INNER},
	{"participantId", USE_JID},
	{"participant_id", USE_JID},
	{"userJid", USE_JID},
	{"user_jid", USE_JID},
	{"userWid", USE_JID},
	{"userId", USE_JID},
	{"user_id", USE_JID},
	{"recipient", USE_JID | USE_INNER},
	{"chatId", USE_JID},
	{"chat_id", USE_JID},
	{"contactId", USE_JID},
	{"contact_id", USE_JID},
	{"participantAlt", USE_JID},
	{"SenderAlt", USE_JID},
	{"senderAlt", USE_JID},
	{"jidAlt", USE_JID},
	{"alt", USE_JID},
	{"PhoneNumber", USE_PHONE},
	{"phoneNumber", USE_PHONE},
	{"phone_number", USE_PHONE},
	{"pn", USE_PHONE},
	{"phone", USE_PHONE},
	{"phoneJid", USE_PHONE},
	{"phone_jid", USE_PHONE},
	{"pnJid", USE_PHONE},
	{"pn_jid", USE_PHONE},
	{"participantPn", USE_PHONE},
	{"participant_pn", USE_PHONE},
	{"number", USE_NUMBER},
	{"waId", USE_NUMBER},
	{"wa_id", USE_NUMBER},
	{"member", USE_INNER},
	{"user", USE_JID | USE_INNER},
	{"content", USE_INNER},
	{"attrs", USE_INNER},
	{"LID", USE_LID},
	{"lid", USE_LID},
	{"lidJid", USE_LID},
	{"lid_jid", USE_LID},
	{"participantLid", USE_LID},
	{"participant_lid", USE_LID},
};

/* The keys of ids in a hash table, so that each field of a long list is looked up once. */
static struct IdKey
{
	const char *key;			/* NULL: free */
	int			uses;			/* IdUse */
}			id_keys_by_hash[256];

/* Return the slot of a key, or the free one where it belongs. */
static struct IdKey *
id_key_slot(const char *key)
{
	uint32		hash = 0;

	for (const char *c = key; *c; c++)
		hash = hash * 31 + (unsigned char) *c;
	for (;; hash++)
	{
		struct IdKey *slot = &id_keys_by_hash[hash % lengthof(id_keys_by_hash)];

		if (slot->key == NULL || strcmp(slot->key, key) == 0)
			return slot;
	}
}

/* Return the contents of an entry's field with that key; IdUse. */
static int
id_uses(const char *key)
{
	static bool is_filled = false;

	for (size_t i = 0; i < lengthof(id_fields) && !is_filled; i++)
	{
		struct IdKey *slot = id_key_slot(id_fields[i].key);

		slot->key = id_fields[i].key;
		slot->uses = id_fields[i].uses;
	}
	is_filled = true;
	return id_key_slot(key)->uses;
}

/* Return the LID of an entry, from a field for one: as a JID, or as its digits alone. */
static Jid
lid_in(const JsonNode *object)
{
	const char *text = NULL;
	Jid			jid;

	if (json_node_is(object, JSON_KIND_OBJECT))
		for (const JsonNode *child = object->first; child && text == NULL; child = child->next)
			if (id_uses(child->key) & USE_LID)
				text = id_text(child);
	jid = jid_of_text(text && !strchr(text, '@') ? psprintf("%s@lid", text) : text);
	if (jid.kind != JID_LID)
		jid = jid_of_text(NULL);
	return jid;
}

/* Add the JIDs of an entry and of the objects in it that name the same person. */
static void
add_ids_of(const JsonNode *object, int depth, WireIds *ids)
{
	WireIds		named = {0};	/* by JIDs alone */
	Jid			number = {.kind = JID_INVALID};

	if (!json_node_is(object, JSON_KIND_OBJECT))
		return;
	add_jid(lid_in(object), ids);
	for (const JsonNode *child = object->first; child; child = child->next)
	{
		int			uses = child->kind >= JSON_KIND_NUMBER ? id_uses(child->key) : 0;

		if (uses & USE_JID)
			add_listed(jid_of_id(id_text(child)), &named);
		if ((uses & USE_PHONE) && ids->phone.kind != JID_PERSON)
			add_jid(jid_of_text(id_text(child)), ids);
		if (uses & USE_NUMBER)
			number = jid_of_text(id_text(child));
		if ((uses & USE_INNER) && depth > 0)
			add_ids_of(child, depth - 1, &named);
	}
	add_jid(named.lid, ids);
	if (!repeats_lid(&number, &ids->lid))
		add_jid(number, ids);
	add_jid(named.phone, ids);
	if (ids->listed.kind == JID_INVALID)
		ids->listed = named.listed;
}

/* in an entry, the objects that name the same person are at most so deep: content.attrs */
#define MAX_INNER_PERSON 2

static WireIds
ids_of(const JsonNode *object)
{
	WireIds		ids = {0};

	add_ids_of(object, MAX_INNER_PERSON, &ids);
	if (repeats_lid(&ids.phone, &ids.lid))
		ids.phone = (Jid) {.kind = JID_INVALID};
	return ids;
}

/* Read a person's number and LID, invalid if not told, from an id or an entry that names one person. */
void
wire_read_ids(const JsonNode *node, Jid *phone, Jid *lid)
{
	WireIds		ids = ids_of(node);

	add_jid(jid_of_id(id_text(node)), &ids);
	*phone = ids.phone;
	*lid = ids.lid;
}

/* True if a value could name an account that is not read: whatever is set, but what is known to stand beside an account's ids. */
static bool
may_name_account(const JsonNode *node)
{
	static const char *const beside[] = {"pushName", "push_name", "name", "reachoutTimelock", "messageCapping", NULL};

	if (!json_node_is_list(node))
		return wire_is_set(node);
	for (const JsonNode *child = node->first; child; child = child->next)
		if (wire_is_set(child) && child->kind != JSON_KIND_TRUE && !wire_word_is(child->key, beside))
			return true;
	return false;
}

/*
 * Read number and LID, invalid if not told, of the account that a session or an
 * event calls its own; false if it names one in a form that is not understood.
 * Of an account digits without a server are its number, as the session is paired
 * by one.
 */
bool
wire_read_account(const JsonNode *me, Jid *phone, Jid *lid)
{
	const char *text = json_node_is(me, JSON_KIND_OBJECT) ? id_in(me) : json_node_text(me);

	wire_read_ids(me, phone, lid);
	if (phone->kind == JID_INVALID && text && strchr(text, '@') == NULL)
		*phone = jid_of_text(text);
	if (phone->kind != JID_PERSON || repeats_lid(phone, lid))
		*phone = (Jid) {.kind = JID_INVALID};
	return phone->kind == JID_PERSON || lid->kind == JID_LID || !may_name_account(me);
}

/* Return the group that an id names, or an object with one under any of the usual keys; invalid if there is none. */
Jid
wire_read_group_id(const JsonNode *node)
{
	static const char *const keys[] = {"id", "JID", "jid", "gid", "groupId", "group_id", "groupJid", "group_jid", "GroupJID", "chatId", "chat_id", NULL};
	Jid			group = jid_of_text(id_text(node));

	for (const char *const *key = keys; *key && group.kind != JID_GROUP; key++)
		group = jid_of_text(id_text(json_node_get(node, *key)));
	if (group.kind != JID_GROUP)
		group = (Jid) {.kind = JID_INVALID};
	return group;
}

/* Return the first of the values under the keys that is an array or an object, else NULL. */
static const JsonNode *
first_list(const JsonNode *object, const char *const *keys)
{
	for (; *keys; keys++)
	{
		const JsonNode *node = json_node_get(object, *keys);

		if (json_node_is_list(node))
			return node;
	}
	return NULL;
}

/* Return the list in an envelope, or the next envelope; NULL if there is neither. */
static const JsonNode *
list_in(const JsonNode *object)
{
	const JsonNode *list = first_list(object, list_keys);

	return list ? list : first_list(object, group_keys);
}

/* True if a word is one of these, up to a NULL, in whatever case; false for NULL. */
bool
wire_word_is(const char *word, const char *const *words)
{
	for (; word && *words; words++)
		if (pg_strcasecmp(word, *words) == 0)
			return true;
	return false;
}

/*
 * Write the letters and digits of a name, in lower case; nothing if they are too
 * many.  Engines in Go, PHP and JavaScript spell one name in different ways.
 */
static void
plain_name(const char *key, char name[LONGEST_NAME + 1])
{
	size_t		n = 0;

	for (; *key && n <= LONGEST_NAME; key++)
		if (isalnum((unsigned char) *key))
			name[n++] = pg_tolower((unsigned char) *key);
	name[n > LONGEST_NAME ? 0 : n] = '\0';
}

static bool
means_success(const char *word)
{
	static const char *const words[] = {"success", "ok", "added", "true", NULL};

	return wire_word_is(word, words);
}

static bool
means_failure(const char *word)
{
	static const char *const words[] = {"error", "failure", "failed", "fail", "false", NULL};

	return wire_word_is(word, words);
}

/* Return 1 for a flag that is set, in any of a flag's spellings, 0 for one that is not, -1 for anything else. */
static int
read_flag(const JsonNode *flag)
{
	const char *text = json_node_text(flag);

	if (json_node_is(flag, JSON_KIND_TRUE) || means_success(text))
		return 1;
	if (json_node_is(flag, JSON_KIND_FALSE) || means_failure(text))
		return 0;
	return -1;
}

/* The same for a flag that may also be a number. */
static int
read_number_flag(const JsonNode *flag)
{
	int			number;

	return json_node_int(flag, &number) && (number == 0 || number == 1) ? number : read_flag(flag);
}

/* True for values other than null, false, "", 0, [] and {}. */
bool
wire_is_set(const JsonNode *node)
{
	const char *text = json_node_text(node);

	if (!node || node->kind == JSON_KIND_NULL || node->kind == JSON_KIND_FALSE)
		return false;
	if (json_node_is_list(node))
		return node->count > 0;
	return node->kind == JSON_KIND_TRUE || (text && strcmp(text, "0") != 0);
}

/* True if the word before text[at] ends in "status", "error" or "code". */
static bool
number_is_announced(const char *text, size_t at)
{
	static const char *const words[] = {"status", "error", "code"};

	while (at > 0 && strchr(" :=#(", text[at - 1]) != NULL)
		at--;
	for (size_t i = 0; i < lengthof(words); i++)
	{
		size_t		n = strlen(words[i]);

		if (at >= n && pg_strncasecmp(text + at - n, words[i], n) == 0)
			return true;
	}
	return false;
}

/*
 * Return the status in a sentence such as "info query returned status 400:
 * bad-request" or "server returned error 463"; 0 if there is none.
 */
static int
code_in_text(const char *text)
{
	for (size_t i = 0; text && text[i]; i++)
	{
		size_t		n = strspn(text + i, "0123456789");

		if (n == 3 && text[i] >= '3' && text[i] <= '5' && number_is_announced(text, i))
			return atoi(text + i);
		if (n > 0)
			i += n - 1;
	}
	return 0;
}

/* Return a message that is a text or, from a validation, an array of texts (NestJS) or of objects with one (FastAPI); else NULL. */
static const char *
message_text(const JsonNode *node)
{
	static const char *const keys[] = {"message", "msg", NULL};
	StringInfoData all;

	if (!json_node_is(node, JSON_KIND_ARRAY))
		return json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : NULL;
	initStringInfo(&all);
	for (const JsonNode *part = node->first; part; part = part->next)
	{
		const char *text = json_node_text(json_node_is(part, JSON_KIND_OBJECT) ? json_node_any(part, keys) : part);

		if (text)
			appendStringInfo(&all, "%s%s", all.len ? "; " : "", text);
	}
	return all.len ? all.data : NULL;
}

/* Return the beginning of the body as a message; NULL if it is no text. */
static const char *
body_beginning(const char *body, size_t len)
{
	size_t		bom = strlen(JSON_BYTE_ORDER_MARK);
	size_t		n = 0;

	if (len >= bom && memcmp(body, JSON_BYTE_ORDER_MARK, bom) == 0)
		body += bom, len -= bom;
	while (len > 0 && isspace((unsigned char) *body))
		body++, len--;
	while (n < len && body[n] != '\0')
	{
		int			width = pg_utf_mblen((const unsigned char *) body + n);

		if (n + width > len || n + width > MAX_TEXT_BYTES ||
			!pg_utf8_islegal((const unsigned char *) body + n, width))
			break;
		n += width;
	}
	return n ? pnstrdup(body, n) : NULL;
}

/*
 * ---- in: what became of each person
 */

/* Add a number to one person's verdict.  A refusal replaces a success; a second one is the inner code. */
static void
add_code(int number, WirePerson *person)
{
	if (!person->has_code || (person->code < 300 && number >= 300))
		person->code = number;
	else if (number != person->code && number >= 300)
		person->inner_code = number;
	person->has_code = true;
}

/* Add a value that is a verdict by itself: a number, true, false or a word. */
static void
add_verdict(const JsonNode *value, WirePerson *person)
{
	const char *word = json_node_text(value);
	int			number;

	if (json_node_int(value, &number))
		add_code(number, person);
	else if (json_node_is(value, JSON_KIND_TRUE) || means_success(word))
		person->has_success = true;
	else if (json_node_is(value, JSON_KIND_FALSE) || means_failure(word))
		person->has_failure = true;
	else if (person->text == NULL)
		person->text = word;
}

/* Take a word of a list's entry that is not known as its verdict, if it has no other. */
static void
add_unknown_word(const JsonNode *node, WirePerson *person)
{
	static const char *const keys[] = {"status", "code", "result", NULL};

	if (person->has_code || person->has_success || person->has_failure)
		return;
	for (const char *const *key = keys; *key && !person->text; key++)
		if (json_node_is(get_by_name(node, *key), JSON_KIND_STRING))
			person->text = json_node_text(get_by_name(node, *key));
}

/* verdicts lie at most so deep in a person's entry: {"error":{"code"}} and {"result":{"data":{"status"}}} */
#define MAX_INNER_VERDICT 3

static bool
is_digits(const char *text)
{
	return text && text[strspn(text, "0123456789")] == '\0';
}

/* Take the first text of an entry; a number under "error" or "reason" is a code, which add_verdict_field() reads. */
static void
add_text(const JsonNode *node, WirePerson *person)
{
	for (const char *const *name = text_keys; *name && !person->text; name++)
	{
		const char *text = message_text(get_by_name(node, *name));
		bool		is_number = is_digits(text) && (strcmp(*name, "error") == 0 || strcmp(*name, "reason") == 0);

		if (text && *text && !is_number)
			person->text = text;
	}
}

/* The meaning of a field of an entry's verdict. */
typedef enum VerdictUse
{
	VERDICT_WORD,				/* a number, a flag or a word, which is the verdict */
	VERDICT_ERROR,				/* a number or a flag; none is a success */
	VERDICT_NUMBER,				/* a number, if it is not 0: the entry's own verdict lies beside it */
	VERDICT_STATUS,				/* a number that may be of another kind, if it is none of a status */
	VERDICT_FLAG,				/* true for a success */
	VERDICT_FAILURE,			/* true for a failure */
	VERDICT_OFFER				/* an invitation to be sent, which comes with a 403 */
} VerdictUse;

/* The names in any spelling (key_is), in the order in which they are read. */
static const struct
{
	const char *name;
	VerdictUse	use;
}			verdict_fields[] =
{
	{"code", VERDICT_WORD},
	{"status", VERDICT_WORD},
	{"statusCode", VERDICT_WORD},
	{"error", VERDICT_ERROR},
	{"errorCode", VERDICT_NUMBER},
	{"reason", VERDICT_STATUS},
	{"result", VERDICT_STATUS},
	{"response", VERDICT_STATUS},
	{"value", VERDICT_STATUS},
	{"httpStatus", VERDICT_STATUS},
	{"success", VERDICT_FLAG},
	{"isSuccess", VERDICT_FLAG},
	{"ok", VERDICT_FLAG},
	{"added", VERDICT_FLAG},
	{"isAdded", VERDICT_FLAG},
	{"failed", VERDICT_FAILURE},
	{"isFailed", VERDICT_FAILURE},
	{"addRequest", VERDICT_OFFER},
};

/* Add a flag of an entry, which is `good` for a success; -1: it is none. */
static void
add_flag(int flag, int good, WirePerson *person)
{
	person->has_success |= flag == good;
	person->has_failure |= flag == !good;
}

/* Add a field of an entry's verdict. */
static void
add_verdict_field(const JsonNode *value, VerdictUse use, WirePerson *person)
{
	int			number = 0;
	bool		is_number = json_node_int(value, &number);

	if (use == VERDICT_WORD && (is_number || means_success(json_node_text(value)) || means_failure(json_node_text(value))))
		add_verdict(value, person);
	else if (use == VERDICT_ERROR && (!is_number || number == 0))
		add_flag(is_number ? 0 : json_node_is(value, JSON_KIND_TRUE) ? 1 : json_node_is(value, JSON_KIND_FALSE) ? 0 : -1, 0, person);
	else if (is_number && ((number != 0 && (use == VERDICT_NUMBER || use == VERDICT_ERROR)) ||
						   (use == VERDICT_STATUS && number >= 200 && number <= 599)))
		add_code(number, person);
	else if (use == VERDICT_FLAG || use == VERDICT_FAILURE)
		add_flag(read_number_flag(value), use == VERDICT_FLAG, person);
	else if (use == VERDICT_OFFER && wire_is_set(value) && !json_node_is(value, JSON_KIND_STRING))
		add_code(403, person);
}

/* Set the numbers, the words and the text of one person's verdict, which may lie deeper in the entry. */
static void
read_verdict(const JsonNode *node, int depth, WirePerson *person)
{
	static const char *const inner[] = {"error", "errors", "result", "response", "data", "status", "value", "content", "attrs", "output", "payload", NULL};

	add_text(node, person);
	for (size_t i = 0; i < lengthof(verdict_fields); i++)
		add_verdict_field(get_by_name(node, verdict_fields[i].name), verdict_fields[i].use, person);
	for (const char *const *key = inner; *key && depth > 0; key++)
	{
		const JsonNode *value = get_by_name(node, *key);

		if (strcmp(*key, "errors") == 0 && json_node_is(value, JSON_KIND_ARRAY))
			value = value->first;
		if (json_node_is(value, JSON_KIND_OBJECT))
			read_verdict(value, depth - 1, person);
	}
}

/* Settle a verdict that says both: a failure outweighs a success. */
static void
weigh_verdict(WirePerson *person)
{
	if (person->has_failure)
		person->has_success = false;
	if (person->has_failure && person->code < 300)
		person->has_code = false;
}

/*
 * Set inner_code and is_unaddressable from WhatsApp's own node, which NOWEB passes
 * on: {"attrs":{...},"content":[{"tag",...}]}.
 */
static void
read_engine_node(const JsonNode *content, WirePerson *person)
{
	const JsonNode *attrs = json_node_get(content, "attrs");
	const JsonNode *children = json_node_get(content, "content");
	const char *addressable = json_node_text(json_node_get(attrs, "addressable"));

	person->is_unaddressable = addressable && strcmp(addressable, "false") == 0;
	if (!json_node_is(children, JSON_KIND_ARRAY))
		return;
	for (const JsonNode *child = children->first; child; child = child->next)
		json_node_int(json_node_get(json_node_get(child, "attrs"), "error"), &person->inner_code);
}

/*
 * Set the JID and the LID of an entry; person->id is set.  A phone number
 * anywhere in the entry is preferred to a LID, in Baileys' node under "content"
 * as well (Baileys#1842).  An id without a server is a number here: requests
 * name people by number.
 */
static void
read_person_ids(const JsonNode *node, WirePerson *person)
{
	WireIds		ids = ids_of(node);
	Jid			id = jid_of_text(person->id);

	if (!repeats_lid(&id, &ids.lid))
		add_jid(id, &ids);
	person->lid = ids.lid;
	person->jid = ids.phone.kind == JID_PERSON ? ids.phone : ids.lid;
}

/*
 * True if a field may be a verdict that was not read as a success, by its name in
 * any spelling.
 */
static bool
may_be_verdict(const JsonNode *field)
{
	static const char *const stems[] = {"error", "code", "status", "state", "reason", "fail", "reject", "refus", "denied", "message",
	"result", "request", "invit", "pending"};
	const char *word = json_node_text(field);
	int			number;

	if (!wire_is_set(field) || means_success(word) || (json_node_int(field, &number) && number >= 200 && number < 300))
		return false;
	for (size_t i = 0; i < lengthof(stems); i++)
		if (contains_name(field->key, stems[i]))
			return true;
	return false;
}

/* True if an entry is of GOWS, which leaves Error out, or sends 0, instead of 200, and nothing in it speaks of a refusal. */
static bool
is_silent_success(const JsonNode *node, const WirePerson *person)
{
	if (!json_node_text(json_node_get(node, "JID")) || person->has_failure || person->text || (person->has_code && person->code != 0))
		return false;
	for (const JsonNode *field = node->first; field; field = field->next)
		if (may_be_verdict(field))
			return false;
	return true;
}

/* Return the id of an entry that writes its names as Go does; NULL if there is none, or one in the usual spelling. */
static const char *
id_in_any_spelling(const JsonNode *node)
{
	static const char *const keys[] = {"id", "jid", "wid", "participant", "phoneNumber", "phone", "user", "chatId", NULL};
	WireIds		ids = ids_of(node);
	const char *text = NULL;

	if (ids.phone.kind == JID_PERSON || ids.lid.kind == JID_LID)
		return NULL;
	for (const char *const *key = keys; *key && text == NULL; key++)
		text = id_text(get_by_name(node, *key));
	return text;
}

/* Read one person's entry, an object or a verdict alone; `key` is its name in a map, else NULL. */
static WirePerson
read_person(const JsonNode *node, const char *key)
{
	WirePerson	person = {0};

	person.id = key ? key : json_node_is(node, JSON_KIND_OBJECT) ? id_in(node) : json_node_text(node);
	if (person.id == NULL)
		person.id = id_in_any_spelling(node);
	read_person_ids(node, &person);
	if (json_node_is(node, JSON_KIND_OBJECT))
		read_verdict(node, MAX_INNER_VERDICT, &person);
	else if (key)
		add_verdict(node, &person);
	weigh_verdict(&person);
	read_engine_node(json_node_get(node, "content"), &person);
	person.is_card_sent = json_node_is(json_node_get(node, "isInviteV4Sent"), JSON_KIND_TRUE);

	if (is_silent_success(node, &person))
	{
		person.has_code = true;
		person.code = 200;
	}
	if (!person.has_code && !person.has_success && code_in_text(person.text))
	{
		person.has_code = true;
		person.code = code_in_text(person.text);
	}
	return person;
}

#define FIRST_PEOPLE 8

/* Append a person, unless the entry has a name only and no verdict. */
static void
add_person(WireAnswer *answer, WirePerson person)
{
	int			n = answer->npeople;

	if (!person.has_code && !person.has_success && !person.has_failure && !person.is_listed_as_added && !person.text)
		return;
	if (answer->people == NULL)
		answer->people = palloc(sizeof(WirePerson) * FIRST_PEOPLE);
	else if (n >= FIRST_PEOPLE && (n & (n - 1)) == 0)
		answer->people = repalloc(answer->people, sizeof(WirePerson) * n * 2);
	answer->people[answer->npeople++] = person;
}

/* True if the object describes one person, rather than the whole call. */
static bool
is_person_object(const JsonNode *node)
{
	static const char *const keys[] = {"JID", "jid", "wid", "participant", NULL};

	return json_node_any(node, keys) != NULL;
}

/* a list has no place with more digits, and a telephone number has more */
#define PLACE_DIGITS 6

/* True if a key is a place in a list: Wawp's events have arrays as objects with the keys "0", "1" and so on. */
static bool
is_place(const char *key)
{
	size_t		n = strlen(key);

	return n > 0 && n <= PLACE_DIGITS && is_digits(key);
}

/* True for an object that is a list: its keys are JIDs or places. */
bool
wire_is_keyed_list(const JsonNode *node)
{
	return json_node_is(node, JSON_KIND_OBJECT) && node->first &&
		(strchr(node->first->key, '@') != NULL || is_place(node->first->key));
}

/* True if a member of an object is named after a person. */
static bool
is_named_after_person(const JsonNode *child)
{
	return (child->key[0] != '@' && strchr(child->key, '@')) || jid_of_text(child->key).kind == JID_PERSON;
}

/* True if a child of an array or an object is an entry of a list; set *name to the person that its key names, NULL if none. */
static bool
is_list_entry(const JsonNode *child, const char **name)
{
	*name = child->key && is_named_after_person(child) ? child->key : NULL;
	return *name || child->key == NULL || is_place(child->key);
}

/* Append the people of an array, or of a map in which each is a person's JID or number, to answer->people. */
static void
read_people_list(const JsonNode *list, WireAnswer *answer)
{
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		const char *name;
		WirePerson	person;

		if (!is_list_entry(child, &name) || (name == NULL && !json_node_is(child, JSON_KIND_OBJECT)))
			continue;
		person = read_person(child, name);
		add_unknown_word(child, &person);
		add_person(answer, person);
	}
}

/* True for the name of a list of errors, which may be those of people or of the whole call. */
static bool
is_error_list(const char *name)
{
	return name && pg_strncasecmp(name, "error", strlen("error")) == 0;
}

/* Append a person of a list whose name is a verdict.  What names nobody is a message. */
static void
read_sorted_person(const JsonNode *child, const char *name, const char *list, bool is_added, WireAnswer *answer)
{
	WirePerson	person = read_person(child, name);

	if (person.jid.kind == JID_INVALID && is_error_list(list))
		return;
	if (name == NULL && person.jid.kind == JID_INVALID && (!json_node_is(child, JSON_KIND_OBJECT) || !person.id))
		return;
	person.is_listed_as_added = is_added;
	person.has_failure |= !is_added;
	weigh_verdict(&person);
	add_person(answer, person);
}

/* Return what follows the beginning of a name, both in any spelling (key_is); NULL if it does not begin so. */
static const char *
after_name(const char *name, const char *start)
{
	for (; *start; name++, start++)
	{
		while (*name == '_' || *name == '-')
			name++;
		if (pg_ascii_tolower((unsigned char) *name) != pg_ascii_tolower((unsigned char) *start))
			return NULL;
	}
	return name;
}

/* True if what follows a verdict in a list's name makes it one of people: "failedMembers", not "addedBy". */
static bool
is_rest_of_list_name(const char *rest)
{
	static const char *const words[] = {"", "participants", "participantIds", "members", "memberIds", "users", "userIds", "people", "persons", "numbers",
	"contacts", "contactIds", "list", "jids", "ids", "wids", "lids", "phones", "phoneNumbers", "chats", "chatIds", "recipients", NULL};

	for (const char *const *word = words; *word; word++)
		if (key_is(rest, *word))
			return true;
	return false;
}

/* Set *is_added by the name of a list of people, such as "failed_participants"; false if it is no verdict. */
static bool
is_name_of_sorted_list(const char *name, bool *is_added)
{
	static const struct
	{
		const char *start;
		bool		is_added;
	}			names[] = {{"added", true}, {"success", true}, {"successes", true}, {"successful", true}, {"succeeded", true},
	{"fail", false}, {"fails", false}, {"failed", false}, {"failing", false}, {"failure", false}, {"failures", false}, {"rejected", false}, {"refused", false},
	{"denied", false}, {"declined", false}, {"blocked", false}, {"skipped", false}, {"ignored", false}, {"invalid", false},
	{"unregistered", false}, {"notRegistered", false}, {"notOnWhatsapp", false}, {"notFound", false}, {"missing", false}, {"unaddable", false},
	{"notAdded", false}, {"phonesNotAdded", false}, {"notInvited", false}, {"error", false}, {"errors", false}, {"unsuccessful", false}};

	for (size_t i = 0; name && i < lengthof(names); i++)
	{
		const char *rest = after_name(name, names[i].start);

		*is_added = names[i].is_added;
		if (rest && is_rest_of_list_name(rest))
			return true;
	}
	return false;
}

/*
 * Append the person that stands alone where a list of those who were refused is
 * expected: as an object, a text or a number.  A success is not believed in that form.
 */
static void
read_sorted_alone(const JsonNode *node, bool is_added, WireAnswer *answer)
{
	if (!is_added && read_person(node, NULL).jid.kind != JID_INVALID)
		read_sorted_person(node, NULL, node->key, false, answer);
}

/* Append the people of {"added":["..."],"failed":[{"id","reason"}]} to answer->people, or those of lists of errors. */
static void
read_sorted_people(const JsonNode *root, bool errors, WireAnswer *answer)
{
	for (const JsonNode *list = json_node_is(root, JSON_KIND_OBJECT) ? root->first : NULL; list; list = list->next)
	{
		const char *name;
		bool		is_added;

		if (is_error_list(list->key) != errors || !is_name_of_sorted_list(list->key, &is_added))
			continue;
		if (!errors)
			read_sorted_alone(list, is_added, answer);
		for (const JsonNode *child = list->first; child; child = child->next)
			if (is_list_entry(child, &name))
				read_sorted_person(child, name, list->key, is_added, answer);
	}
}

/* Append the one person that an object describes to answer->people. */
static void
read_one_person(const JsonNode *node, WireAnswer *answer)
{
	add_person(answer, read_person(node, NULL));
}

/* Answers are wrapped in envelopes, at most three deep in those that were seen. */
#define MAX_WRAPPING 6

/*
 * Append the people named at this level, in a list, a map or an object; false if
 * there are none.  Errors complete the lists of the added and the failed only:
 * elsewhere they repeat people.
 */
static bool
read_people_here(const JsonNode *node, WireAnswer *answer)
{
	bool		is_sorted;

	if (is_person_object(node))
		read_one_person(node, answer);
	else
		read_people_list(node, answer);
	is_sorted = (answer->npeople == 0);
	read_sorted_people(node, false, answer);
	if (is_sorted && answer->npeople > 0)
		read_sorted_people(node, true, answer);
	return answer->npeople > 0;
}

/* Drop what was read of people if none of it names anybody, such as a list of faults in the request. */
static bool
keep_if_named(WireAnswer *answer)
{
	for (int i = 0; i < answer->npeople; i++)
		if (answer->people[i].jid.kind != JID_INVALID)
			return true;
	answer->npeople = 0;
	return false;
}

/*
 * Append the people named at any depth of wrapping:
 * {"success","data":{"updateParticipants":[...]}}.  is_usual: each key on the way
 * is one of list_keys; elsewhere, entries that name nobody are not people.  What
 * repeats the request is left out.  A list of errors is read if no list under
 * list_keys has anybody.
 */
static bool
read_people(const JsonNode *node, int depth, bool is_usual, WireAnswer *answer)
{
	if (read_people_here(node, answer) && (is_usual || keep_if_named(answer)))
		return true;
	if (depth == 0)
		return false;
	for (int usual = 1; usual >= 0; usual--)
	{
		for (const JsonNode *child = node->first; child; child = child->next)
			if (json_node_is_list(child) && wire_word_is(child->key, list_keys) == (usual == 1) &&
				!(child->key && strcmp(child->key, "request") == 0) &&
				read_people(child, depth - 1, is_usual && usual == 1, answer))
				return true;
		if (usual == 1)
			read_sorted_people(node, true, answer);
		if (answer->npeople > 0)
			return true;
	}
	return false;
}

/* True if an object has a number of a refusal; deeper in it, too. */
static bool
has_number(const JsonNode *node, int depth)
{
	WirePerson	verdict = {0};

	read_verdict(node, depth, &verdict);
	return verdict.has_code && verdict.code >= 300;
}

/*
 * Append the person that an envelope names beside a number, if that is a refusal:
 * {"success":true,"data":{"id":"...","code":403}}.  The number is theirs where a
 * change was asked for, and the call's elsewhere, so it is known as ambiguous.  In
 * the outermost envelope, an error's own number and a status code are the call's.
 */
static bool
read_lone_person(const JsonNode *node, int depth, WireAnswer *answer)
{
	bool		is_outermost = depth == MAX_WRAPPING;

	if (json_node_is(node, JSON_KIND_OBJECT) && jid_of_text(id_in(node)).kind != JID_GROUP &&
		!(is_outermost && get_by_name(node, "statusCode")) && has_number(node, is_outermost ? 0 : MAX_INNER_VERDICT))
	{
		WirePerson	person = read_person(node, NULL);

		if (person.jid.kind != JID_INVALID)
			add_person(answer, person);
	}
	for (const JsonNode *child = node->first; child && depth > 0 && answer->npeople == 0; child = child->next)
		if (json_node_is_list(child) && !(child->key && strcmp(child->key, "request") == 0))
			read_lone_person(child, depth - 1, answer);
	return answer->is_ambiguous = answer->npeople > 0;
}

/*
 * ---- in: what became of the whole call
 */

/* Return the HTTP-like status of a refusal in an envelope or its error, else any other number of it, else 0. */
static int
envelope_status(const JsonNode *node)
{
	static const char *const status_keys[] = {"statusCode", "status", "code", "httpStatus", "httpCode", NULL};
	int			status = 0;

	for (const char *const *key = status_keys; *key && status < 400; key++)
		if (!json_node_int(get_by_name(node, *key), &status))
			status = 0;
	return status;
}

/*
 * Return the number of the first of an envelope's errors, of what it passes on, or
 * one of unknown origin, if it means the same of a person and of the call; else 0.
 */
static int
other_status(const JsonNode *root)
{
	static const char *const keys[] = {"errorCode", "upstreamStatus", NULL};
	const JsonNode *errors = json_node_get(root, "errors");
	int			status = envelope_status(json_node_is(errors, JSON_KIND_ARRAY) ? errors->first : errors);

	for (const char *const *key = keys; *key && status == 0; key++)
		if (!json_node_int(get_by_name(root, *key), &status))
			status = 0;
	return status == 429 || (status >= 500 && status <= 599) ? status : 0;
}

/* Return WhatsApp's own number in an error: Baileys has it under "data", others in the text; 0 if there is none. */
static int
engine_code_of(const JsonNode *root, const char *text)
{
	const JsonNode *places[] = {json_node_get(root, "exception"), json_node_get(root, "error"), root};
	int			code;

	for (size_t i = 0; i < lengthof(places); i++)
		if (json_node_int(json_node_get(places[i], "data"), &code) && code >= 400 && code <= 599)
			return code;
	return code_in_text(text);
}

/* True for a status that WhatsApp has and HTTP has not. */
static bool
is_engines_own(int status)
{
	return status == 436 || status == 463 || status == 475;
}

/* Set an error's word, message and numbers: code, text, status, engine_code. */
static void
read_envelope(const JsonNode *root, WireAnswer *answer)
{
	const JsonNode *error = json_node_get(root, "error");
	const JsonNode *errors = json_node_get(root, "errors");
	const JsonNode *exception = json_node_get(root, "exception");
	const char *texts[] = {
		message_text(json_node_get(root, "message")),
		message_text(json_node_get(error, "message")),
		message_text(error),
		message_text(errors),
		message_text(json_node_is(errors, JSON_KIND_ARRAY) ? json_node_get(errors->first, "message") : NULL),
		message_text(json_node_get(exception, "message")),
		message_text(json_node_get(exception, "details")),
		message_text(json_node_get(root, UPSTREAM_ERROR))
	};

	answer->code = json_node_text(json_node_get(root, "code"));
	if (!answer->code)
		answer->code = json_node_text(json_node_get(error, "code"));
	if (!answer->code && wire_is_set(json_node_get(root, UPSTREAM_ERROR)))
		answer->code = UPSTREAM_ERROR;
	if (message_text(json_node_get(json_node_get(root, "response"), "message")))
		answer->text = message_text(json_node_get(json_node_get(root, "response"), "message"));
	for (size_t i = 0; i < lengthof(texts) && !answer->text; i++)
		answer->text = texts[i];
	for (const char *const *key = envelope_text_keys; *key && !answer->text; key++)
		answer->text = message_text(json_node_get(root, *key));
	answer->status = envelope_status(root);
	if (answer->status < 400 && json_node_is(error, JSON_KIND_OBJECT))
		answer->status = envelope_status(error);
	if (answer->status < 400 && other_status(root) != 0)
		answer->status = other_status(root);
	answer->engine_code = engine_code_of(root, answer->text);
	if (answer->engine_code == 0 && is_engines_own(answer->status))
		answer->engine_code = answer->status;
}

/* WhatsApp's acknowledgement of a message that it did not take */
#define ACK_ERROR (-1)

/* True if a message, in whatever envelope, was not taken. */
static bool
has_failed_ack(const JsonNode *node, int depth)
{
	static const char *const wrappers[] = {"_data", "data", "result", "results", "response", "message", "messages", NULL};
	int			ack;

	if (json_node_is(node, JSON_KIND_ARRAY))
		node = node->first;
	if ((json_node_int(json_node_get(node, "ack"), &ack) && ack == ACK_ERROR) || means_failure(json_node_text(json_node_get(node, "ackName"))))
		return true;
	for (const char *const *key = wrappers; *key && depth > 0; key++)
		if (has_failed_ack(json_node_get(node, *key), depth - 1))
			return true;
	return false;
}

/* True if an envelope passes on a failure: an upstream's status, or WhatsApp's acknowledgement. */
static bool
tells_of_failure(const JsonNode *root)
{
	int			number;

	return (json_node_int(get_by_name(root, "upstreamStatus"), &number) && number >= 400) || has_failed_ack(root, MAX_INNER_VERDICT);
}

/* True if an envelope says that it failed, in a flag, a status or an error. */
static bool
says_failure(const JsonNode *root, const WireAnswer *answer)
{
	for (const char *const *key = ok_keys; *key; key++)
		if (read_flag(json_node_get(root, *key)) == 0)
			return true;
	for (const char *const *key = number_flags; *key; key++)
		if (read_number_flag(json_node_get(root, *key)) == 0)
			return true;
	if (read_flag(json_node_get(root, "status")) == 0 || tells_of_failure(root))
		return true;
	return wire_is_set(json_node_get(root, "error")) || wire_is_set(json_node_get(root, "errors")) || wire_is_set(json_node_get(root, "exception")) ||
		wire_is_set(json_node_get(root, UPSTREAM_ERROR)) || answer->status >= 400;
}

/* True if the body is an error, which comes under any HTTP status, 200 included. */
static bool
is_refusal(const JsonNode *root, const WireAnswer *answer)
{
	int			number;

	if (says_failure(root, answer))
		return true;
	return answer->code && !means_success(answer->code) &&
		!json_node_int(json_node_get(root, "code"), &number);
}

/*
 * True if an envelope within another one says that it failed, which is then
 * set in *answer: {"success":true,"data":{"success":false,"message":"..."}}.
 */
static bool
read_inner_refusal(const JsonNode *root, int depth, WireAnswer *answer)
{
	static const char *const inner_keys[] = {"data", "result", "response", "body", "payload", NULL};

	for (const char *const *key = inner_keys; *key && depth > 0; key++)
	{
		const JsonNode *inner = json_node_get(root, *key);
		WireAnswer	found = *answer;

		if (!json_node_is(inner, JSON_KIND_OBJECT))
			continue;
		found.text = NULL;
		read_envelope(inner, &found);
		if (!says_failure(inner, &found) && !read_inner_refusal(inner, depth - 1, &found))
			continue;
		*answer = found;
		return true;
	}
	return false;
}

/* True for {"ok":true} and the like. */
static bool
is_bare_success(const JsonNode *root)
{
	const JsonNode *status = json_node_get(root, "status");
	int			number;

	for (const char *const *key = ok_keys; *key; key++)
		if (read_flag(json_node_get(root, *key)) == 1)
			return true;
	for (const char *const *key = number_flags; *key; key++)
		if (read_number_flag(json_node_get(root, *key)) == 1)
			return true;
	if (!status)
		status = json_node_get(root, "code");	/* GOWA's SUCCESS */
	return means_success(json_node_text(status)) || json_node_is(json_node_get(root, "error"), JSON_KIND_FALSE) ||
		(json_node_int(status, &number) && number >= 200 && number < 300);
}

/* Return the kind of a body; for an error in an inner envelope, *answer is set to that. */
static WireKind
kind_of_object(const JsonNode *root, WireAnswer *answer)
{
	if (is_refusal(root, answer) || read_inner_refusal(root, MAX_WRAPPING, answer))
		return WIRE_REFUSED;
	return is_bare_success(root) ? WIRE_OK : WIRE_OTHER;
}

/* True for a text that is a web page, not just one with a mark of HTML in it, as WordPress writes its messages. */
static bool
is_page(const char *text)
{
	static const char *const starts[] = {"<html", "<!doctype", "<head", "<body", "<title", "<center", "<h1"};

	for (size_t i = 0; text && i < lengthof(starts); i++)
		if (pg_strncasecmp(text, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

/*
 * True if a body is one of those that proxies and gateways give to whom asks for
 * JSON: Cloudflare's, Apigee's, or a web page in a text.
 */
static bool
is_of_proxy(const JsonNode *root)
{
	static const char *const marks[] = {"cloudflareError", "rayId", "cfRay", NULL};
	const char *type = json_node_text(json_node_get(root, "type"));

	for (const char *const *mark = marks; *mark; mark++)
		if (wire_is_set(get_by_name(root, *mark)))
			return true;
	for (const JsonNode *child = root->first; child; child = child->next)
		if (is_page(json_node_text(child)))
			return true;
	return is_page(json_node_text(root)) || (type && strstr(type, "cloudflare.com")) ||
		wire_is_set(json_node_get(json_node_get(root, "fault"), "faultstring"));
}

/*
 * True if a body says no more than that something was not found, and has what
 * frameworks put beside that by themselves: Spring the path, ASP.NET the trace's
 * id, FastAPI the word alone under "detail".
 */
static bool
is_of_framework(const JsonNode *root, const WireAnswer *answer)
{
	static const char *const bare[] = {"Not Found", "Not Found.", "No message available", NULL};
	static const char *const marks[] = {"path", "traceId", NULL};

	if (answer->text && !wire_word_is(answer->text, bare))
		return false;
	return json_node_any(root, marks) || (root->count == 1 && json_node_text(json_node_get(root, "detail")));
}

/* Set text, kind and engine_code from a bare sentence, with which WEBJS refuses; a web page is none. */
static void
read_sentence(const char *text, WireAnswer *answer)
{
	answer->text = text;
	if (text == NULL || strchr("<{[\"", *text) != NULL)
		return;
	answer->kind = means_success(text) ? WIRE_OK : WIRE_REFUSED;
	answer->engine_code = code_in_text(text);
}

/*
 * Read the answer to a call that changes membership or sends.
 *
 * body, len: as received, any bytes.  `people` has every entry with a verdict;
 * one of an unknown form has an invalid jid and its id.
 */
WireAnswer
wire_read_answer(const char *body, size_t len)
{
	WireAnswer	answer = {.kind = WIRE_UNREADABLE};
	const JsonNode *root = json_node_parse(body, len);

	answer.is_json = (root != NULL);
	answer.is_value = root && (!json_node_is_list(root) || (root->kind == JSON_KIND_ARRAY && root->count == 0));
	answer.is_proxys = root && is_of_proxy(root);
	if (root == NULL)
	{
		if (len > 0 && memchr(body, '\0', len) == NULL)
			read_sentence(body_beginning(body, len), &answer);
	}
	else if (json_node_is(root, JSON_KIND_STRING))
		read_sentence(json_node_text(root), &answer);
	else if (json_node_is(root, JSON_KIND_TRUE))
		answer.kind = WIRE_OK;
	else if (json_node_is(root, JSON_KIND_FALSE))
		answer.kind = WIRE_REFUSED;
	else if (json_node_is_list(root))
	{
		if (!read_people(root, MAX_WRAPPING, true, &answer))
			read_lone_person(root, MAX_WRAPPING, &answer);
		read_envelope(root, &answer);
		answer.is_frameworks = is_of_framework(root, &answer);
		if (answer.npeople == 0 || answer.is_ambiguous)
			answer.envelope = kind_of_object(root, &answer);
		answer.kind = answer.npeople > 0 ? WIRE_PEOPLE : answer.envelope;
	}
	if (!answer.is_ambiguous)
		answer.envelope = answer.kind;
	return answer;
}

/*
 * ---- in: lists and single values
 */

/* True if the body is an error object instead of a value. */
static bool
is_error_body(const JsonNode *root)
{
	WireAnswer	answer = {.kind = WIRE_OTHER};

	if (!json_node_is(root, JSON_KIND_OBJECT))
		return false;
	read_envelope(root, &answer);
	return is_refusal(root, &answer) || read_inner_refusal(root, MAX_WRAPPING, &answer);
}

static const char *const object_keys[] = {"data", "group", "result", "results", "response", "groupInfo", "group_info", "payload", "body", NULL};

/* Return the object of a group that an answer is about, in whatever envelopes; NULL if one of them is an error. */
static const JsonNode *
unwrap_object(const JsonNode *root)
{
	for (int depth = 0; depth < MAX_WRAPPING && jid_of_text(id_in(root)).kind != JID_GROUP; depth++)
	{
		bool		is_alone = root->count == 1 && (json_node_is(root, JSON_KIND_ARRAY) || wire_is_keyed_list(root));
		const JsonNode *inner = is_alone ? root->first : first_list(root, object_keys);

		if (!json_node_is_list(inner))
			break;
		if (is_error_body(inner))
			return NULL;
		root = inner;
	}
	return root;
}

/* Somebody's standing in the group as the fields of an entry tell it; bits. */
typedef enum Standing
{
	STANDS_MEMBER = 1 << 0,		/* says that they are no admin */
	STANDS_ADMIN = 1 << 1,
	STANDS_OWNER = 1 << 2,
	STANDS_UNKNOWN = 1 << 3,	/* a role that is not understood */
	STANDS_LEFT = 1 << 4,
	STANDS_UNSURE = 1 << 5		/* neither in the group nor out of it: asked to join, invited, not added */
} Standing;

/* The ways in which a field says it; bits. */
typedef enum StandingForm
{
	FORM_FLAG = 1 << 0,
	FORM_WORD = 1 << 1,			/* a word that is known ... */
	FORM_ROLE = 1 << 2,			/* ... or is a role that is not */
	FORM_NULL = 1 << 3,			/* null and "" are a flag that is not set */
	FORM_SET = 1 << 4,			/* anything but null, 0 and the like is a flag that is set */
	FORM_INNER = 1 << 5			/* an object of such fields */
} StandingForm;

typedef struct StandingField
{
	const char *name;			/* plain */
	int			forms;
	int			yes;			/* what a flag says that is set ... */
	int			no;				/* ... and that is not */
} StandingField;

static const StandingField standing_fields[] =
{
	{"role", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"roles", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"grouprole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"memberrole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"participantrole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"rank", FORM_ROLE, STANDS_UNKNOWN, STANDS_UNKNOWN},
	{"type", FORM_WORD, STANDS_ADMIN, 0},
	{"membertype", FORM_WORD, STANDS_ADMIN, 0},
	{"participanttype", FORM_WORD, STANDS_ADMIN, 0},
	{"admin", FORM_FLAG | FORM_ROLE | FORM_NULL, STANDS_ADMIN, STANDS_MEMBER},
	{"isadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"isgroupadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"groupadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"isadministrator", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"issuperadmin", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"superadmin", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isgroupowner", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isowner", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"iscreator", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isleft", FORM_FLAG, STANDS_LEFT, 0},
	{"hasleft", FORM_FLAG, STANDS_LEFT, 0},
	{"left", FORM_FLAG, STANDS_LEFT, 0},
	{"isremoved", FORM_FLAG, STANDS_LEFT, 0},
	{"removed", FORM_FLAG, STANDS_LEFT, 0},
	{"iskicked", FORM_FLAG, STANDS_LEFT, 0},
	{"kicked", FORM_FLAG, STANDS_LEFT, 0},
	{"isbanned", FORM_FLAG, STANDS_LEFT, 0},
	{"banned", FORM_FLAG, STANDS_LEFT, 0},
	{"isdeleted", FORM_FLAG, STANDS_LEFT, 0},
	{"deleted", FORM_FLAG, STANDS_LEFT, 0},
	{"ispast", FORM_FLAG, STANDS_LEFT, 0},
	{"past", FORM_FLAG, STANDS_LEFT, 0},
	{"isformer", FORM_FLAG, STANDS_LEFT, 0},
	{"former", FORM_FLAG, STANDS_LEFT, 0},
	{"ismember", FORM_FLAG, 0, STANDS_LEFT},
	{"isparticipant", FORM_FLAG, 0, STANDS_LEFT},
	{"isingroup", FORM_FLAG, 0, STANDS_LEFT},
	{"ingroup", FORM_FLAG, 0, STANDS_LEFT},
	{"member", FORM_FLAG | FORM_INNER, 0, STANDS_LEFT},
	{"participant", FORM_INNER, 0, 0},
	{"content", FORM_INNER, 0, 0},
	{"attrs", FORM_INNER, 0, 0},
	{"joined", FORM_FLAG, 0, STANDS_UNSURE},
	{"hasjoined", FORM_FLAG, 0, STANDS_UNSURE},
	{"ispending", FORM_FLAG, STANDS_UNSURE, 0},
	{"pending", FORM_FLAG, STANDS_UNSURE, 0},
	{"isinvited", FORM_FLAG, STANDS_UNSURE, 0},
	{"invited", FORM_FLAG, STANDS_UNSURE, 0},
	{"requested", FORM_FLAG, STANDS_UNSURE, 0},
	{"waiting", FORM_FLAG, STANDS_UNSURE, 0},
	{"leftat", FORM_SET, STANDS_UNSURE, 0},
	{"removedat", FORM_SET, STANDS_UNSURE, 0},
	{"deletedat", FORM_SET, STANDS_UNSURE, 0},
	{"error", FORM_SET, STANDS_UNSURE, 0},
	{"addrequest", FORM_SET, STANDS_UNSURE, 0},
	{"status", FORM_WORD, 0, 0},
	{"state", FORM_WORD, 0, 0},
	{"membership", FORM_WORD, 0, 0},
	{"memberstatus", FORM_WORD, 0, 0},
	{"membershipstatus", FORM_WORD, 0, 0},
	{"participantstatus", FORM_WORD, 0, 0},
};

static const struct
{
	const char *word;			/* plain */
	int			standing;
}			standing_words[] =
{
	{"superadmin", STANDS_OWNER},
	{"owner", STANDS_OWNER},
	{"creator", STANDS_OWNER},
	{"founder", STANDS_OWNER},
	{"admin", STANDS_ADMIN},
	{"groupadmin", STANDS_ADMIN},
	{"administrator", STANDS_ADMIN},
	{"member", STANDS_MEMBER},
	{"participant", STANDS_MEMBER},
	{"regular", STANDS_MEMBER},
	{"user", STANDS_MEMBER},
	{"normal", STANDS_MEMBER},
	{"none", STANDS_MEMBER},
	{"left", STANDS_LEFT},
	{"removed", STANDS_LEFT},
	{"kicked", STANDS_LEFT},
	{"banned", STANDS_LEFT},
	{"deleted", STANDS_LEFT},
	{"past", STANDS_LEFT},
	{"former", STANDS_LEFT},
	{"nonmember", STANDS_LEFT},
	{"notmember", STANDS_LEFT},
	{"pending", STANDS_UNSURE},
	{"pendingapproval", STANDS_UNSURE},
	{"requested", STANDS_UNSURE},
	{"waiting", STANDS_UNSURE},
	{"invited", STANDS_UNSURE},
	{"invitee", STANDS_UNSURE},
};

/* The fields of standings in a hash table by their plain names. */
static const StandingField *fields_by_hash[256];

static const StandingField **
standing_slot(const char *name)
{
	uint32		hash = 0;

	for (const char *c = name; *c; c++)
		hash = hash * 31 + (unsigned char) *c;
	while (fields_by_hash[hash % lengthof(fields_by_hash)] &&
		   strcmp(fields_by_hash[hash % lengthof(fields_by_hash)]->name, name) != 0)
		hash++;
	return &fields_by_hash[hash % lengthof(fields_by_hash)];
}

/* Return how an entry's field with that key tells a standing; NULL if it does not. */
static const StandingField *
standing_field(const char *key)
{
	static bool is_filled = false;
	char		name[LONGEST_NAME + 1];

	for (size_t i = 0; i < lengthof(standing_fields) && !is_filled; i++)
		*standing_slot(standing_fields[i].name) = &standing_fields[i];
	is_filled = true;
	plain_name(key, name);
	return *standing_slot(name);
}

/* Return what a word says; `otherwise` if it is not known. */
static int
standing_of_word(const char *word, int otherwise)
{
	char		name[LONGEST_NAME + 1];

	plain_name(word, name);
	for (size_t i = 0; i < lengthof(standing_words); i++)
		if (strcmp(name, standing_words[i].word) == 0)
			return standing_words[i].standing;
	return otherwise;
}

/* Return what the elements of an array of roles say. */
static int
standing_of_roles(const JsonNode *roles)
{
	int			standing = roles->count == 0 ? STANDS_MEMBER : 0;

	for (const JsonNode *role = roles->first; role; role = role->next)
		standing |= json_node_is(role, JSON_KIND_STRING) && json_node_text(role)
			? standing_of_word(json_node_text(role), STANDS_UNKNOWN) : STANDS_UNKNOWN;
	return standing;
}

/* Return what a flag says; 0 if the value is none.  One that is not understood may be an admin's. */
static int
standing_of_flag(const JsonNode *value, const StandingField *field)
{
	int			flag = (field->forms & FORM_FLAG) ? read_number_flag(value) : -1;

	if (json_node_is(value, JSON_KIND_TRUE) || ((field->forms & FORM_SET) && wire_is_set(value)))
		flag = 1;
	if (json_node_is(value, JSON_KIND_FALSE) ||
		((field->forms & FORM_NULL) && !json_node_is_list(value) && !wire_is_set(value)))
		flag = 0;
	if (flag < 0 && value->kind != JSON_KIND_NULL && field->forms == FORM_FLAG && (field->yes & (STANDS_ADMIN | STANDS_OWNER)))
		return STANDS_UNKNOWN;
	return flag == 1 ? field->yes : flag == 0 ? field->no : 0;
}

/* an HTTP-like number from here on, as the status of somebody in a list, is a refusal */
#define FIRST_REFUSAL 400

/*
 * Return what a field of words or of a role says; 0 if it says nothing.  Only a
 * role's own field says by "member" or "user" that somebody is no admin.
 */
static int
standing_of_value(const JsonNode *value, const StandingField *field)
{
	bool		is_role = (field->forms & FORM_ROLE) != 0;
	int			otherwise = is_role ? STANDS_UNKNOWN : 0;
	int			number;

	if (json_node_is(value, JSON_KIND_ARRAY))
		return is_role ? standing_of_roles(value) : 0;
	if (!is_role && json_node_int(value, &number))
		return number >= FIRST_REFUSAL && field->yes == 0 ? STANDS_UNSURE : 0;
	if (json_node_is(value, JSON_KIND_STRING))
		return json_node_text(value) ? standing_of_word(json_node_text(value), otherwise) & (is_role ? ~0 : ~STANDS_MEMBER) : 0;
	return value->kind == JSON_KIND_NULL ? 0 : otherwise;
}

/* Return what the fields of an entry, and of the objects in it that are part of it, say. */
static int
standing_of_fields(const JsonNode *entry, int depth)
{
	int			standing = 0;

	if (!json_node_is(entry, JSON_KIND_OBJECT))
		return 0;
	for (const JsonNode *child = entry->first; child; child = child->next)
	{
		const StandingField *field = standing_field(child->key);
		int			said = field ? standing_of_flag(child, field) : 0;

		if (field && said == 0 && (field->forms & (FORM_WORD | FORM_ROLE)))
			said = standing_of_value(child, field);
		if (field && (field->forms & FORM_INNER) && depth > 0)
			said |= standing_of_fields(child, depth - 1);
		standing |= said;
	}
	return standing;
}

/* Return what an entry of a list says.  In a map of people the value is a role, or whether they are in the group. */
static int
standing_of(const JsonNode *node)
{
	if (node->key == NULL || !is_named_after_person(node) || json_node_is(node, JSON_KIND_OBJECT))
		return standing_of_fields(node, MAX_INNER_PERSON);
	if (json_node_is(node, JSON_KIND_FALSE))
		return STANDS_LEFT;
	return json_node_is(node, JSON_KIND_STRING) && json_node_text(node) ? standing_of_word(json_node_text(node), 0) : 0;
}

static WireRole
role_of(int standing)
{
	static const struct
	{
		Standing	standing;
		WireRole	role;
	}			roles[] =
	{
		{STANDS_LEFT, WIRE_ROLE_LEFT},
		{STANDS_OWNER, WIRE_ROLE_OWNER},
		{STANDS_ADMIN, WIRE_ROLE_ADMIN},
		{STANDS_MEMBER, WIRE_ROLE_MEMBER},
		{STANDS_UNKNOWN, WIRE_ROLE_UNKNOWN},
	};

	for (size_t i = 0; i < lengthof(roles); i++)
		if (standing & roles[i].standing)
			return roles[i].role;
	return WIRE_ROLE_UNTOLD;
}

/* Read an entry of a list, which says that of its member's standing. */
static WireMember
read_member(const JsonNode *node, int standing)
{
	WireMember	member = {.role = role_of(standing)};
	WireIds		ids = ids_of(node);

	member.jid = json_node_is(node, JSON_KIND_STRING) ? jid_of_id(json_node_text(node)) : ids.listed;
	if (member.jid.kind == JID_INVALID && node->key)
		member.jid = jid_of_id(node->key);
	add_jid(member.jid, &ids);
	member.phone = ids.phone;
	member.lid = ids.lid;
	if (member.jid.kind == JID_INVALID)
		member.jid = member.phone.kind == JID_PERSON ? member.phone : member.lid;
	return member;
}

/* True for a text such as "1.024", which may be a thousand people or one. */
static bool
may_be_thousands(const JsonNode *node)
{
	const char *point = json_node_is(node, JSON_KIND_STRING) ? strchr(json_node_text(node), '.') : NULL;

	return point && strspn(point + 1, "0123456789") == 3 && (point[4] == '\0' || point[4] == '.');
}

/* Read a size, which some write as a float; false if it is none. */
static bool
read_size(const JsonNode *node, int *size)
{
	const char *text = json_node_text(node);
	char	   *end;
	double		value = text ? strtod(text, &end) : -1;

	if (!(value >= 0 && value <= INT_MAX) || *end != '\0' || may_be_thousands(node))
		return false;
	*size = (int) value;
	return true;
}

/* Return the parts of a plain name, each of which is known; 0 if one is not. */
static int
size_parts(const char *name)
{
	int			parts = 0;

	while (*name)
	{
		size_t		i = 0;

		while (i < lengthof(size_words) && strncmp(name, size_words[i].word, strlen(size_words[i].word)) != 0)
			i++;
		if (i == lengthof(size_words))
			return 0;
		parts |= size_words[i].part;
		name += strlen(size_words[i].word);
	}
	return parts;
}

/* True if a member of a group's description, or of a list's envelope, is named as the number of people. */
static bool
is_size_name(const char *key, bool is_envelope)
{
	char		name[LONGEST_NAME + 1];
	int			parts;

	plain_name(key, name);
	parts = size_parts(name);
	if (parts & PART_PEOPLE)
		return (parts & (PART_COUNT | PART_SIZE | PART_NUMBER)) != 0;
	if (is_envelope)
		return (parts & (PART_COUNT | PART_SIZE)) || parts == (PART_NUMBER | PART_ENTRIES);
	return parts == PART_SIZE;
}

/* Return the largest size in a group's description; -1 if there is none. */
static int
stated_size(const JsonNode *group)
{
	int			largest = -1;
	int			size;

	if (!json_node_is(group, JSON_KIND_OBJECT))
		return -1;
	for (const JsonNode *child = group->first; child; child = child->next)
		if (is_size_name(child->key, false) && read_size(child, &size))
			largest = Max(largest, size);
	return largest;
}

/* The completeness of a list, according to its envelopes. */
typedef struct ListEnvelope
{
	int			stated;			/* the number of people; -1: not said */
	int			page_size;		/* the most entries that are shown; -1: not said */
	bool		has_more;		/* it is not the whole list */
	bool		is_end;			/* nothing follows it */
} ListEnvelope;

static EnvelopeUse
envelope_use(const char *key)
{
	char		name[LONGEST_NAME + 1];

	plain_name(key, name);
	for (size_t i = 0; i < lengthof(envelope_names); i++)
		if (strcmp(name, envelope_names[i].name) == 0)
			return envelope_names[i].use;
	return strncmp(name, "next", strlen("next")) == 0 ? SAYS_MORE : SAYS_NOTHING;
}

/* True if an object says which page of a list it is beside. */
static bool
tells_page(const JsonNode *node)
{
	int			number;

	for (const JsonNode *child = node->first; child; child = child->next)
	{
		EnvelopeUse use = envelope_use(child->key);

		if ((use == SAYS_OFFSET || use == SAYS_PAGE || use == SAYS_PAGES) && read_size(child, &number))
			return true;
	}
	return false;
}

/* True if a flag that stands for the whole list is not set. */
static bool
denies_whole(const JsonNode *flag)
{
	static const char *const words[] = {"no", "none", "partial", "incomplete", "truncated", NULL};

	return read_number_flag(flag) == 0 || wire_word_is(json_node_text(flag), words);
}

/* True if a word for the state of a list says that it is not the whole one. */
static bool
is_word_of_part(const char *word)
{
	static const char *const words[] = {"partial", "incomplete", "truncated", "loading", "syncing", NULL};

	return wire_word_is(word, words);
}

/* Take what a member of an envelope says of the pages of its list. */
static void
read_list_pages(const JsonNode *child, EnvelopeUse use, ListEnvelope *envelope)
{
	int			number = -1;
	bool		is_number = read_size(child, &number);

	envelope->has_more |= (use == SAYS_MORE && wire_is_set(child) && read_flag(child) != 0) ||
		(use == SAYS_WHOLE && denies_whole(child)) ||
		(use == SAYS_OFFSET && number > 0) ||
		((use == SAYS_PAGE || use == SAYS_PAGES) && number > 1) ||
		(use == SAYS_STATUS && is_word_of_part(json_node_text(child)));
	envelope->is_end |= use == SAYS_MORE || (use == SAYS_PAGES && is_number);
	if (use == SAYS_PAGE_SIZE)
		envelope->page_size = Max(envelope->page_size, number);
}

/* Take the number of people from a member of an envelope that is named so.  One that cannot be read, such as "1,000", may be any. */
static void
read_list_size(const JsonNode *child, ListEnvelope *envelope)
{
	int			size;

	if (read_size(child, &size))
		envelope->stated = Max(envelope->stated, size);
	else if (json_node_is(child, JSON_KIND_STRING) || json_node_is_list(child))
		envelope->has_more = true;
}

/* objects that say more of a list lie at most so deep in its envelope: meta.pagination */
#define MAX_PAGING 2

/* Take what an envelope says of its list's completeness. */
static void
read_list_envelope(const JsonNode *node, int depth, ListEnvelope *envelope)
{
	bool		is_page;

	if (!json_node_is(node, JSON_KIND_OBJECT))
		return;
	is_page = tells_page(node);
	for (const JsonNode *child = node->first; child; child = child->next)
	{
		EnvelopeUse use = envelope_use(child->key);

		if (use == SAYS_LIMIT && is_page)
			use = SAYS_PAGE_SIZE;
		else if (is_size_name(child->key, true))
			read_list_size(child, envelope);
		if ((use == SAYS_MORE_OF_IT || use == SAYS_PAGE) && depth > 0)
			read_list_envelope(child, depth - 1, envelope);
		read_list_pages(child, use, envelope);
	}
}

/* True if a list with so many entries is not the whole one, according to its envelopes; one that fills a page may not be. */
static bool
envelope_has_more(const ListEnvelope *envelope, int count)
{
	return envelope->has_more ||
		(envelope->page_size > 0 && count >= envelope->page_size && !envelope->is_end && envelope->stated < 0);
}

/* so many slots are looked at for a name; names that nobody chose for their hash need far fewer */
#define INDEX_PROBES 256

/* Return the bits of what an entry shows; 0 also if the member left. */
static int
member_shows(const WireMember *member)
{
	if (member->role == WIRE_ROLE_LEFT)
		return 0;
	return (member->phone.kind == JID_PERSON ? WIRE_SHOWS_PHONE : 0) | (member->lid.kind == JID_LID ? WIRE_SHOWS_LID : 0);
}

/*
 * Return the number of names, which are numbers and LIDs, in the entries of a list;
 * count the entries in shown[], and note whether any of them tells a role.
 */
static int
list_count_names(WireMembers *list)
{
	int			n = 0;

	memset(list->shown, 0, sizeof(list->shown));
	list->tells_roles = false;
	for (int i = 0; i < list->count; i++)
	{
		int			shows = member_shows(&list->members[i]);

		list->tells_roles |= list->members[i].role == WIRE_ROLE_MEMBER || list->members[i].role == WIRE_ROLE_ADMIN ||
			list->members[i].role == WIRE_ROLE_OWNER;

		list->shown[shows] += list->members[i].role != WIRE_ROLE_LEFT;
		n += (shows & WIRE_SHOWS_PHONE ? 1 : 0) + (shows & WIRE_SHOWS_LID ? 1 : 0);
	}
	return n;
}

/*
 * Enter a name of the entry at that place, counted from 0, into the index; false
 * if an earlier entry has it already.  A name that finds its slots taken counts
 * as had: the list is then taken to be incomplete.  Set *is_full in that case.
 */
static bool
list_index_name(WireMembers *list, int place, const Jid *name, bool *is_full)
{
	uint32		slot = jid_hash(name) & list->mask;

	for (int probes = 1; list->slots[slot]; slot = (slot + 1) & list->mask, probes++)
	{
		const WireMember *other = &list->members[list->slots[slot] - 1];

		*is_full |= probes == INDEX_PROBES;
		if (probes == INDEX_PROBES ||
			(other != &list->members[place] && strcmp(name->text, name->kind == JID_LID ? other->lid.text : other->phone.text) == 0))
			return false;
	}
	list->slots[slot] = (uint32) place + 1;
	return true;
}

/*
 * Make the index of a list, so that nobody walks through its entries again, and
 * count those that repeat a number or a LID of an earlier one.
 */
void
wire_index_members(WireMembers *list)
{
	int			names = list_count_names(list);
	bool		is_full = false;

	list->repeated = 0;
	list->mask = pg_nextpower2_32(Max(names, 1)) * 2 - 1;
	list->slots = palloc0(sizeof(uint32) * ((size_t) list->mask + 1));
	for (int i = 0; i < list->count; i++)
	{
		const WireMember *member = &list->members[i];
		int			shows = member_shows(member);
		bool		is_repeated = false;

		if (shows & WIRE_SHOWS_PHONE)
			is_repeated |= !list_index_name(list, i, &member->phone, &is_full);
		if (shows & WIRE_SHOWS_LID)
			is_repeated |= !list_index_name(list, i, &member->lid, &is_full);
		list->repeated += is_repeated;
	}
	if (!is_full)
		return;
	pfree(list->slots);
	list->slots = NULL;
}

/* True if an entry has that number or LID and did not leave. */
static bool
member_is(const WireMember *member, const Jid *jid)
{
	return member->role != WIRE_ROLE_LEFT && (jid_same(&member->phone, jid) || jid_same(&member->lid, jid));
}

/* Return the first entry of a number or a LID; NULL if there is none or the person left. */
const WireMember *
wire_find_member(const WireMembers *list, const Jid *jid)
{
	if (jid->kind == JID_INVALID)
		return NULL;
	for (uint32 slot = jid_hash(jid) & list->mask; list->slots && list->slots[slot]; slot = (slot + 1) & list->mask)
		if (member_is(&list->members[list->slots[slot] - 1], jid))
			return &list->members[list->slots[slot] - 1];
	for (int i = 0; list->slots == NULL && i < list->count; i++)
		if (member_is(&list->members[i], jid))
			return &list->members[i];
	return NULL;
}

/* so many entries that are not understood are looked at for their form */
#define SHOWN_UNREAD 100

/*
 * Read the members of a list into *out, palloc'd; entries without a readable JID
 * are counted as unread, and shown by their shape where somebody reads that.
 */
static void
read_member_list(const JsonNode *list, bool is_shape_read, WireMembers *out)
{
	const JsonNode *unread[SHOWN_UNREAD];

	memset(out, 0, sizeof(*out));
	out->members = palloc(sizeof(WireMember) * Max(list->count, 1));
	out->stated = -1;
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		int			standing = standing_of(child);
		WireMember	member = read_member(child, standing);

		if ((member.jid.kind == JID_PERSON || member.jid.kind == JID_LID) && !(standing & STANDS_UNSURE))
			out->members[out->count++] = member;
		else if (member.role != WIRE_ROLE_LEFT && out->unread++ < SHOWN_UNREAD)
			unread[out->unread - 1] = child;
	}
	if (is_shape_read && out->unread > 0)
		out->unread_shape = shape_of_nodes(unread, Min(out->unread, SHOWN_UNREAD));
	wire_index_members(out);
}

/* Return the number of members in a list, each once, those who left not counted. */
int
wire_count_members(const WireMembers *list)
{
	return list->shown[0] + list->shown[WIRE_SHOWS_PHONE] + list->shown[WIRE_SHOWS_LID] +
		list->shown[WIRE_SHOWS_PHONE | WIRE_SHOWS_LID] - list->repeated;
}

/* True for a name of a list of people who are not in the group: "pendingParticipants", "membershipApprovalRequests". */
static bool
is_name_of_outsiders(const char *key)
{
	static const char *const parts[] = {"past", "former", "left", "removed", "kicked", "banned", "blocked", "pending", "request", "invite"};
	char		name[LONGEST_NAME + 1];

	plain_name(key, name);
	for (size_t i = 0; i < lengthof(parts); i++)
		if (strstr(name, parts[i]))
			return true;
	return false;
}

/* The people in other lists beside the one that is read. */
typedef enum OtherPeople
{
	OTHERS_NONE,
	OTHERS_SAME,				/* those of them who are in the list as well: its admins */
	OTHERS_MORE
} OtherPeople;

/* Return whether a list names people, and any who are not in the one that was read. */
static OtherPeople
people_beside(const JsonNode *other, const WireMembers *members)
{
	OtherPeople found = OTHERS_NONE;

	for (const JsonNode *child = other->first; child && found != OTHERS_MORE; child = child->next)
	{
		int			standing = standing_of(child);
		WireMember	member = read_member(child, standing);

		if ((member.jid.kind != JID_PERSON && member.jid.kind != JID_LID) || (standing & (STANDS_LEFT | STANDS_UNSURE)))
			continue;
		found = wire_find_member(members, &member.phone) || wire_find_member(members, &member.lid) ? OTHERS_SAME : OTHERS_MORE;
	}
	return found;
}

/* Return the same for all lists in an envelope but the one that was read. */
static OtherPeople
people_in_envelope(const JsonNode *envelope, int depth, const JsonNode *list, const WireMembers *members)
{
	OtherPeople found = OTHERS_NONE;

	if (!json_node_is(envelope, JSON_KIND_OBJECT))
		return found;
	for (const JsonNode *child = envelope->first; child; child = child->next)
	{
		if (child == list || is_name_of_outsiders(child->key))
			continue;
		if (json_node_is(child, JSON_KIND_ARRAY) || wire_is_keyed_list(child))
			found = Max(found, people_beside(child, members));
		else if (depth > 0 && envelope_use(child->key) == SAYS_MORE_OF_IT)
			found = Max(found, people_in_envelope(child, depth - 1, list, members));
	}
	return found;
}

/* Return the places of a list's entries in its text, palloc'd, if each of them is a member. */
static WireListText
read_list_text(const char *body, size_t len, const JsonNode *list, const WireMembers *members)
{
	WireListText text = {.body = body, .len = len};

	if (list->kind != JSON_KIND_ARRAY || members->count != list->count)
		return text;
	text.spans = palloc(sizeof(WireSpan) * Max(list->count, 1));
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		if (child->kind != JSON_KIND_OBJECT && child->kind != JSON_KIND_STRING)
			return text;
		text.spans[text.count++] = (WireSpan) {child->source - body, child->source_end - body};
	}
	text.begin = list->source - body + 1;
	return text;
}

/*
 * Read the answer of GET groups/{id}/participants into *out, palloc'd; false if
 * the body is not a list of people (an error under 200 is not).
 */
bool
wire_read_members(const char *body, size_t len, WireMembers *out)
{
	return wire_read_list(body, len, 0, out, NULL);
}

/*
 * The same for a list that has so many entries more, which are not in the body.
 * Set *text (NULL: it is not wanted) to the places of those that are; it refers to
 * the body.
 */
bool
wire_read_list(const char *body, size_t len, int more, WireMembers *out, WireListText *text)
{
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *list = root;
	const JsonNode *envelopes[MAX_WRAPPING];
	ListEnvelope envelope = {.stated = -1, .page_size = -1};
	OtherPeople others = OTHERS_NONE;
	int			depth;

	for (depth = 0; depth < MAX_WRAPPING && json_node_is(list, JSON_KIND_OBJECT) && !wire_is_keyed_list(list); depth++)
	{
		if (is_error_body(list))
			return false;
		read_list_envelope(list, MAX_PAGING, &envelope);
		envelopes[depth] = list;
		list = list_in(list);
	}
	if (!json_node_is_list(list) || is_error_body(list))
		return false;
	read_member_list(list, true, out);
	while (depth-- > 0)
		others = Max(others, people_in_envelope(envelopes[depth], MAX_PAGING, list, out));
	out->stated = envelope.stated;
	out->has_more = envelope_has_more(&envelope, list->count + more) || others == OTHERS_MORE;
	if (text)
		*text = others == OTHERS_NONE ? read_list_text(body, len, list, out) : (WireListText) {.body = body, .len = len};
	return out->count > 0 || list->count == 0;
}

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
 * others, but not by lists and numbers of those who wait for it.
 */
static GroupRule
rule_of_name(const char *key)
{
	static const char *const adding[] = {"memberaddmode", "memberscanaddnewmember", "memberscanaddnewmembers", "memberscanaddmembers", NULL};
	char		name[LONGEST_NAME + 1];

	plain_name(key, name);
	if (wire_word_is(name, adding))
		return RULE_ADDING;
	return strstr(name, "approval") && !strstr(name, "request") && !strstr(name, "count") && !strstr(name, "pending")
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
		bool		is_set = read_number_flag(child) == 1;

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
	Jid			jid = jid_of_text(id_in(node));

	if (jid.kind != JID_GROUP)
		jid = jid_of_text(key);
	if (jid.kind == JID_GROUP)
		group.jid = pstrdup(jid.text);
	group.subject = json_node_text(json_node_any(node, subject_keys));
	if (!group.subject)
		group.subject = json_node_text(json_node_any(metadata, subject_keys));
	for (size_t i = 0; i < lengthof(rules); i++)
		read_group_rules(rules[i], &group);
	memset(members, 0, sizeof(*members));
	if (list)
		read_member_list(list, false, members);
	members->stated = Max(stated_size(node), stated_size(metadata));
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

	if (!json_node_is_list(root) || is_error_body(root))
		return false;
	root = unwrap_object(root);
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

	for (int depth = 0; depth < MAX_WRAPPING && json_node_is(root, JSON_KIND_OBJECT) && root->count > 0 && !wire_is_keyed_list(root); depth++)
	{
		if (is_error_body(root))
			return false;
		root = list_in(root);
	}
	if (!json_node_is_list(root) || is_error_body(root))
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

	if (is_error_body(root))
		return NULL;
	group = wire_read_group_id(root);
	if (group.kind != JID_GROUP && json_node_is_list(root))
		group = wire_read_group_id(unwrap_object(root));
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
	read_envelope(root, &answer);
	answer.code = NULL;
	if (is_refusal(root, &answer))
		return true;
	return json_node_text(json_node_get(root, "message")) && !is_bare_success(root);
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

	return node ? find_invite(node, MAX_WRAPPING) : invite_of_text(body_beginning(body, len));
}

/* Return the object that describes a session, in whatever envelopes, whose own status is that of the call. */
static const JsonNode *
unwrap_session(const JsonNode *root)
{
	static const char *const keys[] = {"data", "session", "result", "results", "response", "payload", "body", NULL};

	for (int depth = 0; depth < MAX_WRAPPING && root; depth++)
	{
		const JsonNode *inner = json_node_is(root, JSON_KIND_ARRAY) && root->count == 1 ? root->first : first_list(root, keys);
		const char *status = json_node_text(json_node_get(root, "status"));

		if (!inner || (json_node_is(json_node_get(root, "status"), JSON_KIND_STRING) && !means_success(status)))
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
	listed = jid_of_id(id_text(json_node_get(me, "id")));
	if (out->me.kind == JID_INVALID && listed.kind == JID_LID)
		out->me = listed;
	out->limits = account_limits_read(root);
	return out->status != NULL;
}

/* True for a text beside a no that doubts nothing: it tells of a success, or says the no in words. */
static bool
is_text_of_no(const char *text)
{
	static const char *const words[] = {"not_exists", "not-exists", "not_exist", "not exists", "not_found", "not found", "unregistered", "invalid", NULL};

	if (contains_name(text, "successfully") && !contains_name(text, "not ") && !contains_name(text, "unsuccess"))
		return true;
	return pg_strncasecmp(text, "success", strlen("success")) == 0 || means_success(text) || wire_word_is(text, words) ||
		outcome_of_person(WAWP_OP_READ, 0, 0, text, false).outcome == WAWP_NOT_ON_WHATSAPP;
}

/* True if a remark says nothing, or nothing against a no. */
static bool
is_harmless(const JsonNode *remark)
{
	const char *text = message_text(remark);
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
	static const char *const stems[] = {"message", "msg", "reason", "detail", "note", "notice", "remark", "comment", "description",
	"error", "warn", "retry", "hint", "info", "cause", "status", "state"};

	for (const JsonNode *field = json_node_is(node, JSON_KIND_OBJECT) ? node->first : NULL; field; field = field->next)
		for (size_t i = 0; i < lengthof(stems); i++)
			if (contains_name(field->key, stems[i]) && !is_harmless(field))
				return true;
	return is_error_body(node);
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

	for (int depth = 0; !flag && depth < MAX_WRAPPING && json_node_is_list(root); depth++)
	{
		root = json_node_is(root, JSON_KIND_ARRAY) ? deciding_entry(root) : list_in(root);
		flag = json_node_any(root, exists_flags);
		is_doubtful |= has_remark(root);
	}
	id = jid_of_id(id_text(json_node_any(root, ids)));
	if (id.kind == JID_LID)
		known.lid = id;
	add_ids_of(root, MAX_INNER_PERSON, &known);
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
	Jid			lid = lid_in(root);

	for (int depth = 0; depth < MAX_WRAPPING && root && lid.kind != JID_LID; depth++)
	{
		/* of several one cannot tell whose it is */
		root = json_node_is(root, JSON_KIND_ARRAY) && root->count == 1 ? root->first : first_list(root, keys);
		lid = lid_in(root);
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

	for (int i = 0; root && i < MAX_WRAPPING; i++)
	{
		const JsonNode *node = json_node_is(root, JSON_KIND_ARRAY) ? root->first : root;
		const char *id = id_text(json_node_any(node, keys));

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
	const char *id = json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : id_text(json_node_any(node, ids));
	WireIds		known = ids_of(node);
	WireJoinRequest request = {.jid = jid_of_text(id_text(json_node_get(node, "requesterPn")))};

	if (request.jid.kind != JID_PERSON)
		request.jid = known.phone;
	if (request.jid.kind != JID_PERSON)
		request.jid = jid_of_id(id ? id : id_in(node));
	if (request.jid.kind != JID_PERSON && request.jid.kind != JID_LID)
		request.jid = known.lid;
	request.lid = known.lid.kind == JID_LID ? known.lid : jid_of_id(id ? id : id_in(node));
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
	ListEnvelope envelope = {.stated = -1, .page_size = -1};

	for (int depth = 0; depth < MAX_WRAPPING && json_node_is(list, JSON_KIND_OBJECT) && !wire_is_keyed_list(list); depth++)
	{
		read_list_envelope(list, MAX_PAGING, &envelope);
		list = json_node_any(list, keys);
	}
	if (!(json_node_is(list, JSON_KIND_ARRAY) || wire_is_keyed_list(list)) || is_error_body(root))
		return false;
	out->has_more = envelope.stated > list->count || envelope_has_more(&envelope, list->count);
	out->requests = palloc(sizeof(WireJoinRequest) * Max(list->count, 1));
	out->count = 0;
	for (const JsonNode *child = list->first; child; child = child->next)
		out->requests[out->count++] = read_join_request(child);
	return true;
}
