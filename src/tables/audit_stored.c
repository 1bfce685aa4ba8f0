/*-------------------------------------------------------------------------
 *
 * audit_stored.c
 *	  Records of the audit log and headers of its blocks, as they are stored.
 *
 * For those who check them: nothing in a row is relied on, and whatever a row
 * has in it is no error here.  Reads rows of results (STORED_RECORD,
 * STORED_HEADER); memory is the caller's.
 *
 * IDENTIFICATION
 *	  src/tables/audit_stored.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tables/audit_stored.h"

#include "compat.h"

/* Columns behind a record's own, from 1. */
enum
{
	STORED_DIGEST = AUDIT_COLUMNS + 1,
	STORED_SALT,
	STORED_HAS_ERASED,
	STORED_DIGESTS,
	STORED_SALTS = STORED_DIGESTS + AUDIT_TEXTS
};

/* Read what an erasure has left of the free texts. */
static void
stored_read_erased(uint64 row, StoredRecord *record)
{
	for (int i = 0; i < AUDIT_TEXTS; i++)
	{
		AuditTextSeal *text = &record->texts[i];

		(void) spi_get_bytes(row, STORED_SALTS + i, text->salt, SEAL_TEXT_SALT_SIZE);
		text->is_erased = spi_get_bytes(row, STORED_DIGESTS + i, text->digest.bytes, SEAL_DIGEST_SIZE) == SEAL_DIGEST_SIZE;
		if (text->is_erased && record->columns.nulls[audit_text_columns[i]] != 'n')
			record->is_contradictory = true;
	}
}

/* Read a record; its values are the row's. */
void
audit_read_record(uint64 row, StoredRecord *record)
{
	uint8		salt[SEAL_SALT_SIZE] = {0};

	memset(record, 0, sizeof(*record));
	spi_get_args(row, AUDIT_COLUMNS, &record->columns);
	record->id = spi_get_int8(row, 1, 0);
	record->has_digest = spi_get_bytes(row, STORED_DIGEST, record->digest.bytes, SEAL_DIGEST_SIZE) >= 0;
	record->has_erased = spi_get_bool(row, STORED_HAS_ERASED);
	if (record->has_erased)
		stored_read_erased(row, record);
	else
	{
		(void) spi_get_bytes(row, STORED_SALT, salt, sizeof(salt));
		audit_text_salts(salt, record->texts);
	}
}

/* True if a record has the digest that is stored with it; reads its texts. */
bool
audit_record_is_intact(StoredRecord *record)
{
	SealDigest	digest;

	if (!record->has_digest || record->is_contradictory)
		return false;
	audit_record_digest(&record->columns, record->texts, &digest);
	return memcmp(&digest, &record->digest, sizeof(digest)) == 0;
}

/* Read a digest; false if it does not have its length. */
static bool
stored_read_digest(uint64 row, int column, SealDigest *digest)
{
	return spi_get_bytes(row, column, digest->bytes, SEAL_DIGEST_SIZE) == SEAL_DIGEST_SIZE;
}

/* Read a block's header, with its text palloc'd; false if its hash is not the one that is stored with it. */
bool
audit_read_header(uint64 row, AuditHeader *header)
{
	SealDigest	hash;

	memset(header, 0, sizeof(*header));
	header->block = spi_get_int8(row, 1, 0);
	header->at = spi_get_time(row, 2);
	header->home = spi_get_text(row, 3);
	header->timeline = spi_get_int4(row, 4);
	header->first_id = spi_get_int8(row, 5, 0);
	header->last_id = spi_get_int8(row, 6, 0);
	header->pruned_through = spi_get_int8(row, 7, 0);
	if (!stored_read_digest(row, 8, &header->root) || !stored_read_digest(row, 9, &header->previous) ||
		!stored_read_digest(row, 10, &header->hash))
		return false;
	audit_header_hash(header, &hash);
	return memcmp(&hash, &header->hash, sizeof(hash)) == 0;
}
