/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  What the pace of an instance allows, for the worker and for sessions.
 *
 * Joins what the instance says (rates, burst, cap of the day), what it has met
 * (a hold for rate_limited halves the pace) and what was spent (limiter.c), so
 * that the worker, calls made by hand and the views go by the same figures.
 *
 * No lock is held when a function returns; nothing here raises an error.
 *
 * IDENTIFICATION
 *	  src/budget.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "budget.h"
#include "common/pg_prng.h"
#include "outcome.h"

#include "compat.h"

#define MAX_HALVINGS 4

/* Whose account: the same in all databases that use it. */
LimiterKey
budget_key(const WawpInstance *instance, LimiterKind kind)
{
	return limiter_key(instance->base.host, instance->instance_id, kind, NULL);
}

/* on_instance: the hold of the whole instance, also one that is over; or NULL. */
PaceRate
budget_add_rate(const WawpInstance *instance, const Hold *on_instance)
{
	bool		was_limited = on_instance &&
		strcmp(on_instance->reason, outcome_info(WAWP_RATE_LIMITED)->name) == 0;

	return pace_slower(pace_rate(instance->adds_per_minute, instance->adds_burst),
					   was_limited ? Min(on_instance->failures, MAX_HALVINGS) : 0);
}

static LimiterGrant
take_adds(const WawpInstance *instance, const Hold *on_instance, bool drips, int wanted)
{
	LimiterKey	key = budget_key(instance, LIMIT_ADD);
	LimiterAsk	ask = {
		.rate = budget_add_rate(instance, on_instance),
		.drips = drips,
		.drip_burst = Min(instance->batch_size - 1, instance->adds_burst),
		.per_day = instance->adds_per_day,
		.wanted = wanted,
		.jitter = pg_prng_double(&pg_global_prng_state) * instance->pace_jitter
	};

	return limiter_take(&key, &ask);
}

/* Permits for the next request of the worker: it drips, but for whole batches. */
LimiterGrant
budget_take_for_worker(const WawpInstance *instance, const Hold *on_instance)
{
	return take_adds(instance, on_instance, true, instance->batch_size);
}

/* Permits for a call made by hand, which may use the burst. */
LimiterGrant
budget_take_by_hand(const WawpInstance *instance, const Hold *on_instance, int wanted)
{
	return take_adds(instance, on_instance, false, wanted);
}

static LimiterGrant
take_one(const WawpInstance *instance, LimiterKind kind, double per_minute)
{
	LimiterKey	key = budget_key(instance, kind);
	LimiterAsk	ask = {
		.rate = pace_rate(per_minute, 0),
		.wanted = 1
	};

	return limiter_take(&key, &ask);
}

/* A permit for one invitation or welcome: they drip. */
LimiterGrant
budget_take_invite(const WawpInstance *instance)
{
	return take_one(instance, LIMIT_INVITE, instance->invites_per_minute);
}

/* A permit for one look whether a number is on WhatsApp. */
LimiterGrant
budget_take_check(const WawpInstance *instance)
{
	return take_one(instance, LIMIT_CHECK, instance->checks_per_minute);
}
