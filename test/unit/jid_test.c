/*
 * jid_test.c
 *	  Spellings of people and groups.  test/sql/jid.sql has the large table; here
 *	  are bytes that SQL cannot contain, and comparisons of JIDs.
 */
#include "postgres_fe.h"

#include "jid_sample.h"
#include "protocol/jid.h"
#include "tap.h"

static const struct
{
	const char *input;
	JidKind		kind;
	const char *text;
}			spellings[] =
{
	{"15551234567", JID_PERSON, "15551234567@c.us"},
	{"+1 (555) 123-4567", JID_PERSON, "15551234567@c.us"},
	{"0034600111222", JID_PERSON, "34600111222@c.us"},
	{"15551234567:12@s.whatsapp.net", JID_PERSON, "15551234567@c.us"},
	{"15551234567_1:12@S.WhatsApp.net", JID_PERSON, "15551234567@c.us"},
	{"\xE2\x80\x8E\xEF\xBC\x8B\xEF\xBC\x91 555\xC2\xA0" "1234567", JID_PERSON, "15551234567@c.us"},
	{"\xD9\xA1" "5551234567", JID_PERSON, "15551234567@c.us"},
	{"\xDB\xB1" "5551234567", JID_PERSON, "15551234567@c.us"},
	{"tel:+15551234567", JID_PERSON, "15551234567@c.us"},
	{"https://wa.me/15551234567", JID_PERSON, "15551234567@c.us"},
	{"123456789012345@lid", JID_LID, "123456789012345@lid"},
	{" 120363012345678901@G.US ", JID_GROUP, "120363012345678901@g.us"},
	{"15550000001-1623281429@g.us", JID_GROUP, "15550000001-1623281429@g.us"},
	{"", JID_INVALID, ""},
	{"0612345678", JID_INVALID, ""},
	{"+0612345678", JID_INVALID, ""},
	{"+44 (0)20 79460958", JID_INVALID, ""},
	{"123456", JID_INVALID, ""},
	{"1234567890123456", JID_INVALID, ""},
	{"1555123456a", JID_INVALID, ""},
	{"15551234567@c.us@c.us", JID_INVALID, ""},
	{"15551234567@newsletter", JID_INVALID, ""},
	{"status@broadcast", JID_INVALID, ""},
	{"0@c.us", JID_INVALID, ""},
	{"1234@g.us", JID_INVALID, ""},
	{"120363012345678901-@g.us", JID_INVALID, ""},
	{"\xFF\xFE" "15551234567", JID_INVALID, ""},
	{"1555123456\xC2", JID_INVALID, ""},
	{"1555123456\xF0\x9F\x98\x80", JID_INVALID, ""},
};

static const struct
{
	const char *a;
	const char *b;
	bool		same;
}			pairs[] =
{
	{"15551234567@c.us", "15551234567:3@s.whatsapp.net", true},
	{"15551234567@c.us", "15551234567@lid", false},
	{"15551234567@lid", "15551234567@lid", true},
	{"5511998765432", "551198765432", true},	/* Brazil, mobile */
	{"5511923456789", "551123456789", false},	/* a landline has no ninth digit */
	{"5215512345678", "525512345678", true},	/* Mexico */
	{"5491112345678", "541112345678", true},	/* Argentina */
	{"4915112345678", "495112345678", false},
	{"120363012345678901@g.us", "120363012345678901@g.us", true},
	{"", "", false},
};

static void
test_embedded_nul(void)
{
	static const char text[] = "1555\0001234567";

	ok(jid_parse(text, sizeof(text) - 1).kind == JID_INVALID, "a NUL is refused");
	ok(jid_parse("15551234567@c.usX", 16).kind == JID_PERSON, "text after the given length is ignored");
}

static void
test_long_input(void)
{
	char		text[4096];

	memset(text, ' ', sizeof(text));
	memcpy(text + 2000, "15551234567", 11);
	ok(jid_parse(text, 2011).kind == JID_PERSON, "surrounding blanks are ignored");
	memset(text, '1', sizeof(text));
	ok(jid_parse(text, sizeof(text)).kind == JID_INVALID, "4,096 digits are refused");
	memset(text, '-', sizeof(text));
	ok(jid_parse(text, sizeof(text)).kind == JID_INVALID, "4,096 dashes are refused");
}

/* Each is the other's other form. */
static const char *const forms[][2] = {
	{"5531987654321@c.us", "553187654321@c.us"},
	{"5215512345678@c.us", "525512345678@c.us"},
	{"5491123456789@c.us", "541123456789@c.us"},
};

/* JIDs without another form: a Brazilian landline, a country with one form, a LID. */
static const char *const single[] = {"553133334444", "15551230500", "88800011122@lid", "5531133334444"};

static void
test_other_form(void)
{
	for (size_t i = 0; i < lengthof(forms) * 2; i++)
	{
		const char *one = forms[i / 2][i % 2];
		const char *two = forms[i / 2][1 - i % 2];
		Jid			jid = jid_parse(one, strlen(one));
		Jid			other = jid_other_form(&jid);

		ok(strcmp(other.text, two) == 0, "the other form of %s is %s", one, two);
	}
	for (size_t i = 0; i < lengthof(single); i++)
	{
		Jid			jid = jid_parse(single[i], strlen(single[i]));

		ok(jid_other_form(&jid).kind == JID_INVALID, "%s has no other form", single[i]);
	}
}

/* Valid numbers of many regions in many styles keep their digits. */
static void
test_sample(void)
{
	for (size_t i = 0; i < lengthof(sample); i++)
	{
		Jid			jid = jid_parse(sample[i][0], strlen(sample[i][0]));

		ok(jid.kind == JID_PERSON && strncmp(jid.text, sample[i][1], strlen(sample[i][1])) == 0 &&
		   strcmp(jid.text + strlen(sample[i][1]), "@c.us") == 0, "%s is %s", sample[i][0], sample[i][1]);
	}
}

/* Text after the number in a link is ignored. */
static void
test_links(void)
{
	static const char nul[] = "tel:1555\0001234567";

	ok(jid_parse(nul, sizeof(nul) - 1).kind == JID_INVALID, "a NUL in a link is refused");
	ok(jid_parse("wa.me/15551234567?text=\xFF", 23).kind == JID_PERSON, "the text after the number in a link is ignored");
	ok(jid_parse("api.whatsapp.com/send", 21).kind == JID_INVALID, "a link without its parameter is refused");
}

/* True unless the last digits of two texts tell them apart. */
static bool
may_name(const char *a, const char *b)
{
	int			first = jid_last_digits(a, strlen(a));
	int			second = jid_last_digits(b, strlen(b));

	return first < 0 || second < 0 || first == second;
}

/* A text that names the person is never excluded, in whatever spelling; most others are. */
static void
test_may_name(void)
{
	static const char *const others[] = {"15551230002", "+1 (555) 123-0002", "1-555-123-0002@c.us", "15551230011@s.whatsapp.net"};
	Jid			person = jid_parse("15551230001", strlen("15551230001"));

	for (size_t i = 0; i < lengthof(spellings); i++)
		for (size_t j = 0; j < lengthof(spellings); j++)
		{
			Jid			a = jid_parse(spellings[i].input, strlen(spellings[i].input));
			Jid			b = jid_parse(spellings[j].input, strlen(spellings[j].input));

			if (jid_same(&a, &b) && !may_name(a.text, spellings[j].input))
				ok(0, "\"%s\" may name \"%s\"", spellings[j].input, spellings[i].text);
		}
	for (size_t i = 0; i < lengthof(pairs); i++)
	{
		Jid			a = jid_parse(pairs[i].a, strlen(pairs[i].a));
		Jid			b = jid_parse(pairs[i].b, strlen(pairs[i].b));

		if (pairs[i].same)
			ok(may_name(a.text, pairs[i].b) && may_name(b.text, pairs[i].a),
			   "\"%s\" and \"%s\" may be the same", pairs[i].a, pairs[i].b);
	}
	for (size_t i = 0; i < lengthof(others); i++)
		ok(!may_name(person.text, others[i]), "\"%s\" is somebody else", others[i]);
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(spellings); i++)
	{
		Jid			jid = jid_parse(spellings[i].input, strlen(spellings[i].input));

		ok(jid.kind == spellings[i].kind && strcmp(jid.text, spellings[i].text) == 0 &&
		   (jid.problem != NULL) == (jid.kind == JID_INVALID),
		   "spelling %zu gives \"%s\"", i + 1, spellings[i].text);
	}
	for (size_t i = 0; i < lengthof(pairs); i++)
	{
		Jid			a = jid_parse(pairs[i].a, strlen(pairs[i].a));
		Jid			b = jid_parse(pairs[i].b, strlen(pairs[i].b));

		ok(jid_same(&a, &b) == pairs[i].same && jid_same(&b, &a) == pairs[i].same,
		   "\"%s\" and \"%s\" are %s", pairs[i].a, pairs[i].b, pairs[i].same ? "the same" : "not the same");
	}
	test_embedded_nul();
	test_long_input();
	test_other_form();
	test_may_name();
	test_links();
	test_sample();
	return done_testing();
}
