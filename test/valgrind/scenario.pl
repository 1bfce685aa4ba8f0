
# scenario.pl -- what `make valgrind` runs: every function and the drain, with everything the API can do to them.
#
# Its assertions say that things happened, not that they were right: other tests do.  PARTS chooses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $top = "$FindBin::RealBin/../..";
my $group = '120363012345678901@g.us';
my $parts = $ENV{PARTS} || 'sql session queue';
my $people = 0;
my $groups = 0;

my $sim = WawpTest->sim(tls => 1, args => [ '--idle-exit', 3600 ]);
my $node = WawpTest->node(
	'main',
	sim => $sim,
	options => { adds_per_minute => 0, checks_per_minute => 0, concurrency => 8, timeout_ms => 20000, verify_delays => '10ms,50ms' },
	conf => "log_statement = none\nrestart_after_crash = on\nwawp.audit_timeout = '60s'\nwawp.instance = 'support'\n");
my $session = WawpTest->session($node);

# Runs a part if it is asked for, with a fresh simulator.
sub part
{
	my ($name, $sub) = @_;
	return unless " $parts " =~ / $name /;
	$sim->reset;
	$sim->world({ auto_groups => \1 });
	$sub->();
	return;
}

sub server { my ($name, %options) = @_; WawpTest->create_server($node, $name, $sim, { adds_per_minute => 0, checks_per_minute => 0, %options }); return; }
sub new_people { my ($n) = @_; $people += $n; return join ', ', map { "'$_'" } WawpTest->people($n, $people - $n); }
sub new_group { return sprintf "'12036307770%07d\@g.us'", ++$groups; }

# Whatever becomes of the calls, they come back.
sub call_all
{
	my ($name, @calls) = @_;
	my @answers = map { $session->ask($_) } @calls;
	return is(scalar(grep { $_->{gone} } @answers), 0, "$name: " . @calls . ' come back');
}

# What the API does to a request.
my @faults = (
	{ answer => { status => 500, json => { message => 'no' } } },
	{ answer => { status => 429, headers => { 'Retry-After' => 1 }, json => {} } },
	{ answer => { status => 403, text => '<html>' } },
	{ answer => { status => 200, text => '' } },
	{ fault => { reset => 'after' } },
	{ fault => { close => 'mid_body' } },
	{ fault => { truncate_json => \1 } },
	{ fault => { bad_utf8 => \1 } },
	{ fault => { nul => \1 } },
	{ fault => { big => 300_000 } },
	{ fault => { big => 6_000_000 } },
	{ fault => { chunked => \1, slow_body => 0.001, chunk => 50 } },
	{ fault => { big_headers => 100_000 } },
	{ fault => { close_after => \1 } });

# ---- the tests in SQL: what they assert does not hold at this speed, so only that they come to their end counts

sub sql_tests
{
	$node->safe_psql('postgres', 'CREATE DATABASE tests');
	local $ENV{WAWP_SIM_PORT} = $sim->port;
	foreach my $name (split ' ', `make -s --no-print-directory -C $top list-regress`)
	{
		my ($out, $err) = ('', '');
		my $started = time;
		IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('tests'), '-f', "test/sql/$name.sql" ], '>', \$out, '2>', \$err);
		my ($ok, $not_ok) = map { my $start = $_; scalar(() = $out =~ /^$start/mg) } 'ok', 'not ok';
		cmp_ok($ok, '>', 0, sprintf '%s: %d ok, %d not ok under valgrind, %d s', $name, $ok, $not_ok, time - $started) || diag($err);
	}
	$node->safe_psql('postgres', 'DROP DATABASE tests');
	return;
}

# ---- session calls

sub calls_of_every_function
{
	my ($instance, $in) = @_;
	my $one = new_people(1);
	return (
		(map { "SELECT * FROM wawp_${_}_participants('$in', ARRAY[$one, 'nonsense', NULL, $one], '$instance', 'why')" }
			  qw(add promote demote remove)),
		"SELECT * FROM wawp_add_participants('$in', ARRAY[@{[ new_people(60) ]}], '$instance', verify => true)",
		(map { "SELECT * FROM wawp_$_('$in', '$instance')" } qw(participants group_info invite_link revoke_invite_link)),
		"SELECT * FROM wawp_groups('$instance')",
		"SELECT * FROM wawp_session('$instance')",
		"SELECT wawp_create_group('subject', ARRAY[$one], '$instance')",
		"SELECT wawp_send_text('$in', repeat('text ', 100), '$instance')",
		"SELECT * FROM wawp_check_participants('$in', ARRAY[$one, 'x', NULL], '$instance')",
		"SELECT * FROM wawp_add_participants('$in', ARRAY[$one], '$instance', precheck => true)",
		"SELECT * FROM wawp_join_requests('$in', '$instance')",
		"SELECT * FROM wawp_check_exists(ARRAY[$one, 'x', NULL], '$instance')");
}

sub session_calls
{
	foreach my $id (qw(WEBJS1 NOWEB1 GOWS1 WAJS01 GOWA01 ADDF01 STOPPED1))
	{
		server(lc $id, instance_id => $id, verify_delays => '10ms');
		call_all("every function, $id", calls_of_every_function(lc $id, $group));
	}
	foreach my $fault (@faults)
	{
		$sim->unrule;
		$sim->rule({ times => undef, %$fault });
		call_all('every function, ' . JSON::PP->new->canonical->encode($fault), calls_of_every_function('support', $group));
		$session->ask("SELECT wawp_resume('support')");
	}
	$sim->unrule;
	server('dead', base_url => 'http://127.0.0.1:1');
	server('tls', base_url => $sim->tls_url, ca_file => $sim->ca_file);
	server('untrusted', base_url => $sim->tls_url);
	call_all("every function, $_", calls_of_every_function($_, $group)) foreach qw(dead tls untrusted nobody support);
	return;
}

sub statements_without_network
{
	my @bodies = ('', '{', '[]', '{"ok":true}', '"x"', '{"participants":[{"jid":"1","code":403}]}', '[{"status":"' . 'x' x 5000 . '"}]',
		'null', '{"a":' x 200 . '1' . '}' x 200);
	foreach my $action (qw(add remove promote demote send nonsense))
	{
		call_all("classify $action", map { "SELECT * FROM wawp_classify('$action', 200, \$body\$$_\$body\$)" } @bodies);
	}
	call_all('arguments', map { "SELECT * FROM wawp_add_participants($_)" } "NULL, ARRAY['1']", "'x', ARRAY['1']", "'$group', NULL",
		"'$group', '{}'", "'$group', ARRAY['15551230001'], 'support', repeat('long ', 3000)");
	call_all('options', map { "ALTER SERVER support OPTIONS ($_)" } "SET base_url 'ftp://x'", "nonsense 'x'", "concurency '3'",
		"quiet_hours '21:00-08:00 Europe/Madrid'", "DROP quiet_hours", "SET adds_per_minute 'x'");
	call_all('rolled back', "BEGIN; SELECT * FROM wawp_add_participants('$group', ARRAY[@{[ new_people(1) ]}]); SELECT 1 / 0; ROLLBACK");
	return;
}

# Ended in the middle of a call by each way there is.
sub interrupted_calls
{
	foreach my $end ('pg_cancel_backend', 'pg_terminate_backend', 'statement_timeout')
	{
		my $caller = WawpTest->session($node);
		my $seen = $sim->count;
		$sim->rule({ times => 1, fault => { hang => \1 } });
		$caller->ask("SET statement_timeout = '5s'") if $end eq 'statement_timeout';
		$caller->send("SELECT * FROM wawp_add_participants('$group', ARRAY[@{[ new_people(1) ]}])");
		poll_until(sub { $sim->count > $seen });
		$node->safe_psql('postgres', "SELECT $end(" . $caller->pid . ')') unless $end eq 'statement_timeout';
		like($caller->answer->{state}, qr/57014|57P01/, "$end in the middle of a call");
		$caller->quit;
	}
	return;
}

# ---- the queue

sub request
{
	my ($action, $number, $more) = @_;
	return "SELECT count(*) FROM wawp_request_$action(@{[ new_group() ]}, ARRAY[@{[ new_people($number) ]}]" . ($more // '') . ')';
}

# Waits for all intents; what is to be tried again later is tried now.
sub settled
{
	my ($name) = @_;
	my $done = poll_until(
		sub {
			$session->ask("UPDATE wawp.membership_intent SET next_attempt_at = NULL WHERE state = 'queued' AND next_attempt_at IS NOT NULL");
			$session->ask('DELETE FROM wawp.hold');
			$session->ask("SELECT wawp_resume('support')");    # the worker looks at all lanes
			sleep 0.5;
			return $session->ask("SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled', 'invited')")->{out} eq 0;
		}, 300);
	return ok($done, "$name: all settled") || diag($session->ask('SELECT state, outcome, detail, count(*) FROM wawp.membership_intent GROUP BY 1, 2, 3')->{out});
}

sub three_hundred_intents
{
	server('batch', instance_id => 'WEBJS2', batch_size => 10, adds_burst => 10, concurrency => 2);
	server('gone', instance_id => 'GOWA01');
	server('refused', base_url => 'http://127.0.0.1:1');

	# each of these befalls some of them
	$sim->rule(map { { match => { path => 'add$' }, skip => 5, times => 2, %$_ } } @faults);
	$sim->rule({ match => { path => 'add$' }, times => undef, fault => { random => { p => 0.05, status => 503, seed => 1 } } });
	call_all('asking', (map { request('add', 10, ", reason => 'why', batch_id => 'b'") } 1 .. 20), (map { request($_, 10) } qw(remove promote demote)),
		(map { request('add', 25, ", 'batch'") } 1 .. 2), request('add', 3, ", 'gone'"), request('add', 3, ", 'refused'"),
		request('add', 3, ", expires_at => clock_timestamp() + interval '3 s', not_before => clock_timestamp() + interval '1 h'"),
		"SELECT * FROM wawp_request_swap('$group', '15550000002', '15551230500')",
		"SELECT * FROM wawp_request_add('$group', ARRAY['15551230401', '15551230403', '15551230404', '15551230451', '15551230463', 'x', NULL])");
	$session->ask('DROP SERVER gone CASCADE');
	call_all('looking', map { "SELECT * FROM wawp.$_" } qw(queue progress stuck budget instance audit));
	call_all('explaining', 'SELECT wawp_explain(id) FROM (SELECT id FROM wawp.membership_intent ORDER BY id DESC LIMIT 30) t');
	ok(poll_until(sub { $sim->count > 150 }), 'half of them sent');
	call_all('changing', 'SELECT wawp_cancel(max(id)) FROM wawp.membership_intent', "SELECT wawp_pause('support', '$group', 'why')",
		"SELECT wawp_resume('support', '$group')", "SELECT wawp_cancel_batch('nothing')", "SELECT * FROM wawp_wait('b', '1 s')");
	$session->ask("UPDATE wawp.membership_intent SET state = 'cancelled', settled_at = now() WHERE state = 'queued' AND instance IN ('gone', 'refused')");
	settled('300 intents');
	cmp_ok($sim->count, '>', 250, 'the worker sent ' . $sim->count . ' requests');
	call_all('retrying', "SELECT wawp_retry(id) FROM (SELECT id FROM wawp.membership_intent WHERE state = 'failed' AND instance = 'support' LIMIT 5) t");
	settled('tried again');
	return;
}

sub by_trigger
{
	call_all('trigger', 'CREATE TABLE shift (id int, group_jid text, phone text, ends_at timestamptz, region text)',
		"CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW EXECUTE FUNCTION
			wawp_membership_trigger('group=group_jid', 'jid=phone', 'until=ends_at', 'reason=shift {region}', 'instance=support')",
		"INSERT INTO shift SELECT i, '$group', '15558880' || to_char(i, 'FM000'), now() + interval '1 d', 'north' FROM generate_series(1, 30) i",
		"INSERT INTO shift VALUES (99, 'x', 'y')", "UPDATE shift SET phone = '15558889' || to_char(id, 'FM000') WHERE id < 10", 'DELETE FROM shift',
		'DROP TABLE shift');
	settled('by a trigger');
	return;
}

sub worker_is
{
	my ($setting) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET wawp.worker = $setting");
	$node->reload;
	$session->until('SHOW wawp.worker', $setting);
	return;
}

# Switched off and drained, ended in the middle of requests, locked out.
sub hindered_worker
{
	worker_is('off');
	call_all('asking', request('add', 10));
	call_all('draining', 'CALL wawp_drain(3)', "CALL wawp_drain(max_time => '20 s')");
	worker_is('on');
	foreach my $end ('pg_terminate_backend', 'pg_cancel_backend')
	{
		my $seen = $sim->count;
		$sim->rule({ match => { path => 'add$' }, times => 4, fault => { delay => 5 } });
		call_all('asking', map { request('add', 1) } 1 .. 6);
		ok(poll_until(sub { $sim->count >= $seen + 4 }), 'requests are out');
		$session->ask("SELECT $end(@{[ WawpTest->worker($node) ]})");
		$sim->unrule;
		settled($end);
	}
	$sim->rule({ match => { path => 'add$' }, times => 2, fault => { delay => 3 } });
	my $seen = $sim->count;
	call_all('asking', request('add', 4));
	ok(poll_until(sub { $sim->count > $seen }), 'a request is out');
	my $locker = WawpTest->session($node);
	$locker->ask('BEGIN; LOCK TABLE wawp.audit_log; SELECT pg_sleep(6); COMMIT');
	$locker->quit;
	return settled('locked out');
}

# The extension goes while requests are out and comes again; then the server stops while one is.
sub the_end
{
	$sim->rule({ match => { path => 'add$' }, times => 2, fault => { delay => 5 } });
	call_all('asking', request('add', 1), request('add', 1));
	ok(poll_until(sub { $sim->count >= 2 }), 'requests are out');
	is($session->ask('DROP EXTENSION wawp CASCADE')->{state}, '', 'DROP EXTENSION with requests out');
	$session->ask('CREATE EXTENSION wawp');
	server('support', concurrency => 8);
	call_all('asking', request('add', 5));
	settled('a new extension');
	my $seen = $sim->count;
	$sim->rule({ match => { path => 'add$' }, times => 1, fault => { hang => \1 } });
	call_all('asking', request('add', 1));
	return ok(poll_until(sub { $sim->count > $seen }), 'a request is out at the end');
}

part(sql => \&sql_tests);
part(session => $_) foreach \&session_calls, \&statements_without_network, \&interrupted_calls;
part(queue => $_) foreach \&three_hundred_intents, \&by_trigger, \&hindered_worker;
part($parts =~ /queue/ ? 'queue' : 'session', \&the_end);

$session->quit;
$node->stop('fast');
done_testing();
