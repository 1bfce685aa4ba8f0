/*-------------------------------------------------------------------------
 *
 * trail.c
 *	  What happened to an intent, for the audit log.
 *
 * Joins an intent with its person's contact.  Statements run as intent.c's do.
 *
 * IDENTIFICATION
 *	  src/tables/trail.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "tables/contact.h"
#include "tables/trail.h"
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

static SqlStatement has_removal = {
	"SELECT FROM wawp.audit_log WHERE contact_id = $3 AND at > $4 AND kind = 'sent' AND action = 'remove'"
	" AND instance = $1::name AND group_jid = $2 LIMIT 1",
	4, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}, NULL
};

/* Have we asked since then for a person to be taken out, here or in a session? */
bool
trail_has_removal(const LaneKey *lane, int64 contact, TimestampTz since)
{
	SqlArgs		args = {0};

	audit_flush();
	sqlrun_text(&args, NameStr(lane->instance));
	sqlrun_text(&args, lane->group);
	sqlrun_int8(&args, contact);
	sqlrun_time(&args, since);
	return sqlrun(&has_removal, &args) > 0;
}
