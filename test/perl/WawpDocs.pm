
=head1 NAME

WawpDocs - the documents and the code in them

=head1 SYNOPSIS

  use WawpDocs;

  foreach my $file (WawpDocs->files)              # README.md, doc/**/*.md, by their paths
  {
      foreach my $block (WawpDocs->blocks($file)) { ... $block->{text} ... }
  }

=head1 CONTRACT

Pure: core modules, no server; used by F<test/t/250_documents.pl>, which runs SQL, and F<test/harness/check-snippets>, which
looks for lines of other languages in the programs that C<make clients> runs.  Paths are relative to the top of the checkout.

A block is what stands between two fences.  The word after the first one is its language, what follows is a note:

  ```sql                                          is run
  ```sql not run: needs a second server           is not, and counts as skipped with this reason
  ```sh not run: ...                              likewise

=cut

package WawpDocs;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $top = abs_path(dirname(__FILE__) . '/../..');

=head1 METHODS

=head2 WawpDocs->files

README.md and all documents in doc, in the order of their names.

=head2 WawpDocs->slurp($file)

The text of a file, as UTF-8.

=head2 WawpDocs->blocks($file)

The blocks of code of a document, in order: hashes of C<file>, C<line> (of the first fence), C<language> (empty if none),
C<skip> (why it is not run, if so) and C<text>.  Dies of a note that is not understood, and of a block without an end.

=cut

sub files
{
	my @files = map { s{^\Q$top\E/}{}r } glob "$top/README.md $top/doc/*.md $top/doc/*/*.md";
	return sort @files;
}

sub slurp
{
	my ($class, $file) = @_;
	open(my $handle, '<:encoding(UTF-8)', "$top/$file") or die "$file: $!\n";
	local $/ = undef;
	return scalar <$handle>;
}

sub blocks
{
	my ($class, $file) = @_;
	my (@blocks, $open);
	my $line = 0;

	foreach my $text (split /\n/, $class->slurp($file))
	{
		$line++;
		if ($open && $text =~ /^\s*```\s*$/) { push @blocks, $open; undef $open; }
		elsif ($open) { $open->{text} .= "$text\n"; }
		elsif ($text =~ /^\s*```(\S*)\s*(.*?)\s*$/)
		{
			my ($language, $note) = ($1, $2);
			my ($skip) = $note =~ /^not run: (.+)$/;
			die "$file:$line: '$note' is not understood; write: not run: why\n" if $note ne '' && !defined $skip;
			$open = { file => $file, line => $line, language => $language, skip => $skip, text => '' };
		}
	}
	die "$file:$open->{line}: the block has no end\n" if $open;
	return @blocks;
}

1;
