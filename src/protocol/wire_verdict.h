/*-------------------------------------------------------------------------
 *
 * wire_verdict.h
 *	  Answers to requests: what became of each person and of the whole call.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_verdict.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WIRE_VERDICT_H
#define WAWP_WIRE_VERDICT_H

#include "protocol/jid.h"
#include "protocol/json.h"

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
	bool		is_passed_over; /* is in a list named "skipped" or the like */
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
	bool		tells_success;	/* of an ambiguous answer: an envelope says plainly that the call succeeded */
	bool		is_json;
	bool		is_value;		/* JSON without anything in it: a text, a number, an empty list and the like */
	bool		is_proxys;		/* JSON that a proxy or gateway gives in the API's place */
	bool		is_frameworks;	/* JSON that a framework gives by itself, without a word about what was asked for */
	bool		has_failed_ack; /* has a message that WhatsApp did not take: the one that was sent, or one of a group's */
	const char *code;			/* error's word, e.g. "invalid_session", else NULL */
	const char *text;			/* message, or the body's beginning; else NULL */
	int			status;			/* the envelope's own HTTP-like number, else 0 */
	int			engine_code;	/* WhatsApp's number wrapped in an error, else 0 */
	int			npeople;
	WirePerson *people;
} WireAnswer;

extern WireAnswer wire_read_answer(const char *body, size_t len);
extern void wire_read_envelope(const JsonNode *root, WireAnswer *answer);
extern bool wire_is_refusal(const JsonNode *root, const WireAnswer *answer);
extern bool wire_is_bare_success(const JsonNode *root);
extern bool wire_is_error_body(const JsonNode *root);
extern const JsonNode *wire_unwrap_object(const JsonNode *root);

#endif							/* WAWP_WIRE_VERDICT_H */
