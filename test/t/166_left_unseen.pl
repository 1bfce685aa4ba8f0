
# Who left a moment ago, of which no event told, is still in a list that was read before they were asked for: it proves nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim,
	options => { concurrency => 8, adds_per_minute => 0, reads_per_minute => 0, verify_delays => '1s,3s,6s' });
my $wawp = WawpPeople->new($node, $sim);
my $group = $wawp->group;
my @who = map { $wawp->person } 1 .. 12;
$sim->world({ groups => { $group => { members => { map { $_ => { role => 'member' } } @who } } } });

sub request
{
	my ($when, @people) = @_;
	my $list = join ', ', map { "'$_'" } @people;
	return split / /, $wawp->ask("SELECT string_agg(id::text, ' ') FROM wawp_request_add('$group', ARRAY[$list], 'support', not_before => $when)");
}

sub ends_as
{
	my ($expected, $name, @ids) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $ids = join ', ', @ids;
	return is($wawp->until("SELECT string_agg(DISTINCT concat_ws(' ', state, outcome), ', ') FROM wawp.membership_intent WHERE id IN ($ids)
		HAVING bool_and(state IN ('done', 'failed', 'cancelled'))", qr/./), $expected, $name);
}

sub lists { return scalar grep { $_->{method} eq 'GET' && $_->{path} =~ m{/participants} } $sim->ledger; }

ends_as('done already_member', 'all are members', request('NULL', @who));
my $read = lists();
cmp_ok($read, '>=', 1, '... as a list shows');

$sim->leave($group, $who[0], 'self');
ends_as('failed suppressed', 'who left is not a member by the list from before', request('NULL', $who[0]));
cmp_ok(lists(), '>=', $read + 2, '... but by two newer ones gone');

$read = lists();
ends_as('done already_member', 'who stayed is a member', request('NULL', @who[ 1 .. 10 ]));
is(lists(), $read + 1, '... by one list for all that were asked for at once');

my @plan = request("clock_timestamp() + interval '3 s'", $who[11]);
ends_as('done already_member', 'meanwhile another', request('NULL', $who[1]));
$sim->leave($group, $who[11], 'self');
ends_as('failed suppressed', 'a plan is judged by a list of its own time', @plan);

# No list is newer than a time that is still to come: a clock that was set back.
$wawp->ask("SELECT wawp_pause('support')");
my ($id) = request('NULL', $who[2]);
$wawp->ask("BEGIN; ALTER TABLE wawp.membership_intent DISABLE TRIGGER USER; UPDATE wawp.membership_intent SET created_at = clock_timestamp() + interval '1 h' WHERE id = $id;
	ALTER TABLE wawp.membership_intent ENABLE TRIGGER USER; COMMIT");
$read = lists();
$wawp->ask("SELECT wawp_resume('support')");
ends_as('done already_member', 'asked for in the future', $id);
cmp_ok(lists(), '<=', $read + 1, '... without lists that cannot be new enough');
is($sim->count('participants/add'), 0, 'nobody was added');

done_testing();
