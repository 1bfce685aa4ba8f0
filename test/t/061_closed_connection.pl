
# A connection that the server has closed since its last answer is not used again, also under TLS, where the server
# announces the end first: a request sent on it would be lost with an unknown result.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(tls => 1);
my $node = WawpTest->node('main', conf => "wawp.instance = 'none'\n");
my $session = WawpTest->session($node);
my $people = 0;

WawpTest->create_server($node, 'plain', $sim, { adds_per_minute => 0 });
WawpTest->create_server($node, 'tls', $sim, { adds_per_minute => 0, base_url => $sim->tls_url, ca_file => $sim->ca_file });

sub add
{
	my ($instance) = @_;
	my $jid = sprintf '1555600%04d', ++$people;
	return $session->ask("SELECT outcome, detail FROM wawp_add_participants('$group', ARRAY['$jid'], '$instance')")->{out};
}

sub request
{
	my ($instance) = @_;
	my $jid = sprintf '1555600%04d', ++$people;
	my $id = $session->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$jid'], '$instance', verify => false)")->{out};
	my $row = "SELECT outcome, attempts FROM wawp.membership_intent WHERE id = $id AND settled_at IS NOT NULL";
	return $session->until($row, qr/./);
}

# After one answer to such a request the server closes the connection; then comes another.
sub closed_in_between
{
	my ($name, $way, $expected, $instance) = @_;

	$sim->reset;
	$sim->rule({ match => { path => 'add$' }, fault => { close_after => \1 } });
	is($way->($instance), $expected, "$name, $instance: answered, and closed");
	ok(poll_until(sub { $sim->connections->{open} == 0 }), '... the connection is gone');
	is($way->($instance), $expected, '... the next request is answered');
	is($sim->count('add$'), 2, '... sent once');
	is($sim->connections->{total}, 2, '... on a new connection');
	is($way->($instance), $expected, '... and one more');
	is($sim->connections->{total}, 2, '... on the same');
	return;
}

foreach my $instance (qw(plain tls))
{
	closed_in_between('a session call', \&add, 'accepted|', $instance);
	closed_in_between('the worker', \&request, 'accepted|1', $instance);
}

# What there is no new connection for was not sent, either.
$sim->reset;
$sim->rule({ match => { path => 'add$' }, fault => { close_after => \1 } });
is(add('tls'), 'accepted|', 'answered, and closed');
$sim->stop;
like(add('tls'), qr/^unreachable\|/, '... nobody there any more: unreachable, not unknown');

$session->quit;
done_testing();
