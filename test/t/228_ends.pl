
# The ends of memberships: several rows of a table that have a person until different times, additions whose end comes
# before they are sent, and plans for a far end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.05);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, reads_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask(q{CREATE TABLE shift (id serial PRIMARY KEY, g text, who text, ends timestamptz);
	CREATE TRIGGER member AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
		EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'until=ends', 'instance=support')});

my ($SOON, $LATER) = ('2100-01-01 00:00:00+00', '2100-01-02 00:00:00+00');

# Until when a person stays, as the group's membership has it once all requests are settled; what the worker requests by
# itself follows.
sub stays
{
	my ($group, $who, $expected) = @_;
	$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled')", 0);
	return $wawp->until("SELECT coalesce(to_char(m.until AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 'for good') || CASE WHEN m.left_at IS NULL THEN '' ELSE ', gone' END
		FROM wawp.membership m JOIN wawp.contact USING (contact_id) WHERE m.group_jid = '$group' AND jid = '$who\@c.us'", $expected);
}

# Runs statements about a new person in a new group; $g and $who in them are theirs.
sub case_is
{
	my ($expected, $name, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($group, $who) = ($wawp->group, $wawp->person);
	foreach my $statement (@statements)
	{
		$wawp->ask($statement =~ s/\$g\b/'$group'/gr =~ s/\$who\b/'$who'/gr);
		stays($group, $who, qr/./);
	}
	return is(stays($group, $who, $expected), $expected, $name);
}

# ---- of several rows the one that ends last decides

case_is('2100-01-02', 'a row that ends earlier does not shorten what another row says',
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')", "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON')");
case_is('2100-01-02', '... nor in one statement',
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER'), (\$g, '+' || \$who, '$SOON')");
case_is('2100-01-02', '... nor before the first was sent',
	"BEGIN; INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER'); INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON'); COMMIT");
case_is('2100-01-02', 'a row that ends later does', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON')",
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')");
case_is('for good', 'a row without an end is the last to end',
	'INSERT INTO shift (g, who) VALUES ($g, $who)', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON')");
case_is('2100-01-01', 'what ends later is put earlier, as nobody else has the person',
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')", "UPDATE shift SET ends = '$SOON' WHERE who = \$who");
case_is('2100-01-02', '... but not before another row\'s end', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')",
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '2100-01-03 00:00+00')", "UPDATE shift SET ends = '$SOON' WHERE who = \$who AND ends > '$LATER'");
case_is('2100-01-01', 'when the row that lasts longest goes, what is left decides', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON')",
	'INSERT INTO shift (g, who) VALUES ($g, $who)', 'DELETE FROM shift WHERE who = $who AND ends IS NULL');
case_is('2100-01-02', '... another one changes nothing', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$SOON')",
	"INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')", "DELETE FROM shift WHERE who = \$who AND ends = '$SOON'");
case_is('for good, gone', 'a row that has ended wants nobody', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')",
	"ALTER TABLE shift DISABLE TRIGGER member; INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, now() - interval '1 day'); ALTER TABLE shift ENABLE TRIGGER member",
	"DELETE FROM shift WHERE who = \$who AND ends = '$LATER'");
case_is('for good, gone', 'a row that ends now ends the membership now', "INSERT INTO shift (g, who, ends) VALUES (\$g, \$who, '$LATER')",
	"UPDATE shift SET ends = now() - interval '1 minute' WHERE who = \$who");

# A row that another session is just inserting counts when it has committed.
my ($group, $who) = ($wawp->group, $wawp->person);
my ($one, $other) = map { WawpTest->session($node) } 1 .. 2;
$one->ask("BEGIN; INSERT INTO shift (g, who, ends) VALUES ('$group', '$who', '$LATER')");
$other->send("INSERT INTO shift (g, who, ends) VALUES ('$group', '$who', '$SOON')");
$wawp->until("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO shift%'", 1);
$one->ask('COMMIT');
is($other->answer->{state}, '', 'a row that waits for another session');
is(stays($group, $who, '2100-01-02'), '2100-01-02', '... does not shorten what that one said');
$_->quit foreach $one, $other;

# Who was not added is not asked for again when one of two rows goes.
($group, $who) = ($wawp->group, $wawp->person);
$wawp->ask("SELECT wawp_suppress('$who')");
$wawp->ask("INSERT INTO shift (g, who, ends) VALUES ('$group', '$who', '$SOON'), ('$group', '$who', '$LATER')");
$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND state = 'failed'", 1);
$wawp->ask("DELETE FROM shift WHERE who = '$who' AND ends = '$LATER'");
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group'"), 1, 'who could not be added is not asked for again');

# ---- an end that comes first

my $past = $wawp->want(group => $group = $wawp->group, until => "now() - interval '1 minute'", who => $who = $wawp->person);
is($wawp->end($past), 'cancelled', 'an addition whose end has passed is not sent');
like($wawp->column($past, 'detail'), qr/^not added: the membership was to end at \d/, '... and says so');
is($wawp->requests($group), 0, '... nobody is added to be removed at once');
is($wawp->trail($past), 'cancelled', '... as recorded');
is($wawp->column($past, 'attempts'), 0, '... and it counts as no attempt');

$past = $wawp->want(group => $group, who => $wawp->person, until => "now() - interval '1 minute'", not_before => "now() + interval '1 hour'");
like($wawp->ask("SELECT wawp_explain($past)"), qr/^queued: nobody is added, the membership was to end at \d/, '... while it waits, wawp_explain() says so');
$wawp->ask("SELECT wawp_pause('support', '" . ($group = $wawp->group) . "')");
my $late = $wawp->want(group => $group, until => "now() + interval '2 s'");
my $next = $wawp->want(group => $group, after => $late);
$wawp->until("SELECT until < clock_timestamp() FROM wawp.membership_intent WHERE id = $late", 't');
$wawp->ask("SELECT wawp_resume('support', '$group')");
is($wawp->end($late), 'cancelled', 'nor one that was held for so long');
like($wawp->end($next), qr/^failed/, '... and who waits for it is told');
is($wawp->end($wawp->want(group => $group)), 'done added', '... others are added');
is($wawp->requests($group), 1, '... alone');
my $member = $wawp->want(group => $group, who => $who = $wawp->person);
is($wawp->end($member), 'done added', 'a member without an end');
is($wawp->end($wawp->want(group => $group, who => $who, until => "now() - interval '1 minute'")), 'done already_member', '... is there already');
is($wawp->until("SELECT string_agg(concat_ws(' ', origin, state, outcome), ',') FROM wawp.membership_intent WHERE action = 'remove' AND jid = '$who\@c.us'",
	'until done removed'), 'until done removed', '... and goes when the end is in the past');
my ($of_lids, $unseen) = ($wawp->group(addressing => 'lid', lid_pn => \0), $wawp->person(lid_known => \0));
is($wawp->end($wawp->want(group => $of_lids, who => $unseen, verify => 'false')), 'done accepted', 'one whom the list cannot show');
is($wawp->end($wawp->want(group => $of_lids, who => $unseen, until => "now() - interval '1 minute'")), 'cancelled', '... is not added for a time that is over');
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE action = 'remove' AND origin = 'until' AND jid = '$unseen\@c.us'", 1), 1, '... and a removal is requested');
my $uninvited = $wawp->person(privacy => 'nobody');
my $blocked = $wawp->want(group => $group, who => $uninvited, until => "now() + interval '20 s'");
is($wawp->comes_to($blocked, qr/^(invited|failed)/), 'invited invited', 'before the end somebody who cannot be added is invited');
$sim->world({ accounts => { SPARING => {} } });
WawpTest->create_server($node, 'sparing', $sim, { instance_id => 'SPARING', adds_per_minute => 0, invites_per_minute => '0.01' });
my %sparing = (instance => 'sparing', group => $wawp->group);
is($wawp->comes_to($wawp->want(%sparing, who => $wawp->person(privacy => 'nobody')), qr/^(invited|failed)/), 'invited invited', 'the one invitation of the hour');
my $waits = $wawp->want(%sparing, who => my $waiting = $wawp->person(privacy => 'nobody'), until => "now() + interval '1 day'");
is($wawp->comes_to($waits, qr/^inviting/), 'inviting privacy_blocked', '... the next one waits');
$wawp->ask("UPDATE wawp.membership_intent SET until = now() - interval '1 s' WHERE id = $waits");
$wawp->age($waits, '1 s');
is($wawp->end($waits), 'failed privacy_blocked', '... and is not sent when the membership is over');
is($wawp->column($waits, 'detail'), 'not invited: the membership was to end before', '... as it says');
is(scalar($wawp->messages($waiting)), 0, '... to nobody');

# ---- an end that fails is not forgotten

$wawp->ask('CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann');
my $ann = WawpTest->session($node, 'postgres', user => 'ann');
($group, $who) = ($wawp->group, $wawp->person);
is($wawp->end($ann->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$who'], 'support', until => now() + interval '2 s')")->{out}), 'done added', 'added for a time');
$wawp->ask('REVOKE USAGE ON FOREIGN SERVER support FROM ann');
my $end = $wawp->until("SELECT id FROM wawp.membership_intent WHERE group_jid = '$group' AND origin = 'until'", qr/^\d+$/);
is($wawp->end($end), 'failed', '... which has ended, but the role may not use the instance any more');
is($wawp->ask("SELECT state || ' ' || why FROM wawp.stuck WHERE id = $end"), 'failed permission denied for foreign server support', '... as wawp.stuck has it');
is($wawp->ask("SET ROLE pg_monitor; SELECT count(*) FROM wawp.stuck WHERE id = $end"), 1, '... also for who monitors it');
$wawp->ask('RESET ROLE; GRANT USAGE ON FOREIGN SERVER support TO ann');
is($ann->ask("SELECT wawp_retry($end)")->{out}, 't', '... it is asked for again');
is($wawp->end($end), 'done removed', '... and the person goes');
is($wawp->ask("SELECT count(*) FROM wawp.stuck WHERE id = $end"), 0, '... which is all');
$ann->quit;

# ---- the epoch is a time like others

is($wawp->end($wawp->want(expires_at => "'2000-01-01 00:00+00'")), 'cancelled', 'expires_at at the epoch has passed');
is($wawp->end($wawp->want(until => "'2000-01-01 00:00+00'")), 'cancelled', '... and so has until');
is($wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, until) VALUES ('$group', '15557009901', 'support', '2000-01-01 00:00+00') RETURNING until < '2000-01-02'"),
	't', '... of a row, too');
$wawp->ask("SELECT wawp_suppress('15557009902', NULL, 'once', '2000-01-01 00:00+00')");
is($wawp->ask("SELECT until < '2000-01-02' FROM wawp.suppression WHERE jid = '15557009902\@c.us'"), 't', '... and the end of an opt-out');
is($wawp->ask(q{SELECT count(*) - max(id) FROM wawp.audit_log}), 0, 'the audit log has no gaps');

# ---- what a plan waits for is kept as long as it waits

$group = $wawp->group;
my ($first, $gone) = map { $wawp->want(group => $group, who => $_) } $who = $wawp->person, $wawp->person;
is($wawp->end($_), 'done added', 'added') foreach $first, $gone;
my $plan = $wawp->want(action => 'remove', group => $group, who => $who, after => $first, not_before => "now() + interval '60 days'");
$wawp->ask("UPDATE wawp.membership_intent SET settled_at = now() - interval '31 days' WHERE id IN ($first, $gone)");
$node->restart;
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE id = $gone", 0), 0, 'retention deletes what was settled');
is($wawp->now($first), 'done added', '... but not what a plan waits for');
$wawp->ask("UPDATE wawp.membership_intent SET not_before = now() WHERE id = $plan; SELECT wawp_resume('support')");
is($wawp->end($plan), 'done removed', '... which is served when its time has come');

done_testing();
