/*
 * webhook_fuzz.c
 *	  Events that arrive at a webhook: people are people, groups are groups, times can be true.
 */
#include "fuzz.h"

#include "protocol/event.h"

/* 2026-01-01 */
#define NOW_MS INT64CONST(1767225600000)
#define DAY_MS INT64CONST(86400000)

/* Check that a person has a number, a LID, or both, each in its place. */
static void
check_person(const EventPerson *person, bool has_both)
{
	fuzz_check(person->phone.kind == JID_INVALID || person->phone.kind == JID_PERSON, "a number is a person's");
	fuzz_check(person->lid.kind == JID_INVALID || person->lid.kind == JID_LID, "a LID is one");
	fuzz_check(!has_both || (person->phone.kind == JID_PERSON && person->lid.kind == JID_LID), "a pair is a number and a LID");
}

/* Check an event that was read. */
static void
check_event(const Event *event)
{
	fuzz_check(event->name != NULL, "an event has a name");
	fuzz_check(event->group.kind == JID_INVALID || event->group.kind == JID_GROUP, "a group is one");
	fuzz_check(event->kind != EVENT_MEMBERS || event->group.kind == JID_GROUP, "members are a group's");
	fuzz_check(event->sent_ms <= NOW_MS + DAY_MS && event->happened_ms <= NOW_MS + DAY_MS, "nothing happens after tomorrow");
	fuzz_check(event->kind != EVENT_SESSION || event->session != SESSION_NONE, "a session has a state");
	check_person(&event->me, false);
	check_person(&event->actor, false);
	for (int i = 0; i < event->npeople; i++)
	{
		check_person(&event->people[i], false);
		event_actor(event, &event->people[i]);
		fuzz_check(event_is_same_person(&event->people[i], &event->people[i]), "a person is the same person");
	}
	for (int i = 0; i < event->npairs; i++)
		check_person(&event->pairs[i], true);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Event		event;

	if (event_read((const char *) data, size, NOW_MS, &event))
		check_event(&event);
	fuzz_end();
	return 0;
}
