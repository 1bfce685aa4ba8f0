/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Fair shares of the requests that may be under way.
 *
 * A request that hangs keeps its slot until its timeout, and nobody knows
 * beforehand which will.  So the last slots are never given to an instance, or
 * to a host, that has many already: what one may have depends on what is left.
 *
 *	  prompt		seven for each that it leaves to others; a sixteenth of all is kept for slow ones
 *	  slow			one for each four that it leaves; all slow ones together leave an eighth of all
 *	  a slow host	as many as it leaves
 *
 * Each may have a first one: a prompt instance while any is free, a slow one if
 * the slow ones have not had theirs, so the last slots are for such as answer.
 * A host that has its share does not stop its prompt instances, which may have as
 * many as they leave.  One instance that is all there is has seven eighths of all
 * slots, slow or prompt, and a prompt one all of fewer than eight.
 *
 * Pure: values in, values out; no memory, no locks, no clock.
 *
 * IDENTIFICATION
 *	  src/throttle/share.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "throttle/share.h"

#include "compat.h"

#define PROMPT_FOR_EACH_LEFT 7
#define LEFT_FOR_EACH_SLOW 4
/* Parts of all slots: kept by prompt instances for slow ones, and by these for prompt ones. */
#define KEPT_FOR_SLOW 16
#define KEPT_FOR_PROMPT 8
/* Of fewer slots than that, none is reserved while one instance is all there is. */
#define FEW_SLOTS 8

/* True if an instance may have n requests under way that leaves so many slots. */
static bool
share_suits_instance(const ShareSlots *slots, const Share *instance, int n, int left)
{
	int			kept_for_slow = slots->most / KEPT_FOR_SLOW - slots->slow;
	int			kept_for_prompt = Max(slots->most / KEPT_FOR_PROMPT, slots->most > 1 ? 1 : 0);

	if (slots->instances <= 1)
		return n == 1 || n <= PROMPT_FOR_EACH_LEFT * left || (instance->is_prompt && slots->most < FEW_SLOTS);
	if (instance->is_prompt)
		return n == 1 || (n <= PROMPT_FOR_EACH_LEFT * left && left >= kept_for_slow);
	return (n == 1 || n <= left / LEFT_FOR_EACH_SLOW) && slots->slow < slots->most - kept_for_prompt;
}

/* True if a host may have n requests under way that leaves so many slots, of_instance of them that instance's. */
static bool
share_suits_host(const Share *host, const Share *instance, int n, int of_instance, int left)
{
	if (n == 1 || n <= (host->is_prompt ? PROMPT_FOR_EACH_LEFT : 1) * left)
		return true;
	return instance->is_prompt && (of_instance == 1 || of_instance <= left);
}

/* True if an instance may have another request under way.  host: NULL if it is not known. */
bool
share_allows(const ShareSlots *slots, const Share *instance, const Share *host)
{
	int			left = slots->most - slots->used - 1;

	if (left < 0)
		return false;
	return share_suits_instance(slots, instance, instance->used + 1, left) &&
		(host == NULL || slots->hosts <= 1 ||
		 share_suits_host(host, instance, host->used + 1, instance->used + 1, left));
}
