/*-------------------------------------------------------------------------
 *
 * member_list.c
 *	  Who is in a member list, and what that makes of a request.
 *
 * Pure; the one place for both, whether a session or the worker looks.  A list names people by phone number, by LID, or by both.  A LID is
 * never compared with a number, and what was not understood is not "no": who is
 * not found is absent only if the list is complete and each of its entries is
 * surely somebody else.
 *
 * IDENTIFICATION
 *	  src/protocol/member_list.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/member_list.h"

/* So many fewer, if they are a quarter of the group, make a list doubtful ... */
#define MANY 5
/* ... until another that is read so much later agrees. */
#define SECOND_LOOK_MS 2000

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

/* The number of people in the group, as far as the list and its description tell. */
int
members_size(const WireMembers *list, const MembersKnown *known)
{
	return Max(members_count(list) + list->unread, Max(list->stated, known->stated));
}

/* True if so many fewer are no coincidence: a quarter of them, and at least MANY. */
static bool
lost_many(int before, int now)
{
	return before - now >= MANY && (before - now) * 4 >= before;
}

/*
 * Notes the size of a list that was read; false when the list is not believed.
 * One that lost many people at a stroke (OpenWA#1510: half of a group, after
 * its change to LIDs) counts only when another shows the same some time later.
 */
bool
members_note_size(MembersPast *past, const WireMembers *list, int64 asked_at)
{
	int			count = members_count(list);
	bool		is_same = past->shrunk > 0 && !lost_many(past->shrunk, count);

	if (!lost_many(past->believed, count) || (is_same && asked_at - past->shrunk_at >= SECOND_LOOK_MS))
	{
		*past = (MembersPast) {.believed = count};
		return true;
	}
	if (!is_same)
	{
		past->shrunk = count;
		past->shrunk_at = asked_at;
	}
	return false;
}

/* True if neither our number nor our LID is among those listed, and each entry is surely somebody else. */
static bool
is_without_us(const WireMembers *list, const MembersKnown *known)
{
	if (known->me.kind == JID_INVALID && known->me_lid.kind == JID_INVALID)
		return false;
	if (members_find(list, &known->me) || members_find(list, &known->me_lid))
		return false;
	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT && !is_of_another(&list->members[i], &known->me, &known->me_lid))
			return false;
	return true;
}

/*
 * Tells what keeps a list from being the whole group.  Those who left count for its
 * size, as it may count them, too.  Only a complete list says that
 * somebody is absent.
 */
MembersGap
members_gap(const WireMembers *list, const MembersKnown *known)
{
	if (list->unread > 0)
		return MEMBERS_UNREAD;
	if (list->count < Max(list->stated, known->stated))
		return MEMBERS_FEWER;
	if (is_without_us(list, known))
		return MEMBERS_WITHOUT_US;
	return known->is_shrunk ? MEMBERS_SHRUNK : MEMBERS_COMPLETE;
}

/* Likewise in words, allocated; NULL when it is the whole group. */
const char *
members_gap_text(const WireMembers *list, const MembersKnown *known)
{
	switch (members_gap(list, known))
	{
		case MEMBERS_COMPLETE:
			break;
		case MEMBERS_UNREAD:
			return psprintf("the list has %d %s not understood", list->unread,
							list->unread == 1 ? "entry that is" : "entries that are");
		case MEMBERS_FEWER:
			return psprintf("the list has %d of %d members", members_count(list), Max(list->stated, known->stated));
		case MEMBERS_WITHOUT_US:
			return "the list does not have the instance's own account";
		case MEMBERS_SHRUNK:
			return psprintf("the list has suddenly shrunk to %d members", members_count(list));
	}
	return NULL;
}

/*
 * Tells if somebody is in the group.  person: a number or a LID; lid: the LID of
 * a number, invalid if not known.  Absent is only who differs from each entry of
 * a complete list; a number and a LID do not tell each other apart.
 */
Presence
members_presence(const WireMembers *list, const MembersKnown *known, const Jid *person, const Jid *lid)
{
	const Jid  *known_lid = person->kind == JID_LID ? person : lid;

	if (members_find(list, person) || (lid->kind == JID_LID && members_find(list, lid)))
		return PRESENCE_PRESENT;
	if (members_gap(list, known) != MEMBERS_COMPLETE)
		return PRESENCE_UNKNOWN;
	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT && !is_of_another(&list->members[i], person, known_lid))
			return PRESENCE_UNKNOWN;
	return PRESENCE_ABSENT;
}

/*
 * ---- verdicts
 */

/* The outcome of a request whose effect the list shows. */
static WawpOutcome
outcome_of_yes(const MembersCase *asked)
{
	switch (asked->operation)
	{
		case WAWP_OP_REMOVE:
			return WAWP_REMOVED;
		case WAWP_OP_PROMOTE:
			return WAWP_PROMOTED;
		case WAWP_OP_DEMOTE:
			return WAWP_DEMOTED;
		default:
			break;
	}
	if (asked->was_invited)
		return WAWP_JOINED_BY_INVITE;
	return asked->operation == WAWP_OP_SEND || asked->outcome == WAWP_ALREADY_MEMBER ? WAWP_ALREADY_MEMBER : WAWP_ADDED;
}

/* Explains why the API accepted somebody who is not in the group. */
static void
explain_absence(const WireMembers *list, const MembersKnown *known, MembersFinding *finding)
{
	if (known->capacity > 0 && members_size(list, known) >= known->capacity)
	{
		finding->outcome = WAWP_GROUP_FULL;
		finding->detail = "accepted by the API, but the group is full";
	}
	else if (known->asks_approval)
	{
		finding->outcome = WAWP_PENDING_APPROVAL;
		finding->detail = "accepted by the API; an admin of the group has to approve";
	}
	else
	{
		finding->outcome = WAWP_PRIVACY_BLOCKED;
		finding->detail = "accepted by the API, but not in the member list; most likely by the person's privacy settings";
	}
}

/* True if absence from the list contradicts, or leaves open, what the answer said. */
static bool
is_open_when_absent(WawpOutcome outcome)
{
	return outcome == WAWP_ADDED || outcome == WAWP_ALREADY_MEMBER || outcome == WAWP_UNKNOWN_RESULT ||
		outcome == WAWP_SERVER_ERROR || outcome == WAWP_UNRECOGNISED;
}

/* An addition of somebody who is surely not in the group. */
static void
judge_absent_add(const WireMembers *list, const MembersKnown *known, const MembersCase *asked, MembersFinding *finding)
{
	finding->verdict = VERDICT_NO;
	if (asked->outcome == WAWP_ACCEPTED && asked->is_last)
		explain_absence(list, known, finding);
	else if (asked->is_last && is_open_when_absent(asked->outcome))
		finding->detail = "not in the member list";
	finding->is_settled = finding->outcome != WAWP_ACCEPTED && !is_open_when_absent(finding->outcome);
}

/* A change of role: of the person's entry, which there is. */
static MembersVerdict
judge_role(const WireMembers *list, const MembersCase *asked)
{
	const WireMember *member = members_find(list, asked->person);
	bool		is_admin;

	if (member == NULL)
		member = members_find(list, asked->lid);
	is_admin = member->role == WIRE_ROLE_ADMIN || member->role == WIRE_ROLE_OWNER;
	return is_admin == (asked->operation == WAWP_OP_PROMOTE) ? VERDICT_YES : VERDICT_NO;
}

/*
 * Says what a list that was asked for after a request's answer makes of it.
 * Present beats any answer; absent counts when the list is complete, and for
 * what was merely accepted at the last look, since lists lag.
 */
MembersFinding
members_judge(const WireMembers *list, const MembersKnown *known, const MembersCase *asked)
{
	bool		is_role = asked->operation == WAWP_OP_PROMOTE || asked->operation == WAWP_OP_DEMOTE;
	Presence	presence = members_presence(list, known, asked->person, asked->lid);
	MembersFinding finding = {.verdict = VERDICT_NO,.outcome = asked->outcome};

	finding.by_absence = presence == PRESENCE_ABSENT;
	if (presence == PRESENCE_UNKNOWN)
	{
		finding.verdict = VERDICT_UNKNOWN;
		finding.detail = members_gap_text(list, known);
	}
	else if (is_role)
		finding.verdict = presence == PRESENCE_PRESENT ? judge_role(list, asked) : VERDICT_NO;
	else if (presence == PRESENCE_ABSENT && asked->operation != WAWP_OP_REMOVE)
		judge_absent_add(list, known, asked, &finding);
	else if ((presence == PRESENCE_ABSENT) == (asked->operation == WAWP_OP_REMOVE))
		finding.verdict = VERDICT_YES;
	if (finding.verdict != VERDICT_YES)
		return finding;
	finding.is_settled = true;
	finding.outcome = outcome_of_yes(asked);
	return finding;
}
