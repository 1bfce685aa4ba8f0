
# Many groups at once: the heads of their lanes are claimed by one statement, by the same rules as those of one lane.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant GROUPS => 12;
use constant EACH => 4;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 40 });
WawpTest->create_server($node, 'narrow', $sim, { adds_per_minute => 0, concurrency => 3, instance_id => 'GOWS1' });
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
my $part = 0;

sub begin_part
{
	$sim->reset;
	$sim->world({ auto_groups => \1 });
	$part++;
	return;
}

# The part's n-th group (from 0), as SQL; n may be a column.
sub group_sql { my ($n) = @_; return sprintf q{'12036308%03d' || lpad((%s)::text, 7, '0') || '@g.us'}, $part, $n; }

# GROUPS x EACH people are queued in one transaction while the instance is paused; the later the more urgent.
sub queue_paused
{
	my ($instance) = @_;
	$session->ask("SELECT wawp_pause('$instance')");
	my $group = group_sql('i % ' . GROUPS);
	my $answer = $session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, priority)
		SELECT $group, '1557' || lpad(($part * 1000 + i)::text, 7, '0'), '$instance', false, i / (2 * @{[ GROUPS ]})
		FROM generate_series(0, @{[ GROUPS * EACH - 1 ]}) i");
	is($answer->{err}, '', 'queued');
	return;
}

sub of_part { return q{group_jid LIKE '12036308} . sprintf('%03d', $part) . q{%'}; }

sub queued_come_to
{
	my ($count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued' AND " . of_part(), $count), $count, $name);
}

sub all_end
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $counts = "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'done' AND attempts = 1) FROM wawp.membership_intent WHERE " . of_part();
	my $all = GROUPS * EACH;
	return is($session->until($counts, "$all|$all"), "$all|$all", $name);
}

sub requests { return scalar(my @sent = $sim->people); }

# ---- each lane in its order, and each once

foreach my $instance ('support', 'narrow')
{
	begin_part();
	queue_paused($instance);
	$session->ask("SELECT wawp_resume('$instance')");
	all_end("$instance: all at the first attempt");
	is(requests(), GROUPS * EACH, '... each asked for once');
	is($session->ask("SELECT count(*) FROM (SELECT i.id, lag(i.priority) OVER w AS before, i.priority, lag(i.id) OVER w AS id_before
			FROM wawp.audit a JOIN wawp.membership_intent i ON i.id = a.intent_id
			WHERE a.kind = 'sent' AND i." . of_part() . " WINDOW w AS (PARTITION BY i.group_jid ORDER BY a.id)) s
		WHERE before < priority OR (before = priority AND id_before > id)")->{out}, 0,
		'... in each group by priority, then in the order of asking');
}
is($session->ask("SELECT max(under_way) <= 3 FROM (SELECT (SELECT count(*) FROM wawp.audit s JOIN wawp.audit e USING (intent_id)
		WHERE s.kind = 'sent' AND e.kind = 'answered' AND s.instance = 'narrow' AND s.id <= a.id AND e.id > a.id) AS under_way
	FROM wawp.audit a WHERE a.kind = 'sent' AND a.instance = 'narrow') n")->{out}, 't', 'never more under way than the concurrency');

# ---- a lane whose head is locked, a lane that is held

begin_part();
queue_paused('support');
$session->ask("SELECT wawp_pause('support', " . group_sql(5) . ')');
$other->ask('BEGIN');
$other->ask('SELECT id FROM wawp.membership_intent WHERE group_jid = ' . group_sql(7) . ' ORDER BY priority DESC, id LIMIT 1 FOR UPDATE');
$session->ask("SELECT wawp_resume('support')");
queued_come_to(EACH + 1, 'one is locked, a group is held: all others go');
$other->ask('COMMIT');
queued_come_to(EACH, '... the locked one afterwards');
is($session->ask('SELECT count(DISTINCT group_jid) FROM wawp.membership_intent WHERE state = \'queued\' AND ' . of_part())->{out}, 1, '... and the held group waits');
$session->ask("SELECT wawp_resume('support', " . group_sql(5) . ')');
all_end('... until it is resumed; all at the first attempt');
is(requests(), GROUPS * EACH, '... each asked for once');

done_testing();
