
# Transactions that keep a snapshot (REPEATABLE READ, SERIALIZABLE): that the worker has served the queue's rows since is no
# failure of the application's writes.  That another session has asked for something since is one, as for its own tables.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0, reads_per_minute => 0 });
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask(q{CREATE TABLE shift (id serial PRIMARY KEY, g text, who text);
	CREATE TRIGGER member AFTER INSERT OR UPDATE OR DELETE ON shift FOR EACH ROW
		EXECUTE FUNCTION wawp_membership_trigger('group=g', 'jid=who', 'instance=support')});

my $app = WawpTest->session($node);
my $group;

sub must { my ($sql) = @_; my $answer = $app->ask($sql); die "$sql: $answer->{err}\n" if $answer->{state}; return $answer->{out}; }

# Who of these is in the group when nothing is left to be done.
sub members
{
	$wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE group_jid = '$group' AND state NOT IN ('done', 'failed', 'cancelled')", 0);
	my $in = $sim->world->{groups}{$group}{members};
	return join ' ', grep { $in->{$_} } @_;
}

# ---- each statement a transaction: the worker serves the addition while its removal is asked for

foreach my $level ('repeatable read', 'serializable')
{
	$group = $wawp->group;
	must("SET default_transaction_isolation = '$level'");
	my (@people, @failed);
	foreach (1 .. 25)
	{
		push @people, my $who = $wawp->person;
		foreach my $write ("INSERT INTO shift (g, who) VALUES ('$group', '$who')", "DELETE FROM shift WHERE who = '$who'")
		{
			my $answer = $app->ask($write);
			push @failed, "$write: $answer->{err}" if $answer->{state} || $answer->{err};
		}
	}
	is(join("\n", @failed), '', "$level: rows come and go");
	is(members(@people), '', '... and the people with them');
	must('RESET default_transaction_isolation');
}

# ---- a transaction whose snapshot shows the addition as it was

# Has someone added, up to a point while the application's transaction begins, and then to another; returns who and the intent.
sub served
{
	my ($level, $from, $to) = @_;
	my $who = $wawp->person;

	$group = $wawp->group;
	$sim->rule({ match => { path => 'participants/add$', body => $who }, fault => { gate => \1 } });
	$wawp->ask("SELECT wawp_pause('support')") if $from eq 'queued';
	$wawp->ask("INSERT INTO shift (g, who) VALUES ('$group', '$who')");
	my $id = $wawp->ask("SELECT id FROM wawp.membership_intent WHERE group_jid = '$group'");
	$wawp->comes_to($id, $from);
	must("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM shift; SELECT state FROM wawp.membership_intent WHERE id = $id");
	$wawp->ask("SELECT wawp_resume('support')") if $from eq 'queued';
	$wawp->comes_to($id, qr/^sending/);
	return ($who, $id) if $to eq 'sending';
	$sim->unrule;
	$wawp->comes_to($id, qr/^done/);
	return ($who, $id);
}

my $other;
my @acts = (
	[ 'a second row for the person', sub { "INSERT INTO shift (g, who) VALUES ('$group', '$_[0]')" }, sub { $_[0] } ],
	[ 'the row is deleted', sub { "DELETE FROM shift WHERE who = '$_[0]'" }, sub { '' } ],
	[ 'the row gets another person', sub { "UPDATE shift SET who = '$other' WHERE who = '$_[0]'" }, sub { $other } ],
	[ 'a row of the queue', sub { "INSERT INTO wawp.membership_intent (group_jid, jid, action, instance) VALUES ('$group', '$_[0]', 'remove', 'support')" }, sub { '' } ],
	[ 'a request', sub { "SELECT created FROM wawp_request_remove('$group', ARRAY['$_[0]'], 'support')" }, sub { '' } ],
	[ 'the same request', sub { "SELECT created FROM wawp_request_add('$group', ARRAY['$_[0]'], 'support')" }, sub { $_[0] } ],
	[ 'a cancellation', sub { "SELECT wawp_cancel($_[1])" }, sub { $_[0] } ],
	[ 'the row comes and goes in the transaction', sub { "DELETE FROM shift WHERE who = '$_[0]'; INSERT INTO shift (g, who) VALUES ('$group', '$_[0]'); DELETE FROM shift WHERE who = '$_[0]'" }, sub { '' } ],
	[ '... and comes again', sub { "DELETE FROM shift WHERE who = '$_[0]'; INSERT INTO shift (g, who) VALUES ('$group', '$_[0]')" }, sub { $_[0] } ]);

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	foreach my $course ([ 'queued', 'done' ], [ 'sending', 'done' ], [ 'queued', 'sending' ])
	{
		foreach my $act (@acts)
		{
			my ($name, $sql, $expected) = @$act;
			my ($who, $id) = served($level, @$course);
			$other = $wawp->person;
			my $answer = $app->ask($sql->($who, $id));
			is("$answer->{state}$answer->{err}", '', "$level, $course->[0], now $course->[1]: $name");
			is($app->ask('COMMIT')->{state}, '', '... is committed');
			$sim->unrule;
			is(members($who, $other), $expected->($who), '... and becomes true');
		}
	}
}

# ---- the worker itself has asked for the removal since

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $who = $wawp->person;
	$group = $wawp->group;
	my $id = $wawp->want(group => $group, who => $who, until => q(now() + '1 hour'));
	$wawp->comes_to($id, qr/^done/);
	must("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM wawp.membership_intent");
	$wawp->ask("SELECT wawp_pause('support', '$group'); UPDATE wawp.membership SET until = now() WHERE group_jid = '$group'");
	# the worker looks when another's end has passed
	$wawp->end($wawp->want(until => q(clock_timestamp() - interval '1 s')));
	is($wawp->until("SELECT origin FROM wawp.membership_intent WHERE group_jid = '$group' AND state = 'queued'", 'until'), 'until', 'a removal, as the time is over');
	my $answer = $app->ask("INSERT INTO shift (g, who) VALUES ('$group', '$who')");
	is("$answer->{state}$answer->{err}", '', "$level: a row for the person");
	is($app->ask('COMMIT')->{state}, '', '... is committed');
	$wawp->ask("SELECT wawp_resume('support', '$group')");
	is(members($who), $who, '... and they stay');
}

# ---- another session has asked since, for a row that the snapshot does not show

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	foreach my $sql ('DELETE FROM shift WHERE who = $who', 'INSERT INTO shift (g, who) VALUES ($group, $who)')
	{
		my ($who, $id) = served($level, 'queued', 'done');
		$wawp->ask("SELECT wawp_pause('support', '$group'); INSERT INTO shift (g, who) VALUES ('$group', '$who')");
		is($app->ask($sql =~ s/\$who/'$who'/r =~ s/\$group/'$group'/r)->{state}, '40001', "$level, another session's row: " . substr($sql, 0, 6) . ' fails');
		$app->ask('ROLLBACK');
		$wawp->ask("SELECT wawp_resume('support', '$group')");
		is(members($who), $who, '... and the person stays');
	}
}

done_testing();
