\set ECHO none
-- queue: requesting memberships, by INSERT, by function and by trigger; what a transaction shows before it commits.
-- Nothing here is ever sent: each part rolls back, and the worker sees committed rows only.
\i test/sql-include/setup.sql

SELECT plan(78);

CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url', adds_per_minute '6');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
CREATE ROLE regress_wawp_app;
CREATE ROLE regress_wawp_other;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_app, regress_wawp_other;
\set g '120363012345678901@g.us'

-- ---- a plain INSERT is completed

SET wawp.actor = 'clerk 7';
INSERT INTO wawp.membership_intent (group_jid, jid, reason) VALUES (' 120363012345678901@G.US ', '+1 (555) 123-4567', 'shift');
SELECT is(rows_of('SELECT group_jid, jid, action, instance, instance_id, state, outcome, priority, verify, invite, origin, attempts, crashes, superseded FROM wawp.membership_intent'),
    ARRAY['(120363012345678901@g.us,15551234567@c.us,add,support,ABC123,queued,,0,t,t,insert,0,0,f)'],
    'an INSERT is normalised and completed');
SELECT is(requested_by, current_user::text, 'it knows who asked') FROM wawp.membership_intent;
SELECT is(requested_from - 'pid' - 'application', jsonb_build_object('login', session_user, 'actor', 'clerk 7'),
    'and from where') FROM wawp.membership_intent;
SELECT is((requested_from ->> 'pid')::int, pg_backend_pid(), 'and which process') FROM wawp.membership_intent;
SELECT ok(created_at BETWEEN now() AND clock_timestamp() AND updated_at = created_at AND settled_at IS NULL,
    'and when, by the clock') FROM wawp.membership_intent;
RESET wawp.actor;

-- ---- bad rows fail their statement

SAVEPOINT s;
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '0612345678')$$,
    '22023', 'invalid person "0612345678"', 'a national number');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('15551234567@c.us', '15551234568')$$,
    '22023', 'invalid group JID "15551234567@c.us"', 'a person for a group');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '123456789012345@lid')$$,
    '22023', 'invalid person "123456789012345@lid"', 'a privacy id cannot be added');
SELECT lives_ok($$INSERT INTO wawp.membership_intent (group_jid, jid, action) VALUES ('120363012345678901@g.us', '123456789012345@lid', 'remove')$$,
    'but removed');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', NULL)$$,
    '22023', 'invalid person "null"', 'nobody');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '120363012345678901@g.us', unnest(ARRAY['15551230001', 'bad'])$$,
    '22023', NULL, 'one bad row fails the statement');
SELECT is(count(*), 0::bigint, 'and nothing of it is queued') FROM wawp.membership_intent WHERE jid = '15551230001@c.us';
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('120363012345678901@g.us', '15551230001', 'nowhere')$$,
    '42704', NULL, 'an instance that does not exist');
SELECT lives_ok($$INSERT INTO wawp.membership_intent (group_jid, jid, action) VALUES ('120363012345678901@g.us', '15551239001', 'invite')$$,
    'an invitation');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '1555 1234567')$$,
    '23505', NULL, 'a duplicate');
ROLLBACK TO s;

-- ---- so do texts that are too long, at the limit they are taken

SELECT raises(format(call, repeat(unit, units + 1)), '22001', '%"' || what || '" is too long: at most ' || most || ' ' || counted || ' are allowed', 'It has %', '%', what || ': ' || substring(call FROM '^[^(=]*[^(= ]'))
FROM (VALUES ('reason', 'x', 4000, 4000, 'bytes'), ('batch_id', U&'\00E9', 250, 500, 'bytes')) l(what, unit, units, most, counted),
LATERAL (VALUES
    ($$SELECT wawp_request_add('120363012345678901@g.us', ARRAY['15551230001'], $$ || what || $$ => '%s')$$),
    ($$SELECT wawp_request_remove('120363012345678901@g.us', ARRAY['15551230001'], $$ || what || $$ => '%s')$$),
    ($$SELECT wawp_request_swap('120363012345678901@g.us', '15551230001', '15551230002', $$ || what || $$ => '%s')$$),
    ($$INSERT INTO wawp.membership_intent (group_jid, jid, $$ || what || $$) VALUES ('120363012345678901@g.us', '15551230001', '%s')$$),
    ($$UPDATE wawp.membership_intent SET $$ || what || $$ = '%s'$$)
) c(call);
SELECT raises(call, '22001', '%: at most % are allowed', 'It has %', '%', about)
FROM (VALUES
    ($$SELECT wawp_request_add('120363012345678901@g.us', ARRAY['15551230001'], context => to_jsonb(repeat('x', 8192)))$$, 'context'),
    ($$INSERT INTO wawp.membership_intent (group_jid, jid, context) VALUES ('120363012345678901@g.us', '15551230001', to_jsonb(repeat('x', 8192)))$$, 'context of a row'),
    ($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', repeat('1', 501))$$, 'a person'),
    ($$SELECT wawp_request_add(repeat('1', 501), ARRAY['15551230001'])$$, 'a group'),
    ($$SELECT wawp_pause('support', NULL, repeat('x', 4001))$$, 'reason of a hold'),
    ($$SELECT wawp_suppress('15551230001', NULL, repeat('x', 4001))$$, 'reason of a suppression'),
    ($$SELECT wawp_add_participants('120363012345678901@g.us', ARRAY['15551230001'], 'support', repeat('x', 4001))$$, 'reason of a call'),
    ($$SELECT wawp_create_group(repeat('x', 201), ARRAY['15551230001'])$$, 'name of a group'),
    ($$INSERT INTO wawp.group_settings (instance, group_jid, welcome_text) VALUES ('support', '1@g.us', repeat(U&'\20AC', 3001))$$, 'welcome'),
    ($$INSERT INTO wawp.group_settings (instance, group_jid, invite_text) VALUES ('support', '1@g.us', '{link}' || repeat(U&'\20AC', 3795))$$, 'invitation'),
    ($$SET wawp.actor = '$$ || repeat('x', 501) || $$'$$, 'actor')
) t(call, about);
SELECT lives_ok($$SELECT wawp_request_add('120363012345678901@g.us', ARRAY['15551230001'], reason => repeat('x', 4000),
    context => to_jsonb(repeat('x', 8000)), batch_id => repeat('x', 500))$$, 'texts at their limits');
ROLLBACK TO s;

-- ---- opposites and duplicates

INSERT INTO wawp.membership_intent (group_jid, jid, action) VALUES (:'g', '15551234567', 'remove');
SELECT is(rows_of('SELECT action, state, detail FROM wawp.membership_intent ORDER BY id'),
    ARRAY['(add,cancelled,"the opposite was asked for")', '(remove,queued,)'], 'the opposite cancels a queued intent');
SELECT ok(settled_at IS NOT NULL, 'which is settled') FROM wawp.membership_intent WHERE state = 'cancelled';
INSERT INTO wawp.membership_intent (group_jid, jid, action) VALUES (:'g', '15551234567', 'promote');
SELECT is(count(*), 2::bigint, 'a role is another kind of thing') FROM wawp.membership_intent WHERE state = 'queued';
UPDATE wawp.membership_intent SET state = 'sending' WHERE action = 'remove';
INSERT INTO wawp.membership_intent (group_jid, jid) VALUES (:'g', '15551234567');
SELECT is(rows_of($$SELECT action, state, superseded FROM wawp.membership_intent WHERE action IN ('add', 'remove') AND state <> 'cancelled' ORDER BY id$$),
    ARRAY['(remove,sending,t)', '(add,queued,f)'], 'what is on the wire is superseded, its successor waits');
DELETE FROM wawp.membership_intent;

SELECT is(rows_of(format($$SELECT jid, created, problem, batch_id FROM wawp_request_add(%L, ARRAY['15551230001', 'bad', NULL, '+1 555 123 0001', '15551230002'], batch_id => 'b')$$, :'g')),
    ARRAY['(15551230001@c.us,t,,b)', '(bad,f,"a phone number has digits only",b)', '(,f,"the element is null",b)',
        '(15551230001@c.us,f,,b)', '(15551230002@c.us,t,,b)'], 'one bad element never fails the rest');
SELECT is(array_agg(DISTINCT id), array_agg(DISTINCT min), 'a duplicate returns the one there is')
FROM wawp_request_add(:'g', ARRAY['15551230001'], batch_id => 'c') r, (SELECT min(id) FROM wawp.membership_intent) m;
SELECT is(count(*), 2::bigint, 'and makes none') FROM wawp.membership_intent;
SELECT matches(batch_id, '^[0-9a-f-]{36}$', 'a batch without a name gets one') FROM wawp_request_add(:'g', ARRAY['15551230003']);
SELECT is(rows_of(format($$SELECT jid, created FROM wawp_request_remove(%L, ARRAY['15551230001'])$$, :'g')),
    ARRAY['(15551230001@c.us,t)'], 'the opposite by function');
SELECT is(state::text, 'cancelled', 'cancels the queued one') FROM wawp.membership_intent WHERE jid = '15551230001@c.us' AND action = 'add';
SELECT throws_ok($$SELECT wawp_request_add('120363012345678901@g.us', NULL)$$, '22023', NULL, 'NULL people');
SELECT throws_ok($$SELECT wawp_request_add('x', ARRAY['15551230001'])$$, '22023', NULL, 'a group that is none');
SELECT is(count(*), 0::bigint, 'nobody asked for, nothing asked') FROM wawp_request_add(:'g', '{}');
SELECT is(rows_of($$SELECT action, priority, reason, context, not_before IS NOT NULL, expires_at IS NOT NULL, origin FROM wawp.membership_intent WHERE jid = '15551230009@c.us'$$),
    ARRAY['(demote,5,why,"{""k"": 1}",t,t,function)'], 'arguments arrive')
FROM wawp_request_demote(:'g', ARRAY['15551230009'], NULL, 'why', 5, now() + '1h', now() + '2h', '{"k": 1}');
SELECT is(array_agg(problem), '{NULL,NULL}', 'a swap is two intents') FROM wawp_request_swap(:'g', '15551230021', '15551230022');
SELECT is(rows_of($$SELECT jid, action, after IS NOT NULL FROM wawp.membership_intent WHERE jid LIKE '1555123002%' ORDER BY id$$),
    ARRAY['(15551230022@c.us,add,f)', '(15551230021@c.us,remove,t)'], 'the newcomer first, the leaver after');

-- ---- cancelling and retrying

DELETE FROM wawp.membership_intent;
SELECT id FROM wawp_request_add(:'g', ARRAY['15551230001'], batch_id => 'x') \gset
SELECT ok(wawp_cancel(:id), 'a queued intent can be cancelled');
SELECT ok(NOT wawp_cancel(:id), 'once');
SELECT ok(NOT wawp_retry(:id), 'and not retried');
UPDATE wawp.membership_intent SET state = 'failed', attempts = 8, crashes = 2 WHERE id = :id;
SELECT ok(wawp_retry(:id), 'a failed one can be retried');
SELECT is(rows_of('SELECT state, attempts, crashes, settled_at FROM wawp.membership_intent'), ARRAY['(queued,0,0,)'], 'from the start');
UPDATE wawp.membership_intent SET state = 'failed' WHERE id = :id;
SELECT wawp_request_add(:'g', ARRAY['15551230001']) IS NOT NULL AS asked_again \gset
SELECT ok(NOT wawp_retry(:id), 'not beside one that is queued');
SELECT is(count(*), 2::bigint, 'a batch') FROM wawp_request_add(:'g', ARRAY['15551230005', '15551230006'], batch_id => 'y');
SELECT is(wawp_cancel_batch('y'), 2::bigint, 'can be cancelled, all of it');
SELECT is(rows_of($$SELECT * FROM wawp_wait('y', '1s')$$), ARRAY['(0,0,0,2)'], 'and waited for');
SELECT is(rows_of($$SELECT total, done, failed, cancelled, pct, bar FROM wawp.progress WHERE batch_id = 'y'$$),
    ARRAY['(2,0,0,2,100,####################)'], 'its progress is complete');

-- ---- roles

DELETE FROM wawp.membership_intent;
SET ROLE regress_wawp_app;
INSERT INTO wawp.membership_intent (group_jid, jid) VALUES (:'g', '15551230001');
SELECT is(count(*), 1::bigint, 'one sees one''s own') FROM wawp.membership_intent;
SELECT throws_ok('UPDATE wawp.membership_intent SET reason = NULL', '42501', NULL, 'but does not change what was asked');
SELECT throws_ok('SELECT * FROM wawp.audit', '42501', NULL, 'the audit log is the owner''s');
SELECT throws_ok('SELECT * FROM wawp.contact', '42501', NULL, 'and so are the numbers');
SELECT throws_ok('CALL wawp_drain()', '42501', NULL, 'and draining');
RESET ROLE;
SELECT id FROM wawp.membership_intent \gset
SET ROLE regress_wawp_other;
SELECT is(count(*), 0::bigint, 'others'' intents are not seen') FROM wawp.membership_intent;
SELECT ok(NOT wawp_cancel(:id), 'nor cancelled');
SELECT is(wawp_explain(:id), NULL, 'nor explained');
SELECT is(rows_of(format($$SELECT jid, created FROM wawp_request_add(%L, ARRAY['15551230001'])$$, :'g')),
    ARRAY['(15551230001@c.us,f)'], 'but a duplicate is one, whoever asked');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER support FROM regress_wawp_app;
SET ROLE regress_wawp_app;
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('120363012345678901@g.us', '15551230002', 'support')$$,
    '42501', NULL, 'without USAGE one cannot ask');
SELECT throws_ok($$SELECT wawp_pause('support')$$, '42501', NULL, 'nor pause');
SELECT is(count(*), 0::bigint, 'nor see the instance') FROM wawp.instance;
RESET ROLE;

-- ---- the log

SELECT throws_ok('TRUNCATE wawp.audit_log', '42501', NULL, 'the audit log cannot be truncated');
SELECT count(*) AS asked FROM wawp_request_add('120363012345678909@g.us', ARRAY(SELECT (15551240000 + n)::text FROM generate_series(1, 2000) n), 'support') \gset
SELECT is(count(*), 2000::bigint, 'what was not changed since it was requested shows one time') FROM wawp.membership_intent
WHERE group_jid = '120363012345678909@g.us' AND updated_at = created_at;
SELECT matches(wawp_explain(:id), '^queued: 0 ahead in this group, the instance''s pace lets it leave about ', 'a queued intent is explained');

SELECT * FROM finish();
ROLLBACK;
