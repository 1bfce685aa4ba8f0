/*-------------------------------------------------------------------------
 *
 * admission.c
 *	  Decides whether the worker may send another request.
 *
 * Counts the requests that are claimed or under way against
 * wawp.max_in_flight (one, while rows are in doubt) and an instance's
 * concurrency, and tells whether the worker serves at all: it is switched on, or
 * has a permit.  Among instances and hosts these slots are divided by share.c:
 * none takes the last ones, requests for information included, and what one may
 * have shrinks with what is left.  lanes.c asks it whose turn it may be.  The pace
 * is budget.c's, holds are the hold table's.
 *
 * The time is an argument, in monotonic ms; no clock is read here.
 *
 * Memory only: no transaction is needed, and an abort undoes nothing here.  The
 * permit is owned and written by worker.c, between cycles; a request counts
 * against it when it is claimed.
 *
 * IDENTIFICATION
 *	  src/worker/admission.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "utils/memutils.h"
#include "worker/admission.h"
#include "worker/group_cache.h"

#include "compat.h"

/* A lack of memory or disk space concerns all lanes: nothing is sent for so long. */
#define SHORTAGE_MS 1000

/* A step of a cycle ends after so many turns, after that time, or with so much memory allocated. */
#define MOST_TURNS 256
#define LONGEST_STEP_MS 100
#define MOST_MEMORY (INT64CONST(32) * 1024 * 1024)

static AdmissionPermit *permit;
static int	in_flight;			/* requests claimed or under way, except group_cache.c's */
static int64 short_until;		/* monotonic ms: disk space or memory is short */
static bool is_recovering;			/* one request at a time */

/* Set the permit that requests are counted against. */
void
admission_init(AdmissionPermit *worker_permit)
{
	permit = worker_permit;
}

/* Count a request that is claimed. */
void
admission_note_claimed(void)
{
	in_flight++;
	permit->requests--;
}

/* Give back the permit of a claimed request that will not be sent. */
void
admission_note_unsent(void)
{
	permit->requests++;
}

/* Count a request that has ended or will not be sent. */
void
admission_note_ended(void)
{
	in_flight--;
}

/* Note that an error was for lack of memory or disk space. */
void
admission_note_shortage(int64 now)
{
	short_until = now + SHORTAGE_MS;
}

/* Send one request at a time while rows are in doubt, which tells which of them ends the worker. */
void
admission_set_recovering(bool careful)
{
	is_recovering = careful;
}

bool
admission_is_recovering(void)
{
	return is_recovering;
}

/* Return how many requests are claimed or under way. */
int
admission_in_flight(void)
{
	return in_flight + group_cache_in_flight();
}

/* Return when a shortage ends, in monotonic ms; a time of the past if there is none. */
int64
admission_short_until(void)
{
	return short_until;
}

/* True if the instance's concurrency allows another request. */
bool
admission_has_room(const Lane *lane, const WawpInstance *instance)
{
	return lane->instance->in_flight < instance->concurrency;
}

/* Return how many more requests the worker may have under way. */
static int
admission_free_slots(int64 now)
{
	int			most = short_until <= now ? (is_recovering ? 1 : wawp_max_in_flight) : 0;

	return Max(most - admission_in_flight(), 0);
}

/* True if the worker may have another request under way. */
bool
admission_has_slot(int64 now)
{
	return admission_free_slots(now) > 0;
}

/* True if more rows may be claimed.  Verification goes on without. */
bool
admission_is_serving(int64 now)
{
	return wawp_worker_on || (permit->is_active && permit->requests > 0 && permit->until_ms > now);
}

/* Return how many requests may be claimed now. */
int
admission_slots(int64 now)
{
	if (!admission_is_serving(now))
		return 0;
	return wawp_worker_on ? admission_free_slots(now) : (int) Min(admission_free_slots(now), permit->requests);
}

/* True if a request may be claimed now. */
bool
admission_may_claim(int64 now)
{
	return admission_slots(now) > 0;
}

/*
 * Return how many more lanes may have a turn in this step of a cycle: at least
 * one.  The cycle's memory is the current context.
 */
int
admission_portion_left(CyclePortion *portion, int64 now)
{
	if (portion->turns == 0)
		portion->began_ms = now;
	else if (now - portion->began_ms > LONGEST_STEP_MS ||
			 MemoryContextMemAllocated(CurrentMemoryContext, true) > MOST_MEMORY)
		return 0;
	return Max(MOST_TURNS - portion->turns, 0);
}
