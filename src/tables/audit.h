/*-------------------------------------------------------------------------
 *
 * audit.h
 *	  The record of every request.
 *
 * IDENTIFICATION
 *	  src/tables/audit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_AUDIT_H
#define WAWP_AUDIT_H

#include "base/spi_statement.h"
#include "nodes/pg_list.h"
#include "protocol/audit_record.h"
#include "tables/intent.h"
#include "utils/timestamp.h"

/* The beginning of the reason of a note that intents were taken over. */
#define AUDIT_TAKEN_OVER "taken over: "

/* A change that a session made to the queue. */
typedef struct AuditNote
{
	AuditRecord record;			/* without the contact */
	const char *jid;			/* the person; NULL: nobody */
} AuditNote;

/* Requests that left before this server started, for the limiter. */
typedef struct AuditSent
{
	const char *instance;
	const char *instance_id;
	const char *group_jid;		/* of one request; NULL for all of today */
	int64		age_us;			/* of one request; -1: all of today */
	int			count;
	bool		is_message;		/* an invitation or a welcome, else an add */
} AuditSent;

typedef void (*AuditReplay) (const AuditSent *sent);

extern uint64 audit_run_erasure(SqlStatement *statement, const SqlArgs *args);
extern int64 audit_last_id(void);
extern void audit_prepare_ahead(void);
extern void audit_drop_old(int retention_minutes);
extern void audit_write(const AuditRecord *record);
extern void audit_gather(void);
extern void audit_flush(void);
extern void audit_end_gathering(void);
extern List *audit_take_notes(int limit);
extern void audit_seal(void);
extern void audit_forget_numbers(void);
extern void audit_replay(AuditReplay replay);

extern AuditRecord audit_record_of_intent(const Intent *intent, const char *kind);
extern bool audit_has_removal(const LaneKey *lane, int64 contact, TimestampTz since);
extern TimestampTz audit_sent_at(int64 intent_id);
extern void audit_take_sent_texts(AuditRecord *record);
extern const char *audit_detail(const char *note, const char *shape);
extern void audit_write_cancelled(const Intent *intent, const char *note);
extern void audit_write_failed(const Intent *intent, const char *note);
extern void audit_write_intent(const Intent *intent, const char *kind, WawpOutcome outcome, const char *note);

#endif							/* WAWP_AUDIT_H */
