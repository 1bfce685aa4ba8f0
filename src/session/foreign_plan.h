/*-------------------------------------------------------------------------
 *
 * foreign_plan.h
 *	  Planning a scan of a foreign table.
 *
 * IDENTIFICATION
 *	  src/session/foreign_plan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOREIGN_PLAN_H
#define WAWP_FOREIGN_PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

/*
 * The plan of a scan: fdw_exprs has expressions of the groups to read, each a
 * text or a text[]; fdw_private these integers.
 */
typedef enum ForeignPrivate
{
	FOREIGN_BY_GROUP,			/* only those groups are read */
	FOREIGN_EAGER				/* all is read before the first row is returned */
} ForeignPrivate;

extern void foreign_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void foreign_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *foreign_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best,
									  List *tlist, List *clauses, Plan *outer);

#endif							/* WAWP_FOREIGN_PLAN_H */
