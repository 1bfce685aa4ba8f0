/*-------------------------------------------------------------------------
 *
 * index_probe.h
 *	  Looks for a row in an index, without a statement.
 *
 * IDENTIFICATION
 *	  src/base/index_probe.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INDEX_PROBE_H
#define WAWP_INDEX_PROBE_H

#include "executor/tuptable.h"

#define PROBE_MAX_KEYS 4

typedef enum IndexProbeResult
{
	PROBE_NONE,
	PROBE_FOUND,
	PROBE_UNKNOWN				/* the index is missing or not valid: a statement is needed */
} IndexProbeResult;

/* A table of schema wawp, one of its indexes, both as literals, and values of the index's first columns. */
typedef struct IndexProbe
{
	const char *table;
	const char *index;
	int			nkeys;
	Datum		keys[PROBE_MAX_KEYS];	/* of the index columns' types: text, name, oid, uuid or bigint; a text of 0 is
										 * null */
} IndexProbe;

/* A column of the table and its type; what is read of it. */
typedef struct ProbeColumn
{
	const char *name;
	Oid			type;
	Datum		value;			/* in the current context */
	bool		is_null;
} ProbeColumn;

/* Called for a row, whose columns are read with slot_getattr(). */
typedef void (*IndexProbeTake) (TupleTableSlot *slot, void *context);

/* True if that is the row that is meant; its columns are read likewise. */
typedef bool (*IndexProbeMatch) (TupleTableSlot *slot, void *context);

extern IndexProbeResult index_probe_first(const IndexProbe *probe);
extern IndexProbeResult index_probe_committed(const IndexProbe *probes, int n);
extern IndexProbeResult index_probe_columns(const IndexProbe *probe, ProbeColumn *columns, int n);
extern IndexProbeResult index_probe_each(const IndexProbe *probe, IndexProbeTake take, void *context);
extern void index_probe_all(const IndexProbe *probes, int n, IndexProbeResult *results);
extern void index_probe_all_pending(const IndexProbe *probes, int n, IndexProbeResult *results);
extern bool index_probe_is_pending(const IndexProbe *probe);
extern bool index_probe_is_pending_where(const IndexProbe *probe, IndexProbeMatch matches, void *context);
extern bool index_probe_is_free(const IndexProbe *probe);
extern IndexProbeResult index_probe_first_int8(const IndexProbe *probe, const char *column, int64 *value);

#endif							/* WAWP_INDEX_PROBE_H */
