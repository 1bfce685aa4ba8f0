/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  The two messages that are sent: invitations to people, welcomes to groups.
 *
 * An invitation goes to a person who could not be added.  It needs the group's
 * link and subject, and is sent as far as policy, pace and quiet hours allow;
 * missing information is returned to the caller, who requests it.  It is sent
 * once: one that may have arrived is never repeated.  What was asked for before
 * a promotion or a take-over may have been sent then, and is not sent.
 *
 * A welcome goes to a group, for all who joined since the last one, some time
 * after the first of them.  They are marked in the transaction that launches the
 * message and unmarked when it provably did not arrive.
 *
 * Everything is in the cycle's transaction; a text belongs to its request's
 * memory.  The time of the next welcome outlives an abort.
 *
 * IDENTIFICATION
 *	  src/worker/messages.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/intent.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "throttle/budget.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/admission.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"

#include "compat.h"

/* An invitation whose link could not be had. */
#define LINK_RETRY_MS (15 * 1000)
#define DEFAULT_INVITE_TEXT "You are invited to the WhatsApp group \"{group}\": {link}"
/* A welcome that could not be sent, or has to wait. */
#define WELCOME_RETRY_MS (15 * 1000)
/* The instance has no room for another request. */
#define ROOM_RETRY_MS 1000
#define WELCOMES_AT_ONCE 1000

static int64 next_welcome = 0;	/* monotonic ms */

/*
 * ---- invitations
 */

/*
 * True if the person may have been invited without a trace here: the intent was
 * asked for before a promotion, or was due when it was taken over, and whoever
 * served it until then may have done more than is known.
 */
static bool
invitation_is_doubtful(const Intent *intent)
{
	TimestampTz before = identity_doubtful_before();

	return intent->was_taken_over || (before != 0 && intent_was_asked_before(intent->id, before));
}

/*
 * Return the JID that WhatsApp has for a person, by which an addition is sent as
 * well: the one it gave for the number, or the other form of a number that it does
 * not have, if it has that and numbers are checked; an invalid one: that of the intent.
 */
static Jid
invitation_address(const Jid *person, const GroupSettings *settings)
{
	Jid			other = jid_other_form(person);
	Jid			known_as;
	Contact		contact;

	(void) contact_look_up(person->text, &contact);
	known_as = contact_known_as(&contact);
	if (known_as.kind == JID_PERSON || !settings->check_exists || !contact.is_checked || contact.is_registered ||
		other.kind != JID_PERSON || !contact_look_up(other.text, &contact) || !contact.is_checked || !contact.is_registered)
		return known_as;
	known_as = contact_known_as(&contact);
	return known_as.kind == JID_PERSON ? known_as : other;
}

/* Return why a person is on the opt-out list by any of their ids, as an addition asks; NULL if they are not. */
static const char *
invitation_opt_out(const Intent *intent)
{
	const char *jid = intent->jid.text;
	Contact		contact;

	(void) contact_look_up(jid, &contact);
	return suppression_reason_of_all(jid, intent->jid.kind == JID_LID ? contact_with_lid(jid) : contact.lid,
									 contact.known_as, intent->lane.group);
}

/*
 * True if an invitation to the group is still open, unless it was the intent's own,
 * may not have been sent, and the intent was retried since.
 */
static bool
invitation_is_open(const Intent *intent, const WawpInstance *instance)
{
	Membership	memory;

	return membership_get(&intent->lane, contact_id(intent->jid.text), &memory) && memory.invited_at != 0 &&
		memory.invited_at > GetCurrentTimestamp() - instance->invite_ttl_ms * 1000 &&
		!intent_doubts_invitation(intent->id, memory.invited_at);
}

/*
 * Return why a person who cannot be added is not invited either; NULL if they
 * are to be invited.  *outcome becomes unknown_result if they may have been.
 */
const char *
messages_why_not_invited(const Intent *intent, const WawpInstance *instance, WawpOutcome *outcome)
{
	GroupSettings settings = settings_get(&intent->lane);
	const char *reason = invitation_opt_out(intent);

	if (intent->superseded)
		return "not invited: the opposite was asked for";
	if (intent->action != ACTION_INVITE && !intent->invite)
		return "not invited: the intent says so";
	if (intent->action != ACTION_INVITE && !settings.invite)
		return "not invited: the group's settings say so";
	if (reason)
		return psprintf("not invited: suppressed (%s)", reason);
	if (intent_is_over(intent))
		return "not invited: the membership was to end before";
	if (intent->action != ACTION_INVITE && invitation_is_open(intent, instance))
		return "not invited: the last invitation is still open";
	if (!invitation_is_doubtful(intent))
		return NULL;
	*outcome = WAWP_UNKNOWN_RESULT;
	return "not invited: asked for before a standby was promoted or the queue was taken over, so that an invitation"
		" may have been sent; wawp_retry() sends one";
}

/* Return the text of an invitation in the current memory, in UTF-8. */
static const char *
invitation_text(const CachedGroup *cached, const GroupSettings *settings)
{
	const char *text = text_from_server(settings->invite_text ? settings->invite_text : DEFAULT_INVITE_TEXT);
	const TextPart parts[] = {{"{group}", cached->subject ? cached->subject : ""}, {"{link}", cached->link}};

	return text_fill(text, parts, lengthof(parts), CALL_MAX_MESSAGE_CHARS);
}

/* Fail an intent whose requester may not use the instance any more, as a claim does; false if what is wrong may be repaired. */
static bool
invitation_refuse(const Intent *intent, const ErrorData *error)
{
	AuditRecord record = audit_record_of_intent(intent, "refused");
	IntentChange change = {.state = STATE_FAILED, .detail = error->message};

	if (error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		return false;
	audit_write(&record);
	(void) intent_settle(intent->id, STATE_INVITING, &change);
	completion_note_failures();
	lanes_note(&intent->lane, clock_monotonic_ms());
	return true;
}

/* Fail an intent that waits to be invited for, if its requester may not use the instance any more; false otherwise. */
bool
messages_refuse(const Intent *intent)
{
	WawpInstance *instance;
	const ErrorData *error = attempt_read_instance(&intent->lane, intent, &instance);

	return error && invitation_refuse(intent, error);
}

/* Claim an invitation and record it as sent.  Return false if the row is gone or the requester cannot send it. */
static bool
invitation_launch(Lane *lane, const Intent *intent, const GroupSettings *settings, const BudgetPermit *permit)
{
	Attempt    *attempt = attempt_make(ATTEMPT_INVITATION, lane, 1);
	MemoryContext caller;
	ErrorData  *error;

	attempt->n = 1;
	attempt->intents[0] = *intent;
	attempt->intents[0].action = ACTION_INVITE;
	attempt->intents[0].known_as = invitation_address(&intent->jid, settings);
	attempt_keep_intents(attempt);
	attempt_name_people(attempt);
	error = attempt_prepare(attempt);
	if (error || !intent_begin_invite(intent))
	{
		if (error && !invitation_refuse(intent, error))
			intent_postpone(intent, GetCurrentTimestamp() + INSTANCE_RETRY_MS * INT64CONST(1000), NULL);
		MemoryContextDelete(attempt->memory);
		return false;
	}
	caller = MemoryContextSwitchTo(attempt->memory);
	attempt->text = invitation_text(group_cache_get(&lane->key), settings);
	MemoryContextSwitchTo(caller);
	attempt->permit = *permit;
	membership_note_invited(&lane->key, contact_id(intent->jid.text));
	group_cache_forget_link(&lane->key);
	attempt_launch(attempt);
	return true;
}

/* Handle a link that could not be read: hold the lane for the reason, and return when to try again. */
static TimestampTz
invitation_after_failed_link(Lane *lane, CachedGroup *cached, Holds *holds)
{
	cached->has_no_link = false;
	hold_for_outcome(&lane->key, holds, cached->link_outcome, -1, NULL);
	return GetCurrentTimestamp() + LINK_RETRY_MS * INT64CONST(1000);
}

/* Fail an intent whose person is not invited. */
static void
invitation_give_up(const Intent *intent, WawpOutcome outcome, const char *why)
{
	IntentChange change = {
		.state = STATE_FAILED,
		.has_outcome = true,
		.outcome = outcome,
		.code = intent->code,
		.detail = why
	};

	(void) intent_settle(intent->id, STATE_INVITING, &change);
	audit_write_intent(intent, "policy", change.outcome, why);
	completion_note_end(intent, STATE_FAILED, change.outcome);
}

/*
 * True if WhatsApp lets the account write to no strangers now, or that has to be
 * asked first; *later is when to go on.  The instance's invitations are held, until
 * the end that the session tells, if it does; the intent then says what it waits for.
 * While somebody ends that hold in a transaction that is still open, none leaves.
 */
static bool
invitation_is_limited(const Lane *lane, const Intent *intent, Holds *holds, InfoNeed *need, TimestampTz *later)
{
	const char *reason;
	TimestampTz until = group_cache_limited_until(&lane->key, &reason, need);
	int64		held_ms;

	*later = GetCurrentTimestamp();
	if (need->question != 0)
		return true;
	if (until != 0)
		intent_postpone(intent, until, reason);
	hold_messages(&lane->key, holds, until);
	held_ms = hold_messages_until(holds, &lane->key);
	if (held_ms == 0 && hold_messages_is_busy(&lane->key))
	{
		*later += USECS_PER_SEC;
		return true;
	}
	*later += (held_ms - clock_monotonic_ms() + 1) * INT64CONST(1000);
	return held_ms != 0;
}

/*
 * Invite a person as far as policy, pace and quiet hours allow.  Return when
 * to go on with them; set *need to information that has to be requested first.
 */
TimestampTz
messages_invite(Lane *lane, const Intent *intent, const WawpInstance *described, Holds *holds, InfoNeed *need)
{
	GroupSettings settings = settings_get(&lane->key);
	CachedGroup *cached = group_cache_get(&lane->key);
	WawpOutcome outcome = intent->has_outcome ? intent->outcome : WAWP_SUPPRESSED;
	const char *no_invite = messages_why_not_invited(intent, described, &outcome);
	TimestampTz quiet = instance_quiet_until(described, GetCurrentTimestamp());
	TimestampTz later;
	BudgetPermit permit;

	/* the next cycle cancels it */
	if (intent->expires_at != 0 && intent->expires_at <= GetCurrentTimestamp())
		return GetCurrentTimestamp() + USECS_PER_SEC;
	if (no_invite)
		invitation_give_up(intent, outcome, no_invite);
	else if (quiet != 0)
		return quiet;
	else if (invitation_is_limited(lane, intent, holds, need, &later))
		return later;
	else if (cached->has_no_link)
		return invitation_after_failed_link(lane, cached, holds);
	else if (cached->link == NULL)
		*need = (InfoNeed) {ASK_LINK, NULL};
	else if (!cached->has_info)
		*need = (InfoNeed) {ASK_INFO, NULL};
	else
	{
		permit = budget_take_invite(described);
		if (permit.granted == 0)
			return GetCurrentTimestamp() + Max(permit.next_at - clock_monotonic_us(), 0) + 1000;
		if (!invitation_launch(lane, intent, &settings, &permit))
			budget_give_back(&permit, 1);
	}
	return GetCurrentTimestamp();
}

/*
 * Return the change that the answer to an invitation makes to its intent.  It
 * is sent again only if it provably did not arrive.
 */
IntentChange
messages_invitation_change(const Attempt *attempt)
{
	const CallPerson *person = &attempt->people[0];
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
	else if (person->outcome == WAWP_SERVER_ERROR && !attempt_provably_not_sent(attempt))
		change.outcome = WAWP_UNKNOWN_RESULT;
	else if (attempt_provably_not_sent(attempt))
	{
		change.state = STATE_INVITING;
		change.next_attempt_at = GetCurrentTimestamp();
		/* a hold of invitations has an end of its own, for which the session is asked at once */
		if (person->outcome != WAWP_ACCOUNT_RESTRICTED)
			change.next_attempt_at += LINK_RETRY_MS * INT64CONST(1000);
		change.give_attempt_back = true;
	}
	return change;
}

/*
 * ---- welcomes
 */

/* Write the audit record of a welcome, which has no intent. */
void
messages_record_welcome(const Attempt *attempt, const char *kind)
{
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(attempt->lane->key.instance),
		.instance_id = attempt->instance->instance_id,
		.group_jid = attempt->lane->key.group,
		.requested_by = attempt->intents[0].requested_by,
		.origin = "welcome",
		.request_id = attempt->request_id,
		.duration_ms = -1,
		.detail = "{\"call\": \"wawp_send_text\"}"
	};

	if (attempt->stage == ATTEMPT_JUDGED)
	{
		record.outcome = outcome_info(attempt->people[0].outcome)->name;
		record.http_status = attempt->http_status;
		record.code = attempt->people[0].code;
		record.duration_ms = attempt->duration_ms;
	}
	audit_write(&record);
}

/* Mark the people to be welcomed, and record and launch the message. */
static void
welcome_launch(Lane *lane, const BudgetPermit *permit)
{
	MembershipWelcome welcome;
	TimestampTz now = GetCurrentTimestamp();
	Attempt    *attempt;
	TextPart	names = {"{names}", ""};
	MemoryContext caller;

	if (!membership_take_unwelcomed(&lane->key, now, &welcome))
	{
		budget_give_back(permit, 1);
		return;
	}
	attempt = attempt_make(ATTEMPT_WELCOME, lane, 1);
	attempt->intents[0].requester = welcome.requester;
	attempt->intents[0].requested_by = attempt_keep_text(attempt, welcome.requested_by);
	if (attempt_prepare(attempt) != NULL || requester_hold_until(NameStr(lane->key.instance), welcome.requester) != 0)
	{
		budget_give_back(permit, 1);
		membership_give_welcome_back(&lane->key, now);
		MemoryContextDelete(attempt->memory);
		return;
	}
	caller = MemoryContextSwitchTo(attempt->memory);
	names.text = welcome.names;
	attempt->text = text_fill(text_from_server(welcome.text), &names, 1, CALL_MAX_MESSAGE_CHARS);
	MemoryContextSwitchTo(caller);
	attempt->welcomed_at = now;
	attempt->permit = *permit;
	messages_record_welcome(attempt, "sent");
	attempt_launch(attempt);
}

/* Welcome those who joined a group as far as pace and holds allow.  Return when to try again, in monotonic ms. */
static int64
welcome_group(const LaneKey *key, Holds *holds)
{
	int64		later = clock_monotonic_ms() + WELCOME_RETRY_MS;
	WawpInstance *described;
	TimestampTz quiet;
	BudgetPermit permit;
	Lane	   *lane;

	if (hold_others_until(holds, key) > 0 || hold_messages_until(holds, key) > 0 || instance_cache_get(key, INSTANCE_OF_NOBODY, &described) != NULL)
		return later;
	quiet = instance_quiet_until(described, GetCurrentTimestamp());
	if (quiet != 0)
		return clock_monotonic_of(quiet);
	lane = lanes_note(key, clock_monotonic_ms());
	if (!admission_has_room(lane, described) || !lanes_has_share(lane->instance))
		return Min(later, clock_monotonic_ms() + ROOM_RETRY_MS);
	permit = budget_take_invite(described);
	if (permit.granted == 0)
		return (permit.next_at + 999) / 1000;
	welcome_launch(lane, &permit);
	return later;
}

/* Send one message to each group that somebody joined long enough ago. */
void
messages_welcome_due(Holds *holds)
{
	int64		now = clock_monotonic_ms();
	TimestampTz asked_at = GetCurrentTimestamp();
	TimestampTz next;
	List	   *due;
	ListCell   *lc;

	completion_forget_joined();
	due = membership_due_welcomes(WELCOMES_AT_ONCE);
	next_welcome = list_length(due) == WELCOMES_AT_ONCE ? now + WELCOME_RETRY_MS : CLOCK_NEVER;
	foreach(lc, due)
	{
		const LaneKey *key = lfirst(lc);

		next_welcome = Min(next_welcome, admission_may_claim(now) ? welcome_group(key, holds) : now + WELCOME_RETRY_MS);
	}
	/* others may have become due since then */
	next = membership_next_welcome(asked_at);
	if (next != 0)
		next_welcome = Min(next_welcome, clock_monotonic_of(next) + 1);
}

/* Return when the next welcome may be due, in monotonic ms. */
int64
messages_next_welcome(void)
{
	return completion_has_joined() ? 0 : next_welcome;
}

/* Put welcomes off for a while, after an error. */
void
messages_put_off_welcomes(void)
{
	completion_forget_joined();
	next_welcome = clock_monotonic_ms() + WELCOME_RETRY_MS;
}

/* Unmark the people of a welcome that did not arrive, so that they are welcomed later. */
void
messages_repeat_welcome(Attempt *attempt)
{
	membership_give_welcome_back(&attempt->lane->key, attempt->welcomed_at);
	next_welcome = Min(next_welcome, clock_monotonic_ms() + WELCOME_RETRY_MS);
}
