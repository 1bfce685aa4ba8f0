/*-------------------------------------------------------------------------
 *
 * screen.h
 *	  Who of the claimed may really leave.
 *
 * IDENTIFICATION
 *	  src/screen.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SCREEN_H
#define WAWP_SCREEN_H

#include "flight.h"
#include "settings.h"

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

#endif							/* WAWP_SCREEN_H */
