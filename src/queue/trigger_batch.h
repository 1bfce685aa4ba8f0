/*-------------------------------------------------------------------------
 *
 * trigger_batch.h
 *	  Rows of one statement for which a membership trigger fired.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_batch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_BATCH_H
#define WAWP_TRIGGER_BATCH_H

#include "commands/trigger.h"

/* A row as the trigger got it. */
typedef struct TriggeredRow
{
	TriggerEvent event;
	HeapTuple	row;			/* the old one of an UPDATE */
	HeapTuple	new_row;		/* of an UPDATE, else NULL */
} TriggeredRow;

/* Rows of a table, in the order in which the trigger fired for them. */
typedef struct TriggeredRows
{
	const Trigger *trigger;
	Relation	table;
	int			n;
	TriggeredRow *rows;
} TriggeredRows;

typedef void (*TriggerBatchWork) (const TriggeredRows *rows);

extern void trigger_batch_init(void);
extern void trigger_batch_add(FunctionCallInfo fcinfo, TriggerBatchWork work);

#endif							/* WAWP_TRIGGER_BATCH_H */
