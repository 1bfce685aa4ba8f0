/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  Settles the rows of a request by its answer.
 *
 * Each outcome of a judged attempt becomes a row's next state, an audit record and,
 * if the outcome says so (outcomes[] in outcome.c), a hold.  An attempt whose rows
 * cannot be settled now (a user has locked one, one fails) is settled by a later
 * cycle; attempt.c notes which of its rows have committed.
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
#include "tables/erasure_key.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/attempt.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"
#include "worker/refusal_run.h"
#include "worker/savepoint.h"
#include "worker/settle.h"
#include "worker/verify.h"

#include "compat.h"

/* After so many unexplained refusals of different people in a row the instance slows down ... */
#define UNEXPLAINED_TO_SLOW_DOWN 2
/* ... and after so many the group is held. */
#define UNEXPLAINED_TO_HOLD 4

/* So many rows that end alike are given their state together. */
#define ENDINGS_AT_ONCE 128

static bool has_left;			/* rows, for a later cycle */

/* Pass a person who cannot be added to the invitations, unless the engine has invited them. */
static void
change_to_invite(const Attempt *attempt, int i, IntentChange *change)
{
	const CallPerson *person = &attempt->people[i];
	const char *no_invite = person->is_unaddressable ? "not invited: the person cannot be messaged"
		: messages_why_not_invited(&attempt->intents[i], attempt->instance, &change->outcome);

	if (person->is_card_sent)
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

/* Make the row wait for the member list: the answer alone does not tell. */
static void
change_to_verifying(const Attempt *attempt, IntentChange *change)
{
	change->state = STATE_VERIFYING;
	change->next_attempt_at = verify_first_at(attempt->instance);
}

/* Queue an intent again after a backoff, until its attempts are used up. */
static void
change_to_retry(const Attempt *attempt, int i, IntentChange *change)
{
	const Intent *intent = &attempt->intents[i];
	int64		delay = backoff_request_ms(attempt->people[i].outcome, intent->attempts, attempt->retry_after,
										   pg_prng_double(&pg_global_prng_state));

	change->state = intent->attempts >= BACKOFF_MAX_ATTEMPTS ? STATE_FAILED : STATE_QUEUED;
	if (change->state == STATE_QUEUED)
		change->next_attempt_at = GetCurrentTimestamp() + Max(delay, 0) * 1000;
}

/*
 * Queue an intent again whose request was answered by a gateway in front of the
 * API, which says nothing of the person.  A single such answer costs an attempt,
 * an outage does not, however long it lasts.
 */
static void
change_to_wait_out(const Attempt *attempt, int i, IntentChange *change)
{
	const Intent *intent = &attempt->intents[i];
	bool		is_accident = attempt->outages <= 1 && attempt->retry_after < 0;
	int64		delay = backoff_request_ms(WAWP_SERVER_ERROR, is_accident ? intent->attempts : 1, attempt->retry_after,
										   pg_prng_double(&pg_global_prng_state));

	change->give_attempt_back = !is_accident;
	change->state = is_accident && intent->attempts >= BACKOFF_MAX_ATTEMPTS ? STATE_FAILED : STATE_QUEUED;
	if (change->state == STATE_QUEUED)
		change->next_attempt_at = GetCurrentTimestamp() + delay * 1000;
}

/*
 * True if a person's own answer tells that something failed, but not what:
 * whatsapp-web.js turns whatever WhatsApp refuses into 400 (wwebjs#84391), its
 * rate limit as well.  That says nothing of the person.
 */
static bool
is_unexplained(const Attempt *attempt, int i)
{
	return attempt->people[i].outcome == WAWP_UNRECOGNISED && attempt->people[i].code == 400 &&
		attempt->http_status >= 200 && attempt->http_status < 300;
}

/* Turn an outcome into an intent's next state. */
static void
change_by_outcome(const Attempt *attempt, int i, IntentChange *change)
{
	const CallPerson *person = &attempt->people[i];
	bool		verify = attempt->intents[i].verify;

	switch (outcome_info(person->outcome)->next)
	{
		case NEXT_DONE:
			change->state = STATE_DONE;
			break;
		case NEXT_VERIFY:
			if (verify || person->outcome == WAWP_UNKNOWN_RESULT)
				change_to_verifying(attempt, change);
			else
				change->state = STATE_DONE;
			break;
		case NEXT_WAIT:
			change->state = STATE_PENDING_APPROVAL;
			change->next_attempt_at = verify_first_at(attempt->instance);
			break;
		case NEXT_INVITE:
			change_to_invite(attempt, i, change);
			break;
		case NEXT_FAIL:
			if (person->outcome == WAWP_UNRECOGNISED && verify)
				change_to_verifying(attempt, change);
			else if (person->outcome == WAWP_UNRECOGNISED &&
					 refusal_run_had(&attempt->lane->key.instance, person->code, GetCurrentTimestamp()))
				change_to_retry(attempt, i, change);
			else
				change->state = STATE_FAILED;
			break;
		case NEXT_NONE:
		case NEXT_RETRY:
			change_to_retry(attempt, i, change);
			break;
		case NEXT_SLOW_DOWN:
		case NEXT_HOLD_LANE:
		case NEXT_HOLD_INSTANCE:
			change->state = STATE_QUEUED;
			change->give_attempt_back = true;
			break;
	}
}

/* Return the change that an answer makes to an intent. */
static IntentChange
change_by_answer(const Attempt *attempt, int i)
{
	const CallPerson *person = &attempt->people[i];
	IntentChange change = {
		.has_outcome = true,
		.outcome = person->outcome,
		.code = person->code,
		.detail = text_to_server(person->detail)
	};

	if (person->is_outage)
		change_to_wait_out(attempt, i, &change);
	else if (is_unexplained(attempt, i))
	{
		change.outcome = WAWP_UNKNOWN_RESULT;
		change_to_verifying(attempt, &change);
	}
	else
		change_by_outcome(attempt, i, &change);
	return change;
}

/* Write an audit record for each row of an attempt. */
static void
record_answers(Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		AuditRecord record = attempt_record(attempt, i, "answered");

		record.outcome = outcome_info(attempt->people[i].outcome)->name;
		record.http_status = attempt->http_status;
		record.code = attempt->people[i].code;
		record.duration_ms = attempt->duration_ms;
		record.detail = audit_detail(NULL, attempt->people[i].shape);
		if (attempt->is_outdated)
			audit_take_sent_texts(&record);
		audit_write(&record);
	}
	attempt->is_recording = true;
}

/*
 * Count unexplained refusals across requests: two people in a row who met one are
 * taken for the rate limit, and more of them hold the group as well.
 */
static void
hold_by_unexplained(const Attempt *attempt, int i, Holds *holds)
{
	const LaneKey *lane = &attempt->lane->key;
	const CallPerson *person = &attempt->people[i];
	RefusalRun *run = refusal_run_of(&lane->instance);

	if (!is_unexplained(attempt, i))
	{
		if (outcome_info(person->outcome)->scope == SCOPE_PERSON && person->outcome != WAWP_UNRECOGNISED)
			run->unexplained = 0;
		return;
	}
	if (i == 0 && (run->unexplained == 0 || strcmp(run->person, person->jid.text) != 0))
		run->unexplained++;
	if (i == 0)
		strlcpy(run->person, person->jid.text, sizeof(run->person));
	if (run->unexplained >= UNEXPLAINED_TO_SLOW_DOWN)
		hold_set_lane(lane, holds, WAWP_RATE_LIMITED, true, attempt->retry_after, attempt->request_id);
	if (run->unexplained >= UNEXPLAINED_TO_HOLD)
		hold_set_lane(lane, holds, WAWP_UNRECOGNISED, false, attempt->retry_after, attempt->request_id);
}

/*
 * Hold the instance when answers in a row, one a request, are alike and not
 * understood: that is more likely the call's trouble than each person's.
 */
static void
hold_by_alike(const Attempt *attempt, int i, Holds *holds)
{
	const LaneKey *lane = &attempt->lane->key;
	const CallPerson *person = &attempt->people[i];
	RefusalRun *run = refusal_run_of(&lane->instance);

	if (person->outcome != WAWP_UNRECOGNISED)
	{
		if (outcome_info(person->outcome)->scope == SCOPE_PERSON)
			refusal_run_end_alike(run);
		return;
	}
	if (i != 0 || person->is_outage || is_unexplained(attempt, i))
		return;
	refusal_run_note_alike(run, person->jid.text, person->code);
	if (run->alike.n >= ALIKE_TO_HOLD)
		hold_set_lane(lane, holds, WAWP_UNRECOGNISED, true, attempt->retry_after, attempt->request_id);
}

/*
 * Hold the instance's invitations: WhatsApp refused a message because of a limit
 * of the account, which concerns no additions.  The session is asked for its end.
 */
static void
hold_by_refused_message(const Attempt *attempt, Holds *holds)
{
	const LaneKey *lane = &attempt->lane->key;

	group_cache_forget_limits(lane);
	hold_refused_messages(lane, holds, attempt->retry_after);
	if (attempt->kind == ATTEMPT_WELCOME)
		hold_messages(lane, holds, 0);
}

/* True if the request was sent with another access token than the requester has now: what the API says of that one is old. */
static bool
attempt_has_old_token(const Attempt *attempt)
{
	return instance_cache_token_hash(&attempt->lane->key, attempt->intents[0].requester) != instance_token_hash(attempt->instance);
}

/*
 * Hold what an outcome says is to be held, and the instance if the API cannot be
 * reached; but only the requester if it is their own token that was refused.
 */
static void
hold_by_outcome(const Attempt *attempt, Holds *holds, WawpOutcome outcome)
{
	const LaneKey *lane = &attempt->lane->key;

	if (attempt->people[0].is_outage && attempt->outages < GROUP_CACHE_OUTAGES && attempt->retry_after < 0)
		return;
	if (outcome == WAWP_AUTH_FAILED && attempt_has_old_token(attempt))
		return;
	if (outcome == WAWP_AUTH_FAILED && OidIsValid(attempt->instance->token_role))
		requester_hold_for_outcome(attempt->instance->name, attempt->instance->token_role, outcome, attempt->request_id);
	else if (attempt->people[0].is_outage)
		hold_for_outage(lane, holds, outcome, attempt->retry_after, attempt->request_id);
	else if (outcome == WAWP_ACCOUNT_RESTRICTED && attempt->kind != ATTEMPT_CHANGE)
		hold_by_refused_message(attempt, holds);
	else if (outcome == WAWP_UNREACHABLE)
		hold_set_lane(lane, holds, outcome, true, attempt->retry_after, attempt->request_id);
	else
		hold_for_outcome(lane, holds, outcome, attempt->retry_after, attempt->request_id);
}

/* Parts of the queue that an answer may hold. */
typedef enum HoldScope
{
	SCOPE_NONE,
	SCOPE_LANE = 1,
	SCOPE_INSTANCE = 2
} HoldScope;

/* Return what the API's words about a person may hold, as a set of HoldScope. */
static int
person_hold_scope(const CallPerson *person)
{
	OutcomeNext next = outcome_info(person->outcome)->next;

	if (person->is_outage || person->outcome == WAWP_UNREACHABLE || next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN)
		return SCOPE_INSTANCE;
	if (person->outcome == WAWP_UNRECOGNISED)
		return SCOPE_LANE | SCOPE_INSTANCE;
	return next == NEXT_HOLD_LANE ? SCOPE_LANE : SCOPE_NONE;
}

/* Return what an answer may hold. */
static int
attempt_hold_scope(const Attempt *attempt)
{
	int			scope = SCOPE_NONE;

	for (int i = 0; i < Max(attempt->n, 1); i++)
		scope |= person_hold_scope(&attempt->people[i]);
	return scope;
}

/*
 * True if the answer may change a hold that a session is changing, whose
 * transaction is still open: it is settled when that has ended, and until then
 * no more is sent that would meet the same.
 */
static bool
attempt_meets_busy_hold(const Attempt *attempt)
{
	LaneKey		whole = lane_key(NameStr(attempt->lane->key.instance), "");
	int64		later = clock_monotonic_ms() + 2 * LANES_LOCKED_RETRY_MS;
	int			scope = attempt_hold_scope(attempt);

	if (scope == SCOPE_NONE)
		return false;
	if (OidIsValid(attempt->instance->token_role) &&
		!requester_hold_is_free(attempt->instance->name, attempt->instance->token_role))
		return true;
	if ((scope & SCOPE_INSTANCE) && !hold_is_free(&whole))
		lanes_put_off(&whole.instance, later);
	else if ((scope & SCOPE_LANE) && !hold_is_free(&attempt->lane->key))
		lanes_schedule(attempt->lane, later);
	else
		return false;
	return true;
}

/* True if a row's person was erased while the request was under way: the row is cancelled, and nothing follows. */
static bool
is_of_erased(const Intent *intent)
{
	int64		id;

	return contact_is_name(intent->jid.text, &id);
}

/* Forget the people of an attempt who were erased since it was launched; what stands for them is in their rows. */
static void
forget_erased(Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		Intent	   *intent = &attempt->intents[i];
		CallPerson *person = &attempt->people[i];
		int64		id;
		const char *pseudonym = suppression_is_erased(intent->jid.text) ? intent_person(intent->id) : NULL;

		if (pseudonym == NULL || !contact_is_name(pseudonym, &id))
			continue;
		memset(&intent->jid, 0, sizeof(intent->jid));
		strlcpy(intent->jid.text, pseudonym, sizeof(intent->jid.text));
		intent->lid = intent->known_as = person->jid = person->lid = intent->jid;
		intent->reason = intent->batch_id = intent->detail = intent->actor = intent->application_name = NULL;
		person->detail = person->shape = NULL;
	}
}

/* Settle one row: its state, what the answer tells of the person, and holds. */
static void
settle_row(Attempt *attempt, int i, Holds *holds)
{
	const Intent *intent = &attempt->intents[i];
	WawpOutcome outcome = attempt->people[i].outcome;
	bool		is_invitation = (attempt->kind == ATTEMPT_INVITATION);
	IntentChange change;

	if (is_of_erased(intent))
	{
		attempt->is_settling[i] = true;
		hold_by_outcome(attempt, holds, outcome);
		return;
	}
	change = is_invitation ? messages_invitation_change(attempt) : change_by_answer(attempt, i);
	if (change.state == STATE_QUEUED && intent_is_pending(&intent->lane, intent->jid.text, intent->requester))
	{
		/* the row waits, the hold does not */
		if (!attempt->is_recorded)
			hold_by_outcome(attempt, holds, outcome);
		has_left = true;
		return;
	}
	/* nobody joins in the same moment */
	if (change.state == STATE_INVITED)
		change.next_attempt_at = verify_next_wait(attempt->instance, GetCurrentTimestamp());
	if (!attempt->is_ahead[i] && !intent_settle(intent->id, STATE_SENDING, &change))
	{
		has_left = true;
		return;
	}
	attempt->is_settling[i] = true;
	if (attempt->operation == WAWP_OP_ADD && change.state != STATE_DONE && change.state != STATE_VERIFYING)
		group_cache_note_added(&intent->lane, -1);
	if (attempt->people[i].is_card_sent && change.state == STATE_INVITED)
		membership_note_invited(&intent->lane, contact_id(intent->jid.text));
	if (is_invitation && change.state == STATE_INVITING)
		membership_note_not_invited(&intent->lane, contact_id(intent->jid.text));
	/* a LID beside it would say that they have an account */
	if (outcome == WAWP_NOT_ON_WHATSAPP)
		contact_forget_account(intent->jid.text);
	else if (attempt->people[i].lid.kind == JID_LID)
		contact_note_lid(intent->jid.text, attempt->people[i].lid.text);
	hold_by_outcome(attempt, holds, outcome);
	if (!is_invitation)
	{
		hold_by_unexplained(attempt, i, holds);
		hold_by_alike(attempt, i, holds);
	}
	if (change.state != STATE_QUEUED && !intent_state_is_final(change.state))
		lanes_verify(&intent->lane, clock_monotonic_of(change.next_attempt_at));
	if (change.state == STATE_CANCELLED)
		completion_note_replaced(intent);
	completion_note_end(intent, change.state, change.outcome);
	if (intent->action == ACTION_REMOVE && change.state == STATE_DONE)
		completion_note_room(&intent->lane, holds);
}

/* True if the API has answered for the person, whatever the outcome. */
static bool
answer_is_success(const Attempt *attempt)
{
	const CallPerson *person = &attempt->people[0];

	return outcome_info(person->outcome)->scope == SCOPE_PERSON && person->outcome != WAWP_UNRECOGNISED;
}

/* Note that the API has accepted a token of the requester's own. */
static void
requester_note_accepted(const Attempt *attempt)
{
	const CallPerson *person = &attempt->people[0];

	if (!OidIsValid(attempt->instance->token_role) || attempt->http_status <= 0 || person->is_outage ||
		person->outcome == WAWP_AUTH_FAILED || attempt_has_old_token(attempt))
		return;
	requester_hold_end_trial(attempt->instance->name, attempt->instance->token_role);
	group_cache_note_able(&attempt->lane->key, attempt->instance->token_role);
}

/* Record the answer to a welcome; one that did not arrive is sent again later. */
static void
settle_welcome(Attempt *attempt, Holds *holds)
{
	WawpOutcome outcome = attempt->people[0].outcome;

	messages_record_welcome(attempt, "answered");
	attempt->is_recording = true;
	hold_by_outcome(attempt, holds, outcome);
	if (attempt_provably_not_sent(attempt))
		messages_repeat_welcome(attempt);
}

/* Settle the rows of an attempt that are not settled yet. */
static void
settle_attempt(void *subject, Holds *holds)
{
	Attempt    *attempt = subject;
	bool		has_record = attempt->is_recorded || attempt->is_recording;

	attempt->is_put_off = attempt_meets_busy_hold(attempt);
	if (attempt->is_put_off)
		return;
	if (!has_record)
		requester_note_accepted(attempt);
	if (attempt->kind == ATTEMPT_WELCOME && !has_record)
		settle_welcome(attempt, holds);
	else if (!has_record)
	{
		record_answers(attempt);
		if (answer_is_success(attempt) &&
			(hold_get(holds, &attempt->lane->key, true) || hold_get(holds, &attempt->lane->key, false)))
			hold_ease_after_success(attempt->instance->name, attempt->lane->key.group);
		if (attempt->kind == ATTEMPT_INVITATION && attempt->people[0].outcome == WAWP_ACCEPTED)
			hold_ease_messages(&attempt->lane->key, holds);
	}
	for (int i = 0; i < attempt->n; i++)
		if (!attempt->is_settled[i] && !attempt->is_settling[i])
			settle_row(attempt, i, holds);
}

/*
 * ---- rows that end alike
 */

/* Rows that wait for a list as of times that differ by less are taken for alike. */
#define ALIKE_US (10 * INT64CONST(1000))

/* A row of an attempt that ends by its answer, or waits for a list. */
typedef struct Ending
{
	Attempt    *attempt;
	int			i;				/* of the attempt */
	IntentChange change;
} Ending;

/* True if a row is done by its answer alone, or waits for a list; fill *ending. */
static bool
ending_of(Attempt *attempt, int i, Ending *ending)
{
	OutcomeNext next = outcome_info(attempt->people[i].outcome)->next;

	if (attempt->is_settled[i] || is_of_erased(&attempt->intents[i]) || (next != NEXT_DONE && next != NEXT_VERIFY))
		return false;
	*ending = (Ending) {attempt, i, change_by_answer(attempt, i)};
	return ending->change.state == STATE_DONE || ending->change.state == STATE_VERIFYING;
}

/* True if two rows get the same state, outcome, code and detail, and if they wait, for the same time. */
static bool
ending_is_like(const Ending *a, const Ending *b)
{
	const char *detail = a->change.detail ? a->change.detail : "";
	const char *other = b->change.detail ? b->change.detail : "";

	return a->change.state == b->change.state && a->change.outcome == b->change.outcome && a->change.code == b->change.code &&
		llabs(a->change.next_attempt_at - b->change.next_attempt_at) < ALIKE_US && strcmp(detail, other) == 0;
}

/* List the rows of judged attempts that are done by their answers or wait, at most ENDINGS_AT_ONCE; return how many. */
static int
endings_list(Ending *endings)
{
	int			n = 0;

	for (Attempt *attempt = attempt_next_judged(NULL); attempt; attempt = attempt_next_judged(attempt))
	{
		if (attempt->kind != ATTEMPT_CHANGE || !attempt->is_named || attempt_hold_scope(attempt) != SCOPE_NONE)
			continue;
		for (int i = 0; i < attempt->n && n < ENDINGS_AT_ONCE; i++)
			n += ending_of(attempt, i, &endings[n]);
	}
	return n;
}

/*
 * Give the rows that end like the first of those listed their state.  Move the
 * others to the front of the list; return how many there are.
 */
static int
endings_settle_first(Ending *endings, int n)
{
	const Ending first = endings[0];
	Ending		alike[ENDINGS_AT_ONCE];
	const Intent *intents[ENDINGS_AT_ONCE];
	bool		settled[ENDINGS_AT_ONCE];
	int			nalike = 0;
	int			left = 0;

	for (int k = 0; k < n; k++)
	{
		const Ending *ending = &endings[k];

		if (ending_is_like(&first, ending))
		{
			intents[nalike] = &ending->attempt->intents[ending->i];
			alike[nalike++] = *ending;
		}
		else
			endings[left++] = *ending;
	}
	if (nalike < 2)
		return left;
	if (intent_state_is_final(first.change.state))
		intent_settle_alike(intents, nalike, &first.change, settled);
	else
		intent_settle_several(intents, nalike, STATE_SENDING, &first.change, settled);
	for (int k = 0; k < nalike; k++)
		alike[k].attempt->is_ahead[alike[k].i] = settled[k];
	return left;
}

/* Give such rows their state in as few statements as there are kinds of answers; settle_row() does the rest. */
static void
endings_settle(void)
{
	Ending	   *endings = palloc(sizeof(Ending) * ENDINGS_AT_ONCE);
	int			n = endings_list(endings);

	while (n > 1)
		n = endings_settle_first(endings, n);
	pfree(endings);
}

/*
 * ---- attempts
 */

/* Settle an attempt and let its lane go on, or leave it as it was for a later cycle. */
static void
settle_or_postpone(Attempt *attempt, Holds *holds)
{
	if (attempt->is_named && savepoint_run(settle_attempt, attempt, holds) && !attempt->is_put_off)
	{
		lanes_note(&attempt->lane->key, clock_monotonic_ms());
		return;
	}
	attempt->is_recording = false;
	memset(attempt->is_settling, 0, sizeof(bool) * attempt->n);
	has_left = true;
}

/* Settle all attempts whose answers were read. */
void
settle_judged(Holds *holds)
{
	bool		may_be_erased;

	has_left = false;
	may_be_erased = attempt_next_judged(NULL) != NULL && erasure_key_exists();
	for (Attempt *attempt = attempt_next_judged(NULL); attempt; attempt = attempt_next_judged(attempt))
	{
		if (may_be_erased)
			forget_erased(attempt);
		attempt->is_named = attempt_follow_instance(attempt);
		memset(attempt->is_ahead, 0, sizeof(bool) * attempt->n);
	}
	if (!savepoint_is_on())
	{
		endings_settle();
		membership_gather();
	}
	for (Attempt *attempt = attempt_next_judged(NULL); attempt; attempt = attempt_next_judged(attempt))
		settle_or_postpone(attempt, holds);
	membership_end_gathering();
}

/* True if the last cycle has left rows of judged attempts to the next. */
bool
settle_has_left(void)
{
	return has_left;
}
