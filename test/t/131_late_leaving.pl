
# Requests that leave late, because the commit before them takes its time, do not come closer to the next ones than the pace allows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpTest;

use constant INTERVAL => 4;    # seconds between two additions
use constant LATE => 3;        # seconds that a commit takes
use constant PEOPLE => 5;      # the first of them may be stopped in another commit than that of its claim
use constant EARLY => 0.15;    # what a request may be nearer than the interval: less than is said to be late, and the network

my $sim = WawpTest->sim(latency => 0.2);
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim, conf => "log_min_messages = debug1\nwal_level = replica\nmax_wal_senders = 2\n",
	options => { adds_per_minute => 60 / INTERVAL, adds_burst => 0, pace_jitter => 0, reads_per_minute => 0, checks_per_minute => 0, verify_delays => '60s' });
my $owner = WawpTest->session($node, 'postgres', options => '-c synchronous_commit=local');
my $probe = WawpTest->session($node);
my ($people, $probes) = (0, 0);
$owner->ask('CREATE TABLE probe (i int)');

sub person { return sprintf '15557780%03d', ++$people; }
sub group { return sprintf '12036307781%07d@g.us', $people; }

sub waiting
{
	my ($type) = @_;
	return $owner->ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = '$type' AND wait_event = 'SyncRep'")->{out};
}

# Let commits wait for a standby that does not exist, or no longer.
sub commits_wait
{
	my ($wait) = @_;
	$owner->ask("ALTER SYSTEM SET synchronous_standby_names = '" . ($wait ? 'nobody' : '') . "'");
	$owner->ask('SELECT pg_reload_conf()');
	return $probe->answer unless $wait;
	$probe->send('INSERT INTO probe VALUES (' . ++$probes . ')');
	# a commit before the server has read the setting does not wait
	return poll_until(
		sub {
			return 1 if waiting('client backend');
			my $has_ended = "SELECT count(*) FROM pg_stat_activity WHERE pid = @{[ $probe->pid ]} AND state = 'idle' AND query LIKE '%probe VALUES ($probes)%'";
			return 0 unless $owner->ask($has_ended)->{out};
			$probe->answer;
			$probe->send('INSERT INTO probe VALUES (' . ++$probes . ')');
			return 0;
		});
}

sub permits { return WawpTest->permits(WawpTest->asks($node, 'ABC123')); }

# Do something, keep the worker for LATE seconds in the commit for which a permit is taken then, and let it go on.
sub leaves_late
{
	my ($do) = @_;
	my $before = permits();
	commits_wait(1);
	$do->();
	poll_until(
		sub {
			poll_until(sub { waiting('wawp worker') }) or return 0;
			return 1 if permits() > $before;
			commits_wait(0);
			commits_wait(1);
			return 0;
		});
	my $since = time;
	my $late = $sim->count('add$');
	poll_until(sub { time > $since + LATE });
	commits_wait(0);
	return $late;
}

# Seconds between the addition that left late and the next one.
sub gap_after
{
	my ($late) = @_;
	$sim->arrived('add$', $late + 2);
	my @at = map { $_->{mono} } $sim->ledger('add$');
	return $at[ $late + 1 ] - $at[$late];
}

# ---- the worker's

my $people_sql = join ', ', map { "('@{[ group() ]}', '@{[ person() ]}\@c.us', 'support', false)" } 1 .. PEOPLE;
my $late = leaves_late(sub { $owner->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify) VALUES $people_sql"); });
my $gap = gap_after($late);
diag(sprintf 'the worker: %.2f s to the next addition', $gap);
cmp_ok($gap, '>=', INTERVAL - EARLY, 'an addition of the worker leaves late, the next one keeps its distance');

# ---- a session's, whose record the worker commits

my $session = WawpTest->session($node);
$sim->arrived('add$', PEOPLE);
my $since = time;
poll_until(sub { time > $since + INTERVAL });
sub by_hand { return "SELECT outcome FROM wawp_add_participants('@{[ group() ]}', ARRAY['@{[ person() ]}\@c.us'], 'support')"; }
$late = leaves_late(sub { $session->send(by_hand()) });
$session->answer;
poll_until(sub { $session->ask(by_hand())->{out} ne 'throttled' });
$gap = gap_after($late);
diag(sprintf 'a session: %.2f s to the next addition', $gap);
cmp_ok($gap, '>=', INTERVAL - EARLY, 'an addition by hand leaves late, the next one keeps its distance');

$node->stop;
done_testing();
