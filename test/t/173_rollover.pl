
# The audit log over the ends of months, and steps of the server's clock: no record is lost or in the wrong partition,
# no request is early or stuck.  The server has a clock of its own that this test moves; the ledger keeps the
# machine's time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);
use WawpTest;

my $clock = WawpTest->clock;
plan skip_all => 'this system has no LD_PRELOAD, or no compiler' unless $clock;

my $sim = WawpTest->sim;
my ($people, $groups) = (0, 0);

sub utc { my ($year, $month, $day, @time) = @_; return timegm(reverse(@time, (0) x (3 - @time)), $day, $month - 1, $year); }
sub new_group { return sprintf '12036307770%07d@g.us', ++$groups; }

# Where the server believes to be, a month begins half a day earlier than in UTC.
$clock->move_to(utc(2031, 1, 15));
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 }, env => $clock->env,
	conf => "log_min_messages = debug1\ntimezone = 'Pacific/Auckland'\nlog_timezone = 'UTC'\nwawp.instance = 'support'\n");
my $session = session();
$sim->world({ auto_groups => \1 });

sub session { return WawpTest->session($node, 'postgres', options => '-c timezone=UTC'); }
sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }

sub enqueue
{
	my ($number, %options) = @_;
	my @who = WawpTest->people($number, $people);
	my $group = $options{group} // new_group();
	my $more = join '', map { ", $_ => $options{more}{$_}" } sort keys %{ $options{more} // {} };
	$people += $number;
	my $batch = ask("SELECT DISTINCT batch_id FROM wawp_request_add('$group', ARRAY['" . join("', '", @who) . "'], '" . ($options{instance} // 'support') . "'$more)");
	return { who => \@who, batch => $batch, group => $group };
}

sub done_of { my ($asked) = @_; return "SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$asked->{batch}' AND state = 'done'"; }

sub all_done
{
	my ($asked, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $number = @{ $asked->{who} };
	return is($session->until(done_of($asked), $number), $number, $name)
	  || diag(ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE batch_id = '$asked->{batch}' AND state <> 'done'"));
}

# The months there are partitions for: "2031_01 2031_02 ...".
sub months
{
	return ask("SELECT string_agg(right(inhrelid::regclass::text, 7), ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass");
}

sub new_worker
{
	my $old = WawpTest->worker($node);
	ask("SELECT pg_terminate_backend($old)");
	return poll_until(sub { WawpTest->worker($node) != $old });
}

# A number for each record, none twice and none left out, each in the month in which it was written.
sub in_order
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(ask('SELECT min(id), max(id) - count(*), count(DISTINCT id) - count(*) FROM wawp.audit_log'), '1|0|0', "$name: the numbers have no gap");
	is(ask('SELECT ok, problem FROM wawp_audit_verify()'), 't|', '... and are sealed');
	return is(ask("SELECT count(*) FROM wawp.audit_log WHERE tableoid::regclass::text <> 'wawp.audit_log_' || to_char(at AT TIME ZONE 'UTC', 'YYYY_MM')"), 0,
		'... and each record is in its month (UTC)');
}

# ---- over the end of a month

WawpTest->create_server($node, 'steady', $sim, { adds_per_minute => 900, adds_burst => 0, pace_jitter => 0, instance_id => 'GOWS1' });
$clock->move_to(utc(2031, 1, 31, 23, 30));
my $over = enqueue(150, instance => 'steady');
$sim->arrived('add$');
is(months(), '2031_01 2031_02 2031_03', 'with the first record there are partitions for this month and two ahead');
poll_until(sub { $sim->count('add$') >= 50 });
cmp_ok($clock->now, '<', utc(2031, 2, 1), '... all this in the old month');
$clock->move_to(utc(2031, 1, 31, 23, 59, 58));
all_done($over, '150 adds, over the end of a month, are done');
cmp_ok($clock->now, '>', utc(2031, 2, 1), '... in the new one');
in_order('over the end of a month');
my ($old, $new) = map { ask("SELECT count(*) FROM wawp.audit_log_$_") } qw(2031_01 2031_02);
diag("records before and after the end of the month: $old, $new");
cmp_ok(min($old, $new), '>', 20, '... many in each');
is(ask('SELECT (SELECT max(id) FROM wawp.audit_log_2031_01) + 1 = (SELECT min(id) FROM wawp.audit_log_2031_02)'), 't', '... and the numbers go on where they were');
is(ask("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'wawp.audit_log_2031_02'::regclass"),
	"FOR VALUES FROM ('2031-02-01 00:00:00+00') TO ('2031-03-01 00:00:00+00')", 'months are those of UTC');
is(ask("SELECT partdefid FROM pg_partitioned_table WHERE partrelid = 'wawp.audit_log'::regclass"), 0, 'there is no default partition');
new_worker();
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state IN ('queued', 'sending')", 0), 0, 'a new worker');
all_done(enqueue(1), '... goes on');
is(months(), '2031_01 2031_02 2031_03 2031_04', '... and has made a partition ahead');

# ---- a month for which there is none, while the worker runs and somebody reads the log

my $reader = session();
$reader->ask('BEGIN; SELECT count(*) FROM wawp.audit_log');
my $log_from = -s $node->logfile;
$clock->move_to(utc(2031, 7, 15));
my $started = time;
all_done(enqueue(3), 'the clock jumps to a month without partition, while the log is read: service goes on');
diag(sprintf 'from the jump to three adds done: %.1f s', time - $started);
is_soon(time - $started, '... soon');
is(months(), '2031_01 2031_02 2031_03 2031_04 2031_07 2031_08 2031_09', '... with partitions for it and two ahead');
in_order('after the jump');
my @errors = substr(slurp_file($node->logfile), $log_from) =~ /(ERROR: .*)/g;
cmp_ok(scalar(@errors), '<=', 4, '... and with few words in the log') || diag(join "\n", @errors);
$reader->ask('COMMIT');
$reader->quit;

# ---- the same, while the server is down: over the end of a year

$session->quit;
$clock->run(sub { $node->stop; $clock->move_to(utc(2031, 12, 15)); $node->start; });
$session = session();
all_done(enqueue(3), 'a worker started in a month without partition serves');
is(months(), '2031_01 2031_02 2031_03 2031_04 2031_07 2031_08 2031_09 2031_12 2032_01 2032_02', '... with partitions over the end of the year');
in_order('in the month it was started in');

# ---- nothing recorded is changed

ask('CREATE ROLE clerk; GRANT ALL ON ALL TABLES IN SCHEMA wawp TO clerk; GRANT USAGE ON SCHEMA wawp TO clerk');
my %tables = ('the parent' => 'wawp.audit_log', 'a past month' => 'wawp.audit_log_2031_01', 'this month' => 'wawp.audit_log_2031_12');
my $count = ask('SELECT count(*) FROM wawp.audit_log');
foreach my $which (sort keys %tables)
{
	my $table = $tables{$which};
	my %refused;
	foreach my $role (undef, 'clerk')
	{
		ask($role ? "SET ROLE $role" : 'RESET ROLE');
		foreach my $sql ("UPDATE $table SET reason = 'another'", "DELETE FROM $table", "TRUNCATE $table", "DELETE FROM $table WHERE id = (SELECT max(id) FROM $table)",
			"UPDATE $table SET at = at + interval '1 month'", "MERGE INTO $table USING (VALUES (1)) v (i) ON id = i OR id > 1 WHEN MATCHED THEN DELETE")
		{
			my $answer = $session->ask($sql);
			push @{ $refused{ $answer->{state} . ($answer->{err} =~ /append-only/ ? ' append-only' : '') } }, ($role // 'owner') . ": $sql";
		}
	}
	ask('RESET ROLE');
	is_deeply([ keys %refused ], ['42501 append-only'], "$which: nobody, not even the owner, changes, deletes or truncates what is recorded")
	  || diag(explain(\%refused));
}
my $future = 'wawp.audit_log_2032_02';
is($session->ask("TRUNCATE $future")->{state}, '42501', 'a month to come: not truncated either');
is(ask('SELECT count(*) FROM wawp.audit_log'), $count, '... and all is still there');

# ---- what is older than wawp.audit_retention goes, month by month

$node->append_conf('postgresql.conf', "wawp.audit_retention = '130d'\n");
$node->reload;
$reader = session();
$reader->ask('BEGIN; SELECT count(*) FROM wawp.audit_log');
new_worker();
all_done(enqueue(1), 'old months are to go while the log is read: service goes on');
is(months(), '2031_01 2031_02 2031_03 2031_04 2031_07 2031_08 2031_09 2031_12 2032_01 2032_02', '... nothing has gone yet');
$reader->ask('COMMIT');
$reader->quit;
new_worker();
is(poll_until(sub { my $months = months(); $months !~ /2031_01/ && $months }), '2031_08 2031_09 2031_12 2032_01 2032_02',
	'when nobody reads it, months that ended longer ago go, younger ones stay');
is(ask("SELECT max(id) - min(id) + 1 = count(*), min(at) > '2031-12-01' FROM wawp.audit_log"), 't|t', '... with all that is in them');
my $last = ask('SELECT max(id) FROM wawp.audit_log');
my $gone = ask('SELECT min(id) - 1 FROM wawp.audit_log');
is(ask('SELECT ok, checked = (SELECT count(*) FROM wawp.audit_log), problem FROM wawp_audit_verify()'), "t|t|records up to number $gone were removed by wawp.audit_retention", '... and the seal says what is gone');
is(ask("SELECT ok, problem FROM wawp_audit_verify(before => '2031-12-15')"), "t|records up to number $gone were removed by wawp.audit_retention", '... of a part of the time, too');
is(ask(q{SELECT count(*) FROM wawp.audit_log WHERE kind = 'policy' AND origin = 'retention' AND detail ->> 'note' ~ 'records up to number $gone are removed'} =~ s/\$gone/$gone/r), 1, '... as the log does');

# All that was recorded is old when the next record is written: numbers are not given out again.
$session->quit;
$clock->run(sub { $node->stop; $clock->move_to(utc(2032, 8, 15)); $node->start; });
$session = session();
# retention may come to it before or after
poll_until(sub { months() !~ /2031/ }, 10);
all_done(enqueue(1), 'all that was recorded is old, the service goes on');
cmp_ok(ask('SELECT min(id) FROM wawp.audit_log WHERE at > clock_timestamp() - interval $$1 day$$'), '>', $last, '... and the numbers with it');
$node->append_conf('postgresql.conf', "wawp.audit_retention = 0\n");
$node->reload;

# ---- steps of an hour, to and fro, while adds are paced

WawpTest->create_server($node, 'paced', $sim, { adds_per_minute => 120, adds_burst => 0, pace_jitter => 0, instance_id => 'NOWEB1' });
WawpTest->create_server($node, 'limited', $sim, { adds_per_minute => 0, instance_id => 'WEBJS1' });
sub arrivals { my ($asked) = @_; my $who = join '|', @{ $asked->{who} }; return map { $_->{at} } grep { $_->{path} =~ /add$/ && $_->{body}{participants}[0]{id} =~ /$who/ } $sim->ledger; }

my $paced = enqueue(30, instance => 'paced');
foreach my $step (3600, -3600, -3600, 3600)
{
	my $before = arrivals($paced);
	poll_until(sub { arrivals($paced) >= $before + 5 }) or last;
	$clock->move($step);
}
all_done($paced, 'the clock is set forward and back by an hour: paced adds go on');
my @at = sort { $a <=> $b } arrivals($paced);
my @gaps = map { $at[$_] - $at[ $_ - 1 ] } 1 .. $#at;
diag(sprintf '120 a minute with four steps: %d in %.1f s, gaps from %.0f to %.0f ms', scalar @at, $at[-1] - $at[0], 1000 * min(@gaps), 1000 * max(@gaps));
is(scalar(@at), 30, '... each once');
is(scalar(WawpTest->over_pace(500_000, 0, WawpTest->permits(WawpTest->asks($node, 'NOWEB1')))), 0, '... never more than the pace allows');
is_soon(max(@gaps), '... and without a pause');
is(ask('SELECT max(id) - min(id) + 1 - count(*), count(DISTINCT id) - count(*) FROM wawp.audit_log WHERE at > clock_timestamp() - interval $$1 day$$'), '0|0', '... the numbers of their records have no gap');

# What waits for a time of its own: a retry, and an instance that was told to wait.
my $retried = '15557770001';
$sim->rule({ match => { body => $retried }, answer => { status => 503, json => { message => 'overloaded' } } },
	{ match => { path => 'add$', body => 'WEBJS1' }, answer => { status => 429, headers => { 'Retry-After' => '10' }, json => { message => 'slow' } } });
ask("SELECT wawp_request_add('@{[ new_group() ]}', ARRAY['$retried'], 'support', batch_id => 'retried')");
my $limited = enqueue(1, instance => 'limited');
is($session->until("SELECT next_attempt_at > clock_timestamp() FROM wawp.membership_intent WHERE batch_id = 'retried'", 't'), 't', 'an intent waits to be tried again');
is($session->until("SELECT until > clock_timestamp() FROM wawp.hold WHERE instance = 'limited'", 't'), 't', '... and an instance is held');
my $later = enqueue(1, more => { not_before => q{clock_timestamp() + interval '30 min'} });
my $stepped = time;
$clock->move(-3600);
my $waiting = "SELECT count(*) FROM wawp.membership_intent WHERE batch_id IN ('retried', '$limited->{batch}') AND state <> 'done'";
$session->until($waiting, 0);
is(ask($waiting), 0, 'the clock is set back by an hour: neither waits an hour longer')
  || diag(ask("SELECT batch_id, state, wawp_explain(id) FROM wawp.membership_intent WHERE batch_id IN ('retried', '$limited->{batch}')"));
diag(sprintf 'set back by an hour: %.0f s until served', time - $stepped);
is(ask(done_of($later)), 0, 'what is asked for not before a time keeps to it');
$clock->move(7200);
ask("SELECT wawp_pause('limited', '@{[ new_group() ]}')");    # the worker looks at all lanes, as at each safety poll
all_done($later, '... and is done when the clock has passed it');

# ---- set back while the server is down

WawpTest->create_server($node, 'slow', $sim, { adds_per_minute => 10, adds_burst => 0, pace_jitter => 0, instance_id => 'WAJS01' });
my $before = enqueue(3, instance => 'slow');
$session->until(done_of($before), 1);
$session->quit;
$clock->run(sub { $node->stop; $clock->move(-3600); $node->start; });
$session = session();
$session->until(done_of($before), 2);
@at = sort { $a <=> $b } arrivals($before);
is(scalar(WawpTest->over_pace(6_000_000, 0, WawpTest->permits(WawpTest->asks($node, 'WAJS01')))), 0, 'the clock is set back while the server is down: the pace is kept');
diag(sprintf '10 a minute, set back while the server was down: a gap of %.1f s', $at[1] - $at[0]);

# What another instance sent before the clock was set back is later in the log than all that is sent now.
WawpTest->create_server($node, 'later', $sim, { adds_per_minute => 10, adds_burst => 0, pace_jitter => 0, instance_id => 'WEBJS2' });
my $after = enqueue(2, instance => 'later');
$session->until(done_of($after), 1);
$session->quit;
$clock->run(sub { $node->restart });
$session = session();
all_done($after, 'a restart while the log has records of an hour to come: all is sent');
is(scalar(WawpTest->over_pace(6_000_000, 0, WawpTest->permits(WawpTest->asks($node, 'WEBJS2')))), 0, '... and the pace is kept');

$session->quit;
done_testing();
