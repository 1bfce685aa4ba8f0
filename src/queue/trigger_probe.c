/*-------------------------------------------------------------------------
 *
 * trigger_probe.c
 *	  Looks in an index of a user's table for rows that may name a person.
 *
 * For each deleted row another one of its person is looked for, which by a
 * statement costs three times as much as by reading the index.  A probe sees the
 * rows that the statement would see in its place and locks the one it finds as
 * that would; where the row was changed meanwhile, which the statement knows to
 * follow, it leaves the answer to that.
 *
 * Runs as the current role, which has to be the table's owner: the column's
 * type may have functions of a user's.  It checks no permission and no row
 * security.  Locks on indexes are kept until the transaction ends; memory is
 * the caller's context.
 *
 * IDENTIFICATION
 *	  src/queue/trigger_probe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "queue/enqueue.h"
#include "queue/trigger_probe.h"
#include "queue/trigger_row.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"

static Form_pg_attribute
probe_attribute(const RowProbe *probe, AttrNumber column)
{
	return TupleDescAttr(RelationGetDescr(probe->table), column - 1);
}

/* Returns the equality operator by which an index compares its first column. */
static Oid
index_equality(Relation index)
{
	return get_opfamily_member(index->rd_opfamily[0], index->rd_opcintype[0], index->rd_opcintype[0],
							   BTEqualStrategyNumber);
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
		index_equality(index) == lookup_type_cache(getBaseType(group->atttypid), TYPECACHE_EQ_OPR)->eq_opr;
}

/* Opens an index whose first column is the group's; NULL if there is none. */
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

/* True if a row's column, of that base type, names the person; a text whose digits end otherwise is not parsed. */
static bool
is_row_of_person(const RowProbe *probe, Oid type, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, probe->jid_column, &isnull);
	Jid			jid;

	if (isnull)
		return false;
	if (type == TEXTOID || type == VARCHAROID || type == BPCHAROID)
	{
		const		text *written = DatumGetTextPP(value);

		if (!jid_may_name(probe->jid, VARDATA_ANY(written), VARSIZE_ANY_EXHDR(written)))
			return false;
	}
	jid = enqueue_parse(row_value_text(value, type));
	return jid_same(&jid, probe->jid);
}

/* Locks the row in the slot until the end of the transaction, as FOR SHARE does; waits for who changes it. */
static RowProbeResult
lock_row(const RowProbe *probe, Snapshot snapshot, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	TM_FailureData failure;

	return table_tuple_lock(probe->table, &tid, snapshot, slot, GetCurrentCommandId(true), LockTupleShare, LockWaitBlock,
							TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS, &failure) == TM_Ok ? ROW_LOCKED : ROW_UNKNOWN;
}

/* Looks for a row of the person among those that the index has for a value. */
static RowProbeResult
probe_value(const RowProbe *probe, Relation index, IndexScanDesc scan, Datum value, TupleTableSlot *slot)
{
	Oid			type = getBaseType(probe_attribute(probe, probe->jid_column)->atttypid);
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[0],
						   get_opcode(index_equality(index)), value);
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_row_of_person(probe, type, slot))
			return lock_row(probe, scan->xs_snapshot, slot);
	}
	return ROW_NONE;
}

/* True if the value was among those before it. */
static bool
is_repeated(const RowProbe *probe, int n)
{
	Form_pg_attribute group = probe_attribute(probe, probe->group_column);

	for (int i = 0; i < n; i++)
		if (datum_image_eq(probe->values[i], probe->values[n], group->attbyval, group->attlen))
			return true;
	return false;
}

static RowProbeResult
probe_index(const RowProbe *probe, Relation index)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	IndexScanDesc scan = wawp_index_beginscan(probe->table, index, snapshot, 1);
	TupleTableSlot *slot = table_slot_create(probe->table, NULL);
	RowProbeResult result = ROW_NONE;

	for (int i = 0; i < probe->nvalues && result == ROW_NONE; i++)
		if (!is_repeated(probe, i))
			result = probe_value(probe, index, scan, probe->values[i], slot);
	ExecDropSingleTupleTableSlot(slot);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	return result;
}

/* Looks for a row by an index whose first column is the group's, in a table that has all its rows itself. */
RowProbeResult
trigger_probe(const RowProbe *probe)
{
	Relation	index;
	RowProbeResult result;

	if (probe->table->rd_rel->relkind != RELKIND_RELATION || probe->table->rd_rel->relhassubclass ||
		wawp_is_virtual(probe_attribute(probe, probe->jid_column)))
		return ROW_UNKNOWN;
	index = open_index_of_groups(probe);
	if (index == NULL)
		return ROW_UNKNOWN;
	CommandCounterIncrement();
	result = probe_index(probe, index);
	index_close(index, NoLock);
	return result;
}
