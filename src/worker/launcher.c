/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts a worker for each database that has the extension.
 *
 * Connected to shared catalogs only.  At its start it has a worker probe each
 * connectable database in turn, which exits at once where the extension is not
 * installed; later it starts one where somebody asked for it (CREATE EXTENSION, a
 * function called, rows committed).  The postmaster never restarts workers; the
 * launcher does, with backoff, and reports when there is no free slot.
 *
 * Memory is static, or in TopMemoryContext.  Slots are read and written under
 * WawpShared.lock.  The catalog pg_database is read in transactions of its own.
 *
 * IDENTIFICATION
 *	  src/worker/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/shmem.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "protocol/backoff.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "tables/worker_status.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
#include "worker/worker.h"

#include "compat.h"

#define FIRST_BACKOFF_MS 1000
#define LONGEST_BACKOFF_MS 60000
/* A worker that lived that long has not failed at its start. */
#define HEALTHY_MS 60000
/* A probe that takes longer (its database is locked) does not delay others. */
#define LONGEST_PROBE_MS 5000

/* The worker of a slot, as the launcher knows it. */
typedef struct WatchedWorker
{
	BackgroundWorkerHandle *handle; /* NULL: none was started */
	int64		started_ms;
	int64		not_before_ms;	/* when another may start; monotonic ms */
	int			failures;
} WatchedWorker;

static WatchedWorker workers[SHMEM_SLOTS];

/* Fill in what the launcher and workers have in common. */
static void
fill_worker(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "wawp", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker->bgw_name, type, BGW_MAXLEN);
	strlcpy(worker->bgw_type, type, BGW_MAXLEN);
}

/* Register the launcher; while preloading only. */
void
launcher_init(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	fill_worker(&worker, "wawp_launcher_main", "wawp launcher");
	worker.bgw_restart_time = 5;
	RegisterBackgroundWorker(&worker);
}

static void
launcher_on_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->launcher_latch = NULL;
	LWLockRelease(wawp_shared->lock);
}

static List *databases_to_probe = NIL;	/* databases for which there was no slot yet */

/*
 * True if a worker can connect to a database and may stay.  The table is read, not
 * the cache: whoever has just changed it wakes us before the cache is told.
 */
static bool
database_oid_takes_workers(Oid dbid)
{
	Relation	databases;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		can_take;

	StartTransactionCommand();
	databases = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_database_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(dbid));
	/* the first process after a start may know no index: one that is connected to a database loads them for all */
	scan = systable_beginscan(databases, DatabaseOidIndexId, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	can_take = HeapTupleIsValid(tuple) && status_may_serve_database((Form_pg_database) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
	/* a wait in there may have reset the latch */
	SetLatch(MyLatch);
	return can_take;
}

/* Ask for probes as far as there are slots. */
static void
launcher_fill_slots(void)
{
	while (databases_to_probe != NIL && shmem_want_worker(linitial_oid(databases_to_probe)))
		databases_to_probe = list_delete_first(databases_to_probe);
}

/* Note every database that can be connected to. */
static void
launcher_note_databases(void)
{
	Relation	databases;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	databases = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(databases, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (status_may_serve_database(form))
		{
			MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

			databases_to_probe = lappend_oid(databases_to_probe, form->oid);
			MemoryContextSwitchTo(caller);
		}
	}
	table_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
}

/* Note the end of a worker, and when another may start. */
static void
worker_note_end(WatchedWorker *watched, bool left_politely)
{
	int64		now = clock_monotonic_ms();

	pfree(watched->handle);
	watched->handle = NULL;
	if (left_politely || now - watched->started_ms > HEALTHY_MS)
		watched->failures = 0;
	else
		watched->failures++;
	watched->not_before_ms = watched->failures <= 1 ? now
		: now + backoff_delay(FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, watched->failures);
}

/* Let those start that had no process before: there is one again. */
static void
launcher_retry_without_process(void)
{
	for (int i = 0; i < SHMEM_SLOTS; i++)
		if (wawp_shared->slots[i].has_no_process && workers[i].handle == NULL)
			workers[i].not_before_ms = 0;
}

/* Note the end of workers. */
static void
launcher_check_workers(void)
{
	for (int i = 0; i < SHMEM_SLOTS; i++)
	{
		pid_t		pid;

		if (workers[i].handle == NULL ||
			GetBackgroundWorkerPid(workers[i].handle, &pid) != BGWH_STOPPED)
			continue;
		worker_note_end(&workers[i], !wawp_shared->slots[i].wanted || wawp_shared->slots[i].was_told_to_end);
		launcher_retry_without_process();
	}
}

/* Note for sessions whether the server had a process for a slot's worker. */
static void
slot_note_process(int slot, bool was_there)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->slots[slot].has_no_process = !was_there;
	LWLockRelease(wawp_shared->lock);
}

/* Note that there is no process for the worker of a slot; it is tried again when one of ours has ended, or after a while. */
static void
slot_put_off(int slot)
{
	slot_note_process(slot, false);
	workers[slot].handle = NULL;
	workers[slot].not_before_ms = clock_monotonic_ms() + LONGEST_BACKOFF_MS;
}

/* Start the worker of a slot; false if there is no process for it. */
static bool
slot_start_worker(int slot)
{
	BackgroundWorker worker;
	WatchedWorker *watched = &workers[slot];
	bool		has_started;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	fill_worker(&worker, "wawp_worker_main", "wawp worker");
	worker.bgw_main_arg = Int32GetDatum(slot);
	worker.bgw_notify_pid = MyProcPid;
	has_started = RegisterDynamicBackgroundWorker(&worker, &watched->handle);
	MemoryContextSwitchTo(caller);
	watched->started_ms = clock_monotonic_ms();
	if (has_started)
	{
		slot_note_process(slot, true);
		return true;
	}
	slot_put_off(slot);
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start a wawp worker: there is no free slot"),
			 errhint("You may need to increase \"max_worker_processes\".")));
	return false;
}

/* True if somebody asked for a worker in a slot that has none. */
static bool
slot_is_wanted(int slot)
{
	bool		is_wanted;
	const WorkerSlot *s = &wawp_shared->slots[slot];

	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	is_wanted = s->dbid != InvalidOid && s->wanted && s->pid == 0 && s->bars == 0;
	LWLockRelease(wawp_shared->lock);
	return is_wanted;
}

/* True if a worker is still probing its database. */
static bool
worker_is_probing(int slot)
{
	return workers[slot].handle != NULL && !wawp_shared->slots[slot].serving &&
		clock_monotonic_ms() - workers[slot].started_ms < LONGEST_PROBE_MS;
}

/*
 * Start the workers that are wanted and may start, one after the other, so that
 * a cluster of many databases does not take all processes.  Return when to come
 * again, in monotonic ms.
 */
static int64
launcher_start_wanted(void)
{
	int64		now = clock_monotonic_ms();
	int64		next = PG_INT64_MAX;
	bool		has_process = true;

	for (int i = 0; i < SHMEM_SLOTS; i++)
	{
		if (worker_is_probing(i))
			return now + LONGEST_PROBE_MS;
		if (workers[i].handle != NULL || !slot_is_wanted(i))
			continue;
		if (workers[i].not_before_ms <= now && !database_oid_takes_workers(wawp_shared->slots[i].dbid))
		{
			shmem_forget_database(wawp_shared->slots[i].dbid);
			continue;
		}
		if (workers[i].not_before_ms <= now && has_process)
			has_process = slot_start_worker(i);
		else if (workers[i].not_before_ms <= now)
			slot_put_off(i);
		if (workers[i].handle == NULL)
			next = Min(next, workers[i].not_before_ms);
	}
	return next;
}

/* True if the limiter waits no longer for this slot's database, which has told, cannot tell, or has no process for it. */
static bool
slot_is_known(int slot)
{
	const WorkerSlot *s = &wawp_shared->slots[slot];
	const WatchedWorker *watched = &workers[slot];

	if (s->dbid == InvalidOid || s->replayed || s->bars > 0 || watched->failures > 0 || s->has_no_process)
		return true;
	return watched->handle != NULL && clock_monotonic_ms() - watched->started_ms >= LONGEST_PROBE_MS;
}

/*
 * Open the limiter when every database has told what was sent before the server's
 * start, or has not done so in time.  False if it stays closed.
 */
static bool
launcher_open_limiter(void)
{
	bool		is_known = true;

	if (wawp_shared->limiter_is_rebuilt)
		return true;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		is_known &= slot_is_known(i);
	wawp_shared->limiter_is_rebuilt = is_known;
	LWLockRelease(wawp_shared->lock);
	return is_known;
}

/* Wait for the latch, or until that time; PG_INT64_MAX: for the latch only. */
static void
launcher_wait_until(int64 until)
{
	static uint32 wait_event = 0;
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		timeout = -1;

	if (wait_event == 0)
		wait_event = wawp_wait_event("WawpLauncherMain");
	if (until != PG_INT64_MAX)
	{
		events |= WL_TIMEOUT;
		timeout = (long) Max(until - clock_monotonic_ms(), 0);
	}
	(void) WaitLatch(MyLatch, events, timeout, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
wawp_launcher_main(Datum arg pg_attribute_unused())
{
	int64		next;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	/* the cluster's settings for sessions would end it, from connecting on */
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	wawp_no_transaction_timeout();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("wawp launcher");

	before_shmem_exit(launcher_on_exit, (Datum) 0);
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->launcher_latch = MyLatch;
	LWLockRelease(wawp_shared->lock);
	launcher_note_databases();

	for (;;)
	{
		launcher_check_workers();
		launcher_fill_slots();
		next = launcher_start_wanted();
		if (!launcher_open_limiter())
			next = Min(next, clock_monotonic_ms() + LONGEST_PROBE_MS);
		launcher_wait_until(next);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
