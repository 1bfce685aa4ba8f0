/*-------------------------------------------------------------------------
 *
 * foreign_scan.h
 *	  Scanning a foreign table, and what EXPLAIN shows of it.
 *
 * IDENTIFICATION
 *	  src/session/foreign_scan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOREIGN_SCAN_H
#define WAWP_FOREIGN_SCAN_H

#include "nodes/execnodes.h"

/* its header differs between versions */
struct ExplainState;

extern void foreign_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *foreign_scan_next(ForeignScanState *node);
extern void foreign_scan_again(ForeignScanState *node);
extern void foreign_scan_end(ForeignScanState *node);
extern void foreign_scan_explain(ForeignScanState *node, struct ExplainState *es);

#endif							/* WAWP_FOREIGN_SCAN_H */
