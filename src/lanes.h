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

/* What lanes of one instance share. */
typedef struct LaneInstance
{
	NameData	name;			/* hash key, must be first */
	int			in_flight;		/* requests under way */
	dlist_head	parked;			/* lanes that wait for one of them to end */
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
} Lane;

extern void lanes_init(void);
extern Lane *lanes_note(const LaneKey *key, int64 eligible_at);
extern void lanes_schedule(Lane *lane, int64 eligible_at);
extern void lanes_park(Lane *lane);
extern void lanes_unpark(LaneInstance *instance, int64 now);
extern Lane *lanes_take_due(int64 now);
extern void lanes_forget(Lane *lane);
extern int64 lanes_next_at(void);

#endif							/* WAWP_LANES_H */
