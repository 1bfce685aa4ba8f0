
# What an erasure has missed: the worker completes it in portions, past locks and restarts, and loses no record by it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8 }, conf => "max_prepared_transactions = 5\n");
my $wawp = WawpPeople->new($node, $sim);
my $tomorrow = "clock_timestamp() + interval '1 day'";
my $group = $wawp->group;

# A transaction in which a request for that person is written, and which is open while they are erased.
sub erase_beside
{
	my ($who) = @_;
	my $writer = WawpTest->session($node);
	$writer->ask("BEGIN; INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason, not_before) VALUES ('$group', '$who', 'support', 'for +$who', $tomorrow)");
	$wawp->ask("SELECT wawp_erase('$who')");
	$wawp->until("SELECT bool_and(writers <> '{}') FROM wawp.erasure WHERE '$who\@c.us' = ANY (jids)", 't');
	return $writer;
}
sub left_of
{
	my ($who) = @_;
	return $wawp->ask("SELECT (SELECT count(*) FROM wawp.membership_intent i WHERE i::text ~ '$who') + (SELECT count(*) FROM wawp.audit_note i WHERE i::text ~ '$who')
		+ (SELECT count(*) FROM wawp.contact i WHERE i::text ~ '$who') + (SELECT count(*) FROM wawp.audit_log i WHERE i::text ~ '$who')");
}
my $is_open = "SELECT count(*) FROM wawp.erasure WHERE '%s\@c.us' = ANY (jids)";

# ---- a lock that stops it costs no record: those of the same cycle stay, and are sealed

my ($ann, $ben) = ($wawp->person, $wawp->person);
my ($writer, $bens) = map { erase_beside($_) } $ann, $ben;
my $locker = WawpTest->session($node);
$locker->ask('BEGIN; LOCK TABLE wawp.requester_hold IN SHARE MODE');
$writer->ask('COMMIT');
is($wawp->until("SELECT max(tables) FROM wawp.erasure", 7), 7, 'an erasure is stopped by a lock, behind seven tables');
my $worker = WawpTest->worker($node);
foreach my $n (1 .. 5)
{
	# the pass is due again when the worker takes up the note: one cycle has both
	kill 'STOP', $worker;
	$wawp->ask("SELECT wawp_suppress('" . $wawp->person . "', reason => 'letter $n')");
	$wawp->ask('SELECT pg_sleep(2.5)');
	kill 'CONT', $worker;
	$wawp->until('SELECT count(*) FROM wawp.audit_note', 0);
}
my $records = "SELECT count(*) FROM wawp.audit_log WHERE kind = 'policy' AND reason LIKE 'suppressed: letter%'";
is($wawp->ask($records), 5, '... and all that is recorded meanwhile stays');
like($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), qr/^t\|/, '... sealed');

# ---- others go on meanwhile

$bens->ask('COMMIT');
is($wawp->until("SELECT bool_and(tables = 7) AND count(*) = 2 FROM wawp.erasure", 't'), 't', '... another erasure comes as far');
$locker->ask('COMMIT');
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... and both are complete when it is gone');
is(left_of($_), 0, '... without a trace') foreach $ann, $ben;
like($wawp->ask('SELECT ok, problem FROM wawp_audit_verify()'), qr/^t\|/, '... in a log that is sealed');

# ---- a contact that was stored meanwhile, under another of the person's names

my ($cay, $lid) = ($wawp->person, '900000000077777@lid');
$writer->ask("BEGIN; INSERT INTO wawp.contact (jid) VALUES ('$lid')");
$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$cay\@c.us', '$lid')");
$wawp->ask("SELECT wawp_erase('$cay')");
is($wawp->until("SELECT writers <> '{}' FROM wawp.erasure WHERE '$lid' = ANY (jids)", 't'), 't', 'a contact is stored by a transaction that is open');
$writer->ask('COMMIT');
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... is waited for');
is($wawp->ask("SELECT count(*) FROM wawp.contact WHERE jid = '$lid'"), 0, '... and is erased');

# ---- of the log only what is newer is looked at

my $cal = $wawp->person;
$writer = erase_beside($cal);
$wawp->ask("CREATE TABLE wawp.audit_log_2001 PARTITION OF wawp.audit_log (PRIMARY KEY (id)) FOR VALUES FROM ('2001-01-01') TO ('2001-02-01');
	INSERT INTO wawp.audit_log (id, at, kind, reason) VALUES (-1, '2001-01-02', 'policy', 'of $cal')");
$writer->ask("SELECT wawp_cancel((SELECT max(id) FROM wawp.membership_intent), 'so says $cal'); COMMIT");
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, 'an erasure is complete');
is($wawp->ask("SELECT string_agg(id::text, ' ') FROM wawp.audit_log l WHERE l::text ~ '$cal'"), -1, '... which has read records by their numbers, from where the log was');
$wawp->ask('DROP TABLE wawp.audit_log_2001');

# ---- it is not taken back before it is complete: the new request would be ended

my $dan = $wawp->person;
$writer = erase_beside($dan);
my $officer = WawpTest->session($node);
is($officer->ask("SELECT wawp_unsuppress('$dan')")->{state}, '55006', 'an erasure that is not complete is not taken back');
$wawp->ask("UPDATE wawp.erasure SET home = '00000000-0000-0000-0000-000000000000'");
is($wawp->ask("BEGIN; SELECT wawp_unsuppress('$dan'); ROLLBACK"), 't', '... unless it is another home\'s');
$writer->ask('COMMIT');
is($wawp->end($wawp->want), 'done added', 'somebody is served');
is($wawp->ask(sprintf $is_open, $dan), 1, '... which is not completed here');
# a number of another cluster, which would leave out all that is written here
$wawp->ask("UPDATE wawp.erasure SET since = '999999'");
$wawp->ask("SELECT wawp_take_over('support')");
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... before it is taken over');
is(left_of($dan), 0, '... and then in everything');
is($wawp->ask("SELECT wawp_unsuppress('$dan')"), 't', '... is');
is($wawp->end($wawp->want(who => $dan)), 'done added', '... and the person can be added again');

# ---- prepared transactions are waited for, also after a restart

my $eve = $wawp->person;
$writer = erase_beside($eve);
$writer->ask("PREPARE TRANSACTION 'eve'");
$_->quit foreach $writer, $locker, $bens, $officer;
$node->restart;
WawpTest->worker($node);
is($wawp->until("SELECT writers[1] LIKE '-1/%' FROM wawp.erasure", 't'), 't', 'after a restart the worker waits for the prepared transaction by its new name');
is($wawp->end($wawp->want), 'done added', '... serves others');
is($wawp->ask(sprintf $is_open, $eve), 1, '... and completes nothing yet');
$wawp->ask("COMMIT PREPARED 'eve'");
is($wawp->until('SELECT count(*) FROM wawp.erasure', 0), 0, '... until it is committed');
is(left_of($eve), 0, '... and nothing is left');

done_testing();
