/*-------------------------------------------------------------------------
 *
 * intent.h
 *	  The queue's rows.
 *
 * IDENTIFICATION
 *	  src/tables/intent.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INTENT_H
#define WAWP_INTENT_H

#include "base/shmem.h"
#include "base/spi_statement.h"
#include "nodes/pg_list.h"
#include "protocol/outcome.h"
#include "tables/contact.h"
#include "tables/home.h"
#include "utils/timestamp.h"

/* In the order of the SQL enum wawp.action. */
typedef enum IntentAction
{
	ACTION_ADD,
	ACTION_REMOVE,
	ACTION_PROMOTE,
	ACTION_DEMOTE,
	ACTION_INVITE
} IntentAction;

/* In the order of the SQL enum wawp.state. */
typedef enum IntentState
{
	STATE_QUEUED,
	STATE_SENDING,
	STATE_VERIFYING,
	STATE_INVITING,
	STATE_INVITED,
	STATE_PENDING_APPROVAL,
	STATE_DONE,
	STATE_FAILED,
	STATE_CANCELLED
} IntentState;

/* The beginning of a statement that leaves a note for the audit log; the rest tells these. */
#define INSERT_NOTE \
	"INSERT INTO wawp.audit_note (kind, instance, instance_id, group_jid, jid, intent_id, batch_id, action," \
	" reason, role, requested_from)"

/* Lists of states, for statements; indexes are partial by the same lists. */
#define STATES_WAITING "('verifying', 'inviting', 'invited', 'pending_approval')"
#define STATES_UNDER_WAY "('sending', 'verifying', 'inviting', 'invited', 'pending_approval')"
#define STATES_FINAL "('done', 'failed', 'cancelled')"

/* The unique index on what is queued, for ON CONFLICT; restored rows are not in it. */
#define INTENT_QUEUED_KEY \
	"(jid, group_jid, instance, (action IN ('promote', 'demote')), requester, not_before, home)" \
	" WHERE state = 'queued' AND home <> " HOME_OF_RESTORED_ROWS

/* Columns of wawp.membership_intent, from 1, in their order. */
enum
{
	INTENT_ID = 1,
	INTENT_GROUP_JID,
	INTENT_JID,
	INTENT_ACTION,
	INTENT_INSTANCE,
	INTENT_REASON,
	INTENT_PRIORITY,
	INTENT_NOT_BEFORE,
	INTENT_EXPIRES_AT,
	INTENT_UNTIL,
	INTENT_VERIFY,
	INTENT_INVITE,
	INTENT_CONTEXT,
	INTENT_BATCH_ID,
	INTENT_AFTER,
	INTENT_STATE,
	INTENT_OUTCOME,
	INTENT_CODE,
	INTENT_DETAIL,
	INTENT_INSTANCE_ID,
	INTENT_REQUESTER,
	INTENT_REQUESTED_BY,
	INTENT_HOME,
	INTENT_REQUESTED_FROM,
	INTENT_ORIGIN,
	INTENT_ATTEMPTS,
	INTENT_CRASHES,
	INTENT_SUPERSEDED,
	INTENT_NEXT_ATTEMPT_AT,
	INTENT_CREATED_AT,
	INTENT_UPDATED_AT,
	INTENT_SETTLED_AT,
	INTENT_COLUMNS = INTENT_SETTLED_AT
};

/*
 * A member of requested_from: the intent was due when this database adopted it.
 * The value is its updated_at then, as an epoch, which no setting changes.
 */
#define KEY_TAKEN_OVER "taken_over"

/* Another one: the requester has asked for the same again, or has retried it.  The value is when they last did, as an epoch. */
#define KEY_ASKED_AGAIN "asked_again"

/* Another one: it was retried after an invitation that may or may not have been sent. */
#define KEY_MAY_HAVE_INVITED "may_have_invited"

/*
 * When an intent was last asked for.  A restored or replicated row may have any
 * value there: one that is no time of this clock is none.
 */
#define INTENT_ASKED_AT(i) "greatest(" i ".created_at," \
	" CASE WHEN jsonb_typeof(" i ".requested_from -> '" KEY_ASKED_AGAIN "') = 'number'" \
	"  AND (" i ".requested_from -> '" KEY_ASKED_AGAIN "')::numeric BETWEEN 0 AND 1e11" \
	"  THEN to_timestamp((" i ".requested_from -> '" KEY_ASKED_AGAIN "')::float8) END)"

/* Its requested_from, now that it is asked for again. */
#define INTENT_ASKED_AGAIN(requested_from) "coalesce(" requested_from ", '{}')" \
	" || jsonb_build_object('" KEY_ASKED_AGAIN "', extract(epoch FROM clock_timestamp()))"

/* A claimed intent, as far as sending and recording it needs. */
typedef struct Intent
{
	int64		id;
	LaneKey		lane;
	Jid			jid;
	Jid			known_as;		/* the address for messages; invalid: jid */
	Jid			lid;			/* of a number; known only if an addition has asked for it */
	IntentAction action;
	const char *instance_id;
	Oid			requester;
	const char *requested_by;	/* its name at that time, for display */
	const char *login_role;
	const char *actor;
	const char *application_name;
	const char *client_addr;
	const char *origin;
	const char *reason;			/* may be NULL */
	const char *batch_id;		/* may be NULL */
	int			attempts;		/* this one included */
	IntentState state;			/* as it was read */
	bool		has_outcome;
	WawpOutcome outcome;		/* of the attempt before */
	int			code;
	const char *detail;
	bool		verify;
	bool		invite;
	bool		superseded;
	bool		was_taken_over;	/* when it was due, so that it may have been served before ... */
	bool		is_as_taken_over;	/* ... and has not changed its state since */
	TimestampTz until;			/* 0: for good */
	TimestampTz expires_at;		/* 0: never */
	TimestampTz wanted_at;		/* when it was last requested, or the later time it was requested for */
	TimestampTz since;			/* when it last changed its state */
	TimestampTz due;			/* when it is to be verified */
	TimestampTz seen_at;		/* the time of the list or the event that shows the person; 0: an answer does, now */
	int			priority;
	ItemPointerData place;		/* claimed: where the row is, if nobody has changed it since */
	bool		has_rivals;		/* claimed, and its requester may want something else of the person, too */
} Intent;

#define INTENT_CLAIMS_AT_ONCE 64

/* The part of a lane in which an intent is searched, as seen from the one claimed before it. */
typedef enum IntentSearch
{
	SEARCH_BEHIND,				/* of its priority, behind it, as far as the last id to look at */
	SEARCH_BELOW,				/* of a lower priority */
	SEARCH_ALL
} IntentSearch;

/* The claim of one intent of a lane, made together with claims in other lanes. */
typedef struct IntentClaim
{
	const LaneKey *lane;
	int			priority;		/* of the intent claimed before it ... */
	int64		behind;			/* ... and its id */
	int64		upto;			/* the last id to look at behind it */
	bool		is_claimed;
	Intent		intent;
} IntentClaim;

/* An intent that waits, as far as that tells whether to read it. */
typedef struct IntentBrief
{
	int64		id;
	Oid			requester;
	IntentAction action;
	IntentState state;
	const char *jid;
	TimestampTz since;
	TimestampTz due;
} IntentBrief;

/* The part of a lane's waiting intents that is read. */
typedef struct IntentLook
{
	int			limit;			/* so many at most */
	bool		is_all;			/* any, otherwise only those that are due ... */
	TimestampTz after;			/* ... and are so since then (DT_NOBEGIN: ever), and a few of the invitees ... */

	/* ... and of these those for which it is true; it is called for each that waits, and first for those that are due */
	bool		(*is_wanted) (const IntentBrief *brief, bool is_due, void *context);
	void	   *context;
} IntentLook;

/* Intents of a lane that wait for verification or an invitation. */
typedef struct IntentsWaiting
{
	int			n;
	Intent	   *intents;
	Contact    *contacts;		/* their people: id, 0 if new, and LID */
	bool		has_locked;		/* there are others, whose rows somebody else has locked */
} IntentsWaiting;

/* The role that changes something, for the record. */
typedef struct IntentRequester
{
	Oid			roleid;
	const char *role;
	Datum		from;			/* jsonb, as requested_from has it */
} IntentRequester;

/* Kinds of lanes that are looked for. */
typedef enum IntentLaneKind
{
	LANES_QUEUED,				/* something is queued */
	LANES_OTHER,				/* something that is no addition is queued */
	LANES_WAITING				/* something waits for verification or an invitation */
} IntentLaneKind;

/* A lane with such intents. */
typedef struct IntentLane
{
	LaneKey		key;
	bool		has_account;	/* something is for the account that the instance has now */
	TimestampTz due;			/* when the first that waits is due, if that was read */
} IntentLane;

/* The next state of an intent. */
typedef struct IntentChange
{
	IntentState state;
	bool		has_outcome;
	WawpOutcome outcome;
	int			code;			/* 0: none */
	const char *detail;
	TimestampTz next_attempt_at;	/* 0: none */
	bool		give_attempt_back;
} IntentChange;

/* An addition (or invitation) or a removal: one that is not settled, or somebody's latest. */
typedef struct IntentOpen
{
	int64		id;
	const char *jid;
	bool		is_removal;
	const char *state;
} IntentOpen;

extern LaneKey lane_key(const char *instance, const char *group);
extern WawpOperation intent_operation(IntentAction action);
extern const char *intent_action_name(IntentAction action);
extern const char *intent_state_name(IntentState state);

extern uint64 intent_insert(SqlStatement *statement, const SqlArgs *args);
extern uint64 intent_insert_rows(SqlStatement *statement, const SqlArgs *args, int rows);
extern bool intent_take_insert_mark(void);
extern bool intent_is_in_the_way(const char *instance, const char *group, const char *jid);
extern void intent_require_seen(int64 id);
extern void intent_make_room(const char *instance, const char *group, const char *jid,
							 IntentAction action, TimestampTz not_before, bool waits,
							 const IntentRequester *requester);
extern void intent_rename_instance(const char *from, const char *to);
extern bool intent_has_other_account(const char *instance);
extern void intent_note(const char *kind, const char *instance, const char *group, const char *jid,
						const char *reason, const IntentRequester *requester);
extern bool intent_cancel(int64 id, const IntentRequester *requester);
extern int64 intent_cancel_batch(const char *batch, const IntentRequester *requester);
extern bool intent_requeue(int64 id, TimestampTz doubtful, const IntentRequester *requester);
extern int	intent_peek(const LaneKey *lane, int limit, Intent *heads);
extern int	intent_peek_behind(const LaneKey *lane, int limit, int priority, int64 id, Intent *heads);
extern int	intent_claim(const LaneKey *lane, int limit, Intent *claimed);
extern int	intent_claim_behind(const LaneKey *lane, int limit, int priority, int64 id, Intent *claimed);
extern void intent_claim_each(IntentClaim *const *claims, int n, IntentSearch search);
extern int	intent_claim_other(const LaneKey *lane, Intent *claimed);
extern bool intent_person_is_busy(int64 id);
extern int64 intent_decider(const Intent *intent);
extern List *intent_cancel_outdone(const Intent *intent, const char *detail, int limit, bool *left);
extern bool intent_supersede_waiting(const Intent *intent);
extern bool intent_state_is_final(IntentState state);
extern bool intent_is_pending(const LaneKey *lane, const char *jid, Oid requester);
extern bool intent_settle(int64 id, IntentState from, IntentChange *change);
extern void intent_settle_alike(const Intent *const *intents, int n, const IntentChange *change, bool *settled);
extern void intent_settle_several(const Intent *const *intents, int n, IntentState from, const IntentChange *change, bool *settled);
extern IntentsWaiting intent_waiting(const LaneKey *lane, const IntentLook *look);
extern void intent_start_anew(void);
extern List *intent_waiting_lanes(const LaneKey *after, int limit);
extern void intent_postpone(const Intent *intent, TimestampTz due, const char *detail);
extern void intent_postpone_several(const Intent *const *intents, const TimestampTz *dues, int n);
extern void intent_hasten_invitations(const char *instance);
extern bool intent_hasten(const LaneKey *lane, const char *jid, const char *lid);
extern List *intent_waiting_of(const LaneKey *lane, const char *jid, const char *lid);
extern bool intent_is_over(const Intent *intent);
extern bool intent_has_sending(const LaneKey *lane, const char *jid, const char *lid);
extern bool intent_has_addition_under_way(const LaneKey *lane, const char *jid);
extern bool intent_has_addition_queued(const LaneKey *lane, const char *jid);
extern bool intent_begin_invite(const Intent *intent);
extern bool intent_move(const Intent *intent, const char *group);
extern List *intent_cancel_removal_there(const Intent *intent, const char *group, bool *left);
extern List *intent_end_superseded(int limit);
extern bool intent_ends_membership(const Intent *intent);
extern int64 intent_enqueue_removal(const LaneKey *lane, const char *instance_id, const char *jid,
									Oid requester, const char *requested_by, const char *reason);
extern bool intent_has_dependents(void);
extern List *intent_fail_dependents(int limit);
extern List *intent_dependent_lanes(int64 id);
extern int64 intent_expire(int limit);
extern TimestampTz intent_next_expiry(void);
extern List *intent_arrive(int limit);
extern TimestampTz intent_next_arrival(void);
extern TimestampTz intent_next_due(const LaneKey *lane);
extern bool intent_has_due_behind(const LaneKey *lane, int priority, int64 id);
extern TimestampTz intent_next_due_behind(const LaneKey *lane, int priority, int64 id);
extern bool intent_has_before(const LaneKey *lane, int priority, int64 id, int64 after);
extern uint64 intent_requeues(void);
extern void intent_note_requeued(void);
extern TimestampTz intent_next_other(const LaneKey *lane);
extern List *intent_lanes(IntentLaneKind kind, const LaneKey *after, int limit);
extern char *intent_recover(int max_crashes, bool count_crash, const char *in_flight, bool *left);
extern bool intent_doubts_invitation(int64 id, TimestampTz time);
extern bool intent_was_asked_before(int64 id, TimestampTz time);
extern int64 intent_end_invitations(TimestampTz before, int limit, bool *left);
extern int	intent_count_doubts(const char *ids);
extern void intent_note_orderly_end(const char *in_flight);
extern List *intent_list_open(const LaneKey *lane, Oid requester);
extern List *intent_list_latest(const LaneKey *lane, TimestampTz since);
extern Oid	intent_requester(int64 id);
extern const char *intent_person(int64 id);
extern void intent_withhold_person(int64 id);
extern bool intent_prune(int retention_minutes);

#endif							/* WAWP_INTENT_H */
