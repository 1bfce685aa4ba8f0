/*-------------------------------------------------------------------------
 *
 * take_over.c
 *	  Rows that were not made here: how they arrive, and their adoption.
 *
 * A row that is restored or replicated brings the home of the database that it
 * was made in.  The triggers here give it the zero home, which is nobody's, and
 * look up its requester by name, as an oid means something only in its own
 * cluster.  On wawp.membership the trigger fires for each INSERT; on both tables
 * a second one fires for an UPDATE in a replica session only, so that those of
 * the worker cost nothing.  (queue/enqueue.c has the one for new intents.)
 *
 * wawp_take_over() adopts such rows, and erasures that are not complete, in the
 * caller's transaction, and leaves a note for the audit log.  Locks: the rows that change.
 *
 * IDENTIFICATION
 *	  src/queue/take_over.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/commit_wake.h"
#include "base/requester.h"
#include "client/instance.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "queue/enqueue.h"
#include "replication/logicalworker.h"
#include "tables/adoption.h"
#include "tables/audit.h"
#include "tables/erasure.h"
#include "tables/home.h"
#include "tables/identity.h"
#include "tables/intent.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(wawp_home);
PG_FUNCTION_INFO_V1(wawp_row_arrived);
PG_FUNCTION_INFO_V1(wawp_take_over);

/* Returns the home of this database; NULL in a copy, where no row is at home. */
Datum
wawp_home(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *home = palloc(sizeof(*home));

	if (!home_exists())
		PG_RETURN_NULL();
	*home = *DatumGetUUIDP(home_datum());
	PG_RETURN_UUID_P(home);
}

/*
 * ---- rows that arrive
 */

/* Returns the row with the zero home and the requester that its name means here. */
static HeapTuple
arrival_mark(HeapTuple row, TupleDesc desc)
{
	int			columns[2] = {SPI_fnumber(desc, "home"), SPI_fnumber(desc, "requester")};
	const char *role = SPI_getvalue(row, desc, SPI_fnumber(desc, "requested_by"));
	Datum		values[2] = {UUIDPGetDatum(palloc0(sizeof(pg_uuid_t))), ObjectIdGetDatum(InvalidOid)};
	bool		nulls[2] = {false};

	if (role)
		values[1] = ObjectIdGetDatum(get_role_oid(role, true));
	return heap_modify_tuple_by_cols(row, desc, lengthof(columns), columns, values, nulls);
}

/*
 * BEFORE trigger: marks a row that brings the home of another database, or that
 * a subscription applies.  A new row that brings ours is restored, too, unless
 * the extension itself inserts it.
 */
Datum
wawp_row_arrived(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row;
	Datum		home;
	bool		is_null;
	bool		is_update;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "wawp._row_arrived() is a trigger");
	is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	row = is_update ? trigger->tg_newtuple : trigger->tg_trigtuple;
	if (!is_update && intent_take_insert_mark())
		return PointerGetDatum(row);
	desc = RelationGetDescr(trigger->tg_relation);
	home = SPI_getbinval(row, desc, SPI_fnumber(desc, "home"), &is_null);
	if (!IsLogicalWorker() && (is_null || (is_update && home_is_ours(DatumGetUUIDP(home)))))
		return PointerGetDatum(row);
	return PointerGetDatum(arrival_mark(row, desc));
}

/*
 * ---- adoption
 */

/* Returns the argument, an instance of this database, or raises. */
static const char *
arg_adopted_instance(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
	{
		SqlOwner	before = spi_begin_as_owner();
		const char *names = adoption_instances();

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null", "instance"),
				 names ? errdetail("There are intents to take over for %s.", names)
				 : errdetail("There are no intents to take over.")));
		spi_end_as_owner(&before);
	}
	/* raises unless there is such an instance; its owner needs no USAGE */
	if (instance_id_of(NameStr(*PG_GETARG_NAME(0))) == NULL)
		(void) instance_choose(NameStr(*PG_GETARG_NAME(0)));
	return NameStr(*PG_GETARG_NAME(0));
}

/* Raises unless the caller is a member of the extension's owner. */
static void
take_over_check_permission(void)
{
	if (!is_member_of_role(GetUserId(), spi_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to take over intents"),
				 errhint("Members of the extension's owner may.")));
}

/* Records an adoption, and tells the caller what does not go on. */
static void
take_over_report(const char *instance, const Adoption *done, const IntentRequester *by)
{
	int64		ended = done->failed + done->cancelled + done->unknown;
	const char *counts = psprintf("%lld intents, %lld settled ones, %lld memberships; not served: %lld without a role,"
								  " %lld asked for again, %lld invitations in doubt",
								  (long long) done->live, (long long) done->settled, (long long) done->memberships,
								  (long long) done->failed, (long long) done->cancelled, (long long) done->unknown);

	intent_note("policy", instance, "", NULL, psprintf(AUDIT_TAKEN_OVER "%s", counts), by);
	if (ended > 0)
		ereport(NOTICE,
				(errmsg("%lld intents of instance \"%s\" have ended instead of being taken over", (long long) ended, instance),
				 errdetail("Taken over: %s.", counts),
				 errhint("Their column \"detail\" says why; wawp_retry() queues those that failed again.")));
}

/*
 * (instance name, before timestamptz): makes this database an original if it is
 * a copy, and the instance's rows that came from another one its own; returns
 * how many intents are served from now on.
 */
Datum
wawp_take_over(PG_FUNCTION_ARGS)
{
	IntentRequester by;
	Adoption	adoption;
	const char *instance;
	const char *cluster;
	TimestampTz until = PG_ARGISNULL(1) ? GetCurrentTransactionStartTimestamp() : PG_GETARG_TIMESTAMPTZ(1);
	SqlOwner	before;

	take_over_check_permission();
	by = enqueue_current_requester(fcinfo);
	instance = arg_adopted_instance(fcinfo);
	before = spi_begin_as_owner();
	cluster = adoption_cluster_homes();
	(void) identity_take_over();
	home_forget();
	erasure_adopt();
	adoption_run(instance, until, cluster, &adoption);
	take_over_report(instance, &adoption, &by);
	spi_end_as_owner(&before);
	commit_wake_worker(NULL);
	PG_RETURN_INT64(adoption.live);
}
