/*
 * simulate.c
 *	  Runs the worker in simulated time: what decides who goes next, in a world where answers come late or not at all.
 *
 *	simulate					a few seeds and sizes and all mutations, as TAP: a unit test
 *	simulate seeds N [FIRST]	N seeds, on all processors; those that fail are named
 *	simulate seed N [ACCOUNT]	one of them, with its figures, and what one account does
 *	simulate table [LARGEST]	worlds of growing size: CPU and waits
 *	simulate width				steps, cycles and lists an addition with 10, 1,000 and 50,000 groups
 *	simulate mutations			each mutation, over seeds until it is found
 *
 * The worker's own modules run, compiled as they are; time, tables and the API are this folder's.  See README.md.
 */
#include "postgres.h"

#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "throttle/limiter.h"
#include "utils/memutils.h"
#include "worker/dispatch.h"
#include "worker/group_cache.h"
#include "worker/lanes.h"

#include "simulate.h"
#include "tap.h"

#define POLL (60 * SECOND)
#define SEEDS_OF_MUTATION 40

typedef struct Event
{
	int64		at;
	int64		number;			/* of two at a time the earlier first */
	EventKind	kind;
	int			index;
	int			generation;
} Event;

MemoryContext shared_memory;
Figures		figures;
int			generation;
static MemoryContext world_memory;
static MemoryContext cycle_memory;
static Event *events;
static int	nevents;
static int	events_room;
static int64 last_number;
static int	traced = -1;
static DispatchWake news;
static int64 troubled_until;

/*
 * ---- events
 */

static bool
event_is_before(const Event *a, const Event *b)
{
	return a->at != b->at ? a->at < b->at : a->number < b->number;
}

void
event_add(int64 at, EventKind kind, int index)
{
	Event		event = {at, ++last_number, kind, index, generation};
	int			i = nevents++;

	if (nevents > events_room)
	{
		events_room = Max(1024, 2 * events_room);
		events = realloc(events, sizeof(Event) * events_room);
	}
	for (; i > 0 && event_is_before(&event, &events[(i - 1) / 2]); i = (i - 1) / 2)
		events[i] = events[(i - 1) / 2];
	events[i] = event;
}

static Event
event_take(void)
{
	Event		first = events[0];
	Event		last = events[--nevents];
	int			i = 0;

	for (int child = 1; child < nevents; child = 2 * i + 1)
	{
		if (child + 1 < nevents && event_is_before(&events[child + 1], &events[child]))
			child++;
		if (!event_is_before(&events[child], &last))
			break;
		events[i] = events[child];
		i = child;
	}
	events[i] = last;
	return first;
}

/* Note that a promise was broken; the first one ends the run. */
void
fault(const char *format, ...)
{
	char		text[400];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (figures.fault == NULL)
		figures.fault = strdup(psprintf("after %.3f s: %s", (double) now_us / SECOND, text));
}

/* Print what an account does, if that is asked for. */
void
trace(int account, const char *format, ...)
{
	va_list		arguments;

	if (account != traced)
		return;
	printf("%10.3f  ", (double) now_us / SECOND);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

/*
 * ---- the worker
 */

static char *first_bss;
static char *first_data;

/* Set the worker's static variables to what they are when a process starts. */
static void
statics_reset(void)
{
	Size		bss = &worker_ends_bss - &worker_begins_bss;
	Size		data = &worker_ends_data - &worker_begins_data;

	if (first_bss == NULL)
	{
		char	   *permit = (char *) &dispatch_permit;

		if (permit < &worker_begins_bss || permit > &worker_ends_bss)
		{
			fprintf(stderr, "the linker has not left the worker's variables together\n");
			exit(2);
		}
		first_bss = memcpy(malloc(bss), &worker_begins_bss, bss);
		first_data = memcpy(malloc(data), &worker_begins_data, data);
	}
	memcpy(&worker_begins_bss, first_bss, bss);
	memcpy(&worker_begins_data, first_data, data);
}

static void
worker_transaction(void (*work) (void))
{
	CurrentMemoryContext = cycle_memory;
	work();
	dispatch_committed();
	dispatch_send();
	CurrentMemoryContext = TopMemoryContext;
	MemoryContextReset(cycle_memory);
	/* what a transaction takes, at least */
	now_us += (int64) draw_between(50, 300);
	figures.cycles++;
}

static void
worker_start(void)
{
	statics_reset();
	TopMemoryContext = AllocSetContextCreateInternal(NULL, "worker", 0, 0, 0);
	CurrentMemoryContext = TopMemoryContext;
	generation++;
	dispatch_init(false);
	CurrentMemoryContext = cycle_memory;
	dispatch_recover();
	CurrentMemoryContext = TopMemoryContext;
}

static void
worker_end(void)
{
	MemoryContextDelete(TopMemoryContext);
	TopMemoryContext = CurrentMemoryContext = NULL;
}

/* The worker dies and is started again a moment later. */
static void
worker_crash(void)
{
	worker_end();
	world_crash();
	now_us += (int64) draw_between(SECOND, 5 * SECOND);
	figures.restarts++;
	worker_start();
	troubled_until = now_us;
}

/* Return when the worker does something by itself. */
static int64
worker_next(void)
{
	int64		next = dispatch_next_ms();

	return next == CLOCK_NEVER ? PG_INT64_MAX : next * 1000 - (clock_monotonic_us() - now_us);
}

static void
worker_step(bool is_poll)
{
	static const DispatchWake poll = {.poll = true};

	if (is_poll)
	{
		dispatch_tell(&poll);
		group_cache_prune();
	}
	dispatch_tell(&news);
	memset(&news, 0, sizeof(news));
	dispatch_take_answers();
	if (dispatch_has_work())
		worker_transaction(dispatch_settle_and_claim);
	if (admission_is_recovering())
		troubled_until = now_us;
	if (troubled_until > 0)
		world_note_break(troubled_until);
	if (!admission_is_recovering())
		troubled_until = 0;
}

/*
 * ---- rescans, which are counted apart: the worker looks at all lanes, or each minute at some of them
 */

static int64 steps_before;
static double cpu_before;

double
cpu_now(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double) used.tv_sec * 1e6 + (double) used.tv_nsec / 1e3;
}

/* A page of the lanes is handed out. */
void
scan_begin(int lanes)
{
	figures.scanned += lanes;
	steps_before = steps_taken;
	cpu_before = cpu_now();
}

/* The worker goes on with something else. */
void
scan_end(void)
{
	if (cpu_before == 0)
		return;
	figures.scan_steps += steps_taken - steps_before;
	figures.scan_cpu_us += cpu_now() - cpu_before;
	cpu_before = 0;
}

/*
 * ---- a run
 */

static void
news_of_lane(int group)
{
	if (news.nlanes == SHMEM_WAKE_LANES)
		news.rescan = true;
	else
		news.lanes[news.nlanes++] = (LaneNews) {.lane = world_lane(group)};
}

static void
event_happen(const Event *event)
{
	switch (event->kind)
	{
		case EVENT_ANSWER:
			api_transfer_ends(event->index, event->generation == generation);
			figures.events++;
			break;
		case EVENT_ARRIVAL:
			rows[event->index].state = STATE_QUEUED;
			rows[event->index].due_us = now_us;
			world_row_ready(event->index);
			news_of_lane(rows[event->index].group);
			figures.events++;
			break;
		case EVENT_READY:
			world_row_ready(event->index);
			break;
		case EVENT_PAUSE:
			world_pause(event->index);
			break;
		case EVENT_RESUME:
			world_resume(event->index);
			news.rescan = true;
			break;
		case EVENT_RESTART:
			worker_crash();
			break;
	}
}

static void
run_until(int64 until)
{
	int64		next_poll = POLL;
	int64		next_check = MINUTE;

	while (figures.fault == NULL)
	{
		int64		next = Min(Min(next_poll, worker_next()), nevents > 0 ? events[0].at : PG_INT64_MAX);
		bool		is_poll;

		now_us = Max(now_us, next);
		if (now_us >= until)
			break;
		while (nevents > 0 && events[0].at <= now_us)
		{
			Event		event = event_take();

			event_happen(&event);
		}
		is_poll = now_us >= next_poll;
		if (is_poll)
			next_poll = now_us + POLL;
		worker_step(is_poll);
		if (now_us < next_check)
			continue;
		world_check();
		next_check = now_us + MINUTE * (shape.ngroups > 10000 ? 10 : 1);
	}
}

/* Run a world of that shape from the seed. */
static Figures
run(const Shape *of, uint64 seed)
{
	double		began;

	if (world_memory)
		MemoryContextDelete(world_memory);
	memset(&figures, 0, sizeof(figures));
	memset(&news, 0, sizeof(news));
	now_us = nevents = 0;
	troubled_until = 0;
	shared_memory = AllocSetContextCreateInternal(NULL, "shared", 0, 0, 0);
	world_memory = AllocSetContextCreateInternal(NULL, "world", 0, 0, 0);
	cycle_memory = AllocSetContextCreateInternal(NULL, "cycle", 0, 0, 0);
	CurrentMemoryContext = world_memory;
	limiter_shmem_startup();
	api_begin();
	world_make(of, seed);
	began = cpu_now();
	steps_taken = 0;
	worker_start();
	run_until(of->until);
	figures.steps = steps_taken - figures.scan_steps;
	figures.cpu_us = cpu_now() - began - figures.scan_cpu_us;
	CurrentMemoryContext = world_memory;
	world_count(&figures);
	worker_end();
	MemoryContextDelete(cycle_memory);
	MemoryContextDelete(shared_memory);
	return figures;
}

/*
 * ---- what is run
 */

static const Shape rough = {.naccounts = 50, .ngroups = 1000, .people = 12, .until = HOUR, .is_rough = true};
static const Shape hanging = {.naccounts = 5, .ngroups = 100, .people = 60, .max_in_flight = 64, .until = HOUR, .hangs = 0.02};

static void
figures_print(const Figures *of)
{
	printf("%d accounts, %d groups: " INT64_FORMAT " additions, " INT64_FORMAT " lists for " INT64_FORMAT
		   " additions and looks (%.3f), " INT64_FORMAT " put back, %d restarts\n",
		   shape.naccounts, shape.ngroups, of->adds, of->lists, of->rounds, (double) of->lists / (double) Max(of->rounds, 1),
		   of->put_back, of->restarts);
	printf(INT64_FORMAT " events, " INT64_FORMAT " cycles, %.2f us of CPU and %.1f steps an event; a group waited %.1f s (p50), %.1f s (p99); "
		   "turns of others meanwhile, by groups: %.2f\n",
		   of->events, of->cycles, of->cpu_us / (double) Max(of->events, 1), (double) of->steps / (double) Max(of->events, 1),
		   of->wait_p50, of->wait_p99, of->most_passed / 100.0);
	if (of->fault)
		printf("fault: %s\n", of->fault);
}

/* Sums of what the children have run, in memory that they share. */
typedef struct Sums
{
	int			done;
	int			failed;
	int64		events;
	int64		adds;
	int64		lists;
	int64		rounds;
	double		cpu_us;
} Sums;

static void
seeds_run(int first, int n, int part, int parts, Sums *sums)
{
	for (int i = part; i < n; i += parts)
	{
		Figures		of = run(&rough, (uint64) (first + i));

		if (of.fault)
			printf("seed %d failed: %s\n", first + i, of.fault);
		sums->failed += of.fault != NULL;
		sums->done++;
		sums->events += of.events;
		sums->adds += of.adds;
		sums->lists += of.lists;
		sums->rounds += of.rounds;
		sums->cpu_us += of.cpu_us;
	}
}

static double
clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static Sums
sums_add(const Sums *sums, int n)
{
	Sums		all = {0};

	for (int i = 0; i < n; i++)
	{
		all.done += sums[i].done;
		all.failed += sums[i].failed;
		all.events += sums[i].events;
		all.adds += sums[i].adds;
		all.lists += sums[i].lists;
		all.rounds += sums[i].rounds;
		all.cpu_us += sums[i].cpu_us;
	}
	return all;
}

static int
seeds(int n, int first)
{
	int			parts = (int) Max(sysconf(_SC_NPROCESSORS_ONLN), 1);
	Sums	   *sums = mmap(NULL, sizeof(Sums) * parts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double		began = clock_now();
	Sums		all;

	for (int part = 0; part < parts; part++)
		if (fork() == 0)
		{
			seeds_run(first, n, part, parts, &sums[part]);
			fflush(stdout);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	all = sums_add(sums, parts);
	printf("%d seeds of %d accounts x %d groups x 1 h, %d failed%s; " INT64_FORMAT " additions, %.3f lists for each addition and look, "
		   INT64_FORMAT " events of %.2f us; %.0f s, %.0f s of CPU\n",
		   all.done, rough.naccounts, rough.ngroups, all.failed, all.done < n ? " and some did not end" : "", all.adds,
		   (double) all.lists / (double) Max(all.rounds, 1), all.events, all.cpu_us / (double) Max(all.events, 1),
		   clock_now() - began, all.cpu_us / 1e6);
	return all.failed > 0 || all.done < n;
}

static int
one_seed(int seed, int account)
{
	Figures		of;

	traced = account;
	of = run(&rough, (uint64) seed);
	figures_print(&of);
	if (account >= 0)
	{
		const WawpInstance *instance = &accounts[account].instance;

		printf("account %d: adds_per_minute %g, adds_burst %d, pace_jitter %g, concurrency %d, batch_size %d, reads_per_minute %g, %d groups; "
			   "%d slots\n", account, instance->adds_per_minute, instance->adds_burst, instance->pace_jitter, instance->concurrency,
			   instance->batch_size, instance->reads_per_minute, accounts[account].ngroups, shape.max_in_flight);
	}
	return of.fault != NULL;
}

/* Steps an event may grow by that part of those of the smallest world whenever a world has ten times its groups: heaps get deeper by it. */
#define MOST_GROWTH 0.3

/* A world of the table; of two with the same number of groups an account, the wider costs no more an event.  256 is the most wawp.max_in_flight takes. */
static const Shape sizes[] = {
	{.naccounts = 1, .ngroups = 100, .people = 15, .max_in_flight = 64},
	{.naccounts = 10, .ngroups = 1000, .people = 15, .max_in_flight = 64},
	{.naccounts = 100, .ngroups = 10000, .people = 15, .max_in_flight = 64},
	{.naccounts = 1000, .ngroups = 100000, .people = 15, .max_in_flight = 256},
	{.naccounts = 10000, .ngroups = 1000000, .people = 15, .max_in_flight = 256},
	{.naccounts = 1, .ngroups = 10000, .people = 15, .max_in_flight = 64},
	{.naccounts = 50, .ngroups = 1000, .people = 60, .max_in_flight = 64},
};

static double
steps_an_event(const Figures *of)
{
	return (double) of->steps / (double) Max(of->events, 1);
}

/* Return the most steps an event of a world with so many groups, of what the smallest takes. */
static double
most_steps(double first, int ngroups)
{
	return first * (1 + MOST_GROWTH * log10((double) ngroups / sizes[0].ngroups));
}

static void
size_print(const Shape *size, const Figures *of)
{
	double		events = (double) Max(of->events, 1);

	printf("| %d | %d | " INT64_FORMAT " | %.0f %% | " INT64_FORMAT " | %.2f us | %.1f | %.0f s | %.0f s | %.3f | %.2f us |\n",
		   size->naccounts, size->ngroups, of->adds, 100.0 * (double) of->adds / (double) Max(of->allowed, 1), of->events,
		   of->cpu_us / events, steps_an_event(of), of->wait_p50, of->wait_p99,
		   (double) of->lists / (double) Max(of->rounds, 1), of->scan_cpu_us / (double) Max(of->scanned, 1));
	if (of->fault)
		printf("failed: %s\n", of->fault);
	fflush(stdout);
}

/* Print a table of the worlds with so many groups; return how many broke a promise. */
static int
table(int smallest, int largest)
{
	int			failed = 0;
	double		first = 0;

	printf("| accounts | groups | additions | of the pace | events | CPU an event | steps an event | wait p50 | p99 | lists a round | rescan, a lane |\n");
	printf("|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < lengthof(sizes); i++)
	{
		Shape		size = sizes[i];
		Figures		of;

		if (size.ngroups > largest || size.ngroups < smallest)
			continue;
		size.until = HOUR;
		of = run(&size, 1);
		size_print(&size, &of);
		failed += of.fault != NULL;
		if (size.ngroups / size.naccounts != sizes[0].ngroups)
			continue;
		if (first == 0)
			first = steps_an_event(&of);
		if (steps_an_event(&of) <= most_steps(first, size.ngroups))
			continue;
		printf("failed: %.1f steps an event, %.1f in the smallest world\n", steps_an_event(&of), first);
		failed++;
	}
	return failed;
}

/* Run seeds of a broken worker until one fails, *seed; return its fault, NULL if none does. */
static const char *
mutation_find(const Mutation *mutation, int *seed)
{
	const char *found = NULL;

	*mutation->is_on = true;
	for (*seed = 0; found == NULL && *seed < SEEDS_OF_MUTATION;)
		found = run(mutation->shows_by_hangs ? &hanging : &rough, (uint64) ++* seed).fault;
	*mutation->is_on = false;
	return found;
}

static int
mutate(void)
{
	int			missed = 0;

	for (int i = 0; i < nmutations; i++)
	{
		int			seed;
		const char *found = mutation_find(&mutations[i], &seed);

		if (found)
			printf("%s: seed %d, %s\n", mutations[i].name, seed, found);
		else
			printf("%s: NOT FOUND in %d seeds\n", mutations[i].name, seed);
		missed += found == NULL;
	}
	return missed > 0;
}

/*
 * ---- as a unit test
 */

#define SEEDS_OF_TEST 40
/* Of two requests after each other, with one at a time, the answers took 5.3 s and 9.4 s. */
#define SEED_OF_LATE_ANSWERS 609
#define SEEDS_OF_HANGS 5
#define MOST_GROUPS_OF_TEST 10000
#define PROMPT_MINUTES 5
/* Cycles and lists an addition, of those of fewer groups. */
#define MOST_CYCLES 1.1

static void
test_seed(const Shape *of_shape, const char *what, int seed)
{
	Figures		of = run(of_shape, (uint64) seed);

	ok(of.fault == NULL, "%sseed %d: %s", what, seed, of.fault ? of.fault : "everything in time, at its pace");
}

static void
test_seeds(void)
{
	for (int seed = 1; seed <= SEEDS_OF_TEST; seed++)
		test_seed(&rough, "", seed);
	test_seed(&rough, "", SEED_OF_LATE_ANSWERS);
	for (int seed = 1; seed <= SEEDS_OF_HANGS; seed++)
		test_seed(&hanging, "some requests are never answered, ", seed);
}

static void
test_sizes(void)
{
	double		first = 0;

	for (size_t i = 0; i < lengthof(sizes) && sizes[i].ngroups <= MOST_GROUPS_OF_TEST; i++)
	{
		Shape		size = sizes[i];
		Figures		of;

		size.until = HOUR;
		of = run(&size, 1);
		first = first == 0 ? steps_an_event(&of) : first;
		ok(of.fault == NULL && steps_an_event(&of) <= most_steps(first, size.ngroups), "%d accounts, %d groups: %.1f steps an event%s%s",
		   size.naccounts, size.ngroups, steps_an_event(&of), of.fault ? "; " : "", of.fault ? of.fault : "");
	}
}

/* Return what the minutes after the first of a prompt account with so many groups were like. */
static Figures
run_prompt(double latency_ms, int ngroups)
{
	int			people = ngroups <= 10000 ? 800 : 15;
	Shape		one = {.naccounts = 1, .ngroups = ngroups, .people = people, .max_in_flight = 64, .until = MINUTE, .prompt_ms = latency_ms};
	Figures		first = run(&one, 1);
	Figures		all;

	one.until = PROMPT_MINUTES * MINUTE;
	all = run(&one, 1);
	all.adds -= first.adds;
	all.steps -= first.steps;
	all.lists -= first.lists;
	all.cycles -= first.cycles;
	return all;
}

/*
 * Where reads are what is short, half of them are for groups that nobody has read, whatever the latency: a worker that
 * answers bring back at the same part of each second may never meet a free one.  Nor does it look for one in all groups.
 */
static void
test_latencies(void)
{
	static const double latencies[] = {0.5, 2, 5, 20, 100, 300};

	for (size_t i = 0; i < lengthof(latencies); i++)
	{
		Figures		few = run_prompt(latencies[i], 100);
		Figures		many = run_prompt(latencies[i], 10000);
		double		steps = (double) few.steps / (double) Max(few.adds, 1);
		double		steps_of_many = (double) many.steps / (double) Max(many.adds, 1);

		ok(few.fault == NULL && few.reached == 100, "answers after %.1f ms: of 100 groups " INT64_FORMAT " were reached", latencies[i], few.reached);
		ok(many.fault == NULL && many.reached >= PROMPT_MINUTES * 60 / 2 * 9 / 10 && steps_of_many <= most_steps(steps, 10000),
		   "... of 10,000 " INT64_FORMAT ", %.0f steps an addition, with 100 groups %.0f", many.reached, steps_of_many, steps);
	}
}

/* An account with 50,000 groups takes as many steps, cycles and lists an addition as one with 1,000. */
static void
test_width(void)
{
	static const int widths[] = {10, 1000, 50000};
	double		steps[lengthof(widths)];
	double		cycles[lengthof(widths)];
	double		lists[lengthof(widths)];

	for (size_t i = 0; i < lengthof(widths); i++)
	{
		Figures		of = run_prompt(20, widths[i]);
		double		adds = (double) Max(of.adds, 1);

		steps[i] = (double) of.steps / adds;
		cycles[i] = (double) of.cycles / adds;
		lists[i] = (double) of.lists / adds;
		ok(of.fault == NULL && (i < 2 || (steps[i] <= most_steps(steps[1], 100 * 50) && cycles[i] <= MOST_CYCLES * cycles[1] &&
										  lists[i] <= MOST_CYCLES * lists[1])),
		   "%d groups: %.0f steps, %.2f cycles and %.2f lists an addition%s%s", widths[i], steps[i], cycles[i], lists[i],
		   of.fault ? "; " : "", of.fault ? of.fault : "");
	}
}

static void
test_mutations(void)
{
	for (int i = 0; i < nmutations; i++)
	{
		int			seed;
		const char *found = mutation_find(&mutations[i], &seed);

		ok(found != NULL, "noticed: %s", mutations[i].name);
	}
}

static int
test(void)
{
	test_seeds();
	test_sizes();
	test_latencies();
	test_width();
	test_mutations();
	return done_testing();
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "test";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "test") == 0)
		return test();
	if (strcmp(what, "seeds") == 0)
		return seeds(argc > 2 ? atoi(argv[2]) : 1000, argc > 3 ? atoi(argv[3]) : 1);
	if (strcmp(what, "seed") == 0 && argc > 2)
		return one_seed(atoi(argv[2]), argc > 3 ? atoi(argv[3]) : -1);
	if (strcmp(what, "table") == 0)
		return table(argc > 3 ? atoi(argv[3]) : 0, argc > 2 ? atoi(argv[2]) : PG_INT32_MAX) > 0;
	if (strcmp(what, "width") == 0)
	{
		test_width();
		return done_testing();
	}
	if (strcmp(what, "mutations") == 0)
		return mutate();
	fprintf(stderr, "usage: simulate [test] | seeds [N [FIRST]] | seed N [ACCOUNT] | table [MOST [LEAST]] | width | mutations\n");
	return 2;
}
