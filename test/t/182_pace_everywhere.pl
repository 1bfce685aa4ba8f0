
# One account's pace for all that spend it: two databases with a worker and sessions each, across restarts; and many
# sessions at once.  What counts is what the limiter grants, by its own clock, in any window; nothing may arrive at the
# API before it was granted.  How late it arrives depends on the machine: see src/throttle/limiter.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use POSIX qw(ceil);
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my @databases = qw(postgres second);
my %sessions = (postgres => 8, second => 4);
my %pace = (fast => { per_minute => 600, burst => 10 }, slow => { per_minute => 60, burst => 4 }, crowd => { per_minute => 6, burst => 4 });

# A crowd for this machine: a hundred for each processor, 15 MB for each.
my ($cpus, $memory) = (1, 1e6);
if (open(my $info, '<', '/proc/meminfo')) { while (<$info>) { $memory = $1 if /^MemAvailable:\s+(\d+) kB/; } }
if (open(my $info, '<', '/proc/cpuinfo')) { $cpus = grep { /^processor\s*:/ } <$info>; }
my $crowd = max(50, min(1000, 100 * $cpus, int($memory / 15_000)));

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', conf => "log_statement = none\nlog_min_messages = debug1\nmax_connections = @{[ $crowd + 50 ]}\n");
my $session = WawpTest->session($node);
$session->ask('CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION wawp');
$sim->world({ auto_groups => \1, accounts => { map { uc $_ => { token => 'secret' } } keys %pace } });
foreach my $database (@databases)
{
	foreach my $instance (sort keys %pace)
	{
		my %options = (instance_id => uc $instance, adds_per_minute => $pace{$instance}{per_minute}, adds_burst => $pace{$instance}{burst},
			pace_jitter => 0, concurrency => 4);
		WawpTest->create_server($node, $instance, $sim, \%options, $database);
	}
	# people of their own: who is in the group already needs no request
	my $area = $database eq 'second' ? 1559 : 1556;
	$node->safe_psql($database, qq{CREATE SEQUENCE person;
		SELECT count(*) FROM wawp_request_add('120363077950000001\@g.us', ARRAY(SELECT '$area' || to_char(i, 'FM0000000')
			FROM generate_series(1, 1000) i),
			'fast');
		SELECT count(*) FROM wawp_request_add('120363077950000002\@g.us', ARRAY(SELECT '$area' || to_char(i, 'FM0000000')
			FROM generate_series(1, 200) i), 'slow')});
}

# When the adds of an instance arrived, since a time; each request is read once.
my (%arrivals, $read);

sub arrivals
{
	my ($instance, $from) = @_;
	foreach my $request (@{ $sim->ctl(GET => 'ledger?since=' . ($read // 0)) })
	{
		$read = $request->{n};
		push @{ $arrivals{ $request->{body}{instance_id} } }, 1e6 * $request->{mono} if $request->{path} =~ /add$/;
	}
	my @at = sort { $a <=> $b } grep { $_ >= ($from // 0) } @{ $arrivals{ uc $instance } // [] };
	return @at;
}

# In no window more than the pace and the burst; what the server forgot with a crash had not left.
my @crashes;

sub keeps_to
{
	my ($instance) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($per_minute, $burst) = @{ $pace{$instance} }{qw(per_minute burst)};
	my $interval = 60e6 / $per_minute;
	my @at = arrivals($instance);
	my @permits = WawpTest->permits(WawpTest->asks($node, uc $instance));
	my @left = WawpTest->forget(\@permits, \@at, @crashes);
	my @late = map { ($at[$_] - ($permits[$_] // $at[$_])) / 1e6 } 0 .. $#at;
	diag(sprintf '%d a minute and %d: %d granted, %d arrived, the last one of a row at most %.2f s later than as many were granted', $per_minute, $burst,
		scalar @permits, scalar @at, max(@late));
	cmp_ok(scalar(@permits), '>=', scalar(@at), "$instance: what arrived was granted");
	is(scalar(grep { $at[$_] < $permits[$_] - 1000 } 0 .. min($#at, $#permits)), 0, '... before it arrived');
	is(scalar(WawpTest->over_pace($interval, $burst, @left)), 0, "... in no window more than $per_minute a minute and $burst")
	  || diag(join ' ', map { $_ - $left[0] } @left);
	return;
}

# ---- workers and sessions of two databases

my @asking;

# Sessions that ask for everything, all the time.
sub ask_everywhere
{
	foreach my $database (@databases)
	{
		foreach my $number (1 .. $sessions{$database})
		{
			my $in = WawpTest->session($node, $database);
			push @asking, $in;
			$in->send(qq{DO \$\$ BEGIN LOOP
				PERFORM * FROM unnest(ARRAY['fast', 'slow']::name[]) instance,
					LATERAL wawp_add_participants('120363077960000001\@g.us', ARRAY['1557' || to_char(nextval('person'), 'FM0000000')], instance);
				PERFORM pg_sleep(0.1 * random());
			END LOOP; END \$\$});
		}
	}
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active'
		AND query ~ '^DO'}), @asking, scalar(@asking) . ' sessions ask');
	return;
}

# Lets them go on for so many seconds' worth of the pace.
sub go_on
{
	my ($name, $seconds) = @_;
	my ($from, $started) = (WawpTest->mono, time);
	my %possible = map { $_ => $seconds * $pace{$_}{per_minute} / 60 } qw(fast slow);
	foreach my $instance (sort keys %possible)
	{
		ok(poll_until(sub { arrivals($instance, $from) >= $possible{$instance} }), "$name: $instance: the pace is used");
	}
	diag(sprintf '%s: what the pace allows in %d s was sent in %.1f s', $name, $seconds, time - $started);
	return;
}

ask_everywhere();
poll_until(sub { arrivals('fast') > 20 && arrivals('slow') > 5 });
go_on('undisturbed', 12);

foreach my $database (@databases)
{
	$session->ask("SELECT pg_terminate_backend(@{[ WawpTest->worker($node, $database) ]})");
}
go_on('new workers', 10);

$session->quit;
my $down = WawpTest->mono;
$node->stop('immediate');
push @crashes, WawpTest->mono;
$node->start;
$_->quit foreach splice @asking;
ask_everywhere();
WawpTest->worker($node, $_) foreach @databases;
poll_until(sub { arrivals('fast', $down) > 20 && arrivals('slow', $down) > 2 });
diag(sprintf 'after an immediate stop: goes on after %.1f s', ((arrivals('fast', $crashes[0]))[0] - $down) / 1e6);
go_on('a new server', 15);

$session = WawpTest->session($node);
keeps_to($_) foreach qw(fast slow);
foreach my $database (@databases)
{
	my $in = WawpTest->session($node, $database);
	foreach my $by ("origin = 'session'", "intent_id IS NOT NULL")
	{
		my $share = $in->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'sent' AND instance = 'fast' AND $by")->{out};
		diag("database $database: $by: $share");
		cmp_ok($share, '>=', 10, "database $database: $by had a share");
	}
	is($in->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, '... and its audit log has no gaps');
	$in->ask(q{SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE state = 'queued'});
	$in->quit;
}
$session->ask(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^DO'});
$_->quit foreach splice @asking;

# ---- a crowd at once

SKIP:
{
	my $sessions = $crowd;
	skip('no pgbench', 9) unless grep { -x "$_/pgbench" } split /:/, $ENV{PATH};

	my $dir = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$dir/call.sql", q{INSERT INTO answer SELECT :client_id, outcome, retry_at > statement_timestamp()
		FROM wawp_add_participants('120363077970000001@g.us', ARRAY['1558' || to_char(:client_id, 'FM0000000')], 'crowd');} . "\n");
	$session->ask('CREATE UNLOGGED TABLE answer (client int, outcome wawp.outcome, is_later bool)');
	my $started = WawpTest->mono;
	# a soft limit of open files may be lower than pgbench needs
	my ($out, $err) = run_command([ 'sh', '-c', 'ulimit -n 4096 2>/dev/null; exec "$@"', 'sh', 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', 1,
		'--log', "--log-prefix=$dir/log", '-f', "$dir/call.sql", $node->connstr('postgres') ]);
	my $ended = WawpTest->mono;
	my $number = arrivals('crowd');
	my @latencies = sort { $a <=> $b } map { (split / /)[2] / 1e6 } map { split /\n/, slurp_file($_) } glob("$dir/log*");
	is($session->ask('SELECT count(*), count(DISTINCT client) FROM answer')->{out}, "$sessions|$sessions",
		"$sessions sessions at once: each gets an answer") || diag($err);
	is($session->ask(q{SELECT count(*) FROM answer WHERE outcome = 'accepted'})->{out}, $number, '... those that were sent');
	cmp_ok($number, '>=', 5, '... are the burst and one');
	cmp_ok($number, '<=', 5 + ceil(($ended - $started) / 10e6), '... and not more than the pace adds');
	is($session->ask('SELECT count(*), count(DISTINCT outcome) FROM answer WHERE outcome <> $$accepted$$')->{out}, ($sessions - $number) . '|1',
		'... all others are throttled');
	is($session->ask(q{SELECT count(*) FROM answer WHERE outcome = 'throttled' AND is_later})->{out}, $sessions - $number,
		'... and told when to try again');
	diag(sprintf '%d sessions, %d sent: half of them answered within %.2f s, the last after %.2f s (%.1f s in all, connecting included)',
		$sessions, $number, $latencies[ @latencies / 2 ], $latencies[-1], ($ended - $started) / 1e6);
	keeps_to('crowd');
}
is(scalar(grep { /PANIC|FATAL:  (?!terminating|the database system)/ } split /\n/, slurp_file($node->logfile)), 0, 'the log shows no harm');
done_testing();
