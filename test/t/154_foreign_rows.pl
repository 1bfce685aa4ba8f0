
# Rows that this database does not serve cost its worker nothing: it reads as many rows as without them.  With
# WAWP_FOREIGN_SECONDS it also tells what an idle worker reads and computes in that time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(sleep);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $rows = $ENV{WAWP_FOREIGN_ROWS} // 20_000;
my $node = WawpTest->node('main', sim => $sim, conf => "log_statement = none\nautovacuum = off\n");
my $wawp = WawpPeople->new($node, $sim);
my $group = $wawp->group;

# Rows that statements have read in the queue, the memberships and the notes, by whatever scan.
sub rows_read
{
	# what this session has read before is counted now, not later
	$wawp->ask('SELECT pg_stat_force_next_flush()');
	return $wawp->ask(q{SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
		WHERE schemaname = 'wawp' AND relname IN ('membership_intent', 'membership', 'audit_note')});
}

# Entries of their indexes that were looked at: those of rows that do not fit, too.
sub entries_read
{
	return $wawp->ask(q{SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
		WHERE schemaname = 'wawp' AND relname IN ('membership_intent', 'membership', 'audit_note')});
}

# A worker reports what it has read when it ends.
sub restart_worker
{
	my $old = WawpTest->worker($node);
	kill 'TERM', $old or die 'no worker';
	poll_until(sub { my $new = WawpTest->worker($node); return $new && $new != $old; }) or die 'no new worker';
	return;
}

# What a worker reads from its start to its end when it serves a few requests.
sub cost_of_serving
{
	restart_worker();
	my @before = (rows_read(), entries_read());
	for (1 .. 3)
	{
		my $id = $wawp->want(group => $group, who => $wawp->person);
		is($wawp->end($id), 'done added', 'served');
	}
	restart_worker();
	return (rows_read() - $before[0], entries_read() - $before[1]);
}

cost_of_serving();
my @alone = cost_of_serving();
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, home, not_before, expires_at)
	SELECT '1203630799900' || lpad((n % 500)::text, 5, '0') || '\@g.us', '1555800' || lpad(n::text, 7, '0'), 'support', gen_random_uuid(),
		CASE WHEN n % 3 = 0 THEN now() - interval '1 hour' END, CASE WHEN n % 7 = 0 THEN now() - interval '1 minute' END
	FROM generate_series(1, $rows) n");
$wawp->ask("INSERT INTO wawp.membership (instance, group_jid, contact_id, until, home)
	SELECT 'support', '$group', 1000000 + n, now() - interval '1 hour', gen_random_uuid() FROM generate_series(1, $rows) n");
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE home = '00000000-0000-0000-0000-000000000000'"), $rows, 'there are rows of another home');
my @beside = cost_of_serving();
cmp_ok($beside[$_], '<', $alone[$_] + $rows / 20, ('rows read', 'index entries looked at')[$_] . " beside them: $beside[$_], without them: $alone[$_]") foreach 0, 1;

if (my $seconds = $ENV{WAWP_FOREIGN_SECONDS})
{
	my $cpu = sub { my @stat = split ' ', slurp('/proc/' . WawpTest->worker($node) . '/stat'); return $stat[13] + $stat[14]; };
	my $blocks = q{SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables WHERE schemaname = 'wawp'};
	restart_worker();
	my @from = (rows_read(), entries_read(), $wawp->ask($blocks), $cpu->());
	sleep $seconds;
	my $ticks = $cpu->() - $from[3];
	restart_worker();
	diag(sprintf '%d foreign rows, idle for %d s: %d rows, %d entries, %d blocks read, %d ticks of CPU', $rows, $seconds,
		rows_read() - $from[0], entries_read() - $from[1], $wawp->ask($blocks) - $from[2], $ticks);
}

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/; return scalar <$file>; }

done_testing();
