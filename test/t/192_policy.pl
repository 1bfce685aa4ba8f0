
# Prechecks that keep a request from being sent: opt-out list, contact, unregistered numbers, groups that are full or
# not ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 }, conf => "log_statement = none\nlog_min_messages = debug1\n");
my $wawp = WawpPeople->new($node, $sim);
WawpTest->create_server($node, 'gows', $sim, { instance_id => 'GOWS1', concurrency => 8, invites_per_minute => 0 });

sub settings
{
	my ($group, %set) = @_;
	$set{instance} //= "'support'";
	my @names = sort keys %set;
	$wawp->ask(sprintf "INSERT INTO wawp.group_settings (group_jid, %s) VALUES ('%s', %s)", join(', ', @names), $group, join(', ', @set{@names}));
	return $group;
}

# Refused before anything is sent, for that reason.
sub is_refused
{
	my ($what, $outcome, $detail, %want) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $wawp->requests($want{group});
	my $id = $wawp->want(%want);
	is($wawp->end($id), "failed $outcome", $what);
	like($wawp->column($id, 'detail'), $detail, '... and that is why');
	is($wawp->requests($want{group}), $before, '... without a request');
	is($wawp->trail($id), "policy $outcome", '... as recorded');
	return is($wawp->column($id, 'attempts'), 0, '... and it counts as no attempt');
}

sub is_added { my ($what, %want) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is($wawp->end($wawp->want(%want)), 'done added', $what); }

sub by_hand { my ($group, $who) = @_; return $wawp->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], 'support')"); }

# ---- suppression

my ($here, $there) = ($wawp->group, $wawp->group);
my %who = map { $_ => $wawp->person } qw(one all brief);
$wawp->ask("SELECT wawp_suppress('+$who{one}', '$here', 'asked not to'), wawp_suppress('$who{all}', reason => 'wrote STOP'),
	wawp_suppress('$who{brief}', '$here', 'cooling down', now() + interval '8 s')");
is_refused('suppressed for a while', 'suppressed', qr/suppressed: cooling down/, group => $here, who => $who{brief});
is_refused('suppressed for a group', 'suppressed', qr/suppressed: asked not to/, group => $here, who => $who{one});
is_refused('suppressed for all', 'suppressed', qr/suppressed: wrote STOP/, group => $_, who => $who{all}) foreach $here, $there;
is_added('... another group', group => $there, who => $who{one});
$wawp->ask("SELECT wawp_pause('support', '$here')");
my $refused = $wawp->want(group => $here, who => $who{all});
my $behind = $wawp->want(group => $there, after => $refused);
$wawp->ask("SELECT wawp_resume('support', '$here')");
is($wawp->end($refused), 'failed suppressed', 'somebody waits behind one who is suppressed');
like($wawp->end($behind), qr/^failed/, '... and is told at once that it was in vain');
is(by_hand($here, $who{one}), 'suppressed', 'session calls obey: for a group');
is(by_hand($there, $who{all}), 'suppressed', '... for all');
is($wawp->ask("SELECT wawp_unsuppress('$who{one}')"), 'f', 'for all there was none to end');
is($wawp->ask("SELECT wawp_unsuppress('$who{one}', '$here')"), 't', '... for the group there was');
is($wawp->ask("SELECT wawp_unsuppress('$who{one}', '$here')"), 'f', '... once');
is_added('... added', group => $here, who => $who{one});
$wawp->ask("SELECT wawp_unsuppress('$who{all}')");
is(by_hand($here, $who{all}), 'accepted', '... by hand, too');
$wawp->until("SELECT count(*) FROM wawp.suppression WHERE jid = '$who{brief}\@c.us' AND until > clock_timestamp()", 0);
is_added('... when its time is over', group => $here, who => $who{brief});
foreach my $bad ("wawp_suppress('12')", "wawp_suppress(NULL)", "wawp_suppress('$who{one}', 'nowhere')", "wawp_unsuppress('nobody')", "wawp_note_contact('x')")
{
	my $session = WawpTest->session($node);
	is($session->ask("SELECT $bad")->{state}, '22023', "$bad is refused");
	$session->quit;
}

# An answer that says the same does not take the place of who was put on the list meanwhile.
my %objects = (group => $wawp->group, who => $wawp->person);
$sim->rule({ match => { path => "$objects{group}/participants/add\$" }, fault => { gate => \1 },
	answer => { status => 200, json => { "$objects{who}\@c.us" => { code => 408, message => 'left' } } } });
my $objecting = $wawp->want(%objects);
$wawp->comes_to($objecting, qr/^sending/);
$wawp->ask("SELECT wawp_suppress('$objects{who}', '$objects{group}', 'objection by letter')");
$sim->unrule;
is($wawp->end($objecting), 'failed recently_left', 'somebody objects while they are being added, and WhatsApp has them as having left');
is($wawp->ask("SELECT reason FROM wawp.suppression WHERE group_jid = '$objects{group}'"), 'objection by letter', '... which is no other reason than theirs');

# ---- who is put back until the group is known comes first again

WawpTest->create_server($node, 'orderly', $sim, { adds_per_minute => 0, invites_per_minute => 0, concurrency => 1 });
my $queue = $wawp->group;
my @in_turn = map { $wawp->person } 1 .. 5;
my @turns = map { $wawp->want(instance => 'orderly', group => $queue, who => $_) } @in_turn;
$wawp->end($_) foreach @turns;
my %is_there = map { $_ => 1 } @in_turn;
is_deeply([ grep { $is_there{$_} } map { /^add (.*)/ ? $1 : () } $sim->people ], \@in_turn, 'people go in the order they were asked for, the first of a new group, too');

# ---- only who wrote to us

my $polite = settings($wawp->group, require_contact_within => "'1 day'");
my ($stranger, $friend, $old_friend) = map { $wawp->person } 1 .. 3;
$wawp->ask("SELECT wawp_note_contact('$friend'), wawp_note_contact('$old_friend', now() - interval '2 days')");
is_refused('require_contact_within: a stranger', 'suppressed', qr/require_contact_within/, group => $polite, who => $stranger);
is_refused('... one who wrote too long ago', 'suppressed', qr/require_contact_within/, group => $polite, who => $old_friend);
is_added('... one who wrote lately', group => $polite, who => $friend);
$wawp->ask("SELECT wawp_note_contact('$stranger'), wawp_note_contact('$friend', now() - interval '3 days')");
is_added('... now that one, too', group => $polite, who => $stranger);
is($wawp->ask("SELECT last_inbound_at > now() - interval '1 h' FROM wawp.contact WHERE jid = '$friend\@c.us'"), 't',
	'what was long ago does not take back what was lately');

# ---- numbers that are not on WhatsApp

my @careful = map { settings($wawp->group, check_exists => 'true') } 1 .. 2;
my ($nobody, $brazil) = ($wawp->person(registered => \0), '5531987654321');
$sim->world({ people => { $brazil => { chat_id => '553187654321@c.us' } } });
sub checks { my ($who) = @_; return scalar(grep { $_->{query}{phone} =~ /$who/ } $sim->ledger(qr/check-exists/)); }
is_refused('check_exists: the number does not exist', 'not_on_whatsapp', qr/check_exists/, group => $_, who => $nobody) foreach @careful;
is(checks($nobody), 1, '... which was asked once');
my $checked = $wawp->person;
is_added('... who exists is added', group => $_, who => $checked) foreach @careful;
is(checks($checked), 1, '... and was asked for once');
is($wawp->ask("SELECT string_agg(concat_ws(' ', registered, known_as, checked_at IS NOT NULL), ', ' ORDER BY registered)
	FROM wawp.contact WHERE jid IN ('$nobody\@c.us', '$checked\@c.us')"), "f t, t $checked\@c.us t", '... and both are known');
my $abroad = $wawp->want(group => $careful[0], who => $brazil);
is($wawp->until("SELECT known_as FROM wawp.contact WHERE jid = '$brazil\@c.us'", '553187654321@c.us'), '553187654321@c.us',
	'... WhatsApp knows them by another number, which is kept');
like($wawp->comes_to($abroad, qr/^done/), qr/^done (added|already_member)/, '... and who is added is found by it');
is(join(', ', map { checks($_) } $nobody, $checked, $brazil), '1, 1, 1', '... one look each');
my ($by_default, $unknown) = ($wawp->group, $wawp->person(registered => \0));
is_refused('by default a number of which nothing is known is checked', 'not_on_whatsapp', qr/check_exists/, group => $by_default, who => $unknown);
$sim->world({ accounts => { SPARING => {} } });
WawpTest->create_server($node, 'sparing', $sim, { instance_id => 'SPARING', checks_per_minute => '0.01', invites_per_minute => 0 });
my ($first, $second) = map { $wawp->person } 1 .. 2;
is_added('... as far as the pace allows it', instance => 'sparing', group => $by_default, who => $_) foreach $first, $second;
is(join(', ', map { checks($_) } $first, $second), '1, 0', '... others are not asked for, and do not wait: the addition tells');
my ($by_lid, $writer) = map { $wawp->person } 1 .. 2;
$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$by_lid\@c.us', '900000000192001\@lid')");
$wawp->ask("SELECT wawp_note_contact('$writer')");
is_added('... of whom something is known', group => $by_default, who => $_) foreach $by_lid, $writer;
is(join(', ', map { checks($_) } $by_lid, $writer), '0, 0', '... is not asked for: they have an account');
my $blindly = settings($wawp->group, check_exists => 'false');
is_added('... nobody is, where the group says so', group => $blindly, who => my $unasked = $wawp->person);
is(checks($unasked), 0, '... not even once');
my ($short, $long) = ('551187654321', '5511987654321');
$sim->world({ people => { $short => { registered => \0 }, $long => {} } });
my $both_ways = $wawp->want(group => $careful[0], who => $short);
is($wawp->end($both_ways), 'done added', 'one whose number exists in the other form only: added');
is(join(', ', map { checks("^$_\$") } $short, $long), '1, 1', '... one look each');
is(scalar(grep { /^add $long$/ } $sim->people), 1, '... by that number');
$sim->world({ people => { '5511987654322' => { registered => \0 }, '551187654322' => { registered => \0 } } });
is_refused('... in neither: not on WhatsApp', 'not_on_whatsapp', qr/check_exists/, group => $careful[0], who => '5511987654322');
my $unsure = $wawp->person;
$sim->rule({ match => { path => 'check-exists$' }, times => undef, answer => { status => 500, json => {} } });
is_added('... nobody knows whether they exist: added nevertheless', group => $careful[0], who => $unsure);
$sim->unrule;

# ---- full groups

my %crowd = ('15550000001' => { role => 'superadmin' }, map { $_ => { role => 'member' } } WawpTest->people(1022));
my $full = $wawp->group(members => { %crowd, '15569999998' => { role => 'member' } });
my $almost = $wawp->group(members => \%crowd);
my $next = $wawp->group;
my $waiting = $wawp->want(group => $full);
is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$full'", 'group_full'), 'group_full', '1,024 members: the group is held');
is($wawp->requests($full), 0, '... nobody is asked for');
like($wawp->ask("SELECT wawp_explain($waiting)"), qr/group is held \(group_full\), it is tried again at/, '... which is explained');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND outcome = 'group_full' AND group_jid = '$full'"), 1, '... and said once');
is($wawp->end($wawp->want(instance => 'gows', group => $almost, who => $wawp->person(blocked_us => \1))), 'failed blocked_by_user',
	'1,023 members: who is offered the last place refuses');
is_added('... one more', instance => 'gows', group => $almost);
$sim->ctl(POST => 'ledger/clear');
my $too_many = $wawp->want(group => $almost);
is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$almost'", 'group_full'), 'group_full', '... and then no more');
is($wawp->requests($almost), 0, '... who is not asked for');

settings($almost, overflow_group => "'$next'");
$wawp->ask("SELECT wawp_resume('support', '$almost')");
is($wawp->end($too_many), 'done added', 'overflow_group: added there');
is($wawp->column($too_many, 'group_jid'), $next, '... as the intent says');
like($wawp->trail($too_many), qr/^policy group_full, .*verified added$/, '... and its records');
is($wawp->requests($almost), 0, '... the full one is not asked');
my $small = settings($wawp->group(members => { map { $_ => { role => $_ eq '15550000001' ? 'superadmin' : 'member' } } '15550000001', WawpTest->people(2) }), capacity => 3);
$wawp->want(group => $small);
is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$small'", 'group_full'), 'group_full', 'a group of a capacity of its own');

my $filled = $wawp->group(members => { map { $_ => { role => $_ eq '15550000001' ? 'superadmin' : 'member' } } '15550000001', WawpTest->people(2) });
settings($filled, capacity => 4);
$sim->rule({ match => { path => "$filled/participants/add\$" }, times => undef, answer => { status => 200, json => { ok => \1 } } });
my $unlucky = $wawp->want(group => $filled, verify => 'true');
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE id = $unlucky AND state = 'verifying'", 1);
$sim->join($filled, $wawp->person(lid => '88800011122'));
is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$filled'", 'group_full'), 'group_full', 'others took the last places meanwhile: the group is full');
is($wawp->now($unlucky), 'queued group_full', '... which is not taken for a privacy setting');
$sim->unrule;

# ---- a group with a pace of its own

my $slow = settings($wawp->group, adds_per_minute => 20);
my @slow = map { $wawp->want(group => $slow) } 1 .. 3;
like($wawp->ask("SELECT wawp_explain($slow[2])"), qr/^queued: [12] ahead in this group, the group's pace lets it leave about /, 'a pace of the group: explained');
is($wawp->end($_), 'done added', '... all are added') foreach @slow;
my @at = map { 1e6 * $_->{mono} } grep { $_->{path} =~ /\Q$slow\E/ || $_->{path} =~ /@{[ $slow =~ s{@}{%40}r ]}/ } $sim->ledger(qr/add$/);
is(scalar(@at), 3, '... one by one');
my @permits = WawpTest->permits(grep { $_->{interval} == 3_000_000 } WawpTest->asks($node, 'ABC123', group => 1));
is(scalar(grep { $at[$_] < $permits[$_] - 1000 } 0 .. $#at), 0, '... none before its turn');
is(scalar(WawpTest->over_pace(3_000_000, 0, @permits)), 0, '... at that pace, though the instance has none');

# ---- groups that are not ours

my %not_ours = (owner => '15559990001', members => { '15559990001' => { role => 'superadmin' }, '15550000001' => { role => 'member' } });
my $closed = $wawp->group(%not_ours);
my $open = $wawp->group(%not_ours, all_member_add => \1);
my $shut_out = $wawp->want(instance => 'gows', group => $closed);
is($wawp->until("SELECT reason FROM wawp.hold WHERE group_jid = '$closed'", 'not_admin'), 'not_admin', 'only admins add, and we are none: held');
is($wawp->requests($closed), 0, '... nobody is asked for');
like($wawp->ask("SELECT wawp_explain($shut_out)"), qr/group is held \(not_admin\)/, '... which is explained');
is_added('all members may add: added', instance => 'gows', group => $open);
my $hidden = $wawp->group(hide_us => \1);
is_added('a list without ourselves in it says nothing of our role', group => $hidden);

# ---- what settings may say

foreach my $bad ("invite_text) VALUES ('support', '$next', 'no link')", "invite_text) VALUES ('support', '$next', '{link}' || repeat('x', 3795))",
	"capacity) VALUES ('support', '$next', 0)", "overflow_group) VALUES ('support', '$next', '$next')", "adds_per_minute) VALUES ('support', '$next', -1)")
{
	my $session = WawpTest->session($node);
	is($session->ask("INSERT INTO wawp.group_settings (instance, group_jid, $bad")->{state}, $bad =~ /repeat/ ? '22001' : '23514', 'refused: ' . ($bad =~ /^(\w+)/)[0]);
	$session->quit;
}

# ---- who may say it

$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE ROLE clerk LOGIN; GRANT USAGE ON FOREIGN SERVER support TO stranger, clerk;
	GRANT EXECUTE ON FUNCTION wawp_suppress, wawp_unsuppress, wawp_note_contact TO clerk');
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(stranger clerk);
my $target = $wawp->person;
my @verbs = ("wawp_suppress('$target', NULL, 'wrote STOP')", "wawp_note_contact('$target')", "wawp_unsuppress('$target')");
foreach my $verb (@verbs)
{
	is($as{stranger}->ask("SELECT $verb")->{state}, '42501', "$verb: not for everybody");
	my $answer = $as{clerk}->ask("SELECT $verb");
	is($answer->{state}, '', '... for roles the owner grants it') || diag($answer->{err});
}
foreach my $table (qw(membership suppression group_settings contact audit_log))
{
	is($as{$_}->ask("SELECT * FROM wawp.$table")->{state}, '42501', "wawp.$table is not for $_") foreach sort keys %as;
}
is($as{clerk}->ask("DELETE FROM wawp.suppression")->{state}, '42501', '... nor to be changed');
is($as{clerk}->ask("INSERT INTO wawp.group_settings (instance, group_jid) VALUES ('support', '$next')")->{state}, '42501', '... by the likes of them');
$_->quit foreach values %as;
done_testing();
