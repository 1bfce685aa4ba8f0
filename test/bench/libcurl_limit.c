/*-------------------------------------------------------------------------
 *
 * libcurl_limit.c
 *	  What libcurl does alone: the measure `make bench` holds wawp against.
 *
 *	libcurl_limit multi BASE_URL IN_FLIGHT
 *		one POST for each line "group jid" of standard input, up to IN_FLIGHT at a
 *		time on connections that are kept; prints how many were answered with 200,
 *		how many were not, and the seconds from the first to the last
 *	libcurl_limit post BASE_URL CONNINFO SQL
 *		the same one after the other, each followed by SQL, a statement with one
 *		bigint parameter that commits by itself; prints the microseconds of each
 *		request and of its statement
 *	libcurl_limit get URL COUNT
 *		reads URL that often; prints the microseconds of each
 *
 * The requests are those of the extension, byte for byte but for the user
 * agent (the driver checks that), and go through the same options of libcurl
 * that decide about speed.
 *
 * IDENTIFICATION
 *	  test/bench/libcurl_limit.c
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define INSTANCE_ID "BENCH"
#define ACCESS_TOKEN "secret"
#define EVENTS_PER_ROUND 64

typedef struct Transfer
{
	CURL	   *easy;
	char		url[512];
	char		body[1024];
} Transfer;

static struct curl_slist *headers;
static long started;
static long answered;
static long not_answered;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "libcurl_limit: %s: %s\n", what, why);
	exit(1);
}

static double
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/*
 * ---- one request
 */

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	(void) data;
	(void) arg;
	return size * count;
}

static void
set_up(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 60000L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "libcurl_limit");
}

static void
make_headers(void)
{
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
}

static void
compose(Transfer *transfer, const char *base_url, const char *line)
{
	char		group[128];
	char		jid[128];
	char	   *at;

	if (sscanf(line, "%127s %127s", group, jid) != 2 || (at = strchr(group, '@')) == NULL)
		die("not \"group jid\"", line);
	snprintf(transfer->url, sizeof(transfer->url), "%s/v2/groups/%.*s%%40%s/participants/add",
			 base_url, (int) (at - group), group, at + 1);
	snprintf(transfer->body, sizeof(transfer->body),
			 "{\"instance_id\":\"" INSTANCE_ID "\",\"access_token\":\"" ACCESS_TOKEN "\",\"id\":\"%s\","
			 "\"participants\":[{\"id\":\"%s\"}]}", group, jid);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(transfer->body));
	curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body);
	curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->url);
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
}

static void
count_answer(CURL *easy, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK && status == 200)
		answered++;
	else
		not_answered++;
}

static void
perform(CURL *easy)
{
	CURLcode	code = curl_easy_perform(easy);

	count_answer(easy, code);
	if (not_answered > 0)
		die("the request was not answered with 200", curl_easy_strerror(code));
}

/*
 * ---- many at a time
 */

static CURLM *multi;
static int	mux;
static double deadline = -1;	/* of libcurl's timer, in us; -1: it is not set */
static int	running;

static int
on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct epoll_event event = {.data.fd = socket};

	(void) easy;
	(void) arg;
	(void) socket_arg;
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(mux, EPOLL_CTL_DEL, socket, NULL);
	else if (epoll_ctl(mux, EPOLL_CTL_MOD, socket, &event) != 0 &&
			 epoll_ctl(mux, EPOLL_CTL_ADD, socket, &event) != 0)
		die("epoll_ctl", strerror(errno));
	return 0;
}

static int
on_timer(CURLM *unused, long ms, void *arg)
{
	(void) unused;
	(void) arg;
	deadline = ms < 0 ? -1 : now_us() + ms * 1e3;
	return 0;
}

static int
next_line(char *line, size_t size)
{
	return fgets(line, (int) size, stdin) != NULL;
}

static void
start_next(Transfer *transfer, const char *base_url)
{
	char		line[512];

	if (!next_line(line, sizeof(line)))
		return;
	compose(transfer, base_url, line);
	curl_multi_add_handle(multi, transfer->easy);
	started++;
}

/* What ended makes room for the next. */
static void
take_answers(const char *base_url)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		Transfer   *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		count_answer(easy, message->data.result);
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
		curl_multi_remove_handle(multi, easy);
		start_next(transfer, base_url);
	}
}

static void
act(curl_socket_t socket, int what)
{
	CURLMcode	code = curl_multi_socket_action(multi, socket, what, &running);

	if (code != CURLM_OK)
		die("curl_multi_socket_action", curl_multi_strerror(code));
}

static void
carry_on(void)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int			wait = deadline < 0 ? -1 : (int) ((deadline - now_us()) / 1e3 + 0.999);
	int			n = epoll_wait(mux, events, EVENTS_PER_ROUND, deadline >= 0 && wait < 0 ? 0 : wait);

	for (int i = 0; i < n; i++)
		act(events[i].data.fd, (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
	if (deadline < 0 || now_us() < deadline)
		return;
	deadline = -1;
	act(CURL_SOCKET_TIMEOUT, 0);
}

static void
run_multi(const char *base_url, int in_flight)
{
	Transfer   *transfers = calloc((size_t) in_flight, sizeof(Transfer));
	double		start;

	mux = epoll_create1(EPOLL_CLOEXEC);
	multi = curl_multi_init();
	if (transfers == NULL || mux < 0 || multi == NULL)
		die("multi", "no memory or no descriptors");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) in_flight);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	start = now_us();
	for (int i = 0; i < in_flight; i++)
	{
		transfers[i].easy = curl_easy_init();
		set_up(transfers[i].easy);
		start_next(&transfers[i], base_url);
	}
	while (started > answered + not_answered)
	{
		carry_on();
		take_answers(base_url);
	}
	printf("%ld %ld %.6f\n", answered, not_answered, (now_us() - start) / 1e6);
}

/*
 * ---- one after the other
 */

static void
run_statement(PGconn *connection, long number)
{
	char		text[32];
	const char *values[] = {text};
	PGresult   *result;

	snprintf(text, sizeof(text), "%ld", number);
	result = PQexecPrepared(connection, "s", 1, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("statement", PQerrorMessage(connection));
	PQclear(result);
}

static void
run_post(const char *base_url, const char *conninfo, const char *sql)
{
	PGconn	   *connection = PQconnectdb(conninfo);
	Transfer	transfer = {.easy = curl_easy_init()};
	char		line[512];
	PGresult   *result = PQprepare(connection, "s", sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("prepare", PQerrorMessage(connection));
	PQclear(result);
	set_up(transfer.easy);
	for (long i = 1; next_line(line, sizeof(line)); i++)
	{
		double		start = now_us();
		double		between;

		compose(&transfer, base_url, line);
		perform(transfer.easy);
		between = now_us();
		run_statement(connection, i);
		printf("%.1f %.1f\n", between - start, now_us() - between);
	}
	PQfinish(connection);
}

static void
run_get(const char *url, long count)
{
	CURL	   *easy = curl_easy_init();

	set_up(easy);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	for (long i = 0; i < count; i++)
	{
		double		start = now_us();

		perform(easy);
		printf("%.1f\n", now_us() - start);
	}
}

int
main(int argc, char **argv)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	make_headers();
	if (argc == 4 && strcmp(argv[1], "multi") == 0)
		run_multi(argv[2], atoi(argv[3]));
	else if (argc == 5 && strcmp(argv[1], "post") == 0)
		run_post(argv[2], argv[3], argv[4]);
	else if (argc == 4 && strcmp(argv[1], "get") == 0)
		run_get(argv[2], atol(argv[3]));
	else
		die("usage", "see the top of libcurl_limit.c");
	return 0;
}
