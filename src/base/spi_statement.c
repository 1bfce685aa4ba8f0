/*-------------------------------------------------------------------------
 *
 * spi_statement.c
 *	  Prepared statements inside the server.
 *
 * State modules write their SQL as static SqlStatement tables; this file
 * prepares each once per process and runs it, and is the only one that calls
 * SPI (but for trigger.c's query on the user's table).  The caller has begun
 * as the owner or as the role it is; rows are valid until the next statement,
 * and what is read from them lives in SPI's procedure context.
 *
 * Names in statements are resolved in pg_catalog only: sqlrun_begin_as_*() pins
 * search_path, since a kept plan is analyzed again under the path of the moment,
 * and a statement is refused where it is not pinned.
 *
 * IDENTIFICATION
 *	  src/base/spi_statement.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/spi_statement.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"

/* Nobody but a superuser can put anything into pg_catalog; pg_temp comes first unless named. */
#define PINNED_SEARCH_PATH "pg_catalog, pg_temp"

/*
 * ---- acting as the extension's owner, or as the role that calls
 */

/* The extension's owner; InvalidOid when the database does not have it. */
Oid
sqlrun_owner(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("wawp"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return owner;
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Connects to SPI as the current role, with the pinned search path.  An error
 * undoes all of it with its (sub)transaction.
 */
SqlOwner
sqlrun_begin_as_caller(void)
{
	SqlOwner	before;

	GetUserIdAndSecContext(&before.userid, &before.security);
	before.guc_level = NewGUCNestLevel();
	set_locally("search_path", PINNED_SEARCH_PATH);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	return before;
}

/* The same as the extension's owner. */
SqlOwner
sqlrun_begin_as_owner(void)
{
	SqlOwner	before = sqlrun_begin_as_caller();

	SetUserIdAndSecContext(sqlrun_owner(), before.security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	set_locally("plan_cache_mode", "auto");
	/* a plan made while the queue was empty is kept while it grows to millions */
	set_locally("enable_seqscan", "off");
	set_locally("enable_bitmapscan", "off");
	/* which would make the few plans without an index look costly */
	set_locally("jit", "off");
	return before;
}

void
sqlrun_end_as_caller(const SqlOwner *before)
{
	SPI_finish();
	AtEOXact_GUC(true, before->guc_level);
}

void
sqlrun_end_as_owner(const SqlOwner *before)
{
	sqlrun_end_as_caller(before);
	SetUserIdAndSecContext(before->userid, before->security);
}

/*
 * ---- statements
 */

static void
add(SqlArgs *args, Datum value, bool is_null)
{
	Assert(args->n < SQLRUN_MAX_ARGS);
	args->values[args->n] = value;
	args->nulls[args->n] = is_null ? 'n' : ' ';
	args->n++;
}

void
sqlrun_int8(SqlArgs *args, int64 value)
{
	add(args, Int64GetDatum(value), false);
}

/* 0 is NULL. */
void
sqlrun_id(SqlArgs *args, int64 value)
{
	add(args, Int64GetDatum(value), value == 0);
}

void
sqlrun_int4(SqlArgs *args, int value, bool is_known)
{
	add(args, Int32GetDatum(value), !is_known);
}

/* NULL is NULL. */
void
sqlrun_text(SqlArgs *args, const char *value)
{
	add(args, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

/* 0 is NULL. */
void
sqlrun_time(SqlArgs *args, TimestampTz value)
{
	add(args, TimestampTzGetDatum(value), value == 0);
}

/* A value of the argument's own type; 0 is NULL. */
void
sqlrun_datum(SqlArgs *args, Datum value)
{
	add(args, value, value == (Datum) 0);
}

/* Values of that type as an array; nulls may be NULL. */
void
sqlrun_array(SqlArgs *args, Datum *values, bool *nulls, int n, Oid type)
{
	int			lower = 1;
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	add(args, PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, len, byval, align)), false);
}

void
sqlrun_bool(SqlArgs *args, bool value)
{
	add(args, BoolGetDatum(value), false);
}

static void
require_pinned_path(const char *text)
{
	if (strcmp(namespace_search_path, PINNED_SEARCH_PATH) != 0)
		elog(ERROR, "search_path is not pinned for \"%s\"", text);
}

/* One plan for all arguments: planning a claim anew takes ten times as long as the claim. */
static void
prepare(SqlStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan)
		return;
	plan = SPI_prepare_cursor(statement->text, statement->nargs, statement->types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->text, SPI_result_code_string(SPI_result));
	statement->plan = plan;
}

/* Runs a statement; returns how many rows it gave or touched. */
uint64
sqlrun(SqlStatement *statement, const SqlArgs *args)
{
	return sqlrun_seeing(statement, args, InvalidSnapshot);
}

/* The same by a snapshot of its own, for what a transaction's old one must not hide. */
uint64
sqlrun_seeing(SqlStatement *statement, const SqlArgs *args, Snapshot snapshot)
{
	int			result;

	Assert((args ? args->n : 0) == statement->nargs);
	require_pinned_path(statement->text);
	prepare(statement);
	result = SPI_execute_snapshot(statement->plan, args ? (Datum *) args->values : NULL,
								  args ? args->nulls : NULL, snapshot, InvalidSnapshot, false, true, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->text, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Runs a query and hands its rows over in portions, so that a long result is
 * never in memory as a whole.  take may run other statements once it has read
 * its rows.
 */
void
sqlrun_portions(SqlStatement *statement, const SqlArgs *args, long at_once, SqlPortion take, void *context)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext portion = AllocSetContextCreate(caller, "wawp portion", ALLOCSET_DEFAULT_SIZES);
	Portal		portal;
	uint64		n;

	require_pinned_path(statement->text);
	prepare(statement);
	portal = SPI_cursor_open(NULL, statement->plan, (Datum *) args->values, args->nulls, false);
	do
	{
		SPITupleTable *rows;

		SPI_cursor_fetch(portal, true, at_once);
		n = SPI_processed;
		rows = SPI_tuptable;
		MemoryContextSwitchTo(portion);
		if (n > 0)
			take(n, context);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(portion);
		SPI_freetuptable(rows);
	} while (n == (uint64) at_once);
	SPI_cursor_close(portal);
	MemoryContextDelete(portion);
}

/* Runs a statement that defines something. */
void
sqlrun_utility(const char *text)
{
	int			result;

	require_pinned_path(text);
	result = SPI_execute(text, false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\": %s", text, SPI_result_code_string(result));
}

/* A column (from 1) of a row (from 0) as text, NULL for NULL. */
const char *
sqlrun_get(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* An int8 or timestamptz column. */
int64
sqlrun_get_int8(uint64 row, int column, int64 if_null)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? if_null : DatumGetInt64(value);
}
