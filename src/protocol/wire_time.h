/*-------------------------------------------------------------------------
 *
 * wire_time.h
 *	  Points in time as the API and its engines write them.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_time.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WIRE_TIME_H
#define WAWP_WIRE_TIME_H

#include "protocol/json.h"

/* milliseconds since 1970 */
#define WIRE_TIME_DAY_MS (24 * 60 * 60 * INT64CONST(1000))

extern int64 wire_time_ms(const JsonNode *node);

#endif							/* WAWP_WIRE_TIME_H */
