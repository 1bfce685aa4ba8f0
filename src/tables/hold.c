/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Lanes and instances that are not served for now.
 *
 * Owns wawp.hold.  A hold ends at its time, when it is tried again, or with
 * wawp_resume().  Its count of failures in a row stays until a request
 * succeeds, so that the next wait is longer.
 *
 * A limit of the account that concerns messages holds an instance's invitations
 * and welcomes only; that hold has HOLD_MESSAGES in the place of the group.
 *
 * A cycle reads each hold once, when it is first needed, into a Holds, which
 * lives in the memory context in which it was made.  Statements run as
 * intent.c's do, in the caller's transaction.  Locks: rows of wawp.hold until
 * the end of that transaction.  The worker does not wait for a session that is
 * just pausing or resuming the same: hold_is_free(), hold_is_busy().
 *
 * IDENTIFICATION
 *	  src/tables/hold.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/audit.h"
#include "tables/hold.h"
#include "tables/home.h"
#include "tables/intent.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"

/* A pace that was halved recovers by one step in this time. */
#define RECOVERY_SECONDS 60
#define PRUNED_AT_ONCE 10000

static SqlStatement set = {
	"INSERT INTO wawp.hold (instance, group_jid, reason, since, until, failures, instance_id)"
	" VALUES ($1::name, nullif($2, ''), $3, clock_timestamp(), $4, $5, wawp._account($1::name))"
	" ON CONFLICT (instance, group_jid) DO UPDATE SET reason = excluded.reason,"
	" instance_id = excluded.instance_id,"
	" since = CASE WHEN hold.reason = excluded.reason THEN hold.since ELSE excluded.since END,"
	" until = excluded.until, failures = excluded.failures"
	" WHERE hold.until IS NOT NULL"
	" RETURNING xmax = 0",
	5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

static SqlStatement pause_until_resume = {
	"INSERT INTO wawp.hold (instance, group_jid, reason, since, until, failures, paused_by, instance_id)"
	" VALUES ($1::name, nullif($2, ''), $3, clock_timestamp(), NULL, 0, $4, wawp._account($1::name))"
	" ON CONFLICT (instance, group_jid) DO UPDATE SET reason = excluded.reason, since = excluded.since,"
	" until = NULL, failures = 0, paused_by = excluded.paused_by, instance_id = excluded.instance_id"
	" WHERE hold.until IS NOT NULL OR hold.reason <> excluded.reason",
	4, {TEXTOID, TEXTOID, TEXTOID, OIDOID}, NULL
};

static SqlStatement count_paused = {
	"SELECT count(*) FROM (SELECT FROM wawp.hold WHERE paused_by = $1"
	" AND NOT (instance = $2::name AND group_jid IS NOT DISTINCT FROM nullif($3, '')) LIMIT $4) p",
	4, {OIDOID, TEXTOID, TEXTOID, INT4OID}, NULL
};

static SqlStatement lift = {
	"DELETE FROM wawp.hold WHERE instance = $1::name"
	" AND (group_jid = $2 OR $2 = '' AND (group_jid IS NULL OR until IS NOT NULL))",
	2, {TEXTOID, TEXTOID}, NULL
};

/* A pace that was halved recovers step by step. */
static SqlStatement ease_after_success = {
	"WITH whole AS (SELECT ctid FROM wawp.hold WHERE instance = $1::name AND group_jid IS NULL"
	"  AND until <= clock_timestamp() FOR UPDATE SKIP LOCKED),"
	" one AS (SELECT ctid FROM wawp.hold WHERE instance = $1::name AND group_jid = $2"
	"  AND until <= clock_timestamp() FOR UPDATE SKIP LOCKED),"
	" mine AS (SELECT ctid FROM whole UNION ALL SELECT ctid FROM one),"
	" gone AS (DELETE FROM wawp.hold h USING mine WHERE h.ctid = mine.ctid AND (h.reason <> 'rate_limited'"
	"  OR h.failures <= 1 AND h.since <= clock_timestamp() - $3 * interval '1 second'))"
	" UPDATE wawp.hold h SET failures = failures - 1, since = clock_timestamp() FROM mine WHERE h.ctid = mine.ctid AND h.failures > 1"
	" AND h.reason = 'rate_limited' AND h.since <= clock_timestamp() - $3 * interval '1 second'",
	3, {TEXTOID, TEXTOID, INT4OID}, NULL
};

/*
 * The hold of the whole instance, and that of a group.  Not both by one OR,
 * which would be planned, while the table is small, as a scan of all holds of
 * the instance.
 */
#define READ(more) \
	"SELECT instance::text, coalesce(group_jid, ''), " TEXT_CAP_REASON("reason") ", until, failures FROM wawp.hold" \
	" WHERE instance = $1::name AND " more

static SqlStatement read_one = {
	READ("group_jid IS NULL AND $2 = ''") " UNION ALL " READ("group_jid = $2"),
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * Deletes, of a page of holds, those that are over: immediately where a group
 * has nothing queued or under way, otherwise when the count of failures is old
 * as well.
 */
static SqlStatement prune = {
	"WITH page AS MATERIALIZED (SELECT h.ctid AS place, h.until, h.instance, coalesce(h.group_jid, '') AS group_jid"
	"  FROM wawp.hold h WHERE (h.instance, h.group_jid) > ($1::name, $2)"
	"  ORDER BY h.instance, h.group_jid NULLS FIRST LIMIT $3),"
	" over AS MATERIALIZED (SELECT p.place FROM page p WHERE p.until <= clock_timestamp()"
	"  AND (p.until <= clock_timestamp() - interval '1 day' OR p.group_jid <> ''"
	"  AND NOT EXISTS (SELECT FROM wawp.membership_intent i WHERE i.state = 'queued' AND i.id > 0"
	"   AND i.home = $4 AND i.instance = p.instance AND i.group_jid = p.group_jid OFFSET 0)"
	"  AND NOT EXISTS (SELECT FROM wawp.membership_intent i"
	"   WHERE i.state IN " STATES_UNDER_WAY
	"   AND i.home = $4 AND i.instance = p.instance AND i.group_jid = p.group_jid OFFSET 0))),"
	" mine AS (SELECT h.ctid FROM wawp.hold h WHERE h.ctid = ANY (ARRAY(SELECT place FROM over))"
	"  AND h.until <= clock_timestamp() FOR UPDATE SKIP LOCKED),"
	" gone AS (DELETE FROM wawp.hold h WHERE h.ctid = ANY (ARRAY(SELECT ctid FROM mine)))"
	" SELECT p.instance::text, p.group_jid, (SELECT count(*) FROM page) FROM page p ORDER BY p.instance DESC, p.group_jid DESC LIMIT 1",
	4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL
};

static SqlStatement start_anew = {
	"UPDATE wawp.hold SET until = clock_timestamp() + (until - since), since = clock_timestamp()"
	" WHERE since > clock_timestamp() + interval '1 second' AND until IS NOT NULL",
	0, {0}, NULL
};

/* Start holds of the future again, for as long as they were meant to last: the clock was set back. */
void
hold_start_anew(void)
{
	spi_run(&start_anew, NULL);
}

/*
 * Hold an instance (group "") or a group.  until 0: without an end; such a hold,
 * as a pause is, stays as it is.  True if there was no row before.
 */
bool
hold_set(const char *instance, const char *group, const char *reason, TimestampTz until, int failures)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_text(&args, reason);
	spi_add_time(&args, until);
	spi_add_int4(&args, failures, true);
	return spi_run(&set, &args) > 0 && spi_get_bool(0, 1);
}

/* Return how many instances and groups a role has paused, beside that one, up to `most`. */
int
hold_count_paused(Oid by, const char *instance, const char *group, int most)
{
	SqlArgs		args = {0};

	spi_add_datum(&args, ObjectIdGetDatum(by));
	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_int4(&args, most, true);
	spi_run(&count_paused, &args);
	return (int) spi_get_int8(0, 1, 0);
}

/*
 * Hold an instance (group "") or a group until hold_lift(), whatever held it
 * before; false if it was held so, for that reason, already.  by: the role.
 */
bool
hold_pause(const char *instance, const char *group, const char *reason, Oid by)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_text(&args, reason);
	spi_add_datum(&args, ObjectIdGetDatum(by));
	return spi_run(&pause_until_resume, &args) > 0;
}

/*
 * End a hold; false if there was none.  That of an instance (group "") ends
 * together with those of its groups that have an end.
 */
bool
hold_lift(const char *instance, const char *group)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	return spi_run(&lift, &args) > 0;
}

/*
 * Delete the holds of a group and its instance that are over, since a request
 * succeeded.  A pace that was halved takes one step back to normal instead, at
 * most once in RECOVERY_SECONDS.
 */
void
hold_ease_after_success(const char *instance, const char *group)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_int4(&args, RECOVERY_SECONDS, true);
	spi_run(&ease_after_success, &args);
}

/*
 * ---- instances that are renamed, or get another account
 */

static SqlStatement forget_holds_of_namesake = {
	"DELETE FROM wawp.hold WHERE instance = $1::name",
	1, {TEXTOID}, NULL
};

static SqlStatement rename_holds = {
	"UPDATE wawp.hold SET instance = $2::name WHERE instance = $1::name",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Give the holds of an instance its new name; those of an earlier instance of that name end. */
void
hold_rename_instance(const char *from, const char *to)
{
	SqlArgs		old = {0};
	SqlArgs		args = {0};

	spi_add_text(&old, to);
	spi_run(&forget_holds_of_namesake, &old);
	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&rename_holds, &args);
}

static SqlStatement end_of_other_account = {
	"DELETE FROM wawp.hold WHERE instance = $1::name AND instance_id <> wawp._account($1::name)"
	" AND (until IS NOT NULL OR $2)",
	2, {TEXTOID, BOOLOID}, NULL
};

/*
 * End the holds of an instance that were set for another account than it has
 * now; by_hand: those of wawp_pause(), too.  Return how many there were.
 */
uint64
hold_end_of_other_account(const char *instance, bool by_hand)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_bool(&args, by_hand);
	return spi_run(&end_of_other_account, &args);
}

static SqlStatement read_instance = {
	READ("group_jid IS NULL") " UNION ALL " READ("group_jid = $2"),
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * ---- without waiting for a session
 */

static SqlStatement lock_whole = {
	"SELECT FROM wawp.hold WHERE instance = $1::name AND group_jid IS NULL FOR UPDATE SKIP LOCKED",
	1, {TEXTOID}, NULL
};

static SqlStatement lock_group = {
	"SELECT FROM wawp.hold WHERE instance = $1::name AND group_jid = $2 FOR UPDATE SKIP LOCKED",
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * True if the hold of a group, or with group "" of the whole instance, can be
 * written or deleted without waiting: no transaction that is still open has paused
 * or resumed the same.  A hold that there is stays locked.
 */
bool
hold_is_free(const LaneKey *key)
{
	bool		is_whole = *key->group == '\0';
	IndexProbe	row = {"hold", "hold_key", 2, {NameGetDatum(&key->instance), is_whole ? (Datum) 0 : CStringGetTextDatum(key->group)}};
	IndexProbeResult found = index_probe_first(&row);
	SqlArgs		args = {0};

	if (found != PROBE_FOUND)
		return found == PROBE_UNKNOWN || !index_probe_is_pending(&row);
	spi_add_text(&args, NameStr(key->instance));
	if (!is_whole)
		spi_add_text(&args, key->group);
	return spi_run(is_whole ? &lock_whole : &lock_group, &args) > 0;
}

/* Make a Hold of a row of READ, in the current context. */
static Hold *
hold_of_row(uint64 row)
{
	Hold	   *hold = palloc0(sizeof(Hold));

	hold->key = lane_key(spi_get_text(row, 1), spi_get_text(row, 2));
	hold->reason = spi_get_text(row, 3);
	hold->until = spi_get_time(row, 4);
	hold->failures = spi_get_int4(row, 5);
	return hold;
}

/*
 * Return the holds of an instance and of one of its groups (NULL: none) as Hold
 * pointers in the current context; as they are now, also in a transaction with
 * an older snapshot.
 */
List *
hold_read_instance(const char *instance, const char *group)
{
	SqlArgs		args = {0};
	List	   *holds = NIL;
	uint64		n;

	spi_add_text(&args, instance);
	spi_add_text(&args, group ? group : "");
	n = spi_run_seeing(&read_instance, &args, GetLatestSnapshot());
	for (uint64 i = 0; i < n; i++)
		holds = lappend(holds, hold_of_row(i));
	return holds;
}

/* A hold that was read, or that there is none. */
typedef struct HoldRead
{
	LaneKey		key;			/* hash key, must be first */
	const Hold *hold;			/* NULL: none */
} HoldRead;

struct Holds
{
	MemoryContext memory;
	HTAB	   *read;
	NameData	unheld;			/* an instance without any hold, of its groups either; "": none is known */
};

/* Make a cache of holds in the current context; each is read when it is first needed. */
Holds *
hold_begin_reading(void)
{
	Holds	   *holds = palloc0(sizeof(Holds));
	HASHCTL		by_lane = {.keysize = sizeof(LaneKey), .entrysize = sizeof(HoldRead), .hcxt = CurrentMemoryContext};

	holds->memory = CurrentMemoryContext;
	holds->read = hash_create("wawp holds", 64, &by_lane, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return holds;
}

/* Read a hold, into the current context; NULL: there is none. */
static const Hold *
hold_read_one(const LaneKey *key)
{
	Datum		group = *key->group ? CStringGetTextDatum(key->group) : (Datum) 0;
	IndexProbe	row = {"hold", "hold_key", 2, {NameGetDatum(&key->instance), group}};
	SqlArgs		args = {0};

	if (index_probe_first(&row) == PROBE_NONE)
		return NULL;
	spi_add_text(&args, NameStr(key->instance));
	spi_add_text(&args, key->group);
	return spi_run(&read_one, &args) > 0 ? hold_of_row(0) : NULL;
}

/* Read a hold again when it is needed: its row was changed. */
static void
hold_forget_read(Holds *holds, const LaneKey *key)
{
	hash_search(holds->read, key, HASH_REMOVE, NULL);
	memset(&holds->unheld, 0, sizeof(holds->unheld));
}

/* True if nothing of an instance is held, which is asked once for all its groups. */
static bool
hold_is_unheld(Holds *holds, const LaneKey *key)
{
	IndexProbe	any = {"hold", "hold_key", 1, {NameGetDatum(&key->instance)}};

	if (memcmp(&holds->unheld, &key->instance, sizeof(NameData)) == 0)
		return true;
	if (index_probe_first(&any) != PROBE_NONE)
		return false;
	holds->unheld = key->instance;
	return true;
}

/* Return the hold of a group, or with group "" of the whole instance, through the cache; NULL: none. */
static const Hold *
hold_look_up(Holds *holds, const LaneKey *key)
{
	HoldRead   *entry = hash_search(holds->read, key, HASH_FIND, NULL);
	MemoryContext caller;
	const Hold *hold;

	if (entry)
		return entry->hold;
	caller = MemoryContextSwitchTo(holds->memory);
	hold = hold_is_unheld(holds, key) ? NULL : hold_read_one(key);
	MemoryContextSwitchTo(caller);
	entry = hash_search(holds->read, key, HASH_ENTER, NULL);
	entry->hold = hold;
	return hold;
}

/* True if the hold of a lane or of its whole instance cannot be written now. */
bool
hold_is_busy(const LaneKey *lane)
{
	LaneKey		whole = lane_key(NameStr(lane->instance), "");

	return !hold_is_free(lane) || !hold_is_free(&whole);
}

/* Delete holds that are over and have no effect any more; each call takes the next page of the table. */
void
hold_prune(void)
{
	static LaneKey from;
	SqlArgs		args = {0};
	uint64		n;

	spi_add_text(&args, NameStr(from.instance));
	spi_add_text(&args, from.group);
	spi_add_int4(&args, PRUNED_AT_ONCE, true);
	home_bind(&args);
	n = spi_run(&prune, &args);
	if (n == 0 || spi_get_int8(0, 3, 0) < PRUNED_AT_ONCE)
	{
		memset(&from, 0, sizeof(from));
		return;
	}
	from = lane_key(spi_get_text(0, 1), spi_get_text(0, 2));
}

/* Return the hold of a group, or with "" of the whole instance, from a list; NULL: none. */
const Hold *
hold_find(List *holds, const char *instance, const char *group)
{
	ListCell   *lc;

	foreach(lc, holds)
	{
		const Hold *hold = lfirst(lc);

		if (strcmp(NameStr(hold->key.instance), instance) == 0 && strcmp(hold->key.group, group) == 0)
			return hold;
	}
	return NULL;
}

/* True if there is a hold and its time is not over. */
bool
hold_is_active(const Hold *hold)
{
	return hold && (hold->until == 0 || hold->until > GetCurrentTimestamp());
}

/* True if a hold was set for that outcome. */
static bool
hold_is_for(const Hold *hold, WawpOutcome outcome)
{
	return strcmp(hold->reason, outcome_info(outcome)->name) == 0;
}

/* True if a group is held (NULL: it is not) because it is full, which holds what adds people to it only. */
bool
hold_is_for_full(const Hold *hold)
{
	return hold_is_active(hold) && hold->until != 0 && hold_is_for(hold, WAWP_GROUP_FULL);
}

/*
 * Return how often a hold of a whole instance (NULL: none) halves the pace.  One
 * that is over still does, until a request succeeds.
 */
int
hold_halvings(const Hold *on_instance)
{
	return on_instance && hold_is_for(on_instance, WAWP_RATE_LIMITED) ? on_instance->failures : 0;
}

/*
 * ---- holds of lanes, in a cycle of the worker
 */

/* Return the key of a lane's hold or of its instance's. */
static LaneKey
hold_key(const LaneKey *lane, bool whole_instance)
{
	return lane_key(NameStr(lane->instance), whole_instance ? "" : lane->group);
}

/* Return the hold of a lane or of its whole instance, as it was when the cycle first needed it; NULL: none. */
const Hold *
hold_get(Holds *holds, const LaneKey *lane, bool whole_instance)
{
	LaneKey		key = hold_key(lane, whole_instance);

	return hold_look_up(holds, &key);
}

/* Return when a hold ends, in monotonic ms; 0: there is none, CLOCK_NEVER: not before wawp_resume(). */
static int64
hold_end(const Hold *hold)
{
	if (!hold_is_active(hold))
		return 0;
	return hold->until == 0 ? CLOCK_NEVER : clock_monotonic_of(hold->until);
}

/* Return when holds let a lane be served, likewise. */
int64
hold_lane_until(Holds *holds, const LaneKey *lane)
{
	return Max(hold_end(hold_get(holds, lane, false)), hold_instance_until(holds, lane));
}

/* Likewise, with what adds nobody: a full group keeps nobody from leaving. */
int64
hold_others_until(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = hold_get(holds, lane, false);

	return Max(hold_is_for_full(hold) ? 0 : hold_end(hold), hold_instance_until(holds, lane));
}

/* Return when the hold of a lane's whole instance ends, likewise. */
int64
hold_instance_until(Holds *holds, const LaneKey *lane)
{
	return hold_end(hold_get(holds, lane, true));
}

/* Return the key of the hold of an instance's invitations. */
static LaneKey
hold_messages_key(const LaneKey *lane)
{
	return lane_key(NameStr(lane->instance), HOLD_MESSAGES);
}

/* True if the hold of an instance's invitations cannot be written now. */
bool
hold_messages_is_busy(const LaneKey *lane)
{
	LaneKey		key = hold_messages_key(lane);

	return !hold_is_free(&key);
}

/* Return until when an instance's invitations are held, in monotonic ms; 0: they are not. */
int64
hold_messages_until(Holds *holds, const LaneKey *lane)
{
	LaneKey		key = hold_messages_key(lane);
	const Hold *hold = hold_look_up(holds, &key);

	return hold_is_active(hold) ? clock_monotonic_of(hold->until) : 0;
}

/* True if a hold is due to an outage of the API or of what stands before it. */
static bool
hold_is_outage(const Hold *hold)
{
	return hold && hold->until != 0 && (hold_is_for(hold, WAWP_SERVER_ERROR) || hold_is_for(hold, WAWP_UNREACHABLE));
}

/* Return until when a hold keeps the instance from reading groups, in monotonic ms; 0: none does. */
int64
hold_reads_until(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = hold_get(holds, lane, true);

	if (!hold_is_active(hold) || hold->until == 0 || !(hold_is_outage(hold) || hold_is_for(hold, WAWP_RATE_LIMITED)))
		return 0;
	return clock_monotonic_of(hold->until);
}

/* True if the instance is held for an outage, or for answers that are not understood, of which a single request may test the end. */
bool
hold_is_on_trial(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = hold_get(holds, lane, true);

	return hold_is_outage(hold) || (hold && hold->until != 0 && hold_is_for(hold, WAWP_UNRECOGNISED));
}

/* Record that a lane or, with group "", its instance is held. */
static void
hold_record(const LaneKey *lane, const char *group, WawpOutcome outcome, const char *request_id)
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
 * Hold a lane or its whole instance for an outcome, unless it is held already or a
 * session is just pausing or resuming it, and record that once.  retry_after: from
 * the answer, in seconds, or -1.
 */
void
hold_set_lane(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance,
			  int retry_after, const char *request_id)
{
	LaneKey		key = hold_key(lane, whole_instance);
	const Hold *hold = hold_look_up(holds, &key);
	int			failures = hold ? hold->failures + 1 : 1;
	int64		delay = backoff_request_ms(outcome, failures, retry_after, pg_prng_double(&pg_global_prng_state));

	/* paused by hand, or one of several that met the same refusal */
	if (hold_is_active(hold) || !hold_is_free(&key))
		return;
	if (hold_set(NameStr(lane->instance), key.group, outcome_info(outcome)->name,
				 GetCurrentTimestamp() + Max(delay, 0) * 1000, failures))
		hold_record(lane, key.group, outcome, request_id);
	hold_forget_read(holds, &key);
}

/* Record that invitations are held, and until when. */
static void
hold_record_messages(const LaneKey *lane, TimestampTz until)
{
	AuditRecord record = {
		.kind = "held",
		.instance = NameStr(lane->instance),
		.action = "invite",
		.outcome = outcome_info(WAWP_ACCOUNT_RESTRICTED)->name,
		.duration_ms = -1,
		.detail = psprintf("{\"until\": \"%s\"}", clock_text(until))
	};

	audit_write(&record);
}

/*
 * Write the hold of an instance's invitations, unless a session is just ending it;
 * the row is read again when it is needed.  failures 0: not recorded yet.
 */
static bool
hold_messages_write(const LaneKey *key, Holds *holds, TimestampTz until, int failures)
{
	if (!hold_is_free(key))
		return false;
	(void) hold_set(NameStr(key->instance), key->group, outcome_info(WAWP_ACCOUNT_RESTRICTED)->name, until, failures);
	hold_forget_read(holds, key);
	return true;
}

/*
 * Hold an instance's invitations because WhatsApp refused one: the account may
 * not write to strangers.  The session knows the end; until it has been asked,
 * after which hold_messages() is called, the hold lasts for the usual time.
 * retry_after: from the answer, in seconds, or -1.
 */
void
hold_refused_messages(const LaneKey *lane, Holds *holds, int retry_after)
{
	LaneKey		key = hold_messages_key(lane);
	const Hold *hold = hold_look_up(holds, &key);
	int64		delay = backoff_request_ms(WAWP_ACCOUNT_RESTRICTED, 1, retry_after, pg_prng_double(&pg_global_prng_state));

	if (!hold_is_active(hold))
		(void) hold_messages_write(&key, holds, GetCurrentTimestamp() + delay * 1000, 0);
}

/*
 * Hold an instance's invitations until a limit of its account ends, and record
 * that once.  until 0: the end is not told, the hold that there is keeps its own;
 * one that was recorded only becomes shorter.
 */
void
hold_messages(const LaneKey *lane, Holds *holds, TimestampTz until)
{
	LaneKey		key = hold_messages_key(lane);
	const Hold *hold = hold_look_up(holds, &key);
	bool		is_active = hold_is_active(hold);
	int			failures = is_active ? hold->failures : 0;

	if (until == 0)
		until = is_active ? hold->until : 0;
	if (until == 0 || (is_active && failures > 0 && until >= hold->until))
		return;
	if (hold_messages_write(&key, holds, until, Max(failures, 1)) && failures == 0)
		hold_record_messages(lane, until);
}

/* Forget the hold of an instance's invitations: one was accepted. */
void
hold_ease_messages(const LaneKey *lane, Holds *holds)
{
	LaneKey		key = hold_messages_key(lane);

	if (hold_look_up(holds, &key) == NULL || !hold_is_free(&key))
		return;
	(void) hold_lift(NameStr(key.instance), key.group);
	hold_forget_read(holds, &key);
}

/*
 * ---- holds by events of the gateway, which tell the end as well
 */

/* An interruption of the session that lasts longer is tried out. */
#define INTERRUPTION_US (2 * USECS_PER_MINUTE)

static SqlStatement end_for_reason = {
	"DELETE FROM wawp.hold WHERE instance = $1::name AND group_jid IS NOT DISTINCT FROM nullif($2, '') AND reason = $3"
	" AND until IS NOT NULL AND since <= $4",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* Append the arguments of end_for_reason. */
static void
hold_bind_end(SqlArgs *args, const char *instance, const char *group, WawpOutcome outcome, TimestampTz before)
{
	spi_add_text(args, instance);
	spi_add_text(args, group);
	spi_add_text(args, outcome_info(outcome)->name);
	spi_add_time(args, before);
}

/* End the hold of an instance whose access token was refused: it has another.  Return false if there was none. */
bool
hold_end_of_refused_token(const char *instance)
{
	SqlArgs		args = {0};

	hold_bind_end(&args, instance, "", WAWP_AUTH_FAILED, DT_NOEND);
	return spi_run(&end_for_reason, &args) > 0;
}

/* End a hold for an outcome that began before that time; false if there is none. */
static bool
hold_end_for_reason(const LaneKey *key, Holds *holds, WawpOutcome outcome, TimestampTz before)
{
	const Hold *hold = hold_look_up(holds, key);
	SqlArgs		args = {0};

	if (hold == NULL || hold->until == 0 || !hold_is_for(hold, outcome) || !hold_is_free(key))
		return false;
	hold_bind_end(&args, NameStr(key->instance), key->group, outcome, before);
	hold_forget_read(holds, key);
	return spi_run(&end_for_reason, &args) > 0;
}

/* The same, recorded as an event's effect on that group (NULL: the instance) or action (NULL: all). */
static bool
hold_end_by_event(const LaneKey *key, Holds *holds, WawpOutcome outcome, const char *group, const char *action,
				  TimestampTz before)
{
	AuditRecord record = {
		.kind = "resumed",
		.instance = NameStr(key->instance),
		.group_jid = group,
		.action = action,
		.outcome = outcome_info(outcome)->name,
		.origin = "webhook",
		.duration_ms = -1
	};

	if (!hold_end_for_reason(key, holds, outcome, before))
		return false;
	audit_write(&record);
	return true;
}

/* End the hold of a lane or of its whole instance, likewise. */
bool
hold_end_outcome(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance, TimestampTz before)
{
	LaneKey		key = hold_key(lane, whole_instance);

	return hold_end_by_event(&key, holds, outcome, *key.group ? key.group : NULL, NULL, before);
}

static SqlStatement try_again = {
	"UPDATE wawp.hold SET until = clock_timestamp() WHERE instance = $1::name AND group_jid = $2 AND reason = $3"
	" AND until > clock_timestamp()",
	3, {TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* Let a lane that is held for an outcome be tried now; false if it is not held so. */
bool
hold_try_again(const LaneKey *lane, Holds *holds, WawpOutcome outcome)
{
	const Hold *hold = hold_look_up(holds, lane);
	SqlArgs		args = {0};

	if (!hold_is_active(hold) || hold->until == 0 || !hold_is_for(hold, outcome) || !hold_is_free(lane))
		return false;
	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_text(&args, outcome_info(outcome)->name);
	hold_forget_read(holds, lane);
	return spi_run(&try_again, &args) > 0;
}

/* End the hold of an instance's invitations, likewise. */
bool
hold_end_messages(const LaneKey *lane, Holds *holds, TimestampTz before)
{
	LaneKey		key = hold_messages_key(lane);

	return hold_end_by_event(&key, holds, WAWP_ACCOUNT_RESTRICTED, NULL, "invite", before);
}

/*
 * Hold an instance whose session cannot be used.  An interruption, which usually
 * ends within seconds, is not recorded; anything else is, once until it ends.
 */
void
hold_for_session(const LaneKey *lane, Holds *holds, bool is_interruption)
{
	LaneKey		key = hold_key(lane, true);
	const Hold *hold = hold_look_up(holds, &key);
	bool		is_session = hold && hold->until != 0 && hold_is_for(hold, WAWP_SESSION_DOWN);
	int			failures = is_session ? hold->failures : 0;
	int64		delay_us = INTERRUPTION_US;

	if ((hold_is_active(hold) && (is_interruption || !is_session || failures > 0)) || !hold_is_free(&key))
		return;
	if (!is_interruption)
		delay_us = backoff_request_ms(WAWP_SESSION_DOWN, failures + 1, -1, pg_prng_double(&pg_global_prng_state)) * 1000;
	(void) hold_set(NameStr(key.instance), "", outcome_info(WAWP_SESSION_DOWN)->name, GetCurrentTimestamp() + delay_us,
					failures + (is_interruption ? 0 : 1));
	if (failures == 0 && !is_interruption)
		hold_record(lane, "", WAWP_SESSION_DOWN, NULL);
	hold_forget_read(holds, &key);
}

/* Hold an instance whose API cannot be reached: something in front of it has answered. */
void
hold_for_outage(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	hold_set_lane(lane, holds, outcome == WAWP_SERVER_ERROR ? outcome : WAWP_UNREACHABLE, true, retry_after, request_id);
}

/* Hold the lane or the instance, as the outcome says; nothing if it says neither. */
void
hold_for_outcome(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	OutcomeNext next = outcome_info(outcome)->next;
	bool		whole = next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN;

	if (whole || next == NEXT_HOLD_LANE)
		hold_set_lane(lane, holds, outcome, whole, retry_after, request_id);
}
