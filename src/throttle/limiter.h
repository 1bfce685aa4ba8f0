/*-------------------------------------------------------------------------
 *
 * limiter.h
 *	  The limiter: the pace of all processes of the cluster together.
 *
 * IDENTIFICATION
 *	  src/throttle/limiter.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LIMITER_H
#define WAWP_LIMITER_H

#include "throttle/gcra.h"

typedef enum LimiterKind
{
	LIMIT_ADD,
	LIMIT_INVITE,
	LIMIT_CHECK,
	LIMIT_READ					/* not recorded, so not replayed */
} LimiterKind;

/* The key of a limit: an account at a host, or one group of it. */
typedef struct LimiterKey
{
	uint64		account;		/* hash of host and instance_id */
	uint64		group;			/* hash of the group, 0 for the account */
	int32		kind;
	int32		padding;
} LimiterKey;

/* A request for permits. */
typedef struct LimiterAsk
{
	const char *instance_id;	/* for the server log */
	PaceRate	rate;			/* with the whole burst */
	bool		drips;			/* the caller is a worker: it leaves the burst to others ... */
	int			drip_burst;		/* ... except for so much of it */
	int			per_day;		/* cap of the calendar day, 0 = none */
	int			wanted;
	double		jitter;			/* share by which this interval is longer */
} LimiterAsk;

/* An answer.  Times are monotonic microseconds. */
typedef struct LimiterGrant
{
	int			granted;
	int64		at;				/* the time of the answer */
	int64		each;			/* the interval that each permit took, with jitter */
	int64		next_at;		/* when the next may leave; 0 if all was granted */
	bool		is_full;		/* nothing is known of the key, since the table has no room */
} LimiterGrant;

extern Size limiter_shmem_size(void);
extern void limiter_shmem_startup(void);
extern LimiterKey limiter_key(const char *host, const char *instance_id,
							  LimiterKind kind, const char *group);
extern LimiterGrant limiter_take(const LimiterKey *key, const LimiterAsk *ask);
extern void limiter_note_left(const LimiterKey *key, const LimiterGrant *grant, int count);
extern void limiter_refund(const LimiterKey *key, const LimiterGrant *grant, int count, bool comes_back);
extern void limiter_replay(const LimiterKey *key, PaceRate rate, int64 age_us);
extern void limiter_replay_day(const LimiterKey *key, int count, bool is_capped);
extern int	limiter_spent_today(const LimiterKey *key);
extern int64 limiter_within(const LimiterKey *key, PaceRate rate, int64 span_us);
extern long limiter_entries(int64 *refusals);
extern int64 limiter_next_at(const LimiterKey *key, PaceRate rate);

#endif							/* WAWP_LIMITER_H */
