/*-------------------------------------------------------------------------
 *
 * trigger_batch.c
 *	  Rows of one statement for which a membership trigger fired.
 *
 * One search and one INSERT for many rows cost a fraction of what they cost row
 * by row.  So the rows of a statement are kept and worked on together, when all
 * its AFTER triggers have fired: before the statement ends, so that the next one
 * sees the result, and an error is the statement's.  At most ROWS_AT_ONCE rows or
 * BYTES_AT_ONCE are kept, of one trigger and table; then they are worked on.
 *
 * The end is known by a hook around ExecutorFinish(), which fires the triggers.
 * A trigger that is fired by something else (COMMIT or SET CONSTRAINTS, COPY,
 * logical replication) has a memory context other than the query's, and its row
 * is worked on at once; so is every row where the library is not preloaded.
 *
 * Memory: a context below the query's.  Batches are on the stack of the hook,
 * which takes them away after an error.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_batch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "queue/trigger_batch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"

#define FEW_ROWS 16
#define ROWS_AT_ONCE 1000
#define BYTES_AT_ONCE (4 * 1024 * 1024)

/* The rows of a query whose triggers are being fired. */
typedef struct TriggerBatch
{
	struct TriggerBatch *outer; /* of the query whose trigger executes this one */
	MemoryContext query;		/* of that query */
	MemoryContext memory;		/* of the rows; NULL: there are none */
	int			space;			/* for so many rows */
	TriggeredRows rows;
	TriggerBatchWork work;
} TriggerBatch;

static TriggerBatch *innermost_batch = NULL;
static ExecutorFinish_hook_type batch_previous_hook = NULL;

/* Work on the rows that were kept. */
static void
batch_perform(TriggerBatch *batch)
{
	MemoryContext memory = batch->memory;
	TriggeredRows rows = batch->rows;
	MemoryContext caller;

	if (memory == NULL)
		return;
	batch->memory = NULL;
	caller = MemoryContextSwitchTo(memory);
	batch->work(&rows);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

/* Begin with a row of that trigger. */
static void
batch_begin(TriggerBatch *batch, const TriggerData *trigger, TriggerBatchWork work)
{
	batch->memory = AllocSetContextCreate(batch->query, "wawp triggered rows", ALLOCSET_DEFAULT_SIZES);
	batch->space = FEW_ROWS;
	batch->work = work;
	batch->rows = (TriggeredRows)
	{
		.trigger = trigger->tg_trigger,
		.table = trigger->tg_relation,
		.rows = MemoryContextAlloc(batch->memory, sizeof(TriggeredRow) * FEW_ROWS)
	};
}

/* Keep a row. */
static void
batch_keep(TriggerBatch *batch, const TriggerData *trigger)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->memory);
	TriggeredRow *row;

	if (batch->rows.n == batch->space)
	{
		batch->space *= 2;
		batch->rows.rows = repalloc(batch->rows.rows, sizeof(TriggeredRow) * batch->space);
	}
	row = &batch->rows.rows[batch->rows.n++];
	row->event = trigger->tg_event;
	row->row = heap_copytuple(trigger->tg_trigtuple);
	row->new_row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? heap_copytuple(trigger->tg_newtuple) : NULL;
	MemoryContextSwitchTo(caller);
}

static void
perform_at_once(const TriggerData *trigger, TriggerBatchWork work)
{
	TriggeredRow row = {
		.event = trigger->tg_event,
		.row = trigger->tg_trigtuple,
		.new_row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : NULL
	};
	const TriggeredRows rows = {.trigger = trigger->tg_trigger, .table = trigger->tg_relation, .n = 1, .rows = &row};

	work(&rows);
}

/* Work on the row for which a trigger fires: with others of its statement, or at once. */
void
trigger_batch_add(FunctionCallInfo fcinfo, TriggerBatchWork work)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	TriggerBatch *batch = innermost_batch;

	if (batch == NULL || fcinfo->flinfo->fn_mcxt != batch->query)
	{
		perform_at_once(trigger, work);
		return;
	}
	if (batch->memory && (batch->rows.trigger != trigger->tg_trigger || batch->rows.table != trigger->tg_relation ||
						  batch->rows.n == ROWS_AT_ONCE ||
						  MemoryContextMemAllocated(batch->memory, true) >= BYTES_AT_ONCE))
		batch_perform(batch);
	if (batch->memory == NULL)
		batch_begin(batch, trigger, work);
	batch_keep(batch, trigger);
}

static void
executor_finish(QueryDesc *query)
{
	if (batch_previous_hook)
		batch_previous_hook(query);
	else
		standard_ExecutorFinish(query);
}

/* Fire the query's triggers, and work on the rows that they kept. */
static void
batch_executor_finish(QueryDesc *query)
{
	TriggerBatch batch = {.outer = innermost_batch, .query = query->estate->es_query_cxt};

	if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE)
	{
		executor_finish(query);
		return;
	}
	innermost_batch = &batch;
	PG_TRY();
	{
		executor_finish(query);
		batch_perform(&batch);
	}
	PG_FINALLY();
	{
		innermost_batch = batch.outer;
	}
	PG_END_TRY();
}

/* Install the hook; while preloading only. */
void
trigger_batch_init(void)
{
	batch_previous_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = batch_executor_finish;
}
