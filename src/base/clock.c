/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  What time it is, and waiting for another.
 *
 * Waiting goes by the monotonic clock, so a step of the wall clock neither
 * prolongs nor cuts it.
 *
 * IDENTIFICATION
 *	  src/base/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "base/clock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"

/* Microseconds since some fixed moment of this boot; the same in all processes. */
int64
clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64
clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* The monotonic time of a moment that is to come; one that has passed is now. */
int64
clock_monotonic_of(TimestampTz at)
{
	return clock_monotonic_ms() + Max((at - GetCurrentTimestamp()) / 1000, 0);
}

/* A time for people: to the second, rounded up, so that nothing happens before it.  Static memory. */
const char *
clock_text(TimestampTz at)
{
	if (!TIMESTAMP_NOT_FINITE(at))
		at += (USECS_PER_SEC - at % USECS_PER_SEC) % USECS_PER_SEC;
	return timestamptz_to_str(at);
}

/*
 * Waits in a session until its latch is set or a time has come; cancel,
 * timeouts and barriers are served.  False: that time has passed.
 */
bool
clock_wait_for_latch(int64 until_ms)
{
	static uint32 wait_event = 0;
	int64		left = until_ms - clock_monotonic_ms();

	if (left <= 0)
		return false;
	if (wait_event == 0)
		wait_event = wawp_wait_event("WawpDelay");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) left, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/* Waits in a session for a time, whatever sets its latch. */
void
clock_wait_until(int64 monotonic_ms)
{
	while (clock_wait_for_latch(monotonic_ms))
		;
}
