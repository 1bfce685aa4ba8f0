/*
 * member_list_fuzz.c
 *	  Member lists: who is in one is found, absence needs a list that is whole.
 *
 * The input is two bytes (what is known of the group, what was requested) and a list.
 */
#include "fuzz.h"

#include "protocol/member_list.h"

/* A number and a LID that no sample has. */
#define STRANGER "15559990000@c.us"
#define STRANGER_LID "99955500001111@lid"

static Jid
jid_of(const char *text)
{
	return jid_parse(text, strlen(text));
}

/* Check that everybody who is listed is found, by number and by LID. */
static void
check_listed(const WireMembers *list, const MembersKnown *known)
{
	static const Jid nobody;

	for (int i = 0; i < list->count; i++)
	{
		const WireMember *member = &list->members[i];

		if (member->role == WIRE_ROLE_LEFT)
			continue;
		fuzz_check(member->jid.kind != JID_GROUP, "a member is no group");
		if (member->phone.kind == JID_PERSON)
			fuzz_check(members_presence(list, known, &member->phone, &nobody) == PRESENCE_PRESENT, "a number that is listed is found");
		if (member->lid.kind == JID_LID)
			fuzz_check(members_presence(list, known, &member->lid, &nobody) == PRESENCE_PRESENT, "a LID that is listed is found");
	}
}

/* Check what a list says of somebody. */
static void
check_judged(const WireMembers *list, const MembersKnown *known, const MembersCase *asked)
{
	MembersFinding finding = members_judge(list, known, asked);
	bool		is_whole = members_gap(list, known) == MEMBERS_COMPLETE;

	fuzz_check(is_whole == (members_gap_text(list, known) == NULL), "a gap has words");
	fuzz_check(is_whole || !finding.by_absence, "nobody is absent by a list that is not whole");
	fuzz_check(!finding.by_absence || (!wire_find_member(list, asked->person) && !wire_find_member(list, asked->lid)),
			   "who is absent is not listed");
	if (finding.verdict == VERDICT_YES && asked->operation != WAWP_OP_REMOVE)
		fuzz_check(wire_find_member(list, asked->person) || wire_find_member(list, asked->lid), "who is in is listed");
	if (finding.verdict == VERDICT_YES && asked->operation == WAWP_OP_REMOVE)
		fuzz_check(finding.by_absence, "who was removed is absent");
}

/* Check each operation for one person. */
static void
check_person(const WireMembers *list, const MembersKnown *known, const Jid *person, const Jid *lid, unsigned char asked_for)
{
	static const WawpOperation operations[] = {WAWP_OP_ADD, WAWP_OP_REMOVE, WAWP_OP_PROMOTE, WAWP_OP_DEMOTE, WAWP_OP_SEND};
	static const WawpOutcome outcomes[] = {WAWP_ACCEPTED, WAWP_ADDED, WAWP_UNKNOWN_RESULT, WAWP_PRIVACY_BLOCKED};

	for (size_t i = 0; i < lengthof(operations); i++)
	{
		MembersCase asked = {
			.person = person,
			.lid = lid,
			.operation = operations[i],
			.outcome = outcomes[asked_for % lengthof(outcomes)],
			.was_invited = (asked_for & 4) != 0,
			.is_last = (asked_for & 8) != 0,
		};

		check_judged(list, known, &asked);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput	input = fuzz_begin(data, size);
	unsigned char facts = fuzz_take_byte(&input);
	unsigned char asked_for = fuzz_take_byte(&input);
	Jid			stranger = jid_of(STRANGER);
	Jid			stranger_lid = jid_of(STRANGER_LID);
	WireMembers list;

	if (wire_read_members(input.at, input.end - input.at, &list))
	{
		MembersKnown known = {
			.stated = (facts & 1) ? list.count : -1,
			.is_untold = (facts & 2) != 0,
			.is_shrunk = (facts & 4) != 0,
			.asks_approval = (facts & 8) != 0,
			.capacity = (facts & 16) ? 1024 : 0,
		};

		if ((facts & 32) && list.count > 0)
			known.me = list.members[0].jid;
		fuzz_check(wire_count_members(&list) <= list.count && members_size(&list, &known) >= wire_count_members(&list),
				   "a group has no fewer people than are listed");
		check_listed(&list, &known);
		check_person(&list, &known, &stranger, &stranger_lid, asked_for);
		if (list.count > 0)
			check_person(&list, &known, &list.members[list.count - 1].phone, &list.members[list.count - 1].lid, asked_for);
	}
	fuzz_end();
	return 0;
}
