/*-------------------------------------------------------------------------
 *
 * random_pool.c
 *	  Random bytes, drawn for many at once.
 *
 * PostgreSQL's pg_strong_random() costs hardly more for many bytes than for few.
 * So they are drawn for several callers together, into memory of the process;
 * what was given out is overwritten there.  No locks, no transaction.
 *
 * IDENTIFICATION
 *	  src/base/random_pool.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/random_pool.h"
#include "port.h"

#include "compat.h"

#define POOL_BYTES 4096

/* Write random bytes, at most POOL_BYTES; raises an error if there are none. */
void
random_draw(void *bytes, size_t len)
{
	static char pool[POOL_BYTES];
	static size_t left = 0;

	Assert(len <= POOL_BYTES);
	if (left < len)
	{
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		left = sizeof(pool);
	}
	left -= len;
	memcpy(bytes, pool + left, len);
	memset(pool + left, 0, len);
}
