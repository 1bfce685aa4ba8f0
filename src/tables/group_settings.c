/*-------------------------------------------------------------------------
 *
 * group_settings.c
 *	  The policy of groups.
 *
 * Reads wawp.group_settings, which SQL writes; a group without a row has the
 * defaults.  Statements run as intent.c's do, in the caller's transaction.  No
 * locks.
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
	"SELECT adds_per_minute::text, capacity::text, invite, invite_text, overflow_group, check_exists,"
	" (extract(epoch FROM require_contact_within) * 1000000)::bigint"
	" FROM wawp.group_settings WHERE instance = $1::name AND group_jid = $2",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Return the policy of a group; its texts live in SPI's memory. */
GroupSettings
settings_get(const LaneKey *lane)
{
	GroupSettings settings = {.adds_per_minute = -1,.capacity = CAPACITY_DEFAULT,.invite = true};
	Probe		row = {"group_settings", "group_settings_pkey", 2, {NameGetDatum(&lane->instance), CStringGetTextDatum(lane->group)}};
	SqlArgs		args = {0};

	if (probe_first(&row) == PROBE_NONE)
		return settings;
	sqlrun_text(&args, NameStr(lane->instance));
	sqlrun_text(&args, lane->group);
	if (sqlrun(&get, &args) == 0)
		return settings;
	if (sqlrun_get(0, 1))
		settings.adds_per_minute = atof(sqlrun_get(0, 1));
	settings.capacity = atoi(sqlrun_get(0, 2));
	settings.invite = sqlrun_get(0, 3)[0] == 't';
	settings.invite_text = sqlrun_get(0, 4);
	settings.overflow_group = sqlrun_get(0, 5);
	settings.check_exists = sqlrun_get(0, 6)[0] == 't';
	settings.contact_within_us = sqlrun_get_int8(0, 7, 0);
	return settings;
}

/* True if the group has a welcome message. */
bool
settings_welcomes(const LaneKey *lane)
{
	Probe		row = {"group_settings", "group_settings_welcome", 2, {NameGetDatum(&lane->instance), CStringGetTextDatum(lane->group)}};

	return probe_first(&row) != PROBE_NONE;
}
