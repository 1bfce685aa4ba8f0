/*-------------------------------------------------------------------------
 *
 * instance_cache.c
 *	  Instances, as a cycle of the drain has them.
 *
 * A cycle asks for the same instances for each of its lanes; the catalogs are
 * read once.  What is kept lives in the memory the cycle names and is forgotten
 * when the cycle ends, however it ends; who asks gets a copy in the current
 * memory.  Needs a transaction.
 *
 * IDENTIFICATION
 *	  src/worker/instance_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "protocol/redact.h"
#include "worker/instance_cache.h"

#include "compat.h"

/* An instance as a role has it in the cycle under way. */
typedef struct CachedInstance
{
	NameData	name;
	Oid			role;			/* or INSTANCE_OF_NOBODY */
	WawpInstance *instance;
} CachedInstance;

static MemoryContext cycle_memory;	/* of the cycle under way */
static List *cached_instances = NIL;	/* instances, in it */

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

/*
 * An instance as a role has it, in the current memory; the same throughout a
 * cycle, whose catalogs are read once.
 */
ErrorData *
instance_cache_get(const LaneKey *lane, Oid role, WawpInstance **instance)
{
	const CachedInstance *known = instance_cache_find(&lane->instance, role);
	ErrorData  *error = known ? NULL : instance_try(NameStr(lane->instance), role, instance);
	MemoryContext caller = CurrentMemoryContext;
	CachedInstance *one;

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

/* A copy of a text without the tokens of the instances that this cycle has resolved. */
char *
instance_cache_redact(const char *text)
{
	char	   *clean = pstrdup(text ? text : "");
	ListCell   *lc;

	foreach(lc, cached_instances)
		clean = redact_secret(clean, ((const CachedInstance *) lfirst(lc))->instance->access_token);
	return clean;
}

/* What is resolved from now on lives until a cycle's memory goes; NULL: no cycle. */
void
instance_cache_begin(MemoryContext memory)
{
	cycle_memory = memory;
	cached_instances = NIL;
}
