/*-------------------------------------------------------------------------
 *
 * events.h
 *	  Applies events that the gateway has sent.
 *
 * IDENTIFICATION
 *	  src/worker/events.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_EVENTS_H
#define WAWP_EVENTS_H

struct Holds;

extern void events_note_arrival(void);
extern bool events_apply(struct Holds *holds);
extern int64 events_next_ms(void);

#endif							/* WAWP_EVENTS_H */
