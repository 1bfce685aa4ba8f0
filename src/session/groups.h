/*-------------------------------------------------------------------------
 *
 * groups.h
 *	  Readings of groups that raise an error when they fail.
 *
 * IDENTIFICATION
 *	  src/session/groups.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GROUPS_H
#define WAWP_GROUPS_H

#include "client/call.h"
#include "nodes/pg_list.h"

extern const char *groups_role_name(const WireMembers *list, const WireMember *member);
extern void groups_read_members(const WawpInstance *instance, const char *group, WireMembers *list);
extern List *groups_read_all(const WawpInstance *instance);

#endif							/* WAWP_GROUPS_H */
