/*
 * endpoint_fuzz.c
 *	  Requests that are made of texts of users: a URL and a body that the other side reads as the same texts.
 *
 * The input is an endpoint (a byte) and texts, each ended by NUL: the group, a
 * query's value, people.
 */
#include "fuzz.h"

#include "lib/stringinfo.h"
#include "protocol/endpoint.h"
#include "protocol/json.h"
#include "protocol/wire.h"

#define MOST_PEOPLE 20

static int
hex_value(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Check that an encoded text has nothing that ends a part of a URL, and means the text. */
static void
check_percent(const char *encoded, const char *text)
{
	for (; *encoded; text++)
	{
		unsigned char c = (unsigned char) *encoded++;

		if (c == '%')
		{
			c = (unsigned char) (hex_value(encoded[0]) * 16 + hex_value(encoded[1]));
			encoded += 2;
		}
		else
			fuzz_check(strchr("/?#&=+ \"\\\r\n", c) == NULL && c < 0x80, "what has a meaning in a URL is encoded");
		fuzz_check(c == (unsigned char) *text, "an encoded text decodes to itself");
	}
	fuzz_check(*text == '\0', "an encoded text is whole");
}

/* Check that a body is JSON that has the group and the people, in this order. */
static void
check_body(const char *body, const char *group, const char *const *people, int npeople)
{
	const JsonNode *tree = json_node_parse(body, strlen(body));
	const JsonNode *list = json_node_get(tree, "participants");
	const JsonNode *entry;

	fuzz_check(tree != NULL, "a body of texts in UTF-8 is JSON");
	fuzz_check(strcmp(json_node_get(tree, "group")->text, group) == 0, "a body has the value that was put in");
	fuzz_check(list->count == npeople, "a body has as many people as were put in");
	entry = list->first;
	for (int i = 0; i < npeople; i++, entry = entry->next)
		fuzz_check(strcmp(json_node_get(entry, "id")->text, people[i]) == 0, "a body has the people that were put in");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput	input = fuzz_begin(data, size);
	const Endpoint *endpoint = endpoint_get(fuzz_take_byte(&input) % (ENDPOINT_JOIN_REQUESTS + 1));
	const char *group = fuzz_take_text(&input);
	const char *people[MOST_PEOPLE];
	WireField	field = {"group", group};
	StringInfoData out;
	bool		is_utf8 = fuzz_is_utf8(group);
	int			npeople = 0;

	for (; input.at < input.end && npeople < MOST_PEOPLE; npeople++)
	{
		people[npeople] = fuzz_take_text(&input);
		is_utf8 &= fuzz_is_utf8(people[npeople]);
	}
	fuzz_check(endpoint_get(endpoint->id) == endpoint, "an endpoint knows its place");
	initStringInfo(&out);
	wire_put_percent(&out, group);
	check_percent(out.data, group);
	resetStringInfo(&out);
	wire_put_query(&out, &field, 1);
	check_percent(out.data + strlen("?group="), group);
	resetStringInfo(&out);
	wire_put_body(&out, &field, 1, people, npeople);
	if (is_utf8)
		check_body(out.data, group, people, npeople);
	fuzz_end();
	return 0;
}
