/*-------------------------------------------------------------------------
 *
 * api.h
 *	  Begin, end, arguments and rows of SQL functions that call the API.
 *
 * IDENTIFICATION
 *	  src/session/api.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_API_H
#define WAWP_API_H

#include "base/text_limit.h"
#include "client/call.h"
#include "fmgr.h"
#include "utils/hsearch.h"

/* One SQL call, from its start to its end. */
typedef struct ApiCall
{
	FunctionCallInfo fcinfo;
	MemoryContext work;			/* everything of this call */
	MemoryContext caller;
} ApiCall;

extern void api_init(bool preloaded);
extern void api_require_situation(const char *what, const char *used);
extern ApiCall api_begin(FunctionCallInfo fcinfo, bool returns_set);
extern ApiCall api_begin_acting(FunctionCallInfo fcinfo, bool returns_set);
extern void api_end(ApiCall *api);
extern Datum api_return_text(ApiCall *api, const char *utf8);
extern void api_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);
extern Datum api_text_datum(const char *utf8, bool *isnull);
extern Datum api_jid_datum(const Jid *jid, bool *isnull);
extern Datum api_int_datum(int value, bool is_known, bool *isnull);
extern Datum api_outcome_datum(FunctionCallInfo fcinfo, int column, WawpOutcome outcome);
extern const char *api_arg_text(FunctionCallInfo fcinfo, int n);
extern const char *api_arg_limited(FunctionCallInfo fcinfo, int n, TextLimit limit);
extern const char *api_arg_required(FunctionCallInfo fcinfo, int n, const char *name);
extern Jid	api_parse_jid(const char *utf8);
extern const char *api_arg_group(FunctionCallInfo fcinfo, int n);
extern WawpInstance *api_arg_instance(FunctionCallInfo fcinfo, int n);
extern const char **api_arg_texts(FunctionCallInfo fcinfo, int n, const char *name, int *count);
extern HTAB *api_make_jid_table(int size, Size entry_size);

#endif							/* WAWP_API_H */
