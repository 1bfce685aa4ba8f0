/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  The meaning of an answer.
 *
 * IDENTIFICATION
 *	  src/protocol/outcome.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_OUTCOME_H
#define WAWP_OUTCOME_H

/* In the order of the SQL enum wawp.outcome. */
typedef enum WawpOutcome
{
	WAWP_ADDED,
	WAWP_ALREADY_MEMBER,
	WAWP_JOINED_BY_INVITE,
	WAWP_REMOVED,
	WAWP_NOT_MEMBER,
	WAWP_PROMOTED,
	WAWP_DEMOTED,
	WAWP_ACCEPTED,
	WAWP_UNKNOWN_RESULT,
	WAWP_PRIVACY_BLOCKED,
	WAWP_COMMUNITY_RESTRICTED,
	WAWP_INVITED,
	WAWP_PENDING_APPROVAL,
	WAWP_RECENTLY_LEFT,
	WAWP_REMOVED_BY_ADMIN,
	WAWP_BLOCKED_BY_USER,
	WAWP_NOT_ON_WHATSAPP,
	WAWP_LEGAL_RESTRICTED,
	WAWP_BAD_IDENTIFIER,
	WAWP_SUPPRESSED,
	WAWP_UNRECOGNISED,
	WAWP_GROUP_FULL,
	WAWP_NOT_ADMIN,
	WAWP_GROUP_NOT_FOUND,
	WAWP_GROUP_LOCKED,
	WAWP_LINK_UNAVAILABLE,
	WAWP_RATE_LIMITED,
	WAWP_SERVER_ERROR,
	WAWP_UNREACHABLE,
	WAWP_ACCOUNT_RESTRICTED,
	WAWP_SESSION_DOWN,
	WAWP_AUTH_FAILED,
	WAWP_QUOTA_EXCEEDED,
	WAWP_THROTTLED
} WawpOutcome;

#define WAWP_OUTCOMES (WAWP_THROTTLED + 1)

/* The requested operation; bits, so that a rule can name several. */
typedef enum WawpOperation
{
	WAWP_OP_ADD = 1 << 0,
	WAWP_OP_REMOVE = 1 << 1,
	WAWP_OP_PROMOTE = 1 << 2,
	WAWP_OP_DEMOTE = 1 << 3,
	WAWP_OP_SEND = 1 << 4,
	WAWP_OP_READ = 1 << 5
} WawpOperation;

/* Those that change who is in a group, or as what. */
#define WAWP_OP_CHANGES (WAWP_OP_ADD | WAWP_OP_REMOVE | WAWP_OP_PROMOTE | WAWP_OP_DEMOTE)

/* The party that the outcome's cause lies with. */
typedef enum OutcomeAbout
{
	ABOUT_PERSON,
	ABOUT_GROUP,
	ABOUT_INSTANCE,				/* its account, pace or session */
	ABOUT_API					/* it gave no usable answer */
} OutcomeAbout;

/* Consequence for the people of the same call who are not in this request. */
typedef enum OutcomeScope
{
	SCOPE_PERSON,				/* none: it concerns this person only */
	SCOPE_CALL,					/* they are not sent: it would end the same way */
	SCOPE_DOUBT					/* they are not sent: the API does not answer */
} OutcomeScope;

/* The worker's next step for an intent with this outcome. */
typedef enum OutcomeNext
{
	NEXT_DONE,
	NEXT_VERIFY,					/* read the member list */
	NEXT_INVITE,				/* send the invite link once, if allowed */
	NEXT_WAIT,					/* for the person, or an admin */
	NEXT_FAIL,
	NEXT_RETRY,					/* later, a limited number of times */
	NEXT_SLOW_DOWN,				/* the instance goes slower; the intent stays */
	NEXT_HOLD_LANE,				/* the group waits; the intent stays */
	NEXT_HOLD_INSTANCE,			/* the instance waits; the intent stays */
	NEXT_NONE					/* never an intent's: only session calls answer so */
} OutcomeNext;

typedef struct OutcomeInfo
{
	WawpOutcome outcome;		/* its own place in the table */
	const char *name;			/* label of the SQL enum */
	OutcomeAbout about;
	OutcomeScope scope;
	OutcomeNext next;
	bool		look;			/* a member list can settle it */
	const char *sqlstate;		/* of the error that a reading function raises; NULL: a success */
	const char *text;			/* the meaning; of a failure: the cause, for a message or a detail */
	const char *hint;			/* what to do about it, or NULL */
} OutcomeInfo;

/* The kind of a refusal's body. */
typedef enum BodyKind
{
	BODY_NONE,					/* nothing, or nothing that is text */
	BODY_JSON,					/* an object, or a list that is not empty */
	BODY_VALUE,					/* other JSON: the API explains nothing in that form */
	BODY_FRAMEWORK,				/* JSON in which a framework tells by itself what it did not find */
	BODY_SENTENCE,				/* plain text: some engines refuse with a sentence */
	BODY_PAGE					/* a web page, or JSON in its place: of a proxy or a framework */
} BodyKind;

/* The meaning of an answer and, if the answer has no text, the reason. */
typedef struct OutcomeReading
{
	WawpOutcome outcome;
	const char *note;			/* static, or NULL */
	bool		is_outage;		/* a proxy or gateway answered in the API's place */
} OutcomeReading;

/* True if the outcome settles an intent without anything further. */
static inline bool
outcome_is_final(const OutcomeInfo *info)
{
	return info->next == NEXT_DONE || info->next == NEXT_FAIL;
}

extern const OutcomeInfo *outcome_info(WawpOutcome outcome);
extern const char *outcome_next_step(const OutcomeInfo *info);
extern const char *outcome_about(const OutcomeInfo *info);
extern bool outcome_named(const char *name, WawpOutcome *outcome);
extern bool outcome_operation(const char *name, WawpOperation *operation);
extern const char *outcome_operation_name(WawpOperation operation);
extern OutcomeReading outcome_of_person(WawpOperation operation, int code, int inner_code,
										const char *text, bool is_after_success);
extern OutcomeReading outcome_of_refusal(WawpOperation operation, int http_status, int engine_code,
										 const char *code_word, const char *text, BodyKind body);
extern bool outcome_is_missing_route(int http_status, const char *text, BodyKind body);
extern WawpOutcome outcome_of_success(const char *text);

#endif							/* WAWP_OUTCOME_H */
