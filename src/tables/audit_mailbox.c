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
 * the session but mailbox_post_sent's wait, which serves interrupts: its caller must
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
#define MAILBOX_BYTES 12288

typedef enum MailboxState
{
	MAILBOX_FREE,
	MAILBOX_POSTED,
	MAILBOX_TAKEN,
	MAILBOX_WRITTEN
} MailboxState;

/* A record on its way from a session to the worker. */
typedef struct MailboxMessage
{
	MailboxState state;
	Oid			dbid;			/* whose worker writes it */
	Latch	   *latch;			/* of the session */
	bool		withdrawn;		/* the session does not wait any more */
	bool		is_committed;	/* its record is in the log */
	int			length;
	char		data[MAILBOX_BYTES];
	WAWP_POISON_GAP
} MailboxMessage;

/* One backend's.  All of it under WawpShared.relay_lock. */
typedef struct Mailbox
{
	MailboxMessage sent;
	MailboxMessage answered;
} Mailbox;

static Mailbox *boxes = NULL;	/* one for each backend */
static int	nboxes = 0;

/* Names, numbers, request id and whatever else is short; instance_id is not bounded and measured each time. */
#define MAILBOX_SMALL_TEXTS 768

StaticAssertDecl(TEXT_MAX_REASON + TEXT_MAX_ACTOR + RELAY_MAX_PEOPLE * (JID_SIZE + NAMEDATALEN + 8) + MAILBOX_SMALL_TEXTS <= MAILBOX_BYTES,
				 "a record with every text at its limit fits into its box");

/*
 * ---- while preloading
 */

Size
relay_shmem_size(void)
{
	return mul_size(MaxBackends, sizeof(Mailbox));
}

/* Also after a crash, when the memory is a new one at, perhaps, the same place. */
static void
mailbox_clear(void)
{
	wawp_unpoison(boxes, nboxes * sizeof(Mailbox));
	memset(boxes, 0, nboxes * sizeof(Mailbox));
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
	boxes = ShmemInitStruct("wawp mailbox", relay_shmem_size(), &found);
	if (!found)
		mailbox_clear();
}

/*
 * ---- in the session
 */

/* True if there is room for a record and for what will be answered. */
bool
mailbox_fits(const RelayRecord *record)
{
	return record_fits(record, GetDatabaseEncoding(), MAILBOX_BYTES);
}

static Mailbox *
mailbox_mine(void)
{
	return &boxes[wawp_my_proc_number()];
}

/*
 * Frees a place that the backend which had this box before has left to the
 * worker of another database, where the extension is no more.
 */
static void
mailbox_free_abandoned(MailboxMessage *message)
{
	Oid			dbid = message->dbid;

	if (dbid == MyDatabaseId || message->state == MAILBOX_FREE || shmem_worker_pid(dbid) != 0)
		return;
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	if (message->dbid == dbid)
		message->state = MAILBOX_FREE;
	LWLockRelease(wawp_shared->relay_lock);
}

/*
 * Puts a record into a free place and wakes the worker; false: not free, or
 * too long for the place.  What has left already is cut rather than lost.
 */
static bool
mailbox_post(MailboxMessage *message, const RelayRecord *record, bool may_cut)
{
	size_t		used;
	bool		is_posted;

	mailbox_free_abandoned(message);
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	is_posted = message->state == MAILBOX_FREE &&
		record_pack(record, may_cut, GetDatabaseEncoding(), message->data, sizeof(message->data),
					&used) != RECORD_TOO_LONG;
	if (is_posted)
	{
		message->dbid = MyDatabaseId;
		message->latch = MyLatch;
		message->length = (int) used;
		message->state = MAILBOX_POSTED;
		message->withdrawn = false;
		message->is_committed = false;
	}
	LWLockRelease(wawp_shared->relay_lock);
	if (is_posted)
		(void) shmem_bring_mail(MyDatabaseId);
	return is_posted;
}

static MailboxState
mailbox_state(const MailboxMessage *message)
{
	MailboxState state;

	LWLockAcquire(wawp_shared->relay_lock, LW_SHARED);
	state = message->state;
	LWLockRelease(wawp_shared->relay_lock);
	return state;
}

/* Waits until a message is in a state; false: not until the deadline. */
static bool
mailbox_wait_for_state(const MailboxMessage *message, MailboxState state, int64 deadline)
{
	while (mailbox_state(message) != state)
		if (!clock_wait_for_latch(deadline))
			return mailbox_state(message) == state;
	return true;
}

/*
 * Hands over a "sent" record and waits until it is committed.  Unless it is,
 * nothing may be sent, and the record says so or is not there.
 */
MailboxFate
mailbox_post_sent(const RelayRecord *record, int timeout_ms)
{
	MailboxMessage *message = &mailbox_mine()->sent;
	int64		deadline = clock_monotonic_ms() + timeout_ms;

	if (!mailbox_fits(record))
		return MAILBOX_TOO_LONG;
	mailbox_free_abandoned(message);
	if (mailbox_wait_for_state(message, MAILBOX_FREE, deadline) && mailbox_post(message, record, false) &&
		mailbox_wait_for_state(message, MAILBOX_WRITTEN, deadline))
	{
		LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
		message->state = MAILBOX_FREE;
		LWLockRelease(wawp_shared->relay_lock);
		return MAILBOX_COMMITTED;
	}
	mailbox_withdraw();
	return shmem_worker_pid(MyDatabaseId) == 0 ? MAILBOX_NO_WORKER : MAILBOX_LATE;
}

/* Takes a "sent" record back: its request does not leave. */
void
mailbox_withdraw(void)
{
	MailboxMessage *message = &mailbox_mine()->sent;

	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	if (message->state == MAILBOX_POSTED && !message->is_committed)
		message->state = MAILBOX_FREE;
	else if (message->state == MAILBOX_TAKEN)
		message->withdrawn = true;
	else if (message->state == MAILBOX_WRITTEN)
	{
		/* written a moment too late: the worker has to add that nothing left */
		message->state = MAILBOX_POSTED;
		message->withdrawn = true;
	}
	LWLockRelease(wawp_shared->relay_lock);
	(void) shmem_bring_mail(MyDatabaseId);
}

/* Hands over what followed, without waiting; false: the place is not free. */
bool
mailbox_post_answered(const RelayRecord *record)
{
	return mailbox_post(&mailbox_mine()->answered, record, true);
}

/* Waits until mailbox_post_answered has room again, after what it said before. */
bool
mailbox_wait_for_room(int timeout_ms)
{
	return mailbox_wait_for_state(&mailbox_mine()->answered, MAILBOX_FREE, clock_monotonic_ms() + timeout_ms);
}

/*
 * ---- in the worker
 */

/* A message under way in the worker, in memory of its own. */
typedef struct MailboxTaken
{
	MailboxMessage *message;
	bool		is_awaited;		/* a "sent" record */
	bool		only_withdrawal;	/* its record is committed already */
	bool		is_readable;
	char	   *data;
	size_t		length;
	RelayRecord record;			/* its texts are in data */
} MailboxTaken;

static MemoryContext taken_memory = NULL;
static List *taken = NIL;
static bool one_at_a_time = false;	/* what was written together has failed */
static int	next_box = 0;

/* Taken, but not written: it is to be taken again, unless nobody wants it any more. */
static void
mailbox_give_back(MailboxMessage *message)
{
	message->state = message->withdrawn && !message->is_committed ? MAILBOX_FREE : MAILBOX_POSTED;
	SetLatch(message->latch);
}

static void
mailbox_recover_message(MailboxMessage *message)
{
	if (message->dbid == MyDatabaseId && message->state == MAILBOX_TAKEN)
		mailbox_give_back(message);
}

/* For a worker that follows one that ended in the middle. */
void
relay_recover(void)
{
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes; i++)
	{
		mailbox_recover_message(&boxes[i].sent);
		mailbox_recover_message(&boxes[i].answered);
	}
	LWLockRelease(wawp_shared->relay_lock);
}

static void
mailbox_take_message(MailboxMessage *message, bool is_awaited)
{
	MailboxTaken *one;

	if (message->dbid != MyDatabaseId || message->state != MAILBOX_POSTED)
		return;
	one = palloc(sizeof(MailboxTaken));
	one->message = message;
	one->is_awaited = is_awaited;
	one->only_withdrawal = message->is_committed;
	one->length = Min(Max(message->length, 0), (int) sizeof(message->data));
	one->data = palloc(Max(one->length, 1));
	memcpy(one->data, message->data, one->length);
	taken = lappend(taken, one);
	message->state = MAILBOX_TAKEN;
}

/* What a box said of the last request is written before the next is. */
static void
mailbox_take_box(Mailbox *box)
{
	mailbox_take_message(&box->answered, false);
	mailbox_take_message(&box->sent, true);
}

/* Reads what was taken; what cannot be read is not written, and not awaited. */
static void
mailbox_read_taken(void)
{
	ListCell   *lc;

	foreach(lc, taken)
	{
		MailboxTaken *one = lfirst(lc);

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
		taken_memory = AllocSetContextCreate(TopMemoryContext, "wawp mailbox", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(taken_memory);
	LWLockAcquire(wawp_shared->relay_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes && !(one_at_a_time && taken != NIL); i++)
	{
		mailbox_take_box(&boxes[(next_box + i) % nboxes]);
		if (one_at_a_time && taken != NIL)
			next_box = (next_box + i + 1) % nboxes;
	}
	LWLockRelease(wawp_shared->relay_lock);
	MemoryContextSwitchTo(caller);
	mailbox_read_taken();
	return taken != NIL;
}

static void
mailbox_write_row(const RelayRecord *record, const RelayPerson *person)
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
mailbox_write_record(const RelayRecord *record)
{
	RelayPerson nobody = {.outcome = record->outcome,.code = record->code};

	for (int i = 0; i < record->npeople; i++)
		mailbox_write_row(record, &record->people[i]);
	if (record->npeople == 0)
		mailbox_write_row(record, &nobody);
}

/* Its session did not send it after all. */
static void
mailbox_make_withdrawal(RelayRecord *record)
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
mailbox_do_not_wait_for_disk(void)
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
		is_awaited |= ((const MailboxTaken *) lfirst(lc))->is_awaited;
	if (!is_awaited)
		mailbox_do_not_wait_for_disk();
	audit_gather();
	foreach(lc, taken)
	{
		MailboxTaken *one = lfirst(lc);

		if (!one->is_readable)
			continue;
		if (one->only_withdrawal)
			mailbox_make_withdrawal(&one->record);
		mailbox_write_record(&one->record);
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
		const MailboxTaken *one = lfirst(lc);

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
mailbox_forget_taken(void)
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
		const MailboxTaken *one = lfirst(lc);
		MailboxMessage *message = one->message;

		message->is_committed = true;
		if (!one->is_awaited || one->only_withdrawal || !one->is_readable)
			message->state = MAILBOX_FREE;
		else if (message->withdrawn)
		{
			message->state = MAILBOX_POSTED;
			more = true;
		}
		else
			message->state = MAILBOX_WRITTEN;
		SetLatch(message->latch);
	}
	LWLockRelease(wawp_shared->relay_lock);
	mailbox_forget_taken();
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
		mailbox_give_back(((const MailboxTaken *) lfirst(lc))->message);
	LWLockRelease(wawp_shared->relay_lock);
	mailbox_forget_taken();
	one_at_a_time = true;
}
