\set ECHO none
-- classify: how answers are read, in every form that Wawp or an engine under it gives them.
-- Each form of answer has a letter; no simulator is asked.
\i test/sql-include/setup.sql

-- "jid outcome code" for each row
CREATE FUNCTION reading(operation text, http_status int, body text) RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', coalesce(jid, '-'), outcome, coalesce(code::text, '-')), ', ' ORDER BY ordinality)
    FROM wawp_classify(operation, http_status, body) WITH ORDINALITY
$$;

CREATE TEMP TABLE answer (
    id serial,
    operation text,
    http_status int,
    body text,
    reading text,
    about text,
    detail text         -- LIKE pattern for the first row's; NULL: not looked at
);

-- ---- A: success that says nothing about anybody

INSERT INTO answer (operation, http_status, body, reading, about)
SELECT operation, 200, '{"ok":true}', '- accepted 200', 'A: a bare ok to ' || operation
FROM unnest(ARRAY['add', 'remove', 'promote', 'demote', 'send']) operation;

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('add', 201, '{"ok":true}', '- accepted 201', 'A: under 201'),
    ('add', 200, '{"success":true,"message":"Participants added"}', '- accepted 200', 'A: success'),
    ('send', 200, '{"success":true,"message":"Sent. Within quota (white plan)"}', '- accepted 200', 'A: a quota that is not used up'),
    ('add', 200, '{"value":true}', '- accepted 200', 'A: value'),
    ('add', 200, 'true', '- accepted 200', 'A: a bare true'),
    ('add', 200, '"success"', '- accepted 200', 'A: a bare word'),
    ('remove', 201, '{"status":200}', '- accepted 201', 'A: status 200'),
    ('add', 200, '{"status":"success"}', '- accepted 200', 'A: status success'),
    ('add', 200, '{"ok":true,"result":[]}', '- accepted 200', 'A: an empty list beside it'),
    ('send', 201, '{"id":"3EB0AA","_data":{"Info":{"ID":"3EB0AA","IsFromMe":true}}}', '- accepted 201', 'a message of GOWS'),
    ('send', 201, '{"id":{"fromMe":true,"id":"3EB0AA","_serialized":"true_15551234567@c.us_3EB0AA"},"ack":0}', '- accepted 201', 'a message of WEBJS'),
    ('send', 201, '{"key":{"remoteJid":"15551234567@s.whatsapp.net","fromMe":true,"id":"3EB0AA"},"status":"PENDING"}', '- accepted 201', 'a message of NOWEB'),
    ('send', 200, '{"result":true,"message_id":"3EB0AA"}', '- accepted 200', 'a message by message_id'),
    ('send', 200, '{"code":"SUCCESS","message":"Message sent","results":{"message_id":"3EB0AA","status":"sent"}}', '- accepted 200', 'a message of GOWA'),
    ('send', 201, '{"data":{"key":{"id":"3EB0AA"}}}', '- accepted 201', 'a message of NOWEB in an envelope'),
    ('send', 200, '{"messages":[{"id":"wamid.AA"}]}', '- accepted 200', 'a message in a list'),
    ('add', 200, '{"code":"SUCCESS","message":"Success add participant","results":null}', '- accepted 200', 'A: GOWA''s word'),
    ('add', 200, '{"code":200,"message":"ok"}', '- accepted 200', 'A: code 200'),
    ('send', 200, '{"error":{"code":463}}', '- account_restricted 200', 'WhatsApp''s number as the code of an error'),
    ('send', 200, '{"sent":true,"upstream_status":201}', '- accepted 200', 'a message without an id');

-- ---- what a person's number means depends on what was asked; read in shape B

INSERT INTO answer (operation, http_status, body, reading, about)
SELECT operation, 200, format('{"15551234567@c.us":{"code":%s,"message":"","isInviteV4Sent":false}}', code),
    format('15551234567@c.us %s %s', outcome, code), format('person''s %s to %s', code, operation)
FROM (VALUES
    ('add', 200, 'added'), ('add', 400, 'unrecognised'), ('add', 401, 'blocked_by_user'),
    ('add', 403, 'privacy_blocked'), ('add', 404, 'not_on_whatsapp'), ('add', 405, 'removed_by_admin'),
    ('add', 406, 'community_restricted'), ('add', 408, 'recently_left'), ('add', 409, 'already_member'),
    ('add', 412, 'group_full'), ('add', 416, 'group_locked'), ('add', 417, 'community_restricted'),
    ('add', 419, 'group_full'), ('add', 421, 'pending_approval'), ('add', 423, 'group_locked'),
    ('add', 429, 'rate_limited'), ('add', 451, 'legal_restricted'), ('add', 463, 'account_restricted'),
    ('add', 500, 'server_error'), ('add', 530, 'server_error'), ('add', 999, 'unrecognised'),
    ('remove', 200, 'removed'), ('remove', 404, 'not_member'), ('remove', 429, 'rate_limited'),
    ('remove', 500, 'server_error'), ('remove', 999, 'unrecognised'),
    ('promote', 200, 'promoted'), ('promote', 404, 'not_member'), ('promote', 419, 'group_full'),
    ('demote', 200, 'demoted'), ('demote', 404, 'not_member'),
    -- what keeps somebody from being added says nothing about a removal
    ('remove', 403, 'unrecognised'), ('remove', 408, 'unrecognised'), ('demote', 406, 'unrecognised'),
    ('promote', 421, 'unrecognised')
) c(operation, code, outcome);

-- ---- B to I: who is named and how

INSERT INTO answer (operation, http_status, body, reading, about, detail) VALUES
    ('add', 201, '{"15551230001@c.us":{"code":200,"message":"The participant was added successfully","isInviteV4Sent":false},'
        '"15551230403@c.us":{"code":403,"message":"The participant can be added by sending private invitation only","isInviteV4Sent":false},'
        '"15551230409@c.us":{"code":409,"message":"The participant is already a group member","isInviteV4Sent":false}}',
     '15551230001@c.us added 200, 15551230403@c.us privacy_blocked 403, 15551230409@c.us already_member 409',
     'B: a map by person', 'The participant was added successfully'),
    ('add', 201, '{"15551230403@c.us":{"code":403,"message":"By private invitation only","isInviteV4Sent":true}}',
     '15551230403@c.us privacy_blocked 403', 'B: the engine''s own invitation is told of', 'By private invitation only; %invitation card%'),
    ('add', 201, '{"15551230403@c.us":{"code":"403"}}', '15551230403@c.us privacy_blocked 403', 'B: a number as a string', NULL),
    ('add', 201, '{"15551230001@c.us":{"statusCode":200,"isGroupCreator":false,"isInviteV4Sent":false}}',
     '15551230001@c.us added 200', 'B: statusCode', NULL),
    ('add', 201, '{"15551230400@c.us":{"code":400,"message":"An unknown error occurred"},"15551230001@c.us":{"code":200},"15551230410@c.us":{"code":400}}',
     '15551230400@c.us unrecognised 400, 15551230001@c.us added 200, 15551230410@c.us rate_limited 400',
     'B: 400 is anything, after a success it is the rate limit', NULL),
    ('add', 201, '{"15551230001@c.us":{}}', '- unknown_result 201', 'B: an entry that says nothing', NULL),
    ('add', 201, '{"15551230001@c.us":{"code":99999999999}}', '- unknown_result 201', 'B: a number that is none', NULL),
    ('add', 201, 'AddParticipantsError: You have no admin rights to add a participant to a group',
     '- not_admin 201', 'C: a plain string', 'AddParticipantsError: You have no admin rights%'),
    ('add', 201, '"AddParticipantsError: You have no admin rights to add a participant to a group"',
     '- not_admin 201', 'C: a JSON string', 'AddParticipantsError: You have no admin rights%'),
    ('add', 201, 'AddParticipantsError: The participant can''t be added to an empty group',
     '- unrecognised 201', 'C: a refusal that nobody knows', 'AddParticipantsError: The participant can''t be added%'),
    ('add', 201, '[{"status":"200","jid":"15551230001@s.whatsapp.net","content":{"tag":"participant","attrs":{}}},'
        '{"status":"403","jid":"15551230403@s.whatsapp.net","content":{"tag":"participant","attrs":{"error":"403"},'
        '"content":[{"tag":"add_request","attrs":{"code":"Xy7","expiration":"1775800000"}}]}}]',
     '15551230001@c.us added 200, 15551230403@c.us privacy_blocked 403', 'D: an array with numbers as strings', NULL),
    ('add', 201, '{"updateParticipants":[{"status":"408","jid":"15551230408@s.whatsapp.net","content":{}}]}',
     '15551230408@c.us recently_left 408', 'D: the array in updateParticipants', NULL),
    ('add', 201, '[{"status":"403","jid":"15551230463@s.whatsapp.net","content":{"attrs":{"error":"403","addressable":"false"}}}]',
     '15551230463@c.us privacy_blocked 403', 'D: not addressable', '%cannot be messaged%'),
    ('add', 201, '[{"status":"421","jid":"15551230421@s.whatsapp.net","content":{"content":[{"tag":"membership_approval_request","attrs":{"error":"304"}}]}}]',
     '15551230421@c.us pending_approval 421', 'D: asked for approval before', NULL),
    ('add', 201, '[{"status":"421","jid":"15551230421@s.whatsapp.net","content":{"content":[{"tag":"membership_approval_request","attrs":{"error":"419"}}]}}]',
     '15551230421@c.us group_locked 421', 'D: too many wait for approval', '%join requests%'),
    ('remove', 201, '[{"status":"200","jid":"15551230001:3@s.whatsapp.net"},{"status":"404","jid":"15551230404@s.whatsapp.net"}]',
     '15551230001@c.us removed 200, 15551230404@c.us not_member 404', 'D: a removal, a JID with a device', NULL),
    ('add', 201, '[{"JID":"15551230001@s.whatsapp.net","PhoneNumber":"15551230001@s.whatsapp.net","LID":"111111111111111@lid","Error":0,"AddRequest":null},'
        '{"JID":"15551230403@s.whatsapp.net","PhoneNumber":"15551230403@s.whatsapp.net","LID":"","Error":403,'
        '"AddRequest":{"Code":"Xy7","Expiration":"2026-04-09T10:00:00Z"}}]',
     '15551230001@c.us added 200, 15551230403@c.us privacy_blocked 403', 'E: an array, Error 0 is 200', NULL),
    ('add', 201, '{"JID":"15551230001@s.whatsapp.net","PhoneNumber":"","LID":""}', '15551230001@c.us added 200',
     'E: one object, Error absent is 200', NULL),
    ('add', 201, '[{"JID":"111111111111111@lid","PhoneNumber":"15551230001@s.whatsapp.net","LID":"111111111111111@lid","Error":0}]',
     '15551230001@c.us added 200', 'E: a privacy id with the phone beside it', NULL),
    ('add', 201, '[{"JID":"111111111111111@lid","PhoneNumber":"","LID":"111111111111111@lid","Error":403}]',
     '111111111111111@lid privacy_blocked 403', 'E: only a privacy id', NULL),
    ('promote', 201, '[{"JID":"15551230001@s.whatsapp.net","IsAdmin":true,"Error":0}]', '15551230001@c.us promoted 200', 'E: a promotion', NULL),
    ('demote', 201, '[{"JID":"15551230001@s.whatsapp.net","IsAdmin":false,"Error":0}]', '15551230001@c.us demoted 200', 'E: a demotion', NULL),
    ('add', 200, '{"15551230403@c.us":{"wid":"15551230403@c.us","code":403,"message":"","invite_code":"Xy7","invite_code_exp":1775800000},'
        '"15551230421@c.us":{"wid":"15551230421@c.us","code":421,"message":"","invite_code":null,"invite_code_exp":null}}',
     '15551230403@c.us privacy_blocked 403, 15551230421@c.us pending_approval 421', 'F: a map with wid', NULL),
    ('add', 200, '{"code":"SUCCESS","message":"Success add participants","results":['
        '{"participant":"15551230001@s.whatsapp.net","status":"success","message":"Participant added"},'
        '{"participant":"15551230403@s.whatsapp.net","status":"error","message":"The participant can be added by sending private invitation only"},'
        '{"participant":"15551230404@s.whatsapp.net","status":"error","message":"The phone number is not registered on WhatsApp"},'
        '{"participant":"15551230999@s.whatsapp.net","status":"error","message":"Something else"}]}',
     '15551230001@c.us accepted 200, 15551230403@c.us privacy_blocked 200, 15551230404@c.us not_on_whatsapp 200, 15551230999@c.us unrecognised 200',
     'G: words, and success is no more than accepted', 'Participant added'),
    ('add', 500, '{"statusCode":500,"exception":{"message":"2 UNKNOWN: info query returned status 429: rate-overlimit","data":429}}',
     '- rate_limited 500', 'H: WhatsApp''s number in the envelope', '2 UNKNOWN: info query%'),
    ('add', 200, '{"added":["15551230001@c.us"],"failed":[{"id":"15551230403@c.us","reason":"403"},{"id":"15551230408@c.us","reason":408},'
        '{"id":"15551230404@c.us","reason":"not on WhatsApp"}]}',
     '15551230001@c.us added 200, 15551230403@c.us privacy_blocked 403, 15551230408@c.us recently_left 408, 15551230404@c.us not_on_whatsapp 200',
     'I: added and failed', NULL),
    ('add', 200, '{"added":[{"id":"15551230001@c.us"}],"failed":[]}', '15551230001@c.us added 200', 'I: added as objects', NULL),
    ('add', 200, '{"data":[{"id":"15551230001@c.us","code":200}]}', '15551230001@c.us added 200', 'a list in data', NULL),
    ('add', 200, '[{"id":{"server":"c.us","user":"15551230001","_serialized":"15551230001@c.us"},"code":409}]',
     '15551230001@c.us already_member 409', 'an id that is an object', NULL),
    ('add', 200, '[{"id":"who@example","code":200}]', 'who@example added 200', 'somebody of an unknown form', NULL),
    ('add', 200, '{"success":true,"data":{"updateParticipants":[{"status":"403","jid":"15551230403@c.us"}]}}',
     '15551230403@c.us privacy_blocked 403', 'a refusal two levels deep', NULL),
    ('add', 200, '{"status":"success","response":{"result":{"15551230403@c.us":{"code":403}}}}',
     '15551230403@c.us privacy_blocked 403', 'a refusal in a map three levels deep', NULL),
    ('add', 200, '{"ok":true,"result":{"15551230403":403,"15551230408":"408"}}',
     '15551230403@c.us privacy_blocked 403, 15551230408@c.us recently_left 408', 'numbers beside numbers', NULL),
    ('add', 200, '{"success":true,"data":[{"id":"15551230403@c.us","success":false}]}',
     '15551230403@c.us unrecognised 200', 'a failure without a number in a success', NULL),
    ('add', 200, '{"ok":true,"failed":["15551230403@c.us"]}', '15551230403@c.us unrecognised 200', 'a name among the failed', NULL),
    ('add', 200, '{"success":true,"data":{"success":false,"message":"You are not an admin of this group"}}', '- not_admin 200', 'a refusal of the whole inside a success', NULL),
    ('add', 200, '{"error":{"code":403,"message":"Forbidden"}}', '- not_admin 200', 'a number inside the error', NULL),
    ('add', 201, '[{"status":"408","jid":"900000000000868@lid","content":{"attrs":{"phone_number":"15557650002@s.whatsapp.net"}}}]',
     '15557650002@c.us recently_left 408', 'D: a number under content.attrs', NULL);

-- ---- other names for the same in a person's entry

INSERT INTO answer (operation, http_status, body, reading, about)
SELECT 'add', 200, format('{"success":true,"data":[{%s},{"id":"15551230001@c.us","code":200}]}', entry),
    format('15551230403@c.us %s, 15551230001@c.us added 200', reading), 'an entry {' || entry || '}'
FROM (VALUES
    ('"userWid":{"server":"c.us","user":"15551230403","_serialized":"15551230403@c.us"},"code":"403"', 'privacy_blocked 403'),
    ('"recipient":"15551230403@s.whatsapp.net","code":403', 'privacy_blocked 403'),
    ('"chatId":"15551230403@c.us","code":403', 'privacy_blocked 403'),
    ('"wa_id":"15551230403","code":403', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","code":403.0', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","code":"403.0"', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","success":false,"reason":403', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","result":403', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","httpStatus":"408"', 'recently_left 408'),
    ('"id":"15551230403@c.us","errors":[{"code":403}]', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","error":{"isBoom":true,"output":{"statusCode":403,"payload":{"error":"Forbidden"}}}', 'privacy_blocked 403'),
    ('"id":"15551230403@c.us","success":false,"errorMessage":"By private invitation only"', 'privacy_blocked 200'),
    ('"id":"15551230403@c.us","success":false,"msg":"The person left the group recently"', 'recently_left 200'),
    ('"id":"15551230403@c.us","status":"not_on_whatsapp"', 'not_on_whatsapp 200'),
    ('"id":"15551230403@c.us","status":"ALREADY_MEMBER"', 'already_member 200'),
    ('"id":"15551230403@c.us","success":false,"error":"You are not an admin"', 'not_admin 200'),
    ('"id":"15551230403@c.us","status":"error","message":"Session not found"', 'session_down 200')
) e(entry, reading);

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('demote', 200, '[{"id":"15551230403@c.us","success":false,"error":"is not an admin"}]', '15551230403@c.us unrecognised 200',
     'whoever is to be demoted may be no admin'),
    ('add', 200, '{"value":true,"phonesNotAdded":["15551230403"]}', '15551230403@c.us unrecognised 200', 'a list of those who were not added'),
    ('add', 200, '{"added":["15551230001"],"skipped":["15557650002"]}', '15551230001@c.us added 200, 15557650002@c.us unknown_result 200', 'one who was passed over'),
    ('remove', 200, '{"success":true,"notFound":["15557650002"]}', '15557650002@c.us unknown_result 200', 'one who was not found where they were to be removed'),
    ('promote', 200, '{"success":true,"skipped":["15557650002"]}', '15557650002@c.us unknown_result 200', 'one who was passed over in a promotion'),
    ('add', 200, '{"success":true,"skipped":[{"id":"15557650002","reason":"already a member"},{"id":"15557650003","code":403}]}',
     '15557650002@c.us already_member 200, 15557650003@c.us privacy_blocked 403', 'one who was passed over for a reason'),
    ('add', 400, '{"error":"partly failed","participants":[{"id":"15551230403@c.us","code":403},{"id":"15551230001@c.us","code":200}]}',
     '15551230403@c.us privacy_blocked 403, 15551230001@c.us added 200', 'people under 400'),
    ('add', 422, '{"15551230403@c.us":{"code":403}}', '15551230403@c.us privacy_blocked 403', 'people under 422'),
    ('add', 400, '{"error":"x","participants":[{"id":"15551230403@c.us","error":"invalid"}]}', '- unrecognised 400', 'people without a number under 400'),
    ('add', 429, '{"15551230403@c.us":{"code":403}}', '- rate_limited 429', 'people under 429'),
    ('add', 200, '{"success":true,"data":{"id":"15551230403@c.us","code":403}}', '15551230403@c.us privacy_blocked 403', 'one person beside a number'),
    ('add', 200, '{"success":true,"data":{"chatId":"15551230401@c.us","code":401}}', '15551230401@c.us blocked_by_user 401', 'one person by chatId'),
    ('remove', 200, '{"success":true,"data":{"id":"15551230404@c.us","code":404}}', '15551230404@c.us not_member 404', 'one person who is to be removed'),
    ('add', 403, '{"message":"<strong>Error:</strong> You must be an admin"}', '- not_admin 403', 'a message with a mark of HTML is no page'),
    ('add', 200, '{"success":false,"code":401,"message":"Invalid or Missing Access Token","phone":"15551230401"}', '- auth_failed 200',
     'one person beside a number that is plainly the call''s'),
    ('send', 200, '{"success":false,"code":401,"message":"x","chatId":"15551230401@c.us"}', '- auth_failed 200', 'of a message such a number is the call''s'),
    ('send', 200, '{"chatId":"15551230463@c.us","error":{"code":463}}', '- account_restricted 200', 'likewise in an error'),
    ('add', 400, '{"data":{"id":"15551230403@c.us","code":403}}', '15551230403@c.us privacy_blocked 403', 'one person under 400'),
    ('add', 400, '{"id":"15551230403@c.us","code":403}', '- unrecognised 400', '... in the outermost envelope'),
    ('add', 409, '{"code":409,"message":"Lock is held","phone":"15551230409"}', '- unknown_result 409', 'one person beside the number of the status line'),
    ('add', 201, '[{"JID":"15551230403@s.whatsapp.net","Error":"forbidden"}]', '15551230403@c.us unrecognised 201', 'E: an error in words'),
    ('add', 201, '[{"JID":"15551230403@s.whatsapp.net","AddRequest":{"Code":"Xy7"}}]', '15551230403@c.us privacy_blocked 403', 'E: an invitation to be sent'),
    ('add', 200, '{"ok":true,"failed":[15551230403]}', '15551230403@c.us unrecognised 200', 'a number among the failed');

-- ---- the number of a refused call, with the person whom it was about beside it

INSERT INTO answer (operation, http_status, body, reading, about)
SELECT operation, http_status, body, format('- %s %s', outcome, http_status), format('a call''s number beside a person, %s: %s', operation, body)
FROM (VALUES
    ('remove', 200, '{"success":false,"code":404,"message":"No such group","phone":"15557650002"}', 'group_not_found'),
    ('remove', 200, '{"error":{"code":404,"message":"no such instance","phone":"15557650002"}}', 'group_not_found'),
    ('add', 200, '{"success":false,"code":401,"message":"Unauthorized","phone":"15557650002"}', 'auth_failed'),
    ('add', 200, '{"error":{"code":401,"message":"token expired","phone":"15557650002"}}', 'auth_failed'),
    ('add', 200, '{"success":false,"status":403,"error":"Forbidden","number":"15557650002"}', 'not_admin'),
    ('add', 200, '{"success":false,"status":404,"error":"Group does not exist","number":"15557650002"}', 'group_not_found'),
    ('add', 200, '{"id":"15557650002@c.us","code":403}', 'not_admin'),
    ('add', 200, '{"success":false,"data":{"phone":"15557650002","code":401}}', 'unrecognised'),
    ('add', 200, '{"status":"error","message":"Session not found","data":{"id":"15557650002@c.us","status":404}}', 'session_down'),
    ('add', 422, '{"status":404,"message":"instance offline","phone":"15557650002"}', 'session_down'),
    ('add', 422, '{"data":{"status":404,"phone":"15557650002"}}', 'session_down'),
    ('add', 409, '{"status":403,"message":"another worker is running","phone":"15557650002"}', 'unknown_result'),
    ('add', 409, '{"message":"another worker is running","data":{"status":403,"phone":"15557650002"}}', 'unknown_result'),
    ('remove', 200, '{"success":true,"data":{"phone":"15557650002","code":403}}', 'not_admin'),
    ('remove', 200, '{"error":{"code":403,"message":"Forbidden","phone":"15557650002"}}', 'not_admin'),
    -- likewise with our own number
    ('add', 200, '{"success":false,"code":401,"message":"Unauthorized","phone":"15550000001"}', 'auth_failed'),
    ('add', 200, '{"success":false,"code":402,"message":"Your plan expired","phone":"15550000001"}', 'quota_exceeded'),
    ('add', 200, '{"status":"error","message":"Session not found","data":{"id":"15550000001@c.us","status":404}}', 'session_down')
) c(operation, http_status, body, outcome);

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('add', 200, '{"success":true,"id":"15557650002@c.us","code":403}', '15557650002@c.us privacy_blocked 403', 'a person''s number in the envelope of a success'),
    ('add', 200, '{"error":{"code":403,"phone":"15557650002"}}', '15557650002@c.us privacy_blocked 403', 'a number in an error that says whom it is about'),
    ('add', 200, '{"success":false,"message":"You are not an admin","data":{"phone":"15557650002","code":403}}', '15557650002@c.us not_admin 403',
     'the envelope''s text tells whose number it is');

-- ---- the whole call, by HTTP status: the same numbers mean something else

INSERT INTO answer (operation, http_status, body, reading, about, detail) VALUES
    ('add', 409, '{"error":"Session already running"}', '- session_down 409', '409 about the session', NULL),
    ('add', 404, '{"status":404,"error":"Not Found","response":{"message":["The \"a\" instance does not exist"]}}', '- session_down 404',
     '404 about the instance, in a response', 'The "a" instance does not exist'),
    ('add', 403, '{"message":"Missing Authentication Token"}', '- auth_failed 403', '403 about the token', NULL),
    ('add', 403, '{"code":"rest_forbidden","message":"Sorry, you are not allowed to do that.","data":{"status":403}}', '- auth_failed 403',
     '403 of WordPress'' own', NULL),
    ('add', 422, '{"detail":[{"loc":["body","participants"],"msg":"field required","type":"value_error.missing"}]}', '- unrecognised 422',
     '422 about the request', 'field required'),
    ('add', 500, '{"message":"Error: resource-limit"}', '- group_full 500', 'one of WhatsApp''s words as an error that was made a text', NULL),
    ('add', 500, '{"exception":{"name":"Error","details":"server returned error 404: item-not-found"}}', '- group_not_found 500', 'details of gRPC', NULL),
    ('add', 200, '{"result":"error","message":"Group not found"}', '- group_not_found 200', 'a flag in a word', NULL),
    ('add', 200, '{"success":"false","message":"You are not an admin"}', '- not_admin 200', 'a flag as a text', NULL),
    ('add', 200, '{"success":0,"reason":"not an admin"}', '- not_admin 200', 'a flag as a number', NULL),
    ('add', 200, '{"success":1}', '- accepted 200', 'a flag as a number that is set', NULL),
    ('add', 200, '{"ok":"true"}', '- accepted 200', 'a flag as a text that is set', NULL),
    ('add', 200, '{"error":false,"message":"Participants added"}', '- accepted 200', 'no error, said as false', NULL),
    ('add', 400, '{"statusCode":400,"message":["participants.0.id: invalid jid"],"error":"Bad Request"}', '- bad_identifier 400', '400 that names the JID', 'participants.0.id: invalid jid'),
    ('add', 400, '{"status":400,"message":"Missing Required Parameter(s)","error":"Bad Request"}', '- unrecognised 400', '400', 'Missing Required Parameter(s)'),
    ('add', 400, '<error>Bad Request</error>', '- unrecognised 400', '400 in XML', NULL),
    ('add', 401, '{"status":401,"message":"Invalid or Missing Access Token","error":"Unauthorized"}', '- auth_failed 401', '401', 'Invalid or Missing Access Token'),
    ('add', 401, '', '- auth_failed 401', '401 without a body', NULL),
    ('add', 403, '{"status":403,"message":"You must be an admin of this group to perform this action.","error":"Forbidden"}', '- not_admin 403', '403 is us', 'You must be an admin%'),
    ('add', 403, '{"code":"subscription_required","message":"Upgrade your plan"}', '- quota_exceeded 403', '403 subscription_required', 'Upgrade your plan'),
    ('add', 403, '{"code":"quota_reached","message":"Quota or Limit Reached"}', '- quota_exceeded 403', '403 quota_reached', NULL),
    ('add', 403, '{"error":{"code":"quota_reached","message":"Daily cap"}}', '- quota_exceeded 403', '403 quota_reached inside error', 'Daily cap'),
    ('add', 404, '{"status":404,"message":"Group not found","error":"Not Found"}', '- group_not_found 404', '404', 'Group not found'),
    ('add', 404, '{"code":"invalid_session","message":"Session not found. Please verify your instance_id or session_name.","data":{"status":404}}',
     '- session_down 404', '404 invalid_session', 'Session not found%'),
    ('add', 404, '{"statusCode":404,"message":"Cannot POST /v2/groups/1/participants/add","error":"Not Found"}', '- unrecognised 404', '404 of a route that is not there', 'Cannot POST%'),
    ('add', 404, '<html><body>404</body></html>', '- unrecognised 404', '404 page says nothing about a group', NULL),
    ('add', 405, '{"statusCode":405,"message":"Method Not Allowed"}', '- unrecognised 405', '405', NULL),
    ('add', 409, '{"status":409,"message":"Conflict","error":"Conflict"}', '- already_member 409', '409 to an add', NULL),
    ('add', 410, '{"message":"gone"}', '- link_unavailable 410', '410', NULL),
    ('add', 419, '{"message":"full"}', '- group_full 419', '419', NULL),
    ('add', 422, '{"error":"Session status is not as expected. Try again later or restart the session","session":"ABC123","status":"FAILED","expected":["WORKING"]}',
     '- session_down 422', '422', 'Session status is not as expected%'),
    ('add', 422, '{"statusCode":422,"message":"The method is not implemented by the engine","error":"Unprocessable Entity"}', '- unrecognised 422', '422 of an engine without it', 'The method is not implemented%'),
    ('add', 403, 'RBAC: access denied', '- unrecognised 403', '403 in plain text is a proxy''s', 'RBAC: access denied'),
    ('add', 403, '', '- unrecognised 403', '403 without a body', '%not of the kind that the API gives'),
    ('add', 404, 'default backend - 404', '- unrecognised 404', '404 in plain text', 'default backend - 404'),
    ('add', 402, '{"message":"Payment Required"}', '- quota_exceeded 402', '402', NULL),
    ('add', 421, '', '- unrecognised 421', '421 is no person''s', '%did not get through%'),
    ('add', 423, '{"message":"locked"}', '- group_locked 423', '423', NULL),
    ('add', 429, '{"status":429,"message":"Too Many Requests","error":"Too Many Requests"}', '- rate_limited 429', '429', NULL),
    ('add', 429, '', '- rate_limited 429', '429 without a body', NULL),
    ('add', 500, '{"status":500,"message":"Internal Server Error - Unexpected Failure","error":"Internal Server Error"}', '- server_error 500', '500', NULL),
    ('add', 502, '{"code":"wawp_upstream_error","message":"Upstream failed"}', '- server_error 502', '502 wawp_upstream_error', 'Upstream failed'),
    ('add', 502, '<html><body>Bad Gateway</body></html>', '- server_error 502', '502 page', NULL),
    ('add', 503, '', '- server_error 503', '503 without a body', NULL),
    ('add', 504, 'upstream request timeout', '- server_error 504', '504 in plain text', NULL),
    ('add', 302, '', '- unrecognised 302', 'a redirect', '%redirect%'),
    ('add', 403, '[{"id":"15551230403@c.us","code":403}]', '- not_admin 403', 'a 403 that names a person is still us', NULL),
    ('remove', 403, '{"message":"Forbidden"}', '- not_admin 403', '403 to a removal', NULL),
    ('promote', 404, '{"message":"Group not found"}', '- group_not_found 404', '404 to a promotion', NULL),
    ('remove', 409, '{"message":"Conflict"}', '- unrecognised 409', '409 to a removal', NULL),
    ('send', 429, '{}', '- rate_limited 429', '429 to a message', NULL),
    ('send', 404, '{"status":404,"message":"The number is not registered on WhatsApp","error":"Not Found"}', '- not_on_whatsapp 404', '404 to a message that is about the number', 'The number is not registered%');

INSERT INTO answer (operation, http_status, body, reading, about, detail) VALUES
    ('add', 403, '{"type":"https://developers.cloudflare.com/error-1020/","title":"Error 1020: Access denied","status":403}', '- unrecognised 403',
     'a block by Cloudflare', '%Access denied'),
    ('add', 403, '{"title":"You are not an admin","status":403,"cloudflare_error":true}', '- unrecognised 403', '... whose words are not read', NULL),
    ('add', 429, '{"title":"Error 1015: You are being rate limited","status":429,"cloudflare_error":true}', '- rate_limited 429', '... that asks to slow down', NULL),
    ('add', 403, '"<html>Attention Required!</html>"', '- unrecognised 403', 'a page in a JSON text', NULL),
    ('add', 403, '{"message":"<!DOCTYPE html><html></html>"}', '- unrecognised 403', 'a page in a message', NULL),
    ('add', 403, '[]', '- unrecognised 403', '403 with an empty list', NULL),
    ('add', 403, 'null', '- unrecognised 403', '403 with null', NULL),
    ('add', 404, '{"fault":{"faultstring":"Unable to identify proxy for host","detail":{"errorcode":"x"}}}', '- unrecognised 404', '404 of Apigee', NULL),
    ('add', 404, '{"message":"Route POST:/v2/groups/1/participants/add not found","error":"Not Found","statusCode":404}', '- unrecognised 404', '404 of Fastify', 'Route POST%'),
    ('add', 404, '{"timestamp":"2026-11-28T10:00:00Z","status":404,"error":"Not Found","path":"/v2/groups/1"}', '- unrecognised 404', '404 of Spring', NULL),
    ('add', 404, '{"timestamp":"2026-11-28T10:00:00Z","status":404,"error":"Not Found","message":"No such group","path":"/v2/groups/1"}', '- group_not_found 404',
     '404 of an API in Spring', NULL),
    ('add', 404, '{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.5","title":"Not Found","status":404,"traceId":"00-1"}', '- unrecognised 404', '404 of ASP.NET', NULL),
    ('add', 404, '{"detail":"Not Found"}', '- unrecognised 404', '404 of FastAPI', NULL),
    ('add', 404, '{"status":404,"message":"Not Found"}', '- group_not_found 404', '404 without more', NULL),
    ('add', 409, '{"message":"Another request is already in progress"}', '- unknown_result 409', '409 about another request', NULL),
    ('add', 200, '{"code":"quota_reached","message":"Quota or Limit Reached","data":{"status":403,"phone":"15551230403"}}', '- quota_exceeded 200', 'a word of the call above a person', NULL),
    ('add', 400, '{"code":"rest_forbidden","message":"Sorry","data":{"status":403,"id":"15551230403@c.us"}}', '- auth_failed 400', '... under 400', NULL),
    ('remove', 200, '{"code":"invalid_instance","message":"Instance is invalid","data":{"status":404,"phone":"15551230403"}}', '- session_down 200', '... to a removal', NULL),
    ('remove', 200, '{"code":404,"message":"Instance is disconnected","data":{"status":404,"phone":"15551230403"}}', '- group_not_found 200', 'a number of the call above a person', NULL),
    ('add', 200, '{"data":{"code":403,"message":"Quota or Limit Reached","phone":"15551230403"}}', '15551230403@c.us quota_exceeded 403', 'words of the call beside a person', NULL),
    ('remove', 200, '{"data":{"status":404,"message":"Grupo no encontrado","phone":"15551230403"}}', '15551230403@c.us unknown_result 404', 'it is not told what was not found', NULL);

-- ---- H: WhatsApp's own number or words in an engine's error

INSERT INTO answer (operation, http_status, body, reading, about)
SELECT 'add', 500, format('{"statusCode":500,"timestamp":"2026-04-06T10:00:00.000Z","exception":{"message":%s,"name":"Error"},'
                          '"request":{"path":"/api/groups","body":{"access_token":"secret"}},"version":{"engine":"GOWS"}}', to_json(message)),
    format('- %s 500', outcome), 'H: ' || message
FROM (VALUES
    ('2 UNKNOWN: info query returned status 400: bad-request', 'unrecognised'),
    ('2 UNKNOWN: info query returned status 401: not-authorized', 'not_admin'),
    ('2 UNKNOWN: info query returned status 403: forbidden', 'not_admin'),
    ('2 UNKNOWN: info query returned status 404: item-not-found', 'group_not_found'),
    ('2 UNKNOWN: info query returned status 410: gone', 'link_unavailable'),
    ('2 UNKNOWN: info query returned status 412: precondition', 'group_full'),
    ('2 UNKNOWN: info query returned status 416: suspended', 'group_locked'),
    ('2 UNKNOWN: info query returned status 419: resource-limit', 'group_full'),
    ('2 UNKNOWN: info query returned status 423: locked', 'group_locked'),
    ('2 UNKNOWN: info query returned status 429: rate-overlimit', 'rate_limited'),
    ('2 UNKNOWN: info query returned status 436: locked', 'link_unavailable'),
    ('2 UNKNOWN: info query returned status 503: service-unavailable', 'server_error'),
    ('2 UNKNOWN: info query returned status 530: partial-server-error', 'server_error'),
    ('rate-overlimit', 'rate_limited'),
    ('Lid is missing in chat table', 'server_error'),
    ('server returned error 463', 'account_restricted'),
    ('server returned error 409', 'already_member'),
    ('account_reachout_restricted', 'account_restricted'),
    ('Evaluation failed: Error: not connected', 'session_down'),
    ('You are not an admin of the group', 'not_admin'),
    ('Sent 403 messages to 404 people in 429 ms', 'server_error')
) e(message, outcome);

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('add', 500, '{"statusCode":500,"exception":{"message":"bad-request","data":400}}', '- unrecognised 500', 'H: number only in data'),
    ('add', 500, '{"statusCode":500,"exception":{"message":"forbidden","data":"403"}}', '- not_admin 500', 'H: number in data as a string'),
    ('add', 500, '{"statusCode":500,"exception":{"message":"not-acceptable"}}', '- unrecognised 500', 'H: one of WhatsApp''s words'),
    ('add', 500, '{"error":"conflict","statusCode":500}', '- server_error 500', 'H: a word with several meanings'),
    ('add', 401, '{"error":"forbidden"}', '- auth_failed 401', 'one of its words beside a status that decides'),
    ('add', 200, '{"errors":[{"id":"a1","status":"403","title":"Forbidden"}]}', '- unrecognised 200', 'an error with an id of its own'),
    ('send', 500, '{"statusCode":500,"exception":{"message":"server returned error 463"}}', '- account_restricted 500', 'H: 463 to a message');

-- ---- errors come under any status, 200 included

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('add', 200, '{"ok":false}', '- unrecognised 200', '200: ok false'),
    ('add', 200, 'false', '- unrecognised 200', '200: a bare false'),
    ('add', 200, '{"success":false,"message":"You are not an admin of this group"}', '- not_admin 200', '200: success false'),
    ('send', 200, '{"result":false}', '- unrecognised 200', '200: result false'),
    ('add', 200, '{"status":"error","message":"Something"}', '- unrecognised 200', '200: status error'),
    ('add', 200, '{"status":false,"message":"Rate limit hit"}', '- rate_limited 200', '200: status false'),
    ('add', 200, '{"error":"Invalid or Missing Access Token"}', '- auth_failed 200', '200: error about the token'),
    ('add', 200, '{"code":"invalid_session","message":"Session not found. Please verify your instance_id or session_name."}', '- session_down 200', '200: invalid_session'),
    ('add', 200, '{"code":"quota_reached","message":"Quota or Limit Reached"}', '- quota_exceeded 200', '200: quota_reached'),
    ('send', 200, '{"status":"success","message":"The number of messages you have sent per month has exceeded the maximum limit"}', '- quota_exceeded 200', '200: a quota in a success'),
    ('add', 200, '{"statusCode":403,"message":"Forbidden"}', '- not_admin 200', '200: statusCode 403'),
    ('add', 200, '{"statusCode":500,"exception":{"message":"info query returned status 429: rate-overlimit"}}', '- rate_limited 200', '200: an engine''s envelope'),
    ('add', 200, '{"status":401,"message":"Unauthorized","error":"Unauthorized"}', '- auth_failed 200', '200: status 401'),
    ('add', 200, '{"status":502,"message":"Bad gateway"}', '- server_error 200', '200: status 502'),
    ('send', 200, '{"code":"wawp_upstream_error","message":"Upstream failed"}', '- server_error 200', '200: wawp_upstream_error as the code'),
    ('add', 200, '{"wawp_upstream_error":"Upstream failed"}', '- server_error 200', '200: wawp_upstream_error as a member'),
    ('add', 200, '{"ok":true,"error":null}', '- accepted 200', '200: an error that is null is none'),
    ('add', 200, '{"success":true,"status":"WORKING"}', '- accepted 200', '200: a status that is no error'),
    ('add', 200, '{"errors":[{"code":429}]}', '- rate_limited 200', '200: a number among the errors'),
    ('add', 200, '{"errors":[{"status":"503"}]}', '- server_error 200', '200: ... as a text'),
    ('add', 200, '{"errors":[{"code":403}]}', '- unrecognised 200', '200: ... that may be a person''s'),
    ('add', 200, '{"success":false,"error_code":429}', '- rate_limited 200', '200: error_code'),
    ('add', 200, '{"success":false,"errorCode":403}', '- unrecognised 200', '200: ... that may be a person''s'),
    ('add', 200, '{"success":false,"httpStatus":403}', '- not_admin 200', '200: httpStatus'),
    ('add', 200, '{"status":"success","message":"rate limit exceeded"}', '- rate_limited 200', '200: a limit in a success'),
    ('send', 200, '{"sent":true,"upstream_status":500}', '- server_error 200', '200: an upstream''s failure'),
    ('send', 200, '{"sent":true,"upstream_status":403}', '- unrecognised 200', '200: an upstream''s refusal'),
    ('send', 201, '{"id":"3EB0","ack":-1}', '- unrecognised 201', '200: a message that WhatsApp did not take'),
    ('send', 200, '{"success":true,"data":{"id":"3EB0","ack":-1}}', '- unrecognised 200', '200: ... in an envelope'),
    ('add', 200, '{"success":true,"data":{"id":"120363012345678901@g.us","message":{"ack":-1}}}', '- accepted 200', '200: ... is nothing to an addition');

-- ---- answers that cannot be used: what became of the request is not known

INSERT INTO answer (operation, http_status, body, reading, about) VALUES
    ('add', 200, '', '- unknown_result 200', 'empty'),
    ('add', 200, NULL, '- unknown_result 200', 'NULL is empty'),
    ('add', 204, '', '- unknown_result 204', 'empty under 204'),
    ('add', 200, ' ', '- unknown_result 200', 'blank'),
    ('add', 200, '<!DOCTYPE html><html><body>Please wait: access token</body></html>', '- unknown_result 200', 'a page'),
    ('add', 200, '{"ok":tr', '- unknown_result 200', 'truncated'),
    ('add', 200, '{"15551230001@c.us":{"code":20', '- unknown_result 200', 'truncated map'),
    ('add', 200, '{"ok":true}}', '- unknown_result 200', 'too much'),
    ('add', 200, '{"ok":true', '- unknown_result 200', 'truncated at the end'),
    ('add', 200, '{ok:true}', '- unknown_result 200', 'no JSON'),
    ('add', 200, '{"ok":"\ud800"}', '- unknown_result 200', 'half a surrogate pair'),
    ('add', 200, '{"ok":"\u0000"}', '- unknown_result 200', 'an escaped NUL'),
    ('add', 200, 'null', '- unknown_result 200', 'null'),
    ('add', 200, '42', '- unknown_result 200', 'a number'),
    ('add', 200, '{}', '- unknown_result 200', 'an empty object'),
    ('add', 200, '[]', '- unknown_result 200', 'an empty array'),
    ('add', 200, '[1,null,"x"]', '- unknown_result 200', 'an array of nothing'),
    ('add', 200, '{"something":"else"}', '- unknown_result 200', 'another object'),
    ('add', 200, repeat('[', 10000), '- unknown_result 200', '10,000 brackets'),
    ('add', 200, repeat('[', 10000) || repeat(']', 10000), '- unknown_result 200', '10,000 nested arrays'),
    ('add', 200, repeat('{"a":', 10000) || '1' || repeat('}', 10000), '- unknown_result 200', '10,000 nested objects'),
    ('add', 500, repeat('{"error":', 10000) || '1' || repeat('}', 10000), '- server_error 500', 'the same under 500'),
    ('add', 200, '{"padding":"' || repeat('x', 5000000) || '","ok":true}', '- accepted 200', 'five megabytes'),
    ('add', 200, repeat(' ', 100000) || '{"ok":true}', '- accepted 200', 'white space first'),
    ('add', 200, repeat('x', 100000), '- unrecognised 200', 'a very long sentence');

SELECT plan((SELECT (count(*) + count(detail))::int FROM answer) + 23);

SELECT is(reading(operation, http_status, body), reading, about) FROM answer ORDER BY id;
SELECT alike((SELECT detail FROM wawp_classify(operation, http_status, body) LIMIT 1), detail, 'detail of ' || about)
FROM answer WHERE detail IS NOT NULL ORDER BY id;

-- ---- as a whole

SELECT set_eq(
    $$SELECT DISTINCT outcome FROM answer CROSS JOIN LATERAL wawp_classify(operation, http_status, answer.body)$$,
    $$SELECT unnest(enum_range(NULL::wawp.outcome))
      EXCEPT SELECT unnest('{joined_by_invite,invited,suppressed,unreachable,throttled}'::wawp.outcome[])$$,
    'an answer can mean any outcome but those that no answer gives');
SELECT is((SELECT count(*)::int FROM answer CROSS JOIN LATERAL wawp_classify(operation, http_status, answer.body) c
           WHERE c.detail IS NULL AND c.outcome NOT IN
               ('added', 'already_member', 'removed', 'promoted', 'demoted', 'accepted')), 0,
    'what is no success has a detail');
SELECT is((SELECT count(*)::int FROM wawp_classify('add', 200,
              (SELECT jsonb_object_agg((15551000000 + n) || '@c.us', '{"code":200}'::jsonb)::text FROM generate_series(1, 1024) n))
           WHERE outcome = 'added' AND wawp_is_person_jid(jid)), 1024, 'an answer can name 1,024 people');
SELECT is((SELECT detail FROM wawp_classify('add', 500, '{"message":"Ung\u00fcltig \ud83d\ude00 \u0153"}')),
    U&'Ung\00FCltig \+01F600 \0153', 'escapes in a text are written out');
SELECT is((SELECT detail FROM wawp_classify('add', 400, '{"message":["first","second"]}')), 'first; second',
    'a message that is an array');
SELECT is((SELECT detail FROM wawp_classify('add', 500, '{"error":{"code":"x","message":"inside error"}}')), 'inside error',
    'a message inside error');
SELECT is((SELECT detail FROM wawp_classify('add', 500, '{"exception":{"message":"inside exception"}}')), 'inside exception',
    'a message inside exception');
SELECT is((SELECT detail FROM wawp_classify('add', 500, 'plain text')), 'plain text', 'a message that is the body');
SELECT is((SELECT detail FROM wawp_classify('add', 403, '{}')), 'the instance''s account is not an admin of the group',
    'without a message the outcome is explained');
SELECT is((SELECT detail FROM wawp_classify('add', 500, '{"message":"cut in two: \ud83d"}')), U&'cut in two: \FFFD',
    'half a surrogate pair is no reason not to read the rest');
SELECT is(reading('add', 200, U&'\FEFF{"ok":true}'), '- accepted 200', 'a byte order mark is left out');

-- the same number, person and call
SELECT is(reading('add', 200, '{"15551234567@c.us":{"code":403}}') || ' / ' || reading('add', 403, '{"code":403}'),
    '15551234567@c.us privacy_blocked 403 / - not_admin 403', 'a 403 is theirs or ours');
SELECT is(reading('add', 200, '{"15551234567@c.us":{"code":404}}') || ' / ' || reading('add', 404, '{"code":404}'),
    '15551234567@c.us not_on_whatsapp 404 / - group_not_found 404', 'a 404 is about a person or the group');
SELECT is(reading('add', 200, '{"15551234567@c.us":{"code":401}}') || ' / ' || reading('add', 401, '{"code":401}'),
    '15551234567@c.us blocked_by_user 401 / - auth_failed 401', 'a 401 is a person''s or the token''s');

-- ---- arguments

SELECT raises($$SELECT wawp_classify('ban', 200, '')$$, '22023', '%"ban"%', NULL, '%"add", "remove", "promote", "demote" and "send"%',
    'unknown operation');
SELECT raises($$SELECT wawp_classify('', 200, '')$$, '22023', NULL, NULL, NULL, 'empty operation');
SELECT raises($$SELECT wawp_classify('ADD', 200, '')$$, '22023', NULL, NULL, NULL, 'operation in capitals');
SELECT raises($$SELECT wawp_classify('add ', 200, '')$$, '22023', NULL, NULL, NULL, 'operation and a space');
SELECT raises($$SELECT wawp_classify('read', 200, '')$$, '22023', NULL, NULL, NULL, 'reading is no operation here');
SELECT raises($$SELECT wawp_classify(NULL, 200, '')$$, '22023', '%operation%', NULL, NULL, 'NULL operation');
SELECT raises($$SELECT wawp_classify('add', NULL, '')$$, '22023', '%http_status%', NULL, NULL, 'NULL status');
SELECT is(reading('add', -1, '') || ' / ' || reading('add', 2147483647, '{}'), '- unrecognised -1 / - unrecognised 2147483647',
    'a status that is none');
SELECT is(reading('add', 0, ''), '- unrecognised -', 'no status, no code');

SELECT * FROM finish();
ROLLBACK;
