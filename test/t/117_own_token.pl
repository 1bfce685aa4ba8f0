
# A role's own token is its own affair: refused or missing, it holds that role's intents, and nobody else's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant CROWD => 20_000;

my $sim = WawpTest->sim;
my %options = (adds_per_minute => 0, concurrency => 4, verify_delays => '20ms,200ms,500ms');
my $node = WawpTest->node('main', sim => $sim, options => \%options);
$sim->world({ auto_groups => \1 });
my $owner = WawpTest->session($node);
my ($groups, $people) = (0, 0);
my %as;

foreach my $role (qw(ann ben cat))
{
	$owner->ask("CREATE ROLE $role LOGIN; GRANT USAGE ON FOREIGN SERVER support TO $role");
	$as{$role} = WawpTest->session($node, 'postgres', user => $role);
}

sub new_group { return sprintf '12036311700%07d@g.us', ++$groups; }

# So many new people of a role, as one batch; returns its name.
sub asks
{
	my ($role, $group, $count, $instance) = @_;
	my $batch = "$role " . ++$people;
	my @jids = map { sprintf "'1561%07d'", $people++ } 1 .. $count;
	$instance //= 'support';
	my $answer = $as{$role}->ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY[@{[ join ', ', @jids ]}], '$instance', batch_id => '$batch')");
	is($answer->{out} . $answer->{err}, $count, "$role asks for $count");
	return $batch;
}

sub states { my ($batch) = @_; return "SELECT string_agg(n || ' ' || state, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM wawp.membership_intent WHERE batch_id = '$batch' GROUP BY 1) s"; }

sub comes_to
{
	my ($batch, $states, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($owner->until(states($batch), $states), $states, $name);
}

# Requests that were refused so far; none is under way.
sub refused { $owner->until('SELECT in_flight FROM wawp.worker_status', 0); return scalar(grep { ($_->{status} // 0) == 401 } $sim->ledger('/')); }
sub held { return $owner->until('SELECT string_agg(pg_get_userbyid(requester) || $$ $$ || reason || $$ $$ || failures, $$, $$) FROM wawp.requester_hold WHERE until > clock_timestamp() AND NOT trial', $_[0]); }

# Holds are over, and the worker looks at them.
sub end_backoff { return $owner->ask("UPDATE wawp.requester_hold SET until = clock_timestamp(), trial = false; SELECT wawp_resume('support', '120363012345678901\@g.us')"); }

# ---- refused

my $shared = new_group();
$owner->ask("CREATE USER MAPPING FOR ann SERVER support OPTIONS (access_token 'wrong')");
my $first = asks('ann', $shared, 3);
is(held('ann auth_failed 1'), 'ann auth_failed 1', 'her token is refused: she is held');
my $once = refused();
my @others = (asks('ben', $shared, 3), asks('ben', new_group(), 3));
comes_to($_, '3 done', '... others are served, in the same group as well') foreach @others;
comes_to($first, '3 queued', '... she waits');
my $second = asks('ann', new_group(), 3);
comes_to(asks('ben', $shared, 1), '1 done', 'once more');
comes_to($second, '3 queued', '... what she asks for meanwhile waits, too');
is(refused(), $once, '... and is not sent');
is($owner->ask('SELECT count(*) FROM wawp.hold')->{out}, 0, 'no instance and no group is held');
is($owner->ask("SELECT count(*), min(requested_by), min(outcome::text) FROM wawp.audit WHERE kind = 'held'")->{out}, '1|ann|auth_failed', 'recorded once');

# ---- shown

my $id = $owner->ask("SELECT min(id) FROM wawp.membership_intent WHERE batch_id = '$first'")->{out};
like($as{ann}->ask("SELECT wawp_explain($id)")->{out}, qr/queued: the access token of the requester's own user mapping is held \(auth_failed\), it is tried again at \d/, 'explained');
like($as{ann}->ask("SELECT why FROM wawp.stuck WHERE group_jid = '$shared'")->{out}, qr/held: role ann: auth_failed; 3 queued/, '... stuck');
is($as{ann}->ask("SELECT held_by FROM wawp.instance")->{out}, 'auth_failed', '... in wawp.instance');
is($as{ben}->ask("SELECT held_by FROM wawp.instance")->{out}, '', 'others see nothing of it there');
is($as{ben}->ask("SELECT count(*) FROM wawp.requester_hold")->{out}, 0, '... nor elsewhere');
is($as{ben}->ask("SELECT count(*) FROM wawp.stuck")->{out}, 0, '... nor in wawp.stuck');

# ---- calls of sessions

my $call = "SELECT outcome, detail FROM wawp_add_participants('$shared', ARRAY['15610999999'], 'support')";
like($as{ann}->ask($call)->{out}, qr/^throttled\|not sent: the API refused the access token of the role's own user mapping/, 'her calls are not sent');
like($as{ann}->ask("SELECT wawp_create_group('hello', ARRAY['15610999997'], 'support')")->{err}, qr/could not create .*: the API refused the access token/, '... nor those that raise');
is(refused(), $once, '... indeed');
like($as{ben}->ask($call)->{out}, qr/^accepted/, "others' are");
$owner->ask("CREATE USER MAPPING FOR cat SERVER support OPTIONS (access_token 'wrong')");
is($as{cat}->ask("SELECT outcome FROM wawp_add_participants('$shared', ARRAY['15610999998'], 'support')")->{out}, 'auth_failed', 'a call with a wrong token');
comes_to(asks('ben', $shared, 1), '1 done', '... holds nobody else');

# ---- tried again

$once = refused();
my @more = map { asks('ann', new_group(), 2) } 1 .. 8;
end_backoff();
is(held('ann auth_failed 2'), 'ann auth_failed 2', 'after the backoff it is tried again');
comes_to(asks('ben', $shared, 1), '1 done', '... beside others');
is(refused() - $once, 1, '... by one request');
is($as{ben}->ask("SELECT wawp_resume('support')")->{out}, 'f', 'others cannot lift it');
is($as{ann}->ask("SELECT wawp_resume('support')")->{out}, 't', 'she can');
is(held('ann auth_failed 1'), 'ann auth_failed 1', '... and is held again');

# ---- repaired

$owner->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'secret')");
comes_to($_, '3 done', 'with the right token she is served at once') foreach $first, $second;
comes_to($_, '2 done', '... in all groups') foreach @more;
is($owner->ask('SELECT count(*) FROM wawp.requester_hold')->{out}, 0, '... and not held');

# ---- repaired while a request with the wrong token is on its way

# An answer to the old token tells nothing of the new one.
foreach my $late ([ 'list', 'participants$', 1 ], [ 'addition', 'add$', 2 ])
{
	my ($name, $path, $requests) = @$late;
	my $group = new_group();
	my $number = $group =~ s/@.*//r;
	comes_to(asks('ben', $group, 1), '1 done', 'others know the group') if $name eq 'addition';
	$owner->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'wrong')");
	$sim->rule({ match => { path => "$number.*$path" }, times => undef, fault => { gate => \1 } });
	my $batch = asks('ann', $group, 2);
	ok($sim->arrived("$number.*$path", $requests), "the $name with the wrong token is on its way");
	$owner->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'secret')");
	$sim->unrule;
	comes_to($batch, '2 done', '... and does not hold her once the token is right');
	is($owner->ask('SELECT count(*) FROM wawp.requester_hold')->{out}, 0, '... indeed');
}

# ---- lists and invitations that wait for others

my $slow = new_group();
$sim->world({ list_delay => 3600 });
my $waiting = asks('ann', $slow, 2);
comes_to($waiting, '2 verifying', 'hers wait for the member list');
$sim->world({ list_delay => 0 });
$owner->ask("ALTER USER MAPPING FOR ann SERVER support OPTIONS (SET access_token 'wrong')");
comes_to(asks('ben', $slow, 2), '2 done', "the list is read with others' tokens");
is($owner->ask('SELECT count(*) FROM wawp.hold')->{out}, 0, '... and nothing is held for it');
$owner->ask("DROP USER MAPPING FOR ann SERVER support");
comes_to(asks('ann', new_group(), 1), '1 done', "without a mapping of her own she has PUBLIC's");

# ---- many of hers before others' in a group

$owner->ask("CREATE USER MAPPING FOR ann SERVER support OPTIONS (access_token 'wrong')");
my $deep = new_group();
my $answer = $as{ann}->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, priority) SELECT '$deep', '1562' || lpad(i::text, 7, '0'), 'support', false, 9
	FROM generate_series(1, @{[ CROWD ]}) i");
is($answer->{err}, '', CROWD . ' of hers come first');
is(held('ann auth_failed 1'), 'ann auth_failed 1', '... and are held');
$once = refused();
comes_to(asks('ben', $deep, 50), '50 done', '... others of the group are served');
is(refused(), $once, '... before her');

# ---- ... and several people a request

WawpTest->create_server($node, 'batches', $sim, { %options, instance_id => 'NOWEB1', batch_size => 5 });
$owner->ask("GRANT USAGE ON FOREIGN SERVER batches TO ann, ben; CREATE USER MAPPING FOR ann SERVER batches OPTIONS (access_token 'wrong')");
my $reads = "SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = 'wawp.membership_intent_lane'::regclass";
my $wide = new_group();
$owner->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('batches', '$wide', false)");
$answer = $as{ann}->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, verify, priority) SELECT '$wide', '1563' || lpad(i::text, 7, '0'), 'batches', false, 9
	FROM generate_series(1, @{[ CROWD ]}) i");
is($answer->{err}, '', CROWD . ' of hers come first');
$owner->until("SELECT count(*) FROM wawp.requester_hold WHERE instance = 'batches' AND NOT trial", 1);
my $before = $owner->ask($reads)->{out} =~ s/.*\|//r;
comes_to(asks('ben', $wide, 500, 'batches'), '500 done', '... others of the group are served');
my $read = ($owner->ask($reads)->{out} =~ s/.*\|//r) - $before;
note("$read rows of the lane were read for 100 requests");
cmp_ok($read, '<', 50 * CROWD, '... without reading hers for each request');

$as{ann}->ask("DELETE FROM wawp.membership_intent; SELECT wawp_cancel(id) FROM wawp.membership_intent");

# ---- no token at all

WawpTest->create_server($node, 'bare', $sim, { %options, instance_id => 'GOWS1' });
$owner->ask('DROP USER MAPPING FOR PUBLIC SERVER bare; GRANT USAGE ON FOREIGN SERVER bare TO ann, ben');
$owner->ask("CREATE USER MAPPING FOR ben SERVER bare OPTIONS (access_token 'secret')");
my $bare = new_group();
my $none = asks('ann', $bare, 40, 'bare');
$owner->until("SELECT count(*) FROM wawp.requester_hold WHERE instance = 'bare'", 1);
comes_to(asks('ben', $bare, 3, 'bare'), '3 done', 'a role without any token does not keep others waiting');
comes_to($none, '40 queued', '... it waits');
cmp_ok($owner->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = '$none' AND detail IS NOT NULL")->{out}, '<=', 4, '... and its rows are not tried one by one');
$owner->ask("CREATE USER MAPPING FOR PUBLIC SERVER bare OPTIONS (access_token 'secret')");
comes_to($none, '40 done', '... with one it is served');

# ---- PUBLIC's is everybody's

$owner->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (SET access_token 'wrong')");
my $all = asks('ben', new_group(), 1);
is($owner->until("SELECT reason FROM wawp.hold WHERE instance = 'support' AND group_jid IS NULL", 'auth_failed'), 'auth_failed', "PUBLIC's token holds the instance");
$owner->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (SET access_token 'secret')");
comes_to($all, '1 done', '... until it has another');

done_testing();
