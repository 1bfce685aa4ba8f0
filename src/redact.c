/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Takes a secret out of a text that came from outside.
 *
 * Pure.  The engines' error bodies quote the request they got, credentials
 * included (wawp-api.md, section 6.2), so no text of an answer or of libcurl
 * is shown before it went through here.  The secret is found as it is, as
 * JSON writes it and as a URL writes it; a non-ASCII one not as \u escapes,
 * which json.c has written out where it matters.
 *
 * IDENTIFICATION
 *	  src/redact.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"
#include "redact.h"

#define MASK "***"

/* Length of one character of the secret as it stands at text, 0 if it does not. */
typedef size_t (*CharMatch) (const char *text, char c);

static size_t
match_plain(const char *text, char c)
{
	return *text == c ? 1 : 0;
}

static size_t
match_json(const char *text, char c)
{
	static const char hex[] = "0123456789abcdef";

	if (*text != '\\')
		return (*text == c && c != '"') ? 1 : 0;
	if (text[1] == c)
		return 2;
	return strncmp(text + 1, "u00", 3) == 0 && text[4] && text[5] &&
		pg_ascii_tolower((unsigned char) text[4]) == hex[(c >> 4) & 15] &&
		pg_ascii_tolower((unsigned char) text[5]) == hex[c & 15] ? 6 : 0;
}

static size_t
match_url(const char *text, char c)
{
	static const char hex[] = "0123456789abcdef";

	if (*text != '%')
		return (*text == c || (*text == '+' && c == ' ')) ? 1 : 0;
	return text[1] && text[2] &&
		pg_ascii_tolower((unsigned char) text[1]) == hex[(c >> 4) & 15] &&
		pg_ascii_tolower((unsigned char) text[2]) == hex[c & 15] ? 3 : 0;
}

/* Length of the whole secret at the start of text, 0 if it is not there. */
static size_t
match_secret(const char *text, const char *secret, CharMatch match)
{
	const char *at = text;

	for (; *secret; secret++)
	{
		size_t		n = match(at, *secret);

		if (n == 0)
			return 0;
		at += n;
	}
	return at - text;
}

/*
 * A copy of the text with every occurrence of the secret masked.  NULL or
 * empty secret: an unchanged copy.  NULL text: NULL.
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
