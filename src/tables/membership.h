/*-------------------------------------------------------------------------
 *
 * membership.h
 *	  People in groups, as far as they are remembered.
 *
 * IDENTIFICATION
 *	  src/tables/membership.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MEMBERSHIP_H
#define WAWP_MEMBERSHIP_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "tables/intent.h"

/* A person in a group; 0: never. */
typedef struct Membership
{
	bool		added_by_us;
	TimestampTz added_at;
	TimestampTz seen_at;
	TimestampTz invited_at;
	TimestampTz left_at;
} Membership;

/* The evidence that a person is in a group. */
typedef struct MembershipAddition
{
	bool		by_us;			/* we added them */
	TimestampTz seen_at;		/* when they were in it, by a list, an event or their own answer; 0: only by success of
								 * the whole request */
	bool		may_be_welcomed;	/* a server that was replaced may have welcomed them */
} MembershipAddition;

/* A person in a group by the names that are known. */
typedef struct MembershipPerson
{
	const char *jid;
	const char *lid;			/* of a number; NULL: not known */
} MembershipPerson;

/* A membership whose time is over. */
typedef struct MembershipEnd
{
	LaneKey		lane;
	int64		contact;
	const char *jid;
	Oid			requester;
	const char *requested_by;
	const char *reason;
	const char *instance_id;	/* the account that serves it; NULL: not noted */
} MembershipEnd;

/* A welcome message of a group, for people who joined. */
typedef struct MembershipWelcome
{
	Oid			requester;
	const char *requested_by;
	const char *text;
	const char *names;
} MembershipWelcome;

extern bool membership_get(const LaneKey *lane, int64 contact, Membership *out);
extern List *membership_added(const LaneKey *lane);
extern void membership_note_added(const Intent *intent, int64 contact, const MembershipAddition *addition);
extern void membership_gather(void);
extern void membership_end_gathering(void);
extern void membership_forget_gathered(void);
extern void membership_note_removed(const LaneKey *lane, int64 contact);
extern void membership_note_gone(const LaneKey *lane, int64 contact);
extern void membership_note_joined_at(const LaneKey *lane, int64 contact, TimestampTz at);
extern void membership_note_gone_at(const LaneKey *lane, int64 contact, TimestampTz at);
extern void membership_note_invited(const LaneKey *lane, int64 contact);
extern void membership_note_not_invited(const LaneKey *lane, int64 contact);
extern void membership_rename_instance(const char *from, const char *to);
extern void membership_forgive(const char *jid, const char *group);
extern List *membership_take_ended(int limit);
extern void membership_put_off_end(const MembershipEnd *end, TimestampTz until);
extern void membership_end_at(const Intent *intent, int64 contact);
extern TimestampTz membership_next_end(void);
extern bool membership_is_open(const LaneKey *lane, const char *jid);
extern TimestampTz membership_next_welcome(TimestampTz after);
extern List *membership_due_welcomes(int limit);
extern bool membership_take_unwelcomed(const LaneKey *lane, TimestampTz at, MembershipWelcome *welcome);
extern void membership_give_welcome_back(const LaneKey *lane, TimestampTz at);

extern void membership_notify_settled(int64 id, const char *state, const char *outcome);

#endif							/* WAWP_MEMBERSHIP_H */
