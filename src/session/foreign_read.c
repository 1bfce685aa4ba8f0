/*-------------------------------------------------------------------------
 *
 * foreign_read.c
 *	  Rows of groups that a statement has read, for foreign tables.
 *
 * A statement reads each list once, however many scans of it there are and
 * however often they begin again; it is the executor's state that tells one
 * statement from another.  A member list is read by one request, and the group's
 * description by a second where neither the list nor the list of groups tells how
 * many members there are: without that nobody knows whether the list is complete.
 *
 * Rows are numbered, and the number is the row's ctid, by which a DELETE or an
 * UPDATE finds it again.
 *
 * Memory: all that is read belongs to the statement and goes with it, also after
 * an error.  No locks.  A reading that fails is an error.
 *
 * IDENTIFICATION
 *	  src/session/foreign_read.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "executor/executor.h"
#include "protocol/member_list.h"
#include "session/foreign_read.h"
#include "session/groups.h"
#include "session/session_read.h"
#include "throttle/budget.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"

/* The size of a group that the list of groups has told is known for so long, as that of a description is to the worker ... */
#define STATED_MAX_AGE_MS (10 * 60 * 1000)
/* ... and for less if the group's list is shorter: somebody may have left since. */
#define STATED_DOUBT_MS 5000

/* Rows with the same block number in their ctid; offsets begin at 1. */
#define ROWS_PER_BLOCK 32768

struct ReadStatement
{
	MemoryContext key;			/* the executor's, which ends with the statement */
	MemoryContext memory;
	List	   *lists;			/* of ReadRows */
	int			nmember_lists;
	int64		next_id;
	ReadStatement *next;
	MemoryContextCallback at_end;
};

/* Statements under way in this process that have begun to scan a foreign table. */
static ReadStatement *statements = NULL;

/* Forget a statement: its memory goes. */
static void
foreign_read_forget(void *arg)
{
	for (ReadStatement **at = &statements; *at; at = &(*at)->next)
		if (*at == arg)
		{
			*at = (*at)->next;
			return;
		}
}

/* Return the statement that an executor's state belongs to. */
ReadStatement *
foreign_read_statement(EState *estate)
{
	ReadStatement *statement;
	MemoryContext key;

	/* rows that changed meanwhile are checked again in a state of their own, in the same statement */
	while (estate->es_epq_active)
		estate = estate->es_epq_active->parentestate;
	key = estate->es_query_cxt;
	for (statement = statements; statement; statement = statement->next)
		if (statement->key == key)
			return statement;
	statement = MemoryContextAllocZero(key, sizeof(ReadStatement));
	statement->key = key;
	statement->memory = AllocSetContextCreate(key, "wawp foreign rows", ALLOCSET_DEFAULT_SIZES);
	statement->next = statements;
	statement->at_end.func = foreign_read_forget;
	statement->at_end.arg = statement;
	MemoryContextRegisterResetCallback(key, &statement->at_end);
	statements = statement;
	return statement;
}

/* True if the statement has not read a member list yet. */
bool
foreign_read_is_first(const ReadStatement *statement)
{
	return statement->nmember_lists == 0;
}

/* Return what the statement has read of a group, "" of the account's groups; NULL if it has not. */
static const ReadRows *
foreign_read_find(const ReadStatement *statement, const ReadAs *as, const char *group)
{
	ListCell   *lc;

	foreach(lc, statement->lists)
	{
		const ReadRows *rows = lfirst(lc);

		if (rows->serverid == as->instance->serverid && rows->roleid == as->roleid && strcmp(rows->group, group) == 0)
			return rows;
	}
	return NULL;
}

/* Add rows that were read, to be filled, in the statement's memory, which is the current one. */
static ReadRows *
foreign_read_add(ReadStatement *statement, const ReadAs *as, const char *group, int n)
{
	ReadRows   *rows = palloc0(sizeof(ReadRows));

	rows->serverid = as->instance->serverid;
	rows->roleid = as->roleid;
	rows->group = pstrdup(group);
	rows->read_ms = clock_monotonic_ms();
	rows->rows = palloc_extended(sizeof(WawpRow) * Max(n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	rows->n = n;
	rows->first_id = statement->next_id;
	statement->next_id += n;
	return rows;
}

/* Set a column of a row to a text in UTF-8; NULL is null. */
static void
foreign_read_set_text(WawpRow *row, int column, const char *utf8)
{
	row->nulls[column] = utf8 == NULL;
	row->values[column] = utf8 ? CStringGetTextDatum(text_to_server(utf8)) : (Datum) 0;
}

/*
 * ---- groups
 */

/* Return the groups that the account is in. */
const ReadRows *
foreign_read_groups(ReadStatement *statement, const ReadAs *as)
{
	const ReadRows *known = foreign_read_find(statement, as, "");
	MemoryContext work;
	MemoryContext caller;
	ReadRows   *rows;
	List	   *groups;

	if (known)
		return known;
	work = AllocSetContextCreate(statement->memory, "wawp call", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(work);
	groups = groups_read_all(as->instance);
	MemoryContextSwitchTo(statement->memory);
	rows = foreign_read_add(statement, as, "", list_length(groups));
	for (int i = 0; i < rows->n; i++)
	{
		const WireGroup *group = list_nth(groups, i);

		foreign_read_set_text(&rows->rows[i], COLUMN_GROUP_JID, group->jid);
		foreign_read_set_text(&rows->rows[i], COLUMN_SUBJECT, group->subject);
		rows->rows[i].values[COLUMN_SIZE] = Int32GetDatum(group->size);
		rows->rows[i].nulls[COLUMN_SIZE] = group->size < 0;
	}
	statement->lists = lappend(statement->lists, rows);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return rows;
}

/*
 * ---- members
 */

/* Take a permit to read a group: waits for it, or takes it as far as the pace goes. */
static void
foreign_read_take_permit(const WawpInstance *instance, bool waits)
{
	if (waits)
		session_wait_to_read(instance);
	else
		(void) budget_take_read(instance, false);
}

/* Tell the caller that a list is not the whole group. */
static void
foreign_read_warn(const char *group, const char *gap)
{
	ereport(WARNING,
			(errmsg("the member list of group \"%s\" is not complete", group),
			 errdetail("As it was read, %s.", text_to_server(gap)),
			 errhint("Somebody who is not in it may be a member all the same; wawp_sync_group() plans only by what is known.")));
}

/*
 * Return the size of a group by the list of groups, if the statement has read it
 * not too long ago for a list of so many members; -1: not known.
 */
static int
foreign_read_stated(const ReadStatement *statement, const ReadAs *as, const char *group, int nmembers)
{
	const ReadRows *groups = foreign_read_find(statement, as, "");
	int64		age = groups ? clock_monotonic_ms() - groups->read_ms : 0;

	for (int i = 0; groups && i < groups->n && age <= STATED_MAX_AGE_MS; i++)
	{
		const WawpRow *row = &groups->rows[i];

		if (!row->nulls[COLUMN_GROUP_JID] && !row->nulls[COLUMN_SIZE] &&
			strcmp(TextDatumGetCString(row->values[COLUMN_GROUP_JID]), group) == 0)
			return age > STATED_DOUBT_MS && nmembers < DatumGetInt32(row->values[COLUMN_SIZE]) ? -1 :
				DatumGetInt32(row->values[COLUMN_SIZE]);
	}
	return -1;
}

/* True if a list is the whole group; warns if it is not. */
static bool
foreign_read_is_complete(const ReadStatement *statement, const ReadAs *as, const char *group, const WireMembers *list, bool waits)
{
	MembersKnown known = {.stated = foreign_read_stated(statement, as, group, wire_count_members(list))};
	WireGroup	info = {.size = -1};

	if (members_gap(list, &known) == MEMBERS_COMPLETE && known.stated < 0 && list->stated < 0)
	{
		bool		may_pass;

		foreign_read_take_permit(as->instance, waits);
		if (session_fetch_group(as->instance, group, &info, &may_pass))
			known.stated = info.size;
		known.is_untold = known.stated < 0;
	}
	if (members_gap(list, &known) == MEMBERS_COMPLETE)
		return true;
	foreign_read_warn(group, known.is_untold ? "nothing tells how many members there are" : members_gap_text(list, &known));
	return false;
}

static void
foreign_read_fill_member(WawpRow *row, const WireMembers *list, const WireMember *member)
{
	foreign_read_set_text(row, COLUMN_JID, member->jid.kind == JID_INVALID ? NULL : member->jid.text);
	foreign_read_set_text(row, COLUMN_PHONE_JID, member->phone.kind == JID_INVALID ? NULL : member->phone.text);
	foreign_read_set_text(row, COLUMN_LID, member->lid.kind == JID_INVALID ? NULL : member->lid.text);
	foreign_read_set_text(row, COLUMN_ROLE, groups_role_name(list, member));
}

/* Make rows of a list: one for each member, and one of nulls for each entry that is not understood. */
static const ReadRows *
foreign_read_keep(ReadStatement *statement, const ReadAs *as, const char *group, const WireMembers *list, bool complete)
{
	ReadRows   *rows = foreign_read_add(statement, as, group, list->count + list->unread);
	Datum		group_jid = CStringGetTextDatum(rows->group);
	int			n = 0;

	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT)
			foreign_read_fill_member(&rows->rows[n++], list, &list->members[i]);
	for (int i = 0; i < list->unread; i++, n++)
		for (int column = COLUMN_JID; column <= COLUMN_ROLE; column++)
			rows->rows[n].nulls[column] = true;
	rows->n = n;
	for (int i = 0; i < n; i++)
	{
		rows->rows[i].values[COLUMN_GROUP_JID] = group_jid;
		rows->rows[i].values[COLUMN_COMPLETE] = BoolGetDatum(complete);
	}
	statement->lists = lappend(statement->lists, rows);
	return rows;
}

/* Return the members of a group in normal form.  waits: the reading waits for its turn in reads_per_minute. */
const ReadRows *
foreign_read_members(ReadStatement *statement, const ReadAs *as, const char *group, bool waits)
{
	const ReadRows *rows = foreign_read_find(statement, as, group);
	MemoryContext work;
	MemoryContext caller;
	WireMembers list;
	bool		complete;

	if (rows)
		return rows;
	work = AllocSetContextCreate(statement->memory, "wawp call", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(work);
	foreign_read_take_permit(as->instance, waits);
	groups_read_members(as->instance, group, &list);
	complete = foreign_read_is_complete(statement, as, group, &list, waits);
	MemoryContextSwitchTo(statement->memory);
	rows = foreign_read_keep(statement, as, group, &list, complete);
	statement->nmember_lists++;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return rows;
}

/*
 * ---- rows by their ctid
 */

/* Set a ctid to that of the n-th of some rows. */
void
foreign_read_set_tid(const ReadRows *rows, int n, ItemPointer tid)
{
	int64		id = rows->first_id + n;

	ItemPointerSet(tid, (BlockNumber) (id / ROWS_PER_BLOCK), (OffsetNumber) (id % ROWS_PER_BLOCK + 1));
}

/* Return the row that has a ctid; raises an error if the statement has not read it. */
const WawpRow *
foreign_read_row_at(const ReadStatement *statement, ItemPointer tid)
{
	int64		id = (int64) ItemPointerGetBlockNumber(tid) * ROWS_PER_BLOCK + ItemPointerGetOffsetNumber(tid) - 1;
	ListCell   *lc;

	foreach(lc, statement->lists)
	{
		const ReadRows *rows = lfirst(lc);

		if (id >= rows->first_id && id < rows->first_id + rows->n)
			return &rows->rows[id - rows->first_id];
	}
	elog(ERROR, "row (%u,%u) of a foreign table was not read", ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid));
}
