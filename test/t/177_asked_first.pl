
# What has to be known is requested before a row is touched: an addition changes its row three times.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

use constant GROUPS => 4;
use constant EACH => 3;
use constant LATENCY => 0.2;

# Instances side by side, each with an account and a simulator of its own.
my %cases = (
	paced => { adds_per_minute => 1200, adds_burst => 20 },
	batches => { adds_per_minute => 1200, adds_burst => 20, batch_size => EACH },
	wide => { adds_per_minute => 0, concurrency => 8 },
	narrow => { adds_per_minute => 0, concurrency => 1 },
);
my $node = WawpTest->node('main');
my $owner = WawpTest->session($node);
my %sims;

# Groups in which we are no admin, half of which show members by LIDs only, of people of whom nothing is known: everything has
# to be requested, the list, ourselves, the group's description, each number's LID or registration.
my @groups = map { sprintf '12036307770%07d@g.us', $_ } 1 .. GROUPS;
my %by_number = (owner => '15550000002', all_member_add => \1,
	members => { 15550000001 => { role => 'member' }, 15550000002 => { role => 'superadmin' } });
my %by_lid = (%by_number, addressing => 'lid', lid_pn => \0);

foreach my $name (sort keys %cases)
{
	my $sim = $sims{$name} = WawpTest->sim;
	my $account = $sim->world->{accounts}{ABC123};
	my $id = uc $name;

	$sim->world({ accounts => { $id => $account }, groups => { map { $groups[$_] => $_ % 2 ? \%by_lid : \%by_number } 0 .. $#groups } });
	$sim->rule({ times => undef, fault => { delay => LATENCY } });
	WawpTest->create_server($node, $name, $sim,
		{ %{ $cases{$name} }, instance_id => $id, pace_jitter => 0, verify_delays => '500ms,3s,15s', reads_per_minute => 0,
			checks_per_minute => 0 });
	$owner->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('$name', '$_', true)") foreach @groups;
}

# Every change of a row, as the table itself sees it.
$owner->ask(<<'SQL');
CREATE TABLE change (id bigint, at timestamptz DEFAULT clock_timestamp(), was text, becomes text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
	INSERT INTO change (id, was, becomes) VALUES (new.id, old.state, new.state);
	RETURN NULL;
END $$;
CREATE TRIGGER note_change AFTER UPDATE ON wawp.membership_intent FOR EACH ROW EXECUTE FUNCTION note_change();
SQL
my $people = 0;
foreach my $name (sort keys %cases)
{
	$people += 1000;
	my $asked = $owner->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance)
		SELECT g, '1556' || to_char($people + n * 100 + i, 'FM0000000'), '$name'
		FROM unnest(ARRAY['@{[ join q(','), @groups ]}']) WITH ORDINALITY g (g, n), generate_series(1, @{[ EACH ]}) i");
	is($asked->{err}, '', "$name: queued");
}

my $queued = GROUPS * EACH;
foreach my $name (sort keys %cases)
{
	my $sim = $sims{$name};
	my $mine = "(SELECT id FROM wawp.membership_intent WHERE instance = '$name')";

	is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE instance = '$name' AND state = 'done' AND outcome = 'added'",
			$queued), $queued, "$name: everybody is added");
	is($owner->ask("SELECT count(*), trail FROM (SELECT string_agg(becomes, ' ' ORDER BY at) AS trail
			FROM change WHERE id IN $mine GROUP BY id) t GROUP BY trail ORDER BY 1 DESC LIMIT 1")->{out},
		"$queued|sending verifying done", '... each row is changed three times');
	is($sim->count('check-exists'), $queued / 2, '... each number is checked once');
	is($sim->count('lids/pn'), $queued / 2, '... or its LID requested once');
	is($sim->count('participants/add'), $cases{$name}{batch_size} ? GROUPS : $queued, '... in as many requests');
}

done_testing();
