
# Five hundred people, twenty groups, five instances, an API that fails at random and a worker that is killed again and
# again: in the end the rows agree with the simulated world, and nobody got a message twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(sleep time);
use WawpPeople;
use WawpTest;

my $seed = 20260406;
my ($rate, $burst, $invite_rate) = (4, 4, 2);    # adds a second, at once; invitations a second
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', conf => "restart_after_crash = on\nlog_statement = none\nlog_min_messages = debug1\n");
my $wawp = WawpPeople->new($node, $sim);
my %engine = (MANY1 => 'wawp', MANY2 => 'webjs', MANY3 => 'gows', MANY4 => 'noweb', MANY5 => 'waha_js');

srand $seed;
note("seed $seed");
foreach my $account (sort keys %engine)
{
	$sim->world({ accounts => { $account => { engine => $engine{$account}, auto_card => \0 } } });
	WawpTest->create_server($node, lc $account, $sim,
		{ instance_id => $account, concurrency => 4, adds_per_minute => $rate * 60, adds_burst => $burst,
			invites_per_minute => $invite_rate * 60, verify_delays => '300ms,900ms' });
}

# ---- the people

my @kinds = (('open') x 60, ('private') x 15, ('left') x 6, ('blocker') x 5, ('unregistered') x 5, ('member') x 5, ('banned') x 4);
my %person_patch = (private => { privacy => 'nobody' }, blocker => { blocked_us => \1 }, unregistered => { registered => \0 });
my (%person, %people, %groups);
my @accounts = sort keys %engine;
foreach my $n (0 .. 499)
{
	my $who = sprintf '1556%07d', $n;
	my $group = sprintf '12036307940%07d@g.us', $n % 20;
	my $kind = $kinds[ rand @kinds ];
	$person{$who} = { kind => $kind, group => $group, account => $accounts[ $n % 20 % 5 ] };
	$people{$who} = $person_patch{$kind} if $person_patch{$kind};
	$groups{$group}{members}{'15550000001'} = { role => 'superadmin' };
	$groups{$group}{members}{$who} = { role => 'member' } if $kind eq 'member';
	$groups{$group}{$kind}{$who} = 1700000000 if $kind eq 'left' || $kind eq 'banned';
}
$sim->world({ groups => \%groups, people => \%people });
$sim->rule(
	{ match => { path => 'add$', body => '[0-3]@c' }, times => undef, fault => { random => { p => 0.1, seed => $seed, status => 502 } } },
	{ match => { path => 'add$', body => '[4-7]@c' }, times => undef, fault => { random => { p => 0.1, seed => $seed }, reset => 'after' } },
	{ match => { path => 'add$', body => '[89]@c' }, times => undef, fault => { delay => 0.1 } },
	{ match => { path => 'send/text$' }, times => undef, fault => { random => { p => 0.1, seed => $seed }, reset => 'after' } },
	{ match => { path => 'participants$' }, times => undef, fault => { random => { p => 0.1, seed => $seed, status => 503 } } });

# ---- the queue, and the end of its worker again and again

my $started = time;
$wawp->ask('INSERT INTO wawp.membership_intent (instance, group_jid, jid, batch_id) VALUES '
	  . join(', ', map { "('" . lc($person{$_}{account}) . "', '$person{$_}{group}', '$_', 'many')" } sort keys %person));
my ($kills, @crashes) = (0);
my $unsettled = q{FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled', 'invited')};
# a server that restarts answers nothing: that is no number
my $how_many = sub { return $wawp->until("SELECT count(*) $unsettled", qr/^\d+$/) };
while ($how_many->() > 60 && $kills < 10)
{
	my $seen = $sim->ctl(GET => 'count')->{count};
	sleep 1 + rand 1;
	poll_until(sub { $sim->ctl(GET => 'count')->{count} > $seen + 5 });
	my $worker = $wawp->until("SELECT pid FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND query <> ''", qr/^\d+$/);
	kill 'KILL', $worker;
	push @crashes, WawpTest->mono;
	$kills++;
}
cmp_ok($kills, '>=', 4, "the worker was killed $kills times");

# What failed at the API waits for a quarter of a minute and more: not here.
poll_until(sub {
	$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = NULL WHERE state = 'queued' AND next_attempt_at > clock_timestamp() + interval '2 s'");
	$wawp->ask("SELECT wawp_resume(srvname) FROM pg_foreign_server");
	# alone at two of the kills, as it may be after the first of them: somebody looks at it and lets it go on
	$wawp->ask("SELECT wawp_retry(id) FROM wawp.membership_intent WHERE state = 'failed' AND detail LIKE 'parked:%'");
	sleep 0.5;
	return $how_many->() == 0;
});
is($how_many->(), 0, 'everybody comes to an end')
  || diag($wawp->ask("SELECT state, outcome, detail, attempts, next_attempt_at $unsettled"));
note(sprintf '%d kills, %.1f s', $kills, time - $started);

# ---- what we say, and what is so

my $world = $sim->world;
my (%messages, %requests, %said);
$messages{ $_->{chatId} =~ s/@.*//r }++ foreach @{ $world->{messages} };
my @ledger = $sim->ledger;
$requests{ $_->{body}{participants}[0]{id} =~ s/@.*//r }++ foreach grep { $_->{path} =~ /add$/ } @ledger;
foreach (split /\n/, $wawp->ask("SELECT split_part(jid, '\@', 1), state, outcome, detail FROM wawp.membership_intent"))
{
	my ($who, $state, $outcome, $detail) = split /\|/;
	push @{ $said{$who} }, { state => $state, outcome => $outcome, detail => $detail };
}
my (@wrong, @pestered, @several);
foreach my $who (sort keys %person)
{
	my $it = $person{$who};
	my ($said, @more) = @{ $said{$who} // [] };
	my $is_in = $world->{groups}{ $it->{group} }{members}{$who} ? 1 : 0;
	my $sent = $messages{$who} // 0;
	my $fits = $said && ($said->{state} eq 'done' ? $is_in : !$is_in)
	  && ($said->{state} ne 'invited' || $sent == 1)
	  && ($said->{state} ne 'cancelled')
	  && ($said->{state} ne 'failed' || $sent == 0 || $said->{outcome} eq 'unknown_result');

	push @several, $who if @more;
	push @pestered, $who if $sent > 1;
	push @wrong, "$who ($it->{kind} by $engine{$it->{account}}): $said->{state} $said->{outcome} ($said->{detail}), in: $is_in, messages: $sent" unless $fits;
}
is(scalar(@several), 0, 'one intent each');
is(scalar(@wrong), 0, 'what we say of each is so') || diag(join "\n", @wrong);
is(scalar(@pestered), 0, 'no two messages to anybody') || diag("@pestered");

my %ends = (open => qr/^done (added|already_member)/, member => qr/^done (added|already_member)/, private => qr/^(invited invited|failed unknown_result)/,
	left => qr/^failed recently_left/, blocker => qr/^failed blocked_by_user/, unregistered => qr/^failed not_on_whatsapp/,
	banned => qr/^failed removed_by_admin/);
foreach my $kind (sort keys %ends)
{
	# The API that says ok to everything tells nobody's reason; to somebody who was there before, too, if no list could be read.
	my @of_kind = grep { $person{$_}{kind} eq $kind } sort keys %person;
	my @telling = grep { $person{$_}{account} ne 'MANY1' || $kind =~ /open|member|private/ } @of_kind;
	my @odd = grep { my $end = "$said{$_}[0]{state} $said{$_}[0]{outcome}"; $end !~ $ends{$kind} } @telling;
	cmp_ok(scalar(@telling), '>=', 5, "$kind: " . @telling);
	is(scalar(@odd), 0, '... who end as they should') || diag(join "\n", map { "$_ ($engine{$person{$_}{account}}): $said{$_}[0]{state} $said{$_}[0]{outcome} ($said{$_}[0]{detail})" } @odd);
}
# ---- the pace: in no window more than it allows were granted, and nothing arrived before that

my @posted = grep { $_->{path} =~ m{(add|send/text)$} } @ledger;
foreach my $account (@accounts)
{
	foreach ([ 'add', $rate, $burst, qr/add$/ ], [ 'invite', $invite_rate, 0, qr/text$/ ])
	{
		my ($kind, $per_second, $at_once, $path) = @$_;
		my @at = map { 1e6 * $_->{mono} } grep { $_->{body}{instance_id} eq $account && $_->{path} =~ $path } @posted;
		my @permits = WawpTest->permits(WawpTest->asks($node, $account, kind => $kind));
		my @left = WawpTest->forget(\@permits, \@at, @crashes);
		is(scalar(WawpTest->over_pace(1e6 / $per_second, $at_once, @left)), 0, "$engine{$account}, $kind: " . @at . ' sent, none beyond the pace');
		is(scalar(grep { $at[$_] < ($permits[$_] // 9e99) - 1000 } 0 .. $#at), 0, '... or before its turn');
	}
}

# ---- the books

my %sent = map { split /\|/ } split /\n/, $wawp->ask("SELECT split_part(jid, '\@', 1), count(*) FROM wawp.audit WHERE kind = 'sent' AND action = 'add' GROUP BY 1");
is(scalar(grep { $requests{$_} > ($sent{$_} // 0) } keys %requests), 0, 'each request has its record');
is($wawp->ask('SELECT max(id) - count(*) FROM wawp.audit_log'), 0, 'the audit log has no gaps');
done_testing();
