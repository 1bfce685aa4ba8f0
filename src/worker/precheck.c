/*-------------------------------------------------------------------------
 *
 * precheck.c
 *	  Decides what has to be known before rows are claimed, and checks claimed rows.
 *
 * Before an addition is sent: is the person opted out, in the group already, on
 * WhatsApp; is the group full, are we its admin, is the row one at all.  A row
 * that may not be sent is put back as it was, passed to the invitations or to
 * another group, or ended.  Information that is missing is requested before the row
 * is claimed; where that could not be known then, the row is put back.
 *
 * Everything is in the cycle's transaction and its memory.
 *
 * IDENTIFICATION
 *	  src/worker/precheck.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/erasure_key.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "throttle/budget.h"
#include "utils/timestamp.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/precheck.h"

#include "compat.h"

/* A list is not read again before an addition while it is younger. */
#define LIST_MAX_AGE_US (60 * USECS_PER_SEC)
/* The time between the two lists that prove that somebody has left. */
#define SECOND_LIST_US (2 * USECS_PER_SEC)
/* Of groups that overflow into one another so many are looked at. */
#define MOST_OVERFLOW_GROUPS 16
/* A row whose person a session is just storing is claimed again after that. */
#define PENDING_RETRY_US USECS_PER_SEC
/* The end of a membership is tried again so much later, while an addition of the person is queued. */
#define WANTED_RETRY_US (30 * USECS_PER_SEC)

/*
 * ---- the group
 */

/* True if there is a list that is new enough for an addition. */
static bool
list_is_fresh(const CachedGroup *cached)
{
	return group_cache_has_list_since(cached, GetCurrentTimestamp() - LIST_MAX_AGE_US);
}

/* True if the list was requested after a moment.  No list is newer than the future, into which a clock that was set back puts a moment. */
static bool
list_is_after(const CachedGroup *cached, TimestampTz moment)
{
	return moment > GetCurrentTimestamp() || group_cache_has_list_since(cached, moment);
}

/* True if it was not, and a newer one, which can tell more, may be requested now. */
static bool
list_is_before(const CachedGroup *cached, TimestampTz moment)
{
	return !list_is_after(cached, moment) && !group_cache_is_unreadable(cached);
}

/* True if there is no room.  Set *need to information that has to be requested before that is certain. */
static bool
group_is_full(const CachedGroup *cached, int capacity, InfoNeed *need)
{
	MembersKnown known = group_cache_known(cached, capacity);

	if (members_size(&cached->list, &known) + cached->added < capacity)
		return false;
	if (wire_count_members(&cached->list) + cached->added < capacity && group_cache_wants_info(cached))
		*need = (InfoNeed) {ASK_INFO, NULL};
	return true;
}

/*
 * Return whether the list and the description let us add people.  Set *need to
 * information that is missing.  A list that cannot be read forbids nothing.
 */
static PrecheckGroup
precheck_group(const CachedGroup *cached, const GroupSettings *settings, InfoNeed *need)
{
	bool		ask_self;
	OwnRole		own;

	if (!list_is_fresh(cached))
	{
		*need = (InfoNeed) {ASK_LIST, NULL};
		return group_cache_is_unreadable(cached) ? GROUP_OPEN : GROUP_UNKNOWN;
	}
	need->question = 0;
	if (group_is_full(cached, settings->capacity, need))
		return need->question == 0 ? GROUP_FULL : GROUP_UNKNOWN;
	own = group_cache_own_role(cached, &ask_self);
	if (ask_self)
	{
		*need = (InfoNeed) {ASK_SELF, NULL};
		return GROUP_UNKNOWN;
	}
	if (own == OWN_ADMIN || own == OWN_UNKNOWN)
		return GROUP_OPEN;
	if (!cached->has_info)
	{
		*need = (InfoNeed) {ASK_INFO, NULL};
		return GROUP_UNKNOWN;
	}
	return own == OWN_MEMBER && cached->only_admins_add ? GROUP_NOT_OURS : GROUP_OPEN;
}

/*
 * ---- the person
 */

/*
 * Return whether the person of an intent is in the list.  Store a LID that the
 * list shows; set *need to one that would decide.  A list that is older than the
 * intent, after which no other could be read, shows who may have left since.
 */
static Presence
precheck_presence(const CachedGroup *cached, const Intent *intent, Contact *contact, InfoNeed *need)
{
	Jid			lid = group_cache_lid_of(contact);
	MembersKnown known = group_cache_known(cached, 0);
	Presence	presence = members_presence(&cached->list, &known, &intent->jid, &lid);

	if (presence == PRESENCE_UNKNOWN)
		group_cache_want_lid(&intent->jid, need);
	if (presence != PRESENCE_PRESENT)
		return presence;
	group_cache_learn_lid(cached, &intent->jid, contact);
	return list_is_after(cached, intent->wanted_at) || !group_cache_is_unreadable(cached) ? PRESENCE_PRESENT : PRESENCE_UNKNOWN;
}

/* Set *change to a failure, and record why. */
static void
precheck_refuse(const Intent *intent, WawpOutcome outcome, const char *why, IntentChange *change)
{
	*change = (IntentChange) {
		.state = STATE_FAILED,
		.has_outcome = true,
		.outcome = outcome,
		.detail = why,
		.give_attempt_back = true
	};
	audit_write_intent(intent, "policy", outcome, why);
}

/* Likewise, of a person who was erased since it was requested: neither its row nor the record keeps what may name them. */
static void
precheck_refuse_erased(const Intent *intent, IntentChange *change)
{
	Intent		bare = *intent;

	bare.reason = bare.batch_id = bare.actor = bare.application_name = NULL;
	precheck_refuse(&bare, WAWP_SUPPRESSED, "suppressed: " SUPPRESSION_ERASED, change);
	intent_withhold_person(intent->id);
}

/*
 * Cancel an addition whose end came before it could be sent: nobody is added to be
 * removed at once.  A membership that may be there, from before, ends.
 */
static void
precheck_cancel_over(const Intent *intent, int64 contact, bool may_be_member, IntentChange *change)
{
	*change = (IntentChange) {
		.state = STATE_CANCELLED,
		.has_outcome = intent->has_outcome,
		.outcome = intent->outcome,
		.detail = psprintf("not added: the membership was to end at %s", clock_text(intent->until)),
		.give_attempt_back = true
	};
	audit_write_cancelled(intent, change->detail);
	if (may_be_member)
		membership_end_at(intent, contact);
}

/* Return the change that queues an intent again as it was, for that time; 0: at once. */
static IntentChange
change_to_queued(const Intent *intent, TimestampTz at)
{
	return (IntentChange) {
		.state = STATE_QUEUED,
		.has_outcome = intent->has_outcome,
		.outcome = intent->outcome,
		.code = intent->code,
		.detail = intent->detail,
		.next_attempt_at = at,
		.give_attempt_back = true
	};
}

/*
 * True if we added the person after the list was requested: somebody else's
 * wish, perhaps, that was fulfilled a moment ago.  A newer list tells.
 */
static bool
person_was_just_added(const Membership *memory, const CachedGroup *cached)
{
	return memory->added_at != 0 && memory->left_at == 0 && list_is_before(cached, memory->added_at);
}

/* Likewise, of a person of whom no membership was read yet. */
static bool
contact_was_just_added(const Intent *intent, const Contact *contact, const CachedGroup *cached)
{
	Membership	memory;

	return !contact->is_new && membership_get(&intent->lane, contact->id, &memory) && person_was_just_added(&memory, cached);
}

/* True if a person was seen in the group, was not removed by us since, and would be suppressed for having left. */
static bool
person_was_member(const Intent *intent, int64 contact, const Membership *memory)
{
	return wawp_inferred_suppression > 0 && memory->seen_at != 0 && memory->seen_at <= GetCurrentTimestamp() &&
		!audit_has_removal(&intent->lane, contact, memory->seen_at);
}

/* Enter a person into the opt-out list who, as two lists prove, left the group or was removed by others.  Set *change. */
static void
person_infer_opt_out(Intent *intent, int64 contact, const Membership *memory, IntentChange *change)
{
	const char *reason = psprintf("left the group: was seen in it on %s, and is in neither of two complete member lists",
								  pnstrdup(clock_text(memory->seen_at), strlen("2000-01-01")));

	if (memory->left_at == 0)
		membership_note_gone(&intent->lane, contact);
	suppression_set_since(intent->jid.text, intent->lane.group, reason, GetCurrentTimestamp(),
						  GetCurrentTimestamp() + wawp_inferred_suppression * USECS_PER_MINUTE);
	precheck_refuse(intent, WAWP_SUPPRESSED, psprintf("suppressed: %s", reason), change);
}

/*
 * Check if a person has left the group or was removed by others: they were seen
 * in it and are gone without our doing, and are not added again.  Two complete
 * lists prove it.  True if *change is set: to a refusal, or to wait for the
 * second list.  Otherwise *need may be set to information that is missing.
 */
static bool
person_has_left(Intent *intent, const Contact *contact, const CachedGroup *cached, const WawpInstance *instance,
				InfoNeed *need, IntentChange *change)
{
	Membership	memory;
	TimestampTz shown_at;
	int64		since;
	int64		wait;

	if (contact->is_new || !membership_get(&intent->lane, contact->id, &memory))
		return false;
	if (person_was_just_added(&memory, cached))
	{
		*need = (InfoNeed) {ASK_LIST, NULL};
		return false;
	}
	if (!person_was_member(intent, contact->id, &memory))
		return false;
	/* lists lag behind what else is seen: only one from then on would show them */
	shown_at = memory.seen_at + instance->delay_ms[0] * INT64CONST(1000);
	if (shown_at > GetCurrentTimestamp())
	{
		*change = change_to_queued(intent, shown_at);
		return true;
	}
	/* ... and who was back when they were asked for has not left */
	if (!group_cache_has_list_since(cached, shown_at) || !list_is_after(cached, intent->wanted_at))
	{
		if (!group_cache_is_unreadable(cached))
			*need = (InfoNeed) {ASK_LIST, NULL};
		return false;
	}
	since = group_cache_absent_since(cached, contact->id, memory.seen_at);
	wait = Max(since + SECOND_LIST_US - clock_monotonic_us(), 0);
	if (group_cache_is_unreadable(cached))
		wait = Max(wait, group_cache_read_backoff_ms(cached) * 1000);
	if (group_cache_wants_info(cached))
		*need = (InfoNeed) {ASK_INFO, NULL};
	else if (cached->requested_us - since >= SECOND_LIST_US)
	{
		person_infer_opt_out(intent, contact->id, &memory, change);
		return true;
	}
	else if (wait > 0)
	{
		*change = change_to_queued(intent, GetCurrentTimestamp() + wait);
		return true;
	}
	else
		*need = (InfoNeed) {ASK_LIST, NULL};
	return false;
}

/* True if a person was seen in the group before, and a list that lacks them is a part of it by an older size only. */
static bool
size_decides(const Intent *intent, const Contact *contact, const CachedGroup *cached)
{
	Membership	memory;

	return group_cache_wants_size(cached) && membership_get(&intent->lane, contact->id, &memory) && memory.seen_at != 0;
}

/*
 * True if a number is known not to be on WhatsApp.  Set *need to ask if that is
 * not known and the pace allows the question now; otherwise the addition tells.
 */
static bool
number_is_missing(const WawpInstance *instance, const char *jid, const Contact *contact, InfoNeed *need)
{
	if (contact->is_checked)
		return !contact->is_registered;
	/* a LID, or a message to us, proves an account */
	if (contact->lid || contact->last_inbound_at != 0)
		return false;
	if (!group_cache_was_asked(ASK_EXISTS, jid) && need->question == 0 && budget_check_is_free(instance))
		*need = (InfoNeed) {ASK_EXISTS, pstrdup(jid)};
	return false;
}

/*
 * True if the group wants numbers checked and this one is not on WhatsApp, in
 * neither of its forms.  Fill in known_as; set *need to ask what is not known.
 */
static bool
number_is_unregistered(Intent *intent, const Contact *contact, const WawpInstance *instance,
					   const GroupSettings *settings, InfoNeed *need)
{
	Jid			other;
	Contact		other_contact;

	intent->known_as = contact_known_as(contact);
	if (!settings->check_exists || !number_is_missing(instance, intent->jid.text, contact, need))
		return false;
	other = jid_other_form(&intent->jid);
	if (other.kind != JID_PERSON)
		return true;
	other_contact = contact_get(other.text);
	if (number_is_missing(instance, other.text, &other_contact, need))
		return true;
	intent->known_as = other_contact.known_as ? contact_known_as(&other_contact) : other;
	return false;
}

/*
 * True if there is a reason not to send this addition; *change is then what
 * becomes of it.  Otherwise *need may be set to information that has to be
 * requested first.  Fill in lid and known_as.
 */
static bool
precheck_person(Intent *intent, const CachedGroup *cached, const WawpInstance *instance,
				const GroupSettings *settings, InfoNeed *need, IntentChange *change)
{
	Contact		contact = contact_get(intent->jid.text);
	const char *reason = suppression_reason_of_all(intent->jid.text, contact.lid, contact.known_as, intent->lane.group);
	bool		is_erased = reason && suppression_is_erased(intent->jid.text);
	Presence	presence = PRESENCE_UNKNOWN;

	intent->lid = group_cache_lid_of(&contact);
	if (list_is_fresh(cached))
		presence = precheck_presence(cached, intent, &contact, need);
	if (presence == PRESENCE_UNKNOWN && size_decides(intent, &contact, cached))
		*need = (InfoNeed) {ASK_INFO, NULL};
	if (is_erased)
		precheck_refuse_erased(intent, change);
	else if (presence == PRESENCE_PRESENT && list_is_before(cached, intent->wanted_at))
	{
		/* may have left before they were asked for */
		*need = (InfoNeed) {ASK_LIST, NULL};
		return false;
	}
	else if (presence == PRESENCE_PRESENT)
	{
		*change = (IntentChange) {
			.state = STATE_DONE,
			.has_outcome = true,
			.outcome = WAWP_ALREADY_MEMBER,
			.give_attempt_back = true
		};
		intent->seen_at = group_cache_list_at(cached);
		audit_write_intent(intent, "verified", WAWP_ALREADY_MEMBER, NULL);
	}
	else if (intent_is_over(intent))
		precheck_cancel_over(intent, contact.id, presence == PRESENCE_UNKNOWN || contact_was_just_added(intent, &contact, cached), change);
	else if (reason)
		precheck_refuse(intent, WAWP_SUPPRESSED, psprintf("suppressed: %s", reason), change);
	else if (presence == PRESENCE_ABSENT && person_has_left(intent, &contact, cached, instance, need, change))
		;
	else if (settings->contact_within_us > 0 &&
			 contact.last_inbound_at < GetCurrentTimestamp() - settings->contact_within_us)
		precheck_refuse(intent, WAWP_SUPPRESSED, "require_contact_within: the person has not written to us lately", change);
	else if (number_is_unregistered(intent, &contact, instance, settings, need))
		precheck_refuse(intent, WAWP_NOT_ON_WHATSAPP, "check_exists: the number is not on WhatsApp", change);
	else
		return false;
	need->question = 0;
	return true;
}

/*
 * ---- before rows are claimed
 */

/* True if somebody may be in the list under an identifier that is not known to be theirs. */
static bool
list_may_hide(const CachedGroup *cached)
{
	MembersKnown known = group_cache_known(cached, 0);

	return cached->list.shown[0] + cached->list.shown[WIRE_SHOWS_LID] > 0 || members_gap(&cached->list, &known) != MEMBERS_COMPLETE;
}

/*
 * True if information is missing before an addition for sure, or is wherever a
 * list may hide somebody; no table is read.  Set *need to what is missing about
 * the group, if that is known already.
 */
bool
precheck_must_ask(const LaneKey *lane, const GroupSettings *settings, InfoNeed *need)
{
	const CachedGroup *cached = group_cache_find(lane);

	*need = (InfoNeed) {ASK_LIST, NULL};
	if (cached == NULL || precheck_group(cached, settings, need) == GROUP_UNKNOWN)
		return true;
	need->question = 0;
	return list_may_hide(cached);
}

/* True if information may be missing before an addition; likewise. */
bool
precheck_may_lack(const LaneKey *lane, const WawpInstance *instance, const GroupSettings *settings, InfoNeed *need)
{
	return precheck_must_ask(lane, settings, need) || (settings->check_exists && budget_check_is_free(instance));
}

static void
needs_append(InfoNeeds *needs, const InfoNeed *need)
{
	if (need->question != 0 && needs->count < PRECHECK_NEEDS)
		needs->needs[needs->count++] = *need;
}

/* A list that is read again settles the people. */
static void
needs_begin_with_list(InfoNeeds *needs)
{
	needs->count = 1;
	needs->needs[0] = (InfoNeed) {ASK_LIST, NULL};
}

static bool
needs_have_list(const InfoNeeds *needs)
{
	return needs->count > 0 && needs->needs[0].question == ASK_LIST;
}

/* Append what has to be known of a person before they are added; nothing if they will not be. */
static void
person_list_needs(const Intent *head, const CachedGroup *cached, const WawpInstance *instance,
				  const GroupSettings *settings, InfoNeeds *needs)
{
	Intent		intent = *head;
	Contact		contact;
	InfoNeed	lid = {0, NULL};
	InfoNeed	registration = {0, NULL};
	Presence	presence = PRESENCE_UNKNOWN;

	if (suppression_reason(head->jid.text, head->lane.group) || contact_is_pending(head->jid.text))
		return;
	contact = contact_get(head->jid.text);
	if (list_is_fresh(cached))
		presence = precheck_presence(cached, head, &contact, &lid);
	if (presence == PRESENCE_PRESENT)
	{
		if (list_is_before(cached, head->wanted_at))
			needs_begin_with_list(needs);
		return;
	}
	if (number_is_unregistered(&intent, &contact, instance, settings, &registration))
		return;
	/* who has a LID has an account */
	needs_append(needs, lid.question != 0 ? &lid : &registration);
}

/*
 * List what has to be requested before the first additions of a lane, heads[],
 * are claimed: first about the group, since its list may settle the people.
 */
void
precheck_list_needs(const LaneKey *lane, const WawpInstance *instance, const GroupSettings *settings,
					const Intent *heads, int n, InfoNeeds *needs)
{
	const CachedGroup *cached = group_cache_get(lane);
	InfoNeed	need = {0, NULL};
	InfoNeed	self = {group_cache_wants_self(lane) ? ASK_SELF : 0, NULL};
	bool		is_known = precheck_group(cached, settings, &need) != GROUP_UNKNOWN;

	needs->count = 0;
	if (!is_known)
		needs_append(needs, &need);
	if (need.question == ASK_LIST)
		needs_append(needs, &self);
	for (int i = 0; i < n && is_known && !needs_have_list(needs); i++)
		person_list_needs(&heads[i], cached, instance, settings, needs);
}

/*
 * ---- claimed rows
 */

/* Queue a claimed row again, or end it; one that another request for the person has replaced is not queued. */
static void
claim_settle(const Intent *intent, IntentChange change)
{
	(void) intent_settle(intent->id, STATE_SENDING, &change);
	if (change.state == STATE_CANCELLED)
		completion_note_replaced(intent);
}

/*
 * Note in claimed rows why they cannot be sent as their requester.  A lost
 * permission fails them; what may be repaired (no token, no server) is tried
 * again later and blocks no others meanwhile: the requester's other rows are not
 * even looked at.
 */
static void
claim_refuse(Attempt *attempt, const ErrorData *error)
{
	bool		is_permission = error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE;
	bool		is_held = requester_hold_is_free(NameStr(attempt->lane->key.instance), attempt->intents[0].requester);
	const IntentChange refusal = {
		.state = is_permission ? STATE_FAILED : STATE_QUEUED,
		.detail = error->message,
		/* where a session is just ending the requester's hold, the row is put off by itself */
		.next_attempt_at = is_permission || is_held ? 0 : GetCurrentTimestamp() + INSTANCE_RETRY_MS * INT64CONST(1000),
		.give_attempt_back = true
	};

	for (int i = 0; i < attempt->n; i++)
	{
		AuditRecord record = attempt_record(attempt, i, "refused");
		IntentChange change = refusal;

		if (is_permission)
			audit_write(&record);
		claim_settle(&attempt->intents[i], change);
	}
	if (is_permission)
		completion_note_failures();
	else
		requester_hold_set(NameStr(attempt->lane->key.instance), attempt->intents[0].requester, error->message,
						   INSTANCE_RETRY_MS / 1000);
}

/* Return what is wrong with a row that no trigger has checked (a restored one), or NULL. */
static const char *
claim_problem(const Intent *intent)
{
	if (!jid_is_group_text(intent->lane.group, strlen(intent->lane.group)))
		return "the group is not a group JID";
	if (intent->jid.kind != JID_PERSON && intent->jid.kind != JID_LID)
		return "the person is neither a number nor a LID";
	return NULL;
}

/* Fail invalid rows.  False if there are any: all are given back, to be claimed again. */
static bool
claim_is_sendable(Attempt *attempt)
{
	bool		is_all_valid = true;

	for (int i = 0; i < attempt->n; i++)
		is_all_valid &= claim_problem(&attempt->intents[i]) == NULL;
	for (int i = 0; i < attempt->n && !is_all_valid; i++)
	{
		const char *problem = claim_problem(&attempt->intents[i]);
		IntentChange change = {
			.state = problem ? STATE_FAILED : STATE_QUEUED,
			.has_outcome = problem != NULL,
			.outcome = WAWP_BAD_IDENTIFIER,
			.detail = problem,
			.give_attempt_back = true
		};

		claim_settle(&attempt->intents[i], change);
	}
	if (!is_all_valid)
		completion_note_failures();
	return is_all_valid;
}

/* Queue a claimed row again for later, with the reason why, likewise; others of the lane keep their turn. */
void
precheck_put_off(const Intent *intent, int64 delay_us, const char *detail)
{
	IntentChange change = change_to_queued(intent, GetCurrentTimestamp() + delay_us);

	change.detail = detail;
	claim_settle(intent, change);
}

/* Queue a claimed row again as it was, likewise. */
void
precheck_put_back(const Intent *intent)
{
	claim_settle(intent, change_to_queued(intent, 0));
}

/* Queue all rows of an attempt again as they were. */
static void
claim_put_back(const Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
		precheck_put_back(&attempt->intents[i]);
}

/* Put the rows back and request missing information; the lane goes on with the answer. */
static Served
claim_ask_first(Lane *lane, const Attempt *attempt, const WawpInstance *described, const InfoNeed *need)
{
	int64		later;

	claim_put_back(attempt);
	lanes_prepare(lane, need->person == NULL, clock_monotonic_ms());
	if (group_cache_await(group_cache_get(&lane->key), need, false))
		return SERVED_ASKING;
	if (!admission_has_room(lane, described))
		lanes_park(lane);
	else if (!group_cache_ask(&lane->key, attempt->intents[0].requester, need, false, described, &later))
	{
		if (later == 0)
			return SERVED_SOME;
		/* a number that cannot be checked now is not waited for */
		if (need->question == ASK_EXISTS)
			lanes_schedule(lane, clock_monotonic_ms());
		else
			lanes_wait(lane, QUEUE_READ, later);
	}
	return SERVED_ASKING;
}

/* True if a transaction that is still open has queued one of the people for that group as well, whose end the move would wait for. */
static bool
claim_move_waits(const Attempt *attempt, const LaneKey *group)
{
	for (int i = 0; i < attempt->n; i++)
		if (intent_is_pending(group, attempt->intents[i].jid.text, attempt->intents[i].requester))
			return true;
	return false;
}

/* Return when the latest of an attempt's people was asked for. */
static TimestampTz
claim_wanted_at(const Attempt *attempt)
{
	TimestampTz wanted_at = 0;

	for (int i = 0; i < attempt->n; i++)
		wanted_at = Max(wanted_at, attempt->intents[i].wanted_at);
	return wanted_at;
}

/*
 * True if a list that shows a full group has to be read again for what was asked for
 * then.  Where people go to an overflow group instead, that is done once for each age
 * of a list, not for each of them.
 */
static bool
full_is_doubtful(const CachedGroup *cached, const GroupSettings *settings, TimestampTz wanted_at)
{
	bool		was_doubted = cached->doubted_us != 0 && clock_monotonic_us() - cached->doubted_us < LIST_MAX_AGE_US;

	return !(settings->overflow_group && was_doubted) && list_is_before(cached, wanted_at);
}

/* True if a group is known to be full, which its lane need not find out: it is held for that, or its list shows it. */
static bool
group_is_known_full(const LaneKey *group, Holds *holds, const GroupSettings *settings, TimestampTz wanted_at)
{
	const CachedGroup *cached = group_cache_find(group);
	InfoNeed	need;

	if (hold_is_for_full(hold_get(holds, group, false)))
		return true;
	return cached && precheck_group(cached, settings, &need) == GROUP_FULL && !full_is_doubtful(cached, settings, wanted_at);
}

/*
 * Set *next to where a full group overflows: the first group of those that follow
 * which is not known to be full, or is the last.  False if there is none: full groups
 * that follow one another in a circle would pass people on for ever.
 */
static bool
claim_find_overflow(const Attempt *attempt, Holds *holds, const GroupSettings *settings, LaneKey *next)
{
	const LaneKey *full = &attempt->lane->key;
	GroupSettings at = *settings;

	for (int i = 0; i < MOST_OVERFLOW_GROUPS && at.overflow_group && strcmp(at.overflow_group, full->group) != 0; i++)
	{
		*next = lane_key(NameStr(full->instance), at.overflow_group);
		at = settings_get(next);
		if (at.overflow_group == NULL || !group_is_known_full(next, holds, &at, claim_wanted_at(attempt)))
			return true;
	}
	return false;
}

/* Queue a row in another group, instead of what its requester has wanted there before; cancel it if the person is to go there, or not to, by a later wish. */
static void
claim_move(const Intent *intent, const char *group)
{
	bool		left;
	ListCell   *lc;
	IntentChange change = {
		.state = STATE_CANCELLED,
		.has_outcome = true,
		.outcome = WAWP_GROUP_FULL,
		.detail = "another request for the person is queued in the overflow group already",
		.give_attempt_back = true
	};

	foreach(lc, intent_cancel_removal_there(intent, group, &left))
	{
		const Intent *removal = lfirst(lc);

		audit_write_cancelled(removal, removal->detail);
		completion_note_end(removal, STATE_CANCELLED, removal->outcome);
	}
	if (left)
		precheck_put_off(intent, PENDING_RETRY_US, intent->detail);
	else if (intent_move(intent, group))
		audit_write_intent(intent, "policy", WAWP_GROUP_FULL, "goes to the overflow group");
	else
	{
		(void) intent_settle(intent->id, STATE_SENDING, &change);
		audit_write_cancelled(intent, change.detail);
		completion_note_end(intent, STATE_CANCELLED, WAWP_GROUP_FULL);
	}
}

/* Move the rows to the overflow group, or hold the lane: the group takes nobody. */
static Served
claim_turn_away(Lane *lane, const Attempt *attempt, Holds *holds, PrecheckGroup why, const GroupSettings *settings)
{
	WawpOutcome outcome = why == GROUP_FULL ? WAWP_GROUP_FULL : WAWP_NOT_ADMIN;
	LaneKey		next;

	if (why != GROUP_FULL || !claim_find_overflow(attempt, holds, settings, &next))
	{
		claim_put_back(attempt);
		/* or it is tried again when a session that is changing it has ended that */
		if (!hold_is_busy(&lane->key))
		{
			hold_set_lane(&lane->key, holds, outcome, false, -1, NULL);
			/* whoever ends the hold has changed something: it is not set again by the same evidence */
			group_cache_forget_list(&lane->key);
			group_cache_forget_info(&lane->key);
		}
		lanes_retry(lane, clock_monotonic_ms());
		return SERVED_LATER;
	}
	if (claim_move_waits(attempt, &next))
	{
		claim_put_back(attempt);
		lanes_retry(lane, clock_monotonic_ms());
		return SERVED_LATER;
	}
	for (int i = 0; i < attempt->n; i++)
		claim_move(&attempt->intents[i], next.group);
	lanes_note(&next, clock_monotonic_ms());
	return SERVED_SOME;
}

/* Settle the rows that need no request, and keep the others in the attempt; *need may be set. */
static void
precheck_people(Attempt *attempt, const WawpInstance *described, const GroupSettings *settings, InfoNeed *need)
{
	const CachedGroup *cached = group_cache_get(&attempt->lane->key);
	int			kept = 0;

	for (int i = 0; i < attempt->n; i++)
	{
		IntentChange change;

		if (!precheck_person(&attempt->intents[i], cached, described, settings, need, &change))
		{
			attempt->intents[kept++] = attempt->intents[i];
			continue;
		}
		(void) intent_settle(attempt->intents[i].id, STATE_SENDING, &change);
		completion_note_end(&attempt->intents[i], change.state, change.outcome);
	}
	attempt->n = kept;
}

/*
 * Set *need to what has to be read again before a group takes nobody: whoever
 * asks for an addition may have made room for it, or us an admin, since the list or
 * the description was read.  The hold would be long.
 */
static void
claim_doubt_group(const Attempt *attempt, PrecheckGroup why, const GroupSettings *settings, InfoNeed *need)
{
	CachedGroup *cached = group_cache_get(&attempt->lane->key);
	TimestampTz wanted_at = claim_wanted_at(attempt);

	if (why == GROUP_FULL ? full_is_doubtful(cached, settings, wanted_at) : list_is_before(cached, wanted_at))
	{
		cached->doubted_us = clock_monotonic_us();
		*need = (InfoNeed) {ASK_LIST, NULL};
	}
	else if (why == GROUP_NOT_OURS && wanted_at <= GetCurrentTimestamp() && !group_cache_has_info_since(cached, wanted_at))
		*need = (InfoNeed) {ASK_INFO, NULL};
}

/*
 * Check claimed additions; SERVED_NOTHING if they may be sent.  Where nothing can
 * be requested as their requester, what is not known forbids nothing.
 */
static Served
precheck_adds(Attempt *attempt, const WawpInstance *described, Holds *holds, const GroupSettings *settings)
{
	Lane	   *lane = attempt->lane;
	InfoNeed	need = {0, NULL};
	PrecheckGroup group = precheck_group(group_cache_get(&lane->key), settings, &need);
	bool		can_ask = !group_cache_is_unable(&lane->key, attempt->intents[0].requester);

	if (group == GROUP_UNKNOWN && can_ask)
		return claim_ask_first(lane, attempt, described, &need);
	need.question = 0;
	precheck_people(attempt, described, settings, &need);
	if (attempt->n == 0)
		return SERVED_SOME;
	if (group == GROUP_FULL || group == GROUP_NOT_OURS)
		claim_doubt_group(attempt, group, settings, &need);
	if (need.question != 0 && can_ask)
		return claim_ask_first(lane, attempt, described, &need);
	if (group == GROUP_OPEN || group == GROUP_UNKNOWN)
		return SERVED_NOTHING;
	return claim_turn_away(lane, attempt, holds, group, settings);
}

/* Pass claimed rows to the invitations, which have a pace of their own. */
static Served
claim_to_invitations(const Attempt *attempt)
{
	for (int i = 0; i < attempt->n; i++)
	{
		IntentChange change = {
			.state = STATE_INVITING,
			.next_attempt_at = GetCurrentTimestamp(),
			.give_attempt_back = true
		};

		(void) intent_settle(attempt->intents[i].id, STATE_SENDING, &change);
	}
	lanes_verify(&attempt->lane->key, clock_monotonic_ms());
	return SERVED_SOME;
}

/* True if the requester's own token is held: rows claimed together with the one whose answer, or trial, that is. */
static bool
claim_is_requester_held(const Attempt *attempt)
{
	return OidIsValid(attempt->instance->token_role) &&
		requester_hold_until(attempt->instance->name, attempt->instance->token_role) != 0;
}

/*
 * True if the trial of a requester's own token, whose hold is over, cannot be noted
 * since a session is just ending that hold: without it nothing would keep the other
 * rows from being tried as well.
 */
static bool
claim_waits_for_trial(const Attempt *attempt)
{
	const WawpInstance *instance = attempt->instance;

	return OidIsValid(instance->token_role) && requester_hold_is_in_doubt(instance->name, instance->token_role) &&
		!requester_hold_is_free(instance->name, instance->token_role);
}

/* Keep in the attempt the rows whose people can be recorded without waiting for a session; false if there are none. */
static bool
claim_keep_recordable(Attempt *attempt)
{
	int			kept = 0;

	for (int i = 0; i < attempt->n; i++)
		if (contact_is_pending(attempt->intents[i].jid.text))
			precheck_put_off(&attempt->intents[i], PENDING_RETRY_US, "the person is being stored by a transaction that is still open");
		else
			attempt->intents[kept++] = attempt->intents[i];
	attempt->n = kept;
	return kept > 0;
}

/* Keep in the attempt the rows of people who were not erased, whatever is requested; false if there are none. */
static bool
claim_refuse_erased(Attempt *attempt)
{
	int			kept = 0;

	if (!erasure_key_exists())
		return true;
	for (int i = 0; i < attempt->n; i++)
	{
		Intent	   *intent = &attempt->intents[i];
		IntentChange change;

		if (!suppression_is_erased(intent->jid.text))
		{
			attempt->intents[kept++] = *intent;
			continue;
		}
		precheck_refuse_erased(intent, &change);
		(void) intent_settle(intent->id, STATE_SENDING, &change);
		completion_note_end(intent, change.state, change.outcome);
	}
	attempt->n = kept;
	return kept > 0;
}

/*
 * True if a removal only ends a membership that another request wants, or will: it
 * is cancelled, or put off until that one has had its turn.
 */
static bool
claim_gives_way(const Intent *intent)
{
	IntentChange change = change_to_queued(intent, 0);

	if (!intent_ends_membership(intent))
		return false;
	if (!membership_is_open(&intent->lane, intent->jid.text))
	{
		if (!intent_has_addition_queued(&intent->lane, intent->jid.text))
			return false;
		precheck_put_off(intent, WANTED_RETRY_US, "another request wants the person in the group and has its turn first");
		return true;
	}
	change.state = STATE_CANCELLED;
	change.detail = "not removed: another request wants the person in the group";
	(void) intent_settle(intent->id, STATE_SENDING, &change);
	audit_write_cancelled(intent, change.detail);
	completion_note_end(intent, STATE_CANCELLED, intent->outcome);
	return true;
}

/* Keep in the attempt the removals that nobody's wish is against; false if there are none. */
static bool
claim_keep_unwanted(Attempt *attempt)
{
	int			kept = 0;

	for (int i = 0; i < attempt->n; i++)
		if (!claim_gives_way(&attempt->intents[i]))
			attempt->intents[kept++] = attempt->intents[i];
	attempt->n = kept;
	return kept > 0;
}

/* Check claimed rows and go on with those that may not be sent; SERVED_NOTHING if they may. */
Served
precheck_claimed(Attempt *attempt, const WawpInstance *described, Holds *holds, const GroupSettings *settings)
{
	ErrorData  *error;

	if (!claim_is_sendable(attempt) || !claim_keep_recordable(attempt))
		return SERVED_SOME;
	/* an addition is checked with all that is known of the person */
	if (attempt->intents[0].action != ACTION_ADD && !claim_refuse_erased(attempt))
		return SERVED_SOME;
	if (attempt->intents[0].action == ACTION_REMOVE && !claim_keep_unwanted(attempt))
		return SERVED_SOME;
	if (attempt->intents[0].action == ACTION_INVITE)
		return claim_to_invitations(attempt);
	error = attempt_prepare(attempt);
	if (error)
	{
		claim_refuse(attempt, error);
		return SERVED_SOME;
	}
	if (claim_is_requester_held(attempt))
	{
		claim_put_back(attempt);
		return SERVED_SOME;
	}
	if (claim_waits_for_trial(attempt))
	{
		for (int i = 0; i < attempt->n; i++)
			precheck_put_off(&attempt->intents[i], PENDING_RETRY_US, "the hold of the role's token is being ended by a transaction that is still open");
		return SERVED_SOME;
	}
	return attempt->intents[0].action == ACTION_ADD
		? precheck_adds(attempt, described, holds, settings) : SERVED_NOTHING;
}
