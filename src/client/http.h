/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP transfers that can be waited for on a latch.
 *
 * IDENTIFICATION
 *	  src/client/http.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_HTTP_H
#define WAWP_HTTP_H

#include "lib/ilist.h"

/* An absolute URL in parts, normalised; all palloc'd. */
typedef struct HttpUrl
{
	const char *scheme;			/* "https" or "http" */
	const char *host;			/* lower case, an IPv6 address without brackets */
	const char *origin;			/* scheme://host[:port], as it is sent */
	const char *path;			/* without a trailing slash, may be empty */
	bool		is_loopback;	/* the host is a name or address of this machine */
} HttpUrl;

typedef struct HttpRequest
{
	const char *instance;		/* for the counters; copied */
	bool		is_post;		/* else GET */
	const char *url;			/* these four must live as long as the transfer */
	const char *body;			/* JSON; NULL for GET */
	const char *secret_header;	/* one more header line, or NULL */
	const char *ca_file;		/* instead of the system's authorities, or NULL */
	int			connect_timeout_ms;
	int			timeout_ms;		/* in total, including connecting */
	size_t		max_body;		/* bytes */
	bool		may_reach_loopback; /* addresses of this machine are allowed */
	bool		is_loopback_only;	/* no other addresses are allowed */
} HttpRequest;

typedef enum HttpFate
{
	HTTP_ANSWERED,				/* a whole answer, with any status */
	HTTP_NOT_SENT,				/* provably nothing left */
	HTTP_NO_ANSWER,				/* something left, no whole answer came */
	HTTP_TOO_LARGE				/* the answer exceeded a limit and was dropped */
} HttpFate;

typedef struct HttpResult
{
	HttpFate	fate;
	int			status;			/* 0: no status line came */
	const char *body;			/* NUL-terminated, may contain others */
	size_t		body_len;
	int			retry_after;	/* seconds, -1: the answer has none */
	const char *error;			/* the cause, as text; NULL if answered */
	int			dns_ms;			/* from the start to the end of each phase; */
	int			connect_ms;		/* 0 for a phase that was not reached or */
	int			tls_ms;			/* not needed */
	int			first_byte_ms;
	int			total_ms;
} HttpResult;

typedef struct HttpTransfer HttpTransfer;

/* True for a whole answer with a 2xx status; the body may still be a refusal. */
static inline bool
http_is_success(const HttpResult *result)
{
	return result->fate == HTTP_ANSWERED && result->status >= 200 && result->status < 300;
}

extern const char *http_parse_url(const char *text, HttpUrl *url);
extern HttpTransfer *http_start(const HttpRequest *request);
extern const HttpResult *http_wait(HttpTransfer *transfer);

/* for a process that waits for many transfers and other events at once */
extern int	http_descriptor(void);
extern void http_pump(void);
extern const HttpResult *http_result(const HttpTransfer *transfer);
extern void http_move_at_end(HttpTransfer *transfer, dlist_node *node, dlist_head *ended);

#endif							/* WAWP_HTTP_H */
