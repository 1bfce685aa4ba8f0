/*-------------------------------------------------------------------------
 *
 * http.c
 *	  HTTP transfers that can be waited for on a latch.
 *
 * The only file that includes libcurl.  Each process has one engine, made at its
 * first transfer and never in the postmaster (libcurl is not fork-safe): a multi
 * handle driven by curl_multi_socket_action, with all its sockets and its
 * timer behind one pollable descriptor.  A caller waits for that descriptor
 * and its latch together, so cancel, timeout, termination and barriers work
 * during a transfer; curl_multi_poll could not wait for the latch.  The engine
 * serves any number of transfers at once.
 *
 * Rules for the use of libcurl:
 * - Callbacks never palloc, ereport or check interrupts: that would jump over
 *   libcurl's frames.  They fill a malloc'd buffer up to a limit, set a flag
 *   and return short; the waiting caller raises the error afterwards.
 * - All signals are blocked around calls that can start a resolver thread,
 *   which inherits the mask; PostgreSQL's handlers must not run there.
 * - A request that was sent is never sent again by libcurl, and none is given to
 *   a connection that the server has closed: see on_request.
 *
 * Memory: a transfer lives in the memory context that was current at
 * http_start.  A reset callback of that context takes it out of the engine and
 * frees what libcurl and malloc hold, so an ERROR anywhere frees everything.
 * Connections stay with the engine for the next call, and so do spare easy
 * handles, with the options that an instance's requests have in common.
 *
 * No lock is held and no transaction state is touched here.
 *
 * IDENTIFICATION
 *	  src/client/http.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#if defined(HAVE_SYS_EPOLL_H)
#include <sys/epoll.h>
#include <sys/timerfd.h>
#elif defined(HAVE_SYS_EVENT_H)
#include <sys/event.h>
#endif

#include "base/clock.h"
#include "base/counters.h"
#include "base/guc.h"
#include "client/http.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "protocol/backoff.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "compat.h"

#if LIBCURL_VERSION_NUM < 0x075500
#error "wawp needs libcurl 7.85 or newer"
#endif

/* a JSON API sends a few hundred bytes, a proxy may add more */
#define MAX_HEADER_BYTES (64 * 1024)
/* the maximum of wawp.max_in_flight, and below the usual limit of 1,024 files */
#define MAX_CONNECTIONS 256L
/* while connecting, IPv4 and IPv6 may be tried at once */
#define MAX_SOCKETS (2 * MAX_CONNECTIONS)
/* easy handles kept for reuse; each costs about 6 kB */
#define MAX_SPARE_HANDLES 64
/* sockets with descriptors below that stay in the event queue between two requests */
#define MAX_KEPT_SOCKETS 1024
/* most answers are short, and malloc is fast for little */
#define FIRST_BUFFER_BYTES 1024
#define EVENTS_PER_ROUND 64

/*
 * The options that requests of an instance have in common.  A handle keeps them
 * for the next request with the same, since setting them takes long.
 */
typedef struct HttpSetup
{
	int			connect_timeout_ms;
	int			timeout_ms;
	int			connection_max_age; /* seconds */
	size_t		max_body;
	const char *ca_file;		/* malloc'd where a handle keeps it; NULL: the system's authorities */
} HttpSetup;

/* An easy handle, and what it is set up for. */
typedef struct HttpHandle
{
	CURL	   *easy;			/* NULL: none */
	bool		is_set_up;
	HttpSetup	setup;
} HttpHandle;

struct HttpTransfer
{
	dlist_node	node;			/* in engine.active */
	HttpHandle	handle;
	struct curl_slist *headers; /* of its own; NULL: those that all have */
	char	   *buffer;			/* malloc'd */
	size_t		used;
	size_t		allocated;
	size_t		limit;
	size_t		header_bytes;
	NameData	instance;		/* the request's */
	const char *ca_file;		/* likewise */
	bool		is_post;
	bool		may_reach_loopback;
	bool		is_loopback_only;
	/* set by callbacks */
	bool		is_too_large;	/* a limit was passed */
	bool		is_out_of_memory;
	bool		is_address_refused;
	bool		is_resend_refused;
	bool		is_connection_new;
	bool		is_stale;		/* its connection is closed, nothing was sent */
	bool		is_request_begun;
	bool		is_done;
	dlist_node *node_to_move;	/* at the end, to that list; NULL: none */
	dlist_head *ended;
	HttpResult	result;
	char		error[CURL_ERROR_SIZE];
	MemoryContextCallback release;
};

static struct
{
	CURLM	   *multi;			/* NULL: not made yet */
	int			mux;			/* the one descriptor to wait for */
	int			timer;			/* timerfd in it; unused with kqueue */
	int64		due_ms;			/* when libcurl is to be called; monotonic, 0: never */
	int64		armed_ms;		/* when the timer fires; monotonic, 0: never */
	dlist_head	active;
	struct
	{
		curl_socket_t socket;
		int			port;		/* of this end; 0: not looked up yet */
	}			sockets[MAX_SOCKETS];	/* open sockets of libcurl */
	int			nsockets;
	struct
	{
		bool		is_kept;	/* libcurl opened it by on_open_socket */
		int			watched;	/* CURL_POLL_ that the event queue has; 0: it does not have the socket */
		bool		is_idle;	/* watched for nobody */
	}			kept[MAX_KEPT_SOCKETS]; /* by descriptor */
	HttpHandle	spare[MAX_SPARE_HANDLES];
	int			nspare;
	struct curl_slist *headers[2];	/* of requests without a secret header, by is_post */
	bool		is_broken;		/* the event queue refused a descriptor */
	uint32		wait_event;
}			engine;

/*
 * ---- the signal fence
 */

static int	fences;				/* one within the other */
static sigset_t mask_before;	/* the outermost */

/* Block all signals but the synchronous ones, until unfence_signals(); no error may be raised before. */
static void
fence_signals(void)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
	sigset_t	all;

	if (fences++ > 0)
		return;
	sigfillset(&all);
	for (size_t i = 0; i < lengthof(synchronous); i++)
		sigdelset(&all, synchronous[i]);
	pthread_sigmask(SIG_SETMASK, &all, &mask_before);
}

static void
unfence_signals(void)
{
	if (--fences == 0)
		pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

/*
 * ---- one descriptor for all sockets and the timer
 *
 * The functions below are the whole difference between epoll and kqueue.
 */

typedef struct MuxEvent
{
	curl_socket_t socket;		/* CURL_SOCKET_TIMEOUT for the timer */
	int			what;			/* CURL_CSELECT_ bits */
} MuxEvent;

#if defined(HAVE_SYS_EPOLL_H)

/* Make the descriptor and the timer; false with errno set if that fails. */
static bool
mux_open(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	engine.mux = epoll_create1(EPOLL_CLOEXEC);
	if (engine.mux < 0)
		return false;
	engine.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	event.data.fd = engine.timer;
	if (engine.timer >= 0 && epoll_ctl(engine.mux, EPOLL_CTL_ADD, engine.timer, &event) == 0)
		return true;
	if (engine.timer >= 0)
		close(engine.timer);
	close(engine.mux);
	return false;
}

/* Watch a socket for the events that libcurl wants. */
static bool
mux_watch(curl_socket_t socket, int what)
{
	struct epoll_event event = {.data.fd = socket};

	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(engine.mux, EPOLL_CTL_DEL, socket, NULL);
		return true;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	/* libcurl takes a socket out between two requests, so that most are new here */
	if (epoll_ctl(engine.mux, EPOLL_CTL_ADD, socket, &event) == 0)
		return true;
	return errno == EEXIST && epoll_ctl(engine.mux, EPOLL_CTL_MOD, socket, &event) == 0;
}

/* Set the timer; timeout_ms: -1 stops it, 0 lets it fire at once. */
static bool
mux_set_timer(long timeout_ms)
{
	struct itimerspec spec = {{0, 0}, {0, 0}};

	if (timeout_ms == 0)
		spec.it_value.tv_nsec = 1;
	else if (timeout_ms > 0)
	{
		spec.it_value.tv_sec = timeout_ms / 1000;
		spec.it_value.tv_nsec = (timeout_ms % 1000) * 1000000L;
	}
	return timerfd_settime(engine.timer, 0, &spec, NULL) == 0;
}

/* Set up to EVENTS_PER_ROUND events that have occurred; returns their number. */
static int
mux_collect(MuxEvent *events)
{
	struct epoll_event ready[EVENTS_PER_ROUND];
	int			n = epoll_wait(engine.mux, ready, EVENTS_PER_ROUND, 0);

	for (int i = 0; i < n; i++)
	{
		uint32		bits = ready[i].events;
		uint64		fired;

		events[i].socket = ready[i].data.fd;
		events[i].what = (bits & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(bits & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(bits & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
		if (ready[i].data.fd != engine.timer)
			continue;
		events[i].socket = CURL_SOCKET_TIMEOUT;
		events[i].what = 0;
		/* reading it makes the descriptor unreadable again; the count is not used */
		if (read(engine.timer, &fired, sizeof(fired)) < 0)
			continue;
	}
	return Max(n, 0);
}

#elif defined(HAVE_SYS_EVENT_H)

static bool
mux_open(void)
{
	engine.mux = kqueue();
	return engine.mux >= 0;
}

static bool
mux_watch(curl_socket_t socket, int what)
{
	static const struct
	{
		int			poll;
		int			filter;
	}			kinds[] = {{CURL_POLL_IN, EVFILT_READ}, {CURL_POLL_OUT, EVFILT_WRITE}};

	for (int i = 0; i < 2; i++)
	{
		bool		wanted = what != CURL_POLL_REMOVE && (what & kinds[i].poll);
		struct kevent change;

		EV_SET(&change, socket, kinds[i].filter, wanted ? EV_ADD : EV_DELETE, 0, 0, 0);
		if (kevent(engine.mux, &change, 1, NULL, 0, NULL) < 0 && wanted)
			return false;
	}
	return true;
}

static bool
mux_set_timer(long timeout_ms)
{
	struct kevent change;

	EV_SET(&change, 1, EVFILT_TIMER, EV_DELETE, 0, 0, 0);
	kevent(engine.mux, &change, 1, NULL, 0, NULL);
	if (timeout_ms < 0)
		return true;
	EV_SET(&change, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, timeout_ms, 0);
	return kevent(engine.mux, &change, 1, NULL, 0, NULL) == 0;
}

/* Set up to EVENTS_PER_ROUND events that have occurred; returns their number. */
static int
mux_collect(MuxEvent *events)
{
	struct kevent ready[EVENTS_PER_ROUND];
	struct timespec now = {0, 0};
	int			n = kevent(engine.mux, NULL, 0, ready, EVENTS_PER_ROUND, &now);

	for (int i = 0; i < n; i++)
	{
		bool		is_timer = ready[i].filter == EVFILT_TIMER;

		events[i].socket = is_timer ? CURL_SOCKET_TIMEOUT : (curl_socket_t) ready[i].ident;
		events[i].what = is_timer ? 0 :
			ready[i].filter == EVFILT_READ ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
	}
	return Max(n, 0);
}

#else
#error "wawp needs epoll or kqueue"
#endif

/*
 * ---- libcurl's callbacks: no palloc, no ereport, no interrupts
 */

/* True if a socket is one of those that stay in the event queue. */
static bool
socket_is_kept(curl_socket_t socket)
{
	return socket >= 0 && socket < MAX_KEPT_SOCKETS && engine.kept[socket].is_kept;
}

/* Keep a socket from now on, or no longer; it is not in the event queue. */
static void
socket_keep(curl_socket_t socket, bool is_kept)
{
	if (socket < 0 || socket >= MAX_KEPT_SOCKETS)
		return;
	engine.kept[socket].is_kept = is_kept;
	engine.kept[socket].is_idle = false;
	engine.kept[socket].watched = 0;
}

/*
 * Watch a socket for the events that libcurl wants.  Between two requests on a
 * connection libcurl takes its socket out; it stays in the event queue, which
 * saves two system calls a request.  An event of it meanwhile takes it out.
 */
static bool
socket_watch(curl_socket_t socket, int what)
{
	bool		is_kept = socket_is_kept(socket);

	if (is_kept)
		engine.kept[socket].is_idle = what == CURL_POLL_REMOVE;
	if (is_kept && (what == CURL_POLL_REMOVE || what == engine.kept[socket].watched))
		return true;
	if (!mux_watch(socket, what))
		return false;
	if (is_kept)
		engine.kept[socket].watched = what;
	return true;
}

/* True if an event is of a socket that nobody waits for, which is not watched from here on. */
static bool
socket_is_idle(curl_socket_t socket)
{
	if (!socket_is_kept(socket) || !engine.kept[socket].is_idle)
		return false;
	engine.kept[socket].watched = 0;
	(void) mux_watch(socket, CURL_POLL_REMOVE);
	return true;
}

static int
on_socket(CURL *easy pg_attribute_unused(), curl_socket_t socket, int what,
		  void *data pg_attribute_unused(), void *socket_data pg_attribute_unused())
{
	if (socket_watch(socket, what))
		return 0;
	engine.is_broken = true;
	return -1;
}

static int
on_timer(CURLM *multi pg_attribute_unused(), long timeout_ms, void *data pg_attribute_unused())
{
	engine.due_ms = timeout_ms < 0 ? 0 : clock_monotonic_ms() + timeout_ms;
	return 0;
}

/*
 * Set the timer before a wait.  libcurl changes the time several times a request,
 * which this way costs no system call; a timer that fires too early does no harm.
 */
static void
engine_arm_timer(void)
{
	if (engine.due_ms == 0 || (engine.armed_ms != 0 && engine.armed_ms <= engine.due_ms))
		return;
	if (!mux_set_timer(Max(engine.due_ms - clock_monotonic_ms(), 0)))
		engine.is_broken = true;
	engine.armed_ms = engine.due_ms;
}

/* Make room for `more` bytes and a terminator in the transfer's buffer; false if malloc fails. */
static bool
transfer_reserve(HttpTransfer *transfer, size_t more)
{
	size_t		needed = transfer->used + more + 1;
	size_t		size = Max(transfer->allocated, FIRST_BUFFER_BYTES);
	char	   *grown;

	if (needed <= transfer->allocated)
		return true;
	while (size < needed)
		size *= 2;
	grown = realloc(transfer->buffer, size);
	if (grown == NULL)
		return false;
	transfer->buffer = grown;
	transfer->allocated = size;
	return true;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	HttpTransfer *transfer = arg;
	size_t		n = size * count;

	if (n > transfer->limit - transfer->used)
		transfer->is_too_large = true;
	else if (!transfer_reserve(transfer, n))
		transfer->is_out_of_memory = true;
	if (transfer->is_too_large || transfer->is_out_of_memory)
		return 0;
	memcpy(transfer->buffer + transfer->used, data, n);
	transfer->used += n;
	transfer->buffer[transfer->used] = '\0';
	return n;
}

static size_t
on_header(char *data pg_attribute_unused(), size_t size, size_t count, void *arg)
{
	HttpTransfer *transfer = arg;

	transfer->header_bytes += size * count;
	if (transfer->header_bytes <= MAX_HEADER_BYTES)
		return size * count;
	transfer->is_too_large = true;
	return 0;
}

typedef enum AddressKind
{
	ADDRESS_OTHER,
	ADDRESS_LOOPBACK,
	ADDRESS_LINK				/* link-local or "this host": never an API, but metadata services */
} AddressKind;

static AddressKind
address_kind_of_v4(uint32 address)
{
	if ((address >> 24) == 127)
		return ADDRESS_LOOPBACK;
	return (address >> 24) == 0 || (address >> 16) == 0xA9FE ? ADDRESS_LINK : ADDRESS_OTHER;
}

/* True if the last four bytes are an IPv4 address, by any of the mappings. */
static bool
contains_v4(const struct in6_addr *v6)
{
	static const unsigned char nat64[12] = {0x00, 0x64, 0xFF, 0x9B};

	return IN6_IS_ADDR_V4MAPPED(v6) || IN6_IS_ADDR_V4COMPAT(v6) ||
		memcmp(v6->s6_addr, nat64, sizeof(nat64)) == 0;
}

/* Return the kind of an address; ADDRESS_LINK for unknown families. */
static AddressKind
address_kind(const struct sockaddr *address)
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *) address)->sin6_addr;
	uint32		v4;

	if (address->sa_family == AF_INET)
		return address_kind_of_v4(ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr));
	if (address->sa_family != AF_INET6)
		return ADDRESS_LINK;
	if (IN6_IS_ADDR_LOOPBACK(v6))
		return ADDRESS_LOOPBACK;
	if (IN6_IS_ADDR_UNSPECIFIED(v6) || IN6_IS_ADDR_LINKLOCAL(v6))
		return ADDRESS_LINK;
	if (!contains_v4(v6))
		return ADDRESS_OTHER;
	memcpy(&v4, v6->s6_addr + 12, sizeof(v4));
	return address_kind_of_v4(ntohl(v4));
}

static bool
address_is_refused(const HttpTransfer *transfer, AddressKind kind)
{
	return kind == ADDRESS_LINK ||
		(kind == ADDRESS_LOOPBACK ? !transfer->may_reach_loopback : transfer->is_loopback_only);
}

/*
 * Open a socket if its address is allowed.  The address itself is checked, as a
 * name that is allowed may still resolve to this machine.
 */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose pg_attribute_unused(), struct curl_sockaddr *address)
{
	HttpTransfer *transfer = arg;
	curl_socket_t sock;

	if (address_is_refused(transfer, address_kind(&address->addr)))
	{
		transfer->is_address_refused = true;
		return CURL_SOCKET_BAD;
	}
	transfer->is_connection_new = true;
	sock = socket(address->family, address->socktype, address->protocol);
	if (sock == CURL_SOCKET_BAD)
		return sock;
	/* child processes of the server must not inherit it */
	(void) fcntl(sock, F_SETFD, FD_CLOEXEC);
	if (engine.nsockets < MAX_SOCKETS)
	{
		engine.sockets[engine.nsockets].socket = sock;
		engine.sockets[engine.nsockets++].port = 0;
	}
	socket_keep(sock, true);
	return sock;
}

static int
on_close_socket(void *arg pg_attribute_unused(), curl_socket_t sock)
{
	for (int i = 0; i < engine.nsockets; i++)
		if (engine.sockets[i].socket == sock)
		{
			engine.sockets[i] = engine.sockets[--engine.nsockets];
			break;
		}
	/* closing takes it out of the event queue */
	socket_keep(sock, false);
	return close(sock);
}

static AddressKind
address_kind_of_text(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return address_kind((struct sockaddr *) &v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		return address_kind((struct sockaddr *) &v6);
	return ADDRESS_LINK;
}

static int
local_port_of(curl_socket_t sock)
{
	struct sockaddr_storage address;
	socklen_t	length = sizeof(address);

	if (getsockname(sock, (struct sockaddr *) &address, &length) != 0)
		return 0;
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *) &address)->sin6_port);
	return ntohs(((struct sockaddr_in *) &address)->sin_port);
}

/* True if the socket has data to read, or has ended. */
static bool
socket_is_readable(curl_socket_t sock)
{
	char		byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
		(errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/*
 * True if the server has closed the connection that the request is about to use.
 * On a connection that was used before, the only thing that can be read before
 * the next request is its end.  libcurl before 8.1 notices that only without TLS:
 * with TLS the server sends close_notify first, and readable data counts as
 * alive.  From 8.22 on it does not check if it did so within the last second.  A
 * close_notify that it read together with the last answer cannot be seen here
 * until the connection's end follows.
 */
static bool
connection_is_closed(const HttpTransfer *transfer, int local_port)
{
	curl_socket_t sock = CURL_SOCKET_BAD;

	if (transfer->is_connection_new)
		return false;
	/* before 8.22 libcurl does not report the socket at this point */
	if (curl_easy_getinfo(transfer->handle.easy, CURLINFO_ACTIVESOCKET, &sock) == CURLE_OK && sock != CURL_SOCKET_BAD)
		return socket_is_readable(sock);
	for (int i = 0; i < engine.nsockets; i++)
	{
		if (engine.sockets[i].port == 0)
			engine.sockets[i].port = local_port_of(engine.sockets[i].socket);
		if (engine.sockets[i].port == local_port && socket_is_readable(engine.sockets[i].socket))
			return true;
	}
	return false;
}

/*
 * Decide whether the request is sent, before each sending.  The address is
 * checked again, since a connection from before a change of wawp.allowed_hosts
 * may be used.  A connection that the server has closed is not used: see
 * transfer_restart.
 *
 * When a reused connection ends without an answer, libcurl sends the request
 * again on a new one; for a POST that would be a second message or a request
 * without a record, so the second sending is refused and the caller gets a lost
 * answer.
 */
static int
on_request(void *arg, char *remote_ip, char *local_ip pg_attribute_unused(),
		   int remote_port pg_attribute_unused(), int local_port)
{
	HttpTransfer *transfer = arg;

	transfer->is_address_refused = address_is_refused(transfer, address_kind_of_text(remote_ip));
	transfer->is_resend_refused = transfer->is_post && transfer->is_request_begun;
	transfer->is_stale = !transfer->is_request_begun && connection_is_closed(transfer, local_port);
	if (transfer->is_address_refused || transfer->is_resend_refused || transfer->is_stale)
		return CURL_PREREQFUNC_ABORT;
	transfer->is_request_begun = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * ---- the engine
 */

static void
engine_failed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("could not set up HTTP transfers"),
			 errdetail("%s", what)));
}

static void
engine_open_mux(void)
{
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not set up HTTP transfers"),
				 errdetail("There are too many open files in this process.")));
	if (!mux_open())
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create an event queue for HTTP transfers: %m")));
	}
	/* the timer is a second descriptor; exceeding the soft limit by one is harmless */
	ReserveExternalFD();
}

static void
engine_close_mux(void)
{
	close(engine.mux);
	ReleaseExternalFD();
#if defined(HAVE_SYS_EPOLL_H)
	close(engine.timer);
#endif
	ReleaseExternalFD();
}

/* Make the engine at the first transfer of this process. */
static void
engine_open(void)
{
	CURLM	   *multi;

	if (engine.multi != NULL)
		return;
	Assert(!process_shared_preload_libraries_in_progress);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		engine_failed("libcurl could not be initialised.");
	engine_open_mux();
	multi = curl_multi_init();
	if (multi == NULL ||
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, MAX_CONNECTIONS) != CURLM_OK ||
		curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK)
	{
		curl_multi_cleanup(multi);
		engine_close_mux();
		engine_failed("libcurl has no multi handle, or not with the options that are needed.");
	}
	dlist_init(&engine.active);
	engine.wait_event = wawp_wait_event("WawpHttpTransfer");
	engine.multi = multi;
}

/*
 * Return the seconds of the Retry-After header, -1 if there is none that can be
 * used.  Read here because libcurl's own value is at most six hours since 8.12.
 */
static int
read_retry_after(CURL *easy)
{
	struct curl_header *header;
	double		seconds;
	time_t		until;
	time_t		now = (time_t) -1;

	if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return -1;
	if (retry_after_number(header->value, &seconds))
		return retry_after_usable(seconds);
	until = curl_getdate(header->value, NULL);
	/* by the server's clock; ours may differ */
	if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
		now = curl_getdate(header->value, NULL);
	if (now == (time_t) -1)
		now = time(NULL);
	return until == (time_t) -1 ? -1 : retry_after_usable((double) until - (double) now);
}

/*
 * ---- why a transfer failed
 *
 * libcurl's text for a refused certificate depends on the TLS library: for
 * GnuTLS it is often without the reason and with the path of ca_file, which only
 * roles that may set it should see.  The library's own verdict is the same in all
 * versions of libcurl, and its numbers are part of the library's ABI.
 */

/* A verdict as an X509_V_ERR_ number and as a gnutls_certificate_status_t bit (0: it has none). */
typedef struct CertificateVerdict
{
	long		openssl;
	long		gnutls;
	const char *reason;
} CertificateVerdict;

#define NO_AUTHORITY "the server's certificate is signed by no authority that is trusted"
#define WRONG_NAME "the server's certificate is for another host name"

/* In order of precedence, since GnuTLS sets several bits; OpenSSL reports a missing authority first. */
static const CertificateVerdict verdicts[] = {
	{23, 1 << 5, "the server's certificate is revoked"},
	{2, 1 << 6, NO_AUTHORITY},
	{18, 1 << 7, NO_AUTHORITY},
	{19, 0, NO_AUTHORITY},
	{20, 0, NO_AUTHORITY},
	{21, 0, NO_AUTHORITY},
	{24, 0, NO_AUTHORITY},
	{9, 1 << 9, "the server's certificate is not valid yet"},
	{10, 1 << 10, "the server's certificate has expired"},
	{62, 1 << 14, WRONG_NAME},
	{64, 0, WRONG_NAME}
};

/*
 * Return what is wrong with a certificate that was not accepted; NULL for a TLS
 * library whose verdicts are not known.  libcurl compares the name itself, after
 * the library has found no fault: OpenSSL's verdict is then still its initial
 * value, X509_V_ERR_UNSPECIFIED.
 */
static const char *
certificate_fault(CURL *easy)
{
	const char *library = curl_version_info(CURLVERSION_NOW)->ssl_version;
	bool		is_gnutls = library && strncmp(library, "GnuTLS/", 7) == 0;
	bool		is_openssl = library && strncmp(library, "OpenSSL/", 8) == 0;
	long		verdict = 0;

	if (!is_gnutls && !is_openssl)
		return NULL;
	curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	for (size_t i = 0; i < lengthof(verdicts); i++)
	{
		if (is_gnutls ? (verdict & verdicts[i].gnutls) != 0 : verdict == verdicts[i].openssl)
			return verdicts[i].reason;
	}
	if (verdict == 0 || (is_openssl && verdict == 1))
		return WRONG_NAME;
	return "the server's certificate was not accepted";
}

/*
 * Return why there is no whole answer: our own text where libcurl's depends on
 * its TLS library or contains the path of ca_file, else libcurl's.
 */
static const char *
transfer_error(const HttpTransfer *transfer, CURLcode code)
{
	const char *reason = NULL;

	if (transfer->is_address_refused)
		return "the host resolves to an address that is not allowed";
	if (transfer->is_resend_refused)
		return "the connection was lost before an answer came";
	if (transfer->is_out_of_memory)
		return "out of memory";
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		reason = certificate_fault(transfer->handle.easy);
	else if (code == CURLE_SSL_CACERT_BADFILE)
		reason = transfer->ca_file ? "the file that ca_file names has no certificates that can be read"
			: "the system's certificate authorities cannot be read";
	if (reason)
		return reason;
	if (transfer->error[0] && !(transfer->ca_file && strstr(transfer->error, transfer->ca_file)))
		return transfer->error;
	return curl_easy_strerror(code);
}

/* Move the node of a transfer that has ended. */
static void
transfer_move_node(HttpTransfer *transfer)
{
	if (transfer->node_to_move == NULL)
		return;
	dlist_delete(transfer->node_to_move);
	dlist_push_tail(transfer->ended, transfer->node_to_move);
	transfer->node_to_move = NULL;
}

/* Return what a result counts as. */
static AnswerClass
http_answer_class(const HttpResult *result)
{
	static const AnswerClass by_hundreds[] = {ANSWER_2XX, ANSWER_3XX, ANSWER_4XX, ANSWER_5XX};

	if (result->fate == HTTP_NOT_SENT)
		return ANSWER_NOT_SENT;
	if (result->fate != HTTP_ANSWERED || result->status < 200 || result->status > 599)
		return ANSWER_NONE;
	return by_hundreds[result->status / 100 - 2];
}

/* Fill in the result of a transfer that ended with libcurl's `code`, and count it. */
static void
transfer_finish(HttpTransfer *transfer, CURLcode code)
{
	HttpResult *result = &transfer->result;
	curl_off_t	dns = 0,
				connect = 0,
				tls = 0,
				first_byte = 0,
				total = 0;
	long		status = 0;

	curl_easy_getinfo(transfer->handle.easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->handle.easy, CURLINFO_NAMELOOKUP_TIME_T, &dns);
	curl_easy_getinfo(transfer->handle.easy, CURLINFO_CONNECT_TIME_T, &connect);
	curl_easy_getinfo(transfer->handle.easy, CURLINFO_APPCONNECT_TIME_T, &tls);
	curl_easy_getinfo(transfer->handle.easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte);
	curl_easy_getinfo(transfer->handle.easy, CURLINFO_TOTAL_TIME_T, &total);

	if (code == CURLE_OK)
		result->fate = HTTP_ANSWERED;
	else if (transfer->is_too_large || code == CURLE_FILESIZE_EXCEEDED)
		result->fate = HTTP_TOO_LARGE;
	else if (!transfer->is_request_begun)
		result->fate = HTTP_NOT_SENT;
	else
		result->fate = HTTP_NO_ANSWER;

	if (code != CURLE_OK)
		result->error = transfer_error(transfer, code);
	result->status = status >= 200 ? (int) status : 0;	/* 1xx is not an answer */
	result->body = transfer->buffer ? transfer->buffer : "";
	result->body_len = transfer->used;
	result->retry_after = read_retry_after(transfer->handle.easy);
	result->dns_ms = (int) (dns / 1000);
	result->connect_ms = (int) (connect / 1000);
	result->tls_ms = (int) (tls / 1000);
	result->first_byte_ms = (int) (first_byte / 1000);
	result->total_ms = (int) (total / 1000);
	counters_note_request(NameStr(transfer->instance), http_answer_class(result), result->total_ms);
	transfer->is_done = true;
	transfer_move_node(transfer);
}

/* Forget what a handle is set up for. */
static void
handle_forget_setup(HttpHandle *handle)
{
	free((void *) handle->setup.ca_file);
	memset(&handle->setup, 0, sizeof(handle->setup));
	handle->is_set_up = false;
}

/* Free a handle, or if nothing of it is to be used again, reset it to be set up anew. */
static void
handle_reset(HttpHandle *handle)
{
	handle_forget_setup(handle);
	curl_easy_reset(handle->easy);
}

static void
handle_free(HttpHandle *handle)
{
	handle_forget_setup(handle);
	curl_easy_cleanup(handle->easy);
}

/* True if two setups are the same. */
static bool
setup_is_same(const HttpSetup *a, const HttpSetup *b)
{
	return a->connect_timeout_ms == b->connect_timeout_ms && a->timeout_ms == b->timeout_ms &&
		a->connection_max_age == b->connection_max_age && a->max_body == b->max_body &&
		(a->ca_file == NULL || b->ca_file == NULL ? a->ca_file == b->ca_file : strcmp(a->ca_file, b->ca_file) == 0);
}

/* Take a spare handle, if possible one with that setup, or make one. */
static void
handle_take(HttpHandle *handle, const HttpSetup *setup)
{
	for (int i = engine.nspare - 1; i >= 0; i--)
		if (engine.spare[i].is_set_up && setup_is_same(&engine.spare[i].setup, setup))
		{
			*handle = engine.spare[i];
			engine.spare[i] = engine.spare[--engine.nspare];
			return;
		}
	if (engine.nspare > 0)
	{
		*handle = engine.spare[--engine.nspare];
		handle_reset(handle);
	}
	else
		handle->easy = curl_easy_init();
	if (handle->easy == NULL)
		engine_failed("libcurl has no handle for a transfer.");
}

/* Note that a handle is set up; without memory for that it is only not used again as it is. */
static void
handle_note_setup(HttpHandle *handle, const HttpSetup *setup)
{
	handle->setup = *setup;
	handle->setup.ca_file = setup->ca_file ? strdup(setup->ca_file) : NULL;
	handle->is_set_up = setup->ca_file == NULL || handle->setup.ca_file != NULL;
}

/* Let a handle forget its transfer, whose memory goes, and the URL, which may have a token; false if it is to be reset. */
static bool
handle_let_go(const HttpHandle *handle)
{
	return handle->is_set_up &&
		curl_easy_setopt(handle->easy, CURLOPT_ERRORBUFFER, NULL) == CURLE_OK &&
		curl_easy_setopt(handle->easy, CURLOPT_PRIVATE, NULL) == CURLE_OK &&
		curl_easy_setopt(handle->easy, CURLOPT_HTTPHEADER, NULL) == CURLE_OK &&
		curl_easy_setopt(handle->easy, CURLOPT_URL, NULL) == CURLE_OK;
}

/* Remove a transfer's easy handle from the engine and keep it for the next transfer. */
static void
transfer_detach(HttpTransfer *transfer)
{
	HttpHandle *handle = &transfer->handle;

	if (handle->easy == NULL)
		return;
	fence_signals();
	curl_multi_remove_handle(engine.multi, handle->easy);
	if (engine.nspare == MAX_SPARE_HANDLES)
		handle_free(handle);
	else
	{
		if (!handle_let_go(handle))
			handle_reset(handle);
		engine.spare[engine.nspare++] = *handle;
	}
	unfence_signals();
	memset(handle, 0, sizeof(*handle));
	dlist_delete(&transfer->node);
}

/* Memory context callback: remove the transfer from the engine and free its malloc'd memory. */
static void
transfer_release(void *arg)
{
	HttpTransfer *transfer = arg;

	transfer_detach(transfer);
	curl_slist_free_all(transfer->headers);
	free(transfer->buffer);
	transfer->headers = NULL;
	transfer->buffer = NULL;
}

/* End all transfers, because the event queue failed and nothing in it would finish. */
static void
engine_give_up(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &engine.active)
	{
		HttpTransfer *transfer = dlist_container(HttpTransfer, node, iter.cur);

		strlcpy(transfer->error, "the event queue failed", sizeof(transfer->error));
		transfer_finish(transfer, CURLE_ABORTED_BY_CALLBACK);
		transfer_detach(transfer);
	}
	engine.is_broken = false;
}

/*
 * Start a transfer again on a new connection, after its connection turned out to
 * be closed before anything was sent.  False if libcurl refuses.
 */
static bool
transfer_restart(HttpTransfer *transfer)
{
	bool		started;

	transfer->is_stale = false;
	/* what is set here is not for the next request */
	handle_forget_setup(&transfer->handle);
	transfer->error[0] = '\0';
	fence_signals();
	curl_multi_remove_handle(engine.multi, transfer->handle.easy);
	started = curl_easy_setopt(transfer->handle.easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
		curl_multi_add_handle(engine.multi, transfer->handle.easy) == CURLM_OK;
	unfence_signals();
	return started;
}

/* Finish the transfers that ended in any of the calls of libcurl. */
static void
engine_collect(void)
{
	int			queued;
	CURLMsg    *message;

	while ((message = curl_multi_info_read(engine.multi, &queued)) != NULL)
	{
		CURLcode	code = message->data.result;
		HttpTransfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		if (transfer->is_stale && !transfer->is_address_refused && transfer_restart(transfer))
			continue;
		transfer_finish(transfer, code);
		transfer_detach(transfer);
	}
	if (engine.is_broken)
		engine_give_up();
}

/* Pass the events that have occurred to libcurl. */
static void
engine_pump(void)
{
	MuxEvent	events[EVENTS_PER_ROUND];
	int			n = mux_collect(events);
	int			running;

	fence_signals();
	for (int i = 0; i < n; i++)
	{
		if (events[i].socket == CURL_SOCKET_TIMEOUT)
			engine.armed_ms = 0;
		else if (socket_is_idle(events[i].socket))
			continue;
		else if (curl_multi_socket_action(engine.multi, events[i].socket, events[i].what, &running) != CURLM_OK)
			engine.is_broken = true;
	}
	if (engine.due_ms != 0 && engine.due_ms <= clock_monotonic_ms())
	{
		engine.due_ms = 0;
		if (curl_multi_socket_action(engine.multi, CURL_SOCKET_TIMEOUT, 0, &running) != CURLM_OK)
			engine.is_broken = true;
	}
	engine_collect();
	unfence_signals();
}

/*
 * ---- one transfer
 */

#define SETOPT(transfer, option, value) \
	do { \
		if (curl_easy_setopt((transfer)->handle.easy, option, value) != CURLE_OK) \
			engine_failed("libcurl does not take " #option "."); \
	} while (0)

/* Set the options that requests of an instance have in common. */
static void
transfer_set_up(HttpTransfer *transfer, const HttpSetup *setup)
{
	SETOPT(transfer, CURLOPT_PROTOCOLS_STR, "http,https");
	SETOPT(transfer, CURLOPT_FOLLOWLOCATION, 0L);
	SETOPT(transfer, CURLOPT_PROXY, "");
	SETOPT(transfer, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SETOPT(transfer, CURLOPT_SSL_VERIFYPEER, 1L);
	SETOPT(transfer, CURLOPT_SSL_VERIFYHOST, 2L);
	SETOPT(transfer, CURLOPT_CONNECTTIMEOUT_MS, (long) setup->connect_timeout_ms);
	SETOPT(transfer, CURLOPT_TIMEOUT_MS, (long) setup->timeout_ms);
	SETOPT(transfer, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) setup->max_body);
	/* a host may move: an old connection would keep using the old address */
	SETOPT(transfer, CURLOPT_MAXLIFETIME_CONN, (long) setup->connection_max_age);
	/* requests no encoding, but decodes one that a proxy has applied: RFC 9110, 12.5.3 */
	SETOPT(transfer, CURLOPT_ACCEPT_ENCODING, "identity");
	/* PostgreSQL owns SIGALRM, which libcurl's plain resolver would use */
	SETOPT(transfer, CURLOPT_NOSIGNAL, 1L);
	/* one request at a time on a connection, so that it is known which one is lost */
	SETOPT(transfer, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SETOPT(transfer, CURLOPT_USERAGENT, "wawp/" WAWP_VERSION);
#if CURL_AT_LEAST_VERSION(7, 87, 0)
	/* a resolver thread that hangs must not delay a cancel */
	SETOPT(transfer, CURLOPT_QUICK_EXIT, 1L);
#endif
	if (setup->ca_file)
	{
		SETOPT(transfer, CURLOPT_CAINFO, setup->ca_file);
		SETOPT(transfer, CURLOPT_CAPATH, NULL);
	}
	SETOPT(transfer, CURLOPT_WRITEFUNCTION, on_body);
	SETOPT(transfer, CURLOPT_HEADERFUNCTION, on_header);
	SETOPT(transfer, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SETOPT(transfer, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
	SETOPT(transfer, CURLOPT_PREREQFUNCTION, on_request);
}

/* Let libcurl's callbacks and messages reach the transfer. */
static void
transfer_set_data(HttpTransfer *transfer)
{
	SETOPT(transfer, CURLOPT_PRIVATE, transfer);
	SETOPT(transfer, CURLOPT_ERRORBUFFER, transfer->error);
	SETOPT(transfer, CURLOPT_WRITEDATA, transfer);
	SETOPT(transfer, CURLOPT_HEADERDATA, transfer);
	SETOPT(transfer, CURLOPT_OPENSOCKETDATA, transfer);
	SETOPT(transfer, CURLOPT_PREREQDATA, transfer);
}

/* Make the headers of a request; raises an error if there is no memory. */
static struct curl_slist *
headers_make(const HttpRequest *request)
{
	const char *lines[4] = {"Accept: application/json"};
	struct curl_slist *headers = NULL;
	int			n = 1;

	if (request->secret_header)
		lines[n++] = request->secret_header;
	if (request->is_post)
	{
		lines[n++] = "Content-Type: application/json";
		/* no waiting for "100 Continue" before a body */
		lines[n++] = "Expect:";
	}
	for (int i = 0; i < n; i++)
	{
		struct curl_slist *longer = curl_slist_append(headers, lines[i]);

		if (longer == NULL)
		{
			curl_slist_free_all(headers);
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		}
		headers = longer;
	}
	return headers;
}

/* Return the headers of a transfer: its own, or if it has no secret those that the process keeps. */
static struct curl_slist *
transfer_headers(HttpTransfer *transfer, const HttpRequest *request)
{
	struct curl_slist **headers = request->secret_header ? &transfer->headers : &engine.headers[request->is_post];

	if (*headers == NULL)
		*headers = headers_make(request);
	return *headers;
}

static void
transfer_set_message(HttpTransfer *transfer, const HttpRequest *request)
{
	if (request->is_post)
	{
		SETOPT(transfer, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(request->body));
		SETOPT(transfer, CURLOPT_POSTFIELDS, request->body);
	}
	else
		SETOPT(transfer, CURLOPT_HTTPGET, 1L);
	SETOPT(transfer, CURLOPT_URL, request->url);
	SETOPT(transfer, CURLOPT_HTTPHEADER, transfer_headers(transfer, request));
}

/*
 * Start a transfer.  It belongs to the current memory context, and so must the
 * request's strings, which libcurl does not copy.  Raises an error only if
 * nothing was sent.
 */
HttpTransfer *
http_start(const HttpRequest *request)
{
	HttpTransfer *transfer = palloc0(sizeof(HttpTransfer));
	const HttpSetup setup = {
		.connect_timeout_ms = request->connect_timeout_ms,
		.timeout_ms = request->timeout_ms,
		.connection_max_age = wawp_connection_max_age,
		.max_body = request->max_body,
		.ca_file = request->ca_file
	};
	CURLMcode	code;
	int			running;

	engine_open();
	transfer->limit = request->max_body;
	namestrcpy(&transfer->instance, request->instance);
	transfer->is_post = request->is_post;
	transfer->ca_file = request->ca_file;
	transfer->may_reach_loopback = request->may_reach_loopback;
	transfer->is_loopback_only = request->is_loopback_only;
	handle_take(&transfer->handle, &setup);
	dlist_push_tail(&engine.active, &transfer->node);
	transfer->release.func = transfer_release;
	transfer->release.arg = transfer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &transfer->release);

	if (!transfer->handle.is_set_up)
	{
		transfer_set_up(transfer, &setup);
		handle_note_setup(&transfer->handle, &setup);
	}
	transfer_set_data(transfer);
	transfer_set_message(transfer, request);

	fence_signals();
	code = curl_multi_add_handle(engine.multi, transfer->handle.easy);
	if (code == CURLM_OK)
		code = curl_multi_socket_action(engine.multi, CURL_SOCKET_TIMEOUT, 0, &running);
	if (code != CURLM_OK)
		engine.is_broken = true;
	/* that may have ended other transfers, for which no further event would come */
	engine_collect();
	unfence_signals();
	return transfer;
}

/*
 * Wait for a transfer in a session.  Cancel, statement_timeout and the like end
 * it with their own errors; the connection is then closed at once, not when the
 * transaction's memory is freed.
 */
const HttpResult *
http_wait(HttpTransfer *transfer)
{
	PG_TRY();
	{
		engine_pump();
		while (!transfer->is_done)
		{
			int			events;

			engine_arm_timer();
			events = WaitLatchOrSocket(MyLatch,
									   WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH,
									   engine.mux, -1L, engine.wait_event);
			if (events & WL_LATCH_SET)
			{
				ResetLatch(MyLatch);
				CHECK_FOR_INTERRUPTS();
			}
			engine_pump();
		}
	}
	PG_CATCH();
	{
		transfer_release(transfer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return &transfer->result;
}

/*
 * Return the descriptor that becomes readable when http_pump has something to
 * do; -1 while there is no transfer: that the other side closes a connection at
 * rest is noticed when it is used.  A caller with a wait of its own calls this
 * before each wait, as it sets the timer.
 */
int
http_descriptor(void)
{
	if (engine.multi == NULL || dlist_is_empty(&engine.active))
		return -1;
	engine_arm_timer();
	return engine.mux;
}

/* Continue all transfers as far as possible without waiting. */
void
http_pump(void)
{
	if (engine.multi)
		engine_pump();
}

/* Return the result of a transfer; NULL while it is under way. */
const HttpResult *
http_result(const HttpTransfer *transfer)
{
	return transfer->is_done ? &transfer->result : NULL;
}

/*
 * Move a node of the caller's from the list it is in to another when the transfer
 * ends, so that nobody looks for those that have; at once, if it has.  The node
 * must live as long as the transfer.
 */
void
http_move_at_end(HttpTransfer *transfer, dlist_node *node, dlist_head *ended)
{
	transfer->node_to_move = node;
	transfer->ended = ended;
	if (transfer->is_done)
		transfer_move_node(transfer);
}

/*
 * ---- URLs
 */

/* Return a part of a URL, palloc'd; NULL if it has none. */
static char *
url_part(CURLU *handle, CURLUPart part)
{
	char	   *text;
	char	   *copy;

	if (curl_url_get(handle, part, &text, 0) != CURLUE_OK)
		return NULL;
	copy = pstrdup(text);
	curl_free(text);
	return copy;
}

static bool
is_loopback_name(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
		strncmp(host, "127.", 4) == 0;
}

/* Set the parts of *url, palloc'd; returns NULL, or what is wrong with the URL. */
static const char *
split_url(CURLU *handle, HttpUrl *url)
{
	char	   *host = url_part(handle, CURLUPART_HOST);
	char	   *port = url_part(handle, CURLUPART_PORT);
	char	   *path = url_part(handle, CURLUPART_PATH);
	char	   *scheme = url_part(handle, CURLUPART_SCHEME);
	size_t		n;

	if (url_part(handle, CURLUPART_USER) || url_part(handle, CURLUPART_PASSWORD))
		return "a user name or password does not belong in it";
	if (url_part(handle, CURLUPART_QUERY) || url_part(handle, CURLUPART_FRAGMENT))
		return "a query or fragment does not belong in it";
	if (!host || !scheme || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		return "it must start with \"https://\" and a host name";
	for (char *c = host; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	url->scheme = scheme;
	url->origin = psprintf("%s://%s%s%s", scheme, host, port ? ":" : "", port ? port : "");
	n = strlen(host);
	url->host = (host[0] == '[' && host[n - 1] == ']') ? pnstrdup(host + 1, n - 2) : host;
	url->is_loopback = is_loopback_name(url->host);
	n = path ? strlen(path) : 0;
	while (n > 0 && path[n - 1] == '/')
		n--;
	url->path = n ? pnstrdup(path, n) : "";
	return NULL;
}

/*
 * Split a base URL into *url with libcurl's own parser, so that the host that is
 * checked is the one that will be connected to.  Returns NULL, or what is wrong
 * with it as a fragment for a detail.
 */
const char *
http_parse_url(const char *text, HttpUrl *url)
{
	CURLU	   *handle = curl_url();
	const char *problem;

	if (handle == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (curl_url_set(handle, CURLUPART_URL, text, 0) != CURLUE_OK)
		problem = "it is no URL";
	else
		problem = split_url(handle, url);
	curl_url_cleanup(handle);
	return problem;
}
