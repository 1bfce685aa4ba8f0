
# The queue: what is committed reaches the API, once and soon; what is rolled back never does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 8 });
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
my $person = 0;

# A group of its own for each part; people that nobody has met.
sub new_group { return sprintf '12036307770%07d@g.us', ++$person; }
sub new_person { return sprintf '1555600%04d', ++$person; }

# Whoever still waits to be verified or invited would ask about groups that the simulator has forgotten, which are held then.
sub clean
{
	$session->ask('DELETE FROM wawp.membership_intent WHERE state NOT IN ($$done$$, $$failed$$, $$cancelled$$)');
	$sim->reset;
	$sim->world({ auto_groups => \1 });
	$session->ask('DELETE FROM wawp.hold');
	return;
}

# An intent by INSERT; its id.
sub insert
{
	my ($in, %columns) = @_;
	my $names = join ', ', sort keys %columns;
	my $values = join ', ', map { $columns{$_} =~ /^\w+\(|^\d+$/ ? $columns{$_} : "'$columns{$_}'" } sort keys %columns;
	my $answer = $in->ask("INSERT INTO wawp.membership_intent ($names) VALUES ($values) RETURNING id");
	die "not queued: $answer->{err}" unless $answer->{out} =~ /^\d+$/;
	return $answer->{out};
}

sub state_of { my ($id) = @_; return "SELECT state FROM wawp.membership_intent WHERE id = $id"; }
sub facts_of { my ($id) = @_; return "SELECT state, superseded FROM wawp.membership_intent WHERE id = $id"; }

sub comes_to
{
	my ($id, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last = $session->until(state_of($id), $state);
	return is($last, $state, $name) || diag($session->ask("SELECT wawp_explain($id)")->{out});
}

# Holds the next answer for someone until let_go(); the API acts at once.
sub hold_answer
{
	my ($who, %rule) = @_;
	$sim->rule({ match => { body => $who }, fault => { gate => \1 }, %rule });
	return;
}

sub let_go { return $sim->unrule; }

# Somebody else is served in a group of their own: the worker has been round since.
sub goes_round
{
	my $bystander = new_person();
	my $id = insert($session, group_jid => new_group(), jid => $bystander, @_);
	my $end = $session->until(state_of($id), 'done');
	die "nobody is served: $end" if $end ne 'done';
	return $bystander;
}

# ---- ways in

clean();
my $who = new_person();
my $id = insert($session, group_jid => $group, jid => "+$who", reason => 'test');
comes_to($id, 'done', 'an INSERT is served');
is_deeply([ $sim->people ], ["add $who"], '... and was one request');
is($session->ask("SELECT outcome, code, attempts, jid, origin, requested_by = current_user, instance, instance_id,
	settled_at IS NOT NULL FROM wawp.membership_intent WHERE id = $id")->{out},
	"added|200|1|$who\@c.us|insert|t|support|ABC123|t", '... and is recorded in the row');
is($session->ask("SELECT string_agg(kind || ' ' || coalesce(outcome::text, '-') || ' ' || reason || ' ' || jid, ', ' ORDER BY id)
	FROM wawp.audit WHERE intent_id = $id")->{out}, "sent - test $who\@c.us, answered accepted test $who\@c.us, verified added test $who\@c.us",
		'... and in the audit log');

foreach my $action (qw(add remove promote demote))
{
	clean();
	$who = $action eq 'add' ? new_person() : '15550000002';
	my $answer = $session->ask("SELECT id, jid, created, problem FROM wawp_request_$action('$group', ARRAY['$who', 'nonsense', NULL])");
	like($answer->{out}, qr/\A(\d+)\|$who\@c\.us\|t\|\n\|nonsense\|f\|.+\n\|\|f\|.+\z/,
		"wawp_request_$action answers for each element") || diag($answer->{err});
	my ($asked) = $answer->{out} =~ /^(\d+)/;
	comes_to($asked, 'done', '... and is served');
	is_deeply([ $sim->people ], ["$action $who"], '... by the request it asks for');
}

clean();
my @crowd = WawpTest->people(1000);
my $started = time;
is($session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id)
	SELECT '12036308880' || to_char(i % 50, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), 'crowd'
	FROM generate_series(0, 999) i")->{state}, '', 'INSERT ... SELECT of 1,000 in 50 groups');
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'crowd'", 1000), 1000,
	'... all of which are done');
diag(sprintf '1,000 intents in 50 groups, 8 in flight: %.1f s', time - $started);
ok(join(' ', sort $sim->people) eq join(' ', map { "add $_" } @crowd),
	'... each person once') || diag(scalar($sim->people) . ' requests');
is($session->ask("SELECT DISTINCT instance, instance_id FROM wawp.membership_intent WHERE batch_id = 'crowd'")->{out}, 'support|ABC123',
	'... by the one instance');

# what others have put on the tables that the worker writes many rows to at once
clean();
my ($last_record) = $node->safe_psql('postgres', 'SELECT max(id) FROM wawp.audit_log');
$node->safe_psql('postgres', q{CREATE TABLE noted (what text, id bigint);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		EXECUTE format('INSERT INTO public.noted SELECT %L, ($1).%I', TG_ARGV[0], TG_ARGV[0]) USING NEW; RETURN NULL; END $$;
	CREATE TRIGGER note AFTER INSERT ON wawp.audit_log FOR EACH ROW EXECUTE FUNCTION note('id');
	CREATE TRIGGER note AFTER INSERT ON wawp.membership FOR EACH ROW EXECUTE FUNCTION note('contact_id');
	ALTER TABLE wawp.contact ADD COLUMN customer text DEFAULT 'nobody yet'});
$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id, verify)
	SELECT '12036308880' || to_char(i % 50, 'FM0000000') || '\@g.us', '1558' || to_char(i, 'FM0000000'), 'noted', false
	FROM generate_series(0, 99) i");
is($session->until("SELECT done FROM wawp.progress WHERE batch_id = 'noted'", 100), 100, 'others have triggers and defaults on the tables that the worker writes to');
is($node->safe_psql('postgres', "SELECT count(*) - (SELECT count(*) FROM noted WHERE what = 'id') FROM wawp.audit_log WHERE id > $last_record"), 0,
	'... which see each record');
is($node->safe_psql('postgres', "SELECT count(DISTINCT id) FROM noted WHERE what = 'contact_id'"), 100, '... and each membership');
is($node->safe_psql('postgres', "SELECT count(*) FROM wawp.contact WHERE jid LIKE '1558%' AND customer = 'nobody yet'"), 100, '... and all people have the default');
$node->safe_psql('postgres', 'DROP TRIGGER note ON wawp.audit_log; DROP TRIGGER note ON wawp.membership; ALTER TABLE wawp.contact DROP COLUMN customer;
	DROP FUNCTION note(); DROP TABLE noted');

clean();
$who = new_person();
$node->safe_psql('postgres', "COPY wawp.membership_intent (group_jid, jid) FROM STDIN;\n$group\t$who\n\\.\n");
comes_to("(SELECT max(id) FROM wawp.membership_intent WHERE jid = '$who\@c.us')", 'done',
	'COPY by the owner is served');

# ---- transactions

clean();
my ($undone, $kept, $late) = (new_person(), new_person(), new_person());
$session->ask("BEGIN; INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group', '$undone');
	SELECT wawp_request_add('$group', ARRAY['" . new_person() . "']); ROLLBACK");
$session->ask("BEGIN; SAVEPOINT s; SELECT wawp_request_add('$group', ARRAY['$undone']); ROLLBACK TO s;
	SELECT wawp_request_add('$group', ARRAY['$kept']); COMMIT");
$session->ask("DO \$\$ BEGIN PERFORM wawp_request_add('$group', ARRAY['$undone']); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END \$\$");
isnt($session->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group', '$undone'), ('$group', 'nonsense')")->{state},
	'', 'a bad row fails its statement');
$session->ask("BEGIN; SELECT wawp_request_add('$group', ARRAY['$undone'])");
$session->vanish;
$session = WawpTest->session($node);
comes_to(insert($session, group_jid => $group, jid => $late), 'done', 'what is asked after rollbacks is served');
is_deeply([ sort $sim->people ], [ "add $kept", "add $late" ], '... what was rolled back is not sent');
is($session->ask("SELECT count(*) FROM wawp.membership_intent WHERE jid = '$undone\@c.us'")->{out}, 0,
	'... and leaves no row');

clean();
my $second_group = new_group();
my ($early, $early_elsewhere) = (new_person(), new_person());
$other->ask('BEGIN');
my $low = insert($other, group_jid => $group, jid => $early);
my $low_elsewhere = insert($other, group_jid => $second_group, jid => $early_elsewhere);
my @between = map { insert($session, group_jid => $group, jid => new_person()) } 1 .. 20;
comes_to($_, 'done', 'while a transaction is open, another is served') foreach $between[-1];
cmp_ok($low, '<', $between[0], '... whose ids are higher');
$session->until("SELECT count(*) FROM wawp.membership_intent WHERE state <> 'done'", 0);
is(scalar(grep { /$early/ } $sim->people), 0, '... and nothing of the open one');
my $before = time;
$other->ask('COMMIT');
$session->until(state_of($_), 'done') foreach $low, $low_elsewhere;
is_soon(time - $before, 'committed late, it is served at once');
is_deeply([ sort((($sim->people)[ -2, -1 ])) ], [ sort "add $early", "add $early_elsewhere" ], '... in both groups');

# ---- how soon

clean();
my @delays;
foreach (1 .. 20)
{
	my $n = $sim->count('add$');
	sleep 0.05;
	my $at = $session->ask("BEGIN; INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group',
		'@{[ new_person() ]}');
		SELECT extract(epoch FROM clock_timestamp()); COMMIT")->{out};
	$sim->arrived('add$', $n + 1);
	push @delays, 1000 * (($sim->ledger('add$'))[-1]{at} - $at);
}
@delays = sort { $a <=> $b } @delays;
diag(sprintf 'COMMIT to request, idle worker: p50 %.1f ms, worst of 20 %.1f ms', $delays[9], $delays[-1]);
is_soon($delays[-1] / 1000, 'an idle worker never waits to be woken');

# ---- idle: one poll a minute, whoever waits for whatever

# or they would be looked for in a world without them, and invited
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state IN ('sending', 'verifying')", 0), 0, 'all are looked for');
clean();
my $idle_group = new_group();
$session->ask("SELECT wawp_pause('support', '$idle_group')");
my $paused = insert($session, group_jid => $idle_group, jid => new_person());
my $blocked = insert($session, group_jid => new_group(), jid => '15551230403');    # in a group that never had more members
comes_to($blocked, 'invited', 'somebody is invited, somebody waits in a paused group');
my $switches = sub {
	open(my $status, '<', '/proc/' . WawpTest->worker($node) . '/status') or return;
	my ($n) = join('', <$status>) =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $n;
};
SKIP:
{
	skip('no /proc', 1) unless defined $switches->();
	sleep 0.5;
	my $n = $switches->();
	sleep 6;
	$n = $switches->() - $n;
	diag("an idle worker was woken $n times in 6 s");
	cmp_ok($n, '<', 20, '... the worker sleeps');
}
$session->ask("SELECT wawp_cancel($paused), wawp_resume('support', '$idle_group')");

# ---- duplicates and opposites in the queue

clean();
my $lane = new_group();
$who = new_person();
$session->ask("SELECT wawp_pause('support', '$lane', 'for the test')");
my ($first) = $session->ask("SELECT id, created FROM wawp_request_add('$lane', ARRAY['$who'])")->{out} =~ /^(\d+)\|t$/;
is($session->ask("SELECT id, created FROM wawp_request_add('$lane', ARRAY['+$who'])")->{out}, "$first|f",
	'a duplicate is the one there is');
is($session->ask("SELECT string_agg(created::text, ' ' ORDER BY jid) FROM wawp_request_add('$lane', ARRAY['$who', '$who\@s.whatsapp.net'])")->{out},
	'false false', '... however it is written');
is($session->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$lane', '$who')")->{state}, '23505',
	'... 23505 for an INSERT');
my ($role) = $session->ask("SELECT id, created FROM wawp_request_promote('$lane', ARRAY['$who'])")->{out} =~ /^(\d+)\|t$/;
ok($role, 'a role is another matter than membership');
my ($opposite) = $session->ask("SELECT id, created FROM wawp_request_remove('$lane', ARRAY['$who'])")->{out} =~ /^(\d+)\|t$/;
ok($opposite, 'the opposite takes the place');
comes_to($first, 'cancelled', '... of the one that was queued');
is($session->ask(state_of($role))->{out}, 'queued', '... and leaves the role alone');
my $demote = insert($session, group_jid => $lane, jid => $who, action => 'demote', verify => 'false');
is($session->ask(state_of($role))->{out}, 'cancelled', 'the opposite by INSERT does the same');
$session->ask("SELECT wawp_resume('support', '$lane')");
comes_to($_, 'done', 'resumed: served') foreach $opposite, $demote;
is_deeply([ $sim->people ], [ "remove $who", "demote $who" ], '... nothing but what was asked last');

# two sessions at once
clean();
$session->ask("SELECT wawp_pause('support', '$lane')");
$who = new_person();
$other->ask("BEGIN; SELECT wawp_request_add('$lane', ARRAY['$who'])");
$session->send("SELECT created FROM wawp_request_add('$lane', ARRAY['$who'])");
ok(poll_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = @{[ $session->pid ]}") }),
	'a second session that asks the same waits for the first');
$other->ask('ROLLBACK');
is($session->answer->{out}, 't', '... and asks itself if that rolls back');
$session->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE state = 'queued'");
$other->ask("BEGIN; SELECT wawp_request_add('$lane', ARRAY['$who'])");
$session->send("SELECT created FROM wawp_request_add('$lane', ARRAY['$who'])");
poll_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = @{[ $session->pid ]}") });
$other->ask('COMMIT');
is($session->answer->{out}, 'f', '... or finds it if that commits');
$session->ask("SELECT wawp_resume('support', '$lane')");
$session->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'", 0);
is_deeply([ $sim->people ], ["add $who"], '... which is sent once');

# order
clean();
WawpTest->create_server($node, 'single', $sim, { adds_per_minute => 0, concurrency => 1, instance_id => 'GOWS1' });
$session->ask("SET wawp.instance = 'support'; SELECT wawp_pause('single')");
my @order = map { new_person() } 1 .. 6;
insert($session, instance => 'single', group_jid => $lane, jid => $order[$_], priority => (0, 5, 0, 9, 5, 1)[$_]) foreach 0 .. 5;
$session->ask("SELECT wawp_resume('single')");
$session->until("SELECT count(*) FROM wawp.membership_intent WHERE state <> 'done' AND instance = 'single'", 0);
is_deeply([ $sim->people ], [ map { "add $order[$_]" } 3, 1, 4, 5, 0, 2 ],
	'within a group: by priority, then in the order of asking');

# ---- while on the wire

clean();
$who = new_person();
hold_answer($who);
$first = insert($session, group_jid => $lane, jid => $who);
$sim->arrived('add$');
is($session->ask(state_of($first))->{out}, 'sending', 'while its answer is out, an intent is sending');
is($session->ask("SELECT wawp_cancel($first)")->{out}, 'f', '... and is not cancelled any more');
($opposite) = $session->ask("SELECT id, created FROM wawp_request_remove('$lane', ARRAY['$who'])")->{out} =~ /^(\d+)\|t$/;
is($session->ask(facts_of($first))->{out}, 'sending|t', 'the opposite marks it superseded');
like($session->ask("SELECT wawp_explain($opposite)")->{out}, qr/another intent under way/,
	'... and wawp_explain says what it waits for');
my ($again) = $session->ask("SELECT id, created FROM wawp_request_remove('$lane', ARRAY['$who'])")->{out} =~ /^(\d+)\|f$/;
is($again, $opposite, '... a duplicate of which is the same');
my $dependent = insert($session, group_jid => $second_group, jid => '15550000002', action => 'promote', verify => 'false', after => $first);
let_go();
comes_to($opposite, 'done', 'the successor is served');
is($session->ask(facts_of($first))->{out}, 'done|t', '... the superseded one is finished');
comes_to($dependent, 'done', '... what was to come after that follows');
my @ledger = $sim->changes;
is_deeply([ grep { /$who/ } $sim->people ], [ "add $who", "remove $who" ], '... both were sent');
cmp_ok($ledger[1]{at}, '>', $ledger[0]{answered_at}, '... one after the other');

clean();
$who = new_person();
hold_answer($who, answer => { status => 500 });
$first = insert($session, group_jid => $lane, jid => $who);
$sim->arrived('add$');
$opposite = insert($session, group_jid => $lane, jid => $who, action => 'remove');
let_go();
comes_to($opposite, 'done', 'superseded by INSERT, and its request failed: the successor is served');
is($session->ask(facts_of($first))->{out}, 'cancelled|t', '... and the superseded one is not tried again');
is_deeply([ $sim->people ], [ "add $who", "remove $who" ], '... or sent again');

my $second;
# back and forth: who was taken out by us has not left by themselves
clean();
$who = new_person();
comes_to(insert($session, group_jid => $lane, jid => $who), 'done', 'added');
hold_answer($who);
$opposite = insert($session, group_jid => $lane, jid => $who, action => 'remove');
$sim->arrived('remove$');
$first = insert($session, group_jid => $lane, jid => $who);
let_go();
comes_to($first, 'done', '... added again while the removal is on the wire');
is($session->ask(facts_of($opposite))->{out}, 'done|t', '... which is finished');
is_deeply([ $sim->people ], [ "add $who", "remove $who", "add $who" ], '... each by a request');
$session->ask("SELECT FROM wawp_remove_participants('$lane', ARRAY['$who'], 'support')");
comes_to($second = insert($session, group_jid => $lane, jid => $who), 'done', '... and again after a removal by hand');
is($session->ask("SELECT string_agg(outcome::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($first, $second)")->{out},
	'added added', '... as the member list shows');

# a user's lock on a row that waits for a look: the list is asked for before, and after
clean();
my $looked_at = new_group();
$sim->rule({ match => { method => 'GET', path => "$looked_at/participants\$" }, skip => 1, fault => { gate => \1 } });
$first = insert($session, group_jid => $looked_at, jid => new_person());
comes_to($first, 'verifying', 'answered, waiting for a look');
$sim->arrived("$looked_at/participants\$", 2);
$other->ask("BEGIN; SELECT FROM wawp.membership_intent WHERE id = $first FOR UPDATE");
let_go();
poll_until(sub { !grep { $_->{path} =~ /participants$/ && !$_->{answered_at} } $sim->ledger });
goes_round();
is($session->ask(state_of($first))->{out}, 'verifying', '... locked when that is due');
$other->ask('ROLLBACK');
comes_to($first, 'done', '... settled when released');

foreach my $status (200, 500)
{
	clean();
	($who, my $bystander) = (new_person(), new_person());
	hold_answer($who, $status == 200 ? () : (answer => { status => $status }));
	$first = insert($session, group_jid => $lane, jid => $who);
	$sim->arrived('add$');
	my $same = insert($session, group_jid => $lane, jid => $who);
	$late = insert($session, group_jid => $second_group, jid => $bystander);
	comes_to($late, 'done', "the same asked again while on the wire, then $status: others are served");
	let_go();
	$session->until(state_of($first), qr/^(?!sending)/);
	comes_to(insert($session, group_jid => $second_group, jid => new_person()), 'done', '... also after that answer');
	my $answer = $session->ask("SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($first, $same)");
	if ($status == 200)
	{
		comes_to($same, 'done', '... and the second one');
	}
	else
	{
		isnt($answer->{out}, 'sending queued', '... the failed one is settled') || diag($answer->{out});
		is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued' AND jid = '$who\@c.us'", qr/^[01]$/) <= 1,
			1, '... one at most is queued');
	}
	my @two = grep { $_->{body}{participants}[0]{id} =~ /$who/ } $sim->changes;
	ok(@two < 2 || $two[1]{at} > $two[0]{answered_at}, '... never two requests for one person at once');
}

# ---- after

clean();
my ($leader, $follower) = (new_person(), new_person());
hold_answer($leader);
$first = insert($session, group_jid => $lane, jid => $leader);
$second = insert($session, group_jid => $second_group, jid => $follower, action => 'remove', after => $first);
my $third = insert($session, group_jid => $lane, jid => new_person(), after => $second);
$sim->arrived('add$');
my $meanwhile = goes_round();
is(scalar(grep { !/$meanwhile/ } $sim->people), 1, 'what is to come after something waits for it');
like($session->ask("SELECT wawp_explain($second)")->{out}, qr/waits for intent $first/, '... as wawp_explain says');
let_go();
comes_to($_, 'done', '... and follows it') foreach $second, $third;
@ledger = grep { $_->{body}{participants}[0]{id} =~ /$leader|$follower/ } $sim->changes;
cmp_ok($ledger[1]{at}, '>', $ledger[0]{answered_at}, '... not before it has ended');
is_soon($ledger[1]{at} - $ledger[0]{answered_at}, '... at once, in another group');

$second = insert($session, group_jid => $lane, jid => new_person(), after => $first);
comes_to($second, 'done', 'after one that is done already');

clean();
hold_answer('15551230490', answer => { json => { participants => [ { id => '15551230490@c.us', code => 404 } ] } });
$first = insert($session, group_jid => $lane, jid => '15551230490');
$second = insert($session, group_jid => $lane, jid => new_person(), after => $first);
$third = insert($session, group_jid => $lane, jid => new_person(), after => $second);
$sim->arrived('add$');
let_go();
comes_to($_, 'failed', 'it fails if that fails') foreach $first, $second, $third;
is(scalar($sim->people), 1, '... and is not sent');
$second = insert($session, group_jid => $lane, jid => new_person(), after => $first);
comes_to($second, 'failed', 'after one that has failed already');

$session->ask("SELECT wawp_pause('support', '$lane')");
$first = insert($session, group_jid => $lane, jid => new_person());
$second = insert($session, group_jid => $second_group, jid => new_person(), after => $first);
$session->ask("SELECT wawp_cancel($first); SELECT wawp_resume('support', '$lane')");
comes_to($second, 'failed', 'after one that is cancelled');

$first = insert($session, group_jid => $lane, jid => new_person());
$before = time;
$second = insert($session, group_jid => $second_group, jid => new_person(), after => $first, not_before => "now() + interval '1.5 s'");
comes_to($second, 'done', 'after one and not before a time');
cmp_ok(time - $before, '>', 1.4, '... not sooner');

# ---- times

clean();
$session->ask("SELECT wawp_pause('support', '$lane')");
$first = insert($session, group_jid => $lane, jid => new_person(), expires_at => "now() + interval '1 s'");
sleep 1.2;
$session->ask("SELECT wawp_resume('support', '$lane')");
comes_to($first, 'cancelled', 'what was not done by expires_at is cancelled');
is(scalar($sim->people), 0, '... and not sent');
$first = insert($session, group_jid => $lane, jid => new_person(), not_before => "now() + interval '1 h'", expires_at => "now() + interval '0.5 s'");
comes_to($first, 'cancelled', '... without anybody asking for anything');
$first = insert($session, group_jid => $lane, jid => new_person(), expires_at => "now() + interval '1 h'");
comes_to($first, 'done', 'what has time left is served');

clean();
my %at;
foreach my $delay (0.4, 1.2)
{
	my $answer = $session->ask("SELECT id, extract(epoch FROM now()) FROM wawp_request_add('$lane', ARRAY['@{[ $who = new_person() ]}'],
		not_before => now() + interval '$delay s')");
	my ($asked, $then) = split /\|/, $answer->{out};
	$at{$who} = $then + $delay;
	$first = $asked;
}
comes_to($first, 'done', 'not_before comes');
foreach my $request ($sim->changes)
{
	my ($digits) = $request->{body}{participants}[0]{id} =~ /^(\d+)/;
	my $late = $request->{at} - $at{$digits};
	cmp_ok($late, '>=', 0, 'not sent before not_before');
	is_soon($late, '... and soon after it');
}
$first = insert($session, group_jid => $lane, jid => new_person(), not_before => "now() + interval '1 h'");
like($session->ask("SELECT wawp_explain($first)")->{out}, qr/not_before/, 'before not_before, wawp_explain says so');

# ---- changing one's mind

clean();
$session->ask("SELECT wawp_pause('support', '$lane', 'lunch')");
$first = insert($session, group_jid => $lane, jid => new_person());
insert($session, group_jid => $lane, jid => new_person(), batch_id => 'regret') foreach 1 .. 3;
$kept = insert($session, group_jid => $lane, jid => $who = new_person());
comes_to(insert($session, group_jid => $second_group, jid => new_person()), 'done',
	'one group is paused: another is served');
like($session->ask("SELECT wawp_explain($first)")->{out}, qr/group is held \(paused: lunch\).*wawp_resume/,
	'... wawp_explain says what holds the first');
is($session->ask("SELECT wawp_cancel($first)")->{out}, 't', 'wawp_cancel');
is($session->ask("SELECT wawp_cancel($first)")->{out}, 'f', '... once');
is($session->ask("SELECT wawp_cancel_batch('regret')")->{out}, 3, 'wawp_cancel_batch');
is($session->ask("SELECT pending, done, failed, cancelled FROM wawp_wait('regret', '5 s')")->{out}, '0|0|0|3',
	'... as wawp_wait counts');
is($session->ask("SELECT wawp_retry($first)")->{out}, 'f', 'what is cancelled is not retried');
$sim->ctl(POST => 'ledger/clear');
$session->ask("SELECT wawp_resume('support', '$lane')");
comes_to($kept, 'done', 'after wawp_resume the rest is served');
is_deeply([ $sim->people ], ["add $who"], '... nothing of what was cancelled');
is($session->ask("SELECT wawp_cancel($kept)")->{out}, 'f', 'what is done is not cancelled');
is($session->ask("SELECT wawp_retry($kept)")->{out}, 'f', '... or retried');

clean();
$session->ask("SELECT wawp_pause('support')");
$first = insert($session, group_jid => $lane, jid => new_person());
goes_round(instance => 'single');
is($session->ask(state_of($first))->{out}, 'queued', 'a paused instance');
like($session->ask("SELECT wawp_explain($first)")->{out}, qr/instance is held \(paused\)/, '... is explained');
is(scalar(grep { ((ref $_->{body} ? $_->{body} : $_->{query})->{instance_id} // q{}) eq q{ABC123} } $sim->ledger), 0, '... and asks nothing');
$session->ask("SELECT wawp_resume('support')");
comes_to($first, 'done', '... until it is resumed');

clean();
$who = new_person();
$sim->rule({ match => { body => $who }, answer => { json => { participants => [ { id => "$who\@c.us", code => 404 } ] } } });
$first = insert($session, group_jid => $lane, jid => $who);
comes_to($first, 'failed', 'an intent that failed');
is($session->ask("SELECT wawp_retry($first)")->{out}, 't', '... is retried when asked');
comes_to($first, 'done', '... and done');
is(scalar(my @requests = $sim->changes), 2, '... with a second request');
is($session->ask("SELECT string_agg(kind::text, ' ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $first AND kind IN ('sent', 'answered')")->{out},
	'sent answered sent answered', '... and a second record');

# ---- waiting

clean();
hold_answer('participants');
my $batch = $session->ask("SELECT DISTINCT batch_id FROM wawp_request_add('$lane', ARRAY['" . join("', '", map { new_person() } 1 .. 3) . "'])")->{out};
my $answer = $session->ask("SELECT pending > 0 FROM wawp_wait('$batch', '200 ms')");
is($answer->{out}, 't', 'wawp_wait with a timeout gives up');
cmp_ok($answer->{seconds}, '>', 0.15, '... after it');
is_soon($answer->{seconds}, '... and not much later');
let_go();
$answer = $session->ask("SELECT * FROM wawp_wait('$batch')");
is($answer->{out}, '0|3|0|0', 'wawp_wait waits until all are done');
is_soon($answer->{seconds}, '... and no longer');
is($session->ask("SELECT * FROM wawp_wait('no such batch', '1 min')")->{out}, '0|0|0|0', '... not at all for nothing');
hold_answer('participants');
$batch = $session->ask("SELECT batch_id FROM wawp_request_add('$lane', ARRAY['@{[ new_person() ]}'])")->{out};
$answer = $session->ask("SET statement_timeout = '300ms'; SELECT * FROM wawp_wait('$batch'); RESET statement_timeout");
is($answer->{state}, '57014', '... and can be cancelled');
is_soon($answer->{seconds}, '... at once');
$session->ask('RESET statement_timeout');

# ---- a table's trigger

clean();
$lane = new_group();
$session->ask(<<'SQL');
CREATE TABLE shift (id serial PRIMARY KEY, group_jid text, phone text, ends_at timestamptz, region text, status text);
CREATE TRIGGER member AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
	EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'until=ends_at', 'reason=shift {region}',
		'instance=support');
SQL
my ($ann, $ben, $cat) = map { new_person() } 1 .. 3;
my $moved = new_group();
my $shift = sub {
	my ($what, $sql, @expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$sim->ctl(POST => 'ledger/clear');
	my $done = $session->ask($sql);
	is($done->{state}, '', "$what: the write succeeds") || diag($done->{err});
	poll_until(sub { $sim->people >= @expected });
	my $bystander = @expected ? 'none' : goes_round();
	is_deeply([ sort grep { !/$bystander/ } $sim->people ], [ sort @expected ], "... and asks for the right thing");
	$session->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid IN ('$lane', '$moved') AND state IN ('queued', 'sending')", 0);
	return $done;
};
$shift->('INSERT', "INSERT INTO shift (group_jid, phone, ends_at, region) VALUES ('$lane', '+$ann', '2100-01-01', 'North')",
	"add $ann");
is($session->ask("SELECT reason, until = '2100-01-01', origin FROM wawp.membership_intent WHERE jid = '$ann\@c.us'")->{out},
	'shift North|t|trigger public.shift', '... with reason, end and origin');
$shift->('another row of the same', "INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ann')");
is($session->until("SELECT string_agg(state || ' ' || outcome, ', ' ORDER BY id) FROM wawp.membership_intent WHERE jid = '$ann\@c.us'",
	'done added, done already_member', 5), 'done added, done already_member', '... which the member list shows to be the case');
$shift->('DELETE of one of two', "DELETE FROM shift WHERE region = 'North'");
$shift->('DELETE of the other', 'DELETE FROM shift', "remove $ann");
$shift->('several rows', "INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ann'), ('$lane', '$ben')", "add $ann",
	"add $ben");
$shift->('UPDATE of something else', "UPDATE shift SET region = 'South'");
$shift->('UPDATE of the person', "UPDATE shift SET phone = '$cat' WHERE phone = '$ben'", "remove $ben", "add $cat");
$shift->('UPDATE of the group', "UPDATE shift SET group_jid = '$moved' WHERE phone = '$cat'", "remove $cat",
	"add $cat");
is((grep { $_->{path} =~ /remove$/ } $sim->ledger)[0]{body}{id}, $lane, '... out of the old');
is((grep { $_->{path} =~ /add$/ } $sim->ledger)[0]{body}{id}, $moved, '... into the new');
$shift->('ROLLBACK', "BEGIN; INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ben'); ROLLBACK");
$shift->('ROLLBACK TO', "BEGIN; SAVEPOINT s; INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ben'); ROLLBACK TO s;
	INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$who'); COMMIT", "add $who");
$shift->('INSERT and DELETE in one transaction', "BEGIN; INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ben');
	DELETE FROM shift WHERE phone = '$ben'; COMMIT", "remove $ben");
$shift->('NULLs', "INSERT INTO shift (group_jid, phone) VALUES (NULL, '$ben'), ('$lane', NULL)");
my $bad = $shift->('nonsense', "INSERT INTO shift (group_jid, phone) VALUES ('$lane', '12'), ('nowhere', '$ben')");
like($bad->{err}, qr/WARNING.*WARNING/s, '... with warnings');
is($session->ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'failed' AND outcome = 'bad_identifier' AND origin = 'trigger public.shift'")->{out},
	2, '... and failed intents');
$session->ask('DELETE FROM shift');
$session->until("SELECT count(*) FROM wawp.membership_intent WHERE state IN ('queued', 'sending')", 0);

$session->ask(<<'SQL');
DROP TRIGGER member ON shift;
CREATE TRIGGER promote AFTER UPDATE ON shift FOR EACH ROW WHEN (NEW.status = 'docs_ok' AND OLD.status IS DISTINCT FROM NEW.status)
	EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'action=promote', 'instance=support');
SQL
$shift->('no trigger fires', "INSERT INTO shift (group_jid, phone) VALUES ('$lane', '$ann'), ('$lane', '$ben')");
$shift->('action=promote', "UPDATE shift SET status = 'docs_ok' WHERE phone = '$ann'", "promote $ann");
$shift->('... and again', "UPDATE shift SET status = 'docs_ok'", "promote $ben");

# ---- one host hangs

clean();
my $slow = WawpTest->sim;
$slow->world({ auto_groups => \1 });
$slow->rule({ match => { path => 'add$' }, times => undef, fault => { hang => \1 } });
my ($deaf, $deaf_port) = WawpTest->deaf_port;
WawpTest->create_server($node, 'hanging', $slow, { adds_per_minute => 0, concurrency => 4, instance_id => 'ABC123', timeout_ms => 600000 });
WawpTest->create_server($node, 'deaf', $slow, { adds_per_minute => 0, concurrency => 4, base_url => "http://127.0.0.1:$deaf_port", timeout_ms => 600000 });
foreach my $instance (qw(hanging deaf))
{
	$session->ask("SELECT wawp_request_add('1203630777099000$_\@g.us', ARRAY['@{[ new_person() ]}', '@{[ new_person() ]}'], '$instance')") foreach 1 .. 6;
}
$slow->arrived('add$', 4);
$started = time;
$session->ask("INSERT INTO wawp.membership_intent (instance, group_jid, jid, batch_id)
	SELECT 'support', '12036308890' || to_char(i % 10, 'FM0000000') || '\@g.us', '1557' || to_char(i, 'FM0000000'), 'fast' FROM generate_series(1, 100) i");
is($session->ask("SELECT * FROM wawp_wait('fast', '180 s')")->{out}, '0|100|0|0',
	'while two hosts hang, another is served');
is_soon(time - $started, '... at its own speed');
is($session->ask("SELECT string_agg(format('%s %s %s', instance, state, count), ', ' ORDER BY instance, state) FROM (SELECT instance, state, count(*)
	FROM wawp.membership_intent WHERE instance IN ('hanging', 'deaf') GROUP BY 1, 2) t")->{out},
	'deaf queued 12, hanging queued 8, hanging sending 4',
		'... and the hanging ones have what their concurrency allows');
my @connected;
while (IO::Select->new($deaf)->can_read(0.2)) { push @connected, scalar $deaf->accept; }
is(scalar @connected, 4, '... also of what is asked before an add');

is($node->safe_psql('postgres', "SELECT count(*) - max(id) FROM wawp.audit_log"), 0, 'the audit log has no gaps');
$session->quit;
$other->quit;
done_testing();
