/*-------------------------------------------------------------------------
 *
 * instance_cache.h
 *	  Instances, as a cycle of the drain has them.
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

/* An instance that cannot be resolved (dropped, no token, host not allowed). */
#define INSTANCE_RETRY_MS (60 * 1000)

extern void instance_cache_begin(MemoryContext memory);
extern char *instance_cache_redact(const char *text);
extern ErrorData *instance_cache_get(const LaneKey *lane, Oid role, WawpInstance **instance);

#endif							/* WAWP_INSTANCE_CACHE_H */
