
# doc/examples/more-machines/move-instance: an instance moves to another shard while requests go on.  Nothing is lost or
# doubled, whatever state it is in, and the pace holds across the two.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpShards;
use WawpTest;

plan skip_all => 'postgres_fdw is not installed' unless WawpTest->has_extension('postgres_fdw');

my $sim = WawpTest->sim;
my %pace = (adds_per_minute => 60, adds_burst => 4, invites_per_minute => 60, reads_per_minute => 600, checks_per_minute => 0, pace_jitter => 0, adds_per_day => 20);
my %spent = (adds_per_minute => 6000, invites_per_minute => 0, reads_per_minute => 0, checks_per_minute => 0, adds_per_day => 2);
my $shards = WawpShards->new($sim, a => { support => { verify_delays => '1h', invites_per_minute => 0 }, paced => \%pace, spent => \%spent, neighbour => {} }, b => { sales => {} });
my ($from, $to, $router) = ($shards->a, $shards->b, $shards->router);
my $app = $shards->session('app');
my ($people, $groups) = (0, 0);
$shards->plproxy if WawpTest->has_extension('plproxy');
my $started = time;

sub new_person { return sprintf '1555241%04d', ++$people; }
sub new_group { return sprintf '12036302410000%04d@g.us', ++$groups; }
sub at { my ($node, $sql) = @_; return $node->safe_psql('postgres', $sql); }

# By the router: an id.
sub want
{
	my (%row) = @_;
	my %value = (group_jid => new_group(), jid => new_person(), instance => 'support', verify => 'false', %row);
	my @names = sort keys %value;
	my $answer = $app->ask("INSERT INTO wawp.membership_intent (@{[ join ', ', @names ]}) VALUES (@{[ join ', ', map { qq{'$value{$_}'} } @names ]}) RETURNING id");
	die $answer->{err} if $answer->{state};
	return $answer->{out};
}

# By a function of PL/Proxy's, where that is installed; else as above.
my $has_functions = WawpTest->has_extension('plproxy');

sub want_by_function
{
	my ($who) = @_;
	return want(jid => $who) unless $has_functions;
	my $answer = $app->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['$who'], 'support', verify => false)");
	die $answer->{err} if $answer->{state};
	return $answer->{out};
}

sub state { my ($node, $id) = @_; return at($node, "SELECT concat_ws(' ', state, outcome) FROM wawp.membership_intent WHERE id = $id"); }

sub comes_to
{
	my ($node, $id, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes_in($node, 'postgres', "SELECT concat_ws(' ', state, outcome) FROM wawp.membership_intent WHERE id = $id", $state, $name)
	  || diag(at($node, "SELECT wawp_explain($id)"));
}

# What the worker waits for comes now.
sub hurry { my ($node, $id, $set) = @_; return at($node, "UPDATE wawp.membership_intent SET $set WHERE id = $id; SELECT wawp_resume('support')"); }

# What the requests so far did about each person: "add", "remove", "message", in order.
sub requests_by_person
{
	my %about;
	foreach my $request ($sim->ledger('/participants/(add|remove)$|/send/text$'))
	{
		my ($what) = $request->{path} =~ m{(add|remove)$};
		push @{ $about{ s/@.*//r } }, $what // 'message' foreach $what ? map { $_->{id} } @{ $request->{body}{participants} } : $request->{body}{chatId};
	}
	return map { $_ => join ' ', @{ $about{$_} } } keys %about;
}

# ---- on the first shard: somebody in each state

my %who = map { $_ => new_person() } qw(done verifying invited blocked until later underway);
$sim->world({ people => { map { $_ => { privacy => 'nobody' } } @who{qw(invited blocked)} } });
my %id = (done => want(jid => $who{done}, verify => 't', batch_id => 'b'), verifying => want(jid => $who{verifying}, verify => 't'),
	invited => want(jid => $who{invited}, verify => 't', group_jid => my $inviting = new_group()), until => want(jid => $who{until}, until => strftime('%Y-%m-%d', gmtime(time + 10 * 86400))));
comes_to($from, $id{$_}, 'verifying accepted', "$_: added, and not looked at") foreach qw(done verifying invited);
hurry($from, $id{$_}, q{next_attempt_at = clock_timestamp(), updated_at = updated_at - interval '2 hours'}) foreach qw(done invited);
comes_to($from, $id{done}, 'done added', 'done');
comes_to($from, $id{invited}, 'invited invited', 'invited');
comes_to($from, $id{until}, 'done accepted', 'added until a time');
at($from, "INSERT INTO wawp.group_settings (instance, group_jid, capacity) VALUES ('support', '$inviting', 77);
	INSERT INTO wawp.opt_out_word (word) VALUES ('basta'); SELECT wawp_suppress('15552419999', reason => 'moved along'); SELECT wawp_pause('support', '" . (my $paused = new_group()) . "', 'lunch')");
$id{paused} = want(group_jid => $paused, jid => my $lunch = new_person());
$id{later} = want(jid => $who{later}, not_before => strftime('%Y-%m-%d', gmtime(time + 2 * 86400)));

# One request is on the wire and stays there; the others wait behind it.
$sim->rule({ match => { path => 'add$', body => $who{underway} }, fault => { gate => \1 } });
$id{underway} = want(jid => $who{underway});
comes_to($from, $id{underway}, 'sending', 'one is on the wire');
$id{blocked} = want(jid => $who{blocked}, verify => 't', group_jid => $inviting);
my $invitee = new_person();
$id{invite} = want(jid => $invitee, action => 'invite');
my %queued = map { my $who = new_person(); ($who => want(jid => $who)) } 1 .. 20;
is(at($from, "SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued' AND instance = 'support'"), 24, 'others wait');

# ---- the move

$shards->instance('b', 'support', { verify_delays => '20ms,200ms,500ms', invites_per_minute => 0 });
at($to, 'GRANT USAGE ON FOREIGN SERVER support TO app');
my ($status, $said) = do { local $ENV{MOVE_TIMEOUT} = 1; $shards->move('support', 'b') };
like("$status $said", qr/^1 move-instance: requests are still under way/, 'nothing moves while a request is on the wire');
is(at($from, q{SELECT reason FROM wawp.hold WHERE instance = 'support' AND group_jid IS NULL}), 'paused: moving', '... but the first shard is paused');
my ($out, $err) = ('', '');
my $move = $shards->start_move('support', 'b', \$out, \$err);
my %meanwhile = map { my $who = new_person(); ($who => want(jid => $who)) } 1 .. 5;
$sim->unrule;
while ($move->pumpable)
{
	my $who = new_person();
	$meanwhile{$who} = keys(%meanwhile) % 3 ? want(jid => $who) : want_by_function($who);
	$move->pump_nb;
	sleep 0.05;    # some requests will do
}
$move->finish;
is($move->result(0), 0, 'moved') || diag("$out$err");
like($out, qr/^moved: \d+ intents, \d+ memberships; TO sends from 0 s/m, '... as it says');
for (1 .. 5) { my $who = new_person(); $meanwhile{$who} = want(jid => $who); }
note(scalar(keys %meanwhile) . ' requests came meanwhile');

is(at($from, q{SELECT count(*) FROM wawp.membership_intent WHERE instance = 'support'}), 0, 'the first shard has none of its requests');
is(at($from, q{SELECT (SELECT count(*) FROM wawp.membership WHERE instance = 'support') + (SELECT count(*) FROM wawp.group_settings WHERE instance = 'support')}), 0, '... nor of its memberships');
cmp_ok(at($from, q{SELECT count(*) FROM wawp.audit_log WHERE instance = 'support'}), '>', 5, '... and keeps their record');
my %all = (%queued, %meanwhile);
becomes_in($to, 'postgres', 'SELECT count(*) FROM wawp.membership_intent WHERE state = $$done$$ AND id IN (' . join(', ', values %all) . ')', scalar(keys %all), 'all that waited, and all that came meanwhile, are served by the other')
  || diag(at($to, 'SELECT id, state, outcome, detail FROM wawp.membership_intent WHERE state <> $$done$$'));
my %about = requests_by_person();
is(join(' ', grep { ($about{$_} // '') ne 'add' } sort keys %all), '', '... each by one request');
is(state($to, $id{done}) . ' ' . at($to, "SELECT batch_id FROM wawp.membership_intent WHERE id = $id{done}"), 'done added b', 'what was done is there, by its id');
is(state($to, $id{underway}), 'done accepted', '... as is what was on the wire');
comes_to($to, $id{blocked}, 'invited invited', 'who waited and cannot be added is invited');
comes_to($to, $id{invite}, 'invited invited', '... as is who was to be invited');
%about = requests_by_person();
is($about{$invitee}, 'message', '... once');
is($about{ $who{$_} }, 'add message', "... $_, too") foreach qw(blocked invited);
is(state($to, $id{verifying}), 'verifying accepted', 'who was not looked at yet');
hurry($to, $id{verifying}, 'next_attempt_at = clock_timestamp()');
comes_to($to, $id{verifying}, 'done added', '... is looked at here');
$sim->join($inviting, $who{invited});
hurry($to, $id{invited}, "next_attempt_at = clock_timestamp(), updated_at = updated_at - interval '1 hour'");
comes_to($to, $id{invited}, 'done joined_by_invite', 'who was invited there joins here');
is(state($to, $id{later}), 'queued', 'what is planned stays planned');
hurry($to, $id{later}, 'not_before = clock_timestamp()');
comes_to($to, $id{later}, 'done accepted', '... and is served when its time comes');
is(state($to, $id{paused}) . ' ' . at($to, "SELECT reason FROM wawp.hold WHERE group_jid = '$paused'"), 'queued paused: lunch', 'a group that was paused is paused');
at($to, "SELECT wawp_resume('support', '$paused')");
comes_to($to, $id{paused}, 'done accepted', '... until it is resumed');
at($to, q{UPDATE wawp.membership SET until = clock_timestamp() WHERE until IS NOT NULL; SELECT wawp_resume('support')});
becomes_in($to, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE action = 'remove' AND state = 'done'}, 1, 'a membership that ends is ended here');
%about = requests_by_person();
is($about{ $who{until} }, 'add remove', '... once');
is($about{ $who{$_} }, 'add', "$_: one request") foreach qw(done verifying later underway);
is(at($to, q{SELECT (SELECT capacity FROM wawp.group_settings), (SELECT reason FROM wawp.suppression WHERE jid = '15552419999@c.us'), (SELECT count(*) FROM wawp.opt_out_word WHERE word = 'basta')}), '77|moved along|1', 'settings, opt-outs and words came along');
is(at($from, q{SELECT count(*) FROM wawp.opt_out_word WHERE word = 'basta'}), 1, '... and stay for the others');
my $successor = at($to, 'SELECT max(id) FROM wawp.membership_intent');
cmp_ok(want(jid => new_person()), '>', $successor, 'what is asked for now comes after what came along');
my $neighbour = want(instance => 'neighbour');
comes_to($from, $neighbour, 'done accepted', 'a neighbour who stays is served there');
is($app->ask("SELECT count(*), count(DISTINCT id) FROM wawp.membership_intent WHERE instance = 'support'")->{out} =~ s/^(\d+)\|\1$/same/r, 'same', 'the router shows each once');

# ---- again, after a step that failed: nothing changes

my $rows = 'SELECT count(*), max(id), count(*) FILTER (WHERE settled_at IS NULL) FROM wawp.membership_intent';
becomes_in($to, 'postgres', "SELECT count(*) FROM wawp.membership_intent WHERE state IN ('queued', 'sending')", 0, 'all is quiet');
my ($had, $sent) = (at($to, $rows), scalar(my @before = $sim->changes));
($status, $said) = $shards->move('support', 'b');
is("$status $said" =~ s/ intents.*//sr, '0 moved: 0', 'moved once more');
is(at($to, $rows) . ' ' . scalar(my @after = $sim->changes), "$had $sent", '... nothing changes and nobody is added or removed');

# ---- the pace, and what is left of the day

sub add { my ($node, $instance, $number) = @_; return WawpTest->session($node)->ask("SELECT count(*) FILTER (WHERE outcome <> 'throttled') FROM wawp_add_participants('" . new_group() . "', ARRAY['" . join("', '", map { new_person() } 1 .. $number) . "'], '$instance')")->{out}; }
my $day = strftime('%F', gmtime);
$shards->instance('b', 'paced', \%pace);
at($to, 'GRANT USAGE ON FOREIGN SERVER paced TO app');
want(instance => 'paced') foreach 1 .. 2;
becomes_in($from, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE instance = 'paced' AND state = 'done'}, 2, 'the paced one has sent');
cmp_ok(add($from, 'paced', 5), '>', 2, '... and spent its burst');
want(instance => 'paced') foreach 1 .. 2;
($status, $said) = $shards->move('paced', 'b');
is($status, 0, 'it moves') || diag($said);
is(add($to, 'paced', 5), 0, '... and sends nothing at first');
my $added = 0;
poll_until(sub { $added ||= add($to, 'paced', 5); return $added; });
is($added > 0, 1, '... then its burst');
becomes_in($to, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE instance = 'paced' AND state = 'done'}, 4, '... and what waited');
my @permits = map { [ WawpTest->permits(WawpTest->asks($_, 'PACED')) ] } $from, $to;
cmp_ok(scalar(@{ $permits[1] }), '>=', 3, 'both have sent');
is(scalar(WawpTest->over_pace(1e6, 4, map { @$_ } @permits)), 0, 'over both the pace was kept')
  || diag(join ' ', map { "@$_" } @permits);
my $left = at($to, q{SELECT adds_left_day FROM wawp.budget WHERE instance = 'paced'});
SKIP:
{
	skip 'the day (UTC) has changed', 2 if $day ne strftime('%F', gmtime);
	is($left, 20 - @{ $permits[0] } - @{ $permits[1] }, '... and so was the cap of the day');
	like($said, qr/^from tomorrow \(UTC\), on TO: ALTER SERVER "paced" OPTIONS \(SET adds_per_day '20'\);$/m, '... which is to be set back, as it says');
}

is(add($from, 'spent', 3), 2, 'another has spent its day');
$shards->instance('b', 'spent', \%spent);
at($to, 'GRANT USAGE ON FOREIGN SERVER spent TO app');
($status, $said) = $shards->move('spent', 'b');
is($status, 0, '... and moves') || diag($said);
SKIP:
{
	skip 'the day (UTC) has changed', 1 if $day ne strftime('%F', gmtime);
	is(at($to, q{SELECT until AT TIME ZONE 'UTC' FROM wawp.hold WHERE instance = 'spent'}), strftime('%F 00:00:00', gmtime(time + 86400)), '... until tomorrow it sends nothing');
}

# ---- what it refuses, before anything changes

at($from, q{CREATE TABLE wawp.novelty ()});
($status, $said) = $shards->move('neighbour', 'b');
like("$status $said", qr/^1 move-instance: this script does not know these tables: novelty$/, 'a table of the extension that it does not know');
at($from, q{DROP TABLE wawp.novelty});
($status, $said) = $shards->move('neighbour', 'b');
like("$status $said", qr/^1 move-instance: TO's instance neighbour has to be of the same account; it is: none$/, 'an instance that the other lacks');
$shards->instance('b', 'neighbour', {});
my $aside = new_group();
at($from, qq{CREATE ROLE only_here; GRANT USAGE ON FOREIGN SERVER neighbour TO only_here; SELECT wawp_pause('neighbour', '$aside');
	SET ROLE only_here; SELECT wawp_request_add('$aside', ARRAY['15552418888'], 'neighbour')});
($status, $said) = $shards->move('neighbour', 'b');
like("$status $said", qr/^1 move-instance: TO lacks these roles, who asked for something: only_here$/, 'a role that the other lacks');
at($to, q{CREATE ROLE only_here});
at($to, qq{INSERT INTO wawp.membership_intent (id, group_jid, jid, instance, instance_id, requested_by, home)
	SELECT id, 'x', 'y', 'sales', 'SALES', 'app', gen_random_uuid() FROM unnest(ARRAY[@{[ at($from, "SELECT id FROM wawp.membership_intent WHERE group_jid = '$aside'") ]}]) id});
($status, $said) = $shards->move('neighbour', 'b');
like("$status $said", qr/^1 .*the shards draw the same ids.*TO took nothing; both are paused/s, 'ids that the other has drawn, too');
is(at($from, "SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$aside'"), 1, '... nothing is lost');
at($to, q{DELETE FROM wawp.membership_intent WHERE group_jid = 'x'});
($status, $said) = $shards->move('neighbour', 'b');
is("$status $said" =~ s/ intents.*//sr, '0 moved: 2', '... and the same command again moves it') || diag($said);
is($router->safe_psql('postgres', q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'wawp.membership_intent'::regclass}), 1, 'a shard without instances is no partition');

$app->quit;
unlike(slurp_file($_->logfile), qr/PANIC|was terminated|TRAP/, 'no crash') foreach $from, $to;
note(sprintf '%d s', time - $started);

done_testing();
