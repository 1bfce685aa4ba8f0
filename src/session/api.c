/*-------------------------------------------------------------------------
 *
 * api.c
 *	  Begin, end, arguments and rows of SQL functions that call the API.
 *
 * Each function works in a memory context of its own below the caller's, which
 * is dropped when it returns and, with all that libcurl holds, on any error.
 * Everything that an ApiCall's function allocates belongs to that context.
 *
 * Arguments become UTF-8 here, and results the database's encoding.  What is
 * wrong with an argument or with the situation is an error, raised before
 * anything is sent.  No locks, no transactions.
 *
 * IDENTIFICATION
 *	  src/session/api.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xlog.h"
#include "base/encoding.h"
#include "base/requester.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "session/api.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "compat.h"

/* True if this process inherited the library from the postmaster. */
static bool is_preloaded = false;

/* Note how the library was loaded; called once, when it is. */
void
api_init(bool preloaded)
{
	is_preloaded = preloaded;
}

/*
 * ---- begin, end, rows
 */

/* Raise an error unless the API can be called here and now; what: a function or a foreign table, which is used. */
void
api_require_situation(const char *what, const char *used)
{
	if (!is_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s needs wawp to be preloaded", what),
				 errhint("Add wawp to shared_preload_libraries and restart the server.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s cannot be %s during recovery", what, used),
				 errhint("Use it on the primary server.")));
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("%s cannot be %s in a parallel worker", what, used)));
}

/*
 * Begin a call: check the situation and switch to a memory context of its
 * own.  returns_set: rows are put into a tuplestore, in the caller's memory.
 */
ApiCall
api_begin(FunctionCallInfo fcinfo, bool returns_set)
{
	ApiCall		api = {.fcinfo = fcinfo};

	api_require_situation(psprintf("%s()", get_func_name(fcinfo->flinfo->fn_oid)), "called");
	if (returns_set)
		InitMaterializedSRF(fcinfo, 0);
	api.work = AllocSetContextCreate(CurrentMemoryContext, "wawp call", ALLOCSET_DEFAULT_SIZES);
	api.caller = MemoryContextSwitchTo(api.work);
	return api;
}

/* Begin a call that changes or sends something, which a read-only transaction must not. */
ApiCall
api_begin_acting(FunctionCallInfo fcinfo, bool returns_set)
{
	ApiCall		api = api_begin(fcinfo, returns_set);

	requester_require_read_write(fcinfo);
	return api;
}

/* End a call and free its memory. */
void
api_end(ApiCall *api)
{
	MemoryContextSwitchTo(api->caller);
	MemoryContextDelete(api->work);
}

/* End a call and return a text of the API, in the caller's memory; NULL for NULL. */
Datum
api_return_text(ApiCall *api, const char *utf8)
{
	text	   *result = NULL;

	if (utf8)
	{
		const char *converted = text_to_server(utf8);

		MemoryContextSwitchTo(api->caller);
		result = cstring_to_text(converted);
	}
	api_end(api);
	if (result == NULL)
	{
		api->fcinfo->isnull = true;
		return (Datum) 0;
	}
	return PointerGetDatum(result);
}

/* Add a row to the function's result. */
void
api_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Make a text of UTF-8; *isnull: there is none. */
Datum
api_text_datum(const char *utf8, bool *isnull)
{
	*isnull = (utf8 == NULL);
	return utf8 ? CStringGetTextDatum(text_to_server(utf8)) : (Datum) 0;
}

/* Make a text of a JID; *isnull: it is invalid. */
Datum
api_jid_datum(const Jid *jid, bool *isnull)
{
	return api_text_datum(jid->kind == JID_INVALID ? NULL : jid->text, isnull);
}

/* Make an integer; *isnull: it is not known. */
Datum
api_int_datum(int value, bool is_known, bool *isnull)
{
	*isnull = !is_known;
	return Int32GetDatum(value);
}

/* Make a wawp.outcome, in the type of the result's column. */
Datum
api_outcome_datum(FunctionCallInfo fcinfo, int column, WawpOutcome outcome)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			type = TupleDescAttr(rsinfo->setDesc, column)->atttypid;

	return DirectFunctionCall2(enum_in, CStringGetDatum(outcome_info(outcome)->name),
							   ObjectIdGetDatum(type));
}

/*
 * ---- arguments
 */

/* Return a text argument as UTF-8; NULL for NULL. */
const char *
api_arg_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_from_server(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

/* Return a text argument within its limit as UTF-8; NULL for NULL. */
const char *
api_arg_limited(FunctionCallInfo fcinfo, int n, TextLimit limit)
{
	return text_from_server(text_limit_arg(fcinfo, n, limit));
}

/* Return a text argument that must not be NULL, within the limit of its name if there is one. */
const char *
api_arg_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	int			limit = text_limit_named(name);
	const char *value = limit >= 0 ? api_arg_limited(fcinfo, n, (TextLimit) limit) : api_arg_text(fcinfo, n);

	if (value && pg_encoding_verifymbstr(PG_UTF8, value, strlen(value)) != (int) strlen(value))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("argument \"%s\" must be UTF-8", name)));

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", name)));
	return value;
}

/* Read a JID or a telephone number. */
Jid
api_parse_jid(const char *utf8)
{
	return jid_parse(utf8, strlen(utf8));
}

/* Return an argument that must be a group's JID, in its normal form. */
const char *
api_arg_group(FunctionCallInfo fcinfo, int n)
{
	const char *value = api_arg_required(fcinfo, n, "group_jid");
	Jid			jid = api_parse_jid(value);

	if (jid.kind != JID_GROUP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid group JID \"%s\"", text_to_server(value)),
				 errhint("A group JID is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"; wawp_groups() lists those of an instance.")));
	return pstrdup(jid.text);
}

/* Return the instance that an argument names, NULL: the default one, with the token of the calling role. */
WawpInstance *
api_arg_instance(FunctionCallInfo fcinfo, int n)
{
	return instance_resolve(PG_ARGISNULL(n) ? NULL : NameStr(*PG_GETARG_NAME(n)), GetUserId());
}

/* Return the elements of a text array as UTF-8, NULL for NULL, and write their number to *count. */
const char **
api_arg_texts(FunctionCallInfo fcinfo, int n, const char *name, int *count)
{
	const char **texts;
	Datum	   *elements;
	bool	   *nulls;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", name),
				 errhint("An empty array asks for nothing.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, count);
	texts = palloc0(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		if (!nulls[i])
			texts[i] = text_from_server(TextDatumGetCString(elements[i]));
	return texts;
}

/* Make a hash table by JID, in the current context; entries begin with char[JID_SIZE]. */
HTAB *
api_make_jid_table(int size, Size entry_size)
{
	HASHCTL		info = {.keysize = JID_SIZE, .entrysize = entry_size, .hcxt = CurrentMemoryContext};

	return hash_create("wawp people", Max(size, 16), &info, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}
