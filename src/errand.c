/*-------------------------------------------------------------------------
 *
 * errand.c
 *	  Asks the API what has to be known before the drain goes on.
 *
 * roster.c has the errands, follow.c knows what is needed; here a need becomes
 * an errand, with an instance resolved for it in the errand's own memory.  Needs
 * a transaction; the errand leaves after its commit or abort.
 *
 * IDENTIFICATION
 *	  src/errand.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errand.h"
#include "resolve.h"
#include "roster.h"
#include "utils/memutils.h"

#include "compat.h"

/* Asks the API something for a lane, as a role; false: it cannot be asked. */
bool
errand_ask(const LaneKey *lane, Oid role, const FollowNeed *need)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "wawp errand", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	WawpInstance *instance;
	ErrorData  *error = resolve_instance(lane, role, &instance);

	MemoryContextSwitchTo(caller);
	if (error)
	{
		MemoryContextDelete(memory);
		return false;
	}
	roster_ask(memory, lane, instance, need->question, need->person);
	return true;
}
