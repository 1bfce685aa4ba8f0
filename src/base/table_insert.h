/*-------------------------------------------------------------------------
 *
 * table_insert.h
 *	  Inserts rows into one of the extension's tables without a statement.
 *
 * IDENTIFICATION
 *	  src/base/table_insert.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TABLE_INSERT_H
#define WAWP_TABLE_INSERT_H

#include "base/spi_statement.h"

/* A table of schema wawp and columns of it; those that are not named are null. */
typedef struct TableInsert
{
	const char *table;
	const char *own_trigger;	/* a trigger's function that takes our rows as they are; NULL: none */
	const char *const *columns;
	const Oid  *types;			/* of the values; a text is read as the column's type if that is another */
	int			ncolumns;
} TableInsert;

extern bool table_insert_rows(const TableInsert *into, const SqlArgs *rows, int n);

#endif							/* WAWP_TABLE_INSERT_H */
