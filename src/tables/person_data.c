/*-------------------------------------------------------------------------
 *
 * person_data.c
 *	  All that the tables hold on one person.
 *
 * The tables of the schema that may hold something are the rows of holdings[],
 * each with the condition that finds it, how it is shown and how it is erased; a
 * test compares them with the catalog.  A person is found by their numbers and
 * privacy ids, by their contact_id, and in free texts by the digits of these in
 * any spelling: with or without "+", "00" and what follows the "@", with up to
 * three other characters between the digits, where "(0)", an escape of JSON or of
 * an URL is one.  A group's JID may begin with the number of who made it; it is
 * the group's name and stays.
 *
 * In rows that go on without the person "contact:<contact_id>" stands for them,
 * in texts "erased", in JSON "0", which is valid in every place.
 *
 * Statements run as intent.c's do, in the caller's transaction, and read whole
 * tables; they lock the rows that are found, the contact first.
 *
 * IDENTIFICATION
 *	  src/tables/person_data.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "protocol/jid.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/erasure_key.h"
#include "tables/person_data.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "compat.h"

/*
 * ---- who it is
 */

/* The lock makes an insertion of the same person wait. */
static SqlStatement find_contacts = {
	"SELECT contact_id, jid, lid, known_as FROM wawp.contact WHERE jid = ANY ($1) OR lid = ANY ($1) OR known_as = ANY ($1)"
	" ORDER BY jid LIKE '%@lid', contact_id FOR UPDATE",
	1, {TEXTARRAYOID}, NULL
};

/* Add a JID (NULL: none), and its other form, to those a person is known by; true if it is new. */
static bool
person_add_jid(Person *person, const char *jid)
{
	ListCell   *lc;
	Jid			parsed;
	Jid			other;

	if (jid == NULL)
		return false;
	foreach(lc, person->jids)
		if (strcmp(lfirst(lc), jid) == 0)
			return false;
	person->jids = lappend(person->jids, pstrdup(jid));
	parsed = jid_parse(jid, strlen(jid));
	other = jid_other_form(&parsed);
	if (other.kind != JID_INVALID)
		(void) person_add_jid(person, other.text);
	return true;
}

/* Add a contact to those a person is. */
void
person_add_contact(Person *person, int64 contact)
{
	int64	   *id = palloc(sizeof(int64));

	*id = contact;
	person->contacts = lappend(person->contacts, id);
}

/* Find all that a person is known by, from one JID of theirs, and lock their contacts. */
Person
person_find(const char *jid)
{
	Person		person = {NIL, NIL};
	bool		has_grown = person_add_jid(&person, jid);

	while (has_grown)
	{
		SqlArgs		args = {0};
		uint64		n;

		has_grown = false;
		person.contacts = NIL;
		spi_add_texts(&args, person.jids);
		n = spi_run(&find_contacts, &args);
		for (uint64 i = 0; i < n; i++)
		{
			person_add_contact(&person, spi_get_int8(i, 1, 0));
			for (int column = 2; column <= 4; column++)
				has_grown |= person_add_jid(&person, spi_get_text(i, column));
		}
	}
	return person;
}

static SqlStatement insert_contact = {
	"INSERT INTO wawp.contact (jid) VALUES ($1) ON CONFLICT (jid) DO UPDATE SET jid = excluded.jid RETURNING contact_id",
	1, {TEXTOID}, NULL
};

/*
 * Make a contact of a person who is none: the record of what is done has an id to
 * name, and whoever is just inserting the person is waited for, or waits.
 */
void
person_keep(Person *person)
{
	SqlArgs		args = {0};

	if (person->contacts != NIL)
		return;
	spi_add_text(&args, linitial(person->jids));
	spi_run(&insert_contact, &args);
	person_add_contact(person, spi_get_int8(0, 1, 0));
}

/* Return what stands for a person who is a contact, in rows. */
const char *
person_pseudonym(const Person *person)
{
	return person->contacts ? psprintf(CONTACT_NAME INT64_FORMAT, *(int64 *) linitial(person->contacts)) : NULL;
}

/* In JSON, or an URL: one character, whatever the digits and letters in it. */
#define ESCAPED "%[0-9A-Fa-f]{2}|\\\\u[0-9A-Fa-f]{4}"
/* Between two digits of a number, as people and programs write it: +44 (0)20 7946-0018. */
#define BETWEEN_DIGITS "(?:[^0-9A-Za-z@]|[(]0[)]|\\\\[bfnrt]|" ESCAPED "){0,3}"

/* Append the digits of a JID as a regular expression that finds them in any spelling. */
static void
append_spellings(StringInfo out, const char *jid)
{
	for (const char *c = jid; *c >= '0' && *c <= '9'; c++)
		appendStringInfo(out, "%s%c", c == jid ? "" : BETWEEN_DIGITS, *c);
}

/* Return a regular expression that finds a person in a text; \1 is what stood before. */
static const char *
person_pattern(const Person *person)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "(^|[^0-9]|" ESCAPED ")(?:[+]|00|011)?(?:");
	for (int i = 0; i < list_length(person->jids); i++)
	{
		appendStringInfoString(&out, i > 0 ? "|" : "");
		append_spellings(&out, list_nth(person->jids, i));
	}
	appendStringInfoString(&out, ")(?:@(?:c[.]us|s[.]whatsapp[.]net|lid))?(?![0-9])");
	return out.data;
}

/*
 * ---- where it is
 */

/* Of each statement: $1 the JIDs, $2 the contact_ids, $3 the pattern, $4 the pseudonym, and of PersonRest $5 since, $6 log_id, $7 log_end. */
#define PERSON_ARGS 7, {TEXTARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID}, NULL

/* A row that was written by that transaction or later; of what is older nothing else is looked at. */
#define WRITTEN "($5 IS NULL OR age(xmin) <= age($5::xid))"
/* A record of the log that was written since: only the worker writes them, and in the order of their numbers. */
#define RECORDED "a.id > $6 AND a.id <= $7"

#define NAMES(column) "coalesce(" column " ~ $3, false)"
/* between $$, which no setting of the session changes */
#define CLEAN(column) column " = regexp_replace(" column ", $3, $$\\1erased$$, 'g')"
/* each text and number by itself: what lies between two of them is no part of a number */
#define JSON_PIECES "$$\"(?:[^\"\\\\]|\\\\.)*\"|[^\" ,:{}\\[\\]]+|[ ,:{}\\[\\]]+$$"
#define CLEAN_JSON(column) column " = (SELECT string_agg(CASE WHEN p.m[1] ~ $3 THEN regexp_replace(p.m[1], $3, $$\\1$$ || '0', 'g')" \
	" ELSE p.m[1] END, '' ORDER BY p.n)::jsonb FROM regexp_matches(" column "::text, " JSON_PIECES ", 'g') WITH ORDINALITY p (m, n))"

/* a text that is no JID may name the person; another's number may have the digits of a privacy id */
#define JID_HOLDS "(jid = ANY ($1) OR (jid !~ '^[0-9]+@(c[.]us|lid)$' AND " NAMES("jid") "))"
#define INTENT_HOLDS "(" JID_HOLDS " OR " NAMES("reason") " OR " NAMES("context::text") " OR " NAMES("batch_id") \
	" OR " NAMES("detail") " OR " NAMES("requested_from::text") ")"
#define NOTE_HOLDS "(jid = ANY ($1) OR " NAMES("reason") " OR " NAMES("batch_id") " OR " NAMES("requested_from::text") ")"
#define AUDIT_TEXTS "(" NAMES("batch_id") " OR " NAMES("actor") " OR " NAMES("application_name") " OR " NAMES("reason") \
	" OR " NAMES("detail::text") ")"
#define AUDIT_ERASED(column) "CASE WHEN a." column "::text ~ $3 THEN '" column "' END"
#define AUDIT_CLEAN(column) column " = CASE WHEN a." column "::text ~ $3 THEN NULL ELSE a." column " END"
#define EVENT_HOLDS "(" NAMES("body") " OR " NAMES("id") " OR " NAMES("detail") ")"
#define SETTINGS_HOLD "(" NAMES("invite_text") " OR " NAMES("welcome_text") ")"

/* A table that may hold something on a person. */
typedef struct Holding
{
	const char *table;
	SqlStatement show;			/* one text, a JSON array of its rows */
	SqlStatement erase;
} Holding;

/* The seal of a record is nobody's data. */
#define SHOW(table, order, holds) \
	{"SELECT coalesce(jsonb_agg(to_jsonb(t) - '{digest,salt,erased}'::text[] ORDER BY " order "), '[]')::text FROM " table " t WHERE " holds, PERSON_ARGS}

/* Of what was written since, so many records are looked at in one statement. */
#define RECORDS_AT_ONCE 10000

enum
{
	HOLDING_NOTES = 2,			/* of holdings[] */
	HOLDING_LOG
};

static Holding holdings[] = {
	{"membership_intent",
		SHOW("wawp.membership_intent", "t.id", INTENT_HOLDS),
		{"UPDATE wawp.membership_intent SET jid = CASE WHEN " JID_HOLDS " THEN $4 ELSE jid END, " CLEAN("reason") ", " CLEAN("batch_id")
			", " CLEAN("detail") ", " CLEAN_JSON("context") ", " CLEAN_JSON("requested_from") ", updated_at = clock_timestamp()"
	" WHERE id = ANY (ARRAY(SELECT id FROM wawp.membership_intent WHERE " WRITTEN " AND " INTENT_HOLDS " ORDER BY id FOR UPDATE))", PERSON_ARGS}},
	{"membership",
		SHOW("wawp.membership", "t.instance, t.group_jid, t.contact_id", "(contact_id = ANY ($2) OR " NAMES("reason") ")"),
		{"WITH gone AS (DELETE FROM wawp.membership WHERE contact_id = ANY ($2) RETURNING 1),"
			" named AS (UPDATE wawp.membership SET " CLEAN("reason") " WHERE " WRITTEN " AND NOT contact_id = ANY ($2) AND " NAMES("reason") " RETURNING 1)"
	" SELECT FROM gone UNION ALL SELECT FROM named", PERSON_ARGS}},
	{"audit_note",
		SHOW("wawp.audit_note", "t.id", NOTE_HOLDS),
		{"UPDATE wawp.audit_note SET jid = CASE WHEN jid = ANY ($1) THEN $4 ELSE jid END, " CLEAN("reason") ", " CLEAN("batch_id") ", "
	CLEAN_JSON("requested_from") " WHERE " WRITTEN " AND " NOTE_HOLDS, PERSON_ARGS}},
	{"audit_log",
		SHOW("wawp.audit_log", "t.id", "(contact_id = ANY ($2) OR " AUDIT_TEXTS ")"),
		{"UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, array_remove(ARRAY[" AUDIT_ERASED("batch_id") ", " AUDIT_ERASED("actor") ", "
			AUDIT_ERASED("application_name") ", " AUDIT_ERASED("reason") ", " AUDIT_ERASED("detail") "], NULL)), salt = NULL, " AUDIT_CLEAN("batch_id") ", " AUDIT_CLEAN("actor") ", " AUDIT_CLEAN("application_name")
	", " AUDIT_CLEAN("reason") ", " AUDIT_CLEAN("detail") " WHERE " RECORDED " AND " AUDIT_TEXTS, PERSON_ARGS}},
	{"webhook_event",
		SHOW("wawp.webhook_event", "t.received_at", EVENT_HOLDS),
	{"DELETE FROM wawp.webhook_event WHERE " WRITTEN " AND " EVENT_HOLDS, PERSON_ARGS}},
	{"suppression",
		SHOW("wawp.suppression", "t.since, t.jid", "(jid = ANY ($1) OR " NAMES("reason") ")"),
		{"WITH gone AS (DELETE FROM wawp.suppression WHERE jid = ANY ($1) AND jid NOT LIKE '" ERASURE_HASH_PREFIX "%' RETURNING 1),"
			" named AS (UPDATE wawp.suppression SET " CLEAN("reason") " WHERE " WRITTEN " AND NOT jid = ANY ($1) AND " NAMES("reason") " RETURNING 1)"
	" SELECT FROM gone UNION ALL SELECT FROM named", PERSON_ARGS}},
	{"hold",
		SHOW("wawp.hold", "t.instance, t.group_jid", NAMES("reason")),
	{"UPDATE wawp.hold SET " CLEAN("reason") " WHERE " WRITTEN " AND " NAMES("reason"), PERSON_ARGS}},
	{"requester_hold",
		SHOW("wawp.requester_hold", "t.instance, t.requester", NAMES("reason")),
	{"UPDATE wawp.requester_hold SET " CLEAN("reason") " WHERE " WRITTEN " AND " NAMES("reason"), PERSON_ARGS}},
	{"group_settings",
		SHOW("wawp.group_settings", "t.instance, t.group_jid", SETTINGS_HOLD),
	{"UPDATE wawp.group_settings SET " CLEAN("invite_text") ", " CLEAN("welcome_text") " WHERE " WRITTEN " AND " SETTINGS_HOLD, PERSON_ARGS}},
	{"contact",
		SHOW("wawp.contact", "t.contact_id", "contact_id = ANY ($2)"),
	{"DELETE FROM wawp.contact WHERE contact_id = ANY ($2)", PERSON_ARGS}},
};

/* Whenever a row was written. */
static const PersonRest everything = {.log_end = PG_INT64_MAX};

/* Return the arguments of PERSON_ARGS. */
static SqlArgs
person_args(const Person *person, const PersonRest *rest)
{
	SqlArgs		args = {0};
	List	   *names = list_copy(person->jids);
	Datum	   *ids = palloc(sizeof(Datum) * (list_length(person->contacts) + 1));
	ListCell   *lc;

	foreach(lc, person->jids)
		names = list_concat(names, erasure_key_hashes(lfirst(lc)));
	spi_add_texts(&args, names);
	for (int i = 0; i < list_length(person->contacts); i++)
		ids[i] = Int64GetDatum(*(int64 *) list_nth(person->contacts, i));
	spi_add_array(&args, ids, NULL, list_length(person->contacts), INT8OID);
	spi_add_text(&args, person_pattern(person));
	spi_add_text(&args, person_pseudonym(person));
	spi_add_text(&args, rest->since);
	spi_add_int8(&args, rest->log_id);
	spi_add_int8(&args, rest->log_end);
	return args;
}

/* Return all that is held on a person, as a JSON object with an array for each table. */
const char *
person_export(const Person *person)
{
	SqlArgs		args = person_args(person, &everything);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"jids\":[");
	for (int i = 0; i < list_length(person->jids); i++)
	{
		appendStringInfoString(&out, i > 0 ? "," : "");
		escape_json(&out, list_nth(person->jids, i));
	}
	appendStringInfoChar(&out, ']');
	for (size_t i = 0; i < lengthof(holdings); i++)
	{
		spi_run(&holdings[i].show, &args);
		appendStringInfo(&out, ",\"%s\":%s", holdings[i].table, spi_get_text(0, 1));
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* An answer that is on its way finds its row cancelled: nothing follows from it. */
static SqlStatement cancel_live = {
	"WITH live AS MATERIALIZED (SELECT id FROM wawp.membership_intent WHERE jid = ANY ($1) AND state NOT IN " STATES_FINAL
	" ORDER BY id FOR UPDATE),"
	" c AS (UPDATE wawp.membership_intent SET state = 'cancelled', detail = 'the person was erased', next_attempt_at = NULL,"
	"  updated_at = clock_timestamp(), settled_at = clock_timestamp() WHERE id = ANY (ARRAY(SELECT id FROM live)) RETURNING *)"
	" " INSERT_NOTE " SELECT 'cancelled', c.instance, c.instance_id, c.group_jid, $2, c.id, c.batch_id, c.action, " TEXT_CAP_REASON("c.reason") ", $3::name, $4"
	" FROM c",
	4, {TEXTARRAYOID, TEXTOID, TEXTOID, JSONBOID}, NULL
};

/* Cancel what is queued or under way for a person, whoever asked for it. */
void
person_cancel_intents(const Person *person, const IntentRequester *by)
{
	SqlArgs		args = {0};

	spi_add_texts(&args, person->jids);
	spi_add_text(&args, person_pseudonym(person));
	spi_add_text(&args, by->role);
	spi_add_datum(&args, by->from);
	(void) spi_run(&cancel_live, &args);
}

/* Erase a person from all tables; return how many rows changed. */
int64
person_erase(const Person *person)
{
	SqlArgs		args = person_args(person, &everything);
	int64		changed = 0;

	for (size_t i = 0; i < lengthof(holdings); i++)
		changed += audit_run_erasure(&holdings[i].erase, &args);
	return changed;
}

/*
 * Erase a person from what was written since in the next table, of the log in a
 * portion, and write to *rest what is left; true if nothing is.  What becomes of a
 * table's rows lies in tables that follow: notes become records.
 */
bool
person_erase_rest(const Person *person, PersonRest *rest)
{
	bool		is_log = rest->tables == HOLDING_LOG;
	int64		last = is_log ? audit_last_id() : rest->log_id;
	SqlArgs		args;

	rest->log_end = Min(last, rest->log_id + RECORDS_AT_ONCE);
	args = person_args(person, rest);
	(void) audit_run_erasure(&holdings[rest->tables].erase, &args);
	if (is_log)
		rest->log_id = rest->log_end;
	if (rest->log_id == last)
		rest->tables++;
	return rest->tables == lengthof(holdings);
}

/* Erase a person from notes that were written since. */
void
person_erase_notes(const Person *person)
{
	SqlArgs		args = person_args(person, &everything);

	(void) spi_run(&holdings[HOLDING_NOTES].erase, &args);
}
