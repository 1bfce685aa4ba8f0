/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Looks at who waits in a lane, and goes on with them.
 *
 * follow.c looks and settles who it can tell of; here its findings reach those
 * they concern: what ended is noted, what is not known is asked, who can be
 * invited is.  Unlike claiming it goes on while the worker is switched off and
 * while a lane is held, but for invitations.  In the cycle's transaction.
 *
 * IDENTIFICATION
 *	  src/worker/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "tables/hold.h"
#include "tables/lanehold.h"
#include "worker/admission.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/follow.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"
#include "worker/savepoint.h"
#include "worker/verify.h"

#include "compat.h"

/* In a copy of a database nothing is asked and nobody is looked for; wawp_resume() wakes all lanes. */
static bool
is_copy(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = lanehold_find(holds, lane, true);

	return hold && strcmp(hold->reason, HOLD_RESTORED_COPY) == 0;
}

/* Looks at who waits in a lane, and goes on with them: at most one request. */
static void
look_at_lane(void *subject, Holds *holds)
{
	Lane	   *lane = subject;
	int64		held = lanehold_until(holds, &lane->key);
	WawpInstance *described;
	ErrorData  *error = resolve_instance(&lane->key, INSTANCE_OF_NOBODY, &described);
	FollowUp	up;
	int64		later;
	ListCell   *lc;

	if (is_copy(holds, &lane->key))
		return;
	if (error)
	{
		lanes_look(&lane->key, clock_monotonic_ms() + RESOLVE_RETRY_MS);
		return;
	}
	lanes_set_limit(lane->instance, described->concurrency);
	if (!admission_has_room(lane, described))
	{
		lanes_park_look(lane, 0);
		return;
	}
	later = lanehold_reads_until(holds, &lane->key);
	if (later > 0)
	{
		lanes_park_look(lane, later);
		return;
	}
	up = follow_look(&lane->key, described);
	if (up.any_failed)
		completion_note_failures();
	foreach(lc, up.done)
		completion_note_done(*(const int64 *) lfirst(lc));
	completion_note_until(up.until);
	if (up.done != NIL)
		completion_note_joined(&lane->key);
	/* who waited for them may go */
	if (up.done != NIL || up.any_failed || up.any_queued)
		lanes_note(&lane->key, clock_monotonic_ms());
	if (up.has_invitee && up.need.question == 0 && held == 0 && admission_is_serving())
	{
		TimestampTz next = messages_invite(lane, &up.invitee, described, holds, &up.need);

		up.role = up.invitee.requester;
		up.next = up.next == 0 ? next : Min(up.next, next);
	}
	else if (up.has_invitee && held > 0 && held != CLOCK_NEVER)
		lanes_look(&lane->key, held);
	if (up.need.question != 0 && !(group_cache_get(&lane->key)->asking & up.need.question) &&
		!group_cache_ask(&lane->key, up.role, &up.need, described, &later))
	{
		if (later > 0)
		{
			lanes_park_look(lane, later);
			return;
		}
		up.next = GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000);
	}
	if (group_cache_get(&lane->key)->asking == 0 && up.next != 0)
		lanes_look(&lane->key, Max(clock_monotonic_of(up.next), clock_monotonic_ms() + 1));
}

/*
 * Looks at the lanes that were due for it when the cycle began, as far as there
 * are slots for what that may ask and the cycle's portion goes.
 */
void
look_due(Holds *holds, CyclePortion *portion)
{
	Lane	   *lane;

	while (admission_has_slot() && portion_left(portion) > 0 &&
		   (lane = lanes_take_look(portion->due_by, admission_may_claim())) != NULL)
	{
		portion->turns++;
		if (!isolation_run(look_at_lane, lane, holds))
			lanes_look(&lane->key, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
	}
}
