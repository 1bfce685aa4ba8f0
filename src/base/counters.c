/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  Counters in shared memory, by instance.
 *
 * A fixed hash table, guarded by WawpShared.counters_lock (always exclusive, a few
 * instructions).  Who monitors reads it, so that nobody counts rows of the audit
 * log.  Outcomes are counted by the process that records them: they wait in its
 * memory until its transaction commits, and those of a (sub)transaction that
 * aborts are thrown away.  Requests are counted when they end, by the process that
 * made them, whatever becomes of its transaction.
 *
 * Counters begin at 0 when the server starts, an instance is renamed, or the table
 * has no room and the instance was not used for an hour.  What finds no room is
 * counted as missed.  Nothing raises an error but for a lack of memory.
 *
 * IDENTIFICATION
 *	  src/base/counters.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/shmem.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"

/* instances of all databases that are counted at a time; each takes about 600 bytes */
#define COUNTED_INSTANCES 1024
/* An instance that was not used for so long makes room for another, which is looked for once a second. */
#define UNUSED_MS (60 * 60 * 1000)
#define FULL_MS 1000

/* An instance of a database. */
typedef struct CountersKey
{
	Oid			database;
	NameData	instance;
} CountersKey;

typedef struct CountersEntry
{
	CountersKey key;			/* must be first */
	int64		used_ms;		/* monotonic */
	InstanceCounters counters;
} CountersEntry;

/* An outcome whose record is not committed. */
typedef struct PendingOutcome
{
	SubTransactionId subtransaction;
	NameData	instance;
	WawpOutcome outcome;
} PendingOutcome;

static HTAB *counted_instances = NULL;
static int64 *missed_counts = NULL;

static PendingOutcome *pending_outcomes = NULL;
static int	n_pending = 0;
static int	max_pending = 0;

/* Upper limits of the durations' buckets, in ms; the last has none. */
static const int bucket_limit_ms[DURATION_BUCKETS - 1] = {50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000};

static const char *const class_names[ANSWER_CLASSES] = {
	[ANSWER_2XX] = "2xx",
	[ANSWER_3XX] = "3xx",
	[ANSWER_4XX] = "4xx",
	[ANSWER_5XX] = "5xx",
	[ANSWER_NONE] = "no_answer",
	[ANSWER_NOT_SENT] = "not_sent",
};

/* Return the size of the table, for shmem.c. */
Size
counters_shmem_size(void)
{
	return add_size(MAXALIGN(sizeof(int64)), hash_estimate_size(COUNTED_INSTANCES, sizeof(CountersEntry)));
}

/* Create or attach to the table; called with AddinShmemInitLock held, once per process. */
void
counters_shmem_startup(void)
{
	HASHCTL		info = {.keysize = sizeof(CountersKey), .entrysize = sizeof(CountersEntry)};
	bool		found;

	missed_counts = ShmemInitStruct("wawp missed counts", sizeof(int64), &found);
	if (!found)
		*missed_counts = 0;
	counted_instances = wawp_shmem_init_hash("wawp counters", COUNTED_INSTANCES, &info,
											 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static CountersKey
counters_key(const char *instance)
{
	CountersKey key;

	memset(&key, 0, sizeof(key));
	key.database = MyDatabaseId;
	namestrcpy(&key.instance, instance);
	return key;
}

/* Remove the entry that was not used for longest, if that is long; false if there is none. */
static bool
counters_evict_one(int64 now)
{
	static int64 full_until;
	HASH_SEQ_STATUS status;
	CountersEntry *entry;
	CountersEntry *oldest = NULL;

	if (now < full_until)
		return false;
	hash_seq_init(&status, counted_instances);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (oldest == NULL || entry->used_ms < oldest->used_ms)
			oldest = entry;
	if (oldest && now - oldest->used_ms >= UNUSED_MS)
		return hash_search(counted_instances, &oldest->key, HASH_REMOVE, NULL) != NULL;
	full_until = now + FULL_MS;
	return false;
}

/* Return the counters of an instance, to be changed under the lock; NULL if there is no room, which is counted. */
static InstanceCounters *
counters_find(const char *instance)
{
	CountersKey key = counters_key(instance);
	int64		now = clock_monotonic_ms();
	CountersEntry *entry;
	bool		found;

	entry = hash_search(counted_instances, &key, HASH_ENTER_NULL, &found);
	if (entry == NULL && counters_evict_one(now))
		entry = hash_search(counted_instances, &key, HASH_ENTER_NULL, &found);
	if (entry == NULL)
	{
		(*missed_counts)++;
		return NULL;
	}
	if (!found)
		memset(&entry->counters, 0, sizeof(InstanceCounters));
	entry->used_ms = now;
	return &entry->counters;
}

/*
 * ---- outcomes: counted at commit
 */

/* Count the outcomes that wait. */
static void
counters_publish(void)
{
	if (n_pending == 0)
		return;
	LWLockAcquire(wawp_shared->counters_lock, LW_EXCLUSIVE);
	for (int i = 0; i < n_pending; i++)
	{
		InstanceCounters *counters = counters_find(NameStr(pending_outcomes[i].instance));

		if (counters)
			counters->outcomes[pending_outcomes[i].outcome]++;
	}
	LWLockRelease(wawp_shared->counters_lock);
}

static void
counters_on_transaction(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_COMMIT)
		counters_publish();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		n_pending = 0;
}

/* Those of a subtransaction, and of its own ones, have its number or a higher one. */
static void
counters_on_subtransaction(SubXactEvent event, SubTransactionId id,
						   SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (n_pending > 0 && pending_outcomes[n_pending - 1].subtransaction >= id)
			n_pending--;
}

/* Make room for one more outcome that waits; registers the callbacks at the first. */
static void
counters_reserve(void)
{
	if (n_pending < max_pending)
		return;
	if (pending_outcomes == NULL)
	{
		max_pending = 256;
		pending_outcomes = MemoryContextAlloc(TopMemoryContext, max_pending * sizeof(PendingOutcome));
		RegisterXactCallback(counters_on_transaction, NULL);
		RegisterSubXactCallback(counters_on_subtransaction, NULL);
		return;
	}
	pending_outcomes = repalloc(pending_outcomes, 2 * max_pending * sizeof(PendingOutcome));
	max_pending *= 2;
}

/* Count an audit record's outcome, once the current transaction commits; NULL for either is no outcome of an instance. */
void
counters_note_outcome(const char *instance, const char *outcome)
{
	WawpOutcome value;

	if (wawp_shared == NULL || instance == NULL || outcome == NULL || !outcome_named(outcome, &value))
		return;
	counters_reserve();
	pending_outcomes[n_pending].subtransaction = GetCurrentSubTransactionId();
	pending_outcomes[n_pending].outcome = value;
	namestrcpy(&pending_outcomes[n_pending].instance, instance);
	n_pending++;
}

/*
 * ---- requests: counted when they end
 */

static int
counters_bucket_of(int duration_ms)
{
	int			bucket = 0;

	while (bucket < DURATION_BUCKETS - 1 && duration_ms > bucket_limit_ms[bucket])
		bucket++;
	return bucket;
}

/* Count an HTTP request that has ended. */
void
counters_note_request(const char *instance, AnswerClass class, int duration_ms)
{
	InstanceCounters *counters;

	if (wawp_shared == NULL)
		return;
	LWLockAcquire(wawp_shared->counters_lock, LW_EXCLUSIVE);
	counters = counters_find(instance);
	if (counters)
		counters->answers[class]++;
	if (counters && class != ANSWER_NOT_SENT)
	{
		counters->durations[counters_bucket_of(duration_ms)]++;
		counters->duration_ms += duration_ms;
	}
	LWLockRelease(wawp_shared->counters_lock);
}

/*
 * ---- reading
 */

/* Copy an instance's counters to *copy; zeros if it has none. */
void
counters_read(const char *instance, InstanceCounters *copy)
{
	CountersKey key = counters_key(instance);
	CountersEntry *entry;

	memset(copy, 0, sizeof(InstanceCounters));
	LWLockAcquire(wawp_shared->counters_lock, LW_EXCLUSIVE);
	entry = hash_search(counted_instances, &key, HASH_FIND, NULL);
	if (entry)
		*copy = entry->counters;
	LWLockRelease(wawp_shared->counters_lock);
}

/* Return how often there was no room, in all databases. */
int64
counters_missed(void)
{
	int64		missed;

	LWLockAcquire(wawp_shared->counters_lock, LW_EXCLUSIVE);
	missed = *missed_counts;
	LWLockRelease(wawp_shared->counters_lock);
	return missed;
}

const char *
counters_class_name(AnswerClass class)
{
	return class_names[class];
}

/* Return the upper limit of a bucket in seconds; that of the last one is infinite. */
double
counters_bucket_limit(int bucket)
{
	return bucket < DURATION_BUCKETS - 1 ? bucket_limit_ms[bucket] / 1000.0 : INFINITY;
}
