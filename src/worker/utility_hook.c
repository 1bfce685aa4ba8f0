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
 * DROP EXTENSION wawp locks all tables that the worker uses, one after the other,
 * which would deadlock with a worker at work.  It is barred until the end of the
 * transaction.
 *
 * ALTER DATABASE ... SET wawp.worker counts for processes that start later: at
 * its commit the worker of that database is told to end, and another is started.
 *
 * COMMIT PREPARED wakes the worker: the session that made the requests could not
 * when it prepared, and this one does not know of them.
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
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
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

/* True if a statement drops the extension and the role may do that. */
static bool
drops_extension(Node *statement)
{
	ListCell   *lc;
	Oid			extension;

	if (!IsA(statement, DropStmt) || castNode(DropStmt, statement)->removeType != OBJECT_EXTENSION)
		return false;
	extension = get_extension_oid("wawp", true);
	foreach(lc, castNode(DropStmt, statement)->objects)
		if (strcmp(strVal(lfirst(lc)), "wawp") == 0)
			return OidIsValid(extension) && wawp_extension_ownercheck(extension, GetUserId());
	return false;
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
 * ---- ALTER DATABASE ... SET
 */

static Oid	worker_to_replace = InvalidOid; /* its database, in this transaction */

static void
settings_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	pid_t		pid;

	if (!OidIsValid(worker_to_replace) || event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && (pid = shmem_worker_pid(worker_to_replace)) != 0)
		(void) kill(pid, SIGTERM);
	worker_to_replace = InvalidOid;
}

/* Replace a worker at commit if a statement, which has succeeded, changed what it reads at its start. */
static void
utility_note_settings(Node *statement)
{
	static bool is_registered = false;
	const AlterDatabaseSetStmt *set = (const AlterDatabaseSetStmt *) statement;

	if (!IsA(statement, AlterDatabaseSetStmt) || wawp_shared == NULL)
		return;
	if (set->setstmt->kind != VAR_RESET_ALL && pg_strcasecmp(set->setstmt->name, "wawp.worker") != 0)
		return;
	if (!is_registered)
		RegisterXactCallback(settings_on_xact_end, NULL);
	is_registered = true;
	worker_to_replace = get_database_oid(set->dbname, true);
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

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	bool		wakes = commits_prepared(statement);
	Bar			bar = {.dbid = database_to_bar(statement)};

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
