/*-------------------------------------------------------------------------
 *
 * call.h
 *	  One call of the API: what to send, what came back, what it means.
 *
 * IDENTIFICATION
 *	  src/client/call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CALL_H
#define WAWP_CALL_H

#include "datatype/timestamp.h"

#include "client/http.h"
#include "client/instance.h"
#include "protocol/endpoint.h"
#include "protocol/jid.h"
#include "protocol/outcome.h"
#include "protocol/wire.h"

#include "compat.h"

#define CALL_MAX_FIELDS 4
/* people in one request: design.md, section 3 */
#define CALL_MAX_PEOPLE 50

/* Of a text message; wawp-api.md, section 5.4. */
#define CALL_MAX_MESSAGE_CHARS 4096

typedef struct CallRequest
{
	EndpointId	endpoint;
	const char *group;			/* group JID, or NULL */
	const char *path_value;		/* for the path when it is not the group */
	WireField	fields[CALL_MAX_FIELDS];	/* payload; unused ones are NULL */
	const char *const *people;	/* JIDs, or NULL */
	int			npeople;
} CallRequest;

/* What an answer says of one person or, with no JID, of everybody. */
typedef struct CallVerdict
{
	Jid			jid;			/* invalid when the answer's id is none */
	Jid			lid;			/* likewise; known beside a number */
	const char *id;				/* as the answer has it */
	WawpOutcome outcome;
	int			code;			/* 0: none */
	const char *detail;			/* may be NULL; not redacted */
	bool		card_sent;
	bool		unaddressable;
} CallVerdict;

typedef struct CallReading
{
	CallVerdict whole;			/* holds when nobody is named */
	bool		is_outage;		/* the answer is of what stands before the API */
	int			npeople;
	CallVerdict *people;
} CallReading;

/* One element of the array a membership function was given. */
typedef struct CallPerson
{
	const char *input;			/* NULL for a NULL element */
	Jid			jid;
	Jid			lid;			/* theirs beside a number, as far as is known */
	WawpOutcome outcome;
	int			code;			/* 0: none */
	const char *detail;			/* may be NULL; redacted; UTF-8 */
	bool		is_outage;		/* what stands before the API answered in its place */
	bool		sent;			/* a request for this person may have left */
	bool		card_sent;		/* the engine has sent its own invitation card */
	bool		unaddressable;	/* the person cannot be messaged */
	bool		verified;		/* a member list settled the outcome */
	TimestampTz retry_at;		/* 0: none */
} CallPerson;

extern const HttpResult *call_send(const WawpInstance *instance, const CallRequest *request);
extern const HttpResult *call_read(const WawpInstance *instance, const CallRequest *request);
pg_noreturn extern void call_refuse(const WawpInstance *instance, const CallRequest *request,
									const HttpResult *result);
extern CallReading call_classify(WawpOperation operation, int http_status,
								 const char *body, size_t len);
extern HttpTransfer *call_begin(const WawpInstance *instance, const CallRequest *request);
extern CallReading call_classify_result(WawpOperation operation, const HttpResult *result);
extern HttpTransfer *call_begin_membership(const WawpInstance *instance, WawpOperation operation,
											const char *group, CallPerson **people, int npeople);
extern void call_settle_person(CallPerson *person, const CallVerdict *verdict, const WawpInstance *instance);
extern bool call_end_membership(const WawpInstance *instance, WawpOperation operation,
								const HttpResult *result, CallPerson **people, int npeople,
								CallVerdict *end);

#endif							/* WAWP_CALL_H */
