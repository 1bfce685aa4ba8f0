
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
use constant CONCURRENCY => 8;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, conf => "shared_preload_libraries = 'wawp,pg_stat_statements'\n",
	options => { adds_per_minute => 0, invites_per_minute => 0, reads_per_minute => 0, concurrency => CONCURRENCY, verify_delays => '2s,4s' });
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
my $wawp = WawpPeople->new($node, $sim);

# Statements that read waiting rows since the last count, and their rows.
sub looks
{
	my $counts = $wawp->ask("SELECT sum(calls), sum(rows) FROM pg_stat_statements
		WHERE query LIKE '%SELECT%i.state IN%ORDER BY coalesce(i.next_attempt_at, i.updated_at) >%FOR UPDATE%'");
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
my ($calls, $rows) = map { $_ / ALONE } looks();
diag("an addition: looks $calls, rows $rows");
cmp_ok($calls, '<=', 3, '... each with a look when it is due, and one when the list has come');
cmp_ok($rows, '<=', 3, '... which read its row');

# ---- invitations of many people of one group

my @private = map { $wawp->person(privacy => 'nobody') } 1 .. INVITED;
enqueue('support', $wawp->group => \@private);
all_end('invited invited', INVITED, 'people of one group are invited');
($calls, $rows) = map { $_ / INVITED } looks();
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
