
=head1 NAME

WawpShards - two shards and a router, made by the files of doc/examples/more-machines

=head1 SYNOPSIS

  my $shards = WawpShards->new($sim, a => { support => {} }, b => { sales => {} });
  my $app = $shards->session('app');     # on the router, by password
  $app->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES (...)");
  $shards->move('support', 'b');

=head1 CONTRACT

Three clusters: a and b with wawp and these instances, a router without.  The roles app and watcher connect by
password on the shards, as postgres_fdw requires.  Each instance's account is the simulator's, by the same name.

=cut

package WawpShards;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use WawpTest;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $examples = "$top/doc/examples/more-machines";
my %password = (app => 'asks', watcher => 'looks');

# Runs one of the files, or dies.
sub _run_file
{
	my ($node, $file, %variables) = @_;
	my $set = join '', map { "\\set $_ '$variables{$_}'\n" } sort keys %variables;
	return $node->safe_psql('postgres', "SET log_statement = none;\n$set\\i $examples/$file");
}

sub _by_password
{
	my ($node) = @_;
	my $path = $node->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($path);
	unlink $path or die "$path: $!";
	append_to_file($path, "local all app,watcher scram-sha-256\n$rules");
	$node->reload;
	return;
}

sub _connection { my ($node) = @_; return { host => $node->host, port => $node->port, dbname => 'postgres' }; }

sub new
{
	my ($class, $sim, %instances) = @_;
	my $self = bless { sim => $sim }, $class;
	my $conf = "log_statement = none\nlog_min_messages = debug1\nmax_worker_processes = 16\n";
	my $no = 0;

	$sim->world({ auto_groups => \1, accounts => { map { uc $_ => { token => 'secret' } } map { keys %$_ } values %instances } });
	foreach my $name (sort keys %instances)
	{
		my $node = $self->{$name} = WawpTest->node("shard_$name", conf => $conf);
		$self->instance($name, $_, $instances{$name}{$_}) foreach sort keys %{ $instances{$name} };
		_run_file($node, 'shard.sql', no => ++$no, instance => (sort keys %{ $instances{$name} })[0],
			map { ("${_}_password" => $password{$_}) } keys %password);
		$node->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $_ TO app") foreach keys %{ $instances{$name} };
		_by_password($node);
	}
	$self->_make_router;
	$self->place($_, 'a') foreach sort keys %{ $instances{a} };
	$self->place($_, 'b') foreach sort keys %{ $instances{b} };
	$self->{router}->safe_psql('postgres', 'CALL wawp.shard_apply()');
	return $self;
}

sub _make_router
{
	my ($self) = @_;
	my $router = $self->{router} = PostgreSQL::Test::Cluster->new('router');

	$router->init;
	$router->append_conf('postgresql.conf', "shared_preload_libraries = ''\nlog_statement = none\n");
	$router->start;
	$router->safe_psql('postgres', _run_file($self->{a}, 'types.sql'));
	_run_file($router, 'router.sql', (map { my $shard = $_; my $at = _connection($self->{$shard}); map { ("${shard}_$_" => $at->{$_}) } keys %$at } qw(a b)),
		map { ("${_}_password" => $password{$_}) } keys %password);
	return;
}

=head2 $shards->a, $shards->b, $shards->router

The clusters.

=head2 $shards->instance($shard, $name, { option => value })

Makes an instance of that account there.

=head2 $shards->place($instance, $shard)

Says on the router which shard has it; wawp.shard_apply() is the caller's.

=cut

sub a { return $_[0]{a}; }
sub b { return $_[0]{b}; }
sub router { return $_[0]{router}; }

sub instance
{
	my ($self, $shard, $name, $options) = @_;
	return WawpTest->create_server($self->{$shard}, $name, $self->{sim}, { instance_id => uc $name, %{ $options // {} } });
}

sub place
{
	my ($self, $instance, $shard) = @_;
	return $self->{router}->safe_psql('postgres', "INSERT INTO wawp.shard_instance VALUES ('$instance', 'shard_$shard')");
}

=head2 $shards->session($role)

A session on the router.

=head2 $shards->plproxy

Makes the functions of plproxy.sql.

=cut

sub session { my ($self, $role) = @_; return WawpTest->session($self->{router}, 'postgres', user => $role, password => $password{$role}); }

sub plproxy
{
	my ($self) = @_;
	my %conninfo = map { my $at = _connection($self->{$_}); ($_ => join ' ', map { "$_=$at->{$_}" } sort keys %$at) } qw(a b);
	return _run_file($self->{router}, 'plproxy.sql', %conninfo, app_password => $password{app});
}

=head2 $shards->start_move($instance, $to, \$out, \$err), $shards->move($instance, $to)

move-instance: in the background, an IPC::Run harness; to its end, its exit status and what it printed.

=cut

sub start_move
{
	my ($self, $instance, $to, $out, $err) = @_;
	my $from = $to eq 'a' ? 'b' : 'a';
	return IPC::Run::start([ "$examples/move-instance", $instance, "shard_$to", map { $self->{$_}->connstr('postgres') } 'router', $from, $to ],
		'<', \undef, '>', $out, '2>', $err);
}

sub move
{
	my ($self, $instance, $to) = @_;
	my ($out, $err) = ('', '');
	my $run = $self->start_move($instance, $to, \$out, \$err);
	$run->finish;
	return ($run->result(0), "$out$err");
}

1;
