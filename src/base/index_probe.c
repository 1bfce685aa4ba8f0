/*-------------------------------------------------------------------------
 *
 * index_probe.c
 *	  Looks for a row in an index, without a statement.
 *
 * Most checks that are made for each person find no row, and reading the index
 * costs a quarter of the statement that would find none.  A probe sees the rows
 * that a statement in its place would see, including those of the statement that
 * is running, or index_probe_committed() all that have committed by now.  It needs
 * neither SPI nor another role, and checks no permission: its result must not be
 * shown to users.
 *
 * Locks on table and index are kept until the transaction ends, as a
 * statement's are.  Nothing stays allocated.  The oids of tables and indexes are
 * kept in memory of the process until one of its relations changes.
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
#include "access/transam.h"
#include "access/xact.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

/* Return the equality function of a type that is probed. */
static RegProcedure
index_probe_equality(Oid type)
{
	switch (type)
	{
		case TEXTOID:
			return F_TEXTEQ;
		case NAMEOID:
			return F_NAMEEQ;
		case INT8OID:
			return F_INT8EQ;
		case UUIDOID:
			return F_UUID_EQ;
		case OIDOID:
			return F_OIDEQ;
	}
	elog(ERROR, "no index is probed by type %u", type);
}

/* Fill in *key for the n-th column (from 0): equal to the probe's key, or null. */
static void
index_probe_init_key(ScanKey key, Relation index, const IndexProbe *probe, int n)
{
	if (index->rd_opcintype[n] == TEXTOID && probe->keys[n] == (Datum) 0)
		ScanKeyEntryInitialize(key, SK_ISNULL | SK_SEARCHNULL, n + 1, InvalidStrategy, InvalidOid, InvalidOid,
							   InvalidOid, (Datum) 0);
	else
		ScanKeyEntryInitialize(key, 0, n + 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[n],
							   index_probe_equality(index->rd_opcintype[n]), probe->keys[n]);
}

/* The relations of schema wawp that were found lately, by their names' addresses: all are literals. */
#define FOUND_RELATIONS 32
static struct
{
	const char *name;
	Oid			oid;
}			found_relations[FOUND_RELATIONS];
static int	nfound_relations;

/* Forget all of them: any may be another one now. */
static void
index_probe_forget(Datum arg pg_attribute_unused(), Oid relation)
{
	for (int i = 0; i < nfound_relations; i++)
		if (relation == InvalidOid || relation == found_relations[i].oid)
		{
			nfound_relations = 0;
			return;
		}
}

/* Return the oid of a relation of schema wawp; InvalidOid, which is not kept, if there is none. */
static Oid
index_probe_relation(const char *name)
{
	static bool is_registered = false;
	Oid			oid;

	for (int i = 0; i < nfound_relations; i++)
		if (found_relations[i].name == name)
			return found_relations[i].oid;
	if (!is_registered)
		CacheRegisterRelcacheCallback(index_probe_forget, (Datum) 0);
	is_registered = true;
	oid = spi_find_relation(name);
	if (OidIsValid(oid) && nfound_relations < FOUND_RELATIONS)
	{
		found_relations[nfound_relations].name = name;
		found_relations[nfound_relations++].oid = oid;
	}
	return oid;
}

/* Returns the snapshot that a probe sees. */
typedef Snapshot (*ProbeSnapshot) (void);

/* The state that the probes of one table share. */
typedef struct ProbedTable
{
	Relation	relation;
	Snapshot	snapshot;
	TupleTableSlot *slot;		/* the row that was found */
	IndexProbeTake take;		/* called for each; NULL: the first is enough */
	void	   *context;		/* for take() */
} ProbedTable;

/* Store the first row of the index for the keys in the table's slot, or take each; false if there is none. */
static bool
index_probe_scan(const ProbedTable *table, IndexScanDesc description, const IndexProbe *probe)
{
	ScanKeyData keys[PROBE_MAX_KEYS];
	bool		found;

	for (int i = 0; i < probe->nkeys; i++)
		index_probe_init_key(&keys[i], description->indexRelation, probe, i);
	index_rescan(description, keys, probe->nkeys, NULL, 0);
	found = index_getnext_slot(description, ForwardScanDirection, table->slot);
	if (table->take)
		for (bool is_row = found; is_row; is_row = index_getnext_slot(description, ForwardScanDirection, table->slot))
			table->take(table->slot, table->context);
	return found;
}

/* Probe an open index. */
static void
index_probe_read_index(const ProbedTable *table, Relation index, const IndexProbe *probes, int n, IndexProbeResult *results)
{
	IndexScanDesc description = wawp_index_beginscan(table->relation, index, table->snapshot, probes->nkeys);

	for (int i = 0; i < n; i++)
		results[i] = index_probe_scan(table, description, &probes[i]) ? PROBE_FOUND : PROBE_NONE;
	index_endscan(description);
}

/* Find and open the index of n probes, under the table's lock, and probe it. */
static void
index_probe_read_all(const ProbedTable *table, const IndexProbe *probes, int n, IndexProbeResult *results)
{
	Oid			index_oid = index_probe_relation(probes->index);
	Relation	index;

	for (int i = 0; i < n; i++)
		results[i] = PROBE_UNKNOWN;
	if (!OidIsValid(index_oid))
		return;
	index = index_open(index_oid, AccessShareLock);
	/* the library may be newer than the extension's objects */
	if (index->rd_index->indisvalid && !index->rd_index->indcheckxmin && index->rd_index->indnkeyatts >= probes->nkeys)
		index_probe_read_index(table, index, probes, n, results);
	index_close(index, NoLock);
}

/* Likewise one probe. */
static IndexProbeResult
index_probe_read(const ProbedTable *table, const IndexProbe *probe)
{
	IndexProbeResult result;

	index_probe_read_all(table, probe, 1, &result);
	return result;
}

/* Read a column of the row that was found; false if the table has none of that name and type. */
static bool
index_probe_read_column(const ProbedTable *table, ProbeColumn *column)
{
	TupleDesc	description = RelationGetDescr(table->relation);

	for (int i = 0; i < description->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(description, i);

		if (attribute->atttypid != column->type || strcmp(NameStr(attribute->attname), column->name) != 0)
			continue;
		column->value = slot_getattr(table->slot, i + 1, &column->is_null);
		if (!column->is_null && !attribute->attbyval)
			column->value = attribute->attlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(column->value))
				: datumCopy(column->value, false, attribute->attlen);
		return true;
	}
	return false;
}

/* Read the columns of the row that was found; PROBE_UNKNOWN if they are not all what we know. */
static IndexProbeResult
index_probe_read_columns(const ProbedTable *table, ProbeColumn *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (!index_probe_read_column(table, &columns[i]))
			return PROBE_UNKNOWN;
	return PROBE_FOUND;
}

/* Open the probes' table. */
static void
index_probe_open_table(const IndexProbe *probe, ProbedTable *table, ProbeSnapshot snapshot)
{
	Oid			relid;

	memset(table, 0, sizeof(*table));
	CommandCounterIncrement();
	relid = index_probe_relation(probe->table);
	table->relation = table_open(OidIsValid(relid) ? relid : spi_require_relation(probe->table), AccessShareLock);
	table->snapshot = RegisterSnapshot(snapshot());
	table->slot = table_slot_create(table->relation, NULL);
}

static void
index_probe_close_table(ProbedTable *table)
{
	ExecDropSingleTupleTableSlot(table->slot);
	UnregisterSnapshot(table->snapshot);
	table_close(table->relation, NoLock);
}

/*
 * Open the probes' table and probe, until one does not tell that there is no
 * row; read the columns of the row that is found.
 */
static IndexProbeResult
index_probe_open(const IndexProbe *probes, int n, ProbeSnapshot snapshot, ProbeColumn *columns, int ncolumns)
{
	IndexProbeResult result = PROBE_NONE;
	ProbedTable table;

	index_probe_open_table(probes, &table, snapshot);
	for (int i = 0; i < n && result == PROBE_NONE; i++)
		result = index_probe_read(&table, &probes[i]);
	if (result == PROBE_FOUND)
		result = index_probe_read_columns(&table, columns, ncolumns);
	index_probe_close_table(&table);
	return result;
}

/* Call take() for each row with the probe's keys, which may keep what it reads; PROBE_UNKNOWN: for none. */
IndexProbeResult
index_probe_each(const IndexProbe *probe, IndexProbeTake take, void *context)
{
	IndexProbeResult result;
	ProbedTable table;

	index_probe_open_table(probe, &table, GetTransactionSnapshot);
	table.take = take;
	table.context = context;
	result = index_probe_read(&table, probe);
	index_probe_close_table(&table);
	return result;
}

/* Look for a row with the probe's keys. */
IndexProbeResult
index_probe_first(const IndexProbe *probe)
{
	return index_probe_open(probe, 1, GetTransactionSnapshot, NULL, 0);
}

/*
 * Look for a row with the keys of any of these probes, all of one table: PROBE_NONE
 * if none has one.  What was committed since the transaction's snapshot is seen, too.
 */
IndexProbeResult
index_probe_committed(const IndexProbe *probes, int n)
{
	return index_probe_open(probes, n, GetLatestSnapshot, NULL, 0);
}

/* Probe as the snapshot shows the table, by that of all transactions under way if *dirty is to be used. */
static void
index_probe_seeing(const IndexProbe *probes, int n, SnapshotData *dirty, IndexProbeResult *results)
{
	Snapshot	snapshot;
	ProbedTable table;

	index_probe_open_table(probes, &table, GetTransactionSnapshot);
	snapshot = table.snapshot;
	if (dirty)
		table.snapshot = dirty;
	index_probe_read_all(&table, probes, n, results);
	table.snapshot = snapshot;
	index_probe_close_table(&table);
}

/*
 * True if another transaction that is under way has inserted a row with the
 * probe's keys: whoever inserts one as well waits for its end.
 */
bool
index_probe_is_pending(const IndexProbe *probe)
{
	SnapshotData dirty;
	IndexProbeResult result;

	InitDirtySnapshot(dirty);
	index_probe_seeing(probe, 1, &dirty, &result);
	return result == PROBE_FOUND && TransactionIdIsValid(dirty.xmin);
}

/* The search of index_probe_is_pending_where(). */
typedef struct PendingSearch
{
	SnapshotData dirty;			/* its xmin is that of the row which was found last */
	IndexProbeMatch matches;
	void	   *context;
	bool		is_found;
} PendingSearch;

static void
pending_take(TupleTableSlot *row, void *context)
{
	PendingSearch *search = context;

	search->is_found |= TransactionIdIsValid(search->dirty.xmin) && search->matches(row, search->context);
}

/* True if another transaction that is under way has inserted a row with the probe's keys, of which matches() is true. */
bool
index_probe_is_pending_where(const IndexProbe *probe, IndexProbeMatch matches, void *context)
{
	PendingSearch search = {.matches = matches, .context = context};
	ProbedTable table;
	Snapshot	snapshot;

	InitDirtySnapshot(search.dirty);
	index_probe_open_table(probe, &table, GetTransactionSnapshot);
	snapshot = table.snapshot;
	table.snapshot = &search.dirty;
	table.take = pending_take;
	table.context = &search;
	(void) index_probe_read(&table, probe);
	table.snapshot = snapshot;
	index_probe_close_table(&table);
	return search.is_found;
}

/* Look for a row with the keys of each of n probes, all of one index. */
void
index_probe_all(const IndexProbe *probes, int n, IndexProbeResult *results)
{
	index_probe_seeing(probes, n, NULL, results);
}

/* Likewise, also for rows of transactions that are under way. */
void
index_probe_all_pending(const IndexProbe *probes, int n, IndexProbeResult *results)
{
	SnapshotData dirty;

	InitDirtySnapshot(dirty);
	index_probe_seeing(probes, n, &dirty, results);
}

/*
 * True if a row with the probe's keys can be inserted, without waiting for
 * another transaction: nobody has inserted one, and the table is not locked
 * against it.  The lock is kept.
 */
bool
index_probe_is_free(const IndexProbe *probe)
{
	Oid			table = index_probe_relation(probe->table);
	IndexProbeResult result;

	if (!OidIsValid(table) || !ConditionalLockRelationOid(table, RowExclusiveLock))
		return false;
	index_probe_all_pending(probe, 1, &result);
	return result == PROBE_NONE;
}

/* As index_probe_first; when a row is found, set *value to a bigint column of it, which is not null. */
IndexProbeResult
index_probe_first_int8(const IndexProbe *probe, const char *column, int64 *value)
{
	ProbeColumn read = {.name = column, .type = INT8OID};
	IndexProbeResult result = index_probe_open(probe, 1, GetTransactionSnapshot, &read, 1);

	if (result == PROBE_FOUND)
		*value = DatumGetInt64(read.value);
	return result;
}

/* As index_probe_first; when a row is found, read columns of it.  PROBE_UNKNOWN also if the table does not have them. */
IndexProbeResult
index_probe_columns(const IndexProbe *probe, ProbeColumn *columns, int n)
{
	return index_probe_open(probe, 1, GetTransactionSnapshot, columns, n);
}
