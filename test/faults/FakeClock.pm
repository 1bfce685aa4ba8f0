
=head1 NAME

FakeClock - a wall clock of its own for a server, which can be stepped

=head1 SYNOPSIS

  my $clock = FakeClock->new;
  my $node = WawpTest->node('main', env => $clock->environment);
  $clock->step(3600);    # for all processes of the server, at once

=head1 CONTRACT

What asks for the time of day is answered with the real one and what was stepped so far; the monotonic
clock stays as it is.  Not libfaketime: a process that the postmaster starts in a signal handler, as
before 16 the background workers, keeps the clock that was when it started.

=cut

package FakeClock;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;

my $source = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *offset;

__attribute__((constructor))
static void
open_offset(void)
{
	int			file = open(getenv("FAKE_CLOCK"), O_RDONLY);

	offset = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, file, 0);
	if (offset == MAP_FAILED)
		abort();
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	static int	(*real) (clockid_t, struct timespec *);
	int			result;

	if (real == NULL)
		real = (int (*) (clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	result = real(clock, now);
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		now->tv_sec += *offset;
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec spec;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &spec);
	now->tv_sec = spec.tv_sec;
	now->tv_usec = spec.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *now)
{
	struct timespec spec;

	clock_gettime(CLOCK_REALTIME, &spec);
	if (now)
		*now = spec.tv_sec;
	return spec.tv_sec;
}
C

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { dir => $dir, offset => 0 }, $class;
	my $output = '';

	append_to_file("$dir/clock.c", $source);
	IPC::Run::run([ $ENV{CC} || 'cc', '-shared', '-fPIC', '-o', "$dir/clock.so", "$dir/clock.c", '-ldl' ], '>&', \$output)
	  or die "no clock: $output\n";
	append_to_file("$dir/offset", pack 'l!', 0);
	return $self;
}

sub environment
{
	my ($self) = @_;
	return { LD_PRELOAD => "$self->{dir}/clock.so", FAKE_CLOCK => "$self->{dir}/offset" };
}

=head2 $clock->step($seconds), $clock->offset

=cut

sub step
{
	my ($self, $seconds) = @_;
	$self->{offset} += $seconds;
	open(my $file, '+<', "$self->{dir}/offset") or die "offset: $!";
	syswrite $file, pack 'l!', $self->{offset};    # in place: it is mapped
	close $file;
	return;
}

sub offset { return $_[0]{offset}; }

1;
