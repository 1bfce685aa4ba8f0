/*-------------------------------------------------------------------------
 *
 * limiter.c
 *	  The limiter: the pace of all processes of the cluster together.
 *
 * A fixed hash table in shared memory, guarded by WawpShared.limiter_lock
 * (always exclusive, always short).  An entry is one GCRA timestamp, in
 * microseconds of the monotonic clock so that steps of the wall clock do not
 * change it, and the count of one calendar day (UTC).  An entry that limits nobody
 * may be evicted: its timestamp is past, and its day is over or nobody has capped
 * it (a cap that is set later that day then counts from there).  When the table is
 * full of others, nothing is granted and the server log says so: the pace may
 * become too slow, but is not exceeded.
 *
 * Calls by hand may use the burst; the worker drips.  To keep such calls from
 * starving it, a worker that was refused for more than two intervals gets the
 * next token.
 *
 * The limit holds for grants: in any window of the monotonic clock, read under
 * the lock, no more permits than the rate and its burst allow.  A permit is taken
 * just before the record of the request is written, and the request leaves as
 * soon as that is committed.  A process that is delayed in between (a busy
 * machine, a locked audit log, at most wawp.audit_timeout) sends late, and its
 * requests can be close to those of later permits: of n requests that are late
 * by at most d, a window of length w has those of a window of w + d, one more for
 * each interval in d.  That is accepted: forfeiting a late permit would starve
 * those who wait longest on a busy machine, and a second wait before sending
 * would delay every request.  Every answer of the limiter is in the server log
 * at DEBUG1, by which the tests check the limit.
 *
 * Nothing raises an error or is allocated.  Shared memory does not outlive the
 * postmaster; a worker replays the audit log at its start.
 *
 * IDENTIFICATION
 *	  src/throttle/limiter.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "throttle/limiter.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "compat.h"

#define SECOND_US INT64CONST(1000000)
/* delay before another try while the limiter is rebuilt, which takes well under a second */
#define NOT_REBUILT_US (100 * INT64CONST(1000))
/* Requests that leave so long after their permits are late: the network may take as much. */
#define LATE_US (50 * 1000)
/* The whole table is not searched again before, nor the log told. */
#define FULL_US (100 * INT64CONST(1000))
#define FULL_LOG_US (60 * SECOND_US)

/* A database's worker that was refused; it counts as waiting while it keeps asking. */
typedef struct Waiter
{
	Oid			database;
	int64		since_us;		/* monotonic; 0: nobody waits */
	int64		asked_us;		/* the last time */
} Waiter;

static const Waiter no_waiter = {InvalidOid, 0, 0};

typedef struct LimiterEntry
{
	LimiterKey	key;			/* must be first */
	int64		tat;			/* monotonic us */
	int32		day;			/* days since 2000-01-01 UTC */
	int32		spent;			/* on that day ... */
	bool		is_capped;		/* ... for which somebody has a cap */
	Waiter		first;
	Waiter		next;			/* another database's, refused meanwhile */
	int64		waited_since_us;	/* first's, before its last grant */
	int64		worker_interval;	/* interval of its last token, with jitter */
} LimiterEntry;

static HTAB *wawp_limiters = NULL;

/* Return the size of the table, for shmem.c. */
Size
limiter_shmem_size(void)
{
	return hash_estimate_size(wawp_max_limiters, sizeof(LimiterEntry));
}

/* Create or attach to the table; called with AddinShmemInitLock held, once per process. */
void
limiter_shmem_startup(void)
{
	HASHCTL		info = {.keysize = sizeof(LimiterKey), .entrysize = sizeof(LimiterEntry)};

	wawp_limiters = wawp_shmem_init_hash("wawp limiters", wawp_max_limiters, &info,
										 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static uint64
limiter_hash_text(const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

/* Return the key of an account or, unless group is NULL, of a group of it. */
LimiterKey
limiter_key(const char *host, const char *instance_id, LimiterKind kind, const char *group)
{
	LimiterKey	key;

	memset(&key, 0, sizeof(key));
	key.account = hash_combine64(limiter_hash_text(host), limiter_hash_text(instance_id));
	key.group = group ? limiter_hash_text(group) : 0;
	key.kind = kind;
	return key;
}

/* Return the number of the current day (UTC). */
static int32
limiter_today(void)
{
	return (int32) (GetCurrentTimestamp() / USECS_PER_DAY);
}

/* Remove an entry that limits nobody; false if there is none. */
static bool
limiter_evict_one(int64 now, int32 day)
{
	static int64 full_until;
	HASH_SEQ_STATUS status;
	LimiterEntry *entry;

	if (now < full_until)
		return false;
	hash_seq_init(&status, wawp_limiters);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->tat >= now || (entry->day == day && entry->spent > 0 && entry->is_capped))
			continue;
		hash_search(wawp_limiters, &entry->key, HASH_REMOVE, NULL);
		hash_seq_term(&status);
		return true;
	}
	full_until = now + FULL_US;
	return false;
}

/* Return the entry of a key, creating it if it is missing; NULL if the table is full. */
static LimiterEntry *
limiter_find_entry(const LimiterKey *key, int64 now)
{
	int32		day = limiter_today();
	LimiterEntry *entry;
	bool		found;

	entry = hash_search(wawp_limiters, key, HASH_ENTER_NULL, &found);
	if (entry == NULL && limiter_evict_one(now, day))
		entry = hash_search(wawp_limiters, key, HASH_ENTER_NULL, &found);
	if (entry == NULL)
		return NULL;
	if (!found)
	{
		entry->tat = 0;
		entry->day = day;
		entry->spent = 0;
		entry->is_capped = false;
		entry->first = entry->next = no_waiter;
		entry->waited_since_us = 0;
		entry->worker_interval = 0;
	}
	if (entry->day < day)
	{
		entry->day = day;
		entry->spent = 0;
		entry->is_capped = false;
	}
	return entry;
}

/* Return the rate that a caller may use: all of it, or a part if it drips. */
static PaceRate
limiter_rate_for(const LimiterAsk *ask, bool goes_first)
{
	return ask->drips && !goes_first ? pace_drip(ask->rate, ask->drip_burst) : ask->rate;
}

/* Return the longest time for which a worker is refused: two intervals, with their jitter. */
static int64
worker_max_wait(const LimiterEntry *entry, PaceRate rate)
{
	return 2 * Max(rate.interval, entry->worker_interval);
}

/* True if a worker was refused and has kept asking since. */
static bool
waiter_is_waiting(const LimiterEntry *entry, const Waiter *waiter, PaceRate rate, int64 now)
{
	return waiter->since_us != 0 && now - waiter->asked_us <= worker_max_wait(entry, rate) + SECOND_US;
}

static bool
waiter_is_mine(const Waiter *waiter)
{
	return waiter->since_us != 0 && waiter->database == MyDatabaseId;
}

/* True if the next token belongs to the worker that waits first. */
static bool
waiter_goes_first(const LimiterEntry *entry, PaceRate rate, int64 now)
{
	return rate.interval != 0 && waiter_is_waiting(entry, &entry->first, rate, now) &&
		now - entry->first.since_us >= worker_max_wait(entry, rate);
}

/*
 * Give the next turn to another worker that was refused meanwhile, after one had
 * its own.  An interval is left to calls by hand in between, however many
 * workers there are.
 */
static void
waiter_pass_turn(LimiterEntry *entry, PaceRate rate, int64 now)
{
	entry->first = waiter_is_waiting(entry, &entry->next, rate, now) ? entry->next : no_waiter;
	if (entry->first.since_us != 0)
		entry->first.since_us = Max(entry->first.since_us, now + rate.interval - worker_max_wait(entry, rate));
	entry->next = no_waiter;
}

/* Note that this process's worker was refused. */
static void
waiter_queue_up(LimiterEntry *entry, PaceRate rate, int64 now)
{
	if (waiter_is_mine(&entry->first))
		entry->first.asked_us = now;
	else if (!waiter_is_waiting(entry, &entry->first, rate, now))
		entry->first = (Waiter) {MyDatabaseId, now, now};
	else if (!waiter_is_waiting(entry, &entry->next, rate, now))
		entry->next = (Waiter) {MyDatabaseId, now, now};
	else if (waiter_is_mine(&entry->next))
		entry->next.asked_us = now;
}

/* Restore the waiting time of this process's worker, whose permit was given back. */
static void
waiter_keep_turn(LimiterEntry *entry, int64 now)
{
	Waiter	   *place = entry->first.since_us == 0 ? &entry->first : &entry->next;

	if (place->since_us == 0 && !waiter_is_mine(&entry->first))
		*place = (Waiter) {MyDatabaseId, entry->waited_since_us, now};
}

/* Note what this process's worker was granted; workers of several databases take turns. */
static void
waiter_note_grant(LimiterEntry *entry, const LimiterGrant *grant, PaceRate rate, int64 now)
{
	bool		is_mine = waiter_is_mine(&entry->first);

	if (grant->granted == 0)
	{
		waiter_queue_up(entry, rate, now);
		return;
	}
	entry->waited_since_us = is_mine ? entry->first.since_us : now;
	entry->worker_interval = grant->each;
	if (is_mine)
		waiter_pass_turn(entry, rate, now);
}

/*
 * Return the time of this process's worker's turn; CLOCK_NEVER if it does not
 * wait for one.  After another worker's turn it is an interval later at the
 * earliest, however long this one has waited (see waiter_pass_turn).
 */
static int64
waiter_turn_at(const LimiterEntry *entry, PaceRate rate)
{
	int64		first_turn = entry->first.since_us + worker_max_wait(entry, rate);

	if (waiter_is_mine(&entry->first))
		return first_turn;
	if (!waiter_is_mine(&entry->next))
		return CLOCK_NEVER;
	return Max(entry->next.since_us + worker_max_wait(entry, rate), first_turn + rate.interval);
}

/*
 * Return the time at which a caller that was refused may ask again.  For a
 * worker that is when it goes first, however far calls by hand have spent the
 * burst; during another worker's turn, an interval later.
 */
static int64
limiter_next_token(const LimiterAsk *ask, const LimiterEntry *entry, bool is_worker_first, bool is_own_turn, int64 now)
{
	PaceRate	rate = limiter_rate_for(ask, is_own_turn);
	int64		next = pace_next(rate, entry->tat);
	int64		turn;

	if (ask->per_day > 0 && entry->spent >= ask->per_day)
		return now + (USECS_PER_DAY - GetCurrentTimestamp() % USECS_PER_DAY);
	if (is_worker_first && !is_own_turn)
		next = Max(next, now) + rate.interval;
	if (!ask->drips || is_own_turn)
		return next;
	/* its own turn may begin before there is a token for it */
	turn = Max(waiter_turn_at(entry, rate), pace_next(limiter_rate_for(ask, true), entry->tat));
	return Min(next, Max(turn, is_worker_first ? now + rate.interval : now));
}

/* Take permits from an entry, and fill in *grant. */
static void
limiter_take_from(LimiterEntry *entry, const LimiterAsk *ask, int64 now, LimiterGrant *grant)
{
	PaceRate	furthest = {.interval = ask->rate.interval, .burst = ask->rate.burst + ask->wanted};
	bool		is_worker_first = waiter_goes_first(entry, ask->rate, now);
	bool		is_own_turn = is_worker_first && ask->drips && waiter_is_mine(&entry->first);

	entry->is_capped |= ask->per_day > 0;
	/* a state further ahead than a whole burst dates from a lower rate */
	entry->tat = pace_clamp(furthest, entry->tat, now, 1.0);
	if (is_own_turn || !is_worker_first)
		grant->granted = pace_available(limiter_rate_for(ask, is_own_turn), entry->tat, now,
										is_own_turn ? Min(ask->wanted, ask->drip_burst + 1) : ask->wanted);
	if (ask->per_day > 0)
		grant->granted = Min(grant->granted, Max(ask->per_day - entry->spent, 0));
	if (grant->granted > 0)
	{
		grant->each = pace_spend(ask->rate, now, now, 1, ask->jitter) - now;
		entry->tat = pace_spend(ask->rate, entry->tat, now, grant->granted, ask->jitter);
		entry->spent += grant->granted;
	}
	if (ask->drips)
		waiter_note_grant(entry, grant, ask->rate, now);
	if (grant->granted < ask->wanted)
		grant->next_at = limiter_next_token(ask, entry, is_worker_first, is_own_turn, now);
}

/*
 * Log an answer: figures and the instance_id, which is no secret.  Interrupts are
 * held, so that an error cannot occur before the caller has the permit.
 */
static void
limiter_log_grant(const LimiterKey *key, const LimiterAsk *ask, const LimiterGrant *grant)
{
	HOLD_INTERRUPTS();
	ereport(DEBUG1,
			(errmsg_internal("wawp pace: %d of %d for a %s, account " UINT64_FORMAT ", group " UINT64_FORMAT
							 ", kind %d, instance_id \"%s\", interval " INT64_FORMAT ", burst %d, each " INT64_FORMAT ", at " INT64_FORMAT,
							 grant->granted, ask->wanted, ask->drips ? "worker" : "session", key->account, key->group,
							 (int) key->kind, ask->instance_id, ask->rate.interval, ask->rate.burst, grant->each, grant->at),
			 errhidestmt(true), errhidecontext(true)));
	RESUME_INTERRUPTS();
}

/* Log, once a minute, that accounts are kept waiting because the table is full. */
static void
limiter_log_full(int64 now)
{
	static int64 logged_at;

	if (logged_at != 0 && now - logged_at < FULL_LOG_US)
		return;
	logged_at = now;
	HOLD_INTERRUPTS();
	ereport(LOG,
			(errmsg("the table of paces is full, an account or a group is throttled"),
			 errdetail("%d are waiting for their pace or have used of their adds_per_day.", wawp_max_limiters),
			 errhint("Increase wawp.max_limiters."),
			 errhidestmt(true), errhidecontext(true)));
	RESUME_INTERRUPTS();
}

/*
 * Take up to ask->wanted permits for requests that leave now.  They are spent at
 * once; limiter_refund gives back those of requests that provably did not leave.
 * Nothing is granted before the limiter was rebuilt from the audit logs.
 */
LimiterGrant
limiter_take(const LimiterKey *key, const LimiterAsk *ask)
{
	LimiterGrant grant = {0};
	int64		now = clock_monotonic_us();
	bool		is_limited = ask->rate.interval != 0 || ask->per_day > 0;
	LimiterEntry *entry;

	if (is_limited && !wawp_shared->limiter_is_rebuilt)
	{
		grant.next_at = now + NOT_REBUILT_US;
		return grant;
	}
	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	now = grant.at = clock_monotonic_us();
	entry = limiter_find_entry(key, now);
	if (entry)
		limiter_take_from(entry, ask, now, &grant);
	else if (is_limited)
	{
		grant.is_full = true;
		wawp_shared->limiter_refusals++;
		grant.next_at = now + SECOND_US;
	}
	else
		grant.granted = ask->wanted;
	LWLockRelease(wawp_shared->limiter_lock);
	if (grant.is_full)
		limiter_log_full(now);
	if (is_limited)
		limiter_log_grant(key, ask, &grant);
	return grant;
}

/*
 * Note that requests leave now.  If that is late, because a commit or a lock took
 * its time, the next ones keep their distance from this time, not from that of
 * the permits.
 */
void
limiter_note_left(const LimiterKey *key, const LimiterGrant *grant, int count)
{
	LimiterEntry *entry;
	int64		now = clock_monotonic_us();

	if (grant->each == 0 || now - grant->at < LATE_US)
		return;
	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = hash_search(wawp_limiters, key, HASH_FIND, NULL);
	if (entry)
		entry->tat = Max(entry->tat, now + grant->each * count);
	LWLockRelease(wawp_shared->limiter_lock);
}

/*
 * Give back permits of requests that provably did not leave, as far as their
 * time has not passed since (pace_give_back).  comes_back: the worker will ask
 * again soon and keeps its waiting time.
 */
void
limiter_refund(const LimiterKey *key, const LimiterGrant *grant, int count, bool comes_back)
{
	LimiterEntry *entry;
	int64		now;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	now = clock_monotonic_us();
	entry = hash_search(wawp_limiters, key, HASH_FIND, NULL);
	if (entry)
	{
		entry->tat = pace_give_back(entry->tat, grant->each * count, now - grant->at);
		entry->spent = Max(entry->spent - count, 0);
		if (comes_back)
			waiter_keep_turn(entry, now);
	}
	LWLockRelease(wawp_shared->limiter_lock);
	HOLD_INTERRUPTS();
	ereport(DEBUG1,
			(errmsg_internal("wawp pace: %d given back, account " UINT64_FORMAT ", group " UINT64_FORMAT ", kind %d, of " INT64_FORMAT,
							 count, key->account, key->group, (int) key->kind, grant->at),
			 errhidestmt(true), errhidecontext(true)));
	RESUME_INTERRUPTS();
}

/*
 * Account for a request that left `age_us` ago, before this server started,
 * according to the audit log.  Call it in the order in which they left.
 */
void
limiter_replay(const LimiterKey *key, PaceRate rate, int64 age_us)
{
	int64		now = clock_monotonic_us();
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = limiter_find_entry(key, now);
	if (entry)
		entry->tat = pace_spend(rate, entry->tat, now - age_us, 1, 0);
	LWLockRelease(wawp_shared->limiter_lock);
}

/* Account for the number of requests that left today, likewise; is_capped: the account has a cap. */
void
limiter_replay_day(const LimiterKey *key, int count, bool is_capped)
{
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = limiter_find_entry(key, clock_monotonic_us());
	if (entry)
	{
		entry->spent += count;
		entry->is_capped |= is_capped;
	}
	LWLockRelease(wawp_shared->limiter_lock);
}

/* Return a copy of the entry of a key; an unused one if there is none. */
static LimiterEntry
limiter_read_entry(const LimiterKey *key)
{
	LimiterEntry copy = {.day = limiter_today()};
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = hash_search(wawp_limiters, key, HASH_FIND, NULL);
	if (entry)
		copy = *entry;
	LWLockRelease(wawp_shared->limiter_lock);
	return copy;
}

/* Return the number of requests that left today. */
int
limiter_spent_today(const LimiterKey *key)
{
	LimiterEntry entry = limiter_read_entry(key);

	return entry.day == limiter_today() ? entry.spent : 0;
}

/* Return the number of requests that may leave within a span from now; the rate is not 0. */
int64
limiter_within(const LimiterKey *key, PaceRate rate, int64 span_us)
{
	return pace_within(rate, limiter_read_entry(key).tat, clock_monotonic_us(), span_us);
}

/* Return the time at which the next request may leave, in monotonic microseconds. */
int64
limiter_next_at(const LimiterKey *key, PaceRate rate)
{
	return pace_next(rate, limiter_read_entry(key).tat);
}

/* Return the number of accounts and groups that the table has, and write how often it had no room to *refusals. */
long
limiter_entries(int64 *refusals)
{
	long		entries;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entries = hash_get_num_entries(wawp_limiters);
	*refusals = wawp_shared->limiter_refusals;
	LWLockRelease(wawp_shared->limiter_lock);
	return entries;
}
