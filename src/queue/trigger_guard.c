/*-------------------------------------------------------------------------
 *
 * trigger_guard.c
 *	  Keeps membership triggers and their tables' columns together.
 *
 * A trigger's arguments are texts that PostgreSQL knows nothing about: after a
 * column was renamed, each write to the table would fail.  An object access
 * hook, installed while preloading, checks the arguments when a trigger is
 * created, warns of an instance that is not named though several could be meant,
 * and refuses to rename or drop a column that a trigger names.  It runs in
 * the statement's transaction, under the statement's lock on the table; the
 * catalog rows that it looks at are the statement's own and not yet visible to
 * an ordinary snapshot.
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
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "client/instance.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "queue/trigger_arguments.h"
#include "queue/trigger_guard.h"
#include "queue/trigger_row.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/snapmgr.h"

#include "compat.h"

static object_access_hook_type guard_previous_hook = NULL;

/* True for the extension's trigger function. */
static bool
is_membership_trigger(Oid function)
{
	const char *name = get_func_name(function);
	Oid			extension;

	if (name == NULL || strcmp(name, "wawp_membership_trigger") != 0)
		return false;
	extension = get_extension_oid("wawp", true);
	return OidIsValid(extension) && getExtensionOfObject(ProcedureRelationId, function) == extension;
}

/*
 * ---- a new trigger
 */

/* Splits pg_trigger.tgargs; each argument ends with a zero byte. */
static char **
split_arguments(HeapTuple tuple, TupleDesc desc, int nargs)
{
	char	  **args = palloc0((nargs + 1) * sizeof(char *));
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_trigger_tgargs, desc, &isnull);
	bytea	   *bytes = DatumGetByteaPP(value);
	char	   *next = VARDATA_ANY(bytes);

	for (int i = 0; i < nargs; i++)
	{
		args[i] = pstrdup(next);
		next += strlen(next) + 1;
	}
	return args;
}

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

static void
guard_check_arguments(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	TriggerMapping mapping;
	Relation	table;

	if (!is_membership_trigger(form->tgfoid))
		return;
	trigger_check_timing(TRIGGER_FOR_AFTER(form->tgtype), TRIGGER_FOR_ROW(form->tgtype));
	table = relation_open(form->tgrelid, NoLock);
	mapping = trigger_read_arguments(table, NameStr(form->tgname), form->tgnargs,
									 split_arguments(tuple, desc, form->tgnargs));
	if (mapping.instance == NULL && !OidIsValid(form->tgparentid))
		guard_warn_of_choice(table, NameStr(form->tgname));
	relation_close(table, NoLock);
}

static void
guard_check_new_trigger(Oid trigger)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		guard_check_arguments(tuple, RelationGetDescr(triggers));
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
}

/*
 * ---- a column that changes
 */

/* True if the statement has given the column another name. */
static bool
is_renamed(Oid table, AttrNumber column, const char *before)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		renamed;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(column));
	scan = systable_beginscan(attributes, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	tuple = systable_getnext(scan);
	renamed = HeapTupleIsValid(tuple) &&
		strcmp(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname), before) != 0;
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return renamed;
}

static void
guard_refuse_change(Relation table, const Trigger *trigger, const char *column, const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("column \"%s\" is used by trigger \"%s\" of table \"%s\"", column, trigger->tgname,
					RelationGetRelationName(table)),
			 errdetail("The trigger has the argument '%s'.", argument),
			 errhint("DROP TRIGGER %s ON %s first, and create it anew with the columns there are then.",
					 quote_identifier(trigger->tgname), quote_identifier(RelationGetRelationName(table))),
			 errtablecol(table, row_column(table, column))));
}

/* Raises if a membership trigger names the column, which is dropped or, unless it keeps its name, altered. */
static void
guard_check_column(Oid tableid, AttrNumber column, bool is_dropped)
{
	Relation	table = relation_open(tableid, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		const char *name = NameStr(TupleDescAttr(RelationGetDescr(table), column - 1)->attname);
		const char *argument = trigger_argument_naming(name, trigger->tgnargs, trigger->tgargs);

		if (argument && is_membership_trigger(trigger->tgfoid) && (is_dropped || is_renamed(tableid, column, name)))
			guard_refuse_change(table, trigger, name, argument);
	}
	relation_close(table, AccessShareLock);
}

/* Checks new triggers of ours, and columns that are dropped or altered. */
static void
guard_on_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (guard_previous_hook)
		guard_previous_hook(access, class, object, sub, arg);
	if (access == OAT_POST_CREATE && class == TriggerRelationId)
		guard_check_new_trigger(object);
	else if ((access == OAT_DROP || access == OAT_POST_ALTER) && class == RelationRelationId && sub > 0)
		guard_check_column(object, sub, access == OAT_DROP);
}

/* Installs the hook; while preloading only. */
void
trigger_guard_init(void)
{
	guard_previous_hook = object_access_hook;
	object_access_hook = guard_on_access;
}
