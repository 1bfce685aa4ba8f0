
# The pace is kept and never exceeded, across restarts.  Windows are those of the limiter's own clock, which a busy
# machine does not change; nothing arrives at the API before it was granted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max min sum);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', conf => "log_statement = none\nlog_min_messages = debug1\nwawp.instance = 'nobody'\n");
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
		push @{ $arrivals{ $request->{body}{instance_id} } }, 1e6 * $request->{mono} if $request->{path} =~ /add$/;
	}
	my @at = sort { $a <=> $b } @{ $arrivals{ uc $instance } // [] };
	return @at;
}

sub asks { my ($instance) = @_; return WawpTest->asks($node, uc $instance); }

# What a drip may come early, so that late wake-ups do not add up, where the rate has a burst for it.
my $slack = 10_000;

# One after the other, no two closer than the pace has it, and none arrived before it was granted.
sub keeps_to
{
	my ($name, $instance, $per_minute) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @at = arrivals($instance);    # first: the worker goes on
	my @permits = WawpTest->permits(asks($instance));
	my @early = grep { $at[$_] < ($permits[$_] // 9e99) - 1000 } 0 .. $#at;
	is(scalar(@early), 0, "$name: nothing arrives before it is granted");
	my $interval = 60e6 / $per_minute;
	return is(scalar(WawpTest->over_pace($interval, ($instance eq 'slow' ? $slack : 0) / $interval, @permits)), 0, "... in no window more than the pace has it")
	  || diag(join ' ', gaps(@permits));
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

ok(poll_until(sub { arrivals('fast') > 100 && arrivals('slow') > 10 && arrivals('jitter') > 60 }), 'all drip');
foreach ([ 'fast', 600 ], [ 'slow', 60 ])
{
	my ($instance, $per_minute) = @$_;
	my @at = WawpTest->permits(asks($instance));
	my $each = ($at[-1] - $at[0]) / $#at / 1e6;
	diag(sprintf '%d a minute: %d in %.1f s, pace error %+.2f %%, smallest gap %.0f ms', $per_minute, scalar @at, ($at[-1] - $at[0]) / 1e6,
		(60 / $per_minute / $each - 1) * 100, min(gaps(@at)) / 1e3);
	cmp_ok($each, '<', 1.5 * 60 / $per_minute, "$per_minute a minute: the drip is on time") if $instance eq 'slow';
	keeps_to("$per_minute a minute", $instance, $per_minute);
}
is(scalar(grep { $_->{by} ne 'worker' || $_->{granted} > 1 } asks('slow')), 0, 'the worker takes one after the other: it leaves the burst to calls made by hand');
my @jittered = map { $_->{each} } grep { $_->{granted} } asks('jitter');
cmp_ok(min(@jittered), '>=', 100_000, 'jitter slows');
cmp_ok(max(@jittered), '<=', 150_000, '... within its share');
cmp_ok(sum(@jittered) / @jittered, '>', 110_000, '... as often as not');
is(scalar(grep { $_->{granted} && $_->{at} < $_->{earliest} } since_last('jitter')), 0, '... and each waits for what the one before it took');

my $before = arrivals('fast');
$session->ask("SELECT pg_terminate_backend(@{[ WawpTest->worker($node) ]})");
ok(poll_until(sub { arrivals('fast') > $before + 30 }), 'a new worker goes on');
my $at_restart = WawpTest->mono;
$session->quit;
$node->restart;
diag(sprintf 'restart of the server: %.1f s', (WawpTest->mono - $at_restart) / 1e6);
$session = session();
ok(poll_until(sub { my @at = arrivals('fast'); $at[-1] > $at_restart && @at > $before + 80 }), 'a new server goes on');
keeps_to('600 a minute, with restarts', 'fast', 600);
keeps_to('60 a minute, with restarts', 'slow', 60);
$session->ask("SELECT wawp_cancel_batch('$_')") foreach qw(fast slow jitter);

# Each grant beside the earliest time that the one before it leaves to it.
sub since_last
{
	my ($instance) = @_;
	my $earliest = 0;
	return map { my %ask = (%$_, earliest => $earliest); $earliest = $_->{at} + $_->{each} if $_->{granted}; \%ask } asks($instance);
}

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
keeps_to('... and its pace', 'shared', 600);
diag(sprintf 'two databases: %.1f a second', 1e6 * @shared / ($shared[-1] - $shared[0]));
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
	skip('a new day begins soon', 11) if 86400 - time % 86400 < 120;

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
	poll_until(sub { grep { $_->{granted} == 0 } asks('daily') });
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
	enqueue($session, 'daily', 1, 'remove');
	$session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'daily' AND state = 'done' AND action = 'remove'", 3);
	is(scalar(arrivals('daily')), 6, '... also after a restart of the server');
	is($left->('daily'), 3, '... when somebody was removed who was asked for later');
	$session->ask("SELECT wawp_cancel_batch('daily')");
}

# ---- told to slow down

foreach my $form ('seconds', 'date', 'none')
{
	my $name = "limited_$form";
	my %after = (
		seconds => { 'Retry-After' => '2' },
		date => { 'Retry-After' => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 60)) },
		none => {});
	instance($name, adds_per_minute => 600, adds_burst => 0, concurrency => 1);
	$sim->rule({ match => { path => 'add$', body => uc $name }, skip => 3, answer => { status => 429, headers => $after{$form}, json => { message => 'slow' } } });
	enqueue($session, $name, 60);
	is($session->until("SELECT reason FROM wawp.hold WHERE instance = '$name' AND group_jid IS NULL", 'rate_limited'), 'rate_limited',
		"429, Retry-After: $form: the instance is held");
	my $wait = $session->ask("SELECT extract(epoch FROM until - since) FROM wawp.hold WHERE instance = '$name'")->{out};
	my ($low, $high) = @{ { seconds => [ 1, 6 ], date => [ 1, 65 ], none => [ 25, 65 ] }->{$form} };
	cmp_ok($wait, '>', $low, "... for more than $low s");
	cmp_ok($wait, '<', $high, "... and less than $high s");
	like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE batch_id = '$name'")->{out}, qr/instance is held \(rate_limited\)/,
		'... wawp_explain says so');
	my $sent = arrivals($name);
	next if $form eq 'none';

	# A hold that lasts too long is cut short, for the sake of what is to come.
	if ($wait > 10)
	{
		$session->ask("UPDATE wawp.hold SET until = clock_timestamp() + interval '1 s' WHERE instance = '$name'");
		enqueue($session, $name, 1, 'add', $session->ask("SELECT group_jid FROM wawp.membership_intent WHERE batch_id = '$name' LIMIT 1")->{out});
	}
	my $until = $session->ask("SELECT extract(epoch FROM until) FROM wawp.hold WHERE instance = '$name'")->{out};
	ok(poll_until(sub { arrivals($name) >= 4 + 12 }), '... until the hold is over');
	my ($answered, @after) = grep { ($_->{body}{instance_id} // '') eq uc $name } $sim->changes;
	($answered, @after) = @after until ($answered->{status} // 0) == 429;
	is(scalar(grep { $_->{at} < $until - 0.01 } @after), 0, '... and nothing is sent before') if $until;
	my @slow = grep { $_->{granted} && $_->{at} > 1e6 * $answered->{mono} } asks($name);
	diag(sprintf 'after 429: held %.1f s, then a gap of %s ms', $after[0]{at} - $answered->{at}, join ', ', map { sprintf '%.0f', $_ / 1e3 } gaps(map { $_->{at} } @slow));
	is(scalar(grep { $_->{interval} != 200_000 } @slow[ 0 .. 4 ]), 0, '... then at half the pace');
	is(scalar(WawpTest->over_pace(200_000, 0, map { $_->{at} } @slow[ 0 .. 4 ])), 0, '... which is kept');
	cmp_ok($after[0]{mono} - $answered->{mono}, '>', 1.5, '... and not before Retry-After') if $form eq 'seconds';
	my ($refused) = map { $_->{body}{participants}[0]{id} } grep { ($_->{status} // 0) == 429 && $_->{body}{instance_id} eq uc $name } $sim->changes;
	is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$refused'", 'done'), 'done',
		'... the one that was refused is added');
	$session->ask("SELECT wawp_cancel_batch('$name')");
}

is($session->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, 'the audit log has no gaps');
$session->quit;
done_testing();
