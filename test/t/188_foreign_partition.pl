
# A partition of the audit log may be a foreign table: records go there, by a statement.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

plan skip_all => 'postgres_fdw is not installed' unless WawpTest->has_extension('postgres_fdw');

my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8 });
my $wawp = WawpPeople->new($node, $sim);
my $socket = $node->host;
my $port = $node->port;

$wawp->ask(qq{CREATE EXTENSION postgres_fdw;
	CREATE TABLE public.elsewhere AS SELECT * FROM wawp.audit_log;
	CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$socket', port '$port', dbname 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER self;
	CREATE FOREIGN TABLE wawp.audit_log_elsewhere PARTITION OF wawp.audit_log FOR VALUES FROM (MINVALUE) TO (MAXVALUE)
		SERVER self OPTIONS (schema_name 'public', table_name 'elsewhere')});
my $worker = WawpTest->worker($node);
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id, verify)
	SELECT '12036307991' || lpad(g::text, 7, '0') || '\@g.us', '1555800' || lpad(g::text, 4, '0'), 'support', 'b', false FROM generate_series(1, 40) g");
is($wawp->until("SELECT done FROM wawp.progress WHERE batch_id = 'b'", 40), 40, 'all are served');
is($wawp->ask("SELECT count(*) FROM public.elsewhere WHERE kind = 'sent'"), 40, '... and recorded elsewhere');
is(WawpTest->worker($node), $worker, '... by the same worker');
unlike(slurp_file($node->logfile), qr/ERROR|was terminated/, '... without an error');

# It reaches itself: an orderly end would wait for its own session.
$node->stop('immediate');

done_testing();
