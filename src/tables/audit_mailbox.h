/*-------------------------------------------------------------------------
 *
 * audit_mailbox.h
 *	  Carries records of session calls to the worker, which writes them.
 *
 * IDENTIFICATION
 *	  src/tables/audit_mailbox.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_AUDIT_MAILBOX_H
#define WAWP_AUDIT_MAILBOX_H

#include "nodes/pg_list.h"
#include "protocol/mailbox_record.h"

/* The fate of a "sent" record. */
typedef enum MailboxFate
{
	MAILBOX_COMMITTED,
	MAILBOX_NO_WORKER,			/* no worker runs in this database */
	MAILBOX_LATE,				/* there is one, but it did not commit in time */
	MAILBOX_TOO_LONG				/* it does not fit into the box */
} MailboxFate;

/* In the session. */
extern void mailbox_forget_people(void);
extern Size mailbox_shmem_size(void);
extern void mailbox_shmem_startup(void);

extern bool mailbox_fits(const MailboxRecord *record);
extern MailboxFate mailbox_post_sent(const MailboxRecord *record, int timeout_ms);
extern void mailbox_withdraw(void);
extern bool mailbox_post_answered(const MailboxRecord *record);
extern bool mailbox_wait_for_room(int timeout_ms);
extern int	mailbox_count_waiting(void);

/* In the worker. */
extern void mailbox_recover(void);
extern bool mailbox_take(void);
extern void mailbox_write(void);
extern List *mailbox_changed_groups(void);
extern bool mailbox_committed(bool *later);
extern void mailbox_aborted(void);

#endif							/* WAWP_AUDIT_MAILBOX_H */
