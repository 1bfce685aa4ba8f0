/*-------------------------------------------------------------------------
 *
 * trigger_probe.c
 *	  Looks in an index of a user's table for rows that may name people.
 *
 * For each deleted row another one of its person is looked for, among all rows
 * of the group, since the index is on the group's column.  Statements would cost
 * several times as much: here the index gives the places of all rows that may
 * be meant, each page of the table is read once for all of them, and a row
 * whose last digits are another person's is not parsed.
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
#include "utils/pg_locale.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"

/* So many places of rows are kept at first, and at most. */
#define FEW_CANDIDATES 512
#define CANDIDATES 65536

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

/* True if values between two spellings of a group are spellings of it, as good as all: texts in the order of bytes. */
bool
trigger_probe_has_ranges(Oid type, Oid collation)
{
	return (type == TEXTOID || type == VARCHAROID) && wawp_is_c_collation(collation);
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

/* Compute the last digits that a text column of a row has; -1 if that says nothing. */
static int
row_last_digits(const ProbeState *state, Datum value)
{
	const		text *written;

	if (state->jid_type != TEXTOID && state->jid_type != VARCHAROID && state->jid_type != BPCHAROID)
		return -1;
	written = DatumGetTextPP(value);
	return jid_last_digits(VARDATA_ANY(written), VARSIZE_ANY_EXHDR(written));
}

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

/* True if a row's column names the person, whom `value` may name, and the row is in the group. */
static bool
is_sought(const ProbeState *state, HeapTuple row, Datum value, const SoughtRow *sought)
{
	Jid			jid = enqueue_parse(row_value_text(value, state->jid_type));
	const char *group;
	Jid			parsed;

	if (!jid_same(&jid, &sought->person))
		return false;
	group = row_text(state->probe->table, row, state->probe->group_column);
	parsed = enqueue_parse(group ? group : "");
	return jid_same(&parsed, &sought->group);
}

/* Compare a row with what is sought in a group, whose first sought row is the first-th. */
static void
compare_row(const ProbeState *state, HeapTuple row, int first)
{
	bool		isnull;
	Datum		value = heap_getattr(row, state->probe->jid_column, RelationGetDescr(state->probe->table), &isnull);
	int			digits = isnull ? -1 : row_last_digits(state, value);

	for (int i = first; !isnull && i < state->ends[first]; i++)
	{
		SoughtRow  *sought = state->sought[i];

		if (sought->result == ROW_NONE && (digits < 0 || state->last_digits[i] < 0 || digits == state->last_digits[i]) &&
			is_sought(state, row, value, sought))
			sought->result = lock_row(state, row);
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
	bool		all_visible;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	/* a serializable transaction has to note what it reads, as heap_hot_search_buffer() does */
	all_visible = PageIsAllVisible(BufferGetPage(buffer)) && !state->snapshot->takenDuringRecovery && !IsolationIsSerializable();
	for (int i = 0; i < n; i++)
		is_visible[i] = find_version(state, buffer, candidates[i], all_visible, &rows[i]);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	for (int i = 0; i < n; i++)
	{
		if (!is_visible[i])
			continue;
		pgstat_count_heap_fetch(state->index);
		compare_row(state, &rows[i], candidate_group(candidates[i]));
	}
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
sort_sought(ProbeState *state)
{
	qsort(state->sought, state->n, sizeof(SoughtRow *), compare_groups);
	state->ends = palloc(sizeof(int) * state->n);
	state->last_digits = palloc(sizeof(int) * state->n);
	for (int i = state->n - 1; i >= 0; i--)
	{
		const char *person = state->sought[i]->person.text;
		bool		is_last = i == state->n - 1 || compare_groups(&state->sought[i], &state->sought[i + 1]) != 0;

		state->ends[i] = is_last ? i + 1 : state->ends[i + 1];
		state->last_digits[i] = jid_last_digits(person, strlen(person));
	}
}

/* Look for all rows by the index. */
static void
probe_index(ProbeState *state)
{
	sort_sought(state);
	state->space = FEW_CANDIDATES;
	state->candidates = palloc(sizeof(Candidate) * state->space);
	state->spare = palloc(sizeof(Candidate) * state->space);
	state->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	state->scan = wawp_index_beginscan(state->probe->table, state->index, state->snapshot, 2);
	state->slot = table_slot_create(state->probe->table, NULL);
	for (int i = 0; i < state->n; i = state->ends[i])
		gather_group(state, i);
	look_at_candidates(state);
	ExecDropSingleTupleTableSlot(state->slot);
	index_endscan(state->scan);
	UnregisterSnapshot(state->snapshot);
	pfree(state->candidates);
	pfree(state->spare);
}

/*
 * Look for rows by an index whose first column is the group's, in a table that
 * has all its rows itself; sets the result of each, and their order.
 */
void
trigger_probe(const RowProbe *probe, SoughtRow **sought, int n)
{
	ProbeState	state = {.probe = probe, .sought = sought, .n = n};
	bool		is_possible = probe->table->rd_rel->relkind == RELKIND_RELATION && !probe->table->rd_rel->relhassubclass &&
		probe->table->rd_tableam == GetHeapamTableAmRoutine() && n <= MAX_SOUGHT &&
		!wawp_is_virtual(probe_attribute(probe, probe->jid_column));

	state.index = is_possible ? open_index_of_groups(probe) : NULL;
	for (int i = 0; i < n; i++)
		sought[i]->result = state.index ? ROW_NONE : ROW_UNKNOWN;
	if (state.index == NULL)
		return;
	state.jid_type = getBaseType(probe_attribute(probe, probe->jid_column)->atttypid);
	CommandCounterIncrement();
	probe_index(&state);
	index_close(state.index, NoLock);
}
