/*-------------------------------------------------------------------------
 *
 * admission.h
 *	  Decides whether the worker may send another request.
 *
 * IDENTIFICATION
 *	  src/worker/admission.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ADMISSION_H
#define WAWP_ADMISSION_H

#include "client/instance.h"
#include "worker/lanes.h"

/* A permit to serve although wawp.worker is off: CALL wawp_drain(). */
typedef struct AdmissionPermit
{
	bool		is_active;
	int64		number;			/* of the call that has it */
	int64		requests;		/* how many more */
	int64		until_ms;		/* monotonic ms */
} AdmissionPermit;

/* The portion of the due lanes that a step of a cycle takes; the next cycle goes on at once. */
typedef struct CyclePortion
{
	int64		due_by_ms;		/* monotonic ms: lanes due later are left to the next cycle */
	int64		began_ms;		/* likewise, when the first lane had its turn; 0: none had */
	int			turns;			/* of lanes so far */
} CyclePortion;

extern void admission_init(AdmissionPermit *worker_permit);
extern void admission_note_claimed(void);
extern void admission_note_unsent(void);
extern void admission_note_ended(void);
extern void admission_note_shortage(int64 now);
extern void admission_set_recovering(bool careful);
extern bool admission_is_recovering(void);
extern int	admission_in_flight(void);
extern int64 admission_short_until(void);
extern bool admission_has_room(const Lane *lane, const WawpInstance *instance);
extern bool admission_has_slot(int64 now);
extern bool admission_is_serving(int64 now);
extern int	admission_slots(int64 now);
extern bool admission_may_claim(int64 now);
extern int	admission_portion_left(CyclePortion *portion, int64 now);

#endif							/* WAWP_ADMISSION_H */
