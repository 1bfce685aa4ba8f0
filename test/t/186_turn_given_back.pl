
# Workers of two databases that share an account, while calls by hand have spent the burst: one that gave its turn back,
# since its person needed no request, waits for the other's turn and does not ask again and again meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

# An interval of 10 s: a worker that calls by hand keep from its token has its turn after two of them.
my %options = (adds_per_minute => 6, adds_burst => 5, pace_jitter => 0, concurrency => 4, instance_id => 'ABC123');
my ($group, $elsewhere) = ('120363012345678901@g.us', '120363077950000009@g.us');
my $limit = $PostgreSQL::Test::Utils::timeout_default / 3;
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => \%options, conf => "log_min_messages = debug1\n");
$sim->world({ auto_groups => \1 });
my $session = WawpTest->session($node);
$session->ask('CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim, \%options, 'second');
my $second = WawpTest->session($node, 'second');
WawpTest->worker($node, $_) foreach qw(postgres second);

# How often the limiter has refused the worker of this database.
sub refusals
{
	my $pid = WawpTest->worker($node);
	return scalar(grep { /\[$pid\] DEBUG:  wawp pace: 0 of 1 for a worker/ } split /\n/, slurp_file($node->logfile));
}

is($session->ask("SELECT count(*) FROM wawp_add_participants('$group', ARRAY(SELECT '1555000000' || i FROM generate_series(1, 6) i), 'support')
	WHERE outcome = 'accepted'")->{out}, 6, 'calls by hand have spent the burst');
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify) VALUES
	('$group', '15550000001', 'support', 'member', false), ('$group', '15560000001', 'support', 'stranger', false)");
sleep 1;
$second->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify) VALUES ('$elsewhere', '15570000001', 'support', 'other', false)");
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'member'", 1, $limit), 1, 'the first has its turn, for a member, and gives it back');

my ($from, $before) = (time, refusals());
sleep 4;
my $refused = refusals() - $before;
diag("refused $refused times in 4 s");
cmp_ok($refused, '<', 20, '... it does not ask again and again until its next turn');
is($second->until("SELECT done FROM wawp.progress WHERE batch_id = 'other'", 1, $limit), 1, '... the other has its turn');
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'stranger'", 1, $limit), 1, '... and then the first again');
diag(sprintf 'after %.1f s', time - $from);

done_testing();
