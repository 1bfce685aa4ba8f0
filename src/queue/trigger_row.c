/*-------------------------------------------------------------------------
 *
 * trigger_row.c
 *	  Values of the rows that users' triggers hand over.
 *
 * A row is the tuple as the trigger got it.  Columns added with a default
 * after the row was written have that default.  A virtual generated column is
 * not in the tuple; the executor computes it from the columns that are.
 *
 * Times are taken as datums: written out and read again they would depend on
 * DateStyle.  No locks beyond the caller's on the table; results are in the
 * current memory context.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "queue/trigger_row.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"

/* Finds a column by its name; InvalidAttrNumber if there is none now. */
AttrNumber
row_column(Relation table, const char *name)
{
	TupleDesc	desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	return InvalidAttrNumber;
}

/* Computes a virtual generated column of a row. */
static Datum
row_computed_value(Relation table, HeapTuple row, Form_pg_attribute attribute, bool *isnull)
{
	Var		   *column = makeVar(1, attribute->attnum, attribute->atttypid, attribute->atttypmod,
								 attribute->attcollation, 0);
	EState	   *estate = CreateExecutorState();
	ExprContext *context = GetPerTupleExprContext(estate);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsHeapTuple);
	MemoryContext caller;
	ExprState  *expression;
	Datum		value;

	ExecStoreHeapTuple(row, slot, false);
	context->ecxt_scantuple = slot;
	caller = MemoryContextSwitchTo(estate->es_query_cxt);
	expression = ExecPrepareExpr((Expr *) wawp_expand_generated(column, table), estate);
	MemoryContextSwitchTo(caller);
	value = ExecEvalExprSwitchContext(expression, context, isnull);
	if (!*isnull)
		value = datumCopy(value, attribute->attbyval, attribute->attlen);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	return value;
}

/* Returns a column's value, by reference perhaps into the row. */
Datum
row_value(Relation table, HeapTuple row, AttrNumber column, bool *isnull)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column - 1);

	if (wawp_is_virtual(attribute))
		return row_computed_value(table, row, attribute, isnull);
	return heap_getattr(row, column, RelationGetDescr(table), isnull);
}

static Oid
row_column_type(Relation table, AttrNumber column)
{
	return getBaseType(TupleDescAttr(RelationGetDescr(table), column - 1)->atttypid);
}

/* Returns a value of a base type as text. */
char *
row_value_text(Datum value, Oid type)
{
	Oid			output;
	bool		is_varlena;

	/* as the cast to text does it: a char(n) without its padding */
	if (type == BPCHAROID)
		return TextDatumGetCString(DirectFunctionCall1(rtrim1, value));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* Returns a column's value as text; NULL for NULL. */
char *
row_text(Relation table, HeapTuple row, AttrNumber column)
{
	bool		isnull;
	Datum		value = row_value(table, row, column, &isnull);

	return isnull ? NULL : row_value_text(value, row_column_type(table, column));
}

static TimestampTz
text_time(Datum value, Oid type)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(row_value_text(value, type)),
												   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static TimestampTz
value_time(Datum value, Oid type)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
			return DatumGetTimestampTz(value);
		case TIMESTAMPOID:
			return DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, value));
		case DATEOID:
			return DatumGetTimestampTz(DirectFunctionCall1(date_timestamptz, value));
		default:
			return text_time(value, type);
	}
}

/*
 * Returns the instant a column means, as its cast to timestamptz does: what has
 * no zone is in the session's.  0 for NULL; the epoch itself is one
 * microsecond later, since 0 means "none" to the queue.
 */
TimestampTz
row_time(Relation table, HeapTuple row, AttrNumber column)
{
	bool		isnull;
	Datum		value = row_value(table, row, column, &isnull);
	TimestampTz at = isnull ? 0 : value_time(value, row_column_type(table, column));

	return !isnull && at == 0 ? 1 : at;
}
