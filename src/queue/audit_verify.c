/*-------------------------------------------------------------------------
 *
 * audit_verify.c
 *	  Checks the seal of the audit log.
 *
 * Blocks and records are read side by side, each once and in order of their
 * numbers, with one snapshot and the caller's privileges; nothing is written, so
 * that a standby can be checked.  The first contradiction ends the check.  The last
 * block says which records retention has removed, and is believed as the chain's
 * end only: then headers after the time that was asked for are checked, too.  What
 * is no contradiction but limits what the seal tells is said beside ok: records
 * older than the seal, pruned ones, and where another server went on with the log.
 *
 * IDENTIFICATION
 *	  src/queue/audit_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tables/audit_stored.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_audit_verify);
PG_FUNCTION_INFO_V1(wawp_audit_head);

#define VERIFY_COLUMNS 5
#define HEAD_COLUMNS 4
#define NO_ID PG_INT64_MIN
#define HOME_TEXT_SIZE 37

/* A check under way. */
typedef struct Verification
{
	/* what is read */
	int64		first_block;	/* 0: none */
	int64		last_block;
	int64		last_id;
	int64		pruned_through; /* as the last block says, up to which headers are checked then */
	bool		from_start;		/* no `since` */
	bool		to_end;			/* no `before` */
	SqlCursor	records;
	bool		has_record;
	StoredRecord record;		/* the next one */
	bool		has_last;
	AuditHeader last;			/* the block before */
	char		last_home[HOME_TEXT_SIZE];

	/* what is known of the block under way */
	MemoryContext memory;
	SealDigest *leaves;
	int			n;
	int			allocated;
	bool		is_partial;

	/* what was found */
	int64		checked;
	int64		bad_block;		/* 0: none */
	int64		bad_id;			/* NO_ID: none */
	char	   *problem;		/* NULL: none */
	int64		unsealed_before;
	int64		partial_first;
	int64		partial_last;
	int64		erased;
	int64		promoted_after; /* the last block before a change of the timeline */
	int			promoted_to;
	int64		moved_after;	/* or of the database */
} Verification;

/* Note the first contradiction; false, to end the check. */
wawp_attribute_printf(4, 5)
static bool
verify_fail(Verification *v, int64 block, int64 id, const char *format, ...)
{
	char		text[512];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v->bad_block = block;
	v->bad_id = id;
	v->problem = MemoryContextStrdup(v->memory, text);
	return false;
}

/*
 * ---- records
 */

/* Read the next record. */
static void
verify_next_record(Verification *v)
{
	uint64		row;

	v->has_record = spi_next(&v->records, &row);
	if (v->has_record)
		audit_read_record(row, &v->record);
}

/* Keep the digest of the record. */
static void
verify_add_leaf(Verification *v)
{
	if (v->n == v->allocated)
	{
		v->allocated *= 2;
		v->leaves = repalloc_huge(v->leaves, sizeof(SealDigest) * v->allocated);
	}
	v->leaves[v->n++] = v->record.digest;
}

/* Take note of records of a block that are not there; false unless retention has removed them. */
static bool
verify_missing(Verification *v, const AuditHeader *block, int64 first, int64 last)
{
	v->is_partial = true;
	if (last <= v->pruned_through)
		return true;
	first = Max(first, v->pruned_through + 1);
	/* in words, all that are missing in a row, of whatever block */
	last = v->has_record ? v->record.id - 1 : Max(last, v->last_id);
	return verify_fail(v, block->block, first,
					   first == last ? "record " INT64_FORMAT " is missing, and wawp.audit_retention has not removed it: it was deleted, or its partition dropped or detached" :
					   "records " INT64_FORMAT " to " INT64_FORMAT " are missing, and wawp.audit_retention has not removed them: they were deleted, or their partition dropped or detached",
					   first, last);
}

/* Check one record of a block. */
static bool
verify_record(Verification *v, const AuditHeader *block)
{
	if (!audit_record_is_intact(&v->record))
		return verify_fail(v, block->block, v->record.id,
						   "record " INT64_FORMAT " is not the one that was sealed: it was changed, or has another's number", v->record.id);
	v->erased += v->record.has_erased;
	v->checked++;
	verify_add_leaf(v);
	return true;
}

/* Check a record that precedes all blocks: it may be older than the seal. */
static bool
verify_unsealed(Verification *v)
{
	if (v->record.has_digest || v->record.id < 1)
		return verify_fail(v, 0, v->record.id,
						   "record " INT64_FORMAT " is in no block: its block was removed, or the worker has not written it", v->record.id);
	v->unsealed_before = v->record.id + 1;
	verify_next_record(v);
	return true;
}

/* Check the records up to the block's first. */
static bool
verify_before_block(Verification *v, const AuditHeader *block)
{
	while (v->has_record && v->record.id < block->first_id)
	{
		if (v->has_last)
			return verify_fail(v, v->last.block, v->record.id, "there are two records " INT64_FORMAT, v->record.id);
		if (!verify_unsealed(v))
			return false;
	}
	return true;
}

/* Check the records of a block, and its root. */
static bool
verify_records(Verification *v, const AuditHeader *block)
{
	int64		expected = block->first_id;
	SealDigest	root;

	v->n = 0;
	v->is_partial = false;
	if (!verify_before_block(v, block))
		return false;
	for (; v->has_record && v->record.id <= block->last_id; verify_next_record(v))
	{
		if (v->record.id < expected)
			return verify_fail(v, block->block, v->record.id, "there are two records " INT64_FORMAT, v->record.id);
		if (v->record.id > expected && !verify_missing(v, block, expected, v->record.id - 1))
			return false;
		if (!verify_record(v, block))
			return false;
		expected = v->record.id + 1;
	}
	if (expected <= block->last_id && !verify_missing(v, block, expected, block->last_id))
		return false;
	if (v->is_partial)
	{
		if (v->n > 0 && v->partial_first == 0)
			v->partial_first = block->first_id;
		if (v->n > 0)
			v->partial_last = block->last_id;
		return true;
	}
	seal_root(v->leaves, v->n, audit_seal_hash, &root);
	if (memcmp(&root, &block->root, sizeof(root)) != 0)
		return verify_fail(v, block->block, block->first_id,
						   "a record from " INT64_FORMAT " to " INT64_FORMAT " was changed together with its digest, or their block's root was",
						   block->first_id, block->last_id);
	return true;
}

/*
 * ---- blocks
 */

/* Check a header against the one before. */
static bool
verify_link(Verification *v, const AuditHeader *block)
{
	static const SealDigest none = {{0}};
	int64		number = v->has_last ? v->last.block + 1 : v->from_start ? 1 : v->first_block - 1;
	int64		first_id = v->has_last ? v->last.last_id + 1 : block->first_id;

	/* no block precedes the first */
	number = Max(number, 1);
	if (block->block != number)
		return verify_fail(v, number, NO_ID, "block " INT64_FORMAT " is missing", number);
	if (memcmp(&block->previous, block->block == 1 ? &none : &v->last.hash, sizeof(none)) != 0)
		return verify_fail(v, block->block, block->first_id,
						   "block " INT64_FORMAT " does not follow block " INT64_FORMAT " as that is now: one of them was changed",
						   block->block, block->block - 1);
	if (block->last_id < block->first_id || block->first_id < first_id)
		return verify_fail(v, block->block, block->first_id, "block " INT64_FORMAT " cannot have records " INT64_FORMAT " to " INT64_FORMAT,
						   block->block, block->first_id, block->last_id);
	if (block->first_id > first_id)
		return verify_fail(v, block->block, first_id, "numbers " INT64_FORMAT " to " INT64_FORMAT " are in no block", first_id, block->first_id - 1);
	return true;
}

/* Remember a block that was checked, and where another server went on with the log. */
static void
verify_remember(Verification *v, const AuditHeader *block)
{
	if (v->has_last && strcmp(v->last.home, block->home) != 0)
		v->moved_after = v->last.block;
	else if (v->has_last && v->last.timeline != block->timeline)
	{
		v->promoted_after = v->last.block;
		v->promoted_to = block->timeline;
	}
	v->last = *block;
	strlcpy(v->last_home, block->home, sizeof(v->last_home));
	v->last.home = v->last_home;
	v->has_last = true;
}

/* True if a block was sealed after the time that was asked for: its header alone is read. */
static bool
verify_is_after(const Verification *v, const AuditHeader *block)
{
	return !v->to_end && block->block > v->last_block;
}

/* Check the header of a block after the time that was asked for, and go on from there. */
static bool
verify_later_header(Verification *v, const AuditHeader *block)
{
	if (!verify_link(v, block))
		return false;
	v->last.block = block->block;
	v->last.last_id = block->last_id;
	v->last.hash = block->hash;
	v->has_last = true;
	return true;
}

/* Check one block. */
static bool
verify_block(Verification *v, uint64 row)
{
	AuditHeader block;
	bool		is_intact = audit_read_header(row, &block);

	/* the one before the first that was asked for */
	if (!v->from_start && block.block < v->first_block)
	{
		verify_remember(v, &block);
		return true;
	}
	if (!is_intact)
		return verify_fail(v, block.block, block.first_id, "the header of block " INT64_FORMAT " was changed", block.block);
	if (verify_is_after(v, &block))
		return verify_later_header(v, &block);
	if (!v->has_last && v->from_start && block.first_id > 1)
		v->unsealed_before = block.first_id;
	if (!verify_link(v, &block) || !verify_records(v, &block))
		return false;
	verify_remember(v, &block);
	return true;
}

/* Check the records after the last block. */
static bool
verify_tail(Verification *v)
{
	while (v->to_end && v->has_record)
	{
		if (v->has_last)
			return verify_fail(v, 0, v->record.id, v->record.id <= v->last.last_id ? "there are two records " INT64_FORMAT :
							   "record " INT64_FORMAT " is in no block: its block was removed, or the worker has not written it", v->record.id);
		if (!verify_unsealed(v))
			return false;
	}
	return true;
}

/* If nothing was sealed in that time, what is after the last block begins it.  Each block has what the one before has, or more. */
static SqlStatement block_range = {
	"SELECT coalesce(min(b.block), (SELECT max(l.block) + 1 FROM wawp.audit_block l)), max(b.block),"
	" (SELECT l.pruned_through FROM wawp.audit_block l ORDER BY l.block DESC LIMIT 1),"
	" coalesce(min(b.first_id), (SELECT max(l.last_id) + 1 FROM wawp.audit_block l)), max(b.last_id)"
	" FROM wawp.audit_block b WHERE ($1 IS NULL OR b.at >= $1) AND ($2 IS NULL OR b.at < $2)",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

static SqlStatement blocks = {
	"SELECT" STORED_HEADER " FROM wawp.audit_block b WHERE b.block BETWEEN $1 AND $2 ORDER BY b.block",
	2, {INT8OID, INT8OID}, NULL
};

static SqlStatement records = {
	"SELECT" STORED_RECORD " FROM wawp.audit_log l WHERE l.id BETWEEN $1 AND $2 ORDER BY l.id",
	2, {INT8OID, INT8OID}, NULL
};

/* Find the blocks of a time, and open both queries. */
static void
verify_open(Verification *v, TimestampTz since, TimestampTz before, SqlCursor *headers)
{
	SqlArgs		times = {0};
	SqlArgs		numbers = {0};
	SqlArgs		ids = {0};

	v->from_start = since == 0;
	v->to_end = before == 0;
	spi_add_time(&times, since);
	spi_add_time(&times, before);
	spi_run(&block_range, &times);
	v->first_block = spi_get_int8(0, 1, 0);
	v->last_block = spi_get_int8(0, 2, 0);
	v->pruned_through = spi_get_int8(0, 3, 0);
	v->last_id = spi_get_int8(0, 5, 0);
	spi_add_int8(&ids, v->from_start ? PG_INT64_MIN : spi_get_int8(0, 4, 1));
	spi_add_int8(&ids, v->to_end ? PG_INT64_MAX : v->last_id);
	spi_add_int8(&numbers, v->from_start ? PG_INT64_MIN : v->first_block - 1);
	spi_add_int8(&numbers, v->to_end || v->pruned_through > 0 ? PG_INT64_MAX : v->last_block);
	spi_open(headers, &blocks, &numbers);
	spi_open(&v->records, &records, &ids);
}

/* Check what was asked for, row by row. */
static void
verify_run(Verification *v, TimestampTz since, TimestampTz before)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext portion;
	SqlCursor	headers;
	uint64		row;
	bool		is_sound = true;

	verify_open(v, since, before, &headers);
	v->allocated = 1024;
	v->leaves = palloc(sizeof(SealDigest) * v->allocated);
	verify_next_record(v);
	portion = AllocSetContextCreate(caller, "wawp block", ALLOCSET_DEFAULT_SIZES);
	while (is_sound && spi_next(&headers, &row))
	{
		MemoryContextSwitchTo(portion);
		is_sound = verify_block(v, row);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(portion);
		CHECK_FOR_INTERRUPTS();
	}
	if (is_sound)
		(void) verify_tail(v);
	spi_close(&headers);
	spi_close(&v->records);
}

/*
 * ---- what limits the seal
 */

static SqlStatement own_home = {
	"SELECT wawp._home()::text",
	0, {0}, NULL
};

/* Note that this server was promoted after the last block. */
static void
verify_note_promotion(Verification *v)
{
	const char *home;

	if (RecoveryInProgress() || !v->to_end || !v->has_last)
		return;
	spi_run(&own_home, NULL);
	home = spi_get_text(0, 1);
	if (home && strcmp(home, v->last.home) == 0 && (int) GetWALInsertionTimeLine() != v->last.timeline)
	{
		v->promoted_after = v->last.block;
		v->promoted_to = (int) GetWALInsertionTimeLine();
	}
}

/* Append a remark. */
wawp_attribute_printf(2, 3)
static void
verify_remark(StringInfo text, const char *format, ...)
{
	char		remark[512];
	va_list		args;

	va_start(args, format);
	vsnprintf(remark, sizeof(remark), format, args);
	va_end(args);
	appendStringInfo(text, "%s%s", text->len > 0 ? "; " : "", remark);
}

/* Return what is to be said about a log without contradiction; NULL: nothing. */
static const char *
verify_remarks(Verification *v)
{
	StringInfoData text;

	initStringInfo(&text);
	verify_note_promotion(v);
	if (v->unsealed_before > 0 && v->from_start)
		verify_remark(&text, "records before number " INT64_FORMAT " were written before sealing", v->unsealed_before);
	if (v->pruned_through > 0 && v->from_start)
		verify_remark(&text, "records up to number " INT64_FORMAT " were removed by wawp.audit_retention", v->pruned_through);
	if (v->partial_first > 0)
		verify_remark(&text, "records from " INT64_FORMAT " to " INT64_FORMAT " cannot be checked, since others of their blocks were removed",
					  v->partial_first, v->partial_last);
	if (v->erased > 0)
		verify_remark(&text, INT64_FORMAT " records have texts that were erased", v->erased);
	if (v->promoted_after > 0)
		verify_remark(&text, "after block " INT64_FORMAT " a standby was promoted (timeline %d): what the former primary recorded last may be missing",
					  v->promoted_after, v->promoted_to);
	if (v->moved_after > 0)
		verify_remark(&text, "after block " INT64_FORMAT " another database took over: what the former one recorded last may be missing", v->moved_after);
	return text.len > 0 ? text.data : NULL;
}

/* Return a row of the function's result. */
static Datum
verification_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* (since timestamptz, before timestamptz): ok, checked, first_bad_block, first_bad_id, problem. */
Datum
wawp_audit_verify(PG_FUNCTION_ARGS)
{
	MemoryContext result = CurrentMemoryContext;
	TimestampTz since = PG_ARGISNULL(0) ? 0 : PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz before = PG_ARGISNULL(1) ? 0 : PG_GETARG_TIMESTAMPTZ(1);
	Verification v = {.memory = result};
	Datum		values[VERIFY_COLUMNS];
	bool		nulls[VERIFY_COLUMNS] = {false};
	const char *remarks;
	const char *text = NULL;
	SqlOwner	role = spi_begin_as_caller();

	verify_run(&v, since, before);
	remarks = v.problem ? v.problem : verify_remarks(&v);
	if (remarks)
		text = MemoryContextStrdup(result, remarks);
	spi_end_as_caller(&role);
	values[0] = BoolGetDatum(v.problem == NULL);
	values[1] = Int64GetDatum(v.checked);
	values[2] = Int64GetDatum(v.bad_block);
	nulls[2] = v.bad_block == 0;
	values[3] = Int64GetDatum(v.bad_id);
	nulls[3] = v.problem == NULL || v.bad_id == NO_ID;
	nulls[4] = text == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(text);
	PG_RETURN_DATUM(verification_row(fcinfo, values, nulls));
}

static SqlStatement head = {
	"SELECT b.block, b.at, b.root, b.hash FROM wawp.audit_block b ORDER BY b.block DESC LIMIT 1",
	0, {0}, NULL
};

/* The last block: block, at, root, hash; all NULL if there is none. */
Datum
wawp_audit_head(PG_FUNCTION_ARGS)
{
	Datum		values[HEAD_COLUMNS] = {0};
	bool		nulls[HEAD_COLUMNS] = {true, true, true, true};
	SealDigest	root = {{0}};
	SealDigest	hash = {{0}};
	SqlOwner	role = spi_begin_as_caller();

	if (spi_run(&head, NULL) > 0)
	{
		values[0] = Int64GetDatum(spi_get_int8(0, 1, 0));
		values[1] = TimestampTzGetDatum(spi_get_time(0, 2));
		(void) spi_get_bytes(0, 3, root.bytes, sizeof(root));
		(void) spi_get_bytes(0, 4, hash.bytes, sizeof(hash));
		memset(nulls, false, sizeof(nulls));
	}
	spi_end_as_caller(&role);
	if (!nulls[0])
	{
		values[2] = spi_bytes_datum(root.bytes, sizeof(root));
		values[3] = spi_bytes_datum(hash.bytes, sizeof(hash));
	}
	PG_RETURN_DATUM(verification_row(fcinfo, values, nulls));
}
