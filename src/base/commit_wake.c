/*-------------------------------------------------------------------------
 *
 * commit_wake.c
 *	  Wakes the worker when a transaction commits.
 *
 * The process notes the lanes for which a transaction changed something the
 * worker acts on (rows of the queue, settings of an instance).  At commit they
 * are handed over in shared memory and the worker's latch is set, by callbacks
 * that are registered once per process and cannot fail.  A rollback discards
 * them; so does PREPARE TRANSACTION, after which utility_hook.c wakes the worker.
 *
 * Memory: static, bounded by SHMEM_WAKE_LANES; with more lanes the worker
 * rescans the whole queue.
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

/* Lanes that the worker is to be told of when this transaction commits. */
static struct
{
	bool		is_registered;
	bool		has_request;	/* the worker is to be woken at commit */
	bool		has_committed;	/* the worker is to be woken when locks are released */
	bool		has_events;		/* there are events to be applied */
	bool		has_queued;		/* there is something for the queue, too */
	bool		rescan;
	int			nlanes;
	LaneNews	lanes[SHMEM_WAKE_LANES];
}			pending;

/* Forget what the worker was to be told. */
static void
commit_wake_forget(void)
{
	pending.has_request = pending.has_events = pending.has_queued = pending.rescan = false;
	pending.nlanes = 0;
}

/* Note a commit for commit_wake_on_release; discard everything at any other end. */
static void
commit_wake_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	pending.has_committed = pending.has_request && event == XACT_EVENT_COMMIT;
	if (pending.has_committed)
		return;
	commit_wake_forget();
}

/*
 * Wake the worker when locks are released, which is after the invalidations
 * have been sent.  A worker that was woken earlier could read a server's old
 * options from its cache.
 */
static void
commit_wake_on_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
					   void *arg pg_attribute_unused())
{
	if (!pending.has_committed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level)
		return;
	if (pending.has_events)
		shmem_bring_events(MyDatabaseId);
	if (pending.has_queued)
		shmem_wake_worker(MyDatabaseId, pending.lanes, pending.nlanes, pending.rescan);
	pending.has_committed = false;
	commit_wake_forget();
}

/* Let the worker be woken when this transaction commits. */
static void
commit_wake_request(void)
{
	if (!pending.is_registered)
	{
		RegisterXactCallback(commit_wake_on_xact_end, NULL);
		RegisterResourceReleaseCallback(commit_wake_on_release, NULL);
	}
	pending.is_registered = true;
	pending.has_request = true;
}

/* Wake the worker when this transaction commits, to apply events; the queue is not looked at for that. */
void
commit_wake_for_events(void)
{
	commit_wake_request();
	pending.has_events = true;
}

/* True if the last lane that was noted is this one; then also note what is new in it. */
static bool
pending_merge(const LaneKey *lane, int priority, int64 id)
{
	LaneNews   *last = pending.nlanes > 0 ? &pending.lanes[pending.nlanes - 1] : NULL;

	if (last == NULL || memcmp(lane, &last->lane, sizeof(LaneKey)) != 0)
		return false;
	last->priority = Max(last->priority, priority);
	last->id = Min(last->id, id);
	return true;
}

/* Wake the worker when this transaction commits, for an intent of a lane; id 0: for any. */
void
commit_wake_for(const LaneKey *lane, int priority, int64 id)
{
	commit_wake_request();
	pending.has_queued = true;
	if (lane && !pending.rescan && pending_merge(lane, priority, id))
		return;
	if (lane == NULL || pending.nlanes == SHMEM_WAKE_LANES)
		pending.rescan = true;
	else if (!pending.rescan)
		pending.lanes[pending.nlanes++] = (LaneNews) {*lane, priority, id};
}

/* Wake the worker when this transaction commits, for a lane in which anything may have changed; NULL: for the whole queue. */
void
commit_wake_worker(const LaneKey *lane)
{
	commit_wake_for(lane, 0, 0);
}
