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
 * A missing or null member says nothing: it is neither a limit nor the end of one,
 * and neither is one of a form that is not understood.  What one source does not
 * tell, another may have told before: account_limits_update() keeps that.
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

/* Read a flag, which may be written as a text or a number, into *value; false if it is none. */
static bool
limits_flag(const JsonNode *node, bool *value)
{
	static const struct
	{
		const char *text;
		bool		value;
	}			texts[] = {{"true", true}, {"1", true}, {"false", false}, {"0", false}};
	const char *text = json_node_text(node);

	*value = json_node_is(node, JSON_KIND_TRUE);
	if (*value || json_node_is(node, JSON_KIND_FALSE))
		return true;
	for (size_t i = 0; text && i < lengthof(texts); i++)
		if (pg_strcasecmp(text, texts[i].text) == 0)
		{
			*value = texts[i].value;
			return true;
		}
	return false;
}

/* Read the state that an object messageCapping tells into *state; false if it tells none. */
static bool
limits_capping(const JsonNode *capping, AccountCapping *state)
{
	static const char *const keys[] = {"cappingStatus", "status", NULL};
	const char *word = json_node_text(json_node_any(capping, keys));
	int			quota;

	*state = CAPPING_NONE;
	if (json_node_int(json_node_get(capping, "totalQuota"), &quota) && quota < 0)
		return true;
	if (word && pg_strcasecmp(word, "NONE") != 0)
		*state = pg_strcasecmp(word, "CAPPED") == 0 ? CAPPING_CAPPED : CAPPING_WARNED;
	return word != NULL;
}

/* Read the limits in session info or in the payload of session.status. */
AccountLimits
account_limits_read(const JsonNode *session)
{
	static const char *const ends[] = {"timeEnforcementEnds", "until", NULL};
	const JsonNode *lock = limits_member(session, "reachoutTimelock");
	const JsonNode *capping = limits_member(session, "messageCapping");
	AccountLimits limits = {0};

	limits.tells_timelock = limits_flag(json_node_get(lock, "isActive"), &limits.is_timelocked);
	limits.tells_capping = limits_capping(capping, &limits.capping);
	if (limits.is_timelocked)
		limits.timelock_ends_ms = wire_time_ms(json_node_any(lock, ends));
	if (limits.capping == CAPPING_CAPPED)
		limits.capping_ends_ms = wire_time_ms(json_node_get(capping, "cycleEnd"));
	return limits;
}

/* Replace what is known of the limits by what was told of them; what was not told stays. */
void
account_limits_update(AccountLimits *known, const AccountLimits *told)
{
	if (told->tells_timelock)
	{
		known->tells_timelock = true;
		known->is_timelocked = told->is_timelocked;
		known->timelock_ends_ms = told->timelock_ends_ms;
	}
	if (told->tells_capping)
	{
		known->tells_capping = true;
		known->capping = told->capping;
		known->capping_ends_ms = told->capping_ends_ms;
	}
}

/* True if anything about limits was told. */
bool
account_limits_are_told(const AccountLimits *limits)
{
	return limits->tells_timelock || limits->tells_capping;
}

/* Return when a limit ends that was told at a time: a day later, when it is asked for again, if its end was not told. */
static int64
limits_told_end(int64 ends_ms, int64 told_ms)
{
	return ends_ms == 0 || ends_ms > told_ms + LONGEST_DAYS * WIRE_TIME_DAY_MS ? told_ms + WIRE_TIME_DAY_MS : ends_ms;
}

/* Give the limits that were told at a time the ends they are taken to have, so that those that are not told come, too. */
void
account_limits_set_ends(AccountLimits *limits, int64 told_ms)
{
	if (limits->is_timelocked)
		limits->timelock_ends_ms = limits_told_end(limits->timelock_ends_ms, told_ms);
	if (limits->capping == CAPPING_CAPPED)
		limits->capping_ends_ms = limits_told_end(limits->capping_ends_ms, told_ms);
}

/* Return when a limit ends; 0 if that is past. */
static int64
limits_end(int64 ends_ms, int64 now_ms)
{
	int64		end = limits_told_end(ends_ms, now_ms);

	return end > now_ms ? end : 0;
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
