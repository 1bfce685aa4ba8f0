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

extern int	session_membership(const WawpInstance *instance, WawpOperation operation,
							   const char *group, const char *reason,
							   CallPerson **people, int npeople);
extern void session_note_verified(const WawpInstance *instance, const char *group, const char *reason,
								  CallPerson **people, int npeople);
extern const HttpResult *session_send(const WawpInstance *instance, const SessionRequest *request);
extern WawpOutcome session_judge_sent(const HttpResult *result, const char **group);

#endif							/* WAWP_SEND_H */
