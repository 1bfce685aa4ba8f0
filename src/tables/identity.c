/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  The database that the queue belongs to.
 *
 * Owns wawp.identity, by which a copy of a database is told from the original,
 * so that two workers never send the same intents.  This database's row is the
 * one with the cluster's identifier and the database's oid; others are replicated
 * ones and mean nothing here.  Its `home` says where intents, memberships and the
 * oids of roles beside them come from; its `mark` lies in a file as well, which a
 * physical copy does not have (base/mark_file.c, rules in protocol/mark.c).  The
 * file is written before the row.
 *
 * The row also has the time before which rows were served elsewhere, so that the
 * end of what was done with them may not be known here.
 *
 * The verdict is worked out when it is asked for and kept until the end of the
 * transaction.  A copy writes nothing, so that nothing notes it.  The row
 * is read without a statement, by any role; statements run as the owner, for any
 * role, too.  Locks: the table, while a row is written, until the end of the
 * transaction.
 *
 * IDENTIFICATION
 *	  src/tables/identity.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/timeline.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/guc.h"
#include "base/mark_file.h"
#include "base/spi_statement.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tables/identity.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_identity_begin);

/* Columns of wawp.identity, from 0.  0.1 had the first three. */
enum
{
	IDENTITY_SYSTEM,
	IDENTITY_DATABASE,
	IDENTITY_HOME,
	IDENTITY_COLUMNS_OF_0_1,
	IDENTITY_MARK = IDENTITY_COLUMNS_OF_0_1,
	IDENTITY_TIMELINE,
	IDENTITY_SITE,
	IDENTITY_DOUBTFUL_BEFORE,
	IDENTITY_COLUMNS
};

/* The table as far as it is about this database. */
typedef struct Identity
{
	int			others;			/* rows of other databases */
	bool		has_row;
	bool		is_old;			/* the table is 0.1's, without marks */
	bool		is_kept;		/* the row's transaction has committed */
	pg_uuid_t	home;
	char		mark[MARK_SIZE];	/* "": none */
	TimeLineID	timeline;
	bool		is_same_site;
	TimestampTz doubtful_before;	/* 0: nothing is in doubt */
} Identity;

/* The verdict that follows from the row and the files. */
typedef struct IdentityVerdict
{
	TimestampTz transaction;	/* in which it holds, by its start; 0: nothing is known */
	MarkVerdict verdict;
	pg_uuid_t	home;			/* zeros if there is none */
	TimestampTz doubtful_before;
} IdentityVerdict;

/* It, until the end of the transaction. */
static IdentityVerdict known;

/* The clock of the server that went before may have been ahead by so much. */
#define CLOCK_AHEAD_US (60 * INT64CONST(1000000))

/*
 * ---- reading
 */

/* Write the columns of this database's row to *out. */
static void
identity_of_row(const Datum *values, const bool *nulls, Identity *out)
{
	out->has_row = true;
	out->home = *DatumGetUUIDP(values[IDENTITY_HOME]);
	out->is_same_site = true;
	if (out->is_old)
		return;
	if (!nulls[IDENTITY_MARK])
		strlcpy(out->mark, DatumGetCString(DirectFunctionCall1(uuid_out, values[IDENTITY_MARK])), MARK_SIZE);
	out->timeline = nulls[IDENTITY_TIMELINE] ? 0 : (TimeLineID) DatumGetInt32(values[IDENTITY_TIMELINE]);
	out->is_same_site = strcmp(nulls[IDENTITY_SITE] ? "" : TextDatumGetCString(values[IDENTITY_SITE]), wawp_site) == 0;
	if (!nulls[IDENTITY_DOUBTFUL_BEFORE])
		out->doubtful_before = DatumGetTimestampTz(values[IDENTITY_DOUBTFUL_BEFORE]);
}

/* Read the table; without a statement. */
static void
identity_read(Identity *out)
{
	Relation	table = table_open(spi_require_relation("identity"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	memset(out, 0, sizeof(*out));
	out->is_old = RelationGetDescr(table)->natts < IDENTITY_COLUMNS;
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Datum		values[IDENTITY_COLUMNS];
		bool		nulls[IDENTITY_COLUMNS];

		heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
		if (DatumGetInt64(values[IDENTITY_SYSTEM]) == (int64) GetSystemIdentifier() &&
			DatumGetObjectId(values[IDENTITY_DATABASE]) == MyDatabaseId)
		{
			identity_of_row(values, nulls, out);
			out->is_kept = !TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		}
		else
			out->others++;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
}

static SqlStatement has_live_rows = {
	"SELECT count(*) FROM (SELECT FROM wawp.membership_intent WHERE state NOT IN ('done', 'failed', 'cancelled')"
	" UNION ALL SELECT FROM wawp.membership WHERE until IS NOT NULL LIMIT 1) l",
	0, {0}, NULL
};

/* True if there is something that would be sent if this database served it. */
static bool
identity_has_live_rows(void)
{
	SqlOwner	before = spi_begin_as_owner();
	bool		has_some;

	spi_run(&has_live_rows, NULL);
	has_some = spi_get_int8(0, 1, 0) > 0;
	spi_end_as_owner(&before);
	return has_some;
}

/* Return what the database is by its row and files. */
static MarkVerdict
identity_judge(const Identity *row)
{
	MarkFacts	facts = {.has_row = row->has_row, .is_same_site = row->is_same_site};
	TimeLineID	ours = GetWALInsertionTimeLine();
	char		mark[MARK_SIZE];

	if (!row->has_row)
		facts.has_live_rows = identity_has_live_rows();
	else if (row->is_old)
		return MARK_ORIGINAL;
	facts.is_file_intact = row->has_row && mark_file_read(MyDatabaseId, mark);
	facts.has_file_row_mark = facts.is_file_intact && strcmp(mark, row->mark) == 0;
	facts.is_timeline_ours = row->timeline == ours;
	if (row->has_row && row->timeline > 0 && !(facts.has_file_row_mark && facts.is_timeline_ours))
	{
		facts.is_standby_intact = mark_file_standby_is_intact();
		facts.is_timeline_before = facts.is_standby_intact && !facts.is_timeline_ours &&
			tliInHistory(row->timeline, readTimeLineHistory(ours));
	}
	return mark_verdict(&facts);
}

/* Find out what the database is. */
static IdentityVerdict
identity_look(void)
{
	Identity	row;
	IdentityVerdict found;

	if (known.transaction == GetCurrentTransactionStartTimestamp())
		return known;
	identity_read(&row);
	found = (IdentityVerdict)
	{
		.transaction = GetCurrentTransactionStartTimestamp(),
		.verdict = identity_judge(&row),
		.home = row.home,
		.doubtful_before = row.doubtful_before
	};
	/* what this transaction has written may be rolled back to a savepoint */
	if (row.has_row && row.is_kept)
		known = found;
	return found;
}

/* True if this database is a copy, in which nothing is sent; in recovery that is not known. */
bool
identity_is_copy(void)
{
	return !RecoveryInProgress() && mark_is_copy(identity_look().verdict);
}

/*
 * Return the time before which what was asked for may have been sent without a
 * trace here: by a server whose standby was promoted, or the one that rows were
 * taken over from.  0: there is none.
 */
TimestampTz
identity_doubtful_before(void)
{
	return identity_look().doubtful_before;
}

/* Return why this database is a copy, as a sentence's part. */
const char *
identity_why_copy(void)
{
	switch (identity_look().verdict)
	{
		case MARK_COPY_OF_ELSEWHERE:
			return "its requests were made in another cluster or database";
		case MARK_COPY_AT_OTHER_SITE:
			return "its requests were made at another wawp.site";
		default:
			return "its files are a backup or another copy of those in which its requests were made";
	}
}

/*
 * ---- writing
 */

static SqlStatement lock_identity = {
	"LOCK TABLE wawp.identity IN SHARE ROW EXCLUSIVE MODE",
	0, {0}, NULL
};

static SqlStatement write_identity = {
	"INSERT INTO wawp.identity AS y (system_identifier, database_oid, home, mark, timeline, site)"
	" VALUES ($1, $2::oid, coalesce($3::uuid, gen_random_uuid()), $4::uuid, $5, $6)"
	" ON CONFLICT (system_identifier, database_oid) DO UPDATE"
	" SET home = excluded.home, mark = excluded.mark, timeline = excluded.timeline, site = excluded.site",
	6, {INT8OID, INT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID}, NULL
};

/* Return a uuid as text. */
static const char *
uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

/*
 * Write this database's row with that home, NULL: a new one, and that mark, of
 * which the file has been written; as the owner, with the table locked.
 */
static void
identity_write(const pg_uuid_t *home, const char *mark)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, (int64) GetSystemIdentifier());
	spi_add_int8(&args, (int64) MyDatabaseId);
	spi_add_text(&args, home ? uuid_text(home) : NULL);
	spi_add_text(&args, mark);
	spi_add_int4(&args, (int) GetWALInsertionTimeLine(), true);
	spi_add_text(&args, wawp_site);
	spi_run(&write_identity, &args);
	CommandCounterIncrement();
	known.transaction = 0;
}

/* Draw a mark and write its file. */
static const char *
identity_new_mark(void)
{
	const char *mark = uuid_text(DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0)));

	mark_file_write(MyDatabaseId, mark);
	return mark;
}

/* Write the home in this database's row to *home, as on the primary; zeros if there is none. */
static void
identity_home_in_recovery(pg_uuid_t *home)
{
	Identity	row;

	identity_read(&row);
	*home = row.home;
}

/*
 * Write to *home that of this database.  In a copy it is zero, so that what is
 * requested there waits for wawp_take_over() like the rest.  If there is none,
 * as in a database made from a template, one is drawn where that may be written.
 */
void
identity_home(pg_uuid_t *home)
{
	IdentityVerdict found;
	SqlOwner	before;

	if (RecoveryInProgress())
	{
		identity_home_in_recovery(home);
		return;
	}
	found = identity_look();
	if (found.verdict == MARK_UNWRITTEN && !XactReadOnly)
	{
		before = spi_begin_as_owner();
		spi_run(&lock_identity, NULL);
		if (identity_look().verdict == MARK_UNWRITTEN)
			identity_write(NULL, identity_new_mark());
		spi_end_as_owner(&before);
		found = identity_look();
	}
	*home = found.home;
	if (mark_is_copy(found.verdict))
		memset(home, 0, sizeof(*home));
}

static SqlStatement write_doubt = {
	"UPDATE wawp.identity SET doubtful_before = greatest(doubtful_before, $3)"
	" WHERE system_identifier = $1 AND database_oid = $2::oid",
	3, {INT8OID, INT8OID, TIMESTAMPTZOID}, NULL
};

/* Doubt whatever was asked for before that time; as the owner. */
static void
identity_doubt(TimestampTz before)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, (int64) GetSystemIdentifier());
	spi_add_int8(&args, (int64) MyDatabaseId);
	spi_add_time(&args, before);
	spi_run(&write_doubt, &args);
	CommandCounterIncrement();
	known.transaction = 0;
}

/*
 * Make this database, if it is a copy, the one that the queue belongs to, with
 * a new home; as the owner.  False if it is none.
 */
bool
identity_take_over(void)
{
	spi_run(&lock_identity, NULL);
	known.transaction = 0;
	if (!identity_is_copy())
		return false;
	identity_write(NULL, identity_new_mark());
	return true;
}

static SqlStatement newest_intent = {
	"SELECT created_at FROM wawp.membership_intent ORDER BY id DESC LIMIT 1",
	0, {0}, NULL
};

/* Return a time after all that was asked for before the promotion, though by another server's clock. */
static TimestampTz
identity_time_of_promotion(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (spi_run(&newest_intent, NULL) == 0)
		return now;
	return Max(now, Min(spi_get_time(0, 1) + 1, now + CLOCK_AHEAD_US));
}

/*
 * If this server was a standby that was promoted since the row was written,
 * write the row anew, with the same home, doubt what was asked for until now,
 * and return true; as the owner.
 */
bool
identity_note_promotion(void)
{
	IdentityVerdict found = identity_look();

	if (found.verdict != MARK_PROMOTED)
		return false;
	spi_run(&lock_identity, NULL);
	identity_write(&found.home, identity_new_mark());
	identity_doubt(identity_time_of_promotion());
	return true;
}

/* True if this database is a template, whose row would mark all databases made from it as copies. */
static bool
identity_is_in_template(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool		is_template = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is_template;
}

/*
 * wawp._identity_begin(): write the mark of a database in which the extension is
 * created or upgraded.  An intact file is kept: the statement may be rolled back
 * to a row with its mark.
 */
Datum
wawp_identity_begin(FunctionCallInfo fcinfo pg_attribute_unused())
{
	SqlOwner	before = spi_begin_as_owner();
	Identity	row;
	char		mark[MARK_SIZE];

	spi_run(&lock_identity, NULL);
	identity_read(&row);
	if (row.has_row || (row.others == 0 && !identity_is_in_template()))
		identity_write(row.has_row ? &row.home : NULL,
					   mark_file_read(MyDatabaseId, mark) ? mark : identity_new_mark());
	spi_end_as_owner(&before);
	PG_RETURN_VOID();
}
