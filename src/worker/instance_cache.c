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
typedef struct Resolved
{
	NameData	name;
	Oid			role;			/* or INSTANCE_OF_NOBODY */
	WawpInstance *instance;
} Resolved;

static MemoryContext cycle_memory;	/* of the cycle under way */
static List *resolved = NIL;	/* instances, in it */

static const Resolved *
find_resolved(const NameData *name, Oid role)
{
	ListCell   *lc;

	foreach(lc, resolved)
	{
		const Resolved *one = lfirst(lc);

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
resolve_instance(const LaneKey *lane, Oid role, WawpInstance **instance)
{
	const Resolved *known = find_resolved(&lane->instance, role);
	ErrorData  *error = known ? NULL : instance_try(NameStr(lane->instance), role, instance);
	MemoryContext caller = CurrentMemoryContext;
	Resolved   *one;

	if (known)
		*instance = instance_copy(known->instance);
	else if (error == NULL && cycle_memory)
	{
		MemoryContextSwitchTo(cycle_memory);
		one = palloc(sizeof(Resolved));
		one->name = lane->instance;
		one->role = role;
		one->instance = instance_copy(*instance);
		resolved = lappend(resolved, one);
		MemoryContextSwitchTo(caller);
	}
	return error;
}

/* A copy of a text without the tokens of the instances that this cycle has resolved. */
char *
resolve_redact(const char *text)
{
	char	   *clean = pstrdup(text ? text : "");
	ListCell   *lc;

	foreach(lc, resolved)
		clean = redact_secret(clean, ((const Resolved *) lfirst(lc))->instance->access_token);
	return clean;
}

/* What is resolved from now on lives until a cycle's memory goes; NULL: no cycle. */
void
resolve_in(MemoryContext memory)
{
	cycle_memory = memory;
	resolved = NIL;
}
