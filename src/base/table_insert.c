/*-------------------------------------------------------------------------
 *
 * table_insert.c
 *	  Inserts rows into one of the extension's tables without a statement.
 *
 * Inserts rows of our own as COPY does: the table's access method takes all of
 * them at once, and each index is told of each; the indexes are most of what is left
 * of an INSERT's cost.  Whatever only a statement honours (a trigger, a rule, row
 * security, a default, a type that takes a cast, rows of several partitions) makes
 * table_insert_rows() insert nothing, and its caller run a statement.
 *
 * Locks: those of a statement, kept until the transaction ends.  Memory: the
 * current context, given back before the return.  The rows can be seen by
 * statements that follow.
 *
 * IDENTIFICATION
 *	  src/base/table_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/table_column.h"
#include "base/table_insert.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

/* The table while rows are inserted. */
typedef struct InsertTarget
{
	const TableInsert *into;
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *root;
	ModifyTableState *node;		/* of a partitioned table, as COPY has it */
	PartitionTupleRouting *routing; /* NULL: not partitioned */
	ResultRelInfo *leaf;		/* where the rows go */
	TupleTableSlot **slots;		/* the rows */
	ColumnPlace places[SPI_STATEMENT_MAX_ARGS];
} InsertTarget;

/*
 * ---- what only a statement honours
 */

/* True if a trigger's function is that one of ours. */
static bool
trigger_is_own(const Trigger *trigger, const char *own)
{
	const char *name = own ? get_func_name(trigger->tgfoid) : NULL;

	return name && strcmp(name, own) == 0 &&
		get_func_namespace(trigger->tgfoid) == get_namespace_oid("wawp", true);
}

/* True if a trigger of somebody else's is to fire for an INSERT. */
static bool
table_has_trigger(Relation relation, const char *own)
{
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		if (TRIGGER_FOR_INSERT(triggers->triggers[i].tgtype) && !trigger_is_own(&triggers->triggers[i], own))
			return true;
	return false;
}

/* True if an INSERT would do no more than to check constraints and to store the rows. */
static bool
table_is_plain(Relation relation, const char *own_trigger)
{
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->rd_rules == NULL && !table_has_trigger(relation, own_trigger) &&
		!(constraints && constraints->has_generated_stored);
}

/* Return the place of a column among those that are named, -1 if it is not. */
static int
insert_column_of(const TableInsert *into, const char *name)
{
	for (int i = 0; i < into->ncolumns; i++)
		if (strcmp(into->columns[i], name) == 0)
			return i;
	return -1;
}

/* True if a column that is not named is simply null. */
static bool
column_is_null(Form_pg_attribute attribute)
{
	return !attribute->atthasdef && attribute->attidentity == '\0' && attribute->attgenerated == '\0' &&
		get_typtype(attribute->atttypid) != TYPTYPE_DOMAIN;
}

/* Fill in the places of all columns; false if the table's are not what we know. */
static bool
target_place_columns(InsertTarget *target)
{
	TupleDesc	description = RelationGetDescr(target->relation);
	int			found = 0;

	for (int i = 0; i < description->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(description, i);
		int			column = insert_column_of(target->into, NameStr(attribute->attname));

		if (attribute->attisdropped)
			continue;
		if (column < 0 ? !column_is_null(attribute)
			: !column_place(attribute, target->into->types[column], &target->places[column]))
			return false;
		found += column >= 0;
	}
	return found == target->into->ncolumns;
}

/* True if rows of the table are rows of its partition as they are. */
static bool
layout_is_same(TupleDesc table, TupleDesc partition)
{
	if (table->natts != partition->natts)
		return false;
	for (int i = 0; i < table->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(table, i);
		Form_pg_attribute b = TupleDescAttr(partition, i);

		if (a->attisdropped != b->attisdropped || a->atttypid != b->atttypid || a->atttypmod != b->atttypmod ||
			strcmp(NameStr(a->attname), NameStr(b->attname)) != 0)
			return false;
	}
	return true;
}

/*
 * ---- rows
 */

/* Return a row in a slot. */
static TupleTableSlot *
target_make_slot(InsertTarget *target, const SqlArgs *row)
{
	TupleTableSlot *slot = table_slot_create(target->relation, NULL);

	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	memset(slot->tts_values, 0, sizeof(Datum) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < target->into->ncolumns; i++)
	{
		ColumnPlace *place = &target->places[i];

		if (row->nulls[i] == 'n')
			continue;
		slot->tts_isnull[place->attribute] = false;
		slot->tts_values[place->attribute] = column_value(place, row->values[i]);
	}
	return ExecStoreVirtualTuple(slot);
}

/*
 * True if all partitions are tables of the usual kind: another kind may look for
 * the statement that inserts into it as soon as a row is routed there.
 */
static bool
partitions_are_tables(Relation relation)
{
	PartitionDesc partitions = RelationGetPartitionDesc(relation, true);

	for (int i = 0; i < partitions->nparts; i++)
		if (get_rel_relkind(partitions->oids[i]) != RELKIND_RELATION)
			return false;
	return true;
}

/* Find the partition of the i-th row, as COPY does. */
static ResultRelInfo *
target_find_partition(const InsertTarget *target, int i)
{
	return ExecFindPartition(target->node, target->root, target->routing, target->slots[i], target->estate);
}

/* Find the partition that all rows belong to; false if there are several, or it takes more than storing a row. */
static bool
target_find_leaf(InsertTarget *target, int n)
{
	Relation	leaf;

	target->leaf = target_find_partition(target, 0);
	for (int i = 1; i < n; i++)
		if (target_find_partition(target, i) != target->leaf)
			return false;
	leaf = target->leaf->ri_RelationDesc;
	return leaf->rd_rel->relkind == RELKIND_RELATION && table_is_plain(leaf, target->into->own_trigger) &&
		layout_is_same(RelationGetDescr(target->relation), RelationGetDescr(leaf));
}

/* Store all rows, and tell the indexes. */
static void
target_insert(InsertTarget *target, int n)
{
	ResultRelInfo *leaf = target->leaf;
	Relation	relation = leaf->ri_RelationDesc;
	TupleTableSlot **slots = target->slots;

	for (int i = 0; i < n; i++)
	{
		slots[i]->tts_tableOid = RelationGetRelid(relation);
		if (RelationGetDescr(relation)->constr)
			ExecConstraints(leaf, slots[i], target->estate);
		ResetPerTupleExprContext(target->estate);
	}
	table_multi_insert(relation, slots, n, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < n; i++)
	{
		if (leaf->ri_NumIndices > 0)
			(void) wawp_insert_index_tuples(leaf, slots[i], target->estate);
		ResetPerTupleExprContext(target->estate);
	}
}

/*
 * ---- the table
 */

/* Prepare what COPY prepares; false if there are rows that only a statement can insert. */
static bool
target_begin(InsertTarget *target, int n)
{
	target->root = makeNode(ResultRelInfo);
	InitResultRelInfo(target->root, target->relation, 0, NULL, 0);
	if (target->relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
	{
		ExecOpenIndices(target->root, false);
		target->leaf = target->root;
		return true;
	}
	if (!partitions_are_tables(target->relation))
		return false;
	target->node = makeNode(ModifyTableState);
	target->node->ps.state = target->estate;
	target->node->operation = CMD_INSERT;
	target->node->mt_nrels = 1;
	target->node->resultRelInfo = target->node->rootResultRelInfo = target->root;
	target->routing = ExecSetupPartitionTupleRouting(target->estate, target->relation);
	return target_find_leaf(target, n);
}

/* Free what that has opened. */
static void
target_end(InsertTarget *target)
{
	if (target->routing)
		ExecCleanupTupleRouting(target->node, target->routing);
	else if (target->leaf)
		ExecCloseIndices(target->root);
}

/* Insert rows into an open table, likewise. */
static bool
target_insert_rows(InsertTarget *target, const SqlArgs *rows, int n)
{
	MemoryContext caller;
	bool		is_done = false;

	target->estate = CreateExecutorState();
	caller = MemoryContextSwitchTo(target->estate->es_query_cxt);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (target_place_columns(target))
	{
		target->slots = palloc(sizeof(TupleTableSlot *) * n);
		for (int i = 0; i < n; i++)
			target->slots[i] = target_make_slot(target, &rows[i]);
		is_done = target_begin(target, n);
		if (is_done)
			target_insert(target, n);
		for (int i = 0; i < n; i++)
			ExecDropSingleTupleTableSlot(target->slots[i]);
		target_end(target);
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	FreeExecutorState(target->estate);
	return is_done;
}

/* Insert n rows; false, and nothing is inserted, if that takes a statement. */
bool
table_insert_rows(const TableInsert *into, const SqlArgs *rows, int n)
{
	Oid			relid = spi_find_relation(into->table);
	InsertTarget target = {.into = into};
	bool		is_done = false;
	char		kind;

	if (!OidIsValid(relid))
		return false;
	target.relation = table_open(relid, RowExclusiveLock);
	kind = target.relation->rd_rel->relkind;
	if ((kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
		table_is_plain(target.relation, into->own_trigger) && table_lets_write(target.relation, ACL_INSERT))
		is_done = target_insert_rows(&target, rows, n);
	table_close(target.relation, NoLock);
	if (is_done)
		CommandCounterIncrement();
	return is_done;
}
