
# Events that are lost, doubled and late, in any order, while the worker is killed: the queue ends in what the simulator's
# world agrees with.

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

my $SECRET = 'wawp-test-secret';
my $seed = $ENV{WAWP_SEED} // 20261129;
srand($seed);
note("seed $seed");
my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim,
	options => { concurrency => 8, adds_per_minute => 0, invites_per_minute => 0, verify_delays => '1s,3s,6s', invite_ttl => '2h' },
	conf => "log_statement = none\nrestart_after_crash = on\n");
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");
my $json = JSON::PP->new->canonical;
my $ids = 0;

sub at { my @t = gmtime(int(time)); return sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ]; }

# What an engine says of a change: GOWS with a time of WhatsApp's, NOWEB without, Wawp in its own form.
sub event
{
	my ($group, $type, $person) = @_;
	my %event = (id => sprintf('evt_%06d', ++$ids), timestamp => int(time * 1000), event => 'group.v2.participants', me => { id => '15550000001@c.us' });
	my $form = int rand 3;
	return { %event, engine => 'GOWS', payload => { group => { id => $group }, type => $type, participants => [ { id => "$person\@c.us", pn => undef } ],
			_data => { Timestamp => at(), $type eq 'leave' ? (Sender => "$person\@s.whatsapp.net") : () } } } if $form == 0;
	return { %event, engine => 'NOWEB', payload => { group => { id => $group }, type => $type, participants => [ { id => "$person\@c.us" } ],
			_data => { author => $type eq 'leave' ? "$person\@s.whatsapp.net" : '15550000001@c.us' } } } if $form == 1;
	return { %event, event => "group.v2.$type", payload => { chatId => $group, participants => { 0 => "$person\@c.us" } } };
}

sub hand_in
{
	my ($body) = @_;
	my $status = $wawp->ask(sprintf q{SELECT status FROM wawp_webhook($body$%s$body$, '%s', 'support')}, $body, hmac_sha512_hex($body, $SECRET));
	die "answered $status\n" if $status != 200;
	return;
}

# ---- people: most can be added, some only invited

my @groups = map { $wawp->group } 1 .. 6;
my (%intent, %guest);
foreach my $group (@groups)
{
	foreach my $n (1 .. 15)
	{
		my $is_private = $n % 5 == 0;
		my $who = $is_private ? $wawp->person(privacy => 'nobody') : $wawp->person;
		$guest{$group}{$who} = 1 if $is_private;
		$intent{$group}{$who} = $wawp->want(group => $group, who => $who);
	}
}

# ---- the storm: what the world shows becomes events, of which a third is lost, a third comes twice, all in any order

my (%was, @under_way, %follower);
my $kills = 0;
my $next_kill = time + 2;
my $is_over = poll_until(
	sub {
		my $world = $sim->world->{groups};
		foreach my $group (@groups)
		{
			my $members = $world->{$group}{members};
			my %is = map { $_ => 1 } grep { $intent{$group}{$_} && $members->{$_}{role} ne 'left' } keys %$members;
			foreach my $who (grep { !$was{$group}{$_} != !$is{$_} } keys %{ $intent{$group} })
			{
				my $body = $json->encode(event($group, $is{$who} ? 'join' : 'leave', $who));
				push @under_way, ($body) x (0, 1, 2)[ rand 3 ];
			}
			$was{$group} = \%is;
		}
		# some invited people follow the link
		my $invited = $wawp->ask("SELECT string_agg(id::text, ' ') FROM wawp.membership_intent WHERE state = 'invited'") // '';
		my %invited = map { $_ => 1 } split / /, $invited;
		foreach my $group (@groups)
		{
			foreach my $who (grep { $invited{ $intent{$group}{$_} } && !$follower{$_}++ } keys %{ $guest{$group} }) { $sim->join($group, $who) if rand() < 0.6; }
		}
		@under_way = shuffle(@under_way);
		hand_in($_) foreach splice @under_way, 0, @under_way / 2 + 1;
		if (time > $next_kill && $kills < 3)
		{
			kill 'KILL', WawpTest->worker($node);
			$kills++;
			$next_kill = time + 3;
		}
		my $open = $wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled', 'invited')");
		my $joined = $wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'invited' AND wawp.membership_intent.updated_at > clock_timestamp() - interval '2 s'");
		return $kills == 3 && $open == 0 && $joined == 0 && !@under_way;
	});
ok($is_over, 'it ends');
is($wawp->until('SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NULL', 0), 0, 'all events are applied');
cmp_ok($wawp->ask('SELECT count(*) FROM wawp.webhook_event'), '>', 30, '... many of them');
# who followed the link, and whose event was lost, is found by the list, which is read at growing intervals: now, here
$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE state = 'invited'; SELECT wawp_resume('support')");
my $world = $sim->world->{groups};
my $followers = 0;
foreach my $group (@groups)
{
	$followers += grep { ($world->{$group}{members}{$_}{role} // 'left') ne 'left' } keys %{ $guest{$group} };
}
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE outcome = 'joined_by_invite'", $followers), $followers, 'who followed the link has joined by the invitation');

my @wrong;
foreach my $group (@groups)
{
	foreach my $who (sort keys %{ $intent{$group} })
	{
		my $is_member = ($world->{$group}{members}{$who}{role} // 'left') ne 'left';
		my $state = $wawp->now($intent{$group}{$who});
		my $right = $is_member ? qr/^done (added|already_member|joined_by_invite)$/ : qr/^invited invited$/;
		push @wrong, "$who in $group: member " . ($is_member ? 'yes' : 'no') . ", $state" if $state !~ $right;
		push @wrong, "$who got " . (my @m = $wawp->messages($who)) . ' messages' if (my @m = $wawp->messages($who)) > 1;
	}
}
is(join("\n", @wrong), '', 'each ends as the world has it, with at most one invitation');
is($wawp->ask('SELECT count(*) FROM wawp.suppression'), 0, '... and nobody is taken for somebody who left');
is($wawp->ask("SELECT count(*) FROM (SELECT intent_id FROM wawp.audit_log WHERE kind = 'verified' AND outcome IN ('added', 'joined_by_invite') GROUP BY intent_id HAVING count(*) > 1) twice"), 0, '... settled once');
cmp_ok($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'verified' AND detail ->> 'note' LIKE '%by event%'"), '>', 0, '... some by an event');

done_testing();
