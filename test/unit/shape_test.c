/*
 * shape_test.c
 *	  Shapes of answers: what is shown of them, and that nothing of people is.
 */
#include "postgres_fe.h"

#include "lib/stringinfo.h"
#include "protocol/shape.h"
#include "tap.h"

static const struct
{
	const char *body;
	const char *shape;
}			shapes[] =
{
	{"[{\"id\":\"15550000001@newserver\",\"admin\":null},{\"id\":\"15550000002@newserver\",\"admin\":null}]", "[{id:@other,admin:null} x2]"},
	{"{\"15550000001@c.us\":{\"code\":403},\"15550000002@c.us\":{\"code\":403}}", "{@c.us:{code:number} x2}"},
	{"{\"15550000001\":true,\"Ana Maria\":1,\"\":null}", "{digits:true,name:number,empty:null}"},
	{"{\"ok\":false,\"message\":\"Ana is not here\",\"phone\":\"15550000001\",\"list\":[],\"more\":{}}",
	"{ok:false,message:text,phone:digits,list:[],more:{}}"},
	{"{\"id\":{\"server\":\"x\",\"user\":15550000001}}", "{id:{server:text,user:number}}"},
	{"{\"mail\":\"ana@example.com\",\"odd\":\"1@ana-maria\",\"device\":\"15550000001:3@lid\"}", "{name:text,name:@other,device:@lid}"},
	{"{\"user15550000001\":1,\"ana@example.com\":2}", "{name:number x2}"},
	{"{\"Alice\":{\"code\":1},\"anna_smith\":1,\"s\":\"7@annasmith\",\"t\":\".@annasmith\"}", "{name:{code:number},name:number,name:@other,t:text}"},
	{"{\"Ab3Cd4Ef5GhijklmnopqrstuvwxyzABC\":1,\"7@annasmith\":2,\"_-\":3}", "{name:number x2,@other:number}"},
	{"[\"1@c.us\",\"1@s.whatsapp.net\",\"1@lid\",\"1-2@g.us\",\"1@hosted\",\"1@hosted.lid\",\"1@broadcast\",\"1@newsletter\",\"@c.us\",\"1@c.us.ana\"]",
	"[@c.us,@s.whatsapp.net,@lid,@g.us,@hosted,@hosted.lid,@broadcast,@newsletter,text,@other]"},
	{"[{\"id\":{\"form\":\"new\",\"digits\":\"15550009001\"},\"pushName\":\"Ana Maria\",\"wide\":{\"15550009001@c.us\":true}}]",
	"[{id:{form:text,digits:digits},pushName:text,wide:{@c.us:true}}]"},
	{"{\"state\":\"x\",\"people\":[{\"15550009001@c.us\":{\"note\":\"x\"}}]}", "{state:text,people:[{@c.us:{note:text}}]}"},
	{"[[[[[[[[1]]]]]]]]", "[[[[[[[...]]]]]]]"},
	{"\"15550000001\"", "digits"},
	{"true", "true"},
	{"<html>Ana</html>", "no JSON, 16 bytes"},
	{"", "no JSON, 0 bytes"},
};

/* Append an array of n different values, which have the name. */
static void
put_different(StringInfo body, const char *name, int n)
{
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(body, "%s{\"%s\":[null", i ? "," : "[", name);
		for (int j = 0; j < i; j++)
			appendStringInfoString(body, ",null");
		appendStringInfoString(body, "]}");
	}
	appendStringInfoChar(body, ']');
}

static void
test_long(void)
{
	StringInfoData body;
	char	   *shape;

	initStringInfo(&body);
	for (int i = 0; i < 2000; i++)
		appendStringInfo(&body, "%s{\"id\":\"%d@c.us\"}", i ? "," : "[", 1555000000 + i);
	appendStringInfoChar(&body, ']');
	is_text(shape_of_body(body.data, body.len), "[{id:@c.us} x1000,...]", "of a long list the first are counted");
	resetStringInfo(&body);
	put_different(&body, "t", 60);
	shape = shape_of_body(body.data, body.len);
	ok(strlen(shape) < SHAPE_SIZE && strstr(shape, ",...]"), "of many different values the first are shown");
	resetStringInfo(&body);
	put_different(&body, "newMembersApprovalRequired", 29);
	shape = shape_of_body(body.data, body.len);
	ok(strlen(shape) == SHAPE_SIZE - 1 && strcmp(shape + SHAPE_SIZE - 4, "...") == 0, "a long shape is cut");
}

int
main(void)
{
	for (size_t i = 0; i < lengthof(shapes); i++)
		is_text(shape_of_body(shapes[i].body, strlen(shapes[i].body)), shapes[i].shape, shapes[i].shape);
	test_long();
	return done_testing();
}
