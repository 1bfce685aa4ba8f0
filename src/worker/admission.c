/*-------------------------------------------------------------------------
 *
 * admission.c
 *	  May another request of the worker's leave?
 *
 * Counts the requests that are claimed or under way against
 * wawp.max_in_flight (one, while rows are in doubt) and an instance's
 * concurrency, and says whether the worker serves at all: it is switched on, or
 * has a permit.  What the pace allows is budget.c's, what is held lanehold.c's.
 *
 * Memory only: no transaction is needed, and an abort undoes nothing here.  The
 * permit is the worker's, who writes it between cycles; a request counts
 * against it when it is claimed, sent or not.
 *
 * IDENTIFICATION
 *	  src/worker/admission.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "utils/memutils.h"
#include "worker/admission.h"
#include "worker/group_cache.h"

#include "compat.h"

/* What one lane lacks, all lack. */
#define SHORTAGE_MS 1000

/* A step of a cycle ends after so many turns, so long, or with so much memory. */
#define MOST_TURNS 256
#define LONGEST_STEP_MS 100
#define MOST_MEMORY (INT64CONST(32) * 1024 * 1024)

static AdmissionPermit *permit;
static int	in_flight;			/* requests claimed or under way, except group_cache.c's */
static int64 short_until;		/* monotonic ms: the disk is full, or memory */
static bool is_recovering;			/* one request at a time */

void
admission_init(AdmissionPermit *worker_permit)
{
	permit = worker_permit;
}

void
admission_note_claimed(void)
{
	in_flight++;
	permit->requests--;
}

/* One that was claimed will not leave; it ends besides. */
void
admission_note_unsent(void)
{
	permit->requests++;
}

void
admission_note_ended(void)
{
	in_flight--;
}

void
admission_note_shortage(void)
{
	short_until = clock_monotonic_ms() + SHORTAGE_MS;
}

/* While rows are in doubt, one request at a time tells which of them does harm. */
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

/* Requests that are claimed or under way. */
int
admission_in_flight(void)
{
	return in_flight + group_cache_in_flight();
}

/* In monotonic ms; of the past when nothing is short. */
int64
admission_short_until(void)
{
	return short_until;
}

/* May a request of this instance leave beside those under way? */
bool
admission_has_room(const Lane *lane, const WawpInstance *instance)
{
	return lane->instance->in_flight < instance->concurrency;
}

static int
admission_free_slots(void)
{
	int			most = short_until <= clock_monotonic_ms() ? (is_recovering ? 1 : wawp_max_in_flight) : 0;

	return Max(most - admission_in_flight(), 0);
}

/* Is there a slot for another request of the worker's? */
bool
admission_has_slot(void)
{
	return admission_free_slots() > 0;
}

/* May more be sent?  Switched off, what was sent is still looked after. */
bool
admission_is_serving(void)
{
	return wawp_worker_on || (permit->active && permit->requests > 0 &&
							  permit->until > clock_monotonic_ms());
}

/* How many requests may be claimed now? */
int
admission_slots(void)
{
	if (!admission_is_serving())
		return 0;
	return wawp_worker_on ? admission_free_slots() : (int) Min(admission_free_slots(), permit->requests);
}

bool
admission_may_claim(void)
{
	return admission_slots() > 0;
}

/*
 * How many more lanes may have a turn in this step of a cycle, whose memory is
 * the current one.  At least one may.
 */
int
admission_portion_left(CyclePortion *portion)
{
	int64		now = clock_monotonic_ms();

	if (portion->turns == 0)
		portion->began_at = now;
	else if (now - portion->began_at > LONGEST_STEP_MS ||
			 MemoryContextMemAllocated(CurrentMemoryContext, true) > MOST_MEMORY)
		return 0;
	return Max(MOST_TURNS - portion->turns, 0);
}
