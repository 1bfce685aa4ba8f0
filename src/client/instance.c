/*-------------------------------------------------------------------------
 *
 * instance.c
 *	  Wawp instances: foreign servers, user mappings and the permission to use them.
 *
 * An instance is a FOREIGN SERVER of the wrapper "wawp".  The server has the
 * address and the settings of an account, the USER MAPPING its token, and USAGE
 * on the server is the permission to use it.  The table options[] defines the
 * options, the object they belong to, their accepted values and their defaults,
 * for the validator and the reader alike; what foreign tables do with theirs is
 * in session/foreign_*.c.
 *
 * A token leaves this file in WawpInstance.access_token only.  Errors about
 * options hide the statement, which may contain the token, and quote no value,
 * as a token may have been pasted into a URL.
 *
 * Reads the catalogs in the caller's transaction; results are in the caller's
 * memory context.
 *
 * IDENTIFICATION
 *	  src/client/instance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/subtransaction.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "client/instance.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "protocol/jid.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "compat.h"

#define WRAPPER_NAME "wawp"
#define MAX_TOKEN_FILE_BYTES 8192
/* it is in the keys of indexes, and in each record */
#define MAX_INSTANCE_ID_BYTES 500
#define HOUR_MS (60 * 60 * 1000)

PG_FUNCTION_INFO_V1(wawp_fdw_validator);
PG_FUNCTION_INFO_V1(wawp_option_info);

typedef struct OptionSpec OptionSpec;

/* Checks a value; returns NULL, or what is wrong as a detail sentence, static or palloc'd. */
typedef const char *(*OptionCheck) (const OptionSpec *spec, const char *value);

struct OptionSpec
{
	const char *name;
	Oid			catalog;		/* the kind of object it belongs to */
	OptionCheck check;
	double		min;			/* for numbers and durations (in ms) */
	double		max;			/* likewise; of a text the bytes */
	const char *standard;		/* the default; NULL: none */
	const char *text;			/* what it is, with its unit, for wawp._option_info() */
};

/*
 * Keep the statement, and the context in which a function would quote it, out of
 * the log; for ereport.
 */
static int
hide_statement(void)
{
	errhidestmt(true);
	return errhidecontext(true);
}

/*
 * ---- checks of values
 */

static bool
has_control_characters(const char *value)
{
	for (; *value; value++)
		if ((unsigned char) *value < ' ' || *value == 0x7F)
			return true;
	return false;
}

static const char *
check_text(const OptionSpec *spec, const char *value)
{
	if (*value == '\0')
		return "It must not be empty.";
	if (strlen(value) > spec->max)
		return psprintf("It must have at most %g bytes.", spec->max);
	if (has_control_characters(value))
		return "It must not have control characters.";
	return NULL;
}

static const char *
range_problem(const OptionSpec *spec)
{
	return psprintf("It must be between %g and %g.", spec->min, spec->max);
}

static const char *
check_int(const OptionSpec *spec, const char *value)
{
	int			number;

	if (value[strspn(value, "+-0123456789 ")] != '\0' || !parse_int(value, &number, 0, NULL))
		return "It must be a whole number.";
	return number < spec->min || number > spec->max ? range_problem(spec) : NULL;
}

static const char *
check_real(const OptionSpec *spec, const char *value)
{
	double		number;

	if (!parse_real(value, &number, 0, NULL))
		return "It must be a number.";
	return number < spec->min || number > spec->max ? range_problem(spec) : NULL;
}

/* OptionCheck for an option whose name ends in _ms: a plain number is milliseconds. */
static const char *
check_ms(const OptionSpec *spec, const char *value)
{
	int			ms;

	if (!parse_int(value, &ms, GUC_UNIT_MS, NULL))
		return "It must be a number of milliseconds.";
	return ms < spec->min || ms > spec->max ? range_problem(spec) : NULL;
}

/*
 * Read "3s", "72h" and the like into *ms; false if it is none.  A number without
 * a unit is refused, as it could mean seconds or milliseconds.
 */
static bool
parse_duration(const char *value, int64 *ms)
{
	double		number;

	value += strspn(value, " ");
	if (value[strspn(value, "0123456789. ")] == '\0' ||
		!parse_real(value, &number, GUC_UNIT_MS, NULL) || number < 0 || number > PG_INT32_MAX * 1000.0)
		return false;
	*ms = (int64) number;
	return true;
}

static const char *
check_duration(const OptionSpec *spec, const char *value)
{
	int64		ms;

	if (!parse_duration(value, &ms))
		return "It must be a duration with its unit, such as \"72h\" or \"30min\".";
	return ms < spec->min || ms > spec->max ? "It is outside the accepted range." : NULL;
}

/*
 * Read a comma-separated list of growing durations into delays, at most
 * INSTANCE_MAX_DELAYS, and *count; false if it is none.
 */
static bool
parse_delays(const OptionSpec *spec, const char *value, int *delays, int *count)
{
	char	   *copy = pstrdup(value);
	char	   *rest = copy;
	char	   *part;
	int64		ms;

	*count = 0;
	while ((part = strsep(&rest, ",")) != NULL)
	{
		if (*count == INSTANCE_MAX_DELAYS || !parse_duration(part, &ms) ||
			ms < spec->min || ms > spec->max || (*count > 0 && ms <= delays[*count - 1]))
			return false;
		delays[(*count)++] = (int) ms;
	}
	return true;
}

static const char *
check_delays(const OptionSpec *spec, const char *value)
{
	int			delays[INSTANCE_MAX_DELAYS];
	int			count;

	if (!parse_delays(spec, value, delays, &count))
		return "It must be a list of up to 10 growing durations with their units, each at most 1 hour, such as \"3s,15s,60s\".";
	return NULL;
}

/* Read a time of day into *minutes since midnight and advance *at; false if there is none. */
static bool
parse_time_of_day(const char **at, int *minutes)
{
	int			hour;
	int			minute;
	int			n = 0;

	if (sscanf(*at, "%2d:%2d%n", &hour, &minute, &n) != 2 || n < 4 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return false;
	*at += n;
	*minutes = hour * 60 + minute;
	return true;
}

/*
 * Read the times of "21:00-08:00 Europe/Madrid" into *from and *to, in minutes
 * since midnight, and advance *at to the time zone or the end; false if it is none.
 */
static bool
parse_time_span(const char **at, int *from, int *to)
{
	if (!parse_time_of_day(at, from) || *(*at)++ != '-' || !parse_time_of_day(at, to) || (**at && **at != ' '))
		return false;
	*at += strspn(*at, " ");
	return true;
}

/*
 * Read an offset from UTC as people write it ("UTC+2", "GMT-3", "+05:30"), east being
 * positive, into *seconds; false if the name is none.
 */
static bool
parse_utc_offset(const char *name, long *seconds)
{
	int			hours;
	int			minutes = 0;
	int			used = 0;

	if (pg_strncasecmp(name, "UTC", 3) == 0 || pg_strncasecmp(name, "GMT", 3) == 0)
		name += 3;
	if ((*name != '+' && *name != '-') || !isdigit((unsigned char) name[1]) ||
		sscanf(name + 1, "%2d%n:%2d%n", &hours, &used, &minutes, &used) < 1 || name[1 + used] != '\0' ||
		hours > 14 || minutes < 0 || minutes > 59)
		return false;
	*seconds = (*name == '-' ? -1L : 1L) * (hours * 60 + minutes) * 60;
	return true;
}

/* True for a zone in POSIX's form without a rule, such as "XYZ-2": its sign is the opposite of what people write. */
static bool
is_posix_offset(const char *name)
{
	static const char *const names[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0", NULL};
	size_t		n = strcspn(name, "0123456789");

	for (const char *const *other = names; *other; other++)
		if (pg_strcasecmp(name, *other) == 0)
			return false;
	return name[n] != '\0' && strpbrk(name, "/,") == NULL;
}

/* Return the time zone of quiet hours by its name or offset; NULL if there is none. */
static pg_tz *
quiet_hours_zone(const char *name)
{
	long		seconds;

	if (*name == '\0')
		return log_timezone;
	return parse_utc_offset(name, &seconds) ? pg_tzset_offset(-seconds) : pg_tzset(name);
}

static const char *
check_quiet_hours(const OptionSpec *spec pg_attribute_unused(), const char *value)
{
	const char *at = value;
	int			from;
	int			to;
	long		seconds;

	if (!parse_time_span(&at, &from, &to))
		return "It must be a time span with a time zone, such as \"21:00-08:00 Europe/Madrid\".";
	if (from == to)
		return "A time span that ends when it begins is empty; leave the option out for no quiet hours.";
	if (quiet_hours_zone(at) == NULL || (!parse_utc_offset(at, &seconds) && is_posix_offset(at)))
		return psprintf("\"%s\" is not a time zone; name one as in \"Europe/Madrid\" or \"UTC+2\".", at);
	return NULL;
}

static const char *const auth_words[] = {
	[AUTH_BODY] = "body",
	[AUTH_QUERY] = "query",
	[AUTH_HEADER] = "header"
};

/* Read a word for the option "auth" into *auth; false if it is none. */
static bool
parse_auth(const char *value, InstanceAuth *auth)
{
	for (size_t i = 0; i < lengthof(auth_words); i++)
	{
		if (strcmp(value, auth_words[i]) != 0)
			continue;
		*auth = (InstanceAuth) i;
		return true;
	}
	return false;
}

static const char *
check_auth(const OptionSpec *spec pg_attribute_unused(), const char *value)
{
	InstanceAuth auth;

	return parse_auth(value, &auth) ? NULL : "It must be \"body\", \"query\" or \"header\".";
}

static const char *
check_file(const OptionSpec *spec, const char *value)
{
	return is_absolute_path(value) ? check_text(spec, value) : "It must be an absolute path.";
}

/* OptionCheck for a file that is read as the server's user: for roles that may read server files anyway. */
static const char *
check_ca_file(const OptionSpec *spec, const char *value)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", spec->name),
				 errdetail("Only roles with privileges of \"%s\" may set it.", "pg_read_server_files"),
				 hide_statement()));
	return check_file(spec, value);
}

/* OptionCheck for a file whose content is sent to the host: for superusers. */
static const char *
check_token_file(const OptionSpec *spec, const char *value)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", spec->name),
				 errdetail("Only superusers may set it."),
				 errhint("Use the option \"access_token\"."),
				 hide_statement()));
	return check_file(spec, value);
}

/* Return the hosts of wawp.allowed_hosts, whose syntax was checked when it was set. */
static List *
allowed_hosts(void)
{
	List	   *hosts = NIL;

	(void) SplitGUCList(pstrdup(wawp_allowed_hosts), ',', &hosts);
	return hosts;
}

static bool
host_is_allowed(const char *host)
{
	ListCell   *lc;

	foreach(lc, allowed_hosts())
		if (pg_strcasecmp(lfirst(lc), host) == 0)
			return true;
	return false;
}

static bool
loopback_is_allowed(void)
{
	return host_is_allowed("localhost") || host_is_allowed("127.0.0.1") || host_is_allowed("::1");
}

/*
 * Split a base URL into *url, palloc'd.  Returns NULL, or why it may not be called
 * with the current wawp.allowed_hosts, as a sentence.
 */
static const char *
base_url_problem(const char *value, HttpUrl *url)
{
	const char *problem = has_control_characters(value) ? "it has control characters" : http_parse_url(value, url);

	if (problem)
		return psprintf("It cannot be used: %s.", problem);
	if (strcmp(url->scheme, "https") != 0 && !url->is_loopback)
		return "Only https is safe for a token.";
	if (!host_is_allowed(url->host))
		return psprintf("Host \"%s\" is not in wawp.allowed_hosts.", url->host);
	return NULL;
}

static const char *
check_base_url(const OptionSpec *spec pg_attribute_unused(), const char *value)
{
	HttpUrl		url;

	/*
	 * pg_upgrade restores servers before the new cluster has its settings; hosts are checked again when they are
	 * called
	 */
	return IsBinaryUpgrade ? NULL : base_url_problem(value, &url);
}

static const char *
check_object(const OptionSpec *spec pg_attribute_unused(), const char *value)
{
	if (strcmp(value, "members") == 0 || strcmp(value, "groups") == 0)
		return NULL;
	return "It must be \"members\" or \"groups\".";
}

static const char *
check_group(const OptionSpec *spec pg_attribute_unused(), const char *value)
{
	if (jid_parse(value, strlen(value)).kind == JID_GROUP)
		return NULL;
	return "It must be a group JID, \"<digits>@g.us\" or \"<digits>-<digits>@g.us\".";
}

/*
 * ---- the options
 */

#define ON_SERVER ForeignServerRelationId
#define ON_MAPPING UserMappingRelationId
#define ON_TABLE ForeignTableRelationId

static const OptionSpec options[] = {
	{"instance_id", ON_SERVER, check_text, 0, MAX_INSTANCE_ID_BYTES, NULL,
	"the account at the gateway; required"},
	{"base_url", ON_SERVER, check_base_url, 0, 0, "https://api.wawp.net",
	"address of the gateway: https, http on loopback only; its host must be in wawp.allowed_hosts"},
	{"connect_timeout_ms", ON_SERVER, check_ms, 1, HOUR_MS, "10000",
	"milliseconds until a connection must be there"},
	{"timeout_ms", ON_SERVER, check_ms, 1, HOUR_MS, "60000",
	"milliseconds that a request may take in all"},
	{"auth", ON_SERVER, check_auth, 0, 0, "body",
	"how credentials travel: body (in a GET's query), query, header"},
	{"ca_file", ON_SERVER, check_ca_file, 0, MAXPGPATH - 1, NULL,
	"file of certificates that are trusted instead of the system's; set by roles with pg_read_server_files"},
	{"concurrency", ON_SERVER, check_int, 1, 1000, "1",
	"requests of the worker at a time"},
	{"batch_size", ON_SERVER, check_int, 1, 50, "1",
	"people in one add request of the worker"},
	{"adds_per_minute", ON_SERVER, check_real, 0, 60000, "6",
	"adds a minute, of the worker and of calls by hand; 0: no pace at all"},
	{"adds_burst", ON_SERVER, check_int, 0, 1000, "4",
	"adds that calls by hand may make at once beyond the pace"},
	{"adds_per_day", ON_SERVER, check_int, 0, PG_INT32_MAX, "0",
	"adds a day (UTC); 0: no cap"},
	{"invites_per_minute", ON_SERVER, check_real, 0, 60000, "2",
	"invitations and welcomes a minute"},
	{"checks_per_minute", ON_SERVER, check_real, 0, 60000, "30",
	"numbers a minute for which WhatsApp is asked whether it knows them"},
	{"reads_per_minute", ON_SERVER, check_real, 0, 60000, "60",
	"member lists and descriptions a minute; sessions' own count and do not wait; none if adds_per_minute is 0"},
	{"pace_jitter", ON_SERVER, check_real, 0, 10, "0.2",
	"random part of the time between two requests, as a factor; it only slows"},
	{"verify_delays", ON_SERVER, check_delays, 1, HOUR_MS, "3s,15s,60s",
	"when the member list is read after an add: up to 10 growing durations with units, each at most 1h"},
	{"invite_ttl", ON_SERVER, check_duration, 1000, 365.0 * 24 * HOUR_MS, "72h",
	"how long an invitation, or a request to join, is waited for: a duration with its unit, 1s to 8760h"},
	{"quiet_hours", ON_SERVER, check_quiet_hours, 0, 0, NULL,
	"no adds, invitations, welcomes then: 21:00-08:00 Europe/Madrid (UTC+2: two hours east; none: log_timezone)"},
	{"access_token", ON_MAPPING, check_text, 0, MAX_TOKEN_FILE_BYTES, NULL,
	"the account's token"},
	{"access_token_file", ON_MAPPING, check_token_file, 0, MAXPGPATH - 1, NULL,
	"absolute path of a file with the token, which the server reads; set by superusers, not beside access_token"},
	{"webhook_secret", ON_MAPPING, check_text, 0, MAX_TOKEN_FILE_BYTES, NULL,
	"key of the signatures of the gateway's events"},
	{"object", ON_TABLE, check_object, 0, 0, NULL,
	"what the table has: members or groups; required"},
	{"group_jid", ON_TABLE, check_group, 0, 0, NULL,
	"the one group of a table of members"},
};

static const OptionSpec *
find_option(const char *name)
{
	for (size_t i = 0; i < lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* Return the option of that catalog with the most similar name; NULL if none is similar. */
static const char *
closest_option(const char *name, Oid catalog)
{
	const char *best = NULL;
	int			best_distance = Max(2, (int) strlen(name) / 2) + 1;

	for (size_t i = 0; i < lengthof(options) && strlen(name) <= 255; i++)
	{
		int			distance;

		if (options[i].catalog != catalog)
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name),
												 options[i].name, strlen(options[i].name),
												 1, 1, 1, best_distance, true);
		if (distance >= best_distance)
			continue;
		best = options[i].name;
		best_distance = distance;
	}
	return best;
}

/* Return the kind of object that an option belongs to, as CREATE has it. */
static const char *
option_object(const OptionSpec *spec)
{
	return spec->catalog == ON_SERVER ? "SERVER" : spec->catalog == ON_MAPPING ? "USER MAPPING" : "FOREIGN TABLE";
}

/* Raise an error for an option that does not exist for this kind of object. */
static void
refuse_unknown_option(const char *name, Oid catalog)
{
	const OptionSpec *elsewhere = find_option(name);
	const char *closest = closest_option(name, catalog);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 elsewhere
			 ? errhint("The option belongs to CREATE %s.", option_object(elsewhere))
			 : closest
			 ? errhint("Perhaps you meant the option \"%s\".", closest)
			 : 0,
			 hide_statement()));
}

/* Raise an error unless the option and its value are accepted. */
static void
check_option(const DefElem *def, Oid catalog)
{
	const OptionSpec *spec = find_option(def->defname);
	const char *problem;

	if (spec == NULL || spec->catalog != catalog)
		refuse_unknown_option(def->defname, catalog);
	problem = spec->check(spec, defGetString((DefElem *) def));
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", spec->name),
				 errdetail("%s", problem),
				 spec->check == check_base_url
				 ? errhint("An administrator adds the host to wawp.allowed_hosts; http is for loopback only, all else takes https.")
				 : 0,
				 hide_statement()));
}

/* Return the value of an option in a list, else its default; it is part of the list or static. */
static const char *
option_value(List *defs, const char *name)
{
	ListCell   *lc;

	foreach(lc, defs)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return defGetString(lfirst_node(DefElem, lc));
	return find_option(name)->standard;
}

/* Raise an error unless the options of a foreign table fit together. */
static void
check_table_options(List *defs)
{
	const char *object = option_value(defs, "object");

	if (object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" is required", "object"),
				 errhint("CREATE FOREIGN TABLE ... OPTIONS (object 'members') or OPTIONS (object 'groups').")));
	if (strcmp(object, "members") != 0 && option_value(defs, "group_jid"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is for tables of members", "group_jid"),
				 errhint("Choose a group with WHERE group_jid = '...'.")));
}

/* Validator of the foreign-data wrapper: (options text[], catalog oid). */
Datum
wawp_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	foreach(lc, defs)
		check_option(lfirst_node(DefElem, lc), catalog);

	if (catalog == ON_SERVER && option_value(defs, "instance_id") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" is required", "instance_id"),
				 errhint("CREATE SERVER ... FOREIGN DATA WRAPPER wawp OPTIONS (instance_id '...')."),
				 hide_statement()));
	if (catalog == ON_TABLE)
		check_table_options(defs);
	if (catalog == ON_MAPPING && option_value(defs, "access_token") && option_value(defs, "access_token_file"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"%s\" and \"%s\" exclude each other",
						"access_token", "access_token_file"),
				 hide_statement()));
	PG_RETURN_VOID();
}

/* Return a limit of an option's number; *is_null if its value is no number. */
static Datum
option_limit(const OptionSpec *spec, double limit, bool *is_null)
{
	*is_null = spec->check != check_int && spec->check != check_real && spec->check != check_ms;
	return Float8GetDatum(limit);
}

/* Rows of wawp._option_info(): option, object, standard, lowest, highest, text; the options in the table's order. */
Datum
wawp_option_info(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(options); i++)
	{
		const OptionSpec *spec = &options[i];
		Datum		values[6] = {0};
		bool		nulls[6] = {false};

		values[0] = CStringGetTextDatum(spec->name);
		values[1] = CStringGetTextDatum(option_object(spec));
		nulls[2] = spec->standard == NULL;
		if (spec->standard)
			values[2] = CStringGetTextDatum(spec->standard);
		values[3] = option_limit(spec, spec->min, &nulls[3]);
		values[4] = option_limit(spec, spec->max, &nulls[4]);
		values[5] = CStringGetTextDatum(spec->text);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * ---- choosing an instance
 */

/* Return the names of the instances on which a role has USAGE; of all for InvalidOid. */
static List *
usable_instances(Oid roleid)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(WRAPPER_NAME, true);
	Relation	servers = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(servers, InvalidOid, false, NULL, 0, NULL);
	List	   *names = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (form->srvfdw == wrapper && OidIsValid(wrapper) &&
			(!OidIsValid(roleid) || wawp_server_aclcheck(form->oid, roleid, ACL_USAGE) == ACLCHECK_OK))
			names = lappend(names, pstrdup(NameStr(form->srvname)));
	}
	systable_endscan(scan);
	table_close(servers, AccessShareLock);
	return names;
}

/* Return names for a message: quoted, with commas between them. */
static const char *
list_names(List *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s\"%s\"", list.len ? ", " : "", (char *) lfirst(lc));
	return list.data;
}

/* Raise an error because no instance, or several, could be meant. */
static void
refuse_choice(List *names, Oid roleid, const char *hint)
{
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no Wawp instance that role \"%s\" may use",
						GetUserNameFromId(roleid, false)),
				 errhint("Create one with CREATE SERVER ... FOREIGN DATA WRAPPER wawp, or have USAGE on it granted.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("several Wawp instances could be meant"),
			 errdetail("Role \"%s\" may use %s.", GetUserNameFromId(roleid, false), list_names(names)),
			 errhint("%s", hint)));
}

/* Return the only instance that a role may use; raises an error unless there is exactly one. */
static const char *
only_usable(Oid roleid, const char *hint)
{
	List	   *names = usable_instances(roleid);

	if (list_length(names) != 1)
		refuse_choice(names, roleid, hint);
	return linitial(names);
}

/* Return the name of the instance to use: the argument, else the parameter, else the only one. */
static const char *
choose_name(const char *name, Oid roleid)
{
	if (name != NULL)
		return name;
	if (wawp_instance_name[0] != '\0')
		return wawp_instance_name;
	return only_usable(roleid, "Name one in the argument \"instance\" or in the parameter \"wawp.instance\".");
}

/* Return the foreign server of an instance; raises 42704 if there is none. */
static ForeignServer *
find_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL || server->fdwid != get_foreign_data_wrapper_oid(WRAPPER_NAME, true))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("Wawp instance \"%s\" does not exist", name),
				 server
				 ? errdetail("Server \"%s\" is not of the foreign-data wrapper \"%s\".", name, WRAPPER_NAME)
				 : 0,
				 errhint("An instance is made by CREATE SERVER ... FOREIGN DATA WRAPPER wawp.")));
	return server;
}

/* Raise 42501 unless the role has USAGE on the server. */
static void
check_usage(const ForeignServer *server, Oid roleid)
{
	AclResult	result = wawp_server_aclcheck(server->serverid, roleid, ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server->servername);
}

/*
 * ---- the token of an instance
 */

/* Set *defs to the options of the role's mapping, else of PUBLIC's, and *owner to its role; false if there is none. */
static bool
mapping_options(Oid roleid, Oid serverid, List **defs, Oid *owner)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
										ObjectIdGetDatum(roleid), ObjectIdGetDatum(serverid));
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return roleid != InvalidOid && mapping_options(InvalidOid, serverid, defs, owner);
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	*defs = isnull ? NIL : untransformRelOptions(datum);
	*owner = roleid;
	ReleaseSysCache(tuple);
	return true;
}

/* Return the token in a file, palloc'd; raises an error if it cannot be read or has none. */
static const char *
read_token_file(const char *path)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	char	   *token = palloc0(MAX_TOKEN_FILE_BYTES + 1);
	size_t		n;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the file of the access token: %m"),
				 errdetail_log("Its path is \"%s\".", path)));
	n = fread(token, 1, MAX_TOKEN_FILE_BYTES, file);
	FreeFile(file);
	if (n == MAX_TOKEN_FILE_BYTES)
		n = 0;
	while (n > 0 && isspace((unsigned char) token[n - 1]))
		token[--n] = '\0';
	if (n == 0 || strlen(token) != n || has_control_characters(token))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of the access token has none"),
				 errdetail("It must have one line of at most %d bytes.", MAX_TOKEN_FILE_BYTES - 1),
				 errdetail_log("Its path is \"%s\".", path)));
	return token;
}

/* Return the token of a role, and in *owner whose mapping has it; raises 42704 if there is none. */
static const char *
find_token(const ForeignServer *server, Oid roleid, Oid *owner)
{
	List	   *defs = NIL;
	bool		has_mapping = mapping_options(roleid, server->serverid, &defs, owner);
	const char *token = option_value(defs, "access_token");
	const char *path = option_value(defs, "access_token_file");

	if (token)
		return token;
	if (path)
		return read_token_file(path);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no access token for Wawp instance \"%s\"", server->servername),
			 has_mapping
			 ? errdetail("The user mapping of role \"%s\" has none.", GetUserNameFromId(roleid, false))
			 : errdetail("Neither role \"%s\" nor PUBLIC has a user mapping.", GetUserNameFromId(roleid, false)),
			 errhint("CREATE USER MAPPING FOR ... SERVER %s OPTIONS (access_token '...').",
					 quote_identifier(server->servername))));
	return NULL;
}

/*
 * ---- reading an instance
 */

static int
option_ms(List *defs, const char *name)
{
	int			ms = 0;

	(void) parse_int(option_value(defs, name), &ms, GUC_UNIT_MS, NULL);
	return ms;
}

static int
option_int(List *defs, const char *name)
{
	int			number = 0;

	(void) parse_int(option_value(defs, name), &number, 0, NULL);
	return number;
}

static double
option_real(List *defs, const char *name)
{
	double		number = 0;

	(void) parse_real(option_value(defs, name), &number, 0, NULL);
	return number;
}

/* Set the base URL; raises 22023 if its host is not in wawp.allowed_hosts any more. */
static void
fill_base_url(WawpInstance *instance, List *defs)
{
	const char *problem = base_url_problem(option_value(defs, "base_url"), &instance->base);

	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("Wawp instance \"%s\" may not be called", instance->name),
				 errdetail("%s", problem),
				 errhint("An administrator can add the host to wawp.allowed_hosts.")));
	instance->may_reach_loopback = loopback_is_allowed();
}

/*
 * ---- names that do not change
 *
 * Rows have an instance by its name.  ALTER SERVER ... RENAME and DROP SERVER
 * lock the server exclusively; whoever writes such rows locks it shared, until
 * the end of the transaction.
 */

/* Keep a server from being renamed or dropped; false if that is under way and is not to be waited for. */
bool
instance_keep_server(Oid serverid, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ForeignServerRelationId, serverid, 0);
	switch (LockAcquire(&tag, AccessShareLock, false, !wait))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			return false;
		case LOCKACQUIRE_OK:
			AcceptInvalidationMessages();
			break;
		case LOCKACQUIRE_ALREADY_HELD:
		case LOCKACQUIRE_ALREADY_CLEAR:
			break;
	}
	return true;
}

/* Keep the server that has a name now, if there is one, likewise. */
bool
instance_keep_name(const char *name, bool wait)
{
	Oid			serverid = get_foreign_server_oid(name, true);
	Oid			locked = InvalidOid;

	while (serverid != locked && OidIsValid(serverid))
	{
		if (!instance_keep_server(serverid, wait))
			return false;
		locked = serverid;
		serverid = get_foreign_server_oid(name, true);
	}
	return true;
}

/* Return the name of a server, palloc'd; NULL if it was dropped. */
const char *
instance_name_of_server(Oid serverid)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);

	return server ? server->servername : NULL;
}

/* Find the instance of a call, without its token, for the current role; its name is kept as it is. */
InstanceRef
instance_choose(const char *name)
{
	const char *chosen = choose_name(name, GetUserId());
	ForeignServer *server;
	InstanceRef ref;

	(void) instance_keep_name(chosen, true);
	server = find_server(chosen);
	check_usage(server, GetUserId());
	ref.name = server->servername;
	ref.instance_id = option_value(server->options, "instance_id");
	return ref;
}

/* Return the name of the instance whose events are meant: the argument, else the parameter, else the only one there is. */
static const char *
choose_name_for_events(const char *name)
{
	List	   *names;

	if (name != NULL)
		return name;
	if (wawp_instance_name[0] != '\0')
		return wawp_instance_name;
	names = usable_instances(InvalidOid);
	if (list_length(names) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("several Wawp instances could be meant"),
				 errdetail("There are %s.", list_names(names)),
				 errhint("Name one in the argument \"instance\" or in the parameter \"wawp.instance\".")));
	return names == NIL ? "" : linitial(names);
}

/*
 * Find the instance whose gateway sends events, and in *secret the key of their
 * signatures in UTF-8: of PUBLIC's user mapping, else of the current role's, in
 * that order since a role with USAGE may write its own.  The role needs no USAGE,
 * since it is the privilege on the caller's function that lets it hand in events,
 * and with USAGE it could add people.  The name is kept as it is.  Errors: 42704 no such instance or no secret, 22023 several could be meant.
 */
InstanceRef
instance_of_events(const char *name, const char **secret)
{
	const char *chosen = choose_name_for_events(name);
	ForeignServer *server;
	List	   *defs = NIL;
	Oid			owner;

	(void) instance_keep_name(chosen, true);
	server = find_server(chosen);
	*secret = NULL;
	if (mapping_options(InvalidOid, server->serverid, &defs, &owner))
		*secret = option_value(defs, "webhook_secret");
	if (*secret == NULL && mapping_options(GetUserId(), server->serverid, &defs, &owner))
		*secret = option_value(defs, "webhook_secret");
	if (*secret == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no webhook secret for Wawp instance \"%s\"", server->servername),
				 errdetail("Neither the user mapping of role \"%s\" nor PUBLIC's has one.", GetUserNameFromId(GetUserId(), false)),
				 errhint("ALTER USER MAPPING FOR PUBLIC SERVER %s OPTIONS (ADD webhook_secret '...'), with the key that the gateway signs with.",
						 quote_identifier(server->servername))));
	*secret = text_from_server(*secret);
	return (InstanceRef) {server->servername, option_value(server->options, "instance_id")};
}

/*
 * Find the only instance that the current role may use, regardless of
 * wawp.instance; raises an error with that hint unless there is exactly one.
 */
const char *
instance_only_usable(const char *hint)
{
	return only_usable(GetUserId(), hint);
}

/* Return the names of the instances that a role could mean, for a message; NULL unless there are several. */
const char *
instance_choices(Oid roleid)
{
	List	   *names = usable_instances(roleid);

	return list_length(names) > 1 ? list_names(names) : NULL;
}

/*
 * Ids of instances that were read lately, by a hash of the name: a claim needs
 * that of each lane.  A change of any server empties the table.
 */
static struct
{
	bool		is_registered;
	uint64		epoch;			/* counts the changes */
	struct
	{
		NameData	name;		/* "": empty */
		uint64		epoch;
		char		id[64];
	}			instances[64];
}			ids_read;

/* Forget what was read of servers: one of them has changed. */
static void
instance_forget_ids(Datum arg pg_attribute_unused(), int cache pg_attribute_unused(), uint32 hash pg_attribute_unused())
{
	ids_read.epoch++;
}

/* Read an instance's id from the catalogs; NULL if there is no such instance. */
static const char *
instance_read_id(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL || server->fdwid != get_foreign_data_wrapper_oid(WRAPPER_NAME, true))
		return NULL;
	return option_value(server->options, "instance_id");
}

/* Return an instance's id, palloc'd; NULL if there is no such instance. */
const char *
instance_id_of(const char *name)
{
	int			place = hash_bytes((const unsigned char *) name, (int) strlen(name)) % lengthof(ids_read.instances);
	uint64		epoch;
	const char *id;

	if (!ids_read.is_registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, instance_forget_ids, (Datum) 0);
		CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, instance_forget_ids, (Datum) 0);
		ids_read.is_registered = true;
	}
	if (ids_read.instances[place].epoch == ids_read.epoch &&
		strcmp(NameStr(ids_read.instances[place].name), name) == 0 && name[0] != '\0')
		return pstrdup(ids_read.instances[place].id);
	epoch = ids_read.epoch;
	id = instance_read_id(name);
	if (id == NULL || epoch != ids_read.epoch || strlen(name) >= NAMEDATALEN ||
		strlcpy(ids_read.instances[place].id, id, sizeof(ids_read.instances[place].id)) >= sizeof(ids_read.instances[place].id))
	{
		ids_read.instances[place].name = (NameData) {""};
		return id;
	}
	namestrcpy(&ids_read.instances[place].name, name);
	ids_read.instances[place].epoch = epoch;
	return id;
}

/* Return the names of all instances of the database. */
List *
instance_names(void)
{
	return usable_instances(InvalidOid);
}

/* Return the name, as it is now, of an instance that had that name and account: it may have been renamed. */
const char *
instance_name_with_account(const char *name, const char *instance_id)
{
	const char *account = instance_id_of(name);
	ListCell   *lc;

	if (instance_id == NULL || (account && strcmp(account, instance_id) == 0))
		return name;
	foreach(lc, instance_names())
	{
		account = instance_id_of(lfirst(lc));
		if (account && strcmp(account, instance_id) == 0)
			return lfirst(lc);
	}
	return name;
}

/* Return the first time from `now` on, in *local, at which clocks in that zone show so many minutes since midnight. */
static TimestampTz
next_local_time(TimestampTz now, const struct pg_tm *local, int minutes, pg_tz *zone)
{
	bool		is_tomorrow = minutes <= local->tm_hour * 60 + local->tm_min;
	struct pg_tm at = {.tm_hour = minutes / 60, .tm_min = minutes % 60};
	TimestampTz result;
	int			offset;

	/* pg_localtime counts years from 1900 and months from 0 */
	j2date(date2j(local->tm_year + 1900, local->tm_mon + 1, local->tm_mday) + is_tomorrow,
		   &at.tm_year, &at.tm_mon, &at.tm_mday);
	offset = DetermineTimeZoneOffset(&at, zone);
	return tm2timestamp(&at, 0, &offset, &result) == 0 ? Max(result, now) : now;
}

/*
 * Return the end of the quiet hours that `now` is in; 0 if it is in none.
 * Without a time zone of their own they are in log_timezone.  They end at a local
 * time, so one that clocks are changed in is longer or shorter.
 */
TimestampTz
instance_quiet_until(const WawpInstance *instance, TimestampTz now)
{
	const char *at = instance->quiet_hours;
	pg_time_t	seconds = timestamptz_to_time_t(now);
	pg_tz	   *zone;
	struct pg_tm *local;
	int			from;
	int			to;
	int			since;

	if (at == NULL || !parse_time_span(&at, &from, &to))
		return 0;
	zone = quiet_hours_zone(at);
	if (zone == NULL)			/* zones come and go with the system's data */
		zone = log_timezone;
	local = pg_localtime(&seconds, zone);
	since = (local->tm_hour * 60 + local->tm_min - from + 1440) % 1440;
	if (since >= (to - from + 1440) % 1440)
		return 0;
	return next_local_time(now, local, to, zone);
}

/* True if there is such an instance and its host is still allowed. */
bool
instance_is_callable(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	HttpUrl		url;

	return server && server->fdwid == get_foreign_data_wrapper_oid(WRAPPER_NAME, true) &&
		base_url_problem(option_value(server->options, "base_url"), &url) == NULL;
}

/* True if there is such an instance and the current role may use it. */
bool
instance_is_usable(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	return server && server->fdwid == get_foreign_data_wrapper_oid(WRAPPER_NAME, true) &&
		wawp_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

static void
fill_pace(WawpInstance *instance, List *defs)
{
	instance->adds_per_minute = option_real(defs, "adds_per_minute");
	instance->adds_burst = option_int(defs, "adds_burst");
	instance->adds_per_day = option_int(defs, "adds_per_day");
	instance->invites_per_minute = option_real(defs, "invites_per_minute");
	instance->checks_per_minute = option_real(defs, "checks_per_minute");
	instance->reads_per_minute = instance->adds_per_minute > 0 ? option_real(defs, "reads_per_minute") : 0;
	instance->pace_jitter = option_real(defs, "pace_jitter");
	instance->concurrency = option_int(defs, "concurrency");
	instance->batch_size = option_int(defs, "batch_size");
	instance->quiet_hours = option_value(defs, "quiet_hours");
	(void) parse_duration(option_value(defs, "invite_ttl"), &instance->invite_ttl_ms);
}

/* Read all options of a server but the token. */
static WawpInstance *
instance_of_server(ForeignServer *server)
{
	WawpInstance *instance = palloc0(sizeof(WawpInstance));
	List	   *defs = server->options;

	instance->serverid = server->serverid;
	instance->name = server->servername;
	instance->instance_id = text_from_server(option_value(defs, "instance_id"));
	instance->ca_file = option_value(defs, "ca_file");
	instance->connect_timeout_ms = option_ms(defs, "connect_timeout_ms");
	instance->timeout_ms = option_ms(defs, "timeout_ms");
	(void) parse_auth(option_value(defs, "auth"), &instance->auth);
	(void) parse_delays(find_option("verify_delays"), option_value(defs, "verify_delays"),
						instance->delay_ms, &instance->ndelays);
	fill_pace(instance, defs);
	fill_base_url(instance, defs);
	return instance;
}

#define COPY_TEXT(text) ((text) = (text) ? pstrdup(text) : NULL)

/* Return a copy in the current memory context. */
WawpInstance *
instance_copy(const WawpInstance *instance)
{
	WawpInstance *copy = palloc(sizeof(WawpInstance));

	*copy = *instance;
	COPY_TEXT(copy->name);
	COPY_TEXT(copy->instance_id);
	COPY_TEXT(copy->access_token);
	COPY_TEXT(copy->base.scheme);
	COPY_TEXT(copy->base.host);
	COPY_TEXT(copy->base.origin);
	COPY_TEXT(copy->base.path);
	COPY_TEXT(copy->ca_file);
	COPY_TEXT(copy->quiet_hours);
	return copy;
}

/* Return the longest time that a request may take. */
int64
instance_longest_ms(const WawpInstance *instance)
{
	return (int64) instance->connect_timeout_ms + instance->timeout_ms;
}

/*
 * Return an instance without its token and without a check of permissions, for
 * its pace.  Errors: 42704 no such instance, 22023 its host is not allowed any
 * more.
 */
WawpInstance *
instance_describe(const char *name)
{
	return instance_of_server(find_server(name));
}

/*
 * Find the instance of a call and check that the role may use it.
 *
 * name: the call's argument, or NULL.  Errors: 42704 no such instance or no
 * token, 42501 no USAGE, 22023 several could be meant or its host is not
 * allowed any more.
 */
WawpInstance *
instance_resolve(const char *name, Oid roleid)
{
	ForeignServer *server = find_server(choose_name(name, roleid));
	WawpInstance *instance;

	check_usage(server, roleid);
	instance = instance_of_server(server);
	instance->access_token = text_from_server(find_token(server, roleid, &instance->token_role));
	return instance;
}

/* Raise an error if the role that requested an intent does not exist any more. */
static void
check_requester(Oid roleid)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(roleid)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the role that asked for it does not exist any more")));
}

/* As instance_resolve, for a role that may not exist any more, or instance_describe for INSTANCE_OF_NOBODY. */
static WawpInstance *
resolve_for_role(const char *name, Oid roleid)
{
	if (roleid == INSTANCE_OF_NOBODY)
		return instance_describe(name);
	check_requester(roleid);
	return instance_resolve(name, roleid);
}

/* The arguments of instance_try. */
typedef struct InstanceTry
{
	const char *name;
	Oid			roleid;
	WawpInstance **instance;
} InstanceTry;

static bool
resolve_into(void *subject)
{
	const InstanceTry *wanted = subject;

	*wanted->instance = resolve_for_role(wanted->name, wanted->roleid);
	return true;
}

/*
 * As instance_resolve for a role, or instance_describe for INSTANCE_OF_NOBODY,
 * into *instance, but return the error instead of raising it; the transaction
 * continues.  NULL if there was none.
 */
ErrorData *
instance_try(const char *name, Oid roleid, WawpInstance **instance)
{
	InstanceTry wanted = {name, roleid, instance};

	return subtransaction_try(resolve_into, &wanted);
}
