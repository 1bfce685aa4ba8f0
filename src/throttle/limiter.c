/*-------------------------------------------------------------------------
 *
 * limiter.c
 *	  The pace, shared by all processes of the cluster.
 *
 * A fixed hash table in shared memory, guarded by WawpShared.limiter_lock
 * (always exclusive, always short).  An entry is one GCRA timestamp, in
 * microseconds of the monotonic clock so that steps of the wall clock do not
 * touch it, and the count of one calendar day (UTC).  An entry that says
 * nothing any more (its timestamp is past and its day over) may be evicted;
 * when the table is full of others the answer is "not now": the pace is rather
 * too slow than exceeded.
 *
 * Who calls by hand may use the burst; the worker drips.  Lest such calls keep
 * it from going on, a worker that was refused for more than two intervals has
 * the next token, whoever asks first.
 *
 * What is never exceeded is what is granted: in any window of the monotonic
 * clock, read under the lock, no more permits than the rate and its burst allow.
 * A permit is taken just before the record of the request is written, and the
 * request leaves as soon as that is committed.  A process that is held up in
 * between (a busy machine, a locked audit log, at most wawp.audit_timeout) sends
 * late, and what it sends can come close to what later permits were for: of n
 * requests that are late by at most d, a window of length w has those of a window
 * of w + d, which is one more for each interval in d.  The pace is not bent for
 * that, neither by forfeiting a late permit, which would starve those who wait
 * longest on a machine that is busy, nor by a second wait before sending.  Every
 * answer of the limiter is in the server log at DEBUG1, by which the tests check
 * the promise.
 *
 * Shared memory does not outlive the postmaster.  The durable form is the
 * audit log, which a worker replays at its start.
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
/* Rebuilding takes well under a second. */
#define NOT_REBUILT_US (100 * INT64CONST(1000))

/* A database's worker that has been refused; it is still there if it asks again. */
typedef struct Waiter
{
	Oid			database;
	int64		since;			/* 0: nobody waits */
	int64		asked_at;		/* the last time */
} Waiter;

static const Waiter nobody = {InvalidOid, 0, 0};

typedef struct LimiterEntry
{
	LimiterKey	key;			/* must be first */
	int64		tat;			/* monotonic us */
	int32		day;			/* days since 2000-01-01 UTC */
	int32		spent;			/* on that day */
	Waiter		first;
	Waiter		next;			/* another database's, refused meanwhile */
	int64		waited_since;	/* first's, before it was last granted something */
	int64		worker_took;	/* what its last token took of the pace */
} LimiterEntry;

static HTAB *wawp_limiters = NULL;

Size
limiter_shmem_size(void)
{
	return hash_estimate_size(wawp_max_limiters, sizeof(LimiterEntry));
}

/* Called with AddinShmemInitLock held, once per process. */
void
limiter_shmem_startup(void)
{
	HASHCTL		info = {.keysize = sizeof(LimiterKey),.entrysize = sizeof(LimiterEntry)};

	wawp_limiters = wawp_shmem_init_hash("wawp limiters", wawp_max_limiters, &info,
										 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static uint64
hash_text(const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

/* group: NULL for the account as a whole. */
LimiterKey
limiter_key(const char *host, const char *instance_id, LimiterKind kind, const char *group)
{
	LimiterKey	key;

	memset(&key, 0, sizeof(key));
	key.account = hash_combine64(hash_text(host), hash_text(instance_id));
	key.group = group ? hash_text(group) : 0;
	key.kind = kind;
	return key;
}

static int32
today(void)
{
	return (int32) (GetCurrentTimestamp() / USECS_PER_DAY);
}

/* Removes an entry that says nothing any more; false when there is none. */
static bool
evict_one(int64 now, int32 day)
{
	HASH_SEQ_STATUS status;
	LimiterEntry *entry;

	hash_seq_init(&status, wawp_limiters);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->tat >= now || (entry->day == day && entry->spent > 0))
			continue;
		hash_search(wawp_limiters, &entry->key, HASH_REMOVE, NULL);
		hash_seq_term(&status);
		return true;
	}
	return false;
}

/* The entry of a key, made if need be; NULL when the table is full. */
static LimiterEntry *
find_entry(const LimiterKey *key, int64 now)
{
	int32		day = today();
	LimiterEntry *entry;
	bool		found;

	entry = hash_search(wawp_limiters, key, HASH_ENTER_NULL, &found);
	if (entry == NULL && evict_one(now, day))
		entry = hash_search(wawp_limiters, key, HASH_ENTER_NULL, &found);
	if (entry == NULL)
		return NULL;
	if (!found)
	{
		entry->tat = 0;
		entry->day = day;
		entry->spent = 0;
		entry->first = entry->next = nobody;
		entry->waited_since = 0;
		entry->worker_took = 0;
	}
	if (entry->day < day)
	{
		entry->day = day;
		entry->spent = 0;
	}
	return entry;
}

/* The rate as far as the asker may go. */
static PaceRate
rate_for(const LimiterAsk *ask, bool goes_first)
{
	return ask->drips && !goes_first ? pace_drip(ask->rate, ask->drip_burst) : ask->rate;
}

/* How long a worker is refused at most: two intervals, with their jitter. */
static int64
patience(const LimiterEntry *entry, PaceRate rate)
{
	return 2 * Max(rate.interval, entry->worker_took);
}

/* Has a worker been refused, and is it still there? */
static bool
is_waiting(const LimiterEntry *entry, const Waiter *waiter, PaceRate rate, int64 now)
{
	return waiter->since != 0 && now - waiter->asked_at <= patience(entry, rate) + SECOND_US;
}

static bool
is_me(const Waiter *waiter)
{
	return waiter->since != 0 && waiter->database == MyDatabaseId;
}

/*
 * Has the worker been refused for that long, and is it still there?  Then the
 * next token is its own.
 */
static bool
worker_goes_first(const LimiterEntry *entry, PaceRate rate, int64 now)
{
	return rate.interval != 0 && is_waiting(entry, &entry->first, rate, now) &&
		now - entry->first.since >= patience(entry, rate);
}

/*
 * A worker had its turn: the next is another's that was refused meanwhile.  An
 * interval is left to calls by hand in between, however many workers there are.
 */
static void
pass_turn(LimiterEntry *entry, PaceRate rate, int64 now)
{
	entry->first = is_waiting(entry, &entry->next, rate, now) ? entry->next : nobody;
	if (entry->first.since != 0)
		entry->first.since = Max(entry->first.since, now + rate.interval - patience(entry, rate));
	entry->next = nobody;
}

static void
queue_up(LimiterEntry *entry, PaceRate rate, int64 now)
{
	if (is_me(&entry->first))
		entry->first.asked_at = now;
	else if (!is_waiting(entry, &entry->first, rate, now))
		entry->first = (Waiter) {MyDatabaseId, now, now};
	else if (!is_waiting(entry, &entry->next, rate, now))
		entry->next = (Waiter) {MyDatabaseId, now, now};
	else if (is_me(&entry->next))
		entry->next.asked_at = now;
}

/* A worker whose permit was given back has waited since it first asked. */
static void
keep_turn(LimiterEntry *entry, int64 now)
{
	Waiter	   *place = entry->first.since == 0 ? &entry->first : &entry->next;

	if (place->since == 0 && !is_me(&entry->first))
		*place = (Waiter) {MyDatabaseId, entry->waited_since, now};
}

/* Workers of several databases take turns. */
static void
note_worker(LimiterEntry *entry, const LimiterGrant *grant, PaceRate rate, int64 now)
{
	bool		is_mine = is_me(&entry->first);

	if (grant->granted == 0)
	{
		queue_up(entry, rate, now);
		return;
	}
	entry->waited_since = is_mine ? entry->first.since : now;
	entry->worker_took = grant->each;
	if (is_mine)
		pass_turn(entry, rate, now);
}

/* When the worker's turn comes, if it waits for one; CLOCK_NEVER: it does not. */
static int64
turn_at(const LimiterEntry *entry, PaceRate rate)
{
	if (is_me(&entry->first))
		return entry->first.since + patience(entry, rate);
	return is_me(&entry->next) ? entry->next.since + patience(entry, rate) : CLOCK_NEVER;
}

/*
 * When the next token is to be had, after one that was not granted.  A worker
 * is to come back as soon as it goes first, however far calls by hand have
 * spent the burst; while another worker's turn lasts, an interval later.
 */
static int64
next_token(const LimiterAsk *ask, const LimiterEntry *entry, bool worker_first, bool own_turn, int64 now)
{
	PaceRate	rate = rate_for(ask, own_turn);
	int64		next = pace_next(rate, entry->tat);

	if (ask->per_day > 0 && entry->spent >= ask->per_day)
		return now + (USECS_PER_DAY - GetCurrentTimestamp() % USECS_PER_DAY);
	if (worker_first && !own_turn)
		next = Max(next, now) + rate.interval;
	if (!ask->drips || own_turn)
		return next;
	return Min(next, Max(turn_at(entry, rate), worker_first ? now + rate.interval : now));
}

static void
take_from(LimiterEntry *entry, const LimiterAsk *ask, int64 now, LimiterGrant *grant)
{
	PaceRate	furthest = {.interval = ask->rate.interval,.burst = ask->rate.burst + ask->wanted};
	bool		worker_first = worker_goes_first(entry, ask->rate, now);
	bool		own_turn = worker_first && ask->drips && is_me(&entry->first);

	/* what lies further ahead than a whole burst is from a rate that was lower */
	entry->tat = pace_clamp(furthest, entry->tat, now, 1.0);
	if (own_turn || !worker_first)
		grant->granted = pace_available(rate_for(ask, own_turn), entry->tat, now,
										own_turn ? Min(ask->wanted, ask->drip_burst + 1) : ask->wanted);
	if (ask->per_day > 0)
		grant->granted = Min(grant->granted, Max(ask->per_day - entry->spent, 0));
	if (grant->granted > 0)
	{
		grant->each = pace_spend(ask->rate, now, now, 1, ask->jitter) - now;
		entry->tat = pace_spend(ask->rate, entry->tat, now, grant->granted, ask->jitter);
		entry->spent += grant->granted;
	}
	if (ask->drips)
		note_worker(entry, grant, ask->rate, now);
	if (grant->granted < ask->wanted)
		grant->next_at = next_token(ask, entry, worker_first, own_turn, now);
}

/*
 * Nothing but figures and the instance_id, which is no secret.  An interrupt
 * waits until the caller has the permit in hand.
 */
static void
log_answer(const LimiterKey *key, const LimiterAsk *ask, const LimiterGrant *grant)
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

/*
 * Takes up to ask->wanted permits for requests that leave now.  Spent at once;
 * limiter_refund gives back what provably did not leave.  Nothing is granted
 * before the limiter was rebuilt from the audit logs.
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
	entry = find_entry(key, now);
	if (entry)
		take_from(entry, ask, now, &grant);
	else if (is_limited)
		grant.next_at = now + SECOND_US;
	else
		grant.granted = ask->wanted;
	LWLockRelease(wawp_shared->limiter_lock);
	if (is_limited)
		log_answer(key, ask, &grant);
	return grant;
}

/*
 * Gives back permits of requests that provably did not leave, as far as their
 * time has not passed since (pace_give_back).  comes_back: the
 * worker has to know something first; it has waited since it first asked.
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
			keep_turn(entry, now);
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
 * Notes a request that the audit log says left `age_us` ago, before this server
 * started; to be called in the order they left.
 */
void
limiter_replay(const LimiterKey *key, PaceRate rate, int64 age_us)
{
	int64		now = clock_monotonic_us();
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = find_entry(key, now);
	if (entry)
		entry->tat = pace_spend(rate, entry->tat, now - age_us, 1, 0);
	LWLockRelease(wawp_shared->limiter_lock);
}

/* Notes how many left today, likewise. */
void
limiter_replay_day(const LimiterKey *key, int count)
{
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = find_entry(key, clock_monotonic_us());
	if (entry)
		entry->spent += count;
	LWLockRelease(wawp_shared->limiter_lock);
}

static LimiterEntry
read_entry(const LimiterKey *key)
{
	LimiterEntry copy = {.day = today()};
	LimiterEntry *entry;

	LWLockAcquire(wawp_shared->limiter_lock, LW_EXCLUSIVE);
	entry = hash_search(wawp_limiters, key, HASH_FIND, NULL);
	if (entry)
		copy = *entry;
	LWLockRelease(wawp_shared->limiter_lock);
	return copy;
}

int
limiter_spent_today(const LimiterKey *key)
{
	LimiterEntry entry = read_entry(key);

	return entry.day == today() ? entry.spent : 0;
}

/* How many requests may leave within a span from now; the rate is not 0. */
int64
limiter_within(const LimiterKey *key, PaceRate rate, int64 span_us)
{
	return pace_within(rate, read_entry(key).tat, clock_monotonic_us(), span_us);
}

/* When the next request may leave, in monotonic microseconds. */
int64
limiter_next_at(const LimiterKey *key, PaceRate rate)
{
	return pace_next(rate, read_entry(key).tat);
}
