/*-------------------------------------------------------------------------
 *
 * sync_plan.h
 *	  The difference between who is in a group and who should be.
 *
 * IDENTIFICATION
 *	  src/protocol/sync_plan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SYNC_PLAN_H
#define WAWP_SYNC_PLAN_H

#include "protocol/jid.h"
#include "protocol/member_list.h"
#include "protocol/wire.h"

typedef enum SyncAction
{
	SYNC_NOTHING,
	SYNC_ADD,
	SYNC_REMOVE
} SyncAction;

/* An element of the array of people who should be in the group. */
typedef struct SyncWanted
{
	const char *input;			/* as given; NULL for a NULL element */
	const char *problem;		/* why it names no person; NULL: it names one */
	Jid			jid;			/* a number or a LID */
	Jid			lid;			/* of a number; invalid if not known */
	Jid			known_as;		/* another number that WhatsApp has for it, or invalid */
	const char *barred;			/* why the person may not be added; NULL: they may */
} SyncWanted;

/* A person whom we added to the group. */
typedef struct SyncAdded
{
	Jid			jid;
	Jid			lid;			/* of a number; invalid if not known */
} SyncAdded;

/* A wish of the caller's for a person that is not settled yet. */
typedef struct SyncOpen
{
	Jid			jid;
	bool		is_removal;
	bool		is_queued;		/* not sent yet */
	int64		id;
	const char *state;
} SyncOpen;

/* All that decides about the people of a group. */
typedef struct SyncGroup
{
	const WireMembers *list;
	const MembersKnown *known;
	int			nwanted;
	const SyncWanted *wanted;
	int			nadded;
	const SyncAdded *added;
	int			nopen;
	const SyncOpen *open;
	bool		tells_queued;	/* steps say what is queued for them already */
	bool		managed_only;	/* only who is among `added` may be removed */
	int			max_remove_pct; /* of the members in the list; if more were to go, nobody is removed */
	const char *may_lack;		/* why others than `wanted` may be wanted, too; NULL: nobody else is */
	const char *no_addition;	/* why nobody may be added; NULL: people may */
	const char *no_removal;		/* why nobody may be removed; NULL: people may */
	const char *waits;			/* what keeps requests from being sent now; NULL: nothing does */
} SyncGroup;

/* A row of a plan. */
typedef struct SyncStep
{
	SyncAction	action;
	const char *jid;			/* as given where it names no person; NULL: the group as a whole, or a NULL element */
	const char *why;
} SyncStep;

typedef struct SyncPlan
{
	int			n;
	SyncStep   *steps;
} SyncPlan;

extern SyncPlan sync_plan_make(const SyncGroup *group);
extern SyncPlan sync_plan_unread(const SyncGroup *group, const char *why);

#endif							/* WAWP_SYNC_PLAN_H */
