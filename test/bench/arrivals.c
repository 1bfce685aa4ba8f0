/*-------------------------------------------------------------------------
 *
 * arrivals.c
 *	  An HTTP server that notes when requests arrive.
 *
 *	arrivals LOGFILE
 *
 * Listens on a free port of 127.0.0.1, prints the port, and answers every
 * request with 200 and {"ok":true} on connections it keeps.  For each request
 * LOGFILE gets "<nanoseconds> <length>", a newline, the request as it came
 * (<length> bytes) and a newline; the time is CLOCK_MONOTONIC when this process
 * was told of the request's first bytes.  Ends with SIGTERM, or when its
 * standard input does.
 *
 * One request at a time on a connection (no pipelining), of at most 64 kB.
 *
 * IDENTIFICATION
 *	  test/bench/arrivals.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_REQUEST 65536
#define EVENTS_PER_ROUND 64

static const char answer[] =
"HTTP/1.1 200 OK\r\n"
"Content-Type: application/json\r\n"
"Content-Length: 11\r\n"
"\r\n"
"{\"ok\":true}";

typedef struct Connection
{
	int			socket;
	size_t		used;
	long long	first_byte_at;	/* ns */
	char		buffer[MAX_REQUEST + 1];
} Connection;

static FILE *log_file;
static int	mux;

static void
die(const char *what)
{
	fprintf(stderr, "arrivals: %s: %s\n", what, strerror(errno));
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
watch(int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = what};

	if (epoll_ctl(mux, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
}

static int
listen_anywhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	size = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *) &address, size) != 0 || listen(fd, 1024) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &size) != 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void
welcome(int listener)
{
	int			one = 1;
	Connection *connection = malloc(sizeof(Connection));

	if (connection == NULL)
		die("malloc");
	connection->used = 0;
	connection->socket = accept(listener, NULL, NULL);
	if (connection->socket < 0)
		die("accept");
	setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	watch(connection->socket, connection);
}

static void
part(Connection *connection)
{
	close(connection->socket);
	free(connection);
}

/* The length of the request in the buffer; 0 while it is not whole. */
static size_t
whole_length(const Connection *connection)
{
	const char *end = strstr(connection->buffer, "\r\n\r\n");
	const char *field = strcasestr(connection->buffer, "\r\ncontent-length:");
	size_t		length;

	if (end == NULL)
		return 0;
	length = (size_t) (end - connection->buffer) + 4;
	if (field && field < end)
		length += strtoul(field + 17, NULL, 10);
	return connection->used >= length ? length : 0;
}

static void
note(const Connection *connection, size_t length)
{
	fprintf(log_file, "%lld %zu\n", connection->first_byte_at, length);
	fwrite(connection->buffer, 1, length, log_file);
	fputc('\n', log_file);
	fflush(log_file);
}

/* Reads what there is; false when the connection is over. */
static int
serve(Connection *connection, long long now)
{
	ssize_t		n = read(connection->socket, connection->buffer + connection->used,
						 MAX_REQUEST - connection->used);
	size_t		length;

	if (n <= 0)
		return 0;
	if (connection->used == 0)
		connection->first_byte_at = now;
	connection->used += (size_t) n;
	connection->buffer[connection->used] = '\0';
	length = whole_length(connection);
	if (length == 0)
		return connection->used < MAX_REQUEST;
	if (write(connection->socket, answer, sizeof(answer) - 1) != sizeof(answer) - 1)
		return 0;
	note(connection, length);
	connection->used = 0;
	return 1;
}

int
main(int argc, char **argv)
{
	int			listener;

	if (argc != 2 || (log_file = fopen(argv[1], "w")) == NULL)
		die("usage: arrivals LOGFILE");
	mux = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_anywhere();
	watch(listener, &listener);
	watch(STDIN_FILENO, NULL);
	for (;;)
	{
		struct epoll_event events[EVENTS_PER_ROUND];
		int			n = epoll_wait(mux, events, EVENTS_PER_ROUND, -1);
		long long	now = now_ns();

		for (int i = 0; i < n; i++)
		{
			if (events[i].data.ptr == NULL)
				return 0;
			if (events[i].data.ptr == &listener)
				welcome(listener);
			else if (!serve(events[i].data.ptr, now))
				part(events[i].data.ptr);
		}
	}
}
