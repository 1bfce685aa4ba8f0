/*
 * backoff_test.c
 *	  Delays before another try, and Retry-After headers.
 */
#include "postgres_fe.h"

#include "protocol/backoff.h"
#include "tap.h"

/* Headers that are a number of seconds; -1: one that is ignored. */
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
		ok(!retry_after_number(no_numbers[i], &seconds), "\"%s\" is not a number of seconds", no_numbers[i]);
}

static void
test_delay(void)
{
	is_int(backoff_delay(200, 700, 0), 0, "no delay before the first failure");
	is_int(backoff_delay(200, 700, 1), 200, "the first delay");
	is_int(backoff_delay(200, 700, 2), 400, "the second delay is twice as long");
	is_int(backoff_delay(200, 700, 3), 700, "the longest delay is not exceeded");
	is_int(backoff_delay(1, PG_INT64_MAX / 4, 1000), PG_INT64_MAX / 4, "many failures do not overflow");
	is_int(backoff_delay(10, 5, 1), 5, "a first delay above the longest is shortened to it");
}

static void
test_retry(void)
{
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 1, -1, 0), 7500, "the first delay, at its shortest");
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 3, -1, 0), 30000, "the third delay is doubled twice");
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 30, -1, 0), 450000, "the longest delay, at its shortest");
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 0, -1, 0), 7500, "a request that has not failed yet is delayed like the first failure");
	ok(backoff_request_ms(WAWP_SERVER_ERROR, 1, -1, 0.999) < 15000, "the random part stays within the delay");
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 1, 600, 0), 600000, "a longer Retry-After replaces the delay");
	is_int(backoff_request_ms(WAWP_SERVER_ERROR, 1, 1, 0), 7500, "a shorter Retry-After does not");
	is_int(backoff_request_ms(WAWP_RATE_LIMITED, 1, 1, 0), 1000, "for rate_limited Retry-After is the delay");
	is_int(backoff_request_ms(WAWP_PRIVACY_BLOCKED, 1, -1, 0), -1, "a refusal is not tried again");
}

int
main(void)
{
	test_delay();
	test_retry();
	test_retry_after();
	return done_testing();
}
