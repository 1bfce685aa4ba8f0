/*-------------------------------------------------------------------------
 *
 * quota.c
 *	  The limit of what a role may have queued.
 *
 * Counting a role's queued rows gives it an allowance of what is missing to
 * wawp.max_queued_per_role.  The allowance is in shared memory, where the inserts
 * of all backends use it up; then the rows are counted again, and only that count
 * may refuse.  So a role far below the limit is counted once in a long time, and a
 * row costs a few instructions.
 *
 * The limit is not exact.  A count does not see rows of other transactions that
 * are not committed, so that a role may exceed the limit by those; rows that were
 * rolled back or served since the last count only make the next one come earlier.
 * A count that refuses is believed for REFUSAL_FACTOR times as long as it took,
 * so that a role at its limit does not spend its time counting.
 *
 * Counted are rows in state queued, but for those that were restored.  Restored
 * rows, and removals that the worker requests when memberships end, are never
 * refused.
 *
 * One spinlock guards the table; nothing is called under it.  A role that is
 * evicted from the table is counted again.
 *
 * IDENTIFICATION
 *	  src/queue/quota.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "queue/quota.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "tables/home.h"

#include "compat.h"

#define QUOTA_ENTRIES 1024
/* A role is in one of so many entries in a row. */
#define QUOTA_WAYS 16
#define REFUSAL_FACTOR 10

/* A role of a database. */
typedef struct QuotaEntry
{
	Oid			database;		/* InvalidOid: free */
	Oid			roleid;
	int			limit;			/* with which it was counted */
	int64		left;			/* rows that may still be inserted */
	int64		queued;			/* counted when nothing was left */
	int64		refused_until_us;	/* monotonic; that count is believed until then */
	uint64		used_at;		/* ticks of the table */
} QuotaEntry;

typedef struct QuotaTable
{
	slock_t		mutex;
	uint64		ticks;
	QuotaEntry	entries[QUOTA_ENTRIES];
} QuotaTable;

static QuotaTable *quota_table = NULL;

/* The answer of an entry to one more row. */
typedef enum QuotaVerdict
{
	QUOTA_TAKEN,
	QUOTA_REFUSED,
	QUOTA_UNKNOWN				/* to be counted */
} QuotaVerdict;

Size
quota_shmem_size(void)
{
	return MAXALIGN(sizeof(QuotaTable));
}

void
quota_shmem_startup(void)
{
	bool		found;

	quota_table = ShmemInitStruct("wawp quotas", sizeof(QuotaTable), &found);
	if (found)
		return;
	memset(quota_table, 0, sizeof(QuotaTable));
	SpinLockInit(&quota_table->mutex);
}

/*
 * Returns the role's entry, or the one to be used for it: a free one, or the one
 * that was not used for the longest time.  Needs the lock.
 */
static QuotaEntry *
quota_find(Oid roleid)
{
	uint32		hash = hash_bytes_uint32(roleid) ^ hash_bytes_uint32(MyDatabaseId);
	QuotaEntry *oldest = NULL;

	for (int i = 0; i < QUOTA_WAYS; i++)
	{
		QuotaEntry *entry = &quota_table->entries[(hash + i) % QUOTA_ENTRIES];

		if (entry->roleid == roleid && entry->database == MyDatabaseId)
			return entry;
		if (oldest == NULL || entry->used_at < oldest->used_at)
			oldest = entry;
	}
	return oldest;
}

/* Returns how many rows a role may have queued; 0: any number, as where the library is not preloaded and nobody counts. */
static int
quota_limit(void)
{
	return quota_table == NULL ? 0 : wawp_max_queued_per_role;
}

/* Takes one row of the role's allowance; writes to *queued how many are queued if that is refused. */
static QuotaVerdict
quota_take_counted(Oid roleid, int64 now_us, int64 *queued)
{
	QuotaVerdict verdict = QUOTA_UNKNOWN;
	QuotaEntry *entry;

	SpinLockAcquire(&quota_table->mutex);
	entry = quota_find(roleid);
	if (entry->roleid == roleid && entry->database == MyDatabaseId && entry->limit == wawp_max_queued_per_role)
	{
		entry->used_at = ++quota_table->ticks;
		*queued = entry->queued;
		if (entry->left > 0)
		{
			entry->left--;
			verdict = QUOTA_TAKEN;
		}
		else if (now_us < entry->refused_until_us)
			verdict = QUOTA_REFUSED;
	}
	SpinLockRelease(&quota_table->mutex);
	return verdict;
}

/* Stores what a count gave, which took so long. */
static void
quota_store(Oid roleid, int64 queued, int64 now_us, int64 took_us)
{
	QuotaEntry *entry;

	SpinLockAcquire(&quota_table->mutex);
	entry = quota_find(roleid);
	entry->database = MyDatabaseId;
	entry->roleid = roleid;
	entry->limit = wawp_max_queued_per_role;
	entry->left = Max(wawp_max_queued_per_role - queued, 0);
	entry->queued = queued;
	entry->refused_until_us = entry->left > 0 ? 0 : now_us + took_us * REFUSAL_FACTOR;
	entry->used_at = ++quota_table->ticks;
	SpinLockRelease(&quota_table->mutex);
}

static SqlStatement count_queued = {
	"SELECT count(*) FROM (SELECT FROM wawp.membership_intent WHERE state = 'queued' AND requester = $1"
	" AND home <> " HOME_OF_RESTORED_ROWS " LIMIT $2) q",
	2, {OIDOID, INT8OID}, NULL
};

/* Counts the role's queued rows, as far as the limit, and stores the allowance. */
static void
quota_count(Oid roleid)
{
	int64		start = clock_monotonic_us();
	SqlOwner	before = spi_begin_as_owner();
	SqlArgs		args = {0};
	int64		queued;
	int64		now;

	spi_add_datum(&args, ObjectIdGetDatum(roleid));
	spi_add_int8(&args, wawp_max_queued_per_role);
	spi_run(&count_queued, &args);
	queued = spi_get_int8(0, 1, 0);
	spi_end_as_owner(&before);
	now = clock_monotonic_us();
	quota_store(roleid, queued, now, now - start);
}

/* Takes one queued row of what a role may have, as far as is known; false if that has to be counted. */
bool
quota_take_if_counted(Oid roleid)
{
	int64		queued;

	return quota_limit() <= 0 || quota_take_counted(roleid, clock_monotonic_us(), &queued) == QUOTA_TAKEN;
}

/* Forgets what was counted, since rows were rolled back that may have taken all that was left. */
void
quota_forget(Oid roleid)
{
	QuotaEntry *entry;

	if (quota_table == NULL)
		return;
	SpinLockAcquire(&quota_table->mutex);
	entry = quota_find(roleid);
	if (entry->roleid == roleid && entry->database == MyDatabaseId)
		memset(entry, 0, sizeof(QuotaEntry));
	SpinLockRelease(&quota_table->mutex);
}

/* Takes one queued row of what a role may have; raises if it has as many as it may. */
void
quota_take(Oid roleid)
{
	int64		queued = 0;
	QuotaVerdict verdict = QUOTA_TAKEN;

	if (quota_limit() > 0)
		verdict = quota_take_counted(roleid, clock_monotonic_us(), &queued);
	if (verdict == QUOTA_UNKNOWN)
	{
		quota_count(roleid);
		verdict = quota_take_counted(roleid, 0, &queued);
	}
	if (verdict != QUOTA_REFUSED)
		return;
	shmem_note_refusal(MyDatabaseId, roleid, false);
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("role \"%s\" has too many requests queued", GetUserNameFromId(roleid, false)),
			 errdetail("It has " INT64_FORMAT ", and " QUOTA_SETTING " is %d.", queued, wawp_max_queued_per_role),
			 errhint("Wait until some were served, cancel some (wawp_cancel_batch), or have the limit raised.")));
}
