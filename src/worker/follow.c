/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  What precedes and what follows a request: policy, looks, memory.
 *
 * Before an add leaves, what is known is asked: is the person left in peace,
 * in the group already, on WhatsApp; is the group full, are we its admin.
 * Afterwards one member list settles everybody who waits in the group.
 * What a list shows is member_list.c's to say; who it cannot tell of is
 * neither in nor out, and is not invited.  A list asked for before the answer
 * came does not count, and before somebody's absence does, the group is asked about itself.
 *
 * This file decides and writes rows; requests are made by attempt.c and
 * group_cache.c.  Statements run as intent.c's do.
 *
 * IDENTIFICATION
 *	  src/worker/follow.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/contact.h"
#include "tables/membership.h"
#include "tables/suppression.h"
#include "tables/trail.h"
#include "worker/completion.h"
#include "worker/follow.h"
#include "worker/messages.h"

#include "compat.h"

/* A list of that age still says who is a member before an add. */
#define LIST_MAX_AGE_US (60 * USECS_PER_SEC)
/* Between the two lists that show that somebody has left. */
#define SECOND_LOOK_US (2 * USECS_PER_SEC)
/* A group's list is not read more often, but for a shorter first delay. */
#define READ_GAP_MS 1000
/* ... and so often before who waits for it is put off for longer. */
#define MAX_READ_FAILURES 5
/* Who cannot be told from a LID is looked for that long. */
#define LONGEST_DOUBT_US USECS_PER_DAY
/* Between two looks whether an invited person has joined. */
#define FIRST_WAIT_US (30 * USECS_PER_SEC)
#define LONGEST_WAIT_US USECS_PER_HOUR
/* A row that a user has locked is looked at again. */
#define LOCKED_RETRY_US (USECS_PER_SEC / 5)
/* Looks in the time an invitation is open, at least. */
#define LOOKS_PER_INVITATION 20
/* People of one group who are looked at in one cycle: more than a group holds. */
#define PEOPLE_AT_ONCE 2000

/* Tells if a person is in the list; *need is what may have to be asked for that. */
static Presence
presence_of(const CachedGroup *cached, const Jid *person, Contact *contact, InfoNeed *need)
{
	Jid			lid = group_cache_lid_of(contact);
	MembersKnown known = group_cache_known(cached, 0);
	Presence	presence = members_presence(&cached->list, &known, person, &lid);

	if (presence == PRESENCE_UNKNOWN)
		group_cache_want_lid(person, need);
	else if (presence == PRESENCE_PRESENT)
		group_cache_learn_lid(cached, person, contact);
	return presence;
}

/*
 * ---- before an add
 */

/* True if there is no room; *need: what has to be asked before that is known. */
static bool
is_full(const CachedGroup *cached, int capacity, InfoNeed *need)
{
	MembersKnown known = group_cache_known(cached, capacity);

	if (members_size(&cached->list, &known) + cached->added < capacity)
		return false;
	if (members_count(&cached->list) + cached->added < capacity && group_cache_wants_info(cached))
		*need = (InfoNeed) {ASK_INFO, NULL};
	return true;
}

/* What the list and the group say; a list that cannot be read says nothing. */
FollowGroup
follow_check_group(const CachedGroup *cached, const GroupSettings *settings, InfoNeed *need)
{
	bool		ask_self;
	OwnRole		own;

	if (!group_cache_has_list_since(cached, GetCurrentTimestamp() - LIST_MAX_AGE_US))
	{
		*need = (InfoNeed) {ASK_LIST, NULL};
		return group_cache_is_unreadable(cached) ? GROUP_OPEN : GROUP_UNKNOWN;
	}
	need->question = 0;
	if (is_full(cached, settings->capacity, need))
		return need->question == 0 ? GROUP_FULL : GROUP_UNKNOWN;
	own = group_cache_own_role(cached, &ask_self);
	if (ask_self)
	{
		*need = (InfoNeed) {ASK_SELF, NULL};
		return GROUP_UNKNOWN;
	}
	if (own != OWN_MEMBER)
		return GROUP_OPEN;
	if (!cached->has_info)
	{
		*need = (InfoNeed) {ASK_INFO, NULL};
		return GROUP_UNKNOWN;
	}
	return cached->only_admins_add ? GROUP_NOT_OURS : GROUP_OPEN;
}

static void
refuse(const Intent *intent, WawpOutcome outcome, const char *why, IntentChange *change)
{
	*change = (IntentChange) {
		.state = STATE_FAILED,
		.has_outcome = true,
		.outcome = outcome,
		.detail = why,
		.give_attempt_back = true
	};
	trail_write(intent, "policy", outcome, why);
}

/* Not yet: the same request is looked at again then. */
static void
put_off(const Intent *intent, TimestampTz at, IntentChange *change)
{
	*change = (IntentChange) {
		.state = STATE_QUEUED,
		.has_outcome = intent->has_outcome,
		.outcome = intent->outcome,
		.code = intent->code,
		.detail = intent->detail,
		.next_attempt_at = at,
		.give_attempt_back = true
	};
}

/* True if somebody was seen in the group, and neither left it by our doing nor is in a list that could show them. */
static bool
is_missed(const Intent *intent, int64 contact, const CachedGroup *cached, const WawpInstance *instance, Membership *memory)
{
	return wawp_inferred_suppression > 0 && membership_get(&intent->lane, contact, memory) && memory->seen_at != 0 &&
		group_cache_has_list_since(cached, memory->seen_at + instance->delay_ms[0] * INT64CONST(1000)) &&
		!trail_has_removal(&intent->lane, contact, memory->seen_at);
}

/* Leaves somebody in peace who, as two lists show, left the group or was taken out by others. */
static void
infer_leaving(Intent *intent, int64 contact, const Membership *memory, IntentChange *change)
{
	const char *reason = psprintf("left the group: was seen in it on %s, and is in neither of two complete member lists",
								  pnstrdup(clock_text(memory->seen_at), strlen("2000-01-01")));

	if (memory->left_at == 0)
		membership_note_gone(&intent->lane, contact);
	suppression_set(intent->jid.text, intent->lane.group, reason,
					GetCurrentTimestamp() + wawp_inferred_suppression * USECS_PER_MINUTE);
	refuse(intent, WAWP_SUPPRESSED, psprintf("suppressed: %s", reason), change);
}

/*
 * Who was seen in the group, was not taken out by us and is not in it any more
 * has left, or was removed by others: they are not added again by themselves.
 * That takes two complete lists.  True: *change is what becomes of the intent,
 * for good or until the second list can be read; else *need may have to be asked.
 */
static bool
has_left(Intent *intent, const Contact *contact, const CachedGroup *cached, const WawpInstance *instance,
		 InfoNeed *need, IntentChange *change)
{
	Membership	memory;
	int64		since;
	int64		wait;

	if (!is_missed(intent, contact->id, cached, instance, &memory))
		return false;
	since = group_cache_absent_since(cached, contact->id, memory.seen_at);
	wait = Max(since + SECOND_LOOK_US - clock_monotonic_us(), 0);
	if (group_cache_is_unreadable(cached))
		wait = Max(wait, group_cache_read_backoff_ms(cached) * 1000);
	if (group_cache_wants_info(cached))
		*need = (InfoNeed) {ASK_INFO, NULL};
	else if (cached->asked_at - since >= SECOND_LOOK_US)
	{
		infer_leaving(intent, contact->id, &memory, change);
		return true;
	}
	else if (wait > 0)
	{
		put_off(intent, GetCurrentTimestamp() + wait, change);
		return true;
	}
	else
		*need = (InfoNeed) {ASK_LIST, NULL};
	return false;
}

static Jid
known_as(const Contact *contact)
{
	Jid			none = {.kind = JID_INVALID};

	return contact->known_as ? jid_parse(contact->known_as, strlen(contact->known_as)) : none;
}

/* Is a number known not to be on WhatsApp?  Asks when that is not known. */
static bool
is_missing(const char *jid, const Contact *contact, InfoNeed *need)
{
	if (contact->is_checked)
		return !contact->is_registered;
	if (!group_cache_was_asked(ASK_EXISTS, jid) && need->question == 0)
		*need = (InfoNeed) {ASK_EXISTS, pstrdup(jid)};
	return false;
}

/*
 * Is the number not on WhatsApp, as far as the group wants that asked?  One
 * that is written in two ways may be known by the other.
 */
static bool
is_unregistered(Intent *intent, const Contact *contact, const GroupSettings *settings, InfoNeed *need)
{
	Jid			other;
	Contact		other_contact;

	intent->known_as = known_as(contact);
	if (!settings->check_exists || !is_missing(intent->jid.text, contact, need))
		return false;
	other = jid_other_form(&intent->jid);
	if (other.kind != JID_PERSON)
		return true;
	other_contact = contact_get(other.text);
	if (is_missing(other.text, &other_contact, need))
		return true;
	intent->known_as = other_contact.known_as ? known_as(&other_contact) : other;
	return false;
}

/*
 * Is there a reason not to send this add?  Then *change says what becomes of
 * it.  *need: what has to be asked before that is known.  Fills in known_as.
 */
bool
follow_refuses(Intent *intent, const CachedGroup *cached, const WawpInstance *instance,
			   const GroupSettings *settings, InfoNeed *need, IntentChange *change)
{
	const char *reason = suppression_reason(intent->jid.text, intent->lane.group);
	Contact		contact = contact_get(intent->jid.text);
	Presence	presence = PRESENCE_UNKNOWN;

	intent->lid = group_cache_lid_of(&contact);
	if (group_cache_has_list_since(cached, GetCurrentTimestamp() - LIST_MAX_AGE_US))
		presence = presence_of(cached, &intent->jid, &contact, need);
	if (presence == PRESENCE_PRESENT)
	{
		*change = (IntentChange) {
			.state = STATE_DONE,
			.has_outcome = true,
			.outcome = WAWP_ALREADY_MEMBER,
			.give_attempt_back = true
		};
		trail_write(intent, "verified", WAWP_ALREADY_MEMBER, NULL);
	}
	else if (reason)
		refuse(intent, WAWP_SUPPRESSED, psprintf("suppressed: %s", reason), change);
	else if (presence == PRESENCE_ABSENT && has_left(intent, &contact, cached, instance, need, change))
		;
	else if (settings->contact_within_us > 0 &&
			 contact.last_inbound_at < GetCurrentTimestamp() - settings->contact_within_us)
		refuse(intent, WAWP_SUPPRESSED, "require_contact_within: the person has not written to us lately", change);
	else if (is_unregistered(intent, &contact, settings, need))
		refuse(intent, WAWP_NOT_ON_WHATSAPP, "check_exists: the number is not on WhatsApp", change);
	else
		return false;
	need->question = 0;
	return true;
}

/*
 * ---- when to look
 */

TimestampTz
follow_first_look(const WawpInstance *instance)
{
	return GetCurrentTimestamp() + instance->delay_ms[0] * INT64CONST(1000);
}

/* The look after one that was due then; 0: that was the last. */
static TimestampTz
next_look(const Intent *intent, const WawpInstance *instance)
{
	for (int i = 0; i < instance->ndelays; i++)
	{
		TimestampTz at = intent->since + instance->delay_ms[i] * INT64CONST(1000);

		if (at > intent->due + USECS_PER_SEC / 1000)
			return at;
	}
	return 0;
}

/* Who was invited, or waits for approval, is looked for at growing intervals. */
TimestampTz
follow_next_wait(const Intent *intent, const WawpInstance *instance, TimestampTz since)
{
	int64		elapsed = GetCurrentTimestamp() - since;
	int64		first = Min(FIRST_WAIT_US, instance->invite_ttl_ms * 1000 / LOOKS_PER_INVITATION);
	TimestampTz next = GetCurrentTimestamp() + Min(Max(elapsed / 4, first), LONGEST_WAIT_US);
	TimestampTz end = since + instance->invite_ttl_ms * 1000;

	/* not at an end that is past: that would be again and again at once */
	if (intent->state == STATE_PENDING_APPROVAL || end <= GetCurrentTimestamp())
		return next;
	return Min(next, end);
}

/*
 * ---- looking
 */

/* Judges one who waits by the list; asks for their LID when that decides. */
static MembersFinding
judge(const Intent *intent, const CachedGroup *cached, bool is_last, InfoNeed *need)
{
	Contact		contact = contact_get(intent->jid.text);
	Jid			lid = group_cache_lid_of(&contact);
	int			capacity = is_last && intent->action == ACTION_ADD ? settings_get(&intent->lane).capacity : 0;
	MembersKnown known = group_cache_known(cached, capacity);
	MembersCase asked = {
		.person = &intent->jid,
		.lid = &lid,
		.operation = intent->action == ACTION_INVITE ? WAWP_OP_SEND : intent_operation(intent->action),
		.was_invited = intent->state == STATE_INVITED,
		.outcome = intent->has_outcome ? intent->outcome : WAWP_ACCEPTED,
		.is_last = is_last
	};

	MembersFinding finding = members_judge(&cached->list, &known, &asked);

	if (finding.verdict == VERDICT_UNKNOWN)
		group_cache_want_lid(&intent->jid, need);
	else if (!finding.by_absence)
		group_cache_learn_lid(cached, &intent->jid, &contact);
	return finding;
}

static void
settle(const Intent *intent, IntentState state, WawpOutcome outcome, const char *detail,
	   TimestampTz next, FollowUp *up)
{
	IntentChange change = {
		.state = state,
		.has_outcome = true,
		.outcome = outcome,
		.code = intent->code,
		.detail = detail,
		.next_attempt_at = next
	};

	(void) intent_settle(intent->id, intent->state, &change);
	state = change.state;
	trail_write(intent, "verified", outcome, detail);
	if (state == STATE_DONE || state == STATE_FAILED)
		completion_remember(intent, outcome, state);
	if (state == STATE_DONE)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = intent->id;
		up->done = lappend(up->done, id);
		if (intent->until != 0)
			up->until = up->until == 0 ? intent->until : Min(up->until, intent->until);
	}
	up->any_failed |= state == STATE_FAILED || state == STATE_CANCELLED;
	up->any_queued |= state == STATE_QUEUED;
	if (next != 0 && state != STATE_QUEUED && state != STATE_CANCELLED)
		up->next = up->next == 0 ? next : Min(up->next, next);
}

static void
postpone(const Intent *intent, TimestampTz due, const char *why, FollowUp *up)
{
	intent_postpone(intent, due, why);
	up->next = up->next == 0 ? due : Min(up->next, due);
}

/* Returns the time to ask again after a result nobody knows: the engine's 400 may be a limit (see settle.c), which needs time. */
static TimestampTz
repeat_at(const Intent *intent)
{
	int64		delay = retry_delay_ms(WAWP_UNKNOWN_RESULT, intent->attempts, -1, pg_prng_double(&pg_global_prng_state));

	return intent->code == 400 ? GetCurrentTimestamp() + delay * 1000 : 0;
}

/* Not in, at the last look. */
static void
settle_absent_add(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, FollowUp *up)
{
	const char *no_invite;

	if (intent->outcome == WAWP_UNKNOWN_RESULT && intent->attempts < RETRY_MAX_ATTEMPTS)
		settle(intent, STATE_QUEUED, WAWP_UNKNOWN_RESULT, "not in the member list: asked again", repeat_at(intent), up);
	else if (intent->outcome != WAWP_ACCEPTED)
		settle(intent, STATE_FAILED, intent->outcome, intent->detail, 0, up);
	else if (finding->outcome == WAWP_GROUP_FULL)
		settle(intent, STATE_QUEUED, finding->outcome, finding->detail, 0, up);
	else if (finding->outcome == WAWP_PENDING_APPROVAL)
		settle(intent, STATE_PENDING_APPROVAL, finding->outcome, finding->detail,
			   follow_next_wait(intent, instance, GetCurrentTimestamp()), up);
	else if ((no_invite = messages_why_not_invited(intent, instance)) != NULL)
		settle(intent, STATE_FAILED, finding->outcome,
			   psprintf("accepted by the API, but not in the member list; %s", no_invite), 0, up);
	else
		settle(intent, STATE_INVITING, finding->outcome,
			   "accepted by the API, but not in the member list", GetCurrentTimestamp(), up);
}

/* Not seen, and it is up to the person or an admin. */
static void
go_on_waiting(const Intent *intent, const WawpInstance *instance, FollowUp *up)
{
	if (intent->state == STATE_INVITED &&
		GetCurrentTimestamp() >= intent->since + instance->invite_ttl_ms * 1000)
		settle(intent, STATE_FAILED, WAWP_INVITED, "did not join within invite_ttl", 0, up);
	else
		postpone(intent, follow_next_wait(intent, instance, intent->since), NULL, up);
}

static void
settle_no(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, FollowUp *up)
{
	TimestampTz next = next_look(intent, instance);

	if (intent->state != STATE_VERIFYING)
		go_on_waiting(intent, instance, up);
	else if (next != 0)
		postpone(intent, next, NULL, up);
	else if (intent->action == ACTION_ADD)
		settle_absent_add(intent, finding, instance, up);
	else if (intent->outcome == WAWP_UNKNOWN_RESULT && intent->attempts < RETRY_MAX_ATTEMPTS)
		settle(intent, STATE_QUEUED, WAWP_UNKNOWN_RESULT, "the member list shows no effect: asked again", repeat_at(intent), up);
	else
		settle(intent, STATE_FAILED, intent->outcome, "accepted by the API, but the member list shows no effect", 0, up);
}

/* Nobody can tell, not by this list, or there is none: that is shown while it is looked at again. */
static void
settle_unknown(const Intent *intent, const WawpInstance *instance, const char *why, FollowUp *up)
{
	TimestampTz next = next_look(intent, instance);
	int64		elapsed = GetCurrentTimestamp() - intent->since;
	const char *shown = intent->outcome == WAWP_ACCEPTED ? why : NULL;

	if (intent->state != STATE_VERIFYING)
		go_on_waiting(intent, instance, up);
	else if (next != 0)
		postpone(intent, next, shown, up);
	else if (elapsed < LONGEST_DOUBT_US)
		postpone(intent, GetCurrentTimestamp() + Min(Max(elapsed, USECS_PER_SEC), LONGEST_WAIT_US), shown, up);
	else
		settle(intent, intent->outcome == WAWP_ACCEPTED ? STATE_DONE : STATE_FAILED, intent->outcome, why, 0, up);
}

/* Something has to be asked before a look is worth something. */
static void
want(const Intent *intent, GroupQuestion question, FollowUp *up)
{
	TimestampTz next = GetCurrentTimestamp() + READ_GAP_MS * INT64CONST(1000);

	if (up->need.question == 0)
	{
		up->need = (InfoNeed) {question, NULL};
		up->role = intent->requester;
	}
	up->next = up->next == 0 ? next : Min(up->next, next);
}

/* A list is wanted; not too often, and not while it cannot be read. */
static void
want_list(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance, FollowUp *up)
{
	int64		gap = Min(READ_GAP_MS, instance->delay_ms[0]);
	int64		wait = cached->listed_at == 0 ? 0 : cached->listed_at + gap - clock_monotonic_ms();
	TimestampTz next;

	if (group_cache_is_unreadable(cached))
		wait = Max(wait, cached->failed_at + group_cache_read_backoff_ms(cached) - clock_monotonic_ms());
	if (wait <= 0)
		want(intent, ASK_LIST, up);
	next = GetCurrentTimestamp() + Max(wait, gap) * 1000;
	up->next = up->next == 0 ? next : Min(up->next, next);
}

/* One who waits to be invited: only who is surely not in the group. */
static void
look_at_invitee(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance,
				const MembersFinding *finding, FollowUp *up)
{
	if (finding->verdict == VERDICT_YES)
		settle(intent, STATE_DONE, finding->outcome, NULL, 0, up);
	else if (intent->due > GetCurrentTimestamp())
		up->next = up->next == 0 ? intent->due : Min(up->next, intent->due);
	else if (finding->verdict == VERDICT_UNKNOWN && cached->has_info && group_cache_wants_info(cached))
		want(intent, ASK_INFO, up);
	else if (finding->verdict == VERDICT_UNKNOWN && cached->failures < MAX_READ_FAILURES)
		postpone(intent, follow_next_wait(intent, instance, intent->since), NULL, up);
	else if (!up->has_invitee)
	{
		up->invitee = *intent;
		up->has_invitee = true;
	}
}

/*
 * The list has failed again and again: at this look too, or the time is over
 * in which it could have been read.
 */
static bool
is_given_up(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance)
{
	int64		longest = intent->state == STATE_INVITED ? instance->invite_ttl_ms * 1000 : LONGEST_DOUBT_US;

	if (cached->failures < MAX_READ_FAILURES)
		return false;
	return group_cache_failed_since(cached, intent->due) ||
		(group_cache_is_unreadable(cached) && GetCurrentTimestamp() - intent->since >= longest);
}

/* True if the list rests a verdict on somebody's absence, and the group has not been asked about itself. */
static bool
needs_info(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, const CachedGroup *cached)
{
	bool		decides = finding->verdict == VERDICT_YES ||
		(intent->due <= GetCurrentTimestamp() && intent->state == STATE_VERIFYING && next_look(intent, instance) == 0);

	/* a shorter list than the group states may be the newer of the two */
	return (finding->by_absence || (finding->verdict == VERDICT_UNKNOWN && cached->has_info)) && decides &&
		group_cache_wants_info(cached);
}

/* One who waits, of whom a list that counts has told. */
static void
look_at_finding(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, FollowUp *up)
{
	const char *why = finding->detail ? psprintf("could not be verified: %s", finding->detail)
		: "could not be verified: the member list has people by privacy id only";

	if (finding->verdict == VERDICT_NO)
		settle_no(intent, finding, instance, up);
	else if (up->need.question != ASK_LID)
		settle_unknown(intent, instance, why, up);
}

/* One who waits. */
static void
look_at(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance, FollowUp *up)
{
	bool		has_list = group_cache_has_list_since(cached, intent->since);
	bool		is_due = intent->due <= GetCurrentTimestamp();
	MembersFinding finding = {.verdict = VERDICT_UNKNOWN};
	InfoNeed	none = {0, NULL};

	if (has_list)
		finding = judge(intent, cached, next_look(intent, instance) == 0, is_due ? &up->need : &none);
	if (up->need.question == ASK_LID && !OidIsValid(up->role))
		up->role = intent->requester;
	if (has_list && is_due && finding.verdict == VERDICT_UNKNOWN && group_cache_wants_list(cached))
		want_list(intent, cached, instance, up);
	else if (intent->state == STATE_INVITING && (has_list || cached->failures >= MAX_READ_FAILURES))
		look_at_invitee(intent, cached, instance, &finding, up);
	else if (has_list && needs_info(intent, &finding, instance, cached))
		want(intent, ASK_INFO, up);
	else if (finding.verdict == VERDICT_YES)
		settle(intent, STATE_DONE, finding.outcome, NULL, 0, up);
	else if (!is_due)
		up->next = up->next == 0 ? intent->due : Min(up->next, intent->due);
	else if (!has_list || !group_cache_has_list_since(cached, intent->due - 1))
	{
		if (is_given_up(intent, cached, instance))
			settle_unknown(intent, instance, "could not be verified: the member list cannot be read", up);
		else
			want_list(intent, cached, instance, up);
	}
	else
		look_at_finding(intent, &finding, instance, up);
}

/*
 * Looks at those who wait in a lane, a portion at a time: settles whom the list
 * settles, and says what is to be asked and when to look again.
 */
FollowUp
follow_look(const LaneKey *key, const WawpInstance *instance)
{
	FollowUp	up = {0};
	Intent	   *waiting;
	bool		some_locked;
	int			n = intent_waiting(key, PEOPLE_AT_ONCE, &waiting, &some_locked);
	const CachedGroup *cached = n > 0 ? group_cache_get(key) : NULL;

	/* behind a whole portion of people who are due there are others */
	if (some_locked || (n == PEOPLE_AT_ONCE && waiting[n - 1].due <= GetCurrentTimestamp()))
		up.next = GetCurrentTimestamp() + LOCKED_RETRY_US;
	for (int i = 0; i < n; i++)
		if (!waiting[i].superseded)
			look_at(&waiting[i], cached, instance, &up);
	return up;
}
