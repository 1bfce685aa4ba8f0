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

/* What is asked for, but for the person. */
typedef struct Wish
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
} Wish;

extern IntentAsker queue_current_asker(FunctionCallInfo fcinfo);
extern void queue_ask(Oid roleid, const char *instance, Wish *wish,
					  const char *group, const char *person);
extern void queue_note_failed(Oid roleid, const char *instance, const Wish *wish,
							  const char *group, const char *person, const char *problem);

#endif							/* WAWP_ENQUEUE_H */
