/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

-- ---- lanes, instances and requesters that are not served for now

ALTER TABLE wawp.hold ADD COLUMN paused_by oid;
COMMENT ON COLUMN wawp.hold.paused_by IS 'the role that paused it, by oid; counts towards its wawp.max_holds_per_role';
CREATE INDEX hold_paused_by ON wawp.hold (paused_by) WHERE paused_by IS NOT NULL;

-- Requesters whose own credentials an instance refuses: a failure of one's token is nobody else's.
CREATE TABLE wawp.requester_hold (
	instance	name,
	requester	oid,
	reason		text COLLATE "C" NOT NULL,
	since		timestamptz NOT NULL,
	until		timestamptz NOT NULL,
	failures	int NOT NULL DEFAULT 0,
	trial		bool NOT NULL DEFAULT false,
	PRIMARY KEY (instance, requester)
);
COMMENT ON TABLE wawp.requester_hold IS 'roles that an instance does not serve for now, since their own token is refused or they have none';
COMMENT ON COLUMN wawp.requester_hold.instance IS 'the instance';
COMMENT ON COLUMN wawp.requester_hold.requester IS 'the role, by oid; intents of others are served';
COMMENT ON COLUMN wawp.requester_hold.reason IS 'an outcome, or what is wrong with the role''s user mapping';
COMMENT ON COLUMN wawp.requester_hold.since IS 'when it began';
COMMENT ON COLUMN wawp.requester_hold.until IS 'when it is tried again; earlier when the user mapping changes, or by wawp_resume()';
COMMENT ON COLUMN wawp.requester_hold.failures IS 'how often in a row it ended this way; the next wait grows with it';
COMMENT ON COLUMN wawp.requester_hold.trial IS 'a request is under way that tries it again';
ALTER TABLE wawp.requester_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON wawp.requester_hold FOR SELECT USING (wawp._is_own(requester));
GRANT SELECT ON wawp.requester_hold TO PUBLIC;

-- ---- views

CREATE OR REPLACE VIEW wawp.stuck WITH (security_invoker) AS
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(i.detail, i.outcome::text) AS why
	FROM wawp.membership_intent i
	WHERE NOT (SELECT wawp._is_monitor())
		AND (i.state = 'failed' AND i.outcome = 'unknown_result'
		OR i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
		OR i.state = 'verifying' AND (i.outcome = 'unknown_result'
			OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
		OR i.state = 'queued' AND (i.attempts > 0 OR i.crashes > 0)
		OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
	UNION ALL
	-- a row for all that are queued in a lane that is held; its id is the first one's
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL, l.since,
		'held: ' || h.reason || '; ' || l.queued || ' queued'
	FROM (SELECT q.instance, q.group_jid, min(q.id) AS id, min(q.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent q
		WHERE q.state = 'queued' AND q.id > 0 AND q.instance IN (SELECT x.instance FROM wawp.hold x)
			AND NOT (SELECT wawp._is_monitor())
		GROUP BY q.instance, q.group_jid) l
	JOIN LATERAL (SELECT h.reason FROM wawp.hold h WHERE h.instance = l.instance
		AND (h.group_jid IS NULL OR h.group_jid = l.group_jid)
		AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true
	UNION ALL
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL, l.since,
		'held: role ' || pg_catalog.pg_get_userbyid(l.requester) || ': ' || r.reason || '; ' || l.queued || ' queued'
	FROM (SELECT q.instance, q.group_jid, q.requester, min(q.id) AS id, min(q.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent q
		WHERE q.state = 'queued' AND q.id > 0 AND q.instance IN (SELECT x.instance FROM wawp.requester_hold x)
			AND NOT (SELECT wawp._is_monitor())
		GROUP BY q.instance, q.group_jid, q.requester) l
	JOIN wawp.requester_hold r ON r.instance = l.instance AND r.requester = l.requester
		AND r.until > pg_catalog.clock_timestamp()
	UNION ALL
	SELECT f.id, f.instance, f.group_jid, f.jid, f.state, f.outcome, f.since, f.why FROM wawp._stuck_figures() f
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, w.since, w.why FROM wawp._worker_status() w WHERE w.why IS NOT NULL;

CREATE OR REPLACE VIEW wawp.instance WITH (security_invoker) AS
	SELECT s.srvname AS name,
		coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'base_url'), 'https://api.wawp.net') AS base_url,
		(SELECT pg_catalog.jsonb_object_agg(o.option_name, o.option_value)
			FROM pg_catalog.pg_options_to_table(s.srvoptions) o) AS options,
		wawp._worker_pid() AS worker_pid,
		(SELECT CASE WHEN h.reason OPERATOR(pg_catalog.=) 'restored copy' THEN 'copy' ELSE h.reason END
			FROM (SELECT x.reason FROM wawp.hold x
				WHERE x.instance OPERATOR(pg_catalog.=) s.srvname AND x.group_jid IS NULL
					AND (x.until IS NULL OR x.until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())
				UNION ALL
				SELECT r.reason FROM wawp.requester_hold r
				WHERE r.instance OPERATOR(pg_catalog.=) s.srvname
					AND r.requester OPERATOR(pg_catalog.=) (SELECT u.oid FROM pg_catalog.pg_roles u
						WHERE u.rolname OPERATOR(pg_catalog.=) CURRENT_USER)
					AND r.until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
				UNION ALL
				SELECT f.held_by FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname AND f.held_by IS NOT NULL) h
			LIMIT 1) AS held_by,
		COALESCE((SELECT w.why FROM wawp._worker_status() w),
			(SELECT h.reason FROM wawp.hold h WHERE h.instance OPERATOR(pg_catalog.=) s.srvname
				ORDER BY h.since DESC LIMIT 1),
			(SELECT f.last_reason FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname)) AS last_error
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp'
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON COLUMN wawp.instance.held_by IS 'why the whole instance is held, or the role''s own intents for it; NULL when they are not';
