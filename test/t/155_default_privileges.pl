
# ALTER DEFAULT PRIVILEGES of the role that installs: neither CREATE EXTENSION, ALTER EXTENSION UPDATE nor the worker's
# partitions give anybody what the extension does not, and functions are PUBLIC's all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363015500000001@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', conf => "log_statement = none\n");
$sim->world({ auto_groups => \1 });

# What roles have on the extension's objects and the log's partitions, that of the owner and PostgreSQL's own defaults left out.
my $privileges = <<'SQL';
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
	WHERE e.extname = 'wawp' AND d.deptype = 'e'
	UNION ALL SELECT 'pg_class'::regclass, inhrelid FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass
), acl AS (
	SELECT c.oid::regclass::text AS name, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl, c.relowner AS owner
	FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	UNION ALL SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
	FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	UNION ALL SELECT n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner)), n.nspowner
	FROM member m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
)
SELECT string_agg(name || ' ' || g.grantee::regrole || ' ' || g.privilege_type, E'\n' ORDER BY name, g.grantee, g.privilege_type)
FROM acl, aclexplode(acl) g WHERE g.grantee <> owner
SQL

my $plain = $node->safe_psql('postgres', $privileges);
like($plain, qr/^wawp_request_add\(.*\) - EXECUTE$/m, 'without such privileges a function is PUBLIC\'s');
unlike($plain, qr/^wawp\.contact /m, '... and a table nobody\'s');

my $generous = <<'SQL';
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app, "Odd role", PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO lender WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO app, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO lender;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SQL

# A role that may use an instance requests and watches, and no more.
sub requests
{
	my ($database) = @_;
	WawpTest->create_server($node, 'support', $sim, {}, $database);
	$node->safe_psql($database, 'GRANT USAGE ON FOREIGN SERVER support TO app');
	my $app = WawpTest->session($node, $database, user => 'app');
	my $asked = $app->ask("SELECT id FROM wawp_request_add('$group', ARRAY['15551550001'], 'support')");
	is($asked->{state}, '', "$database: a role may request") || diag($asked->{err});
	is($app->until("SELECT state FROM wawp.membership_intent WHERE id = $asked->{out}", 'done'), 'done', '... and see what becomes of it');
	is($app->ask($_)->{state}, '42501', "... but not: $_") foreach
	  'CREATE TRIGGER mine BEFORE INSERT ON wawp.contact FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	  "INSERT INTO wawp.membership (instance, group_jid, contact_id) VALUES ('support', '$group', 1)", 'SELECT count(*) FROM wawp.contact',
	  "UPDATE wawp.identity SET site = 'mine'", 'CREATE FUNCTION wawp.mine() RETURNS int LANGUAGE sql RETURN 1', "SELECT wawp_erase('15551550001')",
	  'SELECT wawp._worker_start()', "SELECT nextval('wawp.membership_intent_id_seq')", "SELECT wawp._privileges_begin('{}')";
	$app->quit;
	return;
}


sub privileges_of { my ($database) = @_; return $node->safe_psql($database, $privileges); }

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE "Odd role"; CREATE ROLE lender; CREATE ROLE reader; CREATE DATABASE fresh; CREATE DATABASE upgraded');
$node->safe_psql('fresh', "$generous CREATE EXTENSION wawp");
is(privileges_of('fresh'), $plain, 'with such privileges CREATE EXTENSION gives what it gives without');
requests('fresh');
cmp_ok($node->safe_psql('fresh', "SELECT count(*) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass"), '>=', 2, 'the log has partitions');
is(privileges_of('fresh'), $plain, '... which nobody has a privilege on');

# ---- the upgrade: what is new has no more, what was granted before stays

$node->safe_psql('upgraded', "CREATE EXTENSION wawp VERSION '0.1'; GRANT SELECT ON wawp.audit TO reader; REVOKE EXECUTE ON FUNCTION wawp_send_text(text, text, name) FROM PUBLIC;
	$generous");
my $before = privileges_of('upgraded');
$node->safe_psql('upgraded', 'ALTER EXTENSION wawp UPDATE');
my %before = map { $_ => 1 } split /\n/, $before;
my %plain = map { $_ => 1 } split /\n/, $plain;
my @now = split /\n/, privileges_of('upgraded');
is(join("\n", grep { !$before{$_} && !$plain{$_} } @now), '', 'ALTER EXTENSION UPDATE gives nothing but what a fresh install does');
my %now = map { $_ => 1 } @now;
is(join("\n", grep { !$now{$_} && !/^wawp_add_participants\(/ } sort keys %before), '', '... takes nothing of what was granted on what is not made anew');
is(join("\n", grep { !$now{$_} } sort keys %plain), 'wawp_send_text(text,text,name) - EXECUTE', '... nor gives back what was taken away');
requests('upgraded');

done_testing();
