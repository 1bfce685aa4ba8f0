
=head1 NAME

FaultRow - one row of the fault matrix: its load, and its books

=head1 CONTRACT

A row asks for people nobody else asks for, in the queue and by session calls, and is told when a
fault ends.  In the end it compares three books: what was asked for (committed), what arrived at the
API (the simulator's ledger), what is recorded (the audit log).  README.md defines the columns.

The server may be away at any moment: what is asked of it is asked again until it answers.

=cut

package FaultRow;

use strict;
use warnings;

use List::Util qw(max min sum0);
use Time::HiRes qw(time);
use WawpTest;

# What a person was told who was not sent anything.
my %is_not_known = map { $_ => 1 } qw(unreachable unknown_result);
my $people = 0;
# So many of them are asked for in the same groups, 20 of the queue's and one of the callers', which have room for 1,024 each.
my $in_groups = 10_000;

=head1 FUNCTIONS

=head2 FaultRow->new(node => $node, sim => $sim, fault => $name, step => $name, ...)

  dbname => 'postgres', instance => 'support'    where it asks

Begins a new ledger.

=cut

sub new
{
	my ($class, %self) = @_;
	my $self = bless {
		dbname => 'postgres',
		instance => 'support',
		first => $people,
		committed => {},
		answers => {},
		sessions => [],
		ends => [],
		problems => [],
		%self }, $class;

	$self->{sim}->unrule;
	$self->{sim}->ctl(POST => 'ledger/clear');
	return $self;
}

sub node { return $_[0]{node}; }
sub sim { return $_[0]{sim}; }

sub _person { return sprintf '1556%07d', $_[0]; }

=head2 $row->ask($sql), $row->wait_for($sql, $expected, [$seconds])

The rows a statement answers, asked until the server does; until they are as expected (true or not).

=cut

# psql's exit status and the rows.  A psql that cannot connect may end before it has read the statement: an exit status as well.
sub _psql
{
	my ($self, $sql) = @_;
	my @answer = eval { $self->{node}->psql($self->{dbname}, $sql) };
	return @answer if @answer;
	die $@ if $@ !~ /Broken pipe/;
	return (2, '');
}

sub ask
{
	my ($self, $sql) = @_;
	my $out;
	poll_until(sub { my ($status, $rows) = $self->_psql($sql); $out = $rows; return $status == 0; }, 60)
	  or die "no answer to $sql\n";
	return $out;
}

sub wait_for
{
	my ($self, $sql, $expected, $seconds) = @_;
	return poll_until(sub { return $self->ask($sql) eq $expected; }, $seconds // 30);
}

=head2 $row->enqueue($number)

That many new intents in one INSERT; false if it was not committed.

=cut

sub enqueue
{
	my ($self, $number) = @_;
	my ($from, $to) = ($people, $people + $number - 1);
	my ($first_group, $last_group) = (int($from / $in_groups) * 20, int($to / $in_groups) * 20 + 19);

	$people += $number;
	# numbers are not checked first: what a fault meets is an addition
	my ($status) = $self->_psql("
		INSERT INTO wawp.group_settings (instance, group_jid, check_exists)
		SELECT '$self->{instance}', '12036308880' || to_char(i, 'FM0000000') || '\@g.us', false FROM generate_series($first_group, $last_group) i
		ON CONFLICT DO NOTHING;
		INSERT INTO wawp.membership_intent (group_jid, jid, instance)
		SELECT '12036308880' || to_char(i / $in_groups * 20 + i % 20, 'FM0000000') || '\@g.us', '1556' || to_char(i, 'FM0000000'), '$self->{instance}'
		FROM generate_series($from, $to) i");
	return 0 if $status != 0;
	$self->{committed}{ _person($_) } = 1 foreach $from .. $to;
	return 1;
}

=head2 $row->open_sessions($number)

=head2 $row->call([$session, ...], statements => n, people => n, [pause => seconds])

Hands each session so many calls for so many people, which it makes one after the other; does not wait.

=head2 $row->hear

Waits for what they say; then there are none.

=cut

sub open_sessions
{
	my ($self, $number) = @_;
	my @sessions = map { WawpTest->session($self->{node}, $self->{dbname}) } 1 .. $number;
	push @{ $self->{sessions} }, @sessions;
	return @sessions;
}

sub call
{
	my ($self, $sessions, %how) = @_;

	foreach my $session (@$sessions)
	{
		my @calls;
		foreach (1 .. $how{statements})
		{
			my @jids = map { "'" . _person($people++) . "'" } 1 .. $how{people};
			my $group = sprintf '12036308890%07d@g.us', $people / $in_groups;
			push @calls, "SELECT jid, outcome FROM wawp_add_participants('$group', ARRAY["
			  . join(', ', @jids) . "], '$self->{instance}');";
		}
		# by psql: pg_sleep() goes by the server's clock, which may be set back
		$session->send(join $how{pause} ? "\n\\! sleep $how{pause}\n" : "\n", @calls);
	}
	return;
}

sub hear
{
	my ($self) = @_;

	foreach my $session (splice @{ $self->{sessions} })
	{
		my $answer = $session->answer;
		$self->{answers}{$1} = $2 while $answer->{out} =~ /^(\d+)\@c\.us\|(\w+)$/mg;
		$session->quit;    # also of one that is gone: its pipes would go to every server that is started from now on
	}
	return;
}

=head2 $row->ended([$offset])

The fault ends now (and the server's clock is so many seconds ahead of ours from now on).

=cut

sub ended
{
	my ($self, $offset) = @_;
	push @{ $self->{ends} }, { at => time, offset => $offset // 0 };
	return;
}

=head2 $row->problem($text)

Something is wrong with this row.

=cut

sub problem { my ($self, $text) = @_; chomp $text; push @{ $self->{problems} }, $text; return; }

sub _mine { my ($self) = @_; return "jid >= '" . _person($self->{first}) . "' AND jid < '" . _person($people) . "'"; }

=head2 $row->settled([$seconds])

Waits until each of its intents is settled; false: they are not.

=cut

sub settled
{
	my ($self, $seconds) = @_;
	my $live = "SELECT count(*) FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled') AND " . $self->_mine;
	return $self->wait_for($live, 0, $seconds // 60);
}

=head2 $row->arrived($number)

Waits until so many more requests than at the last $row->mark have arrived whole.

=cut

sub mark
{
	my ($self) = @_;
	$self->{mark} = $self->{sim}->ctl(GET => 'count')->{count};
	$self->{adds} = $self->{sim}->ctl(GET => 'count?path=add%24')->{count};
	return;
}

sub arrived { my ($self, $number) = @_; return $self->{sim}->arrived('add$', $self->{adds} + $number); }

=head2 $row->answered($number)

Waits until so many of those have been answered.

=cut

sub answered
{
	my ($self, $number) = @_;
	return poll_until(
		sub {
			my $entries = $self->{sim}->ctl(GET => "ledger?since=$self->{mark}");
			return $number <= grep { $_->{answered_at} && $_->{path} =~ /add$/ } @$entries;
		}, 20) || die "fewer than $number requests were answered\n";
}

=head1 BOOKS

=cut

# person => { state, outcome, settled (epoch) }
sub _intents
{
	my ($self) = @_;
	my %intents;
	foreach (split /\n/, $self->ask("SELECT split_part(jid, '\@', 1), state, outcome, extract(epoch FROM settled_at)
		FROM wawp.membership_intent WHERE " . $self->_mine))
	{
		my ($person, $state, $outcome, $settled) = split /\|/, $_, -1;
		$intents{$person} = { state => $state, outcome => $outcome, settled => $settled };
	}
	return \%intents;
}

# person => { requests, effective }: without an answer, or with a good one, it took effect.
sub _ledger
{
	my ($self) = @_;
	my %ledger;
	foreach my $request ($self->{sim}->ledger(qr/add$/))
	{
		my $effective = !defined $request->{status} || $request->{status} < 300;
		foreach my $participant (@{ $request->{body}{participants} })
		{
			my $person = $participant->{id} =~ s/@.*//r;
			$ledger{$person}{requests}++;
			$ledger{$person}{effective} += $effective ? 1 : 0;
		}
	}
	return \%ledger;
}

# person => { sent, known }: requests recorded, and those with an answer that says what came of them.
sub _audit
{
	my ($self) = @_;
	my $not_known = join ', ', map { "'$_'" } sort keys %is_not_known;
	my %audit;
	foreach (split /\n/, $self->ask("SELECT split_part(jid, '\@', 1), count(DISTINCT request_id) FILTER (WHERE kind = 'sent'),
		count(DISTINCT request_id) FILTER (WHERE kind = 'answered' AND outcome NOT IN ($not_known))
		FROM wawp.audit WHERE action = 'add' AND " . $self->_mine . ' GROUP BY jid'))
	{
		my ($person, $sent, $known) = split /\|/;
		$audit{$person} = { sent => $sent, known => $known };
	}
	return \%audit;
}

# Seconds from the end of each fault to the first intent settled after it.
sub _recoveries
{
	my ($self, $intents) = @_;
	my @settled = grep { $_ } map { $_->{settled} } values %$intents;
	my @recoveries;

	foreach my $end (@{ $self->{ends} })
	{
		# a stamp of a clock that had been stepped is that far from those of ours
		my @after = grep { $_ > $end->{at} }
		  map { abs($_ - $end->{offset} - $end->{at}) < 1800 ? $_ - $end->{offset} : 0 } @settled;
		push @recoveries, @after ? min(@after) - $end->{at} : undef;
	}
	return \@recoveries;
}

# Committed, but in no final state and not in the queue; or good news of a request that never arrived.
sub _lost
{
	my ($self, $intents, $ledger) = @_;
	my @lost;

	foreach my $person (sort keys %{ $self->{committed} })
	{
		my $state = $intents->{$person} ? $intents->{$person}{state} : 'gone';
		push @lost, "$person ($state)"
		  if $state !~ /^(queued|done|failed|cancelled)$/ || ($state eq 'done' && !$ledger->{$person});
	}
	foreach my $person (sort keys %{ $self->{answers} })
	{
		push @lost, "$person (told: $self->{answers}{$person})"
		  if $self->{answers}{$person} =~ /^(accepted|added)$/ && !$ledger->{$person};
	}
	return @lost;
}

# Nobody knows what came of them: intents, and called people of whom something was sent.
sub _unknown
{
	my ($self, $intents, $audit) = @_;
	my @called = grep { !$intents->{$_} } keys %$audit;

	return (
		(grep { $intents->{$_}{outcome} eq 'unknown_result' } keys %$intents),
		(grep { ($self->{answers}{$_} // 'unknown_result') eq 'unknown_result' } @called));
}

=head2 $row->finish

What the matrix says of this row, as a hash (see README.md), and details of what is wrong with it as
lines in `problems`.

=cut

sub finish
{
	my ($self) = @_;
	my ($intents, $ledger, $audit) = ($self->_intents, $self->_ledger, $self->_audit);
	my @lost = $self->_lost($intents, $ledger);
	my @unknown = $self->_unknown($intents, $audit);
	my (@unaudited, @contradicted);
	my $not_arrived = 0;

	foreach my $person (sort keys %{ { %$ledger, %$audit } })
	{
		my $arrived = $ledger->{$person} ? $ledger->{$person}{requests} : 0;
		my ($sent, $known) = $audit->{$person} ? @{ $audit->{$person} }{qw(sent known)} : (0, 0);
		push @unaudited, ($person) x ($arrived - $sent) if $arrived > $sent;
		$not_arrived += max(0, $sent - $arrived);
		push @contradicted, $person if $known > $arrived;
	}
	return {
		fault => $self->{fault},
		step => $self->{step},
		times => scalar @{ $self->{ends} },
		intents => scalar keys %{ $self->{committed} },
		called => scalar(grep { !$intents->{$_} } keys %$audit),
		requests => $self->{sim}->ctl(GET => 'count')->{count},
		lost => scalar @lost,
		duplicated => scalar(grep { $_->{effective} > 1 } values %$ledger),
		unknown => scalar @unknown,
		unaudited => scalar @unaudited,
		not_arrived => $not_arrived,
		contradicted => scalar @contradicted,
		queued => scalar(grep { $_->{state} eq 'queued' } values %$intents),
		failed => scalar(grep { $_->{state} eq 'failed' } values %$intents),
		recoveries => $self->_recoveries($intents),
		problems => [ @{ $self->{problems} }, _named(lost => @lost), _named(unaudited => @unaudited), _named(contradicted => @contradicted) ] };
}

sub _named
{
	my ($name, @people) = @_;
	return map { "$name: $_" } @people > 10 ? (@people[ 0 .. 9 ], '...') : @people;
}

1;
