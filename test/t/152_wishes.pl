
# Several requests for one person: each requester's are served by themselves; of one requester's that are due the one with the
# latest time is; a role has no more queued than it may, and nobody's table is refused for that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, conf => "log_statement = none\n", options => { concurrency => 4, invites_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
WawpTest->create_server($node, 'batches', $sim, { instance_id => 'WEBJS1', batch_size => 50 });
$wawp->ask("CREATE ROLE $_ LOGIN; GRANT USAGE ON FOREIGN SERVER support, batches TO $_") foreach qw(asker intruder);
my %session = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(asker intruder);

sub answer_of { my ($role, $sql) = @_; return $session{$role}->ask($sql); }

# What a role is told; dies of an error.
sub ask
{
	my ($role, $sql) = @_;
	my $answer = answer_of($role, $sql);
	die "$role: $sql: $answer->{err}\n" if $answer->{state};
	return $answer->{out};
}

# A request of a role's; its id.
sub want
{
	my ($role, $action, $it, %arg) = @_;
	my $instance = $it->{instance} // 'support';
	my $more = join '', map { ", $_ => $arg{$_}" } sort keys %arg;
	return ask($role, "SELECT id FROM wawp_request_$action('$it->{group}', ARRAY['$it->{who}'], '$instance'$more)");
}

sub someone { my (%arg) = @_; return { group => $wawp->group(%{ $arg{group} // {} }), who => $wawp->person(%{ $arg{person} // {} }), %arg{ grep { $_ eq 'instance' } keys %arg } }; }
sub pause { my ($it) = @_; return $wawp->ask("SELECT wawp_pause('" . ($it->{instance} // 'support') . "', '$it->{group}')"); }
sub resume { my ($it) = @_; return $wawp->ask("SELECT wawp_resume('" . ($it->{instance} // 'support') . "', '$it->{group}')"); }

# The time of a plan comes.
sub comes
{
	my ($id) = @_;
	return $wawp->ask("UPDATE wawp.membership_intent SET not_before = clock_timestamp() WHERE id = $id; SELECT wawp_resume('support')");
}

# What the API was asked for about someone, in order.
sub sent
{
	my ($it) = @_;
	return join ', ', map { /^(\w+) / } $sim->people($it->{group} =~ s/\@.*//r);
}

sub is_end
{
	my ($id, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($wawp->end($id), $expected, $name) || diag($wawp->ask("SELECT wawp_explain($id)"));
}

# ---- of several requesters' wishes for one person, the one that lasts longest decides until when

my $shared = someone();
sub stays
{
	my ($role, $until, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $id = want($role => 'add', $shared, $until ? (until => "'$until'") : ());
	like($wawp->end($id), qr/^done/, $name);
	return is($wawp->ask("SELECT coalesce(to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 'for good') || ' ' || requested_by
		FROM wawp.membership WHERE group_jid = '$shared->{group}'"), $expected, "... $expected");
}
stays(asker => undef, 'for good asker', 'one role wants somebody in a group for good');
stays(intruder => '2100-01-01 12:00+00', 'for good asker', 'the end that another role wishes is not theirs');
stays(asker => '2100-01-02 12:00+00', '2100-01-02 asker', 'one sets an end of their own');
stays(intruder => '2100-01-05 12:00+00', '2100-01-05 intruder', 'the other wants the person for longer');
stays(asker => '2100-01-03 12:00+00', '2100-01-05 intruder', '... which one does not cut short');
stays(intruder => '2100-01-04 12:00+00', '2100-01-04 intruder', '... but they themselves do');
$wawp->ask("CREATE ROLE gone; UPDATE wawp.membership SET requester = 'gone'::regrole, requested_by = 'gone', until = NULL WHERE group_jid = '$shared->{group}'; DROP ROLE gone");
stays(asker => '2100-01-03 12:00+00', '2100-01-03 asker', 'the wish of a role that was dropped does not count');

# ---- a removal at 18:00 and an addition tomorrow both happen

my $it = someone();
is_end(want(asker => 'add', $it), 'done added', 'somebody is in a group');
my $removal = want(asker => 'remove', $it, not_before => "now() + interval '1 hour'");
my $addition = want(asker => 'add', $it, not_before => "now() + interval '1 day'");
is($wawp->now($_), 'queued', 'plans for different times stay side by side') foreach $removal, $addition;
comes($removal);
is_end($removal, 'done removed', 'the first is served when its time comes');
is($wawp->now($addition), 'queued', '... the other waits');
comes($addition);
is_end($addition, 'done added', '... for its time');
is(sent($it), 'add, remove, add', 'that is what was sent');

# ---- of several that are due the latest decides

foreach my $instance (qw(support batches))
{
	$it = someone(instance => $instance);
	pause($it);
	my $latest = want(asker => 'add', $it, not_before => "'2001-01-03'");
	my $earlier = want(asker => 'add', $it, not_before => "'2001-01-02'");
	my $urgent = want(asker => 'remove', $it, not_before => "'2001-01-01'", priority => 9);
	my $later = want(asker => 'remove', $it, not_before => "'3001-01-01'");
	my $others = want(intruder => 'add', $it, not_before => "'2002-02-02'");
	resume($it);
	is_end($latest, 'done added', "$instance: the one with the latest time is served");
	is_end($_, 'cancelled', '... an earlier one is cancelled') foreach $earlier, $urgent;
	is($wawp->column($_, 'detail'), "intent $latest of the same requester is for a later time and decides", '... and says which decides') foreach $earlier, $urgent;
	is($wawp->trail($_), 'cancelled', '... so does the audit log') foreach $earlier, $urgent;
	is($wawp->ask("SELECT string_agg(DISTINCT requested_by || ' ' || (detail ->> 'note'), ', ') FROM wawp.audit WHERE intent_id IN ($earlier, $urgent)"),
		"asker intent $latest of the same requester is for a later time and decides", '... with the role');
	is($wawp->now($later), 'queued', '... what is not due stays');
	is_end($others, 'done already_member', '... another requester has their own, fulfilled without a request');
	is(sent($it), 'add', '... one request in all');
}

$it = someone();
pause($it);
my @plans = map { want(asker => 'add', $it, not_before => "'2001-01-01'::timestamptz + $_ * interval '1 day'") } 1 .. 3;
my $now = want(asker => 'remove', $it);
resume($it);
is_end($now, 'done removed', 'one without a time is for when it was requested');
is_end($_, 'cancelled', '... earlier ones are cancelled') foreach @plans;
is(sent($it), 'remove', '... one request in all');

# ---- and nothing is sent while an earlier one cannot be cancelled

$it = someone();
pause($it);
my $held = want(asker => 'remove', $it, not_before => "'2001-01-01'");
my $decider = want(asker => 'add', $it);
my $locker = WawpTest->session($node);
$locker->ask("BEGIN; SELECT FROM wawp.membership_intent WHERE id = $held FOR UPDATE");
resume($it);
is_end($wawp->want(group => $it->{group}), 'done added', 'while a user has an earlier one locked, others of the lane are served');
is($wawp->now($decider), 'queued', '... the one that decides waits');
$locker->ask('ROLLBACK');
is_end($decider, 'done added', '... until it is free');
is_end($held, 'cancelled', '... and cancelled');
is(sent($it), 'add, add', '... two additions in all');

# ---- however many plans there are

sub rows_read
{
	$wawp->ask('SELECT pg_stat_force_next_flush()');
	return $wawp->ask(q{SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relid = 'wawp.membership_intent'::regclass});
}

# Rows read for one intent that is due in a group for which so many are queued for later, for that person or for others.
sub read_beside_plans
{
	my ($count, $whom) = @_;
	my $it = someone();
	pause($it);
	ask(asker => "INSERT INTO wawp.membership_intent (group_jid, jid, instance, not_before) SELECT '$it->{group}', " . ($whom eq 'one' ? "'$it->{who}'" : "'1557' || to_char(n, 'FM0000000')")
		  . ", 'support', '3000-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, $count) n");
	my $due = want(asker => 'add', $it, not_before => "'2001-01-01'");
	my $read = rows_read();
	resume($it);
	is_end($due, 'done added', "one that is due beside $count for later for $whom");
	$read = rows_read() - $read;
	$wawp->ask("DELETE FROM wawp.membership_intent WHERE not_before > '3000-01-01'");
	return $read;
}

my ($for_others, $for_one) = map { read_beside_plans(3000, $_) } qw(others one);
diag("rows read beside 3000 plans for others: $for_others, for the same person: $for_one");
# a rescan of the queue reads them as well, and how many there are depends on the machine
cmp_ok($_, '<', 4 * 3000, '... reads none of them again and again') foreach $for_others, $for_one;

# ---- people who were invited

$it = someone(person => { privacy => 'nobody' });
my $invited = want(asker => 'add', $it);
my $others = want(intruder => 'remove', $it);
is($wawp->comes_to($invited, 'invited invited'), 'invited invited', 'somebody is invited');
is_end($others, 'done removed', '... which does not hold up the removal that another requester wants');
is($wawp->now($invited), 'invited invited', '... nor does that end the invitation');
my $planned = want(asker => 'remove', $it, not_before => "now() + interval '1 hour'");
is($wawp->now($invited), 'invited invited', '... nor does a plan of one\'s own, while it is one');
comes($planned);
is_end($planned, 'done removed', 'when its time has come it is served');
like($wawp->end($invited), qr/^cancelled/, '... and the invitation ends');

# ---- somebody else's wish that was fulfilled a moment ago

$it = someone();
want(intruder => 'add', { group => $it->{group}, who => $wawp->person });
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$it->{group}' AND state = 'done'", 1), 1, 'the list of a group was read');
is_end(want(intruder => 'add', $it, verify => 'false'), 'done accepted', 'after that somebody is added, and nobody looks');
my $requests = $wawp->requests($it->{group});
is_end(want(asker => 'add', $it), 'done already_member', 'another requester\'s wish is fulfilled');
is($wawp->requests($it->{group}), $requests, '... without a request');

# ---- another requester's year 3000

$it = someone();
my $never = want(intruder => 'add', $it, not_before => "'3000-01-01'", batch_id => "'never'");
my ($id, $created, $batch) = split /\|/, ask(asker => "SELECT id, created, batch_id FROM wawp_request_add('$it->{group}', ARRAY['$it->{who}'], 'support')");
is($created, 't', 'a wish for the year 3000 does not swallow another requester\'s for now');
is(ask(asker => "SELECT * FROM wawp_wait('$batch', '@{[ int $PostgreSQL::Test::Utils::timeout_default ]} s')"), '0|1|0|0', '... whose batch is done');
is($wawp->now($never), 'queued', '... and stays');

# ---- how much a role may have queued

sub set_limit
{
	my ($limit) = @_;
	$wawp->ask("ALTER SYSTEM SET wawp.max_queued_per_role = $limit");
	$node->reload;
	foreach my $session (values %session, undef)
	{
		poll_until(sub { ($session ? $session->ask('SHOW wawp.max_queued_per_role')->{out} : $wawp->ask('SHOW wawp.max_queued_per_role')) eq $limit });
	}
	return;
}

sub queued { my ($role) = @_; return $wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued' AND requested_by = '$role'"); }

# Until a count that refused is not believed any more.
sub is_allowed
{
	my ($role, $sql, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_until(sub { my $answer = answer_of($role, $sql); return $answer->{state} eq '' }), $name);
}

$wawp->ask("DELETE FROM wawp.membership_intent WHERE state = 'queued'; SELECT wawp_pause('support')");
set_limit(3);
my $group = $wawp->group;
my @people = map { $wawp->person } 1 .. 40;
my $insert = "INSERT INTO wawp.membership_intent (group_jid, jid, instance) SELECT '$group', x, 'support' FROM unnest(ARRAY[";
sub insert_of { my (@who) = @_; return $insert . join(', ', map { "'$_'" } @who) . ']) x'; }

is(answer_of(asker => insert_of(@people[ 0 .. 3 ]))->{state}, '53400', 'four at once by INSERT where three are allowed');
is(queued('asker'), 0, '... are none');
is_allowed(asker => insert_of(@people[ 0, 1 ]), 'two are allowed');
is(ask(asker => "SELECT created FROM wawp_request_add('$group', ARRAY['$people[2]'], 'support')"), 't', '... and a third');
my $refused = answer_of(asker => "SELECT created FROM wawp_request_add('$group', ARRAY['$people[3]'], 'support')");
is($refused->{state}, '53400', 'a fourth is refused by function');
like($refused->{err}, qr/role "asker" has too many requests queued.*It has 3, and wawp\.max_queued_per_role is 3\..*wawp_cancel_batch/s, '... which says how many there are');
is(answer_of(asker => insert_of($people[3]))->{state}, '53400', '... and by INSERT');
is(ask(asker => "SELECT created FROM wawp_request_add('$group', ARRAY['$people[2]'], 'support')"), 'f', '... what is queued may be asked for again');
is(answer_of(intruder => insert_of(@people[ 0 .. 2 ]))->{state}, '', 'another role has a limit of its own');
is(queued('asker'), 3, '... as many as allowed');
ask(asker => "SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE jid = '$people[0]\@c.us'");
is_allowed(asker => insert_of($people[3]), 'when one was cancelled, there is room for another');
is(answer_of(asker => 'BEGIN; ' . insert_of($people[4]))->{state}, '53400', '... and no more');
ask(asker => 'ROLLBACK');

# a table of the role that has as many as it may
$wawp->ask("CREATE TABLE $_ (grp text, phone text); ALTER TABLE $_ OWNER TO asker;
	CREATE TRIGGER t AFTER INSERT OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=grp', 'jid=phone', 'instance=support')")
  foreach qw(shift course);
my $row = sub { my ($table, @who) = @_; return "INSERT INTO $table VALUES " . join ', ', map { "('$group', '$_')" } @who; };
my $written = answer_of(asker => $row->(shift => @people[ 10 .. 29 ]));
is($written->{state}, '', 'a table is written beyond the limit');
like($written->{err}, qr/WARNING:.*role "asker" has too many requests queued/, '... with a warning');
is(answer_of(asker => $row->(course => @people[ 10 .. 19 ]))->{state}, '', '... another as well');
is($wawp->ask('SELECT count(*) FROM shift') . ' ' . $wawp->ask('SELECT count(*) FROM course'), '20 10', '... all rows are there');
is($wawp->ask("SELECT string_agg(origin || ' ' || n, ', ' ORDER BY origin) FROM (SELECT origin, count(*) AS n FROM wawp.membership_intent
	WHERE state = 'failed' AND detail ~ 'wawp.max_queued_per_role' GROUP BY 1) o"), 'trigger public.course 1, trigger public.shift 1', '... each leaves one failed intent in a minute');
is(queued('asker'), 3, '... none is queued');
$wawp->ask("UPDATE wawp.membership_intent SET settled_at = settled_at - interval '61 seconds' WHERE origin = 'trigger public.shift'");
ask(asker => $row->(shift => @people[ 30, 31 ]));
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'failed' AND origin = 'trigger public.shift'"), 2, '... and one in the next minute');
my $failed = $wawp->ask("SELECT min(id) FROM wawp.membership_intent WHERE state = 'failed' AND origin = 'trigger public.shift'");
is(answer_of(asker => "SELECT wawp_retry($failed)")->{state}, '53400', 'a retry is refused as well');
ask(asker => "SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE jid = '$people[1]\@c.us' AND state = 'queued'");
is_allowed(asker => "SELECT wawp_retry($failed)", '... while there is no room');
is($wawp->now($failed), 'queued', '... and then queues it');

set_limit(0);
is(answer_of(asker => insert_of(@people[ 20 .. 29 ]))->{state}, '', 'without a limit many are allowed');
set_limit(15);
is(answer_of(asker => insert_of(@people[ 32 .. 35 ]))->{state}, '53400', 'a new limit counts anew');
is(answer_of(asker => insert_of(@people[ 32 .. 33 ]))->{state}, '', '... exactly');

# of many rows that a statement writes to a table, as many as fit
$wawp->ask("DELETE FROM wawp.membership_intent WHERE state IN ('queued', 'failed')");
set_limit(7);
my @many = map { $wawp->person } 1 .. 30;
is(answer_of(asker => $row->(shift => @many))->{state}, '', 'a table is written beyond the limit by one statement');
is($wawp->ask("SELECT string_agg(jid, ' ' ORDER BY id) FROM wawp.membership_intent WHERE state = 'queued' AND requested_by = 'asker'"),
	join(' ', map { "$_\@c.us" } @many[ 0 .. 6 ]), '... the first ones are queued');
is($wawp->ask("SELECT jid FROM wawp.membership_intent WHERE state = 'failed'"), "$many[7]\@c.us", '... the next one is noted for all others');
set_limit(15);
$wawp->ask("DELETE FROM wawp.membership_intent WHERE state IN ('queued', 'failed')");
is(answer_of(asker => insert_of(@people[ 0 .. 11 ]))->{state}, '', '... twelve are queued again');

# a row that is restored is none of these
is($wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requested_by, home)
	SELECT '$group', '1555888' || to_char(n, 'FM0000') || '\@c.us', 'support', 'ABC123', 'asker', gen_random_uuid() FROM generate_series(1, 5) n; SELECT 'restored'"), 'restored', 'restored rows are not refused');

$node->stop;
$sim->stop;
done_testing();
