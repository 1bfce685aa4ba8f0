/*-------------------------------------------------------------------------
 *
 * list_again_test.c
 *	  A member list that is read by the one before is what it is when it is read as a whole.
 *
 * IDENTIFICATION
 *	  test/unit/list_again_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "lib/stringinfo.h"
#include "protocol/list_again.h"
#include "protocol/member_list.h"
#include "tap.h"

#include "compat.h"

#define MOST_ENTRIES 400

/* The entries of a list: numbers of people, in their order. */
typedef struct People
{
	int			n;
	int			of[MOST_ENTRIES];
} People;

static uint32 seed = 1;

static int
chance(int below)
{
	seed = seed * 1664525 + 1013904223;
	return (int) ((seed >> 8) % (uint32) below);
}

/* Append an entry; what it is like depends on who it is. */
static void
put_entry(StringInfo out, int who)
{
	switch (who % 6)
	{
		case 0:
			appendStringInfo(out, "\"1555%07d@c.us\"", who);
			break;
		case 1:
			appendStringInfo(out, "{\"id\":\"9000000%08d@lid\",\"phone\":\"1555%07d@c.us\",\"role\":\"%s\"}", who, who, who % 5 ? "member" : "left");
			break;
		case 2:
			appendStringInfo(out, "{ \"id\" : {\"server\":\"c.us\",\"user\":\"1555%07d\"}, \"name\":\"a \\\"}],[{\\\\\", \"isAdmin\":true}", who);
			break;
		default:
			appendStringInfo(out, "{\"id\":\"1555%07d@c.us\",\"isAdmin\":false}", who);
	}
}

/* The text around the entries of a list. */
typedef struct Envelope
{
	const char *head;
	const char *tail;
	const char *comma;
} Envelope;

static const Envelope envelopes[] = {
	{"[", "]", ","},
	{" [ ", " ] ", " , "},
	{"\xEF\xBB\xBF[", "]\n", ",\n"},
	{"{\"participants\":[", "],\"size\":50}", ","},
	{"{\"data\":{\"members\":[", "]},\"limit\":300,\"page\":1}", ", "},
	{"{\"note\":[\"x\"],\"participants\":[", "],\"others\":[]}", ","},
	{"{\"pendingParticipants\":[\"15559999999@c.us\"],\"members\":[", "],\"HasMore\":true,\"TotalCount\":400}", ","},
};

static char *
list_text(const Envelope *envelope, const People *people)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, envelope->head);
	for (int i = 0; i < people->n; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, envelope->comma);
		put_entry(&out, people->of[i]);
	}
	appendStringInfoString(&out, envelope->tail);
	return out.data;
}

/* Let some people join, go, change places or be others. */
static void
change_people(People *people, int changes)
{
	for (int i = 0; i < changes; i++)
	{
		int			at = chance(people->n);

		switch (chance(5))
		{
			case 0:
				if (people->n > 1)
					memmove(&people->of[at], &people->of[at + 1], sizeof(int) * (--people->n - at));
				break;
			case 1:
				people->of[at] = chance(100000);
				break;
			case 2:
				people->of[at] = people->of[chance(people->n)];
				break;
			default:
				if (people->n == MOST_ENTRIES)
					break;
				memmove(&people->of[at + 1], &people->of[at], sizeof(int) * (people->n++ - at));
				people->of[at] = chance(100000);
		}
	}
}

static bool
is_same_jid(const Jid *a, const Jid *b)
{
	return a->kind == b->kind && strcmp(a->text, b->text) == 0;
}

static bool
is_same_list(const WireMembers *a, const WireMembers *b)
{
	if (a->count != b->count || a->unread != b->unread || a->repeated != b->repeated || a->has_more != b->has_more ||
		a->stated != b->stated || a->tells_roles != b->tells_roles || a->mask != b->mask || memcmp(a->shown, b->shown, sizeof(a->shown)) != 0 ||
		(a->unread_shape == NULL) != (b->unread_shape == NULL) ||
		memcmp(a->slots, b->slots, sizeof(uint32) * ((size_t) a->mask + 1)) != 0)
		return false;
	for (int i = 0; i < a->count; i++)
	{
		const WireMember *one = &a->members[i];
		const WireMember *other = &b->members[i];

		if (!is_same_jid(&one->jid, &other->jid) || !is_same_jid(&one->phone, &other->phone) ||
			!is_same_jid(&one->lid, &other->lid) || one->role != other->role)
			return false;
	}
	return true;
}

/* The text of a list refers to its entries. */
static bool
is_text_of(const WireListText *text, const char *body, const WireListText *whole)
{
	return text->body == body && text->begin == whole->begin && text->count == whole->count &&
		memcmp(text->spans, whole->spans, sizeof(WireSpan) * text->count) == 0;
}

/* Lists that change a little, again and again. */
static void
test_changes(const Envelope *envelope)
{
	People		people = {.n = 100};
	char	   *body;
	WireMembers list;
	WireListText text;
	int			again = 0;
	int			differences = 0;

	for (int i = 0; i < people.n; i++)
		people.of[i] = i * 7;
	body = list_text(envelope, &people);
	if (!wire_read_list(body, strlen(body), 0, &list, &text))
		differences = -1;
	for (int round = 0; round < 300 && differences == 0; round++)
	{
		WireMembers whole;
		WireListText whole_text;
		WireMembers found;
		WireListText found_text;

		change_people(&people, chance(8));
		body = list_text(envelope, &people);
		if (!wire_read_list(body, strlen(body), 0, &whole, &whole_text))
			differences++;
		else if (list_read_again(body, strlen(body), &list, &text, &found, &found_text))
		{
			again++;
			differences += !is_same_list(&found, &whole) || !is_text_of(&found_text, body, &whole_text);
		}
		list = whole;
		text = whole_text;
	}
	is_int(differences, 0, psprintf("lists in %s...%s are the same", envelope->head, envelope->tail));
	ok(again > 250, "%d of 300 are read by the one before", again);
}

/* What is no list is none again, and what is read of it is the same. */
static void
test_damage(void)
{
	static const char alphabet[] = "[]{},:\"\\ a1@\xC3";
	People		people = {.n = 60};
	char	   *body;
	WireMembers list;
	WireListText text;
	size_t		len;
	int			lists = 0;
	int			differences = 0;

	for (int i = 0; i < people.n; i++)
		people.of[i] = i;
	body = list_text(&envelopes[3], &people);
	len = strlen(body);
	ok(wire_read_list(body, len, 0, &list, &text), "a list before it is damaged");
	for (int round = 0; round < 20000; round++)
	{
		char	   *damaged = pstrdup(body);
		size_t		n = chance(3) ? len : (size_t) chance((int) len);
		WireMembers whole;
		WireMembers found;
		WireListText found_text;
		bool		is_list;

		for (int i = chance(3); i >= 0; i--)
			damaged[chance((int) len)] = alphabet[chance(sizeof(alphabet) - 1)];
		is_list = wire_read_members(damaged, n, &whole);
		lists += is_list;
		if (list_read_again(damaged, n, &list, &text, &found, &found_text))
			differences += !is_list || !is_same_list(&found, &whole);
		pfree(damaged);
	}
	ok(lists > 1000, "%d of 20,000 are lists nevertheless", lists);
	is_int(differences, 0, "none is read as something else");
}

/* Parts of a list that nobody tells apart. */
static void
test_refused(void)
{
	static const struct
	{
		const char *before;
		const char *after;
		const char *why;
	}			cases[] =
	{
		{"[\"15550000001@c.us\"]", "[]", "nobody is in it any more"},
		{"[\"15550000001@c.us\"]", "[\"15550000001@c.us\",]", "a comma too many"},
		{"[\"15550000001@c.us\"]", "[\"15550000001@c.us\" \"15550000002@c.us\"]", "a comma too few"},
		{"[\"15550000001@c.us\"]", "{\"participants\":[\"15550000001@c.us\"]}", "another envelope"},
		{"{\"15550000001@c.us\":{\"role\":\"member\"}}", "{\"15550000001@c.us\":{\"role\":\"member\"}}", "a map"},
		{"[\"15550000001@c.us\",{\"id\":\"1@newserver\"}]", "[\"15550000001@c.us\"]", "an entry that is not understood before"},
		{"[\"15550000001@c.us\"]", "[\"15550000001@c.us\",{\"id\":\"1@newserver\"}]", "an entry that is not understood now"},
		{"{\"data\":[\"15550000001@c.us\"]}", "{\"data\":[\"15550000001@c.us\"],\"participants\":[\"15550000002@c.us\"]}", "another list"},
		{"{\"members\":[\"15550000001@c.us\"]}", "{\"members\":[\"15550000001@c.us\"],\"admins\":[\"15550000001@c.us\"]}", "a list of some of them beside it now"},
		{"{\"members\":[\"15550000001@c.us\"],\"admins\":[\"15550000001@c.us\"]}", "{\"members\":[\"15550000001@c.us\"],\"admins\":[\"15550000001@c.us\"]}", "a list of some of them beside it as before"},
		{"[\"15550000001@c.us\"]", "[\"15550000001@c.us\",{\"id\":\"15550000002@c.us\",\"status\":\"invited\"}]", "somebody who is invited now"},
		{"{\"data\":[\"15550000001@c.us\"]}", "{\"data\":[\"15550000001@c.us\"],\"error\":{\"code\":403},\"status\":403}", "an error"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		WireMembers list;
		WireMembers found;
		WireListText text = {0};
		WireListText found_text;

		ok(wire_read_list(cases[i].before, strlen(cases[i].before), 0, &list, &text) &&
		   !list_read_again(cases[i].after, strlen(cases[i].after), &list, &text, &found, &found_text), "not read by the one before: %s", cases[i].why);
	}
}

/* Somebody who is an admin now makes plain members of those whose entries say nothing of a role. */
static void
test_role_told(void)
{
	const char *before = "[\"15550000001@c.us\",{\"id\":\"15550000002@c.us\"}]";
	const char *after = "[\"15550000001@c.us\",{\"id\":\"15550000002@c.us\"},{\"id\":\"15550000003@c.us\",\"isAdmin\":true}]";
	WireMembers list;
	WireMembers found;
	WireListText text;
	WireListText found_text;

	ok(wire_read_list(before, strlen(before), 0, &list, &text) &&
	   list_read_again(after, strlen(after), &list, &text, &found, &found_text), "a list that tells roles is read by one that does not");
	is_int(members_role(&list, &list.members[0]), WIRE_ROLE_UNKNOWN, "a role that was not told");
	is_int(members_role(&found, &found.members[0]), WIRE_ROLE_MEMBER, "is that of a plain member then");
}

int
main(void)
{
	test_role_told();
	for (size_t i = 0; i < lengthof(envelopes); i++)
		test_changes(&envelopes[i]);
	test_damage();
	test_refused();
	return done_testing();
}
