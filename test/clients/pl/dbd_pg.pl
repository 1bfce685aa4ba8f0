# DBD::Pg: the twelve acts; see ../README.md.  Placeholders are $1, an array reference is an array.

use strict;
use warnings;

use DBI;
use IO::Select;
use JSON::PP;

my $number = $ENV{WAWP_CLIENT_NUMBER};

sub group { return sprintf '12036351%s%08d@g.us', $number, $_[0]; }
sub person { return sprintf '156%s%02d%04d', $number, $_[0], $_[1] // 0; }

sub connect_as
{
	return DBI->connect("dbi:Pg:dbname=postgres;host=$ENV{PGHOST};port=$ENV{PGPORT}", $_[0], undef,
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
}

my $db = connect_as('app');
my $state;    # the SQLSTATE of the last transaction that failed

sub rows { my ($sql, @values) = @_; return @{ $db->selectall_arrayref($sql, undef, @values) }; }
sub call { return rows(q{SELECT jid, outcome::text FROM wawp_add_participants($1, $2, instance => 'support')}, @_); }

sub request
{
	my ($to, $people, $batch) = @_;
	return rows(q{SELECT id, jid, created, problem, batch_id FROM wawp_request_add($1, $2, instance => 'support', reason => $3, batch_id => $4)},
		$to, $people, 'a reason', $batch);
}

sub queued { return (rows('SELECT count(*) FROM wawp.membership_intent WHERE group_jid = $1', $_[0]))[0][0]; }

sub same
{
	my ($have, $want, $what) = @_;
	my ($a, $b) = map { JSON::PP->new->allow_nonref->encode($_) } $have, $want;
	die "$what: $a\n" if $a ne $b;
	return;
}

sub refused
{
	my ($body, $sqlstate) = @_;
	$state = '';
	die "not refused with $sqlstate\n" if eval { $body->(); 1 };
	die $@ if ($state || $db->state) ne $sqlstate;
	return;
}

sub transaction
{
	my ($body) = @_;
	$db->begin_work;
	my $done = eval { $body->(); $db->commit; 1 };
	my $error = $@;
	return if $done;
	$state = $db->state;
	$db->rollback;
	die $error;
}

my @acts = (
	call => sub {
		my @rows = call(group(1), [ person(1) ]);
		same([ map { $_->[0] } @rows ], [ person(1) . '@c.us' ], 'rows');
		die "$rows[0][1]\n" unless $rows[0][1] =~ /^(accepted|added)$/; },
	request => sub { my ($row) = request(group(2), [ person(2) ]); same([ @$row[ 1 .. 3 ] ], [ person(2) . '@c.us', 1, undef ], 'row'); },
	insert => sub {
		$db->do(q{INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) VALUES (?, ?, 'support', 'by hand')}, undef, group(3), person(3));
		same(queued(group(3)), 1, 'rows'); },
	bulk => sub {
		my $insert = $db->prepare(q{INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES (?, ?, 'support')});
		$insert->execute_array({}, group(4), [ map { person(4, $_) } 0 .. 49 ]);
		same(queued(group(4)), 50, 'rows'); },
	trigger => sub { $db->do('INSERT INTO app.shift (group_jid, phone) VALUES (?, ?)', undef, group(5), person(5)); same(queued(group(5)), 1, 'rows'); },
	timeout => sub {
		refused(sub { transaction(sub { $db->do(q{SET LOCAL statement_timeout = '300ms'}); call($ENV{WAWP_HANGING_GROUP}, [ person(6) ]) }) }, '57014'); },
	arrays => sub {
		same([ map { [ $_->[2] ? 1 : 0, defined $_->[3] ? 1 : 0 ] } request(group(7), [ person(7), undef, 'nobody' ]) ], [ [ 1, 0 ], [ 0, 1 ], [ 0, 1 ] ], 'rows');
		same([ request(group(7), []) ], [], 'no people');
		same([ map { $_->[1] ? $_->[0] : '' } rows(q{SELECT jid, created FROM wawp_request_add($1, $2::text[], instance => 'support')}, group(7), [ 0 + person(7, 1) ]) ],
			[ person(7, 1) . '@c.us' ], 'numbers'); },
	rollback => sub {
		eval { transaction(sub { request(group(8), [ person(8) ]); die "roll back\n" }) };
		same(queued(group(8)), 0, 'after the rollback');
		transaction(sub {
			rows(q{SELECT set_config('wawp.actor', $1, true)}, 'clerk 7');
			request(group(8), [ person(8) ]) });
		same([ rows(q{SELECT requested_from ->> 'actor' FROM wawp.membership_intent WHERE group_jid = $1}, group(8)) ], [ ['clerk 7'] ], 'after the commit, the actor'); },
	wait => sub {
		request(group(9), [ person(9), person(9, 1) ], "batch $number");
		same((rows('SELECT pending, done FROM wawp_wait($1, $2)', "batch $number", '60 s'))[0], [ 0, 2 ], 'pending, done'); },
	notify => sub {
		$db->do('LISTEN wawp');
		request(group(10), [ person(10) ]);
		my $heard;
		until ($heard = $db->pg_notifies) { IO::Select->new($db->{pg_socket})->can_read; }
		same(decode_json($heard->[2])->{state}, 'done', 'heard'); },
	readonly => sub { refused(sub { transaction(sub { $db->do('SET TRANSACTION READ ONLY'); call(group(11), [ person(11) ]) }) }, '25006'); },
	stranger => sub {
		my $own = $db;
		$db = connect_as('stranger');
		my $done = eval { refused(sub { request(group(12), [ person(12) ]) }, '42501'); 1 };
		my $error = $@;
		$db->disconnect;
		$db = $own;
		die $error unless $done; },
);

$| = 1;
while (my ($name, $act) = splice @acts, 0, 2)
{
	my $done = eval { $act->(); 1 };
	my $error = $done ? '' : $@ =~ s/\s+/ /gr;
	printf "%s\t%s\t%s\n", $name, $done ? 'ok' : 'fail', $error;
}
$db->disconnect;
