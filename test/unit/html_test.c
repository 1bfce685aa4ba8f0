/*
 * html_test.c
 *	  Texts in a page are texts, whatever is in them; a bar has its length.
 */
#include "postgres_fe.h"

#include "protocol/html.h"
#include "tap.h"

static const struct
{
	const char *what;
	const char *text;
	const char *written;
}			texts[] = {
	{"letters", "a b", "a b"},
	{"a tag", "<script>", "&#60;script&#62;"},
	{"quotes of all kinds", "\"'`=", "&#34;&#39;&#96;&#61;"},
	{"an entity", "&lt;", "&#38;lt;"},
	{"control characters", "a\tb\nc\x1b\x7f", "a b c  "},
	{"two, three and four bytes", "\xc3\xbc\xe2\x98\x83\xf0\x9f\x99\x82", "&#252;&#9731;&#128578;"},
	{"a byte that begins nothing", "\x80<", "&#65533;&#60;"},
	{"a character that is cut by the end", "\xf0\x9f\x99", "&#65533;&#65533;&#65533;"},
	{"a character that is cut by a tag", "\xe2<b>", "&#65533;&#60;b&#62;"},
};

static const char *
written(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	html_put_text(&out, text);
	return out.data;
}

static const char *
bar(double value, double most, double limit)
{
	StringInfoData out;

	initStringInfo(&out);
	html_put_bar(&out, "<", value, most, limit);
	return out.data;
}

int
main(void)
{
	const char *label[] = {"<b>", NULL};
	HtmlColumn	columns[] = {{"\"", false}, {"n", true}};
	StringInfoData out;

	for (size_t i = 0; i < lengthof(texts); i++)
		is_text(written(texts[i].text), texts[i].written, texts[i].what);
	ok(strstr(bar(5, 10, 0), "<rect width=\"50.00\"") != NULL, "half as long as the longest");
	ok(strstr(bar(5, 5, 20), "<rect width=\"25.00\"") != NULL, "a quarter of the limit");
	ok(strstr(bar(5, 5, 20), "<line x1=\"100.00\"") != NULL, "... which is marked");
	ok(strstr(bar(0, 0, 0), "<rect width=\"0.00\"") != NULL, "nothing of nothing");
	ok(strstr(bar(1, 1, 0), "<line") == NULL, "without a limit no mark");
	ok(strstr(bar(1, 1, 0), "<th scope=\"row\">&#60;</th>") != NULL, "its label is a text");
	initStringInfo(&out);
	html_begin_table(&out, "\"><i>", columns, lengthof(columns));
	html_put_row(&out, label, columns, lengthof(columns));
	html_end_table(&out);
	ok(strstr(out.data, "<i>") == NULL && strstr(out.data, "<b>") == NULL, "nor does a caption, heading or cell end anything");
	ok(strstr(out.data, "<td class=\"number\"></td>") != NULL, "a cell that is NULL is empty");
	return done_testing();
}
