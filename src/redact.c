/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Takes a secret out of a text that came from outside.
 *
 * Pure.  The engines' error bodies quote the request they got, credentials
 * included (wawp-api.md, section 6.2), so no text of an answer or of libcurl
 * is shown before it went through here.  The secret is found as it is, as
 * JSON writes it and as a URL writes it.
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

/* One character of a secret, in each of the ways it may be written. */
static size_t
match_char(const char *text, unsigned char c)
{
	char		percent[4];
	char		escape[7];

	snprintf(percent, sizeof(percent), "%%%02X", c);
	snprintf(escape, sizeof(escape), "\\u%04x", c);
	if ((unsigned char) *text == c)
		return 1;
	if (*text == '\\' && (unsigned char) text[1] == c)
		return 2;
	if (pg_strncasecmp(text, percent, 3) == 0)
		return 3;
	return pg_strncasecmp(text, escape, 6) == 0 ? 6 : 0;
}

/* Length of the secret at the start of text, 0 if it is not there. */
static size_t
match_secret(const char *text, const char *secret)
{
	const char *at = text;

	for (; *secret; secret++)
	{
		size_t		n = match_char(at, (unsigned char) *secret);

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
	StringInfoData out;

	if (text == NULL)
		return NULL;
	initStringInfo(&out);
	while (*text)
	{
		size_t		n = secret && *secret ? match_secret(text, secret) : 0;

		if (n > 0)
			appendStringInfoString(&out, MASK);
		else
			appendStringInfoChar(&out, *text);
		text += Max(n, 1);
	}
	return out.data;
}
