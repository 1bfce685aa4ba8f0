
# Many groups and a slow pace of checks: a number is looked up if that may be done at once, and added without it
# otherwise.  Nobody waits for a check, and no row is claimed and put back for one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(min);
use Test::More;
use WawpTest;

use constant GROUPS => 100;
use constant CHECKS_PER_MINUTE => 30;
# A row is claimed, sent and found in the group.
use constant UPDATES => 3;

my $sim = WawpTest->sim(latency => 0.2);
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim,
	options => { adds_per_minute => 0, concurrency => 8, reads_per_minute => 0, checks_per_minute => CHECKS_PER_MINUTE,
		verify_delays => '500ms,3s,15s' });
my $session = WawpTest->session($node);

# Every change of a row, as the table itself sees it.
$session->ask(<<'SQL');
CREATE TABLE change (id bigint);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
	INSERT INTO change (id) VALUES (new.id);
	RETURN NULL;
END $$;
CREATE TRIGGER note_change AFTER UPDATE ON wawp.membership_intent FOR EACH ROW EXECUTE FUNCTION note_change();
SQL
my $asked = $session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance)
	SELECT '12036308880' || to_char(i, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), 'support' FROM generate_series(1, @{[ GROUPS ]}) i");
is($asked->{err}, '', 'queued');
is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'done' AND outcome = 'added'", GROUPS), GROUPS,
	'everybody is added');

my @checks = map { $_->{mono} } $sim->ledger('/check-exists$');
my @adds = map { $_->{mono} } $sim->ledger('/participants/add$');
my $interval = 60 / CHECKS_PER_MINUTE;
my $allowed = 1 + int(($adds[-1] - min(@checks, @adds)) / $interval);
my $updates = $session->ask('SELECT count(*) FROM change')->{out} / GROUPS;
diag(sprintf '%d checks where the pace has %d, %.2f updates a row', scalar(@checks), $allowed, $updates);
is(scalar(@adds), GROUPS, '... each by one request');
cmp_ok(scalar(@checks), '>', 0, 'numbers are looked up');
cmp_ok(scalar(@checks), '<=', $allowed, '... as many as the pace of checks has meanwhile');
is(scalar(grep { $checks[$_] - $checks[$_ - 1] < 0.9 * $interval } 1 .. $#checks), 0, '... at that pace');
cmp_ok($updates, '>=', UPDATES, 'each row is changed when it is claimed, sent and found');
cmp_ok($updates, '<', UPDATES + 0.2, '... and for hardly any other reason');

$node->stop;
done_testing();
