-- read_ledger.sql: puts what the simulator received since the last time into the table ledger.
\set received `test/simulator/ctl :port ledger :received_n`
TRUNCATE ledger;
INSERT INTO ledger
SELECT (r ->> 'n')::int, r ->> 'method', r ->> 'path', r -> 'query', r -> 'headers', r -> 'body'
FROM jsonb_array_elements(:'received') r;
SELECT coalesce(max(n), :received_n) AS received_n FROM ledger \gset
