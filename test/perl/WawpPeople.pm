
=head1 NAME

WawpPeople - what the tests of membership (190 and up) ask and wait for

=head1 SYNOPSIS

  my $wawp = WawpPeople->new($node, $sim);
  my $id = $wawp->want(instance => 'support', who => '15551230500');
  is($wawp->end($id), 'done added', 'they are in');

=head1 CONTRACT

One session with the server, made anew when the server has thrown it out.  The simulator's world is made
small, so that reading it is quick: no groups but those asked for, which it makes up when they are named.

=cut

package WawpPeople;

use strict;
use warnings;

use WawpTest;

sub new
{
	my ($class, $node, $sim) = @_;
	$sim->world({ auto_groups => \1, groups => { map { $_ => undef } keys %{ $sim->world->{groups} } } });
	return bless { node => $node, sim => $sim, groups => 0, people => 0 }, $class;
}

=head2 $wawp->group([patch]), $wawp->person([patch])

One that nobody has met, known to the simulator with those members.

=cut

sub group
{
	my ($self, %patch) = @_;
	my $group = sprintf '12036307990%07d@g.us', ++$self->{groups};
	$self->{sim}->world({ groups => { $group => \%patch } });
	return $group;
}

sub person
{
	my ($self, %patch) = @_;
	my $person = sprintf '1555700%04d', ++$self->{people};
	$self->{sim}->world({ people => { $person => \%patch } }) if %patch;
	return $person;
}

=head2 $wawp->ask($sql)

What it says; dies of an error.  Asked again when the server went away before it answered.

=cut

sub ask
{
	my ($self, $sql) = @_;
	my $answer;

	poll_until(
		sub {
			$self->{session} //= eval { WawpTest->session($self->{node}) } or return;
			$answer = eval { $self->{session}->ask($sql) };
			return 1 if $answer && !$answer->{gone} && $answer->{state} !~ /^57P|^08/;
			$self->{session}->vanish;
			$self->{session} = undef;
			return;
		}) or die "no answer to $sql\n";
	die "$sql: $answer->{err}\n" if $answer->{state};
	return $answer->{out};
}

=head2 $wawp->until($sql, $expected)

As a session's.

=cut

sub until
{
	my ($self, $sql, $expected) = @_;
	my $out;
	poll_until(sub { $out = $self->ask($sql); return ref $expected ? $out =~ $expected : $out eq $expected; });
	return $out;
}

=head2 $wawp->want(action => 'add', instance => 'support', group => ..., who => ..., argument => value ...)

Asks for it by wawp_request_...; the intent's id.  Other arguments are the function's, as SQL.

=cut

sub want
{
	my ($self, %arg) = @_;
	my $action = delete $arg{action} // 'add';
	my $instance = delete $arg{instance} // 'support';
	my $group = delete $arg{group} // $self->group;
	my $who = delete $arg{who} // $self->person;
	delete @arg{qw(id state)};    # of what was asked for before
	my $more = join '', map { ", $_ => $arg{$_}" } sort keys %arg;
	my $id = $self->ask("SELECT id FROM wawp_request_$action('$group', ARRAY['$who'], '$instance'$more)");

	die "not queued: $action $who in $group" unless $id =~ /^\d+$/;
	return $id;
}

=head2 $wawp->now($id), $wawp->end($id), $wawp->comes_to($id, $pattern)

State and outcome: now; when it is over; when they fit.  What they are when time is up.

=cut

sub now
{
	my ($self, $id) = @_;
	return $self->ask("SELECT concat_ws(' ', state, outcome) FROM wawp.membership_intent WHERE id = $id");
}

sub comes_to
{
	my ($self, $id, $pattern) = @_;
	return $self->until("SELECT concat_ws(' ', state, outcome) FROM wawp.membership_intent WHERE id = $id", $pattern);
}

sub end { my ($self, $id) = @_; return $self->comes_to($id, qr/^(done|failed|cancelled)/); }

=head2 $wawp->column($id, $name), $wawp->trail($id)

A column of the intent; its audit records, "kind outcome, ...".

=cut

sub column
{
	my ($self, $id, $name) = @_;
	return $self->ask("SELECT $name FROM wawp.membership_intent WHERE id = $id");
}

sub trail
{
	my ($self, $id) = @_;
	return $self->ask("SELECT string_agg(concat_ws(' ', kind, outcome), ', ' ORDER BY id) FROM wawp.audit_log WHERE intent_id = $id");
}

=head2 $wawp->requests($group), $wawp->lists($group)

Add requests and member list requests the simulator has seen for a group.

=cut

sub requests { my ($self, $group) = @_; return $self->_count("$group/participants/add\$"); }
sub lists { my ($self, $group) = @_; return $self->_count("$group/participants\$"); }

sub _count
{
	my ($self, $path) = @_;
	my $query = $path =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/egr;
	return $self->{sim}->ctl(GET => "count?path=$query")->{count};
}

=head2 $wawp->messages($chat)

The texts that were sent to a person or group, as the simulator's world has them.

=cut

sub messages
{
	my ($self, $chat) = @_;
	return map { $_->{text} } grep { $_->{chatId} =~ /^\Q$chat\E/ } @{ $self->{sim}->world->{messages} };
}

=head2 $wawp->is_member($group, $person)

Does the simulator's world have that person in that group?

=cut

sub is_member
{
	my ($self, $group, $person) = @_;
	my $member = $self->{sim}->world->{groups}{$group}{members}{$person};
	return $member && $member->{role} ne 'left' ? 1 : 0;
}

=head2 $wawp->age($id, $interval)

The intent has waited that much longer, and is looked at now.

=cut

sub age
{
	my ($self, $id, $interval) = @_;
	$self->ask("UPDATE wawp.membership_intent SET updated_at = updated_at - interval '$interval', next_attempt_at = clock_timestamp()
		WHERE id = $id");
	$self->ask("SELECT wawp_resume(instance) FROM wawp.membership_intent WHERE id = $id");
	return;
}

1;
