/*
 * event_test.c
 *	  Events in each form that gateways give them.
 */
#include "postgres_fe.h"

#include "lib/stringinfo.h"
#include "protocol/event.h"
#include "tap.h"

#define NOW_MS INT64CONST(1796000100000)
#define G "120363000000000001@g.us"
#define ENVELOPE(engine, name, payload) \
	"{\"id\":\"evt_1\",\"timestamp\":1796000000000,\"session\":\"t1\",\"engine\":\"" engine "\",\"event\":\"" name "\"," \
	"\"me\":{\"id\":\"15550000001@c.us\",\"lid\":\"900000000000001@lid\"},\"payload\":" payload "}"
#define MEMBERS(engine, payload) ENVELOPE(engine, "group.v2.participants", payload)
#define IN_GROUP(more) "{\"group\":{\"id\":\"" G "\"}," more "}"

static Event
read_event(const char *body)
{
	Event		event;

	event_read(body, strlen(body), NOW_MS, &event);
	return event;
}

/* What an event says of its first person, in one line. */
static const char *
person_line(const EventPerson *person)
{
	return psprintf("%s/%s", person->phone.text, person->lid.text);
}

static const char *
members_line(const Event *event)
{
	static const char *const kinds[] = {"other", "members", "joined", "left", "changed", "join request", "message", "refused", "session"};
	static const char *const changes[] = {"none", "join", "leave", "promote", "demote"};
	static const char *const actors[] = {"unknown", "self", "other"};
	const char *first = event->npeople ? person_line(&event->people[0]) : "nobody";
	const char *actor = event->npeople ? actors[event_actor(event, &event->people[0])] : "-";

	const char *named = event->nnamed ? psprintf(", perhaps %s", person_line(&event->named[0])) : "";

	return psprintf("%s%s %s %s %d%s %s%s by %s%s at %lld", event->is_of_own && event->kind == EVENT_MEMBERS ? "own " : "", kinds[event->kind], event->group.text,
					changes[event->change], event->npeople, event->nunread ? psprintf("+%d", event->nunread) : "", first, named, actor,
					event->by_link ? " link" : "", (long long) event->happened_ms);
}

static void
test_members(void)
{
	static const struct
	{
		const char *name;
		const char *body;
		const char *line;
	}			cases[] =
	{
		{"GOWS: joined by link",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"join\",\"timestamp\":1796000000123,\"participants\":[{\"id\":\"900000000000011@lid\",\"pn\":null,\"role\":\"participant\"}],"
									 "\"_data\":{\"JoinReason\":\"invite\",\"Notify\":\"invite\",\"Timestamp\":\"2026-11-28T09:00:00Z\",\"PrevParticipantVersionID\":\"1\",\"ParticipantVersionID\":\"2\"}")),
		"members " G " join 1 /900000000000011@lid by unknown link at 1795856400000"},
		{"NOWEB: our demotion, with the role admin",
			MEMBERS("NOWEB", IN_GROUP("\"type\":\"demote\",\"timestamp\":1796000000123,\"participants\":[{\"id\":\"900000000000001@lid\",\"role\":\"admin\"}],"
									  "\"_data\":{\"author\":\"900000000000099@lid\",\"action\":\"demote\"}")),
		"members " G " demote 1 /900000000000001@lid by other at 0"},
		{"Wawp: gone",
			ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\",\"participants\":{\"0\":\"15551110012@c.us\"}}"),
		"members " G " leave 1 15551110012@c.us/ by unknown at 0"},
		{"Wawp: joined, two of them",
			ENVELOPE("", "group.v2.join", "{\"chatId\":\"" G "\",\"participants\":{\"0\":\"15551110012@c.us\",\"1\":\"15551110013@s.whatsapp.net\"}}"),
		"members " G " join 2 15551110012@c.us/ by unknown at 0"},
		{"Wawp: promoted",
			MEMBERS("WEBJS", "{\"chatId\":\"" G "\",\"action\":\"promote\",\"participants\":{\"0\":\"15551110012@c.us\"}}"),
		"members " G " promote 1 15551110012@c.us/ by unknown at 0"},
		{"GOWS: left by themselves",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"900000000000012@lid\",\"pn\":null,\"role\":\"left\"}],\"_data\":{\"Sender\":\"900000000000012@lid\"}")),
		"members " G " leave 1 /900000000000012@lid by self at 0"},
		{"GOWS: removed",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"900000000000012@lid\",\"pn\":null}],\"_data\":{\"Sender\":\"900000000000099@lid\"}")),
		"members " G " leave 1 /900000000000012@lid by other at 0"},
		{"GOWS: no sender",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"900000000000012@lid\",\"pn\":null}],\"_data\":{}")),
		"members " G " leave 1 /900000000000012@lid by unknown at 0"},
		{"a sender by number, a leaver by LID: not told",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"900000000000012@lid\"}],\"_data\":{\"Sender\":\"15551110012@s.whatsapp.net\"}")),
		"members " G " leave 1 /900000000000012@lid by unknown at 0"},
		{"GOWS: the sender's number beside the LID",
			MEMBERS("GOWS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"15551110012@c.us\"}],\"_data\":{\"Sender\":\"900000000000012@lid\",\"SenderPN\":\"15551110012:3@s.whatsapp.net\"}")),
		"members " G " leave 1 15551110012@c.us/ by self at 0"},
		{"WEBJS: removed, by its own word, at its own time",
			MEMBERS("WEBJS", IN_GROUP("\"type\":\"leave\",\"timestamp\":1795999000,\"participants\":[{\"id\":\"15551110012@c.us\"}],\"_data\":{\"type\":\"remove\",\"author\":\"15551110012@c.us\"}")),
		"members " G " leave 1 15551110012@c.us/ by other at 1795999000000"},
		{"WEBJS: left",
			MEMBERS("WEBJS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":{\"server\":\"c.us\",\"user\":\"15551110012\",\"_serialized\":\"15551110012@c.us\"}}],\"_data\":{\"type\":\"leave\"}")),
		"members " G " leave 1 15551110012@c.us/ by self at 0"},
		{"NOWEB: the number beside the LID",
			MEMBERS("NOWEB", IN_GROUP("\"type\":\"join\",\"timestamp\":1796000000,\"participants\":[{\"id\":\"900000000000011@lid\",\"pn\":\"15551110011@c.us\"}]")),
		"members " G " join 1 15551110011@c.us/900000000000011@lid by unknown at 0"},
		{"NOWEB: a changed number has no type",
			MEMBERS("NOWEB", IN_GROUP("\"timestamp\":1796000000123,\"participants\":[{\"id\":\"900000000000013@lid\"}],\"_data\":{\"action\":\"modify\"}")),
		"members " G " none 1 /900000000000013@lid by unknown at 0"},
		{"a type that nobody knows", MEMBERS("GOWS", IN_GROUP("\"type\":\"linked\",\"participants\":[{\"id\":\"15551110012@c.us\"}]")),
		"members " G " none 1 15551110012@c.us/ by unknown at 0"},
		{"nobody", MEMBERS("WEBJS", IN_GROUP("\"type\":\"join\",\"participants\":[]")), "members " G " join 0 nobody by - at 0"},
		{"entries that are nobody", MEMBERS("WEBJS", IN_GROUP("\"type\":\"join\",\"participants\":[null, 7, {}, \"x\", \"15551110012\", [\"15551110012@c.us\"]]")), "members " G " join 0+5 nobody by - at 0"},
		{"no group", MEMBERS("WEBJS", "{\"type\":\"join\",\"participants\":[\"15551110012@c.us\"]}"), "other  none 0 nobody by - at 0"},
		{"a person in a group's place", MEMBERS("WEBJS", "{\"group\":{\"id\":\"15551110012@c.us\"},\"type\":\"join\",\"participants\":[\"15551110012@c.us\"]}"), "other  none 0 nobody by - at 0"},
		{"a time in two days", MEMBERS("GOWS", IN_GROUP("\"type\":\"join\",\"participants\":[],\"_data\":{\"Timestamp\":\"2026-12-03T00:00:00Z\"}")), "members " G " join 0 nobody by - at 0"},
		{"we are in a group", ENVELOPE("GOWS", "group.v2.join", IN_GROUP("\"timestamp\":1796000000123")), "joined " G " none 0 nobody by - at 0"},
		{"one person who left, not as a list, is not we", ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\",\"participants\":\"15551110012@c.us\"}"), "members " G " leave 1 15551110012@c.us/ by unknown at 0"},
		{"one who left, under a name that is not known, is not we", ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\",\"member\":\"15551110012@c.us\"}"), "members " G " leave 0+1 nobody by - at 0"},
		{"nobody who left is not we", ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\"}"), "members " G " leave 0+1 nobody by - at 0"},
		{"we left", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"timestamp\":1796000000123")), "left " G " none 0 nobody by - at 0"},
		{"a request to join", ENVELOPE("NOWEB", "group.v2.participants.join-request", IN_GROUP("\"action\":\"created\",\"requesterId\":\"900000000000016@lid\",\"requesterPn\":\"15551110016@c.us\",\"requestMethod\":\"invite_link\"")),
		"join request " G " none 1 15551110016@c.us/900000000000016@lid by unknown at 0"},
		{"a message", ENVELOPE("WEBJS", "message", "{\"id\":\"A\",\"timestamp\":1795999990,\"from\":\"15551110014@c.us\",\"fromMe\":false,\"participant\":null,\"body\":\"x\"}"),
		"message  none 1 15551110014@c.us/ by unknown at 1795999990000"},
		{"of our own", ENVELOPE("GOWS", "message.any", "{\"timestamp\":1795999990,\"from\":\"15551110014@c.us\",\"fromMe\":true}"), "other  none 0 nobody by - at 0"},
		{"nobody says whose", ENVELOPE("GOWS", "message.any", "{\"timestamp\":1795999990,\"from\":\"15551110014@c.us\"}"), "other  none 0 nobody by - at 0"},
		{"in a group", ENVELOPE("GOWS", "message", "{\"from\":\"" G "\",\"participant\":\"900000000000015@lid\",\"fromMe\":false,\"timestamp\":1795999990}"), "other  none 0 nobody by - at 0"},
		{"a status", ENVELOPE("GOWS", "message", "{\"from\":\"status@broadcast\",\"participant\":\"900000000000015@lid\",\"fromMe\":false}"), "other  none 0 nobody by - at 0"},
		{"a channel", ENVELOPE("GOWS", "message", "{\"from\":\"120363000000000009@newsletter\",\"fromMe\":false}"), "other  none 0 nobody by - at 0"},
		{"a message that was refused", ENVELOPE("WEBJS", "message.ack", "{\"ack\":-1,\"error\":{\"code\":463,\"blocked\":true}}"), "refused  none 0 nobody by - at 0"},
		{"another error", ENVELOPE("WEBJS", "message.ack", "{\"ack\":-1,\"error\":{\"code\":479}}"), "other  none 0 nobody by - at 0"},
		{"somebody else's", ENVELOPE("WEBJS", "message.ack", "{\"ack\":-1,\"fromMe\":false,\"error\":{\"code\":463}}"), "other  none 0 nobody by - at 0"},
		{"an event that nobody knows", ENVELOPE("GOWS", "presence.update", "{\"id\":\"15551110014@c.us\"}"), "other  none 0 nobody by - at 0"},
		{"a payload that is none", ENVELOPE("GOWS", "group.v2.join", "[]"), "other  none 0 nobody by - at 0"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		Event		event = read_event(cases[i].body);

		is_text(members_line(&event), cases[i].line, cases[i].name);
	}
}

/* Whom events name that may be about our own account or about others, and in which group. */
static void
test_named(void)
{
	static const struct
	{
		const char *name;
		const char *body;
		const char *line;
	}			cases[] =
	{
		{"NOWEB: we left, as the engine's own words say", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"_data\":{\"id\":\"" G "\",\"author\":\"900000000000099@lid\",\"participants\":[{\"id\":\"900000000000001@lid\"}],\"action\":\"remove\"}")),
		"own members " G " leave 1 /900000000000001@lid by other at 0"},
		{"NOWEB: they say that somebody else did", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"_data\":{\"id\":\"" G "\",\"author\":\"900000000000099@lid\",\"participants\":[{\"id\":\"900000000000012@lid\",\"phoneNumber\":\"15551110012@s.whatsapp.net\"}],\"action\":\"remove\"}")),
		"own members " G " leave 1 15551110012@c.us/900000000000012@lid by other at 0"},
		{"NOWEB: somebody else, as a text", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"_data\":{\"participants\":[\"15551110012@s.whatsapp.net\"],\"action\":\"remove\"}")),
		"own members " G " leave 1 15551110012@c.us/ by unknown at 0"},
		{"WEBJS: likewise", ENVELOPE("WEBJS", "group.v2.leave", IN_GROUP("\"_data\":{\"type\":\"remove\",\"recipientIds\":[\"15551110012@c.us\"]}")),
		"own members " G " leave 1 15551110012@c.us/ by other at 0"},
		{"WEBJS: likewise, in the page's own form", ENVELOPE("WEBJS", "group.v2.leave", IN_GROUP("\"_data\":{\"type\":\"remove\",\"recipients\":[{\"server\":\"c.us\",\"user\":\"15551110012\"}]}")),
		"own members " G " leave 1 15551110012@c.us/ by other at 0"},
		{"GOWS: likewise", ENVELOPE("GOWS", "group.v2.leave", IN_GROUP("\"_data\":{\"JID\":\"" G "\",\"Leave\":[\"900000000000012@lid\"],\"Sender\":\"900000000000012@lid\"}")),
		"own members " G " leave 1 /900000000000012@lid by self at 0"},
		{"WEBJS: nobody but who left by themselves", ENVELOPE("WEBJS", "group.v2.leave", IN_GROUP("\"_data\":{\"type\":\"leave\",\"author\":\"15551110012@c.us\",\"recipientIds\":[]}")),
		"own members " G " leave 1 15551110012@c.us/ by self at 0"},
		{"WEBJS: nobody but who removed us", ENVELOPE("WEBJS", "group.v2.leave", IN_GROUP("\"_data\":{\"type\":\"remove\",\"author\":\"15551110012@c.us\",\"recipientIds\":[]}")),
		"left " G " none 0 nobody by - at 0"},
		{"those whom the engine names are not understood", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"_data\":{\"participants\":[{\"who\":1}]}")),
		"own members " G " leave 0+2 nobody by - at 0"},
		{"a person under a name that is not known, in WAHA's form", ENVELOPE("GOWS", "group.v2.leave", IN_GROUP("\"gone\":{\"user\":[{\"x\":\"15551110012@c.us\"}]}")),
		"own members " G " leave 0+1 nobody, perhaps 15551110012@c.us/ by - at 0"},
		{"a member, likewise", ENVELOPE("GOWS", "group.v2.leave", IN_GROUP("\"participant\":{\"x\":1}")),
		"members " G " leave 0+1 nobody by - at 0"},
		{"we left, with something in the members' place", ENVELOPE("GOWS", "group.v2.leave", IN_GROUP("\"members\":5")),
		"left " G " none 0 nobody by - at 0"},
		{"a member, under a name that is not known", ENVELOPE("GOWS", "group.v2.join", IN_GROUP("\"member\":\"15551110012@c.us\"")),
		"own members " G " join 0+1 nobody, perhaps 15551110012@c.us/ by - at 0"},
		{"who did it, and who we are", ENVELOPE("GOWS", "group.v2.leave", IN_GROUP("\"author\":\"15551110012@c.us\",\"sender\":\"15551110012@c.us\",\"me\":{\"id\":\"15550000001@c.us\"}")),
		"left " G " none 0 nobody by - at 0"},
		{"we joined, likewise", ENVELOPE("GOWS", "group.v2.join", IN_GROUP("\"members\":5")),
		"joined " G " none 0 nobody by - at 0"},
		{"members of a group that we left, none", ENVELOPE("GOWS", "group.v2.leave", "{\"group\":{\"id\":\"" G "\",\"participants\":[]},\"me\":{\"id\":\"15550000001@c.us\"}}"),
		"left " G " none 0 nobody by - at 0"},
		{"members of a group that we left", ENVELOPE("GOWS", "group.v2.leave", "{\"group\":{\"id\":\"" G "\",\"participants\":[{\"id\":\"15551110012@c.us\"}]}}"),
		"left " G " none 0 nobody by - at 0"},
		{"the engine's word is of another change", ENVELOPE("NOWEB", "group.v2.leave", IN_GROUP("\"_data\":{\"participants\":[\"15551110012@c.us\"],\"action\":\"add\"}")),
		"own members " G " none 1 15551110012@c.us/ by unknown at 0"},
		{"the word and the name are of different changes", ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\",\"action\":\"join\",\"participants\":[\"15551110012@c.us\"]}"),
		"members " G " none 1 15551110012@c.us/ by unknown at 0"},
		{"a word that is no text", ENVELOPE("WEBJS", "group.v2.leave", "{\"chatId\":\"" G "\",\"type\":{\"x\":1},\"participants\":[\"15551110012@c.us\"]}"),
		"members " G " none 1 15551110012@c.us/ by unknown at 0"},
		{"left by itself, and by somebody else", MEMBERS("WEBJS", IN_GROUP("\"type\":\"leave\",\"participants\":[{\"id\":\"15551110012@c.us\"}],\"_data\":{\"type\":\"leave\",\"author\":\"15551110013@c.us\"}")),
		"members " G " leave 1 15551110012@c.us/ by unknown at 0"},
		{"we are in a group, by its members", ENVELOPE("NOWEB", "group.v2.join", "{\"group\":{\"id\":\"" G "\",\"participants\":[{\"id\":\"15550000001@c.us\"},{\"id\":\"15551110012@c.us\"}]}}"),
		"joined " G " none 2 15550000001@c.us/ by unknown at 0"},
		{"others are in a group", ENVELOPE("NOWEB", "group.v2.join", "{\"group\":{\"id\":\"" G "\"},\"_data\":{\"participants\":[{\"id\":\"15551110012@c.us\"}]}}"),
		"joined " G " none 1 15551110012@c.us/ by unknown at 0"},
		{"a map by JID", MEMBERS("WEBJS", IN_GROUP("\"type\":\"join\",\"participants\":{\"15551110012@c.us\":{\"lid\":\"900000000000012@lid\"},\"15551110013@c.us\":\"15551110014@c.us\"}")),
		"members " G " join 2 15551110012@c.us/900000000000012@lid by unknown at 0"},
		{"one person as an object, and who added them", MEMBERS("WEBJS", IN_GROUP("\"type\":\"join\",\"participants\":{\"id\":\"15551110012@c.us\",\"addedBy\":\"15551110013@c.us\"}")),
		"members " G " join 1 15551110012@c.us/ by unknown at 0"},
		{"a change of nobody who is told", MEMBERS("WEBJS", IN_GROUP("\"type\":\"join\"")), "members " G " join 0+1 nobody by - at 0"},
		{"a group as a text", MEMBERS("WEBJS", "{\"group\":\"" G "\",\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"a group in WEBJS' form", MEMBERS("WEBJS", "{\"group\":{\"_serialized\":\"" G "\"},\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"... within another", MEMBERS("WEBJS", "{\"group\":{\"id\":{\"server\":\"g.us\",\"user\":\"120363000000000001\"}},\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"a group in Go's", MEMBERS("GOWS", "{\"group\":{\"JID\":\"" G "\"},\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"a group without an object", MEMBERS("GOWS", "{\"jid\":\"" G "\",\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"a group by its subject, beside the chat", MEMBERS("WEBJS", "{\"group\":{\"subject\":\"x\"},\"chatId\":\"" G "\",\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"... as a text", MEMBERS("WEBJS", "{\"group\":\"My group\",\"chatId\":\"" G "\",\"type\":\"join\",\"participants\":[]}"), "members " G " join 0 nobody by - at 0"},
		{"a person in its place", MEMBERS("WEBJS", "{\"group\":{\"id\":\"15551110012@c.us\"},\"chatId\":\"" G "\",\"type\":\"join\",\"participants\":[]}"), "other  none 0 nobody by - at 0"},
		{"a group by a text alone", MEMBERS("WEBJS", "{\"group\":\"My group\",\"type\":\"join\",\"participants\":[]}"), "other  none 0 nobody by - at 0"},
		{"two groups", MEMBERS("GOWS", "{\"group\":{\"id\":\"" G "\"},\"chatId\":\"120363000000000002@g.us\",\"type\":\"join\",\"participants\":[]}"), "other  none 0 nobody by - at 0"},
		{"another group in the engine's own words", MEMBERS("GOWS", IN_GROUP("\"type\":\"join\",\"participants\":[],\"_data\":{\"JID\":\"120363000000000002@g.us\"}")), "other  none 0 nobody by - at 0"},
		{"a request to join by number alone", ENVELOPE("NOWEB", "group.v2.participants.join-request", IN_GROUP("\"action\":\"created\",\"requesterId\":null,\"requesterPn\":\"15551110016@c.us\"")),
		"join request " G " none 1 15551110016@c.us/ by unknown at 0"},
		{"a writer in a group, as an object", ENVELOPE("WEBJS", "message", "{\"from\":\"15551110014@c.us\",\"fromMe\":false,\"participant\":{\"_serialized\":\"15551110014@c.us\"}}"), "other  none 0 nobody by - at 0"},
		{"a message to a group", ENVELOPE("WEBJS", "message", "{\"from\":\"15551110014@c.us\",\"fromMe\":false,\"to\":\"" G "\"}"), "other  none 0 nobody by - at 0"},
		{"... as WEBJS says", ENVELOPE("WEBJS", "message", "{\"from\":\"15551110014@c.us\",\"fromMe\":false,\"_data\":{\"id\":{\"remote\":\"" G "\"}}}"), "other  none 0 nobody by - at 0"},
		{"... as the engine says", ENVELOPE("GOWS", "message", "{\"from\":\"15551110014@c.us\",\"fromMe\":false,\"_data\":{\"Info\":{\"Chat\":\"" G "\"}}}"), "other  none 0 nobody by - at 0"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		Event		event = read_event(cases[i].body);

		is_text(members_line(&event), cases[i].line, cases[i].name);
	}
}

/* The account that an event is about, in each form; "?": one that is not understood. */
static void
test_own_account(void)
{
	static const struct
	{
		const char *me;
		const char *line;
	}			cases[] =
	{
		{"{\"id\":\"15559999999@c.us\",\"lid\":\"900000000000002@lid\"}", "15559999999@c.us/900000000000002@lid"},
		{"{\"id\":{\"server\":\"c.us\",\"user\":\"15559999999\"}}", "15559999999@c.us/"},
		{"{\"id\":\"15559999999:12@s.whatsapp.net\"}", "15559999999@c.us/"},
		{"{\"id\":null,\"jid\":\"15559999999@s.whatsapp.net\"}", "15559999999@c.us/"},
		{"{\"id\":\"900000000000002@lid\",\"jid\":\"15559999999@s.whatsapp.net\"}", "15559999999@c.us/900000000000002@lid"},
		{"{\"JID\":\"15559999999@s.whatsapp.net\"}", "15559999999@c.us/"},
		{"{\"wid\":{\"_serialized\":\"15559999999@c.us\"}}", "15559999999@c.us/"},
		{"{\"user\":{\"id\":\"15559999999@c.us\"}}", "15559999999@c.us/"},
		{"{\"phone\":\"+1 555 999 9999\"}", "15559999999@c.us/"},
		{"{\"id\":\"15559999999\"}", "15559999999@c.us/"},
		{"{\"id\":15559999999}", "15559999999@c.us/"},
		{"{\"id\":\"900000000000002\",\"lid\":\"900000000000002@lid\"}", "/900000000000002@lid"},
		{"{\"lid\":\"900000000000002@lid\"}", "/900000000000002@lid"},
		{"\"15559999999@c.us\"", "15559999999@c.us/"},
		{"\"15559999999\"", "15559999999@c.us/"},
		{"15559999999", "15559999999@c.us/"},
		{"null", "/"},
		{"{}", "/"},
		{"[]", "/"},
		{"\"\"", "/"},
		{"{\"id\":null,\"lid\":\"\"}", "/"},
		{"{\"pushName\":\"x\",\"reachoutTimelock\":{\"isActive\":true},\"messageCapping\":null,\"isBusiness\":true}", "/"},
		{"{\"id\":null,\"platform\":\"android\"}", "/"},
		{"{\"id\":null,\"verifiedName\":\"Shop\"}", "/"},
		{"{\"profilePicture\":\"http://x\"}", "/"},
		{"{\"profilePicture\":\"https://pps.whatsapp.net/v/t61.24694-24/123456789_n.jpg\"}", "/"},
		{"{\"id\":null,\"connectedAt\":1796000000000,\"since\":\"2026-11-28T09:00:00Z\",\"device\":{\"version\":\"2.3000.1025091234\",\"os\":7}}", "/"},
		{"{\"id\":null,\"email\":\"shop@example.com\"}", "/"},
		{"{\"id\":\"x\"}", "?"},
		{"{\"id\":null,\"who\":\"15559999999\"}", "?"},
		{"{\"id\":null,\"who\":{\"it\":[\"15559999999@example.net\"]}}", "?"},
		{"{\"user\":{\"x\":1}}", "?"},
		{"{\"owner\":\"x\"}", "?"},
		{"{\"id\":\"15559999999@example.net\"}", "?"},
		{"{\"id\":\"" G "\"}", "?"},
		{"{\"account\":\"15559999999@c.us\"}", "?"},
		{"[\"15559999999@c.us\"]", "?"},
		{"\"nobody\"", "?"},
		{"true", "?"},
	};
	Event		session;

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		Event		event = read_event(psprintf("{\"event\":\"message\",\"me\":%s,\"payload\":{}}", cases[i].me));

		is_text(event.has_unread_me ? "?" : person_line(&event.me), cases[i].line, psprintf("the account %s", cases[i].me));
	}
	session = read_event("{\"event\":\"session.status\",\"me\":null,\"payload\":{\"status\":\"FAILED\",\"me\":{\"id\":\"15559999999@c.us\"}}}");
	is_text(person_line(&session.me), "15559999999@c.us/", "the account in a session's state");
	is_text(read_event("{\"instance_id\":\"ABC\",\"status\":\"FAILED\"}").instance_id, "ABC", "the account as Wawp names it");
	ok(read_event("{\"event\":\"message\",\"instance_id\":12345,\"payload\":{}}").instance_id == NULL, "a number of the gateway's own is none");
}

static void
test_envelope(void)
{
	Event		event = read_event(MEMBERS("GOWS", "{}"));

	is_text(event.id, "evt_1", "the id");
	is_text(event.name, "group.v2.participants", "the name");
	ok(event.sent_ms == INT64CONST(1796000000000), "when it was sent");
	is_text(person_line(&event.me), "15550000001@c.us/900000000000001@lid", "our own account");
	ok(event.npairs == 1, "... which is a pair");

	event = read_event("{\"event\":\"message\",\"timestamp\":1896000000000,\"me\":null}");
	ok(event.id == NULL && event.sent_ms == 0 && event.me.phone.kind == JID_INVALID, "no id, a time in the future, no account");
	ok(!event_read("[]", 2, NOW_MS, &event) && event.name == NULL, "a list is no event");
	ok(!event_read("{}", 2, NOW_MS, &event), "nor is an object without a name");
	ok(!event_read("{\"event\":7", 10, NOW_MS, &event), "nor half of one");
	ok(!event_read("", 0, NOW_MS, &event), "nor nothing");
}

static void
test_limits_and_sessions(void)
{
	Event		event = read_event(ENVELOPE("GOWS", "session.status",
											"{\"name\":\"t1\",\"status\":\"WORKING\",\"statuses\":[{\"status\":\"STARTING\",\"timestamp\":1795999999000},"
											"{\"status\":\"WORKING\",\"timestamp\":1796000000500}],"
											"\"data\":{\"reachoutTimelock\":{\"enforcementType\":\"NEW_WORD\",\"isActive\":true,\"timeEnforcementEnds\":1796086400}}}"));

	ok(event.kind == EVENT_SESSION && event.session == SESSION_WORKING, "the session works");
	ok(event.happened_ms == INT64CONST(1796000000500), "... since its last time");
	ok(event.limits.is_timelocked && event.limits.timelock_ends_ms == INT64CONST(1796086400000), "... with a limit in its data");

	event = read_event("{\"event\":\"session.status\",\"me\":{\"reachoutTimelock\":null,\"messageCapping\":{\"cappingStatus\":\"NONE\"}},\"payload\":{\"status\":\"WORKING\","
					   "\"data\":{\"reachoutTimelock\":{\"isActive\":true,\"timeEnforcementEnds\":1796086400},\"messageCapping\":{\"cappingStatus\":\"CAPPED\"}}}}");
	ok(event.limits.is_timelocked && event.limits.timelock_ends_ms == INT64CONST(1796086400000), "a limit in its data that \"me\" does not tell");
	ok(event.limits.tells_capping && event.limits.capping == CAPPING_NONE, "... and none of those that it does");

	event = read_event("{\"event\":\"message\",\"me\":{\"id\":\"15550000001@c.us\",\"reachoutTimelock\":{\"isActive\":false},\"messageCapping\":null},\"payload\":{}}");
	ok(event.limits.tells_timelock && !event.limits.is_timelocked && !event.limits.tells_capping, "no limit, in any event");
	event = read_event("{\"event\":\"message\",\"me\":{\"id\":\"15550000001@c.us\",\"reachoutTimelock\":null},\"payload\":{}}");
	ok(!account_limits_are_told(&event.limits), "null tells nothing");
	event = read_event("{\"event\":\"x\",\"me\":{\"messageCapping\":{\"cappingStatus\":\"CAPPED\",\"cycleEnd\":1796086400}},\"payload\":{}}");
	ok(event.limits.capping == CAPPING_CAPPED, "in an event that nobody knows, too");

	event = read_event("{\"event\":\"session.status\",\"payload\":{\"status\":\"STARTING\"}}");
	ok(event.session == SESSION_STARTING, "starting");
	event = read_event("{\"event\":\"session.status\",\"payload\":{\"status\":\"PASSKEY_REQUIRED\",\"data\":{\"challenge\":\"x\"}}}");
	ok(event.session == SESSION_UNUSABLE, "anything else is not usable");
	event = read_event("{\"event\":\"session.status\",\"payload\":{}}");
	ok(event.kind == EVENT_OTHER, "no state");
	event = read_event("{\"instance_id\":\"ABC\",\"status\":\"SCAN_QR_CODE\",\"qr\":\"x\",\"ts\":1796000000}");
	ok(event.kind == EVENT_SESSION && event.session == SESSION_UNUSABLE && event.sent_ms == INT64CONST(1796000000000), "Wawp's first version");
}

/* Of more people than are read it is known that there are more. */
static void
test_many(void)
{
	StringInfoData body;
	Event		event;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"event\":\"group.v2.join\",\"payload\":{\"group\":{\"id\":\"" G "\",\"participants\":[");
	for (int i = 0; i < 2100; i++)
		appendStringInfo(&body, "%s{\"id\":\"9000000010%05d@lid\"}", i ? "," : "", i);
	appendStringInfoString(&body, "]}}}");
	event = read_event(body.data);
	is_text(members_line(&event), "joined " G " none 2048+52 /900000001000000@lid by unknown at 0", "more members than are read");
}

static void
test_rest(void)
{
	Event		event = read_event(ENVELOPE("NOWEB", "message", "{\"timestamp\":1795999990.5,\"from\":\"900000000000014@lid\",\"fromMe\":false,\"body\":\"\\u0000STOP\","
											"\"_data\":{\"key\":{\"remoteJid\":\"900000000000014@lid\",\"remoteJidAlt\":\"15551110014@s.whatsapp.net\"}}}"));

	is_text(event.text, "\xEF\xBF\xBDSTOP", "an escaped NUL in a message");
	ok(event.npairs == 2 && strcmp(person_line(&event.pairs[1]), "15551110014@c.us/900000000000014@lid") == 0, "NOWEB: a pair in the key");
	ok(event.happened_ms == INT64CONST(1795999990500), "a fraction of a second");
	event = read_event(ENVELOPE("GOWS", "message", "{\"from\":\"" G "\",\"_data\":{\"Info\":{\"Sender\":\"900000000000014:7@lid\",\"SenderAlt\":\"15551110014@s.whatsapp.net\"}}}"));
	ok(event.npairs == 2 && strcmp(person_line(&event.pairs[1]), "15551110014@c.us/900000000000014@lid") == 0, "GOWS: a pair in Info");
	event = read_event(ENVELOPE("GOWS", "message", "{\"body\":\"\\\\u0000 \\\\\\u0000\",\"from\":\"15551110014@c.us\",\"fromMe\":false}"));
	is_text(event.text, "\\u0000 \\\xEF\xBF\xBD", "a backslash before it");
	event = read_event(ENVELOPE("GOWS", "group.v2.join", IN_GROUP("\"_data\":{\"Participants\":[{\"JID\":\"900000000000014@lid\",\"PhoneNumber\":\"15551110014@s.whatsapp.net\"}]}")));
	ok(event.npairs == 2 && event.npeople == 1, "GOWS: pairs of a group we joined, and its members");
	event = read_event(ENVELOPE("NOWEB", "group.v2.update", "{\"group\":{\"id\":\"" G "\",\"invite\":\"https://chat.whatsapp.com/x\",\"newMembersApprovalRequired\":false,\"membersCanSendMessages\":true,"
								"\"participants\":[{\"id\":\"900000000000014@lid\",\"pn\":\"15551110014@c.us\"}]}}"));
	ok(event.kind == EVENT_GROUP_CHANGED && event.has_link && event.has_approval && event.npairs == 2, "a changed group");
	event = read_event(ENVELOPE("NOWEB", "group.v2.update", "{\"group\":{\"id\":\"" G "\",\"subject\":\"x\"}}"));
	ok(event.kind == EVENT_GROUP_CHANGED && !event.has_link && !event.has_approval, "what is absent says nothing");
	event = read_event(ENVELOPE("NOWEB", "group.v2.update", "{\"group\":{\"id\":\"" G "\",\"invite\":{\"code\":\"x\"},\"newMembersApprovalRequired\":\"on\"}}"));
	ok(event.has_link && event.has_approval, "... what is there in another form was changed");
	event = read_event(ENVELOPE("GOWS", "group.v2.participants.join-request", IN_GROUP("\"action\":\"rejected\",\"requesterId\":\"15551110016@c.us\"")));
	ok(event.has_ended, "a request to join that was rejected has ended");
	event = read_event(ENVELOPE("GOWS", "group.v2.participants.join-request", IN_GROUP("\"action\":\"approved\",\"requesterId\":\"15551110016@c.us\"")));
	ok(!event.has_ended, "a word that is not known does not end it");
	event = read_event(ENVELOPE("GOWS", "group.v2.participants.join-request", IN_GROUP("\"action\":\"created\",\"requesterId\":\"900000000000016@lid\",\"requesterPn\":\"15551110016@c.us\",\"requestMethod\":\"non_admin_add\"")));
	ok(event.is_proposal && event.npairs == 2, "a proposer's pair is one nevertheless");
	event = read_event(ENVELOPE("WEBJS", "group.v2.participants.join-request", IN_GROUP("\"action\":\"created\",\"requesterId\":\"15551110016@c.us\",\"requesterPn\":null")));
	ok(event.is_proposal, "WEBJS may name a proposer");
}

int
main(void)
{
	test_envelope();
	test_members();
	test_named();
	test_own_account();
	test_many();
	test_limits_and_sessions();
	test_rest();
	return done_testing();
}
