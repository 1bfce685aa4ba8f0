/*-------------------------------------------------------------------------
 *
 * wire_verdict.c
 *	  Answers to requests: what became of each person and of the whole call.
 *
 * Pure.  Finds the people that an answer names and the numbers and texts beside
 * them, in every form that Wawp or an engine behind it is known to answer;
 * outcome.c says what they mean.
 *
 * Everything returned lives in the current memory context and is UTF-8.  No
 * answer, however broken, raises an error.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/json.h"
#include "protocol/outcome.h"
#include "protocol/shape.h"
#include "protocol/wire_value.h"
#include "protocol/wire_verdict.h"

static const char *const text_keys[] = {"message", "reason", "detail", "error", "errorMessage", "error_message", "msg", NULL};
static const char *const envelope_text_keys[] = {"reason", "detail", "errorMessage", "error_message", "msg", "description", "title", NULL};
static const char *const ok_keys[] = {"ok", "success", "result", "sent", "value", NULL};
static const char *const number_flags[] = {"ok", "success", NULL};	/* of ok_keys, those that are 0 or 1 in PHP */

/* the key of an engine's error that Wawp passes on */
#define UPSTREAM_ERROR "wawp_upstream_error"

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
	else if (json_node_is(value, JSON_KIND_TRUE) || wire_means_success(word))
		person->has_success = true;
	else if (json_node_is(value, JSON_KIND_FALSE) || wire_means_failure(word))
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
		if (json_node_is(wire_get_by_name(node, *key), JSON_KIND_STRING))
			person->text = json_node_text(wire_get_by_name(node, *key));
}

/* verdicts lie at most so deep in a person's entry: {"error":{"code"}} and {"result":{"data":{"status"}}} */
#define MAX_INNER_VERDICT 3

/* Take the first text of an entry; a number under "error" or "reason" is a code, which add_verdict_field() reads. */
static void
add_text(const JsonNode *node, WirePerson *person)
{
	for (const char *const *name = text_keys; *name && !person->text; name++)
	{
		const char *text = wire_message_text(wire_get_by_name(node, *name));
		bool		is_number = wire_is_digits(text) && (strcmp(*name, "error") == 0 || strcmp(*name, "reason") == 0);

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

/* The names in any spelling (wire_key_is), in the order in which they are read. */
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

	if (use == VERDICT_WORD && (is_number || wire_means_success(json_node_text(value)) || wire_means_failure(json_node_text(value))))
		add_verdict(value, person);
	else if (use == VERDICT_ERROR && (!is_number || number == 0))
		add_flag(is_number ? 0 : json_node_is(value, JSON_KIND_TRUE) ? 1 : json_node_is(value, JSON_KIND_FALSE) ? 0 : -1, 0, person);
	else if (is_number && ((number != 0 && (use == VERDICT_NUMBER || use == VERDICT_ERROR)) ||
						   (use == VERDICT_STATUS && number >= 200 && number <= 599)))
		add_code(number, person);
	else if (use == VERDICT_FLAG || use == VERDICT_FAILURE)
		add_flag(wire_read_number_flag(value), use == VERDICT_FLAG, person);
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
		add_verdict_field(wire_get_by_name(node, verdict_fields[i].name), verdict_fields[i].use, person);
	for (const char *const *key = inner; *key && depth > 0; key++)
	{
		const JsonNode *value = wire_get_by_name(node, *key);

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
	WireIds		ids = wire_ids_of(node);
	Jid			id = wire_jid_of_text(person->id);

	if (!wire_repeats_lid(&id, &ids.lid))
		wire_add_jid(id, &ids);
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

	if (!wire_is_set(field) || wire_means_success(word) || (json_node_int(field, &number) && number >= 200 && number < 300))
		return false;
	for (size_t i = 0; i < lengthof(stems); i++)
		if (wire_name_contains(field->key, stems[i]))
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
	WireIds		ids = wire_ids_of(node);
	const char *text = NULL;

	if (ids.phone.kind == JID_PERSON || ids.lid.kind == JID_LID)
		return NULL;
	for (const char *const *key = keys; *key && text == NULL; key++)
		text = wire_id_text(wire_get_by_name(node, *key));
	return text;
}

/* Read one person's entry, an object or a verdict alone; `key` is its name in a map, else NULL. */
static WirePerson
read_person(const JsonNode *node, const char *key)
{
	WirePerson	person = {0};

	person.id = key ? key : json_node_is(node, JSON_KIND_OBJECT) ? wire_id_in(node) : json_node_text(node);
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
	if (!person.has_code && !person.has_success && wire_code_in_text(person.text))
	{
		person.has_code = true;
		person.code = wire_code_in_text(person.text);
	}
	return person;
}

#define FIRST_PEOPLE 8

/* Append a person, unless the entry has a name only and no verdict. */
static void
add_person(WireAnswer *answer, WirePerson person)
{
	int			n = answer->npeople;

	if (!person.has_code && !person.has_success && !person.has_failure && !person.is_listed_as_added && !person.is_passed_over && !person.text)
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

/* True if a child of an array or an object is an entry of a list; set *name to the person that its key names, NULL if none. */
static bool
is_list_entry(const JsonNode *child, const char **name)
{
	*name = child->key && wire_is_named_after_person(child) ? child->key : NULL;
	return *name || child->key == NULL || wire_is_place(child->key);
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

/* The verdict of a list of people by its name. */
typedef enum ListVerdict
{
	LIST_ADDED,
	LIST_REFUSED,
	LIST_PASSED_OVER			/* nothing was done, which may be as it should: they may be where they were to be */
} ListVerdict;

/* Append a person of a list whose name is a verdict.  What names nobody is a message. */
static void
read_sorted_person(const JsonNode *child, const char *name, const char *list, ListVerdict verdict, WireAnswer *answer)
{
	WirePerson	person = read_person(child, name);

	if (person.jid.kind == JID_INVALID && is_error_list(list))
		return;
	if (name == NULL && person.jid.kind == JID_INVALID && (!json_node_is(child, JSON_KIND_OBJECT) || !person.id))
		return;
	person.is_listed_as_added = (verdict == LIST_ADDED);
	person.is_passed_over = (verdict == LIST_PASSED_OVER);
	person.has_failure |= (verdict == LIST_REFUSED);
	weigh_verdict(&person);
	add_person(answer, person);
}

/* Return what follows the beginning of a name, both in any spelling (wire_key_is); NULL if it does not begin so. */
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
		if (wire_key_is(rest, *word))
			return true;
	return false;
}

/* Set *verdict by the name of a list of people, such as "failed_participants"; false if it is none. */
static bool
is_name_of_sorted_list(const char *name, ListVerdict *verdict)
{
	static const char *const added[] = {"added", "success", "successes", "successful", "succeeded", NULL};
	static const char *const refused[] = {"fail", "fails", "failed", "failing", "failure", "failures", "rejected", "refused", "denied", "declined", "blocked",
		"invalid", "unregistered", "notRegistered", "notOnWhatsapp", "unaddable", "notAdded", "phonesNotAdded", "notInvited", "error", "errors",
	"unsuccessful", NULL};
	static const char *const passed_over[] = {"skipped", "ignored", "notFound", "missing", NULL};
	static const char *const *const starts[] = {[LIST_ADDED] = added,[LIST_REFUSED] = refused,[LIST_PASSED_OVER] = passed_over};

	for (size_t i = 0; name && i < lengthof(starts); i++)
		for (const char *const *start = starts[i]; *start; start++)
		{
			const char *rest = after_name(name, *start);

			*verdict = (ListVerdict) i;
			if (rest && is_rest_of_list_name(rest))
				return true;
		}
	return false;
}

/*
 * Append the person that stands alone where a list of those who were refused, or
 * passed over, is expected: as an object, a text or a number.  A success is not
 * believed in that form.
 */
static void
read_sorted_alone(const JsonNode *node, ListVerdict verdict, WireAnswer *answer)
{
	if (verdict != LIST_ADDED && read_person(node, NULL).jid.kind != JID_INVALID)
		read_sorted_person(node, NULL, node->key, verdict, answer);
}

/* Append the people of {"added":["..."],"failed":[{"id","reason"}]} to answer->people, or those of lists of errors. */
static void
read_sorted_people(const JsonNode *root, bool errors, WireAnswer *answer)
{
	for (const JsonNode *list = json_node_is(root, JSON_KIND_OBJECT) ? root->first : NULL; list; list = list->next)
	{
		const char *name;
		ListVerdict verdict;

		if (is_error_list(list->key) != errors || !is_name_of_sorted_list(list->key, &verdict))
			continue;
		if (!errors)
			read_sorted_alone(list, verdict, answer);
		for (const JsonNode *child = list->first; child; child = child->next)
			if (is_list_entry(child, &name))
				read_sorted_person(child, name, list->key, verdict, answer);
	}
}

/* Append the one person that an object describes to answer->people. */
static void
read_one_person(const JsonNode *node, WireAnswer *answer)
{
	add_person(answer, read_person(node, NULL));
}

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
 * is one of wire_list_keys; elsewhere, entries that name nobody are not people.  What
 * repeats the request is left out.  A list of errors is read if no list under
 * wire_list_keys has anybody.
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
			if (json_node_is_list(child) && wire_word_is(child->key, wire_list_keys) == (usual == 1) &&
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

/* True if one of the flags of an envelope has that value: 1 for a success, 0 for a failure. */
static bool
envelope_flag_is(const JsonNode *node, int value)
{
	for (const char *const *key = ok_keys; *key; key++)
		if (wire_read_flag(json_node_get(node, *key)) == value)
			return true;
	for (const char *const *key = number_flags; *key; key++)
		if (wire_read_number_flag(json_node_get(node, *key)) == value)
			return true;
	return false;
}

/* True if an envelope says in a flag, a word or an error that what it answers failed. */
static bool
is_of_failure(const JsonNode *node)
{
	return envelope_flag_is(node, 0) || wire_read_flag(json_node_get(node, "status")) == 0 || wire_is_set(json_node_get(node, "error")) ||
		wire_is_set(json_node_get(node, "errors")) || wire_is_set(json_node_get(node, "exception"));
}

/* Return the HTTP-like status of a refusal in an envelope or its error, else any other number of it, else 0. */
static int
envelope_status(const JsonNode *node)
{
	static const char *const status_keys[] = {"statusCode", "status", "code", "httpStatus", "httpCode", NULL};
	int			status = 0;

	for (const char *const *key = status_keys; *key && status < 400; key++)
		if (!json_node_int(wire_get_by_name(node, *key), &status))
			status = 0;
	return status;
}

/* True if an object has a word for what became of a call: {"code":"quota_reached"}. */
static bool
has_code_word(const JsonNode *node)
{
	const JsonNode *code = json_node_get(node, "code");
	const char *word = json_node_text(code);

	return json_node_is(code, JSON_KIND_STRING) && word && !wire_is_digits(word) && !wire_means_success(word);
}

/* True if an envelope says in a flag or a word that what it answers succeeded. */
static bool
says_success(const JsonNode *node)
{
	for (const char *const *key = ok_keys; *key; key++)
		if (json_node_is(json_node_get(node, *key), JSON_KIND_TRUE))
			return true;
	return wire_means_success(json_node_text(json_node_get(node, "status")));
}

/*
 * True if the number that an object has beside a person may be theirs.  In the
 * outermost envelope it is the call's, unless that says plainly that the call
 * succeeded.  Where the call failed, the numbers with which it does so for want of
 * a token, a session or a group say nothing of a person.
 */
static bool
may_be_persons(const JsonNode *node, int depth, bool has_failed, int code)
{
	if (depth == WIRE_MAX_WRAPPING)
		return wire_is_bare_success(node) && !wire_get_by_name(node, "statusCode");
	return !has_failed || (code != 401 && code != 404);
}

/*
 * Append the person that an envelope names beside a number, if that is a refusal:
 * {"success":true,"data":{"id":"...","code":403}}.  The number is theirs where a
 * change was asked for, and the call's elsewhere, so it is known as ambiguous.
 * Below an envelope that has a word or a number for the call, it is the call's.
 * has_failed: an envelope around the node says that what it answers failed.
 */
static bool
read_lone_person(const JsonNode *node, int depth, bool has_failed, WireAnswer *answer)
{
	bool		is_outermost = depth == WIRE_MAX_WRAPPING;

	has_failed |= is_of_failure(node);
	answer->tells_success |= says_success(node);
	if (has_code_word(node))
		return false;
	if (json_node_is(node, JSON_KIND_OBJECT) && wire_jid_of_text(wire_id_in(node)).kind != JID_GROUP &&
		has_number(node, is_outermost ? 0 : MAX_INNER_VERDICT))
	{
		WirePerson	person = read_person(node, NULL);

		if (person.jid.kind != JID_INVALID && may_be_persons(node, depth, has_failed, person.code))
			add_person(answer, person);
	}
	if (envelope_status(node) >= 400)
		depth = 0;
	for (const JsonNode *child = node->first; child && depth > 0 && answer->npeople == 0; child = child->next)
		if (json_node_is_list(child) && !(child->key && strcmp(child->key, "request") == 0))
			read_lone_person(child, depth - 1, has_failed, answer);
	return answer->is_ambiguous = answer->npeople > 0;
}

/*
 * ---- in: what became of the whole call
 */

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
		if (!json_node_int(wire_get_by_name(root, *key), &status))
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
	return wire_code_in_text(text);
}

/* True for a status that WhatsApp has and HTTP has not. */
static bool
is_engines_own(int status)
{
	return status == 436 || status == 463 || status == 475;
}

/* Set an error's word, message and numbers: code, text, status, engine_code. */
void
wire_read_envelope(const JsonNode *root, WireAnswer *answer)
{
	const JsonNode *error = json_node_get(root, "error");
	const JsonNode *errors = json_node_get(root, "errors");
	const JsonNode *exception = json_node_get(root, "exception");
	const char *texts[] = {
		wire_message_text(json_node_get(root, "message")),
		wire_message_text(json_node_get(error, "message")),
		wire_message_text(error),
		wire_message_text(errors),
		wire_message_text(json_node_is(errors, JSON_KIND_ARRAY) ? json_node_get(errors->first, "message") : NULL),
		wire_message_text(json_node_get(exception, "message")),
		wire_message_text(json_node_get(exception, "details")),
		wire_message_text(json_node_get(root, UPSTREAM_ERROR))
	};

	answer->code = json_node_text(json_node_get(root, "code"));
	if (!answer->code)
		answer->code = json_node_text(json_node_get(error, "code"));
	if (!answer->code && wire_is_set(json_node_get(root, UPSTREAM_ERROR)))
		answer->code = UPSTREAM_ERROR;
	if (wire_message_text(json_node_get(json_node_get(root, "response"), "message")))
		answer->text = wire_message_text(json_node_get(json_node_get(root, "response"), "message"));
	for (size_t i = 0; i < lengthof(texts) && !answer->text; i++)
		answer->text = texts[i];
	for (const char *const *key = envelope_text_keys; *key && !answer->text; key++)
		answer->text = wire_message_text(json_node_get(root, *key));
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
	if ((json_node_int(json_node_get(node, "ack"), &ack) && ack == ACK_ERROR) || wire_means_failure(json_node_text(json_node_get(node, "ackName"))))
		return true;
	for (const char *const *key = wrappers; *key && depth > 0; key++)
		if (has_failed_ack(json_node_get(node, *key), depth - 1))
			return true;
	return false;
}

/* True if an envelope passes on an upstream's failure. */
static bool
tells_of_failure(const JsonNode *root)
{
	int			number;

	return json_node_int(wire_get_by_name(root, "upstreamStatus"), &number) && number >= 400;
}

/* True if an envelope says that it failed, in a flag, a status or an error. */
static bool
says_failure(const JsonNode *root, const WireAnswer *answer)
{
	return is_of_failure(root) || tells_of_failure(root) || wire_is_set(json_node_get(root, UPSTREAM_ERROR)) || answer->status >= 400;
}

/* True if the body is an error, which comes under any HTTP status, 200 included. */
bool
wire_is_refusal(const JsonNode *root, const WireAnswer *answer)
{
	int			number;

	if (says_failure(root, answer))
		return true;
	return answer->code && !wire_means_success(answer->code) &&
		!json_node_int(json_node_get(root, "code"), &number);
}

/*
 * True if an envelope within another one says that it failed, which is then
 * set in *answer: {"success":true,"data":{"success":false,"message":"..."}}.  Its
 * text may stand in the outer one.
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
		wire_read_envelope(inner, &found);
		if (!says_failure(inner, &found) && !read_inner_refusal(inner, depth - 1, &found))
			continue;
		if (found.text == NULL && !wire_is_bare_success(root))
			found.text = answer->text;
		*answer = found;
		return true;
	}
	return false;
}

/* True for {"ok":true} and the like. */
bool
wire_is_bare_success(const JsonNode *root)
{
	const JsonNode *status = json_node_get(root, "status");
	int			number;

	if (envelope_flag_is(root, 1))
		return true;
	if (!status)
		status = json_node_get(root, "code");	/* GOWA's SUCCESS */
	return wire_means_success(json_node_text(status)) || json_node_is(json_node_get(root, "error"), JSON_KIND_FALSE) ||
		(json_node_int(status, &number) && number >= 200 && number < 300);
}

/* Return the kind of a body; for an error in an inner envelope, *answer is set to that. */
static WireKind
kind_of_object(const JsonNode *root, WireAnswer *answer)
{
	if (wire_is_refusal(root, answer) || read_inner_refusal(root, WIRE_MAX_WRAPPING, answer))
		return WIRE_REFUSED;
	return wire_is_bare_success(root) ? WIRE_OK : WIRE_OTHER;
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
		if (wire_is_set(wire_get_by_name(root, *mark)))
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
	answer->kind = wire_means_success(text) ? WIRE_OK : WIRE_REFUSED;
	answer->engine_code = wire_code_in_text(text);
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
			read_sentence(wire_body_beginning(body, len), &answer);
	}
	else if (json_node_is(root, JSON_KIND_STRING))
		read_sentence(json_node_text(root), &answer);
	else if (json_node_is(root, JSON_KIND_TRUE))
		answer.kind = WIRE_OK;
	else if (json_node_is(root, JSON_KIND_FALSE))
		answer.kind = WIRE_REFUSED;
	else if (json_node_is_list(root))
	{
		if (!read_people(root, WIRE_MAX_WRAPPING, true, &answer))
			read_lone_person(root, WIRE_MAX_WRAPPING, false, &answer);
		wire_read_envelope(root, &answer);
		answer.is_frameworks = is_of_framework(root, &answer);
		answer.has_failed_ack = has_failed_ack(root, MAX_INNER_VERDICT);
		if (answer.npeople == 0 || answer.is_ambiguous)
			answer.envelope = kind_of_object(root, &answer);
		answer.kind = answer.npeople > 0 ? WIRE_PEOPLE : answer.envelope;
	}
	if (!answer.is_ambiguous)
		answer.envelope = answer.kind;
	return answer;
}

/* True if the body is an error object instead of a value. */
bool
wire_is_error_body(const JsonNode *root)
{
	WireAnswer	answer = {.kind = WIRE_OTHER};

	if (!json_node_is(root, JSON_KIND_OBJECT))
		return false;
	wire_read_envelope(root, &answer);
	return wire_is_refusal(root, &answer) || read_inner_refusal(root, WIRE_MAX_WRAPPING, &answer);
}

static const char *const object_keys[] = {"data", "group", "result", "results", "response", "groupInfo", "group_info", "payload", "body", NULL};

/* Return the object of a group that an answer is about, in whatever envelopes; NULL if one of them is an error. */
const JsonNode *
wire_unwrap_object(const JsonNode *root)
{
	for (int depth = 0; depth < WIRE_MAX_WRAPPING && wire_jid_of_text(wire_id_in(root)).kind != JID_GROUP; depth++)
	{
		bool		is_alone = root->count == 1 && (json_node_is(root, JSON_KIND_ARRAY) || wire_is_keyed_list(root));
		const JsonNode *inner = is_alone ? root->first : wire_first_list(root, object_keys);

		if (!json_node_is_list(inner))
			break;
		if (wire_is_error_body(inner))
			return NULL;
		root = inner;
	}
	return root;
}
