/*-------------------------------------------------------------------------
 *
 * sync_plan.c
 *	  The difference between who is in a group and who should be.
 *
 * Pure.  People are compared as member_list.c does: a number with a number in
 * any of its forms, a LID with a LID.  Who is wanted and not found is added,
 * which changes nothing if they are in the group after all.  A removal needs
 * proof: a complete list, in which our own account is found and which has not
 * lost many of the people whom we added, and an entry that is certainly nobody
 * who is wanted.
 *
 * The caller's own wishes that are open belong to the difference: a removal of
 * somebody who is wanted again, and an addition of somebody who is not any more,
 * are requested the other way round, which cancels what is queued.
 *
 * Each difference is one step, with the reason where nothing is to be done
 * about it; who is wanted and in the group, or neither, is none.  A plan lives
 * in the current memory context and points to the texts of the SyncGroup.
 *
 * IDENTIFICATION
 *	  src/protocol/sync_plan.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/sync_plan.h"

/* With more elements than this that name nobody, they are not compared with the members one by one. */
#define BAD_INPUTS_COMPARED 1000
/* Digits that a mistyped number and a member's have to share at least. */
#define SHARED_DIGITS_MIN 6

/* One of the names of an entry of a list or an array. */
typedef struct SyncName
{
	const char *key;
	int			owner;			/* the entry */
} SyncName;

/* Names in the order of their keys; those of one key in the order of their entries. */
typedef struct SyncIndex
{
	int			n;
	SyncName   *names;
} SyncIndex;

/* An entry of the list, or all entries of one person, gathered in the first. */
typedef struct SyncMember
{
	int			person;			/* an entry of the same person; the first one names itself */
	const Jid  *number;			/* the list's, else that of `added`; NULL: none */
	const Jid  *lid;			/* NULL: none */
	bool		is_admin;
	bool		is_role_known;	/* an entry tells whether they are */
	bool		is_kept;		/* the person is wanted */
	const SyncAdded *added;		/* NULL: we did not add them */
} SyncMember;

/* A plan under construction. */
typedef struct SyncWork
{
	const SyncGroup *group;
	SyncIndex	names;			/* of the members */
	SyncMember *members;		/* by the list's entries */
	SyncIndex	wanted;			/* names of the people who are wanted */
	SyncIndex	open;			/* names of the people with open wishes */
	const char *gap;			/* why the list is not the whole group; NULL: it is */
	int			own;			/* our own first entry; -1: not found */
	bool		has_numberless; /* a member has no number */
	bool		has_lidless;	/* a member has no LID */
	bool		misses_number;	/* somebody wanted is not found, whose LID is not known */
	bool		misses_lid;		/* likewise by a LID */
	int			nvalid;			/* wanted people */
	int			nbad;			/* elements that name nobody */
	int			nours;			/* wanted people whom we added ... */
	int			nlost;			/* ... of whom so many are not found */
	int			narriving;		/* people not in the list whose addition is under way */
	int			nremovals;
	SyncPlan	plan;
} SyncWork;

/*
 * ---- names
 */

static int
sync_compare_names(const void *a, const void *b)
{
	const SyncName *left = a;
	const SyncName *right = b;
	int			order = strcmp(left->key, right->key);

	return order != 0 ? order : left->owner - right->owner;
}

/* Append the name of an entry, unless the JID is invalid. */
static void
sync_put_name(SyncIndex *index, const Jid *jid, int owner)
{
	char		key[JID_SIZE];

	if (jid->kind != JID_PERSON && jid->kind != JID_LID)
		return;
	jid_key(jid, key);
	index->names[index->n++] = (SyncName) {pstrdup(key), owner};
}

/* Return the place of a name in the index, the first one; -1 if there is none. */
static int
sync_find_place(const SyncIndex *index, const Jid *jid)
{
	char		key[JID_SIZE];
	int			low = 0;
	int			high = index->n;

	if (jid->kind != JID_PERSON && jid->kind != JID_LID)
		return -1;
	jid_key(jid, key);
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(index->names[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < index->n && strcmp(index->names[low].key, key) == 0 ? low : -1;
}

/* Return the first entry of a name; -1 if there is none. */
static int
sync_find_name(const SyncIndex *index, const Jid *jid)
{
	int			place = sync_find_place(index, jid);

	return place < 0 ? -1 : index->names[place].owner;
}

/* True if the name at that place is the one before it as well. */
static bool
sync_is_same_name(const SyncIndex *index, int place)
{
	return place > 0 && strcmp(index->names[place].key, index->names[place - 1].key) == 0;
}

/* Return the names of the members, with room for so many more. */
static SyncIndex
sync_index_members(const WireMembers *list, int more)
{
	SyncIndex	index = {.names = palloc(sizeof(SyncName) * (2 * list->count + more + 1))};

	for (int i = 0; i < list->count; i++)
		if (list->members[i].role != WIRE_ROLE_LEFT)
		{
			sync_put_name(&index, &list->members[i].phone, i);
			sync_put_name(&index, &list->members[i].lid, i);
		}
	qsort(index.names, index.n, sizeof(SyncName), sync_compare_names);
	return index;
}

/* Return which elements say the same as one before them. */
static bool *
sync_find_repeated(const SyncGroup *group)
{
	bool	   *is_repeated = palloc0(sizeof(bool) * (group->nwanted + 1));
	SyncIndex	index = {.names = palloc(sizeof(SyncName) * (group->nwanted + 1))};

	for (int i = 0; i < group->nwanted; i++)
	{
		const SyncWanted *wanted = &group->wanted[i];

		if (wanted->problem == NULL)
			sync_put_name(&index, &wanted->jid, i);
		else
			index.names[index.n++] = (SyncName) {wanted->input ? psprintf("?%s", wanted->input) : "", i};
	}
	qsort(index.names, index.n, sizeof(SyncName), sync_compare_names);
	for (int i = 1; i < index.n; i++)
		is_repeated[index.names[i].owner] = sync_is_same_name(&index, i);
	return is_repeated;
}

/*
 * ---- members
 */

static void
sync_put_step(SyncWork *work, SyncAction action, const char *jid, const char *why)
{
	work->plan.steps[work->plan.n++] = (SyncStep) {action, jid, why};
}

/* Return the first entry of an entry's person, and shorten the way to it. */
static int
sync_person(SyncWork *work, int entry)
{
	while (work->members[entry].person != entry)
	{
		SyncMember *member = &work->members[entry];

		member->person = work->members[member->person].person;
		entry = member->person;
	}
	return entry;
}

/* Gather the entries that share a name: engines list some people twice, by number and by LID. */
static void
sync_gather_people(SyncWork *work)
{
	for (int i = 1; i < work->names.n; i++)
		if (sync_is_same_name(&work->names, i))
		{
			int			one = sync_person(work, work->names.names[i - 1].owner);
			int			other = sync_person(work, work->names.names[i].owner);

			work->members[Max(one, other)].person = Min(one, other);
		}
}

/* Note of each person what all their entries tell. */
static void
sync_note_entries(SyncWork *work)
{
	for (int i = 0; i < work->group->list->count; i++)
	{
		const WireMember *entry = &work->group->list->members[i];
		SyncMember *person = &work->members[sync_person(work, i)];
		WireRole	role = members_role(work->group->list, entry);

		if (entry->phone.kind == JID_PERSON && person->number == NULL)
			person->number = &entry->phone;
		if (entry->lid.kind == JID_LID && person->lid == NULL)
			person->lid = &entry->lid;
		person->is_admin |= role == WIRE_ROLE_ADMIN || role == WIRE_ROLE_OWNER;
		person->is_role_known |= role != WIRE_ROLE_UNKNOWN;
	}
}

/* Note whom we added; of some the list has the LID alone and we have the number, which is a name of theirs then. */
static void
sync_note_added(SyncWork *work)
{
	int			named = work->names.n;

	for (int i = 0; i < work->group->nadded; i++)
	{
		const SyncAdded *added = &work->group->added[i];
		SyncIndex	listed = {named, work->names.names};
		int			entry = sync_find_name(&listed, &added->jid);
		SyncMember *person;

		if (entry < 0)
			entry = sync_find_name(&listed, &added->lid);
		if (entry < 0)
			continue;
		person = &work->members[sync_person(work, entry)];
		person->added = added;
		if (person->number != NULL || added->jid.kind != JID_PERSON)
			continue;
		person->number = &added->jid;
		sync_put_name(&work->names, &added->jid, entry);
	}
	if (work->names.n > named)
		qsort(work->names.names, work->names.n, sizeof(SyncName), sync_compare_names);
}

/* True if an entry is the first one of a member other than ourselves. */
static bool
sync_is_member(SyncWork *work, int entry)
{
	return work->group->list->members[entry].role != WIRE_ROLE_LEFT &&
		sync_person(work, entry) == entry && entry != work->own;
}

/* Note who is in the group, and by what they can be told apart. */
static void
sync_read_members(SyncWork *work)
{
	const SyncGroup *group = work->group;
	const WireMember *own = members_find_own(group->list, &group->known->me, &group->known->me_lid);

	work->names = sync_index_members(group->list, group->nadded);
	work->members = palloc0(sizeof(SyncMember) * (group->list->count + 1));
	for (int i = 0; i < group->list->count; i++)
		work->members[i].person = i;
	sync_gather_people(work);
	sync_note_entries(work);
	sync_note_added(work);
	work->own = own ? sync_person(work, (int) (own - group->list->members)) : -1;
	for (int i = 0; i < group->list->count; i++)
		if (sync_is_member(work, i))
		{
			work->has_numberless |= work->members[i].number == NULL;
			work->has_lidless |= work->members[i].lid == NULL;
		}
}

/*
 * ---- people who are wanted
 */

/* Return an entry of a wanted person; -1 if none is found. */
static int
sync_find_wanted(const SyncWork *work, const SyncWanted *wanted)
{
	int			entry = sync_find_name(&work->names, &wanted->jid);

	if (entry < 0)
		entry = sync_find_name(&work->names, &wanted->lid);
	if (entry < 0)
		entry = sync_find_name(&work->names, &wanted->known_as);
	return entry;
}

/* True if some entry may be a wanted person who is not found. */
static bool
sync_may_be_member(const SyncWork *work, const SyncWanted *wanted)
{
	if (wanted->jid.kind == JID_LID)
		return work->has_lidless;
	return wanted->lid.kind != JID_LID && work->has_numberless;
}

/* Return an open wish for a person, a queued one rather than one under way; NULL if there is none. */
static const SyncOpen *
sync_find_open(const SyncWork *work, const Jid *jid, bool is_removal)
{
	int			place = sync_find_place(&work->open, jid);
	const SyncOpen *found = NULL;

	for (int i = place; i >= 0 && i < work->open.n && (i == place || sync_is_same_name(&work->open, i)); i++)
	{
		const SyncOpen *open = &work->group->open[work->open.names[i].owner];

		if (open->is_removal == is_removal && (found == NULL || !found->is_queued))
			found = open;
	}
	return found;
}

/* Put the step of a request, or of none if the same is under way and nothing else is queued after it. */
static void
sync_put_request(SyncWork *work, SyncAction action, const Jid *jid, const char *why)
{
	const SyncOpen *open = sync_find_open(work, jid, action == SYNC_REMOVE);
	const SyncOpen *opposite = sync_find_open(work, jid, action != SYNC_REMOVE);
	bool		is_under_way = open && !open->is_queued && !(opposite && opposite->is_queued);

	if (is_under_way || (open && open->is_queued && work->group->tells_queued))
		why = psprintf("%s; intent " INT64_FORMAT " is %s already", why, open->id, open->state);
	if (is_under_way)
		action = SYNC_NOTHING;
	else if (work->group->waits)
		why = psprintf("%s; %s", why, work->group->waits);
	work->nremovals += action == SYNC_REMOVE;
	sync_put_step(work, action, jid->text, why);
}

/* Put the step for a wanted person who is not found in the list. */
static void
sync_put_missing(SyncWork *work, const SyncWanted *wanted)
{
	const char *why = "not in the group";

	if (work->gap)
		why = psprintf("not known whether they are in the group: %s", work->gap);
	else if (sync_may_be_member(work, wanted))
		why = wanted->jid.kind == JID_LID
			? "not known whether they are in the group: the list has people without a privacy id"
			: "not known whether they are in the group: the list has people by privacy id only";
	if (wanted->jid.kind == JID_LID)
		sync_put_step(work, SYNC_NOTHING, wanted->jid.text,
					  psprintf("%s; a privacy id cannot be added; use the phone number", why));
	else if (wanted->barred)
		sync_put_step(work, SYNC_NOTHING, wanted->jid.text, psprintf("not added: %s", wanted->barred));
	else if (work->group->no_addition)
		sync_put_step(work, SYNC_NOTHING, wanted->jid.text, psprintf("not added: %s", work->group->no_addition));
	else
		sync_put_request(work, SYNC_ADD, &wanted->jid, why);
}

/* Return the names of the people whom we added. */
static SyncIndex
sync_index_added(const SyncGroup *group)
{
	SyncIndex	index = {.names = palloc(sizeof(SyncName) * (group->nadded + 1))};

	for (int i = 0; i < group->nadded; i++)
		sync_put_name(&index, &group->added[i].jid, i);
	qsort(index.names, index.n, sizeof(SyncName), sync_compare_names);
	return index;
}

/* Note the names of the people who are wanted, and of those with open wishes. */
static void
sync_index_wishes(SyncWork *work)
{
	const SyncGroup *group = work->group;

	work->wanted.names = palloc(sizeof(SyncName) * (3 * group->nwanted + 1));
	work->open.names = palloc(sizeof(SyncName) * (group->nopen + 1));
	for (int i = 0; i < group->nwanted; i++)
	{
		const SyncWanted *wanted = &group->wanted[i];

		if (wanted->problem)
			continue;
		sync_put_name(&work->wanted, &wanted->jid, i);
		sync_put_name(&work->wanted, &wanted->lid, i);
		sync_put_name(&work->wanted, &wanted->known_as, i);
	}
	for (int i = 0; i < group->nopen; i++)
		sync_put_name(&work->open, &group->open[i].jid, i);
	qsort(work->wanted.names, work->wanted.n, sizeof(SyncName), sync_compare_names);
	qsort(work->open.names, work->open.n, sizeof(SyncName), sync_compare_names);
}

/* Take in one who is wanted: a member is kept, one who is not found may be lost.  Return the entry; -1 if none is found. */
static int
sync_match_person(SyncWork *work, const SyncWanted *wanted, const SyncIndex *added)
{
	int			entry = sync_find_wanted(work, wanted);
	bool		is_ours = sync_find_name(added, &wanted->jid) >= 0;

	work->nours += is_ours;
	if (entry >= 0)
	{
		work->members[sync_person(work, entry)].is_kept = true;
		return entry;
	}
	work->nlost += is_ours;
	work->misses_number |= wanted->jid.kind == JID_PERSON && wanted->lid.kind != JID_LID;
	work->misses_lid |= wanted->jid.kind == JID_LID;
	return -1;
}

/* In the place of an element's entry: the element says the same as one before it. */
#define REPEATED (-2)

/* Mark the members who are wanted.  Return the entry of each element; -1: none, or REPEATED. */
static int *
sync_match_wanted(SyncWork *work)
{
	const bool *is_repeated = sync_find_repeated(work->group);
	const SyncIndex added = sync_index_added(work->group);
	int		   *entries = palloc(sizeof(int) * (work->group->nwanted + 1));

	for (int i = 0; i < work->group->nwanted; i++)
	{
		const SyncWanted *wanted = &work->group->wanted[i];

		work->nvalid += wanted->problem == NULL;
		work->nbad += wanted->problem != NULL;
		if (is_repeated[i])
			entries[i] = REPEATED;
		else
			entries[i] = wanted->problem ? -1 : sync_match_person(work, wanted, &added);
	}
	return entries;
}

/* Put the step for a member who is wanted, if the caller's removal of them is open. */
static void
sync_put_returning(SyncWork *work, const SyncWanted *wanted)
{
	const SyncOpen *open = sync_find_open(work, &wanted->jid, true);

	if (open && wanted->jid.kind == JID_PERSON && sync_find_open(work, &wanted->jid, false) == NULL)
		sync_put_request(work, SYNC_ADD, &wanted->jid,
						 psprintf("wanted again; intent " INT64_FORMAT " to remove them is %s", open->id, open->state));
}

/* Put the steps for the elements, whose entries are given. */
static void
sync_put_wanted(SyncWork *work, const int *entries)
{
	for (int i = 0; i < work->group->nwanted; i++)
	{
		const SyncWanted *wanted = &work->group->wanted[i];

		if (entries[i] == REPEATED)
			continue;
		if (wanted->problem)
			sync_put_step(work, SYNC_NOTHING, wanted->input, wanted->problem);
		else if (entries[i] >= 0)
			sync_put_returning(work, wanted);
		else
			sync_put_missing(work, wanted);
	}
}

/*
 * ---- members who are not wanted
 */

/* Return why the list itself lets nobody be removed; NULL if it does not. */
static const char *
sync_unproved(const SyncWork *work)
{
	if (work->gap)
		return work->gap;
	if (members_lost_many(work->nours, work->nours - work->nlost))
		return psprintf("the list lacks %d of the %d people whom wawp added and who are wanted", work->nlost, work->nours);
	return work->own >= 0 ? NULL : "it is not known which of the members is the instance's own account";
}

/* Return why those who are wanted do not tell who is not; NULL: they do. */
static const char *
sync_unclear(const SyncWork *work)
{
	if (work->group->may_lack)
		return work->group->may_lack;
	if (work->nvalid == 0 && work->nbad > 0)
		return "none of the elements names a person";
	if (work->nvalid == 0 && work->group->max_remove_pct < 100)
		return "nobody is wanted, which removes people only with max_remove_pct = 100";
	return work->nbad > BAD_INPUTS_COMPARED ? "too many elements name nobody" : NULL;
}

/* Return why nobody may be removed; NULL: people may. */
static const char *
sync_no_removal(const SyncWork *work)
{
	const char *unproved = sync_unproved(work);

	if (unproved)
		return unproved;
	return work->group->no_removal ? work->group->no_removal : sync_unclear(work);
}

/* True if an element that names nobody may be a spelling, or a part, of that number. */
static bool
sync_may_mean(const char *input, const Jid *number)
{
	char		digits[3 * JID_SIZE];
	char		member[JID_SIZE];
	size_t		n = 0;
	size_t		length = strspn(number->text, "0123456789");

	for (const char *p = input; *p && n < sizeof(digits) - 1; p++)
		if (*p >= '0' && *p <= '9' && (n > 0 || *p != '0'))
			digits[n++] = *p;
	digits[n] = '\0';
	memcpy(member, number->text, length);
	member[length] = '\0';
	if (strstr(digits, member))
		return true;
	return n >= SHARED_DIGITS_MIN && n <= length && strcmp(member + length - n, digits) == 0;
}

/* Return an element that names nobody and may mean that number (NULL: none); NULL if there is none. */
static const char *
sync_find_meant(const SyncWork *work, const Jid *number)
{
	if (number == NULL || work->nbad == 0)
		return NULL;
	for (int i = 0; i < work->group->nwanted; i++)
	{
		const SyncWanted *wanted = &work->group->wanted[i];

		if (wanted->problem && wanted->input && sync_may_mean(wanted->input, number))
			return wanted->input;
	}
	return NULL;
}

/* Return why a member who is not wanted stays; NULL: nothing keeps them. */
static const char *
sync_why_kept(const SyncWork *work, const SyncMember *member, const char *no_removal)
{
	const char *meant;

	if (member->is_admin)
		return "not removed: an admin of the group";
	if (work->group->managed_only && member->added == NULL)
		return "not removed: not added by wawp (managed_only)";
	if (no_removal)
		return psprintf("not removed: %s", no_removal);
	if (!member->is_role_known)
		return "not removed: the list does not tell whether this is an admin of the group";
	if ((work->misses_number && member->number == NULL) || (work->misses_lid && member->lid == NULL))
		return "not removed: may be somebody who is wanted; the list does not tell numbers and privacy ids apart";
	meant = sync_find_meant(work, member->number);
	return meant ? psprintf("not removed: \"%s\" may mean this person", meant) : NULL;
}

/* Put the steps for members who are not wanted. */
static void
sync_put_unwanted(SyncWork *work, const char *no_removal)
{
	for (int i = 0; i < work->group->list->count; i++)
	{
		const SyncMember *member = &work->members[i];
		const Jid  *name = member->number ? member->number : member->lid;
		const char *why;

		if (!sync_is_member(work, i) || member->is_kept)
			continue;
		why = sync_why_kept(work, member, no_removal);
		if (why)
			sync_put_step(work, SYNC_NOTHING, name->text, why);
		else
			sync_put_request(work, SYNC_REMOVE, name, "in the group, and not wanted");
	}
}

/* Take all removals back if they are more than the caller allows; people whose addition is under way count as members. */
static void
sync_cap_removals(SyncWork *work)
{
	int			size = wire_count_members(work->group->list) + work->narriving;
	const char *why;

	if ((int64) work->nremovals * 100 <= (int64) size * work->group->max_remove_pct)
		return;
	why = psprintf("not removed: %d of %d members would go, more than max_remove_pct (%d)",
				   work->nremovals, size, work->group->max_remove_pct);
	for (int i = 0; i < work->plan.n; i++)
		if (work->plan.steps[i].action == SYNC_REMOVE)
			work->plan.steps[i] = (SyncStep) {SYNC_NOTHING, work->plan.steps[i].jid, why};
}

/* Return the wish at that place of open wishes if it is the one to add somebody who is not in the list; else NULL. */
static const SyncOpen *
sync_arrival(const SyncWork *work, int place)
{
	const Jid  *jid = &work->group->open[work->open.names[place].owner].jid;

	if (sync_is_same_name(&work->open, place) || sync_find_name(&work->names, jid) >= 0)
		return NULL;
	return sync_find_open(work, jid, false);
}

/* Return why the wish to add somebody who is not wanted stays; NULL: nothing keeps it. */
static const char *
sync_why_stays(const SyncWork *work, const SyncOpen *open, const char *no_removal)
{
	const char *unclear = open->is_queued ? sync_unclear(work) : no_removal;
	const char *meant = unclear ? NULL : sync_find_meant(work, &open->jid);

	return meant ? psprintf("\"%s\" may mean this person", meant) : unclear;
}

/*
 * Put the steps for people who are neither in the group nor wanted, and whom the
 * caller has asked to be added: of those requests that are queued, which are
 * cancelled, or of those under way, which take a removal.
 */
static void
sync_put_unwanted_wishes(SyncWork *work, bool is_queued, const char *no_removal)
{
	for (int i = 0; i < work->open.n; i++)
	{
		const SyncOpen *open = sync_arrival(work, i);
		const char *why;

		if (open == NULL || open->is_queued != is_queued)
			continue;
		work->narriving += !is_queued;
		if (sync_find_name(&work->wanted, &open->jid) >= 0)
			continue;
		why = sync_why_stays(work, open, no_removal);
		if (why)
			sync_put_step(work, SYNC_NOTHING, open->jid.text, psprintf("intent " INT64_FORMAT " to add them stays: %s", open->id, why));
		else
			sync_put_request(work, SYNC_REMOVE, &open->jid,
							 psprintf("not wanted any more; intent " INT64_FORMAT " to add them is %s", open->id, open->state));
	}
}

/*
 * ---- the plan
 */

/* Return what has to change in a group whose list was read. */
SyncPlan
sync_plan_make(const SyncGroup *group)
{
	SyncWork	work = {.group = group};
	const int  *entries;
	const char *unproved;
	const char *no_removal;

	sync_read_members(&work);
	work.gap = members_gap_text(group->list, group->known);
	sync_index_wishes(&work);
	entries = sync_match_wanted(&work);
	work.plan.steps = palloc(sizeof(SyncStep) * (group->list->count + group->nwanted + group->nopen + 1));
	unproved = sync_unproved(&work);
	if (unproved)
		sync_put_step(&work, SYNC_NOTHING, NULL, psprintf("nobody is removed: %s", unproved));
	sync_put_wanted(&work, entries);
	no_removal = sync_no_removal(&work);
	sync_put_unwanted(&work, no_removal);
	sync_put_unwanted_wishes(&work, false, no_removal);
	sync_cap_removals(&work);
	sync_put_unwanted_wishes(&work, true, no_removal);
	return work.plan;
}

/* Return the plan for a group of which nothing is known, and why; elements that name nobody are steps still. */
SyncPlan
sync_plan_unread(const SyncGroup *group, const char *why)
{
	SyncWork	work = {.group = group};
	const bool *is_repeated = sync_find_repeated(group);

	work.plan.steps = palloc(sizeof(SyncStep) * (group->nwanted + 1));
	sync_put_step(&work, SYNC_NOTHING, NULL, why);
	for (int i = 0; i < group->nwanted; i++)
		if (group->wanted[i].problem && !is_repeated[i])
			sync_put_step(&work, SYNC_NOTHING, group->wanted[i].input, group->wanted[i].problem);
	return work.plan;
}
