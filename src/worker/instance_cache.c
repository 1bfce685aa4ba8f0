/*-------------------------------------------------------------------------
 *
 * instance_cache.c
 *	  Cache of instances for the duration of a cycle.
 *
 * A cycle needs the same instances for each of its lanes; the catalogs are read
 * once.  Entries live in the memory that instance_cache_begin() names and are
 * forgotten when the cycle ends, however it ends; callers get a copy in the
 * current memory.  Needs a transaction.
 *
 * IDENTIFICATION
 *	  src/worker/instance_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "protocol/redact.h"
#include "worker/instance_cache.h"

#include "compat.h"

/* An instance as a role has it. */
typedef struct CachedInstance
{
	NameData	name;
	Oid			role;			/* or INSTANCE_OF_NOBODY */
	WawpInstance *instance;
} CachedInstance;

static MemoryContext cycle_memory;	/* of the cycle under way */
static List *cached_instances = NIL;	/* CachedInstances, in it */

/* Return the entry of an instance as a role has it, or NULL. */
static const CachedInstance *
instance_cache_find(const NameData *name, Oid role)
{
	ListCell   *lc;

	foreach(lc, cached_instances)
	{
		const CachedInstance *one = lfirst(lc);

		if (memcmp(&one->name, name, sizeof(NameData)) == 0 && one->role == role)
			return one;
	}
	return NULL;
}

/* Return the error for an instance that somebody is renaming or dropping. */
static ErrorData *
instance_cache_refuse_busy(const char *name)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_LOCK_NOT_AVAILABLE;
	error->message = psprintf("Wawp instance \"%s\" is being renamed or dropped", name);
	return error;
}

/*
 * Set *instance to an instance as a role has it, allocated in the current memory;
 * the same throughout a cycle, and so is its name.  Return an error if it cannot
 * be used, or NULL.
 */
ErrorData *
instance_cache_get(const LaneKey *lane, Oid role, WawpInstance **instance)
{
	const CachedInstance *known = instance_cache_find(&lane->instance, role);
	ErrorData  *error;
	MemoryContext caller = CurrentMemoryContext;
	CachedInstance *one;

	if (known == NULL && !instance_keep_name(NameStr(lane->instance), false))
		return instance_cache_refuse_busy(NameStr(lane->instance));
	error = known ? NULL : instance_try(NameStr(lane->instance), role, instance);
	if (known)
		*instance = instance_copy(known->instance);
	else if (error == NULL && cycle_memory)
	{
		MemoryContextSwitchTo(cycle_memory);
		one = palloc(sizeof(CachedInstance));
		one->name = lane->instance;
		one->role = role;
		one->instance = instance_copy(*instance);
		cached_instances = lappend(cached_instances, one);
		MemoryContextSwitchTo(caller);
	}
	return error;
}

/* Return a number that tells one access token from another; 0: there is none. */
uint64
instance_token_hash(const WawpInstance *instance)
{
	const char *token = instance->access_token;

	return token ? hash_bytes_extended((const unsigned char *) token, strlen(token), 0) : 0;
}

/* Return that of the token that a role has now for an instance; 0: none that can be used. */
uint64
instance_cache_token_hash(const LaneKey *lane, Oid role)
{
	WawpInstance *instance;

	return instance_cache_get(lane, role, &instance) == NULL ? instance_token_hash(instance) : 0;
}

/* Return a copy of a text without the tokens of the cached instances. */
char *
instance_cache_redact(const char *text)
{
	char	   *clean = pstrdup(text ? text : "");
	ListCell   *lc;

	foreach(lc, cached_instances)
		clean = redact_secret(clean, ((const CachedInstance *) lfirst(lc))->instance->access_token);
	return clean;
}

/* Forget all entries; those from now on are kept in a cycle's memory (NULL: not kept). */
void
instance_cache_begin(MemoryContext memory)
{
	cycle_memory = memory;
	cached_instances = NIL;
}
