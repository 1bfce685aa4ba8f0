/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  What happened to an intent, for the audit log.
 *
 * IDENTIFICATION
 *	  src/tables/trail.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRAIL_H
#define WAWP_TRAIL_H

#include "tables/audit.h"

#endif							/* WAWP_TRAIL_H */
