/*-------------------------------------------------------------------------
 *
 * spi_statement.c
 *	  Prepared statements inside the server.
 *
 * Modules of tables/ and others write their SQL as static SqlStatements; this
 * file prepares each once per process and runs it, and is the only one that
 * calls SPI, except for queries on users' tables (trigger_search.c, sync_source.c).
 * The caller has called spi_begin_as_owner() or spi_begin_as_caller().  Rows are
 * valid until the next statement; values read from them live in SPI's procedure
 * context.
 *
 * Names in statements are resolved in pg_catalog only: spi_begin_as_*() pins
 * search_path, since a kept plan is analyzed again under the current path, and
 * a statement is refused if it is not pinned.
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
#include "access/xact.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"

/* only superusers can create objects in pg_catalog; pg_temp comes first unless it is listed */
#define PINNED_SEARCH_PATH "pg_catalog, pg_temp"

/* A statement is tried once more for each row that was changed while it waited, up to as often as this. */
#define MAX_TRIALS 100

/*
 * ---- acting as the extension's owner, or as the role that calls
 */

/* The row of pg_extension; without it all is zero. */
typedef struct ExtensionRow
{
	Oid			owner;
	Oid			schema;			/* of its functions */
	bool		is_current;		/* its tables are of this library's version */
	char		version[32];
} ExtensionRow;

static ExtensionRow
extension_read(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ExtensionRow row = {.owner = InvalidOid};
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("wawp"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		row.owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		row.schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
		text_to_cstring_buffer(DatumGetTextPP(heap_getattr(tuple, Anum_pg_extension_extversion,
															  RelationGetDescr(extensions), &isnull)),
							   row.version, sizeof(row.version));
		row.is_current = strcmp(row.version, WAWP_VERSION) == 0;
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return row;
}

/* Return the extension's owner; InvalidOid if the database does not have the extension. */
Oid
spi_extension_owner(void)
{
	return extension_read().owner;
}

/* Return the schema of the extension's functions; InvalidOid if the database does not have the extension. */
Oid
spi_extension_schema(void)
{
	return extension_read().schema;
}

/* True if the database has the extension, with tables of this library's version. */
bool
spi_tables_are_current(void)
{
	return extension_read().is_current;
}

/* The extension's tables, as spi_require_current_tables() has found them. */
static bool found_current_tables;
static bool found_old_tables;

/* True if the library is newer than the extension's tables, as far as this process has tried to use them. */
bool
spi_found_old_tables(void)
{
	return found_old_tables;
}

/* Raise an error if the extension's tables are of another version than the library; not looked at again once they fit. */
void
spi_require_current_tables(void)
{
	ExtensionRow row;

	if (found_current_tables)
		return;
	row = extension_read();
	if (!OidIsValid(row.owner))
		return;
	found_current_tables = row.is_current;
	found_old_tables = !row.is_current;
	if (found_old_tables)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of extension wawp are of version %s", row.version),
				 errdetail("The library is of version %s.", WAWP_VERSION),
				 errhint("Execute ALTER EXTENSION wawp UPDATE.")));
}

static void
set_local_parameter(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Pin the search path; return what is to be restored. */
static SqlOwner
role_begin(void)
{
	SqlOwner	before;

	GetUserIdAndSecContext(&before.userid, &before.security);
	before.guc_level = NewGUCNestLevel();
	set_local_parameter("search_path", PINNED_SEARCH_PATH);
	return before;
}

/* Become an owner. */
static void
role_become(Oid owner, const SqlOwner *before)
{
	SetUserIdAndSecContext(owner, before->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

/* Connect to SPI as the current role, with the pinned search path. */
static SqlOwner
role_connect(void)
{
	SqlOwner	before = role_begin();

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	return before;
}

/*
 * Act as the current role, with the pinned search path and tables of the
 * library's version.  An error undoes all of it with its (sub)transaction.
 */
SqlOwner
spi_begin_as_caller(void)
{
	spi_require_current_tables();
	return role_connect();
}

/* Likewise, as the extension's owner; what is run has to do with the tables of every release. */
SqlOwner
spi_begin_as_owner_of_any_version(void)
{
	SqlOwner	before = role_connect();

	role_become(spi_extension_owner(), &before);
	set_local_parameter("plan_cache_mode", "auto");
	/* a plan made while the queue is empty is kept when it has millions of rows */
	set_local_parameter("enable_seqscan", "off");
	set_local_parameter("enable_bitmapscan", "off");
	/* the few plans without an index have high costs now, which would trigger it */
	set_local_parameter("jit", "off");
	return before;
}

/* Likewise, with tables of the library's version. */
SqlOwner
spi_begin_as_owner(void)
{
	spi_require_current_tables();
	return spi_begin_as_owner_of_any_version();
}

/* Return the oid of a relation of schema wawp; InvalidOid if there is none. */
Oid
spi_find_relation(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("wawp", false));
}

/* Raises that a relation of the extension is missing; nothing but a superuser's DROP or a partial restore removes one. */
static void
raise_missing_relation(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"wawp.%s\" does not exist", name),
			 errdetail("It belongs to extension wawp, which was created with it."),
			 errhint("Restore the database from a dump or a backup.")));
}

/* Likewise, or raise. */
Oid
spi_require_relation(const char *name)
{
	Oid			relid = spi_find_relation(name);

	if (!OidIsValid(relid))
		raise_missing_relation(name);
	return relid;
}

/* Return the owner of a relation, of whatever schema; InvalidOid if it is gone. */
Oid
spi_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = HeapTupleIsValid(tuple) ? ((Form_pg_class) GETSTRUCT(tuple))->relowner : InvalidOid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return owner;
}

/* Return the owner of a table of schema wawp. */
static Oid
owner_of_table(const char *table)
{
	Oid			owner = spi_relation_owner(spi_find_relation(table));

	if (!OidIsValid(owner))
		raise_missing_relation(table);
	return owner;
}

/* Act as the owner of a table of schema wawp without statements, which costs less than SPI and its settings. */
SqlOwner
spi_begin_as_owner_of(const char *table)
{
	SqlOwner	before;

	spi_require_current_tables();
	before = role_begin();
	role_become(owner_of_table(table), &before);
	return before;
}

void
spi_end_as_owner_of(const SqlOwner *before)
{
	AtEOXact_GUC(true, before->guc_level);
	SetUserIdAndSecContext(before->userid, before->security);
}

void
spi_end_as_caller(const SqlOwner *before)
{
	SPI_finish();
	AtEOXact_GUC(true, before->guc_level);
}

void
spi_end_as_owner(const SqlOwner *before)
{
	spi_end_as_caller(before);
	SetUserIdAndSecContext(before->userid, before->security);
}

/*
 * ---- statements
 */

/* Append an argument. */
static void
args_append(SqlArgs *args, Datum value, bool is_null)
{
	Assert(args->n < SPI_STATEMENT_MAX_ARGS);
	args->values[args->n] = value;
	args->nulls[args->n] = is_null ? 'n' : ' ';
	args->n++;
}

void
spi_add_int8(SqlArgs *args, int64 value)
{
	args_append(args, Int64GetDatum(value), false);
}

/* Append a bigint; 0 is NULL. */
void
spi_add_id(SqlArgs *args, int64 value)
{
	args_append(args, Int64GetDatum(value), value == 0);
}

void
spi_add_int4(SqlArgs *args, int value, bool is_known)
{
	args_append(args, Int32GetDatum(value), !is_known);
}

/* Append a text; NULL is NULL. */
void
spi_add_text(SqlArgs *args, const char *value)
{
	args_append(args, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

/* Append texts, a list of strings, as an array. */
void
spi_add_texts(SqlArgs *args, const List *texts)
{
	int			n = list_length(texts);
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(list_nth(texts, i));
	spi_add_array(args, values, NULL, n, TEXTOID);
}

/* Return a bytea, palloc'd. */
Datum
spi_bytes_datum(const void *data, size_t len)
{
	bytea	   *value = palloc(VARHDRSZ + len);

	SET_VARSIZE(value, VARHDRSZ + len);
	memcpy(VARDATA(value), data, len);
	return PointerGetDatum(value);
}

/* Append a bytea. */
void
spi_add_bytes(SqlArgs *args, const void *data, size_t len)
{
	args_append(args, spi_bytes_datum(data, len), false);
}

/* Append a timestamptz; 0 is NULL. */
void
spi_add_time(SqlArgs *args, TimestampTz value)
{
	args_append(args, TimestampTzGetDatum(value), value == 0);
}

/* Append a value of the argument's own type; 0 is NULL. */
void
spi_add_datum(SqlArgs *args, Datum value)
{
	args_append(args, value, value == (Datum) 0);
}

/* Append values of that type as an array; nulls may be NULL. */
void
spi_add_array(SqlArgs *args, Datum *values, bool *nulls, int n, Oid type)
{
	int			lower = 1;
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	args_append(args, PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, len, byval, align)), false);
}

void
spi_add_bool(SqlArgs *args, bool value)
{
	args_append(args, BoolGetDatum(value), false);
}

static void
require_pinned_path(const char *text)
{
	if (strcmp(namespace_search_path, PINNED_SEARCH_PATH) != 0)
		elog(ERROR, "search_path is not pinned for \"%s\"", text);
}

/*
 * Prepare a statement at its first use and keep it in statement->plan.  One plan
 * for all arguments: planning a claim takes ten times as long as the claim.
 */
static void
statement_prepare(SqlStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan)
		return;
	plan = SPI_prepare_cursor(statement->text, statement->nargs, statement->types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->text, SPI_result_code_string(SPI_result));
	statement->plan = plan;
}

/*
 * The row that was read last, taken apart: its columns are usually read one by
 * one, and each would be searched for from the row's beginning.
 */
static struct
{
	SPITupleTable *rows;		/* NULL: none */
	uint64		row;
	Datum		values[SPI_STATEMENT_MAX_COLUMNS];
	bool		nulls[SPI_STATEMENT_MAX_COLUMNS];
}			row_read;

/* Run a statement; returns the number of rows that it returned or changed. */
uint64
spi_run(SqlStatement *statement, const SqlArgs *args)
{
	return spi_run_seeing(statement, args, InvalidSnapshot);
}

/* Likewise with a snapshot of its own, to see rows that the transaction's older one does not show. */
uint64
spi_run_seeing(SqlStatement *statement, const SqlArgs *args, Snapshot snapshot)
{
	int			result;

	Assert((args ? args->n : 0) == statement->nargs);
	require_pinned_path(statement->text);
	statement_prepare(statement);
	row_read.rows = NULL;
	result = SPI_execute_snapshot(statement->plan, args ? (Datum *) args->values : NULL,
								  args ? args->nulls : NULL, snapshot, InvalidSnapshot, false, true, 0);
	/* a statement that ran within this one may have read rows whose memory is used again */
	row_read.rows = NULL;
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->text, SPI_result_code_string(result));
	return SPI_processed;
}

/* A statement that is tried, and what it returned or changed. */
typedef struct SqlTrial
{
	SqlStatement *statement;
	const SqlArgs *args;
	uint64		n;
} SqlTrial;

/* Run a statement by what is committed now, for subtransaction_try(). */
static bool
statement_try(void *subject)
{
	SqlTrial   *trial = subject;

	trial->n = spi_run_seeing(trial->statement, trial->args, GetLatestSnapshot());
	return true;
}

/* True if a row was changed while a statement waited for it; a conflict of predicate reads, which stays one, has a hint. */
static bool
is_changed_row(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && error->hint == NULL;
}

/*
 * Likewise by what is committed now, also in a transaction that keeps an older
 * snapshot: there a statement that changes rows would fail of what others, above all
 * the worker, have changed since.  The transaction's own rows are seen.
 */
uint64
spi_run_latest(SqlStatement *statement, const SqlArgs *args)
{
	SqlTrial	trial = {.statement = statement, .args = args};
	ErrorData  *error;

	if (!IsolationUsesXactSnapshot())
		return spi_run(statement, args);
	for (int left = MAX_TRIALS; (error = subtransaction_try(statement_try, &trial)) != NULL; left--)
	{
		if (!is_changed_row(error) || left == 0)
			ReThrowError(error);
		FreeErrorData(error);
		CHECK_FOR_INTERRUPTS();
	}
	return trial.n;
}

/*
 * Run a query and call take() for portions of its rows, so that a long result is
 * never in memory as a whole.  take() may run other statements after it has read
 * its rows.
 */
void
spi_run_portions(SqlStatement *statement, const SqlArgs *args, long at_once, SqlPortion take, void *context)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext portion = AllocSetContextCreate(caller, "wawp portion", ALLOCSET_DEFAULT_SIZES);
	Portal		portal;
	uint64		n;

	require_pinned_path(statement->text);
	statement_prepare(statement);
	portal = SPI_cursor_open(NULL, statement->plan, (Datum *) args->values, args->nulls, false);
	do
	{
		SPITupleTable *rows;

		SPI_cursor_fetch(portal, true, at_once);
		n = SPI_processed;
		rows = SPI_tuptable;
		row_read.rows = NULL;
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

#define CURSOR_ROWS 1000

/* Open a query to be read by spi_next(), as the caller's snapshot shows it. */
void
spi_open(SqlCursor *cursor, SqlStatement *statement, const SqlArgs *args)
{
	memset(cursor, 0, sizeof(*cursor));
	require_pinned_path(statement->text);
	statement_prepare(statement);
	cursor->portal = SPI_cursor_open(NULL, statement->plan, (Datum *) args->values, args->nulls, true);
}

/* Go to the next row, which spi_get_*() read as *row until another statement or cursor is used; false at the end. */
bool
spi_next(SqlCursor *cursor, uint64 *row)
{
	if (cursor->next == cursor->n)
	{
		if (cursor->rows)
			SPI_freetuptable(cursor->rows);
		SPI_cursor_fetch(cursor->portal, true, CURSOR_ROWS);
		cursor->rows = SPI_tuptable;
		cursor->n = SPI_processed;
		cursor->next = 0;
		row_read.rows = NULL;
	}
	SPI_tuptable = cursor->rows;
	*row = cursor->next;
	return cursor->next < cursor->n && ++cursor->next > 0;
}

void
spi_close(SqlCursor *cursor)
{
	SPI_cursor_close(cursor->portal);
}

/* Run a utility statement. */
void
spi_run_utility(const char *text)
{
	int			result;

	require_pinned_path(text);
	result = SPI_execute(text, false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\": %s", text, SPI_result_code_string(result));
}

/* Return a column's value and set *isnull. */
static Datum
row_get(uint64 row, int column, bool *isnull)
{
	SPITupleTable *rows = SPI_tuptable;

	Assert(column >= 1 && column <= rows->tupdesc->natts && row < rows->numvals);
	if (rows->tupdesc->natts > SPI_STATEMENT_MAX_COLUMNS)
		elog(ERROR, "a result has %d columns", rows->tupdesc->natts);
	if (row_read.rows != rows || row_read.row != row)
	{
		heap_deform_tuple(rows->vals[row], rows->tupdesc, row_read.values, row_read.nulls);
		row_read.rows = rows;
		row_read.row = row;
	}
	*isnull = row_read.nulls[column - 1];
	return row_read.values[column - 1];
}

/* Return a column (from 1) of a row (from 0) as text, NULL for NULL. */
const char *
spi_get_text(uint64 row, int column)
{
	Oid			type = SPI_gettypeid(SPI_tuptable->tupdesc, column);
	bool		isnull;
	Datum		value = row_get(row, column, &isnull);
	Oid			output;
	bool		is_varlena;

	if (isnull)
		return NULL;
	if (type == TEXTOID)
		return TextDatumGetCString(value);
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* Write a column's value to *value; false if it is NULL.  Its type must be `type`. */
static bool
spi_get_datum(uint64 row, int column, Oid type, Datum *value)
{
	bool		isnull;

	*value = row_get(row, column, &isnull);
	if (SPI_gettypeid(SPI_tuptable->tupdesc, column) != type)
		elog(ERROR, "column %d of a result is not of type %u", column, type);
	return !isnull;
}

/* Write a bytea column to bytes[] if it fits; return its length, -1 for NULL. */
int
spi_get_bytes(uint64 row, int column, uint8 *bytes, int size)
{
	Datum		value;
	bytea	   *read;

	if (!spi_get_datum(row, column, BYTEAOID, &value))
		return -1;
	read = DatumGetByteaPP(value);
	if ((int) VARSIZE_ANY_EXHDR(read) <= size)
		memcpy(bytes, VARDATA_ANY(read), VARSIZE_ANY_EXHDR(read));
	return (int) VARSIZE_ANY_EXHDR(read);
}

/* Write the first n columns of a row to *args; valid as long as the row is. */
void
spi_get_args(uint64 row, int n, SqlArgs *args)
{
	args->n = 0;
	for (int i = 1; i <= n; i++)
	{
		bool		isnull;
		Datum		value = row_get(row, i, &isnull);

		args_append(args, value, isnull);
	}
}

/* Return a bigint column. */
int64
spi_get_int8(uint64 row, int column, int64 if_null)
{
	Datum		value;

	return spi_get_datum(row, column, INT8OID, &value) ? DatumGetInt64(value) : if_null;
}

/* Return an integer column; 0 for NULL. */
int
spi_get_int4(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, INT4OID, &value) ? DatumGetInt32(value) : 0;
}

/* Return a timestamptz column; 0 for NULL. */
TimestampTz
spi_get_time(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, TIMESTAMPTZOID, &value) ? DatumGetTimestampTz(value) : 0;
}

/* Return a boolean column; false for NULL. */
bool
spi_get_bool(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, BOOLOID, &value) && DatumGetBool(value);
}

/* Return a column of oids; InvalidOid for NULL. */
Oid
spi_get_oid(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, OIDOID, &value) ? DatumGetObjectId(value) : InvalidOid;
}

/* Return a double precision column; 0 for NULL. */
double
spi_get_float8(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, FLOAT8OID, &value) ? DatumGetFloat8(value) : 0;
}

/* Write a column's place of a row, a tid, to *place; false, and *place invalid, if it is NULL. */
bool
spi_get_place(uint64 row, int column, ItemPointerData *place)
{
	Datum		value;

	ItemPointerSetInvalid(place);
	if (!spi_get_datum(row, column, TIDOID, &value))
		return false;
	*place = *(ItemPointer) DatumGetPointer(value);
	return true;
}

/* Return a column of transaction ids. */
TransactionId
spi_get_xid(uint64 row, int column)
{
	Datum		value;

	return spi_get_datum(row, column, XIDOID, &value) ? DatumGetTransactionId(value) : InvalidTransactionId;
}
