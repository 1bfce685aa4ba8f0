-- types.sql: run on a shard, prints what makes the types of schema wawp on the router:
--   psql -XAtq -f types.sql SHARD | psql -X -v ON_ERROR_STOP=1 ROUTER
\set ON_ERROR_STOP on
SELECT 'CREATE SCHEMA wawp;';
SELECT format('CREATE TYPE wawp.%I AS ENUM (%s);', t.typname, string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder))
FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typnamespace = 'wawp'::regnamespace
GROUP BY t.typname ORDER BY t.typname;
