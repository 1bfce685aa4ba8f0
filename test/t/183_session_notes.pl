
# Changes that sessions make to the queue and the opt-out list are in the audit log: by whom, from where, and only if
# they were committed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 8 },
	conf => "log_statement = none\nwawp.instance = 'support'\n");
my $session = WawpTest->session($node);
my ($people, $groups) = (0, 0);
$sim->world({ auto_groups => \1 });

sub new_person { return sprintf '1555750%04d', ++$people; }
sub new_group { return sprintf '12036307785%07d@g.us', ++$groups; }

# A group that is not served.
sub quiet_group
{
	my $group = new_group();
	$session->ask("SELECT wawp_pause('support', '$group')");
	return $group;
}

# What is told of a group, in order, but for its first rest.
sub told
{
	my ($group, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sql = "SELECT string_agg(concat_ws(' ', kind, action, split_part(jid, '\@', 1)), ', ' ORDER BY id) FROM wawp.audit
		WHERE group_jid = '$group' AND kind NOT IN ('sent', 'answered')";
	return is($session->until($sql, $expected), $expected, $name) || diag($session->ask('SELECT * FROM wawp.audit_note')->{out});
}

$session->ask(q{CREATE ROLE clerk LOGIN; CREATE ROLE boss LOGIN; CREATE ROLE desk; GRANT desk TO boss; GRANT clerk TO desk;
	GRANT USAGE ON FOREIGN SERVER support TO clerk, boss, desk; CREATE TABLE shift (g text, who text); ALTER TABLE shift OWNER TO clerk;
	CREATE TRIGGER shift AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
		EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'instance=support')});
is($session->ask('SELECT count(*) FROM pg_trigger WHERE tgname = $$shift$$')->{out}, 1, 'the test has what it needs');
my $clerk = WawpTest->session($node, 'postgres', user => 'clerk', application_name => 'shifts');
my $boss = WawpTest->session($node, 'postgres', user => 'boss', application_name => 'office');
$boss->ask("SET wawp.actor = 'the boss'; SET ROLE desk");

# ---- one intent: what it was about, and who did it

my $group = quiet_group();
my $who = new_person();
my $id = $clerk->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'], reason => 'shift north', batch_id => 'monday')")->{out};
is($boss->ask("SELECT wawp_cancel($id)")->{out}, 't', 'an intent is cancelled');
told($group, "held, cancelled add $who", '... which is told');
is($session->ask("SELECT instance, instance_id, intent_id, batch_id, reason, login_role, requested_by, actor, application_name, request_id, outcome
	FROM wawp.audit WHERE group_jid = '$group' AND kind = 'cancelled'")->{out}, "support|ABC123|$id|monday|shift north|boss|desk|the boss|office||",
	'... with what it was about and who did it');
is($boss->ask("SELECT wawp_cancel($id)")->{out}, 'f', 'what is cancelled already');
told($group, "held, cancelled add $who", '... is not told again');

# ---- rolled back

$group = quiet_group();
my @ids = map { $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], batch_id => 'undone')")->{out} } 1 .. 3;
is($session->until('SELECT count(*) FROM wawp.audit_note', 0), 0, 'all is told so far');
my $before = $session->ask('SELECT max(id) FROM wawp.audit_log')->{out};
my $undone = "SELECT wawp_cancel($ids[0]), wawp_cancel_batch('undone'); SELECT wawp_pause('support'), wawp_resume('support', '$group')";
is($session->ask("BEGIN; $undone; ROLLBACK")->{out} =~ s/\s//gr, 't|2t|t', 'what is rolled back');
$session->ask("BEGIN; SAVEPOINT s; $undone; ROLLBACK TO s; COMMIT");
$session->ask("DO \$\$ BEGIN PERFORM wawp_cancel($ids[0]); RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL; END \$\$");
$session->ask("BEGIN; $undone");
$session->vanish;
$session = WawpTest->session($node);
my $late = new_group();
$session->ask("SELECT wawp_pause('support', '$late')");
told($late, 'held', '... and what follows it');
is($session->ask("SELECT count(*) FROM wawp.audit_log WHERE id > $before")->{out}, 1, '... only the latter is told');
is($session->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'undone' AND state = 'queued'")->{out}, 3, '... or done');

# ---- many

$group = quiet_group();
$session->ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY(SELECT '1555760' || to_char(i, 'FM0000')
	FROM generate_series(1, 1300) i), batch_id => 'many')");
is($clerk->ask("SELECT wawp_cancel_batch('many')")->{out}, 0, 'a batch of somebody else is not cancelled');
is($session->ask("SELECT wawp_cancel_batch('many')")->{out}, 1300, 'a batch of 1,300 is');
is($session->until("SELECT count(*), count(DISTINCT intent_id), count(DISTINCT jid) FROM wawp.audit WHERE kind = 'cancelled' AND batch_id = 'many'",
	'1300|1300|1300', 10), '1300|1300|1300', '... of each it is told');

# ---- pause and resume

$group = new_group();
$boss->ask("SELECT wawp_pause('support', '$group', 'too loud'); SELECT wawp_resume('support', '$group'); SELECT wawp_resume('support', '$group')");
told($group, 'held, resumed', 'a group is paused and resumed: told once each');
is($session->ask("SELECT kind, reason, login_role, requested_by, actor, application_name, jid, intent_id FROM wawp.audit
	WHERE group_jid = '$group' ORDER BY id")->{out},
	"held|too loud|boss|desk|the boss|office||\nresumed||boss|desk|the boss|office||", '... why and by whom');
$before = $session->ask('SELECT max(id) FROM wawp.audit_log')->{out};
$clerk->ask("SELECT wawp_pause('support'); SELECT wawp_resume('support')");
is($session->until("SELECT string_agg(concat_ws(' ', kind, instance, requested_by), ', ' ORDER BY id) FROM wawp.audit WHERE id > $before
	AND group_jid IS NULL", qr/resumed/, 5),
	'held support clerk, resumed support clerk', '... an instance as well');

# ---- tried again

$sim->world({ people => { '15551230404' => { registered => \0 } } });
$sim->rule({ match => { body => '15551230404' }, times => undef,
	answer => { json => { participants => [ { id => '15551230404@c.us', code => 404 } ] } } });
$group = new_group();
# not asked for first, so that it is sent
$session->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('support', '$group', false)");
$id = $clerk->ask("SELECT id FROM wawp_request_add('$group', ARRAY['15551230404'])")->{out};
$session->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'failed');
is($boss->ask("BEGIN; SELECT wawp_retry($id); ROLLBACK")->{out}, 't', 'an intent that failed is tried again, but not really');
is($boss->ask("SELECT wawp_retry($id)")->{out}, 't', '... and really');
$session->until("SELECT count(*) FROM wawp.audit WHERE intent_id = $id AND kind = 'answered'", 2);
is($session->ask("SELECT string_agg(concat_ws(' ', kind, outcome, requested_by, login_role), ', ' ORDER BY id) FROM wawp.audit
	WHERE intent_id = $id")->{out},
	'sent clerk clerk, answered not_on_whatsapp clerk clerk, retried desk boss, sent clerk clerk, answered not_on_whatsapp clerk clerk',
	'... told between what was sent before and after');
$id = $clerk->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['15551230404'])")->{out};
$session->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'failed');
is($boss->ask("SELECT wawp_retry($id)")->{out}, 't', 'one that failed unsent, since the number was asked for first');
my $trail = "SELECT string_agg(concat_ws(' ', kind, outcome, requested_by, login_role), ', ' ORDER BY id) FROM wawp.audit WHERE intent_id = $id";
my $unsent = 'policy not_on_whatsapp clerk clerk';
is($session->until($trail, "$unsent, retried desk boss, $unsent"), "$unsent, retried desk boss, $unsent", '... told between what was decided before and after');

# ---- the opposite

$group = quiet_group();
$who = new_person();
$boss->ask("SELECT wawp_request_add('$group', ARRAY['$who'])");
$boss->ask("BEGIN; SELECT wawp_request_remove('$group', ARRAY['$who']); ROLLBACK");
$boss->ask("SELECT wawp_request_remove('$group', ARRAY['$who'])");
told($group, "held, cancelled add $who", 'the opposite cancels: told');
is($session->ask("SELECT requested_by, login_role FROM wawp.audit WHERE group_jid = '$group' AND kind = 'cancelled'")->{out}, 'desk|boss',
	'... as done by who asked for it');
$boss->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '$who', 'support')");
told($group, "held, cancelled add $who, cancelled remove $who", '... also by INSERT');
$clerk->ask("INSERT INTO shift VALUES ('$group', '15557509999'); DELETE FROM shift");
told($group, "held, cancelled add $who, cancelled remove $who, cancelled add 15557509999", '... and by a table\'s trigger');
$boss->ask("SELECT wawp_request_add('$group', ARRAY['$who'])");
told($group, "held, cancelled add $who, cancelled remove $who, cancelled add 15557509999", '... a duplicate cancels nothing');

# ---- opting out

$who = new_person();
$session->ask('GRANT EXECUTE ON FUNCTION wawp_suppress, wawp_unsuppress TO clerk');
my $opt_outs = "SELECT string_agg(concat_ws(' ', kind, coalesce(group_jid, 'all'), reason, 'by', requested_by, instance), ', ' ORDER BY id)
	FROM wawp.audit WHERE jid = '$who\@c.us'";
$clerk->ask("BEGIN; SELECT wawp_suppress('$who', reason => 'never mind'); ROLLBACK");
$clerk->ask("SELECT wawp_suppress('$who', '$group', 'wrote STOP')");
$clerk->ask("SELECT wawp_suppress('$who', '$group', 'wrote STOP')");
$clerk->ask("SELECT wawp_suppress('$who')");
$clerk->ask("SELECT wawp_unsuppress('$who')");
$clerk->ask("SELECT wawp_unsuppress('$who')");
my $expected = "policy $group suppressed: wrote STOP by clerk, policy all suppressed: asked for by clerk, policy all unsuppressed by clerk";
is($session->until($opt_outs, $expected), $expected, 'who opts out, and back in, is told: what changed, once, by whom');

# ---- what nobody did

$group = quiet_group();
$who = new_person();
$clerk->ask("SELECT wawp_request_add('$group', ARRAY['$who'], expires_at => clock_timestamp() + interval '300 ms')");
told($group, "held, cancelled add $who", 'what expires is told');
is($session->ask("SELECT requested_by IS NULL AND login_role IS NULL FROM wawp.audit WHERE group_jid = '$group' AND kind = 'cancelled'")->{out}, 't',
	'... as done by nobody');

# ---- no worker, or an idle one

$node->safe_psql('postgres', 'ALTER SYSTEM SET wawp.worker = off');
$node->reload;
$session->until('SHOW wawp.worker', 'off');
$group = quiet_group();
told($group, 'held', 'wawp.worker = off: told all the same');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET wawp.worker');
$node->reload;

$group = quiet_group();
$who = new_person();
$id = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'])")->{out};
$session->ask(qq{BEGIN; SELECT wawp_cancel($id); SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
	WHERE backend_type = 'wawp worker'; COMMIT});
told($group, "held, cancelled add $who", 'the worker ends before the commit: the next one tells');
$group = quiet_group();
$id = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'])")->{out};
$session->ask("SELECT wawp_cancel($id)");
$session->quit;
$node->stop('immediate');
$node->start;
$session = WawpTest->session($node);
told($group, "held, cancelled add $who", '... also after an immediate stop');

# ---- whose business it is

$clerk = WawpTest->session($node, 'postgres', user => 'clerk');
is($clerk->ask("$_")->{state}, '42501', "a user may not: $_")
  foreach ('SELECT * FROM wawp.audit_note', "INSERT INTO wawp.audit_note (kind, instance) VALUES ('cancelled', 'support')", 'DELETE
	FROM wawp.audit_note',
	'SELECT * FROM wawp.audit');
is($session->until('SELECT count(*) FROM wawp.audit_note', 0), 0, 'no note is left');
is($session->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, 'the audit log has no gaps');
done_testing();
