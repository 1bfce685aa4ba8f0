
=head1 NAME

WawpClients - a server for programs that act as an application, in test/clients and test/t

=head1 SYNOPSIS

  use WawpClients;

  my $clients = WawpClients->start;
  my $acts = $clients->acts_of([ 'python3', 'client_psycopg2.py' ]);
  is($acts->{call}[0], 'ok', $acts->{call}[1]);

=head1 CONTRACT

A cluster that listens on loopback, with wawp.notify on, the instance "support", the role "app" with USAGE on it, the role "stranger"
without, and app's table app.shift with a membership trigger.  What a program prints, and what it gets in its environment, is in
test/clients/README.md.  Everything is gone after finish().

=cut

package WawpClients;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use WawpTest;

our @EXPORT = qw(command_output);

our @ACTS = qw(call request insert bulk trigger timeout arrays rollback wait notify readonly stranger);

# The longest that a program may take, in seconds.
my $longest = $PostgreSQL::Test::Utils::timeout_default;
# Additions to this group are answered after that.
my $hanging = '120363599999999999@g.us';

sub start
{
	my ($class) = @_;
	my $sim = WawpTest->sim;

	$sim->world({ auto_groups => \1 });
	$sim->rule({ match => { path => ($hanging =~ s/@/(@|%40)/r) . '/participants/add$' }, times => undef, fault => { delay => 2 * $longest } });
	my $node = WawpTest->node('clients', sim => $sim, options => { concurrency => 8 },
		conf => "listen_addresses = '127.0.0.1'\nmax_connections = 60\nwawp.notify = on\n");
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
CREATE ROLE stranger LOGIN;
GRANT USAGE ON FOREIGN SERVER support TO app;
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE TABLE app.shift (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, group_jid text, phone text, ends_at timestamptz);
CREATE TRIGGER shift_group AFTER INSERT OR UPDATE OR DELETE ON app.shift FOR EACH ROW
	EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'until=ends_at', 'reason=shift', 'instance=support');
SQL
	return bless { node => $node, sim => $sim, number => 10 }, $class;
}

sub port { my ($self) = @_; return $self->{node}->port; }

=head2 $clients->acts_of($command, [port => $port, no_listen => $why])

What a program makes of the acts: a hash reference of act => [ok, fail or none, detail].

=cut

sub acts_of
{
	my ($self, $command, %opts) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (%ENV, PGHOST => '127.0.0.1', PGPORT => $opts{port} // $self->port, WAWP_CLIENT_NUMBER => sprintf('%02d', ++$self->{number}),
		WAWP_HANGING_GROUP => $hanging, WAWP_NO_LISTEN => $opts{no_listen} // '');
	eval { IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($longest)) };
	print STDERR "---- @$command\n$out$err$@\n";
	my %acts = map { my ($act, @rest) = split /\t/; $act => \@rest } split /\n/, $out;
	return { map { $_ => $acts{$_} // [ 'fail', 'no answer: ' . ((split /\n/, "$err$@")[-1] // '') ] } @ACTS };
}

sub finish
{
	my ($self) = @_;
	$self->{node}->stop('immediate');
	$self->{sim}->stop;
	return;
}

=head2 command_output(@command)

What a command that succeeds prints; an empty string otherwise, or when there is no such command.

=cut

sub command_output
{
	my @command = @_;
	my ($out, $err) = ('', '');
	my $done = eval { IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) };
	return $done ? $out || $err : '';
}

1;
