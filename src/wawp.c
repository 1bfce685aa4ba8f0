/*-------------------------------------------------------------------------
 *
 * wawp.c
 *	  Puts people into WhatsApp groups and keeps the membership right.
 *
 * With shared_preload_libraries = 'wawp' everything works; without it only
 * the functions that do no I/O and the validator of foreign servers do, so
 * that dumps can be restored.
 *
 * IDENTIFICATION
 *	  src/wawp.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/trigger_guard.h"
#include "session/api.h"
#include "tables/audit_mailbox.h"
#include "throttle/limiter.h"
#include "worker/worker.h"

#include "compat.h"

WAWP_MODULE_MAGIC;

void		_PG_init(void);

/* What modules keep in shared memory beside shmem.c's own. */
static const ShmemPart shmem_parts[] = {
	{limiter_shmem_size, limiter_shmem_startup},
	{relay_shmem_size, relay_shmem_startup},
};

void
_PG_init(void)
{
	guc_init();
	api_init(process_shared_preload_libraries_in_progress);
	if (!process_shared_preload_libraries_in_progress)
		return;
	shmem_init(shmem_parts, lengthof(shmem_parts));
	ddl_init();
	trigger_guard_init();
	launcher_init();
}
