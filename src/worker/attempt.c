/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  One request to the API and the intents it is made for.
 *
 * A flight is made and prepared in the transaction that claims its intents,
 * launched there, sent after its commit, judged when its answer is there, and
 * kept until each of its rows is settled.  When a transaction aborts, what it
 * launched is thrown away (the rows are queued again by the abort) and what it
 * settled is settled again by the next.  A welcome is a flight without intents.
 *
 * Memory: a flight and all that belongs to it live in a context of its own,
 * which is the caller's until the flight is launched and this file's from then
 * on.  Sending and judging need no transaction; settling is settle.c's.
 *
 * IDENTIFICATION
 *	  src/worker/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "client/http.h"
#include "fmgr.h"
#include "tables/trail.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/instance_cache.h"
#include "worker/group_cache.h"

#include "compat.h"

static dlist_head flights = DLIST_STATIC_INIT(flights);

/* A flight of a lane for so many people at most; to be thrown away with its memory if it is not launched. */
Flight *
flight_make(Lane *lane, int limit)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "wawp flight", ALLOCSET_SMALL_SIZES);
	Flight	   *flight = MemoryContextAllocZero(memory, sizeof(Flight));

	flight->memory = memory;
	flight->lane = lane;
	flight->retry_after = -1;
	flight->intents = MemoryContextAllocZero(memory, sizeof(Intent) * limit);
	flight->people = MemoryContextAllocZero(memory, sizeof(CallPerson) * limit);
	flight->sent = MemoryContextAllocZero(memory, sizeof(CallPerson *) * limit);
	flight->settled = MemoryContextAllocZero(memory, sizeof(bool) * limit);
	flight->settling = MemoryContextAllocZero(memory, sizeof(bool) * limit);
	return flight;
}

char *
flight_keep_text(Flight *flight, const char *text)
{
	return text ? MemoryContextStrdup(flight->memory, text) : NULL;
}

/* Claimed strings live in SPI's memory: keeps them with the flight. */
void
flight_keep_intents(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		Intent	   *intent = &flight->intents[i];

		intent->instance_id = flight_keep_text(flight, intent->instance_id);
		intent->requested_by = flight_keep_text(flight, intent->requested_by);
		intent->login_role = flight_keep_text(flight, intent->login_role);
		intent->actor = flight_keep_text(flight, intent->actor);
		intent->application_name = flight_keep_text(flight, intent->application_name);
		intent->client_addr = flight_keep_text(flight, intent->client_addr);
		intent->origin = flight_keep_text(flight, intent->origin);
		intent->reason = flight_keep_text(flight, intent->reason);
		intent->batch_id = flight_keep_text(flight, intent->batch_id);
		intent->detail = flight_keep_text(flight, intent->detail);
	}
}

/* Whom the request names, as the API knows them. */
void
flight_name_people(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		const Intent *intent = &flight->intents[i];

		flight->people[i].jid = intent->known_as.kind == JID_PERSON ? intent->known_as : intent->jid;
		flight->people[i].lid = intent->lid;
		flight->sent[i] = &flight->people[i];
	}
}

/* The catalogs know a role that is gone by its oid only; the intent has its name. */
static void
flight_name_lost_requester(const Flight *flight, ErrorData *error)
{
	const Intent *intent = &flight->intents[0];

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(intent->requester)))
		error->message = psprintf("the role \"%s\" that asked for it does not exist any more",
								  intent->requested_by ? intent->requested_by : "");
}

/* Resolves the instance as the requester has it; an error is returned and says why it cannot be sent. */
ErrorData *
flight_prepare(Flight *flight)
{
	MemoryContext caller = MemoryContextSwitchTo(flight->memory);
	ErrorData  *error = resolve_instance(&flight->lane->key, flight->intents[0].requester, &flight->instance);

	if (error)
		flight_name_lost_requester(flight, error);
	MemoryContextSwitchTo(caller);
	strlcpy(flight->request_id,
			DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0))),
			sizeof(flight->request_id));
	return error;
}

/* A record of one of the intents, with what the flight adds to it. */
AuditRecord
flight_record(const Flight *flight, int i, const char *kind)
{
	AuditRecord record = trail_record(&flight->intents[i], kind);

	if (flight->instance)
		record.instance_id = flight->instance->instance_id;
	record.request_id = flight->request_id;
	return record;
}

/* From now on the flight outlives the transaction; what it is for is recorded. */
void
flight_launch(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = flight_record(flight, i, "sent");

		audit_write(&record);
	}
	MemoryContextSetParent(flight->memory, TopMemoryContext);
	dlist_push_tail(&flights, &flight->node);
	lanes_begin_request(flight->lane, false);
	admission_note_claimed();
}

/* The request is over: others may use its place, whatever becomes of its rows. */
static void
end_request(Flight *flight)
{
	if (flight->is_over)
		return;
	flight->is_over = true;
	lanes_end_request(flight->lane->instance);
	admission_note_ended();
}

static void
drop_flight(Flight *flight)
{
	end_request(flight);
	flight->lane->in_flight--;
	dlist_delete(&flight->node);
	lanes_note(&flight->lane->key, clock_monotonic_ms());
	MemoryContextDelete(flight->memory);
}

/* It will not leave: what it was to spend is free again. */
static void
drop_unsent(Flight *flight)
{
	if (flight->is_paced)
		budget_give_back(&flight->permit, Max(flight->n, 1));
	admission_note_unsent();
	drop_flight(flight);
}

/*
 * ---- the transaction they are in
 */

/* Where the flights end that were launched up to now. */
FlightMark
flight_mark(void)
{
	return dlist_is_empty(&flights) ? &flights.head : dlist_tail_node(&flights);
}

/* Drops flights of this transaction that were prepared after a mark. */
void
flight_drop_prepared_after(FlightMark mark)
{
	dlist_mutable_iter iter;
	bool		is_after = (mark == &flights.head);

	dlist_foreach_modify(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (is_after && flight->stage == FLIGHT_PREPARED)
			drop_unsent(flight);
		else if (iter.cur == mark)
			is_after = true;
	}
}

static bool
is_settled(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
		if (!flight->settled[i])
			return false;
	return true;
}

/* The cycle's transaction has committed. */
void
flight_committed(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (flight->stage == FLIGHT_PREPARED)
			flight->stage = FLIGHT_CLAIMED;
		if (flight->stage != FLIGHT_JUDGED)
			continue;
		flight->recorded |= flight->recording;
		for (int i = 0; i < flight->n; i++)
			flight->settled[i] |= flight->settling[i];
		if (!is_settled(flight))
			continue;
		drop_flight(flight);
	}
}

/* The cycle's transaction has not. */
void
flight_aborted(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		flight->recording = false;
		memset(flight->settling, 0, sizeof(bool) * flight->n);
		if (flight->stage == FLIGHT_PREPARED)
			drop_unsent(flight);
	}
}

/*
 * ---- on the wire
 */

/* An invitation goes to a person, a welcome to the group. */
static HttpTransfer *
begin_message(const Flight *flight)
{
	CallRequest request = {.endpoint = ENDPOINT_SEND_TEXT};

	request.fields[0] = (WireField) {"chatId", flight->n > 0 ? flight->people[0].jid.text : flight->lane->key.group};
	request.fields[1] = (WireField) {"message", flight->text};
	return call_begin(flight->instance, &request);
}

/* What was claimed leaves now: no transaction is open. */
void
flight_send(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);
		MemoryContext caller;

		if (flight->stage != FLIGHT_CLAIMED)
			continue;
		caller = MemoryContextSwitchTo(flight->memory);
		flight->sent_at = clock_monotonic_ms();
		flight->transfer = flight->text ? begin_message(flight)
			: call_begin_membership(flight->instance, flight->operation,
									flight->lane->key.group, flight->sent, flight->n);
		flight->stage = FLIGHT_SENT;
		MemoryContextSwitchTo(caller);
	}
}

/* Has a request ended that was not judged yet? */
bool
flight_has_answers(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (flight->stage == FLIGHT_SENT && http_result(flight->transfer))
			return true;
	}
	return false;
}

/* A message is for one person: there is one verdict. */
static void
judge_message(Flight *flight, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);
	const CallVerdict *verdict = reading.npeople > 0 ? &reading.people[0] : &reading.whole;

	call_settle_person(&flight->people[0], verdict, flight->instance);
	flight->people[0].is_outage = reading.is_outage;
}

/* Reads the answers that came; memory only. */
void
flight_judge(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);
		const HttpResult *result = flight->stage == FLIGHT_SENT ? http_result(flight->transfer) : NULL;
		MemoryContext caller;
		CallVerdict end;

		if (result == NULL)
			continue;
		caller = MemoryContextSwitchTo(flight->memory);
		if (flight->text)
			judge_message(flight, result);
		else
			(void) call_end_membership(flight->instance, flight->operation, result, flight->sent, flight->n, &end);
		MemoryContextSwitchTo(caller);
		flight->duration_ms = (int) (clock_monotonic_ms() - flight->sent_at);
		flight->http_status = result->status;
		flight->retry_after = result->retry_after;
		if (result->fate == HTTP_ANSWERED)
			flight->outages = group_cache_count_outages(&flight->lane->key, flight->people[0].is_outage);
		if (result->fate == HTTP_NOT_SENT && flight->is_paced)
			budget_give_back(&flight->permit, Max(flight->n, 1));
		if (!flight->is_paced)
			group_cache_forget_list(&flight->lane->key);
		if (flight->operation == WAWP_OP_REMOVE)
			group_cache_note_removals(&flight->lane->key, flight->n);
		flight->stage = FLIGHT_JUDGED;
		end_request(flight);
	}
}

/* The flight after this one, or the first (NULL), that has rows to be settled; NULL: there is none. */
Flight *
flight_next_judged(Flight *after)
{
	dlist_node *node = after ? &after->node : &flights.head;

	while (dlist_has_next(&flights, node))
	{
		Flight	   *flight;

		node = dlist_next_node(&flights, node);
		flight = dlist_container(Flight, node, node);
		if (flight->stage == FLIGHT_JUDGED)
			return flight;
	}
	return NULL;
}

/*
 * True if a message has not arrived: it was refused, or its connection failed.
 * A gateway that knows no way to the API (503) has not passed it on; of one that
 * lost the API's answer nobody knows.
 */
bool
flight_provably_not_sent(const Flight *flight)
{
	WawpOutcome outcome = flight->people[0].outcome;
	OutcomeNext next = outcome_info(outcome)->next;

	if (flight->people[0].is_outage)
		return flight->http_status < 500 || flight->http_status == 503;
	return outcome == WAWP_UNREACHABLE || next == NEXT_SLOW_DOWN ||
		next == NEXT_HOLD_LANE || next == NEXT_HOLD_INSTANCE;
}

/* Ids of what this worker is sending, as an array's text. */
const char *
flight_ids(void)
{
	StringInfoData out;
	dlist_iter	iter;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		for (int i = 0; i < flight->n; i++)
			appendStringInfo(&out, "%s" INT64_FORMAT, out.len > 1 ? "," : "", flight->intents[i].id);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}
