# Real forms of answers: encoded unasked, with Retry-After in all its forms, over old connections.  Reading of bodies
# is tested in test/unit/wire_test.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Compress::Zlib ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim);
my $session = WawpTest->session($node);

# ---- Content-Encoding, unasked: RFC 9110, 12.5.3

sub encoded
{
	my ($coding, $body) = @_;
	return { headers => { 'Content-Encoding' => $coding }, content_type => 'application/json',
		base64 => encode_base64($coding eq 'gzip' ? Compress::Zlib::memGzip($body) : Compress::Zlib::compress($body), '') };
}

sub answer_next
{
	my ($path, $answer) = @_;
	$sim->rule({ match => { path => $path }, times => 1, answer => $answer });
}

my $list = '[{"id":"15550000001@c.us","isAdmin":true},{"id":"15551230500@c.us"}]';
for my $coding (qw(gzip deflate))
{
	answer_next('/participants$', encoded($coding, $list));
	is($session->ask("SELECT string_agg(jid, ' ') FROM wawp_participants('$group')")->{out},
		'15550000001@c.us 15551230500@c.us', "a list that comes in $coding is read");
	answer_next('/participants/add$', encoded($coding, '{"15551230403@c.us":{"code":403}}'));
	is($session->ask("SELECT outcome FROM wawp_add_participants('$group', '{15551230403}')")->{out},
		'privacy_blocked', "so is a verdict in $coding");
}

# A small body that is large when decoded.
answer_next('/participants$', encoded('gzip', '[' . ' ' x (8 * 1024 * 1024) . ']'));
is($session->ask("SELECT count(*) FROM wawp_participants('$group')")->{state}, '54000',
	'the limit counts what was decoded');
answer_next('/participants$', { headers => { 'Content-Encoding' => 'gzip' }, text => $list, content_type => 'application/json' });
like($session->ask("SELECT count(*) FROM wawp_participants('$group')")->{state}, qr/^08/, 'a body that is not what it says it is');

# ---- Retry-After

sub waits
{
	my ($headers) = @_;
	answer_next('/participants/add$', { status => 429, headers => $headers, json => { message => 'Too Many Requests' } });
	return $session->ask("SELECT coalesce(round(extract(epoch FROM retry_at - statement_timestamp()))::text, 'not said')
		FROM wawp_add_participants('$group', '{15551230500}')")->{out};
}

# Seconds with some slack: the answer takes its time on a busy machine.
sub is_about
{
	my ($got, $expected, $name) = @_;
	ok($got ne 'not said' && $got >= $expected && $got <= $expected + $PostgreSQL::Test::Utils::timeout_default, $name)
		or diag("got $got");
}

is_about(waits({ 'Retry-After' => '3000' }), 3000, 'Retry-After in seconds');
is_about(waits({ 'Retry-After' => '2000.5' }), 2001, 'a fraction is rounded up');
is_about(waits({ 'Retry-After' => 'Sat, 01 Jan 2000 00:50:00 GMT', 'Date' => 'Sat, 01 Jan 2000 00:00:00 GMT' }), 3000,
	'a date is measured against the answer\'s own');
for my $absurd ('1796000000', '9999999', 'Fri, 31 Dec 2100 23:59:59 GMT', 'Sat, 01 Jan 2000 00:00:00 GMT', 'soon', '-1', '0')
{
	is(waits({ 'Retry-After' => $absurd }), 'not said', "Retry-After: $absurd is ignored");
}

# ---- connections end some time: a host that has moved is followed

my $read = "SELECT count(*) > 0 FROM wawp_participants('$group')";
my $connections = sub { $sim->connections->{total} };
$session->ask("SET wawp.connection_max_age = '1h'; $read");
my $before = $connections->();
$session->ask($read) for 1 .. 3;
is($connections->(), $before, 'a connection is used again');
$session->ask("SET wawp.connection_max_age = '1s'");
# libcurl counts whole seconds since the connection was made
poll_until(sub { $session->ask($read); $connections->() > $before });
ok($connections->() > $before, 'until it is as old as wawp.connection_max_age');
is($session->ask("SELECT setting || unit FROM pg_settings WHERE name = 'wawp.connection_max_age' AND boot_val = '300'")->{out}, '1s',
	'which is five minutes unless it is set');

done_testing();
