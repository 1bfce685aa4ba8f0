
# What was read of a group before somebody was asked for, or before its hold was ended, decides nothing: neither that it takes
# nobody, nor that somebody is in it or has left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, reads_per_minute => 0, invites_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
my $us = '15550000001';
my $chief = '15559990001';
WawpTest->create_server($node, 'gows', $sim, { instance_id => 'GOWS1', concurrency => 8, reads_per_minute => 0, invites_per_minute => 0 });

sub settings { my ($group, $instance, %set) = @_; my @names = sort keys %set; return $wawp->ask(sprintf "INSERT INTO wawp.group_settings (instance, group_jid, %s) VALUES ('%s', '%s', %s)", join(', ', @names), $instance, $group, join(', ', @set{@names})); }
sub lists { return scalar grep { $_->{method} eq 'GET' && $_->{path} =~ m{/participants} } $sim->ledger; }

# State and outcome at the end, or why the group is held.
sub fate
{
	my ($id) = @_;
	return $wawp->until("SELECT coalesce('held ' || (SELECT h.reason FROM wawp.hold h WHERE h.group_jid = i.group_jid AND h.instance = i.instance), concat_ws(' ', i.state, i.outcome))
		FROM wawp.membership_intent i WHERE id = $id", qr/^(held|done|failed|cancelled)/);
}

# The list is read, for a member.
sub read_list
{
	my ($instance, $group, $member) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($wawp->end($wawp->want(instance => $instance, group => $group, who => $member)), 'done already_member', 'the list is read');
}

sub resume { my ($instance, $group) = @_; return is($wawp->ask("SELECT wawp_resume('$instance', '$group')"), 't', '... the hold is ended by hand'); }

# ---- whether we are an admin

my %not_ours = (owner => $chief, members => { $chief => { role => 'superadmin' }, $us => { role => 'member' } });
my $group = $wawp->group(%not_ours);
read_list('gows', $group, $chief);
$sim->world({ groups => { $group => { members => { $us => { role => 'admin' } } } } });
is(fate($wawp->want(instance => 'gows', group => $group)), 'done added', 'we became an admin, and then somebody was asked for');

$group = $wawp->group(%not_ours);
my $id = $wawp->want(instance => 'gows', group => $group);
is(fate($id), 'held not_admin', 'we are none: held');
$sim->world({ groups => { $group => { members => { $us => { role => 'admin' } } } } });
resume('gows', $group);
is(fate($id), 'done added', '... we are one now');

$group = $wawp->group(%not_ours);
$id = $wawp->want(instance => 'gows', group => $group);
is(fate($id), 'held not_admin', 'we are none: held');
$sim->world({ groups => { $group => { all_member_add => \1 } } });
resume('gows', $group);
is(fate($id), 'done added', '... all members may add now');

$group = $wawp->group(%not_ours);
$id = $wawp->want(instance => 'gows', group => $group);
is(fate($id), 'held not_admin', 'we are none: held');
my $read = lists();
resume('gows', $group);
is(fate($id), 'held not_admin', '... and still are');
is(lists(), $read + 1, '... by one more list');

# ---- whether there is room

my ($first, $second) = WawpTest->people(2);
sub small { my (%set) = @_; my $small = $wawp->group(members => { $us => { role => 'superadmin' }, $first => { role => 'member' }, $second => { role => 'member' } }); settings($small, 'support', capacity => 3, %set); return $small; }

$group = small();
read_list('support', $group, $first);
$sim->world({ groups => { $group => { members => { $second => undef } } } });
is(fate($wawp->want(group => $group)), 'done added', 'somebody left, and then another was asked for');

$group = small();
$id = $wawp->want(group => $group);
is(fate($id), 'held group_full', 'no room: held');
$sim->world({ groups => { $group => { members => { $second => undef } } } });
resume('support', $group);
is(fate($id), 'done added', '... there is room now');

my $next = $wawp->group;
$group = small(overflow_group => "'$next'");
read_list('support', $group, $first);
$sim->world({ groups => { $group => { members => { $second => undef } } } });
$id = $wawp->want(group => $group);
is(fate($id), 'done added', 'somebody left, and then another was asked for');
is($wawp->column($id, 'group_jid'), $group, '... who is not sent to the overflow group');
$read = lists();
my @late = map { $wawp->want(group => $group) } 1 .. 3;
is(fate($_), 'done added', '... others are added elsewhere') foreach @late;
is($wawp->column($_, 'group_jid'), $next, '... since there is no room') foreach @late;

# ---- who is in it

$group = $wawp->group(members => { $us => { role => 'superadmin' }, $first => { role => 'member' }, $second => { role => 'member' } });
read_list('support', $group, $first);
$sim->world({ groups => { $group => { members => { $first => undef } } } });
$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { status => 500, json => {} } });
$id = $wawp->want(group => $group, who => $first);
like($wawp->comes_to($id, qr/^(verifying|done|failed)/), qr/^verifying/, 'who may have left since the list, and no other can be read: the addition tells');
$sim->unrule;
is($wawp->end($id), 'done added', '... they had');

# Who was found missing before, but was back when they were asked for, has not left.
$group = $wawp->group(members => { $us => { role => 'superadmin' }, $first => { role => 'member' }, $second => { role => 'member' } });
read_list('support', $group, $first);
$sim->world({ groups => { $group => { members => { $first => undef } } } });
$id = $wawp->want(group => $group, who => $first);
$wawp->until("SELECT state = 'queued' AND next_attempt_at IS NOT NULL FROM wawp.membership_intent WHERE id = $id AND state IN ('queued', 'failed')", 't');
$wawp->ask("SELECT wawp_cancel($id)");
is($wawp->now($id), 'cancelled', 'who is missing is looked for again, but nobody wants them any more');
$wawp->until("SELECT clock_timestamp() > settled_at + interval '2.5 s' FROM wawp.membership_intent WHERE id = $id", 't');
read_list('support', $group, $second);
$sim->world({ groups => { $group => { members => { $first => { role => 'member' } } } } });
is($wawp->end($wawp->want(group => $group, who => $first)), 'done already_member', '... who came back before they were asked for again is a member');

done_testing();
