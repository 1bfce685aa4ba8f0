/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Claims the rows of due lanes and turns them into requests.
 *
 * If a due lane is not held, its instance has room and its pace allows it, its
 * first rows are claimed, checked (precheck.c) and launched as an attempt;
 * otherwise it is scheduled for later.  What has to be known about its group and
 * the next people is requested before any row is changed.  Where additions have a
 * pace, a lane does so shortly before the token it is to have, and no more lanes
 * do than there are tokens to come.  Lanes without any pace have their first rows
 * claimed together, ahead of their turns.
 *
 * Everything is in the cycle's transaction and its memory.  Permits that no
 * attempt has taken are given back here, also after an error.
 *
 * IDENTIFICATION
 *	  src/worker/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "throttle/budget.h"
#include "throttle/gcra.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/claim.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/precedence.h"
#include "worker/precheck.h"
#include "worker/savepoint.h"

#include "compat.h"

/*
 * Rows that sort before the last one claimed are not considered again for this
 * long, and for longer where there are so many that cannot go now (a held
 * requester's, planned ones) that looking at them would take the worker's time.
 */
#define HEAD_IS_KNOWN_MS 1000
#define LONGEST_HEAD_IS_KNOWN_MS (30 * 1000)
#define HEAD_SEARCHES 50

/*
 * The next row of a lane is first searched no farther than so many times the
 * distance of the last ones, and so many ids at least.  A lane whose search from
 * its head takes longer than this, of several together on average, is slow.
 */
#define HEAD_DISTANCES 4
#define LEAST_HEAD_DISTANCE 8
#define SLOW_LANE_MS 3

/* So long a lane that is empty is kept, if what is known of it took long to learn. */
#define KEPT_MS (60 * 1000)

/* The turn of a due lane. */
typedef struct Turn
{
	Lane	   *lane;
	LaneInstance *instance;		/* the lane's, also when the lane is gone */
	WawpInstance *described;	/* NULL: not read yet */
	GroupSettings settings;
	bool		has_settings;
	int64		now;			/* by which the lane was due */
	int64		full_until_ms;	/* until then the group is held because it is full; 0: it is not */
	bool		has_head;		/* head was claimed, if the lane has a row */
	IntentClaim head;
} Turn;

/* The permit of the turn under way, as far as no attempt has it and it was not given back. */
static BudgetPermit turn_permit;

/* Give back so many of the turn's permits, which are all that no attempt has. */
static void
turn_give_back(const BudgetPermit *permit, int n)
{
	turn_permit.granted = 0;
	budget_give_back(permit, n);
}

/* Give all back because something has to be requested first. */
static void
turn_put_off(const BudgetPermit *permit)
{
	turn_permit.granted = 0;
	budget_put_off(permit);
}

/* Give back what a turn that failed had taken and no attempt has. */
void
claim_give_back_unused(void)
{
	BudgetPermit unused = turn_permit;

	turn_give_back(&unused, unused.granted);
}

/* Note the position of a claimed row that is sent, the first of its request; the next claim starts behind it. */
static void
lane_note_head(Lane *lane, const Intent *claimed)
{
	if (lane->head_until_ms == 0)
		lane->head_until_ms = clock_monotonic_ms() +
			Min(Max(HEAD_IS_KNOWN_MS, HEAD_SEARCHES * lane->search_ms), LONGEST_HEAD_IS_KNOWN_MS);
	if (lane->head_id != 0 && claimed->priority == lane->head_priority && claimed->id > lane->head_id)
		lane->head_distance = Max(claimed->id - lane->head_id, lane->head_distance - lane->head_distance / 4);
	lane->head_priority = claimed->priority;
	lane->head_id = claimed->id;
	lane->kept_until_ms = 0;
}

/* Return the last id to look at behind the last one claimed, if the next is near. */
static int64
lane_search_end(const Lane *lane)
{
	return lane->head_id + Max(Min(lane->head_distance, PG_INT32_MAX) * HEAD_DISTANCES, LEAST_HEAD_DISTANCE);
}

/* True if a search of the whole lane takes long: dead rows, perhaps, that an old snapshot keeps. */
static bool
lane_is_slow(const Lane *lane)
{
	return lane->is_slow && lane->head_id != 0;
}

/* True if nothing is queued before the last one claimed. */
static bool
lane_has_nothing_before(const Lane *lane)
{
	return lane->nothing_before == intent_requeues() && lane->before_priority == lane->head_priority &&
		lane->before_id == lane->head_id;
}

/*
 * Find out whether that is so, which stands for several searches of the whole
 * lane.  What lies before an intent of which that was so is not looked at again.
 */
static void
lane_look_before(Lane *lane)
{
	bool		is_known = lane->nothing_before == intent_requeues() && lane->before_priority == lane->head_priority &&
		lane->before_id <= lane->head_id;

	if (lane_has_nothing_before(lane) ||
		intent_has_before(&lane->key, lane->head_priority, lane->head_id, is_known ? lane->before_id : 0))
		return;
	lane->nothing_before = intent_requeues();
	lane->before_priority = lane->head_priority;
	lane->before_id = lane->head_id;
	lane->head_until_ms = 0;
}

/* True if the next may be searched behind the last one claimed. */
static bool
lane_knows_head(const Lane *lane, int64 now)
{
	return now < lane->head_until_ms || lane_has_nothing_before(lane);
}

/* The searches for a lane's next row, in their order. */
typedef enum HeadSearch
{
	HEAD_NEAR,					/* a little behind the last one claimed, */
	HEAD_BEHIND,				/* anywhere behind it, */
	HEAD_BELOW,					/* of a lower priority, */
	HEAD_ANYWHERE
} HeadSearch;

/* True if a lane is searched that way, as far as the searches before have found nothing. */
static bool
lane_is_searched(const Lane *lane, HeadSearch search, int64 now)
{
	switch (search)
	{
		case HEAD_NEAR:
			return lane_knows_head(lane, now);
		case HEAD_BEHIND:
			return lane_has_nothing_before(lane) || (lane_is_slow(lane) && lane_knows_head(lane, now));
		case HEAD_BELOW:
			return lane_has_nothing_before(lane);
		case HEAD_ANYWHERE:
			return !lane_has_nothing_before(lane);
	}
	return false;
}

/* Claim a row for each turn that has none, by one search. */
static void
claim_heads(Turn *const *turns, int n, HeadSearch search)
{
	static const IntentSearch parts[] = {
		[HEAD_NEAR] = SEARCH_BEHIND,
		[HEAD_BEHIND] = SEARCH_BEHIND,
		[HEAD_BELOW] = SEARCH_BELOW,
		[HEAD_ANYWHERE] = SEARCH_ALL
	};
	IntentClaim *claims[INTENT_CLAIMS_AT_ONCE];
	Lane	   *lanes[INTENT_CLAIMS_AT_ONCE];
	int64		now = clock_monotonic_ms();
	int			nclaims = 0;

	for (int i = 0; i < n; i++)
	{
		Lane	   *lane = turns[i]->lane;
		IntentClaim *head = &turns[i]->head;

		if (head->is_claimed || !lane_is_searched(lane, search, now))
			continue;
		head->lane = &lane->key;
		head->priority = lane->head_priority;
		head->behind = lane->head_id;
		head->upto = search == HEAD_NEAR ? lane_search_end(lane) : PG_INT64_MAX;
		lanes[nclaims] = lane;
		claims[nclaims++] = head;
	}
	intent_claim_each(claims, nclaims, parts[search]);
	now = clock_monotonic_ms() - now;
	for (int i = 0; i < nclaims && search == HEAD_ANYWHERE; i++)
	{
		lanes[i]->head_until_ms = 0;
		lanes[i]->search_ms = (int) now;
		lanes[i]->is_slow = now > SLOW_LANE_MS * nclaims;
	}
}

/* Claim one row of each of these lanes. */
static void
claim_firsts(Turn *const *turns, int n)
{
	claim_heads(turns, n, HEAD_NEAR);
	for (int i = 0; i < n; i++)
		if (!turns[i]->head.is_claimed && lane_is_slow(turns[i]->lane))
			lane_look_before(turns[i]->lane);
	for (HeadSearch search = HEAD_BEHIND; search <= HEAD_ANYWHERE; search++)
		claim_heads(turns, n, search);
	for (int i = 0; i < n; i++)
		turns[i]->has_head = true;
}

/*
 * Claim up to `most` rows for one request: behind the last one claimed, or those
 * of the lane if nothing is there.  Return how many.
 */
static int
claim_batch(Lane *lane, int most, Intent *claimed)
{
	int64		now = clock_monotonic_ms();
	int			n = 0;

	if (now < lane->head_until_ms)
		n = intent_claim_behind(&lane->key, most, lane->head_priority, lane->head_id, claimed);
	if (n > 0)
		return n;
	now = clock_monotonic_ms();
	lane->head_until_ms = 0;
	n = intent_claim(&lane->key, most, claimed);
	lane->search_ms = (int) (clock_monotonic_ms() - now);
	return n;
}

/* Return the first of claimed rows in the order of the lane: those behind it that were left belong to other requests. */
static Intent
claimed_first(const Intent *claimed, int n)
{
	const Intent *first = &claimed[0];

	for (int i = 1; i < n; i++)
		if (claimed[i].priority > first->priority ||
			(claimed[i].priority == first->priority && claimed[i].id < first->id))
			first = &claimed[i];
	return *first;
}

/* Claim as many rows as the permit is for, or one that needs none, into *claimed.  Return how many. */
static int
claim_rows(Turn *turn, const BudgetPermit *permit, Intent *claimed)
{
	Lane	   *lane = turn->lane;

	if (permit->granted > 1)
		return claim_batch(lane, permit->granted, claimed);
	if (permit->granted == 0)
		return intent_claim_other(&lane->key, claimed);
	if (!turn->has_head)
		claim_firsts(&turn, 1);
	if (!turn->head.is_claimed)
		return 0;
	*claimed = turn->head.intent;
	turn->head.is_claimed = false;
	return 1;
}

/*
 * Claim the lane's first rows, check them, and launch them as an attempt.  Set
 * *used to how many of the granted permits it takes.
 */
static Served
claim_attempt(Turn *turn, Holds *holds, const BudgetPermit *permit, int *used)
{
	Lane	   *lane = turn->lane;
	Attempt    *attempt = attempt_make(ATTEMPT_CHANGE, lane, Max(permit->granted, 1));
	Intent		first;
	Served		served;

	attempt->n = claim_rows(turn, permit, attempt->intents);
	if (attempt->n == 0)
	{
		MemoryContextDelete(attempt->memory);
		return SERVED_NOTHING;
	}
	attempt_keep_intents(attempt);
	first = claimed_first(attempt->intents, attempt->n);
	served = precedence_settle(attempt);
	if (served == SERVED_NOTHING)
		served = precheck_claimed(attempt, turn->described, holds, &turn->settings);
	if (served != SERVED_NOTHING)
	{
		MemoryContextDelete(attempt->memory);
		return served;
	}
	attempt_name_people(attempt);
	attempt->operation = intent_operation(attempt->intents[0].action);
	attempt->is_paced = (attempt->operation == WAWP_OP_ADD);
	attempt->permit = *permit;
	*used = attempt->is_paced ? attempt->n : 0;
	if (!attempt->is_paced)
		group_cache_forget_list(&lane->key);
	if (permit->granted > 0)
		lane_note_head(lane, &first);
	attempt_launch(attempt);
	/* from here on they are the attempt's, which gives them back if it is not sent */
	turn_permit.granted -= *used;
	if (attempt->is_paced)
		group_cache_note_added(&lane->key, attempt->n);
	return SERVED_SOME;
}

/*
 * Return when the first of a lane's intents is due, as intent_next_due() does,
 * but do not search the lane from its head while one behind the last one claimed
 * is due.
 */
static TimestampTz
lane_next_due(const Lane *lane)
{
	if (clock_monotonic_ms() < lane->head_until_ms &&
		intent_has_due_behind(&lane->key, lane->head_priority, lane->head_id))
		return GetCurrentTimestamp();
	return intent_next_due(&lane->key);
}

/* True if an empty lane is kept, since it took long to learn what is known of it. */
static bool
lane_is_kept(Lane *lane)
{
	int64		now = clock_monotonic_ms();

	if (!lane_is_slow(lane) || !lane_has_nothing_before(lane))
		return false;
	if (lane->kept_until_ms == 0)
		lanes_keep(lane, now + KEPT_MS);
	return now < lane->kept_until_ms;
}

/* Schedule a lane of which nothing can be sent now, or forget it when its requests have ended. */
static void
lane_postpone(Lane *lane)
{
	TimestampTz due = lane_has_nothing_before(lane)
		? intent_next_due_behind(&lane->key, lane->head_priority, lane->head_id) : intent_next_due(&lane->key);

	lane->is_empty = due == 0 && !lane_is_kept(lane);
	if (lane->is_empty)
		lanes_forget(lane);
	else if (due == 0)
		lanes_schedule(lane, CLOCK_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_retry(lane, clock_monotonic_ms());
	else
		lanes_schedule(lane, clock_monotonic_of(due));
}

/* Take permits for additions that may be sent now. */
static BudgetPermit
turn_take_permit(const WawpInstance *instance, const Hold *on_instance, const LaneKey *lane, const GroupSettings *settings)
{
	TimestampTz quiet = instance_quiet_until(instance, GetCurrentTimestamp());
	BudgetGroup group = {lane->group, settings->adds_per_minute};
	BudgetPermit none = {0};

	if (quiet == 0)
		return turn_permit = budget_take_adds(instance, hold_halvings(on_instance), &group, true, instance->batch_size);
	none.next_at = clock_monotonic_of(quiet) * 1000;
	return none;
}

/* Return a copy of an instance, in the current memory, with one person a request and one request at a time. */
static WawpInstance *
instance_on_trial(const WawpInstance *described)
{
	WawpInstance *one = palloc(sizeof(WawpInstance));

	*one = *described;
	one->concurrency = one->batch_size = 1;
	return one;
}

/* True if the lane is served now; otherwise it is scheduled.  Set the instance of the turn. */
static bool
turn_admit(Turn *turn, Holds *holds)
{
	Lane	   *lane = turn->lane;
	int64		held = hold_instance_until(holds, &lane->key);
	ErrorData  *error;

	if (held > 0)
	{
		lanes_hold(lane, held);
		return false;
	}
	held = hold_lane_until(holds, &lane->key);
	if (held > 0 && hold_others_until(holds, &lane->key) > 0)
	{
		lanes_schedule(lane, held);
		return false;
	}
	turn->full_until_ms = held;
	error = instance_cache_get(&lane->key, INSTANCE_OF_NOBODY, &turn->described);
	if (!error)
	{
		if (hold_is_on_trial(holds, &lane->key))
			turn->described = instance_on_trial(turn->described);
		return true;
	}
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		lanes_retry(lane, clock_monotonic_ms());
		return false;
	}
	/* the instance was dropped or renamed, or has another account now: there is nothing that it could serve */
	if (intent_next_due(&lane->key) == 0)
	{
		lane_postpone(lane);
		return false;
	}
	if (hold_is_free(&lane->key))
		hold_set(NameStr(lane->key.instance), lane->key.group, error->message,
				 GetCurrentTimestamp() + INSTANCE_RETRY_MS * INT64CONST(1000), 1);
	lanes_schedule(lane, clock_monotonic_ms() + INSTANCE_RETRY_MS);
	return false;
}

/* Return the settings of the lane's group, read once a turn. */
static const GroupSettings *
turn_settings(Turn *turn)
{
	if (!turn->has_settings)
		turn->settings = settings_get(&turn->lane->key);
	turn->has_settings = true;
	return &turn->settings;
}

/* Return the queue in which the lane waits until a token is near. */
static LaneQueue
turn_queue(Turn *turn)
{
	const LaneKey *key = &turn->lane->key;
	InfoNeed	need;

	return group_cache_find(key) && !precheck_must_ask(key, turn_settings(turn), &need) ? QUEUE_KNOWN : QUEUE_NEXT;
}

/*
 * ---- a lane and the pace
 */

/* Convert to ms, rounding up. */
static int64
ms_of_us(int64 us)
{
	return (us + 999) / 1000;
}

/*
 * True if there are tokens to come for so many other lanes and this one.  If not,
 * set *at to when there are, or when one of those lanes waits too long, in monotonic ms.
 */
static bool
turn_can_prepare(const Turn *turn, const Hold *on_instance, const BudgetPermit *permit, int others, int64 *at)
{
	PaceRate	rate = budget_add_rate(turn->described, hold_halvings(on_instance));
	int64		wait = permit->granted > 0 ? 0 : Max(permit->next_at - clock_monotonic_us(), 0);
	int64		lead = lanes_lead_ms(turn->instance) * 1000;

	if (pace_tokens_ahead(rate, wait, lead) > others)
		return true;
	*at = Min(ms_of_us(clock_monotonic_us() + Max(wait - lead + rate.interval * others, 1000)),
			  lanes_late_ms(turn->instance, ms_of_us(rate.interval)));
	return false;
}

/* Let the lane have a token that another one keeps although its answer is late. */
static void
turn_pass_late(const Turn *turn, Holds *holds)
{
	PaceRate	rate = budget_add_rate(turn->described, hold_halvings(hold_get(holds, &turn->lane->key, true)));

	lanes_pass_late(turn->instance, ms_of_us(rate.interval), turn->now);
}

/*
 * Let a lane wait for the pace: for its token, or for the time to prepare for it.
 * One that has prepared stays, also if answers come sooner now, which would let
 * another prepare for the same token.
 */
static void
turn_wait_for_token(const Turn *turn, const Hold *on_instance, const BudgetPermit *permit)
{
	int64		at;

	if (permit->has_group)
		lanes_schedule(turn->lane, ms_of_us(permit->next_at));
	else if (turn->lane->is_prepared ||
			 turn_can_prepare(turn, on_instance, permit, lanes_prepared_beside(turn->lane), &at))
		lanes_wait(turn->lane, QUEUE_READY, ms_of_us(permit->next_at));
	else
		lanes_wait(turn->lane, QUEUE_KNOWN, at);
}

/* Let a lane wait with those whose turns come before. */
static void
turn_wait_behind(Turn *turn)
{
	LaneQueue	queue = turn_queue(turn);

	lanes_wait(turn->lane, queue, turn->instance->not_before_ms[queue]);
}

/* Wake a lane when a row of it is due that needs no token. */
static void
lane_note_others(Lane *lane)
{
	TimestampTz due = intent_next_other(&lane->key);

	lane->is_fresh = false;
	if (due == 0)
		lanes_wake(lane, CLOCK_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_wake(lane, lanes_retry_ms(clock_monotonic_ms()));
	else
		lanes_wake(lane, clock_monotonic_of(due));
}

/* Let a lane's additions wait in that queue, and send what needs no token. */
static void
turn_serve_others(Turn *turn, Holds *holds, LaneQueue queue, int64 not_before_ms)
{
	const BudgetPermit none = {0};
	Lane	   *lane = turn->lane;
	int			used = 0;
	Served		served = lane->is_fresh ? claim_attempt(turn, holds, &none, &used) : SERVED_NOTHING;

	if (served == SERVED_SOME)
		lanes_served(lane, turn->now);
	if (served != SERVED_NOTHING)
		return;
	if (lane->is_fresh)
		lane_note_others(lane);
	lanes_wait(lane, queue, not_before_ms);
}

/*
 * True if the lane used no request of the permit's, so that the worker is still
 * to have its share of the pace, and has more queued that may use it.
 */
static bool
turn_has_share_left(const Turn *turn, const BudgetPermit *permit, Served served, int used)
{
	return served == SERVED_SOME && used == 0 && permit->granted > 0 && turn->described->adds_per_minute > 0 &&
		lane_next_due(turn->lane) != 0;
}

/* Claim and launch what the permit is for, and schedule the lane. */
static void
turn_use(Turn *turn, Holds *holds, const BudgetPermit *permit)
{
	Lane	   *lane = turn->lane;
	int			used = 0;
	Served		served = claim_attempt(turn, holds, permit, &used);

	if (served == SERVED_ASKING || turn_has_share_left(turn, permit, served, used))
		turn_put_off(permit);
	else
		turn_give_back(permit, permit->granted - used);
	if (served == SERVED_ASKING || served == SERVED_LATER)
		return;
	if (served == SERVED_SOME)
		lanes_served(lane, turn->now);
	else if (permit->granted == 0)
	{
		lane_note_others(lane);
		if (turn->described->adds_per_minute > 0 && !permit->has_group)
			turn_wait_behind(turn);
		else
			turn_wait_for_token(turn, hold_get(holds, &lane->key, true), permit);
	}
	else
		lane_postpone(lane);
}

/*
 * ---- questions before a claim
 */

/* Read the rows that would be claimed next; return how many there are. */
static int
lane_peek(const Lane *lane, int most, Intent *heads)
{
	int			n = 0;

	if (clock_monotonic_ms() < lane->head_until_ms)
		n = intent_peek_behind(&lane->key, most, lane->head_priority, lane->head_id, heads);
	return n > 0 ? n : intent_peek(&lane->key, most, heads);
}

/* True if additions have no pace, or there is a token to come for this lane beside so many others; otherwise set *at. */
static bool
turn_may_ask(const Turn *turn, Holds *holds, const BudgetPermit *permit, int others, int64 *at)
{
	return turn->described->adds_per_minute <= 0 ||
		turn_can_prepare(turn, hold_get(holds, &turn->lane->key, true), permit, others, at);
}

/*
 * True if a lane whose group is known may ask about its people: it is to have
 * one of the next tokens, or may be; otherwise set *at.  Such lanes keep none
 * from reading its group.
 */
static bool
turn_may_ask_about_people(const Turn *turn, Holds *holds, const BudgetPermit *permit, int64 *at)
{
	return turn->lane->is_prepared || turn_may_ask(turn, holds, permit, lanes_prepared_beside(turn->lane), at);
}

/* True if the lane may have another request under way beside the one that its turn is for. */
static bool
turn_has_room_for_more(const Turn *turn)
{
	return admission_has_room(turn->lane, turn->described) && admission_has_slot(clock_monotonic_ms()) &&
		lanes_has_share(turn->instance);
}

/*
 * Request what is needed, all at once as far as there is room, and let the lane
 * wait for the answers or for the pace of reads.  False if nothing can be requested;
 * a number that cannot be checked now is not waited for.
 */
static bool
turn_ask(Turn *turn, Holds *holds, Oid requester, const InfoNeeds *needs)
{
	Lane	   *lane = turn->lane;
	int64		later = 0;		/* when the pace allows to read the group; 0: it does not matter */
	int			asked = 0;

	lanes_prepare(lane, needs->needs[0].person == NULL, clock_monotonic_ms());
	for (int i = 0; i < needs->count && (asked == 0 || turn_has_room_for_more(turn)); i++)
	{
		int64		at;

		if (group_cache_ask(&lane->key, requester, &needs->needs[i], false, turn->described, &at))
			asked++;
		else if (needs->needs[i].person == NULL)
			later = at;
	}
	if (asked == 0 && later > 0)
		turn_serve_others(turn, holds, QUEUE_READ, later);
	return asked > 0 || later > 0;
}

/*
 * Request what is missing before additions of the lane are claimed.  True if they
 * can be claimed; otherwise the lane is scheduled, and no row of it was changed.
 */
static bool
turn_ask_first(Turn *turn, Holds *holds, const BudgetPermit *permit)
{
	Lane	   *lane = turn->lane;
	int			most = Max(turn->described->batch_size, 1);
	const CachedGroup *cached;
	Intent	   *heads;
	InfoNeed	need;			/* about the group, for sure */
	InfoNeeds	needs = {0};
	int64		at;
	int			n;

	if (!precheck_may_lack(&lane->key, turn->described, turn_settings(turn), &need))
		return true;
	cached = group_cache_get(&lane->key);
	heads = palloc(sizeof(Intent) * most);
	if (need.question != 0 && !turn_may_ask(turn, holds, permit, lanes_asking_beside(lane), &at))
		turn_serve_others(turn, holds, QUEUE_NEXT, at);
	else if (cached->asking_next > 0 || (need.question != 0 && group_cache_await(cached, &need, false)))
		lanes_prepare(lane, need.question != 0, clock_monotonic_ms());
	else if ((n = lane_peek(lane, most, heads)) == 0)
	{
		turn_give_back(permit, permit->granted);
		lane_postpone(lane);
		return false;
	}
	else
	{
		if (heads[0].action == ACTION_ADD)
			precheck_list_needs(&lane->key, turn->described, turn_settings(turn), heads, n, &needs);
		if (needs.count > 0 && needs.needs[0].person == NULL && group_cache_await(cached, &needs.needs[0], false))
			lanes_prepare(lane, true, clock_monotonic_ms());
		else if (needs.count > 0 && need.question == 0 && !turn_may_ask_about_people(turn, holds, permit, &at))
			turn_serve_others(turn, holds, QUEUE_KNOWN, at);
		else if (needs.count == 0 || !turn_ask(turn, holds, heads[0].requester, &needs))
			return true;
	}
	turn_put_off(permit);
	return false;
}

/* Serve a lane whose additions have a pace. */
static void
turn_serve_paced(Turn *turn, Holds *holds)
{
	Lane	   *lane = turn->lane;
	BudgetPermit permit;

	/* an empty lane takes no permit, which would keep the next token from sessions and from other lanes */
	if (lane->is_fresh && lane_next_due(lane) == 0)
	{
		lane_postpone(lane);
		return;
	}
	if (lane->queue == QUEUE_FRESH && lanes_has_elder(lane))
	{
		LaneQueue	queue = turn_queue(turn);

		turn_serve_others(turn, holds, queue, turn->instance->not_before_ms[queue]);
		return;
	}
	permit = turn_take_permit(turn->described, hold_get(holds, &lane->key, true), &lane->key, turn_settings(turn));
	if (permit.granted == 0 && lane->is_fresh)
		turn_use(turn, holds, &permit);
	else if (permit.granted == 0 && permit.has_group)
		lanes_schedule(lane, ms_of_us(permit.next_at));
	else if (!turn_ask_first(turn, holds, &permit))
		return;
	else if (permit.granted == 0)
		turn_wait_for_token(turn, hold_get(holds, &lane->key, true), &permit);
	else
		turn_use(turn, holds, &permit);
}

/* Serve a lane whose additions have no pace except a daily cap, quiet hours or the group's own. */
static void
turn_serve_unpaced(Turn *turn, Holds *holds)
{
	BudgetPermit permit = turn_take_permit(turn->described, hold_get(holds, &turn->lane->key, true), &turn->lane->key,
										   turn_settings(turn));

	if (permit.granted == 0 && !turn->lane->is_fresh)
		turn_wait_for_token(turn, hold_get(holds, &turn->lane->key, true), &permit);
	else if (permit.granted > 0 && !turn->has_head && !turn_ask_first(turn, holds, &permit))
		return;
	else
		turn_use(turn, holds, &permit);
}

/* Serve a lane whose group is full: by what adds nobody to it. */
static void
turn_serve_full(Turn *turn, Holds *holds)
{
	const BudgetPermit none = {0};
	Lane	   *lane = turn->lane;
	int			used = 0;
	Served		served = claim_attempt(turn, holds, &none, &used);

	if (served == SERVED_SOME)
		lanes_served(lane, turn->now);
	if (served != SERVED_NOTHING)
		return;
	lane_note_others(lane);
	lanes_schedule(lane, turn->full_until_ms);
}

/* Serve one due lane: at most one request. */
static void
turn_serve(void *subject, Holds *holds)
{
	Turn	   *turn = subject;

	if (turn->described == NULL && !turn_admit(turn, holds))
		return;
	lanes_describe(turn->instance, turn->described->concurrency, turn->described->reads_per_minute, turn->described->base.origin);
	turn_pass_late(turn, holds);
	if (!admission_has_room(turn->lane, turn->described))
		lanes_park(turn->lane);
	else if (turn->full_until_ms != 0)
		turn_serve_full(turn, holds);
	else if (turn->described->adds_per_minute > 0)
		turn_serve_paced(turn, holds);
	else
		turn_serve_unpaced(turn, holds);
}

/*
 * ---- claiming ahead
 */

/*
 * True if rows of the lane have to be looked at before they are claimed.  Where
 * checks of numbers have a pace, few rows are put back because one may leave now,
 * which costs less than to look at all.
 */
static bool
turn_must_look_ahead(Turn *turn)
{
	InfoNeed	need;

	if (turn->described->checks_per_minute > 0)
		return precheck_must_ask(&turn->lane->key, turn_settings(turn), &need);
	return precheck_may_lack(&turn->lane->key, turn->described, turn_settings(turn), &need);
}

/* True if an addition of this lane needs nothing but room. */
static bool
turn_is_unpaced(Turn *turn)
{
	const WawpInstance *instance = turn->described;

	return turn->full_until_ms == 0 && instance->adds_per_minute <= 0 && instance->adds_per_day <= 0 && instance->batch_size == 1 &&
		instance_quiet_until(instance, GetCurrentTimestamp()) == 0 && turn_settings(turn)->adds_per_minute <= 0 &&
		!turn_must_look_ahead(turn);
}

/* True if the instance has room for one more beside those that are claimed ahead. */
static bool
turn_has_room_beside(const Turn *turn, Turn *const *ahead, int n)
{
	int			taken = turn->lane->instance->in_flight;

	for (int i = 0; i < n; i++)
		taken += ahead[i]->lane->instance == turn->lane->instance;
	return taken < turn->described->concurrency;
}

/* Insert the people of additions who are new, all together. */
static void
meet_people(Turn *const *turns, int n)
{
	const char *jids[INTENT_CLAIMS_AT_ONCE];
	int			njids = 0;

	for (int i = 0; i < n; i++)
		if (turns[i]->head.is_claimed && turns[i]->head.intent.action == ACTION_ADD &&
			turns[i]->head.intent.jid.kind != JID_INVALID)
			jids[njids++] = turns[i]->head.intent.jid.text;
	if (njids > 1)
		contact_meet(jids, njids);
}

/*
 * Claim a row for each of these turns in one statement, which costs much less
 * than one for each.  A turn that does not use its row puts it back.
 */
static void
claim_ahead(Turn *turns, int n, Holds *holds)
{
	Turn	   *ahead[INTENT_CLAIMS_AT_ONCE];
	int			nahead = 0;

	for (int i = 0; i < n; i++)
	{
		if (!turn_admit(&turns[i], holds))
			turns[i].lane = NULL;
		else if (turn_has_room_beside(&turns[i], ahead, nahead) && turn_is_unpaced(&turns[i]))
			ahead[nahead++] = &turns[i];
	}
	if (nahead == 0)
		return;
	claim_firsts(ahead, nahead);
	meet_people(ahead, nahead);
}

/*
 * ---- turns
 */

/* Begin the turns of as many due lanes as there are slots and turns left.  Return how many. */
static int
turns_begin(Turn *turns, int64 now, int most)
{
	int			n = 0;
	Lane	   *lane;

	most = Min(Min(admission_slots(clock_monotonic_ms()), INTENT_CLAIMS_AT_ONCE), most);
	while (n < most && (lane = lanes_take_due(now)) != NULL)
	{
		memset(&turns[n], 0, sizeof(Turn));
		turns[n].now = now;
		turns[n].instance = lane->instance;
		turns[n++].lane = lane;
	}
	return n;
}

/* Give a lane its turn; a claimed row that it does not use is put back. */
static void
turn_take(Turn *turn, Holds *holds)
{
	if (turn->lane == NULL)
		return;
	if (!admission_may_claim(clock_monotonic_ms()))
		lanes_park(turn->lane);
	else if (!savepoint_run(turn_serve, turn, holds))
	{
		claim_give_back_unused();
		lanes_retry(turn->lane, clock_monotonic_ms());
	}
	if (!turn->head.is_claimed)
		return;
	precheck_put_back(&turn->head.intent);
	/* the lane has not seen its row in this turn */
	lanes_note(&turn->head.intent.lane, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
}

/*
 * Serve the lanes that are due by the time of the portion, as far as there are
 * slots and the cycle's portion goes; the next cycle goes on with the rest.
 */
void
claim_due(Holds *holds, CyclePortion *portion)
{
	Turn	   *turns = palloc(sizeof(Turn) * INTENT_CLAIMS_AT_ONCE);
	int			n;

	while ((n = turns_begin(turns, portion->due_by_ms, admission_portion_left(portion, clock_monotonic_ms()))) > 0)
	{
		portion->turns += n;
		if (n > 1 && !savepoint_is_on())
			claim_ahead(turns, n, holds);
		for (int i = 0; i < n; i++)
		{
			turn_take(&turns[i], holds);
			lanes_end_turn(turns[i].instance);
		}
	}
	pfree(turns);
}
