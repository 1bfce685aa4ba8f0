\set ECHO none
-- sync: what has to change in a group, and what of it is requested.
--
-- The groups are the simulator's own (test/simulator/README.md); 15550000002 is a member of most.
\i test/sql-include/setup.sql

SELECT count(make_instance(name, instance_id, url, options)::text) AS made
FROM (VALUES
    ('support', 'ABC123', :'url', ''),
    ('gows', 'GOWS1', :'url', ''),
    ('stopped', 'STOPPED1', :'url', ''),
    ('closed', 'ABC123', 'http://127.0.0.1:1', '')
) i(name, instance_id, url, options) \gset
SET LOCAL wawp.instance = 'support';
UPDATE wawp.contact SET lid = NULL;

\set support '''120363012345678901@g.us'''

-- What a plan does: action and person, "-" where nothing is done.
CREATE FUNCTION planned(people text[], managed_only bool DEFAULT true, pct int DEFAULT 20, group_number text DEFAULT '120363012345678901',
    instance name DEFAULT NULL, mode text DEFAULT 'plan') RETURNS text[]
LANGUAGE SQL AS $$
    SELECT coalesce(array_agg(concat_ws(' ', coalesce(action::text, '-'), jid) ORDER BY o), '{}')
    FROM wawp_sync_group(group_number || '@g.us', people, instance, 'test', mode, managed_only, pct) WITH ORDINALITY r(jid, action, why, o)
$$;
-- Why: of one person, or of the whole group.
CREATE FUNCTION why(person text, people text[], managed_only bool DEFAULT true, pct int DEFAULT 20, group_number text DEFAULT '120363012345678901',
    instance name DEFAULT NULL, mode text DEFAULT 'plan') RETURNS text
LANGUAGE SQL AS $$
    SELECT min(why) FROM wawp_sync_group(group_number || '@g.us', people, instance, 'test', mode, managed_only, pct)
    WHERE jid IS NOT DISTINCT FROM person
$$;
-- Remember that we added somebody.
CREATE FUNCTION we_added(person text, group_number text DEFAULT '120363012345678901') RETURNS void
LANGUAGE SQL AS $$
    INSERT INTO wawp.contact (jid) VALUES (person) ON CONFLICT DO NOTHING;
    INSERT INTO wawp.membership (instance, group_jid, contact_id, added_by_us, added_at)
    SELECT 'support', group_number || '@g.us', contact_id, true, now() FROM wawp.contact WHERE jid = person;
$$;

SELECT plan(88);

-- ---- arguments

SELECT raises(call, '22023', message, NULL, hint, about)
FROM (VALUES
    ($$SELECT wawp_sync_group('120363012345678901@g.us', NULL)$$, 'argument "jids" must not be null', NULL, 'NULL array'),
    ($$SELECT wawp_sync_group(NULL, '{}')$$, NULL, NULL, 'NULL group'),
    ($$SELECT wawp_sync_group('15550000002@c.us', '{}')$$, 'invalid group JID %', NULL, 'a person as a group'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', mode => 'dry')$$, 'invalid mode "dry"', '%"plan" or "apply"%', 'another mode'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', mode => NULL)$$, NULL, NULL, 'NULL mode'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', managed_only => NULL)$$, NULL, NULL, 'NULL managed_only'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', max_remove_pct => NULL)$$, NULL, NULL, 'NULL max_remove_pct'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', max_remove_pct => -1)$$, NULL, NULL, 'less than nothing'),
    ($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', max_remove_pct => 101)$$, NULL, NULL, 'more than all'),
    ($$SELECT wawp_sync_groups(NULL, 'a', 'b')$$, 'argument "source" must not be null', NULL, 'NULL source'),
    ($$SELECT wawp_sync_groups('pg_class', NULL, 'b')$$, 'argument "group_column" must not be null', NULL, 'NULL group column'),
    ($$SELECT wawp_sync_groups('pg_class', 'relname', NULL)$$, 'argument "jid_column" must not be null', NULL, 'NULL column of people'),
    ($$SELECT wawp_sync_groups('pg_class', 'relname', 'relname', mode => 'x')$$, 'invalid mode "x"', NULL, 'another mode for many')
) t(call, message, hint, about);
SELECT raises($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', 'nobody')$$, '42704', NULL, NULL, NULL, 'no such instance');
SELECT raises($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', reason => repeat('x', 4001))$$, '22001', NULL, NULL, NULL, 'a long reason');
SELECT raises($$SELECT wawp_sync_groups('pg_class', 'nothing', 'relname')$$, '42703', 'column "nothing" of relation "pg_class" does not exist', NULL, NULL, 'no such column');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'nothing was asked of the API');

-- ---- additions

SELECT is(planned('{15550000002}'), '{}', 'in step: no rows');
SELECT is(planned('{15550000002,15551230001,+1 (555) 123-0001,15551230001@s.whatsapp.net}'), ARRAY['add 15551230001@c.us'], 'an addition, once');
SELECT is(planned('{15550000002,Ana,NULL,15551230001,120363012345678902@g.us,Ana}'),
    ARRAY['- Ana', '-', 'add 15551230001@c.us', '- 120363012345678902@g.us'], 'what names nobody is a row');
SELECT is(why('Ana', '{15550000002,Ana}') IS NOT NULL, true, 'with a reason');
SELECT is(why(NULL, '{15550000002,NULL}'), 'the element is null', 'NULL, too');
SELECT is(planned('{15550000002,15550000001}'), '{}', 'our own account is in the group');
\i test/sql-include/read_ledger.sql
SELECT is(planned('{15550000002,15551230001,15551230002,15551230003}'), ARRAY['add 15551230001@c.us', 'add 15551230002@c.us', 'add 15551230003@c.us'], 'three');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT array_agg(method || ' ' || path ORDER BY n) FROM ledger),
    ARRAY['GET /v2/groups/120363012345678901%40g.us/participants', 'POST /v2/session/info', 'GET /v2/groups/120363012345678901%40g.us'],
    'the list is read once, and nothing is changed');
SELECT is((SELECT count(*)::int FROM wawp.membership_intent), 0, 'nothing is requested');

SELECT is(wawp_suppress('15551230009', NULL, 'asked us not to'), true, 'somebody has opted out');
SELECT is(planned('{15550000002,15551230009}'), ARRAY['- 15551230009@c.us'], 'is not added');
SELECT is(why('15551230009@c.us', '{15550000002,15551230009}'), 'not added: suppressed (asked us not to)', 'and the plan says so');
INSERT INTO wawp.group_settings (instance, group_jid, require_contact_within) VALUES ('support', :support, '1 day');
SELECT matches(why('15551230001@c.us', '{15550000002,15551230001}'), '^not added: require_contact_within: ', 'a stranger');
UPDATE wawp.group_settings SET require_contact_within = NULL;
SELECT is(wawp_pause('support', :support, 'holidays'), true, 'a group is paused');
SELECT is(planned('{15550000002,15551230001}'), ARRAY['add 15551230001@c.us'], 'the plan is the same');
SELECT is(why('15551230001@c.us', '{15550000002,15551230001}'), 'not in the group; waits, as the group is held (paused: holidays)', 'and shows the hold');
SELECT is(wawp_resume('support', :support), true, 'the pause is over');

-- ---- removals

SELECT is(planned('{15551230001}', pct => 100), ARRAY['add 15551230001@c.us', '- 15550000002@c.us'], 'whom we did not add');
SELECT is(why('15550000002@c.us', '{15551230001}', pct => 100), 'not removed: not added by wawp (managed_only)', 'stays');
SELECT is(planned('{15551230001}', false, 100), ARRAY['add 15551230001@c.us', 'remove 15550000002@c.us'], 'unless anybody may be removed');
SELECT count(we_added('15550000002@c.us')) \gset
SELECT is(planned('{15551230001}', pct => 50), ARRAY['add 15551230001@c.us', 'remove 15550000002@c.us'], 'whom we added');
SELECT is(why('15550000002@c.us', '{15551230001}', pct => 50), 'in the group, and not wanted', 'the reason');
SELECT is(planned('{15551230001}', pct => 49), ARRAY['add 15551230001@c.us', '- 15550000002@c.us'], 'one of two is more than 49 %');
SELECT is(why('15550000002@c.us', '{15551230001}', pct => 49), 'not removed: 1 of 2 members would go, more than max_remove_pct (49)', 'says so');
SELECT is(planned('{}', pct => 99), ARRAY['- 15550000002@c.us'], 'an empty array removes nobody');
SELECT is(planned('{}', pct => 100), ARRAY['remove 15550000002@c.us'], 'but with max_remove_pct = 100');
SELECT is(planned('{Ana}', pct => 100), ARRAY['- Ana', '- 15550000002@c.us'], 'one that names nobody is not empty');
UPDATE wawp.group_settings SET managed = false;
SELECT is(why('15550000002@c.us', '{15551230001}', pct => 100), 'not removed: managed is false in wawp.group_settings', 'a group that is not managed');
SELECT is(planned('{15551230001}', false, 100), ARRAY['add 15551230001@c.us', '- 15550000002@c.us'], 'also where anybody may be removed');
DELETE FROM wawp.group_settings;
UPDATE wawp.membership SET left_at = now();
SELECT is(planned('{15551230001}', pct => 100), ARRAY['add 15551230001@c.us', '- 15550000002@c.us'], 'who left and came back by themselves');
UPDATE wawp.membership SET left_at = NULL;
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"members":{"15550000002":{"role":"admin"}}}}}' >/dev/null
SELECT is(why('15550000002@c.us', '{15551230001}', false, 100), 'not removed: an admin of the group', 'an admin');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"members":{"15550000002":{"role":"member"}}}}}' >/dev/null

-- ---- lists by privacy id

SELECT is(planned('{15550000002}', false, 100, '120363012345678905'), '{}', 'a member by privacy id');
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger WHERE path LIKE '%/lids/pn/%'), 1, 'whose privacy id is asked for');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"people":{"15551230062":{"lid_known":false}}}' >/dev/null
SELECT is(planned('{15551230062}', false, 100, '120363012345678905'), ARRAY['add 15551230062@c.us', '- ' || substring(p FROM 3)], 'who may be wanted stays')
FROM unnest(planned('{}', true, 100, '120363012345678905')) p;
SELECT is(why('15551230062@c.us', '{15551230062}', false, 100, '120363012345678905'), 'not known whether they are in the group: the list has people by privacy id only', 'and an addition tells');
SELECT is(planned('{15550000002,15551230061}', false, 100, '120363012345678906'), ARRAY['add 15551230061@c.us'], 'a list by privacy id, with the phone');

-- ---- lists that prove nothing

\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"unread":1}}}' >/dev/null
SELECT is(planned('{15551230001}', false, 100), ARRAY['-', 'add 15551230001@c.us', '- 15550000002@c.us'], 'an entry that is not understood');
SELECT is(why(NULL, '{15550000002}'), 'nobody is removed: the list has 1 entry that is not understood', 'is said, also where nobody would go');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"unread":0,"hide_us":true}}}' >/dev/null
SELECT matches(why('15550000002@c.us', '{15551230001}', false, 100), '^not removed: the list has 1 of 2 members', 'a list without us');
\! test/simulator/ctl $WAWP_SIM_PORT world '{"groups":{"120363012345678901@g.us":{"hide_us":false}}}' >/dev/null
SELECT is(planned('{15551230001}', false, 100, '120363012345678902'), ARRAY['- 15551230001@c.us', '- 15559990001@c.us', '- 15550000002@c.us'], 'a group in which we are a plain member');
SELECT is(why('15551230001@c.us', '{15551230001}', false, 100, '120363012345678902'), 'not added: the account is not an admin of the group', 'says so');
SELECT is(planned('{15551230001,Ana}', false, 100, '120363099999999999'), ARRAY['-', '- Ana'], 'a group that is not there');
SELECT matches(why(NULL, '{15551230001}', false, 100, '120363099999999999'), '^the member list could not be read: .*\(group_not_found\)$', 'says so');
SELECT matches(why(NULL, '{15551230001}', instance => 'closed'), '^the member list could not be read: .*\(unreachable\)$', 'an API that cannot be reached');
SELECT matches(why(NULL, '{15551230001}', instance => 'stopped'), '^the member list could not be read: .*\(session_down\)$', 'a session that is stopped');
\! test/simulator/ctl $WAWP_SIM_PORT rule '{"match":{"path":"/participants$"},"times":1,"answer":{"json":{"ok":true}}}' >/dev/null
SELECT is(why(NULL, '{15551230001}'), 'the member list could not be read: the answer is not understood', 'an answer that is no list');

-- ---- apply

SELECT is(planned('{15551230001,15551230009,Ana}', pct => 50, mode => 'apply'), ARRAY['add 15551230001@c.us', '- 15551230009@c.us', '- Ana', 'remove 15550000002@c.us'], 'a plan is applied');
SELECT is(rows_of('SELECT action, jid, instance, reason, origin, state, requested_by = CURRENT_USER FROM wawp.membership_intent ORDER BY id'),
    ARRAY['(add,15551230001@c.us,support,test,function,queued,t)', '(remove,15550000002@c.us,support,test,function,queued,t)'], 'its changes are queued');
SELECT is((SELECT count(DISTINCT batch_id)::int FROM wawp.membership_intent), 1, 'in one batch');
SELECT is(planned('{15551230001}', pct => 50, mode => 'apply'), ARRAY['add 15551230001@c.us', 'remove 15550000002@c.us'], 'once more');
SELECT is((SELECT count(*)::int FROM wawp.membership_intent), 2, 'queues nothing more');
SELECT is(why('15551230001@c.us', '{15551230001}', pct => 50, mode => 'apply'),
    (SELECT format('not in the group; queued already as intent %s of batch %s', id, batch_id) FROM wawp.membership_intent WHERE action = 'add'), 'and says so');
SELECT is(why('15551230001@c.us', '{15551230001}'), (SELECT format('not in the group; intent %s is queued already', id) FROM wawp.membership_intent WHERE action = 'add'), 'so does a plan');
SELECT is(planned('{15550000002}'), ARRAY['add 15550000002@c.us', 'remove 15551230001@c.us'], 'wishes that are not wanted any more are taken back');
SELECT is(why(person, '{15550000002}'), (SELECT format(text, id) FROM wawp.membership_intent WHERE action::text = asked), 'because of what is queued')
FROM (VALUES ('15550000002@c.us', 'remove', 'wanted again; intent %s to remove them is queued'),
    ('15551230001@c.us', 'add', 'not wanted any more; intent %s to add them is queued')) v(person, asked, text);
SELECT is(planned('{15550000002}', pct => 0, mode => 'apply'), ARRAY['add 15550000002@c.us', 'remove 15551230001@c.us'], 'applied');
SELECT is(rows_of('SELECT action, jid, state FROM wawp.membership_intent ORDER BY id'),
    ARRAY['(add,15551230001@c.us,cancelled)', '(remove,15550000002@c.us,cancelled)', '(add,15550000002@c.us,queued)', '(remove,15551230001@c.us,queued)'],
    'the first ones are cancelled');
SELECT is(planned('{15550000002}'), '{}', 'and nothing more has to change');
SELECT is(planned('{}'), ARRAY['- 15550000002@c.us'], 'also where nobody is wanted');
DELETE FROM wawp.membership_intent;
SELECT is(planned('{15551230001,15551230004}', pct => 50, mode => 'apply'), ARRAY['add 15551230001@c.us', 'add 15551230004@c.us', 'remove 15550000002@c.us'], 'more people');
SELECT is((SELECT count(DISTINCT batch_id)::int FROM wawp.membership_intent), 1, 'are in one batch');
SAVEPOINT writable;
SET LOCAL transaction_read_only = on;
SELECT is(planned('{15551230001,15551230004}'), ARRAY['add 15551230001@c.us', 'add 15551230004@c.us', '- 15550000002@c.us'], 'a read-only transaction may plan');
SELECT raises($$SELECT wawp_sync_group('120363012345678901@g.us', '{}', mode => 'apply')$$, '25006', NULL, NULL, NULL, 'and not apply');
ROLLBACK TO writable;
DELETE FROM wawp.membership_intent;

-- ---- many groups

CREATE TABLE "en rol" ("Group" varchar, "from" text);
INSERT INTO "en rol" VALUES (:support, '15550000002'), (:support, '15551230001'), ('120363012345678904@G.US ', NULL), ('course', '15551230002'),
    (NULL, '15551230003'), (NULL, '15551230004'), ('120363099999999999@g.us', '15551230005'), ('120363012345678905@g.us', '15550000002'), (:support, 'Ana');
SELECT is(rows_of($$SELECT group_jid, jid, action, CASE WHEN jid IS NULL THEN left(why, 40) END FROM wawp_sync_groups('"en rol"', 'Group', 'from') WHERE why !~ 'managed_only'$$),
    ARRAY['(120363012345678901@g.us,15551230001@c.us,add,)', '(120363012345678901@g.us,Ana,,)',
        '(120363099999999999@g.us,,,"the member list could not be read: Group")',
        '(course,,,"a group is ""<digits>@g.us"" or ""<digits>-")', '(,,,"the group is null")'], 'each group by itself');
SELECT is((SELECT count(DISTINCT group_jid)::int FROM wawp_sync_groups('"en rol"', 'Group', 'from', mode => 'apply', reason => 'nightly')), 4, 'applied');
SELECT is(rows_of('SELECT group_jid, jid, action, reason FROM wawp.membership_intent ORDER BY id'),
    ARRAY['(120363012345678901@g.us,15551230001@c.us,add,nightly)'], 'what is queued');
SELECT is((SELECT min(why) FROM wawp_sync_groups('"en rol"', 'Group', 'from', mode => 'apply') WHERE jid = '15551230001@c.us'),
    (SELECT format('not in the group; queued already as intent %s of batch %s', id, batch_id) FROM wawp.membership_intent WHERE jid = '15551230001@c.us'), 'a rerun finds it');

DELETE FROM wawp.membership_intent;

-- names that ask for something else
CREATE SCHEMA "evil""; DROP TABLE x; --";
CREATE TABLE "evil""; DROP TABLE x; --"."t""'; SELECT 1" ("g"" FROM x; --" text, "j'" text);
INSERT INTO "evil""; DROP TABLE x; --"."t""'; SELECT 1" VALUES (:support, '15550000002'), (:support, '15551230007');
SELECT is(rows_of($$SELECT jid, action FROM wawp_sync_groups('"evil""; DROP TABLE x; --"."t""''; SELECT 1"', 'g" FROM x; --', 'j''')$$),
    ARRAY['(15551230007@c.us,add)'], 'quoted names');
CREATE TABLE course (g text, j text);
INSERT INTO course VALUES (:support, '15550000002');
CREATE FUNCTION extra(course) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
SELECT raises($$SELECT wawp_sync_groups('course', 'g', 'extra')$$, '42703', NULL, NULL, NULL, 'a function of the row is no column');
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.wawp_request_add(text, text[], name, text, batch_id text) RETURNS SETOF wawp.membership_intent LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE FUNCTION hostile.text_eq(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.text_eq);
CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (value = 'never');
CREATE DOMAIN hostile.name AS pg_catalog.text CHECK (value = 'never');
INSERT INTO course VALUES (:support, '15551230008');
SET LOCAL search_path = hostile, pg_catalog, public;
CREATE TEMP TABLE got AS SELECT jid, action FROM public.wawp_sync_groups('public.course', 'g', 'j', mode => 'apply');
RESET search_path;
SELECT is(rows_of('SELECT * FROM got'), ARRAY['(15551230008@c.us,add)'], 'a hostile search_path is not looked at');

SELECT * FROM finish();
ROLLBACK;
