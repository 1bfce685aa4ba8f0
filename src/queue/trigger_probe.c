/*-------------------------------------------------------------------------
 *
 * trigger_probe.c
 *	  Looks for rows of a user's table that may name people, without statements.
 *
 * For each deleted row another one of its person is looked for, among all rows
 * of the group, since the index is on the group's column.  Statements would cost
 * several times as much: here the index gives the places of all rows that may
 * be meant, each page of the table is read once for all of them, and a row
 * whose last digits are another person's is not parsed.  Where no index is to be
 * used, the whole table is read, once.
 *
 * A probe sees the rows that a statement would see in its place and locks the
 * one it finds as that would; where the row was changed meanwhile, which the
 * statement knows to follow, it leaves the answer to that.
 *
 * Runs as the current role, which has to be the table's owner: the column's
 * type may have functions of a user's, which are called without a lock on a
 * page.  It checks no permission and no row security.  Locks on indexes are kept
 * until the transaction ends; memory is the caller's context, CANDIDATES places
 * of rows at once.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_probe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "queue/enqueue.h"
#include "queue/trigger_probe.h"
#include "queue/trigger_row.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"

/* So many places of rows are kept at first, and at most. */
#define FEW_CANDIDATES 512
#define CANDIDATES 65536

/* So many rows of the table are compared before their memory is freed. */
#define ROWS_TO_RESET 100

/*
 * The place of a row that the index has for a group, in the order of the table:
 * 32 bits are the page, 16 the place in it, and 16 the first sought row of the
 * group.
 */
typedef uint64 Candidate;

#define MAX_SOUGHT 65535
#define candidate_block(candidate) ((BlockNumber) ((candidate) >> 32))
#define candidate_offset(candidate) ((OffsetNumber) ((candidate) >> 16))
#define candidate_group(candidate) ((int) ((candidate) & 0xFFFF))

/* The state of a look into the index. */
typedef struct ProbeState
{
	const RowProbe *probe;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the row that is locked */
	Oid			jid_type;
	SoughtRow **sought;			/* those of one group side by side */
	int		   *ends;			/* the first one of the next group */
	int		   *last_digits;	/* of their people; -1: not to be told by them */
	int			n;
	MemoryContext row_memory;	/* of the values of a row */
	Candidate  *candidates;
	Candidate  *spare;			/* as much memory, for sorting */
	int			ncandidates;
	int			space;			/* for so many */
} ProbeState;

static Form_pg_attribute
probe_attribute(const RowProbe *probe, AttrNumber column)
{
	return TupleDescAttr(RelationGetDescr(probe->table), column - 1);
}

/*
 * ---- the index
 */

/*
 * True if the database's own collation compares bytes.  The server's function for
 * that is in a header that needs ICU's.
 */
static bool
database_is_bytewise(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool		isnull;
	Datum		name;
	bool		is_bytewise;

	if (!HeapTupleIsValid(tuple))
		return false;
	name = SysCacheGetAttr(DATABASEOID, tuple, Anum_pg_database_datcollate, &isnull);
	is_bytewise = !isnull && ((Form_pg_database) GETSTRUCT(tuple))->datlocprovider == COLLPROVIDER_LIBC &&
		(strcmp(TextDatumGetCString(name), "C") == 0 || strcmp(TextDatumGetCString(name), "POSIX") == 0);
	ReleaseSysCache(tuple);
	return is_bytewise;
}

/* True if a collation compares bytes; false also for those that do so by another name. */
static bool
collation_is_bytewise(Oid collation)
{
	return collation == C_COLLATION_OID || (collation == DEFAULT_COLLATION_OID && database_is_bytewise());
}

/* True if values between two spellings of a group are spellings of it, as good as all: texts in the order of bytes. */
bool
trigger_probe_has_ranges(Oid type, Oid collation)
{
	return (type == TEXTOID || type == VARCHAROID) && collation_is_bytewise(collation);
}

/* Return the operator by which an index compares its first column. */
static Oid
index_operator(Relation index, StrategyNumber strategy)
{
	return get_opfamily_member(index->rd_opfamily[0], index->rd_opcintype[0], index->rd_opcintype[0], strategy);
}

/* True if all rows are in the index, and it finds what the statement's comparison finds. */
static bool
is_index_of_groups(const RowProbe *probe, Relation index)
{
	Form_pg_attribute group = probe_attribute(probe, probe->group_column);

	return index->rd_index->indisvalid && !index->rd_index->indcheckxmin && index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_index->indkey.values[0] == probe->group_column &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		index->rd_indcollation[0] == group->attcollation &&
		index_operator(index, BTEqualStrategyNumber) == lookup_type_cache(getBaseType(group->atttypid), TYPECACHE_EQ_OPR)->eq_opr;
}

/* Open an index whose first column is the group's; NULL if there is none. */
static Relation
open_index_of_groups(const RowProbe *probe)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(probe->table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_index_of_groups(probe, index))
			return index;
		index_close(index, NoLock);
	}
	return NULL;
}

/*
 * ---- rows of the table
 */

/* Lock a row until the end of the transaction, as FOR SHARE does; wait for who changes it. */
static RowProbeResult
lock_row(const ProbeState *state, const HeapTupleData *row)
{
	TM_FailureData failure;
	ItemPointerData tid = row->t_self;
	TM_Result	result = table_tuple_lock(state->probe->table, &tid, state->snapshot, state->slot, GetCurrentCommandId(true),
										  LockTupleShare, LockWaitBlock, TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS, &failure);

	ExecClearTuple(state->slot);
	return result == TM_Ok ? ROW_LOCKED : ROW_UNKNOWN;
}

/* A row that may be one of those sought; its person is parsed when that is needed. */
typedef struct ProbedRow
{
	HeapTuple	tuple;
	const char *person;
	int			last_digits;
	bool		is_parsed;
	Jid			jid;
} ProbedRow;

/* Read a row's person; false if there is none. */
static bool
read_row(const ProbeState *state, HeapTuple tuple, ProbedRow *row)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, state->probe->jid_column, RelationGetDescr(state->probe->table), &isnull);

	if (isnull)
		return false;
	row->tuple = tuple;
	row->is_parsed = false;
	row->person = NULL;
	if (state->jid_type == TEXTOID || state->jid_type == VARCHAROID)
	{
		const		text *written = DatumGetTextPP(value);

		row->last_digits = jid_last_digits(VARDATA_ANY(written), VARSIZE_ANY_EXHDR(written));
	}
	else
	{
		row->person = row_value_text(value, state->jid_type);
		row->last_digits = jid_last_digits(row->person, strlen(row->person));
	}
	return true;
}

/* True if a row names the person and is in the group. */
static bool
is_sought(const ProbeState *state, ProbedRow *row, const SoughtRow *sought)
{
	const char *group;
	Jid			parsed;

	if (!row->is_parsed)
	{
		const char *person = row->person ? row->person : row_text(state->probe->table, row->tuple, state->probe->jid_column);

		row->jid = enqueue_parse(person);
		row->is_parsed = true;
	}
	if (!jid_same(&row->jid, &sought->person))
		return false;
	group = row_text(state->probe->table, row->tuple, state->probe->group_column);
	parsed = enqueue_parse(group ? group : "");
	return jid_same(&parsed, &sought->group);
}

/* Compare a row with what is sought from the first-th on to before `end`. */
static void
compare_row(const ProbeState *state, ProbedRow *row, int first, int end)
{
	for (int i = first; i < end; i++)
	{
		SoughtRow  *sought = state->sought[i];

		if (sought->result == ROW_NONE &&
			(row->last_digits < 0 || state->last_digits[i] < 0 || row->last_digits == state->last_digits[i]) &&
			is_sought(state, row, sought))
			sought->result = lock_row(state, row->tuple);
	}
}

/* Find the version of a candidate that the snapshot sees, on its page, which is locked; false if it sees none. */
static bool
find_version(const ProbeState *state, Buffer buffer, Candidate candidate, bool all_visible, HeapTuple row)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber offset = candidate_offset(candidate);
	ItemId		item = offset <= PageGetMaxOffsetNumber(page) ? PageGetItemId(page, offset) : NULL;

	ItemPointerData tid;

	ItemPointerSet(&tid, candidate_block(candidate), offset);
	if (!all_visible || item == NULL || !ItemIdIsNormal(item))
		return heap_hot_search_buffer(&tid, state->probe->table, buffer, state->snapshot, row, NULL, true);
	row->t_self = tid;
	row->t_tableOid = RelationGetRelid(state->probe->table);
	row->t_data = (HeapTupleHeader) PageGetItem(page, item);
	row->t_len = ItemIdGetLength(item);
	return !HeapTupleIsHeapOnly(row);
}

/*
 * Look at candidates on one page, of which there are n.  As a sequential scan
 * does it, the page is locked only while it is found out which rows are visible.
 */
static void
look_at_page(const ProbeState *state, const Candidate *candidates, int n)
{
	HeapTupleData rows[MaxHeapTuplesPerPage];
	bool		is_visible[MaxHeapTuplesPerPage];
	Buffer		buffer = ReadBuffer(state->probe->table, candidate_block(candidates[0]));
	MemoryContext caller;
	bool		all_visible;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	/* a serializable transaction has to note what it reads, as heap_hot_search_buffer() does */
	all_visible = PageIsAllVisible(BufferGetPage(buffer)) && !state->snapshot->takenDuringRecovery && !IsolationIsSerializable();
	for (int i = 0; i < n; i++)
		is_visible[i] = find_version(state, buffer, candidates[i], all_visible, &rows[i]);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	caller = MemoryContextSwitchTo(state->row_memory);
	for (int i = 0; i < n; i++)
	{
		int			first = candidate_group(candidates[i]);
		ProbedRow	row;

		if (!is_visible[i])
			continue;
		pgstat_count_heap_fetch(state->index);
		if (read_row(state, &rows[i], &row))
			compare_row(state, &row, first, state->ends[first]);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(state->row_memory);
	ReleaseBuffer(buffer);
}

/* Sort candidates by one byte of the page's number, from a place to another; keep the order of those with the same. */
static void
sort_by_byte(const Candidate *from, Candidate *to, int n, int shift)
{
	int			starts[257] = {0};

	for (int i = 0; i < n; i++)
		starts[(from[i] >> shift & 0xFF) + 1]++;
	for (int byte = 0; byte < 256; byte++)
		starts[byte + 1] += starts[byte];
	for (int i = 0; i < n; i++)
		to[starts[from[i] >> shift & 0xFF]++] = from[i];
}

/* Sort candidates by their pages: byte by byte, which costs a fraction of comparing them. */
static void
sort_candidates(ProbeState *state)
{
	BlockNumber highest = 0;

	for (int i = 0; i < state->ncandidates; i++)
		highest = Max(highest, candidate_block(state->candidates[i]));
	for (int shift = 32; shift < 64 && highest > 0; shift += 8, highest >>= 8)
	{
		Candidate  *sorted = state->spare;

		sort_by_byte(state->candidates, sorted, state->ncandidates, shift);
		state->spare = state->candidates;
		state->candidates = sorted;
	}
}

/* Look at all candidates, and forget them. */
static void
look_at_candidates(ProbeState *state)
{
	int			i = 0;

	sort_candidates(state);
	while (i < state->ncandidates)
	{
		int			n = 1;

		CHECK_FOR_INTERRUPTS();
		while (i + n < state->ncandidates && n < MaxHeapTuplesPerPage &&
			   candidate_block(state->candidates[i + n]) == candidate_block(state->candidates[i]))
			n++;
		look_at_page(state, &state->candidates[i], n);
		i += n;
	}
	state->ncandidates = 0;
}

/*
 * ---- places of rows
 */

/* Make space for another candidate. */
static void
make_space(ProbeState *state)
{
	if (state->space == CANDIDATES)
	{
		look_at_candidates(state);
		return;
	}
	state->space *= 2;
	state->candidates = repalloc(state->candidates, sizeof(Candidate) * state->space);
	state->spare = repalloc(state->spare, sizeof(Candidate) * state->space);
}

/* Gather the rows that the index has in a range, for the first-th sought row and those after it. */
static void
gather_range(ProbeState *state, int first, const RowRange *range, bool is_value)
{
	Relation	index = state->index;
	StrategyNumber low = is_value ? BTEqualStrategyNumber : BTGreaterEqualStrategyNumber;
	StrategyNumber high = is_value ? BTEqualStrategyNumber : BTLessEqualStrategyNumber;
	ScanKeyData keys[2];
	ItemPointer tid;

	ScanKeyEntryInitialize(&keys[0], 0, 1, low, InvalidOid, index->rd_indcollation[0],
						   get_opcode(index_operator(index, low)), range->first);
	ScanKeyEntryInitialize(&keys[1], 0, 1, high, InvalidOid, index->rd_indcollation[0],
						   get_opcode(index_operator(index, high)), range->last);
	index_rescan(state->scan, keys, lengthof(keys), NULL, 0);
	while ((tid = index_getnext_tid(state->scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (state->ncandidates == state->space)
			make_space(state);
		state->candidates[state->ncandidates++] = (uint64) ItemPointerGetBlockNumber(tid) << 32 |
			(uint64) ItemPointerGetOffsetNumber(tid) << 16 | (uint64) first;
	}
}

static bool
is_same_value(const ProbeState *state, Datum a, Datum b)
{
	Form_pg_attribute group = probe_attribute(state->probe, state->probe->group_column);

	return datum_image_eq(a, b, group->attbyval, group->attlen);
}

/* True if the range is among the first n of a sought row. */
static bool
has_range(const ProbeState *state, const SoughtRow *sought, int n, const RowRange *range)
{
	for (int i = 0; i < n; i++)
		if (is_same_value(state, sought->ranges[i].first, range->first) &&
			is_same_value(state, sought->ranges[i].last, range->last))
			return true;
	return false;
}

/*
 * Gather rows of a group, whose first sought row is the first-th.  The others
 * rarely have other spellings; a range that is gathered twice does no harm.
 */
static void
gather_group(ProbeState *state, int first)
{
	const SoughtRow *leading = state->sought[first];

	for (int i = first; i < state->ends[first]; i++)
	{
		const SoughtRow *sought = state->sought[i];
		const SoughtRow *before = state->sought[Max(i - 1, first)];

		for (int n = 0; n < sought->nranges; n++)
		{
			const RowRange *range = &sought->ranges[n];

			if (has_range(state, sought, n, range) || (i > first && has_range(state, leading, leading->nranges, range)) ||
				(i > first && has_range(state, before, before->nranges, range)))
				continue;
			gather_range(state, first, range, is_same_value(state, range->first, range->last));
		}
	}
}

static int
compare_groups(const void *a, const void *b)
{
	return strcmp((*(SoughtRow *const *) a)->group.text, (*(SoughtRow *const *) b)->group.text);
}

/* Put what is sought in one group side by side. */
static void
sort_by_group(ProbeState *state)
{
	qsort(state->sought, state->n, sizeof(SoughtRow *), compare_groups);
	state->ends = palloc(sizeof(int) * state->n);
	for (int i = state->n - 1; i >= 0; i--)
	{
		bool		is_last = i == state->n - 1 || compare_groups(&state->sought[i], &state->sought[i + 1]) != 0;

		state->ends[i] = is_last ? i + 1 : state->ends[i + 1];
	}
}

static int
sought_last_digits(const SoughtRow *sought)
{
	return jid_last_digits(sought->person.text, strlen(sought->person.text));
}

static void
fill_last_digits(ProbeState *state)
{
	state->last_digits = palloc(sizeof(int) * state->n);
	for (int i = 0; i < state->n; i++)
		state->last_digits[i] = sought_last_digits(state->sought[i]);
}

/* Look for all rows by the index. */
static void
probe_index(ProbeState *state)
{
	sort_by_group(state);
	fill_last_digits(state);
	state->space = FEW_CANDIDATES;
	state->candidates = palloc(sizeof(Candidate) * state->space);
	state->spare = palloc(sizeof(Candidate) * state->space);
	state->scan = wawp_index_beginscan(state->probe->table, state->index, state->snapshot, 2);
	for (int i = 0; i < state->n; i = state->ends[i])
		gather_group(state, i);
	look_at_candidates(state);
	index_endscan(state->scan);
	pfree(state->candidates);
	pfree(state->spare);
}

/*
 * ---- the whole table
 */

static int
compare_last_digits(const void *a, const void *b)
{
	int			first = sought_last_digits(*(SoughtRow *const *) a);
	int			second = sought_last_digits(*(SoughtRow *const *) b);

	return first < second ? -1 : first > second;
}

/* Return the first sought row whose last digits are not below those. */
static int
first_with_digits(const ProbeState *state, int last_digits)
{
	int			low = 0;
	int			high = state->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (state->last_digits[middle] < last_digits)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Compare a row with all that its last digits do not exclude; those of which they say nothing come first. */
static void
compare_with_all(const ProbeState *state, HeapTuple tuple)
{
	ProbedRow	row;

	if (!read_row(state, tuple, &row))
		return;
	if (row.last_digits < 0)
		compare_row(state, &row, 0, state->n);
	else
	{
		compare_row(state, &row, 0, first_with_digits(state, 0));
		compare_row(state, &row, first_with_digits(state, row.last_digits), first_with_digits(state, row.last_digits + 1));
	}
}

/* Look for all rows by reading the table. */
static void
probe_table(ProbeState *state)
{
	TableScanDesc scan = wawp_table_beginscan(state->probe->table, state->snapshot);
	TupleTableSlot *slot = table_slot_create(state->probe->table, NULL);
	MemoryContext caller = CurrentMemoryContext;
	int			n = 0;

	qsort(state->sought, state->n, sizeof(SoughtRow *), compare_last_digits);
	fill_last_digits(state);
	MemoryContextSwitchTo(state->row_memory);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		compare_with_all(state, ExecFetchSlotHeapTuple(slot, false, NULL));
		if (++n % ROWS_TO_RESET == 0)
			MemoryContextReset(state->row_memory);
	}
	MemoryContextSwitchTo(caller);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
}

/*
 * ---- what trigger_search.c asks
 */

/*
 * Look for rows in a table that has all its rows itself, by an index whose first
 * column is the group's if that is wanted; set the result of each, and their order.
 */
void
trigger_probe(const RowProbe *probe, bool by_index, SoughtRow **sought, int n)
{
	ProbeState	state = {.probe = probe, .sought = sought, .n = n};
	bool		is_possible = probe->table->rd_rel->relkind == RELKIND_RELATION && !probe->table->rd_rel->relhassubclass &&
		probe->table->rd_tableam == GetHeapamTableAmRoutine() && n <= MAX_SOUGHT &&
		!wawp_is_virtual(probe_attribute(probe, probe->jid_column));

	state.index = is_possible && by_index ? open_index_of_groups(probe) : NULL;
	is_possible = is_possible && (!by_index || state.index);
	for (int i = 0; i < n; i++)
		sought[i]->result = is_possible ? ROW_NONE : ROW_UNKNOWN;
	if (!is_possible)
		return;
	CommandCounterIncrement();
	state.jid_type = getBaseType(probe_attribute(probe, probe->jid_column)->atttypid);
	state.row_memory = AllocSetContextCreate(CurrentMemoryContext, "wawp probed row", ALLOCSET_DEFAULT_SIZES);
	state.snapshot = RegisterSnapshot(GetTransactionSnapshot());
	state.slot = table_slot_create(probe->table, NULL);
	if (by_index)
		probe_index(&state);
	else
		probe_table(&state);
	ExecDropSingleTupleTableSlot(state.slot);
	UnregisterSnapshot(state.snapshot);
	MemoryContextDelete(state.row_memory);
	pfree(state.last_digits);
	if (by_index)
		index_close(state.index, NoLock);
}
