/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  Figures for monitoring roles, without people.
 *
 * The views show a role its own rows.  A member of pg_monitor has none, but is
 * to see counts, ages and states of all: the functions here give the views
 * those rows, read as the extension's owner, and give nothing to anybody else.
 * They leave out all that may name a person: jids, details, texts of users,
 * and the telephone number in a group id of the old form.  They read only, in
 * the caller's transaction.
 *
 * The worker's status is here for all roles; worker_status.c keeps people out of it.
 *
 * IDENTIFICATION
 *	  src/queue/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/spi_statement.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "queue/metrics.h"
#include "tables/hold.h"
#include "tables/home.h"
#include "tables/intent.h"
#include "tables/worker_status.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"

#define STATUS_COLUMNS 10

PG_FUNCTION_INFO_V1(wawp_is_monitor);
PG_FUNCTION_INFO_V1(wawp_worker_status);
PG_FUNCTION_INFO_V1(wawp_oldest_due);
PG_FUNCTION_INFO_V1(wawp_queue_figures);
PG_FUNCTION_INFO_V1(wawp_progress_figures);
PG_FUNCTION_INFO_V1(wawp_stuck_figures);
PG_FUNCTION_INFO_V1(wawp_funnel_figures);
PG_FUNCTION_INFO_V1(wawp_hold_figures);

/* A group id without the telephone number of its creator, which the old form begins with. */
#define GROUP_SQL(column) "regexp_replace(" column ", '^[0-9]+-', '***-')"
/* A hold's reason without the text that a user gave to wawp_pause(). */
#define REASON_SQL(column) "CASE WHEN " column " ^@ 'paused' THEN 'paused' ELSE " column " END"
/* The hold that an intent, or a lane, is under, the instance's before the group's. */
#define HOLD_SQL \
	" LEFT JOIN LATERAL (SELECT h.reason FROM wawp.hold h WHERE h.instance = i.instance" \
	"  AND (h.group_jid IS NULL OR h.group_jid = i.group_jid) AND (h.until IS NULL OR h.until > clock_timestamp())" \
	"  ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true"
#define IS_HOME "i.home OPERATOR(pg_catalog.=) $1"
/* Shown in the place of a hold where all rows of a lane are of another home; wawp.queue has it, too. */
#define NOT_TAKEN_OVER "not taken over"
/* Of an intent i: the account that its instance has now. */
#define ACCOUNT_SQL \
	" LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a" \
	" ON a.srvname = i.instance"
/* Likewise: the hold of its requester. */
#define REQUESTER_HOLD_SQL \
	" LEFT JOIN wawp.requester_hold r ON r.instance = i.instance AND r.requester = i.requester AND r.until > clock_timestamp()"
/* Its reason without an error's text, which may have names. */
#define REQUESTER_REASON_SQL "CASE WHEN r.reason ~ '^[a-z_]+$' THEN r.reason ELSE 'user mapping' END"
/* Shown likewise where all are of another account. */
#define ANOTHER_ACCOUNT "another account"
#define OTHER_ACCOUNT_SQL \
	"CASE WHEN a.account IS NULL THEN 'held: the instance does not exist any more'" \
	" ELSE 'held: asked for with another account than the instance has now' END"
/* Of an intent that is verified: it says what is wrong with the member list, in words of verify.c. */
#define IS_UNVERIFIED "i.state OPERATOR(pg_catalog.=) 'verifying' AND i.detail ^@ 'could not be verified:'"
#define STATE_IS(state) "i.state OPERATOR(pg_catalog.=) '" state "'"
#define OUTCOME_IS(outcome) "i.outcome OPERATOR(pg_catalog.=) '" outcome "'"

/*
 * True if the current role may see figures of all rows and no more: it has
 * pg_monitor's privileges, and does not see the rows themselves.
 */
bool
metrics_for_monitor(void)
{
	Oid			role = GetUserId();

	return has_privs_of_role(role, ROLE_PG_MONITOR) && !superuser_arg(role) &&
		!has_bypassrls_privilege(role) && !is_member_of_role(role, spi_extension_owner());
}

Datum
wawp_is_monitor(FunctionCallInfo fcinfo pg_attribute_unused())
{
	PG_RETURN_BOOL(metrics_for_monitor());
}

/* Raises unless a statement's columns have the types that the function declares; its rows are returned unchecked. */
static void
metrics_require_types(TupleDesc declared, TupleDesc got)
{
	bool		same = declared->natts == got->natts;

	for (int i = 0; same && i < got->natts; i++)
		same = TupleDescAttr(declared, i)->atttypid == TupleDescAttr(got, i)->atttypid;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the figures have other columns than their function declares"),
				 errhint("The extension's library and its SQL objects are of different versions; see ALTER EXTENSION wawp UPDATE.")));
}

/* Returns a statement's rows to a monitoring role, no rows to anybody else. */
static Datum
metrics_return(FunctionCallInfo fcinfo, SqlStatement *statement)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SqlArgs		args = {0};
	SqlOwner	before;
	uint64		n;

	InitMaterializedSRF(fcinfo, 0);
	if (!metrics_for_monitor())
		return (Datum) 0;
	before = spi_begin_as_owner();
	if (statement->nargs > 0)
		home_bind(&args);
	n = spi_run(statement, &args);
	metrics_require_types(result->setDesc, SPI_tuptable->tupdesc);
	for (uint64 i = 0; i < n; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	spi_end_as_owner(&before);
	return (Datum) 0;
}

/* Those of wawp.queue. */
static SqlStatement queue_figures = {
	"SELECT i.instance, " GROUP_SQL("i.group_jid") ", i.queued, i.due, i.next_at,"
	" CASE WHEN i.own = 0 THEN '" NOT_TAKEN_OVER "' WHEN i.served = 0 THEN '" ANOTHER_ACCOUNT "'"
	"  ELSE coalesce(" REASON_SQL("h.reason") ", CASE WHEN i.held = i.served THEN i.held_by END) END,"
	" clock_timestamp() + wawp._drain_time(i.instance, nullif(i.served, 0))"
	" FROM (SELECT i.instance, i.group_jid, count(*) AS queued, count(*) FILTER (WHERE i.is_ours) AS own,"
	"  count(*) FILTER (WHERE i.is_served) AS served,"
	"  count(*) FILTER (WHERE i.is_served AND i.held_until IS NOT NULL) AS held,"
	"  count(*) FILTER (WHERE i.is_served AND i.held_until IS NULL AND"
	"   coalesce(greatest(i.not_before, i.next_attempt_at), '-infinity') <= clock_timestamp()) AS due,"
	"  min(greatest(i.not_before, i.next_attempt_at, i.held_until)) FILTER (WHERE i.is_served) AS next_at,"
	"  min(i.held_by) FILTER (WHERE i.is_served) AS held_by"
	"  FROM (SELECT i.instance, i.group_jid, i.not_before, i.next_attempt_at, " IS_HOME " AS is_ours,"
	"   " IS_HOME " AND i.instance_id = a.account AS is_served,"
	"   r.until AS held_until, CASE WHEN r.until IS NOT NULL THEN " REQUESTER_REASON_SQL " END AS held_by"
	"   FROM wawp.membership_intent i" ACCOUNT_SQL REQUESTER_HOLD_SQL
	"   WHERE " STATE_IS("queued") " AND i.id > 0) i GROUP BY 1, 2) i" HOLD_SQL,
	1, {UUIDOID}, NULL
};

Datum
wawp_queue_figures(PG_FUNCTION_ARGS)
{
	return metrics_return(fcinfo, &queue_figures);
}

/* Names of batches are texts of users, so batches have numbers here. */
static SqlStatement progress_figures = {
	"SELECT 'batch ' || row_number() OVER (ORDER BY b.first), b.total, b.done, b.failed, b.cancelled,"
	" floor(100.0 * (b.done + b.failed + b.cancelled) / b.total)::int4, clock_timestamp() + wawp._drain_time(b.instance, b.queued)"
	" FROM (SELECT min(i.id) AS first, count(*) AS total, count(*) FILTER (WHERE " STATE_IS("done") ") AS done,"
	"  count(*) FILTER (WHERE " STATE_IS("failed") ") AS failed, count(*) FILTER (WHERE " STATE_IS("cancelled") ") AS cancelled,"
	"  CASE WHEN NOT bool_or((" IS_HOME " AND i.instance_id = a.account) IS NOT TRUE AND NOT (" STATE_IS("done") " OR " STATE_IS("failed") " OR " STATE_IS("cancelled") "))"
	"   THEN nullif(count(*) FILTER (WHERE " STATE_IS("queued") "), 0) END AS queued, min(i.instance::text)::name AS instance"
	"  FROM wawp.membership_intent i" ACCOUNT_SQL " WHERE i.batch_id IS NOT NULL GROUP BY i.batch_id) b",
	1, {UUIDOID}, NULL
};

Datum
wawp_progress_figures(PG_FUNCTION_ARGS)
{
	return metrics_return(fcinfo, &progress_figures);
}

/* id > 0 is always true and makes the lane's partial index usable. */
#define QUEUED_SQL STATE_IS("queued") " AND i.id > 0"
/* A lane's columns of the table i, which are the beginning of its index. */
#define LANE_SQL "i.home, i.instance, i.group_jid, i.instance_id"
/* Of an intent i: it is queued in the lane l. */
#define IN_LANE_SQL \
	QUEUED_SQL " AND i.home = l.home AND i.instance = l.instance AND i.group_jid = l.group_jid AND i.instance_id = l.instance_id"
/*
 * A statement's beginning: l, all lanes in which something is queued, one found
 * after the other, so that what is queued in them is not read.
 */
#define LANES_SQL \
	"WITH RECURSIVE a AS MATERIALIZED (SELECT s.srvname::text COLLATE \"C\" AS instance, wawp._account(s.srvname) AS account" \
	"  FROM pg_catalog.pg_foreign_server s)" \
	", l AS ((SELECT " LANE_SQL " FROM wawp.membership_intent i WHERE " QUEUED_SQL " AND i.home IS NOT NULL ORDER BY " LANE_SQL " LIMIT 1)" \
	"  UNION ALL SELECT n.* FROM l, LATERAL (SELECT " LANE_SQL " FROM wawp.membership_intent i WHERE " QUEUED_SQL \
	"   AND (" LANE_SQL ") > (l.home, l.instance, l.group_jid, l.instance_id) ORDER BY " LANE_SQL " LIMIT 1) n)"

/* The conditions are those of the view wawp.stuck, and as there lanes are found one after the other. */
static SqlStatement stuck_figures = {
	LANES_SQL
	", b AS MATERIALIZED (SELECT i.id, i.instance, i.group_jid, i.state, i.outcome, i.detail, i.updated_at, i.instance_id,"
	"  (" IS_HOME ") IS TRUE AS is_ours FROM wawp.membership_intent i"
	"  WHERE i.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval'))"
	" SELECT i.id, i.instance, " GROUP_SQL("i.group_jid") ", NULL::text, i.state, i.outcome, i.updated_at,"
	" CASE WHEN i.instance_id IS DISTINCT FROM a.account AND i.state OPERATOR(pg_catalog.<>) 'failed'"
	"  THEN " OTHER_ACCOUNT_SQL " ELSE i.outcome::text END"
	" FROM wawp.membership_intent i LEFT JOIN a ON a.instance = i.instance"
	" WHERE (" STATE_IS("failed") " AND (" OUTCOME_IS("unknown_result") " OR i.origin OPERATOR(pg_catalog.=) 'until') OR " STATE_IS("queued") " AND (i.attempts > 0 OR i.crashes > 0))"
	"  AND (" STATE_IS("failed") " OR " IS_HOME ")"
	" UNION ALL SELECT i.id, i.instance, " GROUP_SQL("i.group_jid") ", NULL, i.state, i.outcome, i.updated_at,"
	" CASE WHEN i.instance_id IS DISTINCT FROM a.account"
	"  THEN " OTHER_ACCOUNT_SQL " WHEN " IS_UNVERIFIED " THEN i.detail ELSE i.outcome::text END"
	" FROM b i LEFT JOIN a ON a.instance = i.instance"
	" WHERE i.is_ours AND (" STATE_IS("inviting") " AND i.updated_at < clock_timestamp() - interval '1 hour'"
	"  OR " STATE_IS("verifying") " AND (" OUTCOME_IS("unknown_result") " OR " IS_UNVERIFIED
	"   OR i.updated_at < clock_timestamp() - interval '5 minutes')"
	"  OR " STATE_IS("sending") " AND i.updated_at < clock_timestamp() - interval '5 minutes'"
	"  OR i.state::text IN " STATES_WAITING " AND i.instance_id IS DISTINCT FROM a.account)"
	" UNION ALL SELECT min(i.id), i.instance, " GROUP_SQL("i.group_jid") ", NULL, i.state, NULL, min(i.updated_at),"
	"  'restored or replicated and not served until wawp_take_over(); ' || sum(i.number) || ' ' || i.state"
	" FROM (SELECT q.id, l.instance, l.group_jid, 'queued'::wawp.state AS state, q.updated_at, q.number"
	"  FROM l, LATERAL (SELECT min(i.id) AS id, min(i.updated_at) AS updated_at, count(*) AS number"
	"   FROM wawp.membership_intent i WHERE " IN_LANE_SQL ") q WHERE l.home IS DISTINCT FROM $1"
	"  UNION ALL SELECT i.id, i.instance, i.group_jid, i.state, i.updated_at, 1"
	"  FROM wawp.membership_intent i WHERE " QUEUED_SQL " AND i.home IS NULL"
	"  UNION ALL SELECT i.id, i.instance, i.group_jid, i.state, i.updated_at, 1 FROM b i WHERE NOT i.is_ours) i"
	" GROUP BY i.instance, i.group_jid, i.state"
	" UNION ALL SELECT q.id, l.instance, " GROUP_SQL("l.group_jid") ", NULL, 'queued', NULL, q.since,"
	" " OTHER_ACCOUNT_SQL " || '; ' || q.queued || ' queued'"
	" FROM l LEFT JOIN a ON a.instance = l.instance,"
	" LATERAL (SELECT min(i.id) AS id, min(i.updated_at) AS since, count(*) AS queued"
	"  FROM wawp.membership_intent i WHERE " IN_LANE_SQL " AND i.attempts = 0 AND i.crashes = 0) q"
	" WHERE l.home = $1 AND l.instance_id IS DISTINCT FROM a.account AND q.queued > 0"
	" UNION ALL SELECT i.id, i.instance, " GROUP_SQL("i.group_jid") ", NULL, 'queued', NULL,"
	" (SELECT f.updated_at FROM wawp.membership_intent f WHERE f.id = i.id), 'held: ' || " REASON_SQL("h.reason") " || '; ' || i.queued || ' queued'"
	" FROM (SELECT q.* FROM wawp.hold h JOIN a ON a.instance = h.instance,"
	"   LATERAL (SELECT a.instance, i.group_jid, min(i.id) AS id, count(*) AS queued FROM wawp.membership_intent i"
	"   WHERE " QUEUED_SQL " AND " IS_HOME " AND i.instance = a.instance AND i.instance_id = a.account GROUP BY i.group_jid) q"
	"  WHERE h.group_jid IS NULL AND (h.until IS NULL OR h.until > clock_timestamp())"
	"  UNION ALL SELECT a.instance, h.group_jid, q.id, q.queued FROM wawp.hold h JOIN a ON a.instance = h.instance,"
	"   LATERAL (SELECT min(i.id) AS id, count(*) AS queued FROM wawp.membership_intent i"
	"   WHERE " QUEUED_SQL " AND " IS_HOME " AND i.instance = a.instance AND i.group_jid = h.group_jid AND i.instance_id = a.account) q"
	"  WHERE h.group_jid IS NOT NULL AND q.queued > 0 AND NOT EXISTS (SELECT FROM wawp.hold o WHERE o.instance = h.instance AND o.group_jid IS NULL"
	"   AND (o.until IS NULL OR o.until > clock_timestamp()))) i" HOLD_SQL
	" WHERE h.reason IS NOT NULL"
	" UNION ALL SELECT i.id, i.instance, " GROUP_SQL("i.group_jid") ", NULL, 'inviting', 'account_restricted', i.since,"
	" 'invitations are held until ' || h.until::timestamptz(0) || ', additions go on: ' || h.reason || '; ' || i.waiting || ' to be invited'"
	" FROM (SELECT i.instance, i.group_jid, min(i.id) AS id, min(i.updated_at) AS since, count(*) AS waiting"
	"  FROM b i WHERE " STATE_IS("inviting") " AND i.is_ours GROUP BY 1, 2) i"
	" JOIN wawp.hold h ON h.instance = i.instance AND h.group_jid = '" HOLD_MESSAGES "' AND h.until > clock_timestamp()"
	" UNION ALL SELECT q.id, l.instance, " GROUP_SQL("l.group_jid") ", NULL, 'queued', NULL, q.since,"
	" 'held: a role: ' || " REQUESTER_REASON_SQL " || '; ' || q.queued || ' queued'"
	" FROM wawp.requester_hold r JOIN a ON a.instance = r.instance JOIN l ON l.home = $1 AND l.instance = a.instance AND l.instance_id = a.account,"
	" LATERAL (SELECT min(i.id) AS id, min(i.updated_at) AS since, count(*) AS queued"
	"  FROM wawp.membership_intent i WHERE " IN_LANE_SQL " AND i.requester = r.requester) q"
	" WHERE r.until > clock_timestamp() AND q.queued > 0",
	1, {UUIDOID}, NULL
};

Datum
wawp_stuck_figures(PG_FUNCTION_ARGS)
{
	return metrics_return(fcinfo, &stuck_figures);
}

#define FUNNEL_SUM(condition) " coalesce(sum(i.n) FILTER (WHERE " condition "), 0)::bigint,"

/* Read once, whatever the number of groups. */
static SqlStatement funnel_figures = {
	"SELECT i.instance, " GROUP_SQL("i.group_jid") ", NULL::text, sum(i.n)::bigint,"
	FUNNEL_SUM(STATE_IS("done") " AND (" OUTCOME_IS("added") " OR " OUTCOME_IS("accepted") ")")
	FUNNEL_SUM(OUTCOME_IS("already_member"))
	FUNNEL_SUM(OUTCOME_IS("invited") " OR " OUTCOME_IS("joined_by_invite"))
	FUNNEL_SUM(OUTCOME_IS("joined_by_invite"))
	FUNNEL_SUM("NOT (" STATE_IS("done") " OR " STATE_IS("failed") " OR " STATE_IS("cancelled") ")")
	" jsonb_object_agg(coalesce(i.outcome::text, 'unknown'), i.n) FILTER (WHERE " STATE_IS("failed") ")"
	" FROM (SELECT x.instance, x.group_jid, x.state, x.outcome, count(*) AS n"
	"  FROM wawp.membership_intent x WHERE x.action::text IN ('add', 'invite') GROUP BY x.instance, x.group_jid, x.state, x.outcome) i"
	" GROUP BY i.instance, i.group_jid",
	0, {0}, NULL
};

Datum
wawp_funnel_figures(PG_FUNCTION_ARGS)
{
	return metrics_return(fcinfo, &funnel_figures);
}

static SqlStatement hold_figures = {
	"SELECT h.instance, min(" REASON_SQL("h.reason") ") FILTER (WHERE h.group_jid IS NULL"
	"  AND (h.until IS NULL OR h.until > clock_timestamp())),"
	" (array_agg(" REASON_SQL("h.reason") " ORDER BY h.since DESC))[1] FROM wawp.hold h GROUP BY h.instance",
	0, {0}, NULL
};

Datum
wawp_hold_figures(PG_FUNCTION_ARGS)
{
	return metrics_return(fcinfo, &hold_figures);
}

/* Of an intent i: it is planned for a time that has not come, in its place in the lane's index. */
#define IS_PLANNED_SQL "coalesce(i.not_before > i.updated_at, false)"
#define DUE_AT_SQL "greatest(i.created_at, i.not_before, i.next_attempt_at)"
#define IS_UNHELD_SQL \
	"NOT EXISTS (SELECT FROM wawp.requester_hold r WHERE r.instance = i.instance AND r.requester = i.requester AND r.until > clock_timestamp())"
/* Those of one priority in a lane, in the order of their ids. */
#define IN_LINE_SQL \
	QUEUED_SQL " AND " IS_HOME " AND i.instance = l.instance AND i.group_jid = l.group_jid AND i.instance_id = l.instance_id" \
	" AND NOT " IS_PLANNED_SQL
#define LINE_SQL "SELECT i.instance, i.group_jid, i.instance_id, i.priority FROM wawp.membership_intent i WHERE " QUEUED_SQL " AND " IS_HOME
#define LINE_ORDER_SQL " ORDER BY i.instance, i.group_jid, i.instance_id, " IS_PLANNED_SQL ", i.priority DESC LIMIT 1"

/*
 * As in the view wawp.worker_status: the first that is due of each lane,
 * account and priority, and the first without a time of its own, which may have
 * been due before one that was tried; then what was planned.
 */
static SqlStatement oldest_due = {
	"WITH RECURSIVE l AS ((" LINE_SQL LINE_ORDER_SQL ")"
	" UNION ALL SELECT n.* FROM l, LATERAL ((SELECT i.instance, i.group_jid, i.instance_id, i.priority FROM wawp.membership_intent i"
	"   WHERE " IN_LINE_SQL " AND i.priority < l.priority ORDER BY i.priority DESC LIMIT 1)"
	"  UNION ALL (" LINE_SQL " AND (i.instance, i.group_jid, i.instance_id) > (l.instance, l.group_jid, l.instance_id)" LINE_ORDER_SQL ")"
	"  LIMIT 1) n)"
	" SELECT min(d.due_at) FROM (SELECT least(f.due_at, p.due_at) AS due_at FROM l"
	"  JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a"
	"   ON a.srvname = l.instance AND a.account = l.instance_id,"
	"  LATERAL (SELECT " DUE_AT_SQL " AS due_at, i.not_before IS NULL AND i.next_attempt_at IS NULL AS is_plain FROM wawp.membership_intent i"
	"   WHERE " IN_LINE_SQL " AND i.priority = l.priority AND " DUE_AT_SQL " <= clock_timestamp() AND " IS_UNHELD_SQL " ORDER BY i.id LIMIT 1) f"
	"  LEFT JOIN LATERAL (SELECT i.created_at AS due_at FROM wawp.membership_intent i"
	"   WHERE NOT f.is_plain AND " IN_LINE_SQL " AND i.priority = l.priority AND i.not_before IS NULL AND i.next_attempt_at IS NULL"
	"   AND i.created_at <= clock_timestamp() AND " IS_UNHELD_SQL " ORDER BY i.id LIMIT 1) p ON true"
	"  UNION ALL SELECT " DUE_AT_SQL " FROM wawp.membership_intent i" ACCOUNT_SQL
	"  WHERE " STATE_IS("queued") " AND i.not_before > i.updated_at AND " IS_HOME " AND i.not_before <= statement_timestamp()"
	"  AND i.instance_id = a.account AND " IS_UNHELD_SQL ") d"
	" WHERE d.due_at <= clock_timestamp()",
	1, {UUIDOID}, NULL
};

/* Returns since when the oldest of all due intents has been due; NULL for a role that does not monitor. */
Datum
wawp_oldest_due(PG_FUNCTION_ARGS)
{
	SqlArgs		args = {0};
	SqlOwner	before;
	TimestampTz oldest;

	if (!metrics_for_monitor())
		PG_RETURN_NULL();
	before = spi_begin_as_owner();
	home_bind(&args);
	spi_run(&oldest_due, &args);
	oldest = spi_get_time(0, 1);
	spi_end_as_owner(&before);
	if (oldest == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(oldest);
}

/* Sets a text column, null for NULL. */
static void
status_set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = (text == NULL);
	if (text)
		values[column] = CStringGetTextDatum(text);
}

static void
status_set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	nulls[column] = (time == 0);
	values[column] = TimestampTzGetDatum(time);
}

/* pid, started_at, last_cycle_at, in_flight, errors_in_a_row, sqlstate, last_error, state, since, why. */
Datum
wawp_worker_status(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	WorkerStatus status;
	Datum		values[STATUS_COLUMNS];
	bool		nulls[STATUS_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	status_read(&status);
	nulls[0] = status.pid == 0;
	values[0] = Int32GetDatum(status.pid);
	status_set_time(values, nulls, 1, status.started_at);
	status_set_time(values, nulls, 2, status.last_cycle_at);
	values[3] = Int32GetDatum(status.in_flight);
	values[4] = Int32GetDatum(status.errors_in_a_row);
	status_set_text(values, nulls, 5, status.sqlstate ? unpack_sql_state(status.sqlstate) : NULL);
	status_set_text(values, nulls, 6, status.last_error);
	status_set_text(values, nulls, 7, status_state_name(status.state));
	status_set_time(values, nulls, 8, status.since);
	status_set_text(values, nulls, 9, status.why);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
