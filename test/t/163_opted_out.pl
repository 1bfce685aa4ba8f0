
# Who has opted out of all groups, or was erased, is sent to the API by no way that adds people.

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
	$ann->ask("SELECT * FROM wawp_sync_group('$group', ARRAY['$who'], mode => 'apply')");
}
is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('failed', 'cancelled')", 0), 0, 'all that was requested has failed');
is(scalar(grep { $_->{method} eq 'POST' && encode($_->{body}) =~ /1555163000[12]/ } $sim->ledger), 0, '... and nothing was sent that names them');
like($ann->ask("SELECT wawp_create_group('Choir', ARRAY['15551630003'])")->{out}, qr/\@g\.us$/, 'a group of others is created');
$owner->ask("SELECT wawp_unsuppress('15551630001')");
like($ann->ask("SELECT wawp_create_group('Choir', ARRAY['15551630001'])")->{out}, qr/\@g\.us$/, '... and one of somebody who was taken off the list');

$_->quit foreach $owner, $ann;
done_testing();

sub encode { my ($body) = @_; return JSON::PP->new->allow_nonref->canonical->encode($body); }
