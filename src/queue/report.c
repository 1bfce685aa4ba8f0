/*-------------------------------------------------------------------------
 *
 * report.c
 *	  wawp_report(): a page about a time, from the audit log.
 *
 * Reads as the caller, in the caller's snapshot, and writes nothing: who may not
 * read wawp.audit_log gets 42501.  People are shown by the number of their contact,
 * or by their own to who may read wawp.contact; to others a group id of the old
 * form lacks the telephone number in it.  html.c writes the page and escapes each
 * text.  Tables have at most ROWS_SHOWN rows, and say how many are left out.
 *
 * IDENTIFICATION
 *	  src/queue/report.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/spi_statement.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "protocol/html.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_report);

#define ROWS_SHOWN 100
#define ROWS_SHOWN_SQL CppAsString2(ROWS_SHOWN)
/* Days are shown one by one, if they are no more. */
#define DAYS_SHOWN 100
#define MAX_COLUMNS 7

/* A report that is being written. */
typedef struct Report
{
	StringInfoData out;
	SqlArgs		args;			/* since, before, instance */
	bool		shows_people;
} Report;

/* Of a record a: it is in the report's time and of its instance. */
#define IN_REPORT "a.at >= $1 AND a.at < $2 AND ($3 IS NULL OR a.instance = $3::name)"
#define REPORT_ARGS 3, {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}, NULL
#define TIME_SQL(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
/* A group, without the number of its creator. */
#define GROUP_SQL "regexp_replace(a.group_jid, '^[0-9]+-', '***-')"
/* The last column of a table that is cut: how many rows there are. */
#define ALL_ROWS_SQL ", count(*) OVER ()"
#define LIMIT_SQL " LIMIT " ROWS_SHOWN_SQL
/* Outcomes that are no refusal. */
#define SUCCESSES_SQL \
	"('added', 'already_member', 'joined_by_invite', 'removed', 'not_member', 'promoted', 'demoted', 'accepted', 'invited')"

/*
 * ---- pieces
 */

/* Returns a column of the statement's last result as UTF-8, NULL for NULL. */
static const char *
report_get(uint64 row, int column)
{
	const char *text = spi_get_text(row, column);

	return text ? text_from_server(text) : NULL;
}

/* Returns the caption of a table with n rows; one that is cut says so, and how many there are. */
static const char *
table_caption(const char *caption, uint64 n, int64 all)
{
	return all > (int64) n ? psprintf("%s: the first " UINT64_FORMAT " of " INT64_FORMAT, caption, n, all) : caption;
}

/*
 * Appends the result of a statement as a table, or a sentence if it is empty.
 * Behind the table's columns it has the number of all rows.
 */
static void
report_put_table(Report *report, SqlStatement *statement, const char *caption, const char *if_none,
				 const HtmlColumn *columns, int ncolumns)
{
	uint64		n = spi_run(statement, &report->args);
	int64		all = n > 0 ? spi_get_int8(0, ncolumns + 1, 0) : 0;

	Assert(ncolumns <= MAX_COLUMNS);
	if (n == 0)
	{
		html_put_paragraph(&report->out, if_none);
		return;
	}
	html_begin_table(&report->out, table_caption(caption, n, all), columns, ncolumns);
	for (uint64 i = 0; i < n; i++)
	{
		const char *cells[MAX_COLUMNS];

		for (int c = 0; c < ncolumns; c++)
			cells[c] = report_get(i, c + 1);
		html_put_row(&report->out, cells, columns, ncolumns);
	}
	html_end_table(&report->out);
	if (all > (int64) n)
		html_put_paragraph(&report->out, psprintf(INT64_FORMAT " more are not shown; a report about a shorter time has them.", all - (int64) n));
}

/* Appends the result of a statement (label, number) as a chart, or a sentence if it is empty. */
static void
report_put_chart(Report *report, SqlStatement *statement, const char *caption, const char *if_none,
				 const char *what, const char *unit, double limit)
{
	uint64		n = spi_run(statement, &report->args);
	int64		most = 0;

	if (n == 0)
	{
		html_put_paragraph(&report->out, if_none);
		return;
	}
	for (uint64 i = 0; i < n; i++)
		most = Max(most, spi_get_int8(i, 2, 0));
	html_begin_bars(&report->out, caption, what, unit);
	for (uint64 i = 0; i < n; i++)
		html_put_bar(&report->out, report_get(i, 1), spi_get_int8(i, 2, 0), most, limit);
	html_end_table(&report->out);
}

/*
 * ---- sections
 */

/* A person in a group counts once; what became of them is the last outcome. */
static SqlStatement funnel = {
	"SELECT f.label, f.n FROM (SELECT count(*) AS asked, count(*) FILTER (WHERE p.sent) AS sent, count(*) FILTER (WHERE p.invited) AS invited,"
	"  count(*) FILTER (WHERE p.last = 'added') AS added, count(*) FILTER (WHERE p.last = 'accepted') AS accepted,"
	"  count(*) FILTER (WHERE p.last = 'already_member') AS already, count(*) FILTER (WHERE p.last = 'joined_by_invite') AS joined"
	"  FROM (SELECT bool_or(a.kind = 'sent' AND a.action = 'add') AS sent, bool_or(a.kind = 'sent' AND a.action = 'invite') AS invited,"
	"   coalesce((array_agg(a.outcome::text ORDER BY a.id DESC) FILTER (WHERE a.outcome IS NOT NULL))[1], '') AS last"
	"   FROM wawp.audit_log a WHERE " IN_REPORT " AND a.action::text IN ('add', 'invite') AND a.contact_id IS NOT NULL GROUP BY a.group_jid, a.contact_id) p) s,"
	" LATERAL (VALUES (1, 'To be added or invited', s.asked), (2, 'Sent to the API', s.sent), (3, 'Added', s.added), (4, 'Accepted, not verified', s.accepted),"
	"  (5, 'Members already', s.already), (6, 'Sent an invitation', s.invited), (7, 'Joined by the invitation', s.joined),"
	"  (8, 'Not in so far', s.asked - s.added - s.accepted - s.already - s.joined)) f (place, label, n)"
	" WHERE s.asked > 0 ORDER BY f.place",
	REPORT_ARGS
};

static void
report_put_funnel(Report *report)
{
	html_begin_section(&report->out, "funnel", "From request to member");
	report_put_chart(report, &funnel, "People in groups: each counts once for a group",
					 "Nobody was to be added in this time.", "Step", "People", 0);
	html_end_section(&report->out);
}

/* Days (UTC), months if there are many; $3 as elsewhere. */
static SqlStatement adds_per_day = {
	"WITH u AS (SELECT CASE WHEN $2 - $1 > interval '" CppAsString2(DAYS_SHOWN) " days' THEN 'month' ELSE 'day' END AS unit),"
	" n AS (SELECT date_trunc((SELECT u.unit FROM u), a.at AT TIME ZONE 'UTC') AS day, count(*) AS n FROM wawp.audit_log a"
	"  WHERE " IN_REPORT " AND a.kind = 'sent' AND a.action = 'add' GROUP BY 1)"
	" SELECT to_char(d.day, CASE u.unit WHEN 'day' THEN 'YYYY-MM-DD' ELSE 'YYYY-MM' END), coalesce(n.n, 0)"
	" FROM u, LATERAL generate_series((SELECT min(n.day) FROM n), (SELECT max(n.day) FROM n), ('1 ' || u.unit)::interval) d (day)"
	" LEFT JOIN n ON n.day = d.day ORDER BY d.day",
	REPORT_ARGS
};

/* Returns the cap of the report's instance, 0 if it has none, or the days are not shown one by one. */
static int
report_cap(const char *instance, TimestampTz since, TimestampTz before)
{
	if (instance == NULL || !instance_is_usable(instance) || !instance_is_callable(instance) || before - since > DAYS_SHOWN * USECS_PER_DAY)
		return 0;
	return instance_describe(instance)->adds_per_day;
}

static void
report_put_adds(Report *report, int cap)
{
	html_begin_section(&report->out, "adds", "Adds");
	if (cap > 0)
		html_put_paragraph(&report->out, psprintf("The instance may add %d people a day (adds_per_day); a line marks it.", cap));
	report_put_chart(report, &adds_per_day, "Adds that were sent, by day (UTC)", "None was sent in this time.", "Day", "Adds", cap);
	html_end_section(&report->out);
}

static SqlStatement refusals = {
	"SELECT a.outcome || ': ' || o.text, count(DISTINCT (a.group_jid, a.contact_id)) FROM wawp.audit_log a JOIN wawp.outcome_info o ON o.outcome = a.outcome"
	" WHERE " IN_REPORT " AND a.kind::text IN ('answered', 'verified', 'refused') AND a.outcome::text NOT IN " SUCCESSES_SQL
	" GROUP BY a.outcome, o.text ORDER BY 2 DESC, 1",
	REPORT_ARGS
};

static void
report_put_refusals(Report *report)
{
	html_begin_section(&report->out, "refusals", "Refusals");
	report_put_chart(report, &refusals, "People in groups, by what was answered or found", "There was none.", "Reason", "People", 0);
	html_end_section(&report->out);
}

static SqlStatement holds = {
	"SELECT " TIME_SQL("a.at") ", a.kind, a.instance, " GROUP_SQL ", coalesce(a.outcome::text, a.reason), a.requested_by" ALL_ROWS_SQL
	" FROM wawp.audit_log a WHERE " IN_REPORT " AND a.kind::text IN ('held', 'resumed') ORDER BY a.id" LIMIT_SQL,
	REPORT_ARGS
};

static void
report_put_holds(Report *report)
{
	static const HtmlColumn columns[] = {{"Time (UTC)", false}, {"What", false}, {"Instance", false}, {"Group", false}, {"Reason", false}, {"By", false}};

	html_begin_section(&report->out, "holds", "Holds");
	report_put_table(report, &holds, "What was not served for a time", "Nothing was held.", columns, lengthof(columns));
	html_end_section(&report->out);
}

static SqlStatement requests = {
	"SELECT a.requested_by, a.actor, a.action, a.reason, count(DISTINCT (a.group_jid, a.contact_id)), " TIME_SQL("min(a.at)") ", " TIME_SQL("max(a.at)") ALL_ROWS_SQL
	" FROM wawp.audit_log a WHERE " IN_REPORT " AND a.kind = 'sent' AND a.action IS NOT NULL"
	" GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4" LIMIT_SQL,
	REPORT_ARGS
};

static void
report_put_requests(Report *report)
{
	static const HtmlColumn columns[] = {{"Role", false}, {"Acting user", false}, {"Action", false}, {"Reason", false}, {"People", true},
	{"First (UTC)", false}, {"Last (UTC)", false}};

	html_begin_section(&report->out, "requests", "Who asked for what");
	report_put_table(report, &requests, "Requests that were sent", "Nothing was sent.", columns, lengthof(columns));
	html_end_section(&report->out);
}

#define REFUSED_FROM \
	ALL_ROWS_SQL " FROM wawp.audit_log a WHERE " IN_REPORT " AND a.kind::text IN ('answered', 'verified', 'refused') AND a.contact_id IS NOT NULL" \
	" AND a.outcome::text NOT IN " SUCCESSES_SQL " ORDER BY a.id" LIMIT_SQL

static SqlStatement refused_contacts = {
	"SELECT 'contact ' || a.contact_id, " GROUP_SQL ", a.action, a.outcome, " TIME_SQL("a.at") REFUSED_FROM,
	REPORT_ARGS
};

static SqlStatement refused_people = {
	"SELECT coalesce((SELECT c.jid FROM wawp.contact c WHERE c.contact_id = a.contact_id), 'contact ' || a.contact_id), a.group_jid, a.action, a.outcome, "
	TIME_SQL("a.at") REFUSED_FROM,
	REPORT_ARGS
};

static void
report_put_people(Report *report)
{
	static const HtmlColumn columns[] = {{"Person", false}, {"Group", false}, {"Action", false}, {"Outcome", false}, {"Time (UTC)", false}};

	html_begin_section(&report->out, "people", "People who were refused");
	report_put_table(report, report->shows_people ? &refused_people : &refused_contacts, report->shows_people
					 ? "Each refusal, by the person's number" : "Each refusal; the person is a number in wawp.contact",
					 "There is none.", columns, lengthof(columns));
	html_end_section(&report->out);
}

static SqlStatement seal = {
	"SELECT v.ok, v.checked, v.first_bad_block, v.first_bad_id, v.problem FROM wawp._report_seal($1, $2) v",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

/* True if the current role may read that table of schema wawp. */
static bool
report_may_read(const char *table)
{
	Oid			relation = spi_find_relation(table);

	return OidIsValid(relation) && pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* Appends what checking the log's seal said; all instances are in it. */
static void
report_put_seal(Report *report)
{
	SqlArgs		args = report->args;
	const char *problem;

	html_begin_section(&report->out, "seal", "Is the record complete?");
	args.n = 2;
	if (!report_may_read("audit_block") || spi_run(&seal, &args) == 0)
		html_put_paragraph(&report->out, "Not checked: the role that made this report may not read wawp.audit_block.");
	else
	{
		problem = report_get(0, 5);
		html_put_paragraph(&report->out, spi_get_bool(0, 1)
						   ? psprintf("Yes: the " INT64_FORMAT " records sealed in this time, of all instances, are as they were written.", spi_get_int8(0, 2, 0))
						   : psprintf("No. " INT64_FORMAT " records were checked; the first that is wrong is in block " INT64_FORMAT ", record " INT64_FORMAT ".",
									  spi_get_int8(0, 2, 0), spi_get_int8(0, 3, 0), spi_get_int8(0, 4, 0)));
		if (problem)
			html_put_paragraph(&report->out, problem);
	}
	html_end_section(&report->out);
}

/* Appends the page's beginning: what it is about, and who has made it. */
static void
report_put_head(Report *report, TimestampTz since, TimestampTz before, const char *instance)
{
	const char *who = GetUserNameFromId(GetUserId(), false);

	html_begin_page(&report->out, instance ? psprintf("WhatsApp groups by %s", text_from_server(instance)) : "WhatsApp groups");
	html_put_paragraph(&report->out, psprintf("From %s to before %s. Database %s, made at %s by %s from the audit log.",
											  pstrdup(clock_text(since)), pstrdup(clock_text(before)), text_from_server(get_database_name(MyDatabaseId)),
											  pstrdup(clock_text(GetCurrentTimestamp())), text_from_server(who)));
}

/* Raises unless a time was given for both ends, and the instance, if any, exists. */
static void
report_require_arguments(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < 2; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must not be null", i == 0 ? "since" : "before")));
	if (!PG_ARGISNULL(2) && instance_id_of(NameStr(*PG_GETARG_NAME(2))) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no Wawp instance \"%s\"", NameStr(*PG_GETARG_NAME(2))),
				 errhint("Without an instance the report is about all, including those that do not exist any more.")));
}

/* (since timestamptz, before timestamptz, instance name): a page of HTML. */
Datum
wawp_report(PG_FUNCTION_ARGS)
{
	MemoryContext result = CurrentMemoryContext;
	Report		report = {0};
	TimestampTz since;
	TimestampTz before;
	const char *instance;
	SqlOwner	role;

	report_require_arguments(fcinfo);
	since = PG_GETARG_TIMESTAMPTZ(0);
	before = PG_GETARG_TIMESTAMPTZ(1);
	instance = PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2));
	initStringInfo(&report.out);
	spi_add_datum(&report.args, TimestampTzGetDatum(since));
	spi_add_datum(&report.args, TimestampTzGetDatum(before));
	spi_add_text(&report.args, instance);
	report.shows_people = report_may_read("contact");
	role = spi_begin_as_caller();
	report_put_head(&report, since, before, instance);
	report_put_funnel(&report);
	report_put_adds(&report, report_cap(instance, since, before));
	report_put_refusals(&report);
	report_put_holds(&report);
	report_put_requests(&report);
	report_put_people(&report);
	report_put_seal(&report);
	html_end_page(&report.out);
	spi_end_as_caller(&role);
	MemoryContextSwitchTo(result);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(report.out.data, report.out.len));
}
