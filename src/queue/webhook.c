/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  The SQL function by which a receiver of webhooks hands in events.
 *
 * Checks the signature, stores the event once and returns what the receiver
 * should answer; the worker applies it after the commit.  A gateway repeats, some
 * 15 times within half a minute, whatever is not answered with 2xx, and then
 * loses it: so everything that a repetition would not make better is answered
 * with 200, and what cannot be stored now with 503.
 *
 * The function is for roles that the extension's owner grants it to.  It writes
 * the owner's tables as the owner, in the caller's transaction, with a
 * subtransaction around it.  Locks: those of the rows; it waits for a table that
 * is locked, or for another session that stores the same event, no longer than
 * wawp.audit_timeout.
 *
 * IDENTIFICATION
 *	  src/queue/webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/commit_wake.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/signature.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "client/instance.h"
#include "fmgr.h"
#include "funcapi.h"
#include "protocol/event.h"
#include "queue/enqueue.h"
#include "storage/proc.h"
#include "tables/intent.h"
#include "tables/webhook_event.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"

/* More is not stored: an engine's _data repeats a group of 1,024 members twice. */
#define MAX_BODY_BYTES (2 * 1024 * 1024)
#define MAX_NAME_BYTES 100
#define MAX_ID_BYTES 200
#define RETRY_AFTER_S 5

/* HTTP statuses that a receiver answers. */
#define ANSWER_OK 200
#define ANSWER_REFUSED 401
#define ANSWER_LATER 503

PG_FUNCTION_INFO_V1(wawp_webhook);

/* An event that is handed in, and what becomes of it. */
typedef struct WebhookCall
{
	FunctionCallInfo fcinfo;
	InstanceRef instance;
	const char *body;			/* UTF-8 */
	size_t		len;
	const char *problem;		/* why it is refused; NULL: it is not */
	bool		is_new;
	const char *not_applied;	/* why it cannot be applied; NULL: it can */
} WebhookCall;

/* Returns a text if it is short and plain enough for a key, else NULL. */
static const char *
webhook_plain(const char *text, size_t most)
{
	if (text == NULL || *text == '\0' || strlen(text) > most)
		return NULL;
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return NULL;
	return text;
}

/* Waits for a lock on a table no longer than a session call would, until the end of the SqlOwner section. */
static void
webhook_limit_lock_waits(void)
{
	int			limit = LockTimeout > 0 ? Min(LockTimeout, wawp_audit_timeout) : wawp_audit_timeout;

	(void) set_config_option("lock_timeout", psprintf("%d", limit), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Stores a row without a statement; false if that is not possible. */
static bool
webhook_insert_plain(const WebhookEvent *row)
{
	SqlOwner	before;
	bool		is_new;

	/* a statement says why that is refused */
	if (XactReadOnly || IsInParallelMode() || RecoveryInProgress())
		return false;
	before = spi_begin_as_owner_of("webhook_event");
	/* another session may begin to store the event after this one has looked for it */
	webhook_limit_lock_waits();
	is_new = webhook_event_insert_plain(row);
	spi_end_as_owner_of(&before);
	return is_new;
}

/* Stores a row, by a statement only if that is needed; false if the event is there. */
static bool
webhook_insert(const WebhookEvent *row)
{
	SqlOwner	before;
	bool		is_new;

	if (webhook_insert_plain(row))
		return true;
	before = spi_begin_as_owner();
	webhook_limit_lock_waits();
	is_new = webhook_event_insert(row);
	spi_end_as_owner(&before);
	return is_new;
}

/* Stores the event, for subtransaction_try(). */
static bool
webhook_store(void *subject)
{
	WebhookCall *call = subject;
	WebhookEvent row = {.instance = call->instance.name, .instance_id = call->instance.instance_id};
	bool		is_too_large = call->len > MAX_BODY_BYTES;
	Event		event = {0};

	if (is_too_large)
		call->not_applied = psprintf("too large: %zu bytes, at most %d are stored", call->len, MAX_BODY_BYTES);
	else if (!event_read_key(call->body, call->len, &event))
		call->not_applied = "not understood: no JSON object with the name of an event";
	row.event = webhook_plain(event.name, MAX_NAME_BYTES);
	row.id = webhook_plain(event.id, MAX_ID_BYTES);
	if (row.event == NULL)
		row.event = "";
	if (row.id == NULL)
		row.id = signature_hash_text(call->body, call->len);
	row.detail = call->not_applied;
	if (!is_too_large)
		row.body = call->fcinfo->args[0].value;
	call->is_new = webhook_insert(&row);
	return true;
}

/* Records a refusal: a row that counts, and a note for the audit log when it is the first.  For subtransaction_try(). */
static bool
webhook_record_refusal(void *subject)
{
	WebhookCall *call = subject;
	IntentRequester by = enqueue_current_requester(call->fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	bool		is_first;

	webhook_limit_lock_waits();
	is_first = webhook_note_refusal(call->instance.name, call->body, call->len, call->problem);
	if (is_first)
		intent_note("webhook", call->instance.name, "", NULL,
					psprintf("an event was refused: %s; wawp.webhook_refusal counts such events", call->problem), &by);
	spi_end_as_owner(&before);
	if (is_first)
		commit_wake_worker(NULL);
	return true;
}

/* Returns the form of a result, which is kept by the process. */
static TupleDesc
webhook_result_form(FunctionCallInfo fcinfo)
{
	static TupleDesc form = NULL;
	TupleDesc	found;
	MemoryContext caller;

	if (form)
		return form;
	if (get_call_result_type(fcinfo, NULL, &found) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "wawp_webhook() does not return a row");
	caller = MemoryContextSwitchTo(TopMemoryContext);
	form = BlessTupleDesc(CreateTupleDescCopy(found));
	MemoryContextSwitchTo(caller);
	return form;
}

/* Returns the result: a status, seconds of Retry-After (0: none) and a text. */
static Datum
webhook_result(FunctionCallInfo fcinfo, int status, int retry_after, const char *detail)
{
	Datum		values[3] = {Int32GetDatum(status), Int32GetDatum(retry_after), CStringGetTextDatum(detail)};
	bool		nulls[3] = {false, retry_after == 0, false};

	return HeapTupleGetDatum(heap_form_tuple(webhook_result_form(fcinfo), values, nulls));
}

/* Raises an error again that is about the session, not about storing. */
static void
webhook_rethrow_interrupts(ErrorData *error)
{
	if (error && (error->sqlerrcode == ERRCODE_QUERY_CANCELED || ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTERNAL_ERROR))
		ReThrowError(error);
}

/* True if another call has stored the event since this one looked for it. */
static bool
webhook_was_stored_meanwhile(const ErrorData *error)
{
	return error && error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name &&
		strcmp(error->constraint_name, "webhook_event_pkey") == 0;
}

/* Refuses an event; what cannot be recorded is refused nevertheless. */
static Datum
webhook_refuse(WebhookCall *call)
{
	webhook_rethrow_interrupts(subtransaction_try(webhook_record_refusal, call));
	return webhook_result(call->fcinfo, ANSWER_REFUSED, 0, call->problem);
}

/* (payload text, signature text, instance name): returns what a receiver should answer. */
Datum
wawp_webhook(PG_FUNCTION_ARGS)
{
	WebhookCall call = {.fcinfo = fcinfo};
	const char *signature = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *secret;
	ErrorData  *error;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "payload")));
	call.instance = instance_of_events(PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2)), &secret);
	call.body = text_from_server(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	call.len = strlen(call.body);
	call.problem = signature_problem(signature, secret, call.body, call.len);
	if (call.problem)
		return webhook_refuse(&call);
	error = subtransaction_try(webhook_store, &call);
	webhook_rethrow_interrupts(error);
	if (webhook_was_stored_meanwhile(error))
		return webhook_result(fcinfo, ANSWER_OK, 0, "stored before");
	if (error)
		return webhook_result(fcinfo, ANSWER_LATER, RETRY_AFTER_S, psprintf("not stored: %s", error->message));
	if (call.is_new && call.not_applied == NULL)
		commit_wake_for_events();
	return webhook_result(fcinfo, ANSWER_OK, 0,
						  !call.is_new ? "stored before" : call.not_applied ? call.not_applied : "stored");
}
