-- helpers.sql: functions of the tests, included by setup.sql after BEGIN; the ROLLBACK takes them away.

-- An instance that any role may be granted, its token in PUBLIC's mapping.  Unpaced, so that a test
-- measures what it says it does.
CREATE FUNCTION make_instance(name text, instance_id text, url text, options text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER wawp OPTIONS (instance_id %L, base_url %L, '
                   'adds_per_minute ''0'', checks_per_minute ''0'' %s)',
                   name, instance_id, url, CASE WHEN options <> '' THEN ', ' || options ELSE '' END);
    EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER %I OPTIONS (access_token ''secret'')', name);
END $$;

-- What a query returns, in its order, a text for each row; an error is a row as well.
CREATE FUNCTION rows_of(query text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    result text[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(r::text), ''{}'') FROM (%s) r', query) INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[format('ERROR %s: %s', SQLSTATE, SQLERRM)];
END $$;

-- pgTAP's throws_ok with patterns of LIKE for message, detail and hint; NULL: anything, '': none.
CREATE FUNCTION raises(query text, state text, message text, detail text, hint text, description text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    got_detail text;
    got_hint text;
BEGIN
    EXECUTE query;
    RETURN ok(false, description) || E'\n' || diag('no error');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS got_detail = PG_EXCEPTION_DETAIL, got_hint = PG_EXCEPTION_HINT;
    IF SQLSTATE = state AND SQLERRM LIKE coalesce(message, '%') AND got_detail LIKE coalesce(detail, '%')
        AND got_hint LIKE coalesce(hint, '%')
    THEN
        RETURN ok(true, description);
    END IF;
    RETURN ok(false, description) || E'\n' ||
        diag(format(E'state %s\nmessage %s\ndetail %s\nhint %s', SQLSTATE, SQLERRM, got_detail, got_hint));
END $$;

-- The simulator's ledger, as read_ledger.sql fetched it last.
CREATE TEMP TABLE ledger (
    n int,
    method text,
    path text,          -- as sent, percent-encoded
    query jsonb,
    headers jsonb,      -- by lower-case name
    body jsonb
);
