
# wawp_report(): a page that needs nothing but itself, in which texts are texts; who may make it, and who sees numbers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $old_group = '15559876543-1400000000@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, adds_per_day => 50, concurrency => 4 }, conf => "log_statement = none\n");
my $session = WawpTest->session($node);
my $reason = q{<script>alert("1")</script> 'for' ü☃ & `x`};

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub report { my ($who, $instance) = @_; return $who->ask("SELECT wawp_report(now() - interval '1 day', now() + interval '1 hour'@{[ $instance ? qq{, '$instance'} : '' ]})"); }

# The page's text without its tags, and whether these are balanced.
sub text_of
{
	my ($page) = @_;
	my @open;
	my $is_balanced = 1;
	foreach my $tag ($page =~ /<(?!!)([^>]*)>/g)
	{
		my ($end, $name, $empty) = $tag =~ m{^(/?)([a-z1-6]+).*?(/?)$}s;
		next if $empty || $name eq 'meta';
		if ($end) { $is_balanced &&= @open && pop(@open) eq $name; }
		else { push @open, $name; }
	}
	my $text = $page =~ s{<style>.*?</style>}{}sr =~ s/<[^>]*>/ /gr =~ s/&#(\d+);/chr $1/ger =~ s/\s+/ /gr;
	utf8::encode($text);
	return ($text, $is_balanced && !@open);
}

sub words { my ($page) = @_; my ($text) = text_of($page); return $text; }

$sim->world({ auto_groups => \1 });
my $blocked = '15557200003';
$sim->rule({ match => { body => $blocked }, times => undef, answer => { json => { participants => [ { id => "$blocked\@c.us", code => 404 } ] } } });
ask("SELECT set_config('wawp.actor', '<b>anna</b>', false)");
my $quoted = $reason =~ s/'/''/gr;
foreach my $in ($group, $old_group)
{
	ask("SELECT wawp_request_add('$in', ARRAY['15557200001', '15557200002', '$blocked'], 'support', '$quoted', batch_id => '$in')");
	is(ask("SELECT pending FROM wawp_wait('$in', '@{[ $PostgreSQL::Test::Utils::timeout_default ]} s')"), 0, 'people are added');
}
ask("SELECT wawp_pause('support', '$group', '<i>pause</i>'), wawp_resume('support', '$group')");
$session->until("SELECT count(*) FROM wawp.audit_log WHERE kind = 'resumed'", 1);

my $page = report($session)->{out};
my ($text, $is_balanced) = text_of($page);
like($page, qr/\A<!DOCTYPE html>\n<html lang="en">/, 'a page');
ok($is_balanced, '... each tag of which is ended');
like($text, qr/From (\S+ \S+) to before (?!\1)(\S+ \S+)\. .* made at (?!\1|\2)/, '... about a time, made at another');
unlike($page, qr/[^\x20-\x7e\n\t]/, '... in ASCII');
unlike($page, qr{<script|<b>|<i>|https?:|src=|href=|url\(|\@import}i, '... with nothing of others in it, and nothing to load');
my $shown = quotemeta $reason;
like($text, qr/$shown/, 'a reason is shown as it was given');
like($text, qr/<b>anna<\/b>.*/, '... so is who acted');
like($text, qr/To be added or invited 6 Sent to the API 6 Added 4 /, 'the way from request to member');
like($text, qr/Not in so far 2 /, '... and who was not');
like(words(report($session, 'support')->{out}), qr/may add 50 people a day/, '... the cap, where it is about one instance');
like($page, qr{<th scope="row">\d{4}-\d\d-\d\d</th><td class="number">6</td><td class="bar"><svg}, 'adds by day have a bar');
like($text, qr/not_on_whatsapp: .* 2 /, 'refusals by reason');
like($text, qr/held support 120363012345678901\@g\.us <i>pause<\/i>/, 'holds');
like($text, qr/$blocked\@c\.us $old_group add not_on_whatsapp/, 'numbers, to who may see them');
like($text, qr/Yes: the \d+ records sealed in this time/, 'the log is complete');

# ---- a table that is cut says how much is left out

ask("ALTER SERVER support OPTIONS (SET adds_per_day '500')");
my @many = map { sprintf '155721%05d', $_ } 1 .. 105;
$sim->rule({ match => { path => 'participants/add$' }, times => undef, answer => { json => { participants => [ map { { id => "$_\@c.us", code => 404 } } @many ] } } });
ask("SELECT count(*) FROM wawp_request_add('$old_group', ARRAY['$_'], 'support', 'reason of $_', batch_id => 'many')") foreach @many;
is(ask("SELECT pending FROM wawp_wait('many', '@{[ $PostgreSQL::Test::Utils::timeout_default ]} s')"), 0, 'many are refused, each for a reason of their own');
my $long = report($session)->{out};
my $refused = ask(q{SELECT count(*) FROM wawp.audit_log WHERE kind::text IN ('answered', 'verified', 'refused') AND contact_id IS NOT NULL AND outcome = 'not_on_whatsapp'});
my $asked = ask(q{SELECT count(*) FROM (SELECT FROM wawp.audit_log WHERE kind = 'sent' AND action IS NOT NULL GROUP BY requested_by, actor, action, reason) g});
cmp_ok($_, '>', 100, '... more than a table has rows') foreach $refused, $asked;
like(words($long), qr/by the person's number: the first 100 of $refused .* @{[ $refused - 100 ]} more are not shown/, 'a table of people that is cut says what is left out');
like(words($long), qr/Requests that were sent: the first 100 of $asked .* @{[ $asked - 100 ]} more are not shown/, '... and of requests');
my @tables = $long =~ m{<table.*?</table>}gs;
is_deeply([ map { scalar(my @tr = /<tr/g) - 1 } grep { /the first 100 of/ } @tables ], [ 100, 100 ], '... and has so many rows');
unlike(words($page), qr/the first \d|more are not shown/, 'one that is whole says nothing of that');

ask('CREATE ROLE auditor LOGIN; CREATE ROLE ann LOGIN; GRANT SELECT ON wawp.audit_log, wawp.audit_block TO auditor');
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(auditor ann);
is(report($as{ann})->{state}, '42501', 'a plain role may not have it');
my $answer = report($as{auditor});
is($answer->{state}, '', 'who may read the log may') || diag($answer->{err});
unlike($answer->{out}, qr/15557200|15559876543/, '... and sees no numbers');
like(words($answer->{out}), qr/contact \d+ \*\*\*-1400000000\@g\.us add not_on_whatsapp/, '... but contacts');
is(report($session, 'nowhere')->{state}, '42704', 'an instance that does not exist');
is($session->ask('SELECT wawp_report(NULL, now())')->{state}, '22023', 'without a time');
like(words(ask("SELECT wawp_report('2001-01-01', '2001-02-01')")), qr/Nobody was to be added in this time\. .*Nothing was sent\./, 'a time without records');

$_->quit foreach $session, values %as;
done_testing();
