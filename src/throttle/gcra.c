/*-------------------------------------------------------------------------
 *
 * gcra.c
 *	  The rate-limiting algorithm (GCRA).
 *
 * Pure.  One timestamp of state, `tat`.  A request may leave at `now` when
 *
 *		now >= tat - burst * interval
 *
 * and then tat = max(tat, now) + interval.  In any window of length W that is
 * open at one end, at most burst + ceil(W / interval) requests leave; with
 * interval = 60 s / adds_per_minute that is adds_per_minute + adds_burst a
 * minute.  The worker drips: it uses burst 0 against the same tat, which leaves
 * the burst to others.  It may be early by a small slack, so that a wake-up that
 * is late by less does not delay the following requests and the pace is kept on
 * average.  The bound holds as long as burst and slack together stay within the
 * rate's burst.
 *
 * Jitter only ever lengthens an interval.
 *
 * IDENTIFICATION
 *	  src/throttle/gcra.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "throttle/gcra.h"

#define MINUTE INT64CONST(60000000)
#define LONGEST_INTERVAL (366.0 * 24 * 60 * MINUTE)
/* in microseconds; a busy machine rarely wakes a process later than that */
#define MOST_SLACK 10000

/*
 * Return the rate of so many requests a minute; its interval is rounded up, so
 * that rounding adds no request to a window.
 */
PaceRate
pace_rate(double per_minute, int burst)
{
	PaceRate	rate = {.burst = burst};

	if (per_minute > 0)
		rate.interval = (int64) ceil(Min(MINUTE / per_minute, LONGEST_INTERVAL));
	return rate;
}

/* Return the rate, and its burst, halved that many times. */
PaceRate
pace_slower(PaceRate rate, int halvings)
{
	rate.interval <<= halvings;
	rate.burst >>= halvings;
	return rate;
}

/*
 * Return the rate for a process that drips: it may be early by drip_burst
 * requests, and by a slack if the rate has burst left for it.
 */
PaceRate
pace_drip(PaceRate rate, int drip_burst)
{
	PaceRate	drip = {.interval = rate.interval, .burst = drip_burst};

	if (drip_burst < rate.burst)
		drip.slack = Min(rate.interval / 10, MOST_SLACK);
	return drip;
}

/* Return the time at which the next request may leave. */
int64
pace_next(PaceRate rate, int64 tat)
{
	return tat - rate.interval * rate.burst - rate.slack;
}

/* Return the number of requests, up to `wanted`, that may leave now. */
int
pace_available(PaceRate rate, int64 tat, int64 now, int wanted)
{
	int64		early = now - pace_next(rate, Max(tat, now));

	if (rate.interval == 0)
		return wanted;
	if (early < 0)
		return 0;
	return (int) Min(early / rate.interval + 1, wanted);
}

/* Return the number of requests that may leave until now + span; the rate is not 0. */
int64
pace_within(PaceRate rate, int64 tat, int64 now, int64 span)
{
	int64		room = now + span - pace_next(rate, Max(tat, now));

	return room > 0 ? (room - 1) / rate.interval + 1 : 0;
}

/* Return the number of requests that may leave within `span`, if the next may leave in `wait`. */
int64
pace_tokens_ahead(PaceRate rate, int64 wait, int64 span)
{
	if (wait > span)
		return 0;
	return rate.interval == 0 ? PG_INT64_MAX : (span - wait) / rate.interval + 1;
}

/* Return the state after `count` requests left; jitter is a share of the interval. */
int64
pace_spend(PaceRate rate, int64 tat, int64 now, int count, double jitter)
{
	return Max(tat, now) + count * (rate.interval + (int64) (rate.interval * jitter));
}

/*
 * Return the state after a grant of `share`, made `elapsed` ago, was not used.
 * Time that has passed since has been available to others already: giving back
 * more than the rest would let too many requests leave in a window.
 */
int64
pace_give_back(int64 tat, int64 share, int64 elapsed)
{
	return tat - Max(share - elapsed, 0);
}

/*
 * Return a state that is not further ahead than after spending a full burst; one
 * from a lower rate, or from a damaged record, could block requests for ever.
 */
int64
pace_clamp(PaceRate rate, int64 tat, int64 now, double jitter)
{
	int64		furthest = now + (int64) ((rate.burst + 1) * rate.interval * (1 + jitter));

	return Min(tat, furthest);
}
