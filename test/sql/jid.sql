\set ECHO none
-- jid: identifiers as people and engines write them, in one normal form.
\i test/sql-include/setup.sql
BEGIN;
\i test/sql-include/helpers.sql

-- One line for each spelling; normal_form NULL: refused, never guessed.
CREATE TEMP TABLE spelling (id serial, input text, normal_form text, about text);

INSERT INTO spelling (input, normal_form, about) VALUES
    -- phone numbers as people write them
    ('15551234567', '15551234567@c.us', 'bare digits'),
    ('+15551234567', '15551234567@c.us', 'plus'),
    ('0015551234567', '15551234567@c.us', 'leading 00'),
    ('00 1 555 123 4567', '15551234567@c.us', 'leading 00 and spaces'),
    ('+1 (555) 123-4567', '15551234567@c.us', 'spaces, parentheses, hyphen'),
    ('1.555.123.4567', '15551234567@c.us', 'dots'),
    ('+1-555-123-4567', '15551234567@c.us', 'hyphens'),
    ('  15551234567  ', '15551234567@c.us', 'spaces around'),
    (E'\t15551234567\r\n', '15551234567@c.us', 'tab and line end around'),
    ('tel:+15551234567', '15551234567@c.us', 'tel:'),
    ('TEL:+1-555-123-4567', '15551234567@c.us', 'tel: in capitals'),
    ('wa.me/15551234567', '15551234567@c.us', 'wa.me/'),
    ('https://wa.me/15551234567', '15551234567@c.us', 'https://wa.me/'),
    ('http://wa.me/15551234567', '15551234567@c.us', 'http://wa.me/'),
    ('HTTPS://WA.ME/15551234567', '15551234567@c.us', 'https://wa.me/ in capitals'),
    ('1234567', '1234567@c.us', 'seven digits'),
    ('123456789012345', '123456789012345@c.us', 'fifteen digits'),
    ('+55 11 98765-4321', '5511987654321@c.us', 'Brazil keeps its nine'),
    ('+52 1 55 1234 5678', '5215512345678@c.us', 'Mexico keeps its one'),
    -- invisible and look-alike characters, as they come out of mails and spreadsheets
    (E'+1\u00A0555\u00A01234567', '15551234567@c.us', 'no-break space'),
    (E'+1\u202F555\u2009123\u20074567', '15551234567@c.us', 'narrow, thin and figure space'),
    (E'+1\u3000555\u30001234567', '15551234567@c.us', 'ideographic space'),
    (E'\u200B15551234567\u200B', '15551234567@c.us', 'zero width space'),
    (E'1555\u200C123\u200D4567', '15551234567@c.us', 'zero width joiners'),
    (E'\uFEFF15551234567', '15551234567@c.us', 'byte order mark'),
    (E'1555\u2060123\u00AD4567', '15551234567@c.us', 'word joiner, soft hyphen'),
    (E'\u200E+15551234567\u200F', '15551234567@c.us', 'bidi marks'),
    (E'\u202A+1 555 123 4567\u202C', '15551234567@c.us', 'bidi embedding'),
    (E'\u202D+1 555 123 4567\u202E', '15551234567@c.us', 'bidi overrides'),
    (E'\u2066+15551234567\u2069', '15551234567@c.us', 'bidi isolates'),
    (E'\u061C15551234567', '15551234567@c.us', 'Arabic letter mark'),
    (E'1\u2010555\u2011123\u20124567', '15551234567@c.us', 'hyphen, no-break hyphen, figure dash'),
    (E'1\u2013555\u2014123\u22124567', '15551234567@c.us', 'en dash, em dash, minus sign'),
    (E'\u0661\u0665\u0665\u0665\u0661\u0662\u0663\u0664\u0665\u0666\u0667', '15551234567@c.us', 'Arabic-Indic digits'),
    (E'+\u0660\u0661', NULL, 'Arabic-Indic digits, leading zero'),
    (E'\u06F1\u06F5\u06F5\u06F5\u06F1\u06F2\u06F3\u06F4\u06F5\u06F6\u06F7', '15551234567@c.us', 'extended Arabic-Indic digits'),
    (E'\u0668\u0669\u06F8\u06F9\u0660\u06F0\u0661', '8989001@c.us', 'both kinds of Arabic-Indic digits'),
    (E'\uFF0B\uFF11\uFF08\uFF15\uFF15\uFF15\uFF09\uFF11\uFF12\uFF13\uFF0D\uFF14\uFF15\uFF16\uFF17', '15551234567@c.us', 'full-width digits and marks'),
    (E'1555\uFF0E123\uFF0E4567', '15551234567@c.us', 'full-width full stop'),
    -- JIDs as engines write them
    ('15551234567@c.us', '15551234567@c.us', 'normal form'),
    ('15551234567@C.US', '15551234567@c.us', 'capitals'),
    (' 15551234567@c.us ', '15551234567@c.us', 'JID with spaces around'),
    ('+1 555 123 4567@c.us', '15551234567@c.us', 'formatted number in a JID'),
    (E'15551234567\uFF20c.us', '15551234567@c.us', 'full-width at'),
    ('15551234567@s.whatsapp.net', '15551234567@c.us', 'socket engines'' server'),
    ('15551234567:12@s.whatsapp.net', '15551234567@c.us', 'device'),
    ('15551234567:0@c.us', '15551234567@c.us', 'device 0'),
    ('15551234567_1@c.us', '15551234567@c.us', 'agent'),
    ('15551234567_1:12@s.whatsapp.net', '15551234567@c.us', 'agent and device'),
    ('123456789012345@lid', '123456789012345@lid', 'privacy id'),
    ('12345678901234:3@lid', '12345678901234@lid', 'privacy id with a device'),
    ('012345678901234@lid', '012345678901234@lid', 'a privacy id is no phone number and may start with 0'),
    ('120363012345678901@g.us', '120363012345678901@g.us', 'group'),
    ('15550000001-1623281429@g.us', '15550000001-1623281429@g.us', 'group, old form'),
    ('1234567890@g.us', '1234567890@g.us', 'group with few digits'),
    (E' 120363012345678901@G.US\n', '120363012345678901@g.us', 'group, capitals and white space'),
    -- refused
    ('', NULL, 'empty'),
    ('   ', NULL, 'blank'),
    (E'\u200B\u200E', NULL, 'only invisible characters'),
    ('+', NULL, 'only a plus'),
    ('tel:', NULL, 'only tel:'),
    ('https://wa.me/', NULL, 'only wa.me'),
    ('0555 123 4567', NULL, 'national form'),
    ('+0 555 123 4567', NULL, 'leading zero after a plus'),
    ('000 555 123 4567', NULL, 'leading zero after 00'),
    ('(0555) 1234567', NULL, 'national form in parentheses'),
    ('+44 (0)20 7946 0958', NULL, 'national prefix in parentheses'),
    (E'+44 \uFF08\uFF10\uFF0920 7946 0958', NULL, 'the same in full width'),
    ('+44 ( 0 ) 20 7946 0958', NULL, 'the same with spaces in between'),
    ('1-800-FLOWERS', NULL, 'letters'),
    ('15551234567x', NULL, 'a letter at the end'),
    ('+1 555 123 4567 ext. 8', NULL, 'an extension'),
    ('Ana', NULL, 'a name'),
    ('123456', NULL, 'six digits'),
    ('1234567890123456', NULL, 'sixteen digits'),
    ('120363012345678901', NULL, 'digits of a group without its suffix'),
    ('1555+1234567', NULL, 'plus in the middle'),
    ('++15551234567', NULL, 'two plusses'),
    ('15551234567,15557654321', NULL, 'two numbers'),
    ('15551234567/8', NULL, 'two numbers with a slash'),
    (E'1555\u0001234567', NULL, 'control character'),
    (E'\u096715551234567', NULL, 'digits of another script'),
    (E'\U0001F4DE15551234567', NULL, 'emoji'),
    (repeat('1', 10000), NULL, 'very long'),
    (repeat(' ', 10000) || '15551234567x', NULL, 'very long, spaces first'),
    ('@c.us', NULL, 'no number'),
    ('15551234567@', NULL, 'no server'),
    ('15551234567@@c.us', NULL, 'double @'),
    ('15551234567@c.us@c.us', NULL, 'two servers'),
    ('15551234567@c.us.example', NULL, 'server that only starts right'),
    ('15551234567@xc.us', NULL, 'server that only ends right'),
    ('ana@example.com', NULL, 'mail address'),
    ('0@c.us', NULL, '0@c.us'),
    ('05551234567@c.us', NULL, 'national form in a JID'),
    ('123456@c.us', NULL, 'JID with six digits'),
    ('15551234567:x@c.us', NULL, 'device that is no number'),
    ('120363012345678901@newsletter', NULL, 'channel'),
    ('status@broadcast', NULL, 'status'),
    ('15551234567@broadcast', NULL, 'broadcast list'),
    ('13135550002@bot', NULL, 'bot'),
    ('15551234567@hosted', NULL, 'hosted account'),
    ('1234@lid', NULL, 'short privacy id'),
    ('123456789012345678901@lid', NULL, 'long privacy id'),
    ('+123456789012345@lid', NULL, 'privacy id with a plus'),
    ('1234@g.us', NULL, 'group with four digits'),
    (repeat('1', 33) || '@g.us', NULL, 'group with 33 digits'),
    ('15550000001-@g.us', NULL, 'group, old form without a time'),
    ('-1623281429@g.us', NULL, 'group, old form without a number'),
    ('15550000001-1234@g.us', NULL, 'group, old form with a short time'),
    ('15550000001-1623281429-1@g.us', NULL, 'group with two hyphens'),
    ('+120363012345678901@g.us', NULL, 'group with a plus'),
    ('120363 012345678901@g.us', NULL, 'group with a space'),
    ('12036301234567890a@g.us', NULL, 'group with a letter'),
    ('120363012345678901:1@g.us', NULL, 'group with a device'),
    ('120363012345678901-group', NULL, 'another vendor''s group');

SELECT plan((SELECT count(*)::int FROM spelling) + 25);

SELECT is(wawp_jid(input), normal_form, about) FROM spelling ORDER BY id;

SELECT is(wawp_jid(NULL), NULL, 'NULL stays NULL');
SELECT is(rows_of('SELECT normal_form FROM spelling WHERE wawp_jid(normal_form) <> normal_form'), '{}',
    'a normal form is its own normal form');
SELECT is(rows_of($$SELECT wawp_jid(input) FROM spelling
                    WHERE wawp_jid(input) IS NOT NULL AND NOT wawp_is_person_jid(wawp_jid(input))
                      AND NOT wawp_is_group_jid(wawp_jid(input)) AND wawp_jid(input) !~ '^[0-9]+@lid$'$$), '{}',
    'a normal form is a person, a group or a privacy id');

-- ---- is it one, to the letter?

SELECT is(concat_ws(' ', wawp_is_group_jid(input), wawp_is_person_jid(input)), expected, about)
FROM (VALUES
    ('120363012345678901@g.us', 't f', 'a group'),
    ('15550000001-1623281429@g.us', 't f', 'a group, old form'),
    ('15551234567@c.us', 'f t', 'a person'),
    ('15551234567@s.whatsapp.net', 'f t', 'the same person'),
    ('123456789012345@lid', 'f f', 'a privacy id is neither'),
    ('15551234567', 'f f', 'bare digits are neither'),
    ('', 'f f', 'nothing is neither'),
    ('@c.us', 'f f', 'a person''s server is neither'),
    ('@g.us', 'f f', 'a group''s server is neither'),
    ('1234@g.us', 'f f', 'a short group is neither'),
    ('15550000001-@g.us', 'f f', 'a group without a time is neither'),
    ('123456@c.us', 'f f', 'a short person is neither'),
    ('1234567890123456@c.us', 'f f', 'a long person is neither'),
    ('05551234567@c.us', 'f f', 'a national form is neither'),
    (' 120363012345678901@g.us', 'f f', 'a group after a space is neither'),
    ('15551234567@c.us ', 'f f', 'a person before a space is neither'),
    ('15551234567@C.US', 'f f', 'capitals are neither'),
    ('15551234567:1@c.us', 'f f', 'a device is neither'),
    ('+15551234567@c.us', 'f f', 'a plus is neither'),
    (E'\u0661\u0665\u0665\u0665\u0661\u0662\u0663@c.us', 'f f', 'other digits are neither'),
    ('120363012345678901@newsletter', 'f f', 'a channel is neither')
) t(input, expected, about);
SELECT is(coalesce(wawp_is_group_jid(NULL), wawp_is_person_jid(NULL)), NULL, 'NULL is NULL');

SELECT * FROM finish();
ROLLBACK;
