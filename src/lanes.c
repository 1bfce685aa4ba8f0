/*-------------------------------------------------------------------------
 *
 * lanes.c
 *	  Which group is served next.
 *
 * The worker's memory of lanes that have something queued: a pairing heap by
 * the time each may be looked at next, so that a throttled lane costs nothing
 * however deep it is.  Lanes of an instance that has its fill of requests are
 * parked outside the heap until one ends.  Nothing here is durable; it is
 * rebuilt from an index when a worker starts.
 *
 * Lives in TopMemoryContext of the worker's process.
 *
 * IDENTIFICATION
 *	  src/lanes.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clock.h"
#include "lanes.h"
#include "utils/memutils.h"

static HTAB *lane_table;
static HTAB *instance_table;
static pairingheap *heap;
static pairingheap *look_heap;

/* The earlier lane first; the heap's top is the greatest. */
static int
compare_lanes(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	int64		first = pairingheap_const_container(Lane, heap_node, a)->eligible_at;
	int64		second = pairingheap_const_container(Lane, heap_node, b)->eligible_at;

	return first < second ? 1 : first > second ? -1 : 0;
}

static int
compare_looks(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	int64		first = pairingheap_const_container(Lane, look_heap_node, a)->look_at;
	int64		second = pairingheap_const_container(Lane, look_heap_node, b)->look_at;

	return first < second ? 1 : first > second ? -1 : 0;
}

void
lanes_init(void)
{
	HASHCTL		lanes = {.keysize = sizeof(LaneKey),.entrysize = sizeof(Lane),.hcxt = TopMemoryContext};
	HASHCTL		instances = {.keysize = sizeof(NameData),.entrysize = sizeof(LaneInstance),
	.hcxt = TopMemoryContext};

	lane_table = hash_create("wawp lanes", 256, &lanes, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	instance_table = hash_create("wawp instances", 16, &instances, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	heap = pairingheap_allocate(compare_lanes, NULL);
	look_heap = pairingheap_allocate(compare_looks, NULL);
}

static LaneInstance *
find_instance(const NameData *name)
{
	bool		found;
	LaneInstance *instance = hash_search(instance_table, name, HASH_ENTER, &found);

	if (!found)
	{
		instance->in_flight = 0;
		dlist_init(&instance->parked);
		dlist_init(&instance->parked_looks);
	}
	return instance;
}

/* Takes a lane out of wherever it waits. */
static void
lane_withdraw(Lane *lane)
{
	if (lane->in_heap)
		pairingheap_remove(heap, &lane->heap_node);
	if (lane->is_parked)
		dlist_delete(&lane->parked_node);
	lane->in_heap = lane->is_parked = false;
}

/* Looks at a lane again at that time, and not before. */
void
lanes_schedule(Lane *lane, int64 eligible_at)
{
	lane_withdraw(lane);
	lane->eligible_at = eligible_at;
	if (eligible_at == LANES_NEVER)
		return;
	pairingheap_add(heap, &lane->heap_node);
	lane->in_heap = true;
}

static Lane *
find_lane(const LaneKey *key)
{
	bool		found;
	Lane	   *lane = hash_search(lane_table, key, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) lane + sizeof(LaneKey), 0, sizeof(Lane) - sizeof(LaneKey));
		lane->instance = find_instance(&key->instance);
	}
	return lane;
}

/* Something was queued in a lane: it is looked at no later than that. */
Lane *
lanes_note(const LaneKey *key, int64 eligible_at)
{
	Lane	   *lane = find_lane(key);

	lane->is_fresh = true;
	if (!lane->is_parked && (!lane->in_heap || lane->eligible_at > eligible_at))
		lanes_schedule(lane, eligible_at);
	return lane;
}

/* Looks at a lane again when a request of its instance has ended. */
void
lanes_park(Lane *lane)
{
	lane_withdraw(lane);
	dlist_push_tail(&lane->instance->parked, &lane->parked_node);
	lane->is_parked = true;
}

void
lanes_unpark(LaneInstance *instance, int64 now)
{
	while (!dlist_is_empty(&instance->parked))
		lanes_schedule(dlist_container(Lane, parked_node, dlist_head_node(&instance->parked)), now);
	while (!dlist_is_empty(&instance->parked_looks))
		lanes_look(&dlist_container(Lane, parked_look_node,
									dlist_head_node(&instance->parked_looks))->key, now);
}

/* The lane that has been due longest; NULL when none is. */
Lane *
lanes_take_due(int64 now)
{
	Lane	   *lane;

	if (pairingheap_is_empty(heap))
		return NULL;
	lane = pairingheap_container(Lane, heap_node, pairingheap_first(heap));
	if (lane->eligible_at > now)
		return NULL;
	lane_withdraw(lane);
	return lane;
}

/* Forgets a lane that has nothing queued, nothing in flight and nothing to follow up. */
void
lanes_forget(Lane *lane)
{
	if (lane->in_flight > 0 || lane->in_look_heap || lane->is_look_parked)
		return;
	lane_withdraw(lane);
	hash_search(lane_table, &lane->key, HASH_REMOVE, NULL);
}

/* When the next lane is due, in monotonic ms; LANES_NEVER when none waits. */
int64
lanes_next_at(void)
{
	if (pairingheap_is_empty(heap))
		return LANES_NEVER;
	return pairingheap_container(Lane, heap_node, pairingheap_first(heap))->eligible_at;
}

/*
 * ---- following up
 */

static void
withdraw_look(Lane *lane)
{
	if (lane->in_look_heap)
		pairingheap_remove(look_heap, &lane->look_heap_node);
	if (lane->is_look_parked)
		dlist_delete(&lane->parked_look_node);
	lane->in_look_heap = lane->is_look_parked = false;
}

/* What waits in a lane is followed up no later than that. */
void
lanes_look(const LaneKey *key, int64 at)
{
	Lane	   *lane = find_lane(key);

	if (lane->in_look_heap && lane->look_at <= at)
		return;
	withdraw_look(lane);
	lane->look_at = at;
	if (at == LANES_NEVER)
		return;
	pairingheap_add(look_heap, &lane->look_heap_node);
	lane->in_look_heap = true;
}

/* Follows a lane up when a request of its instance has ended. */
void
lanes_park_look(Lane *lane)
{
	withdraw_look(lane);
	dlist_push_tail(&lane->instance->parked_looks, &lane->parked_look_node);
	lane->is_look_parked = true;
}

/* The lane that is to be followed up first; NULL when none is due. */
Lane *
lanes_take_look(int64 now)
{
	Lane	   *lane;

	if (pairingheap_is_empty(look_heap))
		return NULL;
	lane = pairingheap_container(Lane, look_heap_node, pairingheap_first(look_heap));
	if (lane->look_at > now)
		return NULL;
	withdraw_look(lane);
	return lane;
}

/* When the next lane is to be followed up, in monotonic ms. */
int64
lanes_next_look(void)
{
	if (pairingheap_is_empty(look_heap))
		return LANES_NEVER;
	return pairingheap_container(Lane, look_heap_node, pairingheap_first(look_heap))->look_at;
}

/* A request that is no flight of the lane takes a place of the instance ... */
void
lanes_begin_request(const LaneKey *key)
{
	Lane	   *lane = find_lane(key);

	lane->in_flight++;
	lane->instance->in_flight++;
}

/* ... and has ended: whoever waits for it goes on. */
void
lanes_end_request(const LaneKey *key)
{
	Lane	   *lane = find_lane(key);
	int64		now = clock_monotonic_ms();

	lane->in_flight--;
	lane->instance->in_flight--;
	lanes_unpark(lane->instance, now);
	lanes_note(key, now);
	lanes_look(key, now);
}
