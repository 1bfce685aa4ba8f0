/*-------------------------------------------------------------------------
 *
 * isolation.h
 *	  What fails in a cycle of the drain holds up nothing else.
 *
 * IDENTIFICATION
 *	  src/isolation.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ISOLATION_H
#define WAWP_ISOLATION_H

extern bool isolation_is_on(void);
extern bool isolation_run(void (*work) (void *), void *arg);
extern void isolation_begin_cycle(void);
extern void isolation_committed(void);
extern void isolation_aborted(void);

#endif							/* WAWP_ISOLATION_H */
