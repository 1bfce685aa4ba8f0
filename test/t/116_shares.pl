
# Shares of wawp.max_in_flight: requests that hang, for members lists as for additions, leave slots to those who get answers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant SLOTS => 16;
use constant NEIGHBOURS => 12;

my ($sim, $hanging) = (WawpTest->sim, WawpTest->sim);
my $node = WawpTest->node('main', conf => "wawp.max_in_flight = @{[ SLOTS ]}\nlog_statement = none\n");
my $session = WawpTest->session($node);
my ($groups, $batches) = (0, 0);

$_->world({ auto_groups => \1 }) foreach $sim, $hanging;
my $account = $sim->world->{accounts}{ABC123};
$sim->world({ accounts => { map { $_ => $account } 'GOOD', map { "SAME$_" } 1 .. 40 } });

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }

sub create
{
	my ($name, $at, %options) = @_;
	return WawpTest->create_server($node, $name, $at, { adds_per_minute => 0, concurrency => 64, timeout_ms => 600_000, verify_delays => '20ms,200ms', %options });
}

# So many people in as many groups of an instance, as one batch; returns its name.  The groups of "same" have a prefix of their own.
sub asks
{
	my ($instance, $count, $action) = @_;
	my ($first, $batch) = ($groups + 1, 'batch' . ++$batches);
	$groups += $count;
	my $prefix = $instance =~ /^same/ ? '12036311610' : '12036311600';
	ask(sprintf(q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, action)
		SELECT '%s' || lpad(i::text, 7, '0') || '@g.us', '1563' || lpad(i::text, 7, '0'), '%s', '%s', '%s' FROM generate_series(%d, %d) i},
		$prefix, $instance, $batch, $action // 'add', $first, $groups));
	return $batch;
}

sub under_way { return ask('SELECT in_flight FROM wawp.worker_status'); }

# Requests that wait for their answers, once that number stays the same.
sub settled
{
	my ($least) = @_;
	my ($now, $before, $same) = (0, -1, 0);
	poll_until(sub {
		$now = under_way();
		$same = $now == $before && $now >= $least ? $same + 1 : 0;
		$before = $now;
		return $same >= 25;
	});
	return $now;
}

sub served
{
	my ($instance, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $batch = asks($instance, NEIGHBOURS);
	my $done = "SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$batch' AND state = 'done'";
	return is($session->until($done, NEIGHBOURS, soon()), NEIGHBOURS, $name);
}

# Nothing hangs, is queued or waits any more.
sub forget_all
{
	$_->unrule foreach $sim, $hanging;
	ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE state = 'queued'");
	return is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled')", 0), 0, 'all that hung has ended');
}

sub hang { my ($at, %match) = @_; return $at->rule({ times => undef, match => \%match, fault => { gate => \1 } }); }

# ---- alone

create('good', $sim, instance_id => 'GOOD');
hang($sim);
my $alone = asks('good', 40);
is(settled(1), SLOTS - 2, 'all there is may have seven eighths');
forget_all();
served('good', 'one that answers');

# ---- one beside it

create('hanging', $hanging);
hang($hanging, path => 'participants$|session/info$');
asks('hanging', 60);
cmp_ok(settled(1), '<=', SLOTS / 2, 'of which nothing is known has a part');
served('good', '... another is served');
hang($hanging);
asks('hanging', 60, 'remove');
served('good', '... beside changes as well');
forget_all();

# ---- one that answered before

served('hanging', 'it answers');
hang($hanging);
asks('hanging', 60);
cmp_ok(settled(SLOTS / 2), '<', SLOTS, 'one that answered may have more');
served('good', '... but not the last');
forget_all();

# ---- many on that host, and many beside it on its own

foreach my $case ([ 'theirs', $hanging, 'another host' ], [ 'same', $sim, 'the same host' ])
{
	my ($name, $at, $host) = @$case;
	create("$name$_", $at, $name eq 'same' ? (instance_id => "SAME$_") : ()) foreach 1 .. 40;
	hang($at, $name eq 'same' ? (path => '12036311610') : ());
	ask("SELECT wawp_pause('$name$_')") foreach 1 .. 40;
	asks("$name$_", 4) foreach 1 .. 40;
	ask('BEGIN');
	ask("SELECT wawp_resume('$name$_')") foreach 1 .. 40;
	ask('COMMIT');
	cmp_ok(settled(4), '<', SLOTS, "40 instances that hang on $host leave something");
	served('good', '... for one that answers');
	forget_all();
}

# ---- few slots

foreach my $most (1 .. 4)
{
	ask("ALTER SYSTEM SET wawp.max_in_flight = $most");
	$node->reload;
	$session->until('SHOW wawp.max_in_flight', $most);
	served('good', "with $most slots one is served");
	next if $most == 1;
	hang($hanging);
	my $batch = asks('hanging', 10);
	settled(1);
	served('good', '... also beside one that hangs');
	forget_all();
}

done_testing();
