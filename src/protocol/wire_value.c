/*-------------------------------------------------------------------------
 *
 * wire_value.c
 *	  The names, ids, flags and texts of which answers consist.
 *
 * Pure.  What is the same in every answer of Wawp or of an engine behind it: the
 * spellings of a name, of a person's ids and of yes and no.
 *
 * Everything returned lives in the current memory context and is UTF-8, or is a
 * part of the answer.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_value.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "protocol/json.h"
#include "protocol/shape.h"
#include "protocol/wire_value.h"

static const char *const id_keys[] = {"JID", "jid", "id", "wid", "participant", "gid", "contact", "number", NULL};
const char *const wire_list_keys[] = {"updateParticipants", "results", "result", "participants", "Participants", "members", "Members", "groups", "response", "data", NULL};
static const char *const group_keys[] = {"group", "groupMetadata", "groupInfo", "group_info", "payload", "body", NULL};

/* of a body that is read as a message; a caller that shows it redacts it, then shortens it */
#define MAX_TEXT_BYTES (16 * 1024)

/* True if two names of a field are the same but for case, '_' and '-': engines in Go write "ErrorCode", others "error_code". */
bool
wire_key_is(const char *key, const char *name)
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
bool
wire_name_contains(const char *key, const char *word)
{
	for (; *key; key++)
		if (pg_strncasecmp(key, word, strlen(word)) == 0)
			return true;
	return false;
}

/* Return the member of an object under a name, in whatever spelling, the given one first; NULL if there is none. */
const JsonNode *
wire_get_by_name(const JsonNode *object, const char *name)
{
	const JsonNode *child = json_node_get(object, name);

	if (child || !json_node_is(object, JSON_KIND_OBJECT))
		return child;
	for (child = object->first; child && !wire_key_is(child->key, name);)
		child = child->next;
	return child;
}

/* Return the JID in a text; invalid for NULL. */
Jid
wire_jid_of_text(const char *text)
{
	static const Jid none = {.kind = JID_INVALID};

	return text ? jid_parse(text, strlen(text)) : none;
}

/*
 * Return an id that is a text, or WEBJS's {"server","user","_serialized"}, in
 * which the server decides the kind of the digits; NULL if there is none.
 */
const char *
wire_id_text(const JsonNode *node)
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
		text = wire_id_text(json_node_get(object, *keys));
	return text;
}

const char *
wire_id_in(const JsonNode *object)
{
	return first_id(object, id_keys);
}

/* Return the JID of an id; invalid without a server, since both numbers and LIDs are digits. */
Jid
wire_jid_of_id(const char *text)
{
	return wire_jid_of_text(text && strchr(text, '@') ? text : NULL);
}

/* Add a JID to a person's, unless one of its kind is known already. */
void
wire_add_jid(Jid jid, WireIds *ids)
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
	wire_add_jid(jid, ids);
	if (ids->listed.kind == JID_INVALID && jid.kind != JID_GROUP)
		ids->listed = jid;
}

/* True if a number has the digits of a LID: some engines repeat them in a field for a number (wwebjs' contact.number). */
bool
wire_repeats_lid(const Jid *phone, const Jid *lid)
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
Jid
wire_lid_in(const JsonNode *object)
{
	const char *text = NULL;
	Jid			jid;

	if (json_node_is(object, JSON_KIND_OBJECT))
		for (const JsonNode *child = object->first; child && text == NULL; child = child->next)
			if (id_uses(child->key) & USE_LID)
				text = wire_id_text(child);
	jid = wire_jid_of_text(text && !strchr(text, '@') ? psprintf("%s@lid", text) : text);
	if (jid.kind != JID_LID)
		jid = wire_jid_of_text(NULL);
	return jid;
}

/* Add the JIDs of an entry and of the objects in it that name the same person. */
void
wire_add_ids(const JsonNode *object, int depth, WireIds *ids)
{
	WireIds		named = {0};	/* by JIDs alone */
	Jid			number = {.kind = JID_INVALID};

	if (!json_node_is(object, JSON_KIND_OBJECT))
		return;
	wire_add_jid(wire_lid_in(object), ids);
	for (const JsonNode *child = object->first; child; child = child->next)
	{
		int			uses = child->kind >= JSON_KIND_NUMBER ? id_uses(child->key) : 0;

		if (uses & USE_JID)
			add_listed(wire_jid_of_id(wire_id_text(child)), &named);
		if ((uses & USE_PHONE) && ids->phone.kind != JID_PERSON)
			wire_add_jid(wire_jid_of_text(wire_id_text(child)), ids);
		if (uses & USE_NUMBER)
			number = wire_jid_of_text(wire_id_text(child));
		if ((uses & USE_INNER) && depth > 0)
			wire_add_ids(child, depth - 1, &named);
	}
	wire_add_jid(named.lid, ids);
	if (!wire_repeats_lid(&number, &ids->lid))
		wire_add_jid(number, ids);
	wire_add_jid(named.phone, ids);
	if (ids->listed.kind == JID_INVALID)
		ids->listed = named.listed;
}

WireIds
wire_ids_of(const JsonNode *object)
{
	WireIds		ids = {0};

	wire_add_ids(object, WIRE_MAX_INNER_PERSON, &ids);
	if (wire_repeats_lid(&ids.phone, &ids.lid))
		ids.phone = (Jid) {.kind = JID_INVALID};
	return ids;
}

/* Read a person's number and LID, invalid if not told, from an id or an entry that names one person. */
void
wire_read_ids(const JsonNode *node, Jid *phone, Jid *lid)
{
	WireIds		ids = wire_ids_of(node);

	wire_add_jid(wire_jid_of_id(wire_id_text(node)), &ids);
	*phone = ids.phone;
	*lid = ids.lid;
}

/* the values beside an account's ids are read at most so deep */
#define BESIDE_DEPTH 3

/*
 * True if a value whose name says nothing may be an id, or has one in it: a text
 * that is a number or an address.  A number alone is a time or a count.
 */
static bool
may_be_id(const JsonNode *node, int depth)
{
	const char *text = json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : NULL;

	if (text)
		return wire_jid_of_text(text).kind != JID_INVALID || (isdigit((unsigned char) *text) && strchr(text, '@'));
	if (depth > 0 && json_node_is_list(node))
		for (const JsonNode *child = node->first; child; child = child->next)
			if (may_be_id(child, depth - 1))
				return true;
	return false;
}

/* True if a value could name an account that is not read: it is set, and of an object's fields one for ids is, or one that may be an id. */
static bool
may_name_account(const JsonNode *node)
{
	static const char *const ids[] = {"account", "accountId", "account_id", "me", "owner", NULL};
	static const char *const beside[] = {"pushName", "push_name", "name", "verifiedName", "reachoutTimelock", "messageCapping", NULL};

	if (!json_node_is_list(node))
		return wire_is_set(node);
	for (const JsonNode *child = node->first; child; child = child->next)
	{
		bool		is_id = child->key && (id_uses(child->key) != 0 || wire_word_is(child->key, ids));

		if (wire_is_set(child) && child->kind != JSON_KIND_TRUE && !wire_word_is(child->key, beside) &&
			(is_id || may_be_id(child, BESIDE_DEPTH)))
			return true;
	}
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
	const char *text = json_node_is(me, JSON_KIND_OBJECT) ? wire_id_in(me) : json_node_text(me);

	wire_read_ids(me, phone, lid);
	if (phone->kind == JID_INVALID && text && strchr(text, '@') == NULL)
		*phone = wire_jid_of_text(text);
	if (phone->kind != JID_PERSON || wire_repeats_lid(phone, lid))
		*phone = (Jid) {.kind = JID_INVALID};
	return phone->kind == JID_PERSON || lid->kind == JID_LID || !may_name_account(me);
}

/* Return the group that an id names, or an object with one under any of the usual keys; invalid if there is none. */
Jid
wire_read_group_id(const JsonNode *node)
{
	static const char *const keys[] = {"id", "JID", "jid", "gid", "groupId", "group_id", "groupJid", "group_jid", "GroupJID", "chatId", "chat_id", NULL};
	Jid			group = wire_jid_of_text(wire_id_text(node));

	for (const char *const *key = keys; *key && group.kind != JID_GROUP; key++)
		group = wire_jid_of_text(wire_id_text(json_node_get(node, *key)));
	if (group.kind != JID_GROUP)
		group = (Jid) {.kind = JID_INVALID};
	return group;
}

/* Return the first of the values under the keys that is an array or an object, else NULL. */
const JsonNode *
wire_first_list(const JsonNode *object, const char *const *keys)
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
const JsonNode *
wire_list_in(const JsonNode *object)
{
	const JsonNode *list = wire_first_list(object, wire_list_keys);

	return list ? list : wire_first_list(object, group_keys);
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
void
wire_plain_name(const char *key, char name[WIRE_LONGEST_NAME + 1])
{
	size_t		n = 0;

	for (; *key && n <= WIRE_LONGEST_NAME; key++)
		if (isalnum((unsigned char) *key))
			name[n++] = pg_tolower((unsigned char) *key);
	name[n > WIRE_LONGEST_NAME ? 0 : n] = '\0';
}

bool
wire_means_success(const char *word)
{
	static const char *const words[] = {"success", "ok", "added", "true", NULL};

	return wire_word_is(word, words);
}

bool
wire_means_failure(const char *word)
{
	static const char *const words[] = {"error", "failure", "failed", "fail", "false", NULL};

	return wire_word_is(word, words);
}

/* Return 1 for a flag that is set, in any of a flag's spellings, 0 for one that is not, -1 for anything else. */
int
wire_read_flag(const JsonNode *flag)
{
	const char *text = json_node_text(flag);

	if (json_node_is(flag, JSON_KIND_TRUE) || wire_means_success(text))
		return 1;
	if (json_node_is(flag, JSON_KIND_FALSE) || wire_means_failure(text))
		return 0;
	return -1;
}

/* The same for a flag that may also be a number. */
int
wire_read_number_flag(const JsonNode *flag)
{
	int			number;

	return json_node_int(flag, &number) && (number == 0 || number == 1) ? number : wire_read_flag(flag);
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
int
wire_code_in_text(const char *text)
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
const char *
wire_message_text(const JsonNode *node)
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
const char *
wire_body_beginning(const char *body, size_t len)
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

/* True if a text has nothing but digits. */
bool
wire_is_digits(const char *text)
{
	return text && text[strspn(text, "0123456789")] == '\0';
}

/* a list has no place with more digits, and a telephone number has more */
#define PLACE_DIGITS 6

/* True if a key is a place in a list: Wawp's events have arrays as objects with the keys "0", "1" and so on. */
bool
wire_is_place(const char *key)
{
	size_t		n = strlen(key);

	return n > 0 && n <= PLACE_DIGITS && wire_is_digits(key);
}

/* True for an object that is a list: its keys are JIDs or places. */
bool
wire_is_keyed_list(const JsonNode *node)
{
	return json_node_is(node, JSON_KIND_OBJECT) && node->first &&
		(strchr(node->first->key, '@') != NULL || wire_is_place(node->first->key));
}

/* True if a member of an object is named after a person. */
bool
wire_is_named_after_person(const JsonNode *child)
{
	return (child->key[0] != '@' && strchr(child->key, '@')) || wire_jid_of_text(child->key).kind == JID_PERSON;
}
