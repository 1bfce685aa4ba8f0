/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  The database that the queue belongs to.
 *
 * Owns wawp.identity, by which a copy of a database, as files or from a dump,
 * is told from the original, so that two workers never send the same intents.
 * Its one row names the cluster and the database; its `home` says where the
 * oids of roles beside intents and memberships mean something.
 *
 * Statements run as intent.c's do, but for identity_home(), which any session
 * may call.  Locks: the table, while a home is drawn, until the end of the
 * transaction.
 *
 * IDENTIFICATION
 *	  src/tables/identity.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/spi_statement.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tables/identity.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"

/* Columns of wawp.identity, from 0. */
enum
{
	IDENTITY_SYSTEM,
	IDENTITY_DATABASE,
	IDENTITY_HOME,
	IDENTITY_COLUMNS
};

static SqlStatement read_identity = {
	"SELECT count(*) FILTER (WHERE system_identifier = $1 AND database_oid = $2::oid), count(*) FROM wawp.identity",
	2, {INT8OID, INT8OID}, NULL
};

/* The original keeps its home; a copy gets one of its own. */
static SqlStatement write_identity = {
	"WITH old AS (DELETE FROM wawp.identity RETURNING *), mine AS (INSERT INTO wawp.identity SELECT $1, $2::oid,"
	"  coalesce((SELECT home FROM old WHERE (system_identifier, database_oid) = ($1, $2::oid) LIMIT 1), gen_random_uuid()))"
	" SELECT count(*) FROM old WHERE (system_identifier, database_oid) <> ($1, $2::oid)",
	2, {INT8OID, INT8OID}, NULL
};

/*
 * True if this is a copy of another database, as files or from a dump, which the
 * worker has not noticed yet.
 */
bool
identity_is_foreign(void)
{
	SqlArgs		args = {0};
	int64		all;

	spi_add_int8(&args, (int64) GetSystemIdentifier());
	spi_add_int8(&args, (int64) MyDatabaseId);
	spi_run(&read_identity, &args);
	all = spi_get_int8(0, 2, 0);
	return all > 0 && !(all == 1 && spi_get_int8(0, 1, 0) == 1);
}

/* Write to *home that of this database or, if there is none, of another; false if the table is empty. */
static bool
identity_read_home(pg_uuid_t *home)
{
	Relation	table = table_open(get_relname_relid("identity", get_namespace_oid("wawp", false)), AccessShareLock);
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	bool		is_found = false;
	bool		is_ours = false;
	HeapTuple	tuple;

	while (!is_ours && (tuple = systable_getnext(scan)) != NULL)
	{
		Datum		values[IDENTITY_COLUMNS];
		bool		nulls[IDENTITY_COLUMNS];

		heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
		*home = *DatumGetUUIDP(values[IDENTITY_HOME]);
		is_ours = DatumGetInt64(values[IDENTITY_SYSTEM]) == (int64) GetSystemIdentifier() &&
			DatumGetObjectId(values[IDENTITY_DATABASE]) == MyDatabaseId;
		is_found = true;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return is_found;
}

static SqlStatement lock_identity = {
	"LOCK TABLE wawp.identity IN SHARE ROW EXCLUSIVE MODE",
	0, {0}, NULL
};

/*
 * Write to *home that of this database, or of the one it is an unnoticed copy
 * of.  It is read without a statement, as any role; if there is none, as in a
 * database made from a template, one is drawn.
 */
void
identity_home(pg_uuid_t *home)
{
	SqlOwner	before;

	if (identity_read_home(home))
		return;
	before = spi_begin_as_owner();
	spi_run(&lock_identity, NULL);
	if (!identity_read_home(home))
		(void) identity_take_over();
	spi_end_as_owner(&before);
	CommandCounterIncrement();
	if (!identity_read_home(home))
		elog(ERROR, "wawp.identity is empty");
}

/*
 * Make this database the one that the queue belongs to.  True if it belonged to
 * another one; the rows that are replaced decide that, since a dump may be
 * restored at the same time.
 */
bool
identity_take_over(void)
{
	SqlArgs		args = {0};

	if (!identity_is_foreign() && spi_get_int8(0, 2, 0) == 1)
		return false;
	spi_add_int8(&args, (int64) GetSystemIdentifier());
	spi_add_int8(&args, (int64) MyDatabaseId);
	spi_run(&write_identity, &args);
	return spi_get_int8(0, 1, 0) > 0;
}
