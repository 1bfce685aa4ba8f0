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

#include "nodes/pg_list.h"
#include "tables/intent.h"
#include "utils/timestamp.h"

/* One record; what does not apply is NULL, 0 or -1. */
typedef struct AuditRecord
{
	const char *kind;			/* label of wawp.audit_kind */
	const char *instance;
	const char *instance_id;
	const char *group_jid;
	int64		contact_id;
	int64		intent_id;
	const char *batch_id;
	int			attempt;
	const char *action;
	const char *outcome;
	int			http_status;
	int			code;
	const char *login_role;
	const char *requested_by;
	const char *actor;
	const char *application_name;
	const char *client_addr;
	const char *origin;
	const char *reason;
	const char *request_id;
	int			duration_ms;	/* -1: none */
	const char *detail;			/* a JSON object with whitelisted keys */
} AuditRecord;

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

extern void audit_prepare_ahead(void);
extern void audit_drop_old(int retention_minutes);
extern void audit_write(const AuditRecord *record);
extern void audit_gather(void);
extern void audit_flush(void);
extern void audit_end_gathering(void);
extern List *audit_take_notes(int limit);
extern void audit_forget_numbers(void);
extern void audit_replay(AuditReplay replay);

extern AuditRecord trail_record(const Intent *intent, const char *kind);
extern bool trail_has_removal(const LaneKey *lane, int64 contact, TimestampTz since);
extern void trail_write(const Intent *intent, const char *kind, WawpOutcome outcome, const char *note);

#endif							/* WAWP_AUDIT_H */
