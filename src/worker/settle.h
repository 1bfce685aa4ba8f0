/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  Settles the rows of a request by its answer.
 *
 * IDENTIFICATION
 *	  src/worker/settle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SETTLE_H
#define WAWP_SETTLE_H

#include "nodes/pg_list.h"

struct Holds;

extern void settle_judged(struct Holds *holds);
extern bool settle_has_left(void);

#endif							/* WAWP_SETTLE_H */
