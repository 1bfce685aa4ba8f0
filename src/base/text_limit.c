/*-------------------------------------------------------------------------
 *
 * text_limit.c
 *	  Limits of the texts that users give.
 *
 * One table: the name of an argument or column, its limit and the unit.  A text
 * that is too long is refused when it is given (22001), before it is fetched or
 * decompressed; a caller that must not fail cuts it.  The trigger function here
 * checks the columns of a table that are named as its arguments, and brings those
 * that name a group or a person into normal form.
 *
 * Memory: a text that was cut is in the current context.  No catalogs, no locks.
 *
 * IDENTIFICATION
 *	  src/base/text_limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "base/encoding.h"
#include "base/text_limit.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "protocol/jid.h"
#include "protocol/mailbox_record.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_text_limits);

typedef enum TextUnit
{
	UNIT_BYTES,
	UNIT_CHARACTERS
} TextUnit;

static const char *const unit_names[] = {
	[UNIT_BYTES] = "bytes",
	[UNIT_CHARACTERS] = "characters"
};

static const struct
{
	const char *name;
	size_t		most;
	TextUnit	unit;
	const char *hint;
}			text_limits[] =
{
	[TEXT_REASON] = {"reason", TEXT_MAX_REASON, UNIT_BYTES, "Keep what is longer in a table of your own, and its key in the reason."},
	[TEXT_BATCH_ID] = {"batch_id", TEXT_MAX_BATCH_ID, UNIT_BYTES, "A batch_id is a name; leave it out to have one made."},
	[TEXT_CONTEXT] = {"context", TEXT_MAX_CONTEXT, UNIT_BYTES, "Keep the document in a table of your own, and its key in \"context\"."},
	[TEXT_GROUP_JID] = {"group_jid", TEXT_MAX_JID, UNIT_BYTES, "A group JID is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"."},
	[TEXT_JID] = {"jid", TEXT_MAX_JID, UNIT_BYTES, "A person is \"<digits>@c.us\", or a phone number with its country code."},
	[TEXT_CHAT_JID] = {"chat_jid", TEXT_MAX_JID, UNIT_BYTES, "A chat is a person (\"<digits>@c.us\") or a group (\"<digits>@g.us\")."},
	[TEXT_DETAIL] = {"detail", TEXT_MAX_DETAIL, UNIT_BYTES, "Shorten the text."},
	[TEXT_SUBJECT] = {"subject", TEXT_MAX_SUBJECT, UNIT_CHARACTERS, "Shorten the name of the group."},
	[TEXT_INVITE_TEXT] = {"invite_text", TEXT_MAX_INVITE_TEXT, UNIT_CHARACTERS, "A message has at most 4,096 characters, and the link and the group's name come to it."},
	[TEXT_WELCOME_TEXT] = {"welcome_text", TEXT_MAX_WELCOME_TEXT, UNIT_CHARACTERS, "A message has at most 4,096 characters, and the names come to it."},
};

static void
text_limit_refuse(TextLimit limit, size_t length, TextUnit unit)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
			 errmsg("\"%s\" is too long: at most %zu %s are allowed", text_limits[limit].name, text_limits[limit].most,
					unit_names[text_limits[limit].unit]),
			 errdetail("It has %zu %s.", length, unit_names[unit]),
			 errhint("%s", text_limits[limit].hint)));
}

/* Return how many characters the numbers of a jsonb have, written out; no more are counted when they are more than `most`. */
static size_t
numbers_length(Jsonb *json, size_t most)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	size_t		length = 0;

	while (length <= most && (token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		char	   *digits;

		if ((token != WJB_VALUE && token != WJB_ELEM) || value.type != jbvNumeric)
			continue;
		digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
		length += strlen(digits);
		pfree(digits);
	}
	return length;
}

/*
 * Raise 22001 if a jsonb, whose stored size is within its limit, has numbers that
 * are much longer when they are written out, as 1e100000 is: a dump and each search
 * of the column would have all their digits.
 */
static void
numbers_check(Datum context)
{
	size_t		length = numbers_length(DatumGetJsonbP(context), TEXT_MAX_CONTEXT_NUMBERS);

	if (length > TEXT_MAX_CONTEXT_NUMBERS)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("\"%s\" is too long: at most %d digits are allowed", text_limits[TEXT_CONTEXT].name, TEXT_MAX_CONTEXT_NUMBERS),
				 errdetail("Its numbers have %zu or more, written out.", length),
				 errhint("Keep numbers with large exponents as texts.")));
}

/*
 * Raise 22001 if a text or jsonb is longer than its limit, as it is stored.  The
 * value may be compressed or out of line: it is fetched only to count characters,
 * and only if its number of bytes leaves that open.
 */
static void
text_limit_check_size(TextLimit limit, Datum value)
{
	size_t		most = text_limits[limit].most;
	size_t		length = toast_raw_datum_size(value) - VARHDRSZ;
	text	   *fetched;

	if (length <= most)
		return;
	if (text_limits[limit].unit == UNIT_BYTES || length > most * pg_database_encoding_max_length())
		text_limit_refuse(limit, length, UNIT_BYTES);
	fetched = DatumGetTextPP(value);
	length = pg_mbstrlen_with_len(VARDATA_ANY(fetched), VARSIZE_ANY_EXHDR(fetched));
	if (length > most)
		text_limit_refuse(limit, length, UNIT_CHARACTERS);
}

/* Raise 22001 if a text or jsonb is longer than its limit, or too long written out. */
void
text_limit_check(TextLimit limit, Datum value)
{
	text_limit_check_size(limit, value);
	if (limit == TEXT_CONTEXT)
		numbers_check(value);
}

/* Check a new value of a column.  A context that was stored before its numbers had a limit is kept, also when the row moves or a person is erased from it. */
static void
text_limit_check_change(TextLimit limit, Datum value, const TriggerData *trigger, int number)
{
	bool		is_null;
	Datum		before;

	text_limit_check_size(limit, value);
	if (limit != TEXT_CONTEXT)
		return;
	before = heap_getattr(trigger->tg_trigtuple, number, RelationGetDescr(trigger->tg_relation), &is_null);
	if (is_null || numbers_length(DatumGetJsonbP(before), TEXT_MAX_CONTEXT_NUMBERS) <= TEXT_MAX_CONTEXT_NUMBERS)
		numbers_check(value);
}

/* Return the nth argument of an SQL function, in the database's encoding; NULL stays NULL; raises 22001. */
const char *
text_limit_arg(FunctionCallInfo fcinfo, int n, TextLimit limit)
{
	if (PG_ARGISNULL(n))
		return NULL;
	text_limit_check(limit, PG_GETARG_DATUM(n));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* Return a text within its limit of bytes: itself, or its beginning and RECORD_CUT_MARK; NULL stays NULL. */
const char *
text_limit_cut(TextLimit limit, const char *text)
{
	size_t		most = text_limits[limit].most;
	size_t		mark = strlen(RECORD_CUT_MARK);

	Assert(text_limits[limit].unit == UNIT_BYTES);
	if (text == NULL || strnlen(text, most + 1) <= most)
		return text;
	return psprintf("%.*s%s", pg_mbcliplen(text, most, most - mark), text, RECORD_CUT_MARK);
}

/* Return the TextLimit of a column; -1 if it has none. */
int
text_limit_named(const char *name)
{
	for (size_t i = 0; i < lengthof(text_limits); i++)
		if (strcmp(text_limits[i].name, name) == 0)
			return (int) i;
	return -1;
}

/*
 * Return a row whose column, a group or a person, is in normal form: rows are looked
 * for by that.  What names neither, or has no normal form, stays as it is.
 */
static HeapTuple
row_normalise(HeapTuple row, TupleDesc desc, int number, Datum value)
{
	const char *written = TextDatumGetCString(value);
	const char *utf8 = text_from_server(written);
	Jid			jid = jid_parse(utf8, strlen(utf8));
	bool		isnull = false;

	if (jid.kind == JID_INVALID || strcmp(jid.text, written) == 0)
		return row;
	value = CStringGetTextDatum(jid.text);
	return heap_modify_tuple_by_cols(row, desc, 1, &number, &value, &isnull);
}

/*
 * BEFORE ROW trigger whose arguments name columns: raise 22001 for the first
 * one that is too long, and bring groups and people into normal form.
 */
Datum
wawp_text_limits(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	TupleDesc	desc;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "wawp._text_limits() is a trigger");
	desc = RelationGetDescr(trigger->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	for (int i = 0; i < trigger->tg_trigger->tgnargs; i++)
	{
		const char *column = trigger->tg_trigger->tgargs[i];
		int			limit = text_limit_named(column);
		int			number = SPI_fnumber(desc, column);
		bool		isnull = true;
		Datum		value = number > 0 ? heap_getattr(row, number, desc, &isnull) : (Datum) 0;

		if (limit < 0 || number <= 0)
			elog(ERROR, "column \"%s\" has no limit", column);
		if (!isnull && TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			text_limit_check_change((TextLimit) limit, value, trigger, number);
		else if (!isnull)
			text_limit_check((TextLimit) limit, value);
		if (!isnull && (limit == TEXT_JID || limit == TEXT_GROUP_JID))
			row = row_normalise(row, desc, number, value);
	}
	return PointerGetDatum(row);
}
