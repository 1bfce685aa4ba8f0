/*
 * json_fuzz.c
 *	  JSON of any origin: a tree whose texts are UTF-8 and end, the same tree from a cleaned text.
 */
#include "fuzz.h"

#include "protocol/json.h"
#include "protocol/shape.h"

/* Check one node of a tree, and its children. */
static void
check_node(const JsonNode *node)
{
	int			count = 0;
	int			number;

	fuzz_check(node->key == NULL || fuzz_is_utf8(node->key), "a name is UTF-8");
	fuzz_check(node->text == NULL || fuzz_is_utf8(node->text), "a text is UTF-8");
	fuzz_check((node->text != NULL) == (node->kind == JSON_KIND_NUMBER || node->kind == JSON_KIND_STRING),
			   "strings and numbers have a text, others have none");
	json_node_int(node, &number);
	for (const JsonNode *child = node->first; child; child = child->next)
	{
		fuzz_check((child->key != NULL) == (node->kind == JSON_KIND_OBJECT), "members have a name, elements have none");
		check_node(child);
		count++;
	}
	fuzz_check(count == node->count, "a node knows how many children it has");
}

/* Check that two trees are the same. */
static void
check_same(const JsonNode *a, const JsonNode *b)
{
	const JsonNode *of_b = b->first;

	fuzz_check(a->kind == b->kind && a->count == b->count, "a cleaned text has the same values");
	for (const JsonNode *of_a = a->first; of_a; of_a = of_a->next, of_b = of_b->next)
		check_same(of_a, of_b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const JsonNode *tree = json_node_parse((const char *) data, size);
	size_t		clean_size = size;
	char	   *clean = json_text_clean((const char *) data, &clean_size);
	char	   *shape = shape_of_body((const char *) data, size);

	fuzz_check(shape == NULL || strlen(shape) < SHAPE_SIZE, "a shape is short");
	if (tree)
	{
		check_node(tree);
		json_node_is_storable(tree);
		fuzz_check(clean != NULL, "what is JSON can be cleaned");
		fuzz_check(strlen(clean) == clean_size, "a cleaned text has its length");
		tree = json_node_parse((const char *) data, size);
		check_same(tree, json_node_parse(clean, clean_size));
	}
	fuzz_end();
	return 0;
}
