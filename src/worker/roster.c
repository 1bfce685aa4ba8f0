/*-------------------------------------------------------------------------
 *
 * roster.c
 *	  What the API has told of groups and people lately.
 *
 * The worker's memory of member lists, invite links and who we are, and the
 * requests that fill it: errands, which change nothing and are tied to no
 * transaction.  One list answers for everybody who waits in a group.  What is
 * learnt of a person (a LID, whether a number exists) is kept as a fact until
 * a transaction has written it down.
 *
 * Lists are kept within wawp.member_list_cache: the oldest go, but for those
 * that nobody has come for yet, which would only be asked for again.
 *
 * Everything here is lost with the process and asked for again.  No lock, no
 * transaction; memory is under TopMemoryContext.
 *
 * IDENTIFICATION
 *	  src/worker/roster.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "client/call.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "worker/roster.h"

#include "compat.h"

/* Who we are is asked again after that; a phone is seldom paired anew. */
#define SELF_MAX_AGE_MS (10 * 60 * 1000)
/* What nobody has looked at for that long is forgotten. */
#define IDLE_MS (10 * 60 * 1000)
/* A person's question that had no answer is not asked again before. */
#define PERSON_MAX_AGE_MS (5 * 60 * 1000)
/* So many numbers in a row that are not on WhatsApp are doubtful. */
#define DOUBTFUL_NOS 3
/* A group's description is asked for again after that ... */
#define INFO_MAX_AGE_MS (10 * 60 * 1000)
/* ... and sooner if its list has fewer people than it stated. */
#define INFO_DOUBT_MS 5000
/* An absence noted so long ago is noted anew. */
#define MISSED_MAX_AGE_US (10 * 60 * INT64CONST(1000000))

/* An account's own identity. */
typedef struct Self
{
	NameData	instance;		/* hash key, must be first */
	Jid			me;
	Jid			me_lid;
	int64		asked_at;		/* monotonic ms; 0: not yet */
	int			outages;		/* answers in a row that were not the API's */
	int			missing;		/* numbers in a row that are not on WhatsApp, it was said ... */
	char		missing_last[JID_SIZE]; /* ... and the last of them */
} Self;

/* When something was last asked of a person. */
typedef struct Asked
{
	char		key[JID_SIZE + 2];	/* hash key: the question's letter and the JID */
	int64		at;				/* monotonic ms */
} Asked;

/* A person who was in a group and is not in its complete list. */
typedef struct Missed
{
	LaneKey		lane;			/* these two are the hash key */
	int64		contact;
	int64		asked_at;		/* of the first such list, monotonic us */
} Missed;

typedef struct Errand
{
	dlist_node	node;
	MemoryContext memory;		/* it, its instance and its transfer */
	LaneKey		key;
	WawpInstance *instance;
	RosterQuestion question;
	char		person[JID_SIZE];
	int64		asked_at;		/* monotonic us */
	HttpTransfer *transfer;		/* NULL: not started yet */
} Errand;

static HTAB *rosters;
static HTAB *selves;
static HTAB *asked;
static dlist_head lists = DLIST_STATIC_INIT(lists);	/* Rosters that have one, the oldest first */
static Size lists_size;
static MemoryContext list_memory;
static MemoryContext roster_memory;	/* parent of each Roster's */
static HTAB *missed;
static dlist_head errands = DLIST_STATIC_INIT(errands);
static int	nerrands;
static MemoryContext fact_memory;
static List *facts = NIL;
static List *troubles = NIL;

void
roster_init(void)
{
	HASHCTL		by_lane = {.keysize = sizeof(LaneKey),.entrysize = sizeof(Roster),.hcxt = TopMemoryContext};
	HASHCTL		by_name = {.keysize = sizeof(NameData),.entrysize = sizeof(Self),.hcxt = TopMemoryContext};
	HASHCTL		by_person = {.keysize = JID_SIZE + 2,.entrysize = sizeof(Asked),.hcxt = TopMemoryContext};
	HASHCTL		by_member = {.keysize = offsetof(Missed, asked_at),.entrysize = sizeof(Missed),.hcxt = TopMemoryContext};

	rosters = hash_create("wawp rosters", 64, &by_lane, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	selves = hash_create("wawp selves", 16, &by_name, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	asked = hash_create("wawp asked", 64, &by_person, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	roster_memory = AllocSetContextCreate(TopMemoryContext, "wawp rosters", ALLOCSET_SMALL_SIZES);
	list_memory = AllocSetContextCreate(TopMemoryContext, "wawp lists", ALLOCSET_DEFAULT_SIZES);
	missed = hash_create("wawp missed", 64, &by_member, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	fact_memory = AllocSetContextCreate(TopMemoryContext, "wawp facts", ALLOCSET_SMALL_SIZES);
}

/* What is known of a group, which may be nothing. */
Roster *
roster_of(const LaneKey *key)
{
	bool		found;
	Roster	   *roster = hash_search(rosters, key, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) roster + sizeof(LaneKey), 0, sizeof(Roster) - sizeof(LaneKey));
		roster->stated = -1;
		roster->memory = AllocSetContextCreate(roster_memory, "wawp roster", ALLOCSET_SMALL_SIZES);
	}
	roster->was_used = true;
	return roster;
}

/* As far as anything is known; NULL: nothing. */
Roster *
roster_find(const LaneKey *key)
{
	Roster	   *roster = hash_search(rosters, key, HASH_FIND, NULL);

	if (roster)
		roster->was_used = true;
	return roster;
}

/*
 * Is there a list that was asked for after that?  By the clock as it goes now:
 * one that was set back makes no old list a new one.
 */
bool
roster_is_newer(const Roster *roster, TimestampTz than)
{
	return roster->asked_at != 0 && GetCurrentTimestamp() - (clock_monotonic_us() - roster->asked_at) > than;
}

static Self *
self_of(const NameData *instance)
{
	bool		found;
	Self	   *self = hash_search(selves, instance, HASH_ENTER, &found);

	if (!found)
		memset((char *) self + sizeof(NameData), 0, sizeof(Self) - sizeof(NameData));
	return self;
}

/* Our own role by the list.  *ask_self: it is not known who we are. */
OwnRole
roster_own_role(const Roster *roster, bool *ask_self)
{
	const Self *self = self_of(&roster->key.instance);
	const WireMember *own;

	*ask_self = self->asked_at == 0 || clock_monotonic_ms() - self->asked_at > SELF_MAX_AGE_MS;
	own = members_find(&roster->list, &self->me);
	if (own == NULL)
		own = members_find(&roster->list, &self->me_lid);
	if (own == NULL)
		return OWN_UNKNOWN;
	return own->role == WIRE_ROLE_MEMBER ? OWN_MEMBER : OWN_ADMIN;
}

/* Frees a list, if there is one; it will be asked for again. */
static void
drop_list(Roster *roster)
{
	roster->asked_at = 0;
	if (roster->list.members == NULL)
		return;
	lists_size -= GetMemoryChunkSpace(roster->list.members);
	dlist_delete(&roster->list_node);
	pfree(roster->list.members);
	memset(&roster->list, 0, sizeof(roster->list));
}

static void
keep_list(Roster *roster, const WireMembers *list)
{
	drop_list(roster);
	roster->list = *list;
	roster->list.members = MemoryContextAlloc(list_memory, sizeof(WireMember) * list->count);
	memcpy(roster->list.members, list->members, sizeof(WireMember) * list->count);
	lists_size += GetMemoryChunkSpace(roster->list.members);
	dlist_push_tail(&lists, &roster->list_node);
	roster->was_used = false;
}

/* Drops the oldest lists that have been used until the cache is within its limit. */
static void
evict_lists(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lists)
	{
		Roster	   *roster = dlist_container(Roster, list_node, iter.cur);

		if (lists_size <= (Size) wawp_member_list_cache * 1024)
			break;
		if (roster->was_used)
			drop_list(roster);
	}
}

/* Facts that count for the completeness of a group's list, and for what it shows. */
MembersKnown
roster_known(const Roster *roster, int capacity)
{
	const Self *self = self_of(&roster->key.instance);
	bool		ask_self;

	return (MembersKnown) {
		.stated = roster->stated,
		.me = self->me,
		.me_lid = self->me_lid,
		.is_shrunk = roster->is_shrunk,
		.asks_approval = roster->asks_approval && roster_own_role(roster, &ask_self) != OWN_ADMIN,
		.capacity = capacity
	};
}

/*
 * True if a group's description has to be read before its list proves that
 * somebody is absent: it states how many there are and who approves them.
 */
bool
roster_wants_info(const Roster *roster)
{
	int64		age = clock_monotonic_ms() - roster->info_at;

	if (!roster->has_info || age > INFO_MAX_AGE_MS)
		return true;
	return age > INFO_DOUBT_MS && roster->list.count < roster->stated;
}

/* True if the list is older than the size that the group states, and shorter: people may have joined in between. */
bool
roster_wants_list(const Roster *roster)
{
	return roster->list.count < roster->stated && roster->info_at * 1000 > roster->asked_at;
}

/* We have asked for so many removals: no list is short, or shrunk, for that. */
void
roster_note_removals(const LaneKey *key, int n)
{
	Roster	   *roster = roster_find(key);

	if (roster == NULL)
		return;
	roster->stated = Max(roster->stated - n, -1);
	roster->past.believed = Max(roster->past.believed - n, 0);
}

/*
 * A person seen in the group at that time is not in its list: returns when the
 * first list that lacked them since was asked for, in monotonic us.
 */
int64
roster_missed_since(const Roster *roster, int64 contact, TimestampTz seen_at)
{
	int64		now = clock_monotonic_us();
	Missed		key = {.contact = contact};
	Missed	   *entry;
	bool		found;

	memcpy(&key.lane, &roster->key, sizeof(LaneKey));
	entry = hash_search(missed, &key, HASH_ENTER, &found);
	if (!found || now - entry->asked_at > MISSED_MAX_AGE_US || GetCurrentTimestamp() - (now - entry->asked_at) <= seen_at)
		entry->asked_at = roster->asked_at;
	return entry->asked_at;
}

/* We change, or have changed, who is in the group: no list asked for so far counts. */
void
roster_forget_list(const LaneKey *key)
{
	Roster	   *roster = hash_search(rosters, key, HASH_FIND, NULL);

	if (roster == NULL)
		return;
	drop_list(roster);
	roster->changed_at = clock_monotonic_us();
}

/* A link is used once: it may be revoked any moment. */
void
roster_forget_link(const LaneKey *key)
{
	Roster	   *roster = hash_search(rosters, key, HASH_FIND, NULL);

	if (roster)
		roster->link = NULL;
}

static Asked *
asked_entry(RosterQuestion question, const char *person, HASHACTION action)
{
	char		key[JID_SIZE + 2];

	snprintf(key, sizeof(key), "%c%s", question == ASK_LID ? 'L' : 'E', person);
	return hash_search(asked, key, action, NULL);
}

/* Was that asked of a person lately, whatever came of it? */
bool
roster_was_asked(RosterQuestion question, const char *person)
{
	const Asked *entry = asked_entry(question, person, HASH_FIND);

	return entry && clock_monotonic_ms() - entry->at < PERSON_MAX_AGE_MS;
}

/*
 * ---- errands
 */

/*
 * Notes that something is to be asked; it leaves with roster_send.  memory: of
 * the errand, with the instance in it.  Counts as a request of the instance.
 */
void
roster_ask(MemoryContext memory, const LaneKey *key, WawpInstance *instance,
		   RosterQuestion question, const char *person)
{
	Errand	   *errand = MemoryContextAllocZero(memory, sizeof(Errand));

	errand->memory = memory;
	errand->key = *key;
	errand->instance = instance;
	errand->question = question;
	if (person)
	{
		strlcpy(errand->person, person, sizeof(errand->person));
		asked_entry(question, person, HASH_ENTER)->at = clock_monotonic_ms();
	}
	roster_of(key)->asking |= question;
	lanes_begin_question(key, question == ASK_LIST || question == ASK_INFO);
	dlist_push_tail(&errands, &errand->node);
	nerrands++;
}

static EndpointId
endpoint_of(RosterQuestion question)
{
	switch (question)
	{
		case ASK_LIST:
			return ENDPOINT_PARTICIPANTS;
		case ASK_SELF:
			return ENDPOINT_SESSION_INFO;
		case ASK_INFO:
			return ENDPOINT_GROUP_INFO;
		case ASK_LINK:
			return ENDPOINT_INVITE_CODE;
		case ASK_LID:
			return ENDPOINT_LID_OF_PHONE;
		case ASK_EXISTS:
			return ENDPOINT_CHECK_EXISTS;
	}
	return ENDPOINT_NONE;
}

static void
start(Errand *errand)
{
	CallRequest request = {.endpoint = endpoint_of(errand->question)};
	MemoryContext caller = MemoryContextSwitchTo(errand->memory);
	const char *number = pnstrdup(errand->person, strcspn(errand->person, "@"));

	if (errand->question == ASK_LID)
		request.path_value = number;
	else if (errand->question == ASK_EXISTS)
		request.fields[0] = (WireField) {"phone", number};
	else if (errand->question != ASK_SELF)
		request.group = errand->key.group;
	errand->asked_at = clock_monotonic_us();
	if (errand->question == ASK_LIST)
		roster_of(&errand->key)->listed_at = clock_monotonic_ms();
	errand->transfer = call_begin(errand->instance, &request);
	MemoryContextSwitchTo(caller);
}

/* What is to be asked leaves now: no transaction is open. */
void
roster_send(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &errands)
	{
		Errand	   *errand = dlist_container(Errand, node, iter.cur);

		if (errand->transfer == NULL)
			start(errand);
	}
}

/*
 * ---- answers
 */

/* A list without anybody is none: we ourselves are in it. */
static void
take_list(const Errand *errand, Roster *roster, const HttpResult *result)
{
	WireMembers list = {0};
	MemoryContext caller = CurrentMemoryContext;
	bool		is_list;

	MemoryContextSwitchTo(errand->memory);
	is_list = http_is_success(result) && wire_read_members(result->body, result->body_len, &list) &&
		list.count > 0;
	MemoryContextSwitchTo(caller);
	if (!is_list)
	{
		roster->failures++;
		roster->failed_at = clock_monotonic_ms();
		return;
	}
	roster->failures = 0;
	if (errand->asked_at <= roster->changed_at)
		return;
	keep_list(roster, &list);
	roster->is_shrunk = !members_note_size(&roster->past, &list, errand->asked_at / 1000);
	roster->asked_at = errand->asked_at;
	roster->added = 0;
}

static void
take_self(const Errand *errand, const HttpResult *result)
{
	Self	   *self = self_of(&errand->key.instance);
	WireSession session;

	self->asked_at = clock_monotonic_ms();
	if (http_is_success(result) && wire_read_session(result->body, result->body_len, &session))
	{
		self->me = session.me;
		self->me_lid = session.me_lid;
	}
}

static void
take_info(Roster *roster, const HttpResult *result)
{
	WireGroup	group;
	WireMembers members;

	roster->has_info = true;
	roster->info_at = clock_monotonic_ms();
	roster->stated = -1;
	if (!http_is_success(result) || !wire_read_group(result->body, result->body_len, &group, &members))
		return;
	roster->subject = group.subject ? MemoryContextStrdup(roster->memory, group.subject) : NULL;
	roster->only_admins_add = group.only_admins_add;
	roster->asks_approval = group.asks_approval;
	roster->stated = group.size;
}

static void
take_link(Roster *roster, const HttpResult *result)
{
	const char *link = http_is_success(result) ? wire_read_invite(result->body, result->body_len) : NULL;
	WawpOutcome outcome = call_classify_result(WAWP_OP_READ, result).whole.outcome;

	roster->link = link ? MemoryContextStrdup(roster->memory, link) : NULL;
	roster->link_failed = (link == NULL);
	roster->link_outcome = outcome == WAWP_ACCEPTED ? WAWP_LINK_UNAVAILABLE : outcome;
}

/*
 * True if an answer to "is that number on WhatsApp" is not believed: an engine
 * answers no as well when WhatsApp refuses the question, so several in a row are
 * doubtful, and the addition itself tells.
 */
static bool
is_doubtful_no(const Errand *errand, WireTruth truth)
{
	Self	   *self = self_of(&errand->key.instance);
	Jid			person = jid_parse(errand->person, strlen(errand->person));
	Jid			other = jid_other_form(&person);

	if (truth == WIRE_YES)
		self->missing = 0;
	if (truth != WIRE_NO)
		return false;
	if (self->missing == 0 || other.kind != JID_PERSON || strcmp(self->missing_last, other.text) != 0)
		self->missing++;
	strlcpy(self->missing_last, errand->person, sizeof(self->missing_last));
	return self->missing >= DOUBTFUL_NOS;
}

static void
take_fact(const Errand *errand, const HttpResult *result)
{
	MemoryContext caller = MemoryContextSwitchTo(fact_memory);
	RosterFact *fact = palloc0(sizeof(RosterFact));
	Jid			jid = {.kind = JID_INVALID};
	Jid			lid = {.kind = JID_INVALID};
	WireTruth	truth = WIRE_UNKNOWN;

	fact->question = errand->question;
	strlcpy(fact->person, errand->person, sizeof(fact->person));
	if (http_is_success(result) && errand->question == ASK_LID)
		jid = wire_read_lid(result->body, result->body_len);
	else if (http_is_success(result))
		truth = wire_read_exists(result->body, result->body_len, &jid, &lid);
	if (truth == WIRE_YES && lid.kind == JID_LID)
		strlcpy(fact->lid, lid.text, sizeof(fact->lid));
	fact->is_known = jid.kind == JID_LID || (truth != WIRE_UNKNOWN && !is_doubtful_no(errand, truth));
	if (truth == WIRE_YES && jid.kind != JID_PERSON)
		strlcpy(fact->answer, errand->person, sizeof(fact->answer));
	else if (jid.kind != JID_INVALID && truth != WIRE_NO)
		strlcpy(fact->answer, jid.text, sizeof(fact->answer));
	facts = lappend(facts, fact);
	MemoryContextSwitchTo(caller);
}

/* Counts the answers in a row, to whatever an instance asks, that were not the API's own. */
int
roster_count_outages(const LaneKey *lane, bool is_outage)
{
	Self	   *self = self_of(&lane->instance);

	return self->outages = is_outage ? self->outages + 1 : 0;
}

/* A limit or an outage that a question meets is to be minded by all that is asked. */
static void
note_trouble(const Errand *errand, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_READ, result);
	MemoryContext caller;
	RosterTrouble *trouble;
	int			outages = 0;

	/* a route that is not there is no outage */
	if (result->status == 405 || result->status == 501)
		return;
	if (result->fate == HTTP_ANSWERED)
		outages = roster_count_outages(&errand->key, reading.is_outage);
	if (reading.whole.outcome != WAWP_RATE_LIMITED &&
		!(reading.is_outage && (outages >= ROSTER_OUTAGES || result->retry_after >= 0)))
		return;
	caller = MemoryContextSwitchTo(fact_memory);
	trouble = palloc0(sizeof(RosterTrouble));
	trouble->lane = errand->key;
	trouble->outcome = reading.whole.outcome;
	trouble->is_outage = reading.is_outage;
	trouble->retry_after = result->retry_after;
	troubles = lappend(troubles, trouble);
	MemoryContextSwitchTo(caller);
}

static void
take_answer(Errand *errand, const HttpResult *result)
{
	Roster	   *roster = roster_of(&errand->key);
	MemoryContext caller = MemoryContextSwitchTo(errand->memory);

	roster->asking &= ~errand->question;
	if (http_is_success(result))
		(void) roster_count_outages(&errand->key, false);
	else
		note_trouble(errand, result);
	switch (errand->question)
	{
		case ASK_LIST:
			take_list(errand, roster, result);
			break;
		case ASK_SELF:
			take_self(errand, result);
			break;
		case ASK_INFO:
			take_info(roster, result);
			break;
		case ASK_LINK:
			take_link(roster, result);
			break;
		case ASK_LID:
		case ASK_EXISTS:
			take_fact(errand, result);
			break;
	}
	MemoryContextSwitchTo(caller);
}

bool
roster_has_answers(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &errands)
	{
		const Errand *errand = dlist_container(Errand, node, iter.cur);

		if (errand->transfer && http_result(errand->transfer))
			return true;
	}
	return false;
}

/* Learns what was answered; the lanes that asked are looked at again. */
void
roster_take_answers(void)
{
	dlist_mutable_iter iter;

	if (roster_has_answers())
		evict_lists();
	dlist_foreach_modify(iter, &errands)
	{
		Errand	   *errand = dlist_container(Errand, node, iter.cur);
		const HttpResult *result = errand->transfer ? http_result(errand->transfer) : NULL;

		if (result == NULL)
			continue;
		take_answer(errand, result);
		lanes_end_question(&errand->key, (clock_monotonic_us() - errand->asked_at) / 1000);
		dlist_delete(&errand->node);
		nerrands--;
		MemoryContextDelete(errand->memory);
	}
}

/* What was learnt of people, as RosterFact pointers, to be written down. */
List *
roster_facts(void)
{
	return facts;
}

/* Troubles that questions met and that hold their instance, as RosterTrouble pointers. */
List *
roster_troubles(void)
{
	return troubles;
}

/* They are written down. */
void
roster_forget_facts(void)
{
	facts = troubles = NIL;
	MemoryContextReset(fact_memory);
}

int
roster_in_flight(void)
{
	return nerrands;
}

/* Forgets what nobody has asked for in a while. */
void
roster_prune(void)
{
	int64		now = clock_monotonic_ms();
	HASH_SEQ_STATUS status;
	Roster	   *roster;
	Asked	   *entry;
	Missed	   *absentee;

	hash_seq_init(&status, rosters);
	while ((roster = hash_seq_search(&status)) != NULL)
	{
		if (roster->asking || now - roster->listed_at < IDLE_MS)
			continue;
		MemoryContextDelete(roster->memory);
		drop_list(roster);
		hash_search(rosters, &roster->key, HASH_REMOVE, NULL);
	}
	hash_seq_init(&status, asked);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (now - entry->at >= PERSON_MAX_AGE_MS)
			hash_search(asked, entry->key, HASH_REMOVE, NULL);
	hash_seq_init(&status, missed);
	while ((absentee = hash_seq_search(&status)) != NULL)
		if (now * 1000 - absentee->asked_at >= MISSED_MAX_AGE_US)
			hash_search(missed, absentee, HASH_REMOVE, NULL);
}
