/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  The wire format: URLs and JSON bodies of requests, and the forms of answers.
 *
 * IDENTIFICATION
 *	  src/protocol/wire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WIRE_H
#define WAWP_WIRE_H

#include "lib/stringinfo.h"

#include "protocol/account_limits.h"
#include "protocol/jid.h"
#include "protocol/wire_list.h"
#include "protocol/wire_value.h"
#include "protocol/wire_verdict.h"

typedef struct WireGroup
{
	const char *jid;			/* NULL: not in the answer */
	const char *subject;		/* likewise */
	int			size;			/* -1: not in the answer */
	bool		only_admins_add;	/* the answer says that members may not add others */
	bool		asks_approval;	/* the answer says that an admin approves whoever joins */
	bool		members_add;	/* the answer says that every member may add others */
} WireGroup;

typedef struct WireGroups
{
	int			count;
	WireGroup  *groups;
} WireGroups;

typedef struct WireSession
{
	const char *status;
	const char *push_name;
	Jid			me;
	Jid			me_lid;
	AccountLimits limits;
} WireSession;

/* A request to join a group. */
typedef struct WireJoinRequest
{
	Jid			jid;			/* the person's number, else the LID, else invalid */
	Jid			lid;			/* invalid if the request has none */
	int64		at_ms;			/* since 1970; 0: not told */
	const char *method;			/* as WAHA spells it; NULL: not told */
} WireJoinRequest;

/* The method of somebody whom a member proposed. */
#define WIRE_NON_ADMIN_ADD "non_admin_add"

typedef struct WireJoinRequests
{
	int			count;
	WireJoinRequest *requests;
	bool		has_more;		/* the answer says that more follows */
} WireJoinRequests;

typedef enum WireTruth
{
	WIRE_UNKNOWN,
	WIRE_NO,
	WIRE_YES
} WireTruth;

/*
 * From so many numbers in a row on that are reported not to be on WhatsApp, that
 * is not believed: engines say the same when they were refused the question.
 */
#define WIRE_DOUBTFUL_NOS 3

/* a field of a request's JSON body or query; a NULL value leaves it out */
typedef struct WireField
{
	const char *name;
	const char *value;
} WireField;

extern void wire_put_percent(StringInfo out, const char *text);
extern void wire_put_query(StringInfo out, const WireField *fields, int nfields);
extern void wire_put_body(StringInfo out, const WireField *fields, int nfields,
						  const char *const *people, int npeople);

extern bool wire_read_group(const char *body, size_t len, WireGroup *group, WireMembers *members);
extern bool wire_read_groups(const char *body, size_t len, WireGroups *out);
extern char *wire_read_created(const char *body, size_t len);
extern char *wire_read_invite(const char *body, size_t len);
extern bool wire_read_session(const char *body, size_t len, WireSession *out);
extern WireTruth wire_read_exists(const char *body, size_t len, Jid *chat, Jid *lid);
extern Jid	wire_read_lid(const char *body, size_t len);
extern const char *wire_read_message_id(const char *body, size_t len);
extern bool wire_session_is_usable(const WireSession *session);
extern bool wire_session_is_starting(const WireSession *session);
extern bool wire_read_join_requests(const char *body, size_t len, WireJoinRequests *out);

#endif							/* WAWP_WIRE_H */
