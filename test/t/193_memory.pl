
# Memberships that are remembered, and their effect: people who left are not added again, people whom we removed may be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
WawpTest->create_server($node, 'gows', $sim, { instance_id => 'GOWS1', concurrency => 8, invites_per_minute => 0 });
WawpTest->create_server($node, 'plain', $sim, { instance_id => 'WEBJS2', concurrency => 8, invites_per_minute => 0 });

# What a list said before somebody left must not answer for later: an action by hand makes the worker forget it.
sub leaves
{
	my ($group, $who, $by) = @_;
	$sim->leave($group, $who, $by);
	$wawp->ask("SELECT count(*) FROM wawp_promote_participants('$group', ARRAY['15550000001'], 'support')");
	return;
}

sub memory
{
	my ($group, $who, $columns) = @_;
	return $wawp->ask("SELECT $columns FROM wawp.membership m JOIN wawp.contact c USING (contact_id) WHERE m.group_jid = '$group' AND c.jid = '$who\@c.us'");
}

sub suppressed
{
	my ($who) = @_;
	return $wawp->ask("SELECT string_agg(concat_ws(' ', coalesce(group_jid, 'all'), reason), ', ') FROM wawp.suppression WHERE jid = '$who\@c.us'");
}

# ---- who leaves is left in peace

foreach my $by ('self', 'admin')
{
	my %it = (who => $wawp->person, group => $wawp->group);
	my $id = $wawp->want(%it, reason => "'season'");
	is($wawp->end($id), 'done added', "added ($by)");
	is(memory(@it{qw(group who)}, q{instance, added_by_us, added_at IS NOT NULL, seen_at IS NOT NULL, until, invited_at, left_at, requested_by = current_user, reason}),
		'support|t|t|t||||t|season', '... and remembered');
	leaves(@it{qw(group who)}, $by);
	my $requests = $wawp->requests($it{group});
	$id = $wawp->want(%it);
	is($wawp->end($id), 'failed suppressed', "gone by $by and asked for again: suppressed");
	is($wawp->requests($it{group}), $requests, '... not asked for');
	like(suppressed($it{who}), qr/^\Q$it{group}\E left the group: was seen in it on \d{4}-\d\d-\d\d, and is in neither of two complete member lists$/, '... for that group');
	is($wawp->ask("SELECT round(extract(epoch FROM until - since) / 86400) FROM wawp.suppression WHERE jid = '$it{who}\@c.us'"), '90', '... for 90 days, since nobody has said so');
	is(memory(@it{qw(group who)}, 'left_at IS NOT NULL'), 't', '... and remembered');
	like($wawp->ask("SELECT wawp_explain($id)"), qr/^failed: suppressed, suppressed: left the group/, '... and explained');
	is($wawp->trail($id), 'policy suppressed', '... and recorded');
	is($wawp->end($wawp->want(%it, action => 'invite')), 'failed suppressed', '... not invited either');
	is($wawp->end($wawp->want(who => $it{who})), 'done added', '... other groups take them');
	is($wawp->ask("SELECT outcome FROM wawp_add_participants('$it{group}', ARRAY['$it{who}'], 'support')"), 'suppressed', '... nor by hand');

	is($wawp->ask("SELECT wawp_unsuppress('$it{who}', '$it{group}')"), 't', 'wawp_unsuppress');
	$sim->world({ groups => { $it{group} => { left => { $it{who} => undef }, removed => { $it{who} => undef } } } });
	is($wawp->end($wawp->want(%it)), 'done added', '... added again');
	is($wawp->is_member(@it{qw(group who)}), 1, '... in the world, too');
	is(memory(@it{qw(group who)}, 'left_at IS NULL AND seen_at IS NOT NULL'), 't', '... and there again as far as we know');
}

# ---- who was never seen there has not left

my %unseen = (who => $wawp->person(privacy => 'nobody'), group => $wawp->group);
is($wawp->end($wawp->want(%unseen, verify => 'false')), 'done accepted', 'the API said ok, nobody looked, and they are not there');
is($wawp->comes_to($wawp->want(%unseen), qr/^(invited|failed)/), 'invited invited', '... asked for again: they did not leave');
is(suppressed($unseen{who}), '', '... and are not suppressed');

# An old list does not show who came after it.
my %young = (instance => 'gows', group => $wawp->group);
is($wawp->end($wawp->want(%young)), 'done added', 'a list is read');
$young{who} = $wawp->person;
is($wawp->end($wawp->want(%young)), 'done added', '... then somebody is added');
is($wawp->end($wawp->want(%young)), 'done already_member', '... and asked for again: they did not leave');
is(suppressed($young{who}), '', '... and are not suppressed');

# ---- shifts

my %shift = (who => $wawp->person, group => $wawp->group);
my $ends_at = time + 5;
is($wawp->end($wawp->want(%shift, until => "to_timestamp($ends_at)", reason => "'shift north'")), 'done added', 'a shift begins');
is(memory(@shift{qw(group who)}, "extract(epoch FROM until)::numeric(20,2) = ($ends_at)::numeric(20,2)"), 't', '... until its end is known');
my $removal = $wawp->until("SELECT id FROM wawp.membership_intent WHERE group_jid = '$shift{group}' AND action = 'remove'", qr/\d/);
like($removal, qr/^\d+$/, '... when the removal is queued by itself');
is($wawp->column($removal, "created_at BETWEEN to_timestamp($ends_at) AND to_timestamp($ends_at + @{[ soon() ]})"), 't', '... at once, not before');
is($wawp->column($removal, "concat_ws('|', origin, reason, requested_by = current_user)"), 'until|shift north|t', '... for the reason and the role of the addition');
is($wawp->end($removal), 'done removed', '... and done');
is($wawp->is_member(@shift{qw(group who)}), 0, '... in the world, too');
is(memory(@shift{qw(group who)}, 'until IS NULL AND seen_at IS NULL AND NOT added_by_us AND left_at IS NOT NULL'), 't', '... and remembered');
is($wawp->end($wawp->want(%shift)), 'done added', 'the next day they are added again');
is(suppressed($shift{who}), '', '... our own removal suppresses nobody');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$shift{group}' AND action = 'remove'"), 1, '... for good this time');

my %long = (who => $wawp->person, group => $wawp->group);
my $first_end = time + 5;
is($wawp->end($wawp->want(%long, until => "to_timestamp($first_end)")), 'done added', 'a shift begins');
is($wawp->end($wawp->want(%long, until => "to_timestamp($first_end + 2)")), 'done already_member', '... and is extended');
$removal = $wawp->until("SELECT id FROM wawp.membership_intent WHERE group_jid = '$long{group}' AND action = 'remove'", qr/\d/);
is($wawp->column($removal, "created_at >= to_timestamp($first_end + 2)"), 't', '... it ends at the second end');
is($wawp->end($removal), 'done removed', '... then');

# ---- the newcomer before the leaver

my ($leaver, $newcomer, $desk) = ($wawp->person, $wawp->person, $wawp->group);
is($wawp->end($wawp->want(group => $desk, who => $leaver)), 'done added', 'somebody is at the desk');
my @swap = split /\n/, $wawp->ask("SELECT id FROM wawp_request_swap('$desk', '$leaver', '$newcomer', 'support')");
is(join(', ', map { $wawp->end($_) } @swap), 'done added, done removed', 'the newcomer comes, the leaver goes');
is($wawp->ask("SELECT string_agg(id::text, ' ' ORDER BY settled_at) FROM wawp.membership_intent WHERE id IN ($swap[0], $swap[1])"), "$swap[0] $swap[1]",
	'... in that order');
is($wawp->is_member($desk, $newcomer) . $wawp->is_member($desk, $leaver), '10', '... in the world, too');
my $barred = $wawp->person(blocked_us => \1);
@swap = split /\n/, $wawp->ask("SELECT id FROM wawp_request_swap('$desk', '$newcomer', '$barred', 'gows')");
is($wawp->end($swap[0]), 'failed blocked_by_user', 'the newcomer does not come');
like($wawp->end($swap[1]), qr/^failed/, '... the leaver stays');
is($wawp->is_member($desk, $newcomer), 1, '... in the world, too');
is(suppressed($barred), 'all the person does not accept this account', '... and who refused is not asked again, by any group');

# ---- how many became what

my $season = $wawp->group;
my %kind = map { $_ => $wawp->person } qw(open there);
$kind{$_} = $wawp->person(privacy => 'nobody') foreach qw(private guest);
$kind{gone} = $wawp->person(registered => \0);
$kind{blocker} = $wawp->person(blocked_us => \1);
$sim->world({ groups => { $season => { members => { $kind{there} => { role => 'member' } } } } });
my %asked = map { $_ => $wawp->want(instance => 'plain', group => $season, who => $kind{$_}, batch_id => "'season'") } sort keys %kind;
$wawp->comes_to($asked{$_}, qr/^(done|failed|invited)/) foreach sort keys %asked;
$sim->join($season, $kind{guest});
$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE id = $asked{guest}");
$wawp->ask("SELECT wawp_resume('plain')");
is($wawp->end($asked{guest}), 'done joined_by_invite', 'one of the invited comes');
is($wawp->ask("SELECT instance, asked, added, already, invited, joined_by_invite, waiting, refused FROM wawp.funnel WHERE batch_id = 'season'"),
	'plain|6|1|1|2|1|1|{"blocked_by_user": 1, "not_on_whatsapp": 1}', 'wawp.funnel counts them');

# ---- each state explained

my $paused = $wawp->group;
$wawp->ask("SELECT wawp_pause('support', '$paused', 'lunch')");
WawpTest->create_server($node, 'slow', $sim, { instance_id => 'ABC123', concurrency => 8, verify_delays => '600s' });
WawpTest->create_server($node, 'wajs', $sim, { instance_id => 'WAJS01', concurrency => 8 });
WawpTest->create_server($node, 'linkless', $sim, { instance_id => 'WEBJS2', concurrency => 8 });
my ($mute, $linkless) = ($wawp->person, $wawp->group);
$sim->rule({ match => { body => $mute }, fault => { hang => \1 } }, { match => { path => "$linkless/invite-code\$" }, answer => { status => 500, json => {} }, times => undef });
my %state = (
	queued => [ $wawp->want(group => $paused), qr/^queued: the group is held \(paused: lunch\) until wawp_resume/ ],
	sending => [ $wawp->want(instance => 'slow', who => $mute), qr/^sending: its request is on the way/ ],
	verifying => [ $wawp->want(instance => 'slow'), qr/^verifying: the API said accepted, the member list is looked at about \d{4}-/ ],
	inviting => [ $wawp->want(instance => 'linkless', group => $linkless, who => $wawp->person(privacy => 'nobody')),
		qr/^inviting: privacy_blocked, the invite link is sent about \d{4}-/ ],
	invited => [ $asked{private}, qr/^invited: the link was sent, whether the person has joined is looked at about \d{4}-/ ],
	pending_approval => [ $wawp->want(instance => 'wajs', group => $wawp->group(approval => \1)), qr/^pending_approval: an admin of the group has to approve/ ],
	done => [ $asked{guest}, qr/^done: joined_by_invite$/ ],
	failed => [ $asked{gone}, qr/^failed: not_on_whatsapp/ ],
	cancelled => [ my $regretted = $wawp->want(group => $paused), qr/^cancelled: cancelled by / ]);
$wawp->ask("SELECT wawp_cancel($regretted)");
foreach my $name (sort keys %state)
{
	my ($id, $sentence) = @{ $state{$name} };
	like($wawp->comes_to($id, qr/^$name/), qr/^$name/, "$name");
	like($wawp->ask("SELECT wawp_explain($id)"), $sentence, '... explained');
}
is($wawp->ask("SELECT why FROM wawp.stuck WHERE id = $state{queued}[0]"), 'held: paused: lunch; 1 queued', 'wawp.stuck: what is held');
$wawp->ask("UPDATE wawp.membership_intent SET updated_at = updated_at - interval '2 hours' WHERE id IN ($state{inviting}[0], $state{sending}[0])");
is($wawp->ask("SELECT string_agg(state::text, ' ' ORDER BY state) FROM wawp.stuck WHERE id IN (" . join(', ', map { $_->[0] } values %state) . ')'),
	'queued sending inviting', '... what does not get on, and nothing else');

# ---- telling others

my $ear = WawpTest->session($node);
$ear->ask('LISTEN wawp');
is($wawp->end($wawp->want), 'done added', 'wawp.notify is off: done');
unlike($ear->ask('SELECT 1')->{out}, qr/notification/, '... nobody is told');
$node->safe_psql('postgres', "ALTER SYSTEM SET wawp.notify = on");
$node->reload;
$wawp->until('SHOW wawp.notify', 'on');
my %told = (
	added => $wawp->want,
	joined => $wawp->want(action => 'remove'),
	suppressed => $wawp->want(who => $barred));
my %ends = map { $told{$_} => $wawp->end($told{$_}) } sort keys %told;
my $heard = '';
poll_until(sub { $heard .= $ear->ask('SELECT 1')->{out}; return !grep { $heard !~ /"id": $_,/ } values %told; });
foreach my $id (sort { $a <=> $b } values %told)
{
	my ($state, $outcome) = split / /, $ends{$id};
	like($heard, qr/notification "wawp" with payload "\{"id": $id, "state": "$state", "outcome": "$outcome"\}"/, "wawp.notify is on: told of $ends{$id}");
}
unlike($heard, qr/\d{9}/, '... without a number');
$ear->quit;

# ---- overtaken by the opposite while the list is waited for

WawpTest->create_server($node, 'patient', $sim, { adds_per_minute => 0, concurrency => 8, verify_delays => '600s' });
my %both = (instance => 'patient', group => $wawp->group, who => $wawp->person);
my $overtaken = $wawp->want(%both);
$wawp->comes_to($overtaken, qr/^verifying/);
my $opposite = $wawp->ask("INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, verify)
	VALUES ('patient', '$both{group}', '$both{who}', 'remove', false) RETURNING id");
like($wawp->end($overtaken), qr/^done accepted/, 'what the opposite of was asked for is over as far as it came');
is($wawp->end($opposite), 'done accepted', '... which follows');
is($wawp->ask("SELECT count(*) FROM (SELECT instance FROM wawp.hold UNION ALL SELECT instance FROM wawp.membership) x
	WHERE NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = x.instance)"), 0, '... and nothing is remembered of instances there are not');
done_testing();
