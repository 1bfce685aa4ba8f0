
# Roles: requesting, seeing, changing and reading; the token a request leaves with; what a dropped role leaves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 });
my $owner = WawpTest->session($node);
my $people = 0;

sub new_person { return sprintf '1555600%04d', ++$people; }
sub state_of { my ($id) = @_; return "SELECT state FROM wawp.membership_intent WHERE id = $id"; }

my @roles = qw(ann ben cat stranger manager definer auditor);
$owner->ask(join '; ', map { "CREATE ROLE $_ LOGIN" } @roles);
$owner->ask('GRANT ann TO manager; GRANT USAGE ON FOREIGN SERVER support TO ann, ben, definer; GRANT CREATE ON SCHEMA public TO ann, stranger, definer;
	GRANT CREATE ON DATABASE postgres TO stranger');
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } @roles;
my $insert = "INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '15551230500', 'support')";

sub refused
{
	my ($role, $sql, $name, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $as{$role}->ask($sql);
	return is($answer->{state}, $state // '42501', $name) || diag("$answer->{out}$answer->{err}");
}

# ---- without USAGE

$owner->ask("SELECT wawp_pause('support', '$group', 'for the test')");
my ($ann_id) = $as{ann}->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], batch_id => 'of ann')")->{out};
my ($ben_id) = $as{ben}->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], batch_id => 'of ben')")->{out};
like($ann_id, qr/^\d+$/, 'with USAGE one can ask');

refused('stranger', $insert, 'without USAGE: no INSERT');
refused('stranger', $insert =~ s/, instance\)/)/r =~ s/, 'support'//r, '... nor without a name', '42704');
refused('stranger', "SELECT wawp_request_$_('$group', ARRAY['15551230500'], 'support')",
	"... no wawp_request_$_") foreach qw(add remove promote demote);
refused('stranger', "SELECT wawp_pause('support')", '... no wawp_pause');
refused('stranger', "SELECT wawp_resume('support', '$group')", '... no wawp_resume');
foreach my $relation (qw(membership_intent hold queue progress stuck))
{
	is($as{stranger}->ask("SELECT count(*) FROM wawp.$relation")->{out}, 0, "... sees nothing in wawp.$relation");
}
is($as{stranger}->ask("SELECT wawp_explain($ann_id) IS NULL")->{out}, 't', '... gets no explanation');
is($as{stranger}->ask("SELECT * FROM wawp_wait('of ann', '1 s')")->{out}, '0|0|0|0', '... has nothing to wait for');

# ---- others' rows

foreach my $role (qw(stranger ben))
{
	is($as{$role}->ask("SELECT wawp_cancel($ann_id), wawp_cancel_batch('of ann'), wawp_retry($ann_id)")->{out}, 'f|0|f',
		"$role cannot cancel what ann asked for");
}
is($owner->ask(state_of($ann_id))->{out}, 'queued', '... it is queued still');
is($as{ann}->ask('SELECT string_agg(id::text, $$ $$) FROM wawp.membership_intent')->{out}, $ann_id, 'one sees one\'s own');
is($as{ben}->ask('SELECT string_agg(id::text, $$ $$) FROM wawp.membership_intent')->{out}, $ben_id, '... and no other');
is($as{ann}->ask('SELECT queued FROM wawp.queue')->{out}, 1, '... in wawp.queue');
is($as{ann}->ask('SELECT string_agg(batch_id, $$ $$) FROM wawp.progress')->{out}, 'of ann', '... in wawp.progress');
is($as{ann}->ask("SELECT wawp_explain($ben_id) IS NULL")->{out}, 't', '... in wawp_explain');
is($owner->ask('SELECT count(*) FROM wawp.membership_intent')->{out}, 2, 'the owner sees all');
is($as{manager}->ask('SELECT string_agg(id::text, $$ $$) FROM wawp.membership_intent')->{out}, $ann_id, 'a member of a role sees that role\'s');
is($as{manager}->ask("SELECT wawp_cancel($ben_id), wawp_cancel($ann_id)")->{out}, 'f|t', '... and may cancel it');
refused('ann', "SELECT wawp_request_add('$group', ARRAY['15551230500'], after => $ben_id)", 'one cannot wait for what one does not see',
	'22023');
refused('ann', "SET row_security = off; SELECT * FROM wawp.membership_intent", 'row_security = off helps nobody');
$as{ann}->ask('RESET row_security');

my $unlucky = new_person();
$sim->rule({ match => { body => $unlucky }, answer => { json => { participants => [ { id => "$unlucky\@c.us", code => 404 } ] } } });
$owner->ask("SELECT wawp_resume('support', '$group')");
my ($failed) = $as{ben}->ask("SELECT id FROM wawp_request_add('$group', ARRAY['$unlucky'])")->{out};
is($owner->until(state_of($failed), 'failed'), 'failed', 'an intent of ben\'s that failed');
is($as{ann}->ask("SELECT wawp_retry($failed)")->{out}, 'f', '... is not ann\'s to retry');
is($as{ben}->ask("SELECT wawp_retry($failed)")->{out}, 't', '... but ben\'s');
$owner->until(state_of($failed), 'done');

# ---- what users cannot set

# What else they name is overwritten; see test/sql/insert.sql.
my %as_if = (state => q{'done'}, home => 'gen_random_uuid()');
is($as{ann}->ask("BEGIN; INSERT INTO wawp.membership_intent (group_jid, jid, instance, requester, requested_by, requested_from, origin)
	VALUES ('$group', '15551230500', 'support', 'ben'::regrole, 'ben', '{\"login\": \"ben\"}', 'trigger public.roster')
	RETURNING requester = 'ann'::regrole, requested_by, requested_from ->> 'login', origin; ROLLBACK")->{out}, 't|ann|ann|insert',
	'nobody asks as somebody else');
is($as{ann}->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, $_) VALUES ('$group', '15551230500', 'support', $as_if{$_})")->{state},
	'22023', "$_ is not for users to set") foreach sort keys %as_if;
refused('ann', $_, "no $_") foreach (
	'UPDATE wawp.membership_intent SET reason = NULL', 'DELETE FROM wawp.membership_intent', 'TRUNCATE wawp.membership_intent',
	"$insert ON CONFLICT (id) DO UPDATE SET reason = 'mine'", 'SELECT * FROM wawp.membership_intent FOR UPDATE', 'BEGIN; LOCK TABLE wawp.membership_intent; ROLLBACK',
	"INSERT INTO wawp.hold VALUES ('support', NULL, 'mine', now())", 'DELETE FROM wawp.hold', 'SELECT nextval($$wawp.membership_intent_id_seq$$)',
	'ALTER TABLE wawp.membership_intent DISABLE ROW LEVEL SECURITY', 'CREATE TABLE wawp.mine ()', 'CALL wawp_drain(1)',
		'SELECT wawp._worker_start()');
my (undef, undef, $refusal) = $node->psql('postgres', "COPY wawp.membership_intent (group_jid, jid) FROM STDIN", extra_params => [ '-U', 'ann' ]);
like($refusal, qr/COPY FROM not supported with row-level security/, 'COPY FROM needs the owner');
is($as{ann}->ask("CREATE TEMP TABLE staged AS SELECT '$group' AS g, '1555700' || to_char(i, 'FM0000') AS j FROM generate_series(1, 20) i;
	INSERT INTO wawp.membership_intent (group_jid, jid, batch_id) SELECT g, j, 'staged' FROM staged")->{state}, '',
		'... others stage and INSERT ... SELECT');
is($as{ann}->ask("SELECT done FROM wawp_wait('staged', '180 s')")->{out}, 20, '... and wait');

# ---- what is recorded

$as{manager}->ask("SET ROLE ann; SET wawp.actor = 'clerk 7'");
my ($asked) = $as{manager}->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], reason => 'because')")->{out};
is($owner->ask("SELECT requested_by || ' ' || (requested_from->>'login') || ' ' || (requested_from->>'actor') FROM wawp.membership_intent WHERE id = $asked")->{out},
	'ann manager clerk 7', 'the role that asks, the login and the claimed actor are noted');
$owner->until(state_of($asked), 'done');
is($owner->ask("SELECT DISTINCT requested_by || ' ' || login_role || ' ' || actor || ' ' || reason FROM wawp.audit_log WHERE intent_id = $asked")->{out},
	'ann manager clerk 7 because', '... and recorded');

# ---- what only the owner reads

foreach my $relation ('audit_log', 'audit', 'contact', 'identity', $owner->ask("SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass")->{out} =~ s/wawp\.//r)
{
	refused($_, "SELECT * FROM wawp.$relation", "wawp.$relation is not for $_") foreach qw(ann stranger auditor);
}
$owner->ask('GRANT SELECT ON wawp.audit, wawp.audit_log, wawp.contact TO auditor');
is($as{auditor}->ask("SELECT count(*) > 0, count(jid) > 0 FROM wawp.audit")->{out}, 't|t',
	'... but for whom the owner lets');
foreach my $table ('wawp.audit_log', $owner->ask("SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'wawp.audit_log'::regclass")->{out})
{
	is($owner->ask($_)->{state}, '42501', "$_: not even the owner's")
	  foreach ("UPDATE $table SET reason = 'another'", "DELETE FROM $table", "TRUNCATE $table");
}

# ---- tokens

$owner->ask('SET log_statement = none');
WawpTest->create_server($node, 'shared', $sim, { adds_per_minute => 0, batch_size => 10, instance_id => 'GOWS1', access_token => 'token-of-public' });
$owner->ask("CREATE USER MAPPING FOR ann SERVER shared OPTIONS (access_token 'token-of-ann'); CREATE USER MAPPING FOR ben SERVER shared OPTIONS (access_token 'token-of-ben');
	CREATE USER MAPPING FOR definer SERVER shared OPTIONS (access_token 'token-of-definer'); CREATE USER MAPPING FOR CURRENT_USER SERVER shared OPTIONS (access_token 'token-of-owner');
	GRANT USAGE ON FOREIGN SERVER shared TO ann, ben, cat, definer");
$owner->ask('RESET log_statement');
$as{definer}->ask("CREATE FUNCTION ask_as_definer(who text) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public
	AS \$\$ SELECT id FROM wawp_request_add('$group', ARRAY[who], 'shared', verify => false, batch_id => 'tokens') \$\$");
$sim->reset;
$sim->rule({ match => { path => 'add$' }, times => undef, answer => { json => { ok => \1 } } });
$owner->ask("SELECT wawp_pause('shared')");
my %expected;
foreach my $round (1 .. 3)
{
	foreach my $role (qw(ann ben cat))
	{
		my $who = new_person();
		$expected{$who} = 'token-of-' . ($role eq 'cat' ? 'public' : $role);
		$as{$role}->ask("SELECT wawp_request_add('$group', ARRAY['$who'], 'shared', verify => false, batch_id => 'tokens')");
	}
}
$expected{ my $by_definer = new_person() } = 'token-of-definer';
is($as{stranger}->ask("SELECT ask_as_definer('$by_definer') > 0")->{out}, 't', 'SECURITY DEFINER lets others ask');
is($owner->ask("ALTER ROLE ben RENAME TO benny; CREATE ROLE ben; GRANT USAGE ON FOREIGN SERVER shared TO ben;
	SET log_statement = none; CREATE USER MAPPING FOR ben SERVER shared OPTIONS (access_token 'token-of-another'); RESET log_statement")->{state}, '',
	'a role that has asked is renamed, another gets its name');
$owner->ask("SELECT wawp_resume('shared')");
is($owner->ask("SELECT done FROM wawp_wait('tokens', '180 s')")->{out}, 10,
	'four roles ask one instance, ten people to a request');
my %sent;
foreach my $request ($sim->changes)
{
	$sent{ $_->{id} =~ s/@.*//r } = $request->{body}{access_token} foreach @{ $request->{body}{participants} };
}
is_deeply(\%sent, \%expected, '... each person is asked for with the token of the role that asked');
cmp_ok(scalar(my @requests = $sim->changes), '<', 10, '... in fewer requests');
is($owner->ask('DROP OWNED BY ben; DROP ROLE ben; ALTER ROLE benny RENAME TO ben')->{state}, '', 'the first gets its name back');
my $everything = $owner->ask(q{SELECT string_agg(t::text, ' ') FROM (SELECT i::text FROM wawp.membership_intent i UNION ALL SELECT a::text FROM wawp.audit_log a
	UNION ALL SELECT h::text FROM wawp.hold h UNION ALL SELECT s::text FROM pg_stat_activity s WHERE pid <> pg_backend_pid()) t})->{out};
unlike($everything, qr/token-of/, 'no token is in a table or in pg_stat_activity');
unlike(slurp_file($node->logfile), qr/token-of/, '... or in the log');

# ---- a table's trigger has the authority of the table's owner

$as{ann}->ask("CREATE TABLE roster (group_jid text, phone text); GRANT SELECT, INSERT, UPDATE, DELETE ON roster TO stranger;
	CREATE TRIGGER member AFTER INSERT OR UPDATE OR DELETE ON roster FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'instance=support')");
my $who = new_person();
is($as{stranger}->ask("INSERT INTO roster VALUES ('$group', '$who')")->{state}, '', 'who may write to a table');
is($owner->ask("SELECT requested_by || ' ' || (requested_from->>'login') FROM wawp.membership_intent WHERE jid = '$who\@c.us'")->{out}, 'ann stranger',
	'... asks with the authority of its owner');
$as{stranger}->ask("CREATE TABLE own_roster (group_jid text, phone text);
	CREATE TRIGGER member AFTER INSERT ON own_roster FOR EACH ROW EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=phone', 'instance=support')");
$who = new_person();
my $answer = $as{stranger}->ask("INSERT INTO own_roster VALUES ('$group', '$who')");
is($answer->{state}, '', 'an owner without USAGE: the write succeeds');
like($answer->{err}, qr/WARNING.*42501.*permission denied/s, '... with a warning');
is($owner->ask("SELECT string_agg(state::text || ' ' || detail, ',') FROM wawp.membership_intent WHERE jid = '$who\@c.us'")->{out},
	'failed permission denied for foreign server support', '... and a trace');

# ---- nothing runs as somebody else

$owner->ask('GRANT USAGE ON FOREIGN SERVER support TO stranger');
$answer = $as{stranger}->ask(<<'SQL');
CREATE SCHEMA evil;
CREATE TABLE evil.caught (who name, what text);
GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.caught TO PUBLIC;
CREATE FUNCTION evil.trap(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.caught VALUES (current_user, 'text'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION evil.trap(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.caught VALUES (current_user, 'name'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION evil.trap(bigint, bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.caught VALUES (current_user, 'bigint'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION evil.trap(anyenum, anyenum) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.caught VALUES (current_user, 'enum'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.caught VALUES (current_user, 'clock'); RETURN pg_catalog.clock_timestamp(); END $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.trap);
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.trap);
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.trap);
CREATE OPERATOR evil.= (LEFTARG = anyenum, RIGHTARG = anyenum, FUNCTION = evil.trap);
SQL
is($answer->{state}, '', 'traps are laid in a schema') || diag($answer->{err});
$who = new_person();
my $other = new_person();
$answer = $as{stranger}->ask("SET search_path = evil, pg_catalog, public; SELECT 'a'::text = 'b'::text, clock_timestamp();
	INSERT INTO wawp.membership_intent (group_jid, jid, instance, batch_id) VALUES ('$group', '$who', 'support',
		'trapped');
	SELECT wawp_request_add('$group', ARRAY['$other'], 'support', batch_id => 'trapped');
	SELECT wawp_request_remove('$group', ARRAY['$other'], 'support', batch_id => 'trapped');
	SELECT wawp_explain(max(id)), wawp_cancel(max(id)), wawp_retry(max(id)) FROM wawp.membership_intent;
	SELECT wawp_cancel_batch('none'), wawp_pause('support', '$group'), wawp_resume('support', '$group');
	SELECT * FROM wawp_wait('trapped', '5 s'); INSERT INTO own_roster VALUES ('$group', '@{[ new_person() ]}');
	INSERT INTO roster VALUES ('$group', '@{[ new_person() ]}'); UPDATE roster SET phone = '@{[ new_person() ]}'; DELETE FROM roster");
is($answer->{state}, '', 'with it first in search_path, all functions work') || diag($answer->{err});
is($owner->ask("SELECT count(DISTINCT what) FROM evil.caught WHERE who = 'stranger' AND what IN ('text', 'clock')")->{out}, 2,
	'... the traps catch who steps on them');
is($owner->ask("SELECT string_agg(DISTINCT who || ' ' || what, ', ') FROM evil.caught WHERE who <> 'stranger'")->{out}, '',
	'... and nothing of it runs as anybody else');
$as{stranger}->ask('RESET search_path');
$owner->ask('REVOKE USAGE ON FOREIGN SERVER support FROM stranger');

# ---- a role that is gone

$owner->ask("SELECT wawp_pause('support', '$group')");
my ($left) = $as{ben}->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ new_person() ]}'], 'support', batch_id => 'left')")->{out};
like($left, qr/^\d+$/, 'ben asks once more');
$as{ben}->quit;
delete $as{ben};
is($owner->ask('DROP OWNED BY ben; DROP ROLE ben')->{state}, '', '... and is dropped');
foreach my $role (sort keys %as)
{
	foreach my $relation (qw(membership_intent hold queue progress stuck))
	{
		is($as{$role}->ask("SELECT count(*) >= 0 FROM wawp.$relation")->{out}, 't', "$role can read wawp.$relation");
	}
	is($as{$role}->ask("SELECT count(*) FROM wawp.membership_intent WHERE id = $left")->{out}, 0, '... and sees nothing of ben\'s');
}
is($owner->ask("SELECT state, requested_by FROM wawp.membership_intent WHERE id = $left")->{out}, 'queued|ben',
	'the owner sees it');
is($owner->ask("SELECT wawp_explain($left) IS NOT NULL, wawp_cancel_batch('left') >= 0")->{out}, 't|t',
	'... and can ask about it');
my ($forgotten) = $owner->ask("UPDATE wawp.membership_intent SET state = 'queued', settled_at = NULL WHERE id = $left RETURNING id")->{out};
$owner->ask("SELECT wawp_resume('support', '$group')");
is($owner->until("SELECT state, detail FROM wawp.membership_intent WHERE id = $forgotten", 'failed|the role "ben" that asked for it does not exist any more'),
	'failed|the role "ben" that asked for it does not exist any more', '... and what nobody cancels fails, saying why');
is($as{ann}->ask("SELECT count(*) > 0 FROM wawp.membership_intent")->{out}, 't', 'ann sees her own as before');

$_->quit foreach $owner, values %as;
done_testing();
