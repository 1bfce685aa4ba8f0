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

/* Types whose values are times, each with what makes an instant of one. */
static const struct
{
	Oid			type;
	PGFunction	to_timestamptz; /* NULL: it is one */
}			time_types[] =
{
	{TIMESTAMPTZOID, NULL},
	{TIMESTAMPOID, timestamp_timestamptz},
	{DATEOID, date_timestamptz},
};

/*
 * Returns what values of a type say about times.  Only a text may be one in the
 * writer's own words; any other type's text is of something else: a range's begins with
 * its lower bound, a number's digits look like a date.
 */
RowTimes
row_times_of_type(Oid type)
{
	Oid			base = getBaseType(type);
	char		category;
	bool		is_preferred;

	for (size_t i = 0; i < lengthof(time_types); i++)
		if (time_types[i].type == base)
			return ROW_TIMES;
	get_type_category_preferred(base, &category, &is_preferred);
	return category == TYPCATEGORY_STRING ? ROW_TIMES_AS_TEXT : ROW_NO_TIMES;
}

/* Raises, or warns, that a column of that type cannot say when memberships end. */
void
row_refuse_times(int elevel, const char *column, Oid type)
{
	ereport(elevel,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of type %s cannot say when memberships end", column, format_type_be(type)),
			 errdetail("'until=column' takes a column of type timestamp with time zone, timestamp without time zone or date."),
			 errhint("Name a column of one of these types, perhaps a generated one, or give this one such a type.")));
}

static TimestampTz
value_time(Datum value, Oid type)
{
	for (size_t i = 0; i < lengthof(time_types); i++)
		if (time_types[i].type == type)
			return DatumGetTimestampTz(time_types[i].to_timestamptz ? DirectFunctionCall1(time_types[i].to_timestamptz, value) : value);
	return text_time(value, type);
}

/*
 * Returns the instant a column means, as its cast to timestamptz does: what has
 * no zone is in the session's.  Raises if the column's type says no times, which
 * CREATE TRIGGER refuses, but did not in 0.1.  0 for NULL of any type; the epoch itself is one
 * microsecond later, since 0 means "none" to the queue.
 */
TimestampTz
row_time(Relation table, HeapTuple row, AttrNumber column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column - 1);
	bool		isnull;
	Datum		value = row_value(table, row, column, &isnull);
	TimestampTz at;

	if (isnull)
		return 0;
	if (row_times_of_type(attribute->atttypid) == ROW_NO_TIMES)
		row_refuse_times(ERROR, NameStr(attribute->attname), attribute->atttypid);
	at = value_time(value, row_column_type(table, column));
	return at == 0 ? 1 : at;
}

/* Run work that reads times, in a subtransaction; false where it met one that is none, or none that PostgreSQL can say. */
bool
row_try_times(SubtransactionWork work, void *subject)
{
	ErrorData  *error = subtransaction_try(work, subject);

	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
		ReThrowError(error);
	return error == NULL;
}

/* A column of a row that is read in a subtransaction. */
typedef struct TimeRead
{
	Relation	table;
	HeapTuple	row;
	AttrNumber	column;
	TimestampTz at;
} TimeRead;

static bool
read_time(void *subject)
{
	TimeRead   *read = subject;

	read->at = row_time(read->table, read->row, read->column);
	return true;
}

/* Likewise, but return false where the value cannot be read. */
bool
row_try_time(Relation table, HeapTuple row, AttrNumber column, TimestampTz *at)
{
	TimeRead	read = {table, row, column, 0};
	bool		is_readable = row_try_times(read_time, &read);

	*at = read.at;
	return is_readable;
}

/*
 * True if a column means another instant in one row than in the other.  What may be
 * no time is compared as it is written: the row that repairs it is read, not the
 * one before.
 */
bool
row_has_other_time(Relation table, HeapTuple row, HeapTuple other, AttrNumber column)
{
	const char *one;
	const char *another;

	if (row_times_of_type(row_column_type(table, column)) == ROW_TIMES)
		return row_time(table, row, column) != row_time(table, other, column);
	one = row_text(table, row, column);
	another = row_text(table, other, column);
	return one == NULL || another == NULL ? one != another : strcmp(one, another) != 0;
}
