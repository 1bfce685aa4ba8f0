
# The seal of the audit log: whatever a superuser does to a record or a block is said, with the first of them; proofs
# are checked by a program that knows nothing of PostgreSQL.  Crashes are in 120, promotions in 146, restores in 144,
# upgrades in 143, retention in 173.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 8 },
	conf => "log_statement = none\nwawp.instance = 'support'\nlisten_addresses = '127.0.0.1'\n");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
$node->reload;
my $session = WawpTest->session($node);
my $caller = WawpTest->session($node, 'postgres', host => '127.0.0.1');
$sim->world({ auto_groups => \1 });

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub recorded { return ask('SELECT count(*) FROM wawp.audit_log'); }

my $verify = "SELECT ok, checked, first_bad_block, first_bad_id, problem FROM wawp_audit_verify()";

# ---- what the worker writes for sessions and for the queue is sealed as it is written

is(ask('SELECT * FROM wawp_audit_head()'), '|||', 'a log without a record has no head');
is(ask($verify), 't|0|||', '... and nothing contradicts it');
my @people = WawpTest->people(60, 0);
$session->ask("SET wawp.actor = 'caf\x{c3}\x{a9} \"7\"'");
ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY['" . join("', '", @people[0 .. 39]) . "'], reason => 'sommerkurs \x{e2}\x{82}\x{ac} 5', batch_id => 'summer')");
$caller->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$_'], reason => 'by hand')") foreach @people[40 .. 49];
ask("SELECT wawp_pause('support', '$group', 'lunch'); SELECT wawp_resume('support', '$group'); SELECT wawp_suppress('$people[59]', reason => 'asked us')");
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'done'", 40), 40, 'people are added by the queue while sessions add others');
ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY['$people[59]'])");
is($session->until("SELECT count(*) FROM wawp.audit_log WHERE kind IN ('held', 'resumed', 'policy', 'refused')", 4), 4, '... and a group is held, and somebody opts out');
my $count = recorded();
is(ask($verify), "t|$count|||", 'all records are sealed');
is(ask("SELECT count(*), bool_and(previous = coalesce(lag, decode(repeat('00', 32), 'hex'))), min(first_id), max(last_id), bool_and(first_id = coalesce(last_lag + 1, 1))
	FROM (SELECT *, lag(hash) OVER w, lag(last_id) OVER w AS last_lag FROM wawp.audit_block WINDOW w AS (ORDER BY block)) b") =~ s/^\d+\|//r,
	"t|1|$count|t", 'blocks are chained, and take each record once');
my $head = ask("SELECT encode(hash, 'hex') FROM wawp_audit_head()");
my $middle = ask('SELECT at FROM wawp.audit_block ORDER BY block OFFSET 5 LIMIT 1');
is(ask("SELECT ok, checked FROM wawp_audit_verify(since => '$middle')"), "t|" . ask("SELECT sum(last_id - first_id + 1) FROM wawp.audit_block WHERE at >= '$middle'"), 'a part can be checked');
is(ask("SELECT ok, checked FROM wawp_audit_verify(before => '$middle')"), "t|" . ask("SELECT sum(last_id - first_id + 1) FROM wawp.audit_block WHERE at < '$middle'"), '... also up to a time');
is(ask("CREATE ROLE auditor; SET ROLE auditor; SELECT 1"), 1, 'a role that is granted nothing');
is($session->ask($verify)->{state}, '42501', '... does not check');
ask('RESET ROLE; GRANT SELECT ON wawp.audit_log, wawp.audit_block TO auditor; SET ROLE auditor');
is(ask($verify), "t|$count|||", '... but one that may read the log');
ask('RESET ROLE');

# ---- proofs

my $file = "${PostgreSQL::Test::Utils::tmp_check}/proof";

# What the independent program says of a proof.
sub verdict
{
	my ($proof, @more) = @_;
	my ($out, $err);
	open my $handle, '>', $file or die $!;
	print $handle $proof;
	close $handle;
	IPC::Run::run([ 'python3', "$FindBin::RealBin/../../doc/verify.py", $file, @more ], '>', \$out, '2>', \$err);
	return $out || $err;
}

# The same after a change of the decoded proof.
sub altered { my ($proof, $change) = @_; my $read = decode_json($proof); $change->($read); return verdict(encode_json($read)); }

my $big = ask('SELECT block FROM wawp.audit_block ORDER BY last_id - first_id DESC, block LIMIT 1');
my ($first, $last) = split /\|/, ask("SELECT first_id, last_id FROM wawp.audit_block WHERE block = $big");
cmp_ok($last - $first, '>', 1, 'a block has several records');
my $with_detail = ask('SELECT min(id) FROM wawp.audit_log WHERE detail IS NOT NULL');
my $summer = ask("SELECT min(id) FROM wawp.audit_log WHERE reason ~ 'sommerkurs' AND actor IS NOT NULL");
my $by_hand = ask(q{SELECT min(id) FROM wawp.audit_log WHERE client_addr = '127.0.0.1'});
my %proof = map { $_ => ask("SELECT wawp_audit_proof($_)") } 1, $first .. $last, $with_detail, $summer, $by_hand, $count;
is(join('', map { verdict($proof{$_}) =~ /^record $_ is in block/ ? '' : "$_: " . verdict($proof{$_}) } sort { $a <=> $b } keys %proof), '', 'proofs are checked without PostgreSQL');
open my $handle, '>', "$file.headers" or die $!;
print $handle ask('SELECT json_agg(b ORDER BY block) FROM wawp.audit_block b');
close $handle;
like(verdict($proof{1}, $head, "$file.headers"), qr/before the hash that was kept/, '... up to a hash that was kept');
like(verdict($proof{1}, $head), qr/not proved: block 1 does not have, or lead to, the hash/, '... which the headers in between have to lead to');
like(verdict($proof{$count}, "\\x$head"), qr/before the hash that was kept/, '... and the last block has');
like(altered($proof{$summer}, sub { $_[0]{record}{reason} .= '!' }), qr/not proved: the record is not in the block/, 'a changed text is no proof');
like(altered($proof{$summer}, sub { $_[0]{record}{actor} = undef }), qr/not proved/, '... nor one without it');
like(altered($proof{$with_detail}, sub { $_[0]{record}{at}++ }), qr/not proved: the record is not in the block/, '... nor another time');
like(altered($proof{$first}, sub { $_[0]{record}{id}++ }), qr/not proved: the record is not in the block/, '... nor another number');
like(altered($proof{$first}, sub { $_[0]{path}[0] =~ tr/0-9/1-90/ }), qr/not proved: the record is not in the block/, '... nor another path');
is($session->ask("SELECT wawp_audit_proof(9999)")->{state}, 'P0002', 'there is no proof of what is not there');

# ---- whatever a superuser does

my ($block, $next) = ($big, $big + 1);
my $before = $first - 1;
my @cases = (
	[ 'a text is changed', "UPDATE wawp.audit_log SET reason = 'x' WHERE id = $summer", qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one that was sealed/ ],
	[ 'an outcome is changed', "UPDATE wawp.audit_log SET outcome = 'removed' WHERE id = $first", qr/^f\|$before\|$block\|$first\|record $first is not the one/ ],
	[ 'a time is changed', "UPDATE wawp.audit_log SET at = at + interval '1 microsecond' WHERE id = $first", qr/^f\|$before\|$block\|$first\|record $first is not the one/ ],
	[ 'a detail is changed', "UPDATE wawp.audit_log SET detail = detail || '{\"x\": 1}' WHERE id = $with_detail", qr/^f\|\d+\|\d+\|$with_detail\|record $with_detail is not the one/ ],
	[ 'an address gets a mask', "UPDATE wawp.audit_log SET client_addr = '127.0.0.1/8' WHERE id = $by_hand", qr/^f\|\d+\|\d+\|$by_hand\|record $by_hand is not the one/ ],
	[ 'a text moves to another column', "UPDATE wawp.audit_log SET actor = reason, reason = actor WHERE id = $summer", qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one/ ],
	[ 'a text is removed', "UPDATE wawp.audit_log SET reason = NULL WHERE id = $summer", qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one/ ],
	[ 'a salt is removed', "UPDATE wawp.audit_log SET salt = NULL WHERE id = $summer", qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one/ ],
	[ 'a digest is changed', "UPDATE wawp.audit_log SET digest = sha256('x') WHERE id = $first", qr/^f\|$before\|$block\|$first\|record $first is not the one/ ],
	[ 'a record takes another\'s place, with its digest', "UPDATE wawp.audit_log a SET (digest, salt) = (SELECT digest, salt FROM wawp.audit_log WHERE id = $last) WHERE id = $first",
		qr/^f\|$before\|$block\|$first\|record $first is not the one/ ],
	[ 'records change places', "UPDATE wawp.audit_log SET id = 0 WHERE id = $first; UPDATE wawp.audit_log SET id = $first WHERE id = $last; UPDATE wawp.audit_log SET id = $last WHERE id = 0",
		qr/^f\|$before\|$block\|$first\|record $first is not the one that was sealed: it was changed, or has another's number/ ],
	[ 'a record is deleted', "DELETE FROM wawp.audit_log WHERE id = $first", qr/^f\|$before\|$block\|$first\|record $first is missing, and wawp.audit_retention has not removed it/ ],
	[ 'the first one is deleted', 'DELETE FROM wawp.audit_log WHERE id = 1', qr/^f\|0\|1\|1\|record 1 is missing/ ],
	[ 'the last ones are deleted', "DELETE FROM wawp.audit_log WHERE id > $count - 2", qr/^f\|\d+\|\d+\|\d+\|records? @{[ $count - 1 ]} (is|to $count are) missing|record $count is missing/ ],
	[ 'one is added', "INSERT INTO wawp.audit_log (id, at, kind) VALUES ($count + 1, now(), 'sent')", qr/^f\|$count\|\|@{[ $count + 1 ]}\|record @{[ $count + 1 ]} is in no block/ ],
	[ 'one is added before all', "INSERT INTO wawp.audit_log (id, at, kind) VALUES (0, now(), 'sent')", qr/^f\|0\|\|0\|record 0 is in no block/ ],
	[ 'one is added beside its like', "INSERT INTO wawp.audit_log (id, at, kind) VALUES ($first, now() + interval '1 month', 'sent')",
		qr/^f\|\d+\|$block\|$first\|there are two records $first|^f\|$before\|$block\|$first\|record $first is not the one/ ],
	[ 'a header is changed', "UPDATE wawp.audit_block SET timeline = 7 WHERE block = $block", qr/^f\|$before\|$block\|$first\|the header of block $block was changed/ ],
	[ 'a root is changed', "UPDATE wawp.audit_block SET root = sha256('x') WHERE block = $block", qr/^f\|$before\|$block\|$first\|the header of block $block was changed/ ],
	[ 'a block takes another\'s place', "DELETE FROM wawp.audit_block WHERE block = $next; UPDATE wawp.audit_block SET block = $next WHERE block = $block", qr/^f\|$before\|/ ],
	[ 'a block is deleted', "DELETE FROM wawp.audit_block WHERE block = $block", qr/^f\|$before\|$block\|\|block $block is missing/ ],
	[ 'the last block is deleted', "DELETE FROM wawp.audit_block WHERE block = (SELECT max(block) FROM wawp.audit_block)", qr/^f\|\d+\|\|\d+\|record \d+ is in no block: its block was removed/ ],
	[ 'all blocks are deleted', 'DELETE FROM wawp.audit_block', qr/^f\|0\|\|1\|record 1 is in no block: its block was removed/ ],
	[ 'a partition is dropped', "DROP TABLE wawp.audit_log_@{[ ask(q{SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')}) ]}", qr/^f\|0\|1\|1\|records 1 to \d+ are missing, .* or their partition dropped or detached/ ],
	[ 'a text is erased as it should be', "UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{reason,actor}'), reason = NULL, actor = NULL, salt = NULL WHERE id = $summer",
		qr/^t\|$count\|\|\|1 records have texts that were erased$/ ],
	[ 'another of its texts later', "UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{reason}'), reason = NULL, salt = NULL WHERE id = $summer;
		UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{actor,batch_id}'), actor = NULL, batch_id = NULL, salt = NULL WHERE id = $summer",
		qr/^t\|$count\|\|\|1 records have texts that were erased$/ ],
	[ 'all details', "UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{detail}'), detail = NULL, salt = NULL WHERE detail IS NOT NULL", qr/^t\|$count\|\|\|\d+ records have texts/ ],
	[ 'an erased text is replaced', "UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{reason}'), reason = 'another', salt = NULL WHERE id = $summer",
		qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one/ ],
	[ 'a text that was not erased is changed', "UPDATE wawp.audit_log a SET erased = wawp._audit_erased(a, '{reason}'), reason = NULL, salt = NULL, actor = 'another' WHERE id = $summer",
		qr/^f\|\d+\|\d+\|$summer\|record $summer is not the one/ ],
	[ 'nonsense is in the way', "UPDATE wawp.audit_log SET erased = '[{\"digests\": 5}]', digest = '\\x00', salt = '\\x0102' WHERE id = $first", qr/^f\|$before\|$block\|$first\|record $first is not the one/ ],
);
# What retention has removed is believed as the chain's end says it, also about a part of the time.
my $at_middle = "before => '$middle'";
my $late = ask("SELECT min(first_id) FROM wawp.audit_block WHERE at >= '$middle'");
push @cases, (
	[ 'the last block says that retention removed them', "DELETE FROM wawp.audit_log WHERE id = 1; UPDATE wawp.audit_block SET pruned_through = 1 WHERE block = (SELECT max(block) FROM wawp.audit_block)",
		qr/^f\|\d+\|\d+\|\d+\|the header of block \d+ was changed/, $at_middle ],
	[ 'a block in between says so', "DELETE FROM wawp.audit_log WHERE id = 1; UPDATE wawp.audit_block SET pruned_through = 1 WHERE block = $big", qr/^f\|0\|1\|1\|record 1 is missing/, $at_middle ],
	[ 'a block before the time says so', "DELETE FROM wawp.audit_log WHERE id = $late; UPDATE wawp.audit_block SET pruned_through = $count WHERE block = 1", qr/^f\|0\|\d+\|$late\|records? $late .*missing/, "since => '$middle'" ],
	[ 'a later block is deleted', "UPDATE wawp.audit_block SET pruned_through = 1 WHERE block = (SELECT max(block) FROM wawp.audit_block);
		DELETE FROM wawp.audit_block WHERE block = (SELECT max(block) - 1 FROM wawp.audit_block)", qr/^f\|\d+\|\d+\|(\d+)?\|(block \d+ is missing|the header of block \d+ was changed)/, $at_middle ],
);
foreach my $case (@cases)
{
	my ($name, $sql, $expected, $time) = @$case;
	ask('BEGIN; SET LOCAL session_replication_role = replica');
	ask($sql);
	like(ask($time ? $verify =~ s/\(\)/($time)/r : $verify), $expected, $name);
	ask('ROLLBACK');
}
is(ask($verify), "t|$count|||", 'none of that is left');
is($session->ask("UPDATE wawp.audit_block SET timeline = 7")->{state}, '42501', 'who does not say that triggers are to be passed by does not change a block');
$session->quit;
$caller->quit;
$node->stop;
done_testing();
