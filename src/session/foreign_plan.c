/*-------------------------------------------------------------------------
 *
 * foreign_plan.c
 *	  Planning a scan of a foreign table.
 *
 * Only the group decides about what is read.  Conditions that name it are found
 * here: group_jid = value, = ANY (array), several of them with OR, and joins,
 * whose values come from the other side, row by row.  All conditions are checked
 * by the executor as well.
 *
 * A scan without such a condition reads all groups of the account.  Its cost is
 * so high that a join rather begins at the other table, whatever its size is
 * thought to be.
 *
 * Planning makes no request and reads nothing but catalogs.
 *
 * IDENTIFICATION
 *	  src/session/foreign_plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "session/foreign_plan.h"
#include "session/foreign_table.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"

/* Estimates, since an account's groups are not known without a request. */
#define GROUPS_GUESSED 50
#define MEMBERS_GUESSED 250

/* of reading one group, as a function of COST 10000 has */
#define COST_OF_GROUP 25
/* of reading all */
#define COST_OF_ALL 400000

/* The table of a scan that is planned; rel->fdw_private. */
typedef struct PlannedTable
{
	RelOptInfo *rel;
	WawpTable  *table;
	AttrNumber	group_attno;	/* 0: the table has no such column */
} PlannedTable;

/* Read the table, and raise an error if its columns are not as they have to be. */
void
foreign_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	PlannedTable *planned = palloc(sizeof(PlannedTable));
	Relation	relation = table_open(relid, NoLock);

	planned->rel = rel;
	planned->table = foreign_table_read(relation);
	planned->group_attno = planned->table->object == TABLE_OF_MEMBERS ? planned->table->attnos[COLUMN_GROUP_JID] : 0;
	table_close(relation, NoLock);
	rel->fdw_private = planned;
	rel->tuples = GROUPS_GUESSED;
	if (planned->table->object == TABLE_OF_MEMBERS)
		rel->tuples = planned->table->group ? MEMBERS_GUESSED : GROUPS_GUESSED * MEMBERS_GUESSED;
	set_baserel_size_estimates(root, rel);
}

/*
 * ---- conditions that name the group
 */

/* True if an expression is the table's column group_jid, with whatever collation. */
static bool
foreign_plan_is_group(const PlannedTable *planned, Node *node)
{
	Var		   *var;

	while (node && IsA(node, RelabelType) && ((RelabelType *) node)->resulttype == TEXTOID)
		node = (Node *) ((RelabelType *) node)->arg;
	var = (Var *) node;
	return planned->group_attno != 0 && node && IsA(node, Var) && var->varno == (int) planned->rel->relid &&
		var->varattno == planned->group_attno && var->varlevelsup == 0;
}

/* True if an expression of that type tells its value before the table is read. */
static bool
foreign_plan_is_value(const PlannedTable *planned, Node *node, Oid type)
{
	return exprType(node) == type && !bms_is_member(planned->rel->relid, pull_varnos(NULL, node)) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

/* True if an operator compares texts as bytes. */
static bool
foreign_plan_is_equality(Oid operator, Oid collation)
{
	return operator == TextEqualOperator && OidIsValid(collation) && get_collation_isdeterministic(collation);
}

/* Append the value of an equality to *values; false if it does not name the group. */
static bool
foreign_plan_take_equality(const PlannedTable *planned, OpExpr *op, List **values)
{
	Node	   *left = linitial(op->args);
	Node	   *right = llast(op->args);
	Node	   *value = foreign_plan_is_group(planned, left) ? right : left;

	if (list_length(op->args) != 2 || !foreign_plan_is_equality(op->opno, op->inputcollid) ||
		foreign_plan_is_group(planned, left) == foreign_plan_is_group(planned, right) ||
		!foreign_plan_is_value(planned, value, TEXTOID))
		return false;
	*values = lappend(*values, value);
	return true;
}

/* Likewise the array of = ANY. */
static bool
foreign_plan_take_any(const PlannedTable *planned, ScalarArrayOpExpr *op, List **values)
{
	if (!op->useOr || !foreign_plan_is_equality(op->opno, op->inputcollid) ||
		!foreign_plan_is_group(planned, linitial(op->args)) || !foreign_plan_is_value(planned, llast(op->args), TEXTARRAYOID))
		return false;
	*values = lappend(*values, llast(op->args));
	return true;
}

/* Append to *values those of which a condition says that the group is one; false, and they are not to be used, if it does not. */
static bool
foreign_plan_take_values(const PlannedTable *planned, Node *clause, List **values)
{
	ListCell   *lc;

	if (clause && IsA(clause, OpExpr))
		return foreign_plan_take_equality(planned, (OpExpr *) clause, values);
	if (clause && IsA(clause, ScalarArrayOpExpr))
		return foreign_plan_take_any(planned, (ScalarArrayOpExpr *) clause, values);
	if (clause == NULL || !is_orclause(clause))
		return false;
	foreach(lc, ((BoolExpr *) clause)->args)
		if (!foreign_plan_take_values(planned, lfirst(lc), values))
			return false;
	return true;
}

/* Return the values of the first of some conditions that names the group; NIL if none does. */
static List *
foreign_plan_values(const PlannedTable *planned, List *clauses)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		List	   *values = NIL;
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);

		if (!clause->pseudoconstant && foreign_plan_take_values(planned, (Node *) clause->clause, &values))
			return values;
	}
	return NIL;
}

/*
 * ---- paths
 */

static void
foreign_plan_add_path(PlannerInfo *root, const PlannedTable *planned, double rows, Cost cost, Relids outer)
{
	add_path(planned->rel, (Path *) wawp_foreign_path(root, planned->rel, rows, cost, cost + rows * cpu_tuple_cost, outer));
}

/* Callback: choose the members of an equivalence class that are the column group_jid. */
static bool
foreign_plan_is_group_member(PlannerInfo *root pg_attribute_unused(), RelOptInfo *rel pg_attribute_unused(),
							 EquivalenceClass *ec pg_attribute_unused(), EquivalenceMember *member, void *arg)
{
	return foreign_plan_is_group(arg, (Node *) member->em_expr);
}

/* Return the clauses of joins by which another table may tell the group. */
static List *
foreign_plan_join_clauses(PlannerInfo *root, PlannedTable *planned)
{
	RelOptInfo *rel = planned->rel;
	List	   *clauses = NIL;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
		if (join_clause_is_movable_to(lfirst_node(RestrictInfo, lc), rel))
			clauses = lappend(clauses, lfirst(lc));
	if (rel->has_eclass_joins)
		clauses = list_concat(clauses, generate_implied_equalities_for_column(root, rel, foreign_plan_is_group_member,
																			   planned, rel->lateral_referencers));
	return clauses;
}

/* Add a path for each set of other tables that may tell the group. */
static void
foreign_plan_add_join_paths(PlannerInfo *root, PlannedTable *planned)
{
	List	   *done = NIL;
	ListCell   *lc;

	foreach(lc, foreign_plan_join_clauses(root, planned))
	{
		Relids		outer = bms_union(lfirst_node(RestrictInfo, lc)->clause_relids, planned->rel->lateral_relids);
		ParamPathInfo *info;

		outer = bms_del_member(outer, planned->rel->relid);
		if (bms_is_empty(outer) || foreign_plan_values(planned, list_make1(lfirst(lc))) == NIL)
			continue;
		info = get_baserel_parampathinfo(root, planned->rel, outer);
		if (list_member_ptr(done, info))
			continue;
		done = lappend(done, info);
		foreign_plan_add_path(root, planned, info->ppi_rows, COST_OF_GROUP, outer);
	}
}

/* Add the paths of a scan: as it is, and with the group told by other tables. */
void
foreign_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid pg_attribute_unused())
{
	PlannedTable *planned = rel->fdw_private;
	bool		is_all = planned->table->object == TABLE_OF_MEMBERS && planned->table->group == NULL &&
		foreign_plan_values(planned, rel->baserestrictinfo) == NIL;

	foreign_plan_add_path(root, planned, rel->rows, is_all ? COST_OF_ALL : COST_OF_GROUP, rel->lateral_relids);
	if (is_all && planned->group_attno != 0)
		foreign_plan_add_join_paths(root, planned);
}

/* True if the scan is part of a statement, or of a part of one, that changes something. */
static bool
foreign_plan_is_for_change(const PlannerInfo *root)
{
	for (; root; root = root->parent_root)
		if (root->parse->commandType != CMD_SELECT)
			return true;
	return false;
}

/* Make the plan of a path. */
ForeignScan *
foreign_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid pg_attribute_unused(),
				  ForeignPath *best pg_attribute_unused(), List *tlist, List *clauses, Plan *outer)
{
	List	   *values = foreign_plan_values(rel->fdw_private, clauses);
	List	   *private = list_make2_int(values != NIL, foreign_plan_is_for_change(root));

	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid, values, private, NIL, NIL, outer);
}
