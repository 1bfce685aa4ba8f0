/*-------------------------------------------------------------------------
 *
 * foreign_read.h
 *	  Rows of groups that a statement has read, for foreign tables.
 *
 * IDENTIFICATION
 *	  src/session/foreign_read.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOREIGN_READ_H
#define WAWP_FOREIGN_READ_H

#include "client/instance.h"
#include "nodes/execnodes.h"
#include "session/foreign_table.h"
#include "storage/itemptr.h"

/* The account and the role that a table is read with. */
typedef struct ReadAs
{
	const WawpInstance *instance;
	Oid			roleid;
} ReadAs;

/* A member list, or the list of groups, as it was read; rows are numbered through the statement. */
typedef struct ReadRows
{
	Oid			serverid;
	Oid			roleid;
	const char *group;			/* "": the list of groups */
	int64		read_ms;		/* when the answer had come, monotonic */
	int64		first_id;
	int			n;
	WawpRow    *rows;
} ReadRows;

typedef struct ReadStatement ReadStatement;

extern ReadStatement *foreign_read_statement(EState *estate);
extern bool foreign_read_is_first(const ReadStatement *statement);
extern const ReadRows *foreign_read_groups(ReadStatement *statement, const ReadAs *as);
extern const ReadRows *foreign_read_members(ReadStatement *statement, const ReadAs *as, const char *group, bool waits);
extern void foreign_read_set_tid(const ReadRows *rows, int n, ItemPointer tid);
extern const WawpRow *foreign_read_row_at(const ReadStatement *statement, ItemPointer tid);

#endif							/* WAWP_FOREIGN_READ_H */
