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

typedef enum FlightStage
{
	FLIGHT_PREPARED,			/* claimed by the transaction under way */
	FLIGHT_CLAIMED,				/* that has committed; not sent yet */
	FLIGHT_SENT,
	FLIGHT_JUDGED				/* outcomes known, rows to be settled */
} FlightStage;

typedef struct Flight
{
	dlist_node	node;
	FlightStage stage;
	MemoryContext memory;
	Lane	   *lane;
	WawpInstance *instance;
	WawpOperation operation;
	BudgetPermit permit;
	bool		is_paced;
	bool		is_over;		/* the request ended; its slots are free */
	char		request_id[40];
	int64		sent_at;		/* monotonic ms */
	int			duration_ms;
	int			http_status;
	int			retry_after;
	int			outages;		/* answers in a row that were not the API's, with this one */
	const char *text;			/* of an invitation or a welcome; UTF-8 */
	TimestampTz welcomed_at;	/* a welcome: what marks the people it is for */
	HttpTransfer *transfer;
	bool		recorded;		/* "answered" records are committed */
	bool		recording;		/* ... are in the transaction under way */
	int			n;				/* 0: a welcome; intents[0] says as whom */
	Intent	   *intents;
	CallPerson *people;
	CallPerson **sent;			/* &people[i] */
	bool	   *settled;		/* committed */
	bool	   *settling;		/* in the transaction under way */
} Flight;

/* A place in the order of flights. */
typedef dlist_node *FlightMark;

extern Flight *flight_make(Lane *lane, int limit);
extern char *flight_keep_text(Flight *flight, const char *text);
extern void flight_keep_intents(Flight *flight);
extern void flight_name_people(Flight *flight);
extern ErrorData *flight_prepare(Flight *flight);
extern AuditRecord flight_record(const Flight *flight, int i, const char *kind);
extern void flight_launch(Flight *flight);
extern FlightMark flight_mark(void);
extern void flight_drop_prepared_after(FlightMark mark);
extern void flight_committed(void);
extern void flight_aborted(void);
extern void flight_send(void);
extern bool flight_has_answers(void);
extern void flight_judge(void);
extern Flight *flight_next_judged(Flight *after);
extern bool flight_provably_not_sent(const Flight *flight);
extern const char *flight_ids(void);

#endif							/* WAWP_ATTEMPT_H */
