/*-------------------------------------------------------------------------
 *
 * call.c
 *	  One call of the API: payload, answer, meaning.
 *
 * Every request is made in start_request, from an instance, an endpoint and a
 * payload; every answer is read by call_classify, by the forms that wire.c reads
 * and the meanings that outcome.c has.  Callers decide whether a request may
 * leave and what is recorded: send.c for calls by hand, claim.c and settle.c for
 * the queue.
 *
 * No transaction or lock is taken here.  Results live in the current memory
 * context; they are UTF-8, and texts that a caller may show have gone through
 * redact.c.
 *
 * IDENTIFICATION
 *	  src/client/call.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "base/guc.h"
#include "client/call.h"
#include "mb/pg_wchar.h"
#include "protocol/redact.h"
#include "protocol/shape.h"
#include "utils/timestamp.h"

#include "compat.h"

#define TOKEN_FIELD "access_token"
#define INSTANCE_FIELD "instance_id"

#define IS_SUCCESS(status) ((status) >= 200 && (status) < 300)

#define MAX_DETAIL_BYTES 500	/* of an answer's text, in a row or an error */

/*
 * ---- sending
 */

/* Set fields[0] and, unless the token goes into a header, fields[1]; returns their number. */
static int
put_credentials(const WawpInstance *instance, WireField *fields)
{
	fields[0] = (WireField) {INSTANCE_FIELD, instance->instance_id};
	if (instance->auth == AUTH_HEADER)
		return 1;
	fields[1] = (WireField) {TOKEN_FIELD, instance->access_token};
	return 2;
}

/* Set fields to those of the payload; returns their number, at most CALL_MAX_FIELDS + 1. */
static int
put_payload(const Endpoint *endpoint, const CallRequest *request, WireField *fields)
{
	int			n = 0;

	if (endpoint->group_field && request->group)
		fields[n++] = (WireField) {endpoint->group_field, request->group};
	for (int i = 0; i < CALL_MAX_FIELDS && request->fields[i].name; i++)
		fields[n++] = request->fields[i];
	return n;
}

static void
put_path(const Endpoint *endpoint, const CallRequest *request, StringInfo url)
{
	for (const char *c = endpoint->path; *c; c++)
	{
		if (*c == '%')
			wire_put_percent(url, request->group ? request->group : request->path_value);
		else
			appendStringInfoChar(url, *c);
	}
}

/* Set the method, URL, body and secret header of *http; palloc'd. */
static void
compose_request(const WawpInstance *instance, const Endpoint *endpoint,
				const CallRequest *request, HttpRequest *http)
{
	WireField	fields[CALL_MAX_FIELDS + 3];
	bool		is_in_query = !endpoint->is_post || instance->auth == AUTH_QUERY;
	int			ncredentials = put_credentials(instance, fields);
	int			nfields = ncredentials + put_payload(endpoint, request, fields + ncredentials);
	StringInfoData url;
	StringInfoData body;

	initStringInfo(&url);
	initStringInfo(&body);
	appendStringInfo(&url, "%s%s", instance->base.origin, instance->base.path);
	put_path(endpoint, request, &url);
	if (is_in_query)
		wire_put_query(&url, fields, endpoint->is_post ? ncredentials : nfields);
	if (endpoint->is_post)
		wire_put_body(&body, fields + (is_in_query ? ncredentials : 0),
					  nfields - (is_in_query ? ncredentials : 0), request->people, request->npeople);
	http->is_post = endpoint->is_post;
	http->url = url.data;
	http->body = endpoint->is_post ? body.data : NULL;
	if (instance->auth == AUTH_HEADER)
		http->secret_header = psprintf("access-token: %s", instance->access_token);
}

/* Start a request in the current memory context. */
static HttpTransfer *
start_request(const WawpInstance *instance, const Endpoint *endpoint, const CallRequest *request)
{
	HttpRequest http = {
		.instance = instance->name,
		.ca_file = instance->ca_file,
		.connect_timeout_ms = instance->connect_timeout_ms,
		.timeout_ms = instance->timeout_ms,
		.max_body = (size_t) wawp_max_response_size * 1024,
		.may_reach_loopback = instance->may_reach_loopback,
		.is_loopback_only = strcmp(instance->base.scheme, "https") != 0
	};

	compose_request(instance, endpoint, request, &http);
	return http_start(&http);
}

/*
 * Start a request for a caller that waits for it by itself.  The request belongs
 * to the current memory context; an endpoint's fallback is not called.
 */
HttpTransfer *
call_begin(const WawpInstance *instance, const CallRequest *request)
{
	return start_request(instance, endpoint_get(request->endpoint), request);
}

static const HttpResult *
send_once(const WawpInstance *instance, const Endpoint *endpoint, const CallRequest *request)
{
	return http_wait(start_request(instance, endpoint, request));
}

static BodyKind
body_kind(const WireAnswer *answer)
{
	if (answer->is_proxys)
		return BODY_PAGE;
	if (answer->is_frameworks)
		return BODY_FRAMEWORK;
	if (answer->is_json)
		return answer->is_value ? BODY_VALUE : BODY_JSON;
	if (answer->text == NULL)
		return BODY_NONE;
	return answer->kind == WIRE_UNREADABLE ? BODY_PAGE : BODY_SENTENCE;
}

/* True if the answer says that the API has no such route. */
bool
call_is_missing_route(const HttpResult *result)
{
	WireAnswer	answer;

	if (result->fate != HTTP_ANSWERED || result->status < 400)
		return false;
	answer = wire_read_answer(result->body, result->body_len);
	return outcome_is_missing_route(result->status, answer.text, body_kind(&answer));
}

/*
 * Send a request and wait for its answer, whatever that is.  If the API has no
 * such route, the endpoint's fallback is called.
 */
const HttpResult *
call_send(const WawpInstance *instance, const CallRequest *request)
{
	const Endpoint *endpoint = endpoint_get(request->endpoint);
	const HttpResult *result = send_once(instance, endpoint, request);
	const Endpoint *fallback = endpoint_get(endpoint->fallback);

	if (fallback && call_is_missing_route(result))
		result = send_once(instance, fallback, request);
	return result;
}

/*
 * ---- reading what came back
 */

static const char *
append_remark(const char *text, const char *remark)
{
	return text ? psprintf("%s; %s", text, remark) : remark;
}

/*
 * Return the detail of an outcome: the answer's text, else the note, else the
 * outcome's own text; NULL for a success without any.
 */
static const char *
detail_of(OutcomeReading reading, const char *text)
{
	const OutcomeInfo *info = outcome_info(reading.outcome);

	if (text || reading.note)
		return text ? text : reading.note;
	return info->sqlstate ? info->text : NULL;
}

/*
 * Return the verdict on a person's entry.  text: what explains it.  is_after_success:
 * an earlier entry of the same answer is a success.  is_ambiguous: its number may be
 * the call's.
 */
static CallVerdict
classify_person(WawpOperation operation, const WirePerson *person, const char *text, int http_status, bool is_after_success,
				bool is_ambiguous)
{
	CallVerdict verdict = {
		.jid = person->jid,
		.lid = person->lid,
		.id = person->id,
		.is_card_sent = person->is_card_sent,
		.is_unaddressable = person->is_unaddressable
	};
	OutcomeReading reading;

	if (person->has_code || !(person->has_success || person->is_listed_as_added))
		reading = outcome_of_person(operation, person->has_code ? person->code : 0,
									person->inner_code, text, is_after_success);
	else if (person->is_listed_as_added)
		reading = outcome_of_person(operation, 200, 0, NULL, false);
	else
		reading = (OutcomeReading) {.outcome = WAWP_ACCEPTED};
	if (is_ambiguous && reading.outcome == WAWP_NOT_MEMBER)
		reading = (OutcomeReading) {.outcome = WAWP_UNKNOWN_RESULT, .note = "it is not told whether it is the person or something else that was not found"};
	if (person->is_passed_over && reading.outcome == WAWP_UNRECOGNISED)
		reading = (OutcomeReading) {.outcome = WAWP_UNKNOWN_RESULT, .note = "the API has passed the person over"};
	verdict.outcome = reading.outcome;
	verdict.code = person->has_code ? person->code : http_status;
	verdict.detail = detail_of(reading, text);
	if (person->is_card_sent)
		verdict.detail = append_remark(verdict.detail, "the engine has sent its own invitation card");
	if (person->is_unaddressable)
		verdict.detail = append_remark(verdict.detail, "the person cannot be messaged either");
	return verdict;
}

/*
 * Set npeople and people (palloc'd) of a reading, in the order of the answer.  The
 * only person, beside whose number it is in doubt whose that is, is explained by the
 * envelope's text.
 */
static void
classify_people(WawpOperation operation, const WireAnswer *answer, int http_status, CallReading *reading)
{
	bool		is_after_success = false;

	reading->npeople = answer->npeople;
	reading->people = palloc(sizeof(CallVerdict) * answer->npeople);
	for (int i = 0; i < answer->npeople; i++)
	{
		const WirePerson *person = &answer->people[i];
		const char *text = person->text || !answer->is_ambiguous ? person->text : answer->text;

		reading->people[i] = classify_person(operation, person, text, http_status, is_after_success, answer->is_ambiguous && !answer->tells_success);
		if (answer->people[i].has_code && answer->people[i].code == 200)
			is_after_success = true;
	}
}

/* Return the meaning of a 2xx answer that names nobody and is not a refusal. */
static OutcomeReading
classify_success(WawpOperation operation, const WireAnswer *answer, const char *body, size_t len)
{
	if (answer->kind == WIRE_OK)
		return (OutcomeReading) {.outcome = outcome_of_success(answer->text)};
	if (operation == WAWP_OP_SEND && answer->kind == WIRE_OTHER && wire_read_message_id(body, len))
		return (OutcomeReading) {.outcome = WAWP_ACCEPTED};
	return (OutcomeReading) {.outcome = WAWP_UNKNOWN_RESULT, .note = "the answer cannot be read"};
}

/* Return the meaning of a refusal of the whole call. */
static OutcomeReading
classify_refusal(WawpOperation operation, const WireAnswer *answer, int http_status)
{
	int			status = IS_SUCCESS(http_status) ? answer->status : http_status;
	BodyKind	body = body_kind(answer);

	/* the beginning of a page or a broken body is shown, but not interpreted */
	if (body == BODY_PAGE || answer->kind == WIRE_UNREADABLE)
		return outcome_of_refusal(operation, status, 0, NULL, NULL, body);
	return outcome_of_refusal(operation, status, answer->engine_code, answer->code, answer->text, body);
}

/*
 * True if the status of a refusal leaves the word to the verdicts that its body has
 * on people: some gateways answer so if one of several was refused.  Where it is in
 * doubt whose number that is, a status with a meaning of its own keeps it.
 */
static bool
people_outweigh_status(const WireAnswer *answer, int http_status)
{
	if (answer->kind != WIRE_PEOPLE || (http_status != 400 && http_status != 409 && http_status != 422))
		return false;
	if (answer->is_ambiguous && http_status != 400)
		return false;
	for (int i = 0; i < answer->npeople; i++)
		if (answer->people[i].jid.kind != JID_INVALID && answer->people[i].has_code &&
			!(answer->is_ambiguous && answer->people[i].code == http_status))
			return true;
	return false;
}

/* Read an answer, as a verdict on the people whom it names if its kind says so. */
static CallReading
classify_answer(WawpOperation operation, int http_status, const WireAnswer *answer, const char *body, size_t len)
{
	CallReading reading = {.whole = {.code = http_status}};
	OutcomeReading whole;

	if ((!IS_SUCCESS(http_status) && !people_outweigh_status(answer, http_status)) || answer->kind == WIRE_REFUSED)
		whole = classify_refusal(operation, answer, http_status);
	else if (answer->kind == WIRE_PEOPLE)
	{
		classify_people(operation, answer, http_status, &reading);
		reading.is_ambiguous = answer->is_ambiguous;
		whole = (OutcomeReading) {.outcome = WAWP_UNKNOWN_RESULT, .note = "the answer does not mention this person"};
	}
	else
		whole = classify_success(operation, answer, body, len);
	reading.whole.outcome = whole.outcome;
	reading.is_outage = whole.is_outage;
	reading.whole.detail = detail_of(whole, answer->kind == WIRE_PEOPLE ? NULL : answer->text);
	return reading;
}

/* Read an answer as a verdict on the whole call, whomever it names beside a number. */
static CallReading
classify_envelope(WawpOperation operation, int http_status, WireAnswer answer, const char *body, size_t len)
{
	answer.kind = answer.envelope;
	return classify_answer(operation, http_status, &answer, body, len);
}

/*
 * Read a whole answer: any HTTP status, any body.
 *
 * `people` has a verdict for each person that the body names; `whole` is the
 * verdict on all others.  A number of which it is in doubt whether it is the only
 * person's is the call's, if it means nothing of a person for this operation.
 */
CallReading
call_classify(WawpOperation operation, int http_status, const char *body, size_t len)
{
	WireAnswer	answer = wire_read_answer(body, len);
	CallReading reading = {0};

	if (operation == WAWP_OP_SEND && answer.has_failed_ack)
		answer.kind = answer.envelope = WIRE_REFUSED;
	if (!answer.is_ambiguous || (operation & WAWP_OP_CHANGES))
		reading = classify_answer(operation, http_status, &answer, body, len);
	if (answer.is_ambiguous && (reading.npeople == 0 || reading.people[0].outcome == WAWP_UNRECOGNISED))
		reading = classify_envelope(operation, http_status, answer, body, len);
	return reading;
}

/* Read the result of a request without a whole answer. */
static CallReading
classify_loss(WawpOperation operation, const HttpResult *result)
{
	CallReading reading = {.whole = {.code = result->status}};
	OutcomeReading whole = {.outcome = WAWP_UNKNOWN_RESULT};

	if (result->fate == HTTP_NOT_SENT)
		whole.outcome = WAWP_UNREACHABLE;
	else if (result->status >= 300)
		whole = outcome_of_refusal(operation, result->status, 0, NULL, NULL, BODY_NONE);
	reading.whole.outcome = whole.outcome;
	reading.is_outage = whole.is_outage;
	reading.whole.detail = result->fate == HTTP_TOO_LARGE
		? "the answer is larger than wawp.max_response_size allows"
		: result->error;
	return reading;
}

/* Read the result of a request, with or without an answer. */
CallReading
call_classify_result(WawpOperation operation, const HttpResult *result)
{
	if (result->fate == HTTP_ANSWERED)
		return call_classify(operation, result->status, result->body, result->body_len);
	return classify_loss(operation, result);
}

/*
 * True if a question whose answer could not be used may be answered another time:
 * it met an outage, a limit or the state of the session, or what came is not
 * understood.  Only a route that is missing, or a refusal that is about the group,
 * lasts.
 */
bool
call_failed_for_now(const HttpResult *result)
{
	CallReading reading;
	const OutcomeInfo *info;

	if (result->fate != HTTP_ANSWERED || result->status == 408 || result->status == 429)
		return true;
	if (call_is_missing_route(result))
		return false;
	if (result->status >= 500)
		return true;
	reading = call_classify_result(WAWP_OP_READ, result);
	info = outcome_info(reading.whole.outcome);
	/* a success is one that has no description in it */
	return info->about == ABOUT_API || info->about == ABOUT_INSTANCE || info->outcome == WAWP_ACCEPTED;
}

/*
 * ---- functions that raise
 */

/*
 * Return a text of an answer that may be shown: without the token, and short.
 * The token is removed first, as the cut could leave a part of it.
 */
static const char *
shown_text(const WawpInstance *instance, const char *text)
{
	char	   *shown = redact_secret(text, instance->access_token);

	if (shown && strlen(shown) > MAX_DETAIL_BYTES)
		shown[pg_encoding_mbcliplen(PG_UTF8, shown, strlen(shown), MAX_DETAIL_BYTES)] = '\0';
	return shown;
}

/* Return status, times and text of an answer, for an error's detail; in the database's encoding. */
static const char *
failure_detail(const WawpInstance *instance, const HttpResult *result, const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	if (result->status != 0)
		appendStringInfo(&out, "HTTP status %d", result->status);
	else
		appendStringInfoString(&out, "No HTTP status");
	appendStringInfo(&out, " after %d ms (name %d, connect %d, TLS %d, first byte %d)",
					 result->total_ms, result->dns_ms, result->connect_ms,
					 result->tls_ms, result->first_byte_ms);
	if (text)
		appendStringInfo(&out, ": %s", shown_text(instance, text));
	else
		appendStringInfoChar(&out, '.');
	return text_to_server(out.data);
}

static int
sqlstate_of_text(const char *code)
{
	return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

/*
 * Raise an error for an answer that a function cannot use: a refusal under any
 * status, a lost answer, or one of an unknown form.
 */
void
call_refuse(const WawpInstance *instance, const CallRequest *request, const HttpResult *result)
{
	const char *what = endpoint_get(request->endpoint)->what;
	CallReading reading = call_classify_result(WAWP_OP_READ, result);
	const OutcomeInfo *info = outcome_info(reading.whole.outcome);
	const char *detail = failure_detail(instance, result, reading.whole.detail);

	if (result->fate == HTTP_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("could not %s: the answer is too large", what),
				 errdetail_internal("%s", detail),
				 errhint("wawp.max_response_size sets the limit.")));
	if (http_is_success(result) &&
		(info->sqlstate == NULL || info->outcome == WAWP_UNKNOWN_RESULT || reading.npeople > 0))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("could not %s: the answer cannot be read", what),
				 errdetail_internal("%s", detail)));
	ereport(ERROR,
			(errcode(sqlstate_of_text(info->sqlstate)),
			 errmsg("could not %s: %s", what, info->text),
			 errdetail_internal("%s", detail),
			 info->hint ? errhint("%s", info->hint) : 0));
}

/*
 * Send a request whose answer the caller reads.  Raises an error unless a whole
 * answer with a 2xx status came; the body may still be a refusal.
 */
const HttpResult *
call_read(const WawpInstance *instance, const CallRequest *request)
{
	const HttpResult *result = call_send(instance, request);

	if (!http_is_success(result))
		call_refuse(instance, request, result);
	return result;
}

/*
 * ---- membership: a verdict for each person, never an error
 */

/* Return the endpoint of an operation that changes membership. */
static EndpointId
membership_endpoint(WawpOperation operation)
{
	switch (operation)
	{
		case WAWP_OP_ADD:
			return ENDPOINT_ADD;
		case WAWP_OP_REMOVE:
			return ENDPOINT_REMOVE;
		case WAWP_OP_PROMOTE:
			return ENDPOINT_PROMOTE;
		case WAWP_OP_DEMOTE:
			return ENDPOINT_DEMOTE;
		default:
			elog(ERROR, "operation %d changes no membership", operation);
			return ENDPOINT_NONE;
	}
}

/*
 * Return the verdict on a whole call for each of its people.  An outcome that
 * concerns one person is not applied to several: it is not known whom it meant.
 */
static CallVerdict
whole_for_many(CallVerdict whole, int npeople)
{
	OutcomeScope scope = outcome_info(whole.outcome)->scope;

	if (npeople > 1 && scope == SCOPE_PERSON &&
		whole.outcome != WAWP_ACCEPTED && whole.outcome != WAWP_UNRECOGNISED)
		whole.outcome = WAWP_UNKNOWN_RESULT;
	return whole;
}

/* True if the verdict names the person, by number or LID. */
static bool
is_verdict_for(const CallVerdict *verdict, const CallPerson *person)
{
	return jid_same(&verdict->jid, &person->jid) || jid_same(&verdict->lid, &person->jid) ||
		jid_same(&verdict->jid, &person->lid) || jid_same(&verdict->lid, &person->lid);
}

/* True if the verdict names somebody by another kind of JID than the person's, and no LID tells them apart. */
static bool
may_be_verdict_for(const CallVerdict *verdict, const CallPerson *person)
{
	const Jid  *lid = person->jid.kind == JID_LID ? &person->jid : &person->lid;

	return verdict->jid.kind != person->jid.kind && (verdict->lid.kind != JID_LID || lid->kind != JID_LID);
}

/*
 * Return the verdict on the i-th person of a request: the one that names the
 * person, by number or LID, else that on the whole call.  The order of entries is
 * no evidence (Baileys#1842).  If the request had one person and the answer one
 * entry that may be theirs, it is.
 */
static const CallVerdict *
verdict_for(const CallReading *reading, CallPerson *const *people, int npeople, int i)
{
	for (int k = 0; k < reading->npeople; k++)
		if (is_verdict_for(&reading->people[k], people[i]))
			return &reading->people[k];
	if (npeople == 1 && reading->npeople == 1 && may_be_verdict_for(&reading->people[0], people[i]))
		return &reading->people[0];
	return &reading->whole;
}

/* True if an answer may have a verdict on one of a request's people in particular. */
static bool
names_any(const CallReading *reading, CallPerson *const *people, int npeople)
{
	for (int i = 0; i < npeople; i++)
		if (verdict_for(reading, people, npeople, i) != &reading->whole)
			return true;
	return false;
}

/* Set the person's outcome, code, detail and LID according to a verdict. */
void
call_settle_person(CallPerson *person, const CallVerdict *verdict, const WawpInstance *instance)
{
	person->outcome = verdict->outcome;
	person->sent = verdict->outcome != WAWP_UNREACHABLE;
	person->code = verdict->code;
	person->is_card_sent = verdict->is_card_sent;
	person->is_unaddressable = verdict->is_unaddressable;
	person->detail = shown_text(instance, verdict->detail);
	if (person->jid.kind == JID_PERSON && verdict->jid.kind == JID_LID)
		person->lid = verdict->jid;
	else if (person->jid.kind == JID_PERSON && verdict->lid.kind == JID_LID)
		person->lid = verdict->lid;
}

/* Give the shape of an answer to those of whom it says nothing that is understood. */
static void
call_note_shape(const HttpResult *result, CallPerson **people, int npeople)
{
	const char *shape = NULL;

	for (int i = 0; i < npeople && result->fate == HTTP_ANSWERED; i++)
	{
		if (people[i]->outcome != WAWP_UNRECOGNISED && people[i]->outcome != WAWP_UNKNOWN_RESULT)
			continue;
		if (shape == NULL)
			shape = shape_of_body(result->body, result->body_len);
		people[i]->shape = shape;
	}
}

/*
 * Return the verdict because of which nobody else should be sent: the call's own,
 * or that on a person who met a limit of the group or the account; NULL if there
 * is none.
 */
static const CallVerdict *
verdict_that_stops(const CallReading *reading)
{
	if (reading->npeople == 0)
		return outcome_info(reading->whole.outcome)->scope == SCOPE_PERSON ? NULL : &reading->whole;
	for (int i = 0; i < reading->npeople; i++)
		if (outcome_info(reading->people[i].outcome)->scope == SCOPE_CALL)
			return &reading->people[i];
	return NULL;
}

/*
 * Start one request for at most CALL_MAX_PEOPLE people.  It belongs to the
 * current memory context; call_end_membership reads its answer.
 */
HttpTransfer *
call_begin_membership(const WawpInstance *instance, WawpOperation operation,
					  const char *group, CallPerson **people, int npeople)
{
	const char *jids[CALL_MAX_PEOPLE];
	CallRequest request = {
		.endpoint = membership_endpoint(operation),
		.group = group,
		.people = jids,
		.npeople = npeople
	};

	for (int i = 0; i < npeople; i++)
		jids[i] = people[i]->jid.text;
	return start_request(instance, endpoint_get(request.endpoint), &request);
}

/*
 * Set each person's outcome and, if an outage or a limit concerns them, retry_at.
 * False if nobody else should be sent to this group; *end is then the verdict
 * that says so.
 */
bool
call_end_membership(const WawpInstance *instance, WawpOperation operation,
					const HttpResult *result, CallPerson **people, int npeople, CallVerdict *end)
{
	CallReading reading = call_classify_result(operation, result);
	const CallVerdict *stopping;
	TimestampTz retry_at = 0;

	/* our own number, or that of somebody else, beside a number that is the call's then */
	if (reading.is_ambiguous && !names_any(&reading, people, npeople))
		reading = classify_envelope(operation, result->status, wire_read_answer(result->body, result->body_len), result->body, result->body_len);
	reading.whole = whole_for_many(reading.whole, npeople);
	if (result->retry_after >= 0)
		retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), result->retry_after * INT64CONST(1000));
	for (int i = 0; i < npeople; i++)
	{
		call_settle_person(people[i], verdict_for(&reading, people, npeople, i), instance);
		people[i]->is_outage = reading.is_outage;
		if (outcome_info(people[i]->outcome)->scope != SCOPE_PERSON)
			people[i]->retry_at = retry_at;
	}
	call_note_shape(result, people, npeople);
	stopping = verdict_that_stops(&reading);
	if (stopping)
		*end = *stopping;
	return stopping == NULL;
}
