/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

-- ---- 40-queue: an intent is served only by the account that it was asked for with

DROP INDEX wawp.membership_intent_lane, wawp.membership_intent_other;
-- The head of a lane, of each account that was asked with.  The condition on id is always true; it keeps this index out
-- of plans that search for one person, which would read the whole lane if they were made while the queue was empty.
CREATE INDEX membership_intent_lane ON wawp.membership_intent
	(instance, group_jid, instance_id, priority DESC, id) WHERE state = 'queued' AND id > 0;
-- Intents that do not wait for the pace of additions; small.
CREATE INDEX membership_intent_other ON wawp.membership_intent
	(instance, group_jid, instance_id, priority DESC, id) WHERE state = 'queued' AND action <> 'add';

CREATE FUNCTION wawp._account(instance name) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_account';
COMMENT ON FUNCTION wawp._account(name) IS
	'the Wawp id of an instance as it is now; NULL when there is no such instance';

CREATE FUNCTION wawp._account_problem(instance name, asked_with text) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'wawp_account_problem';
COMMENT ON FUNCTION wawp._account_problem(name, text) IS
	'why an instance does not serve what was asked for with that Wawp id; NULL when it does';

-- ---- 45-policy

ALTER TABLE wawp.membership ADD COLUMN instance_id text COLLATE "C";
COMMENT ON COLUMN wawp.membership.instance_id IS 'the Wawp id of the instance that serves it; another account neither welcomes nor removes the person';

-- ---- 50-audit

ALTER TABLE wawp.hold ADD COLUMN instance_id text COLLATE "C";
COMMENT ON COLUMN wawp.hold.instance_id IS 'the instance''s Wawp id when it was held; the hold ends if the instance is created anew for another';

-- ---- 60-views

CREATE OR REPLACE VIEW wawp.stuck WITH (security_invoker) AS
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(CASE WHEN i.state <> 'failed' THEN wawp._account_problem(i.instance::name, i.instance_id) END,
			i.detail, i.outcome::text) AS why
	FROM wawp.membership_intent i
	WHERE NOT (SELECT wawp._is_monitor())
		AND (i.state = 'failed' AND i.outcome = 'unknown_result'
		OR i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
		OR i.state = 'verifying' AND (i.outcome = 'unknown_result'
			OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
		OR i.state = 'queued' AND (i.attempts > 0 OR i.crashes > 0)
		OR i.state IN ('verifying', 'inviting', 'invited', 'pending_approval')
			AND i.instance_id IS DISTINCT FROM wawp._account(i.instance::name)
		OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
	UNION ALL
	-- a row for all that are queued in a group with an account that the instance does not have now; its id is the first one's
	SELECT o.id, o.instance, o.group_jid, NULL, 'queued', NULL, o.since,
		wawp._account_problem(o.instance::name, o.instance_id) || '; ' || o.queued || ' queued'
	FROM (SELECT q.instance, q.group_jid, q.instance_id, min(q.id) AS id, min(q.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent q
		LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
			ON a.srvname = q.instance
		WHERE q.state = 'queued' AND q.id > 0 AND q.attempts = 0 AND q.crashes = 0
			AND q.instance_id IS DISTINCT FROM a.account AND NOT (SELECT wawp._is_monitor())
		GROUP BY q.instance, q.group_jid, q.instance_id) o
	UNION ALL
	-- a row for all that are queued in a lane that is held; its id is the first one's
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL, l.since,
		'held: ' || h.reason || '; ' || l.queued || ' queued'
	FROM (SELECT q.instance, q.group_jid, min(q.id) AS id, min(q.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent q
		WHERE q.state = 'queued' AND q.id > 0 AND q.instance IN (SELECT x.instance FROM wawp.hold x)
			AND q.instance_id = wawp._account(q.instance::name)
			AND NOT (SELECT wawp._is_monitor())
		GROUP BY q.instance, q.group_jid) l
	JOIN LATERAL (SELECT h.reason FROM wawp.hold h WHERE h.instance = l.instance
		AND (h.group_jid IS NULL OR h.group_jid = l.group_jid)
		AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true
	UNION ALL
	SELECT f.id, f.instance, f.group_jid, f.jid, f.state, f.outcome, f.since, f.why FROM wawp._stuck_figures() f
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, w.since, w.why FROM wawp._worker_status() w WHERE w.why IS NOT NULL;
