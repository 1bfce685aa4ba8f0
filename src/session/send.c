/*-------------------------------------------------------------------------
 *
 * send.c
 *	  A call made in the session: holds, pace, record, request.
 *
 * In this order: a request that is held, or that the pace does not allow, is
 * not sent; the worker commits the "sent" record; the request leaves; its
 * result is handed over without waiting.  The caller's transaction writes
 * nothing, so that its rollback undoes nothing that happened.
 *
 * Errors are raised only until the first request of a statement has left.
 * After that, a failure is a row or a WARNING, so that a statement over many
 * groups never loses the results it has.  Cancel and termination end a call at
 * any moment; the record then says so.
 *
 * Memory: that of the call (api.c).  Locks: the tables that are read before a
 * request are read in a subtransaction that is rolled back, so that no lock of
 * ours is held while a request waits.
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
#include "base/random_pool.h"
#include "base/requester.h"
#include "base/shmem.h"
#include "base/subtransaction.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "protocol/jid.h"
#include "session/send.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tables/audit.h"
#include "tables/audit_mailbox.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "throttle/budget.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"

StaticAssertDecl(CALL_MAX_PEOPLE <= MAILBOX_MAX_PEOPLE, "a request's people fit into its record");

/* Details of people who were not sent. */
#define UNRECORDED SESSION_NOT_SENT "the request could not be recorded"
#define OWN_TOKEN_HELD "the API refused the access token of the role's own user mapping"
#define UNREAD SESSION_NOT_SENT "the holds and the opt-out list could not be read"

/* Start of the statement in which the last request left; 0: none has. */
static TimestampTz last_statement = 0;

/* One request, from its record to the end. */
typedef struct SessionAttempt
{
	MailboxRecord record;
	bool		is_handed_over; /* the "sent" record was posted */
	bool		has_left;
	bool		is_over;
	int64		sent_ms;		/* monotonic */
	BudgetPermit permit;
	int			npaced;			/* permits for this request ... */
	int			nbehind;		/* ... and for those that are to follow it */
} SessionAttempt;

/*
 * ---- records
 */

/* Draw a request id. */
static const char *
session_new_request_id(void)
{
	pg_uuid_t	id;

	random_draw_id(&id);
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&id)));
}

/*
 * Start an attempt with a "sent" record about nobody yet, which the caller
 * completes.  Texts are in the current context or outlive it.
 */
static void
session_begin_record(SessionAttempt *attempt, const WawpInstance *instance, const char *action,
					 const char *group, const char *reason)
{
	AuditRecord *record = &attempt->record.row;

	memset(attempt, 0, sizeof(*attempt));
	record->kind = "sent";
	record->instance = instance->name;
	record->instance_id = text_to_server(instance->instance_id);
	record->group_jid = group;
	record->action = action;
	record->login_role = requester_login_role();
	record->requested_by = GetUserNameFromId(GetUserId(), false);
	record->actor = requester_actor();
	record->application_name = *application_name ? application_name : NULL;
	record->client_addr = requester_client_address();
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
session_check_record(const MailboxRecord *record)
{
	if (!mailbox_fits(record))
		session_refuse_too_long();
}

/* True if a request of the current statement has left already. */
bool
session_is_past_first_request(void)
{
	return last_statement == GetCurrentStatementStartTimestamp();
}

/* Raise the error for a record that was not committed. */
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
				 errhint("The view wawp.worker_status and the server's log say why; max_worker_processes may be too low.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the call could not be recorded within wawp.audit_timeout"),
			 errdetail("Nothing was sent."),
			 errhint("The view wawp.worker_status and the server's log say what keeps the wawp worker from writing, unless a transaction that is still open, perhaps this one, has just stored one of the people.")));
}

/*
 * Commit the "sent" record.  False if it is not recorded, so that nothing may
 * be sent; an error while the statement has sent nothing yet.
 */
static bool
session_record_sent(SessionAttempt *attempt)
{
	MailboxFate fate;

	attempt->is_handed_over = true;
	fate = mailbox_post_sent(&attempt->record, wawp_audit_timeout);
	if (fate == MAILBOX_COMMITTED)
		return true;
	attempt->is_handed_over = false;
	if (!session_is_past_first_request())
		session_refuse_unrecorded(fate);
	return false;
}

/* Hand over the "answered" record. */
static void
session_record_answered(SessionAttempt *attempt, int http_status)
{
	attempt->record.row.kind = "answered";
	attempt->record.row.http_status = http_status;
	attempt->record.row.duration_ms = (int) (clock_monotonic_ms() - attempt->sent_ms);
	attempt->is_over = true;
	if (!mailbox_post_answered(&attempt->record))
		ereport(WARNING,
				(errmsg("the answer of request %s could not be recorded", attempt->record.row.request_id)));
}

/*
 * Clean up after an error, or the end of the session, in the middle of an
 * attempt: return its permits and take its record back or complete it.
 */
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
	attempt->record.row.kind = "answered";
	attempt->record.row.outcome = outcome;
	attempt->record.row.detail = "{\"note\": \"the caller did not wait for the answer\"}";
	for (int i = 0; i < attempt->record.npeople; i++)
		attempt->record.people[i].outcome = outcome;
	(void) mailbox_post_answered(&attempt->record);
}

/* Note that the request leaves now. */
static void
session_note_left(SessionAttempt *attempt)
{
	attempt->has_left = true;
	attempt->sent_ms = clock_monotonic_ms();
	if (attempt->npaced > 0)
		budget_note_left(&attempt->permit, attempt->npaced);
	last_statement = GetCurrentStatementStartTimestamp();
}

/*
 * ---- permission to send
 */

/*
 * Fill in the LIDs that are known of people: answers and lists may use them.  A
 * call does not wait for a lock on the contacts; it goes on without LIDs.
 */
static void
session_fill_lids(CallPerson **people, int npeople)
{
	for (int i = 0; i < npeople; i++)
	{
		const char *lid = people[i]->jid.kind == JID_PERSON ? contact_lid(people[i]->jid.text) : NULL;

		if (lid)
			people[i]->lid = jid_parse(lid, strlen(lid));
	}
}

/* Return a person's LID; NULL if it is not known. */
static const char *
session_known_lid(const CallPerson *person)
{
	return person->lid.kind == JID_LID ? person->lid.text : NULL;
}

/*
 * Mark those who are on the opt-out list, in the context `caller`, and move the
 * others to the front.  Return how many the others are.
 */
static int
session_skip_suppressed(const char *group, CallPerson **people, int npeople, MemoryContext caller)
{
	int			kept = 0;

	for (int i = 0; i < npeople; i++)
	{
		CallPerson *person = people[i];
		const char *reason = suppression_reason_of_both(person->jid.text, session_known_lid(person), group);

		if (reason == NULL)
		{
			people[i] = people[kept];
			people[kept++] = person;
			continue;
		}
		person->outcome = WAWP_SUPPRESSED;
		person->detail = MemoryContextStrdup(caller, psprintf(SESSION_NOT_SENT "suppressed (%s)", text_from_server(reason)));
	}
	return kept;
}

/* Return the holds of an instance and a group of it, copied into the context `caller`. */
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
	MemoryContextSwitchTo(spi);
	return holds;
}

/* Return the policy of a group; its texts are in SPI's memory. */
static GroupSettings
session_group_settings(const WawpInstance *instance, const char *group)
{
	LaneKey		lane = lane_key(instance->name, group);

	return settings_get(&lane);
}

/*
 * Wait for a lock on a table no longer than for a record, nor longer than the
 * caller would; until the end of the SqlOwner section.
 */
static void
session_limit_lock_waits(void)
{
	int			limit = LockTimeout > 0 ? Min(LockTimeout, wawp_audit_timeout) : wawp_audit_timeout;

	(void) set_config_option("lock_timeout", psprintf("%d", limit), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Raise an error in a copy of a database: jobs that came along with it must not send anything. */
static void
session_require_original(void)
{
	if (identity_is_copy())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing can be sent from a copy of a database"),
				 errdetail("This database is a copy: %s.", identity_why_copy()),
				 errhint("If it is to replace the original, call wawp_take_over().")));
}

/* The arguments of session_read_policy. */
typedef struct PolicyRead
{
	const WawpInstance *instance;
	const char *group;
	CallPerson **people;		/* NULL: only the holds are read */
	int		   *npeople;
	SessionPolicy *policy;
} PolicyRead;

/*
 * Read the policy into the current context.  With people, also fill in their
 * LIDs and move those on the opt-out list behind the others, whose number is
 * written to *npeople.  False: no lock is kept.
 */
static bool
session_read_tables(void *subject)
{
	const PolicyRead *read = subject;
	MemoryContext caller = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_owner();

	session_limit_lock_waits();
	session_require_original();
	read->policy->holds = session_copy_holds(read->instance, read->group, caller);
	if (OidIsValid(read->instance->token_role))
		read->policy->own_until = requester_hold_until(read->instance->name, read->instance->token_role);
	if (read->people)
	{
		GroupSettings settings = session_group_settings(read->instance, read->group);

		read->policy->adds_per_minute = settings.adds_per_minute;
		read->policy->capacity = settings.capacity;
		read->policy->contact_within_us = settings.contact_within_us;
		read->policy->managed = settings.managed;
		session_fill_lids(read->people, *read->npeople);
		*read->npeople = session_skip_suppressed(read->group, read->people, *read->npeople, caller);
	}
	spi_end_as_owner(&before);
	return false;
}

/*
 * Read *policy, in the current context, with people and npeople as above.
 * False if one of them stays locked, so that nothing may be sent.
 *
 * Holds, identity, settings and opt-out list decide about a request: a lock on
 * them is waited for, as a record is, for wawp.audit_timeout.  Contacts only
 * help, and are not waited for.  All is read in a subtransaction that is rolled
 * back: a lock on these tables, kept while a request waits, would block DROP
 * EXTENSION.
 */
bool
session_read_policy(const WawpInstance *instance, const char *group, CallPerson **people, int *npeople,
					SessionPolicy *policy)
{
	PolicyRead	read = {instance, group, people, npeople, policy};
	ErrorData  *error;

	memset(policy, 0, sizeof(*policy));
	error = subtransaction_try(session_read_tables, &read);
	if (error && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	return error == NULL;
}

/* Raise the error for tables that stay locked. */
void
session_refuse_unread(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the holds and the opt-out list could not be read within wawp.audit_timeout"),
			 errdetail("A table of schema wawp is locked.  Nothing was sent."),
			 errhint("pg_locks shows the session that has the lock.")));
}

/* Return the hold that applies to a group now; NULL if none does. */
static const Hold *
session_active_hold(List *holds, const WawpInstance *instance, const char *group)
{
	const Hold *whole = hold_find(holds, instance->name, "");
	const Hold *one = group ? hold_find(holds, instance->name, group) : NULL;

	if (hold_is_active(whole))
		return whole;
	return hold_is_active(one) ? one : NULL;
}

/* Return what keeps the caller from changing a group: the hold of its own token, else of the instance or the group. */
SessionHeld
session_held(const SessionPolicy *policy, const WawpInstance *instance, const char *group)
{
	const Hold *hold = session_active_hold(policy->holds, instance, group);

	if (policy->own_until != 0)
		return (SessionHeld) {OWN_TOKEN_HELD, policy->own_until};
	if (hold == NULL)
		return (SessionHeld) {NULL, 0};
	return (SessionHeld) {
		psprintf("the %s is held (%s)", *hold->key.group ? "group" : "instance", text_from_server(hold->reason)),
		hold->until
	};
}

/* Give a person the outcome `throttled`. */
static void
session_throttle(CallPerson *person, TimestampTz retry_at, const char *detail)
{
	person->outcome = WAWP_THROTTLED;
	person->detail = detail;
	person->retry_at = retry_at;
}

/* Convert monotonic time, if it is still to come, to wall clock time. */
TimestampTz
session_wall_time(int64 monotonic_us)
{
	return GetCurrentTimestamp() + Max(monotonic_us - clock_monotonic_us(), 0);
}

/*
 * Take permits to add these people.  Write them to *permit, and the outcome
 * `throttled` with the time of the next permit to the people for whom there is
 * none.  Return how many may be sent now.
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
						 permit->grant.is_full || permit->group_grant.is_full ? SESSION_NOT_SENT "too many accounts and groups are paced at once (wawp.max_limiters)"
						 : permit->has_group ? SESSION_NOT_SENT "the pace of the instance and the group allows no more now"
						 : SESSION_NOT_SENT "the instance's pace allows no more now");
	return permit->granted;
}

/*
 * ---- membership
 */

/* Mark people who are not sent because of how the request before them ended. */
static void
session_skip_people(CallPerson **people, int npeople, const CallVerdict *cause, TimestampTz retry_at)
{
	bool		in_doubt = outcome_info(cause->outcome)->scope == SCOPE_DOUBT;

	for (int i = 0; i < npeople; i++)
	{
		people[i]->outcome = in_doubt ? WAWP_UNREACHABLE : cause->outcome;
		people[i]->retry_at = retry_at;
		people[i]->detail = in_doubt
			? SESSION_NOT_SENT "the API did not answer the request before"
			: SESSION_NOT_SENT "the request before ended this way";
	}
}

/* Mark people who are not sent, for a reason that lies in this server. */
static void
session_skip_unsent(CallPerson **people, int npeople, const char *detail)
{
	for (int i = 0; i < npeople; i++)
	{
		people[i]->outcome = WAWP_UNREACHABLE;
		people[i]->detail = detail;
	}
}

/* Write people to the record. */
static void
session_put_people(MailboxRecord *record, CallPerson **people, int npeople)
{
	record->npeople = npeople;
	for (int i = 0; i < npeople; i++)
		record->people[i].jid = people[i]->jid.text;
}

/* Write their outcomes, and the LIDs that the answer told, to the record. */
static void
session_put_outcomes(MailboxRecord *record, CallPerson **people, int npeople)
{
	for (int i = 0; i < npeople; i++)
	{
		record->people[i].outcome = outcome_info(people[i]->outcome)->name;
		record->people[i].code = people[i]->code;
		record->people[i].lid = session_known_lid(people[i]);
		if (people[i]->shape)
			record->row.detail = audit_detail(NULL, people[i]->shape);
	}
}

/*
 * Send one recorded request and wait for its answer; write the outcomes to the
 * people and how the request as a whole ended to *end.  False if nobody else
 * should be sent.
 */
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

/*
 * Make one request for at most CALL_MAX_PEOPLE people; *end is written only if
 * it has left.  False if nobody else should be sent.
 */
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
			session_skip_unsent(people, npeople, UNRECORDED);
			session_give_up(0, PointerGetDatum(attempt));
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(attempt));
	return go_on;
}

/* Make the requests for people who have permits, one after the other until one ends badly. */
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
			session_skip_unsent(people + done, npeople - done, UNRECORDED);
			return;
		}
		session_skip_people(people + done, npeople - done, &end, people[done - 1]->retry_at);
		budget_give_back(&attempt.permit, attempt.nbehind);
		return;
	}
}

/* Change the membership of people about whom the tables were read. */
static void
session_change_allowed(const WawpInstance *instance, WawpOperation operation, const char *group, const char *reason,
					   const SessionPolicy *policy, CallPerson **people, int npeople)
{
	BudgetGroup budget = {group, policy->adds_per_minute};
	SessionHeld held = session_held(policy, instance, group);
	BudgetPermit permit = {.granted = npeople};

	if (held.why)
	{
		for (int i = 0; i < npeople; i++)
			session_throttle(people[i], held.until, psprintf(SESSION_NOT_SENT "%s", held.why));
		return;
	}
	if (operation == WAWP_OP_ADD && npeople > 0)
		npeople = session_take_pace(instance, hold_find(policy->holds, instance->name, ""), &budget,
									people, npeople, &permit);
	session_change_all(instance, operation, group, reason, &permit, people, npeople);
}

/*
 * Change the membership of people who are all different and valid, and write
 * each one's outcome.  Network, API, holds and pace lead to outcomes; errors
 * are raised on cancel, and as 55000 or 54000 if the first request cannot be
 * recorded or a table stays locked.  Return the group's capacity; 0 unless it
 * is an add.
 */
int
session_membership(const WawpInstance *instance, WawpOperation operation, const char *group,
				   const char *reason, CallPerson **people, int npeople)
{
	SessionPolicy policy;
	int			allowed = npeople;

	if (npeople == 0)
		return 0;
	if (session_read_policy(instance, group, operation == WAWP_OP_ADD ? people : NULL, &allowed, &policy))
		session_change_allowed(instance, operation, group, reason, &policy, people, allowed);
	else if (session_is_past_first_request())
		session_skip_unsent(people, npeople, UNREAD);
	else
		session_refuse_unread();
	return policy.capacity;
}

/* True if a person is to be recorded as verified, or as one whom a list that is not understood could not settle. */
static bool
session_is_to_be_noted(const CallPerson *person, bool verified)
{
	return verified ? person->verified : !person->verified && person->shape && person->outcome == WAWP_ACCEPTED;
}

/* Record the next people who were verified, or could not be, as many as one record takes; return where to go on. */
static int
session_note_some_verified(MailboxRecord *record, CallPerson **people, int npeople, int from, bool verified)
{
	int			i;

	record->npeople = 0;
	for (i = from; i < npeople && record->npeople < MAILBOX_MAX_PEOPLE; i++)
	{
		MailboxPerson *person = &record->people[record->npeople];

		if (!session_is_to_be_noted(people[i], verified))
			continue;
		record->row.detail = verified ? NULL : audit_detail(people[i]->detail, people[i]->shape);
		person->jid = people[i]->jid.text;
		person->outcome = outcome_info(people[i]->outcome)->name;
		person->lid = session_known_lid(people[i]);
		record->npeople++;
	}
	if (record->npeople > 0 && !(mailbox_wait_for_room(wawp_audit_timeout) && mailbox_post_answered(record)))
		ereport(WARNING,
				(errmsg("the result of reading the member list could not be recorded")));
	return i;
}

/* Record what the member list has shown of people just added. */
void
session_note_verified(const WawpInstance *instance, const char *group, const char *reason,
					  CallPerson **people, int npeople)
{
	SessionAttempt attempt;

	session_begin_record(&attempt, instance, "add", group, reason);
	attempt.record.row.kind = "verified";
	for (int verified = 1; verified >= 0; verified--)
		for (int done = 0; done < npeople;)
			done = session_note_some_verified(&attempt.record, people, npeople, done, verified == 1);
}

/*
 * ---- other requests
 */

/* Raise the error for a request that is held. */
static void
session_refuse_held(const SessionRequest *request, const Hold *hold)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not %s: the %s is held", endpoint_get(request->call.endpoint)->what,
					*hold->key.group ? "group" : "instance"),
			 errdetail("Reason: %s.", hold->reason),
			 hold->until
			 ? errhint("It is tried again at %s.", clock_text(hold->until))
			 : errhint("wawp_resume() ends the hold.")));
}

/* Raise the error for a request whose token is held. */
static void
session_refuse_own_token(const SessionRequest *request, TimestampTz until)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not %s: %s", endpoint_get(request->call.endpoint)->what, OWN_TOKEN_HELD),
			 errdetail("It is tried again at %s.", clock_text(until)),
			 errhint("ALTER USER MAPPING with another access_token, or wawp_resume(), ends the hold.")));
}

/*
 * Read the policy for a request; raise an error if the caller's own token or the
 * instance is held, or somebody has paused the group.  Other holds of a group
 * are about its members.
 */
static void
session_require_not_held(const WawpInstance *instance, const SessionRequest *request, SessionPolicy *policy)
{
	const Hold *hold;

	if (!session_read_policy(instance, request->group, NULL, NULL, policy))
		session_refuse_unread();
	if (policy->own_until != 0)
		session_refuse_own_token(request, policy->own_until);
	hold = session_active_hold(policy->holds, instance, request->group);
	if (hold && (*hold->key.group == '\0' || hold->until == 0))
		session_refuse_held(request, hold);
}

/* The arguments of session_find_suppressed, and whom it has found. */
typedef struct SuppressedSearch
{
	const SessionRequest *request;
	const char *person;			/* NULL: nobody */
	const char *reason;
} SuppressedSearch;

/* Find somebody who is to become a member but is not added to any group.  False: no lock is kept. */
static bool
session_find_suppressed(void *subject)
{
	SuppressedSearch *search = subject;
	MemoryContext caller = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_owner();

	session_limit_lock_waits();
	for (int i = 0; i < search->request->npeople && search->person == NULL; i++)
	{
		const char *person = search->request->people[i];
		const char *reason = suppression_reason_of_both(person, contact_lid(person), "");

		if (reason == NULL)
			continue;
		search->person = person;
		search->reason = MemoryContextStrdup(caller, reason);
	}
	spi_end_as_owner(&before);
	return false;
}

/* Raise an error if somebody who is to become a member is on the opt-out list for all groups. */
static void
session_require_nobody_suppressed(const SessionRequest *request)
{
	SuppressedSearch search = {.request = request};
	ErrorData  *error = subtransaction_try(session_find_suppressed, &search);

	if (error && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	if (error)
		session_refuse_unread();
	if (search.person)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not %s: one of the people is on the opt-out list", endpoint_get(request->call.endpoint)->what),
				 errdetail("\"%s\" is suppressed (%s).", search.person, search.reason),
				 errhint("Leave the person out; wawp_unsuppress() takes somebody off the list.")));
}

/* Take a permit for each person of the request, into the attempt; if one is missing, return all and raise an error. */
static void
session_take_all_or_none(SessionAttempt *attempt, const WawpInstance *instance, const SessionRequest *request,
						 const SessionPolicy *policy)
{
	BudgetGroup group = {request->group, 0};

	if (request->npeople == 0)
		return;
	attempt->permit = budget_take_adds(instance, hold_halvings(hold_find(policy->holds, instance->name, "")), &group, false,
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

/* Send a recorded request, wait for its answer and record that. */
static const HttpResult *
session_send_recorded(SessionAttempt *attempt, const WawpInstance *instance, const SessionRequest *request)
{
	const HttpResult *result;
	WawpOutcome outcome;

	session_note_left(attempt);
	result = call_send(instance, &request->call);
	outcome = request->judge(result, &attempt->record.row.group_jid);
	attempt->record.row.outcome = outcome_info(outcome)->name;
	for (int i = 0; i < attempt->record.npeople; i++)
		attempt->record.people[i].outcome = attempt->record.row.outcome;
	session_record_answered(attempt, result->status);
	if (result->fate == HTTP_NOT_SENT && attempt->npaced > 0)
		budget_give_back(&attempt->permit, attempt->npaced);
	return result;
}

/*
 * Send a request that is recorded but is no change of membership, and return
 * its answer, whatever that is.  Errors: 53400 held or no permit, 55000 it
 * cannot be recorded, and cancel.
 */
const HttpResult *
session_send(const WawpInstance *instance, const SessionRequest *request)
{
	const HttpResult *volatile result = NULL;
	SessionAttempt attempt;
	SessionPolicy policy;

	session_begin_record(&attempt, instance, request->action, request->group, NULL);
	attempt.record.row.detail = psprintf("{\"call\": \"%s\"}", endpoint_get(request->call.endpoint)->what);
	attempt.record.npeople = request->npeople;
	for (int i = 0; i < request->npeople; i++)
		attempt.record.people[i].jid = request->people[i];
	session_check_record(&attempt.record);
	session_require_not_held(instance, request, &policy);
	if (request->spends_pace)
	{
		session_require_nobody_suppressed(request);
		session_take_all_or_none(&attempt, instance, request, &policy);
	}
	PG_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(&attempt));
	{
		if (!session_record_sent(&attempt))
			session_refuse_unrecorded(MAILBOX_LATE);
		result = session_send_recorded(&attempt, instance, request);
	}
	PG_END_ENSURE_ERROR_CLEANUP(session_give_up, PointerGetDatum(&attempt));
	return result;
}

/* Judge the answer to a message, for the record. */
WawpOutcome
session_judge_sent(const HttpResult *result, const char **group pg_attribute_unused())
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);

	for (int i = 0; i < reading.npeople; i++)
		if (reading.people[i].outcome != WAWP_ACCEPTED)
			return reading.people[i].outcome;
	return reading.npeople > 0 ? WAWP_ACCEPTED : reading.whole.outcome;
}
