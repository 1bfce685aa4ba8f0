/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  What an answer makes of the rows a request was made for.
 *
 * Each outcome of a judged flight becomes a row's next state, a record, and
 * where it says so a hold (design.md, sections 5 and 6).  A flight whose rows
 * cannot be settled now (a user has locked one, one fails) stays as it is and is
 * settled by a later cycle; attempt.c keeps what of it has committed.
 *
 * Everything is in the cycle's transaction and its memory.
 *
 * IDENTIFICATION
 *	  src/worker/settle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/lanehold.h"
#include "tables/membership.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "worker/attempt.h"
#include "worker/completion.h"
#include "worker/lanes.h"
#include "worker/group_cache.h"
#include "worker/messages.h"
#include "worker/savepoint.h"
#include "worker/settle.h"
#include "worker/verify.h"

#include "compat.h"

/* So many people in a row whom the API refuses for an unknown cause slow the instance down ... */
#define DOUBTS_TO_SLOW_DOWN 2
/* ... and so many hold the group. */
#define DOUBTS_TO_HOLD 4

static bool has_left;			/* rows, for a later cycle */

/* Who cannot be added is invited, unless the engine has done that. */
static void
change_to_invite(const Flight *flight, int i, IntentChange *change)
{
	const CallPerson *person = &flight->people[i];
	const char *no_invite = person->unaddressable ? "not invited: the person cannot be messaged"
		: messages_why_not_invited(&flight->intents[i], flight->instance);

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
	change->next_attempt_at = verify_first_at(flight->instance);
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

/*
 * Queues an intent again whose request was answered by something in front of
 * the API, which says nothing of the person: an accident costs an attempt, an outage does not, however long it lasts.
 */
static void
change_to_wait_out(const Flight *flight, int i, IntentChange *change)
{
	const Intent *intent = &flight->intents[i];
	bool		is_accident = flight->outages <= 1 && flight->retry_after < 0;
	int64		delay = retry_delay_ms(WAWP_SERVER_ERROR, is_accident ? intent->attempts : 1, flight->retry_after,
									   pg_prng_double(&pg_global_prng_state));

	change->give_attempt_back = !is_accident;
	change->state = is_accident && intent->attempts >= RETRY_MAX_ATTEMPTS ? STATE_FAILED : STATE_QUEUED;
	if (change->state == STATE_QUEUED)
		change->next_attempt_at = GetCurrentTimestamp() + delay * 1000;
}

/*
 * True if a person's own answer says that something failed and not what:
 * whatsapp-web.js turns whatever WhatsApp refuses into 400 (wwebjs#84391), its
 * rate limit as well.  That is doubt about the call, no word on the person.
 */
static bool
is_doubt(const Flight *flight, int i)
{
	return flight->people[i].outcome == WAWP_UNRECOGNISED && flight->people[i].code == 400 &&
		flight->http_status >= 200 && flight->http_status < 300;
}

/* Turns an outcome into an intent's next state: design.md, sections 5 and 6. */
static void
change_by_outcome(const Flight *flight, int i, IntentChange *change)
{
	const CallPerson *person = &flight->people[i];
	bool		verify = flight->intents[i].verify;

	switch (outcome_info(person->outcome)->next)
	{
		case NEXT_DONE:
			change->state = STATE_DONE;
			break;
		case NEXT_LOOK:
			if (verify || person->outcome == WAWP_UNKNOWN_RESULT)
				change_to_verifying(flight, change);
			else
				change->state = STATE_DONE;
			break;
		case NEXT_WAIT:
			change->state = STATE_PENDING_APPROVAL;
			change->next_attempt_at = verify_first_at(flight->instance);
			break;
		case NEXT_INVITE:
			change_to_invite(flight, i, change);
			break;
		case NEXT_FAIL:
			if (person->outcome == WAWP_UNRECOGNISED && verify)
				change_to_verifying(flight, change);
			else
				change->state = STATE_FAILED;
			break;
		case NEXT_RETRY:
			change_to_retry(flight, i, change);
			break;
		case NEXT_SLOW_DOWN:
		case NEXT_HOLD_LANE:
		case NEXT_HOLD_INSTANCE:
			change->state = STATE_QUEUED;
			change->give_attempt_back = true;
			break;
	}
}

/* The change that an answer makes to an intent. */
static IntentChange
change_for(const Flight *flight, int i)
{
	const CallPerson *person = &flight->people[i];
	IntentChange change = {
		.has_outcome = true,
		.outcome = person->outcome,
		.code = person->code,
		.detail = text_to_server(person->detail)
	};

	if (person->is_outage)
		change_to_wait_out(flight, i, &change);
	else if (is_doubt(flight, i))
	{
		change.outcome = WAWP_UNKNOWN_RESULT;
		change_to_verifying(flight, &change);
	}
	else
		change_by_outcome(flight, i, &change);
	return change;
}

static void
record_answers(Flight *flight)
{
	for (int i = 0; i < flight->n; i++)
	{
		AuditRecord record = flight_record(flight, i, "answered");

		record.outcome = outcome_info(flight->people[i].outcome)->name;
		record.http_status = flight->http_status;
		record.code = flight->people[i].code;
		record.duration_ms = flight->duration_ms;
		audit_write(&record);
	}
	flight->recording = true;
}

/* Who was counted as a member when they were sent, and is none. */
static void
give_place_back(const LaneKey *lane)
{
	CachedGroup *cached = group_cache_get(lane);

	cached->added = Max(cached->added - 1, 0);
}

/* Doubts of an instance, one a request, with nobody's proper answer in between. */
typedef struct Doubts
{
	NameData	instance;		/* hash key, must be first */
	char		person[JID_SIZE];	/* of the last */
	int			in_a_row;		/* of different people */
} Doubts;

static Doubts *
doubts_of(const NameData *instance)
{
	static HTAB *doubts;
	HASHCTL		by_name = {.keysize = sizeof(NameData),.entrysize = sizeof(Doubts),.hcxt = TopMemoryContext};
	Doubts	   *entry;
	bool		found;

	if (doubts == NULL)
		doubts = hash_create("wawp doubts", 16, &by_name, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	entry = hash_search(doubts, instance, HASH_ENTER, &found);
	if (!found)
		memset((char *) entry + sizeof(NameData), 0, sizeof(Doubts) - sizeof(NameData));
	return entry;
}

/*
 * Counts doubts across requests: two people in a row who met one are taken for
 * the rate limit, and more of them hold the group as well.
 */
static void
hold_by_doubt(const Flight *flight, int i, Holds *holds)
{
	const LaneKey *lane = &flight->lane->key;
	const CallPerson *person = &flight->people[i];
	Doubts	   *doubts = doubts_of(&lane->instance);

	if (!is_doubt(flight, i))
	{
		if (outcome_info(person->outcome)->scope == SCOPE_PERSON && person->outcome != WAWP_UNRECOGNISED)
			doubts->in_a_row = 0;
		return;
	}
	if (i == 0 && (doubts->in_a_row == 0 || strcmp(doubts->person, person->jid.text) != 0))
		doubts->in_a_row++;
	if (i == 0)
		strlcpy(doubts->person, person->jid.text, sizeof(doubts->person));
	if (doubts->in_a_row >= DOUBTS_TO_SLOW_DOWN)
		lanehold_set(lane, holds, WAWP_RATE_LIMITED, true, flight->retry_after, flight->request_id);
	if (doubts->in_a_row >= DOUBTS_TO_HOLD)
		lanehold_set(lane, holds, WAWP_UNRECOGNISED, false, flight->retry_after, flight->request_id);
}

/* Holds what an answer says is to be held, and the instance when no answer can be had. */
static void
hold_by_outcome(const Flight *flight, Holds *holds, WawpOutcome outcome)
{
	const LaneKey *lane = &flight->lane->key;

	if (flight->people[0].is_outage && flight->outages < GROUP_CACHE_OUTAGES && flight->retry_after < 0)
		return;
	if (flight->people[0].is_outage)
		lanehold_for_outage(lane, holds, outcome, flight->retry_after, flight->request_id);
	else if (outcome == WAWP_UNREACHABLE)
		lanehold_set(lane, holds, outcome, true, flight->retry_after, flight->request_id);
	else
		lanehold_for(lane, holds, outcome, flight->retry_after, flight->request_id);
}

static void
settle_row(Flight *flight, int i, Holds *holds)
{
	const Intent *intent = &flight->intents[i];
	WawpOutcome outcome = flight->people[i].outcome;
	IntentChange change = flight->text ? messages_invitation_change(flight) : change_for(flight, i);

	if (!intent_settle(intent->id, STATE_SENDING, &change))
	{
		has_left = true;
		return;
	}
	flight->settling[i] = true;
	if (flight->operation == WAWP_OP_ADD && change.state != STATE_DONE && change.state != STATE_VERIFYING)
		give_place_back(&intent->lane);
	if (flight->people[i].card_sent && change.state == STATE_INVITED)
		membership_note_invited(&intent->lane, contact_id(intent->jid.text));
	if (flight->text && change.state == STATE_INVITING)
		membership_note_not_invited(&intent->lane, contact_id(intent->jid.text));
	if (flight->people[i].lid.kind == JID_LID)
		contact_note_lid(intent->jid.text, flight->people[i].lid.text);
	hold_by_outcome(flight, holds, outcome);
	if (!flight->text)
		hold_by_doubt(flight, i, holds);
	if (change.state != STATE_QUEUED && !completion_is_end(change.state))
		lanes_look(&intent->lane, clock_monotonic_of(change.next_attempt_at));
	completion_note_end(intent, change.state, change.outcome);
}

/* True if the API has done its part, whatever it says of the person. */
static bool
did_succeed(const Flight *flight)
{
	const CallPerson *person = &flight->people[0];

	return outcome_info(person->outcome)->scope == SCOPE_PERSON && person->outcome != WAWP_UNRECOGNISED;
}

/* What did not arrive is sent later, to whoever has joined by then. */
static void
settle_welcome(Flight *flight, Holds *holds)
{
	WawpOutcome outcome = flight->people[0].outcome;

	messages_record_welcome(flight, "answered");
	flight->recording = true;
	hold_by_outcome(flight, holds, outcome);
	if (flight_provably_not_sent(flight))
		messages_repeat_welcome(flight);
}

static void
settle_flight(void *subject, Holds *holds)
{
	Flight	   *flight = subject;

	if (flight->n == 0 && !flight->recorded && !flight->recording)
		settle_welcome(flight, holds);
	else if (!flight->recorded && !flight->recording)
	{
		record_answers(flight);
		if (did_succeed(flight) &&
			(lanehold_find(holds, &flight->lane->key, true) || lanehold_find(holds, &flight->lane->key, false)))
			hold_ease_after_success(flight->instance->name, flight->lane->key.group);
	}
	for (int i = 0; i < flight->n; i++)
		if (!flight->settled[i] && !flight->settling[i])
			settle_row(flight, i, holds);
}

/* Settles a flight, or leaves it as it was for a later cycle. */
static void
settle_or_postpone(Flight *flight, Holds *holds)
{
	if (isolation_run(settle_flight, flight, holds))
		return;
	flight->recording = false;
	memset(flight->settling, 0, sizeof(bool) * flight->n);
	has_left = true;
}

/* Settles all whose answers were read. */
void
settle_judged(Holds *holds)
{
	has_left = false;
	for (Flight *flight = flight_next_judged(NULL); flight; flight = flight_next_judged(flight))
		settle_or_postpone(flight, holds);
}

/* Has the last cycle left rows of judged flights to the next? */
bool
settle_has_left(void)
{
	return has_left;
}
