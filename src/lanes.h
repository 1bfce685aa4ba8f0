/*-------------------------------------------------------------------------
 *
 * lanes.h
 *	  Which group is served next.
 *
 * IDENTIFICATION
 *	  src/lanes.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LANES_H
#define WAWP_LANES_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"

#include "shmem.h"

#define LANES_NEVER PG_INT64_MAX
/* A row that a user has locked, or whose person is in flight, is tried again. */
#define LANES_LOCKED_RETRY_MS 200

/* What lanes of one instance share. */
typedef struct LaneInstance
{
	NameData	name;			/* hash key, must be first */
	int			in_flight;		/* requests under way */
	dlist_head	parked;			/* lanes that wait for one of them to end ... */
	dlist_head	parked_looks;	/* ... to claim something, or to look */
} LaneInstance;

typedef struct Lane
{
	LaneKey		key;			/* hash key, must be first */
	LaneInstance *instance;
	pairingheap_node heap_node;
	dlist_node	parked_node;
	bool		in_heap;
	bool		is_parked;
	bool		is_fresh;		/* got intents since it was last looked into */
	int64		eligible_at;	/* monotonic ms */
	int			in_flight;
	pairingheap_node look_heap_node;
	dlist_node	parked_look_node;
	bool		in_look_heap;
	bool		is_look_parked;
	int64		look_at;		/* when what waits there is to be followed up, likewise */
	int			head_priority;	/* of the one claimed last ... */
	int64		head_id;
	int64		head_until;		/* ... behind whom the next is, until then: monotonic ms */
} Lane;

extern void lanes_init(void);
extern Lane *lanes_note(const LaneKey *key, int64 eligible_at);
extern void lanes_schedule(Lane *lane, int64 eligible_at);
extern void lanes_park(Lane *lane);
extern void lanes_unpark(LaneInstance *instance, int64 now);
extern Lane *lanes_take_due(int64 now);
extern void lanes_forget(Lane *lane);
extern int64 lanes_next_at(void);
extern void lanes_look(const LaneKey *key, int64 at);
extern void lanes_park_look(Lane *lane);
extern Lane *lanes_take_look(int64 now);
extern int64 lanes_next_look(void);
extern void lanes_begin_request(const LaneKey *key);
extern void lanes_end_request(const LaneKey *key);

#endif							/* WAWP_LANES_H */
