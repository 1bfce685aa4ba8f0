
# A full disk under the queue and the audit log: nothing is sent unrecorded, nothing is lost, and free space is all
# that is needed to continue.  The database is on a small file system in a mount namespace of this test's own, the WAL
# is not: a server whose WAL has no room stops.

use strict;
use warnings;

use Config;
use Errno qw(ENOSPC);
use File::Temp;
use FindBin;
use lib "$FindBin::RealBin/../perl";

# A command that runs another as the same user where $dir is a small file system.
sub on_small_disk
{
	my ($dir, @command) = @_;
	my $script = 'mount -t tmpfs -o size=48m,mode=700 none "$1" && user=$2 group=$3 && shift 3 && exec unshare --user --map-user="$user" --map-group="$group" -- "$@"';
	return ('unshare', '--user', '--map-root-user', '--mount', '--', 'sh', '-c', $script, 'sh', $dir, $> + 0, $) + 0, @command);
}

# The whole test moves there, before anything is loaded that makes files or takes the output.
BEGIN
{
	unless ($ENV{WAWP_TEST_SMALL_DISK})
	{
		my $dir = File::Temp->newdir('fullXXXXXX', TMPDIR => 1);
		my $probe = join ' ', map { "'" . s/'/'\\''/gr . "'" } on_small_disk($dir, 'true');
		my ($why) = split /\n/, `$probe 2>&1`;
		if ($?)
		{
			print "1..0 # SKIP no small file system for an unprivileged user: " . ($why // 'unshare failed') . "\n";
			exit;
		}
		local $ENV{WAWP_TEST_SMALL_DISK} = "$dir";
		local $ENV{PERL5LIB} = join $Config{path_sep}, @INC;
		my $status = system(on_small_disk($dir, $^X, $0));
		exit($status == 0 ? 0 : $status >> 8 || 1);
	}
}

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

use constant IN_FLIGHT => 16;

my $disk = $ENV{WAWP_TEST_SMALL_DISK};
# No autovacuum: with a catalog vacuumed or analyzed, the file from which a database's connections are initialized is
# removed, and while that finds no room nobody can connect, no worker either (FATAL: could not write init file).
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4, instance_id => 'GOWS1' }, conf => "log_statement = none\nrestart_after_crash = on\nautovacuum = off\nlog_line_prefix = '%m [%p] %b '\n");
mkdir "$disk/space";
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/space'");
$node->safe_psql('postgres', 'CREATE DATABASE crowded TABLESPACE small');
$node->safe_psql('crowded', 'CREATE EXTENSION wawp');
WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0, concurrency => IN_FLIGHT }, 'crowded');
my $session = WawpTest->session($node, 'crowded');
my $elsewhere = WawpTest->session($node);
my ($people, $sent_elsewhere) = (0, 0);

# Requests overlap, so that some are on the wire whenever the disk becomes full.
$sim->world({ auto_groups => \1 });
$sim->rule({ match => { path => 'add$', body => 'ABC123' }, times => undef, fault => { delay => 0.03 } });

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub requests { return $sim->ctl(GET => 'count?path=add%24')->{count} - $sent_elsewhere; }

sub enqueue
{
	my ($number) = @_;
	ask("INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '12036307770' || to_char(i % 40, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000')
		FROM generate_series($people, $people + $number - 1) i");
	$people += $number;
	return;
}

sub fill
{
	open(my $file, '>', "$disk/filler") or die "filler: $!";
	my $block = "\0" x 4096;
	1 while defined syswrite($file, $block);
	die "filler: $!" unless $!{ENOSPC};
	close $file;
	return;
}

sub room { unlink "$disk/filler" or die "filler: $!"; return; }

# How often each person was sent according to the ledger and to committed records.
sub not_recorded
{
	my (%sent, %recorded);
	$sent{$_}++ foreach map { $_->{body}{participants}[0]{id} } grep { $_->{body}{instance_id} eq 'ABC123' } $sim->ledger(qr/add$/);
	%recorded = map { split /\|/ } split /\n/, ask("SELECT jid, count(*) FROM wawp.audit WHERE kind = 'sent' GROUP BY jid");
	return [ grep { $sent{$_} > ($recorded{$_} // 0) } sort keys %sent ];
}

# Since 19 a reader marks pages as visible to all, for which a table's visibility map must exist: without room to make
# one it is refused.  With the maps made, readers are answered as by the older versions.  The catalogs have theirs.
sub make_visibility_maps
{
	return if $node->pg_version->major < 19;
	ask('VACUUM ' . ask("SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relnamespace = 'wawp'::regnamespace AND relkind IN ('r', 'p')"));
	return;
}

# Fills the disk while requests are made; comes back when none has been made for two seconds.
sub fill_while_serving
{
	my ($name) = @_;
	my $before = requests();
	enqueue(600);
	poll_until(sub { requests() > $before + 50 });
	make_visibility_maps();
	fill();
	my ($last, $since) = (-1, time);
	poll_until(sub { my $now = requests(); ($last, $since) = ($now, time) if $now != $last; time - $since > 2 });
	return cmp_ok(ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'"), '>', 100, "$name: the service has stopped, with much to do");
}

# A page with a little room may be found late, for a few records.
sub nothing_leaves
{
	my ($name, $stopped_at) = @_;
	cmp_ok(requests(), '<=', $stopped_at + 10, $name);
	return is_deeply(not_recorded(), [], '... and whatever has left is recorded');
}

# Makes room, and waits until requests are made again.
sub make_room
{
	my ($name) = @_;
	my $before = requests();
	my $started = time;
	room();
	ok(poll_until(sub { requests() > $before }), "$name: with room again, the service resumes by itself");
	my $seconds = time - $started;
	diag(sprintf '%s: resumed after %.2f s', $name, $seconds);
	return is_soon($seconds, '... soon');
}

# Every person was added; more than once only who was in doubt.
sub all_done
{
	my ($name) = @_;
	is($session->until("SELECT count(*) FROM wawp.membership_intent WHERE state <> 'done'", 0), 0, "$name: all is done in the end");
	my %times;
	$times{$_}++ foreach map { s/add //r } grep { /1556/ } $sim->people;
	my %attempts = map { split /\|/ } split /\n/, ask("SELECT split_part(jid, '\@', 1), attempts FROM wawp.membership_intent");
	is(scalar(keys %attempts), $people, '... all that were asked for');
	is_deeply([ grep { !$times{$_} } sort keys %attempts ], [], '... nobody is lost');
	is_deeply([ grep { $times{$_} > $attempts{$_} } sort keys %attempts ], [], '... nobody was added more often than noted');
	is_deeply(not_recorded(), [], '... and every request is recorded');
	is(ask('SELECT max(id) - count(*) FROM wawp.audit_log'), 0, '... without gaps');
	return [ grep { $times{$_} > 1 } sort keys %attempts ];
}

# ---- full while requests are made

my $worker = WawpTest->worker($node, 'crowded');
fill_while_serving('a full disk');
is_deeply(not_recorded(), [], '... whatever has left is recorded');
my $stopped_at = requests();
my $log_from = -s $node->logfile;
my $full_at = time;

my $refused = $session->ask("INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '120363012345678901\@g.us', '1557' || to_char(i, 'FM0000000')
	FROM generate_series(1, 5000) i");
is($refused->{state}, '53100', '... who asks for many is told that the disk is full');
is(ask("SELECT count(*) FROM wawp.membership_intent WHERE jid LIKE '1557%'"), 0, '... and none of them is queued');
my ($waiting) = split /\n/, ask("SELECT id FROM wawp.membership_intent WHERE state = 'queued' ORDER BY id DESC LIMIT 1");
my $explained = ask("SELECT wawp_explain($waiting)");
like($explained, qr/^queued: ./, '... wawp_explain answers');
note($explained);
is(ask('SELECT sum(queued) = (SELECT count(*) FROM wawp.membership_intent WHERE state = $$queued$$) FROM wawp.queue'), 't', '... and so do the views');

# the other database has room
$elsewhere->ask("SELECT wawp_request_add('120363012345678901\@g.us', ARRAY['15557770001'], 'support', batch_id => 'elsewhere')");
$sent_elsewhere = $elsewhere->until("SELECT done FROM wawp.progress WHERE batch_id = 'elsewhere'", 1);
is($sent_elsewhere, 1, '... another database is served');

poll_until(sub { time - $full_at > 4 });
nothing_leaves('... while nothing leaves here', $stopped_at);
my @errors = substr(slurp_file($node->logfile), $log_from) =~ /wawp worker .*(ERROR: .*)/g;
my $seconds = time - $full_at;
like(join("\n", @errors), qr/No space left on device/, '... the log says why');
diag(sprintf 'a full disk: %.1f errors of the worker a second in the log', @errors / $seconds);
cmp_ok(@errors / $seconds, '<', 30, '... and not too often');
is(WawpTest->worker($node, 'crowded'), $worker, '... and the worker is the same');

make_room('a full disk');
is_deeply(all_done('a full disk'), [], '... and nobody was added twice');
is(WawpTest->worker($node, 'crowded'), $worker, '... by the same worker');

# ---- the worker ends while the disk is full, and another one finds rows in doubt

# What was on the wire, and answers that found no room: these are few, for a request that cannot be recorded is not made.
my $most_in_doubt = IN_FLIGHT + 10;

fill_while_serving('full again');
$elsewhere->ask("SELECT pg_terminate_backend($worker)");
my $another = "SELECT pid <> $worker FROM pg_stat_activity WHERE backend_type = 'wawp worker' AND datname = 'crowded'";
is($elsewhere->until($another, 't'), 't', 'the worker is ended while the disk is full: there is another one');
$stopped_at = requests();
sleep 2;
nothing_leaves('... which sends nothing that it cannot record', $stopped_at);
like(ask("SELECT wawp_explain(max(id)) FROM wawp.membership_intent WHERE state = 'queued'"), qr/^queued: ./, '... wawp_explain answers');
make_room('another worker');
my $twice = all_done('another worker');
cmp_ok(scalar(@$twice), '<=', $most_in_doubt, '... no more were added twice than were in doubt');
is_deeply([ split /\n/, ask("SELECT split_part(jid, '\@', 1) FROM wawp.membership_intent WHERE attempts > 1 ORDER BY 1") ], $twice, '... and they are those noted as tried twice');

# ---- the server ends while the disk is full

fill_while_serving('full once more');
$_->quit foreach $session, $elsewhere;
$node->stop('immediate');
room();
$node->start;
$session = WawpTest->session($node, 'crowded');
$elsewhere = WawpTest->session($node);
my $all = all_done('a crash with a full disk');
cmp_ok(scalar(@$all), '<=', @$twice + $most_in_doubt, '... no more were added twice than were in doubt');

$_->quit foreach $session, $elsewhere;
done_testing();
