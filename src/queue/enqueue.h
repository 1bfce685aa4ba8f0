/*-------------------------------------------------------------------------
 *
 * enqueue.h
 *	  The SQL functions and the trigger that fill the queue.
 *
 * IDENTIFICATION
 *	  src/queue/enqueue.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ENQUEUE_H
#define WAWP_ENQUEUE_H

#include "base/shmem.h"
#include "fmgr.h"
#include "tables/intent.h"

/* A request without its person. */
typedef struct MembershipRequest
{
	IntentAction action;
	const char *group;			/* normal form */
	int			priority;
	TimestampTz not_before;		/* times: 0 = none */
	TimestampTz expires_at;
	TimestampTz until;
	bool		verify;
	bool		invite;
	const char *reason;
	const char *context;		/* JSON */
	const char *batch_id;
	int64		after;			/* 0: none */
	const char *origin;
} MembershipRequest;

/* A request for one person, as it is written. */
typedef struct PersonRequest
{
	MembershipRequest request;
	const char *group;
	const char *person;
	const char *problem;		/* why it was refused, static; NULL: it was not */
	bool		was_tried;		/* an error came no earlier than with this one */
} PersonRequest;

extern Jid	enqueue_parse(const char *text);
extern const char *enqueue_group(const char *text);
extern const char *enqueue_arg_person(FunctionCallInfo fcinfo, int n);
extern TimestampTz enqueue_arg_time(FunctionCallInfo fcinfo, int n);
extern IntentRequester enqueue_current_requester(FunctionCallInfo fcinfo);
extern void enqueue_for_role(Oid roleid, const char *instance, PersonRequest **requests, int n);
extern bool enqueue_has_wish(const char *instance, const Jid *group, const Jid *person);
extern bool enqueue_quota_is_noted(Oid roleid, const char *origin);
extern void enqueue_failed(Oid roleid, const char *instance, const PersonRequest *asked, const char *problem);

#endif							/* WAWP_ENQUEUE_H */
