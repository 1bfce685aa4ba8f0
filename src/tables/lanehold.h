/*-------------------------------------------------------------------------
 *
 * lanehold.h
 *	  Holds of lanes, as the drain meets and makes them.
 *
 * IDENTIFICATION
 *	  src/tables/lanehold.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LANEHOLD_H
#define WAWP_LANEHOLD_H

#include "protocol/outcome.h"
#include "tables/hold.h"

extern const Hold *lanehold_find(Holds *holds, const LaneKey *lane, bool whole_instance);
extern int64 lanehold_until(Holds *holds, const LaneKey *lane);
extern void lanehold_set(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance,
						 int retry_after, const char *request_id);
extern int64 lanehold_reads_until(Holds *holds, const LaneKey *lane);
extern bool lanehold_is_on_trial(Holds *holds, const LaneKey *lane);
extern void lanehold_for_outage(const LaneKey *lane, Holds *holds, WawpOutcome outcome,
								int retry_after, const char *request_id);
extern void lanehold_for(const LaneKey *lane, Holds *holds, WawpOutcome outcome,
						 int retry_after, const char *request_id);

#endif							/* WAWP_LANEHOLD_H */
