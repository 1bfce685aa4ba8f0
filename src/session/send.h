/*-------------------------------------------------------------------------
 *
 * send.h
 *	  A call made in the session: holds, pace, record, request.
 *
 * IDENTIFICATION
 *	  src/session/send.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SEND_H
#define WAWP_SEND_H

#include "client/call.h"
#include "nodes/pg_list.h"
#include "tables/hold.h"

/* Details of people who were not sent begin so. */
#define SESSION_NOT_SENT "not sent: "

/* Judges an answer for the record; may set *group to the group that the answer names. */
typedef WawpOutcome (*SessionJudge) (const HttpResult *result, const char **group);

/* A request that is recorded but is no change of membership. */
typedef struct SessionRequest
{
	CallRequest call;
	const char *action;			/* label of wawp.action, or NULL */
	const char *group;			/* for the record */
	const char *const *people;	/* JIDs, for the record */
	int			npeople;
	bool		spends_pace;	/* one add for each of them */
	SessionJudge judge;
} SessionRequest;

/* The contents of the tables that decide about a call. */
typedef struct SessionPolicy
{
	List	   *holds;			/* of the instance and the group */
	TimestampTz own_until;		/* the end of the hold of the caller's own token; 0: there is none */
	double		adds_per_minute;	/* the group's own pace, as BudgetGroup has it */
	int			capacity;		/* of the group; 0: not read */
	int64		contact_within_us;	/* as GroupSettings has it */
	bool		managed;		/* likewise */
} SessionPolicy;

/* A reason that keeps a caller from changing a group for now. */
typedef struct SessionHeld
{
	const char *why;			/* NULL: nothing does */
	TimestampTz until;			/* 0: without an end */
} SessionHeld;

extern bool session_read_policy(const WawpInstance *instance, const char *group, CallPerson **people, int *npeople,
								SessionPolicy *policy);
pg_noreturn extern void session_refuse_unread(void);
extern bool session_is_past_first_request(void);
extern SessionHeld session_held(const SessionPolicy *policy, const WawpInstance *instance, const char *group);
extern TimestampTz session_wall_time(int64 monotonic_us);
extern int	session_membership(const WawpInstance *instance, WawpOperation operation,
							   const char *group, const char *reason,
							   CallPerson **people, int npeople);
extern void session_note_verified(const WawpInstance *instance, const char *group, const char *reason,
								  CallPerson **people, int npeople);
extern const HttpResult *session_send(const WawpInstance *instance, const SessionRequest *request);
extern WawpOutcome session_judge_sent(const HttpResult *result, const char **group);

#endif							/* WAWP_SEND_H */
