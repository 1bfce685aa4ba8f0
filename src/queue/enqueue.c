/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *	  The SQL functions and the trigger that fill the queue.
 *
 * A plain INSERT into wawp.membership_intent is a first-class way in: the
 * BEFORE trigger here decides what a row may bring, normalises and completes it;
 * rows of the extension itself pass by a mark in the process (intent_insert).  The functions
 * insert through the same code as the extension's owner, with the asking role
 * noted, so that they can see a duplicate that somebody else asked for.
 *
 * Enqueueing is transactional: base/commit_wake.c hands the lanes that got rows
 * to the worker at commit; a rollback forgets them.
 *
 * IDENTIFICATION
 *	  src/queue/enqueue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/commit_wake.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "base/requester.h"
#include "base/spi_statement.h"
#include "base/text_limit.h"
#include "catalog/namespace.h"
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
#include "tables/hold.h"
#include "tables/intent.h"
#include "throttle/gcra.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_intent_fill);
PG_FUNCTION_INFO_V1(wawp_is_own);
PG_FUNCTION_INFO_V1(wawp_may_use);
PG_FUNCTION_INFO_V1(wawp_request_add);
PG_FUNCTION_INFO_V1(wawp_request_remove);
PG_FUNCTION_INFO_V1(wawp_request_promote);
PG_FUNCTION_INFO_V1(wawp_request_demote);
PG_FUNCTION_INFO_V1(wawp_request_invite);
PG_FUNCTION_INFO_V1(wawp_request_swap);
PG_FUNCTION_INFO_V1(wawp_cancel);
PG_FUNCTION_INFO_V1(wawp_cancel_batch);
PG_FUNCTION_INFO_V1(wawp_retry);
PG_FUNCTION_INFO_V1(wawp_pause);
PG_FUNCTION_INFO_V1(wawp_resume);
PG_FUNCTION_INFO_V1(wawp_worker_start);
PG_FUNCTION_INFO_V1(wawp_drain_time);

/* An eta beyond a century is none. */
#define MAX_DRAIN_SECONDS (100 * 366 * 86400.0)

/* Zeroed throughout: lanes are compared and hashed as bytes. */
static LaneKey
lane_of(const char *instance, const char *group)
{
	LaneKey		lane;

	memset(&lane, 0, sizeof(lane));
	namestrcpy(&lane.instance, instance);
	strlcpy(lane.group, group, sizeof(lane.group));
	return lane;
}

/* The install script's last word: a worker starts when it commits. */
Datum
wawp_worker_start(PG_FUNCTION_ARGS pg_attribute_unused())
{
	commit_wake_worker(NULL);
	PG_RETURN_VOID();
}

/*
 * ---- a new intent
 */

static void
check_preloaded(void)
{
	if (wawp_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the queue needs wawp to be preloaded"),
				 errhint("Add wawp to shared_preload_libraries and restart the server.")));
}

/* An intent to wait for must be there, and be one's own. */
static void
check_after(int64 after, Oid roleid)
{
	Oid			requester = after != 0 ? intent_requester(after) : InvalidOid;

	if (after != 0 && (!OidIsValid(requester) || !is_member_of_role(roleid, requester)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no intent " INT64_FORMAT " to wait for", after)));
}

/* What is the same for all rows of one statement. */
typedef struct Requester
{
	MemoryContext memory;		/* lives as long as this */
	Oid			roleid;
	const char *role;
	Datum		from;			/* jsonb */
	const char *asked_instance; /* the column's value that `instance` answers, or NULL */
	InstanceRef instance;
	bool		has_instance;
	pg_uuid_t	home;
	Oid			id_sequence;
} Requester;

static void
put_member(StringInfo out, const char *key, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	appendStringInfoString(out, out->len > 1 ? "," : "");
	escape_json(out, key);
	appendStringInfoChar(out, ':');
	escape_json(out, value);
}

static Datum
requested_from(void)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	put_member(&out, "login", asker_login_role());
	put_member(&out, "actor", wawp_actor);
	put_member(&out, "application", application_name);
	put_member(&out, "client", asker_client_address());
	appendStringInfo(&out, "%s\"pid\":%d}", out.len > 1 ? "," : "", MyProcPid);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}

static Requester *
make_requester(Oid roleid)
{
	Requester  *requester = palloc0(sizeof(Requester));

	requester->memory = CurrentMemoryContext;
	requester->roleid = roleid;
	requester->role = GetUserNameFromId(roleid, false);
	requester->from = requested_from();
	identity_home(&requester->home);
	return requester;
}

static IntentAsker
asker_of(const Requester *requester)
{
	IntentAsker asker = {requester->roleid, requester->role, requester->from};

	return asker;
}

/* The instance a row means; the answer for the last name asked is kept. */
static const InstanceRef *
find_instance(Requester *requester, const char *asked)
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

static Jid
parse_server_text(const char *text)
{
	const char *utf8 = text_from_server(text);

	return jid_parse(utf8, strlen(utf8));
}

/* What keeps this from being an intent, as a detail; NULL if nothing does. */
static const char *
intent_problem(const Jid *group, const Jid *jid, IntentAction action)
{
	if (group->kind != JID_GROUP)
		return group->problem ? group->problem : "a group is \"<digits>@g.us\"";
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
column_text(const Datum *values, const bool *nulls, int column)
{
	return nulls[column - 1] ? NULL : TextDatumGetCString(values[column - 1]);
}

/* Raises if a text that users give is too long; nothing that is gets fetched. */
static void
check_limits(const Datum *values, const bool *nulls)
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
set_column(Datum *values, bool *nulls, int column, Datum value)
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
column_action(const Datum *values, const bool *nulls)
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

/* Values that the system gives a new row. */
static void
fill_runtime(TupleDesc desc, Datum *values, bool *nulls, const Requester *requester,
			 const char *origin)
{
	static const int empty[] = {INTENT_OUTCOME, INTENT_CODE, INTENT_DETAIL, INTENT_NEXT_ATTEMPT_AT, INTENT_SETTLED_AT};
	static const int zero[] = {INTENT_ATTEMPTS, INTENT_CRASHES};
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());

	for (size_t i = 0; i < lengthof(empty); i++)
		nulls[empty[i] - 1] = true;
	for (size_t i = 0; i < lengthof(zero); i++)
		set_column(values, nulls, zero[i], Int32GetDatum(0));
	set_column(values, nulls, INTENT_STATE, enum_label(desc, INTENT_STATE, "queued"));
	set_column(values, nulls, INTENT_REQUESTER, ObjectIdGetDatum(requester->roleid));
	set_column(values, nulls, INTENT_REQUESTED_BY, CStringGetTextDatum(requester->role));
	set_column(values, nulls, INTENT_REQUESTED_FROM, requester->from);
	set_column(values, nulls, INTENT_HOME, UUIDPGetDatum(&requester->home));
	set_column(values, nulls, INTENT_ORIGIN, CStringGetTextDatum(origin));
	set_column(values, nulls, INTENT_SUPERSEDED, BoolGetDatum(false));
	set_column(values, nulls, INTENT_CREATED_AT, now);
	set_column(values, nulls, INTENT_UPDATED_AT, now);
}

static void
fill_defaults(Datum *values, bool *nulls)
{
	if (nulls[INTENT_PRIORITY - 1])
		set_column(values, nulls, INTENT_PRIORITY, Int32GetDatum(0));
	if (nulls[INTENT_VERIFY - 1])
		set_column(values, nulls, INTENT_VERIFY, BoolGetDatum(true));
	if (nulls[INTENT_INVITE - 1])
		set_column(values, nulls, INTENT_INVITE, BoolGetDatum(true));
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

/* Normal forms of who and where, and the instance; raises what is wrong. */
static LaneKey
fill_identity(TupleDesc desc, Datum *values, bool *nulls, Requester *requester, Jid *jid)
{
	const char *group_text = column_text(values, nulls, INTENT_GROUP_JID);
	const char *jid_text = column_text(values, nulls, INTENT_JID);
	Jid			group = parse_server_text(group_text ? group_text : "");
	IntentAction action = column_action(values, nulls);
	const InstanceRef *instance = find_instance(requester, column_text(values, nulls, INTENT_INSTANCE));
	const char *problem;
	LaneKey		lane;

	*jid = parse_server_text(jid_text ? jid_text : "");
	problem = intent_problem(&group, jid, action);
	if (problem)
		refuse_intent(&group, group_text, jid_text, problem);
	lane = lane_of(instance->name, group.text);
	set_column(values, nulls, INTENT_GROUP_JID, CStringGetTextDatum(group.text));
	set_column(values, nulls, INTENT_JID, CStringGetTextDatum(jid->text));
	set_column(values, nulls, INTENT_ACTION, enum_label(desc, INTENT_ACTION, intent_action_name(action)));
	set_column(values, nulls, INTENT_INSTANCE, CStringGetTextDatum(instance->name));
	set_column(values, nulls, INTENT_INSTANCE_ID, CStringGetTextDatum(instance->instance_id));
	return lane;
}

/* The statement's requester, kept between its rows. */
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

/* A row of the extension's own functions, complete but for its home. */
static void
fill_own(Datum *values, bool *nulls)
{
	pg_uuid_t  *home = palloc(sizeof(pg_uuid_t));

	identity_home(home);
	set_column(values, nulls, INTENT_HOME, UUIDPGetDatum(home));
}

/*
 * A row that arrives with a home is one that is restored or replicated.  It
 * stays as it is, marked as not requested here; its requester's oid means
 * nothing here, so the role is looked for by name.
 */
static void
fill_restored(Datum *values, bool *nulls)
{
	const char *role = column_text(values, nulls, INTENT_REQUESTED_BY);

	if (!is_member_of_role(GetUserId(), sqlrun_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of an intent cannot be set", "home"),
				 errdetail("A row that carries a home is restored or replicated, which is for members of the extension's owner."),
				 errhint("Leave the column out, or insert NULL or DEFAULT.")));
	set_column(values, nulls, INTENT_HOME, UUIDPGetDatum(palloc0(sizeof(pg_uuid_t))));
	set_column(values, nulls, INTENT_REQUESTER, ObjectIdGetDatum(role ? get_role_oid(role, true) : InvalidOid));
}

/* Raises if a new row brings a state; NULL and the column's default are none. */
static void
check_state(const Datum *values, const bool *nulls)
{
	const char *state = nulls[INTENT_STATE - 1] ? "queued"
		: DatumGetCString(DirectFunctionCall1(enum_out, values[INTENT_STATE - 1]));

	if (strcmp(state, "queued") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of an intent cannot be set", "state"),
				 errdetail("A new intent is queued; this one would be \"%s\".", state),
				 errhint("Leave the column out, or insert NULL or DEFAULT.")));
}

/* The next number, whatever the row brings: what was drawn for a DEFAULT cannot be told from a user's choice. */
static Datum
next_id(Requester *requester)
{
	if (!OidIsValid(requester->id_sequence))
		requester->id_sequence = get_relname_relid("membership_intent_id_seq", get_namespace_oid("wawp", false));
	return Int64GetDatum(nextval_internal(requester->id_sequence, false));
}

/* A row that a user requests: completed, or refused. */
static void
fill_requested(TupleDesc desc, Datum *values, bool *nulls, Requester *requester)
{
	LaneKey		lane;
	Jid			jid;
	IntentAsker asker = asker_of(requester);
	SqlOwner	before;

	check_preloaded();
	check_state(values, nulls);
	check_limits(values, nulls);
	lane = fill_identity(desc, values, nulls, requester, &jid);
	fill_defaults(values, nulls);
	fill_runtime(desc, values, nulls, requester, "insert");
	set_column(values, nulls, INTENT_ID, next_id(requester));
	if (!nulls[INTENT_AFTER - 1] || intent_is_in_the_way(NameStr(lane.instance), lane.group, jid.text))
	{
		before = sqlrun_begin_as_owner();
		check_after(nulls[INTENT_AFTER - 1] ? 0 : DatumGetInt64(values[INTENT_AFTER - 1]), requester->roleid);
		intent_make_room(NameStr(lane.instance), lane.group, jid.text, column_action(values, nulls), &asker);
		sqlrun_end_as_owner(&before);
	}
	commit_wake_worker(&lane);
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

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "wawp._intent_fill() is a trigger");
	desc = RelationGetDescr(trigger->tg_relation);
	heap_deform_tuple(trigger->tg_trigtuple, desc, values, nulls);
	if (intent_take_insert_mark())
		fill_own(values, nulls);
	else if (!nulls[INTENT_HOME - 1])
		fill_restored(values, nulls);
	else
		fill_requested(desc, values, nulls, statement_requester(fcinfo));
	return PointerGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * ---- asking by function
 */

static SqlStatement find_queued = {
	"SELECT id FROM wawp.membership_intent WHERE state = 'queued' AND instance = $1::name"
	" AND group_jid = $2 AND jid = $3 AND action = $4::wawp.action",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* Until the asking transaction ends it stays queued: nobody cancels or sends it. */
static SqlStatement find_and_keep_queued = {
	"SELECT id FROM wawp.membership_intent WHERE state = 'queued' AND instance = $1::name"
	" AND group_jid = $2 AND jid = $3 AND action = $4::wawp.action FOR SHARE",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

static SqlStatement insert_intent = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, priority, not_before,"
	" expires_at, until, verify, invite, context, batch_id, after, instance_id, requested_by, requested_from,"
	" origin, requester)"
	" VALUES ($1::name, $2, $3, $4::wawp.action, $5, $6, $7, $8, $9, $10::bool, $11::bool, $12::jsonb, $13,"
	" $14, $15, $16, $17::jsonb, $18, $19)"
	" ON CONFLICT (instance, group_jid, jid, (action IN ('promote', 'demote'))) WHERE state = 'queued'"
	" DO NOTHING RETURNING id",
	19, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, OIDOID}, NULL
};

static SqlArgs
identity_args(const InstanceRef *instance, const Wish *wish, const Jid *jid)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, instance->name);
	sqlrun_text(&args, wish->group);
	sqlrun_text(&args, jid->text);
	sqlrun_text(&args, intent_action_name(wish->action));
	return args;
}

/* Inserts an intent; 0 when the same is queued already. */
static int64
insert_one(const Requester *requester, const Wish *wish, const Jid *jid)
{
	SqlArgs		args = identity_args(&requester->instance, wish, jid);

	sqlrun_text(&args, wish->reason);
	sqlrun_int4(&args, wish->priority, true);
	sqlrun_time(&args, wish->not_before);
	sqlrun_time(&args, wish->expires_at);
	sqlrun_time(&args, wish->until);
	sqlrun_text(&args, wish->verify ? "true" : "false");
	sqlrun_text(&args, wish->invite ? "true" : "false");
	sqlrun_text(&args, wish->context);
	sqlrun_text(&args, wish->batch_id);
	sqlrun_id(&args, wish->after);
	sqlrun_text(&args, requester->instance.instance_id);
	sqlrun_text(&args, requester->role);
	sqlrun_text(&args, DatumGetCString(DirectFunctionCall1(jsonb_out, requester->from)));
	sqlrun_text(&args, wish->origin);
	sqlrun_datum(&args, ObjectIdGetDatum(requester->roleid));
	return intent_insert(&insert_intent, &args) > 0 ? sqlrun_get_int8(0, 1, 0) : 0;
}

/* The queued intent for this wish: a new one, or the one there is, as `find` finds it. */
static int64
ask_one(const Requester *requester, const Wish *wish, const Jid *jid, SqlStatement *find, bool *created)
{
	IntentAsker asker = asker_of(requester);

	for (;;)
	{
		SqlArgs		args = identity_args(&requester->instance, wish, jid);
		int64		id;

		CHECK_FOR_INTERRUPTS();
		*created = false;
		if (sqlrun(find, &args) > 0)
			return sqlrun_get_int8(0, 1, 0);
		if (intent_is_in_the_way(requester->instance.name, wish->group, jid->text))
			intent_make_room(requester->instance.name, wish->group, jid->text, wish->action, &asker);
		id = insert_one(requester, wish, jid);
		*created = true;
		if (id != 0)
			return id;
		/* somebody else was faster, or undid it since: look again */
	}
}

static void
put_asked(FunctionCallInfo fcinfo, int64 id, const char *jid, bool created,
		  const char *problem, const char *batch_id)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[5];
	bool		nulls[5] = {id == 0, jid == NULL, false, problem == NULL, false};

	values[0] = Int64GetDatum(id);
	values[1] = jid ? CStringGetTextDatum(jid) : (Datum) 0;
	values[2] = BoolGetDatum(created);
	values[3] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	values[4] = CStringGetTextDatum(batch_id);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static char *
new_batch_id(void)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
}

static void
check_wish_group(Wish *wish, const char *text)
{
	Jid			group = parse_server_text(text ? text : "");

	if (group.kind != JID_GROUP)
		refuse_intent(&group, text, NULL, group.problem ? group.problem : "a group is \"<digits>@g.us\"");
	wish->group = pstrdup(group.text);
}

static void
ask_all(FunctionCallInfo fcinfo, Wish *wish, ArrayType *people, const char *instance)
{
	Requester  *requester = make_requester(GetUserId());
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	SqlOwner	before;
	LaneKey		lane;

	find_instance(requester, instance);
	deconstruct_array(people, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	lane = lane_of(requester->instance.name, wish->group);
	before = sqlrun_begin_as_owner();
	check_after(wish->after, requester->roleid);
	for (int i = 0; i < n; i++)
	{
		const char *input = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
		Jid			group = {.kind = JID_GROUP};
		Jid			jid = parse_server_text(input ? input : "");
		const char *problem = input ? intent_problem(&group, &jid, wish->action) : "the element is null";
		bool		created = false;
		int64		id = problem ? 0 : ask_one(requester, wish, &jid, &find_queued, &created);

		put_asked(fcinfo, id, problem ? input : jid.text, created, problem, wish->batch_id);
	}
	sqlrun_end_as_owner(&before);
	commit_wake_worker(&lane);
}

/* A document within its limit as JSON, or NULL. */
static const char *
arg_context(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return NULL;
	text_limit_check(TEXT_CONTEXT, PG_GETARG_DATUM(n));
	return DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(n)));
}

#define ARG_TIME(n) (PG_ARGISNULL(n) ? 0 : PG_GETARG_TIMESTAMPTZ(n))

static SqlStatement insert_failed = {
	"INSERT INTO wawp.membership_intent (instance, group_jid, jid, action, reason, outcome, detail, instance_id,"
	" requested_by, requested_from, origin, until, requester, state, settled_at)"
	" VALUES ($1, $2, $3, $4::wawp.action, $5, $11::wawp.outcome, $6, $7, $8, $9::jsonb, $10, $12, $13,"
	" 'failed', clock_timestamp())",
	13, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, OIDOID}, NULL
};

/* Leaves a trace of what could not be asked for, texts cut to their limits; the outcome may be NULL. */
static void
note_failed(const Requester *requester, const Wish *wish, const char *group,
			const char *person, const char *outcome, const char *problem)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, requester->instance.name);
	sqlrun_text(&args, text_limit_cut(TEXT_GROUP_JID, group));
	sqlrun_text(&args, text_limit_cut(TEXT_JID, person));
	sqlrun_text(&args, intent_action_name(wish->action));
	sqlrun_text(&args, text_limit_cut(TEXT_REASON, wish->reason));
	sqlrun_text(&args, problem);
	sqlrun_text(&args, requester->instance.instance_id);
	sqlrun_text(&args, requester->role);
	sqlrun_text(&args, DatumGetCString(DirectFunctionCall1(jsonb_out, requester->from)));
	sqlrun_text(&args, wish->origin);
	sqlrun_text(&args, outcome);
	sqlrun_time(&args, wish->until);
	sqlrun_datum(&args, ObjectIdGetDatum(requester->roleid));
	(void) intent_insert(&insert_failed, &args);
}

/*
 * Leaves a failed intent for what a user's trigger could not ask for although
 * nothing is wrong with the row; wawp_retry() asks again.  An instance that
 * nobody named or that does not exist is looked for then.
 */
void
queue_note_failed(Oid roleid, const char *instance, const Wish *wish, const char *group,
				  const char *person, const char *problem)
{
	Requester  *requester = make_requester(roleid);
	const char *instance_id = instance ? instance_id_of(instance) : NULL;
	Jid			group_jid = parse_server_text(group);
	Jid			jid = parse_server_text(person);
	SqlOwner	before;

	requester->instance.name = instance ? instance : "";
	requester->instance.instance_id = instance_id ? instance_id : "";
	before = sqlrun_begin_as_owner();
	note_failed(requester, wish, group_jid.problem ? group : group_jid.text, jid.problem ? person : jid.text,
				group_jid.problem || jid.problem ? "bad_identifier" : NULL, problem);
	sqlrun_end_as_owner(&before);
}

/*
 * Asks for one person on behalf of a role, as a user's trigger does.  A group
 * or person that is none becomes a WARNING and a failed intent; what is wrong
 * with the instance or the permission raises.
 */
void
queue_ask(Oid roleid, const char *instance, Wish *wish, const char *group, const char *person)
{
	Requester  *requester = make_requester(roleid);
	Jid			group_jid = parse_server_text(group);
	Jid			jid = parse_server_text(person);
	const char *problem = intent_problem(&group_jid, &jid, wish->action);
	SqlOwner	before;
	LaneKey		lane;
	bool		created;

	find_instance(requester, instance);
	wish->group = group_jid.text;
	wish->reason = text_limit_cut(TEXT_REASON, wish->reason);
	before = sqlrun_begin_as_owner();
	if (problem)
		note_failed(requester, wish, group, person, "bad_identifier", problem);
	else
		(void) ask_one(requester, wish, &jid, &find_and_keep_queued, &created);
	sqlrun_end_as_owner(&before);
	if (problem)
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be asked into group \"%s\"", text_limit_cut(TEXT_JID, person),
						text_limit_cut(TEXT_GROUP_JID, group)),
				 errdetail("It is refused because %s.", problem)));
		return;
	}
	lane = lane_of(requester->instance.name, group_jid.text);
	commit_wake_worker(&lane);
}

/*
 * Reads the arguments from reason on, of which that is the first-th: reason,
 * priority, not_before, expires_at, (until, verify, invite,) context, batch_id,
 * after.  The three in brackets are there if the function can add somebody.
 */
static void
read_tail(FunctionCallInfo fcinfo, int first, bool can_add, Wish *wish)
{
	int			n = first + 4;

	wish->origin = "function";
	wish->verify = wish->invite = true;
	wish->reason = text_limit_arg(fcinfo, first, TEXT_REASON);
	wish->priority = PG_ARGISNULL(first + 1) ? 0 : PG_GETARG_INT32(first + 1);
	wish->not_before = ARG_TIME(first + 2);
	wish->expires_at = ARG_TIME(first + 3);
	if (can_add)
	{
		wish->until = ARG_TIME(n);
		wish->verify = PG_ARGISNULL(n + 1) || PG_GETARG_BOOL(n + 1);
		wish->invite = PG_ARGISNULL(n + 2) || PG_GETARG_BOOL(n + 2);
		n += 3;
	}
	wish->context = arg_context(fcinfo, n);
	wish->batch_id = text_limit_arg(fcinfo, n + 1, TEXT_BATCH_ID);
	if (wish->batch_id == NULL)
		wish->batch_id = new_batch_id();
	wish->after = PG_ARGISNULL(n + 2) ? 0 : PG_GETARG_INT64(n + 2);
}

/* (group_jid, jids, instance, reason, ...) */
static Datum
request(FunctionCallInfo fcinfo, IntentAction action)
{
	Wish		wish = {.action = action};

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "jids")));
	check_preloaded();
	asker_require_read_write(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	check_wish_group(&wish, text_limit_arg(fcinfo, 0, TEXT_GROUP_JID));
	read_tail(fcinfo, 3, action == ACTION_ADD, &wish);
	ask_all(fcinfo, &wish, PG_GETARG_ARRAYTYPE_P(1), PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2)));
	return (Datum) 0;
}

Datum
wawp_request_add(PG_FUNCTION_ARGS)
{
	return request(fcinfo, ACTION_ADD);
}

Datum
wawp_request_remove(PG_FUNCTION_ARGS)
{
	return request(fcinfo, ACTION_REMOVE);
}

Datum
wawp_request_promote(PG_FUNCTION_ARGS)
{
	return request(fcinfo, ACTION_PROMOTE);
}

Datum
wawp_request_demote(PG_FUNCTION_ARGS)
{
	return request(fcinfo, ACTION_DEMOTE);
}

Datum
wawp_request_invite(PG_FUNCTION_ARGS)
{
	return request(fcinfo, ACTION_INVITE);
}

/* One of the two sides of a swap; returns the intent, 0 when it is none. */
static int64
ask_side(FunctionCallInfo fcinfo, const Requester *requester, Wish *wish, const char *input)
{
	Jid			group = {.kind = JID_GROUP};
	Jid			jid = parse_server_text(input ? input : "");
	const char *problem = input ? intent_problem(&group, &jid, wish->action) : "it is null";
	bool		created = false;
	int64		id = problem ? 0 : ask_one(requester, wish, &jid, &find_queued, &created);

	put_asked(fcinfo, id, problem ? input : jid.text, created, problem, wish->batch_id);
	return id;
}

/*
 * (group_jid, leaver, newcomer, instance, reason, ...): the leaver goes when
 * the newcomer is in, and stays when that fails.  until is the newcomer's.
 */
Datum
wawp_request_swap(PG_FUNCTION_ARGS)
{
	Requester  *requester = make_requester(GetUserId());
	Wish		wish = {.action = ACTION_ADD};
	const char *leaver,
			   *newcomer;
	SqlOwner	before;
	LaneKey		lane;

	check_preloaded();
	asker_require_read_write(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	check_wish_group(&wish, text_limit_arg(fcinfo, 0, TEXT_GROUP_JID));
	leaver = text_limit_arg(fcinfo, 1, TEXT_JID);
	newcomer = text_limit_arg(fcinfo, 2, TEXT_JID);
	find_instance(requester, PG_ARGISNULL(3) ? NULL : NameStr(*PG_GETARG_NAME(3)));
	read_tail(fcinfo, 4, true, &wish);
	before = sqlrun_begin_as_owner();
	check_after(wish.after, requester->roleid);
	wish.after = ask_side(fcinfo, requester, &wish, newcomer);
	wish.action = ACTION_REMOVE;
	wish.until = 0;
	if (wish.after != 0)
		(void) ask_side(fcinfo, requester, &wish, leaver);
	sqlrun_end_as_owner(&before);
	lane = lane_of(requester->instance.name, wish.group);
	commit_wake_worker(&lane);
	return (Datum) 0;
}

/*
 * ---- changing one's mind
 */

Datum
wawp_is_own(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_member_of_role(GetUserId(), PG_GETARG_OID(0)));
}

Datum
wawp_may_use(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(instance_is_usable(NameStr(*PG_GETARG_NAME(0))));
}

/* Stops acting as the owner; changed: the worker should look. */
static void
end_change(const SqlOwner *before, bool changed)
{
	sqlrun_end_as_owner(before);
	if (changed)
		commit_wake_worker(NULL);
}

/* The current role, as who changes something; raises where nothing may be changed. */
IntentAsker
queue_current_asker(FunctionCallInfo fcinfo)
{
	IntentAsker asker = {GetUserId(), GetUserNameFromId(GetUserId(), false), requested_from()};

	asker_require_read_write(fcinfo);
	return asker;
}

static SqlStatement find_unnamed = {
	"SELECT instance FROM wawp.membership_intent"
	" WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'failed'::wawp.state"
	" AND instance_id OPERATOR(pg_catalog.=) '' AND pg_catalog.pg_has_role($2, requester, 'MEMBER')",
	2, {INT8OID, OIDOID}, NULL
};

static SqlStatement name_instance = {
	"UPDATE wawp.membership_intent SET instance = $2, instance_id = $3"
	" WHERE id OPERATOR(pg_catalog.=) $1",
	3, {INT8OID, TEXTOID, TEXTOID}, NULL
};

/* Gives a failed intent the instance that it had none of; the caller's choice, undone if the retry is refused. */
static void
retry_name_instance(int64 id)
{
	SqlArgs		args = {0};
	SqlArgs		whose = {0};
	Oid			roleid = GetUserId();
	SqlOwner	before = sqlrun_begin_as_owner();
	const char *asked;
	InstanceRef chosen;
	bool		is_unnamed;

	sqlrun_int8(&args, id);
	sqlrun_int8(&whose, id);
	sqlrun_datum(&whose, ObjectIdGetDatum(roleid));
	is_unnamed = sqlrun(&find_unnamed, &whose) > 0;
	asked = is_unnamed ? MemoryContextStrdup(CurTransactionContext, sqlrun_get(0, 1)) : NULL;
	sqlrun_end_as_owner(&before);
	if (!is_unnamed)
		return;
	chosen = instance_choose(*asked ? asked : NULL);
	before = sqlrun_begin_as_owner();
	sqlrun_text(&args, chosen.name);
	sqlrun_text(&args, chosen.instance_id);
	sqlrun(&name_instance, &args);
	sqlrun_end_as_owner(&before);
}

/* Another transaction had queued the same person when it committed: then nothing is to be retried. */
static bool
retry_own(FunctionCallInfo fcinfo, int64 id)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	IntentAsker asker = queue_current_asker(fcinfo);
	volatile bool changed = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		SqlOwner	before;

		retry_name_instance(id);
		before = sqlrun_begin_as_owner();
		changed = intent_requeue(id, &asker);
		end_change(&before, changed);
		if (changed)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return changed;
}

Datum
wawp_cancel(PG_FUNCTION_ARGS)
{
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	bool		changed = intent_cancel(PG_GETARG_INT64(0), &asker);

	end_change(&before, changed);
	PG_RETURN_BOOL(changed);
}

Datum
wawp_cancel_batch(PG_FUNCTION_ARGS)
{
	const char *batch = text_to_cstring(PG_GETARG_TEXT_PP(0));
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	int64		n = intent_cancel_batch(batch, &asker);

	end_change(&before, n > 0);
	PG_RETURN_INT64(n);
}

Datum
wawp_retry(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(retry_own(fcinfo, PG_GETARG_INT64(0)));
}

/*
 * ---- pausing
 */

/* The instance and group of wawp_pause and wawp_resume. */
static LaneKey
arg_lane(FunctionCallInfo fcinfo)
{
	LaneKey		lane;

	memset(&lane, 0, sizeof(lane));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "instance")));
	namestrcpy(&lane.instance, instance_choose(NameStr(*PG_GETARG_NAME(0))).name);
	if (!PG_ARGISNULL(1))
	{
		Wish		wish = {0};

		check_wish_group(&wish, text_limit_arg(fcinfo, 1, TEXT_GROUP_JID));
		strlcpy(lane.group, wish.group, sizeof(lane.group));
	}
	return lane;
}

/* (instance name, group_jid text, reason text): true if something changed. */
Datum
wawp_pause(PG_FUNCTION_ARGS)
{
	LaneKey		lane = arg_lane(fcinfo);
	const char *reason = text_limit_arg(fcinfo, 2, TEXT_REASON);
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	bool		changed = hold_pause(NameStr(lane.instance), lane.group,
									 reason ? psprintf("paused: %s", reason) : "paused");

	if (changed)
		intent_note("held", NameStr(lane.instance), lane.group, reason, &asker);
	end_change(&before, changed);
	PG_RETURN_BOOL(changed);
}

/* (instance name, group_jid text): true if something was held. */
Datum
wawp_resume(PG_FUNCTION_ARGS)
{
	LaneKey		lane = arg_lane(fcinfo);
	IntentAsker asker = queue_current_asker(fcinfo);
	SqlOwner	before = sqlrun_begin_as_owner();
	bool		was_held = hold_lift(NameStr(lane.instance), lane.group);

	if (was_held)
		intent_note("resumed", NameStr(lane.instance), lane.group, NULL, &asker);
	end_change(&before, true);
	PG_RETURN_BOOL(was_held);
}

/*
 * ---- looking
 */

/* (instance name, adds bigint): how long they take at the instance's pace. */
Datum
wawp_drain_time(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(0));
	WawpInstance *instance;
	PaceRate	rate;
	double		seconds;

	if (!instance_is_usable(name) || !instance_is_callable(name))
		PG_RETURN_NULL();
	instance = instance_describe(name);
	rate = pace_rate(instance->adds_per_minute, 0);
	seconds = rate.interval / 1e6 * PG_GETARG_INT64(1);
	if (seconds > MAX_DRAIN_SECONDS)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall7(make_interval, Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
										Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
										Float8GetDatum(seconds)));
}
