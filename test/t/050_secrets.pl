
# A token is in the user mapping and in the request only: not in the server's log at any level, not in a view, a row
# or an error, whatever the API sends back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $group = '120363012345678901@g.us';
my $add = "SELECT * FROM wawp_add_participants('$group', ARRAY['15551230500'], '%s')";
my $read = "SELECT * FROM wawp_participants('$group', '%s')";

# One plain token, and one with characters that JSON, URLs and headers write in ways of their own.
my $token = 'Tok3nPla1nXyzzyQwop';
my $odd_token = q{Odd"T0k/en\\Plugh+Wibble&F=Zo ob%41};
my @odd_forms = map { form($odd_token, $_) } qw(raw json json_slash json_u url url_lower url_plus);

sub form
{
	my ($text, $how) = @_;
	my %writers = (
		raw => sub { $_[0] },
		json => sub { $_[0] =~ s/(["\\])/\\$1/gr },
		json_slash => sub { $_[0] =~ s/(["\\\/])/\\$1/gr },
		json_u => sub { $_[0] =~ s/([^A-Za-z0-9])/sprintf '\\u%04x', ord $1/egr },
		url => sub { $_[0] =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/egr },
		url_lower => sub { $_[0] =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02x', ord $1/egr },
		url_plus => sub { $_[0] =~ s/([^A-Za-z0-9_.~ -])/sprintf '%%%02X', ord $1/egr =~ tr/ /+/r });
	return $writers{$how}->($text);
}

# Even a part of it is too much; these are in every form and in nothing else.
my $pieces = qr/Tok3n|Pla1n|Xyzzy|Odd.{1,6}T0k|Plugh|Wibble|topsecret/;

my $sim = WawpTest->sim;
my $library = $PostgreSQL::Test::Utils::windows_os ? undef : qx(pg_config --pkglibdir);
chomp $library;
my @contrib = grep { -e "$library/$_.so" } qw(pg_stat_statements auto_explain);
my $node = WawpTest->node(
	'main',
	conf => "shared_preload_libraries = '" . join(',', 'wawp', @contrib) . "'\n" . <<'CONF');
log_statement = 'all'
log_min_duration_statement = 0
log_min_messages = debug5
log_min_error_statement = debug5
log_error_verbosity = verbose
log_connections = on
log_disconnections = on
log_duration = on
log_parser_stats = off
log_lock_waits = on
debug_print_plan = on
debug_print_parse = on
debug_print_rewritten = on
log_line_prefix = '%m [%p] %q%a '
track_activity_query_size = 100kB
CONF
$node->append_conf('postgresql.conf', "auto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\n")
  if grep { $_ eq 'auto_explain' } @contrib;
$node->reload;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements') if grep { $_ eq 'pg_stat_statements' } @contrib;

$sim->world({ accounts => { ABC123 => { token => $token }, GOWS1 => { token => $odd_token } } });
my $keys = PostgreSQL::Test::Utils::tempdir();
append_to_file("$keys/token", "$token\n");
append_to_file("$keys/odd_token", "$odd_token\n");
append_to_file("$keys/wrong", "topsecretWrong\n");
chmod 0600, glob "$keys/*";

my %ways;
foreach my $auth (qw(body query header))
{
	WawpTest->create_server($node, "plain_$auth", $sim, { auth => $auth, access_token_file => "$keys/token" });
	WawpTest->create_server($node, "odd_$auth", $sim,
		{ auth => $auth, access_token_file => "$keys/odd_token", instance_id => 'GOWS1' });
	WawpTest->create_server($node, "wrong_$auth", $sim, { auth => $auth, access_token_file => "$keys/wrong" });
	WawpTest->create_server($node, "closed_$auth", $sim,
		{ auth => $auth, access_token_file => "$keys/token", base_url => 'http://127.0.0.1:1' });
}
WawpTest->create_server($node, 'hasty', $sim, { timeout_ms => 200, auth => 'query', access_token_file => "$keys/token" });

my $session = WawpTest->session($node);
my @said;    # all that a client was ever told

sub ask
{
	my ($sql) = @_;
	my $answer = $session->ask($sql);

	push @said, "$sql:\n$answer->{out}\n$answer->{err}";
	return $answer;
}

# ---- ordinary use, each way of passing credentials

foreach my $kind (qw(plain odd))
{
	foreach my $auth (qw(body query header))
	{
		like(ask(sprintf $add, "${kind}_$auth")->{out}, qr/^15551230500\@c\.us\|(accepted|added|already_member)\|/,
			"auth $auth, a token that is $kind: an add");
		like(ask(sprintf $read, "${kind}_$auth")->{out}, qr/15550000002/, '... and reading');
	}
}
my @posts = grep { $_->{method} eq 'POST' } $sim->ledger;
is(scalar @posts, 6, 'six adds arrived');
my %by_place;
foreach my $post (@posts)
{
	my $kind = ($post->{body}{instance_id} // $post->{query}{instance_id}) eq 'GOWS1' ? $odd_token : $token;
	my @places = grep { ($post->{$_}{$_ eq 'headers' ? 'access-token' : 'access_token'} // '') eq $kind } qw(body query headers);

	$by_place{"@places"}++;
	if ("@places" ne 'query')
	{
		unlike(JSON::PP->new->canonical->encode([ $post->{path}, $post->{query} ]), $pieces, "no token in the URL: @places");
	}
}
is_deeply(\%by_place, { body => 2, query => 2, headers => 2 }, 'each token came in its place, unharmed, and in no other');
my @in_url = grep { $_->{method} eq 'GET' && exists $_->{headers}{'access-token'} && exists $_->{query}{access_token} } $sim->ledger;
is(scalar @in_url, 0, 'with auth header no URL has the token, not even a GET\'s');
is(scalar(grep { ($_->{headers}{referer} // $_->{headers}{cookie} // '') ne '' } $sim->ledger), 0, 'no request says more than it must');

# ---- refusals, losses

foreach my $instance ((map { ("wrong_$_", "closed_$_") } qw(body query header)), 'hasty')
{
	$sim->rule({ match => { path => 'participants' }, times => 2, fault => { hang => \1 } }) if $instance eq 'hasty';
	ask(sprintf $add, $instance);
	isnt(ask(sprintf $read, $instance)->{state}, '', "an error: $instance");
}

# ---- the API sends the request back, as the engines' envelopes do

# The simulator's own: a group that GOWS does not know.
my $unknown = '120363999999999999@g.us';
my $echo = HTTP::Tiny->new(proxy => undef, http_proxy => undef)->post($sim->url . "/v2/groups/$unknown/participants/add",
	{
		headers => { 'content-type' => 'application/json' },
		content => JSON::PP->new->utf8->encode(
			{ instance_id => 'GOWS1', access_token => $odd_token, id => $unknown, participants => [ { id => '15551230500@c.us' } ] })
	});
like($echo->{content}, $pieces, 'an engine\'s error quotes the request, token included');
like(ask(sprintf $add =~ s/\Q$group\E/$unknown/r, "odd_$_")->{out}, qr/\|(group_not_found|server_error)\|/, "... reported: auth $_")
  foreach qw(body query header);

my %echoes = (plain_body => [$token], odd_body => \@odd_forms, odd_query => [$odd_token], odd_header => [$odd_token]);
foreach my $instance (sort keys %echoes)
{
	foreach my $written (@{ $echoes{$instance} })
	{
		my $quoted = $written =~ /\\u|\\\/|\\"/ ? $written : form($written, 'json');
		my @answers = (
			{ status => 500, text => qq({"statusCode":500,"exception":{"message":"failed: $quoted","name":"Error"},)
				. qq("request":{"body":{"access_token":"$quoted"},"url":"/?access_token=$quoted"}}) },
			{ status => 401, text => qq({"status":401,"message":"bad token $quoted"}) },
			{ status => 200, text => qq({"ok":false,"message":"no: $quoted $quoted"}) },
			{ status => 502, content_type => 'text/html', text => "<p>$written</p>" },
			{ status => 200, content_type => 'text/html', text => "Sorry, $written." },
			{ status => 200, text => qq({"id":"$group","subject":"us","participants":[],"$quoted":"$quoted"}) },
			{ status => 200, text => qq([{"id":"15551230500\@c.us","code":403,"message":"$quoted"}]) });

		foreach my $answer (@answers)
		{
			$sim->unrule;
			$sim->rule({ match => { path => 'groups|send' }, times => undef, answer => $answer });
			ask(join ';', sprintf($add, $instance), sprintf($read, $instance),
				"SELECT * FROM wawp_group_info('$group', '$instance')", "SELECT wawp_send_text('$group', 'hello', '$instance')");
		}
	}
}

# A long body is cut before it is shown; the token must not be cut in two and shown by halves.
foreach my $before (map { 480 + $_ } 0 .. 22)
{
	$sim->unrule;
	$sim->rule({ match => { path => 'groups' }, times => undef,
		answer => { status => 502, content_type => 'text/plain', text => 'x' x $before . $token . 'y' x 100 } });
	ask(sprintf $add, 'plain_body');
}
$sim->unrule;

# psql quotes the statement it sent in an error about its syntax only, so all of this is the server's.
my @leaks = grep { /$pieces/ } map { split /\n/ } @said;
is(scalar @leaks, 0, 'no row and no error has a token or a part of it') || diag(join "\n", @leaks[ 0 .. ($#leaks < 9 ? $#leaks : 9) ]);
ok(scalar(grep { /\*\*\*/ } @said), '... where one was, it is masked');

# ---- what others see meanwhile

$sim->ctl(POST => 'ledger/clear');
$sim->rule({ match => { path => 'participants$' }, fault => { hang => \1 } });
$session->send(sprintf $read, 'plain_header');
$sim->arrived('participants$');
unlike($node->safe_psql('postgres', 'SELECT * FROM pg_stat_activity'), $pieces, 'no token in pg_stat_activity');
SKIP:
{
	skip('no /proc', 1) unless -e '/proc/self/cmdline';
	unlike(slurp_file('/proc/' . $session->pid . '/cmdline'), $pieces, '... nor in the process title');
}
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
push @said, $session->answer->{err};
SKIP:
{
	skip('pg_stat_statements is not installed', 2) unless grep { $_ eq 'pg_stat_statements' } @contrib;
	my $statements = $node->safe_psql('postgres', 'SELECT * FROM pg_stat_statements');
	like($statements, qr/wawp_add_participants/, 'pg_stat_statements has the calls');
	unlike($statements, $pieces, '... and no token');
}
$session->ask('CREATE ROLE nosy');
unlike($session->ask('SET ROLE nosy; SELECT * FROM pg_user_mappings; SELECT * FROM pg_foreign_server; RESET ROLE')->{out}, $pieces,
	'no token for a role that asks the catalogs');

# The files of tokens that are not there or not right: their contents are no message either.
append_to_file("$keys/two_lines", "topsecret1\ntopsecret2\n");
append_to_file("$keys/empty", "\n");
foreach my $file (qw(two_lines empty missing))
{
	WawpTest->create_server($node, $file, $sim, { access_token_file => "$keys/$file" });
	isnt(ask(sprintf $read, $file)->{state}, '', "an error for a token file that is $file");
}

my $log = slurp_file($node->logfile);
like($log, qr/wawp_add_participants/, 'the log has the calls');
my @lines = grep { /$pieces/ } split /\n/, $log;
is(scalar @lines, 0, '... and no token, whatever is logged') || diag(join "\n", @lines[ 0 .. ($#lines < 9 ? $#lines : 9) ]);
@leaks = grep { /$pieces/ } map { split /\n/ } @said;
is(scalar @leaks, 0, 'no error had one either') || diag(join "\n", @leaks[ 0 .. ($#leaks < 9 ? $#leaks : 9) ]);

# ---- errors about options hide the statement: the user's own text, with the secret in it

$session->ask("SET log_statement = none; SET log_min_duration_statement = -1; SET log_min_messages = warning;
	SET log_min_error_statement = error; SET log_duration = off;
	SET debug_print_parse = off; SET debug_print_rewritten = off; SET debug_print_plan = off");
$session->ask('SET auto_explain.log_min_duration = -1') if grep { $_ eq 'auto_explain' } @contrib;
$session->ask("CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'ABC123', base_url '@{[ $sim->url ]}')");
my $mapping = 'CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS';
my $server = 'CREATE SERVER t FOREIGN DATA WRAPPER wawp OPTIONS';
my %mistakes = (
	'a misspelt option' => "$mapping (acces_token 'topsecret')",
	'an option of nothing' => "$mapping (password 'topsecret')",
	'a server\'s option' => "$mapping (access_token 'topsecret', instance_id 'x')",
	'a mapping\'s option' => "$server (instance_id 'x', access_token 'topsecret')",
	'a mapping\'s option on ALTER' => "ALTER SERVER s OPTIONS (ADD access_token 'topsecret')",
	'a control character' => "$mapping (access_token E'topsecret\\n')",
	'two tokens' => "$mapping (access_token 'topsecret', access_token_file '/topsecret')",
	'a relative file' => "$mapping (access_token 'topsecret', access_token_file 'relative')",
	'an empty secret' => "$mapping (access_token 'topsecret', webhook_secret '')",
	'no instance_id' => "$server (base_url 'https://localhost/topsecret')",
	'a token in the URL' => "$server (instance_id 'x', base_url 'https://localhost/v2?access_token=topsecret')",
	'a password in the URL' => "$server (instance_id 'x', base_url 'https://me:topsecret\@localhost/')",
	'a bad number' => "$server (instance_id 'topsecret', timeout_ms 'soon')",
	'a mistake inside a function' => "DO \$\$ BEGIN EXECUTE 'CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (acces_token ' ||
		quote_literal('top' || 'secret') || ')'; END \$\$");

foreach my $name (sort keys %mistakes)
{
	my $offset = -s $node->logfile;
	my $answer = $session->ask($mistakes{$name});

	like($answer->{state}, qr/^(HV00D|22023|HV002|HV00\w|42501)$/, "$name is refused");
	my ($error) = map { s/^LINE .*\n.*\n?//gmr } $answer->{err};
	unlike($error, qr/topsecret/, '... without a word of it') unless $name =~ /function/;    # its context is the client's own
	$node->wait_for_log(qr/ERROR:  .*(invalid|required|exclude)/, $offset);
	unlike(slurp_file($node->logfile, $offset), qr/topsecret/, '... nor in the log');
}

$session->quit;
done_testing();
