
# The worker, the server, or both are killed at any moment: no intent is lost, no request lacks its record, and
# service continues without intervention.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

use constant IN_FLIGHT => 24;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node(
	'main',
	sim => $sim,
	options => { adds_per_minute => 0, concurrency => IN_FLIGHT, timeout_ms => 600000 },
	conf => "restart_after_crash = on\nlog_statement = none\n");
my $group = '120363012345678901@g.us';
my $intents = 0;

# Sessions die with the server: one for each question, asked until it is answered.
sub ask
{
	my ($sql) = @_;
	my $out;
	poll_until(sub { my ($status, $rows) = $node->psql('postgres', $sql); $out = $rows; return $status == 0; })
	  or die "no answer to $sql\n";
	return $out;
}

sub wait_for
{
	my ($sql, $expected) = @_;
	my $out;
	poll_until(sub { $out = ask($sql); return ref $expected ? $out =~ $expected : $out eq $expected; });
	return $out;
}

# What was asked for; not what was looked at.
sub requests { return $sim->ctl(GET => 'count?path=add%24')->{count}; }

# After a kill -9 of the postmaster its children end by themselves, and only then can another start.
sub start_again
{
	poll_until(sub { $node->{_pid} = undef; return $node->start(fail_ok => 1); }) or die "the server does not start\n";
	return;
}

# A worker that is stopped must not come to do anything more: it is killed, or finds the signal when it wakes up.
sub kill_postmaster
{
	my ($signal, $worker, $is_stopped) = @_;
	my @children = split /\n/, ask('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	kill $signal, $node->{_pid};
	sleep 0.1 if $is_stopped;
	kill $signal eq 'KILL' ? 'KILL' : 'CONT', $worker if $is_stopped;
	poll_until(sub { !grep { memory_kb($_) } @children });    # a zombie has none
	start_again();
	return;
}

my %death = (
	'kill -9 of the worker' => sub { kill 'KILL', $_[0]; },
	'kill -9 of the postmaster' => sub { kill_postmaster('KILL', @_); },
	'immediate stop' => sub { kill_postmaster('QUIT', @_); },
	'the end of the worker' => sub { ask("SELECT pg_terminate_backend($_[0])"); });

# ---- at any moment

$sim->world({ auto_groups => \1 });

sub enqueue
{
	my ($number) = @_;
	my ($from, $to) = ($intents, $intents + $number - 1);
	ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id)
		SELECT '12036308880' || to_char(i % 20, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), 'crash' FROM generate_series($from, $to) i");
	$intents += $number;
	return;
}

my @recovery;
my @deaths = (('kill -9 of the worker', 'kill -9 of the postmaster', 'immediate stop') x 2, 'the end of the worker',
	'kill -9 of the worker');
my $before_deaths = time;
foreach my $how (@deaths)
{
	my $seen = requests();
	enqueue(150);
	# far enough for more than the rows in doubt to have been served
	poll_until(sub { requests() >= $seen + 30 }) or diag("only @{[ requests() - $seen ]} requests before $how");
	my $worker = WawpTest->worker($node);
	sleep rand 0.15;
	my $at = time;
	my $so_far = requests();
	$death{$how}->($worker);
	my $unfinished = q{SELECT count(*) FROM wawp.membership_intent WHERE state IN ('queued', 'sending')};
	poll_until(sub { requests() > $so_far + IN_FLIGHT || ask($unfinished) == 0 });
	push @recovery, [ $how, time - $at ];
}
is(wait_for("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled')", 0), 0,
	"after @{[ scalar @deaths ]} deaths all intents come to an end");
# Recovery and a new start of the server's processes are in it, which a busy machine makes longer; a lost wake-up would take a minute more.
cmp_ok($_->[1], '<', 2 * soon(), "$_->[0]: service goes on within seconds") foreach @recovery;

# The books: what was asked, what arrived, what is recorded.
sub books
{
	my (%ledger, %sent);
	$ledger{$_}++ foreach map { s/add //r } $sim->people('add$');
	foreach (split /\n/, ask("SELECT split_part(jid, '\@', 1), count(*) FROM wawp.audit WHERE kind = 'sent' AND action = 'add' GROUP BY 1"))
	{
		my ($person, $n) = split /\|/;
		$sent{$person} = $n;
	}
	return (\%ledger, \%sent);
}

my ($ledger, $sent) = books();
my $lost = $intents - ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'crash' AND state IN ('done', 'failed', 'cancelled')");
my $undone = ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'crash' AND state <> 'done'");
my @unrecorded = grep { $ledger->{$_} > ($sent->{$_} // 0) } keys %$ledger;
my $never = grep { !$ledger->{ sprintf '1556%07d', $_ } } 0 .. $intents - 1;
my $twice = grep { $_ > 1 } values %$ledger;
my $unsent = 0;
$unsent += $sent->{$_} - ($ledger->{$_} // 0) foreach keys %$sent;
diag(sprintf '%d intents, %d deaths in %.1f s: lost %d, sent twice %d, unknown %d, recorded but never sent %d', $intents,
	scalar @deaths, time - $before_deaths, $lost, $twice, $undone, $unsent);
diag(sprintf 'seconds to recover: %s', join ', ', map { sprintf '%.2f (%s)', $_->[1], $_->[0] } @recovery);
cmp_ok($intents, '>=', 1000, '1,000 intents and more');
is($lost, 0, 'none is lost');
is($never, 0, 'each arrived at the API');
is($undone, 0, '... and is done');
is(scalar @unrecorded, 0, 'each request has its record') || diag("@unrecorded");
cmp_ok($twice, '<=', IN_FLIGHT * @deaths, 'no more are sent twice than were in flight');
cmp_ok((sort { $b <=> $a } values %$ledger)[0], '<=', 3, '... and nobody again and again');
is(ask('SELECT min(id) || $$ $$ || max(id) - count(*) || $$ $$ || count(*) - count(DISTINCT id) FROM wawp.audit_log'), '1 0 0',
	'the audit log has no gaps and no number twice');
is(ask("SELECT count(*) FROM wawp.membership_intent i WHERE batch_id = 'crash' AND state = 'done' AND NOT EXISTS
	(SELECT FROM wawp.audit_log a WHERE a.intent_id = i.id AND a.kind = 'verified' AND a.outcome = i.outcome)"), 0,
	'... and how each that is done was found to be');

# ---- at each step

my $number = 0;
my ($deaf, $deaf_port) = WawpTest->deaf_port;
my @gone;
# how often it arrives in all, what the row says, what the audit log says: asked again only if it had no effect
my @again = ('2 1 added', 'sent, verified unknown_result, sent, answered accepted, verified added');
my @found = ('1 1 added', 'sent, verified added');
my %step = (
	'claimed, nothing arrived' => [ 1, @again ],
	'arrived without effect, not answered' => [ 2, @again ],
	'arrived, not answered' => [ 1, @found ],
	'answered, not settled' => [ 1, @found ]);

sub sim_is_away
{
	my ($away) = @_;
	ask("ALTER SERVER support OPTIONS (SET base_url '" . ($away ? "http://127.0.0.1:$deaf_port" : $sim->url) . "')");
	return;
}

# So that nothing is to be asked before an add, neither of the group nor of the number: see "claimed, nothing arrived".
sub know_all
{
	my ($who) = @_;
	my $other = sprintf '1555700%04d', ++$number;
	my $id = ask("SELECT id FROM wawp_request_add('$group', ARRAY['$other'], verify => false)");
	wait_for("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done');
	ask("INSERT INTO wawp.contact (jid, registered, checked_at) VALUES ('$who\@c.us', true, now())");
	return;
}

foreach my $step (sort keys %step)
{
	my ($arrivals, $row, $records) = @{ $step{$step} };
	foreach my $how (grep { !/end/ } sort keys %death)
	{
		my $who = sprintf '1555700%04d', ++$number;
		my $worker = WawpTest->worker($node);

		know_all($who);
		$sim->reset;
		sim_is_away($step =~ /nothing/);
		$sim->rule({ match => { body => $who }, effect => $step =~ /without effect/ ? 'none' : 'normal',
			fault => { $step =~ /not answered/ ? (hang => \1) : (gate => \1) } }) if $step !~ /nothing/;
		my $id = ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'])");
		if ($step =~ /nothing/)
		{
			is(wait_for("SELECT state FROM wawp.membership_intent WHERE id = $id", 'sending'), 'sending', "$how, $step: claimed");
			IO::Select->new($deaf)->can_read($PostgreSQL::Test::Utils::timeout_default);
			push @gone, scalar $deaf->accept;
			sim_is_away(0);
		}
		else
		{
			$sim->arrived('add$');
		}
		if ($step =~ /not settled/)
		{
			kill 'STOP', $worker;
			$sim->unrule;
			poll_until(sub { ($sim->changes)[0]{answered_at} }) or die "no answer\n";
		}
		my $at = time;
		$death{$how}->($worker, $step =~ /not settled/);
		is(wait_for("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done',
			"$how, $step: done in the end");
		is_soon(time - $at, '... within seconds');
		is(scalar($sim->people), $arrivals, '... sent again only if it had no effect');
		is(ask("SELECT attempts || ' ' || crashes || ' ' || outcome FROM wawp.membership_intent WHERE id = $id"), $row,
			'... as the row says');
		is(ask("SELECT string_agg(kind || coalesce(' ' || outcome, ''), ', ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $id"),
			$records, '... and the audit log');
	}
}

# ---- what is in doubt is seen

$sim->reset;
my $who = sprintf '1555700%04d', ++$number;
$sim->rule({ match => { body => $who }, times => 2, effect => 'none', fault => { hang => \1 } });
my $id = ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'])");
$sim->arrived('add$');
$node->safe_psql('postgres', 'ALTER SYSTEM SET wawp.worker = off');
$node->reload;
$sim->rule({ match => { method => 'GET', path => 'participants' }, fault => { gate => \1 } });
my $at = time;
$death{'kill -9 of the worker'}->(WawpTest->worker($node));
my $how_it_is = "SELECT state || ' ' || outcome || ' ' || crashes FROM wawp.membership_intent WHERE id = $id";
is(wait_for($how_it_is, qr/unknown/), 'verifying unknown_result 1', 'in doubt: it is looked for');
is_soon(time - $at, '... within seconds of the restart');
like(ask("SELECT state || ' ' || why FROM wawp.stuck WHERE id = $id"), qr/verifying .*in doubt/, '... in wawp.stuck');
$sim->unrule;
$sim->rule({ match => { body => $who }, effect => 'none', fault => { hang => \1 } });
is(wait_for($how_it_is, qr/queued/), 'queued unknown_result 1', 'not in the member list, not sent again (wawp.worker = off)');
like(ask("SELECT state || ' ' || why FROM wawp.stuck WHERE id = $id"), qr/queued .*not in the member list/, '... in wawp.stuck');
like(ask("SELECT wawp_explain($id)"), qr/switched off/, '... and wawp_explain says what it waits for');
is($sim->count('add$'), 1, '... and not sent');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET wawp.worker');
$node->reload;
$sim->arrived('add$', 2);

# ---- a row that kills the worker

$death{'kill -9 of the worker'}->(WawpTest->worker($node));
is(wait_for("SELECT state || ' ' || outcome FROM wawp.membership_intent WHERE id = $id", qr/failed/), 'failed unknown_result',
	'the worker died twice while serving it alone: parked');
like(ask("SELECT why FROM wawp.stuck WHERE id = $id"), qr/parked/, '... in wawp.stuck');
my $bystander = ask("SELECT id FROM wawp_request_add('$group', ARRAY['15557009999'])");
is(wait_for("SELECT state FROM wawp.membership_intent WHERE id = $bystander", 'done'), 'done', '... others go on');
is(scalar(grep { /$who/ } $sim->people), 2, '... it does not');
is(ask("SELECT wawp_retry($id)"), 't', 'until somebody asks for it');
is(wait_for("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done', '... again');

# Served among others, nobody is to blame.
$sim->reset;
$sim->rule({ match => { path => 'add$' }, times => undef, effect => 'none', fault => { hang => \1 } });
my @several = split /\n/, ask("SELECT id FROM wawp_request_add('$group', ARRAY(SELECT '1555800' || to_char(i, 'FM0000') FROM generate_series(1, 4) i))");
$sim->arrived('add$', 4);
$death{'kill -9 of the worker'}->(WawpTest->worker($node));
$sim->arrived('add$', 5);
sleep 0.3;
is($sim->count('add$'), 5, 'after several died together, they are served one at a time');
is(ask('SELECT max(crashes) FROM wawp.membership_intent WHERE id IN (' . join(', ', @several) . ')'), 0,
	'... and none is blamed');
$sim->unrule;
$death{'kill -9 of the worker'}->(WawpTest->worker($node));
is(wait_for('SELECT count(*) FROM wawp.membership_intent WHERE state = $$done$$ AND id IN (' . join(', ', @several) . ')', 4), 4,
	'... in the end all are done');

is(ask('SELECT max(id) - count(*) FROM wawp.audit_log'), 0, 'the audit log has no gaps still');
is(ask('SELECT ok, checked = (SELECT count(*) FROM wawp.audit_log), problem FROM wawp_audit_verify()'), 't|t|', '... and each record is sealed');
($ledger, $sent) = books();
is(scalar(grep { $ledger->{$_} > ($sent->{$_} // 0) } keys %$ledger), 0, '... and a record of each request');
done_testing();
