
# A fault of one host, role, server, row or setting does not stop the others' intents, and wawp_explain names the
# cause.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, invites_per_minute => 0, concurrency => 4 }, conf => "log_statement = none\nwawp.instance = 'support'\n");
my $session = sturdy_session();
my $other = sturdy_session();
my ($people, $groups) = (0, 0);
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $log_from = 0;

# One that no setting of the cluster hinders.
sub sturdy_session
{
	return WawpTest->session($node, 'postgres', options => '-c search_path=public -c statement_timeout=0 -c lock_timeout=0'
		  . ' -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off'
		  . ($node->pg_version >= 17 ? ' -c transaction_timeout=0' : ''));
}

sub new_group { return sprintf '12036307770%07d@g.us', ++$groups; }
sub new_person { return sprintf '1555600%04d', ++$people; }

sub server
{
	my ($name, %options) = @_;
	WawpTest->create_server($node, $name, $sim, { adds_per_minute => 0, concurrency => 4, instance_id => 'GOWS1', %options });
	return;
}

sub ask_for
{
	my ($instance, $in_group, %more) = @_;
	my $who = $more{who} // new_person();
	my $answer = ($more{session} // $session)->ask(sprintf "SELECT id FROM wawp_request_%s('%s', ARRAY['%s'], '%s')",
		$more{action} // 'add', $in_group // $group, $who, $instance);
	die "not queued: $answer->{err}" unless $answer->{out} =~ /^\d+$/;
	return $answer->{out};
}

sub state_of { my ($id) = @_; return "SELECT state FROM wawp.membership_intent WHERE id = $id"; }

sub comes_to
{
	my ($id, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($session->until(state_of($id), $state), $state, $name) || diag($session->ask("SELECT wawp_explain($id)")->{out});
}

# Others are served, soon.
sub others_go_on
{
	my ($name, $instance, $in_group) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $started = time;
	my $id = ask_for($instance // 'support', $in_group // new_group());
	comes_to($id, 'done', "$name: another " . ($in_group ? 'role' : $instance ? 'group' : 'instance') . ' goes on');
	return is_soon(time - $started, '... at once');
}

sub explains
{
	my ($id, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($session->until("SELECT wawp_explain($id)", $expected), $expected, $name // '... wawp_explain names it');
}

sub settings
{
	my (%settings) = @_;
	$node->append_conf('faults.conf', join '', map { "$_ = $settings{$_}\n" } sort keys %settings);
	$node->reload;
	return;
}

sub no_settings
{
	unlink $node->data_dir . '/faults.conf';
	$node->append_conf('faults.conf', "# none\n");
	$node->reload;
	return;
}

$node->append_conf('faults.conf', "# none\n");
$node->append_conf('postgresql.conf', "include = 'faults.conf'\n");
$sim->world({ auto_groups => \1 });

# ---- rows that a user has locked: for ten seconds, while all the rest goes on

my ($locked_group, $sent_group) = (new_group(), new_group());
my $answered_late = new_person();
$session->ask("SELECT wawp_pause('support', '$locked_group')");
my $locked = ask_for('support', $locked_group);
my $behind = ask_for('support', $locked_group);
$sim->rule({ match => { body => $answered_late }, fault => { gate => \1 } });
my $sent = ask_for('support', $sent_group, who => $answered_late);
$sim->arrived('add$');
is($other->ask("BEGIN; SELECT count(*) FROM (SELECT FROM wawp.membership_intent WHERE id IN ($locked, $sent) FOR UPDATE) t")->{out}, 2,
	'two rows are locked, one of them on the wire');
my $locked_at = time;
$sim->unrule;
$session->ask("SELECT wawp_resume('support', '$locked_group')");
comes_to($behind, 'done', 'a locked row: those behind it go on');
others_go_on('a locked row', 'support');

# ---- hosts

server('dead', base_url => 'http://127.0.0.1:1', adds_per_minute => 6);
my @dead = map { ask_for('dead', new_group()) } 1 .. 2;
explains($_, qr/unreachable/, 'a dead host: wawp_explain names it') foreach @dead;
is($session->ask("SELECT bool_and(next_attempt_at BETWEEN updated_at + interval '5 s' AND updated_at + interval '16 s' * 2 ^ (attempts - 1)), count(*)
	FROM wawp.membership_intent WHERE instance = 'dead' AND state IN ('queued', 'sending')")->{out}, 't|2',
		'... and tries again later');
others_go_on('a dead host');

my %answers = (
	session_down => [ 422, 'instance' ],
	auth_failed => [ 401, 'instance' ],
	not_admin => [ 403, 'group' ],
	group_not_found => [ 404, 'group' ]);
foreach my $outcome (sort keys %answers)
{
	my ($status, $held) = @{ $answers{$outcome} };
	my $name = $outcome;
	my $bad_group = new_group();
	server($name, instance_id => 'GOWA01');
	$sim->rule({ match => { path => substr($bad_group, 0, 18) . '.*add$' }, times => undef, answer => { status => $status, json => { statusCode => $status, message => 'no' } } });
	my $id = ask_for($name, $bad_group);
	explains($id, qr/$held is held \($outcome\), it is tried again at/, "HTTP $status: wawp_explain names it");
	others_go_on("HTTP $status", $held eq 'group' ? $name : undef);
	is($session->ask(state_of($id))->{out}, 'queued', '... it waits');
	$sim->unrule;
	$session->ask("SELECT wawp_resume('$name'" . ($held eq 'group' ? ", '$bad_group'" : '') . ')');
	comes_to($id, 'done', '... and is done when resumed');
}

my $failing = new_person();
$sim->rule({ match => { body => $failing }, answer => { status => 503, json => { message => 'overloaded' } } });
my $id = ask_for('support', $group, who => $failing);
explains($id, qr/server_error, the next is at/, 'HTTP 503: wawp_explain names it');
others_go_on('HTTP 503', 'support', $group);

# ---- roles

$session->ask('CREATE ROLE gone LOGIN; CREATE ROLE revoked LOGIN; CREATE ROLE unmapped LOGIN; CREATE ROLE mapped LOGIN;
	GRANT USAGE ON FOREIGN SERVER support TO gone, revoked');
server('private', instance_id => 'WAJS01');
$session->ask("DROP USER MAPPING FOR PUBLIC SERVER private; CREATE USER MAPPING FOR mapped SERVER private OPTIONS (access_token 'secret');
	GRANT USAGE ON FOREIGN SERVER private TO unmapped, mapped");
my %roles = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(gone revoked unmapped mapped);
my $mixed = new_group();
$session->ask("SELECT wawp_pause('support', '$mixed')");
my %of = map { $_ => ask_for('support', $mixed, session => $roles{$_}) } qw(gone revoked);
my $well = ask_for('support', $mixed);
$roles{gone}->quit;
is($session->ask('REVOKE USAGE ON FOREIGN SERVER support FROM gone, revoked; DROP ROLE gone')->{state}, '',
	'a role is dropped, another loses USAGE');
$session->ask("SELECT wawp_resume('support', '$mixed')");
comes_to($of{$_}, 'failed', "$_: its intent fails") foreach qw(gone revoked);
explains($of{gone}, qr/role "gone".*does not exist/);
explains($of{revoked}, qr/permission denied.*support/);
comes_to($well, 'done', '... another role\'s in the same group is done');
is($session->ask("SELECT string_agg(kind::text, ' ' ORDER BY id) FROM wawp.audit_log WHERE intent_id IN ($of{gone}, $of{revoked})")->{out},
	'refused refused', '... and both refusals are recorded');

my $unmapped = ask_for('private', $mixed, session => $roles{unmapped});
explains($unmapped, qr/no access token/, 'a role without a token: wawp_explain names it');
my $mapped = ask_for('private', $mixed, session => $roles{mapped});
comes_to($mapped, 'done', '... another role\'s in the same group is done');
my $mapped_elsewhere = ask_for('private', new_group(), session => $roles{mapped});
comes_to($mapped_elsewhere, 'done', '... and in another group');
$roles{$_}->quit foreach qw(revoked unmapped mapped);

# ---- servers

server('leaving', instance_id => 'ADDF01');
my $left_group = new_group();
$session->ask("SELECT wawp_pause('leaving', '$left_group')");
$id = ask_for('leaving', $left_group);
is($session->ask('ALTER SERVER leaving RENAME TO renamed')->{state}, '', 'a server with queued intents is renamed');
explains($id, qr/held \(paused\)/);
$session->ask("SELECT wawp_resume('renamed', '$left_group')");
comes_to($id, 'done', '... they and the hold of their group follow it');
others_go_on('a renamed server');
$session->ask('ALTER SERVER renamed RENAME TO leaving');

$session->ask("SELECT wawp_pause('leaving', '$left_group')");
$id = ask_for('leaving', $left_group);
like($session->ask("BEGIN; DELETE FROM wawp.hold; DROP SERVER leaving CASCADE; SELECT wawp_explain($id); ROLLBACK")->{out}, qr/leaving/,
	'wawp_explain knows what to say without the server');
is($session->ask('DROP SERVER leaving CASCADE')->{state}, '', 'a server with queued intents is dropped');
$session->ask("DELETE FROM wawp.hold WHERE instance = 'leaving'; SELECT wawp_pause('support', '@{[ new_group() ]}')");
explains($id, qr/"leaving" does not exist/);
others_go_on('a dropped server');
server('leaving', instance_id => 'ADDF01');
$session->ask("SELECT wawp_resume('leaving', '$left_group')");
comes_to($id, 'done', '... created again and resumed, it is done');

# dropped while its request is out
my $who = new_person();
$sim->rule({ match => { body => $who }, fault => { gate => \1 } });
$sim->ctl(POST => 'ledger/clear');
$id = ask_for('leaving', $left_group, who => $who);
$sim->arrived('add$');
is($session->ask('DROP SERVER leaving CASCADE')->{state}, '', 'a server is dropped while its request is out');
$sim->unrule;
comes_to($id, 'done', '... whose answer is taken still');

# ---- rows that no trigger has looked at

$session->ask("INSERT INTO wawp.membership_intent (group_jid, jid, action, instance, state, instance_id, requested_by, origin, home)
	SELECT g, j, a::wawp.action, 'support', 'queued', 'ABC123', current_user, 'restored', gen_random_uuid() FROM (VALUES
	('$group', 'nonsense', 'add'), ('$group', '', 'add'), ('nonsense', '15551230500\@c.us', 'add'), (repeat('9', 500), '15551230500\@c.us', 'add'),
	('@{[ new_group() ]}', '15551230500\@c.us', 'invite')) v (g, j, a)");
$session->ask("SELECT wawp_pause('support', '@{[ new_group() ]}')");
others_go_on('rows that are nonsense');
others_go_on('rows that are nonsense', 'support', $group);
$session->ask("DELETE FROM wawp.membership_intent WHERE origin = 'restored'");

# ---- the locked rows again

sleep 0.1 while time - $locked_at < 10;
is($session->ask("SELECT string_agg(state::text, ' ' ORDER BY id) FROM wawp.membership_intent WHERE id IN ($locked, $sent)")->{out}, 'queued sending',
	'ten seconds later the locked rows are as they were');
my $released_at = time;
$other->ask('ROLLBACK');
comes_to($_, 'done', '... and done when they are released') foreach $locked, $sent;
is_soon(time - $released_at, '... at once');
is(scalar(grep { /$answered_late/ } $sim->people) <= 1, 1, '... the one on the wire was sent once');
is($session->ask("SELECT string_agg(kind::text, ' ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $sent")->{out}, 'sent answered verified',
	'... and recorded once');

# ---- settings of the cluster

my %settings = (
	default_transaction_read_only => 'on',
	default_transaction_isolation => 'serializable',
	statement_timeout => "'1ms'",
	lock_timeout => "'1ms'",
	idle_in_transaction_session_timeout => "'1ms'",
	idle_session_timeout => "'1ms'",
	search_path => "'nowhere'",
	session_replication_role => 'replica',
	DateStyle => "'SQL, DMY'",
	IntervalStyle => "'sql_standard'",
	row_security => 'off',
	default_tablespace => "''",
	$version >= 170000 ? (transaction_timeout => "'1ms'") : ());
delete $settings{idle_session_timeout};    # would end the sessions of this test
settings(%settings);
others_go_on('settings of the cluster, reloaded', 'support');
$session->ask("SELECT pg_terminate_backend(@{[ $session->ask(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'wawp worker'})->{out} ]})");
my $started = time;
$id = ask_for('support', new_group());
comes_to($id, 'done', '... and with a worker started under them');
others_go_on('settings of the cluster, from the start', 'support');
is($session->ask("SELECT state FROM wawp.membership_intent WHERE id = $id")->{out}, 'done', '... all is written');
no_settings();
poll_until(sub { $node->psql('postgres', 'SELECT 1') == 0 });
my $log = slurp_file($node->logfile);
unlike($log, qr/statement timeout|lock timeout|read-only transaction/, '... none of them reached the worker');

# ---- tables that somebody has locked

foreach my $table (qw(membership_intent audit_log contact hold membership suppression group_settings))
{
	$sim->reset;
	$sim->world({ auto_groups => \1 });
	$who = new_person();
	$sim->rule({ match => { body => $who }, fault => { gate => \1 } });
	my $theirs = new_group();
	my $out = ask_for('support', $theirs, who => $who);
	$sim->arrived("$theirs.*/add\$");    # and not the one that fails again and again
	# asked for in a transaction that waits to commit: the rows are there when the lock is gone
	$other->ask("BEGIN; LOCK TABLE wawp.$table IN ACCESS EXCLUSIVE MODE");
	$sim->unrule;
	my @waiting;
	if ($table ne 'membership_intent')
	{
		push @waiting, ask_for('support', new_group()) foreach 1 .. 3;
	}
	$log_from = -s $node->logfile;
	sleep 2;
	is(scalar(grep { /@{[ substr $who, 0, 7 ]}/ && !/$failing/ } $sim->people), 1, "$table is locked: nothing leaves");
	my $errors = () = substr(slurp_file($node->logfile), $log_from) =~ /ERROR: /g;
	cmp_ok($errors, '<=', 12, '... and the log is not filled');
	my $at = time;
	$other->ask('COMMIT');
	$id = ask_for('support', new_group());
	comes_to($_, 'done', '... released, service goes on') foreach $id, $out, @waiting;
	is_soon(time - $at, '... within about a second');
	my @asked = split /\n/, $session->ask("SELECT split_part(jid, '\@', 1) FROM wawp.membership_intent WHERE id IN (" . join(', ', $id, $out, @waiting) . ')')->{out};
	my %times = map { $_ => 0 } @asked;
	exists $times{$_} and $times{$_}++ foreach map { s/add //r } $sim->people;
	is_deeply([ grep { $times{$_} != 1 } @asked ], [],
		'... and each was sent once');
}

# ---- switched off

$sim->reset;
$sim->world({ auto_groups => \1 });
$who = new_person();
$sim->rule({ match => { body => $who }, fault => { gate => \1 } });
my $shy = new_person();
$sim->world({ people => { $shy => { privacy => 'nobody' } } });
$sim->rule({ match => { body => $shy }, fault => { gate => \1 } });
my $under_way = ask_for('support', new_group(), who => $who);
my $to_invite = ask_for('support', new_group(), who => $shy);
$sim->arrived('add$', 2);
settings('wawp.worker' => 'off');
poll_until(sub { $session->ask('SHOW wawp.worker')->{out} eq 'off' });
sleep 0.5;    # the worker reads it, too
$sim->unrule;
$id = ask_for('support', new_group());
comes_to($under_way, 'done', 'wawp.worker = off: what is under way is finished');
comes_to($to_invite, 'inviting', '... and looked after');
is($session->ask(state_of($id))->{out}, 'queued', '... and nothing else is claimed');
is($sim->count('send/text'), 0, '... nobody is invited');
explains($id, qr/switched off \(wawp\.worker\)/);
ok(WawpTest->worker($node), '... the process stays');
no_settings();
comes_to($id, 'done', 'on again: it goes on');
comes_to($to_invite, 'invited', '... also with invitations');

is($session->ask('SELECT max(id) - count(*) FROM wawp.audit_log')->{out}, 0,
	'after all that the audit log has no gaps');
is($session->ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'sending'")->{out}, 0,
	'... and nothing hangs');
$_->quit foreach $session, $other;
done_testing();
