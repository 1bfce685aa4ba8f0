/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  What time it is, and waiting for another.
 *
 * IDENTIFICATION
 *	  src/base/clock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CLOCK_H
#define WAWP_CLOCK_H

#include "datatype/timestamp.h"

/* A time, in monotonic ms, that does not come. */
#define CLOCK_NEVER PG_INT64_MAX

extern int64 clock_monotonic_us(void);
extern int64 clock_monotonic_ms(void);
extern int64 clock_monotonic_of(TimestampTz at);
extern const char *clock_text(TimestampTz at);
extern void clock_wait_until(int64 monotonic_ms);
extern bool clock_wait_for_latch(int64 until_ms);

#endif							/* WAWP_CLOCK_H */
