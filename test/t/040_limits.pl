
# Answers that are too large, too slow, truncated or unreadable: a row or an error, memory and time within their
# limits, and the next call of the session works.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use Time::HiRes qw(time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $large_group = '120363012345678903@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, conf => "wawp.instance = 'support'\n");
my ($deaf, $deaf_port) = WawpTest->deaf_port;
my ($full, $full_port) = WawpTest->full_port;

WawpTest->create_server($node, 'hasty', $sim, { timeout_ms => 400 });
WawpTest->create_server($node, 'deaf', $sim, { base_url => "http://127.0.0.1:$deaf_port", timeout_ms => 400 });
WawpTest->create_server($node, 'busy', $sim, { base_url => "http://127.0.0.1:$full_port", connect_timeout_ms => 400 }) if $full;
WawpTest->create_server($node, 'closed', $sim, { base_url => 'http://127.0.0.1:1' });

my $session = WawpTest->session($node);
my $add = "SELECT outcome, code, detail FROM wawp_add_participants('$group', ARRAY['15551230500', '15551230501'])";
my $read = "SELECT * FROM wawp_participants('$group')";

sub on { my ($path, %rule) = @_; $sim->rule({ match => { path => $path }, times => undef, %rule }); return; }

sub works
{
	my ($name) = @_;
	$sim->unrule;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($session->ask($add)->{out}, qr/\A(accepted\|200\|.*\n?){2}\z/, $name // '... and the next call works');
}

# Two people in one request get the same row; reading raises; then all is well again.
sub lost
{
	my ($name, %expected) = @_;
	my $instance = $expected{instance} // 'support';
	my $set = $expected{set} // '';

	$sim->reset;
	on('participants', %{ $expected{rule} }) if $expected{rule};
	my $answer = $session->ask("SET wawp.instance = '$instance'; $set; $add");
	like($answer->{out}, qr/\A($expected{row}\n?){2}\z/, "$name: a row for each person") || diag($answer->{err});
	is($answer->{state}, '', '... and no error');
	is($sim->count, $expected{requests} // 1, '... after one request');
	is($session->ask($read)->{state}, $expected{state}, "... $expected{state} when reading");
	$session->ask('RESET ALL');
	works();
	return $answer->{seconds};
}

sub in_time
{
	my ($seconds, $low) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($seconds, '>', $low, "... after $low s");
	return is_soon($seconds, '... and not much later');
}

# ---- too large

works('an ordinary call');
my $before = memory_kb($session->pid);
my %too_large = (row => 'unknown_result\|200\|.*max_response_size.*', state => '54000');
lost('50 MB, announced', %too_large, rule => { fault => { big => 50_000_000 } });
lost('50 MB, not announced', %too_large, rule => { fault => { big => 50_000_000, chunked => \1 } });
SKIP:
{
	skip('no /proc', 1) unless $before;
	my $growth = memory_kb($session->pid, 'VmHWM') - $before;
	ok($growth < 12_000, 'the session never needed memory for it') || diag("$growth kB");
}
lost('a limit of the session\'s own', %too_large, rule => { fault => { big => 3000 } }, set => "SET wawp.max_response_size = '2kB'");
lost('more than 64 kB of headers', row => 'unknown_result\|200\|.*', state => '54000', rule => { fault => { big_headers => 80_000 } });
lost('a failure of 50 MB', row => 'server_error\|503\|.*', state => '54000',
	rule => { answer => { status => 503 }, fault => { big => 50_000_000 } });

$sim->reset;
on('participants/add$', fault => { big_headers => 50_000 });
like($session->ask($add)->{out}, qr/^accepted\|/, '50 kB of headers are taken');
$sim->reset;
on('participants/add$', fault => { big => 3_000_000 });
my $answer = $session->ask($add);
like($answer->{out}, qr/^accepted\|/, 'and 3 MB of body');
is_soon($answer->{seconds}, '... in reasonable time');
works();

# ---- cut off

lost('cut off in the middle, by a close', row => 'unknown_result\|200\|.*', state => '08006', rule => { fault => { close => 'mid_body' } });
lost('cut off in the middle, by a reset', row => 'unknown_result\|200\|.*', state => '08006', rule => { fault => { reset => 'mid_body' } });
lost('cut off in the middle, no length', row => 'unknown_result\|200\|.*', state => '08006',
	rule => { fault => { close => 'mid_body', chunked => \1 } });
lost('closed without an answer', row => 'unknown_result\|\|.*', state => '08006',
	rule => { fault => { close => 'before' } });

# ---- not what it claims to be

my %garbage = (row => 'unknown_result\|200\|.*', state => '08P01');
lost('half of the JSON', %garbage, rule => { fault => { truncate_json => \1 } });
lost('bytes that are not UTF-8', %garbage, rule => { fault => { bad_utf8 => \1 } });
lost('a NUL', %garbage, rule => { fault => { nul => \1 } });
lost('nothing', %garbage, rule => { answer => { text => '' } });
lost('a page', %garbage, rule => { answer => { text => '<html>Gateway</html>', content_type => 'text/html' } });
lost('another type', row => 'accepted\|200\|.*', state => '', rule => { fault => { content_type => 'image/png' } });
lost('100,000 open brackets', %garbage, rule => { answer => { text => '[' x 100_000 } });
lost('100,000 open braces', %garbage, rule => { answer => { text => '{"a":' x 100_000 } });
lost('a number as the answer', %garbage, rule => { answer => { text => '42' } });
lost('a lone surrogate', %garbage, rule => { answer => { text => '{"message":"\ud800"}' } });

# What is shown of such a body is text that the database takes.
$sim->reset;
on('participants/add$', answer => { base64 => 'b29wcyD//sMoIOLCoSDwnw==' });    # "oops ", then no UTF-8
is($session->ask("SELECT DISTINCT convert_from(convert_to(detail, 'UTF8'), 'UTF8') = detail
	FROM wawp_add_participants('$group', ARRAY['15551230500'])")->{out}, 't', 'the detail is valid text');
is($session->ask("CREATE TEMP TABLE kept AS SELECT * FROM wawp_add_participants('$group', ARRAY['15551230500'])")->{state},
	'', '... that can be stored');
on('participants$', answer => { base64 => 'b29wcyD//sMoIOLCoSDwnw==' });
is($session->ask($read)->{state}, '08P01', '... and the error can be shown');
works();

# ---- too slow

my %late = (row => 'unknown_result\|%s\|.*', state => '08006', instance => 'hasty');
sub late { my ($code) = @_; return (%late, row => sprintf $late{row}, $code); }
in_time(lost('no answer', late(''), rule => { fault => { hang => \1 } }), 0.35);
in_time(lost('an answer that trickles in', late(200), rule => { fault => { trickle => 20 } }), 0.35);
in_time(lost('headers that trickle in', late('(200)?'), rule => { fault => { slow_headers => 0.25 } }), 0.35);
in_time(lost('nobody reads the request', %late, row => 'unknown_result\|\|.*', instance => 'deaf', requests => 0), 0.35);

# ---- no connection

my %unreachable = (row => 'unreachable\|\|.*', state => '08001', requests => 0);
SKIP:
{
	skip('this kernel refuses connections that it cannot queue', 6) unless $full;
	in_time(lost('nobody takes the connection', %unreachable, instance => 'busy'), 0.35);
}
in_time(lost('a closed port', %unreachable, instance => 'closed'), 0, 1);
like($session->ask("SELECT * FROM wawp_participants('$group', 'closed')")->{err},
	qr/DETAIL:[^\n]*No HTTP status[^\n]*connect.*HINT: /is, '... with what libcurl says, and a hint');

# ---- a crowd

$sim->reset;
$answer = $session->ask("SELECT count(*), count(DISTINCT jid), count(*) FILTER (WHERE role = 'owner')
	FROM wawp_participants('$large_group')");
is($answer->{out}, '1024|1024|1', 'a group of 1,024 is read');
is($sim->count, 1, '... in one request');
is($session->ask("SELECT size, is_admin, jsonb_typeof(raw) FROM wawp_group_info('$large_group')")->{out},
	'1024|t|object', '... and described');
$sim->reset;
$session->ask("SELECT count(*) FROM wawp_add_participants('$group',
	ARRAY(SELECT '1555200' || to_char(i, 'FM0000') FROM generate_series(1, 120) i))");
is(scalar(my @requests = $sim->ledger('add$')), 3, '120 people are added in three requests');
is_deeply([ map { scalar @{ $_->{body}{participants} } } @requests ], [ 50, 50, 20 ], '... of at most 50');

# A list of 20,000 is no group's, but an answer under the limit: reading it is a matter of a moment and of
# a multiple of its size.
my @members = map { +{ id => "15560000$_\@c.us", role => 'participant' } } 10000 .. 29999;
foreach my $call ("wawp_participants('$group')", "wawp_group_info('$group')", 'wawp_groups()',
	"wawp_add_participants('$group', ARRAY['15551230500'])")
{
	my $fresh = WawpTest->session($node);
	my $description = { id => $group, subject => 'Support', participants => \@members };

	$sim->reset;
	$sim->rule({ match => { path => 'groups' }, answer => { json => $call =~ /groups/ ? [$description] : $description } });
	$answer = $fresh->ask("SELECT count(*) FROM $call");
	is($answer->{state}, '', "a list of 20,000 from $call") || diag($answer->{err});
	is_soon($answer->{seconds}, '... is read in a moment');
  SKIP:
	{
		skip('no /proc', 1) unless $before;
		my $most = memory_kb($fresh->pid, 'VmHWM') - $before;
		ok($most < 150_000, '... with memory in proportion') || diag("$most kB");
	}
	$fresh->quit;
}

works('after all that, a call works');
diag(sprintf 'memory of a session that met all of it: %d kB before, %d kB after, %d kB at most',
	$before, memory_kb($session->pid), memory_kb($session->pid, 'VmHWM')) if $before;

$session->quit;
done_testing();
