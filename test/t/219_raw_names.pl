
# What a user's table holds where a number should be may look like the name of somebody who was erased: it is nobody's
# name, and no reason for the worker to stop recording what others do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim);
my $wawp = WawpPeople->new($node, $sim);
my $group = $wawp->group;

$wawp->ask("CREATE TABLE roster (g text, who text);
	CREATE TRIGGER m AFTER INSERT ON roster FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'instance=support')");
foreach my $raw ('contact:x@c.us', 'contact:1@c.us', 'contact:')
{
	$wawp->ask("INSERT INTO roster VALUES ('$group', '$raw')");
	my $id = $wawp->ask("SELECT id FROM wawp.membership_intent WHERE jid = '$raw' AND state = 'failed'");
	like($id, qr/^\d+$/, "$raw is kept as it was given");
	$wawp->ask("SELECT wawp_retry($id)");
	like($wawp->end($id), qr/^failed/, '... tried again in vain');
}
$wawp->ask("SELECT wawp_pause('support', '$group', 'night'); SELECT wawp_resume('support', '$group')");
is($wawp->until("SELECT count(*) FROM wawp.audit_log WHERE kind = 'resumed'", 1), 1, 'what others do is recorded');
is($wawp->until('SELECT count(*) FROM wawp.audit_note', 0), 0, '... and no note is left');
is($wawp->ask('SELECT errors_in_a_row FROM wawp.worker_status'), 0, '... without an error');

done_testing();
