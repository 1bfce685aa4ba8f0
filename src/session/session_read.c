/*-------------------------------------------------------------------------
 *
 * session_read.c
 *	  Readings of a group and of ourselves that change nothing.
 *
 * Each is one request, of which nothing is recorded.  That one fails, or is not
 * understood, is no error here: the caller goes on knowing less.  Only cancel
 * raises an error.  Memory: that of the call (api.c).  No locks, no transactions.
 *
 * IDENTIFICATION
 *	  src/session/session_read.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "session/session_read.h"
#include "throttle/budget.h"

#include "compat.h"

/* Wait for a permit to read a group, in the instance's reads_per_minute. */
void
session_wait_to_read(const WawpInstance *instance)
{
	for (;;)
	{
		BudgetPermit permit = budget_take_read(instance, false);

		if (permit.granted > 0)
			return;
		clock_wait_until((permit.next_at + 999) / 1000);
	}
}

/* Take a permit for a question about one person, and wait for it until that time (monotonic); false if it does not come. */
bool
session_wait_to_check(const WawpInstance *instance, int64 until_ms)
{
	while (clock_monotonic_ms() <= until_ms)
	{
		BudgetPermit permit = budget_take_check(instance);

		if (permit.granted > 0)
			return true;
		if (permit.next_at / 1000 > until_ms)
			return false;
		clock_wait_until((permit.next_at + 999) / 1000);
	}
	return false;
}

/*
 * Read the member list into *list; false if none came.  An empty one is none: we
 * ourselves are in it.  *result is the answer.
 */
bool
session_fetch_list(const WawpInstance *instance, const char *group, WireMembers *list, const HttpResult **result)
{
	CallRequest request = {.endpoint = ENDPOINT_PARTICIPANTS, .group = group};

	*result = call_send(instance, &request);
	return http_is_success(*result) && wire_read_members((*result)->body, (*result)->body_len, list) && list->count > 0;
}

/* Likewise, in the pace of the instance as far as it goes. */
bool
session_read_list(const WawpInstance *instance, const char *group, WireMembers *list, const HttpResult **result)
{
	(void) budget_take_read(instance, false);
	return session_fetch_list(instance, group, list, result);
}

/* Read a group's description into *info; false if the API does not tell it.  Set *may_pass if it may another time. */
bool
session_fetch_group(const WawpInstance *instance, const char *group, WireGroup *info, bool *may_pass)
{
	CallRequest request = {.endpoint = ENDPOINT_GROUP_INFO, .group = group};
	const HttpResult *result;
	WireMembers members;
	bool		is_read;

	result = call_send(instance, &request);
	is_read = http_is_success(result) && wire_read_group(result->body, result->body_len, info, &members);
	*may_pass = !is_read && call_failed_for_now(result);
	return is_read;
}

/* Likewise, in the pace of the instance as far as it goes. */
bool
session_read_group(const WawpInstance *instance, const char *group, WireGroup *info, bool *may_pass)
{
	(void) budget_take_read(instance, false);
	return session_fetch_group(instance, group, info, may_pass);
}

/* Read who we are, and our session's state, into *session; false if the API does not tell them. */
bool
session_read_self(const WawpInstance *instance, WireSession *session)
{
	CallRequest request = {.endpoint = ENDPOINT_SESSION_INFO};
	const HttpResult *result = call_send(instance, &request);

	return http_is_success(result) && wire_read_session(result->body, result->body_len, session);
}

/* Return the LID of a person's number; invalid if the API does not know it. */
Jid
session_read_lid(const WawpInstance *instance, const Jid *person)
{
	CallRequest request = {
		.endpoint = ENDPOINT_LID_OF_PHONE,
		.path_value = pnstrdup(person->text, strcspn(person->text, "@"))
	};
	const HttpResult *result = call_send(instance, &request);
	Jid			none = {.kind = JID_INVALID};

	return http_is_success(result) ? wire_read_lid(result->body, result->body_len) : none;
}
