/*-------------------------------------------------------------------------
 *
 * adoption.c
 *	  The adoption of rows that were not made in this database.
 *
 * Intents, memberships and notes of another home came by a restore, by
 * replication or with a copy of the files, and are not served.  Here they are
 * counted and, when somebody asks for it, given this database's home, the
 * requesters that their names mean here and, where a request may have left
 * already, another state, beside the modules that own the tables.  The triggers that
 * know such rows when they arrive are kept as the extension made them.
 *
 * Statements run as intent.c's do, in the caller's transaction, in portions.
 * Locks: the rows that are adopted, for which an adoption waits, since a session
 * runs it.
 *
 * IDENTIFICATION
 *	  src/tables/adoption.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tables/adoption.h"
#include "tables/home.h"
#include "tables/intent.h"

#include "compat.h"

/* So many rows are changed at a time. */
#define ADOPTED_AT_ONCE 10000

/* The number of rows of another home, by the conditions that the index by home can serve. */
#define COUNT_FOREIGN(states, condition) \
	"(SELECT count(*) FROM wawp.membership_intent i WHERE " states " AND i.instance = $1 AND i.home " condition ")"
#define COUNT_ALL_FOREIGN(states) \
	COUNT_FOREIGN(states, "< $2") " + " COUNT_FOREIGN(states, "> $2") " + " COUNT_FOREIGN(states, "IS NULL")

static SqlStatement count_foreign = {
	"SELECT " COUNT_ALL_FOREIGN("i.state = 'queued' AND i.id > 0") " + " COUNT_ALL_FOREIGN("i.state IN " STATES_UNDER_WAY),
	2, {TEXTOID, UUIDOID}, NULL
};

/* Return how many intents of an instance wait to be adopted. */
int64
adoption_count(const char *instance)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance);
	home_bind(&args);
	spi_run(&count_foreign, &args);
	return spi_get_int8(0, 1, 0);
}

static SqlStatement is_foreign = {
	"SELECT FROM wawp.membership_intent WHERE id = $1 AND home IS DISTINCT FROM $2",
	2, {INT8OID, UUIDOID}, NULL
};

/* True if that is an intent of another home. */
bool
adoption_is_due(int64 id)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	home_bind(&args);
	return spi_run(&is_foreign, &args) > 0;
}

static SqlStatement foreign_instances = {
	"SELECT string_agg(DISTINCT quote_literal(i.instance), ', ') FROM wawp.membership_intent i"
	" WHERE i.state NOT IN " STATES_FINAL " AND i.home IS DISTINCT FROM $1",
	1, {UUIDOID}, NULL
};

/* Return the names of instances with intents to adopt, as a list; NULL: none. */
const char *
adoption_instances(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	spi_run(&foreign_instances, &args);
	return spi_get_text(0, 1);
}

/*
 * ---- adoption
 */

static SqlStatement homes_of_cluster = {
	"SELECT array_agg(home)::text FROM wawp.identity WHERE system_identifier = $1",
	1, {INT8OID}, NULL
};

/*
 * Return the homes of databases of this cluster, as an array's text: those of
 * the database that this one is a copy of are among them.
 */
const char *
adoption_cluster_homes(void)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, (int64) GetSystemIdentifier());
	spi_run(&homes_of_cluster, &args);
	return spi_get_text(0, 1);
}

/*
 * The role that is meant by a row's requester, NULL if there is none.  The oid
 * counts where it was looked up when the row was restored, or is of this
 * cluster ($6); any other may belong to another role here, so the name counts.
 */
#define ROLE_OF(row) \
	"coalesce((SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.oid = " row ".requester" \
	"  AND (" row ".home = " HOME_OF_RESTORED_ROWS " OR " row ".home = ANY ($6::uuid[])))," \
	" (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = " row ".requested_by))"

/* True if the role has the same as p queued here, for that time.  No index serves IS NOT DISTINCT FROM. */
#define REQUESTED_HERE(when) "EXISTS (SELECT FROM wawp.membership_intent o WHERE o.state = 'queued'" \
	" AND o.home = $3 AND o.home <> " HOME_OF_RESTORED_ROWS " AND o.instance = p.instance AND o.group_jid = p.group_jid" \
	" AND o.jid = p.jid AND o.requester = p.role AND o.not_before " when \
	" AND (o.action IN ('promote', 'demote')) = (p.action IN ('promote', 'demote')) OFFSET 0)"

/*
 * Adopts a portion of intents in the order of their ids.  The fate of each:
 * settled: it stays so; failed: nobody is there to send it as; cancelled: the
 * same was requested here; unknown: it may have been sent, and is not repeated;
 * doubt: it may have been sent, and is looked at; live: all others.  Whoever had
 * it before may have served one that was due, so that is marked.
 */
static SqlStatement adopt_intents = {
	"WITH page AS MATERIALIZED (SELECT i.*, " ROLE_OF("i") " AS role FROM wawp.membership_intent i"
	"  WHERE i.id > $4 AND i.instance = $1 AND i.home IS DISTINCT FROM $3 AND i.created_at <= $2"
	"  ORDER BY i.id LIMIT $5 FOR UPDATE OF i),"
	" judged AS MATERIALIZED (SELECT p.id, p.role, CASE WHEN p.state IN " STATES_FINAL " THEN 'settled'"
	"  WHEN p.role IS NULL THEN 'failed'"
	"  WHEN p.state = 'queued' AND (row_number() OVER (PARTITION BY p.state, p.group_jid, p.jid,"
	"    p.action IN ('promote', 'demote'), p.role, p.not_before ORDER BY p.id) > 1"
	"   OR CASE WHEN p.not_before IS NULL THEN " REQUESTED_HERE("IS NULL") " ELSE " REQUESTED_HERE("= p.not_before") " END) THEN 'cancelled'"
	"  WHEN p.state = 'inviting' OR p.state = 'queued' AND p.action = 'invite' AND coalesce(p.not_before <= clock_timestamp(), true)"
	"   OR p.state = 'sending' AND (p.action = 'invite' OR p.outcome = 'invited') THEN 'unknown'"
	"  WHEN p.state = 'sending' THEN 'doubt' ELSE 'live' END AS fate,"
	"  p.state NOT IN " STATES_FINAL " AND p.action IN ('add', 'invite')"
	"   AND coalesce(p.not_before <= clock_timestamp(), true) AS was_due FROM page p),"
	" mine AS (UPDATE wawp.membership_intent i SET home = $3, requester = coalesce(j.role, 0),"
	"  state = CASE j.fate WHEN 'failed' THEN 'failed' WHEN 'unknown' THEN 'failed' WHEN 'cancelled' THEN 'cancelled'"
	"   WHEN 'doubt' THEN 'verifying' ELSE i.state END,"
	"  outcome = CASE WHEN j.fate IN ('unknown', 'doubt') THEN 'unknown_result' ELSE i.outcome END,"
	"  detail = CASE j.fate WHEN 'failed' THEN 'taken over, but there is no role \"' || i.requested_by || '\" to send it as'"
	"   WHEN 'unknown' THEN 'it may have been sent before it was taken over; an invitation is not repeated by itself'"
	"   WHEN 'cancelled' THEN 'the same was asked for here before it was taken over'"
	"   WHEN 'doubt' THEN 'in doubt: taken over while the request was on its way' ELSE i.detail END,"
	"  next_attempt_at = CASE j.fate WHEN 'doubt' THEN clock_timestamp() WHEN 'live' THEN i.next_attempt_at END,"
	"  updated_at = CASE WHEN j.fate IN ('settled', 'live') THEN i.updated_at ELSE clock_timestamp() END,"
	"  settled_at = CASE WHEN j.fate IN ('failed', 'unknown', 'cancelled') THEN clock_timestamp() ELSE i.settled_at END,"
	"  requested_from = CASE WHEN j.was_due THEN coalesce(i.requested_from, '{}')"
	"   || jsonb_build_object('" KEY_TAKEN_OVER "', extract(epoch FROM i.updated_at)) ELSE i.requested_from END"
	"  FROM judged j WHERE i.id = ANY (ARRAY(SELECT id FROM judged)) AND i.id = j.id RETURNING i.id, j.fate)"
	" SELECT count(*), max(id), count(*) FILTER (WHERE fate IN ('live', 'doubt')), count(*) FILTER (WHERE fate = 'settled'),"
	" count(*) FILTER (WHERE fate = 'failed'), count(*) FILTER (WHERE fate = 'cancelled'),"
	" count(*) FILTER (WHERE fate = 'unknown') FROM mine",
	6, {TEXTOID, TIMESTAMPTZOID, UUIDOID, INT8OID, INT4OID, TEXTOID}, NULL
};

/* Adopt the intents of an instance that were requested by then. */
static void
adoption_of_intents(const char *instance, TimestampTz before, const char *cluster, Adoption *adoption)
{
	int64		last = PG_INT64_MIN;
	int64		n;

	do
	{
		SqlArgs		args = {0};

		CHECK_FOR_INTERRUPTS();
		spi_add_text(&args, instance);
		spi_add_time(&args, before);
		home_bind(&args);
		spi_add_int8(&args, last);
		spi_add_int4(&args, ADOPTED_AT_ONCE, true);
		spi_add_text(&args, cluster);
		spi_run(&adopt_intents, &args);
		n = spi_get_int8(0, 1, 0);
		last = spi_get_int8(0, 2, last);
		adoption->live += spi_get_int8(0, 3, 0);
		adoption->settled += spi_get_int8(0, 4, 0);
		adoption->failed += spi_get_int8(0, 5, 0);
		adoption->cancelled += spi_get_int8(0, 6, 0);
		adoption->unknown += spi_get_int8(0, 7, 0);
	} while (n == ADOPTED_AT_ONCE);
}

/* Adopts a portion of memberships in the order of their keys.  Whoever has not been welcomed may have been since. */
static SqlStatement adopt_memberships = {
	"WITH page AS MATERIALIZED (SELECT m.ctid AS place, m.group_jid, m.contact_id, " ROLE_OF("m") " AS role FROM wawp.membership m"
	"  WHERE m.instance = $1::name AND (m.group_jid, m.contact_id) > ($4, $7) AND m.home IS DISTINCT FROM $3"
	"  AND coalesce(m.added_at, m.invited_at, '-infinity') <= $2"
	"  ORDER BY m.group_jid, m.contact_id LIMIT $5 FOR UPDATE OF m),"
	" mine AS (UPDATE wawp.membership m SET home = $3, requester = coalesce(p.role, 0),"
	"  welcomed_at = coalesce(m.welcomed_at, clock_timestamp())"
	"  FROM page p WHERE m.ctid = ANY (ARRAY(SELECT place FROM page)) AND m.ctid = p.place RETURNING p.group_jid, p.contact_id)"
	" SELECT group_jid, contact_id, (SELECT count(*) FROM mine) FROM mine ORDER BY group_jid DESC, contact_id DESC LIMIT 1",
	7, {TEXTOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, INT4OID, TEXTOID, INT8OID}, NULL
};

/* Adopt the memberships of an instance that were noted by then; return how many. */
static int64
adoption_of_memberships(const char *instance, TimestampTz before, const char *cluster)
{
	const char *group = "";
	int64		contact = PG_INT64_MIN;
	int64		all = 0;
	int64		n;

	do
	{
		SqlArgs		args = {0};

		CHECK_FOR_INTERRUPTS();
		spi_add_text(&args, instance);
		spi_add_time(&args, before);
		home_bind(&args);
		spi_add_text(&args, group);
		spi_add_int4(&args, ADOPTED_AT_ONCE, true);
		spi_add_text(&args, cluster);
		spi_add_int8(&args, contact);
		if (spi_run(&adopt_memberships, &args) == 0)
			break;
		group = spi_get_text(0, 1);
		contact = spi_get_int8(0, 2, 0);
		n = spi_get_int8(0, 3, 0);
		all += n;
	} while (n == ADOPTED_AT_ONCE);
	return all;
}

/* Notes about the opt-out list have no instance. */
static SqlStatement adopt_notes = {
	"UPDATE wawp.audit_note SET home = $2 WHERE home IS DISTINCT FROM $2 AND coalesce(instance = $1::name, true)",
	2, {TEXTOID, UUIDOID}, NULL
};

/*
 * Make the rows of an instance that were made by then those of this database,
 * and write to *adoption what became of them.  cluster: adoption_cluster_homes(),
 * called before this database got another home.
 */
void
adoption_run(const char *instance, TimestampTz before, const char *cluster, Adoption *adoption)
{
	SqlArgs		args = {0};

	memset(adoption, 0, sizeof(*adoption));
	adoption_of_intents(instance, before, cluster, adoption);
	adoption->memberships = adoption_of_memberships(instance, before, cluster);
	spi_add_text(&args, instance);
	home_bind(&args);
	spi_run(&adopt_notes, &args);
}

/*
 * ---- triggers by which rows are known when they arrive
 */

/*
 * After ALTER TABLE ... ENABLE TRIGGER ALL, as pg_restore --disable-triggers ends,
 * all of them fire in ordinary sessions only.
 */
static SqlStatement changed_triggers = {
	"SELECT format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::regclass, w.fires, t.tgname), t.tgname,"
	" t.tgrelid::regclass::text"
	" FROM (VALUES ('membership_intent', 'fill', 'ALWAYS'), ('membership_intent', 'arrived', 'REPLICA'),"
	" ('membership', 'arrived', 'ALWAYS'), ('membership', 'arrived_again', 'REPLICA')) w (relation, name, fires)"
	" JOIN pg_catalog.pg_trigger t ON t.tgrelid = ('wawp.' || w.relation)::regclass AND t.tgname = w.name"
	" WHERE t.tgenabled = 'O'",
	0, {0}, NULL
};

/* A trigger that fires when it should not. */
typedef struct ChangedTrigger
{
	const char *statement;
	const char *name;
	const char *table;
} ChangedTrigger;

static bool
trigger_mend(void *subject)
{
	const ChangedTrigger *changed = subject;

	/* who waits for a lock lets nobody pass */
	spi_run_utility(psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE NOWAIT", changed->table));
	spi_run_utility(changed->statement);
	return true;
}

/*
 * Let the triggers fire in the sessions for which the extension made them.  What
 * cannot be changed, because the table is in use or DDL is refused, is tried
 * again with the next call.
 */
void
adoption_mend_triggers(void)
{
	uint64		n = spi_run(&changed_triggers, NULL);
	ChangedTrigger *changed = palloc(sizeof(ChangedTrigger) * Max(n, 1));

	for (uint64 i = 0; i < n; i++)
	{
		changed[i].statement = pstrdup(spi_get_text(i, 1));
		changed[i].name = pstrdup(spi_get_text(i, 2));
		changed[i].table = pstrdup(spi_get_text(i, 3));
	}
	for (uint64 i = 0; i < n; i++)
		if (subtransaction_try(trigger_mend, &changed[i]) == NULL)
			ereport(LOG,
					(errmsg("trigger \"%s\" of table \"%s\" fires as the extension made it again",
							changed[i].name, changed[i].table),
					 errhint("ALTER TABLE ... ENABLE TRIGGER ALL, as pg_restore --disable-triggers ends, changes that.")));
}
