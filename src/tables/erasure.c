/*-------------------------------------------------------------------------
 *
 * erasure.c
 *	  Erasures that the worker completes.
 *
 * Owns wawp.erasure.  A transaction that was open when a person was erased may
 * commit rows that name them, which the erasure could not see.  So the erasure
 * leaves a row here with what the person is known by.  The worker notes in it
 * who is writing to our tables at that time, and when the last of them has ended
 * it erases once more, what was written since, and deletes the row.  Whoever
 * begins to write later sees that the person was erased: until then that cannot
 * be taken back (erasure_is_open_for()).
 *
 * The worker looks through one table at a time; the row has how far it got.  A
 * worker that starts begins anew: a restart of the server gives prepared
 * transactions other names.
 *
 * The row is not dumped, and another home's is not read before it is adopted: what
 * was written there since is looked for in everything.  Statements run as intent.c's do, in the caller's
 * transaction.  Locks: the row.
 *
 * IDENTIFICATION
 *	  src/tables/erasure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "tables/audit.h"
#include "tables/erasure.h"
#include "tables/home.h"

#include "compat.h"

/* Rows that the statements which follow do not see were written by no transaction that was over at this one's snapshot. */
static SqlStatement open_one = {
	"INSERT INTO wawp.erasure (contact_id, jids, since, log_id, home) VALUES ($1, $2, pg_snapshot_xmin(pg_current_snapshot()), $3, $4)"
	" ON CONFLICT (contact_id) DO NOTHING",
	4, {INT8OID, TEXTARRAYOID, INT8OID, UUIDOID}, NULL
};

/* Note that a person is being erased, before their rows are looked for. */
void
erasure_open(const Person *person)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, *(int64 *) linitial(person->contacts));
	spi_add_texts(&args, person->jids);
	spi_add_int8(&args, audit_last_id());
	home_bind(&args);
	spi_run(&open_one, &args);
}

/* True if there may be an erasure to complete; no statement is run. */
bool
erasure_is_open(void)
{
	IndexProbe	any = {"erasure", "erasure_pkey", 0, {0}};

	return index_probe_first(&any) != PROBE_NONE;
}

static SqlStatement find_open = {
	"SELECT FROM wawp.erasure WHERE home = $1 AND $2 = ANY (jids)",
	2, {UUIDOID, TEXTOID}, NULL
};

/* True if the erasure of a person is not complete. */
bool
erasure_is_open_for(const char *jid)
{
	SqlArgs		args = {0};

	if (!erasure_is_open())
		return false;
	home_bind(&args);
	spi_add_text(&args, jid);
	return spi_run(&find_open, &args) > 0;
}

static SqlStatement begin_anew = {
	"UPDATE wawp.erasure SET writers = NULL, tables = 0 WHERE home = $1",
	1, {UUIDOID}, NULL
};

/* Forget whom erasures wait for, and which tables were looked through. */
void
erasure_begin_anew(void)
{
	SqlArgs		args = {0};

	if (!erasure_is_open())
		return;
	home_bind(&args);
	spi_run(&begin_anew, &args);
}

/* A transaction's number means nothing in another cluster; the frozen one is older than any. */
static SqlStatement adopt_all = {
	"UPDATE wawp.erasure SET home = $1, since = '2'::xid8, writers = NULL, tables = 0 WHERE home IS DISTINCT FROM $1",
	1, {UUIDOID}, NULL
};

/* Take over erasures that were begun in a database that this one is a copy of. */
void
erasure_adopt(void)
{
	SqlArgs		args = {0};

	if (!erasure_is_open())
		return;
	home_bind(&args);
	spi_run(&adopt_all, &args);
}

/* A transaction that has ended, and is not found, has committed: statements that follow see its rows. */
static SqlStatement note_writers = {
	"UPDATE wawp.erasure SET writers = ARRAY(SELECT DISTINCT l.virtualtransaction"
	"  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
	"  WHERE l.locktype = 'relation' AND c.relnamespace = 'wawp'::pg_catalog.regnamespace"
	"  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())"
	"  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
	"  AND l.pid IS DISTINCT FROM pg_backend_pid())"
	" WHERE writers IS NULL AND home = $1",
	1, {UUIDOID}, NULL
};

static SqlStatement find_own = {
	"SELECT FROM wawp.erasure WHERE home = $1 LIMIT 1",
	1, {UUIDOID}, NULL
};

/*
 * Note for erasures that have committed since who is writing to our tables,
 * prepared transactions included; false if there is no erasure to complete.
 */
bool
erasure_note_writers(void)
{
	SqlArgs		args = {0};

	if (!erasure_is_open())
		return false;
	home_bind(&args);
	spi_run(&note_writers, &args);
	return spi_run(&find_own, &args) > 0;
}

static SqlStatement next_one = {
	"SELECT e.contact_id, e.since::xid::text, e.log_id, e.tables::bigint FROM wawp.erasure e WHERE e.writers IS NOT NULL AND e.home = $1"
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.virtualtransaction = ANY (e.writers))"
	" ORDER BY e.contact_id <= $2, e.contact_id LIMIT 1",
	2, {UUIDOID, INT8OID}, NULL
};

static SqlStatement jids_of = {
	"SELECT j.jid FROM wawp.erasure e, unnest(e.jids) j (jid) WHERE e.contact_id = $1",
	1, {INT8OID}, NULL
};

static SqlStatement contacts_of = {
	"SELECT k.contact_id FROM wawp.erasure e, wawp.contact k WHERE e.contact_id = $1 AND k.contact_id <> $1"
	" AND (k.jid = ANY (e.jids) OR k.lid = ANY (e.jids) OR k.known_as = ANY (e.jids))",
	1, {INT8OID}, NULL
};

/* Add the contacts that are known by any of the person's names: one may have been stored by a transaction that was open. */
static void
erasure_add_contacts(OpenErasure *erasure, const SqlArgs *of_one)
{
	uint64		n = spi_run(&contacts_of, of_one);

	for (uint64 i = 0; i < n; i++)
		person_add_contact(&erasure->person, spi_get_int8(i, 1, 0));
}

/* Read an erasure whose writers have all ended, if possible one behind that contact, in the current memory; false if there is none. */
bool
erasure_next(OpenErasure *erasure, int64 behind)
{
	int64		contact;
	SqlArgs		args = {0};
	SqlArgs		of_one = {0};
	uint64		n;

	home_bind(&args);
	spi_add_int8(&args, behind);
	if (spi_run(&next_one, &args) == 0)
		return false;
	contact = spi_get_int8(0, 1, 0);
	*erasure = (OpenErasure) {
		.rest = {.since = pstrdup(spi_get_text(0, 2)), .log_id = spi_get_int8(0, 3, 0), .tables = (int) spi_get_int8(0, 4, 0)}
	};
	person_add_contact(&erasure->person, contact);
	spi_add_int8(&of_one, contact);
	n = spi_run(&jids_of, &of_one);
	for (uint64 i = 0; i < n; i++)
		erasure->person.jids = lappend(erasure->person.jids, pstrdup(spi_get_text(i, 1)));
	erasure_add_contacts(erasure, &of_one);
	return true;
}

static SqlStatement go_on = {
	"UPDATE wawp.erasure SET log_id = $2, tables = $3 WHERE contact_id = $1",
	3, {INT8OID, INT8OID, INT4OID}, NULL
};

/* Write how far an erasure got. */
void
erasure_go_on(const OpenErasure *erasure)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, *(int64 *) linitial(erasure->person.contacts));
	spi_add_int8(&args, erasure->rest.log_id);
	spi_add_int4(&args, erasure->rest.tables, true);
	spi_run(&go_on, &args);
}

static SqlStatement close_one = {
	"DELETE FROM wawp.erasure WHERE contact_id = $1",
	1, {INT8OID}, NULL
};

/* Forget a person whose erasure is complete. */
void
erasure_close(const OpenErasure *erasure)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, *(int64 *) linitial(erasure->person.contacts));
	spi_run(&close_one, &args);
}
