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
	PersonRest	rest;
	bool		is_complete;
} OpenErasure;

extern void erasure_open(const Person *person);
extern bool erasure_is_open(void);
extern bool erasure_is_open_for(const char *jid);
extern void erasure_begin_anew(void);
extern void erasure_adopt(void);
extern bool erasure_note_writers(void);
extern bool erasure_next(OpenErasure *erasure, int64 behind);
extern void erasure_go_on(const OpenErasure *erasure);
extern void erasure_close(const OpenErasure *erasure);

#endif							/* WAWP_ERASURE_H */
