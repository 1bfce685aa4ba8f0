/*-------------------------------------------------------------------------
 *
 * trigger_search.h
 *	  Looks for rows of a user's table that want a person in a group.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_search.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_SEARCH_H
#define WAWP_TRIGGER_SEARCH_H

#include "access/htup.h"
#include "queue/trigger_arguments.h"
#include "queue/trigger_probe.h"
#include "utils/reltrigger.h"
#include "utils/timestamp.h"

/* The table that is searched, by its trigger. */
typedef struct RowSearch
{
	const Trigger *trigger;
	Relation	table;
	const TriggerMapping *mapping;
} RowSearch;

/* A row that is gone: has another one its person in its group? */
typedef struct WantedRow
{
	HeapTuple	row;
	SoughtRow	sought;			/* the caller sets the group and the person, both valid */
	bool		is_found;
	TimestampTz end;			/* of the rows that were found; set by trigger_search_ends() */
	bool		has_unreadable; /* likewise: is_found is false, as one of their ends cannot be read */
} WantedRow;

extern void trigger_search(const RowSearch *where, WantedRow *wanted, int n);
extern bool trigger_has_ends(const RowSearch *where);
extern void trigger_search_ends(const RowSearch *where, WantedRow *wanted, int n);

#endif							/* WAWP_TRIGGER_SEARCH_H */
