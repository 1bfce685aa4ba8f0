/*-------------------------------------------------------------------------
 *
 * table_column.c
 *	  The way of a statement's values into the columns of a table.
 *
 * Serves rows that are written without a statement: a value is stored as it is, or
 * a text is read by the column's type; and it is told whether the current role has
 * the privilege.  No locks beyond the caller's; nothing stays allocated.
 *
 * IDENTIFICATION
 *	  src/base/table_column.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/table_column.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "compat.h"

/* Fill in where a value of that type goes; false if it would need a cast. */
bool
column_place(Form_pg_attribute attribute, Oid type, ColumnPlace *place)
{
	Oid			function;

	place->attribute = attribute->attnum - 1;
	place->is_read = attribute->atttypid != type || (type == TEXTOID && attribute->atttypmod >= 0);
	place->typmod = attribute->atttypmod;
	if (!place->is_read)
		return true;
	if (type != TEXTOID)
		return false;
	getTypeInputInfo(attribute->atttypid, &function, &place->io_parameter);
	fmgr_info(function, &place->input);
	return true;
}

/* Return a value as its column has it. */
Datum
column_value(ColumnPlace *place, Datum value)
{
	if (!place->is_read)
		return value;
	return InputFunctionCall(&place->input, TextDatumGetCString(value), place->io_parameter, place->typmod);
}

/* True if the current role has these privileges on a table, and no row security is in the way. */
bool
table_lets_write(Relation relation, AclMode privileges)
{
	Oid			relid = RelationGetRelid(relation);

	return pg_class_aclmask(relid, GetUserId(), privileges, ACLMASK_ALL) == privileges &&
		check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED;
}
