/*-------------------------------------------------------------------------
 *
 * members.c
 *	  Who is in a member list.
 *
 * Pure.  A list names people by phone number, by LID, or by both.  A LID is
 * never compared with a number; as long as the list has somebody of whom only
 * a LID is known, who is not found is not absent.
 *
 * IDENTIFICATION
 *	  src/members.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "members.h"

/* The entry of a number or a LID; NULL: there is none, or the person left. */
const WireMember *
members_find(const WireMembers *list, const Jid *jid)
{
	for (int i = 0; i < list->count; i++)
	{
		const WireMember *member = &list->members[i];

		if (member->role != WIRE_ROLE_LEFT &&
			(jid_same(&member->phone, jid) || jid_same(&member->lid, jid)))
			return member;
	}
	return NULL;
}

/* Is there anybody in the list of whom only a LID is known? */
bool
members_have_unresolved(const WireMembers *list)
{
	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT && list->members[i].phone.kind != JID_PERSON)
			return true;
	return false;
}

/* How many are in the group. */
int
members_count(const WireMembers *list)
{
	int			n = 0;

	for (int i = 0; i < list->count; i++)
		n += list->members[i].role != WIRE_ROLE_LEFT;
	return n;
}

/* Is a person in the group?  lid: the person's LID, invalid if not known. */
Presence
members_presence(const WireMembers *list, const Jid *person, const Jid *lid)
{
	if (members_find(list, person) || (lid->kind == JID_LID && members_find(list, lid)))
		return PRESENCE_PRESENT;
	if (lid->kind == JID_LID || !members_have_unresolved(list))
		return PRESENCE_ABSENT;
	return PRESENCE_UNKNOWN;
}
