\set ECHO none
-- membership_trigger: reading rows of users' tables, the search for another row of the same person, failed intents when a
-- request is not possible.  Nothing here is ever sent: each part rolls back.
\i test/sql-include/setup.sql

SELECT plan(115);
SET datestyle = 'ISO, YMD';

CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url', adds_per_minute '6');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
CREATE ROLE regress_wawp_owner;
CREATE ROLE regress_wawp_writer;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_owner;
GRANT CREATE ON SCHEMA public TO regress_wawp_owner;
\set g '120363012345678901@g.us'
\set h '120363012345678902@g.us'
-- What was asked for since the last look.
CREATE FUNCTION asked(columns text DEFAULT 'action, jid') RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    result text[] := rows_of(format('SELECT %s FROM wawp.membership_intent WHERE state <> ''cancelled'' ORDER BY id', columns));
BEGIN
    DELETE FROM wawp.membership_intent;
    RETURN result;
END $$;
-- A table with the trigger on it.
CREATE FUNCTION watched(columns text, arguments text DEFAULT $$'group=grp', 'jid=phone', 'instance=support'$$, timing text DEFAULT 'INSERT OR UPDATE OR DELETE')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS watched CASCADE;
    EXECUTE format('CREATE TABLE watched (%s)', columns);
    EXECUTE format('CREATE TRIGGER "Member" AFTER %s ON watched FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger(%s)', timing, arguments);
END $$;
SET client_min_messages = error;

-- ---- ends, by datum

\set ends '$$''group=grp'', ''jid=phone'', ''until=ends'', ''instance=support''$$'
SELECT watched('grp text, phone text, ends timestamptz', :ends) \g /dev/null
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
INSERT INTO watched VALUES (:'g', '15551230001', '2100-03-04 05:06:07.890123+00');
SET datestyle = 'German';
INSERT INTO watched VALUES (:'g', '15551230002', '2100-03-04 05:06:07.890123+00');
SET timezone = 'America/New_York';
INSERT INTO watched VALUES (:'g', '15551230003', '2100-07-04 05:06:07.890123+00'), (:'g', '15551230004', 'infinity'), (:'g', '15551230005', NULL);
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SELECT is(asked('jid, until'), ARRAY['(15551230001@c.us,"2100-03-04 05:06:07.890123+00")', '(15551230002@c.us,"2100-03-04 05:06:07.890123+00")',
    '(15551230003@c.us,"2100-07-04 05:06:07.890123+00")', '(15551230004@c.us,infinity)', '(15551230005@c.us,)'],
    'an end is the column''s instant, whatever DateStyle and zone');
SET datestyle = 'German';
SET timezone = 'Asia/Kolkata';
UPDATE watched SET ends = ends;
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SELECT is(asked(), '{}', 'an end that stays asks for nothing');
UPDATE watched SET ends = ends + '1 microsecond' WHERE phone = '15551230001';
SELECT is(asked('action, jid, until'), ARRAY['(add,15551230001@c.us,"2100-03-04 05:06:07.890124+00")'], 'another one for its person');

SELECT watched('grp text, phone text, ends timestamp', :ends) \g /dev/null
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
INSERT INTO watched VALUES (:'g', '15551230001', '2100-03-04 05:30');
SELECT watched('grp text, phone text, ends date', :ends) \g /dev/null
INSERT INTO watched VALUES (:'g', '15551230002', '2100-03-04');
SELECT watched('grp text, phone text, ends text', :ends) \g /dev/null
SET datestyle = 'ISO, YMD';
INSERT INTO watched VALUES (:'g', '15551230003', '2100-03-04 00:00+00');
SET timezone = 'UTC';
SELECT is(asked('until'), ARRAY['("2100-03-04 00:00:00+00")', '("2100-03-03 18:30:00+00")', '("2100-03-04 00:00:00+00")'],
    'without a zone it is the session''s, as by a cast');

-- of rows with texts the one that ends last decides, as with times; others' texts may be none
SELECT watched('grp text, phone text, ends varchar(40)', :ends) \g /dev/null
INSERT INTO watched VALUES (:'g', '15551230009', 'some day');
DELETE FROM wawp.membership_intent;
INSERT INTO watched VALUES (:'g', '15551230001', '2100-01-01 00:00+00');
INSERT INTO watched VALUES (:'g', '15551230001', '2090-01-01 00:00+00');
SELECT is(rows_of($$SELECT state, until FROM wawp.membership_intent WHERE state <> 'cancelled'$$), ARRAY['(queued,"2100-01-01 00:00:00+00")'], 'of ends as texts the latest counts');
DELETE FROM watched WHERE ends LIKE '2100%';
SELECT is(asked('action, jid, until'), ARRAY['(add,15551230001@c.us,"2090-01-01 00:00:00+00")'], '... and then the next one');
INSERT INTO watched VALUES (:'g', '15551230001', 'some day');
DELETE FROM wawp.membership_intent;
DELETE FROM watched WHERE ends LIKE '2090%';
SELECT is(asked('action, jid, state'), '{}', 'a row whose text is no time may want somebody: nothing is requested that wawp_retry() would make a removal');
INSERT INTO watched VALUES (:'g', '15551230001', '2091-01-01 00:00+00'), (:'g', '15551230002', '2092-01-01 00:00+00');
INSERT INTO watched VALUES (:'g', '15551230001', '2090-01-01 00:00+00'), (:'g', '15551230002', '2090-01-01 00:00+00');
SELECT is(rows_of($$SELECT jid, until, state FROM wawp.membership_intent WHERE state <> 'cancelled' ORDER BY jid$$),
    ARRAY['(15551230001@c.us,"2090-01-01 00:00:00+00",queued)', '(15551230002@c.us,"2092-01-01 00:00:00+00",queued)'],
    '... an addition beside it has its own end, and others of the statement are as ever');
DELETE FROM watched WHERE ends = 'some day' AND phone = '15551230001';
SELECT is(rows_of($$SELECT jid, until, state FROM wawp.membership_intent WHERE state <> 'cancelled' ORDER BY jid$$),
    ARRAY['(15551230001@c.us,"2090-01-01 00:00:00+00",queued)', '(15551230002@c.us,"2092-01-01 00:00:00+00",queued)'], '... and when it goes, nothing is asked for');
TRUNCATE watched;
DELETE FROM wawp.membership_intent;
SET datestyle = 'German';
INSERT INTO watched VALUES (:'g', '15551230001', '31.12.2099'), (:'g', '15551230001', '30.12.2099');
SET datestyle = 'ISO, YMD';
DELETE FROM wawp.membership_intent;
DELETE FROM watched WHERE ends = '30.12.2099';
SELECT is(asked('action, jid, state'), '{}', 'so it is with what another DateStyle wrote');
DELETE FROM watched;
SELECT is(asked('action, jid, state'), ARRAY['(remove,15551230001@c.us,queued)'], '... until the last such row is gone');
INSERT INTO watched VALUES (:'g', '15551230001', 'some day');
DELETE FROM wawp.membership_intent;

UPDATE watched SET ends = '2095-01-01 00:00+00';
SELECT is(asked('action, jid, until, state') @> ARRAY['(add,15551230001@c.us,"2095-01-01 00:00:00+00",queued)'], true, '... until it is repaired');

-- types whose text is not a time, though it may begin like one
CREATE TYPE weekday AS ENUM ('monday');
CREATE DOMAIN end_of_ours AS timestamptz;
CREATE DOMAIN span_of_ours AS tstzrange;
SELECT raises(format($$SELECT watched('grp text, phone text, ends %s', $x$%s$x$)$$, type, :ends), '42804', format('column "ends" of type %s cannot say when memberships end', type),
    '''until=column'' takes a column of type timestamp with time zone, timestamp without time zone or date.', '%', type || ' says no end')
    FROM unnest(ARRAY['tstzrange', 'daterange', 'tstzmultirange', 'span_of_ours', 'numeric', 'bigint', 'date[]', 'timestamp with time zone[]', 'jsonb', 'boolean', 'interval', 'time without time zone', 'weekday', 'point']) type;
SELECT watched('grp text, phone text, ends end_of_ours', :ends) \g /dev/null
INSERT INTO watched VALUES (:'g', '15551230001', '2100-03-04 05:06+00');
SELECT is(asked('until'), ARRAY['("2100-03-04 05:06:00+00")'], 'a domain does');
SELECT throws_ok('ALTER TABLE watched ALTER COLUMN ends TYPE tstzrange USING tstzrange(NULL, ends)', '42804', 'column "ends" of type tstzrange cannot say when memberships end', 'nor may its type become one that says none');
SELECT lives_ok('ALTER TABLE watched ALTER COLUMN ends TYPE date', 'but another that does');
-- a trigger of 0.1 in a dump, which has this setting
SET check_function_bodies = off;
SELECT lives_ok($$SELECT watched('grp text, phone text, ends timestamptz, span tstzrange', $x$'group=grp', 'jid=phone', 'until=span', 'instance=support'$x$)$$, 'but a dump is restored');
RESET check_function_bodies;
INSERT INTO watched VALUES (:'g', '15551230002', NULL, '[2100-01-01,)');
UPDATE watched SET ends = '2100-01-01' WHERE phone = '15551230002';
UPDATE watched SET span = '[2100-01-02,)' WHERE phone = '15551230002';
SELECT is(asked('action, jid, until, state, split_part(detail, '':'', 1)'), array_fill('(add,15551230002@c.us,,failed,"column ""span"" of type tstzrange cannot say when memberships end")'::text, ARRAY[2]),
    'where a trigger has such a column a range''s beginning is not taken for its end');
INSERT INTO watched VALUES (:'g', '15551230003', NULL, NULL);
SELECT is(asked('action, jid, until, state'), ARRAY['(add,15551230003@c.us,,queued)'], '... and NULL is no end, as ever');

-- ---- another row that wants the person

-- of two rows with the same person the first goes, then the second
CREATE FUNCTION both_go(first text, second text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    result text[];
BEGIN
    EXECUTE 'INSERT INTO watched VALUES (1, ' || first || '), (2, ' || second || ')';
    DELETE FROM wawp.membership_intent;
    DELETE FROM watched WHERE id = 1;
    result := asked();
    DELETE FROM watched;
    RETURN result || asked();
END $$;
\set removed '{"(remove,15551230001@c.us)"}'

SELECT watched('id int, grp char(30), phone char(20)') \g /dev/null
SELECT is(both_go(format('%L, ''15551230001''', :'g'), format('%L, ''15551230001''', :'g')), :'removed', 'char(n) groups and numbers');
SELECT watched('id int, grp varchar(40), phone bigint') \g /dev/null
SELECT is(both_go(format('%L, 15551230001', :'g'), format('%L, 15551230001', :'g')), :'removed', 'numbers as numbers');
CREATE DOMAIN group_of_ours AS varchar(40);
SELECT watched('id int, grp group_of_ours, phone text') \g /dev/null
SELECT is(both_go(format('%L, ''15551230001''', :'g'), format('%L, ''+1 (555) 123-0001''', :'g')), :'removed', 'a domain; a number in another spelling');
SELECT watched('id int, grp text, phone text') \g /dev/null
SELECT is(both_go(format('%L, ''15551230001''', :'g'), format('upper(%L), ''15551230001@s.whatsapp.net''', :'g')), :'removed', 'a group in capitals');
SELECT is(both_go(format('upper(%L), ''15551230001''', :'g'), format('E'' %s\t'', ''1555-123-0001''', :'g')), :'removed', 'a group amid blanks');
SELECT is(both_go(format('%L, ''15551230001''', :'g'), $$'１２０３６３０１２３４５６７８９０１＠g.us', '15551230001'$$), :'removed', 'a group in full-width digits');
SELECT is(both_go(format('%L, ''5511987654321''', :'g'), format('%L, ''551187654321''', :'g')), '{"(remove,551187654321@c.us)"}', 'one account''s two numbers');
SELECT is(both_go(format('%L, ''15551230001''', :'g'), format('%L, ''15551230001''', :'h')), '{"(remove,15551230001@c.us)","(remove,15551230001@c.us)"}', 'another group is another');

INSERT INTO watched VALUES (1, :'g', '15551230001');
DELETE FROM wawp.membership_intent;
UPDATE watched SET grp = upper(grp), phone = '+1 555 123 0001';
SELECT is(asked(), '{}', 'another spelling is no move');
UPDATE watched SET phone = '15551230002';
SELECT is(asked(), ARRAY['(remove,15551230001@c.us)', '(add,15551230002@c.us)'], 'another person is');
UPDATE watched SET grp = :'h';
SELECT is(asked('action, group_jid'), ARRAY['(remove,120363012345678901@g.us)', '(add,120363012345678902@g.us)'], 'and another group');

-- a large table: usual spellings by an index on the column
SELECT watched('id int, grp text, phone text') \g /dev/null
ALTER TABLE watched DISABLE TRIGGER USER;
INSERT INTO watched SELECT 10 + i, '1203630' || 10000000000 + i % 1000 || '@g.us', '1556' || 1000000 + i FROM generate_series(1, 40000) i;
ALTER TABLE watched ENABLE TRIGGER USER;
CREATE INDEX watched_group ON watched (grp);
ANALYZE watched;
INSERT INTO watched VALUES (1, :'g', '15551230001'), (2, ' 120363012345678901@g.us', '+1 555 123 0001'), (3, '120363012345678901@G.US', '0015551230001');
DELETE FROM wawp.membership_intent;
DELETE FROM watched WHERE id = 1;
DELETE FROM watched WHERE id = 3;
SELECT is(asked(), '{}', 'in a large table usual spellings are found');
DELETE FROM watched WHERE id = 2;
SELECT is(asked(), :'removed', 'and their absence');
CREATE INDEX watched_form ON watched (wawp_jid(grp));
ANALYZE watched;
INSERT INTO watched VALUES (1, :'g', '15551230001'), (2, '１２０３６３０１２３４５６７８９０１＠g.us', '+1 555 123 0001');
DELETE FROM wawp.membership_intent;
DELETE FROM watched WHERE id = 1;
SELECT is(asked(), '{}', 'with an index on the normal form unusual ones, too');

-- row security
SELECT watched('id int, grp text, phone text') \g /dev/null
ALTER TABLE watched OWNER TO regress_wawp_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON watched TO regress_wawp_writer;
ALTER TABLE watched ENABLE ROW LEVEL SECURITY;
ALTER TABLE watched FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON watched USING (id = current_setting('regress.id')::int) WITH CHECK (true);
INSERT INTO watched VALUES (1, :'g', '15551230001'), (2, :'g', '15551230001');
DELETE FROM wawp.membership_intent;
SET regress.id = 1;
SET ROLE regress_wawp_writer;
DELETE FROM watched;
RESET ROLE;
SELECT is(asked(), '{}', 'another row is seen past FORCE ROW LEVEL SECURITY');
SET regress.id = 2;
SET ROLE regress_wawp_owner;
DELETE FROM watched;
RESET ROLE;
SELECT is(asked(), :'removed', 'nobody else wants them');

-- ---- many rows of one statement

SELECT watched('id int, grp text, phone text, ends text', :ends) \g /dev/null
INSERT INTO watched SELECT i, CASE WHEN i % 2 = 0 THEN :'g' ELSE :'h' END, '1555123' || to_char(i, 'FM0000'), CASE WHEN i = 17 THEN 'some day' END FROM generate_series(1, 60) i;
SELECT is(rows_of('SELECT state, count(*), min(detail) FROM wawp.membership_intent GROUP BY 1 ORDER BY 1'),
    ARRAY['(queued,59,)', '(failed,1,"invalid input syntax for type timestamp with time zone: ""some day""")'], 'what is wrong with one row is its own fault');
SELECT ok(array_agg(jid ORDER BY id) = array_agg(jid ORDER BY jid), '... and they are asked for in the order of the rows') FROM wawp.membership_intent WHERE state = 'queued';
DELETE FROM wawp.membership_intent;
INSERT INTO watched SELECT i, :'g', '1555' || i FROM generate_series(1000001, 1002500) i;
SELECT is(count(*), 2500::bigint, 'of very many rows none is left out') FROM wawp.membership_intent WHERE state = 'queued';
DELETE FROM wawp.membership_intent;
DELETE FROM watched WHERE id BETWEEN 1000001 AND 1000400;
SELECT is(count(*) || ' in ' || count(DISTINCT xmin::text), '400 in 1', 'they do not take a subtransaction each') FROM wawp.membership_intent WHERE action = 'remove';
DELETE FROM wawp.membership_intent;

SELECT watched('id int, grp text, phone text') \g /dev/null
INSERT INTO watched VALUES (1, :'g', '15551230001'), (2, :'g', '15551230002'), (3, ' ' || :'g', '+1 555 123 0001'), (4, :'h', '15551230001');
SELECT is(asked('group_jid, jid'), ARRAY['(120363012345678901@g.us,15551230001@c.us)', '(120363012345678901@g.us,15551230002@c.us)', '(120363012345678902@g.us,15551230001@c.us)'],
    'two rows for one person are one request');
DELETE FROM watched WHERE id > 2;
UPDATE watched SET phone = '1555123000' || 3 - id;
SELECT is(asked('action, group_jid, jid'), ARRAY['(remove,120363012345678902@g.us,15551230001@c.us)', '(add,120363012345678901@g.us,15551230002@c.us)', '(add,120363012345678901@g.us,15551230001@c.us)'],
    'two rows that change people remove nobody');

-- statements inside of one another
CREATE TABLE of_others (grp text, phone text);
CREATE TRIGGER m AFTER INSERT ON of_others FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
CREATE TABLE seen (n bigint);
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO of_others VALUES (new.grp, replace(new.phone, '1555', '1556'));
    INSERT INTO seen SELECT count(*) FROM wawp.membership_intent WHERE origin = 'trigger public.of_others';
    IF new.id < 0 THEN
        RAISE EXCEPTION 'not this one';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER "a follower" AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION follow();
CREATE TRIGGER "Z" AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION follow();
DELETE FROM watched;
DELETE FROM wawp.membership_intent;
INSERT INTO watched VALUES (1, :'g', '15551230001'), (2, :'g', '15551230002');
SELECT is(rows_of('SELECT n FROM seen ORDER BY n'), '{(1),(1),(2),(2)}', 'what a statement of a trigger asks for is there for the next one');
SELECT is(rows_of('SELECT origin, jid FROM wawp.membership_intent ORDER BY origin, id'), ARRAY['("trigger public.of_others",15561230001@c.us)', '("trigger public.of_others",15561230002@c.us)',
    '("trigger public.watched",15551230001@c.us)', '("trigger public.watched",15551230002@c.us)'], '... and each statement''s rows are its own');
DELETE FROM wawp.membership_intent;
DO $$
BEGIN
    BEGIN
        INSERT INTO watched VALUES (3, '120363012345678901@g.us', '15551230003'), (-1, '120363012345678901@g.us', '15551230004');
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    UPDATE watched SET phone = '15551230005' WHERE id = 1;
END $$;
SELECT is(asked(), ARRAY['(remove,15551230001@c.us)', '(add,15551230005@c.us)'], 'a statement that fails leaves nothing to the next');

-- what fires triggers otherwise
DROP TRIGGER "a follower" ON watched;
DROP TRIGGER "Z" ON watched;
COPY watched FROM PROGRAM 'printf "7\\t120363012345678901@g.us\\t15551230007\\n8\\t120363012345678901@g.us\\t15551230008\\n"';
SELECT is(asked(), ARRAY['(add,15551230007@c.us)', '(add,15551230008@c.us)'], 'COPY');
DROP TRIGGER "Member" ON watched;
CREATE CONSTRAINT TRIGGER "Member" AFTER INSERT OR DELETE ON watched DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
DELETE FROM watched WHERE id IN (7, 8);
INSERT INTO watched VALUES (9, :'g', '15551230007');
SELECT is(asked(), '{}', 'a deferred trigger waits');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(asked(), ARRAY['(remove,15551230008@c.us)', '(add,15551230007@c.us)'], '... and sees what there is in the end');
DROP TABLE of_others, seen;

-- of a large table the index is read once for a group, and its spellings
SELECT watched('id int, grp text, phone text') \g /dev/null
ALTER TABLE watched DISABLE TRIGGER USER;
INSERT INTO watched SELECT i, '1203630' || 10000000000 + i % 1000 || '@g.us', '1556' || 1000000 + i FROM generate_series(1, 40000) i;
-- who stays: in another spelling of number or group, in the other form of a number; the rest only look like it
INSERT INTO watched SELECT 100000 + i, '120363010000000007' || CASE i % 3 WHEN 0 THEN '@g.us' WHEN 1 THEN '@G.US' ELSE '@g.us ' END, '+1 (556) 1' || to_char(i, 'FM000-000') FROM generate_series(7, 10007, 1000) i;
INSERT INTO watched VALUES (50001, '120363010000000007@g.us', '5511987654321'), (200001, ' 120363010000000007@g.us', '551187654321'),
    (200002, '120363010000000008@g.us', '15561011007'), (200003, '120363010000000007@g.us', '4915561012007'), (200004, '120363010000000007@g.us', 'nobody, 15561013007');
ALTER TABLE watched ENABLE TRIGGER USER;
CREATE INDEX watched_group ON watched (grp);
ANALYZE watched;
SELECT pg_stat_get_xact_numscans('watched_group'::regclass) AS scans \gset
DELETE FROM watched WHERE id IN (SELECT generate_series(7, 39007, 1000) UNION ALL VALUES (50001));
SELECT cmp_ok(pg_stat_get_xact_numscans('watched_group'::regclass) - :scans, '<', 20::bigint, 'a group is looked for once, not for each row');
SELECT is(array_agg(jid ORDER BY id), array_agg('1556' || 1000000 + i || '@c.us' ORDER BY i), 'whom no other row has in the group is removed, in whatever spelling it would be')
    FROM (SELECT row_number() OVER (ORDER BY id) AS n, id, jid FROM wawp.membership_intent WHERE action = 'remove') q
    FULL JOIN (SELECT row_number() OVER () AS n, i FROM generate_series(11007, 39007, 1000) i) e USING (n);
DELETE FROM wawp.membership_intent;

-- a table without an index is read once
SELECT watched('id int, grp text, phone bigint') \g /dev/null
ALTER TABLE watched DISABLE TRIGGER USER;
INSERT INTO watched SELECT i, :'g', 15550000000 + i % 200 FROM generate_series(1, 300) i;
INSERT INTO watched VALUES (301, :'h', 15550000150), (302, '１２０３６３０１２３４５６７８９０１＠g.us', 15550000151);
ALTER TABLE watched ENABLE TRIGGER USER;
SELECT pg_stat_get_xact_numscans('watched'::regclass) AS scans \gset
DELETE FROM watched WHERE id BETWEEN 51 AND 199;
SELECT cmp_ok(pg_stat_get_xact_numscans('watched'::regclass) - :scans, '<', 5::bigint, 'a table without an index is read once');
SELECT is(array_agg(jid ORDER BY id), array_agg(15550000000 + i || '@c.us' ORDER BY i), '... with the same result')
    FROM (SELECT row_number() OVER (ORDER BY id) AS n, id, jid FROM wawp.membership_intent WHERE action = 'remove') q
    FULL JOIN (SELECT row_number() OVER () AS n, i FROM generate_series(101, 199) i WHERE i <> 151) e USING (n);
DELETE FROM wawp.membership_intent;

-- ---- columns

SELECT watched('gone int, grp text, id int, phone text') \g /dev/null
DROP TRIGGER "Member" ON watched;
INSERT INTO watched VALUES (7, :'g', 1, '15551230001');
ALTER TABLE watched DROP COLUMN gone, ADD COLUMN ends timestamptz DEFAULT '2100-01-01 00:00+00', ADD COLUMN note text DEFAULT 'added later';
CREATE TRIGGER "Member" AFTER UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION
    wawp_membership_trigger('group=grp', 'jid=phone', 'until=ends', 'reason={note} {gone} {id}', 'instance=support');
UPDATE watched SET phone = '15551230002';
SELECT is(asked('action, jid, until, reason'), ARRAY['(remove,15551230001@c.us,,"added later {gone} 1")',
    '(add,15551230002@c.us,"2100-01-01 00:00:00+00","added later {gone} 1")'], 'columns that were dropped, and added with a default');
ALTER TABLE watched ADD COLUMN grp2 text DEFAULT '120363012345678902@g.us', ADD COLUMN phone2 text DEFAULT '15551230003';
DROP TRIGGER "Member" ON watched;
CREATE TRIGGER "Member" AFTER UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp2', 'jid=phone2', 'instance=support');
UPDATE watched SET note = 'x';
SELECT is(asked(), '{}', 'a default that was there before is no change');
DELETE FROM watched;
SELECT is(asked('action, group_jid, jid'), ARRAY['(remove,120363012345678902@g.us,15551230003@c.us)'], 'group and person by default');

SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS generated,
    current_setting('server_version_num')::int >= 180000 AS is_virtual \gset
SELECT format($$id int, circle text, cc int, no bigint, days int, grp text GENERATED ALWAYS AS (circle || '@g.us') %1$s,
    phone char(30) GENERATED ALWAYS AS ('+' || cc::text || ' ' || no::text) %1$s, ends timestamp GENERATED ALWAYS AS (timestamp '2100-01-01' + days * interval '1 day') %1$s,
    note text GENERATED ALWAYS AS ('no. ' || id::text) %1$s$$, :'generated') AS columns \gset
SELECT watched(:'columns', $$'group=grp', 'jid=phone', 'until=ends', 'reason={note}/{days}/{phone}.', 'instance=support'$$) \g /dev/null
INSERT INTO watched VALUES (1, '120363012345678901', 1, 5551230001, 1), (2, '120363012345678901', 1, 5551230001, 2), (3, NULL, 1, 5, 1);
SELECT is(asked('action, group_jid, jid, until, reason'), ARRAY['(add,120363012345678901@g.us,15551230001@c.us,"2100-01-03 00:00:00+00","no. 1/1/+1 5551230001.")'],
    'generated columns: group, person, end (that of the latest row), reason');
UPDATE watched SET days = days + 1 WHERE id = 1;
SELECT is(asked('action, jid, until'), ARRAY['(add,15551230001@c.us,"2100-01-03 00:00:00+00")'], 'another generated end');
UPDATE watched SET no = 5551230002 WHERE id = 1;
SELECT is(asked(), ARRAY['(add,15551230002@c.us)'], 'a move away from a person whom another row wants');
UPDATE watched SET circle = '120363012345678902' WHERE id = 1;
SELECT is(asked('action, group_jid, jid'), ARRAY['(remove,120363012345678901@g.us,15551230002@c.us)', '(add,120363012345678902@g.us,15551230002@c.us)'], 'a move to another group');
DELETE FROM watched;
SELECT is(asked(), ARRAY['(remove,15551230001@c.us)', '(remove,15551230002@c.us)'], 'and removals');

-- ---- set-up

SELECT watched('id int, grp text, phone text, ends date', $$'group=grp', 'jid=phone', 'until=ends', 'instance=support'$$) \g /dev/null
SELECT throws_ok($$ALTER TABLE watched RENAME COLUMN phone TO tel$$, '2BP01', 'column "phone" is used by trigger "Member" of table "watched"', 'a column in use is not renamed');
SELECT raises('ALTER TABLE watched DROP COLUMN ends CASCADE', '2BP01', 'column "ends" is used by trigger "Member" of table "watched"', '%''until=ends''%', 'DROP TRIGGER "Member" ON public.watched first, %', 'nor dropped, and the way out is told');
SELECT lives_ok($$ALTER TABLE watched RENAME COLUMN id TO number$$, 'others are');
CREATE OR REPLACE TRIGGER "Member" AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION
    wawp_membership_trigger('group=grp', 'jid=phone', 'until=ends', 'reason=row {number}, {nothing}', 'instance=support');
SELECT raises('ALTER TABLE watched RENAME number TO nr', '2BP01', 'column "number" is used by trigger "Member" of table "watched"', '%''reason=row {number}, {nothing}''%', 'DROP TRIGGER "Member" ON public.watched first, %', 'but for those of a reason');
SELECT lives_ok($$ALTER TABLE watched ALTER COLUMN phone TYPE varchar(40), ALTER COLUMN grp SET NOT NULL$$, 'a type may change');
SELECT raises($$SELECT watched('a text', '''group=a'', ''jid=b''')$$, '42703', 'column "b" of table "watched" does not exist', 'Trigger "Member" has the argument ''jid=b''.', '%', 'a column that is not there is told by CREATE TRIGGER');
SELECT raises($$SELECT watched('a text', '''group=a''')$$, '42703', 'argument "jid" of wawp_membership_trigger() is missing', '%', '%', 'so is an argument that is missing');
SELECT raises($$SELECT watched('a text', '''group=a'', ''jid=a'', ''action=kick''')$$, '22023', 'invalid action "kick" of wawp_membership_trigger()', '%', '%', 'or none');
DROP TRIGGER "Member" ON watched;
SELECT lives_ok('ALTER TABLE watched RENAME COLUMN phone TO tel', 'without the trigger all may be');
SELECT lives_ok('ALTER TABLE watched DROP COLUMN ends', '... and dropped');

-- what is dropped with its trigger may be, whatever goes first
CREATE SCHEMA regress_wawp_goes;
CREATE TABLE regress_wawp_goes.goes (grp text, phone text);
CREATE DOMAIN regress_wawp_goes.number AS text;
ALTER TABLE regress_wawp_goes.goes ALTER phone TYPE regress_wawp_goes.number;
CREATE TRIGGER m AFTER INSERT ON regress_wawp_goes.goes FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
SELECT raises('DROP DOMAIN regress_wawp_goes.number CASCADE', '2BP01', 'column "phone" is used by trigger "m" of table "goes"', '%', 'DROP TRIGGER m ON regress_wawp_goes.goes first, %', 'a column is not dropped with its type');
SELECT raises($$DO 'BEGIN ALTER TABLE regress_wawp_goes.goes DROP COLUMN phone; DROP TABLE regress_wawp_goes.goes; END'$$, '2BP01', 'column "phone" is used%', '%', '%', '... nor before its table, by a statement of its own');
SELECT lives_ok('DROP SCHEMA regress_wawp_goes CASCADE', 'a schema is dropped with a type that is younger than the table');
CREATE ROLE regress_wawp_leaver;
CREATE SCHEMA regress_wawp_goes AUTHORIZATION regress_wawp_leaver;
SET ROLE regress_wawp_leaver;
CREATE TABLE regress_wawp_goes.goes (grp text, phone text);
CREATE DOMAIN regress_wawp_goes.number AS text;
ALTER TABLE regress_wawp_goes.goes ALTER phone TYPE regress_wawp_goes.number;
CREATE TRIGGER m AFTER INSERT ON regress_wawp_goes.goes FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
RESET ROLE;
SELECT lives_ok($$DO 'BEGIN DROP OWNED BY regress_wawp_leaver; END'$$, '... and so is what a role owns');

-- of a partition the way out is the partitioned table's trigger
CREATE SCHEMA regress_wawp_parts;
CREATE TABLE regress_wawp_parts.parted (grp text, phone text, a int, b int) PARTITION BY LIST (a);
CREATE TABLE regress_wawp_parts.middle PARTITION OF regress_wawp_parts.parted FOR VALUES IN (1) PARTITION BY LIST (b);
CREATE TABLE regress_wawp_parts.leaf PARTITION OF regress_wawp_parts.middle FOR VALUES IN (1);
CREATE TRIGGER m AFTER INSERT ON regress_wawp_parts.parted FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
SELECT raises('ALTER TABLE regress_wawp_parts.parted RENAME phone TO tel', '2BP01', 'column "phone" is used by trigger "m" of table "parted"', '%', 'DROP TRIGGER m ON regress_wawp_parts.parted first, %', 'the trigger that can be dropped is told');
SELECT raises('ALTER TABLE regress_wawp_parts.parted DROP COLUMN phone', '2BP01', 'column "phone" is used by trigger "m" of table "parted"', '%', 'DROP TRIGGER m ON regress_wawp_parts.parted first, %', '... for a column that is dropped, too');
SELECT lives_ok('DROP TABLE regress_wawp_parts.middle', 'a partition may go');
DROP TRIGGER m ON regress_wawp_parts.parted;
SELECT lives_ok('ALTER TABLE regress_wawp_parts.parted RENAME phone TO tel', 'and does as it says');
DROP SCHEMA regress_wawp_parts CASCADE;

-- no instance is named and two could be meant; the session's setting is not the owner's
SELECT watched('grp text, phone text, ends timestamptz', $$'group=grp', 'jid=phone', 'until=ends', 'reason=why'$$) \g /dev/null
ALTER TABLE watched OWNER TO regress_wawp_owner;
CREATE SERVER other FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'XYZ', base_url :'url');
CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (access_token 'secret');
SET wawp.instance = 'other';
INSERT INTO watched VALUES (:'g', '15551230001');
SELECT is(asked('instance, state'), ARRAY['(support,queued)'], 'the session''s wawp.instance is not read');
RESET wawp.instance;
GRANT USAGE ON FOREIGN SERVER other TO regress_wawp_owner;
INSERT INTO watched VALUES (' ' || :'g', '+1 555 123 0001', '2100-01-01');
SELECT is(rows_of('SELECT action, instance, group_jid, jid, until, reason, state, outcome, requested_by FROM wawp.membership_intent'),
    ARRAY['(add,"",120363012345678901@g.us,15551230001@c.us,"2100-01-01 00:00:00+00",why,failed,,regress_wawp_owner)'], 'two instances that could be meant leave a trace');
SELECT matches(detail, '^several Wawp instances could be meant: .*"support".*instance=', '... that says why and the way out') FROM wawp.membership_intent;
SELECT id FROM wawp.membership_intent \gset
SET ROLE regress_wawp_owner;
SELECT throws_ok(format('SELECT wawp_retry(%s)', :id), '22023', 'several Wawp instances could be meant', 'it cannot be retried while that is so');
SET ROLE regress_wawp_writer;
SELECT ok(NOT wawp_retry(:id), 'nor by others');
SET ROLE regress_wawp_owner;
SET wawp.instance = 'support';
SELECT ok(wawp_retry(:id), 'but with one chosen');
RESET wawp.instance;
RESET ROLE;
SELECT is(asked('instance, instance_id, state, jid, detail, until'), ARRAY['(support,ABC123,queued,15551230001@c.us,,"2100-01-01 00:00:00+00")'], '... it is queued');

-- CREATE TRIGGER warns where no instance is named and the table's owner may use several, whoever creates it
\set member 'CREATE OR REPLACE TRIGGER "Member" AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger(''group=grp'', ''jid=phone'''
SET client_min_messages = warning;
\echo two
:member);
\echo one of them is named
:member, 'instance=support');
REVOKE USAGE ON FOREIGN SERVER other FROM regress_wawp_owner;
\echo one, though we may use two
:member);
CREATE TABLE of_ours (grp text, phone text);
ALTER TABLE of_ours OWNER TO regress_wawp_writer;
\echo none
CREATE TRIGGER m AFTER DELETE ON of_ours FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone');
CREATE ROLE regress_wawp_both IN ROLE regress_wawp_owner;
GRANT USAGE ON FOREIGN SERVER other TO regress_wawp_both;
GRANT CREATE ON SCHEMA public TO regress_wawp_both;
\echo one for the owner, two for a member who creates it
SET ROLE regress_wawp_both;
:member);
\echo two; one warning for a table and its partitions
CREATE TABLE parted (grp text, phone text, region int) PARTITION BY LIST (region);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TRIGGER "a ""b" AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'action=invite');
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3);
RESET ROLE;
DROP TABLE parted, of_ours;
SET client_min_messages = error;

-- USAGE is revoked; the instance goes
DROP SERVER other CASCADE;
SELECT watched('grp text, phone text', $$'group=grp', 'jid=phone', 'instance=support'$$) \g /dev/null
ALTER TABLE watched OWNER TO regress_wawp_owner;
INSERT INTO watched VALUES (:'g', '15551230001');
DELETE FROM wawp.membership_intent;
REVOKE USAGE ON FOREIGN SERVER support FROM regress_wawp_owner;
UPDATE watched SET phone = '15551230002';
SELECT is(rows_of('SELECT action, instance, instance_id, jid, state, outcome, detail FROM wawp.membership_intent ORDER BY id'),
    ARRAY['(remove,support,ABC123,15551230001@c.us,failed,,"permission denied for foreign server support")',
        '(add,support,ABC123,15551230002@c.us,failed,,"permission denied for foreign server support")'], 'USAGE revoked: both halves of a move leave a trace');
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_owner;
SET ROLE regress_wawp_owner;
SELECT is(array_agg(wawp_retry(id)), '{t,t}', '... and are retried when it is granted again') FROM wawp.membership_intent;
RESET ROLE;
SELECT is(asked('action, jid, state'), ARRAY['(remove,15551230001@c.us,queued)', '(add,15551230002@c.us,queued)'], '... for the same people');
SELECT raises('ALTER SERVER support RENAME TO elsewhere', '2BP01', 'Wawp instance "support" is used by trigger "Member" of table "watched"', 'The trigger has the argument ''instance=support''; %',
    'DROP TRIGGER "Member" ON public.watched first, and create it anew with the name that the instance has then.', 'an instance that a trigger names is not renamed');
SELECT lives_ok($$ALTER SERVER support OPTIONS (ADD adds_per_day '50')$$, 'but changed');
REVOKE USAGE ON FOREIGN SERVER support FROM regress_wawp_owner;
SELECT lives_ok('ALTER SERVER support RENAME TO elsewhere', 'whose table''s owner may not use it keeps nobody from that');
ALTER SERVER elsewhere RENAME TO support;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_owner;
DROP USER MAPPING FOR PUBLIC SERVER support;
REVOKE USAGE ON FOREIGN SERVER support FROM regress_wawp_writer;
SELECT raises('DROP SERVER support', '2BP01', 'Wawp instance "support" is used by trigger "Member" of table "watched"', '%', 'DROP TRIGGER "Member" ON public.watched first, or %', 'nor is it dropped');
SET client_min_messages = warning;
\echo its trigger stays
DROP SERVER support CASCADE;
\echo an instance that does not exist
:member, 'instance=support');
CREATE TABLE parted (grp text, phone text, ends text, region int) PARTITION BY LIST (region);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
\echo ends as texts
CREATE TRIGGER m AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'until=ends', 'instance=support');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
DROP TABLE parted;
SET client_min_messages = error;
INSERT INTO watched VALUES (:'g', '15551230003');
SELECT is(rows_of('SELECT action, instance, instance_id, state, detail FROM wawp.membership_intent'),
    ARRAY['(add,support,"",failed,"Wawp instance ""support"" does not exist; An instance is made by CREATE SERVER ... FOREIGN DATA WRAPPER wawp.")'], 'an instance that is gone');
CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url', adds_per_minute '6');
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_owner;
SELECT ok(wawp_retry(id), '... and comes back') FROM wawp.membership_intent;
SELECT is(asked('instance, instance_id, state'), ARRAY['(support,ABC123,queued)'], '... is asked');
REVOKE USAGE ON FOREIGN SERVER support FROM regress_wawp_owner;
INSERT INTO watched VALUES (:'g', '15551230003');
DELETE FROM watched WHERE ctid = (SELECT max(ctid) FROM watched);
SELECT is(asked('action, state'), ARRAY['(add,failed)'], 'a removal that is not wanted leaves none');
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_owner;

-- what fires no trigger, or another one
SELECT watched('grp text, phone text', $$'group=grp', 'jid=phone', 'instance=support'$$) \g /dev/null
INSERT INTO watched VALUES (:'g', '15551230001');
DELETE FROM wawp.membership_intent;
TRUNCATE watched;
SELECT is(asked(), '{}', 'TRUNCATE removes nobody');
CREATE TABLE parted (id int, region int, grp text, phone text) PARTITION BY LIST (region);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TRIGGER "Leaves" AFTER UPDATE ON parted FOR EACH ROW WHEN (old.region IS DISTINCT FROM new.region)
    EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'action=remove', 'instance=support');
INSERT INTO parted VALUES (1, 1, :'g', '15551230001');
UPDATE parted SET region = 2;
SELECT is(asked(), '{}', 'a row that moves to another partition fires no AFTER UPDATE');
CREATE TRIGGER "Member" AFTER INSERT OR UPDATE OR DELETE ON parted FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
UPDATE parted SET region = 1;
SELECT is(asked(), ARRAY['(add,15551230001@c.us)'], 'but DELETE and INSERT: nobody is removed');
DELETE FROM parted;
SELECT is(asked(), :'removed', 'until the row is deleted');

-- bad data
INSERT INTO watched VALUES (:'g', '0612345678'), ('nowhere', '15551230001'), (NULL, '15551230001'), (:'g', NULL);
SELECT is(asked('group_jid, jid, state, outcome'), ARRAY['(120363012345678901@g.us,0612345678,failed,bad_identifier)', '(nowhere,15551230001,failed,bad_identifier)'], 'bad data leaves a trace, NULL nothing');

-- a virtual column that cannot be computed; a stored one fails the write itself
\if :is_virtual
SELECT watched('id int, n int, grp text, phone text GENERATED ALWAYS AS ((15551230000 / n)::text) VIRTUAL') \g /dev/null
INSERT INTO watched VALUES (1, 0, :'g');
UPDATE watched SET n = 1;
SELECT is(asked('action, group_jid, jid, state, outcome, detail'), ARRAY['(add,120363012345678901@g.us,"",failed,bad_identifier,"division by zero")',
    '(remove,"","",failed,bad_identifier,"division by zero")', '(add,"","",failed,bad_identifier,"division by zero")'], 'a column that cannot be computed leaves a trace');
\else
SELECT pass('a column that cannot be computed leaves a trace');
\endif

-- ---- the extension is dropped while the rows of a statement wait for its end

SELECT watched('grp text, phone text') \g /dev/null
INSERT INTO watched VALUES (:'g', '15551230001');
CREATE FUNCTION drop_extension() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DROP EXTENSION wawp CASCADE; RETURN NULL; END $$;
CREATE TRIGGER z AFTER DELETE ON watched FOR EACH STATEMENT EXECUTE FUNCTION drop_extension();
DELETE FROM watched;
SELECT is((SELECT count(*) FROM watched), 0::bigint, 'the extension is dropped by the statement that fires the trigger: the statement stands');

SELECT * FROM finish();
ROLLBACK;
