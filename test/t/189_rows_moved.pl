
# Rows of the queue that get another place while their requests are on the wire, or are changed while they are claimed:
# each is settled, and none is sent twice.  So they are where a trigger of somebody's wants to see each change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 1.5);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 64 });
my $wawp = WawpPeople->new($node, $sim);
my $part = 0;
my $want = "INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
	SELECT '1203630799%1\$d' || lpad(g::text, 8, '0') || '\@g.us', '1555%1\$d' || lpad(g::text, 6, '0'), 'support', 'b%1\$d', false FROM generate_series(1, 60) g";

# Rows before those that are to be moved, which leave room at their end.
$wawp->ask(sprintf $want, 0);
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'b0'", 60), 60, 'rows that are deleted later are settled');

foreach my $move ('VACUUM FULL wawp.membership_intent', 'CLUSTER wawp.membership_intent USING membership_intent_pkey', 'REINDEX TABLE wawp.membership_intent')
{
	$part++;
	$wawp->ask(sprintf $want, $part);
	is($wawp->until("SELECT count(*) > 8 FROM wawp.membership_intent WHERE state = 'sending'", 't'), 't', 'many are on the wire');
	$wawp->ask(sprintf q{DELETE FROM wawp.membership_intent WHERE batch_id = 'b%d'}, $part - 1);
	$wawp->ask($move);
	is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'b$part'", 60), 60, "$move: all are settled")
	  || diag($wawp->ask("SELECT string_agg(DISTINCT concat_ws(' ', state, outcome, detail, wawp_explain(id)), E'\\n') FROM wawp.membership_intent WHERE batch_id = 'b$part'"));
	is($wawp->ask("SELECT count(DISTINCT outcome) || ' ' || max(attempts) FROM wawp.membership_intent WHERE batch_id = 'b$part'"), '1 1', '... alike, with one attempt');
}

# Requests that are made again and again with another priority, while they are claimed.
my @busy = map { WawpTest->session($node) } 1 .. 4;
for my $round (1 .. 60)
{
	$busy[ $round % 4 ]->ask("SELECT wawp_request_add('1203630799940' || lpad(g::text, 5, '0') || '\@g.us', ARRAY['15554' || lpad(g::text, 6, '0')],
		'support', verify => false, priority => $round, batch_id => 'again') FROM generate_series(1, 60) g");
	sleep 0.03;
}
is($wawp->until("SELECT count(*) FILTER (WHERE state <> 'done') FROM wawp.membership_intent WHERE jid LIKE '15554%'", 0), 0, 'requested again with more priority: all are served');
is($wawp->ask("SELECT count(DISTINCT jid) FROM wawp.membership_intent WHERE jid LIKE '15554%'"), 60, '... each person');

# A trigger that fires for an update takes a statement; a row that somebody has locked is left until they let it go.
$wawp->ask($_) foreach (
	'CREATE TABLE changes (id bigint, state text)',
	"CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN INSERT INTO public.changes VALUES (NEW.id, NEW.state::text); RETURN NULL; END\$\$",
	'CREATE TRIGGER note_change AFTER UPDATE ON wawp.membership_intent FOR EACH ROW EXECUTE FUNCTION note_change()',
	"INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
		SELECT '12036307995' || lpad(g::text, 8, '0') || '\@g.us', '15555' || lpad(g::text, 6, '0'), 'support', 'seen', false FROM generate_series(1, 60) g");
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'seen'", 60), 60, 'with a trigger: all are settled');
is($wawp->ask("SELECT count(DISTINCT id) FILTER (WHERE state = 'sending') || ' ' || count(*) FILTER (WHERE state = 'done') FROM changes"), '60 60',
	'... and it has seen each claim and each end');
$wawp->ask('DROP TRIGGER note_change ON wawp.membership_intent');
$wawp->ask("SELECT wawp_pause('support')");
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
	SELECT '12036307996' || lpad(g::text, 8, '0') || '\@g.us', '15556' || lpad(g::text, 6, '0'), 'support', 'locked', false FROM generate_series(1, 60) g");
$busy[0]->ask('BEGIN');
$busy[0]->ask("SELECT count(*) FROM (SELECT FROM wawp.membership_intent WHERE batch_id = 'locked' AND substr(jid, 11, 1) IN ('0', '2', '4', '6', '8') FOR KEY SHARE) l");
$wawp->ask("SELECT wawp_resume('support')");
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'locked'", 30), 30, 'rows that nobody has locked are served');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'locked' AND state = 'queued' AND attempts = 0"), 30, '... the others are not touched');
$busy[0]->ask('ROLLBACK');
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'locked'", 60), 60, '... until they are free');
unlike(slurp_file($node->logfile), qr/ERROR|PANIC|was terminated/, 'no error');

done_testing();
