/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  The SQL functions about messages, numbers and the account's session.
 *
 * They raise an error for every refusal.  Memory: that of the call (api.c);
 * wawp_check_exists() uses one below it for each number.  No locks.
 *
 * IDENTIFICATION
 *	  src/session/messages.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "base/clock.h"
#include "base/encoding.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "session/api.h"
#include "session/pairs.h"
#include "session/send.h"
#include "throttle/budget.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_send_text);
PG_FUNCTION_INFO_V1(wawp_check_exists);
PG_FUNCTION_INFO_V1(wawp_session);

/* Return a message of permitted length. */
static const char *
messages_arg_text(FunctionCallInfo fcinfo, int n)
{
	const char *message = api_arg_required(fcinfo, n, "message");
	int			length = pg_encoding_mbcliplen(PG_UTF8, message, strlen(message), INT_MAX);
	int			chars = 0;

	for (int i = 0; i < length; i += pg_encoding_mblen(PG_UTF8, message + i))
		chars++;
	if (chars == 0 || chars > CALL_MAX_MESSAGE_CHARS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message must have 1 to %d characters", CALL_MAX_MESSAGE_CHARS),
				 errdetail("This one has %d.", chars)));
	return message;
}

/* Return the JID of a person or a group. */
static const char *
messages_arg_chat(FunctionCallInfo fcinfo, int n)
{
	const char *value = api_arg_required(fcinfo, n, "chat_jid");
	Jid			jid = api_parse_jid(value);

	if (jid.kind == JID_INVALID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid chat JID \"%s\"", text_to_server(value)),
				 errdetail("It is refused because %s.", jid.problem),
				 errhint("A chat is a person (\"<digits>@c.us\") or a group (\"<digits>@g.us\").")));
	return pstrdup(jid.text);
}

/* (chat_jid text, message text, instance name): the message's id, or NULL. */
Datum
wawp_send_text(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin_acting(fcinfo, false);
	const char *chat = messages_arg_chat(fcinfo, 0);
	bool		is_group = jid_is_group_text(chat, strlen(chat));
	SessionRequest request = {
		.call = {.endpoint = ENDPOINT_SEND_TEXT},
		.group = is_group ? chat : NULL,
		.people = &chat,
		.npeople = is_group ? 0 : 1,
		.judge = session_judge_sent
	};
	WawpInstance *instance;
	const HttpResult *result;

	request.call.fields[0] = (WireField) {"chatId", chat};
	request.call.fields[1] = (WireField) {"message", messages_arg_text(fcinfo, 1)};
	instance = api_arg_instance(fcinfo, 2);
	result = session_send(instance, &request);
	if (!http_is_success(result) || session_judge_sent(result, NULL) != WAWP_ACCEPTED)
		call_refuse(instance, &request.call, result);
	return api_return_text(&api, wire_read_message_id(result->body, result->body_len));
}

/* Wait for a permit of the instance's checks_per_minute. */
static void
messages_wait_for_check(const WawpInstance *instance)
{
	for (;;)
	{
		BudgetPermit permit = budget_take_check(instance);

		if (permit.granted > 0)
			return;
		clock_wait_until((permit.next_at + 999) / 1000);
	}
}

/* Ask about one number, after waiting for a permit, and put its row. */
static void
messages_put_exists(FunctionCallInfo fcinfo, const WawpInstance *instance, const char *input, Pairs *pairs)
{
	Jid			jid = input ? api_parse_jid(input) : jid_parse("", 0);
	Jid			chat = {.kind = JID_INVALID};
	Jid			lid = {.kind = JID_INVALID};
	WireTruth	registered = WIRE_UNKNOWN;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (jid.kind == JID_PERSON)
	{
		CallRequest request = {.endpoint = ENDPOINT_CHECK_EXISTS};
		const HttpResult *result;
		WireKind	kind;

		request.fields[0] = (WireField) {"phone", pnstrdup(jid.text, strcspn(jid.text, "@"))};
		messages_wait_for_check(instance);
		result = call_read(instance, &request);
		registered = wire_read_exists(result->body, result->body_len, &chat, &lid);
		kind = wire_read_answer(result->body, result->body_len).envelope;
		if (registered == WIRE_UNKNOWN && (kind == WIRE_REFUSED || kind == WIRE_UNREADABLE))
			call_refuse(instance, &request, result);
	}
	if (registered == WIRE_YES)
		pairs_note(pairs, &jid, &lid);
	if (registered == WIRE_YES && chat.kind == JID_INVALID)
		chat = jid;
	values[0] = api_text_datum(input, &nulls[0]);
	values[1] = BoolGetDatum(registered == WIRE_YES);
	nulls[1] = (registered == WIRE_UNKNOWN);
	values[2] = api_jid_datum(&chat, &nulls[2]);
	nulls[2] = nulls[2] || registered != WIRE_YES;
	api_put_row(fcinfo, values, nulls);
}

/* (phones text[], instance name): one row per element, in input order. */
Datum
wawp_check_exists(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	int			n;
	const char **phones = api_arg_texts(fcinfo, 0, "phones", &n);
	WawpInstance *instance = api_arg_instance(fcinfo, 1);
	Pairs	   *pairs = palloc0(sizeof(Pairs));
	MemoryContext element;

	pairs->instance = instance->name;
	element = AllocSetContextCreate(api.work, "wawp element", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(element);
	for (int i = 0; i < n; i++)
	{
		messages_put_exists(fcinfo, instance, phones[i], pairs);
		MemoryContextReset(element);
	}
	pairs_post(pairs);
	api_end(&api);
	return (Datum) 0;
}

/* Tell the caller which limits WhatsApp has set to the account. */
static void
messages_tell_limits(const WawpInstance *instance, const AccountLimits *limits)
{
	const char *reason = account_limits_reason(limits);
	int64		until_ms = account_limits_until(limits, clock_unix_ms(GetCurrentTimestamp()));

	if (reason == NULL)
		return;
	ereport(NOTICE,
			(errmsg("instance \"%s\" is limited: %s", instance->name, reason),
			 until_ms
			 ? errdetail("Invitations wait until %s.  Additions go on.", clock_text(clock_time_of_unix_ms(until_ms)))
			 : errdetail("Invitations and additions go on.")));
}

/* (instance name): one row. */
Datum
wawp_session(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	CallRequest request = {.endpoint = ENDPOINT_SESSION_INFO};
	WawpInstance *instance = api_arg_instance(fcinfo, 0);
	const HttpResult *result = call_read(instance, &request);
	WireSession session;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (!wire_read_session(result->body, result->body_len, &session))
		call_refuse(instance, &request, result);
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(instance->name));
	values[1] = api_text_datum(session.status, &nulls[1]);
	values[2] = BoolGetDatum(wire_session_is_usable(&session));
	values[3] = api_jid_datum(&session.me, &nulls[3]);
	values[4] = api_text_datum(session.push_name, &nulls[4]);
	api_put_row(fcinfo, values, nulls);
	messages_tell_limits(instance, &session.limits);
	api_end(&api);
	return (Datum) 0;
}
