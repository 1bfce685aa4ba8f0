/*
 * share_test.c
 *	  Shares of the slots: who hangs leaves some to those who answer, however many hang.
 */
#include "postgres_fe.h"

#include "tap.h"
#include "throttle/share.h"

#define SLOTS 64
#define MANY 64
#define INSTANCES 100

/* Instances on some hosts, as lanes.c counts them. */
static Share instances[INSTANCES];
static int	host_of[INSTANCES];
static Share hosts[INSTANCES];
static ShareSlots slots;

static void
begin(int most, int ninstances, int nhosts)
{
	memset(instances, 0, sizeof(instances));
	memset(hosts, 0, sizeof(hosts));
	slots = (ShareSlots) {.most = most, .instances = ninstances, .hosts = nhosts};
	for (int i = 0; i < ninstances; i++)
		host_of[i] = i % nhosts;
}

/* Begin as many requests of an instance as it may have, at most `wanted`; return how many. */
static int
take(int i, int wanted)
{
	Share	   *host = &hosts[host_of[i]];
	int			taken = 0;

	host->is_prompt |= instances[i].is_prompt;
	while (taken < wanted && share_allows(&slots, &instances[i], host))
	{
		instances[i].used++;
		host->used++;
		slots.used++;
		slots.slow += instances[i].is_prompt ? 0 : 1;
		taken++;
	}
	return taken;
}

/* End requests of an instance. */
static void
end(int i, int n)
{
	instances[i].used -= n;
	hosts[host_of[i]].used -= n;
	slots.used -= n;
	slots.slow -= instances[i].is_prompt ? 0 : n;
}

static void
test_alone(void)
{
	static const int expected[][3] = {{64, 56, 56}, {8, 7, 7}, {7, 6, 7}, {4, 3, 4}, {2, 1, 2}, {1, 1, 1}};

	for (size_t i = 0; i < lengthof(expected); i++)
	{
		begin(expected[i][0], 1, 1);
		is_int(take(0, MANY), expected[i][1], "all there is, slow");
		begin(expected[i][0], 1, 1);
		instances[0].is_prompt = true;
		is_int(take(0, MANY), expected[i][2], "all there is, prompt");
	}
}

/* Some instances hang, on as many hosts; the last one answers and wants four. */
static void
test_beside(int hanging, int nhosts, bool were_prompt, const char *name)
{
	begin(SLOTS, hanging + 1, nhosts);
	instances[hanging].is_prompt = true;
	for (int i = 0; i < hanging; i++)
	{
		instances[i].is_prompt = were_prompt && i == 0;
		(void) take(i, MANY);
	}
	ok(slots.used >= Min(hanging, SLOTS / 2), "%s: they have some", name);
	ok(take(hanging, 4) >= 3, "%s: one that answers has its own", name);
}

/* Some that answer, of which one had all: as its requests end, the others come to an even part, in turns. */
static void
test_convergence(int n)
{
	int			least = SLOTS;
	int			turn = 0;

	begin(SLOTS, n, 1);
	for (int i = 0; i < n; i++)
		instances[i].is_prompt = true;
	(void) take(0, MANY);
	for (int round = 0; round < 1000; round++)
	{
		int			i = round % n;

		end(i, (instances[i].used + 3) / 4);
		for (int refused = 0; refused < n; turn++)
			refused = take(turn % n, 1) ? 0 : refused + 1;
	}
	for (int i = 0; i < n; i++)
		least = Min(least, instances[i].used);
	ok(least >= SLOTS / n / 2, "%d that answer have at least half of an even part each: %d", n, least);
}

/* The first request of one of which nothing is known. */
static void
test_newcomer(void)
{
	static const int small[] = {2, 3, 4, 8, 16, 64};

	for (size_t i = 0; i < lengthof(small); i++)
	{
		begin(small[i], 2, 1);
		instances[0].is_prompt = true;
		(void) take(0, MANY);
		is_int(take(1, 1), 1, "a newcomer is served at once");
		ok(slots.used <= small[i], "... and no more than all slots are used");
	}
	begin(1, 2, 1);
	is_int(take(0, MANY) + take(1, MANY), 1, "one slot is one slot");
	end(0, 1);
	is_int(take(1, MANY), 1, "... for whoever comes next");
}

int
main(void)
{
	test_alone();
	test_beside(1, 1, false, "one hangs on the same host");
	test_beside(1, 2, false, "one hangs on another host");
	test_beside(1, 1, true, "one hangs that answered before");
	test_beside(1, 2, true, "one hangs that answered before, on another host");
	test_beside(10, 1, false, "ten on the same host");
	test_beside(10, 2, false, "ten on two hosts");
	test_beside(60, 1, false, "sixty on the same host");
	test_beside(99, 2, false, "99 on two hosts");
	test_beside(99, 100, false, "99 on hosts of their own");
	test_convergence(2);
	test_convergence(3);
	test_convergence(10);
	test_convergence(60);
	test_newcomer();
	return done_testing();
}
