/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  What wawp's processes share.
 *
 * One struct, made while preloading, and what other modules keep beside it:
 * wawp.c names them, each says its size and makes its own.  The lock of
 * each field stands beside it in shmem.h.  A latch is only ever set under the
 * lock under which its owner withdraws it, so none is set that has gone.
 *
 * Nothing here raises an error or allocates, because waking happens in commit
 * callbacks.
 *
 * IDENTIFICATION
 *	  src/base/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "compat.h"

WawpShared *wawp_shared = NULL;

static const ShmemPart *module_parts;	/* what other modules keep */
static int	n_module_parts;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WawpShared)));
	for (int i = 0; i < n_module_parts; i++)
		RequestAddinShmemSpace(module_parts[i].size());
	RequestNamedLWLockTranche("wawp", 3);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	wawp_shared = ShmemInitStruct("wawp", sizeof(WawpShared), &found);
	if (!found)
	{
		LWLockPadded *locks = GetNamedLWLockTranche("wawp");

		memset(wawp_shared, 0, sizeof(WawpShared));
		wawp_shared->lock = &locks[0].lock;
		wawp_shared->limiter_lock = &locks[1].lock;
		wawp_shared->relay_lock = &locks[2].lock;
	}
	for (int i = 0; i < n_module_parts; i++)
		module_parts[i].startup();
	LWLockRelease(AddinShmemInitLock);
}

/* Installs the hooks; while preloading only.  The parts are static. */
void
shmem_init(const ShmemPart *parts, int nparts)
{
	module_parts = parts;
	n_module_parts = nparts;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* The slot of a database, taken if need be; NULL when all are. */
static WorkerSlot *
find_slot(Oid dbid)
{
	WorkerSlot *unused = NULL;

	for (int i = 0; i < SHMEM_SLOTS; i++)
	{
		WorkerSlot *slot = &wawp_shared->slots[i];

		if (slot->dbid == dbid)
			return slot;
		if (slot->dbid == InvalidOid && unused == NULL)
			unused = slot;
	}
	if (unused)
	{
		memset(unused, 0, sizeof(WorkerSlot));
		unused->dbid = dbid;
	}
	return unused;
}

static void
add_lanes(WorkerSlot *slot, const LaneKey *lanes, int nlanes)
{
	if (slot->nlanes + nlanes > SHMEM_WAKE_LANES)
		slot->rescan = true;
	else if (nlanes > 0)
	{
		memcpy(slot->lanes + slot->nlanes, lanes, sizeof(LaneKey) * nlanes);
		slot->nlanes += nlanes;
	}
}

/* Wakes the worker of a slot, or the launcher when none runs. */
static void
wake(WorkerSlot *slot)
{
	slot->wanted = true;
	if (slot->pid != 0 && slot->latch)
		SetLatch(slot->latch);
	else if (wawp_shared->launcher_latch)
		SetLatch(wawp_shared->launcher_latch);
}

/*
 * Tells a database's worker that lanes got new intents, or that anything may
 * have changed.  Asks for a worker when none runs.  False: all slots are
 * taken.
 */
bool
shmem_wake_worker(Oid dbid, const LaneKey *lanes, int nlanes, bool rescan)
{
	WorkerSlot *slot;

	if (wawp_shared == NULL)
		return false;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot)
	{
		slot->rescan |= rescan;
		add_lanes(slot, lanes, nlanes);
		wake(slot);
	}
	LWLockRelease(wawp_shared->lock);
	return slot != NULL;
}

/* Tells a database's worker that a session has posted a record. */
bool
shmem_bring_mail(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot)
	{
		slot->mail = true;
		wake(slot);
	}
	LWLockRelease(wawp_shared->lock);
	return slot != NULL;
}

/* Asks the launcher for a worker of that database. */
bool
shmem_want_worker(Oid dbid)
{
	return shmem_wake_worker(dbid, NULL, 0, true);
}

/* Nobody can connect there: gives up a slot that no worker has. */
void
shmem_forget_database(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot && slot->pid == 0 && slot->bars == 0)
		memset(slot, 0, sizeof(WorkerSlot));
	LWLockRelease(wawp_shared->lock);
}

/* Does the limiter, new since the server's start, not know this database yet? */
bool
shmem_needs_replay(Oid dbid)
{
	WorkerSlot *slot;
	bool		needs;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	needs = slot && !slot->replayed;
	LWLockRelease(wawp_shared->lock);
	return needs;
}

void
shmem_note_replay(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot)
		slot->replayed = true;
	LWLockRelease(wawp_shared->lock);
}

/*
 * Keeps the worker out of a database until shmem_admit_worker.  Returns the
 * process that must end first, 0 when none runs.
 */
pid_t
shmem_bar_worker(Oid dbid, bool is_first_call)
{
	WorkerSlot *slot;
	pid_t		pid = 0;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot)
	{
		slot->bars += is_first_call ? 1 : 0;
		pid = slot->pid;
	}
	LWLockRelease(wawp_shared->lock);
	return pid;
}

/*
 * Lets a worker in again, and has one started where one was.  A database that
 * is gone, or was barred for nothing, leaves its slot.
 */
void
shmem_admit_worker(Oid dbid, bool is_gone, bool had_worker)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot)
	{
		slot->bars = Max(slot->bars - 1, 0);
		slot->wanted |= had_worker;
		if (is_gone || (!slot->wanted && slot->pid == 0 && slot->bars == 0))
			memset(slot, 0, sizeof(WorkerSlot));
		if (wawp_shared->launcher_latch)
			SetLatch(wawp_shared->launcher_latch);
	}
	LWLockRelease(wawp_shared->lock);
}

/* The worker of a database; 0 when none runs. */
pid_t
shmem_worker_pid(Oid dbid)
{
	pid_t		pid = 0;

	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		if (wawp_shared->slots[i].dbid == dbid)
			pid = wawp_shared->slots[i].pid;
	LWLockRelease(wawp_shared->lock);
	return pid;
}

/* Copies a database's slot, zeroes when it has none.  True if the launcher runs. */
bool
shmem_read_slot(Oid dbid, WorkerSlot *copy)
{
	bool		has_launcher;

	memset(copy, 0, sizeof(WorkerSlot));
	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		if (wawp_shared->slots[i].dbid == dbid)
			*copy = wawp_shared->slots[i];
	has_launcher = wawp_shared->launcher_latch != NULL;
	LWLockRelease(wawp_shared->lock);
	return has_launcher;
}

/* Lets the worker serve so much although it is off; 0: another call does. */
int64
shmem_give_permit(Oid dbid, int64 requests, int64 until)
{
	WorkerSlot *slot;
	static int64 calls = 0;
	int64		given = 0;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot && !slot->permit)
	{
		slot->permit = true;
		given = slot->permit_number = ((int64) MyProcPid << 32) | ++calls;
		slot->permit_requests = requests;
		slot->permit_until = until;
	}
	LWLockRelease(wawp_shared->lock);
	if (given)
		shmem_wake_worker(dbid, NULL, 0, true);
	return given;
}

bool
shmem_has_permit(Oid dbid, int64 number)
{
	bool		permit = false;

	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		if (wawp_shared->slots[i].dbid == dbid)
			permit = wawp_shared->slots[i].permit && wawp_shared->slots[i].permit_number == number;
	LWLockRelease(wawp_shared->lock);
	return permit;
}

void
shmem_end_permit(Oid dbid, int64 number)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(dbid);
	if (slot && slot->permit_number == number)
		slot->permit = false;
	LWLockRelease(wawp_shared->lock);
}

void
shmem_wake_launcher(void)
{
	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	if (wawp_shared->launcher_latch)
		SetLatch(wawp_shared->launcher_latch);
	LWLockRelease(wawp_shared->lock);
}
