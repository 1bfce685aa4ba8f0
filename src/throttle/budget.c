/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  Permits by the pace of an instance, for the worker and for sessions.
 *
 * Combines the options of the instance (rates, burst, cap of the day), the number
 * of times that a hold for rate_limited has halved the pace (the caller counts)
 * and the state of the limiter, so that the worker, calls made by hand and the
 * views use the same figures.
 *
 * No lock is held when a function returns; nothing here raises an error.
 *
 * IDENTIFICATION
 *	  src/throttle/budget.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "common/pg_prng.h"
#include "throttle/budget.h"

#include "compat.h"

#define MAX_HALVINGS 4
/* reads of groups that may be saved up */
#define READS_SAVED 1

/* Return the key of an instance's account, the same in all databases that use it. */
LimiterKey
budget_key(const WawpInstance *instance, LimiterKind kind)
{
	return limiter_key(instance->base.host, instance->instance_id, kind, NULL);
}

/* Return the instance's pace, halved that many times (hold_halvings), at most MAX_HALVINGS. */
PaceRate
budget_add_rate(const WawpInstance *instance, int halvings)
{
	return pace_slower(pace_rate(instance->adds_per_minute, instance->adds_burst), Min(halvings, MAX_HALVINGS));
}

static BudgetPermit
budget_take(LimiterKey key, const LimiterAsk *ask)
{
	LimiterGrant grant = limiter_take(&key, ask);
	BudgetPermit permit = {.granted = grant.granted, .next_at = grant.next_at, .key = key, .grant = grant};

	return permit;
}

/* Return the key of a group of the instance's account. */
LimiterKey
budget_group_key(const WawpInstance *instance, const char *group)
{
	return limiter_key(instance->base.host, instance->instance_id, LIMIT_ADD, group);
}

/* Reduce a permit of the instance to what the group's own pace allows. */
static void
budget_take_of_group(const WawpInstance *instance, const BudgetGroup *group, double jitter, BudgetPermit *permit)
{
	LimiterAsk	ask = {
		.instance_id = instance->instance_id,
		.rate = pace_rate(group->adds_per_minute, 0),
		.wanted = permit->granted,
		.jitter = jitter
	};
	BudgetPermit whole = *permit;
	LimiterGrant grant;

	permit->has_group = true;
	permit->group_key = budget_group_key(instance, group->jid);
	grant = limiter_take(&permit->group_key, &ask);
	permit->group_grant = grant;
	if (grant.granted == permit->granted)
		return;
	limiter_refund(&whole.key, &whole.grant, whole.granted - grant.granted, false);
	permit->granted = grant.granted;
	permit->next_at = grant.next_at;
}

/*
 * Take permits for up to `wanted` people to be added now.  drips: the caller is
 * the worker, which leaves the burst to calls made by hand, except for what one
 * batch needs.
 */
BudgetPermit
budget_take_adds(const WawpInstance *instance, int halvings, const BudgetGroup *group, bool drips, int wanted)
{
	PaceRate	rate = budget_add_rate(instance, halvings);
	LimiterAsk	ask = {
		.instance_id = instance->instance_id,
		.rate = rate,
		.drips = drips,
		.drip_burst = Min(instance->batch_size - 1, rate.burst),
		.per_day = instance->adds_per_day,
		.wanted = wanted,
		.jitter = pg_prng_double(&pg_global_prng_state) * instance->pace_jitter
	};
	BudgetPermit permit = budget_take(budget_key(instance, LIMIT_ADD), &ask);

	if (permit.granted > 0 && group->jid && group->adds_per_minute > 0)
		budget_take_of_group(instance, group, ask.jitter, &permit);
	return permit;
}

/* Return the number of permits of a rate that are free now, and move *next_at to the next one's time if there are none. */
static int
budget_look_at(const LimiterKey *key, PaceRate rate, int64 *next_at)
{
	int64		free_now = rate.interval == 0 ? INT_MAX : Min(limiter_within(key, rate, 1), INT_MAX);

	if (free_now <= 0)
		*next_at = Max(*next_at, limiter_next_at(key, rate));
	return (int) Max(free_now, 0);
}

/*
 * Return how many people a session could add now, without taking a permit;
 * *next_at is the time of the next permit, in monotonic us, or 0 if the cap of
 * the day is reached or one is free.
 */
int
budget_adds_now(const WawpInstance *instance, int halvings, const BudgetGroup *group, int64 *next_at)
{
	LimiterKey	key = budget_key(instance, LIMIT_ADD);
	int			free_now;

	*next_at = 0;
	free_now = budget_look_at(&key, budget_add_rate(instance, halvings), next_at);
	if (group->jid && group->adds_per_minute > 0)
	{
		LimiterKey	group_key = budget_group_key(instance, group->jid);

		free_now = Min(free_now, budget_look_at(&group_key, pace_rate(group->adds_per_minute, 0), next_at));
	}
	if (instance->adds_per_day > 0)
		free_now = Min(free_now, Max(instance->adds_per_day - limiter_spent_today(&key), 0));
	return free_now;
}

static BudgetPermit
budget_take_one(const WawpInstance *instance, LimiterKind kind, double per_minute)
{
	LimiterAsk	ask = {
		.instance_id = instance->instance_id,
		.rate = pace_rate(per_minute, 0),
		.wanted = 1
	};

	return budget_take(budget_key(instance, kind), &ask);
}

/* Take a permit for one invitation or welcome, without a burst. */
BudgetPermit
budget_take_invite(const WawpInstance *instance)
{
	return budget_take_one(instance, LIMIT_INVITE, instance->invites_per_minute);
}

/* Take a permit for one check of a number's registration. */
BudgetPermit
budget_take_check(const WawpInstance *instance)
{
	return budget_take_one(instance, LIMIT_CHECK, instance->checks_per_minute);
}

/* True if a check of a number's registration may leave now; no permit is taken. */
bool
budget_check_is_free(const WawpInstance *instance)
{
	LimiterKey	key = budget_key(instance, LIMIT_CHECK);
	int64		next_at = 0;

	return budget_look_at(&key, pace_rate(instance->checks_per_minute, 0), &next_at) > 0;
}

/*
 * Take a permit for one reading of a group.  The worker may save one up, for the
 * case that no slot is free when it falls due.  Reads of a session spend what is
 * available and do not wait, but leave the worker its turn.
 */
BudgetPermit
budget_take_read(const WawpInstance *instance, bool is_worker)
{
	LimiterAsk	ask = {
		.rate = pace_rate(instance->reads_per_minute, READS_SAVED),
		.drips = is_worker,
		.drip_burst = READS_SAVED,
		.wanted = 1
	};

	return budget_take(budget_key(instance, LIMIT_READ), &ask);
}

static void
budget_refund(const BudgetPermit *permit, int count, bool comes_back)
{
	if (count <= 0)
		return;
	limiter_refund(&permit->key, &permit->grant, count, comes_back);
	/* nobody drips by a group's pace, so there are no turns */
	if (permit->has_group)
		limiter_refund(&permit->group_key, &permit->group_grant, count, false);
}

/* Note that a request for so many permits leaves now. */
void
budget_note_left(const BudgetPermit *permit, int count)
{
	limiter_note_left(&permit->key, &permit->grant, count);
	if (permit->has_group)
		limiter_note_left(&permit->group_key, &permit->group_grant, count);
}

/* Give back permits of requests that provably did not leave. */
void
budget_give_back(const BudgetPermit *permit, int count)
{
	budget_refund(permit, count, false);
}

/* Give all back because something has to be requested first; the worker keeps its turn. */
void
budget_put_off(const BudgetPermit *permit)
{
	budget_refund(permit, permit->granted, true);
}
