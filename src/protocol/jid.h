/*-------------------------------------------------------------------------
 *
 * jid.h
 *	  WhatsApp identifiers: people and groups, in one normal form.
 *
 * IDENTIFICATION
 *	  src/protocol/jid.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_JID_H
#define WAWP_JID_H

/* 32 digits, '-', 20 digits, "@g.us" and the terminator, rounded up */
#define JID_SIZE 64

typedef enum JidKind
{
	JID_INVALID = 0,
	JID_PERSON,					/* <digits>@c.us */
	JID_LID,					/* <digits>@lid, a privacy id, never a phone */
	JID_GROUP					/* <digits>[-<digits>]@g.us */
} JidKind;

typedef struct Jid
{
	JidKind		kind;
	const char *problem;		/* why it is invalid; static, else NULL */
	char		text[JID_SIZE]; /* normal form; empty when invalid */
} Jid;

extern Jid	jid_parse(const char *input, size_t len);
extern bool jid_is_group_text(const char *text, size_t len);
extern bool jid_is_person_text(const char *text, size_t len);
extern int	jid_last_digits(const char *input, size_t len);
extern bool jid_same(const Jid *a, const Jid *b);
extern Jid	jid_other_form(const Jid *jid);

#endif							/* WAWP_JID_H */
