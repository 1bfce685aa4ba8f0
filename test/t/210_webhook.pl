
# Events of the gateway: what wawp_webhook() accepts, the worker applies, in whatever order and however often they come.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex hmac_sha256_hex);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, verify_delays => '50min,1h', reads_per_minute => 0 },
	conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $SECRET = 'wawp-test-secret';
my $json = JSON::PP->new->canonical;
my ($ME, $MY_LID) = ('15550000001@c.us', '900000000000001@lid');
my $ids = 0;
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");

sub server
{
	my ($name, %options) = @_;
	$sim->world({ accounts => { uc $name => { engine => 'noweb' } } });
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, verify_delays => '50min,1h', %options });
	$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER $name OPTIONS (ADD webhook_secret '$SECRET')");
	return $name;
}

# An event as WAHA sends it; its members override those of the envelope.
sub event
{
	my ($name, $payload, %envelope) = @_;
	return { id => sprintf('evt_%06d', ++$ids), timestamp => int(time * 1000), event => $name, session => 't1', engine => 'GOWS',
		me => { id => $ME, lid => $MY_LID }, payload => $payload, %envelope };
}

# Its body and the answer; "instance" is where it is handed in.
sub hand_in
{
	my ($event, $instance) = @_;
	my $body = ref $event ? $json->encode($event) : $event;
	return $wawp->ask(sprintf q{SELECT status || ' ' || detail FROM wawp_webhook($body$%s$body$, '%s', '%s')}, $body, hmac_sha512_hex($body, $SECRET), $instance // 'support');
}

# Hands it in and waits until it is applied; what it led to.
sub applied
{
	my ($event, $instance) = @_;
	is(hand_in($event, $instance), '200 stored', "$event->{event}: stored");
	return $wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = '$event->{id}' AND event = '$event->{event}' AND applied_at IS NOT NULL", qr/./);
}

sub in_group { my ($group, %more) = @_; return { group => { id => $group }, %more }; }
sub at { my ($seconds) = @_; my @t = gmtime(int(time) + $seconds); return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ]; }
sub person_event
{
	my ($group, $type, $person, $seconds, %data) = @_;
	$data{Timestamp} = at($seconds) if defined $seconds;
	return event('group.v2.participants', in_group($group, type => $type, timestamp => int(time * 1000), participants => [ { id => $person, pn => undef, role => 'participant' } ], _data => \%data));
}
sub suppressions { my ($who, $group) = @_; return $wawp->ask("SELECT coalesce(string_agg(reason || CASE WHEN until IS NULL THEN '' ELSE ', for a time' END, '; '), '') FROM wawp.suppression WHERE jid = '$who\@c.us' AND group_jid IS NOT DISTINCT FROM " . ($group ? "'$group'" : 'NULL')); }

# ---- the session

my $qr = event('session.status', { name => 't1', status => 'SCAN_QR_CODE', statuses => [ { status => 'SCAN_QR_CODE', timestamp => int(time * 1000) } ] });
is(applied($qr), 'the session is SCAN_QR_CODE', 'a session that wants a QR code');
is($wawp->ask("SELECT held_by FROM wawp.instance WHERE name = 'support'"), 'session_down', '... holds the instance');
foreach (1 .. 3)
{
	applied(event('session.status', { name => 't1', status => 'SCAN_QR_CODE' }));
	$wawp->ask("UPDATE wawp.hold SET until = clock_timestamp() WHERE instance = 'support'") if $_ == 2;
}
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND outcome = 'session_down'"), 1, '... which is recorded once, though each code comes as an event');
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'support' AND until > clock_timestamp()"), 1, '... and again where it ended');
my $waiting = $wawp->want;
applied(event('session.status', { name => 't1', status => 'WORKING', statuses => [ { status => 'WORKING', timestamp => int(time * 1000) - 3600_000 } ] }));
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'support' AND until > clock_timestamp()"), 1, 'an older state changes nothing');
is(applied(event('session.status', { name => 't1', status => 'WORKING' })), 'the session is usable again', 'usable again');
is($wawp->comes_to($waiting, qr/^verifying/), 'verifying accepted', '... the queue goes on at once');
is($wawp->ask("SELECT string_agg(kind || ' ' || outcome, ', ' ORDER BY id) FROM wawp.audit_log WHERE outcome = 'session_down'"), 'held session_down, resumed session_down', '... and is recorded');
applied(event('session.status', { name => 't1', status => 'STARTING' }));
is($wawp->ask("SELECT held_by FROM wawp.instance WHERE name = 'support'"), 'session_down', 'an interruption pauses it');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held'"), 1, '... without an alert');
applied(event('session.status', { name => 't1', status => 'WORKING' }));
applied(event('session.status', { name => 't1', status => 'FAILED', statuses => [ { status => 'FAILED', timestamp => int(time * 1000) + 3600_000 } ] }, id => 'evt_other', me => { id => '15559999999@c.us' }));
is(applied(event('status.update', { name => 't1', status => 'FAILED', statuses => [ { status => 'FAILED', timestamp => int(time * 1000) + 2000 } ] })), 'the session is FAILED', 'an event of another account orders none of ours');
is(applied(event('session.status', { name => 't1', status => 'WORKING', statuses => [ { status => 'WORKING', timestamp => int(time * 1000) } ] })), 'a later state is known', '... one by the other name of the kind does');
$wawp->ask("UPDATE wawp.webhook_event SET instance_id = 'FORMER' WHERE event = 'status.update'");
is(applied(event('session.status', { name => 't1', status => 'WORKING', statuses => [ { status => 'WORKING', timestamp => int(time * 1000) } ] })), 'the session is usable again', '... not one of the account that the instance had before');
$wawp->ask("SELECT wawp_pause('support')");
applied(event('session.status', { name => 't1', status => 'WORKING' }));
is($wawp->ask("SELECT wawp_resume('support')"), 't', 'a pause is not lifted by an event');

# ---- limits of the account

sub held { return $wawp->ask("SELECT round(extract(epoch FROM until - clock_timestamp()) / 3600) FROM wawp.hold WHERE instance = 'support' AND group_jid = 'invitations' AND until > clock_timestamp()"); }
my $in_a_day = int(time) + 86400;
is(applied(event('session.status', { name => 't1', status => 'WORKING', data => { reachoutTimelock => { enforcementType => 'NEW_WORD', isActive => \1, timeEnforcementEnds => $in_a_day } } })),
	'invitations are held', 'a limit in the session\'s state');
is(held(), 24, '... holds invitations until it ends');
my $added = $wawp->want;
is($wawp->comes_to($added, qr/^verifying/), 'verifying accepted', '... while additions go on');
my %locked = (id => $ME, lid => $MY_LID, reachoutTimelock => { isActive => \1, timeEnforcementEnds => $in_a_day });
my %free = (id => $ME, lid => $MY_LID, reachoutTimelock => { isActive => \0 }, messageCapping => { cappingStatus => 'NONE' });
applied(event('presence.update', {}, me => { %free }, timestamp => int(time * 1000) - 60_000));
is(held(), 24, 'an older event does not lift it');
is(applied(event('presence.update', {}, me => { %free })), 'invitations go on', '"me" of any event does');
is(held(), '', '... so that nothing is held');
applied(event('presence.update', {}, me => { %locked }, timestamp => int(time * 1000) - 60_000));
is(held(), '', 'nor does an older event set one');
is(applied(event('presence.update', {}, me => { %locked })), 'invitations are held', '"me" of any event sets one');
is(held(), 24, '... until its end');
applied(event('presence.update', {}, me => { %free, reachoutTimelock => undef }));
is(held(), 24, 'null says nothing');
applied(event('presence.update', {}, me => { %free }));
is(held(), '', 'free');
my %capped = (id => $ME, lid => $MY_LID, messageCapping => { cappingStatus => 'CAPPED', totalQuota => 30, cycleEnd => $in_a_day });
applied(event('presence.update', {}, me => { %capped }));
is(held(), 24, 'an account at its cap');
applied(event('presence.update', {}, me => { %free, messageCapping => undef }));
is(held(), 24, '... of which an event that tells only of the timelock says nothing');
applied(event('presence.update', {}, me => { %free, reachoutTimelock => { isActive => 'LIFTED' } }));
is(held(), 24, '... nor one whose timelock is not understood');
applied(event('presence.update', {}, me => { %free }));
is(held(), '', '... until one says that there is neither');
applied(event('message.ack', { ack => -1, error => { code => 463 } }));
isnt(held(), '', 'a message that WhatsApp refused holds them as well');
applied(event('presence.update', {}, me => { %free }));

# ---- messages

my $writer = $wawp->person;
my %message = (id => "false_$writer\@c.us_AA", timestamp => int(time) - 100, from => "$writer\@c.us", fromMe => \0, to => undef, participant => undef, body => "\x{0}STOP");
my $first = event('message', { %message });
is(applied($first), "wrote to us; opted out by a message", 'a message');
is(applied(event('message.any', { %message }, id => $first->{id})), 'no effect', '... comes twice, as another event with its id');
is($wawp->ask("SELECT extract(epoch FROM last_inbound_at) FROM wawp.contact WHERE jid = '$writer\@c.us'") + 0, $message{timestamp}, '... last_inbound_at is its time');
is(suppressions($writer), 'opted out by a message', '... STOP is opting out');
is($wawp->ask("SELECT count(*) FROM wawp.audit WHERE kind = 'webhook' AND jid = '$writer\@c.us'"), 1, '... which is recorded once');
like($wawp->ask("SELECT detail ->> 'note' FROM wawp.audit WHERE kind = 'webhook' AND jid = '$writer\@c.us'"), qr/^opted out by a message, by event message \Q$first->{id}\E$/, '... with its event');
applied(event('message', { %message, timestamp => int(time) - 500, body => 'hello' }));
is($wawp->ask("SELECT extract(epoch FROM last_inbound_at) FROM wawp.contact WHERE jid = '$writer\@c.us'") + 0, $message{timestamp}, 'an older message changes nothing');
my %words = ('Stop.' => 1, ' UNSUBSCRIBE!! ' => 1, 'opt out' => 1, 'stop it' => 0, 'Please stop' => 0, 'bus stop' => 0, '' => 0, '!' => 0, 'STOP' x 100 => 0, 'Baja' => 1);
$wawp->ask("INSERT INTO wawp.opt_out_word VALUES ('BAJA')");
foreach my $word (sort keys %words)
{
	my $who = $wawp->person;
	applied(event('message', { %message, from => "$who\@c.us", body => $word }));
	is(suppressions($who), $words{$word} ? 'opted out by a message' : '', "\"$word\" is " . ($words{$word} ? '' : 'no ') . 'opting out');
}
my $group = $wawp->group;
foreach my $other ({ from => $group, participant => "$writer\@c.us" }, { fromMe => \1 }, { from => 'status@broadcast', participant => "$writer\@c.us" }, { from => '120363000000000009@newsletter' })
{
	is(applied(event('message', { %message, %$other, timestamp => int(time) })), 'no effect', 'not from a person to us: ' . join ' ', map { "$_ $other->{$_}" } sort keys %$other);
}
my $by_lid = $wawp->person;
$wawp->ask("SELECT wawp_note_contact('$by_lid', '2020-01-01')");
applied(event('message', { %message, from => '900000000000077@lid', body => 'hi', _data => { key => { remoteJid => '900000000000077@lid', remoteJidAlt => "$by_lid\@s.whatsapp.net" } } }));
is($wawp->ask("SELECT extract(epoch FROM last_inbound_at)::bigint || ' ' || lid FROM wawp.contact WHERE jid = '$by_lid\@c.us'"), "$message{timestamp} 900000000000077\@lid", 'a message by LID, with the number beside it: learnt');
applied(event('message', { %message, from => '900000000000077@lid', body => 'hi', timestamp => $message{timestamp} + 5 }));
is($wawp->ask("SELECT extract(epoch FROM last_inbound_at)::bigint FROM wawp.contact WHERE jid = '$by_lid\@c.us'"), $message{timestamp} + 5, '... and known the next time');

my $stranger = $wawp->person;
applied(event('message', { %message, from => '900000000000078@lid', body => 'stop' }));
is($wawp->ask("SELECT string_agg(jid, ' ') FROM wawp.suppression WHERE jid ~ 'lid'"), '900000000000078@lid', 'opting out by a LID whose number is not known');
$wawp->ask("SELECT wawp_note_contact('$stranger', '2020-01-01')");
applied(event('message.any', { _data => { Info => { Sender => '900000000000078@lid', SenderAlt => "$stranger\@s.whatsapp.net" } } }));
is(suppressions($stranger), 'opted out by a message', '... holds for the number, too, when it is');
is($wawp->ask("SELECT extract(epoch FROM last_inbound_at)::bigint FROM wawp.contact WHERE jid = '$stranger\@c.us'"), $message{timestamp}, '... as does when they wrote');
is($wawp->end($wawp->want(who => $stranger)), 'failed suppressed', '... so that they are not added');

my $resting = $wawp->person;
$wawp->ask("SELECT wawp_suppress('$resting', NULL, 'on holiday', now() + interval '1 day')");
applied(event('message', { %message, from => "$resting\@c.us", body => 'stop' }));
is($wawp->ask("SELECT reason, until IS NULL FROM wawp.suppression WHERE jid = '$resting\@c.us'"), 'opted out by a message|t', 'opting out outlasts a suppression that ends');
applied(event('message', { %message, from => '553187654321@c.us', body => 'stop' }));
is($wawp->end($wawp->want(who => '5531987654321')), 'failed suppressed', 'opting out holds for the other form of a number');
is($wawp->ask("SELECT wawp_unsuppress('5531987654321')"), 't', '... as does taking it back');
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE jid ~ '^55319?87654321'"), 0, '... of that, too');

done_testing();
