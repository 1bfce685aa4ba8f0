
# The documents: each block of SQL in README.md and doc runs as it stands, doc/reference.md is what the catalog says, links lead
# somewhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpDocs;
use WawpTest;

my $sim = WawpTest->sim;
# Sessions have as long as a busy machine needs; what hangs ends nevertheless.
my $node = WawpTest->node('main', conf => "statement_timeout = '${PostgreSQL::Test::Utils::timeout_default}s'\nwal_level = logical\n");
my $top = "$FindBin::RealBin/../..";
my $folder = 'test/documents';
my @files = WawpDocs->files;

# ---- doc/reference.md

my ($code, $made, $complaint) = $node->psql('postgres', "\\i test/harness/reference.sql");
is($code, 0, 'the reference can be made') or diag($complaint);
my @made = split /\n/, $made;
my @written = split /\n/, slurp_file("$top/doc/reference.md");
my ($first) = grep { ($made[$_] // '') ne ($written[$_] // '') } 0 .. (@made > @written ? $#made : $#written);
ok(!defined $first, 'doc/reference.md is what the catalog says')
  or diag("run 'make reference'; line @{[ $first + 1 ]} is\n  ", $written[$first] // '(none)', "\nand has to be\n  ", $made[$first] // '(none)');

# ---- links

my %anchors;
sub anchors
{
	my ($file) = @_;
	$anchors{$file} //= { map { lc($_) =~ s/[^\w\- ]//gr =~ tr/ /-/r => 1 } WawpDocs->slurp($file) =~ /^#+ (.*?)\s*$/mg };
	return $anchors{$file};
}

foreach my $file (@files)
{
	my ($dir) = $file =~ m{^(.*/)};
	my @lost;
	my $text = WawpDocs->slurp($file) =~ s/^```.*?^```//msgr;
	while ($text =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^\w+:/;
		my ($path, $anchor) = split /#/, $link, 2;
		my $target = $path eq '' ? $file : ($dir // '') . $path;
		1 while $target =~ s{[^/.][^/]*/\.\./}{};
		push @lost, $link if !-e "$top/$target" || ($anchor && !anchors($target)->{$anchor});
	}
	is("@lost", '', "$file: links lead somewhere");
}
# The index of a folder, and the name that a document has in there; a folder's own index is listed one folder above.
sub indexed
{
	my ($file) = @_;
	my ($folder_above, $name) = $file =~ m{^(.+?)/([^/]+/README\.md|[^/]+)$};
	return WawpDocs->slurp("$folder_above/README.md") =~ /\]\(\Q$name\E\)/;
}
is(join(' ', grep { m{^doc/} && $_ ne 'doc/README.md' && !indexed($_) } @files), '', 'the README of each folder lists its documents');

# ---- SQL

# What else is true when the blocks of a document have run.
my %then = (
	'doc/groups-as-tables.md' => sub {
		WawpTest::becomes_in($node, 'app', 'SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', '0', '... what is asked for is served');
		my $member = $sim->world->{groups}{'120363012345678901@g.us'}{members}{15551234567};
		ok($member && $member->{role} ne 'left', '... as the document says');
	},
	'README.md' => sub {
		WawpTest::becomes_in($node, 'app', 'SELECT count(*) FROM wawp.membership_intent WHERE settled_at IS NULL', '0', '... what is asked for is served');
	});

# Commands of PostgreSQL's own clients, as they may stand in a block of sh; others are not run.
sub is_of_clients { my ($text) = @_; return $text !~ /^(?!#|\s|(?:psql|pg_dump|pg_dumpall|pg_restore|createdb|dropdb)\b).+$/m; }

sub run_sh
{
	my ($text) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'app');
	my $dir = PostgreSQL::Test::Utils::tempdir();
	return IPC::Run::run([ 'bash', '-euo', 'pipefail', '-c', "cd $dir\n$text" ], '<', \undef, '>', \$out, '2>', \$err) ? (0, $err) : (1, $err);
}

sub run_sql
{
	my ($text) = @_;
	my ($status, $out, $err) = $node->psql('app', $text =~ s/127\.0\.0\.1:PORT/"127.0.0.1:" . $sim->port/egr, on_error_die => 0, on_error_stop => 1);
	return ($status, $err);
}

sub run_block
{
	my ($block) = @_;
	my $name = "$block->{file}:$block->{line}: " . ($block->{text} =~ /^(?!--)(.*)$/m)[0];
	if (defined $block->{skip})
	{
	  SKIP: { skip "$name: $block->{skip}", 1; }
		return;
	}
	my ($status, $err) = $block->{language} eq 'sql' ? run_sql($block->{text}) : run_sh($block->{text});
	ok($status == 0 && $err !~ /WARNING:/, $name) or diag($err);
	return;
}

# A database of its own, prepared as the document takes for granted; what roles a document makes are gone afterwards.
sub begin_document
{
	my ($file) = @_;
	my $own = "$folder/" . ($file =~ s{^doc/}{}r =~ s{/}{-}gr =~ s/md$/sql/r);
	$sim->reset;
	$node->safe_psql('postgres', 'CREATE DATABASE app');
	$node->safe_psql('app', "\\set url " . $sim->url . "\n\\i " . (-e "$top/$own" ? $own : "$folder/default.sql"));
	return;
}

sub end_document
{
	$node->safe_psql('postgres', 'DROP DATABASE app WITH (FORCE)');
	my $roles = $node->safe_psql('postgres', q{SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE oid >= 16384});
	$node->safe_psql('postgres', "DROP OWNED BY $roles; DROP ROLE $roles") if $roles;
	return;
}

my $blocks = 0;
foreach my $file (@files)
{
	my @run = grep { $_->{language} eq 'sql' || ($_->{language} eq 'sh' && (defined $_->{skip} || is_of_clients($_->{text}))) }
	  WawpDocs->blocks($file);
	next unless @run;
	begin_document($file);
	run_block($_) foreach @run;
	$then{$file}->() if $then{$file};
	end_document();
	$blocks += @run;
}
cmp_ok($blocks, '>', 40, 'blocks were found');

done_testing();
