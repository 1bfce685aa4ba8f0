
# All that is held on a person: shown, erased from everywhere on a busy worker, and not stored again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, reads_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $SECRET = 'wawp-test-secret';
my ($ann, $ben) = ($wawp->person(privacy => 'nobody'), $wawp->person);
my $lid = '900000000070011';
my $spelled = '+1 (555) 700-' . substr($ann, 7);
my %digits = (number => $ann, LID => $lid);
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");

# An event in which a person names themselves, handed in; waits until it is applied.
my $events = 0;
sub message
{
	my ($from, $text) = @_;
	my $id = sprintf 'false_%s@c.us_3EB0%06d', $from, ++$events;
	my $body = encode_json({ id => $id, timestamp => int(time * 1000), event => 'message', session => 't1', engine => 'GOWS', me => { id => '15550000001@c.us' },
		payload => { id => $id, timestamp => int(time), from => "$from\@c.us", fromMe => \0, body => $text } });
	$wawp->ask(sprintf q{SELECT wawp_webhook($body$%s$body$, '%s', 'support')}, $body, hmac_sha512_hex($body, $SECRET));
	return $wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NULL", 0);
}

# How often the digits stand in a dump of everything, in whatever spelling.
sub held
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $dump = slurp_dump();
	foreach my $which (sort keys %digits)
	{
		my $spelling = join '[^0-9A-Za-z\n]{0,3}', split //, $digits{$which};
		my @found = $dump =~ /^(.*$spelling.*)$/mg;
		is(scalar(@found), 0, "$what: $which") or diag(map { substr($_, 0, 300) . "\n" } @found);
	}
	return;
}
sub slurp_dump
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
	# what is not a part of the extension's dump, too
	my @more = map { $wawp->ask("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM wawp.$_ t") } qw(webhook_event webhook_refusal requester_hold identity erasure);
	command_ok([ 'pg_dumpall', '--no-sync', '--file', $file, '--dbname', $node->connstr('postgres') ], 'everything is dumped');
	return join "\n", PostgreSQL::Test::Utils::slurp_file($file), @more;
}

# ---- the number is planted, by real runs

my $actor = "SET wawp.actor = 'for $spelled'; SET application_name = 'crm-$ann'";
my $other = "reason => 'covers for $spelled', context => '{\"for\": [$ann, \"$ann\@c.us\"], \"lid\": \"$lid\@lid\"}', batch_id => 'shift of $ann'";
$wawp->ask($actor);
sub mine { my (%arg) = @_; return $wawp->want(who => $ann, reason => "'they asked, tel $spelled'", context => "'{\"tel\": $ann, \"a\": \"$lid\"}'", batch_id => "'batch-$ann'", %arg); }

message($ann, 'hello');
$wawp->ask("UPDATE wawp.contact SET lid = '$lid\@lid' WHERE jid = '$ann\@c.us'");
my %intent = (invited => mine(), done => mine(group => my $joined = $wawp->group, not_before => "clock_timestamp() - interval '1 s'", invite => 'false'), planned => mine(not_before => "clock_timestamp() + interval '1 day'"));
is($wawp->comes_to($intent{invited}, qr/^invited/), 'invited invited', 'a person is invited');
like($wawp->end($intent{done}), qr/^failed/, '... cannot be added elsewhere');
my $bens = $wawp->ask("SELECT id FROM wawp_request_add('" . $wawp->group . "', ARRAY['$ben'], 'support', $other)");
is($wawp->end($bens), 'done added', 'somebody else\'s request names them');
like($wawp->ask("SELECT outcome FROM wawp_add_participants('" . $wawp->group . "', ARRAY['$ann'], 'support', 'by hand: $ann')"), qr/accepted|blocked/, 'a session adds them');
$wawp->ask("SELECT wawp_suppress('$ann', '" . $wawp->group . "', 'said $spelled'); SELECT wawp_pause('support', '" . $wawp->group . "', 'ask $ann');
	INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, invite_text) VALUES ('support', '" . $wawp->group . "', 'call $spelled', 'ask $ann, {link}');
	INSERT INTO wawp.membership (instance, group_jid, contact_id, reason) SELECT 'support', '$joined', contact_id, 'is $ann' FROM wawp.contact WHERE jid = '$ann\@c.us'");
is($wawp->until('SELECT count(*) FROM wawp.audit_note', 0), 0, 'all is in the log');
my $contact = $wawp->ask("SELECT contact_id FROM wawp.contact WHERE jid = '$ann\@c.us'");

# ---- the export has it all, and every table is one that is known

my $export = decode_json($wawp->ask("SELECT wawp_subject_export('$spelled')"));
is_deeply([ grep { !@{ $export->{$_} } } sort keys %$export ], [qw(audit_note requester_hold)], 'an export has rows of each table but two');
is_deeply($export->{jids}, [ "$ann\@c.us", "$lid\@lid" ], '... of the number and its LID');
my %nobodys = map { $_ => 1 } qw(identity opt_out_word webhook_refusal erasure erasure_key audit_block);
is_deeply([ grep { !$nobodys{$_} && !$export->{$_} } split /,/, $wawp->ask(q{SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class
	WHERE relnamespace = 'wawp'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition}) ], [], 'no table is left out');
like($wawp->until("SELECT string_agg(kind || ' ' || contact_id, ',') FROM wawp.audit_log WHERE kind = 'exported'", "exported $contact"), qr/^exported \d+$/, 'it is recorded');
$wawp->ask('CREATE ROLE app LOGIN');
my $app = WawpTest->session($node, undef, user => 'app');
is($app->ask("SELECT $_('$ann')")->{state}, '42501', "$_: for the owner and whom it grants") foreach qw(wawp_subject_export wawp_erase);

# ---- erased while a request is on the wire, and others are served

$sim->rule({ match => { body => $ann }, effect => 'before', answer => { status => 200, json => { ok => \1, participants => [ { id => "$ann\@c.us", code => 200 } ] } }, fault => { gate => \1 } });
$intent{wire} = mine(group => my $busy = $wawp->group);
is($wawp->comes_to($intent{wire}, qr/^sending/), 'sending', 'a request is on the wire');
$sim->arrived("$busy/participants/add");
$wawp->ask('RESET wawp.actor; RESET application_name');
my $officer = WawpTest->session($node);
$officer->ask('BEGIN');
$officer->ask("SELECT wawp_suppress('$ann', NULL, 'letter from $ann')");
my $changed = $officer->ask("SELECT wawp_erase('$ann', 'letter of $spelled')")->{out};
cmp_ok($changed, '>', 20, 'rows are changed');
is($wawp->end($wawp->want), 'done added', '... while it has not committed, others are served');
is($wawp->now($intent{wire}), 'sending', '... and nothing is lost yet');
$officer->ask('COMMIT');
is(join(',', map { $wawp->now($_) } @intent{qw(invited planned wire)}), 'cancelled invited,cancelled,cancelled', 'what was live is cancelled');
is($wawp->column($_, "concat_ws('|', jid, context ->> 'tel', batch_id)"), "contact:$contact|0|batch-erased", '... without the number') foreach @intent{qw(invited planned wire done)};
is($wawp->column($bens, "concat_ws('|', jid, reason, context, batch_id)"), "$ben\@c.us|covers for erased|{\"for\": [0, \"0\"], \"lid\": \"0\"}|shift of erased", 'other rows keep the rest');
$wawp->until("SELECT count(*) FROM wawp.audit_log WHERE kind = 'erased'", 1);
is($wawp->ask("SELECT concat_ws('|', contact_id, reason, requested_by IS NOT NULL, detail) FROM wawp.audit_log WHERE kind = 'erased'"), "$contact|letter of erased|t", 'the act is recorded');
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... and complete');
held('at once');
$sim->unrule;
is($wawp->until('SELECT in_flight FROM wawp.worker_status', 0), 0, 'the answer arrives');
is($wawp->until("SELECT string_agg(kind || ' ' || contact_id, ',' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $intent{wire} AND kind <> 'cancelled'", "sent $contact,answered $contact"), "sent $contact,answered $contact", '... and is recorded for nobody by name');
is($wawp->now($intent{wire}), 'cancelled', '... without follow-up');
held('after the answer');
like($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), qr{^t\|\d+ records have texts that were erased$}, 'the seal holds');

# ---- what comes later

sub refused
{
	my ($what, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($wawp->ask($sql), qr/^(failed )?suppressed (not sent: )?suppressed.*the person was erased.*wawp_unsuppress/, $what);
}
my $later = $wawp->group;
my $inserted = $wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) VALUES ('$later', '$ann', 'support', 'again $ann') RETURNING id");
refused('an INSERT', "SELECT concat_ws(' ', state, outcome, detail) FROM wawp.membership_intent WHERE id = $inserted");
refused('... a function', 'SELECT concat_ws(\' \', state, outcome, detail) FROM wawp.membership_intent WHERE id = ' . $wawp->want(group => $later, who => $ann));
refused('... a session', "SELECT outcome || ' ' || detail FROM wawp_add_participants('$later', ARRAY['$spelled'], 'support')");
$wawp->ask("CREATE TABLE people (g text, p text); CREATE TRIGGER m AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=p', 'instance=support');
	INSERT INTO people VALUES ('$later', '$ann'), ('$later', '$ben'); DELETE FROM people");
is($wawp->until("SELECT string_agg(outcome::text, ',' ORDER BY outcome) FROM wawp.membership_intent WHERE origin = 'trigger public.people'", 'added,suppressed'), 'added,suppressed', '... a trigger, which lets others pass');
is($wawp->ask("SELECT wawp_retry($inserted), wawp_note_contact('$ann'), wawp_suppress('$ann')"), 'f|f|f', 'nothing is stored of them');
is($wawp->requests($later), 1, 'one request has left, for the other');
is($wawp->until("SELECT count(*) FROM wawp.audit_log WHERE kind = 'refused' AND reason LIKE '%erased%'", 3), 3, 'each is recorded');
message($ann, 'stop');
held('later');

# ---- a restored copy obeys it, too

my $dump = PostgreSQL::Test::Utils::tempdir() . '/copy.sql';
command_ok([ 'pg_dump', '--no-sync', '--file', $dump, $node->connstr('postgres') ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], '... is restored');
like($node->safe_psql('copy', "INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$later', '$ann', 'support') RETURNING state || ' ' || detail"),
	qr/^failed suppressed: the person was erased/, '... and knows who was erased');

# ---- the end of it

is($wawp->ask("SELECT wawp_unsuppress('$ann')"), 't', 'wawp_unsuppress lifts it');
is($wawp->ask('SELECT count(*) FROM wawp.suppression'), 0, '... of number and LID');
$sim->world({ people => { $ann => { privacy => 'all' } } });
is($wawp->end($wawp->want(group => $later, who => $ann)), 'done added', '... and they can be added again');
is($wawp->ask("SELECT wawp_erase('$ann') > 0, wawp_erase('15557009999')"), 't|0', 'somebody of whom nothing is known');
is($officer->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT wawp_erase(\'15557009999\')')->{state}, '25001', 'an isolation level that would miss rows');

done_testing();
