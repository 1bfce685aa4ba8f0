/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *	  From the queue to the API and back.
 *
 * One cycle is one transaction: what ended is settled and recorded, what is
 * due is claimed and recorded as sent; it commits; only then do requests
 * leave.  While bytes are on the wire there is no transaction.  The worker
 * opens and closes the transactions; this file never does.
 *
 * A flight is one request and the intents it is made for.  It is prepared in
 * the transaction that claims them, sent after its commit, and kept until each
 * of its rows is settled.  When a transaction aborts, what it prepared is
 * thrown away (the rows are queued again by the abort) and what it settled is
 * settled again by the next.
 *
 * Memory: a flight and all that belongs to it live in a context of its own;
 * what one cycle needs lives in SPI's.
 *
 * IDENTIFICATION
 *	  src/dispatch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "audit.h"
#include "budget.h"
#include "call.h"
#include "clock.h"
#include "common/pg_prng.h"
#include "contact.h"
#include "dispatch.h"
#include "guc.h"
#include "hold.h"
#include "intent.h"
#include "lanes.h"
#include "limiter.h"
#include "miscadmin.h"
#include "retry.h"
#include "text.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "compat.h"

/* A row that a user has locked, or whose person is in flight, is tried again. */
#define LOCKED_RETRY_MS 200
/* An instance that cannot be resolved (dropped, no token, host not allowed). */
#define UNRESOLVED_HOLD_MS (60 * 1000)
/* "parked only if the worker died twice while serving it alone" */
#define MAX_LONE_CRASHES 1
/* What one lane lacks, all lack. */
#define SHORTAGE_MS 1000
/* CALL wawp_drain() does not wait for what is due later than that. */
#define DRAIN_HORIZON_MS (60 * 1000)
#define NOTES_AT_ONCE 500

typedef enum FlightStage
{
	FLIGHT_PREPARED,			/* claimed by the transaction under way */
	FLIGHT_CLAIMED,				/* that has committed; not sent yet */
	FLIGHT_SENT,
	FLIGHT_JUDGED				/* outcomes known, rows to be settled */
} FlightStage;

typedef struct Flight
{
	dlist_node	node;
	FlightStage stage;
	MemoryContext memory;
	Lane	   *lane;
	WawpInstance *instance;
	WawpOperation operation;
	LimiterKey	limit;
	int64		each;			/* what one took of the pace, in us */
	bool		is_paced;
	bool		is_over;		/* the request ended; its slots are free */
	char		request_id[40];
	int64		sent_at;		/* monotonic ms */
	int			duration_ms;
	int			http_status;
	int			retry_after;
	HttpTransfer *transfer;
	bool		recorded;		/* "answered" records are committed */
	bool		recording;		/* ... are in the transaction under way */
	int			n;
	Intent	   *intents;
	CallPerson *people;
	CallPerson **sent;			/* &people[i] */
	bool	   *settled;		/* committed */
	bool	   *settling;		/* in the transaction under way */
} Flight;

DispatchPermit dispatch_permit;

static dlist_head flights = DLIST_STATIC_INIT(flights);
static int	in_flight;			/* requests claimed or under way */
static bool isolating;			/* one row or lane at a time may fail */
static int	isolated_failures;	/* in the cycle under way */
static int64 short_until;		/* monotonic ms: the disk is full, or memory */
static bool notes_left;			/* of what sessions did */
static bool doubt_left;			/* rows in doubt that somebody has locked */
static DispatchWake told;
static int	careful;			/* rows in doubt that are served one at a time */
static bool retry_soon;
static bool look_at_dependents; /* something ended otherwise than well */
static int64 next_expiry = LANES_NEVER; /* monotonic ms */

static void recover_rest(void);
static void hold_restored_copy(void);

static void drop_flight(Flight *flight);

/*
 * ---- isolation
 */

/* Drops flights of this transaction that were prepared after a mark. */
static void
drop_prepared_after(dlist_node *mark)
{
	dlist_mutable_iter iter;
	bool		is_after = (mark == &flights.head);

	dlist_foreach_modify(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (is_after && flight->stage == FLIGHT_PREPARED)
			drop_flight(flight);
		else if (iter.cur == mark)
			is_after = true;
	}
}

/*
 * Does one piece of a cycle.  Once a cycle has failed, each piece is in a
 * subtransaction of its own, so that what fails is left for later and holds up
 * nothing else; without a failure there is none of that cost.  False: it
 * failed and was undone.
 */
static bool
run_isolated(void (*work) (void *), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	dlist_node *volatile mark;
	volatile bool succeeded = false;

	if (!isolating)
	{
		work(arg);
		return true;
	}
	mark = dlist_is_empty(&flights) ? &flights.head : dlist_tail_node(&flights);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
		succeeded = true;
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_INSUFFICIENT_RESOURCES)
			short_until = clock_monotonic_ms() + SHORTAGE_MS;
		MemoryContextSwitchTo(caller);
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		audit_forget_numbers();
		drop_prepared_after(mark);
		isolated_failures++;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return succeeded;
}

/*
 * ---- holds
 */

static const Hold *
find_hold(List *holds, const LaneKey *lane, bool whole_instance)
{
	return hold_find(holds, NameStr(lane->instance), whole_instance ? "" : lane->group);
}

static int64
monotonic_of(TimestampTz at)
{
	return clock_monotonic_ms() + Max((at - GetCurrentTimestamp()) / 1000, 0);
}

/* When a lane may be served as far as holds go; LANES_NEVER when not by itself. */
static int64
held_until(List *holds, const LaneKey *lane)
{
	int64		until = 0;

	for (int whole = 0; whole < 2; whole++)
	{
		const Hold *hold = find_hold(holds, lane, whole != 0);

		if (hold == NULL)
			continue;
		if (hold->until == 0)
			return LANES_NEVER;
		if (hold->until > GetCurrentTimestamp())
			until = Max(until, monotonic_of(hold->until));
	}
	return until;
}

static void
record_hold(const Flight *flight, const char *group, WawpOutcome outcome)
{
	AuditRecord record = {
		.kind = "held",
		.instance = flight->instance->name,
		.instance_id = flight->instance->instance_id,
		.group_jid = *group ? group : NULL,
		.outcome = outcome_info(outcome)->name,
		.request_id = flight->request_id,
		.duration_ms = -1
	};

	audit_write(&record);
}

/* Holds the flight's lane or instance; "said once" means one record. */
static void
hold_flight(const Flight *flight, List *holds, WawpOutcome outcome, bool whole_instance)
{
	const char *group = whole_instance ? "" : flight->lane->key.group;
	const Hold *hold = find_hold(holds, &flight->lane->key, whole_instance);
	int			failures = hold ? hold->failures + 1 : 1;
	int64		delay = retry_delay_ms(outcome, failures, flight->retry_after,
									   pg_prng_double(&pg_global_prng_state));

	/* paused by hand, or one of several that met the same refusal */
	if (hold && (hold->until == 0 || hold->until > GetCurrentTimestamp()))
		return;
	if (hold_set(flight->instance->name, group, outcome_info(outcome)->name,
				 GetCurrentTimestamp() + Max(delay, 0) * 1000, failures))
		record_hold(flight, group, outcome);
}

/*
 * ---- claiming
 */

/* The role an intent was asked for by; it may be gone since. */
static Oid
requester_oid(const char *role)
{
	Oid			roleid = get_role_oid(role, true);

	if (!OidIsValid(roleid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the role \"%s\" that asked for it does not exist any more", role)));
	return roleid;
}

/*
 * Calls something that may raise and returns its error instead; the
 * transaction goes on.
 */
static ErrorData *
resolve_instance(const LaneKey *lane, const char *role, WawpInstance **instance)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		*instance = role
			? instance_resolve(NameStr(lane->instance), requester_oid(role))
			: instance_describe(NameStr(lane->instance));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

static AuditRecord
record_of(const Flight *flight, int i, const char *kind)
{
	const Intent *intent = &flight->intents[i];
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(intent->lane.instance),
		.instance_id = flight->instance ? flight->instance->instance_id : intent->instance_id,
		.group_jid = intent->lane.group,
		.contact_id = contact_id(intent->jid.text),
		.intent_id = intent->id,
		.batch_id = intent->batch_id,
		.attempt = intent->attempts,
		.action = intent_action_name(intent->action),
		.login_role = intent->login_role,
		.requested_by = intent->requested_by,
		.actor = intent->actor,
		.application_name = intent->application_name,
		.client_addr = intent->client_addr,
		.origin = intent->origin,
		.reason = intent->reason,
		.request_id = flight->request_id,
		.duration_ms = -1
	};

	return record;
}

static Flight *
make_flight(Lane *lane, int limit)
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

static char *
keep_text(Flight *flight, const char *text)
{
	return text ? MemoryContextStrdup(flight->memory, text) : NULL;
}

/* Claimed strings live in SPI's memory: keeps them with the flight. */
static void
keep_intents(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		Intent	   *intent = &flight->intents[i];

		intent->instance_id = keep_text(flight, intent->instance_id);
		intent->requested_by = keep_text(flight, intent->requested_by);
		intent->login_role = keep_text(flight, intent->login_role);
		intent->actor = keep_text(flight, intent->actor);
		intent->application_name = keep_text(flight, intent->application_name);
		intent->client_addr = keep_text(flight, intent->client_addr);
		intent->origin = keep_text(flight, intent->origin);
		intent->reason = keep_text(flight, intent->reason);
		intent->batch_id = keep_text(flight, intent->batch_id);
		flight->people[i].jid = intent->jid;
		flight->sent[i] = &flight->people[i];
	}
}

/* The request is over: others may use its place, whatever becomes of its rows. */
static void
end_request(Flight *flight)
{
	if (flight->is_over)
		return;
	flight->is_over = true;
	flight->lane->instance->in_flight--;
	in_flight--;
	careful = Max(careful - flight->n, 0);
	lanes_unpark(flight->lane->instance, clock_monotonic_ms());
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

/*
 * Claimed, but it cannot be sent as its requester: says so in the rows.  A
 * permission that is gone ends them; what may be mended (no token, no server)
 * is tried again later and meanwhile in nobody's way.
 */
static void
refuse_claim(Flight *flight, const ErrorData *error)
{
	bool		is_permission = error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE;
	IntentChange change = {
		.state = is_permission ? STATE_FAILED : STATE_QUEUED,
		.detail = error->message,
		.next_attempt_at = is_permission ? 0 : GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000),
		.give_attempt_back = true
	};

	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = record_of(flight, i, "refused");

		if (is_permission)
			audit_write(&record);
		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	look_at_dependents |= is_permission;
}

/* What keeps a row that no trigger has looked at (a restored one) from going. */
static const char *
intent_problem(const Intent *intent)
{
	if (!jid_is_group_text(intent->lane.group, strlen(intent->lane.group)))
		return "the group is none";
	if (intent->jid.kind != JID_PERSON && intent->jid.kind != JID_LID)
		return "the person is none";
	return intent->action == ACTION_INVITE ? "invitations are not sent by this version" : NULL;
}

/* Fails the rows that make no sense; false when there are any: claim again. */
static bool
is_sendable(Flight *flight)
{
	bool		all = true;

	for (int i = 0; i < flight->n; i++)
		all &= intent_problem(&flight->intents[i]) == NULL;
	for (int i = 0; i < flight->n && !all; i++)
	{
		const char *problem = intent_problem(&flight->intents[i]);
		IntentChange change = {
			.state = problem ? STATE_FAILED : STATE_QUEUED,
			.has_outcome = problem != NULL,
			.outcome = WAWP_BAD_IDENTIFIER,
			.detail = problem,
			.give_attempt_back = true
		};

		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	look_at_dependents |= !all;
	return all;
}

/*
 * Claims what the lane's head is, resolves it as its requester and records it
 * as sent.  False when the lane has nothing that can go now.
 */
static bool
claim_flight(Lane *lane, const WawpInstance *described, const LimiterGrant *grant, int *claimed)
{
	int			limit = Max(grant->granted, 1);
	Flight	   *flight = make_flight(lane, limit);
	MemoryContext caller;
	ErrorData  *error;

	flight->n = *claimed = intent_claim(&lane->key, limit, grant->granted > 0, flight->intents);
	if (flight->n == 0)
	{
		MemoryContextDelete(flight->memory);
		return false;
	}
	keep_intents(flight);
	if (!is_sendable(flight))
	{
		MemoryContextDelete(flight->memory);
		*claimed = 0;
		return true;
	}
	flight->operation = intent_operation(flight->intents[0].action);
	strlcpy(flight->request_id,
			DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0))),
			sizeof(flight->request_id));
	caller = MemoryContextSwitchTo(flight->memory);
	error = resolve_instance(&lane->key, flight->intents[0].requested_by, &flight->instance);
	MemoryContextSwitchTo(caller);
	if (error)
	{
		refuse_claim(flight, error);
		MemoryContextDelete(flight->memory);
		*claimed = 0;
		return true;
	}
	flight->is_paced = (flight->operation == WAWP_OP_ADD);
	flight->limit = budget_key(described, LIMIT_ADD);
	flight->each = grant->each;
	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = record_of(flight, i, "sent");

		audit_write(&record);
	}
	/* from here on it outlives the transaction */
	MemoryContextSetParent(flight->memory, TopMemoryContext);
	dlist_push_tail(&flights, &flight->node);
	lane->in_flight++;
	lane->instance->in_flight++;
	in_flight++;
	dispatch_permit.requests--;
	if (!flight->is_paced)
		*claimed = 0;
	return true;
}

/* Nothing of the lane can go now: when is it worth another look? */
static void
postpone_lane(Lane *lane)
{
	TimestampTz due = intent_next_due(&lane->key);
	int64		now = clock_monotonic_ms();

	if (due == 0 && lane->in_flight == 0)
		lanes_forget(lane);
	else if (due == 0)
		lanes_schedule(lane, LANES_NEVER);
	else if (due <= GetCurrentTimestamp())
		lanes_schedule(lane, now + LOCKED_RETRY_MS);
	else
		lanes_schedule(lane, monotonic_of(due));
}

/* Permits for additions that may leave now. */
static LimiterGrant
take_adds(const WawpInstance *instance, const Hold *on_instance)
{
	TimestampTz quiet = instance_quiet_until(instance, GetCurrentTimestamp());
	LimiterGrant none = {0, 0, 0};

	if (quiet == 0)
		return budget_take_for_worker(instance, on_instance);
	none.next_at = monotonic_of(quiet) * 1000;
	return none;
}

/* Serves one due lane: at most one request. */
static void
serve_lane(Lane *lane, List *holds)
{
	int64		held = held_until(holds, &lane->key);
	WawpInstance *described;
	ErrorData  *error;
	LimiterKey	key;
	LimiterGrant grant;
	int			used = 0;
	bool		served;

	if (held > 0)
	{
		lanes_schedule(lane, held);
		return;
	}
	error = resolve_instance(&lane->key, NULL, &described);
	if (error)
	{
		hold_set(NameStr(lane->key.instance), lane->key.group, error->message,
				 GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000), 1);
		lanes_schedule(lane, clock_monotonic_ms() + UNRESOLVED_HOLD_MS);
		return;
	}
	if (lane->instance->in_flight >= described->concurrency)
	{
		lanes_park(lane);
		return;
	}
	/* an empty lane does not ask: the next token would be kept from sessions, and from a lane that has use for it */
	if (lane->is_fresh && described->adds_per_minute > 0 && intent_next_due(&lane->key) == 0)
	{
		postpone_lane(lane);
		return;
	}
	key = budget_key(described, LIMIT_ADD);
	grant = take_adds(described, find_hold(holds, &lane->key, true));
	if (grant.granted == 0 && !lane->is_fresh)
	{
		lanes_schedule(lane, (grant.next_at + 999) / 1000);
		return;
	}
	served = claim_flight(lane, described, &grant, &used);
	if (grant.granted > used)
		limiter_refund(&key, grant.each, grant.granted - used);
	if (served)
		lanes_schedule(lane, clock_monotonic_ms());
	else if (grant.granted == 0)
	{
		lane->is_fresh = false;
		lanes_schedule(lane, (grant.next_at + 999) / 1000);
	}
	else
		postpone_lane(lane);
}

static void
take_up_wake(void)
{
	int64		now = clock_monotonic_ms();
	ListCell   *lc;

	for (int i = 0; i < told.nlanes; i++)
		lanes_note(&told.lanes[i], now);
	if (!told.rescan)
		return;
	hold_start_anew();
	foreach(lc, intent_lanes())
		lanes_note(lfirst(lc), now);
}

/* May another request leave, as far as the worker as a whole goes? */
static bool
may_claim(void)
{
	bool		is_permitted = wawp_worker_on ||
		(dispatch_permit.active && dispatch_permit.requests > 0 &&
		 dispatch_permit.until > clock_monotonic_ms());

	return is_permitted && short_until <= clock_monotonic_ms() && in_flight < (careful > 0 ? 1 : wawp_max_in_flight);
}

/* What expired, and what waits for something that did not succeed. */
static void
end_what_cannot_be(void)
{
	bool		anything_new = told.rescan || told.nlanes > 0;
	TimestampTz expiry;

	if (anything_new || next_expiry <= clock_monotonic_ms())
	{
		bool		expired = intent_expire() > 0;

		look_at_dependents |= expired;
		notes_left |= expired;
		expiry = intent_next_expiry();
		next_expiry = expiry == 0 ? LANES_NEVER : monotonic_of(expiry) + 1;
	}
	if (anything_new || look_at_dependents)
		look_at_dependents = intent_fail_dependents() > 0;
	retry_soon |= look_at_dependents;
}

/* What sessions did to the queue goes to the log. */
static void
record_notes(void)
{
	List	   *notes = audit_take_notes(NOTES_AT_ONCE);
	ListCell   *lc;

	foreach(lc, notes)
	{
		AuditNote  *note = lfirst(lc);

		note->record.contact_id = note->jid ? contact_id(note->jid) : 0;
		audit_write(&note->record);
	}
	retry_soon |= list_length(notes) == NOTES_AT_ONCE;
	notes_left = list_length(notes) == NOTES_AT_ONCE;
}

typedef struct LaneWork
{
	Lane	   *lane;
	List	   *holds;
} LaneWork;

static void
serve_lane_of(void *arg)
{
	LaneWork   *work = arg;

	serve_lane(work->lane, work->holds);
}

static void
claim_due(List *holds)
{
	LaneWork	work = {.holds = holds};

	while (may_claim() && (work.lane = lanes_take_due(clock_monotonic_ms())) != NULL)
		if (!run_isolated(serve_lane_of, &work))
			lanes_schedule(work.lane, clock_monotonic_ms() + LOCKED_RETRY_MS);
}

/*
 * ---- settling
 */

/* What an outcome makes of an intent: design.md, sections 5 and 6. */
static IntentChange
change_for(const Flight *flight, int i)
{
	const CallPerson *person = &flight->people[i];
	const Intent *intent = &flight->intents[i];
	IntentChange change = {
		.has_outcome = true,
		.outcome = person->outcome,
		.code = person->code,
		.detail = text_to_server(person->detail)
	};
	int64		delay;

	switch (outcome_info(person->outcome)->next)
	{
		case NEXT_DONE:
			change.state = STATE_DONE;
			return change;
		case NEXT_LOOK:

			/*
			 * Until the member list is looked at: accepted counts as done, and
			 * what was lost is asserted once more.
			 */
			change.state = person->outcome == WAWP_ACCEPTED ? STATE_DONE
				: intent->was_lost ? STATE_FAILED : STATE_QUEUED;
			break;
		case NEXT_WAIT:
			change.state = STATE_PENDING_APPROVAL;
			return change;
		case NEXT_INVITE:		/* no invitations yet */
		case NEXT_FAIL:
			change.state = STATE_FAILED;
			return change;
		case NEXT_RETRY:
			change.state = intent->attempts >= RETRY_MAX_ATTEMPTS ? STATE_FAILED : STATE_QUEUED;
			break;
		case NEXT_SLOW_DOWN:
		case NEXT_HOLD_LANE:
		case NEXT_HOLD_INSTANCE:
			change.state = STATE_QUEUED;
			change.give_attempt_back = true;
			return change;
	}
	delay = retry_delay_ms(person->outcome, intent->attempts, flight->retry_after,
						   pg_prng_double(&pg_global_prng_state));
	if (change.state == STATE_QUEUED)
		change.next_attempt_at = GetCurrentTimestamp() + Max(delay, 0) * 1000;
	return change;
}

static void
record_answers(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = record_of(flight, i, "answered");

		record.outcome = outcome_info(flight->people[i].outcome)->name;
		record.http_status = flight->http_status;
		record.code = flight->people[i].code;
		record.duration_ms = flight->duration_ms;
		audit_write(&record);
	}
	flight->recording = true;
}

static void
settle_row(Flight *flight, int i, List *holds)
{
	IntentChange change = change_for(flight, i);
	OutcomeNext next = outcome_info(flight->people[i].outcome)->next;
	ListCell   *lc;

	if (!intent_settle(flight->intents[i].id, STATE_SENDING, &change))
	{
		retry_soon = true;
		return;
	}
	flight->settling[i] = true;
	if (next == NEXT_HOLD_LANE)
		hold_flight(flight, holds, flight->people[i].outcome, false);
	else if (next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN ||
			 flight->people[i].outcome == WAWP_UNREACHABLE)
		hold_flight(flight, holds, flight->people[i].outcome, true);
	if (change.state == STATE_FAILED)
		look_at_dependents = true;
	if (change.state == STATE_DONE)
		foreach(lc, intent_dependent_lanes(flight->intents[i].id))
			lanes_note(lfirst(lc), clock_monotonic_ms());
}

static bool
did_succeed(const Flight *flight)
{
	OutcomeNext next = outcome_info(flight->people[0].outcome)->next;

	return next == NEXT_DONE || flight->people[0].outcome == WAWP_ACCEPTED;
}

static void
settle_flight(Flight *flight, List *holds)
{
	if (!flight->recorded && !flight->recording)
	{
		record_answers(flight);
		if (did_succeed(flight))
			hold_ease_after_success(flight->instance->name, flight->lane->key.group);
	}
	for (int i = 0; i < flight->n; i++)
		if (!flight->settled[i] && !flight->settling[i])
			settle_row(flight, i, holds);
}

typedef struct FlightWork
{
	Flight	   *flight;
	List	   *holds;
} FlightWork;

static void
settle_flight_of(void *arg)
{
	FlightWork *work = arg;

	settle_flight(work->flight, work->holds);
}

/* Settles a flight, or leaves it as it was for a later cycle. */
static void
settle_or_postpone(Flight *flight, List *holds)
{
	FlightWork	work = {flight, holds};

	if (run_isolated(settle_flight_of, &work))
		return;
	flight->recording = false;
	memset(flight->settling, 0, sizeof(bool) * flight->n);
	retry_soon = true;
}

/* Reads the answers that came; memory only. */
static void
judge_flights(void)
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
		(void) call_end_membership(flight->instance, flight->operation, result, flight->sent, flight->n, &end);
		MemoryContextSwitchTo(caller);
		flight->duration_ms = (int) (clock_monotonic_ms() - flight->sent_at);
		flight->http_status = result->status;
		flight->retry_after = result->retry_after;
		if (result->fate == HTTP_NOT_SENT && flight->is_paced)
			limiter_refund(&flight->limit, flight->each, flight->n);
		flight->stage = FLIGHT_JUDGED;
		end_request(flight);
	}
}

/*
 * ---- the cycle, as the worker drives it
 */

void
dispatch_init(void)
{
	lanes_init();
	told.rescan = true;
}

/* A copy of a database must not add people by itself: wawp_resume() decides. */
static void
hold_restored_copy(void)
{
	ListCell   *lc;

	if (!identity_take_over())
		return;
	foreach(lc, instance_names())
		hold_set(lfirst(lc), "", HOLD_RESTORED_COPY, 0, 0);
	ereport(LOG,
			(errmsg("this database is a copy, its Wawp instances are held"),
			 errhint("wawp_resume() makes an instance be served here.")));
}

/* Ids of what this worker is sending, as an array's text. */
static const char *
ids_in_flight(void)
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

/* Rows in doubt that somebody had locked when this worker started. */
static void
recover_rest(void)
{
	(void) intent_recover(MAX_LONE_CRASHES, ids_in_flight(), &doubt_left);
	retry_soon |= doubt_left;
	told.rescan = true;
}

/* What left before this server started counts: the limiter is new. */
static void
replay_sends(void)
{
	ListCell   *lc;

	foreach(lc, audit_recent_sends())
	{
		const AuditSent *sent = lfirst(lc);
		LaneKey		lane;
		WawpInstance *instance;
		LimiterKey	key;

		memset(&lane, 0, sizeof(lane));
		namestrcpy(&lane.instance, sent->instance);
		if (resolve_instance(&lane, NULL, &instance) != NULL)
			continue;
		key = limiter_key(instance->base.host, sent->instance_id, LIMIT_ADD, NULL);
		if (sent->age_us < 0)
			limiter_replay_day(&key, sent->count);
		else
			limiter_replay(&key, pace_rate(instance->adds_per_minute, 0), sent->age_us);
	}
}

/* What was in doubt when the last worker ended; in a transaction. */
void
dispatch_recover(void)
{
	hold_restored_copy();
	careful = intent_recover(MAX_LONE_CRASHES, "{}", &doubt_left);
	if (shmem_needs_replay(MyDatabaseId))
		replay_sends();
}

/* The worker was told to end; in a transaction. */
void
dispatch_note_orderly_end(void)
{
	intent_note_orderly_end(ids_in_flight());
}

/* Takes up what the worker was told; forgotten only at the next commit. */
void
dispatch_tell(const DispatchWake *wake)
{
	told.rescan |= wake->rescan;
	if (told.nlanes + wake->nlanes > SHMEM_WAKE_LANES)
		told.rescan = true;
	else
	{
		memcpy(told.lanes + told.nlanes, wake->lanes, sizeof(LaneKey) * wake->nlanes);
		told.nlanes += wake->nlanes;
	}
}

/* Is there a reason for a transaction now? */
bool
dispatch_has_work(void)
{
	dlist_iter	iter;

	judge_flights();
	if (told.rescan || told.nlanes > 0 || retry_soon || next_expiry <= clock_monotonic_ms())
		return true;
	if (may_claim() && lanes_next_at() <= clock_monotonic_ms())
		return true;
	dlist_foreach(iter, &flights)
		if (dlist_container(Flight, node, iter.cur)->stage == FLIGHT_JUDGED)
			return true;
	return false;
}

/* The body of a cycle's transaction; the caller acts as the owner, in SPI. */
void
dispatch_settle_and_claim(void)
{
	List	   *holds = hold_read_all();
	dlist_iter	iter;

	retry_soon = false;
	isolated_failures = 0;
	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (flight->stage == FLIGHT_JUDGED)
			settle_or_postpone(flight, holds);
	}
	hold_restored_copy();
	end_what_cannot_be();
	if (told.rescan || told.nlanes > 0 || notes_left)
		record_notes();
	if (doubt_left)
		recover_rest();
	take_up_wake();
	holds = hold_read_all();
	claim_due(holds);
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
dispatch_committed(void)
{
	dlist_mutable_iter iter;

	told.rescan = false;
	told.nlanes = 0;
	isolating = isolated_failures > 0;
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
dispatch_aborted(void)
{
	dlist_mutable_iter iter;

	audit_forget_numbers();
	told.rescan = true;
	isolating = true;
	dlist_foreach_modify(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		flight->recording = false;
		memset(flight->settling, 0, sizeof(bool) * flight->n);
		if (flight->stage != FLIGHT_PREPARED)
			continue;
		if (flight->is_paced)
			limiter_refund(&flight->limit, flight->each, flight->n);
		drop_flight(flight);
	}
}

/* What was claimed leaves now: no transaction is open. */
void
dispatch_send(void)
{
	dlist_iter	iter;

	Assert(!IsTransactionState());
	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);
		MemoryContext caller;

		if (flight->stage != FLIGHT_CLAIMED)
			continue;
		caller = MemoryContextSwitchTo(flight->memory);
		flight->sent_at = clock_monotonic_ms();
		flight->transfer = call_begin_membership(flight->instance, flight->operation,
												 flight->lane->key.group, flight->sent, flight->n);
		flight->stage = FLIGHT_SENT;
		MemoryContextSwitchTo(caller);
	}
}

/* Has a request ended that no cycle has seen yet? */
bool
dispatch_has_answers(void)
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

/* Has a permit done what it can: nothing under way, nothing due in time? */
bool
dispatch_is_drained(void)
{
	int64		horizon = Min(dispatch_permit.until, clock_monotonic_ms() + DRAIN_HORIZON_MS);

	return in_flight == 0 && !told.rescan && told.nlanes == 0 && !retry_soon &&
		(dispatch_permit.requests <= 0 || lanes_next_at() > horizon);
}

int
dispatch_in_flight(void)
{
	return in_flight;
}

/* When the next cycle is due by itself, in monotonic ms. */
int64
dispatch_next_at(void)
{
	if (retry_soon)
		return clock_monotonic_ms() + LOCKED_RETRY_MS;
	if (short_until > clock_monotonic_ms())
		return Min(next_expiry, short_until);
	return Min(next_expiry, may_claim() ? lanes_next_at() : LANES_NEVER);
}
