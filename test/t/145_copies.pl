
# Physical copies of a database send nothing and leave the original alone: base backups, recovery to a point in time,
# another site, a database made from one with a queue.  Restarts and crashes make no copy.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $main = WawpTest->node('main', sim => $sim, init => [ allows_streaming => 1 ],
	conf => "log_statement = none\nrestart_after_crash = on\nmax_wal_senders = 4\n");
my $people = 0;

sub new_person { return sprintf '1555145%04d', ++$people; }

sub enqueue
{
	my ($node, $who, $dbname) = @_;
	return $node->safe_psql($dbname // 'postgres', "SELECT id FROM wawp_request_add('$group', ARRAY['$who'], 'support')");
}

# Polls until a query answers as expected, in a node that may be starting.
sub becomes
{
	my ($node, $sql, $expected, $name, $dbname) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes_in($node, $dbname // 'postgres', $sql, $expected, $name);
}

my $state = 'SELECT state FROM wawp.worker_status';

# The queue is served: a new request is done.
sub serves
{
	my ($node, $name, $dbname) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $id = enqueue($node, new_person(), $dbname);
	return becomes($node, "SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', $name, $dbname)
	  || diag($node->safe_psql($dbname // 'postgres', "SELECT wawp_explain($id) || (SELECT state FROM wawp.worker_status)"));
}

# Nothing leaves from a copy, and it says so.
sub sends_nothing
{
	my ($node, $name, $dbname) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $sim->count;
	becomes($node, $state, 'copy', "$name: a copy", $dbname);
	sleep 0.3;
	return is($sim->count, $before, "$name: nothing is sent or read");
}

sub switch_worker
{
	my ($to) = @_;
	$main->append_conf('postgresql.conf', "wawp.worker = $to\n");
	$main->reload;
	return becomes($main, 'SHOW wawp.worker', $to, "the original's worker: $to");
}

sub take_over
{
	my ($node, $name, $dbname) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql($dbname // 'postgres', q{SELECT wawp_take_over('support')});
	becomes($node, $state, 'serving', "$name: taken over", $dbname);
	return serves($node, "$name: served", $dbname);
}

# ---- the original

my $mark = 'SELECT mark FROM wawp.identity';
my $file = $main->data_dir . '/pg_replslot/wawp.' . $main->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
serves($main, 'the original is served');
like(slurp_file($file), qr/\Amark \Q@{[ $main->safe_psql('postgres', $mark) ]}\E\ninode \d+\nborn \d+\n\z/, 'its mark lies in a file as well');
is($main->safe_psql('postgres', "SELECT count(*) FROM unnest((SELECT extconfig FROM pg_extension WHERE extname = 'wawp')) c WHERE c = 'wawp.identity'::regclass"),
	0, '... and not in a dump');
my $written = slurp_file($file);
$main->restart;
serves($main, 'restarted, it is served');
$main->stop('immediate');
$main->start;
serves($main, 'stopped at once, it is served');
kill 'KILL', WawpTest->worker($main) or die 'no worker';
poll_until(sub { $main->psql('postgres', 'SELECT 1') == 0 });
serves($main, 'crashed, it is served');
is(slurp_file($file), $written, '... by the same mark');

# A statement that is rolled back leaves a row and a file that fit.
$main->safe_psql('postgres', 'BEGIN; DROP EXTENSION wawp CASCADE; CREATE EXTENSION wawp; ROLLBACK');
serves($main, 'the extension dropped and created, rolled back: served');
is($main->safe_psql('postgres', $state), 'serving', '... as the original');
$main->safe_psql('postgres', 'DROP EXTENSION wawp CASCADE; CREATE EXTENSION wawp');
WawpTest->create_server($main, 'support', $sim, { invites_per_minute => 0 });
serves($main, 'dropped and created: served');

# ---- a base backup, started as it is beside the original

switch_worker('off');
my $waiting = enqueue($main, my $both = new_person());
$sim->world({ people => { map { $_ => { privacy => 'nobody' } } my ($blocked, $anew) = (new_person(), new_person()) } });
my $refused = enqueue($main, $blocked);
$main->backup('base');
switch_worker('on');
becomes($main, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done', 'what was queued is done in the original');
becomes($main, "SELECT state FROM wawp.membership_intent WHERE id = $refused", 'invited', '... and who cannot be added is invited');
switch_worker('off');    # it would look whether they have joined, while the copy's requests are counted

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($main, 'base');
$copy->append_conf('postgresql.conf', "wawp.worker = on\n");
$copy->start;
sends_nothing($copy, 'a base backup');
is($copy->safe_psql('postgres', 'SELECT held_by FROM wawp.instance'), 'copy', '... wawp.instance says so');
like($copy->safe_psql('postgres', "SELECT wawp_explain($waiting)"), qr/this database is a copy.*wawp_take_over/, '... and wawp_explain');
like($copy->safe_psql('postgres', 'SELECT why FROM wawp.stuck WHERE id IS NULL'), qr/copy/, '... and wawp.stuck');
my $session = WawpTest->session($copy);
my $answer = $session->ask("SELECT * FROM wawp_add_participants('$group', ARRAY['15551450000'], 'support')");
is($answer->{state}, '55000', 'a call by hand is refused');
like($answer->{err}, qr/wawp_take_over/, '... with the way out');
my $later = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['15551450001'], 'support')")->{out};
is($session->ask("SELECT state, home FROM wawp.membership_intent WHERE id = $later")->{out},
	'queued|00000000-0000-0000-0000-000000000000', 'a request is taken, and waits');
$session->quit;
my $written_by_copy = 'SELECT md5(string_agg(t::text, $$ $$)) FROM (SELECT i::text FROM wawp.membership_intent i UNION ALL SELECT a::text FROM wawp.audit_log a UNION ALL SELECT h::text FROM wawp.hold h ORDER BY 1) t';
my $contents = $copy->safe_psql('postgres', $written_by_copy);
$copy->restart;
sends_nothing($copy, 'started again');
is($copy->safe_psql('postgres', $written_by_copy), $contents, '... and nothing is written');
is(scalar(my @said = slurp_file($copy->logfile) =~ /this database is a copy, nothing is sent/g), 2, '... the log says so once a start');
switch_worker('on');
serves($main, 'the original goes on');
take_over($copy, 'the base backup');
becomes($copy, "SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($waiting, $later)", 'done done',
	'... what waited is done');
is(scalar(grep { $_ eq "add $both" } $sim->people), 1, '... and nobody was added twice');
sub invitations { my ($who) = @_; return scalar(my @sent = grep { $_->{body}{chatId} =~ /^$who\@/ } $sim->ledger('/send/text$')); }
my $outcome = 'SELECT state || $$ $$ || outcome FROM wawp.membership_intent WHERE id =';
becomes($copy, "$outcome $refused", 'failed unknown_result', '... who cannot be added, and may have been invited, is not invited');
like($copy->safe_psql('postgres', "SELECT why FROM wawp.stuck WHERE id = $refused"), qr/taken over.*wawp_retry/, '... which is in wawp.stuck');
is(invitations($blocked), 1, '... one invitation has arrived');
becomes($copy, "$outcome @{[ enqueue($copy, $anew) ]}", 'invited invited', 'who is asked for now, and cannot be added, is invited');
is($copy->safe_psql('postgres', "SELECT wawp_retry($refused)"), 't', 'wawp_retry()');
becomes($copy, "$outcome $refused", 'invited invited', '... invites again, since somebody wants that');
is(invitations($blocked), 2, '... once');
$copy->restart;
serves($copy, 'the base backup, restarted after that');
is($copy->safe_psql('postgres', $state), 'serving', '... is an original');
serves($main, 'the original goes on');
$copy->stop('immediate');

# ---- recovery to a point in time

my $point = PostgreSQL::Test::Cluster->new('point');
$point->init_from_backup($main, 'base');
$point->append_conf('postgresql.conf', "wawp.worker = on\nrestore_command = 'false'\nrecovery_target = 'immediate'\nrecovery_target_action = 'promote'\n");
append_to_file($point->data_dir . '/recovery.signal', '');
$point->start;
$point->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
sends_nothing($point, 'recovery to a point in time');
$point->restart;
sends_nothing($point, '... started again');
$point->stop('immediate');

# In place, by a recovery.signal that was left over.
$main->append_conf('postgresql.conf', "restore_command = 'false'\n");
$main->stop;
append_to_file($main->data_dir . '/recovery.signal', '');
$main->start;
$main->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
sends_nothing($main, 'recovery in place');
take_over($main, 'recovery in place');

# ---- another site

$main->append_conf('postgresql.conf', "wawp.site = 'staging'\n");
$main->restart;
sends_nothing($main, 'another site');
$main->append_conf('postgresql.conf', "wawp.site = ''\n");
$main->restart;
serves($main, 'the site as before');
$main->append_conf('postgresql.conf', "wawp.site = 'here'\n");
$main->restart;
take_over($main, 'a site that is to stay');
$main->restart;
serves($main, '... restarted');

# ---- the files copied

$main->stop;
my $moved = PostgreSQL::Test::Cluster->new('moved');
PostgreSQL::Test::RecursiveCopy::copypath($main->data_dir, $moved->data_dir);
chmod 0700, $moved->data_dir;
$moved->append_conf('postgresql.conf', 'port = ' . $moved->port . "\n");
$main->start;
$moved->start;
sends_nothing($moved, 'a copy of the files');
serves($main, 'beside it the original goes on');
$moved->stop('immediate');

# ---- a database made from another

# an open invitation is a live row
$main->safe_psql('postgres', "DELETE FROM wawp.membership_intent WHERE id = $refused");
$main->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE postgres');
serves($main, 'made from a database without live rows: served', 'plain');
is($main->safe_psql('plain', 'SELECT count(DISTINCT home) FROM wawp.identity'), 2, '... with a home of its own');
switch_worker('off');
$waiting = enqueue($main, new_person());
$main->safe_psql('postgres', 'CREATE DATABASE clone TEMPLATE postgres');
switch_worker('on');
becomes($main, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done', 'the original serves its queue');
sends_nothing($main, 'made from a database with live rows', 'clone');
take_over($main, '... the clone', 'clone');

done_testing();
