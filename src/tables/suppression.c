/*-------------------------------------------------------------------------
 *
 * suppression.c
 *	  The opt-out list.
 *
 * Owns wawp.suppression.  A person who left a group, was removed from it by
 * others, blocked us or opted out is neither added nor invited until the row
 * expires or is deleted.  Who was erased stands there by keyed hashes of their
 * JIDs (erasure_key.c), for all groups, and nothing else is noted of them.
 *
 * Statements run as intent.c's do, in the caller's transaction; texts that are
 * read live in SPI's memory.  Locks: the rows that are changed.
 *
 * IDENTIFICATION
 *	  src/tables/suppression.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "protocol/jid.h"
#include "tables/erasure_key.h"
#include "tables/suppression.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "compat.h"

static SqlStatement find = {
	"SELECT " TEXT_CAP_REASON("reason") " FROM wawp.suppression WHERE jid = ANY ($1) AND (group_jid IS NULL OR group_jid = $2)"
	" AND (until IS NULL OR until > clock_timestamp()) ORDER BY group_jid NULLS FIRST LIMIT 1",
	2, {TEXTARRAYOID, TEXTOID}, NULL
};

static SqlStatement set = {
	"INSERT INTO wawp.suppression (jid, group_jid, reason, since, until) VALUES ($1, nullif($2, ''), $3, clock_timestamp(), $4)"
	" ON CONFLICT (jid, group_jid) DO UPDATE SET reason = excluded.reason, until = excluded.until"
	" WHERE (suppression.reason, suppression.until) IS DISTINCT FROM (excluded.reason, excluded.until)",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* The hashes of one erasure have the same time, and end together. */
static SqlStatement lift = {
	"WITH found AS (DELETE FROM wawp.suppression WHERE jid = ANY ($1) AND (group_jid = $2 OR $2 = '' AND group_jid IS NULL)"
	" RETURNING jid, since), beside AS (DELETE FROM wawp.suppression s USING found f WHERE f.jid LIKE '" ERASURE_HASH_PREFIX "%'"
	"  AND s.jid LIKE '" ERASURE_HASH_PREFIX "%' AND s.since = f.since AND NOT s.jid = ANY ($1) RETURNING s.jid)"
	" SELECT FROM found",
	2, {TEXTARRAYOID, TEXTOID}, NULL
};

/* Return the other form of a person's number, as Brazil has two, or NULL: WhatsApp names by one who is asked for by the other. */
static const char *
other_form(const char *jid)
{
	Jid			person = jid_parse(jid, strlen(jid));
	Jid			other = jid_other_form(&person);

	return other.kind == JID_INVALID ? NULL : pstrdup(other.text);
}

/* Return how a person may be named on the list: by the JID, its other form, and the hashes of both. */
static List *
suppression_names(const char *jid)
{
	const char *other = other_form(jid);
	List	   *names = lcons((void *) jid, erasure_key_hashes(jid));

	if (other)
		names = lcons((void *) other, list_concat(names, erasure_key_hashes(other)));
	return names;
}

/* True if the list may have any of these names, whatever the transaction's snapshot; no statement is run. */
static bool
suppression_may_have(const List *names)
{
	IndexProbe *any = palloc(sizeof(IndexProbe) * list_length(names));

	for (int i = 0; i < list_length(names); i++)
		any[i] = (IndexProbe) {"suppression", "suppression_key", 1, {CStringGetTextDatum(list_nth(names, i))}};
	return names != NIL && index_probe_committed(any, list_length(names)) != PROBE_NONE;
}

/*
 * Return the reason why a person may not be added or invited to a group; NULL:
 * they may.  The list is read as it is now, also in a transaction with an older
 * snapshot.
 */
const char *
suppression_reason(const char *jid, const char *group)
{
	List	   *names = suppression_names(jid);
	SqlArgs		args = {0};

	if (!suppression_may_have(names))
		return NULL;
	spi_add_texts(&args, names);
	spi_add_text(&args, group);
	return spi_run_seeing(&find, &args, GetLatestSnapshot()) > 0 ? spi_get_text(0, 1) : NULL;
}

/*
 * Likewise, of a person of whom another id is known (NULL: none): who asked to be
 * left in peace may be on the list by the number or by the LID.
 */
const char *
suppression_reason_of_both(const char *jid, const char *other, const char *group)
{
	const char *reason = suppression_reason(jid, group);

	return reason || other == NULL ? reason : suppression_reason(other, group);
}

/* Likewise, of a person whom WhatsApp may know by another number (NULL: none is known), to which requests are sent. */
const char *
suppression_reason_of_all(const char *jid, const char *other, const char *known_as, const char *group)
{
	const char *reason = suppression_reason_of_both(jid, other, group);

	return reason || known_as == NULL || strcmp(known_as, jid) == 0 ? reason : suppression_reason(known_as, group);
}

/* True if a person was erased: nothing is to be stored of them. */
bool
suppression_is_erased(const char *jid)
{
	const char *other;
	List	   *hashes = erasure_key_hashes(jid);

	if (hashes == NIL)
		return false;
	other = other_form(jid);
	return suppression_may_have(other ? list_concat(hashes, erasure_key_hashes(other)) : hashes);
}

static SqlStatement set_erased = {
	"INSERT INTO wawp.suppression (jid, group_jid, reason, since, until) SELECT p.jid, NULL, '" SUPPRESSION_ERASED "', c.now, NULL"
	" FROM unnest($1) p (jid), (SELECT clock_timestamp() AS now) c ON CONFLICT (jid, group_jid) DO NOTHING",
	1, {TEXTARRAYOID}, NULL
};

/* Put a person who is being erased on the list, by hashes of all their JIDs. */
void
suppression_set_erased(const List *jids)
{
	SqlArgs		args = {0};
	List	   *hashes = NIL;
	ListCell   *lc;

	foreach(lc, jids)
		hashes = list_concat_unique_ptr(hashes, erasure_key_hashes(lfirst(lc)));
	spi_add_texts(&args, hashes);
	spi_run(&set_erased, &args);
}

/* Put a person on the list; false if that was so already.  group "": for all groups.  until 0: without an end. */
bool
suppression_set(const char *jid, const char *group, const char *reason, TimestampTz until)
{
	SqlArgs		args = {0};

	if (suppression_is_erased(jid))
		return false;
	spi_add_text(&args, jid);
	spi_add_text(&args, group);
	spi_add_text(&args, reason);
	spi_add_time(&args, until);
	return spi_run(&set, &args) > 0;
}

static SqlStatement set_since = {
	"INSERT INTO wawp.suppression (jid, group_jid, reason, since, until) VALUES ($1, nullif($2, ''), $3, $4, $5)"
	" ON CONFLICT (jid, group_jid) DO UPDATE SET reason = excluded.reason, since = excluded.since, until = excluded.until"
	" WHERE suppression.until <= clock_timestamp() OR (suppression.until IS NOT NULL AND excluded.until IS NULL)",
	5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

/* Put a person on the list because of something that happened at that time, unless they are on it for as long. */
bool
suppression_set_since(const char *jid, const char *group, const char *reason, TimestampTz since, TimestampTz until)
{
	SqlArgs		args = {0};

	if (suppression_is_erased(jid))
		return false;
	spi_add_text(&args, jid);
	spi_add_text(&args, group);
	spi_add_text(&args, reason);
	spi_add_time(&args, since);
	spi_add_time(&args, until);
	return spi_run(&set_since, &args) > 0;
}

static SqlStatement end_before = {
	"DELETE FROM wawp.suppression WHERE jid = $1 AND group_jid = $2 AND reason = $3 AND since < $4",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* Take a person off the list of a group who is on it for that reason since before that time; false if they are not. */
bool
suppression_end_before(const char *jid, const char *group, const char *reason, TimestampTz before)
{
	IndexProbe	any = {"suppression", "suppression_key", 1, {CStringGetTextDatum(jid)}};
	SqlArgs		args = {0};

	if (index_probe_first(&any) == PROBE_NONE)
		return false;
	spi_add_text(&args, jid);
	spi_add_text(&args, group);
	spi_add_text(&args, reason);
	spi_add_time(&args, before);
	return spi_run(&end_before, &args) > 0;
}

static SqlStatement move = {
	"UPDATE wawp.suppression s SET jid = $2 WHERE s.jid = $1 AND NOT EXISTS (SELECT FROM wawp.suppression o"
	" WHERE o.jid = $2 AND o.group_jid IS NOT DISTINCT FROM s.group_jid OFFSET 0)",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Put a person on the list by another JID of theirs, unless they are on it by that. */
void
suppression_move(const char *from, const char *to)
{
	IndexProbe	any = {"suppression", "suppression_key", 1, {CStringGetTextDatum(from)}};
	SqlArgs		args = {0};

	if (index_probe_first(&any) == PROBE_NONE)
		return;
	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&move, &args);
}

/* Take a person off the list of a group, or with "" of all groups; false if they were not on it. */
bool
suppression_lift(const char *jid, const char *group)
{
	SqlArgs		args = {0};

	spi_add_texts(&args, suppression_names(jid));
	spi_add_text(&args, group);
	return spi_run(&lift, &args) > 0;
}
