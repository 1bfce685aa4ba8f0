
# A standby that pg_createsubscriber has made a subscriber has another system identifier: its database is a copy.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

chomp(my $bindir = `@{[ $ENV{PG_CONFIG} // 'pg_config' ]} --bindir`);
plan(skip_all => 'PostgreSQL before 17 has no pg_createsubscriber') unless -x "$bindir/pg_createsubscriber";

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $main = WawpTest->node('main', sim => $sim, init => [ allows_streaming => 'logical' ],
	conf => "log_statement = none\nmax_worker_processes = 16\nwawp.worker = off\n");
my $people = 0;

sub request
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "SELECT id FROM wawp_request_add('$group', ARRAY['@{[ sprintf '1555154%04d', ++$people ]}'], 'support')");
}

sub is_done
{
	my ($node, $id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes_in($node, 'postgres', "SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', $name);
}

my $waiting = request($main);
my $copy = PostgreSQL::Test::Cluster->new('copy');
$main->backup('base');
$copy->init_from_backup($main, 'base', has_streaming => 1);
$copy->start;
$main->wait_for_catchup($copy, 'replay');
$copy->stop;
command_ok([ 'pg_createsubscriber', '--pgdata', $copy->data_dir, '--publisher-server', $main->connstr('postgres'), '--database', 'postgres',
	'--socketdir', $copy->host, '--subscriber-port', $copy->port, '--recovery-timeout', $PostgreSQL::Test::Utils::timeout_default ], 'pg_createsubscriber');

# Before the subscription brings what the original does now, the copy has only rows that were made elsewhere.
$copy->append_conf('postgresql.conf', "wawp.worker = on\nmax_logical_replication_workers = 0\n");
$main->append_conf('postgresql.conf', "wawp.worker = on\n");
$copy->start;
becomes_in($copy, 'postgres', 'SELECT state FROM wawp.worker_status', 'copy', 'the subscriber is a copy');
my $asked = request($copy);
$copy->reload;
$main->reload;
is_done($main, $waiting, 'the original serves its queue');
is_done($main, request($main), '... and goes on');
is(scalar(grep { $_ eq 'add 15551540002' } $sim->people), 0, 'nothing has left from the copy');
$copy->restart;
becomes_in($copy, 'postgres', 'SELECT state FROM wawp.worker_status', 'copy', 'started again, it is a copy');
$copy->safe_psql('postgres', q{SELECT wawp_take_over('support')});
becomes_in($copy, 'postgres', 'SELECT state FROM wawp.worker_status', 'serving', 'taken over, it serves');
is_done($copy, $_, '... what waited') foreach $waiting, $asked;
is(scalar(grep { $_ eq 'add 15551540001' } $sim->people), 1, '... and nobody was added twice');

done_testing();
