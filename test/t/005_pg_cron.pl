
# Jobs of the real pg_cron ask and drain, in both of its ways to run a job: over libpq and in background workers.
# First of the files, because pg_cron 1.4 counts in minutes: the others run beside its waits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

plan skip_all => 'pg_cron is not installed for this PostgreSQL' unless WawpTest->has_extension('pg_cron');

my $group = '120363012345678901@g.us';
my %by_hand = (first => '15556000001', second => '15556000002', third => '15556000003', later => '15556000004');

# What drains, and how the times at which it began and ended are known: pg_cron 1.4 does not note them of a worker.
my %drain = (
	libpq => "CALL wawp_drain(NULL, '20 s')",
	workers => "INSERT INTO drained VALUES (clock_timestamp()); CALL wawp_drain(NULL, '20 s'); UPDATE drained SET ended = clock_timestamp() WHERE ended IS NULL");
my %windows = (
	libpq => "SELECT extract(epoch FROM start_time), extract(epoch FROM end_time) FROM cron.job_run_details WHERE command LIKE 'CALL%' AND username <> 'asker'",
	workers => 'SELECT extract(epoch FROM began), extract(epoch FROM ended) FROM drained');
my %clusters = map { $_ => cluster($_) } qw(libpq workers);

# A server on which pg_cron runs its jobs that way, and "asker" may schedule some.
sub cluster
{
	my ($way) = @_;
	my $sim = WawpTest->sim(latency => 0.2);
	my $node = WawpTest->node($way, sim => $sim, options => { adds_per_minute => 60 });

	$node->append_conf('postgresql.conf', <<CONF . ($way eq 'workers' ? "cron.use_background_workers = on\n" : ''));
shared_preload_libraries = 'wawp,pg_cron'
cron.database_name = 'postgres'
cron.host = '@{[ $node->host ]}'
wawp.worker = off
CONF
	$node->restart;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
CREATE ROLE asker LOGIN;
GRANT USAGE ON FOREIGN SERVER support TO asker;
GRANT USAGE ON SCHEMA cron TO asker;
SQL
	return { sim => $sim, node => $node, owner => WawpTest->session($node), asker => WawpTest->session($node, 'postgres', user => 'asker') };
}

sub schedule
{
	my ($session, $name, $command) = @_;
	my $answer = $session->ask("SELECT cron.schedule('$name', '* * * * *', \$job\$$command\$job\$)");
	die "not scheduled: $answer->{err}" unless $answer->{out} =~ /^\d+$/;
	return $answer->{out};
}

# Runs of a job that ended: "status message" of each, one a line.
sub runs_of
{
	my ($job) = @_;
	return "SELECT status || ' ' || coalesce(return_message, '') FROM cron.job_run_details WHERE jobid = $job AND end_time IS NOT NULL ORDER BY runid";
}

sub names_of { my ($request) = @_; return map { $_->{id} =~ s/@.*//r } @{ $request->{body}{participants} }; }

# ---- jobs are scheduled on both clusters; what a person asked for by hand waits for them

foreach my $way (sort keys %clusters)
{
	my ($owner, $asker) = @{ $clusters{$way} }{qw(owner asker)};
	my $people = join ', ', map { "'$by_hand{$_}'" } qw(first second third);
	is($owner->ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY[$people], 'support') WHERE created")->{out}, 3, "$way: three are asked for by hand");

	# a table of the application, and what is new in it
	$owner->ask("CREATE TABLE roster (group_jid text, phone text); INSERT INTO roster VALUES ('$group', '15557000001'), ('$group', '15557000002');
		GRANT SELECT, DELETE ON roster TO asker; CREATE TABLE drained (began timestamptz, ended timestamptz)");
	$clusters{$way}{insert} = schedule($asker, 'ask by INSERT',
		"WITH new AS (DELETE FROM roster WHERE phone = '15557000001' RETURNING *)
		 INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id) SELECT group_jid, phone, 'support', 'by cron' FROM new");
	$clusters{$way}{function} = schedule($asker, 'ask by function',
		"WITH new AS (DELETE FROM roster WHERE phone = '15557000002' RETURNING *)
		 SELECT a.* FROM new, wawp_request_add(new.group_jid, ARRAY[new.phone], 'support', batch_id => 'by cron') a");
	$clusters{$way}{forbidden} = schedule($asker, 'drain without permission', "CALL wawp_drain(NULL, '20 s')");
	$clusters{$way}{drain} = schedule($owner, 'drain', $drain{$way});
	$clusters{$way}{since} = time;
}

# ---- what the jobs did

foreach my $way (sort keys %clusters)
{
	my ($sim, $owner, $asker) = @{ $clusters{$way} }{qw(sim owner asker)};
	my $settled = "SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'by cron' AND state = 'done'";

	# A job runs at the next minute; one that just missed another's commit does its work a minute later.
	is($owner->until($settled, 2, 120 + soon()), 2, "$way: those whom jobs asked for are done")
	  or diag($owner->ask('SELECT jobid, command, status, return_message FROM cron.job_run_details')->{out});
	diag(sprintf '%s: %.0f s until all were added', $way, time - $clusters{$way}{since});
	# pg_cron forgets the end of a run whose job has gone
	$owner->until("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%CALL wawp_drain%' AND state = 'active' AND pid <> pg_backend_pid()", 0);
	$owner->until(runs_of($clusters{$way}{$_}), qr/./) foreach qw(insert function forbidden drain);
	$owner->ask("SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname LIKE '%drain%'");

	my @requests = $sim->ledger(qr/add$/);
	is_deeply([ sort map { names_of($_) } @requests ], [ sort @by_hand{qw(first second third)}, '15557000001', '15557000002' ],
		'... each of them and who was asked for by hand was added once');

	my @windows = map { [ split /\|/ ] } split /\n/, $owner->ask($windows{$way})->{out};
	cmp_ok(scalar(@windows), '>', 0, '... the drain job ran');
	my $slack = $way eq 'libpq' ? 5 : 0;    # between what a job does and what pg_cron notes of it; a drain has 20 s of a minute
	my @outside = grep { my $at = $_->{at}; !grep { $at > $_->[0] - $slack && $at < $_->[1] + $slack } @windows } @requests;
	is_deeply([ map { names_of($_) } @outside ], [], '... and every request left while it did')
	  or diag(explain(\@windows, [ map { [ $_->{at}, names_of($_) ] } @requests ]));

	unlike($owner->ask(runs_of($clusters{$way}{$_}))->{out}, qr/^(?!succeeded)/m, "... pg_cron calls the $_ job succeeded")
	  foreach qw(insert function drain);
	like($asker->ask(runs_of($clusters{$way}{insert}))->{out}, qr/^succeeded INSERT 0 1$/m, '... with one row')
	  if $way eq 'libpq';
	like($asker->ask(runs_of($clusters{$way}{forbidden}))->{out}, qr/\Afailed .*permission denied to drain the queue/, '... and that of a role that may not drain, failed');
	is($owner->ask("SELECT DISTINCT requested_by, requested_from ->> 'login', origin FROM wawp.membership_intent WHERE batch_id = 'by cron' ORDER BY 3")->{out},
		"asker|asker|function\nasker|asker|insert", '... the role of the job is noted as who asked');
	is($owner->ask("SELECT count(*) FROM wawp.audit_log WHERE batch_id = 'by cron' AND kind = 'sent' AND requested_by = 'asker' AND login_role = 'asker'")->{out},
		2, '... and recorded');
}

# ---- without a drain job nothing leaves

foreach my $way (sort keys %clusters)
{
	my ($sim, $owner) = @{ $clusters{$way} }{qw(sim owner)};
	$clusters{$way}{before} = $sim->count('add$');
	$owner->ask("SELECT wawp_request_add('$group', ARRAY['$by_hand{later}'], 'support', batch_id => 'later')");
}
sleep 2;
foreach my $way (sort keys %clusters)
{
	my ($sim, $owner) = @{ $clusters{$way} }{qw(sim owner)};
	is($sim->count('add$'), $clusters{$way}{before}, "$way: no drain job, no request");
	is($owner->ask("CALL wawp_drain(1, '20 s')")->{state}, '', '... until somebody drains by hand');
	is(scalar(grep { $_ eq "add $by_hand{later}" } $sim->people), 1, '... which sends the one that waited');
}

# ---- a permit ends with the call that has it

my %ends = (libpq => 'cancelled', workers => 'terminated');
foreach my $way (sort keys %ends)
{
	my ($sim, $node, $owner) = @{ $clusters{$way} }{qw(sim node owner)};
	my $drain = $clusters{$way}{call} = WawpTest->session($node);
	$clusters{$way}{before} = $sim->count('add$');
	$owner->ask("SELECT wawp_request_add('$group', ARRAY['" . join("', '", WawpTest->people(20)) . "'], 'support')");
	$drain->send('CALL wawp_drain()');
}
foreach my $way (sort keys %ends)
{
	my ($sim, $owner, $drain) = @{ $clusters{$way} }{qw(sim owner call)};
	$sim->arrived('add$', $clusters{$way}{before} + 2);
	my $function = $ends{$way} eq 'cancelled' ? 'pg_cancel_backend' : 'pg_terminate_backend';
	is($owner->ask("SELECT $function(@{[ $drain->pid ]})")->{out}, 't', "a drain is $ends{$way}");
	like($drain->answer->{state}, qr/^57/, '... it ends');
	$clusters{$way}{at_end} = $sim->count('add$');
}
sleep 2.5;
foreach my $way (sort keys %ends)
{
	my ($sim, $owner) = @{ $clusters{$way} }{qw(sim owner)};
	cmp_ok($sim->count('add$'), '<=', $clusters{$way}{at_end} + 1, "a drain was $ends{$way}: so has what it allowed");
	$owner->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE state = 'queued'");
	$owner->ask("SELECT wawp_request_remove('$group', ARRAY['$by_hand{later}'], 'support')");
	is($owner->ask("CALL wawp_drain(1, '20 s')")->{state}, '', '... another can drain');
	is(scalar(grep { $_ eq "remove $by_hand{later}" } $sim->people), 1, '... and has its request sent');
	$_->quit foreach @{ $clusters{$way} }{qw(owner asker call)};
}

done_testing();
