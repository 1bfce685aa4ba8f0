/*-------------------------------------------------------------------------
 *
 * session_verify.c
 *	  Reads the member list to see who actually joined.
 *
 * The API may answer {"ok": true} although a person's privacy setting keeps
 * them out.  So the list is read at the instance's verify_delays until
 * everybody is settled, by the rules of member_list.c.  Before absence counts,
 * the API is asked how many members the group has, whether they need approval,
 * and who we are.
 *
 * Only cancel raises an error: a person whom the list does not settle keeps the
 * outcome of the add, unverified.  Memory: that of the call (api.c).  No locks,
 * no transactions.
 *
 * IDENTIFICATION
 *	  src/session/session_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "protocol/member_list.h"
#include "session/session_read.h"
#include "session/session_verify.h"

/* A person who is looked for in the list. */
typedef struct Sought
{
	CallPerson *person;
	Jid			lid;			/* invalid: not known */
	bool		has_asked_lid;
	bool		is_settled;
} Sought;

/* The group in which they are. */
typedef struct Place
{
	const WawpInstance *instance;
	const char *group;
	MembersKnown known;
	MembersPast past;
	bool		has_info;		/* the API was asked for all of `known` */
	WireMembers list;
	bool		is_last;		/* no list is read after this one */
} Place;

/* Read the list into *place; false if none came.  An empty one is none: we ourselves are in it. */
static bool
session_verify_read_list(Place *place)
{
	int64		asked_ms = clock_monotonic_ms();
	const HttpResult *result;

	if (!session_read_list(place->instance, place->group, &place->list, &result))
		return false;
	place->known.is_shrunk = !members_note_size(&place->past, &place->list, asked_ms);
	return true;
}

/* Read once what has to be known of a group before absence counts, as far as the API tells it. */
static void
session_verify_read_known(Place *place)
{
	const WireMember *own;
	WireGroup	group;
	WireSession session;

	if (place->has_info)
		return;
	place->has_info = true;
	if (session_read_group(place->instance, place->group, &group, &place->known.is_untold))
	{
		place->known.stated = group.size;
		place->known.asks_approval = group.asks_approval;
	}
	if (session_read_self(place->instance, &session))
	{
		place->known.me = session.me;
		place->known.me_lid = session.me_lid;
	}
	own = members_find_own(&place->list, &place->known.me, &place->known.me_lid);
	if (own && (own->role == WIRE_ROLE_ADMIN || own->role == WIRE_ROLE_OWNER))
		place->known.asks_approval = false;
}

/* Ask once for the LID of a person's number. */
static void
session_verify_ask_lid(const WawpInstance *instance, Sought *sought)
{
	if (sought->has_asked_lid)
		return;
	sought->has_asked_lid = true;
	sought->lid = session_read_lid(instance, &sought->person->jid);
}

static MembersFinding
session_verify_judge(const Place *place, const Sought *sought)
{
	MembersCase asked = {
		.person = &sought->person->jid,
		.lid = &sought->lid,
		.operation = WAWP_OP_ADD,
		.outcome = sought->person->outcome,
		.is_last = place->is_last
	};

	return members_judge(&place->list, &place->known, &asked);
}

/* Give a person who is listed the LID in their entry, or that by which they were found. */
static void
session_verify_learn_lid(const Place *place, const Sought *sought)
{
	CallPerson *person = sought->person;
	const WireMember *member = wire_find_member(&place->list, &person->jid);

	if (person->jid.kind != JID_PERSON)
		return;
	if (member && member->lid.kind == JID_LID)
		person->lid = member->lid;
	else if (sought->lid.kind == JID_LID)
		person->lid = sought->lid;
}

/* Write to a person what the list shows. */
static void
session_verify_settle(Place *place, Sought *sought)
{
	CallPerson *person = sought->person;
	MembersFinding finding = session_verify_judge(place, sought);

	if (finding.verdict == VERDICT_UNKNOWN)
	{
		session_verify_ask_lid(place->instance, sought);
		finding = session_verify_judge(place, sought);
	}
	if (finding.by_absence && place->is_last && person->outcome == WAWP_ACCEPTED)
	{
		session_verify_read_known(place);
		finding = session_verify_judge(place, sought);
	}
	if (finding.verdict == VERDICT_YES || (finding.detail && (finding.by_absence || person->outcome == WAWP_ACCEPTED)))
		person->detail = finding.detail;
	if (!finding.is_settled)
		return;
	if (finding.verdict == VERDICT_YES)
	{
		person->retry_at = 0;
		session_verify_learn_lid(place, sought);
	}
	person->outcome = finding.outcome;
	person->verified = true;
	sought->is_settled = true;
}

/* Read the list once for all who are not settled yet. */
static void
session_verify_read_once(Place *place, Sought *sought, int n)
{
	if (!session_verify_read_list(place))
		return;
	for (int i = 0; i < n; i++)
		if (!sought[i].is_settled)
			session_verify_settle(place, &sought[i]);
}

static bool
session_verify_all_settled(const Sought *sought, int n)
{
	for (int i = 0; i < n; i++)
		if (!sought[i].is_settled)
			return false;
	return true;
}

/*
 * Settle people who have just been added, as far as the member list can, by
 * reading it at the instance's verify_delays from now.  capacity: of the group.
 * Those whom it did not settle because of entries that are not understood get
 * their shape.  True if there is something to record.
 */
bool
session_verify_added(const WawpInstance *instance, const char *group, int capacity, CallPerson **people, int npeople)
{
	Sought	   *sought = palloc0(sizeof(Sought) * Max(npeople, 1));
	Place		place = {.instance = instance, .group = group, .known = {.stated = -1, .capacity = capacity}};
	int64		answered_ms = clock_monotonic_ms();
	int			n = 0;
	bool		is_told = false;

	for (int i = 0; i < npeople; i++)
		if (people[i]->sent && outcome_info(people[i]->outcome)->look)
		{
			sought[n].lid = people[i]->lid;
			sought[n++].person = people[i];
		}

	for (int i = 0; i < instance->ndelays && !session_verify_all_settled(sought, n); i++)
	{
		clock_wait_until(answered_ms + instance->delay_ms[i]);
		place.is_last = i == instance->ndelays - 1;
		session_verify_read_once(&place, sought, n);
	}
	for (int i = 0; i < n; i++)
	{
		if (!sought[i].is_settled && sought[i].person->outcome == WAWP_ACCEPTED)
			sought[i].person->shape = place.list.unread_shape;
		is_told |= sought[i].is_settled || sought[i].person->shape;
	}
	return is_told;
}
