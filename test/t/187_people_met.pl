
# The worker waits for no session that stores somebody it is to add, however long its transaction stays open: others are
# served meanwhile, without an error, and the person when it has ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 32 });
my $wawp = WawpPeople->new($node, $sim);
my $open = WawpTest->session($node);
my $part = 0;

# Before there is any record: what one person's row undoes, the partition of the log as well, no other misses.
$wawp->ask(q{CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON wawp.contact FOR EACH ROW WHEN (NEW.jid ~ '^1555809') EXECUTE FUNCTION public.refuse()});
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
	SELECT '12036307990' || lpad(g::text, 7, '0') || '\@g.us', CASE g WHEN 1 THEN '15558090000' ELSE '1555808' || lpad(g::text, 4, '0') END, 'support', 'first', false
	FROM generate_series(1, 40) g");
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'first'", 39), 39, 'one person cannot be stored: the others are served');
$wawp->ask('DROP TRIGGER refuse ON wawp.contact');
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'first'", 40), 40, '... and the person afterwards');
unlike(slurp_file($node->logfile), qr/no partition/, '... no record lacks its partition');

# Forty people, each in a group of their own or all in one, while an open transaction has stored the seventh.
foreach my $case (
	[ 'a call in many groups', q{'12036307991' || lpad(g::text, 7, '0') || '@g.us'}, q{SELECT wawp_note_contact('%s')}, 'COMMIT' ],
	[ 'a row in many groups', q{'12036307992' || lpad(g::text, 7, '0') || '@g.us'}, q{INSERT INTO wawp.contact (jid) VALUES ('%s@c.us')}, 'COMMIT' ],
	[ 'a row in one group', q{'120363079930000001@g.us'}, q{INSERT INTO wawp.contact (jid) VALUES ('%s@c.us')}, 'ROLLBACK' ])
{
	my ($name, $group, $store, $end) = @{$case};
	my $who = '1555709000' . ++$part;
	my $from = -s $node->logfile;

	$open->ask('BEGIN');
	is($open->ask(sprintf $store, $who)->{err}, '', $name);
	$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
		SELECT $group, CASE g WHEN 7 THEN '$who' ELSE '1555800' || lpad(($part * 100 + g)::text, 4, '0') END, 'support', 'b$part', false
		FROM generate_series(1, 40) g");
	is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'b$part'", 39), 39, '... the others are served');
	sleep 1.5;
	is($wawp->ask('SELECT state FROM wawp.worker_status'), 'serving', '... the worker does not fail');
	like($wawp->ask("SELECT detail FROM wawp.membership_intent WHERE batch_id = 'b$part' AND state = 'queued'"), qr/still open/, '... the row says why it waits');
	$open->ask($end);
	is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'b$part'", 40), 40, "... and the person after $end");
	unlike(substr(slurp_file($node->logfile), $from), qr/lock timeout|duplicate key/, '... without an error');
}
is($wawp->ask("SELECT count(*) FROM wawp.contact WHERE jid LIKE '1555709000%'"), $part, 'each is stored once');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE attempts <> 1"), 0, 'what was put off counts for no attempt');

done_testing();
