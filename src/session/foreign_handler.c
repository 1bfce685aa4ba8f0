/*-------------------------------------------------------------------------
 *
 * foreign_handler.c
 *	  The handler of the foreign-data wrapper: groups as tables.
 *
 * A table of contents: what the executor and the planner call is in
 * foreign_plan.c, foreign_scan.c and foreign_modify.c.  PostgreSQL
 * refuses what is not in the table of routines: TRUNCATE, and ANALYZE, which
 * warns and makes no request.  No scan is parallel.
 *
 * No state, locks or memory of its own.
 *
 * IDENTIFICATION
 *	  src/session/foreign_handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "nodes/parsenodes.h"
#include "session/foreign_modify.h"
#include "session/foreign_plan.h"
#include "session/foreign_scan.h"
#include "session/foreign_table.h"
#include "utils/rel.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_fdw_handler);

/* Make the tables of IMPORT FOREIGN SCHEMA; PostgreSQL leaves out those that the statement does not want. */
static List *
foreign_handler_import(ImportForeignSchemaStmt *statement, Oid serverid)
{
	return foreign_table_import(statement->remote_schema, GetForeignServer(serverid)->servername);
}

/* Handler of the foreign-data wrapper. */
Datum
wawp_fdw_handler(PG_FUNCTION_ARGS pg_attribute_unused())
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = foreign_plan_size;
	routine->GetForeignPaths = foreign_plan_paths;
	routine->GetForeignPlan = foreign_plan_scan;
	routine->BeginForeignScan = foreign_scan_begin;
	routine->IterateForeignScan = foreign_scan_next;
	routine->ReScanForeignScan = foreign_scan_again;
	routine->EndForeignScan = foreign_scan_end;
	routine->ExplainForeignScan = foreign_scan_explain;
	routine->IsForeignRelUpdatable = foreign_modify_commands;
	routine->AddForeignUpdateTargets = foreign_modify_add_targets;
	routine->BeginForeignModify = foreign_modify_begin;
	routine->BeginForeignInsert = foreign_modify_begin_insert;
	routine->ExecForeignInsert = foreign_modify_insert;
	routine->ExecForeignUpdate = foreign_modify_update;
	routine->ExecForeignDelete = foreign_modify_delete;
	routine->ExplainForeignModify = foreign_modify_explain;
	routine->ImportForeignSchema = foreign_handler_import;
	PG_RETURN_POINTER(routine);
}
