/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  Signatures of texts that came from outside.
 *
 * A signature is HMAC-SHA256 or HMAC-SHA512 of the bytes, in hexadecimal; its
 * length tells which.  Digests are made by PostgreSQL's own code, so that they
 * follow its choice of a cryptographic library.  Neither the secret nor the right
 * signature is in any message, and how long a comparison takes does not depend
 * on where it differs.
 *
 * No locks; memory is the caller's.  A failure of the library is an ERROR.
 *
 * IDENTIFICATION
 *	  src/base/signature.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/signature.h"
#include "common/cryptohash.h"
#include "common/hmac.h"
#include "utils/builtins.h"

#include "compat.h"

/* The digests of signatures, by their length. */
static const struct
{
	size_t		length;
	pg_cryptohash_type type;
}			digests[] =
{
	{PG_SHA256_DIGEST_LENGTH, PG_SHA256},
	{PG_SHA512_DIGEST_LENGTH, PG_SHA512},
};

/* Write the HMAC of the data to digest[]. */
static void
signature_hmac(pg_cryptohash_type type, size_t length, const char *secret, const char *data, size_t len, uint8 *digest)
{
	pg_hmac_ctx *context = pg_hmac_create(type);

	if (context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not compute a signature: out of memory")));
	if (pg_hmac_init(context, (const uint8 *) secret, strlen(secret)) < 0 ||
		pg_hmac_update(context, (const uint8 *) data, len) < 0 ||
		pg_hmac_final(context, digest, length) < 0)
	{
		const char *reason = pstrdup(pg_hmac_error(context));

		pg_hmac_free(context);
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a signature: %s", reason)));
	}
	pg_hmac_free(context);
}

/* Write 2 * length hexadecimal digits as bytes; false if one is no such digit. */
static bool
signature_decode(const char *text, size_t length, uint8 *bytes)
{
	int			high = 0;

	for (size_t i = 0; i < 2 * length; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) text[i]);
		int			value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (value < 0)
			return false;
		if (i % 2 == 1)
			bytes[i / 2] = (uint8) (high * 16 + value);
		high = value;
	}
	return true;
}

/* True if the bytes are equal; takes as long wherever they differ. */
static bool
signature_is_equal(const uint8 *a, const uint8 *b, size_t length)
{
	volatile uint8 difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

/* Return why a signature is not that of the data, static; NULL: it is. */
const char *
signature_problem(const char *signature, const char *secret, const char *data, size_t len)
{
	uint8		given[PG_SHA512_DIGEST_LENGTH];
	uint8		right[PG_SHA512_DIGEST_LENGTH];

	if (signature == NULL || *signature == '\0')
		return "it has no signature";
	for (size_t i = 0; i < lengthof(digests); i++)
	{
		size_t		length = digests[i].length;

		if (strlen(signature) != 2 * length || !signature_decode(signature, length, given))
			continue;
		signature_hmac(digests[i].type, length, secret, data, len, right);
		return signature_is_equal(given, right, length) ? NULL : "the signature is wrong";
	}
	return "the signature is neither HMAC-SHA256 nor HMAC-SHA512 in hexadecimal";
}

/* Write the SHA-256 of the data to hash[]. */
void
signature_hash(const char *data, size_t len, uint8 hash[PG_SHA256_DIGEST_LENGTH])
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) data, len) < 0 ||
		pg_cryptohash_final(context, hash, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a SHA-256: %s", pg_cryptohash_error(context));
	pg_cryptohash_free(context);
}

/* Return that in hexadecimal, palloc'd. */
char *
signature_hash_text(const char *data, size_t len)
{
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	char	   *text = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);

	signature_hash(data, len, hash);
	text[hex_encode((const char *) hash, PG_SHA256_DIGEST_LENGTH, text)] = '\0';
	return text;
}

/* Return the HMAC-SHA256 of a text in hexadecimal, palloc'd. */
char *
signature_keyed_hash_text(const char *key, const char *text)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);

	signature_hmac(PG_SHA256, PG_SHA256_DIGEST_LENGTH, key, text, strlen(text), digest);
	hex[hex_encode((const char *) digest, PG_SHA256_DIGEST_LENGTH, hex)] = '\0';
	return hex;
}
