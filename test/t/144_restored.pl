
# Rows that a dump, a subscription or an INSERT with a home brings are not served, whatever they are and whatever the
# worker does meanwhile, before wawp_take_over() adopts them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use WawpTest;

my $zero = '00000000-0000-0000-0000-000000000000';
my $sim = WawpTest->sim(latency => 0.2);
$sim->world({ auto_groups => \1 });
my $main = WawpTest->node('main', sim => $sim, init => [ allows_streaming => 'logical' ], options => { adds_per_minute => 0, invites_per_minute => 0 },
	conf => "log_statement = none\nmax_worker_processes = 24\nrestart_after_crash = on\n");
my $session = WawpTest->session($main);
my ($people, $groups) = (0, 0);
my ($looked_in, $looked_for);

sub new_person { return sprintf '1555144%04d', ++$people; }
sub new_group { return sprintf '12036314400000%04d@g.us', ++$groups; }

sub switch_worker
{
	my ($node, $to) = @_;
	$node->append_conf('postgresql.conf', "wawp.worker = $to\n");
	$node->reload;
	poll_until(sub { $node->safe_psql('postgres', 'SHOW wawp.worker') eq $to });
	return;
}

# What was sent since then for another group and about another person than the last of the function below.
sub others_since
{
	my ($count) = @_;
	my @all = $sim->ledger;
	my @since = grep { $_->{path} !~ /check-exists$/ || $_->{query}{phone} ne $looked_for } @all[ $count .. $#all ];
	return join ' ', grep { $_ !~ /session|\Q@{[ $looked_in =~ s{@.*}{}r ]}\E/ } map { "$_->{method} $_->{path}" } @since;
}

# The worker looks at everything, and has done so when a request of its own database is done.
sub worker_looks
{
	my ($node, $dbname, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->reload;
	($looked_in, $looked_for) = (new_group(), new_person());
	my $id = $node->safe_psql($dbname, "SELECT id FROM wawp_request_add('$looked_in', ARRAY['$looked_for'], 'support', verify => false)");
	return becomes_in($node, $dbname, "SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', $name);
}

# The number of different answers in two seconds; the safety poll may add one.
sub changes_in_two_seconds
{
	my ($node, $dbname, $sql) = @_;
	my $watch = WawpTest->session($node, $dbname);
	my %seen;
	for (1 .. 40)
	{
		$seen{ $watch->ask($sql)->{out} } = 1;
		sleep 0.05;
	}
	$watch->quit;
	return scalar keys %seen;
}

# ---- a directory dump, restored by four processes beside a running worker

$session->ask('CREATE ROLE asker; CREATE ROLE leaver; CREATE ROLE stranger LOGIN; CREATE DATABASE source TEMPLATE template0');
$main->safe_psql('source', 'CREATE EXTENSION wawp');
WawpTest->create_server($main, 'support', $sim, { adds_per_minute => 0, invites_per_minute => 0 }, 'source');
$main->safe_psql('source', 'GRANT USAGE ON FOREIGN SERVER support TO asker, leaver');
my @done = map { new_person() } 1 .. 3;
my $group = new_group();
$main->safe_psql('source', "SELECT wawp_request_add('$group', ARRAY['@{[ join q{','}, @done ]}'], 'support', verify => false)");
becomes_in($main, 'source', q{SELECT count(*) FROM wawp.membership_intent WHERE state = 'done'}, 3, 'a source with people');
becomes_in($main, 'source', q{SELECT count(*) FROM wawp.audit_log WHERE kind = 'answered'}, 3, '... and records');
switch_worker($main, 'off');
my @waiting = map { new_person() } 1 .. 60;
for my $i (0 .. 19)
{
	my $three = join q{','}, @waiting[ 3 * $i .. 3 * $i + 2 ];
	$main->safe_psql('source', "SET ROLE asker; SELECT wawp_request_add('@{[ new_group() ]}', ARRAY['$three'], 'support', batch_id => 'b', verify => false)");
}
my $lost = new_person();
$main->safe_psql('source', "SET ROLE leaver; SELECT wawp_request_add('$group', ARRAY['$lost'], 'support', batch_id => 'lost')");
$main->safe_psql('source', "UPDATE wawp.membership SET until = now() + interval '1 day'");
# a note that the worker has not moved to the log, about somebody who is not a contact
$main->safe_psql('source', "INSERT INTO wawp.audit_note (kind, instance, group_jid, jid, reason) SELECT 'cancelled', 'support', '$group', '1555144900' || n || '\@c.us', 'n' FROM generate_series(1, 9) n");
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$main->command_ok([ 'pg_dump', '--format=directory', '--jobs=2', '--file', $dump, $main->connstr('source') ], 'a directory dump');
$session->ask('DROP DATABASE source WITH (FORCE)');
$session->ask('DROP ROLE leaver; ALTER ROLE asker RENAME TO renamed; CREATE ROLE asker');
$session->ask('CREATE DATABASE copy TEMPLATE template0');
$main->safe_psql('copy', 'CREATE EXTENSION wawp');
WawpTest->worker($main, 'copy');
switch_worker($main, 'on');
my $before = $sim->count;
my $waker = IPC::Run::start([ 'bash', '-c', "while psql -XqAt -c 'SELECT pg_reload_conf()' '@{[ $main->connstr('postgres') ]}' > /dev/null; do sleep 0.05; done" ], '<', \'');
$main->command_ok([ 'pg_restore', '--jobs=4', '--no-privileges', '--exit-on-error', '--dbname', $main->connstr('copy'), $dump ], '... is restored by pg_restore -j4, beside a worker that looks');
$waker->kill_kill;
$main->safe_psql('copy', 'GRANT USAGE ON FOREIGN SERVER support TO asker');
my $copy = WawpTest->session($main, 'copy');
is($copy->ask("SELECT count(*), count(*) FILTER (WHERE home = '$zero') FROM wawp.membership_intent")->{out}, '64|64', '... all is there, and not at home');
is($copy->ask('SELECT count(*) FROM wawp.contact')->{out}, 3, '... the worker has made no contacts');
is($copy->ask("SELECT count(*), count(*) FILTER (WHERE home = '$zero') FROM wawp.membership")->{out}, '3|3', '... memberships are not at home either');
worker_looks($main, 'copy', 'what is requested here is served');
is(others_since($before), '', '... and nothing else');
is($copy->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, '... the log goes on behind the restored records');
like($copy->ask('SELECT ok, checked = (SELECT count(*) FROM wawp.audit_log), problem FROM wawp_audit_verify()')->{out}, qr/^t\|t\|after block \d+ another database took over/,
	'... and its seal, which says that another database does');
is($copy->ask(q{SELECT count(*) FROM wawp.audit_note})->{out}, 9, '... restored notes are left alone');
is($copy->ask('SELECT state FROM wawp.worker_status')->{out}, 'serving', '... the worker serves');

my $foreign = q{(SELECT min(id) FROM wawp.membership_intent WHERE batch_id = 'b')};
like($copy->ask("SELECT wawp_explain($foreign)")->{out}, qr/^queued: it was restored or replicated.*wawp_take_over\('support'\)/, 'wawp_explain says so');
is($copy->ask(q{SELECT count(*), sum(queued), sum(due), count(next_at), count(eta), min(held_by) FROM wawp.queue})->{out}, '21|61|0|0|0|not taken over', '... wawp.queue');
is($copy->ask(q{SELECT count(*), min(why) FROM wawp.stuck WHERE jid IS NULL})->{out}, '21|restored or replicated and not served until wawp_take_over(); 1 queued', '... wawp.stuck');
is($copy->ask(q{SELECT total, pct, eta IS NULL FROM wawp.progress WHERE batch_id = 'b'})->{out}, '60|0|t', '... wawp.progress promises nothing');
is($copy->ask('SELECT oldest_due_at IS NULL FROM wawp.worker_status')->{out}, 't', '... nothing is due');
$copy->ask('CREATE ROLE watcher IN ROLE pg_monitor');
is($copy->ask('SET ROLE watcher; SELECT count(*), sum(queued), sum(due), count(eta), min(held_by) FROM wawp.queue')->{out}, '21|61|0|0|not taken over', '... to a monitoring role, too');
is($copy->ask(q{SELECT count(*), min(why) FROM wawp.stuck})->{out}, '21|restored or replicated and not served until wawp_take_over(); 1 queued', '... in wawp.stuck');
is($copy->ask('SELECT count(*) FROM wawp.progress WHERE eta IS NOT NULL AND pct < 100')->{out}, 0, '... and in wawp.progress');
$copy->ask('RESET ROLE');
like($copy->ask("SELECT wawp_resume('support')")->{err}, qr/NOTICE:.*61 intents .*not served.*wawp_take_over/s, 'wawp_resume() mentions them');

# ---- everything that the worker does by itself, for rows of another home

my $welcoming = new_group();
$copy->ask("INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, welcome_delay) VALUES ('support', '$welcoming', 'Hello {names}', '0')");
# restored rows in all states that ask for something: columns as pg_dump writes them
sub restored
{
	my ($state, %more) = @_;
	my $who = new_person();
	my %row = (group_jid => $welcoming, jid => "$who\@c.us", instance => 'support', instance_id => 'ABC123', state => $state, requester => 10,
		requested_by => 'asker', home => 'b6d3c5b8-0000-4000-8000-000000000001', created_at => '2026-01-01', %more);
	return $copy->ask("INSERT INTO wawp.membership_intent (@{[ join ', ', sort keys %row ]}) VALUES (@{[ join ', ', map { qq{'$row{$_}'} } sort keys %row ]}) RETURNING id")->{out};
}
my %id;
$id{sending} = restored('sending');
$id{invitation} = restored('sending', outcome => 'invited');
$id{inviting} = restored('inviting', outcome => 'privacy_blocked', updated_at => '2026-01-01');
$id{verifying} = restored('verifying', outcome => 'accepted', updated_at => '2026-01-01');
$id{invited} = restored('invited', outcome => 'invited', updated_at => '2026-01-01');
$id{asked} = restored('queued', action => 'invite');
$id{expired} = restored('queued', expires_at => '2026-01-02');
$id{parent} = restored('failed', outcome => 'privacy_blocked', settled_at => '2026-11-28');
$id{child} = restored('queued', after => $id{parent});
$id{superseded} = restored('verifying', superseded => 't');
my ($ended, $joined) = map { $copy->ask("INSERT INTO wawp.contact (jid) VALUES ('@{[ new_person() ]}\@c.us') RETURNING contact_id")->{out} } 1, 2;
# even our own home is foreign in a row that arrives
$copy->ask("INSERT INTO wawp.membership (instance, group_jid, contact_id, added_by_us, added_at, seen_at, until, requested_by, requester, home)
	SELECT 'support', '$welcoming', c, true, now(), now(), u, 'asker', 10, wawp._home() FROM (VALUES ($ended, now() - interval '1 hour'), ($joined, NULL)) v(c, u)");
is($copy->ask("SELECT string_agg(DISTINCT home::text || ' ' || requester::regrole, '') FROM wawp.membership WHERE group_jid = '$welcoming'")->{out}, "$zero asker",
	'a membership that brings a home is not at home, its requester is found by name');
my $states = "SELECT string_agg(id || ' ' || state || ' ' || coalesce(outcome::text, ''), ', ' ORDER BY id) FROM wawp.membership_intent WHERE home = '$zero'";
my $rows = $copy->ask($states)->{out};
$before = $sim->count;
worker_looks($main, 'copy', 'rows in all states: what is requested here is served');
is(others_since($before), '', '... nothing is sent or read for them');
kill 'KILL', WawpTest->worker($main, 'copy') or die 'no worker';
poll_until(sub { $copy->ask('SELECT 1')->{gone} });
poll_until(sub { $copy = eval { WawpTest->session($main, 'copy') } }) or die 'no session';
$before = $sim->count;
worker_looks($main, 'copy', '... after a crash, too');
is(others_since($before), '', '... nothing either');
is($copy->ask($states)->{out}, $rows, '... no state changes');
is($copy->ask("SELECT count(*) FROM wawp.membership WHERE group_jid = '$welcoming' AND welcomed_at IS NULL AND (until IS NULL) = (contact_id = $joined)")->{out}, 2,
	'... nor does a membership');
cmp_ok(changes_in_two_seconds($main, 'copy', 'SELECT last_cycle_at FROM wawp.worker_status'), '<=', 2, '... and the worker does not run for them');

# ---- rows of one's own beside them

my ($who, $where) = split /\|/, $copy->ask("SELECT jid, group_jid FROM wawp.membership_intent WHERE id = $foreign")->{out};
my ($own, $created) = split /\|/, $copy->ask("SELECT id, created FROM wawp_request_add('$where', ARRAY['$who'], 'support', verify => false)")->{out};
is($created, 't', 'a request for the same person as a restored one is a new one');
becomes_in($main, 'copy', "SELECT state FROM wawp.membership_intent WHERE id = $own", 'done', '... and served');
is($copy->ask("SELECT wawp_pause('support', '$where')")->{out}, 't', '... paused');
my ($second) = $copy->ask("SELECT jid FROM wawp.membership_intent WHERE group_jid = '$where' AND id > $foreign ORDER BY id LIMIT 1")->{out};
is($copy->ask("SET ROLE asker; SELECT created FROM wawp_request_add('$where', ARRAY['$second'], 'support', verify => false)")->{out}, 't', '... likewise while it waits');
$copy->ask('RESET ROLE');
my $last = $copy->ask("SELECT max(id) FROM wawp.membership_intent WHERE batch_id = 'b'")->{out};
is($copy->ask("SELECT wawp_cancel($last)")->{out}, 't', 'a restored intent can be cancelled');
my $retried = $copy->ask("SELECT wawp_retry($id{parent})");
is($retried->{out}, 't', '... and retried');
like($retried->{err}, qr/NOTICE:.*not served.*wawp_take_over/s, '... which says that it is not served');

# ---- wawp_take_over()

$copy->ask('SET ROLE stranger');
is($copy->ask("SELECT wawp_take_over('support')")->{state}, '42501', 'a plain role may not take over');
$copy->ask('RESET ROLE');
my $null = $copy->ask('SELECT wawp_take_over(NULL)');
is($null->{state}, '22023', 'NULL is no instance');
like($null->{err}, qr/DETAIL:.*'support'/, '... the error lists them');
is($copy->ask("SELECT wawp_take_over('nowhere')")->{state}, '42704', 'nor is one that does not exist');
is($copy->ask("SELECT wawp_take_over('support', '2025-01-01')")->{out}, 0, 'before the first request there is nothing to take over');
my $aside = new_group();
$copy->ask("SELECT wawp_pause('support', '$aside')");
my $asked_here = $copy->ask("SELECT id FROM wawp_request_invite('$aside', ARRAY['@{[ new_person() ]}'], 'support')")->{out};
my $taken = $copy->ask("SELECT wawp_take_over('support')");
is($taken->{out}, 65, 'the rest is taken over');
like($taken->{err}, qr/NOTICE:.*1 without a role, 1 asked for again, 3 invitations in doubt/s, '... with a notice of what is not');
is($copy->ask("SELECT count(*) FROM wawp.membership_intent WHERE home <> wawp._home()")->{out}, 0, '... nothing is foreign any more');
is($copy->ask("SELECT state, detail FROM wawp.membership_intent WHERE batch_id = 'lost'")->{out}, 'failed|taken over, but there is no role "leaver" to send it as',
	'... what a role asked for that does not exist here has failed');
is($copy->ask("SELECT string_agg(state || ' ' || outcome, ', ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($id{invitation}, $id{inviting}, $id{asked})")->{out},
	'failed unknown_result, failed unknown_result, failed unknown_result', '... invitations are not repeated');
is($copy->ask("SELECT count(*) FROM wawp.stuck WHERE id IN ($id{invitation}, $id{inviting}, $id{asked})")->{out}, 3, '... and wawp.stuck shows them');
$copy->ask("SELECT wawp_resume('support', '$where')");
becomes_in($main, 'copy', "SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'b' AND state = 'done'", 58, '... the queue is served')
  || diag($main->safe_psql('copy', "SELECT id, state, outcome, detail FROM wawp.membership_intent WHERE batch_id = 'b' AND state <> 'done'"));
is($copy->ask("SELECT detail FROM wawp.membership_intent WHERE batch_id = 'b' AND state = 'cancelled' AND jid = '$second'")->{out}, 'the same was asked for here before it was taken over',
	'... but for what was asked for again');
is($copy->ask("SELECT DISTINCT requester::regrole FROM wawp.membership_intent WHERE batch_id = 'b'")->{out}, 'asker', '... as the role of that name');
my %times;
$times{$_}++ foreach map { /^add (\d+)/ ? $1 : () } $sim->people;
is(join(' ', grep { ($times{$_} // 0) != 1 } @waiting[ 1 .. 58 ]), '', '... each person is added once');
becomes_in($main, 'copy', "SELECT state FROM wawp.membership_intent WHERE id = $id{sending}", 'done', '... what was on its way is looked at')
  || diag($copy->ask("SELECT wawp_explain($id{sending})")->{out});
becomes_in($main, 'copy', "SELECT state || ' ' || detail FROM wawp.membership_intent WHERE id = $id{expired}", 'cancelled expired', '... what had expired is cancelled');
becomes_in($main, 'copy', "SELECT count(*) FROM wawp.membership_intent WHERE origin = 'until'", 1, '... a membership whose time is over ends');
is(scalar(grep { $_->{path} =~ /sendText/ } $sim->ledger), 0, '... nobody is welcomed or invited');
becomes_in($main, 'copy', q{SELECT count(*) FROM wawp.audit_note}, 0, '... restored notes go to the log');
like($copy->ask(q{SELECT reason FROM wawp.audit_log WHERE kind = 'policy' AND reason LIKE 'taken over%' ORDER BY id DESC LIMIT 1})->{out}, qr/^taken over: 65 intents/,
	'... which has a record of it');
is($copy->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0, '... and no gap');
is($copy->ask("SELECT state FROM wawp.membership_intent WHERE id = $asked_here")->{out}, 'queued', '... an invitation that was asked for here is not in doubt');
is($copy->ask("SELECT count(doubtful_before) FROM wawp.identity")->{out}, 0, '... nor is anything else');
is($copy->ask("SELECT count(*) FILTER (WHERE requested_from ? 'taken_over'), count(*) FILTER (WHERE id = $asked_here AND requested_from ? 'taken_over')
	FROM wawp.membership_intent WHERE batch_id = 'b' AND state = 'done' OR id = $asked_here")->{out}, '58|0', '... but what was taken over is marked');
is($copy->ask("SELECT wawp_cancel($asked_here)")->{out}, 't', '... it can be cancelled');
is($copy->ask("SELECT wawp_take_over('support')")->{out}, 0, 'nothing is left to take over');
$copy->quit;

# ---- a subscription

my $there = WawpTest->node('there', sim => $sim, options => { adds_per_minute => 0 }, conf => "log_statement = none\n");
$session = WawpTest->session($main);
$session->ask('CREATE DATABASE published TEMPLATE template0');
$main->safe_psql('published', 'CREATE EXTENSION wawp');
WawpTest->create_server($main, 'support', $sim, { adds_per_minute => 0 }, 'published');
$main->safe_psql('published', 'GRANT USAGE ON FOREIGN SERVER support TO asker');
# the role's oid is another's there
$there->safe_psql('postgres', 'CREATE ROLE other; CREATE ROLE asker; CREATE DATABASE subscribed TEMPLATE template0');
my $first = $main->safe_psql('published', "SET ROLE asker; SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['@{[ new_person() ]}'], 'support', verify => false)");
becomes_in($main, 'published', "SELECT state FROM wawp.membership_intent WHERE id = $first", 'done', 'a publisher serves');
$main->command_ok([ 'pg_dump', '--schema-only', '--file', "$dump.schema", $main->connstr('published') ], '... its schema is dumped');
$there->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.schema", $there->connstr('subscribed') ], '... and restored in another cluster');
WawpTest->worker($there, 'subscribed');
switch_worker($main, 'off');
$main->safe_psql('published', 'CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true)');
my @published = map { new_person() } 1 .. 5;
my $batch = "SET ROLE asker; SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['%s'], 'support', verify => false, batch_id => 'p')";
$main->safe_psql('published', sprintf $batch, join q{','}, @published[ 0, 1 ]);
$there->safe_psql('subscribed', "CREATE SUBSCRIPTION s CONNECTION '@{[ $main->connstr('published') =~ s{'}{''}gr ]}' PUBLICATION p");
$main->safe_psql('published', sprintf $batch, join q{','}, @published[ 2, 3, 4 ]);
becomes_in($there, 'subscribed', q{SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'}, 5, 'a subscription copies and applies intents');
is($there->safe_psql('subscribed', "SELECT DISTINCT home, requester::regrole FROM wawp.membership_intent"), "$zero|asker", '... not at home, their requester by name');
$before = $sim->count;
$there->reload;
sleep 0.5;
is($sim->count, $before, '... which are not sent');
my $update = q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'p' AND state = 'done'};
switch_worker($main, 'on');
becomes_in($main, 'published', $update, 5, 'the publisher serves them');
becomes_in($there, 'subscribed', $update, 5, '... and their new states are applied');
is($there->safe_psql('subscribed', "SELECT DISTINCT home, requester::regrole FROM wawp.membership_intent"), "$zero|asker", '... still not at home, their requester by name');
becomes_in($there, 'subscribed', "SELECT DISTINCT home, requester::regrole FROM wawp.membership", "$zero|asker", '... nor are memberships');
switch_worker($main, 'off');
my $late = new_person();
$main->safe_psql('published', sprintf $batch, $late);
becomes_in($there, 'subscribed', q{SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'}, 1, 'another one is applied');
is($there->safe_psql('subscribed', 'SELECT state FROM wawp.worker_status'), 'serving', '... the subscriber is no copy');
$there->safe_psql('subscribed', "ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s");
is($there->safe_psql('subscribed', "SELECT wawp_take_over('support')"), 1, '... and taken over');
becomes_in($there, 'subscribed', q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'p' AND state = 'done'}, 6, '... it is served there');
%times = ();
$times{$_}++ foreach map { /^add (\d+)/ ? $1 : () } $sim->people;
is(join(' ', map { $times{$_} // 0 } @published, $late), '1 1 1 1 1 1', '... each person is added once');

# ---- values that only a row which arrives can have, and tables that only a superuser can take away

my @odd = ('"soon"', '1e300', '-1', '[]', 'null', '1780000000');
my $odd = join ', ', map { "('@{[ new_group() ]}', '@{[ new_person() ]}', 'support', 'ABC123', 'asker', '$zero', 'odd', '{\"login\": \"asker\", \"asked_again\": $_}')" } @odd;
$there->safe_psql('subscribed', "SELECT setval('wawp.membership_intent_id_seq', 1000), setval('wawp.contact_contact_id_seq', 1000)");
$there->safe_psql('subscribed', "INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requested_by, home, batch_id, requested_from) VALUES $odd");
is($there->safe_psql('subscribed', "SELECT wawp_take_over('support')"), scalar @odd, 'rows that were asked for again at what is no time are taken over');
becomes_in($there, 'subscribed', q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'odd' AND state = 'done'}, scalar @odd, '... and served');
my $alone = WawpTest->session($there, 'subscribed');
$alone->ask('ALTER EXTENSION wawp DROP TABLE wawp.suppression; DROP TABLE wawp.suppression');
my $answer = $alone->ask("SELECT wawp_suppress('@{[ new_person() ]}', reason => 'asked us to')");
is($answer->{state}, '42P01', 'a table of the extension is missing: undefined_table');
like($answer->{err}, qr/relation "wawp\.suppression" does not exist/, '... named');
$alone->quit;

done_testing();
