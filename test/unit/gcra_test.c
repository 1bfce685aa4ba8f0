/*
 * gcra_test.c
 *	  The pace: no window above rate + burst, whatever is asked when.
 */
#include "postgres_fe.h"

#include "protocol/backoff.h"
#include "tap.h"
#include "throttle/gcra.h"

#define SECOND INT64CONST(1000000)
#define MINUTE (60 * SECOND)
#define MAX_SENT 20000

static int64 sent[MAX_SENT];
static int	nsent;

/* Most requests in any window of a minute that is open at its end. */
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

/* A dripping worker and a session that asks now and then, over an hour. */
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

/* As simulate(), but some of what was granted is given back later, unused. */
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
		   "what is given back late lets no more leave than the pace allows");
	}
	is_int(pace_give_back(1000, 100, 0), 900, "given back at once: all of it");
	is_int(pace_give_back(1000, 100, 40), 940, "... later: the rest");
	is_int(pace_give_back(1000, 100, 500), 1000, "... too late: nothing");
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

/* Who drips and always wakes late by that: how long 100 intervals take. */
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

	is_int(pace_drip(rate, 0).slack, rate.interval / 10, "a tenth of the interval");
	is_int(pace_drip(pace_rate(6, 4), 0).slack, 10000, "10 ms at most");
	is_int(pace_drip(pace_rate(600, 0), 0).slack, 0, "none without a burst to take it from");
	is_int(pace_drip(rate, 4).slack, 0, "nor beside all of the burst");
	ok(drip_late(pace_drip(rate, 0), 3000) <= exact, "waking late by less does not add up");
	ok(drip_late(pace_drip(rate, 0), 3000) >= exact - rate.interval / 10, "and gains no more than the slack");
	is_int(drip_late(pace_drip(pace_rate(600, 0), 0), 3000), exact + 100 * 3000, "without slack it does");
	is_int(pace_available(pace_drip(rate, 0), 0, MINUTE, 100), 1, "one at a time all the same");
}

static void
test_parts(void)
{
	PaceRate	rate = pace_rate(6, 4);
	PaceRate	free_rate = pace_rate(0, 0);

	is_int(rate.interval, 10 * SECOND, "6 a minute is one in 10 s");
	is_int(pace_available(rate, 0, MINUTE, 100), 5, "one and the burst at once");
	is_int(pace_within(rate, 0, MINUTE, MINUTE), 10, "rate and burst in a minute");
	is_int(pace_tokens_ahead(rate, 3000, 2999), 0, "no token so soon");
	is_int(pace_tokens_ahead(rate, 3000, 3000), 1, "one in time");
	is_int(pace_tokens_ahead(rate, 0, 2 * rate.interval), 3, "one now, one after each interval");
	is_int(pace_tokens_ahead(pace_rate(0, 0), 0, 1) > 1000000, 1, "without a pace there are always more");
	is_int(pace_available(free_rate, 0, MINUTE, 100), 100, "0 is no limit");
	is_int(pace_slower(rate, 1).interval, 20 * SECOND, "halved");
	is_int(pace_slower(rate, 1).burst, 2, "with its burst");
	ok(pace_rate(1e-12, 0).interval > 0, "however slow, it is a pace");
	is_int(pace_clamp(rate, INT64CONST(1) << 60, MINUTE, 0), MINUTE + 50 * SECOND, "a damaged state is bounded");
	is_int(pace_clamp(rate, MINUTE + SECOND, MINUTE, 0), MINUTE + SECOND, "a sound one stays");
	ok(pace_spend(rate, 0, MINUTE, 1, 0.2) > pace_spend(rate, 0, MINUTE, 1, 0), "jitter only slows");
}

/* Retry-After as servers write it; -1: says nothing that can be meant. */
static const struct
{
	const char *text;
	int			seconds;
}			retry_afters[] =
{
	{"120", 120}, {" 5 ", 5}, {"2.5", 3}, {"0.1", 1}, {"86400", 86400}, {"0", -1}, {"86401", -1},
	{"1796000000", -1}, {"99999999999999999999999", -1}, {"0.0", -1},
};

static void
test_retry_after(void)
{
	static const char *const no_numbers[] = {"", "-5", "soon", "5 s", "1e3", "0x10", "Wed, 21 Oct 2026 07:28:00 GMT", "."};
	double		seconds;

	for (size_t i = 0; i < lengthof(retry_afters); i++)
		ok(retry_after_number(retry_afters[i].text, &seconds) &&
		   retry_after_usable(seconds) == retry_afters[i].seconds, "Retry-After: %s", retry_afters[i].text);
	for (size_t i = 0; i < lengthof(no_numbers); i++)
		ok(!retry_after_number(no_numbers[i], &seconds), "\"%s\" is no number", no_numbers[i]);
}

static void
test_retry(void)
{
	is_int(retry_delay_ms(WAWP_SERVER_ERROR, 1, -1, 0), 7500, "the first delay, at its shortest");
	is_int(retry_delay_ms(WAWP_SERVER_ERROR, 3, -1, 0), 30000, "doubled twice");
	is_int(retry_delay_ms(WAWP_SERVER_ERROR, 30, -1, 0), 450000, "the longest");
	ok(retry_delay_ms(WAWP_SERVER_ERROR, 1, -1, 0.999) < 15000, "random, within the delay");
	is_int(retry_delay_ms(WAWP_SERVER_ERROR, 1, 600, 0), 600000, "Retry-After is a lower bound");
	is_int(retry_delay_ms(WAWP_RATE_LIMITED, 1, 1, 0), 1000, "when we are too fast it is the answer");
	is_int(retry_delay_ms(WAWP_SERVER_ERROR, 1, 1, 0), 7500, "elsewhere a lower bound");
	is_int(retry_delay_ms(WAWP_PRIVACY_BLOCKED, 1, -1, 0), -1, "a refusal is not tried again");
}

int
main(void)
{
	test_windows();
	test_refunds();
	test_slack();
	test_parts();
	test_retry();
	test_retry_after();
	return done_testing();
}
