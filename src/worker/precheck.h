/*-------------------------------------------------------------------------
 *
 * precheck.h
 *	  Who of the claimed may really leave.
 *
 * IDENTIFICATION
 *	  src/worker/precheck.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PRECHECK_H
#define WAWP_PRECHECK_H

#include "tables/group_settings.h"
#include "worker/attempt.h"

/* What came of an attempt to serve a lane. */
typedef enum Served
{
	SERVED_NOTHING,				/* nothing there can go now */
	SERVED_SOME,				/* it may have more */
	SERVED_LATER,				/* it is scheduled */
	SERVED_ASKING				/* the same, for when something is known */
} Served;

struct Holds;

extern void screen_put_back(const Intent *intent);
extern Served screen_claimed(Flight *flight, const WawpInstance *described, struct Holds *holds,
							 const GroupSettings *settings);

#endif							/* WAWP_PRECHECK_H */
