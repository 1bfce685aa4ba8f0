/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  Lanes and instances that are not served for now.
 *
 * IDENTIFICATION
 *	  src/tables/hold.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_HOLD_H
#define WAWP_HOLD_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/shmem.h"

/* the reason of holds in a copy of a database */
#define HOLD_RESTORED_COPY "restored copy"

typedef struct Hold
{
	LaneKey		key;			/* group "": the whole instance */
	const char *reason;
	TimestampTz until;			/* 0: not before wawp_resume() */
	int			failures;
} Hold;

/* Holds that a cycle looks for, each read once. */
typedef struct Holds Holds;

extern void hold_start_anew(void);
extern bool hold_set(const char *instance, const char *group, const char *reason,
					 TimestampTz until, int failures);
extern bool hold_pause(const char *instance, const char *group, const char *reason);
extern bool hold_lift(const char *instance, const char *group);
extern void hold_ease_after_success(const char *instance, const char *group);
extern Holds *hold_begin_reading(void);
extern const Hold *hold_get(Holds *holds, const LaneKey *key);
extern void hold_forget_read(Holds *holds, const LaneKey *key);
extern void hold_prune(void);
extern List *hold_read_instance(const char *instance, const char *group);
extern int	hold_halvings(const Hold *on_instance);
extern const Hold *hold_find(List *holds, const char *instance, const char *group);
extern bool identity_is_foreign(void);
extern void identity_home(pg_uuid_t *home);
extern bool identity_take_over(void);

#endif							/* WAWP_HOLD_H */
