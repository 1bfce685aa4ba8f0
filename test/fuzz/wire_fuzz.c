/*
 * wire_fuzz.c
 *	  Answers: every reader reads any bytes, and what it found holds.
 */
#include "fuzz.h"

#include "protocol/outcome.h"
#include "protocol/wire.h"

/* Check what is said of people, and ask what it means. */
static void
read_answer(const char *body, size_t size)
{
	WireAnswer	answer = wire_read_answer(body, size);

	fuzz_check(answer.npeople == 0 || answer.kind == WIRE_PEOPLE, "only an answer about people has people");
	fuzz_check(answer.text == NULL || fuzz_is_utf8(answer.text), "a message is UTF-8");
	for (int i = 0; i < answer.npeople; i++)
	{
		const WirePerson *person = &answer.people[i];

		fuzz_check(person->jid.kind != JID_GROUP && person->lid.kind != JID_GROUP, "a person is no group");
		outcome_of_person(WAWP_OP_ADD, person->code, person->inner_code, person->text, i > 0);
	}
	outcome_of_refusal(WAWP_OP_ADD, 500, answer.engine_code, answer.code, answer.text,
					   answer.is_json ? BODY_JSON : BODY_SENTENCE);
}

/* Check the groups of a list, and of a description. */
static void
read_groups(const char *body, size_t size)
{
	WireGroups	groups;
	WireGroup	group;
	WireMembers members;

	if (wire_read_groups(body, size, &groups))
		for (int i = 0; i < groups.count; i++)
			fuzz_check(groups.groups[i].jid == NULL || jid_is_group_text(groups.groups[i].jid, strlen(groups.groups[i].jid)),
					   "a group of a list has a group's identifier");
	if (wire_read_group(body, size, &group, &members))
		fuzz_check(group.size >= -1, "a size is no less than not told");
}

/* Check requests to join, and the small answers. */
static void
read_others(const char *body, size_t size)
{
	WireSession session;
	WireJoinRequests requests;
	Jid			jid = {0};
	Jid			lid = {0};
	char	   *created = wire_read_created(body, size);

	fuzz_check(created == NULL || jid_is_group_text(created, strlen(created)), "what was created is a group");
	wire_read_invite(body, size);
	wire_read_message_id(body, size);
	if (wire_read_session(body, size, &session))
	{
		wire_session_is_usable(&session);
		wire_session_is_starting(&session);
		fuzz_check(session.me.kind != JID_GROUP && session.me_lid.kind != JID_PERSON, "an account is a number and a LID");
	}
	wire_read_exists(body, size, &jid, &lid);
	fuzz_check(lid.kind == JID_INVALID || lid.kind == JID_LID, "a LID is one");
	lid = wire_read_lid(body, size);
	fuzz_check(lid.kind == JID_INVALID || lid.kind == JID_LID, "a LID that was asked for is one");
	if (wire_read_join_requests(body, size, &requests))
		for (int i = 0; i < requests.count; i++)
			fuzz_check(requests.requests[i].jid.kind != JID_GROUP, "no group asks to join");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_answer((const char *) data, size);
	read_groups((const char *) data, size);
	read_others((const char *) data, size);
	fuzz_end();
	return 0;
}
