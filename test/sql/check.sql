\set ECHO none
-- check: what an addition would meet, additions that are checked before, who asks to join, an account's limits.
--
-- The groups are the simulator's own (test/simulator/README.md).
\i test/sql-include/setup.sql

SELECT count(make_instance(name, instance_id, url, options)::text) AS made
FROM (VALUES
    ('support', 'ABC123', :'url', ''),
    ('webjs', 'WEBJS1', :'url', ''),
    ('noweb', 'NOWEB1', :'url', ''),
    ('gows', 'GOWS1', :'url', ''),
    ('old', 'ADDF01', :'url', ''),
    ('stopped', 'STOPPED1', :'url', ''),
    ('unknown', 'NOBODY', :'url', ''),
    ('wrong', 'ABC123', :'url', ''),
    ('closed', 'ABC123', 'http://127.0.0.1:1', '')
) i(name, instance_id, url, options) \gset
ALTER USER MAPPING FOR PUBLIC SERVER wrong OPTIONS (SET access_token 'wrong');
-- paced: two additions now, one question
CREATE SERVER paced FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'WAJS01', base_url :'url', adds_burst '1', checks_per_minute '600');
CREATE USER MAPPING FOR PUBLIC SERVER paced OPTIONS (access_token 'secret');
SET LOCAL wawp.instance = 'support';
-- what calls before this file have learnt, and nothing is learnt until the end: the rows are locked
UPDATE wawp.contact SET lid = NULL;

-- Additions to a group, checked before: jid, outcome, whether a list settled it.
CREATE FUNCTION adding(people text[], group_number text DEFAULT '120363012345678901', instance name DEFAULT NULL) RETURNS text[]
LANGUAGE SQL AS $$
    SELECT array_agg(concat_ws(' ', jid, outcome, code, CASE WHEN verified THEN 'verified' END) ORDER BY o)
    FROM wawp_add_participants(group_number || '@g.us', people, instance, precheck => true) WITH ORDINALITY r(jid, outcome, code, detail, verified, retry_at, o)
$$;
-- What a check says: jid, outcome ("-" for none).
CREATE FUNCTION checking(people text[], group_number text DEFAULT '120363012345678901', instance name DEFAULT NULL) RETURNS text[]
LANGUAGE SQL AS $$
    SELECT array_agg(concat_ws(' ', jid, coalesce(outcome::text, '-')) ORDER BY o)
    FROM wawp_check_participants(group_number || '@g.us', people, instance) WITH ORDINALITY r(jid, outcome, detail, o)
$$;
CREATE FUNCTION why(person text, group_number text DEFAULT '120363012345678901', instance name DEFAULT NULL) RETURNS text
LANGUAGE SQL AS $$ SELECT detail FROM wawp_check_participants(group_number || '@g.us', ARRAY[person], instance) $$;

SELECT plan(94);

-- ---- people

SELECT is(wawp_suppress('15551230009', NULL, 'asked us not to'), true, 'somebody has opted out');
SELECT is(checking('{15551230001,15550000002,15551230404,Ana,NULL,+1 555 123 0001,15551230009,120363012345678902@g.us,123456789012345@lid}'),
    ARRAY['15551230001@c.us -', '15550000002@c.us already_member', '15551230404@c.us not_on_whatsapp', 'Ana bad_identifier', 'bad_identifier',
        '15551230001@c.us -', '15551230009@c.us suppressed', '120363012345678902@g.us bad_identifier', '123456789012345@lid bad_identifier'],
    'a row per element, in their order');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path ORDER BY n) FROM ledger),
    ARRAY['GET /v2/groups/120363012345678901%40g.us/participants', 'POST /v2/session/info', 'GET /v2/groups/120363012345678901%40g.us',
        'GET /v2/contacts/check-exists', 'GET /v2/contacts/check-exists'], 'the list is read once, and nothing is changed');
SELECT is((SELECT array_agg(query ->> 'phone' ORDER BY n) FROM ledger WHERE query ? 'phone'), ARRAY['15551230001', '15551230404'],
    'who is in the group, or kept out anyway, is not asked for');
SELECT is(why('15551230001'), NULL, 'nothing is in the way: no detail');
SELECT is(why('15551230009'), 'suppressed (asked us not to)', 'the reason of a suppression');
SELECT is(why('Ana') IS NOT NULL, true, 'a bad identifier has a detail');
\i test/sql-include/read_ledger.sql
SELECT is(checking('{15551230009,Ana}'), ARRAY['15551230009@c.us suppressed', 'Ana bad_identifier'], 'of whom everything is known here');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'nothing is asked');
SELECT is(rows_of($$SELECT * FROM wawp_check_participants('120363012345678901@g.us', '{}')$$), '{}', 'nobody');
SELECT raises(call, '22023', NULL, NULL, NULL, about)
FROM (VALUES
    ($$SELECT wawp_check_participants(NULL, '{}')$$, 'NULL group'),
    ($$SELECT wawp_check_participants('15550000001@c.us', '{}')$$, 'a person as a group'),
    ($$SELECT wawp_check_participants('120363012345678901@g.us', NULL)$$, 'NULL array')
) t(call, about);
SELECT raises($$SELECT wawp_check_participants('120363012345678901@g.us', '{15551230001}', 'nobody')$$, '42704', NULL, NULL, NULL, 'no such instance');
SAVEPOINT writable;
SET LOCAL transaction_read_only = on;
SELECT is(checking('{15551230001}'), ARRAY['15551230001@c.us -'], 'a read-only transaction may check');
ROLLBACK TO writable;

-- what the contacts know is not asked for
INSERT INTO wawp.contact (jid, registered, checked_at) VALUES ('15551230021@c.us', false, now()), ('15551230022@c.us', true, now()),
    ('15551230023@c.us', false, now() - interval '7 hours');
\i test/sql-include/read_ledger.sql
SELECT is(checking('{15551230021,15551230022,15551230023}'), ARRAY['15551230021@c.us not_on_whatsapp', '15551230022@c.us -', '15551230023@c.us -'],
    'numbers of which something is known');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(query ->> 'phone' ORDER BY n) FROM ledger WHERE query ? 'phone'), ARRAY['15551230023'], 'an old no is asked for again');

-- several nos in a row are not believed: Baileys says so when it was refused the question
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230031":{"registered":false},"15551230032":{"registered":false},"15551230033":{"registered":false},"15551230034":{"registered":false}}}' >/dev/null
SELECT is(checking('{15551230031,15551230032,15551230033,15551230034}'),
    ARRAY['15551230031@c.us not_on_whatsapp', '15551230032@c.us not_on_whatsapp', '15551230033@c.us -', '15551230034@c.us -'], 'the third no in a row is doubted');
SELECT is(checking('{15551230031,15551230032,15551230001,15551230033}'),
    ARRAY['15551230031@c.us not_on_whatsapp', '15551230032@c.us not_on_whatsapp', '15551230001@c.us -', '15551230033@c.us not_on_whatsapp'], 'a yes ends the row');
-- who is in the group by the JID that WhatsApp has for the number
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230024":{"chat_id":"15551230025@c.us"}},"groups":{"15550000001-1623281429@g.us":{"members":{"15551230025":{}}}}}' >/dev/null
SELECT is(rows_of($$SELECT * FROM wawp_check_participants('15550000001-1623281429@g.us', '{15551230024}')$$),
    ARRAY['(15551230024@c.us,already_member,"the person is in the group as 15551230025@c.us")'], 'a member by another number');
-- a number of Brazil, with the ninth digit and without
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"5531987654321":{"registered":false},"553187654321":{"registered":true}}}' >/dev/null
SELECT is(why('5531987654321'), 'WhatsApp has the number as 553187654321@c.us', 'a number in its other form');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"553187654321":{"registered":false}}}' >/dev/null
SELECT is(checking('{5531987654321}'), ARRAY['5531987654321@c.us not_on_whatsapp'], 'a number that is in neither form');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/check-exists$"},"times":null,"answer":{"status":500,"json":{"status":500,"message":"x"}}}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT outcome, detail FROM wawp_check_participants('120363012345678901@g.us', '{15551230041,15551230042}')$$),
    ARRAY['(,"not known whether the number is on WhatsApp")', '(,"not known whether the number is on WhatsApp")'], 'an API that cannot tell');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '%check-exists'), 1, 'is asked once');
\! test/simulator/ctl $WAWP_SIM_PORT unrule >/dev/null

-- the group's policy
INSERT INTO wawp.group_settings (instance, group_jid, require_contact_within) VALUES ('support', '120363012345678901@g.us', '1 day');
INSERT INTO wawp.contact (jid, last_inbound_at) VALUES ('15551230051@c.us', now() - interval '1 hour'), ('15551230052@c.us', now() - interval '2 days');
SELECT is(checking('{15551230051,15551230052,15551230053,15550000002}'),
    ARRAY['15551230051@c.us -', '15551230052@c.us suppressed', '15551230053@c.us suppressed', '15550000002@c.us already_member'], 'who has written to us, and when');
SELECT matches(why('15551230053'), '^require_contact_within: ', 'says which rule');
DELETE FROM wawp.group_settings;

-- ---- lists

SELECT is(checking('{15550000002,15551230061}', group_number, instance), ARRAY['15550000002@c.us already_member', '15551230061@c.us -'], about)
FROM (VALUES
    ('120363012345678906', 'gows', 'a list by privacy id, with the phone'),
    ('120363012345678905', 'support', 'a list by privacy id only'),
    ('120363012345678905', 'webjs', 'the same in WEBJS')
) t(group_number, instance, about);
SELECT is(why('15551230061', '120363012345678905'), NULL, 'whose privacy id is known is not in it');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230062":{"lid_known":false}}}' >/dev/null
SELECT is(why('15551230062', '120363012345678905'), 'not known whether they are a member: the list has people by privacy id only', 'whose is not may be');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"678901(@|%40)g.us/participants$"},"answer":{"json":[{"id":"15550000001@c.us","isAdmin":true},{"id":"15551230063@newserver"}]}}' >/dev/null
SELECT matches(why('15551230063'), '^not known whether they are a member: .*entr', 'an entry that names nobody we can read keeps nobody out');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"678901(@|%40)g.us/participants$"},"answer":{"json":[{"id":"15550000001@c.us","isAdmin":true},{"id":"15551230063@hosted"}]}}' >/dev/null
SELECT is(checking('{15551230063}'), ARRAY['15551230063@c.us already_member'], 'a hosted number is the phone');
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"path":"678901(@|%40)g.us/participants$"},"times":2,"answer":{"json":[{"id":"15550000001@c.us","isAdmin":true}]}},{"match":{"path":"678901(@|%40)g.us$"},"times":2,"answer":{"json":{"id":"120363012345678901@g.us","subject":"S","size":1000}}}]' >/dev/null
SELECT matches(why('15551230064'), '^not known whether they are a member: ', 'a list that is shorter than the stated size');
SELECT is(checking('{15551230064}'), ARRAY['15551230064@c.us -'], 'keeps nobody out');
\! test/simulator/ctl $WAWP_SIM_PORT rule '[{"match":{"path":"678901(@|%40)g.us/participants$"},"answer":{"json":[{"id":"15550000001@c.us","isAdmin":true}]}},{"match":{"path":"678901(@|%40)g.us$"},"answer":{"json":{"id":"120363012345678901@g.us","subject":"S","size":1024}}}]' >/dev/null
SELECT is(checking('{15551230064}'), ARRAY['15551230064@c.us group_full'], 'the stated size counts for the capacity');
\! test/simulator/ctl $WAWP_SIM_PORT unrule >/dev/null
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/participants$"},"times":1,"answer":{"json":[]}}' >/dev/null
SELECT is(checking('{15551230065}'), ARRAY['15551230065@c.us -'], 'an empty list is none');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/participants$"},"times":2,"answer":{"status":500,"json":{"status":500,"message":"Unexpected failure for secret"}}}' >/dev/null
SELECT is(why('15551230065'), 'not known whether they are a member: the list could not be read (Unexpected failure for ***)', 'a list that cannot be read');
SELECT is(checking('{15551230065}'), ARRAY['15551230065@c.us -'], 'keeps nobody out');
\! test/simulator/ctl $WAWP_SIM_PORT unrule >/dev/null

-- ---- the group

SELECT is(checking('{15551230071}', '120363012345678903'), ARRAY['15551230071@c.us group_full'], 'a full group');
SELECT is(checking('{15551230404,15551230071,15551230072}', '120363012345678904'),
    ARRAY['15551230404@c.us not_on_whatsapp', '15551230071@c.us -', '15551230072@c.us group_full'], 'a group with one seat');
INSERT INTO wawp.group_settings (instance, group_jid, capacity) VALUES ('support', '120363012345678901@g.us', 3);
SELECT is(checking('{15551230073,15551230074}'), ARRAY['15551230073@c.us -', '15551230074@c.us group_full'], 'a capacity of our own');
DELETE FROM wawp.group_settings;
SELECT is(checking('{15551230071}', '120363012345678902', instance), ARRAY['15551230071@c.us not_admin'], 'where we are a plain member, in ' || instance)
FROM unnest(ARRAY['support', 'webjs', 'gows']) instance;
SELECT isnt(why('15551230071', '120363012345678902', 'gows'), why('15551230071', '120363012345678902', 'support'), 'GOWS says that only admins add, the other does not say');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678902@g.us":{"all_member_add":true}}}' >/dev/null
SELECT is(checking('{15551230071}', '120363012345678902', 'gows'), ARRAY['15551230071@c.us -'], 'where every member may add');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678902@g.us":{"approval":true}}}' >/dev/null
SELECT is(checking('{15551230071}', '120363012345678902', 'gows'), ARRAY['15551230071@c.us pending_approval'], 'and an admin approves');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678906@g.us":{"hide_us":true}}}' >/dev/null
SELECT is(checking('{15551230071}', '120363012345678906'), ARRAY['15551230071@c.us -'], 'where we are not found in the list, the addition tells');

-- ---- the instance

SELECT is(checking('{15551230001}', group_number, instance), ARRAY['15551230001@c.us ' || outcome], about)
FROM (VALUES
    ('120363012345678901', 'stopped', 'session_down', 'a session that is stopped'),
    ('120363012345678901', 'unknown', 'session_down', 'an instance that the API does not know'),
    ('120363012345678901', 'wrong', 'auth_failed', 'a wrong token'),
    ('120363012345678901', 'closed', 'unreachable', 'a port where nobody listens'),
    ('120363099999999999', 'support', 'group_not_found', 'a group that is not there')
) t(group_number, instance, outcome, about);
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/session/info$"},"times":2,"answer":{"json":{"name":"t1","status":"PASSKEY_REQUIRED","data":{"challenge":"x"}}}}' >/dev/null
SELECT is(why('15551230001'), 'the session is in state PASSKEY_REQUIRED', 'a session in a new state');
SELECT is(checking('{15551230001,15550000002}'), ARRAY['15551230001@c.us session_down', '15550000002@c.us already_member'], 'is not usable; who is a member is known');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/participants$"},"times":1,"answer":{"status":429,"headers":{"Retry-After":"60"},"json":{"message":"Too Many Requests"}}}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(checking('{15551230001}'), ARRAY['15551230001@c.us rate_limited'], 'an API that asks to slow down');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 1, 'is asked nothing else');
SELECT is(checking('{15551230001,15551230002,15551230404,15551230003}', '120363012345678901', 'paced'),
    ARRAY['15551230001@c.us -', '15551230002@c.us -', '15551230404@c.us throttled', '15551230003@c.us throttled'], 'two permits are left');
SELECT is(checking('{15551230404,15551230001,15551230002,15551230003}', '120363012345678901', 'paced'),
    ARRAY['15551230404@c.us not_on_whatsapp', '15551230001@c.us -', '15551230002@c.us -', '15551230003@c.us throttled'], 'none of which is spent');
SELECT is(wawp_pause('support', NULL, 'lunch'), true, 'a pause');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT * FROM wawp_check_participants('120363012345678901@g.us', '{15551230001,15551230009}')$$),
    ARRAY['(15551230001@c.us,throttled,"the instance is held (paused: lunch)")', '(15551230009@c.us,suppressed,"suppressed (asked us not to)")'], 'a held instance');
SELECT is(adding('{15551230001,15551230009}'), ARRAY['15551230001@c.us throttled', '15551230009@c.us suppressed'], 'an addition to it, checked before');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'nothing is asked');
SELECT is(wawp_resume('support'), true, 'it goes on');

-- ---- additions that are checked before

\i test/sql-include/reset_simulator.sql
SELECT is(adding('{15550000002,15551230081,Ana,15551230404,15551230009,15551230081@c.us}'),
    ARRAY['15550000002@c.us already_member verified', '15551230081@c.us accepted 200', 'Ana bad_identifier', '15551230404@c.us not_on_whatsapp',
        '15551230009@c.us suppressed', '15551230081@c.us accepted 200'], 'who cannot be added, or is a member, is told so');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(jsonb_path_query_array(body, '$.participants[*].id')) FROM ledger WHERE path LIKE '%/add'), ARRAY['["15551230081@c.us"]']::jsonb[],
    'and is not sent');
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '%/participants'), 1, 'the list is read once');
SELECT is(rows_of($$SELECT outcome, detail FROM wawp_add_participants('120363012345678901@g.us', '{15550000002,15551230404}', precheck => true)$$),
    ARRAY['(already_member,"not sent: the person was in the group already")', '(not_on_whatsapp,"not sent: the number is not on WhatsApp")'], 'each says why');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '%/add'), 0, 'where nobody is left nothing is sent');
SELECT is(adding('{15551230081}', '120363012345678902'), ARRAY['15551230081@c.us not_admin'], 'a group where we are no admin');
SELECT is(adding('{15551230081}', '120363012345678903'), ARRAY['15551230081@c.us group_full'], 'a full group');
SELECT is(adding('{15551230081}', '120363012345678901', 'closed'), ARRAY['15551230081@c.us unreachable'], 'an API that is not reached is a row');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '%/add'), 0, 'nothing of which is sent');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/participants$"},"times":1,"answer":{"status":500,"json":{"status":500,"message":"x"}}}' >/dev/null
SELECT is(adding('{15551230082}'), ARRAY['15551230082@c.us accepted 200'], 'a list that cannot be read keeps nobody out');
SELECT is(rows_of($$SELECT jid, outcome, verified FROM wawp_add_participants('120363012345678901@g.us', '{15550000002,15551230083}', verify => true, precheck => true)$$),
    ARRAY['(15550000002@c.us,already_member,t)', '(15551230083@c.us,added,t)'], 'a check before and a look after');
SELECT is(rows_of($$SELECT jid, outcome FROM wawp_add_participants('120363012345678901@g.us', '{15550000002}', precheck => NULL)$$),
    ARRAY['(15550000002@c.us,accepted)'], 'NULL is no check');

-- ---- who asks to join

\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"requests":{"15551230101":1750000000}}}}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT is(rows_of($$SELECT * FROM wawp_join_requests('120363012345678901@g.us')$$), ARRAY['(15551230101@c.us,"Sun Jun 15 15:06:40 2025 UTC",invite_link)'], 'a request to join');
\i test/sql-include/read_ledger.sql
SELECT is(rows_of('SELECT method, path FROM ledger'), ARRAY['(GET,/v2/groups/120363012345678901%40g.us/participants/join-requests)'], 'by a GET');
SELECT is(rows_of($$SELECT jid, method FROM wawp_join_requests('120363012345678901@g.us', 'webjs')$$), ARRAY['(15551230101@c.us,invite_link)'], 'in WEBJS');
SELECT is(rows_of($$SELECT jid ~ '^[0-9]+@lid$', method FROM wawp_join_requests('120363012345678901@g.us', 'gows')$$), ARRAY['(t,)'], 'in GOWS, by privacy id only');
SELECT is(rows_of($$SELECT * FROM wawp_join_requests('120363012345678904@g.us')$$), '{}', 'nobody asks');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/join-requests$"},"answer":{"json":[{"requesterId":"162122214421234","timestamp":0},{"requesterId":"15551230102@c.us","timestamp":9999999999}]}}' >/dev/null
SELECT is(rows_of($$SELECT * FROM wawp_join_requests('120363012345678901@g.us')$$), ARRAY['(,,)', '(15551230102@c.us,,)'],
    'an entry that names nobody is a row; 0 and the future are no times');
SELECT raises($$SELECT wawp_join_requests('120363012345678902@g.us')$$, '42501', 'could not list the requests to join the group: %', NULL, '%admin%', 'where we are no admin');
SELECT raises($$SELECT wawp_join_requests('120363012345678901@g.us', 'stopped')$$, '55000', NULL, NULL, NULL, 'a session that is stopped');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/join-requests$"},"answer":{"json":{"ok":true}}}' >/dev/null
SELECT raises($$SELECT wawp_join_requests('120363012345678901@g.us')$$, '08P01', NULL, NULL, NULL, 'ok is no list');
SELECT raises($$SELECT wawp_join_requests(NULL)$$, '22023', NULL, NULL, NULL, 'NULL group');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":["GET /v2/groups/{id}/participants/join-requests"]}' >/dev/null
\i test/sql-include/read_ledger.sql
SELECT raises($$SELECT wawp_join_requests('120363012345678901@g.us', 'old')$$, '0A000', 'the gateway of instance "old" does not list requests to join a group',
    '%not asked again until %', '%WAHA%', 'a gateway that is too old');
SELECT raises($$SELECT wawp_join_requests('120363012345678904@g.us', 'old')$$, '0A000', NULL, NULL, NULL, 'says so once');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 1, 'and is not asked again');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"routes_off":[]}' >/dev/null
SELECT is((SELECT count(*)::int FROM wawp_join_requests('120363012345678901@g.us')), 1, 'others are');

-- ---- limits of the account

\! test/simulator/ctl $WAWP_SIM_PORT world '{"accounts":{"ABC123":{"me":{"reachoutTimelock":{"enforcementType":"NEW_WORD","isActive":true,"timeEnforcementEnds":253000000000}}},"GOWS1":{"me":{"messageCapping":{"cappingStatus":"SECOND_WARNING","totalQuota":30,"usedQuota":28}}},"NOWEB1":{"status":"PASSKEY_CONFIRMATION_REQUIRED"}}}' >/dev/null
SET LOCAL client_min_messages = notice;
\set VERBOSITY terse
SELECT is(rows_of('SELECT status, usable FROM wawp_session()'), ARRAY['(WORKING,t)'], 'a limited account is usable');
SELECT is(rows_of($$SELECT status, usable FROM wawp_session('gows')$$), ARRAY['(WORKING,t)'], 'so is one that is warned');
SELECT is(rows_of($$SELECT status, usable FROM wawp_session('noweb')$$), ARRAY['(PASSKEY_CONFIRMATION_REQUIRED,f)'], 'a new state is not');
SET LOCAL client_min_messages = warning;

SELECT * FROM finish();
ROLLBACK;
