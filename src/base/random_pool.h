/*-------------------------------------------------------------------------
 *
 * random_pool.h
 *	  Random bytes, drawn for many at once.
 *
 * IDENTIFICATION
 *	  src/base/random_pool.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_RANDOM_POOL_H
#define WAWP_RANDOM_POOL_H

#include "utils/uuid.h"

extern void random_draw(void *bytes, size_t len);
extern void random_draw_id(pg_uuid_t *id);

#endif							/* WAWP_RANDOM_POOL_H */
