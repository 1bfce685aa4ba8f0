
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

# ---- a row that another transaction commits after the erasure

my $ben = $wawp->person;
is($wawp->end($wawp->want(who => $ben)), 'done added', 'somebody is a member');
my $writer = WawpTest->session($node);
$writer->ask('BEGIN');
$writer->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, not_before) VALUES ('$group', '$ben', 'support', clock_timestamp() + interval '1 day')");
is($wawp->ask("SELECT wawp_erase('$ben') > 0"), 't', '... and is erased while another request for them is not committed');
$writer->ask('COMMIT');
my $left = "SELECT count(*) FROM wawp.membership_intent WHERE jid LIKE '%$ben%'";
is($wawp->ask($left), 1, 'what is committed after an erasure is not reached by it');
is($wawp->ask("SELECT wawp_erase('$ben')"), 1, '... but by the next');
is($wawp->ask($left), 0, '... which leaves nothing');
is($wawp->ask("SELECT wawp_erase('$ben')"), 0, '... and says so when it is repeated');

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
is($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), 't|', 'all are sealed while some fail');
$wawp->ask('DROP TRIGGER refuse ON wawp.audit_log');
is($wawp->until("$count 'done'", 1500), 1500, '... and when they do not fail any more');
is($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), 't|', '... all are sealed');

done_testing();
