-- quickstart.sql: what `make demo` runs, in the order one would try it.
--
-- To run it elsewhere: psql -v base_url=http://127.0.0.1:PORT -f test/demo/quickstart.sql, against a
-- server that preloads wawp and allows that host (wawp.allowed_hosts).  base_url is the simulator
-- here; leave that option out and the instance is one of the real API.

\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
\pset null '-'
\pset linestyle unicode
SET client_min_messages = warning;

\echo
\echo '== An instance is a server, its token a user mapping'
\echo
\set ECHO queries
CREATE EXTENSION wawp;
CREATE SERVER support FOREIGN DATA WRAPPER wawp
    OPTIONS (instance_id 'ABC123', base_url :'base_url');
CREATE USER MAPPING FOR PUBLIC SERVER support
    OPTIONS (access_token 'secret');
\set ECHO none

\echo
\echo '== One person into a group'
\echo
\set ECHO queries
SELECT * FROM wawp_add_participants('120363012345678901@g.us', ARRAY['15551234567@c.us']);
\set ECHO none

\echo
\echo '== Several at once: one row each, in the order of the array'
\echo '   (this API says no more than "ok"; verify reads the member list until "accepted" is settled,'
\echo '   and a person who is still absent then was most likely blocked by a privacy setting)'
\echo
\set ECHO queries
ALTER SERVER support OPTIONS (ADD adds_per_minute '60', ADD adds_burst '20', ADD pace_jitter '0',
    ADD verify_delays '1s,2s,4s', ADD invites_per_minute '60', ADD invite_ttl '1min');
SELECT jid, outcome, code, verified
FROM wawp_add_participants(
    '120363012345678901@g.us',
    ARRAY['+1 555 765 4321',    -- a number as people write it
          '15551230403@c.us',   -- does not let strangers add her to groups
          '15551230404@c.us',   -- has no WhatsApp, which this API does not say
          '15550000002@c.us',   -- in the group already
          'not a number'],
    reason => 'spring course',
    verify => true);
\set ECHO none

\echo
\echo '== The members of the group now'
\echo
\set ECHO queries
SELECT jid, phone_jid, role FROM wawp_participants('120363012345678901@g.us') ORDER BY role DESC, phone_jid;
\set ECHO none

\echo
\echo '== The same as a table: each group is read once a statement, EXPLAIN shows how'
\echo '   (who is not in it may be in the group all the same: wawp_sync_group() tells the difference)'
\echo
\set ECHO queries
IMPORT FOREIGN SCHEMA groups FROM SERVER support INTO public;
SELECT role, count(*), bool_and(complete) AS complete FROM members
WHERE group_jid = '120363012345678901@g.us' GROUP BY role;
EXPLAIN (COSTS OFF) SELECT jid FROM members WHERE group_jid = '120363012345678901@g.us';
SELECT * FROM wawp_sync_group('120363012345678901@g.us', ARRAY['15551234567', '15557654321', '15551239999']);
\set ECHO none

\echo
\echo '== The one whose privacy setting blocks adds gets the link'
\echo
\set ECHO queries
SELECT wawp_invite_link('120363012345678901@g.us') AS link \gset
\set ECHO none
\echo :link
\echo
\set ECHO queries
SELECT wawp_send_text('15551230403@c.us', 'Please join us: ' || :'link') AS message_id;
\set ECHO none

\echo
\echo '== How an answer would be read, without sending anything'
\echo
\set ECHO queries
SELECT '403 for the request' AS answer, jid, outcome, code
FROM wawp_classify('add', 403,
    '{"status": 403, "message": "You must be an admin of this group to perform this action."}')
UNION ALL
SELECT '403 for a person', jid, outcome, code
FROM wawp_classify('add', 200,
    '{"15551230403@c.us": {"code": 403, "message": "The participant can be added by sending private invitation only"}}');
\set ECHO none
\echo

\echo
\echo '== Rows become memberships: a trigger, a queue, a worker with an even pace (60 a minute here, 6 by default)'
\echo
\set ECHO queries
CREATE TABLE enrolment (course text, group_jid text, phone text);
CREATE TRIGGER into_group AFTER INSERT OR UPDATE OR DELETE ON enrolment FOR EACH ROW
    EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'reason=enrolled in {course}');

INSERT INTO enrolment
SELECT 'pottery', '120363012345678901@g.us', '+1 555 200 00' || n FROM generate_series(10, 17) n;

SELECT instance, queued, round(extract(epoch FROM eta - now())) AS seconds_left FROM wawp.queue;
\set ECHO none
