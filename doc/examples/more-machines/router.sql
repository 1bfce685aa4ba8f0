-- router.sql: makes a database the router of two shards, as a superuser, after types.sql; wawp is not installed in it.
--   psql -X -v a_host=... -v a_port=5432 -v a_dbname=... -v b_host=... -v b_port=5432 -v b_dbname=...
--     -v app_password=... -v watcher_password=... -f router.sql ROUTER
-- A third shard: the same lines again, and its part in each view.
\set ON_ERROR_STOP on
BEGIN;
CREATE EXTENSION postgres_fdw;
CREATE ROLE app LOGIN PASSWORD :'app_password';
CREATE ROLE watcher LOGIN PASSWORD :'watcher_password';

-- batch_size: rows of an INSERT ... SELECT that go over in one statement.  application_name is recorded on the shard
-- (requested_from): the router's role and the application's name.
CREATE SERVER shard_a FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'a_host', port :'a_port', dbname :'a_dbname',
    batch_size '100', async_capable 'true', connect_timeout '5', application_name 'router %u %a');
CREATE SERVER shard_b FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'b_host', port :'b_port', dbname :'b_dbname',
    batch_size '100', async_capable 'true', connect_timeout '5', application_name 'router %u %a');
CREATE USER MAPPING FOR app SERVER shard_a OPTIONS (user 'app', password :'app_password');
CREATE USER MAPPING FOR app SERVER shard_b OPTIONS (user 'app', password :'app_password');
CREATE USER MAPPING FOR watcher SERVER shard_a OPTIONS (user 'watcher', password :'watcher_password');
CREATE USER MAPPING FOR watcher SERVER shard_b OPTIONS (user 'watcher', password :'watcher_password');

-- The columns come from the shards.  Nothing is NOT NULL here: the shard fills what is left out.
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_a OPTIONS (user 'watcher', password :'watcher_password');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_b OPTIONS (user 'watcher', password :'watcher_password');
CREATE SCHEMA shard_a;
CREATE SCHEMA shard_b;
IMPORT FOREIGN SCHEMA wawp LIMIT TO (membership_intent, queue, progress, stuck, metrics)
    FROM SERVER shard_a INTO shard_a OPTIONS (import_not_null 'false');
IMPORT FOREIGN SCHEMA wawp LIMIT TO (membership_intent, queue, progress, stuck, metrics)
    FROM SERVER shard_b INTO shard_b OPTIONS (import_not_null 'false');
DROP USER MAPPING FOR CURRENT_USER SERVER shard_a;
DROP USER MAPPING FOR CURRENT_USER SERVER shard_b;

-- Which shard has which instance.  One partition a shard: of two on the same shard, each would show all of its rows.
CREATE TABLE wawp.shard_instance (
    instance name PRIMARY KEY,
    shard text NOT NULL
);
CREATE TABLE wawp.membership_intent (LIKE shard_a.membership_intent) PARTITION BY LIST (instance);
CREATE PROCEDURE wawp.shard_apply() LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
BEGIN
    -- waits until INSERTs and calls that are under way have committed on their shards; later ones wait for us
    LOCK TABLE wawp.membership_intent, wawp.shard_instance IN ACCESS EXCLUSIVE MODE;
    FOR part IN SELECT inhrelid::regclass AS name FROM pg_inherits WHERE inhparent = 'wawp.membership_intent'::regclass LOOP
        EXECUTE format('ALTER TABLE wawp.membership_intent DETACH PARTITION %s', part.name);
    END LOOP;
    FOR part IN SELECT shard, string_agg(quote_literal(instance), ', ') AS instances FROM wawp.shard_instance GROUP BY shard LOOP
        EXECUTE format('ALTER TABLE wawp.membership_intent ATTACH PARTITION %I.membership_intent FOR VALUES IN (%s)', part.shard, part.instances);
    END LOOP;
END $$;

-- The views of the extension, over all shards.
CREATE VIEW wawp.queue WITH (security_invoker) AS
    SELECT 'shard_a' AS shard, q.* FROM shard_a.queue q UNION ALL SELECT 'shard_b', q.* FROM shard_b.queue q;
CREATE VIEW wawp.progress WITH (security_invoker) AS
    SELECT 'shard_a' AS shard, p.* FROM shard_a.progress p UNION ALL SELECT 'shard_b', p.* FROM shard_b.progress p;
CREATE VIEW wawp.stuck WITH (security_invoker) AS
    SELECT 'shard_a' AS shard, s.* FROM shard_a.stuck s UNION ALL SELECT 'shard_b', s.* FROM shard_b.stuck s;
-- The shard is a label, so that an exporter reads this view as it reads that of one database.
CREATE VIEW wawp.metrics WITH (security_invoker) AS
    SELECT m.name, m.labels || '{"shard": "shard_a"}' AS labels, m.value FROM shard_a.metrics m
    UNION ALL SELECT m.name, m.labels || '{"shard": "shard_b"}', m.value FROM shard_b.metrics m;

GRANT USAGE ON SCHEMA wawp TO app, watcher;
GRANT USAGE ON SCHEMA shard_a, shard_b TO app, watcher;
GRANT SELECT ON wawp.shard_instance TO app, watcher;
GRANT INSERT, SELECT ON wawp.membership_intent TO app;
GRANT SELECT ON ALL TABLES IN SCHEMA shard_a, shard_b TO app, watcher;
GRANT SELECT ON wawp.queue, wawp.progress, wawp.stuck, wawp.metrics TO app, watcher;
COMMIT;
