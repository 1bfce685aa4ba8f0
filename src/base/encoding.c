/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Conversion between the API's UTF-8 and the database's encoding.
 *
 * No locks; reads pg_conversion in the caller's transaction.  Results are in the
 * current memory context, or the argument itself.
 *
 * IDENTIFICATION
 *	  src/base/encoding.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/*
 * Return a text of the API in the database's encoding.  Characters that this
 * encoding does not have become "?", so that a result of the API is never lost
 * because of an emoji in it; no error is raised.  The input is valid UTF-8; NULL
 * stays NULL.
 */
const char *
text_to_server(const char *utf8)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	size_t		left;
	size_t		used = 0;
	char	   *out;

	if (utf8 == NULL || encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return utf8;
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	left = strlen(utf8);
	out = palloc(left * MAX_CONVERSION_GROWTH + 1);
	while (left > 0)
	{
		int			width = Min((size_t) pg_utf_mblen((const unsigned char *) utf8), left);
		char		buffer[MAX_CONVERSION_GROWTH * MAX_MULTIBYTE_CHAR_LEN + 1];

		if (OidIsValid(conversion) &&
			pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) utf8, width,
										  (unsigned char *) buffer, sizeof(buffer), true) == width)
			used += strlcpy(out + used, buffer, sizeof(buffer));
		else
			out[used++] = (width == 1) ? *utf8 : '?';
		utf8 += width;
		left -= width;
	}
	out[used] = '\0';
	return out;
}

/*
 * Return a template with its placeholders replaced, cut to max_chars characters.
 * Texts are UTF-8; placeholders in the replacements are not replaced.
 */
char *
text_fill(const char *template, const TextPart *parts, int nparts, int max_chars)
{
	StringInfoData out;
	char	   *end;

	initStringInfo(&out);
	while (*template)
	{
		size_t		skip = 0;

		for (int i = 0; i < nparts && skip == 0; i++)
			if (strncmp(template, parts[i].placeholder, strlen(parts[i].placeholder)) == 0)
			{
				appendStringInfoString(&out, parts[i].text);
				skip = strlen(parts[i].placeholder);
			}
		if (skip == 0)
			appendStringInfoChar(&out, *template);
		template += Max(skip, 1);
	}
	for (end = out.data; *end && max_chars > 0; max_chars--)
		end += Min(pg_utf_mblen((const unsigned char *) end), (int) strlen(end));
	*end = '\0';
	return out.data;
}

/*
 * Return a text of the database in UTF-8, for the API; NULL stays NULL.  In an
 * SQL_ASCII database its encoding is not known, and it may not be UTF-8.
 */
const char *
text_from_server(const char *text)
{
	if (text == NULL || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

/* Return a text with each byte that is no text in the database's encoding as "?"; itself if there is none. */
const char *
text_make_valid(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	char	   *at;
	char	   *copy;

	if (pg_encoding_verifymbstr(encoding, text, (int) strlen(text)) == (int) strlen(text))
		return text;
	at = copy = pstrdup(text);
	while (*(at += pg_encoding_verifymbstr(encoding, at, (int) strlen(at))) != '\0')
		*at++ = '?';
	return copy;
}
