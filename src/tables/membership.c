/*-------------------------------------------------------------------------
 *
 * membership.c
 *	  People in groups, as far as they are remembered.
 *
 * Owns wawp.membership, which outlives intents: it decides whose removal is
 * queued when its time has come, who was invited already, who left by
 * themselves and who has been welcomed.  What the worker does by itself reads
 * only rows of this database's home; what is remembered of a person is read
 * whatever its home.  Statements run as intent.c's do, in
 * the caller's transaction; texts that are read live in SPI's memory.
 *
 * IDENTIFICATION
 *	  src/tables/membership.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/table_insert.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "tables/home.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "utils/builtins.h"

#include "compat.h"

#define MEMBERSHIPS_AT_ONCE 128

/* People to be stored as members, together. */
static struct
{
	bool		is_open;
	int			n;
	SqlArgs		added[MEMBERSHIPS_AT_ONCE]; /* of note_added, in the cycle's memory */
}			gathered;

static void membership_flush(void);

/* Make arguments of the primary key; what is gathered is stored before. */
static SqlArgs
membership_key_args(const LaneKey *lane, int64 contact)
{
	SqlArgs		args = {0};

	membership_flush();
	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_int8(&args, contact);
	return args;
}

#define THIS_ONE " WHERE instance = $1::name AND group_jid = $2 AND contact_id = $3"

static SqlStatement get = {
	"SELECT added_by_us, seen_at, invited_at, left_at, added_at FROM wawp.membership" THIS_ONE,
	3, {TEXTOID, TEXTOID, INT8OID}, NULL
};

/* Read a membership into *out; false, and all of it 0, if there is none. */
bool
membership_get(const LaneKey *lane, int64 contact, Membership *out)
{
	IndexProbe	row = {
		"membership", "membership_pkey", 3,
		{NameGetDatum(&lane->instance), CStringGetTextDatum(lane->group), Int64GetDatum(contact)}
	};
	SqlArgs		args = membership_key_args(lane, contact);

	memset(out, 0, sizeof(*out));
	if (index_probe_first(&row) == PROBE_NONE || spi_run(&get, &args) == 0)
		return false;
	out->added_by_us = spi_get_bool(0, 1);
	out->seen_at = spi_get_time(0, 2);
	out->invited_at = spi_get_time(0, 3);
	out->left_at = spi_get_time(0, 4);
	out->added_at = spi_get_time(0, 5);
	return true;
}

static SqlStatement is_open = {
	"SELECT FROM wawp.membership m JOIN wawp.contact c ON c.contact_id = m.contact_id"
	" WHERE c.jid = $3 AND m.instance = $1::name AND m.group_jid = $2 AND m.left_at IS NULL AND m.requester IS NOT NULL",
	3, {TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* True if a person is in a group by somebody's wish, as far as is remembered. */
bool
membership_is_open(const LaneKey *lane, const char *jid)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_text(&args, jid);
	return spi_run(&is_open, &args) > 0;
}

static SqlStatement added = {
	"SELECT c.jid, c.lid FROM wawp.membership m JOIN wawp.contact c USING (contact_id)"
	" WHERE m.instance = $1::name AND m.group_jid = $2 AND m.added_by_us AND m.left_at IS NULL",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Return the people whom we added to a group and who have not left since, as MembershipPerson pointers. */
List *
membership_added(const LaneKey *lane)
{
	SqlArgs		args = {0};
	List	   *people = NIL;
	uint64		n;

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	n = spi_run(&added, &args);
	for (uint64 i = 0; i < n; i++)
	{
		MembershipPerson *person = palloc(sizeof(MembershipPerson));

		*person = (MembershipPerson) {spi_get_text(i, 1), spi_get_text(i, 2)};
		people = lappend(people, person);
	}
	return people;
}

/*
 * Of the requesters who want a person in a group, the one whose wish lasts
 * longest decides until when they stay; of one requester's wishes, the latest.
 */
#define OTHERS_LASTS_LONGER \
	"(m.left_at IS NULL AND m.home = excluded.home AND m.requester <> 0 AND m.requester <> excluded.requester" \
	" AND m.instance_id IS NOT DISTINCT FROM excluded.instance_id" \
	" AND coalesce(m.until, 'infinity') >= coalesce(excluded.until, 'infinity')" \
	" AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = m.requester))"
#define OF_THE_LONGER(column) " " column " = CASE WHEN " OTHERS_LASTS_LONGER " THEN m." column " ELSE excluded." column " END"

#define INSERT_ADDED \
	"INSERT INTO wawp.membership AS m (instance, group_jid, contact_id, added_by_us, added_at, seen_at, until," \
	" requested_by, reason, requester, home, instance_id, welcomed_at)" \
	" VALUES ($1::name, $2, $3, $4, CASE WHEN $4 THEN clock_timestamp() END," \
	" $8, $5, $6, $7, $9, $10, $11, CASE WHEN $12 THEN clock_timestamp() END)" \
	" ON CONFLICT (instance, group_jid, contact_id) DO "
#define ADDED_TYPES \
	{TEXTOID, TEXTOID, INT8OID, BOOLOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, OIDOID, UUIDOID, TEXTOID, BOOLOID}

/* Most people are new to a group; the other statement's start takes longer than this one. */
static SqlStatement note_new = {
	INSERT_ADDED "NOTHING", 12, ADDED_TYPES, NULL
};

/* A member whom we did not add stays so. */
static SqlStatement note_added = {
	INSERT_ADDED "UPDATE SET added_by_us = m.added_by_us OR excluded.added_by_us,"
	" added_at = coalesce(excluded.added_at, m.added_at),"
	" seen_at = coalesce(greatest(excluded.seen_at, CASE WHEN m.seen_at <= clock_timestamp() THEN m.seen_at END), m.seen_at),"
	" welcomed_at = coalesce(CASE WHEN m.left_at IS NULL THEN m.welcomed_at END, excluded.welcomed_at), left_at = NULL,"
	OF_THE_LONGER("until") "," OF_THE_LONGER("requested_by") "," OF_THE_LONGER("reason") "," OF_THE_LONGER("requester") ","
	" home = excluded.home, instance_id = excluded.instance_id",
	12, ADDED_TYPES, NULL
};

/* The columns of INSERT_ADDED. */
static const char *const added_columns[] = {
	"instance", "group_jid", "contact_id", "added_by_us", "added_at", "seen_at", "until", "requested_by", "reason",
	"requester", "home", "instance_id", "welcomed_at"
};
static const Oid added_types[] = {
	TEXTOID, TEXTOID, INT8OID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, OIDOID,
	UUIDOID, TEXTOID, TIMESTAMPTZOID
};
static const TableInsert insert_added = {
	.table = "membership",
	.own_trigger = "_row_arrived",
	.columns = added_columns,
	.types = added_types,
	.ncolumns = lengthof(added_columns)
};

/* Append to a row one of the statement's arguments, or the time if that argument is true. */
static void
added_row_append(SqlArgs *row, const SqlArgs *args, int argument, bool is_time)
{
	bool		is_null = is_time ? !DatumGetBool(args->values[argument]) : args->nulls[argument] == 'n';

	row->values[row->n] = is_time ? TimestampTzGetDatum(GetCurrentTimestamp()) : args->values[argument];
	row->nulls[row->n++] = is_null ? 'n' : ' ';
}

/* Return the row that INSERT_ADDED makes of its arguments. */
static SqlArgs
added_row(const SqlArgs *args)
{
	static const int arguments[] = {0, 1, 2, 3, 3, 7, 4, 5, 6, 8, 9, 10, 11};
	SqlArgs		row = {0};

	for (size_t i = 0; i < lengthof(arguments); i++)
		added_row_append(&row, args, arguments[i], i == 4 || i == 12);
	return row;
}

/* Store a member by a statement. */
static void
membership_store(const SqlArgs *args)
{
	if (intent_insert(&note_new, args) == 0)
		(void) intent_insert(&note_added, args);
}

/* Write to found[] whether the groups of those who were gathered have them already. */
static void
gathered_look_up(const SqlArgs *added, int n, IndexProbeResult *found)
{
	IndexProbe *rows = palloc(sizeof(IndexProbe) * n);
	NameData   *instances = palloc(sizeof(NameData) * n);

	for (int i = 0; i < n; i++)
	{
		const Datum *key = added[i].values;

		namestrcpy(&instances[i], TextDatumGetCString(key[0]));
		rows[i] = (IndexProbe) {"membership", "membership_pkey", 3, {NameGetDatum(&instances[i]), key[1], key[2]}};
	}
	index_probe_all(rows, n, found);
	pfree(rows);
	pfree(instances);
}

/* Store those who were gathered: all who are new to their groups together. */
static void
membership_flush(void)
{
	SqlArgs    *rows;
	IndexProbeResult found[MEMBERSHIPS_AT_ONCE];
	int			n = gathered.n;
	int			nnew = 0;

	if (n == 0)
		return;
	gathered.n = 0;
	gathered_look_up(gathered.added, n, found);
	rows = palloc(sizeof(SqlArgs) * n);
	for (int i = 0; i < n; i++)
	{
		const SqlArgs *one = &gathered.added[i];

		if (found[i] != PROBE_NONE)
			membership_store(one);
		else
		{
			gathered.added[nnew] = *one;
			rows[nnew++] = added_row(one);
		}
	}
	if (nnew > 0 && !table_insert_rows(&insert_added, rows, nnew))
		for (int i = 0; i < nnew; i++)
			membership_store(&gathered.added[i]);
	pfree(rows);
}

/* Let new members wait, to be stored together; membership_end_gathering() must follow before the commit. */
void
membership_gather(void)
{
	gathered.is_open = true;
	gathered.n = 0;
}

/* Store those who wait, and each later one immediately. */
void
membership_end_gathering(void)
{
	membership_flush();
	gathered.is_open = false;
}

/* Forget those who wait: the transaction was aborted. */
void
membership_forget_gathered(void)
{
	gathered.is_open = false;
	gathered.n = 0;
}

/* True if the person waits to be stored as a member of the group. */
static bool
membership_is_gathered(const LaneKey *lane, int64 contact)
{
	for (int i = 0; i < gathered.n; i++)
		if (DatumGetInt64(gathered.added[i].values[2]) == contact &&
			strcmp(TextDatumGetCString(gathered.added[i].values[1]), lane->group) == 0)
			return true;
	return false;
}

/* Store that an intent's person is in the group; contact 0, who was erased: nothing. */
void
membership_note_added(const Intent *intent, int64 contact, const MembershipAddition *addition)
{
	SqlArgs		args = {0};

	if (contact == 0)
		return;
	if (gathered.n == MEMBERSHIPS_AT_ONCE || membership_is_gathered(&intent->lane, contact))
		membership_flush();
	spi_add_text(&args, NameStr(intent->lane.instance));
	spi_add_text(&args, intent->lane.group);
	spi_add_int8(&args, contact);
	spi_add_bool(&args, addition->by_us);
	spi_add_time(&args, intent->until);
	spi_add_text(&args, intent->requested_by);
	spi_add_text(&args, intent->reason);
	spi_add_time(&args, addition->seen_at);
	spi_add_datum(&args, ObjectIdGetDatum(intent->requester));
	home_bind(&args);
	spi_add_text(&args, intent->instance_id);
	spi_add_bool(&args, addition->may_be_welcomed);
	if (gathered.is_open)
		gathered.added[gathered.n++] = args;
	else
		membership_store(&args);
}

static SqlStatement note_removed = {
	"UPDATE wawp.membership SET seen_at = NULL, until = NULL, added_by_us = false, invited_at = NULL,"
	" left_at = clock_timestamp()" THIS_ONE,
	3, {TEXTOID, TEXTOID, INT8OID}, NULL
};

/* Store that we removed the person, so that their absence is no wish of theirs. */
void
membership_note_removed(const LaneKey *lane, int64 contact)
{
	SqlArgs		args = membership_key_args(lane, contact);

	spi_run(&note_removed, &args);
}

static SqlStatement note_gone = {
	"UPDATE wawp.membership SET until = NULL, left_at = clock_timestamp()" THIS_ONE,
	3, {TEXTOID, TEXTOID, INT8OID}, NULL
};

/* Store that the person left, or was removed by somebody else. */
void
membership_note_gone(const LaneKey *lane, int64 contact)
{
	SqlArgs		args = membership_key_args(lane, contact);

	spi_run(&note_gone, &args);
}

static SqlStatement note_joined_at = {
	"UPDATE wawp.membership SET seen_at = greatest(seen_at, $4), left_at = NULL" THIS_ONE
	" AND (left_at IS NULL OR left_at < $4) AND (seen_at IS NULL OR seen_at < $4)",
	4, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}, NULL
};

/* Store that the person joined at that time, if we have to do with them and nothing later is known. */
void
membership_note_joined_at(const LaneKey *lane, int64 contact, TimestampTz at)
{
	SqlArgs		args = membership_key_args(lane, contact);

	spi_add_time(&args, at);
	spi_run(&note_joined_at, &args);
}

static SqlStatement note_gone_at = {
	"UPDATE wawp.membership SET until = CASE WHEN added_at > $4 THEN until END, left_at = $4" THIS_ONE
	" AND (left_at IS NULL OR left_at < $4) AND coalesce(seen_at, added_at, '-infinity') <= $4",
	4, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}, NULL
};

/*
 * Store that the person was gone at that time, unless they were seen, or added
 * without being seen, later, or left later.  The end of an addition that came later
 * stands: it costs a removal at most.
 */
void
membership_note_gone_at(const LaneKey *lane, int64 contact, TimestampTz at)
{
	SqlArgs		args = membership_key_args(lane, contact);

	spi_add_time(&args, at);
	spi_run(&note_gone_at, &args);
}

static SqlStatement note_invited = {
	"INSERT INTO wawp.membership (instance, group_jid, contact_id, invited_at, home) VALUES ($1::name, $2, $3, clock_timestamp(), $4)"
	" ON CONFLICT (instance, group_jid, contact_id) DO UPDATE SET invited_at = excluded.invited_at",
	4, {TEXTOID, TEXTOID, INT8OID, UUIDOID}, NULL
};

/* Store that a person is invited; to be committed before the invitation leaves. */
void
membership_note_invited(const LaneKey *lane, int64 contact)
{
	SqlArgs		args = membership_key_args(lane, contact);

	if (contact == 0)
		return;
	home_bind(&args);
	(void) intent_insert(&note_invited, &args);
}

static SqlStatement note_not_invited = {
	"UPDATE wawp.membership SET invited_at = NULL" THIS_ONE,
	3, {TEXTOID, TEXTOID, INT8OID}, NULL
};

/* Take that back: the invitation has provably not left. */
void
membership_note_not_invited(const LaneKey *lane, int64 contact)
{
	SqlArgs		args = membership_key_args(lane, contact);

	spi_run(&note_not_invited, &args);
}

static SqlStatement forgive = {
	"UPDATE wawp.membership m SET seen_at = NULL FROM wawp.contact c WHERE c.contact_id = m.contact_id AND c.jid = $1"
	" AND $2 IN ('', m.group_jid) AND m.left_at IS NOT NULL",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Forget that a person once left a group, or with "" any group, so that they may be added again. */
void
membership_forgive(const char *jid, const char *group)
{
	SqlArgs		args = {0};

	spi_add_text(&args, jid);
	spi_add_text(&args, group);
	spi_run(&forgive, &args);
}

static SqlStatement forget_members_of_namesake = {
	"DELETE FROM wawp.membership n WHERE n.instance = $2::name AND EXISTS (SELECT FROM wawp.membership o"
	" WHERE o.instance = $1::name AND o.group_jid = n.group_jid AND o.contact_id = n.contact_id OFFSET 0)",
	2, {TEXTOID, TEXTOID}, NULL
};

static SqlStatement rename_memberships = {
	"UPDATE wawp.membership SET instance = $2::name WHERE instance = $1::name",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Give the memberships of an instance its new name; they replace those of an earlier instance of that name. */
void
membership_rename_instance(const char *from, const char *to)
{
	SqlArgs		args = {0};

	spi_add_text(&args, from);
	spi_add_text(&args, to);
	spi_run(&forget_members_of_namesake, &args);
	spi_run(&rename_memberships, &args);
}

/*
 * ---- memberships that end
 */

/* Without a requester, nobody's wish keeps the person any more. */
static SqlStatement take_ended = {
	"WITH ended AS (SELECT m.ctid, m.requester FROM wawp.membership m WHERE m.home = $2 AND m.until <= clock_timestamp() LIMIT $1"
	"  FOR UPDATE SKIP LOCKED)"
	" UPDATE wawp.membership m SET until = NULL, requester = NULL FROM ended, wawp.contact c"
	" WHERE m.ctid = ended.ctid AND c.contact_id = m.contact_id"
	" RETURNING m.instance::text, m.group_jid, c.jid, m.requested_by, " TEXT_CAP_REASON("m.reason") ", m.contact_id, coalesce(ended.requester, 0),"
	" m.instance_id",
	2, {INT4OID, UUIDOID}, NULL
};

/* Take up to `limit` memberships whose time is over and return them as MembershipEnd pointers. */
List *
membership_take_ended(int limit)
{
	SqlArgs		args = {0};
	List	   *ended = NIL;
	uint64		n;

	spi_add_int4(&args, limit, true);
	home_bind(&args);
	n = spi_run(&take_ended, &args);
	for (uint64 i = 0; i < n; i++)
	{
		MembershipEnd *end = palloc0(sizeof(MembershipEnd));

		end->lane = lane_key(spi_get_text(i, 1), spi_get_text(i, 2));
		end->jid = spi_get_text(i, 3);
		end->requested_by = spi_get_text(i, 4);
		end->reason = spi_get_text(i, 5);
		end->contact = spi_get_int8(i, 6, 0);
		end->requester = spi_get_oid(i, 7);
		end->instance_id = spi_get_text(i, 8);
		ended = lappend(ended, end);
	}
	return ended;
}

static SqlStatement put_off_end = {
	"UPDATE wawp.membership SET until = $4, requester = $5" THIS_ONE " AND until IS NULL AND left_at IS NULL",
	5, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, OIDOID}, NULL
};

/* Let a membership that was taken end later: its removal could not be queued. */
void
membership_put_off_end(const MembershipEnd *end, TimestampTz until)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(end->lane.instance));
	spi_add_text(&args, end->lane.group);
	spi_add_int8(&args, end->contact);
	spi_add_time(&args, until);
	spi_add_datum(&args, ObjectIdGetDatum(end->requester));
	spi_run(&put_off_end, &args);
}

static SqlStatement end_at = {
	"UPDATE wawp.membership SET until = $4, requester = $5, requested_by = $6" THIS_ONE " AND left_at IS NULL"
	" AND (requester = $5 OR requester IS NULL AND added_by_us) AND (until IS NULL OR until > $4)",
	6, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, OIDOID, TEXTOID}, NULL
};

/*
 * Let the membership that is there by wishes of an intent's requester end when the
 * intent says; so does one of ours that is there by nobody's any more, since it has
 * ended already and the removal gave way to the intent.
 */
void
membership_end_at(const Intent *intent, int64 contact)
{
	SqlArgs		args = membership_key_args(&intent->lane, contact);

	spi_add_time(&args, intent->until);
	spi_add_datum(&args, ObjectIdGetDatum(intent->requester));
	spi_add_text(&args, intent->requested_by);
	spi_run(&end_at, &args);
}

static SqlStatement next_end = {
	"SELECT min(until) FROM wawp.membership WHERE home = $1 AND until IS NOT NULL",
	1, {UUIDOID}, NULL
};

/* Return when the next membership ends; 0: none does. */
TimestampTz
membership_next_end(void)
{
	SqlArgs		args = {0};

	home_bind(&args);
	spi_run(&next_end, &args);
	return spi_get_time(0, 1);
}

/*
 * ---- welcomes
 */

/*
 * Group by group, by the primary key: few groups welcome people, and the table
 * has the members of all.  Who was added before a promotion may have been
 * welcomed without a trace here.
 */
#define UNWELCOMED(home, doubtful) \
	" FROM wawp.group_settings s, LATERAL (SELECT contact_id, added_by_us, welcomed_at," \
	"  left_at, added_at, u.home, u.instance_id FROM wawp.membership u WHERE u.instance = s.instance AND u.group_jid = s.group_jid OFFSET 0) m" \
	" WHERE s.welcome_text IS NOT NULL AND m.home = " home " AND (m.instance_id IS NULL OR m.instance_id = wawp._account(s.instance))" \
	" AND m.added_by_us AND m.welcomed_at IS NULL AND m.left_at IS NULL" \
	" AND coalesce(m.added_at >= " doubtful ", true) AND m.added_at > clock_timestamp() - s.welcome_delay - interval '1 day'"

static SqlStatement next_welcome = {
	"SELECT min(m.added_at + s.welcome_delay)" UNWELCOMED("$2", "$3") " AND m.added_at + s.welcome_delay > $1",
	3, {TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID}, NULL
};

/* Return when, after that time, the next welcome is due; 0: none is. */
TimestampTz
membership_next_welcome(TimestampTz after)
{
	SqlArgs		args = {0};

	spi_add_time(&args, after);
	home_bind(&args);
	spi_add_time(&args, identity_doubtful_before());
	spi_run(&next_welcome, &args);
	return spi_get_time(0, 1);
}

static SqlStatement due_welcomes = {
	"SELECT instance::text, group_jid" UNWELCOMED("$2", "$3") " GROUP BY instance, group_jid, s.welcome_delay"
	" HAVING min(m.added_at) + s.welcome_delay <= clock_timestamp() ORDER BY min(m.added_at) LIMIT $1",
	3, {INT4OID, UUIDOID, TIMESTAMPTZOID}, NULL
};

/* Return up to `limit` groups in which a welcome is due, as LaneKey pointers. */
List *
membership_due_welcomes(int limit)
{
	SqlArgs		args = {0};
	List	   *lanes = NIL;
	uint64		n;

	spi_add_int4(&args, limit, true);
	home_bind(&args);
	spi_add_time(&args, identity_doubtful_before());
	n = spi_run(&due_welcomes, &args);
	for (uint64 i = 0; i < n; i++)
	{
		LaneKey    *lane = palloc(sizeof(LaneKey));

		*lane = lane_key(spi_get_text(i, 1), spi_get_text(i, 2));
		lanes = lappend(lanes, lane);
	}
	return lanes;
}

/* Up to 50 numbers; a person known only by a LID has none. */
static SqlStatement take_unwelcomed = {
	"WITH who AS (SELECT m.contact_id, s.welcome_text" UNWELCOMED("$4", "$5")
	"  AND s.instance = $1::name AND s.group_jid = $2),"
	" mine AS (UPDATE wawp.membership m SET welcomed_at = $3 FROM who"
	"  WHERE m.instance = $1::name AND m.group_jid = $2 AND m.contact_id = who.contact_id"
	"  RETURNING m.contact_id, coalesce(m.requester, 0) AS requester, m.requested_by, m.added_at, who.welcome_text)"
	" SELECT (array_agg(requested_by ORDER BY added_at DESC))[1], min(welcome_text),"
	" coalesce(array_to_string((array_agg('+' || split_part(c.jid, '@', 1) ORDER BY added_at)"
	"  FILTER (WHERE c.jid NOT LIKE '%@lid'))[1:50], ', '), '') || CASE WHEN count(*) > 50 THEN ', ...' ELSE '' END,"
	" coalesce((array_agg(requester ORDER BY added_at DESC))[1], 0)"
	" FROM mine JOIN wawp.contact c USING (contact_id) HAVING count(*) > 0",
	5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID}, NULL
};

/*
 * Take the people whom a group is to welcome, mark them with that time, since a
 * welcome is not repeated, and write their names and the text to *welcome, in
 * SPI's memory.  False, and *welcome unchanged, if there is nobody any more.
 */
bool
membership_take_unwelcomed(const LaneKey *lane, TimestampTz at, MembershipWelcome *welcome)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_time(&args, at);
	home_bind(&args);
	spi_add_time(&args, identity_doubtful_before());
	if (spi_run(&take_unwelcomed, &args) == 0)
		return false;
	welcome->requested_by = spi_get_text(0, 1);
	welcome->text = spi_get_text(0, 2);
	welcome->names = spi_get_text(0, 3);
	welcome->requester = spi_get_oid(0, 4);
	return true;
}

static SqlStatement give_welcome_back = {
	"UPDATE wawp.membership SET welcomed_at = NULL WHERE instance = $1::name AND group_jid = $2 AND welcomed_at = $3",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* Undo the mark of that time: the welcome has provably not left. */
void
membership_give_welcome_back(const LaneKey *lane, TimestampTz at)
{
	SqlArgs		args = {0};

	spi_add_text(&args, NameStr(lane->instance));
	spi_add_text(&args, lane->group);
	spi_add_time(&args, at);
	spi_run(&give_welcome_back, &args);
}

/*
 * ---- listeners
 */

/*
 * Notify listeners on channel "wawp" that an intent is settled, once that
 * commits.  Off unless wawp.notify is on, since NOTIFY locks the whole database
 * at commit.  Payload: a JSON object of the intent's id, state and outcome,
 * without a telephone number.
 */
void
membership_notify_settled(int64 id, const char *state, const char *outcome)
{
	if (wawp_notify)
		Async_Notify("wawp", psprintf("{\"id\": " INT64_FORMAT ", \"state\": \"%s\", \"outcome\": \"%s\"}",
									  id, state, outcome));
}
