
# Texts that are longer than they look, or no texts at all: what an error quotes, numbers that are long only when they are
# written out, and bytes that nobody has checked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, conf => "wawp.instance = 'support'\nlog_statement = none\n");
my $session = WawpTest->session($node);

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }

# ---- an error of a user's row quotes the row's text

ask(q{CREATE TABLE shift (g text, who text, ends text);
	CREATE TRIGGER m AFTER INSERT ON shift FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'until=ends', 'instance=support')});
is($session->ask("INSERT INTO shift VALUES ('$group', '15557230001', repeat('x', 1000000))")->{state}, '', 'an end of 1 MB that is no time: the write goes on');
is(ask("SELECT state, octet_length(detail) BETWEEN 3990 AND 4000, detail LIKE 'invalid input syntax%xxx [cut]' FROM wawp.membership_intent WHERE jid = '15557230001\@c.us'"),
	'failed|t|t', '... and what is kept of the error has a limit');

# ---- numbers

my $bomb = q{('[' || repeat('1e131000, ', 400) || '0]')::jsonb};
is(ask("SELECT pg_column_size($bomb) < 8192, octet_length($bomb\::text) > 50000000"), 't|t', 'a context that is small when it is stored, and 50 MB as text');
foreach my $sql ("SELECT wawp_request_add('$group', ARRAY['15557230002'], context => $bomb)",
	"INSERT INTO wawp.membership_intent (group_jid, jid, context) VALUES ('$group', '15557230002', $bomb)",
	"INSERT INTO wawp.membership_intent (group_jid, jid, context) VALUES ('$group', '15557230002', jsonb_build_object('a', jsonb_build_array($bomb)))")
{
	my $answer = $session->ask($sql);
	is($answer->{state}, '22001', substr($sql, 0, 30) . '...: 22001');
	like($answer->{err}, qr/"context" is too long: at most 16384 digits.*DETAIL:  Its numbers have \d+ or more.*HINT:/s, '... with the limit');
}
is(ask("SELECT count(*) FROM wawp.membership_intent WHERE jid = '15557230002\@c.us'"), 0, '... nothing is queued');
my $digits = '9' x 16000;
foreach my $context ("[$digits]", '{"price": 12.50, "lat": 1e308, "list": [1, 2, 3]}', '3', 'null', '[' . join(',', 1 .. 600) . ']')
{
	is($session->ask("SELECT created FROM wawp_request_add('$group', ARRAY['15557230003'], context => '$context', not_before => '3000-01-01')")->{state}, '', 'other numbers are accepted: ' . substr($context, 0, 30));
}
is($session->ask("UPDATE wawp.membership_intent SET context = $bomb WHERE jid = '15557230003\@c.us'")->{state}, '22001', 'an UPDATE by the owner is refused, too');

# ---- an actor whose bytes come with the connection

my $raw = WawpTest->session($node, 'postgres', options => "-c wawp.actor=caf\xe9\\\\ \xc3\xa9");
is($raw->ask('SHOW server_encoding')->{out}, 'UTF8', 'in UTF-8');
is($raw->ask("SELECT created FROM wawp_request_add('$group', ARRAY['15557230004'])")->{out}, 't', 'an actor that is no UTF-8: a request');
is($raw->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['15557230005'])")->{out}, 'accepted', '... and a call');
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE jid = '15557230004\@c.us' AND state = 'done'", 1), 1, '... served');
is($session->until("SELECT count(*) FROM wawp.audit WHERE jid = '15557230005\@c.us' AND kind = 'answered'", 1), 1, '... and recorded');
my $kept = "SELECT encode(convert_to(string_agg(DISTINCT actor, ','), 'UTF8'), 'escape') FROM (SELECT actor FROM wawp.audit WHERE jid IN ('15557230004\@c.us', '15557230005\@c.us')
	UNION ALL SELECT requested_from ->> 'actor' FROM wawp.membership_intent WHERE jid = '15557230004\@c.us') a";
is(ask($kept), 'caf? \303\251', '... with "?" for what is no text');

$_->quit foreach $session, $raw;
done_testing();
