/*-------------------------------------------------------------------------
 *
 * requester_hold.h
 *	  Requesters whose own credentials an instance refuses.
 *
 * IDENTIFICATION
 *	  src/tables/requester_hold.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_REQUESTER_HOLD_H
#define WAWP_REQUESTER_HOLD_H

#include "datatype/timestamp.h"
#include "protocol/outcome.h"

extern TimestampTz requester_hold_until(const char *instance, Oid requester);
extern void requester_hold_set(const char *instance, Oid requester, const char *reason, int seconds);
extern void requester_hold_for_outcome(const char *instance, Oid requester, WawpOutcome outcome, const char *request_id);
extern void requester_hold_begin_trial(const char *instance, Oid requester, int64 longest_ms);
extern void requester_hold_end_trial(const char *instance, Oid requester);
extern bool requester_hold_lift(const char *instance, Oid requester);
extern void requester_hold_rename_instance(const char *from, const char *to);
extern bool requester_hold_is_in_doubt(const char *instance, Oid requester);
extern bool requester_hold_is_busy(const char *instance, Oid requester);
extern TimestampTz requester_hold_first_end(void);
extern void requester_hold_start_anew(void);
extern void requester_hold_prune(void);

#endif							/* WAWP_REQUESTER_HOLD_H */
