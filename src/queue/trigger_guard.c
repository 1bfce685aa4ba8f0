/*-------------------------------------------------------------------------
 *
 * trigger_guard.c
 *	  Keeps membership triggers, their tables' columns and their instances together.
 *
 * A trigger's arguments are texts that PostgreSQL knows nothing about: after a
 * column or a server was renamed, what each write to the table requests would fail.
 * An object access hook, installed while preloading, checks the arguments when a
 * trigger is created, warns of an instance that does not exist, or is not named though several
 * could be meant, and refuses to rename or drop a column that a trigger names, to give
 * the one that says when memberships end a type without times, and to rename the
 * server of an instance that a trigger names.  It runs in the statement's transaction,
 * under the statement's lock on the table; the catalog rows that it looks at are the
 * statement's own and not yet visible to an ordinary snapshot.
 *
 * A column or a server may be dropped with its trigger, and columns go before their
 * tables.  So a drop is only noted; a utility hook decides at the end of the statement,
 * when the trigger is still there or not.  A dropped server is refused as other
 * dependents have it: not if CASCADE, which warns, since a server of that name may
 * be made anew.
 *
 * A trigger keeps an instance's name from changing only if its table's owner may
 * use that instance.
 *
 * Memory: what is noted is in the context in which the statement was called; the
 * list of it is on the stack of the hook, which takes it away after an error.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/spi_statement.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_trigger.h"
#include "client/instance.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "queue/trigger_arguments.h"
#include "queue/trigger_catalog.h"
#include "queue/trigger_guard.h"
#include "queue/trigger_row.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"

#include "compat.h"

static object_access_hook_type guard_previous_hook = NULL;
static ProcessUtility_hook_type guard_previous_utility = NULL;

/* The columns that a running statement has dropped; the innermost of those that run inside of one another. */
typedef struct GuardedStatement
{
	struct GuardedStatement *outer;
	MemoryContext memory;
	List	   *columns;		/* DroppedColumn */
	List	   *servers;		/* DroppedServer */
} GuardedStatement;

/* A column that a trigger named when it was dropped. */
typedef struct DroppedColumn
{
	Oid			trigger;
	const char *column;
	const char *argument;
} DroppedColumn;

/* A server that a trigger named when it was dropped. */
typedef struct DroppedServer
{
	Oid			trigger;
	const char *name;
} DroppedServer;

static GuardedStatement *innermost_statement = NULL;

/*
 * ---- a new trigger
 */

/*
 * Warns that the trigger's requests will fail, as far as one can tell now: the
 * table's owner makes them, and several instances could be meant.
 */
static void
guard_warn_of_choice(Relation table, const char *trigger)
{
	Oid			owner = table->rd_rel->relowner;
	const char *choices = instance_choices(owner);

	if (choices)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("trigger \"%s\" of table \"%s\" does not say which Wawp instance is meant", trigger,
						RelationGetRelationName(table)),
				 errdetail("Role \"%s\", which owns the table, may use %s; while that is so, what the trigger requests fails.",
						   GetUserNameFromId(owner, false), choices),
				 errhint("Drop the trigger and create it anew with 'instance=...'.")));
}

/* Likewise, that the instance which the trigger names does not exist. */
static void
guard_warn_of_missing(Relation table, const char *trigger, const char *instance)
{
	if (instance_id_of(instance) == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("trigger \"%s\" of table \"%s\" names Wawp instance \"%s\", which does not exist", trigger,
						RelationGetRelationName(table), instance),
				 errdetail("While that is so, what the trigger requests fails."),
				 errhint("CREATE SERVER %s ... FOREIGN DATA WRAPPER wawp, or drop the trigger and create it anew with the name of an instance.",
						 quote_identifier(instance))));
}

/* True while a dump is restored, by pg_upgrade as well: each begins with this setting, which trusts definitions that there were. */
static bool
is_restoring(void)
{
	return !check_function_bodies;
}

/*
 * Raises if a column that says when memberships end cannot, for its type; warns if it
 * has texts.  A trigger of 0.1 that a dump restores is kept: without it the rows that
 * can be requested would not be, and pg_restore -1 would restore nothing.
 */
static void
guard_check_times(const char *column, Oid type)
{
	RowTimes	times = row_times_of_type(type);

	if (times == ROW_NO_TIMES)
		row_refuse_times(is_restoring() ? WARNING : ERROR, column, type);
	else if (times == ROW_TIMES_AS_TEXT)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("column \"%s\" of type %s has texts that are to say when memberships end", column, format_type_be(type)),
				 errdetail("They are read with the DateStyle and time zone of each session that writes; a row whose text is no time requests nothing."),
				 errhint("Give the column the type timestamp with time zone, timestamp without time zone or date.")));
}

static void
guard_check_new_trigger(Oid trigger)
{
	TriggerEntry entry;
	TriggerMapping mapping;
	Relation	table;

	if (!trigger_read_entry(trigger, &entry) || !trigger_is_ours(entry.function))
		return;
	trigger_check_timing(TRIGGER_FOR_AFTER(entry.type), TRIGGER_FOR_ROW(entry.type));
	table = relation_open(entry.table, NoLock);
	mapping = trigger_read_arguments(table, entry.name, entry.nargs, entry.args);
	if (!OidIsValid(entry.parent))
	{
		if (mapping.until)
			guard_check_times(mapping.until, TupleDescAttr(RelationGetDescr(table), mapping.until_column - 1)->atttypid);
		if (mapping.instance)
			guard_warn_of_missing(table, entry.name, mapping.instance);
		else
			guard_warn_of_choice(table, entry.name);
	}
	relation_close(table, NoLock);
}

/*
 * ---- a column that changes
 */

/* Reads a column as the statement has written it; false if it is gone. */
static bool
read_column(Oid table, AttrNumber column, FormData_pg_attribute * now)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(column));
	scan = systable_beginscan(attributes, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		memcpy(now, GETSTRUCT(tuple), ATTRIBUTE_FIXED_PART_SIZE);
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* Raises for a column that a trigger names, in that argument. */
static void
guard_refuse_change(Oid trigger, const char *column, const char *argument)
{
	TriggerEntry topmost = trigger_topmost(trigger);

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("column \"%s\" is used by trigger \"%s\" of table \"%s\"", column, topmost.name,
					topmost.table_name),
			 errdetail("The trigger has the argument '%s'.", argument),
			 errhint("DROP TRIGGER %s first, and create it anew with the columns there are then.", trigger_place(&topmost)),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, topmost.schema),
			 err_generic_string(PG_DIAG_TABLE_NAME, topmost.table_name),
			 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
}

/* Notes a column, named by a trigger, that the running statement drops; outside of statements temporary tables go. */
static void
note_dropped_column(const Trigger *trigger, const char *column, const char *argument)
{
	MemoryContext caller;
	DroppedColumn *dropped;

	if (innermost_statement == NULL)
		return;
	caller = MemoryContextSwitchTo(innermost_statement->memory);
	dropped = palloc(sizeof(DroppedColumn));
	*dropped = (DroppedColumn)
	{
		trigger->tgoid, pstrdup(column), pstrdup(argument)
	};
	innermost_statement->columns = lappend(innermost_statement->columns, dropped);
	MemoryContextSwitchTo(caller);
}

/* Checks a column that is altered, which a trigger names. */
static void
guard_check_altered(const Trigger *trigger, const FormData_pg_attribute * before, const char *argument)
{
	const char *until = trigger_argument_until(trigger->tgnargs, trigger->tgargs);
	FormData_pg_attribute now;

	if (!read_column(before->attrelid, before->attnum, &now))
		return;
	if (strcmp(NameStr(now.attname), NameStr(before->attname)) != 0)
		guard_refuse_change(trigger->tgoid, NameStr(before->attname), argument);
	if (now.atttypid != before->atttypid && until && strcmp(until, NameStr(now.attname)) == 0 && !trigger->tgisclone)
		guard_check_times(until, now.atttypid);
}

/* Checks a column that is altered or dropped, for each membership trigger that names it. */
static void
guard_check_column(Oid tableid, AttrNumber column, bool is_dropped)
{
	Relation	table = relation_open(tableid, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		Form_pg_attribute before = TupleDescAttr(RelationGetDescr(table), column - 1);
		const char *name = NameStr(before->attname);
		const char *argument = trigger_argument_naming(name, trigger->tgnargs, trigger->tgargs);

		if (argument == NULL || !trigger_is_ours(trigger->tgfoid))
			continue;
		if (is_dropped)
			note_dropped_column(trigger, name, argument);
		else
			guard_check_altered(trigger, before, argument);
	}
	relation_close(table, AccessShareLock);
}

/* Raises for a dropped column whose trigger is still there. */
static void
settle_column(const DroppedColumn *dropped)
{
	TriggerEntry entry;

	if (trigger_read_entry(dropped->trigger, &entry))
		guard_refuse_change(dropped->trigger, dropped->column, dropped->argument);
}

/*
 * ---- a server that changes
 */

/* Returns a server's name as the statement has written it; NULL if it is gone. */
static const char *
read_server_name(Oid server)
{
	Relation	servers = table_open(ForeignServerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	const char *name;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(server));
	scan = systable_beginscan(servers, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	name = HeapTupleIsValid(tuple) ? pstrdup(NameStr(((Form_pg_foreign_server) GETSTRUCT(tuple))->srvname)) : NULL;
	systable_endscan(scan);
	table_close(servers, AccessShareLock);
	return name;
}

/* Returns the triggers, a list of TriggerEntry, that name an instance which the owners of their tables may use. */
static List *
triggers_using(Oid server, const char *name)
{
	List	   *using = NIL;
	ListCell   *lc;

	foreach(lc, trigger_list_ours())
	{
		TriggerEntry *entry = lfirst(lc);
		const char *named = trigger_argument_instance(entry->nargs, entry->args);
		Oid			owner = spi_relation_owner(entry->table);

		if (named && strcmp(named, name) == 0 && OidIsValid(owner) && wawp_server_aclcheck(server, owner, ACL_USAGE) == ACLCHECK_OK)
			using = lappend(using, entry);
	}
	return using;
}

/* Raises, or warns, that the instance which a trigger names has gone. */
static void
guard_tell_of_server(int elevel, const char *name, const TriggerEntry *entry, const char *hint)
{
	ereport(elevel,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("Wawp instance \"%s\" is used by trigger \"%s\" of table \"%s\"", name, entry->name, entry->table_name),
			 errdetail("The trigger has the argument 'instance=%s'; without that instance, what it requests fails.", name),
			 errhint(hint, trigger_place(entry))));
}

/* Raises if a membership trigger names the server, which is given another name. */
static void
guard_check_server(Oid server)
{
	const ForeignServer *before = GetForeignServerExtended(server, FSV_MISSING_OK);
	const char *now = read_server_name(server);
	List	   *using;

	if (before == NULL || now == NULL || strcmp(now, before->servername) == 0 || instance_id_of(before->servername) == NULL)
		return;
	using = triggers_using(server, before->servername);
	if (using != NIL)
		guard_tell_of_server(ERROR, before->servername, linitial(using),
							 "DROP TRIGGER %s first, and create it anew with the name that the instance has then.");
}

/* Notes the triggers that name a server, which the running statement drops. */
static void
note_dropped_server(Oid server)
{
	const ForeignServer *before = GetForeignServerExtended(server, FSV_MISSING_OK);
	MemoryContext caller;
	ListCell   *lc;

	if (innermost_statement == NULL || before == NULL || instance_id_of(before->servername) == NULL)
		return;
	caller = MemoryContextSwitchTo(innermost_statement->memory);
	foreach(lc, triggers_using(server, before->servername))
	{
		DroppedServer *dropped = palloc(sizeof(DroppedServer));

		*dropped = (DroppedServer)
		{
			((TriggerEntry *) lfirst(lc))->trigger, pstrdup(before->servername)
		};
		innermost_statement->servers = lappend(innermost_statement->servers, dropped);
	}
	MemoryContextSwitchTo(caller);
}

/* True if a statement drops servers, and what depends on them shall keep it from that. */
static bool
is_restricted(Node *statement)
{
	const DropStmt *drop = (const DropStmt *) statement;

	return IsA(statement, DropStmt) && drop->removeType == OBJECT_FOREIGN_SERVER && drop->behavior == DROP_RESTRICT;
}

/* Raises, or warns, of a dropped server whose trigger is still there. */
static void
settle_server(const DroppedServer *dropped, bool is_restricted)
{
	TriggerEntry entry;

	if (trigger_read_entry(dropped->trigger, &entry))
		guard_tell_of_server(is_restricted ? ERROR : WARNING, dropped->name, &entry, is_restricted ?
							 "DROP TRIGGER %s first, or use DROP SERVER ... CASCADE and make a server of that name anew." :
							 "Make a server of that name anew, or DROP TRIGGER %s and create it anew with the name of an instance.");
}

/*
 * ---- hooks
 */

/* Checks new triggers of ours, and columns and servers that are dropped or altered. */
static void
guard_on_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	bool		is_dropped = access == OAT_DROP;

	if (guard_previous_hook)
		guard_previous_hook(access, class, object, sub, arg);
	if (access == OAT_POST_CREATE && class == TriggerRelationId)
		guard_check_new_trigger(object);
	else if ((is_dropped || access == OAT_POST_ALTER) && class == RelationRelationId && sub > 0)
		guard_check_column(object, sub, is_dropped);
	else if (is_dropped && class == ForeignServerRelationId)
		note_dropped_server(object);
	else if (access == OAT_POST_ALTER && class == ForeignServerRelationId)
		guard_check_server(object);
}

/* Decides about what a statement, which has succeeded, has dropped. */
static void
settle_dropped(const GuardedStatement *guarded, Node *statement)
{
	ListCell   *lc;

	foreach(lc, guarded->columns)
		settle_column(lfirst(lc));
	foreach(lc, guarded->servers)
		settle_server(lfirst(lc), is_restricted(statement));
}

/* Runs the next hook, or the statement itself. */
static void
guard_run_next(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (guard_previous_utility)
		guard_previous_utility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
}

/* Runs a statement, and decides about what it has dropped when it has ended. */
static void
guard_on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
				 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	GuardedStatement guarded = {.outer = innermost_statement, .memory = CurrentMemoryContext};

	innermost_statement = &guarded;
	PG_TRY();
	{
		guard_run_next(pstmt, query, read_only_tree, context, params, environment, dest, qc);
		settle_dropped(&guarded, pstmt->utilityStmt);
	}
	PG_FINALLY();
	{
		innermost_statement = guarded.outer;
	}
	PG_END_TRY();
}

/* Installs the hooks; while preloading only. */
void
trigger_guard_init(void)
{
	guard_previous_hook = object_access_hook;
	object_access_hook = guard_on_access;
	guard_previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_on_utility;
}
