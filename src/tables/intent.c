/*-------------------------------------------------------------------------
 *
 * intent.c
 *	  The queue's rows.
 *
 * Owns wawp.membership_intent, except for inserting what SQL requests
 * (queue/enqueue.c), and writes the notes of sessions to wawp.audit_note.  Every
 * change of state goes through intent_settle() or one of the statements beside
 * it, each of which names the state it comes from.
 * The worker by itself reads only rows of this database's home, except for
 * retention; adoption.c adopts the others.
 *
 * The caller has a transaction, is connected to SPI and acts as the extension's
 * owner; a function neither begins nor ends a transaction.  Texts that are read
 * live in SPI's memory, lists in the current context.  Locks: the rows that are
 * changed or claimed.  The worker skips rows that somebody else has locked and
 * tries them again later, so that it never waits for a session.
 *
 * IDENTIFICATION
 *	  src/tables/intent.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/table_update.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "lib/stringinfo.h"
#include "tables/home.h"
#include "tables/intent.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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
	a ".home = " b ".home AND " a ".home <> " HOME_OF_RESTORED_ROWS " AND " \
	a ".instance = " b ".instance AND " a ".group_jid = " b ".group_jid AND " a ".jid = " b ".jid" \
	" AND (" a ".action IN ('promote', 'demote')) = (" b ".action IN ('promote', 'demote'))"

/*
 * True if i's requester has the same queued for the same time.  No index serves
 * IS NOT DISTINCT FROM, so that it would read all their plans for the person.
 */
#define QUEUED_AGAIN_WHERE(i, when) "EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued'" \
	" AND " SAME_PERSON_AND_KIND("o", i) " AND o.requester = " i ".requester AND o.not_before " when " OFFSET 0)"
#define IS_QUEUED_AGAIN(i) "CASE WHEN " i ".not_before IS NULL THEN " QUEUED_AGAIN_WHERE(i, "IS NULL") \
	" ELSE " QUEUED_AGAIN_WHERE(i, "= " i ".not_before") " END"

/* Return the key of a lane; group "": of the whole instance.  Its padding is 0, so that it can be hashed. */
LaneKey
lane_key(const char *instance, const char *group)
{
	LaneKey		key;

	memset(&key, 0, sizeof(key));
	namestrcpy(&key.instance, instance);
	strlcpy(key.group, group, sizeof(key.group));
	return key;
}

/* Return the label of an action. */
const char *
intent_action_name(IntentAction action)
{
	return action_names[action];
}

/* Return the label of a state. */
const char *
intent_state_name(IntentState state)
{
	return state_names[state];
}

/* Return the operation of the API that an action needs. */
WawpOperation
intent_operation(IntentAction action)
{
	WawpOperation operation;

	if (!outcome_operation(action_names[action], &operation))
		elog(ERROR, "action \"%s\" is no operation of the API", action_names[action]);
	return operation;
}

/* Return the action with that label. */
static IntentAction
intent_action_named(const char *name)
{
	for (size_t i = 0; i < lengthof(action_names); i++)
		if (strcmp(action_names[i], name) == 0)
			return (IntentAction) i;
	elog(ERROR, "unknown action \"%s\"", name);
}

/*
 * ---- requesting
 */

/* So many rows the extension itself inserts, which the trigger has not seen yet. */
static int	own_inserts;

/*
 * Run a statement that inserts complete intents, which the trigger takes as they
 * are.  The trigger knows them by marks in the process, which SQL cannot set.
 */
uint64
intent_insert_rows(SqlStatement *statement, const SqlArgs *args, int rows)
{
	uint64		n;

	own_inserts = rows;
	PG_TRY();
	{
		n = spi_run(statement, args);
	}
	PG_FINALLY();
	{
		own_inserts = 0;
	}
	PG_END_TRY();
	return n;
}

/* Run a statement that inserts one intent, likewise. */
uint64
intent_insert(SqlStatement *statement, const SqlArgs *args)
{
	return intent_insert_rows(statement, args, 1);
}

/* True once for each row of intent_insert_rows(); takes its mark back. */
bool
intent_take_insert_mark(void)
{
	bool		is_own = own_inserts > 0;

	if (is_own)
		own_inserts--;
	return is_own;
}

/* The requester's opposite, for a time that the caller adds. */
#define QUEUED_OPPOSITE \
	"SELECT id FROM wawp.membership_intent WHERE state = 'queued' AND instance = $1 AND group_jid = $2 AND jid = $3" \
	" AND (action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote')) AND action::text <> $4" \
	" AND requester = $5 AND home = $7 AND home <> " HOME_OF_RESTORED_ROWS " AND "

/* For the same time. */
#define QUEUED_OPPOSITES \
	QUEUED_OPPOSITE "not_before = $6 UNION ALL " QUEUED_OPPOSITE "$6 IS NULL AND not_before IS NULL"
#define OPPOSITE_TYPES 7, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, TIMESTAMPTZOID, UUIDOID}

/* Cancels the requester's opposite for the same time, while it is queued. */
static SqlStatement cancel_opposite = {
	"UPDATE wawp.membership_intent SET state = 'cancelled',"
	" detail = CASE WHEN action IN ('add', 'invite') AND $4 IN ('add', 'invite') THEN 'the same was asked for in another way'"
	"  ELSE 'the opposite was asked for' END,"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE state = 'queued' AND id = ANY (ARRAY(" QUEUED_OPPOSITES ")) RETURNING id",
	OPPOSITE_TYPES, NULL
};

/* Finds it, where it matters whether the transaction's snapshot shows it. */
static SqlStatement find_opposite = {QUEUED_OPPOSITES, OPPOSITE_TYPES, NULL};

/* The requester's opposites in these states.  An addition and an invitation want the same; the later one waits. */
#define OPPOSITES_IN(states) \
	" WHERE state IN " states \
	" AND instance = $1 AND group_jid = $2 AND jid = $3" \
	" AND (action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote')) AND action::text <> $4" \
	" AND NOT (action IN ('add', 'invite') AND $4 IN ('add', 'invite')) AND requester = $5 AND NOT superseded" \
	" AND home = $6"

/* Marks the requester's opposite that is under way or waits for verification, so that it ends without follow-up. */
static SqlStatement supersede = {
	"UPDATE wawp.membership_intent SET superseded = true, updated_at = clock_timestamp()"
	OPPOSITES_IN(STATES_UNDER_WAY),
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, UUIDOID}, NULL
};

/* One intent wants the opposite of the other; an addition and an invitation want the same. */
#define OPPOSED(a, b) \
	SAME_PERSON_AND_KIND(a, b) " AND " a ".requester = " b ".requester AND " a ".action <> " b ".action" \
	" AND NOT (" a ".action IN ('add', 'invite') AND " b ".action IN ('add', 'invite'))"

/*
 * Takes the mark back from what intents that are cancelled had superseded, as far as
 * it has not ended and nothing else supersedes it: it is wanted again.
 */
static SqlStatement reinstate = {
	"UPDATE wawp.membership_intent i SET superseded = false, updated_at = clock_timestamp() WHERE i.superseded AND i.id = ANY (ARRAY("
	"SELECT s.id FROM unnest($1) u (id), LATERAL (SELECT * FROM wawp.membership_intent WHERE id = u.id OFFSET 0) c,"
	" LATERAL (SELECT b.* FROM wawp.membership_intent b WHERE b.state IN " STATES_UNDER_WAY " AND b.superseded AND " OPPOSED("b", "c") " OFFSET 0) s"
	" WHERE NOT EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued' AND " OPPOSED("o", "s")
	"  AND (o.not_before IS NULL OR o.not_before <= clock_timestamp()) OFFSET 0)"
	" AND NOT EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state IN " STATES_UNDER_WAY " AND " OPPOSED("o", "s")
	"  AND NOT o.superseded OFFSET 0)))",
	1, {INT8ARRAYOID}, NULL
};

/* Do so for the n intents whose ids the last statement has returned. */
static void
intent_reinstate(uint64 n)
{
	Datum	   *ids;
	SqlArgs		args = {0};

	if (n == 0)
		return;
	ids = palloc(sizeof(Datum) * n);
	for (uint64 i = 0; i < n; i++)
		ids[i] = Int64GetDatum(spi_get_int8(i, 1, 0));
	spi_add_array(&args, ids, NULL, (int) n, INT8OID);
	(void) spi_run_latest(&reinstate, &args);
	pfree(ids);
}

/*
 * True if intent_make_room() may have something to do, which is rare: two index
 * probes cost less than its statements, which cost more than the new row.  What is
 * committed counts, also where the transaction's snapshot is older.
 */
bool
intent_is_in_the_way(const char *instance, const char *group, const char *jid)
{
	Datum		person = CStringGetTextDatum(jid);
	Datum		in_group = CStringGetTextDatum(group);
	Datum		of_instance = CStringGetTextDatum(instance);
	const IndexProbe queued_or_busy[] = {
		{"membership_intent", "membership_intent_one_queued", 3, {person, in_group, of_instance}},
		{"membership_intent", "membership_intent_busy", 4, {home_datum(), of_instance, in_group, person}}
	};

	return index_probe_committed(queued_or_busy, lengthof(queued_or_busy)) != PROBE_NONE;
}

/*
 * ---- notes of sessions, for the audit log
 */

/* The columns of a note about an intent; a statement adds the requester's role and session. */
#define NOTE_OF(kind) " SELECT '" kind "', c.instance, c.instance_id, c.group_jid, c.jid, c.id, c.batch_id, c.action," \
	" " TEXT_CAP_REASON("c.reason")

static SqlStatement note = {
	INSERT_NOTE " VALUES ($1::wawp.audit_kind, $2::name, NULL, nullif($3, ''), $4, NULL, NULL, NULL, $5,"
	" $6::name, $7)",
	7, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
};

/* Append the requester's role and session to *args. */
static void
intent_bind_requester(SqlArgs *args, const IntentRequester *requester)
{
	spi_add_text(args, requester->role);
	spi_add_datum(args, requester->from);
}

/*
 * Note a decision about an instance (jid NULL) or a person (instance NULL);
 * group "": about all groups.
 */
void
intent_note(const char *kind, const char *instance, const char *group, const char *jid, const char *reason,
			const IntentRequester *requester)
{
	SqlArgs		args = {0};

	spi_add_text(&args, kind);
	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_text(&args, jid);
	spi_add_text(&args, reason);
	intent_bind_requester(&args, requester);
	spi_run(&note, &args);
}

static SqlStatement note_cancelled = {
	INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM wawp.membership_intent c WHERE c.id = $1",
	3, {INT8OID, TEXTOID, JSONBOID}, NULL
};

/* The requester's same wish with another account, for a time that the caller adds. */
#define QUEUED_WITH_OTHER_ACCOUNT \
	"SELECT id FROM wawp.membership_intent WHERE state = 'queued' AND instance = $1 AND group_jid = $2 AND jid = $3" \
	" AND (action IN ('promote', 'demote')) = ($7 IN ('promote', 'demote')) AND action = $7::wawp.action" \
	" AND requester = $6 AND home = $9 AND home <> " HOME_OF_RESTORED_ROWS \
	" AND instance_id <> wawp._account($1::name) AND "

static SqlStatement cancel_of_other_account = {
	"WITH c AS (UPDATE wawp.membership_intent SET state = 'cancelled',"
	" detail = 'asked for again with account ' || wawp._account($1::name),"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE state = 'queued' AND id = ANY (ARRAY("
	QUEUED_WITH_OTHER_ACCOUNT "not_before = $8 UNION ALL "
	QUEUED_WITH_OTHER_ACCOUNT "$8 IS NULL AND not_before IS NULL)) RETURNING *) "
	INSERT_NOTE NOTE_OF("cancelled") ", $4::name, $5 FROM c",
	9, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, OIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID}, NULL
};

/*
 * Cancel the same wish of a requester with an account that the instance does not
 * have any more: it is asked for again.  Their other wishes for the person wait
 * for that account.
 */
static void
intent_cancel_of_other_account(const char *instance, const char *group, const char *jid, IntentAction action,
							   TimestampTz not_before, const IntentRequester *requester)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	spi_add_text(&args, group);
	spi_add_text(&args, jid);
	intent_bind_requester(&args, requester);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	spi_add_text(&args, action_names[action]);
	spi_add_time(&args, not_before);
	home_bind(&args);
	(void) spi_run_latest(&cancel_of_other_account, &args);
}

/*
 * Reads what was asked for, as far as the worker does not change it, which `after` may
 * be; a membership's end is asked for by the worker.
 */
static SqlStatement read_asked = {
	"SELECT ROW(i.priority, i.expires_at, i.until, i.verify, i.invite, i.batch_id)::text"
	" FROM wawp.membership_intent i WHERE i.id = $1 AND i.origin <> 'until'",
	1, {INT8OID}, NULL
};

/* Raises that another session has asked for something since the transaction's snapshot. */
static void
raise_asked_since(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update"),
			 errdetail("Another session has requested a membership of the same person since the transaction began."),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * Raise if another session has asked for an intent, or asked for it in another
 * way, since the snapshot that the transaction keeps: it may have done so for rows that
 * this transaction does not see.
 */
void
intent_require_seen(int64 id)
{
	SqlArgs		args = {0};
	const char *seen = NULL;

	if (!IsolationUsesXactSnapshot())
		return;
	spi_add_int8(&args, id);
	if (spi_run(&read_asked, &args) > 0)
		seen = spi_get_text(0, 1);
	if (spi_run_seeing(&read_asked, &args, GetLatestSnapshot()) > 0 && (seen == NULL || strcmp(seen, spi_get_text(0, 1)) != 0))
		raise_asked_since();
}

/*
 * Cancels the requester's opposite; true if there was one, whose id is the result.
 * In a transaction that keeps a snapshot it is the one that was looked at first.
 */
static bool
cancel_seen_opposite(const SqlArgs *args)
{
	int64		seen = 0;

	if (IsolationUsesXactSnapshot() && spi_run_seeing(&find_opposite, args, GetLatestSnapshot()) > 0)
	{
		seen = spi_get_int8(0, 1, 0);
		intent_require_seen(seen);
	}
	if (spi_run_latest(&cancel_opposite, args) == 0)
		return false;
	if (IsolationUsesXactSnapshot() && spi_get_int8(0, 1, 0) != seen)
		raise_asked_since();
	return true;
}

/*
 * Make room for a new intent: cancel the requester's same wish with an account
 * that the instance had, and their opposite for the same time (not_before; 0: at
 * once), and supersede the one under way, if that time has come and the new one
 * does not wait for another intent.
 */
void
intent_make_room(const char *instance, const char *group, const char *jid, IntentAction action,
				 TimestampTz not_before, bool waits, const IntentRequester *requester)
{
	SqlArgs		busy = {0};
	SqlArgs		args;
	SqlArgs		noted = {0};

	intent_cancel_of_other_account(instance, group, jid, action, not_before, requester);
	spi_add_text(&busy, instance);
	spi_add_text(&busy, group);
	spi_add_text(&busy, jid);
	spi_add_text(&busy, action_names[action]);
	spi_add_datum(&busy, ObjectIdGetDatum(requester->roleid));
	args = busy;
	spi_add_time(&args, not_before);
	home_bind(&args);
	home_bind(&busy);
	if (cancel_seen_opposite(&args))
	{
		spi_add_int8(&noted, spi_get_int8(0, 1, 0));
		intent_reinstate(1);
		intent_bind_requester(&noted, requester);
		spi_run(&note_cancelled, &noted);
	}
	if (!waits && not_before <= GetCurrentTimestamp())
		(void) spi_run_latest(&supersede, &busy);
}

/* True if role $4 may change an intent: its own, and those of roles it is a member of. */
#define IS_OWN "pg_has_role($4, requester, 'MEMBER')"
#define CANCEL "UPDATE wawp.membership_intent SET state = 'cancelled', detail = 'cancelled by ' || $2," \
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()" \
	" WHERE (state IN ('queued', 'inviting', 'pending_approval')" \
	/* what waits for an account that the instance does not have any more is served by nobody */ \
	" OR state IN " STATES_WAITING " AND instance_id IS DISTINCT FROM wawp._account(instance::name))" \
	" AND " IS_OWN

static SqlStatement cancel_one = {
	"WITH c AS (" CANCEL " AND id = $1 RETURNING *) " INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM c RETURNING intent_id",
	4, {INT8OID, TEXTOID, JSONBOID, OIDOID}, NULL
};

static SqlStatement cancel_batch = {
	"WITH c AS (" CANCEL " AND batch_id = $1 RETURNING *) " INSERT_NOTE NOTE_OF("cancelled") ", $2::name, $3 FROM c RETURNING intent_id",
	4, {TEXTOID, TEXTOID, JSONBOID, OIDOID}, NULL
};

#define MAY_HAVE_INVITED "action IN ('add', 'invite') AND outcome = 'unknown_result'"

static SqlStatement requeue = {
	"WITH c AS (UPDATE wawp.membership_intent i SET state = 'queued', attempts = 0, crashes = 0, next_attempt_at = NULL,"
	" outcome = NULL, code = NULL, detail = NULL,"
	" settled_at = NULL, superseded = false, updated_at = clock_timestamp(),"
	/* an invitation that may have been sent is asked for anew, after what is in doubt, though by another clock */
	" requested_from = " INTENT_ASKED_AGAIN("CASE WHEN " MAY_HAVE_INVITED
												 " THEN coalesce(requested_from, '{}') - '" KEY_TAKEN_OVER "' || '{\"" KEY_MAY_HAVE_INVITED "\": true}'"
												 " ELSE requested_from - '" KEY_MAY_HAVE_INVITED "' END") ","
	" not_before = CASE WHEN " MAY_HAVE_INVITED " AND greatest(created_at, not_before) < $5"
	"  THEN greatest(clock_timestamp(), $5) ELSE not_before END"
	" WHERE id = $1 AND state = 'failed' AND strpos(jid, '@') > 0 AND " IS_OWN
	" AND NOT " IS_QUEUED_AGAIN("i")
	" RETURNING *) " INSERT_NOTE NOTE_OF("retried") ", $2::name, $3 FROM c",
	5, {INT8OID, TEXTOID, JSONBOID, OIDOID, TIMESTAMPTZOID}, NULL
};

/*
 * Marks what an intent that is queued again wants the opposite of, as
 * intent_make_room() does; the end of a membership wants nothing new.
 */
static SqlStatement supersede_by_retried = {
	"UPDATE wawp.membership_intent i SET superseded = true, updated_at = clock_timestamp() WHERE i.id = ANY (ARRAY("
	"SELECT s.id FROM wawp.membership_intent c, LATERAL (SELECT b.id FROM wawp.membership_intent b"
	"  WHERE b.state IN " STATES_UNDER_WAY " AND NOT b.superseded AND " OPPOSED("b", "c") " OFFSET 0) s"
	" WHERE c.id = $1 AND c.origin IS DISTINCT FROM 'until' AND c.after IS NULL"
	" AND (c.not_before IS NULL OR c.not_before <= clock_timestamp())))",
	1, {INT8OID}, NULL
};

/* Cancel an intent of the requester's; false if there is nothing to cancel. */
bool
intent_cancel(int64 id, const IntentRequester *requester)
{
	SqlArgs		args = {0};
	uint64		n;

	spi_add_int8(&args, id);
	intent_bind_requester(&args, requester);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	n = spi_run_latest(&cancel_one, &args);
	intent_reinstate(n);
	return n > 0;
}

/* Cancel a batch of the requester's; return how many intents that were. */
int64
intent_cancel_batch(const char *batch, const IntentRequester *requester)
{
	SqlArgs		args = {0};
	uint64		n;

	spi_add_text(&args, batch);
	intent_bind_requester(&args, requester);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	n = spi_run_latest(&cancel_batch, &args);
	intent_reinstate(n);
	return (int64) n;
}

/*
 * Change an intent failed -> queued; false if it has not failed, or the same is
 * queued already.  One that was asked for before `doubtful` (0: none) is asked
 * for at this time.
 */
bool
intent_requeue(int64 id, TimestampTz doubtful, const IntentRequester *requester)
{
	SqlArgs		args = {0};
	SqlArgs		queued = {0};

	spi_add_int8(&args, id);
	intent_bind_requester(&args, requester);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	spi_add_time(&args, doubtful);
	if (spi_run_latest(&requeue, &args) == 0)
		return false;
	spi_add_int8(&queued, id);
	(void) spi_run_latest(&supersede_by_retried, &queued);
	return true;
}

/*
 * ---- claiming
 */

/*
 * The statements below run for as long as the process lives, by plans that may
 * have been made, and with statistics that may have been taken, while the queue
 * was empty; it then grows to millions of rows.  So they leave the planner only
 * the right index: a row is found by "id = ANY (ARRAY (...))", where a join of
 * equal cost would scan; a lookup is a scalar query, which is never hashed;
 * OFFSET 0 keeps an EXISTS from becoming a join; and the order is one that only
 * one index has.
 */

/*
 * The intent was asked for with the account that the instance has now.  Another
 * account does not serve it; indexes have the account before a lane's order, so
 * that such rows cost a claim nothing.
 */
#define OF_ITS_ACCOUNT(alias, instance) alias ".instance_id = wawp._account(" instance "::name)"

/*
 * No intent b of the same person, home and account is under way or waits for
 * verification.  A removal does not wait for a person to join or to be approved.
 */
#define NOBODY_IN_THE_WAY \
	"NOT EXISTS (SELECT FROM wawp.membership_intent b" \
	" WHERE b.state IN " STATES_UNDER_WAY \
	" AND b.home = c.home" \
	" AND b.instance = c.instance AND b.group_jid = c.group_jid AND b.jid = c.jid" \
	" AND (b.state = 'sending' OR NOT b.superseded)" \
	" AND b.instance_id = c.instance_id" \
	" AND (c.action <> 'remove' OR b.state IN ('sending', 'verifying')) OFFSET 0)"

/*
 * Intent p has ended as done, but its opposite was asked for before anybody looked
 * whether it came to anything: that is not enough for a removal to follow it.
 */
#define DONE_UNSEEN(follower) \
	"coalesce(" follower ".action = 'remove' AND p.superseded AND p.verify AND p.outcome = 'accepted', false)"

/* The intent that this one is to follow, if any, is done. */
#define TURN_OF(alias) "(" alias ".after IS NULL" \
	" OR (SELECT p.state = 'done' AND NOT " DONE_UNSEEN(alias) " FROM wawp.membership_intent p WHERE p.id = " alias ".after))"
#define ITS_TURN TURN_OF("c")

#define READ_COLUMNS \
	"i.id, i.jid, i.action::text, i.instance_id, i.requested_by, i.requested_from ->> 'login'," \
	" i.requested_from ->> 'actor', i.requested_from ->> 'application', i.requested_from ->> 'client'," \
	" i.origin, " TEXT_CAP_REASON("i.reason") ", " TEXT_CAP_BATCH_ID("i.batch_id") ", i.attempts, i.outcome::text, i.code, i.detail, i.state::text, i.verify," \
	" i.invite, i.superseded, i.until, i.expires_at, i.updated_at, i.next_attempt_at, i.priority, i.requester," \
	" coalesce(i.requested_from ? '" KEY_TAKEN_OVER "', false)," \
	" coalesce(i.requested_from ? '" KEY_TAKEN_OVER "' AND i.requested_from -> '" KEY_TAKEN_OVER "' = to_jsonb(extract(epoch FROM i.updated_at)), false)," \
	" greatest(" INTENT_ASKED_AT("i") ", i.not_before)"

/* Columns that a statement reads in addition come after these. */
#define READ_COLUMNS_NUMBER 29

/* Columns of a claim, after those: HAS_RIVALS, where the row is now and, of claims in several lanes, instance and group. */
#define CLAIM_HAS_RIVALS (READ_COLUMNS_NUMBER + 1)
#define CLAIM_PLACE (READ_COLUMNS_NUMBER + 2)
#define CLAIM_INSTANCE (READ_COLUMNS_NUMBER + 3)
#define CLAIM_GROUP (READ_COLUMNS_NUMBER + 4)

/* The row was changed in the future, so the time it waits for may be long past. */
#define CLOCK_WAS_SET_BACK "c.updated_at > clock_timestamp() + interval '1 second'"

/*
 * A plan is kept apart in a lane's index, where no claim sees it, until
 * intent_arrive() has changed it after its time has come.
 */
#define HAS_ARRIVED "NOT coalesce(c.not_before > c.updated_at, false)"

#define IS_DUE \
	"(c.not_before IS NULL OR c.not_before <= clock_timestamp())" \
	" AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp() OR " CLOCK_WAS_SET_BACK ")"

/*
 * True if a table that is usually empty has a row at all, which a statement reads
 * once; what is read of it for each lane or row comes behind an AND.
 */
#define HAS_ANY(table) "(SELECT EXISTS (SELECT FROM " table " OFFSET 0))"

/* The holds of instance and group are read one by one: each is one row of the index. */
#define IS_HELD(instance, where) "(" HAS_ANY("wawp.hold") " AND EXISTS (SELECT FROM wawp.hold h" \
	" WHERE h.instance = " instance "::name AND " where " AND (h.until IS NULL OR h.until > clock_timestamp())))"

/* A group that is held because it is full, which a pause is not, takes nobody, but lets everybody go. */
#define IS_FOR_FULL "(h.reason = 'group_full' AND h.until IS NOT NULL)"
#define GROUP_TAKES(instance, group_jid) "(c.action NOT IN ('add', 'invite')" \
	" OR NOT " IS_HELD(instance, "h.group_jid = " group_jid " AND " IS_FOR_FULL) ")"
/* Neither that nor a pause keeps c from going; one look at the group's hold for both. */
#define GROUP_LETS_GO(instance, group_jid) "NOT (" HAS_ANY("wawp.hold") " AND coalesce((" \
	"SELECT CASE WHEN " IS_FOR_FULL " THEN 1 ELSE 2 END FROM wawp.hold h WHERE h.instance = " instance "::name" \
	" AND h.group_jid = " group_jid " AND (h.until IS NULL OR h.until > clock_timestamp())), 0)" \
	" > CASE WHEN c.action IN ('add', 'invite') THEN 0 ELSE 1 END)"

/* The requester's own token was refused, or it has none.  The holds of an instance are read once for a lane. */
#define REQUESTER_IS_HELD(requester, instance) \
	"(" HAS_ANY("wawp.requester_hold") " AND " requester " = ANY (ARRAY(SELECT r.requester FROM wawp.requester_hold r" \
	" WHERE r.instance = " instance "::name AND r.until > clock_timestamp())))"

/*
 * The head of a lane and, for one request, those behind it with the same action
 * and requester.  A person who is under way already is skipped.
 *
 * Holds are checked here as well: a request made after a wawp_pause() must not
 * leave because the worker had read the holds before.
 */
#define UNLOCKED_HEAD(instance, group_jid, which, most, home) " FROM wawp.membership_intent c" \
	" WHERE c.state = 'queued' AND c.home = " home " AND c.instance = " instance " AND c.group_jid = " group_jid which \
	" AND " HAS_ARRIVED " AND " IS_DUE \
	" AND " OF_ITS_ACCOUNT("c", instance) \
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())" \
	" AND NOT " IS_HELD(instance, "h.group_jid IS NULL") \
	" AND " GROUP_LETS_GO(instance, group_jid) \
	" AND NOT " REQUESTER_IS_HELD("c.requester", instance) \
	" AND " ITS_TURN \
	" AND " NOBODY_IN_THE_WAY \
	" ORDER BY c.priority DESC, c.id LIMIT " most

#define HEAD(instance, group_jid, which, most, home) \
	UNLOCKED_HEAD(instance, group_jid, which, most, home) " FOR UPDATE SKIP LOCKED"

#define HEAD_OF_LANE(which) HEAD("$1", "$2", which, "$3", "$4")

/* The heads of several lanes, one of each. */
#define HEADS_OF_LANES(which) "SELECT h.place FROM unnest($1, $2, $3, $4, $6) l (instance, group_jid, priority, id, upto)," \
	" LATERAL (SELECT c.ctid AS place" HEAD("l.instance", "l.group_jid", which, "1", "$5") ") h"

/* The places of the same, whoever has locked them, the numbers of their lanes, from 1, and their ids. */
#define PLACES_OF_HEADS(which) "SELECT h.place, l.n, h.id FROM unnest($1, $2, $3, $4, $6)" \
	" WITH ORDINALITY l (instance, group_jid, priority, id, upto, n)," \
	" LATERAL (SELECT c.ctid AS place, c.id" UNLOCKED_HEAD("l.instance", "l.group_jid", which, "1", "$5") ") h"

/* Conditions that choose the index by which a lane is read: of all that is queued, or of what is no addition. */
#define ANY_ACTION " AND c.id > 0"
#define NO_ADDITION " AND c.action <> 'add'"

/*
 * True if the requester of i may want something else of the same person, too:
 * they have something queued for another time or, if i is for a certain time or
 * follows another intent, something under way.  Without such plans it costs a look into an empty index.
 */
#define HAS_RIVALS \
	"CASE WHEN i.not_before IS NULL AND i.after IS NULL THEN EXISTS (SELECT FROM wawp.membership_intent p" \
	"  WHERE p.state = 'queued' AND p.not_before IS NOT NULL" \
	"  AND p.home = i.home AND p.jid = i.jid AND p.group_jid = i.group_jid AND p.instance = i.instance AND p.requester = i.requester OFFSET 0)" \
	" ELSE EXISTS (SELECT FROM wawp.membership_intent p WHERE p.state = 'queued' AND " SAME_PERSON_AND_KIND("p", "i") \
	"  AND p.requester = i.requester AND p.id <> i.id OFFSET 0)" \
	" OR EXISTS (SELECT FROM wawp.membership_intent b WHERE b.state IN " STATES_WAITING \
	"  AND " SAME_PERSON_AND_KIND("b", "i") " AND b.requester = i.requester AND NOT b.superseded OFFSET 0) END"

/* A row is known by its place: it is locked there, and looked up by its id once less. */
#define CLAIM(places) "UPDATE wawp.membership_intent i SET state = 'sending', attempts = attempts + 1," \
	" next_attempt_at = NULL, updated_at = clock_timestamp()" \
	" WHERE i.ctid = ANY (ARRAY(" places "))" \
	" RETURNING " READ_COLUMNS ", " HAS_RIVALS ", i.ctid"

/* The head of a lane, and of those behind it the ones that can go in the same request. */
#define WITH_CHOSEN_OF_LANE(which) \
	"WITH head AS MATERIALIZED (SELECT c.id, c.ctid AS place, c.action, c.requester" HEAD_OF_LANE(which) ")," \
	" chosen AS MATERIALIZED (" \
	" SELECT id, place FROM head WHERE (action, requester) =" \
	"  (SELECT action, requester FROM head LIMIT 1)) "

static SqlStatement claim = {
	WITH_CHOSEN_OF_LANE(ANY_ACTION) CLAIM("SELECT place FROM chosen"),
	4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL
};

/* Those behind the last one claimed. */
#define BEHIND " AND c.priority = $5 AND c.id > $6"

static SqlStatement claim_behind = {
	WITH_CHOSEN_OF_LANE(ANY_ACTION BEHIND) CLAIM("SELECT place FROM chosen"),
	6, {TEXTOID, TEXTOID, INT4OID, UUIDOID, INT4OID, INT8OID}, NULL
};

/* The first that is no addition, while additions have to wait for the pace. */
static SqlStatement claim_other = {
	CLAIM("SELECT c.ctid" HEAD_OF_LANE(NO_ADDITION)),
	4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL
};

/* One of each lane, without others for the same request.  One statement costs much less than one for each lane. */
static SqlStatement claim_heads = {
	CLAIM(HEADS_OF_LANES(ANY_ACTION)) ", i.instance::text, i.group_jid",
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

/*
 * The first behind the last one claimed.  While an old snapshot is open, the
 * dead versions of all that was claimed lie before the lane's head.  A scan
 * compares all that fits with the rest of its page before it returns the first
 * row, which costs more than all else if no last id ends it.
 */
#define NEXT_IN_LANE ANY_ACTION " AND c.priority = l.priority AND c.id > l.id AND c.id <= l.upto"
static SqlStatement claim_next = {
	CLAIM(HEADS_OF_LANES(NEXT_IN_LANE))
	", i.instance::text, i.group_jid",
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

/* Likewise with a lower priority than that one's. */
#define BELOW_IN_LANE ANY_ACTION " AND c.priority < l.priority"
static SqlStatement claim_below = {
	CLAIM(HEADS_OF_LANES(BELOW_IN_LANE)) ", i.instance::text, i.group_jid",
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

/* The same searches for intents that are claimed at their places. */
static SqlStatement find_heads = {
	PLACES_OF_HEADS(ANY_ACTION),
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

static SqlStatement find_next = {
	PLACES_OF_HEADS(NEXT_IN_LANE),
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

static SqlStatement find_below = {
	PLACES_OF_HEADS(BELOW_IN_LANE),
	6, {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, UUIDOID, INT8ARRAYOID}, NULL
};

/* The rows of a claim, which are not changed: the first of the lane, or those behind the last one claimed. */
#define PEEK(which) \
	WITH_CHOSEN_OF_LANE(which) "SELECT " READ_COLUMNS " FROM wawp.membership_intent i" \
	" WHERE i.id = ANY (ARRAY(SELECT id FROM chosen))"

static SqlStatement peek = {
	PEEK(ANY_ACTION),
	4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL
};

static SqlStatement peek_next = {
	PEEK(ANY_ACTION BEHIND),
	6, {TEXTOID, TEXTOID, INT4OID, UUIDOID, INT4OID, INT8OID}, NULL
};

/* Return the state with that label. */
static IntentState
intent_state_named(const char *name)
{
	for (size_t i = 0; i < lengthof(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (IntentState) i;
	elog(ERROR, "unknown state \"%s\"", name);
}

/* Write a row of READ_COLUMNS to *intent, whose texts live in SPI's memory. */
static void
intent_of_row(uint64 row, const LaneKey *lane, Intent *intent)
{
	const char *jid = spi_get_text(row, 2);
	const char *outcome = spi_get_text(row, 14);

	memset(intent, 0, sizeof(*intent));
	intent->id = spi_get_int8(row, 1, 0);
	intent->lane = *lane;
	intent->jid = jid_parse(jid, strlen(jid));
	intent->action = intent_action_named(spi_get_text(row, 3));
	intent->instance_id = spi_get_text(row, 4);
	intent->requested_by = spi_get_text(row, 5);
	intent->login_role = spi_get_text(row, 6);
	intent->actor = spi_get_text(row, 7);
	intent->application_name = spi_get_text(row, 8);
	intent->client_addr = spi_get_text(row, 9);
	intent->origin = spi_get_text(row, 10);
	intent->reason = spi_get_text(row, 11);
	intent->batch_id = spi_get_text(row, 12);
	intent->attempts = spi_get_int4(row, 13);
	intent->has_outcome = outcome && outcome_named(outcome, &intent->outcome);
	intent->code = spi_get_int4(row, 15);
	intent->detail = spi_get_text(row, 16);
	intent->state = intent_state_named(spi_get_text(row, 17));
	intent->verify = spi_get_bool(row, 18);
	intent->invite = spi_get_bool(row, 19);
	intent->superseded = spi_get_bool(row, 20);
	intent->until = spi_get_time(row, 21);
	intent->expires_at = spi_get_time(row, 22);
	intent->since = spi_get_time(row, 23);
	intent->due = spi_get_time(row, 24);
	intent->priority = spi_get_int4(row, 25);
	intent->requester = spi_get_oid(row, 26);
	intent->was_taken_over = spi_get_bool(row, 27);
	intent->is_as_taken_over = spi_get_bool(row, 28);
	intent->wanted_at = spi_get_time(row, 29);
}

/* The number of times that this process has queued an intent again; see intent_requeues(). */
static uint64 requeues = 1;

/*
 * Return a number that changes whenever this process queues an intent again,
 * which then may sort before one that was claimed later.  What sessions queue the
 * worker is told of.
 */
uint64
intent_requeues(void)
{
	return requeues;
}

/* Note that intents are queued again, because what claimed them was undone. */
void
intent_note_requeued(void)
{
	requeues++;
}

/* Append the arguments of HEAD_OF_LANE to *args. */
static void
intent_bind_lane(SqlArgs *args, const LaneKey *lane, int limit)
{
	spi_add_text(args, NameStr(lane->instance));
	spi_add_text(args, lane->group);
	spi_add_int4(args, limit, true);
	home_bind(args);
}

/* Write a claimed row to *intent. */
static void
intent_of_claimed_row(uint64 row, const LaneKey *lane, Intent *intent)
{
	intent_of_row(row, lane, intent);
	intent->has_rivals = spi_get_bool(row, CLAIM_HAS_RIVALS);
	spi_get_place(row, CLAIM_PLACE, &intent->place);
}

/* Run a claim in a lane and write the rows to claimed[]; return how many there are. */
static int
intent_run_claim(SqlStatement *statement, const SqlArgs *args, const LaneKey *lane, Intent *claimed)
{
	uint64		n = spi_run(statement, args);

	for (uint64 i = 0; i < n; i++)
		intent_of_claimed_row(i, lane, &claimed[i]);
	return (int) n;
}

/*
 * Claim up to `limit` intents of a lane that can go in one request: queued ->
 * sending.  Write them to claimed[], with texts in the current context, and
 * return how many there are.
 */
int
intent_claim(const LaneKey *lane, int limit, Intent *claimed)
{
	SqlArgs		args = {0};

	intent_bind_lane(&args, lane, limit);
	return intent_run_claim(&claim, &args, lane, claimed);
}

/* Append a position in the lane to *args, the arguments of HEAD_OF_LANE. */
static void
intent_bind_position(SqlArgs *args, int priority, int64 id)
{
	spi_add_int4(args, priority, true);
	spi_add_int8(args, id);
}

/* Likewise, of those behind an intent with that priority and id. */
int
intent_claim_behind(const LaneKey *lane, int limit, int priority, int64 id, Intent *claimed)
{
	SqlArgs		args = {0};

	intent_bind_lane(&args, lane, limit);
	intent_bind_position(&args, priority, id);
	return intent_run_claim(&claim_behind, &args, lane, claimed);
}

/* Run a peek and write the rows to heads[]; return how many there are. */
static int
intent_run_peek(SqlStatement *statement, const SqlArgs *args, const LaneKey *lane, Intent *heads)
{
	uint64		n = spi_run(statement, args);

	for (uint64 i = 0; i < n; i++)
		intent_of_row(i, lane, &heads[i]);
	return (int) n;
}

/* Write the intents that intent_claim() would claim to heads[], without claiming them.  Return how many there are. */
int
intent_peek(const LaneKey *lane, int limit, Intent *heads)
{
	SqlArgs		args = {0};

	intent_bind_lane(&args, lane, limit);
	return intent_run_peek(&peek, &args, lane, heads);
}

/* Likewise, of those behind an intent with that priority and id. */
int
intent_peek_behind(const LaneKey *lane, int limit, int priority, int64 id, Intent *heads)
{
	SqlArgs		args = {0};

	intent_bind_lane(&args, lane, limit);
	intent_bind_position(&args, priority, id);
	return intent_run_peek(&peek_next, &args, lane, heads);
}

/* Append the arguments of HEADS_OF_LANES to *args. */
static void
intent_bind_claims(SqlArgs *args, IntentClaim *const *claims, int n)
{
	Datum		values[5][INTENT_CLAIMS_AT_ONCE];

	for (int i = 0; i < n; i++)
	{
		values[0][i] = CStringGetTextDatum(NameStr(claims[i]->lane->instance));
		values[1][i] = CStringGetTextDatum(claims[i]->lane->group);
		values[2][i] = Int32GetDatum(claims[i]->priority);
		values[3][i] = Int64GetDatum(claims[i]->behind);
		values[4][i] = Int64GetDatum(claims[i]->upto);
	}
	spi_add_array(args, values[0], NULL, n, TEXTOID);
	spi_add_array(args, values[1], NULL, n, TEXTOID);
	spi_add_array(args, values[2], NULL, n, INT4OID);
	spi_add_array(args, values[3], NULL, n, INT8OID);
	home_bind(args);
	spi_add_array(args, values[4], NULL, n, INT8OID);
}

/* Return the claim in that lane. */
static IntentClaim *
intent_find_claim(IntentClaim *const *claims, int n, const char *instance, const char *group)
{
	for (int i = 0; i < n; i++)
		if (strcmp(claims[i]->lane->group, group) == 0 && strcmp(NameStr(claims[i]->lane->instance), instance) == 0)
			return claims[i];
	elog(ERROR, "claimed in group \"%s\", which was not asked for", group);
}

/* Claim the first intent in that part of each lane by one statement. */
static void
intent_claim_by_statement(IntentClaim *const *claims, int n, IntentSearch search)
{
	static SqlStatement *const statements[] = {
		[SEARCH_BEHIND] = &claim_next,
		[SEARCH_BELOW] = &claim_below,
		[SEARCH_ALL] = &claim_heads
	};
	SqlArgs		args = {0};
	uint64		found;

	intent_bind_claims(&args, claims, n);
	found = spi_run(statements[search], &args);
	for (uint64 i = 0; i < found; i++)
	{
		IntentClaim *claimed = intent_find_claim(claims, n, spi_get_text(i, CLAIM_INSTANCE),
												 spi_get_text(i, CLAIM_GROUP));

		intent_of_claimed_row(i, claimed->lane, &claimed->intent);
		claimed->is_claimed = true;
	}
}

/*
 * ---- claims at places: what nearly all intents are, without a statement that locks and changes them
 */

/* Return the label of an enum's value in a column; NULL for null. */
static const char *
column_label(TupleTableSlot *row, int column)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column, &is_null);

	return is_null ? NULL : DatumGetCString(DirectFunctionCall1(enum_out, value));
}

/* Return a text column; NULL for null. */
static const char *
column_text(TupleTableSlot *row, int column)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

/* Return a column of a fixed type that is passed by value; 0 for null. */
static Datum
column_value_of(TupleTableSlot *row, int column)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column, &is_null);

	return is_null ? (Datum) 0 : value;
}

/* Return a time; 0 for null. */
static TimestampTz
column_time(TupleTableSlot *row, int column)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column, &is_null);

	return is_null ? 0 : DatumGetTimestampTz(value);
}

/* Write the text of a member of a JSON object to *text, NULL if it has none; false if that is no string. */
static bool
json_member(Jsonb *object, const char *key, const char **text)
{
	JsonbValue	value;

	*text = NULL;
	if (getKeyJsonValueFromContainer(&object->root, key, (int) strlen(key), &value) == NULL || value.type == jbvNull)
		return true;
	if (value.type == jbvString)
		*text = pnstrdup(value.val.string.val, value.val.string.len);
	return value.type == jbvString;
}

/* True if a JSON object has no such member. */
static bool
json_lacks(Jsonb *object, const char *key)
{
	JsonbValue	value;

	return getKeyJsonValueFromContainer(&object->root, key, (int) strlen(key), &value) == NULL;
}

/* Fill in where an intent was requested from; false if there is more to it than most have. */
static bool
intent_read_origin(TupleTableSlot *row, Intent *intent)
{
	bool		is_null;
	Datum		value = slot_getattr(row, INTENT_REQUESTED_FROM, &is_null);
	Jsonb	   *from = is_null ? NULL : DatumGetJsonbP(value);

	if (from == NULL)
		return true;
	return JB_ROOT_IS_OBJECT(from) && json_lacks(from, KEY_TAKEN_OVER) && json_lacks(from, KEY_ASKED_AGAIN) &&
		json_member(from, "login", &intent->login_role) && json_member(from, "actor", &intent->actor) &&
		json_member(from, "application", &intent->application_name) && json_member(from, "client", &intent->client_addr);
}

/* True if a text column has at most so many bytes, as many as characters at least; a long text is not read for that. */
static bool
column_text_is_within(TupleTableSlot *row, int column, Size limit)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column, &is_null);

	return is_null || toast_raw_datum_size(value) <= limit + VARHDRSZ;
}

/* Write a queued row to *intent, as READ_COLUMNS reads it once it is claimed; false if only that can. */
static bool
intent_of_queued(TupleTableSlot *row, const LaneKey *lane, Intent *intent)
{
	const char *state = column_label(row, INTENT_STATE);
	const char *jid = column_text(row, INTENT_JID);
	const char *outcome = column_label(row, INTENT_OUTCOME);

	memset(intent, 0, sizeof(*intent));
	if (strcmp(state, state_names[STATE_QUEUED]) != 0 || column_time(row, INTENT_NOT_BEFORE) != 0 ||
		column_value_of(row, INTENT_AFTER) != 0 ||
		!column_text_is_within(row, INTENT_REASON, TEXT_MAX_REASON) ||
		!column_text_is_within(row, INTENT_BATCH_ID, TEXT_MAX_BATCH_ID) || !intent_read_origin(row, intent))
		return false;
	intent->id = DatumGetInt64(column_value_of(row, INTENT_ID));
	intent->lane = *lane;
	intent->jid = jid_parse(jid, strlen(jid));
	intent->action = intent_action_named(column_label(row, INTENT_ACTION));
	intent->instance_id = column_text(row, INTENT_INSTANCE_ID);
	intent->requested_by = column_text(row, INTENT_REQUESTED_BY);
	intent->origin = column_text(row, INTENT_ORIGIN);
	intent->reason = column_text(row, INTENT_REASON);
	intent->batch_id = column_text(row, INTENT_BATCH_ID);
	intent->attempts = DatumGetInt32(column_value_of(row, INTENT_ATTEMPTS)) + 1;
	intent->has_outcome = outcome && outcome_named(outcome, &intent->outcome);
	intent->code = DatumGetInt32(column_value_of(row, INTENT_CODE));
	intent->detail = column_text(row, INTENT_DETAIL);
	intent->state = STATE_SENDING;
	intent->verify = DatumGetBool(column_value_of(row, INTENT_VERIFY));
	intent->invite = DatumGetBool(column_value_of(row, INTENT_INVITE));
	intent->superseded = DatumGetBool(column_value_of(row, INTENT_SUPERSEDED));
	intent->until = column_time(row, INTENT_UNTIL);
	intent->expires_at = column_time(row, INTENT_EXPIRES_AT);
	intent->wanted_at = column_time(row, INTENT_CREATED_AT);
	intent->priority = DatumGetInt32(column_value_of(row, INTENT_PRIORITY));
	intent->requester = DatumGetObjectId(column_value_of(row, INTENT_REQUESTER));
	return true;
}

/* Columns that a claim sets, as CLAIM does. */
static const int claim_columns[] = {INTENT_STATE, INTENT_ATTEMPTS, INTENT_NEXT_ATTEMPT_AT, INTENT_UPDATED_AT};
static const Oid claim_types[] = {TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
static const TableUpdate claim_update = {"membership_intent", claim_columns, claim_types, lengthof(claim_columns)};
#define CLAIMED_ATTEMPTS 1		/* in claim_columns */
#define CLAIMED_AT 3			/* likewise */

/* Intents that were found, to be claimed at their places. */
typedef struct ClaimsFound
{
	int			n;
	IntentClaim *claims[INTENT_CLAIMS_AT_ONCE];
	ItemPointerData places[INTENT_CLAIMS_AT_ONCE];
	int64		ids[INTENT_CLAIMS_AT_ONCE];
	bool		claimed[INTENT_CLAIMS_AT_ONCE];
} ClaimsFound;

/* Read an intent that is to be claimed, and count the attempt. */
static bool
claim_look(TupleTableSlot *row, int n, Datum *values, void *context)
{
	ClaimsFound *found = context;
	Intent	   *intent = &found->claims[n]->intent;

	if (!intent_of_queued(row, found->claims[n]->lane, intent) || intent->id != found->ids[n])
		return false;
	intent->since = DatumGetTimestampTz(values[CLAIMED_AT]);
	values[CLAIMED_ATTEMPTS] = Int32GetDatum(intent->attempts);
	return true;
}

/* Find the first intent in that part of each lane. */
static void
claims_find(IntentClaim *const *claims, int n, IntentSearch search, ClaimsFound *found)
{
	static SqlStatement *const statements[] = {
		[SEARCH_BEHIND] = &find_next,
		[SEARCH_BELOW] = &find_below,
		[SEARCH_ALL] = &find_heads
	};
	SqlArgs		args = {0};

	intent_bind_claims(&args, claims, n);
	found->n = (int) spi_run(statements[search], &args);
	for (int i = 0; i < found->n; i++)
	{
		(void) spi_get_place(i, 1, &found->places[i]);
		found->claims[i] = claims[spi_get_int8(i, 2, 1) - 1];
		found->ids[i] = spi_get_int8(i, 3, 0);
	}
}

/*
 * Note which of the claimed intents have rivals, as HAS_RIVALS does for such
 * without not_before and after; plans of other homes count, which only costs a look.
 */
static void
claims_note_rivals(const ClaimsFound *found)
{
	IndexProbe	plans[INTENT_CLAIMS_AT_ONCE];
	IndexProbeResult results[INTENT_CLAIMS_AT_ONCE];

	for (int i = 0; i < found->n; i++)
	{
		const Intent *intent = &found->claims[i]->intent;

		plans[i] = (IndexProbe) {"membership_intent", "membership_intent_planned", 4,
		{CStringGetTextDatum(intent->jid.text), CStringGetTextDatum(intent->lane.group),
		CStringGetTextDatum(NameStr(intent->lane.instance)), ObjectIdGetDatum(intent->requester)}};
	}
	index_probe_all(plans, found->n, results);
	for (int i = 0; i < found->n; i++)
		found->claims[i]->intent.has_rivals = results[i] != PROBE_NONE;
}

/*
 * Claim what was found.  Write those that somebody has locked or changed, or that
 * only the statement can read, to left[]; return how many.
 */
static int
claims_take(ClaimsFound *found, IntentClaim **left)
{
	SqlArgs		values = {0};
	int			nleft = 0;

	spi_add_text(&values, state_names[STATE_SENDING]);
	spi_add_int4(&values, 0, true);
	spi_add_time(&values, 0);
	spi_add_time(&values, GetCurrentTimestamp());
	if (!table_update_rows(&claim_update, &values, found->places, found->n, claim_look, found, found->claimed))
		memset(found->claimed, 0, sizeof(found->claimed));
	for (int i = 0; i < found->n; i++)
	{
		found->claims[i]->is_claimed = found->claimed[i];
		found->claims[i]->intent.place = found->places[i];
		if (!found->claimed[i])
			left[nleft++] = found->claims[i];
	}
	return nleft;
}

/*
 * Find intents and claim them at their places.  Write those that are left to the
 * statement to left[]; return how many.
 */
static int
intent_claim_at_places(IntentClaim *const *claims, int n, IntentSearch search, IntentClaim **left)
{
	/* while it is there, a place that was found is no other row's */
	Snapshot	since = RegisterSnapshot(GetTransactionSnapshot());
	ClaimsFound found;
	int			nleft = 0;

	claims_find(claims, n, search, &found);
	if (found.n > 0)
	{
		nleft = claims_take(&found, left);
		claims_note_rivals(&found);
	}
	UnregisterSnapshot(since);
	return nleft;
}

/*
 * Claim the first intent in that part of each of up to INTENT_CLAIMS_AT_ONCE
 * different lanes.  Write the intents to the claims, with texts in the current
 * context.
 */
void
intent_claim_each(IntentClaim *const *claims, int n, IntentSearch search)
{
	IntentClaim *left[INTENT_CLAIMS_AT_ONCE];
	int			nleft;

	if (n == 0)
		return;
	if (!table_takes_update(&claim_update))
	{
		intent_claim_by_statement(claims, n, search);
		return;
	}
	nleft = intent_claim_at_places(claims, n, search, left);
	if (nleft > 0)
		intent_claim_by_statement(left, nleft, search);
}

/* Claim one intent that is no addition, into *claimed; return how many that is. */
int
intent_claim_other(const LaneKey *lane, Intent *claimed)
{
	SqlArgs		args = {0};

	intent_bind_lane(&args, lane, 1);
	return intent_run_claim(&claim_other, &args, lane, claimed);
}

static SqlStatement person_is_busy = {
	"SELECT FROM wawp.membership_intent c WHERE c.id = $1 AND NOT " NOBODY_IN_THE_WAY,
	1, {INT8OID}, NULL
};

/* True if a queued intent waits, because another one of the same person is under way. */
bool
intent_person_is_busy(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	return spi_run(&person_is_busy, &args) > 0;
}

/*
 * ---- several wishes of one requester
 */

/*
 * A requester may have plans for different times for one person.  Of those whose
 * time, and turn, has come the one with the latest time decides; the time of an intent
 * without not_before is when it was last requested.  Others' intents do not count, nor
 * do those of another home or account, nor the end of a membership, which is
 * nobody's new wish.
 *
 * Arguments: instance, group, person, action, requester, id of the claimed intent.
 * The index on what is queued has them in the order of not_before.
 */
#define RIVALS \
	" FROM wawp.membership_intent c WHERE c.state = 'queued' AND c.jid = $3 AND c.group_jid = $2 AND c.instance = $1" \
	" AND (c.action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote')) AND c.requester = $5" \
	" AND c.home = (SELECT s.home FROM wawp.membership_intent s WHERE s.id = $6) AND c.home <> " HOME_OF_RESTORED_ROWS \
	" AND c.origin IS DISTINCT FROM 'until' AND " OF_ITS_ACCOUNT("c", "$1")
#define TIME_OF_CLAIMED \
	"(SELECT coalesce(s.not_before, " INTENT_ASKED_AT("s") ") FROM wawp.membership_intent s WHERE s.id = $6)"
#define EARLIER_PLANS RIVALS " AND c.not_before <= " TIME_OF_CLAIMED
#define EARLIER_WITHOUT_PLAN RIVALS " AND c.not_before IS NULL AND " INTENT_ASKED_AT("c") " <= " TIME_OF_CLAIMED

static SqlStatement find_decider = {
	"SELECT w.id FROM ("
	" (SELECT c.id, c.not_before" RIVALS " AND c.not_before <= (SELECT clock_timestamp())"
	"  AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp()) AND " ITS_TURN " ORDER BY c.not_before DESC LIMIT 1)"
	" UNION ALL (SELECT c.id, " INTENT_ASKED_AT("c") RIVALS " AND c.not_before IS NULL"
	"  AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp()) AND " ITS_TURN " LIMIT 1)) w (id, at)"
	" WHERE (w.at, w.id) > (" TIME_OF_CLAIMED ", $6) ORDER BY w.at DESC, w.id DESC LIMIT 1",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, INT8OID}, NULL
};

static SqlStatement cancel_outdone = {
	"WITH plans AS MATERIALIZED (SELECT c.id" EARLIER_PLANS " ORDER BY c.not_before LIMIT $8 FOR UPDATE SKIP LOCKED),"
	" other AS MATERIALIZED (SELECT c.id" EARLIER_WITHOUT_PLAN " FOR UPDATE SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET state = 'cancelled', detail = $7,"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM plans UNION ALL SELECT id FROM other)) RETURNING " READ_COLUMNS,
	8, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, INT8OID, TEXTOID, INT4OID}, NULL
};

static SqlStatement has_earlier = {
	"SELECT WHERE EXISTS (SELECT" EARLIER_PLANS " OFFSET 0) OR EXISTS (SELECT" EARLIER_WITHOUT_PLAN " OFFSET 0)",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, INT8OID}, NULL
};

static SqlStatement supersede_waiting = {
	"UPDATE wawp.membership_intent SET superseded = true, updated_at = clock_timestamp()"
	" WHERE id = ANY (ARRAY(SELECT id FROM wawp.membership_intent"
	OPPOSITES_IN(STATES_WAITING) " FOR UPDATE SKIP LOCKED))",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, UUIDOID}, NULL
};

/* Return the arguments of OPPOSITES_IN and of RIVALS, but for the last. */
static SqlArgs
intent_person_args(const Intent *intent)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(intent->lane.instance));
	spi_add_text(&args, intent->lane.group);
	spi_add_text(&args, intent->jid.text);
	spi_add_text(&args, action_names[intent->action]);
	spi_add_datum(&args, ObjectIdGetDatum(intent->requester));
	return args;
}

/*
 * Return the intent of the same requester, for the same person and kind, that
 * decides in place of a claimed one, because its time came later; 0 if there is
 * none.
 */
int64
intent_decider(const Intent *intent)
{
	SqlArgs		args = intent_person_args(intent);

	spi_add_int8(&args, intent->id);
	return spi_run(&find_decider, &args) > 0 ? spi_get_int8(0, 1, 0) : 0;
}

/*
 * Cancel, with that detail, up to `limit` plans and another intent of the
 * requester's that a claimed one decides in place of, and return them as Intent
 * pointers.  Write to *left whether there are more, or locked ones.
 */
List *
intent_cancel_outdone(const Intent *intent, const char *detail, int limit, bool *left)
{
	SqlArgs		args = intent_person_args(intent);
	SqlArgs		again;
	List	   *ended = NIL;
	uint64		n;

	spi_add_int8(&args, intent->id);
	again = args;
	spi_add_text(&args, detail);
	spi_add_int4(&args, limit, true);
	n = spi_run(&cancel_outdone, &args);
	for (uint64 i = 0; i < n; i++)
	{
		Intent	   *outdone = palloc(sizeof(Intent));

		intent_of_row(i, &intent->lane, outdone);
		ended = lappend(ended, outdone);
	}
	*left = spi_run(&has_earlier, &again) > 0;
	return ended;
}

/* Mark the requester's opposite that waits for a person or an admin, now that a claimed intent's time has come. */
bool
intent_supersede_waiting(const Intent *intent)
{
	SqlArgs		args = intent_person_args(intent);

	home_bind(&args);
	return spi_run(&supersede_waiting, &args) > 0;
}

/*
 * ---- settling
 */

/* A superseded intent is done if its request was answered, and cancelled if it is in doubt or was only waiting. */
#define SUPERSEDED_STATE(state, outcome) \
	"CASE WHEN " state " = 'verifying' AND " outcome " IS DISTINCT FROM 'unknown_result' THEN 'done' ELSE 'cancelled' END"

static SqlStatement settle = {
	"WITH mine AS (SELECT m.id, m.superseded, m.superseded OR " IS_QUEUED_AGAIN("m") " AS moot"
	" FROM wawp.membership_intent m"
	" WHERE m.id = $1 AND m.state = $2::wawp.state FOR UPDATE OF m SKIP LOCKED),"
	" fate AS (SELECT id, CASE WHEN moot AND $3 = 'queued' THEN 'cancelled'"
	"  WHEN superseded AND $3 IN " STATES_WAITING
	"  THEN " SUPERSEDED_STATE("$3", "$4") " ELSE $3 END AS state FROM mine)"
	" UPDATE wawp.membership_intent i SET state = fate.state::wawp.state,"
	" outcome = coalesce($4::wawp.outcome, outcome), code = $5, detail = $6, next_attempt_at = $7,"
	" attempts = attempts - $8, updated_at = clock_timestamp(),"
	" settled_at = CASE WHEN fate.state IN " STATES_FINAL " THEN clock_timestamp() END"
	" FROM fate WHERE i.id = $1 RETURNING i.state::text",
	8, {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/* The same for final states, which superseding does not change. */
static SqlStatement settle_for_good = {
	"UPDATE wawp.membership_intent i SET state = $3::wawp.state,"
	" outcome = coalesce($4::wawp.outcome, outcome), code = $5, detail = $6, next_attempt_at = $7,"
	" attempts = attempts - $8, updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT m.id FROM wawp.membership_intent m"
	"  WHERE m.id = $1 AND m.state = $2::wawp.state FOR UPDATE OF m SKIP LOCKED)) RETURNING i.state::text",
	8, {INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/*
 * The same for several that end alike, where they were claimed.  By its text a
 * state leaves the planner no index, and neither does a sum.  A row that has moved
 * since, or makes room for another one, is not found; its id tells.
 */
static SqlStatement settle_alike = {
	"UPDATE wawp.membership_intent i SET state = $2::wawp.state, outcome = $3::wawp.outcome, code = $4, detail = $5,"
	" next_attempt_at = NULL, updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.ctid = ANY (ARRAY(SELECT m.ctid FROM wawp.membership_intent m"
	"  WHERE m.ctid = ANY ($1) AND m.id + 0 = ANY ($6) AND m.state::text = 'sending' FOR UPDATE OF m SKIP LOCKED)) RETURNING i.id",
	6, {TIDARRAYOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, INT8ARRAYOID}, NULL
};

/*
 * The same for several that go on alike, not to be queued again.  One that is
 * superseded and would have to wait goes another way, by the statement above.
 */
static SqlStatement settle_several = {
	"UPDATE wawp.membership_intent i SET state = $2::wawp.state, outcome = $3::wawp.outcome, code = $4, detail = $5,"
	" next_attempt_at = $6, updated_at = clock_timestamp(),"
	" settled_at = CASE WHEN $2 IN " STATES_FINAL " THEN clock_timestamp() END"
	" WHERE i.id = ANY (ARRAY(SELECT m.id FROM wawp.membership_intent m WHERE m.id = ANY ($1) AND m.state::text = $7"
	"  AND (NOT m.superseded OR $2 IN " STATES_FINAL ") FOR UPDATE OF m SKIP LOCKED)) RETURNING i.id",
	7, {INT8ARRAYOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

static SqlStatement is_still = {
	"SELECT FROM wawp.membership_intent WHERE id = $1 AND state = $2::wawp.state",
	2, {INT8OID, TEXTOID}, NULL
};

static SqlStatement person_of = {
	"SELECT jid FROM wawp.membership_intent WHERE id = $1",
	1, {INT8OID}, NULL
};

/* Return the person of an intent as its row has them now; NULL: there is no row. */
const char *
intent_person(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	return spi_run(&person_of, &args) > 0 ? spi_get_text(0, 1) : NULL;
}

static SqlStatement withhold_person = {
	"UPDATE wawp.membership_intent SET jid = 'erased', reason = NULL, context = NULL, batch_id = NULL WHERE id = $1",
	1, {INT8OID}, NULL
};

/* Remove the person of an intent that was inserted while they were being erased, and texts that may name them. */
void
intent_withhold_person(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	spi_run(&withhold_person, &args);
}

static bool
requester_is_same(TupleTableSlot *row, void *requester)
{
	bool		is_null;

	return DatumGetObjectId(slot_getattr(row, INTENT_REQUESTER, &is_null)) == *(Oid *) requester;
}

/*
 * True if a transaction that is still open has queued something of a requester for
 * a person: whoever queues something for both as well may wait for its end.
 */
bool
intent_is_pending(const LaneKey *lane, const char *jid, Oid requester)
{
	const IndexProbe queued = {"membership_intent", "membership_intent_one_queued", 3,
	{CStringGetTextDatum(jid), CStringGetTextDatum(lane->group), CStringGetTextDatum(NameStr(lane->instance))}};

	return index_probe_is_pending_where(&queued, requester_is_same, &requester);
}

/* True for states that an intent does not leave by itself. */
bool
intent_state_is_final(IntentState state)
{
	return state == STATE_DONE || state == STATE_FAILED || state == STATE_CANCELLED;
}

/* Append the state, outcome, code and detail of a change. */
static void
settle_bind_change(SqlArgs *args, const IntentChange *change)
{
	spi_add_text(args, state_names[change->state]);
	spi_add_text(args, change->has_outcome ? outcome_info(change->outcome)->name : NULL);
	spi_add_int4(args, change->code, change->code != 0);
	spi_add_text(args, text_limit_cut(TEXT_DETAIL, change->detail));
}

/*
 * The id of the intent that intent i of the same requester made room for: the same
 * wish, queued for the same time.  One that waits for others, perhaps for what is to
 * follow i, is none.
 */
#define SUCCESSOR_WHERE(i, when) "(SELECT o.id FROM wawp.membership_intent o WHERE o.state = 'queued'" \
	" AND " SAME_PERSON_AND_KIND("o", i) " AND o.requester = " i ".requester AND o.not_before " when \
	" AND o.after IS NULL AND (o.action = " i ".action OR o.action IN ('add', 'invite') AND " i ".action IN ('add', 'invite')) OFFSET 0)"
#define SUCCESSOR(i) "CASE WHEN " i ".not_before IS NULL THEN " SUCCESSOR_WHERE(i, "IS NULL") \
	" ELSE " SUCCESSOR_WHERE(i, "= " i ".not_before") " END"

static SqlStatement follow_successors = {
	"WITH led AS MATERIALIZED (SELECT d.id, (SELECT " SUCCESSOR("p") " FROM wawp.membership_intent p"
	"  WHERE p.id = d.after AND p.state = 'cancelled') AS next FROM wawp.membership_intent d"
	"  WHERE d.home = $2 AND d.after = ANY ($1::bigint[]) AND d.state = 'queued' FOR UPDATE OF d SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET after = led.next, updated_at = clock_timestamp() FROM led"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM led)) AND i.id = led.id AND led.next IS NOT NULL",
	2, {TEXTOID, UUIDOID}, NULL
};

/* Let what was to follow intents, given as an array's text, that were cancelled to make room for the same wish follow that one. */
static void
intent_follow_successors(const char *ids)
{
	SqlArgs		args = {0};

	spi_add_text(&args, ids);
	home_bind(&args);
	(void) spi_run(&follow_successors, &args);
}

/*
 * Change an intent's state.  False if somebody else has the row locked: try
 * again.  True also if it has left that state or is gone (TRUNCATE).  Write to
 * change->state the state it really got: an intent whose opposite was requested
 * meanwhile is not followed up.
 */
bool
intent_settle(int64 id, IntentState from, IntentChange *change)
{
	SqlArgs		args = {0};
	SqlArgs		again = {0};
	bool		is_final = intent_state_is_final(change->state);

	spi_add_int8(&args, id);
	spi_add_text(&args, state_names[from]);
	settle_bind_change(&args, change);
	spi_add_time(&args, change->next_attempt_at);
	spi_add_int4(&args, change->give_attempt_back ? 1 : 0, true);
	if (spi_run(is_final ? &settle_for_good : &settle, &args) > 0)
	{
		change->state = intent_state_named(spi_get_text(0, 1));
		requeues += change->state == STATE_QUEUED;
		if (!is_final && change->state == STATE_CANCELLED)
			intent_follow_successors(psprintf("{" INT64_FORMAT "}", id));
		return true;
	}
	spi_add_int8(&again, id);
	spi_add_text(&again, state_names[from]);
	return spi_run(&is_still, &again) == 0;
}

/* Append the ids of several intents as an array. */
static void
settle_bind_ids(SqlArgs *args, const Intent *const *intents, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(intents[i]->id);
	spi_add_array(args, ids, NULL, n, INT8OID);
	pfree(ids);
}

/* Append their places likewise. */
static void
settle_bind_places(SqlArgs *args, const Intent *const *intents, int n)
{
	Datum	   *places = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		places[i] = PointerGetDatum(&intents[i]->place);
	spi_add_array(args, places, NULL, n, TIDOID);
	pfree(places);
}

/* Run a statement that changes several intents; write to settled[] which of them. */
static void
settle_run(SqlStatement *statement, const SqlArgs *args, const Intent *const *intents, int n, bool *settled)
{
	uint64		found = spi_run(statement, args);

	memset(settled, 0, sizeof(bool) * n);
	for (uint64 row = 0; row < found; row++)
	{
		int64		id = spi_get_int8(row, 1, 0);

		for (int i = 0; i < n; i++)
			settled[i] |= intents[i]->id == id;
	}
}

/* Columns that settling sets, as settle_alike does. */
static const int settle_columns[] = {
	INTENT_STATE, INTENT_OUTCOME, INTENT_CODE, INTENT_DETAIL, INTENT_NEXT_ATTEMPT_AT, INTENT_UPDATED_AT, INTENT_SETTLED_AT
};
static const Oid settle_types[] = {TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
static const TableUpdate settle_update = {"membership_intent", settle_columns, settle_types, lengthof(settle_columns)};

/* True if a row is the n-th of those intents, and its request is under way. */
static bool
settle_look(TupleTableSlot *row, int n, Datum *values pg_attribute_unused(), void *context)
{
	const Intent *const *intents = context;

	return DatumGetInt64(column_value_of(row, INTENT_ID)) == intents[n]->id &&
		strcmp(column_label(row, INTENT_STATE), state_names[STATE_SENDING]) == 0;
}

/* Settle intents alike without a statement; false if that takes one. */
static bool
settle_at_places(const Intent *const *intents, int n, const IntentChange *change, bool *settled)
{
	ItemPointerData *places = palloc(sizeof(ItemPointerData) * n);
	TimestampTz now = GetCurrentTimestamp();
	SqlArgs		values = {0};
	bool		is_done;

	for (int i = 0; i < n; i++)
		places[i] = intents[i]->place;
	settle_bind_change(&values, change);
	spi_add_time(&values, 0);
	spi_add_time(&values, now);
	spi_add_time(&values, now);
	is_done = table_update_rows(&settle_update, &values, places, n, settle_look, (void *) intents, settled);
	pfree(places);
	return is_done;
}

/*
 * Change several intents from `sending` to the same final state, with the same
 * outcome, in one statement, which costs much less than one for each.  Write to
 * settled[] which were changed; the others are for intent_settle().
 */
void
intent_settle_alike(const Intent *const *intents, int n, const IntentChange *change, bool *settled)
{
	SqlArgs		args = {0};

	Assert(intent_state_is_final(change->state) && change->has_outcome && !change->give_attempt_back);
	if (settle_at_places(intents, n, change, settled))
		return;
	settle_bind_places(&args, intents, n);
	settle_bind_change(&args, change);
	settle_bind_ids(&args, intents, n);
	settle_run(&settle_alike, &args, intents, n, settled);
}

/*
 * Change several intents from one state to another, but not to queued, alike in
 * one statement, likewise.
 */
void
intent_settle_several(const Intent *const *intents, int n, IntentState from, const IntentChange *change, bool *settled)
{
	SqlArgs		args = {0};

	Assert(change->state != STATE_QUEUED && change->has_outcome && !change->give_attempt_back);
	settle_bind_ids(&args, intents, n);
	settle_bind_change(&args, change);
	spi_add_time(&args, change->next_attempt_at);
	spi_add_text(&args, state_names[from]);
	settle_run(&settle_several, &args, intents, n, settled);
}

/*
 * ---- waiting for verification
 */

/* Of intents that are to be invited and are due, so many are read if not all are. */
#define INVITEES_READ 2

#define WAITS_UNTIL(alias) "coalesce(" alias ".next_attempt_at, " alias ".updated_at)"

/* Columns of what is read below, after READ_COLUMNS. */
#define WAITING_CONTACT (READ_COLUMNS_NUMBER + 1)
#define WAITING_LID (READ_COLUMNS_NUMBER + 2)

/* All that wait in a lane, in brief: read by this statement where the index is missing. */
static SqlStatement waiting_briefly = {
	"SELECT i.id, i.action::text, i.state::text, i.jid, i.updated_at, i.next_attempt_at, i.requester FROM wawp.membership_intent i"
	" WHERE i.state IN " STATES_WAITING " AND i.home = $3 AND i.instance = $1 AND i.group_jid = $2 AND i.instance_id = $4"
	" AND NOT i.superseded",
	4, {TEXTOID, TEXTOID, UUIDOID, TEXTOID}, NULL
};

/*
 * Those that are read, in the order of a look: of what is due, people who are to be
 * invited come last, since they stay due until the pace has let each have a turn.
 * By its text a state leaves the planner no index but the primary key.
 */
static SqlStatement waiting = {
	"SELECT " READ_COLUMNS ", k.contact_id, k.lid FROM wawp.membership_intent i LEFT JOIN wawp.contact k ON k.jid = i.jid"
	" WHERE i.id = ANY ($1) AND i.state::text IN " STATES_WAITING
	" ORDER BY " WAITS_UNTIL("i") " > clock_timestamp(), i.state = 'inviting', " WAITS_UNTIL("i") ", i.id"
	" FOR UPDATE OF i SKIP LOCKED",
	1, {INT8ARRAYOID}, NULL
};

/* Intents that wait in a lane, as they are collected. */
typedef struct WaitingScan
{
	const char *account;
	TimestampTz now;
	IntentBrief *briefs;
	int			n;
	int			size;
} WaitingScan;

static void
waiting_add(WaitingScan *scan, const IntentBrief *brief)
{
	if (scan->n == scan->size)
	{
		scan->size *= 2;
		scan->briefs = repalloc(scan->briefs, sizeof(IntentBrief) * scan->size);
	}
	scan->briefs[scan->n++] = *brief;
}

/* Add a row of the index of what is under way, if it waits, for its own sake, and is for the account that the instance has. */
static void
waiting_take(TupleTableSlot *slot, void *context)
{
	WaitingScan *scan = context;
	IntentState state = intent_state_named(column_label(slot, INTENT_STATE));
	bool		is_null;
	Datum		account = slot_getattr(slot, INTENT_INSTANCE_ID, &is_null);
	IntentBrief brief = {.state = state};
	Datum		due;

	if (state == STATE_SENDING || is_null || strcmp(TextDatumGetCString(account), scan->account) != 0 ||
		DatumGetBool(slot_getattr(slot, INTENT_SUPERSEDED, &is_null)))
		return;
	brief.id = DatumGetInt64(slot_getattr(slot, INTENT_ID, &is_null));
	brief.requester = DatumGetObjectId(slot_getattr(slot, INTENT_REQUESTER, &is_null));
	brief.action = intent_action_named(column_label(slot, INTENT_ACTION));
	brief.jid = TextDatumGetCString(slot_getattr(slot, INTENT_JID, &is_null));
	brief.since = DatumGetTimestampTz(slot_getattr(slot, INTENT_UPDATED_AT, &is_null));
	due = slot_getattr(slot, INTENT_NEXT_ATTEMPT_AT, &is_null);
	brief.due = is_null ? brief.since : DatumGetTimestampTz(due);
	waiting_add(scan, &brief);
}

/* Collect what waits in a lane by the statement. */
static void
waiting_run(const LaneKey *lane, WaitingScan *scan)
{
	SqlArgs		args = {0};
	uint64		n;

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	home_bind(&args);
	spi_add_text(&args, scan->account);
	n = spi_run(&waiting_briefly, &args);
	for (uint64 row = 0; row < n; row++)
	{
		IntentBrief brief = {
			.id = spi_get_int8(row, 1, 0),
			.action = intent_action_named(spi_get_text(row, 2)),
			.state = intent_state_named(spi_get_text(row, 3)),
			.jid = spi_get_text(row, 4),
			.since = spi_get_time(row, 5),
			.due = spi_get_time(row, 6),
			.requester = spi_get_oid(row, 7)
		};

		if (brief.due == 0)
			brief.due = brief.since;
		waiting_add(scan, &brief);
	}
}

/* Collect what waits in a lane, in memory of the current context. */
static WaitingScan
waiting_scan(const LaneKey *lane)
{
	WaitingScan scan = {.account = instance_id_of(NameStr(lane->instance)), .now = GetCurrentTimestamp(), .size = 64};
	IndexProbe	probe = {"membership_intent", "membership_intent_busy", 3,
	{home_datum(), CStringGetTextDatum(NameStr(lane->instance)), CStringGetTextDatum(lane->group)}};

	scan.briefs = palloc(sizeof(IntentBrief) * scan.size);
	if (scan.account && index_probe_each(&probe, waiting_take, &scan) == PROBE_UNKNOWN)
		waiting_run(lane, &scan);
	return scan;
}

/* Order what waits: first what is due, last who is to be invited, then by time and id. */
static int
waiting_compare(const void *a, const void *b, void *now)
{
	const IntentBrief *one = a;
	const IntentBrief *other = b;
	bool		is_later[] = {one->due > *(TimestampTz *) now, other->due > *(TimestampTz *) now};
	bool		is_inviting[] = {one->state == STATE_INVITING, other->state == STATE_INVITING};

	if (is_later[0] != is_later[1])
		return is_later[0] ? 1 : -1;
	if (is_inviting[0] != is_inviting[1])
		return is_inviting[0] ? 1 : -1;
	if (one->due != other->due)
		return one->due < other->due ? -1 : 1;
	return one->id < other->id ? -1 : one->id > other->id;
}

/* True if a look reads an intent; *invitees counts the due ones before it. */
static bool
waiting_is_read(const IntentBrief *brief, const IntentLook *look, TimestampTz now, int *invitees)
{
	bool		is_due = brief->due <= now;

	if (!look->is_wanted(brief, is_due, look->context))
		return false;
	if (look->is_all || !is_due)
		return look->is_all;
	return brief->state == STATE_INVITING ? ++*invitees <= INVITEES_READ : brief->due > look->after;
}

/* Return the ids that a look reads, in its order, and set *n. */
static Datum *
waiting_choose(const LaneKey *lane, const IntentLook *look, int *n)
{
	WaitingScan scan = waiting_scan(lane);
	Datum	   *ids = palloc(sizeof(Datum) * Max(scan.n, 1));
	int			invitees = 0;

	qsort_arg(scan.briefs, scan.n, sizeof(IntentBrief), waiting_compare, &scan.now);
	*n = 0;
	for (int i = 0; i < scan.n; i++)
		if (waiting_is_read(&scan.briefs[i], look, scan.now, &invitees) && *n < look->limit)
			ids[(*n)++] = Int64GetDatum(scan.briefs[i].id);
	pfree(scan.briefs);
	return ids;
}

/* Return id and LID of the person in a row of that statement; the id is 0 if the person is new. */
static Contact
contact_of_waiting_row(uint64 row, const char *jid)
{
	Contact		contact = {.id = spi_get_int8(row, WAITING_CONTACT, 0), .lid = spi_get_text(row, WAITING_LID)};

	if (contact.id != 0)
		contact_note_id(jid, contact.id);
	return contact;
}

/*
 * Read intents of a lane that wait for verification or an invitation, those first
 * that are due, as far as the look goes; what waits is told by the index, so that
 * what is not read costs little.  Memory is the current context.
 */
IntentsWaiting
intent_waiting(const LaneKey *lane, const IntentLook *look)
{
	SqlArgs		args = {0};
	IntentsWaiting found = {0};
	int			nchosen;
	Datum	   *chosen = waiting_choose(lane, look, &nchosen);

	if (nchosen > 0)
	{
		spi_add_array(&args, chosen, NULL, nchosen, INT8OID);
		found.n = (int) spi_run(&waiting, &args);
	}
	found.intents = palloc(sizeof(Intent) * Max(found.n, 1));
	found.contacts = palloc(sizeof(Contact) * Max(found.n, 1));
	for (int i = 0; i < found.n; i++)
	{
		intent_of_row(i, lane, &found.intents[i]);
		found.contacts[i] = contact_of_waiting_row(i, found.intents[i].jid.text);
	}
	found.has_locked = found.n < nchosen;
	pfree(chosen);
	return found;
}

static SqlStatement start_anew = {
	"UPDATE wawp.membership_intent SET updated_at = clock_timestamp(), next_attempt_at = clock_timestamp()"
	" WHERE state IN " STATES_WAITING
	" AND home = $1 AND updated_at > clock_timestamp() + interval '1 second'",
	1, {UUIDOID}, NULL
};

/* Let intents that wait, and were changed in the future, begin to wait now: the clock was set back. */
void
intent_start_anew(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	spi_run(&start_anew, &args);
}

/* Append a key, a number of lanes and the home to *args. */
static void
intent_bind_page(SqlArgs *args, const LaneKey *after, int limit)
{
	spi_add_text(args, NameStr(after->instance));
	spi_add_text(args, after->group);
	spi_add_int4(args, limit, true);
	home_bind(args);
}

static SqlStatement waiting_lanes = {
	"SELECT instance::text, group_jid, min(coalesce(next_attempt_at, updated_at)),"
	" wawp._account(instance::name) = ANY (array_agg(instance_id))"
	" FROM wawp.membership_intent"
	" WHERE state IN " STATES_WAITING " AND home = $4 AND (instance, group_jid) > ($1, $2)"
	" GROUP BY instance, group_jid ORDER BY instance, group_jid LIMIT $3",
	4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL
};

/*
 * Return up to `limit` lanes behind a key in which intents wait for verification
 * or an invitation, as IntentLane pointers in the order of their keys, and when
 * they are due, for which all of them are read.
 */
List *
intent_waiting_lanes(const LaneKey *after, int limit)
{
	SqlArgs		args = {0};
	List	   *list = NIL;
	uint64		n;

	intent_bind_page(&args, after, limit);
	n = spi_run(&waiting_lanes, &args);
	for (uint64 i = 0; i < n; i++)
	{
		IntentLane *lane = palloc0(sizeof(IntentLane));

		lane->key = lane_key(spi_get_text(i, 1), spi_get_text(i, 2));
		lane->due = spi_get_time(i, 3);
		lane->has_account = spi_get_bool(i, 4);
		list = lappend(list, lane);
	}
	return list;
}

static SqlStatement postpone = {
	"UPDATE wawp.membership_intent SET next_attempt_at = $2, detail = coalesce($3, detail) WHERE id = $1",
	3, {INT8OID, TIMESTAMPTZOID, TEXTOID}, NULL
};

/*
 * Let an intent wait until later, without a change of `updated_at`, since when it
 * has its state.  detail: what it waits for; NULL: as it was.
 */
void
intent_postpone(const Intent *intent, TimestampTz due, const char *detail)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, intent->id);
	spi_add_time(&args, due);
	spi_add_text(&args, text_limit_cut(TEXT_DETAIL, detail));
	spi_run(&postpone, &args);
}

static SqlStatement postpone_several = {
	"UPDATE wawp.membership_intent i SET next_attempt_at = ($2)[array_position($1, i.id)] WHERE i.id = ANY ($1)",
	2, {INT8ARRAYOID, TIMESTAMPTZARRAYOID}, NULL
};

/* Let several intents wait until later, each until a time of its own, likewise. */
void
intent_postpone_several(const Intent *const *intents, const TimestampTz *dues, int n)
{
	SqlArgs		args = {0};
	Datum	   *times = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		times[i] = TimestampTzGetDatum(dues[i]);
	settle_bind_ids(&args, intents, n);
	spi_add_array(&args, times, NULL, n, TIMESTAMPTZOID);
	spi_run(&postpone_several, &args);
	pfree(times);
}

#define OF_PERSON_IN(states) \
	" FROM wawp.membership_intent i WHERE i.state IN " states \
	" AND i.home = $5 AND i.instance = $1 AND i.group_jid = $2 AND i.jid = ANY (ARRAY[$3, $4])" \
	" AND NOT i.superseded AND " OF_ITS_ACCOUNT("i", "$1")
#define WAITING_OF_PERSON OF_PERSON_IN(STATES_WAITING)

static SqlStatement waiting_of = {
	"SELECT " READ_COLUMNS WAITING_OF_PERSON " ORDER BY i.id LIMIT 100 FOR UPDATE SKIP LOCKED",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* Append a lane, the JIDs of a person (NULL: not known) and the home to *args. */
static void
intent_bind_person(SqlArgs *args, const LaneKey *lane, const char *jid, const char *lid)
{
	spi_add_text(args, NameStr(lane->instance));
	spi_add_text(args, lane->group);
	spi_add_text(args, jid);
	spi_add_text(args, lid);
	home_bind(args);
}

/*
 * Return the intents of a person that wait for verification, an invitation or
 * somebody's act, as Intent pointers; without those that somebody has locked.
 */
List *
intent_waiting_of(const LaneKey *lane, const char *jid, const char *lid)
{
	SqlArgs		args = {0};
	List	   *list = NIL;
	uint64		n;

	intent_bind_person(&args, lane, jid, lid);
	n = spi_run(&waiting_of, &args);
	for (uint64 i = 0; i < n; i++)
	{
		Intent	   *intent = palloc(sizeof(Intent));

		intent_of_row(i, lane, intent);
		list = lappend(list, intent);
	}
	return list;
}

static SqlStatement has_sending = {
	"SELECT" OF_PERSON_IN("('sending')") " LIMIT 1",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* True if a request for that person is on the wire, or not settled yet. */
bool
intent_has_sending(const LaneKey *lane, const char *jid, const char *lid)
{
	SqlArgs		args = {0};

	intent_bind_person(&args, lane, jid, lid);
	return spi_run(&has_sending, &args) > 0;
}

/* True if the end of the membership that an intent requests has come. */
bool
intent_is_over(const Intent *intent)
{
	return intent->until != 0 && intent->until <= GetCurrentTimestamp();
}

static SqlStatement has_addition_under_way = {
	"SELECT" OF_PERSON_IN("('sending', 'verifying')") " AND i.action IN ('add', 'invite')"
	" AND (i.until IS NULL OR i.until > clock_timestamp()) LIMIT 1",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID}, NULL
};

static SqlStatement has_addition_queued = {
	"SELECT" OF_PERSON_IN("('queued')") " AND i.home <> " HOME_OF_RESTORED_ROWS
	" AND (i.not_before IS NULL OR i.not_before <= clock_timestamp())"
	" AND (i.expires_at IS NULL OR i.expires_at > clock_timestamp())"
	" AND " TURN_OF("i")
	" AND i.action IN ('add', 'invite') AND (i.until IS NULL OR i.until > clock_timestamp()) LIMIT 1",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* True if a request to add that person is on the wire, or its effect is looked for, for a membership that is not over. */
bool
intent_has_addition_under_way(const LaneKey *lane, const char *jid)
{
	SqlArgs		args = {0};

	intent_bind_person(&args, lane, jid, NULL);
	return spi_run(&has_addition_under_way, &args) > 0;
}

/* True if somebody has queued that the person is added, at once or at a time and turn that has come, until later than now. */
bool
intent_has_addition_queued(const LaneKey *lane, const char *jid)
{
	SqlArgs		args = {0};

	intent_bind_person(&args, lane, jid, NULL);
	return spi_run(&has_addition_queued, &args) > 0;
}

static SqlStatement hasten_person = {
	"UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = ANY (ARRAY("
	" SELECT i.id" WAITING_OF_PERSON " AND i.state <> 'inviting' AND i.next_attempt_at > clock_timestamp() FOR UPDATE SKIP LOCKED))",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID}, NULL
};

static SqlStatement hasten_lane = {
	"UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = ANY (ARRAY("
	" SELECT i.id FROM wawp.membership_intent i WHERE i.state IN " STATES_WAITING " AND i.home = $3 AND i.instance = $1"
	" AND i.group_jid = $2 AND i.state <> 'inviting' AND i.next_attempt_at > clock_timestamp()"
	" AND NOT i.superseded AND " OF_ITS_ACCOUNT("i", "$1") " LIMIT 2000 FOR UPDATE SKIP LOCKED))",
	3, {TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* Let a person who waits in a lane, or with jid NULL all who do, be looked for now; false if nobody does. */
bool
intent_hasten(const LaneKey *lane, const char *jid, const char *lid)
{
	SqlArgs		args = {0};

	if (jid)
	{
		intent_bind_person(&args, lane, jid, lid);
		return spi_run(&hasten_person, &args) > 0;
	}
	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	home_bind(&args);
	return spi_run(&hasten_lane, &args) > 0;
}

static SqlStatement hasten_invitations = {
	"UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = ANY (ARRAY("
	" SELECT id FROM wawp.membership_intent WHERE state IN " STATES_WAITING " AND home = $2 AND instance = $1"
	" AND state = 'inviting' AND next_attempt_at > clock_timestamp() LIMIT 1000 FOR UPDATE SKIP LOCKED))",
	2, {TEXTOID, UUIDOID}, NULL
};

/* Let people who wait to be invited by an instance be invited now, a thousand of them: a limit has ended. */
void
intent_hasten_invitations(const char *instance)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	home_bind(&args);
	spi_run(&hasten_invitations, &args);
}

/*
 * The outcome marks an invitation that is under way, for `recover` after a crash.
 * The state is compared by its text as in settle_alike: the index of what is under
 * way would be read as a whole, for all lanes.
 */
static SqlStatement begin_invite = {
	"UPDATE wawp.membership_intent SET state = 'sending', outcome = 'invited', next_attempt_at = NULL,"
	" attempts = attempts + 1, updated_at = clock_timestamp() WHERE id = $1 AND state::text = 'inviting'",
	1, {INT8OID}, NULL
};

/* Change an intent inviting -> sending; false if it has left that state. */
bool
intent_begin_invite(const Intent *intent)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, intent->id);
	return spi_run(&begin_invite, &args) > 0;
}

/* True if the requester of i has the person queued in the other group, for that time. */
#define QUEUED_THERE(when) "EXISTS (SELECT FROM wawp.membership_intent o" \
	" WHERE o.state = 'queued' AND o.home = i.home AND o.home <> " HOME_OF_RESTORED_ROWS " AND o.instance = i.instance" \
	" AND o.group_jid = $2 AND o.jid = i.jid AND (o.action IN ('promote', 'demote')) = (i.action IN ('promote', 'demote'))" \
	" AND o.requester = i.requester AND o.not_before " when " OFFSET 0)"

static SqlStatement move = {
	"UPDATE wawp.membership_intent i SET group_jid = $2, state = 'queued', attempts = attempts - 1,"
	" detail = 'moved from ' || i.group_jid || ', which is full', updated_at = clock_timestamp()"
	" WHERE id = $1 AND state::text = 'sending' AND NOT CASE WHEN i.not_before IS NULL"
	" THEN " QUEUED_THERE("IS NULL") " ELSE " QUEUED_THERE("= i.not_before") " END",
	2, {INT8OID, TEXTOID}, NULL
};

/* Change an intent sending -> queued, in another group; false if the requester has the person queued there already. */
bool
intent_move(const Intent *intent, const char *group)
{
	SqlArgs		args = {0};

	requeues++;
	spi_add_int8(&args, intent->id);
	spi_add_text(&args, group);
	return spi_run(&move, &args) > 0;
}

/* The removal from another group that the requester of s had queued before s was asked for, for the same time. */
#define REMOVAL_THERE \
	"SELECT o.id FROM wawp.membership_intent s, LATERAL (SELECT r.id FROM wawp.membership_intent r WHERE r.state = 'queued'" \
	" AND r.home = s.home AND r.home <> " HOME_OF_RESTORED_ROWS " AND r.instance = s.instance AND r.group_jid = $2 AND r.jid = s.jid" \
	" AND (r.action IN ('promote', 'demote')) = false AND r.action = 'remove' AND r.requester = s.requester" \
	" AND r.not_before IS NOT DISTINCT FROM s.not_before AND " INTENT_ASKED_AT("r") " <= $3"
#define OF_MOVED ") o WHERE s.id = $1"

static SqlStatement cancel_removal_there = {
	"UPDATE wawp.membership_intent i SET state = 'cancelled', detail = 'the opposite was asked for',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(" REMOVAL_THERE " FOR UPDATE SKIP LOCKED" OF_MOVED ")) RETURNING " READ_COLUMNS ", i.instance::text, i.group_jid",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}, NULL
};

static SqlStatement has_removal_there = {
	REMOVAL_THERE " OFFSET 0" OF_MOVED,
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* Return n rows of READ_COLUMNS and the lane as Intent pointers. */
static List *
intents_of_rows(uint64 n)
{
	List	   *list = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		Intent	   *intent = palloc(sizeof(Intent));
		LaneKey		lane = lane_key(spi_get_text(i, READ_COLUMNS_NUMBER + 1), spi_get_text(i, READ_COLUMNS_NUMBER + 2));

		intent_of_row(i, &lane, intent);
		list = lappend(list, intent);
	}
	return list;
}

/*
 * Cancel the removal from another group that a claimed addition, which is to go there,
 * is the later wish against, and return it as an Intent pointer.  Write to *left
 * whether there is one that somebody has locked.
 */
List *
intent_cancel_removal_there(const Intent *intent, const char *group, bool *left)
{
	SqlArgs		args = {0};
	List	   *ended;

	spi_add_int8(&args, intent->id);
	spi_add_text(&args, group);
	spi_add_time(&args, intent->wanted_at);
	ended = intents_of_rows(spi_run(&cancel_removal_there, &args));
	*left = ended == NIL && spi_run(&has_removal_there, &args) > 0;
	return ended;
}

static SqlStatement end_superseded = {
	"WITH old AS (SELECT id FROM wawp.membership_intent WHERE superseded"
	"  AND home = $2 AND state IN " STATES_WAITING " ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET state = " SUPERSEDED_STATE("i.state", "i.outcome") "::wawp.state,"
	" detail = 'the opposite was asked for', updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM old)) RETURNING " READ_COLUMNS ", i.instance::text, i.group_jid",
	2, {INT4OID, UUIDOID}, NULL
};

/* Run a statement for up to `limit` intents and return what it returns, READ_COLUMNS and the lane, as Intent pointers. */
static List *
intent_end_some(SqlStatement *statement, int limit)
{
	SqlArgs		args = {0};

	spi_add_int4(&args, limit, true);
	home_bind(&args);
	return intents_of_rows(spi_run(statement, &args));
}

/* End, without follow-up, up to `limit` superseded intents and return them as Intent pointers. */
List *
intent_end_superseded(int limit)
{
	return intent_end_some(&end_superseded, limit);
}

static SqlStatement enqueue_removal = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, instance_id, requester,"
	" requested_by, origin) VALUES ($1, $2, $3, 'remove', $6, $4, $7, $5, 'until')"
	" ON CONFLICT " INTENT_QUEUED_KEY " DO NOTHING"
	" RETURNING id",
	7, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID}, NULL
};

/* True if an intent is a removal that the worker has queued, since a membership's time is over. */
bool
intent_ends_membership(const Intent *intent)
{
	return intent->origin != NULL && strcmp(intent->origin, "until") == 0;
}

/* Queue a removal, since a membership's time is over; return its id, 0 if the requester has queued something for the person. */
int64
intent_enqueue_removal(const LaneKey *lane, const char *instance_id, const char *jid,
					   Oid requester, const char *requested_by, const char *reason)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_text(&args, jid);
	spi_add_text(&args, instance_id);
	spi_add_text(&args, requested_by);
	spi_add_text(&args, reason);
	spi_add_datum(&args, ObjectIdGetDatum(requester));
	/* it sorts before whatever has a lower priority */
	requeues++;
	return intent_insert(&enqueue_removal, &args) > 0 ? spi_get_int8(0, 1, 0) : 0;
}

static SqlStatement dependents = {
	"SELECT DISTINCT instance::text, group_jid FROM wawp.membership_intent"
	" WHERE home = $2 AND after = $1 AND state = 'queued'",
	2, {INT8OID, UUIDOID}, NULL
};

/* Return n rows of instance and group as LaneKey pointers. */
static List *
intent_lanes_of_rows(uint64 n)
{
	List	   *list = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		LaneKey    *key = palloc(sizeof(LaneKey));

		*key = lane_key(spi_get_text(i, 1), spi_get_text(i, 2));
		list = lappend(list, key);
	}
	return list;
}

/* Return the lanes of intents that are to follow an intent, as LaneKey pointers. */
List *
intent_dependent_lanes(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	home_bind(&args);
	return intent_lanes_of_rows(spi_run(&dependents, &args));
}

static SqlStatement has_dependents = {
	"SELECT FROM wawp.membership_intent WHERE home = $1 AND after IS NOT NULL AND state = 'queued' ORDER BY after LIMIT 1",
	1, {UUIDOID}, NULL
};

/* True if a queued intent is to follow another. */
bool
intent_has_dependents(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	return spi_run(&has_dependents, &args) > 0;
}

static SqlStatement fail_dependents = {
	"WITH lost AS (SELECT d.id FROM wawp.membership_intent d"
	" WHERE d.home = $2 AND d.after IS NOT NULL AND d.state = 'queued' AND coalesce((SELECT p.state IN ('failed', 'cancelled')"
	"  OR p.state = 'done' AND " DONE_UNSEEN("d") " FROM wawp.membership_intent p WHERE p.id = d.after), true)"
	" ORDER BY d.after LIMIT $1 FOR UPDATE OF d SKIP LOCKED)"
	" UPDATE wawp.membership_intent i SET state = 'failed', detail = 'the intent it was to follow did not succeed',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp() WHERE i.id = ANY (ARRAY(SELECT id FROM lost))"
	" RETURNING " READ_COLUMNS ", i.instance::text, i.group_jid",
	2, {INT4OID, UUIDOID}, NULL
};

/*
 * Fail up to `limit` intents that are to follow one that did not succeed or is
 * gone, and return them as Intent pointers; those that are to follow them fail at
 * the next call.
 */
List *
intent_fail_dependents(int limit)
{
	return intent_end_some(&fail_dependents, limit);
}

static SqlStatement expire = {
	"WITH late AS (SELECT id FROM wawp.membership_intent WHERE state IN ('queued', 'inviting', 'pending_approval')"
	" AND home = $2 AND expires_at IS NOT NULL AND expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"
	", c AS (UPDATE wawp.membership_intent i SET state = 'cancelled', detail = 'expired',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE i.id = ANY (ARRAY(SELECT id FROM late)) RETURNING i.*) "
	INSERT_NOTE NOTE_OF("cancelled") ", NULL, NULL FROM c RETURNING intent_id",
	2, {INT4OID, UUIDOID}, NULL
};

/* Cancel up to `limit` intents that have expired; return how many.  What they had superseded is wanted again. */
int64
intent_expire(int limit)
{
	SqlArgs		args = {0};
	uint64		n;

	spi_add_int4(&args, limit, true);
	home_bind(&args);
	n = spi_run(&expire, &args);
	intent_reinstate(n);
	return (int64) n;
}

static SqlStatement next_expiry = {
	"SELECT min(expires_at) FROM wawp.membership_intent"
	" WHERE home = $1 AND state IN ('queued', 'inviting', 'pending_approval') AND expires_at IS NOT NULL",
	1, {UUIDOID}, NULL
};

/* Return when the next intent expires; 0: none does. */
TimestampTz
intent_next_expiry(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	spi_run(&next_expiry, &args);
	return spi_get_time(0, 1);
}

/*
 * ---- plans whose time has come
 */

static SqlStatement arrive = {
	"UPDATE wawp.membership_intent i SET updated_at = clock_timestamp()"
	" WHERE i.state = 'queued' AND i.id = ANY (ARRAY(SELECT c.id FROM wawp.membership_intent c WHERE c.state = 'queued'"
	"  AND c.not_before > c.updated_at AND c.home = $2 AND c.not_before <= clock_timestamp()"
	"  ORDER BY c.not_before LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING i.instance::text, i.group_jid",
	2, {INT4OID, UUIDOID}, NULL
};

/* Let up to `limit` plans whose time has come be claimed; return their lanes as LaneKey pointers, one for each. */
List *
intent_arrive(int limit)
{
	SqlArgs		args = {0};

	spi_add_int4(&args, limit, true);
	home_bind(&args);
	requeues++;
	return intent_lanes_of_rows(spi_run(&arrive, &args));
}

static SqlStatement next_arrival = {
	"SELECT min(not_before) FROM wawp.membership_intent WHERE home = $1 AND state = 'queued' AND not_before > updated_at",
	1, {UUIDOID}, NULL
};

/* Return when the time of the next plan comes; 0: there is none. */
TimestampTz
intent_next_arrival(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	spi_run(&next_arrival, &args);
	return spi_get_time(0, 1);
}

/*
 * ---- lanes, and when they are due
 */

#define CAN_COME_UP " FROM wawp.membership_intent c" \
	" WHERE c.state = 'queued' AND c.id > 0 AND c.home = $3 AND c.instance = $1 AND c.group_jid = $2 AND " HAS_ARRIVED \
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())" \
	" AND NOT " REQUESTER_IS_HELD("c.requester", "$1") \
	" AND " OF_ITS_ACCOUNT("c", "$1") \
	" AND " ITS_TURN \
	" AND " NOBODY_IN_THE_WAY

#define TIME_IT_WAITS_FOR "greatest(coalesce(c.not_before, '-infinity'), CASE WHEN " CLOCK_WAS_SET_BACK \
	" THEN '-infinity' ELSE coalesce(c.next_attempt_at, '-infinity') END)"

/* The whole lane is read only if nothing is due. */
static SqlStatement next_due = {
	"SELECT coalesce((SELECT '-infinity'::timestamptz" CAN_COME_UP " AND " IS_DUE
	"  ORDER BY c.priority DESC, c.id LIMIT 1),"
	" (SELECT min(" TIME_IT_WAITS_FOR ")" CAN_COME_UP "))",
	3, {TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* Return what a statement says is the next time; 0: none, 1: it is past. */
static TimestampTz
intent_run_due(SqlStatement *statement, const SqlArgs *args)
{
	TimestampTz due;

	spi_run(statement, args);
	due = spi_get_time(0, 1);
	return due == DT_NOBEGIN ? 1 : due;
}

/* Append the arguments of CAN_COME_UP to *args. */
static void
intent_bind_key(SqlArgs *args, const LaneKey *lane)
{
	spi_add_text(args, NameStr(lane->instance));
	spi_add_text(args, lane->group);
	home_bind(args);
}

/* Likewise, with an intent's position. */
static void
intent_bind_part(SqlArgs *args, const LaneKey *lane, int priority, int64 id)
{
	intent_bind_key(args, lane);
	intent_bind_position(args, priority, id);
}

/* Return what a statement says is the next time in a lane, likewise. */
static TimestampTz
intent_first_due(SqlStatement *statement, const LaneKey *lane)
{
	SqlArgs		args = {0};

	intent_bind_key(&args, lane);
	return intent_run_due(statement, &args);
}

/*
 * Return when the first of a lane's queued intents is due; 0 if none is queued,
 * or only such as are plans, are to follow another intent or whose requester is held.  The time is past if its row is
 * locked.
 */
TimestampTz
intent_next_due(const LaneKey *lane)
{
	return intent_first_due(&next_due, lane);
}

static SqlStatement has_due_behind = {
	"SELECT" CAN_COME_UP " AND " IS_DUE " AND c.priority = $4 AND c.id > $5 LIMIT 1",
	5, {TEXTOID, TEXTOID, UUIDOID, INT4OID, INT8OID}, NULL
};

/* True if one of those behind an intent with that priority and id is due. */
bool
intent_has_due_behind(const LaneKey *lane, int priority, int64 id)
{
	SqlArgs		args = {0};

	intent_bind_part(&args, lane, priority, id);
	return spi_run(&has_due_behind, &args) > 0;
}

/* The part of a lane behind an intent with priority $4 and id $5; each half is a range of the index. */
#define OF_ITS_PRIORITY " AND c.priority = $4 AND c.id > $5"
#define OF_LOWER_PRIORITY " AND c.priority < $4"
#define DUE_IN(part) "(SELECT '-infinity'::timestamptz" CAN_COME_UP " AND " IS_DUE part " ORDER BY c.priority DESC, c.id LIMIT 1)"
#define FIRST_TIME_IN(part) "(SELECT min(" TIME_IT_WAITS_FOR ")" CAN_COME_UP part ")"

static SqlStatement next_due_behind = {
	"SELECT coalesce(" DUE_IN(OF_ITS_PRIORITY) ", " DUE_IN(OF_LOWER_PRIORITY) ","
	" least(" FIRST_TIME_IN(OF_ITS_PRIORITY) ", " FIRST_TIME_IN(OF_LOWER_PRIORITY) "))",
	5, {TEXTOID, TEXTOID, UUIDOID, INT4OID, INT8OID}, NULL
};

/* Return the same for the part of a lane behind an intent with that priority and id. */
TimestampTz
intent_next_due_behind(const LaneKey *lane, int priority, int64 id)
{
	SqlArgs		args = {0};

	intent_bind_part(&args, lane, priority, id);
	return intent_run_due(&next_due_behind, &args);
}

/* Whatever is queued counts, whether it can be claimed or not. */
#define QUEUED_IN(part) "EXISTS (SELECT FROM wawp.membership_intent c WHERE c.state = 'queued' AND c.id > 0 AND c.home = $3" \
	" AND c.instance = $1 AND c.group_jid = $2 AND " HAS_ARRIVED " AND " OF_ITS_ACCOUNT("c", "$1") part \
	" ORDER BY c.priority DESC, c.id LIMIT 1)"

static SqlStatement has_before = {
	"SELECT WHERE " QUEUED_IN(" AND c.priority > $4") " OR " QUEUED_IN(" AND c.priority = $4 AND c.id <= $5"),
	5, {TEXTOID, TEXTOID, UUIDOID, INT4OID, INT8OID}, NULL
};

static SqlStatement has_between = {
	"SELECT WHERE " QUEUED_IN(" AND c.priority = $4 AND c.id <= $5 AND c.id > $6"),
	6, {TEXTOID, TEXTOID, UUIDOID, INT4OID, INT8OID, INT8OID}, NULL
};

/*
 * True if something is queued in a lane before the intent with that priority and
 * id, or is that intent; after: only behind that id of the same priority, 0:
 * anywhere.
 */
bool
intent_has_before(const LaneKey *lane, int priority, int64 id, int64 after)
{
	SqlArgs		args = {0};

	intent_bind_part(&args, lane, priority, id);
	if (after == 0)
		return spi_run(&has_before, &args) > 0;
	spi_add_int8(&args, after);
	return spi_run(&has_between, &args) > 0;
}

static SqlStatement next_other = {
	"SELECT min(" TIME_IT_WAITS_FOR ")"
	" FROM wawp.membership_intent c WHERE c.state = 'queued' AND c.home = $3 AND c.instance = $1 AND c.group_jid = $2" NO_ADDITION
	" AND " HAS_ARRIVED
	" AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())"
	" AND " GROUP_TAKES("$1", "$2")
	" AND NOT " REQUESTER_IS_HELD("c.requester", "$1")
	" AND " OF_ITS_ACCOUNT("c", "$1")
	" AND " ITS_TURN " AND " NOBODY_IN_THE_WAY,
	3, {TEXTOID, TEXTOID, UUIDOID}, NULL
};

/* Return the same for those that are no additions, and that a hold of the group lets go. */
TimestampTz
intent_next_other(const LaneKey *lane)
{
	return intent_first_due(&next_other, lane);
}

/*
 * A loose scan: one index probe per lane, however deep they are.  The account is
 * that of the lane's first intent; few lanes have another.
 */
#define FIRST_LANE(alias, of_kind, after) \
	"SELECT " alias ".instance, " alias ".group_jid, " alias ".instance_id FROM wawp.membership_intent " alias \
	" WHERE " of_kind(alias) " AND " alias ".home = $4 AND (" alias ".instance, " alias ".group_jid) > " after \
	" ORDER BY " alias ".instance, " alias ".group_jid LIMIT 1"
#define LANES_AFTER(of_kind) \
	"WITH RECURSIVE l AS ((" FIRST_LANE("f", of_kind, "($1, $2)") ")" \
	" UNION ALL SELECT n.instance, n.group_jid, n.instance_id FROM l, LATERAL (" \
	FIRST_LANE("i", of_kind, "(l.instance, l.group_jid)") ") n)" \
	" SELECT instance::text, group_jid, instance_id FROM l LIMIT $3"
#define OF_ACCOUNT(of_kind) \
	"SELECT FROM wawp.membership_intent o WHERE " of_kind("o") " AND o.home = $3" \
	" AND o.instance = $1 AND o.group_jid = $2 AND " OF_ITS_ACCOUNT("o", "$1") " LIMIT 1"

#define QUEUED(alias) alias ".state = 'queued' AND " alias ".id > 0"
#define QUEUED_OTHER(alias) alias ".state = 'queued' AND " alias ".action <> 'add'"
#define WAITING(alias) alias ".state IN " STATES_WAITING

/* By IntentLaneKind: lanes behind a key, and whether a lane has something for the account of its instance. */
static SqlStatement lanes[] = {
	{LANES_AFTER(QUEUED), 4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL},
	{LANES_AFTER(QUEUED_OTHER), 4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL},
	{LANES_AFTER(WAITING), 4, {TEXTOID, TEXTOID, INT4OID, UUIDOID}, NULL}
};
static SqlStatement of_account[] = {
	{OF_ACCOUNT(QUEUED), 3, {TEXTOID, TEXTOID, UUIDOID}, NULL},
	{OF_ACCOUNT(QUEUED_OTHER), 3, {TEXTOID, TEXTOID, UUIDOID}, NULL},
	{OF_ACCOUNT(WAITING), 3, {TEXTOID, TEXTOID, UUIDOID}, NULL}
};

/* True if a lane has something for the account that its instance has now. */
static bool
intent_lane_has_account(IntentLaneKind kind, const LaneKey *lane)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	home_bind(&args);
	return spi_run(&of_account[kind], &args) > 0;
}

/*
 * Set has_account of lanes in the order of their keys, whose first intents are
 * for these accounts: only where that is another one, a statement is needed.
 */
static void
intent_compare_accounts(IntentLaneKind kind, List *found, const List *accounts)
{
	const LaneKey *last = NULL;
	const char *account = NULL;
	ListCell   *lc;
	ListCell   *first;

	forboth(lc, found, first, accounts)
	{
		IntentLane *lane = lfirst(lc);

		if (last == NULL || strcmp(NameStr(last->instance), NameStr(lane->key.instance)) != 0)
			account = instance_id_of(NameStr(lane->key.instance));
		last = &lane->key;
		lane->has_account = account != NULL &&
			(strcmp(account, lfirst(first)) == 0 || intent_lane_has_account(kind, &lane->key));
	}
}

/*
 * Return up to `limit` lanes behind a key that have such intents, as IntentLane
 * pointers in the order of their keys.  When they are due is not read.
 */
List *
intent_lanes(IntentLaneKind kind, const LaneKey *after, int limit)
{
	SqlArgs		args = {0};
	List	   *found = NIL;
	List	   *accounts = NIL;
	uint64		n;

	intent_bind_page(&args, after, limit);
	n = spi_run(&lanes[kind], &args);
	for (uint64 i = 0; i < n; i++)
	{
		IntentLane *lane = palloc0(sizeof(IntentLane));

		lane->key = lane_key(spi_get_text(i, 1), spi_get_text(i, 2));
		found = lappend(found, lane);
		accounts = lappend(accounts, unconstify(char *, spi_get_text(i, 3)));
	}
	intent_compare_accounts(kind, found, accounts);
	return found;
}

/*
 * ---- recovery, retention
 */

/*
 * A row in doubt is verified, unless the same has been requested since.  An
 * invitation cannot be verified and is not repeated.
 */
#define DOUBT_ENDS "(doubt.moot OR doubt.is_invite OR crashes + $1 > $2)"
static SqlStatement recover = {
	"WITH doubt AS (SELECT s.id, s.superseded OR " IS_QUEUED_AGAIN("s") " AS moot,"
	"  s.action = 'invite' OR coalesce(s.outcome = 'invited', false) AS is_invite"
	"  FROM wawp.membership_intent s WHERE s.home = $4 AND s.state = 'sending' AND s.id <> ALL ($3::bigint[])"
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
	4, {INT4OID, INT4OID, TEXTOID, UUIDOID}, NULL
};

static SqlStatement count_sending = {
	"SELECT count(*) FROM wawp.membership_intent WHERE home = $2 AND state = 'sending' AND id <> ALL ($1::bigint[])",
	2, {TEXTOID, UUIDOID}, NULL
};

/*
 * Put back the rows that were `sending` when the last worker ended.  A crash is
 * counted only for a row that was alone; after more than `max_crashes` of them
 * it fails.
 *
 * count_crash: false if the last worker was told to end.  in_flight: ids that
 * this worker is sending itself, as an array's text.  Return the ids that are in
 * doubt, likewise; write to *left whether others are locked by somebody else, so
 * that the function must be called again.
 */
char *
intent_recover(int max_crashes, bool count_crash, const char *in_flight, bool *left)
{
	StringInfoData ids;
	int64		done;
	SqlArgs		count = {0};
	SqlArgs		args = {0};
	int64		n;

	spi_add_text(&count, in_flight);
	home_bind(&count);
	spi_run(&count_sending, &count);
	n = spi_get_int8(0, 1, 0);
	spi_add_int4(&args, count_crash && n == 1 ? 1 : 0, true);
	spi_add_int4(&args, max_crashes, true);
	spi_add_text(&args, in_flight);
	home_bind(&args);
	done = n > 0 ? (int64) spi_run(&recover, &args) : 0;
	*left = done < n;
	initStringInfo(&ids);
	for (int64 i = 0; i < done; i++)
		appendStringInfo(&ids, "%c%s", i == 0 ? '{' : ',', spi_get_text(i, 1));
	appendStringInfoString(&ids, done == 0 ? "{}" : "}");
	if (done > 0)
		intent_follow_successors(ids.data);
	return ids.data;
}

/* True if an intent was asked for, or planned for a time, before time `before`. */
#define ASKED_BEFORE(row, before) "greatest(" row ".created_at, " row ".not_before) < " before

static SqlStatement was_asked_before = {
	"SELECT FROM wawp.membership_intent i WHERE i.id = $1 AND " ASKED_BEFORE("i", "$2"),
	2, {INT8OID, TIMESTAMPTZOID}, NULL
};

/* True if a statement finds the intent by its id and that time. */
static bool
intent_is_found(SqlStatement *statement, int64 id, TimestampTz time)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	spi_add_time(&args, time);
	return spi_run(statement, &args) > 0;
}

/* True if an intent was asked for before that time; the time that it was planned for counts, if that is later. */
bool
intent_was_asked_before(int64 id, TimestampTz time)
{
	return intent_is_found(&was_asked_before, id, time);
}

static SqlStatement doubts_invitation = {
	"SELECT FROM wawp.membership_intent i WHERE i.id = $1 AND i.requested_from ? '" KEY_MAY_HAVE_INVITED "' AND " INTENT_ASKED_AT("i") " > $2",
	2, {INT8OID, TIMESTAMPTZOID}, NULL
};

/* True if an intent has been retried since that time, at which its own invitation was sent or was not. */
bool
intent_doubts_invitation(int64 id, TimestampTz time)
{
	return intent_is_found(&doubts_invitation, id, time);
}

/* Invitations that may have been sent, in two states since each has an index; those asked for a later time were not. */
#define PENDING_INVITATIONS(which) "wawp.membership_intent w WHERE w.home = $1 AND " which " AND " ASKED_BEFORE("w", "$2")
#define INVITING "w.state = 'inviting'"
#define INVITES_QUEUED "w.state = 'queued' AND w.action = 'invite'"

#define END_INVITATIONS(which) { \
	"UPDATE wawp.membership_intent i SET state = 'failed', outcome = 'unknown_result', next_attempt_at = NULL," \
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()," \
	" detail = 'pending when a standby was promoted; it may have been sent before, and an invitation is not repeated by itself'" \
	" WHERE i.id = ANY (ARRAY(SELECT w.id FROM " PENDING_INVITATIONS(which) " LIMIT $3 FOR UPDATE SKIP LOCKED))", \
	3, {UUIDOID, TIMESTAMPTZOID, INT4OID}, NULL \
}

static SqlStatement end_invitations[] = {
	END_INVITATIONS(INVITING),
	END_INVITATIONS(INVITES_QUEUED),
};

static SqlStatement has_pending_invitations = {
	"SELECT WHERE EXISTS (SELECT FROM " PENDING_INVITATIONS(INVITING) ")"
	" OR EXISTS (SELECT FROM " PENDING_INVITATIONS(INVITES_QUEUED) ")",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

/*
 * End up to `limit` pending invitations that were asked for before that time and
 * that a server sent, perhaps, before its standby was promoted.  Return how many
 * that were; write to *left whether there are more.
 */
int64
intent_end_invitations(TimestampTz before, int limit, bool *left)
{
	SqlArgs		args = {0};
	int64		n = 0;

	home_bind(&args);
	spi_add_time(&args, before);
	*left = spi_run(&has_pending_invitations, &args) > 0;
	if (!*left)
		return 0;
	for (size_t i = 0; i < lengthof(end_invitations); i++)
	{
		SqlArgs		portion = args;

		spi_add_int4(&portion, limit - (int) n, true);
		n += (int64) spi_run(&end_invitations[i], &portion);
	}
	*left = spi_run(&has_pending_invitations, &args) > 0;
	return n;
}

static SqlStatement count_doubts = {
	"SELECT count(*) FROM wawp.membership_intent WHERE id = ANY ($1::bigint[])"
	" AND state NOT IN " STATES_FINAL " AND outcome = 'unknown_result'",
	1, {TEXTOID}, NULL
};

/* Return how many of these rows are still in doubt. */
int
intent_count_doubts(const char *ids)
{
	SqlArgs		args = {0};

	spi_add_text(&args, ids);
	spi_run(&count_doubts, &args);
	return (int) spi_get_int8(0, 1, 0);
}

static SqlStatement orderly_end = {
	"UPDATE wawp.membership_intent SET crashes = crashes - 1 WHERE id = ANY (ARRAY("
	" SELECT id FROM wawp.membership_intent WHERE id = ANY ($1::bigint[]) AND state::text = 'sending'"
	" AND (SELECT count(*) FROM wawp.membership_intent WHERE home = $2 AND state = 'sending') = 1"
	" FOR UPDATE SKIP LOCKED))",
	2, {TEXTOID, UUIDOID}, NULL
};

/* NOWAIT, because a worker that is told to end holds off interrupts, and with them lock_timeout. */
static SqlStatement lock_at_once = {
	"LOCK TABLE wawp.membership_intent IN ROW EXCLUSIVE MODE NOWAIT",
	0, {0}, NULL
};

/* Take back a crash in advance from the row that is being sent: the worker is told to end. */
void
intent_note_orderly_end(const char *in_flight)
{
	SqlArgs		args = {0};

	spi_run(&lock_at_once, NULL);
	spi_add_text(&args, in_flight);
	home_bind(&args);
	spi_run(&orderly_end, &args);
}

#define OPEN_IN_GROUP \
	"SELECT id, jid, action::text, state::text FROM wawp.membership_intent WHERE home = $4 AND instance = $1" \
	" AND group_jid = $2 AND requester = $3 AND action IN ('add', 'remove') AND NOT superseded"

/*
 * Nothing here says that the home is not that of restored rows, so that a plan
 * made while the queue is empty does not take the index that begins with the
 * person, all of which it would read later.
 */
static SqlStatement list_open = {
	OPEN_IN_GROUP " AND state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')"
	" UNION ALL " OPEN_IN_GROUP " AND state = 'queued' AND id > 0 AND not_before IS NULL"
	" AND instance_id = wawp._account($1::name)",
	4, {TEXTOID, TEXTOID, OIDOID, UUIDOID}, NULL
};

/* Return n rows of id, person, action and state as IntentOpen pointers. */
static List *
intent_open_of_rows(uint64 n)
{
	List	   *open = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		IntentOpen *one = palloc(sizeof(IntentOpen));

		one->id = spi_get_int8(i, 1, 0);
		one->jid = spi_get_text(i, 2);
		one->is_removal = strcmp(spi_get_text(i, 3), action_names[ACTION_REMOVE]) == 0;
		one->state = spi_get_text(i, 4);
		open = lappend(open, one);
	}
	return open;
}

/* Return what a requester has queued for a group, without a time, or under way: additions and removals, as IntentOpen pointers. */
List *
intent_list_open(const LaneKey *lane, Oid requester)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_datum(&args, ObjectIdGetDatum(requester));
	home_bind(&args);
	return intent_open_of_rows(spi_run(&list_open, &args));
}

/* The end of a membership is nobody's new wish. */
#define ASKED_SINCE(states) \
	"SELECT i.id, i.jid, i.action, i.state, greatest(" INTENT_ASKED_AT("i") ", i.not_before) AS at FROM wawp.membership_intent i" \
	" WHERE " states " AND i.home = $3 AND i.instance = $1 AND i.group_jid = $2 AND i.action IN ('add', 'invite', 'remove')" \
	" AND NOT i.superseded AND i.origin <> 'until' AND coalesce(i.not_before <= clock_timestamp(), true)" \
	" AND greatest(" INTENT_ASKED_AT("i") ", i.not_before) >= $4"

static SqlStatement list_latest = {
	"SELECT DISTINCT ON (w.jid) w.id, w.jid, w.action::text, w.state::text FROM ("
	ASKED_SINCE("i.state IN " STATES_UNDER_WAY)
	" UNION ALL " ASKED_SINCE("i.state = 'queued' AND i.id > 0 AND i.instance_id = wawp._account($1::name)")
	" UNION ALL " ASKED_SINCE("i.state = 'done' AND i.settled_at >= $4")
	") w ORDER BY w.jid, w.at DESC, w.id DESC",
	4, {TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID}, NULL
};

/*
 * Return what was last asked for, by anybody since that time, for each of a
 * group's people, and was neither cancelled nor failed, likewise; as it is now, also in
 * a transaction with an older snapshot.
 */
List *
intent_list_latest(const LaneKey *lane, TimestampTz since)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	home_bind(&args);
	spi_add_time(&args, since);
	return intent_open_of_rows(spi_run_seeing(&list_latest, &args, GetLatestSnapshot()));
}

static SqlStatement requester_of = {
	"SELECT requester FROM wawp.membership_intent WHERE id = $1",
	1, {INT8OID}, NULL
};

/* Return the role that requested an intent; InvalidOid if there is no such intent. */
Oid
intent_requester(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	return spi_run_seeing(&requester_of, &args, GetLatestSnapshot()) > 0 ? spi_get_oid(0, 1) : InvalidOid;
}

/*
 * ---- instances that are renamed
 */

/* Intents of an earlier instance of the new name give way to the same requests of the renamed one. */
static SqlStatement cancel_namesakes = {
	"WITH c AS (UPDATE wawp.membership_intent n SET state = 'cancelled',"
	" detail = 'the instance was dropped, and another one that asks for the same got its name',"
	" updated_at = clock_timestamp(), settled_at = clock_timestamp()"
	" WHERE n.state = 'queued' AND n.id > 0 AND n.instance = $2 AND EXISTS (SELECT FROM wawp.membership_intent o"
	"  WHERE o.state = 'queued' AND o.instance = $1 AND o.group_jid = n.group_jid AND o.jid = n.jid OFFSET 0)"
	" RETURNING n.*) " INSERT_NOTE NOTE_OF("cancelled") ", NULL, NULL FROM c",
	2, {TEXTOID, TEXTOID}, NULL
};

#define RENAME_INTENTS(which) { \
	"UPDATE wawp.membership_intent SET instance = $2 WHERE instance = $1 AND " which, \
	2, {TEXTOID, TEXTOID}, NULL \
}

/* Failed ones, too: they may be retried.  What is done or cancelled keeps the name it had. */
static SqlStatement rename_intents[] = {
	RENAME_INTENTS("state = 'queued' AND id > 0"),
	RENAME_INTENTS("state IN " STATES_UNDER_WAY),
	RENAME_INTENTS("state = 'failed' AND settled_at IS NOT NULL"),
};

/* Give the intents of an instance its new name. */
void
intent_rename_instance(const char *from, const char *to)
{
	SqlArgs		args = {0};

	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&cancel_namesakes, &args);
	for (size_t i = 0; i < lengthof(rename_intents); i++)
		spi_run(&rename_intents[i], &args);
}

#define OF_ANOTHER_ACCOUNT(states) "EXISTS (SELECT FROM wawp.membership_intent WHERE instance = $1" \
	" AND home = $2 AND instance_id <> wawp._account($1::name) AND " states ")"

static SqlStatement has_other_account = {
	"SELECT WHERE " OF_ANOTHER_ACCOUNT("state = 'queued' AND id > 0")
	" OR " OF_ANOTHER_ACCOUNT("state IN " STATES_UNDER_WAY),
	2, {TEXTOID, UUIDOID}, NULL
};

/* True if something of this home is queued or under way that was asked for with another account than the instance has now. */
bool
intent_has_other_account(const char *instance)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	home_bind(&args);
	return spi_run(&has_other_account, &args) > 0;
}

#define PRUNED_AT_ONCE 1000

/* One that is gone did not succeed, as far as those that wait for it can tell: it stays as long as there are some. */
static SqlStatement prune = {
	"WITH old AS MATERIALIZED (SELECT i.ctid AS place, i.settled_at FROM wawp.membership_intent i WHERE i.state IN " STATES_FINAL
	" AND i.settled_at >= $3 AND i.settled_at < (SELECT clock_timestamp() - $1 * interval '1 minute')"
	" AND NOT EXISTS (SELECT FROM wawp.membership_intent d WHERE d.home = i.home AND d.after = i.id AND d.state = 'queued' OFFSET 0)"
	" ORDER BY i.settled_at LIMIT $2 FOR UPDATE OF i SKIP LOCKED),"
	" gone AS (DELETE FROM wawp.membership_intent WHERE ctid = ANY (ARRAY(SELECT place FROM old)) RETURNING 1)"
	" SELECT count(*), max(settled_at) FROM old",
	3, {INT4OID, INT4OID, TIMESTAMPTZOID}, NULL
};

/*
 * Delete a portion of the intents that were settled before the retention, the
 * oldest first; true if there may be more.  The next portion begins where this
 * one ended: what was deleted is still in the index while somebody's old
 * snapshot may see it.
 */
bool
intent_prune(int retention_minutes)
{
	static TimestampTz from = DT_NOBEGIN;
	SqlArgs		args = {0};
	bool		is_full;

	spi_add_int4(&args, retention_minutes, true);
	spi_add_int4(&args, PRUNED_AT_ONCE, true);
	spi_add_datum(&args, TimestampTzGetDatum(from));
	spi_run(&prune, &args);
	is_full = spi_get_int8(0, 1, 0) == PRUNED_AT_ONCE;
	from = is_full ? spi_get_time(0, 2) : DT_NOBEGIN;
	return is_full;
}
