
# Groups as tables: what is read when, by how many requests, as whom, and what INSERT, UPDATE and DELETE ask for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 6000, reads_per_minute => 6000, pace_jitter => 0 });
my $wawp = WawpPeople->new($node, $sim);
my $session = WawpTest->session($node);
my $me = '15550000001';

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); return $answer->{state} ? "$answer->{state} $answer->{err}" : $answer->{out}; }
sub lists { return $sim->ctl(GET => 'count?path=participants$')->{count}; }
sub requests { return $sim->ctl(GET => 'count?path=.')->{count}; }

diag ask('CREATE SCHEMA wa; IMPORT FOREIGN SCHEMA groups FROM SERVER support INTO wa');
my ($ours, $theirs) = ($wawp->group, $wawp->group);
my @people = map { $wawp->person } 1 .. 3;
$sim->world({ groups => { $ours => { members => { map { $_ => {} } @people } } } });
diag ask('SELECT * FROM wa.groups');
my $n = requests();
diag ask("EXPLAIN SELECT * FROM wa.members WHERE group_jid = '$ours'");
diag ask("EXPLAIN SELECT * FROM wa.members");
diag requests() - $n;
diag ask("SELECT * FROM wa.members WHERE group_jid = '$ours'");
diag requests() - $n;
diag ask("SELECT * FROM wa.members");
diag ask("INSERT INTO wa.members (group_jid, jid, role) VALUES ('$ours', '+1 555 700 9999', 'admin') RETURNING *");
diag ask("DELETE FROM wa.members WHERE group_jid = '$ours' AND jid LIKE '$people[0]%' RETURNING *");
diag ask("UPDATE wa.members SET role = 'admin' WHERE group_jid = '$ours' AND jid LIKE '$people[1]%' RETURNING *");
diag ask("EXPLAIN UPDATE wa.members SET role = 'admin' WHERE group_jid = '$ours' AND jid LIKE '$people[1]%' RETURNING *");
diag ask("SELECT id, group_jid, jid, action, state, after, origin, requested_by FROM wawp.membership_intent");
ok(1);
done_testing();
