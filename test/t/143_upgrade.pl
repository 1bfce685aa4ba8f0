
# An earlier release that is upgraded equals a fresh install, and continues to serve its queue.
#
# A change of sql/ without the same change in sql/releases/wawp--OLD--NEW.sql fails here.  Each table of the release has
# rows when it is upgraded, and each table there is has some in the end: test/sql-include/rows-RELEASE.sql, every_table.sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $top = "$FindBin::RealBin/../..";
my ($current) = slurp_file("$top/wawp.control") =~ /^default_version = '(.*)'/m;
my @releases = sort map { m{/wawp--([\d.]+)\.sql$} ? $1 : () } glob("$top/sql/releases/wawp--*.sql");
my $definitions = slurp_file("$top/test/sql-include/definitions.sql");
my $every_table = slurp_file("$top/test/sql-include/every_table.sql");
my $rows = slurp_file("$top/test/sql-include/rows.sql");

my $sim = WawpTest->sim;
my $node = WawpTest->node('main');
$sim->world({ auto_groups => \1 });

# Privileges as a sorted list, the default ones where there are none.
my $helper = <<'SQL';
CREATE FUNCTION pg_temp.wawp_test_acl(acl aclitem[], kind text, owner oid) RETURNS text STABLE
	RETURN (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(coalesce(acl, acldefault(kind::"char", owner))) x);
SQL
$definitions =~ s/wawp_test_acl\(/pg_temp.wawp_test_acl(/g;

# The definitions in a database, after a change that is rolled back.
sub definitions
{
	my ($database, $change) = @_;
	return [ split /\n/, $node->safe_psql($database, "$helper BEGIN;" . ($change // '') . ";\n$definitions; ROLLBACK;") ];
}

# "- line" is only in the first, "+ line" only in the second.
sub differences
{
	my ($from, $to) = @_;
	my (%from, %to);
	@from{@$from} = ();
	@to{@$to} = ();
	return join "\n", (map { "- $_" } grep { !exists $to{$_} } @$from), (map { "+ $_" } grep { !exists $from{$_} } @$to);
}

# ---- the comparison itself

my $fresh = definitions('postgres');
cmp_ok(scalar(@$fresh), '>', 300, 'the definitions of a fresh install are a long list');
is(join("\n", grep { /does not know this class/ } @$fresh), '', 'each object has a definition that can be compared');

my %changes = (
	'a column' => 'ALTER TABLE wawp.contact ADD COLUMN more text',
	'a column that may be NULL' => 'ALTER TABLE wawp.contact ALTER COLUMN jid DROP NOT NULL',
	'a default' => 'ALTER TABLE wawp.hold ALTER COLUMN failures SET DEFAULT 1',
	'a constraint' => 'ALTER TABLE wawp.hold ADD CHECK (failures >= 0)',
	'an index' => 'CREATE INDEX ON wawp.hold (since)',
	'a storage parameter' => 'ALTER TABLE wawp.contact SET (fillfactor = 90)',
	'a replica identity' => 'ALTER TABLE wawp.hold REPLICA IDENTITY DEFAULT',
	'a policy' => 'DROP POLICY usable ON wawp.hold',
	'row security' => 'ALTER TABLE wawp.hold DISABLE ROW LEVEL SECURITY',
	'a trigger' => 'DROP TRIGGER refuse_truncate ON wawp.audit_log',
	'a trigger that fires differently' => 'ALTER TABLE wawp.membership_intent ENABLE TRIGGER fill',
	'a label of a type' => q{ALTER TYPE wawp.state ADD VALUE 'waiting' BEFORE 'done'},
	'a view' => q{CREATE OR REPLACE VIEW wawp.outcome_info WITH (security_invoker) AS
		SELECT outcome, about, final, next_step, text, NULL::text AS hint FROM wawp._outcome_info()},
	'an option of a view' => 'ALTER VIEW wawp.outcome_info RESET (security_invoker)',
	'a function' => 'ALTER FUNCTION wawp_jid(text) COST 7',
	'a function that is missing' => 'ALTER EXTENSION wawp DROP FUNCTION wawp_groups(name); DROP FUNCTION wawp_groups(name)',
	'a comment on a function' => q{COMMENT ON FUNCTION wawp_jid(text) IS 'changed'},
	'a comment on a column' => q{COMMENT ON COLUMN wawp.hold.since IS 'changed'},
	'a comment on a type' => 'COMMENT ON TYPE wawp.state IS NULL',
	'a privilege' => 'GRANT SELECT ON wawp.contact TO PUBLIC',
	'a privilege that is gone' => 'REVOKE EXECUTE ON FUNCTION wawp_jid(text) FROM PUBLIC',
	'a sequence' => 'ALTER SEQUENCE wawp.contact_contact_id_seq INCREMENT 2',
	'the wrapper' => 'ALTER FOREIGN DATA WRAPPER wawp NO VALIDATOR',
	'an object that is no member' => 'ALTER EXTENSION wawp DROP FUNCTION wawp_jid(text)',
);
foreach my $what (sort keys %changes)
{
	isnt(differences($fresh, definitions('postgres', $changes{$what})), '', "the comparison sees $what");
}

# ---- each release, upgraded

# What was there before the upgrade and is not in a row after it; without those columns that the scripts fill in
# where they were empty, and the row of identity, which gets its mark.
my $lost = <<'SQL';
SELECT string_agg(b.name || ' ' || b.contents, E'\n') FROM (SELECT name, jsonb_strip_nulls(contents) AS contents FROM before) b
WHERE NOT EXISTS (SELECT FROM pg_temp.wawp_rows() a WHERE a.name = b.name AND a.contents @> b.contents)
SQL

ok(scalar(@releases), 'there is a release to upgrade');
foreach my $release (@releases)
{
	my $database = 'from_' . $release =~ s/\./_/r;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION wawp VERSION '$release'");
	WawpTest->create_server($node, 'support', $sim, {}, $database);

	my $session = WawpTest->session($node, $database);
	my $ask = q{SELECT id FROM wawp_request_add('120363077430000001@g.us', ARRAY['%s'])};
	# until then, what needs the new tables says so, and the worker waits for it
	foreach my $sql (sprintf($ask, '15557430003'), "SELECT wawp_pause('support')", 'SELECT wawp_explain(1)', "INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('120363077430000001\@g.us', '15557430003')")
	{
		my $answer = $session->ask($sql);
		is($answer->{state}, '55000', "$release beside a newer library: an error");
		like($answer->{err}, qr/the tables of extension wawp are of version \Q$release\E.*ALTER EXTENSION wawp UPDATE/s, '... which says why');
	}
	my $told = sub { my @lines = slurp_file($node->logfile) =~ /wawp worker.*|ERROR:  the tables of extension wawp are of version.*/g; return scalar grep { /the tables of/ } @lines; };
	ok(poll_until(sub { $told->() >= 4 }), '... the worker logs it');
	# a user's table is written all the same, and what that requests is kept
	$session->ask(q{CREATE TABLE class (group_jid text, phone text);
		CREATE TRIGGER member AFTER INSERT OR DELETE ON class FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'instance=support')});
	my $wrote = $session->ask("INSERT INTO class VALUES ('120363077430000001\@g.us', '15557430004'), ('120363077430000001\@g.us', '15557430005'); DELETE FROM class WHERE phone = '15557430005'");
	is($wrote->{state}, '', '... a table with a trigger is written');
	like($wrote->{err}, qr/WARNING: .*the tables of extension wawp are of version/, '... with a warning');
	my $kept = q{SELECT string_agg(action || ' ' || jid || ' ' || state, ', ' ORDER BY id) FROM wawp.membership_intent WHERE origin = 'trigger public.class'};
	is($session->ask($kept)->{out}, 'add 15557430004@c.us failed, add 15557430005@c.us failed, remove 15557430005@c.us failed', '... and what it requests is there, failed');
	is($session->ask(slurp_file("$top/test/sql-include/rows-$release.sql"))->{err}, '', '... what its library left');
	my $id = $session->ask("SELECT id FROM wawp.membership_intent WHERE state = 'queued'")->{out};
	$session->ask($rows);
	is($session->ask('SELECT pg_temp.wawp_empty()')->{out}, '', '... there are rows in each of its tables');
	$session->ask('CREATE TEMP TABLE before AS SELECT * FROM pg_temp.wawp_rows()');

	# As a library of before stored it, whose trigger did not spell; its rows are compared below.
	is($session->ask(<<~'SQL')->{err}, '', '... policy in other spellings than rows are looked for by');
		ALTER TABLE wawp.suppression DISABLE TRIGGER limits;
		INSERT INTO wawp.suppression (jid, group_jid, reason, until) VALUES ('+1 555 743 0020', NULL, 'alone', NULL),
			('15557430021', NULL, 'first', '2100-01-01'), ('+1 (555) 743-0021', NULL, 'longest', NULL), ('15557430021@c.us', NULL, 'last', '2101-01-01'),
			('15557430021', '120363077430000002@G.us', 'of a group', NULL), ('nobody', NULL, 'no number', NULL);
		ALTER TABLE wawp.suppression ENABLE TRIGGER limits;
		ALTER TABLE wawp.group_settings DISABLE TRIGGER limits;
		INSERT INTO wawp.group_settings (instance, group_jid, capacity) VALUES ('support', ' 120363077430000009@g.us', 9),
			('support', '120363077430000008@g.us', 8), ('support', '120363077430000008@g.us ', 88);
		ALTER TABLE wawp.group_settings ENABLE TRIGGER limits;
		SQL

	# The worker begins at the commit.
	$session->ask('BEGIN');
	is($session->ask('ALTER EXTENSION wawp UPDATE')->{err}, '', '... it is upgraded');
	is($session->ask($lost)->{out}, '', '... no row of any table is lost or changed, but for what it did not have');
	$session->ask('COMMIT');
	is($session->ask("SELECT extversion FROM pg_extension WHERE extname = 'wawp'")->{out}, $current, "$release is upgraded to $current");
	is(differences($fresh, definitions($database)), '', '... to what a fresh install is');
	is($session->ask(q{SELECT string_agg(concat_ws(' ', jid, group_jid, reason), ', ' ORDER BY jid, reason) FROM wawp.suppression WHERE jid ~ '20|21|nobody'})->{out},
		'15557430020@c.us alone, 15557430021@c.us longest, 15557430021@c.us 120363077430000002@g.us of a group, nobody no number', '... its opt-outs are for whom they name');
	is($session->ask(q{SELECT string_agg(concat_ws(' ', group_jid, capacity), ', ' ORDER BY group_jid) FROM wawp.group_settings WHERE group_jid ~ '0008|0009'})->{out},
		'120363077430000008@g.us 8, 120363077430000009@g.us 9', '... and settings for their groups');

	is($session->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done', '... serves what was queued')
	  || diag($session->ask("SELECT wawp_explain($id), to_jsonb(i), (SELECT jsonb_agg(y) FROM wawp.identity y), wawp._home() FROM wawp.membership_intent i WHERE id = $id")->{out});
	is($session->ask(q{SELECT count(wawp_retry(id)) FROM (SELECT DISTINCT ON (instance, group_jid, jid) id FROM wawp.membership_intent
		WHERE state = 'failed' AND detail LIKE 'the tables of extension wawp are of version%' ORDER BY instance, group_jid, jid, id DESC) r})->{out}, 2,
		'... what a trigger could not request is requested now, the latest of each person');
	is($session->until($kept, qr/^add 15557430004\S+ done, add 15557430005\S+ failed, remove 15557430005\S+ done$/), 'add 15557430004@c.us done, add 15557430005@c.us failed, remove 15557430005@c.us done',
		'... and done');
	$id = $session->ask(sprintf $ask, '15557430002')->{out};
	is($session->until("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done'), 'done', '... and what is queued then');
	$session->ask("BEGIN; $every_table");
	is($session->ask('SELECT pg_temp.wawp_empty()')->{out}, '', '... there are rows in each of the tables that exist now');
	is($session->ask('COMMIT')->{err}, '', '... that are kept');
	is($session->ask('SELECT ok, checked > 0, problem FROM wawp_audit_verify()')->{out}, 't|t|records before number 4 were written before sealing', '... and seals what it records');
}

done_testing();
