/*
 * wire_test.c
 *	  Requests as they are written, and answers that nobody would write: every
 *	  reader is fed each sample cut at every byte, and with bytes changed, under
 *	  the sanitizers.
 */
#include "postgres_fe.h"

#include "outcome.h"
#include "tap.h"
#include "wire.h"

#define MUTATIONS 4000

static const char *const samples[] = {
	"{\"ok\":true}",
	"{\"15551230403@c.us\":{\"code\":403,\"message\":\"m\",\"isInviteV4Sent\":true},\"1@c.us\":{\"code\":\"200\"}}",
	"AddParticipantsError: You have no admin rights to add a participant to a group",
	"[{\"status\":\"403\",\"jid\":\"15551230403@s.whatsapp.net\",\"content\":{\"tag\":\"participant\",\"attrs\":{\"error\":\"403\",\"addressable\":\"false\"},\"content\":[{\"tag\":\"add_request\",\"attrs\":{\"code\":\"x\",\"expiration\":\"1\"}}]}}]",
	"[{\"JID\":\"1234567@lid\",\"PhoneNumber\":\"15551230403@s.whatsapp.net\",\"LID\":\"1234567@lid\",\"Error\":403,\"AddRequest\":{\"Code\":\"c\",\"Expiration\":\"2026-01-01T00:00:00Z\"},\"IsAdmin\":true}]",
	"{\"added\":[\"15551230403@c.us\"],\"failed\":[{\"id\":\"15551230404@c.us\",\"reason\":404}]}",
	"{\"statusCode\":500,\"exception\":{\"message\":\"info query returned status 400: bad-request\",\"data\":400},\"request\":{\"query\":{}}}",
	"{\"id\":{\"_serialized\":\"120363012345678901@g.us\"},\"groupMetadata\":{\"subject\":\"S\",\"participants\":[{\"id\":{\"server\":\"c.us\",\"user\":\"15551230403\",\"_serialized\":\"15551230403@c.us\"},\"isAdmin\":false}]}}",
	"{\"120363012345678901@g.us\":{\"id\":\"120363012345678901@g.us\",\"subject\":\"S\",\"size\":3}}",
	"{\"name\":\"n\",\"status\":\"WORKING\",\"me\":{\"id\":\"15551230403@c.us\",\"lid\":\"123456@lid\",\"pushName\":\"\\u00e9\\ud83d\\ude00\"}}",
	"{\"numberExists\":true,\"chatId\":\"15551230403@c.us\"}",
	"{\"inviteCode\":\"https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV?x=1\"}",
	"{\"key\":{\"id\":\"3EB0\",\"fromMe\":true},\"lid\":\"123456@lid\"}",
};

static void
read_all(const char *body, size_t len)
{
	WireMembers members;
	WireGroups	groups;
	WireGroup	group;
	WireSession session;
	Jid			jid;
	WireAnswer	answer = wire_read_answer(body, len);

	for (int i = 0; i < answer.npeople; i++)
		outcome_of_person(WAWP_OP_ADD, answer.people[i].code, answer.people[i].inner_code,
						  answer.people[i].text, true);
	outcome_of_refusal(WAWP_OP_ADD, 500, answer.engine_code, answer.code, answer.text, answer.is_json);
	wire_read_members(body, len, &members);
	wire_read_group(body, len, &group, &members);
	wire_read_groups(body, len, &groups);
	wire_read_created(body, len);
	wire_read_invite(body, len);
	wire_read_session(body, len, &session);
	wire_read_exists(body, len, &jid);
	wire_read_lid(body, len);
	wire_read_message_id(body, len);
}

/* The bytes exactly, so that a read past the end is seen. */
static void
read_exactly(const char *body, size_t len)
{
	char	   *copy = malloc(len ? len : 1);

	memcpy(copy, body, len);
	read_all(copy, len);
	free(copy);
}

static void
test_broken_answers(void)
{
	srandom(1);
	for (size_t i = 0; i < lengthof(samples); i++)
	{
		size_t		len = strlen(samples[i]);
		char	   *copy = pstrdup(samples[i]);

		for (size_t cut = 0; cut <= len; cut++)
			read_exactly(samples[i], cut);
		for (int k = 0; k < MUTATIONS; k++)
		{
			memcpy(copy, samples[i], len);
			for (int n = random() % 3; n >= 0; n--)
				copy[random() % len] = (char) random();
			read_exactly(copy, len);
		}
		ok(true, "sample %zu survives %zu cuts and %d mutations", i + 1, len, MUTATIONS);
	}
}

static void
test_requests(void)
{
	StringInfoData out;
	static const char *const people[] = {"15551234567@c.us", "1\"2"};
	const WireField fields[] = {{"id", "a b/ü@g.us"}, {"none", NULL}, {"k", "v&\"\n"}};

	initStringInfo(&out);
	wire_put_query(&out, fields, 3);
	is_text(out.data, "?id=a%20b%2F%C3%BC%40g.us&k=v%26%22%0A", "a query is percent-encoded");
	resetStringInfo(&out);
	wire_put_body(&out, fields + 2, 1, people, 2);
	is_text(out.data, "{\"k\":\"v&\\\"\\u000a\",\"participants\":[{\"id\":\"15551234567@c.us\"},{\"id\":\"1\\\"2\"}]}",
			"participants are objects");
	resetStringInfo(&out);
	wire_put_body(&out, fields, 0, NULL, 0);
	is_text(out.data, "{}", "a body without anything is an object");
	resetStringInfo(&out);
	wire_put_body(&out, fields, 0, people, 0);
	is_text(out.data, "{\"participants\":[]}", "nobody is an empty list");
}

static void
test_invites(void)
{
	static const char *const forms[] = {
		"ABCDEFGHIJKLMNOPQRSTUV", "\"ABCDEFGHIJKLMNOPQRSTUV\"", "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV",
		"{\"code\":\"ABCDEFGHIJKLMNOPQRSTUV\"}", "{\"data\":{\"invite_code\":\"ABCDEFGHIJKLMNOPQRSTUV\"}}",
		"http://www.chat.whatsapp.com/invite/ABCDEFGHIJKLMNOPQRSTUV?a=b", "ABCDEFGHIJKLMNOPQRSTUV\n"
	};
	static const char *const none[] = {"", "short", "not a code at all", "{\"ok\":true}", "<html>", "{\"error\":\"x\",\"link\":\"ABCDEFGHIJKLMNOPQRSTUV\"}",
		"Unauthorized", "wawp_upstream_error", "{\"code\":\"invalid_session\",\"message\":\"Session not found\"}",
		"{\"code\":\"quota_reached\"}"
	};

	for (size_t i = 0; i < lengthof(forms); i++)
		is_text(wire_read_invite(forms[i], strlen(forms[i])), "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV",
				"an invite code in one of its forms");
	for (size_t i = 0; i < lengthof(none); i++)
		ok(wire_read_invite(none[i], strlen(none[i])) == NULL, "no invite code in text %zu", i + 1);
}

static WireAnswer
answer_of(const char *body)
{
	return wire_read_answer(body, strlen(body));
}

static void
test_errors_under_success(void)
{
	WireMembers members;
	WireGroups	groups;
	WireSession session;
	const char *error = "{\"success\":false,\"message\":\"Session not found\",\"data\":[]}";
	const char *failed = "{\"name\":\"n\",\"status\":\"FAILED\",\"me\":null}";

	ok(!wire_read_members(error, strlen(error), &members), "an error is no empty member list");
	ok(!wire_read_groups(error, strlen(error), &groups), "nor an empty list of groups");
	ok(wire_read_session(failed, strlen(failed), &session), "a session that failed is a session");
	is_int(answer_of("{\"success\":true,\"error\":[]}").kind, WIRE_OK, "an empty array is no error");
	is_int(answer_of("{\"ok\":true,\"participants\":[{\"id\":\"15551234567@c.us\"}]}").kind, WIRE_OK,
		   "who is only named has no verdict");
	is_int(answer_of("{\"success\":false,\"participants\":[{\"id\":\"15551234567@c.us\"}]}").kind, WIRE_REFUSED,
		   "and does not hide a refusal");
	is_text(answer_of("{\"code\":\"invalid_session\",\"participants\":[{\"id\":\"1555123@c.us\",\"code\":1}]}").code,
			"invalid_session", "an envelope is read beside people");
}

int
main(void)
{
	test_requests();
	test_invites();
	test_errors_under_success();
	test_broken_answers();
	return done_testing();
}
