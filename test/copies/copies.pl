
# Copies of a cluster made by real tools, and what each sends: see README.md.  Prints a table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IO::Handle;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use WawpTest;

my @cells = ('sends nothing', 'original goes on', 'served in the end', 'nobody added twice');
my $group = '120363012345678901@g.us';
my $state = 'SELECT state FROM wawp.worker_status';
my ($sim, $main, $dir, $waiting, $person, $receiver);
my ($copies, $people) = (0, 0);

# The ways; `needs` is a program.  make() returns the copy as a cluster that is not started.  What is `promoted` is no
# copy: it takes the place of the original, which is stopped.
my @ways = (
	{ name => 'basebackup', what => 'pg_basebackup, started as it is', make => sub { return base_backup() } },
	{ name => 'promoted', what => 'pg_basebackup -R, promoted', promoted => 1, make => sub { return base_backup('-R') } },
	{ name => 'pitr', what => 'pg_basebackup, recovered to a time', make => \&point_in_time },
	{ name => 'rewind', what => 'an old primary, pg_rewind, started as it is', needs => 'pg_rewind', make => \&rewound },
	{ name => 'files', what => 'rsync of a stopped data directory', needs => 'rsync', make => \&files },
	{ name => 'pgbackrest', what => 'pgbackrest restore', needs => 'pgbackrest', make => sub { return pgbackrest() } },
	{ name => 'pgbackrest-pitr', what => 'pgbackrest restore --type=immediate', needs => 'pgbackrest',
		make => sub { return pgbackrest('--type=immediate', '--target-action=promote') } },
	{ name => 'pgbackrest-delta', what => 'pgbackrest restore --delta over an earlier restore', needs => 'pgbackrest', make => \&pgbackrest_delta },
	{ name => 'pgbackrest-standby', what => 'pgbackrest restore --type=standby, promoted', needs => 'pgbackrest', promoted => 1,
		make => sub { return pgbackrest('--type=standby') } },
	{ name => 'barman', what => 'barman recover', needs => 'barman', make => sub { return barman() } },
	{ name => 'barman-pitr', what => 'barman recover --target-immediate', needs => 'barman',
		make => sub { return barman('--target-immediate', '--target-action', 'promote') } },
	{ name => 'barman-standby', what => 'barman recover --standby-mode, promoted', needs => 'barman', promoted => 1,
		make => sub { return barman('--standby-mode') } },
	{ name => 'subscriber', what => 'pg_createsubscriber', needs => 'pg_createsubscriber', make => \&subscriber },
);

# ---- tools

# Runs a command, whose output is in our log.
sub run
{
	my (@command) = @_;
	my $output = '';
	my $ok = IPC::Run::run(\@command, '<', \undef, '>&', \$output);
	print "# @command\n$output";
	return 1 if $ok;
	my ($last) = grep { /ERROR|error|FATAL|failed/ } split /\n/, $output;
	die +(split m{/}, $command[0])[-1] . ': ' . ($last // "status $?") . "\n";
}

sub version_of
{
	my ($program) = @_;
	my $output = '';
	eval { IPC::Run::run([ $program, '--version' ], '<', \undef, '>&', \$output) };
	eval { IPC::Run::run([ $program, 'version' ], '<', \undef, '>&', \$output) } unless $output =~ /\d\.\d/;
	return $output =~ /(\d+(?:\.\d+)+)/ ? $1 : '';
}

sub write_file
{
	my ($path, $text) = @_;
	unlink $path;
	append_to_file($path, $text);
	return $path;
}

# A cluster whose data directory is still to come, and its settings when it is there.
sub new_copy { return PostgreSQL::Test::Cluster->new('copy' . ++$copies); }

sub set_up
{
	my ($copy, $more) = @_;
	chmod oct('700'), $copy->data_dir;
	$copy->append_conf('postgresql.conf', "port = @{[ $copy->port ]}\nwawp.worker = on\narchive_mode = off\n" . ($more // ''));
	return $copy;
}

sub base_backup
{
	my (@options) = @_;
	my $copy = new_copy();
	run('pg_basebackup', '-D', $copy->data_dir, '-d', $main->connstr('postgres'), '--checkpoint', 'fast', '--no-sync', @options);
	return set_up($copy);
}

# A standby has all that the original has written.
sub catches_up
{
	my ($standby) = @_;
	my $end = $main->lsn('insert');
	poll_until(sub { $standby->safe_psql('postgres', "SELECT pg_last_wal_replay_lsn() >= '$end'") eq 't' }) or die "the standby does not catch up\n";
	return;
}

sub point_in_time
{
	my $copy = base_backup();
	append_to_file($copy->data_dir . '/recovery.signal', '');
	$copy->append_conf('postgresql.conf', "restore_command = 'false'\nrecovery_target = 'immediate'\nrecovery_target_action = 'promote'\n");
	return $copy;
}

sub files
{
	my $copy = new_copy();
	$main->stop;
	run('rsync', '-a', $main->data_dir . '/', $copy->data_dir);
	$main->start;
	return set_up($copy);
}

# A standby takes the place of the original, which is rewound, and started without being told to be a standby.
sub rewound
{
	my $old = $main;
	my $new = base_backup('-R');
	$new->append_conf('postgresql.conf', "wawp.worker = off\n");
	$new->start;
	catches_up($new);
	$old->stop('immediate');
	$new->safe_psql('postgres', 'SELECT pg_promote()');
	$new->safe_psql('postgres', 'CHECKPOINT');
	$old->start;
	$old->stop;
	run('pg_rewind', '--no-sync', '--target-pgdata', $old->data_dir, '--source-server', $new->connstr('postgres'));
	$main = $new;
	$old->append_conf('postgresql.conf', "port = @{[ $old->port ]}\n");
	return set_up($old);
}

sub pgbackrest_command
{
	my (@options) = @_;
	return run('pgbackrest', "--config=$dir/pgbackrest.conf", '--stanza=main', @options);
}

# The repository, and one full backup in it.
sub pgbackrest_backup
{
	mkdir "$dir/$_" foreach qw(repo log lock spool);
	write_file("$dir/pgbackrest.conf", <<CONF);
[global]
repo1-path=$dir/repo
log-path=$dir/log
lock-path=$dir/lock
spool-path=$dir/spool
start-fast=y
compress-type=none
[main]
pg1-path=@{[ $main->data_dir ]}
pg1-port=@{[ $main->port ]}
pg1-socket-path=@{[ $main->host ]}
CONF
	$main->append_conf('postgresql.conf', "archive_mode = on\narchive_command = 'pgbackrest --config=$dir/pgbackrest.conf --stanza=main archive-push %p'\n");
	$main->restart;
	pgbackrest_command('stanza-create');
	pgbackrest_command('--type=full', 'backup');
	return;
}

sub pgbackrest
{
	my (@options) = @_;
	my $copy = new_copy();
	pgbackrest_backup();
	mkdir $copy->data_dir;
	chmod oct('700'), $copy->data_dir;
	pgbackrest_command('--pg1-path=' . $copy->data_dir, @options, 'restore');
	return set_up($copy);
}

# The files of an earlier restore, with marks of its own, are kept where they are the same.
sub pgbackrest_delta
{
	my $copy = pgbackrest('--type=immediate', '--target-action=promote');
	$copy->start;
	becomes($copy, $state, 'copy');
	$copy->safe_psql('postgres', q{SELECT wawp_pause('support'); SELECT wawp_take_over('support')});
	$copy->stop;
	pgbackrest_command('--pg1-path=' . $copy->data_dir, '--delta', '--type=immediate', '--target-action=promote', 'restore');
	return set_up($copy);
}

sub barman_command
{
	my (@options) = @_;
	return run('barman', '-c', "$dir/barman.conf", @options);
}

# One backup, its log streamed.
sub barman_backup
{
	my $connection = "host=@{[ $main->host ]} port=@{[ $main->port ]} dbname=postgres";
	my $bindir = $main->config_data('--bindir');
	my $output = '';
	mkdir "$dir/barman";
	write_file("$dir/barman.conf", <<CONF);
[barman]
barman_home = $dir/barman
barman_user = @{[ scalar getpwuid $> ]}
barman_lock_directory = $dir/barman
log_file = $dir/barman.log
[main]
description = the original
conninfo = $connection
streaming_conninfo = $connection
backup_method = postgres
streaming_archiver = on
archiver = off
slot_name = barman
path_prefix = $bindir
CONF
	barman_command('receive-wal', '--create-slot', 'main');
	$receiver = IPC::Run::start([ 'barman', '-c', "$dir/barman.conf", 'receive-wal', 'main' ], '<', \undef, '>&', \$output);
	$main->poll_query_until('postgres', q{SELECT active FROM pg_replication_slots WHERE slot_name = 'barman'}) or die "barman does not stream\n";
	barman_command('switch-wal', '--force', '--archive', 'main');
	barman_command('backup', 'main');
	barman_command('switch-wal', '--force', '--archive', 'main');
	return;
}

sub barman
{
	my (@options) = @_;
	my $copy = new_copy();
	barman_backup();
	barman_command('recover', @options, 'main', 'latest', $copy->data_dir);
	return set_up($copy);
}

# A standby that is stopped becomes a subscriber, with another system identifier.
sub subscriber
{
	my $copy = base_backup('-R');
	$copy->append_conf('postgresql.conf', "wawp.worker = off\n");
	$copy->start;
	catches_up($copy);
	$copy->stop;
	run('pg_createsubscriber', '--pgdata', $copy->data_dir, '--publisher-server', $main->connstr('postgres'), '--database', 'postgres',
		'--socketdir', $copy->host, '--subscriber-port', $copy->port, '--recovery-timeout', $PostgreSQL::Test::Utils::timeout_default);
	# what the original serves is not to be applied here meanwhile: the copy has to recognise its own rows
	return set_up($copy, "max_logical_replication_workers = 0\n");
}

# ---- what has to be so

sub becomes
{
	my ($node, $sql, $expected) = @_;
	my $last = '';
	poll_until(sub { $last = eval { $node->safe_psql('postgres', $sql) } // $@; return $last eq $expected; });
	return $last eq $expected ? '' : "$sql: $last, not $expected";
}

sub request
{
	my ($node) = @_;
	my $who = sprintf '1555153%04d', ++$people;
	return ($node->safe_psql('postgres', "SELECT id FROM wawp_request_add('$group', ARRAY['$who'], 'support')"), $who);
}

# Nothing, or why a new request is not done.
sub not_served
{
	my ($node) = @_;
	my ($id) = request($node);
	return becomes($node, "SELECT state FROM wawp.membership_intent WHERE id = $id", 'done');
}

sub switch_worker
{
	my ($node, $to) = @_;
	$node->append_conf('postgresql.conf', "wawp.worker = $to\n");
	$node->reload;
	return becomes($node, 'SHOW wawp.worker', $to);
}

# A request waits while the copy is made; then the original does it.
sub original
{
	$sim = WawpTest->sim;
	$dir = PostgreSQL::Test::Utils::tempdir();
	$main = WawpTest->node('main' . $copies, sim => $sim, init => [ allows_streaming => 'logical' ],
		conf => "log_statement = none\nwal_log_hints = on\nwal_keep_size = '64MB'\nmax_worker_processes = 16\nwawp.worker = off\n");
	($waiting, $person) = request($main);
	return;
}

# Nothing, or what was sent by a copy that has looked at its queue, or that it does not say that it is one.
sub not_silent
{
	my ($copy) = @_;
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or return 'recovery does not end';
	my $why = becomes($copy, $state, 'copy') || becomes($copy, 'SELECT held_by FROM wawp.instance', 'copy');
	# started again, it is one, too
	$copy->restart;
	$why ||= becomes($copy, $state, 'copy');
	request($copy);
	$copy->reload;
	return $why || not_served($main) || sent_by($copy);
}

# Nothing, or whom the copy asked for and the API heard of.
sub sent_by
{
	my ($copy) = @_;
	my @asked = split /\n/, $copy->safe_psql('postgres', q{SELECT split_part(jid, '@', 1) FROM wawp.membership_intent WHERE state = 'queued'});
	my %asked = map { $_ => 1 } grep { $_ ne $person } @asked;
	my @sent = grep { /^add (\d+)/ && $asked{$1} } $sim->people;
	return @sent ? "sent: @sent" : '';
}

sub taken_over
{
	my ($copy) = @_;
	$copy->safe_psql('postgres', q{SELECT wawp_take_over('support')});
	return becomes($copy, $state, 'serving') || not_served($copy)
	  || becomes($copy, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done');
}

sub added_twice
{
	my %times;
	$times{$_}++ foreach grep { /^add / } $sim->people;
	my @twice = grep { $times{$_} > 1 } sort keys %times;
	return @twice ? "twice: @twice" : $times{"add $person"} ? '' : "not added: $person";
}

# ---- a row

# The cells: nothing, or what is wrong; undef: there is no such thing.
sub copy_row
{
	my ($copy) = @_;
	switch_worker($main, 'on');
	my $done = becomes($main, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done');
	my @row = (not_silent($copy), $done || not_served($main), taken_over($copy));
	return (@row, added_twice());
}

# The request is done by the original whose last words the standby does not hear.
sub promoted_row
{
	my ($copy) = @_;
	switch_worker($main, 'on');
	my $done = becomes($main, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done');
	$main->stop('immediate');
	$copy->start;
	$copy->safe_psql('postgres', 'SELECT pg_promote()');
	my $served = $done || becomes($copy, $state, 'serving') || not_served($copy)
	  || becomes($copy, "SELECT state FROM wawp.membership_intent WHERE id = $waiting", 'done');
	return (undef, undef, $served, added_twice());
}

sub clean_up
{
	if ($receiver) { $receiver->signal('TERM'); eval { $receiver->finish }; undef $receiver; }
	PostgreSQL::Test::Cluster::teardown_node($_, 'immediate') foreach grep { $_ } $main, @_;
	$sim->stop if $sim;
	return;
}

# ---- the table

my @chosen = chosen('COPIES', 'way', @ways);
open(my $table, '>', $ARGV[0]) or die "$ARGV[0]: $!\n";
$table->autoflush;
my %count = (ok => 0, fail => 0, none => 0);
my @notes;
print $table '| copy | how it was made | version | ' . join(' | ', @cells) . " |\n" . '|---' x (@cells + 3) . "|\n";
foreach my $way (@chosen)
{
	my $program = $way->{needs} // 'pg_basebackup';
	my $bindir = $ENV{PG_CONFIG} ? `$ENV{PG_CONFIG} --bindir` : '';
	chomp $bindir;
	my @row;
	if (!grep { -x "$_/$program" } $bindir, split /:/, $ENV{PATH})
	{
		push @notes, "$way->{name}: skipped, " . ($program eq 'pg_createsubscriber' ? 'PostgreSQL before 17 has no pg_createsubscriber' : "no $program");
		@row = ('skipped') x @cells;
		$count{none} += @cells;
	}
	else
	{
		my $copy;
		my @wrong = eval { original(); $copy = $way->{make}->(); $way->{promoted} ? promoted_row($copy) : copy_row($copy) };
		@wrong = ("$@" =~ s/\n/ /gr) x @cells unless @wrong;
		@row = map { !defined $_ ? '-' : $_ eq '' ? 'yes' : '**no**' } @wrong;
		$count{ $_ eq 'yes' ? 'ok' : 'fail' }++ foreach grep { $_ ne '-' } @row;
		push @notes, map { "$way->{name}, $cells[$_]: $wrong[$_]" } grep { $wrong[$_] } 0 .. $#wrong;
		eval { clean_up($copy) };
		undef $main;
	}
	print $table "| $way->{name} | $way->{what} | @{[ version_of($program) ]} | " . join(' | ', @row) . " |\n";
}
print $table "\n", map { "- $_\n" } @notes;
print $table "\n$count{ok} passed, $count{fail} failed, $count{none} skipped\n";
exit($count{fail} ? 1 : 0);
