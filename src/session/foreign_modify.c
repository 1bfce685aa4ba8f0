/*-------------------------------------------------------------------------
 *
 * foreign_modify.c
 *	  INSERT, UPDATE and DELETE of a foreign table of members.
 *
 * They ask: each row becomes one INSERT into wawp.membership_intent, in the
 * caller's transaction and by the role whose rights the table is used with, so
 * that the queue's trigger, policies, quotas and record are those of a plain
 * INSERT.  No request is made here.
 *
 *	INSERT					add; with role admin, promote after that
 *	UPDATE ... SET role		promote or demote, unless the list says that it is so
 *	DELETE					remove
 *
 * The person of an UPDATE or a DELETE is found by the ctid among the rows that
 * the statement has read (foreign_read.c).  To ask for what the role has queued
 * already is a unique violation for INSERT, as in the queue, unless it says ON
 * CONFLICT DO NOTHING; for UPDATE and DELETE it is no error, since the member
 * stays in the list until the request is served.
 *
 * RETURNING shows what was asked.  Memory: values live in the memory of
 * the executor's row.  Locks: those of the INSERT.
 *
 * IDENTIFICATION
 *	  src/session/foreign_modify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "base/encoding.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/appendinfo.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "protocol/jid.h"
#include "session/foreign_modify.h"
#include "session/foreign_read.h"
#include "session/foreign_table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"

#include WAWP_EXPLAIN_FORMAT_HEADER

/* The junk column that finds a row again. */
#define ROW_ID "ctid"

/* A table that is changed; result->ri_FdwState. */
typedef struct TableChange
{
	WawpTable  *table;
	Oid			roleid;			/* who asks */
	bool		may_be_queued;	/* what is queued already is passed over */
	AttrNumber	row_id;			/* of UPDATE and DELETE: the column of the plan */
	const ReadStatement *statement;
} TableChange;

/* Return the commands that a table allows, by bit. */
int
foreign_modify_commands(Relation rel)
{
	if (foreign_table_object(RelationGetRelid(rel)) == TABLE_OF_GROUPS)
		return 0;
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

/* Let the plan of an UPDATE or a DELETE return each row's ctid. */
void
foreign_modify_add_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte pg_attribute_unused(),
						   Relation rel pg_attribute_unused())
{
	Var		   *var = makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	add_row_identity_var(root, var, rtindex, ROW_ID);
}

/* Make the state of a table that is changed. */
static TableChange *
foreign_modify_make(ModifyTableState *state, ResultRelInfo *result)
{
	TableChange *change = palloc0(sizeof(TableChange));
	ModifyTable *plan = (ModifyTable *) state->ps.plan;

	change->table = foreign_table_read(result->ri_RelationDesc);
	change->roleid = wawp_result_role(result, state->ps.state);
	if (!OidIsValid(change->roleid))
		change->roleid = GetUserId();
	change->may_be_queued = state->operation != CMD_INSERT || plan->onConflictAction == ONCONFLICT_NOTHING;
	result->ri_FdwState = change;
	return change;
}

/* Begin to change a table. */
void
foreign_modify_begin(ModifyTableState *state, ResultRelInfo *result, List *private pg_attribute_unused(),
					 int subplan pg_attribute_unused(), int eflags)
{
	TableChange *change = foreign_modify_make(state, result);

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) || state->operation == CMD_INSERT)
		return;
	change->row_id = ExecFindJunkAttributeInTlist(outerPlanState(state)->plan->targetlist, ROW_ID);
	if (!AttributeNumberIsValid(change->row_id))
		elog(ERROR, "could not find junk column \"%s\"", ROW_ID);
	change->statement = foreign_read_statement(state->ps.state);
}

/*
 * Begin to insert rows of a table whose partition this one is, or refuse those of
 * COPY, which has no plan: a dump with foreign data would ask for everybody again
 * where it is restored.  A partition that the statement updates as well keeps the
 * state that it has: rows that move to it are inserted between those updates.
 */
void
foreign_modify_begin_insert(ModifyTableState *state, ResultRelInfo *result)
{
	if (state->ps.plan == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot copy to foreign table \"%s\"", RelationGetRelationName(result->ri_RelationDesc)),
				 errdetail("Each row would be a request, also when a dump with foreign data is restored."),
				 errhint("COPY to a table of your own, and INSERT ... SELECT from that.")));
	if (result->ri_FdwState == NULL)
		(void) foreign_modify_make(state, result);
}

/*
 * ---- requests
 */

/* One request, in normal form once it was made. */
typedef struct ChangeRequest
{
	const char *group;
	const char *person;
	const char *action;
	int64		after;			/* the intent that it waits for; 0: none */
} ChangeRequest;

#define INSERT_INTENT \
	"INSERT INTO wawp.membership_intent (group_jid, jid, action, instance, after)" \
	" VALUES ($1, $2, $3::wawp.action, $4, $5)"

static SqlStatement insert_intent = {
	INSERT_INTENT " RETURNING id, group_jid, jid",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}, NULL
};

static SqlStatement insert_intent_unless_queued = {
	INSERT_INTENT " ON CONFLICT DO NOTHING RETURNING id, group_jid, jid",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}, NULL
};

/* Insert the intent; returns its id, 0 if the same is queued already. */
static int64
foreign_modify_insert_intent(const TableChange *change, ChangeRequest *request, MemoryContext memory)
{
	SqlOwner	before = spi_begin_as_caller();
	SqlArgs		args = {0};
	int64		id = 0;

	spi_add_text(&args, request->group);
	spi_add_text(&args, request->person);
	spi_add_text(&args, request->action);
	spi_add_text(&args, change->table->instance);
	spi_add_id(&args, request->after);
	if (spi_run(change->may_be_queued ? &insert_intent_unless_queued : &insert_intent, &args) > 0)
	{
		id = spi_get_int8(0, 1, 0);
		request->group = MemoryContextStrdup(memory, spi_get_text(0, 2));
		request->person = MemoryContextStrdup(memory, spi_get_text(0, 3));
	}
	spi_end_as_caller(&before);
	return id;
}

/* Likewise as the role that asks; an error undoes the change of role with its (sub)transaction. */
static int64
foreign_modify_request(const TableChange *change, ChangeRequest *request)
{
	MemoryContext memory = CurrentMemoryContext;
	Oid			userid;
	int			security;
	int64		id;

	GetUserIdAndSecContext(&userid, &security);
	if (change->roleid != userid)
		SetUserIdAndSecContext(change->roleid, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	id = foreign_modify_insert_intent(change, request, memory);
	SetUserIdAndSecContext(userid, security);
	return id;
}

/*
 * ---- rows
 */

static const char *
foreign_modify_text(const WawpRow *row, int column)
{
	return row->nulls[column] ? NULL : TextDatumGetCString(row->values[column]);
}

static void
foreign_modify_set_text(WawpRow *row, int column, const char *value)
{
	row->nulls[column] = value == NULL;
	row->values[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
}

static Jid
foreign_modify_parse(const char *value)
{
	const char *utf8 = text_from_server(value ? value : "");

	return jid_parse(utf8, strlen(utf8));
}

/* Return the group of a new row: the column's, else the table's; raises an error if there is none, or if they differ. */
static const char *
foreign_modify_new_group(const TableChange *change, const WawpRow *row)
{
	const char *group = foreign_modify_text(row, COLUMN_GROUP_JID);

	if (group == NULL && change->table->group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of a new member of foreign table \"%s\" is null", "group_jid", change->table->name),
				 errhint("Name the group in that column, or in the table's option \"group_jid\".")));
	if (group && change->table->group && strcmp(foreign_modify_parse(group).text, change->table->group) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("foreign table \"%s\" is of another group than \"%s\"", change->table->name, group),
				 errdetail("Its option \"group_jid\" is \"%s\".", change->table->group)));
	return group ? group : change->table->group;
}

/* Return the person of a new row: the number if there is one; raises an error if two are named. */
static const char *
foreign_modify_new_person(const WawpRow *row)
{
	const char *jid = foreign_modify_text(row, COLUMN_JID);
	const char *phone = foreign_modify_text(row, COLUMN_PHONE_JID);
	Jid			by_jid = foreign_modify_parse(jid);
	Jid			by_phone = foreign_modify_parse(phone);

	if (jid && phone && by_jid.kind == JID_PERSON && by_phone.kind == JID_PERSON && !jid_same(&by_jid, &by_phone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns \"%s\" and \"%s\" of a new member name two people", "jid", "phone_jid"),
				 errdetail("They are \"%s\" and \"%s\".", jid, phone)));
	if (phone)
		return phone;
	return jid ? jid : foreign_modify_text(row, COLUMN_LID);
}

/* True if a role that is asked for is that of an admin; raises an error for any other than member and admin. */
static bool
foreign_modify_wants_admin(const WawpRow *row, bool may_be_null)
{
	const char *role = foreign_modify_text(row, COLUMN_ROLE);

	if (role ? strcmp(role, "member") != 0 && strcmp(role, "admin") != 0 : !may_be_null)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid role \"%s\"", role ? role : "null"),
				 errdetail("A member can be made \"admin\" or \"member\"."),
				 role && strcmp(role, "owner") == 0 ? errhint("Only WhatsApp itself makes owners.") : 0));
	return role && strcmp(role, "admin") == 0;
}

/* Store what was asked for in a slot of the table. */
static TupleTableSlot *
foreign_modify_return(const TableChange *change, const ChangeRequest *request, const char *role, TupleTableSlot *slot)
{
	WawpRow		row = {.nulls = {true, true, true, true, true, true}};
	Jid			person = foreign_modify_parse(request->person);

	foreign_modify_set_text(&row, COLUMN_GROUP_JID, request->group);
	foreign_modify_set_text(&row, COLUMN_JID, request->person);
	foreign_modify_set_text(&row, person.kind == JID_LID ? COLUMN_LID : COLUMN_PHONE_JID, request->person);
	foreign_modify_set_text(&row, COLUMN_ROLE, role);
	foreign_table_store(change->table, &row, slot);
	return slot;
}

/* Ask for a new member; NULL, and nothing is asked, if ON CONFLICT DO NOTHING says so. */
TupleTableSlot *
foreign_modify_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot pg_attribute_unused())
{
	const TableChange *change = result->ri_FdwState;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	ChangeRequest request = {.action = "add"};
	ChangeRequest promotion;
	bool		is_admin;
	WawpRow		row;

	foreign_table_fetch(change->table, slot, &row);
	is_admin = foreign_modify_wants_admin(&row, true);
	request.group = foreign_modify_new_group(change, &row);
	request.person = foreign_modify_new_person(&row);
	promotion = request;
	promotion.action = "promote";
	promotion.after = foreign_modify_request(change, &request);
	if (promotion.after != 0 && is_admin)
		(void) foreign_modify_request(change, &promotion);
	slot = promotion.after != 0 ? foreign_modify_return(change, &request, is_admin ? "admin" : "member", slot) : NULL;
	MemoryContextSwitchTo(caller);
	return slot;
}

/* Return the member that a row of the plan is about; raises an error for an entry of a list that names nobody. */
static const WawpRow *
foreign_modify_old_row(const TableChange *change, TupleTableSlot *plan_slot)
{
	bool		isnull;
	Datum		tid = ExecGetJunkAttribute(plan_slot, change->row_id, &isnull);
	const WawpRow *row;

	if (isnull)
		elog(ERROR, "\"%s\" is null", ROW_ID);
	row = foreign_read_row_at(change->statement, (ItemPointer) DatumGetPointer(tid));
	if (row->nulls[COLUMN_JID] && row->nulls[COLUMN_PHONE_JID])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an entry of the member list of group \"%s\" is not understood", foreign_modify_text(row, COLUMN_GROUP_JID)),
				 errdetail("It does not tell whom to ask for."),
				 errhint("Leave such entries out by WHERE jid IS NOT NULL.")));
	return row;
}

/* Begin a request about a member. */
static ChangeRequest
foreign_modify_about(const WawpRow *row, const char *action)
{
	ChangeRequest request = {
		.group = foreign_modify_text(row, COLUMN_GROUP_JID),
		.person = foreign_modify_text(row, row->nulls[COLUMN_PHONE_JID] ? COLUMN_JID : COLUMN_PHONE_JID),
		.action = action
	};

	return request;
}

/* Ask for a member's removal. */
TupleTableSlot *
foreign_modify_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	const TableChange *change = result->ri_FdwState;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	const WawpRow *row = foreign_modify_old_row(change, plan_slot);
	ChangeRequest request = foreign_modify_about(row, "remove");

	(void) foreign_modify_request(change, &request);
	foreign_table_store(change->table, row, slot);
	MemoryContextSwitchTo(caller);
	return slot;
}

/* Raise an error if an UPDATE changes anything but the role; `complete` is not asked for, and is passed over. */
static void
foreign_modify_check_unchanged(const TableChange *change, const WawpRow *old, const WawpRow *new)
{
	static const struct
	{
		int			column;
		const char *name;
	}			fixed[] =
	{
		{COLUMN_GROUP_JID, "group_jid"},
		{COLUMN_JID, "jid"},
		{COLUMN_PHONE_JID, "phone_jid"},
		{COLUMN_LID, "lid"},
	};

	for (size_t i = 0; i < lengthof(fixed); i++)
	{
		const char *before = foreign_modify_text(old, fixed[i].column);
		const char *after = foreign_modify_text(new, fixed[i].column);

		if (change->table->attnos[fixed[i].column] != 0 &&
			(before == NULL ? after != NULL : after == NULL || strcmp(before, after) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" of foreign table \"%s\" cannot be updated", fixed[i].name, change->table->name),
					 errhint("Only \"role\" can.  Another person is asked for by DELETE and INSERT, or by wawp_request_swap().")));
	}
}

/* Ask for a member's new role. */
TupleTableSlot *
foreign_modify_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	const TableChange *change = result->ri_FdwState;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	const WawpRow *old = foreign_modify_old_row(change, plan_slot);
	const char *role = foreign_modify_text(old, COLUMN_ROLE);
	ChangeRequest request;
	WawpRow		row;
	bool		is_owner = role && strcmp(role, "owner") == 0;
	const char *wanted;

	foreign_table_fetch(change->table, slot, &row);
	foreign_modify_check_unchanged(change, old, &row);
	wanted = change->table->attnos[COLUMN_ROLE] != 0 ? foreign_modify_text(&row, COLUMN_ROLE) : role;
	if (role && wanted ? strcmp(wanted, role) != 0 : wanted != role)
	{
		bool		is_admin = foreign_modify_wants_admin(&row, false);

		if (!is_admin && is_owner)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the owner of group \"%s\" cannot be made a plain member", foreign_modify_text(old, COLUMN_GROUP_JID)),
					 errhint("Leave the owner out by WHERE role = 'admin'.")));
		request = foreign_modify_about(old, is_admin ? "promote" : "demote");
		if (!is_owner)
			(void) foreign_modify_request(change, &request);
	}
	MemoryContextSwitchTo(caller);
	return slot;
}

/* Show what a change asks for. */
void
foreign_modify_explain(ModifyTableState *state, ResultRelInfo *result, List *private pg_attribute_unused(),
					   int subplan pg_attribute_unused(), struct ExplainState *es)
{
	static const struct
	{
		CmdType		command;
		const char *asks;
	}			commands[] =
	{
		{CMD_INSERT, "add, promote after that where role is admin"},
		{CMD_UPDATE, "promote or demote"},
		{CMD_DELETE, "remove"},
	};
	const TableChange *change = result->ri_FdwState;

	for (size_t i = 0; i < lengthof(commands); i++)
		if (commands[i].command == state->operation)
			ExplainPropertyText("Asks the Queue", psprintf("%s, instance %s", commands[i].asks, change->table->instance), es);
}
