/*-------------------------------------------------------------------------
 *
 * erasure_rest.h
 *	  Completes erasures.
 *
 * IDENTIFICATION
 *	  src/worker/erasure_rest.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ERASURE_REST_H
#define WAWP_ERASURE_REST_H

extern int64 erasure_rest_next_ms(void);
extern void erasure_rest_put_off(void);
extern bool erasure_rest_complete(void);

#endif							/* WAWP_ERASURE_REST_H */
