/*-------------------------------------------------------------------------
 *
 * monitor.c
 *	  The SQL functions that watch the queue.
 *
 * They read what the calling role may see (row-level security applies), each
 * time in a snapshot of its own, and take no locks.  wawp_drain() gives the
 * worker a permit in shared memory, which ends with the call however it ends.
 *
 * IDENTIFICATION
 *	  src/queue/monitor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/requester.h"
#include "base/subtransaction.h"
#include "throttle/budget.h"
#include "catalog/pg_type.h"
#include "base/clock.h"
#include "executor/spi.h"
#include "queue/metrics.h"
#include "fmgr.h"
#include "funcapi.h"
#include "client/instance.h"
#include "throttle/limiter.h"
#include "miscadmin.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/home.h"
#include "tables/intent.h"
#include "base/shmem.h"
#include "storage/ipc.h"
#include "base/spi_statement.h"
#include "tables/worker_status.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"

/* Intervals of polling: long enough to cost nothing, and too short to be noticed. */
#define WAIT_POLL_MS 100
#define DRAIN_POLL_MS 20

PG_FUNCTION_INFO_V1(wawp_wait);
PG_FUNCTION_INFO_V1(wawp_explain);
PG_FUNCTION_INFO_V1(wawp_drain);
PG_FUNCTION_INFO_V1(wawp_budget);
PG_FUNCTION_INFO_V1(wawp_worker_pid);
PG_FUNCTION_INFO_V1(wawp_is_own);
PG_FUNCTION_INFO_V1(wawp_may_use);
PG_FUNCTION_INFO_V1(wawp_account);
PG_FUNCTION_INFO_V1(wawp_account_problem);
PG_FUNCTION_INFO_V1(wawp_drain_time);

/* An eta beyond a century is shown as NULL. */
#define MAX_DRAIN_SECONDS (100 * 366 * 86400.0)

/*
 * ---- waiting for a batch
 */

static SqlStatement count_batch_states = {
	"SELECT count(*) FILTER (WHERE state NOT IN ('done', 'failed', 'cancelled')),"
	" count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'failed'),"
	" count(*) FILTER (WHERE state = 'cancelled')"
	" FROM wawp.membership_intent WHERE batch_id = $1",
	1, {TEXTOID}, NULL
};

/* The result of batch_count(). */
typedef struct BatchCounts
{
	const char *batch;
	int64		counts[4];		/* pending, done, failed, cancelled */
} BatchCounts;

/* Read the counts, for subtransaction_try(). */
static bool
batch_read_counts(void *subject)
{
	BatchCounts *read = subject;
	SqlOwner	before = spi_begin_as_caller();
	SqlArgs		args = {0};

	spi_add_text(&args, read->batch);
	/* a serializable transaction's own snapshot would never change */
	spi_run_seeing(&count_batch_states, &args, GetLatestSnapshot());
	for (int i = 0; i < 4; i++)
		read->counts[i] = spi_get_int8(0, i + 1, 0);
	spi_end_as_caller(&before);
	return false;
}

/*
 * Writes the numbers of pending, done, failed and cancelled intents of a batch to
 * counts.  The subtransaction is rolled back, so that no lock on the queue
 * remains: somebody who wants to lock the table would wait for it, and the worker
 * for them.
 */
static void
batch_count(const char *batch, int64 counts[4])
{
	BatchCounts read = {.batch = batch};

	subtransaction_run(batch_read_counts, &read);
	memcpy(counts, read.counts, sizeof(read.counts));
}

static SqlStatement pending_by_transaction = {
	"SELECT xmin, count(*) FROM wawp.membership_intent"
	" WHERE batch_id = $1 AND state NOT IN ('done', 'failed', 'cancelled') GROUP BY xmin",
	1, {TEXTOID}, NULL
};

/* Counts the pending rows of a batch that this transaction wrote, subtransactions included; others cannot see them. */
static int64
batch_count_own_pending(const char *batch)
{
	SqlOwner	before;
	SqlArgs		args = {0};
	int64		own = 0;
	uint64		n;

	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return 0;
	before = spi_begin_as_caller();
	spi_add_text(&args, batch);
	n = spi_run_seeing(&pending_by_transaction, &args, GetLatestSnapshot());
	for (uint64 i = 0; i < n; i++)
		if (TransactionIdIsCurrentTransactionId(spi_get_xid(i, 1)))
			own += spi_get_int8(i, 2, 0);
	spi_end_as_caller(&before);
	return own;
}

/* Raises if all that is pending was requested in this transaction: the wait would never end. */
static void
batch_refuse_own(const char *batch, int64 pending)
{
	if (batch_count_own_pending(batch) >= pending)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("batch \"%s\" cannot be waited for in the transaction that requested it", batch),
				 errdetail_plural("Its " INT64_FORMAT " pending intent was requested in this transaction and is not served before that commits.",
								  "All " INT64_FORMAT " pending intents were requested in this transaction, and none is served before it commits.",
								  (unsigned long) pending, pending),
				 errhint("Commit first, then call wawp_wait().")));
}

static int64
interval_ms(const Interval *interval)
{
	return interval->time / 1000 +
		(interval->day + interval->month * INT64CONST(30)) * 24 * 3600 * 1000;
}

/* (batch_id text, timeout interval): pending, done, failed, cancelled. */
Datum
wawp_wait(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	int64		deadline = PG_INT64_MAX;
	const char *batch;
	int64		counts[4];
	Datum		values[4];
	bool		nulls[4] = {false};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "batch_id")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!PG_ARGISNULL(1))
		deadline = clock_monotonic_ms() + interval_ms(PG_GETARG_INTERVAL_P(1));
	batch = text_to_cstring(PG_GETARG_TEXT_PP(0));
	for (;;)
	{
		batch_count(batch, counts);
		if (counts[0] == 0 || clock_monotonic_ms() >= deadline)
			break;
		batch_refuse_own(batch, counts[0]);
		clock_wait_until(Min(deadline, clock_monotonic_ms() + WAIT_POLL_MS));
	}
	for (int i = 0; i < 4; i++)
		values[i] = Int64GetDatum(counts[i]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * ---- explaining one intent
 */

typedef struct Explained
{
	const char *state;
	const char *instance;
	const char *group;
	const char *outcome;
	const char *detail;
	TimestampTz not_before;
	TimestampTz next_attempt_at;
	TimestampTz until;			/* when the membership is to end; 0 if it lasts */
	TimestampTz held_until;
	const char *held_by;
	bool		is_lane_held;
	bool		held_is_messages;	/* invitations only */
	TimestampTz requester_until;
	const char *requester_held_by;
	const char *after_state;
	int64		after;
	int64		ahead;
	int64		id;
	const char *action;
	bool		is_foreign;
	const char *asked_with;		/* the instance's Wawp id then */
} Explained;

/* Returns why what was asked for with an account is not served by the instance; NULL if that is its account. */
static const char *
account_problem(const char *instance, const char *asked_with)
{
	const char *account = instance_id_of(instance);

	if (account == NULL)
		return psprintf("held: Wawp instance \"%s\" does not exist any more, it was asked for with account %s:"
						" create the instance again, or wawp_cancel() it", instance, asked_with);
	if (strcmp(account, asked_with) == 0)
		return NULL;
	return psprintf("held: it was asked for with account %s, the account of Wawp instance \"%s\" is %s now:"
					" wawp_cancel() it and request it again, or set instance_id back", asked_with, instance, account);
}

static SqlStatement find_explained = {
	"SELECT i.state::text, i.instance::text, i.outcome::text, i.detail, i.not_before, i.next_attempt_at,"
	" h.until, h.reason, h.group_jid IS NOT NULL, p.state::text, i.after,"
	/* id > 0 is always true and makes the lane's partial index usable */
	" (SELECT count(*) FROM wawp.membership_intent a WHERE a.state = 'queued' AND a.id > 0 AND a.home = i.home AND a.instance = i.instance"
	"  AND a.group_jid = i.group_jid AND a.instance_id = i.instance_id AND (a.priority > i.priority OR a.priority = i.priority AND a.id < i.id)),"
	" i.id, i.action::text, i.group_jid, i.home IS DISTINCT FROM $2, r.until, r.reason, i.instance_id,"
	" coalesce(h.group_jid = '" HOLD_MESSAGES "', false), i.until"
	" FROM wawp.membership_intent i"
	" LEFT JOIN wawp.membership_intent p ON p.id = i.after"
	" LEFT JOIN LATERAL (SELECT * FROM wawp.hold h WHERE h.instance = i.instance"
	"  AND (h.group_jid IS NULL OR h.group_jid = i.group_jid"
	"   OR i.state OPERATOR(pg_catalog.=) 'inviting' AND h.group_jid = '" HOLD_MESSAGES "')"
	"  AND (h.until IS NULL OR h.until > clock_timestamp())"
	/* a full group holds what adds people */
	"  AND (i.action OPERATOR(pg_catalog.=) 'add' OR i.action OPERATOR(pg_catalog.=) 'invite' OR h.reason OPERATOR(pg_catalog.<>) 'group_full' OR h.group_jid IS NULL OR h.until IS NULL)"
	"  ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true"
	" LEFT JOIN wawp.requester_hold r ON r.instance = i.instance AND r.requester = i.requester AND r.until > clock_timestamp()"
	" WHERE i.id = $1",
	2, {INT8OID, UUIDOID}, NULL
};

/* Reads an intent into *e, whose texts live until the next statement; false if the role sees none of that id. */
static bool
explained_read(int64 id, Explained *e)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	home_bind(&args);
	if (spi_run(&find_explained, &args) == 0)
		return false;
	e->state = spi_get_text(0, 1);
	e->instance = spi_get_text(0, 2);
	e->outcome = spi_get_text(0, 3);
	e->detail = spi_get_text(0, 4);
	e->not_before = spi_get_time(0, 5);
	e->next_attempt_at = spi_get_time(0, 6);
	e->held_until = spi_get_time(0, 7);
	e->held_by = spi_get_text(0, 8);
	e->is_lane_held = spi_get_bool(0, 9);
	e->after_state = spi_get_text(0, 10);
	e->after = spi_get_int8(0, 11, 0);
	e->ahead = spi_get_int8(0, 12, 0);
	e->id = spi_get_int8(0, 13, 0);
	e->action = spi_get_text(0, 14);
	e->group = spi_get_text(0, 15);
	e->is_foreign = spi_get_bool(0, 16);
	e->requester_until = spi_get_time(0, 17);
	e->requester_held_by = spi_get_text(0, 18);
	e->asked_with = spi_get_text(0, 19);
	e->held_is_messages = spi_get_bool(0, 20);
	e->until = spi_get_time(0, 21);
	return true;
}

/* True if it waits for another intent of the same person; read as the owner, since that may be another role's. */
static bool
explained_person_is_busy(const Explained *e)
{
	SqlOwner	before = spi_begin_as_owner();
	bool		is_busy = intent_person_is_busy(e->id);

	spi_end_as_owner(&before);
	return is_busy;
}

/* Returns a group's own pace, -1 if it has none; read as the owner, since the caller may not read the settings. */
static double
group_adds_per_minute(const Explained *e)
{
	LaneKey		lane = lane_key(e->instance, e->group);
	SqlOwner	before = spi_begin_as_owner();
	double		adds = settings_get(&lane).adds_per_minute;

	spi_end_as_owner(&before);
	return adds;
}

/* Returns for how many microseconds a pace delays an add that is behind so many others. */
static int64
pace_wait(LimiterKey key, double per_minute, int64 ahead)
{
	PaceRate	rate = pace_rate(per_minute, 0);

	return Max(limiter_next_at(&key, rate) - clock_monotonic_us(), 0) + ahead * rate.interval;
}

/* Says when the paces of the instance and the group allow an add. */
static const char *
explain_pace(const Explained *e)
{
	WawpInstance *instance = instance_describe(e->instance);
	LimiterKey	key = budget_key(instance, LIMIT_ADD);
	int64		wait = pace_wait(key, instance->adds_per_minute, e->ahead);
	double		in_group = group_adds_per_minute(e);
	int64		group_wait = in_group > 0 ? pace_wait(budget_group_key(instance, e->group), in_group, e->ahead) : 0;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz quiet = instance_quiet_until(instance, now);

	if (instance->adds_per_day > 0 && limiter_spent_today(&key) >= instance->adds_per_day)
		return psprintf("queued: the instance's %d adds of the day (adds_per_day) are used up, it goes on at %s",
						instance->adds_per_day, clock_text(now + USECS_PER_DAY - now % USECS_PER_DAY));
	if (quiet != 0)
		return psprintf("queued: the instance's quiet hours end at %s", clock_text(quiet));
	return psprintf("queued: " INT64_FORMAT " ahead in this group, the %s's pace lets it leave about %s",
					e->ahead, group_wait > wait ? "group" : "instance", clock_text(now + Max(wait, group_wait)));
}

static const char *
explain_queued(const Explained *e)
{
	TimestampTz now = GetCurrentTimestamp();

	if (strcmp(e->action, "add") == 0 && e->until != 0 && e->until <= now)
		return psprintf("queued: nobody is added, the membership was to end at %s; it is cancelled when its turn comes",
						clock_text(e->until));
	if (e->held_by && e->held_until == 0)
		return psprintf("queued: the %s is held (%s) until wawp_resume()",
						e->is_lane_held ? "group" : "instance", e->held_by);
	if (e->held_by)
		return psprintf("queued: the %s is held (%s), it is tried again at %s",
						e->is_lane_held ? "group" : "instance", e->held_by, clock_text(e->held_until));
	if (e->requester_held_by)
		return psprintf("queued: the access token of the requester's own user mapping is held (%s), it is tried again at %s"
						" or when the mapping changes", e->requester_held_by, clock_text(e->requester_until));
	if (e->not_before > now)
		return psprintf("queued: not_before says %s", clock_text(e->not_before));
	if (e->next_attempt_at > now)
		return psprintf("queued: the last attempt ended in %s, the next is at %s",
						e->outcome ? e->outcome : e->detail ? e->detail : "an unknown way", clock_text(e->next_attempt_at));
	if (e->after != 0 && (e->after_state == NULL || strcmp(e->after_state, "done") != 0))
		return psprintf("queued: it waits for intent " INT64_FORMAT ", which is %s",
						e->after, e->after_state ? e->after_state : "not there");
	if (explained_person_is_busy(e))
		return "queued: the same person has another intent under way in this group";
	if (!instance_is_callable(e->instance))
		return psprintf("queued: the host of Wawp instance \"%s\" is not in wawp.allowed_hosts", e->instance);
	if (strcmp(e->action, "add") == 0)
		return explain_pace(e);
	return psprintf("queued: " INT64_FORMAT " ahead in this group", e->ahead);
}

/* Says when the invitation is sent; quiet hours apply to messages, too. */
static const char *
explain_inviting(const Explained *e)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz quiet = instance_is_callable(e->instance)
		? instance_quiet_until(instance_describe(e->instance), now) : 0;

	const char *held = e->held_is_messages ? "; invitations are held, additions go on: " : "; held: ";

	return psprintf("inviting: %s, the invite link is sent about %s%s%s",
					e->outcome ? e->outcome : "asked for",
					clock_text(Max(Max(e->next_attempt_at, quiet), Max(e->held_until, now))),
					e->held_by ? held : quiet != 0 ? "; quiet hours" : "", e->held_by ? e->held_by : "");
}

/* Says why the worker serves nothing in that state; NULL if it does. */
static const char *
explain_worker(const Explained *e)
{
	WorkerStatus status;

	status_read(&status);
	switch (status.state)
	{
		case WORKER_NONE:
		case WORKER_COPY:
			return status.why;
		case WORKER_FAILING:
			return status.part == PART_CYCLE ? status.why : NULL;
		case WORKER_OFF:
			return strcmp(e->state, "queued") == 0 ? status.why : NULL;
		case WORKER_SERVING:
			break;
	}
	return NULL;
}

static bool
is_explained_settled(const Explained *e)
{
	return strcmp(e->state, "done") == 0 || strcmp(e->state, "failed") == 0 || strcmp(e->state, "cancelled") == 0;
}

static const char *
explain_state(const Explained *e)
{
	const char *trouble = is_explained_settled(e) ? NULL : explain_worker(e);

	if (trouble == NULL && !e->is_foreign && !is_explained_settled(e) && strcmp(e->state, "sending") != 0)
		trouble = account_problem(e->instance, e->asked_with);
	if (trouble)
		return psprintf("%s: %s", e->state, trouble);
	if (e->is_foreign && !is_explained_settled(e))
		return psprintf("%s: it was restored or replicated, not requested in this database, and is not served;"
						" the extension's owner can adopt it with wawp_take_over(%s)",
						e->state, quote_literal_cstr(e->instance));
	if (strcmp(e->state, "queued") == 0)
		return explain_queued(e);
	if (strcmp(e->state, "sending") == 0)
		return "sending: its request is on the way, the answer decides";
	if (strcmp(e->state, "verifying") == 0)
		return psprintf("verifying: the API said %s, the member list is looked at about %s%s%s",
						e->outcome ? e->outcome : "nothing yet", clock_text(e->next_attempt_at),
						e->detail ? "; " : "", e->detail ? e->detail : "");
	if (strcmp(e->state, "inviting") == 0)
		return explain_inviting(e);
	if (strcmp(e->state, "invited") == 0)
		return psprintf("invited: the link was sent, whether the person has joined is looked at about %s",
						clock_text(e->next_attempt_at));
	if (strcmp(e->state, "pending_approval") == 0)
		return psprintf("pending_approval: an admin of the group has to approve, looked at about %s%s%s",
						clock_text(e->next_attempt_at), e->detail ? "; " : "", e->detail ? e->detail : "");
	return psprintf("%s%s%s%s%s", e->state, e->outcome ? ": " : "", e->outcome ? e->outcome : "",
					e->detail == NULL ? "" : e->outcome ? ", " : ": ", e->detail ? e->detail : "");
}

/* (id bigint): NULL when there is no such intent that the role may see. */
Datum
wawp_explain(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Explained	e = {0};
	text	   *result = NULL;
	SqlOwner	before = spi_begin_as_caller();

	if (explained_read(PG_GETARG_INT64(0), &e))
	{
		const char *sentence = explain_state(&e);

		MemoryContextSwitchTo(caller);
		result = cstring_to_text(sentence);
	}
	spi_end_as_caller(&before);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/*
 * ---- draining by hand
 */

/* Ends the permit; called at exit, too, if the session is ended while it waits. */
static void
drain_take_back_permit(int code pg_attribute_unused(), Datum number)
{
	shmem_end_permit(MyDatabaseId, DatumGetInt64(number));
}

/*
 * Procedure (max_requests int, max_time interval): lets the worker serve the
 * queue although wawp.worker is off, and waits until it has.
 */
Datum
wawp_drain(PG_FUNCTION_ARGS)
{
	int64		requests = PG_ARGISNULL(0) ? PG_INT64_MAX : PG_GETARG_INT32(0);
	int64		until = PG_INT64_MAX;
	int64		number;

	if (wawp_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("wawp_drain() needs wawp to be preloaded"),
				 errhint("Add wawp to shared_preload_libraries and restart the server.")));
	PreventCommandDuringRecovery("wawp_drain()");
	requester_require_read_write(fcinfo);
	if (!is_member_of_role(GetUserId(), spi_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to drain the queue"),
				 errhint("Members of the extension's owner may.")));
	if (!PG_ARGISNULL(1))
		until = clock_monotonic_ms() + interval_ms(PG_GETARG_INTERVAL_P(1));
	while ((number = shmem_give_permit(MyDatabaseId, requests, until)) == 0)
		clock_wait_until(clock_monotonic_ms() + WAIT_POLL_MS);
	PG_ENSURE_ERROR_CLEANUP(drain_take_back_permit, Int64GetDatum(number));
	{
		while (shmem_has_permit(MyDatabaseId, number))
			clock_wait_until(clock_monotonic_ms() + DRAIN_POLL_MS);
	}
	PG_END_ENSURE_ERROR_CLEANUP(drain_take_back_permit, Int64GetDatum(number));
	PG_RETURN_VOID();
}

/*
 * ---- for views and policies
 */

/* (requester oid): true if the current role is a member of the requester. */
Datum
wawp_is_own(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_member_of_role(GetUserId(), PG_GETARG_OID(0)));
}

/* (instance name): true if the current role has USAGE on it. */
Datum
wawp_may_use(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(instance_is_usable(NameStr(*PG_GETARG_NAME(0))));
}

/* (instance name): its Wawp id, NULL if there is no such instance. */
Datum
wawp_account(PG_FUNCTION_ARGS)
{
	const char *account = instance_id_of(NameStr(*PG_GETARG_NAME(0)));

	if (account == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(account));
}

/* (instance name, asked_with text): why that account's intents are not served; NULL if they are. */
Datum
wawp_account_problem(PG_FUNCTION_ARGS)
{
	const char *problem = account_problem(NameStr(*PG_GETARG_NAME(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/* Returns the worker's process in this database; NULL if none runs. */
Datum
wawp_worker_pid(PG_FUNCTION_ARGS)
{
	pid_t		pid = wawp_shared ? shmem_worker_pid(MyDatabaseId) : 0;

	if (pid == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(pid);
}

/* (instance name): adds_left_minute, adds_left_day, next_at. */
Datum
wawp_budget(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	const char *name = NameStr(*PG_GETARG_NAME(0));
	WawpInstance *instance;
	LimiterKey	key;
	PaceRate	rate;
	int64		wait;
	Datum		values[3];
	bool		nulls[3] = {false};

	/* a standby's limiter does not know what the primary sends */
	if (wawp_shared == NULL || RecoveryInProgress() || !(instance_is_usable(name) || metrics_for_monitor()) || !instance_is_callable(name))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	instance = instance_describe(name);
	key = budget_key(instance, LIMIT_ADD);
	rate = pace_rate(instance->adds_per_minute, instance->adds_burst);
	wait = Max(limiter_next_at(&key, rate) - clock_monotonic_us(), 0);
	nulls[0] = rate.interval == 0;
	values[0] = Int64GetDatum(nulls[0] ? 0 : limiter_within(&key, rate, USECS_PER_MINUTE));
	nulls[1] = instance->adds_per_day == 0;
	values[1] = Int64GetDatum(Max(instance->adds_per_day - limiter_spent_today(&key), 0));
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp() + wait);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* (instance name, adds bigint): how long so many adds take at the instance's pace. */
Datum
wawp_drain_time(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(0));
	WawpInstance *instance;
	PaceRate	rate;
	double		seconds;

	if (!instance_is_usable(name) || !instance_is_callable(name))
		PG_RETURN_NULL();
	instance = instance_describe(name);
	rate = pace_rate(instance->adds_per_minute, 0);
	seconds = rate.interval / 1e6 * PG_GETARG_INT64(1);
	if (seconds > MAX_DRAIN_SECONDS)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall7(make_interval, Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
										Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
										Float8GetDatum(seconds)));
}
