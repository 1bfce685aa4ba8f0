/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory of wawp's processes: worker slots, latches, wake lists.
 *
 * One struct, made while preloading; other modules keep their own structs beside
 * it: wawp.c lists them, each states its size and initialises its part.  The
 * lock of each field is noted beside it in shmem.h.  A latch is set only under
 * the lock under which its owner withdraws it, so that no latch of an ended
 * process is set.
 *
 * Functions take WawpShared.lock themselves; those that receive a WorkerSlot
 * expect it to be held.  None raises an error or allocates, because waking
 * happens in commit callbacks.
 *
 * IDENTIFICATION
 *	  src/base/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "compat.h"

WawpShared *wawp_shared = NULL;

static const ShmemPart *module_parts;	/* of other modules */
static int	n_module_parts;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WawpShared)));
	for (int i = 0; i < n_module_parts; i++)
		RequestAddinShmemSpace(module_parts[i].size());
	RequestNamedLWLockTranche("wawp", 4);
}

static void
shmem_startup(void)
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
		wawp_shared->mailbox_lock = &locks[2].lock;
		wawp_shared->counters_lock = &locks[3].lock;
	}
	for (int i = 0; i < n_module_parts; i++)
		module_parts[i].startup();
	LWLockRelease(AddinShmemInitLock);
}

/* Install the hooks; while preloading only.  The parts are static. */
void
shmem_init(const ShmemPart *parts, int nparts)
{
	module_parts = parts;
	n_module_parts = nparts;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/* Return the slot of a database, taking a free one if it has none; NULL if all are taken. */
static WorkerSlot *
shmem_find_slot(Oid dbid)
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

/* Add lanes to the slot's wake list; if they do not fit, ask for a rescan. */
static void
slot_add_lanes(WorkerSlot *slot, const LaneNews *lanes, int nlanes)
{
	if (slot->nlanes + nlanes > SHMEM_WAKE_LANES)
		slot->rescan = true;
	else if (nlanes > 0)
	{
		memcpy(slot->lanes + slot->nlanes, lanes, sizeof(LaneNews) * nlanes);
		slot->nlanes += nlanes;
	}
}

/* Wake the worker of a slot, or the launcher if none runs. */
static void
slot_wake(WorkerSlot *slot)
{
	slot->wanted = true;
	if (slot->pid != 0 && slot->latch)
		SetLatch(slot->latch);
	else if (wawp_shared->launcher_latch)
		SetLatch(wawp_shared->launcher_latch);
}

/*
 * Tell a database's worker that lanes got new intents, or that anything may
 * have changed (rescan).  Requests a worker if none runs.  False if all slots
 * are taken.
 */
bool
shmem_wake_worker(Oid dbid, const LaneNews *lanes, int nlanes, bool rescan)
{
	WorkerSlot *slot;

	if (wawp_shared == NULL)
		return false;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
	{
		slot->rescan |= rescan;
		slot_add_lanes(slot, lanes, nlanes);
		slot_wake(slot);
	}
	LWLockRelease(wawp_shared->lock);
	return slot != NULL;
}

/* Tell a database's worker that a session has posted a record; false if all slots are taken. */
bool
shmem_bring_mail(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
	{
		slot->mail = true;
		slot_wake(slot);
	}
	LWLockRelease(wawp_shared->lock);
	return slot != NULL;
}

/* Refusals of a role are recorded at once, and then once in that time. */
#define REFUSALS_PAUSE_MS (60 * 1000)

static bool
refusals_are_due(const QuotaRefusals *refusals)
{
	return refusals->count > 0 && (refusals->recorded_ms == 0 || clock_monotonic_ms() >= refusals->recorded_ms + REFUSALS_PAUSE_MS);
}

/* Return the entry of a role and quota, made if there is room, else that of all others. */
static QuotaRefusals *
slot_refusals_of(WorkerSlot *slot, Oid role, bool of_holds)
{
	for (int i = 0; i < SHMEM_REFUSALS - 1; i++)
	{
		QuotaRefusals *entry = &slot->refusals[i];

		if (!OidIsValid(entry->role))
			*entry = (QuotaRefusals) {role, of_holds, 0, 0};
		if (entry->role == role && entry->of_holds == of_holds)
			return entry;
	}
	return &slot->refusals[SHMEM_REFUSALS - 1];
}

/* Count what a quota has refused a role; the worker of the database records it. */
void
shmem_note_refusal(Oid dbid, Oid role, bool of_holds)
{
	WorkerSlot *slot;

	if (wawp_shared == NULL)
		return;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
	{
		QuotaRefusals *refusals = slot_refusals_of(slot, role, of_holds);

		refusals->count++;
		if (!slot->refusals_due && refusals_are_due(refusals))
		{
			slot->refusals_due = true;
			slot_wake(slot);
		}
	}
	LWLockRelease(wawp_shared->lock);
}

/* Copy the refusals that are to be recorded now; return how many entries.  Entries that have had none for a while are freed. */
int
shmem_due_refusals(WorkerSlot *slot, QuotaRefusals *due)
{
	int			n = 0;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SHMEM_REFUSALS; i++)
	{
		QuotaRefusals *entry = &slot->refusals[i];

		if (refusals_are_due(entry))
			due[n++] = *entry;
		else if (entry->count == 0 && clock_monotonic_ms() >= entry->recorded_ms + REFUSALS_PAUSE_MS)
			memset(entry, 0, sizeof(*entry));
	}
	slot->refusals_due = false;
	LWLockRelease(wawp_shared->lock);
	return n;
}

/* Note that refusals were recorded. */
void
shmem_end_refusals(WorkerSlot *slot, const QuotaRefusals *recorded, int n)
{
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < SHMEM_REFUSALS; k++)
		{
			QuotaRefusals *entry = &slot->refusals[k];

			if (entry->role != recorded[i].role || entry->of_holds != recorded[i].of_holds || entry->count < recorded[i].count)
				continue;
			entry->count -= recorded[i].count;
			entry->recorded_ms = clock_monotonic_ms();
			break;
		}
	LWLockRelease(wawp_shared->lock);
}

/* Tell a database's worker that a session has stored an event. */
void
shmem_bring_events(Oid dbid)
{
	WorkerSlot *slot;

	if (wawp_shared == NULL)
		return;
	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
	{
		slot->events = true;
		slot_wake(slot);
	}
	LWLockRelease(wawp_shared->lock);
}

/* Free the slot of a database to which nobody can connect, unless a worker has it. */
void
shmem_forget_database(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot && slot->pid == 0 && slot->bars == 0)
		memset(slot, 0, sizeof(WorkerSlot));
	LWLockRelease(wawp_shared->lock);
}

/* True if the limiter does not know this database's last day yet. */
bool
shmem_needs_replay(Oid dbid)
{
	WorkerSlot *slot;
	bool		needs;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	needs = slot && !slot->replayed;
	LWLockRelease(wawp_shared->lock);
	return needs;
}

/* Record that the limiter knows this database's last day. */
void
shmem_note_replay(Oid dbid)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
		slot->replayed = true;
	LWLockRelease(wawp_shared->lock);
}

/*
 * Keep the worker out of a database until shmem_admit_worker.  Returns the
 * process that must end first, 0 if none runs.  is_first_call: later calls only
 * ask for the process again.
 */
pid_t
shmem_bar_worker(Oid dbid, bool is_first_call)
{
	WorkerSlot *slot;
	pid_t		pid = 0;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot)
	{
		slot->bars += is_first_call ? 1 : 0;
		pid = slot->pid;
	}
	LWLockRelease(wawp_shared->lock);
	return pid;
}

/*
 * Let a worker in again, and request one if there was one before.  The slot is
 * freed if the database is gone or no worker was involved.
 */
void
shmem_admit_worker(Oid dbid, bool is_gone, bool had_worker)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
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

/* Return the process of a database's worker; 0 if none runs. */
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

/* Write the processes of all workers to pids[SHMEM_SLOTS]; return how many. */
int
shmem_worker_pids(pid_t *pids)
{
	int			n = 0;

	LWLockAcquire(wawp_shared->lock, LW_SHARED);
	for (int i = 0; i < SHMEM_SLOTS; i++)
		if (wawp_shared->slots[i].pid != 0)
			pids[n++] = wawp_shared->slots[i].pid;
	LWLockRelease(wawp_shared->lock);
	return n;
}

/* Copy a database's slot to *copy, zeros if it has none.  True if the launcher runs. */
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

/*
 * Let the worker serve so many requests, until a monotonic time in ms, although
 * it is off.  Returns the permit's number; 0 if another call has a permit.
 */
int64
shmem_give_permit(Oid dbid, int64 requests, int64 until)
{
	WorkerSlot *slot;
	static int64 calls = 0;
	int64		given = 0;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
	if (slot && !slot->permit)
	{
		slot->permit = true;
		given = slot->permit_number = ((int64) MyProcPid << 32) | ++calls;
		slot->permit_requests = requests;
		slot->permit_until_ms = until;
	}
	LWLockRelease(wawp_shared->lock);
	if (given)
		shmem_wake_worker(dbid, NULL, 0, true);
	return given;
}

/* True while that permit is not used up. */
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

/* End that permit, unless another has replaced it. */
void
shmem_end_permit(Oid dbid, int64 number)
{
	WorkerSlot *slot;

	LWLockAcquire(wawp_shared->lock, LW_EXCLUSIVE);
	slot = shmem_find_slot(dbid);
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
