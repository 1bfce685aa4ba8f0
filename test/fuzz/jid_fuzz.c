/*
 * jid_fuzz.c
 *	  Identifiers as people and engines write them: a normal form is a fixed point.
 */
#include "fuzz.h"

#include "protocol/jid.h"

/* Check what is true of an identifier that was read. */
static void
check_valid(const Jid *jid)
{
	Jid			again = jid_parse(jid->text, strlen(jid->text));
	Jid			other = jid_other_form(jid);
	char		key[JID_SIZE];

	fuzz_check(again.kind == jid->kind && strcmp(again.text, jid->text) == 0, "a normal form reads as itself");
	fuzz_check(jid_same(&again, jid) && jid_hash(&again) == jid_hash(jid), "it is the same by comparison and by hash");
	fuzz_check((jid->kind == JID_GROUP) == jid_is_group_text(jid->text, strlen(jid->text)), "a group's text is one");
	if (other.kind != JID_INVALID)
	{
		fuzz_check(jid_same(jid, &other), "the other form is the same person");
		fuzz_check(jid_hash(&other) == jid_hash(jid), "who is the same has the same hash");
	}
	jid_key(jid, key);
	fuzz_check(key[0] != '\0', "an identifier has a key");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Jid			jid = jid_parse((const char *) data, size);

	jid_is_person_text((const char *) data, size);
	jid_is_group_text((const char *) data, size);
	jid_last_digits((const char *) data, size);
	if (jid.kind != JID_INVALID)
		check_valid(&jid);
	else
		fuzz_check(jid.problem != NULL && jid.text[0] == '\0', "who refuses says why");
	fuzz_end();
	return 0;
}
