
# DROP EXTENSION while the worker is busy with a long queue: no deadlock, no waiting, and nothing is lost when it is
# rolled back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my %options = (adds_per_minute => 0, concurrency => 16);
my $node = WawpTest->node('main', sim => $sim, options => \%options,
	conf => "log_statement = none\nwawp.instance = 'support'\ndeadlock_timeout = '100ms'\n");
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
my $enqueued = 0;
$sim->world({ auto_groups => \1 });
$sim->rule({ match => { path => 'add$' }, times => undef, fault => { delay => 0.02 } });

sub requests { return $sim->ctl(GET => 'count')->{count}; }

sub enqueue
{
	my ($number) = @_;
	my $answer = $other->ask("INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '12036308880' || to_char(i % 500, 'FM0000000') || '\@g.us',
		'1556' || to_char(i, 'FM0000000') FROM generate_series($enqueued + 1, $enqueued + $number) i");
	$enqueued += $number;
	is($answer->{state}, '', "$number are queued") || diag($answer->{err});
	return;
}

# Waits until the worker has sent that much more.
sub is_busy
{
	my ($name, $more) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = requests();
	return ok(poll_until(sub { requests() >= $seen + ($more // 20) }), $name);
}

my @seconds;

sub drops
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->ask('DROP EXTENSION wawp CASCADE');
	push @seconds, $answer->{seconds};
	is($answer->{state}, '', $name) || diag($answer->{err});
	return is_soon($answer->{seconds}, '... at once');
}

enqueue(50_000);
foreach my $round (1 .. 9)
{
	is_busy("round $round: the worker is busy");
	$session->ask('BEGIN');
	drops('DROP EXTENSION in a transaction');
	$session->ask('ROLLBACK');
}
is_busy('rolled back: the queue goes on');
is($other->ask('SELECT outcome FROM wawp_add_participants($$' . $group . '$$, ARRAY[$$15551230500$$])')->{out}, 'accepted',
	'... and calls are recorded') || diag($other->ask('SELECT row_to_json(h) FROM wawp.hold h')->{out});
is($other->ask(q{SELECT count(*) FROM wawp.membership_intent WHERE crashes > 0 OR state NOT IN ('queued', 'sending', 'verifying', 'done')})->{out}, 0,
	'... no intent is blamed or lost');

# Half undone, refused, or left alone in the middle
$session->ask('BEGIN; SAVEPOINT s');
drops('DROP EXTENSION after a savepoint');
$session->ask('ROLLBACK TO s; COMMIT');
is_busy('ROLLBACK TO SAVEPOINT and COMMIT: the queue goes on');
is($session->ask('DROP EXTENSION wawp')->{state}, '2BP01', 'without CASCADE it is refused, because servers depend on it');
is_busy('... and the queue goes on');
$other->ask('CREATE ROLE somebody');
my $worker = WawpTest->worker($node);
is($session->ask('SET ROLE somebody; DROP EXTENSION wawp CASCADE')->{state}, '42501', 'refused to a role that may not');
$session->ask('RESET ROLE');
is(WawpTest->worker($node), $worker, '... without ending the worker');
$session->ask('BEGIN');
drops('DROP EXTENSION in a transaction');
$other->ask("SELECT pg_terminate_backend(@{[ $session->pid ]})");
is_busy('its session is ended: the queue goes on');
$session = WawpTest->session($node);

# With the queue locked, by the one who drops it or by somebody else, and nothing under way but what is never answered
$sim->unrule;
$sim->rule({ match => { path => '120363077700000001' }, times => undef, fault => { hang => \1 } });
my $waits = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND state = 'idle' AND query IN ('1 in flight', '2 in flight')};
my $hang = q{SELECT wawp_resume('support'); SELECT count(*) FROM wawp_request_add('120363077700000001@g.us', ARRAY['1555123%04d'], priority => 1)};
foreach my $round (1 .. 2)
{
	# a lane has one or two under way
	my $before = $sim->count('120363077700000001');
	$other->ask(sprintf $hang, $round);
	$sim->arrived('120363077700000001', $before + 1);
	$other->ask("SELECT wawp_pause('support')");
	is($other->until($waits, 1), 1, 'the worker waits for an answer that never comes, or for two about the same group');
	$session->ask('BEGIN; LOCK TABLE wawp.membership_intent');
	if ($round == 1)
	{
		drops('... the queue is locked: DROP EXTENSION in that transaction');
	}
	else
	{
		my $worker = WawpTest->worker($node);
		$other->ask("SELECT pg_terminate_backend($worker)");
		is($other->until("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker", 0), 0, '... the queue is locked: it ends when it is told to');
	}
	$session->ask('ROLLBACK');
}
$sim->unrule;
$other->ask("SELECT wawp_resume('support')");
is_busy('... unlocked and resumed: the queue goes on');

# For good, and once more from the start
drops('DROP EXTENSION for good');
is($other->until(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp worker'}, 0), 0, '... no worker stays');
is($session->ask("CREATE EXTENSION wawp")->{state}, '', 'CREATE EXTENSION');
WawpTest->create_server($node, 'support', $sim, \%options);
$other->quit;
$other = WawpTest->session($node);
enqueue(2000);
is_busy('... and another queue is served');
drops('DROP EXTENSION, again');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'never a deadlock');
diag(sprintf 'DROP EXTENSION with a busy worker, %d times: longest %.2f s', scalar @seconds, max(@seconds));
done_testing();
