/*-------------------------------------------------------------------------
 *
 * suppression.h
 *	  The opt-out list.
 *
 * IDENTIFICATION
 *	  src/tables/suppression.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SUPPRESSION_H
#define WAWP_SUPPRESSION_H

#include "utils/timestamp.h"

extern const char *suppression_reason(const char *jid, const char *group);
extern bool suppression_set(const char *jid, const char *group, const char *reason, TimestampTz until);
extern bool suppression_set_since(const char *jid, const char *group, const char *reason, TimestampTz since, TimestampTz until);
extern bool suppression_end_before(const char *jid, const char *group, const char *reason, TimestampTz before);
extern void suppression_move(const char *from, const char *to);
extern bool suppression_lift(const char *jid, const char *group);

#endif							/* WAWP_SUPPRESSION_H */
