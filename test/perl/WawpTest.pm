
=head1 NAME

WawpTest - a simulator and a server with wawp, for the Perl tests in test/t

=head1 SYNOPSIS

  use WawpTest;

  my $sim = WawpTest->sim;                        # a simulator of this test's own
  my $node = WawpTest->node('main', sim => $sim); # a server with wawp and the instance "support"

  $sim->rule({ path => 'participants/add', status => 500 });
  $node->safe_psql('postgres', q{SELECT outcome FROM wawp_add_participants(...)});
  is(scalar $sim->ledger('participants/add'), 1, 'one request');

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
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(poll_until);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $owner = $$;
my @sims;

=head1 FUNCTIONS

=head2 poll_until(sub { ... }, [seconds])

Calls the sub every 20 ms until it answers true; returns that, or nothing when time is up.

=cut

sub poll_until
{
	my ($done, $timeout) = @_;
	my $end = time + ($timeout // $PostgreSQL::Test::Utils::timeout_default);

	while (1)
	{
		my $answer = $done->();
		return $answer if $answer;
		return if time > $end;
		sleep 0.02;
	}
}

=head1 SERVERS

=head2 WawpTest->node($name, %opts)

A started cluster with wawp preloaded and created in database postgres.

  sim      => $sim    also CREATE SERVER support pointing to it, and a mapping for PUBLIC
  options  => {...}   more or other options of that server
  conf     => "..."   more lines for postgresql.conf
  init     => [...]   arguments of Cluster's init (allows_streaming => 1, ...)

=cut

sub node
{
	my ($class, $name, %opts) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $opts{init} // [] });
	# Also in TEMP_CONFIG; repeated here so that a test runs against an installed wawp as well.
	$node->append_conf('postgresql.conf', <<CONF . ($opts{conf} // ''));
shared_preload_libraries = 'wawp'
wawp.allowed_hosts = 'localhost,127.0.0.1'
CONF
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION wawp');
	$class->create_server($node, 'support', $opts{sim}, $opts{options}) if $opts{sim};
	return $node;
}

=head2 WawpTest->create_server($node, $name, $sim, { option => value, ... })

=cut

sub create_server
{
	my ($class, $node, $name, $sim, $options) = @_;
	my %all = (instance_id => 'ABC123', base_url => $sim->url, %{ $options // {} });
	my $list = join ', ', map { sprintf "%s '%s'", $_, $all{$_} =~ s/'/''/gr } sort keys %all;

	# Cluster.pm logs all statements; not this one, so that a log can be searched for the token.
	$node->safe_psql('postgres', <<SQL);
SET log_statement = none;
CREATE SERVER $name FOREIGN DATA WRAPPER wawp OPTIONS ($list);
CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (access_token 'secret');
SQL
	return;
}

=head1 SIMULATORS

=head2 WawpTest->sim(%opts)

Starts a simulator and returns it.

  tls        => 1        also a TLS port, its certificate made now by a CA made now: see ca_file
  cert_name  => 'host'   the name in that certificate (localhost and 127.0.0.1 unless told;
                         another one makes the check of the name fail)
  expired    => 1        a certificate that has run out
  args       => [...]    more arguments of wawp_sim.py

=cut

sub sim
{
	my ($class, %opts) = @_;
	my $dir = File::Temp->newdir('simXXXXXX', TMPDIR => 1);
	my $self = bless { dir => $dir }, 'WawpTest::Sim';
	my @command = ('python3', "$top/test/simulator/wawp_sim.py", '--port', 0, '--port-file', "$dir/port",
		'--idle-exit', 300);    # should the test be killed

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

	poll_until(sub { -s "$dir/port" || !kill(0, $self->{pid}) || $self->_reap }, 20);
	BAIL_OUT('the simulator did not start: ' . slurp_file("$dir/log")) unless -s "$dir/port";
	@$self{qw(port tls_port)} = split ' ', slurp_file("$dir/port");
	return $self;
}

# A CA, and a certificate of its for the simulator, in $dir.
sub _make_certificates
{
	my ($dir, %opts) = @_;
	my $names = $opts{cert_name} ? "DNS:$opts{cert_name}" : 'DNS:localhost,IP:127.0.0.1';
	my @days = $opts{expired} ? ('-days', -1) : ('-days', 2);

	append_to_file("$dir/san", "subjectAltName = $names\nbasicConstraints = CA:FALSE\n");
	_openssl($dir, qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=wawp-test-ca),
		'-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");
	_openssl($dir, qw(req -newkey rsa:2048 -nodes -subj /CN=wawp-simulator),
		'-keyout', "$dir/server.key", '-out', "$dir/server.csr");
	_openssl($dir, qw(x509 -req -CAcreateserial), '-in', "$dir/server.csr", '-CA', "$dir/ca.crt",
		'-CAkey', "$dir/ca.key", '-extfile', "$dir/san", '-out', "$dir/server.crt", @days);
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
	$self->{http} //= HTTP::Tiny->new(timeout => 30, proxy => undef, http_proxy => undef);
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
	WawpTest::poll_until(sub { $self->_reap }, 5)
	  or do { kill 'KILL', $self->{pid}; waitpid($self->{pid}, 0); };
	delete $self->{pid};
	return;
}

sub _reap { my ($self) = @_; return waitpid($self->{pid}, WNOHANG) != 0; }

1;
