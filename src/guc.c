/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  Configuration parameters.
 *
 * All of them, each defined once and defined always: the validator of foreign
 * servers reads wawp.allowed_hosts in sessions that did not preload us.
 *
 * IDENTIFICATION
 *	  src/guc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "compat.h"

#define ALLOWED_HOSTS_DEFAULT "api.wawp.net"

/* An answer is parsed in memory; a list of 1,024 members is about 200 kB. */
#define MAX_RESPONSE_KB_DEFAULT (4 * 1024)
#define MAX_RESPONSE_KB_MIN 1
#define MAX_RESPONSE_KB_MAX (64 * 1024)

char	   *wawp_instance_name;
char	   *wawp_allowed_hosts;
int			wawp_max_response_size;

static bool
check_allowed_hosts(char **newval, void **extra pg_attribute_unused(),
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

/* Defines the parameters; runs once, when the library is loaded. */
void
guc_init(void)
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
							   check_allowed_hosts, NULL, NULL);

	DefineCustomIntVariable("wawp.max_response_size",
							"Sets the largest answer that is read from the Wawp API.",
							"A larger one is dropped, and what it answered is reported as unknown.",
							&wawp_max_response_size,
							MAX_RESPONSE_KB_DEFAULT, MAX_RESPONSE_KB_MIN, MAX_RESPONSE_KB_MAX,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("wawp");
}
