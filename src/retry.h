/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  When to try again.
 *
 * IDENTIFICATION
 *	  src/retry.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_RETRY_H
#define WAWP_RETRY_H

#include "outcome.h"

/* attempts after which an intent fails: design.md, section 5 */
#define RETRY_MAX_ATTEMPTS 8

extern int64 retry_delay_ms(WawpOutcome outcome, int failures, int retry_after_s, double random);

#endif							/* WAWP_RETRY_H */
