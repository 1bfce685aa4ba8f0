/*-------------------------------------------------------------------------
 *
 * wawp.c
 *	  Library entry point: adds people to WhatsApp groups and maintains their membership.
 *
 * All functions need shared_preload_libraries = 'wawp', except those that do no
 * I/O and the validator of foreign servers, so that dumps can be restored
 * without it.  _PG_init only registers parameters, hooks and shared memory.
 *
 * IDENTIFICATION
 *	  src/wawp.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/counters.h"
#include "base/guc.h"
#include "base/mark_file.h"
#include "base/shmem.h"
#include "client/missing_route.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/quota.h"
#include "queue/trigger_batch.h"
#include "queue/trigger_guard.h"
#include "session/api.h"
#include "tables/audit_mailbox.h"
#include "throttle/limiter.h"
#include "worker/worker.h"

#include "compat.h"

WAWP_MODULE_MAGIC;

void		_PG_init(void);

/* Shared memory of modules other than shmem.c. */
static const ShmemPart shmem_parts[] = {
	{limiter_shmem_size, limiter_shmem_startup},
	{mailbox_shmem_size, mailbox_shmem_startup},
	{quota_shmem_size, quota_shmem_startup},
	{missing_route_shmem_size, missing_route_shmem_startup},
	{counters_shmem_size, counters_shmem_startup},
};

void
_PG_init(void)
{
	guc_init();
	api_init(process_shared_preload_libraries_in_progress);
	if (!process_shared_preload_libraries_in_progress)
		return;
	mark_file_init();
	shmem_init(shmem_parts, lengthof(shmem_parts));
	utility_hook_init();
	trigger_guard_init();
	trigger_batch_init();
	launcher_init();
}
