
# A cycle of the worker takes a portion of what is due: thousands of lanes that cannot be served, a cancelled batch or
# meaningless holds do not keep others waiting, and the worker's memory is bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

use constant LOCKED_LANES => 6000;
use constant PAUSED_LANES => 4000;
use constant BATCH => 100_000;
use constant HOLDS => 150_000;
use constant WAITING => 60_000;
# What a cycle may take, and what a lane at rest may.
use constant CYCLE_KB => 64 * 1024;
use constant LANE_KB => 1;
use constant NEIGHBOURS => 30;

my $limit = $PostgreSQL::Test::Utils::timeout_default / 3;
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 8, instance_id => 'ABC123' });
$sim->world({ auto_groups => \1 });
WawpTest->create_server($node, 'crowd', $sim, { adds_per_minute => 0, concurrency => 8, instance_id => 'GOWS1' });
WawpTest->create_server($node, 'paced', $sim, { adds_per_minute => 6, instance_id => 'NOWEB1' });
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
my $part = 0;

# Of its own: what it reads of shared buffers is not its.
sub worker_kb { return memory_kb(WawpTest->worker($node), 'RssAnon'); }

# Seconds of CPU that the worker has used.
sub worker_cpu
{
	my $pid = WawpTest->worker($node);
	my @stat = split ' ', PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($stat[11] + $stat[12]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

# So many people, each in a group of their own, for an instance.
sub queue_up
{
	my ($instance, $count, $batch) = @_;
	my $answer = $session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
		SELECT '1203630' || lpad((@{[ ++$part ]} * 1000000 + i)::text, 11, '0') || '\@g.us', '1557' || lpad(i::text, 7, '0'), '$instance', '$batch', false
		FROM generate_series(1, $count) i");
	is($answer->{err}, '', "$count queued in as many groups of $instance");
	return;
}

# Another instance's additions, and a call of its made in a session.
sub neighbour_goes_on
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from = time;
	my $batch = 'neighbour' . ++$part;
	$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id)
		SELECT '1203631' || lpad(($part * 1000 + i % 10)::text, 11, '0') || '\@g.us', '1558' || lpad(($part * 1000 + i)::text, 7, '0'), 'support', '$batch'
		FROM generate_series(1, @{[ NEIGHBOURS ]}) i");
	is($session->until("SELECT done FROM wawp.progress WHERE batch_id = '$batch'", NEIGHBOURS), NEIGHBOURS,
		"$when: the neighbour's additions are done");
	diag(sprintf '%s: %.1f s, worker %d MB', $when, time - $from, worker_kb() / 1024);
	is($session->ask("SELECT outcome FROM wawp_add_participants('120363012345678901\@g.us', ARRAY['1559' || lpad('$part', 7, '0')], 'support')")->{out},
		'accepted', '... and calls of its sessions');
	return;
}

# Nobody who wants a table waits longer than a portion takes.
sub tables_are_free
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($session->ask("SET lock_timeout = '${\int($limit * 1000)}ms'; BEGIN; LOCK TABLE wawp.hold IN ACCESS EXCLUSIVE MODE; COMMIT")->{err}, '',
		"$when: a table can be locked");
	return;
}

neighbour_goes_on('alone');
my $base = worker_kb();

# ---- rows that a transaction has locked, in thousands of lanes

$session->ask("SELECT wawp_pause('crowd')");
queue_up('crowd', LOCKED_LANES, 'locked');
$other->ask("BEGIN; SELECT count(*) FROM (SELECT FROM wawp.membership_intent WHERE batch_id = 'locked' FOR UPDATE) l");
$session->ask("SELECT wawp_resume('crowd')");
neighbour_goes_on('rows locked in ' . LOCKED_LANES . ' lanes');
tables_are_free('... meanwhile');
my ($from, $cpu) = (time, worker_cpu());
sleep 4;
cmp_ok((worker_cpu() - $cpu) / (time - $from), '<', 0.6, '... trying them again leaves the processor to others');
cmp_ok(worker_kb() - $base, '<', CYCLE_KB + LOCKED_LANES * LANE_KB, '... and takes little memory');
is($session->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'locked' AND state = 'queued'")->{out}, LOCKED_LANES,
	'... they are still queued');
$session->ask("SELECT wawp_pause('crowd')");
$other->ask('COMMIT');
$session->ask("SELECT wawp_cancel_batch('locked'); SELECT wawp_resume('crowd')");

# ---- an intent that has expired and a membership that is over, both locked

sub commits { return $session->ask("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), xact_commit FROM pg_stat_database WHERE datname = current_database()")->{out} =~ s/.*\|//r; }

$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, not_before, expires_at)
	VALUES ('120363499999999998\@g.us', '15560000001', 'crowd', 'expired', 'infinity', clock_timestamp() + interval '1 hour')");
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify, until)
	VALUES ('120363499999999998\@g.us', '15560000002', 'crowd', 'over', false, clock_timestamp() + interval '1 hour')");
is($session->until("SELECT count(*) FROM wawp.membership WHERE until IS NOT NULL", 1), 1, 'a membership with an end');
$other->ask("BEGIN; UPDATE wawp.membership_intent SET expires_at = clock_timestamp() WHERE batch_id = 'expired'; UPDATE wawp.membership SET until = clock_timestamp() WHERE until IS NOT NULL");
$other->ask("COMMIT; BEGIN; SELECT FROM wawp.membership_intent WHERE batch_id = 'expired' FOR UPDATE; SELECT FROM wawp.membership WHERE until IS NOT NULL FOR UPDATE");
$session->ask("SELECT wawp_resume('crowd')");
$session->until('SELECT count(*) FROM wawp.audit_note', 0);
($from, my $commits) = (time, commits());
sleep 3;
cmp_ok((commits() - $commits) / (time - $from), '<', 60, '... locked, once over, they do not keep the worker busy');
$other->ask('COMMIT');
is($session->until("SELECT state FROM wawp.membership_intent WHERE batch_id = 'expired'", 'cancelled'), 'cancelled', '... then the one ends');
is($session->until("SELECT count(*) FROM wawp.membership WHERE until IS NOT NULL", 0), 0, '... and so does the other');

# ---- a pause in the middle of it

queue_up('crowd', PAUSED_LANES, 'paused');
$session->until("SELECT done > 50 FROM wawp.progress WHERE batch_id = 'paused'", 't');
$session->ask("SELECT wawp_pause('crowd')");
my $in_the_middle = $session->ask("SELECT count(*) > @{[ PAUSED_LANES / 2 ]} FROM wawp.membership_intent WHERE batch_id = 'paused' AND state = 'queued'")->{out};
is($in_the_middle, 't', 'paused in the middle');
neighbour_goes_on('a pause');
tables_are_free('... meanwhile');
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'paused' AND state = 'sending'", 0), 0,
	'... nothing of the paused instance is under way');
$session->ask("SELECT wawp_resume('crowd')");
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'paused'", PAUSED_LANES), PAUSED_LANES, '... and after it all are done');

# ---- a large batch of a paced instance, cancelled

$base = worker_kb();
queue_up('paced', BATCH, 'large');
neighbour_goes_on(BATCH . ' queued');
is($session->ask("SELECT wawp_cancel_batch('large') >= @{[ BATCH - 10 ]}")->{out}, 't', 'cancelled');
neighbour_goes_on(BATCH . ' cancelled');
tables_are_free('... meanwhile');
cmp_ok(worker_kb() - $base, '<', CYCLE_KB + BATCH * LANE_KB, '... and takes no more memory than the lanes and a portion');

# ---- tens of thousands who wait in one group

my $crowded = '120363499999999999@g.us';
$session->ask("SELECT wawp_pause('crowd')");
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id) SELECT '$crowded', '1556' || lpad(i::text, 7, '0'), 'crowd', 'waiting'
	FROM generate_series(1, @{[ WAITING ]}) i");
is($session->ask("SET session_replication_role = replica;
	UPDATE wawp.membership_intent SET state = 'invited', outcome = 'invited', updated_at = clock_timestamp(), next_attempt_at = clock_timestamp() WHERE batch_id = 'waiting';
	RESET session_replication_role")->{err}, '', WAITING . ' wait in one group');
$session->ask("SELECT wawp_resume('crowd')");
neighbour_goes_on(WAITING . ' wait in a group');
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'waiting' AND next_attempt_at <= updated_at", 0), 0, '... each is looked for');
cmp_ok($session->ask("SELECT max(people) FROM (SELECT count(*) AS people FROM wawp.membership_intent WHERE batch_id = 'waiting' GROUP BY xmin::text) AS cycles")->{out},
	'<', WAITING / 10, '... a portion of them in a transaction');
$session->ask("SELECT wawp_cancel_batch('waiting')");

# ---- holds that mean nothing to anybody

$node->safe_psql('postgres', "INSERT INTO wawp.hold (instance, group_jid, reason, since)
	SELECT 'paced', '1203639' || lpad(i::text, 11, '0') || '\@g.us', 'paused: test', now() FROM generate_series(1, @{[ HOLDS ]}) i");
$node->safe_psql('postgres', "INSERT INTO wawp.hold (instance, group_jid, reason, since, until)
	SELECT 'crowd', '1203639' || lpad(i::text, 11, '0') || '\@g.us', 'not_admin', now() - interval '1 hour', now() - interval '1 minute' FROM generate_series(1, 100) i");
$base = worker_kb();
neighbour_goes_on(HOLDS . ' holds');
cmp_ok(worker_kb() - $base, '<', CYCLE_KB, '... and the worker has not read them all');
$node->restart;
$session = WawpTest->session($node);
is($session->until("SELECT count(*) FROM wawp.hold WHERE instance = 'crowd'", 0), 0, 'holds that are over are forgotten, where nothing is queued');
is($session->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'paced'")->{out}, HOLDS, '... those set by hand are not');

done_testing();
