/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  Figures for monitoring roles, without people.
 *
 * IDENTIFICATION
 *	  src/queue/metrics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_METRICS_H
#define WAWP_METRICS_H

extern bool metrics_for_monitor(void);

#endif							/* WAWP_METRICS_H */
