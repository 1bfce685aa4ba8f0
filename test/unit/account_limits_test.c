/*
 * account_limits_test.c
 *	  Times, account limits and requests to join, in each form that engines give them.
 */
#include "postgres_fe.h"

#include "protocol/account_limits.h"
#include "protocol/outcome.h"
#include "protocol/wire.h"
#include "protocol/wire_time.h"
#include "tap.h"

#define NOW_MS INT64CONST(1796000000000)

static const JsonNode *
parsed(const char *text)
{
	return json_node_parse(text, strlen(text));
}

static void
test_times(void)
{
	static const struct
	{
		const char *text;
		int64		ms;
		const char *what;
	}			cases[] =
	{
		{"1796086400", INT64CONST(1796086400000), "seconds"},
		{"1796086400.25", INT64CONST(1796086400250), "seconds with a fraction"},
		{"\"1796086400\"", INT64CONST(1796086400000), "seconds as a text"},
		{"1796000000123", INT64CONST(1796000000123), "milliseconds"},
		{"\"2026-11-28T09:00:00Z\"", INT64CONST(1795856400000), "RFC 3339"},
		{"\"2026-11-28T11:30:00.250+02:30\"", INT64CONST(1795856400250), "RFC 3339 with a fraction and an offset"},
		{"\"2028-02-29T00:00:00z\"", INT64CONST(1835395200000), "a leap day"},
		{"0", 0, "0"},
		{"-1", 0, "-1"},
		{"1e400", 0, "a number beyond all"},
		{"\"nan\"", 0, "no number"},
		{"null", 0, "null"},
		{"true", 0, "a truth"},
		{"\"\"", 0, "an empty text"},
		{"\"soon\"", 0, "a word"},
		{"\"2026-13-28T09:00:00Z\"", 0, "a thirteenth month"},
		{"\"2026-11-28T09:00:00\"", 0, "no offset"},
		{"\"0001-01-01T00:00:00Z\"", 0, "Go's zero time"},
		{"631152000", 0, "1990"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
		ok(wire_time_ms(parsed(cases[i].text)) == cases[i].ms, "time: %s", cases[i].what);
	ok(wire_time_ms(NULL) == 0, "time: none at all");
}

static void
test_limits(void)
{
	static const struct
	{
		const char *session;
		int64		until_s;	/* after NOW_MS; 0: nothing waits */
		const char *what;
	}			cases[] =
	{
		{"{\"status\":\"WORKING\",\"me\":{\"id\":\"15550000001@c.us\"}}", 0, "a session that says nothing"},
		{"{\"me\":{\"reachoutTimelock\":null,\"messageCapping\":null}}", 0, "nulls"},
		{"{\"me\":null}", 0, "nobody"},
		{"{\"me\":{\"reachoutTimelock\":{\"enforcementType\":\"NEW_WORD\",\"isActive\":true,\"timeEnforcementEnds\":1796086400}}}", 86400, "a timelock until a second"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":null}}}", 86400, "a timelock without an end"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":1795999999}}}", 0, "a timelock whose end has passed"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":4102444800}}}", 86400, "a timelock of a hundred years"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":true,\"until\":\"2026-11-30T20:53:20Z\"}}}", 72000, "an older form, as RFC 3339"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":false,\"timeEnforcementEnds\":1796086400}}}", 0, "a timelock that is lifted"},
		{"{\"data\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":1796003600}}}", 3600, "a timelock in data"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":false}},\"data\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":1796003600}}}", 0, "me, which is newer than data"},
		{"{\"me\":{\"messageCapping\":{\"cappingStatus\":\"CAPPED\",\"totalQuota\":30,\"usedQuota\":30,\"cycleEnd\":1796001000}}}", 1000, "an account at its cap"},
		{"{\"me\":{\"messageCapping\":{\"cappingStatus\":\"CAPPED\",\"totalQuota\":-1,\"cycleEnd\":1796001000}}}", 0, "a cap without a quota"},
		{"{\"me\":{\"messageCapping\":{\"cappingStatus\":\"SECOND_WARNING\",\"cycleEnd\":1796001000}}}", 0, "a warning"},
		{"{\"me\":{\"messageCapping\":{\"cappingStatus\":\"SOMETHING_NEW\",\"cycleEnd\":1796001000}}}", 0, "a word that is not known"},
		{"{\"me\":{\"messageCapping\":{\"cappingStatus\":\"CAPPED\",\"cycleEnd\":1796001000},\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":1796005000}}}", 5000, "the later of both"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		AccountLimits limits = account_limits_read(parsed(cases[i].session));
		int64		until = account_limits_until(&limits, NOW_MS);

		is_int((long) (until ? (until - NOW_MS) / 1000 : 0), (long) cases[i].until_s, cases[i].what);
		ok((until == 0) || account_limits_reason(&limits) != NULL, "... and there are words for it");
	}
}

/* Limits of forms that may not be understood: "-" tells nothing, 1 and 0 that there is one or none. */
static void
test_forms(void)
{
	static const struct
	{
		const char *session;
		const char *timelock;
		const char *capping;
	}			forms[] =
	{
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":true},\"messageCapping\":{\"cappingStatus\":\"CAPPED\"}}}", "1", "1"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":false},\"messageCapping\":{\"cappingStatus\":\"NONE\"}}}", "0", "0"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":\"true\"},\"messageCapping\":{\"status\":\"capped\"}}}", "1", "1"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":1},\"messageCapping\":{\"totalQuota\":-1}}}", "1", "0"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":0},\"messageCapping\":{\"cappingStatus\":null}}}", "0", "-"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":\"False\"},\"messageCapping\":{}}}", "0", "-"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":null},\"messageCapping\":{\"totalQuota\":30}}}", "-", "-"},
		{"{\"me\":{\"reachoutTimelock\":{\"isActive\":\"UNTIL_MONDAY\"},\"messageCapping\":{\"cappingStatus\":[]}}}", "-", "-"},
		{"{\"me\":{\"reachoutTimelock\":{},\"messageCapping\":\"CAPPED\"}}", "-", "-"},
	};

	for (size_t i = 0; i < lengthof(forms); i++)
	{
		AccountLimits limits = account_limits_read(parsed(forms[i].session));

		is_text(limits.tells_timelock ? psprintf("%d", limits.is_timelocked) : "-", forms[i].timelock, psprintf("timelock: %s", forms[i].session));
		is_text(limits.tells_capping ? psprintf("%d", limits.capping == CAPPING_CAPPED) : "-", forms[i].capping, psprintf("capping: %s", forms[i].session));
	}
}

/* What was not told stays as it is known, and ends. */
static void
test_updates(void)
{
	AccountLimits known = {0};
	AccountLimits capped = account_limits_read(parsed("{\"me\":{\"messageCapping\":{\"cappingStatus\":\"CAPPED\"}}}"));
	AccountLimits unlocked = account_limits_read(parsed("{\"me\":{\"reachoutTimelock\":{\"isActive\":false},\"messageCapping\":null}}"));
	AccountLimits uncapped = account_limits_read(parsed("{\"me\":{\"messageCapping\":{\"cappingStatus\":\"NONE\"}}}"));

	account_limits_set_ends(&capped, NOW_MS);
	account_limits_update(&known, &capped);
	account_limits_update(&known, &unlocked);
	ok(known.tells_timelock && !known.is_timelocked, "what was told is known");
	ok(account_limits_until(&known, NOW_MS + 1000) == NOW_MS + WIRE_TIME_DAY_MS, "a cap of which the next one tells nothing stays, to the end that is taken for its own");
	ok(account_limits_until(&known, NOW_MS + WIRE_TIME_DAY_MS) == 0, "... and not for longer");
	account_limits_update(&known, &uncapped);
	ok(account_limits_until(&known, NOW_MS + 1000) == 0, "until it is told that there is none");
}

/* The words of a limit, by the session's whole answer. */
static void
test_session(void)
{
	const char *body = "{\"name\":\"t1\",\"status\":\"WORKING\",\"me\":{\"id\":\"15550000001@c.us\",\"messageCapping\":{\"cappingStatus\":\"FIRST_WARNING\"}}}";
	const char *passkey = "{\"name\":\"t1\",\"status\":\"PASSKEY_CONFIRMATION_REQUIRED\",\"data\":{\"code\":\"x\"}}";
	WireSession session;

	ok(wire_read_session(body, strlen(body), &session), "a session is read");
	is_int(session.limits.capping, CAPPING_WARNED, "with its limits");
	is_text(account_limits_reason(&session.limits), "the account is near the number of new chats that WhatsApp allows", "and a warning has words");
	ok(wire_session_is_usable(&session), "with a warning it is usable");
	ok(wire_read_session(passkey, strlen(passkey), &session), "a state of 2026.8 is read");
	ok(!wire_session_is_usable(&session) && !wire_session_is_starting(&session), "and is not usable, nor will it be by itself");
}

static WireJoinRequests
requests_in(const char *body)
{
	WireJoinRequests requests = {.count = -1};

	if (!wire_read_join_requests(body, strlen(body), &requests))
		requests.count = -1;
	return requests;
}

static void
test_join_requests(void)
{
	static const struct
	{
		const char *body;
		const char *jid;		/* of the first; NULL: invalid */
		const char *method;
		int64		at_ms;
		const char *what;
	}			cases[] =
	{
		{"[{\"requesterId\":\"900000000000016@lid\",\"requesterPn\":\"15551110016@c.us\",\"requestMethod\":\"non_admin_add\",\"timestamp\":1796000000}]",
			"15551110016@c.us", "non_admin_add", NOW_MS, "NOWEB, by number"},
		{"[{\"requesterId\":\"900000000000016@lid\",\"timestamp\":1796000000}]", "900000000000016@lid", NULL, NOW_MS, "GOWS, no number, no method"},
		{"[{\"requesterId\":\"15551110016@c.us\",\"addedById\":\"15551110017@c.us\",\"requestMethod\":\"InviteLink\",\"timestamp\":0}]",
			"15551110016@c.us", "invite_link", 0, "WEBJS, 0 is no time"},
		{"{\"data\":[{\"id\":{\"_serialized\":\"15551110016@c.us\"},\"t\":1796000000}]}", "15551110016@c.us", NULL, NOW_MS, "in data"},
		{"[{\"jid\":\"900000000000016@lid\",\"phone_number\":\"15551110016@s.whatsapp.net\",\"request_method\":\"linked_group_join\",\"request_time\":\"1796000000\"}]",
			"15551110016@c.us", "linked_group_join", NOW_MS, "Baileys"},
		{"[{\"JID\":\"15551110016@s.whatsapp.net\",\"RequestedAt\":\"2026-11-30T00:53:20Z\"}]", "15551110016@c.us", NULL, NOW_MS, "whatsmeow"},
		{"[{\"requesterId\":\"162122214421234\",\"requestMethod\":\"something_new\"}]", NULL, "something_new", 0, "digits of an unknown kind name nobody"},
		{"[{\"requesterId\":\"900000000000016@newserver\"}]", NULL, NULL, 0, "a server that is not known"},
		{"[\"15551110016@c.us\"]", "15551110016@c.us", NULL, 0, "a plain JID"},
		{"[null]", NULL, NULL, 0, "nothing"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		WireJoinRequests requests = requests_in(cases[i].body);
		WireJoinRequest *first = requests.requests;

		ok(requests.count == 1, "join requests: %s", cases[i].what);
		if (requests.count != 1)
			continue;
		is_text(first->jid.kind == JID_INVALID ? "-" : first->jid.text, cases[i].jid ? cases[i].jid : "-", "... the person");
		is_text(first->method ? first->method : "-", cases[i].method ? cases[i].method : "-", "... the method");
		ok(first->at_ms == cases[i].at_ms, "... the time");
	}
	is_int(requests_in("[]").count, 0, "join requests: none");
	is_int(requests_in("{\"data\":[]}").count, 0, "join requests: none, in data");
	is_int(requests_in("{\"data\":{\"0\":{\"requesterId\":\"15551110016@c.us\"}}}").count, 1, "join requests: an array as an object of places");
	is_int(requests_in("{\"ok\":true}").count, -1, "ok is no list of requests");
	is_int(requests_in("{\"statusCode\":500,\"message\":\"x\",\"data\":[]}").count, -1, "an error is no list of requests");
	is_int(requests_in("null").count, -1, "null is no list of requests");
	is_int(requests_in("").count, -1, "an empty body is no list of requests");
}

static bool
members_add(const char *body)
{
	WireGroup	group;
	WireMembers members;

	return wire_read_group(body, strlen(body), &group, &members) && group.members_add;
}

static void
test_add_mode(void)
{
	ok(members_add("{\"JID\":\"120363012345678901@g.us\",\"MemberAddMode\":\"all_member_add\"}"), "whatsmeow: every member adds");
	ok(members_add("{\"id\":\"120363012345678901@g.us\",\"memberAddMode\":true}"), "Baileys: every member adds");
	ok(members_add("{\"id\":\"120363012345678901@g.us\",\"groupMetadata\":{\"memberAddMode\":\"all_member_add\"}}"), "WEBJS: every member adds");
	ok(!members_add("{\"JID\":\"120363012345678901@g.us\",\"MemberAddMode\":\"admin_add\"}"), "whatsmeow: only admins add");
	ok(!members_add("{\"id\":\"120363012345678901@g.us\",\"memberAddMode\":false}"), "Baileys: only admins add");
	ok(!members_add("{\"id\":\"120363012345678901@g.us\"}"), "a group that does not say");
}

int
main(void)
{
	test_times();
	test_limits();
	test_forms();
	test_updates();
	test_session();
	test_join_requests();
	test_add_mode();
	return done_testing();
}
