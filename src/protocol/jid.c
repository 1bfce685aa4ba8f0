/*-------------------------------------------------------------------------
 *
 * jid.c
 *	  WhatsApp identifiers: people and groups, in one normal form.
 *
 * Pure: values in, values out; no allocation, no error, no server.  Input is
 * UTF-8 of any quality, output is ASCII.
 *
 * A person may be written as people write phone numbers (spaces, dashes,
 * parentheses, a slash, "00" or "+", "tel:", links of WhatsApp's, digits of any
 * script) or as any engine writes a JID (@c.us, @s.whatsapp.net, @hosted, an
 * agent and a device).  National forms, other countries' dialling prefixes,
 * decimals and extensions are refused and never guessed: a wrong guess adds a
 * stranger to somebody's group.  A LID is kept apart from a phone number
 * throughout, and a group is recognised by its suffix only.
 *
 * IDENTIFICATION
 *	  src/protocol/jid.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "protocol/calling_code.h"
#include "protocol/jid.h"

/* E.164 allows 15 digits; below 7 no country has a full number */
#define PHONE_MIN_DIGITS 7
#define PHONE_MAX_DIGITS 15
#define LID_MIN_DIGITS 5
#define LID_MAX_DIGITS 20

/* between the groups of digits of a number; a slash as in +49 30/1234567 */
#define SEPARATORS " -.()/"
/* a group of so many digits is most of the number, not a part of it */
#define LONG_GROUP 8
/* a country code and an area code */
#define MOST_BEFORE_SLASH 7
/* no national number with an area code in parentheses is longer */
#define LONGEST_NATIONAL 11

#define FOLD_SIZE 128			/* far above any spelling of 15 digits */
#define FOLD_DROP '\0'

typedef struct CodeRange
{
	pg_wchar	first;
	pg_wchar	last;
	char		fold;			/* ASCII for `first`; FOLD_DROP = leave out */
	bool		is_counting;	/* fold rises with the code point */
} CodeRange;

/* Characters besides ASCII that occur in pasted numbers, and their ASCII form. */
static const CodeRange code_ranges[] = {
	{0x00A0, 0x00A0, ' ', false},	/* no-break space */
	{0x00AD, 0x00AD, FOLD_DROP, false}, /* soft hyphen */
	{0x061C, 0x061C, FOLD_DROP, false}, /* Arabic letter mark */
	{0x0660, 0x0669, '0', true},	/* Arabic-Indic digits */
	{0x06F0, 0x06F9, '0', true},	/* extended Arabic-Indic digits */
	{0x07C0, 0x07C9, '0', true},	/* digits of N'Ko, ... */
	{0x0966, 0x096F, '0', true},	/* Devanagari */
	{0x09E6, 0x09EF, '0', true},	/* Bengali */
	{0x0A66, 0x0A6F, '0', true},	/* Gurmukhi */
	{0x0AE6, 0x0AEF, '0', true},	/* Gujarati */
	{0x0B66, 0x0B6F, '0', true},	/* Oriya */
	{0x0BE6, 0x0BEF, '0', true},	/* Tamil */
	{0x0C66, 0x0C6F, '0', true},	/* Telugu */
	{0x0CE6, 0x0CEF, '0', true},	/* Kannada */
	{0x0D66, 0x0D6F, '0', true},	/* Malayalam */
	{0x0DE6, 0x0DEF, '0', true},	/* Sinhala */
	{0x0E50, 0x0E59, '0', true},	/* Thai */
	{0x0ED0, 0x0ED9, '0', true},	/* Lao */
	{0x0F20, 0x0F29, '0', true},	/* Tibetan */
	{0x1040, 0x1049, '0', true},	/* Myanmar */
	{0x17E0, 0x17E9, '0', true},	/* Khmer */
	{0x1810, 0x1819, '0', true},	/* Mongolian */
	{0x2000, 0x200A, ' ', false},	/* typographic spaces */
	{0x200B, 0x200F, FOLD_DROP, false}, /* zero width, bidi marks */
	{0x2010, 0x2015, '-', false},	/* hyphens and dashes */
	{0x202A, 0x202E, FOLD_DROP, false}, /* bidi embeddings */
	{0x202F, 0x202F, ' ', false},	/* narrow no-break space */
	{0x2060, 0x2060, FOLD_DROP, false}, /* word joiner */
	{0x2066, 0x2069, FOLD_DROP, false}, /* bidi isolates */
	{0x2212, 0x2212, '-', false},	/* minus sign */
	{0x3000, 0x3000, ' ', false},	/* ideographic space */
	{0xFEFF, 0xFEFF, FOLD_DROP, false}, /* byte order mark */
	{0xFF08, 0xFF09, '(', true},	/* full-width parentheses */
	{0xFF0B, 0xFF0B, '+', false},	/* full-width plus */
	{0xFF0D, 0xFF0F, '-', true},	/* full-width hyphen, full stop, slash */
	{0xFF10, 0xFF19, '0', true},	/* full-width digits */
	{0xFF20, 0xFF20, '@', false},	/* full-width commercial at */
};

/* Links that have the number at their end or in a parameter. */
static const struct
{
	const char *start;			/* after link_schemes, which are optional */
	const char *parameter;		/* NULL: the number follows directly */
}			links[] =
{
	{"tel:", NULL},
	{"wa.me/", NULL},
	{"api.whatsapp.com/send", "phone="},
	{"web.whatsapp.com/send", "phone="},
	{"whatsapp://send", "phone="},
};

static const char *const link_schemes[] = {"https://", "http://", "www."};

/* The server part of a JID decides how the local part is read. */
typedef enum JidServer
{
	SERVER_PHONE,
	SERVER_LID,
	SERVER_GROUP,
	SERVER_REFUSED
} JidServer;

static const struct
{
	const char *name;
	JidServer	server;
	const char *problem;
}			servers[] =
{
	{"c.us", SERVER_PHONE, NULL},
	{"s.whatsapp.net", SERVER_PHONE, NULL},
	{"hosted", SERVER_PHONE, NULL},
	{"lid", SERVER_LID, NULL},
	{"hosted.lid", SERVER_LID, NULL},
	{"g.us", SERVER_GROUP, NULL},
	{"newsletter", SERVER_REFUSED, "a channel is not a person or a group"},
	{"broadcast", SERVER_REFUSED, "a broadcast list is not a person or a group"},
	{"bot", SERVER_REFUSED, "a bot cannot be a member"},
	{"interop", SERVER_REFUSED, "a person of another service has no number on WhatsApp"},
	{"msgr", SERVER_REFUSED, "a person of another service has no number on WhatsApp"},
};

static Jid
jid_invalid(const char *problem)
{
	Jid			jid = {.kind = JID_INVALID, .problem = problem};

	return jid;
}

static Jid
jid_make(JidKind kind, const char *local, const char *server)
{
	Jid			jid = {.kind = kind};

	strlcpy(jid.text, local, sizeof(jid.text));
	strlcat(jid.text, "@", sizeof(jid.text));
	strlcat(jid.text, server, sizeof(jid.text));
	return jid;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t
count_digits(const char *s)
{
	size_t		n = 0;

	while (is_digit(s[n]))
		n++;
	return n;
}

/* Return the ASCII form of a code point, FOLD_DROP, or -1 if no number contains it. */
static int
fold_code_point(pg_wchar c)
{
	for (size_t i = 0; i < lengthof(code_ranges); i++)
	{
		const CodeRange *r = &code_ranges[i];

		if (c >= r->first && c <= r->last)
			return r->is_counting ? r->fold + (int) (c - r->first) : r->fold;
	}
	return -1;
}

/*
 * Write UTF-8 as lower-case ASCII without invisible characters, trimmed and
 * terminated, to out (FOLD_SIZE bytes).  False if a character belongs to no
 * identifier or the text is too long.
 */
static bool
fold_input(const char *input, size_t len, char *out)
{
	size_t		n = 0;

	for (size_t i = 0; i < len;)
	{
		const unsigned char *p = (const unsigned char *) input + i;
		int			width = pg_utf_mblen(p);
		int			c;

		if (i + width > len || !pg_utf8_islegal(p, width))
			return false;
		c = *p < 0x80 ? pg_ascii_tolower(*p) : fold_code_point(utf8_to_unicode(p));
		i += width;
		if (c == '\t' || c == '\n' || c == '\r')
			c = ' ';
		if (c < 0 || (c < ' ' && c != FOLD_DROP) || *p == '\0')
			return false;
		if (c == FOLD_DROP || (c == ' ' && n == 0))
			continue;
		if (n == FOLD_SIZE - 1)
			return false;
		out[n++] = (char) c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return true;
}

/*
 * Copy a JID as the engines write it, terminated, to out (FOLD_SIZE bytes); false
 * for any other spelling.  It begins with a digit, hence is no link, and has
 * nothing that folding would change.
 */
static bool
copy_plain_jid(const char *input, size_t len, char *out)
{
	if (len == 0 || len >= FOLD_SIZE || !is_digit(*input) || memchr(input, '@', len) == NULL)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char		c = input[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '@' && c != '.')
			return false;
	}
	memcpy(out, input, len);
	out[len] = '\0';
	return true;
}

/* True if there is a 0 in parentheses, dialled within a country only: "+44 (0)20 ...". */
static bool
has_trunk_zero(const char *s)
{
	while ((s = strchr(s, '(')) != NULL)
	{
		s += 1 + strspn(s + 1, " ");
		if (*s == '0' && s[1 + strspn(s + 1, " ")] == ')')
			return true;
	}
	return false;
}

/*
 * True if the number begins with "8 10", which Russia and its neighbours dial
 * before another country's code.  Japan's code is 81, but no number there
 * begins with a single 0.
 */
static bool
is_foreign_prefix(const char *s)
{
	static const char prefix[] = "810";
	size_t		n = 0;

	for (; *s && n < strlen(prefix); s++)
		if (*s == prefix[n])
			n++;
		else if (strchr(SEPARATORS, *s) == NULL)
			return false;
	s += strspn(s, SEPARATORS);
	return n == strlen(prefix) && *s != '0';
}

/* True for the numbers of Meta AI and other bots (isJidBot in Baileys). */
static bool
is_bot_number(const char *digits)
{
	static const struct
	{
		const char *start;
		size_t		length;
	}			ranges[] = {{"1313555", 11}, {"131655500", 11}};

	for (size_t i = 0; i < lengthof(ranges); i++)
		if (strlen(digits) == ranges[i].length &&
			strncmp(digits, ranges[i].start, strlen(ranges[i].start)) == 0)
			return true;
	return false;
}

/* Return what is wrong with the digits of an account; NULL if nothing is. */
static const char *
digits_problem(const char *digits)
{
	if (*digits == '0')
		return "a leading 0 is a national form; write the country code";
	if (strlen(digits) < PHONE_MIN_DIGITS)
		return "a phone number has at least 7 digits with its country code";
	return is_bot_number(digits) ? "a bot cannot be a member" : NULL;
}

/* A run of digits in a spelling, and the separator before it. */
typedef struct DigitGroup
{
	size_t		length;
	char		separator;		/* '\0': nothing */
} DigitGroup;

/*
 * Append the next group of digits at *s to `digits` (PHONE_MAX_DIGITS + 1
 * bytes, *n of them used), describe it in *group and advance *s and *n.
 * Returns NULL, or what is wrong.
 */
static const char *
take_group(const char **s, char *digits, size_t *n, DigitGroup *group)
{
	*group = (DigitGroup) {0, '\0'};
	for (; **s && strchr(SEPARATORS, **s) != NULL; (*s)++)
		if (group->separator == '\0' || group->separator == ' ')
			group->separator = **s;
	group->length = count_digits(*s);
	if (group->length == 0 && **s != '\0')
		return "a phone number has digits only";
	if (*n + group->length > PHONE_MAX_DIGITS)
		return "a phone number has at most 15 digits";
	memcpy(digits + *n, *s, group->length);
	*n += group->length;
	digits[*n] = '\0';
	*s += group->length;
	return NULL;
}

/*
 * True if the last group may be part of the number.  A single digit never is:
 * it is an extension, a line number or a decimal.  Two digits are if the whole
 * is written in short groups ("12 34 56").  A dot after a number in one piece
 * begins decimals, however many.
 */
static bool
is_own_tail(const DigitGroup *groups, size_t ngroups)
{
	const DigitGroup *last = &groups[ngroups - 1];
	const DigitGroup *before = &groups[ngroups - 2];

	if (last->length > 2)
		return last->separator != '.' || before->length < LONG_GROUP;
	return last->length == 2 && before->length <= 3 &&
		(before->separator == last->separator || before->separator == ')');
}

/*
 * True if the groups of a number are those of a national form: the first one is
 * less than the country code ("8 (495) 123-45-67" is Russia's, and not a number of
 * Vietnam, whose code is 84), or an area code in parentheses ("(51) 99876-5432" is
 * Brazil's, and not one of Peru).  is_marked: with "+" or "00" before it.
 */
static bool
is_grouped_nationally(const DigitGroup *groups, const char *digits, bool is_marked)
{
	if (groups[0].length < calling_code_length(digits))
		return true;
	return !is_marked && groups[0].separator == '(' && groups[1].separator == ')' &&
		groups[0].length > 1 && strlen(digits) <= LONGEST_NATIONAL;
}

/*
 * Write the digits of an international number in a folded spelling to `digits`
 * (PHONE_MAX_DIGITS + 1 bytes).  Returns NULL, or what is wrong.
 */
static const char *
phone_digits(const char *s, char *digits)
{
	DigitGroup	groups[PHONE_MAX_DIGITS + 1];
	const char *start = s;
	const char *problem;
	bool		is_marked;
	size_t		n = 0;
	size_t		ngroups = 0;

	if (has_trunk_zero(s))
		return "\"(0)\" is a national form; write the number as it is dialled from abroad";
	if (*s == '+')
		s++;
	else if (s[0] == '0' && s[1] == '0')
		s += 2;
	else if (is_foreign_prefix(s))
		return "810 is a dialling prefix; write + and the country code";
	is_marked = s > start;
	digits[0] = '\0';
	while (*s)
	{
		DigitGroup *group = &groups[ngroups];

		if ((problem = take_group(&s, digits, &n, group)) != NULL)
			return problem;
		if (group->length == 0)
			break;
		if (group->separator == '/' && n - group->length > MOST_BEFORE_SLASH)
			return "what stands before the slash is a number by itself";
		ngroups++;
	}
	if (ngroups > 1 && !is_own_tail(groups, ngroups))
		return "the digits at the end are a decimal or an extension; write the number without them";
	if ((problem = digits_problem(digits)) != NULL)
		return problem;
	if (ngroups > 1 && is_grouped_nationally(groups, digits, is_marked))
		return "it is written as within a country; write + and the country code";
	return calling_code_problem(digits);
}

/*
 * Cut an agent and a device off a JID's local part, in place: "_1", ":12" and
 * whatsmeow's ".0:12".
 */
static void
cut_device(char *local)
{
	size_t		n = count_digits(local);
	char	   *rest = local + n;

	if (*rest == '.' && count_digits(rest + 1) > 0 && rest[1 + count_digits(rest + 1)] == ':')
		rest += 1 + count_digits(rest + 1);
	else if (*rest == '_' && count_digits(rest + 1) > 0)
		rest += 1 + count_digits(rest + 1);
	if (*rest == ':' && count_digits(rest + 1) > 0)
		rest += 1 + count_digits(rest + 1);
	if (*rest == '\0')
		local[n] = '\0';
}

static Jid
parse_phone(const char *s)
{
	char		digits[PHONE_MAX_DIGITS + 1];
	const char *problem = phone_digits(s, digits);

	return problem ? jid_invalid(problem) : jid_make(JID_PERSON, digits, "c.us");
}

/*
 * Parse the number before a server.  Digits alone are an account as WhatsApp
 * writes it, whatever the country; everything else is a number as people write
 * it.
 */
static Jid
parse_phone_local(const char *local)
{
	size_t		n = count_digits(local);
	const char *problem;

	if (local[n] != '\0' || n == 0 || n > PHONE_MAX_DIGITS)
		return parse_phone(local);
	problem = digits_problem(local);
	return problem ? jid_invalid(problem) : jid_make(JID_PERSON, local, "c.us");
}

static Jid
parse_lid(const char *local)
{
	size_t		n = count_digits(local);

	if (local[n] != '\0' || n < LID_MIN_DIGITS || n > LID_MAX_DIGITS)
		return jid_invalid("a privacy id is 5 to 20 digits before \"@lid\"");
	return jid_make(JID_LID, local, "lid");
}

/* True for [0-9]{5,32}(-[0-9]{5,20})?, the local part of a group. */
static bool
is_group_local(const char *local, size_t len)
{
	size_t		head = 0;
	size_t		tail = 0;

	while (head < len && is_digit(local[head]))
		head++;
	if (head < 5 || head > 32)
		return false;
	if (head == len)
		return true;
	if (local[head] != '-')
		return false;
	while (head + 1 + tail < len && is_digit(local[head + 1 + tail]))
		tail++;
	return tail >= 5 && tail <= 20 && head + 1 + tail == len;
}

static Jid
parse_group(const char *local)
{
	if (!is_group_local(local, strlen(local)))
		return jid_invalid("a group is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"");
	return jid_make(JID_GROUP, local, "g.us");
}

/* Parse a local part, which may be cut in place, as its server requires. */
static Jid
parse_with_server(char *local, const char *server)
{
	for (size_t i = 0; i < lengthof(servers); i++)
	{
		if (strcmp(server, servers[i].name) != 0)
			continue;
		switch (servers[i].server)
		{
			case SERVER_PHONE:
				cut_device(local);
				return parse_phone_local(local);
			case SERVER_LID:
				cut_device(local);
				return parse_lid(local);
			case SERVER_GROUP:
				return parse_group(local);
			case SERVER_REFUSED:
				return jid_invalid(servers[i].problem);
		}
	}
	return jid_invalid("what follows \"@\" is not known to WhatsApp");
}

/* True if the text between at and end begins with start, in any case. */
static bool
begins_with(const char *at, const char *end, const char *start)
{
	size_t		n = strlen(start);

	return (size_t) (end - at) >= n && pg_strncasecmp(at, start, n) == 0;
}

/* Advance *at to the value of a query's parameter; false, and unchanged, if there is none. */
static bool
find_parameter(const char **at, const char *end, const char *name)
{
	for (const char *s = *at; s < end; s++)
	{
		if ((*s != '?' && *s != '&') || !begins_with(s + 1, end, name))
			continue;
		*at = s + 1 + strlen(name);
		return true;
	}
	return false;
}

/*
 * Narrow *input and *len to the number in a link; leave them unchanged if the
 * text is not one.  "%2B" is a plus in a link.
 */
static void
cut_out_of_link(const char **input, size_t *len)
{
	const char *at = *input;
	const char *end = at + *len;

	while (at < end && *at != '\0' && strchr(" \t\r\n", *at))
		at++;
	for (size_t i = 0; i < lengthof(link_schemes); i++)
		if (begins_with(at, end, link_schemes[i]))
			at += strlen(link_schemes[i]);
	for (size_t i = 0; i < lengthof(links); i++)
	{
		if (!begins_with(at, end, links[i].start))
			continue;
		at += strlen(links[i].start);
		if (links[i].parameter && !find_parameter(&at, end, links[i].parameter))
			return;
		if (begins_with(at, end, "%2B"))
			at += strlen("%2B");
		*input = at;
		for (*len = 0; at < end && (*at == '\0' || !strchr("?&#", *at)); at++)
			(*len)++;
		return;
	}
}

/*
 * Parse any accepted spelling of a person, a LID or a group.
 *
 * input, len: UTF-8, not necessarily terminated.  The result is a value; its
 * `problem` says why an invalid one was refused, as a fragment for a detail.
 */
Jid
jid_parse(const char *input, size_t len)
{
	char		folded[FOLD_SIZE];
	char	   *at;

	if (!copy_plain_jid(input, len, folded))
	{
		cut_out_of_link(&input, &len);
		if (!fold_input(input, len, folded))
			return jid_invalid("it has characters that no number or JID has");
	}
	if (*folded == '\0')
		return jid_invalid("it is empty");
	at = strchr(folded, '@');
	if (at == NULL)
		return parse_phone(folded);
	*at = '\0';
	return parse_with_server(folded, at + 1);
}

/* True if the text is exactly a group JID in its normal form. */
bool
jid_is_group_text(const char *text, size_t len)
{
	return len > 5 && memcmp(text + len - 5, "@g.us", 5) == 0 &&
		is_group_local(text, len - 5);
}

/* True if the text is exactly a person's JID (either server, no device). */
bool
jid_is_person_text(const char *text, size_t len)
{
	size_t		n = 0;

	while (n < len && is_digit(text[n]))
		n++;
	if (n < PHONE_MIN_DIGITS || n > PHONE_MAX_DIGITS || text[0] == '0')
		return false;
	return (len - n == 5 && memcmp(text + n, "@c.us", 5) == 0) ||
		(len - n == 15 && memcmp(text + n, "@s.whatsapp.net", 15) == 0);
}

/*
 * Countries whose mobile numbers exist in two forms on WhatsApp, the second
 * with one more digit after the prefix.  Brazil's ninth digit is only ever
 * before a mobile number, which starts with 6 to 9.
 */
static const struct
{
	const char *country;
	char		extra;
	size_t		extra_at;
	bool		mobile_follows;
}			two_forms[] =
{
	{"55", '9', 4, true},		/* Brazil: 55 DD [9] XXXXXXXX */
	{"52", '1', 2, false},		/* Mexico: 52 [1] XXXXXXXXXX */
	{"54", '9', 2, false},		/* Argentina: 54 [9] XXXXXXXXXX */
};

#define DIGITS_WITH_EXTRA 13

/* Write a person's digits without the optional digit, terminated, to key (JID_SIZE bytes). */
static void
person_key(const Jid *jid, char *key)
{
	size_t		n = count_digits(jid->text);

	memcpy(key, jid->text, n);
	key[n] = '\0';
	for (size_t i = 0; i < lengthof(two_forms); i++)
	{
		size_t		at = two_forms[i].extra_at;

		if (n != DIGITS_WITH_EXTRA || strncmp(key, two_forms[i].country, 2) != 0 ||
			key[at] != two_forms[i].extra ||
			(two_forms[i].mobile_follows && key[at + 1] < '6'))
			continue;
		memmove(key + at, key + at + 1, n - at);
		return;
	}
}

/* Return the same person's JID in the other form; invalid if there is none. */
Jid
jid_other_form(const Jid *jid)
{
	Jid			other = {.kind = JID_INVALID};
	char		key[JID_SIZE];
	size_t		n;

	if (jid->kind != JID_PERSON)
		return other;
	person_key(jid, key);
	n = strlen(key);
	if (n < count_digits(jid->text))
		return jid_parse(key, n);
	for (size_t i = 0; i < lengthof(two_forms); i++)
	{
		size_t		at = two_forms[i].extra_at;

		if (n != DIGITS_WITH_EXTRA - 1 || strncmp(key, two_forms[i].country, 2) != 0 ||
			(two_forms[i].mobile_follows && key[at] < '6'))
			continue;
		memmove(key + at + 1, key + at, n - at + 1);
		key[at] = two_forms[i].extra;
		return jid_parse(key, n + 1);
	}
	return other;
}

/* So many digits at the end are the same in both forms of a number. */
#define SAME_DIGITS 8
#define SAME_DIGITS_POWER 100000000
/* so many fit into 64 bits */
#define MOST_DIGITS 19

/*
 * Return the last digits of a plain spelling of a person, as a number: two texts
 * that have different ones name different accounts.  -1: nothing is said, since
 * the spelling is not plain or has too few digits.  Costs a fraction of parsing.
 */
int
jid_last_digits(const char *input, size_t len)
{
	const char *end = input + len;
	uint64		value = 0;
	int			ndigits = 0;

	for (const char *at = input; at < end && *at != '@'; at++)
	{
		unsigned int digit = (unsigned char) *at - (unsigned int) '0';

		if (digit <= 9)
		{
			value = value * 10 + digit;
			ndigits++;
		}
		else if (*at == '\0' || strchr(" +-().", *at) == NULL)
			return -1;
	}
	return ndigits >= SAME_DIGITS && ndigits <= MOST_DIGITS ? (int) (value % SAME_DIGITS_POWER) : -1;
}

/*
 * True if two JIDs name the same account; never between a LID and a phone
 * number, whatever their digits.
 */
bool
jid_same(const Jid *a, const Jid *b)
{
	char		ka[JID_SIZE];
	char		kb[JID_SIZE];

	if (a->kind != b->kind || a->kind == JID_INVALID)
		return false;
	if (a->kind != JID_PERSON)
		return strcmp(a->text, b->text) == 0;
	person_key(a, ka);
	person_key(b, kb);
	return strcmp(ka, kb) == 0;
}

/* Write what all forms of a valid JID have in common, terminated, to key (JID_SIZE bytes): the same exactly where jid_same() is true. */
void
jid_key(const Jid *jid, char *key)
{
	if (jid->kind == JID_PERSON)
		person_key(jid, key);
	else
		strlcpy(key, jid->text, JID_SIZE);
}

/* Return a hash that JIDs of the same account have in common. */
uint32
jid_hash(const Jid *jid)
{
	char		key[JID_SIZE];

	jid_key(jid, key);
	return hash_bytes((const unsigned char *) key, (int) strlen(key));
}
