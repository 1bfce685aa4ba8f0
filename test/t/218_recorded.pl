
# The audit log has who and why of opt-outs and their ends, take-overs, what quotas refuse, breaker holds, exports and erasures.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.02);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8 }, conf => "log_statement = none\nwawp.max_queued_per_role = 2\nwawp.max_holds_per_role = 1\n");
my $wawp = WawpPeople->new($node, $sim);
my $SECRET = 'wawp-test-secret';
my $owner = $wawp->ask('SELECT current_user');
$wawp->ask("ALTER USER MAPPING FOR PUBLIC SERVER support OPTIONS (ADD webhook_secret '$SECRET'); CREATE ROLE clerk LOGIN; GRANT USAGE ON FOREIGN SERVER support TO clerk;
	GRANT EXECUTE ON FUNCTION wawp_suppress, wawp_unsuppress, wawp_subject_export, wawp_erase TO clerk");
my $clerk = WawpTest->session($node, undef, user => 'clerk');
$clerk->ask("SET wawp.actor = 'Clara'");
my ($who, $word, $held) = ($wawp->person, $wawp->person, $wawp->group);

sub recorded
{
	my ($what, $where, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($wawp->until("SELECT string_agg(concat_ws('|', kind, requested_by, actor, jid, reason, outcome, detail ->> 'note'), E'\\n' ORDER BY id) FROM wawp.audit WHERE $where", $expected), $expected, $what);
}
sub message
{
	my ($from, $text) = @_;
	my $body = encode_json({ id => "evt_$from", timestamp => int(time * 1000), event => 'message', session => 't1', engine => 'GOWS', me => { id => '15550000001@c.us' },
		payload => { id => "m$from", timestamp => int(time), from => "$from\@c.us", fromMe => \0, body => $text } });
	return $wawp->ask(sprintf q{SELECT wawp_webhook($body$%s$body$, '%s', 'support')}, $body, hmac_sha256_hex($body, $SECRET));
}

# ---- the opt-out list

is($clerk->ask("SELECT wawp_suppress('$who', NULL, 'asked by telephone'), wawp_unsuppress('$who')")->{out}, 't|t', 'somebody opts out and in again');
recorded('... with who and why', "jid = '$who\@c.us'", qr/^policy\|clerk\|Clara\|$who\@c\.us\|suppressed: asked by telephone\npolicy\|clerk\|Clara\|$who\@c\.us\|unsuppressed$/);
message($word, 'STOP');
recorded('by a word of theirs', "jid = '$word\@c.us'", qr/^webhook\|$word\@c\.us\|suppressed\|opted out by a message, by event message evt_$word$/);
$clerk->ask("SELECT wawp_unsuppress('$word')");
recorded('... and the end of it', "jid = '$word\@c.us'", qr/\npolicy\|clerk\|Clara\|$word\@c\.us\|unsuppressed$/);

# ---- what is refused goes with the transaction, the record does not

$wawp->ask("SELECT wawp_pause('support', '$held', 'for a while')");
is($clerk->ask("SELECT count(*) FROM wawp_request_add('$held', ARRAY['15557009001', '15557009002'])")->{out}, 2, 'as much as a role may have queued');
is($clerk->ask("SELECT wawp_request_add('$held', ARRAY['15557009003'])")->{state}, '53400', 'more is refused') foreach 1 .. 3;
recorded('... which is recorded', "kind = 'refused' AND reason LIKE '%queued%'", qr/^refused\|clerk\|wawp\.max_queued_per_role allows no more, refused [123] times$/);
$clerk->ask("SELECT wawp_pause('support', '" . $wawp->group . "')");
is($clerk->ask("SELECT wawp_pause('support', '" . $wawp->group . "')")->{state}, '53400', 'more holds are refused');
recorded('... likewise', "kind = 'refused' AND reason LIKE '%holds%'", qr/^refused\|clerk\|wawp\.max_holds_per_role allows no more, refused 1 times$/);

# ---- holds, and who ended them

recorded('a pause', "kind = 'held' AND group_jid = '$held'", qr/^held\|$owner\|for a while$/);
$clerk->ask("SELECT wawp_cancel_batch(batch_id) FROM wawp.membership_intent LIMIT 1; SELECT wawp_resume('support', '$held')");
recorded('... and its end', "kind = 'resumed' AND group_jid = '$held'", qr/^resumed\|clerk\|Clara$/);
$sim->rule({ match => { path => "$held/participants/add\$" }, answer => { status => 403, json => { code => 403, message => 'not an admin' } } });
$wawp->want(group => $held);
recorded('a breaker', "kind = 'held' AND group_jid = '$held' AND outcome IS NOT NULL", qr/^held\|not_admin$/);
$sim->unrule;

# ---- rows that came from elsewhere, and what is held on a person

$wawp->ask("SELECT wawp_take_over('support')");
recorded('a take-over', "reason LIKE 'taken over%'", qr/^policy\|$owner\|taken over: \d+ intents/);
$clerk->ask("SELECT wawp_subject_export('$who')");
my $contact = $wawp->ask("SELECT contact_id FROM wawp.contact WHERE jid = '$who\@c.us'");
recorded('an export', "kind = 'exported'", qr/^exported\|clerk\|Clara\|$who\@c\.us$/);
$clerk->ask("SELECT wawp_erase('$who', 'letter of 3 May')");
recorded('an erasure', "kind = 'erased' AND contact_id = $contact", qr/^erased\|clerk\|Clara\|letter of 3 May$/);

done_testing();
