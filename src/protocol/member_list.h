/*-------------------------------------------------------------------------
 *
 * member_list.h
 *	  Members of a group according to a list, and the verdicts that follow.
 *
 * IDENTIFICATION
 *	  src/protocol/member_list.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MEMBER_LIST_H
#define WAWP_MEMBER_LIST_H

#include "protocol/jid.h"
#include "protocol/outcome.h"
#include "protocol/wire.h"

/*
 * The way of a verdict, for a session and the worker alike:
 *
 *	WireMembers		the list as it was read (wire.c)
 *	MembersKnown	other facts about the group, the same for all its people
 *	MembersCase		one person, one request and its outcome so far
 *	MembersFinding	the verdict on that case, and the outcome it leads to
 *
 * members_judge() makes the last from the first three.  The caller keeps a
 * MembersPast per group, so that a list that shrinks suddenly is recognised.
 */

/* The presence of one person in one list. */
typedef enum Presence
{
	PRESENCE_UNKNOWN,			/* an entry of the list may be the person */
	PRESENCE_ABSENT,
	PRESENCE_PRESENT
} Presence;

/* Sizes of the lists of one group that were read before; starts as zeros. */
typedef struct MembersPast
{
	int			believed;		/* of the last that was believed; 0: none */
	int			shrunk;			/* of a later one that had lost many; 0: none */
	int64		shrunk_ms;		/* when that one was requested; monotonic */
} MembersPast;

/* Facts about a group beside its list. */
typedef struct MembersKnown
{
	int			stated;			/* the size in the group's description; -1: not known */
	Jid			me;				/* our account's number and ... */
	Jid			me_lid;			/* ... LID; invalid if not known */
	bool		is_untold;		/* the description could not be read this time: it may state a size */
	bool		is_shrunk;		/* members_note_size did not believe the list */
	bool		asks_approval;	/* an admin approves whoever is added */
	int			capacity;		/* 0: not known */
} MembersKnown;

/* Reasons why a list is not the whole group. */
typedef enum MembersGap
{
	MEMBERS_COMPLETE,
	MEMBERS_UNREAD,				/* it has entries that are not understood */
	MEMBERS_FEWER,				/* it is shorter than the stated size */
	MEMBERS_PAGE,				/* it is a part: the answer says that more follows */
	MEMBERS_WITHOUT_US,			/* our own account is missing */
	MEMBERS_UNTOLD,				/* it is not known how many there should be */
	MEMBERS_SHRUNK				/* it has suddenly shrunk, and no other confirms that */
} MembersGap;

/* The verdict of one list on a requested change. */
typedef enum MembersVerdict
{
	VERDICT_UNKNOWN,
	VERDICT_NO,
	VERDICT_YES
} MembersVerdict;

/* A person for whom a list is read, and the request made for them. */
typedef struct MembersCase
{
	const Jid  *person;
	const Jid  *lid;			/* the LID of a number; invalid if not known */
	WawpOperation operation;	/* WAWP_OP_SEND: an invitation */
	bool		was_invited;	/* an invitation was sent, the person has not joined yet */
	WawpOutcome outcome;		/* of the request, by its answer */
	bool		is_last;		/* the last reading: the change has had the time it takes to show */
} MembersCase;

/* The verdict on a case, by one list. */
typedef struct MembersFinding
{
	MembersVerdict verdict;
	bool		by_absence;		/* the person is absent from a complete list */
	bool		is_settled;		/* the list proves the outcome */
	WawpOutcome outcome;		/* the case's own unless the list says otherwise */
	const char *detail;			/* why; NULL: the request's own detail stays */
} MembersFinding;

extern const WireMember *members_find_own(const WireMembers *list, const Jid *me, const Jid *me_lid);
extern WireRole members_role(const WireMembers *list, const WireMember *member);
extern int	members_size(const WireMembers *list, const MembersKnown *known);
extern bool members_lost_many(int before, int now);
extern bool members_note_size(MembersPast *past, const WireMembers *list, int64 asked_ms);
extern MembersGap members_gap(const WireMembers *list, const MembersKnown *known);
extern const char *members_gap_text(const WireMembers *list, const MembersKnown *known);
extern Presence members_presence(const WireMembers *list, const MembersKnown *known, const Jid *person, const Jid *lid);
extern MembersFinding members_judge(const WireMembers *list, const MembersKnown *known, const MembersCase *asked);

extern Presence members_ask_to_join(const WireJoinRequests *list, const MembersKnown *known,
									const Jid *person, const Jid *lid);

#endif							/* WAWP_MEMBER_LIST_H */
