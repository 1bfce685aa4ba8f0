/*-------------------------------------------------------------------------
 *
 * trigger_row.h
 *	  Values of the rows that users' triggers hand over.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_row.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_ROW_H
#define WAWP_TRIGGER_ROW_H

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "utils/relcache.h"

extern AttrNumber row_column(Relation table, const char *name);
extern Datum row_value(Relation table, HeapTuple row, AttrNumber column, bool *isnull);
extern char *row_value_text(Datum value, Oid type);
extern char *row_text(Relation table, HeapTuple row, AttrNumber column);
extern TimestampTz row_time(Relation table, HeapTuple row, AttrNumber column);

#endif							/* WAWP_TRIGGER_ROW_H */
