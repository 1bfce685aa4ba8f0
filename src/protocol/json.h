/*-------------------------------------------------------------------------
 *
 * json.h
 *	  A JSON text as a tree of nodes.
 *
 * IDENTIFICATION
 *	  src/protocol/json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_JSON_H
#define WAWP_JSON_H

/* some servers put one before a text */
#define JSON_BYTE_ORDER_MARK "\xEF\xBB\xBF"

typedef enum JsonKind
{
	JSON_KIND_NULL,
	JSON_KIND_FALSE,
	JSON_KIND_TRUE,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT
} JsonKind;

typedef struct JsonNode
{
	JsonKind	kind;
	const char *key;			/* name in the enclosing object, else NULL */
	const char *text;			/* of a string or number, UTF-8; else NULL */
	int			count;			/* children of an array or object */
	struct JsonNode *first;
	struct JsonNode *last;
	struct JsonNode *next;
	const char *source;			/* where it begins in the text that was parsed ... */
	const char *source_end;		/* ... and ends */
} JsonNode;

static inline bool
json_node_is(const JsonNode *node, JsonKind kind)
{
	return node != NULL && node->kind == kind;
}

/* True if the node has children to iterate over, be they members or elements. */
static inline bool
json_node_is_list(const JsonNode *node)
{
	return json_node_is(node, JSON_KIND_ARRAY) || json_node_is(node, JSON_KIND_OBJECT);
}

/* Return the text of a non-empty string or a number, else NULL. */
static inline const char *
json_node_text(const JsonNode *node)
{
	return node && node->text && *node->text ? node->text : NULL;
}

extern char *json_text_clean(const char *text, size_t *len);
extern const JsonNode *json_node_parse(const char *text, size_t len);
extern const JsonNode *json_node_get(const JsonNode *node, const char *key);
extern const JsonNode *json_node_any(const JsonNode *node, const char *const *keys);
extern bool json_node_int(const JsonNode *node, int *value);
extern bool json_node_is_storable(const JsonNode *node);

#endif							/* WAWP_JSON_H */
