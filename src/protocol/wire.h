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

/* The content of a membership or sending answer as a whole. */
typedef enum WireKind
{
	WIRE_UNREADABLE,			/* of no known form */
	WIRE_OK,					/* a bare success that names nobody */
	WIRE_REFUSED,				/* an error, under any HTTP status */
	WIRE_PEOPLE,				/* a verdict per person */
	WIRE_OTHER					/* JSON of another kind */
} WireKind;

/* One person's entry in an answer. */
typedef struct WirePerson
{
	const char *id;				/* as the answer has it */
	Jid			jid;			/* phone number if known, else LID, else invalid */
	Jid			lid;			/* invalid if the answer has none */
	bool		has_code;
	int			code;			/* the person's own number */
	int			inner_code;		/* a second number under it, else 0 */
	bool		has_success;	/* a success without a number */
	bool		has_failure;	/* a failure, with or without a number */
	bool		is_listed_as_added; /* is in a list named "added" */
	bool		is_card_sent;	/* the engine sent its own invitation card */
	bool		is_unaddressable;	/* cannot be messaged either */
	const char *text;			/* message or reason, else NULL */
} WirePerson;

typedef struct WireAnswer
{
	WireKind	kind;
	WireKind	envelope;		/* the same, if the number of an ambiguous answer is the call's */
	bool		is_ambiguous;	/* the only person stands beside a number in an envelope: it is theirs if a change was
								 * asked for, else the call's */
	bool		is_json;
	bool		is_value;		/* JSON without anything in it: a text, a number, an empty list and the like */
	bool		is_proxys;		/* JSON that a proxy or gateway gives in the API's place */
	bool		is_frameworks;	/* JSON that a framework gives by itself, without a word about what was asked for */
	const char *code;			/* error's word, e.g. "invalid_session", else NULL */
	const char *text;			/* message, or the body's beginning; else NULL */
	int			status;			/* the envelope's own HTTP-like number, else 0 */
	int			engine_code;	/* WhatsApp's number wrapped in an error, else 0 */
	int			npeople;
	WirePerson *people;
} WireAnswer;

typedef enum WireRole
{
	WIRE_ROLE_MEMBER,
	WIRE_ROLE_ADMIN,
	WIRE_ROLE_OWNER,
	WIRE_ROLE_LEFT,				/* was a member */
	WIRE_ROLE_UNTOLD,			/* the entry says nothing of it: ask members_role() */
	WIRE_ROLE_UNKNOWN			/* it is not understood, or the list says nothing of it */
} WireRole;

typedef struct WireMember
{
	Jid			jid;			/* as listed */
	Jid			phone;			/* invalid if the list has none */
	Jid			lid;			/* likewise */
	WireRole	role;
} WireMember;

/* Bits of what an entry shows of its member. */
#define WIRE_SHOWS_PHONE 1
#define WIRE_SHOWS_LID 2

typedef struct WireMembers
{
	int			count;
	WireMember *members;
	int			shown[4];		/* entries by such bits, those of who left not counted */
	uint32		mask;			/* of ... */
	uint32	   *slots;			/* ... a hash table of these entries by number and LID: their places from 1, 0 is free;
								 * NULL: there is none */
	int			unread;			/* entries without a readable JID */
	int			repeated;		/* entries of somebody who has another one */
	bool		tells_roles;	/* an entry says which role its member has */
	bool		has_more;		/* the answer says that more follows */
	int			stated;			/* the group's size according to the answer; -1: not in it */
	const char *unread_shape;	/* the form of the first of unread, without contents; NULL: none, or a description's
								 * list */
} WireMembers;

/* The place of a part of a text. */
typedef struct WireSpan
{
	uint32		begin;
	uint32		end;
} WireSpan;

/* The text of a list, by whose entries the next list of the group is read (list_again.c). */
typedef struct WireListText
{
	const char *body;
	size_t		len;
	uint32		begin;			/* where the list begins, behind the bracket; 0: its entries are not told apart */
	int			count;			/* entries, each a member ... */
	WireSpan   *spans;			/* ... and their places */
} WireListText;

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

extern void wire_read_ids(const JsonNode *node, Jid *phone, Jid *lid);
extern bool wire_read_account(const JsonNode *me, Jid *phone, Jid *lid);
extern Jid	wire_read_group_id(const JsonNode *node);
extern bool wire_is_set(const JsonNode *node);
extern bool wire_is_keyed_list(const JsonNode *node);
extern WireAnswer wire_read_answer(const char *body, size_t len);
extern int	wire_count_members(const WireMembers *list);
extern bool wire_word_is(const char *word, const char *const *words);
extern const WireMember *wire_find_member(const WireMembers *list, const Jid *jid);
extern bool wire_read_members(const char *body, size_t len, WireMembers *out);
extern bool wire_read_list(const char *body, size_t len, int more, WireMembers *out, WireListText *text);
extern void wire_index_members(WireMembers *list);
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
