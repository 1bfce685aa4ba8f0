/*-------------------------------------------------------------------------
 *
 * trigger_catalog.c
 *	  Membership triggers in pg_trigger.
 *
 * Rows are read as they are now, with what the running statement has written.
 * Results are in the current memory context.  No locks beyond the one on the
 * catalog while it is read.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_catalog.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "queue/trigger_catalog.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

/* True for the extension's trigger function. */
bool
trigger_is_ours(Oid function)
{
	const char *name = get_func_name(function);
	Oid			extension;

	if (name == NULL || strcmp(name, "wawp_membership_trigger") != 0)
		return false;
	extension = get_extension_oid("wawp", true);
	return OidIsValid(extension) && getExtensionOfObject(ProcedureRelationId, function) == extension;
}

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

static TriggerEntry
entry_of_tuple(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

	return (TriggerEntry)
	{
		.trigger = form->oid,
		.parent = form->tgparentid,
		.table = form->tgrelid,
		.schema = get_namespace_name(get_rel_namespace(form->tgrelid)),
		.table_name = get_rel_name(form->tgrelid),
		.function = form->tgfoid,
		.type = form->tgtype,
		.name = pstrdup(NameStr(form->tgname)),
		.nargs = form->tgnargs,
		.args = split_arguments(tuple, desc, form->tgnargs)
	};
}

/* True if the entry's table has not gone meanwhile, by another session, which takes its trigger along. */
static bool
has_table(const TriggerEntry *entry)
{
	return entry->schema && entry->table_name;
}

/* Reads a trigger; false if there is none, or none any more. */
bool
trigger_read_entry(Oid trigger, TriggerEntry *entry)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		is_found;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	is_found = HeapTupleIsValid(tuple);
	if (is_found)
		*entry = entry_of_tuple(tuple, RelationGetDescr(triggers));
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return is_found && has_table(entry);
}

/* Returns the trigger that was created, of which a partition's is a clone: only that one can be dropped. */
TriggerEntry
trigger_topmost(Oid trigger)
{
	TriggerEntry entry;
	TriggerEntry parent;

	if (!trigger_read_entry(trigger, &entry))
		elog(ERROR, "could not find trigger %u", trigger);
	while (OidIsValid(entry.parent) && trigger_read_entry(entry.parent, &parent))
		entry = parent;
	return entry;
}

/* Returns the membership triggers that were created, without clones: a list of TriggerEntry. */
List *
trigger_list_ours(void)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(triggers, InvalidOid, false, SnapshotSelf, 0, NULL);
	HeapTuple	tuple;
	List	   *ours = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		TriggerEntry *entry;

		if (OidIsValid(form->tgparentid) || !trigger_is_ours(form->tgfoid))
			continue;
		entry = palloc(sizeof(TriggerEntry));
		*entry = entry_of_tuple(tuple, RelationGetDescr(triggers));
		if (has_table(entry))
			ours = lappend(ours, entry);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return ours;
}

/* Returns "trigger ON schema.table", as DROP TRIGGER has it. */
const char *
trigger_place(const TriggerEntry *entry)
{
	return psprintf("%s ON %s", quote_identifier(entry->name), quote_qualified_identifier(entry->schema, entry->table_name));
}

/* Likewise of the trigger that was created, of which a table has this one. */
const char *
trigger_place_by_name(Relation table, const char *name)
{
	Oid			trigger = get_trigger_oid(RelationGetRelid(table), name, true);
	TriggerEntry entry = {
		.schema = get_namespace_name(RelationGetNamespace(table)),
		.table_name = RelationGetRelationName(table),
		.name = name
	};

	if (OidIsValid(trigger))
		entry = trigger_topmost(trigger);
	return trigger_place(&entry);
}
