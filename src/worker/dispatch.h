/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *	  The cycle of the worker: its duties, what it is told, and recovery.
 *
 * IDENTIFICATION
 *	  src/worker/dispatch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_DISPATCH_H
#define WAWP_DISPATCH_H

#include "base/shmem.h"
#include "worker/admission.h"

/* News for the worker since the last cycle. */
typedef struct DispatchWake
{
	bool		rescan;			/* anything may have changed, in any lane */
	bool		poll;			/* a minute is over: look at some lanes, in case that a change was missed */
	bool		start_anew;		/* the clock may have been set back */
	int			nlanes;
	LaneKey		lanes[SHMEM_WAKE_LANES];
} DispatchWake;

/* Written by the worker between cycles; requests that are claimed are subtracted from it. */
extern AdmissionPermit dispatch_permit;

extern void dispatch_init(bool has_crashed);
extern void dispatch_replay(void);
extern void dispatch_recover(void);
extern void dispatch_note_orderly_end(void);
extern void dispatch_tell(const DispatchWake *wake);
extern void dispatch_take_answers(void);
extern bool dispatch_has_work(void);
extern void dispatch_settle_and_claim(void);
extern void dispatch_committed(void);
extern void dispatch_aborted(void);
extern void dispatch_send(void);
extern bool dispatch_has_answers(void);
extern bool dispatch_is_drained(void);
extern int64 dispatch_next_ms(void);

#endif							/* WAWP_DISPATCH_H */
