/*-------------------------------------------------------------------------
 *
 * pure.c
 *	  The SQL functions without I/O: identifiers, and what answers mean.
 *
 * They read their arguments and tables in the code, no table of the database.
 * Memory: the caller's context.
 *
 * IDENTIFICATION
 *	  src/session/pure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "fmgr.h"
#include "funcapi.h"
#include "session/api.h"
#include "utils/builtins.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_jid);
PG_FUNCTION_INFO_V1(wawp_is_group_jid);
PG_FUNCTION_INFO_V1(wawp_is_person_jid);
PG_FUNCTION_INFO_V1(wawp_classify);
PG_FUNCTION_INFO_V1(wawp_outcome_info);

Datum
wawp_jid(PG_FUNCTION_ARGS)
{
	Jid			jid = api_parse_jid(api_arg_text(fcinfo, 0));

	if (jid.kind == JID_INVALID)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(jid.text));
}

Datum
wawp_is_group_jid(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(jid_is_group_text(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

Datum
wawp_is_person_jid(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(jid_is_person_text(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

static void
pure_put_verdict(FunctionCallInfo fcinfo, const CallVerdict *verdict)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = api_text_datum(verdict->jid.kind != JID_INVALID ? verdict->jid.text : verdict->id, &nulls[0]);
	values[1] = api_outcome_datum(fcinfo, 1, verdict->outcome);
	values[2] = api_int_datum(verdict->code, verdict->code != 0, &nulls[2]);
	values[3] = api_text_datum(verdict->detail, &nulls[3]);
	api_put_row(fcinfo, values, nulls);
}

/* (operation text, http_status int, body text): how an answer would be read. */
Datum
wawp_classify(PG_FUNCTION_ARGS)
{
	const char *name = api_arg_required(fcinfo, 0, "operation");
	const char *body = api_arg_text(fcinfo, 2);
	WawpOperation operation;
	CallReading reading;

	if (!outcome_operation(name, &operation))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown operation \"%s\"", text_to_server(name)),
				 errhint("Operations are \"add\", \"remove\", \"promote\", \"demote\" and \"send\".")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "http_status")));
	InitMaterializedSRF(fcinfo, 0);
	reading = call_classify(operation, PG_GETARG_INT32(1), body ? body : "", body ? strlen(body) : 0);
	if (reading.npeople == 0)
		pure_put_verdict(fcinfo, &reading.whole);
	for (int i = 0; i < reading.npeople; i++)
		pure_put_verdict(fcinfo, &reading.people[i]);
	return (Datum) 0;
}

/* Rows of wawp.outcome_info: outcome, about, final, next_step, text, hint. */
Datum
wawp_outcome_info(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < WAWP_OUTCOMES; i++)
	{
		const OutcomeInfo *info = outcome_info((WawpOutcome) i);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = api_outcome_datum(fcinfo, 0, info->outcome);
		values[1] = CStringGetTextDatum(outcome_about(info));
		values[2] = BoolGetDatum(outcome_is_final(info));
		values[3] = CStringGetTextDatum(outcome_next_step(info));
		values[4] = CStringGetTextDatum(info->text);
		values[5] = api_text_datum(info->hint, &nulls[5]);
		api_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
