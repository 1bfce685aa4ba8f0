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
 * security, and an index on the group's column makes it fast.  The session's
 * wawp.instance is never read: the writer must not choose the owner's account.
 *
 * The user's write never fails because of WhatsApp: an error after the
 * trigger's own arguments were read becomes a WARNING and a failed intent,
 * which wawp_retry() queues again; beyond the owner's quota, one intent for a
 * table and a minute.  Conflicts of two writers (a deadlock, a
 * serialization failure, lock_timeout) are raised: as a WARNING they would lose
 * a person.
 *
 * A firing runs in a subtransaction of the user's transaction.  Another row that
 * is found, and the owner's queued intent, stay locked FOR SHARE until the end of that
 * transaction.  Prepared searches live as long as the process.
 *
 * IDENTIFICATION
 *	  src/queue/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/subtransaction.h"
#include "catalog/partition.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "protocol/jid.h"
#include "queue/enqueue.h"
#include "queue/trigger_arguments.h"
#include "queue/trigger_probe.h"
#include "queue/trigger_row.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

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
	first = enqueue_parse(a);
	second = enqueue_parse(b);
	return first.kind != JID_INVALID && second.kind != JID_INVALID ? jid_same(&first, &second) : strcmp(a, b) == 0;
}

/*
 * ---- what a firing means
 */

/* A request that a firing makes. */
typedef struct FiringRequest
{
	IntentAction action;
	HeapTuple	row;
	const char *group;			/* NULL: not read yet, or NULL in the row */
	const char *jid;
	MembershipRequest request;
	bool		is_settled;		/* nothing is left to be requested */
} FiringRequest;

/* A firing of the trigger; all it points to is in the caller's memory context and survives the subtransaction. */
typedef struct Firing
{
	const TriggerData *trigger;
	Relation	table;
	const TriggerMapping *mapping;
	int			nrequests;
	FiringRequest requests[2];
	bool		was_overtaken;	/* another row of the person to be removed was committed while this waited */
} Firing;

static void
firing_add(Firing *firing, HeapTuple row, IntentAction action)
{
	FiringRequest *wanted = &firing->requests[firing->nrequests++];

	memset(wanted, 0, sizeof(FiringRequest));
	wanted->row = row;
	wanted->action = wanted->request.action = action;
	wanted->request.verify = wanted->request.invite = true;
	wanted->request.origin = psprintf("trigger %s.%s", get_namespace_name(RelationGetNamespace(firing->table)),
								RelationGetRelationName(firing->table));
}

/* True if an UPDATE made the row name another group or person. */
static bool
firing_is_move(const Firing *firing)
{
	const TriggerData *trigger = firing->trigger;
	AttrNumber	columns[] = {firing->mapping->group_column, firing->mapping->jid_column};

	for (size_t i = 0; i < lengthof(columns); i++)
		if (!is_same_identity(row_text(firing->table, trigger->tg_trigtuple, columns[i]),
							  row_text(firing->table, trigger->tg_newtuple, columns[i])))
			return true;
	return false;
}

static bool
firing_has_another_end(const Firing *firing)
{
	AttrNumber	column = firing->mapping->until_column;

	return column != InvalidAttrNumber &&
		row_time(firing->table, firing->trigger->tg_trigtuple, column) !=
		row_time(firing->table, firing->trigger->tg_newtuple, column);
}

/* Adds the requests of an UPDATE; if a column cannot be computed, both halves of a move are there to be noted. */
static void
firing_plan_update(Firing *firing)
{
	firing_add(firing, firing->trigger->tg_trigtuple, ACTION_REMOVE);
	firing_add(firing, firing->trigger->tg_newtuple, ACTION_ADD);
	if (firing_is_move(firing))
		return;
	firing->requests[0] = firing->requests[1];
	firing->nrequests = firing_has_another_end(firing) ? 1 : 0;
}

/* Decides which requests the firing makes. */
static void
firing_plan(Firing *firing)
{
	const TriggerData *trigger = firing->trigger;
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple	now = is_update ? trigger->tg_newtuple : trigger->tg_trigtuple;

	firing->nrequests = 0;
	if (firing->mapping->action)
		firing_add(firing, now, trigger_action(firing->mapping->action));
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		firing_add(firing, now, ACTION_ADD);
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		firing_add(firing, now, ACTION_REMOVE);
	else
		firing_plan_update(firing);
}

/* Reads a request's group, person, reason and end from its row. */
static void
firing_read(const Firing *firing, FiringRequest *wanted)
{
	const TriggerMapping *mapping = firing->mapping;

	wanted->group = row_text(firing->table, wanted->row, mapping->group_column);
	wanted->jid = row_text(firing->table, wanted->row, mapping->jid_column);
	wanted->is_settled = wanted->group == NULL || wanted->jid == NULL;
	if (wanted->is_settled)
		return;
	wanted->request.reason = fill_reason(firing->table, wanted->row, mapping->reason);
	if (wanted->action == ACTION_ADD && mapping->until_column != InvalidAttrNumber)
		wanted->request.until = row_time(firing->table, wanted->row, mapping->until_column);
}

/*
 * ---- another row that wants the person
 */

/* Usual spellings of a group, for an index on its column; the row's own comes first. */
static const char *const spellings[] = {"%s@g.us", "%s@G.US", " %s@g.us", "%s@g.us ", " %s@g.us "};

#define NSPELLINGS ((int) lengthof(spellings) + 1)

/* Arguments of a search: the group's normal form, the person's forms, spellings of the group. */
#define SEARCH_ARGS (2 + NSPELLINGS)

/* Below this cost (the planner's units, some 10,000 rows) a search needs no index. */
#define CHEAP_COST 250.0

typedef enum SearchKind
{
	SEARCH_BY_FORM,				/* the group in normal form, in whatever spelling */
	SEARCH_BY_SPELLING			/* the group in one of the spellings, by an index on the column */
} SearchKind;

#define SEARCH_KINDS (SEARCH_BY_SPELLING + 1)

/* A trigger's prepared searches, for the life of the process; prepared again when their text changes. */
typedef struct Search
{
	Oid			trigger;		/* the key */
	Oid			type;			/* of the group's column */
	char	   *texts[SEARCH_KINDS];
	SPIPlanPtr	plans[SEARCH_KINDS];
} Search;

/* Returns the table that the trigger was created on; for a partition's clone that is the partitioned table. */
static Oid
trigger_table(const TriggerData *trigger)
{
	Oid			table = RelationGetRelid(trigger->tg_relation);

	return trigger->tg_trigger->tgisclone ? llast_oid(get_partition_ancestors(table)) : table;
}

static Oid
table_owner(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static Oid
group_column_type(const Firing *firing)
{
	return getBaseType(TupleDescAttr(RelationGetDescr(firing->table), firing->mapping->group_column - 1)->atttypid);
}

/* Returns the type's default equality operator, which its indexes use, as SQL; NULL if it has none. */
static const char *
type_equality(Oid type)
{
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = OidIsValid(operator) ? SearchSysCache1(OPEROID, ObjectIdGetDatum(operator)) : NULL;
	Form_pg_operator form;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* Returns a search's condition on the group; NULL if the column's type cannot be searched this way. */
static const char *
group_condition(const Firing *firing, SearchKind kind, const char *ours)
{
	const char *column = quote_identifier(firing->mapping->group);
	const char *equality;
	StringInfoData out;

	if (kind == SEARCH_BY_FORM)
		return psprintf("%s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) $1", ours, column);
	equality = type_equality(group_column_type(firing));
	if (equality == NULL)
		return NULL;
	initStringInfo(&out);
	appendStringInfo(&out, "%s %s ANY (ARRAY[$3", column, equality);
	for (int i = 1; i < NSPELLINGS; i++)
		appendStringInfo(&out, ", $%d", 3 + i);
	appendStringInfoString(&out, "])");
	return out.data;
}

static char *
search_text(const Firing *firing, SearchKind kind)
{
	const char *ours = quote_identifier(get_namespace_name(get_func_namespace(firing->trigger->tg_trigger->tgfoid)));
	const char *condition = group_condition(firing, kind, ours);
	Oid			table = trigger_table(firing->trigger);

	return condition == NULL ? NULL
		: psprintf("SELECT 1 FROM %s WHERE %s AND %s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) ANY ($2)"
				   " LIMIT 1 FOR SHARE",
				   quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table)),
				   condition, ours, quote_identifier(firing->mapping->jid));
}

static Search *
find_search(Oid trigger)
{
	static HTAB *searches = NULL;
	HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(Search)};
	Search	   *search;
	bool		found;

	if (searches == NULL)
		searches = hash_create("wawp triggers", 16, &control, HASH_ELEM | HASH_BLOBS);
	search = hash_search(searches, &trigger, HASH_ENTER, &found);
	if (!found)
		memset((char *) search + sizeof(Oid), 0, sizeof(Search) - sizeof(Oid));
	return search;
}

static void
forget_search(Search *search, SearchKind kind)
{
	SPIPlanPtr	plan = search->plans[kind];

	search->plans[kind] = NULL;
	if (plan)
		SPI_freeplan(plan);
	if (search->texts[kind])
		pfree(search->texts[kind]);
	search->texts[kind] = NULL;
}

static void
prepare_search(Search *search, SearchKind kind, const char *text, Oid type)
{
	Oid			types[SEARCH_ARGS] = {TEXTOID, TEXTARRAYOID};
	SPIPlanPtr	plan;

	if (text && search->plans[kind] && search->type == type && strcmp(search->texts[kind], text) == 0)
		return;
	forget_search(search, kind);
	if (text == NULL)
		return;
	for (int i = 0; i < NSPELLINGS; i++)
		types[2 + i] = type;
	plan = SPI_prepare(text, SEARCH_ARGS, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	search->texts[kind] = MemoryContextStrdup(TopMemoryContext, text);
	search->plans[kind] = plan;
}

/* Returns the planned cost of a search that finds nothing; below the LIMIT, which would hide it. */
static double
search_cost(SPIPlanPtr plan)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	Plan	   *node = linitial_node(PlannedStmt, cached->stmt_list)->planTree;
	double		cost;

	while (outerPlan(node) && (IsA(node, Limit) || IsA(node, LockRows)))
		node = outerPlan(node);
	cost = node->total_cost;
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return cost;
}

/*
 * Chooses how to search.  The normal form finds every spelling; in a large
 * table it needs an index on wawp_jid(column), and the usual spellings one on
 * the column.
 */
static SearchKind
choose_search(const Firing *firing, SPIPlanPtr *plan)
{
	Search	   *search = find_search(firing->trigger->tg_trigger->tgoid);
	Oid			type = group_column_type(firing);
	SearchKind	kind;
	double		cost;

	for (kind = 0; kind < SEARCH_KINDS; kind++)
		prepare_search(search, kind, search_text(firing, kind), type);
	search->type = type;
	cost = search_cost(search->plans[SEARCH_BY_FORM]);
	kind = search->plans[SEARCH_BY_SPELLING] == NULL || cost <= CHEAP_COST ||
		cost <= 2 * search_cost(search->plans[SEARCH_BY_SPELLING]) ? SEARCH_BY_FORM : SEARCH_BY_SPELLING;
	*plan = search->plans[kind];
	return kind;
}

/*
 * Writes NSPELLINGS values of the group's column type to values: the row's own
 * and the usual spellings, or the row's own throughout if the type is no text.
 */
static void
fill_spellings(const Firing *firing, const FiringRequest *wanted, const Jid *group, Datum *values)
{
	Oid			type = group_column_type(firing);
	const char *digits = pnstrdup(group->text, strcspn(group->text, "@"));
	bool		isnull;
	Oid			input;
	Oid			param;
	char		category;
	bool		is_preferred;

	get_type_category_preferred(type, &category, &is_preferred);
	getTypeInputInfo(type, &input, &param);
	values[0] = row_value(firing->table, wanted->row, firing->mapping->group_column, &isnull);
	for (size_t i = 0; i < lengthof(spellings); i++)
		values[1 + i] = category != TYPCATEGORY_STRING ? values[0]
			: OidInputFunctionCall(input, psprintf(spellings[i], digits), param, -1);
}

/* Returns an array of the forms that one account's number has. */
static Datum
person_forms(const Jid *jid)
{
	Jid			other = jid_other_form(jid);
	Datum		forms[2] = {CStringGetTextDatum(jid->text), CStringGetTextDatum(other.text)};

	return PointerGetDatum(construct_array(forms, other.kind == JID_INVALID ? 1 : 2, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Runs the search for that group and person, whose values are its arguments; true if it found a row. */
static bool
search_finds(const Firing *firing, const Jid *jid, Datum *values)
{
	const RowProbe probe = {
		.table = firing->table,
		.group_column = firing->mapping->group_column,
		.jid_column = firing->mapping->jid_column,
		.nvalues = NSPELLINGS,
		.values = values + 2,
		.jid = jid
	};
	RowProbeResult probed = ROW_UNKNOWN;
	SPIPlanPtr	plan;
	int			result;

	if (choose_search(firing, &plan) == SEARCH_BY_SPELLING &&
		trigger_table(firing->trigger) == RelationGetRelid(firing->table))
		probed = trigger_probe(&probe);
	if (probed != ROW_UNKNOWN)
		return probed == ROW_LOCKED;
	result = SPI_execute_plan(plan, values, NULL, false, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not look for other rows: %s", SPI_result_code_string(result));
	return SPI_processed > 0;
}

/*
 * True if another row of the table has that person in that group.  That row is
 * locked: a transaction that removes it at the same time waits, and then sees ours.
 * The search acts as the owner of the table and past its row security, as a
 * foreign key's does.
 */
static bool
is_still_wanted(const Firing *firing, const FiringRequest *wanted)
{
	Jid			group = enqueue_parse(wanted->group);
	Jid			jid = enqueue_parse(wanted->jid);
	Datum		values[SEARCH_ARGS];
	Oid			userid;
	int			security;
	bool		found;

	if (group.kind != JID_GROUP || jid.kind == JID_INVALID || jid.kind == JID_GROUP)
		return false;
	values[0] = CStringGetTextDatum(group.text);
	values[1] = person_forms(&jid);
	fill_spellings(firing, wanted, &group, values + 2);
	GetUserIdAndSecContext(&userid, &security);
	SetUserIdAndSecContext(table_owner(trigger_table(firing->trigger)),
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	found = search_finds(firing, &jid, values);
	SetUserIdAndSecContext(userid, security);
	return found;
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

/* Makes a request, unless another row still has the person; notes whether such a row appeared meanwhile. */
static void
firing_perform(Firing *firing, FiringRequest *wanted)
{
	bool		may_be_wanted = wanted->action == ACTION_REMOVE && firing->mapping->action == NULL;
	uint64		completed = transactions_completed();

	if (wanted->is_settled)
		return;
	wanted->is_settled = may_be_wanted && is_still_wanted(firing, wanted);
	if (wanted->is_settled)
		return;
	enqueue_for_role(GetUserId(), trigger_instance(firing->mapping), &wanted->request, wanted->group, wanted->jid);
	firing->was_overtaken |= may_be_wanted && transactions_completed() != completed && is_still_wanted(firing, wanted);
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
	for (int i = 0; i < firing->nrequests; i++)
		firing_read(firing, &firing->requests[i]);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < firing->nrequests; i++)
		firing_perform(firing, &firing->requests[i]);
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

		if (!wanted->is_settled && !(is_quota && enqueue_quota_is_noted(owner, wanted->request.origin)))
			enqueue_failed(owner, firing->mapping->instance, &wanted->request,
						   wanted->group ? wanted->group : "", wanted->jid ? wanted->jid : "", problem);
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
			 errcontext("trigger \"%s\" of table \"%s\"", firing->trigger->tg_trigger->tgname,
						RelationGetRelationName(firing->table))));
}

/* Makes the firing's requests, again if overtaken; an error becomes failed intents and a WARNING. */
static void
fire_safely(Firing *firing)
{
	ErrorData  *error;
	ErrorData  *second;

	while ((error = firing_try(firing, NULL)) == NULL && firing->was_overtaken)
		firing->was_overtaken = false;
	if (error == NULL)
		return;
	firing->was_overtaken = false;
	second = firing_try(firing, error);
	firing_warn(firing, error);
	if (second)
		firing_warn(firing, second);
}

/*
 * AFTER ... FOR EACH ROW trigger for users' tables; see the top of this file.
 */
Datum
wawp_membership_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerMapping mapping;
	Firing		firing = {.trigger = trigger, .mapping = &mapping};

	trigger_check_timing(CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event),
						 CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event));
	mapping = trigger_read_arguments(trigger->tg_relation, trigger->tg_trigger->tgname,
									 trigger->tg_trigger->tgnargs, trigger->tg_trigger->tgargs);
	firing.table = trigger->tg_relation;
	fire_safely(&firing);
	return PointerGetDatum(NULL);
}
