
# What the worker has in memory of a cycle, or a piece of one, that failed: permits and places in groups are given back,
# an answer is recorded later.  Rows, plans and facts that cannot be written keep nobody else from being served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);

sub errors { return scalar(my @found = slurp_file($node->logfile) =~ /ERROR:  not now/g); }
$wawp->ask("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'not now'; END \$\$");

# ---- requests that cannot be recorded, for a while: the day's cap and the group's places are not used up

WawpTest->create_server($node, 'capped', $sim, { instance_id => 'GOWS1', adds_per_day => 5, concurrency => 8 });
my $left = "SELECT adds_left_day FROM wawp.budget WHERE instance = 'capped'";
my ($group, $next) = ($wawp->group(members => { '15550000001' => { role => 'superadmin' }, '15559990001' => { role => 'member' } }), $wawp->group);
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, capacity, overflow_group) VALUES ('capped', '$group', 5, '$next')");
$wawp->ask("CREATE TRIGGER refuse BEFORE INSERT ON wawp.audit_log FOR EACH ROW WHEN (NEW.kind = 'sent') EXECUTE FUNCTION refuse()");
my $id = $wawp->want(instance => 'capped', group => $group, verify => 'false');
ok(poll_until(sub { errors() >= 12 || $wawp->ask($left) eq '0' }), 'an addition cannot be recorded as sent, again and again');
$wawp->ask('DROP TRIGGER refuse ON wawp.audit_log');
is($wawp->end($id), 'done added', '... then it can, and is sent');
is($wawp->column($id, 'group_jid'), $group, '... to its group, which has room');
is($wawp->ask($left), 4, '... as the first of the day');

# ---- a welcome whose answer comes while its instance is renamed

my $club = $wawp->group;
my $recorded = "SELECT count(*) FROM wawp.audit_log WHERE group_jid = '$club' AND origin = 'welcome' AND kind = 'answered'";
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, welcome_delay) VALUES ('support', '$club', 'Hello {names}', '100 ms')");
$sim->rule({ match => { path => 'send/text$' }, times => undef, fault => { gate => \1 } });
is($wawp->end($wawp->want(group => $club)), 'done added', 'somebody joins');
$sim->arrived('send/text$');
my $renaming = WawpTest->session($node);
$renaming->ask($_) foreach 'BEGIN', 'ALTER SERVER support RENAME TO helpdesk';
$sim->unrule;
is($wawp->until('SELECT in_flight FROM wawp.worker_status', 0), 0, 'the welcome is answered while its instance is renamed');
my $then = $wawp->ask('SELECT clock_timestamp()');
is($wawp->until("SELECT last_cycle_at > '$then' FROM wawp.worker_status", 't'), 't', '... the worker goes on');
$renaming->ask('ROLLBACK');
$renaming->quit;
is($wawp->until($recorded, 1), 1, '... and records the answer afterwards');

# ---- rows that cannot be changed, when they expire, their time comes, or what they are to follow has ended

my $quiet = $wawp->group;
$wawp->ask("SELECT wawp_pause('support', '$quiet')");
my %poison = (group => $quiet, reason => "'poison'");
$wawp->ask('BEGIN');
my $leader = $wawp->want(group => $quiet);
my $expiring = $wawp->want(%poison, expires_at => "clock_timestamp() + interval '2 s'");
my $planned = $wawp->want(%poison, not_before => "clock_timestamp() + interval '2 s'");
my $following = $wawp->want(%poison, after => $leader);
$wawp->ask("ALTER TABLE wawp.membership_intent ADD CONSTRAINT no_poison CHECK (reason IS DISTINCT FROM 'poison') NOT VALID");
$wawp->ask('COMMIT');
is($wawp->ask("SELECT wawp_cancel($leader)"), 't', 'what an intent is to follow is cancelled');
is($wawp->until("SELECT clock_timestamp() > expires_at + interval '1 s' FROM wawp.membership_intent WHERE id = $expiring", 't'), 't', '... others expire or are due');
is($wawp->end($wawp->want), 'done added', '... none of which can be changed, but what can is served');
is($wawp->ask("SELECT string_agg(state::text, ' ') FROM wawp.membership_intent WHERE id IN ($expiring, $planned, $following)"), 'queued queued queued', '(they could not)');
$wawp->ask('ALTER TABLE wawp.membership_intent DROP CONSTRAINT no_poison');
is($wawp->end($wawp->want), 'done added', 'when they can be changed again');
is($wawp->comes_to($expiring, 'cancelled'), 'cancelled', '... one expires');
is($wawp->comes_to($following, 'failed'), 'failed', '... one fails with the one that it was to follow');
$wawp->ask("SELECT wawp_resume('support', '$quiet')");
is($wawp->end($planned), 'done added', '... one is served');

# ---- a fact about a person that cannot be stored

my $who = $wawp->person;
$wawp->ask("CREATE TRIGGER refuse BEFORE UPDATE ON wawp.contact FOR EACH ROW WHEN (NEW.jid = '$who\@c.us') EXECUTE FUNCTION refuse()");
my $before = errors();
$id = $wawp->want(who => $who);
ok(poll_until(sub { errors() > $before }), 'what is learnt of a person cannot be stored');
is($wawp->end($wawp->want), 'done added', '... others are served');
$wawp->ask('DROP TRIGGER refuse ON wawp.contact');
is($wawp->end($id), 'done added', '... and then that one');

# ---- records about people whom an open transaction is storing: those who wrote them wait for it, nobody else does

my ($writer, $caller, $open) = map { WawpTest->session($node) } 1 .. 3;
my $from = -s $node->logfile;
my $shy = $wawp->person;
my $room = $wawp->group;
$open->ask('BEGIN');
is($open->ask("SELECT wawp_note_contact('$shy')")->{out}, 't', 'an open transaction stores a person');
my $unwanted = $wawp->want(group => $quiet, who => $shy, not_before => "clock_timestamp() + interval '1 h'");
is($wawp->ask("SELECT wawp_cancel($unwanted)"), 't', '... an intent for whom is cancelled');
$caller->send("SELECT outcome FROM wawp_add_participants('$room', ARRAY['$shy'], 'support')");
ok(poll_until(sub { $wawp->ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT outcome FROM wawp_add%' AND state = 'active'") eq '1' }), '... and whom another session adds');
like($writer->ask("SELECT outcome FROM wawp_add_participants('@{[ $wawp->group ]}', ARRAY['@{[ $wawp->person ]}'], 'support')")->{out}, qr/^(accepted|added)$/,
	'calls of others are recorded');
is($wawp->end($wawp->want), 'done added', '... and the queue is served');
is($wawp->requests($room), 0, '... nothing is sent that is not recorded');
is($wawp->trail($unwanted), '', '(nor is the person known yet)');
$open->ask('COMMIT');
like($caller->answer->{out}, qr/^(accepted|added)$/, 'when it has ended the call goes on');
is($wawp->end($wawp->want), 'done added', '... others are served');
is($wawp->until("SELECT string_agg(kind::text, ' ') FROM wawp.audit_log WHERE intent_id = $unwanted", 'cancelled'), 'cancelled', '... and the note is recorded');
unlike(substr(slurp_file($node->logfile), $from), qr/lock timeout/, '... without an error in between');
$_->quit foreach $writer, $caller, $open;

# ---- an instance that a transaction which stays open pauses: what the API says of it has to wait, other instances do not

WawpTest->create_server($node, 'other', $sim, { instance_id => 'WEBJS2', concurrency => 8 });
my $pausing = WawpTest->session($node);
foreach my $path ('participants$', 'participants/add$')
{
	my $busy = $wawp->group;
	my $since = -s $node->logfile;
	$pausing->ask($_) foreach 'BEGIN', "SELECT wawp_pause('support')";
	$sim->rule({ match => { path => "$busy/$path" }, times => undef, answer => { status => 429, json => { error => 'slow down' } } });
	$id = $wawp->want(group => $busy, verify => 'false');
	$sim->arrived("$busy/$path");
	is($wawp->end($wawp->want(instance => 'other')), 'done added', "$path is refused while its instance is being paused: another one is served");
	is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'support'"), 0, '... which it is not yet');
	$pausing->ask('ROLLBACK');
	is($wawp->until("SELECT reason FROM wawp.hold WHERE instance = 'support'", 'rate_limited'), 'rate_limited', 'it was not paused: what the API said holds it') if $path =~ /add/;
	$sim->unrule;
	poll_until(sub { $wawp->ask("SELECT wawp_resume('support')"); return $wawp->now($id) =~ /^done/ });
	is($wawp->now($id), 'done accepted', '... and then it is served');
	unlike(substr(slurp_file($node->logfile), $since), qr/lock timeout/, '... without an error');
}
$pausing->quit;

# ---- links and subjects that were read are not all kept

my $court = $wawp->group;
$wawp->ask("SELECT count(*) FROM wawp_request_invite('$court', ARRAY(SELECT '1555880' || to_char(i, 'FM0000') FROM generate_series(1, 200) i), 'support')");
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$court' AND state = 'invited'", 200), 200, '200 people are invited to a group');
$wawp->ask('SELECT pg_log_backend_memory_contexts(wawp._worker_pid())');
poll_until(sub { slurp_file($node->logfile) =~ /Grand total/ });
my @sizes = sort { $b <=> $a } slurp_file($node->logfile) =~ /wawp group: (\d+) total/g;
cmp_ok($sizes[0], '<', 10_000, '... and its links do not stay in memory') || diag("@sizes");

unlike(slurp_file($node->logfile), qr/PANIC|was terminated/, 'no crash');

done_testing();
