/*
 * gcra_test.c
 *	  The pace: no window has more than rate + burst, for any times of requests.
 */
#include "postgres_fe.h"

#include "tap.h"
#include "throttle/gcra.h"

#define SECOND INT64CONST(1000000)
#define MINUTE (60 * SECOND)
#define MAX_SENT 20000

static int64 sent[MAX_SENT];
static int	nsent;

/* Return the largest number of requests in any window of a minute that is open at its end. */
static int
fullest_window(void)
{
	int			most = 0;

	for (int first = 0, last = 0; last < nsent; last++)
	{
		while (sent[last] - sent[first] >= MINUTE)
			first++;
		most = Max(most, last - first + 1);
	}
	return most;
}

/* Fill `sent` with an hour of a dripping worker and a session that sends now and then. */
static void
simulate(double per_minute, int burst, double jitter)
{
	PaceRate	hand = pace_rate(per_minute, burst);
	PaceRate	drip = pace_drip(hand, 0);
	int64		tat = 0;

	nsent = 0;
	for (int64 now = 1000 * MINUTE; now < 1060 * MINUTE && nsent < MAX_SENT - 50; now += 1 + random() % SECOND)
	{
		bool		by_hand = random() % 50 == 0;
		int			n = pace_available(by_hand ? hand : drip, tat, now, by_hand ? 1 + random() % 20 : 1);

		if (n > 0)
			tat = pace_spend(hand, tat, now, n, jitter * (random() % 100) / 100.0);
		for (int i = 0; i < n; i++)
			sent[nsent++] = now;
	}
}

/* As simulate(), but some permits are given back later, unused. */
static void
simulate_refunds(double per_minute, int burst)
{
	enum {PENDING = 64};
	struct
	{
		int64		granted_at;
		int64		back_at;
	}			pending[PENDING] = {{0}};
	PaceRate	rate = pace_rate(per_minute, burst);
	int64		tat = 0;

	nsent = 0;
	for (int64 now = 1000 * MINUTE; now < 1060 * MINUTE && nsent < MAX_SENT - 50; now += 1 + random() % SECOND)
	{
		int			n = pace_available(rate, tat, now, 1);
		int			slot = (int) (random() % PENDING);

		for (int i = 0; i < PENDING; i++)
			if (pending[i].back_at != 0 && pending[i].back_at <= now)
			{
				tat = pace_give_back(tat, rate.interval, now - pending[i].granted_at);
				pending[i].back_at = 0;
			}
		if (n == 0)
			continue;
		tat = pace_spend(rate, tat, now, 1, 0);
		if (random() % 2 == 0 && pending[slot].back_at == 0)
		{
			pending[slot].granted_at = now;
			pending[slot].back_at = now + 1 + random() % (30 * SECOND);
		}
		else
			sent[nsent++] = now;
	}
}

static void
test_refunds(void)
{
	static const struct
	{
		double		per_minute;
		int			burst;
	}			cases[] = {{6, 0}, {6, 4}, {60, 0}, {60, 10}, {600, 3}};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		simulate_refunds(cases[i].per_minute, cases[i].burst);
		ok(fullest_window() <= (int) cases[i].per_minute + cases[i].burst,
		   "permits that are given back late do not raise the pace");
	}
	is_int(pace_give_back(1000, 100, 0), 900, "a permit that is given back at once is restored in full");
	is_int(pace_give_back(1000, 100, 40), 940, "one that is given back later is restored in part");
	is_int(pace_give_back(1000, 100, 500), 1000, "one that is given back too late is not restored");
}

static void
test_windows(void)
{
	static const struct
	{
		double		per_minute;
		int			burst;
		double		jitter;
	}			rates[] = {{6, 4, 0}, {6, 0, 0}, {6, 4, 0.2}, {60, 10, 0}, {7, 3, 0}, {0.5, 2, 0}};

	srandom(1);
	for (size_t i = 0; i < lengthof(rates); i++)
	{
		int			cap = (int) (rates[i].per_minute + rates[i].burst + 0.5);
		int			most;

		simulate(rates[i].per_minute, rates[i].burst, rates[i].jitter);
		most = fullest_window();
		ok(most <= cap && nsent > 0, "%g a minute and a burst of %d: at most %d in a minute (%d of %d sent)",
		   rates[i].per_minute, rates[i].burst, cap, most, nsent);
	}
}

/* Return the time that 100 intervals take for a process that drips and always wakes late. */
static int64
drip_late(PaceRate drip, int64 late)
{
	int64		begin = 1000 * MINUTE;
	int64		now = begin;
	int64		tat = pace_spend(drip, 0, now, 1, 0);

	for (int i = 0; i < 100; i++)
	{
		now = pace_next(drip, tat) + late;
		tat = pace_spend(drip, tat, now, pace_available(drip, tat, now, 1), 0);
	}
	return now - begin;
}

static void
test_slack(void)
{
	PaceRate	rate = pace_rate(600, 4);
	int64		exact = 100 * rate.interval;

	is_int(pace_drip(rate, 0).slack, rate.interval / 10, "the slack is a tenth of the interval");
	is_int(pace_drip(pace_rate(6, 4), 0).slack, 10000, "the slack is at most 10 ms");
	is_int(pace_drip(pace_rate(600, 0), 0).slack, 0, "a rate without a burst has no slack");
	is_int(pace_drip(rate, 4).slack, 0, "a process that may use all of the burst has no slack");
	ok(drip_late(pace_drip(rate, 0), 3000) <= exact, "late wake-ups within the slack do not add up");
	ok(drip_late(pace_drip(rate, 0), 3000) >= exact - rate.interval / 10, "late wake-ups gain at most the slack");
	is_int(drip_late(pace_drip(pace_rate(600, 0), 0), 3000), exact + 100 * 3000, "without slack late wake-ups add up");
	is_int(pace_available(pace_drip(rate, 0), 0, MINUTE, 100), 1, "a process with slack sends one request at a time");
}

static void
test_parts(void)
{
	PaceRate	rate = pace_rate(6, 4);
	PaceRate	free_rate = pace_rate(0, 0);

	is_int(rate.interval, 10 * SECOND, "6 a minute is one in 10 s");
	is_int(pace_available(rate, 0, MINUTE, 100), 5, "one request and the burst may leave at once");
	is_int(pace_within(rate, 0, MINUTE, MINUTE), 10, "rate and burst may leave in a minute");
	is_int(pace_tokens_ahead(rate, 3000, 2999), 0, "no token before the first is due");
	is_int(pace_tokens_ahead(rate, 3000, 3000), 1, "one token when the first is due");
	is_int(pace_tokens_ahead(rate, 0, 2 * rate.interval), 3, "one token now and one after each interval");
	is_int(pace_tokens_ahead(pace_rate(0, 0), 0, 1) > 1000000, 1, "without a pace the number of tokens is not limited");
	is_int(pace_available(free_rate, 0, MINUTE, 100), 100, "a rate of 0 is no limit");
	is_int(pace_slower(rate, 1).interval, 20 * SECOND, "a rate is halved");
	is_int(pace_slower(rate, 1).burst, 2, "the burst is halved with its rate");
	ok(pace_rate(1e-12, 0).interval > 0, "a very slow rate is not unpaced");
	is_int(pace_clamp(rate, INT64CONST(1) << 60, MINUTE, 0), MINUTE + 50 * SECOND, "a damaged state is limited");
	is_int(pace_clamp(rate, MINUTE + SECOND, MINUTE, 0), MINUTE + SECOND, "a valid state is not changed");
	ok(pace_spend(rate, 0, MINUTE, 1, 0.2) > pace_spend(rate, 0, MINUTE, 1, 0), "jitter makes an interval longer");
}

int
main(void)
{
	test_windows();
	test_refunds();
	test_slack();
	test_parts();
	return done_testing();
}
