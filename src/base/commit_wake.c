/*-------------------------------------------------------------------------
 *
 * commit_wake.c
 *	  Wakes the worker when a transaction commits.
 *
 * What a transaction has changed for the worker (lanes that got rows, settings
 * of an instance) is remembered in the process and handed over in shared memory
 * with a latch, by a callback that is registered once per process and cannot
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

#include "compat.h"

/* What this transaction has asked the worker to look at. */
static struct
{
	bool		registered;
	bool		wake;
	bool		rescan;
	int			nlanes;
	LaneKey		lanes[SHMEM_WAKE_LANES];
}			pending;

static void
commit_wake_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (!pending.wake || event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT)
		shmem_wake_worker(MyDatabaseId, pending.lanes, pending.nlanes, pending.rescan);
	pending.wake = pending.rescan = false;
	pending.nlanes = 0;
}

/* Wakes the worker when this transaction commits, to look at a lane; NULL: at everything. */
void
commit_wake_worker(const LaneKey *lane)
{
	if (!pending.registered)
		RegisterXactCallback(commit_wake_on_xact_end, NULL);
	pending.registered = true;
	pending.wake = true;
	if (lane == NULL || pending.nlanes == SHMEM_WAKE_LANES)
		pending.rescan = true;
	else if (!pending.rescan &&
			 (pending.nlanes == 0 ||
			  memcmp(lane, &pending.lanes[pending.nlanes - 1], sizeof(LaneKey)) != 0))
		pending.lanes[pending.nlanes++] = *lane;
}
