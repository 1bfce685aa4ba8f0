/*
 * mailbox_record_test.c
 *	  A session's record in its box: each kind at its limit, one byte above it,
 *	  with texts cut, and damaged.
 */
#include "postgres_fe.h"

#include "mb/pg_wchar.h"
#include "protocol/mailbox_record.h"
#include "tap.h"

#define LONGEST_OUTCOME "community_restricted"
#define BOX 12288

static const char *
repeat(const char *unit, int n)
{
	size_t		width = strlen(unit);
	char	   *text = palloc(n * width + 1);

	for (int i = 0; i < n; i++)
		memcpy(text + i * width, unit, width);
	text[n * width] = '\0';
	return text;
}

/* Return a record of that kind about so many people. */
static MailboxRecord
make_record(const char *kind, int npeople)
{
	MailboxRecord record = {
		.row = {
			.kind = kind,
			.instance = "support",
			.instance_id = "ABC123",
			.group_jid = "120363012345678901@g.us",
			.action = "add",
			.login_role = "app",
			.requested_by = "clerk",
			.actor = "clerk 7",
			.application_name = "psql",
			.client_addr = "127.0.0.1",
			.origin = "session",
			.reason = "because",
			.request_id = "01234567-89ab-cdef-0123-456789abcdef",
			.detail = "{\"call\": \"send a text\"}",
			.duration_ms = -1
		},
		.npeople = npeople
	};

	for (int i = 0; i < npeople; i++)
	{
		record.people[i].jid = "155512300000001@c.us";
		record.people[i].code = 200 + i;
		if (strcmp(kind, "sent") != 0)
			record.people[i].outcome = LONGEST_OUTCOME;
	}
	return record;
}

/* Pack into a box of exactly that size on the heap, so that ASan sees a byte too many. */
static RecordFit
pack(const MailboxRecord *record, bool may_cut, size_t size, char **box, size_t *used)
{
	*used = 0;
	*box = malloc(size ? size : 1);
	return record_pack(record, may_cut, PG_UTF8, *box, size, used);
}

static size_t
size_of(const MailboxRecord *record)
{
	size_t		used = 0;

	(void) record_pack(record, false, PG_UTF8, NULL, SIZE_MAX, &used);
	return used;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_people(const MailboxRecord *a, const MailboxRecord *b)
{
	for (int i = 0; i < a->npeople; i++)
		if (!same_text(a->people[i].jid, b->people[i].jid) || a->people[i].code != b->people[i].code ||
			!same_text(a->people[i].outcome, b->people[i].outcome) || !same_text(a->people[i].lid, b->people[i].lid))
			return false;
	return a->npeople == b->npeople;
}

/* True if all fields that are never cut are the same. */
static bool
same_keys(const MailboxRecord *a, const MailboxRecord *b)
{
	return same_text(a->row.kind, b->row.kind) && same_text(a->row.instance, b->row.instance) &&
		same_text(a->row.instance_id, b->row.instance_id) && same_text(a->row.group_jid, b->row.group_jid) &&
		same_text(a->row.action, b->row.action) && same_text(a->row.outcome, b->row.outcome) &&
		same_text(a->row.login_role, b->row.login_role) && same_text(a->row.requested_by, b->row.requested_by) &&
		same_text(a->row.client_addr, b->row.client_addr) && same_text(a->row.request_id, b->row.request_id) &&
		a->row.http_status == b->row.http_status && a->row.code == b->row.code && a->row.duration_ms == b->row.duration_ms &&
		same_people(a, b);
}

static bool
same_record(const MailboxRecord *a, const MailboxRecord *b)
{
	return same_keys(a, b) && same_text(a->row.actor, b->row.actor) && same_text(a->row.origin, b->row.origin) &&
		same_text(a->row.application_name, b->row.application_name) && same_text(a->row.reason, b->row.reason) &&
		same_text(a->row.detail, b->row.detail);
}

/* A box with exactly the necessary room, and with a byte less, in which the record is refused or cut. */
static void
test_kind(const char *kind, int npeople)
{
	MailboxRecord record = make_record(kind, npeople);
	MailboxRecord read;
	size_t		needed = size_of(&record);
	char	   *box;
	size_t		used;

	ok(pack(&record, false, needed, &box, &used) == RECORD_WHOLE && used == needed,
	   "%s, %d people: exactly as much room as it needs", kind, npeople);
	ok(record_unpack(box, used, &read) && same_record(&record, &read), "... is read as it was");
	ok(pack(&record, false, needed - 1, &box, &used) == RECORD_TOO_LONG && used == 0,
	   "... a byte less is refused");
	ok(pack(&record, true, needed - 1, &box, &used) == RECORD_CUT && used < needed, "... or cut");
	ok(record_unpack(box, used, &read) && same_keys(&record, &read) && !same_text(record.row.reason, read.row.reason),
	   "... where only the reason is shorter");
}

/* The longest reason that fits a box of the real size; one byte more does not fit. */
static void
test_full_box(const char *kind, int npeople)
{
	MailboxRecord record = make_record(kind, npeople);
	MailboxRecord read;
	char	   *box;
	size_t		used;
	int			room;

	record.row.reason = "";
	room = BOX - (int) size_of(&record);
	record.row.reason = repeat("x", room);
	ok(pack(&record, false, BOX, &box, &used) == RECORD_WHOLE && used == BOX, "%s, %d people: a full box", kind, npeople);
	ok(record_unpack(box, used, &read) && same_record(&record, &read), "... is read as it was");
	record.row.reason = repeat("x", room + 1);
	ok(pack(&record, false, BOX, &box, &used) == RECORD_TOO_LONG, "... one more is refused");
	ok(pack(&record, true, BOX, &box, &used) == RECORD_CUT && used <= BOX, "... or cut");
	ok(record_unpack(box, used, &read) && strlen(read.row.reason) == (size_t) room &&
	   strcmp(read.row.reason + room - strlen(RECORD_CUT_MARK), RECORD_CUT_MARK) == 0, "... with a mark at its end");
}

/* A record that was accepted as "sent" must fit when it is answered, whatever its size was. */
static void
test_answer_fits(void)
{
	int			accepted = 0;
	int			refused = 0;
	bool		all_fit = true;

	for (int length = BOX - 7000; length < BOX + 10; length++)
	{
		MailboxRecord record = make_record("sent", MAILBOX_MAX_PEOPLE);
		MailboxRecord answer = make_record("answered", MAILBOX_MAX_PEOPLE);
		size_t		used;
		MailboxRecord read;
		static char box[BOX];

		record.row.reason = answer.row.reason = repeat("x", length);
		answer.row.detail = "{\"note\": \"the caller did not wait for the answer\"}";
		answer.row.outcome = LONGEST_OUTCOME;
		if (!record_fits(&record, PG_UTF8, BOX))
		{
			refused++;
			continue;
		}
		accepted++;
		all_fit &= record_pack(&answer, true, PG_UTF8, box, BOX, &used) != RECORD_TOO_LONG &&
			record_unpack(box, used, &read) && same_keys(&answer, &read);
	}
	ok(all_fit && accepted > 0 && refused > 0, "a record that may be sent can be answered (%d accepted, %d refused)", accepted, refused);
}

/* LIDs are packed where there is room for them, and never instead of anything else. */
static void
test_lids(void)
{
	MailboxRecord record = make_record("answered", MAILBOX_MAX_PEOPLE);
	MailboxRecord read;
	size_t		without = size_of(&record);
	size_t		needed;
	char	   *box;
	size_t		used;

	record.people[0].lid = record.people[MAILBOX_MAX_PEOPLE - 1].lid = "900000000000011@lid";
	needed = size_of(&record);
	ok(pack(&record, false, needed, &box, &used) == RECORD_WHOLE && used == needed && needed > without &&
	   record_unpack(box, used, &read) && same_record(&record, &read), "LIDs are read as they were");
	ok(pack(&record, false, needed - 1, &box, &used) == RECORD_WHOLE && used == without && record_unpack(box, used, &read) &&
	   read.people[0].lid == NULL && same_text(read.row.reason, record.row.reason), "... and left out before any text is cut");
	ok(record.people[0].lid != NULL, "... of the box only");
}

/* Texts that are keys are never cut: a record with one that is too long is refused. */
static void
test_keys(void)
{
	MailboxRecord record = make_record("sent", 1);
	MailboxRecord answer = make_record("answered", 1);
	char	   *box;
	size_t		used;
	int			most;

	for (most = BOX; most > 0; most--)
	{
		record.row.instance_id = repeat("i", most);
		if (record_fits(&record, PG_UTF8, BOX))
			break;
	}
	ok(most > BOX - 1000 && most < BOX, "an instance_id of %d bytes fits", most);
	answer.row.instance_id = record.row.instance_id;
	ok(pack(&answer, true, BOX, &box, &used) != RECORD_TOO_LONG, "its answer fits as well");
	answer.row.instance_id = repeat("i", BOX);
	ok(pack(&answer, true, BOX, &box, &used) == RECORD_TOO_LONG && used == 0, "a longer instance_id cannot be cut into the box");
	record.npeople = MAILBOX_MAX_PEOPLE + 1;
	ok(pack(&record, true, BOX, &box, &used) == RECORD_TOO_LONG, "more people than a record has are refused");
	record.npeople = -1;
	ok(pack(&record, true, BOX, &box, &used) == RECORD_TOO_LONG, "a negative number of people is refused");
}

/* Boxes of every size: the record fits or is refused, and a text that was cut ends at a whole character. */
static void
test_every_size(int encoding, const char *unit, const char *name)
{
	MailboxRecord record = make_record("answered", 2);
	size_t		needed;
	bool		all_good = true;
	int			cut = 0;

	record.row.reason = repeat(unit, 40);
	record.row.actor = repeat(unit, 20);
	record.row.application_name = repeat(unit, 20);
	record.row.detail = "{\"note\": \"the caller did not wait for the answer\"}";
	needed = size_of(&record);
	for (size_t size = 0; size <= needed; size++)
	{
		char	   *box = malloc(size ? size : 1);
		size_t		used = 0;
		MailboxRecord read;
		RecordFit	fit = record_pack(&record, true, encoding, box, size, &used);

		cut += fit == RECORD_CUT;
		if (fit != RECORD_TOO_LONG)
			all_good &= used <= size && record_unpack(box, used, &read) && same_keys(&record, &read) &&
				(strlen(read.row.reason) == strlen(record.row.reason) ||
				 (strlen(read.row.reason) - strlen(RECORD_CUT_MARK)) % strlen(unit) == 0) &&
				(encoding != PG_UTF8 ||
				 pg_encoding_verifymbstr(PG_UTF8, read.row.reason, strlen(read.row.reason)) == (int) strlen(read.row.reason)) &&
				(same_text(read.row.detail, record.row.detail) || same_text(read.row.detail, RECORD_CUT_DETAIL));
		free(box);
	}
	ok(all_good && cut > 50, "%s: whole characters at every size (%d of them cut)", name, cut);
}

static void
test_nothing(void)
{
	MailboxRecord record = {.row = {.kind = "held"}};
	MailboxRecord empty = make_record("answered", 2);
	MailboxRecord read;
	char	   *box;
	size_t		used;

	ok(pack(&record, false, BOX, &box, &used) == RECORD_WHOLE && record_unpack(box, used, &read) && same_record(&record, &read),
	   "a record of NULLs is read as it was");
	empty.row.reason = empty.row.actor = empty.row.detail = "";
	empty.people[0] = (MailboxPerson) {NULL, NULL, 0, NULL};
	empty.people[1] = (MailboxPerson) {"", "", -1, ""};
	ok(pack(&empty, false, BOX, &box, &used) == RECORD_WHOLE && record_unpack(box, used, &read) && same_record(&empty, &read),
	   "empty texts are not NULL");
	ok(pack(&record, true, 0, &box, &used) == RECORD_TOO_LONG, "an empty box has room for nothing");
}

/* Each beginning of a box, and each bit of it changed: never read outside it. */
static void
test_damaged(void)
{
	MailboxRecord record = make_record("answered", 3);
	MailboxRecord read;
	char	   *box;
	size_t		used;
	int			read_short = 0;

	(void) pack(&record, false, BOX, &box, &used);
	ok(!record_unpack(NULL, 0, &read), "a NULL box is not a record");
	for (size_t n = 0; n < used; n++)
	{
		char	   *beginning = malloc(n ? n : 1);

		memcpy(beginning, box, n);
		read_short += record_unpack(beginning, n, &read);
		free(beginning);
	}
	is_int(read_short, 0, "no beginning of a record is a record");
	for (size_t n = 0; n < used; n++)
		for (int bit = 0; bit < 8; bit++)
		{
			char	   *damaged = malloc(used);

			memcpy(damaged, box, used);
			damaged[n] ^= 1 << bit;
			if (record_unpack(damaged, used, &read) && (read.npeople < 0 || read.npeople > MAILBOX_MAX_PEOPLE))
				ok(false, "%d people", read.npeople);
			free(damaged);
		}
	ok(!record_unpack(box, used + 1, &read), "a record with a byte after it is not read");
	memset(box, 0x7F, used);
	ok(!record_unpack(box, used, &read), "bytes that are not a record are not read");
}

int
main(void)
{
	static const char *const kinds[] = {"sent", "answered", "verified"};
	static const int people[] = {0, 1, MAILBOX_MAX_PEOPLE};

	for (size_t i = 0; i < lengthof(kinds); i++)
		for (size_t j = 0; j < lengthof(people); j++)
		{
			test_kind(kinds[i], people[j]);
			test_full_box(kinds[i], people[j]);
		}
	test_answer_fits();
	test_lids();
	test_keys();
	test_every_size(PG_UTF8, "\xE2\x82\xAC", "UTF-8");
	test_every_size(PG_UTF8, "\xF0\x9F\x98\x80", "UTF-8, four bytes");
	test_every_size(PG_LATIN1, "\xE9", "LATIN1");
	test_every_size(PG_EUC_JP, "\xA4\xA2", "EUC_JP");
	test_nothing();
	test_damaged();
	return done_testing();
}
