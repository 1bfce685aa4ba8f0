/*-------------------------------------------------------------------------
 *
 * audit_mailbox.c
 *	  Hands records of session calls to the worker, who writes them.
 *
 * A membership request must leave a durable record even when its caller rolls
 * back or dies, so the caller's transaction cannot write it.  Each backend has
 * a box in shared memory with room for two messages: the "sent" record of a
 * request, whose commit it waits for before the request leaves, and what is
 * to be said afterwards, for which it does not wait.  The worker writes all
 * messages it finds in one transaction that touches the audit log and contacts
 * only, so no lock of the caller's can be in its way.
 *
 * Two are enough: the messages of a box are written in their order, so once a
 * "sent" record is committed, what the box said of the request before is, too.
 *
 * A message goes FREE -> POSTED (session) -> TAKEN (worker, which copies it)
 * -> WRITTEN (after the commit; "sent" only) -> FREE.  A caller that gives up
 * withdraws: what is still POSTED is forgotten; what is TAKEN may be committed
 * any moment, so the worker then adds that nothing was sent.
 *
 * Every record is packed by mailbox_record.c, which is told the size of the
 * very box: a "sent" record that does not fit is refused before anything
 * leaves, what follows is cut.  The worker trusts no length it reads.
 *
 * Boxes are guarded by WawpShared.relay_lock.  Nothing here raises an error in
 * the session but relay_sent's wait, which serves interrupts: its caller must
 * withdraw on error, also on a FATAL one.
 *
 * IDENTIFICATION
 *	  src/tables/audit_mailbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "base/text_limit.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "protocol/jid.h"
#include "protocol/outcome.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tables/audit.h"
#include "tables/audit_mailbox.h"
#include "tables/contact.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"

/* room for a packed record of fifty people with every text at its limit (text_limit.h) */
#define RELAY_BYTES 12288

typedef enum RelayState
{
	RELAY_FREE,
	RELAY_POSTED,
	RELAY_TAKEN,
	RELAY_WRITTEN
} RelayState;

/* A record on its way from a session to the worker. */
typedef struct RelayMessage
{
	RelayState	state;
	Oid			dbid;			/* whose worker writes it */
	Latch	   *latch;			/* of the session */
	bool		withdrawn;		/* the session does not wait any more */
	bool		is_committed;	/* its record is in the log */
	int			length;
	char		data[RELAY_BYTES];
	WAWP_POISON_GAP
} RelayMessage;

/* One backend's.  All of it under WawpShared.relay_lock. */
typedef struct RelayBox
{
	RelayMessage sent;
	RelayMessage answered;
} RelayBox;

static RelayBox *boxes = NULL;	/* one for each backend */
static int	nboxes = 0;

/* Names, numbers, request id and whatever else is short; instance_id is not bounded and measured each time. */
#define RELAY_SMALL_TEXTS 768

StaticAssertDecl(TEXT_MAX_REASON + TEXT_MAX_ACTOR + RELAY_MAX_PEOPLE * (JID_SIZE + NAMEDATALEN + 8) + RELAY_SMALL_TEXTS <= RELAY_BYTES,
				 "a record with every text at its limit fits into its box");

/*
 * ---- while preloading
 */

Size
relay_shmem_size(void)
{
	return mul_size(MaxBackends, sizeof(RelayBox));
}

/* Also after a crash, when the memory is a new one at, perhaps, the same place. */
static void
clear_boxes(void)
{
	wawp_unpoison(boxes, nboxes * sizeof(RelayBox));
	memset(boxes, 0, nboxes * sizeof(RelayBox));
	for (int i = 0; i < nboxes; i++)
	{
		wawp_poison(&boxes[i].sent);
		wawp_poison(&boxes[i].answered);
	}
}

/* Called with AddinShmemInitLock held, once per process. */
void
relay_shmem_startup(void)
{
	bool		found;

	nboxes = MaxBackends;
	boxes = ShmemInitStruct("wawp relay", relay_shmem_size(), &found);
	if (!found)
		clear_boxes();
}

/*
 * ---- in the session
 */

/* True if there is room for a record and for what will be answered. */
bool
relay_fits(const RelayRecord *record)
{
	return record_fits(record, GetDatabaseEncoding(), RELAY_BYTES);
}

static RelayBox *
my_box(void)
{
	return &boxes[wawp_my_proc_number()];
}

/*
 * Frees a place that the backend which had this box before has left to the
 * worker of another database, where the extension is no more.
 */
static void
free_abandoned(RelayMessage *message)
{
	Oid			dbid = message->dbid;

	if (dbid == MyDatabaseId || message->state == RELAY_FREE || shmem_worker_pid(dbid) != 0)
		return;
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	if (message->dbid == dbid)
		message->state = RELAY_FREE;
	LWLockRelease(wawp_shared->relay_lock);
}

/*
 * Puts a record into a free place and wakes the worker; false: not free, or
 * too long for the place.  What has left already is cut rather than lost.
 */
static bool
post(RelayMessage *message, const RelayRecord *record, bool may_cut)
{
	size_t		used;
	bool		is_posted;

	free_abandoned(message);
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	is_posted = message->state == RELAY_FREE &&
		record_pack(record, may_cut, GetDatabaseEncoding(), message->data, sizeof(message->data),
					&used) != RECORD_TOO_LONG;
	if (is_posted)
	{
		message->dbid = MyDatabaseId;
		message->latch = MyLatch;
		message->length = (int) used;
		message->state = RELAY_POSTED;
		message->withdrawn = false;
		message->is_committed = false;
	}
	LWLockRelease(wawp_shared->relay_lock);
	if (is_posted)
		(void) shmem_bring_mail(MyDatabaseId);
	return is_posted;
}

static RelayState
state_of(const RelayMessage *message)
{
	RelayState	state;

	LWLockAcquire(wawp_shared->relay_lock, LW_SHARED);
	state = message->state;
	LWLockRelease(wawp_shared->relay_lock);
	return state;
}

/* Waits until a message is in a state; false: not until the deadline. */
static bool
wait_for_state(const RelayMessage *message, RelayState state, int64 deadline)
{
	while (state_of(message) != state)
		if (!clock_wait_for_latch(deadline))
			return state_of(message) == state;
	return true;
}

/*
 * Hands over a "sent" record and waits until it is committed.  Unless it is,
 * nothing may be sent, and the record says so or is not there.
 */
RelayFate
relay_sent(const RelayRecord *record, int timeout_ms)
{
	RelayMessage *message = &my_box()->sent;
	int64		deadline = clock_monotonic_ms() + timeout_ms;

	if (!relay_fits(record))
		return RELAY_TOO_LONG;
	free_abandoned(message);
	if (wait_for_state(message, RELAY_FREE, deadline) && post(message, record, false) &&
		wait_for_state(message, RELAY_WRITTEN, deadline))
	{
		LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
		message->state = RELAY_FREE;
		LWLockRelease(wawp_shared->relay_lock);
		return RELAY_COMMITTED;
	}
	relay_withdraw();
	return shmem_worker_pid(MyDatabaseId) == 0 ? RELAY_NO_WORKER : RELAY_LATE;
}

/* Takes a "sent" record back: its request does not leave. */
void
relay_withdraw(void)
{
	RelayMessage *message = &my_box()->sent;

	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	if (message->state == RELAY_POSTED && !message->is_committed)
		message->state = RELAY_FREE;
	else if (message->state == RELAY_TAKEN)
		message->withdrawn = true;
	else if (message->state == RELAY_WRITTEN)
	{
		/* written a moment too late: the worker has to add that nothing left */
		message->state = RELAY_POSTED;
		message->withdrawn = true;
	}
	LWLockRelease(wawp_shared->relay_lock);
	(void) shmem_bring_mail(MyDatabaseId);
}

/* Hands over what followed, without waiting; false: the place is not free. */
bool
relay_answered(const RelayRecord *record)
{
	return post(&my_box()->answered, record, true);
}

/* Waits until relay_answered has room again, after what it said before. */
bool
relay_wait_for_room(int timeout_ms)
{
	return wait_for_state(&my_box()->answered, RELAY_FREE, clock_monotonic_ms() + timeout_ms);
}

/*
 * ---- in the worker
 */

/* A message under way in the worker, in memory of its own. */
typedef struct Taken
{
	RelayMessage *message;
	bool		is_awaited;		/* a "sent" record */
	bool		only_withdrawal;	/* its record is committed already */
	bool		is_readable;
	char	   *data;
	size_t		length;
	RelayRecord record;			/* its texts are in data */
} Taken;

static MemoryContext taken_memory = NULL;
static List *taken = NIL;
static bool one_at_a_time = false;	/* what was written together has failed */
static int	next_box = 0;

/* Taken, but not written: it is to be taken again, unless nobody wants it any more. */
static void
give_back(RelayMessage *message)
{
	message->state = message->withdrawn && !message->is_committed ? RELAY_FREE : RELAY_POSTED;
	SetLatch(message->latch);
}

static void
recover(RelayMessage *message)
{
	if (message->dbid == MyDatabaseId && message->state == RELAY_TAKEN)
		give_back(message);
}

/* For a worker that follows one that ended in the middle. */
void
relay_recover(void)
{
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes; i++)
	{
		recover(&boxes[i].sent);
		recover(&boxes[i].answered);
	}
	LWLockRelease(wawp_shared->relay_lock);
}

static void
take(RelayMessage *message, bool is_awaited)
{
	Taken	   *one;

	if (message->dbid != MyDatabaseId || message->state != RELAY_POSTED)
		return;
	one = palloc(sizeof(Taken));
	one->message = message;
	one->is_awaited = is_awaited;
	one->only_withdrawal = message->is_committed;
	one->length = Min(Max(message->length, 0), (int) sizeof(message->data));
	one->data = palloc(Max(one->length, 1));
	memcpy(one->data, message->data, one->length);
	taken = lappend(taken, one);
	message->state = RELAY_TAKEN;
}

/* What a box said of the last request is written before the next is. */
static void
take_box(RelayBox *box)
{
	take(&box->answered, false);
	take(&box->sent, true);
}

/* Reads what was taken; what cannot be read is not written, and not awaited. */
static void
read_taken(void)
{
	ListCell   *lc;

	foreach(lc, taken)
	{
		Taken	   *one = lfirst(lc);

		one->is_readable = record_unpack(one->data, one->length, &one->record);
		if (!one->is_readable)
			ereport(LOG,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("a session's audit record cannot be read"),
					 errdetail("It has %zu bytes.", one->length)));
	}
}

/*
 * Takes over what sessions of this database have posted: all of it or, after a
 * failure, what one of them has.  False: there is nothing.
 */
bool
relay_take(void)
{
	MemoryContext caller;

	if (taken_memory == NULL)
		taken_memory = AllocSetContextCreate(TopMemoryContext, "wawp relay", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(taken_memory);
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes && !(one_at_a_time && taken != NIL); i++)
	{
		take_box(&boxes[(next_box + i) % nboxes]);
		if (one_at_a_time && taken != NIL)
			next_box = (next_box + i + 1) % nboxes;
	}
	LWLockRelease(wawp_shared->relay_lock);
	MemoryContextSwitchTo(caller);
	read_taken();
	return taken != NIL;
}

static void
write_row(const RelayRecord *record, const RelayPerson *person)
{
	AuditRecord row = {
		.kind = record->kind,
		.instance = record->instance,
		.instance_id = record->instance_id,
		.group_jid = record->group_jid,
		.contact_id = person->jid ? contact_id(person->jid) : 0,
		.action = record->action,
		.outcome = person->outcome,
		.http_status = record->http_status,
		.code = person->code,
		.login_role = record->login_role,
		.requested_by = record->requested_by,
		.actor = record->actor,
		.application_name = record->application_name,
		.client_addr = record->client_addr,
		.origin = record->origin,
		.reason = record->reason,
		.request_id = record->request_id,
		.duration_ms = record->duration_ms,
		.detail = record->detail
	};

	audit_write(&row);
}

static void
write_record(const RelayRecord *record)
{
	RelayPerson nobody = {.outcome = record->outcome,.code = record->code};

	for (int i = 0; i < record->npeople; i++)
		write_row(record, &record->people[i]);
	if (record->npeople == 0)
		write_row(record, &nobody);
}

/* Its session did not send it after all. */
static void
turn_into_withdrawal(RelayRecord *record)
{
	const char *outcome = outcome_info(WAWP_UNREACHABLE)->name;

	record->kind = "answered";
	record->outcome = outcome;
	record->detail = "{\"note\": \"not sent: the caller did not wait\"}";
	for (int i = 0; i < record->npeople; i++)
		record->people[i].outcome = outcome;
}

/*
 * Nobody waits for what was answered, and it is as good as lost anyhow if the
 * server ends before it is written: it may reach the disk with the next "sent".
 */
static void
do_not_wait_for_disk(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Body of the transaction that writes what was taken. */
void
relay_write(void)
{
	bool		is_awaited = false;
	ListCell   *lc;

	foreach(lc, taken)
		is_awaited |= ((const Taken *) lfirst(lc))->is_awaited;
	if (!is_awaited)
		do_not_wait_for_disk();
	audit_gather();
	foreach(lc, taken)
	{
		Taken	   *one = lfirst(lc);

		if (!one->is_readable)
			continue;
		if (one->only_withdrawal)
			turn_into_withdrawal(&one->record);
		write_record(&one->record);
	}
	audit_end_gathering();
}

/* Groups that these requests may have changed, as LaneKey pointers. */
List *
relay_changed_groups(void)
{
	MemoryContext caller = MemoryContextSwitchTo(taken_memory);
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, taken)
	{
		LaneKey    *key = palloc0(sizeof(LaneKey));
		const Taken *one = lfirst(lc);

		if (!one->is_readable || one->record.instance == NULL || one->record.group_jid == NULL)
			continue;
		namestrcpy(&key->instance, one->record.instance);
		strlcpy(key->group, one->record.group_jid, sizeof(key->group));
		groups = lappend(groups, key);
	}
	MemoryContextSwitchTo(caller);
	return groups;
}

static void
forget_taken(void)
{
	taken = NIL;
	MemoryContextReset(taken_memory);
}

/*
 * That transaction has committed: lets the sessions go on.  Must follow the
 * commit without an interrupt in between.  True: there is more to write.
 */
bool
relay_committed(void)
{
	ListCell   *lc;
	bool		more = one_at_a_time;

	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	foreach(lc, taken)
	{
		const Taken *one = lfirst(lc);
		RelayMessage *message = one->message;

		message->is_committed = true;
		if (!one->is_awaited || one->only_withdrawal || !one->is_readable)
			message->state = RELAY_FREE;
		else if (message->withdrawn)
		{
			message->state = RELAY_POSTED;
			more = true;
		}
		else
			message->state = RELAY_WRITTEN;
		SetLatch(message->latch);
	}
	LWLockRelease(wawp_shared->relay_lock);
	forget_taken();
	one_at_a_time = false;
	return more;
}

/* That transaction has not: each message is tried by itself. */
void
relay_aborted(void)
{
	ListCell   *lc;

	audit_forget_numbers();
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	foreach(lc, taken)
		give_back(((const Taken *) lfirst(lc))->message);
	LWLockRelease(wawp_shared->relay_lock);
	forget_taken();
	one_at_a_time = true;
}
