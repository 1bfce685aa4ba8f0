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
#include "follow.h"
#include "guc.h"
#include "hold.h"
#include "intent.h"
#include "lanes.h"
#include "limiter.h"
#include "membership.h"
#include "miscadmin.h"
#include "retry.h"
#include "roster.h"
#include "settings.h"
#include "text.h"
#include "trail.h"
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
/* What was in doubt is known by then, or waits for something else. */
#define LONGEST_CARE_MS (5 * 60 * 1000)
/* What one lane lacks, all lack. */
#define SHORTAGE_MS 1000
/* CALL wawp_drain() does not wait for what is due later than that. */
#define DRAIN_HORIZON_MS (60 * 1000)
/* Who is before the last one claimed, and could not go then, waits that long. */
#define HEAD_IS_KNOWN_MS 1000
#define NOTES_AT_ONCE 500
#define ENDS_AT_ONCE 500
#define CHECK_RETRY_MS 1000
/* An invitation whose link could not be had. */
#define LINK_RETRY_MS (15 * 1000)
/* A welcome that could not be sent, or has to wait. */
#define WELCOME_RETRY_MS (15 * 1000)
#define DEFAULT_INVITE_TEXT "You are invited to the WhatsApp group \"{group}\": {link}"

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
	BudgetPermit permit;
	bool		is_paced;
	bool		is_over;		/* the request ended; its slots are free */
	char		request_id[40];
	int64		sent_at;		/* monotonic ms */
	int			duration_ms;
	int			http_status;
	int			retry_after;
	const char *text;			/* of an invitation or a welcome; UTF-8 */
	TimestampTz welcomed_at;	/* a welcome: what marks the people it is for */
	HttpTransfer *transfer;
	bool		recorded;		/* "answered" records are committed */
	bool		recording;		/* ... are in the transaction under way */
	int			n;				/* 0: a welcome; intents[0] says as whom */
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
static int64 next_end = 0;		/* of a membership; monotonic ms */
static int64 next_welcome = 0;	/* likewise */
static int64 short_until;		/* monotonic ms: the disk is full, or memory */
static bool notes_left;			/* of what sessions did */
static bool doubt_left;			/* rows in doubt that somebody has locked */
static DispatchWake told;
static int	careful;			/* rows in doubt: meanwhile one request at a time */
static char *doubts;			/* their ids, as an array's text */
static int64 careful_until;		/* monotonic ms: what is held must not hold all up */
static bool claims_first;		/* looks and claims take turns where there is one slot */
static bool retry_soon;
static MemoryContext cycle_memory;	/* of the cycle under way */
static List *resolved = NIL;	/* instances, in it */
static bool look_at_dependents; /* something ended otherwise than well */
static bool has_dependents_is_known;	/* in the cycle under way: */
static bool has_dependents;		/* does any intent wait for another? */
static int64 next_expiry = LANES_NEVER; /* monotonic ms */

static void recover_rest(void);
static bool is_serving(void);
static bool has_slot(void);
static void note_done(int64 id);
static void note_until(TimestampTz until);
static void note_end(const Intent *intent, IntentState state);
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
record_hold(const LaneKey *lane, const char *group, WawpOutcome outcome, const char *request_id)
{
	AuditRecord record = {
		.kind = "held",
		.instance = NameStr(lane->instance),
		.group_jid = *group ? group : NULL,
		.outcome = outcome_info(outcome)->name,
		.request_id = request_id,
		.duration_ms = -1
	};

	audit_write(&record);
}

/*
 * Holds a lane or its instance; "said once" means one record.  retry_after: of
 * the answer, in seconds, or -1.
 */
static void
hold_lane(const LaneKey *lane, List *holds, WawpOutcome outcome, bool whole_instance,
		  int retry_after, const char *request_id)
{
	const char *group = whole_instance ? "" : lane->group;
	const Hold *hold = find_hold(holds, lane, whole_instance);
	int			failures = hold ? hold->failures + 1 : 1;
	int64		delay = retry_delay_ms(outcome, failures, retry_after, pg_prng_double(&pg_global_prng_state));

	/* paused by hand, or one of several that met the same refusal */
	if (hold && (hold->until == 0 || hold->until > GetCurrentTimestamp()))
		return;
	if (hold_set(NameStr(lane->instance), group, outcome_info(outcome)->name,
				 GetCurrentTimestamp() + Max(delay, 0) * 1000, failures))
		record_hold(lane, group, outcome, request_id);
}

static void
hold_flight(const Flight *flight, List *holds, WawpOutcome outcome, bool whole_instance)
{
	hold_lane(&flight->lane->key, holds, outcome, whole_instance, flight->retry_after, flight->request_id);
}

/* Holds what an outcome says is to be held; false: nothing. */
static bool
hold_for(const LaneKey *lane, List *holds, WawpOutcome outcome)
{
	OutcomeNext next = outcome_info(outcome)->next;
	bool		whole = next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN;

	if (!whole && next != NEXT_HOLD_LANE)
		return false;
	hold_lane(lane, holds, outcome, whole, -1, NULL);
	return true;
}

/*
 * ---- claiming
 */

/* An instance as a role has it in the cycle under way. */
typedef struct Resolved
{
	NameData	name;
	const char *role;			/* NULL: nobody's */
	WawpInstance *instance;
} Resolved;

static const Resolved *
find_resolved(const NameData *name, const char *role)
{
	ListCell   *lc;

	foreach(lc, resolved)
	{
		const Resolved *one = lfirst(lc);

		if (memcmp(&one->name, name, sizeof(NameData)) == 0 &&
			(role == NULL ? one->role == NULL : one->role && strcmp(one->role, role) == 0))
			return one;
	}
	return NULL;
}

/*
 * An instance as a role has it, in the current memory; the same throughout a
 * cycle, whose catalogs are read once.
 */
static ErrorData *
resolve_instance(const LaneKey *lane, const char *role, WawpInstance **instance)
{
	const Resolved *known = find_resolved(&lane->instance, role);
	ErrorData  *error = known ? NULL : instance_try(NameStr(lane->instance), role, instance);
	MemoryContext caller = CurrentMemoryContext;
	Resolved   *one;

	if (known)
		*instance = instance_copy(known->instance);
	else if (error == NULL && cycle_memory)
	{
		MemoryContextSwitchTo(cycle_memory);
		one = palloc(sizeof(Resolved));
		one->name = lane->instance;
		one->role = role ? pstrdup(role) : NULL;
		one->instance = instance_copy(*instance);
		resolved = lappend(resolved, one);
		MemoryContextSwitchTo(caller);
	}
	return error;
}

/* What was resolved lives until the cycle's memory goes; NULL: no cycle. */
static void
begin_resolving(MemoryContext memory)
{
	cycle_memory = memory;
	resolved = NIL;
}

static AuditRecord
record_of(const Flight *flight, int i, const char *kind)
{
	AuditRecord record = trail_record(&flight->intents[i], kind);

	if (flight->instance)
		record.instance_id = flight->instance->instance_id;
	record.request_id = flight->request_id;
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
		intent->detail = keep_text(flight, intent->detail);
	}
}

static void
name_people(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		const Intent *intent = &flight->intents[i];

		flight->people[i].jid = intent->known_as.kind == JID_PERSON ? intent->known_as : intent->jid;
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
	const IntentChange refusal = {
		.state = is_permission ? STATE_FAILED : STATE_QUEUED,
		.detail = error->message,
		.next_attempt_at = is_permission ? 0 : GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000),
		.give_attempt_back = true
	};

	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = record_of(flight, i, "refused");
		IntentChange change = refusal;

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
	return NULL;
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

/* What came of an attempt to serve a lane. */
typedef enum Served
{
	SERVED_NOTHING,				/* nothing there can go now */
	SERVED_SOME,				/* it may have more */
	SERVED_LATER,				/* it is scheduled */
	SERVED_ASKING				/* the same, for when something is known */
} Served;

static void
put_back(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		const Intent *intent = &flight->intents[i];
		IntentChange change = {
			.state = STATE_QUEUED,
			.has_outcome = intent->has_outcome,
			.outcome = intent->outcome,
			.code = intent->code,
			.detail = intent->detail,
			.give_attempt_back = true
		};

		(void) intent_settle(intent->id, STATE_SENDING, &change);
	}
}

/* May a request of this instance leave beside those under way? */
static bool
has_room(const Lane *lane, const WawpInstance *instance)
{
	return lane->instance->in_flight < instance->concurrency;
}

/* Asks the API something for a lane, as a role; false: it cannot be asked. */
static bool
ask(const LaneKey *lane, const char *role, const FollowNeed *need)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "wawp errand", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	WawpInstance *instance;
	ErrorData  *error = resolve_instance(lane, role, &instance);

	MemoryContextSwitchTo(caller);
	if (error)
	{
		MemoryContextDelete(memory);
		return false;
	}
	roster_ask(memory, lane, instance, need->question, need->person);
	return true;
}

/* What has to be known first is asked; the lane goes on with the answer. */
static Served
ask_first(Lane *lane, const Flight *flight, const WawpInstance *described, const FollowNeed *need)
{
	put_back(flight);
	if (roster_of(&lane->key)->asking & need->question)
		lanes_schedule(lane, LANES_NEVER);
	else if (!has_room(lane, described))
		lanes_park(lane);
	else if (need->question == ASK_EXISTS && budget_take_check(described).granted == 0)
		lanes_schedule(lane, clock_monotonic_ms() + CHECK_RETRY_MS);
	else if (ask(&lane->key, flight->intents[0].requested_by, need))
		lanes_schedule(lane, LANES_NEVER);
	else
		return SERVED_SOME;
	return SERVED_ASKING;
}

/* The group takes nobody: they go to the next group, or wait. */
static Served
turn_away(Lane *lane, const Flight *flight, List *holds, FollowGroup why, const GroupSettings *settings)
{
	WawpOutcome outcome = why == GROUP_FULL ? WAWP_GROUP_FULL : WAWP_NOT_ADMIN;
	LaneKey		next = lane->key;

	if (why != GROUP_FULL || settings->overflow_group == NULL)
	{
		put_back(flight);
		hold_lane(&lane->key, holds, outcome, false, -1, NULL);
		lanes_schedule(lane, clock_monotonic_ms() + LOCKED_RETRY_MS);
		return SERVED_LATER;
	}
	memset(next.group, 0, sizeof(next.group));
	strlcpy(next.group, settings->overflow_group, sizeof(next.group));
	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change = {
			.state = STATE_CANCELLED,
			.has_outcome = true,
			.outcome = WAWP_GROUP_FULL,
			.detail = "the person is queued for the overflow group already",
			.give_attempt_back = true
		};

		trail_write(&flight->intents[i], "policy", WAWP_GROUP_FULL, "goes to the overflow group");
		if (!intent_move(&flight->intents[i], next.group))
			(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	lanes_note(&next, clock_monotonic_ms());
	return SERVED_SOME;
}

/* Settles who need not be asked for; false: nobody is left, or something is to be asked. */
static bool
screen_people(Flight *flight, const WawpInstance *described, const GroupSettings *settings, FollowNeed *need,
			  bool *changed)
{
	const Roster *roster = roster_of(&flight->lane->key);
	int			kept = 0;

	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change;

		if (!follow_refuses(&flight->intents[i], roster, described, settings, need, &change))
		{
			flight->intents[kept++] = flight->intents[i];
			continue;
		}
		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
		follow_remember(&flight->intents[i], change.outcome, change.state);
		note_end(&flight->intents[i], change.state);
		*changed = true;
	}
	flight->n = kept;
	return kept > 0 && need->question == 0;
}

/* Looks at the claimed additions before they leave; SERVED_NOTHING: they may. */
static Served
screen_adds(Lane *lane, Flight *flight, const WawpInstance *described, List *holds, const GroupSettings *settings)
{
	FollowNeed	need = {0, NULL};
	FollowGroup group = follow_check_group(roster_of(&lane->key), settings, &need);
	bool		changed = false;

	if (group == GROUP_UNKNOWN)
		return ask_first(lane, flight, described, &need);
	need.question = 0;
	if (screen_people(flight, described, settings, &need, &changed))
	{
		if (group == GROUP_OPEN)
			return SERVED_NOTHING;
		return turn_away(lane, flight, holds, group, settings);
	}
	if (flight->n > 0)
		return ask_first(lane, flight, described, &need);
	return SERVED_SOME;
}

/* Invitations have a pace and a way of their own. */
static Served
pass_to_invitations(const Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		IntentChange change = {
			.state = STATE_INVITING,
			.next_attempt_at = GetCurrentTimestamp(),
			.give_attempt_back = true
		};

		(void) intent_settle(flight->intents[i].id, STATE_SENDING, &change);
	}
	lanes_look(&flight->lane->key, clock_monotonic_ms());
	return SERVED_SOME;
}

/* From now on the flight outlives the transaction; what it is for is recorded. */
static void
launch(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = record_of(flight, i, "sent");

		audit_write(&record);
	}
	MemoryContextSetParent(flight->memory, TopMemoryContext);
	dlist_push_tail(&flights, &flight->node);
	flight->lane->in_flight++;
	flight->lane->instance->in_flight++;
	in_flight++;
	dispatch_permit.requests--;
}

static ErrorData *
prepare_flight(Flight *flight)
{
	MemoryContext caller = MemoryContextSwitchTo(flight->memory);
	ErrorData  *error = resolve_instance(&flight->lane->key, flight->intents[0].requested_by, &flight->instance);

	MemoryContextSwitchTo(caller);
	strlcpy(flight->request_id,
			DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0))),
			sizeof(flight->request_id));
	return error;
}

/* What has to be settled before claimed intents may leave; SERVED_NOTHING: they may. */
static Served
screen(Lane *lane, Flight *flight, const WawpInstance *described, List *holds, const GroupSettings *settings)
{
	ErrorData  *error;

	if (!is_sendable(flight))
		return SERVED_SOME;
	if (flight->intents[0].action == ACTION_INVITE)
		return pass_to_invitations(flight);
	error = prepare_flight(flight);
	if (error)
	{
		refuse_claim(flight, error);
		return SERVED_SOME;
	}
	return flight->intents[0].action == ACTION_ADD
		? screen_adds(lane, flight, described, holds, settings) : SERVED_NOTHING;
}

/* The next of a lane, from behind the last or from the lane's head. */
static int
claim_one(Lane *lane, bool adds, Intent *claimed)
{
	int64		now = clock_monotonic_ms();
	int			n = 0;

	if (now < lane->head_until)
		n = intent_claim_behind(&lane->key, lane->head_priority, lane->head_id, adds, claimed);
	if (n == 0)
	{
		n = intent_claim(&lane->key, 1, adds, claimed);
		lane->head_until = now + HEAD_IS_KNOWN_MS;
	}
	if (n == 0)
	{
		lane->head_until = 0;
		return 0;
	}
	lane->head_priority = claimed->priority;
	lane->head_id = claimed->id;
	return n;
}

/*
 * Claims what the lane's head is, resolves it as its requester and records it
 * as sent.  *claimed: how many of the granted permits it takes.
 */
static Served
claim_flight(Lane *lane, const WawpInstance *described, List *holds, const GroupSettings *settings,
			 const BudgetPermit *permit, int *claimed)
{
	int			limit = Max(permit->granted, 1);
	Flight	   *flight = make_flight(lane, limit);
	Served		served;

	flight->n = limit == 1 ? claim_one(lane, permit->granted > 0, flight->intents)
		: intent_claim(&lane->key, limit, permit->granted > 0, flight->intents);
	if (flight->n == 0)
	{
		MemoryContextDelete(flight->memory);
		return SERVED_NOTHING;
	}
	keep_intents(flight);
	served = screen(lane, flight, described, holds, settings);
	if (served != SERVED_NOTHING)
	{
		MemoryContextDelete(flight->memory);
		return served;
	}
	name_people(flight);
	flight->operation = intent_operation(flight->intents[0].action);
	flight->is_paced = (flight->operation == WAWP_OP_ADD);
	flight->permit = *permit;
	*claimed = flight->is_paced ? flight->n : 0;
	if (flight->is_paced)
		roster_of(&lane->key)->added += flight->n;
	else
		roster_forget_list(&lane->key);
	launch(flight);
	return SERVED_SOME;
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
static BudgetPermit
take_adds(const WawpInstance *instance, const Hold *on_instance, const LaneKey *lane, const GroupSettings *settings)
{
	TimestampTz quiet = instance_quiet_until(instance, GetCurrentTimestamp());
	BudgetGroup group = {lane->group, settings->adds_per_minute};
	BudgetPermit none = {0};

	if (quiet == 0)
		return budget_take_adds(instance, on_instance, &group, true, instance->batch_size);
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
	GroupSettings settings;
	BudgetPermit permit;
	int			used = 0;
	Served		served;

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
	if (!has_room(lane, described))
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
	settings = settings_get(&lane->key);
	permit = take_adds(described, find_hold(holds, &lane->key, true), &lane->key, &settings);
	if (permit.granted == 0 && !lane->is_fresh)
	{
		lanes_schedule(lane, (permit.next_at + 999) / 1000);
		return;
	}
	served = claim_flight(lane, described, holds, &settings, &permit, &used);
	if (served == SERVED_ASKING)
		budget_put_off(&permit);
	else
		budget_give_back(&permit, permit.granted - used);
	if (served == SERVED_ASKING || served == SERVED_LATER)
		return;
	if (served == SERVED_SOME)
		lanes_schedule(lane, clock_monotonic_ms());
	else if (permit.granted == 0)
	{
		lane->is_fresh = false;
		lanes_schedule(lane, (permit.next_at + 999) / 1000);
	}
	else
		postpone_lane(lane);
}

/*
 * ---- following up
 */

/* Text of an invitation; UTF-8, of the flight's memory. */
static const char *
invitation_text(const Roster *roster, const GroupSettings *settings)
{
	const char *text = text_from_server(settings->invite_text ? settings->invite_text : DEFAULT_INVITE_TEXT);
	const TextPart parts[] = {{"{group}", roster->subject ? roster->subject : ""}, {"{link}", roster->link}};

	return text_fill(text, parts, lengthof(parts), CALL_MAX_MESSAGE_CHARS);
}

/* Claims an invitation and records it as sent; false when it is gone. */
static bool
launch_invitation(Lane *lane, const Intent *intent, const GroupSettings *settings, const BudgetPermit *permit)
{
	Flight	   *flight = make_flight(lane, 1);
	MemoryContext caller;
	ErrorData  *error;

	flight->n = 1;
	flight->intents[0] = *intent;
	flight->intents[0].action = ACTION_INVITE;
	keep_intents(flight);
	name_people(flight);
	error = prepare_flight(flight);
	if (error || !intent_begin_invite(intent))
	{
		if (error)
			intent_postpone(intent, GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000));
		MemoryContextDelete(flight->memory);
		return false;
	}
	caller = MemoryContextSwitchTo(flight->memory);
	flight->text = invitation_text(roster_of(&lane->key), settings);
	MemoryContextSwitchTo(caller);
	flight->operation = WAWP_OP_SEND;
	flight->is_paced = true;
	flight->permit = *permit;
	membership_note_invited(&lane->key, contact_id(intent->jid.text));
	roster_forget_link(&lane->key);
	launch(flight);
	return true;
}

/* The link could not be had: what kept it holds the lane, or it is tried again. */
static TimestampTz
after_failed_link(Lane *lane, Roster *roster, List *holds)
{
	roster->link_failed = false;
	(void) hold_for(&lane->key, holds, roster->link_outcome);
	return GetCurrentTimestamp() + LINK_RETRY_MS * INT64CONST(1000);
}

static void
give_up_invitation(const Intent *intent, const char *why)
{
	IntentChange change = {
		.state = STATE_FAILED,
		.has_outcome = true,
		.outcome = intent->has_outcome ? intent->outcome : WAWP_SUPPRESSED,
		.code = intent->code,
		.detail = why
	};

	(void) intent_settle(intent->id, STATE_INVITING, &change);
	trail_write(intent, "policy", change.outcome, why);
	follow_remember(intent, change.outcome, STATE_FAILED);
	note_end(intent, STATE_FAILED);
}

/* Invites somebody as far as policy, pace and what is known allow; when to go on. */
static TimestampTz
invite(Lane *lane, const Intent *intent, const WawpInstance *described, List *holds, FollowNeed *need)
{
	GroupSettings settings = settings_get(&lane->key);
	Roster	   *roster = roster_of(&lane->key);
	const char *no_invite = follow_no_invite(intent, described);
	TimestampTz quiet = instance_quiet_until(described, GetCurrentTimestamp());
	BudgetPermit permit;

	if (no_invite)
		give_up_invitation(intent, no_invite);
	else if (quiet != 0)
		return quiet;
	else if (roster->link_failed)
		return after_failed_link(lane, roster, holds);
	else if (roster->link == NULL)
		*need = (FollowNeed) {ASK_LINK, NULL};
	else if (!roster->has_info)
		*need = (FollowNeed) {ASK_INFO, NULL};
	else
	{
		permit = budget_take_invite(described);
		if (permit.granted == 0)
			return GetCurrentTimestamp() + Max(permit.next_at - clock_monotonic_us(), 0) + 1000;
		if (!launch_invitation(lane, intent, &settings, &permit))
			budget_give_back(&permit, 1);
	}
	return GetCurrentTimestamp();
}

/* In a copy of a database nothing is asked and nobody is looked for; wawp_resume() wakes all lanes. */
static bool
is_copy(List *holds, const LaneKey *lane)
{
	const Hold *hold = find_hold(holds, lane, true);

	return hold && strcmp(hold->reason, HOLD_RESTORED_COPY) == 0;
}

/* Looks at who waits in a lane, and goes on with them: at most one request. */
static void
follow_lane(Lane *lane, List *holds)
{
	int64		held = held_until(holds, &lane->key);
	WawpInstance *described;
	ErrorData  *error = resolve_instance(&lane->key, NULL, &described);
	FollowUp	up;
	ListCell   *lc;

	if (is_copy(holds, &lane->key))
		return;
	if (error)
	{
		lanes_look(&lane->key, clock_monotonic_ms() + UNRESOLVED_HOLD_MS);
		return;
	}
	if (!has_room(lane, described))
	{
		lanes_park_look(lane);
		return;
	}
	up = follow_look(&lane->key, described);
	look_at_dependents |= up.any_failed;
	foreach(lc, up.done)
		note_done(*(const int64 *) lfirst(lc));
	note_until(up.until);
	if (up.done != NIL)
		next_welcome = 0;
	/* who waited for them may go */
	if (up.done != NIL || up.any_failed || up.any_queued)
		lanes_note(&lane->key, clock_monotonic_ms());
	if (up.has_invitee && up.need.question == 0 && held == 0 && is_serving())
	{
		TimestampTz next = invite(lane, &up.invitee, described, holds, &up.need);

		up.role = up.invitee.requested_by;
		up.next = up.next == 0 ? next : Min(up.next, next);
	}
	else if (up.has_invitee && held > 0 && held != LANES_NEVER)
		lanes_look(&lane->key, held);
	if (up.need.question != 0 && !(roster_of(&lane->key)->asking & up.need.question) &&
		!ask(&lane->key, up.role, &up.need))
		up.next = GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000);
	if (roster_of(&lane->key)->asking == 0 && up.next != 0)
		lanes_look(&lane->key, Max(monotonic_of(up.next), clock_monotonic_ms() + 1));
}

/* A welcome leaves and comes back without intents, so its records are its own. */
static void
record_welcome(const Flight *flight, const char *kind)
{
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(flight->lane->key.instance),
		.instance_id = flight->instance->instance_id,
		.group_jid = flight->lane->key.group,
		.requested_by = flight->intents[0].requested_by,
		.origin = "welcome",
		.request_id = flight->request_id,
		.duration_ms = -1,
		.detail = "{\"call\": \"wawp_send_text\"}"
	};

	if (flight->stage == FLIGHT_JUDGED)
	{
		record.outcome = outcome_info(flight->people[0].outcome)->name;
		record.http_status = flight->http_status;
		record.code = flight->people[0].code;
		record.duration_ms = flight->duration_ms;
	}
	audit_write(&record);
}

/* Marks who is to be welcomed, and records the message as sent. */
static void
launch_welcome(Lane *lane, const BudgetPermit *permit)
{
	MembershipWelcome welcome;
	TimestampTz now = GetCurrentTimestamp();
	Flight	   *flight;
	TextPart	names = {"{names}", ""};
	MemoryContext caller;

	if (!membership_take_unwelcomed(&lane->key, now, &welcome))
	{
		budget_give_back(permit, 1);
		return;
	}
	flight = make_flight(lane, 1);
	flight->intents[0].requested_by = keep_text(flight, welcome.requested_by);
	if (prepare_flight(flight) != NULL)
	{
		budget_give_back(permit, 1);
		membership_give_welcome_back(&lane->key, now);
		MemoryContextDelete(flight->memory);
		return;
	}
	caller = MemoryContextSwitchTo(flight->memory);
	names.text = welcome.names;
	flight->text = text_fill(text_from_server(welcome.text), &names, 1, CALL_MAX_MESSAGE_CHARS);
	MemoryContextSwitchTo(caller);
	flight->welcomed_at = now;
	flight->operation = WAWP_OP_SEND;
	flight->is_paced = true;
	flight->permit = *permit;
	record_welcome(flight, "sent");
	launch(flight);
}

/* Welcomes those who joined a group, as far as pace and holds allow; when to look again. */
static int64
welcome(const LaneKey *key, List *holds)
{
	int64		later = clock_monotonic_ms() + WELCOME_RETRY_MS;
	WawpInstance *described;
	TimestampTz quiet;
	BudgetPermit permit;
	Lane	   *lane;

	if (held_until(holds, key) > 0 || resolve_instance(key, NULL, &described) != NULL)
		return later;
	quiet = instance_quiet_until(described, GetCurrentTimestamp());
	if (quiet != 0)
		return monotonic_of(quiet);
	lane = lanes_note(key, clock_monotonic_ms());
	if (!has_room(lane, described))
		return Min(later, clock_monotonic_ms() + CHECK_RETRY_MS);
	permit = budget_take_invite(described);
	if (permit.granted == 0)
		return (permit.next_at + 999) / 1000;
	launch_welcome(lane, &permit);
	return later;
}

/* One message to each group that somebody joined a while ago. */
static void
welcome_due(List *holds)
{
	int64		now = clock_monotonic_ms();
	TimestampTz next;
	ListCell   *lc;

	if (next_welcome > now && !told.rescan)
		return;
	next_welcome = LANES_NEVER;
	foreach(lc, membership_due_welcomes())
	{
		const LaneKey *key = lfirst(lc);

		next_welcome = Min(next_welcome, is_serving() && has_slot() ? welcome(key, holds) : now + WELCOME_RETRY_MS);
	}
	next = membership_next_welcome();
	if (next > GetCurrentTimestamp())
		next_welcome = Min(next_welcome, monotonic_of(next) + 1);
}

/* Memberships whose time is over: their removal is queued. */
static void
end_memberships(void)
{
	ListCell   *lc;
	TimestampTz next;

	if (next_end > clock_monotonic_ms() && !told.rescan)
		return;
	foreach(lc, membership_take_ended(ENDS_AT_ONCE))
	{
		const MembershipEnd *end = lfirst(lc);
		WawpInstance *described;

		if (resolve_instance(&end->lane, NULL, &described) != NULL)
			membership_put_off_end(end, GetCurrentTimestamp() + UNRESOLVED_HOLD_MS * INT64CONST(1000));
		else if (intent_enqueue_removal(&end->lane, described->instance_id, end->jid, end->requested_by, end->reason) != 0)
			lanes_note(&end->lane, clock_monotonic_ms());
	}
	next = membership_next_end();
	next_end = next == 0 ? LANES_NEVER : monotonic_of(next) + 1;
}

static void
take_up_wake(void)
{
	int64		now = clock_monotonic_ms();
	ListCell   *lc;

	for (int i = 0; i < told.nlanes; i++)
		lanes_note(&told.lanes[i], now)->head_until = 0;
	if (!told.rescan)
		return;
	hold_start_anew();
	intent_start_anew();
	foreach(lc, intent_lanes())
		lanes_note(lfirst(lc), now)->head_until = 0;
	foreach(lc, intent_waiting_lanes())
	{
		const IntentLane *lane = lfirst(lc);

		lanes_look(&lane->key, monotonic_of(lane->due));
	}
}

/* Is there a slot for another request of the worker's? */
static bool
has_slot(void)
{
	return short_until <= clock_monotonic_ms() && in_flight + roster_in_flight() < (careful > 0 ? 1 : wawp_max_in_flight);
}

/* May more be sent?  Switched off, what was sent is still looked after. */
static bool
is_serving(void)
{
	return wawp_worker_on || (dispatch_permit.active && dispatch_permit.requests > 0 &&
							  dispatch_permit.until > clock_monotonic_ms());
}

static bool
may_claim(void)
{
	return is_serving() && has_slot();
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
follow_lane_of(void *arg)
{
	LaneWork   *work = arg;

	follow_lane(work->lane, work->holds);
}

static void
follow_due(List *holds)
{
	LaneWork	work = {.holds = holds};

	while (has_slot() && (work.lane = lanes_take_look(clock_monotonic_ms())) != NULL)
		if (!run_isolated(follow_lane_of, &work))
			lanes_look(&work.lane->key, clock_monotonic_ms() + LOCKED_RETRY_MS);
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

/* Who cannot be added is invited, unless the engine has done that. */
static void
change_to_invite(const Flight *flight, int i, IntentChange *change)
{
	const CallPerson *person = &flight->people[i];
	const char *no_invite = person->unaddressable ? "not invited: the person cannot be messaged"
		: follow_no_invite(&flight->intents[i], flight->instance);

	if (person->card_sent)
	{
		change->state = STATE_INVITED;
		change->outcome = WAWP_INVITED;
	}
	else if (no_invite == NULL)
		change->state = STATE_INVITING;
	else
	{
		change->state = STATE_FAILED;
		change->detail = change->detail ? psprintf("%s; %s", change->detail, no_invite) : no_invite;
	}
	change->next_attempt_at = change->state == STATE_FAILED ? 0 : GetCurrentTimestamp();
}

/* Sent, and the answer alone does not tell: the member list does. */
static void
change_to_verifying(const Flight *flight, IntentChange *change)
{
	change->state = STATE_VERIFYING;
	change->next_attempt_at = follow_first_look(flight->instance);
}

static void
change_to_retry(const Flight *flight, int i, IntentChange *change)
{
	const Intent *intent = &flight->intents[i];
	int64		delay = retry_delay_ms(flight->people[i].outcome, intent->attempts, flight->retry_after,
									   pg_prng_double(&pg_global_prng_state));

	change->state = intent->attempts >= RETRY_MAX_ATTEMPTS ? STATE_FAILED : STATE_QUEUED;
	if (change->state == STATE_QUEUED)
		change->next_attempt_at = GetCurrentTimestamp() + Max(delay, 0) * 1000;
}

/* What an outcome makes of an intent: design.md, sections 5 and 6. */
static IntentChange
change_for(const Flight *flight, int i)
{
	const CallPerson *person = &flight->people[i];
	bool		verify = flight->intents[i].verify;
	IntentChange change = {
		.has_outcome = true,
		.outcome = person->outcome,
		.code = person->code,
		.detail = text_to_server(person->detail)
	};

	switch (outcome_info(person->outcome)->next)
	{
		case NEXT_DONE:
			change.state = STATE_DONE;
			break;
		case NEXT_LOOK:
			if (verify || person->outcome == WAWP_UNKNOWN_RESULT)
				change_to_verifying(flight, &change);
			else
				change.state = STATE_DONE;
			break;
		case NEXT_WAIT:
			change.state = STATE_PENDING_APPROVAL;
			change.next_attempt_at = follow_first_look(flight->instance);
			break;
		case NEXT_INVITE:
			change_to_invite(flight, i, &change);
			break;
		case NEXT_FAIL:
			if (person->outcome == WAWP_UNRECOGNISED && verify)
				change_to_verifying(flight, &change);
			else
				change.state = STATE_FAILED;
			break;
		case NEXT_RETRY:
			change_to_retry(flight, i, &change);
			break;
		case NEXT_SLOW_DOWN:
		case NEXT_HOLD_LANE:
		case NEXT_HOLD_INSTANCE:
			change.state = STATE_QUEUED;
			change.give_attempt_back = true;
			break;
	}
	return change;
}

/* A message that was refused has not arrived, nor one whose connection failed. */
static bool
provably_not_sent(WawpOutcome outcome)
{
	OutcomeNext next = outcome_info(outcome)->next;

	return outcome == WAWP_UNREACHABLE || next == NEXT_SLOW_DOWN ||
		next == NEXT_HOLD_LANE || next == NEXT_HOLD_INSTANCE;
}

/*
 * What became of an invitation.  It is sent once: only what provably did not
 * arrive is sent again.
 */
static IntentChange
change_for_invitation(const Flight *flight)
{
	const CallPerson *person = &flight->people[0];
	IntentChange change = {
		.has_outcome = true,
		.outcome = person->outcome,
		.code = person->code,
		.detail = text_to_server(person->detail),
		.state = STATE_FAILED
	};

	if (person->outcome == WAWP_ACCEPTED)
	{
		change.state = STATE_INVITED;
		change.outcome = WAWP_INVITED;
		change.next_attempt_at = GetCurrentTimestamp();
	}
	else if (person->outcome == WAWP_SERVER_ERROR)
		change.outcome = WAWP_UNKNOWN_RESULT;
	else if (provably_not_sent(person->outcome))
	{
		change.state = STATE_INVITING;
		change.next_attempt_at = GetCurrentTimestamp() + LINK_RETRY_MS * INT64CONST(1000);
		change.give_attempt_back = true;
	}
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

/*
 * What waits for an intent that is done may go on.  Mostly nothing waits for
 * any; what is asked for later than that was looked at wakes the worker itself.
 */
static void
note_done(int64 id)
{
	ListCell   *lc;

	if (!has_dependents_is_known)
		has_dependents = intent_has_dependents();
	has_dependents_is_known = true;
	if (!has_dependents)
		return;
	foreach(lc, intent_dependent_lanes(id))
		lanes_note(lfirst(lc), clock_monotonic_ms());
}

/* What waits for an intent that ended may go on, or ends with it. */
static void
note_end(const Intent *intent, IntentState state)
{
	if (state == STATE_FAILED || state == STATE_CANCELLED)
		look_at_dependents = true;
	if (state != STATE_DONE)
		return;
	if (intent->action == ACTION_ADD || intent->action == ACTION_INVITE)
		next_welcome = 0;
	note_done(intent->id);
	note_until(intent->until);
}

/* A membership ends then; 0: it does not. */
static void
note_until(TimestampTz until)
{
	if (until != 0)
		next_end = Min(next_end, monotonic_of(until) + 1);
}

/* Who was counted as a member when they were sent, and is none. */
static void
give_place_back(const LaneKey *lane)
{
	Roster	   *roster = roster_of(lane);

	roster->added = Max(roster->added - 1, 0);
}

/* What the opposite of was asked for ends as far as it has come. */
static void
end_superseded(void)
{
	ListCell   *lc;

	foreach(lc, intent_end_superseded())
	{
		const Intent *intent = lfirst(lc);

		if (intent->state == STATE_DONE)
			follow_remember(intent, intent->outcome, intent->state);
		note_end(intent, intent->state);
		lanes_note(&intent->lane, clock_monotonic_ms());
	}
}

/* Holds what an answer says is to be held. */
static void
hold_by_outcome(const Flight *flight, List *holds, WawpOutcome outcome)
{
	OutcomeNext next = outcome_info(outcome)->next;

	if (next == NEXT_HOLD_LANE)
		hold_flight(flight, holds, outcome, false);
	else if (next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN || outcome == WAWP_UNREACHABLE)
		hold_flight(flight, holds, outcome, true);
}

static void
settle_row(Flight *flight, int i, List *holds)
{
	const Intent *intent = &flight->intents[i];
	WawpOutcome outcome = flight->people[i].outcome;
	IntentChange change = flight->text ? change_for_invitation(flight) : change_for(flight, i);

	if (!intent_settle(intent->id, STATE_SENDING, &change))
	{
		retry_soon = true;
		return;
	}
	flight->settling[i] = true;
	if (flight->operation == WAWP_OP_ADD && change.state != STATE_DONE && change.state != STATE_VERIFYING)
		give_place_back(&intent->lane);
	if (flight->people[i].card_sent && change.state == STATE_INVITED)
		membership_note_invited(&intent->lane, contact_id(intent->jid.text));
	if (flight->text && change.state == STATE_INVITING)
		membership_note_not_invited(&intent->lane, contact_id(intent->jid.text));
	hold_by_outcome(flight, holds, outcome);
	if (change.state == STATE_DONE || change.state == STATE_FAILED)
		follow_remember(intent, change.outcome, change.state);
	else if (change.state != STATE_QUEUED && change.state != STATE_CANCELLED)
		lanes_look(&intent->lane, monotonic_of(change.next_attempt_at));
	note_end(intent, change.state);
}

static bool
did_succeed(const Flight *flight)
{
	OutcomeNext next = outcome_info(flight->people[0].outcome)->next;

	return next == NEXT_DONE || flight->people[0].outcome == WAWP_ACCEPTED;
}

/* What did not arrive is sent later, to whoever has joined by then. */
static void
settle_welcome(Flight *flight, List *holds)
{
	WawpOutcome outcome = flight->people[0].outcome;

	record_welcome(flight, "answered");
	flight->recording = true;
	hold_by_outcome(flight, holds, outcome);
	if (!provably_not_sent(outcome))
		return;
	membership_give_welcome_back(&flight->lane->key, flight->welcomed_at);
	next_welcome = Min(next_welcome, clock_monotonic_ms() + WELCOME_RETRY_MS);
}

static void
settle_flight(Flight *flight, List *holds)
{
	if (flight->n == 0 && !flight->recorded && !flight->recording)
		settle_welcome(flight, holds);
	else if (!flight->recorded && !flight->recording)
	{
		record_answers(flight);
		if (did_succeed(flight) &&
			(find_hold(holds, &flight->lane->key, true) || find_hold(holds, &flight->lane->key, false)))
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

/* A message is for one person: there is one verdict. */
static void
judge_invitation(Flight *flight, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_SEND, result);
	const CallVerdict *verdict = reading.npeople > 0 ? &reading.people[0] : &reading.whole;

	call_settle_person(&flight->people[0], verdict, flight->instance);
}

/* Reads the answers that came; memory only. */
static void
judge_flights(void)
{
	dlist_iter	iter;

	roster_take_answers();
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
			judge_invitation(flight, result);
		else
			(void) call_end_membership(flight->instance, flight->operation, result, flight->sent, flight->n, &end);
		MemoryContextSwitchTo(caller);
		flight->duration_ms = (int) (clock_monotonic_ms() - flight->sent_at);
		flight->http_status = result->status;
		flight->retry_after = result->retry_after;
		if (result->fate == HTTP_NOT_SENT && flight->is_paced)
			budget_give_back(&flight->permit, Max(flight->n, 1));
		if (!flight->is_paced)
			roster_forget_list(&flight->lane->key);
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
	roster_init();
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

/* A group with a pace of its own has spent of that, too. */
static void
replay_group(const WawpInstance *instance, LaneKey *lane, const AuditSent *sent)
{
	GroupSettings settings;
	LimiterKey	key;

	if (sent->group_jid == NULL)
		return;
	strlcpy(lane->group, sent->group_jid, sizeof(lane->group));
	settings = settings_get(lane);
	if (settings.adds_per_minute <= 0)
		return;
	key = budget_group_key(instance, lane->group);
	limiter_replay(&key, pace_rate(settings.adds_per_minute, 0), sent->age_us);
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
		if (sent->is_message)
		{
			key = budget_key(instance, LIMIT_INVITE);
			limiter_replay(&key, pace_rate(instance->invites_per_minute, 0), sent->age_us);
		}
		else if (sent->age_us < 0)
			limiter_replay_day(&key, sent->count);
		else
		{
			limiter_replay(&key, pace_rate(instance->adds_per_minute, 0), sent->age_us);
			replay_group(instance, &lane, sent);
		}
	}
}

/* What was in doubt when the last worker ended; in a transaction. */
void
dispatch_recover(void)
{
	hold_restored_copy();
	doubts = MemoryContextStrdup(TopMemoryContext, intent_recover(MAX_LONE_CRASHES, "{}", &doubt_left));
	careful = intent_count_doubts(doubts);
	careful_until = clock_monotonic_ms() + LONGEST_CARE_MS;
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
	if (told.rescan || told.nlanes > 0 || retry_soon || next_expiry <= clock_monotonic_ms() ||
		Min(next_end, next_welcome) <= clock_monotonic_ms() || roster_facts() != NIL)
		return true;
	if (may_claim() && lanes_next_at() <= clock_monotonic_ms())
		return true;
	if (has_slot() && lanes_next_look() <= clock_monotonic_ms())
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

	begin_resolving(CurrentMemoryContext);
	retry_soon = false;
	if (!isolating)
		audit_gather();
	has_dependents_is_known = false;
	isolated_failures = 0;
	dlist_foreach(iter, &flights)
	{
		Flight	   *flight = dlist_container(Flight, node, iter.cur);

		if (flight->stage == FLIGHT_JUDGED)
			settle_or_postpone(flight, holds);
	}
	if (careful > 0)
		careful = careful_until > clock_monotonic_ms() ? intent_count_doubts(doubts) : 0;
	hold_restored_copy();
	if (told.rescan || told.nlanes > 0)
		end_superseded();
	end_what_cannot_be();
	if (told.rescan || told.nlanes > 0 || notes_left)
		record_notes();
	if (doubt_left)
		recover_rest();
	end_memberships();
	take_up_wake();
	follow_learn();
	holds = hold_read_all();
	claims_first = careful > 0 && !claims_first;
	if (claims_first)
		claim_due(holds);
	follow_due(holds);
	if (!claims_first)
		claim_due(holds);
	welcome_due(holds);
	audit_end_gathering();
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

	begin_resolving(NULL);
	told.rescan = false;
	told.nlanes = 0;
	roster_forget_facts();
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

	begin_resolving(NULL);
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
			budget_give_back(&flight->permit, Max(flight->n, 1));
		drop_flight(flight);
	}
}

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
dispatch_send(void)
{
	dlist_iter	iter;

	Assert(!IsTransactionState());
	roster_send();
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

/* Has a request ended that no cycle has seen yet? */
bool
dispatch_has_answers(void)
{
	dlist_iter	iter;

	if (roster_has_answers())
		return true;
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

	return in_flight + roster_in_flight() == 0 && !told.rescan && told.nlanes == 0 && !retry_soon &&
		(dispatch_permit.requests <= 0 || Min(lanes_next_at(), lanes_next_look()) > horizon);
}

/* Requests that are claimed or under way. */
int
dispatch_in_flight(void)
{
	return in_flight + roster_in_flight();
}

/* When the next cycle is due by itself, in monotonic ms. */
int64
dispatch_next_at(void)
{
	if (retry_soon)
		return clock_monotonic_ms() + LOCKED_RETRY_MS;
	if (short_until > clock_monotonic_ms())
		return Min(next_expiry, short_until);
	return Min(Min(next_expiry, Min(next_end, next_welcome)),
			   Min(may_claim() ? lanes_next_at() : LANES_NEVER, has_slot() ? lanes_next_look() : LANES_NEVER));
}
