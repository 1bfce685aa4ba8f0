/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  What happened to an intent, for the audit log.
 *
 * Joins an intent with its person's contact.  Statements run as intent.c's do.
 *
 * IDENTIFICATION
 *	  src/trail.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "contact.h"
#include "trail.h"
#include "utils/json.h"

#include "compat.h"

/* A record with all that the intent says of itself. */
AuditRecord
trail_record(const Intent *intent, const char *kind)
{
	AuditRecord record = {
		.kind = kind,
		.instance = NameStr(intent->lane.instance),
		.instance_id = intent->instance_id,
		.group_jid = intent->lane.group,
		.contact_id = contact_id(intent->jid.text),
		.intent_id = intent->id,
		.batch_id = intent->batch_id,
		.attempt = intent->attempts,
		.action = intent_action_name(intent->action),
		.login_role = intent->login_role,
		.requested_by = intent->requested_by,
		.actor = intent->actor,
		.application_name = intent->application_name,
		.client_addr = intent->client_addr,
		.origin = intent->origin,
		.reason = intent->reason,
		.duration_ms = -1
	};

	return record;
}

/* Records a decision or a sighting; note: why, or NULL. */
void
trail_write(const Intent *intent, const char *kind, WawpOutcome outcome, const char *note)
{
	AuditRecord record = trail_record(intent, kind);
	StringInfoData detail;

	record.outcome = outcome_info(outcome)->name;
	if (note)
	{
		initStringInfo(&detail);
		appendStringInfoString(&detail, "{\"note\": ");
		escape_json(&detail, note);
		appendStringInfoChar(&detail, '}');
		record.detail = detail.data;
	}
	audit_write(&record);
}
