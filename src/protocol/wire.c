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

#include "mb/pg_wchar.h"
#include "protocol/json.h"
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
static const char *const phone_keys[] = {"PhoneNumber", "phoneNumber", "phone_number", "pn", "phone", "number", NULL};
static const char *const lid_keys[] = {"LID", "lid", NULL};
static const char *const code_keys[] = {"code", "status", "statusCode", "Error", "error", NULL};
static const char *const text_keys[] = {"message", "reason", "detail", "error", NULL};
static const char *const list_keys[] = {"updateParticipants", "results", "result", "participants", "Participants", "members", "groups", "response", "data", NULL};
static const char *const ok_keys[] = {"ok", "success", "result", "sent", "value", NULL};
static const char *const subject_keys[] = {"subject", "name", "Name", "title", NULL};
static const char *const size_keys[] = {"size", "ParticipantCount", "participantCount", "participantsCount", NULL};

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
	const char *whole;
	const char *user;
	const char *server;

	if (!json_node_is(node, JSON_KIND_OBJECT))
		return json_node_text(node);
	whole = json_node_text(json_node_get(node, "_serialized"));
	if (whole == NULL && (whole = json_node_text(json_node_get(node, "id"))) == NULL)
	{
		user = json_node_text(json_node_get(node, "user"));
		server = json_node_text(json_node_get(node, "server"));
		return user && server ? psprintf("%s@%s", user, server) : user;
	}
	return whole;
}

/* Return the id of an object, from the first of id_keys. */
static const char *
id_in(const JsonNode *object)
{
	return id_text(json_node_any(object, id_keys));
}

/* Return the JID of an id; invalid without a server, since both numbers and LIDs are digits. */
static Jid
jid_of_id(const char *text)
{
	return jid_of_text(text && strchr(text, '@') ? text : NULL);
}

/* Return the phone number of an object, from a field for one; never from a LID. */
static Jid
phone_in(const JsonNode *object)
{
	Jid			jid = jid_of_text(id_text(json_node_any(object, phone_keys)));

	if (jid.kind != JID_PERSON)
		jid = jid_of_text(NULL);
	return jid;
}

/* Return the LID of an object, from a field for one: as a JID, or as its digits alone. */
static Jid
lid_in(const JsonNode *object)
{
	const char *text = id_text(json_node_any(object, lid_keys));
	Jid			jid = jid_of_text(text && !strchr(text, '@') ? psprintf("%s@lid", text) : text);

	if (jid.kind != JID_LID)
		jid = jid_of_text(NULL);
	return jid;
}

/* Return the first of the values under list_keys that has children, else NULL. */
static const JsonNode *
list_in(const JsonNode *object)
{
	for (const char *const *key = list_keys; *key; key++)
	{
		const JsonNode *node = json_node_get(object, *key);

		if (json_node_is_list(node))
			return node;
	}
	return NULL;
}

static bool
word_is_one_of(const char *word, const char *const *words)
{
	for (; word && *words; words++)
		if (pg_strcasecmp(word, *words) == 0)
			return true;
	return false;
}

static bool
means_success(const char *word)
{
	static const char *const words[] = {"success", "ok", "added", "true", NULL};

	return word_is_one_of(word, words);
}

static bool
means_failure(const char *word)
{
	static const char *const words[] = {"error", "failure", "failed", "fail", "false", NULL};

	return word_is_one_of(word, words);
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

/* Return a message that is a text or, from NestJS's validation, an array of texts; else NULL. */
static const char *
message_text(const JsonNode *node)
{
	StringInfoData all;

	if (!json_node_is(node, JSON_KIND_ARRAY))
		return json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : NULL;
	initStringInfo(&all);
	for (const JsonNode *part = node->first; part; part = part->next)
		if (json_node_text(part))
			appendStringInfo(&all, "%s%s", all.len ? "; " : "", json_node_text(part));
	return all.len ? all.data : NULL;
}

/* Return the beginning of the body as a message; NULL if it is no text. */
static const char *
body_beginning(const char *body, size_t len)
{
	size_t		n = 0;

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

/* Set the number and the word of one person's verdict: code, inner_code, has_success. */
static void
read_verdict(const JsonNode *node, WirePerson *person)
{
	for (const char *const *key = code_keys; *key; key++)
	{
		const JsonNode *value = json_node_get(node, *key);
		int			number;

		if (json_node_int(value, &number))
		{
			if (!person->has_code)
				person->code = number;
			else if (number != person->code)
				person->inner_code = number;
			person->has_code = true;
		}
		else if (means_success(json_node_text(value)))
			person->has_success = true;
	}
	if (json_node_is(json_node_get(node, "success"), JSON_KIND_TRUE))
		person->has_success = true;
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
 * as well (Baileys#1842).
 */
static void
read_person_ids(const JsonNode *node, WirePerson *person)
{
	const JsonNode *attrs = json_node_get(json_node_get(node, "content"), "attrs");
	Jid			id = jid_of_text(person->id);

	person->jid = phone_in(node);
	if (person->jid.kind == JID_INVALID)
		person->jid = phone_in(attrs);
	if (person->jid.kind == JID_INVALID)
		person->jid = id;
	person->lid = id.kind == JID_LID ? id : lid_in(node);
	if (person->lid.kind == JID_INVALID)
		person->lid = lid_in(attrs);
	if (person->jid.kind == JID_INVALID)
		person->jid = person->lid;
}

/* Read one person's entry; `key` is its name in a map, else NULL. */
static WirePerson
read_person(const JsonNode *node, const char *key)
{
	WirePerson	person = {0};
	const char *jid_word = json_node_text(json_node_get(node, "JID"));

	person.id = key ? key : json_node_is(node, JSON_KIND_STRING) ? json_node_text(node) : id_in(node);
	read_person_ids(node, &person);
	for (const char *const *name = text_keys; *name && !person.text; name++)
		person.text = message_text(json_node_get(node, *name));
	read_verdict(node, &person);
	read_engine_node(json_node_get(node, "content"), &person);
	person.is_card_sent = json_node_is(json_node_get(node, "isInviteV4Sent"), JSON_KIND_TRUE);

	/* GOWS leaves Error out, or sends 0, instead of 200 */
	if (jid_word && (!person.has_code || person.code == 0))
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

/* Append a person, unless the entry has a name only and no verdict; needs expect_people(). */
static void
add_person(WireAnswer *answer, WirePerson person)
{
	if (!person.has_code && !person.has_success && !person.is_listed_as_added && !person.text)
		return;
	answer->people[answer->npeople++] = person;
}

/* Make room in answer->people for `count` more. */
static void
expect_people(WireAnswer *answer, int count)
{
	size_t		size = sizeof(WirePerson) * (answer->npeople + count);

	answer->people = answer->people ? repalloc(answer->people, size) : palloc(size);
}

/* True if the object describes one person, rather than the whole call. */
static bool
is_person_object(const JsonNode *node)
{
	static const char *const keys[] = {"JID", "jid", "wid", "participant", NULL};

	return json_node_any(node, keys) != NULL;
}

/* True for an object whose keys are JIDs. */
static bool
is_map_by_jid(const JsonNode *node)
{
	return json_node_is(node, JSON_KIND_OBJECT) && node->first && strchr(node->first->key, '@') != NULL;
}

/* Append the people of an array, or of a map by JID, to answer->people. */
static void
read_people_list(const JsonNode *list, WireAnswer *answer)
{
	bool		is_by_jid = is_map_by_jid(list);

	expect_people(answer, list->count);
	for (const JsonNode *child = list->first; child; child = child->next)
		if (is_by_jid || json_node_is(child, JSON_KIND_OBJECT))
			add_person(answer, read_person(child, is_by_jid ? child->key : NULL));
}

/* Append the people of {"added":["..."],"failed":[{"id","reason"}]} to answer->people. */
static void
read_added_failed(const JsonNode *root, WireAnswer *answer)
{
	static const char *const names[] = {"added", "failed"};

	for (int i = 0; i < 2; i++)
	{
		const JsonNode *list = json_node_get(root, names[i]);

		if (!json_node_is(list, JSON_KIND_ARRAY))
			continue;
		expect_people(answer, list->count);
		for (const JsonNode *child = list->first; child; child = child->next)
		{
			WirePerson	person = read_person(child, NULL);
			const JsonNode *reason = json_node_get(child, "reason");

			person.is_listed_as_added = (i == 0);
			if (i == 1 && json_node_int(reason, &person.code))
				person.has_code = true;
			add_person(answer, person);
		}
	}
}

/* Append the one person that an object describes to answer->people. */
static void
read_one_person(const JsonNode *node, WireAnswer *answer)
{
	expect_people(answer, 1);
	add_person(answer, read_person(node, NULL));
}

/* Answers are wrapped in envelopes, at most three deep in those that were seen. */
#define MAX_WRAPPING 6

/* Append the people named at this level, in a list, a map or an object; false if there are none. */
static bool
read_people_here(const JsonNode *node, WireAnswer *answer)
{
	if (json_node_is(node, JSON_KIND_ARRAY) || is_map_by_jid(node))
		read_people_list(node, answer);
	else if (is_person_object(node))
		read_one_person(node, answer);
	else
		read_added_failed(node, answer);
	return answer->npeople > 0;
}

/* Append the people named at any depth of wrapping: {"success","data":{"updateParticipants":[...]}} */
static void
read_people(const JsonNode *root, WireAnswer *answer)
{
	const JsonNode *node = root;

	for (int depth = 0; depth < MAX_WRAPPING && node; depth++)
	{
		if (read_people_here(node, answer) || !json_node_is(node, JSON_KIND_OBJECT) || is_map_by_jid(node))
			return;
		node = list_in(node);
	}
}

/*
 * ---- in: what became of the whole call
 */

/* True for values other than null, false, "", 0, [] and {}. */
static bool
json_is_set(const JsonNode *node)
{
	const char *text = json_node_text(node);

	if (!node || node->kind == JSON_KIND_NULL || node->kind == JSON_KIND_FALSE)
		return false;
	if (json_node_is_list(node))
		return node->count > 0;
	return node->kind == JSON_KIND_TRUE || (text && strcmp(text, "0") != 0);
}

/* Set an error's word, message and numbers: code, text, status, engine_code. */
static void
read_envelope(const JsonNode *root, WireAnswer *answer)
{
	static const char *const status_keys[] = {"statusCode", "status", "code", NULL};
	const JsonNode *error = json_node_get(root, "error");
	const JsonNode *exception = json_node_get(root, "exception");
	const char *texts[] = {
		message_text(json_node_get(root, "message")),
		message_text(json_node_get(error, "message")),
		message_text(error),
		message_text(json_node_get(exception, "message")),
		message_text(json_node_get(root, UPSTREAM_ERROR))
	};

	answer->code = json_node_text(json_node_get(root, "code"));
	if (!answer->code)
		answer->code = json_node_text(json_node_get(error, "code"));
	if (!answer->code && json_is_set(json_node_get(root, UPSTREAM_ERROR)))
		answer->code = UPSTREAM_ERROR;
	for (size_t i = 0; i < lengthof(texts) && !answer->text; i++)
		answer->text = texts[i];
	for (const char *const *key = status_keys; *key && answer->status < 400; key++)
		if (!json_node_int(json_node_get(root, *key), &answer->status))
			answer->status = 0;
	if (!json_node_int(json_node_get(exception, "data"), &answer->engine_code))
		answer->engine_code = code_in_text(answer->text);
}

/* True if the body is an error, which comes under any HTTP status, 200 included. */
static bool
is_refusal(const JsonNode *root, const WireAnswer *answer)
{
	int			number;

	for (const char *const *key = ok_keys; *key; key++)
		if (json_node_is(json_node_get(root, *key), JSON_KIND_FALSE))
			return true;
	if (json_node_is(json_node_get(root, "status"), JSON_KIND_FALSE) ||
		means_failure(json_node_text(json_node_get(root, "status"))))
		return true;
	if (json_is_set(json_node_get(root, "error")) || json_is_set(json_node_get(root, "exception")) ||
		json_is_set(json_node_get(root, UPSTREAM_ERROR)) || answer->status >= 400)
		return true;
	return answer->code && !means_success(answer->code) &&
		!json_node_int(json_node_get(root, "code"), &number);
}

/* True for {"ok":true} and the like. */
static bool
is_bare_success(const JsonNode *root)
{
	const JsonNode *status = json_node_get(root, "status");
	int			number;

	for (const char *const *key = ok_keys; *key; key++)
		if (json_node_is(json_node_get(root, *key), JSON_KIND_TRUE))
			return true;
	return means_success(json_node_text(status)) ||
		(json_node_int(status, &number) && number >= 200 && number < 300);
}

static WireKind
kind_of_object(const JsonNode *root, const WireAnswer *answer)
{
	if (answer->npeople > 0)
		return WIRE_PEOPLE;
	if (is_refusal(root, answer))
		return WIRE_REFUSED;
	return is_bare_success(root) ? WIRE_OK : WIRE_OTHER;
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
		read_people(root, &answer);
		read_envelope(root, &answer);
		answer.kind = kind_of_object(root, &answer);
	}
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
	return is_refusal(root, &answer);
}

static const char *const object_keys[] = {"data", "group", "result", NULL};

/* Return the object that an answer is about, wrapped or not. */
static const JsonNode *
unwrap_object(const JsonNode *root)
{
	const JsonNode *inner = json_node_any(root, object_keys);

	return json_node_is(inner, JSON_KIND_OBJECT) ? inner : root;
}

static WireRole
role_of(const JsonNode *node)
{
	static const char *const owner_flags[] = {"isSuperAdmin", "IsSuperAdmin", "is_super_admin", NULL};
	static const char *const admin_flags[] = {"isAdmin", "IsAdmin", "is_admin", NULL};
	static const char *const role_words[] = {"role", "admin", "rank", NULL};
	static const char *const owners[] = {"superadmin", "owner", "creator", NULL};
	static const char *const admins[] = {"admin", NULL};
	static const char *const gone[] = {"left", NULL};
	const JsonNode *word = json_node_any(node, role_words);

	if (word_is_one_of(json_node_text(word), gone))
		return WIRE_ROLE_LEFT;
	if (json_node_is(json_node_any(node, owner_flags), JSON_KIND_TRUE) ||
		word_is_one_of(json_node_text(word), owners))
		return WIRE_ROLE_OWNER;
	if (json_node_is(json_node_any(node, admin_flags), JSON_KIND_TRUE) ||
		json_node_is(word, JSON_KIND_TRUE) || word_is_one_of(json_node_text(word), admins))
		return WIRE_ROLE_ADMIN;
	return WIRE_ROLE_MEMBER;
}

static WireMember
read_member(const JsonNode *node, const char *key)
{
	WireMember	member = {.role = role_of(node)};
	bool		is_text = json_node_is(node, JSON_KIND_STRING);

	member.jid = jid_of_id(is_text ? json_node_text(node) : id_in(node));
	if (member.jid.kind == JID_INVALID && key)
		member.jid = jid_of_id(key);
	member.phone = phone_in(node);
	member.lid = lid_in(node);
	if (member.jid.kind == JID_PERSON && member.phone.kind == JID_INVALID)
		member.phone = member.jid;
	if (member.jid.kind == JID_LID)
		member.lid = member.jid;
	if (member.jid.kind == JID_INVALID)
		member.jid = member.phone.kind == JID_PERSON ? member.phone : member.lid;
	return member;
}

/* Return the size in a group's description; -1 if there is none. */
static int
stated_size(const JsonNode *node)
{
	int			size;

	if (json_node_is(node, JSON_KIND_OBJECT) &&
		json_node_int(json_node_any(node, size_keys), &size) && size >= 0)
		return size;
	return -1;
}

/* Read the members of a list into *out, palloc'd; entries without a readable JID are counted as unread. */
static void
read_member_list(const JsonNode *list, WireMembers *out)
{
	out->members = palloc(sizeof(WireMember) * Max(list->count, 1));
	out->count = out->unread = 0;
	out->stated = -1;
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		WireMember	member = read_member(child, child->key);

		if (member.jid.kind == JID_PERSON || member.jid.kind == JID_LID)
			out->members[out->count++] = member;
		else if (member.role != WIRE_ROLE_LEFT)
			out->unread++;
	}
}

/* Return the number of members in a list, those who left not counted. */
int
wire_count_members(const WireMembers *list)
{
	int			n = 0;

	for (int i = 0; i < list->count; i++)
		n += list->members[i].role != WIRE_ROLE_LEFT;
	return n;
}

/*
 * Read the answer of GET groups/{id}/participants into *out, palloc'd; false if
 * the body is not a list of people (an error under 200 is not).
 */
bool
wire_read_members(const char *body, size_t len, WireMembers *out)
{
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *list = root;
	int			stated = -1;

	for (int depth = 0; depth < 2 && json_node_is(list, JSON_KIND_OBJECT) && !is_map_by_jid(list); depth++)
	{
		stated = Max(stated, stated_size(list));
		list = list_in(list);
	}
	if (!json_node_is_list(list) || is_error_body(root))
		return false;
	read_member_list(list, out);
	out->stated = stated;
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

/* True if the group lets only its admins add people. */
static bool
says_only_admins_add(const JsonNode *node)
{
	static const char *const keys[] = {"MemberAddMode", "memberAddMode", "member_add_mode", NULL};
	const char *mode = json_node_text(json_node_any(node, keys));

	return mode && strcmp(mode, "admin_add") == 0;
}

/* True if the group lets every member add people: whatsmeow's word, Baileys' and WAHA's true. */
static bool
says_members_add(const JsonNode *node)
{
	static const char *const keys[] = {"MemberAddMode", "memberAddMode", "member_add_mode", "membersCanAddNewMember", NULL};
	const JsonNode *mode = json_node_any(node, keys);

	return json_node_is(mode, JSON_KIND_TRUE) ||
		(json_node_text(mode) && strcmp(json_node_text(mode), "all_member_add") == 0);
}

/* True if an admin approves whoever is added: Baileys' joinApprovalMode, GOWS' IsJoinApprovalRequired. */
static bool
says_approval(const JsonNode *node)
{
	static const char *const keys[] = {"joinApprovalMode", "IsJoinApprovalRequired", "isJoinApprovalRequired",
		"membershipApprovalMode", "join_approval_mode", NULL};
	const JsonNode *mode = json_node_any(node, keys);

	return json_node_is(mode, JSON_KIND_TRUE) || means_success(json_node_text(mode)) ||
		(json_node_text(mode) && strcmp(json_node_text(mode), "on") == 0);
}

/* Read a group's description; *members is set to its list, palloc'd, or zeros. */
static WireGroup
read_group_object(const JsonNode *node, const char *key, WireMembers *members)
{
	WireGroup	group = {.size = -1};
	const JsonNode *metadata = json_node_get(node, "groupMetadata");
	const JsonNode *list = participants_of(node);
	Jid			jid = jid_of_text(id_in(node));

	if (jid.kind != JID_GROUP)
		jid = jid_of_text(key);
	if (jid.kind == JID_GROUP)
		group.jid = pstrdup(jid.text);
	group.subject = json_node_text(json_node_any(node, subject_keys));
	if (!group.subject)
		group.subject = json_node_text(json_node_any(metadata, subject_keys));
	group.only_admins_add = says_only_admins_add(node) || says_only_admins_add(metadata);
	group.asks_approval = says_approval(node) || says_approval(metadata);
	group.members_add = says_members_add(node) || says_members_add(metadata);
	memset(members, 0, sizeof(*members));
	if (list)
		read_member_list(list, members);
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

	if (!json_node_is(root, JSON_KIND_OBJECT) || is_error_body(root))
		return false;
	root = unwrap_object(root);
	*group = read_group_object(root, NULL, members);
	return group->jid || group->subject || group->size >= 0;
}

/* Read the answer of GET groups, an array or NOWEB's object by group, into *out, palloc'd. */
bool
wire_read_groups(const char *body, size_t len, WireGroups *out)
{
	const JsonNode *root = json_node_parse(body, len);
	WireMembers members;

	if (is_error_body(root))
		return false;
	if (json_node_is(root, JSON_KIND_OBJECT) && root->count > 0 && !is_map_by_jid(root))
		root = list_in(root);
	if (!json_node_is_list(root))
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

	if (is_error_body(root))
		return NULL;
	root = unwrap_object(root);
	for (const char *const *key = id_keys; *key; key++)
	{
		Jid			jid = jid_of_text(id_text(json_node_get(root, *key)));

		if (jid.kind == JID_GROUP)
			return pstrdup(jid.text);
	}
	return NULL;
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
	size_t		n = 0;

	for (size_t i = 0; text && i < lengthof(prefixes); i++)
		if (pg_strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			text += strlen(prefixes[i]);
	while (text && (isalnum((unsigned char) text[n]) || (text[n] && strchr("-_", text[n]))))
		n++;
	if (n < INVITE_MIN || n > INVITE_MAX || (text[n] != '\0' && text[n] != '?' && text[n] != '\n'))
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
	return is_refusal(root, &answer) || json_node_text(json_node_get(root, "message"));
}

/*
 * Read an invite code in any of its forms (bare text, a JSON string or an
 * object; a code or a link) and return the full link, palloc'd, or NULL.
 */
char *
wire_read_invite(const char *body, size_t len)
{
	static const char *const keys[] = {"code", "inviteCode", "invite_code", "link",
	"inviteLink", "invite_link", "url", "value", "data", "result", NULL};
	const JsonNode *node = json_node_parse(body, len);

	if (node == NULL)
		return invite_of_text(body_beginning(body, len));
	if (is_error_beside_code(node))
		return NULL;
	for (int i = 0; i < 3 && json_node_is(node, JSON_KIND_OBJECT); i++)
		node = json_node_any(node, keys);
	return json_node_is(node, JSON_KIND_STRING) ? invite_of_text(json_node_text(node)) : NULL;
}

/* Read session info into *out; false if the body has no status. */
bool
wire_read_session(const char *body, size_t len, WireSession *out)
{
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *data = json_node_get(root, "data");
	const JsonNode *me;

	memset(out, 0, sizeof(*out));
	if (!json_node_is(json_node_get(root, "status"), JSON_KIND_STRING) && data)
		root = data;
	if (!json_node_is(json_node_get(root, "status"), JSON_KIND_STRING))
		return false;
	me = json_node_get(root, "me");
	if (!me && !json_node_get(root, "name") && json_node_get(root, "message"))
		return false;
	out->status = json_node_text(json_node_get(root, "status"));
	out->push_name = json_node_text(json_node_get(me, "pushName"));
	out->me = jid_of_text(id_text(json_node_get(me, "id")));
	out->me_lid = jid_of_text(id_text(json_node_any(me, lid_keys)));
	out->limits = account_limits_read(root);
	return out->status != NULL;
}

/*
 * Read the answer of check-exists.  Anything unclear is WIRE_UNKNOWN, never
 * "no".  *chat is set to the person's JID as WhatsApp has it, by number if the
 * answer has one (GOWS 2026.8 has it beside the LID, as "pn"), else to the LID;
 * *lid to the LID.  Both are invalid if the answer has none.
 */
WireTruth
wire_read_exists(const char *body, size_t len, Jid *chat, Jid *lid)
{
	static const char *const flags[] = {"numberExists", "exists", "isInWhatsapp", NULL};
	static const char *const ids[] = {"chatId", "chat_id", "jid", "id", NULL};
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *flag = json_node_any(root, flags);
	const char *status = json_node_text(json_node_get(root, "status"));
	Jid			id;

	if (!flag && json_node_is(json_node_get(root, "data"), JSON_KIND_OBJECT))
	{
		root = json_node_get(root, "data");
		flag = json_node_any(root, flags);
	}
	id = jid_of_text(id_text(json_node_any(root, ids)));
	*chat = id.kind == JID_LID ? phone_in(root) : id;
	*lid = id.kind == JID_LID ? id : lid_in(root);
	if (chat->kind == JID_INVALID)
		*chat = *lid;
	if (json_node_is(flag, JSON_KIND_TRUE) || (status && strcmp(status, "exists") == 0))
		return WIRE_YES;
	return json_node_is(flag, JSON_KIND_FALSE) ? WIRE_NO : WIRE_UNKNOWN;
}

/* Return the LID from lids/pn/{number}; invalid means unknown, not "no account". */
Jid
wire_read_lid(const char *body, size_t len)
{
	const JsonNode *root = json_node_parse(body, len);

	if (json_node_is(json_node_get(root, "data"), JSON_KIND_OBJECT))
		root = json_node_get(root, "data");
	return lid_in(root);
}

/* Return the id of a message that was just sent, or NULL. */
const char *
wire_read_message_id(const char *body, size_t len)
{
	static const char *const keys[] = {"id", "message_id", "messageId", NULL};
	static const char *const wrappers[] = {"key", "data", "result", "response", NULL};
	const JsonNode *root = json_node_parse(body, len);

	for (int i = 0; root && i < 2; i++)
	{
		const char *id = id_text(json_node_any(root, keys));

		if (id)
			return id;
		root = json_node_any(root, wrappers);
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
		{"nonadminadd", "non_admin_add"}
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
	WireJoinRequest request = {.jid = jid_of_text(id_text(json_node_get(node, "requesterPn")))};

	if (request.jid.kind != JID_PERSON)
		request.jid = phone_in(node);
	if (request.jid.kind != JID_PERSON)
		request.jid = jid_of_id(id ? id : id_in(node));
	if (request.jid.kind != JID_PERSON && request.jid.kind != JID_LID)
		request.jid = lid_in(node);
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
	static const char *const keys[] = {"joinRequests", "requests", "data", "result", NULL};
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *list = root;

	for (int depth = 0; depth < 2 && json_node_is(list, JSON_KIND_OBJECT); depth++)
		list = json_node_any(list, keys);
	if (!json_node_is(list, JSON_KIND_ARRAY) || is_error_body(root))
		return false;
	out->requests = palloc(sizeof(WireJoinRequest) * Max(list->count, 1));
	out->count = 0;
	for (const JsonNode *child = list->first; child; child = child->next)
		out->requests[out->count++] = read_join_request(child);
	return true;
}
