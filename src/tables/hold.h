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

#include "base/shmem.h"
#include "nodes/pg_list.h"
#include "protocol/outcome.h"
#include "utils/timestamp.h"

/* The reason of holds in a copy of a database. */
#define HOLD_RESTORED_COPY "restored copy"
/* The reason of holds after a promotion, with wawp.after_promotion = hold. */
#define HOLD_PROMOTED "promoted"
/* In the group's place of a hold: the invitations and welcomes of an instance are held, additions go on. */
#define HOLD_MESSAGES "invitations"

/* A row of wawp.hold. */
typedef struct Hold
{
	LaneKey		key;			/* group "": the whole instance */
	const char *reason;
	TimestampTz until;			/* 0: not before wawp_resume() */
	int			failures;
} Hold;

/* The holds that a cycle has needed so far, each read once. */
typedef struct Holds Holds;

extern void hold_start_anew(void);
extern bool hold_set(const char *instance, const char *group, const char *reason,
					 TimestampTz until, int failures);
extern bool hold_pause(const char *instance, const char *group, const char *reason, Oid by);
extern int	hold_count_paused(Oid by, const char *instance, const char *group, int most);
extern bool hold_is_free(const LaneKey *key);
extern void hold_rename_instance(const char *from, const char *to);
extern bool hold_end_of_refused_token(const char *instance);
extern uint64 hold_end_of_other_account(const char *instance, bool by_hand);
extern bool hold_lift(const char *instance, const char *group);
extern void hold_ease_after_success(const char *instance, const char *group);
extern Holds *hold_begin_reading(void);
extern void hold_prune(void);
extern List *hold_read_instance(const char *instance, const char *group);
extern bool hold_is_active(const Hold *hold);
extern bool hold_is_for_full(const Hold *hold);
extern bool hold_is_busy(const LaneKey *lane);
extern bool hold_messages_is_busy(const LaneKey *lane);
extern int	hold_halvings(const Hold *on_instance);
extern const Hold *hold_find(List *holds, const char *instance, const char *group);

extern const Hold *hold_get(Holds *holds, const LaneKey *lane, bool whole_instance);
extern int64 hold_lane_until(Holds *holds, const LaneKey *lane);
extern int64 hold_others_until(Holds *holds, const LaneKey *lane);
extern int64 hold_instance_until(Holds *holds, const LaneKey *lane);
extern void hold_set_lane(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance,
						  int retry_after, const char *request_id);
extern int64 hold_messages_until(Holds *holds, const LaneKey *lane);
extern void hold_refused_messages(const LaneKey *lane, Holds *holds, int retry_after);
extern void hold_messages(const LaneKey *lane, Holds *holds, TimestampTz until);
extern void hold_ease_messages(const LaneKey *lane, Holds *holds);
extern bool hold_end_messages(const LaneKey *lane, Holds *holds, TimestampTz before);
extern void hold_for_session(const LaneKey *lane, Holds *holds, bool is_interruption);
extern bool hold_try_again(const LaneKey *lane, Holds *holds, WawpOutcome outcome);
extern bool hold_end_outcome(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance, TimestampTz before);
extern int64 hold_reads_until(Holds *holds, const LaneKey *lane);
extern bool hold_is_on_trial(Holds *holds, const LaneKey *lane);
extern void hold_for_outage(const LaneKey *lane, Holds *holds, WawpOutcome outcome,
							int retry_after, const char *request_id);
extern void hold_for_outcome(const LaneKey *lane, Holds *holds, WawpOutcome outcome,
							 int retry_after, const char *request_id);

#endif							/* WAWP_HOLD_H */
