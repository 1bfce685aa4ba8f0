/*-------------------------------------------------------------------------
 *
 * audit.c
 *	  The record of every request.
 *
 * Owns wawp.audit_log, append-only and partitioned by month (UTC), and takes
 * the notes that sessions leave in wawp.audit_note.  The worker is the log's
 * only writer, so it numbers the records itself, without gaps: the next number
 * is kept here and thrown away when a transaction aborts.  Partitions are made
 * ahead, each as a table of its own that is then attached, so that no statement
 * needs more than a moment's lock on the parent.  There is no default
 * partition, which would make attaching scan it.  Partitions are known by their
 * ranges, so that others may make or detach some; if one cannot be made, the
 * log and the worker's status warn two months before it is missed.
 *
 * Records that are written together wait in a memory context of this module,
 * which does not outlive the transaction's end.  Statements run as intent.c's
 * do, in the caller's transaction.
 *
 * IDENTIFICATION
 *	  src/tables/audit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "base/table_insert.h"
#include "base/text_limit.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "tables/audit.h"
#include "tables/audit_block.h"
#include "tables/contact.h"
#include "tables/home.h"
#include "tables/privileges.h"
#include "tables/worker_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"

#define MONTHS_AHEAD 2
/* Partitions ahead that could not be made are tried again after that, and a warning is repeated. */
#define AHEAD_RETRY_MS (50 * 1000)
#define AHEAD_WARNING_MS (60 * 60 * 1000)
#define RECORDS_AT_ONCE 100
/* The limiter learns requests of the last REPLAYED_US one by one, SENDS_AT_ONCE rows at a time. */
#define REPLAYED_US (10 * USECS_PER_MINUTE)
#define SENDS_AT_ONCE 1000

PG_FUNCTION_INFO_V1(wawp_audit_refuse);

static int64 next_number = 0;	/* 0: ask the table */

/* True while free texts of records are erased, which is known by this mark of the process alone. */
static bool is_erasing = false;

/* Run a statement that erases free texts of records, or changes another table; return how many rows it changed. */
uint64
audit_run_erasure(SqlStatement *statement, const SqlArgs *args)
{
	uint64		n;

	is_erasing = true;
	PG_TRY();
	{
		n = spi_run(statement, args);
	}
	PG_FINALLY();
	{
		is_erasing = false;
	}
	PG_END_TRY();
	return n;
}

/*
 * Trigger on the log and its partitions: raise an error for every UPDATE,
 * DELETE and TRUNCATE, but for an erasure's UPDATE.
 */
Datum
wawp_audit_refuse(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "wawp._audit_refuse() is a trigger");
	if (is_erasing && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return PointerGetDatum(trigger->tg_newtuple);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the audit log \"%s\" is append-only", RelationGetRelationName(trigger->tg_relation)),
			 errhint("Old records go with their partition, when wawp.audit_retention says so.")));
	return (Datum) 0;
}

/*
 * ---- partitions
 */

/* A piece of a month for which the log has no partition. */
typedef struct AuditGap
{
	TimestampTz from;
	TimestampTz to;
} AuditGap;

/* Return the beginning of the month (UTC) that lies `ahead` months from now. */
static TimestampTz
audit_month_start(int ahead)
{
	return clock_month_start(GetCurrentTimestamp(), ahead);
}

/*
 * The ranges of the log's partitions, whoever has made them and whatever their
 * names.  A default partition takes everything.  A partition that is being
 * detached takes nothing.
 */
#define PARTITION_RANGES \
	"SELECT c.oid, CASE WHEN r.m[1] IS NULL OR r.m[1] = 'MINVALUE' THEN '-infinity' ELSE r.m[1]::timestamptz END AS since," \
	" CASE WHEN r.m[1] IS NULL OR r.m[2] = 'MAXVALUE' THEN 'infinity' ELSE r.m[2]::timestamptz END AS until" \
	" FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid," \
	" LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid)," \
	"  'FROM [(]''?([^'')]*)''?[)] TO [(]''?([^'')]*)''?[)]') AS m) r" \
	" WHERE i.inhparent = 'wawp.audit_log'::pg_catalog.regclass AND NOT i.inhdetachpending"

static SqlStatement next_gap = {
	"WITH p AS (" PARTITION_RANGES ")"
	" SELECT (SELECT max(p.until) FROM p WHERE p.since <= $1 AND p.until > $1),"
	" (SELECT min(p.since) FROM p WHERE p.since > $1)",
	1, {TIMESTAMPTZOID}, NULL
};

/* Write to *gap the first piece from gap->from to `end` that no partition takes; false if there is none. */
static bool
audit_find_gap(AuditGap *gap, TimestampTz end)
{
	while (gap->from < end)
	{
		SqlArgs		args = {0};
		TimestampTz covered;
		TimestampTz next;

		spi_add_time(&args, gap->from);
		spi_run(&next_gap, &args);
		covered = spi_get_time(0, 1);
		if (covered == 0)
		{
			next = spi_get_time(0, 2);
			gap->to = next == 0 ? end : Min(next, end);
			return true;
		}
		gap->from = covered;
	}
	return false;
}

/* Return a name for a new partition that no relation has, palloc'd; usually audit_log_YYYY_MM. */
static const char *
audit_free_name(TimestampTz from)
{
	Oid			namespace = get_namespace_oid("wawp", false);
	const char *month = pnstrdup(clock_text(from), strlen("YYYY-MM"));
	char	   *name = psprintf("audit_log_%.4s_%s", month, month + strlen("YYYY-"));

	for (int i = 2; OidIsValid(get_relname_relid(name, namespace)); i++)
		name = psprintf("audit_log_%.4s_%s_%d", month, month + strlen("YYYY-"), i);
	return name;
}

/* Make a partition. */
static void
audit_make_partition(const AuditGap *gap)
{
	const char *name = audit_free_name(gap->from);
	const char *from = pstrdup(timestamptz_to_str(gap->from));
	const char *to = pstrdup(timestamptz_to_str(gap->to));

	spi_run_utility(psprintf("CREATE TABLE wawp.%s (LIKE wawp.audit_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
						 " CONSTRAINT %s_pkey PRIMARY KEY (id))", name, name));
	spi_run_utility(psprintf("CREATE INDEX %s_intent ON wawp.%s (intent_id, id)", name, name));
	spi_run_utility(psprintf("CREATE INDEX %s_contact ON wawp.%s (contact_id, at)", name, name));
	spi_run_utility(psprintf("CREATE INDEX %s_group ON wawp.%s (group_jid, id)", name, name));
	spi_run_utility(psprintf("CREATE INDEX %s_batch ON wawp.%s (batch_id, id) WHERE batch_id IS NOT NULL", name, name));
	spi_run_utility(psprintf("CREATE INDEX %s_request ON wawp.%s (request_id) WHERE request_id IS NOT NULL", name, name));
	/* not BRIN: VACUUM alone summarises it, and does not come to a table that only grows */
	spi_run_utility(psprintf("CREATE INDEX %s_at ON wawp.%s (at)", name, name));
	spi_run_utility(psprintf("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON wawp.%s"
						 " FOR EACH STATEMENT EXECUTE FUNCTION wawp._audit_refuse()", name));
	privileges_reset_table(name);
	spi_run_utility(psprintf("ALTER TABLE wawp.audit_log ATTACH PARTITION wawp.%s FOR VALUES FROM ('%s') TO ('%s')",
						 name, from, to));
}

/* Make what a month lacks, for subtransaction_try(); the subject is how many months it lies ahead. */
static bool
audit_complete_month(void *ahead)
{
	TimestampTz end = audit_month_start(*(int *) ahead + 1);
	AuditGap	gap = {.from = audit_month_start(*(int *) ahead)};

	while (audit_find_gap(&gap, end))
	{
		audit_make_partition(&gap);
		gap.from = gap.to;
	}
	return true;
}

/* Raise if this month has no partition and none can be made. */
static void
audit_require_this_month(void)
{
	AuditGap	gap = {.from = GetCurrentTimestamp()};
	int			this_month = 0;
	ErrorData  *error;

	/* a part of the month may be somebody else's to make */
	if (!audit_find_gap(&gap, gap.from + 1))
		return;
	error = subtransaction_try(audit_complete_month, &this_month);
	if (error)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("the audit log has no partition for now, and none can be made: %s", error->message),
				 errdetail("Nothing is sent that cannot be recorded."),
				 errhint("Let the extension's owner create tables in schema wawp, or make one: CREATE TABLE ... PARTITION OF wawp.audit_log FOR VALUES FROM ... TO ....")));
}

/*
 * Make the partitions of the next MONTHS_AHEAD.  If that fails, warn, and try
 * again after AHEAD_RETRY_MS: recording continues until the month begins.
 */
static void
audit_make_ahead(void)
{
	static int64 next_try_ms = 0;
	static int64 next_warning_ms = 0;
	int64		now = clock_monotonic_ms();
	ErrorData  *error = NULL;

	if (now < next_try_ms)
		return;
	for (int ahead = 0; ahead <= MONTHS_AHEAD && error == NULL; ahead++)
		error = subtransaction_try(audit_complete_month, &ahead);
	if (error == NULL)
	{
		status_note_commit(PART_PARTITIONS, true);
		return;
	}
	next_try_ms = now + AHEAD_RETRY_MS;
	status_note_error(PART_PARTITIONS, true, error->sqlerrcode, error->message);
	if (now < next_warning_ms)
		return;
	next_warning_ms = now + AHEAD_WARNING_MS;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("could not make the next partitions of the audit log: %s", error->message),
			 errdetail("From the first day without a partition on, nothing is recorded and so nothing is sent."),
			 errhint("Let the extension's owner create tables in schema wawp, or make them: CREATE TABLE ... PARTITION OF wawp.audit_log FOR VALUES FROM ... TO ....")));
}

/*
 * Make the next months' partitions, unless the log has no record yet: a dump
 * may still be restored into it, and the first record makes them.
 */
void
audit_prepare_ahead(void)
{
	if (next_number != 0)
		audit_make_ahead();
}

/*
 * ---- records
 */

static SqlStatement last_record = {
	"SELECT id, digest IS NOT NULL FROM wawp.audit_log ORDER BY id DESC LIMIT 1",
	0, {0}, NULL
};

/* Return the number of the last record that this transaction sees; 0: there is none. */
int64
audit_last_id(void)
{
	return spi_run(&last_record, NULL) > 0 ? spi_get_int8(0, 1, 0) : 0;
}

static SqlStatement find_take_over = {
	"SELECT FROM wawp.audit_note WHERE kind = 'policy' AND reason LIKE '" AUDIT_TAKEN_OVER "%' AND home = $1 LIMIT 1",
	1, {UUIDOID}, NULL
};

static bool has_taken_over;		/* a note of that was taken: the extension's owner has said that nothing else is
								 * restored */

static void audit_forget_batch(void);

/* Forget the next number and the records that wait; to be called when a transaction that wrote records aborts. */
void
audit_forget_numbers(void)
{
	next_number = 0;
	audit_forget_batch();
}

/*
 * Raise unless a new seal may begin behind records that were sealed elsewhere:
 * the blocks of a dump that is still being restored would be in conflict with it.
 */
static void
audit_require_take_over(int64 last_id)
{
	SqlArgs		args = {0};

	home_bind(&args);
	if (has_taken_over || spi_run(&find_take_over, &args) > 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the audit log has records up to number " INT64_FORMAT " and no block that seals them", last_id),
			 errdetail("A dump may still be being restored.  Nothing is recorded, and so nothing sent, before it is complete."),
			 errhint("If wawp.audit_block is not restored, or was emptied, wawp_take_over() begins a new seal.")));
}

/* Learn the next number from the tables.  A number that was sealed is never taken again, even if its record is missing. */
static void
audit_learn_number(void)
{
	int64		sealed = audit_block_read_chain();
	bool		has_record = spi_run(&last_record, NULL) > 0;
	int64		last_id = has_record ? spi_get_int8(0, 1, 0) : 0;

	if (sealed == 0 && has_record && spi_get_bool(0, 2))
		audit_require_take_over(last_id);
	next_number = Max(last_id, sealed) + 1;
	audit_block_cut(next_number);
}

/* Take the next number, from the table if it is not known. */
static int64
audit_take_number(void)
{
	if (next_number == 0)
	{
		audit_require_this_month();
		audit_make_ahead();
		audit_learn_number();
	}
	return next_number++;
}

/* Seal what was written since the last block; to be called before a commit. */
void
audit_seal(void)
{
	bool		is_known = next_number != 0;

	if (!audit_block_is_open())
		return;
	if (!is_known)
		audit_learn_number();
	if (audit_block_is_open())
		audit_block_seal();
	/* whoever takes the next one makes sure that it has a partition, which may have been undone */
	if (!is_known)
		next_number = 0;
}

#define INSERT \
	"INSERT INTO wawp.audit_log (id, at, kind, instance, instance_id, group_jid, contact_id, intent_id," \
	" batch_id, attempt, action, outcome, http_status, code, login_role, requested_by, actor," \
	" application_name, client_addr, origin, reason, request_id, duration_ms, detail, digest, salt)"

/* Its arguments are a record's columns, in the order of INSERT. */
static SqlStatement insert_one = {
	INSERT " VALUES ($1, $2, $3::wawp.audit_kind, $4::name, $5, $6, $7, $8, $9, $10, $11::wawp.action,"
	" $12::wawp.outcome, $13, $14, $15::name, $16::name, $17, $18, $19::inet, $20, $21, $22::uuid, $23, $24::jsonb, $25, $26)",
	AUDIT_STORED_COLUMNS, {INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, INT4OID,
		TEXTOID, TEXTOID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID}, NULL
};

static SqlStatement insert_many = {
	INSERT " SELECT r.id, r.at, r.kind::wawp.audit_kind, r.instance::name, r.instance_id, r.group_jid, r.contact_id, r.intent_id,"
	" r.batch_id, r.attempt, r.action::wawp.action, r.outcome::wawp.outcome, r.http_status, r.code,"
	" r.login_role::name, r.requested_by::name, r.actor, r.application_name, r.client_addr::inet, r.origin, r.reason,"
	" r.request_id::uuid, r.duration_ms, r.detail::jsonb, r.digest, r.salt"
	" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,"
	"  $22, $23, $24, $25, $26) r (id, at, kind, instance, instance_id, group_jid, contact_id, intent_id, batch_id, attempt,"
	"  action, outcome, http_status, code, login_role, requested_by, actor, application_name, client_addr, origin,"
	"  reason, request_id, duration_ms, detail, digest, salt)",
	AUDIT_STORED_COLUMNS, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID}, NULL
};

/* The same columns, where there are several records and nothing on the table that takes a statement. */
static const TableInsert insert_rows = {
	.table = "audit_log",
	.columns = audit_column_names,
	.types = insert_one.types,
	.ncolumns = AUDIT_STORED_COLUMNS
};

/* Records that are written together. */
static struct
{
	MemoryContext memory;
	bool		is_open;
	int			n;
	SqlArgs		rows[RECORDS_AT_ONCE];
}			batch;

/* Return an address as the column gives it when it is cast to text; NULL for NULL. */
static const char *
audit_canonical_address(const char *address)
{
	Datum		value;

	if (address == NULL)
		return NULL;
	value = DirectFunctionCall1(inet_in, CStringGetDatum(address));
	return TextDatumGetCString(DirectFunctionCall1(network_show, value));
}

/* Likewise a JSON text. */
static const char *
audit_canonical_json(const char *json)
{
	Datum		value;

	if (json == NULL)
		return NULL;
	value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	return DatumGetCString(DirectFunctionCall1(jsonb_out, value));
}

/* Number a record and write its columns, in the order of INSERT and in the current context, to *args. */
static void
audit_bind_record(const AuditRecord *r, SqlArgs *args)
{
	args->n = 0;
	spi_add_int8(args, audit_take_number());
	spi_add_time(args, GetCurrentTimestamp());
	spi_add_text(args, r->kind);
	spi_add_text(args, r->instance);
	spi_add_text(args, r->instance_id);
	spi_add_text(args, r->group_jid);
	spi_add_id(args, r->contact_id);
	spi_add_id(args, r->intent_id);
	spi_add_text(args, r->batch_id);
	spi_add_int4(args, r->attempt, r->attempt > 0);
	spi_add_text(args, r->action);
	spi_add_text(args, r->outcome);
	spi_add_int4(args, r->http_status, r->http_status != 0);
	spi_add_int4(args, r->code, r->code != 0);
	spi_add_text(args, r->login_role);
	spi_add_text(args, r->requested_by);
	spi_add_text(args, r->actor);
	spi_add_text(args, r->application_name);
	spi_add_text(args, audit_canonical_address(r->client_addr));
	spi_add_text(args, r->origin);
	spi_add_text(args, r->reason);
	spi_add_text(args, r->request_id);
	spi_add_int4(args, r->duration_ms, r->duration_ms >= 0);
	spi_add_text(args, audit_canonical_json(r->detail));
	audit_block_add(args);
	Assert(args->n == AUDIT_STORED_COLUMNS);
}

/* Append to *args a column of all records of the batch, as an array. */
static void
audit_bind_column(SqlArgs *args, int column)
{
	Datum		values[RECORDS_AT_ONCE];
	bool		nulls[RECORDS_AT_ONCE];

	for (int i = 0; i < batch.n; i++)
	{
		values[i] = batch.rows[i].values[column];
		nulls[i] = batch.rows[i].nulls[column] == 'n';
	}
	spi_add_array(args, values, nulls, batch.n, insert_one.types[column]);
}

/* Write all records of the batch at once. */
static void
audit_write_batch(void)
{
	MemoryContext caller = MemoryContextSwitchTo(batch.memory);
	bool		is_done = table_insert_rows(&insert_rows, batch.rows, batch.n);
	SqlArgs		args = {0};

	for (int i = 0; i < AUDIT_STORED_COLUMNS && !is_done; i++)
		audit_bind_column(&args, i);
	MemoryContextSwitchTo(caller);
	batch.n = 0;
	if (!is_done)
		spi_run(&insert_many, &args);
}

/* Write the records that wait. */
void
audit_flush(void)
{
	if (batch.n == 0)
		return;
	if (batch.n > 1)
		audit_write_batch();
	else
	{
		batch.n = 0;
		spi_run(&insert_one, &batch.rows[0]);
	}
	MemoryContextReset(batch.memory);
}

/* Throw away the records that wait, and go back to writing each one immediately. */
static void
audit_forget_batch(void)
{
	batch.is_open = false;
	batch.n = 0;
	if (batch.memory)
		MemoryContextReset(batch.memory);
}

/* Let records wait, to be written together; audit_end_gathering() must follow before the commit. */
void
audit_gather(void)
{
	batch.is_open = true;
}

/* Write the records that wait, and each later one immediately. */
void
audit_end_gathering(void)
{
	audit_flush();
	batch.is_open = false;
}

/* Append one record, or let it wait for others. */
void
audit_write(const AuditRecord *record)
{
	MemoryContext caller;
	SqlArgs		args;

	if (batch.memory == NULL)
		batch.memory = AllocSetContextCreate(TopMemoryContext, "wawp audit batch", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(batch.memory);
	audit_bind_record(record, &args);
	MemoryContextSwitchTo(caller);
	batch.rows[batch.n++] = args;
	counters_note_outcome(record->instance, record->outcome);
	if (!batch.is_open || batch.n == RECORDS_AT_ONCE)
		audit_flush();
}

/* Append a key and its text to a JSON object that is being written. */
static void
audit_put_text(StringInfo detail, const char *key, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfo(detail, "%s\"%s\": ", detail->len ? ", " : "{", key);
	escape_json(detail, text);
}

/*
 * Return the detail of a record that has a note, or the shape of an answer that
 * was not understood; NULL if it has neither.
 */
const char *
audit_detail(const char *note, const char *shape)
{
	StringInfoData detail;

	if (note == NULL && shape == NULL)
		return NULL;
	initStringInfo(&detail);
	audit_put_text(&detail, "note", note);
	audit_put_text(&detail, "shape", shape);
	appendStringInfoChar(&detail, '}');
	return detail.data;
}

/*
 * ---- retention
 */

static SqlStatement old_partitions = {
	"WITH p AS (" PARTITION_RANGES ")"
	" SELECT format('%I.%I', c.relnamespace::pg_catalog.regnamespace::text, c.relname), max(p.until) OVER ()"
	" FROM p JOIN pg_catalog.pg_class c ON c.oid = p.oid"
	" WHERE p.until < clock_timestamp() - $1 * interval '1 minute'"
	" AND p.oid IS DISTINCT FROM (SELECT l.tableoid FROM wawp.audit_log l ORDER BY l.id DESC LIMIT 1)",
	1, {INT4OID}, NULL
};

static SqlStatement last_before = {
	"SELECT max(id) FROM wawp.audit_log WHERE at < $1",
	1, {TIMESTAMPTZOID}, NULL
};

/* Record that what is older than a time is removed: the seal then does not miss it. */
static void
audit_note_pruned(TimestampTz before)
{
	AuditRecord record = {.kind = "policy", .origin = "retention", .duration_ms = -1};
	SqlArgs		args = {0};
	int64		last_id;

	spi_add_time(&args, before);
	spi_run(&last_before, &args);
	last_id = spi_get_int8(0, 1, 0);
	if (last_id == 0)
		return;
	record.detail = audit_detail(psprintf("records up to number " INT64_FORMAT " are removed: wawp.audit_retention", last_id), NULL);
	audit_write(&record);
	audit_block_note_pruned(last_id);
}

/*
 * Drop the partitions whose time ended before the retention, except the one
 * with the last record, from which the numbers go on.
 */
void
audit_drop_old(int retention_minutes)
{
	SqlArgs		args = {0};
	List	   *names = NIL;
	ListCell   *lc;
	uint64		n;

	spi_add_int4(&args, retention_minutes, true);
	n = spi_run(&old_partitions, &args);
	if (n == 0)
		return;
	for (uint64 i = 0; i < n; i++)
		names = lappend(names, pstrdup(spi_get_text(i, 1)));
	audit_note_pruned(spi_get_time(0, 2));
	foreach(lc, names)
		spi_run_utility(psprintf("DROP TABLE %s", (const char *) lfirst(lc)));
}

/*
 * ---- records of intents
 */

/* Make a record of what an intent says; its texts are the intent's. */
AuditRecord
audit_record_of_intent(const Intent *intent, const char *kind)
{
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(intent->lane.instance),
		.instance_id = intent->instance_id,
		.group_jid = intent->lane.group,
		.contact_id = contact_id(intent->jid.text),
		.intent_id = intent->id,
		.batch_id = intent->batch_id,
		.attempt = intent->attempts,
		.action = intent_action_name(intent->action),
		.login_role = intent->login_role,
		.requested_by = intent->requested_by,
		.actor = intent->actor,
		.application_name = intent->application_name,
		.client_addr = intent->client_addr,
		.origin = intent->origin,
		.reason = intent->reason,
		.duration_ms = -1
	};

	return record;
}

/* Record a decision about an intent, or what the member list showed; note: the reason, or NULL. */
void
audit_write_intent(const Intent *intent, const char *kind, WawpOutcome outcome, const char *note)
{
	AuditRecord record = audit_record_of_intent(intent, kind);

	record.outcome = outcome_info(outcome)->name;
	record.detail = audit_detail(note, NULL);
	audit_write(&record);
}

/* Record what the worker has done with an intent without an outcome, and why. */
static void
audit_write_decision(const Intent *intent, const char *kind, const char *note)
{
	AuditRecord record = audit_record_of_intent(intent, kind);

	record.detail = audit_detail(note, NULL);
	audit_write(&record);
}

/* Record that the worker has cancelled an intent, and why. */
void
audit_write_cancelled(const Intent *intent, const char *note)
{
	audit_write_decision(intent, "cancelled", note);
}

/* Record that the worker has failed an intent that it did not send, and why. */
void
audit_write_failed(const Intent *intent, const char *note)
{
	audit_write_decision(intent, "policy", note);
}

static SqlStatement has_removal = {
	"SELECT FROM wawp.audit_log WHERE contact_id = $2 AND at > $3 AND kind = 'sent' AND action = 'remove'"
	" AND group_jid = $1 LIMIT 1",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}, NULL
};

/*
 * True if a removal of the person from the group was sent since then, by the
 * worker or a session, through whatever instance: its name may have changed.
 */
bool
audit_has_removal(const LaneKey *lane, int64 contact, TimestampTz since)
{
	SqlArgs		args = {0};

	audit_flush();
	spi_add_text(&args, lane->group);
	spi_add_int8(&args, contact);
	spi_add_time(&args, since);
	return spi_run(&has_removal, &args) > 0;
}

static SqlStatement sent_at = {
	"SELECT at FROM wawp.audit_log WHERE intent_id = $1 AND kind = 'sent' ORDER BY id DESC LIMIT 1",
	1, {INT8OID}, NULL
};

/* Return when the last request for an intent left; 0: none is recorded. */
TimestampTz
audit_sent_at(int64 intent_id)
{
	SqlArgs		args = {0};

	audit_flush();
	spi_add_int8(&args, intent_id);
	return spi_run(&sent_at, &args) > 0 ? spi_get_time(0, 1) : 0;
}

static SqlStatement sent_texts = {
	"SELECT batch_id, actor, application_name, reason FROM wawp.audit_log"
	" WHERE request_id = $1::uuid AND kind = 'sent' AND intent_id IS NOT DISTINCT FROM $2 LIMIT 1",
	2, {TEXTOID, INT8OID}, NULL
};

/*
 * Replace the free texts of a record that was made before somebody was erased,
 * whom they may name, by those of the "sent" record of the same request, which
 * the erasure has been through.  Without one there are none.
 */
void
audit_take_sent_texts(AuditRecord *record)
{
	SqlArgs		args = {0};
	bool		is_sent;

	spi_add_text(&args, record->request_id);
	spi_add_id(&args, record->intent_id);
	is_sent = spi_run(&sent_texts, &args) > 0;
	record->batch_id = is_sent ? spi_get_text(0, 1) : NULL;
	record->actor = is_sent ? spi_get_text(0, 2) : NULL;
	record->application_name = is_sent ? spi_get_text(0, 3) : NULL;
	record->reason = is_sent ? spi_get_text(0, 4) : NULL;
}

/*
 * ---- notes of sessions
 */

/* Notes of another home may be a part of a dump that is still being restored, with the contacts that they name. */
static SqlStatement find_notes = {
	"SELECT id, jid FROM wawp.audit_note WHERE home = $2 AND id > $3 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
	3, {INT4OID, UUIDOID, INT8OID}, NULL
};

static SqlStatement take_notes = {
	"WITH n AS (DELETE FROM wawp.audit_note WHERE id = ANY ($1) RETURNING *)"
	" SELECT kind::text, instance::text, instance_id, group_jid, jid, intent_id, batch_id, action::text, " TEXT_CAP_REASON("reason") ","
	" role::text, requested_from ->> 'login', requested_from ->> 'actor', requested_from ->> 'application',"
	" requested_from ->> 'client' FROM n ORDER BY id",
	1, {INT8ARRAYOID}, NULL
};

/* So many times as many notes are looked at as are taken, where people are being stored. */
#define NOTE_PAGES 10

/*
 * Append to ids[], which has n, the last statement's notes, but for those about
 * people whom a session is just storing, as far as they fit.  Return how many it
 * has then.
 */
static int
audit_append_notes(uint64 found, Datum *ids, int n, int limit)
{
	for (uint64 i = 0; i < found && n < limit; i++)
	{
		const char *jid = spi_get_text(i, 2);

		if (jid == NULL || !contact_is_pending(jid))
			ids[n++] = Int64GetDatum(spi_get_int8(i, 1, 0));
	}
	return n;
}

/* Write the ids of the oldest notes that can be recorded without waiting for a session to ids[]; return how many. */
static int
audit_choose_notes(int limit, Datum *ids)
{
	int64		after = 0;
	uint64		found = limit;
	int			n = 0;

	for (int page = 0; page < NOTE_PAGES && n < limit && found == (uint64) limit; page++)
	{
		SqlArgs		args = {0};

		spi_add_int4(&args, limit, true);
		home_bind(&args);
		spi_add_int8(&args, after);
		found = spi_run(&find_notes, &args);
		n = audit_append_notes(found, ids, n, limit);
		after = found > 0 ? spi_get_int8(found - 1, 1, 0) : after;
	}
	return n;
}

/*
 * Take the oldest notes out of their table and return them as AuditNote pointers,
 * to be written.  Those about people whom a session is just storing are left.
 */
List *
audit_take_notes(int limit)
{
	Datum	   *ids = palloc(sizeof(Datum) * limit);
	int			nids = audit_choose_notes(limit, ids);
	SqlArgs		args = {0};
	List	   *notes = NIL;
	uint64		n = 0;

	if (nids > 0)
	{
		spi_add_array(&args, ids, NULL, nids, INT8OID);
		n = spi_run(&take_notes, &args);
	}
	for (uint64 i = 0; i < n; i++)
	{
		AuditNote  *note = palloc0(sizeof(AuditNote));

		note->record.kind = spi_get_text(i, 1);
		note->record.instance = spi_get_text(i, 2);
		note->record.instance_id = spi_get_text(i, 3);
		note->record.group_jid = spi_get_text(i, 4);
		note->jid = spi_get_text(i, 5);
		note->record.intent_id = spi_get_int8(i, 6, 0);
		note->record.batch_id = spi_get_text(i, 7);
		note->record.action = spi_get_text(i, 8);
		note->record.reason = spi_get_text(i, 9);
		note->record.requested_by = spi_get_text(i, 10);
		note->record.login_role = spi_get_text(i, 11);
		note->record.actor = spi_get_text(i, 12);
		note->record.application_name = spi_get_text(i, 13);
		note->record.client_addr = spi_get_text(i, 14);
		note->record.duration_ms = -1;
		has_taken_over |= note->record.reason && strncmp(note->record.reason, AUDIT_TAKEN_OVER, strlen(AUDIT_TAKEN_OVER)) == 0 &&
			strcmp(note->record.kind, "policy") == 0;
		notes = lappend(notes, note);
	}
	return notes;
}

/*
 * ---- the limiter's durable form
 */

/*
 * The times are arguments, so that only those partitions and that part of the
 * index on `at` are read.  A request that provably did not leave does not count;
 * the record of that is not older than its own.
 */
#define LEFT_SINCE(since) \
	" s.kind = 'sent' AND s.at > " since " AND NOT EXISTS (SELECT FROM wawp.audit_log a" \
	" WHERE a.kind = 'answered' AND a.outcome = 'unreachable' AND a.at > " since \
	" AND a.request_id = s.request_id AND a.contact_id = s.contact_id)"

/* The one written last: earlier ones may be later by the clock, if that was set back since. */
static SqlStatement latest_record = {
	"SELECT at FROM wawp.audit_log ORDER BY id DESC LIMIT 1",
	0, {0}, NULL
};

/* Single requests after $1; $2 is the time from which their ages are counted.  What is later by a clock that was set back since has just left. */
static SqlStatement recent_sends = {
	"SELECT s.instance::text, s.instance_id, greatest((extract(epoch FROM $2 - s.at) * 1000000)::bigint, 0), 1::bigint,"
	" s.group_jid, s.action IS DISTINCT FROM 'add'"
	" FROM wawp.audit_log s WHERE (s.action IN ('add', 'invite') OR s.origin = 'welcome') AND" LEFT_SINCE("$1")
	" ORDER BY s.id",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

/* The number of adds that left after $1. */
static SqlStatement sends_of_day = {
	"SELECT s.instance::text, s.instance_id, (-1)::bigint, count(*), NULL::text, false"
	" FROM wawp.audit_log s WHERE s.action = 'add' AND" LEFT_SINCE("$1")
	" GROUP BY 1, 2",
	1, {TIMESTAMPTZOID}, NULL
};

/* Hand a portion of n such rows to the function that *replay points to. */
static void
audit_replay_rows(uint64 n, void *replay)
{
	AuditSent  *sent = palloc(sizeof(AuditSent) * n);

	for (uint64 i = 0; i < n; i++)
	{
		sent[i].instance = spi_get_text(i, 1);
		sent[i].instance_id = spi_get_text(i, 2);
		sent[i].age_us = spi_get_int8(i, 3, -1);
		sent[i].count = (int) spi_get_int8(i, 4, 0);
		sent[i].group_jid = spi_get_text(i, 5);
		sent[i].is_message = spi_get_bool(i, 6);
	}
	for (uint64 i = 0; i < n; i++)
		(*(AuditReplay *) replay) (&sent[i]);
}

/*
 * Hand each add, invitation and welcome of the last REPLAYED_US to a function,
 * oldest first, then the number of adds that left today (UTC).  Only a portion
 * of the rows is in memory at a time.
 */
void
audit_replay(AuditReplay replay)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz latest = now;
	SqlArgs		recent = {0};
	SqlArgs		today = {0};

	/* the clock may have been set back */
	if (spi_run(&latest_record, NULL) > 0)
		latest = Max(now, spi_get_time(0, 1));
	spi_add_time(&recent, latest - REPLAYED_US);
	spi_add_time(&recent, latest);
	spi_run_portions(&recent_sends, &recent, SENDS_AT_ONCE, audit_replay_rows, &replay);
	spi_add_time(&today, now - now % USECS_PER_DAY - 1);
	spi_run_portions(&sends_of_day, &today, SENDS_AT_ONCE, audit_replay_rows, &replay);
}
