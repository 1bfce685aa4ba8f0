
# A dump whose parts arrive one after the other: no new seal begins before that of the restored log is there, or the
# extension's owner has said that it will not be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
$sim->world({ auto_groups => \1 });
my %options = (adds_per_minute => 0, reads_per_minute => 0);
my $main = WawpTest->node('main', sim => $sim, options => \%options, conf => "log_statement = none\nmax_worker_processes = 24\n");
my ($people, $groups) = (0, 0);

sub new_group { return sprintf '12036322400000%04d@g.us', ++$groups; }

# The intent of a new request.
sub request
{
	my ($dbname) = @_;
	my $who = sprintf '1555224%04d', ++$people;
	return $main->safe_psql($dbname, "SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['$who'], 'support', verify => false)");
}

sub state_of { my ($id) = @_; return "SELECT state FROM wawp.membership_intent WHERE id = $id"; }

# ---- a dump, and its parts

$main->safe_psql('postgres', 'CREATE DATABASE source TEMPLATE template0');
$main->safe_psql('source', 'CREATE EXTENSION wawp');
WawpTest->create_server($main, 'support', $sim, \%options, 'source');
becomes_in($main, 'source', state_of(request('source')), 'done', 'a source with records') foreach 1 .. 3;
becomes_in($main, 'source', 'SELECT count(*) FROM wawp.audit_log', 6, '... all of them');
my $folder = PostgreSQL::Test::Utils::tempdir();
$main->command_ok([ 'pg_dump', '--format=custom', '--file', "$folder/dump", $main->connstr('source') ], 'a dump');
my ($list) = run_command([ 'pg_restore', '--list', "$folder/dump" ]);
my %part = (blocks => [ grep { /TABLE DATA wawp audit_block / } split /\n/, $list ], others => [ grep { !/TABLE DATA wawp audit_block / } split /\n/, $list ]);
is(scalar(@{ $part{blocks} }), 1, '... with the blocks as a part');
foreach my $name (keys %part)
{
	open my $file, '>', "$folder/$name" or die $!;
	print $file map { "$_\n" } @{ $part{$name} };
	close $file;
}

sub restore
{
	my ($dbname, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $main->command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $main->connstr($dbname), '--use-list', "$folder/$name", "$folder/dump" ], "$dbname: $name are restored");
}

my $failing = q{SELECT state || ' ' || sqlstate || ' ' || last_error FROM wawp.worker_status};
my $verified = 'SELECT ok, checked = (SELECT count(*) FROM wawp.audit_log), problem FROM wawp_audit_verify()';

# ---- all but the blocks, then these

$main->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0") foreach qw(late never);
restore('late', 'others');
my $before = $sim->count('participants/add');
my $waits = request('late');
ok(poll_until(sub { $main->safe_psql('late', $failing) =~ /^failing 55000 .*records up to number 6 and no block/ }), '... the worker says that it waits for them')
  || diag($main->safe_psql('late', $failing));
is($main->safe_psql('late', "SELECT (@{[ state_of($waits) ]}), (SELECT count(*) FROM wawp.audit_block)"), 'queued|0', '... and neither serves nor seals');
is($sim->count('participants/add'), $before, '... nor sends');
restore('late', 'blocks');
becomes_in($main, 'late', state_of($waits), 'done', '... goes on by itself');
becomes_in($main, 'late', 'SELECT count(*) FROM wawp.audit_log', 8, '... records it');
like($main->safe_psql('late', $verified), qr/^t\|t\|after block \d+ another database took over/, '... and goes on with the seal');
becomes_in($main, 'late', 'SELECT state FROM wawp.worker_status', 'serving', '... as the status says');

# ---- the blocks never come

restore('never', 'others');
$waits = request('never');
ok(poll_until(sub { $main->safe_psql('never', $failing) =~ /^failing 55000 / }), '... the worker waits');
$main->safe_psql('never', "SELECT wawp_take_over('support')");
becomes_in($main, 'never', state_of($waits), 'done', '... until it is taken over');
becomes_in($main, 'never', 'SELECT count(*) FROM wawp.audit_note', 0, '... which is recorded');
is($main->safe_psql('never', q{SELECT block, first_id, trim(encode(previous, 'hex'), '0') = '' FROM wawp.audit_block ORDER BY block LIMIT 1}), '1|7|t', '... in a seal of its own');
like($main->safe_psql('never', 'SELECT ok, first_bad_id, problem FROM wawp_audit_verify()'), qr/^f\|1\|record 1 is in no block: its block was removed/, '... which does not vouch for what was restored');
becomes_in($main, 'never', state_of(request('never')), 'done', '... and goes on');

$main->stop;
done_testing();
