/*-------------------------------------------------------------------------
 *
 * precedence.h
 *	  Decides which of a requester's intents for one person goes.
 *
 * IDENTIFICATION
 *	  src/worker/precedence.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PRECEDENCE_H
#define WAWP_PRECEDENCE_H

#include "worker/precheck.h"

extern Served precedence_settle(Attempt *attempt);

#endif							/* WAWP_PRECEDENCE_H */
