/*-------------------------------------------------------------------------
 *
 * requester.c
 *	  Facts about the session that makes a request, and a check of its transaction.
 *
 * An audit record shows these facts beside what the application claims.  No
 * locks; results are in the current memory context.
 *
 * IDENTIFICATION
 *	  src/base/requester.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/requester.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "compat.h"

/* Return the role that logged in, regardless of SET ROLE and SECURITY DEFINER. */
const char *
requester_login_role(void)
{
	return GetUserNameFromId(GetSessionUserId(), false);
}

/* Return the address of this session's client; NULL on a Unix socket. */
const char *
requester_client_address(void)
{
	LOCAL_FCINFO(call, 0);
	Datum		address;

	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
	address = inet_client_addr(call);
	return call->isnull ? NULL : DatumGetCString(DirectFunctionCall1(inet_out, address));
}

/*
 * Return who acts, as the application says (wawp.actor); NULL if it does not.
 * The setting may come from the connection's start, or from ALTER ROLE in a
 * database of another encoding, and nobody has checked its bytes: in a table they
 * would make a dump that cannot be restored.
 */
const char *
requester_actor(void)
{
	return *wawp_actor ? text_make_valid(wawp_actor) : NULL;
}

/* Raise an error if the transaction is read-only; every function with an effect outside begins with it. */
void
requester_require_read_write(FunctionCallInfo fcinfo)
{
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s() in a read-only transaction", get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("Begin the transaction READ WRITE.")));
}
