-- isolation.sql: what the tests of test/specs share.
--
-- test/harness/isolation runs it before each of them, in their database; variable port: the simulator's.  Everything
-- here is in the schema spec, which is first in the database's search path.
\set QUIET on
SET client_min_messages = warning;
SELECT format('ALTER DATABASE %I SET search_path = spec, public', current_database()) \gexec
DROP SCHEMA IF EXISTS spec CASCADE;
CREATE SCHEMA spec;
SET search_path = spec, public;

DROP SERVER IF EXISTS support CASCADE;
SELECT format('CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id ''ABC123'', base_url %L,
    adds_per_minute ''0'', concurrency ''4'', verify_delays ''20ms,200ms,500ms'')', 'http://127.0.0.1:' || :'port') \gexec
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');

-- ---- people and groups by number, so that what is printed is short

CREATE FUNCTION p(number int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '1555600' || to_char(number, 'FM0000') $$;
-- The groups of a permutation are new: what became of people in those before is remembered (wawp.membership).
CREATE SEQUENCE IF NOT EXISTS public.spec_permutation MAXVALUE 999999;
CREATE FUNCTION g(number int) RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT '1203630777' || to_char(last_value * 100 + number, 'FM00000000') || '@g.us' FROM public.spec_permutation $$;

CREATE VIEW queue AS
    SELECT id, substr(group_jid, 11, 8)::int % 100 AS grp, substr(jid, 8, 4)::int AS person, action, state, superseded
    FROM wawp.membership_intent ORDER BY id;

-- What a session was told, to be compared when all are done.
CREATE TABLE asked (who text, id bigint, created bool);

-- ---- waiting

-- Waits until a query returns that; else says what it returned last, and what it did not.
CREATE FUNCTION until(query text, wanted text, seconds float DEFAULT 180) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + seconds * interval '1 second';
    got text;
BEGIN
    LOOP
        EXECUTE query INTO got;
        IF got IS NOT DISTINCT FROM wanted THEN
            RETURN got;
        ELSIF clock_timestamp() > deadline THEN
            RETURN format('%s, not %s', coalesce(got, 'null'), wanted);
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- Waits until nothing is left to be done.
CREATE FUNCTION all_ended() RETURNS bool LANGUAGE sql AS
    $$ SELECT spec.until('SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN (''done'', ''failed'', ''cancelled'')', '0') = '0' $$;

-- Waits until the worker waits for a lock that somebody else holds.
CREATE FUNCTION worker_waits() RETURNS bool LANGUAGE sql AS
    $$ SELECT spec.until('SELECT EXISTS (SELECT FROM pg_locks WHERE pid = wawp._worker_pid() AND NOT granted)', 'true') = 'true' $$;

-- Waits until the worker has given such waiting up and begun anew.  again: it has; in_time: it did not wait
-- for ever, but its lock_timeout of 200 ms and what a busy machine adds.
CREATE FUNCTION worker_gives_up(OUT again bool, OUT in_time bool) LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + interval '180 seconds';
    start timestamptz;
    first timestamptz;
BEGIN
    in_time := true;
    again := false;
    WHILE NOT again AND clock_timestamp() < deadline LOOP
        SELECT waitstart INTO start FROM pg_locks WHERE pid = wawp._worker_pid() AND NOT granted AND waitstart IS NOT NULL;
        IF FOUND THEN
            in_time := in_time AND clock_timestamp() - start < interval '20 seconds';
            first := coalesce(first, start);
            again := start <> first;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- ---- the simulator

CREATE UNLOGGED TABLE sim_answer (pid int DEFAULT pg_backend_pid(), line text);

-- A request to its control path (test/simulator/README.md).  By the server, and with a shell: the server's user may be
-- one that cannot read this directory.
CREATE FUNCTION sim(method text, path text, body jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    sent text := coalesce(body::text, '');
    script text := format('exec 3<>/dev/tcp/127.0.0.1/%s; printf "%%s /_sim/%%s HTTP/1.0\r\nContent-Length: %%s\r\n\r\n%%s" "$@" >&3;'
        ' while IFS= read -r line <&3 && [[ $line != $"\r" ]]; do :; done; cat <&3', (TABLE spec.sim_port));
    command text := 'bash -c';
    word text;
    answer jsonb;
BEGIN
    FOREACH word IN ARRAY ARRAY[replace(script, '$"\r"', '$''\r'''), 'sim', method, path, octet_length(sent)::text, sent] LOOP
        command := command || ' ''' || replace(word, '''', '''\''''') || '''';
    END LOOP;
    EXECUTE format($c$COPY spec.sim_answer (line) FROM PROGRAM %L WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')$c$, command);
    DELETE FROM spec.sim_answer WHERE pid = pg_backend_pid() RETURNING line::jsonb INTO answer;
    IF answer IS NULL OR answer ? 'error' THEN
        RAISE 'the simulator answers: %', answer;
    END IF;
    RETURN answer;
END $$;
CREATE TABLE sim_port AS SELECT :port AS port;

-- Holds back the answers to the next requests that name someone until open_gate(); status: the answer, if not the API's.
CREATE PROCEDURE gate(person text, status int DEFAULT NULL, times int DEFAULT 1) LANGUAGE sql AS $$
    SELECT spec.sim('POST', 'rule', jsonb_strip_nulls(jsonb_build_object('match', jsonb_build_object('body', person),
        'times', times, 'fault', jsonb_build_object('gate', true), 'answer', CASE WHEN status IS NOT NULL THEN jsonb_build_object('status', status) END)))
$$;
-- Answers every addition that much later.
CREATE PROCEDURE slow(seconds float) LANGUAGE sql AS $$
    SELECT spec.sim('POST', 'rule', format('{"match": {"path": "add$"}, "times": null, "fault": {"delay": %s}}', seconds)::jsonb)
$$;
CREATE PROCEDURE open_gate() LANGUAGE sql AS $$ SELECT spec.sim('POST', 'rule/clear') $$;

-- Whom the API was asked for, a row for each person in each request, in the order of arrival.
CREATE FUNCTION sent(OUT n int, OUT action text, OUT person int, OUT grp int) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT (r ->> 'n')::int, substring(r ->> 'path' FROM '[a-z]+$'), substr(p ->> 'id', 8, 4)::int,
        substring(r ->> 'path' FROM '1203630777(\d{8})')::int % 100
    FROM jsonb_array_elements(spec.sim('GET', 'ledger')) r, jsonb_array_elements(r -> 'body' -> 'participants') p
    WHERE r ->> 'method' = 'POST'
    ORDER BY 1
$$;
CREATE FUNCTION sent_list() RETURNS text LANGUAGE sql AS
    $$ SELECT coalesce(string_agg(action || ' ' || person, ', ' ORDER BY n), 'nothing') FROM spec.sent() $$;

-- How many records the audit log has of what is in the queue.
CREATE FUNCTION records(OUT sent bigint, OUT answered bigint) LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE kind = 'sent'), count(*) FILTER (WHERE kind = 'answered')
    FROM wawp.audit_log WHERE intent_id IN (SELECT id FROM wawp.membership_intent)
$$;

-- ---- the start of each permutation

-- Nothing queued, on the wire or held (but for what is paused); a simulator without a past, in which every group exists.
-- What is still queued is locked first, so that the worker lets it be.
CREATE PROCEDURE fresh(paused bool DEFAULT false) LANGUAGE plpgsql AS $$
BEGIN
    CALL spec.open_gate();
    DELETE FROM wawp.membership_intent WHERE state = 'queued';
    IF spec.until('SELECT count(*) FROM wawp.membership_intent WHERE state = ''sending''', '0') <> '0' THEN
        RAISE 'something of the previous test is still on the wire';
    END IF;
    DELETE FROM wawp.membership_intent;
    DELETE FROM wawp.hold;
    DELETE FROM spec.asked;
    PERFORM nextval('public.spec_permutation');
    PERFORM spec.sim('POST', 'reset');
    PERFORM spec.sim('POST', 'world', '{"auto_groups": true}');
    PERFORM public.wawp_pause('support') WHERE paused;
END $$;
CREATE PROCEDURE resume() LANGUAGE sql AS $$ SELECT public.wawp_resume('support') $$;
CALL fresh();
