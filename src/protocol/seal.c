/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  The canonical form of what the audit log's seal hashes, and its trees.
 *
 * doc/audit-seal.md has the form, for those who check a seal without this code;
 * whoever changes it gives it a new version.  The tree is RFC 6962's.  Pure: the
 * hash function is an argument, memory is the caller's.
 *
 * IDENTIFICATION
 *	  src/protocol/seal.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "port/pg_bswap.h"
#include "protocol/seal.h"

#include "compat.h"

#define SEAL_VERSION 1
/* The length that says NULL. */
#define SEAL_NULL_LENGTH PG_UINT32_MAX

/* Begin a form anew; a record and a header have a version. */
void
seal_begin(StringInfo form, SealKind kind)
{
	resetStringInfo(form);
	appendStringInfoCharMacro(form, (char) kind);
	if (kind == SEAL_RECORD || kind == SEAL_HEADER)
		appendStringInfoCharMacro(form, SEAL_VERSION);
}

static void
seal_put_length(StringInfo form, uint32 length)
{
	uint32		sent = pg_hton32(length);

	appendBinaryStringInfo(form, (const char *) &sent, sizeof(sent));
}

/* Append a field that is NULL. */
void
seal_put_null(StringInfo form)
{
	seal_put_length(form, SEAL_NULL_LENGTH);
}

/* Append a field that is a number. */
void
seal_put_number(StringInfo form, int64 value)
{
	uint64		sent = pg_hton64((uint64) value);

	seal_put_length(form, sizeof(sent));
	appendBinaryStringInfo(form, (const char *) &sent, sizeof(sent));
}

/* Append a field of bytes, or a text in UTF-8. */
void
seal_put_bytes(StringInfo form, const void *data, size_t len)
{
	seal_put_length(form, (uint32) len);
	appendBinaryStringInfo(form, data, (int) len);
}

/* Append a field that is a digest. */
void
seal_put_digest(StringInfo form, const SealDigest *digest)
{
	seal_put_bytes(form, digest->bytes, SEAL_DIGEST_SIZE);
}

/* Write the digest of a node with these parts. */
static void
seal_node(const SealDigest *left, const SealDigest *right, SealHash hash, SealDigest *node)
{
	uint8		form[1 + 2 * SEAL_DIGEST_SIZE];

	form[0] = SEAL_NODE;
	memcpy(form + 1, left->bytes, SEAL_DIGEST_SIZE);
	memcpy(form + 1 + SEAL_DIGEST_SIZE, right->bytes, SEAL_DIGEST_SIZE);
	hash(form, sizeof(form), node);
}

/* Return how many of n > 1 leaves are in the left part: the largest power of two below n. */
static int
seal_left_part(int n)
{
	int			left = 1;

	while (left <= (n - 1) / 2)
		left *= 2;
	return left;
}

/* Write the root of the tree over n > 0 leaves. */
void
seal_root(const SealDigest *leaves, int n, SealHash hash, SealDigest *root)
{
	SealDigest	left;
	SealDigest	right;

	if (n == 1)
	{
		*root = leaves[0];
		return;
	}
	seal_root(leaves, seal_left_part(n), hash, &left);
	seal_root(leaves + seal_left_part(n), n - seal_left_part(n), hash, &right);
	seal_node(&left, &right, hash, root);
}

/*
 * Write to path[] the digests beside the way from a leaf (from 0) to the root,
 * in this order, and return how many there are, at most SEAL_PATH_MAX.
 */
int
seal_path(const SealDigest *leaves, int n, int leaf, SealHash hash, SealDigest *path)
{
	int			left = n > 1 ? seal_left_part(n) : 0;
	int			length;

	if (n == 1)
		return 0;
	if (leaf < left)
	{
		length = seal_path(leaves, left, leaf, hash, path);
		seal_root(leaves + left, n - left, hash, &path[length]);
	}
	else
	{
		length = seal_path(leaves + left, n - left, leaf - left, hash, path);
		seal_root(leaves, left, hash, &path[length]);
	}
	return length + 1;
}
