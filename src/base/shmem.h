/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory of wawp's processes: worker slots, latches, wake lists.
 *
 * IDENTIFICATION
 *	  src/base/shmem.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SHMEM_H
#define WAWP_SHMEM_H

#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "protocol/jid.h"

#include "compat.h"

/* databases of one cluster that can have a worker */
#define SHMEM_SLOTS 64
/* lanes in a wake list; with more the worker rescans its queue */
#define SHMEM_WAKE_LANES 32

/* A lane, the unit of pacing and ordering: a group of an instance. */
typedef struct LaneKey
{
	NameData	instance;
	char		group[JID_SIZE];
} LaneKey;

/* A lane that got new intents: none sorts before that priority and id; id 0: that is not known. */
typedef struct LaneNews
{
	LaneKey		lane;
	int			priority;
	int64		id;
} LaneNews;

/* Parts of a worker's work that fail and succeed independently. */
typedef enum WorkerPart
{
	PART_CYCLE,					/* serving the queue */
	PART_MAIL,					/* recording session calls */
	PART_PRUNE,					/* retention */
	PART_PARTITIONS				/* the audit log's next months */
} WorkerPart;

#define WORKER_PARTS 4
#define TROUBLE_BYTES 256

/* Errors of one part of a worker's work; written and read by worker_status.c. */
typedef struct WorkerTrouble
{
	int			errors;			/* in a row; 0: none since the start */
	int			sqlstate;
	TimestampTz since;
	int64		failed_ms;		/* monotonic */
	int64		succeeded_ms;	/* monotonic; before failed_ms: the part is failing */
	char		message[TROUBLE_BYTES];
} WorkerTrouble;

/* Roles of a database whose refusals are counted apart; the last entry is for all others. */
#define SHMEM_REFUSALS 8

/* Refusals of a role by a quota; sessions count them, as their own records go with their transactions. */
typedef struct QuotaRefusals
{
	Oid			role;			/* InvalidOid: free, or in the last entry all others */
	bool		of_holds;		/* wawp.max_holds_per_role, else wawp.max_queued_per_role */
	int64		count;			/* since the last record */
	int64		recorded_ms;	/* when that was written, monotonic; 0: none */
} QuotaRefusals;

/* One database's worker.  All fields under WawpShared.lock. */
typedef struct WorkerSlot
{
	Oid			dbid;			/* InvalidOid: free */
	pid_t		pid;			/* 0: no worker runs */
	Latch	   *latch;			/* of that worker */
	bool		wanted;			/* there is news that no worker has taken up */
	bool		was_told_to_end;	/* the last worker was; it did not fail */
	bool		was_interrupted;	/* ... in the middle of a transaction: do not count a crash */
	bool		serving;		/* the worker found the extension */
	bool		replayed;		/* the limiter knows this database's last day */
	bool		has_no_process; /* the server had none free for it */
	bool		is_off;			/* by the worker's own wawp.worker */
	TimestampTz started_at;
	TimestampTz last_cycle_at;	/* that committed */
	int			in_flight;		/* requests claimed or under way */
	int64		in_transaction_ms;	/* since when, monotonic; 0: in none */
	WorkerTrouble troubles[WORKER_PARTS];
	int			bars;			/* number of statements that keep the worker out */
	bool		permit;			/* a CALL wawp_drain() waits: serve although off */
	int64		permit_number;	/* of the call that has it */
	int64		permit_requests;	/* requests that it still allows */
	int64		permit_until_ms;	/* monotonic ms */
	bool		mail;			/* sessions have posted records */
	bool		events;			/* ... or stored events of the gateway */
	bool		rescan;			/* read the whole queue */
	int			nlanes;
	LaneNews	lanes[SHMEM_WAKE_LANES];	/* those with new intents */
	bool		refusals_due;	/* some are to be recorded now */
	QuotaRefusals refusals[SHMEM_REFUSALS];
} WorkerSlot;

typedef struct WawpShared
{
	LWLock	   *lock;			/* guards slots and launcher_latch */
	LWLock	   *limiter_lock;	/* guards limiter.c's table */
	LWLock	   *mailbox_lock;		/* guards the boxes */
	LWLock	   *counters_lock;	/* guards counters.c's table */
	Latch	   *launcher_latch; /* NULL: no launcher runs */
	int64		limiter_refusals;	/* for a lack of room; under limiter_lock */
	bool		limiter_is_rebuilt; /* every database's last day is known; never unset */
	WorkerSlot	slots[SHMEM_SLOTS];
} WawpShared;

extern WawpShared *wawp_shared; /* NULL: not preloaded */

/* A module's own shared memory; startup runs with AddinShmemInitLock held, once per process. */
typedef struct ShmemPart
{
	Size		(*size) (void);
	void		(*startup) (void);
} ShmemPart;

extern void shmem_init(const ShmemPart *parts, int nparts);
extern bool shmem_wake_worker(Oid dbid, const LaneNews *lanes, int nlanes, bool rescan);
extern bool shmem_bring_mail(Oid dbid);
extern void shmem_bring_events(Oid dbid);
extern void shmem_note_refusal(Oid dbid, Oid role, bool of_holds);
extern int	shmem_due_refusals(WorkerSlot *slot, QuotaRefusals *due);
extern void shmem_end_refusals(WorkerSlot *slot, const QuotaRefusals *recorded, int n);
extern void shmem_forget_database(Oid dbid);
extern bool shmem_needs_replay(Oid dbid);
extern void shmem_note_replay(Oid dbid);
extern pid_t shmem_worker_pid(Oid dbid);
extern int	shmem_worker_pids(pid_t *pids);
extern bool shmem_read_slot(Oid dbid, WorkerSlot *copy);
extern int64 shmem_give_permit(Oid dbid, int64 requests, int64 until);
extern bool shmem_has_permit(Oid dbid, int64 number);
extern void shmem_end_permit(Oid dbid, int64 number);
extern void shmem_wake_launcher(void);
extern pid_t shmem_bar_worker(Oid dbid, bool is_first_call);
extern void shmem_admit_worker(Oid dbid, bool is_gone, bool had_worker);

/* Request a worker for a database; false if all slots are taken. */
static inline bool
shmem_want_worker(Oid dbid)
{
	return shmem_wake_worker(dbid, NULL, 0, true);
}

#endif							/* WAWP_SHMEM_H */
