/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  Conversion between the API's UTF-8 and the database's encoding.
 *
 * IDENTIFICATION
 *	  src/base/encoding.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ENCODING_H
#define WAWP_ENCODING_H

/* A placeholder of a message and the text that replaces it. */
typedef struct TextPart
{
	const char *placeholder;
	const char *text;
} TextPart;

extern const char *text_to_server(const char *utf8);
extern const char *text_from_server(const char *text);
extern const char *text_make_valid(const char *text);
extern char *text_fill(const char *template, const TextPart *parts, int nparts, int max_chars);

#endif							/* WAWP_ENCODING_H */
