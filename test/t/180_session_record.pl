
# The record of calls made in the session is committed before the request leaves, and survives whatever happens to the
# caller.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max uniq);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $member = '15550000002';
my $sim = WawpTest->sim;
my $node = WawpTest->node(
	'main',
	sim => $sim,
	options => { adds_per_minute => 0, checks_per_minute => 0, concurrency => 8 },
	conf => "restart_after_crash = on\ntrack_commit_timestamp = on\nlog_statement = none\nwawp.instance = 'support'\n");
my ($session, $other, $locker) = map { WawpTest->session($node) } 1 .. 3;
my ($people, $groups) = (0, 0);
$sim->world({ auto_groups => \1 });
$session->ask('CREATE SEQUENCE person');

# Nobody is met twice, no group used twice: what is recorded of one tells of one call.
sub new_person { return sprintf '1555710%04d', ++$people; }
sub new_group { return sprintf '12036307780%07d@g.us', ++$groups; }
sub add { my ($who, $to) = @_; return "SELECT outcome FROM wawp_add_participants('@{[ $to // $group ]}', ARRAY['$who'])"; }

# Waits until a request that names someone has arrived.
my $read = 0;

sub on_the_wire
{
	my ($who) = @_;
	return poll_until(sub {
		my $new = $sim->ctl(GET => "ledger?since=$read");
		$read = $new->[-1]{n} if @$new;
		return (grep { JSON::PP->new->encode($_) =~ /$who/ } @$new)[0];
	}) || die "no request about $who arrived\n";
}

sub requests_about { my ($who) = @_; return scalar(grep { /$who/ } $sim->people); }

# What is recorded of someone: "kind outcome code http_status", in order.
sub record_of
{
	my ($who) = @_;
	return "SELECT string_agg(concat_ws(' ', kind, outcome, code, http_status), ', ' ORDER BY id) FROM wawp.audit WHERE jid = '$who\@c.us'";
}

sub is_recorded
{
	my ($who, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last = $other->until(record_of($who), $expected);
	return ref $expected ? like($last, $expected, $name) : is($last, $expected, $name);
}

my $answered = 'sent, answered accepted 200 200';

sub lock_table
{
	my ($table) = @_;
	my $answer = $locker->ask("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE");
	die "not locked: $answer->{err}" if $answer->{state};
	return;
}

sub unlock { return $locker->ask('COMMIT'); }

sub worker_waits
{
	return poll_until(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE backend_type = 'wawp worker' AND NOT granted}) });
}

# The new worker's process.
sub end_worker
{
	my $old = WawpTest->worker($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
	poll_until(sub { WawpTest->worker($node) != $old }) or die "no new worker\n";
	return;
}

# Each person of each request has one "sent" and one later "answered" row, but for those who are excepted; what
# arrived at the API is what was sent and not taken back, and nothing arrived before it was recorded.
sub books_balance
{
	my ($name, @lost) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $pattern = join('|', @lost) || 'nobody';
	my $unfinished = q{SELECT request_id, jid, string_agg(kind || coalesce(' ' || outcome, ''), ', ' ORDER BY id) FROM wawp.audit
		WHERE request_id IS NOT NULL AND coalesce(jid, '') !~ '%s' GROUP BY 1, 2 HAVING NOT coalesce(count(*) FILTER (WHERE kind = 'sent') = 1
		AND count(*) FILTER (WHERE kind = 'answered') = 1
		AND min(id) FILTER (WHERE kind = 'sent') < min(id) FILTER (WHERE kind = 'answered'), false)};
	is($other->until(sprintf($unfinished, $pattern), ''), '', "$name: each request is recorded once, and how it ended once");

	my (%arrived, %sent);
	foreach my $request ($sim->ledger(qr{/(add|remove|promote|demote)$}))
	{
		my ($action) = $request->{path} =~ /(\w+)$/;
		push @{ $arrived{"$action " . $_->{id} =~ s/@.*//r} }, $request->{at} foreach @{ $request->{body}{participants} };
	}
	my $left = $other->ask(q{SELECT action || ' ' || split_part(jid, '@', 1), extract(epoch FROM pg_xact_commit_timestamp(s.xmin))
		FROM wawp.audit_log s JOIN wawp.contact USING (contact_id) WHERE kind = 'sent' AND action IS NOT NULL AND group_jid IS NOT NULL
		AND NOT EXISTS (SELECT FROM wawp.audit_log a WHERE a.kind = 'answered' AND a.request_id = s.request_id AND a.outcome = 'unreachable')
		ORDER BY 2});
	foreach (split /\n/, $left->{out})
	{
		my ($what, $at) = split /\|/;
		push @{ $sent{$what} }, $at;
	}
	my @differing = grep { @{ $arrived{$_} // [] } != @{ $sent{$_} // [] } } uniq(keys %arrived, keys %sent);
	is("@differing", '', '... what arrived is what is recorded as sent')
	  || diag(map { "$_: arrived @{ $arrived{$_} // [] }, sent @{ $sent{$_} // [] }, " . $other->ask(record_of(s/.* //r))->{out} . "\n" } @differing);
	my @early = grep { my $who = $_; grep { $arrived{$who}[$_] < ($sent{$who}[$_] // 0) - 0.01 } 0 .. $#{ $arrived{$who} } } keys %arrived;
	is("@early", '', '... none of it before the record was committed');
	is($other->ask('SELECT max(id) - count(*) || $$ $$ || count(*) - count(DISTINCT id) FROM wawp.audit_log')->{out}, '0 0',
		'... numbered without gaps');
	return;
}

# ---- before it leaves, and after it is answered

foreach (
	[ 'add', new_person(), 'accepted' ],
	[ 'remove', $member, 'accepted' ],
	[ 'promote', $member, 'accepted' ],
	[ 'demote', $member, 'accepted' ])
{
	my ($action, $who, $outcome) = @$_;
	my $to = new_group();
	$sim->world({ groups => { $to => { members => { '15550000001' => { role => 'superadmin' }, $member => {} } } } });
	$sim->rule({ match => { path => "$action\$", body => $who }, times => 1, fault => { gate => \1 } });
	my $started = time;
	$session->send("BEGIN; SELECT outcome FROM wawp_${action}_participants('$to', ARRAY['$who'], reason => 'by hand')");
	my $request = on_the_wire($who);
	my $arrived = time;
	is($other->ask("SELECT kind, action, jid, group_jid, instance, instance_id,
		requested_by = current_user, login_role = current_user, origin, reason,
		outcome IS NULL AND code IS NULL AND http_status IS NULL AND duration_ms IS NULL AND intent_id IS NULL,
		extract(epoch FROM at) <= $request->{at} + 0.01 FROM wawp.audit WHERE group_jid = '$to'")->{out},
		"sent|$action|$who\@c.us|$to|support|ABC123|t|t|session|by hand|t|t", "$action: recorded while it is on the wire");
	my $out = int 1000 * (time - $arrived);
	$sim->unrule;
	is($session->answer->{out}, $outcome, '... answered');
	my $longest = 1 + int 1000 * (time - $started);
	$session->ask('ROLLBACK');
	is($other->until("SELECT string_agg(kind::text, ' ' ORDER BY id) FROM wawp.audit WHERE group_jid = '$to'", 'sent answered'),
		'sent answered', '... recorded, although the caller rolled back');
	is($other->ask("SELECT a.outcome, a.code, a.http_status, a.duration_ms BETWEEN $out AND $longest, a.request_id = s.request_id, a.jid = s.jid,
		a.reason = s.reason, a.at > s.at FROM wawp.audit a, wawp.audit s WHERE a.group_jid = '$to' AND a.kind = 'answered'
		AND s.group_jid = '$to' AND s.kind = 'sent'")->{out}, "$outcome|200|200|t|t|t|t|t", '... with what came of it');
}

# What came of it, whatever that is.
WawpTest->create_server($node, 'closed', $sim, { base_url => 'http://127.0.0.1:1', adds_per_minute => 0 });
foreach (
	[ 'a code of its own', { json => { participants => [ { id => 'WHO@c.us', code => 403 } ] } }, undef, 'privacy_blocked 403 200' ],
	[ 'HTTP 403', { status => 403, json => { message => 'Forbidden' } }, undef, 'not_admin 403 403' ],
	[ 'HTTP 500', { status => 500 }, undef, 'server_error 500 500' ],
	[ 'no readable answer', { text => '<html>' }, undef, 'unknown_result 200 200' ],
	[ 'a reset', undef, { reset => 'after' }, 'unknown_result' ],
	[ 'no connection', undef, undef, 'unreachable' ])
{
	my ($name, $answer, $fault, $expected) = @$_;
	my $who = new_person();
	my $text = $answer ? JSON::PP->new->encode($answer) =~ s/WHO/$who/r : '';
	my %rule = ($answer ? (answer => JSON::PP->new->decode($text)) : (), $fault ? (fault => $fault) : ());
	$sim->rule({ match => { body => $who }, %rule }) if %rule;
	my $instance = %rule ? 'support' : 'closed';
	my ($outcome) = $expected =~ /^(\w+)/;
	is($session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], '$instance')")->{out}, $outcome, "$name: $outcome");
	is_recorded($who, "sent, answered $expected", '... recorded');
}

# ---- whatever becomes of the caller, in the middle of the answer

my @ends = (
	{ name => 'ROLLBACK', how => sub { $session->answer; $session->ask('ROLLBACK') }, record => $answered },
	{ name => 'an error', how => sub { $session->answer; $session->ask('SELECT 1 / 0; ROLLBACK') }, record => $answered },
	{ name => 'ROLLBACK TO SAVEPOINT', how => sub { $session->answer; $session->ask('ROLLBACK TO s; COMMIT') }, record => $answered },
	{ name => 'pg_cancel_backend', how => sub { $other->ask("SELECT pg_cancel_backend(@{[ $session->pid ]})"); $session->answer }, state => '57014' },
	{ name => 'statement_timeout', before => q{SET LOCAL statement_timeout = '3s'}, how => sub { $session->answer }, state => '57014' },
	{ name => 'pg_terminate_backend', how => sub { $other->ask("SELECT pg_terminate_backend(@{[ $session->pid ]})"); $session->answer },
		state => '57P01' },
	{ name => 'the client has gone', before => q{SET LOCAL client_connection_check_interval = '100ms'}, how => sub { $session->vanish; undef } });

foreach my $end (@ends)
{
	my $who = new_person();
	$sim->rule({ match => { body => $who }, fault => $end->{record} ? { delay => 0.2 } : { hang => \1 } });
	$session->send("BEGIN; @{[ $end->{before} // 'SELECT' ]}; SAVEPOINT s; " . add($who));
	on_the_wire($who);
	my $answer = $end->{how}->();
	is($answer->{state}, $end->{state}, "$end->{name} in the middle of an answer") if $end->{state};
	$end->{record} ? is_recorded($who, $answered, "$end->{name}: the record stays")
	  : is_recorded($who, 'sent, answered unknown_result', '... recorded as unknown');
	is($other->ask("SELECT DISTINCT detail ->> 'note' FROM wawp.audit WHERE jid = '$who\@c.us' AND detail IS NOT NULL")->{out},
		$end->{record} ? '' : 'the caller did not wait for the answer', '... with a note only where it was given up');
	$session = WawpTest->session($node) if !$end->{record};
	$session->ask('ROLLBACK') if $end->{record};
}

# In a subtransaction that fails, seen from PL/pgSQL
my $who = new_person();
is($session->ask(qq{DO \$\$ BEGIN PERFORM * FROM wawp_add_participants('$group', ARRAY['$who']); RAISE 'no';
	EXCEPTION WHEN raise_exception THEN NULL; END \$\$})->{state},
	'', 'an exception block around a call');
is_recorded($who, $answered, '... undoes no record');

# ---- the worker has to wait

$session->ask(q{SET wawp.audit_timeout = '60s'});
foreach my $table ('wawp.audit_log', 'wawp.contact')
{
	$who = new_person();
	lock_table($table);
	$session->send(add($who));
	ok(worker_waits(), "$table is locked: the worker has to wait");
	end_worker() foreach 1 .. 2;
	is(requests_about($who), 0, '... and dies twice: nothing is sent');
	unlock();
	my $answer = $session->answer;
	is($answer->{out}, 'accepted', '... unlocked: the call goes through') || diag($answer->{err});
	is_recorded($who, $answered, '... with one set of rows');
	is(requests_about($who), 1, '... and one request');
}

$session->ask(q{SET wawp.audit_timeout = '300ms'});
foreach my $table ('wawp.audit_log', 'wawp.contact')
{
	my @tried = map { new_person() } 1 .. 3;
	lock_table($table);
	foreach (@tried)
	{
		my $answer = $session->ask(add($_));
		is($answer->{state}, '55000', "$table is locked for longer than wawp.audit_timeout: 55000");
		like($answer->{err}, qr/within wawp\.audit_timeout.*Nothing was sent/s, '... which says that nothing was sent');
		is_soon($answer->{seconds}, '... in time');
	}
	unlock();
	$who = new_person();
	my $answer = $session->ask("SET wawp.audit_timeout = '60s'; " . add($who));
	is($answer->{out}, 'accepted', 'unlocked: the next call goes through');
	is_soon($answer->{seconds}, '... soon');
	is(scalar(map { requests_about($_) || () } @tried), 0, '... the others were not sent');
	is_recorded($_, qr/^(sent, answered unreachable)?$/, '... nor is there a "sent" that is not taken back') foreach @tried;
	$session->ask("SET wawp.audit_timeout = '300ms'");
}

# ---- a table that decides about the call is locked

sub session_waits
{
	return $other->until("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = @{[ $session->pid ]}", '1');
}

foreach my $table (map { "wawp.$_" } qw(hold identity group_settings suppression))
{
	$who = new_person();
	lock_table($table);
	my $answer = $session->ask(add($who));
	is($answer->{state}, '55000', "$table is locked for longer than wawp.audit_timeout: 55000");
	like($answer->{err}, qr/could not be read within wawp\.audit_timeout.*Nothing was sent/s, '... which says that nothing was sent');
	is_soon($answer->{seconds}, '... in time');
	$answer = $session->ask("SET wawp.audit_timeout = '60s'; SET lock_timeout = '300ms'; " . add($who));
	is($answer->{state}, '55000', "$table is locked for longer than lock_timeout: 55000");
	is_soon($answer->{seconds}, '... in time');
	is($session->ask('SHOW lock_timeout')->{out}, '300ms', '... and the setting stays');
	$session->send('RESET lock_timeout; ' . add($who));
	is(session_waits(), '1', '... it is waited for');
	is(requests_about($who), 0, '... and nothing is sent');
	unlock();
	$answer = $session->answer;
	is($answer->{out}, 'accepted', '... unlocked in time: the call goes through') || diag($answer->{err});
	is_recorded($who, $answered, '... with one record');
	$session->ask(q{SET wawp.audit_timeout = '300ms'});
}
$who = new_person();
lock_table('wawp.suppression');
is($session->ask("SET wawp.audit_timeout = '60s'; SELECT count(*) FROM wawp_promote_participants('$group', ARRAY['$who'])")->{out}, '1',
	'the opt-out list is locked: what is no add does not read it');
is(requests_about($who), 1, '... and is sent');
unlock();
$session->ask(q{SET wawp.audit_timeout = '300ms'});

# Given up while the worker has it in hand, and then ...
my $gave_up = "SET wawp.audit_timeout = '100ms'; ";
lock_table('wawp.audit_log');
$session->ask($gave_up . add(new_person()));
$session->send("SET wawp.audit_timeout = '60s'; " . add($who = new_person()));
sleep 0.5;
unlock();
my $answer = $session->answer;
is($answer->{out}, 'accepted', 'the next call waits until the worker has given the last one up');
is_soon($answer->{seconds}, '... and not longer');
foreach (1 .. 3)
{
	lock_table('wawp.audit_log');
	$session->ask($gave_up . add($who = new_person()));
	end_worker();
	unlock();
	is($session->ask("SET wawp.audit_timeout = '60s'; " . add(new_person()))->{out}, 'accepted',
		'the worker ends with what was given up: the next call goes through');
	is_recorded($who, qr/^(sent, answered unreachable)?$/, '... "sent" and what became of it, or neither');
}

# ... it is committed a moment too late, with no time to say so before the next is given up: who locked after the
# worker comes after it.
my $second = WawpTest->session($node);
my $committed = poll_until(sub {
	lock_table('wawp.audit_log');
	$session->ask($gave_up . add($who = new_person()));
	$second->send('BEGIN; LOCK TABLE wawp.audit_log IN ACCESS EXCLUSIVE MODE');
	# by a session that is there: a psql takes longer to start than the worker waits for the lock
	$other->until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = @{[ $second->pid ]})", 't');
	unlock();
	$second->answer;
	my $found = $other->ask("SELECT count(*) FROM wawp.contact WHERE jid = '$who\@c.us'")->{out};
	$second->ask('COMMIT') if !$found;
	return $found;
});
ok($committed, 'a record is committed that nobody waits for any more');
is(scalar(grep { $session->ask("SET wawp.audit_timeout = '10ms'; " . add(new_person()))->{state} eq '55000' } 1 .. 40), 40,
	'... while others are given up');
$second->ask('COMMIT');
is_recorded($who, 'sent, answered unreachable', '... it is taken back in the end');
$second->quit;

# Ended while it waits for its record
foreach (grep { $_->{state} } @ends)
{
	$who = new_person();
	lock_table('wawp.audit_log');
	$session->send("SET wawp.audit_timeout = '60s'; BEGIN; @{[ $_->{before} // 'SELECT' ]}; SAVEPOINT s; " . add($who));
	worker_waits();
	is($_->{how}->()->{state}, $_->{state}, "$_->{name} while it waits for its record");
	unlock();
	$session->quit;
	$session = WawpTest->session($node);
	is($session->ask(add(new_person()))->{out}, 'accepted', '... the next call goes through');
	is_recorded($who, qr/^(sent, answered unreachable)?$/, '... no "sent" is left');
	is(requests_about($who), 0, '... and nothing was sent');
}

# ---- nobody to record it

$session->ask("SET wawp.audit_timeout = '500ms'");
$locker->send('CREATE DATABASE copy TEMPLATE postgres');
$other->until(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp worker'}, 0);
$who = new_person();
$answer = $session->ask(add($who));
is($answer->{state}, '55000', 'while a statement bars the worker: 55000');
like($answer->{err}, qr/no wawp worker runs in this database.*Nothing was sent/s, '... which says so');
$other->ask("SELECT pg_cancel_backend(@{[ $locker->pid ]})");
$locker->answer;
is(requests_about($who), 0, '... nothing was sent');
is($session->ask("SET wawp.audit_timeout = '60s'; " . add(new_person()))->{out}, 'accepted', '... and when it is not barred any more, it is');

{
	my $sim = WawpTest->sim;
	my $crowded = WawpTest->node('crowded', sim => $sim, options => { adds_per_minute => 0 },
		conf => "max_worker_processes = 1\nmax_logical_replication_workers = 0\n");
	my $alone = WawpTest->session($crowded);
	$who = new_person();
	$answer = $alone->ask("SET wawp.audit_timeout = '500ms'; " . add($who));
	is($answer->{state}, '55000', 'no slot is free for a worker: 55000');
	like($answer->{err}, qr/no wawp worker.*Nothing was sent.*max_worker_processes/s, '... which says what to do');
	is($sim->count('add$'), 0, '... nothing was sent');
	ok(poll_until(sub { slurp_file($crowded->logfile) =~ /no free slot/ }), '... and the log says so');
	is($alone->ask("SELECT count(*) FROM wawp_participants('$group')")->{state}, '', '... what only reads needs no worker');
	$crowded->safe_psql('postgres', 'ALTER SYSTEM SET max_worker_processes = 8');
	$alone->quit;
	$crowded->restart;
	is($crowded->safe_psql('postgres', add($who)), 'accepted', '... with one, it is sent');
	$crowded->stop;
}

$node->safe_psql('postgres', 'ALTER SYSTEM SET wawp.worker = off');
$node->reload;
$session->until('SHOW wawp.worker', 'off');
$who = new_person();
is($session->ask(add($who))->{out}, 'accepted', 'wawp.worker = off: calls are made');
is_recorded($who, $answered, '... and recorded');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET wawp.worker');
$node->reload;

# ---- locks that the caller holds

foreach (
	[ 'cancelled and asked again for the same person', "SELECT wawp_cancel(id) FROM wawp_request_add('GROUP', ARRAY['WHO']); SELECT id
		FROM wawp_request_add('GROUP', ARRAY['WHO'])" ],
	[ 'asked for the opposite', "SELECT id FROM wawp_request_remove('GROUP', ARRAY['WHO'])" ],
	[ 'paused another group', "SELECT wawp_pause('support', 'GROUP')" ],
	[ 'locked the queue', 'LOCK TABLE wawp.membership_intent IN ACCESS EXCLUSIVE MODE' ],
	[ 'locked the queue, the holds and the notes', 'LOCK TABLE wawp.membership_intent, wawp.hold, wawp.audit_note IN ACCESS EXCLUSIVE MODE' ],
	[ "locked the person's row", "SELECT FROM wawp.contact WHERE jid = 'WHO\@c.us' FOR UPDATE" ],
	[ 'created a table and an index', 'CREATE TABLE mine (i int PRIMARY KEY)' ])
{
	my ($name, $sql) = @$_;
	my $elsewhere = new_group();
	$who = new_person();
	$session->ask(add($who));
	$sql =~ s/WHO/$who/g;
	$sql =~ s/GROUP/$elsewhere/g;
	# something for the worker to do while the caller has its locks
	my $soon = $name =~ /the queue/ ? '2 s' : '300 ms';
	$other->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}',
		ARRAY['@{[ new_person() ]}'], not_before => clock_timestamp() + interval '$soon')");
	$answer = $session->ask("BEGIN; $sql");
	is($answer->{state}, '', "the caller has $name") || diag($answer->{err});
	ok(worker_waits(), '... for which the worker has to wait') if $name =~ /the queue/;
	$answer = $session->ask(add($who));
	is($answer->{out}, 'accepted', '... a call goes through') || diag($answer->{err});
	is_soon($answer->{seconds}, '... promptly');
	$session->ask('ROLLBACK');
	is_recorded($who, "$answered, $answered", "... and is recorded, with $name") || diag($other->ask('SELECT string_agg(a::text, chr(10)) FROM (SELECT * FROM wawp.audit ORDER BY id DESC LIMIT 6) a')->{out});
}

# ---- transactions of other kinds

foreach my $mode ('ISOLATION LEVEL SERIALIZABLE', 'ISOLATION LEVEL REPEATABLE READ')
{
	$who = new_person();
	$session->ask("BEGIN $mode; SELECT count(*) FROM wawp.audit_log");
	is($session->ask(add($who))->{out}, 'accepted', "$mode: a call goes through");
	is_recorded($who, $answered, '... is recorded while the transaction is open');
	is($session->ask('COMMIT')->{state}, '', '... which commits');
}
foreach my $mode ('READ ONLY', 'ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE')
{
	$who = new_person();
	$session->ask("BEGIN $mode");
	is($session->ask(add($who))->{state}, '25006', "$mode: a call is refused");
	is(requests_about($who), 0, '... and nothing is sent');
	$session->ask('ROLLBACK');
}
$session->ask('SET default_transaction_read_only = on');
$who = new_person();
is($session->ask(add($who))->{state}, '25006', 'default_transaction_read_only: a call is refused');
is(requests_about($who), 0, '... and nothing is sent');
$session->ask('RESET default_transaction_read_only; SET synchronous_commit = off');
is($session->ask(add($who))->{out}, 'accepted', 'synchronous_commit = off: a call goes through');
is_recorded($who, $answered, '... and is recorded');
$session->ask('RESET synchronous_commit');

# ---- a statement over several groups

my @row = map { new_group() } 1 .. 3;
$who = new_person();
$session->ask(q{SET wawp.audit_timeout = '2s'});
$sim->rule({ match => { body => $who }, times => 1, fault => { gate => \1 } });
$session->send(qq{SELECT n, outcome, detail FROM unnest(ARRAY['$row[0]', '$row[1]', '$row[2]']) WITH ORDINALITY AS t(g, n),
	LATERAL wawp_add_participants(g, ARRAY['$who'])});
$sim->arrived($row[0]);
lock_table('wawp.audit_log');
$sim->unrule;
$answer = $session->answer;
like($answer->{out}, qr/\A1\|accepted\|\n2\|unreachable\|.*not be recorded.*\n3\|unreachable\|.*not be recorded.*\z/,
	'a statement over groups, the second cannot be recorded: rows') || diag($answer->{err});
is_soon($answer->{seconds}, '... in time');
is($session->ask(add(new_person()))->{state}, '55000', '... the first of the next statement: an error');
unlock();
is(requests_about($who), 1, '... only the first was sent');
is($other->until("SELECT string_agg(kind || ' ' || coalesce(outcome::text, '-'), ', ' ORDER BY id) FROM wawp.audit WHERE group_jid = '$row[0]'",
	'sent -, answered accepted'), 'sent -, answered accepted', '... and the first is recorded');

@row = map { new_group() } 1 .. 2;
$who = new_person();
$session->ask(q{SET wawp.audit_timeout = '300ms'});
$sim->rule({ match => { body => $who }, times => 1, fault => { gate => \1 } });
$session->send(qq{SELECT n, outcome, detail FROM unnest(ARRAY['$row[0]', '$row[1]']) WITH ORDINALITY AS t(g, n),
	LATERAL wawp_add_participants(g, ARRAY['$who'])});
$sim->arrived($row[0]);
lock_table('wawp.hold');
$sim->unrule;
$answer = $session->answer;
like($answer->{out}, qr/\A1\|accepted\|\n2\|unreachable\|.*not be read\z/, '... the holds cannot be read for the second: rows') || diag($answer->{err});
unlock();
is(requests_about($who), 1, '... only the first was sent');
$session->ask('RESET wawp.audit_timeout');

# ---- who is in a record

my @crowd = map { new_person() } 1 .. 60;
$group = new_group();
is($session->ask("SELECT outcome, count(*) FROM wawp_add_participants('$group', ARRAY['@{[ join q(', '), @crowd ]}'])
	GROUP BY 1")->{out}, 'accepted|60',
	'60 people in an array');
my @two = grep { JSON::PP->new->encode($_) =~ /$crowd[0]|$crowd[59]/ } $sim->ledger('add$');
is_deeply([ map { scalar @{ $_->{body}{participants} } } @two ], [ 50, 10 ],
	'... are two requests');
is($other->until("SELECT string_agg(concat_ws(' ', kind, n), ', ' ORDER BY first) FROM (SELECT request_id, kind, count(*) n, min(id) first
	FROM wawp.audit
	WHERE group_jid = '$group' GROUP BY 1, 2) r", 'sent 50, answered 50, sent 10, answered 10'),
	'sent 50, answered 50, sent 10, answered 10', '... each with its record');

$group = new_group();
my ($one, $two) = (new_person(), new_person());
$session->ask("SELECT * FROM wawp_add_participants('$group',
	ARRAY['$one', '+$one', 'nonsense', NULL, '$two', '$one\@s.whatsapp.net', '$group', '$two\@c.us'])");
is($other->until("SELECT string_agg(kind || ' ' || split_part(jid, '\@', 1), ', ' ORDER BY id) FROM wawp.audit
	WHERE group_jid = '$group'", qr/answered/),
	"sent $one, sent $two, answered $one, answered $two", 'duplicates and what is no person: one row per person');

$group = new_group();
is($session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['nonsense', NULL])")->{out}, "bad_identifier\nbad_identifier",
	'nobody to send for');
is($session->ask("SELECT count(*) FROM wawp_add_participants('$group', '{}')")->{out}, 0, '... or nobody at all');
$session->ask(add(new_person()));
is($other->ask("SELECT count(*) FROM wawp.audit WHERE group_jid = '$group' AND jid IS NULL")->{out}, 0, '... leaves no record');

# ---- who asked

$session->ask(q{CREATE ROLE desk; CREATE ROLE clerk LOGIN; GRANT desk TO clerk; GRANT USAGE ON FOREIGN SERVER support TO desk;
	CREATE FUNCTION add_for_me(g text, who text) RETURNS SETOF wawp.outcome LANGUAGE sql SECURITY DEFINER AS 'SELECT outcome
		FROM wawp_add_participants(g, ARRAY[who], ''support'')'});
my $clerk = WawpTest->session($node, 'postgres', user => 'clerk', application_name => 'front "desk"');
$group = new_group();
my $owner = $session->ask('SELECT current_user')->{out};
$clerk->ask(q{SET wawp.actor = 'Ana O''Neill'; SET ROLE desk});
is($clerk->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['@{[ new_person() ]}'], 'support', 'shift \"north\"')")->{out}, 'accepted',
	'a call under SET ROLE');
is($clerk->ask("SELECT add_for_me('$group', '@{[ new_person() ]}')")->{out}, 'accepted', '... and in a definer\'s function');
is($clerk->ask(qq{SET wawp.actor = ''; SET application_name = ''; SELECT add_for_me('$group', '@{[ new_person() ]}')})->{out}, 'accepted',
	'... without actor and application');
is($other->until("SELECT string_agg(concat_ws('/', kind, login_role, requested_by, coalesce(actor, '-'),
	coalesce(application_name, '-'), coalesce(reason, '-')), E'\\n' ORDER BY id)
	FROM wawp.audit WHERE group_jid = '$group'", qr/(answered.*){3}/s), join("\n", map { ("sent/$_", "answered/$_") }
	"clerk/desk/Ana O'Neill/front \"desk\"/shift \"north\"", "clerk/$owner/Ana O'Neill/front \"desk\"/-", "clerk/$owner/-/-/-"),
	'... who logged in, as whom, who claims to act, by what, why');
$clerk->quit;

$group = new_group();
foreach ([ 'a reason', "reason => repeat('x', 10240)" ], [ 'an actor', "reason => set_config('wawp.actor', repeat('x', 10240), false)" ])
{
	my ($name, $argument) = @$_;
	$who = new_person();
	$answer = $session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], $argument)");
	is($answer->{state}, '22001', "$name of 10 kB: 22001") || diag($answer->{err});
	is(requests_about($who), 0, '... nothing is sent');
	is($other->ask("SELECT count(*) FROM wawp.audit WHERE group_jid = '$group'")->{out}, 0, '... or recorded');
	$session->ask("RESET wawp.actor");
}
$who = new_person();
is($session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], reason => repeat('x', 3000))")->{out}, 'accepted',
	'a reason of 3 kB');
is($other->until("SELECT length(reason) FROM wawp.audit WHERE group_jid = '$group' AND kind = 'answered'", 3000), 3000, '... is recorded whole');

# ---- other calls

my $under_way = q{SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled')};
is($other->until($under_way, 0), 0, 'what the worker was given to do meanwhile is done, and recorded');
foreach (
	[ 'wawp_create_group', "SELECT wawp_create_group('Choir', ARRAY['ONE', 'TWO'])", 'add/ONE/create/-, add/TWO/create/-',
		'add/ONE/create/accepted, add/TWO/create/accepted' ],
	[ 'wawp_send_text to a person', "SELECT wawp_send_text('ONE', 'secret words')", '-/ONE/send/-', '-/ONE/send/accepted' ],
	[ 'wawp_send_text to a group', "SELECT wawp_send_text('$group', 'secret words')", '-/-/send/-', '-/-/send/accepted' ],
	[ 'wawp_revoke_invite_link', "SELECT wawp_revoke_invite_link('120363012345678901\@g.us')", '-/-/revoke/-', '-/-/revoke/accepted' ])
{
	my ($name, $sql, $sent, $done) = @$_;
	my ($first, $second) = (new_person(), new_person());
	s/ONE/$first/g, s/TWO/$second/g foreach $sql, $sent, $done;
	my $before = $other->ask('SELECT max(id) FROM wawp.audit_log')->{out};
	$answer = $session->ask("BEGIN; $sql; ROLLBACK");
	is($answer->{state}, '', $name) || diag($answer->{err});
	my @rows = map { $other->until("SELECT string_agg(concat_ws('/', coalesce(action::text, '-'), coalesce(split_part(jid, '\@', 1), '-'),
		substring(detail ->> 'call' FROM '^\\w+'), coalesce(outcome::text, '-')), ', ' ORDER BY id)
		FROM wawp.audit WHERE id > $before AND kind = '$_'", qr/./) } qw(sent answered);
	is_deeply(\@rows, [ $sent, $done ], '... is recorded, although it was rolled back');
	is($other->ask("SELECT count(*) FROM wawp.audit a WHERE id > $before AND a::text LIKE '%secret%'")->{out}, 0, '... without what it said');
}
is($other->ask("SELECT count(DISTINCT group_jid) FROM wawp.audit WHERE detail ->> 'call' LIKE 'create%' AND kind = 'answered'
	AND group_jid LIKE '%\@g.us'")->{out}, 1,
	'what was created is named');
$sim->rule({ match => { body => 'Chess' }, answer => { status => 500 } });
isnt($session->ask("SELECT wawp_create_group('Chess', ARRAY['@{[ new_person() ]}'])")->{state}, '', 'a group that is not created');
is($other->until("SELECT outcome, http_status FROM wawp.audit WHERE detail ->> 'call' LIKE 'create%'
	AND kind = 'answered' ORDER BY id DESC LIMIT 1", 'server_error|500'),
	'server_error|500', '... is recorded as what it is');

my $before = $other->ask('SELECT count(*) FROM wawp.audit_log')->{out};
foreach ('wawp_participants($1)', 'wawp_group_info($1)', 'wawp_groups()', 'wawp_session()', 'wawp_invite_link($1)', 'wawp_check_exists(ARRAY[$2])',
	'wawp_check_participants($1, ARRAY[$2])', 'wawp_join_requests($1)')
{
	my $sql = s/\$1/'120363012345678901\@g.us'/r =~ s/\$2/'$member'/r;
	is($session->ask("SELECT count(*) FROM $sql")->{state}, '', "$sql works");
}
$session->ask(add($who = new_person()));
is_recorded($who, $answered, '... later');
is($other->ask('SELECT count(*) FROM wawp.audit_log')->{out}, $before + 2, '... what only reads is not recorded');

# ---- many

$group = new_group();
is($session->ask(qq{DO \$\$ DECLARE got wawp.outcome; BEGIN
	FOR i IN 1 .. 200 LOOP
		SELECT outcome INTO STRICT got FROM wawp_add_participants('$group', ARRAY['1555740' || to_char(i, 'FM0000')]);
		ASSERT got = 'accepted';
	END LOOP; END \$\$})->{state}, '', '200 calls in PL/pgSQL');
is($other->until("SELECT count(*) FILTER (WHERE kind = 'sent') || ' ' || count(*) FILTER (WHERE kind = 'answered' AND outcome = 'accepted')
	|| ' ' || count(DISTINCT request_id)
	FROM wawp.audit WHERE group_jid = '$group'", '200 200 200'), '200 200 200', '... 200 records');
$group = new_group();
$session->ask('PREPARE adding AS SELECT outcome FROM wawp_add_participants($1, ARRAY[$2])');
my @prepared = map { $session->ask("EXECUTE adding('$group', '@{[ new_person() ]}')")->{out} } 1 .. 20;
is(scalar(grep { $_ eq 'accepted' } @prepared), 20, 'a prepared statement, 20 times');
is($other->until("SELECT count(*) FROM wawp.audit WHERE group_jid = '$group'", 40), 40, '... 20 records');
books_balance('all of these');

# ---- sessions that wait not long enough, a log that is locked now and then, a worker that ends now and then
my @hasty = map { WawpTest->session($node) } 1 .. 3;
$_->send(qq{DO \$\$
DECLARE done int := 0; refused int := 0; missed int := 0; got wawp.outcome;
BEGIN
	WHILE clock_timestamp() < statement_timestamp() + interval '6 s' LOOP
		PERFORM set_config('wawp.audit_timeout', (10 + random() * 80)::int::text, false);
		BEGIN
			SELECT outcome INTO STRICT got FROM wawp_add_participants('$group', ARRAY['1555720' || to_char(nextval('person'), 'FM0000')]);
			done := done + (got = 'accepted')::int;
			missed := missed + (got = 'unreachable')::int;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			refused := refused + 1;
		END;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE WARNING 'done %, not recorded: rows %, errors %', done, missed, refused;
END \$\$}) foreach @hasty;
my $until = time + 5.5;
for (my $round = 0; time < $until; $round++)
{
	lock_table('wawp.audit_log');
	sleep 0.05 + rand 0.25;
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'wawp worker'}) if $round % 5 == 0;
	unlock();
	sleep rand 0.15;
}
my @said = map { $_->answer->{err} =~ /WARNING:  \d+: (done .*)/ } @hasty;
diag("hasty sessions: $_") foreach @said;
is(scalar @said, 3, 'hasty sessions beside a log that is locked now and then come to an end');
$_->quit foreach @hasty;
books_balance('hasty sessions');

# ---- a worker that ends again and again

my @busy = map { WawpTest->session($node) } 1 .. 4;
$busy[$_]->send(qq{SELECT outcome, count(*) FROM generate_series(1, 200) i, wawp_add_participants('$group', ARRAY['15557$_'
	|| to_char(i, 'FM00000')]) GROUP BY 1}) foreach 0 .. 3;
foreach (1 .. 6)
{
	end_worker();
	sleep 0.1;
}
is($_->answer->{out}, 'accepted|200', '200 calls in a statement, while the worker ends six times') foreach @busy;
$_->quit foreach @busy;
books_balance('a worker that ends');

# ---- kill -9, immediate stop

my @lost;
foreach my $death ('kill -9 of the backend', 'immediate stop')
{
	push @lost, $who = new_person();
	$sim->rule({ match => { body => $who }, fault => { hang => \1 } });
	$session->send("SET synchronous_commit = off; BEGIN; " . add($who));
	on_the_wire($who);
	if ($death =~ /kill/)
	{
		kill 'KILL', $session->pid;
		poll_until(sub { $other->ask('SELECT')->{gone} });
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	$node->poll_query_until('postgres', 'SELECT true');
	($session, $other) = map { WawpTest->session($node) } 1 .. 2;
	is($other->ask(record_of($who))->{out}, 'sent', "$death in the middle of an answer: the record is there");
	is($session->ask(add($who = new_person()))->{out}, 'accepted', '... calls go on');
	is_recorded($who, $answered, '... and are recorded');
}
books_balance('after crashes', @lost);
is($node->safe_psql('postgres', 'SELECT count(*) FROM wawp.audit_note'), 0, 'no note is left');
done_testing();
