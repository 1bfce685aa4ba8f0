/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  What the pace of an instance allows, for the worker and for sessions.
 *
 * IDENTIFICATION
 *	  src/budget.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_BUDGET_H
#define WAWP_BUDGET_H

#include "hold.h"
#include "instance.h"
#include "limiter.h"

extern LimiterKey budget_key(const WawpInstance *instance, LimiterKind kind);
extern PaceRate budget_add_rate(const WawpInstance *instance, const Hold *on_instance);
extern LimiterGrant budget_take_for_worker(const WawpInstance *instance, const Hold *on_instance);
extern LimiterGrant budget_take_by_hand(const WawpInstance *instance, const Hold *on_instance, int wanted);
extern LimiterGrant budget_take_invite(const WawpInstance *instance);
extern LimiterGrant budget_take_check(const WawpInstance *instance);

#endif							/* WAWP_BUDGET_H */
