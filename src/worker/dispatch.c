/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *	  The cycle of the worker: its duties, what it is told, and recovery.
 *
 * One cycle is one transaction: answers are settled and recorded, due rows are
 * claimed and recorded as sent; it commits; only then are requests sent.  While
 * requests are under way there is no transaction.  worker.c opens and closes the
 * transactions.  A cycle takes what was due when its lanes are served, in portions; the rest
 * is left to the next.
 *
 * The steps of a cycle are the table duties[], which also tells when the next
 * cycle is due.  Recovery: rows that were in doubt when the last worker ended are
 * served one at a time, and the limiter is told what was sent before the server
 * started.  The steps' modules are settle.c, completion.c, verify.c, claim.c and
 * messages.c; a request is an attempt (attempt.c).
 *
 * Memory: a cycle's is SPI's.  What the worker was told is kept until a commit.
 *
 * IDENTIFICATION
 *	  src/worker/dispatch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "tables/audit.h"
#include "tables/audit_mailbox.h"
#include "tables/contact.h"
#include "tables/erasure.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "throttle/budget.h"
#include "throttle/limiter.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/claim.h"
#include "worker/completion.h"
#include "worker/dispatch.h"
#include "worker/erasure_rest.h"
#include "worker/events.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"
#include "worker/refusal_run.h"
#include "worker/savepoint.h"
#include "worker/settle.h"
#include "worker/verify.h"

#include "compat.h"

/* A row that was in doubt is parked if the worker ended twice while serving it alone. */
#define MAX_LONE_CRASHES 1
/* Recovery ends then: what is still in doubt waits for something else. */
#define LONGEST_RECOVERY_MS (5 * 60 * 1000)
/* CALL wawp_drain() does not wait for what is due later than that. */
#define DRAIN_HORIZON_MS (60 * 1000)
#define NOTES_AT_ONCE 100
#define INVITATIONS_AT_ONCE 1000
/* A rescan reads so many lanes in a cycle. */
#define LANES_AT_ONCE 5000
/* The poll of each minute reads so many, where one that is given a turn for nothing counts as several. */
#define LANES_A_POLL 1000
#define COST_OF_TURN 10

/* A duty's next_ms: the last cycle has left something that cannot be done at once. */
#define DUTY_LEFT INT64CONST(-1)
/* A duty that failed because of somebody's lock is tried again after that. */
#define DUTY_LOCKED_RETRY_MS 1000

/* The scan of the queue for lanes of one kind. */
typedef struct LaneScan
{
	LaneKey		after;			/* the last lane that was read, also where the next poll goes on */
	int			left;			/* lanes that are still to be read; 0: the scan rests */
	bool		is_rescan;		/* of all lanes, from the first; or else of some more, for the poll */
	bool		again;			/* another rescan was asked for meanwhile */
} LaneScan;

#define LANE_SCANS (LANES_WAITING + 1)

/* The cycle under way, and what each leaves to the next. */
typedef struct CycleState
{
	DispatchWake told;			/* since the last commit */
	LaneScan	scans[LANE_SCANS];	/* by IntentLaneKind */
	bool		has_judged;		/* answers were read since the last commit */
	bool		has_notes;		/* of what sessions did */
	int64		retry_ms;		/* when a cycle does what the last one had to leave; monotonic ms */
	int64		began_ms;		/* the cycle under way, likewise */
	Holds	   *holds;			/* as it has read them */
	bool		claims_first;	/* during recovery, claims and verifications take turns */
	bool		counts_crashes; /* the last worker ended without being told to */
	char	   *doubts;			/* ids of rows in doubt, as an array's text */
	bool		has_locked_doubts;	/* users had locked some of them */
	bool		has_doubtful;	/* pending invitations that may have been sent before a promotion ... */
	bool		has_locked_doubtful;	/* ... and that users had locked */
	int64		recovery_until_ms;	/* monotonic */
} CycleState;

/* Occasions on which a duty is done besides its time. */
typedef enum DutyOccasion
{
	ON_TIME,					/* no other */
	ON_RESCAN,					/* the worker was told that anything may have changed, or a minute is over */
	ON_NEWS,					/* or that a lane has */
	ON_EVERY_CYCLE
} DutyOccasion;

/* One step of a cycle. */
typedef struct Duty
{
	const char *name;
	int64		(*next_ms) (void);	/* when it causes a cycle: monotonic ms, CLOCK_NEVER or DUTY_LEFT */
	DutyOccasion occasion;
	bool		is_isolated;	/* in a savepoint after a failed cycle */
	void		(*run) (Holds *holds);
	void		(*put_off) (void);	/* after it failed in its savepoint */
} Duty;

AdmissionPermit dispatch_permit;

static CycleState cycle;

/*
 * Initialize the process.  has_crashed: the last worker ended without being told
 * to, perhaps because of what it was serving.
 */
void
dispatch_init(bool has_crashed)
{
	cycle.counts_crashes = has_crashed;
	admission_init(&dispatch_permit);
	lanes_init();
	group_cache_init();
	cycle.told.rescan = cycle.told.start_anew = true;
}

/*
 * ---- recovery
 */

/*
 * After a promotion the log may lack what was sent last: requests whose answers
 * cannot be looked up are not repeated.  No message for what was asked for
 * before leaves from here on, since messages.c and membership.c see to that.
 */
static void
recovery_doubt_promoted(void)
{
	ListCell   *lc;

	if (!identity_note_promotion())
		return;
	if (wawp_after_promotion == AFTER_PROMOTION_HOLD)
		foreach(lc, instance_names())
			hold_set(lfirst(lc), "", HOLD_PROMOTED, 0, 0);
	ereport(LOG,
			(errmsg("this server was promoted: invitations and welcomes that were pending are not sent"),
			 wawp_after_promotion == AFTER_PROMOTION_HOLD
			 ? errhint("Its Wawp instances are held: call wawp_resume() to have them served.") : 0));
}

/* End a portion of the invitations that were pending at a promotion, so that all of them can be seen in wawp.stuck. */
static void
duty_end_doubtful(Holds *holds pg_attribute_unused())
{
	TimestampTz before = identity_doubtful_before();
	bool		left = false;
	int64		n = before == 0 ? 0 : intent_end_invitations(before, INVITATIONS_AT_ONCE, &left);

	if (n > 0)
		completion_note_failures();
	cycle.has_doubtful = left && n > 0;
	cycle.has_locked_doubtful = left && n == 0;
}

/* Recover rows in doubt that a user had locked when this worker started. */
static void
duty_recover_locked(Holds *holds pg_attribute_unused())
{
	(void) intent_recover(MAX_LONE_CRASHES, cycle.counts_crashes, attempt_intent_ids(), &cycle.has_locked_doubts);
	cycle.told.rescan = true;
}

/* Try locked rows in doubt again, after an error. */
static void
duty_put_off_locked(void)
{
	cycle.has_locked_doubts = true;
}

/* Try doubtful invitations again, but not at once, after an error. */
static void
duty_put_off_doubtful(void)
{
	cycle.has_doubtful = false;
	cycle.has_locked_doubtful = true;
}

/* Tell the limiter of a request to a group that has a pace of its own. */
static void
recovery_replay_group(const WawpInstance *instance, const AuditSent *sent)
{
	LaneKey		lane;
	GroupSettings settings;
	LimiterKey	key;

	if (sent->group_jid == NULL)
		return;
	lane = lane_key(instance->name, sent->group_jid);
	settings = settings_get(&lane);
	if (settings.adds_per_minute <= 0)
		return;
	key = budget_group_key(instance, lane.group);
	limiter_replay(&key, pace_rate(settings.adds_per_minute, 0), sent->age_us);
}

/* Tell the limiter of a request that was sent before the server started. */
static void
recovery_replay_send(const AuditSent *sent)
{
	LaneKey		lane = lane_key(instance_name_with_account(sent->instance, sent->instance_id), "");
	WawpInstance *instance;
	LimiterKey	key;

	if (instance_cache_get(&lane, INSTANCE_OF_NOBODY, &instance) != NULL)
		return;
	key = limiter_key(instance->base.host, sent->instance_id, LIMIT_ADD, NULL);
	if (sent->is_message)
	{
		key = budget_key(instance, LIMIT_INVITE);
		limiter_replay(&key, pace_rate(instance->invites_per_minute, 0), sent->age_us);
	}
	else if (sent->age_us < 0)
		limiter_replay_day(&key, sent->count, instance->adds_per_day > 0);
	else
	{
		limiter_replay(&key, pace_rate(instance->adds_per_minute, 0), sent->age_us);
		recovery_replay_group(instance, sent);
	}
}

/* Tell the limiter of all such requests; each instance is read once. */
static void
recovery_replay(void)
{
	instance_cache_begin(CurrentMemoryContext);
	audit_replay(recovery_replay_send);
	instance_cache_begin(NULL);
}

/* Tell the limiter what was sent before the server started, if it does not know; in a transaction. */
void
dispatch_replay(void)
{
	if (shmem_needs_replay(MyDatabaseId))
		recovery_replay();
}

/* Take over what the last worker left in doubt; in a transaction. */
void
dispatch_recover(void)
{
	recovery_doubt_promoted();
	/* of those, the worker before this one may have left some */
	cycle.has_doubtful = true;
	cycle.doubts = MemoryContextStrdup(TopMemoryContext,
									   intent_recover(MAX_LONE_CRASHES, cycle.counts_crashes, "{}",
													  &cycle.has_locked_doubts));
	admission_set_recovering(intent_count_doubts(cycle.doubts) > 0);
	cycle.recovery_until_ms = clock_monotonic_ms() + LONGEST_RECOVERY_MS;
	erasure_begin_anew();
	dispatch_replay();
}

/* Note in the rows under way that the worker was told to end; in a transaction. */
void
dispatch_note_orderly_end(void)
{
	intent_note_orderly_end(attempt_intent_ids());
}

/*
 * ---- what the worker is told
 */

/* Add to what the worker was told, which is kept until the next commit. */
void
dispatch_tell(const DispatchWake *wake)
{
	cycle.told.rescan |= wake->rescan;
	cycle.told.poll |= wake->poll;
	cycle.told.start_anew |= wake->start_anew;
	if (wake->has_events)
		events_note_arrival();
	if (cycle.told.nlanes + wake->nlanes > SHMEM_WAKE_LANES)
		cycle.told.rescan = true;
	else
	{
		memcpy(cycle.told.lanes + cycle.told.nlanes, wake->lanes, sizeof(LaneNews) * wake->nlanes);
		cycle.told.nlanes += wake->nlanes;
	}
}

/* Begin a rescan; one that is under way is finished first, so that it reaches the last lanes however often it is asked for. */
static void
scan_begin_rescan(LaneScan *scan)
{
	if (scan->left > 0 && scan->is_rescan)
		scan->again = *scan->after.group != '\0';
	else
		*scan = (LaneScan) {.left = PG_INT32_MAX, .is_rescan = true};
}

/* Go on where the last poll has ended, unless a scan is under way. */
static void
scan_begin_poll(LaneScan *scan)
{
	if (scan->left > 0)
		return;
	scan->left = LANES_A_POLL;
	scan->is_rescan = false;
}

/* Note that a scan has read the last lane. */
static void
scan_end(LaneScan *scan)
{
	*scan = (LaneScan) {.left = scan->again ? PG_INT32_MAX : 0, .is_rescan = scan->again};
}

/*
 * Note a lane that a scan has found.  True if it will have a turn for that.  A
 * lane that is known waits as it did, unless it may have something that need not
 * wait: a statement or two for each of them, every time, would cost too much.
 */
static bool
scan_note(IntentLaneKind kind, const LaneScan *scan, const IntentLane *found)
{
	int64		now = clock_monotonic_ms();

	if (!found->has_account)
		return false;
	if (kind == LANES_QUEUED)
		return lanes_discover(&found->key, now);
	if (kind == LANES_OTHER)
		lanes_forget_head(lanes_note(&found->key, now));
	else if (scan->is_rescan)
		lanes_verify(&found->key, clock_monotonic_of(found->due));
	else if (lanes_is_verifying(&found->key))
		return false;
	else
		lanes_verify(&found->key, now);
	return true;
}

/* Note the next portion of the lanes of one kind. */
static void
scan_go_on(IntentLaneKind kind, LaneScan *scan)
{
	int			most = Min(scan->left, LANES_AT_ONCE);
	List	   *lanes = kind == LANES_WAITING && scan->is_rescan
		? intent_waiting_lanes(&scan->after, most) : intent_lanes(kind, &scan->after, most);
	ListCell   *lc;

	foreach(lc, lanes)
	{
		const IntentLane *found = lfirst(lc);
		bool		has_turn = scan_note(kind, scan, found);

		scan->after = found->key;
		if (scan->is_rescan)
			continue;
		scan->left -= has_turn ? COST_OF_TURN : 1;
		if (scan->left <= 0)
		{
			scan->left = 0;
			return;
		}
	}
	if (list_length(lanes) < most)
		scan_end(scan);
}

/* Note a lane that the worker was told of; what sorts behind the last one claimed does not let it be searched anew. */
static void
lane_take_up(const LaneNews *news, int64 now)
{
	Lane	   *lane = lanes_note(&news->lane, now);
	bool		is_behind = news->priority < lane->head_priority ||
		(news->priority == lane->head_priority && news->id > lane->head_id);

	if (news->id == 0 || lane->head_id == 0 || !is_behind)
		lanes_forget_head(lane);
	/* somebody may have deleted the hold, of which nobody tells */
	lanes_doubt_hold(lane);
}

/* Note the lanes the worker was told of, and a portion of others if it was told to look for them. */
static void
duty_take_up_wake(Holds *holds pg_attribute_unused())
{
	int64		now = clock_monotonic_ms();

	for (int i = 0; i < cycle.told.nlanes; i++)
		lane_take_up(&cycle.told.lanes[i], now);
	if (cycle.told.rescan || cycle.told.poll)
	{
		lanes_start_anew(false);
		lanes_forget_kept(now);
		group_cache_forget_other_accounts();
	}
	if (cycle.told.start_anew)
	{
		hold_start_anew();
		intent_start_anew();
	}
	for (int i = 0; i < LANE_SCANS; i++)
	{
		if (cycle.told.rescan)
			scan_begin_rescan(&cycle.scans[i]);
		else if (cycle.told.poll)
			scan_begin_poll(&cycle.scans[i]);
		if (cycle.scans[i].left > 0)
			scan_go_on((IntentLaneKind) i, &cycle.scans[i]);
	}
}

/* Forget what was read of people, one of whom was erased. */
static void
dispatch_forget_people(void)
{
	group_cache_forget_people();
	refusal_run_forget_people();
	attempt_forget_people();
	mailbox_forget_people();
}

/* Write what sessions did to the queue into the audit log. */
static void
duty_record_notes(Holds *holds pg_attribute_unused())
{
	List	   *notes = audit_take_notes(NOTES_AT_ONCE);
	bool		has_erased = false;
	ListCell   *lc;

	foreach(lc, notes)
	{
		AuditNote  *note = lfirst(lc);

		note->record.contact_id = note->jid ? contact_id(note->jid) : 0;
		audit_write(&note->record);
		has_erased |= strcmp(note->record.kind, "erased") == 0;
	}
	if (has_erased)
		dispatch_forget_people();
	cycle.has_notes = list_length(notes) == NOTES_AT_ONCE;
}

/* Erase what others were writing while somebody was erased; what was read of it is forgotten. */
static void
duty_complete_erasures(Holds *holds pg_attribute_unused())
{
	if (erasure_rest_complete())
		dispatch_forget_people();
}

/* Wait for news after notes could not be recorded. */
static void
duty_put_off_notes(void)
{
	cycle.has_notes = false;
}

static int64
duty_next_notes(void)
{
	return cycle.has_notes ? 0 : CLOCK_NEVER;
}

static int64
duty_next_settlement(void)
{
	if (cycle.has_judged)
		return 0;
	return settle_has_left() ? DUTY_LEFT : CLOCK_NEVER;
}

/* End recovery when nothing is in doubt any more, or it has taken too long. */
static void
duty_check_recovery(Holds *holds pg_attribute_unused())
{
	if (admission_is_recovering())
		admission_set_recovering(cycle.recovery_until_ms > cycle.began_ms && intent_count_doubts(cycle.doubts) > 0);
}

static int64
duty_next_locked(void)
{
	return cycle.has_locked_doubts ? DUTY_LEFT : CLOCK_NEVER;
}

static int64
duty_next_doubtful(void)
{
	if (cycle.has_doubtful)
		return 0;
	return cycle.has_locked_doubtful ? DUTY_LEFT : CLOCK_NEVER;
}

static int64
duty_next_superseded(void)
{
	return completion_has_superseded() ? DUTY_LEFT : CLOCK_NEVER;
}

static void
duty_end_superseded(Holds *holds pg_attribute_unused())
{
	completion_end_superseded();
}

static void
duty_expire(Holds *holds pg_attribute_unused())
{
	cycle.has_notes |= completion_expire();
}

static void
duty_arrive(Holds *holds pg_attribute_unused())
{
	completion_arrive();
}

static int64
duty_next_dependents(void)
{
	return completion_has_failures() ? DUTY_LEFT : CLOCK_NEVER;
}

static void
duty_fail_dependents(Holds *holds pg_attribute_unused())
{
	completion_fail_dependents();
}

static void
duty_end_memberships(Holds *holds pg_attribute_unused())
{
	completion_end_memberships();
}

/* When the hold of a requester ends, look at all lanes: those in which nobody else has anything queued were forgotten. */
static void
duty_end_requester_holds(Holds *holds pg_attribute_unused())
{
	TimestampTz end = requester_hold_first_end();

	cycle.told.rescan |= end != 0 && end <= GetCurrentTimestamp();
	requester_hold_start_anew();
}

static int64
duty_next_requester(void)
{
	TimestampTz end = requester_hold_first_end();

	if (end == 0)
		return CLOCK_NEVER;
	return end <= GetCurrentTimestamp() ? 0 : clock_monotonic_of(end) + 1;
}

/* Apply events; if one has ended the hold of an instance, its lanes are looked at. */
static void
duty_apply_events(Holds *holds)
{
	cycle.told.rescan |= events_apply(holds);
}

static int64
duty_next_scan(void)
{
	for (int i = 0; i < LANE_SCANS; i++)
		if (cycle.scans[i].left > 0)
			return 0;
	return CLOCK_NEVER;
}

static int64
duty_next_findings(void)
{
	return group_cache_has_findings() ? 0 : CLOCK_NEVER;
}

/* Store and apply what answers told beside the rows; the cycle reads holds again from here on. */
static void
duty_use_findings(Holds *holds)
{
	Holds	   *now = hold_begin_reading();
	ListCell   *lc;

	/* what cannot be stored is lost: whoever needs it asks again */
	foreach(lc, group_cache_facts())
		(void) savepoint_run(group_cache_write_fact, lfirst(lc), holds);
	foreach(lc, group_cache_troubles())
		(void) savepoint_run(group_cache_hold_troubled, lfirst(lc), now);
	cycle.holds = hold_begin_reading();
}

static int64
duty_next_lane(void)
{
	int64		now = clock_monotonic_ms();

	return Min(admission_may_claim(now) ? lanes_next_ms() : CLOCK_NEVER,
			   admission_has_slot(now) ? lanes_next_verification() : CLOCK_NEVER);
}

/*
 * Claim and verify what is due after the steps before, lanes whose requests have
 * ended included; what becomes due from here on, or is left over, is the next
 * cycle's.
 */
static void
duty_serve_lanes(Holds *holds)
{
	CyclePortion claims = {.due_by_ms = clock_monotonic_ms()};
	CyclePortion verifications = claims;

	cycle.claims_first = admission_is_recovering() && !cycle.claims_first;
	if (cycle.claims_first)
		claim_due(holds, &claims);
	verify_due(holds, &verifications);
	if (!cycle.claims_first)
		claim_due(holds, &claims);
}

static int64
duty_next_never(void)
{
	return CLOCK_NEVER;
}

/* The steps of a cycle, in their order. */
static const Duty duties[] = {
	{"settle answers", duty_next_settlement, ON_EVERY_CYCLE, false, settle_judged, NULL},
	{"check recovery", duty_next_never, ON_EVERY_CYCLE, false, duty_check_recovery, NULL},
	{"end doubtful invitations", duty_next_doubtful, ON_TIME, true, duty_end_doubtful, duty_put_off_doubtful},
	{"end superseded intents", duty_next_superseded, ON_NEWS, true, duty_end_superseded, completion_put_off_superseded},
	{"expire intents", completion_next_expiry, ON_NEWS, true, duty_expire, completion_put_off_expiry},
	{"let plans arrive", completion_next_arrival, ON_NEWS, true, duty_arrive, completion_put_off_arrival},
	{"fail dependents", duty_next_dependents, ON_NEWS, true, duty_fail_dependents, completion_put_off_dependents},
	{"record notes", duty_next_notes, ON_NEWS, true, duty_record_notes, duty_put_off_notes},
	{"complete erasures", erasure_rest_next_ms, ON_RESCAN, true, duty_complete_erasures, erasure_rest_put_off},
	{"recover locked rows", duty_next_locked, ON_TIME, true, duty_recover_locked, duty_put_off_locked},
	{"end memberships", completion_next_membership, ON_RESCAN, true, duty_end_memberships, completion_put_off_memberships},
	{"end holds of requesters", duty_next_requester, ON_RESCAN, false, duty_end_requester_holds, NULL},
	{"apply events", events_next_ms, ON_RESCAN, false, duty_apply_events, NULL},
	{"take up wakes", duty_next_scan, ON_NEWS, false, duty_take_up_wake, NULL},
	{"use findings", duty_next_findings, ON_EVERY_CYCLE, false, duty_use_findings, NULL},
	{"serve lanes", duty_next_lane, ON_EVERY_CYCLE, false, duty_serve_lanes, NULL},
	{"send welcomes", messages_next_welcome, ON_RESCAN, true, messages_welcome_due, messages_put_off_welcomes},
};

/* When a duty is tried again that failed because of somebody's lock, in monotonic ms, whatever it would say itself; 0: none. */
static int64 duty_retry_ms[lengthof(duties)];

/* True if a duty is done by the cycle under way. */
static bool
duty_is_due(int n)
{
	const Duty *duty = &duties[n];
	bool		is_rescan = cycle.told.rescan || cycle.told.poll;
	bool		has_news = is_rescan || cycle.told.nlanes > 0;

	if (duty_retry_ms[n] != 0)
		return duty_retry_ms[n] <= cycle.began_ms;
	return duty->occasion == ON_EVERY_CYCLE || (duty->occasion == ON_NEWS && has_news) ||
		(duty->occasion == ON_RESCAN && is_rescan) || duty->next_ms() <= cycle.began_ms;
}

static void
duty_run(void *subject, Holds *holds)
{
	((const Duty *) subject)->run(holds);
}

/* Return when a duty is due by itself, in monotonic ms; DUTY_LEFT: soon. */
static int64
duty_next_ms(int n)
{
	return duty_retry_ms[n] != 0 ? duty_retry_ms[n] : duties[n].next_ms();
}

/* True if a duty is tried again after somebody's lock. */
static bool
duty_has_retries(void)
{
	for (int i = 0; i < (int) lengthof(duties); i++)
		if (duty_retry_ms[i] != 0)
			return true;
	return false;
}

/*
 * Do a duty in its own savepoint.  After somebody's lock it is tried again soon:
 * what it is about waits meanwhile.  After another error it is put off.
 */
static void
duty_try(int n)
{
	duty_retry_ms[n] = 0;
	if (savepoint_run(duty_run, (void *) &duties[n], cycle.holds))
		return;
	if (savepoint_lost_to_a_lock())
		duty_retry_ms[n] = clock_monotonic_ms() + DUTY_LOCKED_RETRY_MS;
	else
		duties[n].put_off();
}

/*
 * ---- the cycle, as the worker drives it
 */

/* Read the answers that have arrived; outside a transaction. */
void
dispatch_take_answers(void)
{
	cycle.has_judged |= attempt_has_answers();
	group_cache_take_answers();
	attempt_judge_answers();
}

/* True if the worker was told something since the last commit. */
static bool
dispatch_has_news(void)
{
	return cycle.told.rescan || cycle.told.poll || cycle.told.nlanes > 0;
}

/* True if there is a reason for a transaction now. */
bool
dispatch_has_work(void)
{
	return dispatch_has_news() || cycle.has_judged || dispatch_next_ms() <= clock_monotonic_ms();
}

/* Run the duties of a cycle; in its transaction, as the owner, in SPI. */
void
dispatch_settle_and_claim(void)
{
	cycle.began_ms = clock_monotonic_ms();
	cycle.holds = hold_begin_reading();
	instance_cache_begin(CurrentMemoryContext);
	if (!savepoint_is_on())
		audit_gather();
	completion_begin_cycle();
	savepoint_begin_cycle();
	for (int i = 0; i < (int) lengthof(duties); i++)
	{
		if (!duty_is_due(i))
			continue;
		ereport(DEBUG3, (errmsg_internal("wawp: %s", duties[i].name)));
		if (duties[i].is_isolated)
			duty_try(i);
		else
			duties[i].run(cycle.holds);
	}
	audit_end_gathering();
	cycle.retry_ms = clock_monotonic_ms() + LANES_LOCKED_RETRY_MS;
}

/* Forget what the cycle was for: its transaction has committed. */
void
dispatch_committed(void)
{
	instance_cache_begin(NULL);
	cycle.told.rescan = cycle.told.poll = cycle.told.start_anew = false;
	cycle.told.nlanes = 0;
	cycle.has_judged = false;
	group_cache_forget_findings();
	savepoint_committed(duty_has_retries());
	attempt_committed();
}

/* Take back what the cycle did: its transaction has been aborted. */
void
dispatch_aborted(void)
{
	instance_cache_begin(NULL);
	audit_forget_numbers();
	membership_forget_gathered();
	intent_note_requeued();
	group_cache_forget_looks();
	claim_give_back_unused();
	cycle.told.rescan = true;
	cycle.has_doubtful = true;
	savepoint_aborted();
	attempt_aborted();
	lanes_start_anew(true);
}

/* Send what was claimed; outside a transaction. */
void
dispatch_send(void)
{
	Assert(!IsTransactionState());
	group_cache_send();
	attempt_send_claimed();
}

/* True if a request has ended whose answer was not read yet. */
bool
dispatch_has_answers(void)
{
	return group_cache_has_answers() || attempt_has_answers();
}

/* True if a permit has done what it can: nothing is under way or due in time. */
bool
dispatch_is_drained(void)
{
	int64		now = clock_monotonic_ms();
	int64		horizon = Min(dispatch_permit.until_ms, now + DRAIN_HORIZON_MS);

	if (admission_in_flight() > 0 || dispatch_has_news() || duty_has_retries())
		return false;
	for (int i = 0; i < (int) lengthof(duties); i++)
		if (duties[i].run != duty_serve_lanes && duties[i].next_ms() <= now)
			return false;
	return dispatch_permit.requests <= 0 || Min(Min(lanes_next_ms(), lanes_next_verification()), completion_next_arrival()) > horizon;
}

/* Return when the next cycle is due by itself, in monotonic ms. */
int64
dispatch_next_ms(void)
{
	int64		next = CLOCK_NEVER;

	/* a lack of memory or disk space concerns all duties; lanes have no slot until it ends */
	if (admission_short_until() > clock_monotonic_ms())
		return admission_short_until();
	for (int i = 0; i < (int) lengthof(duties); i++)
	{
		int64		at = duty_next_ms(i);

		next = Min(next, at == DUTY_LEFT ? cycle.retry_ms : at);
	}
	return next;
}
