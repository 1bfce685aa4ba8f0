/*-------------------------------------------------------------------------
 *
 * resolve.h
 *	  Instances, as a cycle of the drain has them.
 *
 * IDENTIFICATION
 *	  src/resolve.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_RESOLVE_H
#define WAWP_RESOLVE_H

#include "instance.h"
#include "shmem.h"

/* An instance that cannot be resolved (dropped, no token, host not allowed). */
#define RESOLVE_RETRY_MS (60 * 1000)

extern void resolve_in(MemoryContext memory);
extern char *resolve_redact(const char *text);
extern ErrorData *resolve_instance(const LaneKey *lane, Oid role, WawpInstance **instance);

#endif							/* WAWP_RESOLVE_H */
