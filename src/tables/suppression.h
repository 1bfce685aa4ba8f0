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

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* The reason on the list of those who were erased. */
#define SUPPRESSION_ERASED "the person was erased; if they ask to be added again, wawp_unsuppress() lets them"

extern const char *suppression_reason(const char *jid, const char *group);
extern const char *suppression_reason_of_both(const char *jid, const char *other, const char *group);
extern const char *suppression_reason_of_all(const char *jid, const char *other, const char *known_as, const char *group);
extern bool suppression_is_erased(const char *jid);
extern void suppression_set_erased(const List *jids);
extern bool suppression_set(const char *jid, const char *group, const char *reason, TimestampTz until);
extern bool suppression_set_since(const char *jid, const char *group, const char *reason, TimestampTz since, TimestampTz until);
extern bool suppression_end_before(const char *jid, const char *group, const char *reason, TimestampTz before);
extern void suppression_move(const char *from, const char *to);
extern bool suppression_lift(const char *jid, const char *group);

#endif							/* WAWP_SUPPRESSION_H */
