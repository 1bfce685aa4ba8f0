
# Events about the people of groups: each kind, by each engine, doubled and in any order; a complete list decides.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
# the first list would be read in an hour: what is settled before is settled by an event, or because of one
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, verify_delays => '50min,1h' },
	conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $SECRET = 'wawp-test-secret';
my $json = JSON::PP->new->canonical;
my ($ME, $MY_LID) = ('15550000001@c.us', '900000000000001@lid');
my $ids = 0;
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");

sub event
{
	my ($name, $payload, %envelope) = @_;
	return { id => sprintf('evt_%06d', ++$ids), timestamp => int(time * 1000), event => $name, session => 't1', engine => 'GOWS',
		me => { id => $ME, lid => $MY_LID }, payload => $payload, %envelope };
}

sub hand_in
{
	my ($event, $instance) = @_;
	my $body = $json->encode($event);
	return $wawp->ask(sprintf q{SELECT status || ' ' || detail FROM wawp_webhook($body$%s$body$, '%s', '%s')}, $body, hmac_sha512_hex($body, $SECRET), $instance // 'support');
}

sub wait_for { my ($event) = @_; return $wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = '$event->{id}' AND event = '$event->{event}' AND applied_at IS NOT NULL", qr/./); }
sub applied { my ($event, $instance) = @_; hand_in($event, $instance); return wait_for($event); }
sub at { my ($seconds) = @_; my @t = gmtime(int(time) + $seconds); return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ]; }

# Of GOWS: the time is WhatsApp's, if seconds are given.
sub change
{
	my ($group, $type, $person, $seconds, %data) = @_;
	$data{Timestamp} = at($seconds) if defined $seconds;
	return event('group.v2.participants', { group => { id => $group }, type => $type, timestamp => int(time * 1000), participants => [ { id => $person, pn => undef, role => 'participant' } ], _data => \%data });
}

sub suppressed { my ($group, $who) = @_; return $wawp->ask("SELECT coalesce(string_agg(reason || CASE WHEN until IS NULL THEN '' ELSE ', for a time' END, '; '), '') FROM wawp.suppression WHERE jid = '$who\@c.us' AND group_jid = '$group'"); }
sub knows_lid { my ($who, $lid) = @_; $wawp->ask("SELECT wawp_note_contact('$who'); UPDATE wawp.contact SET lid = '$lid' WHERE jid = '$who\@c.us'"); return $lid; }
sub waits
{
	my (%arg) = @_;
	my %it = (who => $wawp->person, group => $wawp->group, %arg);
	$it{id} = $wawp->want(%it);
	$it{state} = $wawp->comes_to($it{id}, qr/^(verifying|invited|done|failed|pending)/);
	return %it;
}
my $LEFT = 'the person left the group recently';
my $REMOVED = 'the person was removed from the group by an admin';
my $GONE = 'left the group or was removed by others, according to an event that does not say which, for a time';

# ---- ourselves, before the session has told who we are: what is sent of our account alone is about us unless it names others for certain

sub left_group { my ($group, $engine, $data, %envelope) = @_; return event('group.v2.leave', { group => { id => $group }, timestamp => int(time * 1000), _data => $data }, engine => $engine, me => undef, %envelope); }
sub held_for { my ($group) = @_; return $wawp->ask("SELECT coalesce(string_agg(reason, ' '), '') FROM wawp.hold WHERE group_jid = '$group' AND until > clock_timestamp()"); }
my %our_leave = (
	'GOWS: we left' => [ GOWS => { Sender => '15550000001@s.whatsapp.net', Leave => ['15550000001@s.whatsapp.net'] } ],
	'GOWS: we were removed' => [ GOWS => { Sender => '900000000000099@lid', Leave => ['15550000001@s.whatsapp.net'] } ],
	'GOWS: two, of whom one may be we' => [ GOWS => { Leave => [ '15550000001@s.whatsapp.net', '900000000000098@lid' ] } ],
	'NOWEB: we were removed' => [ NOWEB => { author => '900000000000099@lid', participants => [ { id => $MY_LID } ], action => 'remove' } ],
	'NOWEB: the number alone is told' => [ NOWEB => { author => '900000000000099@lid', participants => [ { id => $MY_LID } ], action => 'remove' }, me => { id => $ME } ],
	'NOWEB: in a form that is not understood' => [ NOWEB => { participants => [ { who => 1 } ], action => 'remove' } ],
	'WEBJS: we left' => [ WEBJS => { type => 'leave', author => $ME, recipientIds => [] } ]);
foreach my $name (sort keys %our_leave)
{
	my $it = $wawp->group;
	is(applied(left_group($it, @{ $our_leave{$name} })), 'we are not in the group any more', $name);
	is(held_for($it), 'group_not_found', '... which holds the group');
}
is($wawp->ask('SELECT count(*) FROM wawp.suppression'), 0, '... and nobody takes us for somebody to leave in peace');
my $without_us = $wawp->group;
like(applied(left_group($without_us, GOWS => { Leave => ['15551110012@s.whatsapp.net'] }, me => { id => $ME })), qr/^gone, it is not told how/, 'somebody else by number, where ours is told');
is(held_for($without_us), '', '... holds nothing');

# ---- an addition

my %added = waits();
is($added{state}, 'verifying accepted', 'accepted, the list would be read in 50 minutes');
my $lists = $wawp->lists($added{group});
like(applied(change($added{group}, 'join', "$added{who}\@c.us", 1)), qr/^joined, which settles intent $added{id}$/, 'an event that they joined');
is($wawp->now($added{id}), 'done added', '... settles them');
is($wawp->lists($added{group}), $lists, '... without a list read');
is($wawp->trail($added{id}), 'sent, answered accepted, verified added', '... is recorded');
like($wawp->ask("SELECT detail ->> 'note' FROM wawp.audit_log WHERE intent_id = $added{id} AND kind = 'verified'"), qr/^joined, by event group\.v2\.participants evt_/, '... with the event');
is($wawp->ask("SELECT added_by_us AND seen_at IS NOT NULL FROM wawp.membership JOIN wawp.contact USING (contact_id) WHERE jid = '$added{who}\@c.us'"), 't', '... and remembered');

my %lid_known = waits();
my $lid = knows_lid($lid_known{who}, '900000000000011@lid');
like(applied(change($lid_known{group}, 'join', $lid, 1)), qr/settles intent $lid_known{id}$/, 'by a LID that is known');
is($wawp->now($lid_known{id}), 'done added', '... likewise');

my %pn = waits();
applied(event('group.v2.participants', { group => { id => $pn{group} }, type => 'join', participants => [ { id => '900000000000012@lid', pn => "$pn{who}\@c.us" } ], _data => { Timestamp => at(1) } }));
is($wawp->now($pn{id}), 'done added', 'by a LID with the number beside it');
is($wawp->ask("SELECT lid FROM wawp.contact WHERE jid = '$pn{who}\@c.us'"), '900000000000012@lid', '... which is learnt');

my %webjs = waits();
applied(event('group.v2.participants', { group => { id => $webjs{group} }, type => 'join', timestamp => int(time) + 1, participants => [ { id => "$webjs{who}\@c.us", pn => undef } ], _data => { type => 'add', author => $ME } }, engine => 'WEBJS'));
is($wawp->now($webjs{id}), 'done added', 'WEBJS: its time is WhatsApp\'s');

my %early = (who => $wawp->person, group => $wawp->group);
$sim->rule({ match => { path => "$early{group}/participants/add\$" }, effect => 'before', fault => { gate => \1 } });
$early{id} = $wawp->want(%early);
ok(poll_until(sub { $wawp->requests($early{group}) }), 'a request is on the wire');
my $first_to_come = change($early{group}, 'join', "$early{who}\@c.us", 1);
hand_in($first_to_come);
is($wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = '$first_to_come->{id}'", qr/./), 'waits for the answer to a request', '... the event comes before its answer');
my $before_answer = $wawp->lists($early{group});
$sim->unrule;
like(wait_for($first_to_come), qr/^joined, which settles intent $early{id}$/, '... and settles it after that');
is($wawp->lists($early{group}), $before_answer, '... without a list read');

# ... and nothing else of the event is applied again then: somebody may have lifted it since
my %one = (who => $wawp->person, group => $wawp->group);
my $other = $wawp->person;
$sim->rule({ match => { path => "$one{group}/participants/add\$" }, effect => 'before', fault => { gate => \1 } });
$one{id} = $wawp->want(%one);
ok(poll_until(sub { $wawp->requests($one{group}) }), 'again a request is on the wire');
my $both = change($one{group}, 'leave', "$one{who}\@c.us", 1, type => 'leave');
push @{ $both->{payload}{participants} }, { id => "$other\@c.us" };
hand_in($both);
is($wawp->until("SELECT progress FROM wawp.webhook_event WHERE id = '$both->{id}'", qr/./), 'wd', '... an event about two who left: the other is through');
is(suppressed($one{group}, $other), $LEFT, '... and suppressed');
is($wawp->ask("SELECT wawp_unsuppress('$_', '$one{group}')"), 't', '... which somebody lifts') foreach $other, $one{who};
$sim->unrule;
like(wait_for($both), qr/^applied to others of its people before; left, which settles intent $one{id}$/, '... the answer comes, and settles who was waited for');
is(suppressed($one{group}, $_), '', '... what was lifted stays lifted') foreach $other, $one{who};

my %two_forms = waits(who => '5531987654321');
like(applied(change($two_forms{group}, 'join', '553187654321@c.us', 1)), qr/settles intent $two_forms{id}$/, 'by the other form of the number');
my %gone = waits(who => '5531987654322');
applied(change($gone{group}, 'join', '553187654322@c.us', 1));
applied(change($gone{group}, 'leave', '553187654322@c.us', 5, Sender => '553187654322@s.whatsapp.net'));
is($wawp->ask("SELECT left_at IS NOT NULL FROM wawp.membership JOIN wawp.contact USING (contact_id) WHERE jid = '5531987654322\@c.us'"), 't', '... by which leaving is known, too');
$sim->leave($gone{group}, '553187654322') if $wawp->is_member($gone{group}, '553187654322');
$sim->leave($gone{group}, '5531987654322') if $wawp->is_member($gone{group}, '5531987654322');
is($wawp->end($wawp->want(group => $gone{group}, who => '5531987654322')), 'failed suppressed', '... and they are not added again');

# ---- what is not proved by an event is looked at

my %older = waits();
applied(change($older{group}, 'join', "$older{who}\@c.us", -600));
is($wawp->end($older{id}), 'done added', 'an event that is older than the addition: the list is read, and tells');
cmp_ok($wawp->lists($older{group}), '>', 0, '... which it was');
my %noweb = waits();
like(applied(event('group.v2.participants', { group => { id => $noweb{group} }, type => 'join', timestamp => int(time * 1000), participants => [ { id => "$noweb{who}\@c.us" } ] }, engine => 'NOWEB')),
	qr/^the member list is read$/, 'NOWEB tells no time of WhatsApp\'s');
is($wawp->end($noweb{id}), 'done added', '... the list tells');
my %unknown = waits();
like(applied(change($unknown{group}, 'join', '900000000000098@lid', 1)), qr/the member list is read; a LID that is not known/, 'a LID that nobody knows');
is($wawp->end($unknown{id}), 'done added', '... the list tells who');
my %absent = waits(group => my $closed = $wawp->group(list_delay => 3600));
applied(event('group.v2.join', { chatId => $closed, participants => { 0 => "$absent{who}\@c.us" } }));
$wawp->until("SELECT next_attempt_at > clock_timestamp() + interval '1 minute' FROM wawp.membership_intent WHERE id = $absent{id}", 't');
is($wawp->now($absent{id}), 'verifying accepted', 'an event that the list does not show: the list decides, later');
cmp_ok($wawp->lists($closed), '>', 0, '... after it was read');

# ---- invitations

my %guest = waits(who => $wawp->person(privacy => 'nobody'), action => 'invite');
is($guest{state}, 'invited invited', 'invited');
applied(change($guest{group}, 'join', "$guest{who}\@c.us", 1, JoinReason => 'invite', Notify => 'invite'));
is($wawp->now($guest{id}), 'done joined_by_invite', '... and joined by the link');

# ---- removals and roles

my $crew = $wawp->group;
my %removal = waits(group => $crew, who => $wawp->person, action => 'remove');
SKIP: { skip 'removed at once', 1 if $removal{state} =~ /^done/; applied(change($crew, 'leave', "$removal{who}\@c.us", 1, Sender => $ME)); is($wawp->now($removal{id}), 'done removed', 'our removal, seen'); }
is(suppressed($crew, $removal{who}), '', '... is no opt-out');
my %promotion = waits(group => $crew, action => 'promote');
SKIP: { skip 'promoted at once', 1 if $promotion{state} =~ /^done/; applied(change($crew, 'promote', "$promotion{who}\@c.us", 1)); is($wawp->now($promotion{id}), 'done promoted', 'a promotion, seen'); }

# ---- leaving

my %how = (
	'by themselves' => [ { Sender => undef }, $LEFT ],
	'removed' => [ { Sender => '15559999999@s.whatsapp.net' }, $REMOVED ],
	'not told' => [ {}, $GONE ]);
foreach my $how (sort keys %how)
{
	my ($data, $reason) = @{ $how{$how} };
	my %it = waits();
	applied(change($it{group}, 'join', "$it{who}\@c.us", 1));
	my %sender = exists $data->{Sender} ? (Sender => $data->{Sender} // "$it{who}\@s.whatsapp.net") : ();
	applied(change($it{group}, 'leave', "$it{who}\@c.us", 5, %sender));
	is(suppressed($it{group}, $it{who}), $reason, "left, $how: not added again");
	is($wawp->ask("SELECT left_at IS NOT NULL FROM wawp.membership JOIN wawp.contact USING (contact_id) WHERE jid = '$it{who}\@c.us'"), 't', '... and remembered');
	like($wawp->ask("SELECT string_agg(detail ->> 'note', '|') FROM wawp.audit WHERE kind = 'webhook' AND jid = '$it{who}\@c.us'"), qr/^\w.*, by event group\.v2\.participants evt_\d+$/, '... and recorded once');
	$sim->leave($it{group}, $it{who});
	is($wawp->end($wawp->want(group => $it{group}, who => $it{who})), 'failed suppressed', '... as the next request finds');
	applied(change($it{group}, 'join', "$it{who}\@c.us", 10));
	is(suppressed($it{group}, $it{who}), '', '... until they join again');
	applied(change($it{group}, 'leave', "$it{who}\@c.us", 3, Sender => "$it{who}\@s.whatsapp.net"));
	is(suppressed($it{group}, $it{who}), '', '... which an event of before does not undo');
}
my $suppressed = $wawp->person;
my $quiet = $wawp->group;
$wawp->ask("SELECT wawp_suppress('$suppressed', '$quiet', 'asked for')");
applied(change($quiet, 'leave', "$suppressed\@c.us", 1));
applied(change($quiet, 'join', "$suppressed\@c.us", 5));
is(suppressed($quiet, $suppressed), 'asked for', 'what somebody asked for is neither replaced nor ended by events');

my %void = waits(who => $wawp->person(privacy => 'nobody'), action => 'invite');
applied(change($void{group}, 'leave', "$void{who}\@c.us", 5, Sender => "$void{who}\@s.whatsapp.net"));
is($wawp->now($void{id}), 'failed recently_left', 'who left is not waited for any more');

# ---- doubled and reordered: the end is the same

my @orders = ([ 0, 1, 2 ], [ 0, 2, 1 ], [ 1, 0, 2 ], [ 1, 2, 0 ], [ 2, 0, 1 ], [ 2, 1, 0 ]);
foreach my $last (qw(join leave))
{
	foreach my $order (@orders)
	{
		my %it = waits();
		my $other = $last eq 'join' ? 'leave' : 'join';
		my @events = map { change($it{group}, $_->[0], "$it{who}\@c.us", $_->[1], $_->[0] eq 'leave' ? (Sender => "$it{who}\@s.whatsapp.net") : ()) }
		  ([ 'join', 1 ], $last eq 'join' ? ([ 'leave', 10 ], [ 'join', 20 ]) : ([ 'join', 10 ], [ 'leave', 20 ]));
		foreach my $event (@events[@$order])
		{
			hand_in($event) foreach 1 .. 3;
			wait_for($event);
		}
		is(suppressed($it{group}, $it{who}), $last eq 'join' ? '' : $LEFT, "joined, then others, at last $last, in the order @$order");
	}
}
my $again = change($added{group}, 'join', "$added{who}\@c.us", 30);
is(join(' ', map { hand_in($again) =~ s/ /_/gr } 1 .. 16), join(' ', '200_stored', ('200_stored_before') x 15), 'sixteen times the same event');

# ---- ourselves

my $ours = $wawp->group;
my %first = waits(group => $ours);
my $demoted = event('group.v2.participants', { group => { id => $ours }, type => 'demote', timestamp => int(time * 1000), participants => [ { id => $MY_LID, role => 'admin' } ], _data => { author => '900000000000099@lid', action => 'demote' } }, engine => 'NOWEB');
is(applied($demoted), 'we are no admin of the group any more', 'we are demoted, whatever the role in the event says');
is($wawp->ask("SELECT reason FROM wawp.hold WHERE group_jid = '$ours' AND until > clock_timestamp()"), 'not_admin', '... which holds the group');
my $held = $wawp->want(group => $ours);
applied(change($ours, 'promote', $ME, -100));
is($wawp->now($held), 'queued', 'an older promotion does not lift it');
is(applied(change($ours, 'promote', $ME, 5)), 'we are an admin of the group', 'promoted');
is($wawp->comes_to($held, qr/^verifying/), 'verifying accepted', '... lifts it, by a list that is read first');
applied(change($ours, 'demote', '900000000000098@lid', 6));
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE group_jid = '$ours' AND until > clock_timestamp()"), 0, 'somebody else\'s demotion holds nothing');
is(applied(event('group.v2.leave', { group => { id => $ours }, timestamp => int(time * 1000) })), 'we are not in the group any more', 'we left');
is($wawp->ask("SELECT reason FROM wawp.hold WHERE group_jid = '$ours' AND until > clock_timestamp()"), 'group_not_found', '... which holds the group');
$held = $wawp->want(group => $ours);
is(applied(event('group.v2.join', { group => { id => $ours, subject => 'x', participants => [] }, timestamp => int(time * 1000) })), 'we are in the group', 'we are back');
is($wawp->comes_to($held, qr/^verifying/), 'verifying accepted', '... and it is served');

# ... not by an event about others, wherever it names them
my $others = $wawp->group;
my $gone = $wawp->person;
sub engine_left { my (%data) = @_; return event('group.v2.leave', { group => { id => $others }, timestamp => int(time * 1000), _data => \%data }, engine => 'NOWEB'); }
is(applied(engine_left(id => $others, author => '15559999999@s.whatsapp.net', participants => [ { id => "$gone\@c.us" } ], action => 'remove')), 'removed by somebody else', 'the engine says that somebody else left');
is(suppressed($others, $gone), $REMOVED, '... which is applied to them');
is(applied(engine_left(type => 'remove', recipientIds => ["$gone\@c.us"])), 'no effect', '... likewise in WEBJS\' form, by which nothing is new');
is(applied(event('group.v2.leave', { group => { id => $others }, member => "$gone\@c.us" })), 'about people who are not told in a form that is understood', '... or under a name that is not known');
is(applied(event('group.v2.leave', { group => { id => $others }, author => $ME, gone => { x => ["$gone\@c.us"] } })), 'about people who are not told in a form that is understood', '... by whomever');
is(applied(event('group.v2.join', { group => { id => $others, participants => [ { id => "$gone\@c.us" } ] } })), 'about a group of whose members none is our account', 'a group that we are not in');
is(applied(event('group.v2.join', { group => { id => $others, participants => [ (map { { id => (900000001000000 + $_) . '\@lid' } } 1 .. 2100), { id => $MY_LID } ] } })), 'we are in the group', 'a community that we are in, behind more members than are read');
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE group_jid = '$others' AND until > clock_timestamp()"), 0, '... none of which holds the group');
is(applied(engine_left(author => '900000000000099@lid', participants => [ { id => $MY_LID } ], action => 'remove')), 'we are not in the group any more', 'the engine says that we left');
is($wawp->ask("SELECT reason FROM wawp.hold WHERE group_jid = '$others' AND until > clock_timestamp()"), 'group_not_found', '... which holds the group');
my %in_other_forms = (
	'in a form that is not understood' => { _data => { participants => [ { who => 1 } ] } },
	'with something in the members\' place' => { members => 5 },
	'with who did it beside it' => { author => '15559999999@c.us', sender => '15559999999@c.us', me => { id => $ME } },
	'with ourselves under a name that is not known' => { gone => $ME });
foreach my $form (sort keys %in_other_forms)
{
	my $it = $wawp->group;
	is(applied(event('group.v2.leave', { group => { id => $it, participants => [ { id => "$gone\@c.us" } ] }, %{ $in_other_forms{$form} } })), 'we are not in the group any more', "we left, $form");
	is(held_for($it), 'group_not_found', '... which holds the group');
	is(applied(event('group.v2.join', { group => { id => $it }, members => 5 })), 'we are in the group', '... until we are back');
}
my %unread = waits();
like(applied(event('group.v2.participants', { group => { id => $unread{group} }, type => 'join', participants => [ { who => "$unread{who}" } ] })),
	qr/^the member list is read; about people who are not told/, 'somebody who joined is not understood');
is($wawp->end($unread{id}), 'done added', '... the list tells who');

my $thrown_out = $wawp->group;
is(applied(change($thrown_out, 'leave', $MY_LID, 1, Sender => '15559999999@s.whatsapp.net')), 'we are not in the group any more', 'an event of people that names us: we are out');
is($wawp->ask("SELECT reason FROM wawp.hold WHERE group_jid = '$thrown_out' AND until > clock_timestamp()"), 'group_not_found', '... which holds the group');
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE jid ~ '^(15550000001|900000000000001)\@'"), 0, '... and nobody takes us for somebody to leave in peace');
my $paired = $wawp->group;
is(applied(event('group.v2.participants', { group => { id => $paired }, type => 'demote', participants => [ { id => '900000000000077@lid', role => 'admin' } ],
	_data => { participants => [ { id => '900000000000077@lid', phoneNumber => '15550000001@s.whatsapp.net' } ] } }, engine => 'NOWEB', me => { id => $ME })),
	'we are no admin of the group any more', 'a LID of ours that only the event\'s pairs tell');
my $connecting = $wawp->group;
my $asked_before = $sim->count(qr{session/info$});
applied(event('message.ack', { ack => -1, error => { code => 463 } }));
$sim->rule({ match => { path => 'session/info$' }, times => undef, answer => { json => { name => 't1', status => 'WORKING', me => undef } } });
$wawp->comes_to($wawp->want(group => $connecting), qr/^verifying/);
cmp_ok($sim->count(qr{session/info$}), '>', $asked_before, 'the session is asked again, and does not say yet who we are');
is(applied({ %{ change($connecting, 'demote', $ME, 1) }, me => undef }), 'we are no admin of the group any more', '... which is still known');
$sim->unrule;
$wawp->ask("DELETE FROM wawp.hold WHERE group_jid = 'invitations'");
my %by_hand = waits();
applied(change($by_hand{group}, 'join', "$by_hand{who}\@c.us", 1));
applied(change($by_hand{group}, 'leave', "$by_hand{who}\@c.us", 5, Sender => $MY_LID, SenderPN => '15550000001@s.whatsapp.net'));
is(suppressed($by_hand{group}, $by_hand{who}), $REMOVED, 'removed by our account, but not by wawp: somebody did it by hand');

# ---- when it happened

sub happened { my ($event) = @_; applied($event); return $wawp->ask("SELECT extract(epoch FROM happened_at)::numeric(14, 3) || ' ' || (happened_at = received_at) FROM wawp.webhook_event WHERE id = '$event->{id}'"); }
my $timed = $wawp->group;
my %nobody = (group => { id => $timed }, type => 'join', participants => []);
is(happened(event('group.v2.participants', { %nobody, timestamp => 1795000001000, _data => { Timestamp => '2026-11-18T09:06:40Z' } }, timestamp => 1795000002500)), '1794992800.000 false', 'GOWS: by WhatsApp\'s time');
is(happened(event('group.v2.participants', { %nobody, timestamp => 1795000001 }, engine => 'WEBJS', timestamp => 1795000002500)), '1795000001.000 false', 'WEBJS: likewise');
is(happened(event('group.v2.participants', { %nobody, timestamp => 1795000001000 }, engine => 'NOWEB', timestamp => 1795000002500)), '1795000002.500 false', 'NOWEB: by the gateway\'s');
like(happened(event('group.v2.participants', { %nobody, timestamp => 0 }, engine => 'WEBJS', timestamp => int((time + 40 * 86400) * 1000))), qr/ true$/, 'a time that cannot be true: when it came');

# ---- requests to join

$sim->world({ accounts => { ASKED => { engine => 'gows' } } });
WawpTest->create_server($node, 'asked', $sim, { instance_id => 'ASKED', concurrency => 8, adds_per_minute => 0, verify_delays => '20ms,50ms' });
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER asked OPTIONS (ADD webhook_secret '$SECRET')");
my %pending = waits(instance => 'asked', group => $wawp->group(approval => \1));
is($pending{state}, 'pending_approval pending_approval', 'waits for approval') or diag($wawp->column($pending{id}, 'detail'));
sub asked { my ($it, $action, %more) = @_; return event('group.v2.participants.join-request', { group => { id => $it->{group} }, action => $action, requesterId => "$it->{who}\@c.us", requesterPn => "$it->{who}\@c.us", requestMethod => 'invite_link', timestamp => int(time * 1000), _data => { Timestamp => at(1) }, %more }); }
$wawp->until("SELECT next_attempt_at > clock_timestamp() + interval '5 s' FROM wawp.membership_intent WHERE id = $pending{id}", 't');
my $reads = $wawp->lists($pending{group});
is(applied(asked(\%pending, 'created'), 'asked'), 'the member list is read', 'a request: looked at');
ok(poll_until(sub { $wawp->lists($pending{group}) > $reads }), '... in the lists');
is($wawp->now($pending{id}), 'pending_approval pending_approval', '... and still waits');
applied(asked(\%pending, 'rejected', requestMethod => 'non_admin_add'), 'asked');
is($wawp->now($pending{id}), 'pending_approval pending_approval', 'a rejection that may be about somebody whom they proposed: waits');
applied(asked(\%pending, 'rejected'), 'asked');
is($wawp->now($pending{id}), 'failed pending_approval', 'rejected');
is(suppressed($pending{group}, $pending{who}), '', '... which is no opt-out');
my %approved = waits(instance => 'asked', group => $pending{group});
applied(change($pending{group}, 'join', "$approved{who}\@c.us", 1), 'asked');
is($wawp->now($approved{id}), 'done added', 'approved: joined');

my $changed_hands = $wawp->group;
is(applied(change($changed_hands, 'promote', $ME, 60), 'asked'), 'we are an admin of the group', 'an account is an admin');
$sim->world({ accounts => { OTHER => { engine => 'gows' } } });
$wawp->ask("ALTER SERVER asked OPTIONS (SET instance_id 'OTHER')");
is(applied(change($changed_hands, 'demote', $ME, 1), 'asked'), 'we are no admin of the group any more', '... what came later to that account does not order what comes to the next');

# ---- the group itself

my $changing = $wawp->group;
my %by_link = waits(group => $changing, who => $wawp->person(privacy => 'nobody'), action => 'invite');
is(applied(event('group.v2.update', { group => { id => $changing, invite => 'https://chat.whatsapp.com/x', membersCanSendMessages => \1 }, timestamp => int(time * 1000) })),
	'the group is read again when it is needed', 'a group that has another link');

# ---- another account, an old event

is(applied(change($added{group}, 'join', "$added{who}\@c.us", 1)), 'no effect', 'nothing is left to do');
$wawp->ask("SELECT wawp_session('support')");
like(applied({ %{ change($added{group}, 'leave', "$added{who}\@c.us", 60, Sender => "$added{who}\@s.whatsapp.net") }, me => { id => '15559999999@c.us' } }), qr/^other_account: /, 'an event of another account');
my %foreign = (
	'of another account, by jid' => { jid => '15559999999@s.whatsapp.net' },
	'... by digits' => { id => '15559999999' },
	'... as a text' => '15559999999@c.us',
	'... by a LID' => { lid => '900000000000002@lid' });
like(applied({ %{ change($added{group}, 'leave', "$added{who}\@c.us", 60, Sender => "$added{who}\@s.whatsapp.net") }, me => $foreign{$_} }), qr/^other_account: /, $_) foreach sort keys %foreign;
like(applied({ %{ change($added{group}, 'leave', "$added{who}\@c.us", 60) }, instance_id => 'SOMEBODY' }), qr/^other_account: /, '... by the gateway\'s number of it');
is(applied({ %{ change($added{group}, 'leave', "$added{who}\@c.us", 60, Sender => "$added{who}\@s.whatsapp.net") }, me => $_ }), 'not understood: the account that it is about', 'of an account that is not understood')
  foreach { account => '15559999999' }, 'x', { id => '15559999999@example.net' };
is(suppressed($added{group}, $added{who}), '', '... none has an effect');
is(applied({ %{ change($added{group}, 'join', "$added{who}\@c.us", 1) }, instance_id => 12345 }), 'no effect', 'of our own, with a number of the gateway\'s beside it');
is(applied({ %{ change($added{group}, 'join', "$added{who}\@c.us", 1) }, me => $_ }), 'no effect', 'of our own, in other forms') foreach '15550000001@c.us', { jid => '15550000001:3@s.whatsapp.net' }, { id => '15550000001' }, {}, { id => undef, platform => 'android' }, { profilePicture => 'http://x' };
is(applied({ %{ change($added{group}, 'leave', "$added{who}\@c.us", 60) }, timestamp => int((time - 40 * 86400) * 1000) }), 'older than wawp.retention', 'an event that is older than what is kept of others');

done_testing();
