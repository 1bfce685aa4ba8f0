/*-------------------------------------------------------------------------
 *
 * metric_rows.c
 *	  The rows of wawp.metrics: figures for a monitoring system.
 *
 * Names and labels are those that Prometheus shows; doc/monitoring has the
 * exporter's configuration.  No label names a person or a group, and no value is
 * a text of a user.  Counters come from shared memory (counters.c), never from
 * the audit log.  What is queued is counted up to ROWS_AT_MOST rows and
 * GROUPS_AT_MOST groups in all, at least a hundred of each instance: beyond,
 * depths are estimated from the statistics of the queue's index and ages are
 * those of the first in line, so that the cost does not grow with the queue.
 *
 * SQL privileges decide who may call it.  It reads as the extension's owner, in
 * the caller's transaction, and writes nothing.
 *
 * IDENTIFICATION
 *	  src/queue/metric_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/guc.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "tables/audit_mailbox.h"
#include "tables/hold.h"
#include "tables/home.h"
#include "tables/worker_status.h"
#include "throttle/budget.h"
#include "throttle/limiter.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"

#define METRIC_COLUMNS 3
/* as texts, for statements */
#define ROWS_AT_MOST "10000"
#define GROUPS_AT_MOST "300"

PG_FUNCTION_INFO_V1(wawp_metrics);

/*
 * ---- what is in tables
 */

/* The instances, and how many rows and groups of each are read; a statement's beginning. */
#define INSTANCES_SQL \
	"s AS MATERIALIZED (SELECT s.srvname::text COLLATE \"C\" AS instance, wawp._account(s.srvname) AS account," \
	"  greatest(100, " ROWS_AT_MOST " / count(*) OVER ()) AS row_limit, greatest(100, " GROUPS_AT_MOST " / count(*) OVER ()) AS group_limit" \
	"  FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE w.fdwname = 'wawp')"
/* id > 0 is always true and makes the lane's partial index usable */
#define QUEUED_SQL "FROM wawp.membership_intent i WHERE i.state = 'queued' AND i.id > 0 AND i.home = $1 AND i.instance = s.instance"
#define DUE_AT_SQL "greatest(i.created_at, i.not_before, i.next_attempt_at)"
/* Of an intent i of the instance s: it may leave but for pace and holds of instance and group. */
#define IS_DUE_SQL \
	DUE_AT_SQL " <= clock_timestamp() AND i.instance_id = s.account" \
	" AND NOT EXISTS (SELECT FROM wawp.requester_hold r WHERE r.instance = i.instance AND r.requester = i.requester AND r.until > clock_timestamp())"
/* Seconds since a time; 0 if there is none. */
#define AGE_SQL(time) "coalesce(extract(epoch FROM greatest(clock_timestamp() - " time ", '0'))::float8, 0)"
#define INSTANCE_LABEL_SQL "jsonb_build_object('instance', s.instance)"
/* A hold's reason if it is one of ours: a user's text may name people. */
#define REASON_SQL(column) \
	"CASE WHEN " column " ^@ 'paused' THEN 'paused' WHEN " column " ~ '^[a-z_ ]{1,40}$' THEN " column " ELSE 'other' END"
#define IS_HELD_SQL "(h.until IS NULL OR h.until > clock_timestamp())"

/* Those of the queue; $1: our home. */
static SqlStatement queue_metrics = {
	"WITH RECURSIVE " INSTANCES_SQL
	", q AS MATERIALIZED (SELECT s.instance, s.account, s.row_limit, s.group_limit, r.n, r.due, r.oldest_due, r.oldest"
	"  FROM s, LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE r.is_due) AS due,"
	"   min(r.due_at) FILTER (WHERE r.is_due) AS oldest_due, min(r.created_at) AS oldest"
	"   FROM (SELECT i.created_at, " DUE_AT_SQL " AS due_at, " IS_DUE_SQL " AS is_due " QUEUED_SQL " LIMIT s.row_limit) r) r)"
	/* the groups of an instance that has more, one after the other */
	", g AS (SELECT s.instance, s.account, s.group_limit, 1 AS n, (SELECT i.group_jid " QUEUED_SQL " ORDER BY i.group_jid LIMIT 1) AS group_jid"
	"  FROM q s WHERE s.n >= s.row_limit"
	"  UNION ALL SELECT s.instance, s.account, s.group_limit, s.n + 1, (SELECT i.group_jid " QUEUED_SQL " AND i.group_jid > s.group_jid ORDER BY i.group_jid LIMIT 1)"
	"  FROM g s WHERE s.group_jid IS NOT NULL AND s.n < s.group_limit)"
	/* ... and the first in line of each */
	", f AS (SELECT s.instance, min(r.due_at) FILTER (WHERE r.is_due) AS oldest_due, min(r.created_at) AS oldest"
	"  FROM g s, LATERAL (SELECT i.created_at, " DUE_AT_SQL " AS due_at, " IS_DUE_SQL " AS is_due " QUEUED_SQL " AND i.group_jid = s.group_jid"
	"   ORDER BY i.instance_id, coalesce(i.not_before > i.updated_at, false), i.priority DESC, i.id LIMIT 3) r WHERE s.group_jid IS NOT NULL GROUP BY 1)"
	/* the share of an instance in all rows of the table, as far as it is known */
	", c AS (SELECT v.instance, v.frequency FROM pg_stats p, unnest(p.most_common_vals::text::text[], p.most_common_freqs) v (instance, frequency)"
	"  WHERE p.schemaname = 'wawp' AND p.tablename = 'membership_intent' AND p.attname = 'instance')"
	", e AS (SELECT q.instance, greatest(q.row_limit, ((SELECT p.reltuples FROM pg_class p WHERE p.oid = 'wawp.membership_intent_lane'::regclass)"
	"   - (SELECT coalesce(sum(o.n), 0) FROM q o WHERE o.n < o.row_limit))"
	"   * coalesce(c.frequency, 0.0001) / sum(coalesce(c.frequency, 0.0001)) OVER ()) AS n"
	"  FROM q LEFT JOIN c ON c.instance = q.instance WHERE q.n >= q.row_limit)"
	", s2 AS (SELECT s.instance, coalesce(e.n, s.n) AS n, e.n IS NOT NULL AS is_estimate, coalesce(e.n * s.due / s.n, s.due) AS due,"
	"  least(s.oldest_due, f.oldest_due) AS oldest_due, least(s.oldest, f.oldest) AS oldest"
	"  FROM q s LEFT JOIN e ON e.instance = s.instance LEFT JOIN f ON f.instance = s.instance)"
	" SELECT m.name, CASE WHEN m.name ^@ 'wawp_queue_' THEN jsonb_build_object('instance', s.instance, 'state', 'queued')"
	"  ELSE " INSTANCE_LABEL_SQL " END, m.value FROM s2 s, LATERAL (VALUES"
	"  ('wawp_queue_intents', s.n::float8), ('wawp_queue_oldest_seconds', " AGE_SQL("s.oldest") "),"
	"  ('wawp_instance_due_intents', s.due::float8), ('wawp_instance_oldest_due_seconds', " AGE_SQL("s.oldest_due") "),"
	"  ('wawp_instance_depth_is_estimate', s.is_estimate::int4::float8)) m (name, value)",
	1, {UUIDOID}, NULL
};

/* Those of intents that were sent and are not settled. */
static SqlStatement busy_metrics = {
	"WITH " INSTANCES_SQL
	", b AS MATERIALIZED (SELECT s.instance, r.state, r.outcome, r.updated_at FROM s, LATERAL (SELECT i.state, i.outcome, i.updated_at"
	"  FROM wawp.membership_intent i WHERE i.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')"
	"  AND i.home = $1 AND i.instance = s.instance LIMIT s.row_limit) r)"
	" SELECT m.name, jsonb_build_object('instance', s.instance, 'state', s.state), m.value"
	" FROM (SELECT s.instance, t.state, count(b.state) AS n, min(b.updated_at) AS oldest"
	"  FROM s CROSS JOIN unnest('{sending,verifying,inviting,invited,pending_approval}'::wawp.state[]) t (state)"
	"  LEFT JOIN b ON b.instance = s.instance AND b.state = t.state GROUP BY 1, 2) s,"
	" LATERAL (VALUES ('wawp_queue_intents', s.n::float8), ('wawp_queue_oldest_seconds', " AGE_SQL("s.oldest") ")) m (name, value)"
	" UNION ALL SELECT m.name, " INSTANCE_LABEL_SQL ", m.value"
	" FROM (SELECT s.instance, count(b.state) AS n, min(b.updated_at) AS oldest"
	"  FROM s LEFT JOIN b ON b.instance = s.instance AND b.outcome = 'unknown_result' GROUP BY 1) s,"
	" LATERAL (VALUES ('wawp_instance_in_doubt_intents', s.n::float8), ('wawp_instance_oldest_in_doubt_seconds', " AGE_SQL("s.oldest") ")) m (name, value)",
	1, {UUIDOID}, NULL
};

static SqlStatement hold_metrics = {
	"WITH " INSTANCES_SQL
	" SELECT 'wawp_hold_active', jsonb_build_object('instance', h.instance, 'scope', h.scope, 'reason', h.reason), count(*)::float8"
	" FROM (SELECT h.instance, CASE WHEN h.group_jid IS NULL THEN 'instance' WHEN h.group_jid = '" HOLD_MESSAGES "' THEN '" HOLD_MESSAGES "'"
	"   ELSE 'group' END AS scope, " REASON_SQL("h.reason") " AS reason FROM wawp.hold h WHERE " IS_HELD_SQL
	"  UNION ALL SELECT h.instance, 'requester', " REASON_SQL("h.reason") " FROM wawp.requester_hold h WHERE " IS_HELD_SQL ") h"
	" GROUP BY h.instance, h.scope, h.reason"
	" UNION ALL SELECT 'wawp_instance_held', " INSTANCE_LABEL_SQL ", (EXISTS (SELECT FROM wawp.hold h"
	"  WHERE h.instance = s.instance::name AND h.group_jid IS NULL AND " IS_HELD_SQL "))::int4::float8 FROM s",
	0, {0}, NULL
};

/* Those of what waits for the worker; numbers are bounded, which only matters when it has not come for long. */
static SqlStatement waiting_metrics = {
	"WITH " INSTANCES_SQL
	" SELECT 'wawp_audit_notes_waiting', '{}'::jsonb, count(*)::float8 FROM (SELECT FROM wawp.audit_note n WHERE n.home = $1 LIMIT " ROWS_AT_MOST ") n"
	" UNION ALL SELECT m.name, " INSTANCE_LABEL_SQL ", m.value FROM (SELECT s.instance, count(e.instance) AS n, min(e.received_at) AS oldest"
	"  FROM s LEFT JOIN (SELECT e.instance, e.received_at FROM wawp.webhook_event e WHERE e.home = $1 AND e.applied_at IS NULL"
	"   ORDER BY e.next_at LIMIT " ROWS_AT_MOST ") e ON e.instance = s.instance::name GROUP BY 1) s,"
	" LATERAL (VALUES ('wawp_instance_events_waiting', s.n::float8), ('wawp_instance_oldest_event_seconds', " AGE_SQL("s.oldest") ")) m (name, value)",
	1, {UUIDOID}, NULL
};

static SqlStatement *const table_metrics[] = {&queue_metrics, &busy_metrics, &hold_metrics, &waiting_metrics};

/*
 * ---- rows
 */

/* Appends a row; labels: names and values in turns, ended by NULL. */
static void
metric_add(ReturnSetInfo *result, const char *name, double value, const char *const *labels)
{
	StringInfoData json;
	Datum		values[METRIC_COLUMNS];
	bool		nulls[METRIC_COLUMNS] = {false};

	initStringInfo(&json);
	for (int i = 0; labels && labels[i]; i += 2)
	{
		appendStringInfoString(&json, i == 0 ? "{" : ", ");
		escape_json(&json, labels[i]);
		appendStringInfoString(&json, ": ");
		escape_json(&json, labels[i + 1]);
	}
	appendStringInfoString(&json, json.len ? "}" : "{}");
	values[0] = CStringGetTextDatum(name);
	values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	values[2] = Float8GetDatum(value);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Appends a row about an instance, with one more label unless that is NULL. */
static void
metric_add_of(ReturnSetInfo *result, const char *name, double value, const char *instance, const char *label, const char *label_value)
{
	const char *labels[] = {"instance", instance, label, label_value, NULL};

	metric_add(result, name, value, labels);
}

/* Appends a time, as seconds since 1970; nothing for 0. */
static void
metric_add_time(ReturnSetInfo *result, const char *name, TimestampTz time)
{
	if (time != 0)
		metric_add(result, name, clock_unix_us(time) / 1e6, NULL);
}

static void
metric_add_table(ReturnSetInfo *result, SqlStatement *statement)
{
	SqlArgs		args = {0};
	uint64		n;

	if (statement->nargs > 0)
		home_bind(&args);
	n = spi_run(statement, &args);
	for (uint64 i = 0; i < n; i++)
	{
		bool		nulls[METRIC_COLUMNS];
		Datum		values[METRIC_COLUMNS];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/*
 * ---- what is in shared memory
 */

static void
metric_add_worker(ReturnSetInfo *result)
{
	WorkerStatus status;

	status_read(&status);
	metric_add(result, "wawp_worker_serving", status.state == WORKER_SERVING, NULL);
	metric_add(result, "wawp_worker_off", status.state == WORKER_OFF, NULL);
	metric_add(result, "wawp_worker_failing", status.state == WORKER_FAILING, NULL);
	metric_add(result, "wawp_worker_missing", status.state == WORKER_NONE, NULL);
	metric_add(result, "wawp_worker_copy", status.state == WORKER_COPY, NULL);
	metric_add(result, "wawp_worker_in_flight", status.in_flight, NULL);
	metric_add(result, "wawp_worker_in_flight_max", wawp_max_in_flight, NULL);
	metric_add(result, "wawp_worker_errors_in_a_row", status.errors_in_a_row, NULL);
	metric_add_time(result, "wawp_worker_start_timestamp_seconds", status.started_at);
	metric_add_time(result, "wawp_worker_last_cycle_timestamp_seconds", status.last_cycle_at);
	metric_add_time(result, "wawp_worker_last_error_timestamp_seconds", status.last_failed_at);
	for (int part = 0; part < WORKER_PARTS; part++)
	{
		const char *labels[] = {"part", status_part_name(part), NULL};

		metric_add(result, "wawp_worker_part_errors", status.part_errors[part], labels);
	}
}

/* Those of the whole cluster and of records that wait. */
static void
metric_add_server(ReturnSetInfo *result)
{
	int64		refusals;

	metric_add(result, "wawp_limiter_entries", limiter_entries(&refusals), NULL);
	metric_add(result, "wawp_limiter_entries_max", wawp_max_limiters, NULL);
	metric_add(result, "wawp_limiter_refusals_total", refusals, NULL);
	metric_add(result, "wawp_audit_session_records_waiting", mailbox_count_waiting(), NULL);
	metric_add(result, "wawp_counters_missed_total", counters_missed(), NULL);
}

/* Those of an instance's pace; without a limit they are infinite. */
static void
metric_add_pace(ReturnSetInfo *result, const char *name)
{
	WawpInstance *instance = instance_describe(name);
	LimiterKey	key = budget_key(instance, LIMIT_ADD);
	PaceRate	rate = pace_rate(instance->adds_per_minute, instance->adds_burst);
	int			today = limiter_spent_today(&key);
	bool		is_paced = rate.interval != 0;
	bool		is_capped = instance->adds_per_day > 0;

	metric_add_of(result, "wawp_instance_adds_minute_limit", is_paced ? instance->adds_per_minute : INFINITY, name, NULL, NULL);
	metric_add_of(result, "wawp_instance_adds_minute_left",
				  is_paced ? (double) limiter_within(&key, rate, USECS_PER_MINUTE) : INFINITY, name, NULL, NULL);
	metric_add_of(result, "wawp_instance_adds_day_limit", is_capped ? instance->adds_per_day : INFINITY, name, NULL, NULL);
	metric_add_of(result, "wawp_instance_adds_day_left",
				  is_capped ? Max(instance->adds_per_day - today, 0) : INFINITY, name, NULL, NULL);
	metric_add_of(result, "wawp_instance_adds_today", today, name, NULL, NULL);
}

static void
metric_add_durations(ReturnSetInfo *result, const char *name, const InstanceCounters *counters)
{
	int64		count = 0;

	for (int i = 0; i < DURATION_BUCKETS; i++)
	{
		double		limit = counters_bucket_limit(i);

		count += counters->durations[i];
		metric_add_of(result, "wawp_http_request_duration_seconds_bucket", count, name,
					  "le", isinf(limit) ? "+Inf" : psprintf("%g", limit));
	}
	metric_add_of(result, "wawp_http_request_duration_seconds_sum", counters->duration_ms / 1000.0, name, NULL, NULL);
	metric_add_of(result, "wawp_http_request_duration_seconds_count", count, name, NULL, NULL);
}

/* Those that are counted; outcomes that have not occurred are left out. */
static void
metric_add_counters(ReturnSetInfo *result, const char *name)
{
	InstanceCounters counters;

	counters_read(name, &counters);
	for (int i = 0; i < WAWP_OUTCOMES; i++)
		if (counters.outcomes[i] > 0)
			metric_add_of(result, "wawp_outcomes_total", counters.outcomes[i], name, "outcome", outcome_info(i)->name);
	for (int i = 0; i < ANSWER_CLASSES; i++)
		metric_add_of(result, "wawp_http_answers_total", counters.answers[i], name, "class", counters_class_name(i));
	metric_add_durations(result, name, &counters);
}

/* name, labels, value. */
Datum
wawp_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SqlOwner	before;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	before = spi_begin_as_owner();
	metric_add_worker(result);
	for (size_t i = 0; i < lengthof(table_metrics); i++)
		metric_add_table(result, table_metrics[i]);
	if (wawp_shared)
	{
		metric_add_server(result);
		foreach(lc, instance_names())
		{
			metric_add_counters(result, lfirst(lc));
			/* a standby's limiter does not know what the primary sends */
			if (!RecoveryInProgress() && instance_is_callable(lfirst(lc)))
				metric_add_pace(result, lfirst(lc));
		}
	}
	spi_end_as_owner(&before);
	return (Datum) 0;
}
