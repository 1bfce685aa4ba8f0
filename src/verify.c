/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Looks at the member list to see who really got in.
 *
 * The API answers {"ok": true} and does not tell; a person's privacy setting
 * can silently keep them out.  So the list is read at the instance's
 * verify_delays until everybody is settled.  Three verdicts: present beats
 * any code; absent counts only at the last look, since lists lag; an
 * unresolved LID in the list may be our person and is never taken for absence.
 * Algorithm: whatsapp-membership.md, section 2.6.
 *
 * Nothing here raises an error but cancel: what the list does not settle stays
 * as the add left it, unverified.
 *
 * IDENTIFICATION
 *	  src/verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "budget.h"
#include "clock.h"
#include "members.h"
#include "verify.h"

/* A person who is looked for. */
typedef struct Sought
{
	CallPerson *person;
	Jid			lid;			/* invalid until the API has told it */
	bool		settled;
} Sought;

/* A list without anybody is none: we ourselves are in it. */
static bool
read_list(const WawpInstance *instance, const char *group, WireMembers *members)
{
	CallRequest request = {.endpoint = ENDPOINT_PARTICIPANTS,.group = group};
	const HttpResult *result;

	(void) budget_take_read(instance, false);
	result = call_send(instance, &request);
	return http_is_success(result) && wire_read_members(result->body, result->body_len, members) &&
		members->count > 0;
}

/* Asks for the LID of a phone number; stays invalid when nobody knows it. */
static Jid
ask_lid(const WawpInstance *instance, const Jid *person)
{
	static const Jid unknown = {.kind = JID_INVALID};
	CallRequest request = {
		.endpoint = ENDPOINT_LID_OF_PHONE,
		.path_value = pnstrdup(person->text, strcspn(person->text, "@"))
	};
	const HttpResult *result = call_send(instance, &request);

	return http_is_success(result) ? wire_read_lid(result->body, result->body_len) : unknown;
}

static Presence
look_for(const WawpInstance *instance, const WireMembers *members, Sought *sought)
{
	Presence	presence = members_presence(members, &sought->person->jid, &sought->lid);

	if (presence != PRESENCE_UNKNOWN)
		return presence;
	sought->lid = ask_lid(instance, &sought->person->jid);
	return members_presence(members, &sought->person->jid, &sought->lid);
}

static void
settle_present(Sought *sought)
{
	CallPerson *person = sought->person;

	if (person->outcome != WAWP_ALREADY_MEMBER)
		person->outcome = WAWP_ADDED;
	person->detail = NULL;
	person->retry_at = 0;
	person->verified = true;
	sought->settled = true;
}

/* Absent at the last look, or at any look when the answer gave a reason. */
static void
settle_absent(Sought *sought, bool is_last)
{
	CallPerson *person = sought->person;

	switch (person->outcome)
	{
		case WAWP_ACCEPTED:
			if (!is_last)
				return;
			person->outcome = WAWP_PRIVACY_BLOCKED;
			person->detail = "accepted by the API, but not in the member list; most likely by the person's privacy settings";
			break;
		case WAWP_ADDED:
		case WAWP_ALREADY_MEMBER:
		case WAWP_UNKNOWN_RESULT:
		case WAWP_SERVER_ERROR:
		case WAWP_UNRECOGNISED:
			if (is_last)
				person->detail = "not in the member list";
			return;
		default:
			break;
	}
	person->verified = true;
	sought->settled = true;
}

/* One look at the list for all who are not settled yet. */
static void
look_once(const WawpInstance *instance, const char *group, Sought *sought, int n, bool is_last)
{
	WireMembers members;

	if (!read_list(instance, group, &members))
		return;
	for (int i = 0; i < n; i++)
	{
		Presence	presence;

		if (sought[i].settled)
			continue;
		presence = look_for(instance, &members, &sought[i]);
		if (presence == PRESENCE_PRESENT)
			settle_present(&sought[i]);
		else if (presence == PRESENCE_ABSENT)
			settle_absent(&sought[i], is_last);
	}
}

static bool
all_settled(const Sought *sought, int n)
{
	for (int i = 0; i < n; i++)
		if (!sought[i].settled)
			return false;
	return true;
}

/*
 * Settles people just asked to be added, as far as the member list can, by
 * looking at the instance's verify_delays from now.  True: it settled some.
 */
bool
verify_added(const WawpInstance *instance, const char *group, CallPerson **people, int npeople)
{
	Sought	   *sought = palloc0(sizeof(Sought) * Max(npeople, 1));
	int64		answered_at = clock_monotonic_ms();
	int			n = 0;

	for (int i = 0; i < npeople; i++)
		if (people[i]->sent && outcome_info(people[i]->outcome)->look)
			sought[n++].person = people[i];

	for (int i = 0; i < instance->ndelays && !all_settled(sought, n); i++)
	{
		clock_wait_until(answered_at + instance->delay_ms[i]);
		look_once(instance, group, sought, n, i == instance->ndelays - 1);
	}
	for (int i = 0; i < n; i++)
		if (sought[i].settled)
			return true;
	return false;
}
