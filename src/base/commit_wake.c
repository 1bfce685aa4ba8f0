/*-------------------------------------------------------------------------
 *
 * commit_wake.c
 *	  Wakes the worker when a transaction commits.
 *
 * What a transaction has changed for the worker (lanes that got rows, settings
 * of an instance) is remembered in the process and handed over in shared memory
 * with a latch, by callbacks that are registered once per process and cannot
 * fail.  A rollback forgets it.  A prepared transaction forgets it as well: its
 * rows are found by the worker's safety poll.
 *
 * Memory: static, bounded by SHMEM_WAKE_LANES; more lanes mean a look at all.
 *
 * IDENTIFICATION
 *	  src/base/commit_wake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/commit_wake.h"
#include "miscadmin.h"
#include "utils/resowner.h"

#include "compat.h"

/* What this transaction has asked the worker to look at. */
static struct
{
	bool		registered;
	bool		wake;
	bool		has_committed;	/* and the worker is to be woken when locks are released */
	bool		rescan;
	int			nlanes;
	LaneKey		lanes[SHMEM_WAKE_LANES];
}			pending;

static void
commit_wake_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	pending.has_committed = pending.wake && event == XACT_EVENT_COMMIT;
	if (pending.has_committed)
		return;
	pending.wake = pending.rescan = false;
	pending.nlanes = 0;
}

/*
 * Locks are released after the invalidations have been sent.  A worker that was
 * woken before that could read a server's old options out of its cache.
 */
static void
commit_wake_on_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
					   void *arg pg_attribute_unused())
{
	if (!pending.has_committed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level)
		return;
	shmem_wake_worker(MyDatabaseId, pending.lanes, pending.nlanes, pending.rescan);
	pending.has_committed = pending.wake = pending.rescan = false;
	pending.nlanes = 0;
}

/* Wakes the worker when this transaction commits, to look at a lane; NULL: at everything. */
void
commit_wake_worker(const LaneKey *lane)
{
	if (!pending.registered)
	{
		RegisterXactCallback(commit_wake_on_xact_end, NULL);
		RegisterResourceReleaseCallback(commit_wake_on_release, NULL);
	}
	pending.registered = true;
	pending.wake = true;
	if (lane == NULL || pending.nlanes == SHMEM_WAKE_LANES)
		pending.rescan = true;
	else if (!pending.rescan &&
			 (pending.nlanes == 0 ||
			  memcmp(lane, &pending.lanes[pending.nlanes - 1], sizeof(LaneKey)) != 0))
		pending.lanes[pending.nlanes++] = *lane;
}
