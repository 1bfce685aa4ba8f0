/*-------------------------------------------------------------------------
 *
 * lanehold.c
 *	  Holds of lanes, as the drain meets and makes them.
 *
 * hold.c has the rows; here is which of them keeps a lane back and until when,
 * and how long an outcome holds a lane or its instance.  A hold stays for a
 * cycle what it was when it was first looked for.  Statements run as
 * hold.c's and audit.c's do, in the cycle's transaction.
 *
 * IDENTIFICATION
 *	  src/tables/lanehold.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/audit.h"
#include "tables/lanehold.h"

#include "compat.h"

static LaneKey
key_of(const LaneKey *lane, bool whole_instance)
{
	LaneKey		key;

	memset(&key, 0, sizeof(key));
	key.instance = lane->instance;
	if (!whole_instance)
		memcpy(key.group, lane->group, sizeof(key.group));
	return key;
}

const Hold *
lanehold_find(Holds *holds, const LaneKey *lane, bool whole_instance)
{
	LaneKey		key = key_of(lane, whole_instance);

	return hold_get(holds, &key);
}

/* When a lane may be served as far as holds go; CLOCK_NEVER when not by itself. */
int64
lanehold_until(Holds *holds, const LaneKey *lane)
{
	int64		until = 0;

	for (int whole = 0; whole < 2; whole++)
	{
		const Hold *hold = lanehold_find(holds, lane, whole != 0);

		if (hold == NULL)
			continue;
		if (hold->until == 0)
			return CLOCK_NEVER;
		if (hold->until > GetCurrentTimestamp())
			until = Max(until, clock_monotonic_of(hold->until));
	}
	return until;
}

static bool
is_reason(const Hold *hold, WawpOutcome outcome)
{
	return strcmp(hold->reason, outcome_info(outcome)->name) == 0;
}

/* True if the API, or what stands before it, keeps the instance from asking anything. */
static bool
is_trouble(const Hold *hold)
{
	return hold && hold->until != 0 && (is_reason(hold, WAWP_SERVER_ERROR) || is_reason(hold, WAWP_UNREACHABLE));
}

/* Returns the end of a hold that keeps the instance from reading groups, in monotonic ms; 0: none does. */
int64
lanehold_reads_until(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = lanehold_find(holds, lane, true);

	if (hold == NULL || hold->until <= GetCurrentTimestamp() || !(is_trouble(hold) || is_reason(hold, WAWP_RATE_LIMITED)))
		return 0;
	return clock_monotonic_of(hold->until);
}

/* True if the time of an outage is over and no answer shows that it is: one request tries. */
bool
lanehold_is_on_trial(Holds *holds, const LaneKey *lane)
{
	return is_trouble(lanehold_find(holds, lane, true));
}

static void
record_hold(const LaneKey *lane, const char *group, WawpOutcome outcome, const char *request_id)
{
	AuditRecord record = {
		.kind = "held",
		.instance = NameStr(lane->instance),
		.group_jid = *group ? group : NULL,
		.outcome = outcome_info(outcome)->name,
		.request_id = request_id,
		.duration_ms = -1
	};

	audit_write(&record);
}

/*
 * Holds a lane or its instance; "said once" means one record.  retry_after: of
 * the answer, in seconds, or -1.
 */
void
lanehold_set(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance,
			 int retry_after, const char *request_id)
{
	LaneKey		key = key_of(lane, whole_instance);
	const Hold *hold = hold_get(holds, &key);
	int			failures = hold ? hold->failures + 1 : 1;
	int64		delay = retry_delay_ms(outcome, failures, retry_after, pg_prng_double(&pg_global_prng_state));

	/* paused by hand, or one of several that met the same refusal */
	if (hold && (hold->until == 0 || hold->until > GetCurrentTimestamp()))
		return;
	if (hold_set(NameStr(lane->instance), key.group, outcome_info(outcome)->name,
				 GetCurrentTimestamp() + Max(delay, 0) * 1000, failures))
		record_hold(lane, key.group, outcome, request_id);
	hold_forget_read(holds, &key);
}

/* Holds an instance whose API cannot be asked: what stands before it has answered. */
void
lanehold_for_outage(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	lanehold_set(lane, holds, outcome == WAWP_SERVER_ERROR ? outcome : WAWP_UNREACHABLE, true, retry_after, request_id);
}

/* Holds what an outcome says is to be held; the rest as above. */
void
lanehold_for(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	OutcomeNext next = outcome_info(outcome)->next;
	bool		whole = next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN;

	if (whole || next == NEXT_HOLD_LANE)
		lanehold_set(lane, holds, outcome, whole, retry_after, request_id);
}
