/*-------------------------------------------------------------------------
 *
 * contact.h
 *	  People: the only table with telephone numbers.
 *
 * IDENTIFICATION
 *	  src/tables/contact.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CONTACT_H
#define WAWP_CONTACT_H

#include "protocol/jid.h"
#include "utils/timestamp.h"

/* A person; 0: never, NULL: not known. */
typedef struct Contact
{
	int64		id;
	bool		is_new;			/* met in this transaction: nothing else is stored of them, in no table */
	const char *lid;
	bool		is_checked;		/* whether the number is on WhatsApp was asked lately */
	bool		is_registered;
	const char *known_as;		/* the JID WhatsApp gave for the number */
	TimestampTz last_inbound_at;
} Contact;

/* With a contact_id: names a person who was erased, in notes and intents. */
#define CONTACT_NAME "contact:"

extern Jid	contact_known_as(const Contact *contact);
extern bool contact_is_name(const char *jid, int64 *id);
extern int64 contact_id(const char *jid);
extern bool contact_is_pending(const char *jid);
extern void contact_meet(const char *const *jids, int n);
extern void contact_note_id(const char *jid, int64 id);
extern Contact contact_get(const char *jid);
extern const char *contact_lid(const char *jid);
extern bool contact_look_up(const char *jid, Contact *contact);
extern void contact_forget_account(const char *jid);
extern void contact_note_lid(const char *jid, const char *lid);
extern void contact_note_registered(const char *jid, bool is_registered, const char *known_as);
extern bool contact_may_be_known(const char *jid);
extern int64 contact_known_id(const char *jid);
extern const char *contact_with_lid(const char *lid);
extern void contact_learn_lid(const char *jid, const char *lid);
extern bool contact_note_inbound(const char *jid, TimestampTz at);

#endif							/* WAWP_CONTACT_H */
