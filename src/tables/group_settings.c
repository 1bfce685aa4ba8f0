/*-------------------------------------------------------------------------
 *
 * group_settings.c
 *	  The policy of groups.
 *
 * Reads wawp.group_settings, which SQL writes; a group without a row has the
 * defaults.  Only an instance that is renamed changes rows.  Statements run as
 * intent.c's do, in the caller's transaction.  No locks but those rows.
 *
 * IDENTIFICATION
 *	  src/tables/group_settings.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "catalog/pg_type.h"
#include "tables/group_settings.h"
#include "utils/builtins.h"

#include "compat.h"

/* WhatsApp's limit, and the column's default. */
#define CAPACITY_DEFAULT 1024

static SqlStatement get = {
	"SELECT adds_per_minute, capacity, invite, invite_text, overflow_group, check_exists,"
	" (extract(epoch FROM require_contact_within) * 1000000)::bigint, managed"
	" FROM wawp.group_settings WHERE instance = $1::name AND group_jid = $2",
	2, {TEXTOID, TEXTOID}, NULL
};

static const GroupSettings defaults = {
	.adds_per_minute = -1, .capacity = CAPACITY_DEFAULT, .invite = true, .check_exists = true, .managed = true
};

/* Columns of the policy, in the order of the statement above. */
enum
{
	ADDS_PER_MINUTE, CAPACITY, INVITE, INVITE_TEXT, OVERFLOW_GROUP, CHECK_EXISTS, CONTACT_WITHIN, MANAGED
};

static const ProbeColumn policy[] = {
	[ADDS_PER_MINUTE] = {.name = "adds_per_minute", .type = FLOAT8OID},
	[CAPACITY] = {.name = "capacity", .type = INT4OID},
	[INVITE] = {.name = "invite", .type = BOOLOID},
	[INVITE_TEXT] = {.name = "invite_text", .type = TEXTOID},
	[OVERFLOW_GROUP] = {.name = "overflow_group", .type = TEXTOID},
	[CHECK_EXISTS] = {.name = "check_exists", .type = BOOLOID},
	[CONTACT_WITHIN] = {.name = "require_contact_within", .type = INTERVALOID},
	[MANAGED] = {.name = "managed", .type = BOOLOID}
};

/* Return a text of the policy; NULL if it has none. */
static const char *
settings_text(const ProbeColumn *column)
{
	return column->is_null ? NULL : TextDatumGetCString(column->value);
}

/*
 * Look for the policy of a group in the index.  PROBE_UNKNOWN if that takes a
 * statement, as an interval does, whose months have a length in SQL only.
 */
static IndexProbeResult
settings_probe(const LaneKey *lane, GroupSettings *settings)
{
	IndexProbe	row = {"group_settings", "group_settings_pkey", 2, {NameGetDatum(&lane->instance), CStringGetTextDatum(lane->group)}};
	ProbeColumn columns[lengthof(policy)];
	IndexProbeResult result;

	memcpy(columns, policy, sizeof(columns));
	result = index_probe_columns(&row, columns, lengthof(columns));
	if (result != PROBE_FOUND)
		return result;
	if (!columns[CONTACT_WITHIN].is_null)
		return PROBE_UNKNOWN;
	if (!columns[ADDS_PER_MINUTE].is_null)
		settings->adds_per_minute = DatumGetFloat8(columns[ADDS_PER_MINUTE].value);
	settings->capacity = DatumGetInt32(columns[CAPACITY].value);
	settings->invite = DatumGetBool(columns[INVITE].value);
	settings->invite_text = settings_text(&columns[INVITE_TEXT]);
	settings->overflow_group = settings_text(&columns[OVERFLOW_GROUP]);
	settings->check_exists = DatumGetBool(columns[CHECK_EXISTS].value);
	settings->managed = DatumGetBool(columns[MANAGED].value);
	return PROBE_FOUND;
}

/* Return the policy of a group; its texts live in SPI's memory. */
GroupSettings
settings_get(const LaneKey *lane)
{
	GroupSettings settings = defaults;
	SqlArgs		args = {0};

	if (settings_probe(lane, &settings) != PROBE_UNKNOWN)
		return settings;
	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	if (spi_run(&get, &args) == 0)
		return settings;
	if (spi_get_text(0, 1))
		settings.adds_per_minute = spi_get_float8(0, 1);
	settings.capacity = spi_get_int4(0, 2);
	settings.invite = spi_get_bool(0, 3);
	settings.invite_text = spi_get_text(0, 4);
	settings.overflow_group = spi_get_text(0, 5);
	settings.check_exists = spi_get_bool(0, 6);
	settings.contact_within_us = spi_get_int8(0, 7, 0);
	settings.managed = spi_get_bool(0, 8);
	return settings;
}

/* True if the group has a welcome message; with NULL, if any group has. */
bool
settings_welcomes(const LaneKey *lane)
{
	IndexProbe	row = {.table = "group_settings", .index = "group_settings_welcome"};

	if (lane)
	{
		row.nkeys = 2;
		row.keys[0] = NameGetDatum(&lane->instance);
		row.keys[1] = CStringGetTextDatum(lane->group);
	}
	return index_probe_first(&row) != PROBE_NONE;
}

static SqlStatement forget_settings_of_namesake = {
	"DELETE FROM wawp.group_settings n WHERE n.instance = $2::name AND EXISTS (SELECT FROM wawp.group_settings o"
	" WHERE o.instance = $1::name AND o.group_jid = n.group_jid OFFSET 0)",
	2, {TEXTOID, TEXTOID}, NULL
};

static SqlStatement rename_settings = {
	"UPDATE wawp.group_settings SET instance = $2::name WHERE instance = $1::name",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Give the settings of an instance's groups its new name; they replace those of an earlier instance of that name. */
void
settings_rename_instance(const char *from, const char *to)
{
	SqlArgs		args = {0};

	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&forget_settings_of_namesake, &args);
	spi_run(&rename_settings, &args);
}
