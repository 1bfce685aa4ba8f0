/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A JSON text as a tree of nodes.
 *
 * Pure.  The tree and its strings live in the current memory context and are UTF-8
 * whatever the database's encoding is.  A text is read once, without recursion,
 * and its strings are written behind one another into one piece of memory, nodes
 * into a few: member lists, which have tens of thousands of values, are read
 * several times as fast as by PostgreSQL's parser (common/jsonapi).  What is JSON
 * is the same for both, which json_test.c compares; \u escapes mean UTF-8 here.
 *
 * A text from the network must not be able to raise an error: invalid UTF-8, NUL,
 * nesting deeper than MAX_DEPTH and too many values are refused.  Half a surrogate
 * pair, left by an engine that cut a name in two, becomes U+FFFD, and so does an
 * escaped NUL, which people's names and messages may have.  Where the
 * server's own functions are to read a text, json_text_clean() removes from it
 * what they cannot read.
 *
 * IDENTIFICATION
 *	  src/protocol/json.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <limits.h>

#include "mb/pg_wchar.h"
#include "protocol/json.h"

#include "compat.h"

/* Answers nest about 8 deep; the server's parser recurses. */
#define MAX_DEPTH 64

/*
 * A group of 1,024 members takes about 10,000 values and a value about 130
 * bytes here, so that the worst answer costs 65 MB.
 */
#define MAX_VALUES 500000

#define REPLACEMENT 0xFFFD

/* Nodes are made so many at once at first, then twice as many each time up to the second number. */
#define FIRST_NODES 8
#define MOST_NODES 512

/* A text that is being read. */
typedef struct JsonReader
{
	const char *at;
	const char *end;
	char	   *out;			/* where the next string is written */
	JsonNode	root;			/* an array of one: the document */
	JsonNode   *open[MAX_DEPTH + 1];	/* enclosing nodes, innermost last */
	int			depth;
	int			values;
	const char *key;			/* of the value that comes next */
	JsonNode   *nodes;			/* not used yet ... */
	int			nnodes;			/* ... so many ... */
	int			nmade;			/* ... of so many */
} JsonReader;

/* True if nesting and number of values, counted by the marks outside strings, are within bounds. */
static bool
json_size_is_sane(const char *text, size_t len)
{
	int			depth = 0;
	int			values = 1;
	bool		is_in_string = false;

	for (size_t i = 0; i < len; i++)
	{
		char		c = text[i];

		if (is_in_string && c == '\\')
			i++;
		else if (c == '"')
			is_in_string = !is_in_string;
		else if (is_in_string)
			continue;
		else if (c == '[' || c == '{')
		{
			if (++depth > MAX_DEPTH || ++values > MAX_VALUES)
				return false;
		}
		else if (c == ',')
		{
			if (++values > MAX_VALUES)
				return false;
		}
		else if (c == ']' || c == '}')
			depth--;
	}
	return true;
}

/* Return the value of "\uXXXX" at s, or -1 if there is none. */
static int
unicode_escape(const char *s, const char *end)
{
	int			value = 0;

	if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) s[i]);

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* Write a code point as UTF-8 to out (4 bytes, not terminated); returns the length. */
static size_t
put_utf8(char *out, unsigned int c)
{
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = (char) (0xC0 | (c >> 6));
		out[1] = (char) (0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = (char) (0xE0 | (c >> 12));
		out[1] = (char) (0x80 | ((c >> 6) & 0x3F));
		out[2] = (char) (0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char) (0xF0 | (c >> 18));
	out[1] = (char) (0x80 | ((c >> 12) & 0x3F));
	out[2] = (char) (0x80 | ((c >> 6) & 0x3F));
	out[3] = (char) (0x80 | (c & 0x3F));
	return 4;
}

/*
 * Write the character of the escape "\uXXXX" at s, whose value is `high`, or of
 * the pair that it begins, as UTF-8 to *out; returns the length of what was read,
 * which is longer.
 */
static size_t
write_out_escape(const char *s, const char *end, int high, char **out)
{
	int			low = (high >= 0xD800 && high < 0xDC00) ? unicode_escape(s + 6, end) : -1;

	if (low >= 0xDC00 && low < 0xE000)
	{
		*out += put_utf8(*out, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
		return 12;
	}
	*out += put_utf8(*out, high > 0 && (high < 0xD800 || high >= 0xE000) ? high : REPLACEMENT);
	return 6;
}

/*
 * Return a palloc'd copy of the text with \u escapes of NUL and above ASCII written out,
 * and set *len to its length.  An escape is never shorter than its character.
 */
static char *
write_out_escapes(const char *text, size_t *len)
{
	const char *end = text + *len;
	char	   *copy = palloc(*len + 1);
	char	   *out = copy;

	for (const char *s = text; s < end;)
	{
		const char *mark = memchr(s, '\\', end - s);
		size_t		plain = (mark ? mark : end) - s;
		int			high = mark ? unicode_escape(mark, end) : -1;

		memcpy(out, s, plain);
		out += plain;
		s += plain;
		if (high == 0 || high >= 0x80)
			s += write_out_escape(s, end, high, &out);
		else
			for (int i = 0; i < 2 && s < end; i++)
				*out++ = *s++;
	}
	*out = '\0';
	*len = out - copy;
	return copy;
}

/*
 * ---- reading
 */

/* Return a new node, all zeros. */
static JsonNode *
json_make_node(JsonReader *reader)
{
	if (reader->nnodes == 0)
	{
		reader->nmade = reader->nmade == 0 ? FIRST_NODES : Min(reader->nmade * 2, MOST_NODES);
		reader->nodes = palloc0(sizeof(JsonNode) * reader->nmade);
		reader->nnodes = reader->nmade;
	}
	reader->nnodes--;
	return reader->nodes++;
}

/* Append a node to the innermost open one. */
static JsonNode *
json_add_node(JsonReader *reader, JsonKind kind, const char *text)
{
	JsonNode   *parent = reader->open[reader->depth];
	JsonNode   *node = json_make_node(reader);

	node->kind = kind;
	node->text = text;
	node->key = reader->key;
	reader->key = NULL;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->count++;
	return node;
}

/* Return the character that comes next; NUL at the end. */
static inline char
json_peek(const JsonReader *reader)
{
	return reader->at < reader->end ? *reader->at : '\0';
}

/* Return the character that comes next but for white space. */
static char
json_skip_space(JsonReader *reader)
{
	char		c;

	while ((c = json_peek(reader)) == ' ' || c == '\n' || c == '\t' || c == '\r')
		reader->at++;
	return c;
}

/* True for what no number and no word is followed by. */
static bool
json_is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || IS_HIGHBIT_SET(c);
}

/* Write the character of an escape to *out; returns the length of the escape, 0 if it is none. */
static size_t
json_take_escape(const char *s, const char *end, char **out)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	int			code = unicode_escape(s, end);
	const char *letter;

	if (code >= 0)
		return write_out_escape(s, end, code, out);
	letter = end - s >= 2 ? strchr(letters, s[1]) : NULL;
	if (letter == NULL)
		return 0;
	*(*out)++ = meanings[letter - letters];
	return 2;
}

/* Eight bytes that are all this one. */
#define EIGHT(byte) (UINT64CONST(0x0101010101010101) * (byte))
#define HIGH_BITS EIGHT(0x80)

/* True if one of eight bytes may end a string's plain part: a quote, a backslash, a control character. */
static bool
json_may_end_plain(uint64 bytes)
{
	uint64		quote = bytes ^ EIGHT('"');
	uint64		backslash = bytes ^ EIGHT('\\');

	/* a byte borrows from the next one if it is less: true for some that end nothing, which are read one by one */
	return (((quote - EIGHT(1)) & ~quote) | ((backslash - EIGHT(1)) & ~backslash) |
			((bytes - EIGHT(' ')) & ~bytes)) & HIGH_BITS;
}

/* Copy the plain part of a string that begins at s, eight bytes at a time and then one by one; *out is moved behind it. */
static const char *
json_copy_plain(const char *s, const char *end, char **out)
{
	char	   *to = *out;

	for (uint64 bytes; end - s >= (ptrdiff_t) sizeof(bytes); s += sizeof(bytes), to += sizeof(bytes))
	{
		memcpy(&bytes, s, sizeof(bytes));
		if (json_may_end_plain(bytes))
			break;
		memcpy(to, &bytes, sizeof(bytes));
	}
	while (s < end && *s != '"' && *s != '\\' && (unsigned char) *s >= ' ')
		*to++ = *s++;
	*out = to;
	return s;
}

/* Read the string that begins here; NULL if it is none. */
static const char *
json_take_string(JsonReader *reader)
{
	const char *text = reader->out;
	const char *s = reader->at + 1;
	char	   *out = reader->out;

	for (;;)
	{
		size_t		escape;

		s = json_copy_plain(s, reader->end, &out);
		if (s == reader->end || *s != '\\')
			break;
		if ((escape = json_take_escape(s, reader->end, &out)) == 0)
			return NULL;
		s += escape;
	}
	if (s == reader->end || *s != '"')
		return NULL;
	*out++ = '\0';
	reader->out = out;
	reader->at = s + 1;
	return text;
}

/* Skip digits; false if there is none. */
static bool
json_skip_digits(JsonReader *reader)
{
	const char *first = reader->at;

	while (json_peek(reader) >= '0' && json_peek(reader) <= '9')
		reader->at++;
	return reader->at > first;
}

/* Skip the number that begins here; false if it is none. */
static bool
json_skip_number(JsonReader *reader)
{
	reader->at += json_peek(reader) == '-';
	if (json_peek(reader) == '0')
		reader->at++;
	else if (!json_skip_digits(reader))
		return false;
	if (json_peek(reader) == '.')
	{
		reader->at++;
		if (!json_skip_digits(reader))
			return false;
	}
	if (json_peek(reader) == 'e' || json_peek(reader) == 'E')
	{
		reader->at++;
		reader->at += json_peek(reader) == '+' || json_peek(reader) == '-';
		if (!json_skip_digits(reader))
			return false;
	}
	return !json_is_word(json_peek(reader));
}

/* Read a number as it is written; NULL if it is none. */
static const char *
json_take_number(JsonReader *reader)
{
	const char *first = reader->at;
	const char *text = reader->out;

	if (!json_skip_number(reader))
		return NULL;
	memcpy(reader->out, first, reader->at - first);
	reader->out += reader->at - first;
	*reader->out++ = '\0';
	return text;
}

/* Read true, false or null into *kind; false for any other word. */
static bool
json_take_word(JsonReader *reader, JsonKind *kind)
{
	static const struct
	{
		const char *word;
		JsonKind	kind;
	}			words[] = {{"true", JSON_KIND_TRUE}, {"false", JSON_KIND_FALSE}, {"null", JSON_KIND_NULL}};
	const char *first = reader->at;
	size_t		n;

	while (json_is_word(json_peek(reader)))
		reader->at++;
	n = reader->at - first;
	for (size_t i = 0; i < lengthof(words); i++)
		if (strlen(words[i].word) == n && memcmp(words[i].word, first, n) == 0)
		{
			*kind = words[i].kind;
			return true;
		}
	return false;
}

/* Read the name of the next value, if the innermost open node is an object; false if there is none. */
static bool
json_take_key(JsonReader *reader)
{
	if (reader->open[reader->depth]->kind != JSON_KIND_OBJECT)
		return true;
	if (json_skip_space(reader) != '"' || (reader->key = json_take_string(reader)) == NULL ||
		json_skip_space(reader) != ':')
		return false;
	reader->at++;
	return true;
}

/* Close the innermost open node if it ends here. */
static bool
json_close(JsonReader *reader)
{
	if (json_skip_space(reader) != (reader->open[reader->depth]->kind == JSON_KIND_OBJECT ? '}' : ']'))
		return false;
	reader->at++;
	reader->open[reader->depth]->source_end = reader->at;
	reader->depth--;
	return true;
}

/* Open an object or an array; false if that is too deep, or it has no key where there must be one. */
static bool
json_open(JsonReader *reader, JsonKind kind, bool *is_open)
{
	if (reader->depth == MAX_DEPTH || ++reader->values > MAX_VALUES)
		return false;
	reader->open[reader->depth + 1] = json_add_node(reader, kind, NULL);
	reader->open[++reader->depth]->source = reader->at++;
	*is_open = !json_close(reader);
	return !*is_open || json_take_key(reader);
}

/* Read a value, of an object or an array only the beginning if it has members: *is_open then; false if there is none. */
static bool
json_take_value(JsonReader *reader, bool *is_open)
{
	char		c = json_skip_space(reader);
	JsonKind	kind = c == '"' ? JSON_KIND_STRING : JSON_KIND_NUMBER;
	const char *source = reader->at;
	const char *text = NULL;
	JsonNode   *node;

	*is_open = false;
	if (c == '{' || c == '[')
		return json_open(reader, c == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY, is_open);
	if (c == '"')
		text = json_take_string(reader);
	else if (c == '-' || (c >= '0' && c <= '9'))
		text = json_take_number(reader);
	else if (!json_take_word(reader, &kind))
		return false;
	if (text == NULL && (kind == JSON_KIND_STRING || kind == JSON_KIND_NUMBER))
		return false;
	node = json_add_node(reader, kind, text);
	node->source = source;
	node->source_end = reader->at;
	return true;
}

/* Read what stands between two values; false if it is no comma, and a key in an object. */
static bool
json_take_comma(JsonReader *reader)
{
	if (json_skip_space(reader) != ',' || ++reader->values > MAX_VALUES)
		return false;
	reader->at++;
	return json_take_key(reader);
}

/* Read the whole text; false if it is not JSON. */
static bool
json_take_document(JsonReader *reader)
{
	bool		is_open;

	for (;;)
	{
		if (!json_take_value(reader, &is_open))
			return false;
		if (is_open)
			continue;
		while (reader->depth > 0 && json_close(reader))
			;
		if (reader->depth == 0)
			break;
		if (!json_take_comma(reader))
			return false;
	}
	return json_skip_space(reader) == '\0';
}

/* Skip a byte order mark; false if the text is not UTF-8, or has a NUL. */
static bool
json_is_text(const char **text, size_t *len)
{
	if (*len >= 3 && memcmp(*text, JSON_BYTE_ORDER_MARK, 3) == 0)
	{
		*text += 3;
		*len -= 3;
	}
	return *len > 0 && *len <= INT_MAX / 2 && memchr(*text, '\0', *len) == NULL &&
		pg_encoding_verifymbstr(PG_UTF8, *text, (int) *len) == (int) *len;
}

/*
 * Return a palloc'd copy of a JSON text that the server's own functions read
 * without raising encoding errors, and set *len to its length; NULL if it
 * cannot be JSON (see the banner).
 */
char *
json_text_clean(const char *text, size_t *len)
{
	if (!json_is_text(&text, len) || !json_size_is_sane(text, *len))
		return NULL;
	return write_out_escapes(text, len);
}

/*
 * Parse a JSON text of any origin.  Returns NULL if it is not JSON, not UTF-8,
 * has a NUL, nests too deep or has too many values.
 */
const JsonNode *
json_node_parse(const char *text, size_t len)
{
	JsonReader	reader = {.root = {.kind = JSON_KIND_ARRAY}, .values = 1};

	if (!json_is_text(&text, &len))
		return NULL;
	reader.at = text;
	reader.end = text + len;
	/* no string is longer than what it is read from, and behind each comes something, but for a number alone */
	reader.out = palloc(len + 2);
	reader.open[0] = &reader.root;
	return json_take_document(&reader) ? reader.root.first : NULL;
}

/* Return the member of an object, or NULL; a NULL node has no members. */
const JsonNode *
json_node_get(const JsonNode *node, const char *key)
{
	if (!json_node_is(node, JSON_KIND_OBJECT))
		return NULL;
	for (const JsonNode *child = node->first; child; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

/* Return the first of the keys that is there and not null; `keys` ends with NULL. */
const JsonNode *
json_node_any(const JsonNode *node, const char *const *keys)
{
	for (; *keys; keys++)
	{
		const JsonNode *child = json_node_get(node, *keys);

		if (child && child->kind != JSON_KIND_NULL)
			return child;
	}
	return NULL;
}

/* Read a whole number, written as a number (403, 403.0) or as a string, into *value; false if it is none. */
bool
json_node_int(const JsonNode *node, int *value)
{
	const char *text = json_node_text(node);
	char	   *end;
	long		parsed;

	if (text == NULL)
		return false;
	errno = 0;
	parsed = strtol(text, &end, 10);
	if (end != text && *end == '.')
		end += 1 + strspn(end + 1, "0");
	end += strspn(end, " ");
	if (end == text || *end != '\0' || errno != 0 || parsed < INT_MIN || parsed > INT_MAX)
		return false;
	*value = (int) parsed;
	return true;
}

/*
 * True if jsonb can hold all numbers of the tree.  Numeric cannot hold 1e999999;
 * a number with an exponent of more than four digits, or with a thousand
 * digits, counts as one that does not fit.
 */
bool
json_node_is_storable(const JsonNode *node)
{
	if (json_node_is(node, JSON_KIND_NUMBER))
	{
		size_t		exponent = strcspn(node->text, "eE");

		return strlen(node->text) < 1000 && strlen(node->text + exponent) <= 6;
	}
	for (const JsonNode *child = node->first; child; child = child->next)
		if (!json_node_is_storable(child))
			return false;
	return true;
}
