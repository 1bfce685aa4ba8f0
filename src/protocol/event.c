/*-------------------------------------------------------------------------
 *
 * event.c
 *	  Events that a gateway sends to a webhook, in each of their forms.
 *
 * Pure.  WAHA's engines and Wawp itself put the same facts in different places:
 *
 *	{"id", "timestamp", "event", "session", "me", "engine", "payload"}
 *
 *	members		WAHA	{"group": {"id"}, "type", "participants": [{"id", "pn"}], "_data"}
 *				Wawp	{"chatId", "action", "participants": {"0": "1555...@c.us"}}
 *	actor		GOWS	_data.Sender, SenderPN; none when somebody followed a link
 *				NOWEB, WEBJS	_data.author; WEBJS' _data.type tells leave from remove
 *	time		GOWS	_data.Timestamp; WEBJS payload.timestamp; NOWEB none
 *
 * payload.timestamp of the other engines is the gateway's.  Roles in events are
 * not read, nor is membersCanSendMessages: engines fill them wrongly.  A field
 * that is absent says nothing; one that is there and not understood is never
 * taken for nobody, or for our own account.
 *
 * IDENTIFICATION
 *	  src/protocol/event.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/event.h"
#include "protocol/wire.h"
#include "protocol/wire_time.h"

/* More people in one event are not read: a group has at most 1,024, but a community more. */
#define MAX_PEOPLE 2048

/* A person is looked for so deep in what a payload has under a key that is not known. */
#define NAMES_DEPTH 3

/*
 * ---- people
 */

/* Read the ids of a person from an entry or an id; false if there are none. */
static bool
event_read_person(const JsonNode *node, EventPerson *person)
{
	wire_read_ids(node, &person->phone, &person->lid);
	return person->phone.kind == JID_PERSON || person->lid.kind == JID_LID;
}

/* Append a person to a list that has room for MAX_PEOPLE. */
static void
event_add_person(const EventPerson *person, EventPerson **list, int *n)
{
	if (*n == 0)
		*list = palloc(sizeof(EventPerson) * 8);
	else if (*n >= 8 && (*n & (*n - 1)) == 0)
		*list = repalloc(*list, sizeof(EventPerson) * *n * 2);
	(*list)[(*n)++] = *person;
}

/* Add number and LID of one person, if both are known. */
static void
event_add_pair(const EventPerson *pair, Event *event)
{
	if (pair->phone.kind == JID_PERSON && pair->lid.kind == JID_LID && event->npairs < MAX_PEOPLE)
		event_add_person(pair, &event->pairs, &event->npairs);
}

/* Add the pair that two ids of one person make, whichever is which. */
static void
event_add_pair_of(const JsonNode *object, const char *one, const char *other, Event *event)
{
	EventPerson first;
	EventPerson second;

	if (!event_read_person(json_node_get(object, one), &first) || !event_read_person(json_node_get(object, other), &second))
		return;
	if (first.phone.kind == JID_INVALID)
		first.phone = second.phone;
	if (first.lid.kind == JID_INVALID)
		first.lid = second.lid;
	event_add_pair(&first, event);
}

/* Read a person from an entry of a list, whose key may name them as well. */
static bool
event_read_entry(const JsonNode *node, EventPerson *person)
{
	const JsonNode name = {.kind = JSON_KIND_STRING, .text = node->key ? node->key : ""};
	EventPerson inner = {.phone = {.kind = JID_INVALID}};

	/* a text beside a name may be anything, such as who added them */
	if (!event_read_person(&name, person))
		return event_read_person(node, person);
	if (json_node_is(node, JSON_KIND_OBJECT))
		(void) event_read_person(node, &inner);
	if (person->phone.kind == JID_INVALID)
		person->phone = inner.phone;
	if (person->lid.kind == JID_INVALID)
		person->lid = inner.lid;
	return true;
}

/* Add one of those an event names. */
static void
event_add_entry(const JsonNode *node, bool pairs_only, Event *event)
{
	EventPerson person;

	if (event->npeople >= MAX_PEOPLE || !event_read_entry(node, &person))
	{
		event->nunread += !pairs_only && node->kind != JSON_KIND_NULL;
		return;
	}
	event_add_pair(&person, event);
	if (!pairs_only)
		event_add_person(&person, &event->people, &event->npeople);
}

/* Read those whom a value names: an array, an object with numbers or JIDs as keys, or one person. */
static void
event_read_people(const JsonNode *list, bool pairs_only, Event *event)
{
	if (json_node_is(list, JSON_KIND_ARRAY) || wire_is_keyed_list(list))
		for (const JsonNode *child = list->first; child; child = child->next)
			event_add_entry(child, pairs_only, event);
	else if (wire_is_set(list))
		event_add_entry(list, pairs_only, event);
}

/* True if an object has something under one of the keys. */
static bool
event_has_any(const JsonNode *object, const char *const *keys)
{
	for (; *keys; keys++)
		if (wire_is_set(json_node_get(object, *keys)))
			return true;
	return false;
}

/* Read those whom an object names under any of the keys. */
static void
event_read_people_in(const JsonNode *object, const char *const *keys, bool pairs_only, Event *event)
{
	for (; *keys; keys++)
		event_read_people(json_node_get(object, *keys), pairs_only, event);
}

/* Keys of those whom a change is about, in a payload or in what the engine itself said. */
static const char *const people_keys[] = {"participants", "Participants", "recipientIds", "recipients", NULL};

/* In a payload, keys of one of those, or of somebody else: not read, but our own account is not under them. */
static const char *const person_keys[] = {"participant", NULL};

/* True if two people are certainly the same. */
bool
event_is_same_person(const EventPerson *a, const EventPerson *b)
{
	return (a->phone.kind == JID_PERSON && jid_same(&a->phone, &b->phone)) ||
		(a->lid.kind == JID_LID && jid_same(&a->lid, &b->lid));
}

/* False if two people are certainly different: both numbers, or both LIDs, are known. */
bool
event_may_be_same_person(const EventPerson *a, const EventPerson *b)
{
	return event_is_same_person(a, b) ||
		!((a->phone.kind == JID_PERSON && b->phone.kind == JID_PERSON) || (a->lid.kind == JID_LID && b->lid.kind == JID_LID));
}

/* Return who made one of the people leave. */
EventActor
event_actor(const Event *event, const EventPerson *person)
{
	if (event->was_removed)
		return ACTOR_OTHER;
	if (event->was_left)
		return event_may_be_same_person(&event->actor, person) ? ACTOR_SELF : ACTOR_UNKNOWN;
	if (event_is_same_person(&event->actor, person))
		return ACTOR_SELF;
	return event_may_be_same_person(&event->actor, person) ? ACTOR_UNKNOWN : ACTOR_OTHER;
}

/*
 * ---- groups
 */

/* Return the change that a word names; CHANGE_NONE for any other. */
static EventChange
event_change_named(const char *word)
{
	static const struct
	{
		const char *const words[4];
		EventChange change;
	}			changes[] = {
		{{"join", "add", "invite", NULL}, CHANGE_JOIN},
		{{"leave", "remove", NULL}, CHANGE_LEAVE},
		{{"promote", NULL}, CHANGE_PROMOTE},
		{{"demote", NULL}, CHANGE_DEMOTE},
	};

	for (size_t i = 0; i < lengthof(changes); i++)
		if (wire_word_is(word, changes[i].words))
			return changes[i].change;
	return CHANGE_NONE;
}

/* Return the group of a payload; an invalid JID if it has none, or names two. */
static Jid
event_group(const JsonNode *payload)
{
	const Jid	named = wire_read_group_id(json_node_get(payload, "group"));
	const Jid	others[] = {wire_read_group_id(payload), wire_read_group_id(json_node_get(payload, "_data"))};
	Jid			group = named.kind == JID_GROUP ? named : others[0];
	EventPerson person;

	if (named.kind != JID_GROUP && event_read_person(json_node_get(payload, "group"), &person))
		group = named;
	for (size_t i = 0; i < lengthof(others); i++)
		if (others[i].kind == JID_GROUP && !jid_same(&others[i], &group))
			group = (Jid) {.kind = JID_INVALID};
	return group;
}

/* Return the time of a group's event by WhatsApp's own clock; 0 if the engine does not tell. */
static int64
event_time_in_group(const JsonNode *root, const JsonNode *payload)
{
	const char *engine = json_node_text(json_node_get(root, "engine"));
	int64		told = wire_time_ms(json_node_get(json_node_get(payload, "_data"), "Timestamp"));

	if (told == 0 && engine && pg_strcasecmp(engine, "WEBJS") == 0)
		told = wire_time_ms(json_node_get(payload, "timestamp"));
	return told;
}

/* Read who did it, how somebody joined, and pairs, from what the engine itself said. */
static void
event_read_engine_data(const JsonNode *data, Event *event)
{
	static const char *const joined_by_link[] = {"invite", NULL};
	static const char *const left[] = {"leave", NULL};
	static const char *const removed[] = {"remove", NULL};
	const char *type = json_node_text(json_node_get(data, "type"));
	EventPerson number;

	if (!event_read_person(json_node_get(data, "author"), &event->actor))
		(void) event_read_person(json_node_get(data, "Sender"), &event->actor);
	if (event_read_person(json_node_get(data, "SenderPN"), &number) && event->actor.phone.kind == JID_INVALID)
		event->actor.phone = number.phone;
	event_add_pair(&event->actor, event);
	event->by_link = wire_word_is(json_node_text(json_node_get(data, "JoinReason")), joined_by_link) ||
		wire_word_is(type, joined_by_link);
	event->was_left = wire_word_is(type, left);
	event->was_removed = wire_word_is(type, removed);
	event_read_people_in(data, people_keys, true, event);
}

/*
 * Return the change that a payload tells; CHANGE_NONE if it is not understood, or
 * if its word, its event's name and the engine's own word are not of one change.
 */
static EventChange
event_change(const JsonNode *payload, EventChange by_name)
{
	static const char *const keys[] = {"type", "action", NULL};
	const JsonNode *word = json_node_any(payload, keys);
	EventChange change = word ? event_change_named(json_node_text(word)) : by_name;
	EventChange engines = event_change_named(json_node_text(json_node_any(json_node_get(payload, "_data"), keys)));

	if (by_name != CHANGE_NONE && change != by_name)
		change = CHANGE_NONE;
	return engines == CHANGE_NONE || engines == change ? change : CHANGE_NONE;
}

/* GOWS' lists of those whom a change is about. */
static const char *const gows_lists[][2] = {
	[CHANGE_NONE] = {NULL},
	[CHANGE_JOIN] = {"Join", NULL},
	[CHANGE_LEAVE] = {"Leave", NULL},
	[CHANGE_PROMOTE] = {"Promote", NULL},
	[CHANGE_DEMOTE] = {"Demote", NULL}
};

/* Read those whom the engine's own words name. */
static void
event_read_data_people(const JsonNode *data, EventChange change, Event *event)
{
	event_read_people_in(data, people_keys, false, event);
	event_read_people_in(data, gows_lists[change], false, event);
}

/* Read an event about members; unless it tells, they changed as its name says. */
static void
event_read_members(const JsonNode *payload, EventChange by_name, Event *event)
{
	const JsonNode *data = json_node_get(payload, "_data");
	bool		is_told = json_node_any(payload, people_keys) != NULL;

	event->kind = EVENT_MEMBERS;
	event->change = event_change(payload, by_name);
	if (is_told)
		event_read_people_in(payload, people_keys, false, event);
	else
		event_read_data_people(data, event->change, event);
	event_read_engine_data(data, event);
	/* an empty list says that it is about nobody; none says nothing */
	if (!is_told && event->npeople == 0)
		event->nunread++;
}

static void
event_read_participants(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	event_read_members(payload, CHANGE_NONE, event);
}

/* Note the people whom a value, or something in it, names. */
static void
event_add_named(const JsonNode *node, int depth, Event *event)
{
	EventPerson person;

	if (event->nnamed >= MAX_PEOPLE)
		return;
	if (event_read_person(node, &person))
		event_add_person(&person, &event->named, &event->nnamed);
	else if (depth > 0 && json_node_is_list(node))
		for (const JsonNode *child = node->first; child; child = child->next)
			event_add_named(child, depth - 1, event);
}

/*
 * True if an event is of the kind that WAHA alone sends, of our own account: the
 * group is an object, and no list says whom it is about.  Other people whom the
 * payload names, but as who did it, may be those it is about all the same.
 */
static bool
event_read_own_form(const JsonNode *payload, Event *event)
{
	static const char *const not_about[] = {"group", "_data", "me", "author", "sender", "senderPN", NULL};

	if (!json_node_is(json_node_get(payload, "group"), JSON_KIND_OBJECT) || json_node_any(payload, people_keys) ||
		json_node_any(payload, person_keys))
		return false;
	event->is_of_own = true;
	event_add_named(payload, 0, event);
	for (const JsonNode *child = payload->first; child; child = child->next)
		if (!wire_word_is(child->key, not_about))
			event_add_named(child, NAMES_DEPTH, event);
	return true;
}

/* Read that somebody joined: in Wawp's form the people it lists, else our own account, which is one of the members if any are told. */
static void
event_read_joined(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	if (!event_read_own_form(payload, event) || event->nnamed > 0)
	{
		event_read_members(payload, CHANGE_JOIN, event);
		return;
	}
	event->kind = EVENT_GROUP_JOINED;
	event_read_people_in(json_node_get(payload, "group"), people_keys, false, event);
	event_read_data_people(json_node_get(payload, "_data"), CHANGE_JOIN, event);
}

/* Read that somebody left: likewise, but whom the engine names has left, whether we are among them or not. */
static void
event_read_left(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	const JsonNode *data = json_node_get(payload, "_data");

	if (!event_read_own_form(payload, event) || event->nnamed > 0 ||
		event_has_any(data, people_keys) || event_has_any(data, gows_lists[CHANGE_LEAVE]))
	{
		event_read_members(payload, CHANGE_LEAVE, event);
		return;
	}
	event->kind = EVENT_GROUP_LEFT;
	event_read_engine_data(data, event);
	if (!event->was_left || (event->actor.phone.kind == JID_INVALID && event->actor.lid.kind == JID_INVALID))
		return;
	/* WEBJS may name nobody but who did it, which was to leave */
	event->kind = EVENT_MEMBERS;
	event->change = CHANGE_LEAVE;
	event_add_person(&event->actor, &event->people, &event->npeople);
}

/* Read a change of the group itself. */
static void
event_read_changed(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	const JsonNode *group = json_node_get(payload, "group");
	static const char *const link[] = {"invite", NULL};
	static const char *const approval[] = {"newMembersApprovalRequired", NULL};

	event->kind = EVENT_GROUP_CHANGED;
	/* whatever they are now, they are read again */
	event->has_link = json_node_any(group, link) != NULL;
	event->has_approval = json_node_any(group, approval) != NULL;
	event_read_people(json_node_get(group, "participants"), true, event);
}

/* Read a request to join.  WEBJS and the like name the notice's author, who may have proposed somebody else. */
static void
event_read_join_request(const JsonNode *root, const JsonNode *payload, Event *event)
{
	const char *method = json_node_text(json_node_get(payload, "requestMethod"));
	const char *engine = json_node_text(json_node_get(root, "engine"));
	static const char *const unsure[] = {"WEBJS", "WPP", NULL};
	static const char *const ends[] = {"rejected", "revoked", NULL};
	static const char *const ids[] = {"requesterId", "requester", NULL};
	EventPerson asks;
	EventPerson number;

	event->kind = EVENT_JOIN_REQUEST;
	event->has_ended = wire_word_is(json_node_text(json_node_get(payload, "action")), ends);
	event->is_proposal = (method && pg_strcasecmp(method, WIRE_NON_ADMIN_ADD) == 0) || wire_word_is(engine, unsure);
	(void) event_read_person(json_node_any(payload, ids), &asks);
	if (event_read_person(json_node_get(payload, "requesterPn"), &number) && asks.phone.kind == JID_INVALID)
		asks.phone = number.phone;
	if (asks.phone.kind == JID_INVALID && asks.lid.kind == JID_INVALID)
		return;
	event_add_pair(&asks, event);
	event_add_person(&asks, &event->people, &event->npeople);
}

/*
 * ---- messages and the session
 */

/* True if a message names its writer beside the chat, or a group: it is of a group then, whatever it says it is from. */
static bool
event_is_in_group(const JsonNode *payload)
{
	const JsonNode *data = json_node_get(payload, "_data");
	const JsonNode *const chats[] = {
		json_node_get(payload, "to"),
		json_node_get(payload, "chatId"),
		json_node_get(payload, "chat"),
		json_node_get(json_node_get(data, "Info"), "Chat"),
		json_node_get(json_node_get(data, "key"), "remoteJid"),
		json_node_get(json_node_get(data, "id"), "remote")
	};

	for (size_t i = 0; i < lengthof(chats); i++)
		if (wire_read_group_id(chats[i]).kind == JID_GROUP)
			return true;
	return wire_is_set(json_node_get(payload, "participant"));
}

/* Read a message that a person sent us 1:1; any other is of no use but for pairs. */
static void
event_read_message(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	const JsonNode *data = json_node_get(payload, "_data");
	const JsonNode *key = json_node_get(data, "key");
	EventPerson from;

	event_add_pair_of(json_node_get(data, "Info"), "Sender", "SenderAlt", event);
	event_add_pair_of(key, "remoteJid", "remoteJidAlt", event);
	event_add_pair_of(key, "participant", "participantAlt", event);
	if (!json_node_is(json_node_get(payload, "fromMe"), JSON_KIND_FALSE) ||
		event_is_in_group(payload) || !event_read_person(json_node_get(payload, "from"), &from))
		return;
	event->kind = EVENT_MESSAGE;
	event_add_person(&from, &event->people, &event->npeople);
	event->happened_ms = wire_time_ms(json_node_get(payload, "timestamp"));
	event->text = json_node_text(json_node_get(payload, "body"));
}

/* Read that a message was delivered, or was not; one that is not ours says nothing of our account. */
static void
event_read_ack(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	int			ack;
	int			code;

	if (!json_node_is(json_node_get(payload, "fromMe"), JSON_KIND_FALSE) &&
		json_node_int(json_node_get(payload, "ack"), &ack) && ack < 0 &&
		json_node_int(json_node_get(json_node_get(payload, "error"), "code"), &code) && (code == 463 || code == 475))
		event->kind = EVENT_MESSAGE_REFUSED;
}

/* Return the last time in a session's history. */
static int64
event_session_time(const JsonNode *statuses)
{
	int64		last = 0;

	if (json_node_is(statuses, JSON_KIND_ARRAY))
		for (const JsonNode *child = statuses->first; child; child = child->next)
			last = Max(last, wire_time_ms(json_node_get(child, "timestamp")));
	return last;
}

/* Read number and LID of the account that an event is about, unless that is known. */
static void
event_read_own_account(const JsonNode *me, Event *event)
{
	if (event->me.phone.kind == JID_PERSON || event->me.lid.kind == JID_LID)
		return;
	event->has_unread_me |= !wire_read_account(me, &event->me.phone, &event->me.lid);
	event_add_pair(&event->me, event);
}

/* Read the state of the session. */
static void
event_read_session(const JsonNode *root pg_attribute_unused(), const JsonNode *payload, Event *event)
{
	AccountLimits limits = account_limits_read(payload);

	event->status = json_node_text(json_node_get(payload, "status"));
	if (event->status == NULL)
		return;
	event->kind = EVENT_SESSION;
	event->session = pg_strcasecmp(event->status, "WORKING") == 0 ? SESSION_WORKING
		: pg_strcasecmp(event->status, "STARTING") == 0 ? SESSION_STARTING : SESSION_UNUSABLE;
	event->happened_ms = event_session_time(json_node_get(payload, "statuses"));
	event_read_own_account(json_node_get(payload, "me"), event);
	/* "me" is filled when the event is sent, so that it is the newer of the two */
	account_limits_update(&limits, &event->limits);
	event->limits = limits;
}

/*
 * ---- the envelope
 */

/* Events of use; the others are accepted and have no effect but that of their limits. */
static const struct
{
	const char *name;
	void		(*read) (const JsonNode *root, const JsonNode *payload, Event *event);
	bool		is_of_group;
}			events[] =
{
	{"group.v2.participants", event_read_participants, true},
	{"group.participants.update", event_read_participants, true},
	{"group.v2.join", event_read_joined, true},
	{"group.join", event_read_joined, true},
	{"group.v2.leave", event_read_left, true},
	{"group.leave", event_read_left, true},
	{"group.v2.update", event_read_changed, true},
	{"group.v2.participants.join-request", event_read_join_request, true},
	{"message", event_read_message, false},
	{"message.any", event_read_message, false},
	{"message.ack", event_read_ack, false},
	{"session.status", event_read_session, false},
	{"status.update", event_read_session, false},
};

/* Return a time that can be true: none in the future, but for clocks that differ. */
static int64
event_believed_time(int64 ms, int64 now_ms)
{
	return ms > now_ms + WIRE_TIME_DAY_MS ? 0 : ms;
}

/* Read the payload as its event's name says. */
static void
event_read_payload(const JsonNode *root, const JsonNode *payload, Event *event)
{
	for (size_t i = 0; i < lengthof(events); i++)
	{
		if (strcmp(event->name, events[i].name) != 0)
			continue;
		if (events[i].is_of_group)
		{
			event->group = event_group(payload);
			if (event->group.kind != JID_GROUP)
				return;
			event->happened_ms = event_time_in_group(root, payload);
		}
		events[i].read(root, payload, event);
	}
}

/* True if the session's state is in the envelope itself, without an event's name: the form of Wawp's first version. */
static bool
event_is_old_status(const JsonNode *root)
{
	return json_node_text(json_node_get(root, "event")) == NULL && json_node_get(root, "instance_id") != NULL &&
		json_node_text(json_node_get(root, "status")) != NULL;
}

/* Parse a body and read its id and name into an empty *event; NULL if it is no object. */
static const JsonNode *
event_parse(const char *body, size_t len, Event *event)
{
	const JsonNode *root;

	memset(event, 0, sizeof(*event));
	root = json_node_parse(body, len);
	if (!json_node_is(root, JSON_KIND_OBJECT))
		return NULL;
	event->id = json_node_text(json_node_get(root, "id"));
	event->name = event_is_old_status(root) ? "session.status" : json_node_text(json_node_get(root, "event"));
	return root;
}

/* Read nothing of an event, of any origin, but its id and name; false if it is none. */
bool
event_read_key(const char *body, size_t len, Event *event)
{
	return event_parse(body, len, event) != NULL && event->name != NULL;
}

/*
 * Read an event, of any origin, into *event; false if it is none.  now_ms: since
 * 1970, to tell times that cannot be true.
 */
bool
event_read(const char *body, size_t len, int64 now_ms, Event *event)
{
	static const char *const times[] = {"timestamp", "ts", NULL};
	const JsonNode *root = event_parse(body, len, event);

	if (root == NULL)
		return false;
	event->sent_ms = event_believed_time(wire_time_ms(json_node_any(root, times)), now_ms);
	event_read_own_account(json_node_get(root, "me"), event);
	if (json_node_is(json_node_get(root, "instance_id"), JSON_KIND_STRING))
		event->instance_id = json_node_text(json_node_get(root, "instance_id"));
	event->limits = account_limits_read(root);
	if (event->name == NULL)
		return false;
	event_read_payload(root, event_is_old_status(root) ? root : json_node_get(root, "payload"), event);
	event->happened_ms = event_believed_time(event->happened_ms, now_ms);
	return true;
}
