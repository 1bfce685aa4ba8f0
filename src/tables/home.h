/*-------------------------------------------------------------------------
 *
 * home.h
 *	  The rows that belong to this database, and the adoption of others.
 *
 * IDENTIFICATION
 *	  src/tables/home.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_HOME_H
#define WAWP_HOME_H

#include "base/spi_statement.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* The home of rows that arrived with one, in statements. */
#define HOME_OF_RESTORED_ROWS "'00000000-0000-0000-0000-000000000000'"

/* What an adoption did to the rows of an instance. */
typedef struct HomeAdoption
{
	int64		live;			/* intents that are served from now on */
	int64		settled;		/* those that had been settled before */
	int64		failed;			/* those whose requester does not exist here */
	int64		cancelled;		/* those that were requested here again */
	int64		unknown;		/* invitations that may have left already */
	int64		memberships;
} HomeAdoption;

extern Datum home_datum(void);
extern void home_forget(void);
extern void home_bind(SqlArgs *args);
extern bool home_is_ours(const pg_uuid_t *home);
extern bool home_intent_is_foreign(int64 id);
extern int64 home_count_foreign(const char *instance);
extern const char *home_foreign_instances(void);
extern const char *home_list_of_cluster(void);
extern void home_adopt(const char *instance, TimestampTz before, const char *cluster, HomeAdoption *adoption);

#endif							/* WAWP_HOME_H */
