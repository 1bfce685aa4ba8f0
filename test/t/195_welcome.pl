
# The welcome: one message to the group for all who joined, once, at the pace of invitations, never in quiet hours, and
# not twice after a crash.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 },
	conf => "restart_after_crash = on\nlog_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);

sub welcoming
{
	my ($text, $delay, %arg) = @_;
	my $group = $wawp->group(subject => 'Chess club', %{ $arg{world} // {} });
	my $instance = $arg{instance} // 'support';
	$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, welcome_delay) VALUES ('$instance', '$group', '$text', '$delay')");
	return $group;
}

sub welcomed { my ($group) = @_; return $wawp->ask("SELECT count(*) FROM wawp.membership WHERE group_jid = '$group' AND welcomed_at IS NOT NULL"); }
sub is_welcomed
{
	my ($what, $group, $number) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($wawp->until("SELECT count(*) FROM wawp.membership WHERE group_jid = '$group' AND welcomed_at IS NOT NULL", $number), $number, $what);
}
sub is_told
{
	my ($what, $group, @texts) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until(sub { $wawp->messages($group) >= @texts });
	return is_deeply([ $wawp->messages($group) ], \@texts, $what);
}

# ---- one for all

my $group = welcoming('Welcome {names}! {names}', '5 s');
my @people = map { $wawp->person } 1 .. 3;
my $start = time;
is($wawp->end($_), 'done added', 'added') foreach map { $wawp->want(group => $group, who => $_) } @people;
is_welcomed('all who joined are welcomed', $group, 3);
cmp_ok(time - $start, '>=', 5, '... after welcome_delay');
is_told('... by one message with their numbers', $group, sprintf('Welcome %1$s! %1$s', join ', ', map { "+$_" } @people));
my $me = $wawp->ask('SELECT current_user');
my $told = "sent $me welcome wawp_send_text, answered $me welcome wawp_send_text accepted";
is($wawp->until("SELECT string_agg(concat_ws(' ', kind, requested_by, origin, detail ->> 'call', outcome), ', ' ORDER BY id) FROM wawp.audit_log
	WHERE group_jid = '$group' AND action IS NULL", $told), $told, '... which the audit log has');

is($wawp->end($wawp->want(group => $group, who => $people[0])), 'done already_member', 'who is in the group already');
is($wawp->end($wawp->want(group => $group, who => my $late = $wawp->person)), 'done added', '... and one who comes later');
is_welcomed('only that one is welcomed', $group, 4);
is_told('... by a message of their own', $group, ($wawp->messages($group))[0], "Welcome +$late! +$late");

my $plain = $wawp->group;
is($wawp->end($wawp->want(group => $plain)), 'done added', 'a group without a welcome');
is(scalar(my @none = $wawp->messages($plain)), 0, '... has none');

# ---- a text that would be too long

my $crowded = welcoming('{names}' x 6, '1 hour');
$wawp->ask("SELECT count(*) FROM wawp_request_add('$crowded', ARRAY(SELECT '1555850' || to_char(i, 'FM0000') FROM generate_series(1, 60) i), 'support')");
# however slowly they come in
is($wawp->until("SELECT count(*) FROM wawp.membership WHERE group_jid = '$crowded' AND added_by_us", 60), 60, 'sixty join');
is(welcomed($crowded), 0, '... who are not welcomed before the time');
$wawp->ask("UPDATE wawp.group_settings SET welcome_delay = '0' WHERE group_jid = '$crowded'");
$node->reload;
is_welcomed('... then all at once', $crowded, 60);
poll_until(sub { $wawp->messages($crowded) >= 1 });
my ($text) = $wawp->messages($crowded);
is(length($text), 4096, '... by a message as long as one may be');
like($text, qr/^(\+1555850\d{4}, ){50}\.\.\.\+1555/, '... naming fifty of them');

# ---- when it cannot be sent

my $refused = welcoming('Hello {names}', '100 ms');
$sim->rule({ match => { path => 'send/text$' }, times => 1, answer => { status => 429, headers => { 'Retry-After' => '3' }, json => { error => 'slow down' } } });
is($wawp->end($wawp->want(group => $refused, who => my $patient = $wawp->person)), 'done added', 'the API is busy when it is to be welcomed');
$wawp->until("SELECT count(*) FROM wawp.audit_log WHERE group_jid = '$refused' AND outcome = 'rate_limited' AND kind = 'answered'", 1);
is($wawp->ask("SELECT reason FROM wawp.hold WHERE instance = 'support'"), 'rate_limited', '... the instance is held for that');
poll_until(sub { $wawp->messages($refused) });
is_told('... and it is sent later', $refused, "Hello +$patient");
$sim->unrule;
$wawp->ask("SELECT wawp_resume('support')");

my $lost = welcoming('Hello {names}', '100 ms');
$sim->rule({ match => { path => 'send/text$' }, times => undef, fault => { reset => 'after' } });
is($wawp->end($wawp->want(group => $lost)), 'done added', 'the answer to a welcome is lost');
is($wawp->until("SELECT outcome FROM wawp.audit_log WHERE group_jid = '$lost' AND kind = 'answered' AND origin = 'welcome'", 'unknown_result'), 'unknown_result',
	'... nobody knows');
$sim->unrule;
$wawp->ask("SELECT wawp_resume('support')");

# ---- quiet hours, and a worker that is killed in between

WawpTest->create_server($node, 'night', $sim, { instance_id => 'WEBJS2', concurrency => 8, invites_per_minute => 0 });
my $asleep = welcoming('Good morning {names}', '100 ms', instance => 'night');
my $quiet_hours = $wawp->ask("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '1 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + interval '2 h', 'HH24:MI') || ' UTC'");
$sim->rule({ match => { path => 'send/text$' }, times => undef, fault => { hang => \1 } });
is($wawp->end($wawp->want(instance => 'night', group => $asleep)), 'done added', 'added');
is_welcomed('a welcome is on its way', $asleep, 1);
sub welcomes { return scalar(grep { $_->{body}{chatId} eq $asleep } $sim->ledger(qr{send/text$})); }
ok(poll_until(sub { welcomes() == 1 }), '... to that group');
my $killed = $wawp->ask('SELECT wawp._worker_pid()');
kill 'KILL', $killed;
$sim->unrule;
$wawp->until("SELECT wawp._worker_pid() <> $killed", 't');
my $awake = $wawp->group;
is($wawp->end($wawp->want(instance => 'night', group => $awake)), 'done added', '... the worker is killed, and serves again');
is(welcomes(), 1, '... the welcome is not repeated');

$wawp->ask("ALTER SERVER night OPTIONS (ADD quiet_hours '$quiet_hours')");
my $blocked = $wawp->want(instance => 'night', group => $awake, who => $wawp->person(privacy => 'nobody'), action => 'invite');
is($wawp->until("SELECT state FROM wawp.membership_intent WHERE id = $blocked", 'inviting'), 'inviting', 'quiet hours: an invitation waits');
like($wawp->ask("SELECT wawp_explain($blocked)"), qr/^inviting: .*; quiet hours$/, '... which is explained');
my $muffled = welcoming('Good night {names}', '0', instance => 'night');
like($wawp->ask("SELECT outcome FROM wawp_add_participants('$muffled', ARRAY['@{[ $wawp->person ]}'], 'night')"), qr/^(accepted|added)$/, '... who is added by hand');
is($wawp->now($blocked), 'inviting', '... still');
is(scalar(my @quiet = $wawp->messages($muffled)), 0, '... is not welcomed either');
$wawp->ask("ALTER SERVER night OPTIONS (DROP quiet_hours)");
$wawp->ask("SELECT wawp_resume('night')");
is($wawp->comes_to($blocked, 'invited invited'), 'invited invited', 'they are over: it is sent');

$node->stop;
$sim->stop;
done_testing();
