/*
 * stubs.c
 *	  What the worker does beside deciding who goes next: nothing of it happens here.
 *
 * Functions that are never reached have no place in this file; `run` makes them, and they end the program.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/random_pool.h"
#include "base/shmem.h"
#include "client/missing_route.h"
#include "tables/audit.h"
#include "tables/contact.h"
#include "tables/erasure_key.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "worker/completion.h"
#include "worker/events.h"
#include "worker/instance_cache.h"
#include "worker/messages.h"
#include "worker/precedence.h"
#include "worker/savepoint.h"

#include "simulate.h"

int64		now_us;

/* Settings, with their defaults. */
int			wawp_max_in_flight = 64;
int			wawp_max_limiters = 1 << 17;
int			wawp_member_list_cache = 64 * 1024;
int			wawp_inferred_suppression = 0;
int			wawp_after_promotion = AFTER_PROMOTION_SERVE;
bool		wawp_worker_on = true;

static WawpShared shared = {.limiter_is_rebuilt = true};
WawpShared *wawp_shared = &shared;

/*
 * ---- time
 */

/* A worker's monotonic clock does not begin at 0. */
#define BOOTED (1000 * SECOND)

int64
clock_monotonic_us(void)
{
	return BOOTED + now_us;
}

int64
clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

int64
clock_monotonic_of(TimestampTz at)
{
	return clock_monotonic_ms() + Max((time_of(at) - now_us) / 1000, 0);
}

int64
clock_unix_ms(TimestampTz at)
{
	return at / 1000;
}

/*
 * ---- duties that have nothing to do
 */

#define NEVER(function) int64 function(void) { return CLOCK_NEVER; }
#define NOTHING(function) void function(void) { }
#define NO(function) bool function(void) { return false; }

NEVER(completion_next_expiry)
NEVER(completion_next_membership)
NEVER(completion_next_arrival)
NEVER(messages_next_welcome)
NEVER(events_next_ms)
NEVER(erasure_rest_next_ms)
NOTHING(completion_begin_cycle)
NOTHING(completion_end_superseded)
NOTHING(completion_note_failures)
NOTHING(completion_fail_dependents)
NOTHING(completion_arrive)
NOTHING(completion_end_memberships)
NOTHING(hold_start_anew)
NOTHING(intent_start_anew)
NOTHING(requester_hold_start_anew)
NOTHING(audit_gather)
NOTHING(audit_end_gathering)
NOTHING(savepoint_begin_cycle)
NOTHING(erasure_rest_put_off)
NOTHING(erasure_begin_anew)
NO(completion_has_superseded)
NO(completion_has_failures)
NO(completion_expire)
NO(erasure_rest_complete)
NO(identity_note_promotion)
NO(savepoint_is_on)
NO(savepoint_lost_to_a_lock)

void
savepoint_committed(bool has_retries pg_attribute_unused())
{
}

void
messages_welcome_due(Holds *holds pg_attribute_unused())
{
}

bool
hold_is_busy(const LaneKey *lane pg_attribute_unused())
{
	return false;
}

TimestampTz
requester_hold_first_end(void)
{
	return 0;
}

TimestampTz
identity_doubtful_before(void)
{
	return 0;
}

List *
audit_take_notes(int limit pg_attribute_unused())
{
	return NIL;
}

Holds *
hold_begin_reading(void)
{
	scan_end();
	return NULL;
}

void
instance_cache_begin(MemoryContext memory pg_attribute_unused())
{
}

bool
savepoint_run(SavepointWork work, void *subject, struct Holds *holds)
{
	work(subject, holds);
	return true;
}

/*
 * ---- records
 */

void
audit_write(const AuditRecord *record pg_attribute_unused())
{
}

void
audit_write_intent(const Intent *intent pg_attribute_unused(), const char *kind pg_attribute_unused(),
				   WawpOutcome outcome pg_attribute_unused(), const char *note pg_attribute_unused())
{
}

AuditRecord
audit_record_of_intent(const Intent *intent pg_attribute_unused(), const char *kind pg_attribute_unused())
{
	return (AuditRecord) {0};
}

const char *
audit_detail(const char *note pg_attribute_unused(), const char *shape pg_attribute_unused())
{
	return NULL;
}

/* A request's id is of no use here. */
void
random_draw_id(pg_uuid_t *id)
{
	memset(id, 0, sizeof(*id));
}

Datum
DirectFunctionCall1Coll(PGFunction function pg_attribute_unused(), Oid collation pg_attribute_unused(), Datum argument pg_attribute_unused())
{
	return CStringGetDatum("");
}

/*
 * ---- people, requesters, instances
 */

void
completion_note_end(const Intent *intent pg_attribute_unused(), IntentState state pg_attribute_unused(),
					WawpOutcome outcome pg_attribute_unused())
{
}

Served
precedence_settle(Attempt *attempt pg_attribute_unused())
{
	return SERVED_NOTHING;
}

const char *
messages_why_not_invited(const Intent *intent pg_attribute_unused(), const WawpInstance *instance pg_attribute_unused(),
						 WawpOutcome *outcome pg_attribute_unused())
{
	return "nobody is invited";
}

void
contact_meet(const char *const *jids pg_attribute_unused(), int n pg_attribute_unused())
{
}

bool
events_apply(struct Holds *holds pg_attribute_unused())
{
	return false;
}

void
membership_gather(void)
{
}

void
membership_end_gathering(void)
{
}

void
membership_forget_gathered(void)
{
}

bool
membership_get(const LaneKey *lane pg_attribute_unused(), int64 contact pg_attribute_unused(), Membership *out pg_attribute_unused())
{
	return false;
}

const char *
suppression_reason(const char *jid pg_attribute_unused(), const char *group pg_attribute_unused())
{
	return NULL;
}

const char *
suppression_reason_of_all(const char *jid pg_attribute_unused(), const char *other pg_attribute_unused(),
						  const char *known_as pg_attribute_unused(), const char *group pg_attribute_unused())
{
	return NULL;
}

/* No membership has an end. */
bool
intent_is_over(const Intent *intent pg_attribute_unused())
{
	return false;
}

/* Nobody was erased. */
bool
erasure_key_exists(void)
{
	return false;
}

/* No session is in the way. */
bool
hold_is_free(const LaneKey *key pg_attribute_unused())
{
	return true;
}

bool
requester_hold_is_free(const char *instance pg_attribute_unused(), Oid role pg_attribute_unused())
{
	return true;
}

bool
intent_is_pending(const LaneKey *lane pg_attribute_unused(), const char *jid pg_attribute_unused(), Oid requester pg_attribute_unused())
{
	return false;
}

bool
requester_hold_is_in_doubt(const char *instance pg_attribute_unused(), Oid role pg_attribute_unused())
{
	return false;
}

TimestampTz
missing_route_until(const WawpInstance *instance pg_attribute_unused(), EndpointId endpoint pg_attribute_unused())
{
	return 0;
}

bool
instance_keep_server(Oid serverid pg_attribute_unused(), bool wait pg_attribute_unused())
{
	return true;
}

TimestampTz
instance_quiet_until(const WawpInstance *instance pg_attribute_unused(), TimestampTz now pg_attribute_unused())
{
	return 0;
}

bool
shmem_needs_replay(Oid database pg_attribute_unused())
{
	return false;
}

const char *
text_to_server(const char *utf8)
{
	return utf8;
}

const char *
text_from_server(const char *text)
{
	return text;
}
