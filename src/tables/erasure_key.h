/*-------------------------------------------------------------------------
 *
 * erasure_key.h
 *	  Keyed hashes of people who were erased.
 *
 * IDENTIFICATION
 *	  src/tables/erasure_key.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ERASURE_KEY_H
#define WAWP_ERASURE_KEY_H

#include "nodes/pg_list.h"

/* The beginning of a hash on the opt-out list; no JID begins so. */
#define ERASURE_HASH_PREFIX "hmac:"

extern bool erasure_key_exists(void);
extern void erasure_key_require(void);
extern List *erasure_key_hashes(const char *jid);

#endif							/* WAWP_ERASURE_KEY_H */
