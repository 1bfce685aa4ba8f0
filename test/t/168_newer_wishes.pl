
# The newer wish decides: beside a plan that became due before it, beside a list of people that was read before it, beside the
# end of a membership that it extends, and beside an event of what was before it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $SECRET = 'wawp-test-secret';
my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, reads_per_minute => 0, invites_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");

sub pause { my ($group) = @_; return $wawp->ask("SELECT wawp_pause('support', '$group')"); }
sub resume { my ($group) = @_; return $wawp->ask("SELECT wawp_resume('support', '$group')"); }
sub passes { my ($time) = @_; return $wawp->until("SELECT clock_timestamp() > $time", 't'); }
sub in_group { my (@who) = @_; return $wawp->group(members => { '15550000001' => { role => 'superadmin' }, map { $_ => { role => 'member' } } @who }); }
sub changes { my ($group) = @_; return join ', ', $sim->people($group =~ s/\@.*//r); }

# ---- a wish that is repeated, or retried, is as new as its last time

# Somebody is to be removed at a time that comes while they are queued to be added.  Returns both intents.
sub planned_removal
{
	my ($group, $who, $id) = @_;
	pause($group);
	$id //= $wawp->want(group => $group, who => $who);
	my $plan = $wawp->want(action => 'remove', group => $group, who => $who, not_before => "clock_timestamp() + interval '0.5 s'");
	passes("(SELECT greatest(max(not_before), max(created_at) + interval '1.1 s') FROM wawp.membership_intent WHERE id IN ($id, $plan))");
	return ($id, $plan);
}

my ($group, $who) = ($wawp->group, $wawp->person);
my ($id, $plan) = planned_removal($group, $who);
is($wawp->want(group => $group, who => $who), $id, 'asked for again after the time of a removal: the same intent');
resume($group);
is($wawp->end($id), 'done added', '... which decides');
is($wawp->end($plan), 'cancelled', '... and not the plan');
is($wawp->is_member($group, $who), 1, '... they are in');

($group, $who) = ($wawp->group, $wawp->person);
($id, $plan) = planned_removal($group, $who);
resume($group);
like($wawp->end($plan), qr/^done/, 'not asked for again: the plan decides');
is($wawp->end($id), 'cancelled', '... in place of the wish before it');

$wawp->ask(<<'SQL');
CREATE TABLE course (grp text, phone text, lesson int);
CREATE TRIGGER follow AFTER INSERT OR DELETE ON course FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support');
SQL
($group, $who) = ($wawp->group, $wawp->person);
pause($group);
$wawp->ask("INSERT INTO course VALUES ('$group', '$who', 1)");
($id, $plan) = planned_removal($group, $who, $wawp->ask("SELECT id FROM wawp.membership_intent WHERE group_jid = '$group'"));
$wawp->ask("INSERT INTO course VALUES ('$group', '$who', 2)");
resume($group);
is($wawp->end($id), 'done added', 'by a trigger, likewise');
is($wawp->end($plan), 'cancelled', '... not the plan');

($group, $who) = ($wawp->group, $wawp->person);
$wawp->ask("SELECT wawp_suppress('$who', '$group', 'asked not to')");
$id = $wawp->want(group => $group, who => $who);
is($wawp->end($id), 'failed suppressed', 'who opted out is not added');
(undef, $plan) = planned_removal($group, $who, $id);
$wawp->ask("SELECT wawp_unsuppress('$who', '$group')");
is($wawp->ask("SELECT wawp_retry($id)"), 't', '... and retried after the time of a removal');
resume($group);
is($wawp->end($id), 'done added', '... which decides');

# A list that was read between the first and the last time is too old.
my $gate = $wawp->group;
pause($gate);
my $first = $wawp->want(group => $gate);
my ($gone, $stays) = map { $wawp->person } 1 .. 2;
$group = in_group($gone, $stays);
$id = $wawp->want(group => $group, who => $gone, after => $first);
is($wawp->end($wawp->want(group => $group, who => $stays)), 'done already_member', 'a list is read while another one of the group has to wait');
$sim->world({ groups => { $group => { members => { $gone => undef } } } });
passes("(SELECT created_at + interval '1.1 s' FROM wawp.membership_intent WHERE id = $id)");
is($wawp->want(group => $group, who => $gone, after => $first), $id, '... who leaves, and is asked for again');
resume($gate);
is($wawp->end($id), 'done added', '... and is added');

# ---- a list of people that is older than the wish

my $other = WawpTest->session($node);
my ($student, $refunded, $old) = map { $wawp->person } 1 .. 3;
$group = $wawp->group;
is($wawp->end($wawp->want(group => $group, who => $_)), 'done added', 'in a course') foreach $student, $old;

# A call for that group, while whose list is read others ask.
sub meanwhile
{
	my ($call, $ask) = @_;
	my $before = $wawp->lists($group);
	pause($group);
	$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, fault => { gate => \1 } });
	$other->send($call);
	poll_until(sub { $wawp->lists($group) > $before });
	my @ids = $ask->();
	$sim->unrule;
	my $answer = $other->answer;
	is($answer->{state}, '', 'the call ends') || diag($answer->{err});
	return ($answer->{out}, @ids);
}

foreach my $mode (qw(plan apply))
{
	my ($rows, $add, $remove) = meanwhile(
		"SELECT string_agg(concat_ws(' ', coalesce(action::text, '-'), left(jid, 11), left(why, 11)), ', ' ORDER BY jid)
			FROM wawp_sync_group('$group', ARRAY['$refunded'], 'support', mode => '$mode', max_remove_pct => 100) WHERE jid IS NOT NULL",
		sub { return ($wawp->want(group => $group, who => $student), $wawp->want(action => 'remove', group => $group, who => $refunded)); });
	is($rows, "- $student not removed, - $refunded not added: , remove $old in the grou", "$mode: who was asked for since is neither removed nor added");
	is($wawp->now($add), 'queued', '... and those requests stand');
	is($wawp->now($remove), 'queued', '... both');
	resume($group);
	is($wawp->end($add), 'done already_member', '... who stays');
	like($wawp->end($remove), qr/^done/, '... who goes');
}
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL AND group_jid = '$group'", 0);
is($wawp->is_member($group, $_->[0]), $_->[1], '... in the end') foreach [ $student, 1 ], [ $refunded, 0 ], [ $old, 0 ];

$wawp->ask("INSERT INTO course VALUES ('$group', '$refunded', 1)");
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL AND group_jid = '$group'", 0);
my ($rows, @none) = meanwhile("SELECT string_agg(concat_ws(' ', coalesce(action::text, '-'), left(jid, 11), left(why, 11)), ', ' ORDER BY jid)
		FROM wawp_sync_groups('course', 'grp', 'phone', 'support', mode => 'apply', max_remove_pct => 100) WHERE group_jid = '$group' AND jid IS NOT NULL",
	sub { $wawp->ask("INSERT INTO course VALUES ('$group', '$student', 1)"); return; });
is($rows, "- $student not removed", 'a table: who was enrolled while it was compared is not removed');
resume($group);
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL AND group_jid = '$group'", 0);
is($wawp->is_member($group, $student), 1, '... and stays');

my ($writer, $late) = (WawpTest->session($node), $wawp->person);
is($wawp->end($wawp->want(group => $group, who => $late)), 'done added', 'one more');
is($writer->ask("BEGIN; INSERT INTO course VALUES ('$group', '$late', 1)")->{state}, '', '... is being enrolled');
($rows, @none) = meanwhile("SELECT string_agg(concat_ws(' ', coalesce(action::text, '-'), left(jid, 11), left(why, 11)), ', ' ORDER BY jid)
		FROM wawp_sync_groups('course', 'grp', 'phone', 'support', mode => 'apply', max_remove_pct => 100) WHERE group_jid = '$group' AND jid IS NOT NULL",
	sub { is($writer->ask('COMMIT')->{state}, '', '... which is committed while the table is compared'); return; });
is($rows, "- $late not removed", '... is not removed');
resume($group);
$_->quit foreach $other, $writer;

# ---- the end of a membership that is extended

sub ends { my ($it) = @_; return $wawp->ask("SELECT coalesce(date_trunc('hour', until - clock_timestamp())::text, 'never') FROM wawp.membership WHERE group_jid = '$it'"); }

($group, $who) = ($wawp->group, $wawp->person);
my $until = $wawp->ask("SELECT clock_timestamp() + interval '3 s'");
is($wawp->end($wawp->want(group => $group, who => $who, until => "'$until'")), 'done added', 'somebody is in for a while');
$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { status => 200, json => [] } });
$id = $wawp->want(group => $group, who => $who, until => "clock_timestamp() + interval '90 min'");
like($wawp->comes_to($id, qr/^(verifying|done)/), qr/^verifying/, '... and for longer, of which is not known yet whether it succeeds');
passes("'$until'");
is($wawp->until("SELECT count(*) FILTER (WHERE action = 'remove') > 0 OR (SELECT until > '$until' FROM wawp.membership WHERE group_jid = '$group')
	FROM wawp.membership_intent WHERE group_jid = '$group'", 't'), 't', '... when the first time is over');
$sim->unrule;
is($wawp->end($id), 'done added', '... it does');
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL AND group_jid = '$group'", 0);
is($wawp->is_member($group, $who), 1, '... and they stay');
is(ends($group), '01:00:00', '... for the longer time');

($group, $who) = ($wawp->group, $wawp->person);
$until = $wawp->ask("SELECT clock_timestamp() + interval '2 s'");
is($wawp->end($wawp->want(group => $group, who => $who, until => "'$until'")), 'done added', 'somebody is in for a while');
pause($group);
$id = $wawp->want(group => $group, who => $who, until => "clock_timestamp() + interval '90 min'");
passes("'$until'");
is($wawp->until("SELECT until IS NULL OR until > '$until' FROM wawp.membership WHERE group_jid = '$group'", 't'), 't', '... and for longer, which waits when that is over');
is($wawp->ask("SELECT wawp_cancel($id)"), 't', '... and is cancelled');
is($wawp->ask("SELECT until - clock_timestamp() < interval '6 min' FROM wawp.membership WHERE group_jid = '$group'"), 't', '... so that they are to go after all');

# ---- events that come late

my $events = 0;

# An event of somebody in a group, of that time (epoch); what it has led to.
sub event
{
	my ($it, $type, $person, $time, $instance) = @_;
	my @t = gmtime($time);
	my $key = sprintf 'evt_late_%d', ++$events;
	my $body = JSON::PP->new->canonical->encode({ id => $key, timestamp => int(time * 1000), event => 'group.v2.participants', session => 't1', engine => 'GOWS',
		me => { id => '15550000001@c.us', lid => '900000000000001@lid' }, payload => { group => { id => $it }, type => $type, timestamp => int(time * 1000),
			participants => [ { id => "$person\@c.us", pn => undef, role => 'participant' } ],
			_data => { Sender => "$person\@s.whatsapp.net", Timestamp => sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ] } } });
	$wawp->ask(sprintf q{SELECT status FROM wawp_webhook($body$%s$body$, '%s', '%s')}, $body, hmac_sha512_hex($body, $SECRET), $instance // 'support');
	return $wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = '$key' AND applied_at IS NOT NULL", qr/./);
}

($group, $who) = ($wawp->group, $wawp->person);
is($wawp->end($wawp->want(group => $group, who => $who)), 'done added', 'somebody is added');
like($wawp->end($wawp->want(action => 'remove', group => $group, who => $who)), qr/^done/, '... removed by us');
my $removed = int(time);
poll_until(sub { time > $removed + 2 });
is($wawp->end($wawp->want(group => $group, who => $who, verify => 'false', until => "clock_timestamp() + interval '90 min'")), 'done accepted', '... and added again, without a look');
event($group, 'leave', $who, $removed);
is($wawp->ask("SELECT left_at IS NULL FROM wawp.membership WHERE group_jid = '$group'"), 't', '... then comes the event of the removal, which is older than the addition');
is(ends($group), '01:00:00', '... whose end stands');

# Events that come together, in their order: what the first shows is as old as it is, not as new as when it was told.
WawpTest->create_server($node, 'unseeing', $sim, { instance_id => 'GOWS1', invites_per_minute => 0, verify_delays => '50min,1h' });
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER unseeing OPTIONS (ADD webhook_secret '$SECRET')");
($group, $who) = ($wawp->group, $wawp->person);
$sim->rule({ match => { path => "$group/participants/add\$" }, effect => 'before', answer => { status => 200, json => { ok => \1 } } });
$id = $wawp->want(instance => 'unseeing', group => $group, who => $who);
like($wawp->comes_to($id, qr/^(verifying|done|failed)/), qr/^verifying/, 'somebody is added, and leaves a little later');
my $joined = int(time) + 1;
poll_until(sub { time > $joined + 4 });
like(event($group, 'join', $who, $joined, 'unseeing'), qr/settles intent $id/, '... of which events tell later: that they joined');
like(event($group, 'leave', $who, $joined + 2, 'unseeing'), qr/^left/, '... and that they left');
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE group_jid = '$group'"), 1, '... who is not to be added again');
is($wawp->ask("SELECT left_at IS NOT NULL FROM wawp.membership WHERE group_jid = '$group'"), 't', '... and is not taken for a member');

# A list that was read before somebody left does not show them later, whenever it is used.
$group = in_group(my $here = $wawp->person, my $away = $wawp->person);
$gate = $wawp->group;
pause($gate);
$first = $wawp->want(group => $gate);
$id = $wawp->want(group => $group, who => $away, after => $first);
is($wawp->end($wawp->want(group => $group, who => $here)), 'done already_member', 'a list is read while another one of the group has to wait');
my $left = int(time) + 2;
poll_until(sub { time > $left + 1 });
resume($gate);
is($wawp->end($id), 'done already_member', '... whom it shows, too');
like(event($group, 'leave', $away, $left), qr/^left/, '... and who had left by then, as an event tells later');
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE group_jid = '$group'"), 1, '... who is not to be added again');

# A list is newer than an event of ten minutes ago, of which nothing else is known.
my ($member, $guest) = map { $wawp->person } 1 .. 2;
$group = in_group($member, $guest);
sub read_list { return is($wawp->end($wawp->want(group => $group, who => $member)), 'done already_member', 'a list is read'); }
sub held { return $wawp->ask("SELECT coalesce(string_agg(reason, ', '), 'not held') FROM wawp.hold WHERE group_jid = '$group'"); }
sub suppressed { return $wawp->ask("SELECT count(*) FROM wawp.suppression WHERE group_jid = '$group'"); }
read_list();
like(event($group, 'demote', '15550000001', time - 600), qr/newer member list shows otherwise/, 'we were demoted before, and are an admin in it');
is(held(), 'not held', '... the group is not held');
like(event($group, 'leave', '15550000001', time - 600), qr/newer member list shows otherwise/, 'we were out before, and are in it');
is(held(), 'not held', '... likewise');
like(event($group, 'leave', $guest, time - 600), qr/seen in the group later/, 'who left before, and is in it');
is(suppressed(), 0, '... has not opted out');
like(event($group, 'leave', $guest, time), qr/^left/, 'who leaves now');
is(suppressed(), 1, '... has');
read_list();
is(event($group, 'demote', '15550000001', time), 'we are no admin of the group any more', 'we are demoted now');
is(held(), 'not_admin', '... the group is held');

done_testing();
