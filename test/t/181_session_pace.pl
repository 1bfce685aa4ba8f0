
# The pace of calls made in the session: one budget with the worker, never exceeded, spent only by what is sent; a
# refusal says until when to wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(min);
use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', conf => "log_statement = none\nlog_min_messages = debug1\nwawp.instance = 'nobody'\n");
my ($session, $other, $locker) = map { WawpTest->session($node) } 1 .. 3;
my $groups = 0;
$session->ask('CREATE SEQUENCE person');
my $new_person = "'1556' || to_char(nextval('person'), 'FM0000000')";

# An instance with an account of its own, by the same name.
sub instance
{
	my ($name, %options) = @_;
	$sim->world({ auto_groups => \1, accounts => { $options{instance_id} // uc $name => { token => 'secret' } } });
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, pace_jitter => 0, checks_per_minute => 0, %options });
	return;
}

sub alter { my ($name, $option, $value) = @_; return $session->ask("ALTER SERVER $name OPTIONS (SET $option '$value')"); }
sub new_group { return sprintf '12036307790%07d@g.us', ++$groups; }

# So many new people in one call: an SQL expression, and how it ends, as "3 accepted, 2 throttled".
sub some { my ($number) = @_; return "ARRAY(SELECT $new_person FROM generate_series(1, $number))"; }

sub add
{
	my ($in, $instance, $number, %more) = @_;
	my $answer = $in->ask(sprintf q{SELECT string_agg(n || ' ' || outcome, ', ' ORDER BY outcome) FROM (SELECT outcome, count(*) n
		FROM wawp_add_participants('%s', %s, '%s', %s) GROUP BY 1) r},
		$more{group} // new_group(), some($number), $instance, $more{reason} // 'NULL');
	return $answer->{state} || $answer->{out};
}

# When the people that an instance added arrived.
sub arrivals
{
	my ($instance) = @_;
	my @at = map { my $request = $_; map { 1e6 * $request->{mono} } @{ $request->{body}{participants} } }
	  grep { $_->{body}{instance_id} eq uc $instance } $sim->ledger('add$');
	@at = sort { $a <=> $b } @at;
	return @at;
}

sub created
{
	my ($instance) = @_;
	return scalar(grep { $_->{method} eq 'POST' && $_->{body}{instance_id} eq uc $instance } $sim->ledger('/groups(/create)?$'));
}

# In any window no more than the pace and the burst, by the limiter's clock; nothing arrives before it is granted.
sub keeps_to
{
	my ($name, $instance, $per_minute, $burst) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @at = arrivals($instance);    # first: the worker goes on
	my @permits = WawpTest->permits(WawpTest->asks($node, uc $instance));
	my @early = grep { $at[$_] < ($permits[$_] // 9e99) - 1000 } 0 .. $#at;
	is(scalar(@early), 0, "$name: nothing arrives before it is granted")
	  || diag(sprintf '%d arrived, %d granted; ', scalar @at, scalar @permits, join ', ', map { sprintf '%d: %.0f after %.0f ms', $_, ($at[$_] - $at[0]) / 1e3, (($permits[$_] // 9e99) - $at[0]) / 1e3 } @early);
	return is(scalar(WawpTest->over_pace(60e6 / $per_minute, $burst, @permits)), 0, "$name: at most $per_minute a minute and $burst more");
}

sub lock_log { return $locker->ask('BEGIN; LOCK TABLE wawp.audit_log IN ACCESS EXCLUSIVE MODE'); }
sub unlock { return $locker->ask('COMMIT'); }

# Calls until so many were accepted, with hardly a pause, or without a number until it is cancelled.
sub hammer
{
	my ($in, $instance, $number) = @_;
	$in->send(sprintf q{DO $$ DECLARE got wawp.outcome; accepted int := 0; BEGIN WHILE accepted < %s LOOP
		SELECT outcome INTO got FROM wawp_add_participants('%s', ARRAY[%s], '%s');
		accepted := accepted + (got = 'accepted')::int;
		PERFORM pg_sleep(0.02);
	END LOOP; END $$}, $number // 1_000_000_000, new_group(), $new_person, $instance);
	return;
}

# ---- the burst, then the drip

instance('burst', adds_per_minute => 600, adds_burst => 10);
my $answer = $session->ask(sprintf q{SELECT row_number() OVER (), outcome, code IS NULL,
	round(extract(epoch FROM retry_at - lag(retry_at) OVER ()), 3),
	retry_at BETWEEN statement_timestamp() AND clock_timestamp() + interval '3 s', detail
		FROM wawp_add_participants('%s', %s, 'burst')}, new_group(), some(30));
my @rows = map { [ split /\|/ ] } split /\n/, $answer->{out};
is(scalar @rows, 30, '30 people at a pace of 600 a minute and a burst of 10: a row for each');
is(join(' ', map { $_->[1] } @rows), join(' ', ('accepted') x 11, ('throttled') x 19), '... the first 11 are sent');
is_deeply([ map { scalar @{ $_->{body}{participants} } } $sim->ledger('add$') ], [11], '... in one request');
is(scalar(grep { $_->[2] eq 't' && $_->[4] eq 't' && $_->[5] =~ /^not sent: .*pace/ } @rows[ 11 .. 29 ]), 19,
	'... the others are told why, and when to try again');
is(join(' ', map { $_->[3] } @rows[ 12 .. 29 ]), join(' ', ('0.100') x 18), '... one after the other');
hammer($session, 'burst', 40);
is($session->answer->{state}, '', 'a session that asks again and again gets what there is');
my @burst = arrivals('burst');
diag(sprintf 'one session, 600 a minute and 10: %d in %.1f s', scalar @burst, ($burst[-1] - $burst[0]) / 1e6);
keeps_to('... which', 'burst', 600, 10);

# ---- when to try again

instance('again', adds_per_minute => 600, adds_burst => 2, pace_jitter => 0.2);
$answer = $session->ask(qq{SET client_min_messages = notice; DO \$\$
DECLARE person text; got record; waits int := 0; refused int := 0;
BEGIN
	FOR i IN 1 .. 30 LOOP
		person := $new_person;
		SELECT * INTO got FROM wawp_add_participants('@{[ new_group() ]}', ARRAY[person], 'again');
		CONTINUE WHEN got.outcome = 'accepted';
		waits := waits + 1;
		PERFORM pg_sleep_until(got.retry_at);
		SELECT * INTO got FROM wawp_add_participants('@{[ new_group() ]}', ARRAY[person], 'again');
		refused := refused + (got.outcome <> 'accepted')::int;
	END LOOP;
	RAISE NOTICE 'waited %, refused %', waits, refused;
END \$\$});
like($answer->{err}, qr/waited (2[0-9]|30), refused 0\b/, 'who tries again at retry_at is not refused') || diag($answer->{err});
keeps_to('... which', 'again', 600, 2);

# ---- spent by what leaves, and by nothing else

sub left
{
	my ($name, $instance, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(add($session, $instance, 10), $expected, $name);
}

instance($_, adds_per_minute => 1, adds_burst => 2) foreach qw(away unrecorded impatient refused failing);
# A record beside such an instance_id, which is older than its limit, has no room for the longest reason.
my $wordy = 'W' x 9000;
sub wordy_instance
{
	my ($name, $id, %options) = @_;
	$sim->world({ auto_groups => \1, accounts => { $id => { token => 'secret' } } });
	WawpTest->create_server($node, $name, $sim, { instance_id => 'short', pace_jitter => 0, checks_per_minute => 0, %options });
	return $session->ask("UPDATE pg_foreign_server SET srvoptions = array_replace(srvoptions, 'instance_id=short', 'instance_id=$id')
		WHERE srvname = '$name'");
}
wordy_instance('wordy', $wordy, adds_per_minute => 1, adds_burst => 2);
alter('away', base_url => 'http://127.0.0.1:1');
is(join(' ', map { add($session, 'away', 2) } 1 .. 5), join(' ', ('2 unreachable') x 5), 'while the API is away');
alter('away', base_url => $sim->url);
left('... nothing is spent', 'away', '3 accepted, 7 throttled');

lock_log();
$session->ask(q{SET wawp.audit_timeout = '50ms'});
is(join(' ', map { add($session, 'unrecorded', 2) } 1 .. 5), join(' ', ('55000') x 5), 'while the record cannot be written');
unlock();
$session->ask('RESET wawp.audit_timeout');
left('... nothing is spent', 'unrecorded', '3 accepted, 7 throttled');

is(join(' ', map { add($session, 'wordy', 2, reason => q{repeat('x', 4000)}) } 1 .. 5), join(' ', ('54000') x 5), 'a record that is too large');
left('... nothing is spent', 'wordy', '3 accepted, 7 throttled');

lock_log();
$session->ask(q{SET statement_timeout = '50ms'});
is(join(' ', map { add($session, 'impatient', 2) } 1 .. 5), join(' ', ('57014') x 5), 'a caller that does not wait for the record');
unlock();
$session->ask('RESET statement_timeout');
left('... nothing is spent', 'impatient', '3 accepted, 7 throttled');

is($session->ask("SELECT wawp_create_group('Choir', @{[ some(4) ]}, 'refused')")->{state}, '53400',
	'a group with more people than the pace allows: 53400') foreach 1 .. 3;
is(created('refused'), 0, '... is not created');
left('... nothing is spent', 'refused', '3 accepted, 7 throttled');

$sim->rule({ match => { body => 'FAILING' }, times => 3, answer => { status => 500 } });
is(join(' ', map { add($session, 'failing', 1) } 1 .. 3), join(' ', ('1 server_error') x 3), 'what fails at the API');
left('... is spent', 'failing', '10 throttled');

# 60 people are two requests.
instance($_, adds_per_minute => 1, adds_burst => 59) foreach qw(two_unrecorded two_cancelled two_failing);
wordy_instance('two_wordy', "2$wordy", adds_per_minute => 1, adds_burst => 59);
lock_log();
$session->ask(q{SET wawp.audit_timeout = '50ms'});
is(join(' ', map { add($session, 'two_unrecorded', 60) } 1 .. 3), join(' ', ('55000') x 3), 'two requests of which the first cannot be recorded');
unlock();
$session->ask('RESET wawp.audit_timeout');
is(add($session, 'two_unrecorded', 70), '60 accepted, 10 throttled', '... nothing is spent');
is(add($session, 'two_wordy', 60, reason => q{repeat('x', 4000)}), '54000', 'two requests of which the first has too large a record');
is(add($session, 'two_wordy', 70), '60 accepted, 10 throttled', '... nothing is spent');
$sim->rule({ match => { body => 'TWO_CANCELLED' }, times => 1, fault => { hang => \1 } });
$session->ask(q{SET statement_timeout = '3s'});
is(add($session, 'two_cancelled', 60), '57014', 'two requests, cancelled in the first');
$session->ask('RESET statement_timeout');
is(add($session, 'two_cancelled', 20), '10 accepted, 10 throttled', '... the second is not spent');
$sim->rule({ match => { body => 'TWO_FAILING' }, times => 1, answer => { status => 403 } });
is(add($session, 'two_failing', 60), '60 not_admin', 'two requests, the first of which is refused');
is(add($session, 'two_failing', 20), '10 accepted, 10 throttled', '... the second is not spent');
is(add($session, 'two_failing', 3), '3 throttled', '... once');

# ---- what is held

instance('held', adds_per_minute => 0);
my $group = new_group();
add($session, 'held', 1, group => $group);
sub call
{
	my ($action, $to) = @_;
	return "SELECT outcome, retry_at IS NULL, detail FROM wawp_${action}_participants('$to', ARRAY['15560009999'], 'held')";
}

$other->ask("SELECT wawp_pause('held', '$group', 'too loud')");
my $seen = $sim->count;
like($session->ask(call($_, $group))->{out}, qr/^throttled\|t\|not sent: the group is held \(paused: too loud\)$/,
	"a group is paused: $_") foreach qw(add remove promote demote);
is($sim->count, $seen, '... nothing is sent');
is(add($session, 'held', 1), '1 accepted', '... another group is served');
$other->ask("SELECT wawp_resume('held', '$group')");
is(add($session, 'held', 1, group => $group), '1 accepted', '... resumed: this one as well');

$other->ask("SELECT wawp_pause('held', reason => 'closed on Sundays')");
$seen = $sim->count;
like($session->ask(call($_, $group))->{out}, qr/^throttled\|t\|not sent: the instance is held \(paused: closed on Sundays\)$/,
	"an instance is paused: $_") foreach qw(add remove promote demote);
$answer = $session->ask("SELECT wawp_create_group('Choir', @{[ some(1) ]}, 'held')");
is($answer->{state}, '53400', '... wawp_create_group raises');
like($answer->{err}, qr/closed on Sundays.*wawp_resume/s, '... says why, and the way out');
is($sim->count, $seen, '... nothing is sent');
is($session->ask("SELECT count(*) FROM wawp_groups('held')")->{state}, '', '... what only reads is served');
$other->ask("SELECT wawp_resume('held')");
is(add($session, 'held', 1), '1 accepted', '... resumed: served');

$session->ask(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM wawp.hold});
$other->ask("SELECT wawp_pause('held')");
is(add($session, 'held', 1), '1 throttled', 'a pause is obeyed by a transaction that began before it');
$other->ask("SELECT wawp_resume('held')");
is(add($session, 'held', 1), '1 accepted', '... and so is its end');
$session->ask('COMMIT');
$session->ask("BEGIN; SELECT wawp_pause('held')");
is(add($session, 'held', 1), '1 throttled', 'a pause is obeyed by the transaction that made it');
is(add($other, 'held', 1), '1 accepted', '... and not yet by others');
$session->ask('ROLLBACK');

$session->ask(q{INSERT INTO wawp.hold (instance, reason, since, until)
	VALUES ('held', 'server_error', clock_timestamp(), clock_timestamp() + interval '3 s')});
is($session->ask("SELECT outcome, retry_at = (SELECT until FROM wawp.hold WHERE instance = 'held')
	FROM wawp_add_participants('$group', @{[ some(1) ]}, 'held')")->{out},
	'throttled|t', 'a hold with an end: retry_at is that');
$session->ask("SELECT pg_sleep_until(until) FROM wawp.hold WHERE instance = 'held'");
is(add($session, 'held', 1), '1 accepted', '... when it is served again');

# What the worker was told to wait for.
instance('limited', adds_per_minute => 600, adds_burst => 10);
$sim->rule({ match => { path => 'add$', body => 'LIMITED' }, times => 1, answer => { status => 429, headers => { 'Retry-After' => '4' } } });
$session->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['15560008888'], 'limited')");
$session->until("SELECT count(*) FROM wawp.hold WHERE instance = 'limited'", 1);
is($session->ask("SELECT outcome, retry_at = (SELECT until FROM wawp.hold WHERE instance = 'limited')
	FROM wawp_add_participants('$group', @{[ some(1) ]}, 'limited')")->{out},
	'throttled|t', 'the API told the worker to wait: so does a session');
$session->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE jid ~ '15560008888'; SELECT pg_sleep_until(until) FROM wawp.hold
	WHERE instance = 'limited'");
is(add($session, 'limited', 30), '6 accepted, 24 throttled', '... then at half the pace, with half the burst');

# ---- a group is created with all or with nobody

instance('groups', adds_per_minute => 1, adds_burst => 4);
$answer = $session->ask("SELECT wawp_create_group('Choir', @{[ some(6) ]}, 'groups')");
is($answer->{state}, '53400', 'a group with more people than the pace allows: 53400');
like($answer->{err}, qr/pace does not allow 6 people now.*It allows 5 now and one more at /s, '... which says how many it allows');
is(created('groups'), 0, '... nothing is sent');
like($session->ask("SELECT wawp_create_group('Choir', @{[ some(5) ]}, 'groups')")->{out}, qr/\@g\.us$/, '... with so many, it is created');
is(created('groups'), 1, '... at the API');
is($session->ask("SELECT wawp_create_group('Choir', @{[ some(1) ]}, 'groups')")->{state}, '53400', '... which spent the pace');
is(add($session, 'groups', 1), '1 throttled', '... of other calls, too');
$session->ask("SELECT wawp_request_add('@{[ new_group() ]}', @{[ some(1) ]}, 'groups')");
like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE instance = 'groups'")->{out}, qr/pace/, '... and of the worker');
$session->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE instance = 'groups'");

# ---- only additions are paced

instance('others', adds_per_minute => 1, adds_burst => 0);
is(add($session, 'others', 2), '1 accepted, 1 throttled', 'a pace of one a minute');
$group = new_group();
my @members = map { "1556100000$_" } 0 .. 9;
$sim->world({ groups => { $group => { members => { '15550000001' => { role => 'superadmin' }, map { $_ => {} } @members } } } });
foreach my $action (qw(promote demote remove))
{
	my @outcomes = map { $session->ask("SELECT outcome FROM wawp_${action}_participants('$group', ARRAY['$_'], 'others')")->{out} } @members;
	is("@outcomes", join(' ', ('accepted') x 10), "... does not hold up: $action");
}

# ---- looking numbers up

instance('checks', checks_per_minute => 240);
$other->send("SELECT count(*) FROM wawp_check_exists(@{[ some(5) ]}, 'checks')");
is($session->ask("SELECT count(*) FROM wawp_check_exists(@{[ some(5) ]}, 'checks')")->{out}, 5,
	'two sessions look five numbers up each, 240 a minute');
is($other->answer->{out}, 5, '... and get an answer for each');
my @checks = sort { $a <=> $b } map { $_->{at} } grep { $_->{query}{instance_id} eq 'CHECKS' } $sim->ledger('check-exists');
is(scalar @checks, 10, '... by ten requests');
is(scalar(WawpTest->over_pace(250_000, 0, WawpTest->permits(WawpTest->asks($node, 'CHECKS', kind => 'check')))), 0, '... each in its turn');
is_soon($checks[-1] - $checks[0], '... and no later');
$answer = $session->ask("SET statement_timeout = '400ms'; SELECT count(*)
	FROM wawp_check_exists(@{[ some(10) ]}, 'checks'); RESET statement_timeout");
is($answer->{state}, '57014', '... waiting for a turn can be cancelled');

is($session->ask("SELECT count(*) FROM wawp_check_participants('@{[ new_group() ]}', @{[ some(5) ]}, 'checks') WHERE outcome IS NULL AND detail IS NULL")->{out}, 5,
	'what additions would meet: five numbers are looked up');
is(scalar(WawpTest->over_pace(250_000, 0, WawpTest->permits(WawpTest->asks($node, 'CHECKS', kind => 'check')))), 0, '... each in its turn, too');
$answer = $session->ask("SET statement_timeout = '400ms'; SELECT count(*)
	FROM wawp_check_participants('@{[ new_group() ]}', @{[ some(10) ]}, 'checks'); RESET statement_timeout");
is($answer->{state}, '57014', '... which can be cancelled');

# ---- the worker leaves the burst to sessions, and is not kept from going on by them

instance('even', adds_per_minute => 600, adds_burst => 10);
$session->ask("SELECT count(*) FROM wawp_request_add('@{[ new_group() ]}', @{[ some(400) ]}, 'even')");
poll_until(sub { arrivals('even') >= 5 });
is(add($session, 'even', 9), '9 accepted', 'while the worker goes on, a session has the burst');

my %interval = (minutely => 1, quick => 0.1);
instance('minutely', adds_per_minute => 60, adds_burst => 4);
instance('quick', adds_per_minute => 600, adds_burst => 30);
my @hammers = map { my $instance = $_; map { my $in = WawpTest->session($node); hammer($in, $instance); $in } 1 .. 2 } qw(minutely quick even);
my $even_from = WawpTest->mono;
my $even_by_worker = by_worker();
sub by_worker { return $other->ask("SELECT count(*) FROM wawp.membership_intent WHERE instance = 'even' AND state = 'done'")->{out}; }
poll_until(sub { arrivals('minutely') >= 5 && arrivals('quick') >= 31 });
foreach my $instance (('quick', 'quick', 'minutely') x 4)
{
	my $id = $other->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', @{[ some(1) ]}, '$instance')")->{out};
	is($other->until("SELECT state FROM wawp.membership_intent WHERE id = $id", qr/^(verifying|done)/) =~ /./, 1, "$instance: sessions hammer, an intent is served");
}

# A worker that has been refused for two intervals, and is still there, has the next permit.
sub out_of_turn
{
	my ($instance) = @_;
	my ($since, $asked_at, @wrong, @waited);
	foreach my $ask (WawpTest->asks($node, uc $instance))
	{
		my $patience = 2 * $ask->{interval};
		if ($ask->{by} eq 'session')
		{
			push @wrong, $ask->{at} if $ask->{granted} && defined $since && $ask->{at} - $since >= $patience && $ask->{at} - $asked_at <= $patience;
			next;
		}
		push @waited, ($ask->{at} - $since) / 1e6 if $ask->{granted} && defined $since;
		# what was given back, because something had to be asked first, begins anew, and so does who was long away
		$since = undef if $ask->{granted} || $ask->{back} || ($asked_at && $ask->{at} - $asked_at > $patience + 1e6);
		$since //= $ask->{at} if !$ask->{granted} && !$ask->{back};
		$asked_at = $ask->{at};
	}
	diag(sprintf 'sessions hammering, an interval of %.1f s: the worker waited %s s', $interval{$instance}, join ' ', map { sprintf '%.2f', $_ } @waited[ 0 .. min($#waited, 20) ])
	  if $interval{$instance};
	return @wrong;
}

ok(poll_until(sub { grep({ $_ > $even_from } arrivals('even')) >= 80 }), 'worker and sessions at once use the pace');
$session->ask("SELECT pg_cancel_backend(@{[ $_->pid ]})") foreach @hammers;
$_->answer, $_->quit foreach @hammers;
foreach my $instance (sort keys %interval)
{
	keeps_to("$instance, with sessions hammering", $instance, 60 / $interval{$instance}, $instance eq 'quick' ? 30 : 4);
	is(scalar(out_of_turn($instance)), 0, '... which do not keep an intent waiting for more than two intervals');
}
my $by_worker = by_worker() - $even_by_worker;
my @even = grep { $_ >= $even_from } arrivals('even');
my $by_sessions = @even - $by_worker;
diag(sprintf 'worker and two sessions at once: %d and %d in %.1f s', $by_worker, $by_sessions, ($even[-1] - $even[0]) / 1e6);
keeps_to('worker and sessions at once', 'even', 600, 10);
is(scalar(out_of_turn('even')), 0, '... in turn');
cmp_ok(min($by_worker, $by_sessions), '>', 0.05 * ($by_worker + $by_sessions), '... share the pace');
$session->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE state = 'queued'");

# ---- so many a day, whoever asks

SKIP:
{
	skip('a new day begins soon', 10) if 86400 - time % 86400 < 120;
	instance('daily', adds_per_minute => 0, adds_per_day => 8);
	$session->ask("SELECT wawp_request_add('@{[ new_group() ]}', @{[ some(3) ]}, 'daily', batch_id => 'daily')");
	is($session->ask("SELECT done FROM wawp_wait('daily', '180 s')")->{out}, 3, 'eight a day: the worker adds three');
	is(add($session, 'daily', 4), '4 accepted', '... a session four');
	is($session->ask("SELECT wawp_create_group('Choir', @{[ some(2) ]}, 'daily')")->{state}, '53400', '... a group of two is not created any more');
	alter('daily', base_url => 'http://127.0.0.1:1');
	is(add($session, 'daily', 1), '1 unreachable', '... what does not leave does not count');
	alter('daily', base_url => $sim->url);
	is($session->ask("SELECT adds_left_day FROM wawp.budget WHERE instance = 'daily'")->{out}, 1, '... wawp.budget says that one is left');
	is($session->until("SELECT count(*) FROM wawp.audit_log WHERE instance = 'daily' AND kind = 'answered' AND outcome = 'unreachable'", 1), 1,
		'... and the log that it did not leave');
	$session->quit;
	$node->restart;
	$session = WawpTest->session($node);
	WawpTest->worker($node);
	is($session->until("SELECT adds_left_day FROM wawp.budget WHERE instance = 'daily'", 1), 1, '... also after a restart');
	is($session->until(sprintf(q{SELECT outcome, count(*), bool_and(retry_at BETWEEN d + interval '1 day' - interval '1 s'
		AND d + interval '1 day 1 s')
		FROM date_trunc('day', now(), 'UTC') d, wawp_add_participants('%s', %s, 'daily')
			GROUP BY 1 ORDER BY 1}, new_group(), some(3)), qr/accepted/),
		"accepted|1|\nthrottled|2|t", '... it goes to the first who asks, the others wait for the next day');
	$session->ask("SELECT wawp_request_add('@{[ new_group() ]}', @{[ some(1) ]}, 'daily')");
	like($session->ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE instance = 'daily'")->{out}, qr/day/,
		'... and so does the worker');
	is(scalar(arrivals('daily')), 8, '... eight have left');
}

done_testing();
