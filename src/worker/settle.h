/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  What an answer makes of the rows a request was made for.
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
