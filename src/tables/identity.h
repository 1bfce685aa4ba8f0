/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  The database that the queue belongs to.
 *
 * IDENTIFICATION
 *	  src/tables/identity.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_IDENTITY_H
#define WAWP_IDENTITY_H

#include "utils/uuid.h"

extern bool identity_is_foreign(void);
extern void identity_home(pg_uuid_t *home);
extern bool identity_take_over(void);

#endif							/* WAWP_IDENTITY_H */
