
# Many lanes, and what is done for each of them: once where it is for all of an instance, and nothing for those that wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpTest;

use constant FEW => 20;
use constant MANY => 12_000;    # a rescan reads 5,000 in a cycle
use constant LATE => 40;        # more than a transaction hands over by name
use constant POLLED => 1_000;   # what the poll of each minute reads

my %paces = (alone => 0, aaa => 60, zzz => 0);
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', conf => "log_statement = none\nautovacuum = off\n");
my $session = WawpTest->session($node);
my $account = $sim->world->{accounts}{ABC123};

$sim->world({ auto_groups => \1, accounts => { map { uc($_) => $account } keys %paces } });
foreach my $name (sort keys %paces)
{
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, adds_per_minute => $paces{$name},
			pace_jitter => 0, concurrency => 4, reads_per_minute => 0 });
}

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }

my $part = 0;

# One person in each of so many groups.
sub queue_up
{
	my ($instance, $lanes) = @_;
	$part++;
	return ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify)
		SELECT '12036321' || lpad(($part * 100000 + i)::text, 10, '0') || '\@g.us', '1557' || lpad(($part * 100000 + i)::text, 7, '0'), '$instance', false
		FROM generate_series(1, $lanes) i");
}

sub done_sql { my ($instance) = @_; return "SELECT count(*) FROM wawp.membership_intent WHERE instance = '$instance' AND state = 'done'"; }

# Searches of the index of lanes so far; the worker tells after each cycle.
sub searches
{
	return ask("SELECT pg_stat_clear_snapshot(), idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'wawp.membership_intent_lane'::regclass") =~ s/.*\|//r;
}

# The same, when the worker has nothing to do: unchanged for a second.
sub searches_at_rest
{
	my ($last, $since) = (searches(), 0);
	poll_until(sub {
		my $now = searches();
		($last, $since) = ($now, time) if $now != $last || !$since;
		return time - $since > 1;
	});
	return $last;
}

# ---- who we are is requested once for all lanes of an instance

my ($lists, $own) = (sprintf('12036321%05d.*/participants$', $part + 1), 'session/info$');
$sim->rule({ match => { path => $own }, times => undef, fault => { gate => \1 } });
queue_up('alone', FEW);
poll_until(sub { return $sim->count($lists) >= FEW || $sim->count($own) > 1; });
is($sim->count($lists), FEW, 'all lists are read while it is not known who we are');
is($sim->count($own), 1, '... which is requested once');
$sim->unrule;
is($session->until(done_sql('alone'), FEW), FEW, '... and all go on with the answer');
is($sim->count($own), 1, '... which is for all of them');

# ---- an instance that is held

ask("SELECT wawp_pause('aaa')");
queue_up('aaa', MANY);
my $searches = searches_at_rest();
ask("SELECT wawp_resume('aaa')");
is($session->until('SELECT count(*) >= 5 FROM wawp.membership_intent WHERE instance = \'aaa\' AND state = \'done\'', 't'), 't', 'resumed');
$searches = searches() - $searches;
diag("$searches searches for " . MANY . ' lanes');
cmp_ok($searches, '<', 1.5 * MANY, '... its lanes are found once, and none is looked into before its turn');
ask("SELECT wawp_pause('aaa')");

# ---- memory of what rests

# Memory contexts of the worker, as it logs them: so many bytes of each, by name.
sub contexts
{
	my ($pid, $offset) = (WawpTest->worker($node), -s $node->logfile);
	my %bytes;
	ask("SELECT pg_log_backend_memory_contexts($pid)");
	poll_until(sub { return slurp_file($node->logfile, $offset) =~ /Grand total/ });
	my $log = slurp_file($node->logfile, $offset);
	push @{ $bytes{$1} }, $2 while $log =~ /level: \d+; (wawp[^:]*): (\d+) total/g;
	return \%bytes;
}

my $bytes = contexts();
my $a_lane = $bytes->{'wawp lanes'}[0] / MANY;
diag(sprintf '%.0f bytes a lane, %d groups with memory of their own', $a_lane, scalar @{ $bytes->{'wawp group'} // [] });
cmp_ok($a_lane, '<=', 1024, 'a lane at rest takes a kilobyte at most');
is(scalar @{ $bytes->{'wawp group'} // [] }, 0, '... and a group whose list was read has no memory of its own but the list');

# ---- rescans that follow one another

$sim->reset;
$sim->world({ auto_groups => \1, accounts => { map { uc($_) => $account } keys %paces } });
queue_up('zzz', LATE);
my $most = soon();
ask("DO \$\$ DECLARE started timestamptz := clock_timestamp();
	BEGIN
		FOR i IN 1 .. 1000000 LOOP
			PERFORM wawp_pause('aaa', '120363210000000001\@g.us', i::text);
			COMMIT;
			EXIT WHEN (@{[ done_sql('zzz') ]}) = @{[ LATE ]} OR clock_timestamp() > started + interval '$most s';
		END LOOP;
	END \$\$");
is(ask(done_sql('zzz')), LATE, 'the last lanes are found although others ask to look at all');

# ---- cycles of an addition

$node->safe_psql('postgres', 'CREATE DATABASE small; ALTER DATABASE small SET log_min_messages = debug3');
$node->safe_psql('small', 'CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim, {}, 'small');
$node->safe_psql('small', q{SELECT FROM wawp_request_add('120363220000000001@g.us', ARRAY['15580000001'], 'support', verify => false)});
becomes_in($node, 'small', 'SELECT state FROM wawp.membership_intent', 'done', 'another database is served');
WawpTest->create_server($node, 'drip', $sim, { adds_per_minute => 240, adds_burst => 0, pace_jitter => 0, reads_per_minute => 0, instance_id => 'ALONE' }, 'small');
$node->safe_psql('small', "INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify)
	SELECT '12036323' || lpad(i::text, 10, '0') || '\@g.us', '1559' || lpad(i::text, 7, '0'), 'drip', false FROM generate_series(1, @{[ FEW ]}) i");
my $drip = q{SELECT count(*) FROM wawp.membership_intent WHERE instance = 'drip' AND state = 'done'};
ok(poll_until(sub { return $node->safe_psql('small', $drip) >= 2; }), 'a lane for each addition, and a pace');
my ($from, $worker) = (-s $node->logfile, WawpTest->worker($node, 'small'));
becomes_in($node, 'small', $drip, FEW, '... all are added');
# On a busy machine an answer that comes in parts takes a cycle more: what a cycle for nothing costs, all additions pay.
my @cycles = slurp_file($node->logfile, $from) =~ /^(\S+ \S+) UTC \[$worker\].* wawp: serve lanes$/mg;
my @ends = grep { $_ gt $cycles[0] } split /\n/, $node->safe_psql('small',
	q{SELECT to_char(settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') FROM wawp.membership_intent WHERE instance = 'drip' ORDER BY settled_at});
my @counts = sort { $a <=> $b } map { my ($after, $until) = @ends[ $_ - 1, $_ ]; scalar grep { $_ gt $after && $_ le $until } @cycles } 1 .. $#ends;
diag("cycles of each addition: @counts");
# to read the list, to check the number, to keep the answer, to send, to settle
cmp_ok($counts[ @counts / 4 ], '<', 5.8, '... without a cycle for nothing');

# ---- the poll of each minute

# the worker is not told of this
$node->safe_psql('small', q{UPDATE wawp.membership_intent SET state = 'queued', settled_at = NULL WHERE instance = 'support'});
$searches = searches_at_rest();
my $after = $searches;
ok(poll_until(sub { return ($after = searches()) > $searches + 10; }), 'a minute later the worker looks at lanes');
$after = searches_at_rest();
diag($after - $searches . ' searches by the poll');
cmp_ok($after - $searches, '<', 2 * POLLED, '... at some of them');
becomes_in($node, 'small', q{SELECT state FROM wawp.membership_intent WHERE instance = 'support'}, 'done', '... and finds what it was not told of');

$node->stop;
$sim->stop;
done_testing();
