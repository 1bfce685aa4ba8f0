/*-------------------------------------------------------------------------
 *
 * send.c
 *	  A call made in the session: holds, pace, record, request.
 *
 * In this order: what is held is not sent; what the pace does not allow is not
 * sent; the "sent" record is committed by the worker; then the request leaves;
 * what came of it is handed over without waiting.  The caller's transaction
 * writes nothing, so its rollback undoes nothing that happened.
 *
 * Errors are raised only until the first request of a statement has left.
 * From then on what cannot be done is a row or a WARNING, so that a statement
 * over many groups never throws away what it learnt.  Cancel and termination
 * end a call at any moment; the record then says so.
 *
 * No lock is held while waiting.
 *
 * IDENTIFICATION
 *	  src/session/send.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/requester.h"
#include "base/shmem.h"
#include "base/spi_statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "protocol/jid.h"
#include "session/send.h"
#include "storage/ipc.h"
#include "tables/audit_mailbox.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/suppression.h"
#include "throttle/budget.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "compat.h"

StaticAssertDecl(CALL_MAX_PEOPLE <= RELAY_MAX_PEOPLE, "a request's people fit into its record");

/* Start of the statement in which the last request left. */
static TimestampTz last_statement = 0;

/* One request under way. */
typedef struct SessionAttempt
{
	RelayRecord record;
	bool		is_handed_over; /* the "sent" record was posted */
	bool		has_left;
	bool		is_over;
	int64		sent_at;		/* monotonic ms */
	BudgetPermit permit;
	int			npaced;			/* of this request */
	int			nbehind;		/* of those that are to follow it */
} SessionAttempt;

/*
 * ---- records
 */

static const char *
session_new_request_id(void)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
}

static void
session_begin_record(SessionAttempt *attempt, const WawpInstance *instance, const char *action,
					 const char *group, const char *reason)
{
	RelayRecord *record = &attempt->record;

	memset(attempt, 0, sizeof(*attempt));
	record->kind = "sent";
	record->instance = instance->name;
	record->instance_id = text_to_server(instance->instance_id);
	record->group_jid = group;
	record->action = action;
	record->login_role = asker_login_role();
	record->requested_by = GetUserNameFromId(GetUserId(), false);
	record->actor = *wawp_actor ? wawp_actor : NULL;
	record->application_name = *application_name ? application_name : NULL;
	record->client_addr = asker_client_address();
	record->origin = "session";
	record->reason = reason ? text_to_server(reason) : NULL;
	record->request_id = session_new_request_id();
	record->duration_ms = -1;
}

static void
session_refuse_too_long(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the audit record of this call is too large"),
			 errdetail("Nothing was sent."),
			 errhint("Shorten the reason, wawp.actor or the instance_id of the server.")));
}

static void
session_check_record(const RelayRecord *record)
{
	if (!mailbox_fits(record))
		session_refuse_too_long();
}

/* Has a request of this very statement left already? */
static bool
session_is_past_first_request(void)
{
	return last_statement == GetCurrentStatementStartTimestamp();
}

static void
session_refuse_unrecorded(MailboxFate fate)
{
	if (fate == MAILBOX_TOO_LONG)
		session_refuse_too_long();
	if (fate == MAILBOX_NO_WORKER)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no wawp worker runs in this database to record the call"),
				 errdetail("Nothing was sent."),
				 errhint("The server's log says why; max_worker_processes may be too low.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the call could not be recorded within wawp.audit_timeout"),
			 errdetail("Nothing was sent."),
			 errhint("The server's log says what keeps the wawp worker from writing.")));
}

/* False: it is not recorded, and nothing may be sent. */
static bool
session_record_sent(SessionAttempt *attempt)
{
	MailboxFate	fate;

	attempt->is_handed_over = true;
	fate = mailbox_post_sent(&attempt->record, wawp_audit_timeout);
	if (fate == MAILBOX_COMMITTED)
		return true;
	attempt->is_handed_over = false;
	if (!session_is_past_first_request())
		session_refuse_unrecorded(fate);
	return false;
}

static void
session_record_answered(SessionAttempt *attempt, int http_status)
{
	attempt->record.kind = "answered";
	attempt->record.http_status = http_status;
	attempt->record.duration_ms = (int) (clock_monotonic_ms() - attempt->sent_at);
	attempt->is_over = true;
	if (!mailbox_post_answered(&attempt->record))
		ereport(WARNING,
				(errmsg("the answer of request %s could not be recorded", attempt->record.request_id)));
}

/* An error, or the end of the session, in the middle of a request. */
static void
session_give_up(int code pg_attribute_unused(), Datum arg)
{
	SessionAttempt *attempt = (SessionAttempt *) DatumGetPointer(arg);
	const char *outcome = outcome_info(WAWP_UNKNOWN_RESULT)->name;

	if (attempt->is_over)
		return;
	budget_give_back(&attempt->permit, attempt->nbehind + (attempt->has_left ? 0 : attempt->npaced));
	if (!attempt->has_left)
	{
		if (attempt->is_handed_over)
			mailbox_withdraw();
		return;
	}
	attempt->record.kind = "answered";
	attempt->record.outcome = outcome;
	attempt->record.detail = "{\"note\": \"the caller did not wait for the answer\"}";
	for (int i = 0; i < attempt->record.npeople; i++)
		attempt->record.people[i].outcome = outcome;
	(void) mailbox_post_answered(&attempt->record);
}

static void
session_note_left(SessionAttempt *attempt)
{
	attempt->has_left = true;
	attempt->sent_at = clock_monotonic_ms();
	last_statement = GetCurrentStatementStartTimestamp();
}

/*
 * ---- what may go
 */

/*
 * Fills in the LIDs that are known of people: answers and lists may name them
 * so.  A call does not wait for somebody who has locked the contacts; it does
 * without.
 */
static void
session_fill_lids(CallPerson **people, int npeople)
{
	if (!contact_is_unlocked())
		return;
	for (int i = 0; i < npeople; i++)
	{
		const char *lid = people[i]->jid.kind == JID_PERSON ? contact_lid(people[i]->jid.text) : NULL;

		if (lid)
			people[i]->lid = jid_parse(lid, strlen(lid));
	}
}

/* Marks who is left in peace; the others come first.  Returns how many those are. */
static int
session_skip_suppressed(const char *group, CallPerson **people, int npeople, MemoryContext caller)
{
	int			kept = 0;

	for (int i = 0; i < npeople; i++)
	{
		CallPerson *person = people[i];
		const char *reason = suppression_reason(person->jid.text, group);

		if (reason == NULL)
		{
			people[i] = people[kept];
			people[kept++] = person;
			continue;
		}
		person->outcome = WAWP_SUPPRESSED;
		person->detail = MemoryContextStrdup(caller, psprintf("not sent: suppressed (%s)", text_from_server(reason)));
	}
	return kept;
}

/* Copies the holds of an instance and a group of it into a context. */
static List *
session_copy_holds(const WawpInstance *instance, const char *group, MemoryContext caller)
{
	MemoryContext spi = CurrentMemoryContext;
	List	   *holds = NIL;
	ListCell   *lc;

	foreach(lc, hold_read_instance(instance->name, group))
	{
		Hold	   *copy = MemoryContextAlloc(caller, sizeof(Hold));

		*copy = *(const Hold *) lfirst(lc);
		copy->reason = MemoryContextStrdup(caller, copy->reason);
		MemoryContextSwitchTo(caller);
		holds = lappend(holds, copy);
	}
	if (identity_is_foreign())
	{
		Hold	   *hold = MemoryContextAllocZero(caller, sizeof(Hold));

		/* the worker has not seen it yet */
		(void) shmem_wake_worker(MyDatabaseId, NULL, 0, true);
		namestrcpy(&hold->key.instance, instance->name);
		hold->reason = HOLD_RESTORED_COPY;
		MemoryContextSwitchTo(caller);
		holds = lcons(hold, holds);
	}
	MemoryContextSwitchTo(spi);
	return holds;
}

static GroupSettings
session_group_settings(const WawpInstance *instance, const char *group)
{
	LaneKey		lane;

	memset(&lane, 0, sizeof(lane));
	namestrcpy(&lane.instance, instance->name);
	strlcpy(lane.group, group, sizeof(lane.group));
	return settings_get(&lane);
}

/*
 * The holds of an instance, in the current context; with people, who of them
 * is left in peace is marked and put last.  Read in a subtransaction that is
 * undone: a lock on these tables, kept while the answer is waited for, would be
 * in the way of DROP EXTENSION.
 */
static List *
session_read_policy(const WawpInstance *instance, BudgetGroup *group, CallPerson **people, int *npeople)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	SqlOwner	before;
	List	   *holds;

	BeginInternalSubTransaction(NULL);
	before = sqlrun_begin_as_owner();
	holds = session_copy_holds(instance, group->jid, caller);
	if (people)
	{
		session_fill_lids(people, *npeople);
		*npeople = session_skip_suppressed(group->jid, people, *npeople, caller);
		group->adds_per_minute = session_group_settings(instance, group->jid).adds_per_minute;
	}
	sqlrun_end_as_owner(&before);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return holds;
}

/* The number of people a group takes; read as above. */
int
session_group_capacity(const WawpInstance *instance, const char *group)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	SqlOwner	before;
	int			capacity;

	BeginInternalSubTransaction(NULL);
	before = sqlrun_begin_as_owner();
	capacity = session_group_settings(instance, group).capacity;
	sqlrun_end_as_owner(&before);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return capacity;
}

/* What keeps a group from being served now; NULL: nothing. */
static const Hold *
session_active_hold(List *holds, const WawpInstance *instance, const char *group)
{
	const Hold *whole = hold_find(holds, instance->name, "");
	const Hold *one = group ? hold_find(holds, instance->name, group) : NULL;

	if (whole && (whole->until == 0 || whole->until > GetCurrentTimestamp()))
		return whole;
	if (one && (one->until == 0 || one->until > GetCurrentTimestamp()))
		return one;
	return NULL;
}

static void
session_throttle(CallPerson *person, TimestampTz retry_at, const char *detail)
{
	person->outcome = WAWP_THROTTLED;
	person->detail = detail;
	person->retry_at = retry_at;
}

static TimestampTz
session_wall_time(int64 monotonic_us)
{
	return GetCurrentTimestamp() + Max(monotonic_us - clock_monotonic_us(), 0);
}

/*
 * How many of these people may be sent now; the others are told when.  Only
 * additions are paced.
 */
static int
session_take_pace(const WawpInstance *instance, const Hold *on_instance, const BudgetGroup *group,
				  CallPerson **people, int npeople, BudgetPermit *permit)
{
	PaceRate	rate = budget_add_rate(instance, hold_halvings(on_instance));

	*permit = budget_take_adds(instance, hold_halvings(on_instance), group, false, npeople);
	if (permit->has_group)
		rate.interval = Max(rate.interval, pace_rate(group->adds_per_minute, 0).interval);
	for (int i = permit->granted; i < npeople; i++)
		session_throttle(people[i], session_wall_time(permit->next_at + (i - permit->granted) * rate.interval),
						 permit->has_group ? "not sent: the pace of the instance and the group allows no more now"
						 : "not sent: the instance's pace allows no more now");
	return permit->granted;
}

/*
 * ---- membership
 */

/* Marks people who are not sent because of how the request before them ended. */
static void
session_skip_people(CallPerson **people, int npeople, const CallVerdict *cause, TimestampTz retry_at)
{
	bool		in_doubt = outcome_info(cause->outcome)->scope == SCOPE_DOUBT;

	for (int i = 0; i < npeople; i++)
	{
		people[i]->outcome = in_doubt ? WAWP_UNREACHABLE : cause->outcome;
		people[i]->retry_at = retry_at;
		people[i]->detail = in_doubt
			? "not sent: the API did not answer the request before"
			: "not sent: the request before ended this way";
	}
}

static void
session_skip_unrecorded(CallPerson **people, int npeople)
{
	for (int i = 0; i < npeople; i++)
	{
		people[i]->outcome = WAWP_UNREACHABLE;
		people[i]->detail = "not sent: the request could not be recorded";
	}
}

static void
session_put_people(RelayRecord *record, CallPerson **people, int npeople)
{
	record->npeople = npeople;
	for (int i = 0; i < npeople; i++)
		record->people[i].jid = people[i]->jid.text;
}

static void
session_put_outcomes(RelayRecord *record, CallPerson **people, int npeople)
{
	for (int i = 0; i < npeople; i++)
	{
		record->people[i].outcome = outcome_info(people[i]->outcome)->name;
		record->people[i].code = people[i]->code;
	}
}

/* Sends one recorded request; false when nobody else should be sent, as `end` says. */
static bool
session_send_people(SessionAttempt *attempt, const WawpInstance *instance, WawpOperation operation,
					const char *group, CallPerson **people, int npeople, CallVerdict *end)
{
	HttpTransfer *transfer;
	const HttpResult *result;
	bool		go_on;

	session_note_left(attempt);
	transfer = call_begin_membership(instance, operation, group, people, npeople);
	result = http_wait(transfer);
	go_on = call_end_membership(instance, operation, result, people, npeople, end);
	session_put_outcomes(&attempt->record, people, npeople);
	session_record_answered(attempt, result->status);
	if (result->fate == HTTP_NOT_SENT && attempt->npaced > 0)
		budget_give_back(&attempt->permit, npeople);
	return go_on;
}

/* One request for at most CALL_MAX_PEOPLE people who may go now. */
static bool
session_change_some(SessionAttempt *attempt, const WawpInstance *instance, WawpOperation operation,
					const char *group, CallPerson **people, int npeople, CallVerdict *end)
{
	volatile bool go_on = false;

	attempt->npaced = operation == WAWP_OP_ADD ? npeople : 0;
	session_put_people(&attempt->record, people, npeople);
	PG_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(attempt));
	{
		if (session_record_sent(attempt))
			go_on = session_send_people(attempt, instance, operation, group, people, npeople, end);
		else
		{
			session_skip_unrecorded(people, npeople);
			session_give_up(0, PointerGetDatum(attempt));
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(attempt));
	return go_on;
}

static void
session_change_all(const WawpInstance *instance, WawpOperation operation, const char *group,
				   const char *reason, const BudgetPermit *permit, CallPerson **people, int npeople)
{
	const char *action = outcome_operation_name(operation);

	for (int done = 0; done < npeople;)
	{
		int			n = Min(npeople - done, CALL_MAX_PEOPLE);
		CallVerdict end;
		SessionAttempt attempt;
		bool		go_on;

		session_begin_record(&attempt, instance, action, group, reason);
		attempt.permit = *permit;
		attempt.nbehind = operation == WAWP_OP_ADD ? npeople - done - n : 0;
		go_on = session_change_some(&attempt, instance, operation, group, people + done, n, &end);
		done += n;
		if (go_on)
			continue;
		if (!attempt.has_left)
		{
			session_skip_unrecorded(people + done, npeople - done);
			return;
		}
		session_skip_people(people + done, npeople - done, &end, people[done - 1]->retry_at);
		budget_give_back(&attempt.permit, attempt.nbehind);
		return;
	}
}

/*
 * Changes the membership of people who are all different and valid.  Fills in
 * each one's outcome.  What the network, the API, a hold or the pace does is an
 * outcome; errors are for cancel, and 55000 or 54000 when the first request
 * cannot be recorded.
 */
void
session_membership(const WawpInstance *instance, WawpOperation operation, const char *group,
				   const char *reason, CallPerson **people, int npeople)
{
	bool		adds = operation == WAWP_OP_ADD;
	BudgetGroup budget = {group, 0};
	List	   *holds = npeople > 0 ? session_read_policy(instance, &budget, adds ? people : NULL, &npeople) : NIL;
	const Hold *hold = session_active_hold(holds, instance, group);
	BudgetPermit permit = {.granted = npeople};

	if (hold)
	{
		for (int i = 0; i < npeople; i++)
			session_throttle(people[i], hold->until, psprintf("not sent: the %s is held (%s)",
															  *hold->key.group ? "group" : "instance", hold->reason));
		return;
	}
	if (adds && npeople > 0)
		npeople = session_take_pace(instance, hold_find(holds, instance->name, ""), &budget, people, npeople, &permit);
	session_change_all(instance, operation, group, reason, &permit, people, npeople);
}

/* Hands over what is known of the next verified people; returns where it stopped. */
static int
session_note_some_verified(RelayRecord *record, CallPerson **people, int npeople, int from)
{
	int			i;

	record->npeople = 0;
	for (i = from; i < npeople && record->npeople < RELAY_MAX_PEOPLE; i++)
	{
		RelayPerson *person = &record->people[record->npeople];

		if (!people[i]->verified)
			continue;
		person->jid = people[i]->jid.text;
		person->outcome = outcome_info(people[i]->outcome)->name;
		record->npeople++;
	}
	if (record->npeople > 0 && !(mailbox_wait_for_room(wawp_audit_timeout) && mailbox_post_answered(record)))
		ereport(WARNING,
				(errmsg("what the member list showed could not be recorded")));
	return i;
}

/* Records what a look at the member list has shown of people just added. */
void
session_note_verified(const WawpInstance *instance, const char *group, const char *reason,
					  CallPerson **people, int npeople)
{
	SessionAttempt attempt;
	int			done = 0;

	session_begin_record(&attempt, instance, "add", group, reason);
	attempt.record.kind = "verified";
	while (done < npeople)
		done = session_note_some_verified(&attempt.record, people, npeople, done);
}

/*
 * ---- other requests
 */

static void
session_refuse_held(const SessionRequest *request, const Hold *hold)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not %s: the instance is held", endpoint_get(request->call.endpoint)->what),
			 errdetail("Reason: %s.", hold->reason),
			 hold->until
			 ? errhint("It is tried again at %s.", clock_text(hold->until))
			 : errhint("wawp_resume() ends the hold.")));
}

/* All of them or, as an error, none. */
static void
session_take_all_or_none(SessionAttempt *attempt, const WawpInstance *instance, const SessionRequest *request)
{
	BudgetGroup group = {request->group, 0};
	List	   *holds = session_read_policy(instance, &group, NULL, NULL);
	const Hold *hold = session_active_hold(holds, instance, request->group);

	if (hold)
		session_refuse_held(request, hold);
	if (request->npeople == 0)
		return;
	attempt->permit = budget_take_adds(instance, hold_halvings(hold_find(holds, instance->name, "")), &group, false,
									   request->npeople);
	attempt->npaced = request->npeople;
	if (attempt->permit.granted == request->npeople)
		return;
	if (attempt->permit.granted > 0)
		budget_give_back(&attempt->permit, attempt->permit.granted);
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not %s: the instance's pace does not allow %d people now",
					endpoint_get(request->call.endpoint)->what, request->npeople),
			 errdetail("It allows %d now and one more at %s.", attempt->permit.granted,
					   clock_text(session_wall_time(attempt->permit.next_at))),
			 errhint("Try again then, or begin with fewer people and add the others with wawp_request_add().")));
}

static const HttpResult *
session_send_recorded(SessionAttempt *attempt, const WawpInstance *instance, const SessionRequest *request)
{
	const HttpResult *result;
	WawpOutcome outcome;

	session_note_left(attempt);
	result = call_send(instance, &request->call);
	outcome = request->judge(result, &attempt->record.group_jid);
	attempt->record.outcome = outcome_info(outcome)->name;
	for (int i = 0; i < attempt->record.npeople; i++)
		attempt->record.people[i].outcome = attempt->record.outcome;
	session_record_answered(attempt, result->status);
	if (result->fate == HTTP_NOT_SENT && attempt->npaced > 0)
		budget_give_back(&attempt->permit, attempt->npaced);
	return result;
}

/*
 * Sends a request that changes or tells something and waits for its answer,
 * whatever that is.  Errors: 53400 held or no pace left, 55000 it cannot be
 * recorded, and cancel.
 */
const HttpResult *
session_send(const WawpInstance *instance, const SessionRequest *request)
{
	const HttpResult *volatile result = NULL;
	SessionAttempt attempt;

	session_begin_record(&attempt, instance, request->action, request->group, NULL);
	attempt.record.detail = psprintf("{\"call\": \"%s\"}", endpoint_get(request->call.endpoint)->what);
	attempt.record.npeople = request->npeople;
	for (int i = 0; i < request->npeople; i++)
		attempt.record.people[i].jid = request->people[i];
	session_check_record(&attempt.record);
	if (request->spends_pace)
		session_take_all_or_none(&attempt, instance, request);
	PG_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(&attempt));
	{
		if (!session_record_sent(&attempt))
			session_refuse_unrecorded(MAILBOX_LATE);
		result = session_send_recorded(&attempt, instance, request);
	}
	PG_END_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(&attempt));
	return result;
}

/* Judges the answer to a message, for the record. */
WawpOutcome
session_judge_sent(const HttpResult *result, const char **group pg_attribute_unused())
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);

	for (int i = 0; i < reading.npeople; i++)
		if (reading.people[i].outcome != WAWP_ACCEPTED)
			return reading.people[i].outcome;
	return reading.npeople > 0 ? WAWP_ACCEPTED : reading.whole.outcome;
}

/* Waits for a turn in the instance's checks_per_minute. */
void
session_wait_for_check(const WawpInstance *instance)
{
	for (;;)
	{
		BudgetPermit permit = budget_take_check(instance);

		if (permit.granted > 0)
			return;
		clock_wait_until((permit.next_at + 999) / 1000);
	}
}

/* Counts a reading of a group against the pace of such; it does not wait for it. */
void
session_note_read(const WawpInstance *instance)
{
	(void) budget_take_read(instance, false);
}
