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
#define RESOLVE_RETRY_MS (60 * 1000)

extern void resolve_in(MemoryContext memory);
extern char *resolve_redact(const char *text);
extern ErrorData *resolve_instance(const LaneKey *lane, Oid role, WawpInstance **instance);

#endif							/* WAWP_INSTANCE_CACHE_H */
