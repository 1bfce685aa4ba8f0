/*-------------------------------------------------------------------------
 *
 * audit_mailbox.c
 *	  Carries records of session calls to the worker, which writes them.
 *
 * A membership request must leave a durable record even when its caller rolls
 * back or dies, so the caller's transaction cannot write it.  Each backend has
 * a mailbox in shared memory with room for two messages: the "sent" record of a
 * request, for whose commit it waits before the request leaves, and the record
 * of the answer, for which it does not wait.  The worker writes all messages it
 * finds in one transaction that touches the audit log and contacts only, so
 * that no lock of the caller can block it.
 *
 * Two are enough: the messages of a mailbox are written in their order, so once
 * a "sent" record is committed, so are the records of the request before.
 *
 * A record of a person whom a transaction under way is storing, the caller's
 * perhaps, has to wait for its end; the worker does not.  It gives the message
 * back, with those behind it in its mailbox, and takes it again a little later.
 *
 * A message goes FREE -> POSTED (session) -> TAKEN (worker, which copies it)
 * -> WRITTEN (after the commit; "sent" only) -> FREE.  A caller that gives up
 * withdraws: a message that is still POSTED is dropped; one that is TAKEN may
 * be committed at any moment, so the worker then adds that nothing was sent.
 *
 * Every record is packed by mailbox_record.c, which is told the size of the
 * message: a "sent" record that does not fit is refused before anything leaves,
 * a later one is cut.  The worker trusts no length it reads.
 *
 * Locks: mailboxes are guarded by WawpShared.mailbox_lock, held for a copy and
 * for changes of state.  Memory: messages that the worker has taken are in a
 * context of this module until their transaction has ended.  The only function
 * that raises an error in the session is mailbox_post_sent(), whose wait serves
 * interrupts: its caller must withdraw on error, also on a FATAL one.
 *
 * IDENTIFICATION
 *	  src/tables/audit_mailbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
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
#include "utils/timestamp.h"

#include "compat.h"

/* Room for a packed record of fifty people with every text at its limit (text_limit.h). */
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
	Oid			dbid;			/* the database whose worker writes it */
	Latch	   *latch;			/* of the session */
	bool		is_withdrawn;	/* the session does not wait any more */
	bool		is_committed;	/* its record is in the log */
	int64		began_ms;		/* when the statement did whose record it is, monotonic */
	int64		forgotten_ms;	/* when somebody was erased last, monotonic; 0: nobody was */
	int			length;
	char		data[MAILBOX_BYTES];
	WAWP_POISON_GAP
} MailboxMessage;

/* The mailbox of one backend, guarded by WawpShared.mailbox_lock. */
typedef struct Mailbox
{
	MailboxMessage sent;
	MailboxMessage answered;
} Mailbox;

static Mailbox *boxes = NULL;	/* one for each backend */
static int	nboxes = 0;

/* Names, numbers, request id and other short texts; instance_id has no limit and is measured each time. */
#define MAILBOX_SMALL_TEXTS 768

StaticAssertDecl(TEXT_MAX_REASON + TEXT_MAX_ACTOR + MAILBOX_MAX_PEOPLE * (JID_SIZE + NAMEDATALEN + 8) + MAILBOX_SMALL_TEXTS <= MAILBOX_BYTES,
				 "a record with every text at its limit fits into its box");

/*
 * ---- while preloading
 */

/* Return the size of all mailboxes. */
Size
mailbox_shmem_size(void)
{
	return mul_size(MaxBackends, sizeof(Mailbox));
}

/* Empty all mailboxes; also after a crash, when new memory may be at the old address. */
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

/* Find or make the mailboxes; called once per process, with AddinShmemInitLock held. */
void
mailbox_shmem_startup(void)
{
	bool		found;

	nboxes = MaxBackends;
	boxes = ShmemInitStruct("wawp mailbox", mailbox_shmem_size(), &found);
	if (!found)
		mailbox_clear();
}

/*
 * ---- in the session
 */

/* True if there is room for a record and for that of its answer. */
bool
mailbox_fits(const MailboxRecord *record)
{
	return record_fits(record, GetDatabaseEncoding(), MAILBOX_BYTES);
}

/* Return the mailbox of this backend. */
static Mailbox *
mailbox_mine(void)
{
	return &boxes[wawp_my_proc_number()];
}

/*
 * Free a message that the previous owner of this mailbox posted to the worker of
 * another database, if no worker runs there any more.
 */
static void
mailbox_free_abandoned(MailboxMessage *message)
{
	Oid			dbid = message->dbid;

	if (dbid == MyDatabaseId || message->state == MAILBOX_FREE || shmem_worker_pid(dbid) != 0)
		return;
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	if (message->dbid == dbid)
		message->state = MAILBOX_FREE;
	LWLockRelease(wawp_shared->mailbox_lock);
}

/*
 * Post a record and wake the worker; false if the message is not free or the
 * record too long.  may_cut: shorten texts, since the request has left already.
 */
static bool
mailbox_post(MailboxMessage *message, const MailboxRecord *record, bool may_cut)
{
	size_t		used;
	bool		is_posted;

	mailbox_free_abandoned(message);
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	is_posted = message->state == MAILBOX_FREE &&
		record_pack(record, may_cut, GetDatabaseEncoding(), message->data, sizeof(message->data),
					&used) != RECORD_TOO_LONG;
	if (is_posted)
	{
		message->dbid = MyDatabaseId;
		message->latch = MyLatch;
		message->began_ms = clock_monotonic_ms() -
			TimestampDifferenceMilliseconds(GetCurrentStatementStartTimestamp(), GetCurrentTimestamp());
		message->length = (int) used;
		message->state = MAILBOX_POSTED;
		message->is_withdrawn = false;
		message->is_committed = false;
	}
	LWLockRelease(wawp_shared->mailbox_lock);
	if (is_posted)
		(void) shmem_bring_mail(MyDatabaseId);
	return is_posted;
}

/* Return the state of a message. */
static MailboxState
mailbox_state(const MailboxMessage *message)
{
	MailboxState state;

	LWLockAcquire(wawp_shared->mailbox_lock, LW_SHARED);
	state = message->state;
	LWLockRelease(wawp_shared->mailbox_lock);
	return state;
}

/* Wait until a message is in a state; false if it is not by the deadline (monotonic ms). */
static bool
mailbox_wait_for_state(const MailboxMessage *message, MailboxState state, int64 deadline)
{
	while (mailbox_state(message) != state)
		if (!clock_wait_for_latch(deadline))
			return mailbox_state(message) == state;
	return true;
}

/*
 * Post a "sent" record and wait until it is committed.  Unless it is, nothing
 * may be sent; the log then has no such record, or one that says so.
 */
MailboxFate
mailbox_post_sent(const MailboxRecord *record, int timeout_ms)
{
	MailboxMessage *message = &mailbox_mine()->sent;
	int64		deadline = clock_monotonic_ms() + timeout_ms;

	if (!mailbox_fits(record))
		return MAILBOX_TOO_LONG;
	mailbox_free_abandoned(message);
	if (mailbox_wait_for_state(message, MAILBOX_FREE, deadline) && mailbox_post(message, record, false) &&
		mailbox_wait_for_state(message, MAILBOX_WRITTEN, deadline))
	{
		LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
		message->state = MAILBOX_FREE;
		LWLockRelease(wawp_shared->mailbox_lock);
		return MAILBOX_COMMITTED;
	}
	mailbox_withdraw();
	return shmem_worker_pid(MyDatabaseId) == 0 ? MAILBOX_NO_WORKER : MAILBOX_LATE;
}

/* Withdraw a "sent" record, whose request does not leave. */
void
mailbox_withdraw(void)
{
	MailboxMessage *message = &mailbox_mine()->sent;

	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	if (message->state == MAILBOX_POSTED && !message->is_committed)
		message->state = MAILBOX_FREE;
	else if (message->state == MAILBOX_TAKEN)
		message->is_withdrawn = true;
	else if (message->state == MAILBOX_WRITTEN)
	{
		/* written a moment too late: the worker has to add that nothing left */
		message->state = MAILBOX_POSTED;
		message->is_withdrawn = true;
	}
	LWLockRelease(wawp_shared->mailbox_lock);
	(void) shmem_bring_mail(MyDatabaseId);
}

/* Post the record of an answer, without waiting; false if the message is not free. */
bool
mailbox_post_answered(const MailboxRecord *record)
{
	return mailbox_post(&mailbox_mine()->answered, record, true);
}

/* Wait until mailbox_post_answered() has room again; false if it has none in time. */
bool
mailbox_wait_for_room(int timeout_ms)
{
	return mailbox_wait_for_state(&mailbox_mine()->answered, MAILBOX_FREE, clock_monotonic_ms() + timeout_ms);
}

/* Return the number of this database's records that are not in the log yet. */
int
mailbox_count_waiting(void)
{
	int			waiting = 0;

	LWLockAcquire(wawp_shared->mailbox_lock, LW_SHARED);
	for (int i = 0; i < nboxes; i++)
	{
		const MailboxMessage *messages[] = {&boxes[i].sent, &boxes[i].answered};

		for (size_t m = 0; m < lengthof(messages); m++)
			waiting += messages[m]->dbid == MyDatabaseId &&
				(messages[m]->state == MAILBOX_POSTED || messages[m]->state == MAILBOX_TAKEN);
	}
	LWLockRelease(wawp_shared->mailbox_lock);
	return waiting;
}

/*
 * ---- in the worker
 */

/* A message that the worker writes, copied. */
typedef struct MailboxTaken
{
	MailboxMessage *message;
	const Mailbox *box;			/* that it is in */
	bool		is_awaited;		/* a "sent" record */
	bool		is_put_off;		/* one of its people is just being stored: it was not written */
	bool		only_withdrawal;	/* its record is committed already */
	bool		is_outdated;	/* somebody was erased since its statement began */
	bool		is_readable;
	char	   *data;
	size_t		length;
	MailboxRecord record;			/* its texts are in data */
} MailboxTaken;

static MemoryContext taken_memory = NULL;
static List *taken = NIL;
static bool one_at_a_time = false;	/* writing them together has failed */
static int	next_box = 0;

/* Return a message that was not written to POSTED, or free it if it is withdrawn; the caller has the lock. */
static void
mailbox_give_back(MailboxMessage *message)
{
	message->state = message->is_withdrawn && !message->is_committed ? MAILBOX_FREE : MAILBOX_POSTED;
	SetLatch(message->latch);
}

/* Give back a message that the worker before this one had taken; the caller has the lock. */
static void
mailbox_recover_message(MailboxMessage *message)
{
	if (message->dbid == MyDatabaseId && message->state == MAILBOX_TAKEN)
		mailbox_give_back(message);
}

/* Give back what a worker that ended in the middle had taken; to be called by its successor. */
void
mailbox_recover(void)
{
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes; i++)
	{
		mailbox_recover_message(&boxes[i].sent);
		mailbox_recover_message(&boxes[i].answered);
	}
	LWLockRelease(wawp_shared->mailbox_lock);
}

/* Copy a posted message into the list of taken ones; the caller has the lock. */
static void
mailbox_take_message(const Mailbox *box, MailboxMessage *message, bool is_awaited)
{
	MailboxTaken *one;

	if (message->dbid != MyDatabaseId || message->state != MAILBOX_POSTED)
		return;
	one = palloc(sizeof(MailboxTaken));
	one->message = message;
	one->box = box;
	one->is_awaited = is_awaited;
	one->is_put_off = false;
	one->only_withdrawal = message->is_committed;
	one->is_outdated = message->began_ms <= message->forgotten_ms;
	one->length = Min(Max(message->length, 0), (int) sizeof(message->data));
	one->data = palloc(Max(one->length, 1));
	memcpy(one->data, message->data, one->length);
	taken = lappend(taken, one);
	message->state = MAILBOX_TAKEN;
}

/* Take both messages; the answer comes first, since it belongs to the request before. */
static void
mailbox_take_box(Mailbox *box)
{
	mailbox_take_message(box, &box->answered, false);
	mailbox_take_message(box, &box->sent, true);
}

/* Unpack what was taken.  A message that cannot be read is not written, and its session does not wait for it. */
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
					 errmsg("could not read the audit record of a session"),
					 errdetail("It has %zu bytes.", one->length)));
	}
}

/*
 * Take what sessions of this database have posted: all of it or, after a
 * failure, one session's.  False if there is nothing.
 */
bool
mailbox_take(void)
{
	MemoryContext caller;

	if (taken_memory == NULL)
		taken_memory = AllocSetContextCreate(TopMemoryContext, "wawp mailbox", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(taken_memory);
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	for (int i = 0; i < nboxes && !(one_at_a_time && taken != NIL); i++)
	{
		mailbox_take_box(&boxes[(next_box + i) % nboxes]);
		if (one_at_a_time && taken != NIL)
			next_box = (next_box + i + 1) % nboxes;
	}
	LWLockRelease(wawp_shared->mailbox_lock);
	MemoryContextSwitchTo(caller);
	mailbox_read_taken();
	return taken != NIL;
}

/*
 * Write a record, a row for each person or one about nobody, and the LIDs in it.
 * A LID beside somebody who is not on WhatsApp is not kept: it would say that they are.
 */
static void
mailbox_write_record(const MailboxRecord *record)
{
	AuditRecord row = record->row;
	bool		has_rows = strcmp(row.kind, MAILBOX_PAIRS) != 0;

	for (int i = 0; i < record->npeople; i++)
	{
		const MailboxPerson *person = &record->people[i];

		row.contact_id = person->jid ? contact_id(person->jid) : 0;
		row.outcome = person->outcome;
		row.code = person->code;
		if (has_rows)
			audit_write(&row);
		if (person->jid && person->outcome && strcmp(person->outcome, outcome_info(WAWP_NOT_ON_WHATSAPP)->name) == 0)
			contact_forget_account(person->jid);
		else if (person->jid && person->lid)
			contact_note_lid(person->jid, person->lid);
	}
	if (record->npeople == 0 && has_rows)
		audit_write(&row);
}

/* Turn a "sent" record into one that says that its session did not send it. */
static void
mailbox_make_withdrawal(MailboxRecord *record)
{
	const char *outcome = outcome_info(WAWP_UNREACHABLE)->name;

	record->row.kind = "answered";
	record->row.outcome = outcome;
	record->row.detail = "{\"note\": \"not sent: the caller did not wait\"}";
	for (int i = 0; i < record->npeople; i++)
		record->people[i].outcome = outcome;
}

/*
 * Let this transaction commit without waiting for the disk: nobody waits for the
 * record of an answer, which is lost anyway if the server ends while it is in
 * shared memory.
 */
static void
mailbox_do_not_wait_for_disk(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* True if one of a record's people is just being stored by somebody else. */
static bool
mailbox_has_pending(const MailboxRecord *record)
{
	for (int i = 0; i < record->npeople; i++)
		if (record->people[i].jid && contact_is_pending(record->people[i].jid))
			return true;
	return false;
}

/* Write a message that was taken. */
static void
mailbox_write_taken(MailboxTaken *one)
{
	if (one->only_withdrawal)
		mailbox_make_withdrawal(&one->record);
	if (one->is_outdated)
		audit_take_sent_texts(&one->record.row);
	mailbox_write_record(&one->record);
}

/* Write what was taken, as the body of a transaction. */
void
mailbox_write(void)
{
	bool		is_awaited = false;
	const Mailbox *put_off = NULL;
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
		one->is_put_off = one->box == put_off || mailbox_has_pending(&one->record);
		if (one->is_put_off)
			put_off = one->box;
		else
			mailbox_write_taken(one);
	}
	audit_end_gathering();
}

/* Return the groups that these requests may have changed, as LaneKey pointers that live until the next of the two calls below. */
List *
mailbox_changed_groups(void)
{
	MemoryContext caller = MemoryContextSwitchTo(taken_memory);
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, taken)
	{
		LaneKey    *key = palloc(sizeof(LaneKey));
		const MailboxTaken *one = lfirst(lc);

		if (!one->is_readable || (one->is_awaited && one->is_put_off) || one->record.row.instance == NULL || one->record.row.group_jid == NULL)
			continue;
		*key = lane_key(one->record.row.instance, one->record.row.group_jid);
		groups = lappend(groups, key);
	}
	MemoryContextSwitchTo(caller);
	return groups;
}

/* Forget what was taken and free its memory. */
static void
mailbox_forget_taken(void)
{
	taken = NIL;
	MemoryContextReset(taken_memory);
}

/*
 * Let the sessions go on after the commit; must follow it without an interrupt
 * in between.  True if there is more to write; set *later if something else was
 * put off.
 */
bool
mailbox_committed(bool *later)
{
	ListCell   *lc;
	bool		more = one_at_a_time;

	*later = false;
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	foreach(lc, taken)
	{
		const MailboxTaken *one = lfirst(lc);
		MailboxMessage *message = one->message;

		if (one->is_put_off)
		{
			mailbox_give_back(message);
			*later = true;
			continue;
		}
		message->is_committed = true;
		if (!one->is_awaited || one->only_withdrawal || !one->is_readable)
			message->state = MAILBOX_FREE;
		else if (message->is_withdrawn)
		{
			message->state = MAILBOX_POSTED;
			more = true;
		}
		else
			message->state = MAILBOX_WRITTEN;
		SetLatch(message->latch);
	}
	LWLockRelease(wawp_shared->mailbox_lock);
	mailbox_forget_taken();
	one_at_a_time = false;
	return more;
}

/* Give back what was taken after an abort; from now on each session's messages are tried by themselves. */
void
mailbox_aborted(void)
{
	ListCell   *lc;

	audit_forget_numbers();
	LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
	foreach(lc, taken)
		mailbox_give_back(((const MailboxTaken *) lfirst(lc))->message);
	LWLockRelease(wawp_shared->mailbox_lock);
	mailbox_forget_taken();
	one_at_a_time = true;
}

/*
 * Overwrite the records in mailboxes that are free: somebody was erased.  What
 * statements under way still post may name them, whatever its person.
 */
void
mailbox_forget_people(void)
{
	for (int i = 0; i < nboxes; i++)
	{
		MailboxMessage *messages[] = {&boxes[i].sent, &boxes[i].answered};

		LWLockAcquire(wawp_shared->mailbox_lock, LW_EXCLUSIVE);
		for (size_t m = 0; m < lengthof(messages); m++)
		{
			messages[m]->forgotten_ms = clock_monotonic_ms();
			if (messages[m]->state == MAILBOX_FREE)
				memset(messages[m]->data, 0, sizeof(messages[m]->data));
		}
		LWLockRelease(wawp_shared->mailbox_lock);
	}
}
