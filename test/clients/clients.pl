# Twelve acts of an application through each driver, ORM and pooler: see README.md.  Prints a table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Handle;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use WawpClients;
use WawpTest;

my @acts = @WawpClients::ACTS;
my $here = $FindBin::RealBin;
my $js = "$ENV{WAWP_SANDBOX}/js";
my $no_listen = 'LISTEN is of no use through a pool of transactions';

# Each: name, why it cannot be run here (empty: it can), the command; where it goes through a pooler, which, and why that has no LISTEN.
my @clients = (
	(map { js($_) } qw(drizzle typeorm sequelize)),
	py('sqlalchemy', 'sqlalchemy'), py('django', 'django'),
	{ name => 'jdbc', why => jdbc_missing(), command => [ 'java', '-cp', "/usr/share/java/postgresql.jar:$ENV{TESTDIR}/java", 'Jdbc' ], prepare => \&compile_jdbc },
	{ %{ js('pg') }, name => 'pgbouncer-transaction', pooler => 'pgbouncer_transaction', no_listen => $no_listen },
	(map { js($_) } qw(pg postgres knex kysely)),
	py('psycopg', 'psycopg'), py('psycopg2', 'psycopg2'),
	{ name => 'dbd-pg', why => perl_missing('DBD::Pg'), command => [ 'perl', "$here/pl/dbd_pg.pl" ] },
	{ %{ js('pg') }, name => 'pgbouncer-session', pooler => 'pgbouncer_session' },
	{ %{ py('psycopg2', 'psycopg2') }, name => 'pgpool', pooler => 'pgpool' },
);

sub js
{
	my ($name) = @_;
	my %package = (drizzle => 'drizzle-orm');
	return { name => $name, why => js_missing($package{$name} // $name), command => [ 'node', "$js/$name.js" ] };
}

# A package is not there, or needs a newer node than the one there is; nothing if it can be used.
sub js_missing
{
	my ($package) = @_;
	my $node = command_output('node', '--version') or return 'no node';
	open(my $file, '<', "$js/node_modules/$package/package.json") or return "npm has not installed $package";
	my $needs = decode_json(do { local $/; <$file> })->{engines}{node} or return '';
	my ($oldest) = $needs =~ /(\d+)/;
	my ($major) = $node =~ /(\d+)/;
	return $major < $oldest ? "node $major is older than $needs" : '';
}

sub py
{
	my ($name, $module) = @_;
	return { name => $name, why => command_output('python3', '-c', "import $module; print(1)") ? undef : "Python has no $module",
		command => [ 'python3', "$here/py/client_$name.py" ] };
}

sub perl_missing { my ($module) = @_; return command_output('perl', "-M$module", '-e', 'print 1') ? undef : "Perl has no $module"; }

sub jdbc_missing
{
	return 'no javac' unless command_output('javac', '-version');
	return -e '/usr/share/java/postgresql.jar' ? undef : 'no libpostgresql-jdbc-java';
}

sub compile_jdbc
{
	system_or_die('javac', '-d', "$ENV{TESTDIR}/java", '-cp', '/usr/share/java/postgresql.jar', "$here/java/Jdbc.java");
	return;
}

sub system_or_die { my @command = @_; system(@command) == 0 or die "@command: $?\n"; return; }

# ---- the server and the poolers in front of it

my $clients = WawpClients->start;
my (%port_of, @poolers);

sub write_file { my ($path, $text) = @_; open(my $file, '>', $path) or die "$path: $!\n"; print $file $text; close($file); return $path; }

sub start_pooler
{
	my ($name, $port, @command) = @_;
	push @poolers, IPC::Run::start(\@command, '<', \undef, '>>', "$ENV{TESTLOGDIR}/$name.log", '2>&1');
	$port_of{$name} = $port;
	poll_until(sub { command_output('psql', '-h', '127.0.0.1', '-p', $port, '-U', 'app', '-Atc', 'SELECT 1', 'postgres') }) or die "$name does not start\n";
	return;
}

sub start_pgbouncer
{
	my ($mode) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $users = write_file("$ENV{TESTDIR}/users.txt", qq{"app" ""\n"stranger" ""\n});
	my $ini = write_file("$ENV{TESTDIR}/pgbouncer_$mode.ini", <<INI);
[databases]
postgres = host=127.0.0.1 port=@{[ $clients->port ]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $users
pool_mode = $mode
default_pool_size = 4
INI
	start_pooler("pgbouncer_$mode", $port, 'pgbouncer', $ini);
	return;
}

sub start_pgpool
{
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $conf = write_file("$ENV{TESTDIR}/pgpool.conf", <<CONF);
backend_clustering_mode = 'raw'
listen_addresses = '127.0.0.1'
port = $port
socket_dir = '$ENV{TESTDIR}'
unix_socket_directories = '$ENV{TESTDIR}'
pcp_socket_dir = '$ENV{TESTDIR}'
pcp_port = @{[ PostgreSQL::Test::Cluster::get_free_port() ]}
pid_file_name = '$ENV{TESTDIR}/pgpool.pid'
logdir = '$ENV{TESTDIR}'
backend_hostname0 = '127.0.0.1'
backend_port0 = @{[ $clients->port ]}
num_init_children = 4
enable_pool_hba = off
CONF
	start_pooler('pgpool', $port, 'pgpool', '-n', '-f', $conf);
	return;
}

my %starter = (pgbouncer_transaction => sub { start_pgbouncer('transaction') }, pgbouncer_session => sub { start_pgbouncer('session') }, pgpool => \&start_pgpool);

# ---- the table

my @chosen = chosen('CLIENTS', 'client', @clients);
open(my $table, '>', $ARGV[0]) or die "$ARGV[0]: $!\n";
$table->autoflush;
my %count = (ok => 0, fail => 0, none => 0);
my @notes;
print $table '| client | ' . join(' | ', @acts) . " |\n" . '|---' x (@acts + 1) . "|\n";
foreach my $client (@chosen)
{
	my $why = $client->{why};
	if (!$why && $client->{pooler})
	{
		my $program = $client->{pooler} =~ /^pgb/ ? 'pgbouncer' : 'pgpool';
		$why = "no $program" unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
		$starter{ $client->{pooler} }->() unless $why;
	}
	$client->{prepare}->() if !$why && $client->{prepare};
	my $acts = $why ? { map { $_ => [ 'none', $why ] } @acts } : $clients->acts_of($client->{command}, port => $client->{pooler} ? $port_of{ $client->{pooler} } : undef, no_listen => $client->{no_listen});
	print $table "| $client->{name} | " . join(' | ', map { { ok => 'ok', fail => '**no**', none => '-' }->{ $acts->{$_}[0] } } @acts) . " |\n";
	$count{ $acts->{$_}[0] }++ foreach @acts;
	push @notes, $why ? "$client->{name}: skipped, $why" : map { "$client->{name}, $_: $acts->{$_}[1]" } grep { $acts->{$_}[0] ne 'ok' } @acts;
}
print $table "\n", map { "- $_\n" } @notes;
print $table "\n$count{ok} passed, $count{fail} failed, $count{none} skipped\n";
$_->signal('TERM'), eval { $_->finish } foreach @poolers;
$clients->finish;
exit($count{fail} ? 1 : 0);
