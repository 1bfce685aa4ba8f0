/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The monotonic clock, and waiting by it.
 *
 * A step of the wall clock neither prolongs nor shortens a wait.  No state, no
 * locks; a wait serves interrupts, so it may raise an error.
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
#include "pgtime.h"
#include "storage/latch.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"

/* Return the microseconds since a fixed moment of this boot, the same in all processes. */
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

/* Return the monotonic time, in ms, of a moment in the future; of one in the past: now. */
int64
clock_monotonic_of(TimestampTz at)
{
	TimestampTz now = GetCurrentTimestamp();

	/* -infinity, too, is a time of the past */
	return clock_monotonic_ms() + (at > now ? (at - now) / 1000 : 0);
}

#define UNIX_EPOCH_US ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Return a time in microseconds since 1970. */
int64
clock_unix_us(TimestampTz at)
{
	return at + UNIX_EPOCH_US;
}

/* The same in ms. */
int64
clock_unix_ms(TimestampTz at)
{
	return clock_unix_us(at) / 1000;
}

/* Return the time that is so many ms after the beginning of 1970. */
TimestampTz
clock_time_of_unix_ms(int64 ms)
{
	return ms * 1000 - UNIX_EPOCH_US;
}

/* Return the beginning of the month (UTC) that lies `ahead` months after that of a time. */
TimestampTz
clock_month_start(TimestampTz at, int ahead)
{
	struct pg_tm tm;
	fsec_t		fsec;
	struct pg_tm start = {.tm_mday = 1};
	int			utc = 0;
	TimestampTz result;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "a time is out of range");
	start.tm_year = tm.tm_year + (tm.tm_mon - 1 + ahead) / 12;
	start.tm_mon = (tm.tm_mon - 1 + ahead) % 12 + 1;
	if (tm2timestamp(&start, 0, &utc, &result) != 0)
		elog(ERROR, "a time is out of range");
	return result;
}

/* Return a time as text, rounded up to the second, so that nothing happens before it; in static memory. */
const char *
clock_text(TimestampTz at)
{
	if (!TIMESTAMP_NOT_FINITE(at))
		at += (USECS_PER_SEC - at % USECS_PER_SEC) % USECS_PER_SEC;
	return timestamptz_to_str(at);
}

/*
 * Wait in a session until its latch is set or a time has come; cancel, timeouts
 * and barriers are served.  False if that time had passed already.
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

/* Wait in a session until a time, even if its latch is set before. */
void
clock_wait_until(int64 monotonic_ms)
{
	while (clock_wait_for_latch(monotonic_ms))
		;
}
