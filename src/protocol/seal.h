/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  The canonical form of what the audit log's seal hashes, and its trees.
 *
 * IDENTIFICATION
 *	  src/protocol/seal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SEAL_H
#define WAWP_SEAL_H

#include "lib/stringinfo.h"

#define SEAL_DIGEST_SIZE 32
/* The path from a leaf to the root of a tree with INT_MAX leaves has no more digests. */
#define SEAL_PATH_MAX 31

typedef struct SealDigest
{
	uint8		bytes[SEAL_DIGEST_SIZE];
} SealDigest;

/* The first byte of what is hashed, so that nothing of one kind can be taken for another. */
typedef enum SealKind
{
	SEAL_RECORD,
	SEAL_NODE,
	SEAL_HEADER,
	SEAL_TEXT
} SealKind;

/* Compute SHA-256. */
typedef void (*SealHash) (const void *data, size_t len, SealDigest *digest);

extern void seal_begin(StringInfo form, SealKind kind);
extern void seal_put_null(StringInfo form);
extern void seal_put_number(StringInfo form, int64 value);
extern void seal_put_bytes(StringInfo form, const void *data, size_t len);
extern void seal_put_digest(StringInfo form, const SealDigest *digest);
extern void seal_root(const SealDigest *leaves, int n, SealHash hash, SealDigest *root);
extern int	seal_path(const SealDigest *leaves, int n, int leaf, SealHash hash, SealDigest *path);

#endif							/* WAWP_SEAL_H */
