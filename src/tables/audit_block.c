/*-------------------------------------------------------------------------
 *
 * audit_block.c
 *	  The seal of the audit log.
 *
 * Owns wawp.audit_block.  Each record gets a digest of its canonical form
 * (protocol/seal.c, doc/audit-seal.md) before it is written; the digests since
 * the last block are kept here, and a block is written before the commit, or
 * when there are BLOCK_RECORDS, or when a month (UTC) ends, so that a partition
 * that is dropped takes whole blocks with it.
 *
 * The chain's end is read from the table together with the log's next number,
 * and forgotten with it (audit.c): what an aborted subtransaction has written is
 * in neither.  Only the worker writes; whoever checks reads as the caller does.
 *
 * IDENTIFICATION
 *	  src/tables/audit_block.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/clock.h"
#include "base/random_pool.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "tables/audit_block.h"
#include "tables/home.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"

#define BLOCK_RECORDS 1024

const Oid	audit_column_types[AUDIT_COLUMNS] = {INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID,
	INT8OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
TEXTOID, TEXTOID, INT4OID, TEXTOID};

const char *const audit_column_names[AUDIT_STORED_COLUMNS] = {
	"id", "at", "kind", "instance", "instance_id", "group_jid", "contact_id", "intent_id", "batch_id", "attempt",
	"action", "outcome", "http_status", "code", "login_role", "requested_by", "actor", "application_name",
	"client_addr", "origin", "reason", "request_id", "duration_ms", "detail", "digest", "salt"
};

/* batch_id, actor, application_name, reason, detail */
const int	audit_text_columns[AUDIT_TEXTS] = {8, 16, 17, 20, AUDIT_COLUMN_DETAIL};

/* The last block in the table. */
static struct
{
	int64		block;
	SealDigest	hash;
	int64		pruned_through;
}			chain;

/* Records that no block has yet. */
static struct
{
	int			n;
	int64		first_id;
	TimestampTz until;			/* the end of the month */
	SealDigest	leaves[BLOCK_RECORDS];
}			pending;

/*
 * ---- digests
 */

/* Raise an error. */
pg_noreturn static void
seal_fail(pg_cryptohash_ctx *context)
{
	ereport(ERROR,
			(errcode(context ? ERRCODE_INTERNAL_ERROR : ERRCODE_OUT_OF_MEMORY),
			 errmsg("could not seal the audit log: %s", context ? pg_cryptohash_error(context) : "out of memory")));
}

/*
 * Make a context for PostgreSQL's own SHA-256.  Its owner is one that nobody
 * releases: that of the transaction would free it at the end.  Without OpenSSL
 * it is in the current memory context.
 */
static pg_cryptohash_ctx *
seal_make_context(void)
{
	ResourceOwner caller = CurrentResourceOwner;
	MemoryContext memory = MemoryContextSwitchTo(TopMemoryContext);
	pg_cryptohash_ctx *volatile context = NULL;

	PG_TRY();
	{
		CurrentResourceOwner = ResourceOwnerCreate(NULL, "wawp seal");
		context = pg_cryptohash_create(PG_SHA256);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = caller;
		MemoryContextSwitchTo(memory);
	}
	PG_END_TRY();
	return context;
}

/* Compute SHA-256; a SealHash.  There is one context, kept by the process: a record has several digests, and a block many. */
void
audit_seal_hash(const void *data, size_t len, SealDigest *digest)
{
	static pg_cryptohash_ctx *context = NULL;

	if (context == NULL)
		context = seal_make_context();
	if (context == NULL)
		seal_fail(NULL);
	if (pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, data, len) < 0 ||
		pg_cryptohash_final(context, digest->bytes, SEAL_DIGEST_SIZE) < 0)
		seal_fail(context);
}

/* Write the salts of a record's free texts, which its own has in it one after the other. */
void
audit_text_salts(const uint8 salt[SEAL_SALT_SIZE], AuditTextSeal texts[AUDIT_TEXTS])
{
	for (int i = 0; i < AUDIT_TEXTS; i++)
	{
		texts[i].is_erased = false;
		memcpy(texts[i].salt, salt + i * SEAL_TEXT_SALT_SIZE, SEAL_TEXT_SALT_SIZE);
	}
}

/* Return a form to be filled; there is one, kept by the process. */
static StringInfo
seal_form(SealKind kind)
{
	static StringInfoData form = {0};

	if (form.data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&form);
		MemoryContextSwitchTo(caller);
	}
	seal_begin(&form, kind);
	return &form;
}

/* Return a text of the database in UTF-8, and its length in *len. */
static const char *
seal_utf8(Datum value, int *len)
{
	text	   *bytes = DatumGetTextPP(value);
	const char *utf8;

	*len = VARSIZE_ANY_EXHDR(bytes);
	utf8 = pg_server_to_any(VARDATA_ANY(bytes), *len, PG_UTF8);
	if (utf8 != VARDATA_ANY(bytes))
		*len = (int) strlen(utf8);
	return utf8;
}

/* Write to texts[] the digests of those that are not erased. */
static void
seal_texts(const SqlArgs *record, AuditTextSeal texts[AUDIT_TEXTS])
{
	for (int i = 0; i < AUDIT_TEXTS; i++)
	{
		int			column = audit_text_columns[i];
		StringInfo	form;
		int			len;
		const char *utf8;

		if (texts[i].is_erased || record->nulls[column] == 'n')
			continue;
		utf8 = seal_utf8(record->values[column], &len);
		form = seal_form(SEAL_TEXT);
		appendBinaryStringInfo(form, (const char *) texts[i].salt, SEAL_TEXT_SALT_SIZE);
		appendBinaryStringInfo(form, utf8, len);
		audit_seal_hash(form->data, form->len, &texts[i].digest);
	}
}

/* Append a text of the database as a field. */
static void
seal_put_text(StringInfo form, Datum value)
{
	int			len;
	const char *utf8 = seal_utf8(value, &len);

	seal_put_bytes(form, utf8, len);
}

/* Append a column that is no free text. */
static void
seal_put_column(StringInfo form, Oid type, Datum value)
{
	if (type == INT8OID)
		seal_put_number(form, DatumGetInt64(value));
	else if (type == INT4OID)
		seal_put_number(form, DatumGetInt32(value));
	else if (type == TIMESTAMPTZOID)
		seal_put_number(form, clock_unix_us(DatumGetTimestampTz(value)));
	else
		seal_put_text(form, value);
}

/* Write the digest of a record; texts[] has the salts of its free texts, and gets their digests. */
void
audit_record_digest(const SqlArgs *record, AuditTextSeal texts[AUDIT_TEXTS], SealDigest *digest)
{
	StringInfo	form;
	int			next_text = 0;

	seal_texts(record, texts);
	form = seal_form(SEAL_RECORD);
	for (int i = 0; i < AUDIT_COLUMNS; i++)
	{
		const AuditTextSeal *text = NULL;

		if (next_text < AUDIT_TEXTS && audit_text_columns[next_text] == i)
			text = &texts[next_text++];
		if (record->nulls[i] == 'n' && !(text && text->is_erased))
			seal_put_null(form);
		else if (text)
			seal_put_digest(form, &text->digest);
		else
			seal_put_column(form, audit_column_types[i], record->values[i]);
	}
	audit_seal_hash(form->data, form->len, digest);
}

/* Write the hash of a block's header. */
void
audit_header_hash(const AuditHeader *header, SealDigest *hash)
{
	StringInfo	form = seal_form(SEAL_HEADER);

	seal_put_number(form, header->block);
	seal_put_number(form, clock_unix_us(header->at));
	seal_put_bytes(form, header->home, strlen(header->home));
	seal_put_number(form, header->timeline);
	seal_put_number(form, header->first_id);
	seal_put_number(form, header->last_id);
	if (header->pruned_through > 0)
		seal_put_number(form, header->pruned_through);
	else
		seal_put_null(form);
	seal_put_digest(form, &header->root);
	seal_put_digest(form, &header->previous);
	audit_seal_hash(form->data, form->len, hash);
}

/*
 * ---- blocks
 */

static SqlStatement last_block = {
	"SELECT block, last_id, pruned_through, hash FROM wawp.audit_block ORDER BY block DESC LIMIT 1",
	0, {0}, NULL
};

/* Learn the end of the chain from the table; return the number of the last record that is sealed, 0 if there is none. */
int64
audit_block_read_chain(void)
{
	memset(&chain, 0, sizeof(chain));
	if (spi_run(&last_block, NULL) == 0)
		return 0;
	chain.block = spi_get_int8(0, 1, 0);
	chain.pruned_through = spi_get_int8(0, 3, 0);
	if (spi_get_bytes(0, 4, chain.hash.bytes, SEAL_DIGEST_SIZE) != SEAL_DIGEST_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("block " INT64_FORMAT " of the audit log's seal has no hash of %d bytes", chain.block, SEAL_DIGEST_SIZE),
				 errhint("wawp_audit_verify() tells what was changed.")));
	return spi_get_int8(0, 2, 0);
}

/* Forget records from a number on, which were rolled back. */
void
audit_block_cut(int64 next_id)
{
	if (pending.n > 0)
		pending.n = (int) Min(Max(next_id - pending.first_id, 0), pending.n);
}

/* Note that records up to a number are removed by retention; the next block says so. */
void
audit_block_note_pruned(int64 last_id)
{
	chain.pruned_through = Max(chain.pruned_through, last_id);
}

/* True if there are records that no block has yet. */
bool
audit_block_is_open(void)
{
	return pending.n > 0;
}

/* Append to a record its digest and salt, and take it into the next block. */
void
audit_block_add(SqlArgs *record)
{
	AuditTextSeal texts[AUDIT_TEXTS];
	uint8		salt[SEAL_SALT_SIZE];
	SealDigest	digest;
	TimestampTz at = DatumGetTimestampTz(record->values[AUDIT_COLUMN_AT]);

	Assert(record->n == AUDIT_COLUMNS);
	random_draw(salt, sizeof(salt));
	audit_text_salts(salt, texts);
	audit_record_digest(record, texts, &digest);
	spi_add_bytes(record, digest.bytes, sizeof(digest.bytes));
	spi_add_bytes(record, salt, sizeof(salt));
	if (pending.n == BLOCK_RECORDS || (pending.n > 0 && at >= pending.until))
		audit_block_seal();
	if (pending.n == 0)
	{
		pending.first_id = DatumGetInt64(record->values[0]);
		pending.until = clock_month_start(at, 1);
	}
	pending.leaves[pending.n++] = digest;
}

static SqlStatement insert_block = {
	"INSERT INTO wawp.audit_block (block, at, home, timeline, first_id, last_id, pruned_through, root, previous, hash)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	10, {INT8OID, TIMESTAMPTZOID, UUIDOID, INT4OID, INT8OID, INT8OID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID}, NULL
};

static void
block_insert(const AuditHeader *header)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, header->block);
	spi_add_time(&args, header->at);
	home_bind(&args);
	spi_add_int4(&args, header->timeline, true);
	spi_add_int8(&args, header->first_id);
	spi_add_int8(&args, header->last_id);
	spi_add_id(&args, header->pruned_through);
	spi_add_bytes(&args, header->root.bytes, SEAL_DIGEST_SIZE);
	spi_add_bytes(&args, header->previous.bytes, SEAL_DIGEST_SIZE);
	spi_add_bytes(&args, header->hash.bytes, SEAL_DIGEST_SIZE);
	spi_run(&insert_block, &args);
}

/* Write a block with the records that have none. */
void
audit_block_seal(void)
{
	AuditHeader header = {
		.block = chain.block + 1,
		.at = GetCurrentTimestamp(),
		.home = DatumGetCString(DirectFunctionCall1(uuid_out, home_datum())),
		.timeline = (int) GetWALInsertionTimeLine(),
		.first_id = pending.first_id,
		.last_id = pending.first_id + pending.n - 1,
		.pruned_through = chain.pruned_through,
		.previous = chain.hash
	};

	seal_root(pending.leaves, pending.n, audit_seal_hash, &header.root);
	audit_header_hash(&header, &header.hash);
	block_insert(&header);
	chain.block = header.block;
	chain.hash = header.hash;
	pending.n = 0;
}
