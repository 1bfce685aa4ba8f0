
# Absence, leaving and failure are concluded only from lists and answers that were read completely and understood.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;
use WawpPeople;
use WawpTest;

my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { concurrency => 8, invites_per_minute => 0 }, conf => "log_statement = none\n");
my $wawp = WawpPeople->new($node, $sim);
my $ME = '15550000001';

# Servers of accounts of their own: what holds one is in nobody's way.
my $accounts = 0;

sub own_server
{
	my (%options) = @_;
	my $name = 'own' . ++$accounts;
	$sim->world({ accounts => { uc $name => {} } });
	WawpTest->create_server($node, $name, $sim, { instance_id => uc $name, concurrency => 8, invites_per_minute => 0, %options });
	return $name;
}

# What the API says of a group from now on: its list, and its description.
sub lists
{
	my ($group, @entries) = @_;
	return answers($group, \@entries);
}

sub answers
{
	my ($group, $json) = @_;
	$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { json => $json } });
	return;
}

sub describes
{
	my ($group, %info) = @_;
	$sim->rule({ match => { method => 'GET', path => "groups/$group\$" }, times => undef, answer => { json => { id => $group, subject => 'Group', %info } } });
	return;
}

# ... which cannot be read the first time, or not at its usual address.
sub fails
{
	my ($group, $answer) = @_;
	$sim->rule({ match => { method => 'GET', path => "groups/$group\$" }, times => 1, answer => $answer });
	return;
}

sub describes_elsewhere
{
	my ($group) = @_;
	$sim->rule({ match => { method => 'GET', path => "groups/$group\$" }, times => undef, answer => { status => 404, json => { statusCode => 404, message => "Cannot GET /v2/groups/$group" } } });
	$sim->world({ groups => { $group => { members => { map { (15550000000 + $_) => { role => 'member' } } 2 .. 9 } } } });
	return;
}

sub member { my ($digits, $role) = @_; return { id => "$digits\@c.us", role => $role // 'member' }; }

# Adds are answered ok, and that is all.
sub accepts { my ($group) = @_; $sim->rule({ match => { method => 'POST', path => "$group/participants/" }, times => undef, answer => { json => { ok => \1 } } }); return; }

# What the API says of a group by a row of the table below.
sub tells
{
	my ($group, $row) = @_;
	answers($group, $row->{beside} ? { Participants => $row->{list}, %{ $row->{beside} } } : $row->{list});
	fails($group, $row->{fails}) if $row->{fails};
	$row->{elsewhere} ? describes_elsewhere($group) : describes($group, %{ $row->{info} });
	accepts($group);
	return;
}

sub explains { my ($id, $pattern, $name) = @_; return like($wawp->column($id, 'detail'), $pattern, $name); }

# Intents that were looked at as often as a list can be read for them in that time, and where they stand.
sub stays
{
	my ($id, $state, $name) = @_;
	my $group = $wawp->column($id, 'group_jid');
	poll_until(sub { return $wawp->lists($group) >= 4 });
	return is($wawp->now($id), $state, $name);
}

# ---- a list that is not the whole group proves no absence: the worker

my @incomplete = (
	{ about => 'two of a thousand, as a community has it', list => [ member($ME, 'admin'), member('15550000002') ], info => { size => 1000 } },
	{ about => 'an entry that nobody understands', list => [ member($ME, 'admin'), { id => '15550000002@newserver' } ], info => {} },
	(map { +{ about => "two of a thousand, by a description that fails the first time ($_->[0])", list => [ member($ME, 'admin'), member('15550000002') ], info => { size => 1000 }, fails => $_->[1] } }
		[ 'an error', { status => 500, json => { statusCode => 500, message => 'Internal server error' } } ],
		[ 'a page with success', { text => '<html><body>Down for maintenance</body></html>', content_type => 'text/html' } ],
		[ 'half an answer', { text => '{"id":"', content_type => 'application/json' } ],
		[ 'a firewall', { status => 403, text => '<html>Attention Required!</html>', content_type => 'text/html' } ],
		[ 'a session that starts', { status => 422, json => { error => 'Session status is not as expected. Try again later or restart the session', status => 'STARTING', expected => ['WORKING'] } } ],
		[ 'a refusal that is not understood', { json => { success => \0, message => 'Timed Out' } } ]),
	{ about => 'two of nine, by a description at its other address', list => [ member($ME, 'admin'), member('15550000002') ], elsewhere => 1 },
	{ about => 'a page in Go\'s spelling', list => [ member($ME, 'admin') ], beside => { HasMore => \1 }, info => {} },
	{ about => 'a total in Go\'s spelling', list => [ member($ME, 'admin') ], beside => { Total => 1000 }, info => {} },
	{ about => 'one of two lists', list => [ member($ME, 'admin') ], beside => { members => [ member('15550000002') ] }, info => {} },
	{ about => 'a page as Spring has it', list => [ member($ME, 'admin') ], beside => { page => 0, size => 1 }, info => {} },
	{ about => 'somebody invited', list => [ member($ME, 'admin'), { id => '15550000002@c.us', status => 'invited' } ], info => {} },
	{ about => 'a list without us', list => [ member('15550000002') ], info => {} });

foreach my $row (@incomplete)
{
	# what the description does is the same for all actions
	my @actions = $row->{fails} || $row->{elsewhere} ? 'add' : qw(add remove promote);
	$row->{$_} = { group => $wawp->group, who => $wawp->person, action => $_ } foreach @actions;
	foreach my $it (@$row{@actions})
	{
		tells($it->{group}, $row);
		$it->{id} = $wawp->want(%$it);
	}
}

# ---- and the session

my $hasty = own_server(verify_delays => '20ms,80ms');

sub verified
{
	my ($group) = @_;
	return $wawp->ask("SELECT outcome || ' ' || verified FROM wawp_add_participants('$group', ARRAY['" . $wawp->person . "'], '$hasty', verify => true)");
}

foreach my $row (@incomplete)
{
	my $group = $wawp->group;
	tells($group, $row);
	is(verified($group), 'accepted false', "session: $row->{about}");
}

# ---- what the group says of itself

my $approval = { group => $wawp->group, who => $wawp->person };
my $full = { group => $wawp->group, who => $wawp->person };
my $by_hand = $wawp->group;
my %says = ($approval->{group} => 'is_join_approval_required', $by_hand => 'joinApprovalMode');
foreach my $group (sort keys %says)
{
	lists($group, member($ME), member('15550000002', 'admin'));
	describes($group, size => 2, memberAddMode => 'ALL_MEMBER_ADD', $says{$group} => \1);
	accepts($group);
}
$approval->{id} = $wawp->want(%$approval);
is($wawp->comes_to($approval->{id}, qr/^(pending|invit|failed)/), 'pending_approval pending_approval', 'accepted, and an admin has to approve');
is(scalar(my @none = $wawp->messages($approval->{who})), 0, '... not invited');
is(verified($by_hand), 'pending_approval true', '... in the session, too');
lists($full->{group}, member($ME, 'admin'), map { member(15560000000 + $_) } 1 .. 3);
accepts($full->{group});
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, capacity) VALUES ('$hasty', '$full->{group}', 4)");
is(verified($full->{group}), 'group_full true', 'accepted, and the group is full: in the session as in the worker');

foreach my $row (@incomplete)
{
	stays($row->{add}{id}, 'verifying accepted', "$row->{about}: nobody is invited");
	is(scalar(my @sent = $wawp->messages($row->{add}{who})), 0, '... nor written to');
	like($wawp->ask("SELECT wawp_explain($row->{add}{id})"), qr/^verifying: the API said accepted, .*; could not be verified: the list /, '... which is explained');
	next unless $row->{remove};
	stays($row->{remove}{id}, 'verifying accepted', '... nor taken for removed');
	stays($row->{promote}{id}, 'verifying accepted', '... and a role is not known');
}

is($wawp->ask("SELECT count(*) || ' ' || count(jid) || ' ' || count(role) FROM wawp_participants('$incomplete[1]{add}{group}', 'support')"), '2 1 1', 'an entry that nobody understands is a row that says nothing');

# ---- a shape that is not understood is said, shown and recorded, without anybody's name or number

my %odd_list = (group => $wawp->group, who => $wawp->person);
my $odd_hand = $wawp->group;
my $odd_entries = join ',', qq({"id":"$ME\@c.us","role":"admin"}), map { qq({"id":{"form":"new","digits":"1555000900$_"},"pushName":"Ana Maria","wide":{"1555000900$_\@c.us":true}}) } 1 .. 3;
foreach my $group ($odd_list{group}, $odd_hand)
{
	$sim->rule({ match => { method => 'GET', path => "$group/participants\$" }, times => undef, answer => { text => "[$odd_entries]", content_type => 'application/json' } });
	describes($group);
	accepts($group);
}
my $unread = 'could not be verified: the list has 3 entries that are not understood';
my $shape = '[{id:{form:text,digits:digits},pushName:text,wide:{@c.us:true}} x3]';
$odd_list{id} = $wawp->want(%odd_list);
is($wawp->until("SELECT why FROM wawp.stuck WHERE id = $odd_list{id}", qr/./), $unread, 'wawp.stuck says how many entries are not understood');
like($wawp->ask("SELECT wawp_explain($odd_list{id})"), qr/^verifying: the API said accepted, .*; \Q$unread\E/, '... and so does wawp_explain');
sub recorded { my ($who, $kind) = @_; return "SELECT detail ->> 'note', detail ->> 'shape' FROM wawp.audit WHERE jid = '$who\@c.us' AND kind = '$kind' ORDER BY id"; }
is($wawp->until(recorded($odd_list{who}, 'verified'), qr/./), "$unread|$shape", '... the audit has their shape');
my $odd_who = $wawp->person;
is($wawp->ask("SELECT outcome || ' ' || detail FROM wawp_add_participants('$odd_hand', ARRAY['$odd_who'], '$hasty', verify => true)"),
	'accepted the list has 3 entries that are not understood', '... a session says it, too');
is($wawp->until(recorded($odd_who, 'verified'), qr/./), "the list has 3 entries that are not understood|$shape", '... and its audit has the shape');
is($wawp->ask("SELECT count(*) FROM wawp_participants('$odd_hand', 'support') WHERE jid IS NULL"), 3, '... wawp_participants shows each of them');

my %kept = (group => $wawp->group, who => $wawp->person, action => 'remove');
lists($kept{group}, member($ME, 'admin'), member($kept{who}));
describes($kept{group}, size => 2);
$sim->rule({ match => { method => 'POST', path => "$kept{group}/participants/remove\$" }, times => undef,
	answer => { json => { success => \1, results => [ { id => "$kept{who}\@c.us", success => \0, message => "can't be removed from the community's announcements" } ] } } });
$kept{id} = $wawp->want(%kept);
is($wawp->comes_to($kept{id}, qr/^(failed|invit)/), 'failed unrecognised', 'a removal that is refused with a word of the community fails');
is(scalar(my @asked_back = $wawp->messages($kept{who})), 0, '... and nobody is invited');

my %odd_answer = (group => $wawp->group, who => $wawp->person);
$odd_hand = $wawp->group;
$sim->rule({ match => { method => 'POST', path => "$_/participants/add\$" }, times => 1,
	answer => { text => qq({"state":"odd","people":[{"$odd_answer{who}\@c.us":{"note":"Ana Maria"}}]}), content_type => 'application/json' } }) foreach $odd_answer{group}, $odd_hand;
$wawp->want(%odd_answer);
my $odd_shape = '{state:text,people:[{@c.us:{note:text}}]}';
is($wawp->until(recorded($odd_answer{who}, 'answered'), qr/./), "|$odd_shape", 'an answer that is not understood is recorded by its shape');
$odd_who = $wawp->person;
is($wawp->ask("SELECT outcome FROM wawp_add_participants('$odd_hand', ARRAY['$odd_who'], '$hasty')"), 'unknown_result', '... in a session');
is($wawp->until(recorded($odd_who, 'answered'), qr/./), "|$odd_shape", '... too');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE detail::text ~ 'Maria|15550009|$odd_answer{who}'"), 0, '... in which nobody is named');

# ---- leaving

my %crowd = map { (15570000000 + $_ => { role => 'member' }) } 1 .. 40;
my ($stayed) = sort keys %crowd;
my $shrinks = $wawp->group(members => { $ME => { role => 'superadmin' }, %crowd });

sub forget_list { my ($group) = @_; $wawp->ask("SELECT count(*) FROM wawp_promote_participants('$group', ARRAY['$ME'], 'support')"); return; }

is($wawp->end($wawp->want(group => $shrinks, who => $stayed)), 'done already_member', 'seen in a group of 41');
lists($shrinks, member($ME, 'superadmin'), map { member($_) } (sort keys %crowd)[ 20 .. 39 ]);
forget_list($shrinks);
is($wawp->end($wawp->want(group => $shrinks, who => $stayed, verify => 'false')), 'done accepted', 'half of a list is gone: they have not left');
is($wawp->ask("SELECT count(*) FROM wawp.suppression WHERE jid = '$stayed\@c.us'"), 0, '... and are not left in peace');

my %left = (group => $wawp->group, who => $wawp->person);
is($wawp->end($wawp->want(%left)), 'done added', 'added');
$sim->leave(@left{qw(group who)}, 'self');
forget_list($left{group});
my $before = $wawp->lists($left{group});
is($wawp->end($wawp->want(%left)), 'failed suppressed', 'gone');
cmp_ok($wawp->lists($left{group}) - $before, '>=', 2, '... which takes two lists');
like($wawp->ask("SELECT reason || ' ' || (until BETWEEN now() + interval '89 days' AND now() + interval '91 days') FROM wawp.suppression WHERE jid = '$left{who}\@c.us'"), qr/^left the group: was seen in it on .*, and is in neither of two complete member lists true$/,
	'... what is inferred says from what, and ends by itself');
$wawp->ask("SELECT wawp_unsuppress('$left{who}', '$left{group}')");

my $smaller = $wawp->group;
my ($first, $second, $private) = ($wawp->person, $wawp->person, $wawp->person(privacy => 'nobody'));
is($wawp->end($wawp->want(group => $smaller, who => $_)), 'done added', 'added') foreach $first, $second;
is($wawp->end($wawp->want(group => $smaller, who => $private, invite => 'false')), 'failed privacy_blocked', '... another cannot be, by a description that says how many there are');
$sim->leave($smaller, $_, 'self') foreach $first, $second;
forget_list($smaller);
my $adds = $wawp->requests($smaller);
is($wawp->end($wawp->want(group => $smaller, who => $first)), 'failed suppressed', 'a list that is shorter than the size that was read earlier: the size is read again, and they have left');
is($wawp->requests($smaller), $adds, '... without being added again');

# ---- an outage is nobody's fault: one head tries, nobody fails

sub outage
{
	my ($name, %answer) = @_;
	# Three failures in a row hold it, one more may be under way by then; at least one of the five is a trial.  With a time
	# the first holds it, and each that follows doubles that.
	my $failures = $answer{headers}{'Retry-After'} ? 3 : 5;
	my $server = own_server(concurrency => 2);
	my $group = $wawp->group;
	my @people = map { $wawp->person } 1 .. 20;
	# the answers to checks further down are others'
	$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('$server', '$group', false)");
	$sim->rule({ match => { method => 'POST', path => "$group/participants/add\$" }, times => $failures, answer => \%answer });
	$wawp->ask("SELECT count(*) FROM wawp_request_add('$group', ARRAY['" . join("', '", @people) . "'], '$server', batch_id => '$name')");
	return { name => $name, server => $server, group => $group, failures => $failures };
}

# What becomes of a hold is kept: it is over, and pruned, before it is looked for.
$wawp->ask(q{CREATE TABLE public.held (instance name, failures int, span interval);
	CREATE FUNCTION public.note_held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.held VALUES (new.instance, new.failures, new.until - pg_catalog.clock_timestamp()); RETURN NULL; END $$;
	CREATE TRIGGER note_held AFTER INSERT OR UPDATE ON wawp.hold FOR EACH ROW WHEN (new.group_jid IS NULL) EXECUTE FUNCTION public.note_held();
	GRANT INSERT ON public.held TO PUBLIC});
my @outages = (outage('503', status => 503, text => '<html>busy</html>', content_type => 'text/html'),
	outage('503 with a time', status => 503, headers => { 'Retry-After' => '1' }, json => { message => 'Service Unavailable' }),
	outage('302', status => 302, text => '', headers => { Location => 'https://example.com/' }),
	outage('405', status => 405, json => { message => 'Method Not Allowed' }),
	outage('404', status => 404, text => 'default backend - 404', content_type => 'text/plain'),
	outage('421', status => 421, text => ''));

# ---- a limit that a reading meets is everybody's

my $limited = own_server;
my ($slow, $other) = ($wawp->group, $wawp->group);
$sim->rule({ match => { method => 'GET', path => "$slow/participants\$" }, times => undef,
	answer => { status => 429, headers => { 'Retry-After' => '120' }, json => { message => 'Too Many Requests' } } });
my $slow_id = $wawp->want(group => $slow, instance => $limited);
is($wawp->until("SELECT reason, round(extract(epoch FROM until - now()) / 60) FROM wawp.hold WHERE instance = '$limited' AND group_jid IS NULL", qr/./),
	'rate_limited|2', '429 to a list, with Retry-After: the instance is held that long');
my $other_id = $wawp->want(group => $other, instance => $limited);
is($wawp->now($other_id), 'queued', '... for additions as well');

# ---- 400 of an unknown cause is doubt about the call

my $doubtful = own_server(concurrency => 1);
my $doubted = $wawp->group;
my @people = map { $wawp->person } 1 .. 6;
foreach my $who (@people)
{
	$sim->rule({ match => { method => 'POST', path => "$doubted/participants/add\$", body => $who }, times => undef,
		answer => { status => 201, json => { "$who\@c.us" => { code => 400, message => 'An unknown error occurred while adding a participant' } } } });
}
$wawp->ask("SELECT count(*) FROM wawp_request_add('$doubted', ARRAY['" . join("', '", @people) . "'], '$doubtful', batch_id => 'doubted')");
is($wawp->until("SELECT reason FROM wawp.hold WHERE instance = '$doubtful' AND group_jid IS NULL AND until > now()", qr/./), 'rate_limited',
	'two people refused for an unknown cause: the instance slows down');
is($wawp->requests($doubted), 2, '... after the second');
is($wawp->ask("SELECT string_agg(DISTINCT concat_ws(' ', state, outcome), ', ') FROM wawp.membership_intent WHERE batch_id = 'doubted' AND attempts > 0"),
	'verifying unknown_result', '... they are looked for');
foreach my $so_far (2, 3)
{
	$wawp->ask("SELECT wawp_resume('$doubtful')");
	$wawp->until("SELECT count(*) FROM wawp.audit_log WHERE kind = 'answered' AND group_jid = '$doubted'", $so_far + 1);
	$wawp->until("SELECT count(*) FROM wawp.hold WHERE instance = '$doubtful' AND group_jid IS NULL AND until > now()", 1);
}
is($wawp->ask("SELECT reason FROM wawp.hold WHERE instance = '$doubtful' AND group_jid = '$doubted' AND until > now()"), 'unrecognised', '... after the fourth the group is held');
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND group_jid = '$doubted'"), 1, '... which is said');
# Looks wait as long as the instance is to slow down, which may be minutes by now; the group stays held.
$wawp->ask("DELETE FROM wawp.hold WHERE instance = '$doubtful' AND group_jid IS NULL");
$wawp->ask("SELECT wawp_pause('$doubtful', '$other'), wawp_resume('$doubtful', '$other')");
is($wawp->until("SELECT DISTINCT concat_ws(' ', state, outcome, next_attempt_at > updated_at + interval '5 s') FROM wawp.membership_intent
		WHERE batch_id = 'doubted' AND jid IN (SELECT jid FROM wawp.audit WHERE kind = 'verified' AND group_jid = '$doubted')", qr/./), 'queued unknown_result t', '... who was not found is tried again, not at once');
is($wawp->ask("SELECT count(*) FROM wawp.membership_intent WHERE batch_id = 'doubted' AND state = 'failed'"), 0, '... and nobody has failed');

# ---- answers that are alike and not understood: after three people nobody else is asked, but one at a time

# As if its time were over; a change to a group of its own makes the worker look.
sub end_hold
{
	my ($server) = @_;
	$wawp->ask("UPDATE wawp.hold SET until = now() WHERE instance = '$server' AND group_jid IS NULL");
	$wawp->ask("SELECT wawp_pause('$server', '$other'), wawp_resume('$server', '$other')");
	return;
}

my $odd = own_server(concurrency => 1);
my $oddly = $wawp->group;
$sim->rule({ match => { method => 'POST', path => "$oddly/participants/add\$" }, times => 5, answer => { status => 400, json => { message => 'Something' } } });
$wawp->ask("SELECT count(*) FROM wawp_request_add('$oddly', ARRAY['" . join("', '", map { $wawp->person } 1 .. 20) . "'], '$odd', batch_id => 'odd')");
is($wawp->until("SELECT reason, failures, until > now() + interval '25 s' FROM wawp.hold WHERE instance = '$odd' AND group_jid IS NULL", qr/./), 'unrecognised|1|t',
	'three people who get the same answer that is not understood: the instance is held');
is($wawp->requests($oddly), 3, '... after the third');
foreach my $tried (4, 5)
{
	end_hold($odd);
	is($wawp->until("SELECT failures FROM wawp.hold WHERE instance = '$odd' AND until > now()", $tried - 2), $tried - 2, '... and again');
	is($wawp->requests($oddly), $tried, '... after a single one');
}
is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND instance = '$odd' AND group_jid IS NULL"), 1, '... which was said once');
end_hold($odd);
is($wawp->until("SELECT count(*) FILTER (WHERE state = 'done') FROM wawp.membership_intent WHERE batch_id = 'odd'", 20), 20, '... and all are added when it is over, those who met it as well');

# ---- LIDs

my $lids = own_server(batch_size => 3);
my $by_lid = $wawp->group;
my @known = map { $wawp->person } 1 .. 3;
my %lid = ($known[0] => '900000000007001@lid', $known[1] => '900000000007002@lid', $known[2] => '900000000007003@lid');
$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$known[$_]\@c.us', '$lid{ $known[$_] }')") foreach 0, 1;
$sim->rule({ match => { method => 'POST', path => "$by_lid/participants/add\$" }, times => 1,
	answer => { json => [ { status => '408', jid => $lid{ $known[1] } }, { status => '200', jid => $lid{ $known[0] } }, { status => '403', jid => '900000000007009@lid' } ] } });
$wawp->ask("SELECT count(*) FROM wawp_request_add('$by_lid', ARRAY['" . join("', '", @known) . "'], '$lids', verify => false, batch_id => 'lids')");
sub first_answer { my ($who) = @_; return $wawp->until("SELECT outcome FROM wawp.audit WHERE kind = 'answered' AND jid = '$who\@c.us' ORDER BY id LIMIT 1", qr/./); }
is(first_answer($known[0]), 'added', 'only LIDs in an answer: who is known by one is found, whatever the order');
is(first_answer($known[1]), 'recently_left', '... and so is the other');
is(first_answer($known[2]), 'unknown_result', '... of the third nothing is known');

my $told = $wawp->person;
$sim->rule({ match => { method => 'POST', path => 'participants/add$', body => $told }, times => 1,
	answer => { json => [ { status => '200', jid => '900000000007010@lid', content => { attrs => { phone_number => "$told\@s.whatsapp.net" } } } ] } });
is($wawp->end($wawp->want(who => $told)), 'done added', 'an answer with number and LID');
is($wawp->ask("SELECT lid FROM wawp.contact WHERE jid = '$told\@c.us'"), '900000000007010@lid', '... which is kept');
my %listed = (group => $wawp->group, who => $wawp->person);
lists($listed{group}, member($ME, 'admin'), { id => '900000000007011@lid', phoneNumber => "$listed{who}\@s.whatsapp.net" });
is($wawp->end($wawp->want(%listed)), 'done already_member', 'a list with both');
is($wawp->ask("SELECT lid FROM wawp.contact WHERE jid = '$listed{who}\@c.us'"), '900000000007011@lid', '... is learnt from, too');

my $by_check = own_server();
$sim->world({ accounts => { uc $by_check => { checks_by_lid => \1 } } });
my %checked = (group => $wawp->group, who => $wawp->person, instance => $by_check);
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('$by_check', '$checked{group}', true)");
is($wawp->end($wawp->want(%checked)), 'done added', 'a check that tells the LID, with the number beside it: the number is added');
like($wawp->ask("SELECT lid || ' ' || coalesce(known_as, 'the same') FROM wawp.contact WHERE jid = '$checked{who}\@c.us'"), qr/^\d+\@lid (the same|$checked{who}\@c\.us)$/, '... and the LID is kept');

# ---- LIDs that sessions learn

sub lid_of { my ($who, $lid) = @_; return $wawp->until("SELECT lid FROM wawp.contact WHERE jid = '$who\@c.us'", $lid); }

my $by_hand_checked = $wawp->person;
$wawp->ask("SELECT wawp_check_exists(ARRAY['$by_hand_checked'], '$by_check')");
like(lid_of($by_hand_checked, qr/^\d+\@lid$/), qr/^\d+\@lid$/, 'wawp_check_exists: the LID that it tells is kept');
is($wawp->ask("SELECT count(*) FROM wawp.audit WHERE jid = '$by_hand_checked\@c.us'"), 0, '... without a record, as of all that is only read');
my ($of_group, $in_list, $of_check) = map { $wawp->person } 1 .. 3;
my $lids_only = $wawp->group(addressing => 'lid', lid_pn => \0);
is($wawp->ask("SELECT outcome FROM wawp_check_participants('$lids_only', ARRAY['$of_group'], 'support')"), '', 'a check against a list of LIDs: nothing is in the way');
like(lid_of($of_group, qr/^\d+\@lid$/), qr/^\d+\@lid$/, '... keeps the LID that it asked for');
my $with_both = $wawp->group;
lists($with_both, member($ME, 'admin'), { id => '900000000007040@lid', phoneNumber => "$in_list\@s.whatsapp.net" });
is($wawp->ask("SELECT outcome FROM wawp_check_participants('$with_both', ARRAY['$in_list'], 'support')"), 'already_member', '... against one with both');
is(lid_of($in_list, '900000000007040@lid'), '900000000007040@lid', '... keeps that of the list');
is($wawp->ask("SELECT outcome FROM wawp_check_participants('@{[ $wawp->group ]}', ARRAY['$of_check'], '$by_check')"), '', '... of a number');
like(lid_of($of_check, qr/^\d+\@lid$/), qr/^\d+\@lid$/, '... keeps that of its registration');

# ---- a LID beside a 404

foreach my $way (qw(worker session))
{
	my ($who, $group) = ($wawp->person, $wawp->group);
	$sim->rule({ match => { method => 'POST', path => "$group/participants/add\$" },
		answer => { json => [ { status => '404', jid => "$who\@c.us", lid => '900000000007050@lid' } ] } });
	if ($way eq 'worker') { is($wawp->end($wawp->want(group => $group, who => $who)), 'failed not_on_whatsapp', 'a 404 with a LID beside it') }
	else
	{
		$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$who\@c.us', '900000000007050\@lid')");
		is($wawp->ask("SELECT outcome FROM wawp_add_participants('$group', ARRAY['$who'], 'support')"), 'not_on_whatsapp', 'a 404 with a LID beside it, in a session');
	}
	is($wawp->until("SELECT concat(lid, registered, known_as) FROM wawp.contact WHERE jid = '$who\@c.us'", ''), '', '... nothing says that they have an account');
	$sim->world({ people => { $who => { registered => \0 } } });
	is($wawp->ask("SELECT outcome FROM wawp_check_participants('$group', ARRAY['$who'], 'support')"), 'not_on_whatsapp', '... and a check asks again');
}

# ---- removals where numbers meet LIDs

my $removing = own_server(verify_delays => '50ms,100ms,200ms');
my ($in_both, $gone, $shadow) = ($wawp->person, $wawp->person, $wawp->person(lid_known => \0));
$wawp->ask("INSERT INTO wawp.contact (jid, lid) VALUES ('$in_both\@c.us', '900000000007061\@lid'), ('$gone\@c.us', '900000000007062\@lid')");
my %removal = (
	'by number, known by a LID that is listed' => { who => $in_both, list => ['900000000007061@lid'], ends => 'failed accepted' },
	'by number, known by a LID that is not listed' => { who => $gone, list => ['900000000007069@lid'], ends => 'done removed' },
	'by number, whose LID nobody knows' => { who => $shadow, list => ['900000000007069@lid'], ends => undef },
	'by LID, the list has numbers' => { who => '900000000007063@lid', list => ['15550000002@c.us'], ends => undef },
	'by LID that is listed' => { who => '900000000007064@lid', list => ['900000000007064@lid'], ends => 'failed accepted' },
	'by LID that is not listed' => { who => '900000000007065@lid', list => ['900000000007069@lid'], ends => 'done removed' });
foreach my $it (values %removal)
{
	$it->{group} = $wawp->group;
	lists($it->{group}, { id => "$ME\@c.us", lid => '900000000000001@lid', role => 'admin' }, map { { id => $_, role => 'member' } } @{ $it->{list} });
	accepts($it->{group});
	$it->{id} = $wawp->want(action => 'remove', instance => $removing, group => $it->{group}, who => $it->{who});
}
foreach my $how (sort keys %removal)
{
	my $it = $removal{$how};
	if ($it->{ends}) { is($wawp->end($it->{id}), $it->{ends}, "a removal $how: $it->{ends}"); }
	else { stays($it->{id}, 'verifying accepted', "a removal $how: nobody knows"); }
}
my ($member, $real) = ($wawp->person, $wawp->group(addressing => 'lid', lid_pn => \0));
is($wawp->end($wawp->want(instance => $removing, group => $real, who => $member)), 'done added', 'somebody in a group of LIDs');
is($wawp->end($wawp->want(action => 'remove', instance => $removing, group => $real, who => $member)), 'done removed', '... is removed by the number');
is($wawp->is_member($real, $member), 0, '... and is not there any more');

# ---- several numbers in a row that are not on WhatsApp

my $checked = own_server();
my $careful = $wawp->group;
$wawp->ask("INSERT INTO wawp.group_settings (instance, group_jid, check_exists) VALUES ('$checked', '$careful', true)");
$sim->rule({ match => { path => 'check-exists' }, times => 3, answer => { json => { numberExists => \0 } } });
is(join(' ', map { $wawp->end($wawp->want(group => $careful, instance => $checked)) } 1 .. 3), 'failed not_on_whatsapp failed not_on_whatsapp done added',
	'the third in a row is not believed: the addition tells');
my $nobody = $wawp->ask("SELECT jid FROM wawp.contact WHERE registered = false ORDER BY contact_id LIMIT 1");
$wawp->ask("UPDATE wawp.contact SET checked_at = checked_at - interval '7 hours' WHERE jid = '$nobody'");
is($wawp->end($wawp->want(group => $careful, instance => $checked, who => $nobody =~ s/@.*//r)), 'done added', '... and a no is asked again after hours');

# ---- the outages are over by now, or soon

foreach my $outage (@outages)
{
	is($wawp->until("SELECT count(*) FILTER (WHERE state = 'done') || ' ' || count(*) FILTER (WHERE state = 'failed') FROM wawp.membership_intent WHERE batch_id = '$outage->{name}'", '20 0'),
		'20 0', "$outage->{name}: all are in, nobody has failed")
	  || diag($wawp->ask("SELECT state, outcome, detail FROM wawp.membership_intent WHERE batch_id = '$outage->{name}' AND state <> 'done'"));
	is($wawp->requests($outage->{group}), 20 + $outage->{failures}, '... and of those who waited one tried');
	is($wawp->ask("SELECT count(*) FILTER (WHERE failures > 1) > 0 AND bool_and(longer) FROM (SELECT failures, span > lag(span, 1, '0') OVER (ORDER BY failures) AS longer
		FROM public.held WHERE instance = '$outage->{server}' AND failures > 0) AS held"), 't', '... held for longer each time');
	is($wawp->ask("SELECT count(*) FROM wawp.audit_log WHERE kind = 'held' AND instance = '$outage->{server}'"), 1, '... which was said once');
}

done_testing();
