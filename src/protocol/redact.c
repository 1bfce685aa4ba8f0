/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Removes a secret from a text that came from outside.
 *
 * Pure.  The engines' error bodies quote the request they got, credentials
 * included, so every text of an answer or of libcurl is redacted here before it
 * is shown.  The secret is found as it is, as JSON writes it and as a URL
 * writes it.  Telephone numbers are not known one by one: all long ones are masked.
 *
 * IDENTIFICATION
 *	  src/protocol/redact.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "protocol/redact.h"

#define MASK "***"

/* No telephone number is shorter. */
#define DIGITS_OF_A_NUMBER 7

/*
 * Return the length of one character of the secret at the start of text, 0 if
 * it is not there; advance *secret past that character.
 */
typedef size_t (*CharMatch) (const char *text, const char **secret);

/* CharMatch: the character as it is. */
static size_t
match_plain(const char *text, const char **secret)
{
	return *text == *(*secret)++ ? 1 : 0;
}

/* True if the text begins with the value in `digits` hexadecimal digits. */
static bool
is_hex(const char *text, int digits, unsigned int value)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < digits; i++)
		if (pg_ascii_tolower((unsigned char) text[i]) != hex[(value >> (4 * (digits - 1 - i))) & 15])
			return false;
	return true;
}

/* Return the length of a code point's JSON escape at the start of text, 0 if there is none. */
static size_t
match_json_escape(const char *text, unsigned int c)
{
	if (c < 0x10000)
		return strncmp(text, "\\u", 2) == 0 && is_hex(text + 2, 4, c) ? 6 : 0;
	c -= 0x10000;
	return strncmp(text, "\\u", 2) == 0 && is_hex(text + 2, 4, 0xD800 + (c >> 10)) &&
		strncmp(text + 6, "\\u", 2) == 0 && is_hex(text + 8, 4, 0xDC00 + (c & 0x3FF)) ? 12 : 0;
}

/* CharMatch: the character as a JSON string may have it, escaped or not. */
static size_t
match_json(const char *text, const char **secret)
{
	const unsigned char *c = (const unsigned char *) *secret;
	size_t		width = pg_utf_mblen(c);
	size_t		escape;

	if (strlen(*secret) < width)
		width = 1;
	*secret += width;
	if (strncmp(text, (const char *) c, width) == 0 && *c != '"' && *c != '\\')
		return width;
	escape = match_json_escape(text, width > 1 ? utf8_to_unicode(c) : *c);
	return escape ? escape : (*text == '\\' && (unsigned char) text[1] == *c) ? 2 : 0;
}

/* CharMatch: the character as a URL may have it, percent-encoded or not. */
static size_t
match_url(const char *text, const char **secret)
{
	unsigned char c = (unsigned char) *(*secret)++;

	if (*text == '%')
		return is_hex(text + 1, 2, c) ? 3 : 0;
	return ((unsigned char) *text == c || (*text == '+' && c == ' ')) ? 1 : 0;
}

/* Return the length of the whole secret at the start of text, 0 if it is not there. */
static size_t
match_secret(const char *text, const char *secret, CharMatch match)
{
	const char *at = text;

	while (*secret)
	{
		size_t		n = match(at, &secret);

		if (n == 0)
			return 0;
		at += n;
	}
	return at - text;
}

/*
 * Return a copy of the text, in the current context, with every occurrence of
 * the secret masked.  NULL or empty secret: an unchanged copy.  NULL text: NULL.
 */
char *
redact_secret(const char *text, const char *secret)
{
	static const CharMatch matches[] = {match_plain, match_json, match_url};
	StringInfoData out;

	if (text == NULL)
		return NULL;
	initStringInfo(&out);
	while (*text)
	{
		size_t		longest = 0;

		for (size_t i = 0; secret && *secret && i < lengthof(matches); i++)
			longest = Max(longest, match_secret(text, secret, matches[i]));
		if (longest > 0)
			appendStringInfoString(&out, MASK);
		else
			appendStringInfoChar(&out, *text);
		text += Max(longest, 1);
	}
	return out.data;
}

/* Mask each number in a text that is long enough to be a telephone number. */
void
redact_long_numbers(char *text)
{
	while (*text)
	{
		size_t		digits = strspn(text, "0123456789");

		if (digits >= DIGITS_OF_A_NUMBER)
			memset(text, '*', digits);
		text += Max(digits, 1);
	}
}
