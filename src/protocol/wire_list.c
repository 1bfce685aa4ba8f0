/*-------------------------------------------------------------------------
 *
 * wire_list.c
 *	  Member lists: entries, roles, and whether it is the whole list.
 *
 * Pure.  A list is complete only if nothing in its envelopes says otherwise, and
 * an entry is a member only if nothing in it says otherwise.
 *
 * Everything returned lives in the current memory context.  No answer, however
 * broken, raises an error.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_list.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <limits.h>

#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "protocol/json.h"
#include "protocol/shape.h"
#include "protocol/wire_list.h"
#include "protocol/wire_value.h"
#include "protocol/wire_verdict.h"

/* The meanings of names in a list's envelope. */
typedef enum EnvelopeUse
{
	SAYS_NOTHING,
	SAYS_MORE,					/* true, a number of entries, or where the next page begins */
	SAYS_PAGES,					/* the number of pages */
	SAYS_WHOLE,					/* false if it is not the whole list */
	SAYS_OFFSET,				/* the entries before the first one that is shown */
	SAYS_PAGE,					/* the number of the page, or of its first entry */
	SAYS_PAGE_SIZE,				/* the most entries of a page */
	SAYS_LIMIT,					/* likewise, beside an offset or a page */
	SAYS_REST,					/* a number of entries; beside a limit without a page, of requests */
	SAYS_STATUS,				/* a word */
	SAYS_MORE_OF_IT				/* an object that says all this, beside the list */
} EnvelopeUse;

static const struct
{
	const char *name;
	EnvelopeUse use;
}			envelope_names[] =
{
	{"hasmore", SAYS_MORE},
	{"hasmorepages", SAYS_MORE},
	{"hasmoreresults", SAYS_MORE},
	{"hasnext", SAYS_MORE},
	{"hasnextpage", SAYS_MORE},
	{"more", SAYS_MORE},
	{"moreavailable", SAYS_MORE},
	{"cursor", SAYS_MORE},
	{"continuation", SAYS_MORE},
	{"continuationtoken", SAYS_MORE},
	{"odatanextlink", SAYS_MORE},
	{"truncated", SAYS_MORE},
	{"istruncated", SAYS_MORE},
	{"partial", SAYS_MORE},
	{"ispartial", SAYS_MORE},
	{"incomplete", SAYS_MORE},
	{"isincomplete", SAYS_MORE},
	{"incompleteresults", SAYS_MORE},
	{"remaining", SAYS_REST},
	{"omitted", SAYS_MORE},
	{"pages", SAYS_PAGES},
	{"totalpages", SAYS_PAGES},
	{"pagecount", SAYS_PAGES},
	{"numberofpages", SAYS_PAGES},
	{"numpages", SAYS_PAGES},
	{"lastpage", SAYS_PAGES},
	{"complete", SAYS_WHOLE},
	{"iscomplete", SAYS_WHOLE},
	{"islastpage", SAYS_WHOLE},
	{"islast", SAYS_WHOLE},
	{"last", SAYS_WHOLE},
	{"offset", SAYS_OFFSET},
	{"skip", SAYS_OFFSET},
	{"start", SAYS_OFFSET},
	{"page", SAYS_PAGE},
	{"currentpage", SAYS_PAGE},
	{"pagenumber", SAYS_PAGE},
	{"pageindex", SAYS_PAGE},
	{"startindex", SAYS_PAGE},
	{"from", SAYS_PAGE},
	{"perpage", SAYS_PAGE_SIZE},
	{"pagesize", SAYS_PAGE_SIZE},
	{"itemsperpage", SAYS_PAGE_SIZE},
	{"limit", SAYS_LIMIT},
	{"size", SAYS_LIMIT},
	{"status", SAYS_STATUS},
	{"state", SAYS_STATUS},
	{"pagination", SAYS_MORE_OF_IT},
	{"paging", SAYS_MORE_OF_IT},
	{"paginator", SAYS_MORE_OF_IT},
	{"pageinfo", SAYS_MORE_OF_IT},
	{"meta", SAYS_MORE_OF_IT},
	{"metadata", SAYS_MORE_OF_IT},
	{"links", SAYS_MORE_OF_IT},
	{"group", SAYS_MORE_OF_IT},
	{"groupmetadata", SAYS_MORE_OF_IT},
	{"groupinfo", SAYS_MORE_OF_IT},
	{"chat", SAYS_MORE_OF_IT},
	{"info", SAYS_MORE_OF_IT},
};

/* The parts of a name that says how many there are: "totalMemberCount", "number_of_participants". */
typedef enum SizePart
{
	PART_COUNT = 1 << 0,		/* says so by itself */
	PART_NUMBER = 1 << 1,		/* says so with what is counted */
	PART_PEOPLE = 1 << 2,
	PART_ENTRIES = 1 << 3,
	PART_SIZE = 1 << 4			/* PART_COUNT, of a group as well */
} SizePart;

static const struct
{
	const char *word;
	SizePart	part;
}			size_words[] =
{
	{"total", PART_COUNT},
	{"count", PART_COUNT},
	{"length", PART_COUNT},
	{"groupsize", PART_SIZE},
	{"size", PART_SIZE},
	{"numberof", PART_NUMBER},
	{"num", PART_NUMBER},
	{"groupparticipants", PART_PEOPLE},
	{"groupparticipant", PART_PEOPLE},
	{"groupmembers", PART_PEOPLE},
	{"groupmember", PART_PEOPLE},
	{"participants", PART_PEOPLE},
	{"participant", PART_PEOPLE},
	{"members", PART_PEOPLE},
	{"member", PART_PEOPLE},
	{"users", PART_PEOPLE},
	{"user", PART_PEOPLE},
	{"people", PART_PEOPLE},
	{"items", PART_ENTRIES},
	{"item", PART_ENTRIES},
	{"elements", PART_ENTRIES},
	{"element", PART_ENTRIES},
	{"entries", PART_ENTRIES},
	{"entry", PART_ENTRIES},
	{"records", PART_ENTRIES},
	{"record", PART_ENTRIES},
	{"results", PART_ENTRIES},
	{"result", PART_ENTRIES},
	{"rows", PART_ENTRIES},
	{"row", PART_ENTRIES},
};

/*
 * ---- entries
 */

/* Somebody's standing in the group as the fields of an entry tell it; bits. */
typedef enum Standing
{
	STANDS_MEMBER = 1 << 0,		/* says that they are no admin */
	STANDS_ADMIN = 1 << 1,
	STANDS_OWNER = 1 << 2,
	STANDS_UNKNOWN = 1 << 3,	/* a role that is not understood */
	STANDS_LEFT = 1 << 4,
	STANDS_UNSURE = 1 << 5		/* neither in the group nor out of it: asked to join, invited, not added */
} Standing;

/* The ways in which a field says it; bits. */
typedef enum StandingForm
{
	FORM_FLAG = 1 << 0,
	FORM_WORD = 1 << 1,			/* a word that is known ... */
	FORM_ROLE = 1 << 2,			/* ... or is a role that is not */
	FORM_NULL = 1 << 3,			/* null and "" are a flag that is not set */
	FORM_SET = 1 << 4,			/* anything but null, 0 and the like is a flag that is set */
	FORM_INNER = 1 << 5,		/* an object of such fields */
	FORM_ABOUT = 1 << 6,		/* engines also have the person's own text about themselves there */
	FORM_CODE = 1 << 7			/* an object is set if its Code is: Go writes empty ones */
} StandingForm;

typedef struct StandingField
{
	const char *name;			/* plain */
	int			forms;
	int			yes;			/* what a flag says that is set ... */
	int			no;				/* ... and that is not */
} StandingField;

static const StandingField standing_fields[] =
{
	{"role", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"roles", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"grouprole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"memberrole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"participantrole", FORM_ROLE, STANDS_ADMIN, STANDS_UNKNOWN},
	{"rank", FORM_ROLE, STANDS_UNKNOWN, STANDS_UNKNOWN},
	{"type", FORM_WORD, STANDS_ADMIN, 0},
	{"membertype", FORM_WORD, STANDS_ADMIN, 0},
	{"participanttype", FORM_WORD, STANDS_ADMIN, 0},
	{"admin", FORM_FLAG | FORM_ROLE | FORM_NULL, STANDS_ADMIN, STANDS_MEMBER},
	{"isadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"isgroupadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"groupadmin", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"isadministrator", FORM_FLAG, STANDS_ADMIN, STANDS_MEMBER},
	{"issuperadmin", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"superadmin", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isgroupowner", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isowner", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"iscreator", FORM_FLAG, STANDS_OWNER, STANDS_UNKNOWN},
	{"isleft", FORM_FLAG, STANDS_LEFT, 0},
	{"hasleft", FORM_FLAG, STANDS_LEFT, 0},
	{"left", FORM_FLAG, STANDS_LEFT, 0},
	{"isremoved", FORM_FLAG, STANDS_LEFT, 0},
	{"removed", FORM_FLAG, STANDS_LEFT, 0},
	{"iskicked", FORM_FLAG, STANDS_LEFT, 0},
	{"kicked", FORM_FLAG, STANDS_LEFT, 0},
	{"isbanned", FORM_FLAG, STANDS_LEFT, 0},
	{"banned", FORM_FLAG, STANDS_LEFT, 0},
	{"isdeleted", FORM_FLAG, STANDS_LEFT, 0},
	{"deleted", FORM_FLAG, STANDS_LEFT, 0},
	{"ispast", FORM_FLAG, STANDS_LEFT, 0},
	{"past", FORM_FLAG, STANDS_LEFT, 0},
	{"isformer", FORM_FLAG, STANDS_LEFT, 0},
	{"former", FORM_FLAG, STANDS_LEFT, 0},
	{"ismember", FORM_FLAG, 0, STANDS_LEFT},
	{"isparticipant", FORM_FLAG, 0, STANDS_LEFT},
	{"isingroup", FORM_FLAG, 0, STANDS_LEFT},
	{"ingroup", FORM_FLAG, 0, STANDS_LEFT},
	{"member", FORM_FLAG | FORM_INNER, 0, STANDS_LEFT},
	{"participant", FORM_INNER, 0, 0},
	{"content", FORM_INNER, 0, 0},
	{"attrs", FORM_INNER, 0, 0},
	{"joined", FORM_FLAG, 0, STANDS_UNSURE},
	{"hasjoined", FORM_FLAG, 0, STANDS_UNSURE},
	{"ispending", FORM_FLAG, STANDS_UNSURE, 0},
	{"pending", FORM_FLAG, STANDS_UNSURE, 0},
	{"isinvited", FORM_FLAG, STANDS_UNSURE, 0},
	{"invited", FORM_FLAG, STANDS_UNSURE, 0},
	{"requested", FORM_FLAG, STANDS_UNSURE, 0},
	{"waiting", FORM_FLAG, STANDS_UNSURE, 0},
	{"leftat", FORM_SET, STANDS_UNSURE, 0},
	{"removedat", FORM_SET, STANDS_UNSURE, 0},
	{"deletedat", FORM_SET, STANDS_UNSURE, 0},
	{"error", FORM_SET, STANDS_UNSURE, 0},
	{"addrequest", FORM_SET | FORM_CODE, STANDS_UNSURE, 0},
	{"status", FORM_WORD | FORM_ABOUT, 0, 0},
	{"state", FORM_WORD | FORM_ABOUT, 0, 0},
	{"membership", FORM_WORD, 0, 0},
	{"memberstatus", FORM_WORD, 0, 0},
	{"membershipstatus", FORM_WORD, 0, 0},
	{"participantstatus", FORM_WORD, 0, 0},
};

static const struct
{
	const char *word;			/* plain */
	int			standing;
	bool		is_own;			/* people say it of themselves, too */
}			standing_words[] =
{
	{"superadmin", STANDS_OWNER, false},
	{"owner", STANDS_OWNER, false},
	{"creator", STANDS_OWNER, false},
	{"founder", STANDS_OWNER, false},
	{"admin", STANDS_ADMIN, false},
	{"groupadmin", STANDS_ADMIN, false},
	{"administrator", STANDS_ADMIN, false},
	{"member", STANDS_MEMBER, false},
	{"participant", STANDS_MEMBER, false},
	{"regular", STANDS_MEMBER, false},
	{"user", STANDS_MEMBER, false},
	{"normal", STANDS_MEMBER, false},
	{"none", STANDS_MEMBER, false},
	{"left", STANDS_LEFT, false},
	{"removed", STANDS_LEFT, false},
	{"kicked", STANDS_LEFT, false},
	{"nonmember", STANDS_LEFT, false},
	{"notmember", STANDS_LEFT, false},
	{"pending", STANDS_UNSURE, false},
	{"pendingapproval", STANDS_UNSURE, false},
	{"requested", STANDS_UNSURE, false},
	{"waiting", STANDS_UNSURE, false},
	{"invited", STANDS_UNSURE, false},
	{"invitee", STANDS_UNSURE, false},
	{"banned", STANDS_LEFT, true},
	{"deleted", STANDS_LEFT, true},
	{"past", STANDS_LEFT, true},
	{"former", STANDS_LEFT, true},
};

/* The fields of standings in a hash table by their plain names. */
static const StandingField *fields_by_hash[256];

static const StandingField **
standing_slot(const char *name)
{
	uint32		hash = 0;

	for (const char *c = name; *c; c++)
		hash = hash * 31 + (unsigned char) *c;
	while (fields_by_hash[hash % lengthof(fields_by_hash)] &&
		   strcmp(fields_by_hash[hash % lengthof(fields_by_hash)]->name, name) != 0)
		hash++;
	return &fields_by_hash[hash % lengthof(fields_by_hash)];
}

/* Return how an entry's field with that key tells a standing; NULL if it does not. */
static const StandingField *
standing_field(const char *key)
{
	static bool is_filled = false;
	char		name[WIRE_LONGEST_NAME + 1];

	for (size_t i = 0; i < lengthof(standing_fields) && !is_filled; i++)
		*standing_slot(standing_fields[i].name) = &standing_fields[i];
	is_filled = true;
	wire_plain_name(key, name);
	return *standing_slot(name);
}

/* Return what a word says, in a field of such forms; `otherwise` if it is not known. */
static int
standing_of_word(const char *word, int forms, int otherwise)
{
	char		name[WIRE_LONGEST_NAME + 1];

	wire_plain_name(word, name);
	for (size_t i = 0; i < lengthof(standing_words); i++)
		if (strcmp(name, standing_words[i].word) == 0 && !(standing_words[i].is_own && (forms & FORM_ABOUT)))
			return standing_words[i].standing;
	return otherwise;
}

/* Return what the elements of an array of roles say. */
static int
standing_of_roles(const JsonNode *roles)
{
	int			standing = roles->count == 0 ? STANDS_MEMBER : 0;

	for (const JsonNode *role = roles->first; role; role = role->next)
		standing |= json_node_is(role, JSON_KIND_STRING) && json_node_text(role)
			? standing_of_word(json_node_text(role), FORM_ROLE, STANDS_UNKNOWN) : STANDS_UNKNOWN;
	return standing;
}

/* Return what a flag says; 0 if the value is none.  One that is not understood may be an admin's. */
static int
standing_of_flag(const JsonNode *value, const StandingField *field)
{
	int			flag = (field->forms & FORM_FLAG) ? wire_read_number_flag(value) : -1;

	if ((field->forms & FORM_CODE) && json_node_is(value, JSON_KIND_OBJECT) && wire_get_by_name(value, "Code"))
		value = wire_get_by_name(value, "Code");
	if (json_node_is(value, JSON_KIND_TRUE) || ((field->forms & FORM_SET) && wire_is_set(value)))
		flag = 1;
	if (json_node_is(value, JSON_KIND_FALSE) ||
		((field->forms & FORM_NULL) && !json_node_is_list(value) && !wire_is_set(value)))
		flag = 0;
	if (flag < 0 && value->kind != JSON_KIND_NULL && field->forms == FORM_FLAG && (field->yes & (STANDS_ADMIN | STANDS_OWNER)))
		return STANDS_UNKNOWN;
	return flag == 1 ? field->yes : flag == 0 ? field->no : 0;
}

/* an HTTP-like number in this range, as the status of somebody in a list, is a refusal */
#define FIRST_REFUSAL 400
#define LAST_REFUSAL 599

/*
 * Return what a field of words or of a role says; 0 if it says nothing.  Only a
 * role's own field says by "member" or "user" that somebody is no admin.
 */
static int
standing_of_value(const JsonNode *value, const StandingField *field)
{
	bool		is_role = (field->forms & FORM_ROLE) != 0;
	int			otherwise = is_role ? STANDS_UNKNOWN : 0;
	int			number;

	if (json_node_is(value, JSON_KIND_ARRAY))
		return is_role ? standing_of_roles(value) : 0;
	if (!is_role && json_node_int(value, &number) && !((field->forms & FORM_ABOUT) && json_node_is(value, JSON_KIND_STRING)))
		return number >= FIRST_REFUSAL && number <= LAST_REFUSAL && field->yes == 0 ? STANDS_UNSURE : 0;
	if (json_node_is(value, JSON_KIND_STRING))
		return json_node_text(value) ? standing_of_word(json_node_text(value), field->forms, otherwise) & (is_role ? ~0 : ~STANDS_MEMBER) : 0;
	return value->kind == JSON_KIND_NULL ? 0 : otherwise;
}

/* Return what the fields of an entry, and of the objects in it that are part of it, say. */
static int
standing_of_fields(const JsonNode *entry, int depth)
{
	int			standing = 0;

	if (!json_node_is(entry, JSON_KIND_OBJECT))
		return 0;
	for (const JsonNode *child = entry->first; child; child = child->next)
	{
		const StandingField *field = standing_field(child->key);
		int			said = field ? standing_of_flag(child, field) : 0;

		if (field && said == 0 && (field->forms & (FORM_WORD | FORM_ROLE)))
			said = standing_of_value(child, field);
		if (field && (field->forms & FORM_INNER) && depth > 0)
			said |= standing_of_fields(child, depth - 1);
		standing |= said;
	}
	return standing;
}

/* Return what an entry of a list says.  In a map of people the value is a role, or whether they are in the group. */
static int
standing_of(const JsonNode *node)
{
	if (node->key == NULL || !wire_is_named_after_person(node) || json_node_is(node, JSON_KIND_OBJECT))
		return standing_of_fields(node, WIRE_MAX_INNER_PERSON);
	if (json_node_is(node, JSON_KIND_FALSE))
		return STANDS_LEFT;
	return json_node_is(node, JSON_KIND_STRING) && json_node_text(node) ? standing_of_word(json_node_text(node), FORM_WORD, 0) : 0;
}

static WireRole
role_of(int standing)
{
	static const struct
	{
		Standing	standing;
		WireRole	role;
	}			roles[] =
	{
		{STANDS_LEFT, WIRE_ROLE_LEFT},
		{STANDS_OWNER, WIRE_ROLE_OWNER},
		{STANDS_ADMIN, WIRE_ROLE_ADMIN},
		{STANDS_MEMBER, WIRE_ROLE_MEMBER},
		{STANDS_UNKNOWN, WIRE_ROLE_UNKNOWN},
	};

	for (size_t i = 0; i < lengthof(roles); i++)
		if (standing & roles[i].standing)
			return roles[i].role;
	return WIRE_ROLE_UNTOLD;
}

/* Read an entry of a list, which says that of its member's standing. */
static WireMember
read_member(const JsonNode *node, int standing)
{
	WireMember	member = {.role = role_of(standing)};
	WireIds		ids = wire_ids_of(node);

	member.jid = json_node_is(node, JSON_KIND_STRING) ? wire_jid_of_id(json_node_text(node)) : ids.listed;
	if (member.jid.kind == JID_INVALID && node->key)
		member.jid = wire_jid_of_id(node->key);
	wire_add_jid(member.jid, &ids);
	member.phone = ids.phone;
	member.lid = ids.lid;
	if (member.jid.kind == JID_INVALID)
		member.jid = member.phone.kind == JID_PERSON ? member.phone : member.lid;
	return member;
}

/* True for a text such as "1.024", which may be a thousand people or one. */
static bool
may_be_thousands(const JsonNode *node)
{
	const char *point = json_node_is(node, JSON_KIND_STRING) ? strchr(json_node_text(node), '.') : NULL;

	return point && strspn(point + 1, "0123456789") == 3 && (point[4] == '\0' || point[4] == '.');
}

/* Read a size, which some write as a float; false if it is none. */
static bool
read_size(const JsonNode *node, int *size)
{
	const char *text = json_node_text(node);
	char	   *end;
	double		value = text ? strtod(text, &end) : -1;

	if (!(value >= 0 && value <= INT_MAX) || *end != '\0' || may_be_thousands(node))
		return false;
	*size = (int) value;
	return true;
}

/* Return the parts of a plain name, each of which is known; 0 if one is not. */
static int
size_parts(const char *name)
{
	int			parts = 0;

	while (*name)
	{
		size_t		i = 0;

		while (i < lengthof(size_words) && strncmp(name, size_words[i].word, strlen(size_words[i].word)) != 0)
			i++;
		if (i == lengthof(size_words))
			return 0;
		parts |= size_words[i].part;
		name += strlen(size_words[i].word);
	}
	return parts;
}

/* True if a member of a group's description, or of a list's envelope, is named as the number of people. */
static bool
is_size_name(const char *key, bool is_envelope)
{
	char		name[WIRE_LONGEST_NAME + 1];
	int			parts;

	wire_plain_name(key, name);
	parts = size_parts(name);
	if (parts & PART_PEOPLE)
		return (parts & (PART_COUNT | PART_SIZE | PART_NUMBER)) != 0;
	if (is_envelope)
		return (parts & (PART_COUNT | PART_SIZE)) || parts == (PART_NUMBER | PART_ENTRIES);
	return parts == PART_SIZE;
}

/* Return the largest size in a group's description; -1 if there is none. */
int
wire_stated_size(const JsonNode *group)
{
	int			largest = -1;
	int			size;

	if (!json_node_is(group, JSON_KIND_OBJECT))
		return -1;
	for (const JsonNode *child = group->first; child; child = child->next)
		if (is_size_name(child->key, false) && read_size(child, &size))
			largest = Max(largest, size);
	return largest;
}

static EnvelopeUse
envelope_use(const char *key)
{
	static const char *const nexts[] = {"", "page", "pages", "cursor", "token", "pagetoken", "link", "url", "pageurl", "pagelink", "offset", "id",
		"key", "href", "uri", "start", "marker", "index", "results", "batch", "continuationtoken", NULL};
	char		name[WIRE_LONGEST_NAME + 1];

	wire_plain_name(key, name);
	for (size_t i = 0; i < lengthof(envelope_names); i++)
		if (strcmp(name, envelope_names[i].name) == 0)
			return envelope_names[i].use;
	return strncmp(name, "next", strlen("next")) == 0 && wire_word_is(name + strlen("next"), nexts) ? SAYS_MORE : SAYS_NOTHING;
}

/* True if an object says which page of a list it is beside. */
static bool
tells_page(const JsonNode *node)
{
	int			number;

	for (const JsonNode *child = node->first; child; child = child->next)
	{
		EnvelopeUse use = envelope_use(child->key);

		if ((use == SAYS_OFFSET || use == SAYS_PAGE || use == SAYS_PAGES) && read_size(child, &number))
			return true;
	}
	return false;
}

/* True if a flag that stands for the whole list is not set. */
static bool
denies_whole(const JsonNode *flag)
{
	static const char *const words[] = {"no", "none", "partial", "incomplete", "truncated", NULL};

	return wire_read_number_flag(flag) == 0 || wire_word_is(json_node_text(flag), words);
}

/* True if a word for the state of a list says that it is not the whole one. */
static bool
is_word_of_part(const char *word)
{
	static const char *const words[] = {"partial", "incomplete", "truncated", "loading", "syncing", NULL};

	return wire_word_is(word, words);
}

/* no group has so many members: "start" and the like are a time then, in seconds */
#define FIRST_EPOCH 1000000000

/* Take what a member of an envelope says of the pages of its list. */
static void
read_list_pages(const JsonNode *child, EnvelopeUse use, WireEnvelope *envelope)
{
	int			number = -1;
	bool		is_number = read_size(child, &number);

	envelope->has_more |= (use == SAYS_MORE && wire_is_set(child) && wire_read_flag(child) != 0) ||
		(use == SAYS_WHOLE && denies_whole(child)) ||
		(use == SAYS_OFFSET && number > 0 && number < FIRST_EPOCH) ||
		((use == SAYS_PAGE || use == SAYS_PAGES) && number > 1) ||
		(use == SAYS_STATUS && is_word_of_part(json_node_text(child)));
	envelope->is_end |= use == SAYS_MORE || (use == SAYS_PAGES && is_number) || (use == SAYS_WHOLE && wire_read_number_flag(child) == 1);
	if (use == SAYS_PAGE_SIZE)
		envelope->page_size = Max(envelope->page_size, number);
}

/* Take the number of people from a member of an envelope that is named so.  One that cannot be read, such as "1,000", may be any. */
static void
read_list_size(const JsonNode *child, WireEnvelope *envelope)
{
	int			size;

	if (read_size(child, &size))
		envelope->stated = Max(envelope->stated, size);
	else if (json_node_is(child, JSON_KIND_STRING) || json_node_is_list(child))
		envelope->has_more = true;
}

/* True if an object says how many people or entries there are in all, by another name than a page's size has. */
static bool
tells_size(const JsonNode *node)
{
	int			size;

	for (const JsonNode *child = node->first; child; child = child->next)
		if (envelope_use(child->key) != SAYS_LIMIT && is_size_name(child->key, true) && read_size(child, &size))
			return true;
	return false;
}

/* Take what an envelope says of its list's completeness. */
void
wire_read_list_envelope(const JsonNode *node, int depth, WireEnvelope *envelope)
{
	bool		is_paged;

	if (!json_node_is(node, JSON_KIND_OBJECT))
		return;
	is_paged = tells_page(node);
	for (const JsonNode *child = node->first; child; child = child->next)
	{
		EnvelopeUse use = envelope_use(child->key);

		if (use == SAYS_LIMIT && is_paged)
		{
			envelope->has_doubtful_size |= is_size_name(child->key, true) && !tells_size(node);
			use = SAYS_PAGE_SIZE;
		}
		else if (use == SAYS_REST && (is_paged || json_node_get(node, "limit") == NULL))
			use = SAYS_MORE;
		else if (is_size_name(child->key, true))
			read_list_size(child, envelope);
		if ((use == SAYS_MORE_OF_IT || use == SAYS_PAGE) && depth > 0)
			wire_read_list_envelope(child, depth - 1, envelope);
		read_list_pages(child, use, envelope);
	}
}

/* True if a list with so many entries is not the whole one, according to its envelopes; one that fills a page may not be. */
bool
wire_envelope_has_more(const WireEnvelope *envelope, int count)
{
	return envelope->has_more || (envelope->has_doubtful_size && !envelope->is_end) ||
		(envelope->page_size > 0 && count >= envelope->page_size && !envelope->is_end && envelope->stated < 0);
}

/* so many slots are looked at for a name; names that nobody chose for their hash need far fewer */
#define INDEX_PROBES 256

/* Return the bits of what an entry shows; 0 also if the member left. */
static int
member_shows(const WireMember *member)
{
	if (member->role == WIRE_ROLE_LEFT)
		return 0;
	return (member->phone.kind == JID_PERSON ? WIRE_SHOWS_PHONE : 0) | (member->lid.kind == JID_LID ? WIRE_SHOWS_LID : 0);
}

/*
 * Return the number of names, which are numbers and LIDs, in the entries of a list;
 * count the entries in shown[], and note whether any of them tells a role.
 */
static int
list_count_names(WireMembers *list)
{
	int			n = 0;

	memset(list->shown, 0, sizeof(list->shown));
	list->tells_roles = false;
	for (int i = 0; i < list->count; i++)
	{
		int			shows = member_shows(&list->members[i]);

		list->tells_roles |= list->members[i].role == WIRE_ROLE_MEMBER || list->members[i].role == WIRE_ROLE_ADMIN ||
			list->members[i].role == WIRE_ROLE_OWNER;
		list->shown[shows] += list->members[i].role != WIRE_ROLE_LEFT;
		n += (shows & WIRE_SHOWS_PHONE ? 1 : 0) + (shows & WIRE_SHOWS_LID ? 1 : 0);
	}
	return n;
}

/*
 * Enter a name of the entry at that place, counted from 0, into the index; false
 * if an earlier entry has it already.  A name that finds its slots taken counts
 * as had: the list is then taken to be incomplete.  Set *is_full in that case.
 */
static bool
list_index_name(WireMembers *list, int place, const Jid *name, bool *is_full)
{
	uint32		slot = jid_hash(name) & list->mask;

	for (int probes = 1; list->slots[slot]; slot = (slot + 1) & list->mask, probes++)
	{
		const WireMember *other = &list->members[list->slots[slot] - 1];

		*is_full |= probes == INDEX_PROBES;
		if (probes == INDEX_PROBES ||
			(other != &list->members[place] && strcmp(name->text, name->kind == JID_LID ? other->lid.text : other->phone.text) == 0))
			return false;
	}
	list->slots[slot] = (uint32) place + 1;
	return true;
}

/*
 * Make the index of a list, so that nobody walks through its entries again, and
 * count those that repeat a number or a LID of an earlier one.
 */
void
wire_index_members(WireMembers *list)
{
	int			names = list_count_names(list);
	bool		is_full = false;

	list->repeated = 0;
	list->mask = pg_nextpower2_32(Max(names, 1)) * 2 - 1;
	list->slots = palloc0(sizeof(uint32) * ((size_t) list->mask + 1));
	for (int i = 0; i < list->count; i++)
	{
		const WireMember *member = &list->members[i];
		int			shows = member_shows(member);
		bool		is_repeated = false;

		if (shows & WIRE_SHOWS_PHONE)
			is_repeated |= !list_index_name(list, i, &member->phone, &is_full);
		if (shows & WIRE_SHOWS_LID)
			is_repeated |= !list_index_name(list, i, &member->lid, &is_full);
		list->repeated += is_repeated;
	}
	if (!is_full)
		return;
	pfree(list->slots);
	list->slots = NULL;
}

/* True if an entry has that number or LID and did not leave. */
static bool
member_is(const WireMember *member, const Jid *jid)
{
	return member->role != WIRE_ROLE_LEFT && (jid_same(&member->phone, jid) || jid_same(&member->lid, jid));
}

/* Return the first entry of a number or a LID; NULL if there is none or the person left. */
const WireMember *
wire_find_member(const WireMembers *list, const Jid *jid)
{
	if (jid->kind == JID_INVALID)
		return NULL;
	for (uint32 slot = jid_hash(jid) & list->mask; list->slots && list->slots[slot]; slot = (slot + 1) & list->mask)
		if (member_is(&list->members[list->slots[slot] - 1], jid))
			return &list->members[list->slots[slot] - 1];
	for (int i = 0; list->slots == NULL && i < list->count; i++)
		if (member_is(&list->members[i], jid))
			return &list->members[i];
	return NULL;
}

/* so many entries that are not understood are looked at for their form */
#define SHOWN_UNREAD 100

/*
 * Read the members of a list into *out, palloc'd; entries without a readable JID
 * are counted as unread, and shown by their shape where somebody reads that.
 */
void
wire_read_member_list(const JsonNode *list, bool is_shape_read, WireMembers *out)
{
	const JsonNode *unread[SHOWN_UNREAD];

	memset(out, 0, sizeof(*out));
	out->members = palloc(sizeof(WireMember) * Max(list->count, 1));
	out->stated = -1;
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		int			standing = standing_of(child);
		WireMember	member = read_member(child, standing);

		if ((member.jid.kind == JID_PERSON || member.jid.kind == JID_LID) && !(standing & STANDS_UNSURE))
			out->members[out->count++] = member;
		else if (member.role != WIRE_ROLE_LEFT && out->unread++ < SHOWN_UNREAD)
			unread[out->unread - 1] = child;
	}
	if (is_shape_read && out->unread > 0)
		out->unread_shape = shape_of_nodes(unread, Min(out->unread, SHOWN_UNREAD));
	wire_index_members(out);
}

/* Return the number of members in a list, each once, those who left not counted. */
int
wire_count_members(const WireMembers *list)
{
	return list->shown[0] + list->shown[WIRE_SHOWS_PHONE] + list->shown[WIRE_SHOWS_LID] +
		list->shown[WIRE_SHOWS_PHONE | WIRE_SHOWS_LID] - list->repeated;
}

/* True for a name of a list of people who are not in the group: "pendingParticipants", "membershipApprovalRequests". */
static bool
is_name_of_outsiders(const char *key)
{
	static const char *const parts[] = {"past", "former", "left", "removed", "kicked", "banned", "blocked", "pending", "request", "invite"};
	char		name[WIRE_LONGEST_NAME + 1];

	wire_plain_name(key, name);
	for (size_t i = 0; i < lengthof(parts); i++)
		if (strstr(name, parts[i]))
			return true;
	return false;
}

/* The people in other lists beside the one that is read. */
typedef enum OtherPeople
{
	OTHERS_NONE,
	OTHERS_SAME,				/* those of them who are in the list as well: its admins */
	OTHERS_MORE
} OtherPeople;

/* Return whether a list names people, and any who are not in the one that was read. */
static OtherPeople
people_beside(const JsonNode *other, const WireMembers *members)
{
	OtherPeople found = OTHERS_NONE;

	for (const JsonNode *child = other->first; child && found != OTHERS_MORE; child = child->next)
	{
		int			standing = standing_of(child);
		WireMember	member = read_member(child, standing);

		if ((member.jid.kind != JID_PERSON && member.jid.kind != JID_LID) || (standing & (STANDS_LEFT | STANDS_UNSURE)))
			continue;
		found = wire_find_member(members, &member.phone) || wire_find_member(members, &member.lid) ? OTHERS_SAME : OTHERS_MORE;
	}
	return found;
}

/* Return the same for all lists in an envelope but the one that was read. */
static OtherPeople
people_in_envelope(const JsonNode *envelope, int depth, const JsonNode *list, const WireMembers *members)
{
	OtherPeople found = OTHERS_NONE;

	if (!json_node_is(envelope, JSON_KIND_OBJECT))
		return found;
	for (const JsonNode *child = envelope->first; child; child = child->next)
	{
		if (child == list || is_name_of_outsiders(child->key))
			continue;
		if (json_node_is(child, JSON_KIND_ARRAY) || wire_is_keyed_list(child))
			found = Max(found, people_beside(child, members));
		else if (depth > 0 && envelope_use(child->key) == SAYS_MORE_OF_IT)
			found = Max(found, people_in_envelope(child, depth - 1, list, members));
	}
	return found;
}

/* Return the places of a list's entries in its text, palloc'd, if each of them is a member. */
static WireListText
read_list_text(const char *body, size_t len, const JsonNode *list, const WireMembers *members)
{
	WireListText text = {.body = body, .len = len};

	if (list->kind != JSON_KIND_ARRAY || members->count != list->count)
		return text;
	text.spans = palloc(sizeof(WireSpan) * Max(list->count, 1));
	for (const JsonNode *child = list->first; child; child = child->next)
	{
		if (child->kind != JSON_KIND_OBJECT && child->kind != JSON_KIND_STRING)
			return text;
		text.spans[text.count++] = (WireSpan) {child->source - body, child->source_end - body};
	}
	text.begin = list->source - body + 1;
	return text;
}

/*
 * Read the answer of GET groups/{id}/participants into *out, palloc'd; false if
 * the body is not a list of people (an error under 200 is not).
 */
bool
wire_read_members(const char *body, size_t len, WireMembers *out)
{
	return wire_read_list(body, len, 0, out, NULL);
}

/*
 * The same for a list that has so many entries more, which are not in the body.
 * Set *text (NULL: it is not wanted) to the places of those that are; it refers to
 * the body.
 */
bool
wire_read_list(const char *body, size_t len, int more, WireMembers *out, WireListText *text)
{
	const JsonNode *root = json_node_parse(body, len);
	const JsonNode *list = root;
	const JsonNode *envelopes[WIRE_MAX_WRAPPING];
	WireEnvelope envelope = {.stated = -1, .page_size = -1};
	OtherPeople others = OTHERS_NONE;
	int			depth;

	for (depth = 0; depth < WIRE_MAX_WRAPPING && json_node_is(list, JSON_KIND_OBJECT) && !wire_is_keyed_list(list); depth++)
	{
		if (wire_is_error_body(list))
			return false;
		wire_read_list_envelope(list, WIRE_MAX_PAGING, &envelope);
		envelopes[depth] = list;
		list = wire_list_in(list);
	}
	if (!json_node_is_list(list) || wire_is_error_body(list))
		return false;
	wire_read_member_list(list, true, out);
	while (depth-- > 0)
		others = Max(others, people_in_envelope(envelopes[depth], WIRE_MAX_PAGING, list, out));
	out->stated = envelope.stated;
	out->has_more = wire_envelope_has_more(&envelope, list->count + more) || others == OTHERS_MORE;
	if (text)
		*text = others == OTHERS_NONE ? read_list_text(body, len, list, out) : (WireListText) {.body = body, .len = len};
	return out->count > 0 || list->count == 0;
}
