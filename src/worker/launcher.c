/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts a worker for each database that has the extension.
 *
 * Attached to shared catalogs only.  When it starts, a worker looks into each
 * connectable database in turn and leaves at once where there is nothing;
 * later one is started where somebody asked for it (CREATE EXTENSION, a
 * function called, rows committed).  The postmaster never restarts workers;
 * the launcher does, with backoff, and says when there is no free slot.
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
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"
#include "worker/worker.h"

#include "compat.h"

#define FIRST_BACKOFF_MS 1000
#define LONGEST_BACKOFF_MS 60000
/* A worker that lived that long had not failed at its start. */
#define HEALTHY_MS 60000
/* A look that takes longer (its database is locked) holds up no others. */
#define LONGEST_LOOK_MS 5000

/* What the launcher remembers of a slot's worker. */
typedef struct Charge
{
	BackgroundWorkerHandle *handle; /* NULL: none was started */
	int64		started_at;
	int64		not_before;		/* monotonic ms */
	int			failures;
} Charge;

static Charge charges[SHMEM_SLOTS];

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

/* Registers the launcher; while preloading only. */
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
leave(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->launcher_latch = NULL;
	LWLockRelease(wawp_shared->lock);
}

static List *to_look_into = NIL;	/* databases for which there was no slot yet */

/* Can a worker connect there, and should it stay? */
static bool
is_for_workers(Form_pg_database form)
{
	return form->datallowconn && !form->datistemplate;
}

static bool
database_is_for_workers(Oid dbid)
{
	HeapTuple	tuple;
	bool		is_for;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	is_for = HeapTupleIsValid(tuple) && is_for_workers((Form_pg_database) GETSTRUCT(tuple));
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	/* a wait in there may have taken what we were told meanwhile */
	SetLatch(MyLatch);
	return is_for;
}

/* Asks for looks as far as there are slots. */
static void
feed_slots(void)
{
	while (to_look_into != NIL && shmem_want_worker(linitial_oid(to_look_into)))
		to_look_into = list_delete_first(to_look_into);
}

/* Notes every database that can be connected to. */
static void
note_all_databases(void)
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

		if (is_for_workers(form))
		{
			MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

			to_look_into = lappend_oid(to_look_into, form->oid);
			MemoryContextSwitchTo(caller);
		}
	}
	table_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
}

static void
note_end(Charge *charge, bool left_politely)
{
	int64		now = clock_monotonic_ms();
	int64		delay = FIRST_BACKOFF_MS;

	pfree(charge->handle);
	charge->handle = NULL;
	if (left_politely || now - charge->started_at > HEALTHY_MS)
		charge->failures = 0;
	else
		charge->failures++;
	for (int i = 1; i < charge->failures && delay < LONGEST_BACKOFF_MS; i++)
		delay *= 2;
	charge->not_before = charge->failures > 1 ? now + delay : now;
}

/* Takes notice of workers that ended. */
static void
check_charges(void)
{
	for (int i = 0; i < SHMEM_SLOTS; i++)
	{
		pid_t		pid;

		if (charges[i].handle == NULL ||
			GetBackgroundWorkerPid(charges[i].handle, &pid) != BGWH_STOPPED)
			continue;
		note_end(&charges[i], !wawp_shared->slots[i].wanted || wawp_shared->slots[i].was_told_to_end);
	}
}

/* Leaves word for sessions whether the server had a process for a slot's worker. */
static void
note_process(int slot, bool was_there)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->slots[slot].has_no_process = !was_there;
	LWLockRelease(wawp_shared->lock);
}

static void
start_worker(int slot)
{
	BackgroundWorker worker;
	Charge	   *charge = &charges[slot];
	bool		started;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	fill_worker(&worker, "wawp_worker_main", "wawp worker");
	worker.bgw_main_arg = Int32GetDatum(slot);
	worker.bgw_notify_pid = MyProcPid;
	started = RegisterDynamicBackgroundWorker(&worker, &charge->handle);
	MemoryContextSwitchTo(caller);
	charge->started_at = clock_monotonic_ms();
	note_process(slot, started);
	if (started)
		return;
	charge->handle = NULL;
	charge->not_before = charge->started_at + LONGEST_BACKOFF_MS;
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start a wawp worker: there is no free slot"),
			 errhint("You may need to increase \"max_worker_processes\".")));
}

static bool
is_wanted(int slot)
{
	bool		wanted;
	const WorkerSlot *s = &wawp_shared->slots[slot];

	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	wanted = s->dbid != InvalidOid && s->wanted && s->pid == 0 && s->bars == 0;
	LWLockRelease(wawp_shared->lock);
	return wanted;
}

/* Does a worker still look whether there is anything in its database? */
static bool
is_looking(int slot)
{
	return charges[slot].handle != NULL && !wawp_shared->slots[slot].serving &&
		clock_monotonic_ms() - charges[slot].started_at < LONGEST_LOOK_MS;
}

/*
 * Starts what is wanted and may start; returns when to look again, in ms.  One
 * after the other, lest a cluster of many databases take all worker slots.
 */
static int64
start_wanted(void)
{
	int64		now = clock_monotonic_ms();
	int64		next = PG_INT64_MAX;

	for (int i = 0; i < SHMEM_SLOTS; i++)
	{
		if (is_looking(i))
			return now + LONGEST_LOOK_MS;
		if (charges[i].handle != NULL || !is_wanted(i))
			continue;
		if (charges[i].not_before <= now && !database_is_for_workers(wawp_shared->slots[i].dbid))
		{
			shmem_forget_database(wawp_shared->slots[i].dbid);
			continue;
		}
		if (charges[i].not_before <= now)
			start_worker(i);
		if (charges[i].handle == NULL)
			next = Min(next, charges[i].not_before);
	}
	return next;
}

/* Is nothing to be learnt of this slot's database any more, for the limiter? */
static bool
is_known(int slot)
{
	const WorkerSlot *s = &wawp_shared->slots[slot];
	const Charge *charge = &charges[slot];

	if (s->dbid == InvalidOid || s->replayed || s->bars > 0 || charge->failures > 0)
		return true;
	return charge->handle != NULL && clock_monotonic_ms() - charge->started_at >= LONGEST_LOOK_MS;
}

/*
 * Opens the limiter when every database has told what left before the server's
 * start; one that cannot tell in time does not keep all others waiting.
 * False: not yet.
 */
static bool
open_limiter(void)
{
	bool		known = true;

	if (wawp_shared->limiter_is_rebuilt)
		return true;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		known &= is_known(i);
	wawp_shared->limiter_is_rebuilt = known;
	LWLockRelease(wawp_shared->lock);
	return known;
}

static void
wait_until(int64 until)
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
	/* what the cluster sets for sessions would end it, from connecting on */
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	wawp_no_transaction_timeout();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("wawp launcher");

	before_shmem_exit(leave, (Datum) 0);
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	wawp_shared->launcher_latch = MyLatch;
	LWLockRelease(wawp_shared->lock);
	note_all_databases();

	for (;;)
	{
		check_charges();
		feed_slots();
		next = start_wanted();
		if (!open_limiter())
			next = Min(next, clock_monotonic_ms() + LONGEST_LOOK_MS);
		wait_until(next);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
