/*-------------------------------------------------------------------------
 *
 * stopwatch.c
 *	  Times statements as a client meets them.
 *
 *	stopwatch statement CONNINFO COUNT SQL
 *		prepares SQL, a statement with one bigint parameter, and runs it COUNT
 *		times with 1, 2, ..., each in a transaction of its own; prints the
 *		microseconds of each
 *	stopwatch commit CONNINFO COUNT FEWEST_MS MOST_MS SQL
 *		runs SQL likewise, in a transaction with BEGIN and COMMIT, and prints
 *		CLOCK_MONOTONIC in nanoseconds just before COMMIT was sent and when it had
 *		been answered; waits between FEWEST_MS and MOST_MS before each
 *
 * IDENTIFICATION
 *	  test/bench/stopwatch.c
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static PGconn *connection;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "stopwatch: %s: %s\n", what, why);
	exit(1);
}

static long long
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void
check(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		die("statement", PQerrorMessage(connection));
	PQclear(result);
}

static void
begin(const char *conninfo, const char *sql)
{
	connection = PQconnectdb(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
		die("connection", PQerrorMessage(connection));
	check(PQprepare(connection, "s", sql, 0, NULL));
}

static void
run(long number)
{
	char		text[32];
	const char *values[] = {text};

	snprintf(text, sizeof(text), "%ld", number);
	check(PQexecPrepared(connection, "s", 1, values, NULL, NULL, 0));
}

static void
time_statements(long count)
{
	for (long i = 1; i <= count; i++)
	{
		long long	start = now_ns();

		run(i);
		printf("%.1f\n", (now_ns() - start) / 1e3);
	}
}

static void
pause_between(long fewest_ms, long most_ms)
{
	long		ms = fewest_ms + random() % (most_ms - fewest_ms + 1);
	struct timespec span = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&span, NULL);
}

static void
time_commits(long count, long fewest_ms, long most_ms)
{
	for (long i = 1; i <= count; i++)
	{
		long long	before;

		pause_between(fewest_ms, most_ms);
		check(PQexec(connection, "BEGIN"));
		run(i);
		before = now_ns();
		check(PQexec(connection, "COMMIT"));
		printf("%lld %lld\n", before, now_ns());
	}
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "statement") == 0)
	{
		begin(argv[2], argv[4]);
		time_statements(atol(argv[3]));
	}
	else if (argc == 7 && strcmp(argv[1], "commit") == 0)
	{
		begin(argv[2], argv[6]);
		time_commits(atol(argv[3]), atol(argv[4]), atol(argv[5]));
	}
	else
		die("usage", "see the top of stopwatch.c");
	PQfinish(connection);
	return 0;
}
