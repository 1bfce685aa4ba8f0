
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
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, reads_per_minute => 0 }, conf => "log_statement = none\n");
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
);
my %intent = map { $_ => $wawp->want(context => "'$_'", not_before => "clock_timestamp() + interval '1 day'") } sort keys %context;
my $erased = eval { $wawp->ask("SELECT wawp_erase('$ann') > 0") } // $@;
is($erased, 't', 'a person is erased');
is($wawp->column($intent{$_}, 'context'), $context{$_}, "... from $_") foreach sort keys %context;

# ---- one who was erased is not stored, in several transactions of one message

my $group = $wawp->group;
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

done_testing();
