/*-------------------------------------------------------------------------
 *
 * trail.h
 *	  What happened to an intent, for the audit log.
 *
 * IDENTIFICATION
 *	  src/tables/trail.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRAIL_H
#define WAWP_TRAIL_H

#include "tables/audit.h"
#include "tables/intent.h"

extern AuditRecord trail_record(const Intent *intent, const char *kind);
extern bool trail_has_removal(const LaneKey *lane, int64 contact, TimestampTz since);
extern void trail_write(const Intent *intent, const char *kind, WawpOutcome outcome, const char *note);

#endif							/* WAWP_TRAIL_H */
