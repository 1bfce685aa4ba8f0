
# People who wait for an admin's approval: the group's list of requests to join, read once a look for all of them, tells
# whose request has ended. What it does not tell changes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, adds_per_minute => 0, checks_per_minute => '0.01' },
	conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $THERE = 'the group has the request to join; an admin has to approve it';
my $GONE = 'the request to join is not in the group\'s list any more; that is looked at again';

sub server
{
	my ($name, %account) = @_;
	$sim->world({ accounts => { uc $name => \%account } });
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, concurrency => 8, invites_per_minute => 0, adds_per_minute => 0, checks_per_minute => '0.01' });
	return $name;
}

sub joins { my ($digits) = $_[0] =~ /(\d+)/; return scalar(my @read = $sim->ledger(qr{$digits\S*/join-requests$})); }

# People who wait in a new group: the group, and the intent of each.
sub waiting
{
	my ($instance, @people) = @_;
	my $group = $wawp->group(approval => \1);
	my @ids = map { $wawp->want(instance => $instance, group => $group, who => $_) } @people;
	is($wawp->comes_to($_, qr/^(pending|done|failed)/), 'pending_approval pending_approval', "$instance: waits for an admin") foreach @ids;
	return ($group, @ids);
}

# Whoever waits in the group is looked for now; returns when they were.
sub look
{
	my ($group) = @_;
	my $whom = "state = 'pending_approval' AND group_jid = '$group'";
	$wawp->ask("UPDATE wawp.membership_intent SET next_attempt_at = clock_timestamp() WHERE $whom");
	$wawp->ask("SELECT wawp_resume(instance) FROM wawp.membership_intent WHERE group_jid = '$group'");
	$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE $whom AND next_attempt_at <= clock_timestamp()", 0);
	return;
}

sub request { my ($group, %who) = @_; return $sim->world({ groups => { $group => { requests => \%who } } }); }
sub is_told { my ($id, $detail, $name) = @_; return is($wawp->until("SELECT detail FROM wawp.membership_intent WHERE id = $id", $detail), $detail, $name); }

# ---- approved, rejected, waiting

foreach my $engine (qw(noweb gows))
{
	my $instance = server("on$engine", engine => $engine);
	my ($approved, $rejected, $patient) = map { $wawp->person } 1 .. 3;
	my ($group, %id);
	($group, @id{ $approved, $rejected, $patient }) = waiting($instance, $approved, $rejected, $patient);
	look($group);
	is_told($id{$_}, $THERE, '... whose request is in the group\'s list') foreach $approved, $rejected, $patient;
	my ($joins, $lists) = (joins($group), $wawp->lists($group));
	look($group);
	cmp_ok(joins($group) - $joins, '<', 3, '... which is read for all of them together');
	cmp_ok(joins($group) - $joins, '>', 0, '... at each look');
	cmp_ok($wawp->lists($group) - $lists, '<', 3, '... as is the member list');
	like($wawp->ask("SELECT wawp_explain($id{$patient})"), qr/^pending_approval: .*; the group has the request to join/, '... and explained');

	$sim->world({ groups => { $group => { members => { $approved => { role => 'member' } }, requests => { $approved => undef, $rejected => undef } } } });
	look($group);
	is($wawp->end($id{$approved}), 'done added', "$engine: approved: found in the list");
	is_told($id{$rejected}, $GONE, '... whose request has vanished is looked for once more');
	look($group);
	is($wawp->end($id{$rejected}), 'failed pending_approval', '... and in neither list again: over');
	like($wawp->column($id{$rejected}, 'detail'), qr/an admin has rejected it, or it was withdrawn/, '... as it says');
	is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE jid = '$rejected\@c.us'"), 0, '... which is no opt-out');
	is($wawp->now($id{$patient}), 'pending_approval pending_approval', '... the third waits on');
	is($wawp->column($id{$patient}, 'detail'), $THERE, '... as the list says');

	request($group, $patient => undef);
	look($group);
	is_told($id{$patient}, $GONE, "$engine: a request that is missing once");
	request($group, $patient => 1796000000.5);
	look($group);
	is_told($id{$patient}, $THERE, '... and is there again: waits on');
}

# ---- what is not understood ends nothing

my $doubtful = server('doubtful', engine => 'noweb');
my ($group, $id) = waiting($doubtful, $wawp->person);
look($group);
is_told($id, $THERE, 'its request is in the list');
my %odd = (
	'nobody who is understood' => [ { requesterId => '15550000009@newserver' } ],
	'a proposer' => [ { requesterId => '15550000009@c.us', requesterPn => '15550000009@c.us', requestMethod => 'non_admin_add' } ],
	'our own account' => [ { requesterId => '15550000001@c.us' } ],
	'a page of a list' => { data => [], hasMore => \1 },
	'no list' => { something => 'else' });
foreach my $what (sort keys %odd)
{
	$sim->rule({ match => { path => "$group/participants/join-requests\$" }, times => undef, answer => { json => $odd{$what} } });
	look($group) foreach 1 .. 3;
	is($wawp->now($id), 'pending_approval pending_approval', "$what: waits on");
	is($wawp->column($id, 'detail'), $THERE, '... as before');
	$sim->unrule;
}

# ---- a gateway without the route

my $old = server('old', engine => 'noweb');
$sim->rule({ match => { path => 'join-requests$' }, times => undef,
	answer => { status => 404, json => { statusCode => 404, error => 'Not Found', message => 'Cannot GET /v2/groups/participants/join-requests' } } });
my $who = $wawp->person;
my ($in_one, $first) = waiting($old, $who);
look($in_one);
my ($in_other, $second) = waiting($old, $wawp->person);
look($_) foreach $in_one, $in_other, $in_one;
is(joins($in_one) + joins($in_other), 1, 'a gateway without the list is asked once for it');
my @said = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /instance "old" does not list requests to join/g;
is(scalar(@said), 1, '... which the log says once');
is($wawp->ask("SELECT count(*) FROM wawp.hold WHERE instance = 'old'"), 0, '... and nothing is held');
is($wawp->now($_), 'pending_approval pending_approval', '... they wait') foreach $first, $second;
$sim->world({ groups => { $in_one => { members => { $who => { role => 'member' } } } } });
look($in_one);
is($wawp->end($first), 'done added', '... and are found in the list when they are in it');
is($wawp->now($second), 'pending_approval pending_approval', '... the other waits on');

done_testing();
