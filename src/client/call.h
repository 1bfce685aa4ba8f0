/*-------------------------------------------------------------------------
 *
 * call.h
 *	  One call of the API: payload, answer, meaning.
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
/* people in one request */
#define CALL_MAX_PEOPLE 50

/* of a text message */
#define CALL_MAX_MESSAGE_CHARS 4096

typedef struct CallRequest
{
	EndpointId	endpoint;
	const char *group;			/* group JID, or NULL */
	const char *path_value;		/* for the path, if that is not the group */
	WireField	fields[CALL_MAX_FIELDS];	/* payload; unused ones are NULL */
	const char *const *people;	/* JIDs, or NULL */
	int			npeople;
} CallRequest;

/* The verdict of an answer on one person or, without a JID, on everybody. */
typedef struct CallVerdict
{
	Jid			jid;			/* invalid if the answer has none that can be read */
	Jid			lid;			/* likewise; may be known beside a number */
	const char *id;				/* as the answer has it */
	WawpOutcome outcome;
	int			code;			/* 0: none */
	const char *detail;			/* may be NULL; not redacted */
	bool		is_card_sent;		/* as in CallPerson */
	bool		is_unaddressable;
} CallVerdict;

/* An answer that was read. */
typedef struct CallReading
{
	CallVerdict whole;			/* on those who are not named */
	bool		is_outage;		/* a proxy or gateway answered in the API's place */
	bool		is_ambiguous;	/* the only person's verdict is the call's, if nothing was asked about them */
	int			npeople;
	CallVerdict *people;
} CallReading;

/* One element of the array that a membership function was given. */
typedef struct CallPerson
{
	const char *input;			/* NULL for a NULL element */
	Jid			jid;
	Jid			lid;			/* beside a number, if it is known */
	WawpOutcome outcome;
	int			code;			/* 0: none */
	const char *detail;			/* may be NULL; redacted; UTF-8 */
	const char *shape;			/* of an answer that was not understood, without contents; else NULL */
	bool		is_outage;		/* a proxy or gateway answered in the API's place */
	bool		sent;			/* a request for this person may have left */
	bool		is_card_sent;		/* the engine has sent its own invitation card */
	bool		is_unaddressable;	/* the person cannot be messaged */
	bool		verified;		/* a member list settled the outcome */
	TimestampTz retry_at;		/* 0: none */
} CallPerson;

extern const HttpResult *call_send(const WawpInstance *instance, const CallRequest *request);
extern const HttpResult *call_read(const WawpInstance *instance, const CallRequest *request);
pg_noreturn extern void call_refuse(const WawpInstance *instance, const CallRequest *request,
									const HttpResult *result);
extern CallReading call_classify(WawpOperation operation, int http_status,
								 const char *body, size_t len);
extern bool call_is_missing_route(const HttpResult *result);
extern bool call_failed_for_now(const HttpResult *result);
extern HttpTransfer *call_begin(const WawpInstance *instance, const CallRequest *request);
extern CallReading call_classify_result(WawpOperation operation, const HttpResult *result);
extern HttpTransfer *call_begin_membership(const WawpInstance *instance, WawpOperation operation,
											const char *group, CallPerson **people, int npeople);
extern void call_settle_person(CallPerson *person, const CallVerdict *verdict, const WawpInstance *instance);
extern bool call_end_membership(const WawpInstance *instance, WawpOperation operation,
								const HttpResult *result, CallPerson **people, int npeople,
								CallVerdict *end);

#endif							/* WAWP_CALL_H */
