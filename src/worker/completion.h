/*-------------------------------------------------------------------------
 *
 * completion.h
 *	  What ends, and what that means for others.
 *
 * IDENTIFICATION
 *	  src/worker/completion.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_COMPLETION_H
#define WAWP_COMPLETION_H

#include "tables/intent.h"

extern void ending_begin_cycle(void);
extern void ending_note_failures(void);
extern void ending_note_done(int64 id);
extern void ending_note_until(TimestampTz until);
extern void ending_note(const Intent *intent, IntentState state);
extern void ending_end_superseded(bool anything_new);
extern bool ending_end_hopeless(bool anything_new);
extern void ending_end_memberships(bool rescan);
extern bool ending_has_more(void);
extern void ending_put_off_memberships(void);
extern int64 ending_next_expiry(void);
extern int64 ending_next_membership(void);

#endif							/* WAWP_COMPLETION_H */
