
-- ---- views: each shows a role what it may see of the tables below it

CREATE VIEW wawp.queue WITH (security_invoker) AS
	SELECT q.instance, q.group_jid, count(*) AS queued,
		count(*) FILTER (WHERE q.is_served AND q.held_until IS NULL
			AND coalesce(greatest(q.not_before, q.next_attempt_at), '-infinity') <= pg_catalog.clock_timestamp()) AS due,
		min(greatest(q.not_before, q.next_attempt_at, q.held_until)) FILTER (WHERE q.is_served) AS next_at,
		CASE WHEN count(*) FILTER (WHERE q.is_ours) = 0 THEN 'not taken over'
			WHEN count(*) FILTER (WHERE q.is_served) = 0 THEN 'another account'
			ELSE coalesce((SELECT h.reason FROM wawp.hold h WHERE h.instance = q.instance
					AND (h.group_jid IS NULL OR h.group_jid = q.group_jid)
					AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
					ORDER BY h.group_jid NULLS FIRST LIMIT 1),
				CASE WHEN bool_and(q.held_until IS NOT NULL) FILTER (WHERE q.is_served)
					THEN min(q.held_by) FILTER (WHERE q.is_served) END) END AS held_by,
		pg_catalog.clock_timestamp() + wawp._drain_time(q.instance,
			nullif(count(*) FILTER (WHERE q.is_served), 0)) AS eta
	FROM (SELECT i.instance, i.group_jid, i.not_before, i.next_attempt_at,
			i.home = (SELECT wawp._home()) AS is_ours,
			i.home = (SELECT wawp._home()) AND i.instance_id = a.account AS is_served,
			r.until AS held_until, r.reason AS held_by
		-- The index begins with the home: ours, those below and above it, and none, so that one group's rows are
		-- found in it.  A copy has no home, and all rows are below.  The condition on id is always true and makes
		-- the lane's partial index usable.  A range, of which both ends are named, is taken for a
		-- small one by the planner, and read by that index.
		FROM (SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0
				AND o.home >= '00000000-0000-0000-0000-000000000000'
				AND o.home < (SELECT coalesce(wawp._home(), 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home > (SELECT wawp._home())
				AND o.home <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'
			UNION ALL SELECT o.instance, o.group_jid, o.home, o.instance_id, o.requester, o.not_before, o.next_attempt_at
			FROM wawp.membership_intent o WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NULL) i
		LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
			ON a.srvname = i.instance
		LEFT JOIN wawp.requester_hold r ON r.instance = i.instance AND r.requester = i.requester
			AND r.until > pg_catalog.clock_timestamp()
		WHERE NOT (SELECT wawp._is_monitor())) q
	GROUP BY q.instance, q.group_jid
	UNION ALL
	SELECT f.instance, f.group_jid, f.queued, f.due, f.next_at, f.held_by, f.eta FROM wawp._queue_figures() f;
COMMENT ON VIEW wawp.queue IS 'what is queued, a row per group; eta is what the pace allows if nothing else is in the way';
COMMENT ON COLUMN wawp.queue.instance IS 'the instance';
COMMENT ON COLUMN wawp.queue.group_jid IS 'the group';
COMMENT ON COLUMN wawp.queue.queued IS 'intents that are queued';
COMMENT ON COLUMN wawp.queue.due IS 'those that could go now but for pace and holds of instance and group; never ones that were restored or replicated, are of another account or whose requester is held';
COMMENT ON COLUMN wawp.queue.next_at IS 'the earliest time at which one that is not due becomes due';
COMMENT ON COLUMN wawp.queue.held_by IS 'why the instance, the group or the requesters of all are held; NULL when they are not; "not taken over" when all were restored or replicated, "another account" when the instance has another one now than all were asked for with';
COMMENT ON COLUMN wawp.queue.eta IS 'when the last one leaves at the instance''s pace if no other group''s come before it; NULL when that is not known or beyond a century';

CREATE VIEW wawp.progress WITH (security_invoker) AS
	SELECT b.batch_id, b.total, b.done, b.failed, b.cancelled, b.pct, b.eta,
		repeat('#', (b.pct / 5)::int) || repeat('.', 20 - (b.pct / 5)::int) AS bar
	FROM (
		SELECT i.batch_id, count(*) AS total,
			count(*) FILTER (WHERE i.state = 'done') AS done,
			count(*) FILTER (WHERE i.state = 'failed') AS failed,
			count(*) FILTER (WHERE i.state = 'cancelled') AS cancelled,
			floor(100.0 * count(*) FILTER (WHERE i.state IN ('done', 'failed', 'cancelled')) / count(*))::int AS pct,
			CASE WHEN count(*) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')
				AND (i.home IS DISTINCT FROM (SELECT wawp._home()) OR i.instance_id IS DISTINCT FROM a.account)) = 0
				THEN pg_catalog.clock_timestamp() + wawp._drain_time(min(i.instance::text)::name,
					nullif(count(*) FILTER (WHERE i.state = 'queued'), 0)) END AS eta
		FROM wawp.membership_intent i
		LEFT JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
			ON a.srvname = i.instance
		WHERE i.batch_id IS NOT NULL AND NOT (SELECT wawp._is_monitor())
		GROUP BY i.batch_id
		UNION ALL
		SELECT f.batch_id, f.total, f.done, f.failed, f.cancelled, f.pct, f.eta FROM wawp._progress_figures() f) b;
COMMENT ON VIEW wawp.progress IS 'progress of each batch';
COMMENT ON COLUMN wawp.progress.batch_id IS 'the batch';
COMMENT ON COLUMN wawp.progress.total IS 'intents of the batch';
COMMENT ON COLUMN wawp.progress.done IS 'those done';
COMMENT ON COLUMN wawp.progress.failed IS 'those failed';
COMMENT ON COLUMN wawp.progress.cancelled IS 'those cancelled';
COMMENT ON COLUMN wawp.progress.pct IS 'how many of a hundred are settled';
COMMENT ON COLUMN wawp.progress.eta IS 'when the last one leaves at the pace; NULL when none is queued, when that is not known, or some are not taken over or wait for another account';
COMMENT ON COLUMN wawp.progress.bar IS 'pct as a bar of 20 characters';

CREATE VIEW wawp.stuck WITH (security_invoker) AS
	-- Nothing here reads all that is queued: lanes are found one after the other in their index, and the rows of those
	-- that are held are counted there.
	WITH RECURSIVE server AS MATERIALIZED (
		SELECT s.srvname::text COLLATE "C" AS instance, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s),
	-- the homes and accounts with which something is queued in each lane
	lane AS (
		(SELECT o.home, o.instance, o.group_jid, o.instance_id
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NOT NULL AND NOT (SELECT wawp._is_monitor())
		ORDER BY o.home, o.instance, o.group_jid, o.instance_id LIMIT 1)
		UNION ALL
		SELECT n.home, n.instance, n.group_jid, n.instance_id
		FROM lane l, LATERAL (SELECT o.home, o.instance, o.group_jid, o.instance_id
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0
				AND (o.home, o.instance, o.group_jid, o.instance_id) > (l.home, l.instance, l.group_jid, l.instance_id)
			ORDER BY o.home, o.instance, o.group_jid, o.instance_id LIMIT 1) n),
	-- the homes and lanes in which something was sent and is not settled
	busy_lane AS (
		(SELECT o.home, o.instance, o.group_jid
		FROM wawp.membership_intent o
		WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval') AND o.home IS NOT NULL
			AND NOT (SELECT wawp._is_monitor())
		ORDER BY o.home, o.instance, o.group_jid LIMIT 1)
		UNION ALL
		SELECT n.home, n.instance, n.group_jid
		FROM busy_lane l, LATERAL (SELECT o.home, o.instance, o.group_jid
			FROM wawp.membership_intent o
			WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')
				AND (o.home, o.instance, o.group_jid) > (l.home, l.instance, l.group_jid)
			ORDER BY o.home, o.instance, o.group_jid LIMIT 1) n),
	busy AS MATERIALIZED (
		SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.detail, i.updated_at, i.instance_id,
			coalesce(l.home = (SELECT wawp._home()), false) AS is_ours
		-- OFFSET keeps the planner from reading the whole table once instead
		FROM busy_lane l, LATERAL (SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id
			FROM wawp.membership_intent o
			WHERE o.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval')
				AND o.home = l.home AND o.instance = l.instance AND o.group_jid = l.group_jid OFFSET 0) i
		UNION ALL
		SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.detail, i.updated_at, i.instance_id, false
		FROM wawp.membership_intent i
		WHERE i.state IN ('sending', 'verifying', 'inviting', 'invited', 'pending_approval') AND i.home IS NULL
			AND NOT (SELECT wawp._is_monitor()))
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at AS since,
		coalesce(CASE WHEN i.state <> 'failed' THEN wawp._account_problem(i.instance::name, i.instance_id) END,
			i.detail, i.outcome::text) AS why
	-- A range, of which both ends are named, is taken for a small one by the planner, and read by the index of these.
	FROM (SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id, o.home
		FROM wawp.membership_intent o
		WHERE (o.state = 'failed' AND (o.outcome = 'unknown_result' OR o.origin = 'until') OR o.state = 'queued' AND (o.attempts > 0 OR o.crashes > 0))
			AND o.home >= '00000000-0000-0000-0000-000000000000' AND o.home <= (SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
		UNION ALL
		SELECT o.id, o.instance, o.group_jid, o.jid, o.state, o.outcome, o.detail, o.updated_at, o.instance_id, o.home
		FROM wawp.membership_intent o
		WHERE (o.state = 'failed' AND (o.outcome = 'unknown_result' OR o.origin = 'until') OR o.state = 'queued' AND (o.attempts > 0 OR o.crashes > 0))
			AND o.home IS NULL) i
	WHERE (i.state = 'failed' OR i.home = (SELECT wawp._home())) AND NOT (SELECT wawp._is_monitor())
	UNION ALL
	SELECT i.id, i.instance, i.group_jid, i.jid, i.state, i.outcome, i.updated_at,
		coalesce(wawp._account_problem(i.instance::name, i.instance_id), i.detail, i.outcome::text)
	FROM busy i LEFT JOIN server s ON s.instance = i.instance
	WHERE i.is_ours
		AND (i.state = 'inviting' AND i.updated_at < pg_catalog.clock_timestamp() - interval '1 hour'
			OR i.state = 'verifying' AND (i.outcome = 'unknown_result' OR i.detail LIKE 'could not be verified:%'
				OR i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
			OR i.state IN ('verifying', 'inviting', 'invited', 'pending_approval') AND i.instance_id IS DISTINCT FROM s.account
			OR i.state = 'sending' AND i.updated_at < pg_catalog.clock_timestamp() - interval '5 minutes')
	UNION ALL
	-- a row for all of a group and state that this database does not serve; its id is the first one's
	SELECT min(i.id), i.instance, i.group_jid, NULL, i.state, NULL, min(i.updated_at),
		'restored or replicated and not served until wawp_take_over(); ' || sum(i.number) || ' ' || i.state
	FROM (SELECT q.id, q.instance, q.group_jid, 'queued'::wawp.state AS state, q.updated_at, q.number
		FROM lane l, LATERAL (SELECT l.instance, l.group_jid, min(o.id) AS id, min(o.updated_at) AS updated_at, count(*) AS number
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
				AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id) q
		WHERE l.home IS DISTINCT FROM (SELECT wawp._home())
			-- always true; the planner takes them for few
			AND l.home >= '00000000-0000-0000-0000-000000000000' AND l.home <= (SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
		UNION ALL
		SELECT o.id, o.instance, o.group_jid, o.state, o.updated_at, 1
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home IS NULL AND NOT (SELECT wawp._is_monitor())
		UNION ALL
		SELECT b.id, b.instance, b.group_jid, b.state, b.updated_at, 1 FROM busy b WHERE NOT b.is_ours) i
	GROUP BY i.instance, i.group_jid, i.state
	UNION ALL
	-- a row for all that are queued in a group with an account that the instance does not have now; its id is the first one's
	SELECT q.id, l.instance, l.group_jid, NULL, 'queued', NULL, q.since,
		wawp._account_problem(l.instance::name, l.instance_id) || '; ' || q.queued || ' queued'
	FROM lane l LEFT JOIN server s ON s.instance = l.instance,
	LATERAL (SELECT min(o.id) AS id, min(o.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
			AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id AND o.attempts = 0 AND o.crashes = 0) q
	WHERE l.home = (SELECT wawp._home()) AND l.instance_id IS DISTINCT FROM s.account AND q.queued > 0
	UNION ALL
	-- a row for all that are queued in a lane that is held; its id is the first one's, and so is since
	SELECT l.id, l.instance, l.group_jid, NULL, 'queued', NULL,
		(SELECT o.updated_at FROM wawp.membership_intent o WHERE o.id = l.id),
		'held: ' || l.reason || '; ' || l.queued || ' queued'
	FROM (SELECT s.instance, q.group_jid, q.id, q.queued, h.reason
		FROM wawp.hold h JOIN server s ON s.instance = h.instance,
		LATERAL (SELECT o.group_jid, min(o.id) AS id, count(*) AS queued
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = s.instance
				AND o.instance_id = s.account AND NOT (SELECT wawp._is_monitor())
			GROUP BY o.group_jid) q
		WHERE h.group_jid IS NULL AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
		UNION ALL
		SELECT s.instance, h.group_jid, q.id, q.queued, h.reason
		FROM wawp.hold h JOIN server s ON s.instance = h.instance,
		LATERAL (SELECT min(o.id) AS id, count(*) AS queued
			FROM wawp.membership_intent o
			WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = s.instance
				AND o.group_jid = h.group_jid AND o.instance_id = s.account AND NOT (SELECT wawp._is_monitor())) q
		WHERE h.group_jid IS NOT NULL AND q.queued > 0 AND (h.until IS NULL OR h.until > pg_catalog.clock_timestamp())
			AND NOT EXISTS (SELECT FROM wawp.hold x WHERE x.instance = h.instance AND x.group_jid IS NULL
				AND (x.until IS NULL OR x.until > pg_catalog.clock_timestamp()))) l
	UNION ALL
	-- a row for all that are to be invited to a group while WhatsApp lets the account write to no strangers; its id is the first one's
	SELECT l.id, l.instance, l.group_jid, NULL, 'inviting', 'account_restricted', l.since,
		'invitations are held until ' || h.until::timestamptz(0) || ', additions go on: ' || h.reason || '; ' || l.waiting || ' to be invited'
	FROM (SELECT b.instance, b.group_jid, min(b.id) AS id, min(b.updated_at) AS since, count(*) AS waiting
		FROM busy b WHERE b.state = 'inviting' AND b.is_ours
		GROUP BY b.instance, b.group_jid) l
	JOIN wawp.hold h ON h.instance = l.instance AND h.group_jid = 'invitations' AND h.until > pg_catalog.clock_timestamp()
	UNION ALL
	-- a row for all of a role that are queued in a group, while the role is held
	SELECT q.id, l.instance, l.group_jid, NULL, 'queued', NULL, q.since,
		'held: role ' || pg_catalog.pg_get_userbyid(r.requester) || ': ' || r.reason || '; ' || q.queued || ' queued'
	FROM wawp.requester_hold r
	JOIN server s ON s.instance = r.instance
	JOIN lane l ON l.instance = s.instance AND l.instance_id = s.account AND l.home = (SELECT wawp._home()),
	LATERAL (SELECT min(o.id) AS id, min(o.updated_at) AS since, count(*) AS queued
		FROM wawp.membership_intent o
		WHERE o.state = 'queued' AND o.id > 0 AND o.home = l.home AND o.instance = l.instance
			AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id AND o.requester = r.requester) q
	WHERE r.until > pg_catalog.clock_timestamp() AND q.queued > 0
	UNION ALL
	SELECT f.id, f.instance, f.group_jid, f.jid, f.state, f.outcome, f.since, f.why FROM wawp._stuck_figures() f
	UNION ALL
	SELECT NULL, NULL, NULL, NULL, NULL, NULL, w.since, w.why FROM wawp._worker_status() w WHERE w.why IS NOT NULL;
COMMENT ON VIEW wawp.stuck IS
	'what does not make progress, and why; a row without jid is about all that are queued in a group, one without id about the worker, and so about everything';
COMMENT ON COLUMN wawp.stuck.id IS 'the intent, or the first of those in a group that are held or not taken over; NULL for the worker';
COMMENT ON COLUMN wawp.stuck.instance IS 'the instance';
COMMENT ON COLUMN wawp.stuck.group_jid IS 'the group';
COMMENT ON COLUMN wawp.stuck.jid IS 'the person; NULL for all in a group that are held or not taken over';
COMMENT ON COLUMN wawp.stuck.state IS 'where it stands';
COMMENT ON COLUMN wawp.stuck.outcome IS 'what the latest attempt showed';
COMMENT ON COLUMN wawp.stuck.since IS 'when it last changed; of those in a group that are held, the first one';
COMMENT ON COLUMN wawp.stuck.why IS 'the hold''s reason, or what the API said';

CREATE VIEW wawp.funnel WITH (security_invoker) AS
	SELECT f.instance, f.group_jid, f.batch_id, f.asked, f.added, f.already, f.invited, f.joined_by_invite,
		f.waiting, f.refused
	FROM (
		SELECT i.instance, i.group_jid, i.batch_id, coalesce(sum(i.n), 0)::bigint AS asked,
			coalesce(sum(i.n) FILTER (WHERE i.state = 'done' AND i.outcome IN ('added', 'accepted')), 0)::bigint AS added,
			coalesce(sum(i.n) FILTER (WHERE i.outcome = 'already_member'), 0)::bigint AS already,
			coalesce(sum(i.n) FILTER (WHERE i.outcome IN ('invited', 'joined_by_invite')), 0)::bigint AS invited,
			coalesce(sum(i.n) FILTER (WHERE i.outcome = 'joined_by_invite'), 0)::bigint AS joined_by_invite,
			coalesce(sum(i.n) FILTER (WHERE i.state NOT IN ('done', 'failed', 'cancelled')), 0)::bigint AS waiting,
			pg_catalog.jsonb_object_agg(coalesce(i.outcome::text, 'unknown'), i.n) FILTER (WHERE i.state = 'failed') AS refused
		FROM (
			SELECT x.instance, x.group_jid, x.batch_id, x.state, x.outcome, count(*) AS n
			FROM wawp.membership_intent x
			WHERE x.action IN ('add', 'invite') AND NOT (SELECT wawp._is_monitor())
			GROUP BY x.instance, x.group_jid, x.batch_id, x.state, x.outcome) i
		GROUP BY i.instance, i.group_jid, i.batch_id
		UNION ALL
		SELECT m.instance, m.group_jid, m.batch_id, m.asked, m.added, m.already, m.invited, m.joined_by_invite,
			m.waiting, m.refused
		FROM wawp._funnel_figures() m) f;
COMMENT ON VIEW wawp.funnel IS
	'results of adds and invitations in each group, by batch; refused counts the failed by reason';
COMMENT ON COLUMN wawp.funnel.instance IS 'the instance';
COMMENT ON COLUMN wawp.funnel.group_jid IS 'the group';
COMMENT ON COLUMN wawp.funnel.batch_id IS 'the batch; NULL for what belongs to none';
COMMENT ON COLUMN wawp.funnel.asked IS 'people to be added or invited';
COMMENT ON COLUMN wawp.funnel.added IS 'those added';
COMMENT ON COLUMN wawp.funnel.already IS 'those who were members already';
COMMENT ON COLUMN wawp.funnel.invited IS 'those who were sent the invite link';
COMMENT ON COLUMN wawp.funnel.joined_by_invite IS 'those who joined by it';
COMMENT ON COLUMN wawp.funnel.waiting IS 'those not settled yet';
COMMENT ON COLUMN wawp.funnel.refused IS 'those who failed, counted by outcome';

CREATE VIEW wawp.budget WITH (security_invoker) AS
	SELECT s.srvname AS instance, b.adds_left_minute, b.adds_left_day, b.next_at
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp',
	LATERAL wawp._budget(s.srvname) b
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON VIEW wawp.budget IS
	'how many adds each instance has left; NULL means no limit, or on a standby that only the primary knows';
COMMENT ON COLUMN wawp.budget.instance IS 'the instance';
COMMENT ON COLUMN wawp.budget.adds_left_minute IS 'adds that may leave within a minute; NULL means no limit';
COMMENT ON COLUMN wawp.budget.adds_left_day IS 'adds left of adds_per_day; NULL means no limit';
COMMENT ON COLUMN wawp.budget.next_at IS 'when the next add may leave';

CREATE VIEW wawp.instance WITH (security_invoker) AS
	SELECT s.srvname AS name,
		coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'base_url'), 'https://api.wawp.net') AS base_url,
		(SELECT pg_catalog.jsonb_object_agg(o.option_name, o.option_value)
			FROM pg_catalog.pg_options_to_table(s.srvoptions) o) AS options,
		wawp._worker_pid() AS worker_pid,
		COALESCE((SELECT w.state FROM wawp._worker_status() w WHERE w.state OPERATOR(pg_catalog.=) 'copy'),
			(SELECT h.reason FROM (SELECT x.reason FROM wawp.hold x
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
			LIMIT 1)) AS held_by,
		COALESCE((SELECT w.why FROM wawp._worker_status() w),
			(SELECT h.reason FROM wawp.hold h WHERE h.instance OPERATOR(pg_catalog.=) s.srvname
				ORDER BY h.since DESC LIMIT 1),
			(SELECT f.last_reason FROM wawp._hold_figures() f
				WHERE f.instance OPERATOR(pg_catalog.=) s.srvname)) AS last_error
	FROM pg_catalog.pg_foreign_server s
	JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'wawp'
	WHERE wawp._may_use(s.srvname) OR wawp._is_monitor();
COMMENT ON VIEW wawp.instance IS
	'the Wawp accounts that the role may use, with their state; an error of the worker is every account''s last_error';
COMMENT ON COLUMN wawp.instance.name IS 'the foreign server';
COMMENT ON COLUMN wawp.instance.base_url IS 'address of the API';
COMMENT ON COLUMN wawp.instance.options IS 'options of the server; no secrets are among them';
COMMENT ON COLUMN wawp.instance.worker_pid IS 'process of this database''s worker; NULL when none runs';
COMMENT ON COLUMN wawp.instance.held_by IS 'why the whole instance is held, or the role''s own intents for it; NULL when they are not';
COMMENT ON COLUMN wawp.instance.last_error IS 'what the worker fails with, or the reason of the latest hold of the instance or one of its groups';

CREATE VIEW wawp.worker_status WITH (security_invoker) AS
	SELECT w.pid, w.started_at, w.last_cycle_at, w.in_flight,
		CASE WHEN wawp._is_monitor() THEN wawp._oldest_due()
			-- The first that is due of each lane, account and priority, found one after the other in the lane's index, and the
			-- first without a time of its own, which may have been due before one that was tried; then what was planned.
			ELSE (WITH RECURSIVE line AS (
				(SELECT o.instance, o.group_jid, o.instance_id, o.priority
				FROM wawp.membership_intent o
				WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
				ORDER BY o.instance, o.group_jid, o.instance_id, coalesce(o.not_before > o.updated_at, false), o.priority DESC LIMIT 1)
				UNION ALL
				SELECT n.instance, n.group_jid, n.instance_id, n.priority
				FROM line l, LATERAL (
					(SELECT o.instance, o.group_jid, o.instance_id, o.priority
					FROM wawp.membership_intent o
					WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = l.instance
						AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
						AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority < l.priority
					ORDER BY o.priority DESC LIMIT 1)
					UNION ALL
					(SELECT o.instance, o.group_jid, o.instance_id, o.priority
					FROM wawp.membership_intent o
					WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
						AND (o.instance, o.group_jid, o.instance_id) > (l.instance, l.group_jid, l.instance_id)
					ORDER BY o.instance, o.group_jid, o.instance_id, coalesce(o.not_before > o.updated_at, false), o.priority DESC LIMIT 1)
					LIMIT 1) n),
				held AS MATERIALIZED (SELECT r.instance::text COLLATE "C" AS instance, r.requester
					FROM wawp.requester_hold r WHERE r.until > pg_catalog.clock_timestamp())
				SELECT min(d.due_at)
				FROM (SELECT least(f.due_at, p.due_at) AS due_at
					FROM line l
					JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
						ON a.srvname = l.instance AND a.account = l.instance_id,
					LATERAL (SELECT greatest(o.created_at, o.not_before, o.next_attempt_at) AS due_at,
							o.not_before IS NULL AND o.next_attempt_at IS NULL AS is_plain
						FROM wawp.membership_intent o
						WHERE o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home()) AND o.instance = l.instance
							AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
							AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority = l.priority
							AND greatest(o.created_at, o.not_before, o.next_attempt_at) <= pg_catalog.clock_timestamp()
							AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)
						ORDER BY o.id LIMIT 1) f
					LEFT JOIN LATERAL (SELECT o.created_at AS due_at
						FROM wawp.membership_intent o
						WHERE NOT f.is_plain AND o.state = 'queued' AND o.id > 0 AND o.home = (SELECT wawp._home())
							AND o.instance = l.instance AND o.group_jid = l.group_jid AND o.instance_id = l.instance_id
							AND NOT coalesce(o.not_before > o.updated_at, false) AND o.priority = l.priority
							AND o.not_before IS NULL AND o.next_attempt_at IS NULL AND o.created_at <= pg_catalog.clock_timestamp()
							AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)
						ORDER BY o.id LIMIT 1) p ON true
					UNION ALL
					SELECT greatest(o.created_at, o.not_before, o.next_attempt_at)
					FROM wawp.membership_intent o
					JOIN (SELECT s.srvname, wawp._account(s.srvname) AS account FROM pg_catalog.pg_foreign_server s) a
						ON a.srvname = o.instance AND a.account = o.instance_id
					WHERE o.state = 'queued' AND o.not_before > o.updated_at AND o.home = (SELECT wawp._home())
						AND o.not_before <= pg_catalog.statement_timestamp()
						AND NOT EXISTS (SELECT FROM held h WHERE h.instance = o.instance AND h.requester = o.requester)) d
				WHERE d.due_at <= pg_catalog.clock_timestamp()) END AS oldest_due_at,
		w.errors_in_a_row, w.sqlstate, w.last_error, w.state
	FROM wawp._worker_status() w;
COMMENT ON VIEW wawp.worker_status IS
	'state of this database''s worker: serving, off, failing, none or copy, and its latest error while it lasts';
COMMENT ON COLUMN wawp.worker_status.pid IS 'the process; NULL when none runs';
COMMENT ON COLUMN wawp.worker_status.started_at IS 'since when it runs';
COMMENT ON COLUMN wawp.worker_status.last_cycle_at IS 'when it last committed a cycle';
COMMENT ON COLUMN wawp.worker_status.in_flight IS 'requests claimed or under way';
COMMENT ON COLUMN wawp.worker_status.oldest_due_at IS 'since when the oldest that is due, of those the role may count, has been';
COMMENT ON COLUMN wawp.worker_status.errors_in_a_row IS 'transactions of the worker that failed since it last succeeded';
COMMENT ON COLUMN wawp.worker_status.sqlstate IS 'SQLSTATE of last_error';
COMMENT ON COLUMN wawp.worker_status.last_error IS 'what the worker fails with, or why there is none; long numbers are masked';
COMMENT ON COLUMN wawp.worker_status.state IS 'serving, off (wawp.worker), failing, none (no worker) or copy (nothing is sent before wawp_take_over())';

CREATE VIEW wawp.metrics WITH (security_invoker) AS
	SELECT m.name, m.labels, m.value FROM wawp._metrics() m;
COMMENT ON VIEW wawp.metrics IS
	'figures for a monitoring system, in the form that Prometheus shows: gauges, and counters since the server''s start (..._total); for members of pg_monitor, who see all instances and no person or group; doc/monitoring explains each';
COMMENT ON COLUMN wawp.metrics.name IS 'what it is, with its unit';
COMMENT ON COLUMN wawp.metrics.labels IS 'what it is about: instance, and state, outcome, reason and the like';
COMMENT ON COLUMN wawp.metrics.value IS 'the figure; Infinity where it is a limit that is not set';

CREATE VIEW wawp.overview WITH (security_invoker) AS
	SELECT i.name AS instance, coalesce(q.queued, 0)::bigint AS queued, coalesce(q.due, 0)::bigint AS due,
		coalesce(q.groups_behind, 0)::bigint AS groups_behind, q.eta, b.adds_left_minute, b.adds_left_day,
		coalesce((SELECT w.why FROM wawp._worker_status() w), 'held: ' || i.held_by,
			CASE WHEN s.stuck > 0 THEN s.stuck || ' in wawp.stuck' END) AS trouble
	FROM wawp.instance i
	LEFT JOIN wawp.budget b ON b.instance = i.name
	LEFT JOIN (SELECT u.instance, sum(u.queued) AS queued, sum(u.due) AS due,
			count(*) FILTER (WHERE u.due > 0) AS groups_behind, max(u.eta) AS eta
		FROM wawp.queue u GROUP BY u.instance) q ON q.instance = i.name::text
	LEFT JOIN (SELECT t.instance, count(*) AS stuck FROM wawp.stuck t GROUP BY t.instance) s ON s.instance = i.name::text
	ORDER BY i.name;
COMMENT ON VIEW wawp.overview IS
	'one line for each instance the role may use: what waits, what the pace has left, and what is wrong; made to be watched';
COMMENT ON COLUMN wawp.overview.instance IS 'the instance';
COMMENT ON COLUMN wawp.overview.queued IS 'intents that are queued';
COMMENT ON COLUMN wawp.overview.due IS 'those that could go now but for pace and holds';
COMMENT ON COLUMN wawp.overview.groups_behind IS 'groups that have some of these';
COMMENT ON COLUMN wawp.overview.eta IS 'when the last one of the fullest group leaves at the pace if no other group''s come before it';
COMMENT ON COLUMN wawp.overview.adds_left_minute IS 'adds that may leave within a minute; NULL means no limit';
COMMENT ON COLUMN wawp.overview.adds_left_day IS 'adds left of adds_per_day; NULL means no limit';
COMMENT ON COLUMN wawp.overview.trouble IS 'why nothing is sent, why the instance is held, or how much makes no progress; NULL when all is well';
