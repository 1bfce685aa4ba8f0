/*
 * wire_test.c
 *	  Requests as they are written, and answers of every known form.  Every reader
 *	  also reads each sample cut at every byte, and with bytes changed, under the
 *	  sanitizers.
 */
#include "postgres_fe.h"

#include "common/hashfn.h"
#include "protocol/member_list.h"
#include "protocol/outcome.h"
#include "protocol/wire.h"
#include "tap.h"

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
	Jid			lid;
	WireAnswer	answer = wire_read_answer(body, len);

	for (int i = 0; i < answer.npeople; i++)
		outcome_of_person(WAWP_OP_ADD, answer.people[i].code, answer.people[i].inner_code,
						  answer.people[i].text, true);
	outcome_of_refusal(WAWP_OP_ADD, 500, answer.engine_code, answer.code, answer.text, answer.is_json ? BODY_JSON : BODY_SENTENCE);
	wire_read_members(body, len, &members);
	wire_read_group(body, len, &group, &members);
	wire_read_groups(body, len, &groups);
	wire_read_created(body, len);
	wire_read_invite(body, len);
	wire_read_session(body, len, &session);
	wire_read_exists(body, len, &jid, &lid);
	wire_read_lid(body, len);
	wire_read_message_id(body, len);
}

/* Read a copy of exactly these bytes, so that ASan sees a read past the end. */
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
	is_text(out.data, "{}", "a body without fields is an empty object");
	resetStringInfo(&out);
	wire_put_body(&out, fields, 0, people, 0);
	is_text(out.data, "{\"participants\":[]}", "a list of no people is an empty array");
}

static void
test_invites(void)
{
	static const char *const forms[] = {
		"ABCDEFGHIJKLMNOPQRSTUV", "\"ABCDEFGHIJKLMNOPQRSTUV\"", "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV",
		"{\"code\":\"ABCDEFGHIJKLMNOPQRSTUV\"}", "{\"data\":{\"invite_code\":\"ABCDEFGHIJKLMNOPQRSTUV\"}}",
		"http://www.chat.whatsapp.com/invite/ABCDEFGHIJKLMNOPQRSTUV?a=b", "ABCDEFGHIJKLMNOPQRSTUV\n",
		"ABCDEFGHIJKLMNOPQRSTUV\r\n", "\xEF\xBB\xBF" "ABCDEFGHIJKLMNOPQRSTUV", " https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV ",
		"{\"code\":\"SUCCESS\",\"message\":\"Success get group invite link\",\"results\":{\"invite_link\":\"https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV\"}}",
		"{\"success\":true,\"message\":\"OK\",\"data\":{\"inviteCode\":\"ABCDEFGHIJKLMNOPQRSTUV\"}}",
		"{\"status\":\"success\",\"response\":{\"invite\":{\"code\":\"ABCDEFGHIJKLMNOPQRSTUV\"}}}",
		"{\"code\":200,\"data\":\"ABCDEFGHIJKLMNOPQRSTUV\"}",
		"https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV/", "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV/?mode=x",
		"{\"inviteUrl\":\"https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV/\"}", "{\"invite_url\":\"https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV\"}"
	};
	static const char *const none[] = {"", "short", "not a code at all", "{\"ok\":true}", "<html>", "{\"error\":\"x\",\"link\":\"ABCDEFGHIJKLMNOPQRSTUV\"}",
		"Unauthorized", "wawp_upstream_error", "{\"code\":\"invalid_session\",\"message\":\"Session not found\"}",
		"{\"code\":\"quota_reached\"}", "{\"success\":true,\"data\":{\"error\":\"x\",\"link\":\"ABCDEFGHIJKLMNOPQRSTUV\"}}",
		"{\"code\":\"SUCCESS\",\"message\":\"ok\",\"results\":{}}", "ABCDEFGHIJ12345 is not available", "\xEF\xBB\xBF",
		"ABCDEFGHIJKLMNOPQRSTUV/", "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV/join"
	};

	for (size_t i = 0; i < lengthof(forms); i++)
		is_text(wire_read_invite(forms[i], strlen(forms[i])), "https://chat.whatsapp.com/ABCDEFGHIJKLMNOPQRSTUV",
				"an invite code in one of its forms");
	for (size_t i = 0; i < lengthof(none); i++)
		ok(wire_read_invite(none[i], strlen(none[i])) == NULL, "no invite code in text %zu", i + 1);
}

/* Our own account, a new group and a LID under each of the keys that are known for them. */
static void
test_ids(void)
{
	static const char *const mine[][3] = {
		{"{\"id\":\"15551230403@c.us\",\"lid\":\"123456@lid\"}", "15551230403@c.us", "123456@lid"},
		{"{\"jid\":\"15551230403:7@s.whatsapp.net\"}", "15551230403@c.us", ""},
		{"{\"id\":\"123456@lid\",\"jid\":\"15551230403@s.whatsapp.net\"}", "15551230403@c.us", "123456@lid"},
		{"{\"id\":\"123456@lid\"}", "123456@lid", "123456@lid"},
		{"{\"id\":\"15551230403\"}", "15551230403@c.us", ""},
		{"\"15551230403@c.us\"", "15551230403@c.us", ""},
		{"{\"lid\":\"123456@lid\"}", "", "123456@lid"},
		{"{\"id\":\"120363012345678901@g.us\"}", "", ""},
		{"null", "", ""}
	};
	static const char *const created[] = {
		"{\"groupId\":\"120363012345678901@g.us\"}", "{\"data\":{\"groupJid\":\"120363012345678901@g.us\"}}",
		"{\"group_id\":{\"_serialized\":\"120363012345678901@g.us\"},\"group\":{\"subject\":\"x\"}}", "\"120363012345678901@g.us\"",
		"{\"gid\":{\"server\":\"g.us\",\"user\":\"120363012345678901\"}}"
	};
	static const char *const lids[][2] = {
		{"{\"lid\":\"123456@lid\",\"pn\":\"15551230403@c.us\"}", "123456@lid"}, {"{\"data\":{\"lid\":\"123456@lid\"}}", "123456@lid"},
		{"{\"result\":{\"lid\":\"123456@lid\"}}", "123456@lid"}, {"[{\"lid\":\"123456@lid\"}]", "123456@lid"},
		{"{\"data\":[{\"lid\":\"123456@lid\"}]}", "123456@lid"}, {"[{\"lid\":\"123456@lid\"},{\"lid\":\"123457@lid\"}]", ""}, {"{\"lid\":null}", ""}, {"", ""}
	};

	for (size_t i = 0; i < lengthof(mine); i++)
	{
		const char *body = psprintf("{\"name\":\"n\",\"status\":\"WORKING\",\"me\":%s}", mine[i][0]);
		WireSession session;

		ok(wire_read_session(body, strlen(body), &session), "a session of the account %s", mine[i][0]);
		is_text(session.me.text, mine[i][1], "... its JID");
		is_text(session.me_lid.text, mine[i][2], "... its LID");
	}
	for (size_t i = 0; i < lengthof(created); i++)
		is_text(wire_read_created(created[i], strlen(created[i])), "120363012345678901@g.us", created[i]);
	for (size_t i = 0; i < lengthof(lids); i++)
		is_text(wire_read_lid(lids[i][0], strlen(lids[i][0])).text, lids[i][1], psprintf("the LID in %s", lids[i][0]));
}

/* Sessions in envelopes that have a status of their own; status NULL: none is read. */
static void
test_sessions(void)
{
	static const struct
	{
		const char *body;
		const char *status;
	}			sessions[] =
	{
		{"{\"name\":\"n\",\"status\":\"WORKING\",\"me\":{\"id\":\"15551230403@c.us\"}}", "WORKING"},
		{"{\"status\":\"success\",\"data\":{\"name\":\"n\",\"status\":\"WORKING\"}}", "WORKING"},
		{"{\"status\":200,\"data\":{\"session\":{\"name\":\"n\",\"status\":\"STARTING\"}}}", "STARTING"},
		{"{\"success\":true,\"result\":[{\"name\":\"n\",\"status\":\"WORKING\"}]}", "WORKING"},
		{"{\"name\":\"n\",\"status\":\"FAILED\",\"data\":{\"status\":\"WORKING\"}}", "FAILED"},
		{"{\"status\":\"error\",\"message\":\"x\"}", NULL},
		{"{\"status\":\"success\",\"data\":{\"message\":\"x\"}}", NULL},
	};

	for (size_t i = 0; i < lengthof(sessions); i++)
	{
		WireSession session;

		is_text(wire_read_session(sessions[i].body, strlen(sessions[i].body), &session) ? session.status : NULL, sessions[i].status, sessions[i].body);
	}
}

/* Lists of groups, in envelopes; count -1: it is none. */
static void
test_groups(void)
{
	static const struct
	{
		const char *body;
		int			count;
	}			lists_of_groups[] =
	{
		{"[{\"id\":\"120363012345678901@g.us\"}]", 1},
		{"{\"groups\":[{\"id\":\"120363012345678901@g.us\"}]}", 1},
		{"{\"success\":true,\"data\":{\"groups\":[{\"id\":\"120363012345678901@g.us\"}]}}", 1},
		{"{\"data\":{\"groups\":{\"120363012345678901@g.us\":{\"subject\":\"S\"}}}}", 1},
		{"{\"data\":{\"groups\":[]}}", 0},
		{"{\"data\":[{\"id\":\"120363012345678901@g.us\",\"message\":{\"ack\":-1}}]}", 1},
		{"{\"data\":{\"success\":false,\"groups\":[]}}", -1},
	};

	for (size_t i = 0; i < lengthof(lists_of_groups); i++)
	{
		WireGroups	groups;
		bool		is_read = wire_read_groups(lists_of_groups[i].body, strlen(lists_of_groups[i].body), &groups);

		is_int(is_read ? groups.count : -1, lists_of_groups[i].count, lists_of_groups[i].body);
	}
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

	ok(!wire_read_members(error, strlen(error), &members), "an error is not an empty member list");
	ok(!wire_read_groups(error, strlen(error), &groups), "an error is not an empty list of groups");
	ok(wire_read_session(failed, strlen(failed), &session), "a session with the status FAILED is read");
	is_int(answer_of("{\"success\":true,\"error\":[]}").kind, WIRE_OK, "an empty array under error is not an error");
	is_int(answer_of("{\"ok\":true,\"participants\":[{\"id\":\"15551234567@c.us\"}]}").kind, WIRE_OK,
		   "a person who is only named has no verdict");
	is_int(answer_of("{\"success\":false,\"participants\":[{\"id\":\"15551234567@c.us\"}]}").kind, WIRE_REFUSED,
		   "a person who is only named does not hide a refusal");
	is_text(answer_of("{\"code\":\"invalid_session\",\"participants\":[{\"id\":\"1555123@c.us\",\"code\":1}]}").code,
			"invalid_session", "an envelope is read beside people");
}

/*
 * Member lists as engines send them, and the presence of one person in them.
 * person, lid: the person and their LID, "" if it is not known.
 */
static const struct
{
	const char *body;
	const char *person;
	const char *lid;
	Presence	presence;
	const char *about;
}			lists[] =
{
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@hosted\"}]", "15554440000", "",
	PRESENCE_PRESENT, "@hosted is a phone number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000002@hosted.lid\"}]", "15554440000", "900000000000002@lid",
	PRESENCE_PRESENT, "@hosted.lid is a LID"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@newserver\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry with an unknown server may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900@interop\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry of another service may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":null}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry with a null id may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"admin\":null}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry without an id may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},17]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry that is a number may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "digits without a server may be a number or a LID"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":{\"server\":\"lid\",\"user\":\"162122214421234\"}}]", "162122214421234", "",
	PRESENCE_UNKNOWN, "the server decides the kind of digits"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":{\"server\":\"lid\",\"user\":\"162122214421234\"}}]", "15554440000", "162122214421234@lid",
	PRESENCE_PRESENT, "a LID in two parts is found"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":{\"server\":\"c.us\",\"user\":\"15554440000\"}}]", "15554440000", "",
	PRESENCE_PRESENT, "a phone number in two parts is found"},
	{"[{\"id\":\"15550000001@c.us\"},{\"lid\":90071992547409931}]", "15554440000", "90071992547409931@lid",
	PRESENCE_PRESENT, "a LID as a JSON number, beyond 2^53"},
	{"[{\"id\":\"15550000001@c.us\"},{\"lid\":162122214421234}]", "15554440000", "",
	PRESENCE_UNKNOWN, "a LID as a JSON number is not a phone number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000002@lid\",\"pn\":\"15554440000@s.whatsapp.net\"}]", "15554440000", "",
	PRESENCE_PRESENT, "a phone number beside a LID"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000002@lid\",\"phoneNumber\":15554440000}]", "15554440000", "",
	PRESENCE_PRESENT, "a phone number beside a LID, as a JSON number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15550000002@c.us\"}]", "15554440000", "",
	PRESENCE_ABSENT, "absent from a list that is understood"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15550000002@c.us\"}]", "900000000000011@lid", "",
	PRESENCE_UNKNOWN, "a list by phone number does not show the absence of a LID"},
	{"[{\"id\":\"15550000001@c.us\",\"lid\":\"900000000000001@lid\"}]", "900000000000011@lid", "",
	PRESENCE_ABSENT, "a list with numbers and LIDs shows the absence of a LID"},
	{"[{\"id\":\"900000000000001@lid\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "a list by LID does not show the absence of a number"},
	{"[{\"id\":\"900000000000001@lid\"}]", "15554440000", "900000000000011@lid",
	PRESENCE_ABSENT, "a list by LID shows the absence of a number whose LID is known"},
	{"{\"size\":1000,\"participants\":[{\"id\":\"15550000001@c.us\"},{\"id\":\"15550000002@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "a list shorter than the stated size does not prove absence"},
	{"{\"ParticipantCount\":1000,\"Participants\":[{\"JID\":\"15550000001@c.us\"}]}", "15550000001", "",
	PRESENCE_PRESENT, "a list shorter than the stated size proves presence"},
	{"{\"size\":2,\"participants\":[{\"id\":\"15550000001@c.us\"},{\"id\":\"15550000002@c.us\"}]}", "15554440000", "",
	PRESENCE_ABSENT, "a list as long as the stated size is complete"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000:99@hosted\"}]", "15554440000", "",
	PRESENCE_PRESENT, "@hosted with a device"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":{\"server\":\"hosted.lid\",\"user\":\"900000000000011\"}}]", "15554440000", "900000000000011@lid",
	PRESENCE_PRESENT, "@hosted.lid in two parts"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"867051314767696@bot\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "a bot's entry is not understood"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@msgr\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry of Messenger may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":{\"User\":\"900000000000011\",\"Server\":\"lid\",\"RawAgent\":0,\"Device\":3}}]", "900000000000011", "",
	PRESENCE_UNKNOWN, "whatsmeow's parts of a LID"},
	{"[{\"id\":\"15550000001@c.us\"},{\"JID\":{\"User\":\"15554440000\",\"Server\":\"s.whatsapp.net\"}}]", "15554440000", "",
	PRESENCE_PRESENT, "whatsmeow's parts of a number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":162122214421234}]", "162122214421234", "",
	PRESENCE_UNKNOWN, "a LID as a JSON number in an id field"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":15554440000}]", "15554440000", "",
	PRESENCE_UNKNOWN, "a JSON number in an id field may be a number or a LID"},
	{"[{\"id\":\"15550000001@c.us\"},{\"jid\":{\"user\":162122214421234,\"server\":\"lid\"}}]", "15554440000", "162122214421234@lid",
	PRESENCE_PRESENT, "a LID in two parts, its digits as a JSON number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"username\":\"ana\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "an entry with a user name alone may be anybody"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000002@lid\",\"participant_pn\":\"15554440000@s.whatsapp.net\"}]", "15554440000", "",
	PRESENCE_PRESENT, "a number under participant_pn"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000002@lid\",\"phoneJid\":\"15554440000@s.whatsapp.net\"}]", "15554440000", "",
	PRESENCE_PRESENT, "a number under phoneJid"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"lidJid\":\"900000000000011@lid\"}]", "900000000000011@lid", "",
	PRESENCE_PRESENT, "a LID under lidJid"},
	{"[{\"id\":\"15550000001@c.us\"},{\"user\":\"15554440000@s.whatsapp.net\"}]", "15554440000", "",
	PRESENCE_PRESENT, "a number under user"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"pagination\":{\"total\":1000,\"page\":1}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total in an object about pages"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"meta\":{\"hasMore\":true}}", "15554440000", "",
	PRESENCE_UNKNOWN, "more to come, said in such an object"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":1,\"totalPages\":5}", "15554440000", "",
	PRESENCE_UNKNOWN, "one of several pages"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":1,\"totalPages\":1}", "15554440000", "",
	PRESENCE_ABSENT, "the only page"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"truncated\":true}", "15554440000", "",
	PRESENCE_UNKNOWN, "a list that was cut"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"complete\":false}", "15554440000", "",
	PRESENCE_UNKNOWN, "a list that is not complete"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"participantCount\":1000.0}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size as a float"},
	{"{\"group\":{\"ParticipantCount\":1000},\"participants\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size in the group's description beside the list"},
	{"{\"size\":1,\"participantsCount\":1000,\"participants\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "of two sizes the larger one counts"},
	{"{\"success\":true,\"data\":{\"groupMetadata\":{\"size\":1000,\"participants\":[{\"id\":\"15550000001@c.us\"}]}}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a list inside a group's description"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"size\":\"1,000\"}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size that cannot be read"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"memberCount\":{\"value\":1000}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size inside an object"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"size\":null}", "15554440000", "",
	PRESENCE_ABSENT, "no size"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"total\":\"1.000\"}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total with a point between its digits is not one"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"total\":\"1.0\"}", "15554440000", "",
	PRESENCE_ABSENT, "a total as a float in a text is"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"participants_total\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total by another name"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"limit\":1,\"offset\":0}", "15554440000", "",
	PRESENCE_UNKNOWN, "as many as a page has"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"limit\":50,\"offset\":0}", "15554440000", "",
	PRESENCE_ABSENT, "fewer than a page has"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"page\":1,\"per_page\":1,\"hasMore\":false}", "15554440000", "",
	PRESENCE_ABSENT, "as many as a page has, and no more"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"offset\":50}", "15554440000", "",
	PRESENCE_UNKNOWN, "a page that is not the first"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"page\":2}", "15554440000", "",
	PRESENCE_UNKNOWN, "likewise by its number"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"_links\":{\"next\":{\"href\":\"x\"}}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a link to the next page"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"cursor\":\"abc\"}", "15554440000", "",
	PRESENCE_UNKNOWN, "a cursor"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"cursor\":null}", "15554440000", "",
	PRESENCE_ABSENT, "a cursor at the end"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"isLastPage\":false}", "15554440000", "",
	PRESENCE_UNKNOWN, "not the last page"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"incomplete_results\":true}", "15554440000", "",
	PRESENCE_UNKNOWN, "results that are incomplete"},
	{"{\"data\":[{\"id\":\"15550000001@c.us\"}],\"hasMore\":\"false\"}", "15554440000", "",
	PRESENCE_ABSENT, "no more, as a text"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":\"left\"}]", "15554440000", "",
	PRESENCE_ABSENT, "left, as a status"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"isLeft\":true}]", "15554440000", "",
	PRESENCE_ABSENT, "left, as a flag"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"role\":\"removed\"}]", "15554440000", "",
	PRESENCE_ABSENT, "removed"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"isPending\":true}]", "15554440000", "",
	PRESENCE_UNKNOWN, "somebody whose request to join waits"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"900000000000012@lid\",\"phoneNumber\":\"900000000000012@s.whatsapp.net\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "a LID written as a phone number as well"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"x@newserver\",\"role\":\"left\"}]", "15554440000", "",
	PRESENCE_ABSENT, "an entry that has left need not be understood"},
	{"{\"0\":\"15550000001@c.us\",\"1\":\"15554440000@c.us\"}", "15554440000", "",
	PRESENCE_PRESENT, "an array as an object of places"},
	{"{\"participants\":{\"0\":{\"id\":\"15550000001@c.us\"},\"2\":{\"id\":\"15554440001@c.us\"}}}", "15554440000", "",
	PRESENCE_ABSENT, "... in an envelope, with a gap"},
	{"{\"data\":{\"0\":{\"id\":\"15550000001@c.us\"},\"1\":{\"id\":\"x@newserver\"}}}", "15554440000", "",
	PRESENCE_UNKNOWN, "... with an entry that is not understood"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"HasMore\":true}", "15554440000", "",
	PRESENCE_UNKNOWN, "more to come, in Go's spelling"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"Total\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total in Go's spelling"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"TotalCount\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "... in two words"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"TotalParticipants\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "... with what is counted"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"NextCursor\":\"abc\"}", "15554440000", "",
	PRESENCE_UNKNOWN, "a cursor in Go's spelling"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"NextCursor\":\"\",\"HasMore\":false,\"Total\":1}", "15554440000", "",
	PRESENCE_ABSENT, "the end in Go's spelling"},
	{"{\"Participants\":[{\"id\":\"15550000001@c.us\"}],\"Pagination\":{\"Total\":1000}}", "15554440000", "",
	PRESENCE_UNKNOWN, "an object about pages in Go's spelling"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"Size\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size in Go's spelling"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"participantcount\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size in lower case"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"totalElements\":5}", "15554440000", "",
	PRESENCE_UNKNOWN, "Spring's total"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"length\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a length"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"numberOfParticipants\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a number of participants"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"number_of_members\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a number of members"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"totalMemberCount\":1000}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total count of members"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"number\":1000,\"adminCount\":7,\"maxParticipants\":1024}", "15554440000", "",
	PRESENCE_ABSENT, "numbers of other things"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"totalMemberCount\":1}", "15554440000", "",
	PRESENCE_ABSENT, "a total count of members that are all there"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"nextOffset\":50}", "15554440000", "",
	PRESENCE_UNKNOWN, "where the next page begins"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"nextOffset\":null}", "15554440000", "",
	PRESENCE_ABSENT, "no next page"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"more_available\":true}", "15554440000", "",
	PRESENCE_UNKNOWN, "more is available"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"remaining\":40}", "15554440000", "",
	PRESENCE_UNKNOWN, "so many remain"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"remaining\":0}", "15554440000", "",
	PRESENCE_ABSENT, "none remain"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"omitted\":40}", "15554440000", "",
	PRESENCE_UNKNOWN, "so many were left out"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"start\":50}", "15554440000", "",
	PRESENCE_UNKNOWN, "a page that begins later"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"from\":50,\"to\":100}", "15554440000", "",
	PRESENCE_UNKNOWN, "... by its first and last entry"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"from\":1,\"to\":1}", "15554440000", "",
	PRESENCE_ABSENT, "the first entry of all"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"chat\":{\"participantsCount\":1000}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size in the description of a chat"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"info\":{\"size\":1000}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a size in a description"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"meta\":{\"pagination\":{\"total\":1000}}}", "15554440000", "",
	PRESENCE_UNKNOWN, "a total two objects deep"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"status\":\"partial\"}", "15554440000", "",
	PRESENCE_UNKNOWN, "a part, as a status"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":0,\"size\":1}", "15554440000", "",
	PRESENCE_UNKNOWN, "as many as Spring's page has"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":0,\"size\":50}", "15554440000", "",
	PRESENCE_UNKNOWN, "fewer than that, or than the group has"},
	{"{\"id\":\"120363012345678901@g.us\",\"subject\":\"x\",\"size\":1000,\"page\":1,\"limit\":100,\"participants\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "a group's size beside a page"},
	{"{\"id\":\"120363012345678901@g.us\",\"size\":1000,\"offset\":0,\"participants\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "... beside an offset"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"},{\"JID\":\"15554440000@s.whatsapp.net\",\"Error\":0,\"AddRequest\":{\"Code\":\"\",\"Expiration\":\"0001-01-01T00:00:00Z\"}}]}", "15554440000", "",
	PRESENCE_PRESENT, "an empty AddRequest, as Go writes it"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":0,\"size\":1,\"totalElements\":1}", "15554440000", "",
	PRESENCE_ABSENT, "as many as it has, and as there are"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":{\"number\":0,\"size\":1,\"totalPages\":5}}", "15554440000", "",
	PRESENCE_UNKNOWN, "one of five pages"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"complete\":0}", "15554440000", "",
	PRESENCE_UNKNOWN, "not complete, as a number"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"isComplete\":1}", "15554440000", "",
	PRESENCE_ABSENT, "complete, as a number"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"members\":[{\"id\":\"15554440000@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "two lists of different people"},
	{"{\"admins\":[{\"id\":\"15554440000@c.us\"}],\"members\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "admins in a list of their own"},
	{"{\"admins\":[{\"id\":\"15550000001@c.us\"}],\"members\":[{\"id\":\"15554440000@c.us\"}]}", "15554440000", "",
	PRESENCE_PRESENT, "... and a member in the other"},
	{"{\"participants\":[],\"members\":[{\"id\":\"15550000001@c.us\"}]}", "15554440000", "",
	PRESENCE_UNKNOWN, "a list of nobody before another one"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"group\":{\"participants\":[{\"id\":\"15554440000@c.us\"}]}}", "15554440000", "",
	PRESENCE_UNKNOWN, "another list in a description"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"admins\":[\"15550000001@c.us\"]}", "15554440000", "",
	PRESENCE_ABSENT, "the admins among the people of a list"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"pendingParticipants\":[{\"id\":\"15554440000@c.us\"}]}", "15554440000", "",
	PRESENCE_ABSENT, "who asked to join is not in the group"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"membershipApprovalRequests\":[{\"id\":\"15554440000@c.us\"}]}", "15554440000", "",
	PRESENCE_ABSENT, "... by WhatsApp's own word"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"left\":true}]", "15554440000", "",
	PRESENCE_ABSENT, "left, in one word"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"role\":\"past\"}]", "15554440000", "",
	PRESENCE_ABSENT, "a past member"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"isMember\":false}]", "15554440000", "",
	PRESENCE_ABSENT, "no member"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"is_member\":true}]", "15554440000", "",
	PRESENCE_PRESENT, "a member, by a flag"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"deleted\":true}]", "15554440000", "",
	PRESENCE_ABSENT, "deleted"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"Deleted\":false,\"leftAt\":null}]", "15554440000", "",
	PRESENCE_PRESENT, "not deleted"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":\"invited\"}]", "15554440000", "",
	PRESENCE_UNKNOWN, "somebody who was invited"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"isAdmin\":false,\"status\":\"Deleted\"}]", "15554440000", "",
	PRESENCE_PRESENT, "somebody who says of themselves that they are deleted"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":\"404\"}]", "15554440000", "",
	PRESENCE_PRESENT, "... or a number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":1000}]", "15554440000", "",
	PRESENCE_PRESENT, "a number that is no status"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":403}]", "15554440000", "",
	PRESENCE_UNKNOWN, "somebody who could not be added, by a number"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"status\":\"left\"}]", "15554440000", "",
	PRESENCE_ABSENT, "left, as a status"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"memberStatus\":\"former\"}]", "15554440000", "",
	PRESENCE_ABSENT, "a former member"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"meta\":{\"remaining\":59,\"limit\":60}}", "15554440000", "",
	PRESENCE_ABSENT, "what is left of a rate limit"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"remaining\":40,\"limit\":1,\"offset\":0}", "15554440000", "",
	PRESENCE_UNKNOWN, "what remains of a list"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"meta\":{\"nextReset\":1764500000}}", "15554440000", "",
	PRESENCE_ABSENT, "when a limit ends"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"start\":1764500000}", "15554440000", "",
	PRESENCE_ABSENT, "when a list was read"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":0,\"size\":1,\"last\":true}", "15554440000", "",
	PRESENCE_ABSENT, "the last page, which is the first"},
	{"{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"page\":0,\"size\":1,\"last\":false}", "15554440000", "",
	PRESENCE_UNKNOWN, "a full page that is not the last"},
	{"[{\"id\":\"15550000001@c.us\"},{\"id\":\"15554440000@c.us\",\"leftAt\":1767225600}]", "15554440000", "",
	PRESENCE_UNKNOWN, "somebody who left once"},
	{"[{\"id\":\"15550000001@c.us\"},{\"JID\":\"15554440000@s.whatsapp.net\",\"Error\":403,\"AddRequest\":{\"Code\":\"x\"}}]", "15554440000", "",
	PRESENCE_UNKNOWN, "somebody who could not be added"},
	{"[{\"id\":\"15550000001@c.us\"},{\"JID\":\"15554440000@s.whatsapp.net\",\"Error\":0,\"AddRequest\":null}]", "15554440000", "",
	PRESENCE_PRESENT, "a member of GOWS' list"},
	{"{\"15550000001@c.us\":\"admin\",\"15554440000@c.us\":\"left\"}", "15554440000", "",
	PRESENCE_ABSENT, "a map to roles: left"},
	{"{\"15550000001@c.us\":\"admin\",\"15554440000@c.us\":\"member\"}", "15554440000", "",
	PRESENCE_PRESENT, "a map to roles: a member"},
	{"{\"15550000001@c.us\":true,\"15554440000@c.us\":false}", "15554440000", "",
	PRESENCE_ABSENT, "a map to flags: no member"},
	{"{\"15550000001@c.us\":\"Ana\",\"15554440000@c.us\":\"Bea\"}", "15554440000", "",
	PRESENCE_PRESENT, "a map to names"},
};

static const MembersKnown nothing_known = {.stated = -1};

static void
test_lists(void)
{
	for (size_t i = 0; i < lengthof(lists); i++)
	{
		Jid			person = jid_parse(lists[i].person, strlen(lists[i].person));
		Jid			lid = jid_parse(lists[i].lid, strlen(lists[i].lid));
		WireMembers members;

		if (person.kind == JID_INVALID)
			strcpy(person.text, "");
		ok(wire_read_members(lists[i].body, strlen(lists[i].body), &members), "list %zu is read", i + 1);
		is_int(members_presence(&members, &nothing_known, &person, &lid), lists[i].presence, lists[i].about);
	}
}

/* Entries of an admin, in the spellings of a role. */
static void
test_roles(void)
{
	static const struct
	{
		const char *fields;
		WireRole	role;
	}			roles[] =
	{
		{"\"isAdmin\":true", WIRE_ROLE_ADMIN},
		{"\"isAdmin\":\"true\"", WIRE_ROLE_ADMIN},
		{"\"is_admin\":1", WIRE_ROLE_ADMIN},
		{"\"admin\":\"admin\"", WIRE_ROLE_ADMIN},
		{"\"type\":\"admin\"", WIRE_ROLE_ADMIN},
		{"\"role\":\"SUPER_ADMIN\"", WIRE_ROLE_OWNER},
		{"\"isSuperAdmin\":1", WIRE_ROLE_OWNER},
		{"\"isAdmin\":0,\"role\":\"member\"", WIRE_ROLE_MEMBER},
		{"\"admin\":1", WIRE_ROLE_ADMIN},
		{"\"type\":1", WIRE_ROLE_UNKNOWN},
		{"\"rank\":\"1\"", WIRE_ROLE_UNKNOWN},
		{"\"admin\":null", WIRE_ROLE_MEMBER},
		{"\"isGroupAdmin\":true", WIRE_ROLE_ADMIN},
		{"\"is_group_admin\":false", WIRE_ROLE_MEMBER},
		{"\"roles\":[\"member\",\"admin\"]", WIRE_ROLE_ADMIN},
		{"\"roles\":[]", WIRE_ROLE_MEMBER},
		{"\"roles\":[{\"name\":\"admin\"}]", WIRE_ROLE_UNKNOWN},
		{"\"attrs\":{\"type\":\"admin\"}", WIRE_ROLE_ADMIN},
		{"\"role\":\"participant\",\"admin\":\"admin\"", WIRE_ROLE_ADMIN},
		{"\"isAdmin\":false,\"Role\":\"Super Admin\"", WIRE_ROLE_OWNER},
		{"\"role\":\"vip\"", WIRE_ROLE_UNKNOWN},
		{"\"role\":\"vip\",\"isAdmin\":false", WIRE_ROLE_MEMBER},
		{"\"isSuperAdmin\":false", WIRE_ROLE_UNKNOWN},
		{"\"isAdmin\":{}", WIRE_ROLE_UNKNOWN},
		{"\"status\":\"member\"", WIRE_ROLE_UNKNOWN},
		{"\"name\":\"admin\"", WIRE_ROLE_UNKNOWN},
		{"\"name\":\"Ana\"},{\"id\":\"15550000002@c.us\",\"IsAdmin\":true", WIRE_ROLE_MEMBER},
		{"\"role\":\"vip\"},{\"id\":\"15550000002@c.us\",\"role\":\"admin\"", WIRE_ROLE_UNKNOWN},
	};

	for (size_t i = 0; i < lengthof(roles); i++)
	{
		char	   *body = psprintf("[{\"id\":\"15550000001@c.us\",%s}]", roles[i].fields);
		WireMembers members;

		ok(wire_read_members(body, strlen(body), &members) && members_role(&members, &members.members[0]) == roles[i].role, "a role: %s", roles[i].fields);
	}
}

static void
test_group_size(void)
{
	const char *body = "{\"id\":\"120363012345678901@g.us\",\"size\":1000,\"memberAddMode\":\"all_member_add\","
		"\"joinApprovalMode\":true,\"participants\":[{\"id\":\"15550000001@c.us\"},{\"id\":\"x@y\"}]}";
	const char *unstated = "{\"id\":\"120363012345678901@g.us\",\"participants\":[{\"id\":\"15550000001@c.us\"},{\"id\":\"x@y\"}]}";
	WireMembers members;
	WireGroup	group;

	ok(wire_read_group(body, strlen(body), &group, &members), "a group is read");
	is_int(group.size, 1000, "the size of a group is the stated one");
	is_int(members_size(&members, &nothing_known), 1000, "the size of its list is the stated one");
	ok(group.asks_approval && !group.only_admins_add, "a group with approval in which members may add");
	ok(wire_read_group(unstated, strlen(unstated), &group, &members), "a group without a size is read");
	is_int(group.size, 2, "the size of a group without a stated one includes entries that cannot be read");
	is_text(members.unread_shape, NULL, "of a description, nobody reads the shape of those");
	ok(wire_read_members(unstated, strlen(unstated), &members), "its list is read");
	is_text(members.unread_shape, "[{id:text}]", "of a list, the shape of those is kept");
}

/* A refusal inside an envelope or an array is neither a new group, a description nor a list of nobody. */
static void
test_inner_refusals(void)
{
	static const char *const groups[] = {
		"[{\"id\":\"120363012345678901@g.us\",\"error\":\"x\"}]",
		"{\"results\":[{\"error\":\"x\",\"id\":\"120363012345678901@g.us\"}]}",
		"{\"response\":{\"group\":{\"success\":false,\"id\":\"120363012345678901@g.us\"}}}",
		"{\"group\":{\"status\":500,\"JID\":\"120363012345678901@g.us\"}}",
		"{\"data\":[{\"group_info\":{\"exception\":{\"message\":\"x\"},\"id\":\"120363012345678901@g.us\"}}]}",
	};
	static const char *const nobody[] = {
		"{\"group\":{\"error\":\"x\",\"participants\":[]}}",
		"{\"groupInfo\":{\"success\":false,\"participants\":[]}}",
		"{\"data\":{\"group\":{\"statusCode\":500,\"participants\":[]}}}",
	};
	const char *created = "{\"response\":{\"group\":{\"success\":true,\"error\":null,\"id\":\"120363012345678901@g.us\"}}}";
	WireMembers members;
	WireGroup	group;

	for (size_t i = 0; i < lengthof(groups); i++)
	{
		is_text(wire_read_created(groups[i], strlen(groups[i])), NULL, psprintf("no group was made: %s", groups[i]));
		ok(!wire_read_group(groups[i], strlen(groups[i]), &group, &members), "no description: %s", groups[i]);
	}
	for (size_t i = 0; i < lengthof(nobody); i++)
		ok(!wire_read_members(nobody[i], strlen(nobody[i]), &members), "no list: %s", nobody[i]);
	is_text(wire_read_created(created, strlen(created)), "120363012345678901@g.us", "a group that was made, in two envelopes");
}

/* Descriptions of a group of many forms, and what is read of each. */
static const struct
{
	const char *body;
	int			size;
	bool		asks_approval;
	bool		only_admins_add;
	bool		members_add;
	const char *about;
}			descriptions[] =
{
	{"{\"id\":\"120363012345678901@g.us\",\"size\":1000,\"joinApprovalMode\":true,\"memberAddMode\":true}", 1000, true, false, true, "Baileys"},
	{"{\"JID\":\"120363012345678901@g.us\",\"ParticipantCount\":1000,\"IsJoinApprovalRequired\":true,\"MemberAddMode\":\"admin_add\"}", 1000, true, true, false, "GOWS"},
	{"{\"id\":{\"_serialized\":\"120363012345678901@g.us\"},\"groupMetadata\":{\"size\":1000,\"membershipApprovalMode\":true,\"memberAddMode\":\"all_member_add\"}}", 1000, true, false, true, "whatsapp-web.js"},
	{"{\"id\":\"120363012345678901@g.us\",\"membersCanAddNewMember\":true,\"newMembersApprovalRequired\":true}", -1, true, false, true, "WAHA's own words"},
	{"{\"id\":\"120363012345678901@g.us\",\"membership_approval_mode\":\"request_required\"}", -1, true, false, false, "approval as WhatsApp's own word"},
	{"{\"status\":\"success\",\"response\":{\"id\":\"120363012345678901@g.us\",\"size\":1000}}", 1000, false, false, false, "in an envelope"},
	{"{\"success\":true,\"result\":{\"data\":{\"id\":\"120363012345678901@g.us\",\"size\":1000}}}", 1000, false, false, false, "in two envelopes"},
	{"{\"code\":\"SUCCESS\",\"results\":{\"JID\":\"120363012345678901@g.us\",\"ParticipantCount\":1000}}", 1000, false, false, false, "GOWA's envelope"},
	{"[{\"id\":\"120363012345678901@g.us\",\"size\":1000}]", 1000, false, false, false, "alone in an array"},
	{"{\"120363012345678901@g.us\":{\"id\":\"120363012345678901@g.us\",\"size\":1000}}", 1000, false, false, false, "alone in a map"},
	{"{\"id\":\"120363012345678901@g.us\",\"groupMetadata\":{\"membershipApprovalMode\":1}}", -1, true, false, false, "approval as a number"},
	{"{\"id\":\"120363012345678901@g.us\",\"settings\":{\"membersCanAddNewMember\":\"true\",\"newMembersApprovalRequired\":true}}", -1, true, false, true, "rules in an object of their own"},
	{"{\"id\":\"120363012345678901@g.us\",\"joinApprovalMode\":0}", -1, false, false, false, "no approval, as a number"},
	{"{\"id\":\"120363012345678901@g.us\",\"size\":2,\"participantsCount\":1000}", 1000, false, false, false, "two sizes"},
	{"{\"id\":\"120363012345678901@g.us\",\"number_of_participants\":1000,\"Is_Join_Approval_Required\":true}", 1000, true, false, false, "other spellings"},
	{"{\"id\":\"120363012345678901@g.us\",\"Size\":1000,\"total\":7,\"membershipApproval\":true}", 1000, true, false, false, "approval alone"},
	{"{\"id\":\"120363012345678901@g.us\",\"groupMetadata\":{\"isMembershipApprovalRequired\":true}}", -1, true, false, false, "approval that is required"},
	{"{\"JID\":\"120363012345678901@g.us\",\"IsJoinApprovalRequired\":false,\"DefaultMembershipApprovalMode\":\"request_required\",\"MemberAddMode\":\"ALL_MEMBER_ADD\"}", -1, false, false, true, "whatsmeow's word in capitals, and a community's rule for its new groups"},
	{"{\"JID\":\"120363012345678901@g.us\",\"member_add_mode\":\"ADMIN_ADD\"}", -1, false, true, false, "... for admins"},
	{"{\"JID\":\"120363012345678901@g.us\",\"GroupMembershipApprovalMode\":{\"IsJoinApprovalRequired\":true}}", -1, true, false, false, "approval in whatsmeow's object"},
	{"{\"id\":\"120363012345678901@g.us\",\"membershipApprovalRequests\":1,\"pendingApprovalCount\":1,\"joinApprovalMode\":\"off\"}", -1, false, false, false, "people who wait for approval are no rule"},
};

static void
test_descriptions(void)
{
	for (size_t i = 0; i < lengthof(descriptions); i++)
	{
		WireMembers members;
		WireGroup	group;

		ok(wire_read_group(descriptions[i].body, strlen(descriptions[i].body), &group, &members), "a group is read: %s", descriptions[i].about);
		is_text(group.jid, "120363012345678901@g.us", psprintf("its id: %s", descriptions[i].about));
		is_int(group.size, descriptions[i].size, psprintf("its size: %s", descriptions[i].about));
		ok(group.asks_approval == descriptions[i].asks_approval && group.only_admins_add == descriptions[i].only_admins_add &&
		   group.members_add == descriptions[i].members_add, "who may add: %s", descriptions[i].about);
	}
}

/* Numbers of WhatsApp's in errors of the whole. */
static const struct
{
	const char *body;
	int			code;
}			engine_codes[] =
{
	{"{\"statusCode\":500,\"exception\":{\"message\":\"info query returned status 400: bad-request\"}}", 400},
	{"{\"error\":\"conflict\",\"statusCode\":500}", 0},
	{"{\"error\":\"forbidden\",\"statusCode\":401}", 0},
	{"{\"error\":{\"data\":406,\"isBoom\":true,\"output\":{\"statusCode\":500}}}", 406},
	{"{\"success\":false,\"error\":\"Error\",\"data\":400}", 400},
	{"{\"success\":false,\"message\":\"forbidden by the firewall\"}", 0},
	{"{\"success\":false,\"message\":\"x\",\"data\":17}", 0},
};

static void
test_engine_codes(void)
{
	for (size_t i = 0; i < lengthof(engine_codes); i++)
		is_int(answer_of(engine_codes[i].body).engine_code, engine_codes[i].code, engine_codes[i].body);
}

/*
 * Answers, and what is read of each person: the number, else the LID; the code
 * with the inner one, else yes or no; the text.  "": nobody is named.
 */
static const struct
{
	const char *body;
	WireKind	kind;
	const char *people;
	const char *about;
}			answers[] =
{
	{"[{\"status\":\"408\",\"jid\":\"900000000000868@lid\",\"content\":{\"attrs\":{\"phone_number\":\"15557650002@s.whatsapp.net\"}}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 408", "Baileys in a LID group: the number under content.attrs"},
	{"[{\"status\":\"408\",\"jid\":\"15557650002@s.whatsapp.net\",\"content\":{\"attrs\":{\"lid\":\"900000000000868@lid\"}}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 408", "the LID under content.attrs"},
	{"[{\"code\":403,\"participant\":{\"id\":\"900000000000868@lid\",\"phoneNumber\":\"15557650002@s.whatsapp.net\"}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 403", "both in a participant object"},
	{"[{\"code\":403,\"id\":{\"id\":\"900000000000868@lid\",\"pn\":\"15557650002@s.whatsapp.net\"}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 403", "both in an id object"},
	{"[{\"code\":403,\"jid\":\"900000000000868@lid\",\"jidAlt\":\"15557650002@s.whatsapp.net\"}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 403", "the number in an alternate field"},
	{"[{\"JID\":\"\",\"PhoneNumber\":\"\",\"pn\":\"15557650002\",\"LID\":\"900000000000868@lid\",\"Error\":403}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 403", "empty fields before those that say something"},
	{"{\"900000000000868@lid\":{\"wid\":\"15557650002@c.us\",\"code\":403}}",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 403", "a map by LID with the number in each entry"},
	{"[{\"id\":\"447911123456000@lid\",\"number\":\"447911123456000\",\"code\":403}]",
	WIRE_PEOPLE, "447911123456000@lid=447911123456000@lid 403", "a number that repeats a LID is none"},

	{"{\"success\":true,\"data\":{\"updateParticipants\":[{\"status\":\"403\",\"jid\":\"15557650002@c.us\"}]}}",
	WIRE_PEOPLE, "15557650002@c.us 403", "two levels deep"},
	{"{\"status\":\"success\",\"response\":{\"result\":{\"15557650002@c.us\":{\"code\":403}}}}",
	WIRE_PEOPLE, "15557650002@c.us 403", "a map three levels deep"},
	{"{\"ok\":true,\"outer\":{\"other\":{\"15557650002@c.us\":{\"code\":403}}}}",
	WIRE_PEOPLE, "15557650002@c.us 403", "under keys that are not known"},
	{"{\"ok\":true,\"participants\":[\"15557650002@c.us\"],\"data\":[{\"id\":\"15557650002@c.us\",\"code\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "beside a list of names"},
	{"{\"ok\":true,\"15557650002@c.us\":{\"code\":403}}",
	WIRE_PEOPLE, "15557650002@c.us 403", "beside a success of the whole"},
	{"{\"ok\":true,\"result\":{\"15557650002\":{\"code\":403}}}",
	WIRE_PEOPLE, "15557650002@c.us 403", "a map by number"},
	{"{\"data\":[{\"result\":{\"15557650002@c.us\":{\"code\":403}}}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "maps in an array"},
	{"{\"data\":{\"added\":[\"15557650001@c.us\"],\"failed\":[\"15557650002@c.us\",{\"id\":\"15557650003@c.us\",\"reason\":403}]}}",
	WIRE_PEOPLE, "15557650001@c.us -, 15557650002@c.us no, 15557650003@c.us no 403", "lists of the added and the failed, wrapped, with a bare name"},
	{"{\"ok\":true,\"failed\":{\"15557650002@c.us\":\"privacy\"}}",
	WIRE_PEOPLE, "15557650002@c.us no privacy", "a map of the failed"},

	{"{\"ok\":true,\"result\":{\"15557650002@c.us\":403}}", WIRE_PEOPLE, "15557650002@c.us 403", "a number alone"},
	{"{\"15557650002@c.us\":\"403\",\"15557650001@c.us\":true}", WIRE_PEOPLE, "15557650002@c.us 403, 15557650001@c.us yes", "a number in a string, and true"},
	{"{\"15557650002@c.us\":false,\"15557650001@c.us\":\"privacy\"}", WIRE_PEOPLE, "15557650002@c.us no, 15557650001@c.us - privacy", "false, and a word"},
	{"{\"success\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"success\":false}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure without a number in a success"},
	{"{\"ok\":true,\"results\":[{\"participant\":\"15557650002@c.us\",\"status\":\"error\"}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure in a word"},
	{"{\"ok\":true,\"results\":[{\"id\":\"15557650002@c.us\",\"status\":\"waiting\"}]}", WIRE_PEOPLE, "15557650002@c.us - waiting", "a word that is not known"},
	{"[{\"id\":\"15557650002@c.us\",\"success\":false,\"error\":{\"code\":403,\"message\":\"m\"}}]", WIRE_PEOPLE, "15557650002@c.us no 403 m", "a code inside the error"},
	{"[{\"id\":\"15557650002@c.us\",\"result\":{\"data\":{\"status\":\"403\"}}}]", WIRE_PEOPLE, "15557650002@c.us 403", "a code two levels inside the entry"},
	{"[{\"id\":\"15557650002@c.us\",\"status\":200,\"error\":403}]", WIRE_PEOPLE, "15557650002@c.us 403", "a refusal outweighs a success"},
	{"[{\"id\":\"15557650002@c.us\",\"code\":200,\"success\":false}]", WIRE_PEOPLE, "15557650002@c.us no", "so does a failure without a number"},
	{"[{\"id\":\"15557650002@c.us\",\"code\":421,\"error\":419}]", WIRE_PEOPLE, "15557650002@c.us 421/419", "a second refusal is the inner code"},
	{"[{\"id\":\"15557650002@c.us\",\"error\":0}]", WIRE_PEOPLE, "15557650002@c.us yes", "no error is a success"},

	{"[{\"status\":\"408\",\"jid\":\"900000000000868@lid\",\"content\":{\"attrs\":{\"phone\":\"15557650002\"}}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 408", "a number under content.attrs.phone"},
	{"[{\"status\":\"408\",\"jid\":\"900000000000868@lid\",\"content\":{\"attrs\":{\"participant_pn\":\"15557650002@s.whatsapp.net\"}}}]",
	WIRE_PEOPLE, "15557650002@c.us=900000000000868@lid 408", "a number under content.attrs.participant_pn"},
	{"[{\"tag\":\"participant\",\"attrs\":{\"jid\":\"15557650002@s.whatsapp.net\",\"error\":\"403\"}}]",
	WIRE_PEOPLE, "15557650002@c.us 403", "WhatsApp's own node"},
	{"{\"ok\":true,\"content\":[{\"tag\":\"participant\",\"attrs\":{\"jid\":\"15557650002@s.whatsapp.net\",\"error\":\"403\"}}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "WhatsApp's own node in an envelope"},
	{"{\"success\":true,\"items\":[{\"phone\":\"15557650002\",\"error_code\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "a number under error_code"},
	{"{\"success\":true,\"items\":[{\"id\":\"15557650002@c.us\",\"errorCode\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "a number under errorCode"},
	{"{\"success\":true,\"items\":[{\"id\":\"15557650002@c.us\",\"errorCode\":0}]}",
	WIRE_OK, "", "errorCode 0 says nothing"},
	{"[{\"id\":\"15557650002@c.us\",\"status\":\"pending\",\"errorCode\":0}]",
	WIRE_PEOPLE, "15557650002@c.us - pending", "nor does it hide the word beside it"},
	{"[{\"id\":\"15557650002@c.us\",\"status\":\"pending\",\"error_code\":\"0\"}]",
	WIRE_PEOPLE, "15557650002@c.us - pending", "nor does error_code"},
	{"{\"ok\":true,\"participants\":[{\"id\":\"15557650002@c.us\",\"reason\":\"403\"}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "digits as the reason are a number"},
	{"{\"ok\":true,\"participants\":[{\"id\":\"15557650002@c.us\",\"message\":\"408\"}]}",
	WIRE_PEOPLE, "15557650002@c.us - 408", "digits as the message"},
	{"{\"ok\":true,\"data\":{\"15557650002@c.us\":{\"message\":\"403\"}}}",
	WIRE_PEOPLE, "15557650002@c.us - 403", "digits as the message in a map"},
	{"[{\"id\":\"15557650002@c.us\",\"message\":\"\",\"reason\":\"privacy\"}]",
	WIRE_PEOPLE, "15557650002@c.us - privacy", "an empty message before the reason"},
	{"[{\"id\":\"15557650002@c.us\",\"error\":\"403\"}]",
	WIRE_PEOPLE, "15557650002@c.us 403", "digits as the error are a number"},
	{"{\"errors\":[{\"id\":\"a1\",\"status\":\"403\",\"title\":\"Forbidden\"}]}",
	WIRE_REFUSED, "", "an error with an id of its own names nobody"},
	{"{\"errors\":{\"a@b\":{\"status\":\"403\"}}}",
	WIRE_REFUSED, "", "nor does one in a map"},
	{"{\"participants\":[{\"id\":\"15557650001@c.us\",\"status\":200},{\"id\":\"15557650002@c.us\",\"status\":403}],\"errors\":[{\"id\":\"15557650002@c.us\",\"message\":\"x\"}]}",
	WIRE_PEOPLE, "15557650001@c.us 200, 15557650002@c.us 403", "errors that repeat a person of the list"},
	{"{\"errors\":[{\"id\":7,\"message\":\"x\"}],\"participants\":[{\"id\":\"15557650002@c.us\",\"status\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "an error that names nobody before the list"},
	{"{\"15557650002@c.us\":{\"code\":403},\"errors\":[{\"id\":\"15557650002@c.us\",\"message\":\"x\"}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "errors that repeat a person of a map"},
	{"{\"errors\":[{\"id\":\"15557650002@c.us\",\"message\":\"x\"}],\"participants\":[{\"id\":\"15557650002@c.us\"}]}",
	WIRE_PEOPLE, "15557650002@c.us no x", "errors beside a list of names"},
	{"{\"added_by\":[\"15557650001@c.us\"],\"participants\":[{\"id\":\"15557650002@c.us\",\"status\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "whoever adds is not added"},
	{"{\"addedBy\":[\"15557650001@c.us\"],\"participants\":[{\"id\":\"15557650002@c.us\",\"status\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "likewise under addedBy"},
	{"{\"rejected_by\":[\"15557650001@c.us\"],\"participants\":[{\"id\":\"15557650002@c.us\",\"status\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "whoever rejects is not rejected"},
	{"{\"addedParticipants\":[\"15557650001@c.us\"],\"failed_members\":[\"15557650002@c.us\"]}",
	WIRE_PEOPLE, "15557650001@c.us -, 15557650002@c.us no", "names of lists in two words"},
	{"{\"success\":true,\"items\":[{\"user\":\"15557650002@c.us\",\"status_code\":403}]}",
	WIRE_PEOPLE, "15557650002@c.us 403", "a person under user, a number under status_code"},
	{"{\"success\":true,\"added\":[\"15557650001\"],\"errors\":[\"15557650002\"]}",
	WIRE_PEOPLE, "15557650001@c.us -, 15557650002@c.us no", "a name among the errors"},
	{"{\"success\":true,\"failed_participants\":[\"15557650002@c.us\"]}",
	WIRE_PEOPLE, "15557650002@c.us no", "a name in a list of failures"},
	{"{\"success\":true,\"failedList\":[{\"id\":\"15557650002@c.us\",\"reason\":\"403\"}],\"successList\":[]}",
	WIRE_PEOPLE, "15557650002@c.us no 403", "a reason in a list of failures"},
	{"{\"errors\":[{\"message\":\"forbidden\"}]}",
	WIRE_REFUSED, "", "errors that name nobody are those of the whole"},
	{"{\"success\":true,\"errors\":[]}",
	WIRE_OK, "", "no errors"},

	{"{\"data\":{\"data\":{\"data\":{\"ok\":true}}}}", WIRE_OTHER, "", "wrapping without people"},
	{"{\"ok\":true,\"participants\":[{\"id\":\"15557650002@c.us\",\"role\":\"member\"}]}", WIRE_OK, "", "people who are named only"},
	{"{\"success\":false,\"issues\":[{\"code\":\"invalid_type\",\"message\":\"Required\"}]}", WIRE_REFUSED, "", "faults of the request are not people"},
	{"{\"ok\":false,\"request\":{\"participants\":[{\"id\":\"15557650002@c.us\",\"code\":1}]}}", WIRE_REFUSED, "", "what repeats the request names nobody"},
	{"{\"ok\":false,\"failed\":[\"You are not an admin\"]}", WIRE_REFUSED, "", "a message among the failed names nobody"},
	{"{\"success\":true,\"data\":{\"success\":false,\"message\":\"m\"}}", WIRE_REFUSED, "", "a refusal of the whole inside a success"},
	{"{\"status\":\"success\",\"response\":{\"data\":{\"error\":{\"code\":403}}}}", WIRE_REFUSED, "", "a refusal of the whole three levels deep"},
	{"{\"success\":true,\"data\":{\"code\":\"Xy7\",\"status\":\"WORKING\"}}", WIRE_OK, "", "a code in a success is no error"},
	{"{\"ok\":true,\"participants\":{\"0\":{\"id\":\"15557650002@c.us\",\"code\":403},\"1\":{\"id\":\"15557650001@c.us\",\"code\":200}}}",
	WIRE_PEOPLE, "15557650002@c.us 403, 15557650001@c.us 200", "an array as an object of places"},
	{"{\"0\":{\"id\":\"15557650002@c.us\",\"code\":403}}", WIRE_PEOPLE, "15557650002@c.us 403", "... which is all of the answer"},
	{"{\"success\":true,\"added\":{\"0\":\"15557650001@c.us\"},\"failed\":{\"0\":{\"id\":\"15557650002@c.us\",\"reason\":\"privacy\"}}}",
	WIRE_PEOPLE, "15557650001@c.us -, 15557650002@c.us no privacy", "... of the added and the failed"},
	{"{\"ok\":true,\"limits\":{\"60\":{\"code\":1}}}", WIRE_OK, "", "numbers under which nobody is named"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\"}]", WIRE_PEOPLE, "15557650002@c.us 200", "GOWS: no error is 200"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Error\":0,\"AddRequest\":null,\"IsAdmin\":true}]", WIRE_PEOPLE, "15557650002@c.us yes 200", "... so is 0"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Error\":\"\"}]", WIRE_PEOPLE, "15557650002@c.us 200", "... and an empty one"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Error\":\"forbidden\"}]", WIRE_PEOPLE, "15557650002@c.us - forbidden", "GOWS: an error as a text"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"AddRequest\":{\"Code\":\"x\"}}]", WIRE_PEOPLE, "15557650002@c.us 403", "GOWS: an invitation to be sent is a 403"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Error\":0,\"AddRequest\":{\"Code\":\"x\"}}]", WIRE_PEOPLE, "15557650002@c.us yes 403", "... beside no error, too"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Error\":408,\"AddRequest\":{\"Code\":\"x\"}}]", WIRE_PEOPLE, "15557650002@c.us 408/403", "... and beside another one"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Code\":403}]", WIRE_PEOPLE, "15557650002@c.us 403", "a number under Code"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"ErrorCode\":403}]", WIRE_PEOPLE, "15557650002@c.us 403", "a number under ErrorCode"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Status\":\"403\"}]", WIRE_PEOPLE, "15557650002@c.us 403", "a number under Status"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Message\":\"private invitation only\"}]", WIRE_PEOPLE, "15557650002@c.us - private invitation only", "a text under Message"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Rejected\":\"x\"}]", WIRE_OTHER, "", "a field that may be a verdict is no success"},
	{"[{\"JID\":\"15557650002@s.whatsapp.net\",\"Status\":\"success\"}]", WIRE_PEOPLE, "15557650002@c.us yes 200", "a success under Status"},
	{"{\"success\":true,\"data\":{\"id\":\"15557650002@c.us\",\"code\":403}}", WIRE_PEOPLE, "15557650002@c.us 403", "one person's number in an envelope"},
	{"{\"success\":true,\"id\":\"15557650002@c.us\",\"code\":403}", WIRE_PEOPLE, "15557650002@c.us yes 403", "... in the outermost one"},
	{"{\"success\":true,\"data\":{\"phone\":\"15557650002\",\"status\":404}}", WIRE_PEOPLE, "15557650002@c.us 404", "... by telephone number"},
	{"{\"success\":true,\"data\":{\"id\":\"900000000000868@lid\",\"code\":403}}", WIRE_PEOPLE, "900000000000868@lid=900000000000868@lid 403", "... by LID"},
	{"{\"success\":true,\"data\":{\"member\":{\"id\":\"15557650002@c.us\"},\"code\":403}}", WIRE_PEOPLE, "15557650002@c.us 403", "... in an object of their own"},
	{"{\"ok\":true,\"participants\":{\"id\":\"15557650002@c.us\",\"code\":403}}", WIRE_PEOPLE, "15557650002@c.us 403", "... where a list is expected"},
	{"{\"success\":true,\"data\":{\"id\":\"15557650002@c.us\",\"code\":200}}", WIRE_OK, "", "a success of the envelope is not the person's"},
	{"{\"success\":true,\"data\":{\"id\":\"120363012345678901@g.us\",\"code\":403}}", WIRE_REFUSED, "", "a group's number is the call's"},
	{"{\"ok\":false,\"error\":{\"code\":403,\"phone\":\"15557650002\"}}", WIRE_PEOPLE, "15557650002@c.us 403", "an error that names a person"},
	{"{\"phone\":\"15557650002\",\"error\":{\"code\":401}}", WIRE_REFUSED, "", "an error beside a name is the call's"},
	{"{\"ok\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"success\":0}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure as a number"},
	{"{\"ok\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"success\":\"false\"}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure as a text"},
	{"{\"ok\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"is_added\":false}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure under is_added"},
	{"{\"ok\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"failed\":true}]}", WIRE_PEOPLE, "15557650002@c.us no", "a failure that is true"},
	{"{\"ok\":true,\"data\":[{\"id\":\"15557650002@c.us\",\"failed\":false}]}", WIRE_PEOPLE, "15557650002@c.us yes", "... that is false"},
	{"{\"ok\":true,\"failed\":[15557650002]}", WIRE_PEOPLE, "15557650002@c.us no", "a JSON number among the failed"},
	{"{\"ok\":true,\"failed\":\"15557650002@c.us\"}", WIRE_PEOPLE, "15557650002@c.us no", "one name in place of the failed"},
	{"{\"ok\":true,\"failed\":{\"id\":\"15557650002@c.us\",\"reason\":403}}", WIRE_PEOPLE, "15557650002@c.us no 403", "one entry in place of the failed"},
	{"{\"ok\":true,\"added\":{\"id\":\"15557650002@c.us\"},\"failed\":1}", WIRE_OK, "", "one entry in place of the added is not believed"},
	{"{\"ok\":true,\"failed_jids\":[\"15557650002@c.us\"]}", WIRE_PEOPLE, "15557650002@c.us no", "failed_jids"},
	{"{\"ok\":true,\"failedIds\":[\"15557650002@c.us\"]}", WIRE_PEOPLE, "15557650002@c.us no", "failedIds"},
	{"{\"ok\":true,\"failed_phones\":[\"15557650002\"]}", WIRE_PEOPLE, "15557650002@c.us no", "failed_phones"},
	{"{\"ok\":true,\"invalid\":[\"15557650002\"],\"unregistered\":[\"15557650003\"],\"refused\":[\"15557650004\"],\"notOnWhatsapp\":[\"15557650005\"]}",
	WIRE_PEOPLE, "15557650002@c.us no, 15557650003@c.us no, 15557650004@c.us no, 15557650005@c.us no", "other names of such lists"},
	{"{\"ok\":true,\"skipped\":[\"15557650002\"],\"ignored_users\":[15557650003],\"notFound\":\"15557650004\",\"missing\":[{\"id\":\"15557650005\",\"code\":409}]}",
	WIRE_PEOPLE, "15557650002@c.us -, 15557650003@c.us -, 15557650004@c.us -, 15557650005@c.us 409", "lists of those who were passed over are no verdict"},
	{"{\"value\":true,\"phones_not_added\":[15557650002]}", WIRE_PEOPLE, "15557650002@c.us no", "JSON numbers that were not added"},
	{"{\"ok\":true,\"failed\":[\"x\",17,null]}", WIRE_OK, "", "what names nobody among the failed"},
	{"{\"sent\":true,\"upstream_status\":500}", WIRE_REFUSED, "", "a failure that is passed on"},
	{"{\"sent\":true,\"upstream_status\":201}", WIRE_OK, "", "a success that is passed on"},
	{"{\"ok\":true,\"Failed\":[{\"Id\":\"15557650002@c.us\",\"Reason\":\"403\"}]}", WIRE_PEOPLE, "15557650002@c.us no 403", "names in Go's spelling"},
	{"[{\"Phone\":\"15557650002\",\"Code\":403}]", WIRE_PEOPLE, "15557650002@c.us 403", "... of a number"},
	{"{\"statusCode\":401,\"message\":\"Unauthorized\",\"phone\":\"15557650002\"}", WIRE_REFUSED, "", "a status code of the outermost envelope is the call's"},
	{"{\"success\":false,\"code\":403,\"message\":\"You are not an admin\",\"phone\":\"15550000001\"}", WIRE_REFUSED, "", "a code of the outermost envelope is the call's, if that failed"},
	{"{\"ok\":false,\"error\":{\"code\":404,\"phone\":\"15557650002\"}}", WIRE_REFUSED, "", "an error's 404 is the call's"},
	{"{\"ok\":false,\"data\":{\"code\":401,\"phone\":\"15557650002\"}}", WIRE_REFUSED, "", "a 401 in the data of a failure is the call's"},
	{"{\"ok\":false,\"data\":{\"code\":403,\"phone\":\"15557650002\"}}", WIRE_PEOPLE, "15557650002@c.us 403", "a 403 in the data of a failure"},
	{"{\"id\":\"3EB0\",\"ack\":0}", WIRE_OTHER, "", "one that is on its way"},
	{"\xEF\xBB\xBF" "<html>Session not found</html>", WIRE_UNREADABLE, "", "a page behind a byte order mark is a page"},
	{"\xEF\xBB\xBF" "You are not an admin", WIRE_REFUSED, "", "a sentence behind a byte order mark"},
	{"\xEF\xBB\xBF" "[{\"id\":\"15557650002@c.us\",\"status\":403}]", WIRE_PEOPLE, "15557650002@c.us 403", "a list behind a byte order mark"},
};

/* Return what was read of the people of an answer, as answers[] has it. */
static const char *
people_text(const WireAnswer *answer)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < answer->npeople; i++)
	{
		const WirePerson *person = &answer->people[i];

		appendStringInfo(&out, "%s%s%s%s", i ? ", " : "", person->jid.text, person->lid.kind == JID_LID ? "=" : "",
						 person->lid.kind == JID_LID ? person->lid.text : "");
		appendStringInfoString(&out, person->has_failure ? " no" : person->has_success ? " yes" : person->has_code ? "" : " -");
		if (person->has_code)
			appendStringInfo(&out, " %d", person->code);
		if (person->inner_code)
			appendStringInfo(&out, "/%d", person->inner_code);
		if (person->text)
			appendStringInfo(&out, " %s", person->text);
	}
	return out.data;
}

static void
test_people(void)
{
	StringInfoData many;
	WireAnswer	answer;

	for (size_t i = 0; i < lengthof(answers); i++)
	{
		answer = answer_of(answers[i].body);
		is_text(people_text(&answer), answers[i].people, answers[i].about);
		is_int(answer.kind, answers[i].kind, psprintf("kind: %s", answers[i].about));
	}
	initStringInfo(&many);
	for (int i = 0; i < 1000; i++)
		appendStringInfo(&many, "%s\"1555765%04d@c.us\":{\"code\":403}", i ? "," : "{", i);
	appendStringInfoChar(&many, '}');
	answer = answer_of(many.data);
	is_int(answer.npeople, 1000, "a thousand people");
	is_text(answer.people[999].jid.text, "15557650999@c.us", "in their order");
	is_int(answer_of("{\"error\":{\"code\":403,\"message\":\"m\"}}").status, 403, "the number inside an error is its status");
	is_text(answer_of("{\"success\":true,\"data\":{\"success\":false,\"message\":\"m\"}}").text, "m", "the message of an inner refusal");
}

/* A message that WhatsApp did not take fails the request that sent it, not one that reads a group in which it is the last. */
static void
test_acknowledgements(void)
{
	static const struct
	{
		const char *body;
		bool		has_failed;
	}			acks[] =
	{
		{"{\"id\":\"3EB0\",\"ack\":-1}", true},
		{"{\"message\":{\"id\":\"3EB0\",\"_data\":{\"ack\":-1}}}", true},
		{"{\"id\":\"3EB0\",\"ackName\":\"ERROR\"}", true},
		{"{\"id\":\"3EB0\",\"ack\":0}", false},
	};
	const char *group = "{\"id\":\"120363012345678901@g.us\",\"subject\":\"S\",\"message\":{\"ack\":-1}}";
	const char *list = "{\"participants\":[{\"id\":\"15550000001@c.us\"}],\"message\":{\"ack\":-1}}";
	WireMembers members;
	WireGroup	read;

	for (size_t i = 0; i < lengthof(acks); i++)
		is_int(answer_of(acks[i].body).has_failed_ack, acks[i].has_failed, acks[i].body);
	is_int(answer_of(acks[0].body).kind, WIRE_OTHER, "a failed acknowledgement is no refusal of whatever was asked");
	ok(wire_read_group(group, strlen(group), &read, &members), "a group whose last message failed");
	ok(wire_read_members(list, strlen(list), &members) && members.count == 1, "and its members");
}

/* Answers of check-exists; chat, lid: "" if the answer has none. */
static const struct
{
	const char *body;
	WireTruth	truth;
	const char *chat;
	const char *lid;
	const char *about;
}			checks[] =
{
	{"{\"numberExists\":true,\"chatId\":\"15551230011@c.us\"}", WIRE_YES, "15551230011@c.us", "", "a number that exists"},
	{"{\"numberExists\":true,\"chatId\":\"900000000000011@lid\",\"pn\":\"15551230011@c.us\"}", WIRE_YES, "15551230011@c.us", "900000000000011@lid", "GOWS 2026.8.1: pn is the person's number"},
	{"{\"numberExists\":true,\"chatId\":\"900000000000011@lid\",\"pn\":\"551199990011@c.us\"}", WIRE_YES, "551199990011@c.us", "900000000000011@lid", "pn in a Brazilian number's other form"},
	{"{\"numberExists\":true,\"chatId\":\"900000000000011@lid\"}", WIRE_YES, "900000000000011@lid", "900000000000011@lid", "a number that is reported by LID only"},
	{"{\"numberExists\":true,\"chatId\":\"447911123456000@lid\",\"number\":\"447911123456000\"}", WIRE_YES, "447911123456000@lid", "447911123456000@lid", "a number that repeats the LID is none"},
	{"{\"status\":\"success\",\"response\":{\"data\":{\"exists\":true,\"jid\":\"15551230011@s.whatsapp.net\",\"lid\":\"900000000000011@lid\"}}}", WIRE_YES, "15551230011@c.us", "900000000000011@lid", "wrapped, with both"},
	{"[{\"exists\":true,\"jid\":\"15551230011@s.whatsapp.net\"}]", WIRE_YES, "15551230011@c.us", "", "Baileys' array"},
	{"[]", WIRE_UNKNOWN, "", "", "Baileys' empty array is no answer"},
	{"{\"numberExists\":false}", WIRE_NO, "", "", "a no"},
	{"{\"numberExists\":\"false\"}", WIRE_UNKNOWN, "", "", "a word is no answer"},
	{"{\"numberExists\":false,\"error\":\"rate-overlimit\"}", WIRE_UNKNOWN, "", "", "a no beside an error is no answer"},
	{"{\"success\":false,\"numberExists\":false}", WIRE_UNKNOWN, "", "", "nor is one in a refusal"},
	{"{\"numberExists\":true,\"chatId\":\"900000000000011@lid\",\"pn\":\"15551230011\"}", WIRE_YES, "15551230011@c.us", "900000000000011@lid", "pn without a server"},
	{"[{\"Query\":\"15551230011\",\"IsIn\":true,\"JID\":\"15551230011@s.whatsapp.net\"}]", WIRE_YES, "15551230011@c.us", "", "whatsmeow's IsIn"},
	{"{\"code\":\"SUCCESS\",\"results\":{\"is_on_whatsapp\":false}}", WIRE_NO, "", "", "GOWA's no"},
	{"{\"success\":false,\"message\":\"rate-overlimit\"}", WIRE_UNKNOWN, "", "", "a refusal is no answer"},
	{"[{\"exists\":false,\"jid\":\"15551230011@s.whatsapp.net\",\"error\":\"rate-overlimit\"}]", WIRE_UNKNOWN, "15551230011@c.us", "", "nor is a no beside an error in an array"},
	{"{\"data\":[{\"exists\":false,\"error\":\"timeout\"}]}", WIRE_UNKNOWN, "", "", "nor in an array in an envelope"},
	{"{\"results\":{\"exists\":false,\"error\":\"timeout\"}}", WIRE_UNKNOWN, "", "", "nor in results"},
	{"{\"results\":{\"success\":false,\"data\":{\"exists\":false}}}", WIRE_UNKNOWN, "", "", "nor below a refusal in results"},
	{"{\"data\":[{\"exists\":false,\"error\":null}]}", WIRE_NO, "", "", "an error that is null is none"},
	{"{\"exists\":false,\"message\":\"rate-overlimit\"}", WIRE_UNKNOWN, "", "", "a no beside a message"},
	{"{\"numberExists\":false,\"msg\":\"Session not ready\"}", WIRE_UNKNOWN, "", "", "... by another name"},
	{"{\"numberExists\":false,\"Reason\":\"timeout\"}", WIRE_UNKNOWN, "", "", "a no beside a reason"},
	{"{\"numberExists\":false,\"status\":\"timeout\"}", WIRE_UNKNOWN, "", "", "a no beside a status"},
	{"{\"numberExists\":false,\"detail\":[\"query refused\"]}", WIRE_UNKNOWN, "", "", "a no beside details"},
	{"{\"numberExists\":false,\"note\":\"x\"}", WIRE_UNKNOWN, "", "", "a no beside a note"},
	{"{\"numberExists\":false,\"retryAfter\":3600}", WIRE_UNKNOWN, "", "", "a no that is to be asked again"},
	{"{\"message\":\"rate-overlimit\",\"data\":{\"exists\":false}}", WIRE_UNKNOWN, "", "", "a message in the envelope"},
	{"{\"exists\":false,\"message\":\"The number is not registered on WhatsApp\"}", WIRE_NO, "", "", "a message that says the same"},
	{"{\"exists\":false,\"message\":\"\",\"reason\":null}", WIRE_NO, "", "", "a message that is empty"},
	{"{\"numberExists\":false,\"message\":\"Number does not exist on WhatsApp\"}", WIRE_NO, "", "", "... in other words"},
	{"{\"numberExists\":false,\"message\":\"This number is not a WhatsApp user\"}", WIRE_NO, "", "", "no user"},
	{"{\"numberExists\":false,\"message\":\"Contact does not have WhatsApp\"}", WIRE_NO, "", "", "who does not have it"},
	{"{\"numberExists\":false,\"status\":\"invalid_number\"}", WIRE_NO, "", "", "a number that is none"},
	{"{\"numberExists\":false,\"messageId\":\"abc\"}", WIRE_NO, "", "", "an id"},
	{"{\"numberExists\":false,\"status\":\"WORKING\"}", WIRE_NO, "", "", "the session's status"},
	{"{\"success\":true,\"message\":\"Number checked\",\"data\":{\"exists\":false}}", WIRE_NO, "", "", "a message that it was done"},
	{"{\"status\":200,\"message\":\"ok\",\"data\":{\"exists\":false}}", WIRE_NO, "", "", "a message of success"},
	{"{\"code\":\"SUCCESS\",\"message\":\"Success check user\",\"results\":{\"is_on_whatsapp\":false}}", WIRE_NO, "", "", "GOWA's message"},
	{"{\"message\":\"Number checked successfully\",\"data\":{\"exists\":false}}", WIRE_NO, "", "", "a success in more words"},
	{"[{\"exists\":false,\"jid\":\"5531987650001@s.whatsapp.net\"},{\"exists\":true,\"jid\":\"553187650001@s.whatsapp.net\"}]", WIRE_YES, "553187650001@c.us", "", "a yes counts wherever it stands"},
	{"[{\"exists\":false,\"jid\":\"5531987650001@s.whatsapp.net\"},{\"exists\":false,\"reason\":\"timeout\"}]", WIRE_UNKNOWN, "", "", "one no of two that is doubtful"},
	{"[{\"exists\":false},{\"exists\":false}]", WIRE_NO, "", "", "two that are not"},
	{"{\"exists\":true,\"id\":20417385}", WIRE_YES, "", "", "a number of the gateway's own is nobody's telephone number"},
	{"{\"numberExists\":true,\"chatId\":\"162122214421234\"}", WIRE_YES, "", "", "digits without a server may be a LID's"},
	{"{\"exists\":true,\"id\":20417385,\"jid\":\"15551230011@s.whatsapp.net\"}", WIRE_YES, "15551230011@c.us", "", "... beside a JID, which counts"},
};

static void
test_exists(void)
{
	for (size_t i = 0; i < lengthof(checks); i++)
	{
		Jid			chat;
		Jid			lid;

		is_int(wire_read_exists(checks[i].body, strlen(checks[i].body), &chat, &lid), checks[i].truth, checks[i].about);
		is_text(chat.kind == JID_INVALID ? "" : chat.text, checks[i].chat, psprintf("chat: %s", checks[i].about));
		is_text(lid.kind == JID_INVALID ? "" : lid.text, checks[i].lid, psprintf("LID: %s", checks[i].about));
	}
}

/* Lists of requests to join that are the whole list, or a page of it. */
static void
test_request_pages(void)
{
	static const struct
	{
		const char *body;
		bool		has_more;
	}			pages[] =
	{
		{"{\"data\":{\"joinRequests\":[{\"id\":\"15550000001@c.us\"}],\"hasMore\":true}}", true},
		{"{\"joinRequests\":[{\"id\":\"15550000001@c.us\"}],\"pagination\":{\"hasNext\":true}}", true},
		{"{\"joinRequests\":[{\"id\":\"15550000001@c.us\"}],\"total\":57}", true},
		{"{\"requests\":[{\"id\":\"15550000001@c.us\"}],\"next\":\"abc\"}", true},
		{"{\"data\":{\"requests\":[],\"meta\":{\"total\":1}}}", true},
		{"{\"joinRequests\":[{\"id\":\"15550000001@c.us\"}],\"total\":1,\"pagination\":{\"hasNext\":false}}", false},
		{"[{\"id\":\"15550000001@c.us\"}]", false},
		{"{\"success\":true,\"data\":{\"requests\":[],\"total\":0}}", false},
	};
	WireJoinRequests list;

	for (size_t i = 0; i < lengthof(pages); i++)
		ok(wire_read_join_requests(pages[i].body, strlen(pages[i].body), &list) && list.has_more == pages[i].has_more,
		   "%s of the requests: %s", pages[i].has_more ? "a page" : "all", pages[i].body);
}

/* Members whose LIDs fall together in a set do not make it slow: those for whom it has no room count as repeated. */
static void
test_crowded_members(void)
{
	const int	n = 600;
	const uint32 mask = 4095;	/* of a set for two names of each */
	StringInfoData body;
	WireMembers members;
	int			found = 0;

	initStringInfo(&body);
	for (int64 lid = INT64CONST(900000000000000); found < n; lid++)
	{
		char		text[64];

		snprintf(text, sizeof(text), INT64_FORMAT "@lid", lid);
		if ((hash_bytes((const unsigned char *) text, (int) strlen(text)) & mask) == 0)
			appendStringInfo(&body, "%s{\"id\":\"%s\"}", found++ ? "," : "[", text);
	}
	appendStringInfoChar(&body, ']');
	ok(wire_read_members(body.data, body.len, &members) && members.count == n, "a list of members whose LIDs fall together");
	ok(members.repeated > 0 && members.repeated < n, "some of them have no room");
	is_int(wire_count_members(&members), 256, "each of the others is counted");
	for (int i = found = 0; i < n; i++)
		found += wire_find_member(&members, &members.members[i].lid) == &members.members[i];
	is_int(found, n, "everybody is found nevertheless");
	resetStringInfo(&body);
	for (int i = 0; i < 20000; i++)
		appendStringInfo(&body, "%s{\"id\":\"%d@lid\",\"phone\":\"1555%07d@c.us\"}", i ? "," : "[", 900000000 + i, i);
	appendStringInfoChar(&body, ']');
	ok(wire_read_members(body.data, body.len, &members), "a long list");
	is_int(wire_count_members(&members), 20000, "everybody of it is counted");
}

/* Return the first entry of somebody who did not leave, as one finds it without an index; NULL if there is none. */
static const WireMember *
found_by_walking(const WireMembers *list, const Jid *jid)
{
	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT &&
			(jid_same(&list->members[i].phone, jid) || jid_same(&list->members[i].lid, jid)))
			return &list->members[i];
	return NULL;
}

/* Append an entry of somebody: by number, by LID or by both; some are there twice, some left. */
static void
append_entry(StringInfo body, int who)
{
	const char *role = who % 11 == 0 ? "left" : "member";

	appendStringInfoString(body, body->len ? "," : "[");
	if (who % 3 == 0)
		appendStringInfo(body, "{\"id\":\"55119%08d@c.us\",\"role\":\"%s\"}", 60000000 + who, role);
	else if (who % 3 == 1)
		appendStringInfo(body, "{\"id\":\"9000000%08d@lid\",\"role\":\"%s\"}", who, role);
	else
		appendStringInfo(body, "{\"id\":\"9000000%08d@lid\",\"phone\":\"5511%08d@c.us\",\"role\":\"%s\"}", who, 60000000 + who, role);
}

/* The index of a list finds whom a walk finds, in both forms of a number. */
static void
test_index(void)
{
	static const char *const forms[] = {"55119%08d@c.us", "5511%08d@c.us", "9000000%08d@lid"};
	StringInfoData body;
	WireMembers list;
	int			differences = 0;
	int			found = 0;

	initStringInfo(&body);
	for (int i = 0; i < 900; i++)
		append_entry(&body, i % 800);
	appendStringInfoChar(&body, ']');
	ok(wire_read_members(body.data, body.len, &list) && list.count == 900, "a list of 900 entries");
	for (int i = 0; i < 1000 * (int) lengthof(forms); i++)
	{
		const char *text = psprintf(forms[i % lengthof(forms)], i % lengthof(forms) == 2 ? i / 3 : 60000000 + i / 3);
		Jid			jid = jid_parse(text, strlen(text));
		const WireMember *walked = found_by_walking(&list, &jid);

		found += walked != NULL;
		differences += wire_find_member(&list, &jid) != walked;
	}
	ok(found > 1000, "many of 3,000 names are in it: %d", found);
	is_int(differences, 0, "the index finds whom a walk finds");
}

/* Entries are not read when the index has a free slot where somebody would be. */
static void
test_index_alone(void)
{
	Jid			me = jid_parse("15550000001@c.us", 16);
	Jid			nobody = {.kind = JID_INVALID};
	MembersKnown known = {.stated = -1};
	StringInfoData body;
	WireMembers list;
	int			asked = 0;
	int			absent = 0;

	initStringInfo(&body);
	for (int i = 0; i < 1000; i++)
		appendStringInfo(&body, "%s\"1555%07d@c.us\"", i ? "," : "[", i);
	appendStringInfoChar(&body, ']');
	ok(wire_read_members(body.data, body.len, &list) && wire_find_member(&list, &me) != NULL, "a list of 1,000 members");
	list.members = NULL;
	for (int i = 0; i < 1000; i++)
	{
		char	   *text = psprintf("1556%07d@c.us", i);
		Jid			jid = jid_parse(text, strlen(text));

		if (list.slots[jid_hash(&jid) & list.mask])
			continue;
		asked++;
		absent += members_presence(&list, &known, &jid, &nobody) == PRESENCE_ABSENT;
	}
	ok(asked > 400, "%d people have a free slot", asked);
	is_int(absent, asked, "they are absent, and no entry was read for that");
}

int
main(void)
{
	test_index();
	test_index_alone();
	test_lists();
	test_roles();
	test_sessions();
	test_groups();
	test_group_size();
	test_inner_refusals();
	test_descriptions();
	test_engine_codes();
	test_people();
	test_acknowledgements();
	test_exists();
	test_request_pages();
	test_crowded_members();
	test_requests();
	test_invites();
	test_ids();
	test_errors_under_success();
	test_broken_answers();
	return done_testing();
}
