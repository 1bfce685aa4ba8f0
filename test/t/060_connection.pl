
# A session's connection to the API: kept, replaced when it is closed, never the cause of a second request; ten
# thousand calls leave nothing behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, conf => "wawp.instance = 'support'\n");
WawpTest->create_server($node, 'looks', $sim, { verify_delays => '20ms,40ms' });

my $session = WawpTest->session($node);
my $read = "SELECT count(*) FROM wawp_participants('$group')";

sub add
{
	my ($person, $more) = @_;
	return "SELECT outcome, code, verified FROM wawp_add_participants('$group', ARRAY['$person']" . ($more // '') . ')';
}

# ---- ten thousand calls

sub calls
{
	my ($number) = @_;
	my $answer = $session->ask(<<SQL);
DO \$\$
BEGIN
	FOR i IN 1 .. $number LOOP
		CASE i % 5
			WHEN 0 THEN PERFORM * FROM wawp_add_participants('$group', ARRAY['1555888' || to_char(i % 100, 'FM0000')]);
			WHEN 1 THEN PERFORM wawp_invite_link('$group');
			WHEN 2 THEN PERFORM * FROM wawp_session();
			WHEN 3 THEN PERFORM * FROM wawp_group_info('$group');
			ELSE PERFORM * FROM wawp_participants('$group');
		END CASE;
	END LOOP;
END \$\$
SQL
	is($answer->{state}, '', "$number calls in one statement, none with an error") || diag($answer->{err});
	return $answer->{seconds};
}

sub descriptors { return scalar(my @files = glob '/proc/' . $session->pid . '/fd/*'); }

calls(1000);
my ($memory, $files) = (memory_kb($session->pid), descriptors());
my $seconds = calls(9000);
my $requests = $sim->ctl(GET => 'count')->{count};
is($sim->connections->{total}, 1, "one connection for all $requests requests");
SKIP:
{
	skip('no /proc', 2) unless $memory;
	my $growth = memory_kb($session->pid) - $memory;
	ok($growth < 1024, 'memory does not grow from the 1,000th to the 10,000th call') || diag("$growth kB");
	is(descriptors(), $files, '... nor does the number of open files');
	diag(sprintf 'after 1,000 calls %d kB, after 10,000 %d kB, at most %d kB; 9,000 calls in %.1f s',
		$memory, $memory + $growth, memory_kb($session->pid, 'VmHWM'), $seconds);
}

my $many = "SELECT count(*), count(DISTINCT p.role)
	FROM generate_series(1, %d) i, LATERAL wawp_participants(left('$group', 100 + i)) p";
$session->ask(sprintf $many, 10);    # what a query of this kind takes once
$sim->reset;
$memory = memory_kb($session->pid);
my $answer = $session->ask(sprintf $many, 1000);
is($answer->{out}, '2000|2', '1,000 calls in one query');
is($sim->count, 1000, '... are 1,000 requests');
is($sim->connections->{total}, 1, '... on the same connection still');
SKIP:
{
	skip('no /proc', 1) unless $memory;
	my $growth = memory_kb($session->pid) - $memory;
	ok($growth < 1024, '... and no memory') || diag("$growth kB");
}

# ---- one for all

$sim->reset;
$session->ask($_) foreach (
	$read, add('15551230500', ", 'looks'"), "SELECT 1/0 FROM wawp_participants('$group')",
	"BEGIN; $read; SAVEPOINT s; $read; ROLLBACK TO s; $read; ROLLBACK", $read);
is($sim->connections->{total}, 1, 'instances of the same host, errors and rollbacks share it');

SKIP:
{
	skip('no /proc', 2) unless -r '/proc/net/tcp';
	my $list = sub
	{
		return "ls -l /proc/$_[0]/fd | sed -n 's/.*socket:.\\([0-9]*\\).*/\\1/p'"
		  . ' | while read i; do grep " $i " /proc/net/tcp; done | wc -l';
	};
	my $command = $list->('self') =~ s/'/''/gr;
	my $own = $list->($session->pid);
	is(qx($own) + 0, 1, 'the session has one TCP connection');
	is($session->ask("CREATE TEMP TABLE inherited (n int); COPY inherited FROM PROGRAM '$command'; SELECT n FROM inherited")->{out},
		0, '... which programs that it starts do not inherit');
}

# ---- closed in between

foreach my $request ($read, add('15551230500'), "SELECT wawp_send_text('$group', 'hello') IS NOT NULL")
{
	$sim->reset;
	$sim->rule({ match => { path => 'invite-code' }, fault => { close_after => \1 } });
	$session->ask("SELECT wawp_invite_link('$group')");
	poll_until(sub { $sim->connections->{open} == 0 }) or die 'the connection stays';
	$answer = $session->ask($request);
	is($answer->{state}, '', 'closed by the API between two calls: the next one works') || diag($answer->{err});
	like($answer->{out}, qr/^(2|accepted\|200\|f|t)$/, '... and has its answer');
	is_deeply([ map { $_->{conn} } $sim->ledger ], [ 1, 2 ], '... after one request, on a new connection');
}

# ---- lost with a request on it

sub change
{
	my ($action) = @_;
	return "SELECT outcome, code, verified, detail LIKE '%callback%'
		FROM wawp_${action}_participants('$group', ARRAY['15550000002'])";
}

my %changes = (
	'add' => [ add('15551230510'), 'participants/add$' ],
	'remove' => [ change('remove'), 'participants/remove$' ],
	'promote' => [ change('promote'), 'admin/promote$' ],
	'send_text' => [ "SELECT wawp_send_text('$group', 'once')", 'send/text$' ],
	'create_group' => [ "SELECT wawp_create_group('Once', ARRAY['15551230510'])", '/v2/groups$' ]);

foreach my $fault (qw(reset close))
{
	foreach my $when (qw(before after mid_body))
	{
		foreach my $name (sort keys %changes)
		{
			my ($sql, $path) = @{ $changes{$name} };

			$sim->reset;
			$session->ask($read);
			$sim->rule({ match => { path => $path, method => 'POST' }, times => undef, fault => { $fault => $when } });
			$answer = $session->ask($sql);
			my @sent = grep { $_->{method} eq 'POST' } $sim->ledger;
			is(scalar @sent, 1, "$fault $when, reused connection: one $name arrives, no second");
			is($sent[0]{conn}, 1, '... on the connection that was there');
			if ($sql =~ /outcome/)
			{
				like($answer->{out}, qr/^unknown_result\|(200)?\|f/, '... and is reported as unknown');
				like($answer->{out}, qr/\|f\|f$/, '... for a reason that speaks of the connection') if $sql =~ /callback/;
			}
			else
			{
				is($answer->{state}, '08006', '... and raises 08006');
				unlike($answer->{err}, qr/callback/, '... for a reason that speaks of the connection');
			}
			$sim->unrule;
			is($session->ask($read)->{state}, '', '... and the next call works');
		}
	}
}
$sim->reset;
$session->ask($read);
$sim->rule({ match => { path => 'send/text$' }, fault => { reset => 'after' } });
$session->ask("SELECT wawp_send_text('$group', 'once')");
is(scalar @{ $sim->world->{messages} }, 1, 'a message whose answer was lost was sent once');

$sim->reset;
$session->ask($read);
$sim->rule({ match => { path => 'participants/add$' }, fault => { reset => 'after' } });
is($session->ask(add('15551230500', ", 'looks', verify => true"))->{out}, 'added||t', 'verify finds out about a lost answer')
  || diag(explain([ map { "$_->{method} $_->{path} $_->{status}" } $sim->ledger ]));
is($sim->count('add$'), 1, '... by looking, not by asking again');

# ---- an answer that comes too late is nobody's

$sim->reset;
$session->ask($read);
$sim->rule({ match => { path => 'invite-code$' }, fault => { delay => 0.4 } });
is($session->ask("SET statement_timeout = '100ms'; SELECT wawp_invite_link('$group')")->{state}, '57014', 'a call is given up');
$session->ask('RESET statement_timeout');
$sim->rule({ match => { path => 'session/info$' }, fault => { delay => 0.5 } });
is($session->ask('SELECT status FROM wawp_session()')->{out}, 'WORKING', '... the next one gets its own answer');
is(($sim->ledger)[-1]{conn}, 2, '... on a new connection');

# ---- the API is restarted

my $port = $sim->port;
$sim->kill9;
is($session->ask(add('15551230500'))->{out}, 'unreachable||f', 'while the API is away: unreachable');
$sim = WawpTest->sim(args => [ '--port', $port ]);
is($session->ask(add('15551230500'))->{out}, 'accepted|200|f', '... and when it is back, the session goes on');
is($sim->count, 1, '... with one request');

$session->quit;
ok(poll_until(sub { $sim->connections->{open} == 0 }), 'the connection ends with the session');
done_testing();
