/*-------------------------------------------------------------------------
 *
 * backoff.h
 *	  When to try again.
 *
 * IDENTIFICATION
 *	  src/protocol/backoff.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_BACKOFF_H
#define WAWP_BACKOFF_H

#include "protocol/outcome.h"

/* attempts after which an intent fails: design.md, section 5 */
#define RETRY_MAX_ATTEMPTS 8

/* What Retry-After may ask for, in seconds; more is absurd and ignored. */
#define RETRY_AFTER_MOST (24 * 60 * 60)

extern bool retry_after_number(const char *text, double *seconds);
extern int	retry_after_usable(double seconds);
extern int64 retry_delay_ms(WawpOutcome outcome, int failures, int retry_after_s, double random);

#endif							/* WAWP_BACKOFF_H */
