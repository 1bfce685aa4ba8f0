/*-------------------------------------------------------------------------
 *
 * pairs.c
 *	  Numbers and LIDs that belong together, learnt from answers to a session.
 *
 * The worker keeps them in wawp.contact, as it does those in records of
 * additions; they go to it through the audit mailbox, without a record.  They
 * only help: nothing fails and nobody waits where the mailbox has no room.
 *
 * The caller's Pairs live as long as its call, and so do the texts, which are
 * palloc'd in the memory context of the Pairs.  No locks.
 *
 * IDENTIFICATION
 *	  src/session/pairs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "session/pairs.h"
#include "tables/audit_mailbox.h"
#include "utils/memutils.h"

#include "compat.h"

/* Hand the pairs over to the worker, if it takes them. */
void
pairs_post(Pairs *pairs)
{
	MailboxRecord *record;

	if (pairs->n == 0)
		return;
	record = palloc0(sizeof(MailboxRecord));
	record->row.kind = MAILBOX_PAIRS;
	record->row.instance = pairs->instance;
	record->row.duration_ms = -1;
	record->npeople = pairs->n;
	memcpy(record->people, pairs->people, sizeof(MailboxPerson) * pairs->n);
	/* those before may still be on their way */
	pairs->is_given_up = pairs->is_given_up || !mailbox_wait_for_room(pairs->has_posted ? wawp_audit_timeout : 0) ||
		!mailbox_post_answered(record);
	pairs->has_posted = true;
	pairs->n = 0;
	pfree(record);
}

/* Note that a number and a LID are one person's; nothing if either is missing. */
void
pairs_note(Pairs *pairs, const Jid *phone, const Jid *lid)
{
	MemoryContext caller;

	if (phone->kind != JID_PERSON || lid->kind != JID_LID || pairs->is_given_up)
		return;
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(pairs));
	if (pairs->n == MAILBOX_MAX_PEOPLE)
		pairs_post(pairs);
	pairs->people[pairs->n++] = (MailboxPerson) {.jid = pstrdup(phone->text), .lid = pstrdup(lid->text)};
	MemoryContextSwitchTo(caller);
}
