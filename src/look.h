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

#include "admission.h"
#include "nodes/pg_list.h"

struct Holds;

extern void look_due(struct Holds *holds, CyclePortion *portion);

#endif							/* WAWP_LOOK_H */
