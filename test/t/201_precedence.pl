
# Which of several wishes for one person decides, in the end: an end of a membership and those who want the person for
# longer; what waits for another request; what was asked for anew meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.05);
my %options = (concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, reads_per_minute => 0, verify_delays => '0.2s,0.5s,1s');
my $node = WawpTest->node('main', sim => $sim, options => \%options);
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask('CREATE ROLE b LOGIN; GRANT USAGE ON FOREIGN SERVER support TO b');
my $b = WawpTest->session($node, 'postgres', user => 'b');
my ($group, $who);

sub someone { my (%person) = @_; ($group, $who) = ($wawp->group, $wawp->person(%person)); return (group => $group, who => $who); }
sub pause { return $wawp->ask("SELECT wawp_pause('support', '$group')"); }
sub resume { return $wawp->ask("SELECT wawp_resume('support', '$group')"); }
sub is_put_off { return $wawp->until("SELECT until BETWEEN clock_timestamp() + interval '1 min' AND '2099-01-01' FROM wawp.membership WHERE group_jid = '$group'", 't'); }
sub b_adds { my ($more) = @_; return $b->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'], 'support'" . ($more // '') . ')')->{out}; }

# Somebody is in a group that is held, until a time that passes by lapse(): the worker looks when another's end has passed.
sub for_a_while
{
	my %it = someone();
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($wawp->end($wawp->want(%it, until => "'2100-01-01'")), 'done added', 'somebody is in for a while');
	pause();
	return %it;
}

sub lapse
{
	$wawp->ask("UPDATE wawp.membership SET until = clock_timestamp() WHERE group_jid = '$group'");
	return $wawp->end($wawp->want(until => "clock_timestamp() - interval '1 s'"));
}

# The removal that ends the membership, as soon as it is queued.
sub ending { return $wawp->until("SELECT max(id) FROM wawp.membership_intent WHERE group_jid = '$group' AND origin = 'until'", qr/\d/); }

# A swap of the leaver for the newcomer; the ids of the addition and of the removal.
sub swap
{
	my ($leaver, $newcomer) = @_;
	return split /,/, $wawp->ask("SELECT string_agg(id::text, ',') FROM wawp_request_swap('$group', '$leaver', '$newcomer', 'support')");
}

# All of the group's requests are settled.
sub settled { return $wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND settled_at IS NULL", 0); }

sub sent { return join ', ', map { /^(\w+) / } $sim->people($group =~ s/\@.*//r); }

# ---- nobody ends what another wants

my %it = for_a_while();
lapse();
my $end = ending();
my $for_good = b_adds(', priority => 1');
resume();
is($wawp->end($for_good), 'done already_member', 'another wants them for good, before they are removed');
$wawp->age($end, '1 s');
is($wawp->end($end), 'cancelled', '... and they are not');
is($wawp->column($end, 'detail'), 'not removed: another request wants the person in the group', '... as the removal says');
is($wawp->trail($end), 'cancelled', '... and the audit log');
is(sent(), 'add', '... nothing was sent');

%it = for_a_while();
lapse();
$end = ending();
$for_good = b_adds();
$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = $for_good");
resume();
like($wawp->until("SELECT detail FROM wawp.membership_intent WHERE id = $end", qr/./), qr/^another request wants the person/, 'a removal whose turn comes first waits for that');
is($b->ask("SELECT wawp_cancel($for_good)")->{out}, 't', '... which is cancelled');
$wawp->age($end, '1 s');
is($wawp->end($end), 'done removed', '... so that they go after all');
is(sent(), 'add, remove', '... that is what was sent');

%it = for_a_while();
$for_good = b_adds();
$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = $for_good");
lapse();
is(is_put_off(), 't', 'while another waits to add them, the end is put off');
resume();
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND action = 'remove'"), 0, '... they are not removed');
$wawp->age($for_good, '1 s');
is($wawp->end($for_good), 'done already_member', '... nor then');
is($wawp->ask("SELECT until IS NULL AND requested_by = 'b' FROM wawp.membership WHERE group_jid = '$group'"), 't', '... they stay for good');
is(sent(), 'add', '... by one request in all');

# ---- a swap whose newcomer is not known to be in

%it = someone();
is($wawp->end($wawp->want(%it)), 'done added', 'a leaver is in');
my $newcomer = $wawp->person(privacy => 'nobody');
$sim->rule({ match => { path => "$group/participants/add\$" }, effect => 'none', answer => { status => 200, json => { ok => \1 } } },
	{ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { status => 200, json => [] } });
my ($joins, $leaves) = swap($who, $newcomer);
like($wawp->comes_to($joins, qr/^verifying/), qr/^verifying/, 'of the newcomer nobody knows yet');
my $regret = $wawp->want(group => $group, who => $newcomer, action => 'remove');
like($wawp->end($joins), qr/^done accepted/, '... when they are not wanted any more');
is($wawp->end($leaves), 'failed', '... so the leaver stays');
is($wawp->is_member($group, $who), 1, '... in the group');
$sim->unrule;
settled();

# ---- the end of a membership is nobody's new wish

%it = for_a_while();
my $longer = $wawp->want(%it, not_before => "'2001-01-01'");
lapse();
is(is_put_off(), 't', 'while a plan of the same role that is due waits, the end is put off');
resume();
is($wawp->end($longer), 'done already_member', '... the plan is served');
settled();
is($wawp->is_member($group, $who), 1, '... and they stay');
is(sent(), 'add', '... all the time');

# The end is queued before the plan's time comes.
%it = for_a_while();
$longer = $wawp->want(%it, not_before => "'3000-01-01'");
lapse();
$end = ending();
$wawp->ask("UPDATE wawp.membership_intent SET not_before = created_at - interval '1 ms' WHERE id = $longer");
resume();
is($wawp->end($longer), 'done already_member', 'a plan whose time came before the end is served');
$wawp->age($end, '1 s');
is($wawp->end($end), 'cancelled', '... the removal is not');
is($wawp->is_member($group, $who), 1, '... and they stay');
is($wawp->ask("SELECT until IS NULL AND requester IS NOT NULL FROM wawp.membership WHERE group_jid = '$group'"), 't', '... for good');

# A plan that comes to nothing leaves the end as it was.
%it = for_a_while();
$longer = $wawp->want(%it, not_before => "'3000-01-01'");
lapse();
$end = ending();
$wawp->ask("UPDATE wawp.membership_intent SET not_before = clock_timestamp() WHERE id = $longer; SELECT wawp_suppress('$who', '$group', 'once')");
$sim->world({ groups => { $group => { members => { $who => undef } } } });
resume();
like($wawp->end($longer), qr/^failed/, 'a plan that fails');
$wawp->age($end, '1 s');
like($wawp->end($end), qr/^done/, '... lets the removal go');

# ---- an account that the instance has no more

$sim->world({ accounts => { FORMER => {}, PRESENT => {} } });
WawpTest->create_server($node, 'moved', $sim, { %options, instance_id => 'FORMER' });
%it = (someone(), instance => 'moved');
$wawp->ask("SELECT wawp_pause('moved', '$group')");
my $former = $wawp->want(%it, action => 'remove', not_before => "'3000-01-01'");
$wawp->ask("ALTER SERVER moved OPTIONS (SET instance_id 'PRESENT')");
my $present = $wawp->want(%it);
$wawp->ask("UPDATE wawp.membership_intent SET not_before = clock_timestamp() WHERE id = $former; SELECT wawp_resume('moved', '$group')");
is($wawp->end($present), 'done added', 'a plan of another account, which nobody serves, does not decide');
is($wawp->now($former), 'queued', '... nor is it decided about');

# ---- what follows a request that was asked for anew

%it = someone();
is($wawp->end($wawp->want(%it)), 'done added', 'a leaver is in');
$newcomer = $wawp->person;
$sim->rule({ match => { path => "$group/participants/add\$" }, times => 1, answer => { status => 500, json => { message => 'x' } }, fault => { gate => \1 } });
($joins, $leaves) = swap($who, $newcomer);
$wawp->comes_to($joins, qr/^sending/);
my $anew = $wawp->want(group => $group, who => $newcomer);
isnt($anew, $joins, 'the newcomer is asked for anew, while the request is on the wire');
$sim->unrule;
is($wawp->end($joins), 'cancelled server_error', '... which fails, and makes room');
is($wawp->end($anew), 'done added', '... for the one that succeeds');
is($wawp->end($leaves), 'done removed', '... and the leaver goes');
is($wawp->column($leaves, 'after'), $anew, '... after that one');

# ---- a swap that is made anew with another newcomer

%it = someone();
is($wawp->end($wawp->want(%it)), 'done added', 'a leaver is in');
my $reluctant = $wawp->person(privacy => 'nobody');
($joins, $leaves) = swap($who, $reluctant);
is($wawp->comes_to($joins, qr/^invited/), 'invited invited', 'the newcomer is invited');
my ($instead, $same) = swap($who, $newcomer = $wawp->person);
is($same, $leaves, '... and the leaver is swapped for another one');
is($wawp->end($instead), 'done added', '... who is added');
is($wawp->end($leaves), 'done removed', '... so the leaver goes');
is($wawp->column($leaves, 'after'), $instead, '... after that one');

$who = $wawp->person;
$group = $wawp->group;
pause();
my $first = $wawp->want(group => $group);
my $waits = $wawp->want(group => $group, who => $who, after => $first);
my $behind = $wawp->want(group => $group, after => $waits);
is($wawp->want(group => $group, who => $who, after => $behind), $waits, 'what would wait for itself');
is($wawp->column($waits, 'after'), $first, '... waits for what it waited for');
resume();
is($wawp->end($behind), 'done added', '... and all are served');

# ---- a removal whose turn has not come

%it = someone(privacy => 'nobody');
my $invited = $wawp->want(%it);
is($wawp->comes_to($invited, qr/^invited/), 'invited invited', 'somebody is invited');
($joins, $leaves) = swap($who, $wawp->person(registered => \0));
is($wawp->end($joins), 'failed not_on_whatsapp', '... and to be swapped for one who cannot come');
is($wawp->end($leaves), 'failed', '... which fails');
is($wawp->now($invited), 'invited invited', '... and leaves the invitation as it was');
($joins, $leaves) = swap($who, $wawp->person);
like($wawp->end($leaves), qr/^done/, 'for one who comes it does not');
is($wawp->end($invited), 'cancelled invited', '... and the invitation ends');

%it = someone();
pause();
my $due = $wawp->want(%it, not_before => "'2001-01-01'");
($joins, $leaves) = swap($who, $wawp->person(registered => \0));
resume();
is($wawp->end($leaves), 'failed', 'a removal that waits for one who cannot come');
is($wawp->end($due), 'done added', '... does not decide in place of a plan that is due');
is($wawp->is_member($group, $who), 1, '... and the person is in');

# ---- who asks for what the end of a membership has queued already

%it = for_a_while();
lapse();
$end = ending();
my $planned = $wawp->want(%it, not_before => "clock_timestamp() + interval '10 ms'");
$wawp->until("SELECT not_before < clock_timestamp() FROM wawp.membership_intent WHERE id = $planned", 't');
my $explicit = $wawp->want(%it, action => 'remove', reason => "'by hand'");
is($explicit, $end, 'a removal that is asked for while the end is queued is that one');
is($wawp->ask("SELECT origin <> 'until', reason FROM wawp.membership_intent WHERE id = $end"), 't|by hand', '... and is its requester\'s own from then on');
resume();
is($wawp->end($planned), 'cancelled', '... so that it decides in place of an earlier plan');
$wawp->age($end, '1 s');
is($wawp->end($end), 'done removed', '... and they are removed');
is(sent(), 'add, remove', '... that is what was sent');

%it = for_a_while();
lapse();
$end = ending();
b_adds();
$wawp->want(%it, action => 'remove');
resume();
settled();
is($wawp->now($end), 'done removed', 'a removal that is asked for goes whoever else wants the person');

# ---- additions whose turn has not come keep nobody

%it = for_a_while();
lapse();
$end = ending();
$wawp->want(%it, not_before => 'clock_timestamp()', after => $end);
resume();
is($wawp->end($end), 'done removed', 'an addition that is to follow the end does not keep it from going');
settled();

# ---- what waits for nothing any more, and what expires

%it = someone(privacy => 'nobody');
$invited = $wawp->want(%it);
is($wawp->comes_to($invited, qr/^(invited|failed)/), 'invited invited', 'a leaver is invited');
my $shy = $wawp->person(privacy => 'nobody');
($joins, $leaves) = swap($who, $shy);
is($wawp->comes_to($joins, qr/^(invited|failed)/), 'invited invited', '... and is to leave when another has come, who is invited as well');
is($wawp->now($invited), 'invited invited', '... and waits until then');
is($wawp->want(%it, action => 'remove'), $leaves, '... but then is to leave at once');
is($wawp->end($invited), 'cancelled invited', '... which ends the invitation');
is($wawp->want(group => $group, who => $shy, action => 'remove') > 0, 1, '... as the other\'s');
settled();

%it = someone();
$sim->rule({ match => { path => "$group/participants/add\$" }, times => undef, fault => { gate => \1 } });
my $underway = $wawp->want(%it);
like($wawp->comes_to($underway, qr/^sending/), qr/^sending/, 'an addition is on the wire');
my $short = $wawp->want(%it, action => 'remove', expires_at => "clock_timestamp() + interval '1 s'");
is($wawp->end($short), 'cancelled', '... its opposite expires');
is($wawp->ask("SELECT superseded FROM wawp.membership_intent WHERE id = $underway"), 'f', '... and it is wanted again');
$sim->unrule;
settled();

done_testing();
