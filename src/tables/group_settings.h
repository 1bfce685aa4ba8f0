/*-------------------------------------------------------------------------
 *
 * group_settings.h
 *	  The policy of groups.
 *
 * IDENTIFICATION
 *	  src/tables/group_settings.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GROUP_SETTINGS_H
#define WAWP_GROUP_SETTINGS_H

#include "base/shmem.h"

/* A group's policy; what does not apply is NULL or 0. */
typedef struct GroupSettings
{
	double		adds_per_minute;	/* -1: no pace of its own */
	int			capacity;
	bool		invite;
	const char *invite_text;
	const char *overflow_group;
	bool		check_exists;
	int64		contact_within_us;	/* 0: no such condition */
	bool		managed;		/* people may be removed by a sync */
} GroupSettings;

extern GroupSettings settings_get(const LaneKey *lane);
extern void settings_rename_instance(const char *from, const char *to);
extern bool settings_welcomes(const LaneKey *lane);

#endif							/* WAWP_GROUP_SETTINGS_H */
