/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Between the API's UTF-8 and the database's encoding.
 *
 * IDENTIFICATION
 *	  src/text.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TEXT_H
#define WAWP_TEXT_H

extern const char *text_to_server(const char *utf8);
extern const char *text_from_server(const char *text);

#endif							/* WAWP_TEXT_H */
