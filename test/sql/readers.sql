\set ECHO none
-- readers: functions that read, create a group, or send a message.  These raise.
--
-- What a group answers is in its number, what a message or a new group is answered in its text: see
-- test/sql-include/readers.json.  Groups 1203630123456789… are the simulator's own.
\i test/sql-include/setup.sql
\! test/simulator/ctl $WAWP_SIM_PORT rule - <test/sql-include/readers.json >/dev/null

SELECT count(make_instance(name, instance_id, url, options)::text) AS made
FROM (VALUES
    ('support', 'ABC123', :'url', ''),
    ('webjs', 'WEBJS1', :'url', ''),
    ('noweb', 'NOWEB1', :'url', ''),
    ('gows', 'GOWS1', :'url', ''),
    ('waha_js', 'WAJS01', :'url', ''),
    ('gowa', 'GOWA01', :'url', ''),
    ('added_failed', 'ADDF01', :'url', ''),
    ('stopped', 'STOPPED1', :'url', ''),
    ('starting', 'STARTING1', :'url', ''),
    ('scan_qr', 'SCANQR1', :'url', ''),
    ('failed', 'FAILED1', :'url', ''),
    ('unknown', 'NOBODY', :'url', ''),
    ('hasty', 'ABC123', :'url', 'timeout_ms ''1000'''),
    ('closed', 'ABC123', 'http://127.0.0.1:1', ''),
    ('wrong', 'ABC123', :'url', ''),
    ('by_query', 'ABC123', :'url', 'auth ''query'''),
    ('by_header', 'ABC123', :'url', 'auth ''header''')
) i(name, instance_id, url, options) \gset
ALTER USER MAPPING FOR PUBLIC SERVER wrong OPTIONS (SET access_token 'wrong');
SET LOCAL wawp.instance = 'support';

SELECT plan(250);

-- ---- wawp_participants

SELECT is(rows_of($$SELECT * FROM wawp_participants('120363012345678901@g.us')$$),
    ARRAY['(15550000001@c.us,15550000001@c.us,,owner)', '(15550000002@c.us,15550000002@c.us,,member)'], 'members');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT method || ' ' || path FROM ledger), 'GET /v2/groups/120363012345678901%40g.us/participants', 'by a GET');
SELECT is((SELECT query FROM ledger), '{"instance_id": "ABC123", "access_token": "secret", "id": "120363012345678901@g.us"}', 'with all in its query');
SELECT is((SELECT headers ? 'content-type' OR headers ? 'content-length' FROM ledger), false, 'and no body');
SELECT is((SELECT count(*)::int FROM wawp_participants('120363012345678901@g.us', 'by_header')), 2, 'with the token in a header');
SELECT is((SELECT count(*)::int FROM wawp_participants('120363012345678901@g.us', 'by_query')), 2, 'with auth query');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(query ORDER BY n) FROM ledger), ARRAY['{"instance_id": "ABC123", "id": "120363012345678901@g.us"}',
    '{"instance_id": "ABC123", "access_token": "secret", "id": "120363012345678901@g.us"}']::jsonb[], 'the query has what the header has not');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"members":{"15550000003":{"role":"admin"},"15550000004":{"role":"left"}}}}}' >/dev/null
SELECT is(rows_of(format('SELECT jid, phone_jid, role FROM wawp_participants(%L, %L)', '120363012345678901@g.us', instance)),
    ARRAY['(15550000001@c.us,15550000001@c.us,owner)', '(15550000002@c.us,15550000002@c.us,member)', '(15550000003@c.us,15550000003@c.us,admin)'],
    'members and roles in ' || instance || ', without who left')
FROM unnest(ARRAY['support', 'webjs', 'noweb', 'gows']) instance;
SELECT is(rows_of($$SELECT count(*), count(DISTINCT jid), count(*) FILTER (WHERE role = 'owner'), bool_and(wawp_is_person_jid(jid))
                    FROM wawp_participants('120363012345678903@g.us')$$), ARRAY['(1024,1024,1,t)'], '1,024 members');
SELECT is(rows_of($$SELECT count(*), count(DISTINCT jid) FROM wawp_participants('120363012345678903@g.us', 'gows')$$), ARRAY['(1024,1024)'], '1,024 members with GOWS');
SELECT is(rows_of(format($$SELECT count(*), count(phone_jid), bool_and(jid = lid), bool_and(lid ~ '^[0-9]+@lid$'), array_agg(role) FROM wawp_participants(%L, %L)$$,
                         '120363012345678905@g.us', instance)), ARRAY['(2,0,t,t,"{owner,member}")'], 'a list by privacy id only in ' || instance)
FROM unnest(ARRAY['support', 'webjs', 'noweb', 'gows']) instance;
SELECT is(rows_of(format($$SELECT array_agg(phone_jid), bool_and(jid = lid), bool_and(lid ~ '^[0-9]+@lid$') FROM wawp_participants(%L, %L)$$,
                         '120363012345678906@g.us', instance)), ARRAY['("{15550000001@c.us,15550000002@c.us}",t,t)'],
    'a list by privacy id with the phone in ' || instance)
FROM unnest(ARRAY['support', 'noweb', 'gows']) instance;
SELECT is(rows_of($$SELECT jid, phone_jid, lid IS NOT NULL FROM wawp_participants('120363012345678901@g.us', 'gows') LIMIT 1$$),
    ARRAY['(15550000001@c.us,15550000001@c.us,t)'], 'a list by phone with the privacy id');
SELECT is(rows_of($$SELECT * FROM wawp_participants('120363000000004001@g.us')$$),
    ARRAY['(15550000001@c.us,15550000001@c.us,,owner)', '(15550000002@c.us,15550000002@c.us,,admin)', '(15550000003@c.us,15550000003@c.us,,member)',
        '(15550000004@c.us,15550000004@c.us,,admin)'], 'a list in data, with roles, devices, strings, ranks');
SELECT is(rows_of($$SELECT jid, role FROM wawp_participants('120363000000004002@g.us')$$),
    ARRAY['(15550000001@c.us,owner)', '(15550000002@c.us,admin)', '(15550000003@c.us,member)'], 'a map');
SELECT is(rows_of($$SELECT * FROM wawp_participants('120363000000004003@g.us')$$),
    ARRAY['(111111111111111@lid,15550000001@c.us,111111111111111@lid,member)', '(333333333333333@lid,,333333333333333@lid,admin)',
        '(15550000002@c.us,15550000002@c.us,444444444444444@lid,member)', '(,,,)'], 'WAHA''s second version of the list');
SELECT is(rows_of($$SELECT * FROM wawp_participants('120363000000004004@g.us')$$), '{}', 'an empty list');
SELECT is(rows_of($$SELECT jid, role FROM wawp_participants('120363000000004006@g.us')$$), ARRAY['(15550000001@c.us,)', '(15550000002@c.us,)'], 'a list that tells nobody''s role');
SELECT raises($$SELECT wawp_participants('120363000000004005@g.us')$$, '08P01', '%cannot be read%', NULL, NULL, 'a list of nobody known');

-- ---- what goes wrong.  All read in the same way; here it is the member list.

SELECT raises(format('SELECT wawp_participants(%L, %L)', '12036300000' || number || '@g.us', instance), state, 'could not list the participants of the group: ' || message,
    detail, hint, format('%s: %s', state, about))
FROM (VALUES
    ('0000401', 'support', '28000', '%credentials%', 'HTTP status 401 after % ms (%): Invalid or Missing Access Token', '%access_token%', 'HTTP 401'),
    ('0000403', 'support', '42501', '%not an admin%', 'HTTP status 403 %Forbidden', '%admin%', 'HTTP 403'),
    ('0010403', 'support', '53400', '%', 'HTTP status 403 %', NULL, 'HTTP 403 quota_reached'),
    ('0000404', 'support', '42704', '%', 'HTTP status 404 %Group not found', '%wawp_groups()%', 'HTTP 404'),
    ('0010404', 'support', '55000', '%', 'HTTP status 404 %Session not found%', '%wawp_session()%', 'HTTP 404 invalid_session'),
    ('0000422', 'support', '55000', '%', 'HTTP status 422 %', '%wawp_session()%', 'HTTP 422'),
    ('0000429', 'support', '53400', '%', 'HTTP status 429 %', '%', 'HTTP 429'),
    ('0000410', 'support', '55000', '%', 'HTTP status 500 %', NULL, 'an engine''s 410'),
    ('0000500', 'support', '08006', '%', 'HTTP status 500 %Unexpected Failure for ***', '%', 'HTTP 500, without the token'),
    ('0000502', 'support', '08006', '%', 'HTTP status 502 %', '%', 'HTTP 502'),
    ('0000400', 'support', '08P01', '%', 'HTTP status 400 %id must be a string', NULL, 'HTTP 400'),
    ('0000302', 'support', '08P01', '%', 'HTTP status 302 %', NULL, 'a redirect'),
    ('0000200', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'an empty body'),
    ('0000201', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'a page'),
    ('0000202', 'support', '55000', '%', 'HTTP status 200 %Session not found', NULL, 'success false under 200'),
    ('0000203', 'support', '53400', '%', 'HTTP status 200 %Quota or Limit Reached', NULL, 'quota_reached under 200'),
    ('0000204', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'another object'),
    ('0000205', 'support', '53400', '%', 'HTTP status 200 %', NULL, 'statusCode 429 under 200'),
    ('0000206', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'ok instead of a list'),
    ('0000207', 'support', '55000', '%', 'HTTP status 200 %', NULL, 'invalid_session under 200'),
    ('0000208', 'support', '08P01', '%', 'HTTP status 200 %Unauthorized', NULL, 'an error of one word under 200'),
    ('0001001', 'support', '08006', '%', 'No HTTP status after % ms (name %, connect %, TLS %, first byte %): _%', '%', 'a reset'),
    ('0001006', 'hasty', '08006', '%', 'No HTTP status after % ms %', '%', 'a timeout'),
    ('0001008', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'a truncated list'),
    ('0001009', 'support', '54000', '%too large', 'HTTP status 200 %', '%wawp.max_response_size%', 'five megabytes'),
    ('0001011', 'support', '08P01', '%cannot be read', 'HTTP status 200 %', NULL, 'bad UTF-8'),
    ('0000001', 'closed', '08001', '%', 'No HTTP status after %', '%base_url%', 'a port where nobody listens'),
    ('0000001', 'stopped', '55000', '%', 'HTTP status 422 %', '%', 'a session that is stopped'),
    ('0000001', 'unknown', '55000', '%', 'HTTP status 404 %', '%', 'an instance that Wawp does not know'),
    ('0000001', 'wrong', '28000', '%', 'HTTP status 401 %', '%', 'a wrong token')
) t(number, instance, state, message, detail, hint, about);
SELECT is((SELECT count(*)::int FROM wawp_participants('120363012345678901@g.us')), 3, 'after all that the next call works');
SET LOCAL wawp.max_response_size = '1kB';
SELECT raises($$SELECT wawp_participants('120363012345678903@g.us')$$, '54000', NULL, NULL, NULL, 'wawp.max_response_size is obeyed');
RESET wawp.max_response_size;
SELECT raises(call, '22023', NULL, NULL, NULL, about)
FROM (VALUES
    ($$SELECT wawp_participants(NULL)$$, 'NULL group'),
    ($$SELECT wawp_participants('15550000001@c.us')$$, 'a person'),
    ($$SELECT wawp_participants('120363012345678901')$$, 'no suffix')
) t(call, about);
\i test/sql-include/read_ledger.sql

-- ---- wawp_group_info

SELECT is(rows_of(format('SELECT group_jid, subject, size, is_admin, jsonb_typeof(raw) FROM wawp_group_info(%L, %L)', '120363012345678901@g.us', instance)),
    ARRAY['(120363012345678901@g.us,Support,3,t,object)'], 'a group in ' || instance)
FROM unnest(ARRAY['support', 'webjs', 'noweb', 'gows', 'waha_js']) instance;
SELECT is(rows_of($$SELECT subject, size, is_admin FROM wawp_group_info('120363012345678902@g.us')$$), ARRAY['("Not ours",3,f)'], 'where we are no admin');
SELECT is(rows_of($$SELECT subject, is_admin FROM wawp_group_info('120363012345678905@g.us')$$), ARRAY['("Lid only",t)'],
    'where we are listed by privacy id');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678906@g.us":{"hide_us":true}}}' >/dev/null
SELECT is(rows_of($$SELECT subject, is_admin FROM wawp_group_info('120363012345678906@g.us')$$), ARRAY['("Lid and phone",)'],
    'where we are not listed it cannot be told');
SELECT is(rows_of($$SELECT group_jid, subject FROM wawp_group_info('15550000001-1623281429@g.us')$$), ARRAY['(15550000001-1623281429@g.us,"Old form")'],
    'an old form of JID');
SELECT is((SELECT raw ->> 'subject' FROM wawp_group_info('120363012345678901@g.us')), 'Support', 'raw is what the API answered');
SELECT is((SELECT raw #>> '{groupMetadata,subject}' FROM wawp_group_info('120363012345678901@g.us', 'webjs')), 'Support', 'whatever its form');
SELECT is(rows_of($$SELECT group_jid, subject, size, is_admin FROM wawp_group_info('120363000000005001@g.us')$$), ARRAY['(120363000000005001@g.us,Wrapped,7,)'],
    'a group in data, without a list');
SELECT is((SELECT subject FROM wawp_group_info('120363000000005002@g.us')), U&'Gr\00FC\00DFe \+01F44B "x"', 'a subject of odd characters');
SELECT is(rows_of($$SELECT size, is_admin, raw ->> 'note', raw ? 'secret' FROM wawp_group_info('120363000000005002@g.us')$$), ARRAY['(1,f,***,f)'],
    'who left does not count; the token is not in raw');
SELECT is(rows_of($$SELECT size, is_admin FROM wawp_group_info('120363000000005008@g.us')$$), ARRAY['(1,)'], 'a group whose list tells no role');
SELECT is(rows_of($$SELECT size, is_admin FROM wawp_group_info('120363000000005003@g.us')$$), ARRAY['(,)'], 'a group without members says nothing');
SELECT is(rows_of($$SELECT is_admin FROM wawp_group_info('120363000000005006@g.us') UNION ALL SELECT is_admin FROM wawp_group_info('120363000000005007@g.us')$$),
    ARRAY['(t)', '(f)'], 'an admin by a word; ourselves with a device');
SELECT is(rows_of($$SELECT subject, raw IS NULL FROM wawp_group_info('120363000000005004@g.us')$$), ARRAY[U&'("Odd \FFFD",t)'],
    'what jsonb cannot hold is no error');
SELECT raises($$SELECT wawp_group_info('120363000000005005@g.us')$$, '08P01', 'could not read the group: %', '%Something', NULL, 'an error that looks like a group');
SELECT raises($$SELECT wawp_group_info('120363000000000206@g.us')$$, '08P01', NULL, NULL, NULL, 'ok instead of a group');
SELECT raises($$SELECT wawp_group_info('120363099999999999@g.us')$$, '42704', NULL, NULL, NULL, 'a group that is not there');
SELECT raises($$SELECT wawp_group_info('120363099999999999@g.us', 'gows')$$, '42704', NULL, NULL, NULL, 'the same in an engine''s envelope');
SELECT raises($$SELECT wawp_group_info(NULL)$$, '22023', NULL, NULL, NULL, 'NULL group');

-- our own entry is not known when the session cannot be read
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/session/info$"},"answer":{"status":500,"text":""}}' >/dev/null
SELECT is(rows_of($$SELECT subject, is_admin FROM wawp_group_info('120363012345678901@g.us')$$), ARRAY['(Support,)'],
    'without the session it cannot be told whether we are an admin');

-- a numeric token that is in the answer as a number
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ABC123":{"token":"1623281429"}}}' >/dev/null
ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (SET access_token '1623281429');
SELECT is(rows_of($$SELECT subject, coalesce(raw::text, '') LIKE '%1623281429%' FROM wawp_group_info('120363012345678901@g.us')$$), ARRAY['(Support,f)'],
    'a token that is in the answer as a number');
ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (SET access_token 'secret');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ABC123":{"token":"secret"}}}' >/dev/null

-- the other path
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":["GET /v2/groups/{id}"]}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT subject, is_admin FROM wawp_group_info('120363012345678901@g.us')$$), ARRAY['(Support,t)'], 'an API that has the group under /detail');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path || coalesce(' ' || (query ->> 'groupId'), '') ORDER BY n) FROM ledger),
    ARRAY['GET /v2/groups/120363012345678901%40g.us', 'GET /v2/groups/detail 120363012345678901@g.us', 'POST /v2/session/info'], 'is asked there second');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":["GET /v2/groups/{id}","GET /v2/groups/detail"]}' >/dev/null
SELECT raises($$SELECT wawp_group_info('120363012345678901@g.us')$$, '08P01', NULL, NULL, NULL, 'no route at all is no group that is not there');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":[]}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT raises($$SELECT wawp_group_info('120363099999999999@g.us')$$, '42704', NULL, NULL, NULL, 'a group that is not there');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 1, 'is not asked for twice');

-- ---- wawp_groups

SELECT is(rows_of(format('SELECT * FROM wawp_groups(%L)', instance)),
    ARRAY['(120363012345678901@g.us,Support,3)', '(120363012345678902@g.us,"Not ours",3)', '(120363012345678903@g.us,Full,1024)',
        '(120363012345678904@g.us,"Almost full",1023)', '(120363012345678905@g.us,"Lid only",2)', '(120363012345678906@g.us,"Lid and phone",' || stated || ')',
        '(15550000001-1623281429@g.us,"Old form",2)'], 'the groups in ' || instance)
FROM (VALUES ('support', 2), ('webjs', 1), ('noweb', 2), ('gows', 2), ('gowa', 2)) i(instance, stated);
SELECT is((SELECT count(*)::int FROM wawp_groups()), 7, 'the instance is optional');
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"path":"^/v2/groups$"},"answer":{"json":[]}},{"match":{"path":"^/v2/groups$"},"answer":{"json":{}}},{"match":{"path":"^/v2/groups$"},"answer":{"json":{"data":[{"id":"120363000000000001@g.us","subject":"A"}]}}},{"match":{"path":"^/v2/groups$"},"answer":{"json":{"code":"invalid_session","message":"Session not found"}}},{"match":{"path":"^/v2/groups$"},"answer":{"json":{"ok":true}}},{"match":{"path":"^/v2/groups$"},"answer":{"json":{"error":"Something","groups":[]}}},{"match":{"path":"^/v2/groups$"},"answer":{"json":[{"id":"15550000001@c.us","name":"Ana"}]}}]' >/dev/null
SELECT is(rows_of('SELECT * FROM wawp_groups()'), '{}', 'no groups, in an array');
SELECT is(rows_of('SELECT * FROM wawp_groups()'), '{}', 'no groups, in an object');
SELECT is(rows_of('SELECT * FROM wawp_groups()'), ARRAY['(120363000000000001@g.us,A,)'], 'groups in data, their size not told');
SELECT raises('SELECT wawp_groups()', '55000', 'could not list the groups: %', NULL, NULL, 'an error under 200');
SELECT raises('SELECT wawp_groups()', '08P01', NULL, NULL, NULL, 'ok instead of groups');
SELECT raises('SELECT wawp_groups()', '08P01', NULL, '%Something', NULL, 'an error that has groups');
SELECT raises('SELECT wawp_groups()', '08P01', NULL, NULL, NULL, 'a list of something else');
SELECT json_build_object('groups', json_object_agg('1203630000001' || lpad(n::text, 5, '0') || '@g.us', '{}'::json)) AS many FROM generate_series(1, 250) n \gset
\setenv MANY :many
\! test/simulator/ctl $WAWP_SIM_PORT world "$MANY" >/dev/null
SELECT is(rows_of('SELECT count(*), count(DISTINCT group_jid) FROM wawp_groups()'), ARRAY['(257,257)'], 'all groups, however the API pages them');

-- ---- wawp_create_group

\i test/sql-include/reset_simulator.sql
\! test/simulator/ctl $WAWP_SIM_PORT rule - <test/sql-include/readers.json >/dev/null
SELECT is(wawp_create_group('New', '{+1 555 123 0001,15551230002,15551230002@c.us}'), '120363099900000007@g.us', 'a new group');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path) FROM ledger), ARRAY['POST /v2/groups'], 'by one request');
SELECT is((SELECT body FROM ledger), '{"instance_id": "ABC123", "access_token": "secret", "name": "New",
    "participants": [{"id": "15551230001@c.us"}, {"id": "15551230002@c.us"}]}', 'with its name and first members, each once');
SELECT is((SELECT count(*)::int FROM wawp_participants('120363099900000007@g.us')), 3, 'is there');
SELECT is(wawp_create_group('New in ' || instance, '{15551230001}', instance), jid, 'a new group in ' || instance)
FROM (VALUES ('webjs', '120363099900000008@g.us'), ('noweb', '120363099900000009@g.us'), ('gows', '120363099900000010@g.us')) t(instance, jid);
SELECT is(wawp_create_group(U&'Gr\00FC\00DFe "\+01F44B"', '{}'), '120363099900000011@g.us', 'a group of ours alone');
SELECT is((SELECT subject FROM wawp_group_info('120363099900000011@g.us')), U&'Gr\00FC\00DFe "\+01F44B"', 'whose name arrived as it is');
SELECT is(wawp_create_group('answer-data', '{}'), '120363000000007001@g.us', 'an answer in data');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":["POST /v2/groups"]}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(wawp_create_group('Elsewhere', '{15551230001}'), '120363099900000012@g.us', 'an API that creates under /create');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path ORDER BY n) FROM ledger), ARRAY['POST /v2/groups', 'POST /v2/groups/create'], 'is asked there second');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":[]}' >/dev/null
SELECT raises(format('SELECT wawp_create_group(%L, %L)', name, '{15551230001}'), state, 'could not create the group: %', NULL, NULL, about)
FROM (VALUES
    ('answer-webjs', '08P01', 'a sentence under 201'),
    ('answer-500', '08006', 'HTTP 500'),
    ('answer-404', '55000', 'HTTP 404 invalid_session'),
    ('answer-noid', '08P01', 'ok without a JID'),
    ('answer-reset', '08006', 'an answer that is lost'),
    ('answer-ok-false', '42501', 'a refusal that has a JID')
) t(name, state, about);
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 6, 'none of which is tried twice');
SELECT raises(call, '22023', NULL, detail, NULL, about)
FROM (VALUES
    ($$SELECT wawp_create_group(NULL, '{}')$$, NULL, 'NULL name'),
    ($$SELECT wawp_create_group('', '{}')$$, NULL, 'empty name'),
    ($$SELECT wawp_create_group(E' \t\n', '{}')$$, NULL, 'blank name'),
    ($$SELECT wawp_create_group('x', NULL)$$, NULL, 'NULL array'),
    ($$SELECT wawp_create_group('x', '{15551230001,Ana}')$$, 'Element 2: %', 'an element that is no person'),
    ($$SELECT wawp_create_group('x', '{NULL}')$$, 'Element 1: %', 'a NULL element'),
    ($$SELECT wawp_create_group('x', '{120363012345678901@g.us}')$$, 'Element 1: %', 'a group as a member'),
    ($$SELECT wawp_create_group('x', (SELECT array_agg((15571000000 + n)::text) FROM generate_series(1, 51) n))$$, NULL, '51 members')
) t(call, detail, about);
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'for none of which anything is sent');

-- ---- wawp_invite_link, wawp_revoke_invite_link

SELECT is(wawp_invite_link('120363012345678901@g.us', instance), 'https://chat.whatsapp.com/' || code, 'the link in ' || instance)
FROM unnest(ARRAY['support', 'webjs', 'noweb', 'gows', 'waha_js', 'gowa', 'added_failed']) instance,
    (SELECT rtrim(translate(encode(substr(sha256('120363012345678901@g.us 0'), 1, 16), 'base64'), '+/', '-_'), '=')) c(code);
SELECT is(wawp_invite_link('12036300000000' || number || '@g.us'), 'https://chat.whatsapp.com/AbCdEfGhIjKlMnOpQrStUv', 'a link ' || about)
FROM (VALUES ('6001', 'as a JSON string'), ('6002', 'in inviteCode'), ('6003', 'in invite_code'), ('6004', 'as a URL in inviteLink'),
    ('6005', 'as another spelling of its URL'), ('6006', 'in value'), ('6007', 'in data.code'), ('6008', 'as text with a line end'),
    ('6009', 'beside ok')) t(number, about);
SELECT raises(format('SELECT wawp_invite_link(%L, %L)', number || '@g.us', instance), state, 'could not read the invite link: %', NULL, hint, 'no link: ' || about)
FROM (VALUES
    ('120363000000006101', 'support', '08P01', NULL, 'a code that is too short'),
    ('120363000000006102', 'support', '08006', NULL, 'an error whose word looks like a code'),
    ('120363000000006103', 'support', '08P01', NULL, 'a URL of somebody else'),
    ('120363000000006104', 'support', '08P01', NULL, 'a code with other characters'),
    ('120363000000006105', 'support', '08P01', NULL, 'a word'),
    ('120363000000006106', 'support', '08P01', NULL, 'false'),
    ('120363000000000200', 'support', '42501', '%admin%', 'an empty body'),
    ('120363000000000201', 'support', '08P01', NULL, 'a page'),
    ('120363000000000203', 'support', '53400', NULL, 'quota_reached under 200'),
    ('120363000000000207', 'support', '55000', NULL, 'invalid_session under 200'),
    ('120363000000000206', 'support', '08P01', NULL, 'ok without a code'),
    ('120363000000000410', 'support', '55000', NULL, 'a link that was reset'),
    ('120363000000000429', 'support', '53400', NULL, 'HTTP 429'),
    ('120363012345678902', 'support', '42501', '%admin%', 'we are no admin'),
    ('120363012345678902', 'webjs', '42501', '%admin%', 'we are no admin, said by an empty body'),
    ('120363012345678901', 'stopped', '55000', NULL, 'a session that is stopped')
) t(number, instance, state, hint, about);
SELECT raises($$SELECT wawp_invite_link('15550000001@c.us')$$, '22023', NULL, NULL, NULL, 'a person has no link');

SELECT wawp_invite_link('120363012345678901@g.us') AS old_link \gset
\i test/sql-include/read_ledger.sql
SELECT wawp_revoke_invite_link('120363012345678901@g.us') AS new_link \gset
\i test/sql-include/read_ledger.sql
SELECT matches(:'new_link'::text, '^https://chat\.whatsapp\.com/[A-Za-z0-9_-]{22}$', 'a revoke gives a link');
SELECT isnt(:'new_link'::text, :'old_link', 'which is new');
SELECT is(wawp_invite_link('120363012345678901@g.us'), :'new_link', 'and the group''s');
SELECT is((SELECT array_agg(method || ' ' || path ORDER BY n) FROM ledger), ARRAY['GET /v2/groups/120363012345678901%40g.us/invite-code',
    'POST /v2/groups/120363012345678901%40g.us/invite-code/revoke', 'GET /v2/groups/120363012345678901%40g.us/invite-code'], 'it was looked at before and after');
SELECT is((SELECT body FROM ledger WHERE method = 'POST'), '{"instance_id": "ABC123", "access_token": "secret", "id": "120363012345678901@g.us"}', 'the revoke''s body');
SELECT isnt(wawp_revoke_invite_link('120363012345678901@g.us', instance), :'new_link', 'a revoke in ' || instance)
FROM unnest(ARRAY['webjs', 'noweb', 'waha_js']) instance;
SELECT raises($$SELECT wawp_revoke_invite_link('120363012345678901@g.us', 'gows')$$, '55000', '%still the same%', NULL, '%in WhatsApp%', 'a revoke that changes nothing');
SELECT raises($$SELECT wawp_revoke_invite_link('120363000000006202@g.us')$$, '55000', '%still the same%', NULL, NULL, 'another one, that says nothing');
SELECT raises($$SELECT wawp_revoke_invite_link('120363000000006201@g.us')$$, '42501', 'could not revoke the invite link: %', NULL, NULL, 'a refusal under 200');
SELECT raises($$SELECT wawp_revoke_invite_link('120363000000006203@g.us')$$, '42501', 'could not revoke the invite link: %', NULL, NULL, 'one that names a number of ours');
SELECT raises($$SELECT wawp_revoke_invite_link('120363012345678902@g.us')$$, '42501', NULL, NULL, NULL, 'a group where we are no admin');
SELECT raises($$SELECT wawp_revoke_invite_link(NULL)$$, '22023', NULL, NULL, NULL, 'NULL group');

-- ---- wawp_send_text

\i test/sql-include/reset_simulator.sql
\! test/simulator/ctl $WAWP_SIM_PORT rule - <test/sql-include/readers.json >/dev/null
SELECT is(wawp_send_text('+1 555 123 0001', U&'Gr\00FC\00DFe \+01F44B\000A"line" \\ *2*'), '3EB00000000000000001', 'a message to a person');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path) FROM ledger), ARRAY['POST /v2/send/text'], 'by one request');
SELECT is((SELECT body FROM ledger), jsonb_build_object('instance_id', 'ABC123', 'access_token', 'secret', 'chatId', '15551230001@c.us',
    'message', U&'Gr\00FC\00DFe \+01F44B\000A"line" \\ *2*'), 'its body');
SELECT is(wawp_send_text(chat, 'Hello', instance), id, format('a message to %s in %s', about, instance))
FROM (VALUES
    ('120363012345678901@g.us', 'support', '3EB00000000000000002', 'a group'),
    ('15551230001@c.us', 'webjs', 'true_15551230001@c.us_3EB00000000000000003', 'a person'),
    ('15551230001@s.whatsapp.net', 'noweb', '3EB00000000000000004', 'a person'),
    ('120363012345678901@g.us', 'gows', '3EB00000000000000005', 'a group'),
    ('15551230001@c.us', 'added_failed', '3EB00000000000000006', 'a person'),
    ('123456789012345@lid', 'support', '3EB00000000000000007', 'a privacy id')
) t(chat, instance, id, about);
SELECT is(wawp_send_text('15551230001', 'answer-sent'), NULL, 'a message that was sent, without an id');
SELECT is(wawp_send_text('15551230001', 'answer-nested'), '3EB0NESTED', 'an id in data');
\i test/sql-include/read_ledger.sql
SELECT is(wawp_send_text('15551230001', repeat('x', 4096)) IS NOT NULL, true, '4,096 characters');
SELECT is(wawp_send_text('15551230001', repeat(U&'\+01F44B', 4096)) IS NOT NULL, true, '4,096 characters of four bytes');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(length(body ->> 'message')) FROM ledger), ARRAY[4096, 4096], 'are sent as they are');
SELECT raises(call, '22023', NULL, detail, hint, about)
FROM (VALUES
    ($$SELECT wawp_send_text('15551230001', repeat('x', 4097))$$, '%4097%', NULL, '4,097 characters'),
    ($$SELECT wawp_send_text('15551230001', repeat(U&'\00FC', 4097))$$, '%4097%', NULL, '4,097 characters of two bytes'),
    ($$SELECT wawp_send_text('15551230001', '')$$, NULL, NULL, 'an empty message'),
    ($$SELECT wawp_send_text('15551230001', NULL)$$, NULL, NULL, 'NULL message'),
    ($$SELECT wawp_send_text(NULL, 'Hello')$$, NULL, NULL, 'NULL chat'),
    ($$SELECT wawp_send_text('Ana', 'Hello')$$, '%', '%@c.us%', 'a name'),
    ($$SELECT wawp_send_text('0555 1234567', 'Hello')$$, '%national form%', '%', 'a national form'),
    ($$SELECT wawp_send_text('120363012345678901@newsletter', 'Hello')$$, '%channel%', '%', 'a channel')
) t(call, detail, hint, about);
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'for none of which anything is sent');
SELECT raises(format('SELECT wawp_send_text(%L, %L)', chat, message), state, 'could not send the message: %', NULL, NULL, 'no message: ' || about)
FROM (VALUES
    ('15551230001', 'answer-empty', '08P01', 'an empty body'),
    ('15551230001', 'answer-page', '08P01', 'a page'),
    ('15551230001', 'answer-false', '08P01', 'success false'),
    ('15551230001', 'answer-quota', '53400', 'a quota in a success'),
    ('15551230001', 'answer-error', '28000', 'an error about the token'),
    ('15551230001', 'answer-session', '55000', 'invalid_session under 200'),
    ('15551230001', 'answer-upstream', '08006', 'wawp_upstream_error under 200'),
    ('15551230001', 'answer-429', '53400', 'HTTP 429'),
    ('15551230001', 'answer-500', '08006', 'HTTP 500'),
    ('15551230001', 'answer-reset', '08006', 'an answer that is lost'),
    ('15551230463', 'Hello', '55000', 'error 463, the account is restricted'),
    ('15551230404', 'Hello', '22023', 'a number that is not on WhatsApp'),
    ('120363099999999999@g.us', 'Hello', '42704', 'a group that is not there')
) t(chat, message, state, about);
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 13, 'none of which is sent twice');

-- ---- wawp_check_exists

\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"5531987654321":{"chat_id":"553187654321@c.us"},"15551230010":{"chat_id":"123456789012345@lid"},"15551230011":{"chat_id":"15551230011@s.whatsapp.net"}}}' >/dev/null
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{+1 555 123 0001,15551230404@c.us,Ana,NULL,"",5531987654321,15551230010,15551230011,120363012345678901@g.us,123456789012345@lid,15551230001}')$$),
    ARRAY['("+1 555 123 0001",t,15551230001@c.us)', '(15551230404@c.us,f,)', '(Ana,,)', '(,,)', '("",,)', '(5531987654321,t,553187654321@c.us)',
        '(15551230010,t,123456789012345@lid)', '(15551230011,t,15551230011@c.us)', '(120363012345678901@g.us,,)', '(123456789012345@lid,,)',
        '(15551230001,t,15551230001@c.us)'], 'registered, not, unknown; the JID that WhatsApp has');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT method, path, query ->> 'phone' FROM ledger ORDER BY n LIMIT 2$$),
    ARRAY['(GET,/v2/contacts/check-exists,15551230001)', '(GET,/v2/contacts/check-exists,15551230404)'], 'numbers are sent without a plus');
SELECT is((SELECT count(*)::int FROM ledger), 6, 'what is no number is not asked for');
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{}')$$), '{}', 'nobody');
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{15551230001,15551230404}')$$), ARRAY['(15551230001,t,15551230001@c.us)', '(15551230404,f,)'], 'two');
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"path":"/check-exists$"},"answer":{"json":{"something":"else"}}},{"match":{"path":"/check-exists$"},"answer":{"json":{"status":"exists"}}},{"match":{"path":"/check-exists$"},"answer":{"json":{"data":{"exists":true,"jid":"15551230001@c.us"}}}},{"match":{"path":"/check-exists$"},"answer":{"json":{"numberExists":null}}},{"match":{"path":"/check-exists$"},"answer":{"json":{"error":"Something"}}},{"match":{"path":"/check-exists$"},"answer":{"json":{"code":"quota_reached","message":"Limit"}}},{"match":{"path":"/check-exists$"},"answer":{"text":""}},{"match":{"path":"/check-exists$"},"answer":{"status":429,"text":""}}]' >/dev/null
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{15551230001}')$$), ARRAY['(15551230001,,)'], 'an answer that says nothing');
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{15551230001}')$$), ARRAY['(15551230001,t,15551230001@c.us)'], 'an answer by status');
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{15551230001}')$$), ARRAY['(15551230001,t,15551230001@c.us)'], 'an answer in data');
SELECT is(rows_of($$SELECT * FROM wawp_check_exists('{15551230001}')$$), ARRAY['(15551230001,,)'], 'an answer that is null');
SELECT raises($$SELECT wawp_check_exists('{15551230001}')$$, state, 'could not check whether %', NULL, NULL, about)
FROM (VALUES ('08P01', 'an error under 200'), ('53400', 'quota_reached under 200'), ('08P01', 'an empty body'), ('53400', 'HTTP 429')) t(state, about);
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/check-exists$"},"times":null,"fault":{"reset":"after"}}' >/dev/null
SELECT raises($$SELECT wawp_check_exists('{15551230001}')$$, '08006', 'could not check whether %', NULL, NULL, 'an answer that is lost');
\! test/simulator/ctl $WAWP_SIM_PORT unrule >/dev/null
SELECT raises($$SELECT wawp_check_exists('{15551230001}', 'stopped')$$, '55000', NULL, NULL, NULL, 'a session that is stopped');
SELECT raises($$SELECT wawp_check_exists(NULL)$$, '22023', '%"phones"%', NULL, NULL, 'NULL array');

-- ---- wawp_session

\i test/sql-include/read_ledger.sql
SELECT is(rows_of('SELECT * FROM wawp_session()'), ARRAY['(support,WORKING,t,15550000001@c.us,"Wawp Simulator")'], 'a session that works');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of('SELECT method, path, query, body FROM ledger'),
    ARRAY['(POST,/v2/session/info,{},"{""instance_id"": ""ABC123"", ""access_token"": ""secret""}")'], 'by a POST');
SELECT is(rows_of(format('SELECT * FROM wawp_session(%L)', instance)), ARRAY[format('(%s,%s,f,,)', instance, status)], 'a session that is ' || status)
FROM (VALUES ('stopped', 'STOPPED'), ('starting', 'STARTING'), ('scan_qr', 'SCAN_QR_CODE'), ('failed', 'FAILED')) t(instance, status);
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ABC123":{"status":"PAUSED"}}}' >/dev/null
SELECT is(rows_of('SELECT status, usable FROM wawp_session()'), ARRAY['(PAUSED,f)'], 'a status that nobody knows');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ABC123":{"status":"WORKING"}},"routes_off":["POST /v2/session/info"]}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(rows_of('SELECT status, usable FROM wawp_session()'), ARRAY['(WORKING,t)'], 'an API that wants a GET');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of('SELECT method, path FROM ledger ORDER BY n'), ARRAY['(POST,/v2/session/info)', '(GET,/v2/session/info)'], 'is asked so second');
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"path":"/session/info$"},"answer":{"json":{"data":{"status":"WORKING","me":{"id":{"_serialized":"15550000001:5@s.whatsapp.net"}}}}}},{"match":{"path":"/session/info$"},"answer":{"json":{"status":"error","message":"Something"}}},{"match":{"path":"/session/info$"},"answer":{"json":{"name":"x"}}},{"match":{"path":"/session/info$"},"answer":{"json":{"status":"FAILED","name":"x","me":null}}}]' >/dev/null
SELECT is(rows_of('SELECT * FROM wawp_session()'), ARRAY['(support,WORKING,t,15550000001@c.us,)'], 'an answer in data');
SELECT raises('SELECT wawp_session()', '08P01', 'could not read the session: %', '%Something', NULL, 'an error under 200');
SELECT raises('SELECT wawp_session()', '08P01', NULL, NULL, NULL, 'an answer without a status');
SELECT is(rows_of('SELECT status, usable FROM wawp_session()'), ARRAY['(FAILED,f)'], 'a session that has failed is no error');
SELECT raises($$SELECT wawp_session('unknown')$$, '55000', NULL, NULL, '%instance_id%', 'an instance that Wawp does not know');
SELECT raises($$SELECT wawp_session('wrong')$$, '28000', NULL, NULL, NULL, 'a wrong token');
SELECT raises($$SELECT wawp_session('closed')$$, '08001', NULL, NULL, NULL, 'a port where nobody listens');

SELECT * FROM finish();
ROLLBACK;
