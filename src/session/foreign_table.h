/*-------------------------------------------------------------------------
 *
 * foreign_table.h
 *	  Foreign tables of members and groups: their options and columns.
 *
 * IDENTIFICATION
 *	  src/session/foreign_table.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOREIGN_TABLE_H
#define WAWP_FOREIGN_TABLE_H

#include "executor/tuptable.h"
#include "utils/rel.h"

typedef enum TableObject
{
	TABLE_OF_MEMBERS,
	TABLE_OF_GROUPS
} TableObject;

/* Columns, by the object that has them. */
#define COLUMN_GROUP_JID 0

#define COLUMN_JID 1
#define COLUMN_PHONE_JID 2
#define COLUMN_LID 3
#define COLUMN_ROLE 4
#define COLUMN_COMPLETE 5

#define COLUMN_SUBJECT 1
#define COLUMN_SIZE 2

#define TABLE_MAX_COLUMNS 6

/* A foreign table; in one memory context. */
typedef struct WawpTable
{
	const char *name;
	const char *instance;		/* the server's name */
	Oid			serverid;
	TableObject object;
	const char *group;			/* the option group_jid in normal form; NULL: a column tells */
	AttrNumber	attnos[TABLE_MAX_COLUMNS];	/* by column; 0: the table does not have it */
} WawpTable;

/* One row of such a table, by column. */
typedef struct WawpRow
{
	Datum		values[TABLE_MAX_COLUMNS];
	bool		nulls[TABLE_MAX_COLUMNS];
} WawpRow;

extern WawpTable *foreign_table_read(Relation rel);
extern TableObject foreign_table_object(Oid relid);
extern void foreign_table_store(const WawpTable *table, const WawpRow *row, TupleTableSlot *slot);
extern void foreign_table_fetch(const WawpTable *table, TupleTableSlot *slot, WawpRow *row);
extern List *foreign_table_import(const char *schema, const char *server);

#endif							/* WAWP_FOREIGN_TABLE_H */
