/*-------------------------------------------------------------------------
 *
 * errand.h
 *	  Asks the API what has to be known before the drain goes on.
 *
 * IDENTIFICATION
 *	  src/worker/errand.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ERRAND_H
#define WAWP_ERRAND_H

#include "tables/hold.h"
#include "worker/follow.h"

extern void errand_hold_troubled(Holds *holds);
extern bool errand_ask(const LaneKey *lane, Oid role, const FollowNeed *need,
					   const WawpInstance *described, int64 *later);

#endif							/* WAWP_ERRAND_H */
