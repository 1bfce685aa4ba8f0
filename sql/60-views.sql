
-- ---- looking: each shows a role what it may see of the tables below it

CREATE VIEW wawp.queue WITH (security_invoker) AS
	SELECT i.instance, i.group_jid, count(*) AS queued,
		count(*) FILTER (WHERE coalesce(i.not_before, '-infinity') <= pg_catalog.clock_timestamp()
			AND coalesce(i.next_attempt_at, '-infinity') <= pg_catalog.clock_timestamp()) AS due,
		min(greatest(i.not_before, i.next_attempt_at)) AS next_at,
		(SELECT h.reason FROM wawp.hold h WHERE h.instance = i.instance
			AND (h.group_jid IS NULL OR h.group_jid = i.group_jid)
			AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
			ORDER BY h.group_jid NULLS FIRST LIMIT 1) AS held_by,
		pg_catalog.clock_timestamp() + wawp._drain_time(i.instance, count(*)) AS eta
	FROM wawp.membership_intent i
	WHERE i.state = 'queued'
	GROUP BY i.instance, i.group_jid;
COMMENT ON VIEW wawp.queue IS 'what is queued, a row per group; eta is what the pace allows if nothing else is in the way';

CREATE VIEW wawp.progress WITH (security_invoker) AS
	SELECT b.batch_id, b.total, b.done, b.failed, b.cancelled, b.pct, b.eta,
		repeat('#', (b.pct / 5)::int) || repeat('.', 20 - (b.pct / 5)::int) AS bar
	FROM (
		SELECT i.batch_id, count(*) AS total,
			count(*) FILTER (WHERE i.state = 'done') AS done,
			count(*) FILTER (WHERE i.state = 'failed') AS failed,
			count(*) FILTER (WHERE i.state = 'cancelled') AS cancelled,
			floor(100.0 * count(*) FILTER (WHERE i.state IN ('done', 'failed', 'cancelled')) / count(*))::int AS pct,
			pg_catalog.clock_timestamp() + wawp._drain_time(min(i.instance::text)::name,
				count(*) FILTER (WHERE i.state = 'queued')) AS eta
		FROM wawp.membership_intent i
		WHERE i.batch_id IS NOT NULL
		GROUP BY i.batch_id) b;
COMMENT ON VIEW wawp.progress IS 'how far each batch is';

CREATE VIEW wawp.stuck WITH (security_invoker) AS
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(h.reason, i.detail, i.outcome::text) AS why
	FROM wawp.membership_intent i
	LEFT JOIN LATERAL (SELECT h.reason FROM wawp.hold h WHERE i.state = 'queued' AND h.instance = i.instance
		AND (h.group_jid IS NULL OR h.group_jid = i.group_jid)
		AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		ORDER BY h.group_jid NULLS FIRST LIMIT 1) h ON true
	WHERE i.state = 'failed' AND i.outcome = 'unknown_result'
		OR i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
		OR i.state = 'verifying' AND (i.outcome = 'unknown_result'
			OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
		OR i.state = 'queued' AND (h.reason IS NOT NULL OR i.attempts > 0 OR i.crashes > 0)
		OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes';
COMMENT ON VIEW wawp.stuck IS 'what does not get on, and why';

CREATE VIEW wawp.funnel WITH (security_invoker) AS
	SELECT f.instance, f.group_jid, f.batch_id, f.asked, f.added, f.already, f.invited, f.joined_by_invite,
		f.waiting, f.refused
	FROM (
		SELECT i.instance, i.group_jid, i.batch_id, count(*) AS asked,
			count(*) FILTER (WHERE i.state = 'done' AND i.outcome IN ('added', 'accepted')) AS added,
			count(*) FILTER (WHERE i.outcome = 'already_member') AS already,
			count(*) FILTER (WHERE i.outcome IN ('invited', 'joined_by_invite')) AS invited,
			count(*) FILTER (WHERE i.outcome = 'joined_by_invite') AS joined_by_invite,
			count(*) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')) AS waiting,
			(SELECT pg_catalog.jsonb_object_agg(r.outcome, r.n) FROM (
				SELECT coalesce(x.outcome::text, 'unknown') AS outcome, count(*) AS n
				FROM wawp.membership_intent x
				WHERE x.state = 'failed' AND x.action IN ('add', 'invite') AND x.instance = i.instance
					AND x.group_jid = i.group_jid AND x.batch_id IS NOT DISTINCT FROM i.batch_id
				GROUP BY 1) r) AS refused
		FROM wawp.membership_intent i
		WHERE i.action IN ('add', 'invite')
		GROUP BY i.instance, i.group_jid, i.batch_id) f;
COMMENT ON VIEW wawp.funnel IS
	'what became of people asked into each group, by batch; refused counts the failed by reason';

CREATE VIEW wawp.budget WITH (security_invoker) AS
	SELECT s.srvname AS instance, b.adds_left_minute, b.adds_left_day, b.next_at
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp',
	LATERAL wawp._budget(s.srvname) b
	WHERE wawp._may_use(s.srvname);
COMMENT ON VIEW wawp.budget IS 'how many adds each instance has left; NULL means no limit';

CREATE VIEW wawp.instance WITH (security_invoker) AS
	SELECT s.srvname AS name,
		coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'base_url'), 'https://api.wawp.net') AS base_url,
		(SELECT pg_catalog.jsonb_object_agg(o.option_name, o.option_value)
			FROM pg_catalog.pg_options_to_table(s.srvoptions) o) AS options,
		wawp._worker_pid() AS worker_pid,
		(SELECT h.reason FROM wawp.hold h WHERE h.instance = s.srvname AND h.group_jid IS NULL
			AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())) AS held_by,
		(SELECT h.reason FROM wawp.hold h WHERE h.instance = s.srvname
			ORDER BY h.since DESC LIMIT 1) AS last_error
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp'
	WHERE wawp._may_use(s.srvname);
COMMENT ON VIEW wawp.instance IS 'the Wawp accounts that the role may use, and how they are';
