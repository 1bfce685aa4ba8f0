/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Reads member lists for rows whose answer does not tell, and settles them.
 *
 * One list settles everybody who waits in a group.  member_list.c judges what a
 * list shows; a person it cannot tell of is neither present nor absent, and is
 * not invited.  A list that was requested before the answer came does not count,
 * and before an absence counts, the group's description is requested.  What is
 * missing is requested, one piece of information a turn, and LIDs as far as there
 * is room; who can be invited is.  For who waits for an admin's approval the group's requests to join are read too.
 *
 * Unlike claiming this goes on while the worker is switched off and while a lane
 * is held, except for invitations.  In the cycle's transaction and its memory.
 *
 * IDENTIFICATION
 *	  src/worker/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/membership.h"
#include "utils/timestamp.h"
#include "worker/admission.h"
#include "worker/completion.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"
#include "worker/refusal_run.h"
#include "worker/savepoint.h"
#include "worker/verify.h"

#include "compat.h"

/* A group's list is read once in that time, unless the first delay is shorter. */
#define READ_GAP_MS 1000
/* After so many unreadable lists in a row, rows that wait for one are put off for longer. */
#define MAX_READ_FAILURES 5
/* A row whose person the list cannot tell of is verified for that long. */
#define LONGEST_UNKNOWN_US USECS_PER_DAY
/* Times between two lists in which an invited person is searched. */
#define FIRST_WAIT_US (30 * USECS_PER_SEC)
#define LONGEST_WAIT_US USECS_PER_HOUR
/* A row that a user has locked is tried again. */
#define LOCKED_RETRY_US (USECS_PER_SEC / 5)
/* So many lists are read in the time an invitation is open, at least. */
#define LISTS_PER_INVITATION 20
/* Details of a row that waits for an admin's approval, by which the next look knows what the one before has seen. */
#define REQUEST_IS_THERE "the group has the request to join; an admin has to approve it"
#define REQUEST_IS_GONE "the request to join is not in the group's list any more; that is looked at again"
/* Rows of one group that are verified in one cycle: more than a group has members. */
#define PEOPLE_AT_ONCE 2000
/* If so many wait to be invited, others of the group are looked for at this interval at least. */
#define CROWD_RETRY_US (5 * USECS_PER_SEC)

/*
 * A person who is due waits for others of the group who are due soon, so that one list is for all: as long as they have
 * waited already, or for half of that if it is long, but not for longer than the second.
 */
#define PATIENCE_US (5 * USECS_PER_SEC)
#define MOST_PATIENCE_US (60 * USECS_PER_SEC)
/* A list that is as old, at most, tells that somebody who could not be added is not in the group. */
#define ABSENCE_MAX_AGE_US (60 * USECS_PER_SEC)
/* Whoever is to be invited, which a pause or quiet hours may put off, may have joined since an older list. */
#define INVITE_MAX_AGE_US (10 * 60 * USECS_PER_SEC)

/* So many LIDs are requested in one pass. */
#define LIDS_AT_ONCE 64

/* A person whose LID would tell whether they are in a list. */
typedef struct LidWanted
{
	InfoNeed	need;
	Oid			role;			/* as whom it is requested */
} LidWanted;

/* A row that gets another state at the end of a pass, with others. */
typedef struct VerifyEnding
{
	const Intent *intent;
	IntentState state;
	WawpOutcome outcome;
	const char *detail;			/* NULL: none */
	TimestampTz next;			/* when to go on with it; 0: it is done */
} VerifyEnding;

/* The result of one pass over the waiting rows of a lane. */
typedef struct VerifyPass
{
	VerifyEnding *endings;		/* rows that are settled at the pass's end */
	int			nendings;
	const Intent **postponed;	/* rows that are put off then ... */
	TimestampTz *dues;			/* ... until these times */
	int			npostponed;
	TimestampTz next;			/* when to come again; 0: nobody waits */
	TimestampTz later;			/* when the first is due who is not yet, and not for the list below; 0: nobody is */
	bool		wants_list;		/* for who is due ... */
	Oid			list_role;		/* ... as whom ... */
	TimestampTz list_by;		/* ... not later than that ... */
	TimestampTz list_at;		/* ... and not before those are due who are so until then; 0: there are none */
	int64		list_ms;		/* a list is wanted that may be requested then, monotonic; 0: none */
	InfoNeed	need;			/* to be requested now, about the group or us */
	Oid			role;			/* as whom */
	int			nlids;
	LidWanted	lids[LIDS_AT_ONCE]; /* to be requested as well */
	bool		is_undecided;	/* what the list shows of a row that is not due counts when more is known */
	bool		has_settings;
	int			capacity;		/* of the group, if it has settings */
	Oid			judged;			/* the requester looked up last ... */
	bool		is_unable;		/* ... and whether nothing can be requested as that role */
	bool		has_invitee;
	Intent		invitee;		/* a person who can be invited now */
	bool		has_freed;		/* a row ended or was queued again: others of the lane may go */
	bool		has_removed;	/* ... somebody is not in the group any more */
} VerifyPass;

/*
 * ---- times
 */

/* Return when the first list after an answer is read. */
TimestampTz
verify_first_at(const WawpInstance *instance)
{
	return GetCurrentTimestamp() + instance->delay_ms[0] * INT64CONST(1000);
}

/* Return when the list after the one that is due is read; 0 if that is the last. */
static TimestampTz
verify_next_at(const Intent *intent, const WawpInstance *instance)
{
	for (int i = 0; i < instance->ndelays; i++)
	{
		TimestampTz at = intent->since + instance->delay_ms[i] * INT64CONST(1000);

		if (at > intent->due + USECS_PER_SEC / 1000)
			return at;
	}
	return 0;
}

/* Return how long a person who was invited or waits for approval since that time is not searched again: growing intervals. */
static int64
verify_wait(const WawpInstance *instance, TimestampTz since)
{
	int64		elapsed = GetCurrentTimestamp() - since;
	int64		first = Min(FIRST_WAIT_US, instance->invite_ttl_ms * 1000 / LISTS_PER_INVITATION);

	return Min(Max(elapsed / 4, first), LONGEST_WAIT_US);
}

/* True if such a person, who is due then, is due soon as measured by that interval. */
static bool
verify_is_nearly_due(const WawpInstance *instance, TimestampTz since, TimestampTz due)
{
	return due - GetCurrentTimestamp() <= verify_wait(instance, since) / 2;
}

/* Return when to search for such a person again. */
TimestampTz
verify_next_wait(const WawpInstance *instance, TimestampTz since)
{
	TimestampTz next = GetCurrentTimestamp() + verify_wait(instance, since);
	TimestampTz end = since + instance->invite_ttl_ms * 1000;

	/* an end that is past would be due again at once, every time */
	if (end <= GetCurrentTimestamp())
		return next;
	return Min(next, end);
}

/* Come again no later than that. */
static void
pass_note_next(VerifyPass *pass, TimestampTz at)
{
	pass->next = pass->next == 0 ? at : Min(pass->next, at);
}

/*
 * ---- verdicts
 */

/* Return how many people the group takes; its settings are read once a pass. */
static int
pass_capacity(const LaneKey *lane, VerifyPass *pass)
{
	if (!pass->has_settings)
		pass->capacity = settings_get(lane).capacity;
	pass->has_settings = true;
	return pass->capacity;
}

/* Judge a waiting row by the list.  Store a LID that the list shows; set *need to the LID if that decides. */
static MembersFinding
verify_judge(const Intent *intent, Contact *contact, const CachedGroup *cached, bool is_last, VerifyPass *pass, InfoNeed *need)
{
	Jid			lid = group_cache_lid_of(contact);
	int			capacity = is_last && intent->action == ACTION_ADD ? pass_capacity(&intent->lane, pass) : 0;
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
		group_cache_learn_lid(cached, &intent->jid, contact);
	return finding;
}

/* Record and report a row's new state. */
static void
verify_note_settled(const Intent *intent, IntentState state, WawpOutcome outcome, const char *detail, VerifyPass *pass)
{
	audit_write_intent(intent, "verified", outcome, detail);
	completion_note_end(intent, state, outcome);
	pass->has_freed |= intent_state_is_final(state) || state == STATE_QUEUED;
	pass->has_removed |= intent->action == ACTION_REMOVE && state == STATE_DONE;
}

/* Settle a row, report its end, and note in *pass when to come again. */
static void
verify_settle(const Intent *intent, IntentState state, WawpOutcome outcome, const char *detail,
			  TimestampTz next, VerifyPass *pass)
{
	IntentChange change = {
		.state = state,
		.has_outcome = true,
		.outcome = outcome,
		.code = intent->code,
		.detail = detail,
		.next_attempt_at = next
	};

	if (state == STATE_QUEUED && intent_is_pending(&intent->lane, intent->jid.text, intent->requester))
	{
		pass_note_next(pass, GetCurrentTimestamp() + LOCKED_RETRY_US);
		return;
	}
	(void) intent_settle(intent->id, intent->state, &change);
	state = change.state;
	verify_note_settled(intent, state, outcome, detail, pass);
	if (state == STATE_CANCELLED)
		completion_note_replaced(intent);
	if (next != 0 && state != STATE_QUEUED && state != STATE_CANCELLED)
		pass_note_next(pass, next);
}

/* Settle a row at the end of the pass. */
static void
verify_settle_later(const Intent *intent, IntentState state, WawpOutcome outcome, const char *detail, TimestampTz next,
					VerifyPass *pass)
{
	pass->endings[pass->nendings++] = (VerifyEnding) {intent, state, outcome, detail, next};
}

/* The same for one whose change the list shows. */
static void
verify_settle_shown(const Intent *intent, WawpOutcome outcome, VerifyPass *pass)
{
	verify_settle_later(intent, STATE_DONE, outcome, NULL, 0, pass);
}

/* True if one statement may settle both. */
static bool
verify_ends_like(const VerifyEnding *one, const VerifyEnding *other)
{
	return one->state == other->state && one->outcome == other->outcome && one->intent->code == other->intent->code &&
		one->intent->state == other->intent->state && (one->detail == NULL) == (other->detail == NULL) &&
		(one->detail == NULL || strcmp(one->detail, other->detail) == 0);
}

/*
 * Settle the rows of the pass that end like the first of them by one statement;
 * move the others to the front.
 */
static void
verify_settle_first(VerifyPass *pass)
{
	const VerifyEnding first = pass->endings[0];
	IntentChange change = {
		.state = first.state,
		.has_outcome = true,
		.outcome = first.outcome,
		.code = first.intent->code,
		.detail = first.detail,
		.next_attempt_at = first.next
	};
	const Intent **alike = palloc(sizeof(Intent *) * pass->nendings);
	bool	   *settled = palloc(sizeof(bool) * pass->nendings);
	int			n = 0;
	int			left = 0;

	for (int i = 0; i < pass->nendings; i++)
	{
		if (verify_ends_like(&first, &pass->endings[i]))
			alike[n++] = pass->endings[i].intent;
		else
			pass->endings[left++] = pass->endings[i];
	}
	intent_settle_several(alike, n, first.intent->state, &change, settled);
	for (int i = 0; i < n; i++)
		if (settled[i])
			verify_note_settled(alike[i], first.state, first.outcome, first.detail, pass);
		else
			pass_note_next(pass, GetCurrentTimestamp() + LOCKED_RETRY_US);
	if (first.next != 0)
		pass_note_next(pass, first.next);
	pass->nendings = left;
	pfree(alike);
	pfree(settled);
}

/* Write what the pass has made of its rows. */
static void
verify_write(VerifyPass *pass)
{
	while (pass->nendings > 0)
		verify_settle_first(pass);
	if (pass->npostponed > 0)
		intent_postpone_several(pass->postponed, pass->dues, pass->npostponed);
}

/* Put a row off, and note in it why (NULL: unchanged). */
static void
verify_postpone(const Intent *intent, TimestampTz due, const char *why, VerifyPass *pass)
{
	pass_note_next(pass, due);
	if (why)
		intent_postpone(intent, due, why);
	else
	{
		pass->dues[pass->npostponed] = due;
		pass->postponed[pass->npostponed++] = intent;
	}
}

/* Return when to repeat a request whose result is unknown: an engine's 400 may be a rate limit (see settle.c), and so may what others met. */
static TimestampTz
verify_repeat_at(const Intent *intent)
{
	int64		delay = backoff_request_ms(WAWP_UNKNOWN_RESULT, intent->attempts, -1, pg_prng_double(&pg_global_prng_state));

	return intent->code == 400 || intent->outcome == WAWP_UNRECOGNISED ? GetCurrentTimestamp() + delay * 1000 : 0;
}

/*
 * True if a row whose change no list shows is requested again: what became of its
 * request was not known, or the refusal was the call's, since others met the same.
 */
static bool
verify_repeats(const Intent *intent)
{
	bool		is_in_doubt = intent->outcome == WAWP_UNKNOWN_RESULT ||
		(intent->outcome == WAWP_UNRECOGNISED && refusal_run_had(&intent->lane.instance, intent->code, intent->since));

	return is_in_doubt && intent->attempts < BACKOFF_MAX_ATTEMPTS;
}

/* Settle an addition whose person is absent from the last list. */
static void
verify_settle_absent_add(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, VerifyPass *pass)
{
	WawpOutcome outcome = finding->outcome;
	const char *no_invite;

	if (verify_repeats(intent))
		verify_settle(intent, STATE_QUEUED, WAWP_UNKNOWN_RESULT, "not in the member list: requested again",
					  verify_repeat_at(intent), pass);
	else if (intent->outcome != WAWP_ACCEPTED)
		verify_settle(intent, STATE_FAILED, intent->outcome, intent->detail, 0, pass);
	else if (finding->outcome == WAWP_GROUP_FULL)
		verify_settle(intent, STATE_QUEUED, finding->outcome, finding->detail, 0, pass);
	else if (finding->outcome == WAWP_PENDING_APPROVAL)
		verify_settle(intent, STATE_PENDING_APPROVAL, finding->outcome, finding->detail,
					  verify_next_wait(instance, GetCurrentTimestamp()), pass);
	else if ((no_invite = messages_why_not_invited(intent, instance, &outcome)) != NULL)
		verify_settle(intent, STATE_FAILED, outcome,
					  psprintf("accepted by the API, but not in the member list; %s", no_invite), 0, pass);
	else
		verify_settle_later(intent, STATE_INVITING, finding->outcome,
							"accepted by the API, but not in the member list", GetCurrentTimestamp(), pass);
}

/* Keep waiting for a person or an admin to act, for as long as an invitation lives; note why in the row (NULL: unchanged). */
static void
verify_go_on_waiting(const Intent *intent, const WawpInstance *instance, const char *why, VerifyPass *pass)
{
	bool		is_over = GetCurrentTimestamp() >= intent->since + instance->invite_ttl_ms * 1000;

	if (is_over && intent->state == STATE_INVITED)
		verify_settle(intent, STATE_FAILED, WAWP_INVITED, "did not join within invite_ttl", 0, pass);
	else if (is_over && intent->state == STATE_PENDING_APPROVAL)
		verify_settle(intent, STATE_FAILED, WAWP_PENDING_APPROVAL, "no admin has approved it within invite_ttl", 0, pass);
	else
		verify_postpone(intent, verify_next_wait(instance, intent->since), why, pass);
}

/* Go on with a row whose change the list does not show. */
static void
verify_settle_no(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance, VerifyPass *pass)
{
	TimestampTz next = verify_next_at(intent, instance);

	if (intent->state != STATE_VERIFYING)
		verify_go_on_waiting(intent, instance, NULL, pass);
	else if (next != 0)
		verify_postpone(intent, next, NULL, pass);
	else if (intent->action == ACTION_ADD)
		verify_settle_absent_add(intent, finding, instance, pass);
	else if (verify_repeats(intent))
		verify_settle(intent, STATE_QUEUED, WAWP_UNKNOWN_RESULT, "the member list shows no effect: requested again",
					  verify_repeat_at(intent), pass);
	else
		verify_settle(intent, STATE_FAILED, intent->outcome, "accepted by the API, but the member list shows no effect", 0, pass);
}

/* Go on with a row that no list can tell of, or for which there is none; the row says why meanwhile. */
static void
verify_settle_unknown(const Intent *intent, const WawpInstance *instance, const char *why, VerifyPass *pass)
{
	TimestampTz next = verify_next_at(intent, instance);
	int64		elapsed = GetCurrentTimestamp() - intent->since;
	const char *shown = intent->outcome == WAWP_ACCEPTED ? why : NULL;

	if (intent->state != STATE_VERIFYING)
		verify_go_on_waiting(intent, instance, NULL, pass);
	else if (next != 0)
		verify_postpone(intent, next, shown, pass);
	else if (elapsed < LONGEST_UNKNOWN_US)
		verify_postpone(intent, GetCurrentTimestamp() + Min(Max(elapsed, USECS_PER_SEC), LONGEST_WAIT_US), shown, pass);
	else
		verify_settle(intent, intent->outcome == WAWP_ACCEPTED ? STATE_DONE : STATE_FAILED, intent->outcome, why, 0, pass);
}

/*
 * ---- rows
 */

/* True if nothing can be requested as the row's requester for now; the row is verified later then. */
static bool
pass_is_unable(VerifyPass *pass, const LaneKey *lane, Oid requester)
{
	if (pass->judged != requester)
	{
		pass->judged = requester;
		pass->is_unable = group_cache_is_unable(lane, requester);
	}
	if (pass->is_unable)
		pass_note_next(pass, GetCurrentTimestamp() + INSTANCE_RETRY_MS * INT64CONST(1000));
	return pass->is_unable;
}

/* The same for a row that was read. */
static bool
verify_is_requester_unable(const Intent *intent, VerifyPass *pass)
{
	return pass_is_unable(pass, &intent->lane, intent->requester);
}

/* Set the information that is requested now as a role, if none is set yet. */
static void
pass_need(VerifyPass *pass, GroupQuestion question, Oid role)
{
	if (pass->need.question != 0)
		return;
	pass->need = (InfoNeed) {question, NULL};
	pass->role = role;
}

/* Set the information that has to be requested before the lane can be verified, if none is set yet. */
static void
verify_want(const Intent *intent, GroupQuestion question, VerifyPass *pass)
{
	pass->is_undecided |= intent->due > GetCurrentTimestamp();
	if (verify_is_requester_unable(intent, pass))
		return;
	pass_need(pass, question, intent->requester);
	pass_note_next(pass, GetCurrentTimestamp() + READ_GAP_MS * INT64CONST(1000));
}

/*
 * True if a row waits for the LID of its person, which is requested if *need says
 * so: now, or when there is room.
 */
static bool
verify_awaits_lid(const Intent *intent, const InfoNeed *need, VerifyPass *pass)
{
	if (need->question == 0 && group_cache_is_asking_about(ASK_LID, intent->jid.text))
	{
		/* perhaps for another lane, whose answer does not begin a verification of this one */
		pass_note_next(pass, GetCurrentTimestamp() + READ_GAP_MS * INT64CONST(1000));
		return true;
	}
	if (need->question == 0)
		return false;
	if (verify_is_requester_unable(intent, pass))
		return false;
	if (pass->nlids < LIDS_AT_ONCE)
		pass->lids[pass->nlids++] = (LidWanted) {*need, intent->requester};
	return true;
}

/* Return how long somebody who is due waits for others, so that a list is for them as well. */
static int64
verify_patience(IntentState state, TimestampTz since, TimestampTz due, const WawpInstance *instance)
{
	int64		waited = due - since;

	if (state == STATE_INVITING)
		return 0;
	if (state != STATE_VERIFYING)
		return verify_wait(instance, since) / 2;
	return Min(Min(waited, Max(waited / 2, PATIENCE_US)), MOST_PATIENCE_US);
}

/* Want a list for somebody who is due, by a certain time, as the role. */
static void
pass_want_list(VerifyPass *pass, Oid role, TimestampTz by)
{
	if (!pass->wants_list)
		pass->list_role = role;
	pass->list_by = pass->wants_list ? Min(pass->list_by, by) : by;
	pass->wants_list = true;
}

/* The same for a row that was read. */
static void
verify_want_list(const Intent *intent, const WawpInstance *instance, VerifyPass *pass)
{
	if (!verify_is_requester_unable(intent, pass))
		pass_want_list(pass, intent->requester,
					   intent->due + verify_patience(intent->state, intent->since, intent->due, instance));
}

/*
 * Request the list that is wanted, unless one was read just now or is unreadable,
 * or others are due soon.
 */
static void
pass_request_list(VerifyPass *pass, const CachedGroup *cached, const WawpInstance *instance)
{
	int64		gap = Min(READ_GAP_MS, instance->delay_ms[0]);
	int64		wait = cached->listed_ms == 0 ? 0 : cached->listed_ms + gap - clock_monotonic_ms();
	TimestampTz at = Min(pass->list_at, pass->list_by);
	TimestampTz now = GetCurrentTimestamp();

	if (!pass->wants_list)
		return;
	if (at > now + Max(wait, 0) * 1000)
	{
		pass_note_next(pass, at);
		return;
	}
	if (wait > 0)
		pass->list_ms = cached->listed_ms + gap;
	if (group_cache_is_unreadable(cached))
		wait = Max(wait, cached->failed_ms + group_cache_read_backoff_ms(cached) - clock_monotonic_ms());
	if (wait <= 0)
		pass_need(pass, ASK_LIST, pass->list_role);
	pass_note_next(pass, now + Max(wait, gap) * 1000);
}

/*
 * Go on with a person who is not in the list and waits for an admin's approval.
 * The group's list of requests to join, read once a look for all who wait, tells
 * if the request has ended: the person has been in it and is in neither list any
 * more, twice, since lists lag.  What it does not tell changes nothing.
 */
static void
verify_pending(const Intent *intent, const Contact *contact, const CachedGroup *cached, const MembersFinding *finding,
			   const WawpInstance *instance, VerifyPass *pass)
{
	InfoNeed	lid = {0, NULL};
	Presence	asks;

	if (group_cache_may_ask_joins(cached, instance, intent->due - 1) && !verify_is_requester_unable(intent, pass))
	{
		verify_want(intent, ASK_JOINS, pass);
		return;
	}
	asks = group_cache_asks_to_join(cached, &intent->jid, contact, &lid);
	if (lid.question != 0)
		(void) verify_awaits_lid(intent, &lid, pass);
	if (asks == PRESENCE_PRESENT)
		verify_go_on_waiting(intent, instance, REQUEST_IS_THERE, pass);
	else if (asks == PRESENCE_UNKNOWN || finding->verdict != VERDICT_NO || intent->detail == NULL)
		verify_go_on_waiting(intent, instance, NULL, pass);
	else if (strcmp(intent->detail, REQUEST_IS_THERE) == 0)
		verify_go_on_waiting(intent, instance, REQUEST_IS_GONE, pass);
	else if (strcmp(intent->detail, REQUEST_IS_GONE) == 0 && group_cache_wants_info(cached))
		verify_want(intent, ASK_INFO, pass);
	else if (strcmp(intent->detail, REQUEST_IS_GONE) == 0)
		verify_settle(intent, STATE_FAILED, WAWP_PENDING_APPROVAL,
					  "the request to join has ended without the person: an admin has rejected it, or it was withdrawn", 0, pass);
	else
		verify_go_on_waiting(intent, instance, NULL, pass);
}

/* True if an invitation waits for what only its requester may ask, who may not any more: it has failed. */
static bool
verify_is_refused(const Intent *intent, const MembersFinding *finding, VerifyPass *pass)
{
	if (intent->state != STATE_INVITING || finding->verdict == VERDICT_YES || intent->due > GetCurrentTimestamp())
		return false;
	return verify_is_requester_unable(intent, pass) && messages_refuse(intent);
}

/* Settle a person who is to be invited, or make them the invitee of the pass if they are surely absent. */
static void
verify_invitee(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance,
			   const MembersFinding *finding, const InfoNeed *lid, VerifyPass *pass)
{
	if (finding->verdict == VERDICT_YES)
		verify_settle_shown(intent, finding->outcome, pass);
	else if (intent->due > GetCurrentTimestamp())
		pass_note_next(pass, intent->due);
	else if (finding->verdict == VERDICT_UNKNOWN && cached->has_info && group_cache_wants_info(cached))
		verify_want(intent, ASK_INFO, pass);
	else if (finding->verdict == VERDICT_UNKNOWN && verify_awaits_lid(intent, lid, pass))
		;
	else if (finding->verdict == VERDICT_UNKNOWN && cached->failures < MAX_READ_FAILURES)
		verify_postpone(intent, verify_next_wait(instance, intent->since), NULL, pass);
	else if (!pass->has_invitee && !verify_is_requester_unable(intent, pass))
	{
		pass->invitee = *intent;
		pass->has_invitee = true;
	}
}

/*
 * True if the list has been unreadable too often: again since the row was due,
 * or until its time was over.
 */
static bool
verify_is_given_up(const Intent *intent, const CachedGroup *cached, const WawpInstance *instance)
{
	int64		longest = intent->state == STATE_INVITED ? instance->invite_ttl_ms * 1000 : LONGEST_UNKNOWN_US;

	if (cached->failures < MAX_READ_FAILURES)
		return false;
	return group_cache_failed_since(cached, intent->due) ||
		(group_cache_is_unreadable(cached) && GetCurrentTimestamp() - intent->since >= longest);
}

/* True if a verdict would rest on an absence from the list, and the group's description is not known yet. */
static bool
verify_needs_info(const Intent *intent, const MembersFinding *finding, const WawpInstance *instance,
				  const CachedGroup *cached)
{
	bool		is_decisive = finding->verdict == VERDICT_YES ||
		(intent->due <= GetCurrentTimestamp() && intent->state == STATE_VERIFYING && verify_next_at(intent, instance) == 0);

	/* a shorter list than the group states may be the newer of the two */
	return (finding->by_absence || (finding->verdict == VERDICT_UNKNOWN && cached->has_info)) && is_decisive &&
		group_cache_wants_info(cached);
}

/* Record the shape of a list's entries that are not understood, once for each row that waits because of them. */
static void
verify_record_unread(const Intent *intent, const CachedGroup *cached, const char *why)
{
	AuditRecord record = audit_record_of_intent(intent, "verified");

	if (cached->list.unread == 0 || intent->state != STATE_VERIFYING || intent->outcome != WAWP_ACCEPTED ||
		(intent->detail && strcmp(intent->detail, why) == 0))
		return;
	record.outcome = outcome_info(intent->outcome)->name;
	record.detail = audit_detail(why, cached->list.unread_shape);
	audit_write(&record);
}

/* Go on with a row by what a list that counts shows. */
static void
verify_finding(const Intent *intent, const Contact *contact, const CachedGroup *cached, const MembersFinding *finding,
			   const WawpInstance *instance, const InfoNeed *lid, VerifyPass *pass)
{
	const char *why = finding->detail ? psprintf("could not be verified: %s", finding->detail)
		: "could not be verified: the member list has people by privacy id only";

	if (intent->state == STATE_PENDING_APPROVAL)
		verify_pending(intent, contact, cached, finding, instance, pass);
	else if (finding->verdict == VERDICT_NO)
		verify_settle_no(intent, finding, instance, pass);
	else if (!verify_awaits_lid(intent, lid, pass))
	{
		verify_record_unread(intent, cached, why);
		verify_settle_unknown(intent, instance, why, pass);
	}
}

/*
 * True if a person who was invited is due soon, so that the list there is counts
 * for them, too: people who were invited one after the other share lists.
 */
static bool
verify_shares_list(const Intent *intent, const WawpInstance *instance)
{
	return intent->state == STATE_INVITED && verify_is_nearly_due(instance, intent->since, intent->due);
}

/* Return the time from which on a list tells of a row. */
static TimestampTz
verify_list_since(const Intent *intent)
{
	return intent->state == STATE_INVITING ? Max(intent->since, GetCurrentTimestamp() - INVITE_MAX_AGE_US) : intent->since;
}

/*
 * Judge a waiting row by the list, if it counts.  That somebody who could not be
 * added is absent is told by the list that showed it as well, or by one that was
 * read a little before the refusal.
 */
static MembersFinding
verify_find(const Intent *intent, Contact *contact, const CachedGroup *cached, const WawpInstance *instance,
			VerifyPass *pass, InfoNeed *need)
{
	bool		has_list = group_cache_has_list_since(cached, verify_list_since(intent));
	bool		is_absent = intent->state == STATE_INVITING && intent->action == ACTION_ADD &&
		group_cache_has_list_since(cached, GetCurrentTimestamp() - ABSENCE_MAX_AGE_US);
	MembersFinding finding = {.verdict = VERDICT_UNKNOWN};

	if (has_list || is_absent)
		finding = verify_judge(intent, contact, cached, verify_next_at(intent, instance) == 0, pass, need);
	if (has_list || finding.verdict == VERDICT_NO)
		return finding;
	need->question = 0;
	return (MembersFinding) {.verdict = VERDICT_UNKNOWN};
}

/* Verify one waiting row, as far as the information for it is there. */
static void
verify_row(const Intent *intent, Contact *contact, const CachedGroup *cached, const WawpInstance *instance, VerifyPass *pass)
{
	bool		has_list = group_cache_has_list_since(cached, verify_list_since(intent));
	bool		is_due = intent->due <= GetCurrentTimestamp();
	InfoNeed	lid = {0, NULL};
	MembersFinding finding = verify_find(intent, contact, cached, instance, pass, &lid);

	if (verify_is_refused(intent, &finding, pass))
		return;
	if (has_list && is_due && finding.verdict == VERDICT_UNKNOWN && group_cache_wants_list(cached))
		verify_want_list(intent, instance, pass);
	else if (intent->state == STATE_INVITING &&
			 (has_list || cached->failures >= MAX_READ_FAILURES || finding.verdict == VERDICT_NO))
		verify_invitee(intent, cached, instance, &finding, &lid, pass);
	else if (has_list && verify_needs_info(intent, &finding, instance, cached))
		verify_want(intent, ASK_INFO, pass);
	else if (finding.verdict == VERDICT_YES)
		verify_settle_shown(intent, finding.outcome, pass);
	else if (!is_due && has_list && finding.verdict == VERDICT_NO && verify_shares_list(intent, instance))
		verify_go_on_waiting(intent, instance, NULL, pass);
	else if (!is_due)
		pass_note_next(pass, intent->due);
	else if (!has_list || !group_cache_has_list_since(cached, intent->due - 1))
	{
		if (verify_is_given_up(intent, cached, instance) ||
			(GetCurrentTimestamp() - intent->since >= LONGEST_UNKNOWN_US && verify_is_requester_unable(intent, pass)))
			verify_settle_unknown(intent, instance, "could not be verified: the member list cannot be read", pass);
		else
			verify_want_list(intent, instance, pass);
	}
	else
		verify_finding(intent, contact, cached, &finding, instance, &lid, pass);
}

/* Return until when a pass has left nothing to do in its lane but to wait for a list to be requested; 0: there is something. */
static int64
verify_idle_until(const VerifyPass *pass)
{
	if (pass->list_ms == 0 || pass->has_invitee || pass->need.question != 0 || pass->nlids > 0)
		return 0;
	return Min(pass->list_ms, clock_monotonic_of(pass->next));
}

/*
 * Note which rows need not be looked at again: all, with the list there is; those
 * that are due, until what they wait for.  If a few of the invitees were looked
 * at, and none can be invited, the others are next.
 */
static void
verify_note_looked(CachedGroup *cached, TimestampTz began, const IntentsWaiting *waiting, bool all, const VerifyPass *pass)
{
	cached->idle_until_ms = verify_idle_until(pass);
	cached->due_looked_at = began;
	cached->due_again_ms = pass->next != 0 ? clock_monotonic_of(pass->next) : 0;
	if (all && !pass->is_undecided)
		cached->looked_us = cached->requested_us;
	else if (!all && !pass->has_invitee && waiting->n > 0 && waiting->intents[waiting->n - 1].state == STATE_INVITING)
		cached->looked_us = LOOK_AGAIN;
}

/* The facts by which rows of a lane are chosen, and their pass. */
typedef struct VerifyLook
{
	const CachedGroup *cached;
	const WawpInstance *instance;
	bool		is_all;
	VerifyPass *pass;
} VerifyLook;

/*
 * True if nothing can become of a row that is due before a list has come: it need
 * not be read for that.  Wherever a look at a list has not ended, it is read.
 */
static bool
verify_waits_for_list(const IntentBrief *brief, const VerifyLook *look)
{
	return brief->state != STATE_INVITING && look->cached->failures < MAX_READ_FAILURES &&
		GetCurrentTimestamp() - brief->since < LONGEST_UNKNOWN_US &&
		!group_cache_has_list_since(look->cached, brief->due - 1) &&
		!(look->is_all && group_cache_has_list_since(look->cached, brief->since));
}

/* Note when a row is due that is not yet: with others, who have to wait for a list until then, or later. */
static void
pass_note_later(VerifyPass *pass, const IntentBrief *brief)
{
	if (pass->wants_list && brief->due <= pass->list_by && brief->state != STATE_INVITING)
		pass->list_at = Max(pass->list_at, brief->due);
	else
		pass->later = pass->later == 0 ? brief->due : Min(pass->later, brief->due);
}

/*
 * True if the list there is may settle a row that is not due, or put it off.  A list
 * that shows some people by LID alone may show anybody; one that shows this person
 * under another number does so when the row is due.
 */
static bool
verify_may_settle(const IntentBrief *brief, const VerifyLook *look)
{
	const WireMembers *list = &look->cached->list;
	Jid			jid;

	if (brief->action != ACTION_ADD && brief->action != ACTION_INVITE)
		return true;
	if (!group_cache_has_list_since(look->cached, brief->since))
		return brief->state == STATE_INVITING && look->cached->failures >= MAX_READ_FAILURES;
	if (list->shown[WIRE_SHOWS_LID] > 0 || (brief->state == STATE_INVITED && verify_is_nearly_due(look->instance, brief->since, brief->due)))
		return true;
	jid = jid_parse(brief->jid, strlen(brief->jid));
	return wire_find_member(list, &jid) != NULL;
}

/* True if a row is to be read; otherwise note in the pass what it waits for. */
static bool
verify_is_wanted(const IntentBrief *brief, bool is_due, void *context)
{
	const VerifyLook *look = context;

	if (!is_due)
	{
		pass_note_later(look->pass, brief);
		return verify_may_settle(brief, look);
	}
	if (!verify_waits_for_list(brief, look))
		return true;
	if (!pass_is_unable(look->pass, &look->cached->key, brief->requester))
		pass_want_list(look->pass, brief->requester,
					   brief->due + verify_patience(brief->state, brief->since, brief->due, look->instance));
	return false;
}

/*
 * Verify the waiting rows of a lane, a portion at a time: all that wait if there
 * is a list that has not been looked at for them, otherwise those that are due,
 * less those that were looked at and still wait for a time.  Settle those that
 * the list settles, and set what is to be requested and when to come again.
 */
static void
verify_rows(const LaneKey *key, const WawpInstance *instance, VerifyPass *pass)
{
	CachedGroup *cached = group_cache_get(key);
	bool		all = cached->requested_us != cached->looked_us;
	int64		wait = all ? 0 : cached->due_again_ms - clock_monotonic_ms();
	TimestampTz began = GetCurrentTimestamp();
	VerifyLook	context = {cached, instance, all, pass};
	IntentLook	look = {PEOPLE_AT_ONCE, all, wait > 0 ? cached->due_looked_at : DT_NOBEGIN, verify_is_wanted, &context};
	IntentsWaiting waiting = intent_waiting(key, &look);

	if (wait > 0)
		pass_note_next(pass, began + wait * 1000);
	if (waiting.has_locked)
		pass_note_next(pass, began + LOCKED_RETRY_US);
	pass->endings = palloc(sizeof(VerifyEnding) * Max(waiting.n, 1));
	pass->postponed = palloc(sizeof(Intent *) * Max(waiting.n, 1));
	pass->dues = palloc(sizeof(TimestampTz) * Max(waiting.n, 1));
	for (int i = 0; i < waiting.n; i++)
	{
		if (waiting.intents[i].superseded)
			continue;
		waiting.intents[i].seen_at = group_cache_list_at(cached);
		if (waiting.contacts[i].id == 0)
			waiting.contacts[i] = contact_get(waiting.intents[i].jid.text);
		verify_row(&waiting.intents[i], &waiting.contacts[i], cached, instance, pass);
	}
	verify_write(pass);
	pass_request_list(pass, cached, instance);
	/* a whole portion that is due: there are more rows; after an invitee, they wait to be invited as well */
	if (waiting.n == PEOPLE_AT_ONCE && waiting.intents[waiting.n - 1].due <= GetCurrentTimestamp())
		pass_note_next(pass, GetCurrentTimestamp() + (pass->has_invitee ? CROWD_RETRY_US : LOCKED_RETRY_US));
	verify_note_looked(cached, began, &waiting, all, pass);
	if (pass->later != 0)
		pass_note_next(pass, pass->later);
}

/*
 * ---- lanes
 */

/* Invite the person of a pass as far as the lane may send; set in *pass what that needs and when to come again. */
static void
verify_invite(Lane *lane, const WawpInstance *described, Holds *holds, VerifyPass *pass)
{
	int64		held = hold_lane_until(holds, &lane->key);

	if (pass->need.question == 0 && held == 0 && admission_is_serving(clock_monotonic_ms()))
	{
		pass_note_next(pass, messages_invite(lane, &pass->invitee, described, holds, &pass->need));
		pass->role = pass->invitee.requester;
	}
	else if (held > 0 && held != CLOCK_NEVER)
		lanes_verify(&lane->key, held);
}

/* True if a verification may have another request under way: claims that wait have half of the places. */
static bool
verify_has_room(const Lane *lane, const WawpInstance *described)
{
	const LaneInstance *instance = lane->instance;

	return admission_has_room(lane, described) && admission_has_slot(clock_monotonic_ms()) && lanes_has_share(instance) &&
		(!instance->claim_spot.is_due || instance->verifying < Max(instance->limit / 2, 1));
}

/*
 * Request the LIDs that a pass wants, as far as there is room; the others are
 * requested when these answers have come.  False if there is no room at all: the
 * lane is parked.
 */
static bool
verify_ask_lids(Lane *lane, const WawpInstance *described, VerifyPass *pass)
{
	int64		later;

	for (int i = 0; i < pass->nlids; i++)
	{
		if (!verify_has_room(lane, described))
		{
			if (group_cache_is_verifying(group_cache_get(&lane->key)))
				return true;
			lanes_park_verification(lane, 0);
			return false;
		}
		/* as somebody else, if there is anybody */
		if (!group_cache_ask(&lane->key, pass->lids[i].role, &pass->lids[i].need, true, described, &later))
			pass_note_next(pass, GetCurrentTimestamp());
	}
	return true;
}

/* Request what a pass needs.  False if the pace of reads or the lack of room does not allow it: the lane is parked. */
static bool
verify_ask(Lane *lane, const WawpInstance *described, VerifyPass *pass)
{
	int64		later;

	if (pass->need.question != 0 && group_cache_await(group_cache_get(&lane->key), &pass->need, true))
		lane->awaits_answer = true;
	else if (pass->need.question != 0 && !group_cache_ask(&lane->key, pass->role, &pass->need, true, described, &later))
	{
		if (later > 0)
		{
			lanes_park_verification(lane, later);
			return false;
		}
		/* as somebody else, if there is anybody */
		pass->next = GetCurrentTimestamp();
	}
	return verify_ask_lids(lane, described, pass);
}

/* True if a look now would find nothing but what the last one has left, or what needs a list as well. */
static bool
verify_is_idle(const CachedGroup *cached)
{
	return cached->requested_us == cached->looked_us && clock_monotonic_ms() < cached->idle_until_ms;
}

/* Verify the rows of a lane and go on with them: at most one request, beside those for LIDs. */
static void
verify_lane(void *subject, Holds *holds)
{
	Lane	   *lane = subject;
	WawpInstance *described;
	ErrorData  *error = instance_cache_get(&lane->key, INSTANCE_OF_NOBODY, &described);
	VerifyPass *pass;
	int64		later;

	if (error)
	{
		/* otherwise the next rescan finds the lane again, if its instance exists then */
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			lanes_verify(&lane->key, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
		return;
	}
	lanes_describe(lane->instance, described->concurrency, described->reads_per_minute, described->base.origin);
	if (!admission_has_room(lane, described))
	{
		lanes_park_verification(lane, 0);
		return;
	}
	later = hold_reads_until(holds, &lane->key);
	if (later > 0)
	{
		lanes_park_verification(lane, later);
		return;
	}
	if (verify_is_idle(group_cache_get(&lane->key)))
	{
		lanes_verify(&lane->key, group_cache_get(&lane->key)->idle_until_ms);
		return;
	}
	pass = palloc0(sizeof(VerifyPass));
	verify_rows(&lane->key, described, pass);
	if (pass->has_freed)
		lanes_note(&lane->key, clock_monotonic_ms());
	if (pass->has_removed)
		completion_note_room(&lane->key, holds);
	if (pass->has_invitee)
		verify_invite(lane, described, holds, pass);
	if (verify_ask(lane, described, pass) && pass->next != 0 && !lane->awaits_answer &&
		!group_cache_is_verifying(group_cache_get(&lane->key)))
		lanes_verify(&lane->key, Max(clock_monotonic_of(pass->next), clock_monotonic_ms() + 1));
	pfree(pass);
}

/* Return the next lane to be verified, as far as there are slots and the portion goes; NULL if there is none. */
static Lane *
verify_take_lane(CyclePortion *portion)
{
	int64		now = clock_monotonic_ms();

	if (!admission_has_slot(now) || admission_portion_left(portion, now) == 0)
		return NULL;
	return lanes_take_verification(portion->due_by_ms, admission_may_claim(now));
}

/* Verify the lanes that are due by the time of the portion, as far as it goes. */
void
verify_due(Holds *holds, CyclePortion *portion)
{
	Lane	   *lane;

	if (!savepoint_is_on())
		membership_gather();
	while ((lane = verify_take_lane(portion)) != NULL)
	{
		portion->turns++;
		if (savepoint_run(verify_lane, lane, holds))
			continue;
		group_cache_forget_looks();
		lanes_verify(&lane->key, clock_monotonic_ms() + LANES_LOCKED_RETRY_MS);
	}
	membership_end_gathering();
}
