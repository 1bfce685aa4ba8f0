
# With every table of the extension published, the updates and deletes of the worker and of the SQL functions still work.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 },
	conf => "log_statement = none\nwal_level = logical\nwawp.instance = 'support'\n");
my $session = WawpTest->session($node);
my ($people, $groups) = (0, 0);
$sim->world({ auto_groups => \1 });
$session->ask('CREATE PUBLICATION everything FOR ALL TABLES');

sub new_group { return sprintf '12036307742%07d@g.us', ++$groups; }

sub ask_for
{
	my ($group) = @_;
	return $session->ask(sprintf "SELECT id FROM wawp_request_add('%s', ARRAY['1555742%04d'])", $group, ++$people)->{out};
}

sub comes_to
{
	my ($id, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($session->until("SELECT state FROM wawp.membership_intent WHERE id = $id", $state), $state, $name)
	  || diag($session->ask("SELECT wawp_explain($id)")->{out});
}

# What is held, but for what the test holds itself.
my $holds = "SELECT coalesce(string_agg(concat_ws(' ', group_jid, reason), ', '), 'none') FROM wawp.hold";

comes_to(ask_for(new_group()), 'done', 'a person is added');

# ---- the worker holds a group, tries it again, and forgets the hold

my $group = new_group();
my $path = substr($group, 0, 18);
$sim->rule({ match => { path => "$path.*add\$" }, times => undef, answer => { status => 403, json => { message => 'no' } } });
my $id = ask_for($group);
is($session->until($holds, "$group not_admin"), "$group not_admin", 'the worker holds a group');
$session->ask("UPDATE wawp.hold SET until = clock_timestamp() - interval '1 s'; SELECT wawp_resume('support', '" . new_group() . "')");
is($session->until("SELECT failures FROM wawp.hold WHERE group_jid = '$group'", 2), 2, '... holds it again after another refusal');
$sim->unrule;
$session->ask("UPDATE wawp.hold SET until = clock_timestamp() - interval '1 s'; SELECT wawp_resume('support', '" . new_group() . "')");
comes_to($id, 'done', '... serves it when the hold is over');
is($session->until($holds, 'none'), 'none', '... and forgets it');

# ---- what sessions change

my $other = new_group();
is($session->ask("SELECT wawp_pause('support', '$other'), wawp_pause('support'), wawp_pause('support', '$other', 'lunch')")->{out}, 't|t|t',
	'a group and an instance are paused');
is($session->ask("SELECT wawp_resume('support'), wawp_resume('support', '$other'), wawp_resume('support', '$other')")->{out}, 't|t|f', '... and resumed');
is($session->ask("SELECT wawp_suppress('15557420001', '$other'), wawp_suppress('15557420001'), wawp_suppress('15557420001', reason => 'STOP')")->{out},
	't|t|t', 'a person is suppressed');
is($session->ask("SELECT wawp_unsuppress('15557420001'), wawp_unsuppress('15557420001', '$other'), wawp_unsuppress('15557420001')")->{out}, 't|t|f',
	'... and no more');
$session->ask('UPDATE wawp.identity SET mark = gen_random_uuid()');
is($session->until('SELECT state FROM wawp.worker_status', 'copy'), 'copy', 'without its mark the database is taken for a copy');
$session->ask("SELECT wawp_take_over('support')");
comes_to(ask_for(new_group()), 'done', '... until it is taken over');

# ---- tables that the worker makes, too

is($session->ask(q{SELECT count(*), count(*) FILTER (WHERE c.relispartition), string_agg(c.relname, ' ') FILTER (WHERE c.relreplident <> 'f'
	AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND c.relreplident = 'd'))
	FROM pg_class c WHERE c.relnamespace = 'wawp'::regnamespace AND c.relkind IN ('r', 'p')})->{out}, '19|3|',
	'every table has a primary key or REPLICA IDENTITY FULL, each month of the audit log included');
unlike(slurp_file($node->logfile), qr/replica identity/, 'nothing that was published could not be changed');
is($session->ask('SELECT state, errors_in_a_row FROM wawp.worker_status')->{out}, 'serving|0', 'the worker serves');

$session->quit;
done_testing();
