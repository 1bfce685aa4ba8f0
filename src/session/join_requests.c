/*-------------------------------------------------------------------------
 *
 * join_requests.c
 *	  The SQL function that lists who asks to join a group.
 *
 * Gateways have the list since 2026 only, and not for all engines.  That a route
 * is missing is an error, never an empty list, and the gateway is not asked
 * again for a day (missing_route.c).  It raises an error for every refusal.
 * Memory: that of the call (api.c).  No locks.
 *
 * IDENTIFICATION
 *	  src/session/join_requests.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "client/missing_route.h"
#include "fmgr.h"
#include "session/api.h"
#include "throttle/budget.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_join_requests);

/* Raise the error for a gateway without the route. */
static void
join_requests_refuse(const WawpInstance *instance, TimestampTz until)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the gateway of instance \"%s\" does not list requests to join a group", instance->name),
			 errdetail("It has no such route.  It is not asked again until %s.", clock_text(until)),
			 errhint("WAHA has it since 2026.8.2.  An admin sees the requests in WhatsApp.")));
}

/* Send the request, unless the route is known to be missing. */
static const HttpResult *
join_requests_read(const WawpInstance *instance, const CallRequest *request)
{
	TimestampTz until = missing_route_until(instance, request->endpoint);
	const HttpResult *result;

	if (until != 0)
		join_requests_refuse(instance, until);
	(void) budget_take_read(instance, false);
	result = call_send(instance, request);
	if (call_is_missing_route(result))
	{
		missing_route_note(instance, request->endpoint);
		join_requests_refuse(instance, missing_route_until(instance, request->endpoint));
	}
	return result;
}

/* Make the time of a request; *isnull: it is not told, or lies in the future. */
static Datum
join_requests_time_datum(int64 at_ms, bool *isnull)
{
	TimestampTz at = clock_time_of_unix_ms(at_ms);

	*isnull = at_ms == 0 || at > GetCurrentTimestamp() + USECS_PER_DAY;
	return TimestampTzGetDatum(at);
}

/* (group_jid text, instance name): a row for each request; its jid is NULL if it names nobody that can be read. */
Datum
wawp_join_requests(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	CallRequest request = {.endpoint = ENDPOINT_JOIN_REQUESTS, .group = api_arg_group(fcinfo, 0)};
	WawpInstance *instance = api_arg_instance(fcinfo, 1);
	const HttpResult *result = join_requests_read(instance, &request);
	WireJoinRequests list;

	if (!http_is_success(result) || !wire_read_join_requests(result->body, result->body_len, &list))
		call_refuse(instance, &request, result);
	for (int i = 0; i < list.count; i++)
	{
		const WireJoinRequest *one = &list.requests[i];
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = api_jid_datum(&one->jid, &nulls[0]);
		values[1] = join_requests_time_datum(one->at_ms, &nulls[1]);
		values[2] = api_text_datum(one->method, &nulls[2]);
		api_put_row(fcinfo, values, nulls);
	}
	api_end(&api);
	return (Datum) 0;
}
