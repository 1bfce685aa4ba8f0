/*-------------------------------------------------------------------------
 *
 * look.h
 *	  Looks at who waits in a lane, and goes on with them.
 *
 * IDENTIFICATION
 *	  src/look.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LOOK_H
#define WAWP_LOOK_H

#include "nodes/pg_list.h"

extern void look_due(List *holds);

#endif							/* WAWP_LOOK_H */
