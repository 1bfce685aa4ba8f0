/*-------------------------------------------------------------------------
 *
 * utility_hook.c
 *	  Statements that need the worker gone, replaced or woken.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE and CREATE
 * DATABASE ... TEMPLATE need a database without sessions.  A utility hook ends
 * the worker and bars it while such a statement runs, if the role may run it;
 * the statement itself decides everything else.
 *
 * DROP EXTENSION wawp, and DROP SCHEMA or DROP OWNED that drop it, lock all tables
 * that the worker uses, one after the other, which would deadlock with a worker at
 * work.  It is barred until the end of the transaction.
 *
 * ALTER DATABASE ... SET and ALTER ROLE ... SET of wawp.worker count for processes
 * that start later: at the commit the workers that it concerns are told
 * to end, and others are started.  ALTER DATABASE ... IS_TEMPLATE and
 * ALLOW_CONNECTIONS decide whether a database may have a worker at all: likewise.
 *
 * COMMIT PREPARED wakes the worker: the session that made the requests could not
 * when it prepared, and this one does not know of them.
 *
 * CREATE TRIGGER, CREATE RULE, foreign keys, partitions, ALTER ... DEPENDS ON EXTENSION,
 * DROP SERVER and ALTER SERVER ... RENAME lock what they name against everybody before PostgreSQL looks whether the role
 * may do that.  So it is looked at here: one idle session with any lock, and who asks for
 * such a one without a right, would keep all others waiting.
 *
 * Rows follow a server that changes: that is server_changes.c's.
 *
 * Bars are in shared memory, behind functions of shmem.c, and are lifted when the
 * statement or the transaction ends, however it ends.  Runs in the session that
 * executes the statement, in its transaction.
 *
 * IDENTIFICATION
 *	  src/worker/utility_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "base/clock.h"
#include "base/commit_wake.h"
#include "base/shmem.h"
#include "base/spi_statement.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "client/instance.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "worker/worker.h"

#include "compat.h"

/* A worker has as long to end as DROP DATABASE itself waits for other sessions. */
#define BAR_TIMEOUT_MS 5000
#define BAR_POLL_MS 5

static ProcessUtility_hook_type prev_utility = NULL;

/* Return the text of an option, or NULL. */
static const char *
option_text(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0 && def->arg != NULL)
			return defGetString(def);
	}
	return NULL;
}

/* Return the database that a statement needs without sessions, or NULL. */
static const char *
database_to_leave(Node *statement)
{
	if (IsA(statement, DropdbStmt))
		return castNode(DropdbStmt, statement)->dbname;
	if (IsA(statement, RenameStmt) && castNode(RenameStmt, statement)->renameType == OBJECT_DATABASE)
		return castNode(RenameStmt, statement)->subname;
	if (IsA(statement, AlterDatabaseStmt) &&
		option_text(castNode(AlterDatabaseStmt, statement)->options, "tablespace"))
		return castNode(AlterDatabaseStmt, statement)->dbname;
	if (IsA(statement, CreatedbStmt))
		return option_text(castNode(CreatedbStmt, statement)->options, "template");
	return NULL;
}

/* Return the database to bar, if the role may run the statement; InvalidOid otherwise. */
static Oid
database_to_bar(Node *statement)
{
	const char *name = database_to_leave(statement);
	Oid			dbid = name ? get_database_oid(name, true) : InvalidOid;

	return OidIsValid(dbid) && wawp_database_ownercheck(dbid, GetUserId()) ? dbid : InvalidOid;
}

/* The database that a statement has barred. */
typedef struct Bar
{
	Oid			dbid;
	bool		had_worker;
	bool		is_gone;		/* the database was dropped */
} Bar;

/* Bar the worker of a database, end it, and wait until it has gone. */
static void
bar_worker(Bar *bar)
{
	Oid			dbid = bar->dbid;
	int64		deadline = clock_monotonic_ms() + BAR_TIMEOUT_MS;
	pid_t		pid = shmem_bar_worker(dbid, true);

	bar->had_worker = (pid != 0);
	while (pid != 0 && clock_monotonic_ms() < deadline)
	{
		(void) kill(pid, SIGTERM);
		clock_wait_until(clock_monotonic_ms() + BAR_POLL_MS);
		pid = shmem_bar_worker(dbid, false);
	}
}

/* Lift a bar; also called when the session ends in the middle of the statement. */
static void
bar_lift(int code pg_attribute_unused(), Datum arg)
{
	const Bar  *bar = (const Bar *) DatumGetPointer(arg);

	shmem_admit_worker(bar->dbid, bar->is_gone, bar->had_worker);
}

/* Run the next hook, or the statement itself. */
static void
utility_run_next(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
				 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_utility)
		prev_utility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
}

/*
 * ---- DROP EXTENSION
 */

static Bar	dropping = {.dbid = InvalidOid};	/* the bar of this transaction */

static void
bar_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (!OidIsValid(dropping.dbid) || event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	shmem_admit_worker(dropping.dbid, false, dropping.had_worker);
	dropping.dbid = InvalidOid;
}

/* True if the extension is among those that are dropped, and the role may do that. */
static bool
drops_by_name(List *names)
{
	ListCell   *lc;
	Oid			extension = get_extension_oid("wawp", true);

	foreach(lc, names)
		if (strcmp(strVal(lfirst(lc)), "wawp") == 0)
			return OidIsValid(extension) && wawp_extension_ownercheck(extension, GetUserId());
	return false;
}

/* True if the schema with the extension's functions is among those that are dropped, and the role may do that. */
static bool
drops_schema(List *names)
{
	ListCell   *lc;
	Oid			schema = spi_extension_schema();

	foreach(lc, names)
		if (OidIsValid(schema) && get_namespace_oid(strVal(lfirst(lc)), true) == schema)
			return wawp_schema_ownercheck(schema, GetUserId());
	return false;
}

/* True if the extension's owner is among the roles whose objects are dropped, and the role may do that. */
static bool
drops_owned(List *roles)
{
	ListCell   *lc;
	Oid			owner = spi_extension_owner();

	foreach(lc, roles)
		if (OidIsValid(owner) && get_rolespec_oid(lfirst(lc), true) == owner)
			return has_privs_of_role(GetUserId(), owner);
	return false;
}

/* True if a statement drops the extension and the role may do that. */
static bool
drops_extension(Node *statement)
{
	const DropStmt *drop = (const DropStmt *) statement;

	if (IsA(statement, DropOwnedStmt))
		return drops_owned(castNode(DropOwnedStmt, statement)->roles);
	if (!IsA(statement, DropStmt))
		return false;
	if (drop->removeType == OBJECT_SCHEMA)
		return drop->behavior == DROP_CASCADE && drops_schema(drop->objects);
	return drop->removeType == OBJECT_EXTENSION && drops_by_name(drop->objects);
}

/* Bar the worker of this database until the transaction ends. */
static void
bar_until_transaction_end(void)
{
	static bool is_registered = false;

	if (OidIsValid(dropping.dbid))
		return;
	if (!is_registered)
		RegisterXactCallback(bar_on_xact_end, NULL);
	is_registered = true;
	dropping.dbid = MyDatabaseId;
	bar_worker(&dropping);
}

/*
 * ---- whether and how a database is served
 */

/* The workers that are replaced at this transaction's commit; the list is in its memory. */
static struct
{
	bool		is_registered;
	bool		of_all;			/* databases */
	List	   *databases;
}			to_replace;

/* End the workers that are told to; another is started where one is wanted and may be. */
static void
replace_workers(void)
{
	pid_t		pids[SHMEM_SLOTS];
	int			n = to_replace.of_all ? shmem_worker_pids(pids) : 0;
	ListCell   *lc;

	for (int i = 0; i < n; i++)
		(void) kill(pids[i], SIGTERM);
	foreach(lc, to_replace.databases)
	{
		pid_t		pid = shmem_worker_pid(lfirst_oid(lc));

		if (pid != 0)
			(void) kill(pid, SIGTERM);
		else
			(void) shmem_wake_worker(lfirst_oid(lc), NULL, 0, true);
	}
}

static void
replace_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT)
		replace_workers();
	to_replace.of_all = false;
	to_replace.databases = NIL;
}

/* Replace the worker of a database, NULL: all, at commit. */
static void
replace_at_commit(const char *database)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	if (!to_replace.is_registered)
		RegisterXactCallback(replace_on_xact_end, NULL);
	to_replace.is_registered = true;
	if (database)
		to_replace.databases = list_append_unique_oid(to_replace.databases, get_database_oid(database, true));
	else
		to_replace.of_all = true;
	MemoryContextSwitchTo(caller);
}

/* True if a statement sets something that workers read only at their start. */
static bool
sets_for_workers(const VariableSetStmt *set)
{
	static const char *const names[] = {"wawp.worker", "wawp.max_response_size", "wawp.connection_max_age"};

	for (size_t i = 0; i < lengthof(names); i++)
		if (set->kind == VAR_RESET_ALL || pg_strcasecmp(set->name, names[i]) == 0)
			return true;
	return false;
}

/* True if a role's settings are the workers', too, who are connected as the bootstrap superuser; NULL: all roles. */
static bool
role_is_workers(const RoleSpec *role)
{
	return role == NULL || get_rolespec_oid(role, true) == BOOTSTRAP_SUPERUSERID;
}

/* True if a statement changes whether sessions, and so a worker, may connect to a database. */
static bool
opens_or_closes_database(const AlterDatabaseStmt *statement)
{
	return option_text(statement->options, "is_template") != NULL || option_text(statement->options, "allow_connections") != NULL;
}

/* Go on with what a statement, which has succeeded, means to running workers. */
static void
utility_note_settings(Node *statement)
{
	if (wawp_shared == NULL)
		return;
	if (IsA(statement, AlterDatabaseSetStmt))
	{
		if (sets_for_workers(castNode(AlterDatabaseSetStmt, statement)->setstmt))
			replace_at_commit(castNode(AlterDatabaseSetStmt, statement)->dbname);
	}
	else if (IsA(statement, AlterRoleSetStmt))
	{
		const AlterRoleSetStmt *set = castNode(AlterRoleSetStmt, statement);

		if (role_is_workers(set->role) && sets_for_workers(set->setstmt))
			replace_at_commit(set->database);
	}
	else if (IsA(statement, AlterDatabaseStmt) && opens_or_closes_database(castNode(AlterDatabaseStmt, statement)))
		replace_at_commit(castNode(AlterDatabaseStmt, statement)->dbname);
}

/*
 * ---- COMMIT PREPARED
 */

static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		castNode(TransactionStmt, statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/* Wake the worker if there is one; most databases have no queue and get none by this. */
static void
wake_running_worker(void)
{
	if (wawp_shared != NULL && shmem_worker_pid(MyDatabaseId) != 0)
		(void) shmem_wake_worker(MyDatabaseId, NULL, 0, true);
}

/* True if a statement may change the pace, the account or the token of an instance, for which lanes wait. */
static bool
changes_instance(Node *statement)
{
	if (IsA(statement, RenameStmt))
		return castNode(RenameStmt, statement)->renameType == OBJECT_FOREIGN_SERVER;
	return IsA(statement, CreateForeignServerStmt) || IsA(statement, AlterForeignServerStmt) ||
		IsA(statement, CreateUserMappingStmt) || IsA(statement, AlterUserMappingStmt) || IsA(statement, DropUserMappingStmt);
}

/*
 * ---- statements of roles that may not execute them
 */

/* Return the relation of schema wawp that a statement names; InvalidOid if it is another one. */
static Oid
find_own_relation(const RangeVar *name)
{
	Oid			schema = get_namespace_oid("wawp", true);
	Oid			relid = OidIsValid(schema) ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	return OidIsValid(relid) && get_rel_namespace(relid) == schema ? relid : InvalidOid;
}

/* Raise, as PostgreSQL does later, if the role is not the owner of a relation of ours. */
static void
require_owner(const RangeVar *name)
{
	Oid			relid = find_own_relation(name);

	if (OidIsValid(relid) && !wawp_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/* Likewise, if the role does not have the privilege, on no column either. */
static void
require_privilege(const RangeVar *name, AclMode privilege)
{
	Oid			relid = find_own_relation(name);

	if (OidIsValid(relid) && pg_class_aclcheck(relid, GetUserId(), privilege) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), privilege, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/* Likewise for what a foreign key among these constraints refers to. */
static void
require_references(const List *constraints)
{
	ListCell   *lc;

	foreach(lc, constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype == CONSTR_FOREIGN && constraint->pktable != NULL)
			require_privilege(constraint->pktable, ACL_REFERENCES);
	}
}

/* Likewise for the other table of a part of ALTER TABLE; foreign keys of CREATE TABLE come here, too. */
static void
require_for_command(const AlterTableCmd *command)
{
	if (command->subtype == AT_AddConstraint)
		require_references(list_make1(command->def));
	else if (command->subtype == AT_AddColumn)
		require_references(castNode(ColumnDef, command->def)->constraints);
	else if (command->subtype == AT_AttachPartition || command->subtype == AT_DetachPartition)
		require_owner(castNode(PartitionCmd, command->def)->name);
}

/* Likewise for an instance. */
static void
require_server_owner(const char *name)
{
	const ForeignServer *server = GetForeignServerByName(name, true);

	if (server && instance_id_of(name) && !wawp_server_ownercheck(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, name);
}

/* Likewise for all that these statements lock against everybody. */
static void
require_rights(Node *statement)
{
	ListCell   *lc;

	if (IsA(statement, CreateTrigStmt))
		require_privilege(castNode(CreateTrigStmt, statement)->relation, ACL_TRIGGER);
	else if (IsA(statement, RuleStmt))
		require_owner(castNode(RuleStmt, statement)->relation);
	else if (IsA(statement, AlterTableStmt))
		foreach(lc, castNode(AlterTableStmt, statement)->cmds)
			require_for_command(lfirst_node(AlterTableCmd, lc));
	else if (IsA(statement, CreateStmt) || IsA(statement, CreateForeignTableStmt))
		foreach(lc, ((CreateStmt *) statement)->inhRelations)
			require_owner(lfirst_node(RangeVar, lc));
	else if (IsA(statement, AlterObjectDependsStmt) && castNode(AlterObjectDependsStmt, statement)->relation)
		require_owner(castNode(AlterObjectDependsStmt, statement)->relation);
	else if (IsA(statement, DropStmt) && castNode(DropStmt, statement)->removeType == OBJECT_FOREIGN_SERVER)
		foreach(lc, castNode(DropStmt, statement)->objects)
			require_server_owner(strVal(lfirst(lc)));
	else if (IsA(statement, RenameStmt) && castNode(RenameStmt, statement)->renameType == OBJECT_FOREIGN_SERVER)
		require_server_owner(strVal(castNode(RenameStmt, statement)->object));
}

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	bool		wakes = commits_prepared(statement);
	Bar			bar = {.dbid = database_to_bar(statement)};

	require_rights(statement);
	if (drops_extension(statement))
		bar_until_transaction_end();
	if (!OidIsValid(bar.dbid))
	{
		utility_run_next(pstmt, query, read_only_tree, context, params, environment, dest, qc);
		if (wakes)
			wake_running_worker();
		server_changes_note(statement);
		if (changes_instance(statement) && wawp_shared != NULL && shmem_worker_pid(MyDatabaseId) != 0)
			commit_wake_worker(NULL);
		utility_note_settings(statement);
		return;
	}
	PG_ENSURE_ERROR_CLEANUP(bar_lift, PointerGetDatum(&bar));
	{
		bar_worker(&bar);
		utility_run_next(pstmt, query, read_only_tree, context, params, environment, dest, qc);
		bar.is_gone = IsA(statement, DropdbStmt);
	}
	PG_END_ENSURE_ERROR_CLEANUP(bar_lift, PointerGetDatum(&bar));
	bar_lift(0, PointerGetDatum(&bar));
}

/* Install the hook; while preloading only. */
void
utility_hook_init(void)
{
	prev_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}
