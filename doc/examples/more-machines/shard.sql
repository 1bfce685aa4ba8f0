-- shard.sql: once on each shard, as a superuser, in the database that has the extension and its instances.
--   psql -X -v no=1 -v instance=support -v app_password=... -v watcher_password=... -f shard.sql SHARD
-- no: 1 on the first shard, 2 on the second and so on, up to 63.
\set ON_ERROR_STOP on
BEGIN;

-- Ids stay what they are when an instance moves: no two shards draw the same.
ALTER SEQUENCE wawp.membership_intent_id_seq INCREMENT BY 64;
SELECT setval('wawp.membership_intent_id_seq', 64 * (last_value / 64 + 1) + :no) AS ids_begin_after FROM wawp.membership_intent_id_seq;

-- What a user of the router needs here: a role with a password, and USAGE on the instances it asks.
CREATE ROLE app LOGIN PASSWORD :'app_password';
GRANT USAGE ON FOREIGN SERVER :"instance" TO app;

-- Who reads the views over all shards: figures of everything, and no people.
CREATE ROLE watcher LOGIN PASSWORD :'watcher_password' IN ROLE pg_monitor;
COMMIT;
