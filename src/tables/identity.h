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

#include "datatype/timestamp.h"
#include "utils/uuid.h"

extern void identity_home(pg_uuid_t *home);
extern bool identity_is_copy(void);
extern const char *identity_why_copy(void);
extern bool identity_take_over(void);
extern bool identity_note_promotion(void);
extern TimestampTz identity_doubtful_before(void);

#endif							/* WAWP_IDENTITY_H */
