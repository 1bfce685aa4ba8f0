
# A worker reads the configuration when it starts: the server ignores a reload that comes while the process is being made,
# so that a worker started then would keep what was in force before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0 });
my $session = WawpTest->session($node);
my $state = 'SELECT state FROM wawp.worker_status';
$sim->world({ auto_groups => \1 });

is($session->until($state, 'serving'), 'serving', 'a worker serves');
$node->append_conf('postgresql.conf', "wawp.worker = off\n");
my $old = WawpTest->worker($node);
$session->ask("SELECT pg_terminate_backend($old)");
is($session->until($state, 'off'), 'off', 'switched off without a reload, the next one is off');
isnt(WawpTest->worker($node), $old, '... and it is another one');
$node->append_conf('postgresql.conf', "wawp.worker = on\n");
$node->reload;
is($session->until($state, 'serving'), 'serving', 'a reload reaches it');
$session->quit;
done_testing();
