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
 * keys; as for them, another row is looked for past row security, and an index
 * on the group's column makes that fast.  The session's wawp.instance is never
 * read: the writer must not choose the owner's account.
 *
 * The user's write never fails because of WhatsApp: whatever goes wrong after
 * the trigger's own arguments were read becomes a WARNING and a failed intent,
 * which wawp_retry() queues again.  What keeps two writers apart (a deadlock, a
 * serialization failure, lock_timeout) is not WhatsApp's and is raised: as a
 * WARNING it would lose a person.
 *
 * IDENTIFICATION
 *	  src/queue/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/encoding.h"
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
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_membership_trigger);

/* The reason with each {column} filled in; other braces stay. */
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

static Jid
parse_text(const char *text)
{
	const char *utf8 = text_from_server(text);

	return jid_parse(utf8, strlen(utf8));
}

/* True if two texts name the same group or person; what is none is compared as written. */
static bool
is_same_identity(const char *a, const char *b)
{
	Jid			first;
	Jid			second;

	if (a == NULL || b == NULL)
		return a == b;
	first = parse_text(a);
	second = parse_text(b);
	return first.kind != JID_INVALID && second.kind != JID_INVALID ? jid_same(&first, &second) : strcmp(a, b) == 0;
}

/*
 * ---- what a firing means
 */

/* One thing to ask for. */
typedef struct Ask
{
	IntentAction action;
	HeapTuple	row;
	const char *group;			/* NULL: not read yet, or NULL in the row */
	const char *jid;
	Wish		wish;
	bool		is_settled;		/* nothing is to be asked, or it has been */
} Ask;

/* A firing of the trigger; what it points to lives in the caller's memory, beyond the subtransaction. */
typedef struct Firing
{
	const TriggerData *trigger;
	Relation	table;
	const Mapping *mapping;
	int			nasks;
	Ask			asks[2];
	bool		was_overtaken;	/* who was to be removed has another row, committed while this waited */
} Firing;

static void
add_ask(Firing *firing, HeapTuple row, IntentAction action)
{
	Ask		   *ask = &firing->asks[firing->nasks++];

	memset(ask, 0, sizeof(Ask));
	ask->row = row;
	ask->action = ask->wish.action = action;
	ask->wish.verify = ask->wish.invite = true;
	ask->wish.origin = psprintf("trigger %s.%s", get_namespace_name(RelationGetNamespace(firing->table)),
								RelationGetRelationName(firing->table));
}

/* True if an UPDATE made the row name another group or person. */
static bool
is_move(const Firing *firing)
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
has_another_end(const Firing *firing)
{
	AttrNumber	column = firing->mapping->until_column;

	return column != InvalidAttrNumber &&
		row_time(firing->table, firing->trigger->tg_trigtuple, column) !=
		row_time(firing->table, firing->trigger->tg_newtuple, column);
}

/* Finds what an UPDATE asks for; when a column cannot be computed, both halves of a move stay to be noted. */
static void
plan_update(Firing *firing)
{
	add_ask(firing, firing->trigger->tg_trigtuple, ACTION_REMOVE);
	add_ask(firing, firing->trigger->tg_newtuple, ACTION_ADD);
	if (is_move(firing))
		return;
	firing->asks[0] = firing->asks[1];
	firing->nasks = has_another_end(firing) ? 1 : 0;
}

/* Finds what the firing asks for. */
static void
plan_asks(Firing *firing)
{
	const TriggerData *trigger = firing->trigger;
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple	now = is_update ? trigger->tg_newtuple : trigger->tg_trigtuple;

	firing->nasks = 0;
	if (firing->mapping->action)
		add_ask(firing, now, trigger_action(firing->mapping->action));
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		add_ask(firing, now, ACTION_ADD);
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		add_ask(firing, now, ACTION_REMOVE);
	else
		plan_update(firing);
}

/* Reads from the row what is to be asked for. */
static void
read_ask(const Firing *firing, Ask *ask)
{
	const Mapping *mapping = firing->mapping;

	ask->group = row_text(firing->table, ask->row, mapping->group_column);
	ask->jid = row_text(firing->table, ask->row, mapping->jid_column);
	ask->is_settled = ask->group == NULL || ask->jid == NULL;
	if (ask->is_settled)
		return;
	ask->wish.reason = fill_reason(firing->table, ask->row, mapping->reason);
	if (ask->action == ACTION_ADD && mapping->until_column != InvalidAttrNumber)
		ask->wish.until = row_time(firing->table, ask->row, mapping->until_column);
}

/*
 * ---- another row that wants the person
 */

/* How a group may be written, for an index on its column: as in this row, and as people write them. */
static const char *const spellings[] = {"%s@g.us", "%s@G.US", " %s@g.us", "%s@g.us ", " %s@g.us "};

#define NSPELLINGS ((int) lengthof(spellings) + 1)

/* Arguments of a search: the group's normal form, the person's forms, spellings of the group. */
#define SEARCH_ARGS (2 + NSPELLINGS)

/* A search costs so little that an index is not missed: the planner's units, some 10,000 rows. */
#define CHEAP_COST 250.0

typedef enum SearchKind
{
	SEARCH_BY_FORM,				/* the group in normal form, in whatever spelling */
	SEARCH_BY_SPELLING			/* the group in one of the spellings, by an index on the column */
} SearchKind;

#define SEARCH_KINDS (SEARCH_BY_SPELLING + 1)

/* A trigger's prepared searches; kept for as long as the process lives, made anew when their text changes. */
typedef struct Search
{
	Oid			trigger;		/* the key */
	Oid			type;			/* of the group's column */
	char	   *texts[SEARCH_KINDS];
	SPIPlanPtr	plans[SEARCH_KINDS];
} Search;

/* The table the trigger is on: of a partition's clone, the whole table. */
static Oid
table_of(const TriggerData *trigger)
{
	Oid			table = RelationGetRelid(trigger->tg_relation);

	return trigger->tg_trigger->tgisclone ? llast_oid(get_partition_ancestors(table)) : table;
}

static Oid
owner_of(Oid table)
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
group_type(const Firing *firing)
{
	return getBaseType(TupleDescAttr(RelationGetDescr(firing->table), firing->mapping->group_column - 1)->atttypid);
}

/* The type's own equality, for an index of its; NULL if it has none. */
static const char *
equality_of(Oid type)
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

/* What a search asks of the group; NULL if the column's type cannot be searched so. */
static const char *
group_condition(const Firing *firing, SearchKind kind, const char *ours)
{
	const char *column = quote_identifier(firing->mapping->group);
	const char *equality;
	StringInfoData out;

	if (kind == SEARCH_BY_FORM)
		return psprintf("%s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) $1", ours, column);
	equality = equality_of(group_type(firing));
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
	Oid			table = table_of(firing->trigger);

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
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Search)};
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
forget_plan(Search *search, SearchKind kind)
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
	forget_plan(search, kind);
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

/* What the planner thinks of finding nothing, which LIMIT hides. */
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
static SPIPlanPtr
choose_search(const Firing *firing)
{
	Search	   *search = find_search(firing->trigger->tg_trigger->tgoid);
	Oid			type = group_type(firing);
	double		cost;

	for (int kind = 0; kind < SEARCH_KINDS; kind++)
		prepare_search(search, kind, search_text(firing, kind), type);
	search->type = type;
	cost = search_cost(search->plans[SEARCH_BY_FORM]);
	if (search->plans[SEARCH_BY_SPELLING] == NULL || cost <= CHEAP_COST ||
		cost <= 2 * search_cost(search->plans[SEARCH_BY_SPELLING]))
		return search->plans[SEARCH_BY_FORM];
	return search->plans[SEARCH_BY_SPELLING];
}

/* Spellings of the group as values of its column's type; where that has no texts, this row's value alone. */
static void
fill_spellings(const Firing *firing, const Ask *ask, const Jid *group, Datum *values)
{
	Oid			type = group_type(firing);
	const char *digits = pnstrdup(group->text, strcspn(group->text, "@"));
	bool		isnull;
	Oid			input;
	Oid			param;
	char		category;
	bool		is_preferred;

	get_type_category_preferred(type, &category, &is_preferred);
	getTypeInputInfo(type, &input, &param);
	values[0] = row_value(firing->table, ask->row, firing->mapping->group_column, &isnull);
	for (size_t i = 0; i < lengthof(spellings); i++)
		values[1 + i] = category != TYPCATEGORY_STRING ? values[0]
			: OidInputFunctionCall(input, psprintf(spellings[i], digits), param, -1);
}

/* The forms that one account's number has. */
static Datum
person_forms(const Jid *jid)
{
	Jid			other = jid_other_form(jid);
	Datum		forms[2] = {CStringGetTextDatum(jid->text), CStringGetTextDatum(other.text)};

	return PointerGetDatum(construct_array(forms, other.kind == JID_INVALID ? 1 : 2, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * True if another row of the table has that person in that group.  That row is
 * locked: who takes it away at the same time waits and then looks for ours.
 * The search acts as the owner of the table and past its row security, as a
 * foreign key's does.
 */
static bool
is_still_wanted(const Firing *firing, const Ask *ask)
{
	Jid			group = parse_text(ask->group);
	Jid			jid = parse_text(ask->jid);
	Datum		values[SEARCH_ARGS];
	Oid			userid;
	int			security;
	int			result;

	if (group.kind != JID_GROUP || jid.kind == JID_INVALID || jid.kind == JID_GROUP)
		return false;
	values[0] = CStringGetTextDatum(group.text);
	values[1] = person_forms(&jid);
	fill_spellings(firing, ask, &group, values + 2);
	GetUserIdAndSecContext(&userid, &security);
	SetUserIdAndSecContext(owner_of(table_of(firing->trigger)),
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	result = SPI_execute_plan(choose_search(firing), values, NULL, false, 1);
	SetUserIdAndSecContext(userid, security);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not look for other rows: %s", SPI_result_code_string(result));
	return SPI_processed > 0;
}

/*
 * ---- asking
 */

/* The instance that is meant; the session's setting is the writer's, not the owner's. */
static const char *
instance_of(const Mapping *mapping)
{
	return mapping->instance ? mapping->instance
		: instance_only_usable("Drop the trigger and create it anew with 'instance=...'; wawp_retry() then asks for what failed.");
}

static void
perform_ask(Firing *firing, Ask *ask)
{
	bool		may_be_wanted = ask->action == ACTION_REMOVE && firing->mapping->action == NULL;

	if (ask->is_settled)
		return;
	ask->is_settled = may_be_wanted && is_still_wanted(firing, ask);
	if (ask->is_settled)
		return;
	queue_ask(GetUserId(), instance_of(firing->mapping), &ask->wish, ask->group, ask->jid);
	firing->was_overtaken |= may_be_wanted && is_still_wanted(firing, ask);
}

/* Nothing that somebody else may have made is found by its name. */
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
	plan_asks(firing);
	for (int i = 0; i < firing->nasks; i++)
		read_ask(firing, &firing->asks[i]);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < firing->nasks; i++)
		perform_ask(firing, &firing->asks[i]);
	SPI_finish();
	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(userid, security);
}

/*
 * ---- what goes wrong
 */

/* Leaves failed intents for what was not asked; `problem` says why. */
static void
note_failure(const Firing *firing, const char *problem)
{
	for (int i = 0; i < firing->nasks; i++)
	{
		const Ask  *ask = &firing->asks[i];

		if (!ask->is_settled)
			queue_note_failed(firing->table->rd_rel->relowner, firing->mapping->instance, &ask->wish,
							  ask->group ? ask->group : "", ask->jid ? ask->jid : "", problem);
	}
}

/* True for what is the user's own: a cancel, or another writer of the same rows. */
static bool
is_users_own(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

static const char *
problem_of(const ErrorData *error)
{
	return psprintf("%s%s%s%s%s", error->message, error->detail ? ": " : "", error->detail ? error->detail : "",
					error->hint ? "; " : "", error->hint ? error->hint : "");
}

/*
 * Fires, or with a problem notes it, in a subtransaction.  Returns the error
 * that undid it, in the caller's memory, or NULL; raises what is the user's own.
 */
static ErrorData *
try_to(Firing *firing, const char *problem)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		if (problem)
			note_failure(firing, problem);
		else
			fire_as_owner(firing);
		if (firing->was_overtaken)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error && is_users_own(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static void
warn(const Firing *firing, const ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("membership not asked for: %s", error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 errcontext("trigger \"%s\" of table \"%s\"", firing->trigger->tg_trigger->tgname,
						RelationGetRelationName(firing->table))));
}

/* Fires; who was overtaken has to look again, what went wrong leaves a trace and a WARNING. */
static void
fire_safely(Firing *firing)
{
	ErrorData  *error;
	ErrorData  *second;

	while ((error = try_to(firing, NULL)) == NULL && firing->was_overtaken)
		firing->was_overtaken = false;
	if (error == NULL)
		return;
	firing->was_overtaken = false;
	second = try_to(firing, problem_of(error));
	warn(firing, error);
	if (second)
		warn(firing, second);
}

/*
 * AFTER ... FOR EACH ROW trigger for users' tables; see the top of this file.
 */
Datum
wawp_membership_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Mapping		mapping;
	Firing		firing = {.trigger = trigger,.mapping = &mapping};

	trigger_check_timing(CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event),
						 CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event));
	mapping = trigger_read_arguments(trigger->tg_relation, trigger->tg_trigger->tgname,
									 trigger->tg_trigger->tgnargs, trigger->tg_trigger->tgargs);
	firing.table = trigger->tg_relation;
	fire_safely(&firing);
	return PointerGetDatum(NULL);
}
