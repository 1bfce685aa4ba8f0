/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Looks at who waits in a lane, and goes on with them.
 *
 * IDENTIFICATION
 *	  src/worker/verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_VERIFY_H
#define WAWP_VERIFY_H

#include "nodes/pg_list.h"
#include "worker/admission.h"

struct Holds;

extern void look_due(struct Holds *holds, CyclePortion *portion);

#endif							/* WAWP_VERIFY_H */
