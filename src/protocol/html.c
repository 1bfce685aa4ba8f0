/*-------------------------------------------------------------------------
 *
 * html.c
 *	  Writes a page of HTML that needs nothing but itself.
 *
 * Pure: texts are UTF-8, and what is written is ASCII, so that a page means the
 * same in whatever encoding it is stored.  Every text of a caller is escaped; what
 * is not escaped is written in this file.  A chart is a table whose last column
 * has bars in SVG: it can be read aloud, printed and used on a narrow screen.
 * Colours follow the reader's light or dark scheme; both have a contrast of 4.5 and more.
 *
 * IDENTIFICATION
 *	  src/protocol/html.c
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "protocol/html.h"

#define BAR_WIDTH 100.0

static const char style[] =
":root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--quiet:#4b5563;--line:#d0d5dc;--bar:#2e8b6b}"
"@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--paper:#15181c;--quiet:#b6bdc7;--line:#3a414b;--bar:#3f9f7a}}"
"*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);color:var(--ink);"
"font:1rem/1.5 system-ui,sans-serif}h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin:2rem 0 .5rem}"
"p{margin:.5rem 0;overflow-wrap:anywhere}.wide{overflow-x:auto}.wide:focus-visible{outline:2px solid var(--bar);outline-offset:2px}"
"table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--quiet);padding:.25rem 0}"
"th,td{padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}"
"th[scope=row]{font-weight:normal}.number{text-align:right;font-variant-numeric:tabular-nums}"
".bar{width:45%;padding-right:0}.bar svg{display:block;width:100%;height:1.2rem}rect{fill:var(--bar)}line{stroke:var(--ink);stroke-width:2;vector-effect:non-scaling-stroke}"
"@media (max-width:30rem){body{padding:.75rem}.bar{width:30%}th,td{padding-right:.4rem}}"
"@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--quiet:#333;--line:#999;--bar:#2e8b6b}"
"body{max-width:none;padding:0;font-size:10pt}.wide{overflow:visible}tr{break-inside:avoid}h2{break-after:avoid}svg{print-color-adjust:exact}}";

/* Returns the code point at *text and moves *text behind it; U+FFFD for a byte that begins none. */
static uint32
html_next_character(const unsigned char **text)
{
	const unsigned char *c = *text;
	int			more = c[0] >= 0xF0 ? 3 : c[0] >= 0xE0 ? 2 : c[0] >= 0xC0 ? 1 : 0;
	uint32		code = more == 0 ? c[0] : c[0] & (0x3F >> more);

	*text = c + 1;
	if (c[0] < 0x80)
		return c[0];
	for (int i = 1; i <= more; i++)
	{
		if ((c[i] & 0xC0) != 0x80)
			return 0xFFFD;
		code = code << 6 | (c[i] & 0x3F);
	}
	*text = c + 1 + more;
	return more == 0 ? 0xFFFD : code;
}

/* Append a text, so that it is nothing but text within an element or a quoted attribute. */
void
html_put_text(StringInfo out, const char *utf8)
{
	const unsigned char *text = (const unsigned char *) utf8;

	while (*text)
	{
		uint32		c = html_next_character(&text);

		if (c < ' ' || c == 0x7F)
			appendStringInfoChar(out, ' ');
		else if (c >= 0x80 || strchr("&<>\"'`=", (int) c))
			appendStringInfo(out, "&#%u;", c);
		else
			appendStringInfoChar(out, (char) c);
	}
}

/* Begin a page. */
void
html_begin_page(StringInfo out, const char *title)
{
	appendStringInfoString(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
						   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
						   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
	html_put_text(out, title);
	appendStringInfo(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
	html_put_text(out, title);
	appendStringInfoString(out, "</h1>\n");
}

void
html_end_page(StringInfo out)
{
	appendStringInfoString(out, "</main>\n</body>\n</html>\n");
}

void
html_put_paragraph(StringInfo out, const char *utf8)
{
	appendStringInfoString(out, "<p>");
	html_put_text(out, utf8);
	appendStringInfoString(out, "</p>\n");
}

/* Begin a section; the id is a word of ours. */
void
html_begin_section(StringInfo out, const char *id, const char *heading)
{
	appendStringInfo(out, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">", id, id);
	html_put_text(out, heading);
	appendStringInfoString(out, "</h2>\n");
}

void
html_end_section(StringInfo out)
{
	appendStringInfoString(out, "</section>\n");
}

/* Begin a table that can be scrolled sideways by keyboard; it has its name from the caption. */
void
html_begin_table(StringInfo out, const char *caption, const HtmlColumn *columns, int ncolumns)
{
	appendStringInfoString(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"");
	html_put_text(out, caption);
	appendStringInfoString(out, "\">\n<table>\n<caption>");
	html_put_text(out, caption);
	appendStringInfoString(out, "</caption>\n<thead><tr>");
	for (int i = 0; i < ncolumns; i++)
	{
		appendStringInfo(out, "<th scope=\"col\"%s>", columns[i].is_number ? " class=\"number\"" : "");
		html_put_text(out, columns[i].heading);
		appendStringInfoString(out, "</th>");
	}
	appendStringInfoString(out, "</tr></thead>\n<tbody>\n");
}

/* Append a row, whose first cell names it; a cell that is NULL is empty. */
void
html_put_row(StringInfo out, const char *const *cells, const HtmlColumn *columns, int ncolumns)
{
	appendStringInfoString(out, "<tr>");
	for (int i = 0; i < ncolumns; i++)
	{
		appendStringInfo(out, i == 0 ? "<th scope=\"row\"%s>" : "<td%s>", columns[i].is_number ? " class=\"number\"" : "");
		html_put_text(out, cells[i] ? cells[i] : "");
		appendStringInfoString(out, i == 0 ? "</th>" : "</td>");
	}
	appendStringInfoString(out, "</tr>\n");
}

void
html_end_table(StringInfo out)
{
	appendStringInfoString(out, "</tbody>\n</table>\n</div>\n");
}

/* Begin a chart, which html_end_table() ends: what its rows are, and what is counted. */
void
html_begin_bars(StringInfo out, const char *caption, const char *what, const char *unit)
{
	HtmlColumn	columns[] = {{what, false}, {unit, true}, {"Chart", false}};

	html_begin_table(out, caption, columns, lengthof(columns));
}

/* Append a bar; most: the value of the longest one; limit: where a line is drawn, 0: nowhere. */
void
html_put_bar(StringInfo out, const char *label, double value, double most, double limit)
{
	double		scale = BAR_WIDTH / Max(Max(most, limit), 1);

	appendStringInfoString(out, "<tr><th scope=\"row\">");
	html_put_text(out, label);
	appendStringInfo(out, "</th><td class=\"number\">%.0f</td><td class=\"bar\"><svg viewBox=\"0 0 %.0f 10\" preserveAspectRatio=\"none\" "
					 "aria-hidden=\"true\" focusable=\"false\"><rect width=\"%.2f\" height=\"10\"/>", value, BAR_WIDTH, value * scale);
	if (limit > 0)
		appendStringInfo(out, "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"0\" y2=\"10\"/>", limit * scale, limit * scale);
	appendStringInfoString(out, "</svg></td></tr>\n");
}
