/*-------------------------------------------------------------------------
 *
 * completion.h
 *	  The end of an intent, and what it means to others.
 *
 * IDENTIFICATION
 *	  src/worker/completion.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_COMPLETION_H
#define WAWP_COMPLETION_H

#include "tables/hold.h"
#include "tables/intent.h"

extern void completion_begin_cycle(void);
extern void completion_note_failures(void);
extern void completion_note_replaced(const Intent *intent);
extern void completion_note_room(const LaneKey *lane, Holds *holds);
extern void completion_note_end(const Intent *intent, IntentState state, WawpOutcome outcome);
extern void completion_note_late_end(const Intent *intent, IntentState state, WawpOutcome outcome);
extern bool completion_has_joined(void);
extern void completion_forget_joined(void);
extern void completion_note_superseded(void);
extern void completion_end_superseded(void);
extern void completion_put_off_superseded(void);
extern bool completion_expire(void);
extern void completion_put_off_expiry(void);
extern void completion_arrive(void);
extern void completion_put_off_arrival(void);
extern int64 completion_next_arrival(void);
extern void completion_fail_dependents(void);
extern void completion_put_off_dependents(void);
extern void completion_end_memberships(void);
extern bool completion_has_failures(void);
extern bool completion_has_superseded(void);
extern void completion_put_off_memberships(void);
extern int64 completion_next_expiry(void);
extern int64 completion_next_membership(void);

#endif							/* WAWP_COMPLETION_H */
