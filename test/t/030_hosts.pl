
# Hosts that calls may reach: wawp.allowed_hosts, this machine only if listed; redirects, proxies and files in a
# home directory change nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(tls => 1, cert_name => 'inside.example');
my ($port, $tls_port) = ($sim->port, $sim->tls_port);

# An environment that would lead every request elsewhere, and credentials that nobody asked for.
my $home = PostgreSQL::Test::Utils::tempdir();
my ($closed, $closed_port) = WawpTest->deaf_port;
close $closed;
append_to_file("$home/.netrc", "machine 127.0.0.1 login stranger password netrc-password\n");
append_to_file("$home/.curlrc", "proxy = http://127.0.0.1:$closed_port\n");
chmod 0600, "$home/.netrc";
my %environment = (HOME => $home, NETRC => "$home/.netrc", CURL_HOME => $home);
$environment{$_} = "http://127.0.0.1:$closed_port" foreach qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY);

my $names = WawpTest->fake_names(
	{
		'inside.example' => '127.0.0.1',
		'inside6.example' => '::1',
		'mapped.example' => '::ffff:127.0.0.1',
		'metadata.example' => '169.254.169.254',
		'zero.example' => '0.0.0.0',
		'127.outside.example' => '203.0.113.1'
	});

my $node = WawpTest->node('main', sim => $sim, env => { %environment, %{ $names // {} } });
my $session = WawpTest->session($node);

sub allow
{
	my ($hosts) = @_;
	my $before = $session->ask('SELECT pg_conf_load_time()')->{out};

	$node->safe_psql('postgres', "ALTER SYSTEM SET wawp.allowed_hosts = $hosts");
	$node->reload;
	poll_until(sub { $session->ask('SELECT pg_conf_load_time()')->{out} ne $before }) or die 'not reloaded';
	# the session reads it when it takes its next statement
	poll_until(sub { $session->ask("SHOW wawp.allowed_hosts")->{out} eq join(', ', map { s/'//gr } split /, /, $hosts) })
	  or die 'not read: ' . $session->ask('SHOW wawp.allowed_hosts')->{out};
	return;
}

sub create
{
	my ($url) = @_;
	return $session->ask("SET log_statement = none; BEGIN;
		CREATE SERVER trial FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url '$url'); ROLLBACK;");
}

sub add
{
	my ($instance) = @_;
	return $session->ask("SELECT outcome, detail FROM wawp_add_participants('$group', ARRAY['15551230500'], '$instance')");
}

# ---- the environment is left alone

like(add('support')->{out}, qr/^accepted\|/, 'proxies of the environment are not used');
is($sim->count, 1, '... the request arrived at the API itself');
my ($request) = $sim->ledger;
ok(!exists $request->{headers}{authorization}, '... without a login from ~/.netrc');
is($request->{headers}{host}, "127.0.0.1:$port", '... for the host of base_url');
ok(!exists $request->{headers}{cookie}, '... without cookies');
is($session->ask("SELECT count(*) FROM wawp_participants('$group')")->{out}, 3, 'neither does reading');

# ---- redirects

foreach my $status (301, 302, 303, 307, 308)
{
	$sim->reset;
	$sim->rule(
		{
			match => { path => 'participants' },
			times => undef,
			answer => {
				status => $status,
				headers => { Location => $sim->url . '/v2/elsewhere?redirected=1' },
				text => 'moved'
			}
		});
	my $answer = add('support');
	isnt($answer->{out} =~ s/\|.*//sr, 'accepted', "a redirect $status is no success");
	like($answer->{out}, qr/redirect|moved/, '... and says so');
	$answer = $session->ask("SELECT * FROM wawp_participants('$group', 'support')");
	isnt($answer->{state}, '', '... an error when reading');
	is($sim->count('elsewhere'), 0, '... and is not followed');
	is($sim->count, 2, '... nor is anything repeated');
}
$sim->reset;

# An answer that asks to be remembered is not.
$sim->rule(
	{
		match => { path => 'participants$' },
		answer => {
			headers => {
				'Set-Cookie' => 'track=1; Path=/',
				'Strict-Transport-Security' => 'max-age=1000',
				'Alt-Svc' => "h2=\"127.0.0.1:$tls_port\""
			},
			json => []
		}
	});
is($session->ask("SELECT count(*) FROM wawp_participants('$group', 'support') UNION ALL
	SELECT count(*) FROM wawp_participants('$group', 'support')")->{out}, "0\n2", 'two reads');
ok(!(grep { exists $_->{headers}{cookie} || $_->{tls} } $sim->ledger), '... share no cookie and change no host');

# ---- CREATE SERVER

my @refused = (
	'https://api.example', 'https://127.0.0.1.example', 'https://xlocalhost', 'https://localhost.',
	"https://api.wawp.net\@localhost:$tls_port", 'https://localhost@api.example', 'https://localhost:x@api.example',
	'https://api.example#@localhost', 'https://api.example\\\\@localhost', 'https://127.0.0.2', 'https://[::1]',
	'https://', 'localhost', 'file:///etc/passwd', 'gopher://localhost', 'ftp://localhost/', 'dict://localhost:11211/',
	"https://localhost:$tls_port?x=1", 'https://localhost/#x', 'https:// localhost', 'https://169.254.169.254', 'https://0.0.0.0');
foreach my $url (@refused)
{
	my $answer = create($url =~ s/\\\\/\\/r);
	is($answer->{state}, '22023', "$url is refused");
	unlike($answer->{err}, qr/STATEMENT|LINE 1/, '... without the statement');
}
is(create($_)->{state}, '', "$_ is accepted") foreach ("https://localhost:$tls_port/", "https://LOCALHOST:$tls_port",
	"http://127.0.0.1:$port/prefix/", 'http://2130706433', 'http://0x7f.1');

# ---- the list itself

is($session->ask("SET wawp.allowed_hosts = 'api.example'")->{state}, '55P02', 'the list is not for a session to set');
is($session->ask("SELECT set_config('wawp.allowed_hosts', 'api.example', true)")->{state}, '55P02', '... in any way');
my ($code, undef, $stderr) = (
	$node->psql('postgres', 'SELECT 1',
		connstr => $node->connstr('postgres') . " options='-c wawp.allowed_hosts=api.example'"));
isnt($code, 0, '... or at its start');
$session->ask('CREATE ROLE somebody LOGIN');
isnt($session->ask("ALTER ROLE somebody SET wawp.allowed_hosts = 'api.example'")->{state}, '', '... or for a role to have');
isnt($session->ask("ALTER SYSTEM SET wawp.allowed_hosts = 'https://api.example/'")->{state}, '', 'it lists hosts, not URLs');

# ---- taken out of the list

$sim->reset;
like(add('support')->{out}, qr/^accepted\|/, 'while the host is listed');
allow("'api.wawp.net'");
my $answer = add('support');
is($answer->{state}, '22023', 'after it was taken out and the server reloaded, the next call is refused');
like($answer->{err}, qr/127\.0\.0\.1.*allowed_hosts/, '... and says why');
is($session->ask("SELECT * FROM wawp_participants('$group', 'support')")->{state}, '22023', '... reading as well');
is($sim->count, 1, '... although a connection is still open');
is(create("http://127.0.0.1:$port")->{state}, '22023', '... as it is at CREATE SERVER');
is(create('https://api.wawp.net')->{state}, '', '... which takes the host that is listed now');
allow("'127.0.0.1'");
like(add('support')->{out}, qr/^accepted\|/, 'listed again, it is called again');
is(create("https://localhost:$tls_port")->{state}, '22023', 'another name of the same machine is another entry');
allow("''");
is(add('support')->{state}, '22023', 'an empty list allows nobody');
is(create('https://api.wawp.net')->{state}, '22023', '... not even the standard host');

# ---- names that lead to this machine

SKIP:
{
	skip('no compiler, or not Linux: names cannot be faked', 1) unless $names;

	$sim->reset;
	allow("'127.0.0.1', 'inside.example', 'inside6.example', 'mapped.example', 'metadata.example', 'zero.example', '127.outside.example'");
	my %tls = (ca_file => $sim->ca_file, connect_timeout_ms => 30000);
	WawpTest->create_server($node, 'inside', $sim, { %tls, base_url => "https://inside.example:$tls_port" });
	WawpTest->create_server($node, $_, $sim, { %tls, base_url => "https://$_.example:$tls_port" })
	  foreach qw(inside6 mapped metadata zero);
	WawpTest->create_server($node, 'outside', $sim, { %tls, base_url => "http://127.outside.example:$port" });

	my $refusal = qr/^unreachable\|.*not allowed/;
	like(add('inside')->{out}, qr/^accepted\|/, 'a name that leads to this machine, loopback listed');
	is($sim->count, 1, '... the request arrived');
	like(add('metadata')->{out}, $refusal, 'a link-local address is never called');
	like(add('zero')->{out}, $refusal, '... nor is 0.0.0.0');
	like(add('outside')->{out}, $refusal, 'http does not leave this machine, whatever the name says');
	like($session->ask("SELECT * FROM wawp_participants('$group', 'metadata')")->{err},
		qr/08001.*DETAIL:[^\n]*not allowed/s, 'when reading, that is an error');

	allow("'inside.example', 'inside6.example', 'mapped.example'");
	like(add('inside')->{out}, $refusal, 'loopback not listed: refused, though a connection is still open');
	my $fresh = WawpTest->session($node);
	like($fresh->ask("SELECT outcome, detail FROM wawp_add_participants('$group', ARRAY['15551230500'], '$_')")->{out},
		$refusal, "... in a new session: $_")
	  foreach qw(inside inside6 mapped);
	$fresh->quit;
	is($sim->count, 1, '... no request left');
}

# ---- the default

$session->quit;
$node->stop;
$node->append_conf('postgresql.conf', "wawp.allowed_hosts = 'api.wawp.net'\n");
PostgreSQL::Test::Utils::system_or_bail('sed', '-i', '/allowed_hosts/d', $node->data_dir . '/postgresql.conf',
	$node->data_dir . '/postgresql.auto.conf');
$node->start;
is($node->safe_psql('postgres', 'SHOW wawp.allowed_hosts'), 'api.wawp.net', 'by default the API\'s host is allowed');
$session = WawpTest->session($node);
is(create('https://api.wawp.net')->{state}, '', '... it');
is(create("http://127.0.0.1:$port")->{state}, '22023', '... and no other');
is(add('support')->{state}, '22023', '... not even one that was there before');

$session->quit;
done_testing();
