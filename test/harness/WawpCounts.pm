
# WawpCounts: a TAP::Harness that also counts, for `prove --harness WawpCounts`.
#
# Contract: appends one line "passed failed skipped" to the file $ENV{WAWP_COUNTS}.  A skipped or
# TODO test is skipped, never passed; a file that is skipped as a whole is one skipped; a file that
# broke without a failed test (bad plan, no plan, exit status) is one failed.

package WawpCounts;

use strict;
use warnings;

use parent 'TAP::Harness';

sub summary
{
	my ($self, $aggregate, @rest) = @_;

	if (my $file = $ENV{WAWP_COUNTS})
	{
		my ($passed, $failed, $skipped) = (0, 0, 0);

		foreach my $parser ($aggregate->parsers)
		{
			my %out = map { $_ => 1 } $parser->failed;
			my %skip = map { $_ => 1 } $parser->skipped, $parser->todo;

			delete @skip{ keys %out };
			$passed += grep { !$out{$_} && !$skip{$_} } $parser->passed;
			$failed += keys %out;
			$skipped += keys %skip;
			$skipped++ if $parser->skip_all && !$parser->exit;
			$failed++ if $parser->has_problems && !%out;
		}
		open(my $fh, '>>', $file) or die "$file: $!";
		print $fh "$passed $failed $skipped\n";
		close($fh) or die "$file: $!";
	}

	return $self->SUPER::summary($aggregate, @rest);
}

1;
