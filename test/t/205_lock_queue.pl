
# A role without rights asks for a lock that nobody shares, while another one's transaction is idle: it is refused before it
# waits, since all others would queue behind it.  Who has the right waits as ever.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
$sim->world({ auto_groups => \1 });
my $node = WawpTest->node('main', sim => $sim);
my $owner = WawpTest->session($node);
my $group = '120363205000000001@g.us';

sub must { my ($session, $sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }

must($owner, q{CREATE ROLE tenant LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE trusted LOGIN; GRANT CREATE ON SCHEMA public TO stranger, trusted;
	GRANT USAGE ON FOREIGN SERVER support TO tenant; GRANT TRIGGER, REFERENCES (id) ON wawp.membership_intent TO trusted});
my $tenant = WawpTest->session($node, 'postgres', user => 'tenant');
my $stranger = WawpTest->session($node, 'postgres', user => 'stranger');
my $trusted = WawpTest->session($node, 'postgres', user => 'trusted');
foreach my $session ($stranger, $trusted)
{
	must($session, q{SET lock_timeout = '1s'; CREATE TEMP TABLE mine (id bigint PRIMARY KEY, month timestamptz); CREATE TEMP TABLE parts (id bigint) PARTITION BY LIST (id);
		CREATE FUNCTION pg_temp.act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'});
}

# ---- everybody's locks are held

must($tenant, "BEGIN; INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '15552050001', 'support'); SELECT count(*) FROM wawp.membership_intent");
must($owner, 'BEGIN; LOCK TABLE wawp.hold, wawp.audit_log IN ACCESS SHARE MODE');

my $trigger = 'CREATE TRIGGER t AFTER INSERT ON wawp.membership_intent FOR EACH ROW EXECUTE FUNCTION pg_temp.act()';
my $column = 'CREATE TABLE public.f (x bigint REFERENCES wawp.membership_intent)';
my $key = 'ALTER TABLE mine ADD FOREIGN KEY (id) REFERENCES wawp.membership_intent (id)';
my @acts = (
	$trigger, $column, $key,
	'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON wawp.membership_intent FOR EACH ROW EXECUTE FUNCTION pg_temp.act()',
	'CREATE TABLE public.f (x bigint, FOREIGN KEY (x) REFERENCES wawp.membership_intent (id))',
	'ALTER TABLE mine ADD COLUMN x bigint REFERENCES wawp.membership_intent (id)',
	'CREATE RULE r AS ON DELETE TO wawp.membership_intent DO INSTEAD NOTHING',
	'CREATE RULE r AS ON DELETE TO wawp.hold DO INSTEAD NOTHING',
	"CREATE TABLE public.f PARTITION OF wawp.audit_log FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')",
	'ALTER TABLE parts ATTACH PARTITION wawp.membership_intent DEFAULT',
	'ALTER TABLE parts DETACH PARTITION wawp.membership_intent',
	'ALTER INDEX wawp.membership_intent_pkey DEPENDS ON EXTENSION plpgsql',
	'ALTER MATERIALIZED VIEW wawp.membership_intent DEPENDS ON EXTENSION plpgsql',
	'DROP SERVER support',
	'DROP SERVER IF EXISTS nothing, support CASCADE',
	'ALTER SERVER support RENAME TO other');
foreach my $sql (@acts)
{
	my $answer = $stranger->ask($sql);
	is($answer->{state}, '42501', "refused: $sql");
	like($answer->{err}, qr/(permission denied for|must be owner of) (table|index|foreign server) /, '... in the words of PostgreSQL');
}
is($tenant->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '15552050002', 'support')")->{state}, '', 'others write');

# ---- who has the right

is($trusted->ask($_)->{state}, '55P03', "waits, with the privilege: $_") foreach $trigger, $key;
must($owner, "COMMIT; SET lock_timeout = '1s'");
is($owner->ask($_)->{state}, '55P03', "waits, as the owner: $_") foreach $acts[6], 'ALTER SERVER support RENAME TO other';
must($tenant, 'COMMIT');
must($owner, 'ALTER SERVER support RENAME TO other; ALTER SERVER other RENAME TO support; CREATE TABLE public.f (x bigint REFERENCES wawp.membership_intent); DROP TABLE public.f');
is($owner->until("SELECT count(*) FROM wawp.membership_intent WHERE state = 'done'", 2), 2, 'all are served');

# ---- what is not ours

my $plain = q{CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int REFERENCES a, x int); ALTER TABLE b ADD FOREIGN KEY (x) REFERENCES a (id);
	CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION act();
	CREATE RULE r AS ON DELETE TO b DO INSTEAD NOTHING; CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)};
is($stranger->ask($plain)->{err}, '', 'tables of their own are theirs');
must($owner, 'CREATE DATABASE plain');
my $there = WawpTest->session($node, 'plain');
is($there->ask("$plain; CREATE FOREIGN DATA WRAPPER other; CREATE SERVER s FOREIGN DATA WRAPPER other; ALTER SERVER s RENAME TO t; DROP SERVER t")->{err}, '', 'nor is anything looked for in a database without wawp');

$_->quit foreach $owner, $tenant, $stranger, $trusted, $there;
done_testing();
