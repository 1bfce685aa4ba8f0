/*
 * record_fuzz.c
 *	  What another process left in shared memory, and what a mark file holds: read within bounds, or refused.
 */
#include "fuzz.h"

#include "protocol/mailbox_record.h"
#include "protocol/mark.h"

/* Check a record's people. */
static void
check_record(const MailboxRecord *record)
{
	fuzz_check(record->npeople >= 0 && record->npeople <= MAILBOX_MAX_PEOPLE, "a record has room for its people");
	for (int i = 0; i < record->npeople; i++)
	{
		const char *jid = record->people[i].jid;

		fuzz_check(jid == NULL || strlen(jid) < PG_INT32_MAX, "a person's text ends");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput	input = fuzz_begin(data, size);
	static MailboxRecord record;
	MarkFile	file;
	MarkFile	again;
	char		text[MARK_FILE_SIZE];

	if (record_unpack((const char *) data, size, &record))
		check_record(&record);
	if (mark_file_parse(fuzz_take_text(&input), &file))
	{
		fuzz_check(mark_file_format(&file, text, sizeof(text)) < MARK_FILE_SIZE, "a mark file is short");
		fuzz_check(mark_file_parse(text, &again) && strcmp(file.mark, again.mark) == 0 &&
				   mark_file_is_intact(&file.nature, &again.nature), "a mark that is written reads as itself");
	}
	fuzz_end();
	return 0;
}
