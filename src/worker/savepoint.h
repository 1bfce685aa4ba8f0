/*-------------------------------------------------------------------------
 *
 * savepoint.h
 *	  What fails in a cycle of the drain holds up nothing else.
 *
 * IDENTIFICATION
 *	  src/worker/savepoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SAVEPOINT_H
#define WAWP_SAVEPOINT_H

#include "nodes/pg_list.h"

/* A piece of a cycle: on what, under the holds that the cycle has read. */
struct Holds;

typedef void (*SavepointWork) (void *subject, struct Holds *holds);

extern bool savepoint_is_on(void);
extern bool savepoint_run(SavepointWork work, void *subject, struct Holds *holds);
extern void savepoint_begin_cycle(void);
extern void savepoint_committed(void);
extern void savepoint_aborted(void);

#endif							/* WAWP_SAVEPOINT_H */
