/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  The form of a JSON text without its contents.
 *
 * Pure.  An answer of an unknown form is recorded by its shape, so that it can be
 * reported: names of fields and kinds of values, such as
 * [{id:@newserver,admin:null} x3].  Nothing of people is in it.  Of a text only
 * its kind is shown: empty, digits, text, or the server of a JID.  A field that
 * is named after somebody is shown likewise.  What repeats is counted.
 *
 * Results are palloc'd, ASCII, and shorter than SHAPE_SIZE.
 *
 * IDENTIFICATION
 *	  src/protocol/shape.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"
#include "protocol/shape.h"

/* deeper values are left out */
#define SHAPE_MAX_DEPTH 6
/* the values of an array or object that are looked at, and the different ones that are shown */
#define SHAPE_MAX_VALUES 1000
#define SHAPE_MAX_DIFFERENT 30
#define SHAPE_MAX_NAME 32
#define SHAPE_MAX_DIGITS_IN_NAME 3

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* One of the different values of an array or object. */
typedef struct ShapePart
{
	const char *text;
	int			count;
} ShapePart;

/* Append the kind of a text: of a JID its server, which is nobody's name. */
static void
shape_put_text(StringInfo out, const char *text)
{
	size_t		digits = strspn(text, DIGITS ".:_-");
	const char *server = text + digits + 1;

	if (*text == '\0')
		appendStringInfoString(out, "empty");
	else if (text[digits] == '\0')
		appendStringInfoString(out, "digits");
	else if (digits > 0 && text[digits] == '@' && strlen(server) <= SHAPE_MAX_NAME && server[strspn(server, LETTERS ".")] == '\0')
		appendStringInfo(out, "@%s", server);
	else
		appendStringInfoString(out, "text");
}

/* Append the name of a field, unless it may be somebody's. */
static void
shape_put_name(StringInfo out, const char *name)
{
	size_t		length = strlen(name);
	size_t		digits = 0;

	for (size_t i = 0; i < length; i++)
		digits += name[i] >= '0' && name[i] <= '9';
	if (length > 0 && length <= SHAPE_MAX_NAME && digits <= SHAPE_MAX_DIGITS_IN_NAME && name[strspn(name, LETTERS DIGITS "_-$")] == '\0')
		appendStringInfoString(out, name);
	else
		shape_put_text(out, name);
}

/* Count a value among the different ones; false if there are too many of them. */
static bool
shape_count_part(ShapePart *parts, int *n, const char *text)
{
	for (int i = 0; i < *n; i++)
		if (strcmp(parts[i].text, text) == 0)
		{
			parts[i].count++;
			return true;
		}
	if (*n == SHAPE_MAX_DIFFERENT)
		return false;
	parts[(*n)++] = (ShapePart) {pstrdup(text), 1};
	return true;
}

/* Append different values, each once, and an ellipsis if there are more. */
static void
shape_put_parts(StringInfo out, const ShapePart *parts, int n, bool has_more)
{
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(out, "%s%s", i ? "," : "", parts[i].text);
		if (parts[i].count > 1)
			appendStringInfo(out, " x%d", parts[i].count);
	}
	if (has_more)
		appendStringInfoString(out, n ? ",..." : "...");
}

static char *shape_of_node(const JsonNode *node, int depth);

/* Append the shape of a value. */
static void
shape_put_node(StringInfo out, const JsonNode *node, int depth)
{
	char	   *shape = shape_of_node(node, depth);

	appendStringInfoString(out, shape);
	pfree(shape);
}

/* Append the values of an array or object. */
static void
shape_put_children(StringInfo out, const JsonNode *node, int depth)
{
	ShapePart	parts[SHAPE_MAX_DIFFERENT] = {0};
	StringInfoData part;
	bool		has_more = depth == 0 && node->count > 0;
	int			n = 0;
	int			seen = 0;

	initStringInfo(&part);
	for (const JsonNode *child = node->first; child && !has_more; child = child->next)
	{
		resetStringInfo(&part);
		if (child->key)
		{
			shape_put_name(&part, child->key);
			appendStringInfoChar(&part, ':');
		}
		shape_put_node(&part, child, depth - 1);
		has_more = ++seen > SHAPE_MAX_VALUES || !shape_count_part(parts, &n, part.data);
	}
	shape_put_parts(out, parts, n, has_more);
	for (int i = 0; i < n; i++)
		pfree((char *) parts[i].text);
	pfree(part.data);
}

/* Cut a shape that is too long, in place. */
static char *
shape_cut(char *shape)
{
	static const char mark[] = "...";

	if (strlen(shape) >= SHAPE_SIZE)
		strcpy(shape + SHAPE_SIZE - sizeof(mark), mark);
	return shape;
}

/* Return the shape of a value. */
static char *
shape_of_node(const JsonNode *node, int depth)
{
	StringInfoData out;

	initStringInfo(&out);
	switch (node->kind)
	{
		case JSON_KIND_NULL:
			appendStringInfoString(&out, "null");
			break;
		case JSON_KIND_FALSE:
			appendStringInfoString(&out, "false");
			break;
		case JSON_KIND_TRUE:
			appendStringInfoString(&out, "true");
			break;
		case JSON_KIND_NUMBER:
			appendStringInfoString(&out, "number");
			break;
		case JSON_KIND_STRING:
			shape_put_text(&out, node->text);
			break;
		case JSON_KIND_ARRAY:
			appendStringInfoChar(&out, '[');
			shape_put_children(&out, node, depth);
			appendStringInfoChar(&out, ']');
			break;
		case JSON_KIND_OBJECT:
			appendStringInfoChar(&out, '{');
			shape_put_children(&out, node, depth);
			appendStringInfoChar(&out, '}');
			break;
	}
	return shape_cut(out.data);
}

/* Return the shapes of values, such as entries of a list, as if they were all of an array. */
char *
shape_of_nodes(const JsonNode *const *nodes, int n)
{
	ShapePart	parts[SHAPE_MAX_DIFFERENT] = {0};
	StringInfoData out;
	bool		has_more = false;
	int			nparts = 0;

	initStringInfo(&out);
	for (int i = 0; i < n && !has_more; i++)
		has_more = !shape_count_part(parts, &nparts, shape_of_node(nodes[i], SHAPE_MAX_DEPTH));
	appendStringInfoChar(&out, '[');
	shape_put_parts(&out, parts, nparts, has_more);
	appendStringInfoChar(&out, ']');
	return shape_cut(out.data);
}

/* Return the shape of an answer's body. */
char *
shape_of_body(const char *body, size_t len)
{
	const JsonNode *root = json_node_parse(body, len);

	if (root == NULL)
		return psprintf("no JSON, %zu bytes", len);
	return shape_of_node(root, SHAPE_MAX_DEPTH);
}
