
# A promoted standby serves the queue: nobody is added or invited twice, also when the end of the log was lost.
# An old primary that was rewound is a standby or a copy.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $primary = WawpTest->node('primary', sim => $sim, init => [ allows_streaming => 1 ], options => { invites_per_minute => 0, verify_delays => '100ms,1s' },
	conf => "log_statement = none\nwal_log_hints = on\nwal_keep_size = '64MB'\nmax_wal_senders = 4\nwawp.worker = off\n");
my $people = 0;

sub new_person { return sprintf '1555146%04d', ++$people; }

my $state = 'SELECT state FROM wawp.worker_status';

sub request
{
	my ($node, $action, $who) = @_;
	return $node->safe_psql('postgres', "SELECT id FROM wawp_request_$action('$group', ARRAY['$who'], 'support')");
}

sub serves
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $id = request($node, 'add', new_person());
	return becomes_in($node, 'postgres', "SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', $name)
	  || diag($node->safe_psql('postgres', "SELECT wawp_explain($id)"));
}

sub switch_worker
{
	my ($node, $to) = @_;
	$node->append_conf('postgresql.conf', "wawp.worker = $to\n");
	$node->reload;
	becomes_in($node, 'postgres', 'SHOW wawp.worker', $to, 'wawp.worker: ' . $to);
	return;
}

sub standby_of
{
	my ($node, $name, $conf) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$node->backup("for_$name");
	$standby->init_from_backup($node, "for_$name", has_streaming => 1);
	$standby->append_conf('postgresql.conf', $conf // '');
	$standby->start;
	return $standby;
}

# How many invitations have been sent to a person.
sub invitations
{
	my ($who) = @_;
	return scalar(my @sent = grep { $_->{body}{chatId} =~ /^$who\@/ } $sim->ledger('/send/text$'));
}

sub outcome { return "SELECT state || ' ' || outcome FROM wawp.membership_intent WHERE id = $_[0]"; }

# ---- the end of the log is lost

$primary->safe_psql('postgres', "INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, welcome_delay)
	VALUES ('support', '$group', 'hello', '0')");
my $standby = standby_of($primary, 'standby');
$primary->safe_psql('postgres', "SELECT wawp_suppress('15551469990', reason => 'before the log is lost')");
becomes_in($primary, 'postgres', 'SELECT count(*) FROM wawp_audit_head() WHERE block = 1', 1, 'there is a record before');
my ($added, $queued) = (request($primary, 'add', my $whom = new_person()), request($primary, 'add', my $too = new_person()));
my $invite = request($primary, 'invite', my $invitee = new_person());
$sim->world({ people => { map { $_ => { privacy => 'nobody' } } my ($blocked, $planned, $anew) = map { new_person() } 1 .. 3 } });
my $refused = request($primary, 'add', $blocked);
my $at_noon = $primary->safe_psql('postgres', "SELECT id FROM wawp_request_add('$group', ARRAY['$planned'], 'support', not_before => now() + interval '1 day')");
my $tomorrow = $primary->safe_psql('postgres', "SELECT id FROM wawp_request_invite('$group', ARRAY['15551469999'], 'support', not_before => now() + interval '1 day')");
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM wawp.queue, wawp.instance, wawp.worker_status'), 1, 'on the standby the views work');
my $verify = 'SELECT ok, checked, first_bad_block, first_bad_id, problem FROM wawp_audit_verify()';
is($standby->safe_psql('postgres', $verify), 't|1|||', '... and the seal of the audit log is checked');
$standby->stop('immediate');
switch_worker($primary, 'on');
becomes_in($primary, 'postgres', outcome($_), 'done added', 'the primary adds people') foreach $added, $queued;
becomes_in($primary, 'postgres', "SELECT state FROM wawp.membership_intent WHERE id = $invite", 'invited', '... and sends an invitation');
becomes_in($primary, 'postgres', outcome($refused), 'invited invited', '... and one to a person who cannot be added');
becomes_in($primary, 'postgres', 'SELECT count(*) FROM wawp.membership WHERE welcomed_at IS NOT NULL', 2, '... and welcomes them');
my @sent = map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' } $sim->ledger;
my $messages = $sim->count('/send/text$');
cmp_ok($messages, '>=', 3, 'messages have left');
my ($kept, $hash) = split /\|/, $primary->safe_psql('postgres', 'SELECT block, hash FROM wawp_audit_head()');
$primary->stop('immediate');

$standby->append_conf('postgresql.conf', "wawp.worker = on\n");
$standby->start;
$standby->safe_psql('postgres', 'SELECT pg_promote()');
becomes_in($standby, 'postgres', $state, 'serving', 'promoted, it serves');
becomes_in($standby, 'postgres', outcome($_), 'done already_member', '... finds people in the list whom the lost end of the log says to be added') foreach $added, $queued;
becomes_in($standby, 'postgres', outcome($invite), 'failed unknown_result', '... and does not repeat the invitation');
is($standby->safe_psql('postgres', "SELECT count(*) FROM wawp.stuck WHERE id = $invite AND why ~ 'promoted'"), 1, '... which is in wawp.stuck');
is($standby->safe_psql('postgres', "SELECT state FROM wawp.membership_intent WHERE id = $tomorrow"), 'queued', 'an invitation for tomorrow stays');
becomes_in($standby, 'postgres', outcome($refused), 'failed unknown_result', 'who cannot be added, and may have been invited, is not invited again');
is($standby->safe_psql('postgres', "SELECT count(*) FROM wawp.stuck WHERE id = $refused AND why ~ 'promoted.*wawp_retry'"), 1, '... as wawp.stuck says')
  || diag($standby->safe_psql('postgres', "SELECT why FROM wawp.stuck WHERE id = $refused"));
is(scalar(grep { /^add ($whom|$too)$/ } $sim->people), 2, 'nobody is added twice');
is($sim->count('/send/text$'), $messages, '... invited or welcomed twice');
is(invitations($blocked), 1, '... one has arrived');
serves($standby, 'it serves new requests');
like($standby->safe_psql('postgres', $verify), qr/^t\|\d+\|\|\|after block 1 a standby was promoted \(timeline 2\): what the former primary recorded last may be missing$/,
	'the seal of its log holds, and says what may be missing');
is($standby->safe_psql('postgres', "SELECT count(*) FROM wawp.audit_block WHERE block = $kept AND hash = '$hash'"), 0, '... as is a hash that was kept of the former primary');
becomes_in($standby, 'postgres', outcome(request($standby, 'add', $anew)), 'invited invited', 'who is asked for now, and cannot be added, is invited');
$standby->safe_psql('postgres', "UPDATE wawp.membership_intent SET not_before = now() WHERE id = $at_noon");
# nobody is told of such a change; a worker that begins looks at all
$standby->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'wawp worker'");
becomes_in($standby, 'postgres', outcome($at_noon), 'invited invited', '... so is who was planned for now');
is($standby->safe_psql('postgres', "SELECT wawp_retry($refused)"), 't', 'wawp_retry()');
becomes_in($standby, 'postgres', outcome($refused), 'invited invited', '... invites again, since somebody wants that');
is(invitations($blocked), 2, '... once');
is($standby->safe_psql('postgres', 'SELECT timeline FROM wawp.identity'), 2, 'its row is of the new timeline');
$standby->restart;
serves($standby, 'restarted, it serves');
is($standby->safe_psql('postgres', $state), 'serving', '... as the original');

# ---- the old primary, rewound

command_ok([ 'pg_ctl', '-D', $primary->data_dir, '-l', $primary->logfile, '-w', '-o', '-c wawp.worker=off', 'start' ], 'the old primary recovers');
command_ok([ 'pg_ctl', '-D', $primary->data_dir, '-m', 'fast', '-w', 'stop' ], '... and ends');
$standby->safe_psql('postgres', 'CHECKPOINT');
command_ok([ 'pg_rewind', '--no-sync', '--target-pgdata', $primary->data_dir, '--source-server', $standby->connstr('postgres') ], 'pg_rewind');
is(join(' ', glob($primary->data_dir . '/pg_replslot/wawp.*')), '', '... deletes the marks');

# The same files elsewhere: started without a signal, a server goes on where it was rewound to, on the same timeline.
my $alone = PostgreSQL::Test::Cluster->new('alone');
PostgreSQL::Test::RecursiveCopy::copypath($primary->data_dir, $alone->data_dir);
chmod 0700, $alone->data_dir;
$alone->append_conf('postgresql.conf', 'port = ' . $alone->port . "\nwawp.worker = on\n");
$alone->start;
becomes_in($alone, 'postgres', $state, 'copy', 'started as it is, it is a copy');
$alone->restart;
becomes_in($alone, 'postgres', $state, 'copy', '... also the second time');
$alone->stop('immediate');

$primary->append_conf('postgresql.conf', 'port = ' . $primary->port . "\n");
$primary->enable_streaming($standby);
$primary->set_standby_mode;
$primary->start;
$standby->wait_for_catchup($primary, 'replay');
is($primary->safe_psql('postgres', 'SELECT pg_is_in_recovery(), state FROM wawp.worker_status'), 't|none', 'told to be a standby, it is one');

# ---- a switch back, with nothing lost

my $open = request($standby, 'add', new_person());
becomes_in($standby, 'postgres', outcome($open), 'done added', 'the new primary serves until the end');
switch_worker($standby, 'off');
my $waiting = request($standby, 'add', my $who_waits = new_person());
$standby->stop;
my $promotes_at = WawpTest->mono;
$primary->safe_psql('postgres', 'SELECT pg_promote()');
my $promoted_at = WawpTest->mono;
becomes_in($primary, 'postgres', outcome($waiting), 'done added', 'the old primary, promoted, serves what waited');
my @first = grep { $_ > $promotes_at } map { 1e6 * $_->{mono} } $sim->ledger;
my ($first_add) = map { 1e6 * $_->{mono} } grep { $_->{path} =~ /add$/ && $_->{body}{participants}[0]{id} =~ /^$who_waits/ } $sim->ledger;
is_soon(($first_add - $promotes_at) / 1e6, '... soon');
diag(sprintf 'seconds from pg_promote(): %.2f until it returned, %.2f until the first request was at the API, %.2f until the add that waited was',
	map { ($_ - $promotes_at) / 1e6 } $promoted_at, $first[0], $first_add);
serves($primary, '... and what is new');
is($primary->safe_psql('postgres', 'SELECT timeline FROM wawp.identity'), 3, '... on the third timeline');

# ---- held after a promotion

my $careful = standby_of($primary, 'careful', "wawp.after_promotion = hold\n");
# Somebody is on the way, as far as the standby hears of it; they are added, and welcomed, in the part that it lacks.
$sim->rule({ match => { path => 'add$', body => my $underway = new_person() }, fault => { gate => \1 } });
my $doubt = request($primary, 'add', $underway);
becomes_in($primary, 'postgres', "SELECT state FROM wawp.membership_intent WHERE id = $doubt", 'sending', 'somebody is on the way');
$primary->wait_for_catchup($careful, 'replay');
$careful->stop('immediate');
my $welcomes = $sim->count('/send/text$');
$sim->unrule;
becomes_in($primary, 'postgres', outcome($doubt), 'done added', '... and is added');
poll_until(sub { $sim->count('/send/text$') > $welcomes });
is($sim->count('/send/text$'), ++$welcomes, '... and welcomed');
$primary->stop('immediate');
$careful->start;
$careful->safe_psql('postgres', 'SELECT pg_promote()');
becomes_in($careful, 'postgres', 'SELECT held_by FROM wawp.instance', 'promoted', 'wawp.after_promotion = hold: its instances are held');
my $id = request($careful, 'add', new_person());
like($careful->safe_psql('postgres', "SELECT wawp_explain($id)"), qr/held \(promoted\)/, '... which is explained');
$careful->safe_psql('postgres', "SELECT wawp_resume('support')");
becomes_in($careful, 'postgres', outcome($id), 'done added', '... until wawp_resume()');
becomes_in($careful, 'postgres', outcome($doubt), 'done added', 'who was on the way is found in the list');
becomes_in($careful, 'postgres', 'SELECT count(*) FROM wawp.membership WHERE welcomed_at IS NULL AND added_by_us', 0, 'all are welcomed, or count as welcomed');
is($sim->count('/send/text$'), $welcomes + 1, '... only who was added after the promotion by a message');

# ---- what is done after a promotion does not wait for users, and touches nothing that was restored

$careful->safe_psql('postgres', "SELECT wawp_pause('support', reason => 'by hand')");
my ($open_invite, $locked) = map { request($careful, 'invite', new_person()) } 1 .. 2;
$careful->safe_psql('postgres', "INSERT INTO wawp.membership (instance, group_jid, contact_id, added_by_us, added_at, home)
	SELECT 'support', '$group', contact_id, true, now(), '00000000-0000-0000-0000-000000000001' FROM wawp.contact
	ON CONFLICT (instance, group_jid, contact_id) DO UPDATE SET welcomed_at = NULL, left_at = NULL, home = excluded.home");
my $foreign = $careful->safe_psql('postgres', 'SELECT count(*) FROM wawp.membership WHERE welcomed_at IS NULL AND added_by_us');
cmp_ok($foreign, '>', 0, 'there are memberships of another home');
my $last = standby_of($careful, 'last');
$careful->wait_for_catchup($last, 'replay');
$careful->stop;
$last->safe_psql('postgres', 'SELECT pg_promote()');
becomes_in($last, 'postgres', outcome($_), 'failed unknown_result', 'pending invitations end') foreach $open_invite, $locked;
is($last->safe_psql('postgres', 'SELECT held_by FROM wawp.instance'), 'paused: by hand', 'a pause stays a pause');
is($last->safe_psql('postgres', 'SELECT count(*) FROM wawp.membership WHERE welcomed_at IS NULL AND added_by_us'), $foreign, '... who was restored is not counted as welcomed');

# ---- a retry is asked for after the time in doubt, though that is ahead by this clock; others keep their time

$last->safe_psql('postgres', "UPDATE wawp.identity SET doubtful_before = clock_timestamp() + interval '1 hour'");
my $plain = request($last, 'remove', new_person());
$last->safe_psql('postgres', "UPDATE wawp.membership_intent SET state = 'failed', outcome = 'unknown_result', settled_at = now() WHERE id = $plain");
is($last->safe_psql('postgres', "SELECT wawp_retry($_)"), 't', 'wawp_retry()') foreach $open_invite, $plain;
is($last->safe_psql('postgres', "SELECT not_before >= doubtful_before FROM wawp.membership_intent, wawp.identity WHERE id = $open_invite"), 't', '... of an invitation is after the time in doubt');
is($last->safe_psql('postgres', "SELECT state, not_before IS NULL FROM wawp.membership_intent WHERE id = $plain"), 'queued|t', '... of a removal leaves the time as it was');
is($last->safe_psql('postgres', "SELECT count(wawp_cancel(id)) FROM wawp.membership_intent WHERE id IN ($open_invite, $plain)"), 2, '... they are cancelled');

# ---- pending invitations end in portions, and one that a user has locked is not waited for

my $many = 1100;
my $pending = "SELECT count(*) FROM wawp.membership_intent WHERE action = 'invite' AND state = 'queued' AND not_before IS NULL";
$last->safe_psql('postgres', "SELECT count(*) FROM wawp_request_invite('$group', ARRAY(SELECT (15551400000 + n)::text FROM generate_series(1, $many) n), 'support')");
is($last->safe_psql('postgres', $pending), $many, 'invitations are pending');
my $holder = WawpTest->session($last);
$holder->ask('BEGIN');
my $held = $holder->ask("SELECT id FROM wawp.membership_intent WHERE action = 'invite' AND state = 'queued' AND not_before IS NULL ORDER BY id LIMIT 1 FOR UPDATE")->{out};
$last->safe_psql('postgres', 'UPDATE wawp.identity SET doubtful_before = clock_timestamp()');
kill 'TERM', WawpTest->worker($last) or die 'no worker';
becomes_in($last, 'postgres', $pending, 1, 'a worker that starts ends all but the locked one');
is($last->safe_psql('postgres', "SELECT count(*) FROM wawp.stuck WHERE outcome = 'unknown_result' AND why ~ 'promoted'") >= $many - 1, 1, '... which is in wawp.stuck');
$last->safe_psql('postgres', "SELECT wawp_resume('support')");
becomes_in($last, 'postgres', outcome(request($last, 'add', new_person())), 'done added', 'others are served meanwhile');
is($last->safe_psql('postgres', $pending), 1, '... and the locked one waits');
$holder->quit;
becomes_in($last, 'postgres', outcome($held), 'failed unknown_result', 'unlocked, it ends, too');
is(scalar(grep { $_->{body}{chatId} =~ /^1555140/ } $sim->ledger('/send/text$')), 0, 'none has been sent');

done_testing();
