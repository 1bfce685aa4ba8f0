\set ECHO none
-- foreign_tables: groups as tables: options and columns, what is read, what is asked for.
--
-- The groups are the simulator's own (test/simulator/README.md); what is requested when is in test/t/216_foreign_tables.pl.
\i test/sql-include/setup.sql

SELECT count(make_instance(name, instance_id, url, options)::text) AS made
FROM (VALUES
    ('support', 'ABC123', :'url', ''),
    ('stopped', 'STOPPED1', :'url', ''),
    ('closed', 'ABC123', 'http://127.0.0.1:1', '')
) i(name, instance_id, url, options) \gset
SET LOCAL wawp.instance = 'closed';

-- What was asked for since the last time.
CREATE FUNCTION asked() RETURNS text[]
LANGUAGE SQL AS $$
    WITH gone AS (DELETE FROM wawp.membership_intent RETURNING *)
    SELECT coalesce(array_agg(concat_ws(' ', action, jid, split_part(group_jid, '@', 1)) ORDER BY id), '{}') FROM gone
$$;
-- What a statement with RETURNING returns.
CREATE FUNCTION returned(query text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    found record;
    result text[] = '{}';
BEGIN
    FOR found IN EXECUTE query LOOP
        result = result || found::text;
    END LOOP;
    RETURN result;
END $$;
-- Steps of a plan.
CREATE FUNCTION plan_of(query text, property text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%' || property || ': %' THEN
            RETURN NEXT substring(line FROM property || ': (.*)');
        END IF;
    END LOOP;
END $$;

SELECT plan(110);

-- ---- options

SELECT raises(format('CREATE FOREIGN TABLE t (jid text) SERVER support %s', options), state, message, detail, hint, about)
FROM (VALUES
    ('', 'HV002', 'option "object" is required', NULL, '%object ''members''%', 'a table needs an object'),
    ($$OPTIONS (object 'member')$$, '22023', 'invalid value for option "object"', 'It must be "members" or "groups".', NULL, 'one that there is'),
    ($$OPTIONS (objekt 'members')$$, 'HV00D', 'invalid option "objekt"', NULL, 'Perhaps you meant the option "object".', 'an unknown option'),
    ($$OPTIONS (object 'members', groupjid 'x')$$, 'HV00D', NULL, NULL, 'Perhaps you meant the option "group_jid".', 'and one more'),
    ($$OPTIONS (object 'members', instance_id 'x')$$, 'HV00D', NULL, NULL, 'The option belongs to CREATE SERVER.', 'an option of something else'),
    ($$OPTIONS (object 'members', group_jid '15551230001@c.us')$$, '22023', 'invalid value for option "group_jid"', '%"<digits>@g.us"%', NULL, 'a person as a group'),
    ($$OPTIONS (object 'groups', group_jid '120363012345678901@g.us')$$, '22023', '%is for tables of members', NULL, NULL, 'a group of groups')
) t(options, state, message, detail, hint, about);
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', object 'members')$$, 'HV00D', NULL, NULL,
    'The option belongs to CREATE FOREIGN TABLE.', 'a table''s option for a server');
SELECT raises($$CREATE FOREIGN TABLE t (jid text OPTIONS (object 'members')) SERVER support OPTIONS (object 'members')$$, 'HV00D', NULL, NULL, NULL,
    'columns have no options');

-- ---- columns

CREATE FOREIGN TABLE odd_column (jid text, number text) SERVER support OPTIONS (object 'members');
CREATE FOREIGN TABLE odd_type (jid varchar) SERVER support OPTIONS (object 'members');
CREATE FOREIGN TABLE odd_object (group_jid text, role text) SERVER support OPTIONS (object 'groups');
SELECT raises(format(query, name), state, message, detail, NULL, format(query, name))
FROM (VALUES
    ('odd_column', 'HV007', '%cannot have a column "number"', '%group_jid, jid, phone_jid, lid, role, complete.'),
    ('odd_type', 'HV004', 'column "jid" of foreign table "odd_type" must be of type text', 'It is of type character varying.'),
    ('odd_object', 'HV007', '%cannot have a column "role"', '%group_jid, subject, size.')
) t(name, state, message, detail), (VALUES ('SELECT * FROM %I'), ('EXPLAIN SELECT * FROM %I')) q(query);
SELECT raises($$INSERT INTO odd_type VALUES ('15551230001')$$, 'HV004', NULL, NULL, NULL, 'nor can it be written to');

-- ---- IMPORT FOREIGN SCHEMA

CREATE SCHEMA wa;
CREATE SCHEMA wa_two;
CREATE SCHEMA wa_three;
SELECT raises('IMPORT FOREIGN SCHEMA members FROM SERVER support INTO wa', 'HV00Q', 'there is no foreign schema "members"', NULL, '%SCHEMA groups FROM SERVER support%', 'one schema is there');
IMPORT FOREIGN SCHEMA groups FROM SERVER support INTO wa;
IMPORT FOREIGN SCHEMA groups LIMIT TO (members, others) FROM SERVER support INTO wa_two;
IMPORT FOREIGN SCHEMA groups EXCEPT (members) FROM SERVER support INTO wa_three;
SELECT is(rows_of($$SELECT c.oid::regclass, string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ',' ORDER BY attnum), t.ftoptions
        FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace::regnamespace::text LIKE 'wa%' GROUP BY c.oid, t.ftoptions ORDER BY c.oid$$),
    ARRAY['(wa.members,"group_jid text,jid text,phone_jid text,lid text,role text,complete boolean",{object=members})',
        '(wa.groups,"group_jid text,subject text,size integer",{object=groups})',
        '(wa_two.members,"group_jid text,jid text,phone_jid text,lid text,role text,complete boolean",{object=members})',
        '(wa_three.groups,"group_jid text,subject text,size integer",{object=groups})'], 'tables of members and of groups, and those that are wanted');

-- ---- what is read

CREATE FOREIGN TABLE team (jid text, phone_jid text, lid text, role text, complete bool)
    SERVER support OPTIONS (object 'members', group_jid '120363012345678901@g.us');
SELECT is(rows_of('SELECT jid, phone_jid, lid, role, complete FROM team ORDER BY jid'),
    rows_of($$SELECT jid, phone_jid, lid, role, true FROM wawp_participants('120363012345678901@g.us', 'support') ORDER BY jid$$), 'the members of a group');
SELECT isnt(rows_of('SELECT * FROM team'), '{}', 'who are there');
SELECT is(rows_of($$SELECT DISTINCT group_jid FROM wa.members WHERE group_jid = '120363012345678901@g.us'$$), ARRAY['(120363012345678901@g.us)'], 'with the group as a column');
SELECT is(rows_of('SELECT * FROM wa.groups ORDER BY 1'), rows_of($$SELECT * FROM wawp_groups('support') ORDER BY 1$$), 'groups');
SELECT is(rows_of($$SELECT * FROM wa.groups WHERE subject IS NULL$$), '{}', 'any condition may be asked');
SELECT is(rows_of($$SELECT jid LIKE '%@lid', phone_jid IS NULL, lid = jid, complete FROM wa.members WHERE group_jid = '120363012345678905@g.us' LIMIT 1$$),
    ARRAY['(t,t,t,t)'], 'a list by privacy id');
SELECT raises($$SELECT * FROM wa.members WHERE group_jid = '120363099999999999@g.us'$$, state, NULL, NULL, NULL, 'a group that is not there is an error')
FROM (VALUES ('42704')) s(state);

-- ---- EXPLAIN

CREATE TABLE course (group_jid text);

\i test/sql-include/read_ledger.sql
SELECT is(ARRAY(SELECT plan_of(query, 'Requests')), ARRAY[requests], query)
FROM (VALUES
    ('SELECT * FROM team', 'GET /v2/groups/120363012345678901@g.us/participants, GET /v2/groups/120363012345678901@g.us'),
    ('SELECT * FROM wa.groups', 'GET /v2/groups'),
    ('SELECT * FROM wa.members', 'GET /v2/groups, GET /v2/groups/{group_jid}/participants'),
    ('SELECT * FROM wa.members WHERE jid = ''15551230001@c.us''', 'GET /v2/groups, GET /v2/groups/{group_jid}/participants'),
    ('SELECT * FROM wa.members WHERE group_jid = ''120363012345678901@g.us''', 'GET /v2/groups/120363012345678901@g.us/participants, GET /v2/groups/120363012345678901@g.us'),
    ('SELECT * FROM wa.members WHERE ''120363012345678901@g.us'' = group_jid AND role = ''admin''', 'GET /v2/groups/120363012345678901@g.us/participants, GET /v2/groups/120363012345678901@g.us'),
    ('SELECT * FROM wa.members WHERE group_jid IN (''1203630@g.us'', ''1203631@g.us'')', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid = ''1203630@g.us'' OR group_jid = ANY (ARRAY[''1203631@g.us''])', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid = ''1203630@g.us'' OR role = ''admin''', 'GET /v2/groups, GET /v2/groups/{group_jid}/participants'),
    ('SELECT * FROM wa.members WHERE group_jid = (SELECT max(relname)::text FROM pg_class)', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid = ANY (ARRAY(SELECT relname::text FROM pg_class))', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM pg_class c JOIN wa.members m ON m.group_jid = c.relname::text', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM course c JOIN wa.members m USING (group_jid)', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid COLLATE "C" = ''120363012345678901@g.us''', 'GET /v2/groups/120363012345678901@g.us/participants, GET /v2/groups/120363012345678901@g.us'),
    ('SELECT * FROM pg_class c LEFT JOIN wa.members m ON m.group_jid = c.relname::text AND m.role = ''admin''', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid IN (SELECT relname::text FROM pg_class)', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT (SELECT count(*) FROM wa.members m WHERE m.group_jid = c.relname::text) FROM pg_class c', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM pg_class c, LATERAL (SELECT jid FROM wa.members m WHERE m.group_jid = c.relname::text LIMIT 3) m', 'GET /v2/groups/{group_jid}/participants, GET /v2/groups/{group_jid}'),
    ('SELECT * FROM wa.members WHERE group_jid = clock_timestamp()::text', 'GET /v2/groups, GET /v2/groups/{group_jid}/participants')
) t(query, requests);
SELECT is(ARRAY(SELECT plan_of('DELETE FROM team', 'Asks the Queue')), ARRAY['remove, instance support'], 'what a DELETE asks for');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'EXPLAIN makes no request');

-- ---- INSERT

SELECT is(returned($$INSERT INTO team (jid) VALUES ('+1 555 123 0001') RETURNING *$$),
    ARRAY['(15551230001@c.us,15551230001@c.us,,member,)'], 'INSERT returns what was asked');
SELECT is(rows_of('SELECT action, jid, group_jid, instance, origin, state, requested_by = CURRENT_USER, requester = CURRENT_USER::regrole FROM wawp.membership_intent'),
    ARRAY['(add,15551230001@c.us,120363012345678901@g.us,support,insert,queued,t,t)'], 'as an INSERT into the queue does, with the table''s instance');
SELECT raises($$INSERT INTO team (jid) VALUES ('15551230001')$$, '23505', NULL, NULL, NULL, 'and once more is a duplicate');
SELECT is(returned($$INSERT INTO team (jid) VALUES ('15551230001'), ('15551230002') ON CONFLICT DO NOTHING RETURNING jid$$),
    ARRAY['(15551230002@c.us)'], 'which may be left out');
SELECT raises($$INSERT INTO team (jid) VALUES ('15551230001') ON CONFLICT (jid) DO UPDATE SET role = 'admin'$$, '42P10', NULL, NULL, NULL, 'but not changed');
SELECT is(asked(), ARRAY['add 15551230001@c.us 120363012345678901', 'add 15551230002@c.us 120363012345678901'], 'all that was asked for');
SELECT is(returned($$INSERT INTO wa.members (group_jid, jid, phone_jid, lid, role, complete)
        VALUES ('120363012345678901@g.us', '15551230001', NULL, NULL, 'admin', true) RETURNING *$$),
    ARRAY['(120363012345678901@g.us,15551230001@c.us,15551230001@c.us,,admin,)'], 'a new admin, with all columns named');
SELECT is(rows_of('SELECT action, after = lag(id) OVER (ORDER BY id) FROM wawp.membership_intent ORDER BY id'), ARRAY['(add,)', '(promote,t)'], 'is added, and promoted after that');
DELETE FROM wawp.membership_intent;
SELECT raises(query, state, message, NULL, NULL, about)
FROM (VALUES
    ($$INSERT INTO wa.members (jid) VALUES ('15551230001')$$, '23502', '%"group_jid"%is null', 'without a group'),
    ($$INSERT INTO wa.members (group_jid, jid) VALUES ('Ana', '15551230001')$$, '22023', 'invalid group JID "Ana"', 'with something else as one'),
    ($$INSERT INTO team (role) VALUES ('member')$$, '22023', 'invalid person "null"', 'without a person'),
    ($$INSERT INTO team (jid) VALUES ('Ana')$$, '22023', 'invalid person "Ana"', 'with a name'),
    ($$INSERT INTO team (jid) VALUES ('123456789@lid')$$, '22023', 'invalid person "123456789@lid"', 'with a privacy id'),
    ($$INSERT INTO team (jid, phone_jid) VALUES ('15551230001', '15551230002')$$, '22023', '%name two people', 'with two people'),
    ($$INSERT INTO team (jid, role) VALUES ('15551230001', 'owner')$$, '22023', 'invalid role "owner"', 'with an owner'),
    ($$INSERT INTO team (jid, role) VALUES ('15551230001', 'boss')$$, '22023', 'invalid role "boss"', 'with another role'),
    ($$INSERT INTO wa.groups VALUES ('1@g.us', 'New', 1)$$, '55000', NULL, 'into the list of groups'),
    ($$DELETE FROM wa.groups$$, '55000', NULL, 'from the list of groups'),
    ($$TRUNCATE team$$, '0A000', NULL, 'TRUNCATE')
) t(query, state, message, about);
SELECT is(returned($$INSERT INTO team (jid, phone_jid, lid) VALUES ('123456789@lid', '15551230001', '123456789@lid') RETURNING jid$$),
    ARRAY['(15551230001@c.us)'], 'the number counts where there is one');
SELECT is(asked(), ARRAY['add 15551230001@c.us 120363012345678901'], 'and nothing of what failed is asked for');
SELECT raises(format($$COPY %s FROM PROGRAM 'echo'$$, name), '0A000', 'cannot copy to foreign table "team"', NULL, '%INSERT ... SELECT%', 'COPY')
FROM (VALUES ('team (jid)')) t(name);
SELECT lives_ok($$INSERT INTO wa.members (group_jid, jid) SELECT '120363012345678901@g.us', '1555123000' || n FROM generate_series(1, 2) n$$, 'INSERT ... SELECT');
SELECT is(asked(), ARRAY['add 15551230001@c.us 120363012345678901', 'add 15551230002@c.us 120363012345678901'], 'asks for each');

-- ---- triggers of the table

CREATE TABLE noted (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO noted VALUES (concat_ws(' ', TG_WHEN, TG_OP, OLD.jid, OLD.role, NEW.jid, NEW.role));
    IF TG_WHEN = 'BEFORE' AND TG_OP = 'INSERT' THEN
        NEW.role = 'admin';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER before_it BEFORE INSERT OR UPDATE OR DELETE ON team FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER after_it AFTER INSERT OR UPDATE OR DELETE ON team FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO team (jid) VALUES ('15551230001');
UPDATE team SET role = 'admin' WHERE phone_jid = '15550000002@c.us';
DELETE FROM team WHERE phone_jid = '15550000002@c.us';
SELECT is(rows_of('SELECT what FROM noted'), ARRAY['("BEFORE INSERT 15551230001")', '("AFTER INSERT 15551230001@c.us admin")',
    '("BEFORE UPDATE 15550000002@c.us member 15550000002@c.us admin")', '("AFTER UPDATE 15550000002@c.us member 15550000002@c.us admin")',
    '("BEFORE DELETE 15550000002@c.us member")', '("AFTER DELETE 15550000002@c.us member")'], 'triggers see what is asked for');
SELECT is(asked(), ARRAY['add 15551230001@c.us 120363012345678901', 'promote 15551230001@c.us 120363012345678901',
    'promote 15550000002@c.us 120363012345678901', 'remove 15550000002@c.us 120363012345678901'], 'and change it');
DROP TRIGGER before_it ON team;
DROP TRIGGER after_it ON team;

-- ---- DELETE and UPDATE

SELECT is(returned($$DELETE FROM team WHERE phone_jid = '15550000002@c.us' RETURNING *$$),
    ARRAY['(15550000002@c.us,15550000002@c.us,,member,t)'], 'DELETE returns the member');
SELECT is(returned($$DELETE FROM team WHERE phone_jid = '15550000002@c.us' RETURNING jid$$),
    ARRAY['(15550000002@c.us)'], 'who stays in the list until the removal is served');
SELECT is(asked(), ARRAY['remove 15550000002@c.us 120363012345678901'], 'and is removed once');
SELECT is(returned($$DELETE FROM team WHERE jid = '15551239999@c.us' RETURNING *$$), '{}', 'nobody');
SELECT lives_ok($$DELETE FROM team USING (VALUES ('15550000002@c.us'), ('15550000002@c.us')) v(jid) WHERE v.jid = team.jid$$, 'by a join');
SELECT is(asked(), ARRAY['remove 15550000002@c.us 120363012345678901'], 'likewise');
SELECT is(returned($$UPDATE team SET role = 'admin' WHERE phone_jid = '15550000002@c.us' RETURNING *$$),
    ARRAY['(15550000002@c.us,15550000002@c.us,,admin,t)'], 'UPDATE returns the new role');
SELECT is(asked(), ARRAY['promote 15550000002@c.us 120363012345678901'], 'and asks for it');
SELECT lives_ok($$UPDATE team SET role = 'member', jid = jid, complete = NULL WHERE phone_jid = '15550000002@c.us'$$, 'a role that the member has');
SELECT lives_ok($$UPDATE team SET role = 'admin' WHERE role = 'owner'$$, 'an owner is an admin');
SELECT is(asked(), '{}', 'asks for nothing');
SELECT raises(query, state, message, NULL, NULL, about)
FROM (VALUES
    ($$UPDATE team SET jid = '15551230001@c.us' WHERE phone_jid = '15550000002@c.us'$$, '0A000', 'column "jid" of foreign table "team" cannot be updated', 'another person'),
    ($$UPDATE team SET lid = '1@lid' WHERE phone_jid = '15550000002@c.us'$$, '0A000', '%"lid"%', 'another id'),
    ($$UPDATE wa.members SET group_jid = '1@g.us' WHERE group_jid = '120363012345678901@g.us'$$, '0A000', '%"group_jid"%', 'another group'),
    ($$UPDATE team SET role = NULL WHERE phone_jid = '15550000002@c.us'$$, '22023', 'invalid role "null"', 'no role'),
    ($$UPDATE team SET role = 'owner' WHERE phone_jid = '15550000002@c.us'$$, '22023', 'invalid role "owner"', 'ownership'),
    ($$UPDATE team SET role = 'member' WHERE role = 'owner'$$, '22023', 'the owner of group %', 'an owner''s')
) t(query, state, message, about);

-- ---- transactions

SAVEPOINT before_it;
INSERT INTO team (jid) VALUES ('15551230001');
ROLLBACK TO before_it;
SELECT is(asked(), '{}', 'what is rolled back is not asked for');
SET LOCAL transaction_read_only = on;
SELECT raises($$INSERT INTO team (jid) VALUES ('15551230001')$$, '25006', NULL, NULL, NULL, 'a read-only transaction asks for nothing');
SELECT isnt(rows_of('SELECT * FROM team'), '{}', 'but reads');
ROLLBACK TO before_it;

-- ---- permissions

CREATE ROLE regress_wawp_reader;
CREATE ROLE regress_wawp_steward;
GRANT USAGE ON SCHEMA wa TO regress_wawp_reader, regress_wawp_steward;
GRANT ALL ON team, wa.members TO regress_wawp_reader, regress_wawp_steward;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_steward;
CREATE VIEW team_view AS SELECT jid, role FROM team;
CREATE VIEW invoker_view WITH (security_invoker) AS SELECT jid, role FROM team;
ALTER VIEW team_view OWNER TO regress_wawp_steward;
GRANT ALL ON team_view, invoker_view TO regress_wawp_reader;
SET LOCAL ROLE regress_wawp_reader;
SELECT raises(query, '42501', message, NULL, NULL, about)
FROM (VALUES
    ('SELECT * FROM team', 'permission denied for foreign server support', 'a table''s privilege is not the instance''s'),
    ('SELECT * FROM invoker_view', NULL, 'nor through a view as the invoker'),
    ($$INSERT INTO team (jid) VALUES ('15551230001')$$, 'permission denied for foreign server support', 'nor to ask'),
    ('DELETE FROM team', NULL, 'nor to remove'),
    ('SELECT * FROM wa.groups', 'permission denied for foreign table groups', 'nor the other way round')
) t(query, message, about);
SELECT isnt(rows_of('SELECT * FROM team_view'), '{}', 'a view reads as its owner');
SELECT lives_ok($$INSERT INTO team_view (jid) VALUES ('15551230001')$$, 'and asks as its owner');
SELECT lives_ok($$DELETE FROM team_view WHERE jid = '15550000002@c.us'$$, 'removes as its owner');
SELECT lives_ok('EXPLAIN SELECT * FROM team', 'EXPLAIN needs no more than the table');
RESET ROLE;
SELECT is(rows_of($$SELECT action, requested_by, requester::regrole, requested_from ->> 'login' = SESSION_USER FROM wawp.membership_intent ORDER BY id$$),
    ARRAY['(add,regress_wawp_steward,regress_wawp_steward,t)', '(remove,regress_wawp_steward,regress_wawp_steward,t)'], 'who is the requester');
DELETE FROM wawp.membership_intent;
SELECT is(rows_of('SELECT CURRENT_USER = SESSION_USER'), ARRAY['(t)'], 'and nobody became anybody else');

-- ---- partitions and inheritance

CREATE TABLE rota (group_jid text, jid text, role text) PARTITION BY LIST (group_jid);
CREATE FOREIGN TABLE rota_one PARTITION OF rota FOR VALUES IN ('120363012345678901@g.us') SERVER support OPTIONS (object 'members', group_jid '120363012345678901@g.us');
CREATE FOREIGN TABLE rota_two PARTITION OF rota FOR VALUES IN ('120363012345678902@g.us') SERVER support OPTIONS (object 'members', group_jid '120363012345678902@g.us');
SELECT is(rows_of('SELECT DISTINCT group_jid FROM rota ORDER BY 1'), ARRAY['(120363012345678901@g.us)', '(120363012345678902@g.us)'], 'partitions');
SELECT lives_ok($$INSERT INTO rota VALUES ('120363012345678902@g.us', '15551230001', NULL), ('120363012345678901@g.us', '15551230002', 'member')$$, 'rows find theirs');
SELECT lives_ok($$DELETE FROM rota WHERE jid = '15550000002@c.us'$$, 'and are removed from each');
SELECT is((SELECT array_agg(a ORDER BY a) FROM unnest(asked()) a), ARRAY['add 15551230001@c.us 120363012345678902', 'add 15551230002@c.us 120363012345678901',
    'remove 15550000002@c.us 120363012345678901', 'remove 15550000002@c.us 120363012345678902'], 'all is asked for');
CREATE TABLE rota_none PARTITION OF rota FOR VALUES IN ('0');
INSERT INTO rota VALUES ('0', '15551230001', 'admin'), ('0', '15551230002', 'member');
SELECT is(returned($$UPDATE rota SET group_jid = '120363012345678902@g.us', role = 'admin' WHERE group_jid = '0' OR group_jid = '120363012345678902@g.us' AND jid = '15550000002@c.us' RETURNING jid, role$$),
    ARRAY['(15551230001@c.us,admin)', '(15551230002@c.us,admin)', '(15550000002@c.us,admin)'], 'rows that move to a partition, among those of it that are updated');
SELECT is((SELECT array_agg(a ORDER BY a) FROM unnest(asked()) a), ARRAY['add 15551230001@c.us 120363012345678902', 'add 15551230002@c.us 120363012345678902',
    'promote 15550000002@c.us 120363012345678902', 'promote 15551230001@c.us 120363012345678902', 'promote 15551230002@c.us 120363012345678902'], 'are asked for');
SELECT raises($$INSERT INTO rota_one VALUES ('120363012345678902@g.us', '15551230001')$$, '22023', 'foreign table "rota_one" is of another group than%', NULL, NULL, 'a row of another group');

SELECT * FROM finish();
ROLLBACK;
