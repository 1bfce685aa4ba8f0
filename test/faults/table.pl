
# table.pl FILE... -- prints the fault matrix, a table in Markdown, from lines of JSON (fault.pl), and on
# standard error what is wrong with it.
#
# Contract: exits 1 when something was lost, unaudited or contradicted, when a file has no row or when a
# row did too little to mean anything.

use strict;
use warnings;

use JSON::PP;
use List::Util qw(max sum0);

my $least = 200;    # intents and called people in a row
my @titles = ('fault', 'step', 'times', 'intents + calls', 'requests', 'lost', 'duplicated', 'unknown', 'unaudited',
	'failed', 'still queued', 'sent, not arrived', 's to recover (median, worst)');
my @wrong;

sub rows_of
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "$file: $!\n";
	my @rows = map { decode_json($_) } grep { /^\{/ } <$in>;
	push @wrong, "$file: no row" unless @rows;
	return @rows;
}

sub recovery
{
	my (@recoveries) = @_;
	return '-' unless grep { defined } @recoveries;
	my @sorted = sort { $a <=> $b } @recoveries;
	return sprintf '%.2f, %.2f', $sorted[ $#sorted / 2 ], $sorted[-1];
}

sub check
{
	my ($row) = @_;
	my $name = "$row->{fault}, $row->{step}";

	push @wrong, map { "$name: $_" } @{ $row->{problems} };
	push @wrong, "$name: only " . ($row->{intents} + $row->{called}) . ' people' if $row->{intents} + $row->{called} < $least;
	push @wrong, "$name: nobody called" unless $row->{called};
	push @wrong, "$name: it did not go on" if $row->{queued} && grep { !defined } @{ $row->{recoveries} };
	return;
}

sub cells
{
	my ($row) = @_;
	return ($row->{fault}, $row->{step}, "skipped: $row->{skipped}") if $row->{skipped};
	check($row);
	return (@{$row}{qw(fault step times)}, "$row->{intents} + $row->{called}",
		@{$row}{qw(requests lost duplicated unknown unaudited failed queued)},
		$row->{not_arrived} . ($row->{contradicted} ? " ($row->{contradicted} answered!)" : ''),
		recovery(@{ $row->{recoveries} }));
}

my @table = (\@titles, map { [ cells($_) ] } map { rows_of($_) } @ARGV);
my @widths = map { my $column = $_; max(map { length($_->[$column] // '') } grep { @$_ == @titles } @table) } 0 .. $#titles;

sub line
{
	my (@cells) = @_;
	return '| ' . join(' | ', map { sprintf "%-$widths[$_]s", $cells[$_] // '' } 0 .. $#titles) . " |\n";
}

print line(@{ shift @table }), line(map { '-' x $_ } @widths);
print line(@$_) foreach @table;
print STDERR "$_\n" foreach @wrong;
exit(@wrong ? 1 : 0);
