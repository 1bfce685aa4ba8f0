/*-------------------------------------------------------------------------
 *
 * metrics.h
 *	  What a monitoring role sees: figures, never people.
 *
 * IDENTIFICATION
 *	  src/queue/metrics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_METRICS_H
#define WAWP_METRICS_H

extern bool figures_for_monitor(void);

#endif							/* WAWP_METRICS_H */
