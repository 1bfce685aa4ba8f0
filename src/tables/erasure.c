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
 * begins to write later sees that the person was erased.
 *
 * The row is not dumped.  Statements run as intent.c's do, in the caller's
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
#include "tables/erasure.h"

#include "compat.h"

/* Rows that the statements which follow do not see were written by no transaction that was over at this one's snapshot. */
static SqlStatement open_one = {
	"INSERT INTO wawp.erasure (contact_id, jids, since) VALUES ($1, $2, pg_snapshot_xmin(pg_current_snapshot()))"
	" ON CONFLICT (contact_id) DO NOTHING",
	2, {INT8OID, TEXTARRAYOID}, NULL
};

/* Note that a person is being erased, before their rows are looked for. */
void
erasure_open(const Person *person)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, *(int64 *) linitial(person->contacts));
	spi_add_texts(&args, person->jids);
	spi_run(&open_one, &args);
}

/* True if there is an erasure to complete; no statement is run. */
bool
erasure_is_open(void)
{
	IndexProbe	any = {"erasure", "erasure_pkey", 0, {0}};

	return index_probe_first(&any) != PROBE_NONE;
}

/* A transaction that has ended, and is not found, has committed: statements that follow see its rows. */
static SqlStatement note_writers = {
	"UPDATE wawp.erasure SET writers = ARRAY(SELECT DISTINCT l.virtualtransaction"
	"  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
	"  WHERE l.locktype = 'relation' AND c.relnamespace = 'wawp'::pg_catalog.regnamespace"
	"  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())"
	"  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
	"  AND l.pid IS DISTINCT FROM pg_backend_pid())"
	" WHERE writers IS NULL",
	0, {0}, NULL
};

/* Note for erasures that have committed since who is writing to our tables, prepared transactions included. */
void
erasure_note_writers(void)
{
	spi_run(&note_writers, NULL);
}

static SqlStatement next_one = {
	"SELECT e.contact_id, e.since::xid::text FROM wawp.erasure e WHERE e.writers IS NOT NULL"
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.virtualtransaction = ANY (e.writers)) ORDER BY e.contact_id LIMIT 1",
	0, {0}, NULL
};

static SqlStatement jids_of = {
	"SELECT j.jid FROM wawp.erasure e, unnest(e.jids) j (jid) WHERE e.contact_id = $1",
	1, {INT8OID}, NULL
};

/* Read an erasure whose writers have all ended, in the current memory; false if there is none. */
bool
erasure_next(OpenErasure *erasure)
{
	int64	   *id = palloc(sizeof(int64));
	SqlArgs		args = {0};
	uint64		n;

	if (spi_run(&next_one, NULL) == 0)
		return false;
	*id = spi_get_int8(0, 1, 0);
	*erasure = (OpenErasure) {.person.contacts = list_make1(id), .since = pstrdup(spi_get_text(0, 2))};
	spi_add_int8(&args, *id);
	n = spi_run(&jids_of, &args);
	for (uint64 i = 0; i < n; i++)
		erasure->person.jids = lappend(erasure->person.jids, pstrdup(spi_get_text(i, 1)));
	return true;
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
