/*-------------------------------------------------------------------------
 *
 * gcra.c
 *	  How fast people may be added.
 *
 * Pure.  GCRA: one timestamp of state.  A request may leave at `now` when
 *
 *		now >= tat - burst * interval
 *
 * and then tat = max(tat, now) + interval.  In any window of length W that is
 * open at one end at most burst + ceil(W / interval) requests leave; with
 * interval = 60 s / adds_per_minute that is adds_per_minute + adds_burst a
 * minute, the promise of design.md, section 7.  Who drips (the worker) asks
 * with burst 0 against the same tat, and so leaves the burst to others.  It may
 * come a little early, by its slack: then a wake-up that is late by less does
 * not move what follows, and the pace is kept on average.  The promise holds as
 * long as burst and slack together stay within the rate's burst.
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
/* A busy machine wakes a process that late, rarely later. */
#define MOST_SLACK 10000

/* Rounded up, so that no rounding adds a request to a window. */
PaceRate
pace_rate(double per_minute, int burst)
{
	PaceRate	rate = {.burst = burst};

	if (per_minute > 0)
		rate.interval = (int64) ceil(Min(MINUTE / per_minute, LONGEST_INTERVAL));
	return rate;
}

/* The same rate, halved that many times; the burst goes with it. */
PaceRate
pace_slower(PaceRate rate, int halvings)
{
	rate.interval <<= halvings;
	rate.burst >>= halvings;
	return rate;
}

/*
 * The same rate for who drips: may come early by drip_burst requests, and by a
 * slack as far as the rate has burst left for it.
 */
PaceRate
pace_drip(PaceRate rate, int drip_burst)
{
	PaceRate	drip = {.interval = rate.interval,.burst = drip_burst};

	if (drip_burst < rate.burst)
		drip.slack = Min(rate.interval / 10, MOST_SLACK);
	return drip;
}

/* When the next request may leave. */
int64
pace_next(PaceRate rate, int64 tat)
{
	return tat - rate.interval * rate.burst - rate.slack;
}

/* How many of `wanted` requests may leave now. */
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

/* How many requests may leave until now + span; the rate is not 0. */
int64
pace_within(PaceRate rate, int64 tat, int64 now, int64 span)
{
	int64		room = now + span - pace_next(rate, Max(tat, now));

	return room > 0 ? (room - 1) / rate.interval + 1 : 0;
}

/* How many requests may leave until now + span, where the next may leave in `wait`. */
int64
pace_tokens_ahead(PaceRate rate, int64 wait, int64 span)
{
	if (wait > span)
		return 0;
	return rate.interval == 0 ? PG_INT64_MAX : (span - wait) / rate.interval + 1;
}

/* State after `count` requests left; jitter is a share of the interval. */
int64
pace_spend(PaceRate rate, int64 tat, int64 now, int count, double jitter)
{
	return Max(tat, now) + count * (rate.interval + (int64) (rate.interval * jitter));
}

/*
 * State after what was granted that long ago, and took that share, was not used.
 * What has passed since has let others have it already; giving back more than
 * the rest would let one too many leave in a window.
 */
int64
pace_give_back(int64 tat, int64 share, int64 elapsed)
{
	return tat - Max(share - elapsed, 0);
}

/*
 * State that cannot lie further ahead than a full burst just spent: what a
 * lowered rate or a damaged record would otherwise hold up for ever.
 */
int64
pace_clamp(PaceRate rate, int64 tat, int64 now, double jitter)
{
	int64		furthest = now + (int64) ((rate.burst + 1) * rate.interval * (1 + jitter));

	return Min(tat, furthest);
}
