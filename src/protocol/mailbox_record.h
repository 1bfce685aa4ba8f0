/*-------------------------------------------------------------------------
 *
 * mailbox_record.h
 *	  A session's record as bytes in a box of fixed size.
 *
 * IDENTIFICATION
 *	  src/protocol/mailbox_record.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MAILBOX_RECORD_H
#define WAWP_MAILBOX_RECORD_H

#include "protocol/audit_record.h"

#define MAILBOX_MAX_PEOPLE 50

/* In the kind's place: no record, but people whose LIDs a session has learnt. */
#define MAILBOX_PAIRS "pairs"

/* A person of a record; texts that do not apply are NULL. */
typedef struct MailboxPerson
{
	const char *jid;
	const char *outcome;
	int			code;			/* 0: none */
	const char *lid;			/* learnt from the answer; left out if there is no room for it */
} MailboxPerson;

/*
 * A session's record of one request: a row per person, or one row if it is
 * about nobody.  The row's contact, intent, batch and attempt are not packed: a
 * session has none of them.
 */
typedef struct MailboxRecord
{
	AuditRecord row;			/* outcome and code: of a request that is about nobody */
	int			npeople;
	MailboxPerson people[MAILBOX_MAX_PEOPLE];
} MailboxRecord;

/* The result of packing a record. */
typedef enum RecordFit
{
	RECORD_WHOLE,
	RECORD_CUT,					/* some texts are shorter and end in RECORD_CUT_MARK */
	RECORD_TOO_LONG				/* the box was not touched */
} RecordFit;

/* the end of a text that was cut; detail is replaced as a whole, as JSON cannot be cut */
#define RECORD_CUT_MARK " [cut]"
#define RECORD_CUT_DETAIL "{\"note\": \"cut\"}"

extern RecordFit record_pack(const MailboxRecord *record, bool may_cut, int encoding,
							 char *box, size_t size, size_t *used);
extern bool record_fits(const MailboxRecord *record, int encoding, size_t size);
extern bool record_unpack(const char *box, size_t used, MailboxRecord *record);

#endif							/* WAWP_MAILBOX_RECORD_H */
