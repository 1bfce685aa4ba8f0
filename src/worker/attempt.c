/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  One request to the API and the intents it is made for.
 *
 * An attempt is made and prepared in the transaction that claims its intents,
 * launched there, sent after its commit, judged when its answer has arrived, and
 * kept until each of its rows is settled.  When a transaction aborts, the attempts
 * it launched are dropped (the abort queues their rows again) and the rows it
 * settled are settled again by the next.  A welcome is an attempt without intents.
 *
 * Memory: an attempt and all that belongs to it live in a context of its own,
 * which is owned by the caller until the attempt is launched and by this file from
 * then on.  Sending and judging need no transaction; settling is settle.c's.
 *
 * IDENTIFICATION
 *	  src/worker/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/random_pool.h"
#include "client/http.h"
#include "fmgr.h"
#include "tables/audit.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/uuid.h"
#include "worker/admission.h"
#include "tables/requester_hold.h"
#include "worker/attempt.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"

#include "compat.h"

static dlist_head attempts_at[] = {
	DLIST_STATIC_INIT(attempts_at[ATTEMPT_PREPARED]),
	DLIST_STATIC_INIT(attempts_at[ATTEMPT_CLAIMED]),
	DLIST_STATIC_INIT(attempts_at[ATTEMPT_SENT]),
	DLIST_STATIC_INIT(attempts_at[ATTEMPT_ENDED]),
	DLIST_STATIC_INIT(attempts_at[ATTEMPT_JUDGED])
};

/* Move an attempt to another stage. */
static void
attempt_set_stage(Attempt *attempt, AttemptStage stage)
{
	dlist_delete(&attempt->node);
	attempt->stage = stage;
	dlist_push_tail(&attempts_at[stage], &attempt->node);
}

/* Create an attempt for so many people at most.  The caller deletes its memory if it is not launched. */
Attempt *
attempt_make(AttemptKind kind, Lane *lane, int limit)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "wawp attempt", ALLOCSET_SMALL_SIZES);
	Attempt    *attempt = MemoryContextAllocZero(memory, sizeof(Attempt));

	attempt->memory = memory;
	attempt->kind = kind;
	attempt->operation = WAWP_OP_SEND;
	attempt->is_paced = (kind != ATTEMPT_CHANGE);
	attempt->lane = lane;
	attempt->retry_after = -1;
	attempt->intents = MemoryContextAllocZero(memory, sizeof(Intent) * limit);
	attempt->people = MemoryContextAllocZero(memory, sizeof(CallPerson) * limit);
	attempt->sent = MemoryContextAllocZero(memory, sizeof(CallPerson *) * limit);
	attempt->is_settled = MemoryContextAllocZero(memory, sizeof(bool) * limit);
	attempt->is_settling = MemoryContextAllocZero(memory, sizeof(bool) * limit);
	attempt->is_ahead = MemoryContextAllocZero(memory, sizeof(bool) * limit);
	return attempt;
}

/* Copy a text into an attempt's memory; NULL stays NULL. */
char *
attempt_keep_text(Attempt *attempt, const char *text)
{
	return text ? MemoryContextStrdup(attempt->memory, text) : NULL;
}

/* Copy the strings of claimed rows, which are in SPI's memory, into the attempt's. */
void
attempt_keep_intents(Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		Intent	   *intent = &attempt->intents[i];

		intent->instance_id = attempt_keep_text(attempt, intent->instance_id);
		intent->requested_by = attempt_keep_text(attempt, intent->requested_by);
		intent->login_role = attempt_keep_text(attempt, intent->login_role);
		intent->actor = attempt_keep_text(attempt, intent->actor);
		intent->application_name = attempt_keep_text(attempt, intent->application_name);
		intent->client_addr = attempt_keep_text(attempt, intent->client_addr);
		intent->origin = attempt_keep_text(attempt, intent->origin);
		intent->reason = attempt_keep_text(attempt, intent->reason);
		intent->batch_id = attempt_keep_text(attempt, intent->batch_id);
		intent->detail = attempt_keep_text(attempt, intent->detail);
	}
}

/* Set the people that the request names, as the API knows them. */
void
attempt_name_people(Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		const Intent *intent = &attempt->intents[i];

		attempt->people[i].jid = intent->known_as.kind == JID_PERSON ? intent->known_as : intent->jid;
		attempt->people[i].lid = intent->lid;
		attempt->sent[i] = &attempt->people[i];
	}
}

/* Put the name of a dropped requester, which the intent has kept, into an error. */
static void
attempt_name_lost_requester(const Intent *intent, ErrorData *error)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(intent->requester)))
		error->message = psprintf("the role \"%s\" that asked for it does not exist any more",
								  intent->requested_by ? intent->requested_by : "");
}

/* Return an error if an intent was asked for with another account than the instance has now; NULL otherwise. */
static ErrorData *
attempt_check_account(const Attempt *attempt)
{
	ErrorData  *error;

	for (int i = 0; i < attempt->n; i++)
	{
		const char *asked_with = text_from_server(attempt->intents[i].instance_id);

		if (strcmp(asked_with, attempt->instance->instance_id) == 0)
			continue;
		error = palloc0(sizeof(ErrorData));
		error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		error->message = psprintf("asked for with account %s, which is not the instance's any more", attempt->intents[i].instance_id);
		return error;
	}
	return NULL;
}

/* Draw an id for a request. */
static void
attempt_draw_request_id(Attempt *attempt)
{
	pg_uuid_t	id;

	random_draw_id(&id);
	strlcpy(attempt->request_id, DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&id))),
			sizeof(attempt->request_id));
}

/* Read the instance as an intent's requester has it, into the current memory.  Return an error if it cannot be used, or NULL. */
ErrorData *
attempt_read_instance(const LaneKey *lane, const Intent *intent, WawpInstance **instance)
{
	ErrorData  *error = instance_cache_get(lane, intent->requester, instance);

	if (error)
		attempt_name_lost_requester(intent, error);
	return error;
}

/*
 * Read the instance as the requester has it.  Return an error, in the attempt's
 * memory, if the attempt cannot be sent; NULL otherwise.
 */
ErrorData *
attempt_prepare(Attempt *attempt)
{
	MemoryContext caller = MemoryContextSwitchTo(attempt->memory);
	ErrorData  *error = attempt_read_instance(&attempt->lane->key, &attempt->intents[0], &attempt->instance);

	if (error == NULL)
		error = attempt_check_account(attempt);
	MemoryContextSwitchTo(caller);
	attempt_draw_request_id(attempt);
	return error;
}

/* Return an audit record of one of the intents, completed from the attempt. */
AuditRecord
attempt_record(const Attempt *attempt, int i, const char *kind)
{
	AuditRecord record = audit_record_of_intent(&attempt->intents[i], kind);

	if (attempt->instance)
		record.instance_id = attempt->instance->instance_id;
	record.request_id = attempt->request_id;
	return record;
}

/* Record an attempt as sent and take it over; it is sent after the commit. */
void
attempt_launch(Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		AuditRecord record = attempt_record(attempt, i, "sent");

		audit_write(&record);
	}
	if (OidIsValid(attempt->instance->token_role))
		requester_hold_begin_trial(attempt->instance->name, attempt->instance->token_role,
								   instance_longest_ms(attempt->instance));
	MemoryContextSetParent(attempt->memory, TopMemoryContext);
	dlist_push_tail(&attempts_at[ATTEMPT_PREPARED], &attempt->node);
	lanes_begin_request(attempt->lane, false);
	admission_note_claimed();
}

/* Free the places of a request that is over; its rows may still have to be settled. */
static void
attempt_end_request(Attempt *attempt)
{
	if (attempt->is_over)
		return;
	attempt->is_over = true;
	lanes_end_request(attempt->lane->instance, attempt->stage == ATTEMPT_JUDGED ? attempt->duration_ms : -1);
	admission_note_ended();
}

/* Delete an attempt; a lane that does not wait for anything else goes on, or is forgotten if nothing is left in it. */
static void
attempt_drop(Attempt *attempt)
{
	Lane	   *lane = attempt->lane;

	attempt_end_request(attempt);
	lane->in_flight--;
	dlist_delete(&attempt->node);
	if (lane->is_empty)
		lanes_forget(lane);
	else if (!lane->in_queue && !lane->in_heap && !lane->is_prepared)
		lanes_note(&lane->key, clock_monotonic_ms());
	MemoryContextDelete(attempt->memory);
}

/* Delete an attempt that will not be sent, and give back what it was to spend, places in its group included. */
static void
attempt_drop_unsent(Attempt *attempt)
{
	if (attempt->is_paced)
		budget_give_back(&attempt->permit, Max(attempt->n, 1));
	if (attempt->operation == WAWP_OP_ADD)
		group_cache_note_added(&attempt->lane->key, -attempt->n);
	admission_note_unsent();
	lanes_note(&attempt->lane->key, clock_monotonic_ms());
	attempt_drop(attempt);
}

/*
 * ---- the transaction they are in
 */

/* Return a mark after the attempts launched so far. */
AttemptMark
attempt_mark(void)
{
	dlist_head *prepared = &attempts_at[ATTEMPT_PREPARED];

	return dlist_is_empty(prepared) ? &prepared->head : dlist_tail_node(prepared);
}

/* Drop attempts of this transaction that were launched after a mark. */
void
attempt_drop_prepared_after(AttemptMark mark)
{
	dlist_mutable_iter iter;
	bool		is_after = (mark == &attempts_at[ATTEMPT_PREPARED].head);

	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_PREPARED])
	{
		if (is_after)
			attempt_drop_unsent(dlist_container(Attempt, node, iter.cur));
		else if (iter.cur == mark)
			is_after = true;
	}
}

/* True if the answer is recorded, which is all there is to a welcome, and all rows are settled. */
static bool
attempt_is_settled(const Attempt *attempt)
{
	if (!attempt->is_recorded)
		return false;
	for (int i = 0; i < attempt->n; i++)
		if (!attempt->is_settled[i])
			return false;
	return true;
}

/* Keep what the transaction has launched and settled: it has committed. */
void
attempt_committed(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_PREPARED])
		attempt_set_stage(dlist_container(Attempt, node, iter.cur), ATTEMPT_CLAIMED);
	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_JUDGED])
	{
		Attempt    *attempt = dlist_container(Attempt, node, iter.cur);

		attempt->is_recorded |= attempt->is_recording;
		for (int i = 0; i < attempt->n; i++)
			attempt->is_settled[i] |= attempt->is_settling[i];
		if (!attempt_is_settled(attempt))
			continue;
		attempt_drop(attempt);
	}
}

/* Take back what the transaction has launched and settled: it has been aborted. */
void
attempt_aborted(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_JUDGED])
	{
		Attempt    *attempt = dlist_container(Attempt, node, iter.cur);

		attempt->is_recording = false;
		memset(attempt->is_settling, 0, sizeof(bool) * attempt->n);
	}
	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_PREPARED])
		attempt_drop_unsent(dlist_container(Attempt, node, iter.cur));
}

/*
 * ---- on the wire
 */

/* Start the transfer of a message: an invitation goes to a person, a welcome to the group. */
static HttpTransfer *
attempt_begin_message(const Attempt *attempt)
{
	CallRequest request = {.endpoint = ENDPOINT_SEND_TEXT};
	const char *to = attempt->kind == ATTEMPT_INVITATION ? attempt->people[0].jid.text : attempt->lane->key.group;

	request.fields[0] = (WireField) {"chatId", to};
	request.fields[1] = (WireField) {"message", attempt->text};
	return call_begin(attempt->instance, &request);
}

/* Send the attempts whose claim has committed; outside a transaction. */
void
attempt_send_claimed(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_CLAIMED])
	{
		Attempt    *attempt = dlist_container(Attempt, node, iter.cur);
		MemoryContext caller = MemoryContextSwitchTo(attempt->memory);

		attempt->sent_ms = clock_monotonic_ms();
		if (attempt->is_paced)
			budget_note_left(&attempt->permit, Max(attempt->n, 1));
		attempt->transfer = attempt->kind != ATTEMPT_CHANGE ? attempt_begin_message(attempt)
			: call_begin_membership(attempt->instance, attempt->operation,
									attempt->lane->key.group, attempt->sent, attempt->n);
		attempt_set_stage(attempt, ATTEMPT_SENT);
		http_move_at_end(attempt->transfer, &attempt->node, &attempts_at[ATTEMPT_ENDED]);
		MemoryContextSwitchTo(caller);
	}
}

/* True if a request has ended whose answer was not judged yet. */
bool
attempt_has_answers(void)
{
	return !dlist_is_empty(&attempts_at[ATTEMPT_ENDED]);
}

/* Judge the answer to a message, which is for one person. */
static void
attempt_judge_message(Attempt *attempt, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);
	const CallVerdict *verdict = reading.npeople > 0 ? &reading.people[0] : &reading.whole;

	call_settle_person(&attempt->people[0], verdict, attempt->instance);
	attempt->people[0].is_outage = reading.is_outage;
}

/* Judge the answers that have arrived; needs no transaction. */
void
attempt_judge_answers(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &attempts_at[ATTEMPT_ENDED])
	{
		Attempt    *attempt = dlist_container(Attempt, node, iter.cur);
		const HttpResult *result = http_result(attempt->transfer);
		MemoryContext caller = MemoryContextSwitchTo(attempt->memory);
		CallVerdict end;

		if (attempt->kind != ATTEMPT_CHANGE)
			attempt_judge_message(attempt, result);
		else
			(void) call_end_membership(attempt->instance, attempt->operation, result, attempt->sent, attempt->n, &end);
		MemoryContextSwitchTo(caller);
		attempt->duration_ms = (int) (clock_monotonic_ms() - attempt->sent_ms);
		attempt->http_status = result->status;
		attempt->retry_after = result->retry_after;
		if (result->fate == HTTP_ANSWERED)
			attempt->outages = group_cache_count_outages(&attempt->lane->key, attempt->people[0].is_outage);
		if (result->fate == HTTP_NOT_SENT && attempt->is_paced)
			budget_give_back(&attempt->permit, Max(attempt->n, 1));
		if (!attempt->is_paced)
			group_cache_forget_list(&attempt->lane->key);
		if (attempt->operation == WAWP_OP_REMOVE)
			group_cache_note_removals(&attempt->lane->key, attempt->n);
		attempt_set_stage(attempt, ATTEMPT_JUDGED);
		attempt_end_request(attempt);
	}
}

/* Return the next attempt after this one (NULL: the first) that has rows to be settled, or NULL. */
Attempt *
attempt_next_judged(Attempt *after)
{
	dlist_head *judged = &attempts_at[ATTEMPT_JUDGED];
	dlist_node *node = after ? &after->node : &judged->head;

	return dlist_has_next(judged, node) ? dlist_container(Attempt, node, dlist_next_node(judged, node)) : NULL;
}

/*
 * Follow an instance that was renamed since the request was made, and keep its
 * name until the end of the transaction.  False if somebody is renaming or
 * dropping it: try again.
 */
bool
attempt_follow_instance(Attempt *attempt)
{
	const char *name;
	LaneKey		before = attempt->lane->key;
	LaneKey		now;

	if (!instance_keep_server(attempt->instance->serverid, false))
		return false;
	name = instance_name_of_server(attempt->instance->serverid);
	if (name == NULL || strcmp(name, NameStr(before.instance)) == 0)
		return true;
	now = lane_key(name, before.group);
	attempt->instance->name = attempt_keep_text(attempt, name);
	attempt->lane->in_flight--;
	lanes_note(&before, clock_monotonic_ms());
	attempt->lane = lanes_find(&now);
	attempt->lane->in_flight++;
	for (int i = 0; i < attempt->n; i++)
		attempt->intents[i].lane = now;
	return true;
}

/*
 * True if a message has certainly not arrived: it was refused, or its connection
 * failed.  A gateway that cannot reach the API (503) has not passed it on; one
 * that lost the API's answer may have.
 */
bool
attempt_provably_not_sent(const Attempt *attempt)
{
	WawpOutcome outcome = attempt->people[0].outcome;
	OutcomeNext next = outcome_info(outcome)->next;

	if (attempt->people[0].is_outage)
		return attempt->http_status < 500 || attempt->http_status == 503;
	return outcome == WAWP_UNREACHABLE || next == NEXT_SLOW_DOWN ||
		next == NEXT_HOLD_LANE || next == NEXT_HOLD_INSTANCE;
}

/* Append the ids of an attempt's intents, separated by commas, to the text of an array. */
static void
attempt_append_ids(const Attempt *attempt, StringInfo out)
{
	for (int i = 0; i < attempt->n; i++)
		appendStringInfo(out, "%s" INT64_FORMAT, out->len > 1 ? "," : "", attempt->intents[i].id);
}

/* Return the ids of the intents of all attempts, as an array's text. */
const char *
attempt_intent_ids(void)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (int stage = ATTEMPT_PREPARED; stage <= ATTEMPT_JUDGED; stage++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &attempts_at[stage])
			attempt_append_ids(dlist_container(Attempt, node, iter.cur), &out);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* Trust the texts of the intents of all attempts no more: somebody was erased, whose own requests settle.c recognises. */
void
attempt_forget_people(void)
{
	for (int stage = ATTEMPT_PREPARED; stage <= ATTEMPT_JUDGED; stage++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &attempts_at[stage])
			dlist_container(Attempt, node, iter.cur)->is_outdated = true;
	}
}
