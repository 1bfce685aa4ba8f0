/*-------------------------------------------------------------------------
 *
 * audit_mailbox.h
 *	  Hands records of session calls to the worker, who writes them.
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

/* What became of a "sent" record. */
typedef enum RelayFate
{
	RELAY_COMMITTED,
	RELAY_NO_WORKER,			/* none runs in this database */
	RELAY_LATE,					/* there is one, but it did not commit in time */
	RELAY_TOO_LONG				/* it does not fit into the box */
} RelayFate;

/* In the session. */
extern Size relay_shmem_size(void);
extern void relay_shmem_startup(void);

extern bool relay_fits(const RelayRecord *record);
extern RelayFate relay_sent(const RelayRecord *record, int timeout_ms);
extern void relay_withdraw(void);
extern bool relay_answered(const RelayRecord *record);
extern bool relay_wait_for_room(int timeout_ms);

/* In the worker. */
extern void relay_recover(void);
extern bool relay_take(void);
extern void relay_write(void);
extern List *relay_changed_groups(void);
extern bool relay_committed(void);
extern void relay_aborted(void);

#endif							/* WAWP_AUDIT_MAILBOX_H */
