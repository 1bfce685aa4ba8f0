\set ECHO none
-- instance: servers and user mappings, their options, permission to use them, the token that is taken.
\i test/sql-include/setup.sql

CREATE ROLE regress_wawp_user;
CREATE ROLE regress_wawp_other;

-- What becomes of CREATE SERVER with that option: 'accepted', or 'STATE detail'.
CREATE FUNCTION try_server(option text, value text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE format('CREATE SERVER tried FOREIGN DATA WRAPPER wawp OPTIONS (%s%I %L)',
                   CASE WHEN option <> 'instance_id' THEN 'instance_id ''X'', ' ELSE '' END, option, value);
    DROP SERVER tried;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || detail;
END $$;

CREATE TEMP TABLE option_value (id serial, option text, value text, expected text);
INSERT INTO option_value (option, value, expected) VALUES
    ('instance_id', 'ABC123', 'accepted'),
    ('instance_id', '123456789', 'accepted'),
    ('instance_id', '', '22023 It must not be empty.'),
    ('instance_id', E'ABC\n123', '22023 It must not have control characters.'),
    ('instance_id', repeat('A', 500), 'accepted'),
    ('instance_id', repeat('A', 501), '22023 It must have at most 500 bytes.'),
    ('connect_timeout_ms', '500', 'accepted'),
    ('connect_timeout_ms', '2s', 'accepted'),
    ('connect_timeout_ms', '0', '22023 It must be between %'),
    ('connect_timeout_ms', '-1', '22023 It must be between %'),
    ('connect_timeout_ms', '2h', '22023 It must be between %'),
    ('connect_timeout_ms', 'soon', '22023 It must be a number of milliseconds.'),
    ('connect_timeout_ms', '', '22023 It must be a number of milliseconds.'),
    ('connect_timeout_ms', '99999999999', '22023 %'),
    ('timeout_ms', '60000', 'accepted'),
    ('timeout_ms', '1min', 'accepted'),
    ('timeout_ms', '0', '22023 It must be between %'),
    ('timeout_ms', '5 apples', '22023 It must be a number of milliseconds.'),
    ('auth', 'body', 'accepted'),
    ('auth', 'query', 'accepted'),
    ('auth', 'header', 'accepted'),
    ('auth', 'basic', '22023 It must be "body", "query" or "header".'),
    ('auth', '', '22023 It must be "body", "query" or "header".'),
    ('ca_file', '/etc/ssl/certs/ca.pem', 'accepted'),
    ('ca_file', 'ca.pem', '22023 It must be an absolute path.'),
    ('ca_file', '', '22023 It must be an absolute path.'),
    ('concurrency', '1', 'accepted'),
    ('concurrency', '8', 'accepted'),
    ('concurrency', '0', '22023 It must be between %'),
    ('concurrency', '1.5', '22023 %'),
    ('concurrency', 'many', '22023 It must be a whole number.'),
    ('batch_size', '1', 'accepted'),
    ('batch_size', '50', 'accepted'),
    ('batch_size', '51', '22023 It must be between 1 and 50.'),
    ('batch_size', '0', '22023 It must be between 1 and 50.'),
    ('adds_per_minute', '6', 'accepted'),
    ('adds_per_minute', '0', 'accepted'),
    ('adds_per_minute', '0.5', 'accepted'),
    ('adds_per_minute', '-1', '22023 It must be between %'),
    ('adds_per_minute', 'NaN', '22023 It must be a number.'),
    ('adds_per_minute', 'Infinity', '22023 %'),
    ('adds_per_minute', 'six', '22023 It must be a number.'),
    ('adds_burst', '0', 'accepted'),
    ('adds_burst', '20', 'accepted'),
    ('adds_burst', '-1', '22023 It must be between %'),
    ('adds_per_day', '0', 'accepted'),
    ('adds_per_day', '100', 'accepted'),
    ('adds_per_day', '-1', '22023 It must be between %'),
    ('adds_per_day', '1 day', '22023 It must be a whole number.'),
    ('invites_per_minute', '2', 'accepted'),
    ('invites_per_minute', '-2', '22023 It must be between %'),
    ('checks_per_minute', '30', 'accepted'),
    ('checks_per_minute', 'x', '22023 It must be a number.'),
    ('reads_per_minute', '60', 'accepted'),
    ('reads_per_minute', '0', 'accepted'),
    ('reads_per_minute', '-1', '22023 It must be between %'),
    ('reads_per_minute', 'x', '22023 It must be a number.'),
    ('pace_jitter', '0', 'accepted'),
    ('pace_jitter', '0.2', 'accepted'),
    ('pace_jitter', '-0.1', '22023 It must be between %'),
    ('verify_delays', '3s,15s,60s', 'accepted'),
    ('verify_delays', '50ms', 'accepted'),
    ('verify_delays', ' 1s, 2s , 1min', 'accepted'),
    ('verify_delays', '1s,2s,3s,4s,5s,6s,7s,8s,9s,10s', 'accepted'),
    ('verify_delays', '1s,2s,3s,4s,5s,6s,7s,8s,9s,10s,11s', '22023 It must be a list of up to 10%'),
    ('verify_delays', '', '22023 It must be a list%'),
    ('verify_delays', '3', '22023 It must be a list%'),
    ('verify_delays', '3s,15', '22023 It must be a list%'),
    ('verify_delays', '3s,', '22023 It must be a list%'),
    ('verify_delays', '15s,3s', '22023 It must be a list%'),
    ('verify_delays', '3s,3s', '22023 It must be a list%'),
    ('verify_delays', '2h', '22023 It must be a list%'),
    ('verify_delays', '-3s', '22023 It must be a list%'),
    ('verify_delays', '3s;15s', '22023 It must be a list%'),
    ('invite_ttl', '72h', 'accepted'),
    ('invite_ttl', '3d', 'accepted'),
    ('invite_ttl', '30min', 'accepted'),
    ('invite_ttl', '72', '22023 It must be a duration with its unit%'),
    ('invite_ttl', '0s', '22023 %'),
    ('invite_ttl', '-1h', '22023 It must be a duration with its unit%'),
    ('invite_ttl', '400d', '22023 %'),
    ('invite_ttl', 'a week', '22023 It must be a duration with its unit%'),
    ('quiet_hours', '21:00-08:00 Europe/Madrid', 'accepted'),
    ('quiet_hours', '12:30-14:00 UTC', 'accepted'),
    ('quiet_hours', '21:00-08:00', 'accepted'),
    ('quiet_hours', '21:00-08:00 Europe/Atlantis', '22023 "Europe/Atlantis" is not a time zone; %'),
    ('quiet_hours', '21:00-08:00 UTC+2', 'accepted'),
    ('quiet_hours', '21:00-08:00 -03:30', 'accepted'),
    ('quiet_hours', '21:00-08:00 EST5EDT', 'accepted'),
    ('quiet_hours', '21:00-08:00 Etc/GMT+2', 'accepted'),
    ('quiet_hours', '21:00-08:00 UTC+15', '22023 "UTC+15" is not a time zone; %'),
    ('quiet_hours', '21:00-08:00 UTC+2h', '22023 "UTC+2h" is not a time zone; %'),
    ('quiet_hours', '21:00-08:00 XYZ-2', '22023 "XYZ-2" is not a time zone; %'),
    ('quiet_hours', '21:00-08:00 <+02>-2', '22023 "<+02>-2" is not a time zone; %'),
    ('quiet_hours', '21:00', '22023 It must be a time span%'),
    ('quiet_hours', '08:00-08:00', '22023 A time span that ends when it begins is empty%'),
    ('quiet_hours', '21:00-', '22023 It must be a time span%'),
    ('quiet_hours', '24:00-08:00 UTC', '22023 It must be a time span%'),
    ('quiet_hours', '21:60-08:00 UTC', '22023 It must be a time span%'),
    ('quiet_hours', '21:00-08:00UTC', '22023 It must be a time span%'),
    ('quiet_hours', 'at night', '22023 It must be a time span%'),
    ('quiet_hours', '', '22023 It must be a time span%'),
    ('base_url', 'http://127.0.0.1:8080', 'accepted'),
    ('base_url', 'https://127.0.0.1', 'accepted'),
    ('base_url', 'HTTP://127.0.0.1', 'accepted'),
    ('base_url', 'http://127.0.0.1:8080/gateway/', 'accepted'),
    ('base_url', 'https://wawp-is-not-listed.example', '22023 Host "wawp-is-not-listed.example" is not in wawp.allowed_hosts.'),
    ('base_url', 'https://127.0.0.1.example', '22023 Host "127.0.0.1.example" is not in wawp.allowed_hosts.'),
    ('base_url', 'http://127.1.2.3', '22023 Host "127.1.2.3" is not in wawp.allowed_hosts.'),
    ('base_url', 'http://api.wawp.net', '22023 Only https is safe for a token.'),
    ('base_url', 'http://192.168.1.1', '22023 Only https is safe for a token.'),
    ('base_url', 'ftp://127.0.0.1', '22023 %it must start with "https://"%'),
    ('base_url', 'file:///etc/passwd', '22023 %'),
    ('base_url', '127.0.0.1:8080', '22023 %'),
    ('base_url', 'not a url', '22023 %'),
    ('base_url', '', '22023 %'),
    ('base_url', E'http://127.0.0.1\n', '22023 %'),
    ('base_url', 'http://ana@127.0.0.1', '22023 %a user name or password does not belong in it.'),
    ('base_url', 'http://ana:hunter2@127.0.0.1', '22023 %a user name or password does not belong in it.'),
    ('base_url', 'http://127.0.0.1@wawp-is-not-listed.example', '22023 %'),
    ('base_url', 'http://127.0.0.1/?access_token=hunter2', '22023 %a query or fragment does not belong in it.'),
    ('base_url', 'http://127.0.0.1/#top', '22023 %a query or fragment does not belong in it.');

SELECT plan((SELECT count(*)::int FROM option_value) + 70);

-- ---- options of the server

SELECT alike(try_server(option, value), expected, format('%s %s', option, to_json(value)))
FROM option_value ORDER BY id;
SELECT is(rows_of($$SELECT value FROM option_value WHERE option = 'base_url' AND try_server(option, value) LIKE '%hunter2%'$$),
    '{}', 'a secret that was put into a URL is not quoted');

SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp$$, 'HV002', '%"instance_id"%', NULL, NULL, 'instance_id is required');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', instanceid 'Y')$$,
    'HV00D', 'invalid option "instanceid"', NULL, 'Perhaps you meant the option "instance_id".', 'an unknown option and what was meant');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', adds_per_min '6')$$,
    'HV00D', NULL, NULL, '%"adds_per_minute"%', 'another one');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', read_per_minute '6')$$,
    'HV00D', NULL, NULL, '%"reads_per_minute"%', 'and another');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', verify_delay '3s')$$,
    'HV00D', NULL, NULL, '%"verify_delays"%', 'and another one');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', zzzzzzzzzzzzzzzz '1')$$,
    'HV00D', 'invalid option "zzzzzzzzzzzzzzzz"', NULL, '', 'nothing is near enough');
SELECT raises(format($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', %s '1')$$, repeat('a', 60)),
    'HV00D', NULL, NULL, NULL, 'a long name');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', access_token 'hunter2')$$,
    'HV00D', 'invalid option "access_token"', '', '%USER MAPPING%', 'a token does not belong on a server');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'X', webhook_secret 'hunter2')$$,
    'HV00D', 'invalid option "webhook_secret"', '', '%USER MAPPING%', 'nor does a webhook''s secret');
SELECT raises($$ALTER FOREIGN DATA WRAPPER wawp OPTIONS (ADD instance_id 'X')$$,
    'HV00D', NULL, NULL, '%SERVER%', 'the wrapper has no options');

CREATE SERVER support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url :'url');
SELECT raises($$ALTER SERVER support OPTIONS (DROP instance_id)$$, 'HV002', NULL, NULL, NULL, 'instance_id cannot be dropped');
SELECT raises($$ALTER SERVER support OPTIONS (SET base_url 'https://wawp-is-not-listed.example')$$, '22023', NULL,
    '%wawp.allowed_hosts%', '%wawp.allowed_hosts%', 'ALTER SERVER checks as CREATE SERVER does');
SELECT lives_ok($$ALTER SERVER support OPTIONS (ADD adds_per_minute '0', ADD batch_size '5')$$, 'ALTER SERVER adds options');
SELECT lives_ok($$ALTER SERVER support OPTIONS (DROP batch_size)$$, 'ALTER SERVER drops options');

-- ---- options of the mapping

SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token '')$$, '22023', '%"access_token"%',
    'It must not be empty.', NULL, 'an empty token');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token E'hunter2\r\nX-Evil: 1')$$, '22023',
    'invalid value for option "access_token"', 'It must not have control characters.', '', 'a token with a line end, which is not quoted');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (webhook_secret '')$$, '22023', NULL, NULL, NULL, 'an empty webhook_secret');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (acces_token 'hunter2')$$, 'HV00D', 'invalid option "acces_token"',
    '', 'Perhaps you meant the option "access_token".', 'an unknown option, whose value is not quoted');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (instance_id 'X')$$, 'HV00D', NULL, NULL, '%CREATE SERVER%',
    'an option of the server');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'hunter2', access_token_file '/token')$$,
    '22023', '%exclude each other%', NULL, NULL, 'a token and a file of it');
SELECT raises($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token_file 'token')$$, '22023', NULL,
    'It must be an absolute path.', NULL, 'a relative path');
SELECT lives_ok($$CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret', webhook_secret 'x')$$,
    'a token and a webhook''s secret');

-- ---- options that read files, for a role that may create servers

GRANT USAGE ON FOREIGN DATA WRAPPER wawp TO regress_wawp_user;
SET ROLE regress_wawp_user;
SELECT lives_ok($$CREATE SERVER own FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123')$$, 'a role with USAGE on the wrapper creates a server');
SELECT raises($$CREATE USER MAPPING FOR regress_wawp_user SERVER own OPTIONS (access_token_file '/etc/passwd')$$, '42501',
    '%"access_token_file"%', 'Only superusers%', '%"access_token"%', 'but names no file of a token');
SELECT raises($$ALTER SERVER own OPTIONS (ADD ca_file '/etc/ssl/certs/ca.pem')$$, '42501', '%"ca_file"%', '%pg_read_server_files%', NULL,
    'nor a CA file');
SELECT raises($$ALTER SERVER own OPTIONS (ADD base_url 'https://wawp-is-not-listed.example')$$, '22023', NULL, NULL, NULL,
    'nor a host that is not allowed');
RESET ROLE;
GRANT pg_read_server_files TO regress_wawp_user;
SET ROLE regress_wawp_user;
SELECT lives_ok($$ALTER SERVER own OPTIONS (ADD ca_file '/etc/ssl/certs/ca.pem')$$, 'with pg_read_server_files a CA file');
SELECT raises($$CREATE USER MAPPING FOR regress_wawp_user SERVER own OPTIONS (access_token_file '/etc/passwd')$$, '42501',
    NULL, NULL, NULL, 'and still no file of a token');
RESET ROLE;
REVOKE pg_read_server_files FROM regress_wawp_user;
DROP SERVER own;

-- ---- which instance, and who may use it.  wawp_session is the call that needs least.

SELECT is(rows_of('SELECT instance, status FROM wawp_session()'), ARRAY['(support,WORKING)'], 'the only instance need not be named');
SELECT raises($$SELECT wawp_session('nobody')$$, '42704', '%"nobody" does not exist%', '', '%CREATE SERVER%', 'an instance that does not exist');
CREATE FOREIGN DATA WRAPPER regress_wawp_wrapper;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER regress_wawp_wrapper;
SELECT raises($$SELECT wawp_session('elsewhere')$$, '42704', NULL, '%"elsewhere" is not of the foreign-data wrapper "wawp"%', NULL,
    'a server of another wrapper is no instance');
SELECT is(rows_of('SELECT instance FROM wawp_session()'), ARRAY['(support)'], 'nor is it taken for one');

CREATE SERVER sales FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'STOPPED1', base_url :'url');
CREATE USER MAPPING FOR PUBLIC SERVER sales OPTIONS (access_token 'secret');
SELECT raises($$SELECT wawp_session()$$, '22023', '%several%', '%"support"%', '%wawp.instance%', 'of several one must be named');
SELECT raises($$SELECT * FROM wawp_add_participants('120363012345678901@g.us', '{15551230001}')$$, '22023', '%several%', NULL, NULL,
    'for membership as well');
SELECT is(rows_of($$SELECT instance, status FROM wawp_session('sales')$$), ARRAY['(sales,STOPPED)'], 'by the argument');
SET wawp.instance = 'sales';
SELECT is(rows_of($$SELECT instance, status FROM wawp_session()$$), ARRAY['(sales,STOPPED)'], 'by wawp.instance');
SELECT is(rows_of($$SELECT instance, status FROM wawp_session('support')$$), ARRAY['(support,WORKING)'], 'the argument wins');
SET wawp.instance = 'nobody';
SELECT raises($$SELECT wawp_session()$$, '42704', '%"nobody"%', NULL, NULL, 'wawp.instance names one that does not exist');
SET wawp.instance = '';

SET ROLE regress_wawp_user;
SELECT raises($$SELECT wawp_session()$$, '42704', '%no Wawp instance that role "regress_wawp_user" may use%', NULL, '%granted%',
    'a role without USAGE has no instance');
SELECT raises($$SELECT wawp_session('support')$$, '42501', '%foreign server support%', NULL, NULL, 'nor may it use one by name');
SELECT raises($$SELECT * FROM wawp_add_participants('120363012345678901@g.us', '{15551230001}', 'support')$$, '42501', NULL, NULL, NULL,
    'not for membership either');
SELECT raises($$SELECT * FROM wawp_add_participants('120363012345678901@g.us', '{}', 'support')$$, '42501', NULL, NULL, NULL,
    'not even for nobody');
SET wawp.instance = 'support';
SELECT raises($$SELECT wawp_session()$$, '42501', NULL, NULL, NULL, 'wawp.instance gives no right');
SET wawp.instance = '';
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER support TO regress_wawp_user;
SET ROLE regress_wawp_user;
SELECT is(rows_of('SELECT instance FROM wawp_session()'), ARRAY['(support)'], 'the only one that the role may use');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER sales TO PUBLIC;
SET ROLE regress_wawp_user;
SELECT raises($$SELECT wawp_session()$$, '22023', NULL, 'Role "regress_wawp_user" may use %"sales"%', NULL, 'a grant to PUBLIC counts');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER sales FROM PUBLIC;

-- a function with its owner's rights
CREATE FUNCTION lent() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT status FROM wawp_session('support') $$;
ALTER FUNCTION lent() OWNER TO regress_wawp_user;
SET ROLE regress_wawp_other;
SELECT raises($$SELECT wawp_session('support')$$, '42501', NULL, NULL, NULL, 'another role may not use the instance');
SELECT is(lent(), 'WORKING', 'but a function of one that may');
RESET ROLE;

-- ---- whose token

SELECT is(rows_of($$SELECT outcome FROM wawp_add_participants('120363012345678901@g.us', '{15550000002}', 'support')$$), ARRAY['(accepted)'],
    'PUBLIC''s mapping');
CREATE USER MAPPING FOR regress_wawp_user SERVER support OPTIONS (access_token 'wrong');
SET ROLE regress_wawp_user;
SELECT is(rows_of($$SELECT outcome FROM wawp_add_participants('120363012345678901@g.us', '{15550000002}', 'support')$$), ARRAY['(auth_failed)'],
    'the role''s own mapping comes before PUBLIC''s');
RESET ROLE;
ALTER USER MAPPING FOR regress_wawp_user SERVER support OPTIONS (SET access_token 'secret');
ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (SET access_token 'wrong');
SET ROLE regress_wawp_user;
SELECT is(rows_of($$SELECT outcome FROM wawp_add_participants('120363012345678901@g.us', '{15550000002}', 'support')$$), ARRAY['(accepted)'],
    'a change of the mapping holds at the next call');
SELECT is(rows_of($$SELECT umuser <> 0, umoptions::text LIKE '%secret%' OR umoptions::text LIKE '%wrong%'
                    FROM pg_user_mappings WHERE srvname = 'support' ORDER BY 1$$), ARRAY['(f,)', '(t,t)'],
    'a role sees its own token, not PUBLIC''s');
RESET ROLE;
SET ROLE regress_wawp_other;
SELECT is((SELECT count(*)::int FROM pg_user_mappings WHERE umoptions IS NOT NULL), 0, 'another role sees none');
SELECT raises('SELECT umoptions FROM pg_user_mapping', '42501', NULL, NULL, NULL, 'nor behind the view');
RESET ROLE;
ALTER USER MAPPING FOR regress_wawp_user SERVER support OPTIONS (DROP access_token, ADD webhook_secret 'x');
SET ROLE regress_wawp_user;
SELECT raises($$SELECT wawp_session('support')$$, '42704', '%no access token%"support"%', '%"regress_wawp_user" has none%', '%USER MAPPING%',
    'a mapping without a token does not fall back on PUBLIC''s');
RESET ROLE;
DROP USER MAPPING FOR regress_wawp_user SERVER support;
DROP USER MAPPING FOR PUBLIC SERVER support;
SELECT raises($$SELECT wawp_session('support')$$, '42704', '%no access token%', '%nor PUBLIC has a user mapping%', '%CREATE USER MAPPING FOR ... SERVER support%',
    'no mapping at all');

-- a token in a file, which a superuser put there
SELECT current_setting('data_directory') || '/regress_wawp_token' AS token_file \gset
DO $$ BEGIN EXECUTE format('COPY (SELECT ''secret'') TO %L', current_setting('data_directory') || '/regress_wawp_token'); END $$;
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token_file :'token_file');
SET ROLE regress_wawp_user;
SELECT is(rows_of($$SELECT status FROM wawp_session('support')$$), ARRAY['(WORKING)'], 'a token in a file');
RESET ROLE;
DO $$ BEGIN EXECUTE format('COPY (SELECT '''') TO %L', current_setting('data_directory') || '/regress_wawp_token'); END $$;
SET ROLE regress_wawp_user;
SELECT raises($$SELECT wawp_session('support')$$, '22023', '%has none%', NULL, NULL, 'a file without a token');
RESET ROLE;
DO $$ BEGIN EXECUTE format('COPY (SELECT ''secret'' UNION ALL SELECT ''secret'') TO %L', current_setting('data_directory') || '/regress_wawp_token'); END $$;
SELECT raises($$SELECT wawp_session('support')$$, '22023', NULL, '%one line%', NULL, 'a file with two lines');
DO $$ BEGIN EXECUTE format('COPY (SELECT '''') TO PROGRAM %L', 'rm ' || quote_literal(current_setting('data_directory') || '/regress_wawp_token')); END $$;
SET ROLE regress_wawp_user;
SELECT raises($$SELECT wawp_session('support')$$, '58P01', '%file of the access token%', '', '', 'a file that is not there, whose name is nobody''s business');
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER support;
CREATE USER MAPPING FOR PUBLIC SERVER support OPTIONS (access_token 'secret');

-- ---- an instance whose host has left wawp.allowed_hosts since it was created

UPDATE pg_foreign_server SET srvoptions = ARRAY['instance_id=ABC123', 'base_url=https://wawp-is-not-listed.example'] WHERE srvname = 'sales';
SELECT raises($$SELECT wawp_session('sales')$$, '22023', '%"sales" may not be called%', 'Host "wawp-is-not-listed.example" is not in wawp.allowed_hosts.',
    '%wawp.allowed_hosts%', 'a call checks the host again');
SELECT raises($$SELECT * FROM wawp_add_participants('120363012345678901@g.us', '{15551230001}', 'sales')$$, '22023', '%may not be called%', NULL, NULL,
    'before anything is sent');

-- ---- arguments are checked before the network

\i test/sql-include/read_ledger.sql
SELECT raises(call, '22023', message, NULL, NULL, about)
FROM (VALUES
    ($$SELECT wawp_add_participants(NULL, '{15551230001}', 'support')$$, '%"group_jid"%', 'NULL group'),
    ($$SELECT wawp_add_participants('15551230001@c.us', '{15551230001}', 'support')$$, 'invalid group JID%', 'a person is no group'),
    ($$SELECT wawp_add_participants('120363012345678901', '{15551230001}', 'support')$$, 'invalid group JID%', 'a group without its suffix'),
    ($$SELECT wawp_add_participants('120363012345678901@g.us', NULL, 'support')$$, '%"jids"%', 'NULL array'),
    ($$SELECT wawp_remove_participants('x', '{15551230001}', 'support')$$, 'invalid group JID%', 'a bad group to remove from'),
    ($$SELECT wawp_promote_participants('', '{15551230001}', 'support')$$, 'invalid group JID%', 'an empty group to promote in'),
    ($$SELECT wawp_demote_participants('120363012345678901@g.us', NULL, 'support')$$, '%"jids"%', 'NULL array to demote')
) t(call, message, about);
\i test/sql-include/read_ledger.sql
SELECT is((SELECT count(*)::int FROM ledger), 0, 'nothing was sent for any of these');

SELECT * FROM finish();
ROLLBACK;
