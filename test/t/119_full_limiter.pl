
# A limiter full of accounts that were used today: only a daily cap keeps an account in it, and that is said.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

use constant ROOM => 16;
use constant USED => 40;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', conf => "wawp.max_limiters = @{[ ROOM ]}\nlog_statement = none\n");
my $session = WawpTest->session($node);
my $people = 0;

$sim->world({ auto_groups => \1 });
my $account = $sim->world->{accounts}{ABC123};
$sim->world({ accounts => { map { $_ => $account } map { ("PLAIN$_", "CAPPED$_") } 1 .. USED } });
# No pace lasts beyond the call, so that only the count of the day could keep an account.
WawpTest->create_server($node, lc $_, $sim, { instance_id => $_, adds_per_minute => 60_000, $_ =~ /CAPPED/ ? (adds_per_day => 2) : () })
  foreach map { ("PLAIN$_", "CAPPED$_") } 1 .. USED;

sub add
{
	my ($instance) = @_;
	return $session->ask(sprintf q{SELECT outcome || coalesce(' ' || detail, '') FROM wawp_add_participants('120363119000000001@g.us', ARRAY['1564%07d'], '%s')},
		++$people, $instance)->{out};
}

# The table's fixed size is a lower bound of what it takes.
sub fills_up
{
	my ($name) = @_;
	foreach my $i (1 .. USED)
	{
		my $answer = add("$name$i");
		return ($i, $answer) unless $answer =~ /^accepted/;
	}
	return (0, '');
}

my ($at, $answer) = fills_up('plain');
is($at, 0, 'accounts that were used today and have no cap make room for others') || diag($answer);
($at, $answer) = fills_up('capped');
cmp_ok($at, '>=', ROOM, 'those with a cap are kept');
is($answer, 'throttled not sent: too many accounts and groups are paced at once (wawp.max_limiters)', '... the next is told why it is throttled');
is(add('capped1'), 'accepted', '... one that is known goes on');
like(add('capped1'), qr/^throttled not sent: the instance's pace allows no more now/, '... up to its cap');
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /the table of paces is full, an account or a group is throttled/g), 1, '... and the log says so, once');
like($log, qr/HINT:  Increase wawp\.max_limiters\./, '... with the way out');

done_testing();
