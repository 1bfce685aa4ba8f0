
# Groups that follow a list of people: LIDs, lists that are not complete, what is under way, hundreds of groups, roles.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

use constant MANY => 200;
use constant PER_MINUTE => 6000;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, checks_per_minute => 6000 });
my $wawp = WawpPeople->new($node, $sim);

# The rows of a plan, "action person" each; "-": nothing is done, "all": about the whole group.
sub rows { my ($call) = @_; return $wawp->ask("SELECT string_agg(coalesce(action::text, '-') || ' ' || coalesce(jid, 'all'), ', ' ORDER BY o) FROM $call WITH ORDINALITY r(jid, action, why, o)"); }
sub of { my ($group, $people, $more) = @_; return "wawp_sync_group('$group', ARRAY[@{[ join ',', map { qq('$_') } @$people ]}]::text[], 'support'@{[ $more ? qq(, $more) : '' ]})"; }
sub plan_of { my ($group, $people, $more) = @_; return rows(of($group, $people, $more)); }
sub apply { my ($group, $people, $more) = @_; return plan_of($group, $people, join ', ', q(mode => 'apply'), $more // ()); }
sub why { my ($group, $people, $who, $more) = @_; return $wawp->ask("SELECT why FROM @{[ of($group, $people, $more) ]} WHERE jid @{[ $who ? qq(LIKE '$who%') : 'IS NULL' ]}"); }
sub lists { return $sim->ctl(GET => 'count?path=participants$')->{count}; }
sub settled { return $wawp->until('SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', 0); }

# ---- apply, end to end

foreach my $case ([ 'numbers', {} ], [ 'LIDs only', { addressing => 'lid', lid_pn => \0 } ], [ 'LIDs and numbers', { addressing => 'lid', lid_pn => \1 } ])
{
	my ($what, $patch) = @$case;
	my $group = $wawp->group(%$patch);
	my ($guest, @course) = map { $wawp->person } 0 .. 4;
	my @want = map { "$_\@c.us" } @course;

	$sim->world({ groups => { $group => { members => { $guest => { role => 'member' } } } } });
	is(apply($group, [ $guest, @course ]), join(', ', map { "add $_" } @want), "$what: people are added");
	settled();
	is((grep { $wawp->is_member($group, $_) } @course), @course, '... and are in the group');
	is(plan_of($group, [ $guest, @course ]), '', '... which is in step then');
	my $plan = plan_of($group, [ @course[ 1 .. 3 ] ]);
	like($plan, qr/(^|, )remove $want[0]($|, )/, '... whom we added is removed');
	unlike($plan, qr/remove.*remove/, '... the guest, whom we did not add, is not');
	unlike(plan_of($group, [ @course[ 1 .. 3 ] ], 'max_remove_pct => 16'), qr/remove/, '... but no more than max_remove_pct');
	apply($group, [ $guest, @course[ 1 .. 3 ] ], 'max_remove_pct => 17');
	settled();
	is($wawp->is_member($group, $course[0]), 0, '... is gone');
	is($wawp->is_member($group, $guest), 1, '... and the guest is not');
	is(plan_of($group, [ $guest, @course[ 1 .. 3 ] ]), '', '... in step again');
}

# ---- lists that are not complete, and what is under way

my $group = $wawp->group;
my ($member, $new) = ($wawp->person, $wawp->person);
apply($group, [$member]);
settled();
$sim->world({ groups => { $group => { members => { map { $_ => {} } WawpTest->people(20) }, listed => 10 } } });
my $plan = $wawp->ask("SELECT count(*) FILTER (WHERE action = 'remove'), bool_or(jid IS NULL AND why LIKE 'nobody is removed: the list has 10 of 22 members')
	FROM @{[ of($group, [$new], 'managed_only => false, max_remove_pct => 100') ]}");
is($plan, '0|t', 'a list that is shorter than the group removes nobody and says so');
$sim->world({ groups => { $group => { listed => undef } } });

my $shy = $wawp->person(privacy => 'nobody');
my $id = $wawp->want(group => $group, who => $shy);
$wawp->comes_to($id, qr/^invited/);
is($wawp->ask("SELECT action IS NULL, why FROM @{[ of($group, [ $member, $shy ], q(mode => 'apply')) ]} WHERE jid = '$shy\@c.us'"),
	"t|not in the group; intent $id is invited already", 'who has an invitation is not asked for again');

# ---- hundreds of groups

my @groups = map { $wawp->group } 1 .. MANY;
$wawp->ask(<<SQL);
CREATE TABLE enrolment (course text, phone text);
INSERT INTO enrolment SELECT g, '1557' || to_char(n * 10 + i, 'FM0000000') FROM unnest(ARRAY['@{[ join q(','), @groups ]}']) WITH ORDINALITY g (g, n), generate_series(1, 3) i;
SQL
WawpTest->create_server($node, 'paced', $sim, { adds_per_minute => 60, reads_per_minute => PER_MINUTE, pace_jitter => 0 });
my ($lost, $broken, $silent, $busy) = @groups[ 20, 40, 60, 80 ];
$sim->rule({ match => { path => "$busy/participants\$" }, times => 1, answer => { status => 429, headers => { 'Retry-After' => '1' }, json => { message => 'slow down' } } });
$sim->rule({ match => { path => "$lost/participants\$" }, times => undef, answer => { status => 404, json => { message => 'no such group' } } });
$sim->rule({ match => { path => "$broken/participants\$" }, times => undef, answer => { status => 500, json => { message => 'broken' } } });
$sim->rule({ match => { path => "$silent/participants\$" }, times => undef, fault => { reset => 'before' } });
$wawp->ask("SELECT wawp_pause('paced')");

sub sync { my ($more) = @_; return "wawp_sync_groups('enrolment', 'course', 'phone', 'paced', 'nightly'@{[ $more // '' ]})"; }
# without the list that the worker looks at for the one who is invited
my $before = lists() - $wawp->lists($group);
my $started = time;
$plan = $wawp->ask("SELECT count(*) FILTER (WHERE action = 'add'), count(*) FILTER (WHERE jid IS NULL), count(DISTINCT group_jid), count(DISTINCT why) FILTER (WHERE jid IS NULL)
	FROM @{[ sync() ]}");
my $took = time - $started;
is($plan, (MANY - 3) * 3 . '|3|' . MANY . '|3', 'hundreds of groups: those that cannot be read are a row each');
is(lists() - $wawp->lists($group) - $before - $wawp->lists($silent) - $wawp->lists($busy), MANY - 2, '... each list is read once');
is($wawp->lists($busy), 2, '... but for one before which the API asked to wait');
cmp_ok($took, '>', (2 * MANY - 3 - 3) * 60 / PER_MINUTE, '... in the pace of reads_per_minute');
is($wawp->ask('SELECT count(*) FROM wawp.membership_intent WHERE instance = $$paced$$'), 0, '... a plan requests nothing');
like($wawp->ask("SELECT min(why) FROM @{[ sync() ]} WHERE action = 'add'"), qr/; waits, as the instance is held \(paused\)$/, '... and shows the hold');
$sim->unrule;
is($wawp->ask("SELECT count(*) FROM @{[ sync(q(, 'apply')) ]} WHERE why LIKE '%; queued as intent %'"), MANY * 3, '... apply queues all');
is($wawp->ask('SELECT count(*), count(DISTINCT batch_id), count(DISTINCT group_jid), min(reason) FROM wawp.membership_intent WHERE instance = $$paced$$'),
	MANY * 3 . '|1|' . MANY . '|nightly', '... in one batch');
is($wawp->ask("SELECT count(*) FROM @{[ sync(q(, 'apply')) ]} WHERE why LIKE '%; queued already as intent %'"), MANY * 3, '... again');
is($wawp->ask('SELECT count(*) FROM wawp.membership_intent WHERE instance = $$paced$$'), MANY * 3, '... queues nothing more');

# a gateway that is down is not asked for all groups
WawpTest->create_server($node, 'closed', $sim, { base_url => 'http://127.0.0.1:1' });
is($wawp->ask("SELECT count(*), count(*) FILTER (WHERE why LIKE 'not read, since%') FROM wawp_sync_groups('enrolment', 'course', 'phone', 'closed')"), MANY . '|' . (MANY - 3),
	'three groups in a row that cannot be reached are enough');

# ---- waiting: cancelled at once, without a lock

WawpTest->create_server($node, 'slow', $sim, { adds_per_minute => 60, reads_per_minute => 1 });
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
$before = lists();
$session->send("SELECT count(*) FROM wawp_sync_groups('enrolment', 'course', 'phone', 'slow', mode => 'apply')");
poll_until(sub { lists() > $before });
is($wawp->until("SELECT wait_event_type = 'Extension' AND state = 'active' FROM pg_stat_activity WHERE pid = @{[ $session->pid ]}", 't'), 't', 'a call waits for its turn');
is($other->ask('SET lock_timeout = 1; ALTER TABLE enrolment ADD COLUMN paid bool')->{state}, '', '... without a lock on the source');
is($other->ask('ALTER SERVER slow RENAME TO slower')->{state}, '', '... or the server');
$started = time;
$wawp->ask("SELECT pg_cancel_backend(@{[ $session->pid ]})");
is($session->answer->{state}, '57014', '... and can be cancelled');
is_soon(time - $started, '... at once');

# ---- roles

$wawp->ask(<<SQL);
CREATE ROLE dean LOGIN; CREATE ROLE guest LOGIN; CREATE ROLE poor LOGIN;
GRANT USAGE ON FOREIGN SERVER support TO dean, guest;
CREATE TABLE class (owner name, "group" text, phone numeric);
INSERT INTO class VALUES ('dean', '$groups[0]', 15581230001), ('other', '$groups[1]', 15581230002);
GRANT SELECT ON class TO dean, poor;
ALTER TABLE class ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON class USING (owner = current_user);
CREATE FUNCTION public.number_of(n numeric) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN n::text; END';
CREATE VIEW classes WITH (security_invoker = false) AS SELECT "group", public.number_of(phone) AS phone FROM class WHERE owner = 'dean';
GRANT SELECT ON classes TO guest;
SQL
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(dean guest poor);
my $class = "wawp_sync_groups('class', 'group', 'phone', 'support', mode => 'apply')";
is($as{dean}->ask("SELECT group_jid, jid, action FROM $class")->{out}, "$groups[0]|15581230001\@c.us|add", 'a role sees the rows that row security lets it see');
is($as{dean}->ask("SELECT requested_by, count(*) FROM wawp.membership_intent GROUP BY 1")->{out}, 'dean|1', '... and requests as itself');
is($as{guest}->ask("SELECT * FROM $class")->{state}, '42501', 'a role without SELECT on the source');
# who is not among the rows that a role sees may be among the others
$as{dean}->until('SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', 0);
$wawp->ask(q{UPDATE class SET phone = 15581230003 WHERE owner = 'dean'});
my $steps = "SELECT string_agg(concat_ws(' ', action, substr(jid, 1, 11), why), ', ' ORDER BY jid) FROM";
is($as{dean}->ask("$steps wawp_sync_groups('class', 'group', 'phone', 'support', managed_only => false, max_remove_pct => 100) WHERE jid LIKE '1558123%'")->{out},
	'15581230001 not removed: row security may hide rows of the source from this role, add 15581230003 not in the group',
	'... where row security decides which rows a role sees, nobody is removed for a row that it does not see');
is($wawp->ask("$steps wawp_sync_groups('class', 'group', 'phone', 'support', managed_only => false, max_remove_pct => 100) WHERE jid LIKE '15581230001%'"),
	'remove 15581230001 in the group, and not wanted', '... but by who sees all');
$wawp->ask(q{UPDATE class SET phone = 15581230001 WHERE owner = 'dean'});
is($as{guest}->ask("SELECT count(*) FROM wawp_sync_groups('classes', 'group', 'phone', 'support')")->{state}, '', '... may use a view of it');
$as{dean}->until('SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', 0);
$before = lists();
is($as{poor}->ask("SELECT * FROM $class")->{state}, '42501', 'a role without USAGE on the server');
is($as{poor}->ask("SELECT * FROM wawp_sync_group('$groups[0]', '{}', 'support')")->{state}, '42501', '... nor for one group');
$wawp->ask('REVOKE EXECUTE ON FUNCTION wawp_request_remove FROM PUBLIC');
is($as{dean}->ask("SELECT * FROM $class")->{state}, '42501', 'a role that may not request');
is(lists(), $before, '... learns it before anything is asked of the API');
is($as{dean}->ask("SELECT count(*) FROM wawp_sync_groups('class', 'group', 'phone', 'support')")->{state}, '', '... but may plan');
$wawp->ask('GRANT EXECUTE ON FUNCTION wawp_request_remove TO PUBLIC');

# ---- the quota of a role

$wawp->ask('GRANT USAGE ON FOREIGN SERVER paced TO dean; GRANT SELECT ON enrolment TO dean');
$wawp->ask('ALTER SYSTEM SET wawp.max_queued_per_role = 10');
$wawp->ask('SELECT pg_reload_conf()');
$as{dean}->until('SHOW wawp.max_queued_per_role', 10);
my ($queued, $refused) = split /\|/, $as{dean}->ask("SELECT count(*) FILTER (WHERE action = 'add'),
	count(*) FILTER (WHERE action IS NULL AND why LIKE 'not queued: role \"dean\" has too many requests queued%') FROM @{[ sync(q(, 'apply')) ]}")->{out};
cmp_ok($queued, '>', 0, 'a role whose quota does not hold all groups requests some');
is($queued + $refused, 3 * MANY, '... and the others are rows that say so');
is($as{dean}->ask('SELECT count(*), count(*) % 3 FROM wawp.membership_intent WHERE instance = $$paced$$')->{out}, "$queued|0", '... each group wholly or not at all');

done_testing();
