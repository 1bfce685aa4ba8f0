/*-------------------------------------------------------------------------
 *
 * invite.c
 *	  Invitations: a message to who could not be added.
 *
 * Needs the group's link and subject, policy, pace and no quiet hours; what is
 * not known yet is told to the caller, who asks.  An invitation is sent once:
 * what became of one that may have arrived is never that it is sent again.  In
 * the cycle's transaction; the text belongs to the flight.
 *
 * IDENTIFICATION
 *	  src/worker/invite.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/intent.h"
#include "tables/lanehold.h"
#include "tables/membership.h"
#include "tables/trail.h"
#include "throttle/budget.h"
#include "utils/memutils.h"
#include "worker/completion.h"
#include "worker/instance_cache.h"
#include "worker/invite.h"
#include "worker/lanes.h"
#include "worker/group_cache.h"

#include "compat.h"

/* An invitation whose link could not be had. */
#define LINK_RETRY_MS (15 * 1000)
#define DEFAULT_INVITE_TEXT "You are invited to the WhatsApp group \"{group}\": {link}"

/* Text of an invitation; UTF-8, of the flight's memory. */
static const char *
invitation_text(const CachedGroup *cached, const GroupSettings *settings)
{
	const char *text = text_from_server(settings->invite_text ? settings->invite_text : DEFAULT_INVITE_TEXT);
	const TextPart parts[] = {{"{group}", cached->subject ? cached->subject : ""}, {"{link}", cached->link}};

	return text_fill(text, parts, lengthof(parts), CALL_MAX_MESSAGE_CHARS);
}

/* Claims an invitation and records it as sent; false when it is gone. */
static bool
launch_invitation(Lane *lane, const Intent *intent, const GroupSettings *settings, const BudgetPermit *permit)
{
	Flight	   *flight = flight_make(lane, 1);
	MemoryContext caller;
	ErrorData  *error;

	flight->n = 1;
	flight->intents[0] = *intent;
	flight->intents[0].action = ACTION_INVITE;
	flight_keep_intents(flight);
	flight_name_people(flight);
	error = flight_prepare(flight);
	if (error || !intent_begin_invite(intent))
	{
		if (error)
			intent_postpone(intent, GetCurrentTimestamp() + RESOLVE_RETRY_MS * INT64CONST(1000), NULL);
		MemoryContextDelete(flight->memory);
		return false;
	}
	caller = MemoryContextSwitchTo(flight->memory);
	flight->text = invitation_text(group_cache_get(&lane->key), settings);
	MemoryContextSwitchTo(caller);
	flight->operation = WAWP_OP_SEND;
	flight->is_paced = true;
	flight->permit = *permit;
	membership_note_invited(&lane->key, contact_id(intent->jid.text));
	group_cache_forget_link(&lane->key);
	flight_launch(flight);
	return true;
}

/* The link could not be had: what kept it holds the lane, or it is tried again. */
static TimestampTz
after_failed_link(Lane *lane, CachedGroup *cached, Holds *holds)
{
	cached->link_failed = false;
	lanehold_for(&lane->key, holds, cached->link_outcome, -1, NULL);
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
	ending_note(intent, STATE_FAILED);
}

/* Invites somebody as far as policy, pace and what is known allow; when to go on. */
TimestampTz
invite_person(Lane *lane, const Intent *intent, const WawpInstance *described, Holds *holds, InfoNeed *need)
{
	GroupSettings settings = settings_get(&lane->key);
	CachedGroup *cached = group_cache_get(&lane->key);
	const char *no_invite = follow_no_invite(intent, described);
	TimestampTz quiet = instance_quiet_until(described, GetCurrentTimestamp());
	BudgetPermit permit;

	if (no_invite)
		give_up_invitation(intent, no_invite);
	else if (quiet != 0)
		return quiet;
	else if (cached->link_failed)
		return after_failed_link(lane, cached, holds);
	else if (cached->link == NULL)
		*need = (InfoNeed) {ASK_LINK, NULL};
	else if (!cached->has_info)
		*need = (InfoNeed) {ASK_INFO, NULL};
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

/*
 * What became of an invitation.  It is sent once: only what provably did not
 * arrive is sent again.
 */
IntentChange
invite_change(const Flight *flight)
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
	else if (person->outcome == WAWP_SERVER_ERROR && !flight_provably_not_sent(flight))
		change.outcome = WAWP_UNKNOWN_RESULT;
	else if (flight_provably_not_sent(flight))
	{
		change.state = STATE_INVITING;
		change.next_attempt_at = GetCurrentTimestamp() + LINK_RETRY_MS * INT64CONST(1000);
		change.give_attempt_back = true;
	}
	return change;
}
