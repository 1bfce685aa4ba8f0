
# A call that waits for the API can be interrupted at once, in each of its waits: cancel, timeouts, termination,
# shutdown, and other sessions' DROP DATABASE and the like, for which every process has to answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $newcomer = '15551230500@c.us';
my $ordinary = "SELECT outcome FROM wawp_add_participants('$group', ARRAY['$newcomer'], 'support')";

my $names = WawpTest->fake_names({ 'slow.example' => 'hang' });
my $sim = WawpTest->sim;
my $node = WawpTest->node(
	'main',
	sim => $sim,
	env => $names,
	conf => "wawp.allowed_hosts = 'localhost,127.0.0.1,slow.example'\nwawp.instance = 'support'\n");

# Two ports on which nobody answers: one lets connect, one does not even do that.
my ($deaf, $deaf_port) = WawpTest->deaf_port;
my ($full, $full_port) = WawpTest->full_port;

WawpTest->create_server($node, 'looks', $sim, { verify_delays => '10ms,60s' });
WawpTest->create_server($node, 'looks_later', $sim, { verify_delays => '60s' });
WawpTest->create_server($node, 'deaf', $sim, { base_url => "https://localhost:$deaf_port", connect_timeout_ms => 60000 });
WawpTest->create_server($node, 'busy', $sim, { base_url => "http://127.0.0.1:$full_port", connect_timeout_ms => 60000 }) if $full;
WawpTest->create_server($node, 'nameless', $sim, { base_url => 'https://slow.example', connect_timeout_ms => 60000 });

# Where a call can wait.  `path` and `requests`: what has arrived at the API by then; without them, the
# server's own word is taken.
my @places = (
	{
		name => 'for the answer to an add',
		sql => "SELECT * FROM wawp_add_participants('$group', ARRAY['15551230901'])",
		path => 'participants/add$',
		requests => 1
	},
	{
		name => 'for the answer to a read',
		sql => "SELECT wawp_invite_link('$group')",
		path => 'invite-code$',
		requests => 1
	},
	{
		name => 'in the middle of an answer',
		sql => "SELECT * FROM wawp_group_info('$group')",
		path => "groups/$group\$",
		requests => 1
	},
	{
		name => 'for the first look at the list',
		sql => "SELECT * FROM wawp_add_participants('$group', ARRAY['15551230403'], 'looks_later', verify => true)",
		path => 'participants/add$',
		requests => 1,
		sleeps => 1
	},
	{
		name => 'between two looks at the list',
		sql => "SELECT * FROM wawp_add_participants('$group', ARRAY['15551230403'], 'looks', verify => true)",
		path => 'participants$',
		requests => 1,
		sleeps => 1
	},
	{ name => 'for a TLS handshake', sql => "SELECT * FROM wawp_participants('$group', 'deaf')" },
	{ name => 'for a connection', sql => "SELECT * FROM wawp_participants('$group', 'busy')", possible => $full },
	{ name => 'for an address', sql => "SELECT * FROM wawp_participants('$group', 'nameless')", possible => $names });

@places = grep { !exists $_->{possible} || $_->{possible} } @places;

sub set_rules
{
	$sim->reset;
	$sim->rule(
		{ match => { path => 'participants/add$', body => '15551230901' }, times => undef, fault => { hang => \1 } },
		{ match => { path => 'invite-code$' }, times => undef, fault => { delay => 60 } },
		{ match => { path => 'groups/[^/]*$' }, times => undef, fault => { trickle => 10 } });
	return;
}

sub start_waiting
{
	my ($session, $place) = @_;
	my $seen = $place->{path} ? $sim->count($place->{path}) : 0;

	$session->send($place->{sql});
	wait_until_waiting($session, $place, $seen + ($place->{requests} // 0));
	return;
}

# One wait is on the latch of a process that is active and waits for an extension (its name from 17 on).
sub wait_until_waiting
{
	my ($session, $place, $requests) = @_;

	$sim->arrived($place->{path}, $requests) if $place->{path};
	return if $place->{path} && !$place->{sleeps};
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' AND state = 'active' FROM pg_stat_activity WHERE pid = " . $session->pid)
	  or die 'the session does not wait';
	return;
}

# What the session says to it and how long that took.
sub after
{
	my ($session, $action) = @_;
	my $start = time;

	$action->();
	my $answer = $session->answer;
	return ($answer, time - $start);
}

sub sql { my ($sql) = @_; return sub { $node->safe_psql('postgres', $sql) }; }

foreach my $place (@places)
{
	my $name = "waiting $place->{name}";
	my $session = WawpTest->session($node);
	my $pid = $session->pid;
	my ($answer, $seconds);

	set_rules();
	start_waiting($session, $place);
	($answer, $seconds) = after($session, sql("SELECT pg_cancel_backend($pid)"));
	is($answer->{state}, '57014', "$name: pg_cancel_backend");
	is_soon($seconds, '... at once');
	is($session->ask($ordinary)->{out}, 'accepted', '... and the next call works');

	$session->ask("SET statement_timeout = '300ms'");
	$answer = $session->ask($place->{sql});
	is($answer->{state}, '57014', "$name: statement_timeout");
	like($answer->{err}, qr/statement timeout/, '... by its name');
	cmp_ok($answer->{seconds}, '>', 0.25, '... not before');
	is_soon($answer->{seconds}, '... on time');
	is($session->ask("RESET statement_timeout; $ordinary")->{out}, 'accepted', '... and the next call works');

	start_waiting($session, $place);
	($answer, $seconds) = after($session, sql("SELECT pg_terminate_backend($pid)"));
	is($answer->{state}, '57P01', "$name: pg_terminate_backend");
	is_soon($seconds, '... at once');
}

SKIP:
{
	skip('no compiler, or not Linux: names cannot be faked', 2) unless $names;
	my @lines = split /\n/, slurp_file($names->{WAWP_TEST_NAMES_LOG});
	ok(scalar @lines, 'names were looked up');
	is(scalar(grep { !/ HUP INT TERM ALRM USR1 USR2$/ } @lines), 0, 'in a thread without PostgreSQL\'s signals')
	  || diag(join "\n", @lines);
}

# Within one statement
my $session = WawpTest->session($node);
set_rules();
my $answer = $session->ask(<<SQL);
SET client_min_messages = notice;
SET statement_timeout = '300ms';
DO \$\$
BEGIN
	PERFORM * FROM wawp_add_participants('$group', ARRAY['15551230901']);
EXCEPTION WHEN query_canceled THEN
	RAISE NOTICE 'caught, then %', (SELECT outcome FROM wawp_add_participants('$group', ARRAY['$newcomer']));
END \$\$;
RESET statement_timeout;
SQL
like($answer->{err}, qr/caught, then accepted/, 'a timeout caught in PL/pgSQL: the next call works');
is($answer->{state}, '', '... in the same statement');

$sim->reset;
set_rules();
$session->send(<<SQL);
DO \$\$
BEGIN
	PERFORM * FROM wawp_add_participants('$group', ARRAY['15551230901']);
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE 'caught';
END \$\$
SQL
$sim->arrived('participants/add$');
($answer, my $seconds) = after($session, sql('SELECT pg_cancel_backend(' . $session->pid . ')'));
is($answer->{state}, '57014', 'a cancel is not caught by WHEN OTHERS');
unlike($answer->{err}, qr/caught/, '... not at all');

$answer = $session->ask(<<SQL);
BEGIN;
SAVEPOINT s;
SET LOCAL statement_timeout = '200ms';
SELECT * FROM wawp_add_participants('$group', ARRAY['15551230901']);
ROLLBACK TO s;
$ordinary;
COMMIT;
SQL
is($answer->{out}, 'accepted', 'after ROLLBACK TO SAVEPOINT the next call works');
$session->quit;

# The client goes while its call waits
$session = WawpTest->session($node);
$session->ask("SET client_connection_check_interval = '100ms'");
start_waiting($session, $places[0]);
my $start = time;
$session->vanish;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid),
	'a session whose client has gone ends');
is_soon(time - $start, '... within client_connection_check_interval');

# What others do meanwhile, with a call waiting in every place
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(victim traveller);
my ($space, $other_space) = map { PostgreSQL::Test::Utils::tempdir_short() } 1 .. 2;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$space'");
$node->safe_psql('postgres', "CREATE TABLESPACE other_space LOCATION '$other_space'");

sub start_all
{
	my @sessions;

	set_rules();
	foreach my $place (@places)
	{
		push @sessions, WawpTest->session($node);
		start_waiting($sessions[-1], $place);
	}
	return @sessions;
}

my @sessions = start_all();
my $admin = WawpTest->session($node);
$admin->ask('CREATE TABLE doomed TABLESPACE other_space AS SELECT 1; DROP TABLE doomed; CREATE TABLE t (i int)');
foreach my $statement (
	'DROP DATABASE victim',
	'ALTER DATABASE traveller SET TABLESPACE space',
	'DROP TABLESPACE other_space',
	'CREATE DATABASE victim STRATEGY file_copy',
	'TRUNCATE t',
	'VACUUM FULL t',
	'DROP EXTENSION wawp CASCADE')
{
	$answer = $admin->ask($statement);
	is($answer->{state}, '', "$statement beside waiting calls") || diag($answer->{err});
	is_soon($answer->{seconds}, '... at once');
}
is($admin->ask("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()
	AND backend_type = 'client backend'")->{out}, scalar @places, 'the calls still wait');
$admin->quit;

$start = time;
$node->stop('fast');
is_soon(time - $start, 'fast shutdown with all these calls waiting');
is_deeply([ map { $_->answer->{state} } @sessions ], [ map { '57P01' } @sessions ], '... ends them with its own error');

# The postmaster dies
{
	local @ENV{ keys %$names } = values %$names if $names;
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim);
WawpTest->create_server($node, 'looks_later', $sim, { verify_delays => '60s' });
set_rules();
my @left = map { my $s = WawpTest->session($node); start_waiting($s, $_); $s } @places[ 0, 3 ];
my $postmaster = $node->{_pid};
$start = time;
$node->kill9;
ok(!(grep { !$_->answer->{gone} } @left), 'when the postmaster dies, waiting calls end');
is_soon(time - $start, '... at once');

# Starting and stopping once more removes the shared memory that the killed one left.  While nobody has
# reaped its process, it counts as running.
$node->start if poll_until(sub { !kill 0, $postmaster });
done_testing();
