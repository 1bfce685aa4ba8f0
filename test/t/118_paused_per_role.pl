
# wawp.max_holds_per_role: a role cannot pause made-up groups without limit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, conf => "wawp.max_holds_per_role = 5\n");
my $owner = WawpTest->session($node);
$owner->ask('CREATE ROLE ann LOGIN; CREATE ROLE ben LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann, ben');
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(ann ben);

sub pauses { my ($n, $reason) = @_; return sprintf "wawp_pause('support', '12036311800%07d\@g.us'%s)", $n, $reason ? ", '$reason'" : ''; }

sub holds { return $owner->ask("SELECT count(*) FROM wawp.hold WHERE paused_by = '$_[0]'::regrole")->{out}; }

is($as{ann}->ask("SELECT count(" . pauses(1) . ") FROM generate_series(1, 3)")->{out}, 3, 'a group paused again and again');
is(holds('ann'), 1, '... counts once');
is($as{ann}->ask('SELECT ' . join ', ', map { pauses($_) } 2 .. 5)->{out}, 't|t|t|t', 'as many as are allowed');
my $answer = $as{ann}->ask('SELECT ' . pauses(6));
is($answer->{state}, '53400', 'one more is refused');
like($answer->{err}, qr/role "ann" has paused too many groups.*DETAIL:  It has paused 5 instances and groups, as many as wawp.max_holds_per_role allows.*HINT:  End some with wawp_resume\(\)/s, '... with the way out');
is($as{ann}->ask("SELECT count(wawp_pause('support', '12036311899' || lpad(i::text, 7, '0') || '\@g.us')) FROM generate_series(1, 1000) i")->{state}, '53400', '... in one statement, too');
is($as{ann}->ask("SELECT wawp_pause('support')")->{state}, '53400', '... the instance counts as well');
is(holds('ann'), 5, 'nothing was added');
is($as{ann}->ask('SELECT ' . pauses(3, 'another reason'))->{out}, 't', 'what is paused may be paused for another reason');
is($as{ben}->ask('SELECT ' . pauses(7))->{out}, 't', 'others have a quota of their own');
is($as{ben}->ask('SELECT ' . pauses(3, 'mine'))->{out}, 't', '... and count what they have paused last');
is($as{ann}->ask('SELECT ' . pauses(6))->{out}, 't', '... which counts for the first no more');
is($as{ann}->ask("SELECT wawp_resume('support', '120363118000000001\@g.us')")->{out}, 't', 'resumed');
is($as{ann}->ask('SELECT ' . pauses(8))->{out}, 't', '... another may be paused');
is($owner->ask("SELECT count(wawp_pause('support', '12036311898' || lpad(i::text, 7, '0') || '\@g.us')) FROM generate_series(1, 20) i")->{out}, 20, 'the owner has no limit');
$owner->ask('ALTER SYSTEM SET wawp.max_holds_per_role = 0');
$node->reload;
$as{ann}->until('SHOW wawp.max_holds_per_role', 0);
is($as{ann}->ask('SELECT ' . join ', ', map { pauses($_) } 9 .. 12)->{out}, 't|t|t|t', '0 is no limit');

done_testing();
