/*-------------------------------------------------------------------------
 *
 * worker_status.c
 *	  The state of a database's worker, with the reason if it cannot work.
 *
 * Owns the troubles in a worker's slot of shared memory.  The worker notes what
 * fails and what has succeeded again; a session that asks reads the slot and
 * draws the conclusions, so that nobody is woken and nothing is written.  An
 * error counts until the part of the work that raised it has succeeded, and for
 * a short time after: where single pieces fail, the others still succeed.
 *
 * Messages are cut to TROUBLE_BYTES at a character's boundary, and have one line
 * and no number long enough to be a telephone number, because roles that may
 * not see people read them.  The caller has removed tokens.
 *
 * Locks: WawpShared.lock, while a slot is read or written.  Writing never raises
 * an error; reading runs one statement as the extension's owner, in the
 * caller's transaction.  Memory: texts are in the current context.
 *
 * IDENTIFICATION
 *	  src/tables/worker_status.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "protocol/redact.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tables/identity.h"
#include "tables/worker_status.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"

/* Longer than the time until a cycle or a piece that failed is tried again. */
#define TROUBLE_LASTS_MS 1500
/* Sessions give up a record that is not written in time, and then nothing tries again. */
#define MAIL_TROUBLE_LASTS_MS (60 * 1000)

/* Synchronous standbys confirm in less time, and cycles are bounded; what takes longer is shown. */
#define LONG_COMMIT_MS 1000
#define LONG_TRANSACTION_MS (30 * 1000)

/* Of a database that DROP DATABASE has left half removed, to which nobody can connect. */
#define CONNECTION_LIMIT_OF_INVALID (-2)

static WorkerSlot *my_slot = NULL;	/* of this worker */

/*
 * ---- the worker's side
 */

/* Set the slot that the functions below write: the calling worker's. */
void
status_attach(WorkerSlot *slot)
{
	my_slot = slot;
}

/* Copy a message, made safe for every reader, into a buffer of TROUBLE_BYTES. */
static void
status_copy_message(char *to, const char *message)
{
	int			length = pg_mbcliplen(message, strlen(message), TROUBLE_BYTES - 1);

	for (int i = 0; i < length; i++)
		to[i] = (unsigned char) message[i] < ' ' ? ' ' : message[i];
	to[length] = '\0';
	redact_long_numbers(to);
}

/* True if an error that was noted is still to be shown. */
static bool
status_trouble_is_current(WorkerPart part, const WorkerTrouble *trouble)
{
	int64		age = clock_monotonic_ms() - trouble->failed_ms;

	if (trouble->errors == 0)
		return false;
	if (part == PART_MAIL)
		return trouble->failed_ms >= trouble->succeeded_ms && age < MAIL_TROUBLE_LASTS_MS;
	return trouble->failed_ms >= trouble->succeeded_ms || age < TROUBLE_LASTS_MS;
}

/*
 * Note that a part of this worker's work has failed.  is_first: no other piece
 * of the same transaction has, so that failures are counted by transaction.
 */
void
status_note_error(WorkerPart part, bool is_first, int sqlstate, const char *message)
{
	WorkerTrouble *trouble;

	if (my_slot == NULL)
		return;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	trouble = &my_slot->troubles[part];
	if (!status_trouble_is_current(part, trouble))
	{
		trouble->errors = 0;
		trouble->since = GetCurrentTimestamp();
	}
	if (is_first || trouble->errors == 0)
		trouble->errors++;
	trouble->sqlstate = sqlstate;
	trouble->failed_ms = Max(clock_monotonic_ms(), trouble->succeeded_ms);
	status_copy_message(trouble->message, message ? message : "");
	LWLockRelease(wawp_shared->lock);
}

/* Note that a part of this worker's work has committed; is_clean: no piece of it failed. */
void
status_note_commit(WorkerPart part, bool is_clean)
{
	WorkerTrouble *trouble = &my_slot->troubles[part];

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	if (is_clean)
		trouble->succeeded_ms = Max(clock_monotonic_ms(), trouble->failed_ms + 1);
	if (part == PART_CYCLE)
		my_slot->last_cycle_at = GetCurrentTimestamp();
	LWLockRelease(wawp_shared->lock);
}

/* Note how many requests are under way. */
void
status_note_in_flight(int in_flight)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	my_slot->in_flight = in_flight;
	LWLockRelease(wawp_shared->lock);
}

/* Note that a transaction of this worker begins or has ended. */
void
status_note_transaction(bool begins)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	my_slot->in_transaction_ms = begins ? clock_monotonic_ms() : 0;
	LWLockRelease(wawp_shared->lock);
}

/*
 * ---- the reader's side
 */

/* Return the label of a state. */
const char *
status_state_name(WorkerState state)
{
	static const char *const names[] = {
		[WORKER_SERVING] = "serving",
		[WORKER_OFF] = "off",
		[WORKER_FAILING] = "failing",
		[WORKER_NONE] = "none",
		[WORKER_COPY] = "copy",
	};

	return names[state];
}

/* Return the label of a part of a worker's work. */
const char *
status_part_name(WorkerPart part)
{
	static const char *const names[] = {
		[PART_CYCLE] = "cycle",
		[PART_MAIL] = "mail",
		[PART_PRUNE] = "prune",
		[PART_PARTITIONS] = "partitions",
	};

	return names[part];
}

/* Set the state "none" with its reason; sqlstate 0: that is no error. */
static void
status_set_none(WorkerStatus *status, int sqlstate, const char *why)
{
	status->state = WORKER_NONE;
	status->sqlstate = sqlstate;
	status->why = status->last_error = why;
}

/* True if a worker can connect to a database and may stay. */
bool
status_may_serve_database(Form_pg_database form)
{
	return form->datallowconn && !form->datistemplate && form->datconnlimit != CONNECTION_LIMIT_OF_INVALID;
}

/* True if the launcher starts a worker in this database. */
static bool
status_may_have_worker(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool		may_have = true;

	if (!HeapTupleIsValid(tuple))
		return true;
	may_have = status_may_serve_database((Form_pg_database) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return may_have;
}

/* Set the reason why no worker serves; has_launcher: the launcher runs. */
static void
status_explain_none(WorkerStatus *status, const WorkerSlot *slot, bool has_launcher)
{
	if (slot->pid != 0)
		status_set_none(status, 0, "the worker of this database is starting");
	else if (!has_launcher)
		status_set_none(status, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						"no worker runs in this database, nothing is sent: the wawp launcher does not run"
						" (max_worker_processes may be too small), which the server's log explains");
	else if (slot->has_no_process)
		status_set_none(status, ERRCODE_INSUFFICIENT_RESOURCES,
						"no worker runs in this database, nothing is sent: the server had no free worker process (max_worker_processes);"
						" it is tried again once a minute");
	else if (slot->bars > 0)
		status_set_none(status, ERRCODE_OBJECT_IN_USE,
						"no worker runs in this database, nothing is sent: a statement that needs the database or the extension to itself keeps it out");
	else if (!status_may_have_worker())
		status_set_none(status, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						"no worker runs in this database, nothing is sent: it is a template or takes no new connections (ALTER DATABASE)");
	else
		status_set_none(status, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						"no worker runs in this database, nothing is sent; the server's log says why");
}

/* Write the first part that fails to *status; false if none does. */
static bool
status_read_trouble(WorkerStatus *status, const WorkerSlot *slot)
{
	static const char *const what[] = {
		[PART_CYCLE] = "serving the queue fails",
		[PART_MAIL] = "recording session calls fails",
		[PART_PRUNE] = "deleting what is past its retention fails",
		[PART_PARTITIONS] = "making the audit log's next partitions fails, and without them nothing is recorded or sent",
	};

	for (int part = 0; part < WORKER_PARTS; part++)
	{
		const WorkerTrouble *trouble = &slot->troubles[part];

		if (!status_trouble_is_current(part, trouble))
			continue;
		status->state = WORKER_FAILING;
		status->part = part;
		status->since = trouble->since;
		status->errors_in_a_row = trouble->errors;
		status->sqlstate = trouble->sqlstate;
		status->last_error = pstrdup(trouble->message);
		status->why = psprintf("%s%s: %s (SQLSTATE %s), %d times since %s; the worker keeps trying",
							   what[part], part == PART_CYCLE && slot->last_cycle_at > trouble->since ? " in part" : "",
							   trouble->message, unpack_sql_state(trouble->sqlstate),
							   trouble->errors, clock_text(trouble->since));
		return true;
	}
	return false;
}

/* Write each part's errors in a row, and when any of them last failed, to *status. */
static void
status_read_errors(WorkerStatus *status, const WorkerSlot *slot)
{
	int64		last_ms = 0;

	for (int part = 0; part < WORKER_PARTS; part++)
	{
		const WorkerTrouble *trouble = &slot->troubles[part];

		if (status_trouble_is_current(part, trouble))
			status->part_errors[part] = trouble->errors;
		last_ms = Max(last_ms, trouble->errors > 0 ? trouble->failed_ms : 0);
	}
	if (last_ms > 0)
		status->last_failed_at = GetCurrentTimestamp() - (clock_monotonic_ms() - last_ms) * 1000;
}

/* Write to *status that a worker's transaction does not end, if that is so. */
static bool
status_read_delay(WorkerStatus *status, const WorkerSlot *slot)
{
	const PGPROC *process = slot->in_transaction_ms != 0 ? BackendPidGetProc(slot->pid) : NULL;
	uint32		waits_for = process ? process->wait_event_info : 0;
	int64		lasts_ms = clock_monotonic_ms() - slot->in_transaction_ms;
	bool		is_commit = waits_for == WAIT_EVENT_SYNC_REP;

	if (process == NULL || lasts_ms < (is_commit ? LONG_COMMIT_MS : LONG_TRANSACTION_MS))
		return false;
	status->state = WORKER_FAILING;
	status->since = GetCurrentTimestamp() - lasts_ms * 1000;
	if (is_commit)
		status->last_error = "a commit waits for a synchronous standby (synchronous_standby_names)";
	else
		status->last_error = psprintf("a transaction takes long%s%s", waits_for != 0 ? ", it waits for " : "",
									  waits_for != 0 ? pgstat_get_wait_event(waits_for) : "");
	status->why = psprintf("%s since %s; nothing is recorded or sent meanwhile",
						   status->last_error, clock_text(status->since));
	return true;
}

/* Write the state of a worker that runs to *status. */
static void
status_read_serving(WorkerStatus *status, const WorkerSlot *slot)
{
	if (!status_read_trouble(status, slot) && !status_read_delay(status, slot) && slot->is_off)
	{
		status->state = WORKER_OFF;
		status->why = "the worker is switched off (wawp.worker), nothing is sent until it is on again";
	}
}

/* Write the state of this database's worker to *status; its texts are in the current memory context. */
void
status_read(WorkerStatus *status)
{
	WorkerSlot	slot;
	bool		has_launcher;

	memset(status, 0, sizeof(*status));
	if (RecoveryInProgress())
	{
		status_set_none(status, ERRCODE_READ_ONLY_SQL_TRANSACTION,
						"this server is in recovery (a standby), it sends nothing before it is promoted");
		return;
	}
	if (wawp_shared == NULL)
	{
		status_set_none(status, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						"no worker can run, nothing is sent: wawp is not in shared_preload_libraries");
		return;
	}
	has_launcher = shmem_read_slot(MyDatabaseId, &slot);
	status->pid = slot.pid;
	status->started_at = slot.started_at;
	status->last_cycle_at = slot.last_cycle_at;
	status->in_flight = slot.in_flight;
	status_read_errors(status, &slot);
	if (identity_is_copy())
	{
		status->state = WORKER_COPY;
		status->why = psprintf("this database is a copy, nothing is sent before wawp_take_over(): %s", identity_why_copy());
	}
	else if (slot.pid != 0 && slot.serving)
		status_read_serving(status, &slot);
	else
		status_explain_none(status, &slot, has_launcher);
}
