/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Entry points of the background processes.
 *
 * IDENTIFICATION
 *	  src/worker/worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WORKER_H
#define WAWP_WORKER_H

#include "nodes/nodes.h"

extern void launcher_init(void);
extern void utility_hook_init(void);
extern void server_changes_note(Node *statement);
extern PGDLLEXPORT void wawp_launcher_main(Datum arg);
extern PGDLLEXPORT void wawp_worker_main(Datum arg);

#endif							/* WAWP_WORKER_H */
