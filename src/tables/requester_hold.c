/*-------------------------------------------------------------------------
 *
 * requester_hold.c
 *	  Requesters whose own credentials an instance refuses.
 *
 * Owns wawp.requester_hold.  A role with a user mapping of its own can spoil
 * nothing but its own requests: when the API refuses its token, or it has none,
 * its intents are passed over until the hold ends; those of others in the same
 * groups are served.  When the time of a hold is over, one request is a trial,
 * during which the others stay held.  A statement that changes the mapping, and
 * wawp_resume(), end the hold at once; a renamed server keeps it (server_changes.c).
 *
 * The caller has a transaction and acts as the extension's owner.  Where there is
 * no hold, a look costs an index probe.  What the worker knows of the table is read
 * at each rescan of the queue; an abort does not take it back, but leads to one.
 * Locks: the rows that are changed.
 *
 * IDENTIFICATION
 *	  src/tables/requester_hold.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "protocol/audit_record.h"
#include "protocol/backoff.h"
#include "tables/audit.h"
#include "tables/requester_hold.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"

static TimestampTz first_end;	/* of a hold, as far as this process knows; 0: none lasts */
static bool has_rows;			/* likewise: somebody is held, or was */

static SqlStatement read_hold = {
	"SELECT until, failures, trial FROM wawp.requester_hold WHERE instance = $1::name AND requester = $2",
	2, {TEXTOID, OIDOID}, NULL
};

static SqlStatement set_hold = {
	"INSERT INTO wawp.requester_hold (instance, requester, reason, since, until, failures, trial)"
	" VALUES ($1::name, $2, $3, clock_timestamp(), $4, $5, false)"
	" ON CONFLICT (instance, requester) DO UPDATE SET reason = excluded.reason,"
	" since = CASE WHEN requester_hold.reason = excluded.reason THEN requester_hold.since ELSE excluded.since END,"
	" until = excluded.until, failures = excluded.failures, trial = false"
	" RETURNING xmax = 0",
	5, {TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/* The others wait for the result. */
static SqlStatement begin_trial = {
	"UPDATE wawp.requester_hold SET until = $3, trial = true WHERE instance = $1::name AND requester = $2 AND until <= clock_timestamp()",
	3, {TEXTOID, OIDOID, TIMESTAMPTZOID}, NULL
};

static SqlStatement lift_hold = {
	"DELETE FROM wawp.requester_hold WHERE instance = $1::name AND requester = $2",
	2, {TEXTOID, OIDOID}, NULL
};

static SqlStatement lift_all = {
	"DELETE FROM wawp.requester_hold WHERE instance = $1::name",
	1, {TEXTOID}, NULL
};

static SqlStatement read_all = {
	"SELECT min(until) FILTER (WHERE until > clock_timestamp()), count(*) FROM wawp.requester_hold",
	0, {0}, NULL
};

static SqlStatement rename_held = {
	"UPDATE wawp.requester_hold SET instance = $2::name WHERE instance = $1::name",
	2, {TEXTOID, TEXTOID}, NULL
};

/* The count of failures is old as well. */
static SqlStatement prune_ended = {
	"DELETE FROM wawp.requester_hold WHERE until <= clock_timestamp() - interval '1 day'",
	0, {0}, NULL
};

/* Note that a hold ends then. */
static void
requester_hold_note_end(TimestampTz until)
{
	first_end = first_end == 0 ? until : Min(first_end, until);
	has_rows = true;
}

/* Append the key of a hold to *args. */
static void
requester_hold_bind(SqlArgs *args, const char *instance, Oid requester)
{
	spi_add_text(args, instance);
	spi_add_datum(args, ObjectIdGetDatum(requester));
}

/* A row of the table. */
typedef struct RequesterHold
{
	TimestampTz until;
	int			failures;		/* in a row */
	bool		is_trial;		/* a request is under way that tries again */
} RequesterHold;

/* True if there is a hold, which may be over; write it to *hold. */
static bool
requester_hold_find(const char *instance, Oid requester, RequesterHold *hold)
{
	NameData	name = {""};
	IndexProbe	row = {"requester_hold", "requester_hold_pkey", 2, {NameGetDatum(&name), ObjectIdGetDatum(requester)}};
	SqlArgs		args = {0};

	namestrcpy(&name, instance);
	if (index_probe_first(&row) == PROBE_NONE)
		return false;
	requester_hold_bind(&args, instance, requester);
	if (spi_run(&read_hold, &args) == 0)
		return false;
	hold->until = spi_get_time(0, 1);
	hold->failures = spi_get_int4(0, 2);
	hold->is_trial = spi_get_bool(0, 3);
	return true;
}

/* Return until when a requester is held; 0: it is not. */
TimestampTz
requester_hold_until(const char *instance, Oid requester)
{
	RequesterHold hold;

	if (!requester_hold_find(instance, requester, &hold) || hold.until <= GetCurrentTimestamp())
		return 0;
	return hold.until;
}

static SqlStatement lock_hold = {
	"SELECT FROM wawp.requester_hold WHERE instance = $1::name AND requester = $2 FOR UPDATE SKIP LOCKED",
	2, {TEXTOID, OIDOID}, NULL
};

/* True if another transaction that is under way has locked a requester's hold: changing it would have to wait. */
bool
requester_hold_is_busy(const char *instance, Oid requester)
{
	RequesterHold hold;
	SqlArgs		args = {0};

	if (!requester_hold_find(instance, requester, &hold))
		return false;
	requester_hold_bind(&args, instance, requester);
	return spi_run(&lock_hold, &args) == 0;
}

/* Write a hold; true if there was none, not even one that is over. */
static bool
requester_hold_write(const char *instance, Oid requester, const char *reason, TimestampTz until, int failures)
{
	SqlArgs		args = {0};

	requester_hold_bind(&args, instance, requester);
	spi_add_text(&args, reason);
	spi_add_time(&args, until);
	spi_add_int4(&args, failures, true);
	requester_hold_note_end(until);
	return spi_run(&set_hold, &args) > 0 && spi_get_bool(0, 1);
}

/* Hold a requester that has no usable credentials for so long. */
void
requester_hold_set(const char *instance, Oid requester, const char *reason, int seconds)
{
	(void) requester_hold_write(instance, requester, reason, GetCurrentTimestamp() + seconds * USECS_PER_SEC, 1);
}

/*
 * Hold a requester whose credentials were refused, with a growing backoff, and
 * record that once.  One of several requests that met the same refusal changes
 * nothing.
 */
void
requester_hold_for_outcome(const char *instance, Oid requester, WawpOutcome outcome, const char *request_id)
{
	RequesterHold hold = {0};
	const char *reason = outcome_info(outcome)->name;
	bool		is_known = requester_hold_find(instance, requester, &hold);
	TimestampTz now = GetCurrentTimestamp();
	int64		delay;
	AuditRecord record = {
		.kind = "held",
		.instance = instance,
		.outcome = reason,
		.requested_by = GetUserNameFromId(requester, true),
		.request_id = request_id,
		.duration_ms = -1
	};

	if (hold.until > now && !hold.is_trial)
		return;
	delay = backoff_request_ms(outcome, hold.failures + 1, -1, pg_prng_double(&pg_global_prng_state));
	if (requester_hold_write(instance, requester, reason, now + Max(delay, 0) * 1000, hold.failures + 1) && !is_known)
		audit_write(&record);
}

/* Make a request the trial of a hold whose time is over: the others stay held until it has ended, or for that long. */
void
requester_hold_begin_trial(const char *instance, Oid requester, int64 longest_ms)
{
	TimestampTz until = GetCurrentTimestamp() + longest_ms * 1000;
	RequesterHold hold;
	SqlArgs		args = {0};

	if (!requester_hold_find(instance, requester, &hold) || hold.until > GetCurrentTimestamp())
		return;
	requester_hold_bind(&args, instance, requester);
	spi_add_time(&args, until);
	spi_run(&begin_trial, &args);
	requester_hold_note_end(until);
}

/* End the hold of a requester whose credentials were accepted. */
void
requester_hold_end_trial(const char *instance, Oid requester)
{
	if (requester_hold_lift(instance, requester))
		requester_hold_note_end(GetCurrentTimestamp());
}

/* End the hold of a requester, or of all (InvalidOid); false if there was none. */
bool
requester_hold_lift(const char *instance, Oid requester)
{
	RequesterHold hold;
	SqlArgs		args = {0};

	if (OidIsValid(requester) && !requester_hold_find(instance, requester, &hold))
		return false;
	spi_add_text(&args, instance);
	if (OidIsValid(requester))
		spi_add_datum(&args, ObjectIdGetDatum(requester));
	return spi_run(OidIsValid(requester) ? &lift_hold : &lift_all, &args) > 0;
}

/* Give the holds of an instance's requesters its new name; those of an earlier instance of that name end. */
void
requester_hold_rename_instance(const char *from, const char *to)
{
	SqlArgs		args = {0};

	(void) requester_hold_lift(to, InvalidOid);
	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&rename_held, &args);
}

/*
 * True if a requester is held, or was and nobody has tried since; for the worker,
 * which knows when there is nobody.
 */
bool
requester_hold_is_in_doubt(const char *instance, Oid requester)
{
	RequesterHold hold;

	return has_rows && requester_hold_find(instance, requester, &hold);
}

/* Return when the first hold ends, as far as the worker knows; 0: none lasts. */
TimestampTz
requester_hold_first_end(void)
{
	return first_end;
}

/* Read what the worker has to know. */
void
requester_hold_start_anew(void)
{
	spi_run(&read_all, NULL);
	first_end = spi_get_time(0, 1);
	has_rows = spi_get_int8(0, 2, 0) > 0;
}

/* Delete holds that have been over for long. */
void
requester_hold_prune(void)
{
	spi_run(&prune_ended, NULL);
}
