
# From the engine's answer and the member list to the end of an intent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 }, conf => "restart_after_crash = on\nlog_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);

sub server
{
	my ($name, $instance_id, %options) = @_;
	WawpTest->create_server($node, $name, $sim,
		{ instance_id => $instance_id, concurrency => 8, invites_per_minute => 0, %options });
	return $name;
}

server(webjs => 'WEBJS1');
server(plain => 'WEBJS2');
server(noweb => 'NOWEB1');
server(gows => 'GOWS1');
server(wajs => 'WAJS01');
server(addf => 'ADDF01');

# Instances that end up held, each with an account of its own.
my $accounts = 0;

sub own_server
{
	my ($account, %options) = @_;
	my $name = 'own' . ++$accounts;
	$sim->world({ accounts => { uc $name => $account } });
	return server($name, uc $name, %options);
}

sub closed_port
{
	my ($socket, $port) = WawpTest->deaf_port;
	close $socket;
	return "http://127.0.0.1:$port";
}

# ---- two that take their time: their ends are below

server(patient => 'ABC123', verify_delays => '3s,15s,60s');
my %patient = (who => $wawp->person, group => $wawp->group(list_delay => 2));
my $asked_at = time;
$patient{id} = $wawp->want(instance => 'patient', %patient);

my ($gone, $back) = ($wawp->group, $wawp->group);
$sim->rule({ match => { method => 'GET', path => "$gone/participants\$" }, answer => { status => 500, json => {} }, times => undef });
$sim->rule({ match => { method => 'GET', path => "$back/participants\$" }, answer => { status => 500, json => {} }, times => 5 });
my ($gone_id, $back_id) = map { $wawp->want(group => $_) } $gone, $back;

# ---- each row of the table: what is asked, what the API makes of it, how it ends

my @rows = (
	{ row => 'added', instance => 'webjs', ends => 'done added', code => 200, trail => 'sent, answered added' },
	(map { +{ row => "added ($_)", instance => $_, ends => 'done added', code => 200, trail => 'sent, answered added' } }
		qw(noweb gows wajs)),
	{ row => 'added (addf)', instance => 'addf', ends => 'done added', trail => 'sent, answered added' },
	{ row => 'already_member, by the list', member => 'member', ends => 'done already_member', trail => 'verified already_member', adds => 0 },
	{ row => 'already_member, by the API', instance => 'gows', member => 'unseen', ends => 'done already_member', code => 409,
		trail => 'sent, answered already_member' },
	{ row => 'removed', instance => 'gows', action => 'remove', member => 'member', ends => 'done removed', trail => 'sent, answered removed' },
	{ row => 'not_member', instance => 'gows', action => 'remove', ends => 'done not_member', code => 404, trail => 'sent, answered not_member' },
	{ row => 'promoted', instance => 'gows', action => 'promote', member => 'member', ends => 'done promoted', trail => 'sent, answered promoted' },
	{ row => 'demoted', instance => 'gows', action => 'demote', member => 'admin', ends => 'done demoted', trail => 'sent, answered demoted' },
	{ row => 'accepted', ends => 'done added', trail => 'sent, answered accepted, verified added' },
	{ row => 'accepted, nobody looks', more => { verify => 'false' }, ends => 'done accepted', trail => 'sent, answered accepted' },
	{ row => 'accepted, removed', action => 'remove', member => 'member', ends => 'done removed', trail => 'sent, answered accepted, verified removed' },
	{ row => 'accepted, promoted', action => 'promote', member => 'member', ends => 'done promoted', trail => 'sent, answered accepted, verified promoted' },
	{ row => 'accepted, demoted', action => 'demote', member => 'admin', ends => 'done demoted', trail => 'sent, answered accepted, verified demoted' },
	{ row => 'unknown_result, it is done', rule => { fault => { reset => 'after' } }, ends => 'done added',
		trail => 'sent, answered unknown_result, verified added' },
	{ row => 'unknown_result, it is not done', rule => { fault => { reset => 'before' } }, ends => 'done added', adds => 2,
		trail => 'sent, answered unknown_result, verified unknown_result, sent, answered accepted, verified added' },
	{ row => 'unknown_result, unreadable', rule => { fault => { truncate_json => \1 } }, ends => 'done added',
		trail => 'sent, answered unknown_result, verified added' },
	{ row => 'unknown_result, removed', action => 'remove', member => 'member', rule => { fault => { reset => 'after' } },
		ends => 'done removed', trail => 'sent, answered unknown_result, verified removed' },
	{ row => 'unknown_result, not removed', action => 'remove', member => 'member', rule => { fault => { reset => 'before' } },
		ends => 'done removed', trail => 'sent, answered unknown_result, verified unknown_result, sent, answered accepted, verified removed' },
	{ row => 'unknown_result, not promoted', action => 'promote', member => 'member', rule => { fault => { reset => 'before' } },
		ends => 'done promoted', trail => 'sent, answered unknown_result, verified unknown_result, sent, answered accepted, verified promoted' },
	{ row => 'privacy_blocked', instance => 'plain', person => { privacy => 'nobody' }, ends => 'invited invited',
		trail => 'sent, answered privacy_blocked, sent, answered accepted', messages => 1 },
	{ row => 'privacy_blocked, not to be invited', instance => 'plain', person => { privacy => 'nobody' }, more => { invite => 'false' },
		ends => 'failed privacy_blocked', code => 403, detail => qr/not invited: the intent says so/, trail => 'sent, answered privacy_blocked' },
	(map { +{ row => "privacy_blocked ($_)", instance => $_, person => { privacy => 'nobody' }, more => { invite => 'false' },
		ends => 'failed privacy_blocked', trail => 'sent, answered privacy_blocked' } } qw(noweb gows wajs addf)),
	{ row => 'privacy_blocked, as the list shows', person => { privacy => 'nobody' }, more => { invite => 'false' },
		ends => 'failed privacy_blocked', detail => qr/not in the member list/, trail => 'sent, answered accepted, verified privacy_blocked' },
	{ row => 'community_restricted', instance => 'gows', group => { community => \1 }, ends => 'invited invited',
		trail => 'sent, answered community_restricted, sent, answered accepted', messages => 1 },
	{ row => 'community_restricted, not to be invited', instance => 'gows', group => { community => \1 }, more => { invite => 'false' },
		ends => 'failed community_restricted', code => 417, trail => 'sent, answered community_restricted' },
	{ row => 'invited, by the engine', instance => 'webjs', person => { privacy => 'nobody' }, ends => 'invited invited',
		trail => 'sent, answered privacy_blocked' },
	{ row => 'pending_approval', instance => 'wajs', group => { approval => \1 }, ends => 'pending_approval pending_approval', code => 421,
		trail => 'sent, answered pending_approval' },
	{ row => 'recently_left', instance => 'gows', left => 'left', ends => 'failed recently_left', code => 408, suppressed => 'group',
		trail => 'sent, answered recently_left' },
	{ row => 'removed_by_admin', instance => 'gows', left => 'banned', ends => 'failed removed_by_admin', code => 405, suppressed => 'group',
		trail => 'sent, answered removed_by_admin' },
	{ row => 'blocked_by_user', instance => 'gows', person => { blocked_us => \1 }, ends => 'failed blocked_by_user', code => 401,
		suppressed => 'all', trail => 'sent, answered blocked_by_user' },
	{ row => 'not_on_whatsapp', instance => 'gows', person => { add_code => 404 }, ends => 'failed not_on_whatsapp', code => 404,
		trail => 'sent, answered not_on_whatsapp' },
	{ row => 'legal_restricted', instance => 'gows', person => { legal => \1 }, ends => 'failed legal_restricted', code => 451,
		trail => 'sent, answered legal_restricted' },
	{ row => 'bad_identifier', rule => { answer => { status => 400, json => { statusCode => 400, message => 'not a valid jid' } } },
		ends => 'failed bad_identifier', trail => 'sent, answered bad_identifier' },
	{ row => 'unrecognised', instance => 'gows', person => { add_code => 499 }, ends => 'failed unrecognised',
		trail => 'sent, answered unrecognised, verified unrecognised' },
	{ row => 'unrecognised, and yet there', instance => 'gows', ends => 'done added',
		rule => { effect => 'before', answer => { json => [ { JID => 'WHO@s.whatsapp.net', Error => 499 } ] } },
		trail => 'sent, answered unrecognised, verified added' },
	{ row => 'group_full', instance => 'gows', rule => { answer => { status => 201, json => [ { JID => 'WHO@s.whatsapp.net', Error => 419 } ] } },
		ends => 'queued group_full', held => 'lane', trail => 'sent, answered group_full' },
	{ row => 'not_admin', rule => { answer => { status => 403, json => { message => 'Forbidden' } } }, ends => 'queued not_admin', held => 'lane',
		trail => 'sent, answered not_admin' },
	{ row => 'group_not_found', rule => { answer => { status => 404, json => { message => 'Group not found' } } },
		ends => 'queued group_not_found', held => 'lane', trail => 'sent, answered group_not_found' },
	{ row => 'group_locked', group => { locked => \1 }, ends => 'queued group_locked', held => 'lane', trail => 'sent, answered group_locked' },
	{ row => 'rate_limited', own => {}, rule => { answer => { status => 429, headers => { 'Retry-After' => '600' }, json => { message => 'Too Many Requests' } } },
		ends => 'queued rate_limited', held => 'instance', trail => 'sent, answered rate_limited' },
	{ row => 'server_error', rule => { times => undef, answer => { status => 500, json => { message => 'Internal Server Error' } } }, ends => 'queued server_error',
		again => 1, trail => qr/^sent, answered server_error/ },
	{ row => 'unreachable', own => {}, options => { base_url => closed_port() }, ends => 'queued unreachable', again => 1, adds => 0,
		trail => qr/answered unreachable$/ },
	{ row => 'account_restricted', own => {}, rule => { answer => { status => 500, json => { statusCode => 500, exception => { message => 'server returned error 463' } } } },
		ends => 'queued account_restricted', held => 'instance', trail => 'sent, answered account_restricted' },
	{ row => 'session_down', own => { status => 'STOPPED' }, ends => 'queued session_down', held => 'instance', trail => qr/^sent, answered session_down/ },
	{ row => 'auth_failed', own => { token => 'another' }, ends => 'queued auth_failed', held => 'instance', trail => 'sent, answered auth_failed' },
	{ row => 'quota_exceeded', own => {}, rule => { answer => { status => 402, json => { code => 'quota_reached', message => 'limit reached' } } },
		ends => 'queued quota_exceeded', held => 'instance', trail => 'sent, answered quota_exceeded' });

sub prepare
{
	my ($row) = @_;
	my $who = $row->{who} = $wawp->person(%{ $row->{person} // {} });
	my %group = %{ $row->{group} // {} };

	$group{members} = { '15550000001' => { role => 'superadmin' },
		$who => { role => $row->{member} eq 'unseen' ? 'member' : $row->{member}, visible_at => $row->{member} eq 'unseen' ? time + 3600 : 0 } }
	  if $row->{member};
	$group{ $row->{left} } = { $who => 1700000000 } if $row->{left};
	$row->{jid} = $wawp->group(%group);
	$row->{instance} = own_server($row->{own}, %{ $row->{options} // {} }) if $row->{own};
	$row->{instance} //= 'support';
	return unless $row->{rule};
	my $rule = JSON::PP->new->canonical->encode({ match => { method => 'POST', body => $who }, %{ $row->{rule} } }) =~ s/WHO/$who/gr;
	$sim->rule(JSON::PP->new->decode($rule));
	return;
}

prepare($_) foreach @rows;
$_->{id} = $wawp->want(action => $_->{action} // 'add', instance => $_->{instance}, group => $_->{jid}, who => $_->{who}, %{ $_->{more} // {} })
  foreach @rows;

sub check_hold
{
	my ($row) = @_;
	my $where = $row->{held} eq 'lane' ? "= '$row->{jid}'" : 'IS NULL';
	my ($outcome) = $row->{ends} =~ / (.*)/;

	is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = '$row->{instance}' AND group_jid $where AND reason = '$outcome' AND until > now()"),
		1, "... and the $row->{held} is held");
	is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND outcome = '$outcome' AND instance = '$row->{instance}' AND group_jid $where"),
		1, '... which is said once');
	like($wawp->ask("SELECT wawp_explain($row->{id})"), qr/held \($outcome\), it is tried again at/, '... as wawp_explain says');
	return;
}

foreach my $row (@rows)
{
	my $name = "$row->{row}: $row->{ends}";
	my $trail = $row->{trail};

	is($wawp->comes_to($row->{id}, $row->{ends}), $row->{ends}, $name) || diag($wawp->ask("SELECT wawp_explain($row->{id})"), ' ', $wawp->trail($row->{id}));
	ref $trail ? like($wawp->trail($row->{id}), $trail, '... with its records') : is($wawp->trail($row->{id}), $trail, '... with its records');
	is($wawp->column($row->{id}, 'code'), $row->{code}, '... and the code') if $row->{code};
	like($wawp->column($row->{id}, 'detail'), $row->{detail}, '... and why') if $row->{detail};
	is($wawp->requests($row->{jid}), $row->{adds} // 1, '... by that many requests') unless $row->{action} || $row->{again};
	is(scalar(my @texts = $wawp->messages($row->{who})), $row->{messages} // 0, '... and messages') if $row->{ends} =~ /invited|blocked|restricted/;
	check_hold($row) if $row->{held};
	is($wawp->ask("SELECT string_agg(coalesce(group_jid, 'all'), ' ') FROM wawp.suppression WHERE jid = '$row->{who}\@c.us'"),
		!$row->{suppressed} ? '' : $row->{suppressed} eq 'all' ? 'all' : $row->{jid}, '... suppressed or not');
	is($wawp->column($row->{id}, "next_attempt_at > updated_at + interval '5 s'"), 't', '... tried again, not at once') if $row->{again};
	if ($row->{action} && $row->{ends} =~ /removed|promoted|demoted/)
	{
		my $role = $sim->world->{groups}{ $row->{jid} }{members}{ $row->{who} }{role} // 'gone';
		is($role, { remove => 'gone', promote => 'admin', demote => 'member' }->{ $row->{action} }, '... as it is in the world');
	}
}

my %row = map { $_->{row} => $_ } @rows;

# ---- what waits for somebody comes to an end

$sim->world({ groups => { $row{pending_approval}{jid} => { members => { $row{pending_approval}{who} => { role => 'member' } } } } });
my $late = $wawp->want(instance => 'wajs', group => $wawp->group(approval => \1), expires_at => "now() + interval '5 s'");
is($wawp->comes_to($late, qr/^pending/), 'pending_approval pending_approval', 'waiting for an admin');
$sim->join($row{privacy_blocked}{jid}, $row{privacy_blocked}{who});
is($wawp->end($late), 'cancelled pending_approval', '... until expires_at');
server(brief => 'WAJS01', invite_ttl => '1500ms');
my $unapproved = $wawp->want(instance => 'brief', group => $wawp->group(approval => \1));
is($wawp->end($unapproved), 'failed pending_approval', '... or for as long as an invitation lives');
is($wawp->column($unapproved, 'detail'), 'no admin has approved it within invite_ttl', '... as the intent says');

$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id IN ($row{pending_approval}{id}, $row{privacy_blocked}{id})");
$wawp->ask("SELECT wawp_resume('wajs'), wawp_resume('plain')");
is($wawp->end($row{pending_approval}{id}), 'done added', 'the admin approves, the list shows it');
is($wawp->end($row{privacy_blocked}{id}), 'done joined_by_invite', 'who was invited has joined, the list shows it');

$wawp->ask("UPDATE wawp.membership_intent SET attempts = 7, next_attempt_at = NULL WHERE id = $row{server_error}{id}");
$wawp->ask("SELECT wawp_resume('support', '$row{server_error}{jid}')");
is($wawp->end($row{server_error}{id}), 'failed server_error', 'eight attempts, no more');

my $pausing = own_server({});
my $slowed = $wawp->person;
$sim->rule({ match => { body => $slowed }, answer => { status => 429, headers => { 'Retry-After' => '1' }, json => {} } });
my $slow_start = time;
is($wawp->end($wawp->want(instance => $pausing, who => $slowed)), 'done added', 'after a 429: done');
cmp_ok(time - $slow_start, '>=', 1, '... when Retry-After has passed');

# ---- what the list never shows

my $blocked = $wawp->person(privacy => 'nobody');
my $never = $wawp->want(who => $blocked);
is($wawp->comes_to($never, qr/^invited/), 'invited invited', 'never in the list: invited, like one whom privacy keeps out');
is($wawp->trail($never), 'sent, answered accepted, verified privacy_blocked, sent, answered accepted', '... after the last look');
is(scalar(my @invitations = $wawp->messages($blocked)), 1, '... once');

# ---- a list with privacy ids only

my %lids = (addressing => 'lid', lid_pn => \0);
my ($known, $private, $unknown, $shown) = ($wawp->person, $wawp->person(privacy => 'nobody'), $wawp->person(lid_known => \0), $wawp->person);
my %by_lid = (
	known => $wawp->want(group => $wawp->group(%lids), who => $known),
	private => $wawp->want(group => $wawp->group(%lids), who => $private),
	unknown => $wawp->want(group => my $dark = $wawp->group(%lids), who => $unknown),
	shown => $wawp->want(group => $wawp->group(%lids, lid_pn => \1), who => $shown));
is($wawp->end($by_lid{known}), 'done added', 'by privacy id only: found by the map');
is($wawp->ask("SELECT lid ~ '^[0-9]+\@lid\$' FROM wawp.contact WHERE jid = '$known\@c.us'"), 't', '... which is kept');
is($wawp->end($by_lid{shown}), 'done added', 'by privacy id with the number beside it');
is($wawp->comes_to($by_lid{private}, qr/^invited/), 'invited invited', 'by the map not there: invited');
poll_until(sub { $wawp->lists($dark) >= 4 });
is($wawp->now($by_lid{unknown}), 'verifying accepted', 'a privacy id that nobody can resolve: neither in nor out');
is($wawp->messages($unknown), 0, '... not invited');
like($wawp->ask("SELECT wawp_explain($by_lid{unknown})"), qr/^verifying: the API said accepted, the member list is looked at about/, '... explained');
$wawp->age($by_lid{unknown}, '25 hours');
is($wawp->end($by_lid{unknown}), 'done accepted', '... after a day it is over');
like($wawp->column($by_lid{unknown}, 'detail'), qr/could not be verified: .*privacy id/, '... and labelled unverified');
is($wawp->messages($unknown), 0, '... not invited still');

# ---- one list for many

server(many => 'ABC123', verify_delays => '800ms,2s', concurrency => 20);
my $hall = $wawp->group;
$wawp->ask("SELECT count(*) FROM wawp_request_add('$hall', ARRAY(SELECT '1555800' || to_char(i, 'FM0000') FROM generate_series(1, 20) i), 'many', batch_id => 'hall')");
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'hall' AND state = 'done' AND outcome = 'added'", 20), 20,
	'twenty people in a group are verified');
cmp_ok($wawp->lists($hall), '<=', 10, '... by a few lists');
cmp_ok($wawp->lists($hall), '>=', 2, '... before and after');
is($wawp->requests($hall), 20, '... each with a request');

# ---- the two that take their time

is($wawp->end($patient{id}), 'done added', 'in the list after 2 s: seen at the first look');
is($wawp->column($patient{id}, "settled_at - created_at >= '3 s'"), 't', '... after 3 s');
is($wawp->lists($patient{group}), 2, '... by one list before and one after');

is($wawp->now($gone_id), 'verifying accepted', 'without a list to look at first: asked for nevertheless');
cmp_ok($wawp->lists($gone), '<=', 2 + log(1 + time - $asked_at) / log(2), '... the list is tried less and less often');
is($wawp->end($back_id), 'done added', 'a list that can be read again settles who waits');
is($wawp->requests($back), 1, '... without another request');
$wawp->age($gone_id, '25 hours');
is($wawp->end($gone_id), 'done accepted', 'one that never can: over after a day');
like($wawp->column($gone_id, 'detail'), qr/could not be verified: the member list cannot be read/, '... and labelled unverified');
is($wawp->requests($gone), 1, '... without another request');

# ---- an answer that never comes

server(hasty => 'ABC123', timeout_ms => 400);
my $silent = $wawp->person;
$sim->rule({ match => { body => $silent }, fault => { hang => \1 } });
my $timed_out = $wawp->want(instance => 'hasty', who => $silent, group => my $quiet = $wawp->group);
is($wawp->end($timed_out), 'done added', 'no answer in time: looked at, and it is done');
is($wawp->requests($quiet), 1, '... by one request');

# ---- no effect

my $stays = $wawp->person;
$sim->rule({ match => { path => 'remove$', body => $stays }, answer => { json => { ok => \1 } } });
my $kept = $wawp->want(action => 'remove', who => $stays,
	group => $wawp->group(members => { '15550000001' => { role => 'superadmin' }, $stays => { role => 'member' } }));
like($wawp->end($kept), qr/^failed/, 'accepted, but they are still there: failed');
like($wawp->column($kept, 'detail'), qr/shows no effect/, '... which is said');

# ---- the worker ends while it waits for a sighting

server(slow => 'ABC123', verify_delays => '4s,8s');
foreach my $signal ('', 'KILL')
{
	my $name = $signal ? 'kill -9' : 'pg_terminate_backend';
	my %later = (instance => 'slow', who => $wawp->person, group => $wawp->group);
	my $id = $wawp->want(%later);
	is($wawp->comes_to($id, qr/^verifying/), 'verifying accepted', "$name while verifying");
	my $worker = WawpTest->worker($node);
	$signal ? kill($signal, $worker) : $wawp->ask("SELECT pg_terminate_backend($worker)");
	is($wawp->end($id), 'done added', '... it goes on where it was');
	isnt(WawpTest->worker($node), $worker, '... by another worker');
	is($wawp->requests($later{group}), 1, '... without another request');
	is($wawp->column($id, "attempts || ' ' || crashes"), '1 0', '... and nobody is blamed');
}
is($wawp->ask('SELECT max(id) - count(*) FROM wawp.audit_log'), 0, 'the audit log has no gaps');
# ---- a list that was asked for too early; last, since opening the gate drops all rules

server(once => 'ABC123', verify_delays => '400ms', concurrency => 8);
my $crowd = $wawp->group;
my ($early, $tardy) = ($wawp->person, $wawp->person);
$sim->rule({ match => { path => 'add$', body => $tardy }, effect => 'before', answer => { json => { ok => \1 } }, fault => { gate => \1 } });
$sim->world({ groups => { $crowd => { list_delay => 3600 } } });
my $tardy_id = $wawp->want(instance => 'once', group => $crowd, who => $tardy);
$sim->arrived('add$');
$sim->world({ groups => { $crowd => { list_delay => 0 } } });
my $early_id = $wawp->want(instance => 'once', group => $crowd, who => $early);
is($wawp->end($early_id), 'done added', 'a list is read while another answer is out');
is($wawp->now($tardy_id), 'sending', '... which has not come');
$sim->world({ groups => { $crowd => { members => { $tardy => { visible_at => 0 } } } } });
$sim->unrule;
is($wawp->end($tardy_id), 'done added', '... and does not count for that one, who was not in it yet');
is($wawp->trail($tardy_id), 'sent, answered accepted, verified added', '... as the next one shows');

done_testing();
