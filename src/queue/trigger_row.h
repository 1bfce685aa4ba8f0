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
#include "base/subtransaction.h"
#include "datatype/timestamp.h"
#include "utils/relcache.h"

/* The meaning of a column's values as times. */
typedef enum RowTimes
{
	ROW_NO_TIMES,
	ROW_TIMES,
	ROW_TIMES_AS_TEXT			/* read with the DateStyle and zone of who writes; perhaps none */
} RowTimes;

extern AttrNumber row_column(Relation table, const char *name);
extern Datum row_value(Relation table, HeapTuple row, AttrNumber column, bool *isnull);
extern char *row_value_text(Datum value, Oid type);
extern char *row_text(Relation table, HeapTuple row, AttrNumber column);
extern RowTimes row_times_of_type(Oid type);
extern void row_refuse_times(int elevel, const char *column, Oid type);
extern TimestampTz row_time(Relation table, HeapTuple row, AttrNumber column);
extern bool row_try_times(SubtransactionWork work, void *subject);
extern bool row_try_time(Relation table, HeapTuple row, AttrNumber column, TimestampTz *at);
extern bool row_has_other_time(Relation table, HeapTuple row, HeapTuple other, AttrNumber column);

#endif							/* WAWP_TRIGGER_ROW_H */
