/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Configuration parameters.
 *
 * Each is defined once, in every process that loads the library, also without
 * shared_preload_libraries: the validator of foreign servers reads
 * wawp.allowed_hosts there.  The exceptions are wawp.max_limiters and wawp.site,
 * defined only when preloaded, as they can be set at server start only.
 *
 * IDENTIFICATION
 *	  src/base/guc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/text_limit.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "compat.h"

#define ALLOWED_HOSTS_DEFAULT "api.wawp.net"

/* An answer is parsed in memory; a list of 1,024 members is about 200 kB. */
#define MAX_RESPONSE_KB_DEFAULT (4 * 1024)
#define MAX_RESPONSE_KB_MIN 1
#define MAX_RESPONSE_KB_MAX (64 * 1024)

#define MAX_IN_FLIGHT_DEFAULT 64
#define MAX_IN_FLIGHT_MAX 256	/* http.c's connections */

#define MAX_QUEUED_PER_ROLE_DEFAULT 1000000
#define MAX_HOLDS_PER_ROLE_DEFAULT 1000

#define MEMBER_LIST_CACHE_KB_DEFAULT (64 * 1024)
#define MEMBER_LIST_CACHE_KB_MIN 64
#define MEMBER_LIST_CACHE_KB_MAX (1024 * 1024)

#define MAX_LIMITERS_DEFAULT 65536
#define MAX_LIMITERS_MAX (16 * 1024 * 1024)

#define AUDIT_TIMEOUT_DEFAULT 5000
#define AUDIT_TIMEOUT_MIN 10

#define MIN_AUDIT_RETENTION (2 * 24 * 60)
#define RETENTION_DEFAULT (30 * 24 * 60)
#define INFERRED_SUPPRESSION_DEFAULT (90 * 24 * 60)

char	   *wawp_instance_name;
char	   *wawp_allowed_hosts;
int			wawp_max_response_size;
int			wawp_connection_max_age;
char	   *wawp_actor;
bool		wawp_worker_on;
bool		wawp_notify;
char	   *wawp_site;
int			wawp_after_promotion;
int			wawp_max_in_flight;
int			wawp_max_queued_per_role;
int			wawp_max_limiters;
int			wawp_max_holds_per_role;
int			wawp_member_list_cache;
int			wawp_inferred_suppression;
int			wawp_retention;
int			wawp_audit_retention;
int			wawp_audit_timeout;

/* Check hook: a comma-separated list of host names. */
static bool
guc_check_allowed_hosts(char **newval, void **extra pg_attribute_unused(),
						GucSource source pg_attribute_unused())
{
	char	   *copy = pstrdup(*newval);
	List	   *hosts;
	ListCell   *lc;

	if (!SplitGUCList(copy, ',', &hosts))
	{
		GUC_check_errdetail("List syntax is invalid.");
		return false;
	}
	foreach(lc, hosts)
	{
		if (strpbrk(lfirst(lc), "/@*? ") == NULL)
			continue;
		GUC_check_errdetail("\"%s\" is not a host name.", (char *) lfirst(lc));
		GUC_check_errhint("List host names or addresses, without scheme, port or path.");
		return false;
	}
	return true;
}

/* Check hook: the actor is part of every audit record, which has a fixed size in shared memory. */
static bool
guc_check_actor(char **newval, void **extra pg_attribute_unused(),
				GucSource source pg_attribute_unused())
{
	size_t		length = strlen(*newval);

	if (length <= TEXT_MAX_ACTOR)
		return true;
	GUC_check_errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION);
	GUC_check_errmsg("\"wawp.actor\" is too long: at most %d bytes are allowed", TEXT_MAX_ACTOR);
	GUC_check_errdetail("It has %zu bytes.", length);
	GUC_check_errhint("Name the actor only.");
	return false;
}

/* Check hook: the limiter is rebuilt from the last day of the log. */
static bool
guc_check_audit_retention(int *newval, void **extra pg_attribute_unused(),
						  GucSource source pg_attribute_unused())
{
	if (*newval == 0 || *newval >= MIN_AUDIT_RETENTION)
		return true;
	GUC_check_errdetail("It must be 0, or at least two days.");
	return false;
}

/* Define the parameters of calls and of the instances they use. */
static void
guc_define_calls(void)
{
	DefineCustomStringVariable("wawp.instance",
							   "Names the Wawp instance used when a call does not.",
							   "Empty means: the only instance on which the role has USAGE.",
							   &wawp_instance_name,
							   "",
							   PGC_USERSET, 0,
							   NULL, NULL, NULL);

	DefineCustomStringVariable("wawp.allowed_hosts",
							   "Lists the hosts that Wawp instances may be on.",
							   "Addresses of this machine are reached only if one is listed.",
							   &wawp_allowed_hosts,
							   ALLOWED_HOSTS_DEFAULT,
							   PGC_SIGHUP, GUC_LIST_INPUT,
							   guc_check_allowed_hosts, NULL, NULL);

	DefineCustomIntVariable("wawp.max_response_size",
							"Sets the largest answer that is read from the Wawp API.",
							"A larger one is dropped, and what it answered is reported as unknown.",
							&wawp_max_response_size,
							MAX_RESPONSE_KB_DEFAULT, MAX_RESPONSE_KB_MIN, MAX_RESPONSE_KB_MAX,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.connection_max_age",
							"Sets how long a connection to the Wawp API is used for further requests.",
							"A host name that moves to another address is followed after that time.",
							&wawp_connection_max_age,
							5 * SECS_PER_MINUTE, 1, SECS_PER_DAY,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
}

/* Define the parameters of the worker and of its queue. */
static void
guc_define_worker(void)
{
	/* the worker's own value counts; for superusers, so that ALTER DATABASE can set it */
	DefineCustomBoolVariable("wawp.worker",
							 "Lets the background worker serve the queue.",
							 "Off stops claiming; requests under way are finished.  A session's own setting has no effect.",
							 &wawp_worker_on,
							 true,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("wawp.notify",
							 "Sends a NOTIFY on channel \"wawp\" for each settled intent.",
							 "The payload is a JSON object with the intent's id, state and outcome.",
							 &wawp_notify,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.max_in_flight",
							"Sets how many requests of a worker may be under way at once.",
							NULL,
							&wawp_max_in_flight,
							MAX_IN_FLIGHT_DEFAULT, 1, MAX_IN_FLIGHT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.max_queued_per_role",
							"Sets how many requests a role may have queued.",
							"Zero is no limit.  Users' tables are written beyond it: the trigger leaves a failed intent.",
							&wawp_max_queued_per_role,
							MAX_QUEUED_PER_ROLE_DEFAULT, 0, PG_INT32_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.max_holds_per_role",
							"Sets how many instances and groups a role may have paused.",
							"Zero is no limit.  Members of the extension's owner have none.",
							&wawp_max_holds_per_role,
							MAX_HOLDS_PER_ROLE_DEFAULT, 0, PG_INT32_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
}

/* Define how much and how long the worker keeps. */
static void
guc_define_memory(void)
{
	DefineCustomIntVariable("wawp.member_list_cache",
							"Sets how much memory a worker uses for member lists.",
							"Beyond that the oldest are dropped, and read again when they are needed.",
							&wawp_member_list_cache,
							MEMBER_LIST_CACHE_KB_DEFAULT, MEMBER_LIST_CACHE_KB_MIN, MEMBER_LIST_CACHE_KB_MAX,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.retention",
							"Sets how long settled intents are kept.",
							"Zero keeps them for ever.  The audit log is kept apart.",
							&wawp_retention,
							RETENTION_DEFAULT, 0, PG_INT32_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);

	DefineCustomIntVariable("wawp.inferred_suppression",
							"Sets how long people who seem to have left a group stay on the opt-out list.",
							"Holds for those whom member lists no longer show.  Zero infers nothing.",
							&wawp_inferred_suppression,
							INFERRED_SUPPRESSION_DEFAULT, 0, PG_INT32_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
}

/* Define the parameters of the audit log. */
static void
guc_define_audit(void)
{
	DefineCustomStringVariable("wawp.actor",
							   "Names who is acting, for the audit log.",
							   "What the application claims; the login role is recorded beside it.",
							   &wawp_actor,
							   "",
							   PGC_USERSET, 0,
							   guc_check_actor, NULL, NULL);

	DefineCustomIntVariable("wawp.audit_retention",
							"Sets how long audit records are kept.",
							"Whole months are dropped.  Zero keeps them for ever; otherwise it is at least two days.",
							&wawp_audit_retention,
							0, 0, PG_INT32_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN,
							guc_check_audit_retention, NULL, NULL);

	DefineCustomIntVariable("wawp.audit_timeout",
							"Sets how long a call waits for its audit record to be committed.",
							"If it is not by then, the call fails and nothing is sent.",
							&wawp_audit_timeout,
							AUDIT_TIMEOUT_DEFAULT, AUDIT_TIMEOUT_MIN, PG_INT32_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
}

static const struct config_enum_entry after_promotion_options[] = {
	{"serve", AFTER_PROMOTION_SERVE, false},
	{"hold", AFTER_PROMOTION_HOLD, false},
	{NULL, 0, false}
};

/*
 * Define the parameters by which copies are told from the original.  The site
 * can be set at server start only; without preloading it is read from there, for
 * CREATE EXTENSION.
 */
static void
guc_define_site(void)
{
	const char *written;

	DefineCustomEnumVariable("wawp.after_promotion",
							 "Sets what a promoted standby does with its Wawp instances.",
							 "\"hold\" keeps them until wawp_resume() is called.",
							 &wawp_after_promotion,
							 AFTER_PROMOTION_SERVE, after_promotion_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	if (process_shared_preload_libraries_in_progress)
	{
		DefineCustomStringVariable("wawp.site",
								   "Names the place this server works for, such as production or staging.",
								   "A database written at another site is a copy, in which nothing is sent.",
								   &wawp_site,
								   "",
								   PGC_POSTMASTER, 0,
								   NULL, NULL, NULL);
		return;
	}
	written = GetConfigOption("wawp.site", true, false);
	wawp_site = written ? strdup(written) : "";
}

/* Define the parameters; runs once, when the library is loaded. */
void
guc_init(void)
{
	guc_define_calls();
	guc_define_worker();
	guc_define_memory();
	guc_define_audit();
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("wawp.max_limiters",
								"Sets how many accounts and groups can be paced at once.",
								"Each costs about 100 bytes of shared memory.",
								&wawp_max_limiters,
								MAX_LIMITERS_DEFAULT, 16, MAX_LIMITERS_MAX,
								PGC_POSTMASTER, 0,
								NULL, NULL, NULL);

	guc_define_site();
	MarkGUCPrefixReserved("wawp");
}
