
# A call that ends with an error while it reads holds and the opt-out list leaves the caller's transaction as any statement
# does: an exception handler goes on in its own, and what it does is committed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpTest;

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, instance_id => 'ABC123' });
$sim->world({ auto_groups => \1 });
my $session = WawpTest->session($node);
my $other = WawpTest->session($node);
WawpTest->worker($node);

$session->ask('CREATE TABLE seen (what text)');
$other->ask('BEGIN; LOCK TABLE wawp.hold IN ACCESS EXCLUSIVE MODE');
$session->ask(q{SET wawp.audit_timeout = '1min'; SET statement_timeout = '1s'});
is($session->ask(q{DO $$ BEGIN
		BEGIN
			PERFORM wawp_add_participants('120363012345678901@g.us', ARRAY['15550000001'], 'support');
		EXCEPTION WHEN query_canceled THEN
			INSERT INTO seen VALUES (sqlerrm);
		END;
	END $$})->{err}, '', 'the handler catches the timeout');
$session->ask('RESET statement_timeout');
$other->ask('ROLLBACK');
is($other->ask('SELECT count(*) FROM seen')->{out}, 1, '... and what it wrote is committed');
is($other->ask(q{SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()})->{out}, 0,
	'... no transaction is left open');
is($session->ask(q{SELECT outcome FROM wawp_add_participants('120363012345678901@g.us', ARRAY['15550000001'], 'support')})->{out}, 'accepted',
	'... and the session goes on');

done_testing();
