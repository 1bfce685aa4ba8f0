/*-------------------------------------------------------------------------
 *
 * adoption.h
 *	  The adoption of rows that were not made in this database.
 *
 * IDENTIFICATION
 *	  src/tables/adoption.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ADOPTION_H
#define WAWP_ADOPTION_H

#include "utils/timestamp.h"

/* The result of an adoption of an instance's rows. */
typedef struct Adoption
{
	int64		live;			/* intents that are served from now on */
	int64		settled;		/* those that had been settled before */
	int64		failed;			/* those whose requester does not exist here */
	int64		cancelled;		/* those that were requested here again */
	int64		unknown;		/* invitations that may have left already */
	int64		memberships;
} Adoption;

extern int64 adoption_count(const char *instance);
extern bool adoption_is_due(int64 id);
extern const char *adoption_instances(void);
extern const char *adoption_cluster_homes(void);
extern void adoption_mend_triggers(void);
extern void adoption_run(const char *instance, TimestampTz before, const char *cluster, Adoption *adoption);

#endif							/* WAWP_ADOPTION_H */
