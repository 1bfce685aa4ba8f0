/*-------------------------------------------------------------------------
 *
 * table_update.h
 *	  Updates rows of one of the extension's tables without a statement.
 *
 * IDENTIFICATION
 *	  src/base/table_update.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TABLE_UPDATE_H
#define WAWP_TABLE_UPDATE_H

#include "base/spi_statement.h"
#include "executor/tuptable.h"

/* A table of schema wawp, and the columns of it that are set. */
typedef struct TableUpdate
{
	const char *table;
	const int  *columns;		/* from 1 */
	const Oid  *types;			/* of the values; a text is read as the column's type if that is another */
	int			ncolumns;
} TableUpdate;

/* Looks at the n-th row before it is updated, and may change the values; false: it stays as it is. */
typedef bool (*TableUpdateLook) (TupleTableSlot *row, int n, Datum *values, void *context);

extern bool table_takes_update(const TableUpdate *update);
extern bool table_update_rows(const TableUpdate *update, const SqlArgs *values, ItemPointerData *places, int n,
							  TableUpdateLook look, void *context, bool *updated);

#endif							/* WAWP_TABLE_UPDATE_H */
