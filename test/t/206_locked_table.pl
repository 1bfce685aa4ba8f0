
# A lock on the table of intents, as CREATE INDEX or a tool that rewrites it holds one: what became due meanwhile is done soon
# after it, not a minute later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.05);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, adds_per_minute => 0, reads_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
my $locker = WawpTest->session($node);

# As much time as the machine needs to ask for all three, before their time comes.
my $when = $wawp->ask(q{SELECT now() + interval '5 s'});
my ($group, $who) = ($wawp->group, $wawp->person);
my $held = $wawp->group;
my $member = $wawp->want(group => $group, who => $who, until => "'$when'");
is($wawp->end($member), 'done added', 'a member for a while');
$wawp->ask("SELECT wawp_pause('support', '$held')");
my $expiring = $wawp->want(group => $held, expires_at => "'$when'");
my $plan = $wawp->want(not_before => "'$when'");

is($locker->ask('BEGIN; LOCK TABLE wawp.membership_intent IN SHARE ROW EXCLUSIVE MODE')->{state}, '', 'the table is locked');
is($wawp->until("SELECT clock_timestamp() > '$when'", 't'), 't', '... while their times come');
is($wawp->until('SELECT state FROM wawp.worker_status', 'failing'), 'failing', '... and the worker says that it cannot');
like($wawp->ask('SELECT last_error FROM wawp.worker_status'), qr/lock timeout/, '... and why');
is($wawp->ask("SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($expiring, $plan)"), 'queued queued', '... and changes nothing');
is($locker->ask('COMMIT')->{state}, '', 'the lock is given back');

my $released = time;
like($wawp->end($plan), qr/^done/, 'the plan whose time came');
is_soon(time - $released, '... goes soon');
is($wawp->end($expiring), 'cancelled', 'what expired ends');
is_soon(time - $released, '... soon');
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND action = 'remove' AND state = 'done'", 1), 1, 'the membership that was over ends');
is_soon(time - $released, '... soon');
is($wawp->until('SELECT state FROM wawp.worker_status', 'serving'), 'serving', 'and nothing is in the way any more');

$locker->quit;
done_testing();
