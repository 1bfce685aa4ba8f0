
# What an answer does not say is not concluded: whose it is, that everybody is in it, that it is the API's.  And quiet
# hours end by the clock on the wall.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use POSIX qw(strftime);
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim);
my $session = WawpTest->session($node);

sub add
{
	my ($person, $answer) = @_;
	$sim->rule({ match => { method => 'POST', path => '/participants/add$' }, times => 1, answer => $answer });
	return $session->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$person'], 'support')")->{out};
}

# ---- refusals, wherever they are

my $them = '15551230403';
is(add($them, { json => { ok => \1, result => { $them => 403 } } }), 'privacy_blocked', 'a number beside a name beside a success');
is(add($them, { json => { ok => \1, participants => ["$them\@c.us"], data => [ { id => "$them\@c.us", code => 403 } ] } }), 'privacy_blocked',
	'a refusal beside a list of names');
is(add($them, { json => { success => \1, data => [ { id => "$them\@c.us", success => \0 } ] } }), 'unrecognised', 'a failure without a number');
is(add($them, { json => { ok => \1, failed => ["$them\@c.us"] } }), 'unrecognised', 'a name among the failed');
is(add($them, { json => { success => \1, data => { success => \0, message => 'You are not an admin of this group' } } }), 'not_admin',
	'a refusal of the whole inside a success');
is(add($them, { json => { error => { code => 403, message => 'Forbidden' } } }), 'not_admin', 'a number inside the error');

is(add($them, { json => [ { JID => "$them\@s.whatsapp.net", Error => 'forbidden' } ] }), 'unrecognised', 'an error in words is no silence');
is(add($them, { json => [ { JID => "$them\@s.whatsapp.net", AddRequest => { Code => 'x' } } ] }), 'privacy_blocked', 'an invitation to be sent is a refusal');
is(add($them, { json => { success => \1, data => { id => "$them\@c.us", code => 403 } } }), 'privacy_blocked', 'a number beside one person is theirs');
is(add($them, { status => 409, json => { message => 'Another request is already in progress' } }), 'unknown_result', 'a conflict about something else');

# ---- a status is the API's word only with the API's kind of body

is(add($them, { status => 403, json => { message => 'Forbidden' } }), 'not_admin', '403 in JSON');
is(add($them, { status => 403, text => 'RBAC: access denied', content_type => 'text/plain' }), 'unrecognised', '403 in plain text is a proxy\'s');
is(add($them, { status => 403, text => '' }), 'unrecognised', '... so is 403 without a body');
is(add($them, { status => 403, json => { title => 'Error 1020: Access denied', status => 403, cloudflare_error => \1 } }), 'unrecognised', '... and a block by Cloudflare in JSON');
is(add($them, { status => 404, json => { message => 'Route POST:/v2/groups not found', error => 'Not Found' } }), 'unrecognised', '404 of a route says nothing of the group');
is(add($them, { status => 403, text => 'You must be an admin', content_type => 'text/plain' }), 'not_admin', '... unless it says so');
is(add($them, { status => 404, text => 'default backend - 404', content_type => 'text/plain' }), 'unrecognised', '404 of an ingress says nothing of the group');
is(add($them, { status => 422, json => { message => 'The method is not implemented by the engine' } }), 'unrecognised', '422 of an engine is not the session\'s');

# ---- whose an answer is

$session->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('15551230420\@c.us', '900000000007020\@lid')");
is(add('15551230420', { json => [ { status => '403', jid => '900000000007099@lid' } ] }), 'unknown_result', 'a LID that is known to be another\'s');
is(add('15551230420', { json => [ { status => '403', jid => '900000000007020@lid' } ] }), 'privacy_blocked', 'their own');
is(add('15551230421', { json => [ { status => '403', jid => '900000000007099@lid' } ] }), 'privacy_blocked', 'a LID of which nothing is known, and nobody else was asked');

# A pair that a session has learnt is kept for all.
add('15551230422', { json => [ { status => '200', jid => '900000000007022@lid', content => { attrs => { phone_number => '15551230422@s.whatsapp.net' } } } ] });
is($session->until("SELECT lid FROM wawp.contact WHERE jid = '15551230422\@c.us'", qr/./), '900000000007022@lid', 'a LID beside a number in the answer is kept');
$sim->rule({ match => { method => 'GET', path => '/participants$' }, times => 1,
	answer => { json => [ { id => '900000000007023@lid', phoneNumber => '15551230423@s.whatsapp.net' } ] } });
is($session->ask("SELECT outcome || ' ' || verified FROM wawp_add_participants('$group', ARRAY['15551230423'], 'support', verify => true)")->{out}, 'added true',
	'... found in the list');
is($session->until("SELECT lid FROM wawp.contact WHERE jid = '15551230423\@c.us'", qr/./), '900000000007023@lid', '... whose LID is kept as well');

# ---- what engines were seen to give: the simulator's scenarios, and what each means

my ($full, $private, $member) = ('120363012345678903@g.us', '15551230403', '15550000002');
my @scenarios = (
	[ 'a01', $group, [$member], 'added true', 'somebody on the server hosted is a member' ],
	[ 'a02', $group, [$private], 'accepted false', 'a list with entries that nobody can read proves no absence' ],
	[ 'a03', $full, [$private], 'accepted false', 'nor do two of a thousand' ],
	[ 'a05', $group, [ $private, '15551230500' ], 'unknown_result false, added true', 'answers in another order than asked, by LIDs: nobody is taken for another' ],
	[ 'a04', $group, [ $private, '15551230500' ], 'privacy_blocked true, added true', '... with the phone they are told apart' ],
	[ 'a06', $group, [$private], 'unrecognised false', 'the rate limit as whatsapp-web.js tells it is no privacy setting' ],
	[ 'a07', $group, [$private], 'privacy_blocked true', 'a refusal in envelopes' ],
	[ 'a08', $group, [$private], 'privacy_blocked true', '... and in a map' ],
	[ 'a11', $group, [$private], 'unrecognised false', 'a firewall\'s 403' ],
	[ 'a12', $group, [$private], 'unrecognised false', '422 of an engine that does not have it' ]);
WawpTest->create_server($node, 'seen', $sim, { batch_size => 10 });
foreach my $scenario (@scenarios)
{
	my ($name, $place, $people, $right, $about) = @$scenario;
	$sim->seed($name);
	is($session->ask("SELECT string_agg(outcome || ' ' || verified, ', ' ORDER BY ordinality)
		FROM wawp_add_participants('$place', ARRAY['" . join("', '", @$people) . "'], 'seen', verify => true) WITH ORDINALITY")->{out},
		$right, "$name: $about");
}
$sim->reset;

# ---- a clock change within the quiet hours

# A zone whose clocks change in three hours by an hour; J counts days of a year without 29 February.
sub zone
{
	my ($there, $back) = @_;
	my @names = ('XST0XDT', map { my $at = $_; my ($day, $month, $hour, $minute) = (gmtime $at)[ 3, 4, 2, 1 ];
		my $days = 0; $days += (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[$_] foreach 0 .. $month - 1;
		sprintf 'J%d/%d:%02d', $days + $day - ($month == 1 && $day == 29 ? 1 : 0), $hour, $minute } $there, $back);
	return join ',', @names;
}

# When quiet hours that began an hour ago end, and when clocks in the zone show that time; offset: of local time now, in hours.
sub end_of_quiet_hours
{
	my ($name, $zone, $offset) = @_;
	my $local = time + 3600 * $offset;
	my ($from, $to) = map { strftime('%H:%M', gmtime($local + 3600 * $_)) } -1, 6;
	WawpTest->create_server($node, $name, $sim, { quiet_hours => "$from-$to $zone" });
	my $id = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['15551230500'], '$name')")->{out};
	my $said = $session->ask("SELECT substring(wawp_explain($id) FROM 'quiet hours end at (.*)')::timestamptz")->{out};
	my $wall = strftime('%Y-%m-%d %H:%M', gmtime($local + 3600 * 6));
	my $expected = $session->ask("SELECT timestamp '$wall' AT TIME ZONE '$zone'")->{out};
	my $hours = $session->ask("SELECT round(extract(epoch FROM timestamptz '$expected' - now()) / 3600)")->{out};
	return ($said, $expected, $hours);
}

my $month = 30 * 24 * 3600;
my ($said, $expected, $hours) = end_of_quiet_hours('spring', zone(time + 3 * 3600, time + $month), 0);
is($said, $expected, 'clocks are put forward: the quiet hours end by the clock');
is($hours, 5, '... an hour sooner');
# put back at a time that the clocks show in summer
($said, $expected, $hours) = end_of_quiet_hours('autumn', zone(time - $month, time + 4 * 3600), 1);
is($said, $expected, 'clocks are put back: the quiet hours end by the clock');
is($hours, 7, '... an hour later');
($said, $expected, $hours) = end_of_quiet_hours('plain', 'UTC', 0);
is($said, $expected, 'no change: the quiet hours end by the clock');
is($hours, 6, '... and last as long as they say');
# an offset is read as people write it, not with POSIX's sign
foreach my $zone ([ 'UTC+2', 2, 'east' ], [ 'GMT-3', -3, 'west' ], [ '+05:30', 5.5, 'half' ])
{
	my ($offset, $hours_east, $name) = @$zone;
	my $local = time + 3600 * $hours_east;
	my ($from, $to) = map { strftime('%H:%M', gmtime($local + 3600 * $_)) } -1, 6;
	WawpTest->create_server($node, $name, $sim, { quiet_hours => "$from-$to $offset" });
	my $id = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['15551230500'], '$name')")->{out};
	my $end = strftime('%Y-%m-%d %H:%M', gmtime($local + 3600 * (6 - $hours_east)));
	is($session->ask("SELECT substring(wawp_explain($id) FROM 'quiet hours end at (.*)')::timestamptz = timestamp '$end' AT TIME ZONE 'UTC'")->{out},
		't', "quiet hours in $offset");
}

done_testing();
