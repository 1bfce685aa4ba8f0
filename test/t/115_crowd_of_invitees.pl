
# Thousands of people of one group who wait for an invitation, which the pace gives to few of them, do not keep others of
# the group from being verified, and leave the processor to others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

# More than a portion of verify.c.
use constant INVITEES => 5000;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim,
	options => { adds_per_minute => 0, invites_per_minute => 1, concurrency => 4, instance_id => 'ABC123' });
$sim->world({ auto_groups => \1 });
my $session = WawpTest->session($node);

# Seconds of CPU that the worker has used.
sub worker_cpu
{
	my $pid = WawpTest->worker($node);
	my @stat = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($stat[11] + $stat[12]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

is($session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, action, batch_id)
	SELECT '$group', '1556' || lpad(i::text, 7, '0'), 'support', 'invite', 'crowd' FROM generate_series(1, @{[ INVITEES ]}) i")->{err},
	'', INVITEES . ' are to be invited to one group');
is($session->until("SELECT count(*) > 0 FROM wawp.membership_intent WHERE batch_id = 'crowd' AND state = 'invited'", 't'), 't', 'one of them is');
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'crowd' AND state = 'queued'", 0), 0,
	'... the others wait for their turns');

$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id) VALUES ('$group', '15570000001', 'support', 'late')");
my $asked = time;
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'late'", 1), 1, 'somebody added after them is verified meanwhile');
diag(sprintf 'done after %.1f s', time - $asked);

my ($from, $cpu) = (time, worker_cpu());
sleep 6;
my $share = (worker_cpu() - $cpu) / (time - $from);
diag(sprintf 'the worker uses %.0f %% of a processor', 100 * $share);
cmp_ok($share, '<', 0.25, '... and the worker is at rest for most of the time');

done_testing();
