/*
 * json_test.c
 *	  The JSON tree, in particular for texts that are not JSON.
 */
#include "postgres_fe.h"

#include "protocol/json.h"
#include "tap.h"

static const JsonNode *
parse(const char *text)
{
	return json_node_parse(text, strlen(text));
}

static const char *
nested(int depth)
{
	char	   *text = palloc(2 * depth + 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return text;
}

static void
test_values(void)
{
	const JsonNode *root = parse("{\"a\":[1,\"two\",true,null],\"b\":{\"c\":\"\"},\"n\":\"42\"}");
	static const char *const keys[] = {"x", "n", NULL};
	int			number = 0;

	is_int(root->count, 3, "an object has its members");
	is_int(json_node_get(root, "a")->count, 4, "an array has its elements");
	is_text(json_node_text(json_node_get(root, "a")->first->next), "two", "elements keep their order");
	ok(json_node_text(json_node_get(json_node_get(root, "b"), "c")) == NULL, "an empty string is no text");
	ok(json_node_int(json_node_any(root, keys), &number) && number == 42, "a number may be a string");
	ok(json_node_get(NULL, "a") == NULL && json_node_any(NULL, keys) == NULL, "a NULL node has no members");
	ok(!json_node_int(parse("99999999999"), &number) && !json_node_int(parse("1.5"), &number),
	   "numbers that are too large or have a fraction are not read as int");
}

static void
test_escapes(void)
{
	is_text(json_node_text(parse("\"\\u00e9\\u20ac\"")), "\xC3\xA9\xE2\x82\xAC", "escapes are written out");
	is_text(json_node_text(parse("\"\\ud83d\\ude00\"")), "\xF0\x9F\x98\x80", "a pair of surrogates is written out");
	is_text(json_node_text(parse("\"\\\\u00e9\\n\"")), "\\u00e9\n", "an escaped backslash does not begin an escape");
	is_text(json_node_text(parse("\"\\ud83d\"")), "\xEF\xBF\xBD", "half a pair becomes the replacement character");
	is_text(json_node_text(parse("\"\\ude00x\\ud83d\"")), "\xEF\xBF\xBDx\xEF\xBF\xBD", "two halves in the wrong order are replaced each");
	ok(json_node_is(parse("\xEF\xBB\xBF{}"), JSON_KIND_OBJECT), "a byte order mark is skipped");
	ok(parse("\"\\u0000\"") == NULL, "an escaped NUL is refused");
}

static const char *
many_values(int n)
{
	char	   *text = palloc(2 * n + 2);

	for (int i = 0; i < n; i++)
		memcpy(text + 2 * i, i ? ",1" : "[1", 2);
	strcpy(text + 2 * n, "]");
	return text;
}

static void
test_refusals(void)
{
	static const char *const broken[] = {
		"", " ", "{", "{\"a\":", "[1,", "\"abc", "tru", "{\"a\" 1}", "[1 2]", "\xFF", "\"\xC3\"", "\"\xED\xA0\x80\"",
		"{}{}", "\"\\u12\"", "\\u00e9", "\"\\"
	};

	for (size_t i = 0; i < lengthof(broken); i++)
		ok(parse(broken[i]) == NULL, "broken text %zu is refused", i + 1);
	ok(json_node_parse("{\"a\":\0001}", 8) == NULL, "a NUL is refused");
	ok(json_node_parse("[1,2]xxxx", 5) != NULL, "text after the given length is ignored");
	ok(parse(many_values(100000)) != NULL, "a hundred thousand values are read");
	ok(parse(many_values(500001)) == NULL, "more than 500,000 are refused");
	ok(parse(nested(64)) != NULL, "64 levels are read");
	ok(parse(nested(65)) == NULL, "65 levels are refused");
	ok(parse(nested(1000000)) == NULL, "a million levels are refused");
	ok(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]") != NULL,
	   "brackets in a string do not count as levels");
}

int
main(void)
{
	test_values();
	test_escapes();
	test_refusals();
	return done_testing();
}
