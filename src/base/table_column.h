/*-------------------------------------------------------------------------
 *
 * table_column.h
 *	  The way of a statement's values into the columns of a table.
 *
 * IDENTIFICATION
 *	  src/base/table_column.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TABLE_COLUMN_H
#define WAWP_TABLE_COLUMN_H

#include "catalog/pg_attribute.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/relcache.h"

/* The way of a value into its column. */
typedef struct ColumnPlace
{
	int			attribute;		/* from 0 */
	bool		is_read;		/* by the type's input function */
	FmgrInfo	input;
	Oid			io_parameter;
	int32		typmod;
} ColumnPlace;

extern bool column_place(Form_pg_attribute attribute, Oid type, ColumnPlace *place);
extern Datum column_value(ColumnPlace *place, Datum value);
extern bool table_lets_write(Relation relation, AclMode privileges);

#endif							/* WAWP_TABLE_COLUMN_H */
