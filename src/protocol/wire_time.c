/*-------------------------------------------------------------------------
 *
 * wire_time.c
 *	  Points in time as the API and its engines write them.
 *
 * Pure.  Engines write seconds or milliseconds since 1970, as numbers or as
 * texts, with a fraction or without, and RFC 3339.  A number beyond 1e11 is in
 * milliseconds (1e11 seconds are in the year 5138, 1e11 milliseconds in 1973).
 * A time before WhatsApp existed is read as none: engines write 0 and -1 for
 * "unknown".
 *
 * IDENTIFICATION
 *	  src/protocol/wire_time.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/wire_time.h"

/* 2009-01-01 and 9999-01-01 */
#define FIRST_MS INT64CONST(1230768000000)
#define LAST_MS INT64CONST(253370764800000)

#define MILLISECONDS_FROM 1e11

/* Return the number of days from 1970-01-01 to a date of the Gregorian calendar. */
static int64
wire_time_days(int year, int month, int day)
{
	int			from_march = (month + 9) % 12;
	int64		y = year - (month <= 2);

	return y * 365 + y / 4 - y / 100 + y / 400 + (from_march * 153 + 2) / 5 + day - 1 - 719468;
}

/* Set *minutes to the offset from UTC in "Z" or "+02:00", which ends the text; false if it is neither. */
static bool
wire_time_offset(const char *text, int *minutes)
{
	char		sign;
	int			hours;
	int			rest;
	int			used = 0;

	*minutes = 0;
	if (pg_strcasecmp(text, "z") == 0)
		return true;
	if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &rest, &used) != 3 || text[used] != '\0')
		return false;
	*minutes = (sign == '-' ? -1 : 1) * (hours * 60 + rest);
	return (sign == '+' || sign == '-') && hours >= 0 && hours < 24 && rest >= 0 && rest < 60;
}

/* Return the milliseconds of an RFC 3339 text; 0 if it is none. */
static int64
wire_time_of_text(const char *text)
{
	int			year,
				month,
				day,
				hour,
				minute,
				second;
	int			used = 0;
	int			offset;
	double		fraction = 0;

	if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6 ||
		month < 1 || month > 12 || day < 1 || day > 31)
		return 0;
	text += used;
	if (*text == '.')
	{
		size_t		n = strspn(text + 1, "0123456789") + 1;

		for (size_t i = n - 1; i > 0; i--)
			fraction = (fraction + (text[i] - '0')) / 10;
		text += n;
	}
	if (!wire_time_offset(text, &offset))
		return 0;
	return ((wire_time_days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60000 +
		second * 1000 + (int64) (fraction * 1000);
}

/* Return the time in a number or text in ms since 1970; 0 if there is none. */
int64
wire_time_ms(const JsonNode *node)
{
	const char *text = json_node_text(node);
	char	   *end;
	double		number;
	int64		ms;

	if (text == NULL)
		return 0;
	number = strtod(text, &end);
	if (*end != '\0')
		ms = wire_time_of_text(text);
	else if (number > -MILLISECONDS_FROM && number < (double) LAST_MS)
		ms = (int64) (number > MILLISECONDS_FROM ? number : number * 1000);
	else
		ms = 0;
	return ms >= FIRST_MS && ms < LAST_MS ? ms : 0;
}
