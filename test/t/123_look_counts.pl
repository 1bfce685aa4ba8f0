
# What looks at who got in cost: statements and rows by addition and by invitation, and LIDs that are asked for together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

chomp(my $library = `$ENV{PG_CONFIG} --pkglibdir`) if $ENV{PG_CONFIG};
chomp($library = `pg_config --pkglibdir`) unless $library;
plan skip_all => 'pg_stat_statements is not installed' unless -e "$library/pg_stat_statements.so";

use constant ALONE => 40;      # groups with one person each
use constant INVITED => 40;    # people of one group who are invited
use constant QUEUED => 2000;
use constant CONCURRENCY => 8;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, conf => "shared_preload_libraries = 'wawp,pg_stat_statements'\n",
	options => { adds_per_minute => 0, invites_per_minute => 0, reads_per_minute => 0, concurrency => CONCURRENCY, verify_delays => '2s,4s' });
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
my $wawp = WawpPeople->new($node, $sim);

# Statements that read waiting rows since the last count, and their rows.
sub looks
{
	my ($is_used) = @_;
	my $counts = $wawp->ask("SELECT sum(calls), sum(rows) FROM pg_stat_statements
		WHERE query LIKE '%SELECT%i.state::text IN%ORDER BY coalesce(i.next_attempt_at, i.updated_at) >%FOR UPDATE%'");
	die "no statement that reads waiting rows was found" if $counts !~ /\d/ && $is_used;
	$wawp->ask('SELECT pg_stat_statements_reset()');
	return split /\|/, $counts;
}

sub enqueue
{
	my ($instance, %people) = @_;
	return $wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES "
		  . join(', ', map { my $group = $_; map { "('$group', '$_', '$instance')" } @{ $people{$group} } } sort keys %people));
}

sub all_end
{
	my ($end, $number, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $ended = "SELECT count(*) FROM wawp.membership_intent WHERE state || ' ' || outcome = '$end'";
	poll_until(sub { $wawp->ask($ended) == $number });
	return is($wawp->ask($ended), $number, $name);
}

# ---- additions in groups that are read for the first time

looks();
enqueue('support', map { $wawp->group => [ $wawp->person ] } 1 .. ALONE);
all_end('done added', ALONE, 'people in groups of their own are added');
my ($calls, $rows) = map { $_ / ALONE } looks(1);
diag("an addition: looks $calls, rows $rows");
cmp_ok($calls, '<=', 3, '... each with a look when it is due, and one when the list has come');
cmp_ok($rows, '<=', 3, '... which read its row');

# ---- invitations of many people of one group

# most rows are queued when the statements are planned: the index of what is under way is small, and seems good for one row
WawpTest->create_server($node, 'still', $sim, { instance_id => 'STILL' });
$wawp->ask("SELECT wawp_pause('still')");
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) SELECT '@{[ $wawp->group ]}', '1556' || to_char(i, 'FM0000000'), 'still' FROM generate_series(1, @{[ QUEUED ]}) i");
$wawp->ask('VACUUM ANALYZE wawp.membership_intent');
my @private = map { $wawp->person(privacy => 'nobody') } 1 .. INVITED;
enqueue('support', $wawp->group => \@private);
all_end('invited invited', INVITED, 'people of one group are invited');
# the index of what is under way has the others as well: as many blocks as there are of them, when it is read as a whole
my $blocks = $wawp->ask("SELECT sum(shared_blks_hit + shared_blks_read) / sum(calls) FROM pg_stat_statements
	WHERE query LIKE '%outcome = %attempts = attempts + %WHERE id = % AND state%' AND query NOT LIKE '%FOR UPDATE%'");
diag("the beginning of an invitation: $blocks blocks");
cmp_ok($blocks, '<', 15, '... each found by its id');
($calls, $rows) = map { $_ / INVITED } looks(1);
diag("an invitation: looks $calls, rows $rows");
cmp_ok($rows, '<=', INVITED, '... none by a look at all who wait');

# ---- people whom the list shows by their LIDs when they are looked for, and by numbers before

WawpTest->create_server($node, 'batches', $sim, { instance_id => 'ABC123', adds_per_minute => 0, reads_per_minute => 0, concurrency => CONCURRENCY,
	batch_size => 3 * CONCURRENCY, verify_delays => '3s,6s' });
my $group = $wawp->group;
my @hidden = map { $wawp->person } 1 .. 3 * CONCURRENCY;
$sim->rule({ match => { path => 'lids/pn' }, times => undef, fault => { delay => 1 } });
enqueue('batches', $group => \@hidden);
poll_until(sub { $sim->count(q(add$)) == ALONE + INVITED + 1 });
$sim->world({ groups => { $group => { addressing => 'lid', lid_pn => \0 } } });
my @before = $sim->ledger('lids/pn');
is(scalar(@before), 0, 'LIDs of people whom a list shows by number are not asked for');
all_end('done added', ALONE + @hidden, 'people are found by their LIDs');
my @asked = sort { $a <=> $b } map { $_->{at} } $sim->ledger('lids/pn');
is(scalar(@asked), scalar(@hidden), '... for each of which it was asked once');
my $together = grep { $_ < $asked[0] + 0.9 } @asked;
diag("$together of " . @asked . ' LIDs were asked for before the first was told');
cmp_ok($together, '>=', CONCURRENCY / 2, '... for several at once');

done_testing();
