\set ECHO none
-- insert: a plain INSERT from any client, whichever columns it names; the role an intent belongs to; limits of a transaction.
-- Nothing here is ever sent: all of it rolls back.
\i test/sql-include/setup.sql

SELECT plan(97);

CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url', adds_per_minute '6');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
CREATE ROLE regress_wawp_app;
CREATE ROLE regress_wawp_boss;
CREATE ROLE regress_wawp_member;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_app, regress_wawp_boss;
\set g '120363012345678901@g.us'

-- ---- what a model of the table needs

SELECT is(array_agg(column_name::text ORDER BY ordinal_position), ARRAY['group_jid', 'jid'], 'only the group and the person are required')
FROM information_schema.columns
WHERE table_schema = 'wawp' AND table_name = 'membership_intent' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO';
SELECT is(count(*), 0::bigint, 'no column is of a type that drivers cannot write') FROM pg_attribute
WHERE attrelid = 'wawp.membership_intent'::regclass AND attnum > 0 AND atttypid IN ('name'::regtype, '"char"'::regtype);
SELECT is(is_identity || ' ' || identity_generation, 'YES BY DEFAULT', 'the id is an identity that may be named')
FROM information_schema.columns WHERE table_schema = 'wawp' AND table_name = 'membership_intent' AND column_name = 'id';

-- ---- clients that name every column, as a plain role

CREATE FUNCTION name_every_column(value text, person text, action text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    vals text;
    made bigint;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
        string_agg(CASE attname WHEN 'group_jid' THEN quote_literal('120363012345678901@g.us') WHEN 'jid' THEN quote_literal(person)
            WHEN 'action' THEN quote_literal(action) ELSE value END, ', ' ORDER BY attnum)
    INTO columns, vals FROM pg_attribute WHERE attrelid = 'wawp.membership_intent'::regclass AND attnum > 0 AND NOT attisdropped;
    EXECUTE format('INSERT INTO wawp.membership_intent (%s) VALUES (%s) RETURNING id', columns, vals) INTO made;
    RETURN made;
END $$;
\set filled 'SELECT jid, action, instance, instance_id, state, priority, verify, invite, requested_by, requester = quote_ident(requested_by)::regrole, origin, attempts, crashes, superseded, outcome, code, detail, next_attempt_at, settled_at FROM wawp.membership_intent ORDER BY id'
SET ROLE regress_wawp_app;
SELECT ok(name_every_column('DEFAULT', '15551230001', 'add') > 0, 'every column with DEFAULT');
SELECT ok(name_every_column('NULL', '15551230002', 'add') > 0, 'every column with NULL');
SELECT ok(name_every_column('NULL', '15551230003', 'remove') > 0, 'another action');
SELECT is(rows_of(:'filled'), ARRAY[
    '(15551230001@c.us,add,support,ABC123,queued,0,t,t,regress_wawp_app,t,insert,0,0,f,,,,,)',
    '(15551230002@c.us,add,support,ABC123,queued,0,t,t,regress_wawp_app,t,insert,0,0,f,,,,,)',
    '(15551230003@c.us,remove,support,ABC123,queued,0,t,t,regress_wawp_app,t,insert,0,0,f,,,,,)'], 'is completed');
SELECT ok(bool_and(id > 0) AND count(DISTINCT id) = 3, 'with ids of their own') FROM wawp.membership_intent;
SELECT ok(bool_and(created_at BETWEEN now() AND clock_timestamp() AND updated_at = created_at), 'and times') FROM wawp.membership_intent;
SELECT is(count(DISTINCT home), 1::bigint, 'and the home of this database') FROM wawp.membership_intent;
RESET ROLE;
SELECT is(array_agg(DISTINCT i.home), array_agg(DISTINCT y.home), 'which is the identity''s') FROM wawp.membership_intent i, wawp.identity y;

-- ---- other ways in, as a plain role

DELETE FROM wawp.membership_intent;
GRANT CREATE ON SCHEMA public TO regress_wawp_app;
SET ROLE regress_wawp_app;
\set asked 'SELECT jid, reason, state, requested_by FROM wawp.membership_intent ORDER BY id'
INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@G.US ', '+1 555 123 0001') RETURNING concat_ws(' ', group_jid, jid, state) AS stored \gset
SELECT is(:'stored'::text, '120363012345678901@g.us 15551230001@c.us queued', 'RETURNING has what is stored');
INSERT INTO wawp.membership_intent (group_jid, jid) VALUES (:'g', '0015551230001'), (:'g', '15551230002') ON CONFLICT DO NOTHING RETURNING jid AS stored \gset
SELECT is(:'stored'::text, '15551230002@c.us', 'ON CONFLICT DO NOTHING leaves out what is queued, in whatever spelling');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '15551230001')$$, '23505', NULL, 'which is an error otherwise');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '15551230001') ON CONFLICT (id) DO UPDATE SET reason = 'x'$$,
    '42501', NULL, 'no row is updated by ON CONFLICT');
MERGE INTO wawp.membership_intent i USING (VALUES ('15551230002@c.us'), ('15551230003@c.us')) v (jid) ON i.jid = v.jid
    WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (group_jid, jid, reason) VALUES ('120363012345678901@g.us', v.jid, 'merged');
SELECT throws_ok($$MERGE INTO wawp.membership_intent i USING (VALUES ('15551230003@c.us')) v (jid) ON i.jid = v.jid WHEN MATCHED THEN DELETE$$, '42501', NULL, 'nor deleted by MERGE');
PREPARE ask (text, text) AS INSERT INTO wawp.membership_intent (group_jid, jid, reason) VALUES ($1, $2, 'prepared');
SELECT format('EXECUTE ask (%L, %L)', :'g', 15551230010 + i) FROM generate_series(1, 8) i \gexec
DEALLOCATE ask;
SELECT is(rows_of(:'asked'), ARRAY['(15551230001@c.us,,queued,regress_wawp_app)', '(15551230002@c.us,,queued,regress_wawp_app)', '(15551230003@c.us,merged,queued,regress_wawp_app)']
    || ARRAY(SELECT format('(%s@c.us,prepared,queued,regress_wawp_app)', 15551230010 + i) FROM generate_series(1, 8) i), 'MERGE inserts, a prepared statement as often as it is executed');
CREATE VIEW wish AS SELECT group_jid, jid, reason, id FROM wawp.membership_intent;
CREATE VIEW invoked WITH (security_invoker) AS SELECT group_jid, jid, reason, id FROM wawp.membership_intent WHERE reason = 'viewed' WITH CHECK OPTION;
INSERT INTO wish VALUES (:'g', '1555-123-0021', 'viewed') RETURNING jid AS stored \gset
SELECT is(:'stored'::text, '15551230021@c.us', 'a view');
INSERT INTO invoked VALUES (:'g', '1555-123-0022', 'viewed') RETURNING jid AS stored \gset
SELECT is(:'stored'::text, '15551230022@c.us', 'with security_invoker');
SELECT throws_ok($$INSERT INTO invoked VALUES ('120363012345678901@g.us', '15551230023', 'other')$$, '44000', NULL, 'and its CHECK OPTION');
GRANT SELECT, INSERT ON wish, invoked TO regress_wawp_boss;
SET ROLE regress_wawp_boss;
INSERT INTO wish VALUES ('120363012345678901@g.us', '15551230024', 'viewed');
INSERT INTO invoked VALUES ('120363012345678901@g.us', '15551230025', 'viewed');
SELECT is(rows_of(:'asked'), ARRAY['(15551230024@c.us,viewed,queued,regress_wawp_boss)', '(15551230025@c.us,viewed,queued,regress_wawp_boss)'],
    'through the view of another role the request is the writer''s own');
SELECT is(rows_of('SELECT count(*) FROM wish'), ARRAY['(2)'], 'who sees no others'' there');
SET ROLE regress_wawp_app;
SELECT raises('INSERT INTO wawp.membership_intent SELECT * FROM wawp.membership_intent', '22023', '%column "home" of an intent cannot be set', '%restored%', 'Leave%',
    'a copy of whole rows is refused');
CREATE TABLE kept AS SELECT * FROM wawp.membership_intent;
SELECT throws_ok('INSERT INTO wawp.membership_intent SELECT * FROM kept', '22023', NULL, 'so is one that was kept elsewhere');
DROP TABLE kept;
DROP VIEW wish, invoked;
-- COPY FROM is refused by PostgreSQL where row security applies; by way of a table of one's own it works
\echo refused by PostgreSQL itself:
SAVEPOINT s;
\set ON_ERROR_STOP off
-- without lines of data: a psql may take those of a COPY that was refused for statements
\copy wawp.membership_intent (group_jid, jid) FROM /dev/null
ROLLBACK TO s;
\set ON_ERROR_STOP on
CREATE TEMP TABLE incoming (group_jid text, jid text) ON COMMIT DROP;
COPY incoming FROM stdin;
120363012345678901@g.us	15551230031
120363012345678901@g.us	+1 555 123 0032
\.
INSERT INTO wawp.membership_intent (group_jid, jid, reason) SELECT group_jid, jid, 'copied' FROM incoming;
SELECT is(rows_of($$SELECT jid, state FROM wawp.membership_intent WHERE reason = 'copied' ORDER BY 1$$),
    ARRAY['(15551230031@c.us,queued)', '(15551230032@c.us,queued)'], 'COPY to a table of one''s own, and from there');
RESET ROLE;
COPY wawp.membership_intent (group_jid, jid) FROM stdin;
120363012345678901@g.us	1555 123 0033
\.
SELECT is(rows_of($$SELECT jid, state FROM wawp.membership_intent WHERE requested_by = session_user$$), ARRAY['(15551230033@c.us,queued)'], 'the owner''s COPY is an INSERT');
DELETE FROM wawp.membership_intent;
REVOKE CREATE ON SCHEMA public FROM regress_wawp_app;

-- ---- what the system fills is not for users

DELETE FROM wawp.membership_intent;
SET ROLE regress_wawp_app;
INSERT INTO wawp.membership_intent (group_jid, jid, id, state, outcome, code, detail, instance_id, requester, requested_by, requested_from,
    origin, attempts, crashes, superseded, next_attempt_at, created_at, updated_at, settled_at)
VALUES (:'g', '15551230001', 7, 'queued', 'added', 200, 'mine', 'XYZ', 10, 'postgres', '{"login": "postgres"}', 'function', 9, 9, true,
    'infinity', '2000-01-01', '2000-01-01', '2000-01-01');
SELECT is(rows_of(:'filled'), ARRAY['(15551230001@c.us,add,support,ABC123,queued,0,t,t,regress_wawp_app,t,insert,0,0,f,,,,,)'],
    'values for the system''s columns are overwritten');
SELECT ok(id <> 7, 'so is the id') FROM wawp.membership_intent;
SELECT is(requested_from ->> 'login', session_user::text, 'and who logged in') FROM wawp.membership_intent;
SELECT ok(created_at >= now() AND updated_at >= now(), 'and when') FROM wawp.membership_intent;
SELECT lives_ok($$INSERT INTO wawp.membership_intent (group_jid, jid, id) SELECT group_jid, '15551230002', id FROM wawp.membership_intent$$,
    'the id of another intent is no conflict');
SELECT is(count(DISTINCT id), 2::bigint, 'but not taken') FROM wawp.membership_intent;
RESET ROLE;

-- ---- a state that is not the default is refused, also to the owner: an old row's copy is not sent

\set refused '%column "state" of an intent cannot be set'
\set hint 'Leave the column out, or insert NULL or DEFAULT.'
SELECT raises(format($$INSERT INTO wawp.membership_intent (group_jid, jid, state) VALUES ('120363012345678901@g.us', '15551230009', %L)$$, state),
    '22023', :'refused', '%"' || state || '"%', :'hint', 'the owner cannot bring state ' || state)
FROM unnest(enum_range(NULL::wawp.state)) state WHERE state <> 'queued';
SET ROLE regress_wawp_app;
SELECT raises(format($$INSERT INTO wawp.membership_intent (group_jid, jid, state) VALUES ('120363012345678901@g.us', '15551230009', %L)$$, state),
    '22023', :'refused', '%"' || state || '"%', :'hint', 'a plain role cannot bring state ' || state)
FROM unnest(enum_range(NULL::wawp.state)) state WHERE state <> 'queued';
RESET ROLE;
SELECT is(count(*), 0::bigint, 'nothing of it is there') FROM wawp.membership_intent WHERE jid LIKE '15551230009%';

-- ---- a row with a home is restored

SET ROLE regress_wawp_app;
SELECT raises(format($$INSERT INTO wawp.membership_intent (group_jid, jid, home) VALUES ('120363012345678901@g.us', '15551230009', %s)$$, home),
    '22023', '%column "home" of an intent cannot be set', '%restored%', :'hint', 'a plain role cannot bring a home: ' || about)
FROM (VALUES ('gen_random_uuid()', 'made up'), ($$'00000000-0000-0000-0000-000000000000'$$, 'zero'),
    ('(SELECT min(home::text)::uuid FROM wawp.membership_intent)', 'our own')) h(home, about);
RESET ROLE;
DELETE FROM wawp.membership_intent;
\set restore 'INSERT INTO wawp.membership_intent (id, group_jid, jid, instance, state, outcome, instance_id, requester, requested_by, origin, attempts, created_at, settled_at, home)'
:restore VALUES (7, ' Not Normal', 'x', 'gone', 'done', 'added', 'OLD', 999, 'regress_wawp_app', 'trigger a.b', 3, '2020-01-01', '2020-01-02', gen_random_uuid());
:restore VALUES (8, 'a', 'y', 'gone', 'queued', NULL, 'OLD', 999, 'regress_wawp_nobody', 'insert', 0, '2020-01-01', NULL, gen_random_uuid());
:restore SELECT 9, 'a', 'z', 'gone', 'queued', NULL, 'OLD', 999, 'regress_wawp_boss', 'insert', 0, '2020-01-01', NULL, home FROM wawp.identity;
SELECT is(rows_of($$SELECT id, group_jid, jid, instance, state, outcome, instance_id, requester = coalesce(to_regrole(requested_by), 0), requested_by, origin, attempts, created_at = '2020-01-01', home FROM wawp.membership_intent ORDER BY id$$), ARRAY[
    '(7," Not Normal",x,gone,done,added,OLD,t,regress_wawp_app,"trigger a.b",3,t,00000000-0000-0000-0000-000000000000)',
    '(8,a,y,gone,queued,,OLD,t,regress_wawp_nobody,insert,0,t,00000000-0000-0000-0000-000000000000)',
    '(9,a,z,gone,queued,,OLD,t,regress_wawp_boss,insert,0,t,00000000-0000-0000-0000-000000000000)'],
    'a restored row stays as it was, its requester found by name; even our own home is foreign');
SET LOCAL session_replication_role = replica;
:restore VALUES (10, 'a', 'w', 'gone', 'queued', NULL, 'OLD', 999, 'regress_wawp_boss', 'insert', 0, '2020-01-01', NULL, gen_random_uuid());
RESET session_replication_role;
SELECT is(home, '00000000-0000-0000-0000-000000000000', 'so is a replicated row') FROM wawp.membership_intent WHERE id = 10;
DELETE FROM wawp.membership_intent;

-- ---- whose an intent is, by role and not by name

GRANT regress_wawp_app TO regress_wawp_member;
SET ROLE regress_wawp_app;
SELECT id AS asked FROM wawp_request_add(:'g', ARRAY['15551230001'], batch_id => 'b') \gset
INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) VALUES (:'g', '15551230002', 'b');
RESET ROLE;
ALTER ROLE regress_wawp_app RENAME TO regress_wawp_old;
CREATE ROLE regress_wawp_app;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_app;
SET ROLE regress_wawp_app;
SELECT is(count(*), 0::bigint, 'a new role of an old name sees nothing of the old one''s') FROM wawp.membership_intent;
SELECT ok(NOT wawp_cancel(:asked), 'nor cancels it');
SELECT is(wawp_cancel_batch('b'), 0::bigint, 'nor its batch');
SELECT throws_ok(format('SELECT wawp_request_add(%L, ARRAY[''15551230003''], after => %s)', :'g', :asked), '22023', NULL, 'nor waits for it');
RESET ROLE;
UPDATE wawp.membership_intent SET state = 'failed' WHERE id = :asked;
SET ROLE regress_wawp_app;
SELECT ok(NOT wawp_retry(:asked), 'nor retries it');
SET ROLE regress_wawp_old;
SELECT is(rows_of('SELECT requested_by FROM wawp.membership_intent ORDER BY id'), ARRAY['(regress_wawp_app)', '(regress_wawp_app)'],
    'the renamed role sees its own, under the name it had');
SELECT ok(wawp_retry(:asked), 'retries it');
SELECT ok(wawp_cancel(:asked), 'and cancels it');
SET ROLE regress_wawp_member;
SELECT is(wawp_cancel_batch('b'), 1::bigint, 'and so does a member of it');
SET ROLE regress_wawp_boss;
SELECT is(count(*), 0::bigint, 'others see nothing') FROM wawp.membership_intent;
RESET ROLE;
DROP OWNED BY regress_wawp_old;
DROP ROLE regress_wawp_old;
SET ROLE regress_wawp_boss;
SELECT is(rows_of('SELECT count(*) FROM wawp.membership_intent'), ARRAY['(0)'], 'rows of a role that is gone are no error to others');
RESET ROLE;
SELECT is(count(*), 2::bigint, 'and still the owner''s to see') FROM wawp.membership_intent WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = requester);
DELETE FROM wawp.membership_intent;

-- ---- a transaction cannot wait for itself

SAVEPOINT s;
SELECT count(*) AS made FROM wawp_request_add(:'g', ARRAY['15551230001', '15551230002'], batch_id => 'own') \gset
SELECT raises($$SELECT * FROM wawp_wait('own')$$, '55000', 'batch "own" cannot be waited for in the transaction that requested it',
    'All 2 pending%', 'Commit first%', 'what was requested in this transaction is not waited for');
SELECT raises($$SELECT * FROM wawp_wait('own', '1 h')$$, '55000', NULL, NULL, NULL, 'nor for some time');
SELECT is(rows_of($$SELECT * FROM wawp_wait('own', '0')$$), ARRAY['(2,0,0,0)'], 'but counted');
SELECT is(rows_of($$SELECT * FROM wawp_wait('none')$$), ARRAY['(0,0,0,0)'], 'nothing pending is no reason to wait');
ROLLBACK TO s;

-- ---- a read-only transaction sends nothing, and asks for nothing

SET TRANSACTION READ ONLY;
SELECT raises('SELECT ' || call, '25006', 'cannot execute ' || substring(call FROM '^\w+') || '() in a read-only transaction', NULL, 'Begin%',
    'read-only: ' || substring(call FROM '^\w+'))
FROM unnest(ARRAY['wawp_add_participants(''120363012345678901@g.us'', ''{15551230001}'')', 'wawp_remove_participants(''120363012345678901@g.us'', ''{15551230001}'')',
    'wawp_promote_participants(''120363012345678901@g.us'', ''{15551230001}'')', 'wawp_demote_participants(''120363012345678901@g.us'', ''{15551230001}'')',
    'wawp_create_group(''x'', ''{15551230001}'')', 'wawp_revoke_invite_link(''120363012345678901@g.us'')', 'wawp_send_text(''15551230001@c.us'', ''x'')',
    'wawp_request_add(''120363012345678901@g.us'', ''{}'')', 'wawp_request_remove(''120363012345678901@g.us'', ''{}'')',
    'wawp_request_promote(''120363012345678901@g.us'', ''{}'')', 'wawp_request_demote(''120363012345678901@g.us'', ''{}'')',
    'wawp_request_invite(''120363012345678901@g.us'', ''{}'')', 'wawp_request_swap(''120363012345678901@g.us'', ''15551230001'', ''15551230002'')',
    'wawp_take_over(''support'')', 'wawp_cancel(1)', 'wawp_cancel_batch(''x'')', 'wawp_retry(1)', 'wawp_pause(''support'')', 'wawp_resume(''support'')',
    'wawp_suppress(''15551230001'')', 'wawp_unsuppress(''15551230001'')', 'wawp_note_contact(''15551230001'')']) call;
SELECT throws_ok('CALL wawp_drain()', '25006', NULL, 'read-only: wawp_drain');
SELECT throws_ok($$INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363012345678901@g.us', '15551230001')$$, '25006', NULL, 'read-only: INSERT');
SELECT lives_ok('SELECT ' || call, 'read-only: ' || substring(call FROM '^\w+') || ' reads')
FROM unnest(ARRAY['count(*) FROM wawp_participants(''120363012345678901@g.us'')', 'wawp_explain(1)', 'wawp_wait(''x'')']) call;

SELECT * FROM finish();
ROLLBACK;
