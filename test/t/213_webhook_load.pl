
# Many events, events that cannot be applied, crashes, retention, renamed instances, copies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha512_hex);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $SECRET = 'wawp-test-secret';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8 }, conf => "log_statement = none\nrestart_after_crash = on\n");
my $wawp = WawpPeople->new($node, $sim);
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET')");

# HMAC in SQL, so that one statement hands in many.
$wawp->ask(<<'SQL');
CREATE FUNCTION hmac512(key text, body text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT encode(sha512(o || sha512(i || convert_to(body, 'UTF8'))), 'hex')
	FROM (SELECT string_agg(set_byte('\x00', 0, b # 54), '' ORDER BY n) AS i, string_agg(set_byte('\x00', 0, b # 92), '' ORDER BY n) AS o
		FROM (SELECT n, CASE WHEN n < length(key) THEN get_byte(convert_to(key, 'UTF8'), n) ELSE 0 END AS b FROM generate_series(0, 127) n) k) p
$$;
CREATE FUNCTION hand_in(body text) RETURNS int LANGUAGE sql AS $$ SELECT status FROM wawp_webhook(body, hmac512('wawp-test-secret', body), 'support') $$;
SQL

sub message { my ($id, $who) = @_; return sprintf '{"id":"%s","event":"message","timestamp":%d,"payload":{"from":"%s@c.us","fromMe":false,"timestamp":%d,"body":"hi"}}', $id, time * 1000, $who, time; }
sub hand_in { my ($body) = @_; return $wawp->ask("SELECT hand_in(\$b\$$body\$b\$)"); }
sub pending { return $wawp->ask('SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NULL'); }

# ---- idle, then a flood beside the queue

is(hand_in(message('first', '15551110001')), 200, 'an event to an idle worker');
is($wawp->until('SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NOT NULL', 1), 1, '... is applied');

my $many = 3000;
is($wawp->ask("SELECT sum(hand_in(format('{\"id\":\"flood%s\",\"event\":\"message\",\"payload\":{\"from\":\"1555%s\@c.us\",\"fromMe\":false,\"timestamp\":%s,\"body\":\"hi\"}}', n, 2000000 + n % 500, extract(epoch FROM now())::bigint - n)))
	FROM generate_series(1, $many) n"), 200 * $many, "$many events");
my $id = $wawp->want;
is($wawp->end($id), 'done added', '... an addition is served meanwhile');
is($wawp->until('SELECT count(*) FROM wawp.webhook_event WHERE applied_at IS NULL', 0), 0, '... and all are applied');
is($wawp->ask("SELECT count(*) FROM wawp.contact WHERE jid ~ '^15552000...\@' AND last_inbound_at IS NOT NULL"), 500, '... to all they are about');
is($wawp->ask("SELECT detail FROM wawp.webhook_event WHERE id = 'flood2999'"), 'no effect', '... those that are older than another without effect');

# ---- one that cannot be applied

$wawp->ask(q{CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.jid = '15551110666@c.us' THEN RAISE 'poisoned'; END IF; RETURN NEW; END $$;
	CREATE TRIGGER poison BEFORE INSERT ON wawp.contact FOR EACH ROW EXECUTE FUNCTION poison()});
hand_in(message('poison', '15551110666'));
hand_in(message("after$_", "1555111067$_")) foreach 1 .. 3;
is($wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id ~ '^after' AND applied_at IS NOT NULL", 3), 3, 'an event that raises an error stops no other');
$id = $wawp->want;
is($wawp->end($id), 'done added', '... nor the queue');
is($wawp->until("SELECT tries > 0 AND applied_at IS NULL FROM wawp.webhook_event WHERE id = 'poison'", 't'), 't', '... and is tried again');
$wawp->ask('DROP TRIGGER poison ON wawp.contact');
is($wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = 'poison' AND applied_at IS NOT NULL", 'wrote to us'), 'wrote to us', '... until it can be');
$wawp->ask("UPDATE wawp.webhook_event SET applied_at = NULL, tries = 11, next_at = now() WHERE id = 'poison'; CREATE TRIGGER poison BEFORE UPDATE ON wawp.webhook_event FOR EACH ROW WHEN (NEW.detail = 'no effect' AND NEW.id = 'poison') EXECUTE FUNCTION poison()");
$wawp->ask(q{CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$});
hand_in(message('later', '15551110001'));
like($wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = 'poison' AND applied_at IS NOT NULL", qr/^could not/), qr/^could not be applied; the server log says why/, '... or for the twelfth time in vain');
$wawp->ask('DROP TRIGGER poison ON wawp.webhook_event');

# ---- an event about a whole group, one of whom cannot be applied

my $whole = $wawp->group;
my @whole = map { sprintf '1555400%04d', $_ } 1 .. 1024;
$wawp->ask("CREATE TRIGGER poison BEFORE INSERT ON wawp.suppression FOR EACH ROW WHEN (NEW.jid = '$whole[511]\@c.us') EXECUTE FUNCTION poison()");
hand_in(sprintf '{"id":"whole","event":"group.v2.participants","timestamp":%d,"payload":{"group":{"id":"%s"},"type":"leave","participants":[%s]}}', time * 1000, $whole, join ',', map { qq({"id":"$_\@c.us"}) } @whole);
is($wawp->until("SELECT count(*) FROM wawp.suppression WHERE group_jid = '$whole'", 1023), 1023, 'an event about 1,024 people, one of whom cannot be applied: the others are');
is($wawp->until("SELECT tries > 0 AND applied_at IS NULL FROM wawp.webhook_event WHERE id = 'whole'", 't'), 't', '... and it is tried again');
$wawp->ask('DROP TRIGGER poison ON wawp.suppression; UPDATE wawp.webhook_event SET next_at = now()');
hand_in(message('wakes', '15551110001'));
$wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id = 'whole' AND applied_at IS NOT NULL", 1);
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE group_jid = '$whole'"), 1024, '... for the one who is left');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE group_jid = '$whole'"), 1024, '... each recorded once');
cmp_ok($wawp->ask("SELECT length(detail) FROM wawp.webhook_event WHERE id = 'whole'"), '<', 4096, '... and said in a bounded text');

# ---- ... and what was applied of it is not applied again: somebody may have lifted it since

my $room = $wawp->group;
my ($leaver, $poor) = ('15554010001', '15554010002');
$wawp->ask("CREATE TRIGGER poison BEFORE INSERT ON wawp.suppression FOR EACH ROW WHEN (NEW.jid = '$poor\@c.us') EXECUTE FUNCTION poison()");
hand_in(sprintf '{"id":"partly","event":"group.v2.participants","engine":"GOWS","timestamp":%d,"payload":{"group":{"id":"%s"},"type":"leave","_data":{"Timestamp":"%s"},"participants":[%s]}}',
	time * 1000, $room, strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), join ',', map { qq({"id":"$_\@c.us"}) } $leaver, $poor);
is($wawp->until("SELECT progress || tries::text FROM wawp.webhook_event WHERE id = 'partly'", qr/^d-[1-9]/) =~ s/\d+//r, 'd-', 'of two who left, one cannot be applied');
is($wawp->ask("SELECT wawp_unsuppress('$leaver', '$room')"), 't', '... the other is suppressed, which somebody lifts');
$wawp->ask('DROP TRIGGER poison ON wawp.suppression; UPDATE wawp.webhook_event SET next_at = now()');
hand_in(message('wakes again', '15551110001'));
is($wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = 'partly' AND applied_at IS NOT NULL", qr/./), 'applied to others of its people before; gone, it is not told how', '... the first is applied later');
is($wawp->ask("SELECT string_agg(jid, ' ') FROM wawp.suppression WHERE group_jid = '$room'"), "$poor\@c.us", '... and what was lifted stays lifted');

# ---- a transaction that is rolled back, one that is prepared, one that stays open

$wawp->ask('BEGIN; SELECT hand_in($b$' . message('undone', '15551110700') . '$b$); ROLLBACK');
is($wawp->ask("SELECT count(*) FROM wawp.webhook_event WHERE id = 'undone'"), 0, 'rolled back: it was never there');
my $open = WawpTest->session($node);
$open->ask('BEGIN; SELECT hand_in($b$' . message('open', '15551110701') . '$b$)');
hand_in(message('beside', '15551110702'));
is($wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id = 'beside' AND applied_at IS NOT NULL", 1), 1, 'an open transaction is in nobody\'s way');
$open->ask('COMMIT');
is($wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id = 'open' AND applied_at IS NOT NULL", 1), 1, '... and its event is applied when it commits');

# ---- a table that somebody has locked

my $locker = WawpTest->session($node);
$locker->ask('BEGIN; LOCK TABLE wawp.webhook_event');
is($wawp->ask("SET wawp.audit_timeout = '100ms'; SELECT concat_ws(' ', status, retry_after, detail) FROM wawp_webhook('{}', hmac512('$SECRET', '{}'), 'support')"), '503 5 not stored: canceling statement due to lock timeout', 'a locked table: later');
$locker->ask('COMMIT');
is($wawp->ask("RESET wawp.audit_timeout; SELECT status FROM wawp_webhook('{}', hmac512('$SECRET', '{}'), 'support')"), 200, '... and later is well');

# ---- what others have put on the table, which only a statement honours; an event that another transaction is storing

$wawp->ask(q{CREATE TABLE seen (id text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (NEW.id); RETURN NULL; END $$;
	CREATE TRIGGER note AFTER INSERT ON wawp.webhook_event FOR EACH ROW EXECUTE FUNCTION note()});
hand_in(message('triggered', '15551110001'));
is($wawp->ask('SELECT id FROM seen'), 'triggered', 'a trigger of somebody else fires');
$wawp->ask('DROP TRIGGER note ON wawp.webhook_event');
my $twice = message('twice', '15551110001');
$locker->ask("BEGIN; SELECT hand_in(\$b\$$twice\$b\$)");
is($wawp->ask("SET wawp.audit_timeout = '100ms'; SELECT status FROM wawp_webhook(\$b\$$twice\$b\$, hmac512('$SECRET', \$b\$$twice\$b\$), 'support')"), 503, 'an event that is being stored is waited for no longer than the timeout');
$locker->ask('COMMIT');
is($wawp->ask("RESET wawp.audit_timeout; SELECT detail FROM wawp_webhook(\$b\$$twice\$b\$, hmac512('$SECRET', \$b\$$twice\$b\$), 'support')"), 'stored before', '... and then is known');

# ... also by one who has looked for it before the other stored it: it is stopped in between, at a check
$wawp->ask(q{CREATE FUNCTION stop(id text) RETURNS bool LANGUAGE plpgsql SET lock_timeout = 0 AS $$ BEGIN
	IF id = 'raced' AND current_setting('application_name') = 'second' THEN PERFORM pg_advisory_xact_lock_shared(213); END IF; RETURN true; END $$;
	ALTER TABLE wawp.webhook_event ADD CONSTRAINT stop CHECK (public.stop(id))});
my $raced = message('raced', '15551110001');
my $second = WawpTest->session($node, undef, application_name => 'second');
$second->ask("SET wawp.audit_timeout = '100ms'");
$wawp->ask('SELECT pg_advisory_lock(213)');
$second->send("SELECT concat_ws(' ', status, retry_after, detail) FROM wawp_webhook(\$b\$$raced\$b\$, hmac512('$SECRET', \$b\$$raced\$b\$), 'support')");
is($wawp->until("SELECT wait_event FROM pg_stat_activity WHERE application_name = 'second'", 'advisory'), 'advisory', 'one session has looked for an event');
is($locker->ask("BEGIN; SELECT hand_in(\$b\$$raced\$b\$)")->{out}, 200, '... another stores it');
$wawp->ask('SELECT pg_advisory_unlock(213)');
is($wawp->until("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND state = 'active'", 0), 0, '... and the first does not wait for its end');
$locker->ask('COMMIT');
is($second->answer->{out}, '503 5 not stored: canceling statement due to lock timeout', '... but asks for a repetition');
$wawp->ask('ALTER TABLE wawp.webhook_event DROP CONSTRAINT stop');

# ---- crashes

my $worker = WawpTest->worker($node);
$wawp->ask("SELECT count(hand_in(format('{\"id\":\"crash%s\",\"event\":\"message\",\"payload\":{\"from\":\"1555%s\@c.us\",\"fromMe\":false,\"timestamp\":%s}}', n, 3000000 + n, extract(epoch FROM now())::bigint))) FROM generate_series(1, 1000) n");
kill 'KILL', $worker;
is($wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id ~ '^crash' AND applied_at IS NULL", 0), 0, 'after a crash in the middle all are applied');
is($wawp->ask("SELECT count(*) FROM wawp.contact WHERE jid ~ '^15553......\@' AND last_inbound_at IS NOT NULL"), 1000, '... to all they are about');

# ---- a name, an account, a home

$wawp->ask("BEGIN; SELECT hand_in('{\"id\":\"renamed\",\"event\":\"message\"}'); ALTER SERVER support RENAME TO care; COMMIT");
is($wawp->until("SELECT instance FROM wawp.webhook_event WHERE id = 'renamed' AND applied_at IS NOT NULL", 'care'), 'care', 'a renamed instance keeps its events');
$wawp->ask('ALTER SERVER care RENAME TO support');
is(hand_in(message('first', '15551110001')), 200, '... also those that are repeated');
is($wawp->ask("SELECT count(*) FROM wawp.webhook_event WHERE id = 'first'"), 1, '... which are known');
$wawp->ask("BEGIN; SELECT hand_in('" . message('account', '15551110800') . "'); ALTER SERVER support OPTIONS (SET instance_id 'WEBJS1'); COMMIT");
is($wawp->until("SELECT detail FROM wawp.webhook_event WHERE id = 'account' AND applied_at IS NOT NULL", qr/./), 'the instance has another account now', 'an event of another account');
$wawp->ask("ALTER SERVER support OPTIONS (SET instance_id 'ABC123')");
$wawp->ask("BEGIN; SELECT hand_in('" . message('copied', '15551110801') . "'); UPDATE wawp.webhook_event SET home = gen_random_uuid() WHERE id = 'copied'; COMMIT");
hand_in(message('ours', '15551110802'));
$wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id = 'ours' AND applied_at IS NOT NULL", 1);
is($wawp->ask("SELECT applied_at IS NULL FROM wawp.webhook_event WHERE id = 'copied'"), 't', 'an event of another database is not applied');

# ---- retention

$wawp->ask("UPDATE wawp.webhook_event SET received_at = now() - interval '31 days' WHERE id ~ '^(flood|copied)'; SELECT hand_in('{\"id\":\"kept\",\"event\":\"message\"}')");
$wawp->ask("SELECT count(*) FROM wawp_webhook('bad', 'x', 'support'); UPDATE wawp.webhook_refusal SET last_at = now() - interval '25 hours'");
$wawp->ask("ALTER TABLE wawp.membership_intent DISABLE TRIGGER fill");
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, state, home, instance_id, settled_at) SELECT '120363000000000000\@g.us', 1640000000 + i || '\@c.us', 'support', 'done', home, 'ABC123', now() - interval '31 days'
	FROM generate_series(1, 2500) i, wawp.identity");
$wawp->ask("ALTER TABLE wawp.membership_intent ENABLE ALWAYS TRIGGER fill");
$node->append_conf('postgresql.conf', "wawp.retention = '30d'");
$node->restart;
ok(WawpTest::poll_until(sub { $wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE jid LIKE '164%'") == 0 }, WawpTest::soon()), 'settled intents go portion after portion, not one a minute');
is($wawp->until("SELECT count(*) FROM wawp.webhook_event WHERE id ~ '^(flood|copied)'", 0), 0, 'events are deleted after wawp.retention, applied or not');
is($wawp->ask("SELECT count(*) FROM wawp.webhook_event WHERE id IN ('kept', 'first')"), 2, '... others are not');
is($wawp->until('SELECT count(*) FROM wawp.webhook_refusal', 0), 0, '... refusals after a day');

done_testing();
