
# The receiver of doc/webhooks.md, as it stands there, with an HTTP client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha256_hex hmac_sha512_hex);
use Encode qw(encode_utf8);
use HTTP::Tiny;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $SECRET = 'wawp-test-secret';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, conf => "log_statement = none\n");
$node->safe_psql('postgres', <<SQL);
ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET');
CREATE ROLE receiver LOGIN;
GRANT EXECUTE ON FUNCTION wawp_webhook(text, text, name) TO receiver;
SQL

my ($code) = slurp_file("$FindBin::RealBin/../../doc/webhooks.md") =~ /^```python\n(.*?)^```/ms;
cmp_ok(scalar(my @lines = grep { /\S/ } split /\n/, $code), '<=', 20, 'the receiver has at most 20 lines');
my $program = PostgreSQL::Test::Utils::tempdir() . '/receiver.py';
append_to_file($program, $code);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $pid = fork // die "fork: $!\n";
if ($pid == 0)
{
	@ENV{qw(PORT PGHOST PGPORT PGUSER PGDATABASE PGCLIENTENCODING)} = ($port, $node->host, $node->port, 'receiver', 'postgres', 'UTF8');
	open(STDERR, '>', "$PostgreSQL::Test::Utils::log_path/receiver.log") or die "log: $!\n";
	exec 'python3', $program or die "python3: $!\n";
}
END { kill 'KILL', $pid if $pid; }

my $http = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default, proxy => undef, http_proxy => undef);
sub send_event
{
	my ($body, $signature) = @_;
	my %headers = ('Content-Type' => 'application/json', 'X-Webhook-Hmac-Algorithm' => 'sha512');
	$headers{'X-Webhook-Hmac'} = $signature if defined $signature;
	my $answer = $http->post("http://127.0.0.1:$port/", { content => $body, headers => \%headers });
	return join ' ', $answer->{status}, $answer->{headers}{'retry-after'} // ();
}
sub signed { my ($body) = @_; return send_event($body, hmac_sha512_hex($body, $SECRET)); }

ok(poll_until(sub { my $answer = $http->get("http://127.0.0.1:$port/"); return $answer->{status} != 599; }), 'it listens');

my $odd = encode_utf8(qq({"id":"evt_1","event":"message",\r\n\t"payload":{"from":"15551230001\@c.us","fromMe":false,"timestamp":1796000000,\n"body":"\\u0000 '; DROP TABLE x; -- \$\$ \\\\ \\" ! :a \x{1F600}"}}\n));
is(signed($odd), '200', 'an event with all that quoting is for');
is($node->safe_psql('postgres', "SELECT encode(sha256(convert_to(body, 'UTF8')), 'hex') FROM wawp.webhook_event WHERE id = 'evt_1'"), Digest::SHA::sha256_hex($odd), '... is stored to the byte');
is(signed($odd), '200', '... and again');
is(send_event($odd, hmac_sha256_hex($odd, $SECRET)), '200', '... signed by the other digest');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wawp.webhook_event'), 1, '... is stored once');
is(send_event($odd, hmac_sha512_hex($odd, 'wrong')), '401', 'a wrong key');
is(send_event($odd), '401', 'no signature');
is(send_event($odd, q{$$, 'x', 'support'); DROP TABLE wawp.webhook_event; --}), '401', 'no signature at all');
is(signed('not JSON'), '200', 'what is signed and not understood');
is(signed("\xff\xfe"), '503 5', 'no UTF-8: not stored');
is(signed(qq({"id":"evt_2","event":"message","payload":{"body":") . ('x' x 1_000_000) . '"}}'), '200', 'a large one');
$node->safe_psql('postgres', 'ALTER ROLE receiver SET default_transaction_read_only = on');
is(signed('{"id":"evt_3","event":"message"}'), '503 5', 'what cannot be stored');
$node->safe_psql('postgres', 'ALTER ROLE receiver RESET default_transaction_read_only');
is(signed('{"id":"evt_3","event":"message"}'), '200', '... is, later');
ok($node->poll_query_until('postgres', q{SELECT last_inbound_at = to_timestamp(1796000000) FROM wawp.contact WHERE jid = '15551230001@c.us'}), 'the worker has applied it');
$node->stop;
is(signed('{"id":"evt_4","event":"message"}'), '503 5', 'without a server');
kill 'TERM', $pid;
waitpid $pid, 0;
$pid = 0;
my $log = slurp_file($node->logfile) . slurp_file("$PostgreSQL::Test::Utils::log_path/receiver.log");
unlike($log, qr/\Q$SECRET\E/, 'the secret is in no log');

done_testing();
