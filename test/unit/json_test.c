/*
 * json_test.c
 *	  The JSON tree, in particular for texts that are not JSON.
 */
#include "postgres_fe.h"

#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "protocol/json.h"
#include "tap.h"

#include "compat.h"

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
	is_text(json_node_text(parse("\"a\\u0000b\"")), "a\xEF\xBF\xBD" "b", "an escaped NUL becomes the replacement character");
	is_text(json_node_text(parse("\"\\\\u0000\"")), "\\u0000", "... but for one whose backslash is escaped");
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

/*
 * ---- the same as PostgreSQL's parser reads
 */

/* Append one value, or the end of one that has members. */
static void
show(StringInfo out, const char *key, char kind, const char *text)
{
	appendStringInfo(out, "%s%c%s;", key ? key : "", kind, text ? text : "");
}

typedef struct Listener
{
	StringInfoData out;
	const char *key;
} Listener;

static void
hear(void *state, char kind, const char *text)
{
	Listener   *listener = state;

	show(&listener->out, listener->key, kind, text);
	listener->key = NULL;
}

static JSON_ACTION
on_object(void *state)
{
	hear(state, '{', NULL);
	JSON_ACTION_DONE;
}

static JSON_ACTION
on_array(void *state)
{
	hear(state, '[', NULL);
	JSON_ACTION_DONE;
}

static JSON_ACTION
on_end(void *state)
{
	hear(state, ')', NULL);
	JSON_ACTION_DONE;
}

static JSON_ACTION
on_key(void *state, char *name, bool isnull pg_attribute_unused())
{
	((Listener *) state)->key = name;
	JSON_ACTION_DONE;
}

static JSON_ACTION
on_scalar(void *state, char *token, JsonTokenType type)
{
	if (type == JSON_TOKEN_STRING)
		hear(state, '"', token);
	else if (type == JSON_TOKEN_NUMBER)
		hear(state, '0', token);
	else
		hear(state, type == JSON_TOKEN_TRUE ? 't' : type == JSON_TOKEN_FALSE ? 'f' : 'n', NULL);
	JSON_ACTION_DONE;
}

/* Return what PostgreSQL's parser reads, NULL if that is not JSON. */
static const char *
read_by_server(const char *text)
{
	Listener	listener = {.key = NULL};
	JsonSemAction actions = {
		.semstate = &listener,
		.object_start = on_object,
		.object_end = on_end,
		.array_start = on_array,
		.array_end = on_end,
		.object_field_start = on_key,
		.scalar = on_scalar
	};
	size_t		len = strlen(text);
	char	   *clean = json_text_clean(text, &len);

	initStringInfo(&listener.out);
	if (clean == NULL || pg_parse_json(wawp_json_lexer(clean, (int) len), &actions) != JSON_SUCCESS)
		return NULL;
	return listener.out.data;
}

static void
show_tree(StringInfo out, const JsonNode *node)
{
	static const char kinds[] = "nft0\"[{";

	show(out, node->key, kinds[node->kind], node->text);
	for (const JsonNode *child = node->first; child; child = child->next)
		show_tree(out, child);
	if (json_node_is_list(node))
		show(out, NULL, ')', NULL);
}

static const char *
read_by_us(const char *text)
{
	StringInfoData out;
	const JsonNode *root = parse(text);

	initStringInfo(&out);
	if (root == NULL)
		return NULL;
	show_tree(&out, root);
	return out.data;
}

static bool
is_same(const char *text)
{
	const char *server = read_by_server(text);
	const char *ours = read_by_us(text);

	if (server == NULL || ours == NULL ? server == ours : strcmp(server, ours) == 0)
		return true;
	printf("# %s: %s, %s by the server\n", text, ours ? ours : "-", server ? server : "-");
	return false;
}

/* Change up to three bytes of each text, many times, always the same. */
static void
test_as_server(void)
{
	static const char *const texts[] = {
		"{\"participants\" : [{\"id\":\"15550000001@c.us\",\"isAdmin\":true,\"n\":-1.50e+3}, null ,[]],\"a\":{}}",
		"[0,-0,1,12.5,1e9,1E-7,\"\\u00e9\\ud83d\\ude00\\n\\\\\\/\",false,\"\xC3\xA9\"]",
		"\"\\u0041\\ud800\\udc00\\\"\"", "-12", " {\"\":\"\"} ", "[[[]],{\"k\":[{}]}]"
	};
	static const char bytes[] = "{}[]\",:\\u0019eE+-.tfn/_ \t\n\x01\x7F\xC3\xA9\xED";
	uint64		random = 1;
	int			differ = 0;
	int			valid = 0;

	for (int round = 0; round < 60000 && differ < 5; round++)
	{
		char	   *text = pstrdup(texts[round % lengthof(texts)]);

		for (int i = 0; i < round / (int) lengthof(texts) % 4; i++)
		{
			random = random * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
			text[(random >> 40) % strlen(text)] = bytes[(random >> 33) % (sizeof(bytes) - 1)];
		}
		differ += !is_same(text);
		valid += parse(text) != NULL;
		pfree(text);
	}
	is_int(differ, 0, "broken or not, a text is read as PostgreSQL's parser reads it");
	ok(valid > 16000 && valid < 50000, "of these texts some are JSON and some are not");
}

int
main(void)
{
	test_values();
	test_escapes();
	test_refusals();
	test_as_server();
	return done_testing();
}
