-- plproxy.sql: the functions on the router, by PL/Proxy (Debian: postgresql-15-plproxy), as a superuser, after router.sql.
--   psql -X -v a='dbname=... host=... port=...' -v b='...' -v app_password=... -f plproxy.sql ROUTER
-- A shard is a partition of PL/Proxy's: 0, 1, ...; their number is a power of two, so of three shards one is named twice.
\set ON_ERROR_STOP on
BEGIN;
CREATE EXTENSION plproxy;
CREATE SERVER wawp_shards FOREIGN DATA WRAPPER plproxy OPTIONS (p0 :'a', p1 :'b');
CREATE USER MAPPING FOR app SERVER wawp_shards OPTIONS (user 'app', password :'app_password');
GRANT USAGE ON FOREIGN SERVER wawp_shards TO app;

-- Volatile, and with the lock first: a call that waits while an instance moves sees where it is then, and a move waits for
-- the transactions of calls that have begun.
CREATE FUNCTION wawp.shard_of(instance name) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    of_instance text;
BEGIN
    LOCK TABLE wawp.shard_instance IN ACCESS SHARE MODE;
    of_instance := (SELECT s.shard FROM wawp.shard_instance s WHERE s.instance = shard_of.instance);
    IF of_instance IS NULL THEN
        RAISE EXCEPTION 'no shard has instance "%"', coalesce(instance, 'null') USING ERRCODE = 'undefined_object',
            HINT = 'Name one: SELECT instance FROM wawp.shard_instance.';
    END IF;
    RETURN array_position(ARRAY['shard_a', 'shard_b'], of_instance) - 1;
END $$;

-- Same names, same arguments, but that the instance has to be named.  Others are made alike; \df on a shard shows them.
CREATE FUNCTION wawp_add_participants(group_jid text, jids text[], instance name, reason text DEFAULT NULL, verify bool DEFAULT false,
        OUT jid text, OUT outcome wawp.outcome, OUT code int, OUT detail text, OUT verified bool, OUT retry_at timestamptz)
    RETURNS SETOF record LANGUAGE plproxy AS $$ CLUSTER 'wawp_shards'; RUN ON wawp.shard_of(instance); $$;
CREATE FUNCTION wawp_participants(group_jid text, instance name, OUT jid text, OUT phone_jid text, OUT lid text, OUT role text)
    RETURNS SETOF record LANGUAGE plproxy AS $$ CLUSTER 'wawp_shards'; RUN ON wawp.shard_of(instance); $$;
CREATE FUNCTION wawp_request_add(group_jid text, jids text[], instance name, reason text DEFAULT NULL, priority int DEFAULT 0,
        not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
        verify bool DEFAULT true, invite bool DEFAULT true, context jsonb DEFAULT NULL, batch_id text DEFAULT NULL, after bigint DEFAULT NULL,
        OUT id bigint, OUT jid text, OUT created bool, OUT problem text, OUT batch_id text)
    RETURNS SETOF record LANGUAGE plproxy AS $$ CLUSTER 'wawp_shards'; RUN ON wawp.shard_of(instance); $$;
-- By id, which only one shard has: all are asked, and one says true.
CREATE FUNCTION wawp_cancel(id bigint) RETURNS SETOF bool LANGUAGE plproxy AS $$ CLUSTER 'wawp_shards'; RUN ON ALL; $$;
-- The opt-out list is each shard's own: who opts out does so on all.  GRANT EXECUTE on the shards decides who may.
CREATE FUNCTION wawp_suppress(jid text, group_jid text DEFAULT NULL, reason text DEFAULT NULL, until timestamptz DEFAULT NULL)
    RETURNS SETOF bool LANGUAGE plproxy AS $$ CLUSTER 'wawp_shards'; RUN ON ALL; $$;
COMMIT;
