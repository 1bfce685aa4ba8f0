/*-------------------------------------------------------------------------
 *
 * foreign_scan.c
 *	  Scanning a foreign table, and what EXPLAIN shows of it.
 *
 * The table is read with the rights and the token of the role that the executor
 * checks the table's privileges for: the caller, or a view's owner.  Groups are
 * read one by one as the plan above asks for rows, so that a LIMIT reads no more
 * than it needs, but all that it can name by itself before the first row where
 * the statement changes something: no row of the queue is locked while the API is
 * waited for then.  A join that tells the groups one by one reads them one by one.
 *
 * One group that is named is read at once, as by wawp_participants(); all others
 * wait for their turn in reads_per_minute.  EXPLAIN makes no request.
 *
 * Memory: that of the executor's state.  No locks.  What fails is an error.
 *
 * IDENTIFICATION
 *	  src/session/foreign_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "protocol/endpoint.h"
#include "protocol/jid.h"
#include "session/api.h"
#include "session/foreign_plan.h"
#include "session/foreign_read.h"
#include "session/foreign_scan.h"
#include "session/foreign_table.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"

#include WAWP_EXPLAIN_FORMAT_HEADER

/* A scan that takes longer than that (s) says so when it begins. */
#define SCAN_LONG_S 10

/* A scan; node->fdw_state. */
typedef struct TableScan
{
	WawpTable  *table;
	ReadAs		as;
	ReadStatement *statement;
	List	   *values;			/* of ExprState: the groups */
	bool		by_group;		/* only those are read */
	bool		is_eager;
	bool		has_warned;		/* of a value that is no group */
	bool		has_announced;	/* that it takes long */
	bool		is_begun;		/* the groups are known */
	MemoryContext memory;		/* of the groups, until the scan begins again */
	List	   *groups;			/* JIDs */
	int			next_group;
	const ReadRows *rows;		/* that are returned now; NULL: none yet */
	int			next_row;
} TableScan;

/* Begin a scan: check permissions, find the token. */
void
foreign_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	TableScan  *scan = palloc0(sizeof(TableScan));

	scan->table = foreign_table_read(node->ss.ss_currentRelation);
	scan->by_group = list_nth_int(plan->fdw_private, FOREIGN_BY_GROUP);
	scan->is_eager = list_nth_int(plan->fdw_private, FOREIGN_EAGER);
	node->fdw_state = scan;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	api_require_situation(psprintf("foreign table \"%s\"", scan->table->name), "read");
	scan->as.roleid = wawp_scan_role(plan, node->ss.ps.state);
	if (!OidIsValid(scan->as.roleid))
		scan->as.roleid = GetUserId();
	scan->as.instance = instance_resolve(scan->table->instance, scan->as.roleid);
	scan->statement = foreign_read_statement(node->ss.ps.state);
	scan->values = ExecInitExprList(plan->fdw_exprs, &node->ss.ps);
	scan->memory = AllocSetContextCreate(CurrentMemoryContext, "wawp foreign scan", ALLOCSET_SMALL_SIZES);
}

/*
 * ---- the groups of a scan
 */

/* Add a group, unless it is there already. */
static void
foreign_scan_add_group(TableScan *scan, const char *jid)
{
	ListCell   *lc;

	foreach(lc, scan->groups)
		if (strcmp(lfirst(lc), jid) == 0)
			return;
	scan->groups = lappend(scan->groups, pstrdup(jid));
}

/* Add a group by a value of group_jid.  No row has one that is no group's JID in normal form. */
static void
foreign_scan_add_value(TableScan *scan, const char *value)
{
	Jid			jid = jid_parse(value, strlen(value));

	if (jid.kind == JID_GROUP && strcmp(jid.text, value) == 0)
	{
		if (scan->table->group == NULL || strcmp(scan->table->group, value) == 0)
			foreign_scan_add_group(scan, value);
		return;
	}
	if (!scan->has_warned)
		ereport(WARNING,
				(errmsg("\"%s\" is not a group JID in its usual form, so that no row has it", value),
				 errhint("A group JID is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"; wawp_jid() makes the usual form of others.")));
	scan->has_warned = true;
}

/* Add the groups of an array of texts, or of what is stored like them: of a varchar[] the type is only relabelled. */
static void
foreign_scan_add_array(TableScan *scan, Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			foreign_scan_add_value(scan, TextDatumGetCString(elements[i]));
}

/* Add the groups that the conditions name. */
static void
foreign_scan_add_named(TableScan *scan, ExprContext *econtext)
{
	ListCell   *lc;

	foreach(lc, scan->values)
	{
		ExprState  *value = lfirst(lc);
		bool		isnull;
		Datum		datum = ExecEvalExpr(value, econtext, &isnull);

		if (isnull)
			continue;
		if (exprType((Node *) value->expr) == TEXTOID)
			foreign_scan_add_value(scan, TextDatumGetCString(datum));
		else
			foreign_scan_add_array(scan, datum);
	}
}

/* Add all groups of the account. */
static void
foreign_scan_add_all(TableScan *scan)
{
	const ReadRows *rows = foreign_read_groups(scan->statement, &scan->as);

	for (int i = 0; i < rows->n; i++)
	{
		const WawpRow *row = &rows->rows[i];
		char	   *jid = row->nulls[COLUMN_GROUP_JID] ? NULL : TextDatumGetCString(row->values[COLUMN_GROUP_JID]);

		if (jid && jid_parse(jid, strlen(jid)).kind == JID_GROUP)
			foreign_scan_add_group(scan, jid);
	}
}

/* Say once that a scan takes long, and why: when it begins again, much of it has been read. */
static void
foreign_scan_announce(TableScan *scan)
{
	double		pace = scan->as.instance->reads_per_minute;
	int			n = list_length(scan->groups);

	if (scan->has_announced || pace <= 0 || n * 60 / pace <= SCAN_LONG_S)
		return;
	scan->has_announced = true;
	ereport(NOTICE,
			(errmsg("reading the members of %d groups takes about %.0f s", n, n * 60 / pace),
			 errdetail("The instance's reads_per_minute is %g.", pace),
			 errhint("Name the groups that you mean by WHERE group_jid = ... or a join.")));
}

/* Find out which groups are to be read. */
static void
foreign_scan_find_groups(TableScan *scan, ExprContext *econtext)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->memory);

	if (scan->by_group)
		foreign_scan_add_named(scan, econtext);
	else if (scan->table->group)
		foreign_scan_add_group(scan, scan->table->group);
	else
		foreign_scan_add_all(scan);
	foreign_scan_announce(scan);
	MemoryContextSwitchTo(caller);
}

/*
 * ---- rows
 */

/* Read a group of the scan, unless the statement has read it. */
static const ReadRows *
foreign_scan_read_group(TableScan *scan, const char *group)
{
	bool		is_only = scan->by_group || scan->table->group != NULL;

	return foreign_read_members(scan->statement, &scan->as, group, !is_only || !foreign_read_is_first(scan->statement));
}

/* Begin to return rows. */
static void
foreign_scan_start(TableScan *scan, ExprContext *econtext)
{
	ListCell   *lc;

	scan->is_begun = true;
	if (scan->table->object == TABLE_OF_GROUPS)
	{
		scan->rows = foreign_read_groups(scan->statement, &scan->as);
		return;
	}
	foreign_scan_find_groups(scan, econtext);
	if (scan->is_eager)
		foreach(lc, scan->groups)
			(void) foreign_scan_read_group(scan, lfirst(lc));
}

/* Move on to a row that has not been returned; false if there is none. */
static bool
foreign_scan_advance(TableScan *scan)
{
	while (scan->rows == NULL || scan->next_row >= scan->rows->n)
	{
		if (scan->next_group >= list_length(scan->groups))
			return false;
		CHECK_FOR_INTERRUPTS();
		scan->rows = foreign_scan_read_group(scan, list_nth(scan->groups, scan->next_group++));
		scan->next_row = 0;
	}
	return true;
}

/* Return the next row. */
TupleTableSlot *
foreign_scan_next(ForeignScanState *node)
{
	TableScan  *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!scan->is_begun)
		foreign_scan_start(scan, node->ss.ps.ps_ExprContext);
	if (!foreign_scan_advance(scan))
		return ExecClearTuple(slot);
	foreign_table_store(scan->table, &scan->rows->rows[scan->next_row], slot);
	foreign_read_set_tid(scan->rows, scan->next_row++, &slot->tts_tid);
	return slot;
}

/* Begin again, maybe with other values: what the statement has read stays. */
void
foreign_scan_again(ForeignScanState *node)
{
	TableScan  *scan = node->fdw_state;

	scan->is_begun = false;
	scan->groups = NIL;
	scan->next_group = 0;
	scan->rows = NULL;
	scan->next_row = 0;
	MemoryContextReset(scan->memory);
}

/* All that a scan has goes with the executor's state. */
void
foreign_scan_end(ForeignScanState *node pg_attribute_unused())
{
}

/*
 * ---- EXPLAIN
 */

/* Return the group that a plan names before it runs; NULL: none, or not one. */
static const char *
foreign_scan_known_group(const WawpTable *table, const ForeignScan *plan)
{
	Const	   *value = list_length(plan->fdw_exprs) == 1 ? linitial(plan->fdw_exprs) : NULL;

	if (table->group)
		return table->group;
	if (value == NULL || !IsA(value, Const) || value->consttype != TEXTOID || value->constisnull)
		return NULL;
	return TextDatumGetCString(value->constvalue);
}

/* Return the method and path of a request. */
static char *
foreign_scan_request(EndpointId id, const char *group)
{
	const Endpoint *endpoint = endpoint_get(id);
	const char *gap = strchr(endpoint->path, '%');

	if (gap == NULL)
		return psprintf("GET %s", endpoint->path);
	return psprintf("GET %.*s%s%s", (int) (gap - endpoint->path), endpoint->path, group ? group : "{group_jid}", gap + 1);
}

/* Show the requests of a scan. */
void
foreign_scan_explain(ForeignScanState *node, struct ExplainState *es)
{
	const TableScan *scan = node->fdw_state;
	const ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	bool		is_all = scan->table->object == TABLE_OF_MEMBERS && scan->table->group == NULL && !scan->by_group;
	const char *group = foreign_scan_known_group(scan->table, plan);
	List	   *requests = NIL;

	if (scan->table->object == TABLE_OF_GROUPS || is_all)
		requests = lappend(requests, foreign_scan_request(ENDPOINT_GROUPS, NULL));
	if (scan->table->object == TABLE_OF_MEMBERS)
		requests = lappend(requests, foreign_scan_request(ENDPOINT_PARTICIPANTS, group));
	if (scan->table->object == TABLE_OF_MEMBERS && !is_all)
		requests = lappend(requests, foreign_scan_request(ENDPOINT_GROUP_INFO, group));
	ExplainPropertyList("Requests", requests, es);
	ExplainPropertyText("Instance", scan->table->instance, es);
	if (is_all)
		ExplainPropertyText("Groups", "all of the account, in the pace of reads_per_minute", es);
}
