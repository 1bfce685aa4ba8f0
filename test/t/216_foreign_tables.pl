
# Groups as tables: by how many requests and when they are read, as whom, and what comes of what is asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 6000, reads_per_minute => 6000, pace_jitter => 0, concurrency => 4 });
my $wawp = WawpPeople->new($node, $sim);
my $session = WawpTest->session($node);

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); return $answer->{state} ? "$answer->{state} $answer->{err}" : $answer->{out}; }
sub lists { return $sim->ctl(GET => 'count?path=participants$')->{count}; }
sub requests { return $sim->ctl(GET => 'count?path=.')->{count}; }

# Member lists that a statement reads, and what it answers.
sub reads
{
	my ($sql, $expected, $out, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = lists();
	is(ask($sql), $out, $name);
	return is(lists() - $before, $expected, "... by $expected list" . ($expected == 1 ? '' : 's'));
}

my @groups = map { $wawp->group } 1 .. 4;
my ($one, $two, $three, $four) = @groups;
my @people = map { $wawp->person } 1 .. 6;
$sim->world({ groups => { $one => { members => { map { $_ => {} } @people[ 0 .. 2 ] } }, $two => { members => { $people[3] => {} } } } });
ask(<<SQL);
CREATE SCHEMA wa;
IMPORT FOREIGN SCHEMA groups FROM SERVER support INTO wa;
CREATE FOREIGN TABLE team (jid text, role text, complete bool) SERVER support OPTIONS (object 'members', group_jid '$one');
CREATE TABLE course (name text, group_jid text);
INSERT INTO course VALUES ('a', '$one'), ('b', '$two'), ('c', '$one'), ('d', NULL), ('e', 'none');
SQL

# ---- one read of a group and statement

reads('SELECT count(*) FROM team', 1, 4, 'a table of one group');
reads("SELECT count(*) FROM wa.members WHERE group_jid = '$one'", 1, 4, 'a group by a condition');
reads("SELECT count(*) FROM wa.members WHERE group_jid = ANY (ARRAY['$one', '$two', NULL, '$one'])", 2, 6, 'several, named twice');
reads("SELECT count(*) FROM wa.members WHERE group_jid = '$one' OR group_jid = '$two'", 2, 6, 'by OR');
reads("SELECT count(*) FROM wa.members WHERE group_jid = NULL", 0, 0, 'none by NULL');
reads("SELECT count(*) FROM wa.members WHERE group_jid = 'none'", 0, 0, 'none by what is no group');
reads("SELECT count(*) FROM wa.members a JOIN wa.members b USING (group_jid, jid) JOIN team USING (jid) WHERE group_jid = '$one'", 1, 4, 'three scans of one group');
reads('SELECT count(*) FROM course JOIN wa.members USING (group_jid)', 2, 10, 'a join by the other table');
reads("SELECT string_agg((SELECT count(*) FROM wa.members m WHERE m.group_jid = c.group_jid)::text, ',' ORDER BY name) FROM course c", 2, '4,2,4,0,0', 'a subquery for each row');
reads("SELECT count(*) FROM course c LEFT JOIN LATERAL (SELECT jid FROM wa.members m WHERE m.group_jid = c.group_jid LIMIT 1) m ON true", 2, 5, 'LATERAL');
reads("SELECT count(*) FROM wa.members WHERE group_jid IN (SELECT group_jid FROM course)", 2, 6, 'a semijoin');
reads("SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT count(*) FROM generate_series(1, 5) JOIN team ON true", 1, 20, 'rescans');
reads('SELECT count(*) FROM wa.members', 4, 8, 'all groups');
reads('SELECT count(*) FROM (SELECT FROM wa.members LIMIT 2) m', 1, 2, 'of which a LIMIT reads what it needs');
my $all = requests();
reads('SELECT count(*) FROM wa.groups g JOIN wa.members m USING (group_jid)', 4, 8, 'groups and their members');
is(requests() - $all, 5, '... and no more requests, as the list of groups has their sizes');
reads("PREPARE p AS SELECT count(*) FROM wa.members WHERE group_jid = \$1; SET plan_cache_mode = force_generic_plan; EXECUTE p('$one')", 1, 4, 'a generic plan');
reads("EXECUTE p('$two')", 1, 2, 'once more');
reads("BEGIN; DECLARE c CURSOR FOR SELECT jid FROM wa.members WHERE group_jid IN ('$one', '$two'); FETCH 0 FROM c", 0, '', 'a cursor');
reads('MOVE 3 FROM c', 1, '', '... reads when it is fetched from');
reads('MOVE 1 FROM c; MOVE ALL FROM c', 1, '', '... each group once');
reads('COMMIT', 0, '', '... and is closed');

# ---- nothing that does not ask for rows

my $before = requests();
ask('EXPLAIN SELECT * FROM wa.members');
ask("EXPLAIN (VERBOSE, FORMAT JSON) DELETE FROM wa.members WHERE group_jid = '$one'");
my ($code, $out, $err) = $node->psql('postgres', 'ANALYZE team; ANALYZE wa.members; ANALYZE; VACUUM');
like($err, qr/WARNING:  skipping "team" --- cannot analyze this foreign table/, 'ANALYZE warns');
ask('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0');
unlike(ask('EXPLAIN SELECT count(*) FROM wa.members'), qr/Gather/, 'no plan scans a group in parallel');
ask('SELECT count(*) FROM wa.members WHERE false');
is(requests() - $before, 0, 'EXPLAIN, ANALYZE and VACUUM make no request');
is(ask('TRUNCATE team') =~ s/ .*//sr, '0A000', 'TRUNCATE is refused');

# ---- lists that are not complete

sub warned { my ($sql) = @_; my ($code, $out, $err) = $node->psql('postgres', $sql); return "$out " . join ' ', $err =~ /^(?:psql.*?)?((?:WARNING|DETAIL): .*)$/mg; }
is(warned('SELECT count(*) FROM team WHERE complete'), '4 ', 'a complete list');
$sim->world({ groups => { $one => { listed => 2 } } });
is(warned('SELECT count(*) FROM team WHERE complete = false'), qq(2 WARNING:  the member list of group "$one" is not complete DETAIL:  As it was read, the list has 2 of 4 members.),
	'a list that is not');
is(warned("SELECT count(*) FROM wa.members a, wa.members b WHERE a.group_jid = '$one' AND b.group_jid = '$one'") =~ s/(WARNING).*/$1/r, '4 WARNING', 'is warned of once');
is(warned('SELECT count(*) FROM wa.members WHERE NOT complete') =~ s/(WARNING).*/$1/r, '2 WARNING', '... in a scan of all groups, too');
$sim->world({ groups => { $one => { listed => undef, unread => 1 } } });
is(warned('SELECT count(*) FROM team WHERE jid IS NULL AND role IS NULL AND NOT complete') =~ s/.*DETAIL: +//r, 'As it was read, the list has 1 entry that is not understood.',
	'an entry that is not understood is a row');
like(ask('DELETE FROM team WHERE jid IS NULL'), qr/^22023 .*ERROR.*is not understood/s, '... that names nobody');
$sim->world({ groups => { $one => { unread => 0 } } });
$sim->rule({ match => { path => "$one\$" }, times => 1, answer => { status => 500, json => { message => 'broken' } } });
is(warned('SELECT count(*) FROM team WHERE NOT complete') =~ s/.*DETAIL: +//r, 'As it was read, nothing tells how many members there are.', 'nor is one complete of which nobody knows the size');

# ---- sizes that the list of groups has told before

my $left = WawpTest->session($node);
$left->ask('BEGIN; DECLARE c CURSOR FOR SELECT group_jid, complete FROM wa.members; MOVE 1 FROM c');
$sim->leave($two, $people[3]);
sleep 6;
my $told = $left->ask("FETCH ALL FROM c");
like($told->{out}, qr/^$two\|t$/m, 'somebody has left since: the size is read again');
unlike($told->{err} // '', qr/WARNING/, '... and the list is complete');
$left->ask('COMMIT');
$left->quit;
$sim->join($two, $people[3]);

# ---- errors raise

$sim->rule({ match => { path => "$one/participants\$" }, times => 1, answer => { status => 500, json => { message => 'broken' } } });
like(ask('SELECT count(*) FROM team'), qr/^08/, 'a list that cannot be read is an error');
$sim->rule({ match => { path => "$two/participants\$" }, times => 1, answer => { status => 503, json => { message => 'later' } } });
like(ask("SELECT count(*) FROM wa.members WHERE group_jid IN ('$one', '$two')"), qr/^08/, '... also after another one was read');
is(ask("DO \$\$ BEGIN PERFORM * FROM wa.members WHERE group_jid = '120363099999999999-x'; END \$\$; SELECT count(*) FROM team"), 4, 'the session goes on');
$sim->rule({ match => { path => "$one/participants\$" }, times => undef, fault => { gate => \1 } });
like(ask("SET statement_timeout = 300; SELECT count(*) FROM team"), qr/^57014/, 'a statement that waits can be cancelled');
ask('RESET statement_timeout');
$sim->unrule;

# ---- the pace

ask("ALTER SERVER support OPTIONS (SET reads_per_minute '300')");
my $began = time;
reads('SELECT count(DISTINCT group_jid) FROM wa.members', 4, 4, 'all groups');
cmp_ok(time - $began, '>=', 0.4, '... in the pace of reads');
ask("ALTER SERVER support OPTIONS (SET reads_per_minute '20')");
$sim->rule({ match => { path => "/participants\$" }, times => undef, answer => { status => 500, json => { message => 'broken' } } });
($code, $out, $err) = $node->psql('postgres', 'SELECT * FROM wa.members LIMIT 0; SET statement_timeout = 100; SELECT * FROM wa.members');
like($err, qr/NOTICE:  reading the members of 4 groups takes about 12 s/, 'a long scan says so');
$sim->unrule;
ask("ALTER SERVER support OPTIONS (SET reads_per_minute '6000')");

# ---- what changes something reads first

foreach my $change ("DELETE FROM wa.members WHERE group_jid IN ('$one', '$two') AND role = 'member'",
	"INSERT INTO wa.members (group_jid, jid) SELECT '$four', phone_jid FROM wa.members WHERE group_jid IN ('$one', '$two') AND role = 'member'")
{
	my $arrived = lists();
	$sim->rule({ match => { path => "$two/participants\$" }, times => undef, fault => { gate => \1 } });
	$session->send("BEGIN; $change");
	poll_until(sub { lists() == $arrived + 2 });
	is($wawp->ask("SELECT count(*) FROM pg_locks WHERE pid = @{[ $session->pid ]} AND relation = 'wawp.membership_intent'::regclass"), 0,
		'nothing is asked for while a list is waited for: ' . $change =~ s/ .*//sr);
	$sim->unrule;
	is($session->answer->{state}, '', '... and all that is in the end');
	is(ask("SELECT count(*) FROM wawp.membership_intent WHERE xmin::text = pg_current_xact_id()::xid::text"), 4, '... in one transaction');
	ask('ROLLBACK');
}

# ---- what is asked for comes about

my ($new, $boss) = ($wawp->person, $wawp->person);
ask("INSERT INTO wa.members (group_jid, jid, role) VALUES ('$three', '$new', NULL), ('$three', '$boss', 'admin')");
$wawp->until('SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', 0);
is($wawp->is_member($three, $new), 1, 'who is inserted is in the group');
is($sim->world->{groups}{$three}{members}{$boss}{role}, 'admin', '... an admin as one');
is(ask("UPDATE wa.members SET role = 'admin' WHERE group_jid = '$three' AND phone_jid = '$new\@c.us' RETURNING role"), 'admin', 'UPDATE');
is(ask("DELETE FROM wa.members m USING course c WHERE m.group_jid = c.group_jid AND c.name = 'b' AND m.role = 'member' RETURNING m.jid"), "$people[3]\@c.us", 'DELETE with a join');
$wawp->until('SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', 0);
is($sim->world->{groups}{$three}{members}{$new}{role}, 'admin', '... who is promoted is an admin');
is($wawp->is_member($two, $people[3]), 0, '... who is deleted is gone');
is(ask("SELECT DISTINCT origin, requested_by = CURRENT_USER FROM wawp.audit_log WHERE kind = 'sent'"), 'insert|t', '... with the record of a plain INSERT');

# ---- where nothing can be read

ask("CREATE FOREIGN TABLE team (jid text, role text) SERVER support OPTIONS (object 'members', group_jid '$one')");
sub fails { my ($sql) = @_; my ($status, $said, $complaint) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql"); return $complaint =~ /ERROR:  (\w+)/ ? $1 : 'none'; }
$session->quit;
$before = requests();
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', undef);
$node->append_conf('postgresql.conf', 'wal_level = replica');
$node->restart;
is(fails('SELECT * FROM team'), '55000', 'not preloaded: nothing is read');
is(fails("INSERT INTO team (jid) VALUES ('$new')"), '55000', '... or asked for');
is(fails('EXPLAIN DELETE FROM team'), 'none', '... EXPLAIN works');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'wawp'");
$node->stop;
$node->set_standby_mode;
$node->start;
is(fails('SELECT * FROM team'), '25006', 'in recovery nothing is read');
is(fails("INSERT INTO team (jid) VALUES ('$new')"), '25006', '... or asked for');
is(fails('EXPLAIN SELECT * FROM team'), 'none', '... EXPLAIN works');
is(requests() - $before, 0, '... and no request was made');

done_testing();
