
# Limits of texts: too long a text is refused where it is given, a record always fits the box in shared memory that
# carries it to the worker, and the worker reads no more of a text than its limit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8 }, conf => "wawp.instance = 'support'\nlog_statement = none\n");
my ($session, $other) = map { WawpTest->session($node) } 1 .. 2;
$sim->world({ auto_groups => \1 });
my $worker = WawpTest->worker($node);
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $longest = 4000;    # of a reason
my $people = 0;

sub new_person { return sprintf '1555720%04d', ++$people; }

# Nothing crashed: the worker is the one there was at first, and it serves.
sub all_is_well
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $who = new_person();
	is($other->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'])")->{out}, 'accepted', "$name: the next call works");
	is(WawpTest->worker($node), $worker, '... and it is the same worker');
	return is($other->ask('SELECT pg_postmaster_start_time()')->{out}, $started, '... of the same server');
}

sub records
{
	my ($where) = @_;
	return "SELECT string_agg(concat_ws(' ', kind, outcome), ', ' ORDER BY id) FROM wawp.audit WHERE $where";
}

sub too_long
{
	my ($sql, $name, $most) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->ask($sql);
	is($answer->{state}, '22001', "$name: 22001") || diag($answer->{err});
	like($answer->{err}, qr/too long: at most $most.*DETAIL:.*It has \d+ .*HINT:/s, '... with the limit, its length and a hint');
	return;
}

# ---- the two cases that overwrote the next backend's box

too_long("SET wawp.actor = '@{[ 'a' x 5973 ]}'", 'an actor of 5,973 bytes', '500 bytes');
like($session->ask("SELECT wawp_send_text('$group', 'actor too long')")->{out}, qr/\w/, '... and a message to a group is sent without it');
is($other->until(records("action IS NULL AND group_jid = '$group'"), 'sent, answered accepted', 10), 'sent, answered accepted', '... and recorded');

my $who = new_person();
my $add = "SELECT outcome FROM wawp_add_participants('$group', ARRAY['%s'], reason => repeat('x', %d))";
$sim->rule({ match => { body => $who }, fault => { delay => 3 } });
$session->ask("SET statement_timeout = '500ms'");
too_long(sprintf($add, $who, 5907), 'a reason of 5,907 bytes', '4000 bytes');
is(scalar(grep { /$who/ } $sim->people), 0, '... nothing is sent');
is($session->ask(sprintf $add, $who, $longest)->{state}, '57014', 'the longest reason, while the answer takes longer than the statement may');
my $unknown = 'sent, answered unknown_result';
is($other->until(records("jid = '$who\@c.us'"), $unknown, 10), $unknown, '... the record is there');
is($other->ask("SELECT array_agg(DISTINCT length(reason)) FROM wawp.audit WHERE jid = '$who\@c.us'")->{out}, "{$longest}", '... whole');
$session->ask('RESET statement_timeout');
all_is_well('both cases');

# ---- every text at its limit, for as many people as a request has

my @crowd = map { new_person() } 1 .. 50;
my $actor = "\xC3\xA9" x 250;
$session->ask("SET wawp.actor = '$actor'");
is($session->ask("SET application_name = '@{[ 'p' x 63 ]}'")->{state}, '', 'an actor of 500 bytes');
my $crowd = join ', ', map { "'$_'" } @crowd;
is($session->ask("SELECT outcome, count(*) FROM wawp_add_participants('$group', ARRAY[$crowd], reason => repeat(U&'\\00E9', 2000)) GROUP BY 1")->{out},
	'accepted|50', 'fifty people with every text at its limit');
is($other->until("SELECT count(*) FROM wawp.audit WHERE jid = ANY (ARRAY(SELECT unnest(ARRAY[$crowd]) || '\@c.us'))
	AND octet_length(reason) = 4000 AND octet_length(actor) = 500", 100, 10), 100, '... are recorded whole');
$session->ask('RESET wawp.actor');
$session->ask('RESET application_name');
all_is_well('texts at their limits');

# ---- at the edge of the box: what fits whole when it is sent, and is longer when it is answered

# An instance_id that long is older than its limit.
my $id = 'I' x 9000;
$sim->world({ auto_groups => \1, accounts => { $id => { token => 'secret' } } });
WawpTest->create_server($node, 'long', $sim, { instance_id => 'I' });
$session->ask("UPDATE pg_foreign_server SET srvoptions = array_replace(srvoptions, 'instance_id=I', 'instance_id=$id') WHERE srvname = 'long'");

sub edge
{
	my ($who, $length) = @_;
	return "SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], 'long', repeat('x', $length))";
}

my ($fits, $refused) = (1, $longest);
while ($refused - $fits > 1)
{
	my $length = int(($fits + $refused) / 2);
	my $answer = $session->ask(edge(new_person(), $length));
	if ($answer->{state} eq '54000') { $refused = $length; }
	elsif ($answer->{out} eq 'accepted') { $fits = $length; }
	else { BAIL_OUT("a reason of $length bytes: $answer->{state} $answer->{err}"); }
}
cmp_ok($fits, '>', 2000, "a reason of $fits bytes is the longest that fits beside such an instance_id");
$who = new_person();
my $answer = $session->ask(edge($who, $refused));
is($answer->{state}, '54000', '... one more is refused');
is(scalar(grep { /$who/ } $sim->people), 0, '... and not sent');
like($answer->{err}, qr/Nothing was sent/, '... which it says');
$session->ask("SET statement_timeout = '500ms'");
foreach my $length ($fits - 3 .. $fits)
{
	$who = new_person();
	$sim->rule({ match => { body => $who }, fault => { hang => \1 } });
	is($session->ask(edge($who, $length))->{state}, '57014', "$length bytes, cancelled");
	is($other->until(records("jid = '$who\@c.us'"), $unknown, 10), $unknown, '... is recorded');
}
my $cut = "SELECT bool_and(octet_length(reason) = $fits) FILTER (WHERE kind = 'sent'), bool_and(reason LIKE '%x [cut]') FILTER (WHERE kind = 'answered')
	FROM wawp.audit WHERE jid = '$who\@c.us'";
is($other->ask($cut)->{out}, 't|t', '... whole when it was sent, cut when it was answered');
$session->ask('RESET statement_timeout');
all_is_well('the edge of the box');

# ---- what is asked for

my $large = "repeat('x', 300000000)";
too_long("SELECT wawp_request_add('$group', ARRAY['15557210001'], reason => $large)", 'a reason of 300 MB by function', '4000 bytes');
too_long("INSERT INTO wawp.membership_intent (group_jid, jid, reason) VALUES ('$group', '15557210001', $large)", '... by INSERT', '4000 bytes');
is($other->ask("SELECT count(*) FROM wawp.membership_intent")->{out}, 0, '... nothing is queued');
$session->ask('CREATE TABLE kept AS SELECT repeat(md5(i::text), 2000000) AS reason FROM generate_series(1, 1) i');
too_long("INSERT INTO wawp.membership_intent (group_jid, jid, reason) SELECT '$group', '15557210001', reason FROM kept", '64 MB out of line', '4000 bytes');

# By trigger it is cut, and the user's write goes on.
$session->ask(q{CREATE TABLE shift (group_jid text, phone text, note text); CREATE TRIGGER shift AFTER INSERT ON shift FOR EACH ROW
	EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'reason=shift {note}', 'instance=support')});
$answer = $session->ask("INSERT INTO shift VALUES ('$group', '15557210002', repeat(U&'\\20AC', 100000))");
is($answer->{state}, '', 'a reason of 300 kB by trigger: the write goes on') || diag($answer->{err});
is($other->ask("SELECT octet_length(reason) BETWEEN 3990 AND 4000, reason LIKE U&'shift \\20AC%\\20AC [cut]' FROM wawp.membership_intent
	WHERE jid = '15557210002\@c.us'")->{out}, 't|t', '... and the reason is cut, which it says');
my $ended = sub { "SELECT outcome FROM wawp.membership_intent WHERE jid = '$_[0]\@c.us' AND settled_at IS NOT NULL" };
is($other->until($ended->('15557210002'), 'added', 30), 'added', '... the person is added');

# A row that is older than the limits: the worker reads as much as it needs.
$session->ask(q{ALTER TABLE wawp.membership_intent DISABLE TRIGGER limits});
$session->ask(q{SELECT wawp_pause('support')});
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group', '15557210003')");
is($session->ask("UPDATE wawp.membership_intent SET reason = (SELECT reason FROM kept), batch_id = repeat('b', 2000) WHERE jid = '15557210003\@c.us'")->{state}, '', 'an old row');
$session->ask(q{ALTER TABLE wawp.membership_intent ENABLE TRIGGER limits});
my $before = memory_kb($worker, 'VmHWM');
$session->ask(q{SELECT wawp_resume('support')});
is($other->until($ended->('15557210003'), 'added', 30), 'added', '... with a reason of 64 MB is served');
is($other->ask("SELECT max(length(reason)), max(length(batch_id)) FROM wawp.audit WHERE jid = '15557210003\@c.us'")->{out}, '4000|500', '... and recorded as far as a reason goes');
SKIP:
{
	skip('no /proc', 1) unless $before;
	my $growth = memory_kb($worker, 'VmHWM') - $before;
	ok($growth < 40_000, '... with little memory') || diag("$growth kB");
}
too_long("UPDATE wawp.membership_intent SET reason = $large WHERE jid = '15557210002\@c.us'", 'an UPDATE by the owner', '4000 bytes');
too_long("INSERT INTO wawp.suppression (jid, reason) VALUES ('15557210004\@c.us', $large)", 'a suppression by INSERT', '4000 bytes');
is($session->ask("INSERT INTO wawp.group_settings (instance, group_jid, overflow_group) VALUES ('support', '$group', repeat('1', 10000000))")->{state},
	'23514', 'an overflow_group that is no group');
all_is_well('long texts in the queue');

$_->quit foreach $session, $other;
done_testing();
