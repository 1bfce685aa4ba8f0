/*-------------------------------------------------------------------------
 *
 * welcome.c
 *	  Messages that welcome who has joined a group.
 *
 * One message for all who joined since the last, some time after the first of
 * them.  Who is welcomed is marked in the transaction that launches the flight
 * and unmarked when the message provably did not arrive; which that is,
 * settle.c says.  Statements run as membership.c's do, in the cycle's
 * transaction.
 *
 * IDENTIFICATION
 *	  src/worker/welcome.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "tables/audit.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/membership.h"
#include "throttle/budget.h"
#include "utils/memutils.h"
#include "worker/admission.h"
#include "worker/instance_cache.h"
#include "worker/lanes.h"
#include "worker/welcome.h"

#include "compat.h"

/* A welcome that could not be sent, or has to wait. */
#define WELCOME_RETRY_MS (15 * 1000)
/* The instance has no room for another request. */
#define ROOM_RETRY_MS 1000
#define WELCOMES_AT_ONCE 1000

static int64 next_welcome = 0;	/* monotonic ms */

/* A welcome leaves and comes back without intents, so its records are its own. */
void
welcome_record(const Flight *flight, const char *kind)
{
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(flight->lane->key.instance),
		.instance_id = flight->instance->instance_id,
		.group_jid = flight->lane->key.group,
		.requested_by = flight->intents[0].requested_by,
		.origin = "welcome",
		.request_id = flight->request_id,
		.duration_ms = -1,
		.detail = "{\"call\": \"wawp_send_text\"}"
	};

	if (flight->stage == FLIGHT_JUDGED)
	{
		record.outcome = outcome_info(flight->people[0].outcome)->name;
		record.http_status = flight->http_status;
		record.code = flight->people[0].code;
		record.duration_ms = flight->duration_ms;
	}
	audit_write(&record);
}

/* Marks who is to be welcomed, and records the message as sent. */
static void
launch_welcome(Lane *lane, const BudgetPermit *permit)
{
	MembershipWelcome welcome;
	TimestampTz now = GetCurrentTimestamp();
	Flight	   *flight;
	TextPart	names = {"{names}", ""};
	MemoryContext caller;

	if (!membership_take_unwelcomed(&lane->key, now, &welcome))
	{
		budget_give_back(permit, 1);
		return;
	}
	flight = flight_make(lane, 1);
	flight->intents[0].requester = welcome.requester;
	flight->intents[0].requested_by = flight_keep_text(flight, welcome.requested_by);
	if (flight_prepare(flight) != NULL)
	{
		budget_give_back(permit, 1);
		membership_give_welcome_back(&lane->key, now);
		MemoryContextDelete(flight->memory);
		return;
	}
	caller = MemoryContextSwitchTo(flight->memory);
	names.text = welcome.names;
	flight->text = text_fill(text_from_server(welcome.text), &names, 1, CALL_MAX_MESSAGE_CHARS);
	MemoryContextSwitchTo(caller);
	flight->welcomed_at = now;
	flight->operation = WAWP_OP_SEND;
	flight->is_paced = true;
	flight->permit = *permit;
	welcome_record(flight, "sent");
	flight_launch(flight);
}

/* Welcomes those who joined a group, as far as pace and holds allow; when to look again. */
static int64
welcome(const LaneKey *key, Holds *holds)
{
	int64		later = clock_monotonic_ms() + WELCOME_RETRY_MS;
	WawpInstance *described;
	TimestampTz quiet;
	BudgetPermit permit;
	Lane	   *lane;

	if (lanehold_until(holds, key) > 0 || resolve_instance(key, INSTANCE_OF_NOBODY, &described) != NULL)
		return later;
	quiet = instance_quiet_until(described, GetCurrentTimestamp());
	if (quiet != 0)
		return clock_monotonic_of(quiet);
	lane = lanes_note(key, clock_monotonic_ms());
	if (!admission_has_room(lane, described))
		return Min(later, clock_monotonic_ms() + ROOM_RETRY_MS);
	permit = budget_take_invite(described);
	if (permit.granted == 0)
		return (permit.next_at + 999) / 1000;
	launch_welcome(lane, &permit);
	return later;
}

/* One message to each group that somebody joined a while ago; rescan: look, whatever is known. */
void
welcome_due(Holds *holds, bool rescan)
{
	int64		now = clock_monotonic_ms();
	TimestampTz asked_at = GetCurrentTimestamp();
	TimestampTz next;
	List	   *due;
	ListCell   *lc;

	if (next_welcome > now && !rescan)
		return;
	due = membership_due_welcomes(WELCOMES_AT_ONCE);
	next_welcome = list_length(due) == WELCOMES_AT_ONCE ? now + WELCOME_RETRY_MS : CLOCK_NEVER;
	foreach(lc, due)
	{
		const LaneKey *key = lfirst(lc);

		next_welcome = Min(next_welcome, admission_may_claim() ? welcome(key, holds) : now + WELCOME_RETRY_MS);
	}
	/* what has become due since then may not have been among them */
	next = membership_next_welcome(asked_at);
	if (next != 0)
		next_welcome = Min(next_welcome, clock_monotonic_of(next) + 1);
}

/* Somebody has joined that group. */
void
welcome_note_joined(const LaneKey *lane)
{
	if (settings_welcomes(lane))
		next_welcome = 0;
}

/* When somebody is to be welcomed, in monotonic ms. */
int64
welcome_next_at(void)
{
	return next_welcome;
}

/* Welcoming failed: not at once again. */
void
welcome_put_off(void)
{
	next_welcome = clock_monotonic_ms() + WELCOME_RETRY_MS;
}

/* A welcome did not arrive: who it was for is welcomed later. */
void
welcome_repeat(Flight *flight)
{
	membership_give_welcome_back(&flight->lane->key, flight->welcomed_at);
	next_welcome = Min(next_welcome, clock_monotonic_ms() + WELCOME_RETRY_MS);
}
