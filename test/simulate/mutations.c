/*
 * mutations.c
 *	  Ways to break the worker, by which the simulation shows that it can fail.
 *
 * The linker's --wrap puts these between the modules (see compile): src/ is compiled as it is.  Without a mutation each
 * passes its call on.
 */
#include "postgres.h"

#include "base/clock.h"
#include "throttle/budget.h"
#include "throttle/share.h"
#include "worker/group_cache.h"
#include "worker/lanes.h"

#include "simulate.h"

static bool first_lane;
static bool last_lane;
static bool no_token_wakes;
static bool forgets_who_asked;
static bool answer_wakes_none;
static bool pace_is_double;
static bool tokens_are_lost;
static bool lists_are_old;
static bool places_leak;
static bool no_shares;
static bool late_ones_keep_tokens;

const Mutation mutations[] = {
	{"the first lane always: a turn does not move a lane behind the others", &first_lane, false},
	{"last in, first out: who was served last is served next", &last_lane, false},
	{"no lane is woken at a token", &no_token_wakes, false},
	{"a lane that has asked is not the first when its answer comes", &forgets_who_asked, false},
	{"an answer does not let its lane go on", &answer_wakes_none, false},
	{"the limiter grants twice the pace", &pace_is_double, false},
	{"a permit that is put off is lost", &tokens_are_lost, false},
	{"a list is too old as soon as it comes", &lists_are_old, false},
	{"the place of one request in a hundred is not freed", &places_leak, false},
	{"no shares: whoever is due takes all slots", &no_shares, false},
	{"a lane whose answer is late keeps others from its token", &late_ones_keep_tokens, true},
};
const int	nmutations = lengthof(mutations);

/* Declared by the functions they are for, so that neither can have other arguments. */
extern __typeof__(lanes_served) __real_lanes_served, __wrap_lanes_served;
extern __typeof__(lanes_wait) __real_lanes_wait, __wrap_lanes_wait;
extern __typeof__(lanes_prepare) __real_lanes_prepare, __wrap_lanes_prepare;
extern __typeof__(lanes_pass_late) __real_lanes_pass_late, __wrap_lanes_pass_late;
extern __typeof__(lanes_late_ms) __real_lanes_late_ms, __wrap_lanes_late_ms;
extern __typeof__(lanes_end_question) __real_lanes_end_question, __wrap_lanes_end_question;
extern __typeof__(lanes_end_request) __real_lanes_end_request, __wrap_lanes_end_request;
extern __typeof__(limiter_take) __real_limiter_take, __wrap_limiter_take;
extern __typeof__(budget_put_off) __real_budget_put_off, __wrap_budget_put_off;
extern __typeof__(group_cache_has_list_since) __real_group_cache_has_list_since, __wrap_group_cache_has_list_since;
extern __typeof__(share_allows) __real_share_allows, __wrap_share_allows;

void
__wrap_lanes_served(Lane *lane, int64 now)
{
	uint64		turn = lane->turn;

	__real_lanes_served(lane, now);
	/* it waits by its time here, so no queue is out of order */
	if (first_lane)
		lane->turn = turn;
	else if (last_lane)
		lane->turn = PG_INT64_MAX / 2 - lane->turn;
}

void
__wrap_lanes_wait(Lane *lane, LaneQueue queue, int64 not_before_ms)
{
	__real_lanes_wait(lane, queue, no_token_wakes ? CLOCK_NEVER : not_before_ms);
}

void
__wrap_lanes_prepare(Lane *lane, bool about_group, int64 now)
{
	if (forgets_who_asked)
		lanes_schedule(lane, CLOCK_NEVER);
	else
		__real_lanes_prepare(lane, about_group, now);
}

void
__wrap_lanes_pass_late(LaneInstance *instance, int64 interval_ms, int64 now)
{
	if (!late_ones_keep_tokens)
		__real_lanes_pass_late(instance, interval_ms, now);
}

int64
__wrap_lanes_late_ms(const LaneInstance *instance, int64 interval_ms)
{
	return late_ones_keep_tokens ? CLOCK_NEVER : __real_lanes_late_ms(instance, interval_ms);
}

void
__wrap_lanes_end_question(const LaneKey *key, bool was_verification, bool lets_verify, int64 took_ms, int64 now)
{
	__real_lanes_end_question(key, was_verification, lets_verify, took_ms, now);
	if (answer_wakes_none)
		lanes_schedule(lanes_find(key), CLOCK_NEVER);
}

void
__wrap_lanes_end_request(LaneInstance *instance, int64 took_ms)
{
	static int	n;

	if (!places_leak || ++n % 100 != 0)
		__real_lanes_end_request(instance, took_ms);
}

LimiterGrant
__wrap_limiter_take(const LimiterKey *key, const LimiterAsk *ask)
{
	LimiterAsk	doubled = *ask;
	LimiterGrant grant;

	if (pace_is_double)
		doubled.rate.interval /= 2;
	grant = __real_limiter_take(key, &doubled);
	if (key->kind == LIMIT_ADD && ask->rate.interval > 0)
		world_note_answer(world_account_of(ask->instance_id), ask->rate.interval + ask->drip_burst, grant.granted > 0,
						  grant.next_at - clock_monotonic_us());
	if (key->kind == LIMIT_ADD)
		trace(world_account_of(ask->instance_id), "permits: %d of %d, interval %.1f s, next in %.3f s", grant.granted, ask->wanted,
			  (double) ask->rate.interval / SECOND, (double) Max(grant.next_at - clock_monotonic_us(), 0) / SECOND);
	return grant;
}

void
__wrap_budget_put_off(const BudgetPermit *permit)
{
	if (!tokens_are_lost)
		__real_budget_put_off(permit);
}

bool
__wrap_group_cache_has_list_since(const CachedGroup *cached, TimestampTz than)
{
	return !lists_are_old && __real_group_cache_has_list_since(cached, than);
}

bool
__wrap_share_allows(const ShareSlots *slots, const Share *instance, const Share *host)
{
	return no_shares ? slots->used < slots->most : __real_share_allows(slots, instance, host);
}
