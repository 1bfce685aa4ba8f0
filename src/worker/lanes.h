/*-------------------------------------------------------------------------
 *
 * lanes.h
 *	  Decides which group is served next.
 *
 * IDENTIFICATION
 *	  src/worker/lanes.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LANES_H
#define WAWP_LANES_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"

#include "base/shmem.h"

/* A row that a user has locked, or whose person is in flight, is tried again after that. */
#define LANES_LOCKED_RETRY_MS 200

/* Lanes that wait for their instance: each queue in the order of the lanes' last turns. */
typedef enum LaneQueue
{
	QUEUE_READY,				/* has the information an addition needs: for a token of the pace */
	QUEUE_FRESH,				/* for room only */
	QUEUE_KNOWN,				/* its group is known: for when a token is near */
	QUEUE_NEXT,					/* likewise, and then to read the group */
	QUEUE_READ					/* for a permit to do that */
} LaneQueue;

#define LANE_QUEUES (QUEUE_READ + 1)

typedef struct LaneInstance LaneInstance;

/* The server that instances are on. */
typedef struct LaneHost
{
	uint64		key;			/* hash of its origin, must be first */
	int			instances;
	int			used;			/* slots of theirs */
	int			prompt;			/* those of them that answer soon */
} LaneHost;

/* The place of an instance among those that have something due, or will have. */
typedef struct LaneSpot
{
	LaneInstance *instance;
	pairingheap_node timed_node;
	dlist_node	due_node;
	bool		is_timed;		/* in the heap, by ... */
	int64		due_ms;			/* ... that time, monotonic; CLOCK_NEVER: in neither */
	bool		is_due;			/* in the list, served in turns */
} LaneSpot;

/* An instance, as its lanes share it. */
struct LaneInstance
{
	NameData	name;			/* hash key, must be first */
	LaneHost   *host;			/* NULL: not known yet */
	bool		is_prompt;		/* its last request ended soon */
	bool		waits_for_share;	/* in a list, until slots are freed */
	dlist_node	share_node;
	int			limit;			/* requests that may be under way, as far as is known */
	int			in_flight;		/* those that are ... */
	int			verifying;		/* ... and of them those that verifications began */
	int			taken;			/* lanes whose turn it is: each may begin a request */
	int			nprepared;		/* lanes that are to have the next tokens ... */
	int			nasking;		/* ... of which these have requested information about their groups in order to use
								 * them */
	dlist_head	questions;		/* prepared lanes that wait for an answer, which is not late, in the order in which
								 * they asked */
	int64		latency_ms;		/* of a request for information, on average; 0: not known */
	uint64		turn;			/* of its lane that was served last */
	bool		was_verification;	/* a verification began the last request, not a claim ... */
	bool		was_verify_read;	/* ... and the last reading of a group */
	int64		read_interval_ms;	/* of the pace of reads; 0: they have none */
	int64		read_kept_since_ms; /* the next reading is kept for a claim since then, monotonic ms; 0: it is not */
	pairingheap queues[LANE_QUEUES];
	int64		not_before_ms[LANE_QUEUES]; /* monotonic ms */
	int64		held_until_ms;	/* no lane in them has a turn before, likewise */
	int64		put_off_until_ms;	/* nor anything of the instance; no doubt about its hold changes that */
	dlist_head	verifications;	/* lanes due to be verified, in order ... */
	int64		verify_not_before_ms;	/* ... but not before */
	LaneSpot	claim_spot;
	LaneSpot	verify_spot;
};

/* A group of an instance: the unit of order and pace. */
typedef struct Lane
{
	LaneKey		key;			/* hash key, must be first */
	LaneInstance *instance;
	pairingheap_node heap_node; /* of the heap by time, or of one of the instance's queues */
	bool		in_heap;
	bool		in_queue;
	LaneQueue	queue;			/* the one it is in, or was taken from */
	uint64		turn;			/* when it was served last, in the order of turns */
	bool		is_fresh;		/* got intents since its rows were last read */
	bool		is_empty;		/* had none left then; it is kept for its requests only */
	bool		is_prepared;	/* counts in the instance's nprepared ... */
	bool		is_asking;		/* ... and in its nasking, ... */
	bool		is_late;		/* ... unless it still waits for an answer that should be there */
	int64		asked_ms;		/* since when it waits for an answer; 0: it does not */
	dlist_node	question_node;
	bool		in_questions;
	int64		eligible_ms;	/* monotonic ms */
	int			in_flight;
	pairingheap_node wake_node;
	bool		in_wakes;
	int64		wake_ms;		/* when something is due that needs no token, likewise */
	pairingheap_node verify_heap_node;
	dlist_node	verify_node;
	bool		in_verify_heap;
	bool		in_verifications;	/* due, in the instance's list */
	bool		has_answer;		/* for the next verification */
	bool		awaits_answer;	/* to a question under way, whose end is to begin the next verification */
	int64		verify_ms;		/* when its waiting rows are to be verified, likewise */
	int			head_priority;	/* of the one claimed last ... */
	int64		head_id;
	int64		head_distance;	/* how far apart the ids of those claimed lately were, at most */
	int			search_ms;		/* the last search of the lane took so long, with others */
	bool		is_slow;		/* ... and long for each of them */
	int64		head_until_ms;	/* ... behind which the next is searched, until then: monotonic ms */
	uint64		nothing_before; /* intent_requeues() when nothing was queued before ... */
	int			before_priority;	/* ... that priority ... */
	int64		before_id;		/* ... and id; not known if that number has changed */
	int64		kept_until_ms;	/* an empty lane that is slow to search is not forgotten before; 0: not set */
	dlist_node	kept_node;		/* in the list of those ... */
	bool		in_kept;		/* ... if this is set */
} Lane;

extern void lanes_init(void);
extern Lane *lanes_find(const LaneKey *key);
extern Lane *lanes_note(const LaneKey *key, int64 eligible_ms);
extern bool lanes_discover(const LaneKey *key, int64 now);
extern void lanes_schedule(Lane *lane, int64 eligible_ms);
extern int64 lanes_retry_ms(int64 now);
extern void lanes_retry(Lane *lane, int64 now);
extern void lanes_wake(Lane *lane, int64 at);
extern void lanes_served(Lane *lane, int64 now);
extern void lanes_wait(Lane *lane, LaneQueue queue, int64 not_before_ms);
extern void lanes_park(Lane *lane);
extern void lanes_hold(Lane *lane, int64 until_ms);
extern void lanes_put_off(const NameData *name, int64 until_ms);
extern void lanes_doubt_hold(Lane *lane);
extern void lanes_prepare(Lane *lane, bool about_group, int64 now);
extern int64 lanes_late_ms(const LaneInstance *instance, int64 interval_ms);
extern void lanes_pass_late(LaneInstance *instance, int64 interval_ms, int64 now);
extern bool lanes_awaits_answer(const Lane *lane);
extern bool lanes_has_elder(const Lane *lane);
extern int	lanes_prepared_beside(const Lane *lane);
extern int	lanes_asking_beside(const Lane *lane);
extern int64 lanes_lead_ms(const LaneInstance *instance);
extern void lanes_describe(LaneInstance *instance, int limit, double reads_per_minute, const char *origin);
extern bool lanes_has_share(const LaneInstance *instance);
extern Lane *lanes_take_due(int64 now);
extern void lanes_end_turn(LaneInstance *instance);
extern void lanes_start_anew(bool aborted);
extern void lanes_forget(Lane *lane);
extern void lanes_forget_head(Lane *lane);
extern void lanes_keep(Lane *lane, int64 until_ms);
extern void lanes_forget_kept(int64 now);
extern int64 lanes_next_ms(void);
extern void lanes_verify(const LaneKey *key, int64 at);
extern bool lanes_is_verifying(const LaneKey *key);
extern void lanes_park_verification(Lane *lane, int64 not_before_ms);
extern Lane *lanes_take_verification(int64 now, bool may_claim);
extern int64 lanes_next_verification(void);
extern void lanes_begin_request(Lane *lane, bool is_verification);
extern void lanes_end_request(LaneInstance *instance, int64 took_ms);
extern void lanes_begin_question(const LaneKey *key, bool is_verification, bool is_read);
extern void lanes_go_on(const LaneKey *key, int64 now);
extern void lanes_end_question(const LaneKey *key, bool was_verification, bool lets_verify, int64 took_ms, int64 now);

#endif							/* WAWP_LANES_H */
