/*-------------------------------------------------------------------------
 *
 * utility_hook.c
 *	  What statements have to do with the worker.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE and CREATE
 * DATABASE ... TEMPLATE need a database without sessions.  A utility hook ends
 * the worker and bars it while such a statement runs, if the role may run it;
 * the statement itself decides everything else.
 *
 * DROP EXTENSION wawp locks everything that the worker works with, one after
 * the other: with a worker at work that is a deadlock waiting to happen.  It is
 * barred until the end of the transaction.
 *
 * ALTER DATABASE ... SET wawp.worker counts for processes that start later: at
 * its commit the worker of that database is told to end, and another is started.
 *
 * COMMIT PREPARED wakes the worker: the session that asked for something could
 * not when it prepared, and this one does not know of it.
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

/* As long as DROP DATABASE itself waits for other sessions. */
#define BAR_TIMEOUT_MS 5000
#define BAR_POLL_MS 5

static ProcessUtility_hook_type prev_utility = NULL;

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

/* The database that a statement needs to be alone with; NULL for none. */
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

/* The database to bar, if the role may do that to it. */
static Oid
database_to_bar(Node *statement)
{
	const char *name = database_to_leave(statement);
	Oid			dbid = name ? get_database_oid(name, true) : InvalidOid;

	return OidIsValid(dbid) && wawp_database_ownercheck(dbid, GetUserId()) ? dbid : InvalidOid;
}

/* A statement under way and what it has barred. */
typedef struct Bar
{
	Oid			dbid;
	bool		had_worker;
	bool		is_gone;		/* the database was dropped */
} Bar;

/* Ends the worker of a database and waits until it has gone. */
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

/* Also when the session is ended in the middle of the statement. */
static void
bar_lift(int code pg_attribute_unused(), Datum arg)
{
	const Bar  *bar = (const Bar *) DatumGetPointer(arg);

	shmem_admit_worker(bar->dbid, bar->is_gone, bar->had_worker);
}

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

/* Does a statement drop the extension, and may the role do that? */
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

static void
bar_until_transaction_end(void)
{
	static bool registered = false;

	if (OidIsValid(dropping.dbid))
		return;
	if (!registered)
		RegisterXactCallback(bar_on_xact_end, NULL);
	registered = true;
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

/* Notes, once a statement has succeeded, that it has changed what a worker reads as it starts. */
static void
utility_note_settings(Node *statement)
{
	static bool registered = false;
	const AlterDatabaseSetStmt *set = (const AlterDatabaseSetStmt *) statement;

	if (!IsA(statement, AlterDatabaseSetStmt) || wawp_shared == NULL)
		return;
	if (set->setstmt->kind != VAR_RESET_ALL && pg_strcasecmp(set->setstmt->name, "wawp.worker") != 0)
		return;
	if (!registered)
		RegisterXactCallback(settings_on_xact_end, NULL);
	registered = true;
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

/* A database without a worker gets none by this: most have no queue. */
static void
wake_running_worker(void)
{
	if (wawp_shared != NULL && shmem_worker_pid(MyDatabaseId) != 0)
		(void) shmem_wake_worker(MyDatabaseId, NULL, 0, true);
}

/* True if the pace, the account or the token of an instance may change, for which lanes wait. */
static bool
changes_instance(Node *statement)
{
	return IsA(statement, CreateForeignServerStmt) || IsA(statement, AlterForeignServerStmt) ||
		IsA(statement, CreateUserMappingStmt) || IsA(statement, AlterUserMappingStmt);
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

/* Installs the hook; while preloading only. */
void
ddl_init(void)
{
	prev_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}
