
# Intents that need no token of the pace leave when they are due, also while additions to the same group wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => '0.05', adds_burst => 0, reads_per_minute => 0 });
WawpTest->create_server($node, 'reads', $sim, { instance_id => 'GOWS1', adds_per_minute => 60000, reads_per_minute => '0.05' });
my $session = WawpTest->session($node);
my $locker = WawpTest->session($node);
my $other = WawpTest->session($node);
my $group = '120363012345670001@g.us';
$sim->world({ auto_groups => \1 });

sub states { return "SELECT string_agg(concat_ws(' ', action, state), ', ' ORDER BY id) FROM wawp.membership_intent WHERE $_[0]"; }

# ---- twenty minutes from one addition to the next: one is done, others wait

my $adds = "group_jid = '$group' AND action = 'add'";
$session->ask("SELECT wawp_request_add('$group', ARRAY['15557300001', '15557300002', '15557300003'], 'support')");
my $waiting = 'add done, add queued, add queued';
is($other->until(states($adds), $waiting), $waiting, 'one is added, two wait for the next token');

$session->ask("SELECT wawp_request_remove('$group', ARRAY['15557300011'], 'support')");
is($other->until(states("jid = '15557300011\@c.us'"), 'remove done'), 'remove done', 'a removal leaves beside them');

$session->ask("SELECT wawp_request_remove('$group', ARRAY['15557300012'], 'support', not_before => now() + interval '2 seconds')");
is($other->until(states("jid = '15557300012\@c.us'"), 'remove done'), 'remove done', '... so does one that was due later');

$sim->rule({ match => { path => 'participants/remove$' }, times => 1, answer => { status => 500 } });
$session->ask("SELECT wawp_request_remove('$group', ARRAY['15557300013'], 'support')");
is($other->until(states("jid = '15557300013\@c.us'"), 'remove done'), 'remove done', '... so does one that is tried again');

$session->ask(q{SELECT wawp_pause('support')});
$session->ask("SELECT wawp_request_remove('$group', ARRAY['15557300014'], 'support')");
$locker->ask('BEGIN');
$locker->ask("SELECT FROM wawp.membership_intent WHERE jid = '15557300014\@c.us' FOR UPDATE");
$session->ask(q{SELECT wawp_resume('support')});
$session->ask("SELECT wawp_request_remove('$group', ARRAY['15557300015'], 'support')");
is($other->until(states("jid = '15557300015\@c.us'"), 'remove done'), 'remove done', '... so does one behind another that is locked');
$locker->ask('COMMIT');
is($other->until(states("jid = '15557300014\@c.us'"), 'remove done'), 'remove done', '... which follows once it is not');
is($other->ask(states($adds))->{out}, $waiting, '... and no addition has left meanwhile');

# ---- a pace that is changed: nothing waits for what it was

$session->ask(q{ALTER SERVER support OPTIONS (SET adds_per_minute '0')});
is($other->until(states($adds), 'add done, add done, add done', soon()), 'add done, add done, add done', 'the pace is lifted: what waited for it leaves');

# ---- additions whose group has to be read first, where reads have a pace of their own

my ($first, $second, $unread) = map { "12036301234567000$_\@g.us" } 2 .. 4;
foreach my $read ($first, $second)
{
	$session->ask("SELECT wawp_request_add('$read', ARRAY['15557300021'], 'reads', verify => false)");
	is($other->until(states("group_jid = '$read'"), 'add done'), 'add done', 'the list of a group is read, somebody is added');
}
$session->ask('BEGIN');
$session->ask("SELECT wawp_request_add('$unread', ARRAY['15557300022', '15557300023'], 'reads', verify => false)");
$session->ask("SELECT wawp_request_remove('$unread', ARRAY['15557300024'], 'reads')");
is($session->ask('COMMIT')->{state}, '', 'a group that waits to be read');
my $removed = "SELECT EXISTS (SELECT FROM wawp.membership_intent WHERE jid = '15557300024\@c.us' AND state <> 'queued')";
is($other->until($removed, 't'), 't', '... a removal leaves from it');
is($other->ask(states("group_jid = '$unread' AND action = 'add'"))->{out}, 'add queued, add queued', '... and no addition does');

$_->quit foreach $session, $locker, $other;
done_testing();
