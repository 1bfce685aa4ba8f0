\set ECHO none
-- wishes: several requests for one person: each requester has rows of their own; of one requester's for the same time one
-- is queued, those for different times stay side by side.  Nothing here is ever sent: all of it is rolled back.
\i test/sql-include/setup.sql

SET LOCAL datestyle = 'ISO, YMD';
SELECT plan(34);

CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url', adds_per_minute '6');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
CREATE ROLE regress_wawp_asker;
CREATE ROLE regress_wawp_intruder;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_asker, regress_wawp_intruder;
\set g '120363012345678901@g.us'
\set p '15551230001'

CREATE VIEW wishes AS SELECT requested_by, action, state, not_before AT TIME ZONE 'UTC' AS at, batch_id FROM wawp.membership_intent ORDER BY id;
CREATE FUNCTION wishes(columns text) RETURNS text[] LANGUAGE sql AS $$ SELECT rows_of('SELECT ' || columns || ' FROM wishes') $$;
GRANT SELECT ON wishes TO PUBLIC;

-- ---- two requesters

SET ROLE regress_wawp_intruder;
SELECT is(created, true, 'an intruder asks for the year 3000') FROM wawp_request_add(:'g', ARRAY[:'p'], not_before => '3000-01-01', batch_id => 'never');
SET ROLE regress_wawp_asker;
SELECT ok(created AND batch_id = 'now', 'the same person now is a row of the asker''s own, in the asker''s batch')
FROM wawp_request_add(:'g', ARRAY[:'p'], batch_id => 'now');
SELECT is(count(*), 1::bigint, '... and the only one that the asker sees') FROM wawp.membership_intent;
SELECT ok(NOT created AND batch_id = 'now', '... and gets when asking again, with its real batch') FROM wawp_request_add(:'g', ARRAY[:'p'], batch_id => 'again');
SELECT is(rows_of($$SELECT pending, done, failed, cancelled FROM wawp.progress, LATERAL (SELECT total - done - failed - cancelled AS pending) p WHERE batch_id = 'now'$$),
    ARRAY['(1,0,0,0)'], 'the batch has one that is pending');
SET ROLE regress_wawp_intruder;
SELECT is(created, true, 'the opposite of another requester') FROM wawp_request_remove(:'g', ARRAY[:'p'], batch_id => 'now');
SELECT lives_ok(format('INSERT INTO wawp.membership_intent (group_jid, jid, action, not_before) VALUES (%L, %L, ''remove'', ''3000-01-01'')', :'g', :'p'),
    'and by INSERT');
RESET ROLE;
SELECT is(wishes('requested_by, action, state, at'), ARRAY['(regress_wawp_intruder,add,cancelled,"3000-01-01 00:00:00")', '(regress_wawp_asker,add,queued,)',
    '(regress_wawp_intruder,remove,queued,)', '(regress_wawp_intruder,remove,queued,"3000-01-01 00:00:00")'], '... cancel nothing but the intruder''s own for the same time');
UPDATE wawp.membership_intent SET state = 'sending' WHERE requested_by = 'regress_wawp_asker';
SET ROLE regress_wawp_intruder;
SELECT is(count(*), 1::bigint, 'the opposite of what another''s request does just now') FROM wawp_request_demote(:'g', ARRAY[:'p']), wawp_request_remove(:'g', ARRAY[:'p']);
RESET ROLE;
SELECT is(rows_of($$SELECT state, superseded FROM wawp.membership_intent WHERE requested_by = 'regress_wawp_asker'$$), ARRAY['(sending,f)'], '... does not supersede it');
UPDATE wawp.membership_intent SET state = 'queued' WHERE requested_by = 'regress_wawp_asker';
SET ROLE regress_wawp_intruder;
SELECT is(wawp_cancel_batch('now'), 1::bigint, 'a batch of the same name is cancelled');
SELECT is(wawp_cancel_batch('now'), 0::bigint, '... once');
RESET ROLE;
SELECT is(rows_of($$SELECT state FROM wishes WHERE requested_by = 'regress_wawp_asker'$$), ARRAY['(queued)'], '... and not what is another''s');
DELETE FROM wawp.membership_intent;

-- ---- one requester, one time

SET ROLE regress_wawp_asker;
SELECT id FROM wawp_request_add(:'g', ARRAY[:'p'], priority => 5, expires_at => '2100-01-02', until => '2100-02-01', verify => false, batch_id => 'first') \gset
\set row 'SELECT priority, expires_at AT TIME ZONE ''UTC'' AS e, until AT TIME ZONE ''UTC'' AS u, verify, invite, batch_id FROM wawp.membership_intent'
SELECT is(r.id, :id::bigint, 'a weaker one') FROM wawp_request_add(:'g', ARRAY[:'p'], priority => 1, expires_at => '2100-01-01', until => '2100-02-01', verify => false, invite => false) r;
SELECT is(rows_of(:'row'), ARRAY['(5,"2100-01-02 00:00:00","2100-02-01 00:00:00",f,t,first)'], '... changes nothing');
SELECT is(r.id, :id::bigint, 'a stronger one') FROM wawp_request_add(:'g', ARRAY[:'p'], priority => 7, expires_at => '2100-01-03', until => '2100-01-15') r;
SELECT is(rows_of(:'row'), ARRAY['(7,"2100-01-03 00:00:00","2100-01-15 00:00:00",t,t,first)'], '... makes it so; the latest decides until when');
SELECT is(r.id, :id::bigint, 'one without expiry') FROM wawp_request_add(:'g', ARRAY[:'p']) r;
SELECT is(rows_of(:'row'), ARRAY['(7,,,t,t,first)'], '... never expires, and is for good');
SELECT throws_ok(format('INSERT INTO wawp.membership_intent (group_jid, jid) VALUES (%L, %L)', :'g', :'p'), '23505', NULL, 'a plain INSERT of one''s own is a duplicate');
SELECT lives_ok(format('INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) VALUES (%L, ''15551230002'', NULL)', :'g'), 'one by INSERT, in no batch');
SELECT ok(NOT created AND batch_id = 'joined', '... is returned with the batch of the function that asks again')
FROM wawp_request_add(:'g', ARRAY['15551230002'], batch_id => 'joined');
SELECT id AS other FROM wawp.membership_intent WHERE batch_id = 'joined' \gset
SELECT is(jid, '15551230002@c.us', '... and is in it') FROM wawp.membership_intent WHERE id = :other;
SELECT is(created, true, 'one that waits for another') FROM wawp_request_add(:'g', ARRAY['15551230003'], after => :other);
SELECT is(created, false, 'asked for without that') FROM wawp_request_add(:'g', ARRAY['15551230003']);
SELECT is(after, NULL::bigint, '... waits no longer') FROM wawp.membership_intent WHERE jid = '15551230003@c.us';
RESET ROLE;
DELETE FROM wawp.membership_intent;

-- ---- one requester, several times

SET ROLE regress_wawp_asker;
SELECT is(created, true, 'a removal today at 18:00') FROM wawp_request_remove(:'g', ARRAY[:'p'], not_before => '2100-01-01 18:00+00');
SELECT is(created, true, 'an addition tomorrow') FROM wawp_request_add(:'g', ARRAY[:'p'], not_before => '2100-01-02 18:00+00');
SELECT is(created, true, 'an addition now') FROM wawp_request_add(:'g', ARRAY[:'p']);
SELECT is(created, false, 'the removal once more') FROM wawp_request_remove(:'g', ARRAY[:'p'], not_before => '2100-01-01 20:00+02');
SELECT lives_ok(format('INSERT INTO wawp.membership_intent (group_jid, jid, action, not_before) VALUES (%L, %L, ''invite'', ''2100-01-03'')', :'g', :'p'), 'an invitation on another day');
SELECT is(wishes('action, state'), ARRAY['(remove,queued)', '(add,queued)', '(add,queued)', '(invite,queued)'], 'they stay side by side');
SELECT is(created, true, 'the opposite for one of these times') FROM wawp_request_remove(:'g', ARRAY[:'p'], not_before => '2100-01-02 18:00+00');
SELECT is(wishes('action, state'), ARRAY['(remove,queued)', '(add,cancelled)', '(add,queued)', '(invite,queued)', '(remove,queued)'], '... takes the place of that one');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
