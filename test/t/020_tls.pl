
# TLS: a connection is used only if the certificate is valid for the authority and the host's name, and nothing is
# sent before that is known.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';

my $sim = WawpTest->sim(tls => 1);
my $misnamed = WawpTest->sim(tls => 1, cert_name => 'elsewhere.example');
my $expired = WawpTest->sim(tls => 1, expired => 1);
my $future = WawpTest->sim(tls => 1, future => 1);
my $node = WawpTest->node('main', conf => "wawp.allowed_hosts = 'localhost,127.0.0.1,api.example'\n");
my $session = WawpTest->session($node);
$session->ask('CREATE ROLE ann LOGIN');
my $ann = WawpTest->session($node, 'postgres', user => 'ann');

sub server
{
	my ($name, $url, $ca_file, %more) = @_;
	my %options = (base_url => $url, %more);

	$options{ca_file} = $ca_file if $ca_file;
	WawpTest->create_server($node, $name, undef, \%options);
	$session->ask("GRANT USAGE ON FOREIGN SERVER $name TO ann");
	return;
}

sub add
{
	my ($instance, @people) = @_;
	return add_as($session, $instance, @people);
}

sub add_as
{
	my ($who, $instance, @people) = @_;
	my $list = join ',', map { "'$_'" } @people ? @people : '15551230500@c.us';

	return $who->ask("SELECT outcome, code, detail FROM wawp_add_participants('$group', ARRAY[$list], '$instance')");
}

# A server that must not be talked to: a row each and an error, with the same reason whichever TLS library
# libcurl has, and no request.  A role that may not set ca_file is not told where it is.
sub refused
{
	my ($instance, $received_by, $why, $name) = @_;
	my $answer = add_as($ann, $instance, '15551230500', '15551230501');
	my $path = qr/\.crt|CAfile/;

	unlike($answer->{out}, $path, "$name: no path of ca_file in a row");
	$answer->{out} =~ s/^(\w+\|\|)$why$/$1/gm;
	is($answer->{out}, "unreachable||\nunreachable||", '... a row for each person, with the reason');
	$answer = $ann->ask("SELECT * FROM wawp_participants('$group', '$instance')");
	is($answer->{state}, '08001', '... a reading function raises 08001');
	like($answer->{err}, qr/DETAIL:.*$why/, '... with the reason in the detail');
	unlike($answer->{err}, $path, '... and without the path');
	is($received_by->count, 0, '... and no request left');
	return;
}

# ---- who is trusted

server('trusted', $sim->tls_url, $sim->ca_file);
like(add('trusted')->{out}, qr/^accepted\|/, 'an add over TLS');
my @requests = $sim->ledger('participants/add');
is(scalar @requests, 1, '... is one request');
ok($requests[0]{tls}, '... over TLS');
server('by_address', 'https://127.0.0.1:' . $sim->tls_port, $sim->ca_file);
like(add('by_address')->{out}, qr/^accepted\|/, 'the certificate may name an address');
$sim->reset;

my $no_authority = q{the server's certificate is signed by no authority that is trusted};

server('unknown', $sim->tls_url, undef);
refused('unknown', $sim, $no_authority, 'an unknown authority');

server('other', $sim->tls_url, $misnamed->ca_file);
refused('other', $sim, $no_authority, 'another authority');

server('misnamed', $misnamed->tls_url, $misnamed->ca_file);
refused('misnamed', $misnamed, q{the server's certificate is for another host name}, 'a certificate with another name');

server('expired', $expired->tls_url, $expired->ca_file);
refused('expired', $expired, q{the server's certificate has expired}, 'a certificate that has run out');

server('unknown_and_expired', $expired->tls_url, $sim->ca_file);
refused('unknown_and_expired', $expired, $no_authority, '... of an unknown authority');

server('future', $future->tls_url, $future->ca_file);
refused('future', $future, q{the server's certificate is not valid yet}, 'a certificate that is not valid yet');

server('no_file', $sim->tls_url, '/nowhere/ca.crt');
refused('no_file', $sim, 'the file that ca_file names has no certificates that can be read', 'a ca_file that is not there');

server('plain', 'https://localhost:' . $sim->port, $sim->ca_file, connect_timeout_ms => 300);
refused('plain', $sim, qr/.*(?:SSL|TLS|timed? ?out).*/, 'a port that speaks no TLS');

my ($deaf, $deaf_port) = WawpTest->deaf_port;
server('deaf', "https://localhost:$deaf_port", $sim->ca_file, connect_timeout_ms => 400);
my $start = time;
is($session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['15551230500'], 'deaf')")->{out},
	'unreachable', 'a handshake that does not end: unreachable');
my $seconds = time - $start;
cmp_ok($seconds, '>', 0.35, '... after connect_timeout_ms');
is_soon($seconds, '... and not much later');

# ---- a session's connections do not carry trust over

like(add('trusted')->{out}, qr/^accepted\|/, 'a connection is there to be reused');
like(add('unknown')->{out}, qr/^unreachable\|/, '... but not by an instance without ca_file');
like(add('other')->{out}, qr/^unreachable\|/, '... or with another one');
$session->ask('ALTER SERVER trusted OPTIONS (DROP ca_file)');
like(add('trusted')->{out}, qr/^unreachable\|/, '... or after the ca_file was taken away');
$session->ask("ALTER SERVER trusted OPTIONS (ADD ca_file '@{[ $sim->ca_file ]}')");
like(add('trusted')->{out}, qr/^accepted\|/, '... and the refusals did no harm');
is($sim->count, 2, '... those two were all that arrived');

# ---- http

$sim->reset;
server('loopback', $sim->url, undef);
like(add('loopback')->{out}, qr/^accepted\|/, 'http to this machine is allowed');
ok(!($sim->ledger)[0]{tls}, '... and is no TLS');

foreach my $url ('http://api.example', 'http://127.0.0.1.api.example', 'http://localhost.example', 'HTTP://API.EXAMPLE')
{
	my $answer = $session->ask(
		"CREATE SERVER nowhere FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'A', base_url '$url')");
	is($answer->{state}, '22023', "$url is refused at CREATE SERVER");
}
is($session->ask("ALTER SERVER loopback OPTIONS (SET base_url 'http://api.example')")->{state},
	'22023', '... and at ALTER SERVER');

$_->quit foreach $session, $ann;
done_testing();
