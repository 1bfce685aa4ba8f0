/*-------------------------------------------------------------------------
 *
 * server_changes.c
 *	  Changes to rows when an instance's foreign server changes.
 *
 * Rows have an instance by its name.  When a server is renamed, what is queued,
 * under way or failed, holds, memberships and settings of groups get its new name
 * in the same transaction.  What is done or cancelled and the audit log keep the
 * name they had; the limiter counts by account.
 *
 * An intent is served only by the account that it was asked for with (intent.c).
 * When a server is made, or gets another instance_id, holds of the account before
 * end, and a notice tells of intents that wait for that account.  A pause by hand
 * stays with a server that gets another instance_id, and ends when the server was
 * dropped and one of another account made.  Holds of requesters are about their
 * user mappings and the account, so they end with either; PUBLIC's user mapping,
 * changed, ends the hold of an instance whose token was refused.
 *
 * Called by utility_hook.c in the session of the statement, after it succeeded.
 * Locks: the server, exclusively, by the statement itself if it renames or drops;
 * who writes rows of an instance locks it shared (instance.c), so that no row is
 * written with the old name.
 *
 * IDENTIFICATION
 *	  src/worker/server_changes.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/commit_wake.h"
#include "base/requester.h"
#include "base/spi_statement.h"
#include "client/instance.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/webhook_event.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "worker/worker.h"

#include "compat.h"

/* Return who executes the statement, for the audit log. */
static IntentRequester
server_changes_requester(void)
{
	IntentRequester by = {GetUserId(), GetUserNameFromId(GetUserId(), false), 0};
	StringInfoData from;

	initStringInfo(&from);
	appendStringInfoString(&from, "{\"login\": ");
	escape_json(&from, requester_login_role());
	appendStringInfoChar(&from, '}');
	by.from = DirectFunctionCall1(jsonb_in, CStringGetDatum(from.data));
	return by;
}

/* Give everything that is an instance's its new name. */
static void
server_note_renamed(const char *from, const char *to)
{
	IntentRequester by = server_changes_requester();
	SqlOwner	before = spi_begin_as_owner();

	hold_rename_instance(from, to);
	requester_hold_rename_instance(from, to);
	settings_rename_instance(from, to);
	membership_rename_instance(from, to);
	webhook_rename_instance(from, to);
	intent_rename_instance(from, to);
	intent_note("policy", to, "", NULL, psprintf("the instance was renamed, its name was \"%s\"", from), &by);
	spi_end_as_owner(&before);
}

/* End holds of the account before, and tell of what waits for it.  is_new: the server was made by this statement. */
static void
server_note_account(const char *name, bool is_new)
{
	IntentRequester by = server_changes_requester();
	SqlOwner	before = spi_begin_as_owner();
	uint64		ended = hold_end_of_other_account(name, is_new);
	bool		has_rows = intent_has_other_account(name);

	if (ended > 0)
		intent_note("resumed", name, "", NULL, "the instance has another account", &by);
	spi_end_as_owner(&before);
	if (ended > 0)
		ereport(NOTICE,
				(errmsg("holds of the account that Wawp instance \"%s\" had before have ended", name)));
	if (has_rows)
		ereport(NOTICE,
				(errmsg("intents that were asked for with another account of Wawp instance \"%s\" are held", name),
				 errdetail("They are not sent by account %s.", instance_id_of(name)),
				 errhint("The view wawp.stuck shows them. wawp_cancel() them and request them again, or set instance_id back.")));
}

/* End the holds of an instance's requesters. */
static void
server_end_requester_holds(const char *name)
{
	SqlOwner	before = spi_begin_as_owner();

	(void) requester_hold_lift(name, InvalidOid);
	spi_end_as_owner(&before);
}

/* End the holds of requesters of servers that a statement dropped. */
static void
server_note_dropped(const DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->objects)
		server_end_requester_holds(strVal(lfirst(lc)));
}

/* True if a statement gives a server an instance_id. */
static bool
server_gets_account(Node *statement)
{
	ListCell   *lc;

	if (IsA(statement, CreateForeignServerStmt))
		return !castNode(CreateForeignServerStmt, statement)->if_not_exists;
	if (IsA(statement, AlterForeignServerStmt))
		foreach(lc, castNode(AlterForeignServerStmt, statement)->options)
			if (strcmp(((DefElem *) lfirst(lc))->defname, "instance_id") == 0)
				return true;
	return false;
}

/* Return the server of a statement that changes a user mapping, and in *user whose mapping; NULL for another statement. */
static const char *
mapping_server(Node *statement, RoleSpec **user)
{
	if (IsA(statement, CreateUserMappingStmt))
		return *user = castNode(CreateUserMappingStmt, statement)->user, castNode(CreateUserMappingStmt, statement)->servername;
	if (IsA(statement, AlterUserMappingStmt))
		return *user = castNode(AlterUserMappingStmt, statement)->user, castNode(AlterUserMappingStmt, statement)->servername;
	if (IsA(statement, DropUserMappingStmt))
		return *user = castNode(DropUserMappingStmt, statement)->user, castNode(DropUserMappingStmt, statement)->servername;
	return NULL;
}

/*
 * End what was held because of the token of a user mapping that a statement
 * changes: its role; if it is PUBLIC's, all roles and the instance.
 */
static void
server_note_mapping(const char *name, const RoleSpec *user)
{
	bool		is_public = user->roletype == ROLESPEC_PUBLIC;
	Oid			role = is_public ? InvalidOid : get_rolespec_oid(user, true);
	IntentRequester by = server_changes_requester();
	SqlOwner	before;

	if ((!is_public && !OidIsValid(role)) || !spi_tables_are_current())
		return;
	before = spi_begin_as_owner();
	(void) requester_hold_lift(name, role);
	if (is_public && hold_end_of_refused_token(name))
		intent_note("resumed", name, "", NULL, "the instance has another access token", &by);
	spi_end_as_owner(&before);
}

/* Go on with what a statement, which has succeeded, means to rows. */
void
server_changes_note(Node *statement)
{
	RoleSpec   *user;
	const char *mapped = mapping_server(statement, &user);
	const char *renamed = NULL;
	const char *name = NULL;

	if (mapped)
		server_note_mapping(mapped, user);
	if (IsA(statement, DropStmt) && castNode(DropStmt, statement)->removeType == OBJECT_FOREIGN_SERVER &&
		spi_tables_are_current())
		server_note_dropped(castNode(DropStmt, statement));
	if (IsA(statement, RenameStmt) && castNode(RenameStmt, statement)->renameType == OBJECT_FOREIGN_SERVER)
	{
		renamed = strVal(castNode(RenameStmt, statement)->object);
		name = castNode(RenameStmt, statement)->newname;
	}
	else if (IsA(statement, CreateForeignServerStmt))
		name = castNode(CreateForeignServerStmt, statement)->servername;
	else if (IsA(statement, AlterForeignServerStmt) && castNode(AlterForeignServerStmt, statement)->options != NIL)
		name = castNode(AlterForeignServerStmt, statement)->servername;
	if (name == NULL || instance_id_of(name) == NULL || !spi_tables_are_current())
		return;
	if (server_gets_account(statement))
		server_end_requester_holds(name);
	if (renamed)
		server_note_renamed(renamed, name);
	else
		server_note_account(name, IsA(statement, CreateForeignServerStmt) &&
							!castNode(CreateForeignServerStmt, statement)->if_not_exists);
}
