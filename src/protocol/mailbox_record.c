/*-------------------------------------------------------------------------
 *
 * mailbox_record.c
 *	  A session's record as bytes in a box of fixed size.
 *
 * Pure.  record_pack is the only function that writes into a box: it is told
 * the size of the box, measures the record first and writes nothing that does
 * not fit.  Before a request leaves, its record must fit whole, and so must the
 * record of its answer, with some texts cut if necessary (record_fits).  Once
 * it has left, nothing may be lost: texts that only describe are cut, in the
 * order of cut_order, until the record fits.
 *
 * record_unpack trusts nothing: a length, number or text that leads outside
 * the bytes it was given makes the whole box unreadable.  Its strings point
 * into the box.
 *
 * Layout: four numbers; then the texts, each as '-' or '+' text '\0'; then for
 * each person the code and two texts.
 *
 * No memory is allocated.  Texts are in the encoding that the caller names.
 *
 * IDENTIFICATION
 *	  src/protocol/mailbox_record.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "mb/pg_wchar.h"
#include "protocol/jid.h"
#include "protocol/outcome.h"
#include "protocol/mailbox_record.h"

#include "compat.h"

/* The texts of a record, in the order they are packed. */
static const size_t texts[] = {
	offsetof(AuditRecord, kind),
	offsetof(AuditRecord, instance),
	offsetof(AuditRecord, instance_id),
	offsetof(AuditRecord, group_jid),
	offsetof(AuditRecord, action),
	offsetof(AuditRecord, outcome),
	offsetof(AuditRecord, login_role),
	offsetof(AuditRecord, requested_by),
	offsetof(AuditRecord, actor),
	offsetof(AuditRecord, application_name),
	offsetof(AuditRecord, client_addr),
	offsetof(AuditRecord, origin),
	offsetof(AuditRecord, reason),
	offsetof(AuditRecord, request_id),
	offsetof(AuditRecord, detail)
};

/* The texts that may be cut, first to last; the others are keys. */
static const size_t cut_order[] = {
	offsetof(AuditRecord, reason),
	offsetof(AuditRecord, detail),
	offsetof(AuditRecord, application_name),
	offsetof(AuditRecord, origin),
	offsetof(AuditRecord, actor)
};

#define TEXT_AT(record, offset) ((const char **) ((char *) (record) + (offset)))
#define CONST_TEXT_AT(record, offset) (*(const char *const *) ((const char *) (record) + (offset)))

/* A text as it is to be packed: `length` bytes of it, then the mark. */
typedef struct Cut
{
	const char *text;
	size_t		length;
	const char *mark;
} Cut;

/* Bytes being written; nothing is written past the end. */
typedef struct BoxWriter
{
	char	   *at;
	char	   *end;
} BoxWriter;

/* Bytes being read; broken once a read would have gone past the end. */
typedef struct BoxReader
{
	const char *at;
	const char *end;
	bool		is_broken;
} BoxReader;

/*
 * ---- measuring
 */

static size_t
packed_text_size(const char *text)
{
	return 1 + (text ? strlen(text) + 1 : 0);
}

static size_t
packed_cut_size(const Cut *cut)
{
	return 1 + (cut->text ? cut->length + strlen(cut->mark) + 1 : 0);
}

/* Return the size of everything but the texts. */
static size_t
record_people_size(const MailboxRecord *record)
{
	size_t		size = 4 * sizeof(int);

	for (int i = 0; i < record->npeople; i++)
		size += sizeof(int) + packed_text_size(record->people[i].jid) +
			packed_text_size(record->people[i].outcome) + packed_text_size(record->people[i].lid);
	return size;
}

static size_t
box_size(const MailboxRecord *record, const Cut *cuts)
{
	size_t		size = record_people_size(record);

	for (size_t i = 0; i < lengthof(texts); i++)
		size += packed_cut_size(&cuts[i]);
	return size;
}

/*
 * ---- cutting
 */

/* Return the length of the longest run of whole characters within `most` bytes. */
static size_t
whole_characters(const char *text, size_t length, size_t most, int encoding)
{
	size_t		used = 0;

	while (used < length)
	{
		int			width = pg_encoding_mblen(encoding, text + used);

		if (width <= 0 || used + width > most)
			break;
		used += width;
	}
	return Min(used, length);
}

/* Shorten *cut by at least `excess` bytes, or as far as possible; the text itself stays as it is. */
static void
cut_text(Cut *cut, size_t excess, bool is_json, int encoding)
{
	size_t		mark = strlen(RECORD_CUT_MARK);

	if (cut->text == NULL)
		return;
	if (is_json)
	{
		if (cut->length > strlen(RECORD_CUT_DETAIL))
			*cut = (Cut) {RECORD_CUT_DETAIL, strlen(RECORD_CUT_DETAIL), ""};
		return;
	}
	if (cut->length <= mark)
		return;
	cut->length = whole_characters(cut->text, cut->length,
								   cut->length > excess + mark ? cut->length - excess - mark : 0, encoding);
	cut->mark = RECORD_CUT_MARK;
}

static int
record_text_index(size_t offset)
{
	int			i = 0;

	while (texts[i] != offset)
		i++;
	return i;
}

/* Shorten texts in `cuts`, one for each of texts[], until the record fits; false if it cannot. */
static bool
cut_to_fit(const MailboxRecord *record, Cut *cuts, int encoding, size_t size)
{
	size_t		needed = box_size(record, cuts);

	for (size_t i = 0; i < lengthof(cut_order) && needed > size; i++)
	{
		cut_text(&cuts[record_text_index(cut_order[i])], needed - size,
				 cut_order[i] == offsetof(AuditRecord, detail), encoding);
		needed = box_size(record, cuts);
	}
	return needed <= size;
}

/*
 * ---- writing
 */

static void
box_write_bytes(BoxWriter *writer, const void *bytes, size_t n)
{
	Assert(n <= (size_t) (writer->end - writer->at));
	n = Min(n, (size_t) (writer->end - writer->at));
	if (n > 0)
		memcpy(writer->at, bytes, n);
	writer->at += n;
}

static void
box_write_text(BoxWriter *writer, const Cut *cut)
{
	box_write_bytes(writer, cut->text ? "+" : "-", 1);
	if (cut->text == NULL)
		return;
	box_write_bytes(writer, cut->text, cut->length);
	box_write_bytes(writer, cut->mark, strlen(cut->mark) + 1);
}

static Cut
whole_text(const char *text)
{
	return (Cut) {text, text ? strlen(text) : 0, ""};
}

static void
box_write_record(BoxWriter *writer, const MailboxRecord *record, const Cut *cuts)
{
	int			numbers[] = {record->row.http_status, record->row.code, record->row.duration_ms, record->npeople};

	box_write_bytes(writer, numbers, sizeof(numbers));
	for (size_t i = 0; i < lengthof(texts); i++)
		box_write_text(writer, &cuts[i]);
	for (int i = 0; i < record->npeople; i++)
	{
		Cut			jid = whole_text(record->people[i].jid);
		Cut			outcome = whole_text(record->people[i].outcome);
		Cut			lid = whole_text(record->people[i].lid);

		box_write_bytes(writer, &record->people[i].code, sizeof(int));
		box_write_text(writer, &jid);
		box_write_text(writer, &outcome);
		box_write_text(writer, &lid);
	}
}

static void
record_drop_lids(MailboxRecord *record)
{
	for (int i = 0; i < record->npeople; i++)
		record->people[i].lid = NULL;
}

/*
 * Pack a record into a box of that size and set *used.  LIDs are left out if it
 * does not fit with them.  With may_cut, texts that only describe are cut until
 * it fits.  A NULL box: only measure.
 */
RecordFit
record_pack(const MailboxRecord *record, bool may_cut, int encoding, char *box, size_t size, size_t *used)
{
	Cut			cuts[lengthof(texts)];
	BoxWriter	writer = {box, box ? box + size : NULL};
	MailboxRecord packed = *record;
	RecordFit	fit = RECORD_WHOLE;

	if (record->npeople < 0 || record->npeople > MAILBOX_MAX_PEOPLE)
		return RECORD_TOO_LONG;
	for (size_t i = 0; i < lengthof(texts); i++)
		cuts[i] = whole_text(CONST_TEXT_AT(&record->row, texts[i]));
	if (box_size(&packed, cuts) > size)
		record_drop_lids(&packed);
	if (box_size(&packed, cuts) > size)
		fit = may_cut && cut_to_fit(&packed, cuts, encoding, size) ? RECORD_CUT : RECORD_TOO_LONG;
	if (fit == RECORD_TOO_LONG)
		return fit;
	*used = box_size(&packed, cuts);
	if (box)
		box_write_record(&writer, &packed, cuts);
	return fit;
}

static const char *
longest_outcome_name(void)
{
	const char *longest = outcome_info((WawpOutcome) 0)->name;

	for (int i = 1; i <= WAWP_THROTTLED; i++)
		if (strlen(outcome_info((WawpOutcome) i)->name) > strlen(longest))
			longest = outcome_info((WawpOutcome) i)->name;
	return longest;
}

/*
 * True if a record can be sent: it fits whole, and the record of any answer
 * fits as well, at worst with texts cut.
 */
bool
record_fits(const MailboxRecord *record, int encoding, size_t size)
{
	MailboxRecord answer = *record;
	char		group[JID_SIZE];
	size_t		used;

	memset(group, '0', sizeof(group) - 1);
	group[sizeof(group) - 1] = '\0';
	answer.row.kind = "answered";
	answer.row.outcome = longest_outcome_name();
	answer.row.group_jid = group;	/* of one that was created */
	answer.row.detail = RECORD_CUT_DETAIL;
	for (int i = 0; i < answer.npeople && i < MAILBOX_MAX_PEOPLE; i++)
		answer.people[i].outcome = answer.row.outcome;
	return record_pack(record, false, encoding, NULL, size, &used) == RECORD_WHOLE &&
		record_pack(&answer, true, encoding, NULL, size, &used) != RECORD_TOO_LONG;
}

/*
 * ---- reading
 */

/* Copy n bytes of the box to `bytes`; zeros once the reader is broken. */
static void
box_read_bytes(BoxReader *reader, void *bytes, size_t n)
{
	memset(bytes, 0, n);
	reader->is_broken |= n > (size_t) (reader->end - reader->at);
	if (reader->is_broken)
		return;
	memcpy(bytes, reader->at, n);
	reader->at += n;
}

/* Return a text inside the box; NULL if there is none. */
static const char *
box_read_text(BoxReader *reader)
{
	const char *text = reader->at + 1;
	char		sign;
	const char *end;

	box_read_bytes(reader, &sign, 1);
	reader->is_broken |= sign != '+' && sign != '-';
	if (reader->is_broken || sign == '-')
		return NULL;
	end = reader->end > text ? memchr(text, '\0', reader->end - text) : NULL;
	reader->is_broken |= end == NULL;
	if (reader->is_broken)
		return NULL;
	reader->at = end + 1;
	return text;
}

/*
 * Read a box of which `used` bytes are filled into *record; false, and *record
 * is not to be used, unless they are exactly one record.  Strings stay in the
 * box.
 */
bool
record_unpack(const char *box, size_t used, MailboxRecord *record)
{
	BoxReader	reader = {box, box ? box + used : NULL, false};
	int			numbers[4];

	memset(record, 0, sizeof(*record));
	if (box == NULL)
		return false;
	box_read_bytes(&reader, numbers, sizeof(numbers));
	if (numbers[3] < 0 || numbers[3] > MAILBOX_MAX_PEOPLE)
		return false;
	record->row.http_status = numbers[0];
	record->row.code = numbers[1];
	record->row.duration_ms = numbers[2];
	record->npeople = numbers[3];
	for (size_t i = 0; i < lengthof(texts); i++)
		*TEXT_AT(&record->row, texts[i]) = box_read_text(&reader);
	for (int i = 0; i < record->npeople; i++)
	{
		box_read_bytes(&reader, &record->people[i].code, sizeof(int));
		record->people[i].jid = box_read_text(&reader);
		record->people[i].outcome = box_read_text(&reader);
		record->people[i].lid = box_read_text(&reader);
	}
	return !reader.is_broken && reader.at == reader.end && record->row.kind != NULL;
}
