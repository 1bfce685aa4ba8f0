/*-------------------------------------------------------------------------
 *
 * account_limits.h
 *	  Limits that WhatsApp has set to an account, as its session tells them.
 *
 * IDENTIFICATION
 *	  src/protocol/account_limits.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ACCOUNT_LIMITS_H
#define WAWP_ACCOUNT_LIMITS_H

#include "protocol/json.h"

/* The state of an account beside its number of new chats. */
typedef enum AccountCapping
{
	CAPPING_NONE,
	CAPPING_WARNED,				/* also any word that is not known */
	CAPPING_CAPPED
} AccountCapping;

/* Zeros where the session says nothing.  Times are in ms since 1970. */
typedef struct AccountLimits
{
	bool		is_timelocked;	/* no messages to people who never wrote to us */
	int64		timelock_ends_ms;	/* 0: not told */
	AccountCapping capping;
	int64		capping_ends_ms;	/* 0: not told */
	bool		tells_timelock; /* whether there is one is told, ... */
	bool		tells_capping;	/* ... and the state beside the number of new chats */
} AccountLimits;

extern AccountLimits account_limits_read(const JsonNode *session);
extern void account_limits_update(AccountLimits *known, const AccountLimits *told);
extern void account_limits_set_ends(AccountLimits *limits, int64 told_ms);
extern bool account_limits_are_told(const AccountLimits *limits);
extern int64 account_limits_until(const AccountLimits *limits, int64 now_ms);
extern const char *account_limits_reason(const AccountLimits *limits);

#endif							/* WAWP_ACCOUNT_LIMITS_H */
