/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *	  From the queue to the API and back.
 *
 * One cycle is one transaction: what ended is settled and recorded, what is
 * due is claimed and recorded as sent; it commits; only then do requests
 * leave.  While bytes are on the wire there is no transaction.  The worker
 * opens and closes the transactions; this file never does.  A cycle takes what
 * was due when it began, in portions; what is left over is the next one's.
 *
 * Here are the cycle's order of steps, what the worker is told, and recovery:
 * what was in doubt when the last worker ended is served with care, one request
 * at a time, and the limiter is told what left before the server started.  The
 * steps are modules below: settle.c, completion.c, verify.c, claim.c,
 * welcome.c; what goes through them is a attempt (attempt.c).
 *
 * Memory: what one cycle needs lives in SPI's.
 *
 * IDENTIFICATION
 *	  src/worker/dispatch.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "miscadmin.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "throttle/budget.h"
#include "throttle/limiter.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "worker/admission.h"
#include "worker/attempt.h"
#include "worker/claim.h"
#include "worker/completion.h"
#include "worker/dispatch.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/messages.h"
#include "worker/savepoint.h"
#include "worker/settle.h"
#include "worker/verify.h"

#include "compat.h"

/* "parked only if the worker died twice while serving it alone" */
#define MAX_LONE_CRASHES 1
/* What was in doubt is known by then, or waits for something else. */
#define LONGEST_CARE_MS (5 * 60 * 1000)
/* CALL wawp_drain() does not wait for what is due later than that. */
#define DRAIN_HORIZON_MS (60 * 1000)
#define NOTES_AT_ONCE 100
#define LANES_AT_ONCE 5000

/* How far the queue has been looked through for its lanes. */
typedef struct QueueScan
{
	bool		queued;			/* there are lanes behind that have something queued, */
	LaneKey		queued_after;
	bool		waiting;		/* or in which somebody waits */
	LaneKey		waiting_after;
} QueueScan;

AdmissionPermit dispatch_permit;

static bool notes_left;			/* of what sessions did */
static bool goes_on;			/* the last cycle took a portion of something: the next takes more at once */
static bool doubt_left;			/* rows in doubt that somebody has locked */
static bool blame_for_end;		/* did the last worker end otherwise than told? */
static DispatchWake told;
static QueueScan scan;
static char *doubts;			/* ids of rows in doubt, as an array's text */
static int64 careful_until;		/* monotonic ms: what is held must not hold all up */
static bool claims_first;		/* looks and claims take turns where there is one slot */
static bool retry_soon;			/* of notes and doubts; others have their own */

/* blame: the last worker ended otherwise than told, perhaps for what it was serving. */
void
dispatch_init(bool blame)
{
	blame_for_end = blame;
	admission_init(&dispatch_permit);
	lanes_init();
	group_cache_init();
	told.rescan = told.start_anew = true;
}

/*
 * ---- recovery
 */

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

/* Rows in doubt that somebody had locked when this worker started. */
static void
recover_rest(void)
{
	(void) intent_recover(MAX_LONE_CRASHES, blame_for_end, attempt_intent_ids(), &doubt_left);
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
replay_send(const AuditSent *sent)
{
	LaneKey		lane;
	WawpInstance *instance;
	LimiterKey	key;

	memset(&lane, 0, sizeof(lane));
	namestrcpy(&lane.instance, sent->instance);
	if (instance_cache_get(&lane, INSTANCE_OF_NOBODY, &instance) != NULL)
		return;
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

/* The instances are looked up once for all that they have sent. */
static void
replay_sends(void)
{
	instance_cache_begin(CurrentMemoryContext);
	audit_replay(replay_send);
	instance_cache_begin(NULL);
}

/* What was in doubt when the last worker ended; in a transaction. */
void
dispatch_recover(void)
{
	hold_restored_copy();
	doubts = MemoryContextStrdup(TopMemoryContext, intent_recover(MAX_LONE_CRASHES, blame_for_end, "{}", &doubt_left));
	admission_set_recovering(intent_count_doubts(doubts) > 0);
	careful_until = clock_monotonic_ms() + LONGEST_CARE_MS;
	if (shmem_needs_replay(MyDatabaseId))
		replay_sends();
}

/* The worker was told to end; in a transaction. */
void
dispatch_note_orderly_end(void)
{
	intent_note_orderly_end(attempt_intent_ids());
}

/*
 * ---- what the worker is told
 */

/* Takes up what the worker was told; forgotten only at the next commit. */
void
dispatch_tell(const DispatchWake *wake)
{
	told.rescan |= wake->rescan;
	told.start_anew |= wake->start_anew;
	if (told.nlanes + wake->nlanes > SHMEM_WAKE_LANES)
		told.rescan = true;
	else
	{
		memcpy(told.lanes + told.nlanes, wake->lanes, sizeof(LaneKey) * wake->nlanes);
		told.nlanes += wake->nlanes;
	}
}

/*
 * A portion of the lanes that have something queued.  One that waits for its
 * turn is left there, unless it may have something that need not wait: to look
 * into all of them would cost a statement or two each, every time.
 */
static void
scan_queued(void)
{
	List	   *lanes = intent_lanes(&scan.queued_after, LANES_AT_ONCE);
	ListCell   *lc;

	foreach(lc, lanes)
	{
		const IntentLane *found = lfirst(lc);
		Lane	   *lane = lanes_find(&found->key);

		if (found->has_other || !lane->in_queue)
			lane = lanes_note(&found->key, clock_monotonic_ms());
		lane->head_until = 0;
	}
	scan.queued = list_length(lanes) == LANES_AT_ONCE;
	if (scan.queued)
		scan.queued_after = ((const IntentLane *) llast(lanes))->key;
}

/* Likewise of those in which somebody waits. */
static void
scan_waiting(void)
{
	List	   *lanes = intent_waiting_lanes(&scan.waiting_after, LANES_AT_ONCE);
	ListCell   *lc;

	foreach(lc, lanes)
	{
		const IntentLane *lane = lfirst(lc);

		lanes_verify_at(&lane->key, clock_monotonic_of(lane->due));
	}
	scan.waiting = list_length(lanes) == LANES_AT_ONCE;
	if (scan.waiting)
		scan.waiting_after = ((const IntentLane *) llast(lanes))->key;
}

static void
take_up_wake(void)
{
	int64		now = clock_monotonic_ms();

	for (int i = 0; i < told.nlanes; i++)
		lanes_note(&told.lanes[i], now)->head_until = 0;
	if (told.rescan)
	{
		memset(&scan, 0, sizeof(scan));
		scan.queued = scan.waiting = true;
		lanes_start_anew(false);
	}
	if (told.start_anew)
	{
		hold_start_anew();
		intent_start_anew();
	}
	if (scan.queued)
		scan_queued();
	if (scan.waiting)
		scan_waiting();
}

/* What sessions did to the queue goes to the log. */
static void
record_notes(void *subject pg_attribute_unused(), Holds *holds pg_attribute_unused())
{
	List	   *notes = audit_take_notes(NOTES_AT_ONCE);
	ListCell   *lc;

	foreach(lc, notes)
	{
		AuditNote  *note = lfirst(lc);

		note->record.contact_id = note->jid ? contact_id(note->jid) : 0;
		audit_write(&note->record);
	}
	notes_left = goes_on = list_length(notes) == NOTES_AT_ONCE;
}

static void
end_memberships(void *subject pg_attribute_unused(), Holds *holds pg_attribute_unused())
{
	completion_end_memberships(told.rescan);
}

static void
welcome_people(void *subject pg_attribute_unused(), Holds *holds)
{
	messages_welcome_due(holds, told.rescan);
}

/*
 * ---- the cycle, as the worker drives it
 */

/* Was something left that a cycle does not come back to by itself? */
static bool
must_retry(void)
{
	return retry_soon || settle_has_left() || completion_has_more();
}

/* True if the last cycle has left a portion to the next. */
static bool
has_portion_left(void)
{
	return goes_on || scan.queued || scan.waiting;
}

/* Is there a reason for a transaction now? */
bool
dispatch_has_work(void)
{
	group_cache_take_answers();
	attempt_judge_answers();
	if (told.rescan || told.nlanes > 0 || has_portion_left() || must_retry() || completion_next_expiry() <= clock_monotonic_ms() ||
		Min(completion_next_membership(), messages_next_welcome()) <= clock_monotonic_ms() ||
		group_cache_has_findings())
		return true;
	if (admission_may_claim() && lanes_next_at() <= clock_monotonic_ms())
		return true;
	if (admission_has_slot() && lanes_next_verification() <= clock_monotonic_ms())
		return true;
	return attempt_next_judged(NULL) != NULL;
}

/* The body of a cycle's transaction; the caller acts as the owner, in SPI. */
void
dispatch_settle_and_claim(void)
{
	Holds	   *holds = hold_begin_reading();
	CyclePortion claims = {.due_by = clock_monotonic_ms()};
	CyclePortion verifications = claims;
	bool		anything_new = told.rescan || told.nlanes > 0;

	instance_cache_begin(CurrentMemoryContext);
	retry_soon = goes_on = false;
	if (!savepoint_is_on())
		audit_gather();
	completion_begin_cycle();
	savepoint_begin_cycle();
	settle_judged(holds);
	if (admission_is_recovering())
		admission_set_recovering(careful_until > clock_monotonic_ms() && intent_count_doubts(doubts) > 0);
	hold_restored_copy();
	completion_end_superseded(anything_new);
	notes_left |= completion_end_hopeless(anything_new);
	if (anything_new || notes_left)
		(void) savepoint_run(record_notes, NULL, holds);
	if (doubt_left)
		recover_rest();
	if (!savepoint_run(end_memberships, NULL, holds))
		completion_put_off_memberships();
	take_up_wake();
	group_cache_write_facts();
	group_cache_hold_troubled(hold_begin_reading());
	holds = hold_begin_reading();
	claims_first = admission_is_recovering() && !claims_first;
	if (claims_first)
		claim_due(holds, &claims);
	verify_due(holds, &verifications);
	if (!claims_first)
		claim_due(holds, &claims);
	if (!savepoint_run(welcome_people, NULL, holds))
		messages_put_off_welcomes();
	audit_end_gathering();
}

/* The cycle's transaction has committed. */
void
dispatch_committed(void)
{
	instance_cache_begin(NULL);
	told.rescan = told.start_anew = false;
	told.nlanes = 0;
	group_cache_forget_findings();
	savepoint_committed();
	attempt_committed();
}

/* The cycle's transaction has not. */
void
dispatch_aborted(void)
{
	instance_cache_begin(NULL);
	audit_forget_numbers();
	told.rescan = true;
	savepoint_aborted();
	attempt_aborted();
	lanes_start_anew(true);
}

/* What was claimed leaves now: no transaction is open. */
void
dispatch_send(void)
{
	Assert(!IsTransactionState());
	group_cache_send();
	attempt_send_claimed();
}

/* Has a request ended that no cycle has seen yet? */
bool
dispatch_has_answers(void)
{
	return group_cache_has_answers() || attempt_has_answers();
}

/* Has a permit done what it can: nothing under way, nothing due in time? */
bool
dispatch_is_drained(void)
{
	int64		horizon = Min(dispatch_permit.until, clock_monotonic_ms() + DRAIN_HORIZON_MS);

	return admission_in_flight() == 0 && !told.rescan && told.nlanes == 0 && !has_portion_left() && !must_retry() &&
		(dispatch_permit.requests <= 0 || Min(lanes_next_at(), lanes_next_verification()) > horizon);
}

/* Requests that are claimed or under way. */
int
dispatch_in_flight(void)
{
	return admission_in_flight();
}

/* When the next cycle is due by itself, in monotonic ms. */
int64
dispatch_next_at(void)
{
	int64		retry_at = must_retry() ? clock_monotonic_ms() + LANES_LOCKED_RETRY_MS : CLOCK_NEVER;

	if (has_portion_left())
		return clock_monotonic_ms();

	if (admission_short_until() > clock_monotonic_ms())
		return Min(retry_at, Min(completion_next_expiry(), admission_short_until()));
	return Min(Min(retry_at, Min(completion_next_expiry(), Min(completion_next_membership(), messages_next_welcome()))),
			   Min(admission_may_claim() ? lanes_next_at() : CLOCK_NEVER,
				   admission_has_slot() ? lanes_next_verification() : CLOCK_NEVER));
}
