/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  One request to the API and the intents it is made for.
 *
 * IDENTIFICATION
 *	  src/worker/attempt.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ATTEMPT_H
#define WAWP_ATTEMPT_H

#include "client/call.h"
#include "tables/audit.h"
#include "tables/intent.h"
#include "throttle/budget.h"
#include "worker/lanes.h"

typedef enum AttemptKind
{
	ATTEMPT_CHANGE,				/* of a group's members, for one or more intents */
	ATTEMPT_INVITATION,			/* a message to the person of one intent */
	ATTEMPT_WELCOME				/* a message to a group, without intents */
} AttemptKind;

typedef enum AttemptStage
{
	ATTEMPT_PREPARED,			/* claimed by the transaction under way */
	ATTEMPT_CLAIMED,			/* that has committed; not sent yet */
	ATTEMPT_SENT,
	ATTEMPT_ENDED,				/* an answer has arrived; only the list tells */
	ATTEMPT_JUDGED				/* outcomes are known, rows have to be settled */
} AttemptStage;

typedef struct Attempt
{
	dlist_node	node;			/* in the list of its stage */
	AttemptKind kind;
	AttemptStage stage;
	MemoryContext memory;
	Lane	   *lane;
	WawpInstance *instance;
	WawpOperation operation;
	BudgetPermit permit;
	bool		is_paced;
	bool		is_over;		/* the request ended; its slots are free */
	char		request_id[40];
	int64		sent_ms;		/* monotonic ms */
	int			duration_ms;
	int			http_status;
	int			retry_after;
	int			outages;		/* answers in a row that did not come from the API, with this one */
	const char *text;			/* of a message, in UTF-8; NULL for a change */
	TimestampTz welcomed_at;	/* of a welcome: marks the people it is for */
	HttpTransfer *transfer;
	bool		is_named;		/* its instance's name is kept until the end of the transaction under way */
	bool		is_outdated;	/* somebody was erased since its intents were read, whom their texts may name */
	bool		is_put_off;		/* it is not settled by the transaction under way: a session is changing a hold */
	bool		is_recorded;	/* "answered" records are committed */
	bool		is_recording;	/* ... are in the transaction under way */
	int			n;				/* of the intents; a welcome has none, but intents[0] tells as whom */
	Intent	   *intents;
	CallPerson *people;
	CallPerson **sent;			/* &people[i] */
	bool	   *is_settled;		/* committed */
	bool	   *is_settling;	/* in the transaction under way */
	bool	   *is_ahead;		/* the row has its final state, in the transaction under way, and nothing else was done */
} Attempt;

/* A position in the list of attempts. */
typedef dlist_node *AttemptMark;

extern Attempt *attempt_make(AttemptKind kind, Lane *lane, int limit);
extern char *attempt_keep_text(Attempt *attempt, const char *text);
extern void attempt_keep_intents(Attempt *attempt);
extern void attempt_name_people(Attempt *attempt);
extern ErrorData *attempt_read_instance(const LaneKey *lane, const Intent *intent, WawpInstance **instance);
extern ErrorData *attempt_prepare(Attempt *attempt);
extern AuditRecord attempt_record(const Attempt *attempt, int i, const char *kind);
extern void attempt_launch(Attempt *attempt);
extern AttemptMark attempt_mark(void);
extern void attempt_drop_prepared_after(AttemptMark mark);
extern void attempt_committed(void);
extern void attempt_aborted(void);
extern void attempt_send_claimed(void);
extern bool attempt_has_answers(void);
extern void attempt_judge_answers(void);
extern Attempt *attempt_next_judged(Attempt *after);
extern bool attempt_follow_instance(Attempt *attempt);
extern bool attempt_provably_not_sent(const Attempt *attempt);
extern void attempt_forget_people(void);
extern const char *attempt_intent_ids(void);

#endif							/* WAWP_ATTEMPT_H */
