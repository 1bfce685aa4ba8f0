/*-------------------------------------------------------------------------
 *
 * trigger_probe.h
 *	  Looks in an index of a user's table for rows that may name a person.
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

/* The rows looked for: one of the values in the group's column, the person in the other. */
typedef struct RowProbe
{
	Relation	table;
	AttrNumber	group_column;
	AttrNumber	jid_column;
	int			nvalues;
	const Datum *values;		/* of the group column's base type; the same one may be there more than once */
	const Jid  *jid;
} RowProbe;

typedef enum RowProbeResult
{
	ROW_NONE,
	ROW_LOCKED,					/* there is one, and it is locked FOR SHARE */
	ROW_UNKNOWN					/* no index tells, or a row changed meanwhile: a statement is needed */
} RowProbeResult;

extern RowProbeResult trigger_probe(const RowProbe *probe);

#endif							/* WAWP_TRIGGER_PROBE_H */
