/*-------------------------------------------------------------------------
 *
 * account_limits.c
 *	  Limits that WhatsApp has set to an account, as its session tells them.
 *
 * Pure.  WAHA has them since 2026.8.1 in "me" of session info and of every
 * event, and in "data" of session.status.  Both concern messages to people who
 * never wrote to us, which an invitation is: additions go on.
 *
 *	me.reachoutTimelock {enforcementType, isActive, timeEnforcementEnds}
 *	me.messageCapping	{cappingStatus, totalQuota, usedQuota, cycleEnd, ...}
 *
 * A missing or null member says nothing: it is neither a limit nor the end of one.
 *
 * IDENTIFICATION
 *	  src/protocol/account_limits.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/account_limits.h"
#include "protocol/wire_time.h"

/* An end beyond that is not believed. */
#define LONGEST_DAYS 400

/* Return an object of that name in "me", in "data" or in the session itself; NULL if there is none. */
static const JsonNode *
limits_member(const JsonNode *session, const char *name)
{
	const JsonNode *const places[] = {json_node_get(session, "me"), json_node_get(session, "data"), session};

	for (size_t i = 0; i < lengthof(places); i++)
	{
		const JsonNode *node = json_node_get(places[i], name);

		if (json_node_is(node, JSON_KIND_OBJECT))
			return node;
	}
	return NULL;
}

/* Return the state that an object messageCapping tells. */
static AccountCapping
limits_capping(const JsonNode *capping)
{
	static const char *const keys[] = {"cappingStatus", "status", NULL};
	const char *word = json_node_text(json_node_any(capping, keys));
	int			quota;

	if (word == NULL || pg_strcasecmp(word, "NONE") == 0)
		return CAPPING_NONE;
	if (json_node_int(json_node_get(capping, "totalQuota"), &quota) && quota < 0)
		return CAPPING_NONE;
	return pg_strcasecmp(word, "CAPPED") == 0 ? CAPPING_CAPPED : CAPPING_WARNED;
}

/* Read the limits in session info or in the payload of session.status. */
AccountLimits
account_limits_read(const JsonNode *session)
{
	static const char *const ends[] = {"timeEnforcementEnds", "until", NULL};
	const JsonNode *lock = limits_member(session, "reachoutTimelock");
	const JsonNode *capping = limits_member(session, "messageCapping");
	AccountLimits limits = {0};

	limits.tells_timelock = lock != NULL;
	limits.tells_capping = capping != NULL;
	limits.is_timelocked = json_node_is(json_node_get(lock, "isActive"), JSON_KIND_TRUE);
	if (limits.is_timelocked)
		limits.timelock_ends_ms = wire_time_ms(json_node_any(lock, ends));
	limits.capping = limits_capping(capping);
	if (limits.capping == CAPPING_CAPPED)
		limits.capping_ends_ms = wire_time_ms(json_node_get(capping, "cycleEnd"));
	return limits;
}

/* True if anything about limits was told. */
bool
account_limits_are_told(const AccountLimits *limits)
{
	return limits->tells_timelock || limits->tells_capping;
}

/* Return when a limit that holds now ends; after a day, when it is asked for again, if that is not told. */
static int64
limits_end(int64 ends_ms, int64 now_ms)
{
	if (ends_ms == 0 || ends_ms > now_ms + LONGEST_DAYS * WIRE_TIME_DAY_MS)
		return now_ms + WIRE_TIME_DAY_MS;
	return ends_ms > now_ms ? ends_ms : 0;
}

/*
 * Return the time in ms until which invitations, and messages to people who never
 * wrote to us, have to wait; 0 if they need not.
 */
int64
account_limits_until(const AccountLimits *limits, int64 now_ms)
{
	int64		lock = limits->is_timelocked ? limits_end(limits->timelock_ends_ms, now_ms) : 0;
	int64		cap = limits->capping == CAPPING_CAPPED ? limits_end(limits->capping_ends_ms, now_ms) : 0;

	return Max(lock, cap);
}

/* Return the limit in words; NULL if there is none. */
const char *
account_limits_reason(const AccountLimits *limits)
{
	if (limits->is_timelocked)
		return "WhatsApp does not let the account write to people who never wrote to it";
	if (limits->capping == CAPPING_CAPPED)
		return "the account has begun as many new chats as WhatsApp allows";
	return limits->capping == CAPPING_WARNED ? "the account is near the number of new chats that WhatsApp allows" : NULL;
}
