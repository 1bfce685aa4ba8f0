/*-------------------------------------------------------------------------
 *
 * member_list.c
 *	  Members of a group according to a list, and the verdicts that follow.
 *
 * Pure.  Sessions and the worker both decide with these functions.  A list names
 * people by phone number, by LID, or by both.  A LID is never compared with a
 * number, and an entry that was not understood is not evidence of absence: a
 * person is absent only if the list is complete and each of its entries is
 * certainly somebody else.
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

/* A list that has lost at least so many members, and a quarter of them, is not believed ... */
#define LOSS_MIN 5
/* ... until another one, read at least so much later, agrees.  An engine that loses people does so for longer than a moment. */
#define LOSS_CONFIRMED_MS (60 * 60 * INT64CONST(1000))

/* Return our own entry, by our number or our LID (invalid: not known); NULL if neither is listed. */
const WireMember *
members_find_own(const WireMembers *list, const Jid *me, const Jid *me_lid)
{
	const WireMember *own = wire_find_member(list, me);

	return own ? own : wire_find_member(list, me_lid);
}

/*
 * Return the role of a member of a list; WIRE_ROLE_UNKNOWN if it is not told.
 * Engines in Go leave out what is false, so that an entry which says nothing is a
 * plain member's; in a list that says nothing of anybody it may be an admin's.
 */
WireRole
members_role(const WireMembers *list, const WireMember *member)
{
	if (member->role != WIRE_ROLE_UNTOLD)
		return member->role;
	return list->tells_roles ? WIRE_ROLE_MEMBER : WIRE_ROLE_UNKNOWN;
}

/* True if each entry is certainly somebody else: both have a number, or both have a LID. */
static bool
are_all_others(const WireMembers *list, const Jid *phone, const Jid *lid)
{
	int			known = (phone->kind == JID_PERSON ? WIRE_SHOWS_PHONE : 0) | (lid->kind == JID_LID ? WIRE_SHOWS_LID : 0);

	for (int shows = 0; shows < (int) lengthof(list->shown); shows++)
		if ((shows & known) == 0 && list->shown[shows] > 0)
			return false;
	return true;
}

/* Return the number of people in the group according to the list and its description, the larger one. */
int
members_size(const WireMembers *list, const MembersKnown *known)
{
	return Max(wire_count_members(list) + list->unread, Max(list->stated, known->stated));
}

/* True if the loss is too large to be a coincidence: a quarter of them, and at least LOSS_MIN. */
bool
members_lost_many(int before, int now)
{
	return before - now >= LOSS_MIN && (before - now) * 4 >= before;
}

/*
 * Record the size of a list that was read in *past; false if the list is not
 * believed.  One that suddenly lost many people (OpenWA#1510: half of a group,
 * after its change to LIDs) is believed only when another shows the same some
 * time later.
 */
bool
members_note_size(MembersPast *past, const WireMembers *list, int64 asked_ms)
{
	int			count = wire_count_members(list);
	bool		is_same = past->shrunk > 0 && !members_lost_many(past->shrunk, count);

	if (!members_lost_many(past->believed, count) || (is_same && asked_ms - past->shrunk_ms >= LOSS_CONFIRMED_MS))
	{
		*past = (MembersPast) {.believed = count};
		return true;
	}
	if (!is_same)
	{
		past->shrunk = count;
		past->shrunk_ms = asked_ms;
	}
	return false;
}

/* True if neither our number nor our LID is listed, and each entry is certainly somebody else. */
static bool
is_without_us(const WireMembers *list, const MembersKnown *known)
{
	if (wire_count_members(list) == 0)
		return true;
	if (known->me.kind == JID_INVALID && known->me_lid.kind == JID_INVALID)
		return false;
	return members_find_own(list, &known->me, &known->me_lid) == NULL && are_all_others(list, &known->me, &known->me_lid);
}

/* Return the reason why a list is not the whole group, if there is one. */
MembersGap
members_gap(const WireMembers *list, const MembersKnown *known)
{
	if (list->unread > 0)
		return MEMBERS_UNREAD;
	if (wire_count_members(list) < Max(list->stated, known->stated))
		return MEMBERS_FEWER;
	if (list->has_more)
		return MEMBERS_PAGE;
	if (is_without_us(list, known))
		return MEMBERS_WITHOUT_US;
	if (known->is_untold)
		return MEMBERS_UNTOLD;
	return known->is_shrunk ? MEMBERS_SHRUNK : MEMBERS_COMPLETE;
}

/* Return the same in words, static or palloc'd; NULL if the list is the whole group. */
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
			return psprintf("the list has %d of %d members", wire_count_members(list), Max(list->stated, known->stated));
		case MEMBERS_PAGE:
			return psprintf("the list has the first %d members only", wire_count_members(list));
		case MEMBERS_WITHOUT_US:
			return "the list does not have the instance's own account";
		case MEMBERS_UNTOLD:
			return "the group's description, which may state how many there are, could not be read";
		case MEMBERS_SHRUNK:
			return psprintf("the list has suddenly shrunk to %d members", wire_count_members(list));
	}
	return NULL;
}

/*
 * Return whether a person is in the group.  person: a number or a LID; lid: the
 * LID of a number, invalid if not known.  Absent means: differs from each entry
 * of a complete list; a number cannot be told from a LID.
 */
Presence
members_presence(const WireMembers *list, const MembersKnown *known, const Jid *person, const Jid *lid)
{
	const Jid  *known_lid = person->kind == JID_LID ? person : lid;

	if (wire_find_member(list, person) || (lid->kind == JID_LID && wire_find_member(list, lid)))
		return PRESENCE_PRESENT;
	if (members_gap(list, known) != MEMBERS_COMPLETE)
		return PRESENCE_UNKNOWN;
	return are_all_others(list, person, known_lid) ? PRESENCE_ABSENT : PRESENCE_UNKNOWN;
}

/*
 * ---- requests to join
 */

/* True if a request names the person who asks: engines name the proposer of somebody else, who may be we. */
static bool
request_names_asker(const WireJoinRequest *request, const MembersKnown *known)
{
	return !(request->method && strcmp(request->method, WIRE_NON_ADMIN_ADD) == 0) &&
		!jid_same(&request->jid, &known->me) && !jid_same(&request->lid, &known->me_lid);
}

/* True if a request is certainly somebody else's: both have a number, or both have a LID. */
static bool
request_is_of_another(const WireJoinRequest *request, const Jid *phone, const Jid *lid)
{
	return (request->jid.kind == JID_PERSON && phone->kind == JID_PERSON) ||
		(request->lid.kind == JID_LID && lid->kind == JID_LID);
}

/*
 * Return whether a person waits for an admin's approval, by the list of requests
 * to join.  person: a number or a LID; lid: the LID of a number, invalid if not
 * known.  Absent means: each request is certainly somebody else's.
 */
Presence
members_ask_to_join(const WireJoinRequests *list, const MembersKnown *known, const Jid *person, const Jid *lid)
{
	const Jid  *known_lid = person->kind == JID_LID ? person : lid;
	Presence	presence = list->has_more ? PRESENCE_UNKNOWN : PRESENCE_ABSENT;

	for (int i = 0; i < list->count; i++)
	{
		const WireJoinRequest *request = &list->requests[i];

		if (jid_same(&request->jid, person) || (known_lid->kind == JID_LID && jid_same(&request->lid, known_lid)))
			return PRESENCE_PRESENT;
		if (!request_names_asker(request, known) || !request_is_of_another(request, person, known_lid))
			presence = PRESENCE_UNKNOWN;
	}
	return presence;
}

/*
 * ---- verdicts
 */

/* Return the outcome of a request whose effect the list shows. */
static WawpOutcome
confirmed_outcome(const MembersCase *asked)
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

/*
 * Set outcome and detail (static) for somebody whom the API accepted and who is
 * not in the group.
 */
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

/* True if the outcome of the answer is not proved by the person's absence. */
static bool
is_open_when_absent(WawpOutcome outcome)
{
	return outcome == WAWP_ADDED || outcome == WAWP_ALREADY_MEMBER || outcome == WAWP_UNKNOWN_RESULT ||
		outcome == WAWP_SERVER_ERROR || outcome == WAWP_UNRECOGNISED;
}

/* Fill in the finding for an addition of somebody who is certainly not in the group. */
static void
judge_absent_addition(const WireMembers *list, const MembersKnown *known, const MembersCase *asked, MembersFinding *finding)
{
	finding->verdict = VERDICT_NO;
	if (asked->outcome == WAWP_ACCEPTED && asked->is_last)
		explain_absence(list, known, finding);
	else if (asked->is_last && is_open_when_absent(asked->outcome))
		finding->detail = "not in the member list";
	finding->is_settled = finding->outcome != WAWP_ACCEPTED && !is_open_when_absent(finding->outcome);
}

/* Fill in the finding for a change of role of a person who has an entry. */
static void
judge_role(const WireMembers *list, const MembersCase *asked, MembersFinding *finding)
{
	const WireMember *member = wire_find_member(list, asked->person);
	WireRole	role = members_role(list, member ? member : wire_find_member(list, asked->lid));
	bool		is_admin = role == WIRE_ROLE_ADMIN || role == WIRE_ROLE_OWNER;

	if (role == WIRE_ROLE_UNKNOWN)
	{
		finding->verdict = VERDICT_UNKNOWN;
		finding->detail = "the list does not tell whether the person is an admin";
	}
	else if (is_admin == (asked->operation == WAWP_OP_PROMOTE))
		finding->verdict = VERDICT_YES;
}

/*
 * Return the verdict on a request, from a list that was read after its answer.
 *
 * Presence overrides any answer.  Absence counts only if the list is complete;
 * a request that was merely accepted fails by it only at the last reading,
 * since lists lag.  The finding's texts are static or palloc'd.
 */
MembersFinding
members_judge(const WireMembers *list, const MembersKnown *known, const MembersCase *asked)
{
	bool		is_role = asked->operation == WAWP_OP_PROMOTE || asked->operation == WAWP_OP_DEMOTE;
	Presence	presence = members_presence(list, known, asked->person, asked->lid);
	MembersFinding finding = {.verdict = VERDICT_NO, .outcome = asked->outcome};

	finding.by_absence = presence == PRESENCE_ABSENT;
	if (presence == PRESENCE_UNKNOWN)
	{
		finding.verdict = VERDICT_UNKNOWN;
		finding.detail = members_gap_text(list, known);
	}
	else if (is_role && presence == PRESENCE_PRESENT)
		judge_role(list, asked, &finding);
	else if (is_role)
		finding.verdict = VERDICT_NO;
	else if (presence == PRESENCE_ABSENT && asked->operation != WAWP_OP_REMOVE)
		judge_absent_addition(list, known, asked, &finding);
	else if ((presence == PRESENCE_ABSENT) == (asked->operation == WAWP_OP_REMOVE))
		finding.verdict = VERDICT_YES;
	if (finding.verdict != VERDICT_YES)
		return finding;
	finding.is_settled = true;
	finding.outcome = confirmed_outcome(asked);
	return finding;
}
