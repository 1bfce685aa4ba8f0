/*-------------------------------------------------------------------------
 *
 * group_cache.c
 *	  Cache of what the API has told about groups and people, and the requests that fill it.
 *
 * Caches member lists, descriptions, invite links and our own identity, and
 * owns the requests for information that fill the cache.  Such a request changes
 * nothing and belongs to no transaction; group_cache_ask() makes one as a role,
 * if the pace of such requests allows it, and group_cache_send() sends it.  One
 * list answers for everybody who waits in a group.  Facts about a person (a LID,
 * whether a number exists) are kept until a transaction has stored them.
 *
 * Lists are kept within wawp.member_list_cache: the oldest are dropped first,
 * except those that have not been used yet and would be requested again at once.
 *
 * The cache is lost with the process and filled again by requests.  No locks;
 * memory is under TopMemoryContext.  Asking and storing facts needs the cycle's
 * transaction, everything else needs none.
 *
 * IDENTIFICATION
 *	  src/worker/group_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/guc.h"
#include "client/call.h"
#include "client/missing_route.h"
#include "protocol/backoff.h"
#include "protocol/list_again.h"
#include "tables/contact.h"
#include "tables/hold.h"
#include "tables/requester_hold.h"
#include "throttle/budget.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/group_cache.h"
#include "worker/instance_cache.h"

#include "compat.h"

/* Our own identity is requested again after that; a phone is seldom paired again. */
#define SELF_MAX_AGE_MS (10 * 60 * 1000)
/* A group whose list was not requested for that long is removed from the cache. */
#define IDLE_MS (10 * 60 * 1000)
/* The same question about a person is not repeated before. */
#define PERSON_MAX_AGE_MS (5 * 60 * 1000)
/* A group's description is requested again after that ... */
#define INFO_MAX_AGE_MS (10 * 60 * 1000)
/* ... and sooner if its list has fewer people than it stated. */
#define INFO_DOUBT_MS 5000
/* One that could not be read is requested again after 1, 2 ... seconds, and counts as stating nothing after so many failures. */
#define INFO_FAILURES 4
/* A list that cannot be read is tried again after 1, 2, 4 ... seconds ... */
#define FIRST_READ_RETRY_MS 1000
#define LONGEST_READ_RETRY_MS (60 * 1000)
/* An older absence is replaced by a new one. */
#define MISSED_MAX_AGE_US (10 * 60 * INT64CONST(1000000))

#define ACCOUNT_SIZE 64

/* An account's own identity, and its recent answers. */
typedef struct OwnIdentity
{
	NameData	instance;		/* hash key, must be first */
	char		account[ACCOUNT_SIZE];	/* the Wawp id it is of, cut; "": nothing is known */
	Jid			me;
	Jid			me_lid;
	int64		asked_ms;		/* monotonic; 0: not yet */
	int			asking;			/* so many requests for it are under way, for whose answer ... */
	List	   *waiters;		/* ... these AnswerWaiters wait; in TopMemoryContext */
	AccountLimits limits;		/* as the session or an event told them ... */
	TimestampTz limits_at;		/* ... then */
	int			outages;		/* answers in a row that did not come from the API */
	int			missing;		/* numbers in a row reported not to be on WhatsApp ... */
	char		missing_last[JID_SIZE]; /* ... and the last of them */
} OwnIdentity;

/* A lane that waits for an answer that another lane has requested. */
typedef struct AnswerWaiter
{
	LaneKey		lane;
	bool		is_verification;	/* not for its claim */
} AnswerWaiter;

/* The last time a question about a person was sent. */
typedef struct PersonQuestion
{
	char		key[JID_SIZE + 2];	/* hash key: the question's letter and the JID */
	int64		asked_ms;		/* monotonic */
	int			under_way;		/* so many of them */
} PersonQuestion;

/* A role that had no permission or no valid token when something was requested as it. */
typedef struct UnableAsker
{
	NameData	instance;		/* these two are the hash key */
	Oid			role;
	int64		until_ms;		/* monotonic: it is not tried again before ... */
	uint64		token;			/* ... unless it has another token than this (instance_token_hash()) */
} UnableAsker;

/* A person who was in a group and is not in its complete list. */
typedef struct Absence
{
	LaneKey		lane;			/* these two are the hash key */
	int64		contact;
	int64		listed_us;		/* when the first such list was requested, monotonic */
} Absence;

/* A request for information, queued or sent. */
typedef struct InfoRequest
{
	dlist_node	node;
	MemoryContext memory;		/* it, its instance and its transfer */
	LaneKey		key;
	WawpInstance *instance;
	GroupQuestion question;
	EndpointId	endpoint;		/* it is sent to */
	bool		is_verification;	/* not for the lane's own claim */
	char		person[JID_SIZE];
	int64		sent_us;		/* monotonic */
	HttpTransfer *transfer;
} InfoRequest;

/* A fact about a person that is to be stored. */
typedef struct PersonFact
{
	GroupQuestion question;
	char		person[JID_SIZE];
	char		answer[JID_SIZE];	/* their LID, or the JID WhatsApp knows them by; "": none */
	char		lid[JID_SIZE];	/* "": none */
	bool		is_known;		/* false: the answer did not tell */
} PersonFact;

/* A request for information that met a limit, or an outage, which holds the instance. */
typedef struct RequestTrouble
{
	LaneKey		lane;
	WawpOutcome outcome;
	bool		is_outage;
	int			retry_after;	/* seconds, or -1 */
} RequestTrouble;

static HTAB *cached_groups;
static HTAB *identities;
static HTAB *person_questions;
static HTAB *unable_askers;
static dlist_head lists = DLIST_STATIC_INIT(lists);	/* CachedGroups that have one, the oldest first */
static Size lists_size;
static MemoryContext list_memory;
static MemoryContext group_memory;	/* parent of each CachedGroup's memory */
static HTAB *absences;
static dlist_head requests_queued = DLIST_STATIC_INIT(requests_queued);
static dlist_head requests_sent = DLIST_STATIC_INIT(requests_sent);
static dlist_head requests_ended = DLIST_STATIC_INIT(requests_ended);
static int	nrequests;
static MemoryContext fact_memory;	/* of the two lists below */
static List *facts = NIL;
static List *troubles = NIL;

void
group_cache_init(void)
{
	HASHCTL		by_lane = {.keysize = sizeof(LaneKey), .entrysize = sizeof(CachedGroup), .hcxt = TopMemoryContext};
	HASHCTL		by_name = {.keysize = sizeof(NameData), .entrysize = sizeof(OwnIdentity), .hcxt = TopMemoryContext};
	HASHCTL		by_person = {.keysize = JID_SIZE + 2, .entrysize = sizeof(PersonQuestion), .hcxt = TopMemoryContext};
	HASHCTL		by_asker = {.keysize = offsetof(UnableAsker, until_ms), .entrysize = sizeof(UnableAsker), .hcxt = TopMemoryContext};
	HASHCTL		by_member = {.keysize = offsetof(Absence, listed_us), .entrysize = sizeof(Absence), .hcxt = TopMemoryContext};

	cached_groups = hash_create("wawp groups", 64, &by_lane, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	identities = hash_create("wawp identities", 16, &by_name, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	person_questions = hash_create("wawp person questions", 64, &by_person, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	group_memory = AllocSetContextCreate(TopMemoryContext, "wawp groups", ALLOCSET_SMALL_SIZES);
	list_memory = AllocSetContextCreate(TopMemoryContext, "wawp lists", ALLOCSET_DEFAULT_SIZES);
	unable_askers = hash_create("wawp unable askers", 16, &by_asker, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	absences = hash_create("wawp absences", 64, &by_member, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	fact_memory = AllocSetContextCreate(TopMemoryContext, "wawp facts", ALLOCSET_SMALL_SIZES);
}

/* Return the entry of a group; it is created empty if there is none. */
CachedGroup *
group_cache_get(const LaneKey *key)
{
	bool		found;
	CachedGroup *cached = hash_search(cached_groups, key, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) cached + sizeof(LaneKey), 0, sizeof(CachedGroup) - sizeof(LaneKey));
		cached->stated = -1;
	}
	cached->was_used = true;
	return cached;
}

/* Return the memory of an entry, for what few groups have; it is freed with the entry. */
static MemoryContext
group_cache_memory(CachedGroup *cached)
{
	if (cached->memory == NULL)
		cached->memory = AllocSetContextCreate(group_memory, "wawp group", ALLOCSET_SMALL_SIZES);
	return cached->memory;
}

/* Return the entry of a group, or NULL. */
CachedGroup *
group_cache_find(const LaneKey *key)
{
	CachedGroup *cached = hash_search(cached_groups, key, HASH_FIND, NULL);

	if (cached)
		cached->was_used = true;
	return cached;
}

/* Return when the list was requested, by the clock as it is set now; 0: there is none. */
TimestampTz
group_cache_list_at(const CachedGroup *cached)
{
	return cached->requested_us == 0 ? 0 : GetCurrentTimestamp() - (clock_monotonic_us() - cached->requested_us);
}

/*
 * True if there is a list that was requested after that time, by the clock as
 * it is set now: a clock that was set back does not make an old list new.
 */
bool
group_cache_has_list_since(const CachedGroup *cached, TimestampTz than)
{
	return cached->requested_us != 0 && group_cache_list_at(cached) > than;
}

/* True if there is a description that arrived after that time, likewise. */
bool
group_cache_has_info_since(const CachedGroup *cached, TimestampTz than)
{
	return cached->has_info && GetCurrentTimestamp() - (clock_monotonic_ms() - cached->info_ms) * 1000 > than;
}

static OwnIdentity *
identity_of(const NameData *instance)
{
	bool		found;
	OwnIdentity *self = hash_search(identities, instance, HASH_ENTER, &found);

	if (!found)
		memset((char *) self + sizeof(NameData), 0, sizeof(OwnIdentity) - sizeof(NameData));
	return self;
}

/* Forget an identity.  Requests that are under way are still counted, and waited for. */
static void
identity_forget(OwnIdentity *self)
{
	int			asking = self->asking;
	List	   *waiters = self->waiters;

	memset((char *) self + sizeof(NameData), 0, sizeof(OwnIdentity) - sizeof(NameData));
	self->asking = asking;
	self->waiters = waiters;
}

/* Let a lane go on when our identity has been told. */
static void
identity_await(OwnIdentity *self, const LaneKey *lane, bool is_verification)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	AnswerWaiter *waiter = palloc(sizeof(AnswerWaiter));

	*waiter = (AnswerWaiter) {*lane, is_verification};
	self->waiters = lappend(self->waiters, waiter);
	MemoryContextSwitchTo(caller);
}

/* Let the lanes go on that wait for our identity. */
static void
identity_release(OwnIdentity *self, int64 now)
{
	List	   *waiters = self->waiters;
	ListCell   *lc;

	self->waiters = NIL;
	foreach(lc, waiters)
	{
		const AnswerWaiter *waiter = lfirst(lc);

		if (waiter->is_verification)
			lanes_verify(&waiter->lane, now);
		else
			lanes_go_on(&waiter->lane, now);
	}
	list_free_deep(waiters);
}

/* True if our identity has to be requested, for the first time or again. */
static bool
identity_is_stale(const OwnIdentity *self)
{
	return self->asked_ms == 0 || clock_monotonic_ms() - self->asked_ms > SELF_MAX_AGE_MS;
}

/* True if our identity has to be requested and is not being requested for any lane. */
bool
group_cache_wants_self(const LaneKey *lane)
{
	const OwnIdentity *self = identity_of(&lane->instance);

	return identity_is_stale(self) && self->asking == 0;
}

/* Return our own role by the list.  Set *ask_self to true if our identity has to be requested first. */
OwnRole
group_cache_own_role(const CachedGroup *cached, bool *ask_self)
{
	const OwnIdentity *self = identity_of(&cached->key.instance);
	const WireMember *own = members_find_own(&cached->list, &self->me, &self->me_lid);
	WireRole	role = own ? members_role(&cached->list, own) : WIRE_ROLE_UNKNOWN;

	*ask_self = identity_is_stale(self);
	if (role == WIRE_ROLE_UNKNOWN)
		return own ? OWN_UNTOLD : OWN_UNKNOWN;
	return role == WIRE_ROLE_MEMBER ? OWN_MEMBER : OWN_ADMIN;
}

/*
 * Return until when WhatsApp keeps the account of a lane from writing to people
 * who never wrote to it, and set *reason (static) to why; 0: it does not.  Set
 * *need to ask the session if that was not done lately.
 */
TimestampTz
group_cache_limited_until(const LaneKey *lane, const char **reason, InfoNeed *need)
{
	const OwnIdentity *self = identity_of(&lane->instance);
	int64		until_ms = account_limits_until(&self->limits, clock_unix_ms(GetCurrentTimestamp()));

	if (identity_is_stale(self))
		*need = (InfoNeed) {ASK_SELF, NULL};
	*reason = account_limits_reason(&self->limits);
	return until_ms ? clock_time_of_unix_ms(until_ms) : 0;
}

/* Let the session be asked again for the limits of a lane's account: WhatsApp has refused a message. */
void
group_cache_forget_limits(const LaneKey *lane)
{
	identity_of(&lane->instance)->asked_ms = 0;
}

/* Return the memory that a list with its index and text takes. */
static Size
list_size(const CachedGroup *cached)
{
	return GetMemoryChunkSpace(cached->list.members) + (cached->list.slots ? GetMemoryChunkSpace(cached->list.slots) : 0) +
		(cached->text.begin ? GetMemoryChunkSpace(cached->text.spans) + cached->text.len : 0);
}

/* Note the limits of an account that were told at a time, unless newer ones are known; what was not told stays as it is known. */
static bool
identity_note_limits(OwnIdentity *self, const AccountLimits *limits, TimestampTz told_at)
{
	AccountLimits told = *limits;

	if (!account_limits_are_told(limits) || self->limits_at > told_at)
		return false;
	account_limits_set_ends(&told, clock_unix_ms(told_at));
	account_limits_update(&self->limits, &told);
	self->limits_at = told_at;
	return true;
}

/* Begin anew if what is known is of another account than this one. */
static void
identity_set_account(OwnIdentity *self, const char *account)
{
	if (*self->account && strncmp(self->account, account, ACCOUNT_SIZE - 1) != 0)
		identity_forget(self);
	strlcpy(self->account, account, ACCOUNT_SIZE);
}

/*
 * Note the limits that an event tells of a lane's account.  Return all that are
 * known of it then; NULL if the event tells none, or newer ones are known.
 */
const AccountLimits *
group_cache_note_limits(const LaneKey *lane, const char *account, const AccountLimits *limits, TimestampTz told_at)
{
	OwnIdentity *self = identity_of(&lane->instance);

	identity_set_account(self, account);
	return identity_note_limits(self, limits, told_at) ? &self->limits : NULL;
}

/* Write number and LID of a lane's account to *me and *me_lid, invalid where they are not known. */
void
group_cache_own_ids(const LaneKey *lane, Jid *me, Jid *me_lid)
{
	const OwnIdentity *self = identity_of(&lane->instance);

	*me = self->me;
	*me_lid = self->me_lid;
}

/* Free the text of a list, if it is kept. */
static void
text_drop(WireListText *kept)
{
	if (kept->begin)
	{
		pfree((char *) kept->body);
		pfree(kept->spans);
	}
	memset(kept, 0, sizeof(*kept));
}

/* Return a copy of the text of a list; empty unless its entries are told apart. */
static WireListText
text_copy(const WireListText *text)
{
	WireListText copy = *text;
	char	   *body;

	if (text->begin == 0)
		return (WireListText) {0};
	body = MemoryContextAlloc(list_memory, text->len);
	copy.body = memcpy(body, text->body, text->len);
	copy.spans = MemoryContextAlloc(list_memory, sizeof(WireSpan) * Max(text->count, 1));
	memcpy(copy.spans, text->spans, sizeof(WireSpan) * text->count);
	return copy;
}

/* Return a copy of a list. */
static WireMembers
members_copy(const WireMembers *list)
{
	WireMembers copy = *list;

	copy.members = MemoryContextAlloc(list_memory, sizeof(WireMember) * list->count);
	memcpy(copy.members, list->members, sizeof(WireMember) * list->count);
	if (list->unread_shape)
		copy.unread_shape = MemoryContextStrdup(list_memory, list->unread_shape);
	if (list->slots)
	{
		copy.slots = MemoryContextAlloc(list_memory, sizeof(uint32) * ((Size) list->mask + 1));
		memcpy(copy.slots, list->slots, sizeof(uint32) * ((Size) list->mask + 1));
	}
	return copy;
}

/* Free a list, if there is one. */
static void
list_drop(CachedGroup *cached)
{
	cached->requested_us = 0;
	if (cached->list.members == NULL)
		return;
	lists_size -= list_size(cached);
	dlist_delete(&cached->list_node);
	pfree(cached->list.members);
	if (cached->list.slots)
		pfree(cached->list.slots);
	if (cached->list.unread_shape)
		pfree((char *) cached->list.unread_shape);
	memset(&cached->list, 0, sizeof(cached->list));
	text_drop(&cached->text);
}

/* Keep a copy of a list and its text in the cache: all of it, or none if there is no memory. */
static void
list_keep(CachedGroup *cached, const WireMembers *list, const WireListText *text)
{
	WireMembers members = members_copy(list);
	WireListText kept = text_copy(text);

	list_drop(cached);
	cached->list = members;
	cached->text = kept;
	lists_size += list_size(cached);
	dlist_push_tail(&lists, &cached->list_node);
	cached->was_used = false;
}

/* Drop used lists, the oldest first, until the cache is within its limit. */
static void
list_evict_used(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lists)
	{
		CachedGroup *cached = dlist_container(CachedGroup, list_node, iter.cur);

		if (lists_size <= (Size) wawp_member_list_cache * 1024)
			break;
		if (cached->was_used)
			list_drop(cached);
	}
}

/*
 * Forget who we are where an instance has another account now, so that it is
 * requested again.  What was learnt of groups is true for that account as well.
 */
void
group_cache_forget_other_accounts(void)
{
	HASH_SEQ_STATUS status;
	OwnIdentity *self;

	hash_seq_init(&status, identities);
	while ((self = hash_seq_search(&status)) != NULL)
	{
		const char *account = instance_id_of(NameStr(self->instance));

		if (account && *self->account && strncmp(text_from_server(account), self->account, ACCOUNT_SIZE - 1) != 0)
			identity_forget(self);
	}
}

/* True if the description could not be read the last time, and not too often in a row. */
static bool
info_is_untold(const CachedGroup *cached)
{
	return cached->info_failures > 0 && cached->info_failures < INFO_FAILURES;
}

/* Return what is known of a group beside its list, for verdicts on the list. */
MembersKnown
group_cache_known(const CachedGroup *cached, int capacity)
{
	const OwnIdentity *self = identity_of(&cached->key.instance);
	bool		ask_self;

	return (MembersKnown) {
		.stated = cached->stated,
		.me = self->me,
		.me_lid = self->me_lid,
		.is_untold = info_is_untold(cached),
		.is_shrunk = cached->is_shrunk,
		.asks_approval = cached->asks_approval && group_cache_own_role(cached, &ask_self) != OWN_ADMIN,
		.capacity = capacity
	};
}

/*
 * True if a group's description has to be read before its list proves that
 * somebody is absent: it states how many there are and who approves them.
 */
bool
group_cache_wants_info(const CachedGroup *cached)
{
	int64		age = clock_monotonic_ms() - cached->info_ms;

	if (info_is_untold(cached))
		return age >= backoff_delay(FIRST_READ_RETRY_MS, LONGEST_READ_RETRY_MS, cached->info_failures);
	if (!cached->has_info || age > INFO_MAX_AGE_MS)
		return true;
	return age > INFO_DOUBT_MS && cached->list.count < cached->stated;
}

/* True if the list is older than the size that the group states, and shorter: people may have joined in between. */
bool
group_cache_wants_list(const CachedGroup *cached)
{
	return cached->list.count < cached->stated && cached->info_ms * 1000 > cached->requested_us;
}

/* True if the list is shorter than the size that the group has stated before: people may have left in between. */
bool
group_cache_wants_size(const CachedGroup *cached)
{
	return cached->list.count < cached->stated && cached->info_ms * 1000 < cached->requested_us;
}

/*
 * ---- requests to join
 */

/* True if the list of requests was not asked for since then, and the gateway is not known to have none. */
bool
group_cache_may_ask_joins(const CachedGroup *cached, const WawpInstance *instance, TimestampTz since)
{
	TimestampTz asked_at = GetCurrentTimestamp() - (clock_monotonic_us() - cached->joins_us);

	return (cached->joins_us == 0 || asked_at <= since) && missing_route_until(instance, ENDPOINT_JOIN_REQUESTS) == 0;
}

/* Return whether a person asks to join, by the last list of requests.  Store a LID that it shows; set *need to one that would decide. */
Presence
group_cache_asks_to_join(const CachedGroup *cached, const Jid *person, const Contact *contact, InfoNeed *need)
{
	Jid			lid = group_cache_lid_of(contact);
	MembersKnown known = group_cache_known(cached, 0);
	Presence	presence = cached->has_joins ? members_ask_to_join(&cached->joins, &known, person, &lid) : PRESENCE_UNKNOWN;

	if (cached->has_joins && presence == PRESENCE_UNKNOWN)
		group_cache_want_lid(person, need);
	for (int i = 0; presence == PRESENCE_PRESENT && lid.kind != JID_LID && i < cached->joins.count; i++)
		if (jid_same(&cached->joins.requests[i].jid, person) && cached->joins.requests[i].lid.kind == JID_LID)
			contact_note_lid(person->text, cached->joins.requests[i].lid.text);
	return presence;
}

/* Count people that are added to a group since its list was read; negative: who turned out not to be added. */
void
group_cache_note_added(const LaneKey *key, int n)
{
	CachedGroup *cached = group_cache_get(key);

	cached->added = Max(cached->added + n, 0);
}

/* Lower the expected sizes of a group by so many removals that we requested. */
void
group_cache_note_removals(const LaneKey *key, int n)
{
	CachedGroup *cached = group_cache_find(key);

	if (cached == NULL)
		return;
	cached->stated = Max(cached->stated - n, -1);
	cached->past.believed = Max(cached->past.believed - n, 0);
}

/*
 * Note that a person who was seen in the group at that time is not in its list.
 * Return when the first list since then that lacks them was requested, in
 * monotonic us.
 */
int64
group_cache_absent_since(const CachedGroup *cached, int64 contact, TimestampTz seen_at)
{
	int64		now = clock_monotonic_us();
	Absence		key = {.contact = contact};
	Absence    *entry;
	bool		found;

	memcpy(&key.lane, &cached->key, sizeof(LaneKey));
	entry = hash_search(absences, &key, HASH_ENTER, &found);
	if (!found || now - entry->listed_us > MISSED_MAX_AGE_US || GetCurrentTimestamp() - (now - entry->listed_us) <= seen_at)
		entry->listed_us = cached->requested_us;
	return entry->listed_us;
}

/* Keep a text, or NULL, in the place of the one before. */
static void
group_cache_keep_text(CachedGroup *cached, const char **place, const char *text)
{
	if (*place)
		pfree(unconstify(char *, *place));
	*place = NULL;
	*place = text ? MemoryContextStrdup(group_cache_memory(cached), text) : NULL;
}

/* Drop a list because we change who is in the group; one that is under way does not count either. */
void
group_cache_forget_list(const LaneKey *key)
{
	CachedGroup *cached = hash_search(cached_groups, key, HASH_FIND, NULL);

	if (cached == NULL)
		return;
	list_drop(cached);
	cached->changed_us = clock_monotonic_us();
}

/* Drop a link: each is used once, since it may be revoked at any moment. */
void
group_cache_forget_link(const LaneKey *key)
{
	CachedGroup *cached = hash_search(cached_groups, key, HASH_FIND, NULL);

	if (cached)
		group_cache_keep_text(cached, &cached->link, NULL);
}

/* Let all rows that wait be looked at again: what was made of the last looks may have been undone. */
void
group_cache_forget_looks(void)
{
	HASH_SEQ_STATUS status;
	CachedGroup *cached;

	hash_seq_init(&status, cached_groups);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		cached->looked_us = LOOK_AGAIN;
		cached->due_again_ms = 0;
		cached->idle_until_ms = 0;
	}
}

/* Let a group's description be read again: it has changed. */
void
group_cache_forget_info(const LaneKey *key)
{
	CachedGroup *cached = hash_search(cached_groups, key, HASH_FIND, NULL);

	if (cached)
		cached->has_info = false;
}

/* Find, enter or remove the entry of a question about a person. */
static PersonQuestion *
person_question(GroupQuestion question, const char *person, HASHACTION action)
{
	char		key[JID_SIZE + 2];

	snprintf(key, sizeof(key), "%c%s", question == ASK_LID ? 'L' : 'E', person);
	return hash_search(person_questions, key, action, NULL);
}

/* Note that a question about a person is asked now. */
static void
person_question_note(const InfoNeed *need)
{
	bool		is_new = person_question(need->question, need->person, HASH_FIND) == NULL;
	PersonQuestion *entry = person_question(need->question, need->person, HASH_ENTER);

	entry->asked_ms = clock_monotonic_ms();
	if (is_new)
		entry->under_way = 0;
}

/* True if that was asked about a person recently, with whatever result. */
bool
group_cache_was_asked(GroupQuestion question, const char *person)
{
	const PersonQuestion *entry = person_question(question, person, HASH_FIND);

	return entry && clock_monotonic_ms() - entry->asked_ms < PERSON_MAX_AGE_MS;
}

/*
 * True if such a request is under way, for the group, about any person of its
 * lane or, for our identity, on behalf of another lane: its answer lets this one
 * go on.
 */
bool
group_cache_await(const CachedGroup *cached, const InfoNeed *need, bool is_verification)
{
	OwnIdentity *self;

	if (need->person)
		return cached->asking_people > 0;
	if ((cached->asking & need->question) != 0)
		return true;
	if (need->question != ASK_SELF)
		return false;
	self = identity_of(&cached->key.instance);
	if (self->asking == 0)
		return false;
	identity_await(self, &cached->key, is_verification);
	return true;
}

/* True if a request for the lane's verification is under way. */
bool
group_cache_is_verifying(const CachedGroup *cached)
{
	return cached->verifying > 0;
}

/* True if a question about a person is under way. */
bool
group_cache_is_asking_about(GroupQuestion question, const char *person)
{
	const PersonQuestion *entry = person_question(question, person, HASH_FIND);

	return entry && entry->under_way > 0;
}

/* True if any request of the group's lane is under way. */
bool
group_cache_awaits_answer(const CachedGroup *cached)
{
	return cached->asking != 0 || cached->asking_people > 0;
}

/*
 * ---- lists that cannot be read
 */

/* Return how long an unreadable list is not requested again. */
int64
group_cache_read_backoff_ms(const CachedGroup *cached)
{
	return backoff_delay(FIRST_READ_RETRY_MS, LONGEST_READ_RETRY_MS, cached->failures);
}

/* True while the backoff after an unreadable list lasts. */
bool
group_cache_is_unreadable(const CachedGroup *cached)
{
	return cached->failures > 0 && clock_monotonic_ms() - cached->failed_ms < group_cache_read_backoff_ms(cached);
}

/* True if the last list was unreadable and arrived after that time. */
bool
group_cache_failed_since(const CachedGroup *cached, TimestampTz at)
{
	return cached->failures > 0 &&
		clock_monotonic_ms() - cached->failed_ms <= (GetCurrentTimestamp() - at) / 1000;
}

/*
 * ---- LIDs
 */

/* Return the LID of a contact; an invalid one if none is known. */
Jid
group_cache_lid_of(const Contact *contact)
{
	Jid			none = {.kind = JID_INVALID};

	return contact->lid ? jid_parse(contact->lid, strlen(contact->lid)) : none;
}

/* Set *need to the LID of a person whose presence is unknown, unless it was requested recently or *need is taken. */
void
group_cache_want_lid(const Jid *person, InfoNeed *need)
{
	if (need->question == 0 && !group_cache_was_asked(ASK_LID, person->text))
		*need = (InfoNeed) {ASK_LID, person->text};
}

/* Store the LID that a list has beside a person's number, and set it in *contact. */
void
group_cache_learn_lid(const CachedGroup *cached, const Jid *person, Contact *contact)
{
	const WireMember *member = contact->lid == NULL && person->kind == JID_PERSON
		? wire_find_member(&cached->list, person) : NULL;

	if (member == NULL || member->lid.kind != JID_LID)
		return;
	contact_note_lid(person->text, member->lid.text);
	contact->lid = member->lid.text;
}

/*
 * ---- requests for information
 */

/* True if the pace of reads applies. */
static bool
reads_group(GroupQuestion question)
{
	return question == ASK_LIST || question == ASK_INFO || question == ASK_JOINS;
}

/* Count a request that is queued or, with -1, has ended. */
static void
request_count(const InfoRequest *request, int sign)
{
	CachedGroup *cached = group_cache_get(&request->key);
	PersonQuestion *entry = *request->person ? person_question(request->question, request->person, HASH_FIND) : NULL;

	cached->verifying += request->is_verification ? sign : 0;
	if (entry)
		entry->under_way += sign;
	if (*request->person)
	{
		cached->asking_people += sign;
		cached->asking_next += request->is_verification ? 0 : sign;
	}
	else if (sign > 0)
		cached->asking |= request->question;
	else
		cached->asking &= ~request->question;
	if (request->question == ASK_SELF)
		identity_of(&request->key.instance)->asking += sign;
}

/* Return the call that answers a question. */
static EndpointId
request_endpoint(GroupQuestion question)
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
		case ASK_JOINS:
			return ENDPOINT_JOIN_REQUESTS;
	}
	return ENDPOINT_NONE;
}

/*
 * Queue a request for group_cache_send().  The request owns memory from now on,
 * which the instance is in, and takes a place of the instance's concurrency.
 */
static void
request_queue(MemoryContext memory, const LaneKey *key, WawpInstance *instance, const InfoNeed *need, bool is_verification)
{
	InfoRequest *request = MemoryContextAllocZero(memory, sizeof(InfoRequest));

	request->memory = memory;
	request->key = *key;
	request->instance = instance;
	request->question = need->question;
	request->endpoint = request_endpoint(need->question);
	request->is_verification = is_verification;
	if (need->person)
	{
		strlcpy(request->person, need->person, sizeof(request->person));
		person_question_note(need);
	}
	request_count(request, 1);
	lanes_begin_question(key, is_verification, reads_group(need->question));
	dlist_push_tail(&requests_queued, &request->node);
	nrequests++;
}

/* Take a permit for a question; one without a pace is always granted. */
static BudgetPermit
request_permit(const WawpInstance *described, GroupQuestion question)
{
	BudgetPermit unpaced = {.granted = 1};

	if (reads_group(question))
		return budget_take_read(described, true);
	return question == ASK_EXISTS ? budget_take_check(described) : unpaced;
}

/* Find or enter a role that could not ask for an instance. */
static UnableAsker *
asker_find(const LaneKey *lane, Oid role, HASHACTION action)
{
	UnableAsker key;

	memset(&key, 0, sizeof(key));
	key.instance = lane->instance;
	key.role = role;
	return hash_search(unable_askers, &key, action, NULL);
}

/* Note that a role cannot ask for a while with a token (0: it has none). */
static void
asker_note_unable(const LaneKey *lane, Oid role, uint64 token)
{
	UnableAsker *asker = asker_find(lane, role, HASH_ENTER);

	asker->until_ms = clock_monotonic_ms() + INSTANCE_RETRY_MS;
	asker->token = token;
}

/* Note that the API has accepted a role's token. */
void
group_cache_note_able(const LaneKey *lane, Oid role)
{
	(void) asker_find(lane, role, HASH_REMOVE);
}

/* True if a role could not use the instance when it was last tried: somebody else has to ask. */
bool
group_cache_is_unable(const LaneKey *lane, Oid role)
{
	const UnableAsker *asker = asker_find(lane, role, HASH_FIND);

	return (asker && asker->until_ms > clock_monotonic_ms() && asker->token == instance_cache_token_hash(lane, role)) ||
		requester_hold_is_in_doubt(NameStr(lane->instance), role);
}

/*
 * Queue a request for information on behalf of a lane, as a role.  Return false
 * if it cannot be sent now; *later is then when the pace allows it (monotonic
 * ms), or 0 if the role cannot use the instance or its token was refused.
 * is_verification: it is not for the lane's own claim.
 */
bool
group_cache_ask(const LaneKey *lane, Oid role, const InfoNeed *need, bool is_verification, const WawpInstance *described,
				int64 *later)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "wawp information request", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	WawpInstance *instance;
	bool		is_able = !group_cache_is_unable(lane, role);
	BudgetPermit permit = {0};

	if (is_able && instance_cache_get(lane, role, &instance) != NULL)
	{
		asker_note_unable(lane, role, 0);
		is_able = false;
	}
	MemoryContextSwitchTo(caller);
	if (is_able)
		permit = request_permit(described, need->question);
	*later = is_able ? (permit.next_at + 999) / 1000 : 0;
	if (permit.granted > 0)
		request_queue(memory, lane, instance, need, is_verification);
	else
		MemoryContextDelete(memory);
	return permit.granted > 0;
}

/* Start the transfer of a request. */
static void
request_send(InfoRequest *request)
{
	CallRequest call = {.endpoint = request->endpoint};
	MemoryContext caller = MemoryContextSwitchTo(request->memory);
	const char *number = pnstrdup(request->person, strcspn(request->person, "@"));

	if (request->question == ASK_LID)
		call.path_value = number;
	else if (request->question == ASK_EXISTS)
		call.fields[0] = (WireField) {"phone", number};
	else if (request->question != ASK_SELF)
		call.group = request->key.group;
	request->sent_us = clock_monotonic_us();
	if (request->question == ASK_LIST)
		group_cache_get(&request->key)->listed_ms = clock_monotonic_ms();
	request->transfer = call_begin(request->instance, &call);
	dlist_delete(&request->node);
	dlist_push_tail(&requests_sent, &request->node);
	http_move_at_end(request->transfer, &request->node, &requests_ended);
	MemoryContextSwitchTo(caller);
}

/* Send the queued requests; outside a transaction. */
void
group_cache_send(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &requests_queued)
		request_send(dlist_container(InfoRequest, node, iter.cur));
}

/*
 * ---- answers
 */

/* Read a member list, by the one before if there is one. */
static bool
answer_read_list(const CachedGroup *cached, const HttpResult *result, WireMembers *list, WireListText *text)
{
	return (cached->text.begin &&
			list_read_again(result->body, result->body_len, &cached->list, &cached->text, list, text)) ||
		wire_read_list(result->body, result->body_len, 0, list, text);
}

/* Keep a member list.  An empty one counts as unreadable: we are members ourselves. */
static void
answer_keep_list(const InfoRequest *request, CachedGroup *cached, const HttpResult *result)
{
	WireMembers list = {0};
	WireListText text = {0};
	MemoryContext caller = CurrentMemoryContext;
	bool		is_list;

	MemoryContextSwitchTo(request->memory);
	is_list = http_is_success(result) && answer_read_list(cached, result, &list, &text) && list.count > 0;
	MemoryContextSwitchTo(caller);
	if (!is_list)
	{
		cached->failures++;
		cached->failed_ms = clock_monotonic_ms();
		return;
	}
	cached->failures = 0;
	if (request->sent_us <= cached->changed_us)
		return;
	list_keep(cached, &list, &text);
	cached->is_shrunk = !members_note_size(&cached->past, &list, request->sent_us / 1000);
	cached->requested_us = request->sent_us;
	cached->added = 0;
}

/*
 * Take over who we are.  A session that is connecting, or has just connected, may
 * not say it yet, or not by number and LID: that takes nothing back.  In any other
 * state another telephone may be paired with it.
 */
static void
identity_take(OwnIdentity *self, const WireSession *session)
{
	bool		is_same = session->me.kind == JID_INVALID
		? wire_session_is_usable(session) || wire_session_is_starting(session) : jid_same(&self->me, &session->me);

	if (!is_same)
		self->me_lid = (Jid) {.kind = JID_INVALID};
	if (!is_same || session->me.kind != JID_INVALID)
		self->me = session->me;
	if (session->me_lid.kind == JID_LID)
		self->me_lid = session->me_lid;
}

/* Keep our own identity; an answer that cannot be read leaves the one before. */
static void
answer_keep_identity(const InfoRequest *request, const HttpResult *result)
{
	OwnIdentity *self = identity_of(&request->key.instance);
	WireSession session;

	identity_set_account(self, request->instance->instance_id);
	self->asked_ms = clock_monotonic_ms();
	if (!http_is_success(result) || !wire_read_session(result->body, result->body_len, &session))
		return;
	identity_take(self, &session);
	(void) identity_note_limits(self, &session.limits, GetCurrentTimestamp() - (clock_monotonic_us() - request->sent_us));
}

/* Keep a group's description.  One that cannot be read states nothing; if that may pass, it is requested again first. */
static void
answer_keep_info(CachedGroup *cached, const HttpResult *result)
{
	WireGroup	group;
	WireMembers members;
	bool		is_read = http_is_success(result) && wire_read_group(result->body, result->body_len, &group, &members);

	cached->has_info = true;
	cached->info_ms = clock_monotonic_ms();
	cached->stated = -1;
	cached->info_failures = !is_read && call_failed_for_now(result) ? cached->info_failures + 1 : 0;
	cached->only_admins_add = is_read && group.only_admins_add;
	if (!is_read)
		return;
	group_cache_keep_text(cached, &cached->subject, group.subject);
	cached->asks_approval = group.asks_approval;
	cached->stated = group.size;
}

/* Forget a list of requests to join. */
static void
joins_drop(CachedGroup *cached)
{
	if (cached->has_joins)
		pfree(cached->joins.requests);
	cached->has_joins = false;
}

/* Keep the list of requests to join; a gateway without the route is not asked again for a day. */
static void
answer_keep_joins(const InfoRequest *request, CachedGroup *cached, const HttpResult *result)
{
	WireJoinRequests list;

	joins_drop(cached);
	cached->joins_us = request->sent_us;
	if (call_is_missing_route(result))
	{
		missing_route_note(request->instance, ENDPOINT_JOIN_REQUESTS);
		ereport(LOG,
				(errmsg("the gateway of instance \"%s\" does not list requests to join a group", NameStr(request->key.instance)),
				 errdetail("It has no such route, and is not asked again for a day."),
				 errhint("WAHA has it since 2026.8.2.  People who wait for approval are looked for in the member lists.")));
		return;
	}
	if (!http_is_success(result) || !wire_read_join_requests(result->body, result->body_len, &list))
		return;
	cached->joins.count = list.count;
	cached->joins.has_more = list.has_more;
	cached->joins.requests = MemoryContextAlloc(group_cache_memory(cached), sizeof(WireJoinRequest) * Max(list.count, 1));
	for (int i = 0; i < list.count; i++)
	{
		const char *method = list.requests[i].method;

		cached->joins.requests[i] = list.requests[i];
		cached->joins.requests[i].method = method && strcmp(method, WIRE_NON_ADMIN_ADD) == 0 ? WIRE_NON_ADMIN_ADD : NULL;
	}
	cached->has_joins = true;
}

/* Keep an invite link, or the reason why there is none. */
static void
answer_keep_link(CachedGroup *cached, const HttpResult *result)
{
	const char *link = http_is_success(result) ? wire_read_invite(result->body, result->body_len) : NULL;
	WawpOutcome outcome = call_classify_result(WAWP_OP_READ, result).whole.outcome;

	group_cache_keep_text(cached, &cached->link, link);
	cached->has_no_link = (link == NULL);
	/* WEBJS leaves the body empty when we may not see the code */
	if (outcome == WAWP_ACCEPTED || (http_is_success(result) && result->body_len == 0))
		outcome = WAWP_LINK_UNAVAILABLE;
	cached->link_outcome = outcome;
}

/*
 * True if the answer that a number is not on WhatsApp is not believed: an engine
 * gives it as well when WhatsApp refuses the question, so several in a row are
 * ignored, and the addition itself tells.
 */
static bool
answer_is_doubtful_no(const InfoRequest *request, WireTruth truth)
{
	OwnIdentity *self = identity_of(&request->key.instance);
	Jid			person = jid_parse(request->person, strlen(request->person));
	Jid			other = jid_other_form(&person);

	if (truth == WIRE_YES)
		self->missing = 0;
	if (truth != WIRE_NO)
		return false;
	if (self->missing == 0 || other.kind != JID_PERSON || strcmp(self->missing_last, other.text) != 0)
		self->missing++;
	strlcpy(self->missing_last, request->person, sizeof(self->missing_last));
	return self->missing >= WIRE_DOUBTFUL_NOS;
}

/* Note a LID, or whether a number exists, for the next transaction to store. */
static void
answer_keep_fact(const InfoRequest *request, const HttpResult *result)
{
	MemoryContext caller = MemoryContextSwitchTo(fact_memory);
	PersonFact *fact = palloc0(sizeof(PersonFact));
	Jid			jid = {.kind = JID_INVALID};
	Jid			lid = {.kind = JID_INVALID};
	WireTruth	truth = WIRE_UNKNOWN;

	fact->question = request->question;
	strlcpy(fact->person, request->person, sizeof(fact->person));
	if (http_is_success(result) && request->question == ASK_LID)
		jid = wire_read_lid(result->body, result->body_len);
	else if (http_is_success(result))
		truth = wire_read_exists(result->body, result->body_len, &jid, &lid);
	if (truth == WIRE_YES && lid.kind == JID_LID)
		strlcpy(fact->lid, lid.text, sizeof(fact->lid));
	fact->is_known = jid.kind == JID_LID || (truth != WIRE_UNKNOWN && !answer_is_doubtful_no(request, truth));
	if (truth == WIRE_YES && jid.kind != JID_PERSON)
		strlcpy(fact->answer, request->person, sizeof(fact->answer));
	else if (jid.kind != JID_INVALID && truth != WIRE_NO)
		strlcpy(fact->answer, jid.text, sizeof(fact->answer));
	facts = lappend(facts, fact);
	MemoryContextSwitchTo(caller);
}

/* Count the answers in a row, to any request of an instance, that did not come from the API itself. */
int
group_cache_count_outages(const LaneKey *lane, bool is_outage)
{
	OwnIdentity *self = identity_of(&lane->instance);

	return self->outages = is_outage ? self->outages + 1 : 0;
}

/* Note a limit or an outage that a request for information met, so that the instance is held. */
static void
answer_note_trouble(const InfoRequest *request, const HttpResult *result)
{
	CallReading reading = call_classify_result(WAWP_OP_READ, result);
	MemoryContext caller;
	RequestTrouble *trouble;
	int			outages = 0;

	/* a route that is not there is no outage */
	if (result->status == 405 || result->status == 501 ||
		(request->question == ASK_JOINS && call_is_missing_route(result)))
		return;
	/* a question about a person says little of the routes that matter: it ends no outage */
	if (result->fate == HTTP_ANSWERED && (reading.is_outage || request->question != ASK_EXISTS))
		outages = group_cache_count_outages(&request->key, reading.is_outage);
	if (reading.whole.outcome != WAWP_RATE_LIMITED &&
		!(reading.is_outage && (outages >= GROUP_CACHE_OUTAGES || result->retry_after >= 0)))
		return;
	caller = MemoryContextSwitchTo(fact_memory);
	trouble = palloc0(sizeof(RequestTrouble));
	trouble->lane = request->key;
	trouble->outcome = reading.whole.outcome;
	trouble->is_outage = reading.is_outage;
	trouble->retry_after = result->retry_after;
	troubles = lappend(troubles, trouble);
	MemoryContextSwitchTo(caller);
}

/*
 * True if a token of a requester's own was refused: that tells nothing of the
 * group, and others may ask.
 */
static bool
answer_refuses_own_token(const InfoRequest *request, const HttpResult *result)
{
	Oid			role = request->instance->token_role;

	if (!OidIsValid(role) || result->fate != HTTP_ANSWERED ||
		call_classify_result(WAWP_OP_READ, result).whole.outcome != WAWP_AUTH_FAILED)
		return false;
	asker_note_unable(&request->key, role, instance_token_hash(request->instance));
	if (*request->person)
		(void) person_question(request->question, request->person, HASH_REMOVE);
	return true;
}

/* Put an answer into the cache. */
static void
answer_take(InfoRequest *request, const HttpResult *result)
{
	CachedGroup *cached = group_cache_get(&request->key);
	MemoryContext caller = MemoryContextSwitchTo(request->memory);

	request_count(request, -1);
	/* a link is for who is invited, a number's registration for additions */
	if (request->question != ASK_LINK && request->question != ASK_EXISTS)
	{
		cached->due_again_ms = 0;
		cached->idle_until_ms = 0;
	}
	if (answer_refuses_own_token(request, result))
	{
		MemoryContextSwitchTo(caller);
		return;
	}
	if (http_is_success(result) && request->question != ASK_EXISTS)
		(void) group_cache_count_outages(&request->key, false);
	else if (!http_is_success(result))
		answer_note_trouble(request, result);
	switch (request->question)
	{
		case ASK_LIST:
			answer_keep_list(request, cached, result);
			break;
		case ASK_SELF:
			answer_keep_identity(request, result);
			break;
		case ASK_INFO:
			answer_keep_info(cached, result);
			break;
		case ASK_LINK:
			answer_keep_link(cached, result);
			break;
		case ASK_JOINS:
			answer_keep_joins(request, cached, result);
			break;
		case ASK_LID:
		case ASK_EXISTS:
			answer_keep_fact(request, result);
			break;
	}
	MemoryContextSwitchTo(caller);
}

/* Send a request to its endpoint's fallback, if the API has no such route; false if that is not so, or there is none. */
static bool
answer_leads_to_fallback(InfoRequest *request)
{
	EndpointId	fallback = endpoint_get(request->endpoint)->fallback;
	MemoryContext caller = MemoryContextSwitchTo(request->memory);
	bool		is_missing = fallback != ENDPOINT_NONE && call_is_missing_route(http_result(request->transfer));

	MemoryContextSwitchTo(caller);
	if (!is_missing)
		return false;
	request->endpoint = fallback;
	request_send(request);
	return true;
}

/* True if a request has ended whose answer is not in the cache yet. */
bool
group_cache_has_answers(void)
{
	return !dlist_is_empty(&requests_ended);
}

/* True if the waiting rows of the lane are looked at with that answer: a list, or the last of those they wait for. */
static bool
answer_lets_verify(const InfoRequest *request)
{
	return request->question == ASK_LIST ||
		(request->is_verification && !group_cache_is_verifying(group_cache_get(&request->key)));
}

/* Put all answers into the cache and let the lanes that asked go on. */
void
group_cache_take_answers(void)
{
	dlist_mutable_iter iter;

	if (group_cache_has_answers())
		list_evict_used();
	dlist_foreach_modify(iter, &requests_ended)
	{
		InfoRequest *request = dlist_container(InfoRequest, node, iter.cur);

		if (answer_leads_to_fallback(request))
			continue;
		answer_take(request, http_result(request->transfer));
		lanes_end_question(&request->key, request->is_verification, answer_lets_verify(request),
						   (clock_monotonic_us() - request->sent_us) / 1000, clock_monotonic_ms());
		if (request->question == ASK_SELF)
			identity_release(identity_of(&request->key.instance), clock_monotonic_ms());
		dlist_delete(&request->node);
		nrequests--;
		MemoryContextDelete(request->memory);
	}
}

/* Return the facts about people that answers brought, for group_cache_write_fact(). */
List *
group_cache_facts(void)
{
	return facts;
}

/* Store a fact, as a piece of a cycle; not of whom a session is just storing: it is learnt again. */
void
group_cache_write_fact(void *subject, Holds *holds pg_attribute_unused())
{
	const PersonFact *fact = subject;

	if (!fact->is_known || contact_is_pending(fact->person))
		return;
	if (fact->question == ASK_LID)
		contact_note_lid(fact->person, fact->answer);
	else
		contact_note_registered(fact->person, *fact->answer != '\0', fact->answer);
	if (*fact->lid)
		contact_note_lid(fact->person, fact->lid);
}

/* Return the limits and outages that requests for information met, for group_cache_hold_troubled(). */
List *
group_cache_troubles(void)
{
	return troubles;
}

/*
 * Hold the instance of one of them, as an addition would, as a piece of a cycle.
 * Where a session is changing the hold, whatever that makes of it stands; the
 * instance rests for a moment.
 */
void
group_cache_hold_troubled(void *subject, Holds *holds)
{
	const RequestTrouble *trouble = subject;

	if (hold_is_busy(&trouble->lane))
	{
		lanes_put_off(&trouble->lane.instance, clock_monotonic_ms() + 2 * LANES_LOCKED_RETRY_MS);
		return;
	}
	if (trouble->is_outage)
		hold_for_outage(&trouble->lane, holds, trouble->outcome, trouble->retry_after, NULL);
	else
		hold_for_outcome(&trouble->lane, holds, trouble->outcome, trouble->retry_after, NULL);
}

/* True if there are facts to be stored or instances to be held. */
bool
group_cache_has_findings(void)
{
	return facts != NIL || troubles != NIL;
}

/* Forget the findings: the transaction that stored them has committed, or they cannot be stored. */
void
group_cache_forget_findings(void)
{
	facts = troubles = NIL;
	MemoryContextReset(fact_memory);
}

/* Return how many requests for information are queued or under way. */
int
group_cache_in_flight(void)
{
	return nrequests;
}

/*
 * Forget lists, requests to join and questions about people: somebody was erased,
 * whose number is not known any more.  What is needed is read again.
 */
void
group_cache_forget_people(void)
{
	HASH_SEQ_STATUS status;
	CachedGroup *cached;
	PersonQuestion *entry;
	OwnIdentity *self;

	hash_seq_init(&status, cached_groups);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		list_drop(cached);
		joins_drop(cached);
		cached->joins_us = 0;
	}
	hash_seq_init(&status, person_questions);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->under_way == 0)
			hash_search(person_questions, entry->key, HASH_REMOVE, NULL);
	hash_seq_init(&status, identities);
	while ((self = hash_seq_search(&status)) != NULL)
		memset(self->missing_last, 0, sizeof(self->missing_last));
}

/* Remove entries that have not been used for a while. */
void
group_cache_prune(void)
{
	int64		now = clock_monotonic_ms();
	HASH_SEQ_STATUS status;
	CachedGroup *cached;
	PersonQuestion *entry;
	Absence    *absentee;
	UnableAsker *asker;

	hash_seq_init(&status, cached_groups);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		if (group_cache_awaits_answer(cached) || now - cached->listed_ms < IDLE_MS)
			continue;
		if (cached->memory)
			MemoryContextDelete(cached->memory);
		list_drop(cached);
		hash_search(cached_groups, &cached->key, HASH_REMOVE, NULL);
	}
	hash_seq_init(&status, person_questions);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (now - entry->asked_ms >= PERSON_MAX_AGE_MS && entry->under_way == 0)
			hash_search(person_questions, entry->key, HASH_REMOVE, NULL);
	hash_seq_init(&status, unable_askers);
	while ((asker = hash_seq_search(&status)) != NULL)
		if (now >= asker->until_ms)
			hash_search(unable_askers, asker, HASH_REMOVE, NULL);
	hash_seq_init(&status, absences);
	while ((absentee = hash_seq_search(&status)) != NULL)
		if (now * 1000 - absentee->listed_us >= MISSED_MAX_AGE_US)
			hash_search(absences, absentee, HASH_REMOVE, NULL);
}
