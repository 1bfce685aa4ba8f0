
# While somebody's old snapshot keeps dead rows, a lane is not searched over them for each request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant DEAD => 60_000;
use constant PORTION => 40;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 });
$sim->world({ auto_groups => \1 });
my $wawp = WawpTest->session($node);
my $old = WawpTest->session($node);
my $group = '120363178000000001@g.us';
my $people = 0;

sub out { my ($sql) = @_; my $answer = $wawp->ask($sql); is($answer->{err}, '', "no error: " . substr($sql, 0, 60)) if $answer->{err}; return $answer->{out}; }
sub reads { return out("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = 'wawp.membership_intent_lane'::regclass") =~ s/.*\|//r; }

# Queues so many people, as one batch.
sub queue
{
	my ($batch, $count) = @_;
	out("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, batch_id) SELECT '$group', '1578' || lpad((i + $people)::text, 7, '0'), 'support', false, '$batch'
		FROM generate_series(1, $count) i");
	$people += $count;
	return;
}

sub comes_to_done
{
	my ($batch, $count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$batch' AND state = 'done'", $count), $count, $name);
}

out("INSERT INTO wawp.group_settings (instance, group_jid, check_exists, capacity) VALUES ('support', '$group', false, 1000000); SELECT wawp_pause('support')");
queue('dead', DEAD);
$old->ask('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($old->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'dead'")->{out}, DEAD, DEAD . ' rows are queued, and seen by a snapshot');
out("DELETE FROM wawp.membership_intent WHERE batch_id = 'dead'; SELECT wawp_resume('support')");
queue('first', PORTION);
comes_to_done('first', PORTION, 'they are deleted; those behind them are served');

my $before = reads();
foreach my $batch ('second', 'third', 'fourth')
{
	queue($batch, PORTION);
	comes_to_done($batch, PORTION, "... the $batch portion");
}
$wawp->until('SELECT in_flight FROM wawp.worker_status', 0);
my $read = reads() - $before;
note("$read entries of the lanes' index were read for " . 3 * PORTION . ' requests');
cmp_ok($read, '<', 3 * DEAD, '... and the dead ones are not read again and again');

# ---- what sorts before is found all the same

is($wawp->until('SELECT count(*) FROM wawp.membership_intent WHERE state = $$done$$', 4 * PORTION), 4 * PORTION, 'all are done');
my $id = out("SELECT min(id) FROM wawp.membership_intent WHERE batch_id = 'fourth'");
out("UPDATE wawp.membership_intent SET state = 'failed', outcome = 'unrecognised' WHERE id = $id");
queue('fifth', PORTION);
comes_to_done('fifth', PORTION, 'one more portion');
is(out("SELECT wawp_retry($id)"), 't', 'a row before those that were claimed is queued again');
is($wawp->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done', '... and served');
out("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, priority, batch_id) VALUES ('$group', '15789999999', 'support', false, 5, 'urgent')");
comes_to_done('urgent', 1, 'so is one of a higher priority');
out("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, priority, batch_id) VALUES ('$group', '15789999998', 'support', false, -5, 'late')");
comes_to_done('late', 1, '... and one of a lower one');
is($old->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'dead'")->{out}, DEAD, 'the snapshot still sees them');

done_testing();
