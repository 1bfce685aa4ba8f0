/*-------------------------------------------------------------------------
 *
 * requester.c
 *	  Who asks, from where, and whether the transaction lets them.
 *
 * The facts of the session that an audit record shows beside what the
 * application claims.
 *
 * IDENTIFICATION
 *	  src/base/requester.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/requester.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "compat.h"

/* The role that logged in, whatever SET ROLE or a definer's function made of it. */
const char *
asker_login_role(void)
{
	return GetUserNameFromId(GetSessionUserId(), false);
}

/* Address of this session's client; NULL on a Unix socket. */
const char *
asker_client_address(void)
{
	LOCAL_FCINFO(call, 0);
	Datum		address;

	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
	address = inet_client_addr(call);
	return call->isnull ? NULL : DatumGetCString(DirectFunctionCall1(inet_out, address));
}

/* Raises if the transaction is read-only: a function with an effect outside begins with it. */
void
asker_require_read_write(FunctionCallInfo fcinfo)
{
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s() in a read-only transaction", get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("Begin the transaction READ WRITE.")));
}
