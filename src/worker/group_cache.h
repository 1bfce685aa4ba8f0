/*-------------------------------------------------------------------------
 *
 * group_cache.h
 *	  Cache of what the API has told about groups and people, and the requests that fill it.
 *
 * IDENTIFICATION
 *	  src/worker/group_cache.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GROUP_CACHE_H
#define WAWP_GROUP_CACHE_H

#include "client/instance.h"
#include "lib/ilist.h"
#include "protocol/member_list.h"
#include "protocol/outcome.h"
#include "tables/contact.h"
#include "tables/hold.h"
#include "utils/timestamp.h"
#include "worker/lanes.h"

/* looked_us of a group whose rows are all looked at with the list there is. */
#define LOOK_AGAIN (-1)

/* So many answers in a row that come from a gateway, not from the API, are an outage. */
#define GROUP_CACHE_OUTAGES 3

/* Kinds of requests for information; bits, so that several can be under way. */
typedef enum GroupQuestion
{
	ASK_LIST = 1 << 0,			/* the members of a group */
	ASK_SELF = 1 << 1,			/* our own identity */
	ASK_INFO = 1 << 2,			/* the group's subject, and who may add */
	ASK_LINK = 1 << 3,			/* its invite link */
	ASK_LID = 1 << 4,			/* a person's LID */
	ASK_EXISTS = 1 << 5,		/* whether a number is on WhatsApp */
	ASK_JOINS = 1 << 6			/* who asks to join the group */
} GroupQuestion;

/* Information that is missing and can be requested. */
typedef struct InfoNeed
{
	GroupQuestion question;		/* 0: nothing */
	const char *person;			/* NULL: it is about the group, or us */
} InfoNeed;

/* Our own role in a group. */
typedef enum OwnRole
{
	OWN_UNKNOWN,				/* our entry is not found */
	OWN_UNTOLD,					/* it says nothing of our role */
	OWN_MEMBER,
	OWN_ADMIN
} OwnRole;

/* A group as this process knows it from the API. */
typedef struct CachedGroup
{
	LaneKey		key;			/* hash key, must be first */
	dlist_node	list_node;		/* among those that have one, the oldest first */
	WireMembers list;			/* members are NULL: there is none */
	WireListText text;			/* of the list, by which the next is read; begin is 0: it is not kept */
	bool		was_used;		/* read since it arrived */
	MembersPast past;			/* sizes of the lists before */
	bool		is_shrunk;		/* the list is not believed yet */
	int64		requested_us;	/* when the list was requested, monotonic; 0: there is none */
	int64		looked_us;		/* likewise, of the list that all who wait were looked for in */
	TimestampTz due_looked_at;	/* those due by then need not be looked at again ... */
	int64		due_again_ms;	/* ... before that, unless an answer comes; monotonic */
	int64		idle_until_ms;	/* before that those that become due need a list that may not be requested yet;
								 * monotonic */
	int64		doubted_us;		/* when a list was last asked for because a full group may have room again; 0: never */
	int64		changed_us;		/* when we last changed who is in it, likewise */
	int			added;			/* people added since */
	MemoryContext memory;		/* of what few groups have; NULL: nothing yet */
	const char *subject;		/* NULL: not known */
	bool		has_info;
	bool		only_admins_add;	/* the group says so */
	bool		asks_approval;	/* likewise */
	int			stated;			/* its size by its description, less our removals since; -1: not known */
	int			info_failures;	/* descriptions in a row that could not be read, but may be */
	int64		info_ms;		/* when its description arrived, monotonic */
	const char *link;			/* NULL: not known */
	bool		has_no_link;	/* it was requested, and ... */
	WawpOutcome link_outcome;	/* ... that is why there is none */
	WireJoinRequests joins;		/* the last list of requests to join ... */
	bool		has_joins;		/* ... if it was understood */
	int64		joins_us;		/* when it was requested, monotonic; 0: never */
	int			asking;			/* GroupQuestion bits under way */
	int			asking_people;	/* questions about people under way ... */
	int			asking_next;	/* ... and those of them about people to be added next */
	int			verifying;		/* questions under way for verifications */
	int			failures;		/* lists in a row that could not be read */
	int64		failed_ms;		/* when the last of them failed, monotonic */
	int64		listed_ms;		/* when the last list was requested, likewise */
} CachedGroup;

extern void group_cache_init(void);
extern CachedGroup *group_cache_get(const LaneKey *key);
extern CachedGroup *group_cache_find(const LaneKey *key);
extern TimestampTz group_cache_list_at(const CachedGroup *cached);
extern bool group_cache_has_list_since(const CachedGroup *cached, TimestampTz than);
extern bool group_cache_has_info_since(const CachedGroup *cached, TimestampTz than);
extern TimestampTz group_cache_limited_until(const LaneKey *lane, const char **reason, InfoNeed *need);
extern void group_cache_forget_limits(const LaneKey *lane);
extern const AccountLimits *group_cache_note_limits(const LaneKey *lane, const char *account, const AccountLimits *limits,
													TimestampTz told_at);
extern void group_cache_own_ids(const LaneKey *lane, Jid *me, Jid *me_lid);
extern OwnRole group_cache_own_role(const CachedGroup *cached, bool *ask_self);
extern int64 group_cache_read_backoff_ms(const CachedGroup *cached);
extern bool group_cache_is_unreadable(const CachedGroup *cached);
extern bool group_cache_failed_since(const CachedGroup *cached, TimestampTz at);
extern Jid	group_cache_lid_of(const Contact *contact);
extern void group_cache_want_lid(const Jid *person, InfoNeed *need);
extern void group_cache_learn_lid(const CachedGroup *cached, const Jid *person, Contact *contact);
extern MembersKnown group_cache_known(const CachedGroup *cached, int capacity);
extern bool group_cache_wants_info(const CachedGroup *cached);
extern bool group_cache_wants_list(const CachedGroup *cached);
extern bool group_cache_wants_size(const CachedGroup *cached);
extern void group_cache_note_added(const LaneKey *key, int n);
extern void group_cache_note_removals(const LaneKey *key, int n);
extern bool group_cache_may_ask_joins(const CachedGroup *cached, const WawpInstance *instance, TimestampTz since);
extern Presence group_cache_asks_to_join(const CachedGroup *cached, const Jid *person, const Contact *contact, InfoNeed *need);
extern int64 group_cache_absent_since(const CachedGroup *cached, int64 contact, TimestampTz seen_at);
extern void group_cache_forget_list(const LaneKey *key);
extern void group_cache_forget_link(const LaneKey *key);
extern void group_cache_forget_looks(void);
extern void group_cache_forget_info(const LaneKey *key);
extern bool group_cache_wants_self(const LaneKey *lane);
extern bool group_cache_await(const CachedGroup *cached, const InfoNeed *need, bool is_verification);
extern bool group_cache_awaits_answer(const CachedGroup *cached);
extern bool group_cache_is_verifying(const CachedGroup *cached);
extern bool group_cache_is_asking_about(GroupQuestion question, const char *person);
extern bool group_cache_was_asked(GroupQuestion question, const char *person);
extern void group_cache_note_able(const LaneKey *lane, Oid role);
extern bool group_cache_is_unable(const LaneKey *lane, Oid role);
extern bool group_cache_ask(const LaneKey *lane, Oid role, const InfoNeed *need, bool is_verification,
							const WawpInstance *described, int64 *later);
extern void group_cache_send(void);
extern bool group_cache_has_answers(void);
extern void group_cache_take_answers(void);
extern int	group_cache_count_outages(const LaneKey *lane, bool is_outage);
extern bool group_cache_has_findings(void);
extern List *group_cache_facts(void);
extern void group_cache_write_fact(void *fact, Holds *holds);
extern List *group_cache_troubles(void);
extern void group_cache_hold_troubled(void *trouble, Holds *holds);
extern void group_cache_forget_findings(void);
extern int	group_cache_in_flight(void);
extern void group_cache_forget_people(void);
extern void group_cache_prune(void);
extern void group_cache_forget_other_accounts(void);

#endif							/* WAWP_GROUP_CACHE_H */
