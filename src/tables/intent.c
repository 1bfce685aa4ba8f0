/*-------------------------------------------------------------------------
 *
 * intent.c
 *	  The queue's rows.
 *
 * All statements on wawp.membership_intent after a row was inserted are here;
 * every change of state goes through intent_settle or one of the statements
 * beside it, each of which names the state it comes from.  No HTTP.
 *
 * The caller is connected to SPI in a transaction of its own and acts as the
 * extension's owner.  Rows that somebody else has locked are passed over and
 * tried again later: the worker never waits for a session.
 *
 * IDENTIFICATION
 *	  src/tables/intent.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tables/intent.h"
#include "utils/builtins.h"

#include "compat.h"

static const char *const action_names[] = {
	[ACTION_ADD] = "add",
	[ACTION_REMOVE] = "remove",
	[ACTION_PROMOTE] = "promote",
	[ACTION_DEMOTE] = "demote",
	[ACTION_INVITE] = "invite"
};

static const char *const state_names[] = {
	[STATE_QUEUED] = "queued",
	[STATE_SENDING] = "sending",
	[STATE_VERIFYING] = "verifying",
	[STATE_INVITING] = "inviting",
	[STATE_INVITED] = "invited",
	[STATE_PENDING_APPROVAL] = "pending_approval",
	[STATE_DONE] = "done",
	[STATE_FAILED] = "failed",
	[STATE_CANCELLED] = "cancelled"
};

/* The key of the unique index on what is queued. */
#define SAME_PERSON_AND_KIND(a, b) \
	a ".instance = " b ".instance AND " a ".group_jid = " b ".group_jid AND " a ".jid = " b ".jid" \
	" AND (" a ".action IN ('promote', 'demote')) = (" b ".action IN ('promote', 'demote'))"

const char *
intent_action_name(IntentAction action)
{
	return action_names[action];
}

const char *
intent_state_name(IntentState state)
{
	return state_names[state];
}

WawpOperation
intent_operation(IntentAction action)
{
	WawpOperation operation;

	if (!outcome_operation(action_names[action], &operation))
		elog(ERROR, "action \"%s\" is no operation of the API", action_names[action]);
	return operation;
}

static IntentAction
action_of(const char *name)
{
	for (size_t i = 0; i < lengthof(action_names); i++)
		if (strcmp(action_names[i], name) == 0)
			return (IntentAction) i;
	elog(ERROR, "unknown action \"%s\"", name);
}

/*
 * ---- when something is asked for
 */

/* True while a row of the extension's own is on its way to the trigger. */
static bool is_own_insert;

/*
 * Runs a statement that inserts a complete intent, which the trigger takes as
 * it is: known by this mark in the process, which nobody can set from SQL.
 */
uint64
intent_insert(SqlStatement *statement, const SqlArgs *args)
{
	uint64		n;

	is_own_insert = true;
	PG_TRY();
	{
		n = sqlrun(statement, args);
	}
	PG_FINALLY();
	{
		is_own_insert = false;
	}
	PG_END_TRY();
	return n;
}

/* True once for each intent_insert(), whose statements insert one row. */
bool
intent_take_insert_mark(void)
{
	bool		was_own = is_own_insert;

	is_own_insert = false;
	return was_own;
}

/* The opposite, still queued: it is cancelled and makes room. */
static SqlStatement cancel_opposite = {
	"UPDATE wawp.membership_intent SET state = 'cancelled',"
	" detail = CASE WHEN action IN ('add', 'invite') AND $4 IN ('add', 'invite') THEN 'the same was asked for in another way'"
	"  ELSE 'the opposite was asked for' END,"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE state = 'queued' AND instance = $1::name AND group_jid = $2 AND jid = $3"
	" AND (action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote')) AND action::text <> $4"
	" RETURNING id",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

/*
 * On the wire or waiting for a sighting: it is finished without follow-up.  An
 * addition and an invitation want the same; the later one waits for the other.
 */
static SqlStatement supersede = {
	"UPDATE wawp.membership_intent SET superseded = true, updated_at = clock_timestamp()"
	" WHERE state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')"
	" AND instance = $1::name AND group_jid = $2 AND jid = $3"
	" AND (action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote')) AND action::text <> $4"
	" AND NOT (action IN ('add', 'invite') AND $4 IN ('add', 'invite')) AND NOT superseded",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

/*
 * May intent_make_room have something to do?  Mostly not: two looks into an
 * index instead of two statements, which cost more than the new row itself.
 */
bool
intent_is_in_the_way(const char *instance, const char *group, const char *jid)
{
	Datum		person = CStringGetTextDatum(jid);
	Datum		where = CStringGetTextDatum(group);
	Datum		whose = CStringGetTextDatum(instance);
	Probe		queued = {"membership_intent", "membership_intent_one_queued", 3, {person, where, whose}};
	Probe		busy = {"membership_intent", "membership_intent_busy", 3, {whose, where, person}};

	return probe_first(&queued) != PROBE_NONE || probe_first(&busy) != PROBE_NONE;
}

/*
 * ---- what sessions do, on its way to the audit log
 */

/* The columns of a note about an intent; $n is the asker's role, then where from. */
#define INSERT_NOTE \
	"INSERT INTO wawp.audit_note (kind, instance, instance_id, group_jid, jid, intent_id, batch_id, action," \
	" reason, role, requested_from)"
#define NOTE_OF(kind) " SELECT '" kind "', c.instance, c.instance_id, c.group_jid, c.jid, c.id, c.batch_id, c.action," \
	" " TEXT_CAP_REASON("c.reason")

static SqlStatement note = {
	INSERT_NOTE " VALUES ($1::wawp.audit_kind, $2::name, NULL, nullif($3, ''), NULL, NULL, NULL, NULL, $4,"
	" $5::name, $6)",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
};

static void
put_asker(SqlArgs *args, const IntentAsker *asker)
{
	sqlrun_text(args, asker->role);
	sqlrun_datum(args, asker->from);
}

/* Tells of something done to an instance or, unless "", one of its groups. */
void
intent_note(const char *kind, const char *instance, const char *group, const char *reason,
			const IntentAsker *asker)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, kind);
	sqlrun_text(&args, instance);
	sqlrun_text(&args, group);
	sqlrun_text(&args, reason);
	put_asker(&args, asker);
	sqlrun(&note, &args);
}

static SqlStatement note_person = {
	INSERT_NOTE " VALUES ($1::wawp.audit_kind, NULL, NULL, nullif($3, ''), $2, NULL, NULL, NULL, $4,"
	" $5::name, $6)",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
};

/* Tells of something decided about a person, in all groups or, unless "", one of them. */
void
intent_note_person(const char *kind, const char *jid, const char *group, const char *reason,
				   const IntentAsker *asker)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, kind);
	sqlrun_text(&args, jid);
	sqlrun_text(&args, group);
	sqlrun_text(&args, reason);
	put_asker(&args, asker);
	sqlrun(&note_person, &args);
}

static SqlStatement note_cancelled = {
	INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM wawp.membership_intent c WHERE c.id = $1",
	3, {INT8OID, TEXTOID, JSONBOID}, NULL
};

/* Makes room for a new intent; returns whether anything had to go. */
bool
intent_make_room(const char *instance, const char *group, const char *jid, IntentAction action,
				 const IntentAsker *asker)
{
	SqlArgs		args = {0};
	SqlArgs		noted = {0};
	uint64		cancelled;

	sqlrun_text(&args, instance);
	sqlrun_text(&args, group);
	sqlrun_text(&args, jid);
	sqlrun_text(&args, action_names[action]);
	cancelled = sqlrun(&cancel_opposite, &args);
	if (cancelled > 0)
	{
		sqlrun_int8(&noted, sqlrun_get_int8(0, 1, 0));
		put_asker(&noted, asker);
		sqlrun(&note_cancelled, &noted);
	}
	return sqlrun(&supersede, &args) + cancelled > 0;
}

/* True if the asking role $4 may change an intent: its own, and those of roles it is a member of. */
#define IS_OWN "pg_has_role($4, requester, 'MEMBER')"
#define CANCEL "UPDATE wawp.membership_intent SET state = 'cancelled', detail = 'cancelled by ' || $2," \
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()" \
	" WHERE state IN ('queued', 'pending_approval') AND " IS_OWN

static SqlStatement cancel_one = {
	"WITH c AS (" CANCEL " AND id = $1 RETURNING *) " INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM c",
	4, {INT8OID, TEXTOID, JSONBOID, OIDOID}, NULL
};

static SqlStatement cancel_batch = {
	"WITH c AS (" CANCEL " AND batch_id = $1 RETURNING *) " INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM c",
	4, {TEXTOID, TEXTOID, JSONBOID, OIDOID}, NULL
};

static SqlStatement requeue = {
	"WITH c AS (UPDATE wawp.membership_intent i SET state = 'queued', attempts = 0, crashes = 0, next_attempt_at = NULL,"
	" outcome = NULL, code = NULL, detail = NULL,"
	" settled_at = NULL, superseded = false, updated_at = clock_timestamp()"
	" WHERE id = $1 AND state = 'failed' AND " IS_OWN
	" AND NOT EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued' AND " SAME_PERSON_AND_KIND("o", "i") " OFFSET 0)"
	" RETURNING *) " INSERT_NOTE NOTE_OF("retried") ", $2::name, $3 FROM c",
	4, {INT8OID, TEXTOID, JSONBOID, OIDOID}, NULL
};

/* Cancels an intent of the asker's; false when there is nothing left to cancel. */
bool
intent_cancel(int64 id, const IntentAsker *asker)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, id);
	put_asker(&args, asker);
	sqlrun_datum(&args, ObjectIdGetDatum(asker->roleid));
	return sqlrun(&cancel_one, &args) > 0;
}

/* Cancels a batch of the asker's; returns how many. */
int64
intent_cancel_batch(const char *batch, const IntentAsker *asker)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, batch);
	put_asker(&args, asker);
	sqlrun_datum(&args, ObjectIdGetDatum(asker->roleid));
	return (int64) sqlrun(&cancel_batch, &args);
}

/* failed -> queued; false when it has not failed, or is asked for anew. */
bool
intent_requeue(int64 id, const IntentAsker *asker)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, id);
	put_asker(&args, asker);
	sqlrun_datum(&args, ObjectIdGetDatum(asker->roleid));
	return sqlrun(&requeue, &args) > 0;
}

/*
 * ---- when something is sent
 */

/*
 * The statements below run for as long as the process lives, by plans that may
 * have been made, and statistics that may have been taken, while the queue was
 * empty; it then grows to millions of rows.  So they leave the planner no way
 * but through the right index: a row is found by "id = ANY (ARRAY (...))",
 * which a join of equal cost would not, a lookup is a scalar query, which is
 * never hashed, OFFSET 0 keeps an EXISTS from becoming a join, and an order is
 * asked for that only one index gives.
 */

/* No intent b of the same person is on the wire or waits for a sighting. */
#define NOBODY_IN_THE_WAY \
	"NOT EXISTS (SELECT FROM wawp.membership_intent b" \
	" WHERE b.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')" \
	" AND b.instance = c.instance AND b.group_jid = c.group_jid AND b.jid = c.jid" \
	" AND (b.state = 'sending' OR NOT b.superseded) OFFSET 0)"

/* The intent that c is to follow is done. */
#define ITS_TURN \
	"(c.after IS NULL OR (SELECT p.state = 'done' FROM wawp.membership_intent p WHERE p.id = c.after))"

#define READ_COLUMNS \
	"i.id, i.jid, i.action::text, i.instance_id, i.requested_by, i.requested_from ->> 'login'," \
	" i.requested_from ->> 'actor', i.requested_from ->> 'application', i.requested_from ->> 'client'," \
	" i.origin, " TEXT_CAP_REASON("i.reason") ", " TEXT_CAP_BATCH_ID("i.batch_id") ", i.attempts, i.outcome::text, i.code, i.detail, i.state::text, i.verify," \
	" i.invite, i.superseded, i.until, i.expires_at, i.updated_at, i.next_attempt_at, i.priority, i.requester"

/* What a statement reads besides comes after these. */
#define READ_COLUMNS_NUMBER 26

/* A row of the future: what it waits for may have come long ago. */
#define CLOCK_WAS_SET_BACK "c.updated_at > clock_timestamp() + interval '1 second'"

#define IS_DUE \
	"(c.not_before IS NULL OR c.not_before <= clock_timestamp())" \
	" AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp() OR " CLOCK_WAS_SET_BACK ")"

/* The instance's hold and the group's are looked for one by one: each is one row of the index. */
#define IS_HELD(instance, where) "EXISTS (SELECT FROM wawp.hold h WHERE h.instance = " instance " AND " where \
	" AND (h.until IS NULL OR h.until > clock_timestamp()))"

/*
 * The head of a lane and, for one request, those behind it that ask the same
 * for the same role.  A person who is in flight is left where they are.
 * Holds are looked at here, too: what is asked for after a wawp_pause() must
 * not go because the worker read the holds before it.  So is whose the queue
 * is: a dump that is being restored brings that before the intents.
 */
#define HEAD(instance, group_jid, which, most, here) " FROM wawp.membership_intent c" \
	" WHERE c.state = 'queued' AND c.instance = " instance " AND c.group_jid = " group_jid which \
	" AND " IS_DUE \
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())" \
	" AND NOT " IS_HELD(instance, "h.group_jid IS NULL") \
	" AND NOT " IS_HELD(instance, "h.group_jid = " group_jid) \
	" AND NOT EXISTS (SELECT FROM wawp.identity y WHERE (y.system_identifier, y.database_oid) <> " here ")" \
	" AND " ITS_TURN \
	" AND " NOBODY_IN_THE_WAY \
	" ORDER BY c.priority DESC, c.id LIMIT " most " FOR UPDATE SKIP LOCKED"

#define HEAD_OF_LANE(which) HEAD("$1::name", "$2", which, "$3", "($4, $5::oid)")

/* The heads of several lanes, one of each. */
#define HEADS_OF_LANES(which) "SELECT h.id FROM unnest($1, $2, $3, $4) l (instance, group_jid, priority, id)," \
	" LATERAL (SELECT c.id" HEAD("l.instance::name", "l.group_jid", which, "1", "($5, $6::oid)") ") h"

/* Which index a lane is read by: all that is queued, or what is no addition. */
#define ANY_ACTION " AND c.id > 0"
#define NO_ADDITION " AND c.action <> 'add'"

#define CLAIM(ids) "UPDATE wawp.membership_intent i SET state = 'sending', attempts = attempts + 1," \
	" next_attempt_at = NULL, updated_at = clock_timestamp()" \
	" WHERE i.id = ANY (ARRAY(" ids "))" \
	" RETURNING " READ_COLUMNS

static SqlStatement claim = {
	"WITH head AS MATERIALIZED (SELECT c.id, c.action, c.requester" HEAD_OF_LANE(ANY_ACTION) "),"
	" chosen AS MATERIALIZED ("
	" SELECT id FROM head WHERE (action, requester) ="
	"  (SELECT action, requester FROM head LIMIT 1))"
	" " CLAIM("SELECT id FROM chosen"),
	5, {TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID}, NULL
};

/* The same while additions have to wait; they are in the way of nothing else. */
static SqlStatement claim_other = {
	CLAIM("SELECT c.id" HEAD_OF_LANE(NO_ADDITION)),
	5, {TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID}, NULL
};

/* One of each lane: it alone goes with itself.  One statement costs much less than one for each. */
static SqlStatement claim_heads = {
	CLAIM(HEADS_OF_LANES(ANY_ACTION)) ", i.instance::text, i.group_jid",
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8OID, INT8OID}, NULL
};

/*
 * The first behind the last one claimed.  While somebody has an old snapshot
 * open, all that was claimed since lies dead before the lane's head.
 */
static SqlStatement claim_next = {
	CLAIM(HEADS_OF_LANES(ANY_ACTION " AND c.priority = l.priority AND c.id > l.id"))
	", i.instance::text, i.group_jid",
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8OID, INT8OID}, NULL
};

/* The head, which stays as it is. */
static SqlStatement peek = {
	"SELECT " READ_COLUMNS " FROM wawp.membership_intent i WHERE i.id = ANY (ARRAY(SELECT c.id" HEAD_OF_LANE(ANY_ACTION) "))",
	5, {TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID}, NULL
};

static bool
is_true(uint64 row, int column)
{
	const char *value = sqlrun_get(row, column);

	return value && value[0] == 't';
}

static IntentState
state_of(const char *name)
{
	for (size_t i = 0; i < lengthof(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (IntentState) i;
	elog(ERROR, "unknown state \"%s\"", name);
}

/* A row of READ_COLUMNS; its strings live in SPI's memory. */
static void
read_intent(uint64 row, const LaneKey *lane, Intent *intent)
{
	const char *jid = sqlrun_get(row, 2);
	const char *outcome = sqlrun_get(row, 14);

	memset(intent, 0, sizeof(*intent));
	intent->id = sqlrun_get_int8(row, 1, 0);
	intent->lane = *lane;
	intent->jid = jid_parse(jid, strlen(jid));
	intent->action = action_of(sqlrun_get(row, 3));
	intent->instance_id = sqlrun_get(row, 4);
	intent->requested_by = sqlrun_get(row, 5);
	intent->login_role = sqlrun_get(row, 6);
	intent->actor = sqlrun_get(row, 7);
	intent->application_name = sqlrun_get(row, 8);
	intent->client_addr = sqlrun_get(row, 9);
	intent->origin = sqlrun_get(row, 10);
	intent->reason = sqlrun_get(row, 11);
	intent->batch_id = sqlrun_get(row, 12);
	intent->attempts = atoi(sqlrun_get(row, 13));
	intent->has_outcome = outcome && outcome_named(outcome, &intent->outcome);
	intent->code = sqlrun_get(row, 15) ? atoi(sqlrun_get(row, 15)) : 0;
	intent->detail = sqlrun_get(row, 16);
	intent->state = state_of(sqlrun_get(row, 17));
	intent->verify = is_true(row, 18);
	intent->invite = is_true(row, 19);
	intent->superseded = is_true(row, 20);
	intent->until = sqlrun_get_int8(row, 21, 0);
	intent->expires_at = sqlrun_get_int8(row, 22, 0);
	intent->since = sqlrun_get_int8(row, 23, 0);
	intent->due = sqlrun_get_int8(row, 24, 0);
	intent->priority = atoi(sqlrun_get(row, 25));
	intent->requester = atooid(sqlrun_get(row, 26));
}

static void
lane_args(SqlArgs *args, const LaneKey *lane, int limit)
{
	sqlrun_text(args, NameStr(lane->instance));
	sqlrun_text(args, lane->group);
	sqlrun_int4(args, limit, true);
	sqlrun_int8(args, (int64) GetSystemIdentifier());
	sqlrun_int8(args, (int64) MyDatabaseId);
}

static int
run_claim(SqlStatement *statement, const SqlArgs *args, const LaneKey *lane, Intent *claimed)
{
	uint64		n = sqlrun(statement, args);

	for (uint64 i = 0; i < n; i++)
		read_intent(i, lane, &claimed[i]);
	return (int) n;
}

/*
 * Claims up to `limit` intents of a lane that can go in one request: queued ->
 * sending.  Their strings live in the current context.
 */
int
intent_claim(const LaneKey *lane, int limit, Intent *claimed)
{
	SqlArgs		args = {0};

	lane_args(&args, lane, limit);
	return run_claim(&claim, &args, lane, claimed);
}

/* Reads the one that would be claimed first, without claiming it; false: there is none.  Likewise. */
bool
intent_peek(const LaneKey *lane, Intent *head)
{
	SqlArgs		args = {0};

	lane_args(&args, lane, 1);
	return run_claim(&peek, &args, lane, head) > 0;
}

static void
claims_args(SqlArgs *args, IntentClaim *const *claims, int n)
{
	Datum		values[4][INTENT_CLAIMS_AT_ONCE];

	for (int i = 0; i < n; i++)
	{
		values[0][i] = CStringGetTextDatum(NameStr(claims[i]->lane->instance));
		values[1][i] = CStringGetTextDatum(claims[i]->lane->group);
		values[2][i] = Int32GetDatum(claims[i]->priority);
		values[3][i] = Int64GetDatum(claims[i]->behind);
	}
	sqlrun_array(args, values[0], NULL, n, TEXTOID);
	sqlrun_array(args, values[1], NULL, n, TEXTOID);
	sqlrun_array(args, values[2], NULL, n, INT4OID);
	sqlrun_array(args, values[3], NULL, n, INT8OID);
	sqlrun_int8(args, (int64) GetSystemIdentifier());
	sqlrun_int8(args, (int64) MyDatabaseId);
}

static IntentClaim *
claim_of(IntentClaim *const *claims, int n, const char *instance, const char *group)
{
	for (int i = 0; i < n; i++)
		if (strcmp(claims[i]->lane->group, group) == 0 && strcmp(NameStr(claims[i]->lane->instance), instance) == 0)
			return claims[i];
	elog(ERROR, "claimed in group \"%s\", which was not asked for", group);
}

/*
 * Claims the first of each of up to INTENT_CLAIMS_AT_ONCE different lanes, or
 * in each the first of that priority behind that id; likewise.
 */
void
intent_claim_each(IntentClaim *const *claims, int n, bool behind)
{
	SqlArgs		args = {0};
	uint64		found;

	if (n == 0)
		return;
	claims_args(&args, claims, n);
	found = sqlrun(behind ? &claim_next : &claim_heads, &args);
	for (uint64 i = 0; i < found; i++)
	{
		IntentClaim *claimed = claim_of(claims, n, sqlrun_get(i, READ_COLUMNS_NUMBER + 1),
										sqlrun_get(i, READ_COLUMNS_NUMBER + 2));

		read_intent(i, claimed->lane, &claimed->intent);
		claimed->is_claimed = true;
	}
}

/* Claims one that is no addition; likewise. */
int
intent_claim_other(const LaneKey *lane, Intent *claimed)
{
	SqlArgs		args = {0};

	lane_args(&args, lane, 1);
	return run_claim(&claim_other, &args, lane, claimed);
}

/*
 * ---- when something is known
 */

/* What was answered has its effect; what is in doubt or only waited is over. */
#define SUPERSEDED_STATE(state, outcome) \
	"CASE WHEN " state " = 'verifying' AND " outcome " IS DISTINCT FROM 'unknown_result' THEN 'done' ELSE 'cancelled' END"

static SqlStatement settle = {
	"WITH mine AS (SELECT m.id, m.superseded, m.superseded OR EXISTS (SELECT FROM wawp.membership_intent o"
	"  WHERE o.state = 'queued' AND " SAME_PERSON_AND_KIND("o", "m") " OFFSET 0) AS moot"
	" FROM wawp.membership_intent m"
	" WHERE m.id = $1 AND m.state = $2::wawp.state FOR UPDATE OF m SKIP LOCKED),"
	" fate AS (SELECT id, CASE WHEN moot AND $3 = 'queued' THEN 'cancelled'"
	"  WHEN superseded AND $3 IN ('verifying', 'inviting', 'invited', 'pending_approval')"
	"  THEN " SUPERSEDED_STATE("$3", "$4") " ELSE $3 END AS state FROM mine)"
	" UPDATE wawp.membership_intent i SET state = fate.state::wawp.state,"
	" outcome = coalesce($4::wawp.outcome, outcome), code = $5, detail = $6, next_attempt_at = $7,"
	" attempts = attempts - $8, updated_at = clock_timestamp(),"
	" settled_at = CASE WHEN fate.state IN ('done', 'failed', 'cancelled') THEN clock_timestamp() END"
	" FROM fate WHERE i.id = $1 RETURNING i.state::text",
	8, {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/* The same for what is not queued again, and for a state that superseding does not change. */
static SqlStatement settle_for_good = {
	"UPDATE wawp.membership_intent i SET state = $3::wawp.state,"
	" outcome = coalesce($4::wawp.outcome, outcome), code = $5, detail = $6, next_attempt_at = $7,"
	" attempts = attempts - $8, updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT m.id FROM wawp.membership_intent m"
	"  WHERE m.id = $1 AND m.state = $2::wawp.state FOR UPDATE OF m SKIP LOCKED)) RETURNING i.state::text",
	8, {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

static SqlStatement is_still = {
	"SELECT FROM wawp.membership_intent WHERE id = $1 AND state = $2::wawp.state",
	2, {INT8OID, TEXTOID}, NULL
};

static bool
is_settled(IntentState state)
{
	return state == STATE_DONE || state == STATE_FAILED || state == STATE_CANCELLED;
}

/*
 * Changes an intent's state.  False when somebody else has the row locked: try
 * again.  True also when it is no longer in that state or gone (TRUNCATE).
 * change->state becomes what it came to: an intent whose opposite was asked
 * for meanwhile is not followed up.
 */
bool
intent_settle(int64 id, IntentState from, IntentChange *change)
{
	SqlArgs		args = {0};
	SqlArgs		again = {0};

	sqlrun_int8(&args, id);
	sqlrun_text(&args, state_names[from]);
	sqlrun_text(&args, state_names[change->state]);
	sqlrun_text(&args, change->has_outcome ? outcome_info(change->outcome)->name : NULL);
	sqlrun_int4(&args, change->code, change->code != 0);
	sqlrun_text(&args, text_limit_cut(TEXT_DETAIL, change->detail));
	sqlrun_time(&args, change->next_attempt_at);
	sqlrun_int4(&args, change->give_attempt_back ? 1 : 0, true);
	if (sqlrun(is_settled(change->state) ? &settle_for_good : &settle, &args) > 0)
	{
		change->state = state_of(sqlrun_get(0, 1));
		return true;
	}
	sqlrun_int8(&again, id);
	sqlrun_text(&again, state_names[from]);
	return sqlrun(&is_still, &again) == 0;
}

/*
 * ---- when something waits for a sighting
 */

static SqlStatement waiting = {
	"SELECT " READ_COLUMNS " FROM wawp.membership_intent i"
	" WHERE i.state IN ('verifying', 'inviting', 'invited', 'pending_approval')"
	" AND i.instance = $1::name AND i.group_jid = $2 ORDER BY coalesce(i.next_attempt_at, i.updated_at), i.id LIMIT $3"
	" FOR UPDATE SKIP LOCKED",
	3, {TEXTOID, TEXTOID, INT4OID}, NULL
};

static SqlStatement count_waiting = {
	"SELECT count(*) FROM wawp.membership_intent i"
	" WHERE i.state IN ('verifying', 'inviting', 'invited', 'pending_approval')"
	" AND i.instance = $1::name AND i.group_jid = $2",
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * Up to limit people in a lane who wait for a look or an invitation, those
 * first whose look is due first; returns how many.  *some_locked: there are
 * others, whose rows somebody has locked.
 */
int
intent_waiting(const LaneKey *lane, int limit, Intent **out, bool *some_locked)
{
	SqlArgs		args = {0};
	SqlArgs		count = {0};
	uint64		n;

	sqlrun_text(&args, NameStr(lane->instance));
	sqlrun_text(&args, lane->group);
	sqlrun_int4(&args, limit, true);
	n = sqlrun(&waiting, &args);
	*out = palloc(sizeof(Intent) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		read_intent(i, lane, &(*out)[i]);
	*some_locked = false;
	if (n == (uint64) limit)
		return limit;
	sqlrun_text(&count, NameStr(lane->instance));
	sqlrun_text(&count, lane->group);
	sqlrun(&count_waiting, &count);
	*some_locked = sqlrun_get_int8(0, 1, 0) > (int64) n;
	return (int) n;
}

static SqlStatement start_anew = {
	"UPDATE wawp.membership_intent SET updated_at = clock_timestamp(), next_attempt_at = clock_timestamp()"
	" WHERE state IN ('verifying', 'inviting', 'invited', 'pending_approval')"
	" AND updated_at > clock_timestamp() + interval '1 second'",
	0, {0}, NULL
};

/* The clock was set back: who waits has begun to wait now. */
void
intent_start_anew(void)
{
	sqlrun(&start_anew, NULL);
}

static SqlStatement waiting_lanes = {
	"SELECT instance::text, group_jid, min(coalesce(next_attempt_at, updated_at)) FROM wawp.membership_intent"
	" WHERE state IN ('verifying', 'inviting', 'invited', 'pending_approval') AND (instance, group_jid) > ($1::name, $2)"
	" GROUP BY instance, group_jid ORDER BY instance, group_jid LIMIT $3",
	3, {TEXTOID, TEXTOID, INT4OID}, NULL
};

/* Lanes in which somebody waits, in the order of their keys, as IntentLane pointers: up to limit behind that one. */
List *
intent_waiting_lanes(const LaneKey *after, int limit)
{
	SqlArgs		args = {0};
	List	   *list = NIL;
	uint64		n;

	sqlrun_text(&args, NameStr(after->instance));
	sqlrun_text(&args, after->group);
	sqlrun_int4(&args, limit, true);
	n = sqlrun(&waiting_lanes, &args);
	for (uint64 i = 0; i < n; i++)
	{
		IntentLane *lane = palloc0(sizeof(IntentLane));

		namestrcpy(&lane->key.instance, sqlrun_get(i, 1));
		strlcpy(lane->key.group, sqlrun_get(i, 2), sizeof(lane->key.group));
		lane->due = sqlrun_get_int8(i, 3, 0);
		list = lappend(list, lane);
	}
	return list;
}

static SqlStatement postpone = {
	"UPDATE wawp.membership_intent SET next_attempt_at = $2, detail = coalesce($3, detail) WHERE id = $1",
	3, {INT8OID, TIMESTAMPTZOID, TEXTOID}, NULL
};

/*
 * An intent that waits is looked at again later; it keeps its state's beginning.
 * detail: what it waits for, NULL as it was.
 */
void
intent_postpone(const Intent *intent, TimestampTz due, const char *detail)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, intent->id);
	sqlrun_time(&args, due);
	sqlrun_text(&args, text_limit_cut(TEXT_DETAIL, detail));
	sqlrun(&postpone, &args);
}

/* What an invitation under way is told by after a crash: see `recover`. */
static SqlStatement begin_invite = {
	"UPDATE wawp.membership_intent SET state = 'sending', outcome = 'invited', next_attempt_at = NULL,"
	" attempts = attempts + 1, updated_at = clock_timestamp() WHERE id = $1 AND state = 'inviting'",
	1, {INT8OID}, NULL
};

/* inviting -> sending; false when it is no longer there. */
bool
intent_begin_invite(const Intent *intent)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, intent->id);
	return sqlrun(&begin_invite, &args) > 0;
}

static SqlStatement move = {
	"UPDATE wawp.membership_intent i SET group_jid = $2, state = 'queued', attempts = attempts - 1,"
	" detail = 'moved from ' || i.group_jid || ', which is full', updated_at = clock_timestamp()"
	" WHERE id = $1 AND state = 'sending' AND NOT EXISTS (SELECT FROM wawp.membership_intent o"
	"  WHERE o.state = 'queued' AND o.instance = i.instance AND o.group_jid = $2 AND o.jid = i.jid"
	"  AND o.action NOT IN ('promote', 'demote') OFFSET 0)",
	2, {INT8OID, TEXTOID}, NULL
};

/* sending -> queued in another group; false when the person is asked for there already. */
bool
intent_move(const Intent *intent, const char *group)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, intent->id);
	sqlrun_text(&args, group);
	return sqlrun(&move, &args) > 0;
}

static SqlStatement end_superseded = {
	"WITH old AS (SELECT id FROM wawp.membership_intent WHERE superseded"
	"  AND state IN ('verifying', 'inviting', 'invited', 'pending_approval') LIMIT $1 FOR UPDATE SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET state = " SUPERSEDED_STATE("i.state", "i.outcome") "::wawp.state,"
	" detail = 'the opposite was asked for', updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM old)) RETURNING " READ_COLUMNS ", i.instance::text, i.group_jid",
	1, {INT4OID}, NULL
};

/* Finishes, without follow-up, what the opposite of was asked for, so many at most; as Intent pointers. */
List *
intent_end_superseded(int limit)
{
	SqlArgs		args = {0};
	List	   *ended = NIL;
	uint64		n;

	sqlrun_int4(&args, limit, true);
	n = sqlrun(&end_superseded, &args);
	for (uint64 i = 0; i < n; i++)
	{
		Intent	   *intent = palloc(sizeof(Intent));
		LaneKey		lane;

		memset(&lane, 0, sizeof(lane));
		namestrcpy(&lane.instance, sqlrun_get(i, READ_COLUMNS_NUMBER + 1));
		strlcpy(lane.group, sqlrun_get(i, READ_COLUMNS_NUMBER + 2), sizeof(lane.group));
		read_intent(i, &lane, intent);
		ended = lappend(ended, intent);
	}
	return ended;
}

static SqlStatement enqueue_removal = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, instance_id, requester,"
	" requested_by, origin) VALUES ($1, $2, $3, 'remove', $6, $4, $7, $5, 'until')"
	" ON CONFLICT (instance, group_jid, jid, (action IN ('promote', 'demote'))) WHERE state = 'queued' DO NOTHING"
	" RETURNING id",
	7, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID}, NULL
};

/* A membership's time is over; 0 when something else is queued for the person. */
int64
intent_enqueue_removal(const LaneKey *lane, const char *instance_id, const char *jid,
					   Oid requester, const char *requested_by, const char *reason)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, NameStr(lane->instance));
	sqlrun_text(&args, lane->group);
	sqlrun_text(&args, jid);
	sqlrun_text(&args, instance_id);
	sqlrun_text(&args, requested_by);
	sqlrun_text(&args, reason);
	sqlrun_datum(&args, ObjectIdGetDatum(requester));
	return intent_insert(&enqueue_removal, &args) > 0 ? sqlrun_get_int8(0, 1, 0) : 0;
}

static SqlStatement dependents = {
	"SELECT DISTINCT instance::text, group_jid FROM wawp.membership_intent"
	" WHERE after = $1 AND state = 'queued'",
	1, {INT8OID}, NULL
};

static List *
read_lanes(uint64 n)
{
	List	   *list = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		LaneKey    *key = palloc0(sizeof(LaneKey));

		namestrcpy(&key->instance, sqlrun_get(i, 1));
		strlcpy(key->group, sqlrun_get(i, 2), sizeof(key->group));
		list = lappend(list, key);
	}
	return list;
}

/* Lanes of what waits for an intent, as LaneKey pointers. */
List *
intent_dependent_lanes(int64 id)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, id);
	return read_lanes(sqlrun(&dependents, &args));
}

static SqlStatement has_dependents = {
	"SELECT FROM wawp.membership_intent WHERE after IS NOT NULL AND state = 'queued' ORDER BY after LIMIT 1",
	0, {0}, NULL
};

/* Does any queued intent wait for another? */
bool
intent_has_dependents(void)
{
	return sqlrun(&has_dependents, NULL) > 0;
}

static SqlStatement fail_dependents = {
	"WITH lost AS (SELECT d.id FROM wawp.membership_intent d"
	" WHERE d.after IS NOT NULL AND d.state = 'queued' AND coalesce((SELECT p.state IN ('failed', 'cancelled')"
	"  FROM wawp.membership_intent p WHERE p.id = d.after), true)"
	" ORDER BY d.after LIMIT $1 FOR UPDATE OF d SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET state = 'failed', detail = 'the intent it was to follow did not succeed',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp() WHERE i.id = ANY (ARRAY(SELECT id FROM lost))",
	1, {INT4OID}, NULL
};

/*
 * Fails what waits for an intent that did not succeed or is gone, so many at
 * most; those that wait for these at the next call.
 */
uint64
intent_fail_dependents(int limit)
{
	SqlArgs		args = {0};

	sqlrun_int4(&args, limit, true);
	return sqlrun(&fail_dependents, &args);
}

static SqlStatement expire = {
	"WITH late AS (SELECT id FROM wawp.membership_intent WHERE state IN ('queued', 'pending_approval')"
	" AND expires_at IS NOT NULL AND expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"
	", c AS (UPDATE wawp.membership_intent i SET state = 'cancelled', detail = 'expired',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM late)) RETURNING i.*) "
	INSERT_NOTE NOTE_OF("cancelled") ", NULL, NULL FROM c",
	1, {INT4OID}, NULL
};

/* Cancels what was not done in time, so many at most; returns how many. */
int64
intent_expire(int limit)
{
	SqlArgs		args = {0};

	sqlrun_int4(&args, limit, true);
	return (int64) sqlrun(&expire, &args);
}

static SqlStatement next_expiry = {
	"SELECT min(expires_at) FROM wawp.membership_intent"
	" WHERE state IN ('queued', 'pending_approval') AND expires_at IS NOT NULL",
	0, {0}, NULL
};

/* When the next intent expires; 0 when none does. */
TimestampTz
intent_next_expiry(void)
{
	sqlrun(&next_expiry, NULL);
	return sqlrun_get_int8(0, 1, 0);
}

/*
 * ---- when to look again
 */

#define CAN_COME_UP " FROM wawp.membership_intent c" \
	" WHERE c.state = 'queued' AND c.id > 0 AND c.instance = $1::name AND c.group_jid = $2" \
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())" \
	" AND " ITS_TURN \
	" AND " NOBODY_IN_THE_WAY

/* Only where nothing is due is all of the lane looked at. */
static SqlStatement next_due = {
	"SELECT coalesce((SELECT '-infinity'::timestamptz" CAN_COME_UP " AND " IS_DUE
	"  ORDER BY c.priority DESC, c.id LIMIT 1),"
	" (SELECT min(greatest(coalesce(c.not_before, '-infinity'), CASE WHEN " CLOCK_WAS_SET_BACK
	"   THEN '-infinity' ELSE coalesce(c.next_attempt_at, '-infinity') END))" CAN_COME_UP "))",
	2, {TEXTOID, TEXTOID}, NULL
};

static TimestampTz
due_of(SqlStatement *statement, const LaneKey *lane)
{
	SqlArgs		args = {0};
	int64		due;

	sqlrun_text(&args, NameStr(lane->instance));
	sqlrun_text(&args, lane->group);
	sqlrun(statement, &args);
	due = sqlrun_get_int8(0, 1, 0);
	return due == DT_NOBEGIN ? 1 : due;
}

/*
 * When the first of a lane's queued intents is due; 0 when none is queued, or
 * only such as wait for another intent.  Lies in the past when its row is
 * locked.
 */
TimestampTz
intent_next_due(const LaneKey *lane)
{
	return due_of(&next_due, lane);
}

static SqlStatement next_other = {
	"SELECT min(greatest(coalesce(c.not_before, '-infinity'), CASE WHEN " CLOCK_WAS_SET_BACK
	"  THEN '-infinity' ELSE coalesce(c.next_attempt_at, '-infinity') END))"
	" FROM wawp.membership_intent c WHERE c.state = 'queued' AND c.instance = $1::name AND c.group_jid = $2" NO_ADDITION
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())"
	" AND " ITS_TURN " AND " NOBODY_IN_THE_WAY,
	2, {TEXTOID, TEXTOID}, NULL
};

/* The same of those that are no additions. */
TimestampTz
intent_next_other(const LaneKey *lane)
{
	return due_of(&next_other, lane);
}

/* A loose scan: one index probe per lane, however deep they are. */
static SqlStatement lanes = {
	"WITH RECURSIVE l AS ("
	" (SELECT instance, group_jid FROM wawp.membership_intent WHERE state = 'queued' AND id > 0"
	"  AND (instance, group_jid) > ($1::name, $2) ORDER BY instance, group_jid LIMIT 1)"
	" UNION ALL SELECT n.instance, n.group_jid FROM l, LATERAL ("
	"  SELECT i.instance, i.group_jid FROM wawp.membership_intent i WHERE i.state = 'queued' AND i.id > 0"
	"  AND (i.instance, i.group_jid) > (l.instance, l.group_jid)"
	"  ORDER BY i.instance, i.group_jid LIMIT 1) n)"
	" SELECT instance::text, group_jid, EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued'"
	"  AND o.action <> 'add' AND o.instance = l.instance AND o.group_jid = l.group_jid) FROM l LIMIT $3",
	3, {TEXTOID, TEXTOID, INT4OID}, NULL
};

static void
lanes_args(SqlArgs *args, const LaneKey *after, int limit)
{
	sqlrun_text(args, NameStr(after->instance));
	sqlrun_text(args, after->group);
	sqlrun_int4(args, limit, true);
}

/* Lanes that have queued intents, in the order of their keys, as IntentLane pointers: up to limit behind that one. */
List *
intent_lanes(const LaneKey *after, int limit)
{
	SqlArgs		args = {0};
	List	   *list = NIL;
	uint64		n;

	lanes_args(&args, after, limit);
	n = sqlrun(&lanes, &args);
	for (uint64 i = 0; i < n; i++)
	{
		IntentLane *lane = palloc0(sizeof(IntentLane));

		namestrcpy(&lane->key.instance, sqlrun_get(i, 1));
		strlcpy(lane->key.group, sqlrun_get(i, 2), sizeof(lane->key.group));
		lane->has_other = sqlrun_get(i, 3)[0] == 't';
		list = lappend(list, lane);
	}
	return list;
}

/*
 * ---- after a crash, and after a long time
 */

/*
 * What is in doubt is looked at, unless the same was asked for anew since.  An
 * invitation cannot be looked for and is not repeated.
 */
#define DOUBT_ENDS "(doubt.moot OR doubt.is_invite OR crashes + $1 > $2)"
static SqlStatement recover = {
	"WITH doubt AS (SELECT s.id, EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued'"
	"   AND " SAME_PERSON_AND_KIND("o", "s") " OFFSET 0) OR s.superseded AS moot,"
	"  s.action = 'invite' OR coalesce(s.outcome = 'invited', false) AS is_invite"
	"  FROM wawp.membership_intent s WHERE s.state = 'sending' AND s.id <> ALL ($3::bigint[])"
	"  FOR UPDATE OF s SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET crashes = crashes + $1, updated_at = clock_timestamp(),"
	" outcome = 'unknown_result', next_attempt_at = CASE WHEN NOT " DOUBT_ENDS " THEN clock_timestamp() END,"
	" state = CASE WHEN doubt.is_invite THEN 'failed' WHEN doubt.moot THEN 'cancelled' WHEN crashes + $1 > $2 THEN 'failed'"
	"  ELSE 'verifying' END::wawp.state,"
	" detail = CASE WHEN doubt.is_invite THEN 'in doubt when the worker ended; an invitation is not repeated by itself'"
	"  WHEN doubt.moot THEN 'in doubt when the worker ended; asked for anew since'"
	"  WHEN crashes + $1 > $2 THEN 'parked: the worker died again and again while serving it alone'"
	"  ELSE 'in doubt: the worker ended while the request was on its way' END,"
	" settled_at = CASE WHEN " DOUBT_ENDS " THEN clock_timestamp() END"
	" FROM doubt WHERE i.id = ANY (ARRAY(SELECT id FROM doubt)) AND i.id = doubt.id RETURNING i.id",
	3, {INT4OID, INT4OID, TEXTOID}, NULL
};

static SqlStatement count_sending = {
	"SELECT count(*) FROM wawp.membership_intent WHERE state = 'sending' AND id <> ALL ($1::bigint[])",
	1, {TEXTOID}, NULL
};

/*
 * Puts back what was being sent when the last worker ended.  A row is held
 * against only if it was alone: after more than `max_crashes` such ends it is
 * parked.
 *
 * blame: false when the last worker was told to end.  in_flight: ids that this
 * worker is sending itself, as an array's text.  Returns those that were in doubt,
 * likewise; *left tells whether somebody has others locked, so that it is to be
 * called again.
 */
char *
intent_recover(int max_crashes, bool blame, const char *in_flight, bool *left)
{
	StringInfoData ids;
	int64		done;
	SqlArgs		count = {0};
	SqlArgs		args = {0};
	int64		n;

	sqlrun_text(&count, in_flight);
	sqlrun(&count_sending, &count);
	n = sqlrun_get_int8(0, 1, 0);
	sqlrun_int4(&args, blame && n == 1 ? 1 : 0, true);
	sqlrun_int4(&args, max_crashes, true);
	sqlrun_text(&args, in_flight);
	done = n > 0 ? (int64) sqlrun(&recover, &args) : 0;
	*left = done < n;
	initStringInfo(&ids);
	for (int64 i = 0; i < done; i++)
		appendStringInfo(&ids, "%c%s", i == 0 ? '{' : ',', sqlrun_get(i, 1));
	appendStringInfoString(&ids, done == 0 ? "{}" : "}");
	return ids.data;
}

static SqlStatement count_doubts = {
	"SELECT count(*) FROM wawp.membership_intent WHERE id = ANY ($1::bigint[])"
	" AND state NOT IN ('done', 'failed', 'cancelled') AND outcome = 'unknown_result'",
	1, {TEXTOID}, NULL
};

/* Of how many of these it is still not known what became of them. */
int
intent_count_doubts(const char *ids)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, ids);
	sqlrun(&count_doubts, &args);
	return (int) sqlrun_get_int8(0, 1, 0);
}

static SqlStatement orderly_end = {
	"UPDATE wawp.membership_intent SET crashes = crashes - 1 WHERE id = ANY (ARRAY("
	" SELECT id FROM wawp.membership_intent WHERE id = ANY ($1::bigint[]) AND state = 'sending'"
	" AND (SELECT count(*) FROM wawp.membership_intent WHERE state = 'sending') = 1"
	" FOR UPDATE SKIP LOCKED))",
	1, {TEXTOID}, NULL
};

/* A worker that is told to end holds interrupts off, and lock_timeout is one. */
static SqlStatement lock_at_once = {
	"LOCK TABLE wawp.membership_intent IN ROW EXCLUSIVE MODE NOWAIT",
	0, {0}, NULL
};

/* The worker is told to end: what it is sending is not held against the row. */
void
intent_note_orderly_end(const char *in_flight)
{
	SqlArgs		args = {0};

	sqlrun(&lock_at_once, NULL);
	sqlrun_text(&args, in_flight);
	sqlrun(&orderly_end, &args);
}

static SqlStatement sees = {
	"SELECT requester FROM wawp.membership_intent WHERE id = $1",
	1, {INT8OID}, NULL
};

/* The role that asked for an intent; InvalidOid when there is none. */
Oid
intent_requester(int64 id)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, id);
	return sqlrun(&sees, &args) > 0 ? atooid(sqlrun_get(0, 1)) : InvalidOid;
}

static SqlStatement prune = {
	"DELETE FROM wawp.membership_intent WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM wawp.membership_intent WHERE state IN ('done', 'failed', 'cancelled')"
	" AND settled_at < (SELECT clock_timestamp() - $1 * interval '1 minute') LIMIT 1000 FOR UPDATE SKIP LOCKED))",
	1, {INT4OID}, NULL
};

/* Deletes some of what was settled longer ago; returns how many. */
int64
intent_prune(int retention_minutes)
{
	SqlArgs		args = {0};

	sqlrun_int4(&args, retention_minutes, true);
	return (int64) sqlrun(&prune, &args);
}
