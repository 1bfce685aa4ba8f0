/*-------------------------------------------------------------------------
 *
 * savepoint.h
 *	  Savepoints around the pieces of a cycle, after one has failed.
 *
 * IDENTIFICATION
 *	  src/worker/savepoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SAVEPOINT_H
#define WAWP_SAVEPOINT_H

#include "nodes/pg_list.h"

struct Holds;

/* A piece of a cycle: its subject, and the holds that the cycle has read. */
typedef void (*SavepointWork) (void *subject, struct Holds *holds);

extern bool savepoint_is_on(void);
extern bool savepoint_run(SavepointWork work, void *subject, struct Holds *holds);
extern bool savepoint_lost_to_a_lock(void);
extern void savepoint_begin_cycle(void);
extern void savepoint_committed(bool has_retries);
extern void savepoint_aborted(void);

#endif							/* WAWP_SAVEPOINT_H */
