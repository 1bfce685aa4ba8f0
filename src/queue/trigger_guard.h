/*-------------------------------------------------------------------------
 *
 * trigger_guard.h
 *	  Keeps membership triggers and their tables' columns together.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_guard.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TRIGGER_GUARD_H
#define WAWP_TRIGGER_GUARD_H

extern void trigger_guard_init(void);

#endif							/* WAWP_TRIGGER_GUARD_H */
