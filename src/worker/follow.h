/*-------------------------------------------------------------------------
 *
 * follow.h
 *	  What precedes and what follows a request: policy, looks, memory.
 *
 * IDENTIFICATION
 *	  src/worker/follow.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOLLOW_H
#define WAWP_FOLLOW_H

#include "client/instance.h"
#include "tables/group_settings.h"
#include "tables/intent.h"
#include "worker/group_cache.h"

/* What a look at a lane has found. */
typedef struct FollowUp
{
	TimestampTz next;			/* when to look again; 0: nobody waits */
	InfoNeed	need;			/* to be asked for now */
	Oid			role;			/* as whom */
	bool		has_invitee;
	Intent		invitee;		/* who can be invited now */
	bool		any_failed;		/* what waits for those has to be looked at */
	bool		any_queued;
	List	   *done;			/* ids, as int64 pointers */
	TimestampTz until;			/* when the first of their memberships ends; 0: none does */
} FollowUp;

/* May people be added to this group, by what is known of it? */
typedef enum FollowGroup
{
	GROUP_OPEN,
	GROUP_UNKNOWN,				/* ask first */
	GROUP_FULL,
	GROUP_NOT_OURS				/* we are not an admin, and only admins add */
} FollowGroup;

extern FollowGroup follow_check_group(const CachedGroup *cached, const GroupSettings *settings, InfoNeed *need);
extern bool follow_refuses(Intent *intent, const CachedGroup *cached, const WawpInstance *instance,
						   const GroupSettings *settings, InfoNeed *need, IntentChange *change);
extern TimestampTz follow_first_look(const WawpInstance *instance);
extern TimestampTz follow_next_wait(const Intent *intent, const WawpInstance *instance, TimestampTz since);
extern FollowUp follow_look(const LaneKey *key, const WawpInstance *instance);
extern void group_cache_write_facts(void);

#endif							/* WAWP_FOLLOW_H */
