/*-------------------------------------------------------------------------
 *
 * lanes.c
 *	  Decides which group is served next.
 *
 * Keeps the lanes that have something queued.  A lane that waits
 * for a time of its own is in a heap by that time.  One that is due waits for
 * its instance: for room, for a token of the pace, for a read.  An instance
 * keeps such lanes in queues, in the order of their last turns, and says when
 * each queue may go on; so one lane is woken for each token and each place that
 * is free, however many wait.  Instances that have something due are served in
 * turns, so that none waits for another's lanes.
 *
 * A lane that has asked what it needs to know goes first, before its answer is
 * too old.  Verifications have queues of the same kind; where both want the same
 * place, they alternate; where there are several places, verifications have up to half of them.
 *
 * An instance whose share of the slots (throttle/share.c) is used up is set aside
 * until slots are freed, whatever it has due; the turns under way count as slots.
 *
 * Time is an argument, in monotonic ms; no clock is read here.
 *
 * Nothing here is durable; a worker rebuilds it from an index when it starts.
 * Lives in TopMemoryContext of the worker's process; no locks, no transaction.
 *
 * IDENTIFICATION
 *	  src/worker/lanes.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "common/hashfn.h"
#include "throttle/share.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "worker/lanes.h"

#include "compat.h"

/* Lanes that could not be served are tried again at this rate at most, so that thousands of them cost little ... */
#define RETRIES_PER_SECOND 1000
/* ... and several at a time. */
#define RETRY_GRID_MS 50
/* A claim for which the next reading of a group is kept comes that late at most; it is kept for so many intervals of the pace. */
#define LATE_READ_MS 100
#define KEPT_READ_INTERVALS 2
/* So many latencies ahead of its token a lane requests information, and before any latency is known. */
#define LEAD_LATENCIES 3
#define LEAD_MARGIN_MS 100
#define FIRST_LATENCY_MS 1000
#define LONGEST_LEAD_MS (30 * 1000)

/* Instances that have something due, served in turns, and those that will have, by time. */
typedef struct LaneSpots
{
	pairingheap *timed;
	dlist_head	due;
} LaneSpots;

static HTAB *lane_table;
static HTAB *instance_table;
static HTAB *host_table;
static dlist_head share_waiters = DLIST_STATIC_INIT(share_waiters);
static dlist_head kept_lanes = DLIST_STATIC_INIT(kept_lanes);	/* lanes that lanes_keep() was called for */
static int	least_refused;		/* slots used when the last of them was refused */
static ShareSlots slots;		/* most: see lanes_has_share() */
static pairingheap *heap;
static pairingheap *wake_heap;
static pairingheap *verify_heap;
static LaneSpots claims;
static LaneSpots verifications;
static uint64 last_turn;
static int64 last_retry_us;

static int
compare_times(int64 first, int64 second)
{
	return first < second ? 1 : first > second ? -1 : 0;
}

/* Put the earlier lane first; the top of a heap is the greatest. */
static int
compare_lanes(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	return compare_times(pairingheap_const_container(Lane, heap_node, a)->eligible_ms,
						 pairingheap_const_container(Lane, heap_node, b)->eligible_ms);
}

static int
compare_turns(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	return compare_times((int64) pairingheap_const_container(Lane, heap_node, a)->turn,
						 (int64) pairingheap_const_container(Lane, heap_node, b)->turn);
}

static int
compare_wakes(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	return compare_times(pairingheap_const_container(Lane, wake_node, a)->wake_ms,
						 pairingheap_const_container(Lane, wake_node, b)->wake_ms);
}

static int
compare_verifications(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	return compare_times(pairingheap_const_container(Lane, verify_heap_node, a)->verify_ms,
						 pairingheap_const_container(Lane, verify_heap_node, b)->verify_ms);
}

/* Put the earlier instance first; at the same time the one served longest ago, as two may share one account's pace. */
static int
compare_spots(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	const LaneSpot *first = pairingheap_const_container(LaneSpot, timed_node, a);
	const LaneSpot *second = pairingheap_const_container(LaneSpot, timed_node, b);
	int			order = compare_times(first->due_ms, second->due_ms);

	return order != 0 ? order : compare_times((int64) first->instance->turn, (int64) second->instance->turn);
}

static void
spots_init(LaneSpots *spots)
{
	spots->timed = pairingheap_allocate(compare_spots, NULL);
	dlist_init(&spots->due);
}

void
lanes_init(void)
{
	HASHCTL		lanes = {.keysize = sizeof(LaneKey), .entrysize = sizeof(Lane), .hcxt = TopMemoryContext};
	HASHCTL		instances = {.keysize = sizeof(NameData), .entrysize = sizeof(LaneInstance),
	.hcxt = TopMemoryContext};
	HASHCTL		hosts = {.keysize = sizeof(uint64), .entrysize = sizeof(LaneHost), .hcxt = TopMemoryContext};

	lane_table = hash_create("wawp lanes", 256, &lanes, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	instance_table = hash_create("wawp instances", 16, &instances, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	host_table = hash_create("wawp hosts", 16, &hosts, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	heap = pairingheap_allocate(compare_lanes, NULL);
	wake_heap = pairingheap_allocate(compare_wakes, NULL);
	verify_heap = pairingheap_allocate(compare_verifications, NULL);
	spots_init(&claims);
	spots_init(&verifications);
}

/* Return the instance of a name, created if it is not known. */
static LaneInstance *
lane_instance_find(const NameData *name)
{
	bool		found;
	LaneInstance *instance = hash_search(instance_table, name, HASH_ENTER, &found);

	if (found)
		return instance;
	memset((char *) instance + sizeof(NameData), 0, sizeof(LaneInstance) - sizeof(NameData));
	instance->limit = 1;
	for (int i = 0; i < LANE_QUEUES; i++)
		instance->queues[i].ph_compare = compare_turns;
	dlist_init(&instance->verifications);
	dlist_init(&instance->questions);
	instance->claim_spot.instance = instance->verify_spot.instance = instance;
	instance->claim_spot.due_ms = instance->verify_spot.due_ms = CLOCK_NEVER;
	slots.instances++;
	return instance;
}

/*
 * ---- instances in turns
 */

/* Move an instance to where one belongs that has something due at that time; unchanged, it keeps its place. */
static void
spot_place(LaneSpots *spots, LaneSpot *spot, int64 at)
{
	if (spot->due_ms == at)
		return;
	if (spot->is_timed)
		pairingheap_remove(spots->timed, &spot->timed_node);
	if (spot->is_due)
		dlist_delete(&spot->due_node);
	spot->is_timed = spot->is_due = false;
	spot->due_ms = at;
	if (at == CLOCK_NEVER)
		return;
	pairingheap_add(spots->timed, &spot->timed_node);
	spot->is_timed = true;
}

/* Return the instance whose turn it is, moved to the end of those that are due; NULL if none is. */
static LaneInstance *
spots_next_instance(LaneSpots *spots, int64 now)
{
	LaneSpot   *spot;

	while (!pairingheap_is_empty(spots->timed))
	{
		spot = pairingheap_container(LaneSpot, timed_node, pairingheap_first(spots->timed));
		if (spot->due_ms > now)
			break;
		pairingheap_remove(spots->timed, &spot->timed_node);
		spot->is_timed = false;
		dlist_push_tail(&spots->due, &spot->due_node);
		spot->is_due = true;
	}
	if (dlist_is_empty(&spots->due))
		return NULL;
	spot = dlist_container(LaneSpot, due_node, dlist_pop_head_node(&spots->due));
	dlist_push_tail(&spots->due, &spot->due_node);
	return spot->instance;
}

/* Return when the first instance has something due; 0: now. */
static int64
spots_first_time(const LaneSpots *spots)
{
	if (!dlist_is_empty((dlist_head *) &spots->due))
		return 0;
	if (pairingheap_is_empty(spots->timed))
		return CLOCK_NEVER;
	return pairingheap_container(LaneSpot, timed_node, pairingheap_first(spots->timed))->due_ms;
}

/* Return when a lane of the instance may have a turn. */
static int64
instance_claims_at(const LaneInstance *instance)
{
	int64		at = CLOCK_NEVER;

	if (instance->waits_for_share || instance->in_flight + instance->taken >= instance->limit)
		return CLOCK_NEVER;
	for (int i = 0; i < LANE_QUEUES; i++)
		if (!pairingheap_is_empty(&instance->queues[i]))
			at = Min(at, instance->not_before_ms[i]);
	return Max(at, Max(instance->held_until_ms, instance->put_off_until_ms));
}

static void
instance_update_claims(LaneInstance *instance)
{
	spot_place(&claims, &instance->claim_spot, instance_claims_at(instance));
}

static void
instance_update_verifications(LaneInstance *instance)
{
	bool		can_verify = !dlist_is_empty(&instance->verifications) && !instance->waits_for_share &&
		instance->in_flight < instance->limit;

	spot_place(&verifications, &instance->verify_spot, can_verify ? Max(instance->verify_not_before_ms, instance->put_off_until_ms) : CLOCK_NEVER);
}

static void
instance_update(LaneInstance *instance)
{
	instance_update_claims(instance);
	instance_update_verifications(instance);
}

/*
 * ---- shares
 */

/* True if the instance's share and its host's allow another request. */
bool
lanes_has_share(const LaneInstance *instance)
{
	const LaneHost *host = instance->host;
	Share		own = {instance->in_flight + instance->taken, instance->is_prompt};
	Share		of_host = {host ? host->used : 0, host && host->prompt > 0};

	slots.most = wawp_max_in_flight;
	return share_allows(&slots, &own, host ? &of_host : NULL);
}

/* Set an instance aside until slots are freed. */
static void
instance_wait_for_share(LaneInstance *instance)
{
	instance->waits_for_share = true;
	dlist_push_tail(&share_waiters, &instance->share_node);
	least_refused = slots.used;
	instance_update(instance);
}

/* Let the instances that wait for their share go on. */
static void
shares_release(void)
{
	while (!dlist_is_empty(&share_waiters))
	{
		LaneInstance *instance = dlist_container(LaneInstance, share_node, dlist_pop_head_node(&share_waiters));

		instance->waits_for_share = false;
		instance_update(instance);
	}
}

/* Count slots of an instance as used; negative: as freed. */
static void
instance_use_slots(LaneInstance *instance, int n)
{
	slots.used += n;
	slots.slow += instance->is_prompt ? 0 : n;
	if (instance->host)
		instance->host->used += n;
	if (n < 0 && (slots.used < least_refused || instance->waits_for_share))
		shares_release();
}

/* Count an instance among those of its host, or with -1 not any longer. */
static void
instance_count_in_host(LaneInstance *instance, int sign)
{
	LaneHost   *host = instance->host;

	host->instances += sign;
	host->used += sign * (instance->in_flight + instance->taken);
	host->prompt += instance->is_prompt ? sign : 0;
	if (host->instances == (sign > 0 ? 1 : 0))
		slots.hosts += sign;
}

/* Note whether the last request of an instance has ended soon. */
static void
instance_set_prompt(LaneInstance *instance, bool is_prompt)
{
	if (instance->is_prompt == is_prompt)
		return;
	instance->is_prompt = is_prompt;
	slots.slow += (is_prompt ? -1 : 1) * (instance->in_flight + instance->taken);
	if (instance->host)
		instance->host->prompt += is_prompt ? 1 : -1;
	shares_release();
}

/* Set how many requests of the instance may be under way, how many groups it may read a minute (0: any number), and where it is. */
void
lanes_describe(LaneInstance *instance, int limit, double reads_per_minute, const char *origin)
{
	uint64		key = hash_bytes_extended((const unsigned char *) origin, strlen(origin), 0);
	bool		found;

	if (instance->host == NULL || instance->host->key != key)
	{
		if (instance->host)
			instance_count_in_host(instance, -1);
		instance->host = hash_search(host_table, &key, HASH_ENTER, &found);
		if (!found)
			*instance->host = (LaneHost) {.key = key};
		instance_count_in_host(instance, 1);
	}
	instance->read_interval_ms = reads_per_minute > 0 ? (int64) Min(60000 / reads_per_minute, PG_INT32_MAX) : 0;
	if (instance->limit == limit)
		return;
	instance->limit = limit;
	instance_update(instance);
}

/*
 * ---- lanes
 */

/* Note that a prepared lane does not wait for an answer any longer; one that was late counts again. */
static void
lane_unlist_question(Lane *lane)
{
	if (lane->in_questions)
		dlist_delete(&lane->question_node);
	lane->instance->nprepared += lane->is_late ? 1 : 0;
	lane->instance->nasking += lane->is_late && lane->is_asking ? 1 : 0;
	lane->in_questions = lane->is_late = false;
}

/* Count a lane among those that are to have the next tokens, or not any longer. */
static void
lane_set_prepared(Lane *lane, bool is_prepared)
{
	LaneInstance *instance = lane->instance;

	lane_unlist_question(lane);
	if (lane->is_asking && !is_prepared)
		instance->nasking--;
	lane->is_asking &= is_prepared;
	if (lane->is_prepared == is_prepared)
		return;
	lane->is_prepared = is_prepared;
	instance->nprepared += is_prepared ? 1 : -1;
	/* another lane may prepare */
	if (!is_prepared)
		instance->not_before_ms[QUEUE_KNOWN] = instance->not_before_ms[QUEUE_NEXT] = 0;
}

/* Take a lane out of wherever it waits. */
static void
lane_withdraw(Lane *lane)
{
	if (lane->in_heap)
		pairingheap_remove(heap, &lane->heap_node);
	if (lane->in_queue)
		pairingheap_remove(&lane->instance->queues[lane->queue], &lane->heap_node);
	lane->in_heap = lane->in_queue = false;
}

/* Serve a lane at that time, and not before. */
void
lanes_schedule(Lane *lane, int64 eligible_ms)
{
	lane_withdraw(lane);
	lane_set_prepared(lane, false);
	lane->eligible_ms = eligible_ms;
	if (eligible_ms != CLOCK_NEVER)
		pairingheap_add(heap, &lane->heap_node);
	lane->in_heap = (eligible_ms != CLOCK_NEVER);
	instance_update_claims(lane->instance);
}

/* Return when to try a lane again whose rows a user has locked; the more there are, the later. */
int64
lanes_retry_ms(int64 now)
{
	int64		soonest = (now + LANES_LOCKED_RETRY_MS) * 1000;
	int64		grid = RETRY_GRID_MS * 1000;

	last_retry_us = Max(last_retry_us + 1000000 / RETRIES_PER_SECOND, soonest);
	return (last_retry_us + grid - 1) / grid * grid / 1000;
}

/* Serve a lane again soon: a user has locked its rows, or it failed. */
void
lanes_retry(Lane *lane, int64 now)
{
	lanes_schedule(lane, lanes_retry_ms(now));
}

/* Wake a lane, wherever it waits, at a time for something that needs no token; CLOCK_NEVER: there is nothing. */
void
lanes_wake(Lane *lane, int64 at)
{
	if (lane->in_wakes)
		pairingheap_remove(wake_heap, &lane->wake_node);
	lane->wake_ms = at;
	lane->in_wakes = (at != CLOCK_NEVER);
	if (lane->in_wakes)
		pairingheap_add(wake_heap, &lane->wake_node);
}

/* Note that a lane has used its turn; it has another after all others. */
void
lanes_served(Lane *lane, int64 now)
{
	LaneInstance *instance = lane->instance;

	/* the turns order the heaps they are in */
	spot_place(&claims, &instance->claim_spot, CLOCK_NEVER);
	spot_place(&verifications, &instance->verify_spot, CLOCK_NEVER);
	lane->turn = instance->turn = ++last_turn;
	lanes_schedule(lane, now);
	instance_update_verifications(instance);
}

/* Move a lane to a queue of its instance. */
static void
lane_enqueue(Lane *lane, LaneQueue queue)
{
	lane_withdraw(lane);
	lane_set_prepared(lane, queue == QUEUE_READY);
	lane->asked_ms = 0;
	lane->queue = queue;
	pairingheap_add(&lane->instance->queues[queue], &lane->heap_node);
	lane->in_queue = true;
}

/*
 * Let a lane wait for its instance; no lane of that queue has a turn before that
 * time.  A permit to read a group that one lane does not get, no other gets.
 */
void
lanes_wait(Lane *lane, LaneQueue queue, int64 not_before_ms)
{
	int64	   *times = lane->instance->not_before_ms;

	lane_enqueue(lane, queue);
	times[queue] = not_before_ms;
	if (queue == QUEUE_READ)
		times[QUEUE_NEXT] = Max(times[QUEUE_NEXT], not_before_ms);
	instance_update_claims(lane->instance);
}

/* Serve a lane when its instance has room. */
void
lanes_park(Lane *lane)
{
	lane_enqueue(lane, lane->queue);
	instance_update_claims(lane->instance);
}

/* Let a lane and all others of its instance wait, since that is held; CLOCK_NEVER: until lanes_start_anew(). */
void
lanes_hold(Lane *lane, int64 until_ms)
{
	lane->instance->held_until_ms = until_ms;
	lanes_park(lane);
}

/* Let all that an instance's lanes would send wait until then at least, since nobody knows whether it is held. */
void
lanes_put_off(const NameData *name, int64 until_ms)
{
	LaneInstance *instance = hash_search(instance_table, name, HASH_FIND, NULL);

	if (instance == NULL)
		return;
	instance->put_off_until_ms = Max(instance->put_off_until_ms, until_ms);
	instance_update(instance);
}

/* Let the next turn of a lane's instance find out again whether that is held. */
void
lanes_doubt_hold(Lane *lane)
{
	lane->instance->held_until_ms = 0;
	instance_update_claims(lane->instance);
}

/* Note that a lane has requested information, about its group or only about people; with the answer it goes first. */
void
lanes_prepare(Lane *lane, bool about_group, int64 now)
{
	LaneInstance *instance = lane->instance;

	lane_withdraw(lane);
	lane_set_prepared(lane, true);
	instance->nasking += about_group && !lane->is_asking ? 1 : 0;
	lane->is_asking |= about_group;
	/* it may wait for what it has requested before, and was only told of more */
	if (lane->in_flight == 0 || lane->asked_ms == 0)
		lane->asked_ms = now;
	dlist_push_tail(&instance->questions, &lane->question_node);
	lane->in_questions = true;
	instance_update_claims(instance);
}

/*
 * Return when the first answer that prepared lanes of an instance wait for is
 * late, where additions are that far apart: a token was lost, and the next is due.
 */
int64
lanes_late_ms(const LaneInstance *instance, int64 interval_ms)
{
	dlist_head *questions = (dlist_head *) &instance->questions;

	if (dlist_is_empty(questions))
		return CLOCK_NEVER;
	return dlist_container(Lane, question_node, dlist_head_node(questions))->asked_ms + lanes_lead_ms(instance) + interval_ms;
}

/*
 * Let others have the tokens of lanes whose answers are late: one that never
 * comes would keep them from all additions until its time is over.  The lane
 * goes on with its answer as if it were not.  Who is late by less keeps its
 * token, since whoever had that would read a group for it.
 */
void
lanes_pass_late(LaneInstance *instance, int64 interval_ms, int64 now)
{
	while (lanes_late_ms(instance, interval_ms) <= now)
	{
		Lane	   *lane = dlist_container(Lane, question_node, dlist_pop_head_node(&instance->questions));

		lane->in_questions = false;
		lane->is_late = true;
		instance->nprepared--;
		instance->nasking -= lane->is_asking ? 1 : 0;
	}
}

/* True if a lane waits for the answer with which it goes first; it is in no queue.  Not for a lane whose turn it is. */
bool
lanes_awaits_answer(const Lane *lane)
{
	return lane->is_prepared && !lane->in_queue && !lane->in_heap;
}

/* True if the first lane of a queue was served before this one. */
static bool
lane_is_behind(const Lane *lane, LaneQueue queue)
{
	pairingheap *lanes = &lane->instance->queues[queue];

	return !pairingheap_is_empty(lanes) &&
		pairingheap_container(Lane, heap_node, pairingheap_first(lanes))->turn < lane->turn;
}

/* True if another lane of the instance comes before this one. */
bool
lanes_has_elder(const Lane *lane)
{
	return lanes_prepared_beside(lane) > 0 || lane_is_behind(lane, QUEUE_KNOWN) || lane_is_behind(lane, QUEUE_NEXT) ||
		lane_is_behind(lane, QUEUE_READ);
}

/* Return how many other lanes of the instance request, or have requested, their group's state in order to use a token. */
int
lanes_asking_beside(const Lane *lane)
{
	return lane->instance->nasking - (lane->is_asking && !lane->is_late ? 1 : 0);
}

/* Return how many other lanes of the instance are to have the next tokens, those included. */
int
lanes_prepared_beside(const Lane *lane)
{
	return lane->instance->nprepared - (lane->is_prepared && !lane->is_late ? 1 : 0);
}

/* Return how long before its token a lane requests information. */
int64
lanes_lead_ms(const LaneInstance *instance)
{
	int64		latency = instance->latency_ms > 0 ? instance->latency_ms : FIRST_LATENCY_MS;

	return Min(LEAD_LATENCIES * latency + LEAD_MARGIN_MS, LONGEST_LEAD_MS);
}

/* Return a lane, created if it is not known; *found tells which. */
static Lane *
lane_enter(const LaneKey *key, bool *found)
{
	Lane	   *lane = hash_search(lane_table, key, HASH_ENTER, found);

	if (!*found)
	{
		memset((char *) lane + sizeof(LaneKey), 0, sizeof(Lane) - sizeof(LaneKey));
		lane->instance = lane_instance_find(&key->instance);
		lane->queue = QUEUE_FRESH;
		lane->turn = ++last_turn;
	}
	return lane;
}

/* Return a lane, created if it is not known. */
Lane *
lanes_find(const LaneKey *key)
{
	bool		found;

	return lane_enter(key, &found);
}

/* Note that something was queued in a lane, which is served no later than that. */
Lane *
lanes_note(const LaneKey *key, int64 eligible_ms)
{
	Lane	   *lane = lanes_find(key);
	bool		waits_for_token = lane->in_queue && lane->queue >= QUEUE_KNOWN;

	lane->is_fresh = true;
	lane->is_empty = false;
	if (waits_for_token || (!lane->in_queue && (!lane->in_heap || lane->eligible_ms > eligible_ms)))
		lanes_schedule(lane, eligible_ms);
	return lane;
}

/*
 * Note that a lane has additions queued, as a look at all lanes has found, and
 * perhaps has had all the time.  True if it will have a turn for that: one that
 * waits for its instance, or for an answer, has one in any case.
 */
bool
lanes_discover(const LaneKey *key, int64 now)
{
	bool		found;
	Lane	   *lane = lane_enter(key, &found);

	lanes_forget_head(lane);
	lane->is_empty = false;
	if (lane->in_queue || (lane->in_flight > 0 && !lane->in_heap))
		return false;
	if (found)
		(void) lanes_note(key, now);
	else
		lanes_schedule(lane, now);
	return true;
}

/* Note the lanes whose wake time has come. */
static void
lanes_release_wakes(int64 now)
{
	while (!pairingheap_is_empty(wake_heap))
	{
		Lane	   *lane = pairingheap_container(Lane, wake_node, pairingheap_first(wake_heap));

		if (lane->wake_ms > now)
			return;
		lanes_wake(lane, CLOCK_NEVER);
		(void) lanes_note(&lane->key, now);
	}
}

/* Move lanes whose time has come to the queues of their instances. */
static void
lanes_release_due(int64 now)
{
	lanes_release_wakes(now);
	while (!pairingheap_is_empty(heap))
	{
		Lane	   *lane = pairingheap_container(Lane, heap_node, pairingheap_first(heap));

		if (lane->eligible_ms > now)
			return;
		lane_enqueue(lane, QUEUE_FRESH);
		instance_update_claims(lane->instance);
	}
}

/* Return when a lane that waits to read its group has a turn. */
static int64
instance_reads_at(const LaneInstance *instance)
{
	int64		at = CLOCK_NEVER;

	for (int i = QUEUE_NEXT; i <= QUEUE_READ; i++)
		if (!pairingheap_is_empty(&instance->queues[i]))
			at = Min(at, instance->not_before_ms[i]);
	return Max(at, Max(instance->held_until_ms, instance->put_off_until_ms));
}

/*
 * Return until when the next reading of a group is kept for a claim; 0: it is
 * not.  Readings of claims and verifications alternate where there are too few:
 * a claim that reads shortly before its token, as late as the next permit, would
 * have none, if a verification took each as it comes.
 */
static int64
instance_keeps_read_until(LaneInstance *instance, int64 now)
{
	int64		at = instance_reads_at(instance);

	if (!instance->was_verify_read || at >= now + instance->read_interval_ms)
		return 0;
	if (instance->read_kept_since_ms == 0)
		instance->read_kept_since_ms = now;
	else if (now >= instance->read_kept_since_ms + KEPT_READ_INTERVALS * instance->read_interval_ms)
		return 0;
	return Max(at, now) + LATE_READ_MS;
}

/* Note who reads a group: whoever was to wait for that goes on. */
static void
instance_note_read(LaneInstance *instance, bool is_verification)
{
	instance->was_verify_read = is_verification;
	if (instance->read_kept_since_ms != 0 && !is_verification)
		instance->verify_not_before_ms = 0;
	instance->read_kept_since_ms = 0;
}

/* Return the first lane of a queue that may go on, or NULL. */
static Lane *
instance_first_of(LaneInstance *instance, LaneQueue queue, int64 now)
{
	if (pairingheap_is_empty(&instance->queues[queue]) || instance->not_before_ms[queue] > now)
		return NULL;
	return pairingheap_container(Lane, heap_node, pairingheap_first(&instance->queues[queue]));
}

/* Return the lane to be served first: one that has its information, or else the one served longest ago. */
static Lane *
instance_first_lane(LaneInstance *instance, int64 now)
{
	Lane	   *first = instance_first_of(instance, QUEUE_READY, now);

	if (first)
		return first;
	for (int i = QUEUE_READY + 1; i < LANE_QUEUES; i++)
	{
		Lane	   *lane = instance_first_of(instance, (LaneQueue) i, now);

		if (lane && (first == NULL || lane->turn < first->turn))
			first = lane;
	}
	return first;
}

/*
 * Return the lane whose turn it is; NULL if none is due.  The caller puts it
 * somewhere and ends its turn with lanes_end_turn().
 */
Lane *
lanes_take_due(int64 now)
{
	LaneInstance *instance;
	Lane	   *lane;

	lanes_release_due(now);
	while ((instance = spots_next_instance(&claims, now)) != NULL && !lanes_has_share(instance))
		instance_wait_for_share(instance);
	if (instance == NULL)
		return NULL;
	lane = instance_first_lane(instance, now);
	Assert(lane != NULL);
	lane_withdraw(lane);
	instance->taken++;
	instance_use_slots(instance, 1);
	instance_update_claims(instance);
	return lane;
}

/* End a turn that lanes_take_due() began. */
void
lanes_end_turn(LaneInstance *instance)
{
	instance->taken--;
	instance_use_slots(instance, -1);
	instance_update_claims(instance);
}

/* Unmark lanes that are in no queue because their turn was undone. */
static void
lanes_forget_turns(void)
{
	HASH_SEQ_STATUS status;
	Lane	   *lane;

	hash_seq_init(&status, lane_table);
	while ((lane = hash_seq_search(&status)) != NULL)
		if (!lane->in_queue && !lane->in_heap && lane->in_flight == 0)
			lane_set_prepared(lane, false);
}

/* Keep a lane that is empty until that time. */
void
lanes_keep(Lane *lane, int64 until_ms)
{
	lane->kept_until_ms = until_ms;
	if (!lane->in_kept)
		dlist_push_tail(&kept_lanes, &lane->kept_node);
	lane->in_kept = true;
}

/* Forget lanes that are empty and were kept long enough. */
void
lanes_forget_kept(int64 now)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &kept_lanes)
	{
		Lane	   *lane = dlist_container(Lane, kept_node, iter.cur);

		if (lane->kept_until_ms > now)
			continue;
		dlist_delete(&lane->kept_node);
		lane->in_kept = false;
		if (lane->kept_until_ms != 0 && lane->in_flight == 0 && !lane->in_heap && !lane->in_queue && !lane->in_wakes)
			lanes_forget(lane);
	}
}

/* Let all instances go on: what they wait for may have changed.  After an abort, turns are lost as well. */
void
lanes_start_anew(bool aborted)
{
	HASH_SEQ_STATUS status;
	LaneInstance *instance;

	if (aborted)
		lanes_forget_turns();
	hash_seq_init(&status, instance_table);
	while ((instance = hash_seq_search(&status)) != NULL)
	{
		if (aborted && instance->taken > 0)
		{
			int			taken = instance->taken;

			instance->taken = 0;
			instance_use_slots(instance, -taken);
		}
		memset(instance->not_before_ms, 0, sizeof(instance->not_before_ms));
		instance->held_until_ms = instance->verify_not_before_ms = 0;
		instance_update(instance);
	}
}

/* Let the next search of a lane begin at its head: something may have been queued there. */
void
lanes_forget_head(Lane *lane)
{
	lane->head_until_ms = 0;
	lane->nothing_before = 0;
}

/* Forget a lane if it has nothing in flight and nothing to verify; nothing of it is queued. */
void
lanes_forget(Lane *lane)
{
	lanes_schedule(lane, CLOCK_NEVER);
	lanes_wake(lane, CLOCK_NEVER);
	if (lane->in_flight > 0 || lane->in_verify_heap || lane->in_verifications)
		return;
	if (lane->in_kept)
		dlist_delete(&lane->kept_node);
	hash_search(lane_table, &lane->key, HASH_REMOVE, NULL);
}

/* Return when the next lane is due; CLOCK_NEVER if none waits. */
int64
lanes_next_ms(void)
{
	int64		at = spots_first_time(&claims);

	if (!pairingheap_is_empty(heap))
		at = Min(at, pairingheap_container(Lane, heap_node, pairingheap_first(heap))->eligible_ms);
	if (!pairingheap_is_empty(wake_heap))
		at = Min(at, pairingheap_container(Lane, wake_node, pairingheap_first(wake_heap))->wake_ms);
	return at;
}

/*
 * ---- verification
 */

/* Take a lane out of the verifications. */
static void
verification_withdraw(Lane *lane)
{
	if (lane->in_verify_heap)
		pairingheap_remove(verify_heap, &lane->verify_heap_node);
	if (lane->in_verifications)
		dlist_delete(&lane->verify_node);
	lane->in_verify_heap = lane->in_verifications = false;
	instance_update_verifications(lane->instance);
}

/* Verify a lane at that time; CLOCK_NEVER: not at all. */
static void
verification_schedule(Lane *lane, int64 at)
{
	verification_withdraw(lane);
	lane->verify_ms = at;
	if (at == CLOCK_NEVER)
		return;
	pairingheap_add(verify_heap, &lane->verify_heap_node);
	lane->in_verify_heap = true;
}

/* Verify a lane no later than that, or when its turn comes. */
void
lanes_verify(const LaneKey *key, int64 at)
{
	Lane	   *lane = lanes_find(key);

	if (!lane->in_verifications && !(lane->in_verify_heap && lane->verify_ms <= at))
		verification_schedule(lane, at);
}

/* True if a lane is to be verified, now or at some time. */
bool
lanes_is_verifying(const LaneKey *key)
{
	const Lane *lane = hash_search(lane_table, key, HASH_FIND, NULL);

	return lane && (lane->in_verifications || lane->in_verify_heap || lane->in_flight > 0);
}

/* Move a lane to the due ones; with an answer it goes first, before that is too old or dropped from the cache. */
static void
verification_enqueue(Lane *lane)
{
	verification_withdraw(lane);
	if (lane->has_answer)
		dlist_push_head(&lane->instance->verifications, &lane->verify_node);
	else
		dlist_push_tail(&lane->instance->verifications, &lane->verify_node);
	lane->in_verifications = true;
	instance_update_verifications(lane->instance);
}

/* Verify a lane when its instance has room; no lane of it before that time. */
void
lanes_park_verification(Lane *lane, int64 not_before_ms)
{
	lane->instance->verify_not_before_ms = not_before_ms;
	verification_enqueue(lane);
}

/* Move lanes whose time has come to the due verifications. */
static void
lanes_release_verifications(int64 now)
{
	while (!pairingheap_is_empty(verify_heap))
	{
		Lane	   *lane = pairingheap_container(Lane, verify_heap_node, pairingheap_first(verify_heap));

		if (lane->verify_ms > now)
			return;
		verification_enqueue(lane);
	}
}

/*
 * True if a free place of the instance is for a claim.  A cycle's claims take all
 * that its verifications leave, so of several places half are for verifications.
 */
static bool
instance_claims_first(LaneInstance *instance, int64 now)
{
	if (instance_claims_at(instance) > now)
		return false;
	return instance->verifying >= instance->limit / 2 &&
		(instance->was_verification || instance_first_of(instance, QUEUE_READY, now) != NULL);
}

/* Return until when the first verification of an instance leaves the place or the reading to a claim; 0: it does not. */
static int64
verification_waits_until(const Lane *lane, int64 now)
{
	LaneInstance *instance = lane->instance;

	if (instance_claims_first(instance, now))
	{
		instance->was_verification = false;
		return now + 1;
	}
	return lane->has_answer ? 0 : instance_keeps_read_until(instance, now);
}

/* Return the lane to be verified first; NULL if none is due.  may_claim: claims compete for the places. */
Lane *
lanes_take_verification(int64 now, bool may_claim)
{
	LaneInstance *instance;

	lanes_release_verifications(now);
	while ((instance = spots_next_instance(&verifications, now)) != NULL)
	{
		Lane	   *lane = dlist_container(Lane, verify_node, dlist_head_node(&instance->verifications));
		int64		later = 0;

		if (!lanes_has_share(instance))
		{
			instance_wait_for_share(instance);
			continue;
		}
		if (may_claim)
			later = verification_waits_until(lane, now);
		if (later == 0)
		{
			verification_withdraw(lane);
			lane->has_answer = lane->awaits_answer = false;
			return lane;
		}
		instance->verify_not_before_ms = later;
		instance_update_verifications(instance);
	}
	return NULL;
}

/* Return when the next lane is to be verified. */
int64
lanes_next_verification(void)
{
	int64		at = spots_first_time(&verifications);

	if (!pairingheap_is_empty(verify_heap))
		at = Min(at, pairingheap_container(Lane, verify_heap_node, pairingheap_first(verify_heap))->verify_ms);
	return at;
}

/*
 * ---- requests
 */

/* Take a place of the instance for a request of a lane. */
void
lanes_begin_request(Lane *lane, bool is_verification)
{
	lane->in_flight++;
	lane->instance->in_flight++;
	lane->instance->verifying += is_verification ? 1 : 0;
	instance_use_slots(lane->instance, 1);
	lane->instance->was_verification = is_verification;
	instance_update(lane->instance);
}

/* Free the place of a request that has ended, after that time; negative: it was not sent. */
void
lanes_end_request(LaneInstance *instance, int64 took_ms)
{
	instance->in_flight--;
	instance_use_slots(instance, -1);
	if (took_ms >= 0)
		instance_set_prompt(instance, took_ms < SHARE_PROMPT_MS);
	instance_update(instance);
}

/* Take a place for a request for information, for a verification or for the lane's own claim. */
void
lanes_begin_question(const LaneKey *key, bool is_verification, bool is_read)
{
	Lane	   *lane = lanes_find(key);

	if (is_read)
		instance_note_read(lane->instance, is_verification);
	lanes_begin_request(lane, is_verification);
}

/* Let a lane go on that waits for an answer, which has come; first, if it was for a claim. */
void
lanes_go_on(const LaneKey *key, int64 now)
{
	Lane	   *lane = lanes_find(key);

	lane->asked_ms = 0;
	if (lane->in_queue || lane->in_heap)
		return;
	if (lane->is_prepared)
		lane_enqueue(lane, QUEUE_READY);
	else
		(void) lanes_note(key, now);
	instance_update_claims(lane->instance);
}

/* Note how long a request for information took; one that was not answered says little of the others. */
static void
instance_note_latency(LaneInstance *instance, int64 took_ms)
{
	int64		counts = Min(took_ms, lanes_lead_ms(instance));

	instance->latency_ms = instance->latency_ms == 0 ? counts : (3 * instance->latency_ms + counts) / 4;
}

/*
 * Free the place of a request for information; the lane goes on, first if it was
 * for a claim.  Rows that wait are looked at if the answer lets verify them:
 * nobody waits in a lane that is not to be verified and has asked nothing for it.
 */
void
lanes_end_question(const LaneKey *key, bool was_verification, bool lets_verify, int64 took_ms, int64 now)
{
	Lane	   *lane = lanes_find(key);
	LaneInstance *instance = lane->instance;
	bool		has_waiting = was_verification || lane->in_verify_heap || lane->in_verifications;

	instance_note_latency(instance, Max(took_ms, 1));
	lane->in_flight--;
	instance->verifying -= was_verification ? 1 : 0;
	/* it waits to read its group, whose list may be this answer */
	if (lets_verify && lane->in_queue && lane->queue >= QUEUE_NEXT)
		lane_enqueue(lane, QUEUE_KNOWN);
	lanes_go_on(key, now);
	lanes_end_request(instance, took_ms);
	if (!lane->awaits_answer && !(lets_verify && has_waiting))
		return;
	lane->has_answer = true;
	verification_schedule(lane, now);
}
