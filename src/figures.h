/*-------------------------------------------------------------------------
 *
 * figures.h
 *	  What a monitoring role sees: figures, never people.
 *
 * IDENTIFICATION
 *	  src/figures.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_FIGURES_H
#define WAWP_FIGURES_H

extern bool figures_for_monitor(void);

#endif							/* WAWP_FIGURES_H */
