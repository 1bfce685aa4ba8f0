
# fault.pl FAULT -- does one fault to a server of its own, at each of its steps; prints a line of JSON for each
# row of the matrix.  test/faults/run calls it; README.md says what the faults, steps and columns are.
#
# Contract: exits 0 when every row came to its end, whatever is in it.  FAULTS_SMALL is an empty small
# file system of ours; port 53 on 127.0.0.1 can be bound and is this machine's resolver; where there
# is none of that, FAULTS_NO_NAMESPACE says why.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin", "$FindBin::RealBin/../perl";

use FakeClock;
use FaultRow;
use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $at_once = 8;    # requests of the worker
my ($callers, $called) = (4, 3);    # sessions that call when a process is killed, people each
my $rounds = 4;    # a fault is done to a row so many times,
my $each = 50;    # each time with so many new intents

my ($fault) = @ARGV;
my ($sim, $node);

sub result
{
	my ($row) = @_;
	my $out = Test::More->builder->output;    # standard output goes to a log
	print $out JSON::PP->new->canonical->encode($row) . "\n";
	return;
}

sub skipped
{
	my ($step, $why) = @_;
	return result({ fault => $fault, step => $step, skipped => $why });
}

sub start
{
	my (%opts) = @_;
	my $options = delete $opts{options};
	my $conf = delete $opts{conf} // '';

	$sim = WawpTest->sim(latency => $ENV{FAULTS_LATENCY} // 0, %{ delete $opts{sim} // {} });
	$sim->world({ auto_groups => \1 });
	$node = WawpTest->node(
		$fault =~ s/-/_/gr,
		sim => $sim,
		options => { adds_per_minute => 0, concurrency => $at_once, timeout_ms => 30000, %{ $options // {} } },
		conf => "restart_after_crash = on\nlog_statement = none\n$conf",
		%opts);
	return;
}

sub row
{
	my ($step, %opts) = @_;
	return FaultRow->new(node => $node, sim => $sim, fault => $fault, step => $step, %opts);
}

# ---- what kills processes, at each step of a request

# Rules for all adds, as long as this trap is set.
sub set_trap
{
	my ($row, $rule) = @_;
	$sim->unrule;
	$sim->rule({ match => { path => 'add$' }, times => undef, fault => $rule }) if $rule;
	$row->mark;
	return;
}

sub call_once
{
	my ($row) = @_;
	$row->call($row->{sessions}, statements => 1, people => $called);
	return;
}

# What is asked for meets the trap.
sub load_round
{
	my ($row) = @_;
	$row->enqueue($each) or die "not enqueued\n";
	call_once($row);
	return;
}

sub deafen
{
	my ($port) = @_;
	my $url = $port ? "http://127.0.0.1:$port" : $sim->url;
	$node->safe_psql('postgres', "ALTER SERVER support OPTIONS (SET base_url '$url')");
	return;
}

my $deaf;

# Each puts the worker's and the callers' requests into one state and returns which processes it stopped for that.
my %trap = (
	'after claim' => sub {
		my ($row) = @_;
		($deaf, my $port) = WawpTest->deaf_port;
		set_trap($row);
		my $sent = 'SELECT count(*) FROM wawp.audit_log WHERE kind = $$sent$$ AND intent_id IS NULL';
		my $before = $row->ask($sent);
		deafen($port);
		load_round($row);
		$row->wait_for('SELECT count(*) FROM wawp.membership_intent WHERE state = $$sending$$', $at_once) or die "not claimed\n";
		$row->wait_for($sent, $before + $callers * $called) or die "not called\n";
		deafen(undef);
		return;
	},
	'request received' => sub {
		my ($row) = @_;
		set_trap($row, { hang => \1 });
		load_round($row);
		$row->arrived($at_once + $callers);
		$sim->unrule;
		return;
	},
	'before the record' => sub {    # of the callers; the worker's requests have theirs
		my ($row) = @_;
		my $worker = WawpTest->worker($node);
		set_trap($row, { hang => \1 });
		$row->enqueue($each) or die "not enqueued\n";
		$row->arrived($at_once);
		kill 'STOP', $worker;
		call_once($row);
		my $pids = join ', ', map { $_->pid } @{ $row->{sessions} };
		$row->wait_for("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND pid IN ($pids)", $callers)
		  or die "nobody waits for the record\n";
		sleep 0.3;    # what does not wait for it leaves now
		$sim->unrule;
		return $worker;
	},
	'answer sent' => sub {
		my ($row) = @_;
		set_trap($row, { delay => 1 });
		my @stopped = (WawpTest->worker($node), map { $_->pid } @{ $row->{sessions} });
		load_round($row);
		$row->arrived($at_once + $callers);
		kill 'STOP', @stopped;
		$sim->unrule;
		$row->answered($at_once + $callers);
		return @stopped;
	},
	'before settle' => sub {
		my ($row) = @_;
		my $locker = WawpTest->session($node);
		set_trap($row, { delay => 1 });
		load_round($row);
		$row->arrived($at_once + $callers);
		$locker->ask('BEGIN; LOCK TABLE wawp.audit_log IN ACCESS EXCLUSIVE MODE');
		push @{ $row->{sessions} }, $locker;
		$sim->unrule;
		$row->answered($at_once + $callers);
		my $waiting = 'SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid = ' . WawpTest->worker($node);
		$row->wait_for($waiting, 't') or die "not about to settle\n";
		return;
	});

my @steps = ('before the record', 'after claim', 'request received', 'answer sent', 'before settle');

# A stopped process finds a signal that waits for it before it does anything else.
sub let_die
{
	my (@stopped) = @_;
	my $quit = 1 << 2;
	foreach my $pid (@stopped)
	{
		poll_until(
			sub {
				my $status = eval { slurp_file("/proc/$pid/status") } // return 1;
				return $status =~ /^State:\s+Z/m || $status =~ /^ShdPnd:\s+([0-9a-f]+)/m && hex($1) & $quit;
			}, 20) or die "$pid was not told to quit\n";
		kill 'CONT', $pid;
	}
	return;
}

# After the end of the postmaster the others end by themselves, and only then can another start; nor can it
# before the old one's pid is gone.
sub start_again
{
	my ($row, @children) = @_;
	my $old = $node->{_pid};
	poll_until(sub { !kill(0, $old) && !grep { memory_kb($_) } @children }, 30) or die "processes stay\n";    # a zombie has none
	$row->ended;
	poll_until(sub { $node->{_pid} = undef; return $node->start(fail_ok => 1); }, 30) or die "the server does not start\n";
	return;
}

sub children
{
	my ($row) = @_;
	return split /\n/, $row->ask('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
}

sub kill_one
{
	my ($row, $pid, @stopped) = @_;
	kill 'KILL', $pid;
	$row->ended;
	let_die(grep { $_ != $pid } @stopped);
	return;
}

sub launcher { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'wawp launcher'"); }

my %strike = (
	'kill-worker' => sub { my ($row, @stopped) = @_; kill_one($row, WawpTest->worker($node), @stopped); },
	'kill-launcher' => sub { my ($row, @stopped) = @_; kill_one($row, launcher(), @stopped); },
	'kill-backend' => sub { my ($row, @stopped) = @_; kill_one($row, $row->{sessions}[0]->pid, @stopped); },
	'kill-postmaster' => sub {
		my ($row, @stopped) = @_;
		my @children = children($row);
		kill 'KILL', $node->{_pid};
		kill 'KILL', @stopped;
		start_again($row, @children);
	},
	'immediate-stop' => sub {
		my ($row, @stopped) = @_;
		my @children = children($row);
		kill 'QUIT', $node->{_pid};
		let_die(@stopped);
		start_again($row, @children);
	});

# A trap, the fault in it, and all goes on: also calls are served again.
sub kill_in_trap
{
	my ($row) = @_;
	$row->open_sessions($callers);
	my @stopped = $trap{ $row->{step} }->($row);
	$strike{$fault}->($row, @stopped);
	$row->settled or die "not all settled in time\n";
	$row->hear;
	$row->open_sessions($callers);
	call_once($row);
	$row->hear;
	return;
}

sub kill_at_each_step
{
	start();
	foreach my $step (@steps)
	{
		my $row = row($step);
		my $went_well = eval { kill_in_trap($row) foreach 1 .. $rounds; 1 };
		$row->problem($@) unless $went_well;
		result($row->finish);    # of interest all the same
		die "$fault, $step: @{ $row->{problems} }\n" unless $went_well;
	}
	return;
}

# ---- what hinders a server that serves

my $pace = { match => { path => 'add$' }, times => undef, fault => { delay => 0.2 } };

# Sessions of their own that call for some seconds.
sub call_for_a_while
{
	my ($row, $statements) = @_;
	$row->call([ $row->open_sessions($callers / 2) ], statements => $statements // 6, people => 2, pause => 0.5);
	return;
}

# Intents and calls under way, some before the fault, some in it.
sub serve_into
{
	my ($row, $begin, $number) = @_;
	$number //= $rounds * $each / 2;
	$row->mark;
	$row->enqueue($number) or die "not enqueued\n";
	call_for_a_while($row);
	$row->arrived($at_once * 2);
	$begin->();
	$row->enqueue($number);
	call_for_a_while($row);
	return;
}

sub finish
{
	my ($row, $seconds) = @_;
	$row->settled($seconds) or $row->problem('not all settled in time');
	$row->hear;
	return result($row->finish);
}

# begin, so many seconds later end; then all must settle.
sub hinder
{
	my ($step, $begin, $lasts, $end, $number) = @_;
	my $row = row($step);

	$sim->rule($pace);
	serve_into($row, $begin, $number);
	sleep $lasts;    # the length of the fault
	$end->();
	$row->ended;
	return finish($row, 90);
}

sub only_rules
{
	my (@rules) = @_;
	return sub { $sim->unrule; $sim->rule(@rules); };
}

sub stop_api
{
	start(options => { timeout_ms => 2000 });
	hinder('5 s', sub { kill 'STOP', $sim->{pid} }, 5, sub { kill 'CONT', $sim->{pid} });
	return;
}

sub reset_after
{
	start();
	my %reset = (match => { path => 'add$' });
	hinder('40 requests', only_rules({ %reset, times => 40, fault => { reset => 'after' } }, $pace), 2, sub { });

	my $row = row('20 % of all');
	$sim->rule({ %reset, times => undef, fault => { reset => 'after', random => { p => 0.2, seed => 1 } } });
	serve_into($row, sub { });
	finish($row, 90);
	return;
}

sub storm_429
{
	start();
	my $answer = { status => 429, headers => { 'Retry-After' => 1 }, json => { statusCode => 429, message => 'Too many requests' } };
	hinder('5 s', only_rules({ match => { path => 'add$' }, times => undef, answer => $answer }), 5, only_rules($pace));
	return;
}

sub random_5xx
{
	start();
	my $row = row('5 % of all');
	$sim->rule({ match => { path => 'add$' }, times => undef, fault => { delay => 0.02, random => { p => 0.05, status => 503, seed => 1 } } });
	serve_into($row, sub { });
	finish($row, 90);
	return;
}

sub terminate_loop
{
	start();
	my $row = row('every 0.3 s for 10 s');
	my $end = time + 10;

	$sim->rule($pace);
	$row->enqueue($rounds * $each);
	call_for_a_while($row, 16);
	while (time < $end)
	{
		$row->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'wawp worker'");
		sleep 0.3;
	}
	$row->ended;
	finish($row, 90);
	return;
}

# ---- names

# A resolver on port 53 that says 127.0.0.1 to all who ask for an IPv4 address; its process.
sub start_resolver
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp') or die "port 53: $!\n";
	my $pid = fork // die "fork: $!";
	return $pid if $pid;

	while (1)
	{
		defined(my $from = $socket->recv(my $query, 512)) or next;
		my $end = 12;
		$end += 1 + ord substr $query, $end, 1 while ord substr $query, $end, 1;
		my ($id, $question) = (substr($query, 0, 2), substr($query, 12, $end + 5 - 12));
		my $is_v4 = substr($question, -4, 2) eq "\0\1";
		my $address = $is_v4 ? pack('n3Nn a4', 0xC00C, 1, 1, 60, 4, "\x7F\0\0\1") : '';
		$socket->send($id . pack('n5', 0x8180, 1, $is_v4 ? 1 : 0, 0, 0) . $question . $address, 0, $from);
	}
}

sub dns
{
	my @steps = ('before the first look-up, 5 s', 'while serving, 5 s');
	if ($ENV{FAULTS_NO_NAMESPACE})
	{
		skipped($_, $ENV{FAULTS_NO_NAMESPACE}) foreach @steps;
		return;
	}
	my $name = 'api.faults.example';
	my $resolver = start_resolver();
	start(conf => "wawp.allowed_hosts = 'localhost,127.0.0.1,$name'\nwawp.instance = 'named'\n", sim => { tls => 1, cert_name => $name });
	WawpTest->create_server($node, 'named', $sim,
		{
			base_url => "https://$name:$sim->{tls_port}",
			ca_file => $sim->ca_file,
			adds_per_minute => 0,
			concurrency => $at_once,
			connect_timeout_ms => 1000
		});
	my ($mute, $speak) = (sub { kill 'STOP', $resolver }, sub { kill 'CONT', $resolver });

	my $row = row($steps[0], instance => 'named');
	$sim->rule($pace);
	$mute->();
	$row->enqueue($rounds * $each);
	call_for_a_while($row);
	sleep 5;    # the length of the fault
	$speak->();
	$row->ended;
	finish($row, 90);

	# the worker has its connections; callers look the name up for themselves
	$row = row($steps[1], instance => 'named');
	$sim->rule($pace);
	serve_into($row, $mute);
	sleep 5;    # the length of the fault
	$speak->();
	$row->ended;
	finish($row, 90);
	kill 'KILL', $resolver;
	waitpid $resolver, 0;
	return;
}

# ---- the disk

# Takes the last free byte of the small file system; returns the file.
sub fill
{
	my ($dir) = @_;
	my $file = "$dir/filler";
	open(my $out, '>', $file) or die "$file: $!";
	foreach my $size (1 << 20, 1 << 12, 1)
	{
		1 while syswrite $out, "\0" x $size;
	}
	close $out;
	return $file;
}

sub disk_full
{
	my $step = 'while serving, 5 s';
	return skipped($step, $ENV{FAULTS_NO_NAMESPACE}) if $ENV{FAULTS_NO_NAMESPACE};
	start();
	mkdir "$ENV{FAULTS_SMALL}/space" or die "$ENV{FAULTS_SMALL}/space: $!";
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$ENV{FAULTS_SMALL}/space'");
	$node->safe_psql('postgres', 'CREATE DATABASE small TABLESPACE small');
	$node->safe_psql('small', 'CREATE EXTENSION wawp');
	WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0, concurrency => $at_once }, 'small');

	my $row = row($step, dbname => 'small');
	my $file;
	$sim->rule($pace);
	my $worker = WawpTest->worker($node, 'small');
	serve_into($row, sub { $file = fill($ENV{FAULTS_SMALL}) }, $rounds * $each);
	poll_until(sub { slurp_file($node->logfile) =~ /\[$worker\] ERROR: .*No space left on device/ }, 30) or die "the disk is not full\n";
	sleep 5;    # the length of the fault
	unlink $file;
	$row->ended;
	finish($row, 90);
	return;
}

# ---- the clock

sub clock_step
{
	my $clock = FakeClock->new;
	my %hours = ('+1 h' => 3600, '-1 h' => -3600);

	# paced, so that the pace is asked all the time
	start(options => { adds_per_minute => 1200, adds_burst => 40 }, env => $clock->environment);
	foreach my $step (sort keys %hours)
	{
		my $row = row($step);
		$sim->rule($pace);
		serve_into($row, sub { $clock->step($hours{$step}) });
		$row->ended($clock->offset);
		my $ahead = $row->ask('SELECT extract(epoch FROM clock_timestamp())') - time;
		die "the clock is $ahead s ahead\n" if abs($ahead - $clock->offset) > 10;
		finish($row, 60);
	}
	return;
}

# ---- all of it, for long

my $calm = 2000;    # people who are asked for of a worker that is left alone, twice

# What is done to a server that serves, one drawn every few seconds.  It ends by itself.
my %mischief = (
	'kill-worker' => \&strike_running,
	'kill-launcher' => \&strike_running,
	'kill-backend' => \&strike_running,
	'kill-postmaster' => \&strike_running,
	'immediate-stop' => \&strike_running,
	'stop-api' => sub { kill 'STOP', $sim->{pid}; sleep 3; kill 'CONT', $sim->{pid}; },
	'storm-429' => sub {
		my $rule = { match => { path => 'add$' }, times => undef, answer => { status => 429, headers => { 'Retry-After' => 1 }, json => {} } };
		briefly($rule);
	},
	'random-5xx' => sub { briefly({ match => { path => 'add$' }, times => undef, fault => { random => { p => 0.3, status => 503, seed => 1 } } }); },
	'reset-after' => sub { $sim->rule({ match => { path => 'add$' }, times => 5, fault => { reset => 'after' } }); },
	'flood' => \&flood);

sub briefly
{
	my ($rule) = @_;
	$sim->rule($rule);
	sleep 3;    # the length of the fault
	$sim->unrule;
	$sim->rule($pace);
	return;
}

# A strike is named as its fault is; no process is stopped for it.
sub strike_running
{
	my ($row, $name) = @_;
	$strike{$name}->($row);
	return;
}

# Another role's instance: 5,000 people in as many groups, which are taken back.
sub flood
{
	my ($row) = @_;
	$row->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, not_before)
		SELECT '12036308871' || to_char(i, 'FM0000000') || '\@g.us', '1557' || to_char(i, 'FM0000000'), 'other', 'flood', now() + interval '1 day'
		FROM generate_series(1, 5000) i");
	$row->ask("SELECT wawp_cancel_batch('flood')");
	$row->ask("DELETE FROM wawp.membership_intent WHERE batch_id = 'flood'");
	return;
}

# Load and mischief for so many seconds; returns how often there was some.
sub soak_stormy
{
	my ($row, $seconds) = @_;
	my @names = sort keys %mischief;
	my ($end, $times) = (time + $seconds, 0);

	$sim->rule($pace);
	while (time < $end)
	{
		my $name = $names[ rand @names ];
		$row->ask('SELECT 1');    # it may still recover
		$row->enqueue($each);
		$row->call([ $row->open_sessions($callers) ], statements => 1, people => $called);
		$mischief{$name}->($row, $name);
		$row->hear;
		$times++;
	}
	return $times;
}

# Why it does not go on: the worker, holds, and states of rows with what wawp_explain() says of one.
sub trouble
{
	my ($row) = @_;
	return join '; ', map { $row->ask($_) // '' } (
		'SELECT concat_ws($$ $$, state, last_error) FROM wawp.worker_status',
		'SELECT string_agg(concat_ws($$ $$, instance, group_jid, reason, until - clock_timestamp(), failures), $$, $$) FROM (SELECT * FROM wawp.hold LIMIT 5) h',
		'SELECT string_agg(concat_ws($$ $$, n, state, wawp_explain(id)), $$, $$) FROM (SELECT state, count(*) AS n, min(id) AS id FROM wawp.membership_intent WHERE settled_at IS NULL GROUP BY state) s');
}

# The worker is left alone: its memory in kB and its open files and connections, once all are settled.
sub soak_calm
{
	my ($row) = @_;
	$sim->unrule;
	$row->ask('SELECT 1');    # it may still recover
	$row->enqueue($calm) or die "not enqueued\n";
	$row->settled(300) or die 'not all settled in time: ' . trouble($row) . "\n";
	my $worker = WawpTest->worker($node);
	# but for those of tables and indexes, which PostgreSQL keeps open as it needs them
	my @files = grep { (readlink // '') !~ m{/(base|global|pg_tblspc)/} } glob "/proc/$worker/fd/*";
	return (memory_kb($worker, 'RssAnon'), scalar @files);
}

# A row for each tenth of the time.
sub soak
{
	my $seconds = 60 * ($ENV{SOAK_MINUTES} // 20) / 10;

	srand($ENV{SEED} // 1);
	# what the worker keeps of member lists grows up to this by what it is for
	start(conf => "wawp.member_list_cache = '1MB'\n");
	WawpTest->create_server($node, 'other', $sim, { adds_per_minute => 60 });
	foreach my $part (1 .. 10)
	{
		my $row = row("part $part of 10");
		my $went_well = eval {
			my $times = soak_stormy($row, $seconds);
			soak_calm($row) foreach 1 .. 2;    # a worker that has just begun keeps more as it meets people
			my ($kb, $files) = soak_calm($row);
			my ($kb_later, $files_later) = soak_calm($row);
			$row->{step} = sprintf 'part %d: %d times, worker %d -> %d kB, %d -> %d files', $part, $times, $kb, $kb_later, $files, $files_later;
			$row->problem("the worker grew by " . ($kb_later - $kb) . ' kB') if $kb_later - $kb > 2048;
			$row->problem('files stay open') if $files_later > $files + 1;
			1;
		};
		$row->problem($@) unless $went_well;
		result($row->finish);
		die "soak, part $part: @{ $row->{problems} }\n" unless $went_well;
	}
	return;
}

my %faults = (
	'soak' => \&soak,
	(map { $_ => \&kill_at_each_step } keys %strike),
	'stop-api' => \&stop_api,
	'reset-after' => \&reset_after,
	'storm-429' => \&storm_429,
	'random-5xx' => \&random_5xx,
	'terminate-loop' => \&terminate_loop,
	'dns' => \&dns,
	'disk-full' => \&disk_full,
	'clock-step' => \&clock_step);

die "there is no fault '$fault', but: @{[ sort keys %faults ]}\n" unless $faults{$fault};
$faults{$fault}->();
