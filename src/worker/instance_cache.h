/*-------------------------------------------------------------------------
 *
 * instance_cache.h
 *	  Cache of instances for the duration of a cycle.
 *
 * IDENTIFICATION
 *	  src/worker/instance_cache.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INSTANCE_CACHE_H
#define WAWP_INSTANCE_CACHE_H

#include "base/shmem.h"
#include "client/instance.h"

/* An instance that cannot be used (dropped, no token, host not allowed) is tried again after that. */
#define INSTANCE_RETRY_MS (60 * 1000)

extern void instance_cache_begin(MemoryContext memory);
extern char *instance_cache_redact(const char *text);
extern uint64 instance_token_hash(const WawpInstance *instance);
extern uint64 instance_cache_token_hash(const LaneKey *lane, Oid role);
extern ErrorData *instance_cache_get(const LaneKey *lane, Oid role, WawpInstance **instance);

#endif							/* WAWP_INSTANCE_CACHE_H */
