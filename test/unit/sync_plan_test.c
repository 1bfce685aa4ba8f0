/*
 * sync_plan_test.c
 *	  The difference between who is in a group and who should be, one case per row.
 */
#include "postgres_fe.h"

#include "protocol/sync_plan.h"
#include "tap.h"

#define ME "15550000001@c.us"
#define MY_LID "900000000000001@lid"
#define US "{\"id\":\"15550000001@c.us\",\"lid\":\"900000000000001@lid\",\"admin\":\"superadmin\"}"
#define A "15551110001"
#define B "15551110002"
#define C "15551110003"
#define JID(who) who "@c.us"
#define LISTED(who) ",\"" who "@c.us\""
#define LID_A "900000000000011@lid"
#define LID_B "900000000000012@lid"
#define LISTED_LID(lid) ",\"" lid "\""
#define MANY "15552220001 15552220002 15552220003 15552220004 15552220005"
#define ADDED(n) "+1555222000" n "@c.us: not in the group. "
#define UNSURE(list) "?: nobody is removed: " list ". "
#define BY_LID_ONLY "not known whether they are in the group: the list has people by privacy id only"

/* Person, LID; wanted people and those whom we added are written "number=lid/known_as", with a space between two. */
static const struct
{
	const char *list;			/* without us */
	const char *wanted;
	const char *added;
	const char *options;		/* all: not only whom we added; pct=N; size=N; bar, noadd, noremove, wait, nobody */
	const char *plan;
	const char *about;
}			cases[] =
{
	{"", "", "", "", "", "nobody is in the group or wanted"},
	{LISTED(A), A, A, "", "", "who is wanted is in the group"},
	{"", A, "", "", "+" JID(A) ": not in the group. ", "an addition"},
	{"", A " " B, "", "", "+" JID(A) ": not in the group. +" JID(B) ": not in the group. ", "additions, in the order given"},
	{"", A " +1(555)111-0001 " A, "", "", "+" JID(A) ": not in the group. ", "somebody who is wanted three times"},
	{"", "5531987654321 553187654321", "", "", "+5531987654321@c.us: not in the group. ", "somebody who is wanted in both forms of a number"},
	{LISTED("553187654321"), "5531987654321", "", "", "", "a member in the other form of the number"},
	{LISTED(B), A "=/" B, "", "", "", "a member by the number that WhatsApp has"},

	/* removals */
	{LISTED(A) LISTED(B), B, A, "pct=50", "-" JID(A) ": in the group, and not wanted. ", "a removal"},
	{LISTED(A) LISTED(B), B, "", "pct=50", "=" JID(A) ": not removed: not added by wawp (managed_only). ", "somebody whom we did not add"},
	{LISTED(A) LISTED(B), B, "", "all pct=50", "-" JID(A) ": in the group, and not wanted. ", "likewise, where that does not matter"},
	{",{\"id\":\"" JID(A) "\",\"isAdmin\":true}" LISTED(B), B, A, "all pct=100", "=" JID(A) ": not removed: an admin of the group. ", "an admin"},
	{",{\"id\":\"" JID(A) "\",\"lid\":\"" LID_A "\"},{\"id\":\"" LID_A "\",\"admin\":\"admin\"}" LISTED(B), B, A, "all pct=100", "=" JID(A) ": not removed: an admin of the group. ", "an admin by another entry"},
	{",{\"id\":\"" JID(A) "\",\"roles\":[\"admin\"]}" LISTED(B), B, A, "all pct=100", "=" JID(A) ": not removed: an admin of the group. ", "an admin by a list of roles"},
	{",{\"id\":\"" JID(A) "\",\"role\":\"vip\"}" LISTED(B), B, A, "all pct=100", "=" JID(A) ": not removed: the list does not tell whether this is an admin of the group. ", "a role that is not understood"},
	{",{\"id\":\"" JID(A) "\",\"role\":\"left\"}" LISTED(B), B, A, "pct=100", "", "somebody who left"},
	{LISTED(A) LISTED(B), B, A, "pct=34", "-" JID(A) ": in the group, and not wanted. ", "as many as max_remove_pct allows"},
	{LISTED(A) LISTED(B), C, A " " B, "pct=66", "+" JID(C) ": not in the group. =" JID(A) ": not removed: 2 of 3 members would go, more than max_remove_pct (66). =" JID(B) ": not removed: 2 of 3 members would go, more than max_remove_pct (66). ", "more than it allows: nobody"},
	{LISTED(A) LISTED(B), C, A " " B, "pct=67", "+" JID(C) ": not in the group. -" JID(A) ": in the group, and not wanted. -" JID(B) ": in the group, and not wanted. ", "two of three"},
	{LISTED(A) LISTED(B), B, A, "pct=0", "=" JID(A) ": not removed: 1 of 3 members would go, more than max_remove_pct (0). ", "nobody is ever removed"},
	{LISTED(A), "", A, "pct=99", "=" JID(A) ": not removed: nobody is wanted, which removes people only with max_remove_pct = 100. ", "nobody is wanted"},
	{LISTED(A), "", A, "pct=100", "-" JID(A) ": in the group, and not wanted. ", "nobody is wanted, and all may be removed"},
	{LISTED(A), "Ana", A, "pct=100", "?Ana: it has letters. =" JID(A) ": not removed: none of the elements names a person. ", "no element names a person"},
	{LISTED(A) LISTED(B), B, A, "pct=100 noremove", "=" JID(A) ": not removed: forbidden. ", "a group from which nobody may be removed"},
	{LISTED(A) LISTED(B), B, A, "pct=100 nobody", UNSURE("it is not known which of the members is the instance's own account") "=" ME ": not removed: an admin of the group. =" JID(A) ": not removed: it is not known which of the members is the instance's own account. ", "our own account is not known"},

	/* elements that name nobody */
	{LISTED(B), "Ana " B " Ana", "", "", "?Ana: it has letters. ", "a name, twice"},
	{LISTED(A) LISTED(B) LISTED(C), B " " A ".0 05551110003", A " " C, "pct=100", "?" A ".0: it is refused. ?05551110003: it is refused. =" JID(A) ": not removed: \"" A ".0\" may mean this person. =" JID(C) ": not removed: \"05551110003\" may mean this person. ", "mistyped numbers of members"},
	{LISTED(A) LISTED(B), B " 0151", A, "pct=100", "?0151: it is refused. -" JID(A) ": in the group, and not wanted. ", "a few digits are nobody's"},

	/* lists that are not complete */
	{LISTED(A) LISTED(B), B " " C, A, "pct=100 size=9", UNSURE("the list has 3 of 9 members") "+" JID(C) ": not known whether they are in the group: the list has 3 of 9 members. =" JID(A) ": not removed: the list has 3 of 9 members. ", "a list that is shorter than the stated size"},
	{LISTED(B), B, "", "pct=100 size=9", UNSURE("the list has 2 of 9 members"), "likewise, of those who are wanted"},
	{LISTED(A) LISTED(B) ",\"x@newserver\"", B, A, "pct=100", UNSURE("the list has 1 entry that is not understood") "=" JID(A) ": not removed: the list has 1 entry that is not understood. ", "an entry that is not understood"},

	{LISTED(B) LISTED(C), MANY " " B, MANY " " B " " C, "pct=100", UNSURE("the list lacks 5 of the 6 people whom wawp added and who are wanted") ADDED("1") ADDED("2") ADDED("3") ADDED("4") ADDED("5") "=" JID(C) ": not removed: the list lacks 5 of the 6 people whom wawp added and who are wanted. ", "a list that has lost many"},
	{LISTED(B) LISTED(C), MANY " " B, B " " C, "pct=100", ADDED("1") ADDED("2") ADDED("3") ADDED("4") ADDED("5") "-" JID(C) ": in the group, and not wanted. ", "people whom we never added are no loss"},

	/* LIDs */
	{LISTED_LID(LID_A), A "=" LID_A, "", "", "", "a member by a LID that is known"},
	{LISTED_LID(LID_A), B, "", "", "+" JID(B) ": " BY_LID_ONLY ". =" LID_A ": not removed: not added by wawp (managed_only). ", "a member by LID may be anybody whose LID is not known"},
	{LISTED_LID(LID_A), B "=" LID_B, "", "all pct=100", "+" JID(B) ": not in the group. -" LID_A ": in the group, and not wanted. ", "a LID is not another LID"},
	{LISTED_LID(LID_A), B, "", "all pct=100", "+" JID(B) ": " BY_LID_ONLY ". =" LID_A ": not removed: may be somebody who is wanted; the list does not tell numbers and privacy ids apart. ", "nobody is removed who may be wanted"},
	{LISTED_LID(LID_A), B, A "=" LID_A, "pct=100", "+" JID(B) ": not in the group. -" JID(A) ": in the group, and not wanted. ", "whom we added has a number by that"},
	{LISTED_LID(LID_A), A, A "=" LID_A, "pct=100", "", "and is wanted by it"},
	{LISTED_LID(LID_A) LISTED(B), LID_A " " B, "", "all pct=100", "", "somebody who is wanted by the LID"},
	{LISTED(B), LID_A " " B, "", "", "=" LID_A ": not known whether they are in the group: the list has people without a privacy id; a privacy id cannot be added; use the phone number. ", "a LID cannot be added"},
	{LISTED(A) LISTED(B), LID_A " " B, A, "pct=100", "=" LID_A ": not known whether they are in the group: the list has people without a privacy id; a privacy id cannot be added; use the phone number. =" JID(A) ": not removed: may be somebody who is wanted; the list does not tell numbers and privacy ids apart. ", "somebody wanted by LID may be any number"},
	{",{\"id\":\"" JID(A) "\",\"lid\":\"" LID_A "\"}" LISTED_LID(LID_A), A, A, "all pct=100", "", "a member who is listed twice is wanted by either entry"},
	{",{\"id\":\"" JID(A) "\",\"lid\":\"" LID_A "\"}" LISTED_LID(LID_A) LISTED(B), B, A, "pct=100", "-" JID(A) ": in the group, and not wanted. ", "and removed once"},

	/* open wishes: person:intent, "!" where it is under way, "-" for a removal */
	{"", A, "", "tell open " A ":7 ", "+" JID(A) ": not in the group; intent 7 is queued already. ", "an addition that is queued"},
	{"", A, "", "open " A ":7 ", "+" JID(A) ": not in the group. ", "of which the answer will tell"},
	{"", A, "", "open " A ":7! ", "=" JID(A) ": not in the group; intent 7 is sending already. ", "an addition that is under way"},
	{LISTED(A) LISTED(B), B, A, "pct=100 tell open -" A ":7 ", "-" JID(A) ": in the group, and not wanted; intent 7 is queued already. ", "a removal that is queued"},
	{LISTED(A) LISTED(B), B, A, "pct=100 open -" A ":7! ", "=" JID(A) ": in the group, and not wanted; intent 7 is sending already. ", "a removal that is under way"},
	{LISTED(A), A, A, "open -" A ":7 ", "+" JID(A) ": wanted again; intent 7 to remove them is queued. ", "a removal of somebody who is wanted again"},
	{LISTED(A), A, A, "open -" A ":7! " A ":8 ", "", "which is taken back already"},
	{LISTED(A), A, A, "pct=0 open " B ":7 " A ":8 ", "-" JID(B) ": not wanted any more; intent 7 to add them is queued. ", "an addition of somebody who is not wanted any more"},
	{LISTED(A), A " " B, A, "open " B ":7 ", "+" JID(B) ": not in the group. ", "of somebody who is"},
	{"", "", "", "open " B ":7 ", "=" JID(B) ": intent 7 to add them stays: nobody is wanted, which removes people only with max_remove_pct = 100. ", "an empty array takes back nothing"},
	{LISTED(A), A " " B ".0", A, "open " B ":7 ", "?" B ".0: it is refused. =" JID(B) ": intent 7 to add them stays: \"" B ".0\" may mean this person. ", "nor does a mistyped number"},

	{LISTED(A) LISTED(C), A " " C, A, "pct=25 open " B ":7! ", "-" JID(B) ": not wanted any more; intent 7 to add them is sending. ", "of somebody whose addition is under way: a removal"},
	{LISTED(A) LISTED(C), A " " C, A, "pct=24 open " B ":7! ", "=" JID(B) ": not removed: 1 of 4 members would go, more than max_remove_pct (24). ", "which max_remove_pct counts"},
	{LISTED(A), A, A, "pct=100 noremove open " B ":7! ", "=" JID(B) ": intent 7 to add them stays: forbidden. ", "and what forbids removals forbids"},
	{LISTED(A), A, A, "pct=100 size=9 open " B ":7! ", UNSURE("the list has 2 of 9 members") "=" JID(B) ": intent 7 to add them stays: the list has 2 of 9 members. ", "as does a list that is not complete"},
	{LISTED(A), A, A, "pct=100 open -" B ":7! " B ":8 ", "-" JID(B) ": not wanted any more; intent 8 to add them is queued. ", "an addition that waits behind a removal"},
	{LISTED(A) LISTED(B), B, A, "pct=100 open -" A ":7! " A ":8 ", "-" JID(A) ": in the group, and not wanted. ", "the same, of a member"},
	{"", A, "", "open " A ":7! -" A ":8 ", "+" JID(A) ": not in the group. ", "a removal that waits behind an addition"},

	/* what keeps from acting */
	{"", A, "", "bar", "=" JID(A) ": not added: barred. ", "somebody who may not be added"},
	{LISTED(A), A, "", "bar", "", "who is in the group stays"},
	{"", A, "", "noadd", "=" JID(A) ": not added: forbidden. ", "a group to which nobody may be added"},
	{LISTED(A) LISTED(B), B " " C, A, "pct=100 wait", "+" JID(C) ": not in the group; held. -" JID(A) ": in the group, and not wanted; held. ", "a hold"},
};

static Jid
jid_of(const char *text, size_t len)
{
	return jid_parse(text, len);
}

/* Read the next "number=lid/known_as" of a text; false at its end. */
static bool
next_person(const char **text, SyncWanted *person)
{
	size_t		length = strcspn(*text, " ");
	char	   *word = pnstrdup(*text, length);
	size_t		name = strcspn(word, "=");
	size_t		lid = strcspn(word, "/");

	if (length == 0)
		return false;
	*text += length + ((*text)[length] == ' ');
	*person = (SyncWanted) {.input = pnstrdup(word, name), .jid = jid_of(word, name)};
	if (person->jid.kind == JID_INVALID)
		person->problem = strspn(word, "0123456789.") == name ? "it is refused" : "it has letters";
	if (word[name] == '=')
		person->lid = jid_of(word + name + 1, lid - name - 1);
	if (word[lid] == '/')
		person->known_as = jid_of(word + lid + 1, strlen(word + lid + 1));
	return true;
}

/* Return the number after a word of the options; -1 if the word is not there. */
static int
option(const char *options, const char *word)
{
	const char *found = strstr(options, word);

	return found ? atoi(found + strlen(word)) : -1;
}

/* Read the open wishes of the options. */
static int
open_of(const char *options, SyncOpen *open)
{
	const char *found = strstr(options, "open ");
	int			n = 0;

	for (const char *word = found ? found + strlen("open ") : ""; *word; word = strchr(word, ' ') + 1)
	{
		size_t		length = strcspn(word, ":");
		bool		is_removal = *word == '-';

		open[n] = (SyncOpen) {jid_of(word + is_removal, length - is_removal), is_removal, .id = atoi(word + length + 1)};
		open[n].is_queued = word[length + 2] != '!';
		open[n].state = open[n].is_queued ? "queued" : "sending";
		n++;
	}
	return n;
}

static const char *
plan_text(const SyncPlan *plan)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < plan->n; i++)
	{
		const SyncStep *step = &plan->steps[i];
		bool		is_jid = step->jid && strchr(step->jid, '@');

		appendStringInfo(&text, "%s%s: %s. ", step->action == SYNC_ADD ? "+" : step->action == SYNC_REMOVE ? "-" : is_jid ? "=" : "?",
						 step->jid ? step->jid : "", step->why);
	}
	return text.data;
}

static void
test_plan(const char *listed, const char *wanted, const char *added, const char *options, const char *expected, const char *about)
{
	SyncWanted	people[8];
	SyncAdded	ours[8];
	SyncOpen	open[8];
	WireMembers list;
	MembersKnown known = {.stated = option(options, "size=")};
	SyncGroup	group = {.list = &list, .known = &known, .wanted = people, .added = ours, .open = open, .max_remove_pct = 20};
	const char *body = psprintf("[%s%s]", US, listed);
	SyncWanted	person;
	SyncPlan	plan;

	wire_read_members(body, strlen(body), &list);
	if (strstr(options, "nobody") == NULL)
	{
		known.me = jid_of(ME, strlen(ME));
		known.me_lid = jid_of(MY_LID, strlen(MY_LID));
	}
	while (next_person(&wanted, &people[group.nwanted]))
	{
		people[group.nwanted].barred = strstr(options, "bar") ? "barred" : NULL;
		group.nwanted++;
	}
	while (next_person(&added, &person))
		ours[group.nadded++] = (SyncAdded) {person.jid, person.lid};
	group.nopen = open_of(options, open);
	group.tells_queued = strstr(options, "tell") != NULL;
	group.managed_only = strstr(options, "all") == NULL;
	if (option(options, "pct=") >= 0)
		group.max_remove_pct = option(options, "pct=");
	group.no_addition = strstr(options, "noadd") ? "forbidden" : NULL;
	group.no_removal = strstr(options, "noremove") ? "forbidden" : NULL;
	group.waits = strstr(options, "wait") ? "held" : NULL;
	plan = sync_plan_make(&group);
	is_text(plan_text(&plan), expected, about);
}

static void
test_unread(void)
{
	SyncWanted	people[] = {{.input = "Ana", .problem = "it has letters"}, {.input = NULL, .problem = "the element is null"}, {.input = A}, {.input = "Ana", .problem = "it has letters"}};
	SyncGroup	group = {.wanted = people, .nwanted = lengthof(people)};
	SyncPlan	plan;

	people[2].jid = jid_of(A, strlen(A));
	plan = sync_plan_unread(&group, "unread");
	is_text(plan_text(&plan), "?: unread. ?Ana: it has letters. ?: the element is null. ", "of a group that could not be read, elements that name nobody are told");
}

/* A large group by number and LID, of which the odd ones are wanted: planned in no time. */
static void
test_many(void)
{
	int			n = 20000;
	SyncWanted *people = palloc0(sizeof(SyncWanted) * 2 * n);
	WireMembers list;
	MembersKnown known = {.stated = -1};
	SyncGroup	group = {.list = &list, .known = &known, .wanted = people, .max_remove_pct = 100};
	StringInfoData body;
	SyncPlan	plan;
	int			removals = 0;

	initStringInfo(&body);
	appendStringInfo(&body, "[%s", US);
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(&body, i % 3 ? ",\"1666%07d@c.us\"" : ",{\"id\":\"9000000%08d@lid\",\"pn\":\"1666%07d@c.us\"}", i, i);
		if (i % 2 == 0)
			continue;
		people[group.nwanted].input = psprintf("1666%07d", i);
		people[group.nwanted].jid = jid_of(people[group.nwanted].input, 11);
		group.nwanted++;
	}
	for (int i = 0; i < n; i++)
	{
		people[group.nwanted].input = psprintf("1777%07d", i);
		people[group.nwanted].jid = jid_of(people[group.nwanted].input, 11);
		group.nwanted++;
	}
	appendStringInfoChar(&body, ']');
	wire_read_members(body.data, body.len, &list);
	known.me = jid_of(ME, strlen(ME));
	plan = sync_plan_make(&group);
	for (int i = 0; i < plan.n; i++)
		removals += plan.steps[i].action == SYNC_REMOVE;
	is_int(removals, n / 2, "every second of a large group goes");
	is_int(plan.n, n / 2 + n, "and as many as there are come");
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(cases); i++)
		test_plan(cases[i].list, cases[i].wanted, cases[i].added, cases[i].options, cases[i].plan, cases[i].about);
	test_unread();
	test_many();
	return done_testing();
}
