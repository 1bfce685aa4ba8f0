/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Configuration parameters.
 *
 * IDENTIFICATION
 *	  src/base/guc.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_GUC_H
#define WAWP_GUC_H

/* Values of wawp.after_promotion. */
typedef enum AfterPromotion
{
	AFTER_PROMOTION_SERVE,
	AFTER_PROMOTION_HOLD
} AfterPromotion;

extern char *wawp_instance_name;	/* wawp.instance; "" when unset */
extern char *wawp_allowed_hosts;	/* wawp.allowed_hosts */
extern int	wawp_max_response_size; /* wawp.max_response_size, in kB */
extern int	wawp_connection_max_age;	/* wawp.connection_max_age, in seconds */
extern char *wawp_actor;		/* wawp.actor; "" when unset */
extern bool wawp_worker_on;		/* wawp.worker */
extern bool wawp_notify;		/* wawp.notify */
extern char *wawp_site;			/* wawp.site; "" when unset */
extern int	wawp_after_promotion;	/* wawp.after_promotion */
extern int	wawp_max_in_flight; /* wawp.max_in_flight */
extern int	wawp_max_queued_per_role;	/* wawp.max_queued_per_role; 0: no limit */
extern int	wawp_member_list_cache; /* wawp.member_list_cache, in kB */
extern int	wawp_max_holds_per_role;	/* wawp.max_holds_per_role; 0: no limit */
extern int	wawp_max_limiters;	/* wawp.max_limiters */
extern int	wawp_audit_retention;	/* wawp.audit_retention, in minutes; 0 = keep */
extern int	wawp_audit_timeout; /* wawp.audit_timeout, in ms */
extern int	wawp_inferred_suppression;	/* wawp.inferred_suppression, in minutes; 0 = none */
extern int	wawp_retention;		/* wawp.retention, in minutes; 0 = keep */

extern void guc_init(void);

#endif							/* WAWP_GUC_H */
