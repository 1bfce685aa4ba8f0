/*-------------------------------------------------------------------------
 *
 * backoff.h
 *	  The delay before another try.
 *
 * IDENTIFICATION
 *	  src/protocol/backoff.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_BACKOFF_H
#define WAWP_BACKOFF_H

#include "protocol/outcome.h"

/* attempts after which an intent fails */
#define BACKOFF_MAX_ATTEMPTS 8

/* The longest Retry-After that is respected, in seconds; a longer one is ignored. */
#define RETRY_AFTER_MOST (24 * 60 * 60)

extern int64 backoff_delay(int64 first, int64 longest, int failures);
extern bool retry_after_number(const char *text, double *seconds);
extern int	retry_after_usable(double seconds);
extern int64 backoff_request_ms(WawpOutcome outcome, int failures, int retry_after_s, double random);

#endif							/* WAWP_BACKOFF_H */
