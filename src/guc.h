/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Configuration parameters.
 *
 * IDENTIFICATION
 *	  src/guc.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GUC_H
#define WAWP_GUC_H

extern char *wawp_instance_name;	/* wawp.instance; "" when unset */
extern char *wawp_allowed_hosts;	/* wawp.allowed_hosts */
extern int	wawp_max_response_size; /* wawp.max_response_size, in kB */

extern void guc_init(void);

#endif							/* WAWP_GUC_H */
