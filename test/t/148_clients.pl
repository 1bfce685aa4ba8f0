# What an application does, through drivers that Debian has; `make clients` runs these acts through many more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpClients;
use WawpTest;

my $programs = "$FindBin::RealBin/../clients";
my @clients = (
	{ name => 'psycopg2', is_there => command_output('python3', '-c', 'import psycopg2; print(1)'), command => [ 'python3', "$programs/py/client_psycopg2.py" ] },
	{ name => 'DBD::Pg', is_there => command_output('perl', '-MDBD::Pg', '-e', 'print 1'), command => [ 'perl', "$programs/pl/dbd_pg.pl" ] },
);
my $clients = WawpClients->start;

foreach my $client (@clients)
{
  SKIP:
	{
		skip "$client->{name} is not installed", scalar @WawpClients::ACTS unless $client->{is_there};
		my $acts = $clients->acts_of($client->{command});
		is("$acts->{$_}[0] $acts->{$_}[1]", 'ok ', "$client->{name}: $_") foreach @WawpClients::ACTS;
	}
}
$clients->finish;
done_testing();
