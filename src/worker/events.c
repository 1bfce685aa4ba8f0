/*-------------------------------------------------------------------------
 *
 * events.c
 *	  Applies events that the gateway has sent.
 *
 * An event is evidence.  There is no order among events, some are lost and some
 * come twice, so each is applied as a fact with a time, and a complete member list
 * decides where they leave a doubt.  Only a time by WhatsApp's own clock is
 * compared with ours; an event without one lets the group be looked at instead.
 * The effect of an event is recorded with its id, in the audit log and in its row.
 *
 * A cycle applies a portion, in its transaction and its memory; one that fails is
 * put off and tried again, so that it stops no other.  Of one about several people
 * its row has how far it has come, and nobody is applied twice: what was done since
 * by others, a suppression lifted or a hold ended, stays.  Nothing is sent from here.
 *
 * IDENTIFICATION
 *	  src/worker/events.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "client/instance.h"
#include "protocol/backoff.h"
#include "protocol/event.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/erasure_key.h"
#include "tables/suppression.h"
#include "tables/webhook_event.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/completion.h"
#include "worker/events.h"
#include "worker/group_cache.h"
#include "worker/lanes.h"
#include "worker/savepoint.h"

#include "compat.h"

/* A portion: so many events at a time, for so long or so many bytes of them. */
#define EVENTS_AT_ONCE 16
#define PORTION_MS 100
#define PORTION_BYTES (4 * 1024 * 1024)
/* The next begins so long after it, so that a stream of events does not cost a commit of ours for each. */
#define PORTION_GAP_MS 50
/* One that fails is tried again after 1, 2, 4 ... seconds, so often. */
#define FIRST_RETRY_MS 1000
#define LONGEST_RETRY_MS (5 * 60 * 1000)
#define MOST_TRIES 12
/* Clocks of WhatsApp, the gateway and ours differ by no more, and WhatsApp's times have whole seconds. */
#define CLOCK_TOLERANCE_US (5 * USECS_PER_SEC)
/* Lists lag: one that was requested so much later shows what came of an event, and what was before it does not count any more. */
#define LIST_LAG_US (2 * USECS_PER_MINUTE)
/* A removal of ours explains that a person is gone for so long. */
#define OWN_REMOVAL_US (10 * USECS_PER_MINUTE)
/* The reason on the opt-out list of who is gone, if it is not told how. */
#define LEFT_BY_EVENT "left the group or was removed by others, according to an event that does not say which"
/* Events about people who are not known let a group's list be read that often, at most. */
#define HASTEN_GAP_MS (10 * 1000)
/* The answer to a request is waited for that long, then for half the time since the event came. */
#define ON_THE_WIRE_US (200 * 1000)
/* More is not said of what an event has led to. */
#define RESULT_BYTES 2000
/* Rows that somebody else has locked are tried again after that. */
#define LOCKED_RETRY_MS 200

/* The progress of an event with one of its people: not applied, applied but for an answer that is waited for, applied. */
#define PERSON_OPEN '-'
#define PERSON_EARLY 'w'
#define PERSON_DONE 'd'

/* An event that is being applied. */
typedef struct EventWork
{
	const WebhookTask *task;
	Event		event;
	LaneKey		lane;			/* group "": it is about none */
	TimestampTz sent_at;		/* when the gateway sent it, else when it was received */
	TimestampTz at;				/* when it happened, as far as is known */
	bool		is_dated;		/* ... by WhatsApp's own clock */
	const char *result;			/* what it has led to */
	char	   *progress;		/* PERSON_... of each of its people; NULL: it is not about members */
	bool		has_failed;		/* one of its people could not be applied */
	bool		has_own_change;	/* it was applied to our own account */
	bool		is_early;		/* a request for the person who is applied is not answered yet ... */
	bool		is_late;		/* ... or it was not when all else was applied to them */
} EventWork;

static int64 next_ms = 0;		/* when something is to be applied; monotonic ms */
static int64 portion_ms = 0;	/* when the last portion ended, likewise; 0: there was none */
static bool has_ended_hold;		/* since the cycle began: lanes have to be looked at */

/* Note that events have arrived. */
void
events_note_arrival(void)
{
	next_ms = portion_ms == 0 ? 0 : Min(next_ms, portion_ms + PORTION_GAP_MS);
}

/* Return when the next event is to be applied, in monotonic ms. */
int64
events_next_ms(void)
{
	return next_ms;
}

/*
 * ---- parts that several events share
 */

/* Add to what an event has led to. */
static void
work_add_result(EventWork *work, const char *what)
{
	if (work->result == NULL)
		work->result = pstrdup(what);
	else if (strlen(work->result) < RESULT_BYTES)
		work->result = psprintf("%s; %s", work->result, what);
}

/* Record what an event has led to for a person ("": nobody), and why. */
static void
work_record(EventWork *work, const char *jid, const char *outcome, const char *what)
{
	AuditRecord record = {
		.kind = "webhook",
		.instance = NameStr(work->lane.instance),
		.instance_id = work->task->key.instance_id,
		.group_jid = *work->lane.group ? work->lane.group : NULL,
		.contact_id = *jid ? contact_id(jid) : 0,
		.outcome = outcome,
		.origin = "webhook",
		.duration_ms = -1,
		.detail = audit_detail(psprintf("%s, by event %s %s", what, work->task->key.event, work->task->key.id), NULL)
	};

	audit_write(&record);
	work_add_result(work, what);
}

/* Name a person by the form of the number that is known here, where the country has two. */
static void
person_use_known_form(EventPerson *person)
{
	Jid			other = jid_other_form(&person->phone);

	if (other.kind == JID_PERSON && contact_known_id(person->phone.text) == 0 && contact_known_id(other.text) != 0)
		person->phone = other;
}

/* Complete a person by what is known: the number of a LID, from the event's pairs or the contacts. */
static void
person_complete(const EventWork *work, EventPerson *person)
{
	const char *number;

	for (int i = 0; i < work->event.npairs && person->phone.kind != JID_PERSON; i++)
		if (jid_same(&work->event.pairs[i].lid, &person->lid))
			person->phone = work->event.pairs[i].phone;
	if (person->phone.kind == JID_PERSON)
		person_use_known_form(person);
	else if (person->lid.kind == JID_LID && (number = contact_with_lid(person->lid.text)) != NULL)
		person->phone = jid_parse(number, strlen(number));
}

/* Return the JID that a person is known by here: the number if it is known. */
static const char *
person_jid(const EventPerson *person)
{
	return person->phone.kind == JID_PERSON ? person->phone.text : person->lid.text;
}

/* Return another id that intents may name the person by: the LID, else the other form of the number; NULL: none. */
static const char *
person_other_id(const EventPerson *person)
{
	Jid			other = jid_other_form(&person->phone);

	if (person->lid.kind == JID_LID)
		return person->lid.text;
	return other.kind == JID_PERSON ? pstrdup(other.text) : NULL;
}

/* True if a person is our own account, as far as the event or the session tells. */
static bool
person_is_us(const EventWork *work, const EventPerson *person)
{
	EventPerson own;

	group_cache_own_ids(&work->lane, &own.phone, &own.lid);
	return event_is_same_person(&own, person) || event_is_same_person(&work->event.me, person);
}

/* Return the group's list if it is newer than the event by more than lists lag; NULL: there is none. */
static const CachedGroup *
work_newer_list(const EventWork *work)
{
	const CachedGroup *cached = group_cache_find(&work->lane);

	return cached && work->is_dated && group_cache_has_list_since(cached, work->at + LIST_LAG_US) ? cached : NULL;
}

/* Facts about a group that this process keeps between events, which have no order. */
typedef struct GroupMemory
{
	LaneKey		lane;			/* hash key, must be first */
	char		instance_id[NAMEDATALEN];	/* of another account nothing is kept */
	TimestampTz role_at;		/* we became admin, or no admin; 0: not known */
	TimestampTz member_at;		/* we joined, or left; likewise */
	int64		hastened_ms;	/* all who wait were looked for, monotonic */
} GroupMemory;

/* Return the memory of an event's group; of a new one all is 0. */
static GroupMemory *
group_memory(const EventWork *work)
{
	static HTAB *memories = NULL;
	HASHCTL		by_lane = {.keysize = sizeof(LaneKey), .entrysize = sizeof(GroupMemory), .hcxt = TopMemoryContext};
	GroupMemory *memory;
	bool		found;

	if (memories == NULL)
		memories = hash_create("wawp groups of events", 64, &by_lane, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	memory = hash_search(memories, &work->lane, HASH_ENTER, &found);
	if (!found || strncmp(memory->instance_id, work->task->key.instance_id, NAMEDATALEN - 1) != 0)
		memset((char *) memory + sizeof(LaneKey), 0, sizeof(GroupMemory) - sizeof(LaneKey));
	strlcpy(memory->instance_id, work->task->key.instance_id, NAMEDATALEN);
	return memory;
}

/*
 * ---- the account
 */

/* Hold invitations, or let them go, as the event tells of the account's limits. */
static void
apply_limits(EventWork *work, Holds *holds)
{
	const AccountLimits *limits = group_cache_note_limits(&work->lane, text_from_server(work->task->key.instance_id),
														  &work->event.limits, work->sent_at);
	int64		until_ms = limits ? account_limits_until(limits, clock_unix_ms(GetCurrentTimestamp())) : 0;

	if (limits == NULL)
		return;
	if (until_ms != 0)
	{
		if (hold_messages_until(holds, &work->lane) == 0)
			work_add_result(work, "invitations are held");
		hold_messages(&work->lane, holds, clock_time_of_unix_ms(until_ms));
	}
	else if (work->event.limits.tells_timelock && hold_end_messages(&work->lane, holds, work->sent_at + CLOCK_TOLERANCE_US))
	{
		intent_hasten_invitations(NameStr(work->lane.instance));
		has_ended_hold = true;
		work_add_result(work, "invitations go on");
	}
}

/* Hold an instance whose session is not usable, or let it go on. */
static void
apply_session(EventWork *work, Holds *holds)
{
	LaneKey		lane = lane_key(NameStr(work->lane.instance), "");

	if (webhook_status_is_later(&work->task->key, work->at))
		work_add_result(work, "a later state is known");
	else if (work->event.session != SESSION_WORKING)
	{
		hold_for_session(&lane, holds, work->event.session == SESSION_STARTING);
		work_add_result(work, psprintf("the session is %s", text_to_server(work->event.status)));
	}
	else if (hold_end_outcome(&lane, holds, WAWP_SESSION_DOWN, true, work->at + CLOCK_TOLERANCE_US))
	{
		has_ended_hold = true;
		work_add_result(work, "the session is usable again");
	}
}

/* Hold invitations: WhatsApp has refused a message to a stranger. */
static void
apply_refused_message(EventWork *work, Holds *holds)
{
	hold_refused_messages(&work->lane, holds, -1);
	group_cache_forget_limits(&work->lane);
	work_add_result(work, "WhatsApp lets the account write to no strangers");
}

/* Note that a person has written to us, and if they opt out. */
static void
apply_message(EventWork *work, Holds *holds pg_attribute_unused())
{
	EventPerson sender = work->event.people[0];
	const char *jid;

	person_complete(work, &sender);
	jid = person_jid(&sender);
	if (contact_note_inbound(jid, work->at))
		work_add_result(work, "wrote to us");
	if (webhook_is_opt_out(text_to_server(work->event.text)) &&
		suppression_set_since(jid, "", "opted out by a message", work->at, 0))
		work_record(work, jid, "suppressed", "opted out by a message");
}

/*
 * ---- our own account in a group
 */

/* Note a change of ours; false if a later one of its kind is known. */
static bool
own_note_change(const EventWork *work, bool is_role)
{
	GroupMemory *memory = group_memory(work);
	TimestampTz *last = is_role ? &memory->role_at : &memory->member_at;

	if (*last > work->at)
		return false;
	*last = work->at;
	return true;
}

/* True if a list that is newer than the event shows that we are in the group and, if that is what it is about, an admin. */
static bool
own_list_denies(const EventWork *work, WawpOutcome outcome)
{
	const CachedGroup *cached = work_newer_list(work);
	bool		ask_self;
	OwnRole		own = cached ? group_cache_own_role(cached, &ask_self) : OWN_UNKNOWN;

	return own == OWN_ADMIN || (own != OWN_UNKNOWN && outcome != WAWP_NOT_ADMIN);
}

/* Hold the group because of what happened to us; a list decides when the hold ends. */
static void
own_hold_group(EventWork *work, Holds *holds, WawpOutcome outcome, const char *what)
{
	bool		was_held = hold_is_active(hold_get(holds, &work->lane, false));

	if (own_list_denies(work, outcome))
	{
		work_add_result(work, "about us; a newer member list shows otherwise");
		return;
	}
	group_cache_forget_list(&work->lane);
	hold_set_lane(&work->lane, holds, outcome, false, -1, NULL);
	if (was_held)
		work_add_result(work, what);
	else
		work_record(work, "", outcome_info(outcome)->name, what);
}

/* Let a group that was held be tried: a list that is read first decides. */
static void
own_try_group(EventWork *work, Holds *holds, WawpOutcome outcome, const char *what)
{
	group_cache_forget_list(&work->lane);
	group_cache_forget_info(&work->lane);
	if (hold_try_again(&work->lane, holds, outcome))
		lanes_note(&work->lane, clock_monotonic_ms());
	work_add_result(work, what);
}

/* Apply that we joined or left a group, or became admin or no admin of it. */
static void
apply_own_change(EventWork *work, Holds *holds, EventChange change)
{
	/* of two who may be our account, one is */
	if (work->has_own_change)
		return;
	work->has_own_change = true;
	if (!own_note_change(work, change == CHANGE_PROMOTE || change == CHANGE_DEMOTE))
	{
		work_add_result(work, "about us; a later change is known");
		return;
	}
	switch (change)
	{
		case CHANGE_JOIN:
			own_try_group(work, holds, WAWP_GROUP_NOT_FOUND, "we are in the group");
			break;
		case CHANGE_LEAVE:
			own_hold_group(work, holds, WAWP_GROUP_NOT_FOUND, "we are not in the group any more");
			break;
		case CHANGE_PROMOTE:
			own_try_group(work, holds, WAWP_NOT_ADMIN, "we are an admin of the group");
			break;
		case CHANGE_DEMOTE:
			own_hold_group(work, holds, WAWP_NOT_ADMIN, "we are no admin of the group any more");
			break;
		case CHANGE_NONE:
			break;
	}
}

/* False if a person is certainly not our own account, as far as the event or the session tells. */
static bool
person_may_be_us(const EventWork *work, const EventPerson *person)
{
	EventPerson own;

	group_cache_own_ids(&work->lane, &own.phone, &own.lid);
	return event_may_be_same_person(&own, person) && event_may_be_same_person(&work->event.me, person);
}

/* True if one of an event's people may be our own account. */
static bool
work_may_name_us(const EventWork *work, const EventPerson *people, int n)
{
	for (int i = 0; i < n; i++)
	{
		EventPerson person = people[i];

		if (!person_may_be_us(work, &person))
			continue;
		person_complete(work, &person);
		if (person_may_be_us(work, &person))
			return true;
	}
	return false;
}

/* True if an event of the kind that engines send of our own account alone names nobody who is certainly somebody else. */
static bool
work_is_of_us(const EventWork *work)
{
	const Event *event = &work->event;

	return event->is_of_own && event->npeople == 0 &&
		(event->nnamed == 0 || work_may_name_us(work, event->named, event->nnamed));
}

/* Apply that our account is in a group, unless its members are told and all of them are others. */
static void
apply_group_joined(EventWork *work, Holds *holds)
{
	if (work->event.npeople > 0 && work->event.nunread == 0 &&
		!work_may_name_us(work, work->event.people, work->event.npeople))
		work_add_result(work, "about a group of whose members none is our account");
	else
		apply_own_change(work, holds, CHANGE_JOIN);
}

static void
apply_group_left(EventWork *work, Holds *holds)
{
	apply_own_change(work, holds, CHANGE_LEAVE);
}

/* Forget what a group has changed: its link, and who approves. */
static void
apply_group_changed(EventWork *work, Holds *holds pg_attribute_unused())
{
	if (work->event.has_link)
		group_cache_forget_link(&work->lane);
	if (work->event.has_approval || work->event.has_link)
		group_cache_forget_info(&work->lane);
	work_add_result(work, "the group is read again when it is needed");
}

/*
 * ---- people in a group
 */

/* True if the event happened after the intent's last request left, by clocks that may differ a little. */
static bool
work_is_after_request(const EventWork *work, const Intent *intent)
{
	TimestampTz sent_at = work->is_dated ? audit_sent_at(intent->id) : 0;

	return sent_at != 0 && work->at >= sent_at - CLOCK_TOLERANCE_US;
}

/* Settle an intent by the event, without a list. */
static void
work_settle(EventWork *work, const Intent *intent, IntentState state, WawpOutcome outcome, const char *what)
{
	const char *detail = psprintf("%s, by event %s %s", what, work->task->key.event, work->task->key.id);
	Intent		seen = *intent;
	IntentChange change = {
		.state = state,
		.has_outcome = true,
		.outcome = outcome,
		.code = intent->code,
		.detail = state == STATE_DONE ? NULL : detail
	};

	if (!intent_settle(intent->id, intent->state, &change))
		return;
	audit_write_intent(intent, "verified", outcome, detail);
	seen.seen_at = work->is_dated ? Min(work->at, GetCurrentTimestamp()) : 0;
	if (work->is_late)
		completion_note_late_end(&seen, change.state, outcome);
	else
		completion_note_end(&seen, change.state, outcome);
	lanes_note(&work->lane, clock_monotonic_ms());
	work_add_result(work, psprintf("%s, which settles intent " INT64_FORMAT, what, intent->id));
}

/* Let a person who waits in the group be looked for in its list now. */
static void
work_hasten(EventWork *work, const EventPerson *person)
{
	if (!intent_hasten(&work->lane, person_jid(person), person_other_id(person)))
		return;
	lanes_verify(&work->lane, clock_monotonic_ms());
	work_add_result(work, "the member list is read");
}

/* Let all who wait in the group be looked for, unless that was done lately: the event may be about one of them. */
static void
work_hasten_all(EventWork *work)
{
	GroupMemory *memory = group_memory(work);
	int64		now = clock_monotonic_ms();

	if ((memory->hastened_ms != 0 && now - memory->hastened_ms < HASTEN_GAP_MS) || !intent_hasten(&work->lane, NULL, NULL))
		return;
	memory->hastened_ms = now;
	lanes_verify(&work->lane, now);
	work_add_result(work, "the member list is read");
}

/* Return the intents that wait for a person in the group. */
static List *
work_waiting(const EventWork *work, const EventPerson *person)
{
	return intent_waiting_of(&work->lane, person_jid(person), person_other_id(person));
}

/* Note if a request for a person is on the wire: its answer may come after the event that tells what it did. */
static void
work_note_early(EventWork *work, const EventPerson *person)
{
	work->is_early |= work->is_dated &&
		intent_has_sending(&work->lane, person_jid(person), person_other_id(person));
}

/* True if an intent is fulfilled by a change. */
static bool
intent_is_fulfilled(const Intent *intent, EventChange change)
{
	switch (change)
	{
		case CHANGE_JOIN:
			return intent->action == ACTION_ADD || intent->action == ACTION_INVITE;
		case CHANGE_LEAVE:
			return intent->action == ACTION_REMOVE;
		case CHANGE_PROMOTE:
			return intent->action == ACTION_PROMOTE;
		case CHANGE_DEMOTE:
			return intent->action == ACTION_DEMOTE;
		case CHANGE_NONE:
			break;
	}
	return false;
}

/* Return the outcome of an intent that a change fulfils. */
static WawpOutcome
intent_fulfilment(const Intent *intent, EventChange change)
{
	switch (change)
	{
		case CHANGE_LEAVE:
			return WAWP_REMOVED;
		case CHANGE_PROMOTE:
			return WAWP_PROMOTED;
		case CHANGE_DEMOTE:
			return WAWP_DEMOTED;
		default:
			break;
	}
	if (intent->state == STATE_INVITED)
		return WAWP_JOINED_BY_INVITE;
	return intent->action == ACTION_INVITE ? WAWP_ALREADY_MEMBER : WAWP_ADDED;
}

/* Return the change of an event's people, in words. */
static const char *
work_change_text(const EventWork *work)
{
	switch (work->event.change)
	{
		case CHANGE_JOIN:
			return work->event.by_link ? "joined by the link" : "joined";
		case CHANGE_LEAVE:
			return "removed";
		case CHANGE_PROMOTE:
			return "made an admin";
		case CHANGE_DEMOTE:
			return "made a plain member";
		case CHANGE_NONE:
			break;
	}
	return "changed";
}

/* Settle the intents of a person that the change fulfils, or let the list be read where it may be older than they. */
static void
person_fulfil(EventWork *work, const EventPerson *person)
{
	EventChange change = work->event.change;
	List	   *waiting = work_waiting(work, person);
	ListCell   *lc;

	if (waiting == NIL)
		work_note_early(work, person);
	foreach(lc, waiting)
	{
		const Intent *intent = lfirst(lc);

		if (!intent_is_fulfilled(intent, change))
			continue;
		if (work_is_after_request(work, intent))
			work_settle(work, intent, STATE_DONE, intent_fulfilment(intent, change), work_change_text(work));
		else
			work_hasten(work, person);
	}
}

/* Apply that a person joined.  By a time of WhatsApp's, that ends what an earlier leaving has led to. */
static void
person_joined(EventWork *work, const EventPerson *person)
{
	static const WawpOutcome ended[] = {WAWP_RECENTLY_LEFT, WAWP_REMOVED_BY_ADMIN};
	const char *jid = person_jid(person);
	int64		contact = contact_known_id(jid);

	person_fulfil(work, person);
	if (!work->is_dated)
		return;
	if (contact != 0)
		membership_note_joined_at(&work->lane, contact, work->at);
	for (size_t i = 0; i < lengthof(ended); i++)
		if (suppression_end_before(jid, work->lane.group, outcome_info(ended[i])->text, work->at))
			work_record(work, jid, NULL, "joined again");
	if (suppression_end_before(jid, work->lane.group, LEFT_BY_EVENT, work->at))
		work_record(work, jid, NULL, "joined again");
}

/* Return the outcome of a person's leaving; WAWP_ACCEPTED: it is our doing, or not told. */
static WawpOutcome
person_leaving(const EventWork *work, const EventPerson *person, int64 contact)
{
	EventActor	actor = event_actor(&work->event, person);

	if (actor == ACTOR_SELF)
		return WAWP_RECENTLY_LEFT;
	if (audit_has_removal(&work->lane, contact, work->at - OWN_REMOVAL_US))
		return WAWP_REMOVED;
	return actor == ACTOR_OTHER ? WAWP_REMOVED_BY_ADMIN : WAWP_ACCEPTED;
}

/* Keep a person who left from being added again: for good if it is told how, else for a time. */
static void
person_suppress(EventWork *work, const char *jid, WawpOutcome leaving)
{
	bool		is_told = leaving != WAWP_ACCEPTED;
	TimestampTz until = is_told ? 0 : GetCurrentTimestamp() + wawp_inferred_suppression * USECS_PER_MINUTE;

	if (!is_told && wawp_inferred_suppression == 0)
		return;
	if (suppression_set_since(jid, work->lane.group, is_told ? outcome_info(leaving)->text : LEFT_BY_EVENT, work->at, until))
		work_record(work, jid, is_told ? outcome_info(leaving)->name : NULL,
					leaving == WAWP_RECENTLY_LEFT ? "left" : is_told ? "removed by somebody else" : "gone, it is not told how");
}

/* End the intents of a person who left for whom we still wait. */
static void
person_end_waiting(EventWork *work, const EventPerson *person, WawpOutcome leaving)
{
	ListCell   *lc;

	foreach(lc, work_waiting(work, person))
	{
		const Intent *intent = lfirst(lc);

		if (intent->action != ACTION_ADD && intent->action != ACTION_INVITE)
			continue;
		if ((leaving == WAWP_RECENTLY_LEFT || leaving == WAWP_REMOVED_BY_ADMIN) && work_is_after_request(work, intent))
			work_settle(work, intent, STATE_FAILED, leaving, leaving == WAWP_RECENTLY_LEFT ? "left" : "removed by somebody else");
		else
			work_hasten(work, person);
	}
}

/* True if a list that is newer than the event shows the person. */
static bool
person_is_listed(const EventWork *work, const EventPerson *person)
{
	const CachedGroup *cached = work_newer_list(work);

	return cached && (wire_find_member(&cached->list, &person->phone) || wire_find_member(&cached->list, &person->lid));
}

/* True if a person who left is known to have been in the group later. */
static bool
person_is_back(EventWork *work, const EventPerson *person, int64 contact)
{
	Membership	memory = {0};

	if (contact != 0)
		(void) membership_get(&work->lane, contact, &memory);
	/* WhatsApp's times are whole seconds */
	if (work->is_dated)
		work->at += USECS_PER_SEC - 1 - work->at % USECS_PER_SEC;
	if (memory.seen_at <= work->at && !person_is_listed(work, person))
		return false;
	work_add_result(work, "left, and was seen in the group later");
	return true;
}

/* Apply that a person left or was removed, unless they are known to have been in the group later. */
static void
person_left(EventWork *work, const EventPerson *person)
{
	const char *jid = person_jid(person);
	int64		contact = contact_known_id(jid);
	WawpOutcome leaving;

	if (person_is_back(work, person, contact))
		return;
	leaving = person_leaving(work, person, contact);
	if (leaving == WAWP_REMOVED)
		work_add_result(work, "our own removal");
	else
	{
		group_cache_forget_list(&work->lane);
		person_suppress(work, jid, leaving);
	}
	person_fulfil(work, person);
	person_end_waiting(work, person, leaving);
	if (contact != 0)
		membership_note_gone_at(&work->lane, contact, work->at);
}

/* Settle the intents of a person to whom all else of the event was applied, since the answer that was waited for has come. */
static void
person_settle_late(EventWork *work, const EventPerson *person)
{
	int64		contact = contact_known_id(person_jid(person));

	if (work->event.change == CHANGE_LEAVE && person_is_back(work, person, contact))
		return;
	person_fulfil(work, person);
	if (work->event.change == CHANGE_LEAVE)
		person_end_waiting(work, person, person_leaving(work, person, contact));
}

/* An event and one of its people. */
typedef struct PersonWork
{
	EventWork  *work;
	EventPerson person;
} PersonWork;

/* Apply a change to one of its people. */
static void
apply_to_person(void *subject, Holds *holds)
{
	PersonWork *one = subject;
	EventWork  *work = one->work;
	EventPerson person = one->person;

	/* first: we may be named by a LID whose number only the event's pairs tell */
	person_complete(work, &person);
	if (person_is_us(work, &person) || (work->event.is_of_own && person_may_be_us(work, &person)))
	{
		apply_own_change(work, holds, work->event.change);
		return;
	}
	if (person.phone.kind != JID_PERSON && contact_known_id(person.lid.text) == 0)
	{
		work_hasten_all(work);
		work_add_result(work, "a LID that is not known");
	}
	else if (work->is_late)
		person_settle_late(work, &person);
	else if (work->event.change == CHANGE_JOIN)
		person_joined(work, &person);
	else if (work->event.change == CHANGE_LEAVE)
		person_left(work, &person);
	else
		person_fulfil(work, &person);
}

/* Return how far the event has come with each of its people, palloc'd; another version may have read other people in it. */
static char *
work_progress(const EventWork *work)
{
	size_t		n = work->event.npeople;
	char	   *progress;

	if (work->task->progress && strlen(work->task->progress) == n)
		return pstrdup(work->task->progress);
	progress = palloc(n + 1);
	memset(progress, PERSON_OPEN, n);
	progress[n] = '\0';
	return progress;
}

/* Apply a change to the people of a group to whom it was not applied; one of whom that fails loses none of the others. */
static void
apply_members(EventWork *work, Holds *holds)
{
	if (work->event.change == CHANGE_NONE)
		return;
	if (work_is_of_us(work))
	{
		apply_own_change(work, holds, work->event.change);
		return;
	}
	if (work->event.nunread > 0)
	{
		work_hasten_all(work);
		work_add_result(work, "about people who are not told in a form that is understood");
	}
	work->progress = work_progress(work);
	if (strchr(work->progress, PERSON_DONE))
		work_add_result(work, "applied to others of its people before");
	for (int i = 0; i < work->event.npeople; i++)
	{
		PersonWork	one = {work, work->event.people[i]};

		if (work->progress[i] == PERSON_DONE)
			continue;
		work->is_early = false;
		work->is_late = work->progress[i] == PERSON_EARLY;
		if (savepoint_run(apply_to_person, &one, holds))
			work->progress[i] = work->is_early ? PERSON_EARLY : PERSON_DONE;
		else
			work->has_failed = true;
	}
}

/* Apply a request to join: the list of requests is read, and one that has ended settles who waited. */
static void
apply_join_request(EventWork *work, Holds *holds pg_attribute_unused())
{
	EventPerson person;
	ListCell   *lc;

	if (work->event.npeople == 0 || work->event.is_proposal)
	{
		work_hasten_all(work);
		return;
	}
	person = work->event.people[0];
	person_complete(work, &person);
	foreach(lc, work->event.has_ended ? work_waiting(work, &person) : NIL)
	{
		const Intent *intent = lfirst(lc);

		if (intent->state == STATE_PENDING_APPROVAL && work_is_after_request(work, intent))
			work_settle(work, intent, STATE_FAILED, WAWP_PENDING_APPROVAL,
						"the request to join has ended: an admin has rejected it, or it was withdrawn");
	}
	work_hasten(work, &person);
}

/*
 * ---- events
 */

static const struct
{
	EventKind	kind;
	void		(*apply) (EventWork *work, Holds *holds);
}			kinds[] =
{
	{EVENT_MEMBERS, apply_members},
	{EVENT_GROUP_JOINED, apply_group_joined},
	{EVENT_GROUP_LEFT, apply_group_left},
	{EVENT_GROUP_CHANGED, apply_group_changed},
	{EVENT_JOIN_REQUEST, apply_join_request},
	{EVENT_SESSION, apply_session},
	{EVENT_MESSAGE, apply_message},
	{EVENT_MESSAGE_REFUSED, apply_refused_message},
};

/* True if an event is about another account than the instance's, as far as that is known by the same kind of id. */
static bool
work_is_of_other_account(const EventWork *work, const char *account)
{
	EventPerson told = work->event.me;
	EventPerson own;

	if (work->event.instance_id && pg_strcasecmp(text_to_server(work->event.instance_id), account) != 0)
		return true;
	group_cache_own_ids(&work->lane, &own.phone, &own.lid);
	person_complete(work, &told);
	return !event_may_be_same_person(&own, &told);
}

/* Return why an event is not applied; NULL: it is. */
static const char *
work_obstacle(const EventWork *work)
{
	const char *account = instance_id_of(work->task->key.instance);

	/* a repetition of one that the gateway does not date is not new either */
	TimestampTz told_at = work->event.sent_ms ? work->sent_at : work->at;

	if (account == NULL)
		return "the instance does not exist any more";
	if (work->task->key.instance_id == NULL || strcmp(account, work->task->key.instance_id) != 0)
		return "the instance has another account now";
	if (work->event.name == NULL)
		return "not understood";
	if (wawp_retention > 0 && told_at < GetCurrentTimestamp() - wawp_retention * USECS_PER_MINUTE)
		return "older than wawp.retention";
	if (work->event.has_unread_me)
		return WEBHOOK_UNREAD_ACCOUNT;
	return work_is_of_other_account(work, account) ? WEBHOOK_OTHER_ACCOUNT : NULL;
}

/* Read the times of an event. */
static void
work_set_times(EventWork *work)
{
	const Event *event = &work->event;

	work->sent_at = event->sent_ms ? clock_time_of_unix_ms(event->sent_ms) : work->task->received_at;
	work->is_dated = event->happened_ms != 0;
	work->at = work->is_dated ? clock_time_of_unix_ms(event->happened_ms) : work->sent_at;
}

/* True if an event is not tried again when it fails now. */
static bool
event_is_tried_last(const WebhookTask *task)
{
	return task->tries + 1 >= MOST_TRIES;
}

/* Put off an event that failed or, at last, give it up; progress: how far it has come with its people, NULL: no farther than before. */
static void
event_fail(const WebhookTask *task, const char *progress)
{
	if (!event_is_tried_last(task))
		webhook_put_off(&task->key,
						GetCurrentTimestamp() + backoff_delay(FIRST_RETRY_MS, LONGEST_RETRY_MS, task->tries + 1) * 1000, true,
						progress, "could not be applied, is tried again; the server log says why");
	else
		webhook_end(&task->key, task->received_at, "could not be applied; the server log says why");
}

/* True if an event names somebody who was erased. */
static bool
work_names_erased(const EventWork *work)
{
	if (!erasure_key_exists())
		return false;
	for (int i = 0; i < work->event.npeople; i++)
		if (suppression_is_erased(work->event.people[i].phone.text) || suppression_is_erased(work->event.people[i].lid.text))
			return true;
	for (int i = 0; i < work->event.npairs; i++)
		if (suppression_is_erased(work->event.pairs[i].phone.text) || suppression_is_erased(work->event.pairs[i].lid.text))
			return true;
	return false;
}

/* Apply an event, but what of it was applied before. */
static void
work_apply(EventWork *work, Holds *holds)
{
	if (work->task->progress == NULL)
	{
		for (int i = 0; i < work->event.npairs; i++)
			contact_learn_lid(work->event.pairs[i].phone.text, work->event.pairs[i].lid.text);
		apply_limits(work, holds);
	}
	for (size_t i = 0; i < lengthof(kinds); i++)
		if (kinds[i].kind == work->event.kind)
			kinds[i].apply(work, holds);
}

/* True if one of an event's people is still waited for. */
static bool
work_waits(const EventWork *work)
{
	return work->progress && strchr(work->progress, PERSON_EARLY) != NULL;
}

/* Apply one event and note in its row what that has led to. */
static void
event_apply(void *subject, Holds *holds)
{
	EventWork	work = {.task = subject};
	const char *body = work.task->body ? text_from_server(work.task->body) : "";
	TimestampTz now = GetCurrentTimestamp();
	const char *obstacle;

	(void) event_read(body, strlen(body), clock_unix_ms(now), &work.event);
	work.lane = lane_key(work.task->key.instance, work.event.group.kind == JID_GROUP ? work.event.group.text : "");
	work_set_times(&work);
	obstacle = work_obstacle(&work);
	if (obstacle)
		work_add_result(&work, obstacle);
	else
		work_apply(&work, holds);
	if (work.has_failed && !(event_is_tried_last(work.task) && work_names_erased(&work)))
		event_fail(work.task, work.progress);
	else if (work_waits(&work))
		webhook_put_off(&work.task->key, now + Max(ON_THE_WIRE_US, (now - work.task->received_at) / 2), false, work.progress,
						"waits for the answer to a request");
	else if (work_names_erased(&work))
		webhook_forget(&work.task->key);
	else
		webhook_end(&work.task->key, work.at, work.result ? work.result : "no effect");
}

/* Apply one event in memory of its own.  One that fails is put off or, at last, given up. */
static void
events_apply_one(const WebhookTask *task, Holds *holds)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "wawp event", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);

	if (!savepoint_run(event_apply, (void *) task, holds))
		event_fail(task, NULL);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

/* Set when to go on; has_more: a portion was applied, and there may be more. */
static void
events_set_next(bool has_more)
{
	TimestampTz next = has_more ? 0 : webhook_next();

	if (has_more)
		next_ms = 0;
	else if (next == 0)
		next_ms = CLOCK_NEVER;
	else if (next <= GetCurrentTimestamp())
		next_ms = clock_monotonic_ms() + LOCKED_RETRY_MS;
	else
		next_ms = clock_monotonic_of(next) + 1;
}

/* Apply a portion of the events that have arrived; true if lanes have to be looked at again. */
bool
events_apply(Holds *holds)
{
	int64		until_ms = clock_monotonic_ms() + PORTION_MS;
	size_t		bytes = 0;
	List	   *tasks;

	has_ended_hold = false;
	do
	{
		ListCell   *lc;

		tasks = webhook_take_waiting(EVENTS_AT_ONCE);
		foreach(lc, tasks)
		{
			const WebhookTask *task = lfirst(lc);

			bytes += task->body ? strlen(task->body) : 0;
			events_apply_one(task, holds);
		}
	} while (list_length(tasks) == EVENTS_AT_ONCE && bytes < PORTION_BYTES && clock_monotonic_ms() < until_ms);
	events_set_next(list_length(tasks) == EVENTS_AT_ONCE);
	if (tasks != NIL)
		portion_ms = clock_monotonic_ms();
	return has_ended_hold;
}
