
# Statistics of an empty queue, taken before it grew: the number of rows that the worker and the sessions read for each
# intent does not depend on the length of the queue.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my ($lanes, $depth) = (200, 100);
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 8 },
	conf => "log_statement = none\nautovacuum = off\nwawp.instance = 'support'\n");
my $asker = WawpTest->session($node);
my $session = WawpTest->session($node);
my $people = 0;
$sim->world({ auto_groups => \1 });

sub ask { my ($sql) = @_; my $answer = $asker->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub group { return sprintf '12036306660%07d@g.us', $_[0]; }

# Rows of the queue that any statement has read.
sub rows_read
{
	$_->ask('SELECT pg_stat_force_next_flush()') foreach $session, $asker;
	return ask(q{SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), seq_tup_read + coalesce(idx_tup_fetch, 0)
		FROM pg_stat_user_tables WHERE relid = 'wawp.membership_intent'::regclass}) =~ s/.*\|//r;
}

# Blocks of the queue's indexes that any statement has read.
sub blocks_read
{
	$_->ask('SELECT pg_stat_force_next_flush()') foreach $session, $asker;
	return ask(q{SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), sum(idx_blks_read + idx_blks_hit)
		FROM pg_statio_user_indexes WHERE relid = 'wawp.membership_intent'::regclass}) =~ s/.*\|//r;
}

# One intent, that is queued when its statements are planned and done at the end.
sub serve_one
{
	my $id = $session->ask(sprintf q{INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('%s', '1557%07d') RETURNING id}, group(0), ++$people)->{out};
	return $asker->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done');
}

sub fill
{
	$asker->ask(sprintf q{INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '12036306661' || to_char(i %% %d, 'FM0000000') || '@g.us',
		'1558' || to_char(i, 'FM0000000') FROM generate_series(1, %d) i}, $lanes, $lanes * $depth);
	return;
}

is(serve_one(), 'done', 'the worker serves');
ask("SELECT wawp_pause('support')");
ask('TRUNCATE wawp.membership_intent');
ask('ANALYZE wawp.membership_intent');
is(ask(q{SELECT reltuples FROM pg_class WHERE oid = 'wawp.membership_intent'::regclass}), 0, 'statistics: the queue is empty');
ask("SELECT wawp_resume('support')");
is(serve_one(), 'done', 'plans are made that fit an empty queue') for 1 .. 8;
my $sync = sprintf q{SELECT count(*) FROM wawp_sync_group('%s', '{}', 'support')}, group(2);
is($session->ask($sync)->{state}, '', '... and for groups that follow a list');

# a worker with those plans
my ($before, $requests) = (rows_read(), $sim->ctl(GET => 'count')->{count});
fill();
poll_until(sub { $sim->ctl(GET => 'count')->{count} >= $requests + 1000 });
ask("SELECT wawp_pause('support')");
is($asker->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'sending'", 0), 0, 'many are served');
$requests = $sim->ctl(GET => 'count')->{count} - $requests;
my $each = (rows_read() - $before) / $requests;
cmp_ok($requests, '>=', 1000, '... as many as were waited for');
cmp_ok($each, '<', $depth / 2, '... each for few rows read, however long the queue is');
diag(sprintf 'a queue of %d in lanes of %d: %.0f rows read for each of %d requests', $lanes * $depth, $depth, $each, $requests);

# a session with those plans, when the worker has looked at everybody it added
is($asker->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'verifying'", 0, 20), 0, 'all are looked at');
$before = rows_read();
$session->ask(sprintf q{SELECT wawp_request_add('%s', ARRAY['1559%07d'])}, group(1 + $_ % $lanes), $_) for 1 .. 50;
$session->ask(sprintf q{SELECT wawp_request_remove('%s', ARRAY['1559%07d'])}, group(1 + $_ % $lanes), $_) for 1 .. 50;
$each = (rows_read() - $before) / 100;
is(ask(q{SELECT count(*) FROM wawp.membership_intent WHERE jid LIKE '1559%' AND state = 'queued' AND action = 'remove'}), 50, 'a session asks for more');
cmp_ok($each, '<', $depth, '... reading few rows for each');
diag(sprintf 'a session: %.0f rows read for each', $each);

$before = blocks_read();
is($session->ask($sync)->{state}, '', 'a group is compared with a list') for 1 .. 5;
$each = (blocks_read() - $before) / 5;
cmp_ok($each, '<', 50, '... reading its own wishes only');
diag(sprintf '%.0f blocks read for each', $each);

$node->stop;
$sim->stop;
done_testing();
