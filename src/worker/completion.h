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

#include "tables/intent.h"

extern void completion_begin_cycle(void);
extern bool completion_is_end(IntentState state);
extern void completion_note_failures(void);
extern void completion_note_end(const Intent *intent, IntentState state, WawpOutcome outcome);
extern bool completion_has_joined(void);
extern void completion_forget_joined(void);
extern void completion_end_superseded(bool anything_new);
extern bool completion_end_hopeless(bool anything_new);
extern void completion_end_memberships(bool rescan);
extern bool completion_has_more(void);
extern void completion_put_off_memberships(void);
extern int64 completion_next_expiry(void);
extern int64 completion_next_membership(void);

#endif							/* WAWP_COMPLETION_H */
