/*-------------------------------------------------------------------------
 *
 * trigger_catalog.h
 *	  Membership triggers in pg_trigger.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_catalog.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_CATALOG_H
#define WAWP_TRIGGER_CATALOG_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/* A row of pg_trigger. */
typedef struct TriggerEntry
{
	Oid			trigger;
	Oid			parent;			/* the partitioned table's trigger of which it is a clone; InvalidOid: none */
	Oid			table;
	const char *schema;
	const char *table_name;
	Oid			function;
	int16		type;
	const char *name;
	int			nargs;
	char	  **args;
} TriggerEntry;

extern bool trigger_is_ours(Oid function);
extern bool trigger_read_entry(Oid trigger, TriggerEntry *entry);
extern TriggerEntry trigger_topmost(Oid trigger);
extern List *trigger_list_ours(void);
extern const char *trigger_place(const TriggerEntry *entry);
extern const char *trigger_place_by_name(Relation table, const char *name);

#endif							/* WAWP_TRIGGER_CATALOG_H */
