/*-------------------------------------------------------------------------
 *
 * sync_source.c
 *	  Reads who should be in which group from a user's table.
 *
 * A table, view or foreign table is read as the caller would read it by a
 * SELECT: with the caller's privileges, row security and search_path, which the
 * functions of a view may rely on.  Where row security is in it, at any depth, the
 * reader is told, since nobody's absence is proof then.  The statement itself names everything with
 * its schema, and both columns are checked to be columns, so that no name is
 * found by search_path.
 *
 * The source is read in a subtransaction that is rolled back: no lock on it is
 * kept while requests wait.  Memory: groups and people are in the caller's
 * context.
 *
 * IDENTIFICATION
 *	  src/session/sync_source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/encoding.h"
#include "base/subtransaction.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "protocol/jid.h"
#include "session/api.h"
#include "session/sync_source.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "compat.h"

/* Rows that are fetched at once. */
#define SOURCE_PORTION 1000

/* A group that was met, by its normal form. */
typedef struct SourceEntry
{
	char		jid[JID_SIZE];	/* hash key, must be first */
	SyncSourceGroup *group;
} SourceEntry;

/* The reading of a source. */
typedef struct SourceRead
{
	const char *statement;
	MemoryContext memory;		/* of the groups */
	HTAB	   *met;
	SyncSourceGroup *last_bad;	/* the last one that is no group; NULL: none was met */
	SyncSource	source;
} SourceRead;

/* Return the name of a column, quoted; raises if the source has none of that name. */
static const char *
source_column(Oid source, const char *name)
{
	AttrNumber	number = get_attnum(source, name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", name, get_rel_name(source))));
	return quote_identifier(name);
}

/* Return the statement that reads all groups and people, each pair once. */
static const char *
source_statement(Oid source, const char *group_column, const char *jid_column)
{
	const char *table = get_rel_name(source);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", source)));
	return psprintf("SELECT DISTINCT s.%s::pg_catalog.text, s.%s::pg_catalog.text FROM %s s ORDER BY 1, 2",
					source_column(source, group_column), source_column(source, jid_column),
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(source)), table));
}

/* Add a group to the list. */
static SyncSourceGroup *
source_new_group(SourceRead *read, const char *name, const char *problem)
{
	SyncSourceGroup *group = palloc0(sizeof(SyncSourceGroup));

	group->group = name ? pstrdup(name) : NULL;
	group->problem = problem;
	read->source.groups = lappend(read->source.groups, group);
	return group;
}

/* Return the group that a text names; each text that names none is one by itself. */
static SyncSourceGroup *
source_group(SourceRead *read, const char *written)
{
	Jid			jid = api_parse_jid(written ? written : "");
	SourceEntry *entry;
	bool		found;

	if (jid.kind != JID_GROUP)
	{
		bool		is_again = read->last_bad && (written == NULL ? read->last_bad->group == NULL
												  : read->last_bad->group && strcmp(written, read->last_bad->group) == 0);

		if (!is_again)
			read->last_bad = source_new_group(read, written, written == NULL ? "the group is null"
											  : "a group is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"");
		return read->last_bad;
	}
	entry = hash_search(read->met, jid.text, HASH_ENTER, &found);
	if (!found)
		entry->group = source_new_group(read, jid.text, NULL);
	return entry->group;
}

/* Take a row. */
static void
source_take(SourceRead *read, const char *written, const char *person)
{
	SyncSourceGroup *group = source_group(read, written ? text_from_server(written) : NULL);

	if (person == NULL || group->problem)
		return;
	if (group->n == group->size)
	{
		group->size = Max(2 * group->size, 16);
		group->people = group->people ? repalloc(group->people, sizeof(char *) * group->size)
			: palloc(sizeof(char *) * group->size);
	}
	group->people[group->n++] = pstrdup(text_from_server(person));
}

/* Take the rows that were fetched. */
static void
source_take_portion(SourceRead *read)
{
	SPITupleTable *rows = SPI_tuptable;
	MemoryContext before = CurrentMemoryContext;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *written = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
		char	   *person = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);

		MemoryContextSwitchTo(read->memory);
		source_take(read, written, person);
		MemoryContextSwitchTo(before);
		if (written)
			pfree(written);
		if (person)
			pfree(person);
	}
	SPI_freetuptable(rows);
}

/* Connect to SPI and prepare the statement. */
static SPIPlanPtr
source_prepare(const SourceRead *read)
{
	SPIPlanPtr	plan;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	plan = SPI_prepare(read->statement, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", read->statement, SPI_result_code_string(SPI_result));
	return plan;
}

/* Raise if row security would filter what is read, as pg_dump has it raised.  False: the setting is not kept. */
static bool
source_refuse_filtered(void *subject)
{
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	(void) source_prepare(subject);
	SPI_finish();
	return false;
}

/* True if row security decides which rows the role sees; some who depend on it see all. */
static bool
source_is_filtered(SourceRead *read, SPIPlanPtr plan)
{
	const CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return source->dependsOnRLS && subtransaction_try(source_refuse_filtered, read) != NULL;
}

/* Read the source.  False: no lock is kept. */
static bool
source_read_rows(void *subject)
{
	SourceRead *read = subject;
	SPIPlanPtr	plan = source_prepare(read);
	Portal		portal;
	uint64		n;

	read->source.is_filtered = source_is_filtered(read, plan);
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	do
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, SOURCE_PORTION);
		n = SPI_processed;
		source_take_portion(read);
	} while (n > 0);
	SPI_cursor_close(portal);
	SPI_finish();
	return false;
}

/* Return the groups of a source. */
SyncSource
sync_source_read(Oid source, const char *group_column, const char *jid_column)
{
	SourceRead	read = {.statement = source_statement(source, group_column, jid_column), .memory = CurrentMemoryContext};

	read.met = api_make_jid_table(256, sizeof(SourceEntry));
	subtransaction_run(source_read_rows, &read);
	return read.source;
}
