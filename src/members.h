/*-------------------------------------------------------------------------
 *
 * members.h
 *	  Who is in a member list.
 *
 * IDENTIFICATION
 *	  src/members.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MEMBERS_H
#define WAWP_MEMBERS_H

#include "jid.h"
#include "wire.h"

typedef enum Presence
{
	PRESENCE_UNKNOWN,			/* somebody in the list may be the person */
	PRESENCE_ABSENT,
	PRESENCE_PRESENT
} Presence;

extern const WireMember *members_find(const WireMembers *list, const Jid *jid);
extern int	members_count(const WireMembers *list);
extern int	members_size(const WireMembers *list);
extern bool members_is_complete(const WireMembers *list);
extern Presence members_presence(const WireMembers *list, const Jid *person, const Jid *lid);

#endif							/* WAWP_MEMBERS_H */
