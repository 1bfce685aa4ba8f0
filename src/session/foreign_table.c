/*-------------------------------------------------------------------------
 *
 * foreign_table.c
 *	  Foreign tables of members and groups: their options and columns.
 *
 * Two kinds of objects: the members of one group, or of all groups of an
 * account, and its groups.  A table has any of the object's columns, in any
 * order, each of its type; column_specs is the only place with them.  The
 * options are checked by the wrapper's validator (client/instance.c), the
 * columns, which it does not see, when the table is used.
 *
 * Reads the catalogs in the caller's transaction; results are in the current
 * memory context.
 *
 * IDENTIFICATION
 *	  src/session/foreign_table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "protocol/jid.h"
#include "session/foreign_table.h"
#include "utils/builtins.h"

#include "compat.h"

/* The name of what IMPORT FOREIGN SCHEMA imports. */
#define IMPORTED_SCHEMA "groups"

typedef struct ColumnSpec
{
	const char *name;			/* NULL: the object has no more */
	Oid			type;
} ColumnSpec;

static const ColumnSpec column_specs[][TABLE_MAX_COLUMNS] = {
	[TABLE_OF_MEMBERS] = {
		[COLUMN_GROUP_JID] = {"group_jid", TEXTOID},
		[COLUMN_JID] = {"jid", TEXTOID},
		[COLUMN_PHONE_JID] = {"phone_jid", TEXTOID},
		[COLUMN_LID] = {"lid", TEXTOID},
		[COLUMN_ROLE] = {"role", TEXTOID},
		[COLUMN_COMPLETE] = {"complete", BOOLOID}
	},
	[TABLE_OF_GROUPS] = {
		[COLUMN_GROUP_JID] = {"group_jid", TEXTOID},
		[COLUMN_SUBJECT] = {"subject", TEXTOID},
		[COLUMN_SIZE] = {"size", INT4OID}
	}
};

static const char *const object_names[] = {
	[TABLE_OF_MEMBERS] = "members",
	[TABLE_OF_GROUPS] = "groups"
};

/* Return the value of an option of a foreign table; NULL if it is not set. */
static const char *
foreign_table_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return defGetString(lfirst_node(DefElem, lc));
	return NULL;
}

/* Return the object that a table's options name; one that the validator has not seen has members. */
static TableObject
foreign_table_named_object(List *options)
{
	const char *name = foreign_table_option(options, "object");

	return name && strcmp(name, object_names[TABLE_OF_GROUPS]) == 0 ? TABLE_OF_GROUPS : TABLE_OF_MEMBERS;
}

/* Return what a foreign table shows. */
TableObject
foreign_table_object(Oid relid)
{
	return foreign_table_named_object(GetForeignTable(relid)->options);
}

/* Raise an error for a column that the object does not have. */
static void
foreign_table_refuse_column(const WawpTable *table, const char *name)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < TABLE_MAX_COLUMNS && column_specs[table->object][i].name; i++)
		appendStringInfo(&known, "%s%s", i > 0 ? ", " : "", column_specs[table->object][i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("foreign table \"%s\" cannot have a column \"%s\"", table->name, name),
			 errdetail("Columns of a table of %s are %s.", object_names[table->object], known.data),
			 errhint("ALTER FOREIGN TABLE ... DROP COLUMN %s.", quote_identifier(name))));
}

/* Return the place of a column of that name among those of the object; raises an error if there is none. */
static int
foreign_table_find_column(const WawpTable *table, const char *name)
{
	for (int i = 0; i < TABLE_MAX_COLUMNS && column_specs[table->object][i].name; i++)
		if (strcmp(column_specs[table->object][i].name, name) == 0)
			return i;
	foreign_table_refuse_column(table, name);
	return -1;
}

/* Note an attribute of the table; raises an error if it is no column of the object, or of another type. */
static void
foreign_table_take_attribute(WawpTable *table, Form_pg_attribute attribute)
{
	int			column = foreign_table_find_column(table, NameStr(attribute->attname));
	Oid			type = column_specs[table->object][column].type;

	if (attribute->atttypid != type)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of foreign table \"%s\" must be of type %s", NameStr(attribute->attname),
						table->name, format_type_be(type)),
				 errdetail("It is of type %s.", format_type_be(attribute->atttypid)),
				 errhint("ALTER FOREIGN TABLE ... ALTER COLUMN %s TYPE %s.", quote_identifier(NameStr(attribute->attname)),
						 format_type_be(type))));
	table->attnos[column] = attribute->attnum;
}

/* Return a foreign table; raises an error if it has columns that it cannot have. */
WawpTable *
foreign_table_read(Relation rel)
{
	ForeignTable *foreign = GetForeignTable(RelationGetRelid(rel));
	const char *group = foreign_table_option(foreign->options, "group_jid");
	TupleDesc	desc = RelationGetDescr(rel);
	WawpTable  *table = palloc0(sizeof(WawpTable));

	table->name = pstrdup(RelationGetRelationName(rel));
	table->serverid = foreign->serverid;
	table->instance = GetForeignServer(foreign->serverid)->servername;
	table->object = foreign_table_named_object(foreign->options);
	if (group)
		table->group = pstrdup(jid_parse(group, strlen(group)).text);
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			foreign_table_take_attribute(table, TupleDescAttr(desc, i));
	return table;
}

/* Store a row in a slot of the table, which is cleared before; the values are not copied. */
void
foreign_table_store(const WawpTable *table, const WawpRow *row, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < TABLE_MAX_COLUMNS; i++)
		if (table->attnos[i] != 0)
		{
			slot->tts_values[table->attnos[i] - 1] = row->values[i];
			slot->tts_isnull[table->attnos[i] - 1] = row->nulls[i];
		}
	ExecStoreVirtualTuple(slot);
}

/* Fetch a row from a slot of the table; columns that it does not have are null. */
void
foreign_table_fetch(const WawpTable *table, TupleTableSlot *slot, WawpRow *row)
{
	for (int i = 0; i < TABLE_MAX_COLUMNS; i++)
	{
		row->nulls[i] = true;
		if (table->attnos[i] != 0)
			row->values[i] = slot_getattr(slot, table->attnos[i], &row->nulls[i]);
	}
}

/* Return the statements that create the tables of an instance. */
List *
foreign_table_import(const char *schema, const char *server)
{
	List	   *statements = NIL;

	if (strcmp(schema, IMPORTED_SCHEMA) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("there is no foreign schema \"%s\"", schema),
				 errhint("IMPORT FOREIGN SCHEMA %s FROM SERVER %s INTO ...", IMPORTED_SCHEMA, quote_identifier(server))));
	for (size_t object = 0; object < lengthof(object_names); object++)
	{
		StringInfoData text;

		initStringInfo(&text);
		appendStringInfo(&text, "CREATE FOREIGN TABLE %s (", object_names[object]);
		for (int i = 0; i < TABLE_MAX_COLUMNS && column_specs[object][i].name; i++)
			appendStringInfo(&text, "%s%s pg_catalog.%s", i > 0 ? ", " : "", column_specs[object][i].name,
							 column_specs[object][i].type == TEXTOID ? "text" : column_specs[object][i].type == BOOLOID ? "bool" : "int4");
		appendStringInfo(&text, ") SERVER %s OPTIONS (object '%s')", quote_identifier(server), object_names[object]);
		statements = lappend(statements, text.data);
	}
	return statements;
}
