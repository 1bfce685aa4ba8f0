
# The pace, by the times at which adds arrive at the API: kept, and never exceeded, whatever is restarted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max min sum);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', conf => "log_statement = none\nwawp.instance = 'nobody'\n");
my $people = 0;
my $groups = 0;

sub session { return WawpTest->session($node); }

# An instance with an account of its own, by the same name.
sub instance
{
	my ($name, %options) = @_;
	my $dbname = delete $options{dbname};
	$sim->world({ auto_groups => \1, accounts => { uc $name => { token => 'secret' } } });
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, concurrency => 4, pace_jitter => 0, %options }, $dbname);
	return;
}

sub new_group { return sprintf '12036307770%07d@g.us', ++$groups; }

sub enqueue
{
	my ($session, $instance, $number, $action, $group) = @_;
	my $first = $people;
	$people += $number;
	my $answer = $session->ask(sprintf q{SELECT count(*) FROM wawp_request_%s('%s', ARRAY(SELECT '1556' || to_char(i,
		'FM0000000')
		FROM generate_series(%d, %d) i), '%s', batch_id => '%s')}, $action // 'add', $group // new_group(), $first, $people - 1, $instance, $instance);
	is($answer->{out}, $number, "$number for $instance are queued") || diag($answer->{err});
	return;
}

# When the adds of an instance arrived; each request is read once.
my (%arrivals, $read);

sub arrivals
{
	my ($instance) = @_;
	foreach my $request (@{ $sim->ctl(GET => 'ledger?since=' . ($read // 0)) })
	{
		$read = $request->{n};
		push @{ $arrivals{ $request->{body}{instance_id} } }, $request->{at} if $request->{path} =~ /add$/;
	}
	my @at = sort { $a <=> $b } @{ $arrivals{ uc $instance } // [] };
	return @at;
}

# Most arrivals in any window of that length.
sub most_in
{
	my ($seconds, @at) = @_;
	my ($most, $first) = (0, 0);
	foreach my $last (0 .. $#at)
	{
		$first++ while $at[$last] - $at[$first] >= $seconds;
		$most = max($most, $last - $first + 1);
	}
	return $most;
}

# When a request leaves and when it arrives differ a little; so may two of them.
my $slack = 0.25;

sub keeps_to
{
	my ($name, $per_minute, @at) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $cap = $per_minute / 10;
	return cmp_ok(most_in(6 - $slack, @at), '<=', $cap, "$name: at most $cap in any 6 s");
}

sub gaps { my @at = @_; return map { $at[$_] - $at[ $_ - 1 ] } 1 .. $#at; }

my $session = session();

# ---- the drip: 15 s undisturbed, then a new worker, then a new server

instance('fast', adds_per_minute => 600, adds_burst => 0);
instance('slow', adds_per_minute => 60, adds_burst => 4);
instance('jitter', adds_per_minute => 600, adds_burst => 0, pace_jitter => 0.5);
enqueue($session, 'fast', 120) foreach 1 .. 4;
enqueue($session, 'slow', 30) foreach 1 .. 2;
enqueue($session, 'jitter', 250);

$sim->arrived('add$');
sleep 15.5;
foreach ([ 'fast', 600 ], [ 'slow', 60 ])
{
	my ($instance, $per_minute) = @$_;
	my @at = arrivals($instance);
	my $error = ((@at - 1) / ($at[-1] - $at[0]) * 60 / $per_minute - 1) * 100;
	diag(sprintf '%d a minute: %d in %.1f s, pace error %+.2f %%, smallest gap %.0f ms', $per_minute, scalar @at, $at[-1] - $at[0], $error,
		1000 * min(gaps(@at)));
	cmp_ok(abs $error, '<', 5, "$per_minute a minute: the drip is on time");
	keeps_to("$per_minute a minute", $per_minute, @at);
}
cmp_ok(most_in(3, (arrivals('slow'))[ 0 .. 4 ]), '<=', 4, 'the worker leaves the burst to calls made by hand');
my @jittered = gaps(arrivals('jitter'));
cmp_ok(sum(@jittered) / @jittered, '>', 0.11, 'jitter slows');
cmp_ok(sum(@jittered) / @jittered, '<', 0.15, '... within its share');

my $before = arrivals('fast');
$session->ask("SELECT pg_terminate_backend(@{[ WawpTest->worker($node) ]})");
ok(poll_until(sub { arrivals('fast') > $before + 30 }), 'a new worker goes on');
my $at_restart = time;
$session->quit;
$node->restart;
diag(sprintf 'restart of the server: %.1f s', time - $at_restart);
$session = session();
ok(poll_until(sub { my @at = arrivals('fast'); $at[-1] > $at_restart + 7 }), 'a new server goes on');
foreach ([ 'fast', 600 ], [ 'slow', 60 ])
{
	my ($instance, $per_minute) = @$_;
	my @at = arrivals($instance);
	keeps_to("$per_minute a minute, with restarts", $per_minute, @at);
	cmp_ok(most_in(60 / $per_minute * 10 - $slack, @at), '<=', 10, '... and at most 10 in ten intervals');
	diag(sprintf '%d a minute with two restarts: %d in %.1f s, longest gap %.1f s', $per_minute, scalar @at, $at[-1] - $at[0], max(gaps(@at)));
}
keeps_to('with jitter', 600, arrivals('jitter'));
$session->ask("SELECT wawp_cancel_batch('$_')") foreach qw(fast slow jitter);

# ---- two databases, one account

instance('shared', adds_per_minute => 600, adds_burst => 0);
$session->ask('CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION wawp');
instance('shared', adds_per_minute => 600, adds_burst => 0, dbname => 'second');
my $second = WawpTest->session($node, 'second');
enqueue($session, 'shared', 60);
enqueue($second, 'shared', 60);
ok(poll_until(sub { arrivals('shared') >= 60 }), 'two databases share an account');
my @shared = arrivals('shared');
keeps_to('... and its pace', 600, @shared);
cmp_ok(most_in(1 - 0.1, @shared), '<=', 10, '... at most 10 a second');
cmp_ok(@shared / ($shared[-1] - $shared[0]), '>', 8, '... which they use');
my %from = map { $_->{body}{id} => 1 } grep { $_->{body}{instance_id} eq 'SHARED' } $sim->changes;
is(scalar(keys %from), 2, '... both');
$_->ask("SELECT wawp_cancel_batch('shared')") foreach $session, $second;
$second->quit;

# ---- what is not an add is not paced

instance('other', adds_per_minute => 6, adds_burst => 0);
my $group = new_group();
my $started = time;
# after the three who are to be added and the ten who are not in it: those to be promoted, those to be demoted
my %members = map { sprintf('1556%07d', $people + 13 + $_) => { role => $_ < 10 ? 'member' : 'admin' } } 0 .. 19;
$sim->world({ groups => { $group => { owner => '15550000001', members => { '15550000001' => { role => 'superadmin' }, %members } } } });
enqueue($session, 'other', 3, 'add', $group);
enqueue($session, 'other', 10, $_, $group) foreach qw(remove promote demote);
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'other' AND action <> 'add' AND state <> 'done'", 0), 0,
	'removals and roles do not wait for adds');
is_soon(time - $started, '... but go at once');
is(scalar(arrivals('other')), 1, '... while adds keep their pace');
$started = time;
enqueue($session, 'other', 5, 'remove', new_group());
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'other' AND action <> 'add' AND state <> 'done'", 0), 0,
	'... also later, in another group');
is_soon(time - $started, '... at once');
like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE batch_id = 'other' AND state = 'queued'")->{out}, qr/pace/,
	'wawp_explain tells an add of the pace');
$session->ask("SELECT wawp_cancel_batch('other')");

# ---- so many a day

SKIP:
{
	skip('a new day begins soon', 9) if 86400 - time % 86400 < 120;

	my $left = sub { return $session->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$_[0]' AND state = 'queued'")->{out}; };
	instance('daily', adds_per_minute => 0, adds_per_day => 6);
	enqueue($session, 'daily', 3);
	$session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'daily' AND state = 'done'", 3);
	my $old = WawpTest->worker($node);
	$session->ask("SELECT pg_terminate_backend($old)");
	poll_until(sub { WawpTest->worker($node) != $old });
	enqueue($session, 'daily', 5, 'add');
	is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'daily' AND state = 'done'", 6), 6,
		'adds_per_day: so many are added, over a restart of the worker');
	sleep 0.5;
	is(scalar(arrivals('daily')), 6, '... and no more');
	is($left->('daily'), 2, '... the rest waits');
	like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE batch_id = 'daily' AND state = 'queued'")->{out},
		qr/day/, '... and wawp_explain says for what');
	enqueue($session, 'daily', 2, 'remove');
	is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'daily' AND state = 'done' AND action = 'remove'", 2), 2,
		'... removals do not');
	$session->quit;
	$node->restart;
	$session = session();
	enqueue($session, 'daily', 1);
	WawpTest->worker($node);
	sleep 1;
	is(scalar(arrivals('daily')), 6, '... also after a restart of the server');
	$session->ask("SELECT wawp_cancel_batch('daily')");
}

# ---- told to slow down

foreach my $form ('seconds', 'date', 'none')
{
	my $name = "limited_$form";
	my %after = (
		seconds => { 'Retry-After' => '2' },
		date => { 'Retry-After' => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 4)) },
		none => {});
	instance($name, adds_per_minute => 600, adds_burst => 0, concurrency => 1);
	$sim->rule({ match => { path => 'add$', body => uc $name }, skip => 3, answer => { status => 429, headers => $after{$form}, json => { message => 'slow' } } });
	enqueue($session, $name, 60);
	is($session->until("SELECT reason FROM wawp.hold WHERE instance = '$name' AND group_jid IS NULL", 'rate_limited'), 'rate_limited',
		"429, Retry-After: $form: the instance is held");
	my $wait = $session->ask("SELECT extract(epoch FROM until - since) FROM wawp.hold WHERE instance = '$name'")->{out};
	my ($low, $high) = $form eq 'none' ? (25, 65) : (1, 6);
	cmp_ok($wait, '>', $low, "... for more than $low s");
	cmp_ok($wait, '<', $high, "... and less than $high s");
	like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE batch_id = '$name'")->{out}, qr/instance is held \(rate_limited\)/,
		'... wawp_explain says so');
	my $sent = arrivals($name);
	sleep 0.7;
	my @still = arrivals($name);
	is(scalar(@still), $sent, '... and nothing is sent');
	next if $form eq 'none';

	# A hold that lasts too long is cut short, for the sake of what is to come.
	if ($wait > 10)
	{
		$session->ask("UPDATE wawp.hold SET until = clock_timestamp() + interval '1 s' WHERE instance = '$name'");
		enqueue($session, $name, 1, 'add', $session->ask("SELECT group_jid FROM wawp.membership_intent WHERE batch_id = '$name' LIMIT 1")->{out});
	}
	ok(poll_until(sub { arrivals($name) >= $sent + 12 }), '... until the hold is over');
	my @after = (arrivals($name))[ $sent .. $sent + 11 ];
	my @slow = gaps(@after);
	diag(sprintf 'after 429: held %.1f s, then a gap of %s ms', $after[0] - $still[-1], join ', ', map { sprintf '%.0f', 1000 * $_ } @slow);
	cmp_ok(min(@slow[ 0 .. 4 ]), '>', 0.15, '... then at half the pace');
	cmp_ok(sum(@slow) / @slow, '>', 0.15, '... for longer than a moment');
	cmp_ok($after[0] - $still[-1], '>', 1.5, '... and not before Retry-After') if $form eq 'seconds';
	my ($refused) = map { $_->{body}{participants}[0]{id} } grep { ($_->{status} // 0) == 429 && $_->{body}{instance_id} eq uc $name } $sim->changes;
	is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$refused'", 'done'), 'done',
		'... the one that was refused is added');
	$session->ask("SELECT wawp_cancel_batch('$name')");
}

is($session->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, 'the audit log has no gaps');
$session->quit;
done_testing();
