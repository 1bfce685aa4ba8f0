/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The monotonic clock, and waiting by it.
 *
 * IDENTIFICATION
 *	  src/base/clock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CLOCK_H
#define WAWP_CLOCK_H

#include "datatype/timestamp.h"

/* a time that is never reached, in monotonic ms */
#define CLOCK_NEVER PG_INT64_MAX

extern int64 clock_monotonic_us(void);
extern int64 clock_monotonic_ms(void);
extern int64 clock_monotonic_of(TimestampTz at);
extern int64 clock_unix_us(TimestampTz at);
extern int64 clock_unix_ms(TimestampTz at);
extern TimestampTz clock_time_of_unix_ms(int64 ms);
extern TimestampTz clock_month_start(TimestampTz at, int ahead);
extern const char *clock_text(TimestampTz at);
extern void clock_wait_until(int64 monotonic_ms);
extern bool clock_wait_for_latch(int64 until_ms);

#endif							/* WAWP_CLOCK_H */
