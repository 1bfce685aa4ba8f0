
# Who has opted out of all groups, by the number or by the LID, or was erased, is sent to the API by no way that adds people.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim, conf => "wawp.instance = 'support'\nlog_statement = none\n");
my $owner = WawpTest->session($node);
my $group = '120363163000000001@g.us';
$owner->ask('CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann; GRANT CREATE ON SCHEMA public TO ann');
my $ann = WawpTest->session($node, 'postgres', user => 'ann');
$owner->ask("SELECT wawp_suppress('15551630001', reason => 'wrote STOP'); SELECT wawp_erase('15551630002')");
$ann->ask(q{CREATE TABLE roster (g text, who text); CREATE TRIGGER m AFTER INSERT ON roster FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'instance=support');
	CREATE FOREIGN TABLE members (group_jid text, jid text) SERVER support OPTIONS (object 'members')});

foreach my $who ('15551630001', '15551630002')
{
	my $answer = $ann->ask("SELECT wawp_create_group('Choir', ARRAY['15551630003', '$who'])");
	is($answer->{state}, '22023', "$who: wawp_create_group is refused");
	like($answer->{err}, qr/could not create the group: one of the people is on the opt-out list.*DETAIL:  "$who\@c\.us" is suppressed \((wrote STOP|the person was erased).*HINT:  Leave the person out/s, '... and says why');
	is($ann->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'])")->{out}, 'suppressed', '... wawp_add_participants');
	$ann->ask("SELECT * FROM wawp_request_add('$group', ARRAY['$who'], batch_id => 'b$who')");
	$ann->ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) VALUES ('120363163000000002\@g.us', '$who', 'b$who')");
	$ann->ask("INSERT INTO roster VALUES ('120363163000000003\@g.us', '$who')");
	$ann->ask("INSERT INTO members VALUES ('120363163000000004\@g.us', '$who')");
	$ann->ask("SELECT * FROM wawp_sync_group('12036316300001@{[ substr $who, -4 ]}\@g.us', ARRAY['$who'], mode => 'apply')");
}
is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('failed', 'cancelled')", 0), 0, 'all that was requested has failed');
is(scalar(grep { $_->{method} eq 'POST' && encode($_->{body}) =~ /1555163000[12]/ } $sim->ledger), 0, '... and nothing was sent that names them');
like($ann->ask("SELECT wawp_create_group('Choir', ARRAY['15551630003'])")->{out}, qr/\@g\.us$/, 'a group of others is created');
$owner->ask("SELECT wawp_unsuppress('15551630001')");
like($ann->ask("SELECT wawp_create_group('Choir', ARRAY['15551630001'])")->{out}, qr/\@g\.us$/, '... and one of somebody who was taken off the list');

# ---- who is known by a number and by a LID has opted out by either

my %ids = map { $_ => ["1555163010$_", "90000000016301$_\@lid"] } 1 .. 4;
$owner->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$$_[0]\@c.us', '$$_[1]')") foreach @ids{ 1 .. 4 };
is($owner->ask("SELECT wawp_suppress('$ids{1}[1]', reason => 'wrote STOP')")->{out}, 't', 'somebody opts out by the LID');
is($owner->ask("SELECT jid FROM wawp.suppression WHERE reason = 'wrote STOP'")->{out}, "$ids{1}[0]\@c.us", '... which means the number that is known');
$owner->ask("INSERT INTO wawp.suppression (jid, reason) VALUES ('$ids{2}[1]', 'from a list')");
$owner->ask("SELECT wawp_suppress('$ids{3}[0]', reason => 'wrote STOP')");
foreach my $n (1, 2)
{
	my $number = $ids{$n}[0];
	is($ann->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$number'])")->{out}, 'suppressed', "$n: wawp_add_participants by the number");
	is($ann->ask("SELECT wawp_create_group('Choir', ARRAY['$number'])")->{state}, '22023', '... wawp_create_group');
	$ann->ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) VALUES ('$group', '$number', 'ids$n')");
	is($ann->ask("SELECT * FROM wawp_wait('ids$n', '180 s')")->{out}, '0|0|1|0', '... a row');
}
# a group whose list has LIDs, so that it tells that this one is not in it
my $of_lids = '120363163000000009@g.us';
$sim->world({ groups => { $of_lids => { addressing => 'lid', lid_pn => \0 } } });
$ann->ask("SELECT * FROM wawp_request_invite('$of_lids', ARRAY['$ids{3}[1]'], batch_id => 'invite')");
is($ann->ask("SELECT * FROM wawp_wait('invite', '180 s')")->{out}, '0|0|1|0', 'an invitation by the LID of a number that opted out');
is($ann->ask("SELECT detail FROM wawp.membership_intent WHERE batch_id = 'invite'")->{out}, 'not invited: suppressed (wrote STOP)', '... is not sent');
is(scalar(grep { $_->{method} eq 'POST' && encode($_->{body}) =~ /15551630(10[1-4])|9000000001630/ } $sim->ledger), 0, '... and nothing was sent that names them');
is($owner->ask("SELECT wawp_unsuppress('$ids{$_}[0]'), wawp_unsuppress('$ids{$_}[1]')")->{out}, 't|f', "$_: the number takes both ids off the list") foreach 1, 2;
is($owner->ask("SELECT wawp_unsuppress('$ids{3}[1]'), wawp_unsuppress('$ids{3}[0]')")->{out}, 't|f', '3: so does the LID');
is($ann->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$ids{$_}[0]'])")->{out}, 'accepted', "$_: added") foreach 1 .. 3;
$owner->ask("INSERT INTO wawp.contact (jid, registered, checked_at, known_as) VALUES ('15551630105\@c.us', true, now(), '15551630106\@c.us'); SELECT wawp_suppress('15551630106')");
$ann->ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) VALUES ('$group', '15551630105', 'known_as')");
is($ann->ask("SELECT * FROM wawp_wait('known_as', '180 s')")->{out}, '0|0|1|0', 'who opted out by the number that WhatsApp knows another one by is not added by that other one');
is($owner->ask("SELECT wawp_note_contact('$ids{4}[1]')")->{out}, 't', 'who wrote by the LID');
is($owner->ask("SELECT last_inbound_at IS NOT NULL FROM wawp.contact WHERE jid = '$ids{4}[0]\@c.us'")->{out}, 't', '... wrote by the number');

$_->quit foreach $owner, $ann;
done_testing();

sub encode { my ($body) = @_; return JSON::PP->new->allow_nonref->canonical->encode($body); }
