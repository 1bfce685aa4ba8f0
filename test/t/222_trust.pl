
# What others may do to the record and to an erasure: odd texts, transactions side by side, parts of a time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, reads_per_minute => 0, adds_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);

# ---- an erasure, whatever the JSON is that the digits stand in

my $ann = $wawp->person;
my ($first, $rest) = $ann =~ /^(.)(.*)$/;
my %context = (
	"[$first, [$rest]]" => "[$first, [$rest]]",
	"[\"$first\", $rest]" => "[\"$first\", $rest]",
	"{\"$first\": $rest}" => "{\"$first\": $rest}",
	"[[$first], $rest]" => "[[$first], $rest]",
	"{\"+$ann\": [$ann, -$ann, \"$ann\"], \"x\": \"say \\\"$first $rest\\\", \\\\$ann\"}" => '{"0": [0, 0, "0"], "x": "say \"0\", \\\\0"}',
	# escapes, before and inside the number
	"[\"\\u002b$ann\", \"\\t$ann\", \"a\\n$ann\", \"\\u0001$ann\", \"\\u001f+$ann\", \"\\u0030\\u0030$ann\"]" => '["0", "\t0", "a\n0", "\u00010", "\u001f0", "0"]',
	"[\"$first\\t$rest\", \"$first\\u000b$rest\", \"$first\\\\$rest\"]" => '["0", "0", "0"]',
	"[\"x?a=%2B$ann&b=%20$ann&c=%2B$first%20$rest%20\", \"wa.me/$ann?text=$ann\"]" => '["x?a=%2B0&b=%200&c=%2B0%20", "wa.me/0?text=0"]',
	# numbers
	"[$ann.0, $first.${rest}e10, {\"a\": $ann}]" => '[0.0, 0, {"a": 0}]',
	# of somebody else
	"[9$ann, ${ann}9, \"%2B9$ann\", \"\\u00019$ann\"]" => "[9$ann, ${ann}9, \"%2B9$ann\", \"\\u00019$ann\"]",
);
my %reason = (
	(map { $_ => '+erased' } "+$first (555) 700-" . substr($ann, 7), "+$first (0)$rest", "+$first (0) $rest"),
	(map { $_ => 'erased' } "00$first - $rest", "011$ann", join('.', $ann =~ /(.{1,3})/g), join(' ', split //, $ann)),
	"call +$ann now" => 'call erased now',
	"tel:%2B$ann" => 'tel:%2Berased',
	"a%0A$ann" => 'a%0Aerased',
	"\\u0020$ann" => '\u0020erased',
	"\t$ann\t" => "\terased\t",
	"7$ann" => "7$ann",
	"${ann}7" => "${ann}7",
);
my $tomorrow = "clock_timestamp() + interval '1 day'";
my %intent = map { $_ => $wawp->want(context => "'$_'", not_before => $tomorrow) } sort keys %context;
my %for = map { $_ => $wawp->want(reason => "'$_'", not_before => $tomorrow) } sort keys %reason;
$wawp->ask('SET standard_conforming_strings = off; SET escape_string_warning = off');
my $erased = eval { $wawp->ask("SELECT wawp_erase('$ann') > 0") } // $@;
is($erased, 't', 'a person is erased');
$wawp->ask('RESET standard_conforming_strings');
is($wawp->column($intent{$_}, 'context'), $context{$_}, "... from $_") foreach sort keys %context;
is($wawp->column($for{$_}, 'reason'), $reason{$_}, "... and from $_" =~ s/[\t\n]/ /gr) foreach sort keys %reason;

# ---- one who was erased is not stored, in several transactions of one message

my ($group, $old, $dormant) = map { $wawp->group } 1 .. 3;
my $insert = "INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '$ann', 'support');";
my $notify = join ' ', map { sprintf "NOTIFY nobody, '%s';", chr(96 + $_) x 100 } 1 .. 20;
$node->safe_psql('postgres', '', extra_params => [ '-c', "BEGIN; $insert COMMIT; BEGIN; $notify $insert COMMIT; BEGIN; SAVEPOINT a; $notify $insert COMMIT" ]);
is($wawp->ask("SELECT count(*) FILTER (WHERE jid = '$ann\@c.us'), count(*) FILTER (WHERE outcome = 'suppressed') FROM wawp.membership_intent WHERE group_jid = '$group'"),
	'0|3', 'an erased person is known in each transaction of a message');

# ---- rows that other transactions commit after the erasure

my ($ben, $eve) = ($wawp->person, $wawp->person);
is($wawp->end($wawp->want(who => $ben)), 'done added', 'somebody is a member');
my ($writer, $later, $reader) = map { WawpTest->session($node) } 1 .. 3;
$_->ask('BEGIN') foreach $writer, $reader;
$reader->ask('SELECT count(*) FROM wawp.membership_intent');
$later->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
my $plan = $writer->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason, not_before) VALUES ('$group', '$ben', 'support', 'for +$ben', $tomorrow) RETURNING id")->{out};
my $others = $writer->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$eve'], 'support', 'instead of $ben', not_before => $tomorrow, context => '{\"tel\": \"\\u0001$ben\"}')")->{out};
my $removal = $writer->ask("SELECT id FROM wawp_request_remove('$group', ARRAY['$ben'], 'support', 'so says $ben')")->{out};
$writer->ask("SELECT wawp_pause('support', '$old', 'ask $ben')");
is($wawp->ask("SELECT wawp_erase('$ben') > 0"), 't', 'somebody is erased while others write about them');
my $since = $later->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '$ben', 'support') RETURNING jid, state, outcome")->{out};
is($since, 'erased|failed|suppressed', 'who has an older snapshot, and writes later, stores nothing of them');
$later->ask('COMMIT');
is($wawp->until('SELECT cardinality(writers) > 0 FROM wawp.erasure', 't'), 't', 'the worker waits for those who write');
is($wawp->end($wawp->want), 'done added', '... and serves others');
$writer->ask('COMMIT');
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... until they have ended, but for no reader');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE membership_intent::text ~ '$ben'"), 0, 'nothing is left of the person in what was committed after the erasure');
is($wawp->column($plan, "concat_ws('|', jid ~ '^contact:', state, reason)"), 't|cancelled|for erased', '... it is cancelled');
is($wawp->column($others, "concat_ws('|', jid, state, reason, context)"), "$eve\@c.us|queued|instead of erased|{\"tel\": \"\\u00010\"}", '... and only what names them');
like($wawp->column($removal, "concat_ws('|', jid, state)"), qr/^(contact:\d+\|cancelled|erased\|failed)$/, '... a removal, too');
is($wawp->requests($group), 0, '... which has not left');
is($wawp->until("SELECT count(*) FROM wawp.audit_note", 0), 0, 'all is in the log');
is($wawp->ask("SELECT (SELECT count(*) FROM wawp.audit_log l WHERE l::text ~ '$ben') + (SELECT count(*) FROM wawp.hold h WHERE h::text ~ '$ben') + (SELECT count(*) FROM wawp.contact c WHERE c::text ~ '$ben')"), 0, '... nor there');
is($wawp->ask("SELECT wawp_erase('$ben')"), 0, '... and a repetition finds nothing');
$reader->ask('COMMIT');

# ---- what was written to the opt-out list since a transaction's snapshot

foreach my $mode ('READ COMMITTED', 'REPEATABLE READ')
{
	my ($opted_out, $forgotten, $free) = map { $wawp->person } 1 .. 3;
	$wawp->ask("SELECT wawp_note_contact('$forgotten')");
	$later->ask("BEGIN ISOLATION LEVEL $mode; SELECT count(*) FROM wawp.suppression");
	$wawp->ask("SELECT wawp_suppress('$opted_out', NULL, 'asked us')");
	$wawp->ask("SELECT wawp_erase('$forgotten')");
	is($later->ask("SELECT string_agg(outcome::text, ' ' ORDER BY n) FROM wawp_add_participants('$group', ARRAY['$opted_out', '$forgotten', '$free'], 'support') WITH ORDINALITY AS t (jid, outcome, code, detail, retry_at, verified, n)")->{out},
		'suppressed suppressed accepted', "$mode: a session adds nobody who has opted out or was erased since");
	$later->ask('COMMIT');
}

# ---- requests on the wire about somebody else, which name whom is erased meanwhile: the answers are recorded without them

my ($pam, $queued, $called) = map { $wawp->person } 1 .. 3;
my @on_wire = map { $wawp->group } 1 .. 3;
$wawp->ask("SELECT wawp_note_contact('$pam')");
$sim->rule({ times => undef, match => { path => 'participants/add' }, effect => 'before', fault => { gate => \1 } });
$later->ask("SET wawp.actor = 'clerk of $pam'");
$later->send("SELECT outcome FROM wawp_add_participants('$on_wire[0]', ARRAY['$called'], 'support', 'in place of $pam')");
my $instead = $wawp->ask("SELECT id FROM wawp_request_add('$on_wire[1]', ARRAY['$queued'], 'support', 'instead of $pam', batch_id => 'batch $pam')");
$writer->send("SELECT outcome FROM wawp_add_participants('$on_wire[2]', ARRAY['$pam'], 'support', 'called $pam')");
$sim->arrived("$_/participants/add") foreach @on_wire;
is($wawp->ask("SELECT wawp_erase('$pam') > 0"), 't', 'somebody is erased while three requests are on the wire');
$wawp->until('SELECT count(*) FROM wawp.erasure', 0);
$wawp->until('SELECT count(*) FROM wawp.audit_note', 0);
$sim->unrule;
is($_->answer->{out}, 'accepted', '... a session gets its answer') foreach $later, $writer;
is($wawp->end($instead), 'done added', '... and the queue, too');
my $answered = "SELECT count(*) FROM wawp.audit_log l JOIN wawp.audit_log s USING (request_id) WHERE s.kind = 'sent' AND l.kind = 'answered' AND l.requested_by IS NOT NULL AND s.erased IS NOT NULL";
is($wawp->until($answered, 3), 3, '... all are recorded');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log l WHERE l::text ~ '$pam'"), 0, '... without whom was erased');
$later->ask('RESET wawp.actor');

# ---- whatever is requested of an erased person, it does not leave: rows that were inserted past the check

foreach my $action (qw(add remove promote demote invite))
{
	my $dora = $wawp->person;
	$wawp->ask("SELECT wawp_pause('support', '$dormant')");
	my $id = $wawp->want(action => $action, group => $dormant, who => $dora, reason => "'by $dora'");
	$wawp->ask("SELECT wawp_erase('$dora')");
	$wawp->until('SELECT count(*) FROM wawp.erasure', 0);
	$wawp->ask("UPDATE wawp.membership_intent SET state = 'queued', jid = '$dora\@c.us', reason = 'by $dora', settled_at = NULL WHERE id = $id");
	$wawp->ask("SELECT wawp_resume('support', '$dormant')");
	is($wawp->until("SELECT concat_ws('|', state, outcome, jid, reason) FROM wawp.membership_intent WHERE id = $id", 'failed|suppressed|erased'), 'failed|suppressed|erased', "a claimed $action of an erased person is refused");
	is($wawp->ask("SELECT count(*) FROM wawp.audit_log l WHERE l::text ~ '$dora'"), 0, '... and recorded without them');
}
is($sim->count($dormant . '/participants/'), 0, '... nothing has left');

# ---- a privacy id with the digits of somebody else's number

my ($cal, $dan) = ($wawp->person, $wawp->person);
my $dans = $wawp->want(who => $dan, not_before => "clock_timestamp() + interval '1 day'");
$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$cal\@c.us', '$dan\@lid')");
unlike($wawp->ask("SELECT wawp_subject_export('$cal') -> 'membership_intent'"), qr/$dan\@c/, 'an export has no rows of somebody else');
is($wawp->ask("SELECT wawp_erase('$cal') > 0"), 't', 'a person is erased whose LID has the digits of somebody\'s number');
is($wawp->column($dans, "concat_ws(' ', jid, state)"), "$dan\@c.us queued", '... who is not touched');

# ---- a time in which nothing was sealed

is($wawp->until('SELECT count(*) FROM wawp.audit_note', 0), 0, 'all is in the log');
is($wawp->ask("SELECT ok, checked FROM wawp_audit_verify(since => clock_timestamp() + interval '1 hour')"), 't|0', 'of a time without records none is read');
is($wawp->ask("SELECT ok, checked FROM wawp_audit_verify(since => '2001-01-01', before => '2001-02-01')"), 't|0', '... past or to come');

# ---- a piece of a cycle that fails in the middle of a block keeps what was recorded before it sealed

$wawp->ask("ALTER SERVER support OPTIONS (ADD batch_size '50', SET concurrency '64', SET checks_per_minute '0')");
$wawp->ask(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF NEW.kind = 'answered' AND NEW.batch_id = 'refused' AND NEW.contact_id % 50 = 0 THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON wawp.audit_log FOR EACH ROW EXECUTE FUNCTION refuse()});
$sim->rule({ times => undef, match => { path => 'participants/add' }, effect => 'before', fault => { gate => \1 } });
foreach my $batch (('sound') x 20, ('refused') x 10)
{
	my $people = join "', '", map { $wawp->person } 1 .. 50;
	$wawp->ask(sprintf "SELECT count(*) FROM wawp_request_add('%s', ARRAY['$people'], 'support', verify => false, batch_id => '$batch')", $wawp->group);
}
my $count = q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id IN ('sound', 'refused') AND state =};
is($wawp->until("$count 'sending'", 1500), 1500, 'many requests are on the wire');
$sim->unrule;
$wawp->until("$count 'done'", 1000);
my $sealed = qr/^t\|\d+ records have texts that were erased$/;
like($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), $sealed, 'all are sealed while some fail');
$wawp->ask('DROP TRIGGER refuse ON wawp.audit_log');
is($wawp->until("$count 'done'", 1500), 1500, '... and when they do not fail any more');
like($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), $sealed, '... all are sealed');

done_testing();
