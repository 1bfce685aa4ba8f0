/*-------------------------------------------------------------------------
 *
 * foreign_modify.h
 *	  INSERT, UPDATE and DELETE of a foreign table of members.
 *
 * IDENTIFICATION
 *	  src/session/foreign_modify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FOREIGN_MODIFY_H
#define WAWP_FOREIGN_MODIFY_H

#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* its header differs between versions */
struct ExplainState;

extern int	foreign_modify_commands(Relation rel);
extern void foreign_modify_add_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte, Relation rel);
extern void foreign_modify_begin(ModifyTableState *state, ResultRelInfo *result, List *private, int subplan, int eflags);
extern void foreign_modify_begin_insert(ModifyTableState *state, ResultRelInfo *result);
extern TupleTableSlot *foreign_modify_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot *foreign_modify_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot *foreign_modify_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern void foreign_modify_explain(ModifyTableState *state, ResultRelInfo *result, List *private, int subplan, struct ExplainState *es);

#endif							/* WAWP_FOREIGN_MODIFY_H */
