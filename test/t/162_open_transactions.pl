
# A plain role keeps transactions open in which it has paused its groups or its instance, ended the hold of its own token, or
# asked again for people whose requests are on the wire.  The worker wants to write the same rows: it does not wait for that
# role, not even for its lock_timeout, and serves others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
my $account = $sim->world->{accounts}{ABC123};
$sim->world({ auto_groups => \1, accounts => { THEIRS => $account } });
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 4 }, conf => "log_statement = none\n");
WawpTest->create_server($node, 'theirs', $sim, { instance_id => 'THEIRS', concurrency => 8 });
my $owner = WawpTest->session($node);
$owner->ask('CREATE ROLE neighbour LOGIN; CREATE ROLE intruder LOGIN; GRANT USAGE ON FOREIGN SERVER support TO neighbour; GRANT USAGE ON FOREIGN SERVER theirs TO intruder');
my $neighbour = WawpTest->session($node, 'postgres', user => 'neighbour');
my ($open, $asks) = map { WawpTest->session($node, 'postgres', user => 'intruder') } 1 .. 2;
my ($part, $logged) = (0, 0);

sub must { my ($session, $sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }

# Four groups of a part, and somebody in each.
sub groups { my ($of) = @_; return map { sprintf '120363162%d%08d@g.us', $of, $_ } 1 .. 4; }
sub request { my ($of) = @_; return join ', ', map { "wawp_request_add('$_', ARRAY['15559$of' || substr('$_', 14, 5)], 'theirs', batch_id => 'part $of')" } groups($of); }
sub states { my ($of) = @_; return "SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE batch_id = 'part $of'"; }

# Twenty people of the neighbour's are added, and the worker has waited for nobody.
sub goes_on
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $batch = 'neighbour' . ++$part;
	must($neighbour, "INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id)
		SELECT '1203631630' || lpad(($part * 100 + i % 5)::text, 8, '0') || '\@g.us', '1558' || lpad(($part * 100 + i)::text, 7, '0'), 'support', '$batch' FROM generate_series(1, 20) i");
	is($neighbour->until("SELECT done FROM wawp.progress WHERE batch_id = '$batch'", 20), 20, "$when: the neighbour's additions are done");
	my $log = slurp_file($node->logfile, $logged);
	$logged += length $log;
	return is(join("\n", grep { /ERROR|lock timeout/ } split /\n/, $log), '', '... and the worker has not waited');
}

goes_on('alone');

# ---- groups that are being paused, where the worker learns that they are to be held

$sim->rule({ match => { path => '1203631621.*participants/add$' }, times => undef, answer => { status => 403 } });
must($open, 'BEGIN; SELECT ' . join ', ', map { "wawp_pause('theirs', '$_')" } groups(1));
must($asks, 'SELECT ' . request(1));
$sim->arrived('1203631621.*participants/add$', 4);
goes_on('groups are being paused');
is(must($owner, states(1)), 'sending sending sending sending', '... the refused requests are settled later');
goes_on('still');
is($sim->count('1203631621.*participants/add$'), 4, '... and not repeated');
must($open, 'ROLLBACK');
is($owner->until("SELECT string_agg(reason, ' ') FROM wawp.hold WHERE instance = 'theirs'", 'not_admin not_admin not_admin not_admin'),
	'not_admin not_admin not_admin not_admin', '... nothing was paused: then they are held');
is($owner->until(states(1), 'queued queued queued queued'), 'queued queued queued queued', '... and queued');
$sim->unrule;

# ---- an instance that is being paused, where a member list cannot be read because of a limit

$sim->rule({ match => { method => 'GET', path => '1203631622.*participants$' }, times => undef, answer => { status => 429 } });
must($open, "BEGIN; SELECT wawp_pause('theirs')");
must($asks, 'SELECT ' . request(2));
$sim->arrived('1203631622.*participants$');
goes_on('the instance is being paused');
must($open, 'ROLLBACK');
$sim->unrule;
$owner->ask("SELECT wawp_resume('theirs')");
is($owner->until(states(2), 'done done done done'), 'done done done done', '... then its people are added');

# ---- people who are asked for again, where their requests have failed

$sim->rule({ match => { path => '1203631623.*participants/add$' }, times => 4, fault => { gate => \1 }, answer => { status => 500 } });
must($asks, 'SELECT ' . request(3));
$sim->arrived('1203631623.*participants/add$', 4);
must($open, 'BEGIN; SELECT ' . request(3));
$sim->unrule;
goes_on('people are being asked for again');
must($open, 'COMMIT');
is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'part 3' AND state = 'done'", 4), 4, '... then one of both requests is served');
is(must($owner, states(3)), 'cancelled cancelled cancelled cancelled done done done done', '... and the other ends');

# ---- memberships whose time is over, of one of whom something is being asked for again

sub with_end { my ($of, $instance) = @_; return "wawp_request_add('120363162$of' || '00000009\@g.us', ARRAY['155594$of' || '0001'], '$instance', verify => false, batch_id => 'end $of'"; }
must($asks, 'SELECT ' . with_end(5, 'theirs') . ", until => clock_timestamp() + interval '4 s')");
must($neighbour, 'SELECT ' . with_end(6, 'support') . ", until => clock_timestamp() + interval '5 s')");
is($owner->until("SELECT count(*) FROM wawp.membership WHERE until IS NOT NULL", 2), 2, 'two memberships with an end');
must($open, 'BEGIN; SELECT ' . with_end(5, 'theirs') . ')');
is($neighbour->until("SELECT state FROM wawp.membership_intent WHERE action = 'remove'", 'done'), 'done', 'one ends although somebody is being asked for again whose membership ends, too');
goes_on('and');
must($open, 'ROLLBACK');
is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE action = 'remove' AND state = 'done'", 2), 2, '... then the other ends');

# ---- somebody who is being stored, of whom the API tells whether they are on WhatsApp

$sim->world({ accounts => { CHECKED => $account } });
WawpTest->create_server($node, 'checked', $sim, { instance_id => 'CHECKED', checks_per_minute => 6000 });
my $app = WawpTest->session($node);
$sim->rule({ match => { path => 'check-exists$' }, times => 1, fault => { gate => \1 } });
must($owner, "SELECT wawp_request_add('120363162700000001\@g.us', ARRAY['15559600001'], 'checked', batch_id => 'part 7')");
poll_until(sub { scalar grep { ($_->{query}{phone} // '') =~ /15559600001/ } $sim->ledger('check-exists') }) or die "nobody asked\n";
must($app, "BEGIN; SELECT wawp_note_contact('15559600001')");
$sim->unrule;
goes_on('somebody is being stored');
must($app, 'COMMIT');
is($owner->until(states(7), 'done'), 'done', '... then they are added');
$app->quit;

# ---- a hold of a role's own token that is being ended

must($owner, "CREATE USER MAPPING FOR intruder SERVER theirs OPTIONS (access_token 'wrong')");
must($asks, 'SELECT ' . request(4));
is($owner->until("SELECT count(*) FROM wawp.requester_hold WHERE until > clock_timestamp() + interval '1 s'", 1), 1, 'an own token that is refused');
my $requests = $sim->count('1203631624.*participants');
must($owner, "UPDATE wawp.requester_hold SET until = clock_timestamp() + interval '2 s'; SELECT wawp_pause('support', '120363163099999999\@g.us')");
must($open, "BEGIN; SELECT wawp_resume('theirs')");
is($owner->until('SELECT bool_and(until < clock_timestamp()) FROM wawp.requester_hold', 't'), 't', '... its hold is over, and being ended');
goes_on('a hold is being ended');
is($sim->count('1203631624.*participants'), $requests, '... and nothing is tried with the token');
must($open, 'ROLLBACK');
$sim->arrived('1203631624.*participants', $requests + 1);

$_->quit foreach $owner, $neighbour, $open, $asks;
done_testing();
