/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Says what an addition would meet, without making it.
 *
 * In this order: the opt-out list and holds; one reading of the member list,
 * then the session and the group's description; for each person, in the order
 * given, membership, the group's policy, the group itself, the pace, and whether
 * the number is on WhatsApp.  Seats and permits are counted, not taken.
 *
 * A person of whom nothing is known that would keep them out has the outcome
 * `accepted`, with what could not be found out as the detail.  What is not
 * understood keeps nobody out: the addition itself tells.
 *
 * Only tables that stay locked, and cancel, raise an error.  Memory: that of the
 * call (api.c).  Locks: tables are read in subtransactions that are rolled back,
 * so that no lock of ours is held while a request waits.
 *
 * IDENTIFICATION
 *	  src/session/check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/spi_statement.h"
#include "base/subtransaction.h"
#include "protocol/member_list.h"
#include "session/check.h"
#include "session/pairs.h"
#include "session/send.h"
#include "session/session_read.h"
#include "tables/contact.h"
#include "throttle/budget.h"
#include "utils/timestamp.h"

#include "compat.h"

/* A call asks about single people for so long, in the pace of checks_per_minute; who is left then is not asked about. */
#define CHECK_WAIT_MS 60000

/* A check of people who might be added to one group. */
typedef struct Check
{
	const WawpInstance *instance;
	const char *group;
	bool		is_before_add;	/* the addition follows; it obeys holds and pace by itself */
	SessionPolicy policy;
	WireMembers list;			/* without members if it could not be read */
	MembersKnown known;
	const char *unread;			/* why the list could not be read; NULL: it was */
	CallPerson	everybody;		/* what each addition would meet; `accepted`: nothing is known */
	int			seats;			/* in the group */
	int			permits;		/* of the pace, now */
	int64		next_permit_us; /* monotonic; 0: not known */
	int64		ask_until_ms;	/* numbers are asked for until then, monotonic */
	int			nos;			/* numbers in a row that are not on WhatsApp */
	Pairs	   *pairs;			/* that were learnt */
} Check;

/*
 * ---- the group
 */

/* Note the result of a reading that failed: it concerns everybody, or says nothing. */
static void
check_note_failure(Check *check, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_READ, result);
	CallPerson	shown = {0};

	call_settle_person(&shown, &reading.whole, check->instance);
	check->list = (WireMembers) {.stated = -1};
	check->unread = shown.detail ? shown.detail : "the answer is not understood";
	if (http_is_success(result) && reading.npeople > 0)
		return;
	if (outcome_info(shown.outcome)->scope != SCOPE_CALL)
		return;
	check->everybody.outcome = shown.outcome;
	check->everybody.detail = shown.detail;
	if (result->retry_after >= 0)
		check->everybody.retry_at = GetCurrentTimestamp() + result->retry_after * USECS_PER_SEC;
}

/* Read the member list; false if none came, which may concern everybody. */
static bool
check_read_list(Check *check)
{
	const HttpResult *result;

	if (session_read_list(check->instance, check->group, &check->list, &result))
		return true;
	check_note_failure(check, result);
	return false;
}

/* Read who we are and whether the session is usable; false if it is not. */
static bool
check_read_self(Check *check)
{
	WireSession session;

	if (!session_read_self(check->instance, &session))
		return true;
	check->known.me = session.me;
	check->known.me_lid = session.me_lid;
	if (wire_session_is_usable(&session))
		return true;
	check->everybody.outcome = WAWP_SESSION_DOWN;
	check->everybody.detail = psprintf("the session is in state %s", session.status);
	return false;
}

/* Read the group's size, and whether its members may add people. */
static void
check_read_info(Check *check)
{
	const WireMember *own = members_find_own(&check->list, &check->known.me, &check->known.me_lid);
	WireRole	role = own ? members_role(&check->list, own) : WIRE_ROLE_UNKNOWN;
	WireGroup	group;

	if (!session_read_group(check->instance, check->group, &group, &check->known.is_untold))
		return;
	check->known.stated = group.size;
	if (role == WIRE_ROLE_ADMIN || role == WIRE_ROLE_OWNER)
		return;
	check->known.asks_approval = group.asks_approval;
	if (role == WIRE_ROLE_UNKNOWN || group.members_add)
		return;
	check->everybody.outcome = WAWP_NOT_ADMIN;
	check->everybody.detail = group.only_admins_add
		? "the account is not an admin, and only admins of the group add people"
		: "the account is not an admin, and the group does not say that its members may add people";
}

/* Find out what the group would say to any addition. */
static void
check_read_group(Check *check)
{
	if (check_read_list(check) && check_read_self(check))
		check_read_info(check);
	check->seats = check->policy.capacity - members_size(&check->list, &check->known);
}

/*
 * ---- the person
 */

static void
check_settle(CallPerson *person, WawpOutcome outcome, const char *detail)
{
	person->outcome = outcome;
	person->detail = detail;
}

/* Add a remark about what could not be found out. */
static void
check_remark(CallPerson *person, const char *remark)
{
	person->detail = person->detail ? psprintf("%s; %s", person->detail, remark) : remark;
}

/* Take a permit for a question about one person, and wait for it; false if the call's time for that is over. */
static bool
check_take_turn(const Check *check)
{
	return session_wait_to_check(check->instance, check->ask_until_ms);
}

/* True if somebody in the list has no telephone number, so that only a LID tells whether it is them. */
static bool
check_list_needs_lids(const Check *check)
{
	for (int i = 0; i < check->list.count; i++)
		if (check->list.members[i].phone.kind != JID_PERSON && check->list.members[i].role != WIRE_ROLE_LEFT)
			return true;
	return false;
}

/* Return whether a person is in the list; ask for the LID if that would tell. */
static Presence
check_presence(Check *check, CallPerson *person)
{
	Presence	presence = members_presence(&check->list, &check->known, &person->jid, &person->lid);

	if (presence != PRESENCE_UNKNOWN || person->lid.kind == JID_LID || !check_list_needs_lids(check) || !check_take_turn(check))
		return presence;
	person->lid = session_read_lid(check->instance, &person->jid);
	pairs_note(check->pairs, &person->jid, &person->lid);
	return members_presence(&check->list, &check->known, &person->jid, &person->lid);
}

/* Learn the LID that the list has beside a person's number. */
static void
check_learn_listed(Check *check, const CallPerson *person)
{
	const WireMember *member = wire_find_member(&check->list, &person->jid);

	if (member && !jid_same(&member->lid, &person->lid))
		pairs_note(check->pairs, &person->jid, &member->lid);
}

/* True if the person is a member; the outcome is set.  Otherwise a remark says what is not known. */
static bool
check_is_member(Check *check, CallPerson *person)
{
	const char *gap;

	if (check->unread)
	{
		check_remark(person, psprintf("not known whether they are a member: the list could not be read (%s)", check->unread));
		return false;
	}
	switch (check_presence(check, person))
	{
		case PRESENCE_PRESENT:
			check_learn_listed(check, person);
			check_settle(person, WAWP_ALREADY_MEMBER, NULL);
			person->verified = true;
			return true;
		case PRESENCE_ABSENT:
			return false;
		case PRESENCE_UNKNOWN:
			gap = members_gap_text(&check->list, &check->known);
			check_remark(person, psprintf("not known whether they are a member: %s",
										  gap ? gap : "the list has people by privacy id only"));
	}
	return false;
}

/* The arguments of check_read_contact. */
typedef struct ContactRead
{
	const char *jid;
	Contact		contact;		/* its texts are not to be used */
	Jid			known_as;		/* invalid: WhatsApp is not known to have another JID */
	bool		is_read;
} ContactRead;

/* Read what is known of a person.  False: no lock is kept. */
static bool
check_read_contact(void *subject)
{
	ContactRead *read = subject;
	SqlOwner	before = spi_begin_as_owner();

	read->is_read = contact_look_up(read->jid, &read->contact);
	if (read->contact.known_as)
		read->known_as = jid_parse(read->contact.known_as, strlen(read->contact.known_as));
	spi_end_as_owner(&before);
	return false;
}

/* Return what is known of a person; its is_read is false if the contacts are locked. */
static ContactRead
check_contact(const char *jid)
{
	ContactRead read = {.jid = jid, .known_as = {.kind = JID_INVALID}};

	subtransaction_run(check_read_contact, &read);
	return read;
}

/*
 * Ask the API whether a number is on WhatsApp; *chat is the JID that WhatsApp has
 * for it.  An API that does not answer is not asked for others.
 */
static WireTruth
check_ask_number(Check *check, const char *jid, Jid *chat)
{
	CallRequest request = {.endpoint = ENDPOINT_CHECK_EXISTS};
	const HttpResult *result;
	Jid			lid = {.kind = JID_INVALID};
	Jid			phone = jid_parse(jid, strlen(jid));
	WireTruth	truth;

	if (!check_take_turn(check))
		return WIRE_UNKNOWN;
	request.fields[0] = (WireField) {"phone", pnstrdup(jid, strcspn(jid, "@"))};
	result = call_send(check->instance, &request);
	if (http_is_success(result))
	{
		truth = wire_read_exists(result->body, result->body_len, chat, &lid);
		if (truth == WIRE_YES)
			pairs_note(check->pairs, &phone, &lid);
		return truth;
	}
	check->ask_until_ms = 0;
	return WIRE_UNKNOWN;
}

/* Return whether a number is on WhatsApp, by the contact or by asking; *chat is its JID there. */
static WireTruth
check_number(Check *check, const char *jid, const ContactRead *known, Jid *chat)
{
	*chat = known->known_as;
	if (known->contact.is_checked)
		return known->contact.is_registered ? WIRE_YES : WIRE_NO;
	return check_ask_number(check, jid, chat);
}

/* Return whether a number is on WhatsApp in either of its forms; *chat is its JID there. */
static WireTruth
check_forms(Check *check, const CallPerson *person, const ContactRead *known, Jid *chat)
{
	WireTruth	truth = check_number(check, person->jid.text, known, chat);
	Jid			other = jid_other_form(&person->jid);

	if (truth == WIRE_NO && other.kind == JID_PERSON)
	{
		ContactRead read = check_contact(other.text);

		truth = check_number(check, other.text, &read, chat);
		if (truth == WIRE_YES && chat->kind != JID_PERSON)
			*chat = other;
	}
	return truth;
}

/* Take in that WhatsApp has another JID for a person: they may be a member by that. */
static void
check_other_jid(const Check *check, CallPerson *person, const Jid *chat)
{
	if (chat->kind == JID_INVALID || strcmp(chat->text, person->jid.text) == 0 || jid_same(chat, &person->lid))
		return;
	if (wire_find_member(&check->list, chat))
	{
		check_settle(person, WAWP_ALREADY_MEMBER, psprintf("the person is in the group as %s", chat->text));
		person->verified = true;
	}
	else if (chat->kind == JID_PERSON)
		check_remark(person, psprintf("WhatsApp has the number as %s", chat->text));
}

/* Find out whether a person's number is on WhatsApp, and set the outcome if it is not. */
static void
check_registration(Check *check, CallPerson *person, const ContactRead *known)
{
	Jid			chat = {.kind = JID_INVALID};

	/* who has a LID has an account */
	if (person->lid.kind == JID_LID && !known->contact.is_checked)
		return;
	switch (check_forms(check, person, known, &chat))
	{
		case WIRE_YES:
			check->nos = 0;
			check_other_jid(check, person, &chat);
			break;
		case WIRE_UNKNOWN:
			check_remark(person, "not known whether the number is on WhatsApp");
			break;
		case WIRE_NO:
			if (known->contact.is_checked || ++check->nos < WIRE_DOUBTFUL_NOS)
				check_settle(person, WAWP_NOT_ON_WHATSAPP, "the number is not on WhatsApp");
			else
				check_remark(person, "the API says that the number is not on WhatsApp, as of those before, which it also says when it may not ask");
	}
}

/* True if the group's policy keeps the person out; the outcome is set. */
static bool
check_policy(const Check *check, CallPerson *person, const ContactRead *known)
{
	if (check->policy.contact_within_us <= 0 || !known->is_read ||
		known->contact.last_inbound_at >= GetCurrentTimestamp() - check->policy.contact_within_us)
		return false;
	check_settle(person, WAWP_SUPPRESSED, "require_contact_within: the person has not written to us lately");
	return true;
}

/* True if the group, or the pace, keeps everybody out; the outcome is set.  The pace is left to an addition that follows. */
static bool
check_room(const Check *check, CallPerson *person)
{
	if (check->everybody.outcome != WAWP_ACCEPTED)
	{
		check_settle(person, check->everybody.outcome, check->everybody.detail);
		person->retry_at = check->everybody.retry_at;
	}
	else if (check->seats <= 0)
		check_settle(person, WAWP_GROUP_FULL, psprintf("the group has its %d members", check->policy.capacity));
	else if (check->permits > 0)
		return false;
	else if (!check->is_before_add)
		check_settle(person, WAWP_THROTTLED, check->next_permit_us
					 ? psprintf("the pace allows the next addition at %s", clock_text(session_wall_time(check->next_permit_us)))
					 : "the pace allows no more additions now");
	return true;
}

/* Say of one person what an addition would meet. */
static void
check_person(Check *check, CallPerson *person)
{
	ContactRead known;

	if (check_is_member(check, person))
		return;
	known = check_contact(person->jid.text);
	if (check_policy(check, person, &known) || check_room(check, person))
		return;
	check_registration(check, person, &known);
	if (!check_is_addable(person))
		return;
	check->seats--;
	check->permits--;
	if (check->known.asks_approval)
	{
		check_remark(person, "an admin of the group has to approve");
		person->outcome = WAWP_PENDING_APPROVAL;
	}
}

/*
 * ---- all of them
 */

/*
 * True if the caller's own token, the instance or the group is held: nothing is
 * asked of the API, and people have the outcome of that.
 */
static bool
check_is_held(const Check *check, CallPerson **people, int npeople)
{
	SessionHeld held = session_held(&check->policy, check->instance, check->group);

	for (int i = 0; held.why && !check->is_before_add && i < npeople; i++)
	{
		check_settle(people[i], WAWP_THROTTLED, held.why);
		people[i]->retry_at = held.until;
	}
	return held.why != NULL;
}

/* True if nothing is known that would keep the person out. */
bool
check_is_addable(const CallPerson *person)
{
	return person->outcome == WAWP_ACCEPTED || person->outcome == WAWP_PENDING_APPROVAL;
}

/*
 * Set the outcome and detail of people, who are all different and valid, to what
 * an addition would meet; it may reorder them.  With is_before_add, what holds
 * and the pace say is left to the addition.
 */
void
check_people(const WawpInstance *instance, const char *group, bool is_before_add, CallPerson **people, int npeople)
{
	Check		check = {
		.instance = instance,
		.group = group,
		.is_before_add = is_before_add,
		.list = {.stated = -1},
		.known = {.stated = -1},
		.everybody = {.outcome = WAWP_ACCEPTED},
		.ask_until_ms = clock_monotonic_ms() + CHECK_WAIT_MS
	};
	BudgetGroup budget = {.jid = group};
	int			allowed = npeople;

	for (int i = 0; i < npeople; i++)
		check_settle(people[i], WAWP_ACCEPTED, NULL);
	if (npeople == 0)
		return;
	if (!session_read_policy(instance, group, people, &allowed, &check.policy))
	{
		if (is_before_add && session_is_past_first_request())
			return;
		session_refuse_unread();
	}
	if (allowed == 0 || check_is_held(&check, people, allowed))
		return;
	check_read_group(&check);
	check.pairs = palloc0(sizeof(Pairs));
	check.pairs->instance = instance->name;
	budget.adds_per_minute = check.policy.adds_per_minute;
	check.permits = budget_adds_now(instance, hold_halvings(hold_find(check.policy.holds, instance->name, "")), &budget,
									&check.next_permit_us);
	for (int i = 0; i < allowed; i++)
		check_person(&check, people[i]);
	pairs_post(check.pairs);
}
