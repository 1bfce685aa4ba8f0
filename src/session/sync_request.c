/*-------------------------------------------------------------------------
 *
 * sync_request.c
 *	  Requests what the plan of a group says.
 *
 * By wawp_request_add() and wawp_request_remove(), called as SQL functions by
 * the caller's role: permissions, quotas, the record and what becomes of wishes
 * that are queued already are theirs.  Rows are written in the caller's
 * transaction.
 *
 * Memory: results are in the caller's context.  Locks: those of the functions.
 *
 * IDENTIFICATION
 *	  src/session/sync_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "catalog/pg_type.h"
#include "session/sync_request.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"

#define REQUEST_ARGS 5

/* By SyncAction; their texts name the extension's schema, which may be another one the next time. */
static SqlStatement requests[] = {
	[SYNC_ADD] = {NULL, REQUEST_ARGS, {TEXTOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID}, NULL},
	[SYNC_REMOVE] = {NULL, REQUEST_ARGS, {TEXTOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID}, NULL}
};

/* Return the statement that requests an action. */
static SqlStatement *
sync_request_statement(SyncAction action, Oid schema)
{
	SqlStatement *statement = &requests[action];
	char	   *text = psprintf("SELECT r.id, r.created, r.problem, r.batch_id FROM %s.%s($1, $2, $3::name, $4, batch_id => $5) r",
								quote_identifier(get_namespace_name(schema)),
								action == SYNC_ADD ? "wawp_request_add" : "wawp_request_remove");

	if (statement->text && strcmp(statement->text, text) == 0)
		return statement;
	if (statement->plan)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
	statement->text = MemoryContextStrdup(TopMemoryContext, text);
	return statement;
}

/* Request an action for people of a group; returns how many rows the answer has. */
static uint64
sync_request_run(const SyncRequest *request, const char *group, SyncAction action, Datum *people, int n)
{
	SqlArgs		args = {0};

	spi_add_text(&args, group);
	spi_add_array(&args, people, NULL, n, TEXTOID);
	spi_add_text(&args, request->instance);
	spi_add_text(&args, request->reason);
	spi_add_text(&args, request->batch_id);
	return spi_run(sync_request_statement(action, request->schema), &args);
}

/* Request nothing, in some group.  False: no lock is kept. */
static bool
sync_request_nothing(void *subject)
{
	const SyncRequest *request = subject;
	SqlOwner	before = spi_begin_as_caller();

	sync_request_run(request, "1200000000000@g.us", SYNC_ADD, NULL, 0);
	sync_request_run(request, "1200000000000@g.us", SYNC_REMOVE, NULL, 0);
	spi_end_as_caller(&before);
	return false;
}

/* Raise an error where the role could not request anything, before time is spent on plans. */
void
sync_request_check(const SyncRequest *request)
{
	subtransaction_run(sync_request_nothing, unconstify(SyncRequest *, request));
}

/* Take what became of a step from a row of the answer. */
static void
sync_request_note(SyncStep *step, uint64 row, MemoryContext memory)
{
	const char *problem = spi_get_text(row, 3);
	const char *why;

	if (problem)
	{
		step->action = SYNC_NOTHING;
		why = psprintf("not queued: %s", text_from_server(problem));
	}
	else
		why = psprintf("%s; queued%s as intent " INT64_FORMAT " of batch %s", step->why, spi_get_bool(row, 2) ? "" : " already",
					   spi_get_int8(row, 1, 0), text_from_server(spi_get_text(row, 4)));
	step->why = MemoryContextStrdup(memory, why);
}

/* Request all that a plan does with one action. */
static void
sync_request_action(const SyncRequest *request, const char *group, SyncAction action, SyncPlan *plan, MemoryContext memory)
{
	Datum	   *people = palloc(sizeof(Datum) * (plan->n + 1));
	SyncStep  **steps = palloc(sizeof(SyncStep *) * (plan->n + 1));
	int			n = 0;
	uint64		answered;

	for (int i = 0; i < plan->n; i++)
		if (plan->steps[i].action == action)
		{
			people[n] = CStringGetTextDatum(plan->steps[i].jid);
			steps[n++] = &plan->steps[i];
		}
	if (n == 0)
		return;
	answered = sync_request_run(request, group, action, people, n);
	if (answered != (uint64) n)
		elog(ERROR, "%d people were requested, and " UINT64_FORMAT " are answered for", n, answered);
	for (int i = 0; i < n; i++)
		sync_request_note(steps[i], i, memory);
}

/* Request all that the plan of a group says, and note with each step what became of it. */
void
sync_request_steps(const SyncRequest *request, const char *group, SyncPlan *plan)
{
	MemoryContext memory = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_caller();

	sync_request_action(request, group, SYNC_ADD, plan, memory);
	sync_request_action(request, group, SYNC_REMOVE, plan, memory);
	spi_end_as_caller(&before);
}
