/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of one database: runs the cycles.
 *
 * Started by the launcher for a slot of shared memory; leaves at once when the
 * database does not have the extension.  Only this file opens and closes
 * transactions: one a cycle, as the extension's owner, never while it waits.
 * News (lanes, SIGHUP, SIGTERM) sets its latch; otherwise it wakes when a lane is
 * due, when a socket is ready, and once a minute in any case.
 *
 * An error in a cycle aborts that cycle's transaction and nothing else:
 * requests under way stay under way, and the cycle is tried again a little
 * later.  An error outside one ends the process; the launcher starts another.
 *
 * IDENTIFICATION
 *	  src/worker/worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_statement.h"
#include "client/http.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "protocol/backoff.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "tables/adoption.h"
#include "tables/audit.h"
#include "tables/audit_mailbox.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/requester_hold.h"
#include "tables/intent.h"
#include "tables/webhook_event.h"
#include "tables/worker_status.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/dispatch.h"
#include "worker/error_log.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/savepoint.h"
#include "worker/worker.h"

#include "compat.h"

#define SAFETY_POLL_MS (60 * 1000)
#define LONGEST_LOCK_WAIT "200ms"
#define FIRST_ERROR_DELAY_MS 200
#define MAIL_RETRY_MS 50
/* Messages that were put off, since somebody has to end a transaction first, are tried again after that. */
#define MAIL_LATER_MS 200
#define SHORTEST_PRUNE_PAUSE_MS 100
#define LONGEST_PRUNE_PAUSE_MS 400
#define LONGEST_ERROR_DELAY_MS 700

static WorkerSlot *my_slot = NULL;
static int	errors_in_a_row = 0;
static bool has_mail = true;	/* sessions may have posted records */
static int64 mail_retry_ms = 0; /* monotonic ms; 0: at once */
static bool mail_has_failed = false;	/* an error: what comes meanwhile waits as well */
static volatile sig_atomic_t told_to_end = false;
static bool is_in_copy = true;	/* nothing is sent or written; so it is until the database was looked at */
static bool has_left_in_order = false;	/* the rows under way are marked: this end counts as no crash of theirs */

/*
 * ---- being the worker of this database
 */

/* End like die(), noting that this is no failure. */
static void
worker_on_sigterm(SIGNAL_ARGS)
{
	told_to_end = true;
	die(WAWP_SIGNAL_VALUES);
}

/* Let lock_timeout, which sends SIGINT, cancel; ignore any other SIGINT. */
static void
worker_on_sigint(SIGNAL_ARGS)
{
	if (get_timeout_indicator(LOCK_TIMEOUT, false))
		StatementCancelHandler(WAWP_SIGNAL_VALUES);
}

/*
 * Leave the slot.  It is free after an exit with 0, which means that there is
 * nothing to do here, unless somebody asked for a worker meanwhile.  Any other
 * exit wants a successor.
 */
static void
worker_on_exit(int code, Datum arg pg_attribute_unused())
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	if (my_slot->pid == MyProcPid)
	{
		my_slot->pid = 0;
		my_slot->latch = NULL;
		my_slot->serving = false;
		my_slot->was_told_to_end = told_to_end;
		my_slot->was_interrupted = told_to_end && !has_left_in_order;
		my_slot->wanted |= (code != 0);
		if (!my_slot->wanted && my_slot->bars == 0)
			my_slot->dbid = InvalidOid;
	}
	LWLockRelease(wawp_shared->lock);
	shmem_wake_launcher();
}

/* Note that the database has the extension. */
static void
worker_begin_serving(void)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	my_slot->serving = true;
	LWLockRelease(wawp_shared->lock);
	shmem_wake_launcher();
}

/*
 * Take the slot and return its database; InvalidOid if it is taken or barred.
 * Set *was_interrupted to true if the worker before was told to end in the middle of a
 * transaction.
 */
static Oid
worker_take_slot(int index, bool *was_interrupted)
{
	Oid			taken = InvalidOid;

	my_slot = &wawp_shared->slots[index];
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	if (my_slot->dbid != InvalidOid && my_slot->pid == 0 && my_slot->bars == 0)
	{
		my_slot->pid = MyProcPid;
		my_slot->latch = MyLatch;
		my_slot->has_no_process = false;
		my_slot->started_at = GetCurrentTimestamp();
		my_slot->last_cycle_at = 0;
		my_slot->in_flight = 0;
		my_slot->in_transaction_ms = 0;
		my_slot->is_off = !wawp_worker_on;
		memset(my_slot->troubles, 0, sizeof(my_slot->troubles));
		my_slot->was_told_to_end = false;
		*was_interrupted = my_slot->was_interrupted;
		my_slot->was_interrupted = false;
		my_slot->rescan = true;
		my_slot->wanted = false;
		taken = my_slot->dbid;
	}
	LWLockRelease(wawp_shared->lock);
	status_attach(my_slot);
	if (OidIsValid(taken))
		before_shmem_exit(worker_on_exit, (Datum) 0);
	return taken;
}

/* Set what the worker relies on, whatever the cluster or the database sets for sessions. */
static void
worker_fix_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			settings[] = {
		{"lock_timeout", LONGEST_LOCK_WAIT},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"synchronous_commit", "on"},
		{"search_path", "pg_catalog, pg_temp"},
		{"session_replication_role", "origin"},
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"timezone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"array_nulls", "on"},
		{"transform_null_equals", "off"},
		{"quote_all_identifiers", "off"},
		{"row_security", "on"},
		{"plan_cache_mode", "auto"},
		{"gin_fuzzy_search_limit", "0"},
		{"idle_session_timeout", "0"},
		{"jit", "off"},
		{"exit_on_error", "off"},
		{"default_table_access_method", "heap"},
		{"enable_partition_pruning", "on"},
		/* not in every version, or of other libraries, which would log the numbers that statements are given */
		{"restrict_nonsystem_relation_kind", ""},
		{"auto_explain.log_parameter_max_length", "0"},
		{"pgaudit.log_parameter", "off"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i].name, true, false) != NULL)
			SetConfigOption(settings[i].name, settings[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	wawp_no_transaction_timeout();
}

/*
 * ---- transactions
 */

/*
 * Begin a transaction as the extension's owner, whom the caller gives back to
 * work_end().  End the process if the extension is gone, or is another one now:
 * the process remembers the old one's rows; or if the database has become a copy.
 */
static SqlOwner
work_begin(void)
{
	static Oid	my_extension = InvalidOid;
	Oid			extension;
	SqlOwner	before;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	extension = get_extension_oid("wawp", true);
	if (!OidIsValid(extension))
		proc_exit(0);
	if (OidIsValid(my_extension) && my_extension != extension)
		proc_exit(1);
	my_extension = extension;
	PushActiveSnapshot(GetTransactionSnapshot());
	before = spi_begin_as_owner();
	if (!is_in_copy && identity_is_copy())
		proc_exit(1);
	return before;
}

/* Commit a transaction, with the seal of what it has recorded. */
static void
work_end(const SqlOwner *before)
{
	audit_seal();
	spi_end_as_owner(before);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
worker_report_activity(void)
{
	char		text[64];

	snprintf(text, sizeof(text), "%d in flight", admission_in_flight());
	status_note_in_flight(admission_in_flight());
	pgstat_report_activity(STATE_IDLE, text);
}

/* Show the current error in the worker status. */
static void
worker_note_failure(WorkerPart part)
{
	ErrorData  *error = CopyErrorData();
	char	   *message = instance_cache_redact(error->message);

	status_note_error(part, true, error->sqlerrcode, message);
	pfree(message);
	FreeErrorData(error);
}

/* Run a transaction.  Return false if it did not commit; its error is reported. */
static bool
worker_run_transaction(void (*work) (void), const char *what, WorkerPart part)
{
	MemoryContext caller = CurrentMemoryContext;
	static bool has_told_old_tables = false;
	volatile bool has_committed = false;

	PG_TRY();
	{
		SqlOwner	before;

		pgstat_report_activity(STATE_RUNNING, what);
		status_note_transaction(true);
		before = work_begin();
		work();
		work_end(&before);
		has_committed = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		HOLD_INTERRUPTS();
		worker_note_failure(part);
		/* it waits for ALTER EXTENSION UPDATE, and says so in the log once */
		if (!spi_found_old_tables() || !has_told_old_tables)
			error_log_report();
		has_told_old_tables = spi_found_old_tables();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	status_note_transaction(false);
	MemoryContextSwitchTo(caller);
	/* a lock_timeout that fired just as the lock was granted must not cancel the next wait */
	QueryCancelPending = false;
	return has_committed;
}

static void
worker_report_statistics(void)
{
	pgstat_report_stat(true);
	worker_report_activity();
}

/* Run a transaction of the dispatcher, which is tried again later if it fails. */
static void
worker_run_cycle(void (*work) (void), const char *what, WorkerPart part)
{
	errors_in_a_row = worker_run_transaction(work, what, part) ? 0 : errors_in_a_row + 1;
	if (errors_in_a_row > 0)
		dispatch_aborted();
	worker_report_statistics();
}

/* Write the records that sessions have posted, which they wait for. */
static void
worker_serve_mail(void)
{
	bool		has_more;
	bool		later;
	ListCell   *lc;

	if (!has_mail || !mailbox_take())
	{
		has_mail = false;
		return;
	}
	if (worker_run_transaction(mailbox_write, "recording session calls", PART_MAIL))
	{
		status_note_commit(PART_MAIL, true);
		foreach(lc, mailbox_changed_groups())
		{
			group_cache_forget_list(lfirst(lc));
			group_cache_forget_link(lfirst(lc));
		}
		has_more = mailbox_committed(&later);
		mail_retry_ms = later && !has_more ? clock_monotonic_ms() + MAIL_LATER_MS : 0;
		mail_has_failed = false;
		has_more |= later;
	}
	else
	{
		mailbox_aborted();
		mail_retry_ms = clock_monotonic_ms() + MAIL_RETRY_MS;
		mail_has_failed = true;
		has_more = true;
	}
	has_mail = has_more;
	worker_report_statistics();
}

/*
 * ---- what quotas have refused
 */

/* Record what a quota has refused a role: the session's own transaction was rolled back. */
static void
worker_record_refusal(const QuotaRefusals *refusals)
{
	AuditRecord record = {
		.kind = "refused",
		.requested_by = OidIsValid(refusals->role) ? GetUserNameFromId(refusals->role, true) : NULL,
		.origin = "quota",
		.reason = psprintf("%s allows no more%s, refused " INT64_FORMAT " times",
						   refusals->of_holds ? "wawp.max_holds_per_role" : "wawp.max_queued_per_role",
						   OidIsValid(refusals->role) ? "" : " to several roles", refusals->count),
		.duration_ms = -1
	};

	audit_write(&record);
}

static QuotaRefusals due_refusals[SHMEM_REFUSALS];
static int	ndue_refusals;

static void
worker_record_refusals(void)
{
	for (int i = 0; i < ndue_refusals; i++)
		worker_record_refusal(&due_refusals[i]);
}

/* Record what is due of that, in a transaction of its own. */
static void
worker_serve_refusals(void)
{
	ndue_refusals = shmem_due_refusals(my_slot, due_refusals);
	if (ndue_refusals == 0)
		return;
	worker_run_cycle(worker_record_refusals, "recording refusals", PART_MAIL);
	if (errors_in_a_row == 0)
		shmem_end_refusals(my_slot, due_refusals, ndue_refusals);
}

/*
 * ---- retention
 */

static int64 prune_ms = CLOCK_NEVER;	/* when the next portion of rows is deleted, monotonic */
static bool prunes_more;		/* the last portion was full */

/* Forget and delete what is few rows, and see to the log's next partitions and to what others have changed. */
static void
worker_tidy(void)
{
	adoption_mend_triggers();
	group_cache_prune();
	hold_prune();
	requester_hold_prune();
	webhook_prune_refusals();
	audit_prepare_ahead();
}

/* Delete a portion of the rows that are older than their retention. */
static void
worker_prune(void)
{
	prunes_more = intent_prune(wawp_retention);
	prunes_more |= webhook_prune(wawp_retention);
}

/* Drop the partitions of the log that are older than their retention; it may have to wait for a reader, until another time. */
static void
worker_drop_old_records(void)
{
	audit_drop_old(wawp_audit_retention);
}

/* Run a transaction of the retention. */
static void
worker_run_retention(void (*work) (void), const char *what)
{
	worker_run_cycle(work, what, PART_PRUNE);
	if (errors_in_a_row == 0)
		status_note_commit(PART_PRUNE, true);
}

/*
 * Delete a portion.  While portions are full another follows soon, after nine
 * times as long as it took, so that the retention has a tenth of the worker's
 * time, unless that would be too slow for what comes in.
 */
static void
worker_prune_portion(void)
{
	int64		began = clock_monotonic_ms();

	prunes_more = false;
	prune_ms = CLOCK_NEVER;
	if (wawp_retention > 0)
		worker_run_retention(worker_prune, "deleting settled intents");
	if (prunes_more && errors_in_a_row == 0)
		prune_ms = clock_monotonic_ms() + Min(Max(9 * (clock_monotonic_ms() - began), SHORTEST_PRUNE_PAUSE_MS), LONGEST_PRUNE_PAUSE_MS);
}

/* Do once a minute what retention and memory need. */
static void
worker_keep_house(void)
{
	worker_serve_refusals();
	worker_run_retention(worker_tidy, "tidying up");
	if (wawp_audit_retention > 0)
		worker_run_retention(worker_drop_old_records, "dropping old partitions of the log");
	prune_ms = clock_monotonic_ms();
}

/*
 * ---- news and waiting
 */

/* Take what the slot was told: lanes, mail, a permit. */
static void
worker_collect_wake(void)
{
	DispatchWake wake;

	wake.poll = wake.start_anew = false;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	has_mail |= my_slot->mail;
	if (my_slot->mail && !mail_has_failed)
		mail_retry_ms = 0;
	my_slot->mail = false;
	my_slot->is_off = !wawp_worker_on;
	wake.has_events = my_slot->events;
	my_slot->events = false;
	wake.rescan = my_slot->rescan;
	wake.nlanes = my_slot->nlanes;
	memcpy(wake.lanes, my_slot->lanes, sizeof(LaneNews) * my_slot->nlanes);
	my_slot->rescan = false;
	my_slot->nlanes = 0;
	my_slot->wanted = false;
	if (!my_slot->permit)
		dispatch_permit.is_active = false;
	else if (!dispatch_permit.is_active || dispatch_permit.number != my_slot->permit_number)
	{
		dispatch_permit.is_active = true;
		dispatch_permit.number = my_slot->permit_number;
		wake.rescan = true;
		dispatch_permit.requests = my_slot->permit_requests;
		dispatch_permit.until_ms = my_slot->permit_until_ms;
	}
	LWLockRelease(wawp_shared->lock);
	dispatch_tell(&wake);
}

/* Give a permit back when there is nothing more to do with it. */
static void
worker_return_permit(void)
{
	if (!dispatch_permit.is_active || !dispatch_is_drained())
		return;
	dispatch_permit.is_active = false;
	shmem_end_permit(MyDatabaseId, dispatch_permit.number);
}

static int64
worker_error_delay(void)
{
	return backoff_delay(FIRST_ERROR_DELAY_MS, LONGEST_ERROR_DELAY_MS, errors_in_a_row);
}

/*
 * True if there is news that was not collected yet.  The latch alone does not
 * tell: a transaction that waits, for a lock or for another's reading of a page,
 * resets it.
 */
static bool
worker_has_news(void)
{
	return my_slot->wanted || ConfigReloadPending || ProcDiePending;
}

static long
worker_time_to_wait(int64 next_poll)
{
	int64		now = clock_monotonic_ms();
	int64		until = Min(Min(next_poll, prune_ms), dispatch_next_ms());

	if (errors_in_a_row == 0 && worker_has_news())
		return 0;
	if (dispatch_has_answers())
		until = now;
	if (errors_in_a_row > 0)
		until = now + worker_error_delay();
	if (has_mail)
		until = Min(until, mail_retry_ms);
	return (long) Max(until - now, 0);
}

/* Note in the rows under way that the worker was told to end, so that they are not taken for its cause. */
static void
worker_leave_in_order(void)
{
	HOLD_INTERRUPTS();
	if (admission_in_flight() > 0)
	{
		worker_run_cycle(dispatch_note_orderly_end, "leaving", PART_CYCLE);
		has_left_in_order = errors_in_a_row == 0;
	}
	/* after an error interrupts are not held off any more */
	if (InterruptHoldoffCount > 0)
		RESUME_INTERRUPTS();
}

/* Wait for news, sockets or the end of that time, in ms. */
static void
worker_wait_for(long timeout)
{
	static uint32 wait_event = 0;
	int			descriptor = http_descriptor();
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (wait_event == 0)
		wait_event = wawp_wait_event("WawpWorkerMain");
	if (descriptor >= 0)
		events |= WL_SOCKET_READABLE;
	(void) WaitLatchOrSocket(MyLatch, events, descriptor >= 0 ? descriptor : PGINVALID_SOCKET,
							 timeout, wait_event);
	ResetLatch(MyLatch);
	if (ProcDiePending)
		worker_leave_in_order();
	QueryCancelPending = false; /* there is no statement to cancel */
	CHECK_FOR_INTERRUPTS();
	http_pump();
}

static void
worker_wait(int64 next_poll)
{
	worker_wait_for(worker_time_to_wait(next_poll));
}

/*
 * ---- in a copy
 */

/* Find out whether this database is a copy; nothing is written.  In a transaction. */
static void
worker_look_for_copy(void)
{
	dispatch_replay();
	is_in_copy = identity_is_copy();
	if (is_in_copy && my_slot->serving == false)
		ereport(LOG,
				(errmsg("this database is a copy, nothing is sent: %s", identity_why_copy()),
				 errhint("Call wawp_take_over() if it is to replace the original.")));
}

/* Read the configuration again if that was asked for; true if it was. */
static bool
worker_reload(void)
{
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

/* Note what a cycle before the first that serves has done; false if it failed. */
static bool
worker_note_first_look(void)
{
	if (errors_in_a_row > 0)
		return false;
	status_note_commit(PART_CYCLE, true);
	shmem_note_replay(MyDatabaseId);
	return true;
}

/* Wait while this database is a copy. */
static void
worker_wait_as_copy(void)
{
	do
	{
		(void) worker_reload();
		worker_collect_wake();
		worker_run_cycle(worker_look_for_copy, "looking for a copy", PART_CYCLE);
		if (worker_note_first_look() && !is_in_copy)
			return;
		worker_begin_serving();
		worker_wait_for(worker_has_news() ? 0 : errors_in_a_row > 0 ? worker_error_delay() : SAFETY_POLL_MS);
	} while (true);
}

/*
 * ---- the loop
 */

/* Run a cycle and send what it has claimed. */
static void
worker_cycle(void)
{
	worker_run_cycle(dispatch_settle_and_claim, "serving the queue", PART_CYCLE);
	if (errors_in_a_row > 0)
		return;
	dispatch_committed();
	status_note_commit(PART_CYCLE, !savepoint_is_on());
	dispatch_send();
	worker_report_activity();
}

/* True if the clock has been set, at once or little by little: times to wait for have to be read again. */
static bool
clock_was_set(void)
{
	static int64 known_offset = 0;
	int64		offset = GetCurrentTimestamp() - clock_monotonic_us();
	bool		was_set = known_offset != 0 &&
		Max(offset - known_offset, known_offset - offset) > USECS_PER_SEC;

	if (was_set || known_offset == 0)
		known_offset = offset;
	return was_set;
}

static void
worker_loop(void)
{
	static const DispatchWake everything = {.rescan = true, .start_anew = true};
	static const DispatchWake poll = {.poll = true};
	int64		next_poll = clock_monotonic_ms();
	int64		next_cycle = next_poll;

	for (;;)
	{
		if (worker_reload() || clock_was_set())
			dispatch_tell(&everything);
		worker_collect_wake();
		if (clock_monotonic_ms() >= next_poll)
		{
			next_poll = clock_monotonic_ms() + SAFETY_POLL_MS;
			dispatch_tell(&poll);
			worker_keep_house();
		}
		if (clock_monotonic_ms() >= prune_ms)
			worker_prune_portion();
		if (mail_retry_ms <= clock_monotonic_ms())
			worker_serve_mail();
		if (my_slot->refusals_due)
			worker_serve_refusals();
		if (clock_monotonic_ms() >= next_cycle)
		{
			dispatch_take_answers();
			if (dispatch_has_work())
			{
				worker_cycle();
				next_cycle = clock_monotonic_ms() + worker_error_delay();
			}
		}
		worker_return_permit();
		worker_wait(next_poll);
	}
}

/*
 * Entry point; the argument is the slot's index.  After an exit with 0 there is
 * no worker until somebody asks for one: the database has no extension.
 */
void
wawp_worker_main(Datum arg)
{
	Oid			dbid;
	bool		was_interrupted = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, worker_on_sigterm);
	pqsignal(SIGINT, worker_on_sigint);
	BackgroundWorkerUnblockSignals();
	/* a SIGHUP since the fork may be lost: the server ignores it until here */
	ConfigReloadPending = true;
	dbid = worker_take_slot(DatumGetInt32(arg), &was_interrupted);
	if (!OidIsValid(dbid))
		proc_exit(0);
	worker_fix_settings();		/* connecting is a transaction too */
	BackgroundWorkerInitializeConnectionByOid(dbid, InvalidOid, 0);
	pgstat_report_appname("wawp worker");

	dispatch_init(!was_interrupted);
	mailbox_recover();
	worker_wait_as_copy();
	do
	{
		worker_run_cycle(dispatch_recover, "recovering", PART_CYCLE);
		(void) worker_note_first_look();
		worker_serve_mail();
		worker_begin_serving();
		if (errors_in_a_row > 0)
			worker_wait(clock_monotonic_ms() + SAFETY_POLL_MS);
	} while (errors_in_a_row > 0);
	worker_loop();
}
