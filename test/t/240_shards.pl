
# More than one machine: requests by a router's foreign partitions and by PL/Proxy reach the shard that has the instance,
# views show all shards, and a shard that is away loses nothing.  doc/more-machines.md says all this.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpShards;
use WawpTest;

plan skip_all => 'postgres_fdw is not installed' unless WawpTest->has_extension('postgres_fdw');

my $sim = WawpTest->sim;
my $shards = WawpShards->new($sim, a => { support => {} }, b => { sales => {} });
my ($router, %shard) = ($shards->router, support => $shards->a, sales => $shards->b);
my ($app, $watcher) = map { $shards->session($_) } 'app', 'watcher';
my $group = '120363024000000001@g.us';
my $people = 0;
my $started = time;

sub new_person { return sprintf '1555240%04d', ++$people; }
sub insert { my ($instance, $more) = @_; return "INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '@{[ new_person() ]}', '$instance') " . ($more // ''); }
sub on { my ($instance, $sql) = @_; return $shard{$instance}->safe_psql('postgres', $sql); }

# An INSERT that is refused: how, and what it says.
sub refused
{
	my ($sql, $state, $says, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $app->ask($sql);
	is($answer->{state}, $state, "$name: $state") || diag($answer->{err});
	return like($answer->{err}, $says, '... clearly');
}

# ---- the router's types and columns are the shards'

my $labels = q{SELECT string_agg(t.typname || ' ' || e.enumlabel, ', ' ORDER BY t.typname, e.enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
	WHERE t.typnamespace = 'wawp'::regnamespace};
is($router->safe_psql('postgres', $labels), on('support', $labels), 'the router has the types of the shards');
my $columns = q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'wawp.membership_intent'::regclass AND attnum > 0};
is($router->safe_psql('postgres', $columns), on('support', $columns), '... and the columns');

# ---- INSERT

foreach my $instance ('support', 'sales')
{
	my $id = $app->ask(insert($instance, 'RETURNING id'))->{out};
	is($id % 64, $instance eq 'support' ? 1 : 2, "an INSERT for $instance: its id is one of that shard");
	becomes_in($shard{$instance}, 'postgres', "SELECT state || ' ' || requested_by FROM wawp.membership_intent WHERE id = $id", 'done app', '... where it is served');
	is($app->ask("SELECT state || ' ' || instance FROM wawp.membership_intent WHERE id = $id")->{out}, "done $instance", '... and read from the router');
}
is(on('support', q{SELECT requested_from ->> 'application' FROM wawp.membership_intent LIMIT 1}), 'router app 240_shards.pl', 'the shard records who asked the router');

my @columns = map { s/ .*//r } split /, /, $router->safe_psql('postgres', $columns);
my %given = (group_jid => "'$group'", jid => "'" . new_person() . "'", instance => "'sales'", reason => "'by an ORM'");
my $row = $app->ask("INSERT INTO wawp.membership_intent (@{[ join ', ', @columns ]}) VALUES (@{[ join ', ', map { $given{$_} // 'NULL' } @columns ]})
	RETURNING id IS NOT NULL, state, requested_by, home IS NOT NULL, attempts, reason");
is($row->{out}, 't|queued|app|t|0|by an ORM', 'an INSERT that names every column returns what the shard has filled in') || diag($row->{err});
(my $defaults = "INSERT INTO wawp.membership_intent (@{[ join ', ', @columns ]}) VALUES (@{[ join ', ', map { $given{$_} // 'DEFAULT' } @columns ]}) RETURNING state") =~ s/155524\d+/new_person()/e;
is($app->ask($defaults)->{out}, 'queued', '... and so does one with DEFAULT');

my $many = 300;
my $select = "INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
	SELECT '1203630240000001' || lpad((i % 20)::text, 2, '0') || '\@g.us', '15552410' || lpad(i::text, 3, '0'), CASE WHEN i % 2 = 0 THEN 'support' ELSE 'sales' END, 'many', false
	FROM generate_series(1, $many) i";
is($app->ask($select)->{state}, '', 'INSERT ... SELECT for both');
becomes_in($_, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'many' AND state = 'done'}, $many / 2, '... half of them on each, and done') foreach $shards->a, $shards->b;
my %added;
$added{$_}++ foreach grep { /^add 1555241/ } $sim->people;
is(keys %added, $many, '... everybody is added');
is(scalar(grep { $_ != 1 } values %added), 0, '... once');

my @copied = map { new_person() } 1 .. 2;
is($app->ask("COPY wawp.membership_intent (group_jid, jid, instance, batch_id) FROM STDIN (DELIMITER ',');\n$group,$copied[0],support,copied\n$group,$copied[1],sales,copied\n\\.\n")->{state}, '', 'COPY FROM');
becomes_in($shard{$_}, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'copied' AND state = 'done'}, 1, "... one is for $_") foreach sort keys %shard;

# ---- the same again

on($_, "SELECT wawp_pause('$_')") foreach keys %shard;
my $again = insert('sales');
is($app->ask($again)->{state}, '', 'a request that waits');
refused($again, '23505', qr/duplicate key value/, 'the same again');
my $nothing = $app->ask("$again ON CONFLICT DO NOTHING RETURNING id");
is("$nothing->{state}|$nothing->{out}", '|', 'ON CONFLICT DO NOTHING leaves it at that');
refused("$again ON CONFLICT (id) DO NOTHING", '42P10', qr/no unique or exclusion constraint/, 'ON CONFLICT with a target');

# ---- errors

refused("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', 'nobody', 'sales')", '22023', qr/invalid person "nobody".*refused because/s, 'no number');
refused("$select RETURNING 1" =~ s/'15552410' \|\|/CASE WHEN i = 7 THEN 'x' ELSE '15552430' END ||/r, '22023', qr/invalid person/, 'one bad row of many');
is(on($_, q{SELECT count(*) FROM wawp.membership_intent WHERE jid LIKE '1555243%'}), 0, "... leaves nothing on the shard of $_") foreach sort keys %shard;
refused(insert('nowhere'), '23514', qr/no partition of relation "membership_intent".*\(instance\) = \(nowhere\)/s, 'an instance that no shard has');
refused("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('$group', '15552400001')", '23514', qr/\(instance\) = \(null\)/, 'none');
$shards->instance('a', 'private', { instance_id => 'SUPPORT' });
$shards->place('private', 'a');
$router->safe_psql('postgres', 'CALL wawp.shard_apply()');
refused(insert('private'), '42501', qr/permission denied for foreign server private/, 'one without USAGE');
refused("UPDATE wawp.membership_intent SET priority = 1", '42501', qr/permission denied/, 'an UPDATE');
$router->safe_psql('postgres', q{CREATE FOREIGN TABLE everything_else PARTITION OF wawp.membership_intent DEFAULT SERVER shard_a OPTIONS (schema_name 'wawp', table_name 'membership_intent')});
refused(insert('nowhere'), '42704', qr/"nowhere"/, 'a default partition on a shard: that shard refuses');
$router->safe_psql('postgres', 'DROP FOREIGN TABLE everything_else');

# ---- views over all shards

my $failed = on('sales', "SELECT id FROM wawp_request_invite('$group', ARRAY['15552409999'], 'sales', batch_id => 'many')");
on('sales', "UPDATE wawp.membership_intent SET state = 'failed', outcome = 'unknown_result', settled_at = now() WHERE id = $failed");
$app->ask(insert('support'));
is($watcher->ask('SELECT shard, instance, queued > 0, held_by FROM wawp.queue WHERE group_jid = $$' . $group . '$$ ORDER BY 1')->{out},
	"shard_a|support|t|paused\nshard_b|sales|t|paused", 'wawp.queue has the queues of both');
is($app->ask(q{SELECT sum(total), sum(done), string_agg(shard, ' ' ORDER BY shard) FROM wawp.progress WHERE batch_id = 'many'})->{out}, "$many|$many|shard_a shard_b", 'wawp.progress adds up');
is($watcher->ask(q{SELECT sum(total), sum(done), min(batch_id) FROM wawp.progress})->{out}, ($many + 3) . '|' . ($many + 2) . '|batch 1', '... also of batches whose names one may not see');
is($watcher->ask("SELECT shard, instance, outcome FROM wawp.stuck WHERE id = $failed")->{out}, 'shard_b|sales|unknown_result', 'wawp.stuck says on which shard');
is($watcher->ask(q{SELECT count(jid) FROM wawp.stuck})->{out}, 0, '... and no numbers to who may not see them');
is($watcher->ask(q{SELECT string_agg(DISTINCT labels ->> 'shard', ' ') FROM wawp.metrics WHERE name = (SELECT min(name) FROM wawp.metrics)})->{out}, 'shard_a shard_b', 'wawp.metrics labels the shard');
is($app->ask('SELECT count(*) FROM wawp.metrics')->{state}, '42501', '... for a monitoring role only');
is($watcher->ask("SELECT count(*) FROM wawp.membership_intent")->{state}, '42501', '... which may not read the queue itself');
like($watcher->ask("SELECT string_agg(x, ' ') FROM (SELECT DISTINCT (jsonb_each_text(labels)).value x FROM wawp.metrics) l")->{out}, qr/sales.*shard_a|shard_a.*sales/s, '... and of which instance');

# ---- a transaction on two shards

my $waiting = q{SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'};
my %before = map { $_ => on($_, $waiting) } keys %shard;
$app->ask("BEGIN; @{[ insert('support') ]}; @{[ insert('sales') ]}; ROLLBACK");
is(on($_, $waiting), $before{$_}, "a ROLLBACK leaves nothing on the shard of $_") foreach sort keys %shard;
my $half = 0;
foreach my $lost (sort keys %shard)
{
	my ($other) = grep { $_ ne $lost } keys %shard;
	$app->ask("BEGIN; @{[ insert('support') ]}; @{[ insert('sales') ]}");
	on($lost, q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'app'});
	my $commit = $app->ask('COMMIT');
	isnt($commit->{state}, '', "COMMIT fails when the connection to the shard of $lost is gone");
	is(on($lost, $waiting), $before{$lost}, '... where nothing is');
	$half += on($other, $waiting) - $before{$other};
	$before{$other} = on($other, $waiting);
	$app->ask('ROLLBACK');
}
is($half, 1, 'a commit on two shards is not atomic: one of these was kept on the other');

# ---- a shard that is away

$shards->b->stop('fast');
refused(insert('sales'), '08001', qr/could not connect to server "shard_b"/, 'a shard that is away');
is($app->ask(insert('support', 'RETURNING id IS NOT NULL'))->{out}, 't', '... is in no way of the other');
is($watcher->ask('SELECT count(*) FROM wawp.queue')->{state}, '08001', '... a view over all fails');
is($watcher->ask('SELECT count(*) FROM shard_a.queue')->{out}, 1, '... one over the other does not');
$shards->b->start;
is($app->ask(insert('sales', 'RETURNING state'))->{out}, 'queued', '... and is back');
my %waits = map { $_ => on($_, $waiting) } keys %shard;
on($_, "SELECT wawp_resume('$_')") foreach keys %shard;
becomes_in($shard{$_}, 'postgres', q{SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL}, 0, "what waited for $_ is served") foreach sort keys %shard;

# ---- functions, by PL/Proxy

SKIP:
{
	skip 'PL/Proxy is not installed for this PostgreSQL', 19 unless WawpTest->has_extension('plproxy');
	$shards->plproxy;
	foreach my $instance ('support', 'sales')
	{
		my $who = new_person();
		my $requests = $sim->count('participants/add$');
		is($app->ask("SELECT outcome, verified FROM wawp_add_participants('$group', ARRAY['$who'], '$instance', verify => true)")->{out}, 'added|t', "wawp_add_participants() for $instance");
		is(on($instance, "SELECT count(*) FROM wawp.audit WHERE jid = '$who\@c.us' AND kind = 'sent' AND login_role = 'app'"), 1, '... is recorded on its shard');
		is($sim->count('participants/add$'), $requests + 1, '... and sent once');
	}
	is($app->ask("SELECT count(*) > 0 FROM wawp_participants('$group', 'sales')")->{out}, 't', 'a member list');
	on('sales', q{SELECT wawp_pause('sales')});
	my ($id, $created) = split /\|/, $app->ask("BEGIN; SELECT id, created FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], 'sales', batch_id => 'p'); ROLLBACK")->{out};
	is($created, 't', 'wawp_request_add()');
	is(on('sales', "SELECT state FROM wawp.membership_intent WHERE id = $id"), 'queued', '... is a transaction of the shard: ROLLBACK on the router does not undo it');
	is($app->ask("SELECT string_agg(c::text, ' ' ORDER BY c) FROM wawp_cancel($id) c")->{out}, 'false true', '... wawp_cancel() finds it');
	refused("SELECT wawp_request_add('$group', ARRAY['15552400001'], 'nowhere')", '42704', qr/no shard has instance "nowhere"/, 'an instance that no shard has');
	refused("SELECT wawp_request_add('no group', ARRAY['15552400001'], 'sales')", '22023', qr/invalid group JID "no group"/, 'an error of the shard');
	refused("SELECT wawp_suppress('15552400001')", '42501', qr/permission denied for function wawp_suppress/, 'the opt-out list, without the right');
	on($_, q{GRANT EXECUTE ON FUNCTION wawp_suppress(text, text, text, timestamptz) TO app}) foreach keys %shard;
	is($app->ask(q{SELECT bool_and(s) FROM wawp_suppress('15552400001', reason => 'asked us') s})->{out}, 't', '... with it');
	is(on($_, q{SELECT reason FROM wawp.suppression WHERE jid = '15552400001@c.us'}), 'asked us', "... on the shard of $_") foreach sort keys %shard;
}

unlike(slurp_file($_->logfile), qr/PANIC|was terminated|TRAP/, 'no crash') foreach $shards->a, $shards->b;
$_->quit foreach $app, $watcher;
note(sprintf '%d s', time - $started);

done_testing();
