/*-------------------------------------------------------------------------
 *
 * refusal_run.h
 *	  Refusals of an instance in a row, which say more than each by itself.
 *
 * IDENTIFICATION
 *	  src/worker/refusal_run.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_REFUSAL_RUN_H
#define WAWP_REFUSAL_RUN_H

#include "datatype/timestamp.h"
#include "protocol/jid.h"

/* After so many answers in a row to different people that are alike and not understood the instance is held. */
#define ALIKE_TO_HOLD 3

/* Answers with one code, to different people, without any other answer in between. */
typedef struct AlikeRun
{
	int			code;
	int			n;				/* people */
	TimestampTz first_at;
	TimestampTz last_at;
} AlikeRun;

/* Refusals of an instance, one a request. */
typedef struct RefusalRun
{
	NameData	instance;		/* hash key, must be first */
	char		person[JID_SIZE];	/* the last whose refusal was unexplained */
	int			unexplained;	/* of different people */
	char		alike_person[JID_SIZE];	/* the last whose answer was not understood otherwise */
	AlikeRun	alike;
	AlikeRun	last_alike;		/* the one before, if it held the instance */
} RefusalRun;

extern RefusalRun *refusal_run_of(const NameData *instance);
extern void refusal_run_end_alike(RefusalRun *run);
extern void refusal_run_forget_people(void);
extern void refusal_run_note_alike(RefusalRun *run, const char *person, int code);
extern bool refusal_run_had(const NameData *instance, int code, TimestampTz at);

#endif							/* WAWP_REFUSAL_RUN_H */
