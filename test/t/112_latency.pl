
# A slow API, and a fast one: the worker sends as much as pace and latency allow, and reads no more than that needs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(min);
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

use constant GROUPS => 300;
use constant EACH => 3;
use constant WINDOW => 60;
# One read before an addition, one at the first look after it: everybody gets in.
use constant READS_AN_ADD => 2;
# While reads are what is short, a group that is known has some turns before those to be read, not most: their people
# are asked about, and that must not keep others from reading.  Where answers come at once, each second turn is one of these.
use constant KNOWN_FIRST => 1.6;
use constant KNOWN_FIRST_AT_ONCE => 2.2;

# Instances side by side, each with an account and a simulator of its own.  No jitter, so that the pace is a number.
my @cases = (
	{ name => 'slow', latency => 0.3, pace => 6, reads => 60 },
	{ name => 'slower', latency => 1, pace => 6, reads => 60 },
	{ name => 'busy', latency => 0.3, pace => 60, reads => 60 },
	{ name => 'busier', latency => 1, pace => 60, reads => 60 },
	{ name => 'fast', latency => 0, pace => 60, reads => 60 },
);
my $node = WawpTest->node('main');
my $owner = WawpTest->session($node);

# Most of these requests that were under way at the same time.
sub most_under_way
{
	my ($most, $now) = (0, 0);
	my @steps = map { ([ $_->{at}, 1 ], [ $_->{answered_at}, -1 ]) } grep { defined $_->{answered_at} } @_;
	foreach my $step (sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @steps)
	{
		$now += $step->[1];
		$most = $now if $now > $most;
	}
	return $most;
}

foreach my $case (@cases)
{
	$case->{sim} = WawpTest->sim;
	# an account of its own, since those of one host and id share their pace
	my $account = $case->{sim}->world->{accounts}{ABC123};
	$case->{sim}->world({ auto_groups => \1, accounts => { uc $case->{name} => $account } });
	$case->{sim}->rule({ times => undef, fault => { delay => $case->{latency} } });
	WawpTest->create_server($node, $case->{name}, $case->{sim},
		{ adds_per_minute => $case->{pace}, pace_jitter => 0, verify_delays => '3s,15s,60s', instance_id => uc $case->{name} });
}

# What every instance is asked for is asked at once, by a role that may do nothing else.
$owner->ask("CREATE ROLE ann LOGIN");
$owner->ask("GRANT USAGE ON FOREIGN SERVER $_->{name} TO ann") foreach @cases;
my $session = WawpTest->session($node, 'postgres', user => 'ann');
my $names = join ', ', map { "'$_->{name}'" } @cases;
my $asked = $session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance)
	SELECT '12036308880' || to_char(i % @{[ GROUPS ]}, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), s
	FROM generate_series(0, @{[ GROUPS * EACH - 1 ]}) i, unnest(ARRAY[$names]) s");
is($asked->{err}, '', 'queued: ' . GROUPS . ' groups, ' . EACH . ' people each');

# A window of that length after the first addition of each.
foreach my $case (@cases)
{
	ok(poll_until(sub { $case->{sim}->count('participants/add') > 0 }), "$case->{name}: somebody is added");
}
sleep WINDOW + 3;

foreach my $case (@cases)
{
	my @adds = grep { $_->{path} =~ m{participants/add$} } $case->{sim}->ledger;
	my $from = $adds[0]{mono};
	@adds = grep { $_->{mono} < $from + WINDOW } @adds;
	my @reads = grep { $_->{path} =~ m{/participants$} && $_->{method} eq 'GET' && $_->{mono} >= $from && $_->{mono} < $from + WINDOW }
	  $case->{sim}->ledger;
	my %groups = map { $_->{path} => 1 } @adds;
	my $served = keys %groups;
	my $request = $case->{latency} || 0.01;
	my $known_first = $case->{latency} ? KNOWN_FIRST : KNOWN_FIRST_AT_ONCE;
	my $allowed = min($case->{pace} / 60, $case->{reads} / 60 / READS_AN_ADD, 1 / ($request * (1 + READS_AN_ADD)));
	my $expected = int(0.95 * $allowed * WINDOW);

	diag(sprintf '%s: %d additions of %.1f that are allowed, %d reads, %d groups', $case->{name}, scalar(@adds), $allowed * WINDOW,
		scalar(@reads), $served);
	cmp_ok(scalar(@adds), '>=', $expected, "$case->{name}: what pace and latency allow is used");
	cmp_ok(WawpTest->most_in(60, map { $_->{mono} } @adds), '<=', $case->{pace} + 4, '... and no more');
	cmp_ok(scalar(@reads), '<=', 1.2 * ($served + 1) * READS_AN_ADD, '... without more reads than that takes');
	cmp_ok($served, '>=', $expected, '... in as many groups');
	cmp_ok(scalar(@adds), '<=', $known_first * $served, '... groups that are known go before those to be read at few turns');
	is(most_under_way($case->{sim}->ledger), 1, '... one request at a time');
}

done_testing();
