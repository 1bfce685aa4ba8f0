/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The trigger that turns rows of a user's table into memberships.
 *
 *	CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
 *	EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone',
 *		'until=ends_at', 'reason=shift {region}', 'instance=support')
 *
 * "group", "jid" and "until" name columns, the rest are literals; "{column}"
 * in the reason is filled in.  INSERT adds, DELETE removes unless another row
 * still has that person in that group, UPDATE moves.  With "action" every
 * firing asks for just that.  Authority is the table's owner, as for foreign
 * keys.
 *
 * The user's write never fails because of WhatsApp: whatever goes wrong after
 * the trigger's own arguments were read becomes a WARNING.  What keeps two
 * writers apart (a deadlock, a serialization failure, lock_timeout) is not
 * WhatsApp's and is raised: as a WARNING it would lose a person.
 *
 * IDENTIFICATION
 *	  src/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "queue.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_membership_trigger);

/* The trigger's arguments; columns and texts as they are written there. */
typedef struct Mapping
{
	const char *group;
	const char *jid;
	const char *until;
	const char *reason;
	const char *instance;
	const char *action;
} Mapping;

static const struct
{
	const char *name;
	size_t		offset;
	bool		is_required;
	bool		is_column;
}			arguments[] =
{
	{"group", offsetof(Mapping, group), true, true},
	{"jid", offsetof(Mapping, jid), true, true},
	{"until", offsetof(Mapping, until), false, true},
	{"reason", offsetof(Mapping, reason), false, false},
	{"instance", offsetof(Mapping, instance), false, false},
	{"action", offsetof(Mapping, action), false, false},
};

static const char **
member_of(Mapping *mapping, int i)
{
	return (const char **) ((char *) mapping + arguments[i].offset);
}

static void
read_argument(Mapping *mapping, const char *argument)
{
	const char *equals = strchr(argument, '=');

	for (size_t i = 0; equals && i < lengthof(arguments); i++)
	{
		if (strlen(arguments[i].name) != (size_t) (equals - argument) ||
			strncmp(argument, arguments[i].name, equals - argument) != 0)
			continue;
		*member_of(mapping, i) = equals + 1;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid argument \"%s\" of wawp_membership_trigger()", argument),
			 errhint("Arguments are 'group=column', 'jid=column', 'until=column', 'reason=text with {column}', 'instance=name' and 'action=add|remove|promote|demote'.")));
}

static Mapping
read_mapping(const TriggerData *trigger)
{
	Mapping		mapping = {0};
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	for (int i = 0; i < trigger->tg_trigger->tgnargs; i++)
		read_argument(&mapping, trigger->tg_trigger->tgargs[i]);
	for (size_t i = 0; i < lengthof(arguments); i++)
	{
		const char *value = *member_of(&mapping, i);

		if (value == NULL ? arguments[i].is_required
			: arguments[i].is_column && SPI_fnumber(desc, value) == SPI_ERROR_NOATTRIBUTE)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 value
					 ? errmsg("column \"%s\" of table \"%s\" does not exist", value,
							  RelationGetRelationName(trigger->tg_relation))
					 : errmsg("argument \"%s\" of wawp_membership_trigger() is missing", arguments[i].name)));
	}
	return mapping;
}

static IntentAction
action_of(const char *name)
{
	for (int i = ACTION_ADD; i <= ACTION_DEMOTE; i++)
		if (strcmp(name, intent_action_name((IntentAction) i)) == 0)
			return (IntentAction) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid action \"%s\" of wawp_membership_trigger()", name)));
	return ACTION_ADD;
}

static const char *
column_value(const TriggerData *trigger, HeapTuple row, const char *column)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	return column ? SPI_getvalue(row, desc, SPI_fnumber(desc, column)) : NULL;
}

static TimestampTz
time_value(const TriggerData *trigger, HeapTuple row, const char *column)
{
	const char *text = column_value(trigger, row, column);

	return text == NULL ? 0
		: DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
												  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* The reason with each {column} filled in; other braces stay. */
static const char *
fill_reason(const TriggerData *trigger, HeapTuple row, const char *pattern)
{
	StringInfoData out;

	if (pattern == NULL)
		return NULL;
	initStringInfo(&out);
	while (*pattern)
	{
		const char *end = *pattern == '{' ? strchr(pattern, '}') : NULL;
		char	   *column = end ? pnstrdup(pattern + 1, end - pattern - 1) : NULL;
		const char *value;

		if (column == NULL || SPI_fnumber(RelationGetDescr(trigger->tg_relation), column) <= 0)
		{
			appendStringInfoChar(&out, *pattern++);
			continue;
		}
		value = column_value(trigger, row, column);
		appendStringInfoString(&out, value ? value : "");
		pattern = end + 1;
	}
	return out.data;
}

/*
 * ---- what a firing means
 */

/* Who was to be removed has another row, committed while this waited to ask. */
static bool overtaken;

/* The table the trigger is on: of a partition's clone, the whole table. */
static Oid
table_of(const TriggerData *trigger)
{
	Oid			table = RelationGetRelid(trigger->tg_relation);

	return trigger->tg_trigger->tgisclone ? llast_oid(get_partition_ancestors(table)) : table;
}

/*
 * Does another row of the table have that person in that group?  That row is
 * locked: who takes it away at the same time waits and then looks for ours.
 */
static bool
is_still_wanted(const TriggerData *trigger, const Mapping *mapping, const char *group, const char *jid)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(group), CStringGetTextDatum(jid)};
	const char *ours = quote_identifier(get_namespace_name(get_func_namespace(trigger->tg_trigger->tgfoid)));
	Oid			table = table_of(trigger);
	StringInfoData query;
	int			result;

	initStringInfo(&query);
	appendStringInfo(&query,
					 "SELECT 1 FROM %s WHERE %s::pg_catalog.text OPERATOR(pg_catalog.=) $1"
					 " AND (%s::pg_catalog.text OPERATOR(pg_catalog.=) $2 OR"
					 " %s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) %s.wawp_jid($2)) LIMIT 1 FOR SHARE",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table)),
					 quote_identifier(mapping->group), quote_identifier(mapping->jid),
					 ours, quote_identifier(mapping->jid), ours);
	result = SPI_execute_with_args(query.data, 2, types, values, NULL, false, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not look for other rows: %s", SPI_result_code_string(result));
	return SPI_processed > 0;
}

static void
ask(const TriggerData *trigger, const Mapping *mapping, HeapTuple row, IntentAction action)
{
	Relation	table = trigger->tg_relation;
	const char *group = column_value(trigger, row, mapping->group);
	const char *jid = column_value(trigger, row, mapping->jid);
	bool		may_be_wanted = action == ACTION_REMOVE && mapping->action == NULL;
	Wish		wish = {
		.action = action,
		.verify = true,
		.invite = true,
		.reason = fill_reason(trigger, row, mapping->reason),
		.origin = psprintf("trigger %s.%s", get_namespace_name(RelationGetNamespace(table)),
						   RelationGetRelationName(table))
	};

	if (group == NULL || jid == NULL)
		return;
	if (action == ACTION_ADD)
		wish.until = time_value(trigger, row, mapping->until);
	if (may_be_wanted && is_still_wanted(trigger, mapping, group, jid))
		return;
	queue_ask(GetUserId(), mapping->instance, &wish, group, jid);
	overtaken |= may_be_wanted && is_still_wanted(trigger, mapping, group, jid);
}

static bool
differs(const TriggerData *trigger, const char *column)
{
	const char *before = column_value(trigger, trigger->tg_trigtuple, column);
	const char *after = column_value(trigger, trigger->tg_newtuple, column);

	return before == NULL || after == NULL ? before != after : strcmp(before, after) != 0;
}

static void
fire(const TriggerData *trigger, const Mapping *mapping)
{
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple	now = is_update ? trigger->tg_newtuple : trigger->tg_trigtuple;

	if (mapping->action)
		ask(trigger, mapping, now, action_of(mapping->action));
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ask(trigger, mapping, now, ACTION_ADD);
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ask(trigger, mapping, now, ACTION_REMOVE);
	else if (differs(trigger, mapping->group) || differs(trigger, mapping->jid))
	{
		ask(trigger, mapping, trigger->tg_trigtuple, ACTION_REMOVE);
		ask(trigger, mapping, now, ACTION_ADD);
	}
	else if (mapping->until && differs(trigger, mapping->until))
		ask(trigger, mapping, now, ACTION_ADD);
}

static void
fire_as_owner(const TriggerData *trigger, const Mapping *mapping)
{
	Oid			userid;
	int			security;

	GetUserIdAndSecContext(&userid, &security);
	SetUserIdAndSecContext(trigger->tg_relation->rd_rel->relowner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	fire(trigger, mapping);
	SPI_finish();
	SetUserIdAndSecContext(userid, security);
}

/* The user's own: a cancel, or another writer of the same rows. */
static bool
is_users_own(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

/* An error is undone and becomes a WARNING; who was overtaken has to look again. */
static void
fire_safely(const TriggerData *trigger, const Mapping *mapping)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		overtaken = false;
		fire_as_owner(trigger, mapping);
		if (overtaken)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		overtaken = false;
		RollbackAndReleaseCurrentSubTransaction();
		if (is_users_own(error->sqlerrcode))
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("membership not asked for: %s", error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/*
 * AFTER ... FOR EACH ROW trigger for users' tables; see the top of this file.
 */
Datum
wawp_membership_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Mapping		mapping;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("wawp_membership_trigger() must be fired AFTER, FOR EACH ROW")));
	mapping = read_mapping(trigger);
	do
		fire_safely(trigger, &mapping);
	while (overtaken);
	return PointerGetDatum(NULL);
}
