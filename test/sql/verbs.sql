\set ECHO none
-- verbs: results of functions that change something, names of arguments, keys with a nullable group; all of it while every table
-- is published.  Nothing here is ever sent.
\i test/sql-include/setup.sql

SELECT plan(56);

SET LOCAL datestyle = 'ISO';
SELECT make_instance('support', 'ABC123', :'url');
\set g '120363012345678901@g.us'
-- What has neither a primary key nor REPLICA IDENTITY FULL could not be updated or deleted from now on.
SET LOCAL client_min_messages = error;
CREATE PUBLICATION regress_wawp_everything FOR ALL TABLES;
SET LOCAL client_min_messages = warning;

-- ---- pausing and resuming

SELECT is(wawp_pause('support', :'g', 'lunch'), true, 'wawp_pause: a group is held from now on');
SELECT is(wawp_pause('support', :'g', 'lunch'), false, 'false when it was paused for that reason already');
SELECT is(wawp_pause('support', :'g', 'tea'), true, 'true for another reason');
SELECT is(wawp_pause('support'), true, 'the instance is another matter');
SELECT is(wawp_pause('support'), false, 'which is paused once, too');
SELECT is(rows_of('SELECT instance, group_jid, reason, until FROM wawp.hold ORDER BY group_jid NULLS FIRST'),
    ARRAY['(support,,paused,)', '(support,120363012345678901@g.us,"paused: tea",)'], 'NULL is the whole instance');
SELECT is(rows_of($$SELECT kind, group_jid, reason FROM wawp.audit_note ORDER BY id$$),
    ARRAY['(held,120363012345678901@g.us,lunch)', '(held,120363012345678901@g.us,tea)', '(held,,)'],
    'what changed nothing is not in the audit log');
SELECT raises($$SELECT wawp_send_text('15551230001', 'Hello', 'support')$$, '53400', 'could not send the message: the instance is held', 'Reason: paused.', 'wawp_resume() %',
    'a paused instance sends no message either');
SELECT raises($$INSERT INTO wawp.hold (instance, reason, since) VALUES ('support', 'again', now())$$, '23505', NULL, NULL, NULL,
    'an instance has one hold');
SELECT is(wawp_resume('support', '120363099999999999@g.us'), false, 'wawp_resume: false when nothing was held');
SELECT is(wawp_resume('support'), true, 'true when something was');
SELECT is(wawp_resume('support'), false, 'once');
SELECT is(rows_of('SELECT group_jid FROM wawp.hold'), ARRAY['(120363012345678901@g.us)'], 'a group paused by hand stays so');
SELECT raises(format('SELECT wawp_send_text(%L, %L, %L)', :'g', 'Hello', 'support'), '53400', 'could not send the message: the group is held', 'Reason: paused: tea.', NULL,
    'and is sent no message');
UPDATE wawp.hold SET reason = 'not_admin', until = now() + interval '1 hour', failures = 3;
SELECT is(wawp_pause('support', :'g'), true, 'a pause takes the place of a hold that ends');
SELECT is(rows_of('SELECT reason, until, failures FROM wawp.hold'), ARRAY['(paused,,0)'], 'and does not end');
UPDATE wawp.hold SET reason = 'not_admin', until = now() + interval '1 hour';
SELECT is(wawp_resume('support'), true, 'with an instance go its groups that nobody paused');
SELECT is(rows_of('SELECT FROM wawp.hold'), '{}', 'all of them');

-- ---- opting out

SELECT is(wawp_suppress('15551230001', :'g', 'no'), true, 'wawp_suppress: from now on');
SELECT is(wawp_suppress('+1 555 123 0001', :'g', 'no'), false, 'false when that was so already');
SELECT is(wawp_suppress('15551230001', :'g', 'no', '2199-01-01'), true, 'true with another end');
SELECT is(wawp_suppress('15551230001', :'g', 'never', '2199-01-01'), true, 'or reason');
SELECT is(wawp_suppress('15551230001'), true, 'all groups are another matter');
SELECT is(wawp_suppress('15551230001'), false, 'which is kept once, too');
SELECT is(rows_of('SELECT jid, group_jid, reason, until FROM wawp.suppression ORDER BY group_jid NULLS FIRST'),
    ARRAY['(15551230001@c.us,,"asked for",)', '(15551230001@c.us,120363012345678901@g.us,never,"2199-01-01 00:00:00+00")'],
    'NULL is all groups');
SELECT lives_ok($$INSERT INTO wawp.suppression (jid, reason) VALUES ('15551230001@c.us', 'import')
    ON CONFLICT (jid, group_jid) DO UPDATE SET reason = excluded.reason$$, 'its key can be named');
SELECT is(rows_of('SELECT reason FROM wawp.suppression WHERE group_jid IS NULL'), ARRAY['(import)'], 'and is found');
SELECT is(wawp_unsuppress('15551230001'), true, 'wawp_unsuppress: true when there was one');
SELECT is(wawp_unsuppress('15551230001'), false, 'once');
SELECT is(wawp_unsuppress('15551230001', :'g'), true, 'the group''s is another');
SELECT is(rows_of('SELECT FROM wawp.suppression'), '{}', 'none is left');
INSERT INTO wawp.suppression (jid, group_jid, reason) VALUES (' +1 (555) 123-0001', ' ' || upper(:'g'), 'from a list'), ('0612345678', NULL, 'from a list');
SELECT is(rows_of('SELECT jid, group_jid FROM wawp.suppression ORDER BY group_jid'), ARRAY['(15551230001@c.us,120363012345678901@g.us)', '(0612345678,)'],
    'rows are brought into normal form, but for what has none');
INSERT INTO wawp.group_settings (instance, group_jid, managed) VALUES ('support', '120363000000000009@g.us', false);
UPDATE wawp.group_settings SET group_jid = upper(:'g') || ' ';
SELECT is(rows_of('SELECT group_jid FROM wawp.group_settings'), ARRAY['(120363012345678901@g.us)'], 'so are groups, also by UPDATE');
DELETE FROM wawp.suppression;
DELETE FROM wawp.group_settings;
SELECT is(rows_of($$SELECT kind, instance, group_jid, jid, intent_id, reason FROM wawp.audit_note WHERE jid IS NOT NULL ORDER BY id$$),
    ARRAY['(policy,,120363012345678901@g.us,15551230001@c.us,,"suppressed: no")', '(policy,,120363012345678901@g.us,15551230001@c.us,,"suppressed: no")',
        '(policy,,120363012345678901@g.us,15551230001@c.us,,"suppressed: never")', '(policy,,,15551230001@c.us,,"suppressed: asked for")',
        '(policy,,,15551230001@c.us,,unsuppressed)', '(policy,,120363012345678901@g.us,15551230001@c.us,,unsuppressed)'],
    'each change of the opt-out list is recorded');
SELECT is(rows_of('SELECT role, requested_from ->> ''login'' FROM wawp.audit_note WHERE jid IS NOT NULL GROUP BY 1, 2'),
    ARRAY[format('(%s,%s)', current_user, session_user)], 'with who made it');

-- ---- who wrote to us

SELECT is(wawp_note_contact('15551230002', '2026-01-02'), true, 'wawp_note_contact: true for the first time');
SELECT is(wawp_note_contact('15551230002', '2026-01-02'), false, 'false for the same time');
SELECT is(wawp_note_contact('15551230002', '2026-01-01'), false, 'or an earlier one');
SELECT is(wawp_note_contact('15551230002'), true, 'true for a later one');

-- ---- swaps take what wawp_request_add takes

SELECT id AS first FROM wawp_request_add(:'g', ARRAY['15551230009']) \gset
SELECT is(rows_of(format($$SELECT jid, created, problem, batch_id FROM wawp_request_swap(%L, '15551230003', '15551230004', 'support', 'shift',
        priority => 70000, not_before => '2199-01-01', expires_at => '2199-01-02', until => '2199-02-01', verify => false, invite => false,
        context => '{"k": 1}', batch_id => 'swap', after => %s)$$, :'g', :first)),
    ARRAY['(15551230004@c.us,t,,swap)', '(15551230003@c.us,t,,swap)'], 'a swap, with all arguments');
SELECT is(rows_of($$SELECT jid, action, reason, priority, not_before, expires_at, until, verify, context, batch_id FROM wawp.membership_intent
        WHERE batch_id = 'swap' ORDER BY id$$),
    ARRAY['(15551230004@c.us,add,shift,70000,"2199-01-01 00:00:00+00","2199-01-02 00:00:00+00","2199-02-01 00:00:00+00",f,"{""k"": 1}",swap)',
        '(15551230003@c.us,remove,shift,70000,"2199-01-01 00:00:00+00","2199-01-02 00:00:00+00",,f,"{""k"": 1}",swap)'],
    'reach both, until the newcomer only');
SELECT is((SELECT i.invite FROM wawp.membership_intent i WHERE batch_id = 'swap' AND action = 'add'), false, 'the newcomer is not invited');
SELECT is((SELECT array_agg(i.after ORDER BY id) FROM wawp.membership_intent i WHERE batch_id = 'swap'),
    ARRAY[:first, (SELECT min(id) FROM wawp.membership_intent WHERE batch_id = 'swap')],
    'the newcomer after what was named, the leaver after the newcomer');
SELECT is(rows_of(format($$SELECT jid, created, problem FROM wawp_request_swap(%L, '15551230017', '+1 555 123 0017', batch_id => 'same')$$, :'g')),
    ARRAY['(15551230017@c.us,t,)', '(15551230017,f,"the newcomer is the same person")'], 'a swap of one person for the same does not undo itself');
SELECT is((SELECT array_agg(state || ' ' || action) FROM wawp.membership_intent WHERE batch_id = 'same'), ARRAY['queued add'], '... and adds');
SELECT raises(format($$SELECT wawp_request_swap(%L, '15551230005', '15551230006', after => -1)$$, :'g'), '22023',
    'there is no intent -1 to wait for', NULL, NULL, 'what a swap waits for must be there');
SELECT is(rows_of($$SELECT FROM wawp.membership_intent WHERE jid IN ('15551230005@c.us', '15551230006@c.us')$$), '{}', 'or nothing is asked for');

-- ---- priorities

SELECT count(*) AS asked FROM wawp_request_add(:'g', ARRAY['15551230007'], priority => -2147483648) \gset
SELECT is(rows_of($$SELECT priority FROM wawp.membership_intent WHERE jid = '15551230007@c.us'$$), ARRAY['(-2147483648)'], 'any int is a priority');
INSERT INTO wawp.membership_intent (group_jid, jid, priority) VALUES (:'g', '15551230008', 2147483647);
SELECT is(rows_of($$SELECT priority FROM wawp.membership_intent WHERE jid = '15551230008@c.us'$$), ARRAY['(2147483647)'], 'of a row, too');

-- ---- batches by name

SELECT is(wawp_cancel_batch(batch_id => 'swap'), 2::bigint, 'wawp_cancel_batch(batch_id)');
SELECT is(rows_of($$SELECT * FROM wawp_wait(batch_id => 'swap', timeout => '1 s')$$), ARRAY['(0,0,0,2)'], 'wawp_wait(batch_id, timeout)');
SELECT raises('SELECT wawp_wait(NULL)', '22023', 'argument "batch_id" must not be null', NULL, NULL, 'which must be given');

-- ---- explanations are to the second, and not too early

SELECT id FROM wawp_request_add(:'g', ARRAY['15551230010'], not_before => '2199-01-01 00:00:00.000001') \gset
SELECT is(wawp_explain(:id), 'queued: not_before says 2199-01-01 00:00:01+00', 'a fraction is rounded up');
SELECT id FROM wawp_request_add(:'g', ARRAY['15551230011'], not_before => '2199-01-01') \gset
SELECT is(wawp_explain(:id), 'queued: not_before says 2199-01-01 00:00:00+00', 'a whole second stays');
SELECT id FROM wawp_request_add(:'g', ARRAY['15551230012'], not_before => 'infinity') \gset
SELECT is(wawp_explain(:id), 'queued: not_before says infinity', 'never, too');
SELECT doesnt_match(wawp_explain(:first), '[0-9]\.[0-9]', 'nor does the pace tell of microseconds');

SELECT * FROM finish();
ROLLBACK;
