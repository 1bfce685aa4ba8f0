
# doc/examples: each file runs as it is, and does in the groups what it says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my ($pottery, $weaving) = map { "1203630123456789$_\@g.us" } '01', '06';
my $has_cron = WawpTest->has_extension('pg_cron');
my %examples = map { $_ => 1 } map { m{([^/]+)\.sql$} } glob "$FindBin::RealBin/../../doc/examples/*.sql";

# A cluster and a simulator of its own for each file.
sub example
{
	my ($name) = @_;
	my $sim = WawpTest->sim;
	my $node = WawpTest->node($name, sim => $sim);

	if ($has_cron)
	{
		$node->append_conf('postgresql.conf', "shared_preload_libraries = 'wawp,pg_cron'\ncron.database_name = 'postgres'\n");
		$node->restart;
		$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	}
	my ($code, $out, $err) = $node->psql('postgres', "\\i doc/examples/$name.sql");
	is($code, 0, "$name.sql runs") or diag($err);
	is($err =~ s/^.*NOTICE:.*\n?//mgr, '', '... without a warning');
	delete $examples{$name};
	return { sim => $sim, session => WawpTest->session($node), out => $out };
}

sub settle { my ($run) = @_; return is($run->{session}->until("SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL", 0), 0, '... all is settled'); }

# Those of the people, by the last four digits, who are in a group.
sub members
{
	my ($run, $group, @people) = @_;
	my $members = $run->{sim}->world->{groups}{$group}{members};
	return join ' ', grep { my $member = $members->{"1555123$_"}; $member && $member->{role} ne 'left' } @people;
}

sub scheduled { my ($run, $name) = @_; return $has_cron ? $run->{session}->ask("SELECT command FROM cron.job WHERE jobname = '$name'")->{out} : undef; }

# ---- course_cohorts.sql

my $run = example('course_cohorts');
settle($run);
is(members($run, $pottery, 7001 .. 7003), '7001 7002', '... who has paid is in the group');
is(members($run, $weaving, 7001 .. 7003), '7001', '... of that course');
$run->{session}->ask("UPDATE enrolment SET refunded_at = now() WHERE phone LIKE '%7002'; UPDATE enrolment SET paid_at = now() WHERE phone LIKE '%7003'");
my $nightly = scheduled($run, 'courses') // "SELECT wawp_sync_groups('course_member', 'group_jid', 'phone', 'support', 'course', mode => 'apply', max_remove_pct => 30)";
is($run->{session}->ask($nightly)->{state}, '', '... the nightly line runs');
settle($run);
is(members($run, $pottery, 7001 .. 7003), '7001 7003', '... and takes in refunds and payments');
is($run->{sim}->world->{groups}{$pottery}{members}{15550000002}{role}, 'member', '... who was there before stays');
is($run->{session}->ask("SELECT count(*) FROM wawp_sync_groups('course_member', 'group_jid', 'phone', 'support') WHERE action IS NOT NULL")->{out}, 0, '... all is in step');
is($run->{session}->ask("SELECT count(*) FROM wawp_sync_group('$pottery', '{}', 'support', 'end of term', 'apply', max_remove_pct => 100) WHERE action = 'remove'")->{out}, 2, '... until the course is over');
settle($run);
is(members($run, $pottery, 7001 .. 7003), '', '... and everybody whom wawp added goes');

# ---- kyc_war_room.sql

$run = example('kyc_war_room');
settle($run);
is(members($run, $pottery, 7101), '7101', '... the reviewer is in the group');
is($run->{session}->ask('SELECT action, reason, origin FROM wawp.membership_intent')->{out}, 'add|KYC case 1: documents complete|trigger public.kyc_case', '... by one request');
$run->{session}->ask("SET ROLE case_desk; UPDATE kyc_case SET status = 'closed'; RESET ROLE");
settle($run);
is(members($run, $pottery, 7101), '', '... and gone when the case is closed');
is($run->{session}->ask("SET ROLE case_desk; SELECT count(*) FROM wawp.membership_intent")->{out}, 0, '... the desk sees none of it');
is($run->{session}->ask("SET ROLE case_desk; SELECT wawp_request_add('$pottery', '{15551237109}', 'support')")->{state}, '42501', '... and can ask for nothing else');

# ---- follow_the_sun.sql

$run = example('follow_the_sun');
settle($run);
is(members($run, $_, 7201, 7202), '7202', '... the lead on duty is in the group, alone') foreach $pottery, $weaving;
is($run->{session}->ask('SELECT hand_over()')->{out}, 0, '... to hand over once more changes nothing');
$run->{session}->ask("INSERT INTO open_case (group_jid) VALUES ('120363012345678906\@g.us')");
is($run->{session}->ask(scheduled($run, 'hand over') // 'SELECT hand_over()')->{out}, 1, '... a new case gets the lead');

# ---- event_breakout.sql

$run = example('event_breakout');
is($run->{session}->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'done'", 49), 49, '... fifty guests less one join');
is($run->{session}->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'invited'", 1), 1, '... and one is invited');
my ($message) = grep { $_->{chatId} =~ /^15551230403/ } @{ $run->{sim}->world->{messages} };
like($message->{text}, qr{https://chat\.whatsapp\.com/}, '... by a link');
like($run->{out}, qr/^\d+\@g\.us\|\d+\|\d{4}-/m, '... the screen shows how many wait, and until when');
my @rooms = split /\n/, $run->{session}->ask('SELECT group_jid FROM room_table ORDER BY no')->{out};
is(@rooms, 2, '... two groups were made');
$run->{session}->ask('DELETE FROM scan');
settle($run);
my $members = $run->{sim}->world->{groups};
is((grep { /^1555124/ && $members->{ $rooms[0] }{members}{$_}{role} ne 'left' } keys %{ $members->{ $rooms[0] }{members} }), 0, '... and are empty when the event is over');

# ---- audit_review.sql

$run = example('audit_review');
like($run->{out}, qr/\|sent\|$pottery\|add\|[^|]*\|\w+\|ticket 4711$/m, '... shows what was sent and why');
like($run->{out}, qr/\|ana\@example\.com\|/, '... and the colleague who was behind it');
like($run->{out}, qr/\|function\|add\|added\|1$/m, '... by rule');
is($run->{session}->ask('SET ROLE reviewer; SELECT count(*) FROM wawp.membership')->{state}, '42501', '... to somebody who sees nothing else');

is(join(' ', sort keys %examples), '', 'no example is left out');

done_testing();
