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
	{"[{\"id\":\"15550000001@newserver\",\"admin\":null},{\"id\":\"15550000002@newserver\",\"admin\":null}]", "[{id:@newserver,admin:null} x2]"},
	{"{\"15550000001@c.us\":{\"code\":403},\"15550000002@c.us\":{\"code\":403}}", "{@c.us:{code:number} x2}"},
	{"{\"15550000001\":true,\"Ana Maria\":1,\"\":null}", "{digits:true,text:number,empty:null}"},
	{"{\"ok\":false,\"message\":\"Ana is not here\",\"phone\":\"15550000001\",\"list\":[],\"more\":{}}",
	"{ok:false,message:text,phone:digits,list:[],more:{}}"},
	{"{\"id\":{\"server\":\"x\",\"user\":15550000001}}", "{id:{server:text,user:number}}"},
	{"{\"mail\":\"ana@example.com\",\"odd\":\"1@ana-maria\",\"device\":\"15550000001:3@lid\"}", "{mail:text,odd:text,device:@lid}"},
	{"{\"user15550000001\":1,\"ana@example.com\":2}", "{text:number x2}"},
	{"[[[[[[[[1]]]]]]]]", "[[[[[[[...]]]]]]]"},
	{"\"15550000001\"", "digits"},
	{"true", "true"},
	{"<html>Ana</html>", "no JSON, 16 bytes"},
	{"", "no JSON, 0 bytes"},
};

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
	for (int i = 0; i < 200; i++)
		appendStringInfo(&body, "%s{\"field_%c%c\":%d}", i ? "," : "[", 'a' + i % 26, 'a' + i / 26, i);
	appendStringInfoChar(&body, ']');
	shape = shape_of_body(body.data, body.len);
	ok(strlen(shape) < SHAPE_SIZE && strstr(shape, ",...]"), "of many different values the first are shown");
	resetStringInfo(&body);
	for (int i = 0; i < 29; i++)
		appendStringInfo(&body, "%s{\"a_rather_long_name_of_field_%c\":\"x\"}", i ? "," : "[", 'a' + i);
	appendStringInfoChar(&body, ']');
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
