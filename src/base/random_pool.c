/*-------------------------------------------------------------------------
 *
 * random_pool.c
 *	  Random bytes, drawn for many at once.
 *
 * PostgreSQL's pg_strong_random() costs hardly more for many bytes than for few.
 * So they are drawn for several callers together, into memory of the process;
 * what was given out is overwritten there.  No locks, no transaction.
 *
 * Ids of requests are UUIDs of version 7 (RFC 9562, 5.7): they begin with the time,
 * so that an index of them grows at its end, as one by time does.
 *
 * IDENTIFICATION
 *	  src/base/random_pool.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/random_pool.h"
#include "port.h"
#include "utils/timestamp.h"

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

/* Draw an id for a request. */
void
random_draw_id(pg_uuid_t *id)
{
	uint64		ms = (uint64) clock_unix_ms(GetCurrentTimestamp());

	random_draw(id, sizeof(*id));
	for (int i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (ms >> (8 * (5 - i)));
	/* the version, and variant 10 */
	id->data[6] = (id->data[6] & 0x0f) | 0x70;
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}
