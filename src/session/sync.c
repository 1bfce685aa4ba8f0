/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  The SQL functions that bring groups in step with a list of people.
 *
 * For each group, in this order: the opt-out list, holds, memberships and the
 * caller's own wishes that are open; one reading of the member list, and of the
 * description where that has to tell; the difference (protocol/sync_plan.c), less
 * what is against requests that were made since the call began.
 * Only when all groups are read is anything requested (sync_request.c), so that
 * no row of the queue is locked while the API is waited for.  A rerun requests
 * what is still missing.
 *
 * Arguments, permissions and the source are errors, and so are cancel and what
 * the queue refuses; a group that cannot be read is a row.  Memory: that of the
 * call (api.c), with a context below it for each group.  Locks: tables are read
 * in subtransactions that are rolled back.
 *
 * IDENTIFICATION
 *	  src/session/sync.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/requester.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "protocol/sync_plan.h"
#include "session/api.h"
#include "session/pairs.h"
#include "session/participants.h"
#include "session/send.h"
#include "session/session_read.h"
#include "session/sync_request.h"
#include "session/sync_source.h"
#include "tables/contact.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_sync_group);
PG_FUNCTION_INFO_V1(wawp_sync_groups);

/* After so many groups in a row that the instance could not read, no others are tried. */
#define SYNC_MAX_FAILURES 3
/* An API that asks to wait no longer than that (s) before a list is read is asked again, once; without a time, after ... */
#define SYNC_MAX_WAIT 60
/* ... so long. */
#define SYNC_USUAL_WAIT 5
/* LIDs of a group's people are asked for so long, in the pace of checks_per_minute; who is left may or may not be in the group. */
#define SYNC_LIDS_MS 60000
/* A transaction that was open when the call began is taken to be as old, at most. */
#define SYNC_LONGEST_WRITER_US (10 * USECS_PER_MINUTE)

/* One call of either function. */
typedef struct SyncCall
{
	FunctionCallInfo fcinfo;
	const WawpInstance *instance;
	SyncRequest request;
	TimestampTz since;			/* what was asked for later may be newer than the people who are wanted */
	bool		apply;
	bool		managed_only;
	int			max_remove_pct;
	Jid			me;				/* our number and ... */
	Jid			me_lid;			/* ... LID, once the API has told them */
	Pairs	   *pairs;			/* numbers and LIDs that were learnt */
	bool		source_is_filtered; /* not all rows of the source may be seen */
	int			failures;		/* groups in a row that the instance could not read */
} SyncCall;

/* One group of a call. */
typedef struct SyncTask
{
	SyncCall   *call;
	const char *group;
	LaneKey		lane;
	int			nwanted;
	SyncWanted *wanted;			/* by element */
	CallPerson **elements;		/* likewise; people who are wanted twice are shared */
	int			npeople;
	CallPerson **people;		/* each person once */
	int			nadded;
	SyncAdded  *added;
	int			nopen;
	SyncOpen   *open;
	SessionPolicy policy;
	WireMembers list;
	MembersKnown known;
	SyncGroup	facts;
	SyncPlan	plan;
} SyncTask;

/*
 * ---- tables
 */

/* Make a SyncWanted and a CallPerson of each element. */
static void
sync_collect(SyncTask *task, const char **inputs, int n)
{
	task->nwanted = n;
	task->wanted = palloc0(sizeof(SyncWanted) * (n + 1));
	task->elements = palloc(sizeof(CallPerson *) * (n + 1));
	task->people = palloc(sizeof(CallPerson *) * (n + 1));
	task->npeople = participants_collect(WAWP_OP_REMOVE, inputs, n, task->elements, task->people);
	for (int i = 0; i < task->npeople; i++)
		task->people[i]->outcome = WAWP_ACCEPTED;
	for (int i = 0; i < n; i++)
	{
		const CallPerson *person = task->elements[i];

		task->wanted[i].input = inputs[i];
		task->wanted[i].problem = person->outcome == WAWP_BAD_IDENTIFIER ? person->detail : NULL;
		task->wanted[i].jid = person->jid;
	}
}

/* Copy what is remembered of the people whom we added. */
static void
sync_take_added(SyncTask *task, List *people, MemoryContext memory)
{
	ListCell   *lc;

	task->added = MemoryContextAllocZero(memory, sizeof(SyncAdded) * (list_length(people) + 1));
	foreach(lc, people)
	{
		const MembershipPerson *person = lfirst(lc);
		SyncAdded  *added = &task->added[task->nadded++];

		added->jid = jid_parse(person->jid, strlen(person->jid));
		if (person->lid)
			added->lid = jid_parse(person->lid, strlen(person->lid));
	}
}

/* Note another number of a wanted person, and whether the group's policy keeps the person out. */
static void
sync_take_contact(const SyncTask *task, SyncWanted *wanted)
{
	Contact		contact;

	if (wanted->problem || !contact_look_up(wanted->jid.text, &contact))
		return;
	if (contact.known_as)
		wanted->known_as = jid_parse(contact.known_as, strlen(contact.known_as));
	if (task->policy.contact_within_us > 0 && wanted->barred == NULL &&
		contact.last_inbound_at < GetCurrentTimestamp() - task->policy.contact_within_us)
		wanted->barred = "require_contact_within: the person has not written to us lately";
}

/* Copy the caller's own wishes that are not settled. */
static void
sync_take_open(SyncTask *task, List *wishes, MemoryContext memory)
{
	ListCell   *lc;

	task->open = MemoryContextAllocZero(memory, sizeof(SyncOpen) * (list_length(wishes) + 1));
	foreach(lc, wishes)
	{
		const IntentOpen *wish = lfirst(lc);

		task->open[task->nopen++] = (SyncOpen) {
			.jid = jid_parse(wish->jid, strlen(wish->jid)),
			.is_removal = wish->is_removal,
			.is_queued = strcmp(wish->state, intent_state_name(STATE_QUEUED)) == 0,
			.id = wish->id,
			.state = MemoryContextStrdup(memory, wish->state)
		};
	}
}

/* Read what is remembered of the group's people, and the caller's open wishes.  False: no lock is kept. */
static bool
sync_read_memory(void *subject)
{
	SyncTask   *task = subject;
	MemoryContext memory = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_owner();

	sync_take_added(task, membership_added(&task->lane), memory);
	sync_take_open(task, intent_list_open(&task->lane, before.userid), memory);
	for (int i = 0; i < task->nwanted; i++)
		sync_take_contact(task, &task->wanted[i]);
	spi_end_as_owner(&before);
	return false;
}

/* Read the tables that decide about the group; false if one of them stays locked. */
static bool
sync_read_tables(SyncTask *task)
{
	int			allowed = task->npeople;

	if (!session_read_policy(task->call->instance, task->group, task->people, &allowed, &task->policy))
		return false;
	for (int i = 0; i < task->nwanted; i++)
	{
		const CallPerson *person = task->elements[i];

		if (person->outcome == WAWP_SUPPRESSED)
			task->wanted[i].barred = person->detail + strlen(SESSION_NOT_SENT);
	}
	subtransaction_run(sync_read_memory, task);
	return true;
}

/*
 * ---- the group
 */

/* Ask who we are, unless that is known. */
static void
sync_read_self(SyncCall *call)
{
	WireSession session;

	if (call->me.kind != JID_INVALID || call->me_lid.kind != JID_INVALID)
		return;
	if (!session_read_self(call->instance, &session))
		return;
	call->me = session.me;
	call->me_lid = session.me_lid;
}

/* Return why a list could not be read, and count it if that is not the group's fault. */
static const char *
sync_why_unread(SyncCall *call, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_READ, result);
	CallPerson	shown = {0};
	const OutcomeInfo *info;

	call_settle_person(&shown, &reading.whole, call->instance);
	info = outcome_info(shown.outcome);
	if (http_is_success(result) && info->scope == SCOPE_PERSON)
		return "the member list could not be read: the answer is not understood";
	call->failures += info->about != ABOUT_GROUP;
	return psprintf("the member list could not be read: %s (%s)", shown.detail ? shown.detail : info->text, info->name);
}

/* Read the group's description, where the list leaves open how many members there are or whether we may act. */
static void
sync_read_info(SyncTask *task)
{
	const WireMember *own = members_find_own(&task->list, &task->known.me, &task->known.me_lid);
	bool		is_plain = own && members_role(&task->list, own) == WIRE_ROLE_MEMBER;
	WireGroup	info = {.size = -1};

	if (is_plain || task->list.stated < 0)
	{
		session_wait_to_read(task->call->instance);
		if (session_fetch_group(task->call->instance, task->group, &info, &task->known.is_untold))
			task->known.stated = info.size;
		else
			info.members_add = false;
	}
	if (!is_plain)
		return;
	task->facts.no_removal = "the account is not an admin of the group";
	if (!info.members_add)
		task->facts.no_addition = task->facts.no_removal;
}

/* True if somebody in the list can only be told by the LID. */
static bool
sync_needs_lids(const SyncTask *task)
{
	const WireMember *own = members_find_own(&task->list, &task->known.me, &task->known.me_lid);

	for (int i = 0; i < task->list.count; i++)
		if (task->list.members[i].phone.kind != JID_PERSON && task->list.members[i].role != WIRE_ROLE_LEFT &&
			&task->list.members[i] != own)
			return true;
	return false;
}

/* Ask for the LIDs of people who are not found in the list by their number, if that would tell. */
static void
sync_ask_lids(SyncTask *task)
{
	SyncCall   *call = task->call;
	int64		until_ms = clock_monotonic_ms() + SYNC_LIDS_MS;

	if (!sync_needs_lids(task))
		return;
	for (int i = 0; i < task->npeople; i++)
	{
		CallPerson *person = task->people[i];

		if (person->jid.kind != JID_PERSON || person->lid.kind == JID_LID || wire_find_member(&task->list, &person->jid))
			continue;
		if (!session_wait_to_check(call->instance, until_ms))
			break;
		person->lid = session_read_lid(call->instance, &person->jid);
		pairs_note(call->pairs, &person->jid, &person->lid);
	}
	pairs_post(call->pairs);
}

/* Read the member list, a second time if the API asks to wait a little before; false if none came. */
static bool
sync_fetch_list(SyncTask *task, const HttpResult **result)
{
	const WawpInstance *instance = task->call->instance;
	int			wait;

	session_wait_to_read(instance);
	if (session_fetch_list(instance, task->group, &task->list, result))
		return true;
	wait = (*result)->retry_after >= 0 ? (*result)->retry_after : SYNC_USUAL_WAIT;
	if ((*result)->status != 429 || wait > SYNC_MAX_WAIT)
		return false;
	clock_wait_until(clock_monotonic_ms() + wait * 1000);
	session_wait_to_read(instance);
	return session_fetch_list(instance, task->group, &task->list, result);
}

/* Read who is in the group; returns why that failed, or NULL. */
static const char *
sync_read_group(SyncTask *task)
{
	SyncCall   *call = task->call;
	const HttpResult *result;

	if (call->failures >= SYNC_MAX_FAILURES)
		return psprintf("not read, since the %d groups before could not be read", SYNC_MAX_FAILURES);
	if (!sync_fetch_list(task, &result))
		return sync_why_unread(call, result);
	call->failures = 0;
	sync_read_self(call);
	task->known.me = call->me;
	task->known.me_lid = call->me_lid;
	sync_read_info(task);
	sync_ask_lids(task);
	for (int i = 0; i < task->nwanted; i++)
		task->wanted[i].lid = task->elements[i]->lid;
	return NULL;
}

/* Return what keeps requests for the group from being sent now; NULL: nothing does. */
static const char *
sync_held(const SyncTask *task)
{
	SessionHeld held = session_held(&task->policy, task->call->instance, task->group);

	if (held.why == NULL)
		return NULL;
	return held.until ? psprintf("waits, as %s until %s", held.why, clock_text(held.until)) : psprintf("waits, as %s", held.why);
}

/* Make the plan of a group, in the current context. */
static void
sync_make_plan(SyncTask *task)
{
	const char *why = NULL;

	if (!sync_read_tables(task))
		why = "the holds and the opt-out list could not be read within wawp.audit_timeout";
	else if (task->policy.own_until != 0)
		why = psprintf("not read: %s", session_held(&task->policy, task->call->instance, task->group).why);
	task->facts = (SyncGroup) {
		.list = &task->list,
		.known = &task->known,
		.nwanted = task->nwanted,
		.wanted = task->wanted,
		.nadded = task->nadded,
		.added = task->added,
		.nopen = task->nopen,
		.open = task->open,
		.tells_queued = !task->call->apply,
		.may_lack = task->call->source_is_filtered ? "row security may hide rows of the source from this role" : NULL,
		.managed_only = task->call->managed_only,
		.max_remove_pct = task->call->max_remove_pct
	};
	if (why == NULL)
	{
		task->facts.waits = sync_held(task);
		why = sync_read_group(task);
	}
	if (!task->policy.managed)
		task->facts.no_removal = "managed is false in wawp.group_settings";
	task->plan = why ? sync_plan_unread(&task->facts, why) : sync_plan_make(&task->facts);
}

/* Copy a plan into the current context. */
static SyncPlan
sync_copy_plan(const SyncPlan *plan)
{
	SyncPlan	copy = {plan->n, palloc(sizeof(SyncStep) * (plan->n + 1))};

	for (int i = 0; i < plan->n; i++)
		copy.steps[i] = (SyncStep) {
			plan->steps[i].action,
			plan->steps[i].jid ? pstrdup(plan->steps[i].jid) : NULL,
			pstrdup(plan->steps[i].why)
		};
	return copy;
}

/* Return the plan of a group, in the current context. */
static SyncPlan
sync_plan_group(SyncCall *call, const char *group, const char **people, int n)
{
	SyncTask	task = {
		.call = call,
		.group = group,
		.lane = lane_key(call->instance->name, group),
		.list = {.stated = -1},
		.known = {.stated = -1}
	};
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "wawp group", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	SyncPlan	plan;

	sync_collect(&task, people, n);
	sync_make_plan(&task);
	MemoryContextSwitchTo(caller);
	plan = sync_copy_plan(&task.plan);
	MemoryContextDelete(work);
	return plan;
}

/*
 * ---- wishes that are newer than the people who are wanted
 */

/* Transactions that had written something when the call began; what they have asked for is not in the array, nor in the source. */
static SqlStatement oldest_writer = {
	"SELECT min(a.xact_start) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_xid IS NOT NULL"
	" AND a.pid <> pg_backend_pid()",
	0, {0}, NULL
};

/* Read when the oldest of them began.  False: no lock is kept. */
static bool
sync_read_oldest_writer(void *subject)
{
	TimestampTz *began = subject;
	SqlOwner	before = spi_begin_as_owner();

	/* what this transaction has seen of the activity before is kept otherwise */
	pgstat_clear_backend_activity_snapshot();
	if (spi_run(&oldest_writer, NULL) > 0)
		*began = spi_get_time(0, 1);
	spi_end_as_owner(&before);
	return false;
}

/* Note since when what is asked for may not be known to whoever says who is wanted. */
static void
sync_note_beginning(SyncCall *call)
{
	/* arrays are as old as the snapshot they were read by */
	TimestampTz now = IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp() : GetCurrentStatementStartTimestamp();
	TimestampTz writer = 0;

	subtransaction_run(sync_read_oldest_writer, &writer);
	call->since = writer != 0 && writer < now ? Max(writer, now - SYNC_LONGEST_WRITER_US) : now;
}

/* A group's plan, and what was asked for in the group since the call began. */
typedef struct SyncNewer
{
	const SyncCall *call;
	LaneKey		lane;
	int			n;
	SyncOpen   *wishes;
} SyncNewer;

/* Read what was asked for since the call began.  False: no lock is kept. */
static bool
sync_read_newer(void *subject)
{
	SyncNewer  *newer = subject;
	MemoryContext memory = CurrentMemoryContext;
	SqlOwner	before = spi_begin_as_owner();
	List	   *wishes = intent_list_latest(&newer->lane, newer->call->since);
	ListCell   *lc;

	newer->wishes = MemoryContextAllocZero(memory, sizeof(SyncOpen) * (list_length(wishes) + 1));
	foreach(lc, wishes)
	{
		const IntentOpen *wish = lfirst(lc);

		newer->wishes[newer->n++] = (SyncOpen) {.jid = jid_parse(wish->jid, strlen(wish->jid)), .is_removal = wish->is_removal, .id = wish->id};
	}
	spi_end_as_owner(&before);
	return false;
}

/* Take a step back against which somebody has asked since the call began. */
static void
sync_yield_step(const SyncNewer *newer, SyncStep *step)
{
	Jid			jid = jid_parse(step->jid, strlen(step->jid));

	for (int i = 0; i < newer->n; i++)
	{
		const SyncOpen *wish = &newer->wishes[i];

		if (wish->is_removal == (step->action == SYNC_REMOVE) || !jid_same(&wish->jid, &jid))
			continue;
		step->why = psprintf(wish->is_removal
							 ? "not added: intent " INT64_FORMAT " to remove them was requested meanwhile"
							 : "not removed: intent " INT64_FORMAT " to add them was requested meanwhile", wish->id);
		step->action = SYNC_NOTHING;
		return;
	}
}

/*
 * Take back what a plan does against requests that are newer than the people who
 * are wanted: reading groups takes a while, and a trigger that follows the same
 * table knows better meanwhile.
 */
static void
sync_yield(const SyncCall *call, const char *group, SyncPlan *plan)
{
	SyncNewer	newer = {.call = call, .lane = lane_key(call->instance->name, group)};
	bool		has_request = false;

	for (int i = 0; i < plan->n; i++)
		has_request |= plan->steps[i].action != SYNC_NOTHING;
	if (!has_request)
		return;
	subtransaction_run(sync_read_newer, &newer);
	for (int i = 0; i < plan->n && newer.n > 0; i++)
		if (plan->steps[i].action != SYNC_NOTHING)
			sync_yield_step(&newer, &plan->steps[i]);
}

/*
 * ---- arguments and rows
 */

/* Raise the error for an argument that must not be NULL. */
static void
sync_require_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", name)));
}

/* Return the argument `mode`: whether the plan is to be applied. */
static bool
sync_arg_apply(FunctionCallInfo fcinfo, int n)
{
	const char *mode = api_arg_required(fcinfo, n, "mode");

	if (strcmp(mode, "plan") != 0 && strcmp(mode, "apply") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid mode \"%s\"", text_to_server(mode)),
				 errhint("A mode is \"plan\" or \"apply\".")));
	return *mode == 'a';
}

static int
sync_arg_percent(FunctionCallInfo fcinfo, int n)
{
	int			percent;

	sync_require_arg(fcinfo, n, "max_remove_pct");
	percent = PG_GETARG_INT32(n);
	if (percent < 0 || percent > 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be between 0 and 100", "max_remove_pct"),
				 errdetail("It is %d.", percent)));
	return percent;
}

/* Read the arguments from instance on: instance, reason, mode, managed_only, max_remove_pct. */
static SyncCall
sync_arguments(FunctionCallInfo fcinfo, int first)
{
	SyncCall	call = {.fcinfo = fcinfo};

	sync_note_beginning(&call);
	call.request.reason = text_limit_arg(fcinfo, first + 1, TEXT_REASON);
	call.apply = sync_arg_apply(fcinfo, first + 2);
	sync_require_arg(fcinfo, first + 3, "managed_only");
	call.managed_only = PG_GETARG_BOOL(first + 3);
	call.max_remove_pct = sync_arg_percent(fcinfo, first + 4);
	if (call.apply)
		requester_require_read_write(fcinfo);
	call.instance = api_arg_instance(fcinfo, first);
	call.pairs = palloc0(sizeof(Pairs));
	call.pairs->instance = call.instance->name;
	call.request.instance = call.instance->name;
	call.request.schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	call.request.batch_id = DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
	return call;
}

/* Return the label of wawp.action in the type of the result's column; *isnull: nothing is to be done. */
static Datum
sync_action_datum(FunctionCallInfo fcinfo, int column, SyncAction action, bool *isnull)
{
	static const char *const labels[] = {NULL, "add", "remove"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	*isnull = action == SYNC_NOTHING;
	if (*isnull)
		return (Datum) 0;
	return DirectFunctionCall2(enum_in, CStringGetDatum(labels[action]),
							   ObjectIdGetDatum(TupleDescAttr(rsinfo->setDesc, column)->atttypid));
}

/* Put a row: (group_jid,) jid, action, why. */
static void
sync_put_row(FunctionCallInfo fcinfo, bool has_group, const char *group, const SyncStep *step)
{
	Datum		values[4];
	bool		nulls[4];
	int			n = 0;

	if (has_group)
	{
		values[n] = api_text_datum(group, &nulls[n]);
		n++;
	}
	values[n] = api_text_datum(step->jid, &nulls[n]);
	n++;
	values[n] = sync_action_datum(fcinfo, n, step->action, &nulls[n]);
	n++;
	values[n] = api_text_datum(step->why, &nulls[n]);
	api_put_row(fcinfo, values, nulls);
}

static void
sync_put_rows(FunctionCallInfo fcinfo, bool has_group, const char *group, const SyncPlan *plan)
{
	for (int i = 0; i < plan->n; i++)
		sync_put_row(fcinfo, has_group, group, &plan->steps[i]);
}

/* (group_jid text, jids text[], instance name, reason text, mode text, managed_only bool, max_remove_pct int) */
Datum
wawp_sync_group(PG_FUNCTION_ARGS)
{
	ApiCall		api = api_begin(fcinfo, true);
	const char *group = api_arg_group(fcinfo, 0);
	int			n;
	const char **people = api_arg_texts(fcinfo, 1, "jids", &n);
	SyncCall	call = sync_arguments(fcinfo, 2);
	SyncPlan	plan;

	if (call.apply)
		sync_request_check(&call.request);
	plan = sync_plan_group(&call, group, people, n);
	sync_yield(&call, group, &plan);
	if (call.apply)
		sync_request_steps(&call.request, group, &plan);
	sync_put_rows(fcinfo, false, NULL, &plan);
	api_end(&api);
	return (Datum) 0;
}

/*
 * ---- many groups
 */

/* A group of the source, with its plan. */
typedef struct SyncGroupOfMany
{
	const SyncCall *call;
	const SyncSourceGroup *source;
	SyncPlan	plan;
} SyncGroupOfMany;

/* Return the plan of a group of the source. */
static SyncPlan
sync_plan_source_group(SyncCall *call, const SyncSourceGroup *source)
{
	SyncStep	problem = {SYNC_NOTHING, NULL, source->problem};
	SyncPlan	bad = {1, &problem};

	if (source->problem)
		return sync_copy_plan(&bad);
	return sync_plan_group(call, source->group, source->people, source->n);
}

/* Request what the plan of a group says.  True: it is kept. */
static bool
sync_request_group(void *subject)
{
	SyncGroupOfMany *one = subject;

	sync_request_steps(&one->call->request, one->source->group, &one->plan);
	return true;
}

/* Request what the plan of a group says; what the role's quota does not allow is said in its rows. */
static void
sync_apply_group(SyncGroupOfMany *one)
{
	ErrorData  *error = subtransaction_try(sync_request_group, one);

	if (error == NULL)
		return;
	if (error->sqlerrcode != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		ReThrowError(error);
	for (int i = 0; i < one->plan.n; i++)
		if (one->plan.steps[i].action != SYNC_NOTHING)
		{
			one->plan.steps[i].action = SYNC_NOTHING;
			one->plan.steps[i].why = psprintf("not queued: %s", text_from_server(error->message));
		}
}

/* Return the groups of the source with their plans, as SyncGroupOfMany pointers. */
static List *
sync_plan_source(SyncCall *call, List *sources)
{
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, sources)
	{
		SyncGroupOfMany *one = palloc(sizeof(SyncGroupOfMany));

		CHECK_FOR_INTERRUPTS();
		one->call = call;
		one->source = lfirst(lc);
		one->plan = sync_plan_source_group(call, one->source);
		groups = lappend(groups, one);
	}
	return groups;
}

/*
 * (source regclass, group_column name, jid_column name, instance name, reason text, mode text, managed_only bool,
 * max_remove_pct int)
 */
Datum
wawp_sync_groups(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"source", "group_column", "jid_column"};
	ApiCall		api = api_begin(fcinfo, true);
	SyncCall	call;
	SyncSource	source;
	List	   *groups;
	ListCell   *lc;

	for (int i = 0; i < (int) lengthof(required); i++)
		sync_require_arg(fcinfo, i, required[i]);
	call = sync_arguments(fcinfo, 3);
	if (call.apply)
		sync_request_check(&call.request);
	source = sync_source_read(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), NameStr(*PG_GETARG_NAME(2)));
	call.source_is_filtered = source.is_filtered;
	groups = sync_plan_source(&call, source.groups);
	foreach(lc, groups)
	{
		SyncGroupOfMany *one = lfirst(lc);

		if (one->source->problem == NULL)
			sync_yield(&call, one->source->group, &one->plan);
		if (call.apply)
			sync_apply_group(one);
		sync_put_rows(fcinfo, true, one->source->group, &one->plan);
	}
	api_end(&api);
	return (Datum) 0;
}
