/*-------------------------------------------------------------------------
 *
 * erasure.h
 *	  Erasures that the worker completes.
 *
 * IDENTIFICATION
 *	  src/tables/erasure.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ERASURE_H
#define WAWP_ERASURE_H

#include "tables/person_data.h"

/* An erasure whose last writer has ended. */
typedef struct OpenErasure
{
	Person		person;
	const char *since;			/* the oldest transaction whose rows it may have missed, an xid */
} OpenErasure;

extern void erasure_open(const Person *person);
extern bool erasure_is_open(void);
extern void erasure_note_writers(void);
extern bool erasure_next(OpenErasure *erasure);
extern void erasure_close(const OpenErasure *erasure);

#endif							/* WAWP_ERASURE_H */
