/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A JSON text as a tree of nodes.
 *
 * Pure.  PostgreSQL's own parser (common/jsonapi) does the work; this file
 * builds a tree from its events.  The tree and its strings live in the current
 * memory context and are UTF-8 whatever the database's encoding is.
 *
 * A text from the network must not be able to raise an error, so three causes
 * of errors are removed before the parser sees it: invalid UTF-8 and NUL
 * (refused), nesting deeper than MAX_DEPTH (refused: the parser recurses), and
 * \u escapes above ASCII (written out: the server's lexer would convert them to
 * the database encoding, which may not have the character).  Half a surrogate
 * pair, left by an engine that cut a name in two, becomes U+FFFD.
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

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "protocol/json.h"

#include "compat.h"

/* Answers nest about 8 deep; the parser's recursion costs under 1 kB each. */
#define MAX_DEPTH 64

/*
 * A group of 1,024 members takes about 10,000 values and a value about 130
 * bytes here, so that the worst answer costs 65 MB.
 */
#define MAX_VALUES 500000

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"
#define REPLACEMENT 0xFFFD

typedef struct TreeBuilder
{
	JsonNode	root;			/* an array of one: the document */
	JsonNode   *open[MAX_DEPTH + 2];	/* enclosing nodes, innermost last */
	int			depth;
	const char *key;			/* of the value that comes next */
} TreeBuilder;

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

/* Write a code point above ASCII as UTF-8 to out (4 bytes, not terminated); returns the length. */
static size_t
put_utf8(char *out, unsigned int c)
{
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
 * Return a palloc'd copy of the text with \u escapes above ASCII written out,
 * and set *len to its length.  An escape is never shorter than its character.
 */
static char *
write_out_escapes(const char *text, size_t *len)
{
	const char *end = text + *len;
	char	   *copy = palloc(*len + 1);
	size_t		n = 0;

	for (const char *s = text; s < end;)
	{
		const char *mark = memchr(s, '\\', end - s);
		size_t		plain = (mark ? mark : end) - s;
		int			high = mark ? unicode_escape(mark, end) : -1;
		int			low = (high >= 0xD800 && high < 0xDC00) ? unicode_escape(mark + 6, end) : -1;

		memcpy(copy + n, s, plain);
		n += plain;
		s += plain;
		if (low >= 0xDC00 && low < 0xE000)
		{
			n += put_utf8(copy + n, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
			s += 12;
		}
		else if (high >= 0x80)
		{
			n += put_utf8(copy + n, high < 0xD800 || high >= 0xE000 ? high : REPLACEMENT);
			s += 6;
		}
		else
			for (int i = 0; i < 2 && s < end; i++)
				copy[n++] = *s++;
	}
	copy[n] = '\0';
	*len = n;
	return copy;
}

/* Append a node to the innermost open one. */
static JsonNode *
json_add_node(TreeBuilder *tree, JsonKind kind, const char *text)
{
	JsonNode   *parent = tree->open[tree->depth];
	JsonNode   *node = palloc0(sizeof(JsonNode));

	node->kind = kind;
	node->text = text;
	node->key = tree->key;
	tree->key = NULL;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->count++;
	return node;
}

static JSON_ACTION
json_on_object_start(void *state)
{
	TreeBuilder *tree = state;
	JsonNode   *node = json_add_node(tree, JSON_KIND_OBJECT, NULL);

	tree->open[++tree->depth] = node;
	JSON_ACTION_DONE;
}

static JSON_ACTION
json_on_array_start(void *state)
{
	TreeBuilder *tree = state;
	JsonNode   *node = json_add_node(tree, JSON_KIND_ARRAY, NULL);

	tree->open[++tree->depth] = node;
	JSON_ACTION_DONE;
}

static JSON_ACTION
json_on_end(void *state)
{
	((TreeBuilder *) state)->depth--;
	JSON_ACTION_DONE;
}

static JSON_ACTION
json_on_field(void *state, char *name, bool isnull pg_attribute_unused())
{
	((TreeBuilder *) state)->key = name;
	JSON_ACTION_DONE;
}

static JSON_ACTION
json_on_scalar(void *state, char *token, JsonTokenType type)
{
	JsonKind	kind;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			kind = JSON_KIND_STRING;
			break;
		case JSON_TOKEN_NUMBER:
			kind = JSON_KIND_NUMBER;
			break;
		case JSON_TOKEN_TRUE:
			kind = JSON_KIND_TRUE;
			break;
		case JSON_TOKEN_FALSE:
			kind = JSON_KIND_FALSE;
			break;
		default:
			kind = JSON_KIND_NULL;
			break;
	}
	json_add_node(state, kind, kind == JSON_KIND_STRING || kind == JSON_KIND_NUMBER ? token : NULL);
	JSON_ACTION_DONE;
}

/*
 * Return a palloc'd copy of a JSON text that the server's own functions read
 * without raising encoding errors, and set *len to its length; NULL if it
 * cannot be JSON (see the banner).
 */
char *
json_text_clean(const char *text, size_t *len)
{
	if (*len >= 3 && memcmp(text, BYTE_ORDER_MARK, 3) == 0)
	{
		text += 3;
		*len -= 3;
	}
	if (*len == 0 || *len > INT_MAX / 2 || memchr(text, '\0', *len) != NULL ||
		pg_encoding_verifymbstr(PG_UTF8, text, (int) *len) != (int) *len ||
		!json_size_is_sane(text, *len))
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
	TreeBuilder tree = {.root = {.kind = JSON_KIND_ARRAY}};
	JsonSemAction actions = {
		.semstate = &tree,
		.object_start = json_on_object_start,
		.object_end = json_on_end,
		.array_start = json_on_array_start,
		.array_end = json_on_end,
		.object_field_start = json_on_field,
		.scalar = json_on_scalar
	};
	char	   *copy = json_text_clean(text, &len);

	if (copy == NULL)
		return NULL;
	tree.open[0] = &tree.root;
	if (pg_parse_json(wawp_json_lexer(copy, (int) len), &actions) != JSON_SUCCESS)
		return NULL;
	return tree.root.first;
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
