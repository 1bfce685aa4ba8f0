/*-------------------------------------------------------------------------
 *
 * quota.h
 *	  The limit of what a role may have queued.
 *
 * IDENTIFICATION
 *	  src/queue/quota.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_QUOTA_H
#define WAWP_QUOTA_H

#include "postgres_ext.h"

/* Part of what quota_take() says, by which a failed intent is known. */
#define QUOTA_SETTING "wawp.max_queued_per_role"

extern Size quota_shmem_size(void);
extern void quota_shmem_startup(void);
extern bool quota_take_if_counted(Oid roleid);
extern void quota_take(Oid roleid);
extern void quota_forget(Oid roleid);

#endif							/* WAWP_QUOTA_H */
