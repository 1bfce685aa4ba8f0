/*-------------------------------------------------------------------------
 *
 * members.c
 *	  Who is in a member list.
 *
 * Pure.  A list names people by phone number, by LID, or by both.  A LID is
 * never compared with a number, and what was not understood is not "no": who is
 * not found is absent only if the list is complete and each of its entries is
 * surely somebody else.
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

/* True if an entry is surely of somebody else: by number, or by LID. */
static bool
is_of_another(const WireMember *member, const Jid *phone, const Jid *lid)
{
	return (member->phone.kind == JID_PERSON && phone->kind == JID_PERSON) ||
		(member->lid.kind == JID_LID && lid->kind == JID_LID);
}

/* How many the list names who are in the group. */
int
members_count(const WireMembers *list)
{
	int			n = 0;

	for (int i = 0; i < list->count; i++)
		n += list->members[i].role != WIRE_ROLE_LEFT;
	return n;
}

/* How many are in the group, as far as the list tells. */
int
members_size(const WireMembers *list)
{
	return Max(members_count(list) + list->unread, list->stated);
}

/*
 * True if the list is the whole group: each entry is understood, and there are
 * as many as the answer states (a community's announcement group lists a few
 * of its thousands).  Only a complete list says that somebody is absent.
 */
bool
members_is_complete(const WireMembers *list)
{
	return list->unread == 0 && members_count(list) >= list->stated;
}

/*
 * Is somebody in the group?  person: a number or a LID; lid: the LID of a
 * number, invalid if not known.  Absent is only who differs from each entry of
 * a complete list; a number and a LID do not tell each other apart.
 */
Presence
members_presence(const WireMembers *list, const Jid *person, const Jid *lid)
{
	const Jid  *known_lid = person->kind == JID_LID ? person : lid;

	if (members_find(list, person) || (lid->kind == JID_LID && members_find(list, lid)))
		return PRESENCE_PRESENT;
	if (!members_is_complete(list))
		return PRESENCE_UNKNOWN;
	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT && !is_of_another(&list->members[i], person, known_lid))
			return PRESENCE_UNKNOWN;
	return PRESENCE_ABSENT;
}
