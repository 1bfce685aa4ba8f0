\set ECHO none
-- session_calls: add, remove, promote and demote over HTTP, with every outcome that a call can have.
--
-- What a group answers is in its number, see test/sql-include/session_calls.json: …429@g.us answers
-- HTTP 429, those from …1001 on lose or damage the answer.  Groups 1203630123456789… are the
-- simulator's own (test/simulator/README.md).
\i test/sql-include/setup.sql
\! test/simulator/ctl $WAWP_SIM_PORT rule - <test/sql-include/session_calls.json >/dev/null

CREATE TEMP TABLE seen (outcome wawp.outcome);

-- "jid outcome code" for each row of a membership call, and " verified" where it is; notes the outcomes.
CREATE FUNCTION calls(call text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    r record;
    result text[] := '{}';
BEGIN
    FOR r IN EXECUTE 'SELECT * FROM wawp_' || call LOOP
        INSERT INTO seen VALUES (r.outcome);
        result := result || concat_ws(' ', coalesce(r.jid, '-'), r.outcome, coalesce(r.code::text, '-'),
                                      CASE WHEN r.verified THEN 'verified' END);
    END LOOP;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[format('ERROR %s: %s', SQLSTATE, SQLERRM)];
END $$;

-- same for one person and the usual instance
CREATE FUNCTION adding_to(group_number text, instance text DEFAULT 'support') RETURNS text
LANGUAGE sql AS $$
    SELECT array_to_string(calls(format('add_participants(%L, %L, %L)', group_number || '@g.us', '{15551230001}', instance)), ',')
$$;

SELECT count(make_instance(name, instance_id, url, options)::text) AS made
FROM (VALUES
    ('support', 'ABC123', :'url', ''),
    ('webjs', 'WEBJS1', :'url', ''),
    ('webjs2', 'WEBJS2', :'url', ''),
    ('noweb', 'NOWEB1', :'url', ''),
    ('gows', 'GOWS1', :'url', ''),
    ('waha_js', 'WAJS01', :'url', ''),
    ('gowa', 'GOWA01', :'url', ''),
    ('added_failed', 'ADDF01', :'url', ''),
    ('stopped', 'STOPPED1', :'url', ''),
    ('unknown', 'NOBODY', :'url', ''),
    ('hasty', 'ABC123', :'url', 'timeout_ms ''1000'''),
    ('closed', 'ABC123', 'http://127.0.0.1:1', ''),
    ('by_query', 'ABC123', :'url', 'auth ''query'''),
    ('by_header', 'ABC123', :'url', 'auth ''header'''),
    ('prefixed', 'ABC123', :'url' || '/gateway/', ''),
    ('odd', 'ODD1', :'url', ''),
    ('odd_query', 'ODD1', :'url', 'auth ''query''')
) i(name, instance_id, url, options) \gset
SET LOCAL wawp.instance = 'support';

SELECT plan(168);

-- ---- what is sent

SELECT is(calls($$add_participants('120363012345678901@g.us', '{+1 555 123 0001,15551230002@s.whatsapp.net}')$$),
    ARRAY['15551230001@c.us accepted 200', '15551230002@c.us accepted 200'], 'an add to an API that only says ok');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path) FROM ledger), ARRAY['POST /v2/groups/120363012345678901%40g.us/participants/add'],
    'one request, the group in its path');
SELECT is((SELECT body FROM ledger), '{"instance_id": "ABC123", "access_token": "secret", "id": "120363012345678901@g.us",
    "participants": [{"id": "15551230001@c.us"}, {"id": "15551230002@c.us"}]}'::jsonb, 'credentials, group and people in its body');
SELECT is((SELECT query FROM ledger), '{}', 'nothing in its query');
SELECT is((SELECT headers ->> 'content-type' FROM ledger), 'application/json', 'Content-Type');
SELECT is((SELECT headers ->> 'accept' FROM ledger), 'application/json', 'Accept');
SELECT matches((SELECT headers ->> 'user-agent' FROM ledger), '^wawp/[0-9]', 'User-Agent');
SELECT is((SELECT headers ? 'expect' OR headers ? 'authorization' OR headers ? 'access-token' OR headers ? 'cookie' FROM ledger), false,
    'no Expect and no credentials in the headers');

SELECT is(calls(format('%s_participants(%L, %L)', action, '15550000001-1623281429@g.us', '{15550000002}')),
    ARRAY['15550000002@c.us accepted 200'], action || ' in an API that only says ok')
FROM unnest(ARRAY['promote', 'demote', 'remove']) action;
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path ORDER BY n) FROM ledger),
    ARRAY['POST /v2/groups/15550000001-1623281429%40g.us/admin/promote',
        'POST /v2/groups/15550000001-1623281429%40g.us/admin/demote',
        'POST /v2/groups/15550000001-1623281429%40g.us/participants/remove'], 'their paths');
SELECT is((SELECT count(*)::int FROM ledger WHERE body = '{"instance_id": "ABC123", "access_token": "secret",
              "id": "15550000001-1623281429@g.us", "participants": [{"id": "15550000002@c.us"}]}'), 3, 'their bodies');

SELECT is(adding_to('120363012345678901', 'by_query') || ', ' || adding_to('120363012345678901', 'by_header'),
    '15551230001@c.us accepted 200, 15551230001@c.us accepted 200', 'other ways to pass credentials');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(query) FROM ledger), ARRAY['{"instance_id": "ABC123", "access_token": "secret"}', '{}']::jsonb[],
    'auth query: in the query');
SELECT is((SELECT array_agg(body - 'participants' ORDER BY n) FROM ledger),
    ARRAY['{"id": "120363012345678901@g.us"}', '{"instance_id": "ABC123", "id": "120363012345678901@g.us"}']::jsonb[],
    'and not in the body; auth header: only the instance is in the body');
SELECT is((SELECT array_agg(headers ->> 'access-token' ORDER BY n) FROM ledger), ARRAY[NULL, 'secret'], 'and the token in a header');

SELECT is(adding_to('120363012345678901', 'prefixed'), '15551230001@c.us unrecognised 404', 'a base URL with a path');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(path) FROM ledger), ARRAY['/gateway/v2/groups/120363012345678901%40g.us/participants/add'], 'goes before ours');

-- ---- elements: one row each, in their order

SELECT is(calls($$add_participants('120363012345678901@g.us', '{}')$$), '{}', 'nobody');
SELECT is(calls($$remove_participants('120363012345678901@g.us', '{}')$$), '{}', 'nobody to remove');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{NULL,"",Ana,0555 1234567,120363012345678902@g.us,123456789012345@lid,x@newsletter}')$$),
    ARRAY['- bad_identifier -', ' bad_identifier -', 'Ana bad_identifier -', '0555 1234567 bad_identifier -', '120363012345678902@g.us bad_identifier -',
        '123456789012345@lid bad_identifier -', 'x@newsletter bad_identifier -'], 'nobody who can be added, each as it was given');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'for nobody no request is made');
SELECT is((SELECT count(*)::int FROM wawp_add_participants('120363012345678901@g.us', '{NULL,Ana,0555 1234567}') WHERE detail IS NULL OR detail = ''), 0,
    'a bad identifier has a detail');
SELECT is(calls($$add_participants('120363012345678901@g.us',
              '{15551230009,Ana,+1 555 123 0003,15551230003@s.whatsapp.net,NULL,0015551230003,15551230004}')$$),
    ARRAY['15551230009@c.us accepted 200', 'Ana bad_identifier -', '15551230003@c.us accepted 200', '15551230003@c.us accepted 200',
        '- bad_identifier -', '15551230003@c.us accepted 200', '15551230004@c.us accepted 200'], 'some are bad, some are the same');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT jsonb_path_query_array(body, '$.participants[*].id') FROM ledger),
    '["15551230009@c.us", "15551230003@c.us", "15551230004@c.us"]', 'who is the same is sent once, in the order of the first');
SELECT is(calls($$add_participants('120363012345678901@g.us', ARRAY[['15551230010', '15551230011'], ['15551230012', '15551230013']])$$),
    ARRAY['15551230010@c.us accepted 200', '15551230011@c.us accepted 200', '15551230012@c.us accepted 200', '15551230013@c.us accepted 200'],
    'an array of two dimensions');
SELECT is(calls($$remove_participants('120363012345678905@g.us', '{123456789012345@lid}', 'noweb')$$), ARRAY['123456789012345@lid not_member 404'],
    'a privacy id can be removed');
SELECT is(calls($$add_participants(' 120363012345678901@G.US ', '{15551230001}', reason => 'case 7')$$), ARRAY['15551230001@c.us accepted 200'],
    'a group in capitals; a reason');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230001}', NULL, NULL, NULL)$$), ARRAY['15551230001@c.us accepted 200'],
    'NULLs where they may be');
\i test/sql-include/read_ledger.sql

-- ---- what each engine says of everybody

CREATE FUNCTION engine_says(instance text, newcomer text) RETURNS text[]
LANGUAGE sql AS $$
    SELECT calls(format($c$add_participants('120363012345678901@g.us', ARRAY[%L, '15551230401', '15551230403', '15551230404', '15551230405',
                            '15551230408', '15550000002', '15551230451', '15551230463', '15551230417', '15551230419'], %L)$c$,
                        newcomer, instance))
$$;
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230417":{"add_code":417},"15551230419":{"add_code":419}}}' >/dev/null

SELECT is(engine_says('support', '15551230601'), ARRAY['15551230601@c.us accepted 200', '15551230401@c.us accepted 200', '15551230403@c.us accepted 200',
    '15551230404@c.us accepted 200', '15551230405@c.us accepted 200', '15551230408@c.us accepted 200', '15550000002@c.us accepted 200',
    '15551230451@c.us accepted 200', '15551230463@c.us accepted 200', '15551230417@c.us accepted 200', '15551230419@c.us accepted 200'],
    'Wawp itself says ok');
SELECT is(engine_says('webjs', '15551230602'), ARRAY['15551230602@c.us added 200', '15551230401@c.us blocked_by_user 401', '15551230403@c.us privacy_blocked 403',
    '15551230404@c.us not_on_whatsapp 404', '15551230405@c.us removed_by_admin 405', '15551230408@c.us recently_left 408',
    '15550000002@c.us already_member 409', '15551230451@c.us legal_restricted 451', '15551230463@c.us privacy_blocked 403',
    '15551230417@c.us community_restricted 417', '15551230419@c.us group_full 419'], 'WEBJS: a map');
SELECT is(engine_says('noweb', '15551230603'), ARRAY['15551230603@c.us added 200', '15551230401@c.us blocked_by_user 401', '15551230403@c.us privacy_blocked 403',
    '15551230404@c.us not_on_whatsapp 404', '15551230405@c.us removed_by_admin 405', '15551230408@c.us recently_left 408',
    '15550000002@c.us already_member 409', '15551230451@c.us legal_restricted 451', '15551230463@c.us unknown_result 201',
    '15551230417@c.us community_restricted 417', '15551230419@c.us group_full 419'], 'NOWEB: an array that leaves somebody out');
SELECT is(engine_says('gows', '15551230604'), ARRAY['15551230604@c.us added 200', '15551230401@c.us blocked_by_user 401', '15551230403@c.us privacy_blocked 403',
    '15551230404@c.us not_on_whatsapp 404', '15551230405@c.us removed_by_admin 405', '15551230408@c.us recently_left 408',
    '15550000002@c.us already_member 409', '15551230451@c.us legal_restricted 451', '15551230463@c.us unknown_result 201',
    '15551230417@c.us community_restricted 417', '15551230419@c.us group_full 419'], 'GOWS: an array of objects');
SELECT is(engine_says('waha_js', '15551230605'), ARRAY['15551230605@c.us added 200', '15551230401@c.us blocked_by_user 401', '15551230403@c.us privacy_blocked 403',
    '15551230404@c.us not_on_whatsapp 404', '15551230405@c.us removed_by_admin 405', '15551230408@c.us recently_left 408',
    '15550000002@c.us already_member 409', '15551230451@c.us legal_restricted 451', '15551230463@c.us privacy_blocked 403',
    '15551230417@c.us community_restricted 417', '15551230419@c.us group_full 419'], 'wa-js: a map with wid');
SELECT is(engine_says('gowa', '15551230606'), ARRAY['15551230606@c.us accepted 200', '15551230401@c.us accepted 200', '15551230403@c.us privacy_blocked 200',
    '15551230404@c.us not_on_whatsapp 200', '15551230405@c.us accepted 200', '15551230408@c.us accepted 200', '15550000002@c.us accepted 200',
    '15551230451@c.us accepted 200', '15551230463@c.us privacy_blocked 200', '15551230417@c.us accepted 200', '15551230419@c.us accepted 200'],
    'GOWA: success is no more than accepted');
SELECT is(engine_says('added_failed', '15551230607'), ARRAY['15551230607@c.us added 200', '15551230401@c.us blocked_by_user 401', '15551230403@c.us privacy_blocked 403',
    '15551230404@c.us not_on_whatsapp 404', '15551230405@c.us removed_by_admin 405', '15551230408@c.us recently_left 408',
    '15550000002@c.us already_member 409', '15551230451@c.us legal_restricted 451', '15551230463@c.us privacy_blocked 403',
    '15551230417@c.us community_restricted 417', '15551230419@c.us group_full 419'], 'added and failed');
SELECT is(rows_of($$SELECT detail LIKE '%invitation card%' FROM wawp_add_participants('120363012345678901@g.us', '{15551230403}', 'webjs')
                    UNION ALL
                    SELECT detail LIKE '%invitation card%' FROM wawp_add_participants('120363012345678901@g.us', '{15551230403}', 'webjs2')$$),
    ARRAY['(t)', '(f)'], 'whether the engine sent its own invitation is told');

-- remove, promote and demote
CREATE FUNCTION engine_changes(instance text, leaver text) RETURNS text[]
LANGUAGE sql AS $$
    SELECT calls(format('promote_participants(%L, %L, %L)', '120363012345678906@g.us', '{15550000002,15551239999}', instance))
        || calls(format('demote_participants(%L, %L, %L)', '120363012345678906@g.us', '{15550000002,15551239999}', instance))
        || calls(format('remove_participants(%L, %L, %L)', '120363012345678904@g.us', ARRAY[leaver, '15551239999'], instance))
$$;
SELECT is(engine_changes('webjs', '15560000001'), ARRAY['15550000002@c.us accepted 201', '15551239999@c.us accepted 201', '15550000002@c.us accepted 201',
    '15551239999@c.us accepted 201', '15560000001@c.us accepted 201', '15551239999@c.us accepted 201'], 'changes with WEBJS: nothing about anybody');
SELECT is(engine_changes('noweb', '15560000002'), ARRAY['15550000002@c.us promoted 200', '15551239999@c.us not_member 404', '15550000002@c.us demoted 200',
    '15551239999@c.us not_member 404', '15560000002@c.us removed 200', '15551239999@c.us not_member 404'], 'changes with NOWEB');
SELECT is(engine_changes('gows', '15560000003'), ARRAY['15550000002@c.us promoted 200', '15551239999@c.us not_member 404', '15550000002@c.us demoted 200',
    '15551239999@c.us not_member 404', '15560000003@c.us removed 200', '15551239999@c.us not_member 404'], 'changes with GOWS');
SELECT is(engine_changes('added_failed', '15560000004'), ARRAY['15550000002@c.us accepted 200', '15551239999@c.us accepted 200', '15550000002@c.us accepted 200',
    '15551239999@c.us accepted 200', '15560000004@c.us accepted 200', '15551239999@c.us accepted 200'], 'changes with an API that says success');

-- groups that refuse
SELECT is(calls($$add_participants('120363012345678903@g.us', '{15551230001}', 'gows')$$), ARRAY['15551230001@c.us group_full 419'], 'a full group');
SELECT is(calls($$add_participants('120363012345678904@g.us', '{15551230001,15551230002,15551230003,15551230004,15551230005,15551230006}', 'gows')$$),
    ARRAY['15551230001@c.us added 200', '15551230002@c.us added 200', '15551230003@c.us added 200', '15551230004@c.us added 200',
        '15551230005@c.us added 200', '15551230006@c.us group_full 419'], 'a group with room for five');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678906@g.us":{"approval":true},"15550000001-1623281429@g.us":{"locked":true}}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678906@g.us', '{15551230001}', 'waha_js')$$), ARRAY['15551230001@c.us pending_approval 421'],
    'a group whose admins approve');
SELECT is(calls($$add_participants('15550000001-1623281429@g.us', '{15551230001}')$$), ARRAY['15551230001@c.us group_locked 500'], 'a locked group');
SELECT is(calls($$add_participants('120363012345678902@g.us', '{15551230001}')$$), ARRAY['15551230001@c.us not_admin 403'], 'a group where we are no admin');
SELECT is(calls($$add_participants('120363012345678902@g.us', '{15551230001}', 'webjs')$$), ARRAY['15551230001@c.us not_admin 201'],
    'the same said in a sentence under 201');
SELECT is(calls($$remove_participants('120363012345678902@g.us', '{15550000002}')$$), ARRAY['15550000002@c.us not_admin 403'], 'and to a removal');
SELECT is(calls($$add_participants('120363099999999999@g.us', '{15551230001}')$$), ARRAY['15551230001@c.us group_not_found 404'], 'a group that is not there');
SELECT is(calls($$add_participants('120363099999999999@g.us', '{15551230001}', 'gows')$$), ARRAY['15551230001@c.us group_not_found 500'],
    'the same in an engine''s envelope');

-- a list by privacy ids: with the phone, without; of people whose ids were not learnt before, nor are until the end (their rows are locked)
UPDATE wawp.contact SET lid = NULL;
SELECT is(calls($$add_participants('120363012345678905@g.us', '{15551230001,15551230403}', 'gows')$$),
    ARRAY['15551230001@c.us unknown_result 201', '15551230403@c.us unknown_result 201'], 'an answer by privacy id only is not dealt out by its order');
SELECT is(calls($$add_participants('120363000000000205@g.us', '{15551230001,15551230002}')$$),
    ARRAY['15551230001@c.us unknown_result 200', '15551230002@c.us unknown_result 200'], 'when it has as many entries as were asked for, either');
SELECT is(calls($$add_participants('120363000000000206@g.us', '{15551230001,15551230002}')$$),
    ARRAY['15551230001@c.us unknown_result 200', '15551230002@c.us unknown_result 200'], 'with fewer it is nobody''s');
SELECT is(calls($$add_participants('120363000000000204@g.us', '{15551230001,15551230002}')$$),
    ARRAY['15551230001@c.us unknown_result 200', '15551230002@c.us unknown_result 200'], 'an answer about others is nobody''s');
SELECT is(adding_to('120363000000010204'), '15551230001@c.us not_admin 200', 'a number beside our own is the call''s');

-- ---- what fails as a whole is a row

SELECT is(adding_to('120363000000000' || number), '15551230001@c.us ' || expected, about)
FROM (VALUES
    ('400', 'bad_identifier 400', 'HTTP 400 that names the JID'),
    ('401', 'auth_failed 401', 'HTTP 401'),
    ('403', 'not_admin 403', 'HTTP 403'),
    ('404', 'group_not_found 404', 'HTTP 404'),
    ('409', 'already_member 409', 'HTTP 409'),
    ('410', 'link_unavailable 410', 'HTTP 410'),
    ('419', 'group_full 419', 'HTTP 419'),
    ('422', 'session_down 422', 'HTTP 422'),
    ('423', 'group_locked 423', 'HTTP 423'),
    ('429', 'rate_limited 429', 'HTTP 429'),
    ('463', 'account_restricted 500', 'error 463 in an envelope'),
    ('500', 'server_error 500', 'HTTP 500'),
    ('502', 'server_error 502', 'HTTP 502, a page'),
    ('503', 'server_error 503', 'HTTP 503'),
    ('200', 'unknown_result 200', 'an empty body under 200'),
    ('201', 'unknown_result 200', 'a page under 200'),
    ('202', 'unrecognised 200', 'an unknown refusal under 200'),
    ('203', 'not_admin 201', 'a sentence under 201')
) t(number, expected, about);
SELECT is(adding_to('120363000000010403'), '15551230001@c.us quota_exceeded 403', 'HTTP 403 quota_reached');
SELECT is(adding_to('120363000000010404'), '15551230001@c.us session_down 404', 'HTTP 404 invalid_session');
SELECT is(adding_to('120363000000020404'), '15551230001@c.us unrecognised 404', 'HTTP 404, a page, is no group that is not there');
SELECT is(adding_to('120363000000010500'), '15551230001@c.us server_error 500', '"Lid is missing" in an envelope');
SELECT is(adding_to('120363000000020500'), '15551230001@c.us rate_limited 500', 'rate-overlimit in an envelope');
SELECT is(adding_to('120363012345678901', 'stopped'), '15551230001@c.us session_down 422', 'a session that is stopped');
SELECT is(adding_to('120363012345678901', 'unknown'), '15551230001@c.us session_down 404', 'an instance that Wawp does not know');
SELECT is(adding_to('120363012345678901', 'closed'), '15551230001@c.us unreachable -', 'a port where nobody listens');
SELECT is(rows_of($$SELECT outcome, code, detail <> '', retry_at FROM wawp_remove_participants('120363012345678901@g.us', '{15551230001,15551230002}', 'closed')$$),
    ARRAY['(unreachable,,t,)', '(unreachable,,t,)'], 'has a detail and no code');
SELECT is(calls($$remove_participants('120363000000000409@g.us', '{15551230001}')$$), ARRAY['15551230001@c.us unrecognised 409'], 'HTTP 409 to a removal');
SELECT is(calls($$add_participants('120363000000000409@g.us', '{15551230001,15551230002}')$$),
    ARRAY['15551230001@c.us unknown_result 409', '15551230002@c.us unknown_result 409'], 'HTTP 409 to several: who was meant?');
SELECT is(calls($$add_participants('120363000000000403@g.us', '{15551230001,Ana,15551230002}')$$),
    ARRAY['15551230001@c.us not_admin 403', 'Ana bad_identifier -', '15551230002@c.us not_admin 403'], 'HTTP 403 to several');
SELECT is(rows_of($$SELECT n, outcome FROM (VALUES (1, '120363012345678901@g.us'), (2, '120363000000000500@g.us'), (3, '120363000000001002@g.us'),
                        (4, '120363000000000401@g.us'), (5, '120363012345678904@g.us')) g(n, jid),
                    LATERAL wawp_add_participants(g.jid, '{15551230001}')$$),
    ARRAY['(1,accepted)', '(2,server_error)', '(3,unknown_result)', '(4,auth_failed)', '(5,accepted)'],
    'one statement over many groups loses nothing of what it learnt');

-- Retry-After
SELECT is(rows_of($$SELECT outcome, retry_at FROM wawp_add_participants('120363000000000429@g.us', '{15551230001}')$$), ARRAY['(rate_limited,)'],
    'without Retry-After no retry_at');
SELECT is(rows_of($$SELECT outcome, retry_at BETWEEN clock_timestamp() + '20s' AND clock_timestamp() + '30s'
                    FROM wawp_add_participants('120363000000010429@g.us', '{15551230001,15551230002}')$$), ARRAY['(rate_limited,t)', '(rate_limited,t)'],
    'Retry-After in seconds');
SELECT is(rows_of($$SELECT outcome, retry_at BETWEEN clock_timestamp() + '50min' AND clock_timestamp() + '1h' FROM wawp_add_participants('120363000000020429@g.us', '{15551230001}')$$),
    ARRAY['(rate_limited,t)'], 'Retry-After as a date');
SELECT is(rows_of($$SELECT outcome, retry_at FROM wawp_add_participants('120363000000030429@g.us', '{15551230001}')$$), ARRAY['(rate_limited,)'],
    'a date far off is ignored');
SELECT is(rows_of($$SELECT outcome, retry_at FROM wawp_add_participants('120363000000030429@g.us', '{15551230001}')$$), ARRAY['(rate_limited,)'],
    'Retry-After that is neither');
SELECT is(rows_of($$SELECT outcome, retry_at BETWEEN clock_timestamp() AND clock_timestamp() + '5s'
                    FROM wawp_add_participants('120363000000000503@g.us', '{15551230001}')$$), ARRAY['(server_error,t)'], 'Retry-After beside 503');

-- redirects
\i test/sql-include/read_ledger.sql
SELECT is(adding_to('120363000000000302'), '15551230001@c.us unrecognised 302', 'a redirect');
SELECT is(adding_to('120363000000000307'), '15551230001@c.us unrecognised 307', 'a redirect that keeps the method');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 2, 'redirects are not followed');

-- ---- answers that are lost or damaged.  The next call is as good as any, and nothing is sent twice.

SELECT is(adding_to('12036300000000' || number, instance) || ', ' || adding_to('120363012345678901', instance),
    format('15551230001@c.us %s, 15551230001@c.us accepted 200', expected), about)
FROM (VALUES
    ('1001', 'support', 'unknown_result -', 'reset before the effect'),
    ('1002', 'support', 'unknown_result -', 'reset instead of an answer'),
    ('1003', 'support', 'unknown_result 200', 'reset in the body'),
    ('1004', 'support', 'unknown_result -', 'closed instead of an answer'),
    ('1005', 'support', 'unknown_result 200', 'closed in the body'),
    ('1006', 'hasty', 'unknown_result -', 'no answer before the timeout'),
    ('1007', 'hasty', 'unknown_result 200', 'half an answer before the timeout'),
    ('1008', 'support', 'unknown_result 200', 'truncated JSON'),
    ('1009', 'support', 'unknown_result 200', 'five megabytes'),
    ('1010', 'support', 'unknown_result 200', 'five megabytes without a length'),
    ('1011', 'support', 'unknown_result 200', 'bad UTF-8'),
    ('1012', 'support', 'unknown_result 200', 'NUL'),
    ('1013', 'support', 'unknown_result 200', 'far too many headers'),
    ('1014', 'support', 'server_error 500', 'reset in the body of a 500'),
    ('1015', 'support', 'accepted 200', 'chunked, with another content type'),
    ('1017', 'support', 'accepted 200', 'slow, but in time'),
    ('1018', 'support', 'accepted 200', 'three megabytes')
) t(number, instance, expected, about);
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT path, count(*) FROM ledger WHERE path !~ '120363012345678901' GROUP BY path HAVING count(*) > 1$$), '{}',
    'none of them was sent twice');
SELECT is((SELECT count(*)::int FROM ledger), 34, 'all of them were sent');
SELECT is(rows_of($$SELECT outcome, detail <> '' FROM wawp_add_participants('120363000000001002@g.us', '{15551230001}')
                    UNION ALL
                    SELECT outcome, detail LIKE '%wawp.max_response_size%' FROM wawp_add_participants('120363000000001009@g.us', '{15551230001}')$$),
    ARRAY['(unknown_result,t)', '(unknown_result,t)'], 'the detail says why');
SELECT is(adding_to('120363000000001016'), '15551230001@c.us accepted 200', 'closed after the answer');
DO $$ BEGIN PERFORM pg_sleep(0.2); END $$;     -- else the next request may meet the closing, which is a lost answer
SELECT is(adding_to('120363012345678901'), '15551230001@c.us accepted 200', 'a connection that was closed is not used again');
SET LOCAL wawp.max_response_size = '1kB';
SELECT is(adding_to('120363000000001018') || ', ' || adding_to('120363012345678901'),
    '15551230001@c.us unknown_result 200, 15551230001@c.us accepted 200', 'wawp.max_response_size is obeyed');
RESET wawp.max_response_size;
\i test/sql-include/read_ledger.sql

-- ---- more than 50 people

CREATE FUNCTION crowd(size int) RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg((15571000000 + n)::text) FROM generate_series(1, size) n $$;
SELECT is(rows_of($$SELECT outcome, code, count(*) FROM wawp_add_participants('120363000000002004@g.us', crowd(120)) GROUP BY 1, 2$$),
    ARRAY['(accepted,200,120)'], '120 people');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(jsonb_array_length(body -> 'participants') ORDER BY n) FROM ledger), ARRAY[50, 50, 20], 'are three requests');
SELECT is((SELECT count(DISTINCT p ->> 'id')::int FROM ledger, jsonb_array_elements(body -> 'participants') p), 120, 'with everybody once');
SELECT is(rows_of($$SELECT count(*) FROM wawp_add_participants('120363000000002004@g.us', crowd(50) || crowd(50) || '{Ana}'::text[])$$),
    ARRAY['(101)'], '50 people twice');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 1, 'are one request');
SELECT is(rows_of($$SELECT outcome, code, retry_at > clock_timestamp(), detail LIKE 'not sent%', count(*)
                    FROM wawp_add_participants('120363000000002001@g.us', crowd(120)) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2$$),
    ARRAY['(accepted,200,,,50)', '(rate_limited,429,t,f,50)', '(rate_limited,,t,t,20)'], 'a limit met by the second request keeps the third back');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 2, 'so it is not sent');
SELECT is(rows_of($$SELECT outcome, code, detail LIKE 'not sent%', count(*)
                    FROM wawp_add_participants('120363000000002002@g.us', crowd(120)) GROUP BY 1, 2, 3 ORDER BY 1, 2$$),
    ARRAY['(accepted,200,,50)', '(unknown_result,,f,50)', '(unreachable,,t,20)'], 'an answer that is lost keeps the rest back');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 2, 'unsent, which is what unreachable says');
SELECT is(rows_of($$SELECT outcome, code, count(*) FROM wawp_add_participants('120363000000002003@g.us', crowd(60)) GROUP BY 1, 2 ORDER BY 1, 2$$),
    ARRAY['(not_admin,403,50)', '(not_admin,,10)'], 'where we are no admin nobody else is sent');
\i test/sql-include/read_ledger.sql

-- ---- verify: who got in?

DO $$ BEGIN EXECUTE 'ALTER SERVER support OPTIONS (ADD verify_delays ''20ms,80ms,200ms'')'; EXECUTE 'ALTER SERVER webjs OPTIONS (ADD verify_delays ''20ms,80ms'')'; END $$;
\i test/sql-include/reset_simulator.sql
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230500,15550000002,15551230501}', verify => true)$$),
    ARRAY['15551230500@c.us added 200 verified', '15550000002@c.us added 200 verified', '15551230501@c.us added 200 verified'],
    'who is in the list is in');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method ORDER BY n) FROM ledger), ARRAY['POST', 'GET'], 'one look settles all');
SELECT is((SELECT query FROM ledger WHERE method = 'GET'), '{"instance_id": "ABC123", "access_token": "secret", "id": "120363012345678901@g.us"}',
    'a GET has all in its query');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230403,15551230502,Ana}', verify => true)$$),
    ARRAY['15551230403@c.us privacy_blocked 200 verified', '15551230502@c.us added 200 verified', 'Ana bad_identifier -'],
    'who is not, after all looks, was blocked');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(concat_ws(' ', method, regexp_replace(path, '^.*/', '')) ORDER BY n) FROM ledger),
    ARRAY['POST add', 'GET participants', 'GET participants', 'GET participants', 'GET 120363012345678901%40g.us', 'POST info'],
    'which takes all looks, and what the group and we are');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230503,15551230403,15551230404,15550000002,15551230408}', 'webjs', verify => true)$$),
    ARRAY['15551230503@c.us added 200 verified', '15551230403@c.us privacy_blocked 403 verified', '15551230404@c.us not_on_whatsapp 404 verified',
        '15550000002@c.us already_member 409 verified', '15551230408@c.us recently_left 408 verified'], 'a list agrees with an answer');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method ORDER BY n) FROM ledger), ARRAY['POST', 'GET'], 'and settles it at once');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15550000002":{"add_code":408}}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15550000002}', 'webjs', verify => true)$$),
    ARRAY['15550000002@c.us added 408 verified'], 'who is in the list is in, whatever the answer said');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15550000002":null}}' >/dev/null
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"120363012345678901@g.us/participants/add$"},"fault":{"reset":"after"}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230504}', verify => true)$$),
    ARRAY['15551230504@c.us added - verified'], 'an answer that was lost');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"120363012345678901@g.us/participants/add$"},"fault":{"reset":"before"}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230505}', verify => true)$$),
    ARRAY['15551230505@c.us unknown_result -'], 'a request that was lost: absence does not say why');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"120363012345678901@g.us/participants/add$"},"answer":{"status":500,"text":""},"effect":"before"}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230506}', verify => true)$$),
    ARRAY['15551230506@c.us added 500 verified'], 'a server error after the effect');
\i test/sql-include/read_ledger.sql

-- a list that comes late, with a privacy id, in another spelling
\! test/simulator/ctl $WAWP_SIM_PORT world '{"list_delay":0.05}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230507}', verify => true)$$),
    ARRAY['15551230507@c.us added 200 verified'], 'a list that is late');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"list_delay":30}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230508}', 'webjs', verify => true)$$),
    ARRAY['15551230508@c.us added 200'], 'a list that is too late does not overrule an answer');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"list_delay":0}' >/dev/null
SELECT is(calls($$add_participants('120363012345678906@g.us', '{15551230500,15551230403}', verify => true)$$),
    ARRAY['15551230500@c.us added 200 verified', '15551230403@c.us privacy_blocked 200 verified'], 'a list by privacy id with the phone');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '/v2/lids/%'), 0, 'needs no map');
UPDATE wawp.contact SET lid = NULL;
SELECT is(calls($$add_participants('120363012345678905@g.us', '{15551230500,15551230403}', verify => true)$$),
    ARRAY['15551230500@c.us added 200 verified', '15551230403@c.us privacy_blocked 200 verified'], 'a list by privacy id only');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT method, path, count(*) FROM ledger WHERE path LIKE '/v2/lids/%' GROUP BY 1, 2 ORDER BY 2$$),
    ARRAY['(GET,/v2/lids/pn/15551230403,1)', '(GET,/v2/lids/pn/15551230500,1)'], 'asks the map, once for each');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230509":{"lid_known":false}}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678905@g.us', '{15551230509}', verify => true)$$),
    ARRAY['15551230509@c.us accepted 200'], 'a privacy id that nobody resolves is no absence');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"5531987654321":{"chat_id":"553187654321@c.us"}}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{+55 31 98765 4321}', verify => true)$$),
    ARRAY['5531987654321@c.us added 200 verified'], 'a number that WhatsApp writes without its nine');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"members":{"15551230408":{"role":"left"},"15551230508":{"visible_at":0}}}}}' >/dev/null
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230408}', verify => true)$$),
    ARRAY['15551230408@c.us privacy_blocked 200 verified'], 'an entry of somebody who left is no member');

-- no list: nothing is known
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"method":"GET","path":"120363012345678904@g.us/participants$"},"times":null,"answer":{"status":500,"text":""}},{"match":{"method":"GET","path":"15550000001-1623281429@g.us/participants$"},"times":null,"answer":{"json":[]}},{"match":{"method":"GET","path":"120363012345678906@g.us/participants$"},"times":null,"answer":{"json":{"error":"Something","participants":[{"id":"1555000001@c.us"}]}}}]' >/dev/null
SELECT is(calls($$add_participants('120363012345678904@g.us', '{15551230403}', verify => true)$$), ARRAY['15551230403@c.us accepted 200'],
    'a list that cannot be read leaves what the answer said');
SELECT is(calls($$add_participants('15550000001-1623281429@g.us', '{15551230403}', verify => true)$$), ARRAY['15551230403@c.us accepted 200'],
    'a list without anybody is no list');
SELECT is(calls($$add_participants('120363012345678906@g.us', '{15551230403}', verify => true)$$), ARRAY['15551230403@c.us accepted 200'],
    'nor is an error that has one');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{}', verify => true)$$), '{}', 'nobody to look for');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{Ana}', verify => true)$$), ARRAY['Ana bad_identifier -'], 'nobody who was sent');
\i test/sql-include/read_ledger.sql
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230001}', 'closed', verify => true)$$), ARRAY['15551230001@c.us unreachable -'],
    'nobody could be sent');
SELECT is(calls($$add_participants('120363012345678901@g.us', '{15551230001}', 'stopped', verify => true)$$), ARRAY['15551230001@c.us session_down 422'],
    'a session that is down is not asked for the list');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE method = 'GET'), 0, 'so nobody looks');
SELECT is(rows_of($$SELECT verified, outcome FROM wawp_add_participants('120363012345678901@g.us', '{15550000002}', 'webjs')$$), ARRAY['(f,already_member)'],
    'without verify nobody looks either');

-- ---- the token is in no detail

\i test/sql-include/reset_simulator.sql
\! test/simulator/ctl $WAWP_SIM_PORT rule - <test/sql-include/session_calls.json >/dev/null
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ODD1":{"token":"q\"9\\/+%41 secretive"}},"groups":{"15550000001-1623281429@g.us":{"locked":true}}}' >/dev/null
ALTER USER MAPPING FOR PUBLIC SERVER odd OPTIONS (SET access_token 'q"9\/+%41 secretive');
ALTER USER MAPPING FOR PUBLIC SERVER odd_query OPTIONS (SET access_token 'q"9\/+%41 secretive');
SELECT is(adding_to('120363012345678901', 'odd') || ', ' || adding_to('120363012345678901', 'odd_query'),
    '15551230001@c.us accepted 200, 15551230001@c.us accepted 200', 'a token of odd characters, in JSON and in a URL');
SELECT is(rows_of($$SELECT outcome, detail FROM wawp_add_participants('15550000001-1623281429@g.us', '{15551230001}', 'odd')$$),
    ARRAY['(group_locked,"2 UNKNOWN: info query returned status 423: locked")'], 'an envelope that echoes the request');
SELECT is(rows_of($$SELECT detail FROM wawp_add_participants('120363000000003001@g.us', '{15551230001}', 'odd')$$), ARRAY['("bad token ***")'],
    'a text with the token');
SELECT is(rows_of($$SELECT detail FROM wawp_add_participants('120363000000003002@g.us', '{15551230001}', 'odd')$$),
    ARRAY['("bad token ***, or ""access_token"":""***""")'], 'a text with JSON that has the token');
SELECT is(rows_of($$SELECT detail FROM wawp_add_participants('120363000000003003@g.us', '{15551230001}', 'odd')$$),
    ARRAY['("GET /?access_token=*** failed")'], 'a text with a URL that has the token');
SELECT json_build_object('match', json_build_object('path', '/120363000000003004@'),
    'answer', json_build_object('status', 500, 'text', repeat('x', 490) || 'q"9\/+%41 secretive')) AS rule \gset
\setenv RULE :rule
\! test/simulator/ctl $WAWP_SIM_PORT rule "$RULE" >/dev/null
SELECT is((SELECT trim(trailing '*' FROM detail) FROM wawp_add_participants('120363000000003004@g.us', '{15551230001}', 'odd')),
    repeat('x', 490), 'a token where a long text is cut');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ODD1":{"token":"t\u00f6k\u00e9n"}}}' >/dev/null
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/120363000000003006@"},"answer":{"status":500,"text":"t\u00f6k\u00e9n t\\u00f6k\\u00e9n t%C3%B6k%c3%a9n"}}' >/dev/null
ALTER USER MAPPING FOR PUBLIC SERVER odd OPTIONS (SET access_token U&'t\00F6k\00E9n');
SELECT is(adding_to('120363012345678901', 'odd'), '15551230001@c.us accepted 200', 'a token that is not ASCII');
SELECT is(rows_of($$SELECT detail FROM wawp_add_participants('120363000000003006@g.us', '{15551230001}', 'odd')$$), ARRAY['("*** *** ***")'],
    'is found as it is, as JSON and as a URL have it');
SELECT json_build_object('match', json_build_object('path', '/120363000000003005@'),
    'answer', json_build_object('status', 500, 'text', repeat(U&'\20AC', 5000))) AS rule \gset
\setenv RULE :rule
\! test/simulator/ctl $WAWP_SIM_PORT rule "$RULE" >/dev/null
SELECT is((SELECT detail ~ U&'^\20AC+$' AND octet_length(detail) <= 500 FROM wawp_add_participants('120363000000003005@g.us', '{15551230001}')), true,
    'a long text is cut between characters');

-- ---- all of them

SELECT set_eq('SELECT DISTINCT outcome FROM seen',
    $$SELECT unnest(enum_range(NULL::wawp.outcome)) EXCEPT SELECT unnest('{joined_by_invite,invited,suppressed,throttled}'::wawp.outcome[])$$,
    'every outcome that a call can have was seen');

SELECT * FROM finish();
ROLLBACK;
