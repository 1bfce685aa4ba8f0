
# Growth costs little: more lanes, a longer audit log, more rows behind a hold, longer member lists.  Asserted are
# counts (blocks and rows read, requests made) and the worker's CPU compared within the same run, never seconds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);
use WawpTest;

use constant MANY_LANES => 10_000;
use constant EACH => 2;
# What many lanes may cost beside few: five times as much, and more, when each request wakes every lane that waits.
use constant WIDTH => 2;
use constant PORTION => 200;
use constant PORTIONS => 20;
# ... and while the worker looks through all that is queued, as it does once a minute.
use constant RESCAN => 4;
use constant OLD_RECORDS => 200_000;
use constant RECENT_RECORDS => 40_000;
# Blocks (8 kB) that a look at a few rows may take; 20,000 intents have 600, the records 6,000.
use constant FEW_BLOCKS => 120;

my $limit = $PostgreSQL::Test::Utils::timeout_default;
# The middle of a month, so that the month has a past.
my $clock = WawpTest->clock;
my @now = gmtime;
$clock->move_to(timegm(0, 0, 12, 20, $now[4], $now[5])) if $clock;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', env => $clock ? $clock->env : {}, conf => "log_statement = none\nautovacuum = off\nwawp.member_list_cache = '256kB'\n");
my $session = WawpTest->session($node);
my $account = $sim->world->{accounts}{ABC123};
my %pace = (narrow => 0, wide => 0, few => 6000, many => 6000, lists => 0, looks => 0);
my $part = 0;

$sim->world({ auto_groups => \1, accounts => { map { uc($_) => $account } keys %pace } });
WawpTest->create_server($node, $_, $sim, { instance_id => uc $_, adds_per_minute => $pace{$_},
		reads_per_minute => $pace{$_}, pace_jitter => 0,
		concurrency => $_ eq 'lists' || $_ eq 'looks' ? 8 : 1 })
  foreach sort keys %pace;

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }

# Groups of an instance, each with so many people who are not looked for.
sub queue_up
{
	my ($instance, $lanes, $each) = @_;
	$part++;
	ask("SELECT wawp_pause('$instance')");
	ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify)
		SELECT '1203632' || lpad(($part * 1000000 + i % $lanes)::text, 11, '0') || '\@g.us', '1557' || lpad(i::text, 7, '0'), '$instance', false
		FROM generate_series(0, @{[ $lanes * $each - 1 ]}) i");
	return sprintf '1203632%011d@g.us', $part * 1000000;
}

sub requests { return $sim->ctl(GET => 'count')->{count}; }

# Nanoseconds that the worker was on a processor.
sub worker_cpu
{
	my $pid = WawpTest->worker($node);
	return (split ' ', slurp_file("/proc/$pid/schedstat"))[0];
}

# CPU a request of so many.
sub cpu_of_portion
{
	my ($cpu, $from) = (worker_cpu(), requests());
	my $sent;
	poll_until(sub { ($sent = requests() - $from) >= PORTION });
	return (worker_cpu() - $cpu) / $sent;
}

# The least of some portions: lanes that are new to the worker are looked into once.
sub cpu_a_request
{
	my ($instance, $enough) = @_;
	my $least;

	ask("SELECT wawp_resume('$instance')");
	foreach (1 .. PORTIONS)
	{
		my $cost = cpu_of_portion();
		$least = $cost if !defined $least || $cost < $least;
		last if $_ > 1 && $least < $enough;
	}
	return $least;
}

# What a statement reads, when its catalogs are known.
sub blocks
{
	my ($sql, $as) = @_;
	$as //= $session;
	my $plan;
	$plan = decode_json($as->ask("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $sql")->{out})->[0]{Plan} for 1 .. 3;
	return $plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'};
}

sub reads_little
{
	my ($sql, $name, $as) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $blocks = blocks($sql, $as);
	diag("$name: $blocks blocks");
	return cmp_ok($blocks, '<', FEW_BLOCKS, "$name: few blocks");
}

# ---- many lanes

SKIP:
{
	skip 'this system has no /proc/PID/schedstat', 4 unless -r "/proc/$$/schedstat";
	foreach my $case ([ 'narrow', 'wide', 'one request at a time, without a pace' ], [ 'few', 'many', 'a pace' ])
	{
		my ($narrow, $wide, $name) = @$case;
		queue_up($narrow, $narrow eq 'few' ? 10 : 100, $narrow eq 'few' ? 200 : 20);
		my $beside = cpu_a_request($narrow, 9**9**9);
		ask("SELECT wawp_pause('$narrow')");
		queue_up($wide, MANY_LANES, EACH);
		my $cost = cpu_a_request($wide, WIDTH * $beside);
		ask("SELECT wawp_pause('lists'); SELECT wawp_resume('lists')");
		my $rescan = cpu_of_portion();
		ask("SELECT wawp_pause('$wide')");
		diag(sprintf '%s: %.0f us of CPU a request in %d lanes, %.0f while all are looked through, %.0f in few lanes', $name,
			$cost / 1000, MANY_LANES, $rescan / 1000, $beside / 1000);
		cmp_ok($cost, '<', WIDTH * $beside, "$name: a request costs the same in " . MANY_LANES . ' lanes as in few');
		cmp_ok($rescan, '<', RESCAN * $beside, '... not much more while the worker looks through the queue');
	}
}

# ---- many queued, and held

ask('ANALYZE wawp.membership_intent');
my $in_many = sprintf '1203632%011d@g.us', 4_000_000 + MANY_LANES - 1;
my $last = ask("SELECT max(id) FROM wawp.membership_intent WHERE instance = 'many' AND group_jid = '$in_many' AND state = 'queued'");
my $queued = ask("SELECT count(*) FROM wawp.membership_intent WHERE instance = 'many' AND state = 'queued'");
my $lanes = ask("SELECT count(DISTINCT group_jid) FROM wawp.membership_intent WHERE instance = 'many' AND state = 'queued'");
my $plain_group = queue_up('lists', 1, 3);
ask("CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER many TO ann; CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher;
	UPDATE wawp.membership_intent SET requested_by = 'ann', requester = 'ann'::regrole WHERE instance = 'many' AND state = 'queued'");
ask('VACUUM ANALYZE wawp.membership_intent');
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(ann watcher);
cmp_ok($queued, '>', MANY_LANES, 'many are queued');
reads_little("SELECT wawp_explain($last)", 'wawp_explain');
reads_little("SELECT wawp_explain($last)", 'wawp_explain, a plain role', $as{ann});
reads_little("SELECT * FROM wawp.queue WHERE instance = 'many' AND group_jid = '$in_many'", 'one group of wawp.queue');
reads_little("SELECT * FROM wawp.queue WHERE instance = 'many' AND group_jid = '$in_many'", 'one group of wawp.queue, a plain role', $as{ann});

foreach my $who ([ $session, 'the owner' ], [ $as{ann}, 'a plain role' ], [ $as{watcher}, 'a monitoring role' ])
{
	my $funnel = blocks('SELECT * FROM wawp.funnel', $who->[0]);
	diag("wawp.funnel, $who->[1]: $funnel blocks");
	cmp_ok($funnel, '<', MANY_LANES, "the whole of wawp.funnel, $who->[1]: the queue is read once, not for each group");
}

my $of_lanes = "SELECT count(*), count(jid), count(DISTINCT group_jid), sum((regexp_match(why, '^held: paused.*; (\\d+) queued\$'))[1]::int)
	FROM wawp.stuck WHERE instance = 'many'";
is(ask($of_lanes), "$lanes|0|$lanes|$queued", 'wawp.stuck: a row for each lane that is held, with how many are queued in it');
is($as{ann}->ask($of_lanes)->{out}, "$lanes|0|$lanes|$queued", '... for a plain role as well');
is($as{watcher}->ask($of_lanes)->{out}, "$lanes|0|$lanes|$queued", '... and for a monitoring role');
is(ask("SELECT id = (SELECT min(id) FROM wawp.membership_intent WHERE instance = 'lists'), group_jid, jid, state, outcome, why FROM wawp.stuck WHERE instance = 'lists'"),
	"t|$plain_group||queued||held: paused; 3 queued", '... the first of them, and why');
ask("SELECT wawp_resume('lists')");
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE instance = 'lists' AND state = 'done'", 3, $limit), 3, '... none when it is not');
is(ask("SELECT count(*) FROM wawp.stuck WHERE instance = 'lists'"), 0, '... and no row then');

# ---- much queued in few lanes

my ($deep, $rows) = (20, 30_000);
ask('TRUNCATE wawp.membership_intent');
my $deep_group = queue_up('narrow', $deep, $rows / $deep);
ask("GRANT USAGE ON FOREIGN SERVER narrow TO ann;
	UPDATE wawp.membership_intent SET requested_by = 'ann', requester = 'ann'::regrole, reason = repeat('x', 400);
	UPDATE wawp.membership_intent SET state = 'failed', outcome = 'unknown_result' WHERE id IN (SELECT min(id) FROM wawp.membership_intent)");
ask('VACUUM ANALYZE wawp.membership_intent');
my $size = ask("SELECT pg_relation_size('wawp.membership_intent') / current_setting('block_size')::int");
my ($of_stuck, $of_worker) = map { "SELECT $_" } 'count(*), count(jid), sum((regexp_match(why, $$; (\d+) queued$$))[1]::int) FROM wawp.stuck', 'oldest_due_at FROM wawp.worker_status';
is(ask($of_stuck), join('|', $deep + 1, 1, $rows - 1), 'wawp.stuck: what is in doubt, and the lanes that are held');
is($as{watcher}->ask('SELECT count(*) FROM wawp.stuck')->{out}, $deep + 1, '... for a monitoring role as well');
is($as{ann}->ask($of_stuck)->{out}, join('|', $deep + 1, 1, $rows - 1), '... and a plain role sees its own');
is(ask("SELECT oldest_due_at = (SELECT min(created_at) FROM wawp.membership_intent WHERE state = 'queued') FROM wawp.worker_status"), 't', 'the oldest that is due');

# Asserts that neither view reads what is queued; so many blocks are the lanes' index.
sub reads_lanes
{
	my ($name, $of_index) = @_;
	foreach my $who ([ $session, 'the owner' ], [ $as{watcher}, 'a monitoring role' ])
	{
		my @read = map { blocks($_, $who->[0]) } $of_stuck, $of_worker;
		diag("$name, $who->[1]: wawp.stuck $read[0], oldest_due_at $read[1] blocks of $size");
		cmp_ok($read[0], '<', 20 * $deep + $of_index, "$name, $who->[1]: wawp.stuck reads no more than lanes");
		cmp_ok($read[1], '<', 40 * $deep, '... nor does oldest_due_at');
	}
	return;
}
reads_lanes('held', ask("SELECT pg_relation_size('wawp.membership_intent_lane') / current_setting('block_size')::int"));
# not held, but the worker is off
ask("ALTER SYSTEM SET wawp.worker = off; SELECT pg_reload_conf(); SELECT wawp_resume('narrow'); SELECT wawp_resume('many')");
reads_lanes('not held', 0);
my $by_ann = blocks($of_stuck, $as{ann});
diag("not held, a plain role: wawp.stuck $by_ann blocks");
cmp_ok($by_ann, '<', $size, '... a plain role');
ask("SELECT wawp_pause('narrow'); ALTER SYSTEM RESET wawp.worker; SELECT pg_reload_conf()");

# ---- lists of many groups, beyond what the worker keeps

# kB of member lists that the worker has, by its own account.
sub lists_kb
{
	my ($pid, $from) = (WawpTest->worker($node), -s $node->logfile);
	my $kb;
	ask("SELECT pg_log_backend_memory_contexts($pid)");
	poll_until(sub { slurp_file($node->logfile, $from) =~ /Grand total/ }, $limit);
	return slurp_file($node->logfile, $from) =~ /wawp lists: (\d+) total/ ? $1 / 1024 : undef;
}

my ($groups, $members, $newcomers) = (60, 200, 2);
my %patches = map {
	my $group = $_;
	sprintf('12036329%010d@g.us', $group) => { members => { '15550000001' => { role => 'superadmin' },
			map { sprintf('1559%03d%04d', $group, $_) => { role => 'member' } } 1 .. $members } }
} 1 .. $groups;
$sim->world({ groups => \%patches });
my $before = $sim->ctl(GET => 'count')->{count};
ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id)
	SELECT '12036329' || lpad(g::text, 10, '0') || '\@g.us', '1560' || lpad((g * 100 + i)::text, 7, '0'), 'lists', 'lists'
	FROM generate_series(1, $groups) g, generate_series(1, $newcomers) i");
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'lists' AND outcome = 'added'", $groups * $newcomers, $limit),
	$groups * $newcomers, 'more lists than the worker keeps: everybody gets in');
my $kb = lists_kb();
diag(sprintf '%s kB of lists in the end, %d requests', $kb // 'unknown', requests() - $before);
# the limit, what eight requests brought at once, and what malloc rounds up
cmp_ok($kb // 9**9**9, '<', 256 + 8 * 64 + 256, '... and the worker has not kept them all');

# ---- many who are looked for in few groups

my ($crowd, $rooms) = (1000, 4);

# Those who wait, as often as they were read.
sub waiting_read
{
	return ask("SELECT pg_stat_clear_snapshot(), idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = 'wawp.membership_intent_busy'::regclass") =~ s/.*\|//r;
}

$before = waiting_read();
ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id)
	SELECT '1203633' || lpad((i % $rooms)::text, 11, '0') || '\@g.us', '1561' || lpad(i::text, 7, '0'), 'looks', 'looks' FROM generate_series(1, $crowd) i");
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'looks' AND outcome = 'added'", $crowd, $limit), $crowd,
	'many are looked for in few groups: all get in');
my $reads = () = grep { $_->{path} =~ m{1203633\d{11}.*/participants$} && $_->{method} eq 'GET' } $sim->ledger;
diag("$reads lists read for $crowd");
# the worker tells of it when it has nothing to do
ok(poll_until(sub { return waiting_read() >= $before + $crowd }), '... the last of them as well');
my $each = (waiting_read() - $before) / $crowd;
diag(sprintf 'each read %.0f times while they wait', $each);
cmp_ok($each, '<', 40, '... and those who wait are not read again and again for one another');

# ---- an audit log with a past

# Blocks of the log and its indexes that were read so far.
sub audit_blocks
{
	return ask("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)
		FROM pg_statio_user_tables WHERE relname ~ '^audit_log_'") =~ s/.*\|//r;
}

sub restart
{
	$session->quit;
	$clock ? $clock->run(sub { $node->restart }) : $node->restart;
	$session = WawpTest->session($node);
	return;
}

# The server starts, a call of a session's is answered: what that has read in three lives of a worker, which tells of
# it at the latest when it ends; and the memory that the last one has.
sub start_again
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from;
	foreach (0 .. 2)
	{
		restart();
		is(ask("SELECT outcome FROM wawp_add_participants('120363012345678901\@g.us', ARRAY['1562000@{[ 1000 + ++$part ]}'], 'looks')"),
			'accepted', "$name: a session is served");
		$from //= audit_blocks();
	}
	return (audit_blocks() - $from, memory_kb(WawpTest->worker($node), 'RssAnon'));
}

# Records of requests that left, numbered as the worker does, which has no number in mind when nothing was recorded since it started.
sub write_past
{
	my ($number, $first, $step) = @_;
	restart();
	ask("INSERT INTO wawp.audit_log (id, at, kind, instance, instance_id, group_jid, contact_id, intent_id, batch_id, action, request_id)
		SELECT (SELECT max(id) FROM wawp.audit_log) + i, now() - interval '$first' + i * interval '$step', 'sent', 'looks', 'LOOKS',
			'1203634' || lpad((i % 10000)::text, 11, '0') || '\@g.us', i % 1000, i, 'past ' || i / 100, 'add', gen_random_uuid()
		FROM generate_series(1, $number) i");
	return;
}

SKIP:
{
	skip 'this system has no LD_PRELOAD, or no compiler', 15 unless $clock;
	ask('TRUNCATE wawp.membership_intent');
	my (undef, $memory) = start_again('no past');
	write_past(OLD_RECORDS, '10 days', '1 s');
	ask('ANALYZE wawp.audit_log');
	my ($with_past, $memory_with_past) = start_again(OLD_RECORDS . ' records of the month');
	# each of them would be a few blocks, to see whether it has left
	cmp_ok($with_past, '<', OLD_RECORDS / 10, '... and the start has not read them');
	reads_little("SELECT * FROM wawp.audit WHERE group_jid = '120363400000000042\@g.us'", 'the audit of a group');
	reads_little("SELECT * FROM wawp.audit WHERE batch_id = 'past 42'", '... of a batch');
	reads_little('SELECT * FROM wawp.audit WHERE request_id = (SELECT max(request_id::text)::uuid FROM wawp.audit_log WHERE intent_id = 42)', '... of a request');
	reads_little("SELECT * FROM wawp.audit WHERE at > now() - interval '5 seconds'", 'the audit of the last seconds');
	write_past(RECENT_RECORDS, '9 minutes', '10 ms');
	my (undef, $memory_with_recent) = start_again(RECENT_RECORDS . ' records of the last minutes');
	diag("$memory kB without a past, $with_past blocks and $memory_with_past with it, $memory_with_recent kB with recent records");
	cmp_ok($memory_with_recent, '<', $memory + 4 * 1024, '... and the worker does not have them in memory');
}

$node->stop;
$sim->stop;
done_testing();
