/*
 * member_list_test.c
 *	  Verdicts by member lists, one case per row.
 */
#include "postgres_fe.h"

#include "protocol/member_list.h"
#include "tap.h"

#define ME "15550000001@c.us"
#define US "\"15550000001@c.us\""
#define WITH(others) "[" US others "]"
#define TWO WITH(",\"15550000002@c.us\"")
#define WHO "15554440000"
#define LID "900000000000011@lid"

static WireMembers
list_of(const char *body)
{
	WireMembers list;

	if (!wire_read_members(body, strlen(body), &list))
		memset(&list, 0, sizeof(list));
	return list;
}

static Jid
jid_of(const char *text)
{
	return jid_parse(text, strlen(text));
}

static const struct
{
	const char *list;
	int			stated;
	const char *me;
	bool		is_shrunk;
	MembersGap	gap;
	const char *text;			/* NULL: none */
	const char *about;
}			gaps[] =
{
	{TWO, -1, "", false, MEMBERS_COMPLETE, NULL, "a list of which nothing else is known"},
	{TWO, 2, ME, false, MEMBERS_COMPLETE, NULL, "as many members as group info states, including our own account"},
	{TWO, 1, ME, false, MEMBERS_COMPLETE, NULL, "more members than group info states, which is older"},
	{TWO, 1000, ME, false, MEMBERS_FEWER, "the list has 2 of 1000 members", "fewer members than group info states"},
	{"[" US ",\"x@newserver\",7]", -1, "", false, MEMBERS_UNREAD, "the list has 2 entries that are not understood", "two entries that are not understood"},
	{"[" US ",\"x@newserver\"]", -1, "", false, MEMBERS_UNREAD, "the list has 1 entry that is not understood", "one entry that is not understood"},
	{"[\"15550000002@c.us\"]", -1, ME, false, MEMBERS_WITHOUT_US, "the list does not have the instance's own account", "our own account is missing"},
	{"[\"900000000000002@lid\"]", -1, ME, false, MEMBERS_COMPLETE, NULL, "a LID may be our own if our LID is not known"},
	{"[\"900000000000002@lid\"]", -1, "900000000000001@lid", false, MEMBERS_WITHOUT_US, "the list does not have the instance's own account", "another LID is not our own if our LID is known"},
	{"[]", -1, "", false, MEMBERS_WITHOUT_US, "the list does not have the instance's own account", "an empty list: we are members ourselves"},
	{WITH(",\"15550000002@c.us\",\"15550000002@s.whatsapp.net\""), 3, ME, false, MEMBERS_FEWER, "the list has 2 of 3 members", "somebody who is listed twice counts once"},
	{WITH(",{\"id\":\"15550000002@c.us\",\"lid\":\"900000000000002@lid\"},\"900000000000002@lid\""), 3, ME, false, MEMBERS_FEWER, "the list has 2 of 3 members", "somebody who is listed by number and by LID counts once"},
	{WITH(",{\"id\":\"15550000002@c.us\",\"role\":\"left\"}"), 2, ME, false, MEMBERS_FEWER, "the list has 1 of 2 members", "somebody who left does not make up the number"},
	{WITH(",{\"id\":\"15550000002@c.us\",\"role\":\"left\"},\"15550000002@c.us\""), 2, ME, false, MEMBERS_COMPLETE, NULL, "somebody who left and came back counts once"},
	{WITH(",\"15550000002@c.us\",\"900000000000002@lid\",{\"id\":\"15550000002@c.us\",\"lid\":\"900000000000002@lid\"}"), 3, ME, false, MEMBERS_COMPLETE, NULL, "an entry with the number of one and the LID of another counts for neither"},
	{"{\"data\":{\"total\":1000,\"participants\":" TWO "}}", -1, ME, false, MEMBERS_FEWER, "the list has 2 of 1000 members", "fewer members than the envelope of the list states"},
	{"{\"response\":{\"data\":{\"participantsCount\":\"1000\",\"members\":" TWO "}}}", -1, ME, false, MEMBERS_FEWER, "the list has 2 of 1000 members", "the same deeper, as a text"},
	{"{\"participants\":" TWO ",\"hasMore\":true}", -1, ME, false, MEMBERS_PAGE, "the list has the first 2 members only", "a page of a list"},
	{"{\"participants\":" TWO ",\"nextCursor\":\"x\"}", -1, ME, false, MEMBERS_PAGE, "the list has the first 2 members only", "a page with a cursor"},
	{"{\"participants\":" TWO ",\"hasMore\":false,\"nextCursor\":null,\"total\":2}", -1, ME, false, MEMBERS_COMPLETE, NULL, "the last page"},
	{TWO, -1, ME, false, MEMBERS_UNTOLD, "the group's description, which may state how many there are, could not be read", "a description that could not be read"},
	{TWO, -1, ME, true, MEMBERS_SHRUNK, "the list has suddenly shrunk to 2 members", "a list that has suddenly shrunk"},
};

static MembersKnown
known_of(int stated, const char *me)
{
	MembersKnown known = {.stated = stated};
	Jid			jid = jid_of(me);

	if (jid.kind == JID_LID)
		known.me_lid = jid;
	else
		known.me = jid;
	return known;
}

static void
test_gaps(void)
{
	for (size_t i = 0; i < lengthof(gaps); i++)
	{
		WireMembers list = list_of(gaps[i].list);
		MembersKnown known = known_of(gaps[i].stated, gaps[i].me);

		known.is_shrunk = gaps[i].is_shrunk;
		known.is_untold = strstr(gaps[i].about, "could not be read") != NULL;
		is_int(members_gap(&list, &known), gaps[i].gap, gaps[i].about);
		is_text(members_gap_text(&list, &known), gaps[i].text, gaps[i].about);
	}
}

/* Lists of people by number, by LID or by both in turn; the last entries are of people who have one already. */
static const struct
{
	int			entries;
	int			repeats;		/* entries that are not the first of their member */
}			crowds[] = {{1024, 0}, {1024, 24}, {20000, 0}, {20000, 1}, {20000, 5000}};

static void
test_repeats(void)
{
	for (size_t i = 0; i < lengthof(crowds); i++)
	{
		int			members = crowds[i].entries - crowds[i].repeats;
		StringInfoData body;
		WireMembers list;

		initStringInfo(&body);
		for (int k = 0; k < crowds[i].entries; k++)
		{
			int			who = k < members ? k : (k - members) * 2;
			bool		is_again = k >= members;

			appendStringInfoString(&body, k ? "," : "[");
			if (who % 3 == 0)
				appendStringInfo(&body, "\"%d@c.us\"", 1555000000 + who);
			else if (who % 3 == 1)
				appendStringInfo(&body, "{\"jid\":\"9000000%08d@lid\"}", who);
			else
				appendStringInfo(&body, "{\"id\":\"9000000%08d@lid\",\"pn\":\"%d@c.us\"}", is_again ? who + 1000000 : who, 1555000000 + who);
		}
		appendStringInfoChar(&body, ']');
		list = list_of(body.data);
		is_int(list.count, crowds[i].entries, "all entries of a long list are kept");
		is_int(wire_count_members(&list), members, psprintf("%d entries of %d members", crowds[i].entries, members));
	}
}

#define MINUTE INT64CONST(60000)

/* Lists of these sizes, read at these times. */
static const struct
{
	int			size;
	int64		at;
	bool		is_believed;
	const char *about;
}			sizes[] =
{
	{41, 0, true, "the first list of a group"},
	{40, MINUTE, true, "one member fewer"},
	{20, 2 * MINUTE, false, "half of the group is gone"},
	{20, 3 * MINUTE, false, "another list shortly after does not confirm it"},
	{20, 61 * MINUTE, false, "nor does one within the hour"},
	{41, 62 * MINUTE, true, "all members are there again"},
	{20, 63 * MINUTE, false, "half of the group is gone again"},
	{19, 124 * MINUTE, true, "a list an hour later confirms it"},
	{12, 125 * MINUTE, false, "a third of the group is gone, more than five"},
	{5, 190 * MINUTE, false, "a further loss is not confirmed by the one before"},
	{5, 251 * MINUTE, true, "a list an hour later confirms the further loss"},
	{1, 252 * MINUTE, true, "a loss of four is believed"},
	{100, 253 * MINUTE, true, "a growing list is believed"},
	{80, 254 * MINUTE, true, "a loss of a fifth is believed"},
};

static void
test_sizes(void)
{
	MembersPast past = {0};

	for (size_t i = 0; i < lengthof(sizes); i++)
	{
		WireMembers list = {.count = sizes[i].size, .shown = {[WIRE_SHOWS_PHONE] = sizes[i].size}, .stated = -1};

		is_int(members_note_size(&past, &list, sizes[i].at), sizes[i].is_believed, sizes[i].about);
	}
}

#define ADD WAWP_OP_ADD
#define LAST true

static const struct
{
	WawpOperation operation;
	const char *person;
	const char *lid;
	WawpOutcome before;
	bool		is_last;
	const char *list;
	int			stated;
	bool		asks_approval;
	int			capacity;
	MembersVerdict verdict;
	bool		is_settled;
	WawpOutcome outcome;
	const char *about;
}			cases[] =
{
	{ADD, WHO, "", WAWP_ACCEPTED, false, WITH(",\"15554440000@c.us\""), -1, false, 0, VERDICT_YES, true, WAWP_ADDED, "accepted and listed"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, WITH(",\"15554440000@hosted\""), 1000, false, 0, VERDICT_YES, true, WAWP_ADDED, "accepted and listed under another server, in an incomplete list"},
	{ADD, WHO, LID, WAWP_ACCEPTED, false, WITH(",\"" LID "\""), -1, false, 0, VERDICT_YES, true, WAWP_ADDED, "accepted and listed by a known LID"},
	{ADD, WHO, "", WAWP_ALREADY_MEMBER, false, WITH(",\"15554440000@c.us\""), -1, false, 0, VERDICT_YES, true, WAWP_ALREADY_MEMBER, "already a member and listed"},
	{ADD, WHO, "", WAWP_PRIVACY_BLOCKED, false, WITH(",\"15554440000@c.us\""), -1, false, 0, VERDICT_YES, true, WAWP_ADDED, "refused and listed"},
	{ADD, WHO, "", WAWP_ACCEPTED, false, TWO, -1, false, 0, VERDICT_NO, false, WAWP_ACCEPTED, "accepted and not listed yet"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, TWO, -1, false, 1024, VERDICT_NO, true, WAWP_PRIVACY_BLOCKED, "accepted and not listed at the last reading"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, TWO, -1, false, 2, VERDICT_NO, true, WAWP_GROUP_FULL, "accepted and not listed in a full group"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, TWO, -1, true, 1024, VERDICT_NO, true, WAWP_PENDING_APPROVAL, "accepted and not listed in a group with approval"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, TWO, 1000, false, 1024, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "accepted and not among two of a thousand"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, WITH(",\"x@newserver\""), -1, true, 2, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "accepted and not in a list that is not understood"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, WITH(",\"900000000000002@lid\""), -1, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "accepted and not in a list with a LID that may be the person's"},
	{ADD, WHO, LID, WAWP_ACCEPTED, LAST, "[{\"id\":\"15550000001@c.us\",\"lid\":\"900000000000001@lid\"},\"900000000000002@lid\"]", -1, false, 0, VERDICT_NO, true, WAWP_PRIVACY_BLOCKED, "accepted and not in a list with another LID, the person's being known"},
	{ADD, WHO, "", WAWP_ACCEPTED, LAST, "[\"15550000002@c.us\"]", -1, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "accepted and not in a list without our own account"},
	{ADD, WHO, "", WAWP_PRIVACY_BLOCKED, false, TWO, -1, false, 0, VERDICT_NO, true, WAWP_PRIVACY_BLOCKED, "refused and not listed"},
	{ADD, WHO, "", WAWP_UNKNOWN_RESULT, LAST, TWO, -1, false, 0, VERDICT_NO, false, WAWP_UNKNOWN_RESULT, "result unknown and not listed"},
	{ADD, WHO, "", WAWP_UNRECOGNISED, LAST, TWO, -1, false, 2, VERDICT_NO, false, WAWP_UNRECOGNISED, "answer not recognised and not listed"},
	{ADD, WHO, "", WAWP_ADDED, LAST, TWO, -1, false, 0, VERDICT_NO, false, WAWP_ADDED, "added and not listed"},
	{WAWP_OP_SEND, WHO, "", WAWP_ACCEPTED, false, WITH(",\"15554440000@c.us\""), -1, false, 0, VERDICT_YES, true, WAWP_ALREADY_MEMBER, "an invitation of a member"},
	{WAWP_OP_REMOVE, WHO, "", WAWP_ACCEPTED, LAST, TWO, -1, false, 0, VERDICT_YES, true, WAWP_REMOVED, "removed and not listed"},
	{WAWP_OP_REMOVE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",\"15554440000@hosted\""), -1, false, 0, VERDICT_NO, false, WAWP_ACCEPTED, "removed and still listed"},
	{WAWP_OP_REMOVE, WHO, "", WAWP_ACCEPTED, LAST, TWO, 1000, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "removed and not among two of a thousand"},
	{WAWP_OP_REMOVE, LID, "", WAWP_ACCEPTED, LAST, TWO, -1, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "a removed LID and a list by phone number"},
	{WAWP_OP_PROMOTE, LID, "", WAWP_ACCEPTED, LAST, TWO, -1, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "a promoted LID and a list by phone number"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",{\"id\":\"15554440000@c.us\",\"role\":\"admin\"}"), -1, false, 0, VERDICT_YES, true, WAWP_PROMOTED, "promoted and listed as an admin"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",{\"jid\":\"15554440000@s.whatsapp.net\",\"is_admin\":true}"), -1, false, 0, VERDICT_YES, true, WAWP_PROMOTED, "promoted and listed as an admin, as GOWA has it"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",{\"id\":\"15554440000@c.us\",\"roles\":[\"admin\"]}"), -1, false, 0, VERDICT_YES, true, WAWP_PROMOTED, "promoted and listed with the roles of an admin"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",{\"id\":\"15554440000@c.us\",\"role\":\"member\"}"), -1, false, 0, VERDICT_NO, false, WAWP_ACCEPTED, "promoted and listed as a member"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, "[{\"id\":" US ",\"isAdmin\":true},{\"id\":\"15554440000@c.us\"}]", -1, false, 0, VERDICT_NO, false, WAWP_ACCEPTED, "promoted and not listed as an admin beside one"},
	{WAWP_OP_PROMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",\"15554440000@c.us\""), -1, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "promoted and in a list without roles"},
	{WAWP_OP_DEMOTE, WHO, LID, WAWP_ACCEPTED, LAST, WITH(",{\"id\":\"" LID "\",\"admin\":null}"), 1000, false, 0, VERDICT_YES, true, WAWP_DEMOTED, "demoted and listed by LID as a member"},
	{WAWP_OP_DEMOTE, WHO, LID, WAWP_ACCEPTED, LAST, WITH(",\"" LID "\""), 1000, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "demoted and in a list without roles"},
	{WAWP_OP_DEMOTE, WHO, "", WAWP_ACCEPTED, LAST, WITH(",{\"id\":\"15554440000@c.us\",\"isGroupAdmin\":true}"), -1, false, 0, VERDICT_NO, false, WAWP_ACCEPTED, "demoted and listed as an admin of the group"},
	{WAWP_OP_DEMOTE, WHO, "", WAWP_ACCEPTED, LAST, TWO, 1000, false, 0, VERDICT_UNKNOWN, false, WAWP_ACCEPTED, "demoted and not among two of a thousand"},
};

static void
test_cases(void)
{
	for (size_t i = 0; i < lengthof(cases); i++)
	{
		Jid			person = jid_of(cases[i].person);
		Jid			lid = jid_of(cases[i].lid);
		WireMembers list = list_of(cases[i].list);
		MembersKnown known = known_of(cases[i].stated, ME);
		MembersCase asked = {
			.person = &person,
			.lid = &lid,
			.operation = cases[i].operation,
			.outcome = cases[i].before,
			.is_last = cases[i].is_last
		};
		MembersFinding finding;

		known.asks_approval = cases[i].asks_approval;
		known.capacity = cases[i].capacity;
		finding = members_judge(&list, &known, &asked);
		is_int(finding.verdict, cases[i].verdict, psprintf("verdict: %s", cases[i].about));
		is_int(finding.is_settled, cases[i].is_settled, psprintf("settled: %s", cases[i].about));
		is_text(outcome_info(finding.outcome)->name, outcome_info(cases[i].outcome)->name, psprintf("outcome: %s", cases[i].about));
	}
}

/* Requests to join, and whether WHO, whose LID is LID if that is known, is among those who asked. */
static const struct
{
	const char *requests;
	bool		has_lid;
	Presence	presence;
	const char *about;
}			joins[] =
{
	{"[]", true, PRESENCE_ABSENT, "nobody asks"},
	{"[{\"requesterId\":\"" LID "\"}]", true, PRESENCE_PRESENT, "by LID"},
	{"[{\"requesterId\":\"" LID "\"}]", false, PRESENCE_UNKNOWN, "by a LID that may be theirs"},
	{"[{\"requesterId\":\"900000000000099@lid\"}]", true, PRESENCE_ABSENT, "another LID"},
	{"[{\"requesterId\":\"900000000000099@lid\",\"requesterPn\":\"" WHO "@c.us\"}]", false, PRESENCE_PRESENT, "by the number beside a LID"},
	{"[{\"requesterId\":\"900000000000099@lid\",\"requesterPn\":\"15554440001@c.us\"}]", false, PRESENCE_ABSENT, "another number beside a LID"},
	{"[{\"requesterId\":\"15554440001@c.us\"}]", true, PRESENCE_ABSENT, "another number"},
	{"[{\"requesterId\":\"15554440001@c.us\",\"requestMethod\":\"NonAdminAdd\"}]", true, PRESENCE_UNKNOWN, "somebody who proposed another"},
	{"[{\"requesterId\":\"15550000001@c.us\"}]", true, PRESENCE_UNKNOWN, "our own account, which proposed somebody"},
	{"[{\"requesterId\":\"x@newserver\"}]", true, PRESENCE_UNKNOWN, "an entry that is not understood"},
	{"[{\"requesterId\":\"x@newserver\"},{\"requesterId\":\"" WHO "@s.whatsapp.net\"}]", false, PRESENCE_PRESENT, "behind an entry that is not understood"},
	{"{\"data\":[],\"hasMore\":true}", true, PRESENCE_UNKNOWN, "a page of a list"},
};

static void
test_joins(void)
{
	for (size_t i = 0; i < lengthof(joins); i++)
	{
		MembersKnown known = known_of(-1, ME);
		Jid			person = jid_of(WHO "@c.us");
		Jid			lid = jid_of(joins[i].has_lid ? LID : "");
		WireJoinRequests list = {0};

		ok(wire_read_join_requests(joins[i].requests, strlen(joins[i].requests), &list), "requests: %s", joins[i].about);
		is_int(members_ask_to_join(&list, &known, &person, &lid), joins[i].presence, psprintf("asks: %s", joins[i].about));
	}
}

int
main(void)
{
	test_joins();
	test_gaps();
	test_repeats();
	test_sizes();
	test_cases();
	return done_testing();
}
