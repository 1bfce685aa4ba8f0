/*-------------------------------------------------------------------------
 *
 * gcra.h
 *	  The rate-limiting algorithm (GCRA).
 *
 * IDENTIFICATION
 *	  src/throttle/gcra.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GCRA_H
#define WAWP_GCRA_H

/*
 * A rate.  Times are microseconds of one clock; `tat`, the only state, is the
 * theoretical arrival time of the next request.
 */
typedef struct PaceRate
{
	int64		interval;		/* between two requests; 0 = unpaced */
	int			burst;			/* number of requests that may be early */
	int64		slack;			/* every request may be early by that, so that late wake-ups do not add up */
} PaceRate;

extern PaceRate pace_rate(double per_minute, int burst);
extern PaceRate pace_slower(PaceRate rate, int halvings);
extern PaceRate pace_drip(PaceRate rate, int drip_burst);
extern int64 pace_next(PaceRate rate, int64 tat);
extern int	pace_available(PaceRate rate, int64 tat, int64 now, int wanted);
extern int64 pace_within(PaceRate rate, int64 tat, int64 now, int64 span);
extern int64 pace_tokens_ahead(PaceRate rate, int64 wait, int64 span);
extern int64 pace_spend(PaceRate rate, int64 tat, int64 now, int count, double jitter);
extern int64 pace_give_back(int64 tat, int64 share, int64 elapsed);
extern int64 pace_clamp(PaceRate rate, int64 tat, int64 now, double jitter);

#endif							/* WAWP_GCRA_H */
