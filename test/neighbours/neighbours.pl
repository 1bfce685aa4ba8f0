
# What a role's additions take beside what another role does: see README.md.  Prints a table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Handle;
use Time::HiRes qw(time);
use WawpTest;

use constant ADDS => 30;
use constant RUNS => 3;
use constant LATENCY => 0.1;
# The neighbour is given up after that many seconds.
use constant LONGEST => 60;
# Settled rows that the retention deletes, and how long that may take.
use constant PRUNED => $ENV{SHORT} ? 100_000 : 1_000_000;
use constant PRUNED_WITHIN => 600;

my ($node, $sim, $hanging, $owner, $more, %as);
my $run = 0;

# What is done to the neighbour; `after` waits for the end of it and says how long it took.
my @floods = (
	{ name => 'pauses', what => 'wawp_pause of 150,000 made-up groups', flood => sub {
		$as{intruder}->ask(q{SELECT count(*) FROM (SELECT wawp_pause('theirs', '1203639' || lpad(i::text, 11, '0') || '@g.us') FROM generate_series(1, 150000) i) AS paused}) } },
	{ name => 'backlog', what => '100,000 intents in 100,000 groups of a paced instance', flood => sub { backlog() } },
	{ name => 'cancel', what => 'wawp_cancel_batch of them', flood => sub {
		backlog();
		$as{intruder}->ask("SELECT wawp_cancel_batch('backlog')") } },
	{ name => 'text', what => 'a reason of 300 MB', flood => sub {
		$as{intruder}->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) VALUES ('120363900000000001\@g.us', '15570000001', 'theirs', repeat('x', 300 * 1024 * 1024))") } },
	{ name => 'token', what => 'own user mapping with a wrong token for the same instance, one request', flood => sub {
		$owner->ask("CREATE USER MAPPING FOR intruder SERVER shared OPTIONS (access_token 'wrong')");
		$as{intruder}->ask("SELECT count(*) FROM wawp_request_add('120363900000000002\@g.us', ARRAY['15570000002'], 'shared')");
		$as{intruder}->until("SELECT count(*) FROM wawp.audit WHERE kind = 'answered' AND requested_by = 'intruder'", 1, 10) } },
	{ name => 'hanging', what => 'concurrency 64 at a host that hangs, 200 groups', flood => sub {
		$hanging->rule({ times => undef, fault => { delay => LONGEST } });
		$as{intruder}->ask(q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify)
			SELECT '1203638' || lpad(i::text, 11, '0') || '@g.us', '1557' || lpad(i::text, 7, '0'), 'hanging', false FROM generate_series(1, 200) i}) } },
	{ name => 'locks', what => 'rows of 6,000 groups, locked by a transaction', flood => sub {
		many_groups(6000);
		must('intruder', "BEGIN; SELECT wawp_cancel_batch('many')") } },
	{ name => 'deep', what => '200,000 people of one group, locked by a transaction', flood => sub {
		one_group(200_000, '');
		must('intruder', "BEGIN; SELECT wawp_cancel_batch('deep')") } },
	{ name => 'after', what => '100,000 people of one group who wait for somebody in the year 3000, and one more every 50 ms', flood => sub {
		must('intruder', "SELECT id FROM wawp_request_add('120363900000000003\@g.us', ARRAY['15570000003'], 'theirs', not_before => '3000-01-01', batch_id => 'first')");
		one_group(100_000, "(SELECT id FROM wawp.membership_intent WHERE batch_id = 'first')");
		$more->send(q{DO $$BEGIN FOR i IN 1 .. 3000 LOOP INSERT INTO wawp.membership_intent (group_jid, jid, instance, after)
			SELECT '120363900000000004@g.us', '1559' || lpad(i::text, 7, '0'), 'theirs', (SELECT id FROM wawp.membership_intent WHERE batch_id = 'first'); COMMIT; PERFORM pg_sleep(0.05); END LOOP; END$$}) } },
	{ name => 'wakes', what => '20,000 groups of a paced instance, and wawp_resume of one group that is not held, all the time', flood => sub {
		must('intruder', q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
			SELECT '1203637' || lpad(i::text, 11, '0') || '@g.us', '1557' || lpad(i::text, 7, '0'), 'paced', 'backlog', false FROM generate_series(1, 20000) i});
		$more->send(q{DO $$BEGIN FOR i IN 1 .. 1000000 LOOP PERFORM wawp_resume('paced', '120363900000000005@g.us'); COMMIT; END LOOP; END$$}) } },
	{ name => 'pause', what => 'wawp_pause in the middle of 4,000 groups', flood => sub {
		many_groups(4000);
		$as{intruder}->until("SELECT count(*) > 20 FROM wawp.membership_intent WHERE batch_id = 'many' AND state <> 'queued'", 't', 10);
		$as{intruder}->ask("SELECT wawp_pause('theirs')") } },
	{ name => 'later', what => 'the same people, asked for in the year 3000', flood => sub {
		$as{intruder}->ask("SELECT count(*) FROM wawp_request_add('" . group_of($_) . "', ARRAY(SELECT person FROM $_->{people}), 'shared', not_before => '3000-01-01')") foreach upcoming() } },
	{ name => 'open', what => 'the same people, asked for in an open transaction', flood => sub {
		$as{intruder}->ask('BEGIN');
		$as{intruder}->ask("SELECT count(*) FROM wawp_request_add('" . group_of($_) . "', ARRAY(SELECT person FROM $_->{people}), 'shared')") foreach upcoming() } },
	{ name => 'prune', what => commas(PRUNED) . ' settled intents, deleted by the retention', flood => sub { settled_long_ago(); await_pruning() }, after => sub { await_pruned() } },
);

sub commas { my ($number) = @_; 1 while $number =~ s/^(\d+)(\d{3})/$1,$2/; return $number; }

# Rows of another role that ended before the retention; as a busy queue leaves them, which is too slow to make.
sub settled_long_ago
{
	return $owner->ask(sprintf q{SET session_replication_role = replica;
		INSERT INTO wawp.membership_intent (group_jid, jid, action, instance, instance_id, priority, verify, invite, reason, batch_id, state, outcome, code, requester, requested_by,
			home, requested_from, origin, attempts, crashes, superseded, created_at, updated_at, settled_at)
		SELECT '1203635' || lpad((i %% 1000)::text, 11, '0') || '@g.us', '1558' || lpad(i::text, 7, '0') || '@c.us', 'add', 'theirs', 'THEIRS', 0, true, true, 'summer', 'batch ' || i / 100,
			'done', 'added', 200, 'intruder'::regrole, 'intruder', wawp._home(), '{"login": "intruder", "pid": 1}', 'function', 1, 0, false, t, t, t
		FROM generate_series(1, %d) i, LATERAL (SELECT now() - interval '400 days' + i * interval '1 s' AS t) v;
		RESET session_replication_role; CHECKPOINT}, PRUNED);
}

my $pruning_since;
my $settled = "SELECT EXISTS (SELECT FROM wawp.membership_intent WHERE state IN ('done', 'failed', 'cancelled') AND settled_at < now() - interval '30 days')";

# The retention deletes them portion by portion, and begins within a minute.
sub await_pruning
{
	$owner->until("SELECT n_tup_del > 0 FROM pg_stat_user_tables WHERE relid = 'wawp.membership_intent'::regclass", 't', 180);
	$pruning_since = time;
	return;
}

sub await_pruned
{
	return sprintf 'not within %d s', PRUNED_WITHIN if $owner->until($settled, 'f', PRUNED_WITHIN) ne 'f';
	return sprintf 'in %.0f s', time - $pruning_since;
}

sub backlog
{
	return $as{intruder}->ask(q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
		SELECT '1203637' || lpad(i::text, 11, '0') || '@g.us', '1557' || lpad(i::text, 7, '0'), 'paced', 'backlog', false FROM generate_series(1, 100000) i});
}

# What a flood is to do is done: a flood that was refused would be none.
sub must
{
	my ($who, $sql) = @_;
	my $answer = $as{$who}->ask($sql);
	die "$who: $sql: $answer->{err}\n" if $answer->{state};
	return $answer->{out};
}

# So many people of one group, who are to follow an intent, if one is named.
sub one_group
{
	my ($count, $after) = @_;
	return must('intruder', sprintf q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify, after)
		SELECT '120363900000000004@g.us', '1557' || lpad(i::text, 7, '0'), 'theirs', 'deep', false, %s FROM generate_series(1, %d) i}, $after || 'NULL::bigint', $count);
}

sub many_groups
{
	my ($count) = @_;
	return $as{intruder}->ask(qq{INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
		SELECT '1203636' || lpad(i::text, 11, '0') || '\@g.us', '1557' || lpad(i::text, 7, '0'), 'theirs', 'many', false FROM generate_series(1, $count) i});
}

# ---- the neighbour

# The additions of a run: ten groups, three people each.
sub people_of
{
	my ($number) = @_;
	return map { my $group = $_; { group => sprintf('12036350%03d%07d@g.us', $number, $group), people => sprintf("generate_series(1, 3) i, LATERAL (SELECT '1%d' || lpad((%d * 3 + i)::text, 7, '0') AS person) p", 200 + $number, $group) } } 1 .. ADDS / 3;
}

sub group_of { my ($room) = @_; return $room->{group}; }

# Those of the runs to come, so that an intruder can ask for the same.
sub upcoming { return map { people_of($_) } $run + 1 .. $run + RUNS; }

# Seconds until all are in, or undef.
sub additions
{
	my $batch = 'run' . ++$run;
	my $from = time;
	foreach my $room (people_of($run))
	{
		my $answer = $as{neighbour}->ask("SET lock_timeout = '@{[ LONGEST ]}s'; SELECT count(*) FROM wawp_request_add('$room->{group}', ARRAY(SELECT person FROM $room->{people}), 'shared', batch_id => '$batch')");
		return if $answer->{state};
	}
	my $done = "SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$batch' AND state = 'done'";
	return $as{neighbour}->until($done, ADDS, LONGEST) eq ADDS ? time - $from : undef;
}

# The median of some runs; undef when one of them was not done.
sub typical
{
	my @took;
	foreach (1 .. RUNS)
	{
		my $took = additions();
		return unless defined $took;
		push @took, $took;
	}
	return (sort { $a <=> $b } @took)[ RUNS / 2 ];
}

# ---- the table

sub start
{
	($sim, $hanging) = (WawpTest->sim, WawpTest->sim);
	$hanging->world({ auto_groups => \1 });
	$node = WawpTest->node('main' . $run, conf => "log_statement = none\nmax_connections = 20\n");
	my $account = $sim->world->{accounts}{ABC123};
	$sim->world({ auto_groups => \1, accounts => { map { $_ => $account } qw(SHARED THEIRS PACED) } });
	$sim->rule({ times => undef, fault => { delay => LATENCY } });
	$owner = WawpTest->session($node);
	my %options = (reads_per_minute => 0, verify_delays => '20ms,200ms,500ms');
	WawpTest->create_server($node, 'shared', $sim, { %options, instance_id => 'SHARED', concurrency => 4 });
	WawpTest->create_server($node, 'theirs', $sim, { %options, instance_id => 'THEIRS', concurrency => 4 });
	WawpTest->create_server($node, 'paced', $sim, { instance_id => 'PACED', adds_per_minute => 6 });
	WawpTest->create_server($node, 'hanging', $hanging, { %options, concurrency => 64 });
	foreach my $role (qw(neighbour intruder))
	{
		$owner->ask("CREATE ROLE $role LOGIN; GRANT USAGE ON FOREIGN SERVER shared, theirs, paced, hanging TO $role");
		$as{$role} = WawpTest->session($node, 'postgres', user => $role);
	}
	$more = WawpTest->session($node, 'postgres', user => 'intruder');
	return;
}

my $failed = 0;
my @chosen = chosen('FLOODS', 'flood', @floods);
open(my $table, '>', $ENV{NEIGHBOURS_ROWS}) or die "$ENV{NEIGHBOURS_ROWS}: $!\n";
$table->autoflush;
print $table "| flood | what the other role does | alone | beside it | ratio | <= 2 | worker |\n|---|---|---|---|---|---|---|\n";
foreach my $flood (@chosen)
{
	start();
	my $alone = typical();
	$flood->{flood}->();
	my $beside = defined $alone ? typical() : undef;
	my $what = join ', ', $flood->{what}, $flood->{after} ? $flood->{after}->() : ();
	my $memory = memory_kb(WawpTest->worker($node), 'RssAnon') / 1024;
	my $ratio = defined $beside ? $beside / $alone : undef;
	$failed ||= !defined $ratio;
	printf $table "| %s | %s | %s | %s | %s | %s | %.0f MB |\n", $flood->{name}, $what, defined $alone ? sprintf('%.2f s', $alone) : 'not done',
	  defined $beside ? sprintf('%.2f s', $beside) : 'not within ' . LONGEST . ' s', defined $ratio ? sprintf('%.1f x', $ratio) : '', defined $ratio && $ratio <= 2 ? 'yes' : '**no**', $memory;
	$_->quit foreach values %as, $owner;
	$more->vanish;
	$node->stop('immediate');
	$_->stop foreach $sim, $hanging;
}
exit($failed ? 1 : 0);
