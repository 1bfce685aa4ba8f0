/*-------------------------------------------------------------------------
 *
 * commit_wake.h
 *	  Wakes the worker when a transaction commits.
 *
 * IDENTIFICATION
 *	  src/base/commit_wake.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_COMMIT_WAKE_H
#define WAWP_COMMIT_WAKE_H

#include "base/shmem.h"

extern void commit_wake_worker(const LaneKey *lane);
extern void commit_wake_for_events(void);
extern void commit_wake_for(const LaneKey *lane, int priority, int64 id);

#endif							/* WAWP_COMMIT_WAKE_H */
