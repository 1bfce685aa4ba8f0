/*-------------------------------------------------------------------------
 *
 * errand.c
 *	  Asks the API what has to be known before the drain goes on.
 *
 * roster.c has the errands, follow.c knows what is needed; here a need becomes
 * an errand, with an instance resolved for it in the errand's own memory, as far
 * as the pace of such questions allows.  Needs a transaction; the errand leaves
 * after its commit or abort.
 *
 * IDENTIFICATION
 *	  src/worker/errand.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tables/hold.h"
#include "throttle/budget.h"
#include "utils/memutils.h"
#include "worker/errand.h"
#include "worker/instance_cache.h"
#include "worker/roster.h"

#include "compat.h"

static bool
is_read_of_group(RosterQuestion question)
{
	return question == ASK_LIST || question == ASK_INFO;
}

/* A permit for a question; one that has no pace is granted. */
static BudgetPermit
take_permit(const WawpInstance *described, RosterQuestion question)
{
	BudgetPermit unpaced = {.granted = 1};

	if (is_read_of_group(question))
		return budget_take_read(described, true);
	return question == ASK_EXISTS ? budget_take_check(described) : unpaced;
}

/* Holds the instances whose questions met a limit or an outage, as additions would. */
void
errand_hold_troubled(Holds *holds)
{
	ListCell   *lc;

	foreach(lc, roster_troubles())
	{
		const RosterTrouble *trouble = lfirst(lc);

		if (trouble->is_outage)
			lanehold_for_outage(&trouble->lane, holds, trouble->outcome, trouble->retry_after, NULL);
		else
			lanehold_for(&trouble->lane, holds, trouble->outcome, trouble->retry_after, NULL);
	}
}

/*
 * Asks the API something for a lane, as a role.  False: not now, but at *later
 * (monotonic ms), when the pace allows it; 0: it cannot be asked.
 */
bool
errand_ask(const LaneKey *lane, Oid role, const FollowNeed *need, const WawpInstance *described, int64 *later)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "wawp errand", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	WawpInstance *instance;
	ErrorData  *error = resolve_instance(lane, role, &instance);
	BudgetPermit permit = {0};

	MemoryContextSwitchTo(caller);
	if (error == NULL)
		permit = take_permit(described, need->question);
	*later = error ? 0 : (permit.next_at + 999) / 1000;
	if (permit.granted > 0)
		roster_ask(memory, lane, instance, need->question, need->person);
	else
		MemoryContextDelete(memory);
	return permit.granted > 0;
}
