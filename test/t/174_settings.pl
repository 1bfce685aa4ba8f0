
# Settings of a cluster, a database or a role that do not concern wawp: none of them stops the drain, makes a record
# less durable or puts a token or a number into the log.  140_faults.pl has those that end statements.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $clock = WawpTest->clock;
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', conf => "log_statement = none\nwawp.instance = 'support'\nlog_line_prefix = '%m [%p] %b '\ninclude_if_exists = 'settings.conf'\n",
	env => $clock ? $clock->env : {});
my $token = 'T0ken-that-nobody-may-see';
my ($people, $groups) = (0, 0);

$sim->world({ auto_groups => \1, accounts => { ABC123 => { token => $token } } });
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0, invites_per_minute => 0, concurrency => 4, access_token => $token });
$node->safe_psql('postgres', 'CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann');
my $session = sturdy_session();

# One that none of the settings hinders.
sub sturdy_session
{
	return WawpTest->session($node, 'postgres', options => '-c search_path=public -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0'
		  . ' -c default_transaction_read_only=off -c default_transaction_isolation=read\\\\ committed -c session_replication_role=origin -c row_security=on'
		  . ' -c standard_conforming_strings=on' . ($node->pg_version >= 17 ? ' -c transaction_timeout=0' : ''));
}

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub new_group { return sprintf '12036307770%07d@g.us', ++$groups; }
sub worker_pid { return ask('SELECT wawp._worker_pid()'); }

sub settings
{
	my (%settings) = @_;
	unlink $node->data_dir . '/settings.conf';
	$node->append_conf('settings.conf', join '', map { "$_ = $settings{$_}\n" } sort keys %settings);
	return;
}

# Waits until new sessions have a setting.
sub set_for_all
{
	my ($setting, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $now;
	$node->reload;
	poll_until(sub { $now = $node->safe_psql('postgres', "SHOW $setting"); $now eq $expected });
	return is($now, $expected, $name);
}

sub new_worker
{
	my $old = worker_pid();
	ask("SELECT pg_terminate_backend($old)") if $old;
	return poll_until(sub { my $pid = worker_pid(); $pid && $pid ne $old && $pid });
}

# Three people, one of whom is refused and invited, by function; three by INSERT ... SELECT; one goes again.
sub serves
{
	my ($name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $asks = $options{session} // $session;
	my @who = WawpTest->people(6, $people);
	my $group = new_group();
	my $batch = 'batch ' . ($people += 6);
	my $from = ask('SELECT coalesce(max(id), 0) FROM wawp.audit_log');

	$sim->rule({ match => { path => 'add$', body => $who[1] }, answer => { json => { participants => [ { id => "$who[1]\@c.us", code => 403 } ] } } });
	my $answer = $asks->ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY['$who[0]', '$who[1]', '$who[2]'], 'support', batch_id => '$batch') WHERE created");
	is($answer->{out}, 3, "$name: asked for by function") || diag($answer->{err});
	ask("INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) SELECT '@{[ new_group() ]}', unnest(ARRAY['$who[3]', '$who[4]', '$who[5]']), '$batch'");
	ask("SELECT wawp_request_remove('$group', ARRAY['15550000002'], 'support', batch_id => '$batch')");
	is($session->until("SELECT count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'invited') FROM wawp.membership_intent WHERE batch_id = '$batch'",
		'6|1'), '6|1', '... all are served') || diag(ask("SELECT state, wawp_explain(id) FROM wawp.membership_intent WHERE batch_id = '$batch'"));
	my %times;
	$times{$_}++ foreach map { s/\w+ //r } $sim->people;
	is_deeply([ map { $times{$_} } @who ], [ (1) x 6 ], '... by one request each');
	return is(ask("SELECT max(id) - $from - count(*), count(*) FILTER (WHERE kind = 'sent'), count(*) FILTER (WHERE kind = 'answered') FROM wawp.audit_log WHERE id > $from"),
		'0|8|8', '... and recorded');
}

# ---- one at a time, taken up by the running worker and then by a new one

my @log_all = (log_min_duration_statement => 0, log_statement => 'all', log_duration => 'on', log_error_verbosity => 'verbose', log_min_messages => 'debug1', log_parameter_max_length => -1,
	log_parameter_max_length_on_error => -1, debug_print_parse => 'on', debug_print_plan => 'on');
my $has_lz4 = ask("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'") eq 't';
# Since 19 strings conform always; a file with what the server does not take is not read at all.
my $may_not_conform = $node->pg_version->major < 19;
my %strings = $may_not_conform ? (standard_conforming_strings => 'off', escape_string_warning => 'on') : ();
my %one_at_a_time = (
	'no activity' => { track_activities => 'off', track_counts => 'off', update_process_title => 'off' },
	'other ways to write' => { quote_all_identifiers => 'on', %strings, backslash_quote => 'off', bytea_output => 'escape',
		xmloption => 'document', extra_float_digits => -15, IntervalStyle => 'iso_8601', DateStyle => q{'German, DMY'}, TimeZone => q{'Asia/Kathmandu'}, lc_messages => q{'C'} },
	'other plans' => { plan_cache_mode => 'force_custom_plan', enable_indexscan => 'off', enable_bitmapscan => 'off', enable_nestloop => 'off', work_mem => '64kB', temp_file_limit => 0,
		jit => 'on', jit_above_cost => 0, from_collapse_limit => 1, join_collapse_limit => 1 },
	'another storage' => { default_toast_compression => $has_lz4 ? 'lz4' : 'pglz', default_table_access_method => 'heap', autovacuum => 'off', check_function_bodies => 'off' },
	'generic plans' => { plan_cache_mode => 'force_generic_plan' },
	'all is logged' => {@log_all});

my $log_from = -s $node->logfile;
foreach my $name (sort keys %one_at_a_time)
{
	settings(%{ $one_at_a_time{$name} });
	my ($setting) = sort keys %{ $one_at_a_time{$name} };
	set_for_all($setting, $one_at_a_time{$name}{$setting} =~ s/'//gr, "$name: set for all");
	serves("$name, the worker running");
	new_worker();
	serves("$name, a new worker");
}

my $log = substr(slurp_file($node->logfile), $log_from);
like($log, qr/wawp_request_add.*1556000/s, 'much is logged');
unlike($log, qr/\Q$token\E/, '... never the token');
my @lines = grep { !/ client backend / && /^\d{4}-/ } split /\n(?=\d{4}-\d\d-\d\d )/, $log;
cmp_ok(scalar(@lines), '>', 20, '... also of what others do than sessions');
is(scalar(grep { /1556000\d{4}|15550000002/ } @lines), 0, '... never a number')
  || diag((grep { /1556000\d{4}|15550000002/ } @lines)[0]);

# A backslash and quotes come through, whichever way strings are written.
settings(quote_all_identifiers => 'on', $may_not_conform ? (standard_conforming_strings => 'off', escape_string_warning => 'off') : ());
set_for_all(@$_) foreach [ 'quote_all_identifiers', 'on', 'all identifiers quoted' ],
  $may_not_conform ? [ 'standard_conforming_strings', 'off', '... and strings that do not conform' ] : ();
my $plain = WawpTest->session($node);
my ($odd) = WawpTest->people(1, $people++);
my $backslash = $may_not_conform ? '\\\\' : '\\';
$plain->ask("SELECT wawp_request_add('@{[ new_group() ]}', ARRAY['$odd'], 'support', reason => 'a${backslash}b ''c'' \"d\" $backslash')");
is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$odd\@c.us'", 'done'), 'done', '... an intent with an odd reason is served');
is(ask("SELECT count(*), min(reason) FROM wawp.audit WHERE jid = '$odd\@c.us'"), q{3|a\b 'c' "d" \\}, '... and recorded with it');
$plain->quit;

# ---- of the database, and of all roles in it: they reach the worker another way

my %of_database = (default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on',
	statement_timeout => "'1ms'", lock_timeout => "'1ms'", idle_in_transaction_session_timeout => "'1ms'", session_replication_role => 'replica', search_path => 'nowhere',
	synchronous_commit => 'off', $node->pg_version >= 17 ? (transaction_timeout => "'1ms'") : ());
settings();
$node->reload;
foreach my $whose ('DATABASE postgres', 'ROLE ALL IN DATABASE postgres', 'ROLE ALL')
{
	ask("ALTER $whose SET $_ = $of_database{$_}") foreach sort keys %of_database;
	my $reached = WawpTest->session($node, 'postgres', options => '-c statement_timeout=0' . ($node->pg_version >= 17 ? ' -c transaction_timeout=0' : ''));
	is($reached->ask('SHOW default_transaction_isolation')->{out}, 'serializable', "$whose: settings reach sessions");
	$reached->quit;
	new_worker();
	serves("$whose, a new worker");
	is(ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND datname = 'postgres'"), 1, '... which stays');
	ask("ALTER $whose RESET ALL");
}
unlike(substr(slurp_file($node->logfile), $log_from), qr/wawp worker (?:ERROR|FATAL): (?! *(?:57P01: *)?terminating)/, 'nothing of all this is an error of the worker\'s');

# ---- sessions that live under them

settings(row_security => 'off');
set_for_all('row_security', 'off', 'row_security = off');
my $ann = WawpTest->session($node, 'postgres', user => 'ann');
my $hers = $ann->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['@{[ WawpTest->people(1, $people++) ]}'], 'support', batch_id => 'of ann')");
like($hers->{out}, qr/^\d+$/, '... an unprivileged role can ask') || diag($hers->{err});
is($session->until("SELECT state FROM wawp.membership_intent WHERE id = $hers->{out}", 'done'), 'done', '... and is served');
ask("SELECT wawp_pause('support')");
my $mine = $ann->ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['@{[ WawpTest->people(1, $people++) ]}'], 'support')")->{out};
is($ann->ask("SELECT wawp_cancel($mine)")->{out}, 't', '... and cancel');
ask("SELECT wawp_resume('support')");
is($ann->ask($_)->{state}, '42501', "... while PostgreSQL refuses what reads the table with her eyes: $_")
  foreach 'SELECT count(*) FROM wawp.membership_intent', "SELECT * FROM wawp_wait('of ann')", "SELECT wawp_explain($mine)";
$ann->quit;

settings(default_transaction_isolation => 'serializable');
set_for_all('default_transaction_isolation', 'serializable', 'transactions that are serializable');
$ann = WawpTest->session($node, 'postgres', user => 'ann');
serves('asked for in one', session => $ann);
my ($late) = WawpTest->people(1, $people++);
$sim->rule({ match => { path => 'add$', body => $late }, fault => { delay => 1 } });
$ann->ask("SELECT wawp_request_add('@{[ new_group() ]}', ARRAY['$late'], 'support', batch_id => 'serializable')");
my $waited = $ann->ask("SELECT pending, done FROM wawp_wait('serializable', '180 s')");
is($waited->{out}, '0|1', '... wawp_wait sees what has been done meanwhile');
is_soon($waited->{seconds}, '... and does not wait for ever');
$ann->quit;

settings(session_replication_role => 'replica');
set_for_all('session_replication_role', 'replica', 'sessions whose ordinary triggers do not fire');
$ann = WawpTest->session($node, 'postgres', user => 'ann');
my $bare = $ann->ask("INSERT INTO wawp.membership_intent (group_jid, jid) VALUES ('@{[ new_group() ]}', '15556660001')");
is($bare->{state}, '', '... an INSERT is completed all the same') || diag($bare->{err});
is(ask("SELECT count(*) FROM wawp.membership_intent WHERE jid = '15556660001\@c.us' AND requested_by = 'ann'"), 1, '... by the trigger, which is always on');
ok(poll_until(sub { ask("SELECT state FROM wawp.membership_intent WHERE jid = '15556660001\@c.us'") eq 'done' }), '... and served');
serves('asked for in one', session => $ann);
$ann->quit;

# ---- those that need a start: few locks, no autovacuum, lazy commits

settings(max_locks_per_transaction => 10, max_pred_locks_per_transaction => 10, max_connections => 30, max_wal_senders => 0, autovacuum => 'off', shared_buffers => '1MB', synchronous_commit => 'off',
	wal_writer_delay => '10s', wal_writer_flush_after => '1GB', checkpoint_timeout => '1h');
$session->quit;
restart();
sub restart { my $again = sub { $node->restart }; $clock ? $clock->run($again) : $again->(); $session = sturdy_session(); return; }
is(ask('SHOW max_locks_per_transaction'), 10, 'few locks and lazy commits');
serves('few locks');
SKIP:
{
	skip('no clock that can be moved', 1) unless $clock;
	foreach (1 .. 8)
	{
		$clock->move(92 * 86400);
		my $group = new_group();
		ask("SELECT wawp_request_add('$group', ARRAY['@{[ WawpTest->people(1, $people++) ]}'], 'support', batch_id => 'years')");
		$session->until("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'years' AND state <> 'done'", 0);
	}
	cmp_ok(ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass"), '>', 20, 'two years of records');
	new_worker();
	serves('few locks, a new worker, two years of records');
}

# The record of a request is on disk when the request arrives, although commits of sessions are not.
my $lost = 0;
foreach my $round (1 .. 3)
{
	my ($who) = WawpTest->people(1, $people++);
	ask("CREATE TABLE IF NOT EXISTS lazy (n int)");
	ask('CHECKPOINT');
	$sim->rule({ match => { path => 'add$', body => $who }, fault => { hang => \1 } });
	$sim->ctl(POST => 'ledger/clear');
	my $id = ask("SELECT id FROM wawp_request_add('@{[ new_group() ]}', ARRAY['$who'], 'support')");
	$sim->arrived('add$');
	ask("INSERT INTO lazy VALUES ($round)");
	$session->quit;
	$node->stop('immediate');
	$clock ? $clock->run(sub { $node->start }) : $node->start;
	$session = sturdy_session();
	$lost += ask("SELECT count(*) = 0 FROM lazy WHERE n = $round") eq 't';
	is($session->until("SELECT state, attempts FROM wawp.membership_intent WHERE id = $id", 'done|1'), 'done|1', 'a crash: an intent whose request had left was in doubt, is looked for, and is done');
	is(ask("SELECT string_agg(kind || ' ' || attempt, ', ' ORDER BY id) FROM wawp.audit WHERE intent_id = $id AND jid = '$who\@c.us'"), 'sent 1, verified 1',
		'... the record of that request is there');
}

# the walwriter may have woken up in one of them
cmp_ok($lost, '>', 0, '... while what a session had committed just before is lost');

is(ask('SELECT max(id) - count(*) FROM wawp.audit_log'), 0, 'after all that the audit log has no gaps');
$session->quit;
done_testing();
