/*-------------------------------------------------------------------------
 *
 * index_probe.c
 *	  Is there such a row?  An index is asked, without a statement.
 *
 * Most of what policy asks for each person is answered by "there is none"; a
 * look into the index costs a quarter of the statement that would say so.  A
 * probe sees what a statement in its place would see, rows of the statement
 * under way included.  It needs neither SPI nor another role, and checks no
 * permission: what it tells must not be handed to users.
 *
 * Locks on table and index are kept until the transaction ends, as a
 * statement's are.
 *
 * IDENTIFICATION
 *	  src/base/index_probe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/index_probe.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

static RegProcedure
equality_of(Oid type)
{
	switch (type)
	{
		case TEXTOID:
			return F_TEXTEQ;
		case NAMEOID:
			return F_NAMEEQ;
		case INT8OID:
			return F_INT8EQ;
	}
	elog(ERROR, "no index is probed by type %u", type);
}

static void
init_key(ScanKey key, Relation index, const Probe *probe, int n)
{
	if (index->rd_opcintype[n] == TEXTOID && probe->keys[n] == (Datum) 0)
		ScanKeyEntryInitialize(key, SK_ISNULL | SK_SEARCHNULL, n + 1, InvalidStrategy, InvalidOid, InvalidOid,
							   InvalidOid, (Datum) 0);
	else
		ScanKeyEntryInitialize(key, 0, n + 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[n],
							   equality_of(index->rd_opcintype[n]), probe->keys[n]);
}

/* The first row that the index has for the keys, in *slot. */
static bool
scan(Relation table, Relation index, const Probe *probe, TupleTableSlot *slot)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	IndexScanDesc description = wawp_index_beginscan(table, index, snapshot, probe->nkeys);
	ScanKeyData keys[PROBE_MAX_KEYS];
	bool		found;

	for (int i = 0; i < probe->nkeys; i++)
		init_key(&keys[i], index, probe, i);
	index_rescan(description, keys, probe->nkeys, NULL, 0);
	found = index_getnext_slot(description, ForwardScanDirection, slot);
	index_endscan(description);
	UnregisterSnapshot(snapshot);
	return found;
}

static ProbeResult
look_into(Relation table, Relation index, const Probe *probe, const char *column, int64 *value)
{
	TupleTableSlot *slot;
	bool		found;
	bool		is_null;

	if (!index->rd_index->indisvalid || index->rd_index->indcheckxmin)
		return PROBE_UNKNOWN;
	slot = table_slot_create(table, NULL);
	found = scan(table, index, probe, slot);
	if (found && column)
		*value = DatumGetInt64(slot_getattr(slot, get_attnum(RelationGetRelid(table), column), &is_null));
	ExecDropSingleTupleTableSlot(slot);
	return found ? PROBE_FOUND : PROBE_NONE;
}

/* *value: a bigint column of the row, unless column is NULL.  The index is looked for when the table's lock is there. */
static ProbeResult
first(const Probe *probe, const char *column, int64 *value)
{
	Oid			schema = get_namespace_oid("wawp", false);
	ProbeResult result = PROBE_UNKNOWN;
	Relation	table;
	Oid			index_oid;

	CommandCounterIncrement();
	table = table_open(get_relname_relid(probe->table, schema), AccessShareLock);
	index_oid = get_relname_relid(probe->index, schema);
	if (OidIsValid(index_oid))
	{
		Relation	index = index_open(index_oid, AccessShareLock);

		result = look_into(table, index, probe, column, value);
		index_close(index, NoLock);
	}
	table_close(table, NoLock);
	return result;
}

ProbeResult
probe_first(const Probe *probe)
{
	return first(probe, NULL, NULL);
}

/* *value: that column of the row, which is not null. */
ProbeResult
probe_first_int8(const Probe *probe, const char *column, int64 *value)
{
	return first(probe, column, value);
}
