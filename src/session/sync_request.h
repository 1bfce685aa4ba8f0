/*-------------------------------------------------------------------------
 *
 * sync_request.h
 *	  Requests what the plan of a group says.
 *
 * IDENTIFICATION
 *	  src/session/sync_request.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SYNC_REQUEST_H
#define WAWP_SYNC_REQUEST_H

#include "protocol/sync_plan.h"

/* The common part of all requests of one call; texts in the database's encoding. */
typedef struct SyncRequest
{
	Oid			schema;			/* of wawp_request_add() and wawp_request_remove() */
	const char *instance;
	const char *reason;			/* may be NULL */
	const char *batch_id;
} SyncRequest;

extern void sync_request_check(const SyncRequest *request);
extern void sync_request_steps(const SyncRequest *request, const char *group, SyncPlan *plan);

#endif							/* WAWP_SYNC_REQUEST_H */
