# What real engines answer, by their own code (test/engines, answers.jsonl), and what each answer means to wawp.
# `make engines` runs this for each engine over what it answers today: WAWP_ENGINE_ANSWERS names that file,
# WAWP_ENGINE_TABLE the table to write.  Otherwise an answer that several engines give is read once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use JSON::PP;
use Test::More;
use WawpPeople;
use WawpTest;

my $group = '120363012345678901@g.us';
my $file = $ENV{WAWP_ENGINE_ANSWERS} // "$FindBin::RealBin/../engines/answers.jsonl";
my (@answers, @engines, %number_of);
my $in_five_days = time + 5 * 86400;

# People and LIDs are 765NNNN in the file; here each case has people of its own, since what is learnt of one is remembered.
# An end that is to come is there in the year 2100.
open(my $lines, '<', $file) or die "$file: $!";
while (my $line = <$lines>)
{
	my ($case) = $line =~ /^{"case":"(.*?)",/;
	my $number = $number_of{$case} //= 200 + keys %number_of;
	my $answer = JSON::PP->new->utf8->decode($line =~ s/(1555|90000000)765(?=\d{4}@|\d{4}")/$1$number/gr =~ s/4102444800/$in_five_days/r);
	push @answers, $answer;
	foreach my $engine (@{ $answer->{from} })
	{
		push @engines, $engine unless grep { $_ eq $engine } @engines;
	}
}
close($lines);

# ---- a server, and for each case an account of its own: what holds one is in nobody's way

my $sim = WawpTest->sim;
my $node = WawpTest->node('main');
my %session;
my $accounts = 0;

# A database for each engine: what is remembered of a person is that engine's.
sub session_of
{
	my ($engine) = @_;
	my $database = lc($engine) =~ s/\W+/_/gr;

	$session{$engine} //= do
	{
		$node->safe_psql('postgres', "CREATE DATABASE $database");
		$node->safe_psql($database, 'CREATE EXTENSION wawp');
		WawpTest->session($node, $database);
	};
	return $session{$engine};
}

sub account
{
	my ($session) = @_;
	my $name = 'case' . ++$accounts;
	my $url = $sim->url;
	my $answer = $session->ask(<<SQL);
CREATE SERVER $name FOREIGN DATA WRAPPER wawp OPTIONS (instance_id '@{[ uc $name ]}', base_url '$url', adds_per_minute '0',
	checks_per_minute '0', verify_delays '20ms,60ms');
CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (access_token 'secret');
INSERT INTO wawp.group_settings (instance, group_jid, capacity) VALUES ('$name', '$group', 3)
SQL
	die $answer->{err} if $answer->{state};
	return $name;
}

# ---- questions: what the API is asked, and how that is put to wawp; %s: the people, the account

sub changed
{
	my ($action) = @_;
	return { path => $action =~ /mote/ ? "admin/$action\$" : "participants/$action\$", method => 'POST',
		sql => "SELECT string_agg(outcome::text, ' ' ORDER BY ordinality)
			FROM wawp_${action}_participants('$group', %s, '%s') WITH ORDINALITY" };
}

my %questions = (
	(map { $_ => changed($_) } qw(add remove promote demote)),
	# an add that is answered ok and no more, and the list that is looked at then: how many of its entries can be read
	participants => { method => 'GET', path => '/participants$', with => 'group', ok => 'participants/add$', sql => <<SQL },
SELECT outcome || CASE WHEN verified THEN ' verified' ELSE '' END || (SELECT format(' %%s/%%s', count(jid), count(*)) FROM wawp_participants('$group', instance))
FROM (SELECT %s AS jids, name '%s' AS instance) asked, wawp_add_participants('$group', jids, instance, verify => true)
SQL
	group => { method => 'GET', path => 'groups/[^/]*$',
		sql => "/* %s */ SELECT concat_ws(', ', 'size ' || size, CASE is_admin WHEN true THEN 'admin' WHEN false THEN 'no admin' END)
			FROM wawp_group_info('$group', '%s')" },
	groups => { method => 'GET', path => '/groups$', sql => "/* %s */ SELECT coalesce(string_agg(subject || ' ' || size, ', ' ORDER BY group_jid), 'none')
			FROM wawp_groups('%s')" },
	create => { method => 'POST', path => '/groups$', sql => "SELECT wawp_create_group('Cohort', %s, '%s')" },
	invite => { method => 'GET', path => 'invite-code$', sql => "/* %s */ SELECT CASE wawp_invite_link('$group', '%s') WHEN 'https://chat.whatsapp.com/AbCdEfGhIjKlMnOpQrStUv' THEN 'the link' END" },
	exists => { method => 'GET', path => 'check-exists$',
		sql => "SELECT concat_ws(' ', coalesce(registered::text, 'unknown'), jid) FROM wawp_check_exists(%s, '%s')" },
	requests => { method => 'GET', path => 'join-requests$',
		sql => "/* %s */ SELECT coalesce(string_agg(concat_ws(' ', jid, extract(epoch FROM requested_at)::int, method), ', ' ORDER BY requested_at), 'none')
			FROM wawp_join_requests('$group', '%s')" },
	(map { $_ => { method => 'POST', path => 'session/info$', sql => "/* %s */ SELECT status || CASE WHEN usable THEN ', usable' ELSE '' END FROM wawp_session('%s')" } }
		qw(timelock capping)));
my %limit_in = (timelock => 'reachoutTimelock', capping => 'messageCapping');

# ---- what is expected; where engines answer differently, by the beginning of an engine's name

my @expected = (
	[ 'added', add => 'added' ],
	(map { [ "the person: $_->[0]", add => $_->[1] ] } [ 401, 'blocked_by_user' ], [ 403, 'privacy_blocked' ], [ 404, 'not_on_whatsapp' ],
		[ 405, 'removed_by_admin' ], [ 406, 'community_restricted' ], [ 408, 'recently_left' ], [ 409, 'already_member' ], [ 412, 'group_full' ],
		[ 417, 'community_restricted' ], [ 419, 'group_full' ], [ 423, 'group_locked' ], [ 451, 'legal_restricted' ], [ 500, 'server_error' ], [ 999, 'unrecognised' ]),
	[ 'a code for each', add => 'added already_member not_on_whatsapp' ],
	[ 'not addressable', add => 'privacy_blocked' ],
	[ 'to be approved', add => 'pending_approval' ],
	[ 'asked for approval before', add => 'pending_approval' ],
	[ 'too many wait for approval', add => 'group_locked' ],
	[ 'LIDs in another order, phones beside them', add => 'added recently_left' ],
	[ 'LIDs in another order, no phones', add => 'unknown_result unknown_result' ],
	[ 'one LID, no phone', add => 'privacy_blocked' ],
	[ 'phones with LIDs beside them', add => 'added recently_left' ],
	[ 'hosted', add => 'added' ],
	[ 'hosted LID, phone beside it', add => 'added' ],
	[ 'one of two left out', add => 'added unknown_result' ],
	[ 'nobody in the answer', add => 'unknown_result' ],
	[ 'an empty answer', add => 'unknown_result' ],
	[ 'an invitation card is sent', add => 'privacy_blocked' ],
	[ 'an invitation card is not sent', add => 'privacy_blocked' ],
	[ 'we are no admin', add => 'not_admin' ],
	[ 'the page does not know the members', add => 'unrecognised' ],

	# an unanswered request is nobody to Baileys 7: an empty list
	[ 'no answer', add => 'server_error', 'Baileys 7' => 'unknown_result' ],
	[ 'no answer', group => 'error 08006' ],
	[ 'no answer', exists => 'error 08006' ],
	[ 'no answer', invite => 'error 08006', 'Baileys 7' => 'error 42501' ],
	[ 'no answer', requests => 'error 08006', 'Baileys 7' => 'none' ],
	[ 'an empty answer', requests => 'none' ],
	[ 'connection lost', add => 'server_error', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'connection lost', group => 'error 08006' ],
	[ 'connection lost', exists => 'error 08006' ],
	[ 'not connected', add => 'server_error' ],
	[ 'not connected', group => 'error 08006' ],
	[ 'not connected', exists => 'error 08006' ],

	# whatsapp-web.js has 400 for all of it, about which nothing is known
	[ 'request refused: 400', add => 'unrecognised' ],
	[ 'request refused: 401', add => 'not_admin' ],
	[ 'request refused: 403', add => 'not_admin', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'request refused: 404', add => 'group_not_found', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'request refused: 405', add => 'not_admin' ],
	[ 'request refused: 406', add => 'unrecognised' ],
	[ 'request refused: 419', add => 'group_full' ],
	[ 'request refused: 423', add => 'group_locked' ],
	[ 'request refused: 429', add => 'rate_limited', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'request refused: 500', add => 'server_error', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'request refused: 503', add => 'server_error', 'whatsapp-web.js' => 'unrecognised' ],
	[ 'request refused: 530', add => 'server_error' ],
	[ 'refused after a success', add => 'added rate_limited' ],
	[ 'request refused: 400', group => 'error 08P01' ],
	[ 'request refused: 401', group => 'error 42501' ],
	[ 'request refused: 403', group => 'error 42501' ],
	[ 'request refused: 404', group => 'error 42704' ],
	[ 'request refused: 405', group => 'error 42501' ],
	[ 'request refused: 406', group => 'error 08P01' ],
	[ 'request refused: 419', group => 'error 55000' ],
	[ 'request refused: 423', group => 'error 55000' ],
	[ 'request refused: 429', group => 'error 53400' ],
	[ 'request refused: 500', group => 'error 08006' ],
	[ 'request refused: 503', group => 'error 08006' ],
	[ 'request refused: 530', group => 'error 08006' ],
	[ 'request refused: 403', requests => 'error 42501' ],

	# whatsapp-web.js answers 200, whoever it was
	[ 'removed', remove => 'removed', 'whatsapp-web.js' => 'accepted' ],
	[ 'removed, answered by LID', remove => 'removed' ],
	[ 'removed: no member', remove => 'not_member', 'whatsapp-web.js' => 'accepted' ],
	[ 'removed: nobody in the answer', remove => 'unknown_result' ],
	[ 'promoted', promote => 'promoted', 'whatsapp-web.js' => 'accepted' ],
	[ 'promoted: no member', promote => 'not_member', 'whatsapp-web.js' => 'accepted' ],
	[ 'demoted', demote => 'demoted', 'whatsapp-web.js' => 'accepted' ],
	[ 'demoted: no member', demote => 'accepted' ],
	[ 'demoted: refused', demote => 'unrecognised' ],

	# lists: whoever may be behind an entry is not absent
	[ 'list: with the person', participants => 'added verified 2/2' ],
	[ 'list: without the person', participants => 'privacy_blocked verified 2/2' ],
	[ 'list: an admin', participants => 'added verified 2/2' ],
	[ 'list: hosted', participants => 'added verified 2/2' ],
	[ 'list: hosted LID', participants => 'accepted 2/2' ],
	[ 'list: hosted LID and phone', participants => 'accepted 2/2' ],
	[ 'list: LID and hosted phone', participants => 'accepted 2/2' ],
	[ 'list: LIDs and phones', participants => 'accepted 2/2', 'Baileys 7' => 'added verified 2/2' ],
	[ 'list: LIDs and phones, without the person', participants => 'accepted 2/2', 'Baileys 7' => 'privacy_blocked verified 2/2' ],
	[ 'list: LIDs, phones known', participants => 'added verified 2/2' ],
	[ 'list: LIDs, phones known, without the person', participants => 'privacy_blocked verified 2/2' ],
	[ 'list: LIDs alone', participants => 'accepted 2/2' ],
	[ 'list: ids without their text', participants => 'added verified 2/2' ],
	[ 'list: LIDs without their text', participants => 'accepted 2/2' ],
	[ 'list: phones and LIDs', participants => 'added verified 2/2' ],
	[ 'list: one by user name alone', participants => 'accepted 1/2' ],
	[ 'list: a bot', participants => 'accepted 2/3' ],
	[ 'list: an unknown server', participants => 'accepted 2/3' ],
	# Baileys 6 counts the list and throws the stated size away: nothing tells that it is not the whole group
	[ 'list: two of 1000', participants => 'accepted 2/2', 'Baileys 6' => 'privacy_blocked verified 2/2' ],
	[ 'list: without us', participants => 'accepted 2/2' ],
	[ 'list: empty', participants => 'accepted 0/0' ],
	[ 'list: all may add, admins approve', participants => 'pending_approval verified 2/2' ],
	[ 'list: full', participants => 'group_full verified 3/3' ],
	(map { [ "list: $_", group => 'size 2, admin' ] } 'with the person', 'without the person', 'an admin', 'hosted', 'hosted LID',
		'hosted LID and phone', 'LID and hosted phone', 'LIDs and phones', 'LIDs and phones, without the person',
		'LIDs, phones known', 'LIDs, phones known, without the person', 'LIDs alone', 'phones and LIDs', 'ids without their text', 'LIDs without their text', 'one by user name alone'),
	[ 'list: a bot', group => 'size 3, admin' ],
	[ 'list: an unknown server', group => 'size 3, admin' ],
	[ 'list: two of 1000', group => 'size 1000, admin', 'Baileys 6' => 'size 2, admin' ],
	[ 'list: without us', group => 'size 2' ],
	[ 'list: empty', group => 'size 0' ],
	[ 'list: all may add, admins approve', group => 'size 2, no admin' ],
	[ 'list: full', group => 'size 3, admin' ],

	[ 'groups', groups => 'Support 2, Announcements 1000', 'Baileys 6' => 'Support 2, Announcements 1', 'whatsapp-web.js' => 'Support 2' ],
	[ 'no groups', groups => 'none' ],
	[ 'created', create => $group ],
	[ 'not created', create => 'error 08P01' ],
	[ 'invite code', invite => 'the link' ],
	[ 'no invite code', invite => 'error 42501' ],
	[ 'exists', exists => 'true 15557650000@c.us' ],
	[ 'exists under another number', exists => 'true 15557650001@c.us' ],
	[ 'exists, by LID', exists => 'true 900000007650000@lid' ],
	[ 'exists not', exists => 'false' ],
	[ 'exists not, without an id', exists => 'false' ],
	# the same empty list to Baileys as a number that does not exist
	[ 'exists: refused for an hour', exists => 'false' ],
	[ 'exists: an error for the person', exists => 'error 08006' ],
	[ 'join requests', requests => '15557650000@c.us 1796000000 non_admin_add, 15557650002@c.us 1796000100 invite_link',
		'whatsapp-web.js' => '900000007650000@lid 1796000000 non_admin_add, 15557650002@c.us 1796000100 invite_link' ],
	[ 'no join requests', requests => 'none' ],
	[ 'timelocked', timelock => 'WORKING, usable, limited for 5 days' ],
	[ 'timelocked without an end', timelock => 'WORKING, usable, limited' ],
	[ 'not timelocked', timelock => 'WORKING, usable' ],
	[ 'capped', capping => 'WORKING, usable, limited for 5 days' ]);

# What the API answers besides: who we are, what limits us, and that it knows nobody's LID.
sub besides
{
	my ($answer) = @_;
	my $limit = $limit_in{ $answer->{ask} };
	my %me = (id => '15550000001@c.us', lid => '900000000000001@lid', $limit ? ($limit => $answer->{json}) : ());
	return ([ 'POST', 'session/info$', { status => 201, json => { name => 'case', status => 'WORKING', me => \%me } } ],
		[ 'GET', 'lids', { status => 200, json => { lid => undef, pn => undef } } ]);
}

sub answered
{
	my ($method, $path, $answer) = @_;
	my %body = exists $answer->{json} ? (json => $answer->{json}) : (text => $answer->{text}, content_type => 'text/html');
	return { match => { method => $method, path => $path }, times => undef, answer => { status => $answer->{status}, %body } };
}

# An engine's answer to a question of a case.
sub answer_of
{
	my ($engine, $case, $ask) = @_;
	my ($found) = grep { $_->{case} eq $case && $_->{ask} eq $ask && grep { /^\Q$engine\E/ } @{ $_->{from} } } @answers;
	return $found // die "$engine, $case: no answer to $ask\n";
}

# The API answers all that this question asks of it.
sub answers_with
{
	my ($engine, $answer) = @_;
	my $question = $questions{ $answer->{ask} };
	my @rules = besides($answer);

	push @rules, [ $question->{method}, $question->{path}, $answer ] unless $limit_in{ $answer->{ask} };

	push @rules, [ 'POST', $question->{ok}, { status => 200, json => { ok => \1 } } ] if $question->{ok};
	push @rules, [ @{ $questions{ $question->{with} } }{qw(method path)}, answer_of($engine, $answer->{case}, $question->{with}) ] if $question->{with};
	$sim->rule(map { answered(@$_) } @rules);
	return;
}

my $day = $node->safe_psql('postgres', "SELECT to_timestamp($in_five_days)::date");

# What wawp makes of one engine's answer.
sub reading
{
	my ($engine, $answer) = @_;
	my $session = session_of($engine);
	my $people = join ',', map { "'$_'" } @{ $answer->{who} // [] };

	$sim->unrule;
	answers_with($engine, $answer);
	my $got = $session->ask(sprintf $questions{ $answer->{ask} }{sql}, "ARRAY[$people]::text[]", account($session));
	return "error $got->{state}" if $got->{state};
	my $number = $number_of{ $answer->{case} };
	my $limited = $got->{err} !~ /is limited/ ? '' : $got->{err} =~ /until $day/ ? ', limited for 5 days' : ', limited';
	return ($got->{out} =~ s/(1555|90000000)$number/${1}765/gr) . $limited;
}

my (%expected, %got);
foreach my $row (@expected)
{
	my ($case, $ask, $default, %by_engine) = @$row;
	next unless $questions{$ask};
	$expected{"$case\t$ask"} = [ $default, map { [ $_, $by_engine{$_} ] } keys %by_engine ];
}

sub expected_of
{
	my ($engine, $answer) = @_;
	my ($default, @others) = @{ $expected{"$answer->{case}\t$answer->{ask}"} // [] };
	my ($other) = grep { $engine =~ /^\Q$_->[0]\E/ } @others;
	return $other ? $other->[1] : $default;
}

foreach my $answer (@answers)
{
	next unless $questions{ $answer->{ask} };
	my @asked = $ENV{WAWP_ENGINE_ANSWERS} ? @{ $answer->{from} } : $answer->{from}[0];
	foreach my $engine (@asked)
	{
		my $got = $got{"$answer->{case}\t$answer->{ask}"}{$engine} = reading($engine, $answer);
		is($got, expected_of($engine, $answer), "$engine: $answer->{case}: $answer->{ask}");
	}
}
is_deeply([ sort keys %got ], [ sort keys %expected ], 'each case was there');

# ---- the same in the wrappings of gateways

sub classified
{
	my ($answer, $body) = @_;
	my $text = JSON::PP->new->canonical->encode($body);
	return session_of($answer->{from}[0])->ask("SELECT string_agg(concat_ws(' ', jid, outcome, code), ', ') FROM wawp_classify('$answer->{ask}', 201, \$body\$$text\$body\$)")->{out};
}

foreach my $answer (grep { $_->{ask} =~ /^(add|remove|promote|demote)$/ && $_->{status} < 300 } @answers)
{
	my $people = $answer->{json} or next;
	my $is_list = ref $people eq 'ARRAY';
	next unless $is_list ? @$people : join('', keys %$people) =~ /@/;
	my $plain = classified($answer, $people);
	my @wrapped = $is_list
	  ? ({ updateParticipants => $people }, { success => \1, data => { updateParticipants => $people } }, { status => 'success', response => { participants => $people } })
	  : ({ success => \1, data => $people }, { status => 'success', response => { result => $people } });
	is_deeply([ map { classified($answer, $_) } @wrapped ], [ ($plain) x @wrapped ], "$answer->{from}[0]: $answer->{case}: $answer->{ask}, wrapped");
}

# ---- the worker

my $wawp = WawpPeople->new($node, $sim);
my $by_hand = WawpTest->session($node);

# The API's answers in a group, each an engine's for a case, as if it were about the people of the first of them.
sub answers_in
{
	my ($group, @answers) = @_;
	my $number = $number_of{ $answers[0]{case} };
	my @rules;

	foreach my $answer (@answers)
	{
		my ($other, $question) = ($number_of{ $answer->{case} }, $questions{ $answer->{ask} });
		my $text = JSON::PP->new->encode($answer) =~ s/(1555|90000000)$other(?=\d{4}@|\d{4}")/$1$number/gr;
		push @rules, [ $question->{method}, $question->{path} =~ s/^groups.*/groups\/$group\$/r, JSON::PP->new->decode($text) ];
	}
	$sim->unrule;
	$sim->rule(map { answered(@$_) } @rules, besides($answers[0]));
	return $answers[0]{who}[0] =~ s/@.*//r;
}

my $told = answer_of('Baileys 7', 'LIDs in another order, phones beside them', 'add');
my @lids_alone = map { answer_of('Baileys 7', 'list: LIDs alone', $_) } qw(participants group);
my %asked = (group => $wawp->group, instance => account($by_hand));
$asked{who} = answers_in($asked{group}, $told, @lids_alone);
is($wawp->end($wawp->want(%asked)), 'done added', 'an answer with LID and phone');
is($wawp->end($wawp->want(%asked)), 'done already_member', '... tells who is behind a LID in every list');
answers_in($asked{group}, { %$told, status => 200, json => { ok => \1 } }, @lids_alone);
is($by_hand->ask("SELECT outcome || ' ' || verified FROM wawp_add_participants('$asked{group}', ARRAY['$asked{who}'], '$asked{instance}', verify => true)")->{out},
	'added true', '... in a session, too');

%asked = (group => $wawp->group, instance => account($by_hand), action => 'promote');
$asked{who} = answers_in($asked{group}, answer_of('whatsapp-web.js', 'promoted: no member', 'promote'),
	answer_of('whatsapp-web.js', 'list: without the person', 'participants'), answer_of('whatsapp-web.js', 'list: without the person', 'group'));
like($wawp->end($wawp->want(%asked)), qr/^failed /, 'a promotion of nobody, answered 200, has failed');

%asked = (group => $wawp->group, instance => account($by_hand), action => 'remove');
$asked{who} = answers_in($asked{group}, answer_of('whatsapp-web.js', 'removed', 'remove'),
	answer_of('whatsapp-web.js', 'list: with the person', 'participants'), answer_of('whatsapp-web.js', 'list: with the person', 'group'));
my $removal = $wawp->want(%asked, who => "90000000$number_of{removed}0000\@lid");
$wawp->until("SELECT state FROM wawp.membership_intent WHERE id = $removal", 'verifying');
poll_until(sub { $wawp->lists($asked{group}) >= 4 });
is($wawp->now($removal), 'verifying accepted', 'a LID is not gone because a list has phones only');

# ---- the table

sub longest { my $most = 0; foreach (@_) { $most = length if length > $most; } return $most; }

# A row for each question, with the case where several are asked of it.
sub table_rows
{
	my (%asks, %seen);
	$asks{ (split /\t/)[0] }++ foreach keys %got;
	return map { [ $asks{ $_->{case} } > 1 ? "$_->{case}: $_->{ask}" : $_->{case}, map { $_ // '-' } @{ $got{"$_->{case}\t$_->{ask}"} }{@engines} ] }
	  grep { $got{"$_->{case}\t$_->{ask}"} && !$seen{"$_->{case}\t$_->{ask}"}++ } @answers;
}

sub write_table
{
	my ($to) = @_;
	my @rows = ([ 'case', @engines ], table_rows());
	my @width = map { my $column = $_; longest(map { $_->[$column] } @rows) } 0 .. $#engines + 1;

	foreach my $row (@rows)
	{
		print {$to} join('  ', map { sprintf "%-$width[$_]s", $row->[$_] } 0 .. $#$row) =~ s/ +$//r, "\n";
	}
	return;
}

if ($ENV{WAWP_ENGINE_TABLE})
{
	open(my $table, '>', $ENV{WAWP_ENGINE_TABLE}) or die "$ENV{WAWP_ENGINE_TABLE}: $!";
	write_table($table);
	close($table);
}

done_testing();
