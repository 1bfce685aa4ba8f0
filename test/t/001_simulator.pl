
# The tools of the other tests: WawpTest's simulator, without a server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use HTTP::Tiny;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $sim = WawpTest->sim(tls => 1);
my $other = WawpTest->sim;

isnt($sim->port, $other->port, 'each test has a simulator of its own');
ok($sim->tls_port, 'with a TLS port when asked for');
system_or_bail('openssl', 'x509', '-in', $sim->ca_file, '-noout');
my $verified = run_log(
	[
		'sh', '-c',
		"openssl s_client -connect localhost:@{[ $sim->tls_port ]} -CAfile @{[ $sim->ca_file ]}"
		  . ' -verify_return_error -verify_hostname localhost </dev/null >/dev/null 2>&1'
	]);
ok($verified, 'its certificate stands up to its CA and its name');

my $wrong = WawpTest->sim(tls => 1, cert_name => 'elsewhere.example');
$verified = run_log(
	[
		'sh', '-c',
		"openssl s_client -connect localhost:@{[ $wrong->tls_port ]} -CAfile @{[ $wrong->ca_file ]}"
		  . ' -verify_return_error -verify_hostname localhost </dev/null >/dev/null 2>&1'
	]);
ok(!$verified, 'one with another name does not');

HTTP::Tiny->new(proxy => undef, http_proxy => undef)->get($sim->url . '/v2/anything');
is($sim->count, 1, 'a request is in the ledger');
is(($sim->ledger('anything'))[0]{path}, '/v2/anything', 'with its path');
is($other->count, 0, 'and in no other ledger');
ok(exists $sim->connections->{total}, 'connections are counted');

ok($sim->world->{groups}{'120363012345678901@g.us'}, 'the default world has the group');
$sim->reset;
is($sim->count, 0, 'reset empties the ledger');
ok(!eval { $sim->seed('no such scenario'); 1 }, 'a refused control request dies');

my $port = $other->port;
$other->stop;
ok(!IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"), 'a stopped simulator is gone');

done_testing();
