/*-------------------------------------------------------------------------
 *
 * trigger_search.c
 *	  Looks for rows of a user's table that want a person in a group.
 *
 * The group's normal form finds every spelling; where the planner finds that
 * costly, the usual spellings are looked for, by an index on the column, which
 * trigger_probe.c reads for all rows of a statement at once, as it does with the
 * table where no index is of use.  What it does not tell is asked by a statement
 * for each row.
 *
 * Where a column says when memberships end, a statement finds the latest ends of
 * the rows that want several people; a row whose end has passed wants nobody.
 *
 * A search acts as the owner of the table and past its row security, as a
 * foreign key's does.  The row that it finds is locked FOR SHARE until the
 * transaction ends: a transaction that removes it at the same time waits, and
 * then sees ours.  Prepared searches live as long as the process; the caller is
 * connected to SPI.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/spi_statement.h"
#include "catalog/partition.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "queue/enqueue.h"
#include "queue/trigger_catalog.h"
#include "queue/trigger_probe.h"
#include "queue/trigger_row.h"
#include "queue/trigger_search.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"

/* Usual spellings of a group, for an index on its column; the row's own comes before them. */
static const struct
{
	const char *before;
	const char *after;
}			spellings[] =
{
	{"", "@g.us"},
	{"", "@G.US"},
	{" ", "@g.us"},
	{"", "@g.us "},
	{" ", "@g.us "}
};

#define NSPELLINGS ((int) lengthof(spellings) + 1)

StaticAssertDecl(NSPELLINGS <= ROW_RANGES, "a sought row has a range for each spelling");

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

typedef enum SearchResult
{
	SEARCH_ROW,					/* a row, which is locked */
	SEARCH_ENDS					/* of several people the latest end of the rows whose end has not passed */
} SearchResult;

#define SEARCH_RESULTS (SEARCH_ENDS + 1)

/* A trigger's prepared searches, for the life of the process; prepared again when their text changes. */
typedef struct Search
{
	Oid			trigger;		/* the key */
	Oid			type;			/* of the group's column */
	char	   *texts[SEARCH_RESULTS][SEARCH_KINDS];
	SPIPlanPtr	plans[SEARCH_RESULTS][SEARCH_KINDS];
} Search;

/* Return the table that the trigger was created on; for a partition's clone that is the partitioned table. */
static Oid
search_table(const RowSearch *where)
{
	Oid			table = RelationGetRelid(where->table);

	return where->trigger->tgisclone ? llast_oid(get_partition_ancestors(table)) : table;
}

static Oid
group_column_type(const RowSearch *where)
{
	return getBaseType(TupleDescAttr(RelationGetDescr(where->table), where->mapping->group_column - 1)->atttypid);
}

/* Return the type's default equality operator, which its indexes use, as SQL; NULL if it has none. */
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

/* Return a search's condition on the group; NULL if the column's type cannot be searched this way. */
static const char *
group_condition(const RowSearch *where, SearchKind kind, const char *ours)
{
	const char *column = quote_identifier(where->mapping->group);
	const char *equality;
	StringInfoData out;

	if (kind == SEARCH_BY_FORM)
		return psprintf("%s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) $1", ours, column);
	equality = type_equality(group_column_type(where));
	if (equality == NULL)
		return NULL;
	initStringInfo(&out);
	appendStringInfo(&out, "%s %s ANY (ARRAY[$3", column, equality);
	for (int i = 1; i < NSPELLINGS; i++)
		appendStringInfo(&out, ", $%d", 3 + i);
	appendStringInfoString(&out, "])");
	return out.data;
}

/* Return the schema of our functions, quoted; raises if the statement that fired the trigger has dropped the extension. */
static const char *
our_schema(const RowSearch *where)
{
	const char *schema = get_namespace_name(get_func_namespace(where->trigger->tgfoid));

	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("the function of trigger \"%s\" does not exist any more", where->trigger->tgname)));
	return quote_identifier(schema);
}

/* Return the text of a search for a row; NULL if there is none of that kind. */
static char *
search_text(const RowSearch *where, SearchKind kind)
{
	const char *ours = our_schema(where);
	const char *condition = group_condition(where, kind, ours);
	Oid			table = search_table(where);

	return condition == NULL ? NULL
		: psprintf("SELECT 1 FROM %s WHERE %s AND %s.wawp_jid(%s::pg_catalog.text) OPERATOR(pg_catalog.=) ANY ($2)"
				   " LIMIT 1 FOR SHARE",
				   quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table)),
				   condition, ours, quote_identifier(where->mapping->jid));
}

/*
 * Return the text of a search for the latest ends; a row without an end has one
 * that is never reached.  Its arguments are the groups and people, in normal form
 * and side by side, and spellings of these groups.  Ends are looked at only of rows
 * that are about one of these people: where they are texts, others' may be no times.
 */
static char *
ends_search_text(const RowSearch *where, SearchKind kind)
{
	const char *ours = our_schema(where);
	const char *group = quote_identifier(where->mapping->group);
	const char *until = quote_identifier(where->mapping->until);
	Oid			table = search_table(where);

	return psprintf("SELECT w.n, pg_catalog.max(COALESCE(t.%s::pg_catalog.timestamptz, 'infinity'::pg_catalog.timestamptz))"
					" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY w (in_group, person, n)"
					" JOIN %s t ON %s.wawp_jid(t.%s::pg_catalog.text) OPERATOR(pg_catalog.=) w.in_group"
					" AND %s.wawp_jid(t.%s::pg_catalog.text) OPERATOR(pg_catalog.=) w.person"
					"%s GROUP BY w.n HAVING pg_catalog.max(COALESCE(t.%s::pg_catalog.timestamptz, 'infinity'::pg_catalog.timestamptz))"
					" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()",
					until, quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table)),
					ours, group, ours, quote_identifier(where->mapping->jid),
					kind == SEARCH_BY_FORM ? "" : psprintf(" AND t.%s %s ANY ($3)", group, type_equality(group_column_type(where))),
					until);
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
forget_search(Search *search, SearchResult result, SearchKind kind)
{
	SPIPlanPtr	plan = search->plans[result][kind];
	char	   *text = search->texts[result][kind];

	search->plans[result][kind] = NULL;
	if (plan)
		SPI_freeplan(plan);
	search->texts[result][kind] = NULL;
	if (text)
		pfree(text);
}

/* Prepare a search, whose arguments have these types, unless it is; type: of the group's column. */
static void
prepare_search(Search *search, SearchResult result, SearchKind kind, const char *text, Oid type, Oid *types, int nargs)
{
	SPIPlanPtr	plan;

	if (text && search->plans[result][kind] && search->type == type && strcmp(search->texts[result][kind], text) == 0)
		return;
	forget_search(search, result, kind);
	if (text == NULL)
		return;
	plan = SPI_prepare(text, nargs, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	search->texts[result][kind] = MemoryContextStrdup(TopMemoryContext, text);
	search->plans[result][kind] = plan;
}

/* Return the node of a search's plan that finds rows, which is below the LIMIT and the locks. */
static const Plan *
search_node(const CachedPlan *cached)
{
	const Plan *node = linitial_node(PlannedStmt, cached->stmt_list)->planTree;

	while (outerPlan(node) && (IsA(node, Limit) || IsA(node, LockRows)))
		node = outerPlan(node);
	return node;
}

/* Return the planned cost of a search that finds nothing, and set whether it reads the table as a whole. */
static double
search_cost(SPIPlanPtr plan, bool *reads_table)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	double		cost = search_node(cached)->total_cost;

	*reads_table = IsA(search_node(cached), SeqScan);
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return cost;
}

/*
 * Choose how to search.  The normal form finds every spelling; in a large
 * table it needs an index on wawp_jid(column), and the usual spellings one on
 * the column.  Set whether the table would be read as a whole.
 */
static SearchKind
choose_search(const RowSearch *where, SPIPlanPtr *plan, bool *reads_table)
{
	Search	   *search = find_search(where->trigger->tgoid);
	SPIPlanPtr *plans = search->plans[SEARCH_ROW];
	Oid			type = group_column_type(where);
	Oid			types[SEARCH_ARGS] = {TEXTOID, TEXTARRAYOID};
	SearchKind	kind;
	double		cost;
	bool		other;

	for (int i = 0; i < NSPELLINGS; i++)
		types[2 + i] = type;
	for (kind = 0; kind < SEARCH_KINDS; kind++)
		prepare_search(search, SEARCH_ROW, kind, search_text(where, kind), type, types, SEARCH_ARGS);
	/* the plans that were made for another type are gone, or are made anew when they are needed */
	if (search->type != type)
		for (kind = 0; kind < SEARCH_KINDS; kind++)
			forget_search(search, SEARCH_ENDS, kind);
	search->type = type;
	cost = search_cost(plans[SEARCH_BY_FORM], reads_table);
	kind = plans[SEARCH_BY_SPELLING] == NULL || cost <= CHEAP_COST ||
		cost <= 2 * search_cost(plans[SEARCH_BY_SPELLING], &other) ? SEARCH_BY_FORM : SEARCH_BY_SPELLING;
	*plan = plans[kind];
	return kind;
}

/*
 * ---- spellings
 */

/* Return a text: the digits of a group in normal form, with something before and after. */
static Datum
spell_group(const Jid *group, const char *before, const char *after)
{
	size_t		ndigits = strcspn(group->text, "@");
	size_t		nbefore = strlen(before);
	size_t		nafter = strlen(after);
	text	   *spelled = palloc(VARHDRSZ + nbefore + ndigits + nafter);

	SET_VARSIZE(spelled, VARHDRSZ + nbefore + ndigits + nafter);
	memcpy(VARDATA(spelled), before, nbefore);
	memcpy(VARDATA(spelled) + nbefore, group->text, ndigits);
	memcpy(VARDATA(spelled) + nbefore + ndigits, after, nafter);
	return PointerGetDatum(spelled);
}

static Datum
own_spelling(const RowSearch *where, const WantedRow *wanted)
{
	bool		isnull;

	return row_value(where->table, wanted->row, where->mapping->group_column, &isnull);
}

/*
 * Write NSPELLINGS values of the group's column type to values: the row's own
 * and the usual spellings, or the row's own throughout if the type is no text.
 */
static void
fill_spellings(const RowSearch *where, const WantedRow *wanted, Datum *values)
{
	Oid			type = group_column_type(where);
	Oid			input;
	Oid			param;
	char		category;
	bool		is_preferred;

	get_type_category_preferred(type, &category, &is_preferred);
	getTypeInputInfo(type, &input, &param);
	values[0] = own_spelling(where, wanted);
	for (size_t i = 0; i < lengthof(spellings); i++)
	{
		Datum		spelled = spell_group(&wanted->sought.group, spellings[i].before, spellings[i].after);

		values[1 + i] = category != TYPCATEGORY_STRING ? values[0] :
			type == TEXTOID || type == VARCHAROID ? spelled : OidInputFunctionCall(input, TextDatumGetCString(spelled), param, -1);
	}
}

/* True if a text is between the ends of a range, in the order of bytes. */
static bool
is_between(Datum value, const RowRange *range)
{
	return DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, range->first, value)) <= 0 &&
		DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, value, range->last)) <= 0;
}

static void
add_range(SoughtRow *sought, Datum first, Datum last)
{
	sought->ranges[sought->nranges++] = (RowRange)
	{
		.first = first, .last = last
	};
}

/* Set the ranges that have the row's own and the usual spellings; two or three where they are in the order of bytes. */
static void
fill_ranges(const RowSearch *where, WantedRow *wanted)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(where->table), where->mapping->group_column - 1);
	SoughtRow  *sought = &wanted->sought;
	Datum		values[NSPELLINGS];

	sought->nranges = 0;
	if (trigger_probe_has_ranges(group_column_type(where), column->attcollation))
	{
		Datum		own = own_spelling(where, wanted);

		add_range(sought, spell_group(&sought->group, "", "@G.US"), spell_group(&sought->group, "", "@g.us "));
		add_range(sought, spell_group(&sought->group, " ", "@g.us"), spell_group(&sought->group, " ", "@g.us "));
		if (!is_between(own, &sought->ranges[0]) && !is_between(own, &sought->ranges[1]))
			add_range(sought, own, own);
		return;
	}
	fill_spellings(where, wanted, values);
	for (int i = 0; i < NSPELLINGS; i++)
		add_range(sought, values[i], values[i]);
}

/* Return an array of the forms that one account's number has. */
static Datum
person_forms(const Jid *jid)
{
	Jid			other = jid_other_form(jid);
	Datum		forms[2] = {CStringGetTextDatum(jid->text), CStringGetTextDatum(other.text)};

	return PointerGetDatum(construct_array(forms, other.kind == JID_INVALID ? 1 : 2, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * ---- searching
 */

/* Look for a row by a statement. */
static bool
search_by_statement(const RowSearch *where, SPIPlanPtr plan, const WantedRow *wanted)
{
	Datum		values[SEARCH_ARGS];
	int			result;

	values[0] = CStringGetTextDatum(wanted->sought.group.text);
	values[1] = person_forms(&wanted->sought.person);
	fill_spellings(where, wanted, values + 2);
	result = SPI_execute_plan(plan, values, NULL, false, 1);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not look for other rows: %s", SPI_result_code_string(result));
	return SPI_processed > 0;
}

/* Look for rows without statements, as far as that tells. */
static void
search_by_probe(const RowSearch *where, bool by_index, WantedRow *wanted, int n)
{
	const RowProbe probe = {where->table, where->mapping->group_column, where->mapping->jid_column};
	SoughtRow **sought = palloc(sizeof(SoughtRow *) * n);

	for (int i = 0; i < n; i++)
	{
		if (by_index)
			fill_ranges(where, &wanted[i]);
		sought[i] = &wanted[i].sought;
	}
	trigger_probe(&probe, by_index, sought, n);
	pfree(sought);
}

static void
search_as_owner(const RowSearch *where, WantedRow *wanted, int n)
{
	SPIPlanPtr	plan;
	bool		reads_table;
	SearchKind	kind = choose_search(where, &plan, &reads_table);

	for (int i = 0; i < n; i++)
		wanted[i].sought.result = ROW_UNKNOWN;
	if ((kind == SEARCH_BY_SPELLING || reads_table) && search_table(where) == RelationGetRelid(where->table))
		search_by_probe(where, kind == SEARCH_BY_SPELLING, wanted, n);
	for (int i = 0; i < n; i++)
		wanted[i].is_found = wanted[i].sought.result == ROW_UNKNOWN ? search_by_statement(where, plan, &wanted[i]) :
			wanted[i].sought.result == ROW_LOCKED;
}

/* Become the owner of the table, past its row security; writes the role before to *userid and *security. */
static void
search_begin(const RowSearch *where, Oid *userid, int *security)
{
	Oid			owner = spi_relation_owner(search_table(where));

	if (!OidIsValid(owner))
		elog(ERROR, "cache lookup failed for relation %u", search_table(where));
	GetUserIdAndSecContext(userid, security);
	SetUserIdAndSecContext(owner,
						   *security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
}

/* Find out which of n people another row of the table has in the group; what is found is locked. */
void
trigger_search(const RowSearch *where, WantedRow *wanted, int n)
{
	Oid			userid;
	int			security;

	if (n == 0)
		return;
	search_begin(where, &userid, &security);
	search_as_owner(where, wanted, n);
	SetUserIdAndSecContext(userid, security);
}

/* True if a column says when memberships end. */
bool
trigger_has_ends(const RowSearch *where)
{
	AttrNumber	column = where->mapping->until_column;

	return column != InvalidAttrNumber &&
		row_times_of_type(TupleDescAttr(RelationGetDescr(where->table), column - 1)->atttypid) != ROW_NO_TIMES;
}

/* The people of a search for ends, in each form that their numbers have; space for two of each. */
typedef struct EndsSought
{
	int			n;
	Datum	   *groups;
	Datum	   *people;
	int		   *rows;			/* the places of their rows */
	Datum	   *spellings;		/* of groups, NSPELLINGS of each row */
} EndsSought;

static void
ends_put_person(EndsSought *sought, int row, const Jid *group, const Jid *person)
{
	if (person->kind == JID_INVALID)
		return;
	sought->groups[sought->n] = CStringGetTextDatum(group->text);
	sought->people[sought->n] = CStringGetTextDatum(person->text);
	sought->rows[sought->n++] = row;
}

static EndsSought
ends_sought(const RowSearch *where, const WantedRow *wanted, int n)
{
	EndsSought	sought = {
		.groups = palloc(sizeof(Datum) * 2 * n),
		.people = palloc(sizeof(Datum) * 2 * n),
		.rows = palloc(sizeof(int) * 2 * n),
		.spellings = palloc(sizeof(Datum) * NSPELLINGS * n)
	};

	for (int i = 0; i < n; i++)
	{
		Jid			other = jid_other_form(&wanted[i].sought.person);

		ends_put_person(&sought, i, &wanted[i].sought.group, &wanted[i].sought.person);
		ends_put_person(&sought, i, &wanted[i].sought.group, &other);
		fill_spellings(where, &wanted[i], sought.spellings + NSPELLINGS * i);
	}
	return sought;
}

static Datum
ends_array(Datum *values, int n, Oid type)
{
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_array(values, n, type, len, byval, align));
}

/* Take the ends that a search has found. */
static void
ends_take(const EndsSought *sought, WantedRow *wanted)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		HeapTuple	tuple = SPI_tuptable->vals[i];
		int			n = (int) DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		WantedRow  *row = &wanted[sought->rows[n - 1]];
		TimestampTz end = DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));

		row->end = row->is_found ? Max(row->end, end) : end;
		row->is_found = true;
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
search_ends_as_owner(const RowSearch *where, WantedRow *wanted, int n)
{
	Search	   *search = find_search(where->trigger->tgoid);
	EndsSought	sought = ends_sought(where, wanted, n);
	SPIPlanPtr	plan;
	bool		reads_table;
	SearchKind	kind = choose_search(where, &plan, &reads_table);
	Oid			of_array = get_array_type(search->type);
	Oid			types[] = {TEXTARRAYOID, TEXTARRAYOID, of_array};
	Datum		values[3];

	if (!OidIsValid(of_array))
		kind = SEARCH_BY_FORM;
	prepare_search(search, SEARCH_ENDS, kind, ends_search_text(where, kind), search->type, types, kind == SEARCH_BY_FORM ? 2 : 3);
	values[0] = ends_array(sought.groups, sought.n, TEXTOID);
	values[1] = ends_array(sought.people, sought.n, TEXTOID);
	if (kind == SEARCH_BY_SPELLING)
		values[2] = ends_array(sought.spellings, NSPELLINGS * n, search->type);
	for (int i = 0; i < n; i++)
		wanted[i].is_found = false;
	if (SPI_execute_plan(search->plans[SEARCH_ENDS][kind], values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for ends: %s", SPI_result_code_string(SPI_result));
	ends_take(&sought, wanted);
}

/* A search for ends in a subtransaction. */
typedef struct EndsSearch
{
	const RowSearch *where;
	WantedRow  *wanted;
	int			n;
} EndsSearch;

static bool
search_ends_in_subtransaction(void *subject)
{
	EndsSearch *search = subject;

	search_ends_as_owner(search->where, search->wanted, search->n);
	return true;
}

/*
 * Search; where an end cannot be read, for half of the people at a time, so that only
 * whose end that is have none that is known.
 */
static void
search_readable_ends(const RowSearch *where, WantedRow *wanted, int n)
{
	EndsSearch	search = {where, wanted, n};
	bool		is_readable = row_try_times(search_ends_in_subtransaction, &search);

	if (!is_readable && n > 1)
	{
		search_readable_ends(where, wanted, n / 2);
		search_readable_ends(where, wanted + n / 2, n - n / 2);
	}
	else
		for (int i = 0; i < n; i++)
			wanted[i].has_unreadable = !is_readable;
}

/*
 * Find out which of n people some row of the table has in the group with an end that
 * has not passed, and the latest of these ends, infinity if a row has none.  Where one
 * of somebody's ends cannot be read by this session nothing is found of them but that.
 */
void
trigger_search_ends(const RowSearch *where, WantedRow *wanted, int n)
{
	Oid			userid;
	int			security;

	if (n == 0)
		return;
	search_begin(where, &userid, &security);
	search_readable_ends(where, wanted, n);
	SetUserIdAndSecContext(userid, security);
}
