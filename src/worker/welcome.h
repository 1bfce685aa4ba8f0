/*-------------------------------------------------------------------------
 *
 * welcome.h
 *	  Messages that welcome who has joined a group.
 *
 * IDENTIFICATION
 *	  src/worker/welcome.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WELCOME_H
#define WAWP_WELCOME_H

#include "worker/attempt.h"

struct Holds;

extern void welcome_due(struct Holds *holds, bool rescan);
extern void welcome_note_joined(const LaneKey *lane);
extern int64 welcome_next_at(void);
extern void welcome_record(const Flight *flight, const char *kind);
extern void welcome_put_off(void);
extern void welcome_repeat(Flight *flight);

#endif							/* WAWP_WELCOME_H */
