/*-------------------------------------------------------------------------
 *
 * pairs.h
 *	  Numbers and LIDs that belong together, learnt from answers to a session.
 *
 * IDENTIFICATION
 *	  src/session/pairs.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PAIRS_H
#define WAWP_PAIRS_H

#include "protocol/jid.h"
#include "protocol/mailbox_record.h"

/* Pairs that are not posted yet, of one call. */
typedef struct Pairs
{
	const char *instance;
	int			n;				/* waiting to be posted */
	bool		has_posted;
	bool		is_given_up;	/* the worker does not take them */
	MailboxPerson people[MAILBOX_MAX_PEOPLE];
} Pairs;

extern void pairs_note(Pairs *pairs, const Jid *phone, const Jid *lid);
extern void pairs_post(Pairs *pairs);

#endif							/* WAWP_PAIRS_H */
