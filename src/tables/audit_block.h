/*-------------------------------------------------------------------------
 *
 * audit_block.h
 *	  The seal of the audit log.
 *
 * IDENTIFICATION
 *	  src/tables/audit_block.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_AUDIT_BLOCK_H
#define WAWP_AUDIT_BLOCK_H

#include "base/spi_statement.h"
#include "protocol/seal.h"

/* The columns of a record that its digest covers, in their order in the table and in the canonical form. */
#define AUDIT_COLUMNS 24
#define AUDIT_COLUMN_AT 1
#define AUDIT_COLUMN_CLIENT_ADDR 18
#define AUDIT_COLUMN_DETAIL 23

/* Those, and the digest and the salt, which are stored with them. */
#define AUDIT_STORED_COLUMNS (AUDIT_COLUMNS + 2)

/* The number of free texts among them, which an erasure may remove. */
#define AUDIT_TEXTS 5

#define SEAL_TEXT_SALT_SIZE 12
#define SEAL_SALT_SIZE (AUDIT_TEXTS * SEAL_TEXT_SALT_SIZE)

/* A free text's salt, or the digest that an erasure has left of it. */
typedef struct AuditTextSeal
{
	bool		is_erased;
	uint8		salt[SEAL_TEXT_SALT_SIZE];
	SealDigest	digest;
} AuditTextSeal;

/* A block's header. */
typedef struct AuditHeader
{
	int64		block;
	TimestampTz at;
	const char *home;
	int			timeline;
	int64		first_id;
	int64		last_id;
	int64		pruned_through; /* 0: none */
	SealDigest	root;
	SealDigest	previous;
	SealDigest	hash;
} AuditHeader;

/* Types of the columns of a record as they are bound and selected: enums, names, inet, uuid and jsonb are texts. */
extern const Oid audit_column_types[AUDIT_COLUMNS];
extern const char *const audit_column_names[AUDIT_STORED_COLUMNS];
extern const int audit_text_columns[AUDIT_TEXTS];

extern void audit_seal_hash(const void *data, size_t len, SealDigest *digest);
extern void audit_text_salts(const uint8 salt[SEAL_SALT_SIZE], AuditTextSeal texts[AUDIT_TEXTS]);
extern void audit_record_digest(const SqlArgs *record, AuditTextSeal texts[AUDIT_TEXTS], SealDigest *digest);
extern void audit_header_hash(const AuditHeader *header, SealDigest *hash);

extern int64 audit_block_read_chain(void);
extern void audit_block_cut(int64 next_id);
extern void audit_block_add(SqlArgs *record);
extern void audit_block_note_pruned(int64 last_id);
extern bool audit_block_is_open(void);
extern void audit_block_seal(void);

#endif							/* WAWP_AUDIT_BLOCK_H */
