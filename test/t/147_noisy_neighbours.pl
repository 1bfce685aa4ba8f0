
# A drain beside tools and settings that a database may have: everybody is served once, the audit log is complete
# and nothing fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $conf = "log_statement = none\nwal_level = logical\nmax_worker_processes = 24\n";
my $bindir = do { my $config = $ENV{PG_CONFIG} // 'pg_config'; chomp(my $dir = `$config --bindir`); $dir };
my ($node, $sim, $session, $logged, $people, $groups) = (undef, undef, undef, 0, 0, 0);

sub cluster
{
	my ($name, $more) = @_;
	$node->stop if $node;
	$sim = WawpTest->sim;
	$sim->world({ auto_groups => \1 });
	$node = WawpTest->node($name, sim => $sim, options => { adds_per_minute => 0, concurrency => 4 }, conf => $conf . ($more // ''));
	$node->safe_psql('postgres', 'CREATE ROLE neighbour LOGIN; GRANT USAGE ON FOREIGN SERVER support TO neighbour; GRANT CREATE ON SCHEMA public TO neighbour');
	$logged = 0;
	return;
}

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }

# A session that has the settings of its database, except those that would end it.
sub connect_again
{
	$session->quit if $session;
	$session = WawpTest->session($node);
	ask('SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0; SET default_transaction_read_only = off; SET search_path = public');
	return;
}

# A worker that has the settings of its database.
sub new_worker
{
	my $before = WawpTest->worker($node);
	ask("SELECT pg_terminate_backend($before)");
	poll_until(sub { WawpTest->worker($node) != $before }) or die "no new worker\n";
	return;
}

# What was logged since the last call and is no information.
sub trouble_since
{
	my $log = slurp_file($node->logfile, $logged);
	$logged += length $log;
	return join "\n", grep { /(ERROR|WARNING|FATAL|PANIC): / && !/terminating (connection|background worker)/ } split /\n/, $log;
}

# Twenty-five people beside what `while` does: by function, by INSERT and by a session's call.
sub drains
{
	my ($what, %opts) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $batch = "beside $what";
	my @people = map { sprintf '1555747%04d', ++$people } 1 .. 25;
	my @groups = map { sprintf '12036307747%07d@g.us', ++$groups } 1 .. 4;
	# numbers go on where the last sealed record ended, also when its partition is gone
	my $first = ask('SELECT greatest((SELECT max(id) FROM wawp.audit_log), (SELECT max(last_id) FROM wawp.audit_block), 0)');
	my $asker = WawpTest->session($node, 'postgres', user => 'neighbour');
	my @problems;
	# what a plain role cannot do its own work with
	$asker->ask('SET search_path = public; SET row_security = on');
	my $try = sub { my ($sql) = @_; my $answer = $asker->ask($sql); push @problems, "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; };

	trouble_since();
	# held until what is to happen beside it has begun
	$try->("SELECT wawp_pause('support', '$_')") foreach @groups;
	foreach my $i (0 .. 3)
	{
		my $some = join ', ', map { "'$_'" } @people[ 6 * $i .. 6 * $i + 2 ];
		my $others = join ', ', map { "('$groups[$i]', '$_', 'support', '$batch')" } @people[ 6 * $i + 3 .. 6 * $i + 5 ];
		$try->("SELECT count(*) FROM wawp_request_add('$groups[$i]', ARRAY[$some], 'support', batch_id => '$batch')");
		$try->("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id) VALUES $others");
	}
	my @begun = $opts{while} ? $opts{while}->() : ();
	$try->("SELECT wawp_resume('support', '$_')") foreach @groups;
	$try->("SELECT outcome FROM wawp_add_participants('$groups[0]', ARRAY['$people[24]'], 'support')");
	ask("SELECT wawp_suppress('15557479999', '$groups[0]', 'beside'), wawp_unsuppress('15557479999', '$groups[0]')");
	my $counts = $try->("SELECT done, failed, cancelled FROM wawp_wait('$batch', '@{[ $PostgreSQL::Test::Utils::timeout_default / 2 ]} s')");
	is($counts, '24|0|0', "beside $what: all are added") || diag(ask("SELECT string_agg(DISTINCT wawp_explain(id), ' / ') FROM wawp.membership_intent WHERE batch_id = '$batch'"));
	$_->finish foreach @begun;
	$opts{after}->() if $opts{after};
	my %sent;
	$sent{$_}++ foreach map { /^add (\d+)$/ ? $1 : () } $sim->people;
	is(join(' ', grep { ($sent{$_} // 0) != 1 } @people), '', '... each once');
	is(ask("SELECT count(*) FILTER (WHERE kind = 'sent'), count(*) FILTER (WHERE kind = 'answered'), count(DISTINCT contact_id) FILTER (WHERE kind = 'sent'),
		max(id) - $first - count(*) FROM wawp.audit_log WHERE id > $first"), '25|25|25|0', '... the audit log is complete');
	my $state = $opts{state} // 'serving';
	is($session->until('SELECT state FROM wawp.worker_status', $state), $state, '... the worker serves');
	my $allowed = $opts{allow} // qr/^$/;
	is(join("\n", (grep { !/$allowed/ } split /\n/, trouble_since()), @problems), '', '... and nothing fails');
	$asker->quit;
	return;
}

# Sets it for the database; false if this version has no such parameter, or not with that value (from 19 strings conform always).
sub set_for_database
{
	my ($name, $value) = @_;
	my $sql = "ALTER DATABASE postgres SET $name = $value";
	my $answer = $session->ask($sql);
	die "$sql: $answer->{err}\n" if $answer->{state} && $answer->{state} !~ /^(42704|0A000)$/;
	return !$answer->{state};
}

# Settings of the database, for new sessions and a new worker.
sub with_settings
{
	my ($what, %set) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @known = grep { set_for_database($_, $set{$_}) } sort keys %set;
	ask("ALTER ROLE neighbour SET $_ = $set{$_}") foreach grep { !/^(session_replication_role|search_path|row_security)$/ } @known;
	connect_again();
	new_worker();
	drains($what, allow => qr/nonstandard use of/);
	ask("ALTER DATABASE postgres RESET $_; ALTER ROLE neighbour RESET $_") foreach @known;
	return connect_again();
}

# A program beside the drain, until it ends by itself.
sub program { my (@command) = @_; return IPC::Run::start([@command], '>', '/dev/null', '2>', \my $err); }
sub psql_beside { my (@sql) = @_; return program("$bindir/psql", '-XqAt', '-d', $node->connstr('postgres'), map { ('-c', $_) } @sql); }

cluster('main');
connect_again();
drains('nothing');

# ---- tools that read or rewrite tables

ask('CREATE PUBLICATION everything FOR ALL TABLES');
drains('CREATE PUBLICATION FOR ALL TABLES');
ask('DROP PUBLICATION everything');
my $locks = qr/lock timeout|could not obtain lock/;
drains('VACUUM FULL of the queue and the holds', while => sub { return psql_beside('VACUUM FULL wawp.membership_intent', 'VACUUM FULL wawp.hold') }, allow => $locks);
drains('CLUSTER of the queue', while => sub { return psql_beside('CLUSTER wawp.membership_intent USING membership_intent_pkey') }, allow => $locks);
drains('REINDEX CONCURRENTLY of the queue', while => sub { return psql_beside('REINDEX TABLE CONCURRENTLY wawp.membership_intent') }, allow => $locks);
drains('pg_dump', while => sub { return program("$bindir/pg_dump", '-d', $node->connstr('postgres')) });
SKIP:
{
	my ($repack) = grep { -x } "$bindir/pg_repack", '/usr/bin/pg_repack';
	skip 'pg_repack is not installed for this PostgreSQL', 10 unless $repack && WawpTest->has_extension('pg_repack');
	ask('CREATE EXTENSION pg_repack');
	my $month = ask("SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass");
	foreach my $table ('wawp.membership_intent', $month)
	{
		my $err = '';
		drains("pg_repack of $table",
			while => sub { return IPC::Run::start([ $repack, '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-t', $table, '--no-kill-backend', '-T', '20' ], '>', \my $out, '2>', \$err) },
			allow => qr/$locks|pg_repack/);
		diag("pg_repack of $table: $err") if $err =~ /ERROR|WARNING/;
	}
	ask('DROP EXTENSION pg_repack');
}

# ---- settings

with_settings('hostile formats', DateStyle => "'SQL, DMY'", IntervalStyle => 'sql_standard', TimeZone => "'Asia/Kathmandu'", extra_float_digits => -15,
	bytea_output => 'escape', array_nulls => 'off', transform_null_equals => 'on', quote_all_identifiers => 'on', xmloption => 'document',
	lc_numeric => "'C'", gin_fuzzy_search_limit => 1);
with_settings('strings with backslashes', standard_conforming_strings => 'off', backslash_quote => 'off', escape_string_warning => 'on');
with_settings('a search_path of nowhere', search_path => 'nowhere', row_security => 'off', check_function_bodies => 'off', client_min_messages => 'error',
	default_tablespace => "''", default_toast_compression => 'pglz');
with_settings('serializable transactions', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on');
with_settings('short timeouts', statement_timeout => "'20s'", lock_timeout => "'5s'", idle_in_transaction_session_timeout => "'5s'", transaction_timeout => "'60s'",
	idle_session_timeout => "'60s'");
with_settings('a planner without indexes', enable_indexscan => 'off', enable_indexonlyscan => 'off', enable_hashjoin => 'off', enable_nestloop => 'off', jit => 'on',
	jit_above_cost => 0, plan_cache_mode => 'force_custom_plan', work_mem => "'64kB'", max_parallel_workers_per_gather => 4, parallel_setup_cost => 0, min_parallel_table_scan_size => 0);
with_settings('synchronous_commit = off', synchronous_commit => 'off', commit_delay => 100);
with_settings('session_replication_role = replica', session_replication_role => 'replica');

ask('ALTER DATABASE postgres SET default_transaction_read_only = on; ALTER ROLE neighbour IN DATABASE postgres SET default_transaction_read_only = off');
connect_again();
new_worker();
drains('default_transaction_read_only');
ask('ALTER DATABASE postgres RESET default_transaction_read_only');

# ---- DDL is refused

ask('CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION $x$no DDL here (%)$x$, tg_tag; END $$');
ask('CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN ($$CREATE TABLE$$) EXECUTE FUNCTION refuse()');
new_worker();
drains('an event trigger that refuses CREATE TABLE');
ask('DROP EVENT TRIGGER no_tables; CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION refuse()');
new_worker();
drains('an event trigger that refuses all DDL');
ask('DROP EVENT TRIGGER no_ddl');

# ---- the audit log's partitions

my $months = q{SELECT string_agg(i.inhrelid::regclass || ' ' || pg_get_expr(c.relpartbound, c.oid), E'\n' ORDER BY pg_get_expr(c.relpartbound, c.oid))
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'wawp.audit_log'::regclass};
my ($this, $next, $after, $last) = split / /, ask(q{SELECT string_agg(to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + i * interval '1 month', 'YYYY-MM-01'), ' ' ORDER BY i)
	FROM generate_series(0, 3) i});
sub table_of { my ($month) = @_; return 'wawp.audit_log_' . $month =~ s/-01$//r =~ tr/-/_/r; }

# made by somebody else: by another name, for a part of a month
ask("SET TimeZone = 'UTC'");
ask('DROP TABLE ' . table_of($_)) foreach $next, $after;
ask("CREATE SCHEMA parts; CREATE TABLE parts.log_p1 PARTITION OF wawp.audit_log FOR VALUES FROM ('$next') TO ('$after');
	CREATE TABLE parts.log_p2 PARTITION OF wawp.audit_log FOR VALUES FROM ('$after') TO (timestamptz '$after' + interval '10 days')");
new_worker();
drains('partitions of the audit log that somebody else has made');
my $all = ask($months);
like($all, qr/^parts\.log_p1 FOR VALUES FROM \('$next/m, '... a month that somebody else has made is left alone');
like($all, qr/^@{[ table_of($after) ]} FOR VALUES FROM \('@{[ $after =~ s{-01$}{-11}r ]} 00:00:00\+00'\) TO \('$last/m, '... a part of one is completed');
is(() = $all =~ /FROM \('$next/g, 1, '... nothing is made twice');

# detached: the current month, then one to come, by which a table of that name is in the way
ask("ALTER TABLE wawp.audit_log DETACH PARTITION @{[ table_of($this) ]}; CREATE TABLE kept AS SELECT max(id) AS id FROM @{[ table_of($this) ]}");
my $refused = qr/no partition of relation "audit_log" found for row/;
drains('a detached partition of the audit log', allow => $refused);
like(ask($months), qr/^@{[ table_of($this) ]}_2 FOR VALUES FROM \('$this/m, '... the month has another table');

# none can be made: a warning early, a refusal in the end
ask("CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN (\$\$CREATE TABLE\$\$) EXECUTE FUNCTION refuse(); DROP TABLE parts.log_p1");
new_worker();
drains('an event trigger that keeps next month from having a partition', state => 'failing', allow => qr/could not make the next partitions of the audit log: no DDL here/);
like(ask('SELECT last_error FROM wawp.worker_status'), qr/no DDL here \(CREATE TABLE\)/, '... wawp.worker_status warns');
like(ask('SELECT string_agg(why, $$ $$) FROM wawp.stuck WHERE id IS NULL'), qr/making the audit log's next partitions fails, and without them nothing is recorded or sent/, '... and wawp.stuck');
like(slurp_file($node->logfile), qr/WARNING:  could not make the next partitions of the audit log: no DDL here/, '... and the server\'s log');
ask("ALTER TABLE wawp.audit_log DETACH PARTITION @{[ table_of($this) ]}_2");
ask("SET wawp.audit_timeout = '2s'");
my $answer = $session->ask("SELECT * FROM wawp_add_participants('120363077480000001\@g.us', ARRAY['15557480001'], 'support')");
is($answer->{state}, '55000', 'no partition for now: a call is refused');
my ($unsent) = ask("SELECT id FROM wawp_request_add('120363077480000001\@g.us', ARRAY['15557480002'], 'support')");
like($session->until('SELECT last_error FROM wawp.worker_status', qr/has no partition for now/), qr/the audit log has no partition for now, and none can be made: no DDL here/,
	'... with the reason');
like($session->until("SELECT wawp_explain($unsent)", qr/no partition for now/), qr/no partition for now/, '... wawp_explain() says it');
is(scalar(grep { /1555748000/ } $sim->people), 0, '... and nothing is sent');
ask('DROP EVENT TRIGGER no_tables');
is($session->until("SELECT state FROM wawp.membership_intent WHERE id = $unsent", 'done'), 'done', '... until one can be made');
trouble_since();

# ---- every table can be published

is(ask(q{SELECT string_agg(c.relname, ' ') FROM pg_class c WHERE c.relnamespace = 'wawp'::regnamespace AND c.relkind IN ('r', 'p')
	AND c.relname LIKE 'audit\_log\_%' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND c.relreplident = 'd')}), '',
	'partitions that the worker has made have primary keys');
is(ask(q{SELECT string_agg(i.indexrelid::regclass::text, ' ') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
	WHERE c.relnamespace = 'wawp'::regnamespace AND i.indisunique AND NOT i.indnullsnotdistinct
		AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)}), '',
	'unique keys with columns that may be NULL treat NULLs as equal');

# ---- libraries that look at each statement

$session->quit;
$session = undef;
cluster('explaining', "shared_preload_libraries = 'wawp,auto_explain'\nauto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\nauto_explain.log_nested_statements = on\nauto_explain.log_verbose = on\nlog_statement = all\n");
connect_again();
drains('auto_explain and log_statement = all');
unlike(slurp_file($node->logfile) =~ s/^.*CREATE USER MAPPING.*$//mgr, qr/\bsecret\b/, '... and no token is logged');
$session->quit;
$session = undef;
SKIP:
{
	skip 'pgaudit is not installed for this PostgreSQL', 11 unless WawpTest->has_extension('pgaudit');
	cluster('audited', "shared_preload_libraries = 'wawp,pgaudit'\npgaudit.log = 'all'\npgaudit.log_parameter = on\npgaudit.log_relation = on\n");
	connect_again();
	ask('CREATE EXTENSION pgaudit');
	drains('pgaudit');
	unlike(slurp_file($node->logfile) =~ s/^.*CREATE USER MAPPING.*$//mgr, qr/\bsecret\b/, '... and no token is logged');
	$session->quit;
	$session = undef;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'wawp'\n");
	$node->restart;
	connect_again();
	drains('pgaudit that is created, but not preloaded');
	$session->quit;
}

done_testing();
