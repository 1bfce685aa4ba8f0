/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The SQL functions that change what is queued, held or opted out.
 *
 * Cancel, retry, pause and resume are for the requesters of intents and for
 * roles that may use the instance; the opt-out list and contacts are for roles
 * that the extension's owner grants the functions to.  All write the owner's
 * tables as the owner, in the caller's transaction, and leave a note there,
 * which the worker moves to the audit log: what is rolled back is not recorded.
 * No lock is taken beyond those of the rows that change.
 *
 * IDENTIFICATION
 *	  src/queue/control.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/commit_wake.h"
#include "base/guc.h"
#include "base/requester.h"
#include "base/shmem.h"
#include "base/subtransaction.h"
#include "base/text_limit.h"
#include "catalog/pg_type.h"
#include "client/instance.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/enqueue.h"
#include "queue/quota.h"
#include "tables/adoption.h"
#include "tables/contact.h"
#include "tables/erasure.h"
#include "tables/hold.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "tables/requester_hold.h"
#include "tables/suppression.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_cancel);
PG_FUNCTION_INFO_V1(wawp_cancel_batch);
PG_FUNCTION_INFO_V1(wawp_retry);
PG_FUNCTION_INFO_V1(wawp_pause);
PG_FUNCTION_INFO_V1(wawp_resume);
PG_FUNCTION_INFO_V1(wawp_suppress);
PG_FUNCTION_INFO_V1(wawp_unsuppress);
PG_FUNCTION_INFO_V1(wawp_note_contact);

/* Stops acting as the owner; wakes the worker at commit if something changed. */
static void
control_end(const SqlOwner *before, bool changed)
{
	spi_end_as_owner(before);
	if (changed)
		commit_wake_worker(NULL);
}

/*
 * ---- intents
 */

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

/* Gives a failed intent without an instance the one that the caller's settings choose. */
static void
retry_name_instance(int64 id)
{
	SqlArgs		args = {0};
	SqlArgs		whose = {0};
	Oid			roleid = GetUserId();
	SqlOwner	before = spi_begin_as_owner();
	const char *asked;
	InstanceRef chosen;
	bool		is_unnamed;

	spi_add_int8(&args, id);
	spi_add_int8(&whose, id);
	spi_add_datum(&whose, ObjectIdGetDatum(roleid));
	is_unnamed = spi_run(&find_unnamed, &whose) > 0;
	asked = is_unnamed ? MemoryContextStrdup(CurTransactionContext, spi_get_text(0, 1)) : NULL;
	spi_end_as_owner(&before);
	if (!is_unnamed)
		return;
	chosen = instance_choose(*asked ? asked : NULL);
	before = spi_begin_as_owner();
	spi_add_text(&args, chosen.name);
	spi_add_text(&args, chosen.instance_id);
	spi_run(&name_instance, &args);
	spi_end_as_owner(&before);
}

/* The arguments of retry_own, and what came of them. */
typedef struct Retry
{
	int64		id;
	IntentRequester by;
	bool		has_changed;
} Retry;

static bool
retry_in_subtransaction(void *subject)
{
	Retry	   *retry = subject;
	SqlOwner	before;

	retry_name_instance(retry->id);
	quota_take(retry->by.roleid);
	before = spi_begin_as_owner();
	retry->has_changed = intent_requeue(retry->id, identity_doubtful_before(), &retry->by);
	if (retry->has_changed && adoption_is_due(retry->id))
		ereport(NOTICE,
				(errmsg("intent " INT64_FORMAT " is queued, but was restored or replicated and is not served", retry->id),
				 errhint("The extension's owner can adopt it with wawp_take_over().")));
	control_end(&before, retry->has_changed);
	return retry->has_changed;
}

/*
 * Queues a failed intent of one's own again, in a subtransaction; false if
 * there is none, or if another transaction has queued the same meanwhile.
 */
static bool
retry_own(FunctionCallInfo fcinfo, int64 id)
{
	Retry		retry = {.id = id, .by = enqueue_current_requester(fcinfo)};
	ErrorData  *error = subtransaction_try(retry_in_subtransaction, &retry);

	if (error && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	return error == NULL && retry.has_changed;
}

/* (id bigint): true if it was cancelled. */
Datum
wawp_cancel(PG_FUNCTION_ARGS)
{
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	bool		changed = intent_cancel(PG_GETARG_INT64(0), &by);

	control_end(&before, changed);
	PG_RETURN_BOOL(changed);
}

/* (batch_id text): how many were cancelled. */
Datum
wawp_cancel_batch(PG_FUNCTION_ARGS)
{
	const char *batch = text_to_cstring(PG_GETARG_TEXT_PP(0));
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	int64		n = intent_cancel_batch(batch, &by);

	control_end(&before, n > 0);
	PG_RETURN_INT64(n);
}

/* (id bigint): true if it is queued again. */
Datum
wawp_retry(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(retry_own(fcinfo, PG_GETARG_INT64(0)));
}

/*
 * ---- pausing
 */

/* Returns the n-th argument, a group, in normal form; "" for NULL, which means all. */
static const char *
arg_group_or_all(FunctionCallInfo fcinfo, int n)
{
	const char *input = text_limit_arg(fcinfo, n, TEXT_GROUP_JID);

	return input ? enqueue_group(input) : "";
}

/* Returns the lane that wawp_pause and wawp_resume are called for; its group is "" for the whole instance. */
static LaneKey
arg_lane(FunctionCallInfo fcinfo)
{
	InstanceRef instance;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "instance")));
	instance = instance_choose(NameStr(*PG_GETARG_NAME(0)));
	return lane_key(instance.name, arg_group_or_all(fcinfo, 1));
}

/*
 * Raises 53400 if the role has paused as much as it may.  What it has paused
 * already it may pause again; members of the extension's owner may pause anything.
 */
static void
pause_check_quota(const LaneKey *lane, Oid roleid)
{
	int			most = wawp_max_holds_per_role;

	if (most == 0 || is_member_of_role(roleid, spi_extension_owner()) ||
		hold_count_paused(roleid, NameStr(lane->instance), lane->group, most) < most)
		return;
	shmem_note_refusal(MyDatabaseId, roleid, true);
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("role \"%s\" has paused too many groups", GetUserNameFromId(roleid, false)),
			 errdetail("It has paused %d instances and groups, as many as wawp.max_holds_per_role allows.", most),
			 errhint("End some with wawp_resume(), or pause the whole instance instead of its groups.")));
}

/* (instance name, group_jid text, reason text): true if something changed. */
Datum
wawp_pause(PG_FUNCTION_ARGS)
{
	LaneKey		lane = arg_lane(fcinfo);
	const char *reason = text_limit_arg(fcinfo, 2, TEXT_REASON);
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	bool		changed;

	pause_check_quota(&lane, by.roleid);
	changed = hold_pause(NameStr(lane.instance), lane.group, reason ? psprintf("paused: %s", reason) : "paused", by.roleid);
	if (changed)
		intent_note("held", NameStr(lane.instance), lane.group, NULL, reason, &by);
	control_end(&before, changed);
	PG_RETURN_BOOL(changed);
}

/*
 * Ends the hold of the role's own token on the instance of a lane, if the lane is
 * the whole of it; members of the extension's owner end those of all roles.
 */
static bool
lift_requesters(const LaneKey *lane, Oid roleid)
{
	bool		is_owner = is_member_of_role(roleid, spi_extension_owner());

	return *lane->group == '\0' && requester_hold_lift(NameStr(lane->instance), is_owner ? InvalidOid : roleid);
}

/* (instance name, group_jid text): true if something was held. */
Datum
wawp_resume(PG_FUNCTION_ARGS)
{
	LaneKey		lane = arg_lane(fcinfo);
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	bool		was_held = hold_lift(NameStr(lane.instance), lane.group);
	int64		foreign = adoption_count(NameStr(lane.instance));

	was_held |= lift_requesters(&lane, by.roleid);
	if (foreign > 0)
		ereport(NOTICE,
				(errmsg("%lld intents of instance \"%s\" were restored or replicated and are not served",
						(long long) foreign, NameStr(lane.instance)),
				 errhint("The extension's owner can adopt them with wawp_take_over().")));
	if (was_held)
		intent_note("resumed", NameStr(lane.instance), lane.group, NULL, NULL, &by);
	control_end(&before, true);
	PG_RETURN_BOOL(was_held);
}

/*
 * ---- the opt-out list, and contacts
 */

/* Return the number of a person who is named by a LID, if it is known, else what names them; as the owner. */
static const char *
control_person(const char *person)
{
	const char *number = contact_with_lid(person);

	return number ? number : person;
}

/* (jid text, group_jid text, reason text, until timestamptz): true if something changed. */
Datum
wawp_suppress(PG_FUNCTION_ARGS)
{
	const char *named = enqueue_arg_person(fcinfo, 0);
	const char *group = arg_group_or_all(fcinfo, 1);
	const char *given = text_limit_arg(fcinfo, 2, TEXT_REASON);
	const char *reason = given ? given : "asked for";
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	const char *person = control_person(named);
	bool		changed = suppression_set(person, group, reason, enqueue_arg_time(fcinfo, 3));

	if (changed)
		intent_note("policy", NULL, group, person, psprintf("suppressed: %s", reason), &by);
	control_end(&before, changed);
	PG_RETURN_BOOL(changed);
}

/* Raise while the worker is still erasing the person: it would end whatever is requested for them meanwhile. */
static void
unsuppress_check_erased(const char *person)
{
	if (erasure_is_open_for(person))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the erasure of the person is not complete"),
				 errdetail("Transactions that were writing to the extension's tables meanwhile are waited for."),
				 errhint("Try again when the person has no row in wawp.erasure any more; end sessions that are idle in a transaction.")));
}

/* (jid text, group_jid text): true if there was a suppression, by the number or the LID. */
Datum
wawp_unsuppress(PG_FUNCTION_ARGS)
{
	const char *named = enqueue_arg_person(fcinfo, 0);
	const char *group = arg_group_or_all(fcinfo, 1);
	IntentRequester by = enqueue_current_requester(fcinfo);
	SqlOwner	before = spi_begin_as_owner();
	const char *person = control_person(named);
	const char *lid = person == named ? contact_lid(person) : named;
	bool		lifted = suppression_lift(person, group);

	if (lid)
		lifted |= suppression_lift(lid, group);
	if (lifted)
	{
		unsuppress_check_erased(person);
		membership_forgive(person, group);
		intent_note("policy", NULL, group, person, "unsuppressed", &by);
	}
	control_end(&before, lifted);
	PG_RETURN_BOOL(lifted);
}

/* (jid text, at timestamptz): true if something changed. */
Datum
wawp_note_contact(PG_FUNCTION_ARGS)
{
	const char *person = enqueue_arg_person(fcinfo, 0);
	TimestampTz at = PG_ARGISNULL(1) ? GetCurrentTimestamp() : enqueue_arg_time(fcinfo, 1);
	SqlOwner	before;
	bool		changed;

	requester_require_read_write(fcinfo);
	before = spi_begin_as_owner();
	changed = contact_note_inbound(control_person(person), at);
	spi_end_as_owner(&before);
	PG_RETURN_BOOL(changed);
}
