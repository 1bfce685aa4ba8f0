/*-------------------------------------------------------------------------
 *
 * webhook_event.c
 *	  Events that the gateway has sent, and those that were refused.
 *
 * Owns wawp.webhook_event, wawp.webhook_refusal and wawp.opt_out_word.  A session
 * inserts an event, once by its key, and the worker applies it: only those of
 * this database's home, in no order that means anything.  What was refused is
 * counted in a row per slot, a few bits of the body's hash, so that whoever sends
 * bad events fills no more than REFUSAL_SLOTS rows.
 *
 * Statements run as intent.c's do, in the caller's transaction; texts that are
 * read live in SPI's memory.  Locks: the rows that are changed.
 *
 * IDENTIFICATION
 *	  src/tables/webhook_event.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/signature.h"
#include "base/spi_statement.h"
#include "base/table_insert.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "tables/home.h"
#include "tables/webhook_event.h"
#include "utils/builtins.h"

#include "compat.h"

#define REFUSAL_SLOTS 1024
/* So many of an instance's slots are told of in the audit log, until they are pruned. */
#define RECORDED_SLOTS 32
#define PRUNED_AT_ONCE 1000
/* Longer messages are not compared with the words. */
#define OPT_OUT_BYTES 100

/*
 * ---- accepting
 */

/* All columns that have a default, which only a statement fills in; the values have the columns' types, so that nothing is cast. */
static const char *const event_columns[] = {
	"instance", "event", "id", "instance_id", "received_at", "body", "home", "next_at", "tries", "applied_at", "detail"
};
static const Oid event_types[] = {
	NAMEOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTOID
};
static const TableInsert insert_event = {
	.table = "webhook_event",
	.columns = event_columns,
	.types = event_types,
	.ncolumns = lengthof(event_columns)
};

/* Write a row to *row. */
static void
webhook_bind_event(const WebhookEvent *event, TimestampTz now, SqlArgs *row)
{
	NameData   *instance = palloc(sizeof(NameData));

	namestrcpy(instance, event->instance);
	spi_add_datum(row, NameGetDatum(instance));
	spi_add_text(row, event->event);
	spi_add_text(row, event->id);
	spi_add_text(row, event->instance_id);
	spi_add_time(row, now);
	spi_add_datum(row, event->body);
	home_bind(row);
	spi_add_time(row, now);
	spi_add_int4(row, 0, true);
	spi_add_time(row, event->detail ? now : 0);
	spi_add_text(row, event->detail);
}

/*
 * Store an event without a statement, as nearly all can be: no transaction has
 * stored it, ended or not, and the table is not locked.  False, and nothing is
 * stored, if that takes one.  Raises a violation of webhook_event_pkey where
 * another transaction stores it just now.
 */
bool
webhook_event_insert_plain(const WebhookEvent *event)
{
	IndexProbe	probe = {.table = "webhook_event", .index = "webhook_event_pkey", .nkeys = 3};
	SqlArgs		row = {0};

	webhook_bind_event(event, GetCurrentTimestamp(), &row);
	memcpy(probe.keys, row.values, sizeof(Datum) * probe.nkeys);
	return home_exists() && index_probe_is_free(&probe) && table_insert_rows(&insert_event, &row, 1);
}

static SqlStatement insert = {
	"INSERT INTO wawp.webhook_event (instance, event, id, instance_id, body, detail, applied_at)"
	" VALUES ($1::name, $2, $3, $4, $5, $6, CASE WHEN $6 IS NOT NULL THEN clock_timestamp() END)"
	" ON CONFLICT (instance, event, id) DO NOTHING",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* Store an event; false if it is there already. */
bool
webhook_event_insert(const WebhookEvent *event)
{
	SqlArgs		args = {0};

	spi_add_text(&args, event->instance);
	spi_add_text(&args, event->event);
	spi_add_text(&args, event->id);
	spi_add_text(&args, event->instance_id);
	spi_add_datum(&args, event->body);
	spi_add_text(&args, event->detail);
	return spi_run(&insert, &args) > 0;
}

static SqlStatement refuse = {
	"INSERT INTO wawp.webhook_refusal AS r (instance, slot, body_hash, bytes, reason) VALUES ($1::name, $2, $3, $4, $5)"
	" ON CONFLICT (instance, slot) DO UPDATE SET refused = r.refused + 1, last_at = clock_timestamp(),"
	" bodies = r.bodies + (r.body_hash <> excluded.body_hash)::int, body_hash = excluded.body_hash,"
	" bytes = excluded.bytes, reason = excluded.reason"
	" RETURNING xmax = 0",
	5, {TEXTOID, INT4OID, BYTEAOID, INT4OID, TEXTOID}, NULL
};

static SqlStatement count_refusals = {
	"SELECT count(*) FROM (SELECT FROM wawp.webhook_refusal WHERE instance = $1::name LIMIT $2) r",
	2, {TEXTOID, INT4OID}, NULL
};

/* Count a body that was refused; true if the audit log is to tell of it: it is among the first lately. */
bool
webhook_note_refusal(const char *instance, const char *body, size_t len, const char *reason)
{
	SqlArgs		args = {0};
	SqlArgs		count = {0};
	bytea	   *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	uint8	   *bytes = (uint8 *) VARDATA(hash);

	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	signature_hash(body, len, bytes);
	spi_add_text(&args, instance);
	spi_add_int4(&args, (bytes[0] * 256 + bytes[1]) % REFUSAL_SLOTS, true);
	spi_add_datum(&args, PointerGetDatum(hash));
	spi_add_int4(&args, (int) len, true);
	spi_add_text(&args, reason);
	if (spi_run(&refuse, &args) == 0 || !spi_get_bool(0, 1))
		return false;
	spi_add_text(&count, instance);
	spi_add_int4(&count, RECORDED_SLOTS + 1, true);
	spi_run(&count_refusals, &count);
	return spi_get_int8(0, 1, 0) <= RECORDED_SLOTS;
}

/*
 * ---- applying
 */

#define WAITING " FROM wawp.webhook_event WHERE home = $1 AND applied_at IS NULL"
#define THIS_EVENT " WHERE instance = $1::name AND event = $2 AND id = $3"

static SqlStatement take_waiting = {
	"SELECT instance::text, event, id, instance_id, body, received_at, tries, progress" WAITING
	" AND next_at <= clock_timestamp() ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED",
	2, {UUIDOID, INT4OID}, NULL
};

/* Return up to `limit` events that are to be applied now, as WebhookTask pointers. */
List *
webhook_take_waiting(int limit)
{
	SqlArgs		args = {0};
	List	   *tasks = NIL;
	uint64		n;

	home_bind(&args);
	spi_add_int4(&args, limit, true);
	n = spi_run(&take_waiting, &args);
	for (uint64 i = 0; i < n; i++)
	{
		WebhookTask *task = palloc0(sizeof(WebhookTask));

		task->key.instance = spi_get_text(i, 1);
		task->key.event = spi_get_text(i, 2);
		task->key.id = spi_get_text(i, 3);
		task->key.instance_id = spi_get_text(i, 4);
		task->body = spi_get_text(i, 5);
		task->received_at = spi_get_time(i, 6);
		task->tries = spi_get_int4(i, 7);
		task->progress = spi_get_text(i, 8);
		tasks = lappend(tasks, task);
	}
	return tasks;
}

static SqlStatement next = {
	"SELECT next_at" WAITING " ORDER BY next_at LIMIT 1",
	1, {UUIDOID}, NULL
};

/* Return when the next event is to be applied; 0: there is none. */
TimestampTz
webhook_next(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	return spi_run(&next, &args) > 0 ? spi_get_time(0, 1) : 0;
}

/* Append an event's key to *args. */
static void
webhook_bind_key(SqlArgs *args, const WebhookEvent *key)
{
	spi_add_text(args, key->instance);
	spi_add_text(args, key->event);
	spi_add_text(args, key->id);
}

static SqlStatement end = {
	"UPDATE wawp.webhook_event SET applied_at = clock_timestamp(), happened_at = $4, detail = $5" THIS_EVENT,
	5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

/* Store what an event has led to: it is not applied again. */
void
webhook_end(const WebhookEvent *key, TimestampTz happened_at, const char *detail)
{
	SqlArgs		args = {0};

	webhook_bind_key(&args, key);
	spi_add_time(&args, happened_at);
	spi_add_text(&args, text_limit_cut(TEXT_DETAIL, detail));
	spi_run(&end, &args);
}

static SqlStatement forget = {
	"DELETE FROM wawp.webhook_event" THIS_EVENT,
	3, {TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* Delete an event that was applied, since it names somebody who was erased; its id may name them, too. */
void
webhook_forget(const WebhookEvent *key)
{
	SqlArgs		args = {0};

	webhook_bind_key(&args, key);
	spi_run(&forget, &args);
}

static SqlStatement put_off = {
	"UPDATE wawp.webhook_event SET next_at = $4, tries = tries + $5, progress = coalesce($6, progress), detail = $7" THIS_EVENT,
	7, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID}, NULL
};

/* Let an event be applied later; has_failed: it raised an error; progress: with its people, NULL: as before. */
void
webhook_put_off(const WebhookEvent *key, TimestampTz until, bool has_failed, const char *progress, const char *detail)
{
	SqlArgs		args = {0};

	webhook_bind_key(&args, key);
	spi_add_time(&args, until);
	spi_add_int4(&args, has_failed ? 1 : 0, true);
	spi_add_text(&args, progress);
	spi_add_text(&args, text_limit_cut(TEXT_DETAIL, detail));
	spi_run(&put_off, &args);
}

static SqlStatement status_is_later = {
	"SELECT FROM wawp.webhook_event WHERE instance = $1::name AND event IN ('session.status', 'status.update')"
	" AND instance_id = $2 AND applied_at IS NOT NULL AND happened_at > $3 AND detail NOT IN ($4, $5)"
	" AND received_at > clock_timestamp() - interval '1 day' LIMIT 1",
	5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID}, NULL
};

/* True if an event of the session's state of that one's account was applied that is later than that time. */
bool
webhook_status_is_later(const WebhookEvent *key, TimestampTz at)
{
	SqlArgs		args = {0};

	spi_add_text(&args, key->instance);
	spi_add_text(&args, key->instance_id);
	spi_add_time(&args, at);
	spi_add_text(&args, WEBHOOK_OTHER_ACCOUNT);
	spi_add_text(&args, WEBHOOK_UNREAD_ACCOUNT);
	return spi_run(&status_is_later, &args) > 0;
}

static SqlStatement is_opt_out = {
	"SELECT FROM wawp.opt_out_word, LATERAL regexp_replace(lower($1 COLLATE pg_catalog.\"default\"),"
	"  '^[^[:alnum:]]+|[^[:alnum:]]+$', '', 'g') t (text) WHERE lower(word COLLATE pg_catalog.\"default\") = t.text LIMIT 1",
	1, {TEXTOID}, NULL
};

/* True if a message, in the database's encoding, is one of the words by which people opt out. */
bool
webhook_is_opt_out(const char *text)
{
	SqlArgs		args = {0};

	if (text == NULL || strlen(text) > OPT_OUT_BYTES)
		return false;
	spi_add_text(&args, text);
	return spi_run(&is_opt_out, &args) > 0;
}

/*
 * ---- names and ages
 */

static SqlStatement forget_namesake = {
	"DELETE FROM wawp.webhook_event n WHERE n.instance = $2::name AND EXISTS (SELECT FROM wawp.webhook_event o"
	" WHERE o.instance = $1::name AND o.event = n.event AND o.id = n.id OFFSET 0)",
	2, {TEXTOID, TEXTOID}, NULL
};

static SqlStatement rename_events = {
	"UPDATE wawp.webhook_event SET instance = $2::name WHERE instance = $1::name",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Give the events of an instance its new name. */
void
webhook_rename_instance(const char *from, const char *to)
{
	SqlArgs		args = {0};

	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&forget_namesake, &args);
	spi_run(&rename_events, &args);
}

static SqlStatement prune_events = {
	"DELETE FROM wawp.webhook_event WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM wawp.webhook_event WHERE received_at < (SELECT clock_timestamp() - $1 * interval '1 minute')"
	" ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
	2, {INT4OID, INT4OID}, NULL
};

static SqlStatement prune_refusals = {
	"DELETE FROM wawp.webhook_refusal WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM wawp.webhook_refusal WHERE last_at < (SELECT clock_timestamp() - interval '1 day')"
	" LIMIT $1 FOR UPDATE SKIP LOCKED))",
	1, {INT4OID}, NULL
};

/* Delete a portion of the events that are older than the retention; true if there may be more. */
bool
webhook_prune(int retention_minutes)
{
	SqlArgs		args = {0};

	spi_add_int4(&args, retention_minutes, true);
	spi_add_int4(&args, PRUNED_AT_ONCE, true);
	return spi_run(&prune_events, &args) == PRUNED_AT_ONCE;
}

/* Delete a portion of what was refused more than a day ago. */
void
webhook_prune_refusals(void)
{
	SqlArgs		args = {0};

	spi_add_int4(&args, PRUNED_AT_ONCE, true);
	spi_run(&prune_refusals, &args);
}
