
# The views and wawp_explain() when the worker cannot work: its own errors, no worker, switched off, a copy, a
# standby; and what a monitoring role sees of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $group = '120363012345678901@g.us';
my $old_group = '15559876543-1400000000@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node(
	'main',
	sim => $sim,
	init => [ allows_streaming => 1 ],
	options => { adds_per_minute => 0, concurrency => 2 },
	conf => "log_statement = none\nmax_connections = 20\nmax_worker_processes = 16\n");
my $session = WawpTest->session($node);
my $state = 'SELECT state FROM wawp.worker_status';
my $about_worker = "SELECT count(*) || ' ' || coalesce(min(why), '') FROM wawp.stuck WHERE id IS NULL";
my $people = 0;

sub new_person { return sprintf '1555610%04d', ++$people; }

sub ask { return $session->ask($_[0])->{out}; }

# An intent; its id.
sub enqueue { return ask("SELECT id FROM wawp_request_add('" . ($_[0] // $group) . "', ARRAY['@{[ new_person() ]}'], 'support')"); }

sub becomes
{
	my ($sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last;
	poll_until(sub { ($last = ask($sql)) eq $expected }, $limit);
	return is($last, $expected, $name);
}

sub ends
{
	my ($id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', $name) || diag(ask("SELECT wawp_explain($id)"));
}

# All four places say it, wawp_explain() in words that match.  Between two failures of the whole a piece that fails by itself may be the last to be told.
sub all_say
{
	my ($expected, $sentence, $id) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	becomes($state, $expected, "wawp.worker_status: $expected");
	my $explained = $session->until("SELECT wawp_explain($id)", $sentence);
	like($explained, qr/^queued: .*$sentence/, '... wawp_explain says why');
	unlike($explained, qr/leave/, '... and not when it leaves');
	like($session->until($about_worker, $sentence), qr/^1 .*$sentence/, '... wawp.stuck has a row for the worker');
	return like($session->until('SELECT last_error FROM wawp.instance', $sentence), $sentence, '... wawp.instance says so');
}

# ---- it serves

ends(enqueue(), 'the worker serves');
becomes($state, 'serving', '... which wawp.worker_status says');
is(ask('SELECT pid, started_at <= last_cycle_at, last_cycle_at <= clock_timestamp(), in_flight, oldest_due_at, errors_in_a_row, sqlstate, last_error FROM wawp.worker_status'),
	WawpTest->worker($node) . '|t|t|0||0||', '... with its process, and no error');
is(ask($about_worker), '0 ', '... wawp.stuck has nothing to say');
is(ask('SELECT last_error FROM wawp.instance'), '', '... nor has wawp.instance');
my $slow = new_person();
$sim->rule({ match => { body => $slow }, fault => { delay => 2 } });
my $slow_id = ask("SELECT id FROM wawp_request_add('$group', ARRAY['$slow'], 'support')");
becomes('SELECT in_flight FROM wawp.worker_status', '1', 'a request under way is counted');
ends($slow_id, '... until it has ended');

# ---- the worker fails in every cycle

$session->ask(<<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE EXCEPTION 'no room for 15551234567 whose token is secret, %', repeat('ä€', 200) USING ERRCODE = 'XX123'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON wawp.audit_log FOR EACH ROW EXECUTE FUNCTION refuse()
SQL
my $id = enqueue();
becomes("SELECT last_cycle_at > s.since FROM wawp.worker_status, wawp.stuck s WHERE s.id IS NULL", 't', 'the worker fails, and goes on with what does not');
all_say('failing', qr/serving the queue fails in part: no room for .*SQLSTATE XX123\), \d+ times since 20/, $id);
is(ask('SELECT sqlstate FROM wawp.worker_status'), 'XX123', '... with the SQLSTATE');
my $error = ask('SELECT last_error FROM wawp.worker_status');
like($error, qr/^no room for \*{11} whose token is \*\*\*, /, '... the message, without the number and the token');
is(ask("SELECT octet_length(last_error) BETWEEN 240 AND 255 AND convert_from(convert_to(last_error, 'UTF8'), 'UTF8') ~ '[ä€]\$' FROM wawp.worker_status"), 't',
	'... cut at a character');
is(ask("SELECT oldest_due_at = created_at FROM wawp.worker_status, wawp.membership_intent WHERE id = $id"), 't', '... since when somebody waits');
becomes('SELECT errors_in_a_row > 5 FROM wawp.worker_status', 't', '... how often');
is(ask('SELECT since < clock_timestamp() FROM wawp.stuck WHERE id IS NULL'), 't', '... and since when');
$session->ask('DROP TRIGGER refuse ON wawp.audit_log');
ends($id, 'without the fault it serves');
becomes("SELECT state || ' ' || errors_in_a_row || ' ' || (last_error IS NULL) FROM wawp.worker_status", 'serving 0 true', '... and says so');
is(ask($about_worker), '0 ', '... everywhere');
is(ask("SELECT wawp_explain($id)"), 'done: added', '... what is settled is explained as always');

# a whole cycle; or, where its error comes first, the piece of it that needs the other table
$session->ask('ALTER TABLE wawp.audit_note RENAME TO audit_note_gone; ALTER TABLE wawp.contact RENAME TO contact_gone');
$id = enqueue();
all_say('failing', qr/serving the queue fails(?: in part)?: relation "wawp.\w+" does not exist \(SQLSTATE 42P01\)/, $id);
$session->ask('ALTER TABLE wawp.audit_note_gone RENAME TO audit_note; ALTER TABLE wawp.contact_gone RENAME TO contact');
ends($id, 'repaired, it serves');
becomes($state, 'serving', '... and says so');

# one row that cannot be served, beside one that can
my $bad = new_person();
$session->ask("CREATE TRIGGER refuse BEFORE UPDATE ON wawp.membership_intent FOR EACH ROW WHEN (NEW.jid = '$bad\@c.us' AND NEW.state <> 'cancelled') EXECUTE FUNCTION refuse()");
$id = ask("SELECT id FROM wawp_request_add('120363012345678902\@g.us', ARRAY['$bad'], 'support')");
becomes($state, 'failing', 'a row that cannot be served');
ends(enqueue(), '... does not keep others');
all_say('failing', qr/serving the queue fails in part: no room/, $id);
is(ask("SELECT wawp_cancel($id)"), 't', '... it can be cancelled');
$session->ask('DROP TRIGGER refuse ON wawp.membership_intent');
becomes($state, 'serving', '... and the worker serves');

# what is not about the queue
$session->ask('CREATE TRIGGER refuse BEFORE INSERT ON wawp.audit_log FOR EACH ROW EXECUTE FUNCTION refuse()');
is($session->ask("SET wawp.audit_timeout = '300ms'; SELECT * FROM wawp_add_participants('$group', ARRAY['15551230500'], 'support')")->{state}, '55000',
	'a session call that cannot be recorded');
is(ask($state), 'failing', '... the worker fails');
like(ask($about_worker), qr/^1 recording session calls fails: no room/, '... says wawp.stuck');
$session->ask('DROP TRIGGER refuse ON wawp.audit_log; RESET wawp.audit_timeout');
is(ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['15551230500'], 'support')"), 'accepted', 'a call is recorded again');
becomes($state, 'serving', '... the worker serves');

# ---- switched off

$session->ask("ALTER SYSTEM SET wawp.worker = off");
$node->reload;
becomes($state, 'off', 'wawp.worker = off');
$id = enqueue();
all_say('off', qr/the worker is switched off \(wawp\.worker\)/, $id);
$session->ask("ALTER SYSTEM RESET wawp.worker");
$node->reload;
ends($id, 'switched on, it serves');
becomes($state, 'serving', '... and says so');
$session->ask('SET wawp.worker = off');
is(ask($state), 'serving', 'a session of its own switches nothing off');
$session->ask('RESET wawp.worker');

my $worker = WawpTest->worker($node);
$session->ask('BEGIN; ALTER DATABASE postgres SET wawp.worker = off; ROLLBACK');
is(WawpTest->worker($node), $worker, 'ALTER DATABASE ... SET wawp.worker, rolled back: nothing happens');
is($session->ask('ALTER DATABASE postgres SET wawp.worker = off')->{state}, '', '... committed');
becomes($state, 'off', '... it is off in this database');
$id = enqueue();
all_say('off', qr/the worker is switched off/, $id);
$session->ask('ALTER DATABASE postgres RESET wawp.worker');
ends($id, '... and on again');

# ---- a monitoring role, and plain ones

$session->ask("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE ann LOGIN; CREATE ROLE ben LOGIN;
	GRANT USAGE ON FOREIGN SERVER support TO ann, ben; SELECT wawp_pause('support', '$group', 'call 15551112222'); SELECT wawp_pause('support', '$old_group', 'call 15551112222')");
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(watcher ann ben);
my ($anns, $bens) = map { my ($role, $number, $in) = @$_; $as{$role}->ask("SELECT id FROM wawp_request_add('$in', ARRAY['$number'], batch_id => 'of $number')")->{out} }
  ([ 'ann', '15551113333', $group ], [ 'ben', '15551114444', $old_group ]);
my $shown = join ' ', map { $as{watcher}->ask("SELECT v::text FROM wawp.$_ v")->{out} } qw(queue progress stuck funnel budget instance worker_status membership_intent hold);
is($as{watcher}->ask('SELECT group_jid, queued, due, held_by FROM wawp.queue ORDER BY group_jid')->{out},
	"***-1400000000\@g.us|1|1|paused\n$group|1|1|paused", 'a member of pg_monitor sees counts of all in wawp.queue');
is($as{watcher}->ask('SELECT sum(total) > 1, sum(done) > 0 FROM wawp.progress')->{out}, 't|t', '... in wawp.progress');
is($as{watcher}->ask("SELECT id, state, jid, why FROM wawp.stuck ORDER BY id")->{out}, "$anns|queued||held: paused; 1 queued\n$bens|queued||held: paused; 1 queued", '... states in wawp.stuck');
is($as{watcher}->ask('SELECT sum(asked) > 5, sum(waiting) FROM wawp.funnel')->{out}, 't|2', '... in wawp.funnel');
is($as{watcher}->ask('SELECT name, held_by, last_error FROM wawp.instance')->{out}, 'support||paused', '... the instances');
is($as{watcher}->ask('SELECT instance, next_at IS NOT NULL FROM wawp.budget')->{out}, 'support|t', '... what their pace allows');
is($as{watcher}->ask('SELECT state, pid, oldest_due_at = (SELECT min(since) FROM wawp.stuck) FROM wawp.worker_status')->{out}, "serving|@{[ WawpTest->worker($node) ]}|t",
	'... and the worker, since when the oldest waits');
unlike($shown, qr/1555\d{7}/, '... and no people, wherever it looks');
is($as{watcher}->ask('SELECT count(*) FROM wawp.membership_intent')->{out}, 0, '... no intents');
is($as{watcher}->ask("SELECT wawp_explain($anns) IS NULL")->{out}, 't', '... no explanations');
is($as{watcher}->ask('SELECT wawp_pause(\'support\')')->{state}, '42501', '... and may change nothing');
is($as{ann}->ask('SELECT id, jid, why FROM wawp.stuck')->{out}, "$anns||held: paused: call 15551112222; 1 queued", 'a plain role sees its own');
is($as{ann}->ask('SELECT count(*), min(queued) FROM wawp.queue')->{out}, '1|1', '... and counts its own');
is($as{ann}->ask('SELECT count(*) FROM wawp._queue_figures()')->{out}, 0, '... no figures of others');
is($as{ann}->ask('SELECT state FROM wawp.worker_status')->{out}, 'serving', '... and whether there is a worker');
$session->ask("SELECT wawp_resume('support', '$_')") foreach $group, $old_group;
ends($anns, 'what was paused is done');
$_->quit foreach values %as;

# ---- a copy

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '--format', 'plain', '--file', $dump, $node->connstr('postgres') ], 'a dump');
$session->ask('CREATE DATABASE copy TEMPLATE template0');
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], '... is restored');
my $original = $session;
$session = WawpTest->session($node, 'copy');
WawpTest->worker($node, 'copy');
ends(enqueue(), 'it serves what is requested there');
$session->ask('UPDATE wawp.identity SET mark = gen_random_uuid()');    # as in a copy of the files
$id = enqueue();
becomes($state, 'copy', 'in a copy, wawp.worker_status says so');
like(ask("SELECT wawp_explain($id)"), qr/^queued: .*copy.*wawp_take_over/, '... wawp_explain, too');
becomes('SELECT held_by FROM wawp.instance', 'copy', '... and wawp.instance');
like(ask($about_worker), qr/^1 this database is a copy.*wawp_take_over/, '... and wawp.stuck');
$session->ask("SELECT wawp_take_over('support')");
ends($id, 'taken over, it serves');
becomes($state, 'serving', '... and says so');
$session->quit;
$session = $original;

# ---- a standby

$session->ask("SELECT wawp_pause('support')");
$id = enqueue();
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
$session = WawpTest->session($standby);
all_say('none', qr/this server is in recovery \(a standby\)/, $id);
is(ask('SELECT pid, sqlstate, last_error IS NOT NULL, oldest_due_at IS NOT NULL FROM wawp.worker_status'), '|25006|t|t', '... with what is known there');
is(ask('SELECT instance, adds_left_minute, adds_left_day, next_at FROM wawp.budget'), 'support|||', '... and the budget is not the standby\'s to tell');
$session->quit;
$standby->stop('immediate');
$original->quit;
$node->stop;

# ---- no worker

my $crowded = WawpTest->node('crowded', sim => $sim, options => { adds_per_minute => 0 },
	conf => "log_statement = none\nmax_worker_processes = 1\nmax_logical_replication_workers = 0\n");
$session = WawpTest->session($crowded);
$id = enqueue();
becomes("SELECT sqlstate FROM wawp.worker_status", '53000', 'no process is free for a worker');
all_say('none', qr/no worker runs in this database.*max_worker_processes/, $id);
$session->quit;
$crowded->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$crowded->restart;
$session = WawpTest->session($crowded);
ends($id, 'with one, it serves');
becomes($state, 'serving', '... and says so');
$session->quit;

# Processes for the workers of some databases only: those that have one are served.
my @databases = ('postgres', map { "more$_" } 1 .. 3);
foreach my $database (@databases[ 1 .. 3 ])
{
	$crowded->safe_psql('postgres', "CREATE DATABASE $database");
	$crowded->safe_psql($database, 'CREATE EXTENSION wawp');
	WawpTest->create_server($crowded, 'support', $sim, { adds_per_minute => 0 }, $database);
}
$crowded->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$crowded->restart;
my %state;
poll_until(sub {
	%state = map { $_ => $crowded->safe_psql($_, "SELECT concat_ws(' ', state, sqlstate) FROM wawp.worker_status") } @databases;
	return join(', ', sort values %state) eq 'none 53000, none 53000, serving, serving';
});
is(join(', ', sort values %state), 'none 53000, none 53000, serving, serving', 'two processes for four databases');
foreach my $database (grep { $state{$_} eq 'serving' } @databases)
{
	$session = WawpTest->session($crowded, $database);
	ends(enqueue(), "... $database has one, and is served");
	$session->quit;
}
my ($served) = grep { $state{$_} eq 'serving' && $_ ne 'postgres' } @databases;
my ($unserved) = grep { $state{$_} ne 'serving' } @databases;
$crowded->safe_psql('postgres', "DROP DATABASE $served");
$session = WawpTest->session($crowded, $unserved);
ok(poll_until(sub { $crowded->safe_psql('template1', 'SELECT count(*) FROM pg_stat_activity WHERE backend_type = $$wawp worker$$') == 2 }, 20),
	'... another has the process of one that is dropped, without waiting for a minute');
$session->quit;
$crowded->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$crowded->restart;
$session = WawpTest->session($crowded);
$session->ask("ALTER SYSTEM SET wawp.worker = off");
$crowded->reload;
becomes($state, 'off', '(switched off)');
$id = enqueue();
$session->quit;
$crowded->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$crowded->restart;
$session = WawpTest->session($crowded);
all_say('none', qr/wawp is not in shared_preload_libraries/, $id);
$session->quit;
$crowded->stop;
done_testing();
