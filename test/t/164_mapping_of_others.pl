
# DROP USER MAPPING IF EXISTS succeeds for any role where there is no mapping: it ends no hold of others, and nothing is recorded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim, conf => "log_statement = none\n");
my $owner = WawpTest->session($node);
$owner->ask('DROP USER MAPPING FOR PUBLIC SERVER support; CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann; CREATE ROLE nobodys LOGIN');
my ($ann, $nobodys) = map { WawpTest->session($node, 'postgres', user => $_) } qw(ann nobodys);
my $held = "SELECT string_agg(requester::regrole || ' ' || (until > clock_timestamp() + interval '20 s'), ' ') FROM wawp.requester_hold";

$ann->ask("SELECT id FROM wawp_request_add('120363164000000001\@g.us', ARRAY['15551640001'], 'support')");
is($owner->until($held, 'ann true'), 'ann true', 'a role without a token is held');
foreach my $sql ('DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER support', 'DROP USER MAPPING IF EXISTS FOR ann SERVER support', 'DROP USER MAPPING IF EXISTS FOR nobodys SERVER support',
	"CREATE SERVER IF NOT EXISTS support FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'OTHER')")
{
	is($nobodys->ask($sql)->{state}, '', "$sql by a role without any privilege succeeds");
	is($owner->ask($held)->{out}, 'ann true', '... and ends no hold');
}
is($owner->ask("SELECT (SELECT count(*) FROM wawp.audit_note WHERE role = 'nobodys') + (SELECT count(*) FROM wawp.audit_log WHERE requested_by = 'nobodys')")->{out}, 0, '... nor is it recorded');
is($ann->ask("CREATE USER MAPPING FOR ann SERVER support OPTIONS (access_token 'secret')")->{state}, '', 'her own mapping');
is($owner->until('SELECT state FROM wawp.membership_intent', 'done'), 'done', '... ends it');
$ann->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'wrong')");
$ann->ask("SELECT id FROM wawp_request_add('120363164000000001\@g.us', ARRAY['15551640002'], 'support')");
is($owner->until('SELECT count(*) FROM wawp.requester_hold WHERE until > clock_timestamp()', 1), 1, 'a token that is refused');
is($owner->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'secret')")->{state}, '', 'the owner repairs it');
is($owner->until('SELECT count(*) FROM wawp.membership_intent WHERE state = $$done$$', 2), 2, '... which ends it as well');

$_->quit foreach $owner, $ann, $nobodys;
done_testing();
