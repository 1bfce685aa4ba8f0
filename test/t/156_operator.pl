
# What an administrator does to a database, a role, a trigger or a setting, and what the worker makes of it: it stops and
# goes on when it is told to, however that is written, says what it waits for, and shows no numbers in the log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.05);
$sim->world({ auto_groups => \1 });
# with WAL senders, without which no commit waits for a standby
my $node = WawpTest->node('main', sim => $sim, init => [ allows_streaming => 1 ], options => { concurrency => 8 }, conf => "log_statement = none\nmax_worker_processes = 16\nlog_line_prefix = '%b '\n");
my $session = WawpTest->session($node);
my ($people, $groups) = (0, 0);

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }
sub new_person { return sprintf '1555156%04d', ++$people; }
sub new_group { return sprintf '1203630156%08d@g.us', ++$groups; }

sub state_of
{
	my ($database, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes_in($node, $database, 'SELECT state FROM wawp.worker_status', $expected, $name);
}

ask("CREATE DATABASE $_") foreach qw(one two);
$node->safe_psql($_, 'CREATE EXTENSION wawp') foreach qw(one two);
state_of($_, 'serving', "$_ is served") foreach qw(one two);

# ---- wawp.worker, in every way in which it reaches a worker

foreach my $whose ('DATABASE one', 'ROLE ALL IN DATABASE one', 'ROLE ALL', 'ROLE CURRENT_USER', 'ROLE CURRENT_USER IN DATABASE one')
{
	ask("ALTER $whose SET wawp.worker = off");
	state_of('one', 'off', "ALTER $whose SET wawp.worker: the worker is off");
	state_of('two', $whose =~ /one$/ ? 'serving' : 'off', '... the other database\'s as well, if it is meant');
	ask("ALTER $whose RESET wawp.worker");
	state_of($_, 'serving', "... and $_ is served again") foreach qw(one two);
}
ask('BEGIN; ALTER DATABASE one SET wawp.worker = off; ALTER DATABASE two SET wawp.worker = off; ALTER DATABASE template1 SET wawp.worker = off; COMMIT');
state_of($_, 'off', "several databases in a transaction: $_ is off") foreach qw(one two);
ask('ALTER DATABASE template1 RESET ALL; ALTER DATABASE one RESET ALL; ALTER DATABASE two RESET ALL');
state_of($_, 'serving', '... and on') foreach qw(one two);
my $worker = WawpTest->worker($node, 'one');
ask('BEGIN; ALTER ROLE ALL SET wawp.worker = off; ROLLBACK; CREATE ROLE clerk; ALTER ROLE clerk SET wawp.worker = off; ALTER ROLE ALL SET work_mem = 4096; ALTER ROLE ALL RESET work_mem');
# the worker of `two` is replaced after these, so that one's would have been, too
ask('ALTER DATABASE two SET wawp.worker = on');
my $before = WawpTest->worker($node, 'two');
state_of('two', 'serving', 'what is rolled back, another role\'s or about something else');
is(WawpTest->worker($node, 'one'), $worker, '... leaves the worker as it is');
ask('ALTER DATABASE two RESET ALL');

# ---- a database that becomes a template, or takes no connections

ask('CREATE ROLE maker LOGIN CREATEDB; ALTER DATABASE one IS_TEMPLATE true');
state_of('one', 'none', 'a template has no worker');
like($node->safe_psql('one', 'SELECT last_error FROM wawp.worker_status'), qr/nothing is sent: it is a template or takes no new connections/, '... and says why');
my $maker = WawpTest->session($node, 'postgres', user => 'maker');
is($maker->ask('CREATE DATABASE made TEMPLATE one')->{state}, '', '... who may create databases can use it');
$maker->quit;
ask('ALTER DATABASE one IS_TEMPLATE false');
state_of('one', 'serving', '... and has one again');
ask('ALTER DATABASE one ALLOW_CONNECTIONS false');
becomes_in($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'one'}, 0, 'nobody may connect: nor does the worker');
ask('ALTER DATABASE one ALLOW_CONNECTIONS true');
state_of('one', 'serving', '... until they may');

# ---- a DROP DATABASE that was interrupted leaves one to which nobody can connect

ask(q{CREATE DATABASE broken});
ask(q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'});
$session->quit;
$node->restart;
$session = WawpTest->session($node);
state_of($_, 'serving', "beside an invalid database $_ is served") foreach qw(one two);
unlike(slurp_file($node->logfile), qr/FATAL: .*invalid database/, '... and no worker is started in that one');

# ---- the library is not preloaded any more: a configuration that lost it, a database that was restored elsewhere

sub restart_with
{
	my ($libraries, @more) = @_;
	$node->append_conf('postgresql.conf', join '', "shared_preload_libraries = '$libraries'\n", map { "$_\n" } @more);
	$session->quit;
	$node->restart;
	$session = WawpTest->session($node);
	return;
}

my ($class, $member, $left) = (new_group(), new_person(), new_person());
ask("CREATE TABLE class (group_jid text, phone text); CREATE TRIGGER member AFTER INSERT OR DELETE ON class FOR EACH ROW EXECUTE FUNCTION
	wawp_membership_trigger('group=group_jid', 'jid=phone', 'instance=support')");
restart_with('');
my $pid = $session->pid;
is($session->ask("INSERT INTO class VALUES ('$class', '$member'), ('$class', '$left'), ('$class', 'nobody')")->{state}, '', 'not preloaded: a table with a trigger is written');
is($session->ask("DELETE FROM class WHERE phone = '$left'")->{state}, '', '... and again');
my ($failed) = ask(q{SELECT id FROM wawp.membership_intent WHERE origin = 'trigger public.class' AND state = 'failed'});
is($session->ask("SELECT wawp_retry($failed)")->{out}, 'f', '... what is wrong with a number is told');
is($session->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$class', '$left')")->{state}, '55000', '... an INSERT is refused');
is(ask('SELECT pg_backend_pid()'), $pid, '... and no process has ended');
restart_with('wawp');
is($session->until("SELECT string_agg(action || ' ' || state, ', ' ORDER BY id) FROM wawp.membership_intent WHERE jid IN ('$member\@c.us', '$left\@c.us')", 'add done, add cancelled, remove done'),
	'add done, add cancelled, remove done', '... preloaded again, what was requested is served');

# ---- numbers stay out of the server's log

my ($stopped, $group) = (new_person(), new_group());
ask("ALTER TABLE wawp.membership_intent ADD CONSTRAINT mine CHECK (state <> 'sending' OR jid <> '$stopped\@c.us')");
ask("SELECT wawp_request_add('$group', ARRAY['$stopped'], 'support')");
my $log_from = -s $node->logfile;
ok(poll_until(sub { slurp_file($node->logfile, $log_from) =~ /Failing row contains/ }), 'a row that a constraint keeps from being served: the log has the error');
my $log = join '', grep { /^wawp worker/ } split /^/m, slurp_file($node->logfile);
like($log, qr/violates check constraint "mine"/, '... with its cause');
unlike($log, qr/$stopped|\Q@{[ $group =~ s{@.*}{}r ]}\E/, '... without the person or the group');
ask('ALTER TABLE wawp.membership_intent DROP CONSTRAINT mine');
is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$stopped\@c.us'", 'done'), 'done', '... and it is served in the end');

SKIP:
{
	skip 'pgaudit is not installed for this PostgreSQL', 3 unless WawpTest->has_extension('pgaudit');
	restart_with('wawp,pgaudit', q{pgaudit.log = 'all'}, 'pgaudit.log_parameter = on');
	$log_from = -s $node->logfile;
	my $audited = new_person();
	ask("SELECT wawp_request_add('$group', ARRAY['$audited'], 'support')");
	is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$audited\@c.us'", 'done'), 'done', 'pgaudit.log_parameter: people are added');
	$log = join '', grep { /^wawp worker/ } split /^(?=\w+(?: \w+)? (?:LOG|ERROR|WARNING|DETAIL|FATAL))/m, slurp_file($node->logfile, $log_from);
	like($log, qr/AUDIT: SESSION.*INSERT INTO wawp/, '... the worker\'s statements are logged');
	unlike($log, qr/$audited/, '... without the numbers that they are given');
	restart_with('wawp', q{pgaudit.log = 'none'});
}

# ---- ENABLE TRIGGER ALL, as pg_restore --disable-triggers ends

my $fires = q{SELECT string_agg(tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text, ', ' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger
	WHERE tgrelid IN ('wawp.membership_intent'::regclass, 'wawp.membership'::regclass) AND tgenabled <> 'O'};
my $made = ask($fires);
like($made, qr/membership_intent fill A/, 'a trigger that fires in every session');
ask("ALTER TABLE wawp.$_ DISABLE TRIGGER ALL; ALTER TABLE wawp.$_ ENABLE TRIGGER ALL") foreach qw(membership_intent membership);
is(ask($fires), '', '... after ENABLE TRIGGER ALL fires in some');
$worker = WawpTest->worker($node);
ask("SELECT pg_terminate_backend($worker)");
is($session->until($fires, $made), $made, '... until the worker looks after it');
my $replica = WawpTest->session($node, 'postgres', options => '-c session_replication_role=replica');
my $replicated = new_person();
is($replica->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group', '$replicated')")->{state}, '', '... so that an INSERT in a replica session is complete');
$replica->quit;
is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$replicated\@c.us'", 'done'), 'done', '... and served');

# ---- DROP SCHEMA and DROP OWNED, which drop the extension with a busy worker

ask("CREATE ROLE keeper SUPERUSER; CREATE DATABASE elsewhere");
$node->safe_psql('elsewhere', 'CREATE SCHEMA ext; SET ROLE keeper; CREATE EXTENSION wawp SCHEMA ext');
WawpTest->create_server($node, 'support', $sim, { concurrency => 8 }, 'elsewhere');
my $drops = WawpTest->session($node, 'elsewhere');
$drops->ask("SET deadlock_timeout = '20ms'; SET client_min_messages = warning");
foreach my $drop ('DROP SCHEMA ext CASCADE', 'DROP OWNED BY keeper CASCADE')
{
	my @failed;
	foreach my $round (1 .. 3)
	{
		$drops->ask("INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '12036301569' || (100000000 + i % 5) || '\@g.us', 15551700000 + i FROM generate_series($round * 100, $round * 100 + 40) i");
		WawpTest->worker($node, 'elsewhere');
		my $answer = $drops->ask("BEGIN; $drop");
		push @failed, $answer->{err} if $answer->{state};
		is($drops->ask("SELECT count(*) FROM pg_extension WHERE extname = 'wawp'")->{out}, 0, "$drop, the worker busy");
		is(ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'elsewhere' AND backend_type = 'wawp worker'"), 0, '... which has gone');
		$drops->ask('ROLLBACK');
	}
	is(join("\n", @failed), '', "$drop meets no deadlock");
	is($drops->until("SELECT count(*) FROM wawp.membership_intent WHERE state <> 'done'", 0), 0, '... and after a rollback everything is served');
}
$drops->quit;

# ---- a commit that waits for a synchronous standby

my $waiting = WawpTest->session($node, 'postgres', options => '-c synchronous_commit=local');
ask(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
ask('SELECT pg_reload_conf()');
# the server's other processes learn of it when they do, so some commits may be too early
my $id;
poll_until(sub {
	$id = $waiting->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], 'support')")->{out};
	return $waiting->ask('SELECT state FROM wawp.worker_status')->{out} eq 'failing';
});
is($waiting->until('SELECT state FROM wawp.worker_status', 'failing'), 'failing', 'the worker\'s commit waits for a standby that there is not: the state says so');
like($waiting->ask('SELECT last_error FROM wawp.worker_status')->{out}, qr/^a commit waits for a synchronous standby/, '... with the reason');
like($waiting->ask("SELECT wawp_explain($id)")->{out}, qr/a commit waits for a synchronous standby .* nothing is recorded or sent/, '... and so does wawp_explain()');
like($waiting->ask('SELECT trouble FROM wawp.overview')->{out}, qr/a commit waits for a synchronous standby/, '... and wawp.overview');
$waiting->ask('ALTER SYSTEM RESET synchronous_standby_names');
$waiting->ask('SELECT pg_reload_conf()');
is($waiting->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done', '... until it is there, or not waited for');
is($waiting->until('SELECT state FROM wawp.worker_status', 'serving'), 'serving', '... when the state is well again');
$waiting->quit;

$session->quit;
done_testing();
