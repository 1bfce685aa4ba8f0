/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  Permits by the pace of an instance, for the worker and for sessions.
 *
 * IDENTIFICATION
 *	  src/throttle/budget.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_BUDGET_H
#define WAWP_BUDGET_H

#include "client/instance.h"
#include "throttle/limiter.h"

/* A group that may have a pace of its own. */
typedef struct BudgetGroup
{
	const char *jid;			/* NULL: no group */
	double		adds_per_minute;	/* 0 or below: no pace of its own */
} BudgetGroup;

/* Permits taken from the limiter; given back if the requests provably did not leave. */
typedef struct BudgetPermit
{
	int			granted;
	int64		next_at;		/* monotonic us: when the next may leave; 0 when all was granted */
	LimiterKey	key;
	LimiterGrant grant;
	bool		has_group;		/* permits of the group were taken as well */
	LimiterKey	group_key;
	LimiterGrant group_grant;
} BudgetPermit;

extern LimiterKey budget_key(const WawpInstance *instance, LimiterKind kind);
extern LimiterKey budget_group_key(const WawpInstance *instance, const char *group);
extern PaceRate budget_add_rate(const WawpInstance *instance, int halvings);
extern BudgetPermit budget_take_adds(const WawpInstance *instance, int halvings, const BudgetGroup *group, bool drips, int wanted);
extern int	budget_adds_now(const WawpInstance *instance, int halvings, const BudgetGroup *group, int64 *next_at);
extern BudgetPermit budget_take_invite(const WawpInstance *instance);
extern BudgetPermit budget_take_check(const WawpInstance *instance);
extern bool budget_check_is_free(const WawpInstance *instance);
extern BudgetPermit budget_take_read(const WawpInstance *instance, bool is_worker);
extern void budget_note_left(const BudgetPermit *permit, int count);
extern void budget_give_back(const BudgetPermit *permit, int count);
extern void budget_put_off(const BudgetPermit *permit);

#endif							/* WAWP_BUDGET_H */
