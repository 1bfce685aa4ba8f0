/*-------------------------------------------------------------------------
 *
 * audit_stored.h
 *	  Records of the audit log and headers of its blocks, as they are stored.
 *
 * IDENTIFICATION
 *	  src/tables/audit_stored.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_AUDIT_STORED_H
#define WAWP_AUDIT_STORED_H

#include "tables/audit_block.h"

/* A record as it is stored, whoever has changed it. */
typedef struct StoredRecord
{
	int64		id;
	SqlArgs		columns;		/* those that the digest covers */
	bool		has_digest;
	SealDigest	digest;
	bool		has_erased;
	bool		is_contradictory;	/* a text is there although it is said to be erased */
	AuditTextSeal texts[AUDIT_TEXTS];
} StoredRecord;

/* Columns to select of a record l, and of a block b. */
#define STORED_ERASED(part, name) \
	", CASE WHEN l.erased -> '" part "' ->> '" name "' ~ '^([0-9a-f]{2})*$' THEN decode(l.erased -> '" part "' ->> '" name "', 'hex') END"
#define STORED_ERASED_ALL(part) \
	STORED_ERASED(part, "batch_id") STORED_ERASED(part, "actor") STORED_ERASED(part, "application_name") \
	STORED_ERASED(part, "reason") STORED_ERASED(part, "detail")
#define STORED_RECORD \
	" l.id, l.at, l.kind::text, l.instance::text, l.instance_id, l.group_jid, l.contact_id, l.intent_id, l.batch_id," \
	" l.attempt, l.action::text, l.outcome::text, l.http_status, l.code, l.login_role::text, l.requested_by::text," \
	" l.actor, l.application_name, l.client_addr::text, l.origin, l.reason, l.request_id::text, l.duration_ms," \
	" l.detail::text, l.digest, l.salt, l.erased IS NOT NULL" STORED_ERASED_ALL("digests") STORED_ERASED_ALL("salts")
#define STORED_HEADER \
	" b.block, b.at, b.home::text, b.timeline, b.first_id, b.last_id, b.pruned_through, b.root, b.previous, b.hash"

extern void audit_read_record(uint64 row, StoredRecord *record);
extern bool audit_record_is_intact(StoredRecord *record);
extern bool audit_read_header(uint64 row, AuditHeader *header);

#endif							/* WAWP_AUDIT_STORED_H */
