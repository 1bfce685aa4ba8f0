/*
 * tap.c
 *	  TAP output, and functions of the server that the pure modules call.
 */
#include "postgres_fe.h"

#include "lib/stringinfo.h"
#include "tap.h"

extern void escape_json(StringInfo buf, const char *str);

static int	tests = 0;
static int	failures = 0;

void
ok(bool passed, const char *format, ...)
{
	va_list		args;

	tests++;
	if (!passed)
		failures++;
	printf("%s %d - ", passed ? "ok" : "not ok", tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void
is_text(const char *got, const char *expected, const char *name)
{
	bool		same = (got == NULL || expected == NULL) ? got == expected : strcmp(got, expected) == 0;

	ok(same, "%s", name);
	if (!same)
		printf("# got \"%s\", expected \"%s\"\n", got ? got : "(null)", expected ? expected : "(null)");
}

void
is_int(long got, long expected, const char *name)
{
	ok(got == expected, "%s", name);
	if (got != expected)
		printf("# got %ld, expected %ld\n", got, expected);
}

int
done_testing(void)
{
	printf("1..%d\n", tests);
	return failures > 0;
}

/* The server's escape_json (utils/adt/json.c), which frontends do not have. */
void
escape_json(StringInfo buf, const char *str)
{
	appendStringInfoChar(buf, '"');
	for (; *str; str++)
	{
		if (*str == '"' || *str == '\\')
			appendStringInfoChar(buf, '\\');
		if ((unsigned char) *str < ' ')
			appendStringInfo(buf, "\\u%04x", (int) *str);
		else
			appendStringInfoChar(buf, *str);
	}
	appendStringInfoChar(buf, '"');
}
