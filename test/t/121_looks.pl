
# Additions without a pace, several at a time, leave places for the looks at who got in.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant GROUPS => 2000;
# So many are added when the looks are counted: the queue is not empty by then.
use constant ADDED => 250;

my $sim = WawpTest->sim(latency => 0.2);
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim,
	options => { concurrency => 8, reads_per_minute => 0, verify_delays => '1s,60s' });

$node->safe_psql('postgres', "INSERT INTO wawp.membership_intent (group_jid, jid, instance)
	SELECT '12036308880' || to_char(i, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), 'support' FROM generate_series(1, @{[ GROUPS ]}) i");
$sim->arrived('participants/add$', ADDED);

# Lists that were read after the addition to their group.
my (%added, %seen);
foreach my $request ($sim->ledger('/participants(/add)?$'))
{
	my ($group) = $request->{path} =~ m{groups/([^/]+)/};
	if ($request->{method} eq 'POST') { $added{$group} = 1; }
	elsif ($added{$group}) { $seen{$group} = 1; }
}
my ($added, $seen) = (scalar(keys %added), scalar(keys %seen));
diag("$seen of $added looked for");
cmp_ok($added, '<', GROUPS, 'others are queued still');
cmp_ok($seen, '>=', $added / 2, 'meanwhile those who were added are looked for');

$node->stop;
done_testing();
