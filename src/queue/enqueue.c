/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *	  The SQL functions and the trigger that fill the queue.
 *
 * A plain INSERT into wawp.membership_intent is a first-class way in: the
 * BEFORE trigger here decides which columns a row may set, normalises and
 * completes it; rows of the extension's own functions are known by a mark in
 * the process (intent_insert).  The functions insert as the extension's owner,
 * with the requesting role noted.  Each requester has rows of their own: others'
 * are neither read, changed, locked nor waited for.
 *
 * All of it happens in the caller's transaction: base/commit_wake.c hands the
 * lanes that got rows to the worker at commit, and a prepared transaction wakes
 * it at COMMIT PREPARED (worker/utility_hook.c).  Locks: the unique index on
 * queued rows makes two transactions of one requester that request the same for
 * the same time wait for each other.  How much a requester may have queued is
 * quota.c's.  Where a transaction keeps a snapshot, queued rows are found and changed as
 * they are now, since the worker changes them all the time; what another session has
 * requested since is a serialization failure, for rows that it was requested for may
 * be missing in the snapshot.
 * A statement's requester lives as long as the trigger's FmgrInfo; all else is
 * in the caller's memory context.
 *
 * IDENTIFICATION
 *	  src/queue/enqueue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/commit_wake.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/requester.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "queue/enqueue.h"
#include "queue/quota.h"
#include "replication/logicalworker.h"
#include "tables/contact.h"
#include "tables/hold.h"
#include "tables/home.h"
#include "tables/erasure_key.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/suppression.h"
#include "throttle/gcra.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_intent_fill);
PG_FUNCTION_INFO_V1(wawp_request_add);
PG_FUNCTION_INFO_V1(wawp_request_remove);
PG_FUNCTION_INFO_V1(wawp_request_promote);
PG_FUNCTION_INFO_V1(wawp_request_demote);
PG_FUNCTION_INFO_V1(wawp_request_invite);
PG_FUNCTION_INFO_V1(wawp_request_swap);
PG_FUNCTION_INFO_V1(wawp_worker_start);

/* Lets a worker start when the install script commits. */
Datum
wawp_worker_start(PG_FUNCTION_ARGS pg_attribute_unused())
{
	commit_wake_worker(NULL);
	PG_RETURN_VOID();
}

/*
 * ---- a new intent
 */

/* Raises unless the library is preloaded and fits the extension's tables. */
static void
enqueue_check_ready(void)
{
	if (wawp_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the queue needs wawp to be preloaded"),
				 errhint("Add wawp to shared_preload_libraries and restart the server.")));
	spi_require_current_tables();
}

/* Raises if the intent to wait for does not exist or is not the role's own; 0: none is waited for. */
static void
check_awaited_intent(int64 after, Oid roleid)
{
	Oid			requester = after != 0 ? intent_requester(after) : InvalidOid;

	if (after != 0 && (!OidIsValid(requester) || !is_member_of_role(roleid, requester)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no intent " INT64_FORMAT " to wait for", after)));
}

/* The requester, with all that is the same for the rows of one statement. */
typedef struct Requester
{
	MemoryContext memory;		/* of this and what it points to */
	Oid			roleid;
	const char *role;
	Datum		from;			/* jsonb */
	const char *asked_instance; /* the column's value that `instance` answers, or NULL */
	InstanceRef instance;
	bool		has_instance;
	pg_uuid_t	home;
	Oid			id_sequence;
	Oid			queued;			/* the state; 0: not looked up yet */
	Oid			action_value;	/* of the last row, which meant `action`; 0: there was none */
	IntentAction action;
} Requester;

/* Appends a member to a JSON object, unless its value is empty. */
static void
append_origin_member(StringInfo out, const char *key, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	appendStringInfoString(out, out->len > 1 ? "," : "");
	escape_json(out, key);
	appendStringInfoChar(out, ':');
	escape_json(out, value);
}

/* Returns requested_from, a jsonb, of this session. */
static Datum
requested_from_json(void)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	append_origin_member(&out, "login", requester_login_role());
	append_origin_member(&out, "actor", requester_actor());
	append_origin_member(&out, "application", application_name);
	append_origin_member(&out, "client", requester_client_address());
	appendStringInfo(&out, "%s\"pid\":%d}", out.len > 1 ? "," : "", MyProcPid);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}

/* Makes the requester of a statement, in the current memory context; no instance is chosen yet. */
static Requester *
make_requester(Oid roleid)
{
	Requester  *requester = palloc0(sizeof(Requester));

	requester->memory = CurrentMemoryContext;
	requester->roleid = roleid;
	requester->role = GetUserNameFromId(roleid, false);
	requester->from = requested_from_json();
	identity_home(&requester->home);
	return requester;
}

static IntentRequester
requester_for_record(const Requester *requester)
{
	IntentRequester by = {requester->roleid, requester->role, requester->from};

	return by;
}

/* Returns the instance that a row means, or raises; keeps the one of the last row, as rows rarely differ. */
static const InstanceRef *
requester_instance(Requester *requester, const char *asked)
{
	bool		same = requester->has_instance &&
		(asked == NULL ? requester->asked_instance == NULL
		 : requester->asked_instance && strcmp(asked, requester->asked_instance) == 0);

	if (!same)
	{
		InstanceRef chosen = instance_choose(asked);

		requester->instance.name = MemoryContextStrdup(requester->memory, chosen.name);
		requester->instance.instance_id = MemoryContextStrdup(requester->memory, chosen.instance_id);
		requester->asked_instance = asked ? MemoryContextStrdup(requester->memory, asked) : NULL;
		requester->has_instance = true;
	}
	return &requester->instance;
}

/* Reads a group or person as it is written, in the database's encoding. */
Jid
enqueue_parse(const char *text)
{
	const char *utf8 = text_from_server(text);

	return jid_parse(utf8, strlen(utf8));
}

/* The reason of each text that is no group: what jid_parse() says may be about a person. */
static const char no_group[] = "a group is \"<digits>@g.us\" or \"<digits>-<digits>@g.us\"";

/* Returns why this cannot be an intent, for errdetail; NULL if it can. */
static const char *
request_problem(const Jid *group, const Jid *jid, IntentAction action)
{
	if (group->kind != JID_GROUP)
		return no_group;
	if (jid->kind == JID_INVALID)
		return jid->problem;
	if (jid->kind == JID_GROUP)
		return "a group is not a person";
	if (jid->kind == JID_LID && action == ACTION_ADD)
		return "a privacy id cannot be added; use the phone number";
	return NULL;
}

/*
 * ---- the trigger
 */

static const char *
intent_column_text(const Datum *values, const bool *nulls, int column)
{
	return nulls[column - 1] ? NULL : TextDatumGetCString(values[column - 1]);
}

/* Raises if a text column is too long, before its value is fetched. */
static void
check_text_columns(const Datum *values, const bool *nulls)
{
	static const struct
	{
		int			column;
		TextLimit	limit;
	}			columns[] =
	{
		{INTENT_GROUP_JID, TEXT_GROUP_JID},
		{INTENT_JID, TEXT_JID},
		{INTENT_REASON, TEXT_REASON},
		{INTENT_CONTEXT, TEXT_CONTEXT},
		{INTENT_BATCH_ID, TEXT_BATCH_ID},
	};

	for (size_t i = 0; i < lengthof(columns); i++)
		if (!nulls[columns[i].column - 1])
			text_limit_check(columns[i].limit, values[columns[i].column - 1]);
}

static void
set_intent_column(Datum *values, bool *nulls, int column, Datum value)
{
	values[column - 1] = value;
	nulls[column - 1] = false;
}

static Datum
enum_label(TupleDesc desc, int column, const char *label)
{
	return DirectFunctionCall2(enum_in, CStringGetDatum(label),
							   ObjectIdGetDatum(TupleDescAttr(desc, column - 1)->atttypid));
}

static IntentAction
intent_column_action(const Datum *values, const bool *nulls)
{
	const char *label;

	if (nulls[INTENT_ACTION - 1])
		return ACTION_ADD;
	label = DatumGetCString(DirectFunctionCall1(enum_out, values[INTENT_ACTION - 1]));
	for (int i = ACTION_ADD; i <= ACTION_INVITE; i++)
		if (strcmp(label, intent_action_name((IntentAction) i)) == 0)
			return (IntentAction) i;
	elog(ERROR, "unknown action \"%s\"", label);
}

/* Returns the action of a row; looks it up where it is not that of the row before. */
static IntentAction
requested_action(Requester *requester, const Datum *values, const bool *nulls)
{
	Oid			value = nulls[INTENT_ACTION - 1] ? InvalidOid : DatumGetObjectId(values[INTENT_ACTION - 1]);

	if (!OidIsValid(value))
		return ACTION_ADD;
	if (value != requester->action_value)
		requester->action = intent_column_action(values, nulls);
	requester->action_value = value;
	return requester->action;
}

/* Sets the columns that the system fills, whatever the row brings. */
static void
fill_system_columns(Datum *values, bool *nulls, const Requester *requester, const char *origin)
{
	static const int empty[] = {INTENT_OUTCOME, INTENT_CODE, INTENT_DETAIL, INTENT_NEXT_ATTEMPT_AT, INTENT_SETTLED_AT};
	static const int zero[] = {INTENT_ATTEMPTS, INTENT_CRASHES};
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());

	for (size_t i = 0; i < lengthof(empty); i++)
		nulls[empty[i] - 1] = true;
	for (size_t i = 0; i < lengthof(zero); i++)
		set_intent_column(values, nulls, zero[i], Int32GetDatum(0));
	set_intent_column(values, nulls, INTENT_STATE, ObjectIdGetDatum(requester->queued));
	set_intent_column(values, nulls, INTENT_REQUESTER, ObjectIdGetDatum(requester->roleid));
	set_intent_column(values, nulls, INTENT_REQUESTED_BY, CStringGetTextDatum(requester->role));
	set_intent_column(values, nulls, INTENT_REQUESTED_FROM, requester->from);
	set_intent_column(values, nulls, INTENT_HOME, UUIDPGetDatum(&requester->home));
	set_intent_column(values, nulls, INTENT_ORIGIN, CStringGetTextDatum(origin));
	set_intent_column(values, nulls, INTENT_SUPERSEDED, BoolGetDatum(false));
	set_intent_column(values, nulls, INTENT_CREATED_AT, now);
	set_intent_column(values, nulls, INTENT_UPDATED_AT, now);
}

/* Puts times that are the epoch itself one microsecond later: 0 means "none" to the queue. */
static void
fill_epochs(Datum *values, const bool *nulls)
{
	static const int times[] = {INTENT_NOT_BEFORE, INTENT_EXPIRES_AT, INTENT_UNTIL};

	for (size_t i = 0; i < lengthof(times); i++)
		if (!nulls[times[i] - 1] && DatumGetTimestampTz(values[times[i] - 1]) == 0)
			values[times[i] - 1] = TimestampTzGetDatum(1);
}

/* Sets the defaults of columns that were given as NULL. */
static void
fill_missing_columns(TupleDesc desc, Datum *values, bool *nulls)
{
	if (nulls[INTENT_ACTION - 1])
		set_intent_column(values, nulls, INTENT_ACTION, enum_label(desc, INTENT_ACTION, "add"));
	if (nulls[INTENT_PRIORITY - 1])
		set_intent_column(values, nulls, INTENT_PRIORITY, Int32GetDatum(0));
	if (nulls[INTENT_VERIFY - 1])
		set_intent_column(values, nulls, INTENT_VERIFY, BoolGetDatum(true));
	if (nulls[INTENT_INVITE - 1])
		set_intent_column(values, nulls, INTENT_INVITE, BoolGetDatum(true));
}

static void
refuse_intent(const Jid *group, const char *group_text, const char *jid_text, const char *problem)
{
	bool		is_group = group->kind != JID_GROUP;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", is_group ? "group JID" : "person",
					(is_group ? group_text : jid_text) ? (is_group ? group_text : jid_text) : "null"),
			 errdetail("It is refused because %s.", problem)));
}

/*
 * Sets group, person and instance in normal form, or raises if they cannot be
 * requested with that action.  Returns the row's lane and writes the person to *jid.
 */
static LaneKey
fill_identity_columns(Datum *values, bool *nulls, Requester *requester, IntentAction action, Jid *jid)
{
	const char *group_text = intent_column_text(values, nulls, INTENT_GROUP_JID);
	const char *jid_text = intent_column_text(values, nulls, INTENT_JID);
	Jid			group = enqueue_parse(group_text ? group_text : "");
	const InstanceRef *instance = requester_instance(requester, intent_column_text(values, nulls, INTENT_INSTANCE));
	const char *problem;
	LaneKey		lane;

	*jid = enqueue_parse(jid_text ? jid_text : "");
	problem = request_problem(&group, jid, action);
	if (problem)
		refuse_intent(&group, group_text, jid_text, problem);
	lane = lane_key(instance->name, group.text);
	if (strcmp(group.text, group_text) != 0)
		set_intent_column(values, nulls, INTENT_GROUP_JID, CStringGetTextDatum(group.text));
	if (strcmp(jid->text, jid_text) != 0)
		set_intent_column(values, nulls, INTENT_JID, CStringGetTextDatum(jid->text));
	set_intent_column(values, nulls, INTENT_INSTANCE, CStringGetTextDatum(instance->name));
	set_intent_column(values, nulls, INTENT_INSTANCE_ID, CStringGetTextDatum(instance->instance_id));
	return lane;
}

/* Returns the statement's requester, which is kept between its rows. */
static Requester *
statement_requester(FunctionCallInfo fcinfo)
{
	MemoryContext caller;

	if (fcinfo->flinfo->fn_extra == NULL)
	{
		caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = make_requester(GetUserId());
		MemoryContextSwitchTo(caller);
	}
	return fcinfo->flinfo->fn_extra;
}

static SqlStatement note_refused = {
	INSERT_NOTE " VALUES ('refused', $1::name, $2, $3, NULL, $4, NULL, $5::wawp.action, $6, $7::name, $8)",
	8, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}, NULL
};

/* Notes that a complete row for a person who was erased is not sent. */
static void
note_erased_row(const Datum *values, const bool *nulls)
{
	SqlArgs		args = {0};

	spi_add_text(&args, intent_column_text(values, nulls, INTENT_INSTANCE));
	spi_add_text(&args, intent_column_text(values, nulls, INTENT_INSTANCE_ID));
	spi_add_text(&args, intent_column_text(values, nulls, INTENT_GROUP_JID));
	spi_add_datum(&args, values[INTENT_ID - 1]);
	spi_add_text(&args, intent_action_name(intent_column_action(values, nulls)));
	spi_add_text(&args, "suppressed: " SUPPRESSION_ERASED);
	spi_add_text(&args, intent_column_text(values, nulls, INTENT_REQUESTED_BY));
	spi_add_datum(&args, values[INTENT_REQUESTED_FROM - 1]);
	spi_run(&note_refused, &args);
}

/*
 * Lets a complete row for a person who was erased fail at once.  It keeps neither
 * the person nor free texts, which may name them.
 */
static void
fill_if_erased(TupleDesc desc, Datum *values, bool *nulls)
{
	static const int free_texts[] = {INTENT_REASON, INTENT_CONTEXT, INTENT_BATCH_ID};
	bool		is_erased;
	SqlOwner	before;

	if (!erasure_key_exists())
		return;
	before = spi_begin_as_owner();
	is_erased = suppression_is_erased(intent_column_text(values, nulls, INTENT_JID));
	if (is_erased)
		note_erased_row(values, nulls);
	spi_end_as_owner(&before);
	if (!is_erased)
		return;
	for (size_t i = 0; i < lengthof(free_texts); i++)
		nulls[free_texts[i] - 1] = true;
	set_intent_column(values, nulls, INTENT_JID, CStringGetTextDatum("erased"));
	set_intent_column(values, nulls, INTENT_STATE, enum_label(desc, INTENT_STATE, "failed"));
	set_intent_column(values, nulls, INTENT_OUTCOME, enum_label(desc, INTENT_OUTCOME, "suppressed"));
	set_intent_column(values, nulls, INTENT_DETAIL, CStringGetTextDatum("suppressed: " SUPPRESSION_ERASED));
	set_intent_column(values, nulls, INTENT_SETTLED_AT, values[INTENT_UPDATED_AT - 1]);
}

/*
 * Completes a row of the extension's own functions, which lacks only its home.
 * The defaults of its times are two readings of the clock, a microsecond apart
 * at times: a row that was not changed since shows one.
 */
static void
fill_own_row(TupleDesc desc, Datum *values, bool *nulls)
{
	pg_uuid_t  *home = palloc(sizeof(pg_uuid_t));

	identity_home(home);
	set_intent_column(values, nulls, INTENT_HOME, UUIDPGetDatum(home));
	set_intent_column(values, nulls, INTENT_UPDATED_AT, values[INTENT_CREATED_AT - 1]);
	/* in tables of a release before, which know of no erasure, only enqueue_failed() inserts */
	if (!spi_found_old_tables())
		fill_if_erased(desc, values, nulls);
}

/*
 * Marks a restored or replicated row, which is one that brings a home or that
 * a subscription applies, as not requested here; otherwise it stays as it is.
 * Its requester's oid may belong to another role here, so the role is looked up
 * by name.
 */
static void
fill_restored_row(Datum *values, bool *nulls)
{
	const char *role = intent_column_text(values, nulls, INTENT_REQUESTED_BY);

	if (!is_member_of_role(GetUserId(), spi_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of an intent cannot be set", "home"),
				 errdetail("A row that carries a home is restored or replicated, which is for members of the extension's owner."),
				 errhint("Leave the column out, or insert NULL or DEFAULT.")));
	set_intent_column(values, nulls, INTENT_HOME, UUIDPGetDatum(palloc0(sizeof(pg_uuid_t))));
	set_intent_column(values, nulls, INTENT_REQUESTER, ObjectIdGetDatum(role ? get_role_oid(role, true) : InvalidOid));
}

/* Raises if a new row brings a state other than NULL or the column's default. */
static void
check_new_state(TupleDesc desc, const Datum *values, const bool *nulls, Requester *requester)
{
	if (!OidIsValid(requester->queued))
		requester->queued = DatumGetObjectId(enum_label(desc, INTENT_STATE, "queued"));
	if (!nulls[INTENT_STATE - 1] && DatumGetObjectId(values[INTENT_STATE - 1]) != requester->queued)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of an intent cannot be set", "state"),
				 errdetail("A new intent is queued; this one would be \"%s\".",
						   DatumGetCString(DirectFunctionCall1(enum_out, values[INTENT_STATE - 1]))),
				 errhint("Leave the column out, or insert NULL or DEFAULT.")));
}

/* Draws an id; the row's own cannot be used, since one drawn for DEFAULT looks like one that a user chose. */
static Datum
next_intent_id(Requester *requester)
{
	if (!OidIsValid(requester->id_sequence))
		requester->id_sequence = spi_require_relation("membership_intent_id_seq");
	return Int64GetDatum(nextval_internal(requester->id_sequence, false));
}

/* Completes a row that a user inserts, or raises. */
static void
fill_requested_row(TupleDesc desc, Datum *values, bool *nulls, Requester *requester)
{
	LaneKey		lane;
	Jid			jid;
	IntentAction action;
	TimestampTz not_before;
	IntentRequester by = requester_for_record(requester);
	SqlOwner	before;

	enqueue_check_ready();
	check_new_state(desc, values, nulls, requester);
	check_text_columns(values, nulls);
	action = requested_action(requester, values, nulls);
	lane = fill_identity_columns(values, nulls, requester, action, &jid);
	quota_take(requester->roleid);
	fill_missing_columns(desc, values, nulls);
	fill_epochs(values, nulls);
	fill_system_columns(values, nulls, requester, "insert");
	set_intent_column(values, nulls, INTENT_ID, next_intent_id(requester));
	not_before = nulls[INTENT_NOT_BEFORE - 1] ? 0 : DatumGetTimestampTz(values[INTENT_NOT_BEFORE - 1]);
	if (!nulls[INTENT_AFTER - 1] || intent_is_in_the_way(NameStr(lane.instance), lane.group, jid.text))
	{
		before = spi_begin_as_owner();
		check_awaited_intent(nulls[INTENT_AFTER - 1] ? 0 : DatumGetInt64(values[INTENT_AFTER - 1]), requester->roleid);
		intent_make_room(NameStr(lane.instance), lane.group, jid.text, action, not_before,
						 !nulls[INTENT_AFTER - 1], &by);
		spi_end_as_owner(&before);
	}
	fill_if_erased(desc, values, nulls);
	commit_wake_for(&lane, DatumGetInt32(values[INTENT_PRIORITY - 1]), DatumGetInt64(values[INTENT_ID - 1]));
}

/*
 * BEFORE INSERT trigger of the queue: decides what a row may bring and fills
 * the rest.
 */
Datum
wawp_intent_fill(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Datum		values[INTENT_COLUMNS];
	bool		nulls[INTENT_COLUMNS];
	TupleDesc	desc;
	bool		is_own;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "wawp._intent_fill() is a trigger");
	is_own = intent_take_insert_mark();
	if (!is_own)
		spi_require_current_tables();
	desc = RelationGetDescr(trigger->tg_relation);
	heap_deform_tuple(trigger->tg_trigtuple, desc, values, nulls);
	if (is_own)
		fill_own_row(desc, values, nulls);
	else if (!nulls[INTENT_HOME - 1] || IsLogicalWorker())
		fill_restored_row(values, nulls);
	else
		fill_requested_row(desc, values, nulls, statement_requester(fcinfo));
	return PointerGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * ---- requests by function
 */

/* A requester's queued intent, as the request that was made for it is told. */
typedef struct QueuedIntent
{
	int64		id;				/* 0: none */
	bool		created;		/* by this request */
	bool		waits_no_more;	/* it was to follow another intent */
	const char *batch_id;		/* may be NULL */
} QueuedIntent;

/*
 * A repeated request makes the queued one the stronger of both: the higher
 * priority, the later expiry (none is the latest), verified and invited if either
 * says so, without waiting for another intent if either does not wait, in the
 * batch of the second if it is in none.  The latest request decides which one is
 * waited for, and until when the person stays, as it does for a person who is in
 * the group already.  The end of a membership that the worker has queued becomes the
 * requester's own wish.
 */
#define IS_WEAKER \
	"coalesce(i.origin = 'until' OR i.priority < $7 OR i.expires_at < coalesce($8, 'infinity') OR i.until IS DISTINCT FROM $9" \
	" OR NOT i.verify AND $10 OR NOT i.invite AND $11 OR i.after IS NOT NULL AND i.after IS DISTINCT FROM $12" \
	" OR i.batch_id IS NULL AND $13 IS NOT NULL, false)"

/* The requester's own, for that time; none that was restored, which is left to wawp_take_over(). */
#define FIND_QUEUED(when) \
	"SELECT i.id, i.batch_id, " IS_WEAKER ", i.after IS NOT NULL AND $12 IS NULL" \
	" FROM wawp.membership_intent i WHERE i.state = 'queued' AND i.instance = $1" \
	" AND i.group_jid = $2 AND i.jid = $3 AND i.action = $4::wawp.action" \
	" AND (i.action IN ('promote', 'demote')) = ($4 IN ('promote', 'demote'))" \
	" AND i.requester = $5 AND i.not_before " when \
	" AND i.instance_id = wawp._account($1::name) AND i.home = $14 AND i.home <> " HOME_OF_RESTORED_ROWS

#define REQUEST_TYPES \
	TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, \
	BOOLOID, INT8OID, TEXTOID, UUIDOID

/* Without and with a time: no index serves IS NOT DISTINCT FROM. */
static SqlStatement find_queued[] = {
	{FIND_QUEUED("IS NULL"), 14, {REQUEST_TYPES}, NULL},
	{FIND_QUEUED("= $6"), 14, {REQUEST_TYPES}, NULL}
};

/* The lock keeps the row queued, neither cancelled nor sent, until the requesting transaction ends. */
static SqlStatement find_and_lock_queued[] = {
	{FIND_QUEUED("IS NULL") " FOR SHARE OF i", 14, {REQUEST_TYPES}, NULL},
	{FIND_QUEUED("= $6") " FOR SHARE OF i", 14, {REQUEST_TYPES}, NULL}
};

/* True if what is to be waited for waits, itself or by others, for intent i: neither would ever go. */
#define WAITS_FOR_IT(awaited) \
	"i.id = ANY (ARRAY(WITH RECURSIVE w (id) AS (SELECT " awaited \
	" UNION SELECT (SELECT a.after FROM wawp.membership_intent a WHERE a.id = w.id) FROM w WHERE w.id IS NOT NULL)" \
	" SELECT id FROM w))"

static SqlStatement strengthen = {
	"UPDATE wawp.membership_intent i SET priority = greatest(i.priority, $7),"
	" expires_at = CASE WHEN $8 IS NOT NULL AND i.expires_at IS NOT NULL THEN greatest(i.expires_at, $8) END,"
	" until = $9, verify = i.verify OR $10, invite = i.invite OR $11,"
	" after = CASE WHEN i.after IS NULL THEN NULL WHEN " WAITS_FOR_IT("$12") " THEN i.after ELSE $12 END,"
	" batch_id = coalesce(i.batch_id, $13),"
	" reason = CASE WHEN i.origin = 'until' THEN $16 ELSE i.reason END,"
	" requested_by = CASE WHEN i.origin = 'until' THEN $17::name ELSE i.requested_by END,"
	" requested_from = CASE WHEN i.origin = 'until' THEN " INTENT_ASKED_AGAIN("$18") " ELSE i.requested_from END,"
	" origin = CASE WHEN i.origin = 'until' THEN $19 ELSE i.origin END, updated_at = clock_timestamp()"
	" WHERE i.id = $15 AND i.state = 'queued' AND i.home = $14 RETURNING i.id, i.batch_id",
	19, {REQUEST_TYPES, INT8OID, TEXTOID, TEXTOID, JSONBOID, TEXTOID}, NULL
};

/*
 * Notes that a queued intent was asked for again, so that it is the newer wish
 * beside what became due in between, and what was read of the group until then
 * is too old for it.  Nobody is waited for: who has the row locked changes it, or
 * asks as well.  In a transaction that goes on, whose lock would keep the intent from
 * being sent until its end, and by a trigger it is noted only where a plan of the
 * requester's has become due in between; where a snapshot is kept, never, since
 * what was changed since that makes an UPDATE fail.
 */
#define ASK_AGAIN(more) \
	"UPDATE wawp.membership_intent i SET requested_from = " INTENT_ASKED_AGAIN("i.requested_from") \
	" WHERE i.id = ANY (ARRAY(SELECT c.id FROM wawp.membership_intent c WHERE c.id = $1 AND c.state = 'queued' AND c.not_before IS NULL" \
	" AND " INTENT_ASKED_AT("c") " < clock_timestamp() - interval '1 second'" more " FOR NO KEY UPDATE SKIP LOCKED))"

static SqlStatement ask_again = {ASK_AGAIN(""), 1, {INT8OID}, NULL};

static SqlStatement ask_again_beside_plan = {
	ASK_AGAIN(" AND EXISTS (SELECT FROM wawp.membership_intent p WHERE p.state = 'queued' AND p.not_before IS NOT NULL AND p.jid = c.jid"
			  " AND p.group_jid = c.group_jid AND p.instance = c.instance AND p.requester = c.requester"
			  " AND p.not_before <= (SELECT clock_timestamp()) AND p.not_before >= " INTENT_ASKED_AT("c") " OFFSET 0)"),
	1, {INT8OID}, NULL
};

static SqlStatement insert_intent = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, priority, not_before,"
	" expires_at, until, verify, invite, context, batch_id, after, instance_id, requested_by, requested_from,"
	" origin, requester)"
	" VALUES ($1::name, $2, $3, $4::wawp.action, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13,"
	" $14, $15, $16, $17, $18, $19)"
	" ON CONFLICT " INTENT_QUEUED_KEY " DO NOTHING RETURNING id",
	19, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, BOOLOID, BOOLOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, JSONBOID,
	TEXTOID, OIDOID}, NULL
};

/* Likewise, several rows that differ in these columns only. */
static SqlStatement insert_intents = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, until, verify, invite, instance_id,"
	" requested_by, requested_from, origin, requester)"
	" SELECT $1::name, n.group_jid, n.jid, n.action::wawp.action, n.reason, n.until, true, true, $7, $8, $9, $10, $11"
	" FROM unnest($2, $3, $4, $5, $6) n (group_jid, jid, action, reason, until)"
	" ON CONFLICT " INTENT_QUEUED_KEY " DO NOTHING",
	11, {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTOID, TEXTOID, JSONBOID,
	TEXTOID, OIDOID}, NULL
};

static SqlArgs
intent_identity_args(const InstanceRef *instance, const MembershipRequest *request, const Jid *jid)
{
	SqlArgs		args = {0};

	spi_add_text(&args, instance->name);
	spi_add_text(&args, request->group);
	spi_add_text(&args, jid->text);
	spi_add_text(&args, intent_action_name(request->action));
	return args;
}

/* Inserts an intent and returns its id; 0 if the same is queued already. */
static int64
insert_if_absent(const Requester *requester, const MembershipRequest *request, const Jid *jid)
{
	SqlArgs		args = intent_identity_args(&requester->instance, request, jid);

	spi_add_text(&args, request->reason);
	spi_add_int4(&args, request->priority, true);
	spi_add_time(&args, request->not_before);
	spi_add_time(&args, request->expires_at);
	spi_add_time(&args, request->until);
	spi_add_bool(&args, request->verify);
	spi_add_bool(&args, request->invite);
	spi_add_text(&args, request->context);
	spi_add_text(&args, request->batch_id);
	spi_add_id(&args, request->after);
	spi_add_text(&args, requester->instance.instance_id);
	spi_add_text(&args, requester->role);
	spi_add_datum(&args, requester->from);
	spi_add_text(&args, request->origin);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	return intent_insert(&insert_intent, &args) > 0 ? spi_get_int8(0, 1, 0) : 0;
}

/* Returns the arguments of FIND_QUEUED. */
static SqlArgs
find_args(const Requester *requester, const MembershipRequest *request, const Jid *jid)
{
	SqlArgs		args = intent_identity_args(&requester->instance, request, jid);

	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	spi_add_time(&args, request->not_before);
	spi_add_int4(&args, request->priority, true);
	spi_add_time(&args, request->expires_at);
	spi_add_time(&args, request->until);
	spi_add_bool(&args, request->verify);
	spi_add_bool(&args, request->invite);
	spi_add_id(&args, request->after);
	spi_add_text(&args, request->batch_id);
	spi_add_datum(&args, UUIDPGetDatum(&requester->home));
	return args;
}

/* Notes that a queued intent without a time was asked for again; has_lock: it is locked until the transaction ends. */
static void
note_asked_again(int64 id, bool has_lock)
{
	SqlArgs		args = {0};

	if (IsolationUsesXactSnapshot())
		return;
	spi_add_int8(&args, id);
	(void) spi_run(has_lock || IsTransactionBlock() ? &ask_again_beside_plan : &ask_again, &args);
}

/*
 * Writes to *queued the intent that `find`, a pair of statements, finds for this
 * request, made the stronger of both; false if there is none, or none any more.
 * Raises if another session has requested it since the snapshot that is kept.
 */
static bool
find_and_strengthen(SqlStatement *find, const Requester *requester, const MembershipRequest *request, const SqlArgs *args,
					QueuedIntent *queued)
{
	SqlArgs		stronger = *args;
	bool		has_time = request->not_before != 0;
	bool		is_weaker;

	if (spi_run_latest(&find[has_time ? 1 : 0], args) == 0)
		return false;
	queued->id = spi_get_int8(0, 1, 0);
	queued->batch_id = spi_get_text(0, 2);
	is_weaker = spi_get_bool(0, 3);
	queued->waits_no_more = spi_get_bool(0, 4);
	intent_require_seen(queued->id);
	if (is_weaker)
	{
		spi_add_int8(&stronger, queued->id);
		spi_add_text(&stronger, request->reason);
		spi_add_text(&stronger, requester->role);
		spi_add_datum(&stronger, requester->from);
		spi_add_text(&stronger, request->origin);
		if (spi_run_latest(&strengthen, &stronger) == 0)
			return false;
		queued->batch_id = spi_get_text(0, 2);
	}
	queued->created = false;
	if (!has_time)
		note_asked_again(queued->id, find == find_and_lock_queued);
	return true;
}

/* Returns the queued intent for this request: the requester's that `find`, a pair of statements, finds, else a new one. */
static QueuedIntent
find_or_insert(const Requester *requester, const MembershipRequest *request, const Jid *jid, SqlStatement *find)
{
	bool		may_be_queued = intent_is_in_the_way(requester->instance.name, request->group, jid->text);
	IntentRequester by = requester_for_record(requester);
	SqlArgs		args = find_args(requester, request, jid);
	QueuedIntent queued = {0};

	while (!may_be_queued || !find_and_strengthen(find, requester, request, &args, &queued))
	{
		CHECK_FOR_INTERRUPTS();
		if (may_be_queued)
			intent_make_room(requester->instance.name, request->group, jid->text, request->action, request->not_before,
							 request->after != 0, &by);
		quota_take(requester->roleid);
		queued.id = insert_if_absent(requester, request, jid);
		queued.batch_id = request->batch_id;
		queued.created = true;
		if (queued.id != 0)
			return queued;
		/* another transaction inserted it first, and may have removed it since: try again */
		may_be_queued = true;
	}
	/* what it would have superseded in its turn */
	if (queued.waits_no_more)
		intent_make_room(requester->instance.name, request->group, jid->text, request->action, request->not_before,
						 false, &by);
	return queued;
}

/* Appends a row of a wawp_request_ function's result; id 0 and NULL texts become NULL. */
static void
put_request_row(FunctionCallInfo fcinfo, const QueuedIntent *queued, const char *jid, const char *problem)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[5];
	bool		nulls[5] = {queued->id == 0, jid == NULL, false, problem == NULL, queued->batch_id == NULL};

	values[0] = Int64GetDatum(queued->id);
	values[1] = jid ? CStringGetTextDatum(jid) : (Datum) 0;
	values[2] = BoolGetDatum(queued->created);
	values[3] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	values[4] = queued->batch_id ? CStringGetTextDatum(queued->batch_id) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static char *
new_batch_id(void)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
}

/* Returns a group in normal form; raises for what is none. */
const char *
enqueue_group(const char *text)
{
	Jid			group = enqueue_parse(text ? text : "");

	if (group.kind != JID_GROUP)
		refuse_intent(&group, text, NULL, no_group);
	return pstrdup(group.text);
}

/* Returns the n-th argument, a person, in normal form; raises for what is none. */
const char *
enqueue_arg_person(FunctionCallInfo fcinfo, int n)
{
	const char *input = text_limit_arg(fcinfo, n, TEXT_JID);
	Jid			jid = enqueue_parse(input ? input : "");

	if (jid.kind != JID_PERSON && jid.kind != JID_LID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid person \"%s\"", input ? input : "null"),
				 errhint("A person is \"<digits>@c.us\", or a phone number with its country code.")));
	return pstrdup(jid.text);
}

/* Requests each element of an array; one that is invalid is a row with its problem. */
static void
request_all(FunctionCallInfo fcinfo, MembershipRequest *request, ArrayType *people, const char *instance)
{
	Requester  *requester = make_requester(GetUserId());
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	SqlOwner	before;
	LaneKey		lane;

	requester_instance(requester, instance);
	deconstruct_array(people, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	lane = lane_key(requester->instance.name, request->group);
	before = spi_begin_as_owner();
	check_awaited_intent(request->after, requester->roleid);
	for (int i = 0; i < n; i++)
	{
		const char *input = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
		Jid			group = {.kind = JID_GROUP};
		Jid			jid = enqueue_parse(input ? input : "");
		const char *problem = input ? request_problem(&group, &jid, request->action) : "the element is null";
		QueuedIntent queued = {.batch_id = request->batch_id};

		if (!problem)
			queued = find_or_insert(requester, request, &jid, find_queued);
		put_request_row(fcinfo, &queued, problem ? input : jid.text, problem);
	}
	spi_end_as_owner(&before);
	commit_wake_worker(&lane);
}

/* Returns the n-th argument, a jsonb within its limit, as text; NULL for NULL. */
static const char *
arg_context(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return NULL;
	text_limit_check(TEXT_CONTEXT, PG_GETARG_DATUM(n));
	return DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(n)));
}

/* Returns the n-th argument, a time; 0 for NULL, and the epoch itself is one microsecond later, since 0 means "none". */
TimestampTz
enqueue_arg_time(FunctionCallInfo fcinfo, int n)
{
	TimestampTz at = PG_ARGISNULL(n) ? 0 : PG_GETARG_TIMESTAMPTZ(n);

	return !PG_ARGISNULL(n) && at == 0 ? 1 : at;
}

static SqlStatement insert_failed = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, outcome, detail, instance_id,"
	" requested_by, requested_from, origin, until, requester, state, settled_at)"
	" VALUES ($1, $2, $3, $4::wawp.action, $5, $11::wawp.outcome, $6, $7, $8, $9::jsonb, $10, $12, $13,"
	" 'failed', clock_timestamp())",
	13, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, OIDOID}, NULL
};

/* Inserts a failed intent for a request that is not possible, texts cut to their limits; the outcome may be NULL. */
static void
insert_failed_intent(const Requester *requester, const MembershipRequest *request, const char *group,
			const char *person, const char *outcome, const char *problem)
{
	SqlArgs		args = {0};

	spi_add_text(&args, requester->instance.name);
	spi_add_text(&args, text_limit_cut(TEXT_GROUP_JID, group));
	spi_add_text(&args, text_limit_cut(TEXT_JID, person));
	spi_add_text(&args, intent_action_name(request->action));
	spi_add_text(&args, text_limit_cut(TEXT_REASON, request->reason));
	spi_add_text(&args, text_limit_cut(TEXT_DETAIL, problem));
	spi_add_text(&args, requester->instance.instance_id);
	spi_add_text(&args, requester->role);
	spi_add_text(&args, DatumGetCString(DirectFunctionCall1(jsonb_out, requester->from)));
	spi_add_text(&args, request->origin);
	spi_add_text(&args, outcome);
	spi_add_time(&args, request->until);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	(void) intent_insert(&insert_failed, &args);
}

static SqlStatement find_quota_note = {
	"SELECT FROM wawp.membership_intent WHERE settled_at > (SELECT clock_timestamp() - interval '1 minute')"
	" AND state = 'failed' AND origin = $1 AND requester = $2 AND outcome IS NULL"
	" AND strpos(detail, '" QUOTA_SETTING "') > 0 LIMIT 1",
	2, {TEXTOID, OIDOID}, NULL
};

/* True if a failed intent of the last minute tells already that requests of that origin exceed their role's quota. */
bool
enqueue_quota_is_noted(Oid roleid, const char *origin)
{
	SqlArgs		args = {0};
	SqlOwner	before = spi_begin_as_owner();
	bool		found;

	spi_add_text(&args, origin);
	spi_add_datum(&args, ObjectIdGetDatum(roleid));
	found = spi_run(&find_quota_note, &args) > 0;
	spi_end_as_owner(&before);
	return found;
}

/*
 * Inserts a failed intent for what a user's trigger could not request although
 * the row is valid; wawp_retry() requests it again, and chooses the instance
 * if none was named or the named one does not exist.  Until ALTER EXTENSION UPDATE
 * that is all that can be done with a request, so it has to do with the columns
 * of every release.
 */
void
enqueue_failed(Oid roleid, const char *instance, const PersonRequest *asked, const char *problem)
{
	Requester  *requester = make_requester(roleid);
	const char *instance_id = instance ? instance_id_of(instance) : NULL;
	const char *group = asked->group ? asked->group : "";
	const char *person = asked->person ? asked->person : "";
	Jid			group_jid = enqueue_parse(group);
	Jid			jid = enqueue_parse(person);
	SqlOwner	before;

	requester->instance.name = instance ? instance : "";
	requester->instance.instance_id = instance_id ? instance_id : "";
	before = spi_begin_as_owner_of_any_version();
	insert_failed_intent(requester, &asked->request, group_jid.problem ? group : group_jid.text,
						 jid.problem ? person : jid.text, group_jid.problem || jid.problem ? "bad_identifier" : NULL, problem);
	spi_end_as_owner(&before);
}

/*
 * ---- requests of users' triggers
 */

/* A person in a group, padded with 0: a key of a hash table. */
typedef struct PersonInGroup
{
	char		group[JID_SIZE];
	char		person[JID_SIZE];
} PersonInGroup;

/* Requests of a role that nothing is in the way of, to be inserted together; not two for one person in a group. */
typedef struct NewIntents
{
	Requester  *requester;
	int			n;
	MembershipRequest *requests;
	PersonInGroup *people;
	HTAB	   *known;			/* of these people */
} NewIntents;

static NewIntents
new_intents(Requester *requester, int space)
{
	HASHCTL		control = {.keysize = sizeof(PersonInGroup), .entrysize = sizeof(PersonInGroup), .hcxt = CurrentMemoryContext};
	NewIntents	intents = {
		.requester = requester,
		.requests = palloc(sizeof(MembershipRequest) * space),
		.people = palloc(sizeof(PersonInGroup) * space),
		.known = hash_create("wawp new intents", space, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT)
	};

	return intents;
}

/* Requests one by one what could not be inserted together: another transaction was first with one of them. */
static void
request_each(const NewIntents *intents)
{
	for (int i = 0; i < intents->n; i++)
	{
		Jid			jid = enqueue_parse(intents->people[i].person);

		(void) find_or_insert(intents->requester, &intents->requests[i], &jid, find_and_lock_queued);
	}
}

/* Appends the columns of insert_intents in which its rows differ. */
static void
bind_new_intents(SqlArgs *args, const NewIntents *intents)
{
	int			n = intents->n;
	Datum	   *columns[5];
	bool	   *nulls[2] = {palloc(sizeof(bool) * n), palloc(sizeof(bool) * n)};

	for (size_t i = 0; i < lengthof(columns); i++)
		columns[i] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		const MembershipRequest *request = &intents->requests[i];

		columns[0][i] = CStringGetTextDatum(intents->people[i].group);
		columns[1][i] = CStringGetTextDatum(intents->people[i].person);
		columns[2][i] = CStringGetTextDatum(intent_action_name(request->action));
		columns[3][i] = request->reason ? CStringGetTextDatum(request->reason) : (Datum) 0;
		columns[4][i] = TimestampTzGetDatum(request->until);
		nulls[0][i] = request->reason == NULL;
		nulls[1][i] = request->until == 0;
	}
	for (int i = 0; i < 3; i++)
		spi_add_array(args, columns[i], NULL, n, TEXTOID);
	spi_add_array(args, columns[3], nulls[0], n, TEXTOID);
	spi_add_array(args, columns[4], nulls[1], n, TIMESTAMPTZOID);
}

/* Inserts the intents. */
static void
insert_new_intents(NewIntents *intents)
{
	const Requester *requester = intents->requester;
	SqlArgs		args = {0};
	PersonInGroup *person;
	HASH_SEQ_STATUS all;

	if (intents->n == 0)
		return;
	spi_add_text(&args, requester->instance.name);
	bind_new_intents(&args, intents);
	spi_add_text(&args, requester->instance.instance_id);
	spi_add_text(&args, requester->role);
	spi_add_datum(&args, requester->from);
	spi_add_text(&args, intents->requests[0].origin);
	spi_add_datum(&args, ObjectIdGetDatum(requester->roleid));
	if (intent_insert_rows(&insert_intents, &args, intents->n) < (uint64) intents->n)
		request_each(intents);
	hash_seq_init(&all, intents->known);
	while ((person = hash_seq_search(&all)) != NULL)
		(void) hash_search(intents->known, person, HASH_REMOVE, NULL);
	intents->n = 0;
}

/*
 * Adds a request to what is inserted together.  What the requester has queued or
 * under way for the person is looked at first, what was added before included.
 */
static void
add_new_intent(NewIntents *intents, const MembershipRequest *request, const Jid *jid)
{
	PersonInGroup person;
	bool		is_known;

	memset(&person, 0, sizeof(person));
	strlcpy(person.group, request->group, sizeof(person.group));
	strlcpy(person.person, jid->text, sizeof(person.person));
	(void) hash_search(intents->known, &person, HASH_FIND, &is_known);
	if (is_known || intent_is_in_the_way(intents->requester->instance.name, request->group, jid->text))
	{
		insert_new_intents(intents);
		(void) find_or_insert(intents->requester, request, jid, find_and_lock_queued);
		return;
	}
	if (!quota_take_if_counted(intents->requester->roleid))
	{
		/* a count has to see them */
		insert_new_intents(intents);
		quota_take(intents->requester->roleid);
	}
	(void) hash_search(intents->known, &person, HASH_ENTER, NULL);
	intents->people[intents->n] = person;
	intents->requests[intents->n] = *request;
	intents->requests[intents->n].group = intents->people[intents->n].group;
	intents->n++;
}

/* Requests one person, or inserts a failed intent and sets asked->problem. */
static void
request_person(NewIntents *intents, PersonRequest *asked)
{
	Requester  *requester = intents->requester;
	MembershipRequest request = asked->request;
	Jid			group = enqueue_parse(asked->group);
	Jid			jid = enqueue_parse(asked->person);
	LaneKey		lane;

	asked->was_tried = true;
	asked->problem = request_problem(&group, &jid, request.action);
	request.group = group.text;
	request.reason = text_limit_cut(TEXT_REASON, request.reason);
	if (asked->problem)
	{
		insert_failed_intent(requester, &request, asked->group, asked->person, "bad_identifier", asked->problem);
		return;
	}
	add_new_intent(intents, &request, &jid);
	lane = lane_key(requester->instance.name, request.group);
	commit_wake_worker(&lane);
}

/*
 * True if a person is in the group, or on the way there, by an earlier wish, whoever's
 * that was; or by one of the current role's whose transaction is still open.
 */
bool
enqueue_has_wish(const char *instance, const Jid *group, const Jid *person)
{
	LaneKey		lane = lane_key(instance, group->text);
	SqlOwner	before;
	bool		found;

	if (intent_is_in_the_way(instance, group->text, person->text) || intent_is_pending(&lane, person->text, GetUserId()))
		return true;
	if (!contact_may_be_known(person->text))
		return false;
	before = spi_begin_as_owner();
	found = membership_is_open(&lane, person->text);
	spi_end_as_owner(&before);
	return found;
}

/*
 * Requests people on behalf of a role, for a user's trigger; all have the same
 * origin and nothing but what a trigger can ask for.  One that is invalid becomes
 * a failed intent and has its problem set; a problem with the instance or the
 * permission raises.
 */
void
enqueue_for_role(Oid roleid, const char *instance, PersonRequest **requests, int n)
{
	Requester  *requester = make_requester(roleid);
	NewIntents	intents;
	SqlOwner	before;

	requester_instance(requester, instance);
	before = spi_begin_as_owner();
	intents = new_intents(requester, n);
	for (int i = 0; i < n; i++)
		request_person(&intents, requests[i]);
	insert_new_intents(&intents);
	spi_end_as_owner(&before);
}

/*
 * Reads the last arguments into *request, from the first-th on: reason,
 * priority, not_before, expires_at, (until, verify, invite,) context, batch_id,
 * after.  The three in brackets are there if the function can add people.
 */
static void
read_request_tail(FunctionCallInfo fcinfo, int first, bool can_add, MembershipRequest *request)
{
	int			n = first + 4;

	request->origin = "function";
	request->verify = request->invite = true;
	request->reason = text_limit_arg(fcinfo, first, TEXT_REASON);
	request->priority = PG_ARGISNULL(first + 1) ? 0 : PG_GETARG_INT32(first + 1);
	request->not_before = enqueue_arg_time(fcinfo, first + 2);
	request->expires_at = enqueue_arg_time(fcinfo, first + 3);
	if (can_add)
	{
		request->until = enqueue_arg_time(fcinfo, n);
		request->verify = PG_ARGISNULL(n + 1) || PG_GETARG_BOOL(n + 1);
		request->invite = PG_ARGISNULL(n + 2) || PG_GETARG_BOOL(n + 2);
		n += 3;
	}
	request->context = arg_context(fcinfo, n);
	request->batch_id = text_limit_arg(fcinfo, n + 1, TEXT_BATCH_ID);
	if (request->batch_id == NULL)
		request->batch_id = new_batch_id();
	request->after = PG_ARGISNULL(n + 2) ? 0 : PG_GETARG_INT64(n + 2);
}

/* (group_jid, jids, instance, reason, ...): a row per element. */
static Datum
request_by_function(FunctionCallInfo fcinfo, IntentAction action)
{
	MembershipRequest request = {.action = action};

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "jids")));
	enqueue_check_ready();
	requester_require_read_write(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	request.group = enqueue_group(text_limit_arg(fcinfo, 0, TEXT_GROUP_JID));
	read_request_tail(fcinfo, 3, action == ACTION_ADD, &request);
	request_all(fcinfo, &request, PG_GETARG_ARRAYTYPE_P(1), PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2)));
	return (Datum) 0;
}

Datum
wawp_request_add(PG_FUNCTION_ARGS)
{
	return request_by_function(fcinfo, ACTION_ADD);
}

Datum
wawp_request_remove(PG_FUNCTION_ARGS)
{
	return request_by_function(fcinfo, ACTION_REMOVE);
}

Datum
wawp_request_promote(PG_FUNCTION_ARGS)
{
	return request_by_function(fcinfo, ACTION_PROMOTE);
}

Datum
wawp_request_demote(PG_FUNCTION_ARGS)
{
	return request_by_function(fcinfo, ACTION_DEMOTE);
}

Datum
wawp_request_invite(PG_FUNCTION_ARGS)
{
	return request_by_function(fcinfo, ACTION_INVITE);
}

/*
 * Requests one of the two people of a swap; returns the intent's id, 0 if the person is
 * invalid.  newcomer: whom the leaver may not be, NULL for the newcomer itself.
 */
static int64
request_swap_side(FunctionCallInfo fcinfo, const Requester *requester, MembershipRequest *request, const char *input,
				  const char *newcomer)
{
	Jid			group = {.kind = JID_GROUP};
	Jid			jid = enqueue_parse(input ? input : "");
	Jid			other = enqueue_parse(newcomer ? newcomer : "");
	const char *problem = input ? request_problem(&group, &jid, request->action) : "it is null";
	QueuedIntent queued = {.batch_id = request->batch_id};

	if (!problem && jid_same(&jid, &other))
		problem = "the newcomer is the same person";
	if (!problem)
		queued = find_or_insert(requester, request, &jid, find_queued);
	put_request_row(fcinfo, &queued, problem ? input : jid.text, problem);
	return queued.id;
}

/*
 * (group_jid, leaver, newcomer, instance, reason, ...): the leaver goes when
 * the newcomer is in, and stays when that fails.  until is the newcomer's.
 */
Datum
wawp_request_swap(PG_FUNCTION_ARGS)
{
	Requester  *requester;
	MembershipRequest request = {.action = ACTION_ADD};
	const char *leaver,
			   *newcomer;
	SqlOwner	before;
	LaneKey		lane;

	enqueue_check_ready();
	requester = make_requester(GetUserId());
	requester_require_read_write(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	request.group = enqueue_group(text_limit_arg(fcinfo, 0, TEXT_GROUP_JID));
	leaver = text_limit_arg(fcinfo, 1, TEXT_JID);
	newcomer = text_limit_arg(fcinfo, 2, TEXT_JID);
	requester_instance(requester, PG_ARGISNULL(3) ? NULL : NameStr(*PG_GETARG_NAME(3)));
	read_request_tail(fcinfo, 4, true, &request);
	before = spi_begin_as_owner();
	check_awaited_intent(request.after, requester->roleid);
	request.after = request_swap_side(fcinfo, requester, &request, newcomer, NULL);
	request.action = ACTION_REMOVE;
	request.until = 0;
	if (request.after != 0)
		(void) request_swap_side(fcinfo, requester, &request, leaver, newcomer);
	spi_end_as_owner(&before);
	lane = lane_key(requester->instance.name, request.group);
	commit_wake_worker(&lane);
	return (Datum) 0;
}

/* Returns the current role, for the record of a change; raises if the transaction is read-only. */
IntentRequester
enqueue_current_requester(FunctionCallInfo fcinfo)
{
	IntentRequester by = {GetUserId(), GetUserNameFromId(GetUserId(), false), requested_from_json()};

	requester_require_read_write(fcinfo);
	return by;
}
