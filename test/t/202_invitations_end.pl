
# An invitation that has not been sent ends like what is queued: by its time, by wawp_cancel(), and when its requester may
# not use the instance any more.  What is sent goes to the number that WhatsApp has, and once more when somebody asks again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, reads_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask("CREATE ROLE $_ LOGIN; GRANT USAGE ON FOREIGN SERVER support TO $_") foreach qw(ann ben cid);
my %session = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(ann ben cid);

# An addition that a role asks for; its id.
sub want_as
{
	my ($role, $it, $more) = @_;
	return $session{$role}->ask("SELECT id FROM wawp_request_add('$it->{group}', ARRAY['$it->{who}'], 'support'" . ($more // '') . ')')->{out};
}

# Somebody who could not be added to a new group, which is paused, so that the invitation waits.
sub invitee_of
{
	my ($role, $more) = @_;
	my %it = (group => $wawp->group, who => $wawp->person(privacy => 'nobody'));
	$sim->rule({ match => { path => "$it{group}/participants/add\$" }, times => undef, fault => { gate => \1 } });
	$it{id} = want_as($role, \%it, $more);
	$wawp->comes_to($it{id}, qr/^sending/);
	$wawp->ask("SELECT wawp_pause('support', '$it{group}')");
	$sim->unrule;
	is($wawp->comes_to($it{id}, qr/^(inviting|failed|done)/), 'inviting privacy_blocked', "$role: somebody waits to be invited");
	return %it;
}

sub resume { my ($it) = @_; return $wawp->ask("SELECT wawp_resume('support', '$it->{group}')"); }

# What the worker would have sent by now: it has invited somebody else to that group.
sub is_not_invited
{
	my ($it, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $other = $wawp->want(group => $it->{group}, who => $wawp->person(privacy => 'nobody'));
	is($wawp->comes_to($other, qr/^(invited|failed)/), 'invited invited', '... somebody else is invited');
	return is(scalar(my @texts = $wawp->messages($it->{who})), 0, $name);
}

# ---- whose requester may not use the instance any more

my %lost = invitee_of('ben');
$wawp->ask('REVOKE USAGE ON FOREIGN SERVER support FROM ben');
my $behind = want_as('ann', \%lost);
resume(\%lost);
is($wawp->end($lost{id}), 'failed privacy_blocked', 'the role has lost the instance: its invitation fails');
like($wawp->column($lost{id}, 'detail'), qr/^permission denied for foreign server support/, '... and says why');
like($wawp->trail($lost{id}), qr/, refused( privacy_blocked)?$/, '... which is recorded');
is($wawp->comes_to($behind, qr/^(invited|failed)/), 'invited invited', '... and another role\'s request for that person goes on');
is(scalar(my @of_ann = $wawp->messages($lost{who})), 1, '... with one message');

my %dropped = invitee_of('cid');
$session{cid}->quit;
$wawp->ask('REVOKE USAGE ON FOREIGN SERVER support FROM cid; DROP ROLE cid');
resume(\%dropped);
is($wawp->end($dropped{id}), 'failed privacy_blocked', 'the role is gone: its invitation fails');
is($wawp->column($dropped{id}, 'detail'), 'the role "cid" that asked for it does not exist any more', '... and says why');

# ---- whose time is over

my %late = invitee_of('ann', ", expires_at => clock_timestamp() + interval '3 s'");
is($wawp->end($late{id}), 'cancelled privacy_blocked', 'an invitation that waits is cancelled when its time is over');
is($wawp->column($late{id}, 'detail'), 'expired', '... and says why');
like($wawp->trail($late{id}), qr/, cancelled/, '... which is recorded');
resume(\%late);
is_not_invited(\%late, '... and not sent');

# ---- that is cancelled

my %unwanted = invitee_of('ann');
is($session{ann}->ask("SELECT wawp_cancel($unwanted{id})")->{out}, 't', 'an invitation that waits can be cancelled');
is($wawp->now($unwanted{id}), 'cancelled privacy_blocked', '... and is');
resume(\%unwanted);
is_not_invited(\%unwanted, '... and not sent');
my %one = invitee_of('ann', ", batch_id => 'ann''s'");
is($session{ann}->ask("SELECT wawp_cancel_batch('ann''s')")->{out}, 1, '... with its batch as well');
resume(\%one);
is_not_invited(\%one, '... and not sent');

# ---- to the number that WhatsApp has

my ($asked, $has) = ('5585987654322', '558587654322');
$sim->world({ people => { $asked => { chat_id => "$has\@c.us", privacy => 'nobody' }, $has => { privacy => 'nobody' } } });
my $brazil = $wawp->want(who => $asked);
is($wawp->comes_to($brazil, qr/^(invited|failed|done)/), 'invited invited', 'somebody whose number has another form is invited');
is(join(' ', map { $_->{chatId} } grep { $_->{chatId} =~ /^5585/ } @{ $sim->world->{messages} }), "$has\@c.us", '... by the form that WhatsApp has');

# Numbers are not checked: the addition is sent as it was asked for, and so is the invitation.
my ($wrongly, $other_form) = ('5585987654333', '558587654333');
$sim->world({ people => { $wrongly => { privacy => 'nobody' }, $other_form => {} } });
my %unchecked = (group => $wawp->group, who => $wrongly);
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('support', '$unchecked{group}', false);
	INSERT INTO wawp.contact (jid, registered, checked_at) VALUES ('$wrongly\@c.us', false, now())");
is($wawp->comes_to($wawp->want(%unchecked), qr/^(invited|failed|done)/), 'invited invited', 'somebody who was said not to be on WhatsApp is invited');
is(scalar(my @to_them = $wawp->messages($wrongly)), 1, '... by the number that could not be added');
is(scalar(my @to_other = $wawp->messages($other_form)), 0, '... not by its other form, which may be somebody else');

# ---- that may have been sent, and is asked for again

my %doubt = (group => $wawp->group, who => $wawp->person(privacy => 'nobody'));
$sim->rule({ match => { path => 'send/text$', body => $doubt{who} }, fault => { reset => 'before' } });
$doubt{id} = want_as('ann', \%doubt);
is($wawp->comes_to($doubt{id}, qr/^(failed|invited)/), 'failed unknown_result', 'nobody knows whether an invitation was sent: it is not repeated');
is($session{ann}->ask("SELECT wawp_retry($doubt{id})")->{out}, 't', '... but may be asked for again');
is($wawp->comes_to($doubt{id}, qr/^(failed|invited)/), 'invited invited', '... and is sent then');
is(scalar(my @again = $wawp->messages($doubt{who})), 1, '... once');

# The invitation of another request is in no doubt.
my %open = (group => $wawp->group, who => $wawp->person(privacy => 'nobody'));
$wawp->ask("SELECT wawp_pause('support', '$open{group}')");
my $of_ann = want_as('ann', \%open);
my $of_cid = $wawp->want(%open, priority => 1);
resume(\%open);
is($wawp->comes_to($of_cid, qr/^(failed|invited)/), 'invited invited', 'somebody is invited');
$wawp->age($of_ann, '2 s');
is(want_as('ann', \%open), $of_ann, '... another role asks again');
$wawp->want(%open, action => 'remove');
is($wawp->end($of_cid), 'cancelled invited', '... and who asked for it does not want it any more');
is($wawp->comes_to($of_ann, qr/^(failed|invited)/), 'failed privacy_blocked', '... the other request sends no second one');
like($wawp->column($of_ann, 'detail'), qr/last invitation is still open/, '... while that is open');
is(scalar(my @once = $wawp->messages($open{who})), 1, '... there is one message');

is($wawp->ask("SELECT count(*) FROM wawp.stuck"), 0, 'nothing is stuck');

done_testing();
