/*-------------------------------------------------------------------------
 *
 * precheck.h
 *	  Decides what has to be known before rows are claimed, and checks claimed rows.
 *
 * IDENTIFICATION
 *	  src/worker/precheck.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PRECHECK_H
#define WAWP_PRECHECK_H

#include "tables/group_settings.h"
#include "worker/attempt.h"
#include "worker/group_cache.h"

/* The result of serving a lane. */
typedef enum Served
{
	SERVED_NOTHING,				/* nothing of it can be sent now */
	SERVED_SOME,				/* it may have more */
	SERVED_LATER,				/* it is scheduled for later */
	SERVED_ASKING				/* likewise, for when information arrives */
} Served;

/* Tells if people can be added to a group, by what is known of it. */
typedef enum PrecheckGroup
{
	GROUP_OPEN,
	GROUP_UNKNOWN,				/* information is missing */
	GROUP_FULL,
	GROUP_NOT_OURS				/* we are not an admin, and only admins add */
} PrecheckGroup;

/* So many requests for information are made before additions are claimed; for the rest there is another turn. */
#define PRECHECK_NEEDS 16

/* Information that is missing for the next additions of a lane. */
typedef struct InfoNeeds
{
	int			count;
	InfoNeed	needs[PRECHECK_NEEDS];
} InfoNeeds;

struct Holds;

extern bool precheck_must_ask(const LaneKey *lane, const GroupSettings *settings, InfoNeed *need);
extern bool precheck_may_lack(const LaneKey *lane, const WawpInstance *instance, const GroupSettings *settings,
							  InfoNeed *need);
extern void precheck_list_needs(const LaneKey *lane, const WawpInstance *instance, const GroupSettings *settings,
								const Intent *heads, int n, InfoNeeds *needs);
extern void precheck_put_off(const Intent *intent, int64 delay_us, const char *detail);
extern void precheck_put_back(const Intent *intent);
extern Served precheck_claimed(Attempt *attempt, const WawpInstance *described, struct Holds *holds,
							   const GroupSettings *settings);

#endif							/* WAWP_PRECHECK_H */
