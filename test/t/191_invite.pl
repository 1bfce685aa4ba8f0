
# People who cannot be added are sent the group's invite link: once, if policy and pace allow it, and never twice
# without a new request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { instance_id => 'WEBJS2', concurrency => 8, invites_per_minute => 0 },
	conf => "restart_after_crash = on\nlog_statement = none\nlog_min_messages = debug1\n");
my $wawp = WawpPeople->new($node, $sim);

sub server
{
	my ($name, $instance_id, %options) = @_;
	WawpTest->create_server($node, $name, $sim, { instance_id => $instance_id, concurrency => 8, invites_per_minute => 0, %options });
	return $name;
}

sub own_server
{
	my ($name, %options) = @_;
	my $account = delete $options{account} // {};
	$sim->world({ accounts => { uc $name => { engine => 'webjs', auto_card => \0, %$account } } });
	return server($name, uc $name, %options);
}

sub private { return $wawp->person(privacy => 'nobody', @_); }
sub link_of { return 'https://chat.whatsapp.com/' . $sim->world->{groups}{ $_[0] }{invite_code}; }

sub look_now
{
	my ($id) = @_;
	$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = $id");
	$wawp->ask("SELECT wawp_resume(instance) FROM wawp.membership_intent WHERE id = $id");
	return;
}

sub texts { return scalar(my @texts = $wawp->messages(@_)); }

# How often a message to a person was tried.
sub requests_to { my ($it) = @_; return scalar(grep { $_->{body}{chatId} =~ /^$it->{who}\@/ } $sim->ledger(qr{send/text$})); }

# A person in a new group who is invited; what is known of it.
sub invited
{
	my (%arg) = @_;
	my %it = (who => private(), group => $wawp->group(subject => 'Chess club'), %arg);
	$it{id} = $wawp->want(%it);
	$it{state} = $wawp->comes_to($it{id}, qr/^(invited|failed)/);
	return %it;
}

# ---- one that takes its time: its end is below

server(brief => 'WEBJS2', invite_ttl => '1500ms');
my %unseen = (instance => 'brief', who => private(), group => $wawp->group);
$sim->rule({ match => { path => 'add$', body => $unseen{who} }, fault => { delay => 0.2 } });
$sim->rule({ match => { method => 'GET', path => "$unseen{group}/participants\$" }, times => undef, skip => 1,
	answer => { status => 500, json => {} } });
$unseen{id} = $wawp->want(%unseen);

# ---- an invitation and what comes of it

my %guest = invited();
is($guest{state}, 'invited invited', 'privacy keeps them out: invited');
my ($text, @more) = $wawp->messages($guest{who});
is(scalar(@more), 0, '... by one message');
like($text, qr/Chess club/, '... with the name of the group');
like($text, qr/\Q@{[ link_of($guest{group}) ]}\E/, '... and its link');
is($wawp->ask("SELECT m.invited_at IS NOT NULL AND m.seen_at IS NULL FROM wawp.membership m JOIN wawp.contact c USING (contact_id)
	WHERE m.group_jid = '$guest{group}' AND c.jid = '$guest{who}\@c.us'"), 't', '... and it is remembered');
like($wawp->ask("SELECT wawp_explain($guest{id})"), qr/^invited: the link was sent/, '... and explained');
is($wawp->ask("SELECT string_agg(action || ' ' || kind, ', ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $guest{id}"),
	'add sent, add answered, invite sent, invite answered', '... and recorded');

my %reminded = invited();
my $again = $wawp->want(group => $reminded{group}, who => $reminded{who});
my $invite_again = $wawp->want(group => $guest{group}, who => $guest{who}, action => 'invite');
is($wawp->end($wawp->want(group => $_->{group})), 'done added', 'asked again while the invitation is open: others are served')
  foreach \%reminded, \%guest;
is($wawp->requests($reminded{group}), 2, '... that person is not asked for');
is(texts($_->{who}), 1, '... and gets no second message') foreach \%reminded, \%guest;

foreach my $it (\%guest, \%reminded)
{
	$sim->join($it->{group}, $it->{who});
	look_now($it->{id});
	is($wawp->end($it->{id}), 'done joined_by_invite', 'they follow the link: joined_by_invite');
	is(texts($it->{who}), 1, '... after one message in all');
}
is($wawp->end($_), 'done already_member', '... and who asked again finds them there') foreach $again, $invite_again;

# ---- its text

my $chess = $wawp->group(subject => 'Chess & {link} "club"');
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, invite_text) VALUES ('support', '$chess', 'Join {group}! {group}: {link}')");
my %own_text = invited(group => $chess);
is(join('|', $wawp->messages($own_text{who})), "Join Chess & {link} \"club\"! Chess & {link} \"club\": @{[ link_of($chess) ]}",
	'the text of the group, its name not taken for a placeholder');
my $wordy = $wawp->group(subject => 'x' x 100);
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, invite_text) VALUES ('support', '$wordy', repeat('y', 3787) || '{group}{link}')");
my %long = invited(group => $wordy);
is($long{state}, 'invited invited', 'the longest text');
cmp_ok(length(($wawp->messages($long{who}))[0]), '<=', 4096, '... is not longer than a message may be');
cmp_ok(length(($wawp->messages($long{who}))[0]), '>', 3887, '... and whole');

my $code = 'AbCdEfGhIjKlMnOpQrStUv';
my $shapes = $wawp->group;
foreach my $answer ({ json => $code }, { json => { code => $code } }, { text => "https://chat.whatsapp.com/$code", content_type => 'text/html' })
{
	$sim->rule({ match => { path => "$shapes/invite-code\$" }, answer => $answer });
	my %it = invited(group => $shapes);
	like(($wawp->messages($it{who}))[0], qr{https://chat\.whatsapp\.com/$code$}, 'a link, however the API words it: ' . (keys %$answer)[0]);
}

# ---- who does not come

my %absent = invited(instance => 'brief');
is($wawp->end($absent{id}), 'failed invited', 'they do not come within invite_ttl: failed');
like($wawp->column($absent{id}, 'detail'), qr/did not join within invite_ttl/, '... which is said');
is($wawp->column($absent{id}, "settled_at - created_at >= '1500 ms'"), 't', '... not sooner');
is(texts($absent{who}), 1, '... after one message');

# ---- who is not invited

server(card => 'WEBJS1');
my %by_card = invited(instance => 'card');
is($by_card{state}, 'invited invited', 'the engine sends its own card: invited');
is(texts($by_card{who}), 0, '... without a message of ours');
is($wawp->ask("SELECT invited_at IS NOT NULL FROM wawp.membership JOIN wawp.contact USING (contact_id) WHERE jid = '$by_card{who}\@c.us'"), 't', '... which is remembered');

my $opted_out = private();
$sim->rule({ match => { path => 'add$', body => $opted_out }, fault => { delay => 4 } });
my $quiet = $wawp->want(who => $opted_out, group => my $quiet_group = $wawp->group);
poll_until(sub { $wawp->requests($quiet_group) });
$wawp->ask("SELECT wawp_suppress('$opted_out', NULL, 'wrote STOP')");
my $reserved = $wawp->group;
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, invite) VALUES ('support', '$reserved', false)");
my ($left_alone, $kept_out) = (private(), private());
my %uninvited = (
	'suppressed meanwhile' => [ $quiet, $opted_out, qr/not invited: suppressed \(wrote STOP\)/ ],
	'invite => false' => [ $wawp->want(who => $left_alone, invite => 'false'), $left_alone, qr/not invited: the intent says so/ ],
	'settings.invite = false' => [ $wawp->want(who => $kept_out, group => $reserved), $kept_out, qr/not invited: the group's settings say so/ ]);
foreach my $why (sort keys %uninvited)
{
	my ($id, $who, $detail) = @{ $uninvited{$why} };
	is($wawp->end($id), 'failed privacy_blocked', "$why: not invited");
	like($wawp->column($id, 'detail'), $detail, '... and that is why');
	is(texts($who), 0, '... no message');
}

# ---- asked for by itself

my %asked = (action => 'invite', who => $wawp->person, group => $wawp->group);
my $asked = $wawp->want(%asked);
is($wawp->comes_to($asked, 'invited invited'), 'invited invited', 'wawp_request_invite: invited');
is($wawp->requests($asked{group}), 0, '... not added');
is(texts($asked{who}), 1, '... by one message');
$sim->join($asked{group}, $asked{who});
look_now($asked);
is($wawp->end($asked), 'done joined_by_invite', '... and joined');
is($wawp->end($wawp->want(%asked)), 'done already_member', '... asked again: already there');
is(texts($asked{who}), 1, '... without a message');
my $never = $wawp->want(action => 'invite', who => $opted_out);
like($wawp->end($never), qr/^failed suppressed/, 'who is suppressed is not invited');
is(texts($opted_out), 0, '... no message');

my %changed = invited();
my $opposite = $wawp->want(action => 'remove', group => $changed{group}, who => $changed{who});
is($wawp->end($changed{id}), 'cancelled invited', 'the opposite is asked for: nobody waits for them any more');
like($wawp->end($opposite), qr/^done/, '... and it is done');

# ---- pace

own_server('paced', invites_per_minute => 100);
my @queue = map { { who => private(), group => $wawp->group } } 1 .. 4;
my @ids = map { $wawp->want(instance => 'paced', %$_) } @queue;
is($wawp->comes_to($_, 'invited invited'), 'invited invited', 'invitations wait for their turn') foreach @ids;
my %paced = map { $_->{who} => 1 } @queue;
my @at = map { 1e6 * $_->{mono} } grep { $paced{ $_->{body}{chatId} =~ s/@.*//r } } $sim->ledger(qr{send/text$});
my @permits = WawpTest->permits(WawpTest->asks($node, 'PACED', kind => 'invite'));
is(scalar(@at), 4, '... each is sent');
is(scalar(grep { $at[$_] < $permits[$_] - 1000 } 0 .. $#at), 0, '... not before it');
is(scalar(WawpTest->over_pace(600_000, 0, @permits)), 0, '... and the turns are as far apart as the pace has them');

# ---- a link that changes, or is not there

my %old = invited();
my $old_link = link_of($old{group});
my $new_link = $wawp->ask("SELECT wawp_revoke_invite_link('$old{group}', 'support')");
isnt($new_link, $old_link, 'the link is revoked');
my %new = invited(group => $old{group});
like(($wawp->messages($old{who}))[0], qr/\Q$old_link\E/, '... the first had the old one');
like(($wawp->messages($new{who}))[0], qr/\Q$new_link\E/, '... the next has the new one');

foreach my $case ([ 410, 'link_unavailable', json => { message => 'no' } ], [ 403, 'not_admin', json => { message => 'no' } ], [ 200, 'link_unavailable', text => '' ])
{
	my ($status, $outcome, %body) = @$case;
	my %it = (who => private(), group => $wawp->group);
	$sim->rule({ match => { path => "$it{group}/invite-code\$" }, answer => { status => $status, %body } });
	$it{id} = $wawp->want(%it);
	is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$it{group}' AND until > now() + interval '5 min'", $outcome), $outcome,
		"the link is not to be had ($status): the group is held");
	is($wawp->now($it{id}), 'inviting privacy_blocked', '... the person waits');
	like($wawp->ask("SELECT wawp_explain($it{id})"), qr/^inviting: privacy_blocked.*held: $outcome/, '... as wawp_explain says');
	is(texts($it{who}), 0, '... without a message');
	$wawp->ask("SELECT wawp_resume('support', '$it{group}')");
	is($wawp->comes_to($it{id}, 'invited invited'), 'invited invited', '... and is invited afterwards');
	is(texts($it{who}), 1, '... once');
}

is($wawp->end($unseen{id}), 'failed invited', 'who does not come within invite_ttl and cannot be looked for: failed');
is(texts($unseen{who}), 1, '... after one message');

# ---- a message that does not leave

my %me = %{ $sim->world->{accounts}{ABC123}{me} };

own_server('restricted', account => { restricted => \1 });
# a hold that is over does not keep the next one from being recorded
$wawp->ask("INSERT INTO wawp.hold (instance, group_jid, reason, since, until, failures) VALUES ('restricted', 'invitations', 'account_restricted', now() - interval '1 hour', now() - interval '1 minute', 1)");
my %stranger = (instance => 'restricted', who => private(), group => $wawp->group);
$stranger{id} = $wawp->want(%stranger);
is($wawp->comes_to($stranger{id}, 'inviting account_restricted'), 'inviting account_restricted', 'the account is restricted: the invitation waits');
my $held = "SELECT reason FROM wawp.hold WHERE instance = 'restricted' AND group_jid = 'invitations' AND until > now() + interval '1 h'";
is($wawp->until($held, 'account_restricted'), 'account_restricted', '... the instance\'s invitations are held');
my %other_stranger = (instance => 'restricted', who => private(), group => $wawp->group);
$other_stranger{id} = $wawp->want(%other_stranger);
is($wawp->comes_to($other_stranger{id}, qr/^inviting/), 'inviting privacy_blocked', '... additions go on, here to somebody else who is to be invited');
is($wawp->end($wawp->want(instance => 'restricted', group => $_->{group})), 'done added', '... and to others, in each group')
  foreach \%stranger, \%other_stranger;
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'restricted' AND group_jid IS DISTINCT FROM 'invitations'"), 0, '... nothing else is held');
is($wawp->until("SELECT string_agg(concat_ws(' ', action, outcome, (detail ->> 'until')::timestamptz > now() + interval '1 h'), ', ')
	FROM wawp.audit_log WHERE instance = 'restricted' AND kind = 'held'", 'invite account_restricted t'), 'invite account_restricted t',
	'... which is recorded once, with the end');
is($wawp->until("SELECT count(*) FROM wawp.stuck WHERE instance = 'restricted' AND state = 'inviting'
	AND why LIKE 'invitations are held until %, additions go on: account_restricted; 1 to be invited'", 2), 2, '... shown in wawp.stuck, group by group');
like($wawp->ask("SELECT wawp_explain($other_stranger{id})"), qr/^inviting: privacy_blocked.*invitations are held, additions go on: account_restricted$/, '... and explained');
is(requests_to(\%stranger), 1, '... one message was tried');
is(requests_to(\%other_stranger), 0, '... and none after it');
is(texts($_->{who}), 0, '... nothing was delivered') foreach \%stranger, \%other_stranger;
$sim->world({ accounts => { RESTRICTED => { restricted => \0 } } });
$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = $stranger{id}");
$wawp->ask("SELECT wawp_resume('restricted')");
foreach my $it (\%stranger, \%other_stranger)
{
	is($wawp->comes_to($it->{id}, qr/^(invited|failed)/), 'invited invited', '... afterwards it is not lost')
	  || diag($wawp->column($it->{id}, 'detail'));
	is(texts($it->{who}), 1, '... one message');
}
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'restricted'"), 0, '... and nothing is held');

# ---- a refusal whose end the session tells when it is asked then

foreach my $case ([ 463, reachoutTimelock => { isActive => \1 }, 'timeEnforcementEnds' ],
	[ 475, messageCapping => { cappingStatus => 'CAPPED', totalQuota => 30 }, 'cycleEnd' ])
{
	my ($number, $key, $limit, $end) = @$case;
	my $instance = "refused$number";
	my %it = (instance => $instance, who => private(), group => $wawp->group);
	own_server($instance);
	$sim->rule({ match => { path => 'send/text$', body => $it{who} }, fault => { gate => \1 },
		answer => { status => 500, json => { statusCode => 500, exception => { message => "server returned error $number" } } } });
	$it{id} = $wawp->want(%it);
	poll_until(sub { requests_to(\%it) });
	my $limited_until = int(time) + 12;
	$sim->world({ accounts => { uc $instance => { me => { %me, $key => { %$limit, $end => $limited_until } } } } });
	$sim->unrule;
	is($wawp->until("SELECT extract(epoch FROM until)::int FROM wawp.hold WHERE instance = '$instance' AND group_jid = 'invitations' AND failures > 0",
		$limited_until), $limited_until, "$number: invitations are held until the end that the session tells");
	is($wawp->ask("SELECT string_agg(extract(epoch FROM (detail ->> 'until')::timestamptz)::int::text, ', ') FROM wawp.audit_log
		WHERE instance = '$instance' AND kind = 'held'"), $limited_until, '... which is recorded');
	is($wawp->end($wawp->want(instance => $instance, group => $it{group})), 'done added', '... additions go on');
	is($wawp->comes_to($it{id}, qr/^(invited|failed)/), 'invited invited', '... after the end the person is invited');
	is(requests_to(\%it), 2, '... without a try in between');
	is(texts($it{who}), 1, '... by one message');
	my ($sent) = grep { $_->{chatId} =~ /^$it{who}\@/ } @{ $sim->world->{messages} };
	cmp_ok($sent->{at}, '>=', $limited_until, '... not before');
	is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = '$instance'"), 0, '... and nothing is held');
}

# ---- an account that may not write to strangers, as its session tells

own_server('locked', account => { me => { %me, reachoutTimelock => { isActive => \1, timeEnforcementEnds => int(time) + 3600 } } });
my %cold = (instance => 'locked', who => private(), group => $wawp->group);
$cold{id} = $wawp->want(%cold);
is($wawp->until("SELECT state || ' ' || (next_attempt_at > clock_timestamp() + interval '50 min') FROM wawp.membership_intent
	WHERE id = $cold{id} AND detail LIKE 'WhatsApp does not let the account write to people%'", 'inviting true'), 'inviting true',
	'a timelock: the invitation waits for its end');
is($wawp->end($wawp->want(instance => 'locked', group => $cold{group})), 'done added', '... additions go on');
is($wawp->ask("SELECT string_agg(group_jid || (until > now() + interval '50 min'), ', ') FROM wawp.hold WHERE instance = 'locked'"),
	'invitationstrue', '... invitations are all that is held');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE instance = 'locked' AND kind = 'held'"), 1, '... which is recorded');
is(texts($cold{who}), 0, '... no message has left');

my $ends = int(time) + 5;
own_server('capped', account => { me => { %me, messageCapping => { cappingStatus => 'CAPPED', totalQuota => 30, cycleEnd => $ends } } });
my %capped = (instance => 'capped', who => private(), group => $wawp->group);
$capped{id} = $wawp->want(%capped);
is($wawp->comes_to($capped{id}, qr/^(invited|failed)/), 'invited invited', 'an account at its cap: the invitation is sent');
my ($late) = grep { $_->{chatId} =~ /^$capped{who}\@/ } @{ $sim->world->{messages} };
cmp_ok($late->{at}, '>=', $ends, '... when the cap ends, not before');

# ---- a message of which nobody knows whether it has left

server(hasty => 'WEBJS2', timeout_ms => 2000);
my %doubt = (
	'no answer in time' => { fault => { hang => \1 } },
	'a reset' => { fault => { reset => 'after' } },
	'a 500' => { effect => 'before', answer => { status => 500, json => { message => 'Internal Server Error' } } });
foreach my $how (sort keys %doubt)
{
	my %it = (instance => 'hasty', who => private(), group => $wawp->group);
	$sim->rule({ match => { path => 'send/text$', body => $it{who} }, times => undef, %{ $doubt{$how} } });
	$it{id} = $wawp->want(%it);
	is($wawp->end($it{id}), 'failed unknown_result', "$how: nobody knows");
	is($wawp->ask("SELECT count(*) FROM wawp.stuck WHERE id = $it{id} AND outcome = 'unknown_result'"), 1, '... it is in wawp.stuck');
	is($wawp->end($wawp->want(%it)), 'failed privacy_blocked', '... asked for again: the add is tried');
	is(texts($it{who}), 1, '... and no second message sent');
}

# ---- the worker or the server dies while the answer is out

my $worker_before = 0;
my %death = (
	'kill -9 of the worker' => sub { kill 'KILL', $_[0]; },
	'immediate stop' => sub { $node->stop('immediate'); $node->start; },
	'the end of the worker' => sub { $wawp->ask("SELECT pg_terminate_backend($_[0])"); });
foreach my $how (sort keys %death)
{
	my %it = (who => private(), group => $wawp->group);
	$sim->rule({ match => { path => 'send/text$', body => $it{who} }, fault => { hang => \1 } });
	$it{id} = $wawp->want(%it);
	poll_until(sub { texts($it{who}) });
	is($wawp->now($it{id}), 'sending invited', "$how while an invitation's answer is out");
	$death{$how}->(WawpTest->worker($node));
	is($wawp->end($it{id}), 'failed unknown_result', '... nobody knows');
	is($wawp->ask("SELECT count(*) FROM wawp.stuck WHERE id = $it{id} AND why ~ 'not repeated by itself'"), 1, '... it is in wawp.stuck');
	is($wawp->end($wawp->want(group => $it{group})), 'done added', '... service goes on');
	is(texts($it{who}), 1, '... without a second message');
	next if $how !~ /kill/;
	my $by_hand = $wawp->want(action => 'invite', who => $it{who}, group => $it{group});
	is($wawp->comes_to($by_hand, 'invited invited'), 'invited invited', '... but for who asks for another');
	is(texts($it{who}), 2, '... which is the second');
}

# Not one message too many, over all.
my %messages;
$messages{ $_->{chatId} }++ foreach @{ $sim->world->{messages} };
is(scalar(grep { $_ > 1 } values %messages), 1, 'nobody else has got two messages');
done_testing();
