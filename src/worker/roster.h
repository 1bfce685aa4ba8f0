/*-------------------------------------------------------------------------
 *
 * roster.h
 *	  What the API has told of groups and people lately.
 *
 * IDENTIFICATION
 *	  src/worker/roster.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ROSTER_H
#define WAWP_ROSTER_H

#include "client/instance.h"
#include "lib/ilist.h"
#include "protocol/member_list.h"
#include "protocol/outcome.h"
#include "utils/timestamp.h"
#include "worker/lanes.h"

/* So many answers in a row of what stands before the API are an outage, not an accident. */
#define ROSTER_OUTAGES 3

/* What can be asked; bits, so that several can be under way. */
typedef enum RosterQuestion
{
	ASK_LIST = 1 << 0,			/* who is in the group */
	ASK_SELF = 1 << 1,			/* who we are */
	ASK_INFO = 1 << 2,			/* the group's subject, and who may add */
	ASK_LINK = 1 << 3,			/* its invite link */
	ASK_LID = 1 << 4,			/* a person's LID */
	ASK_EXISTS = 1 << 5			/* is a number on WhatsApp */
} RosterQuestion;

typedef enum OwnRole
{
	OWN_UNKNOWN,
	OWN_MEMBER,
	OWN_ADMIN
} OwnRole;

/* A group, as the API has told of it to this process. */
typedef struct Roster
{
	LaneKey		key;			/* hash key, must be first */
	dlist_node	list_node;		/* among those that have one, the oldest first */
	WireMembers list;			/* members are NULL: there is none */
	bool		was_used;		/* somebody has come for it since it came */
	MembersPast past;			/* of its size */
	bool		is_shrunk;		/* the list is not believed yet */
	int64		asked_at;		/* when the list was asked for, monotonic us; 0: there is none */
	int64		changed_at;		/* when we last changed who is in it, likewise */
	int			added;			/* people we have sent since */
	MemoryContext memory;		/* of the texts below */
	const char *subject;		/* NULL: not known */
	bool		has_info;
	bool		only_admins_add;	/* the group says so */
	bool		asks_approval;	/* likewise */
	int			stated;			/* its size as it states it, less whom we took out since; -1: not known */
	int64		info_at;		/* when it was asked that, monotonic ms */
	const char *link;			/* NULL: not known */
	bool		link_failed;	/* it was asked for, and ... */
	WawpOutcome link_outcome;	/* ... that is why there is none */
	int			asking;			/* RosterQuestion bits under way */
	int			failures;		/* lists in a row that could not be read */
	int64		failed_at;		/* monotonic ms */
	int64		listed_at;		/* when the last list was asked for, likewise */
} Roster;

/* What was learnt of one person and is to be written down. */
typedef struct RosterFact
{
	RosterQuestion question;
	char		person[JID_SIZE];
	char		answer[JID_SIZE];	/* their LID, or the JID WhatsApp knows them by; "": none */
	char		lid[JID_SIZE];	/* "": none */
	bool		is_known;		/* the API did answer */
} RosterFact;

/* A question that met a limit, or an outage, which holds the instance. */
typedef struct RosterTrouble
{
	LaneKey		lane;
	WawpOutcome outcome;
	bool		is_outage;
	int			retry_after;	/* seconds, or -1 */
} RosterTrouble;

extern void roster_init(void);
extern Roster *roster_of(const LaneKey *key);
extern Roster *roster_find(const LaneKey *key);
extern bool roster_is_newer(const Roster *roster, TimestampTz than);
extern OwnRole roster_own_role(const Roster *roster, bool *ask_self);
extern MembersKnown roster_known(const Roster *roster, int capacity);
extern bool roster_wants_info(const Roster *roster);
extern bool roster_wants_list(const Roster *roster);
extern void roster_note_removals(const LaneKey *key, int n);
extern int64 roster_missed_since(const Roster *roster, int64 contact, TimestampTz seen_at);
extern void roster_forget_list(const LaneKey *key);
extern void roster_forget_link(const LaneKey *key);
extern bool roster_was_asked(RosterQuestion question, const char *person);
extern void roster_ask(MemoryContext memory, const LaneKey *key, WawpInstance *instance,
					   RosterQuestion question, const char *person);
extern void roster_send(void);
extern bool roster_has_answers(void);
extern void roster_take_answers(void);
extern List *roster_facts(void);
extern int	roster_count_outages(const LaneKey *lane, bool is_outage);
extern List *roster_troubles(void);
extern void roster_forget_facts(void);
extern int	roster_in_flight(void);
extern void roster_prune(void);

#endif							/* WAWP_ROSTER_H */
