# Groups that are full: where people go instead, and who may leave meanwhile; and rows that end without a request of
# their own, which the records tell.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Test::More;
use WawpPeople;
use WawpTest;

my $us = '15550000001';
my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, reads_per_minute => 0, adds_per_minute => 0, invites_per_minute => 0, verify_delays => '0.2s,0.5s,1s' });
my $wawp = WawpPeople->new($node, $sim);
$sim->world({ people => { $us => {} } });

# A group of ours with so many others, for so many people; further settings.
sub group
{
	my ($others, $capacity, %set) = @_;
	my @others = map { $wawp->person } 1 .. $others;
	my $group = $wawp->group(members => { $us => { role => 'superadmin' }, map { $_ => { role => 'member' } } @others });
	settings($group, capacity => $capacity, %set);
	return wantarray ? ($group, @others) : $group;
}

sub settings
{
	my ($group, %set) = @_;
	my @names = sort keys %set;
	$wawp->ask(sprintf q{INSERT INTO wawp.group_settings (instance, group_jid, %s) VALUES ('support', '%s', %s)}, join(', ', @names), $group, join ', ', @set{@names});
	return;
}

sub overflow { my ($from, $to) = @_; return $wawp->ask("UPDATE wawp.group_settings SET overflow_group = '$to' WHERE group_jid = '$from'"); }
sub pause { my ($group) = @_; return $wawp->ask("SELECT wawp_pause('support', '$group')"); }
sub resume { my ($group) = @_; return $wawp->ask("SELECT wawp_resume('support', '$group')"); }
sub held { my ($group) = @_; return $wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$group'", 'group_full'); }

# What the last record of a row says, beside its kind.
sub last_record
{
	my ($id) = @_;
	return $wawp->until("SELECT concat_ws(': ', kind, detail ->> 'note') FROM wawp.audit_log WHERE intent_id = $id ORDER BY id DESC LIMIT 1", qr/^(cancelled|failed|policy)/);
}

# ---- groups that overflow into one another

my ($one, $two) = map { scalar group(1, 2) } 1 .. 2;
overflow($one, $two);
overflow($two, $one);
my $id = $wawp->want(group => $one);
is($wawp->until("SELECT h.reason FROM wawp.membership_intent i JOIN wawp.hold h USING (instance, group_jid) WHERE i.id = $id", 'group_full'), 'group_full',
	'two full groups, each the overflow of the other: held');
$wawp->end($wawp->want);
cmp_ok($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE intent_id = $id"), '<=', 2, '... after a move or two');
my $other = $wawp->want(group => $_) foreach $one, $two;
is($wawp->until("SELECT count(*) FROM wawp.hold WHERE group_jid IN ('$one', '$two') AND reason = 'group_full'", 2), 2, '... so are others');
is($wawp->ask("SELECT count(*) FROM wawp.stuck WHERE id = $id"), 1, '... which wawp.stuck shows');

my $room = $wawp->group;
my @chain = map { scalar group(1, 2) } 1 .. 2;
overflow($chain[0], $chain[1]);
overflow($chain[1], $room);
is($wawp->end($wawp->want(group => $chain[1])), 'done added', 'a chain: the second group is full');
$id = $wawp->want(group => $chain[0]);
is($wawp->end($id), 'done added', '... so is the first');
is($wawp->column($id, 'group_jid'), $room, '... and who is asked for goes to the last');

# ---- a full group lets people go

my ($full, $leaver, $admin) = group(2, 3);
my $waiting = $wawp->want(group => $full);
is(held($full), 'group_full', 'a full group is held');
my $link = $wawp->want(action => 'invite', group => $full);
is($wawp->end($wawp->want(action => 'promote', group => $full, who => $admin)), 'done promoted', '... who is in it may become an admin');
is($wawp->now($waiting), 'queued', '... nobody is added');
is($wawp->now($link), 'queued', '... nor invited');
my $later = $wawp->want(action => 'remove', group => $full, who => $admin, after => $waiting);
like($wawp->ask("SELECT wawp_explain($waiting)"), qr/group is held/, '... wawp_explain() says that the group is held');
unlike($wawp->ask("SELECT wawp_explain($later)"), qr/group is held/, '... but not for who is to leave');
is($wawp->end($wawp->want(action => 'remove', group => $full, who => $leaver)), 'done removed', '... who leaves');
is($wawp->end($waiting), 'done added', '... which makes room');
is($wawp->end($later), 'done removed', '... and another leaves after that');

($full) = group(1, 3);
my $guest = $wawp->person;
is($wawp->end($wawp->want(group => $full, who => $guest, until => q{clock_timestamp() + interval '4 s'})), 'done added', 'somebody until a time');
$waiting = $wawp->want(group => $full);
is(held($full), 'group_full', '... who takes the last place');
is($wawp->end($waiting), 'done added', '... another has it when that time has come');
is($wawp->is_member($full, $guest), 0, '... since they have left');

pause($full);
my $paused = $wawp->want(action => 'remove', group => $full, who => $guest);
$wawp->ask("UPDATE wawp.hold SET reason = 'group_full' WHERE group_jid = '$full'");
$wawp->end($wawp->want);
is($wawp->now($paused), 'queued', 'a pause of that name holds all');
resume($full);

# ---- rows that end without a request of their own

sub failing { my ($group, $status) = @_; return $sim->rule({ match => { path => "$group/participants/add\$" }, effect => 'none', answer => { status => $status, json => {} }, fault => { gate => \1 } }); }
my ($group, $who) = ($wawp->group, $wawp->person(privacy => 'nobody'));
$id = $wawp->want(group => $group, who => $who);
is($wawp->comes_to($id, qr/^invited/), 'invited invited', 'who cannot be added is invited');
$wawp->want(action => 'remove', group => $group, who => $who);
is($wawp->end($id), 'cancelled invited', '... and then to be removed');
is(last_record($id), 'cancelled: the opposite was asked for', '... which the records tell of the addition');

($group, $who) = ($wawp->group, $wawp->person);
failing($group, 500);
$id = $wawp->want(group => $group, who => $who);
poll_until(sub { $wawp->requests($group) });
my $again = $wawp->want(group => $group, who => $who);
$sim->unrule;
like($wawp->end($id), qr/^cancelled/, 'asked for again while the first request is on the wire, and fails');
is(last_record($id), 'cancelled: another request for the person has replaced it', '... the first is recorded as cancelled');
is($wawp->end($again), 'done added', '... the second goes');

my $never = $wawp->person;
$wawp->ask("SELECT wawp_suppress('$never', '$group', 'no')");
my $refused = $wawp->want(group => $group, who => $never);
$id = $wawp->want(group => $group, after => $refused);
is($wawp->end($refused), 'failed suppressed', 'one is refused');
is($wawp->end($id), 'failed', '... so is one that was to follow');
is(last_record($id), 'policy: the intent it was to follow did not succeed', '... which is recorded');

($full) = group(1, 2);
$room = $wawp->group;
overflow($full, $room);
$who = $wawp->person;
pause($room);
my $there = $wawp->want(group => $room, who => $who);
$id = $wawp->want(group => $full, who => $who);
is($wawp->end($id), 'cancelled group_full', 'who is queued for the overflow group already');
like(last_record($id), qr/^cancelled: .* overflow group already$/, '... is cancelled here, as the records tell');
resume($room);
is($wawp->end($there), 'done added', '... and added there');

# ---- an opposite that is withdrawn

# The requests of one transaction.
sub together { my (@statements) = @_; $wawp->ask($_) foreach 'BEGIN', @statements, 'COMMIT'; return; }

($group, $who) = ($wawp->group, $wawp->person(privacy => 'nobody'));
$wawp->ask('CREATE TABLE shift (grp text, phone text, ends timestamptz)');
$wawp->ask(q{CREATE TRIGGER follow AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
	EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'until=ends', 'instance=support')});
$wawp->ask("INSERT INTO shift VALUES ('$group', '$who', clock_timestamp() + interval '1 hour')");
$id = $wawp->ask("SELECT id FROM wawp.membership_intent WHERE group_jid = '$group'");
is($wawp->comes_to($id, qr/^invited/), 'invited invited', 'somebody of a table is invited');
together("DELETE FROM shift WHERE grp = '$group'", "INSERT INTO shift VALUES ('$group', '$who', clock_timestamp() + interval '2 hours')");
$wawp->end($wawp->want);
is($wawp->now($id), 'invited invited', '... their row is deleted and written again in one transaction: the invitation stands');
$sim->join($group, $who);
$wawp->age($id, '0 s');
is($wawp->end($id), 'done joined_by_invite', '... who joins by it is seen');
is($wawp->until("SELECT count(*) FROM wawp.membership WHERE group_jid = '$group' AND until > clock_timestamp() + interval '90 minutes'", 1), 1, '... and stays until the later time');
is($wawp->messages($who), 1, '... after one message');

($group, $who) = ($wawp->group, $wawp->person(privacy => 'nobody'));
$sim->rule({ match => { path => "$group/participants/add\$" }, fault => { gate => \1 } });
$id = $wawp->want(group => $group, who => $who);
$wawp->comes_to($id, qr/^sending/);
is($wawp->ask('SELECT wawp_cancel(' . $wawp->want(action => 'remove', group => $group, who => $who) . ')'), 't', 'a removal is withdrawn while the addition is on the wire');
$sim->unrule;
is($wawp->comes_to($id, qr/^(done|invited)/), 'invited invited', '... which is followed up');

# ---- an overflow group from which the person was to be removed

($full) = group(1, 2);
$room = $wawp->group;
overflow($full, $room);
$who = $wawp->person;
pause($room);
my $removal = $wawp->want(action => 'remove', group => $room, who => $who);
$id = $wawp->want(group => $full, who => $who);
is($wawp->end($removal), 'cancelled', 'a removal from the overflow group gives way to the later addition');
is(last_record($removal), 'cancelled: the opposite was asked for', '... as the records tell');
resume($room);
is($wawp->end($id), 'done added', '... who is added');
is($wawp->is_member($room, $who), 1, '... there');

# ---- an end that gave way to an addition which came too late

($group, $who) = ($wawp->group, $wawp->person);
is($wawp->end($wawp->want(group => $group, who => $who, until => q{clock_timestamp() + interval '5 s'})), 'done added', 'somebody until a time');
pause($group);
$id = $wawp->want(group => $group, who => $who, until => q{clock_timestamp() + interval '2 s'});
is($wawp->until("SELECT until > clock_timestamp() + interval '1 min' FROM wawp.membership WHERE group_jid = '$group'", 't'), 't', '... which passes, while their next addition waits');
$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { status => 500, json => {} } });
$wawp->ask(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'wawp worker'});
resume($group);
is($wawp->end($id), 'cancelled', '... until its own has passed, too');
$sim->unrule;
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND origin = 'until' AND state = 'done'", 1), 1, '... they are removed');
is($wawp->is_member($group, $who), 0, '... and gone');

# ---- a removal that is retried

($group, $who) = ($wawp->group, $wawp->person(privacy => 'nobody'));
$sim->rule({ match => { path => "$group/participants/remove\$" }, answer => { status => 200, json => { "$who\@c.us" => { code => 451, message => 'no' } } } });
$removal = $wawp->want(action => 'remove', group => $group, who => $who);
like($wawp->end($removal), qr/^failed/, 'a removal fails');
$sim->unrule;
$id = $wawp->want(group => $group, who => $who);
is($wawp->comes_to($id, qr/^invited/), 'invited invited', '... then they are to be added, and invited');
is($wawp->ask("SELECT wawp_retry($removal)"), 't', '... then the removal is retried');
is($wawp->end($id), 'cancelled invited', '... which ends the addition');
like($wawp->end($removal), qr/^done/, '... and is done');

done_testing();
