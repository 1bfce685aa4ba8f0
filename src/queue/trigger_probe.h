/*-------------------------------------------------------------------------
 *
 * trigger_probe.h
 *	  Looks for rows of a user's table that may name people, without statements.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_probe.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_PROBE_H
#define WAWP_TRIGGER_PROBE_H

#include "access/attnum.h"
#include "protocol/jid.h"
#include "utils/relcache.h"

/* Values of the group's column, of its base type, from the first to the last. */
typedef struct RowRange
{
	Datum		first;
	Datum		last;
} RowRange;

#define ROW_RANGES 6

typedef enum RowProbeResult
{
	ROW_NONE,
	ROW_LOCKED,					/* there is one, and it is locked FOR SHARE */
	ROW_UNKNOWN					/* no index tells, or a row changed meanwhile: a statement is needed */
} RowProbeResult;

/* A row that is looked for: of a person in a group, whose usual spellings are in the ranges. */
typedef struct SoughtRow
{
	Jid			group;
	Jid			person;
	int			nranges;		/* needed for an index only */
	RowRange	ranges[ROW_RANGES];
	RowProbeResult result;
} SoughtRow;

/* The table that is looked into. */
typedef struct RowProbe
{
	Relation	table;
	AttrNumber	group_column;
	AttrNumber	jid_column;
} RowProbe;

extern bool trigger_probe_has_ranges(Oid type, Oid collation);
extern void trigger_probe(const RowProbe *probe, bool by_index, SoughtRow **sought, int n);

#endif							/* WAWP_TRIGGER_PROBE_H */
