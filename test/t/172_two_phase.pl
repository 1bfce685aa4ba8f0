
# Prepared transactions: their requests are served once they are committed, from any session, and soon.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 }, conf => "max_prepared_transactions = 10\n");
my ($asks, $decides) = map { WawpTest->session($node) } 1 .. 2;
my $people = 0;

sub new_person { return sprintf '1555600%04d', ++$people; }
sub ask { my ($answer) = $_[0]->ask($_[1]); die "$_[1]: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub state_of { my ($id) = @_; return "SELECT state FROM wawp.membership_intent WHERE id = $id"; }
sub requests_for { my ($who) = @_; return scalar(grep { /$who/ } $sim->people); }

# Somebody is asked for in a transaction that is prepared under that name.
sub prepare
{
	my ($name, $who) = @_;
	my $id = ask($asks, "BEGIN; SELECT id FROM wawp_request_add('$group', ARRAY['$who'])");
	ask($asks, "PREPARE TRANSACTION '$name'");
	return $id;
}

# The safety poll comes once a minute: what is served soon was not found by it, but for the one poll that may fall into
# it, so more than once is proof.
foreach my $time (1 .. 3)
{
	my $who = new_person();
	my $id = prepare('asks', $who);
	if ($time == 1)
	{
		# another wake makes the worker look at the lane
		my $other = ask($decides, "SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'])");
		is($decides->until(state_of($other), 'done'), 'done', 'beside a prepared transaction others are served');
	}
	is(requests_for($who), 0, 'PREPARE TRANSACTION: nothing leaves');
	is(ask($decides, "SELECT count(*) FROM wawp.membership_intent WHERE id = $id"), 0, '... and nothing is seen');
	my $started = time;
	ask($decides, "COMMIT PREPARED 'asks'");
	is($decides->until(state_of($id), 'done'), 'done', '... COMMIT PREPARED in another session: it is served');
	my $seconds = time - $started;
	diag(sprintf 'COMMIT PREPARED to done: %.0f ms', 1000 * $seconds);
	is_soon($seconds, '... soon');
	is(requests_for($who), 1, '... by one request');
	is(ask($decides, "SELECT string_agg(kind || ' ' || requested_by, ', ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $id"),
		ask($decides, "SELECT replace('sent me, answered me, verified me', 'me', current_user)"), '... and three records');
}

# ---- not committed

my $taken_back = new_person();
prepare('taken back', $taken_back);
ask($decides, "ROLLBACK PREPARED 'taken back'");
my $next = prepare('next', new_person());
ask($decides, "COMMIT PREPARED 'next'");
is($decides->until(state_of($next), 'done'), 'done', 'ROLLBACK PREPARED, and the worker looks at the group again');
is(requests_for($taken_back), 0, '... nothing of it left');

# True if a statement makes the worker look at its queue.  The safety poll may fall into one try, not into two.
sub wakes
{
	my ($session, $sql, $state, $seconds) = @_;
	my $last = "SELECT state_change FROM pg_stat_activity WHERE backend_type = 'wawp worker'";

	foreach (1 .. 2)
	{
		my $before = ask($decides, $last);
		my $answer = $session->ask($sql);
		die "$sql: $answer->{state}" if $answer->{state} ne $state;
		my $has_looked = poll_until(sub { ask($asks, $last) ne $before }, $seconds // 0.3);
		$decides->ask('ROLLBACK') if $sql =~ /^BEGIN/;
		return 0 if !$has_looked;
	}
	return 1;
}

my $who = new_person();
prepare('stays', $who);
ask($decides, 'CREATE ROLE other LOGIN');
my $other = WawpTest->session($node, 'postgres', user => 'other');
is(wakes($decides, "COMMIT PREPARED 'no such'", '42704'), 0, 'COMMIT PREPARED of nothing wakes nobody');
is(wakes($decides, "BEGIN; COMMIT PREPARED 'stays'", '25001'), 0, '... nor one within a transaction');
is(wakes($other, "COMMIT PREPARED 'stays'", '42501'), 0, '... nor one by a role that may not');
is(wakes($asks, "BEGIN; CREATE TEMP TABLE t () ON COMMIT DROP; COMMIT", ''), 0, '... nor a COMMIT of something else');
is(wakes($asks, "SELECT wawp_resume('support')", '', soon()), 1, '... as wawp_resume does');
$other->quit;
is(requests_for($who), 0, '... and nothing has left');

# ---- over a crash

$_->quit foreach $asks, $decides;
$node->stop('immediate');
$node->start;
($asks, $decides) = map { WawpTest->session($node) } 1 .. 2;
WawpTest->worker($node);
sleep 0.5;
is(requests_for($who), 0, 'after a crash a prepared transaction still waits');
my $started = time;
ask($decides, "COMMIT PREPARED 'stays'");
is($decides->until("SELECT state FROM wawp.membership_intent WHERE jid = '$who\@c.us'", 'done'), 'done', '... COMMIT PREPARED: it is served');
is_soon(time - $started, '... soon');
is(requests_for($who), 1, '... by one request');

# ---- a request taken back, a group paused, in a prepared transaction

ask($decides, "SELECT wawp_pause('support', '$group')");
my $kept = ask($decides, "SELECT id FROM wawp_request_add('$group', ARRAY['@{[ $who = new_person() ]}'])");
ask($asks, "BEGIN; SELECT wawp_resume('support', '$group')");
ask($asks, "PREPARE TRANSACTION 'resumes'");
sleep 0.3;
is(requests_for($who), 0, 'wawp_resume in a prepared transaction: not yet');
$started = time;
ask($decides, "COMMIT PREPARED 'resumes'");
is($decides->until(state_of($kept), 'done'), 'done', '... committed: the group is served');
is_soon(time - $started, '... soon');

# ---- a database without wawp gets no worker by it

$node->append_conf('postgresql.conf', "log_min_messages = debug1\n");
$node->reload;
$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('plain', "CREATE TABLE t (); BEGIN; INSERT INTO t DEFAULT VALUES; PREPARE TRANSACTION 'plain'");
my $log_from = -s $node->logfile;
my $worker_starts = sub { return scalar(() = substr(slurp_file($node->logfile), $log_from) =~ /starting background worker process "wawp worker/g); };
$node->safe_psql('plain', "COMMIT PREPARED 'plain'");
sleep 0.5;
is($worker_starts->(), 0, 'COMMIT PREPARED in a database without wawp starts no worker');
$node->safe_psql('plain', 'CREATE EXTENSION wawp');
is(poll_until($worker_starts), 1, '... as CREATE EXTENSION does');

is(ask($decides, 'SELECT max(id) - count(*) FROM wawp.audit_log'), 0, 'the audit log has no gaps');
$_->quit foreach $asks, $decides;
done_testing();
