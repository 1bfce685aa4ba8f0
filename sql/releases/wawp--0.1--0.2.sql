/* wawp: complain if the script is sourced in psql rather than by ALTER EXTENSION */
\echo Use "ALTER EXTENSION wawp UPDATE TO '0.2'" to load this file. \quit

-- As the install script: nothing but pg_catalog is searched, what is ours is written with its schema.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Each change of sql/ since 0.1 follows, in the order of the parts it is in.

-- 50-audit.sql: a new reason.
COMMENT ON COLUMN wawp.hold.reason IS 'an outcome, "paused: ...", "promoted" or, from before 0.2, "restored copy"';

-- 50-audit.sql: wawp.identity has a key, a mark, a timeline and a site, and is not dumped.
ALTER EXTENSION wawp DROP TABLE wawp.identity;
ALTER EXTENSION wawp ADD TABLE wawp.identity;
DELETE FROM wawp.identity a USING wawp.identity b
	WHERE a.system_identifier OPERATOR(pg_catalog.=) b.system_identifier
		AND a.database_oid OPERATOR(pg_catalog.=) b.database_oid AND a.ctid OPERATOR(pg_catalog.<) b.ctid;
ALTER TABLE wawp.identity ADD COLUMN mark uuid, ADD COLUMN timeline int, ADD COLUMN site text COLLATE "C",
	ADD PRIMARY KEY (system_identifier, database_oid);
ALTER TABLE wawp.identity REPLICA IDENTITY DEFAULT;
COMMENT ON TABLE wawp.identity IS 'this database, by cluster and oid; a database without a row of its own that fits is a copy, in which nothing is sent';
COMMENT ON COLUMN wawp.identity.system_identifier IS 'system identifier of the cluster';
COMMENT ON COLUMN wawp.identity.database_oid IS 'oid of the database';
COMMENT ON COLUMN wawp.identity.home IS 'random name of that database; what is requested in it carries it';
COMMENT ON COLUMN wawp.identity.mark IS 'random; a file beside the replication slots has it too, which copies of the files lack';
COMMENT ON COLUMN wawp.identity.timeline IS 'the server''s timeline when the row was written';
COMMENT ON COLUMN wawp.identity.site IS 'wawp.site when the row was written';

CREATE FUNCTION wawp._identity_begin() RETURNS void
	LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'wawp_identity_begin';
COMMENT ON FUNCTION wawp._identity_begin() IS 'writes this database''s row and mark; for the install and upgrade scripts';
REVOKE ALL ON FUNCTION wawp._identity_begin() FROM PUBLIC;
SELECT wawp._identity_begin();

-- 60-views.sql: a copy is what the worker's state says.
CREATE OR REPLACE VIEW wawp.instance WITH (security_invoker) AS
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
COMMENT ON COLUMN wawp.worker_status.state IS 'serving, off (wawp.worker), failing, none (no worker) or copy (nothing is sent before wawp_take_over())';
