/*-------------------------------------------------------------------------
 *
 * backoff.c
 *	  The delay before another try.
 *
 * Pure: no state, no clock; random numbers are arguments.  The delay doubles
 * with each failure in a row, from `first` up to `longest`.  For a request, the
 * upper half of it is random, so that requests that failed together are not
 * repeated together; an answer's Retry-After, in either of its forms (http.c
 * turns a date into seconds), is a lower bound, and for rate_limited it is the
 * delay.
 *
 *	failures in a row		 1		2		3		4		5		6		7
 *	server_error, unreachable	15 s	30 s	1 min	2 min	4 min	8 min	15 min
 *	rate_limited, unrecognised	1 min	2 min	4 min	8 min	16 min	32 min	1 h
 *	session_down				30 s	1 min	2 min	4 min	8 min	15 min
 *	others						see delays[]
 *
 * IDENTIFICATION
 *	  src/protocol/backoff.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "protocol/backoff.h"

#define SECOND INT64CONST(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* Outcomes that are followed by another try. */
static const struct
{
	WawpOutcome outcome;
	int64		first;
	int64		longest;
}			delays[] =
{
	{WAWP_SERVER_ERROR, 15 * SECOND, 15 * MINUTE},
	{WAWP_UNREACHABLE, 15 * SECOND, 15 * MINUTE},
	{WAWP_UNKNOWN_RESULT, 15 * SECOND, 15 * MINUTE},
	{WAWP_RATE_LIMITED, MINUTE, HOUR},
	{WAWP_UNRECOGNISED, MINUTE, HOUR},
	{WAWP_SESSION_DOWN, 30 * SECOND, 15 * MINUTE},
	{WAWP_AUTH_FAILED, 5 * MINUTE, HOUR},
	{WAWP_QUOTA_EXCEEDED, HOUR, 24 * HOUR},
	{WAWP_ACCOUNT_RESTRICTED, 24 * HOUR, 24 * HOUR},
	{WAWP_NOT_ADMIN, 15 * MINUTE, 6 * HOUR},
	{WAWP_GROUP_NOT_FOUND, HOUR, 24 * HOUR},
	{WAWP_GROUP_FULL, HOUR, 24 * HOUR},
	{WAWP_GROUP_LOCKED, 24 * HOUR, 24 * HOUR},
	{WAWP_LINK_UNAVAILABLE, HOUR, 24 * HOUR},
};

/*
 * Return the delay after the `failures`-th failure in a row, without a random
 * part and in the unit of `first` and `longest`; 0 if nothing has failed.
 */
int64
backoff_delay(int64 first, int64 longest, int failures)
{
	int64		delay = failures > 0 ? first : 0;

	for (int n = 1; n < failures && delay < longest; n++)
		delay *= 2;
	return Min(delay, longest);
}

/*
 * Return the delay in ms after the `failures`-th failure of a request in a row
 * (from 1); -1 for an outcome that is not tried again.
 *
 * retry_after_s: of the answer, -1 if it has none.  random: in [0, 1).
 */
int64
backoff_request_ms(WawpOutcome outcome, int failures, int retry_after_s, double random)
{
	for (size_t i = 0; i < lengthof(delays); i++)
	{
		int64		delay;

		if (delays[i].outcome != outcome)
			continue;
		if (outcome == WAWP_RATE_LIMITED && retry_after_s >= 0)
			return retry_after_s * SECOND;
		delay = backoff_delay(delays[i].first, delays[i].longest, Max(failures, 1));
		delay = delay / 2 + (int64) (delay / 2 * random);
		return Max(delay, retry_after_s * SECOND);
	}
	return -1;
}

/*
 * Read a Retry-After header that is a number of seconds, perhaps with a
 * fraction, into *seconds; false if it is anything else, such as a date.
 */
bool
retry_after_number(const char *text, double *seconds)
{
	size_t		digits;
	size_t		n;

	text += strspn(text, " \t");
	digits = strspn(text, "0123456789");
	n = digits;
	if (text[n] == '.')
		n += 1 + strspn(text + n + 1, "0123456789");
	if (digits == 0 || text[n + strspn(text + n, " \t")] != '\0')
		return false;
	*seconds = strtod(text, NULL);
	return true;
}

/*
 * Return the whole seconds to wait, rounded up; -1 for a time that has passed
 * and for one above RETRY_AFTER_MOST, which is a point in time or a mistake.
 */
int
retry_after_usable(double seconds)
{
	return seconds > 0 && seconds <= RETRY_AFTER_MOST ? (int) ceil(seconds) : -1;
}
