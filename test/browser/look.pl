#!/usr/bin/perl
#
# look.pl -- opens a page in headless Chromium at three widths, light and dark and as it is printed.
#
#   look.pl PAGE AXE FOLDER
#
# Contract: PAGE is a file of HTML, AXE that of axe-core; screenshots go into FOLDER.  Prints TAP: for each look that axe-core finds
# nothing, that nothing is wider than the window, and that nothing was loaded; and once that each table is reached by keyboard.
# Drives chromedriver by WebDriver's own protocol.  Ends what it has started.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(sleep time);

my ($page, $axe_file, $folder) = @ARGV;
my @looks = map { my $width = $_; map { [ $width, $_ ] } qw(light dark) } 360, 768, 1280;
my $http = HTTP::Tiny->new(timeout => 300);

my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!\n";
my $port = $socket->sockport;
close $socket;
my $driver = fork // die "fork: $!\n";
if (!$driver)
{
	open(STDOUT, '>', "$folder/chromedriver.log") or die "log: $!\n";
	open(STDERR, '>&', \*STDOUT);
	exec 'chromedriver', "--port=$port" or die "chromedriver: $!\n";
}
my $session;

sub call
{
	my ($method, $path, $data) = @_;
	my $answer = $http->request($method, "http://127.0.0.1:$port/$path", $data ? { content => encode_json($data), headers => { 'content-type' => 'application/json' } } : ());
	die "$path: $answer->{status} " . substr($answer->{content}, 0, 2000) . "\n" unless $answer->{success};
	return decode_json($answer->{content})->{value};
}

sub command { my ($cmd, %params) = @_; return call(POST => "session/$session/goog/cdp/execute", { cmd => $cmd, params => \%params }); }
sub script { my ($text, $kind) = @_; return call(POST => "session/$session/execute/@{[ $kind // 'sync' ]}", { script => $text, args => [] }); }
sub slurp { my ($path) = @_; open(my $file, '<:raw', $path) or die "$path: $!\n"; local $/ = undef; return scalar <$file>; }
sub save { my ($name, $data) = @_; open(my $file, '>:raw', "$folder/$name") or die "$name: $!\n"; print $file decode_base64($data); close $file; return; }

sub begin
{
	my $end = time + 60;
	while (1)
	{
		last if eval { call(GET => 'status')->{ready} };
		die "chromedriver does not answer\n" if time > $end;
		sleep 0.1;
	}
	$session = call(POST => 'session', { capabilities => { alwaysMatch => { browserName => 'chrome',
		'goog:chromeOptions' => { args => [ qw(--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars), "--user-data-dir=$folder/profile" ] } } } })->{sessionId};
	call(POST => "session/$session/timeouts", { script => 240_000 });
	return;
}

# What axe-core finds, a line each.
sub faults
{
	my ($axe) = @_;
	script("$axe; return true;");
	my $found = script('const done = arguments[0]; axe.run(document, { resultTypes: ["violations"] }).then(r => done(r.violations.map(v =>'
		. ' v.id + ": " + v.help + " " + v.nodes.map(n => n.target.join(" ")).join(", "))), e => done([String(e)]));', 'async');
	return join "\n", @$found;
}

sub look
{
	my ($width, $scheme, $axe) = @_;
	my $name = "$width, $scheme";
	command('Emulation.setDeviceMetricsOverride', width => $width, height => 900, deviceScaleFactor => 1, mobile => $width < 500 ? JSON::PP::true : JSON::PP::false);
	command('Emulation.setEmulatedMedia', media => '', features => [ { name => 'prefers-color-scheme', value => $scheme } ]);
	call(POST => "session/$session/url", { url => "file://$page" });
	is(script('return getComputedStyle(document.body).backgroundColor'), $scheme eq 'dark' ? 'rgb(21, 24, 28)' : 'rgb(255, 255, 255)', "$name: its colours");
	is(faults($axe), '', '... axe-core finds nothing');
	cmp_ok(script('return document.documentElement.scrollWidth'), '<=', $width, '... nothing is wider than the window');
	is(script('return performance.getEntriesByType("resource").length'), 0, '... nothing was loaded');
	save("report-$width-$scheme.png", command('Page.captureScreenshot', captureBeyondViewport => JSON::PP::true)->{data});
	return;
}

# Each region that scrolls has the focus once, in its order.
sub keyboard
{
	my $tables = script('return document.querySelectorAll("[role=region]").length');
	my @seen;
	foreach (1 .. $tables)
	{
		call(POST => "session/$session/actions", { actions => [ { type => 'key', id => 'keys',
			actions => [ { type => 'keyDown', value => "\x{E004}" }, { type => 'keyUp', value => "\x{E004}" } ] } ] });
		push @seen, script('return document.activeElement.getAttribute("aria-label")');
	}
	is_deeply(\@seen, script('return [...document.querySelectorAll("[role=region] caption")].map(c => c.textContent)'), 'each table is reached by keyboard, and has a name');
	return;
}

my $done = eval {
	begin();
	my $axe = slurp($axe_file);
	look(@$_, $axe) foreach @looks;
	keyboard();
	command('Emulation.setEmulatedMedia', media => 'print', features => []);
	is(script('return getComputedStyle(document.body).backgroundColor'), 'rgb(255, 255, 255)', 'in print it is on white');
	my $paper = command('Page.printToPDF', printBackground => JSON::PP::false);
	save('report.pdf', $paper->{data});
	cmp_ok(length $paper->{data}, '>', 1000, '... as a document');
	1;
};
my $error = $@;
eval { call(DELETE => "session/$session") } if $session;
kill 'TERM', $driver;
waitpid $driver, 0;
ok($done, 'the browser has done all that') || diag($error);
done_testing();
