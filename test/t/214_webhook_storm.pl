
# 500 people, 20 groups: events that are lost, doubled and late, in any order, while a process is killed every few seconds.
# People come, go and come back, the account loses and regains rights and its session; the queue, what is remembered of
# people and the opt-out list end in what the simulator's world says.  SEED=n repeats a run's choices.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex);
use JSON::PP;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my ($GROUPS, $EACH, $KILLS, $SECONDS_BETWEEN) = (20, 25, 5, 3);
my $SECRET = 'wawp-test-secret';
my ($OWN, $ADMIN) = ('15550000001', '15559999999');
my $seed = $ENV{SEED} // 20261129;
srand($seed);
note("seed $seed");
my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim,
	options => { concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, reads_per_minute => 0, verify_delays => '1s,3s,6s', invite_ttl => '2h' },
	conf => "log_statement = none\nrestart_after_crash = on\n");
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");
my $json = JSON::PP->new->canonical;

sub at { my @t = gmtime(int(time)); return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ]; }
# As the simulator makes them.
sub lid { my ($digits) = @_; return 10**14 + $digits * 48271 % (9 * 10**14) . '@lid'; }

# ---- events: what happens now, as one of the gateways tells it

my $ids = 0;
sub envelope { my (%event) = @_; return { id => sprintf('evt_%06d', ++$ids), timestamp => int(time * 1000), me => { id => "$OWN\@c.us", lid => lid($OWN) }, %event }; }

# GOWS has a time of WhatsApp's, NOWEB has none, Wawp has a form of its own, without the one who did it.
my %by_lid;
sub change
{
	my ($group, $type, $person, $actor) = @_;
	my $id = $by_lid{$group} ? lid($person) : "$person\@c.us";
	my $by = $by_lid{$group} ? lid($actor) : "$actor\@s.whatsapp.net";
	my $form = int rand 3;
	return envelope(event => 'group.v2.participants', engine => 'GOWS', payload => { group => { id => $group }, type => $type, timestamp => int(time * 1000),
			participants => [ { id => $id, pn => undef, role => 'participant' } ], _data => { Timestamp => at(), Sender => $by } }) if $form == 0;
	return envelope(event => 'group.v2.participants', engine => 'NOWEB', payload => { group => { id => $group }, type => $type, timestamp => int(time * 1000),
			participants => [ { id => $id, $by_lid{$group} ? (pn => "$person\@c.us") : () } ], _data => { author => $by } }) if $form == 1;
	return envelope(event => "group.v2.$type", payload => { chatId => $group, participants => { 0 => $id } }) if $type =~ /^(?:join|leave)$/;
	return envelope(event => 'group.v2.participants', payload => { chatId => $group, action => $type, participants => { 0 => $id } });
}

sub status { my ($status) = @_; return envelope(event => 'session.status', payload => { name => 't1', status => $status, statuses => [ { status => $status, timestamp => int(time * 1000) } ] }); }

# A third never arrives, a third comes twice; how often it does.
my @under_way;
sub send_off
{
	my ($event) = @_;
	my $times = (0, 1, 2)[ rand 3 ];
	push @under_way, ($json->encode($event)) x $times;
	return $times;
}

sub hand_in
{
	my ($body) = @_;
	# a server that is killed may answer nothing
	my $status = $wawp->until(sprintf(q{SELECT status FROM wawp_webhook($body$%s$body$, '%s', 'support')}, $body, hmac_sha512_hex($body, $SECRET)), qr/./);
	die "answered $status\n" if $status ne '200';
	return;
}

# ---- people: most can be added, some only invited; some groups name them by LID

my @groups = map { $wawp->group } 1 .. $GROUPS;
$by_lid{$_} = 1 foreach @groups[ 15 .. 19 ];
$sim->world({ groups => { map { $_ => { addressing => 'lid', lid_pn => \1 } } keys %by_lid } });
my (%intent, %guest, %people);
foreach my $group (@groups)
{
	my @who = map { $wawp->person } 1 .. $EACH;
	my @private = @who[ map { 5 * $_ - 1 } 1 .. $EACH / 5 ];
	$sim->world({ people => { map { $_ => { privacy => 'nobody' } } @private } });
	$guest{$group}{$_} = 1 foreach @private;
	my $list = join ', ', map { "'$_'" } @who;
	my $asked = $wawp->ask("SELECT string_agg(jid || ' ' || id, ' ') FROM wawp_request_add('$group', ARRAY[$list], 'support')");
	my %asked = split / /, $asked;
	$intent{$group}{$_} = $asked{"$_\@c.us"} foreach @who;
	$people{$_} = $group foreach @who;
}
is(scalar(grep { defined } map { values %$_ } values %intent), $GROUPS * $EACH, 'all are asked for');
# ---- the storm

my $start = time;
my (%was, %follower, %left, %acted);
my $world;

# What the world shows for the first time: we added somebody.
sub notice_additions
{
	$world = $sim->world->{groups};
	foreach my $group (@groups)
	{
		my $members = $world->{$group}{members};
		foreach my $who (grep { $members->{$_} && !$was{$group}{$_} } keys %{ $intent{$group} })
		{
			$was{$group}{$who} = time;
			send_off(change($group, 'join', $who, $guest{$group}{$who} ? $who : $OWN));
		}
	}
	return;
}

# Some of those who are invited follow the link.
sub follow_links
{
	my $invited = $wawp->ask("SELECT string_agg(id::text, ' ') FROM wawp.membership_intent WHERE state = 'invited'") // '';
	my %invited = map { $_ => 1 } split / /, $invited;
	foreach my $group (@groups)
	{
		foreach my $who (grep { $invited{ $intent{$group}{$_} } && !$follower{$_}++ } keys %{ $guest{$group} }) { $sim->join($group, $who) if rand() < 0.6; }
	}
	return;
}

# Of those whose intents are done, some leave, some are removed by another admin; of the former some come back.  Each act
# is some seconds after the one before, since WhatsApp's times have whole seconds.
sub come_and_go
{
	my $done = $wawp->ask("SELECT string_agg(id::text, ' ') FROM wawp.membership_intent WHERE state = 'done' AND updated_at < clock_timestamp() - interval '1 s'") // '';
	my %done = map { $_ => 1 } split / /, $done;
	foreach my $who (shuffle keys %people)
	{
		my $group = $people{$who};
		if (!$acted{$who} && $done{ $intent{$group}{$who} })
		{
			$acted{$who} = my $what = (('stays') x 7, 'leaves', 'leaves', 'is removed')[ rand 10 ];
			next if $what eq 'stays';
			$sim->leave($group, $who, $what eq 'leaves' ? 'self' : 'admin');
			$left{$who} = { at => time, by => $what, told => send_off(change($group, 'leave', $who, $what eq 'leaves' ? $who : $ADMIN)) };
		}
		elsif ($left{$who} && $left{$who}{by} eq 'leaves' && !$left{$who}{back} && !$left{$who}{stays} && time > $left{$who}{at} + 2.2)
		{
			if (rand() < 0.5) { $left{$who}{stays} = 1; next; }
			$sim->join($group, $who);
			$left{$who}{back} = 1;
			send_off(change($group, 'join', $who, $who));
		}
	}
	return;
}

# Once each: the account is no admin of some groups for a time, and its session is down.
my ($demoted, $down) = (0, 0);
sub take_and_give_rights
{
	my $age = time - $start;
	my @some = @groups[ 0 .. 3 ];
	if ($demoted == 0 && $age > 1 || $demoted == 1 && $age > 4)
	{
		my $is_admin = $demoted++;
		$sim->world({ groups => { map { $_ => { members => { $OWN => { role => $is_admin ? 'superadmin' : 'member' } } } } @some } });
		send_off(change($_, $is_admin ? 'promote' : 'demote', $OWN, $ADMIN)) foreach @some;
	}
	if ($down == 0 && $age > 6 || $down == 1 && $age > 8)
	{
		my $status = $down++ ? 'WORKING' : 'STOPPED';
		$sim->world({ accounts => { ABC123 => { status => $status } } });
		send_off(status($status));
	}
	return;
}

# What there is of a server is killed in turn: the worker, whose end restarts all, or the launcher.
my ($kills, $next_kill) = (0, time + $SECONDS_BETWEEN);
sub kill_something
{
	return if $kills == $KILLS || time < $next_kill;
	my $kind = $kills % 3 == 2 ? 'launcher' : 'worker';
	my $pid = $wawp->until("SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE backend_type = 'wawp $kind' AND (datname = 'postgres' OR '$kind' = 'launcher')", qr/[1-9]/);
	$kills += kill 'KILL', $pid;
	$next_kill = time + $SECONDS_BETWEEN;
	return;
}

my $resumed = 0;
my $is_over = poll_until(
	sub {
		take_and_give_rights();
		notice_additions();
		follow_links();
		come_and_go();
		@under_way = shuffle(@under_way);
		hand_in($_) foreach splice @under_way, 0, @under_way / 2 + 1;
		kill_something();
		return if $demoted < 2 || $down < 2 || $kills < $KILLS;
		# a hold whose end no event tells ends by itself after minutes, what failed is tried again after half a minute: now, here
		$wawp->ask(<<~'SQL') if $resumed++ % 20 == 0;
			UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE state = 'inviting' AND next_attempt_at > clock_timestamp() + interval '5 s';
			SELECT wawp_resume(instance, group_jid) FROM wawp.hold WHERE until > clock_timestamp();
			SELECT wawp_resume('support');
		SQL
		return if @under_way || grep { $_->{by} eq 'leaves' && !$_->{back} && !$_->{stays} } values %left;
		return $wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled', 'invited')
			OR state = 'invited' AND updated_at > clock_timestamp() - interval '2 s' OR state = 'done' AND updated_at > clock_timestamp() - interval '2 s'") == 0;
	});
my $seconds = sprintf '%.0f', time - $start;
ok($is_over, "it ends, after $seconds s and $kills kills");
is($wawp->until('SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NULL', 0), 0, 'all events are applied');
note($wawp->ask("SELECT count(*) || ' events' FROM wawp.webhook_event"), ', ', scalar(keys %left), ' people left, ', scalar(grep { $_->{back} } values %left), ' came back');
note($wawp->ask("SELECT string_agg(n || ' ' || kind, ', ' ORDER BY n DESC) FROM (SELECT count(*) n, kind || ' ' || coalesce(outcome::text, '') kind FROM wawp.audit_log GROUP BY 2) k"));
cmp_ok($wawp->ask('SELECT count(*) FROM wawp.webhook_event'), '>', 250, '... many of them');

# ---- who followed the link and whose event was lost is found by the list, read at growing intervals: now, here

$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE state = 'invited'; SELECT wawp_resume('support')");
$world = $sim->world->{groups};
my $is_in = sub { my ($who) = @_; return exists $world->{ $people{$who} }{members}{$who}; };
my @followed = grep { $guest{ $people{$_} }{$_} && ($is_in->($_) || $left{$_}) } keys %people;
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE outcome = 'joined_by_invite'", scalar @followed), scalar @followed, 'who followed the link has joined by the invitation');

my @wrong;
my %state = split /[|;]/, $wawp->ask("SELECT string_agg(id || '|' || concat_ws(' ', state, outcome), ';') FROM wawp.membership_intent");
# some joined after the world was last looked at above, or joined and left between two looks
foreach my $who (grep { $is_in->($_) || $left{$_} } keys %people) { $was{ $people{$who} }{$who} //= time; }
foreach my $who (sort keys %people)
{
	my $group = $people{$who};
	my $state = $state{ $intent{$group}{$who} };
	# an invitation that was on the wire when the worker was killed is in doubt, and is not sent again
	my $right = $was{$group}{$who} ? qr/^done (?:added|already_member|joined_by_invite)$/ : qr/^invited invited$|^failed unknown_result$/;
	push @wrong, "$who in $group: " . ($was{$group}{$who} ? 'was' : 'was never') . " a member, $state" if $state !~ $right;
}
is(join("\n", @wrong), '', 'each ends as the world had it');
my %messages;
$messages{ $_->{chatId} }++ foreach @{ $sim->world->{messages} };
is(join(' ', grep { $messages{$_} > 1 } sort keys %messages), '', '... with at most one invitation');
is($wawp->ask("SELECT count(*) FROM (SELECT intent_id FROM wawp.audit_log WHERE kind = 'verified' AND outcome IN ('added', 'joined_by_invite') GROUP BY intent_id HAVING count(*) > 1) twice"), 0, '... settled once');
cmp_ok($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'verified' AND detail ->> 'note' LIKE '%by event%'"), '>', 0, '... some by an event');

# ---- the opt-out list: nobody who never left, everybody of whom an event told that they did and who has not come back

my %suppressed = map { split /\|/ } split /;/, $wawp->ask("SELECT string_agg(split_part(jid, '\@', 1) || '|' || reason, ';') FROM wawp.suppression") // '';
is(join(' ', grep { !$left{$_} } sort keys %suppressed), '', 'nobody is taken for somebody who left');
is(join(' ', grep { $left{$_}{told} && !$left{$_}{back} && !$suppressed{$_} } sort keys %left), '', '... and who left is not, by an event');
my %reason = (leaves => qr/left/, 'is removed' => qr/removed/);
is(join(' ', grep { $suppressed{$_} !~ $reason{ $left{$_}{by} } } grep { $left{$_} } sort keys %suppressed), '', '... for what they did');
# ---- asked for once more: who is in is, who left is not added again, whether events told of it or not

$sim->world({ groups => { map { $_ => { removed => {}, left => {} } } @groups } });
my $last = $wawp->ask('SELECT max(id) FROM wawp.membership_intent');
$wawp->ask("SELECT wawp_request_add(group_jid, array_agg(jid), 'support') FROM (SELECT group_jid, jid FROM wawp.membership_intent WHERE state = 'done') d GROUP BY group_jid");
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE id > $last AND state NOT IN ('done', 'failed')", 0), 0, 'asked for again: all end');
my %again = split /[|;]/, $wawp->ask("SELECT string_agg(split_part(jid, '\@', 1) || '|' || concat_ws(' ', state, outcome), ';') FROM wawp.membership_intent WHERE id > $last");
@wrong = ();
foreach my $who (sort keys %again)
{
	my $right = !$is_in->($who) ? qr/^failed suppressed$/ : $left{$who} ? qr/^done already_member$|^failed suppressed$/ : qr/^done already_member$/;
	push @wrong, "$who in $people{$who}: " . ($is_in->($who) ? 'in' : 'not in') . ", $again{$who}" if $again{$who} !~ $right;
}
is(join("\n", @wrong), '', '... as the world has it');
my $world_now = $sim->world->{groups};
is(join(' ', grep { exists $world_now->{ $people{$_} }{members}{$_} xor $is_in->($_) } sort keys %people), '', '... and nobody is added who had left');

done_testing();
