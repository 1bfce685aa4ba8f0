/*-------------------------------------------------------------------------
 *
 * sync_source.h
 *	  Reads who should be in which group from a user's table.
 *
 * IDENTIFICATION
 *	  src/session/sync_source.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SYNC_SOURCE_H
#define WAWP_SYNC_SOURCE_H

#include "nodes/pg_list.h"

/* A group of the source; texts are UTF-8. */
typedef struct SyncSourceGroup
{
	const char *group;			/* normal form; as written if it is no group; NULL: a NULL */
	const char *problem;		/* why it is no group; NULL: it is one */
	int			n;				/* people; a NULL beside a group names nobody */
	int			size;			/* of the array */
	const char **people;
} SyncSourceGroup;

/* A source that was read. */
typedef struct SyncSource
{
	List	   *groups;			/* of SyncSourceGroup pointers, in the order of their names */
	bool		is_filtered;	/* row security decided which rows the role sees: who is missing may be wanted */
} SyncSource;

extern SyncSource sync_source_read(Oid source, const char *group_column, const char *jid_column);

#endif							/* WAWP_SYNC_SOURCE_H */
