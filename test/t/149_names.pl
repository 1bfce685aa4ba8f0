
# An instance's rows follow it when it is renamed, and are served by no other account: what was asked for before
# the server was made anew, or got another instance_id, is held and says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 4, invites_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $mapping = "CREATE USER MAPPING FOR PUBLIC SERVER %s OPTIONS (access_token 'secret')";

sub server { my ($name, %options) = @_; return WawpTest->create_server($node, $name, $sim, { concurrency => 4, invites_per_minute => 0, %options }); }

# The accounts that requests to change that group, or about that person, came from, in the order of arrival.
sub accounts_of
{
	my ($what) = @_;
	$what =~ s/@.*//;
	return join ' ', map { $_->{body}{instance_id} }
	  grep { $_->{path} =~ /$what/ || grep { $_->{id} =~ /$what/ } @{ $_->{body}{participants} } } $sim->changes;
}

sub explains { my ($id, $pattern, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return like($wawp->ask("SELECT wawp_explain($id)"), $pattern, $name); }

sub stuck { my ($id) = @_; return $wawp->ask("SELECT coalesce(string_agg(why, ' / '), 'not stuck') FROM wawp.stuck WHERE id = $id"); }

sub notice
{
	my ($sql) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
	die "$sql: $err\n" if $ret;
	return $err;
}

# ---- a renamed server: pauses

server('first', instance_id => 'GOWS1');
my ($paused_group, $group) = ($wawp->group, $wawp->group);
$wawp->ask("SELECT wawp_pause('first', reason => 'maintenance'), wawp_pause('first', '$paused_group')");
my @queued = map { $wawp->want(instance => 'first', group => $_) } $group, $paused_group;
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, capacity, welcome_text) VALUES ('first', '$group', 500, 'hello {names}')");
$wawp->ask('ALTER SERVER first RENAME TO second');
is($wawp->ask('SELECT string_agg(concat_ws($$ $$, instance, group_jid, reason), $$, $$ ORDER BY group_jid NULLS FIRST) FROM wawp.hold'),
	"second paused: maintenance, second $paused_group paused", 'a renamed server: its pauses have the new name');
is($wawp->ask('SELECT string_agg(DISTINCT instance, $$ $$) FROM wawp.membership_intent'), 'second', '... and what is queued');
is($wawp->ask('SELECT string_agg(instance || capacity, $$ $$) FROM wawp.group_settings'), 'second500', '... and the settings of its groups');
is($wawp->ask("SELECT name, held_by FROM wawp.instance WHERE name = 'second'"), 'second|paused: maintenance', '... as wawp.instance shows');
explains($queued[0], qr/held \(paused: maintenance\) until wawp_resume/, '... and wawp_explain() says');
my $other = $wawp->want;
$wawp->end($other);
is($wawp->now($queued[0]), 'queued', '... and nothing leaves');
is($wawp->until("SELECT reason FROM wawp.audit_log WHERE kind = 'policy' AND instance = 'second'", qr/./), 'the instance was renamed, its name was "first"',
	'... the audit log has it');
is($wawp->ask("SELECT wawp_resume('second'), wawp_resume('second', '$paused_group')"), 't|t', 'the pauses can be lifted');
is($wawp->end($_), 'done added', '... and the rows are served') foreach @queued;
is($wawp->ask("SELECT string_agg(DISTINCT instance, ' ') FROM wawp.membership WHERE group_jid IN ('$group', '$paused_group')"), 'second', '... remembered by the new name');
is(accounts_of($group), 'GOWS1', '... by the same account');

# ---- under way while it is renamed: a change, what it waits for, memory

my ($on_the_wire, $who) = ($wawp->group, $wawp->person);
$sim->rule({ match => { path => "$on_the_wire/participants/add\$" }, times => undef, fault => { gate => \1 } });
my $sent = $wawp->want(instance => 'second', group => $on_the_wire, who => $who);
$sim->arrived("$on_the_wire/participants/add\$");
my $behind = $wawp->want(instance => 'second', group => $on_the_wire);
$wawp->ask("UPDATE wawp.membership SET until = now() + interval '100 y' WHERE group_jid = '$group'");
$wawp->ask('ALTER SERVER second RENAME TO third');
$sim->unrule;
is($wawp->end($sent), 'done added', 'renamed while a request is under way: it is settled');
is($wawp->end($behind), 'done added', '... and the next in its group is served');
is($wawp->ask("SELECT string_agg(DISTINCT instance || ' ' || state, ', ') FROM wawp.membership_intent WHERE group_jid = '$on_the_wire'"), 'third done', '... by the new name');
is($wawp->ask("SELECT count(*), string_agg(DISTINCT instance, ' ') FROM wawp.membership WHERE group_jid = '$on_the_wire'"), '2|third', '... and remembered');
is($wawp->requests($on_the_wire), 2, '... each once');
is($wawp->ask("SELECT count(*) FROM wawp.hold"), 0, '... nothing is held for the old name');

my $refusing = $wawp->group;
$sim->rule({ match => { path => "$refusing/participants/add\$" }, fault => { gate => \1 }, answer => { status => 403, json => { message => 'no' } } });
$sent = $wawp->want(instance => 'third', group => $refusing);
$sim->arrived("$refusing/participants/add\$");
$wawp->ask('ALTER SERVER third RENAME TO fourth');
$sim->unrule;
is($wawp->until("SELECT string_agg(concat_ws(' ', instance, group_jid, reason), ', ') FROM wawp.hold", qr/./), "fourth $refusing not_admin",
	'a refusal that arrives later holds the group by the new name');
$wawp->ask("SELECT wawp_resume('fourth', '$refusing')");
is($wawp->end($sent), 'done added', '... and is done when that is over');

# ---- who asks while it is being renamed asks for the new name or fails

my $renamer = WawpTest->session($node);
my $asker = WawpTest->session($node);
$renamer->ask('BEGIN; ALTER SERVER fourth RENAME TO fifth');
$asker->send("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ $wawp->person ]}'], 'fourth')");
$wawp->until("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'object'", 1);
$wawp->end($wawp->want);    # the worker serves others meanwhile
$renamer->ask('COMMIT');
is($asker->answer->{state}, '42704', 'asked by the old name while it is renamed: there is no such instance');
$asker->ask('BEGIN');
my $late = $asker->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ $wawp->person ]}'], 'fifth')")->{out};
$renamer->send('ALTER SERVER fifth RENAME TO sixth');
$wawp->until("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'object'", 1);
$asker->ask('COMMIT');
is($renamer->answer->{state}, '', 'renamed after somebody has asked in an open transaction: it waits for them');
is($wawp->end($late), 'done added', '... whose intent is served');
is($wawp->column($late, 'instance'), 'sixth', '... by the new name');
$_->quit foreach $renamer, $asker;

# ---- the pace follows as well, also over a restart

server('paced', instance_id => 'NOWEB1', adds_per_minute => 1, adds_burst => 0);
$wawp->end($wawp->want(instance => 'paced'));
$wawp->ask('ALTER SERVER paced RENAME TO still_paced');
my $pace = "SELECT next_at > clock_timestamp() + interval '20 s' FROM wawp.budget WHERE instance = 'still_paced'";
is($wawp->ask($pace), 't', 'the next addition of a renamed instance waits for its pace');
$node->restart;
$wawp->ask('SELECT 1');
$wawp->end($wawp->want);
is($wawp->ask($pace), 't', '... and after a restart, too');

# ---- somebody dropped a server of that name before

server('old_name', instance_id => 'WEBJS1');
$wawp->ask("SELECT wawp_pause('old_name')");
$group = $wawp->group;
$who = $wawp->person;
my $namesake = $wawp->want(instance => 'old_name', group => $group, who => $who);
my $orphan = $wawp->want(instance => 'old_name', group => $group);
$wawp->ask('DROP SERVER old_name CASCADE');
explains($orphan, qr/^queued: held: Wawp instance "old_name" does not exist any more, it was asked for with account WEBJS1/, 'a dropped server: what is queued says so');
like(stuck($namesake), qr/held: Wawp instance "old_name" does not exist any more.*; 2 queued$/, '... in wawp.stuck, too');
$wawp->ask("SELECT wawp_pause('sixth', '$group')");
my $same = $wawp->want(instance => 'sixth', group => $group, who => $who);
$wawp->ask('ALTER SERVER sixth RENAME TO old_name');
is($wawp->ask("SELECT string_agg(instance || ' ' || group_jid, ', ') FROM wawp.hold"), "old_name $group", 'another gets its name: the pause of the dropped one is over, that of the renamed one holds');
is($wawp->now($namesake), 'cancelled', '... what the dropped one was asked for, and the other as well, is cancelled');
$wawp->ask("SELECT wawp_resume('old_name', '$group')");
is($wawp->end($same), 'done added', '... and served once');
explains($orphan, qr/^queued: held: it was asked for with account WEBJS1, the account of Wawp instance "old_name" is GOWS1 now/, '... the rest is held');
is($wawp->requests($group), 1, '... and not sent');
is($wawp->ask("SELECT wawp_cancel($orphan)"), 't', '... until it is cancelled');

# ---- another account under the same name

server('acct', instance_id => 'WEBJS1', adds_per_minute => 0);
$group = $wawp->group;
my $welcoming = $wawp->group;
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, welcome_text, welcome_delay) VALUES ('acct', '$welcoming', 'hello {names}', '1 d')");
my $member = $wawp->want(instance => 'acct', group => $group, until => "now() + interval '1 d'");
my $guest = $wawp->want(instance => 'acct', group => $welcoming);
is($wawp->end($_), 'done added', 'somebody is added, for a day') foreach $member, $guest;
my $blocked = $wawp->person;
my $verified = $wawp->person;
$sim->rule({ match => { body => $blocked }, answer => { json => { participants => [ { id => "$blocked\@c.us", code => 403 } ] } } },
	{ match => { path => "$group/invite-code" }, times => undef, answer => { status => 503, json => { message => 'busy' } } },
	{ match => { path => 'send/text' }, times => undef, answer => { status => 503, json => { message => 'busy' } } },
	{ match => { body => $verified }, answer => { json => { ok => \1 } } });
my $inviting = $wawp->want(instance => 'acct', group => $group, who => $blocked);
$wawp->comes_to($inviting, qr/^inviting/);
$wawp->ask("SELECT wawp_pause('acct', reason => 'before the change')");
my $again = $wawp->person;
@queued = map { $wawp->want(instance => 'acct', group => $group, who => $_) } $again, $wawp->person, $wawp->person;
$wawp->ask("SET wawp.actor = 'x'; INSERT INTO wawp.membership_intent (group_jid, jid, instance, action) VALUES ('$group', '@{[ $wawp->person ]}', 'acct', 'remove')");

like(notice("DROP SERVER acct CASCADE; CREATE SERVER acct FOREIGN DATA WRAPPER wawp
	OPTIONS (instance_id 'NOWEB1', base_url '@{[ $sim->url ]}', adds_per_minute '0', concurrency '4', checks_per_minute '0', invites_per_minute '0', verify_delays '20ms,200ms,500ms');" . sprintf($mapping, 'acct')),
	qr/NOTICE:  holds of the account.*NOTICE:  intents that were asked for with another account of Wawp instance "acct" are held/s, 'another account under the same name: CREATE SERVER tells');
$sim->unrule;
is($wawp->ask("SELECT held_by IS NULL FROM wawp.instance WHERE name = 'acct'"), 't', '... its pause has ended with the dropped one');
$wawp->ask("UPDATE wawp.membership SET until = now() - interval '1 s' WHERE instance = 'acct' AND until IS NOT NULL;
	UPDATE wawp.group_settings SET welcome_delay = '0' WHERE instance = 'acct'; SELECT wawp_resume('acct', '$welcoming')");
my $new = $wawp->want(instance => 'acct', group => $group);
is($wawp->end($new), 'done added', '... a new intent of the same group is served');
my $welcomed = $wawp->want(instance => 'acct', group => $welcoming);
$wawp->end($welcomed);
is($wawp->until("SELECT count(*) FROM wawp.membership_intent WHERE origin = 'until' AND group_jid = '$group'", 1), 1, '... the membership that is over is to be ended');
is($wawp->ask("SELECT string_agg(DISTINCT instance_id || ' ' || state, ', ') FROM wawp.membership_intent WHERE instance = 'acct' AND instance_id = 'WEBJS1' AND state NOT IN ('done')"),
	'WEBJS1 inviting, WEBJS1 queued', '... by the account that added, so nothing of the other account\'s has left');
is(join(' ', sort map { $_->{body}{participants}[0]{id} =~ s/@.*//r } grep { $_->{path} =~ /${\ substr $group, 0, 18 }/ && $_->{body}{instance_id} eq 'NOWEB1' } $sim->changes),
	$wawp->column($new, 'split_part(jid, $$@$$, 1)'), '... the new account was asked for the new intent alone');
is(poll_until(sub { join ' ', $wawp->messages($welcoming) }), 'hello +' . $wawp->column($welcomed, 'split_part(jid, $$@$$, 1)'), '... it welcomes whom it has added');
is(scalar(my @invitations = $wawp->messages($blocked)), 0, '... and invites nobody');
explains($queued[0], qr/^queued: held: it was asked for with account WEBJS1, the account of Wawp instance "acct" is NOWEB1 now: wawp_cancel\(\) it/, '... wawp_explain() says why, of what is queued');
explains($inviting, qr/^inviting: held: it was asked for with account WEBJS1/, '... and of what is under way');
like(stuck($queued[0]), qr/WEBJS1.*NOWEB1.*; 5 queued$/, '... wawp.stuck, a row for all of the group');
like(stuck($inviting), qr/WEBJS1.*NOWEB1/, '... and one for each under way');
is($wawp->ask("SELECT wawp_cancel($inviting)"), 't', 'what is under way can be cancelled');
my $anew = $wawp->want(instance => 'acct', group => $group, who => $again);
isnt($anew, $queued[0], 'who asks for the same again gets an intent of the new account');
is($wawp->end($anew), 'done added', '... which is served');
is($wawp->now($queued[0]) . ' ' . $wawp->column($queued[0], 'detail'), 'cancelled asked for again with account NOWEB1', '... and cancels the old one');

# ---- instance_id is changed, and set back

my $changed = notice("ALTER SERVER acct OPTIONS (SET instance_id 'WEBJS1')");
unlike($changed, qr/NOTICE/, 'instance_id is set back: nothing is held any more');
is($wawp->end($_), 'done added', '... and what waited is sent') foreach @queued[ 1, 2 ];
is(accounts_of($wawp->column($queued[1], 'split_part(jid, $$@$$, 1)')), 'WEBJS1', '... by its account');
$wawp->ask("SELECT wawp_pause('acct', reason => 'by hand')");
my $held = $wawp->want(instance => 'acct', group => $group);
like(notice("ALTER SERVER acct OPTIONS (SET instance_id 'NOWEB1')"), qr/NOTICE:  intents .* are held/, 'instance_id is changed: it tells');
is($wawp->ask("SELECT held_by FROM wawp.instance WHERE name = 'acct'"), 'paused: by hand', '... a pause by hand stays with the server');
$wawp->ask("SELECT wawp_resume('acct')");
$wawp->end($wawp->want(instance => 'acct', group => $group));
is($wawp->now($held), 'queued', '... what was asked for before is held');

# ---- with another account, the same wish is asked for again; others of the same person wait for theirs

$wawp->ask("SELECT wawp_pause('acct')");
my ($planned, $wanted) = ($wawp->person, "FROM wawp_request_%s('$group', ARRAY['%s'], 'acct', not_before => %s)");
my %plan;
foreach ([ now => 'add', 'NULL' ], [ later => 'remove', "'2100-01-01'" ], [ role => 'promote', 'NULL' ])
{
	my ($name, $action, $not_before) = @$_;
	$plan{$name} = $wawp->ask('SELECT id ' . sprintf $wanted, $action, $planned, $not_before);
}
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requester, requested_by, origin, home)
	VALUES ('$group', '$planned\@c.us', 'acct', 'NOWEB1', 0, current_user, 'restored', gen_random_uuid())");
$wawp->ask("ALTER SERVER acct OPTIONS (SET instance_id 'WEBJS1')");
my $now = $wawp->ask('SELECT id ' . sprintf $wanted, 'add', $planned, 'NULL');
is($wawp->now($plan{now}) . ' ' . $wawp->column($plan{now}, 'detail'), 'cancelled asked for again with account WEBJS1', 'the same wish is asked for with another account: the old one is cancelled');
is(join(' ', map { $wawp->now($plan{$_}) } qw(later role)), 'queued queued', '... those for another time or of another kind stay');
is($wawp->ask("SELECT state FROM wawp.membership_intent WHERE jid = '$planned\@c.us' AND origin = 'restored'"), 'queued', '... and one that was restored');
$wawp->ask("SELECT wawp_cancel(id) FROM wawp.membership_intent WHERE jid = '$planned\@c.us'; DELETE FROM wawp.membership_intent WHERE jid = '$planned\@c.us'");
$wawp->ask("ALTER SERVER acct OPTIONS (SET instance_id 'NOWEB1')");

# ---- what was restored is no reason for a notice

server('lonely', instance_id => 'GOWS1');
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, instance_id, requester, requested_by, origin, home)
	VALUES ('$group', '$planned\@c.us', 'lonely', 'WEBJS1', 0, current_user, 'restored', gen_random_uuid())");
unlike(notice("ALTER SERVER lonely OPTIONS (SET instance_id 'NOWEB1')"), qr/NOTICE/, 'only a restored row is of another account: nothing is told');

# ---- a requester's own hold

my $requester_holds = 'SELECT string_agg(instance || $$ $$ || pg_get_userbyid(requester), $$, $$) FROM wawp.requester_hold';
my $hold_requester = q{INSERT INTO wawp.requester_hold (instance, requester, reason, since, until)
	SELECT '%s', r.oid, 'auth_failed', now(), now() + interval '1 hour' FROM pg_roles r WHERE rolname = 'pg_read_all_data'};
server('own', instance_id => 'GOWS1');
$wawp->ask(sprintf $hold_requester, 'own');
$wawp->ask(sprintf $hold_requester, 'next_own');
$wawp->ask('ALTER SERVER own RENAME TO next_own');
is($wawp->ask($requester_holds), 'next_own pg_read_all_data', "a renamed server: a requester's hold has the new name; that of a dropped one is over");
$wawp->ask("ALTER SERVER next_own OPTIONS (SET adds_per_minute '7')");
is($wawp->ask($requester_holds), 'next_own pg_read_all_data', '... another option is changed: it holds');
$wawp->ask("ALTER SERVER next_own OPTIONS (SET instance_id 'NOWEB1')");
is($wawp->ask($requester_holds), '', '... another account: it is over');
$wawp->ask(sprintf $hold_requester, 'next_own');
$wawp->ask('DROP SERVER next_own CASCADE');
is($wawp->ask($requester_holds), '', '... the server is dropped: likewise');
$wawp->ask(sprintf $hold_requester, 'next_own');
server('next_own', instance_id => 'GOWS1');
is($wawp->ask($requester_holds), '', '... and made anew: likewise');

# ---- many old ones at the head of a lane

$wawp->ask("SELECT wawp_pause('acct')");
$wawp->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance, priority) SELECT '$group', '1555800' || to_char(i, 'FM0000'), 'acct', 5 FROM generate_series(1, 5000) i");
$wawp->ask("ALTER SERVER acct OPTIONS (SET instance_id 'WEBJS1'); SELECT wawp_resume('acct'); ANALYZE wawp.membership_intent");
like($wawp->ask("SELECT string_agg(why, ' ') FROM wawp.stuck WHERE instance = 'acct'"), qr/account NOWEB1.*; 5000 queued/, '5000 of another account are queued in a group');
my $reads = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relid = 'wawp.membership_intent'::regclass";
$wawp->ask('SELECT pg_stat_force_next_flush()');
my $before = $wawp->ask($reads);
$new = $wawp->want(instance => 'acct', group => $group);
is($wawp->end($new), 'done added', '... one behind them is served');
$wawp->ask('SELECT pg_stat_force_next_flush()');
cmp_ok($wawp->ask($reads) - $before, '<', 2500, '... without reading them');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE instance_id = 'NOWEB1' AND instance = 'acct' AND state = 'queued'"), 5000, '... and none of them');

# ---- a role that is renamed, and another that gets its name

$wawp->ask("CREATE ROLE clerk LOGIN; GRANT USAGE ON FOREIGN SERVER support TO clerk; SELECT wawp_pause('support', '$group')");
my $clerk = WawpTest->session($node, 'postgres', user => 'clerk');
my $of_clerk = $clerk->ask("SELECT id FROM wawp_request_add('$group', ARRAY['@{[ $wawp->person ]}'], 'support', batch_id => 'of clerk')")->{out};
$clerk->quit;
$wawp->ask('ALTER ROLE clerk RENAME TO first_clerk; CREATE ROLE clerk LOGIN; GRANT USAGE ON FOREIGN SERVER support TO clerk');
$clerk = WawpTest->session($node, 'postgres', user => 'clerk');
is($clerk->ask("SELECT count(*), count(wawp_explain($of_clerk)), (SELECT count(*) FROM wawp.progress), wawp_cancel($of_clerk), wawp_cancel_batch('of clerk') FROM wawp.membership_intent")->{out},
	'0|0|0|f|0', 'who gets the name of a role that has asked neither sees nor cancels what it asked for');
$clerk->quit;
$clerk = WawpTest->session($node, 'postgres', user => 'first_clerk');
is($clerk->ask('SELECT id, requested_by FROM wawp.membership_intent')->{out}, "$of_clerk|clerk", '... the renamed role does');
is($clerk->ask("SELECT wawp_resume('support', '$group')")->{out}, 't', '... may resume its group');
is($wawp->end($of_clerk), 'done added', '... and is served');
$clerk->quit;

unlike(slurp_file($node->logfile), qr/ERROR:  (?!Wawp instance "fourth" does not exist)/, 'no errors') || diag(join "\n", grep { /ERROR/ } split /\n/, slurp_file($node->logfile));
$wawp->{session}->quit;
done_testing();
