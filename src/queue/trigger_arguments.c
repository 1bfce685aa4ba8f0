/*-------------------------------------------------------------------------
 *
 * trigger_arguments.c
 *	  Arguments of wawp_membership_trigger().
 *
 * They are texts, 'name=value', as CREATE TRIGGER has them; three of them name
 * columns of the table.  No locks beyond the caller's on the table.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_arguments.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "queue/trigger_arguments.h"
#include "queue/trigger_catalog.h"
#include "queue/trigger_row.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "compat.h"

static const struct
{
	const char *name;
	size_t		offset;
	size_t		column;			/* where its number goes; 0: a literal */
	bool		is_required;
}			arguments[] =
{
	{"group", offsetof(TriggerMapping, group), offsetof(TriggerMapping, group_column), true},
	{"jid", offsetof(TriggerMapping, jid), offsetof(TriggerMapping, jid_column), true},
	{"until", offsetof(TriggerMapping, until), offsetof(TriggerMapping, until_column), false},
	{"reason", offsetof(TriggerMapping, reason), 0, false},
	{"instance", offsetof(TriggerMapping, instance), 0, false},
	{"action", offsetof(TriggerMapping, action), 0, false},
};

static const char **
mapping_member(TriggerMapping *mapping, int i)
{
	return (const char **) ((char *) mapping + arguments[i].offset);
}

/* Sets the member of *mapping that the argument names, pointing into the argument; raises if there is none. */
static void
read_argument(TriggerMapping *mapping, const char *argument)
{
	const char *equals = strchr(argument, '=');

	for (size_t i = 0; equals && i < lengthof(arguments); i++)
	{
		if (strlen(arguments[i].name) != (size_t) (equals - argument) ||
			strncmp(argument, arguments[i].name, equals - argument) != 0)
			continue;
		*mapping_member(mapping, i) = equals + 1;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid argument \"%s\" of wawp_membership_trigger()", argument),
			 errhint("Arguments are 'group=column', 'jid=column', 'until=column', 'reason=text with {column}', 'instance=name' and 'action=add|remove|promote|demote|invite'.")));
}

/* Raises for a column that does not exist, perhaps because it was renamed or dropped. */
static void
refuse_missing_column(Relation table, const char *trigger, const char *argument, const char *column)
{
	const char *name = RelationGetRelationName(table);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of table \"%s\" does not exist", column, name),
			 errdetail("Trigger \"%s\" has the argument '%s=%s'.", trigger, argument, column),
			 errhint("If the column was renamed or dropped, DROP TRIGGER %s and create it anew with the columns there are.",
					 trigger_place_by_name(table, trigger)),
			 errtable(table)));
}

/* Sets the column number of the i-th argument in *mapping, if it names a column; raises if it is missing. */
static void
resolve_argument(Relation table, const char *trigger, TriggerMapping *mapping, int i)
{
	const char *value = *mapping_member(mapping, i);
	AttrNumber	column;

	if (value == NULL && arguments[i].is_required)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("argument \"%s\" of wawp_membership_trigger() is missing", arguments[i].name),
				 errdetail("Trigger \"%s\" of table \"%s\" lacks it.", trigger, RelationGetRelationName(table)),
				 errhint("Create the trigger anew with '%s=column'.", arguments[i].name)));
	if (value == NULL || arguments[i].column == 0)
		return;
	column = row_column(table, value);
	if (column == InvalidAttrNumber)
		refuse_missing_column(table, trigger, arguments[i].name, value);
	*(AttrNumber *) ((char *) mapping + arguments[i].column) = column;
}

/* Returns the action of that name, or raises. */
IntentAction
trigger_action(const char *name)
{
	for (int i = ACTION_ADD; i <= ACTION_INVITE; i++)
		if (strcmp(name, intent_action_name((IntentAction) i)) == 0)
			return (IntentAction) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid action \"%s\" of wawp_membership_trigger()", name)));
	return ACTION_ADD;
}

/* Reads the arguments of a table's trigger; raises if one is invalid, naming the trigger. */
TriggerMapping
trigger_read_arguments(Relation table, const char *trigger, int nargs, char **args)
{
	TriggerMapping mapping = {0};

	for (int i = 0; i < nargs; i++)
		read_argument(&mapping, args[i]);
	for (size_t i = 0; i < lengthof(arguments); i++)
		resolve_argument(table, trigger, &mapping, i);
	if (mapping.action)
		(void) trigger_action(mapping.action);
	return mapping;
}

/* True if an argument is the i-th of those there are and names the column, in a reason in braces. */
static bool
is_argument_naming(const char *argument, size_t i, const char *column)
{
	size_t		n = strlen(arguments[i].name);

	if (strncmp(argument, arguments[i].name, n) != 0 || argument[n] != '=')
		return false;
	if (arguments[i].offset == offsetof(TriggerMapping, reason))
		return strstr(argument + n + 1, psprintf("{%s}", column)) != NULL;
	return arguments[i].column != 0 && strcmp(argument + n + 1, column) == 0;
}

/* Returns the argument that names a column of that name; NULL if none does. */
const char *
trigger_argument_naming(const char *column, int nargs, char **args)
{
	for (int n = 0; n < nargs; n++)
		for (size_t i = 0; i < lengthof(arguments); i++)
			if (is_argument_naming(args[n], i, column))
				return args[n];
	return NULL;
}

/* Returns the value of the last argument of that name, which counts; NULL if there is none. */
static const char *
argument_value(const char *name, int nargs, char **args)
{
	size_t		n = strlen(name);

	while (nargs-- > 0)
		if (strncmp(args[nargs], name, n) == 0 && args[nargs][n] == '=')
			return args[nargs] + n + 1;
	return NULL;
}

/* Returns the name of the column that says when memberships end; NULL if none does. */
const char *
trigger_argument_until(int nargs, char **args)
{
	return argument_value("until", nargs, args);
}

/* Returns the name of the instance that is meant; NULL if none is named. */
const char *
trigger_argument_instance(int nargs, char **args)
{
	return argument_value("instance", nargs, args);
}

/* Raises for a trigger that does not fire AFTER, FOR EACH ROW. */
void
trigger_check_timing(bool is_after, bool is_for_row)
{
	if (!is_after || !is_for_row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("wawp_membership_trigger() must be fired AFTER, FOR EACH ROW")));
}
