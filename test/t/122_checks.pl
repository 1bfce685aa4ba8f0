
# Numbers that wait to be looked up at the pace of checks: their rows are not claimed and put back meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant GROUPS => 100;
# So many checks are waited for.
use constant CHECKS => 8;

my $sim = WawpTest->sim(latency => 0.2);
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim,
	options => { concurrency => 8, reads_per_minute => 0, checks_per_minute => 30, verify_delays => '60s' });
my $session = WawpTest->session($node);

# Updates of the queue so far; the worker tells of them when it rests.
sub updates
{
	return $session->ask("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'wawp.membership_intent'::regclass")->{out};
}

$session->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists)
	SELECT 'support', '12036308880' || to_char(i, 'FM0000000') || '\@g.us', true FROM generate_series(1, @{[ GROUPS ]}) i");
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance)
	SELECT '12036308880' || to_char(i, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), 'support' FROM generate_series(1, @{[ GROUPS ]}) i");
my $lists = sub { return grep { $_->{method} eq 'GET' } $sim->ledger('/participants$') };
ok(poll_until(sub { (my @read = $lists->()) >= GROUPS }), 'all groups are read');
my $checked = $sim->count('check-exists');
my $from = updates();
ok(poll_until(sub { $sim->count('check-exists') >= $checked + CHECKS }), 'numbers are looked up, one after the other');
my $each = (updates() - $from) / CHECKS;
diag("$each updates a check");
TODO:
{
	local $TODO = 'each lane that waits for a check is claimed and put back at every check';
	cmp_ok($each, '<', GROUPS / 2, 'meanwhile the others are left alone');
}

$node->stop;
done_testing();
