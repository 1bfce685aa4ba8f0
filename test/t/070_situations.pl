
# Calls in all situations: not preloaded, on a standby, in databases of other encodings, for other roles, in parallel
# plans; and dump, restore and DROP EXTENSION.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Encode qw(decode encode);
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $add = "SELECT outcome FROM wawp_add_participants('$group', ARRAY['15551230500'])";
my $read = "SELECT count(*) FROM wawp_participants('$group')";

# Every function that needs the API, with arguments that would do.
my %calls = (
	wawp_add_participants => "'$group', ARRAY['15551230500']",
	wawp_remove_participants => "'$group', ARRAY['15551230500']",
	wawp_promote_participants => "'$group', ARRAY['15551230500']",
	wawp_demote_participants => "'$group', ARRAY['15551230500']",
	wawp_check_participants => "'$group', ARRAY['15551230500']",
	wawp_join_requests => "'$group'",
	wawp_participants => "'$group'",
	wawp_group_info => "'$group'",
	wawp_groups => '',
	wawp_create_group => "'subject', ARRAY['15551230500']",
	wawp_invite_link => "'$group'",
	wawp_revoke_invite_link => "'$group'",
	wawp_send_text => "'$group', 'hello'",
	wawp_check_exists => "ARRAY['15551230500']",
	wawp_session => '',
	wawp_sync_group => "'$group', ARRAY['15551230500']");
my $pure = "SELECT wawp_jid('+1 555 123 0500'), wawp_is_group_jid('$group'), wawp_is_person_jid('$group'),
	(SELECT outcome FROM wawp_classify('add', 200, '{\"ok\":true}'))";
my $pure_answer = '15551230500@c.us|t|f|accepted';

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, init => [ allows_streaming => 1 ],
	conf => "max_worker_processes = 24\n");
my $session = WawpTest->session($node);

is($session->ask(<<SQL)->{out}, join("\n", sort keys %calls), 'the functions that need the API are those tested here');
SELECT proname FROM pg_proc JOIN pg_depend ON objid = pg_proc.oid AND classid = 'pg_proc'::regclass AND deptype = 'e'
JOIN pg_extension e ON refobjid = e.oid AND extname = 'wawp' WHERE procost = 10000
ORDER BY proname COLLATE "C"
SQL

# ---- in parallel plans

is($session->ask(<<SQL)->{out}, 'u', 'none of them is for parallel plans');
SELECT DISTINCT proparallel FROM pg_proc WHERE proname IN (@{[ join ',', map { "'$_'" } keys %calls ]})
SQL
my ($parallel) = $session->ask("SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')")->{out};
is($session->ask("SET $parallel = on; $read; $add")->{out}, "2\naccepted", 'they work where parallel plans are wanted');
$session->ask(<<SQL);
CREATE FUNCTION disguise() RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS 'BEGIN RETURN wawp_invite_link(''$group''); END';
SQL
my $answer = $session->ask('SELECT disguise()');
is($answer->{state}, '25000', 'in a parallel worker they are refused');
like($answer->{err}, qr/wawp_invite_link\(\) cannot be called in a parallel worker/, '... by name');
$session->ask("RESET $parallel; DROP FUNCTION disguise()");

# ---- roles

$session->ask(<<SQL);
CREATE ROLE owner; CREATE ROLE caller LOGIN; CREATE ROLE stranger LOGIN;
CREATE SERVER private FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'WEBJS1', base_url '@{[ $sim->url ]}');
CREATE USER MAPPING FOR owner SERVER private OPTIONS (access_token 'secret');
CREATE USER MAPPING FOR caller SERVER private OPTIONS (access_token 'wrong');
GRANT USAGE ON FOREIGN SERVER private TO owner;
GRANT USAGE ON FOREIGN SERVER support TO caller;
GRANT CREATE ON SCHEMA public TO owner;
SET ROLE owner;
CREATE FUNCTION on_behalf() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
	RETURN (SELECT outcome || ' ' || code FROM public.wawp_add_participants('$group', ARRAY['15551230511'], 'private'));
CREATE FUNCTION as_caller() RETURNS text LANGUAGE sql
	RETURN (SELECT outcome FROM public.wawp_add_participants('$group', ARRAY['15551230511'], 'private'));
RESET ROLE;
SQL
my %roles = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(caller stranger);
is($roles{stranger}->ask($pure)->{out}, $pure_answer, 'the pure functions are everybody\'s');
foreach my $name (sort keys %calls)
{
	my $arguments = join ', ', grep { length } $calls{$name}, "instance => 'support'";
	is($roles{stranger}->ask("SELECT * FROM $name($arguments)")->{state}, '42501', "$name without USAGE");
}
is($roles{stranger}->ask($add)->{state}, '42704', 'without USAGE on any, there is no instance to choose');
is($roles{caller}->ask($add)->{out}, 'accepted', 'with USAGE on one, it is that');
is($roles{caller}->ask("SELECT as_caller()")->{state}, '42501', 'a function runs as its caller');
$sim->reset;
is($roles{caller}->ask('SELECT on_behalf()')->{out}, 'added 200', '... and SECURITY DEFINER as its owner');
is_deeply([ map { "$_->{body}{instance_id} $_->{body}{access_token}" } $sim->ledger ], ['WEBJS1 secret'], '... with its owner\'s mapping');
$session->ask('GRANT USAGE ON FOREIGN SERVER private TO caller');
is($roles{caller}->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['15551230511'], 'private')")->{out},
	'auth_failed', 'while the caller\'s own calls use the caller\'s');
is($roles{caller}->ask($add)->{state}, '22023', 'with USAGE on two, one must be named');
is($roles{caller}->ask("SET wawp.instance = 'support'; $add")->{out}, 'accepted', '... by a parameter');
$session->ask('REVOKE USAGE ON FOREIGN SERVER support, private FROM caller');
is($roles{caller}->ask($add)->{state}, '42501', 'USAGE taken away counts at once');
$_->quit foreach values %roles;

# ---- other encodings

sub database
{
	my ($name, $encoding) = @_;
	$session->ask("CREATE DATABASE $name ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	my $created = $session->ask("SELECT 1 FROM pg_database WHERE datname = '$name'")->{out};
	BAIL_OUT("no database of $encoding") unless $created;
	$node->safe_psql($name, 'CREATE EXTENSION wawp');
	WawpTest->create_server($node, 'support', $sim, {}, $name);
	my $in_it = WawpTest->session($node, $name);
	$in_it->ask("SET client_encoding = '$encoding'");
	return $in_it;
}

# The API says in escapes and in plain what no single byte can.
my $text = "Caf\x{e9} \x{1F600} \x{4F60}";
my $escaped = 'Caf\u00e9 \ud83d\ude00 \u4f60';
my %converted = (
	LATIN1 => encode('latin1', "Caf\x{e9} ? ?"),
	WIN1252 => encode('cp1252', "Caf\x{e9} ? ?"),
	EUC_JP => undef,
	SQL_ASCII => encode('utf8', $text),
	UTF8 => encode('utf8', $text));

foreach my $encoding (sort keys %converted)
{
	my $in_it = database(lc "in_$encoding", $encoding);
	my $expected = $converted{$encoding};

	$sim->reset;
	is($in_it->ask($add)->{out}, 'accepted', "$encoding: an add");
	foreach my $written (encode('utf8', $text), $escaped)
	{
		my $how = $written eq $escaped ? 'escaped' : 'plain';
		my $body = decode('utf8', qq({"id":"$group","subject":"$written","participants":[],"note":"$written"}));

		$sim->unrule;
		$sim->rule(
			{
				match => { path => 'participants/add$' },
				times => undef,
				answer => { status => 500, text => decode('utf8', qq({"statusCode":500,"message":"$written"})) }
			},
			{ match => { path => 'groups/[^/]*$' }, times => undef, answer => { text => $body } });

		$answer = $in_it->ask("SELECT outcome, detail FROM wawp_add_participants('$group', ARRAY['15551230500'])");
		is($answer->{state}, '', "$encoding, $how: a failed add is a row") || diag($answer->{err});
		like($answer->{out}, qr/^server_error\|Caf/, '... with its detail');
		is($answer->{out}, "server_error|$expected", '... as far as it can be said') if defined $expected;
		$answer = $in_it->ask("SELECT subject FROM wawp_group_info('$group')");
		is($answer->{state}, '', "$encoding, $how: a group is described") || diag($answer->{err});
		is($answer->{out}, $expected, '... its subject as far as it can be said') if defined $expected;
		$answer = $in_it->ask("SELECT raw->>'note' = subject FROM wawp_group_info('$group')");
		is($answer->{out}, 't', '... its raw description the same way') || diag($answer->{err});
		$answer = $in_it->ask("SELECT wawp_revoke_invite_link('$group'), detail
			FROM wawp_add_participants('$group', ARRAY['15551230500'])");
		is($answer->{state}, '', '... and the rest works');
	}

	# what goes out is UTF-8
	$sim->reset;
	my $name = $encoding eq 'EUC_JP' ? "\x{65E5}\x{672C}" : "Caf\x{e9}";
	my $bytes = encode({ LATIN1 => 'latin1', WIN1252 => 'cp1252', EUC_JP => 'euc-jp' }->{$encoding} // 'utf8', $name);
	is($in_it->ask("SELECT wawp_send_text('$group', '$bytes') IS NOT NULL")->{out}, 't', "$encoding: a message");
	is(($sim->ledger)[-1]{body}{message}, $name, '... arrives as it was meant');
	$in_it->quit;
}
my $ascii = WawpTest->session($node, 'in_sql_ascii');
is($ascii->ask("SELECT wawp_send_text('$group', E'Caf\\xe9')")->{state}, '22021', 'SQL_ASCII: what is no UTF-8 is not sent');
$ascii->quit;

# A NUL that JSON can say and text cannot
$sim->reset;
$sim->rule({ match => { path => 'groups' }, times => undef,
	answer => { text => qq({"id":"$group","subject":"a\\u0000b","participants":[],"message":"a\\u0000b"}) } });
like($session->ask("SELECT count(*) FROM wawp_group_info('$group', 'support')")->{state}, qr/^(|08P01)$/, 'a \u0000 is no error of another kind');
is($session->ask("SELECT count(*) FROM wawp_add_participants('$group', ARRAY['15551230500'], 'support')")->{out}, '1', '... or a row');
$sim->reset;

# ---- more than one database, more than one schema

$session->ask('CREATE DATABASE second');
my $second = WawpTest->session($node, 'second');
$second->ask('CREATE SCHEMA elsewhere; CREATE EXTENSION wawp SCHEMA elsewhere');
WawpTest->create_server($node, 'support', $sim, {}, 'second');
is($second->ask($add =~ s/wawp_/elsewhere.wawp_/r)->{out}, 'accepted', 'in a second database, in a schema of choice');
is($second->ask($add)->{state}, '42883', '... which is not searched by itself');
is($second->ask("SELECT pg_typeof(outcome) FROM elsewhere.wawp_classify('add', 200, '')")->{out}, 'wawp.outcome', '... its nouns in schema wawp');
is($second->ask('ALTER EXTENSION wawp SET SCHEMA public')->{state}, '0A000', '... for good');
$second->quit;

# ---- DROP EXTENSION

my $contents = <<'SQL';
SELECT 'class ' || oid::regclass FROM pg_class WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'type ' || oid::regtype FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
UNION ALL SELECT 'wrapper ' || fdwname FROM pg_foreign_data_wrapper
UNION ALL SELECT 'server ' || srvname FROM pg_foreign_server
UNION ALL SELECT 'mapping ' || umid FROM pg_user_mappings
UNION ALL SELECT 'extension ' || extname FROM pg_extension
UNION ALL SELECT 'trigger ' || evtname FROM pg_event_trigger
UNION ALL SELECT 'depend ' || d::text FROM pg_depend d WHERE objid >= 16384
UNION ALL SELECT 'initial ' || p::text FROM pg_init_privs p WHERE objoid >= 16384
UNION ALL SELECT 'default ' || a::text FROM pg_default_acl a
ORDER BY 1
SQL
$session->ask('CREATE DATABASE third TEMPLATE template0');
my $third = WawpTest->session($node, 'third');
my $before = $third->ask($contents)->{out};
$third->ask('CREATE EXTENSION wawp');
isnt($third->ask($contents)->{out}, $before, 'CREATE EXTENSION makes something');
is($third->ask('DROP EXTENSION wawp')->{state}, '', 'DROP EXTENSION works');
is($third->ask($contents)->{out}, $before, '... and leaves nothing');
$third->ask('CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim, {}, 'third');
is($third->ask($add)->{out}, 'accepted', 'created again, it works in the session that dropped it');
is($third->ask('DROP EXTENSION wawp')->{state}, '2BP01', 'an instance keeps it from being dropped');
is($third->ask('DROP EXTENSION wawp CASCADE')->{state}, '', '... but for CASCADE');
is($third->ask($contents)->{out}, $before, '... which leaves nothing either');
is($third->ask("CREATE SCHEMA wawp; CREATE EXTENSION wawp")->{state}, '42P06', 'a schema wawp of somebody else is not taken over');
$third->quit;

# ---- dump and restore

$session->ask("CREATE DATABASE copy TEMPLATE template0; CREATE TABLE kept (who text CHECK (wawp_is_person_jid(who)), jid text
	GENERATED ALWAYS AS (wawp_jid(who)) STORED, outcome wawp.outcome); INSERT INTO kept VALUES ('15551230500\@c.us', DEFAULT, 'added')");
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
foreach my $format (qw(plain custom))
{
	$node->command_ok([ 'pg_dump', "--format=$format", '--file', "$dump.$format", '--dbname', $node->connstr('postgres') ], "pg_dump, $format");
}
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.plain", '-d', $node->connstr('copy') ], 'restored');
my $copy = WawpTest->session($node, 'copy');
$sim->reset;
is($copy->ask("SELECT outcome, detail FROM wawp_add_participants('$group', ARRAY['15551230500'], 'support')")->{out},
	'accepted|', '... server and mapping work in the copy, by hand');
is($copy->ask('SELECT * FROM kept')->{out}, '15551230500@c.us|15551230500@c.us|added', '... as do its types and functions');
is($copy->ask("SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'")->{out},
	$session->ask("SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'")->{out},
	'... the extension has all its members');
$copy->quit;

# ---- on a standby

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $there = WawpTest->session($standby);
$sim->reset;
is($there->ask($pure)->{out}, $pure_answer, 'on a standby the pure functions work');
foreach my $name (sort keys %calls)
{
	my $arguments = join ', ', grep { length } $calls{$name}, "instance => 'support'";
	$answer = $there->ask("SELECT * FROM $name($arguments)");
	is($answer->{state}, '25006', "... $name does not");
	like($answer->{err}, qr/HINT:/, '... with a hint');
}
is($sim->count, 0, '... and nothing is sent');
$standby->promote;
is($there->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['15551230500'], 'support')")->{out}, 'accepted',
	'promoted, it works in the session that was there');
$there->quit;
$standby->stop;

# ---- read-only transactions, which are not about the API

$sim->reset;
is($session->ask("BEGIN READ ONLY; SELECT count(*) FROM wawp_participants('$group', 'support'); COMMIT")->{out}, '2',
	'reading works in a read-only transaction');
$session->quit;

# ---- not preloaded

$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;
$sim->reset;
$session = WawpTest->session($node);
is($session->ask($pure)->{out}, $pure_answer, 'not preloaded, the pure functions work');
foreach my $name (sort keys %calls)
{
	my $arguments = join ', ', grep { length } $calls{$name}, "instance => 'support'";
	$answer = $session->ask("SELECT * FROM $name($arguments)");
	is($answer->{state}, '55000', "... $name does not");
	like($answer->{err}, qr/$name\(\).*HINT:.*shared_preload_libraries/s, '... with the hint');
}
is($sim->count, 0, '... and nothing is sent');
is($session->ask("CREATE SERVER late FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'A', base_url '@{[ $sim->url ]}')")->{state},
	'', 'CREATE SERVER works');
is($session->ask("CREATE USER MAPPING FOR PUBLIC SERVER late OPTIONS (access_token 'x')")->{state}, '', '... and CREATE USER MAPPING');
is($session->ask("ALTER SERVER late OPTIONS (ADD timeout_s '1')")->{state}, 'HV00D', '... and is checked');
is($session->ask("CREATE SERVER worse FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'A', base_url 'https://api.example')")->{state},
	'22023', '... against wawp.allowed_hosts, too');
$session->ask('CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr('restored'), "$dump.custom" ], 'a dump can be restored');
$session->quit;

# What a session sets before the library is there does not count where only the administrator may set it.
foreach my $options ('', '-c wawp.allowed_hosts=api.example')
{
	$session = WawpTest->session($node, 'postgres', options => $options);
	$session->ask("SET wawp.allowed_hosts = 'api.example'; $pure");
	unlike($session->ask('SHOW wawp.allowed_hosts')->{out}, qr/api\.example/, 'the list of hosts is not the session\'s');
	is($session->ask("CREATE SERVER worse FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'A', base_url 'https://api.example')")->{state},
		'22023', '... and is obeyed');
	$session->quit;
}

done_testing();
