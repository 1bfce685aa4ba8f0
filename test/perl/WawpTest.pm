
=head1 NAME

WawpTest - a simulator and a server with wawp, for the Perl tests in test/t

=head1 SYNOPSIS

  use WawpTest;

  my $sim = WawpTest->sim;                        # a simulator of this test's own
  my $node = WawpTest->node('main', sim => $sim); # a server with wawp and the instance "support"

  $sim->rule({ match => { path => 'participants/add$' }, answer => { status => 500 } });
  my $session = WawpTest->session($node);
  is($session->ask(q{SELECT outcome FROM wawp_add_participants(...)})->{out}, 'server_error', 'a row');
  is($sim->count('participants/add'), 1, 'one request');

=head1 CONTRACT

Everything belongs to the test that made it: the simulator ends with the test, the clusters are
PostgreSQL::Test::Cluster's.  Core modules only, and openssl for C<< sim(tls => 1) >>.  Where the
staged library is comes from TEMP_CONFIG (see test/README.md).

=cut

package WawpTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp;
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(poll_until soon is_soon becomes_in chosen memory_kb);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $owner = $$;
my @sims;

=head1 FUNCTIONS

=head2 poll_until(sub { ... }, [seconds])

Calls the sub until it answers true, every 20 ms, or more rarely if it or the wait takes long; returns that, or nothing when time is up.  Without
seconds that is after PG_TEST_TIMEOUT_DEFAULT (180 s), counted from now: what comes at all is not to be
missed because the machine is busy.

=head2 soon, is_soon($seconds, $name)

A ninth of PG_TEST_TIMEOUT_DEFAULT (20 s), at most 40 s: more than any load makes of a moment, and less
than what would come of a wake-up or an interrupt that was lost, since the worker's safety poll, a
request's timeout and an API that hangs all take 60 s or more.  Tests that it took no longer.

=cut

my $timeout_default = $PostgreSQL::Test::Utils::timeout_default;

sub poll_until
{
	my ($done, $timeout) = @_;
	my $start = time;
	my $end = $start + ($timeout // $timeout_default);

	while (1)
	{
		my $began = time;
		my $answer = $done->();
		my $now = time;
		return $answer if $answer;
		return if $now > $end;
		# a look that starts a program leaves the machine to others twice as long; what has taken long is looked for at leisure
		sleep(min(0.25, max(0.02, 2 * ($now - $began), ($now - $start) / 20)));
	}
}

sub soon { return $timeout_default / 9 < 40 ? $timeout_default / 9 : 40; }

sub is_soon
{
	my ($seconds, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok($seconds, '<', soon(), $name);
}

=head2 becomes_in($node, $dbname, $sql, $expected, $name)

Polls until a query in a database answers as expected, and tests that it did.

=cut

sub becomes_in
{
	my ($node, $dbname, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last = '';
	poll_until(sub { $last = $node->safe_psql($dbname, $sql); return $last eq $expected; });
	return is($last, $expected, $name);
}

=head2 chosen($variable, $what, @rows)

Those of the rows of a program's table whose names are in an environment variable, all if it is not set.
Dies of a name that there is none of.

=cut

sub chosen
{
	my ($variable, $what, @rows) = @_;
	my %chosen = map { $_ => 1 } split ' ', $ENV{$variable} // '';
	foreach my $name (keys %chosen)
	{
		die "there is no $what '$name', but: @{[ map { $_->{name} } @rows ]}\n" unless grep { $_->{name} eq $name } @rows;
	}
	return grep { !%chosen || $chosen{ $_->{name} } } @rows;
}

=head2 memory_kb($pid, [$field])

A field of /proc/PID/status in kB: VmRSS (what the process has in memory now) or VmHWM (the most it
ever had).  Nothing where there is no such file.

=cut

sub memory_kb
{
	my ($pid, $field) = @_;

	$field //= 'VmRSS';
	open(my $status, '<', "/proc/$pid/status") or return;
	while (<$status>) { return $1 if /^\Q$field\E:\s+(\d+) kB/; }
	return;
}

=head1 SERVERS

=head2 WawpTest->node($name, %opts)

A started cluster with wawp preloaded and created in database postgres.  A session waits for its record
(wawp.audit_timeout) as long as a test waits for anything.

  sim      => $sim    also CREATE SERVER support pointing to it, and a mapping for PUBLIC
  options  => {...}   more or other options of that server
  conf     => "..."   more lines for postgresql.conf
  init     => [...]   arguments of Cluster's init (allows_streaming => 1, ...)
  env      => {...}   environment of the server

=cut

sub node
{
	my ($class, $name, %opts) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	_init($node, @{ $opts{init} // [] });
	# Also in TEMP_CONFIG; repeated here so that a test runs against an installed wawp as well.
	$node->append_conf('postgresql.conf', <<CONF . ($opts{conf} // ''));
shared_preload_libraries = 'wawp'
wawp.allowed_hosts = 'localhost,127.0.0.1'
wawp.audit_timeout = '${timeout_default}s'
CONF
	{
		local @ENV{ keys %{ $opts{env} } } = values %{ $opts{env} } if $opts{env};
		$node->start;
	}
	$node->safe_psql('postgres', 'CREATE EXTENSION wawp');
	$class->create_server($node, 'support', $opts{sim}, $opts{options}) if $opts{sim};
	return $node;
}

# What initdb makes takes it a second and a half of a processor, a copy a third of that.  Copies share a system identifier, by which
# wawp tells clusters apart: only the first cluster of a test is one.
my $has_copied = 0;

sub _init
{
	my ($node, @arguments) = @_;
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;

	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		my ($program, @rest) = @_;
		my $is_plain = $program eq 'initdb' && @rest == 5 && "$rest[0] @rest[2 .. 4]" eq '-D -A trust -N';
		return $run->($program, @rest) if !$is_plain || !$ENV{WAWP_INITDB} || $has_copied++;
		return $run->('cp', '-Rp', $ENV{WAWP_INITDB}, $rest[1]);
	};
	$node->init(@arguments);
	return;
}

=head2 WawpTest->create_server($node, $name, $sim, { option => value, ... }, [$dbname])

With a mapping for PUBLIC.  Unpaced, and the member list is looked at soon, unless the options say otherwise.  The options access_token and access_token_file are the mapping's; the
token is "secret" unless told.

=cut

sub create_server
{
	my ($class, $node, $name, $sim, $options, $dbname) = @_;
	my %server = (instance_id => 'ABC123', adds_per_minute => 0, checks_per_minute => 0,
		verify_delays => '20ms,200ms,500ms', %{ $options // {} });
	my %mapping;

	$server{base_url} //= $sim->url;
	foreach my $option (qw(access_token access_token_file))
	{
		$mapping{$option} = delete $server{$option} if exists $server{$option};
	}
	$mapping{access_token} = 'secret' unless %mapping;
	my ($server, $mapping) = (_options(%server), _options(%mapping));

	# Cluster.pm logs all statements; not this one, so that a log can be searched for the token.
	$node->safe_psql($dbname // 'postgres', <<SQL);
SET log_statement = none;
SET log_min_duration_statement = -1;
CREATE SERVER $name FOREIGN DATA WRAPPER wawp OPTIONS ($server);
CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS ($mapping);
SQL
	return;
}

sub _options
{
	my (%options) = @_;
	return CORE::join ', ', map { sprintf "%s '%s'", $_, $options{$_} =~ s/'/''/gr } sort keys %options;
}

=head2 WawpTest->session($node, [$dbname], [connection parameter => value, ...])

A session that stays, for calls that are to be interrupted, timed or made one after the other: see
SESSIONS.

=cut

sub session
{
	my ($class, $node, $dbname, %parameters) = @_;
	return WawpTest::Session->new($node, $dbname // 'postgres', %parameters);
}

=head2 WawpTest->has_extension($name)

Is there a control file for it where this PostgreSQL looks by itself?

=cut

sub has_extension
{
	my ($class, $name) = @_;
	my $config = $ENV{PG_CONFIG} // 'pg_config';
	chomp(my $sharedir = `$config --sharedir`);
	return -e "$sharedir/extension/$name.control";
}

=head1 THE DRAIN

=head2 WawpTest->worker($node, [$dbname])

The process that serves the queue of that database; waits for it, dies if there is none in time.

=head2 WawpTest->workers($node)

The names of the databases that have a worker, one after the other, in one string.

=cut

sub worker
{
	my ($class, $node, $dbname) = @_;
	my $query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND query <> '' AND datname = '"
	  . ($dbname // 'postgres') . "'";
	my $pid = poll_until(sub { $node->safe_psql('postgres', $query) }) or die "no worker\n";
	return $pid;
}

sub workers
{
	my ($class, $node) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'wawp worker'");
}

=head2 WawpTest->people($number, [$first])

That many numbers that mean somebody new to the simulator, of the form 1556000NNNN.

=cut

sub people
{
	my ($class, $number, $first) = @_;
	$first //= 0;
	return map { sprintf '1556%07d', $_ } $first .. $first + $number - 1;
}

=head2 WawpTest->most_in($seconds, @at)

Most of these times, in ascending order, that lie in any window of that length.

=cut

sub most_in
{
	my ($class, $seconds, @at) = @_;
	my ($most, $first) = (0, 0);

	foreach my $last (0 .. $#at)
	{
		$first++ while $at[$last] - $at[$first] >= $seconds;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	return $most;
}

=head1 THE PACE

By the limiter's own clock, which the ledger's C<mono> shows as well: what a permit is granted for leaves
later on a busy machine, and can arrive close to the next; see src/throttle/limiter.c.  All times here are
monotonic microseconds.  The server needs C<< log_min_messages = debug1 >>.

=head2 WawpTest->asks($node, $instance_id, [kind => 'add'], [group => 1])

What the limiter was asked for an account (or, with group, for groups with a pace of their own) and
answered, in order: hashes of at, granted (without what was given back), back, wanted, by (worker or session),
interval, burst, each.  Kinds: add, invite, check.

=head2 WawpTest->permits(@asks)

When each permit was granted, in ascending order.

=head2 WawpTest->over_pace($interval, $burst, @at)

Those of these times at which the pace was exceeded in a window that ends there.

=head2 WawpTest->forget([permits], [arrivals], @crashes)

The permits without those that had not left when the server died, which it does not know of afterwards.

=head2 WawpTest->mono

What time it is.

=cut

my %kind_of = (add => 0, invite => 1, check => 2);

sub asks
{
	my ($class, $node, $instance_id, %which) = @_;
	my $kind = $kind_of{ $which{kind} // 'add' };
	my (@asks, %last);

	open(my $log, '<', $node->logfile) or die "log: $!";
	while (my $line = <$log>)
	{
		my ($pid, $text) = $line =~ /\[(\d+)\].* wawp pace: (.*)/ or next;
		if ($text =~ /^(\d+) given back, account (\d+), group (\d+), kind (\d+), of (\d+)/)
		{
			my $ask = $last{"$pid $2 $3 $4 $5"} or next;
			$ask->{granted} -= $1;
			$ask->{back} += $1;
			next;
		}
		$text =~ /^(\d+) of (\d+) for a (\w+), account (\d+), group (\d+), kind (\d+), instance_id "(.*)", interval (\d+), burst (\d+), each (\d+), at (\d+)/
		  or die "not understood: $text\n";
		my $ask = { granted => $1, wanted => $2, by => $3, interval => $8, burst => $9, each => $10, at => $11 };
		$last{"$pid $4 $5 $6 $ask->{at}"} = $ask;
		push @asks, $ask if $7 eq $instance_id && $6 == $kind && ($5 ? 1 : 0) == ($which{group} // 0);
	}
	@asks = sort { $a->{at} <=> $b->{at} } @asks;
	return @asks;
}

sub permits { my ($class, @asks) = @_; return map { ($_->{at}) x $_->{granted} } @asks; }

sub over_pace
{
	my ($class, $interval, $burst, @at) = @_;
	my ($tat, @over) = (0);

	foreach my $at (@at)
	{
		push @over, $at if $at < $tat - $burst * $interval;
		$tat = ($at > $tat ? $at : $tat) + $interval;
	}
	return @over;
}

sub forget
{
	my ($class, $permits, $arrivals, @crashes) = @_;
	my @left = @$permits;

	foreach my $crash (sort { $a <=> $b } @crashes)
	{
		my @before = grep { $_ <= $crash } @left;
		my @after = grep { $_ > $crash } @left;
		my $arrived = grep { !@after || $_ < $after[0] } @$arrivals;
		splice @before, $arrived if $arrived < @before;
		@left = (@before, @after);
	}
	return @left;
}

sub mono { return int(1e6 * Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC())); }

=head1 NETWORKS

=head2 WawpTest->deaf_port

A socket and its port on loopback: connections are made, nothing is ever read or answered.

=head2 WawpTest->full_port

Sockets (an array reference) and a port on loopback whose queue is full: connecting takes for ever.
Nothing where the kernel refuses such connections instead.

=cut

sub deaf_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or BAIL_OUT("listen: $!");
	return ($socket, $socket->sockport);
}

sub full_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or BAIL_OUT("listen: $!");
	my @sockets = ($socket);

	# The kernel takes a few beyond the queue's length.
	while (@sockets < 20)
	{
		my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $socket->sockport, Timeout => 0.3);
		last unless $client;
		push @sockets, $client;
	}
	return $@ =~ /time/ ? (\@sockets, $socket->sockport) : ();
}

=head2 WawpTest->fake_names({ name => address, ... })

An environment (a hash reference) in which a server finds these addresses under these names; the
address "hang" makes looking up the name take five minutes.  Nothing, if that cannot be done here.  The file
named in its WAWP_TEST_NAMES_LOG gets a line "name blocked ..." with the signals of interest that
were blocked in the thread that looked a name up.

=cut

my $fake_names_source = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

static void
note(const char *name)
{
	static const struct { int number; const char *name; } signals[] = {
		{SIGHUP, "HUP"}, {SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGALRM, "ALRM"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}
	};
	FILE	   *log = fopen(getenv("WAWP_TEST_NAMES_LOG"), "a");
	sigset_t	blocked;
	size_t		i;

	if (log == NULL)
		return;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	fprintf(log, "%s blocked", name);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigismember(&blocked, signals[i].number))
			fprintf(log, " %s", signals[i].name);
	fprintf(log, "\n");
	fclose(log);
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	lookup		real = (lookup) dlsym(RTLD_NEXT, "getaddrinfo");
	FILE	   *names = node ? fopen(getenv("WAWP_TEST_NAMES"), "r") : NULL;
	char		name[256];
	char		address[256];

	while (names && fscanf(names, "%255s %255s", name, address) == 2)
	{
		if (strcmp(name, node) != 0)
			continue;
		fclose(names);
		note(name);
		if (strcmp(address, "hang") != 0)
			return real(address, service, hints, result);
		sleep(300);
		return EAI_AGAIN;
	}
	if (names)
		fclose(names);
	return real(node, service, hints, result);
}
C

sub fake_names
{
	my ($class, $names) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $output = '';

	return unless $^O eq 'linux';
	append_to_file("$dir/names.c", $fake_names_source);
	append_to_file("$dir/names", CORE::join('', map { "$_ $names->{$_}\n" } sort keys %$names));
	append_to_file("$dir/log", '');
	my $compiled = eval
	{
		IPC::Run::run([ $ENV{CC} || 'cc', '-shared', '-fPIC', '-o', "$dir/names.so", "$dir/names.c", '-ldl', '-lpthread' ],
			'>&', \$output);
	};
	note("no fake names: $output") unless $compiled;
	return unless $compiled;
	return { LD_PRELOAD => "$dir/names.so", WAWP_TEST_NAMES => "$dir/names", WAWP_TEST_NAMES_LOG => "$dir/log" };
}

=head1 CLOCKS

=head2 WawpTest->clock

A clock for servers to live by, which the test can move while they run; nothing, if that cannot be done
here.  A server goes by it that is started in its environment: C<< node(env => $clock->env) >>, and
C<< $clock->run(sub { $node->restart }) >>.  It differs from the machine's by so many seconds; the
monotonic clock is nobody's to move.

=cut

# No lock and no file is touched when a process asks for the time: PostgreSQL does so in signal handlers.
my $clock_source = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int	(*real_clock) (clockid_t, struct timespec *);
static volatile int64_t *seconds_off;

__attribute__((constructor)) static void
find_clock(void)
{
	int			file = open(getenv("WAWP_TEST_CLOCK"), O_RDONLY);

	real_clock = (int (*) (clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	seconds_off = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
	if (file < 0 || seconds_off == MAP_FAILED || real_clock == NULL)
		abort();
	close(file);
}

int
clock_gettime(clockid_t which, struct timespec *at)
{
	int			result;

	if (real_clock == NULL)		/* another library's constructor */
		find_clock();
	result = real_clock(which, at);
	if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		at->tv_sec += *seconds_off;
	return result;
}

int
gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *at)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}
C

sub clock
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $output = '';

	return unless $^O eq 'linux';
	append_to_file("$dir/clock.c", $clock_source);
	my $compiled = eval
	{
		IPC::Run::run([ $ENV{CC} || 'cc', '-shared', '-fPIC', '-o', "$dir/clock.so", "$dir/clock.c", '-ldl' ], '>&', \$output);
	};
	note("no clock: $output") unless $compiled;
	return unless $compiled;
	my $self = bless { env => { LD_PRELOAD => "$dir/clock.so", WAWP_TEST_CLOCK => "$dir/clock" } }, 'WawpTest::Clock';
	$self->move_to(time);
	return $self;
}

=head1 SIMULATORS

=head2 WawpTest->sim(%opts)

Starts a simulator and returns it.

  tls        => 1        also a TLS port, its certificate made now by a CA made now: see ca_file
  cert_name  => 'host'   the name in that certificate (localhost and 127.0.0.1 unless told;
                         another one makes the check of the name fail)
  expired    => 1        a certificate that has run out
  future     => 1        a certificate that is not valid yet
  latency    => 0.2      seconds that every answer takes; what it does to the world is done at once
  args       => [...]    more arguments of wawp_sim.py

=cut

sub sim
{
	my ($class, %opts) = @_;
	my $dir = File::Temp->newdir('simXXXXXX', TMPDIR => 1);
	my $self = bless { dir => $dir }, 'WawpTest::Sim';
	my @command = ('python3', "$top/test/simulator/wawp_sim.py", '--port', 0, '--port-file', "$dir/port",
		'--idle-exit', 3 * $timeout_default);    # should the test be killed

	push @command, '--latency', $opts{latency} if $opts{latency};
	if ($opts{tls})
	{
		_make_certificates($dir, %opts);
		push @command, '--tls-cert', "$dir/server.crt", '--tls-key', "$dir/server.key", '--tls-port', 0;
	}

	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$dir/log");
		open(STDERR, '>&', \*STDOUT);
		exec(@command, @{ $opts{args} // [] }) or POSIX::_exit(127);
	}
	push @sims, $self;

	poll_until(sub { -s "$dir/port" || !kill(0, $self->{pid}) || $self->_reap });
	BAIL_OUT('the simulator did not start: ' . slurp_file("$dir/log")) unless -s "$dir/port";
	@$self{qw(port tls_port)} = split ' ', slurp_file("$dir/port");
	return $self;
}

# A CA, and a certificate of its for the simulator, in $dir.
sub _make_certificates
{
	my ($dir, %opts) = @_;
	my $names = $opts{cert_name} ? "DNS:$opts{cert_name}" : 'DNS:localhost,IP:127.0.0.1';
	# "x509 -days" takes no number below 1 from OpenSSL 3.4 on, "ca" takes dates in all versions
	my @validity = $opts{expired} ? qw(-startdate 20200101000000Z -enddate 20200102000000Z)
	  : $opts{future} ? qw(-startdate 20450101000000Z -enddate 20450102000000Z)
	  : qw(-days 2);

	append_to_file("$dir/san", "subjectAltName = $names\nbasicConstraints = CA:FALSE\n");
	append_to_file("$dir/index", '');
	append_to_file("$dir/ca.cnf", <<CNF);
[ca]
default_ca = here
[here]
serial = $dir/serial
database = $dir/index
new_certs_dir = $dir
default_md = sha256
policy = name
[name]
commonName = supplied
CNF
	_openssl($dir, qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=wawp-test-ca),
		'-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
	_openssl($dir, qw(req -newkey rsa:2048 -nodes -subj /CN=wawp-simulator),
		'-keyout', "$dir/server.key", '-out', "$dir/server.csr");
	_openssl($dir, qw(ca -batch -notext -create_serial), '-config', "$dir/ca.cnf", '-in', "$dir/server.csr",
		'-cert', "$dir/ca.crt", '-keyfile', "$dir/ca.key", '-extfile', "$dir/san", '-out', "$dir/server.crt", @validity);
	return;
}

sub _openssl
{
	my ($dir, @arguments) = @_;
	my $output = '';

	IPC::Run::run([ 'openssl', @arguments ], '<', \undef, '>&', \$output)
	  or BAIL_OUT("openssl $arguments[0]: $output");
	return;
}

END
{
	# exit status of the test, not of the simulators
	my $status = $?;
	if ($$ == $owner) { $_->stop foreach @sims; }
	$? = $status;
}

package WawpTest::Sim;

use strict;
use warnings;

use POSIX qw(WNOHANG);

=head2 $sim->port, $sim->tls_port, $sim->url, $sim->tls_url, $sim->ca_file

=cut

sub port { return $_[0]{port}; }
sub tls_port { return $_[0]{tls_port}; }
sub url { return "http://127.0.0.1:$_[0]{port}"; }
sub tls_url { return "https://localhost:$_[0]{tls_port}"; }
sub ca_file { return "$_[0]{dir}/ca.crt"; }

=head2 $sim->ctl($method, $path, [$data])

One control request (test/simulator/README.md), as GET or POST; its answer, decoded.  Dies when the
simulator refuses.

=cut

sub ctl
{
	my ($self, $method, $path, $data) = @_;
	my %request = defined $data ? (content => JSON::PP->new->utf8->canonical->encode($data)) : ();
	$self->{http} //= HTTP::Tiny->new(timeout => $timeout_default, proxy => undef, http_proxy => undef);
	my $answer = $self->{http}->request($method, $self->url . "/_sim/$path", \%request);

	die "simulator: $method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return JSON::PP->new->utf8->allow_nonref->decode($answer->{content});
}

=head2 $sim->reset, $sim->seed($name), $sim->rule({...}, ...), $sim->unrule, $sim->world([{...}])

=cut

sub reset { return $_[0]->ctl(POST => 'reset'); }
sub seed { return $_[0]->ctl(POST => 'seed', { name => $_[1] }); }
sub rule { my ($self, @rules) = @_; return $self->ctl(POST => 'rule', \@rules); }
sub unrule { return $_[0]->ctl(POST => 'rule/clear'); }

sub world
{
	my ($self, $patch) = @_;
	return $patch ? $self->ctl(POST => 'world', $patch) : $self->ctl(GET => 'world');
}

=head2 $sim->ledger([$path_regex]), $sim->count([$path_regex]), $sim->connections

The requests received so far, oldest first, as a list of hashes; how many; what connections there are.

=cut

sub ledger
{
	my ($self, $path) = @_;
	my $all = $self->ctl(GET => 'ledger');
	return grep { !defined $path || $_->{path} =~ $path } @$all;
}

sub count { my ($self, $path) = @_; return scalar(my @found = $self->ledger($path)); }

sub connections { return $_[0]->ctl(GET => 'connections'); }

=head2 $sim->changes

Those of ledger() that change a membership or a role; what is read before and after is left out.

=cut

sub changes { return $_[0]->ledger('/participants/(add|remove)$|/admin/(promote|demote)$'); }

=head2 $sim->people([$path_regex])

Whom the requests named so far, in the order of arrival: "add 15551230500", "remove 15551230500", ...

=cut

sub people
{
	my ($self, $path) = @_;
	my @people;

	foreach my $request ($self->ledger($path))
	{
		next unless $request->{path} =~ m{/(add|remove|promote|demote)$};
		push @people, map { "$1 " . $_->{id} =~ s/@.*//r } @{ $request->{body}{participants} };
	}
	return @people;
}

=head2 $sim->arrived($path_regex, [$number])

Waits until that many (1) requests have arrived whole whose decoded path fits; dies if they do not.

=cut

sub arrived
{
	my ($self, $path, $number) = @_;
	my $query = $path =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/egr;

	$number //= 1;
	WawpTest::poll_until(sub { $self->ctl(GET => "count?path=$query")->{count} >= $number })
	  or die "simulator: fewer than $number requests to $path arrived\n";
	return 1;
}

=head2 $sim->join($group, $person), $sim->leave($group, $person, [$by])

A person follows the invite link, or goes; C<$by> is self or admin.

=cut

sub join { return $_[0]->ctl(POST => 'join', { group => $_[1], person => $_[2] }); }

sub leave
{
	my ($self, $group, $person, $by) = @_;
	return $self->ctl(POST => 'leave', { group => $group, person => $person, by => $by // 'self' });
}

=head2 $sim->stop, $sim->kill9

Ends it; kill9 so that its connections are reset.

=cut

sub stop { return $_[0]->_end('TERM'); }
sub kill9 { return $_[0]->_end('KILL'); }

sub _end
{
	my ($self, $signal) = @_;
	return unless $self->{pid};
	kill $signal, $self->{pid};
	WawpTest::poll_until(sub { $self->_reap })
	  or do { kill 'KILL', $self->{pid}; waitpid($self->{pid}, 0); };
	delete $self->{pid};
	return;
}

sub _reap { my ($self) = @_; return waitpid($self->{pid}, WNOHANG) != 0; }

package WawpTest::Clock;

use strict;
use warnings;

use Time::HiRes qw(time);

=head2 $clock->env, $clock->run(sub { ... }), $clock->now, $clock->move($seconds), $clock->move_to($epoch)

=cut

sub env { return $_[0]{env}; }

sub run
{
	my ($self, $what) = @_;
	local @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} };
	return $what->();
}

sub now { return time + $_[0]{off}; }
sub move { my ($self, $seconds) = @_; return $self->_set($self->{off} + $seconds); }
sub move_to { my ($self, $epoch) = @_; return $self->_set(int($epoch - time)); }

# Written in place, where processes have it mapped.
sub _set
{
	my ($self, $off) = @_;
	open(my $file, -e $self->{env}{WAWP_TEST_CLOCK} ? '+<' : '>', $self->{env}{WAWP_TEST_CLOCK}) or die "clock: $!";
	binmode $file;
	syswrite($file, pack('q', $off)) == 8 or die "clock: $!";
	close $file;
	$self->{off} = $off;
	return;
}

package WawpTest::Session;

use strict;
use warnings;

use Time::HiRes qw(time);

=head1 SESSIONS

=head2 $session->send($sql), $session->answer, $session->ask($sql)

send() hands over statements and returns at once, answer() waits for what they say, ask() does both.
An answer is a hash: out (rows, unaligned), err (all else psql printed, with SQLSTATEs), state (SQLSTATE
of the last error, '' if there was none), seconds (from send() to the end) and gone (true if the
connection was lost).

=head2 $session->until($sql, $expected, [$seconds])

Asks again and again until the rows are the text, or match the pattern, expected; returns the last ones.
Seconds as for poll_until().

=head2 $session->pid, $session->quit, $session->vanish

Of the server process; ends the session; kills psql in the middle of whatever it does.

=cut

sub new
{
	my ($class, $node, $dbname, %parameters) = @_;
	my $self = bless { in => '', out => '', err => '', n => 0 }, $class;
	my $connection = CORE::join ' ', $node->connstr($dbname), map { "$_='$parameters{$_}'" } sort keys %parameters;

	$self->{timer} = IPC::Run::timeout($timeout_default);
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connection, '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	$self->{pid} = $self->ask('SELECT pg_backend_pid()')->{out};
	die "no session: $self->{err}\n" unless $self->{pid} =~ /^\d+$/;
	return $self;
}

sub pid { return $_[0]{pid}; }

sub send
{
	my ($self, $sql) = @_;
	my $end = 'end of ' . ++$self->{n};

	@$self{qw(out err)} = ('', '');
	$self->{in} .= "$sql\n;\n\\echo $end\n\\warn $end\n";
	$self->{sent_at} = time;
	$self->{timer}->start;    # the limit is one answer's, not the session's
	$self->{run}->pump_nb while length $self->{in};
	return;
}

sub answer
{
	my ($self) = @_;
	my $end = qr/^end of $self->{n}\n/m;
	my $gone = 0;

	$self->{timer}->start;

	until ($self->{out} =~ $end && $self->{err} =~ $end)
	{
		$gone = !eval { $self->{run}->pump; 1 };
		die $@ if $gone && $@ !~ /process ended prematurely/;
		last if $gone;
	}
	my $seconds = time - $self->{sent_at};
	my ($out, $err) = map { s/$end//r } @$self{qw(out err)};
	my @states = $err =~ /(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}):/g;
	chomp $out;
	return { out => $out, err => $err, state => $states[-1] // '', seconds => $seconds, gone => $gone };
}

sub ask
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->answer;
}

sub until
{
	my ($self, $sql, $expected, $seconds) = @_;
	my $out;

	WawpTest::poll_until(
		sub {
			$out = $self->ask($sql)->{out};
			return ref $expected ? $out =~ $expected : $out eq $expected;
		}, $seconds);
	return $out;
}

sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish };
	return;
}

sub vanish
{
	my ($self) = @_;
	$self->{run}->kill_kill(grace => 0);
	return;
}

1;
