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
 * firing requests just that.  The requests are the table owner's, as checks of
 * foreign keys are; as for them, the search for another row ignores row
 * security, and an index on the group's column makes it fast.  Of the ends that
 * several rows have for a person the latest counts, and a row whose end has passed
 * wants nobody.  The session's wawp.instance is never read: the writer must not
 * choose the owner's account.
 *
 * The user's write never fails because of WhatsApp: an error after the
 * trigger's own arguments were read becomes a WARNING and a failed intent,
 * which wawp_retry() queues again; beyond the owner's quota, one intent for a
 * table and a minute.  Conflicts of two writers (a deadlock, a
 * serialization failure, lock_timeout) are raised: as a WARNING they would lose
 * a person.
 *
 * The rows of a statement are worked on together (trigger_batch.c), in a
 * subtransaction of the user's transaction; if that fails, fewer at a time, so that
 * an error is noted of its row only.  Another row that is found, and the
 * owner's queued intent, stay locked FOR SHARE until the end of that transaction.
 *
 * IDENTIFICATION
 *	  src/queue/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/subtransaction.h"
#include "base/text_limit.h"
#include "client/instance.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "protocol/jid.h"
#include "queue/enqueue.h"
#include "queue/quota.h"
#include "queue/trigger_arguments.h"
#include "queue/trigger_batch.h"
#include "queue/trigger_row.h"
#include "queue/trigger_search.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_membership_trigger);

/* Returns the reason with each {column} replaced by the row's value; other braces stay. */
static const char *
fill_reason(Relation table, HeapTuple row, const char *pattern)
{
	StringInfoData out;

	if (pattern == NULL)
		return NULL;
	initStringInfo(&out);
	while (*pattern)
	{
		const char *end = *pattern == '{' ? strchr(pattern, '}') : NULL;
		AttrNumber	column = end ? row_column(table, pnstrdup(pattern + 1, end - pattern - 1)) : InvalidAttrNumber;
		const char *value;

		if (column == InvalidAttrNumber)
		{
			appendStringInfoChar(&out, *pattern++);
			continue;
		}
		value = row_text(table, row, column);
		appendStringInfoString(&out, value ? value : "");
		pattern = end + 1;
	}
	return out.data;
}

/* True if two texts name the same group or person; invalid ones are compared as written. */
static bool
is_same_identity(const char *a, const char *b)
{
	Jid			first;
	Jid			second;

	if (a == NULL || b == NULL)
		return a == b;
	if (strcmp(a, b) == 0)
		return true;
	first = enqueue_parse(a);
	second = enqueue_parse(b);
	return first.kind != JID_INVALID && jid_same(&first, &second);
}

/*
 * ---- what a firing means
 */

/* A request that a row makes. */
typedef struct FiringRequest
{
	HeapTuple	row;
	int			row_number;		/* among those of the firing */
	PersonRequest asked;		/* group and person NULL: not read yet, or NULL in the row */
	bool		is_settled;		/* nothing is left to be requested */
	bool		shares_end;		/* other rows may have a later end for the person */
	bool		is_shortened;	/* instead of a removal: another row's end is left */
} FiringRequest;

/*
 * Firings of the trigger for rows of one statement; all it points to is in the
 * caller's memory context and survives the subtransaction.
 */
typedef struct Firing
{
	const Trigger *trigger;
	Relation	table;
	const TriggerMapping *mapping;
	const char *origin;
	int			nrows;
	const TriggeredRow *rows;
	int			nrequests;
	FiringRequest *requests;	/* space for two of each row */
	bool		was_overtaken;	/* another row that decides about a person was committed while this waited */
} Firing;

static void
firing_add(Firing *firing, const TriggeredRow *of, HeapTuple row, IntentAction action)
{
	FiringRequest *wanted = &firing->requests[firing->nrequests++];

	memset(wanted, 0, sizeof(FiringRequest));
	wanted->row = row;
	wanted->row_number = (int) (of - firing->rows);
	wanted->asked.request.action = action;
	wanted->asked.request.verify = wanted->asked.request.invite = true;
	wanted->asked.request.origin = firing->origin;
}

/* True if an UPDATE made the row name another group or person. */
static bool
is_move(const Firing *firing, const TriggeredRow *row)
{
	AttrNumber	columns[] = {firing->mapping->group_column, firing->mapping->jid_column};

	for (size_t i = 0; i < lengthof(columns); i++)
		if (!is_same_identity(row_text(firing->table, row->row, columns[i]), row_text(firing->table, row->new_row, columns[i])))
			return true;
	return false;
}

static bool
has_another_end(const Firing *firing, const TriggeredRow *row)
{
	AttrNumber	column = firing->mapping->until_column;

	return column != InvalidAttrNumber && row_has_other_time(firing->table, row->row, row->new_row, column);
}

/* Adds the requests of an UPDATE; if a column cannot be computed, both halves of a move are there to be noted. */
static void
firing_plan_update(Firing *firing, const TriggeredRow *row)
{
	int			first = firing->nrequests;

	firing_add(firing, row, row->row, ACTION_REMOVE);
	firing_add(firing, row, row->new_row, ACTION_ADD);
	if (is_move(firing, row))
		return;
	firing->requests[first] = firing->requests[first + 1];
	firing->nrequests = has_another_end(firing, row) ? first + 1 : first;
}

/* Adds the requests that a row makes. */
static void
firing_plan_row(Firing *firing, const TriggeredRow *row)
{
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(row->event);

	if (firing->mapping->action)
		firing_add(firing, row, is_update ? row->new_row : row->row, trigger_action(firing->mapping->action));
	else if (TRIGGER_FIRED_BY_INSERT(row->event))
		firing_add(firing, row, row->row, ACTION_ADD);
	else if (TRIGGER_FIRED_BY_DELETE(row->event))
		firing_add(firing, row, row->row, ACTION_REMOVE);
	else
		firing_plan_update(firing, row);
}

/* Reads a request's group, person, reason and end from its row. */
static void
firing_read(const Firing *firing, FiringRequest *wanted)
{
	const TriggerMapping *mapping = firing->mapping;

	wanted->asked.group = row_text(firing->table, wanted->row, mapping->group_column);
	wanted->asked.person = row_text(firing->table, wanted->row, mapping->jid_column);
	wanted->is_settled = wanted->asked.group == NULL || wanted->asked.person == NULL;
	if (wanted->is_settled)
		return;
	wanted->asked.request.reason = fill_reason(firing->table, wanted->row, mapping->reason);
	if (wanted->asked.request.action == ACTION_ADD && mapping->until_column != InvalidAttrNumber)
		wanted->asked.request.until = row_time(firing->table, wanted->row, mapping->until_column);
}

/* Decides which requests are made. */
static void
firing_plan(Firing *firing)
{
	firing->nrequests = 0;
	for (int i = 0; i < firing->nrows; i++)
		firing_plan_row(firing, &firing->rows[i]);
	for (int i = 0; i < firing->nrequests; i++)
		firing_read(firing, &firing->requests[i]);
}

/*
 * ---- requesting
 */

/* Returns the trigger's instance, or the only one that its owner may use; raises if there are several or none. */
static const char *
trigger_instance(const TriggerMapping *mapping)
{
	return mapping->instance ? mapping->instance
		: instance_only_usable("Drop the trigger and create it anew with 'instance=...'; wawp_retry() then requests what failed.");
}

/*
 * Returns a number that changes when a transaction ends whose rows a search
 * could see now and could not before; it stays where one snapshot is kept.
 */
static uint64
transactions_completed(void)
{
	return GetTransactionSnapshot()->snapXactCompletionCount;
}

/* True if a request is a removal that is not made while another row has the person; sets whom and where. */
static bool
may_be_wanted(const Firing *firing, const FiringRequest *wanted, SoughtRow *sought)
{
	if (wanted->is_settled || wanted->asked.request.action != ACTION_REMOVE || firing->mapping->action)
		return false;
	sought->group = enqueue_parse(wanted->asked.group);
	sought->person = enqueue_parse(wanted->asked.person);
	return sought->group.kind == JID_GROUP && sought->person.kind != JID_INVALID && sought->person.kind != JID_GROUP;
}

/* Orders ends: none is the latest. */
static TimestampTz
end_rank(TimestampTz end)
{
	return end == 0 ? DT_NOEND : end;
}

/* Lets a request say the end that the rows of the table have for the person; true if it said another. */
static bool
request_set_end(FiringRequest *wanted, TimestampTz end)
{
	bool		is_other = end_rank(wanted->asked.request.until) != end;

	if (is_other)
		wanted->asked.request.until = end == DT_NOEND ? 0 : end;
	return is_other;
}

/*
 * Settles a removal that is not made, as another row has the person until then.  If
 * the row that is gone wanted them for longer, it becomes a request for the end that
 * is left, unless nothing came of the earlier ones, or its own end cannot be read.
 */
static void
removal_settle(const Firing *firing, const WantedRow *other, FiringRequest *removal)
{
	TimestampTz own;

	removal->is_settled = true;
	if (other->end == DT_NOEND || !row_try_time(firing->table, removal->row, firing->mapping->until_column, &own) ||
		end_rank(own) <= other->end ||
		!enqueue_has_wish(trigger_instance(firing->mapping), &other->sought.group, &other->sought.person))
		return;
	removal->asked.request.action = ACTION_ADD;
	(void) request_set_end(removal, other->end);
	removal->is_shortened = true;
	removal->is_settled = false;
}

/*
 * Moves the people whom another row has to the front of wanted[] and removals[], and
 * writes to wanted[] until when; nobody whose ends have all passed is found.  Where an
 * end cannot be read whether it has passed is not known, and nobody is removed for that.
 */
static void
firing_search_ends(const RowSearch *where, WantedRow *wanted, FiringRequest **removals, int n)
{
	bool		has_ends = trigger_has_ends(where);
	int			kept = 0;

	for (int i = 0; i < n; i++)
	{
		FiringRequest *removal = removals[i];

		if (!wanted[i].is_found)
			continue;
		wanted[kept] = wanted[i];
		removals[i] = removals[kept];
		removals[kept++] = removal;
	}
	for (int i = kept; i < n; i++)
		wanted[i].is_found = false;
	if (has_ends)
		trigger_search_ends(where, wanted, kept);
	for (int i = 0; i < kept; i++)
		if (!has_ends || wanted[i].has_unreadable)
		{
			wanted[i].is_found = true;
			wanted[i].end = DT_NOEND;
		}
}

/* Settles removals of people whom another row of the table still has in the group; true if there are some. */
static bool
firing_settle_wanted(Firing *firing)
{
	const RowSearch where = {firing->trigger, firing->table, firing->mapping};
	WantedRow  *wanted = palloc(sizeof(WantedRow) * Max(firing->nrequests, 1));
	FiringRequest **removals = palloc(sizeof(FiringRequest *) * Max(firing->nrequests, 1));
	bool		found = false;
	int			n = 0;

	for (int i = 0; i < firing->nrequests; i++)
	{
		if (!may_be_wanted(firing, &firing->requests[i], &wanted[n].sought))
			continue;
		wanted[n].row = firing->requests[i].row;
		removals[n++] = &firing->requests[i];
	}
	trigger_search(&where, wanted, n);
	firing_search_ends(&where, wanted, removals, n);
	for (int i = 0; i < n; i++)
		if (wanted[i].is_found)
		{
			found = true;
			removal_settle(firing, &wanted[i], removals[i]);
		}
	pfree(removals);
	pfree(wanted);
	return found;
}

/* The first addition of a person to a group; the names are padded with 0. */
typedef struct NamedAddition
{
	char		group[JID_SIZE];	/* these are the key of a hash table */
	char		person[JID_SIZE];
	FiringRequest *first;
} NamedAddition;

/* Notes that other rows, of this statement or an earlier one, may have another end for the person of an addition. */
static void
addition_mark_shared(const Firing *firing, HTAB *met, FiringRequest *wanted)
{
	Jid			group = enqueue_parse(wanted->asked.group);
	Jid			person = enqueue_parse(wanted->asked.person);
	NamedAddition key;
	NamedAddition *named;
	bool		is_met;

	if (group.kind != JID_GROUP || person.kind != JID_PERSON)
		return;
	memset(&key, 0, sizeof(key));
	strlcpy(key.group, group.text, sizeof(key.group));
	strlcpy(key.person, person.text, sizeof(key.person));
	named = hash_search(met, &key, HASH_ENTER, &is_met);
	if (is_met)
		wanted->shares_end = named->first->shares_end = true;
	else
	{
		named->first = wanted;
		wanted->shares_end = enqueue_has_wish(trigger_instance(firing->mapping), &group, &person);
	}
}

/* Notes of which additions other rows may have another end. */
static void
firing_mark_shared(Firing *firing)
{
	HASHCTL		control = {.keysize = 2 * JID_SIZE, .entrysize = sizeof(NamedAddition), .hcxt = CurrentMemoryContext};
	HTAB	   *met = hash_create("wawp additions", Max(firing->nrequests, 1), &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	for (int i = 0; i < firing->nrequests; i++)
	{
		FiringRequest *wanted = &firing->requests[i];

		if (wanted->is_shortened)
			wanted->shares_end = true;
		else if (!wanted->is_settled && wanted->asked.request.action == ACTION_ADD)
			addition_mark_shared(firing, met, wanted);
	}
	hash_destroy(met);
}

/* Lets additions end when the last of the rows that have the person ends; true if one was to end at another time. */
static bool
firing_settle_ends(Firing *firing)
{
	const RowSearch where = {firing->trigger, firing->table, firing->mapping};
	WantedRow  *sought = palloc(sizeof(WantedRow) * Max(firing->nrequests, 1));
	FiringRequest **shared = palloc(sizeof(FiringRequest *) * Max(firing->nrequests, 1));
	bool		has_changed = false;
	int			n = 0;

	for (int i = 0; i < firing->nrequests; i++)
	{
		FiringRequest *wanted = &firing->requests[i];

		if (wanted->is_settled || !wanted->shares_end)
			continue;
		sought[n].row = wanted->row;
		sought[n].sought.group = enqueue_parse(wanted->asked.group);
		sought[n].sought.person = enqueue_parse(wanted->asked.person);
		shared[n++] = wanted;
	}
	trigger_search_ends(&where, sought, n);
	for (int i = 0; i < n; i++)
		if (sought[i].is_found)
			has_changed |= request_set_end(shared[i], sought[i].end);
	pfree(shared);
	pfree(sought);
	return has_changed;
}

/* Settles what other rows of the table decide about: whom they still have, and for how long; true if that is new. */
static bool
firing_settle_by_rows(Firing *firing)
{
	bool		has_changed = firing_settle_wanted(firing);

	return firing_settle_ends(firing) || has_changed;
}

/* Makes the requests, but for people whom another row still has; notes whether such a row appeared meanwhile. */
static void
firing_perform(Firing *firing)
{
	const RowSearch where = {firing->trigger, firing->table, firing->mapping};
	PersonRequest **asked = palloc(sizeof(PersonRequest *) * Max(firing->nrequests, 1));
	uint64		completed = transactions_completed();
	int			n = 0;

	(void) firing_settle_wanted(firing);
	if (firing->mapping->action == NULL && trigger_has_ends(&where))
		firing_mark_shared(firing);
	(void) firing_settle_ends(firing);
	for (int i = 0; i < firing->nrequests; i++)
		if (!firing->requests[i].is_settled)
			asked[n++] = &firing->requests[i].asked;
	if (n == 0)
		return;
	enqueue_for_role(GetUserId(), trigger_instance(firing->mapping), asked, n);
	firing->was_overtaken = transactions_completed() != completed && firing_settle_by_rows(firing);
}

/* Keeps objects that others may have created from being found by an unqualified name. */
static void
pin_search_path(void)
{
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static void
fire_as_owner(Firing *firing)
{
	int			guc_level = NewGUCNestLevel();
	Oid			userid;
	int			security;

	GetUserIdAndSecContext(&userid, &security);
	SetUserIdAndSecContext(firing->table->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
	pin_search_path();
	firing_plan(firing);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	firing_perform(firing);
	SPI_finish();
	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(userid, security);
}

/*
 * ---- what goes wrong
 */

/*
 * Inserts failed intents for what was not requested; `problem` says why.  Of
 * requests beyond the owner's quota one is kept, for a table and a minute: they
 * must not fill the table instead.
 */
static void
firing_note_failure(const Firing *firing, const char *problem, bool is_quota)
{
	Oid			owner = firing->table->rd_rel->relowner;

	for (int i = 0; i < firing->nrequests; i++)
	{
		const FiringRequest *wanted = &firing->requests[i];

		if (!wanted->is_settled && !(is_quota && enqueue_quota_is_noted(owner, firing->origin)))
			enqueue_failed(owner, firing->mapping->instance, &wanted->asked, problem);
	}
}

/* True for an error to be raised to the user: a cancel, or a conflict with another writer of the same rows. */
static bool
is_user_error(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

static const char *
error_as_problem(const ErrorData *error)
{
	return psprintf("%s%s%s%s%s", error->message, error->detail ? ": " : "", error->detail ? error->detail : "",
					error->hint ? "; " : "", error->hint ? error->hint : "");
}

/* The work of one subtransaction of a firing: its requests or, with a problem, a note of that. */
typedef struct FiringPart
{
	Firing	   *firing;
	const char *problem;
	bool		is_quota;		/* the problem is the owner's quota */
} FiringPart;

static bool
firing_do_part(void *subject)
{
	const FiringPart *part = subject;

	if (part->problem)
		firing_note_failure(part->firing, part->problem, part->is_quota);
	else
		fire_as_owner(part->firing);
	return !part->firing->was_overtaken;
}

/*
 * Makes the firing's requests or, after an error, notes that, in a
 * subtransaction.  Returns the error that rolled it back, in the caller's memory
 * context, or NULL; raises errors that are the user's.
 */
static ErrorData *
firing_try(Firing *firing, const ErrorData *failure)
{
	FiringPart	part = {
		.firing = firing,
		.problem = failure ? error_as_problem(failure) : NULL,
		.is_quota = failure && failure->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED
	};
	ErrorData  *error = subtransaction_try(firing_do_part, &part);

	if (error && is_user_error(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static void
firing_warn(const Firing *firing, const ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("membership not requested: %s", error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 errcontext("trigger \"%s\" of table \"%s\"", firing->trigger->tgname,
						RelationGetRelationName(firing->table))));
}

/* Says of each request that was refused, and noted as failed, why. */
static void
firing_warn_of_refused(const Firing *firing)
{
	for (int i = 0; i < firing->nrequests; i++)
	{
		const PersonRequest *asked = &firing->requests[i].asked;

		if (!firing->requests[i].is_settled && asked->problem)
			ereport(WARNING,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("could not request membership of \"%s\" in group \"%s\"", text_limit_cut(TEXT_JID, asked->person),
							text_limit_cut(TEXT_GROUP_JID, asked->group)),
					 errdetail("It is refused because %s.", asked->problem)));
	}
}

/* Makes the firing's requests, again if overtaken; returns the error that rolled it back, or NULL. */
static ErrorData *
fire_once(Firing *firing)
{
	ErrorData  *error;

	do
		firing->was_overtaken = false;
	while ((error = firing_try(firing, NULL)) == NULL && firing->was_overtaken);
	firing->was_overtaken = false;
	if (error == NULL)
		firing_warn_of_refused(firing);
	return error;
}

/* Notes the error of a row, which was rolled back, and warns. */
static void
firing_fail(Firing *firing, const ErrorData *error)
{
	ErrorData  *second = firing_try(firing, error);

	firing_warn(firing, error);
	if (second)
		firing_warn(firing, second);
}

/*
 * Returns how many of the rows, at least one and not all, to try by themselves
 * after an error.  Those that came before the owner's quota was reached fit into
 * it; otherwise half of them.
 */
static int
rows_after_error(const Firing *firing, const ErrorData *error)
{
	int			n = firing->nrows / 2;

	if (error->sqlerrcode != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		return n;
	quota_forget(firing->table->rd_rel->relowner);
	for (int i = 0; i < firing->nrequests && firing->requests[i].asked.was_tried; i++)
		n = firing->requests[i].row_number;
	return Max(n, 1);
}

/*
 * Fires for rows, all at once, or, after errors, for as many as have none, so
 * that what is wrong with one of them is not the others' fault.
 */
static void
fire_safely(Firing *firing, const TriggeredRows *rows)
{
	int			at_once = rows->n;
	int			done = 0;

	while (done < rows->n)
	{
		ErrorData  *error;

		firing->rows = rows->rows + done;
		firing->nrows = Min(at_once, rows->n - done);
		error = fire_once(firing);
		if (error && firing->nrows > 1)
		{
			at_once = rows_after_error(firing, error);
			continue;
		}
		if (error)
			firing_fail(firing, error);
		done += firing->nrows;
		at_once = error ? 1 : firing->nrows * 2;
	}
}

/* Fires for rows of a statement. */
static void
fire_for_rows(const TriggeredRows *rows)
{
	const TriggerMapping mapping = trigger_read_arguments(rows->table, rows->trigger->tgname, rows->trigger->tgnargs,
														  rows->trigger->tgargs);
	Firing		firing = {
		.trigger = rows->trigger,
		.table = rows->table,
		.mapping = &mapping,
		.origin = psprintf("trigger %s.%s", get_namespace_name(RelationGetNamespace(rows->table)),
						   RelationGetRelationName(rows->table)),
		.requests = palloc(sizeof(FiringRequest) * 2 * rows->n)
	};

	fire_safely(&firing, rows);
}

/*
 * AFTER ... FOR EACH ROW trigger for users' tables; see the top of this file.
 */
Datum
wawp_membership_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	trigger_check_timing(CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event),
						 CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event));
	trigger_batch_add(fcinfo, fire_for_rows);
	return PointerGetDatum(NULL);
}
