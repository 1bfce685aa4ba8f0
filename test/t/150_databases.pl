
# A worker for each database that has the extension; it does not block what is done to a database or to the server,
# idle or with an unanswered request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 2 },
	conf => "log_statement = none\nmax_worker_processes = 24\nallow_in_place_tablespaces = on\nrestart_after_crash = on\n");
my $session = WawpTest->session($node);
my $people = 0;

sub new_person { return sprintf '1555600%04d', ++$people; }

sub database
{
	my ($name) = @_;
	$session->ask("CREATE DATABASE $name TEMPLATE template0");
	$node->safe_psql($name, 'CREATE EXTENSION wawp');
	WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0, concurrency => 2 }, $name);
	return;
}

# An intent in a database; its id.
sub enqueue
{
	my ($dbname, $who) = @_;
	return $node->safe_psql($dbname, "SELECT id FROM wawp_request_add('$group', ARRAY['$who'], 'support')");
}

sub state_is
{
	my ($dbname, $id, $state) = @_;
	my $last;
	poll_until(sub { $last = $node->safe_psql($dbname, "SELECT state FROM wawp.membership_intent WHERE id = $id"); return $last eq $state; });
	return $last;
}

sub serves
{
	my ($dbname, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $started = time;
	my $id = enqueue($dbname, new_person());
	is(state_is($dbname, $id, 'done'), 'done', $name) || diag($node->safe_psql($dbname, "SELECT wawp_explain($id)"));
	return is_soon(time - $started, '... soon');
}

sub workers_are
{
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last;
	poll_until(sub { ($last = WawpTest->workers($node)) eq $expected });
	return is($last, $expected, $name);
}

sub quick
{
	my ($answer, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, '', $name) || diag($answer->{err});
	return is_soon($answer->{seconds}, '... in less than a second');
}

# Sends a request that is not answered and has no effect, so that it has to be sent
# again; who it is for, and its id.
sub keep_busy
{
	my ($dbname) = @_;
	my $who = new_person();
	$sim->rule({ match => { body => $who }, effect => 'none', fault => { hang => \1 } });
	my $id = enqueue($dbname, $who);
	poll_until(sub { grep { /$who/ } $sim->people }) or die "the worker of $dbname does not send\n";
	return ($who, $id);
}

# ---- who has a worker

workers_are('postgres', 'one database has the extension: one worker');
is($session->ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp launcher'")->{out}, 1,
	'... and a launcher');
$session->ask('CREATE DATABASE second TEMPLATE template0; CREATE DATABASE without TEMPLATE template0');
$node->safe_psql('second', 'BEGIN; CREATE EXTENSION wawp; ROLLBACK');
sleep 0.3;
workers_are('postgres', 'a CREATE EXTENSION that is rolled back starts none');
my $started = time;
$node->safe_psql('second', 'CREATE EXTENSION wawp');
workers_are('postgres second', 'CREATE EXTENSION starts one, without a restart');
is_soon(time - $started, '... soon');
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0 }, 'second');
serves($_, "$_ is served") foreach qw(postgres second);
$node->safe_psql('second', 'DROP EXTENSION wawp CASCADE');
workers_are('postgres', 'DROP EXTENSION ends it');
$node->safe_psql('second', 'CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0 }, 'second');
workers_are('postgres second', '... CREATE EXTENSION starts another');
serves('second', '... which serves');
$node->safe_psql('second', 'BEGIN; DROP EXTENSION wawp CASCADE; CREATE EXTENSION wawp; COMMIT');
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0 }, 'second');
serves('second', 'both in one transaction');
is($node->safe_psql('second', 'SELECT min(id) || $$ $$ || max(id) - count(*) FROM wawp.audit_log'), '1 0',
	'... and the records begin anew');
$session->quit;
$node->restart;
$session = WawpTest->session($node);
workers_are('postgres second', 'after a restart each has its worker');
serves($_, "... $_") foreach qw(postgres second);
$session->ask('DROP DATABASE without');

# ---- statements that need the database, or the queue, to themselves

$session->ask("CREATE TABLESPACE elsewhere LOCATION ''");
my %statements = (
	'DROP DATABASE' => sub { $session->ask("DROP DATABASE $_[0]") },
	'RENAME' => sub { $session->ask("ALTER DATABASE $_[0] RENAME TO $_[0]_renamed") },
	'SET TABLESPACE' => sub { $session->ask("ALTER DATABASE $_[0] SET TABLESPACE elsewhere") },
	'TEMPLATE' => sub { $session->ask("CREATE DATABASE $_[0]_copy TEMPLATE $_[0]") },
	'TRUNCATE' => sub { inside($_[0], 'TRUNCATE wawp.membership_intent') },
	'DROP EXTENSION' => sub { inside($_[0], 'DROP EXTENSION wawp CASCADE') });

sub inside
{
	my ($dbname, $sql) = @_;
	my $in_it = WawpTest->session($node, $dbname);
	my $answer = $in_it->ask($sql);
	$in_it->quit;
	return $answer;
}

foreach my $busy (0, 1)
{
	foreach my $what (sort keys %statements)
	{
		my $dbname = ($busy ? 'busy_' : 'idle_') . lc($what =~ s/ /_/r);
		database($dbname);
		WawpTest->worker($node, $dbname);
		my ($who, $id) = $busy ? keep_busy($dbname) : ();
		my $name = "$what, the worker " . ($busy ? 'busy' : 'idle');

		quick($statements{$what}->($dbname), $name);
		my $now = $what eq 'RENAME' ? "${dbname}_renamed" : $dbname;
		if ($what =~ /^DROP/)
		{
			ok(poll_until(sub { !$session->ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND datname = '$dbname'")->{out} }),
				'... and the worker is gone');
		}
		else
		{
			my $before = time;
			ok(WawpTest->worker($node, $now), '... and there is a worker again');
			is_soon(time - $before, '... soon');
			serves($now, '... which serves');
			is(state_is($now, $id, 'done'), 'done',
				'... and sends again what was under way') if $busy && $what ne 'TRUNCATE';
		}
		my $times = grep { /$who/ } $busy ? $sim->people : ();
		is($times, $what =~ /^DROP|TRUNCATE/ ? 1 : 2,
			'... which has arrived as often as it was sent from here') if $busy;
		if ($what eq 'TEMPLATE' && $busy)
		{
			$node->safe_psql("${dbname}_copy", "SELECT wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], 'support')");
			WawpTest->worker($node, "${dbname}_copy");
			sleep 0.5;
			is(scalar(grep { /$who/ } $sim->people), 2, '... and the copy sends nothing');
			quick($session->ask("DROP DATABASE ${dbname}_copy"), 'the copy is dropped');
		}
		quick($session->ask("DROP DATABASE $now"), "... and dropped in the end") unless $what eq 'DROP DATABASE';
	}
}

# ---- statements that fail

database('contended');
my $pid = WawpTest->worker($node, 'contended');
$session->ask('CREATE ROLE nobodys LOGIN');
my $stranger = WawpTest->session($node, 'postgres', user => 'nobodys');
is($stranger->ask('DROP DATABASE contended')->{state}, '42501', 'a stranger may not drop a database');
is(WawpTest->worker($node, 'contended'), $pid, '... or disturb its worker');
$stranger->quit;
my $connected = WawpTest->session($node, 'contended');
my $ender = WawpTest->session($node);
$ender->send('ALTER DATABASE contended RENAME TO other');
poll_until(sub { !kill 0, $pid });
sleep 0.2;
$session->ask("SELECT pg_terminate_backend(@{[ $ender->pid ]})");
is($ender->answer->{gone}, 1, 'a session that waits to rename a database is ended');
serves('contended', '... and the worker comes back');
my $answer = $session->ask('DROP DATABASE contended');
is($answer->{state}, '55006', 'somebody else is connected: the statement fails');
serves('contended', '... and the worker comes back');
$connected->quit;
poll_until(sub { $session->ask("SELECT count(*) FROM pg_stat_activity WHERE pid = @{[ $connected->pid ]}")->{out} == 0 });
quick($session->ask('DROP DATABASE contended WITH (FORCE)'), 'DROP DATABASE ... FORCE');

# ---- a template with the extension

$node->safe_psql('template1', 'CREATE EXTENSION wawp');
sleep 0.3;
quick($session->ask('CREATE DATABASE child'), 'the extension in template1: CREATE DATABASE');
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0 }, 'child');
serves('child', '... whose child is served when it is used');
is($node->safe_psql('child', 'SELECT (SELECT count(*) FROM wawp.identity), count(*) FROM wawp.membership_intent i JOIN wawp.identity y USING (home)'), '1|1',
	'... and has a home of its own');
$node->safe_psql('template1', 'DROP EXTENSION wawp');
quick($session->ask('DROP DATABASE child'), '... and dropped');

# ---- nothing held while a request is out

my ($who, $id) = keep_busy('postgres');
$pid = WawpTest->worker($node);
my $calm = poll_until(sub { $session->ask("SELECT state FROM pg_stat_activity WHERE pid = $pid")->{out} eq 'idle' });
ok($calm, 'while a request is out, the worker is idle');
is($session->ask("SELECT coalesce(backend_xmin, backend_xid) IS NULL, xact_start IS NULL FROM pg_stat_activity WHERE pid = $pid")->{out}, 't|t',
	'... has no snapshot and no transaction');
is($session->ask("SELECT count(*) FROM pg_locks WHERE pid = $pid")->{out}, 0, '... and no locks');
is($session->ask("SELECT query FROM pg_stat_activity WHERE pid = $pid")->{out}, '1 in flight',
	'... and says what it is doing');
foreach my $statement ('VACUUM FULL wawp.membership_intent', 'REINDEX TABLE wawp.membership_intent', 'ALTER TABLE wawp.membership_intent SET (fillfactor = 71)',
	'TRUNCATE wawp.membership_intent')
{
	quick($session->ask($statement), $statement);
}
($who, $id) = keep_busy('postgres');
$session->quit;
$started = time;
$node->stop('fast');
is_soon(time - $started, 'a fast stop takes less than a second');
$node->start;
is(state_is('postgres', $id, 'done'), 'done', '... after which what was under way is sent again');
is($node->safe_psql('postgres', "SELECT attempts || ' ' || crashes FROM wawp.membership_intent WHERE id = $id"), '2 0',
	'... and not blamed for it');
($who, $id) = keep_busy('postgres');
$started = time;
$node->restart;
is_soon(time - $started, 'a restart takes little more');
is(state_is('postgres', $id, 'done'), 'done', '... and what was under way is settled after it');

# ---- dump and restore

$session = WawpTest->session($node);
database('source');
$sim->reset;
my $declined = new_person();
$sim->rule({ match => { body => $declined }, answer => { json => { participants => [ { id => "$declined\@c.us", code => 401 } ] } } });
my @settled = map { enqueue('source', $_) } new_person(), $declined, new_person();
state_is('source', $_, 'done') foreach @settled[ 0, 2 ];
is(state_is('source', $settled[1], 'failed'), 'failed', 'a queue with settled intents');
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $contents = 'SELECT md5(string_agg((to_jsonb(i) - $$home$$)::text, $$ $$ ORDER BY id)) FROM wawp.membership_intent i
	UNION ALL SELECT md5(string_agg(a::text, $$ $$ ORDER BY id)) FROM wawp.audit a';

sub switch_worker
{
	my ($to) = @_;
	$session->ask("ALTER SYSTEM SET wawp.worker = $to");
	$session->ask('SELECT pg_reload_conf()');
	poll_until(sub { $session->ask('SHOW wawp.worker')->{out} eq $to });
	sleep 0.2;
	return;
}

foreach my $format ('plain', 'custom')
{
	my $copy = "restored_$format";
	switch_worker('off');
	my $waiting = enqueue('source', new_person());
	my $original = $node->safe_psql('source', $contents);
	$node->command_ok([ 'pg_dump', '--format', $format, '--file', "$file.$format", $node->connstr('source') ],
		"pg_dump, $format");
	switch_worker('on');
	is(state_is('source', $waiting, 'done'), 'done', 'what was queued is done in the original');
	my ($requests, $people) = ($sim->count, scalar(my @before = $sim->people));
	$session->ask("CREATE DATABASE $copy TEMPLATE template0");
	if ($format eq 'plain')
	{
		# a worker that was there first has to find out as well
		$node->safe_psql($copy, 'CREATE EXTENSION wawp');
		WawpTest->worker($node, $copy);
	}
	$node->command_ok(
		$format eq 'plain'
		? [ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', "$file.$format", $node->connstr($copy) ]
		: [ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr($copy), "$file.$format" ],
		'... is restored without an error');
	is($node->safe_psql($copy, $contents), $original, '... as it was');
	is($node->safe_psql($copy, 'SELECT DISTINCT home FROM wawp.membership_intent'), '00000000-0000-0000-0000-000000000000', '... but not at home');
	WawpTest->worker($node, $copy);
	$session->ask('SELECT pg_reload_conf()');
	sleep 0.7;
	is($sim->count, $requests, '... nothing is sent, or asked') || diag(map { "$_->{method} $_->{path} $_->{status}\n" } (my @all = $sim->ledger)[ $requests .. $sim->count - 1 ]);
	like($node->safe_psql($copy, "SELECT wawp_explain($waiting)"), qr/restored or replicated/, '... because it was not requested there');
	my $next = enqueue($copy, my $newcomer = new_person());
	is($next, $waiting + 1, '... the sequence goes on');
	is(state_is($copy, $next, 'done'), 'done', '... what is requested there is served');
	is($node->safe_psql($copy, "SELECT state FROM wawp.membership_intent WHERE id = $waiting"), 'queued', '... and nothing else');
	$node->safe_psql($copy, "SELECT wawp_take_over('support')");
	is(state_is($copy, $waiting, 'done'), 'done', '... until wawp_take_over()');
	is(state_is($copy, $settled[1], 'failed'), 'failed', '... what was settled stays settled');
	is($node->safe_psql($copy, "SELECT string_agg(outcome::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($waiting, $next)"),
		'already_member added', '... the member list shows what the original did');
	my @sent = $sim->people;
	is_deeply([ @sent[ $people .. $#sent ] ], ["add $newcomer"], '... nothing but what was left to do is sent');
	is($node->safe_psql($copy, 'SELECT max(id) - count(*) FROM wawp.audit_log'), 0,
		'... and the records go on without a gap');
	quick($session->ask("DROP DATABASE $copy"), '... and can be dropped');
}
$session->quit;
$node->stop;

# ---- a standby

my $primary = WawpTest->node(
	'primary',
	sim => $sim,
	init => [ allows_streaming => 1 ],
	options => { adds_per_minute => 0, timeout_ms => 60000 },
	conf => "log_statement = none\nmax_connections = 20\nwal_keep_size = '64MB'\n");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$sim->reset;
$node = $primary;
($who, $id) = keep_busy('postgres');
$primary->safe_psql('postgres', 'ALTER SYSTEM SET wawp.worker = off');
$primary->reload;
poll_until(sub { $primary->safe_psql('postgres', 'SHOW wawp.worker') eq 'off' });
my $later = enqueue('postgres', new_person());
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', "SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($id, $later)"),
	'sending queued', 'a standby has the queue');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'wawp%'"), 0,
	'... and neither launcher nor worker');
my $on_standby = WawpTest->session($standby);
is($on_standby->ask("SELECT wawp_request_add('$group', ARRAY['15551230500'], 'support')")->{state}, '25006',
	'... takes no requests');
like($on_standby->ask("SELECT wawp_explain($later)")->{out}, qr/queued/, '... and explains');
is($on_standby->ask('SELECT queued FROM wawp.queue')->{out}, 1, '... and shows');
sleep 0.5;
is(scalar(my @changes = $sim->changes), 1, '... sends nothing');
$primary->stop('immediate');
$started = time;
$on_standby->ask('SELECT pg_promote()');
$node = $standby;
is(state_is('postgres', $later, 'done'), 'done', 'promoted, it drains the queue');
is(state_is('postgres', $id, 'done'), 'done', '... and what was under way elsewhere');
diag(sprintf 'from pg_promote() to a drained queue: %.1f s', time - $started);
is_soon(time - $started, '... soon');
is($standby->safe_psql('postgres', 'SELECT max(id) - count(*) FROM wawp.audit_log'), 0,
	'... without a gap in the records');
$on_standby->quit;
done_testing();
