/*-------------------------------------------------------------------------
 *
 * trigger_arguments.h
 *	  Arguments of wawp_membership_trigger().
 *
 * IDENTIFICATION
 *	  src/queue/trigger_arguments.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_ARGUMENTS_H
#define WAWP_TRIGGER_ARGUMENTS_H

#include "access/attnum.h"
#include "tables/intent.h"
#include "utils/relcache.h"

/* The trigger's arguments; columns and texts as they are written there. */
typedef struct TriggerMapping
{
	const char *group;
	const char *jid;
	const char *until;
	const char *reason;
	const char *instance;
	const char *action;
	AttrNumber	group_column;
	AttrNumber	jid_column;
	AttrNumber	until_column;	/* InvalidAttrNumber: none */
} TriggerMapping;

extern TriggerMapping trigger_read_arguments(Relation table, const char *trigger, int nargs, char **args);
extern const char *trigger_argument_naming(const char *column, int nargs, char **args);
extern const char *trigger_argument_until(int nargs, char **args);
extern const char *trigger_argument_instance(int nargs, char **args);
extern IntentAction trigger_action(const char *name);
extern void trigger_check_timing(bool is_after, bool is_for_row);

#endif							/* WAWP_TRIGGER_ARGUMENTS_H */
