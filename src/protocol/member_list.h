/*-------------------------------------------------------------------------
 *
 * member_list.h
 *	  Who is in a member list, and what that makes of a request.
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

typedef enum Presence
{
	PRESENCE_UNKNOWN,			/* somebody in the list may be the person */
	PRESENCE_ABSENT,
	PRESENCE_PRESENT
} Presence;

/* Sizes of the lists of one group that were read before. */
typedef struct MembersPast
{
	int			believed;		/* of the last that counted; 0: none */
	int			shrunk;			/* of one that lost many at a stroke since; 0: none */
	int64		shrunk_at;		/* when it was asked for, monotonic ms */
} MembersPast;

/* Facts about a group beside its list. */
typedef struct MembersKnown
{
	int			stated;			/* its size as the group's description has it; -1: not known */
	Jid			me;				/* our account; both invalid: not known */
	Jid			me_lid;
	bool		is_shrunk;		/* members_note_size did not believe the list */
	bool		asks_approval;	/* whom we add waits for an admin */
	int			capacity;		/* 0: not known */
} MembersKnown;

/* Reasons why a list is not the whole group. */
typedef enum MembersGap
{
	MEMBERS_COMPLETE,
	MEMBERS_UNREAD,				/* entries that are not understood */
	MEMBERS_FEWER,				/* than the size that is stated */
	MEMBERS_WITHOUT_US,
	MEMBERS_SHRUNK				/* at a stroke, and seen once */
} MembersGap;

/* Tells if what was asked for has come true. */
typedef enum MembersVerdict
{
	VERDICT_UNKNOWN,
	VERDICT_NO,
	VERDICT_YES
} MembersVerdict;

/* One of those for whom a list is read. */
typedef struct MembersCase
{
	const Jid  *person;
	const Jid  *lid;			/* of a number; invalid: not known */
	WawpOperation operation;	/* WAWP_OP_SEND: an invitation */
	bool		was_invited;	/* and their joining is waited for */
	WawpOutcome outcome;		/* of the request */
	bool		is_last;		/* the change has had the time it takes to show */
} MembersCase;

/* The verdict of a list on a case. */
typedef struct MembersFinding
{
	MembersVerdict verdict;
	bool		by_absence;		/* it rests on the person's not being listed */
	bool		is_settled;		/* the list proves the outcome */
	WawpOutcome outcome;
	const char *detail;			/* NULL: none beside the request's */
} MembersFinding;

extern const WireMember *members_find(const WireMembers *list, const Jid *jid);
extern int	members_count(const WireMembers *list);
extern int	members_size(const WireMembers *list, const MembersKnown *known);
extern bool members_note_size(MembersPast *past, const WireMembers *list, int64 asked_at);
extern MembersGap members_gap(const WireMembers *list, const MembersKnown *known);
extern const char *members_gap_text(const WireMembers *list, const MembersKnown *known);
extern Presence members_presence(const WireMembers *list, const MembersKnown *known, const Jid *person, const Jid *lid);
extern MembersFinding members_judge(const WireMembers *list, const MembersKnown *known, const MembersCase *asked);

#endif							/* WAWP_MEMBER_LIST_H */
