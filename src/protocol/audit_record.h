/*-------------------------------------------------------------------------
 *
 * audit_record.h
 *	  A record of the audit log, whoever makes it.
 *
 * IDENTIFICATION
 *	  src/protocol/audit_record.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_AUDIT_RECORD_H
#define WAWP_AUDIT_RECORD_H

/* A record; what does not apply is NULL, 0 or -1. */
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

#endif							/* WAWP_AUDIT_RECORD_H */
