/*-------------------------------------------------------------------------
 *
 * audit_proof.c
 *	  The proof that a record of the audit log is in a block of its seal.
 *
 * A JSON object with all that a verifier needs to compute the block's hash from
 * the record (doc/verify.py): the record, the salts of its free texts, the path
 * through the tree, and the header.  Read with the caller's privileges; it is not
 * checked here.
 *
 * IDENTIFICATION
 *	  src/queue/audit_proof.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "tables/audit_stored.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_audit_proof);

/* Append bytes as a text of hexadecimal digits. */
static void
proof_put_hex(StringInfo out, const uint8 *bytes, int size)
{
	appendStringInfoChar(out, '"');
	enlargeStringInfo(out, 2 * size);
	out->len += (int) hex_encode((const char *) bytes, size, out->data + out->len);
	appendStringInfoChar(out, '"');
}

static void
proof_put_digest(StringInfo out, const char *key, const SealDigest *digest)
{
	appendStringInfo(out, ", \"%s\": ", key);
	proof_put_hex(out, digest->bytes, SEAL_DIGEST_SIZE);
}

/* Append a column's value. */
static void
proof_put_value(StringInfo out, Oid type, Datum value)
{
	if (type == INT8OID)
		appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
	else if (type == INT4OID)
		appendStringInfo(out, "%d", DatumGetInt32(value));
	else if (type == TIMESTAMPTZOID)
		appendStringInfo(out, INT64_FORMAT, clock_unix_us(DatumGetTimestampTz(value)));
	else
		escape_json(out, TextDatumGetCString(value));
}

/* Append the record: its columns in their canonical values, and the salt or the digest of each free text. */
static void
proof_put_record(StringInfo out, const StoredRecord *record)
{
	const char *separator = "";

	appendStringInfoString(out, "\"record\": {");
	for (int i = 0; i < AUDIT_COLUMNS; i++)
	{
		appendStringInfo(out, "%s\"%s\": ", i > 0 ? ", " : "", audit_column_names[i]);
		if (record->columns.nulls[i] == 'n')
			appendStringInfoString(out, "null");
		else
			proof_put_value(out, audit_column_types[i], record->columns.values[i]);
	}
	appendStringInfoString(out, "}, \"texts\": {");
	for (int i = 0; i < AUDIT_TEXTS; i++)
	{
		const AuditTextSeal *text = &record->texts[i];

		if (!text->is_erased && record->columns.nulls[audit_text_columns[i]] == 'n')
			continue;
		appendStringInfo(out, "%s\"%s\": {\"%s\": ", separator, audit_column_names[audit_text_columns[i]],
						 text->is_erased ? "digest" : "salt");
		proof_put_hex(out, text->is_erased ? text->digest.bytes : text->salt, text->is_erased ? SEAL_DIGEST_SIZE : SEAL_TEXT_SALT_SIZE);
		appendStringInfoChar(out, '}');
		separator = ", ";
	}
	appendStringInfoChar(out, '}');
}

static SqlStatement one_record = {
	"SELECT" STORED_RECORD " FROM wawp.audit_log l WHERE l.id = $1",
	1, {INT8OID}, NULL
};

/* Append the record with that number. */
static void
proof_read_record(StringInfo out, int64 id)
{
	SqlArgs		args = {0};
	StoredRecord record;

	spi_add_int8(&args, id);
	if (spi_run(&one_record, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the audit log has no record " INT64_FORMAT, id)));
	audit_read_record(0, &record);
	proof_put_record(out, &record);
}

static SqlStatement block_of_record = {
	"SELECT" STORED_HEADER " FROM (SELECT h.block FROM wawp.audit_block h WHERE h.first_id <= $1"
	"  ORDER BY h.first_id DESC, h.block LIMIT 1) last JOIN wawp.audit_block b USING (block) WHERE $1 <= b.last_id",
	1, {INT8OID}, NULL
};

/* Append the header of the block that a record is in. */
static void
proof_read_header(StringInfo out, int64 id, AuditHeader *header)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, id);
	if (spi_run(&block_of_record, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("record " INT64_FORMAT " of the audit log is in no block", id),
				 errhint("What was written before wawp 0.2 is not sealed; wawp_audit_verify() tells whether something is missing.")));
	(void) audit_read_header(0, header);
	appendStringInfo(out, ", \"block\": {\"block\": " INT64_FORMAT ", \"at\": " INT64_FORMAT ", \"home\": \"%s\", \"timeline\": %d"
					 ", \"first_id\": " INT64_FORMAT ", \"last_id\": " INT64_FORMAT ", \"pruned_through\": ",
					 header->block, clock_unix_us(header->at), header->home, header->timeline, header->first_id, header->last_id);
	if (header->pruned_through > 0)
		appendStringInfo(out, INT64_FORMAT, header->pruned_through);
	else
		appendStringInfoString(out, "null");
	proof_put_digest(out, "root", &header->root);
	proof_put_digest(out, "previous", &header->previous);
	appendStringInfoChar(out, '}');
	proof_put_digest(out, "hash", &header->hash);
}

static SqlStatement digests_of_block = {
	"SELECT l.digest FROM wawp.audit_log l WHERE l.id BETWEEN $1 AND $2 ORDER BY l.id",
	2, {INT8OID, INT8OID}, NULL
};

/* Append the digests beside the way from a record to its block's root. */
static void
proof_read_path(StringInfo out, int64 id, const AuditHeader *header)
{
	SqlArgs		args = {0};
	SealDigest	path[SEAL_PATH_MAX];
	SealDigest *leaves;
	int			length;
	uint64		n;

	spi_add_int8(&args, header->first_id);
	spi_add_int8(&args, header->last_id);
	n = spi_run(&digests_of_block, &args);
	if (n != (uint64) (header->last_id - header->first_id + 1))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("block " INT64_FORMAT " of the audit log's seal does not have all its records", header->block),
				 errhint("wawp_audit_verify() tells whether they were removed by wawp.audit_retention.")));
	leaves = palloc0_array(SealDigest, n);
	for (uint64 i = 0; i < n; i++)
		(void) spi_get_bytes(i, 1, leaves[i].bytes, SEAL_DIGEST_SIZE);
	length = seal_path(leaves, (int) n, (int) (id - header->first_id), audit_seal_hash, path);
	appendStringInfoString(out, ", \"path\": [");
	for (int i = 0; i < length; i++)
	{
		appendStringInfoString(out, i > 0 ? ", " : "");
		proof_put_hex(out, path[i].bytes, SEAL_DIGEST_SIZE);
	}
	appendStringInfoChar(out, ']');
}

/* (id bigint): the proof. */
Datum
wawp_audit_proof(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	StringInfoData out;
	AuditHeader header;
	SqlOwner	role;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"version\": 1, ");
	role = spi_begin_as_caller();
	proof_read_record(&out, id);
	proof_read_header(&out, id, &header);
	proof_read_path(&out, id, &header);
	spi_end_as_caller(&role);
	appendStringInfoChar(&out, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}
