/*-------------------------------------------------------------------------
 *
 * privileges.c
 *	  Privileges on the extension's own objects.
 *
 * A table, function or schema that is made gets what ALTER DEFAULT PRIVILEGES of
 * its owner says.  Whoever may write the worker's tables, or make a trigger on
 * one, acts as the extension's owner; and where PUBLIC may not execute functions,
 * row security cannot be checked.  So new objects begin with PostgreSQL's own
 * defaults, from which the install and upgrade scripts go on, and partitions of
 * the log have no privileges but the owner's: they are read through the log.
 *
 * Runs as the extension's owner, in the transaction that makes the objects.
 * Locks: those of GRANT and REVOKE.
 *
 * IDENTIFICATION
 *	  src/tables/privileges.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "tables/privileges.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_privileges_begin);

/* Members of the extension $1 but for those that are listed in $2 as class and oid. */
#define NEW_MEMBERS \
	"WITH m AS (SELECT d.classid, d.objid FROM pg_catalog.pg_depend d" \
	" WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = $1 AND d.deptype = 'e'" \
	" AND NOT d.classid || ' ' || d.objid = ANY ($2))"

/* A role that has privileges, as REVOKE names it. */
#define GRANTEES \
	"string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ')"

static SqlStatement revoke_from_others = {
	NEW_MEMBERS
	", o AS (SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass AS name,"
	" c.relacl AS acl, c.relowner AS owner, false AS is_public"
	" FROM m JOIN pg_catalog.pg_class c ON m.classid = 'pg_catalog.pg_class'::regclass AND c.oid = m.objid"
	" UNION ALL SELECT 'ROUTINE ' || p.oid::regprocedure, p.proacl, p.proowner, true"
	" FROM m JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid"
	" UNION ALL SELECT 'SCHEMA ' || n.oid::regnamespace, n.nspacl, n.nspowner, false"
	" FROM m JOIN pg_catalog.pg_namespace n ON m.classid = 'pg_catalog.pg_namespace'::regclass AND n.oid = m.objid)"
	" SELECT format('REVOKE ALL ON %s FROM %s', o.name, " GRANTEES ")"
	" FROM o, aclexplode(o.acl) g WHERE g.grantee <> o.owner AND NOT (o.is_public AND g.grantee = 0) GROUP BY o.name",
	2, {OIDOID, TEXTARRAYOID}, NULL
};

static SqlStatement grant_to_public = {
	NEW_MEMBERS
	" SELECT format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', p.oid::regprocedure)"
	" FROM m JOIN pg_catalog.pg_proc p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid"
	" WHERE p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) g WHERE g.grantee = 0)",
	2, {OIDOID, TEXTARRAYOID}, NULL
};

static SqlStatement revoke_table = {
	"SELECT format('REVOKE ALL ON TABLE %s FROM %s', c.oid::regclass, " GRANTEES ")"
	" FROM pg_catalog.pg_class c, aclexplode(c.relacl) g WHERE c.oid = $1 AND g.grantee <> c.relowner GROUP BY c.oid",
	1, {OIDOID}, NULL
};

/* Run a query, and then each utility statement that it has returned. */
static void
privileges_run(SqlStatement *query, const SqlArgs *args)
{
	uint64		n = spi_run(query, args);
	List	   *statements = NIL;
	ListCell   *lc;

	for (uint64 i = 0; i < n; i++)
		statements = lappend(statements, pstrdup(spi_get_text(i, 1)));
	foreach(lc, statements)
		spi_run_utility(lfirst(lc));
}

/* Take from all roles but its owner what default privileges gave them on a new table of schema wawp. */
void
privileges_reset_table(const char *table)
{
	SqlArgs		args = {0};

	spi_add_datum(&args, ObjectIdGetDatum(spi_find_relation(table)));
	privileges_run(&revoke_table, &args);
}

/*
 * wawp._privileges_begin(before text[]): give the members that a script has made,
 * which are those that were not there before, PostgreSQL's own default privileges.
 */
Datum
wawp_privileges_begin(PG_FUNCTION_ARGS)
{
	SqlOwner	before = spi_begin_as_owner();
	SqlArgs		args = {0};

	spi_add_datum(&args, ObjectIdGetDatum(get_extension_oid("wawp", false)));
	spi_add_datum(&args, PG_GETARG_DATUM(0));
	privileges_run(&revoke_from_others, &args);
	privileges_run(&grant_to_public, &args);
	spi_end_as_owner(&before);
	PG_RETURN_VOID();
}
