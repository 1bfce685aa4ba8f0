/*-------------------------------------------------------------------------
 *
 * html.h
 *	  Writes a page of HTML that needs nothing but itself.
 *
 * IDENTIFICATION
 *	  src/protocol/html.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_HTML_H
#define WAWP_HTML_H

#include "lib/stringinfo.h"

/* A table's column. */
typedef struct HtmlColumn
{
	const char *heading;
	bool		is_number;		/* aligned to the right */
} HtmlColumn;

extern void html_put_text(StringInfo out, const char *utf8);
extern void html_begin_page(StringInfo out, const char *title);
extern void html_end_page(StringInfo out);
extern void html_put_paragraph(StringInfo out, const char *utf8);
extern void html_begin_section(StringInfo out, const char *id, const char *heading);
extern void html_end_section(StringInfo out);
extern void html_begin_table(StringInfo out, const char *caption, const HtmlColumn *columns, int ncolumns);
extern void html_put_row(StringInfo out, const char *const *cells, const HtmlColumn *columns, int ncolumns);
extern void html_end_table(StringInfo out);
extern void html_begin_bars(StringInfo out, const char *caption, const char *what, const char *unit);
extern void html_put_bar(StringInfo out, const char *label, double value, double most, double limit);

#endif							/* WAWP_HTML_H */
