/*-------------------------------------------------------------------------
 *
 * table_update.c
 *	  Updates rows of one of the extension's tables without a statement.
 *
 * Updates rows by their places (ctid): each is read as the transaction sees it,
 * shown to the caller, changed, and the indexes are told.  A statement would lock
 * it before, to skip rows that somebody else has locked; here an update that would
 * have to wait, or meets a row that was changed meanwhile, leaves the row as it is.
 * Whatever only a statement honours (a trigger that would fire, a rule, row
 * security, stored generated columns, a unique index that is checked later, an
 * exclusion) makes table_takes_update() false, and its caller run a statement.
 *
 * Locks: those of a statement, kept until the transaction ends.  Memory: the
 * current context, given back before the return.  What is updated can be seen by
 * statements that follow.
 *
 * IDENTIFICATION
 *	  src/base/table_update.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/table_column.h"
#include "base/table_update.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

/* The table while rows are updated. */
typedef struct UpdateTarget
{
	const TableUpdate *update;
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *result;
	TupleTableSlot *old_row;
	TupleTableSlot *new_row;
	bool	   *is_unchanged;	/* of each index: no column of it is set */
	BlockNumber nblocks;		/* of the table; it may have been truncated since a place was known */
	Datum		values[SPI_STATEMENT_MAX_ARGS]; /* as the columns have them */
	bool		nulls[SPI_STATEMENT_MAX_ARGS];
	TableUpdateLook look;
	void	   *context;		/* look()'s, which runs in this memory: */
	MemoryContext memory;
} UpdateTarget;

/*
 * ---- what only a statement honours
 */

/* True if an update sets that column. */
static bool
update_sets(const TableUpdate *update, int attribute)
{
	for (int i = 0; i < update->ncolumns; i++)
		if (update->columns[i] == attribute)
			return true;
	return false;
}

/* True if a trigger fires for the update. */
static bool
trigger_fires(const Trigger *trigger, const TableUpdate *update)
{
	char		other_role = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA
		? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA;

	if (!TRIGGER_FOR_UPDATE(trigger->tgtype) || trigger->tgenabled == TRIGGER_DISABLED ||
		trigger->tgenabled == other_role)
		return false;
	for (int i = 0; i < trigger->tgnattr; i++)
		if (update_sets(update, trigger->tgattr[i]))
			return true;
	return trigger->tgnattr == 0;
}

static bool
table_has_update_trigger(Relation relation, const TableUpdate *update)
{
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		if (trigger_fires(&triggers->triggers[i], update))
			return true;
	return false;
}

/* True if the table has the columns that are set, and values of those types go into them. */
static bool
table_has_columns(Relation relation, const TableUpdate *update)
{
	TupleDesc	description = RelationGetDescr(relation);
	ColumnPlace place;

	for (int i = 0; i < update->ncolumns; i++)
	{
		int			column = update->columns[i];

		if (column > description->natts || TupleDescAttr(description, column - 1)->attisdropped ||
			!column_place(TupleDescAttr(description, column - 1), update->types[i], &place))
			return false;
	}
	return true;
}

/* True if an update of the open table does no more than to check constraints and to store the row. */
static bool
relation_takes_update(Relation relation, const TableUpdate *update)
{
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->rd_rel->relkind == RELKIND_RELATION && relation->rd_rules == NULL &&
		!table_has_update_trigger(relation, update) && !(constraints && constraints->has_generated_stored) &&
		table_has_columns(relation, update) && table_lets_write(relation, ACL_SELECT | ACL_UPDATE);
}

/* True if rows of the table may be updated here. */
bool
table_takes_update(const TableUpdate *update)
{
	Oid			relid = spi_find_relation(update->table);
	Relation	relation;
	bool		takes;

	if (!OidIsValid(relid))
		return false;
	relation = table_open(relid, RowExclusiveLock);
	takes = relation_takes_update(relation, update);
	table_close(relation, NoLock);
	return takes;
}

/* True if each index can be told of a row at once. */
static bool
indexes_take_rows(const ResultRelInfo *result)
{
	for (int i = 0; i < result->ri_NumIndices; i++)
		if (result->ri_IndexRelationInfo[i]->ii_ExclusionOps != NULL ||
			!result->ri_IndexRelationDescs[i]->rd_index->indimmediate)
			return false;
	return true;
}

/*
 * ---- rows
 */

/* True if an index has no column that is set: its new entry is a second one of the same row for the same key. */
static bool
index_is_unchanged(const IndexInfo *index, const TableUpdate *update)
{
	if (index->ii_Expressions != NIL)
		return false;
	for (int i = 0; i < index->ii_NumIndexKeyAttrs; i++)
		if (update_sets(update, index->ii_IndexAttrNumbers[i]))
			return false;
	return true;
}

/* Tell an index of the new row, if it is to have it. */
static void
target_tell_index(const UpdateTarget *target, int i)
{
	EState	   *estate = target->estate;
	ExprContext *context = GetPerTupleExprContext(estate);
	IndexInfo  *info = target->result->ri_IndexRelationInfo[i];
	Relation	index = target->result->ri_IndexRelationDescs[i];
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	context->ecxt_scantuple = target->new_row;
	if (info->ii_Predicate != NIL && info->ii_PredicateState == NULL)
		info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, estate);
	if (info->ii_Predicate != NIL && !ExecQual(info->ii_PredicateState, context))
		return;
	FormIndexDatum(info, target->new_row, estate, values, nulls);
	(void) index_insert(index, values, nulls, &target->new_row->tts_tid, target->relation,
						index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
						target->is_unchanged[i], info);
}

/* Tell all indexes, or of an update within the page those that summarise it. */
static void
target_tell_indexes(const UpdateTarget *target, WawpIndexesTold told)
{
	for (int i = 0; i < target->result->ri_NumIndices; i++)
	{
		const IndexInfo *info = target->result->ri_IndexRelationInfo[i];

		if (info->ii_ReadyForInserts && wawp_index_is_told(info, told))
			target_tell_index(target, i);
	}
}

/* Make the new row of the old one and those values. */
static void
target_make_row(const UpdateTarget *target, const Datum *values)
{
	TupleTableSlot *old_row = target->old_row;
	TupleTableSlot *new_row = target->new_row;
	int			n = old_row->tts_tupleDescriptor->natts;

	slot_getallattrs(old_row);
	ExecClearTuple(new_row);
	memcpy(new_row->tts_values, old_row->tts_values, sizeof(Datum) * n);
	memcpy(new_row->tts_isnull, old_row->tts_isnull, sizeof(bool) * n);
	for (int i = 0; i < target->update->ncolumns; i++)
	{
		new_row->tts_values[target->update->columns[i] - 1] = values[i];
		new_row->tts_isnull[target->update->columns[i] - 1] = target->nulls[i];
	}
	ExecStoreVirtualTuple(new_row);
}

/* Lock the row at a place, as an update does that changes its keys; false if that would have to wait, or it has changed. */
static bool
target_lock(const UpdateTarget *target, ItemPointer place)
{
	TupleTableSlot *locked = table_slot_create(target->relation, NULL);
	TM_FailureData failure;
	TM_Result	result = table_tuple_lock(target->relation, place, target->estate->es_snapshot, locked, GetCurrentCommandId(true),
										  LockTupleExclusive, LockWaitSkip, 0, &failure);

	ExecDropSingleTupleTableSlot(locked);
	return result == TM_Ok;
}

/* Put the new row into the place of the old one, and write its own to *place; false if that would have to wait, or it has changed. */
static bool
target_replace(const UpdateTarget *target, ItemPointer place)
{
	TM_FailureData failure;
	LockTupleMode mode;
	WawpIndexesTold told;

	target->new_row->tts_tableOid = RelationGetRelid(target->relation);
	if (RelationGetDescr(target->relation)->constr)
		ExecConstraints(target->result, target->new_row, target->estate);
	if ((WAWP_LOCKS_BEFORE_UPDATE && !target_lock(target, place)) ||
		wawp_tuple_update(target->relation, place, target->new_row, GetCurrentCommandId(true),
						  target->estate->es_snapshot, &failure, &mode, &told) != TM_Ok)
		return false;
	*place = target->new_row->tts_tid;
	if (target->result->ri_NumIndices > 0 && wawp_is_told_any(told))
		target_tell_indexes(target, told);
	return true;
}

/* Read a row and show it to the caller; false if it is not there any more, or stays as it is. */
static bool
target_look(const UpdateTarget *target, ItemPointer place, int n, Datum *values)
{
	MemoryContext own;
	bool		is_wanted;

	if (!ItemPointerIsValid(place) || ItemPointerGetBlockNumber(place) >= target->nblocks ||
		!table_tuple_fetch_row_version(target->relation, place, target->estate->es_snapshot, target->old_row))
		return false;
	own = MemoryContextSwitchTo(target->memory);
	is_wanted = target->look(target->old_row, n, values, target->context);
	MemoryContextSwitchTo(own);
	return is_wanted;
}

/* Set the columns of each row that the caller wants. */
static void
target_update(const UpdateTarget *target, ItemPointerData *places, int n, bool *updated)
{
	for (int i = 0; i < n; i++)
	{
		Datum		values[SPI_STATEMENT_MAX_ARGS];

		memcpy(values, target->values, sizeof(values));
		if (target_look(target, &places[i], i, values))
		{
			target_make_row(target, values);
			updated[i] = target_replace(target, &places[i]);
		}
		ResetPerTupleExprContext(target->estate);
	}
}

/*
 * ---- the table
 */

/* Set the values as the columns have them. */
static void
target_set_values(UpdateTarget *target, const SqlArgs *values)
{
	const TableUpdate *update = target->update;

	for (int i = 0; i < update->ncolumns; i++)
	{
		ColumnPlace place;

		target->nulls[i] = values->nulls[i] == 'n';
		(void) column_place(TupleDescAttr(RelationGetDescr(target->relation), update->columns[i] - 1), update->types[i], &place);
		target->values[i] = target->nulls[i] ? (Datum) 0 : column_value(&place, values->values[i]);
	}
}

/* Open the indexes; false if one of them takes a statement. */
static bool
target_open_indexes(UpdateTarget *target)
{
	ExecOpenIndices(target->result, false);
	if (!indexes_take_rows(target->result))
		return false;
	target->is_unchanged = palloc(sizeof(bool) * Max(target->result->ri_NumIndices, 1));
	for (int i = 0; i < target->result->ri_NumIndices; i++)
		target->is_unchanged[i] = index_is_unchanged(target->result->ri_IndexRelationInfo[i], target->update);
	return true;
}

/* Update rows of an open table, in memory of the executor's; false if that takes a statement. */
static bool
target_update_rows(UpdateTarget *target, const SqlArgs *values, ItemPointerData *places, int n, bool *updated)
{
	bool		is_done;

	target->result = makeNode(ResultRelInfo);
	InitResultRelInfo(target->result, target->relation, 0, NULL, 0);
	CheckCmdReplicaIdentity(target->relation, CMD_UPDATE);
	is_done = target_open_indexes(target);
	if (is_done)
	{
		target_set_values(target, values);
		target->nblocks = RelationGetNumberOfBlocks(target->relation);
		target->old_row = table_slot_create(target->relation, NULL);
		target->new_row = MakeSingleTupleTableSlot(RelationGetDescr(target->relation), &TTSOpsVirtual);
		target_update(target, places, n, updated);
		ExecDropSingleTupleTableSlot(target->old_row);
		ExecDropSingleTupleTableSlot(target->new_row);
	}
	ExecCloseIndices(target->result);
	return is_done;
}

/*
 * Set columns of n rows, as far as look() wants that, to values that it may change
 * where they are known.  Write to updated[] which were updated, and to places[]
 * where those are now.  False, and nothing is updated, if that takes a statement.
 */
bool
table_update_rows(const TableUpdate *update, const SqlArgs *values, ItemPointerData *places, int n,
				  TableUpdateLook look, void *context, bool *updated)
{
	UpdateTarget target = {.update = update, .look = look, .context = context, .memory = CurrentMemoryContext};
	bool		is_done = false;

	memset(updated, 0, sizeof(bool) * n);
	CommandCounterIncrement();
	target.relation = table_open(spi_require_relation(update->table), RowExclusiveLock);
	target.estate = CreateExecutorState();
	MemoryContextSwitchTo(target.estate->es_query_cxt);
	PushActiveSnapshot(GetTransactionSnapshot());
	target.estate->es_snapshot = GetActiveSnapshot();
	if (relation_takes_update(target.relation, update))
		is_done = target_update_rows(&target, values, places, n, updated);
	PopActiveSnapshot();
	MemoryContextSwitchTo(target.memory);
	FreeExecutorState(target.estate);
	table_close(target.relation, NoLock);
	if (is_done)
		CommandCounterIncrement();
	return is_done;
}
