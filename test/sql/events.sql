\set ECHO none
-- events: what wawp_webhook() answers and stores, for whatever is handed in.  No worker sees any of it.
\i test/sql-include/setup.sql

SELECT plan(65);

SELECT make_instance('support', 'ABC123', :'url');

-- ---- set-up

SELECT raises($$SELECT wawp_webhook('{}', 'x', 'support')$$, '42704', 'there is no webhook secret for Wawp instance "support"',
    'Neither the user mapping of role % nor PUBLIC''s has one.', 'ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret %', 'no secret: nobody is let in');
ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret 'wawp-test-secret');
SELECT raises($$SELECT wawp_webhook(NULL, 'x', 'support')$$, '22023', 'argument "payload" must not be null', NULL, NULL, 'no payload');
SELECT raises($$SELECT wawp_webhook('{}', 'x', 'nowhere')$$, '42704', 'Wawp instance "nowhere" does not exist', NULL, NULL, 'no such instance');
SELECT make_instance('sales', 'DEF456', :'url');
SELECT raises($$SELECT wawp_webhook('{}', 'x')$$, '22023', 'several Wawp instances could be meant', 'There are %, %.', 'Name one %', 'which instance?');

-- The right signature of a body, by pgTAP's neighbour in the server: HMAC in SQL.
CREATE FUNCTION hmac(key text, body text, digest text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    block int := CASE digest WHEN 'sha256' THEN 64 ELSE 128 END;
    k bytea := convert_to(key, 'UTF8');
    ipad bytea := '';
    opad bytea := '';
    inner_hash bytea;
BEGIN
    k := k || decode(repeat('00', block - length(k)), 'hex');
    FOR i IN 0 .. block - 1 LOOP
        ipad := ipad || decode(lpad(to_hex(get_byte(k, i) # 54), 2, '0'), 'hex');
        opad := opad || decode(lpad(to_hex(get_byte(k, i) # 92), 2, '0'), 'hex');
    END LOOP;
    IF digest = 'sha256' THEN
        RETURN encode(sha256(opad || sha256(ipad || convert_to(body, 'UTF8'))), 'hex');
    END IF;
    RETURN encode(sha512(opad || sha512(ipad || convert_to(body, 'UTF8'))), 'hex');
END $$;
CREATE FUNCTION hand_in(body text, digest text DEFAULT 'sha512', instance name DEFAULT 'support') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', status, retry_after, detail) FROM wawp_webhook(body, hmac('wawp-test-secret', body, digest), instance) $$;

-- ---- signatures

\set body '{"id":"evt_test0001","event":"group.v2.participants","session":"t1"}'
SELECT is(rows_of(format($$SELECT * FROM wawp_webhook(%L, '767c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987bd', 'support')$$, :'body')),
    ARRAY['(200,,stored)'], 'HMAC-SHA256');
SELECT is(rows_of(format($$SELECT * FROM wawp_webhook(%L, '54cc709cbd8a954575f07309baa6ca3337a05a8376198b1e91eb845f534b2a7c26ffbdc3b3729354beb9e29b358c33ebcbb0f3fae2d5cdf9c956a513b13c54ac', 'support')$$, :'body')),
    ARRAY['(200,,"stored before")'], 'HMAC-SHA512, of the same event');
SELECT is(rows_of(format($$SELECT * FROM wawp_webhook(%L, '54CC709CBD8A954575F07309BAA6CA3337A05A8376198B1E91EB845F534B2A7C26FFBDC3B3729354BEB9E29B358C33EBCBB0F3FAE2D5CDF9C956A513B13C54AC', 'support')$$, :'body')),
    ARRAY['(200,,"stored before")'], 'in capitals');
SELECT is(rows_of('SELECT instance, event, id, instance_id, body, tries, applied_at, detail FROM wawp.webhook_event'),
    ARRAY['(support,group.v2.participants,evt_test0001,ABC123,"{""id"":""evt_test0001"",""event"":""group.v2.participants"",""session"":""t1""}",0,,)'], 'stored once, as it came');
SELECT is(home, wawp._home(), 'for this database to apply') FROM wawp.webhook_event;

SELECT is((SELECT concat_ws(' ', status, retry_after, detail) FROM wawp_webhook(:'body', signature, 'support')), answer, what)
FROM (VALUES
    (NULL, '401 it has no signature', 'no signature'),
    ('', '401 it has no signature', 'an empty one'),
    ('767c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987be', '401 the signature is wrong', 'a wrong one'),
    ('867c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987bd', '401 the signature is wrong', 'one that differs at its beginning'),
    ('767c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987b', '401 the signature is neither HMAC-SHA256 nor HMAC-SHA512 in hexadecimal', 'one that is too short'),
    ('g67c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987bd', '401 the signature is neither HMAC-SHA256 nor HMAC-SHA512 in hexadecimal', 'no hexadecimal'),
    ('sha256=767c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987bd', '401 the signature is neither HMAC-SHA256 nor HMAC-SHA512 in hexadecimal', 'of a form that nobody knows'),
    ('54cc709cbd8a954575f07309baa6ca3337a05a8376198b1e91eb845f534b2a7c', '401 the signature is wrong', 'half of the other')
) s(signature, answer, what);
SELECT is((SELECT status FROM wawp_webhook(:'body' || ' ', '767c1784b8903aae537c29883372bc285965c96d09d5ae021f7cee34e6c987bd', 'support')), 401, 'one byte more is another body');

-- ---- refusals are counted, and recorded once

SELECT is(rows_of('SELECT count(*) FROM wawp.webhook_event'), ARRAY['(1)'], 'nothing of that is stored');
SELECT is(rows_of('SELECT instance, slot BETWEEN 0 AND 1023, bytes, reason, refused, bodies, last_at >= first_at FROM wawp.webhook_refusal ORDER BY refused'),
    ARRAY['(support,t,69,"the signature is wrong",1,1,t)', '(support,t,68,"the signature is wrong",8,1,t)'], 'a row for each body, with how often it came');
SELECT is(body_hash, sha256(convert_to(:'body', 'UTF8')), 'by its SHA-256') FROM wawp.webhook_refusal WHERE refused = 8;
SELECT is(rows_of($$SELECT kind, instance, reason FROM wawp.audit_note ORDER BY id$$),
    ARRAY['(webhook,support,"an event was refused: it has no signature; wawp.webhook_refusal counts such events")',
        '(webhook,support,"an event was refused: the signature is wrong; wawp.webhook_refusal counts such events")'], 'and one note for the audit log');
SELECT count(*) FROM generate_series(1, 3000) n, wawp_webhook('flood ' || n, repeat('0', 64), 'support') w WHERE w.status <> 401 \gset flood_
SELECT is(:flood_count, 0, 'a flood is refused');
SELECT is((SELECT count(*) <= 1024 AND sum(refused) = 3009 FROM wawp.webhook_refusal), true, 'and fills 1,024 rows');
SELECT is((SELECT count(*) FROM wawp.audit_note), 32::bigint, 'and 32 records');

-- ---- whatever is signed is accepted

SELECT is(hand_in(body), answer, what)
FROM (VALUES
    ('{"id":"evt_2","event":"message","payload":{}}', '200 stored', 'a message'),
    ('{"id":"evt_2","event":"message.any","payload":{}}', '200 stored', 'the same id, another event'),
    ('{"id":"evt_2","event":"message","payload":{"more":1}}', '200 stored before', 'the same id and event'),
    ('{"id":"evt_3","event":"nobody.knows"}', '200 stored', 'an event that nobody knows'),
    ('{"event":"message","payload":{}}', '200 stored', 'no id'),
    ('{"event":"message","payload":{}}', '200 stored before', 'no id, the same body'),
    ('{"id":"' || repeat('x', 3000) || '","event":"message"}', '200 stored', 'a very long id'),
    ('{"id":"evt_\u00e9","event":"message"}', '200 stored', 'an id that is not plain'),
    ('{"id":"evt_4","event":"' || repeat('x', 3000) || '"}', '200 stored', 'a very long name'),
    ('{"id":"evt_5","event":"message","payload":{"body":"\u0000\ud83d STOP"}}', '200 stored', 'what jsonb refuses'),
    ('not JSON', '200 not understood: no JSON object with the name of an event', 'no JSON'),
    ('not JSON', '200 stored before', 'no JSON, again'),
    ('[]', '200 not understood: no JSON object with the name of an event', 'no object'),
    ('{"id":"evt_6"}', '200 not understood: no JSON object with the name of an event', 'no name'),
    ('', '200 not understood: no JSON object with the name of an event', 'nothing at all'),
    ('{"id":"evt_7","event":"message","payload":{"body":"' || repeat('x', 2 * 1024 * 1024) || '"}}', '200 too large: 2097206 bytes, at most 2097152 are stored', 'too large')
) s(body, answer, what);
SELECT is(rows_of($$SELECT event, CASE WHEN id ~ '^[0-9a-f]{64}$' THEN 'a hash' ELSE id END, length(body), detail, applied_at IS NULL FROM wawp.webhook_event WHERE id <> 'evt_test0001'
                    ORDER BY event, length(id), id, length(body)$$),
    ARRAY['("",evt_4,3025,,t)', '("",evt_6,14,"not understood: no JSON object with the name of an event",f)',
        '("","a hash",0,"not understood: no JSON object with the name of an event",f)',
        '("","a hash",2,"not understood: no JSON object with the name of an event",f)',
        '("","a hash",8,"not understood: no JSON object with the name of an event",f)',
        '("","a hash",,"too large: 2097206 bytes, at most 2097152 are stored",f)', '(message,evt_2,45,,t)', '(message,evt_5,71,,t)',
        '(message,"a hash",32,,t)', '(message,"a hash",37,,t)', '(message,"a hash",3027,,t)', '(message.any,evt_2,49,,t)',
        '(nobody.knows,evt_3,37,,t)'], 'each has a row, by its id or its hash');
SELECT is(hand_in('{"id":"evt_8","event":"message","text":"ä€😀"}', 'sha256'), '200 stored', 'beyond ASCII, the signature is of UTF-8');
ALTER USER MAPPING FOR PUBLIC SERVER sales OPTIONS (ADD webhook_secret 'wawp-test-secret');
SELECT is(hand_in('{"id":"evt_8","event":"message"}', 'sha512', 'sales'), '200 stored', 'the same id and event of another instance is another event');
SELECT is(hand_in('{"id":"evt_deep","event":"message","payload":' || repeat('[', 200000) || repeat(']', 200000) || '}'),
    '200 not understood: no JSON object with the name of an event', 'nested too deeply to be read: no repetition makes that better');
SELECT is(hand_in(repeat('{"a":', 100000)), '200 not understood: no JSON object with the name of an event', 'nested, and cut off');
SELECT is(hand_in('{"id":"evt_twice","event":"message","id":"evt_again","event":"message.any"}'), '200 stored', 'names that come twice');
SELECT is((SELECT count(*) FROM wawp.webhook_event WHERE id IN ('evt_twice', 'evt_again')), 1::bigint, 'are one event');
SELECT is(hand_in(E'\uFEFF{"id":"evt_bom","event":"message"}'), '200 stored', 'a mark before it');
SELECT is(hand_in('{"id":7,"event":"message"}'), '200 stored', 'an id that is a number');

-- ---- rolled back, and not stored

SAVEPOINT before;
SELECT is(hand_in('{"id":"evt_9","event":"message"}'), '200 stored', 'stored');
ROLLBACK TO before;
SELECT is(hand_in('{"id":"evt_9","event":"message"}'), '200 stored', 'rolled back, it is new');
SET LOCAL transaction_read_only = on;
SELECT is(hand_in('{"id":"evt_10","event":"message"}'), '503 5 not stored: cannot execute INSERT in a read-only transaction', 'what cannot be stored is to be sent again later');
SELECT is((SELECT status FROM wawp_webhook('x', 'y', 'support')), 401, 'a refusal needs no record');
ROLLBACK TO before;
ALTER TABLE wawp.webhook_event ADD CONSTRAINT full_disk CHECK (id <> 'evt_11');
SELECT is(hand_in('{"id":"evt_11","event":"message"}'), '503 5 not stored: new row for relation "webhook_event" violates check constraint "full_disk"', 'whatever the reason');
SELECT is(hand_in('{"id":"evt_12","event":"message"}'), '200 stored', 'the transaction goes on');
ROLLBACK TO before;

-- ---- privileges

CREATE ROLE regress_wawp_receiver;
GRANT USAGE ON SCHEMA public TO regress_wawp_receiver;
SET ROLE regress_wawp_receiver;
SELECT raises($$SELECT wawp_webhook('{}', 'x', 'support')$$, '42501', 'permission denied for function wawp_webhook', NULL, NULL, 'not for everybody');
RESET ROLE;
GRANT EXECUTE ON FUNCTION wawp_webhook(text, text, name) TO regress_wawp_receiver;
SELECT hmac('wawp-test-secret', '{"id":"evt_13","event":"message"}', 'sha512') AS signature \gset
SET ROLE regress_wawp_receiver;
SELECT is((SELECT status FROM wawp_webhook('{"id":"evt_13","event":"message"}', :'signature', 'support')), 200, 'a role that may needs no more');
SELECT raises($$SELECT wawp_send_text('15551230001', 'Hello', 'support')$$, '42501', NULL, NULL, NULL, 'and can do nothing else with the instance');
SELECT raises('SELECT body FROM wawp.webhook_event', '42501', NULL, NULL, NULL, 'nor read events');
SELECT raises('SELECT 1 FROM wawp.webhook_refusal', '42501', NULL, NULL, NULL, 'or refusals');
SELECT raises('SELECT 1 FROM wawp.opt_out_word', '42501', NULL, NULL, NULL, 'or the words of opting out');
RESET ROLE;
CREATE USER MAPPING FOR regress_wawp_receiver SERVER support OPTIONS (webhook_secret 'its own');
SET ROLE regress_wawp_receiver;
SELECT is((SELECT status FROM wawp_webhook('{"id":"evt_13","event":"message"}', :'signature', 'support')), 200, 'a secret of its own does not replace PUBLIC''s');
RESET ROLE;
ALTER USER MAPPING FOR regress_wawp_receiver SERVER support OPTIONS (DROP webhook_secret, ADD access_token 'x');
SET ROLE regress_wawp_receiver;
SELECT is((SELECT status FROM wawp_webhook('{"id":"evt_13","event":"message"}', :'signature', 'support')), 200, 'a mapping without one does not hide PUBLIC''s');
RESET ROLE;

SELECT is(rows_of('SELECT word, built_in FROM wawp.opt_out_word ORDER BY 1'), ARRAY['("opt out",t)', '(stop,t)', '("stop all",t)', '(unsubscribe,t)'], 'words by which people opt out');

SELECT * FROM finish();
ROLLBACK;
