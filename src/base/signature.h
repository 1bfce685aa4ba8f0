/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  Signatures of texts that came from outside.
 *
 * IDENTIFICATION
 *	  src/base/signature.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SIGNATURE_H
#define WAWP_SIGNATURE_H

#include "common/sha2.h"

extern const char *signature_problem(const char *signature, const char *secret, const char *data, size_t len);
extern void signature_hash(const char *data, size_t len, uint8 hash[PG_SHA256_DIGEST_LENGTH]);
extern char *signature_hash_text(const char *data, size_t len);
extern char *signature_keyed_hash_text(const char *key, const char *text);

#endif							/* WAWP_SIGNATURE_H */
