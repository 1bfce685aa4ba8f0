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

#include "tables/hold.h"

#endif							/* WAWP_LANEHOLD_H */
